"""Tune files: one HDF5 file per tune, readable by any HDF5 tool.

Text is stored with fixed length and the file in a version of the format that has checksums: then damage is an error of
HDF5, which has been seen to hang on damaged text of variable length, and to crash on damaged files of older versions.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from fastparam.errors import FastparamWarning, GeometryError, InputError, near
from fastparam.files import atomic_output, digest
from fastparam.fit.fit import Fit
from fastparam.fit.tables import Tables
from fastparam.geometry.load import dump_geometry, parse_geometry
from fastparam.geometry.shipped import shipped_tunes
from fastparam.summary.binning_file import read_binning, write_binning
from fastparam.tunes.recipe import Recipe
from fastparam.tunes.tune import SliceTune, Tune

__all__ = ["FORMAT", "load_tune", "save_tune", "tune_digest"]

#: Raised whenever the layout changes, or what an older fastparam would misread; older versions are read.
FORMAT = 4

#: Arrays longer than this many bytes are compressed.
_WORTH_PACKING = 4096

_FIT_NUMBERS = ("valid", "accurate", "chi2", "ndf", "n_showers")


def save_tune(path: Path, tune: Tune) -> None:
    """Write a tune, complete or not at all."""
    with atomic_output(path) as partial, h5py.File(partial, "w", libver=("v110", "v110")) as file:
        _write_text(file, "fastparam", "tune")
        file.attrs["format"] = FORMAT
        _write_text(file, "name", tune.name)
        _write_text(file, "geometry", dump_geometry(tune.geometry))
        _write_text(file, "recipe", tune.recipe.model_dump_json())
        _write_text(file, "provenance", json.dumps(tune.provenance))
        _write_text(file, "excluded", json.dumps(list(tune.excluded)))
        _write_text(file, "checksum", digest(*_numbers(tune)))
        _write_document(file, "validation", tune.validation)
        write_binning(file, tune.binning)
        for number, part in enumerate(tune.slices):
            group = file.create_group(f"slices/{number:03d}")
            group.attrs["pdg"] = part.pdg
            _write_text(group, "eta", json.dumps(part.eta))
            group.attrs["energy_range"] = part.energy_range
            group.attrs["max_angle"] = part.max_angle
            group.attrs["n_showers"] = part.n_showers
            _write_text(group, "failed", json.dumps(part.failed))
            group.attrs["sparse"] = np.array(part.sparse, dtype=np.float64)
            _write_text(group, "components", json.dumps(list(part.components)))  # HDF5 lists groups by name
            for name, fit in part.components.items():
                _write_fit(group.create_group(name), fit)
            tables = group.create_group("tables")
            for name, stored in part.tables.items():
                _write_tables(tables.create_group(name), stored)


def load_tune(path: Path) -> Tune:
    """Read a tune: a file, else a shipped tune's name.

    Raises
    ------
    InputError
        If the file is missing, broken, no tune, or of a newer format.

    Warns
    -----
    FastparamWarning
        If the parameters changed since the file was written.
    """
    if not path.exists() and str(path) in (shipped := shipped_tunes()):
        path = shipped[str(path)]
    if not path.is_file():
        beside = [p.name for p in path.parent.glob("*.h5")]
        raise InputError(
            f"{path}: no such file{near(path.name, beside)}; expected a tune, a file written by `fastparam tune`"
        )
    if not h5py.is_hdf5(path):
        raise InputError(f"{path}: is no HDF5 file; expected a tune, a file written by `fastparam tune`")
    try:
        with h5py.File(path, "r") as file:
            if (kind := _text(file.attrs, "fastparam") if "fastparam" in file.attrs else "") != "tune":
                found = f"a fastparam {kind}" if kind else "an HDF5 file of another origin"
                raise InputError(f"{path}: is {found}; expected a tune, a file written by `fastparam tune`")
            version = int(file.attrs["format"])
            if version > FORMAT:
                raise InputError(
                    f"{path}: tune format {version}, this fastparam reads up to {FORMAT}; update fastparam"
                )
            tune = Tune(
                _text(file.attrs, "name"),
                parse_geometry(_text(file.attrs, "geometry"), path),
                Recipe.model_validate_json(_text(file.attrs, "recipe")),
                read_binning(file),
                tuple(_read_slice(file["slices"][key]) for key in sorted(file["slices"])),
                tuple(json.loads(_text(file.attrs, "excluded"))),
                json.loads(_text(file.attrs, "provenance")),
                _document(file, "validation"),
            )
            checksum = _text(file.attrs, "checksum")
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, GeometryError) as error:  # what damage has raised
        raise InputError(f"{path}: cannot be read as a tune ({error}); copy it again, or tune again") from error
    if checksum != digest(*_numbers(tune)):
        warnings.warn(
            f"{path}: its parameters are not those that were written: the file is damaged, or was edited",
            FastparamWarning,
            stacklevel=2,
        )
    return tune


def tune_digest(tune: Tune) -> str:
    """Digest of the numbers that decide what a tune samples: geometry and parameters."""
    return digest(tune.geometry.digest, tune.recipe.model_dump_json(), *_numbers(tune))


def _numbers(tune: Tune) -> list[bytes | str]:
    parts: list[bytes | str] = []
    for part in tune.slices:
        parts.append(json.dumps([part.pdg, part.eta, part.energy_range]))
        for name, fit in sorted(part.components.items()):
            parts += [name, json.dumps(fit.settings), np.ascontiguousarray(fit.values).tobytes()]
        for name, stored in sorted(part.tables.items()):
            parts += [name, json.dumps(stored.settings)]
            for key, values in sorted(stored.arrays.items()):
                parts += [key, str(values.dtype), np.ascontiguousarray(values).tobytes()]
    return parts


def _write_text(group: h5py.Group, name: str, text: str) -> None:
    group.attrs[name] = np.bytes_(text.encode())


def _text(attributes: Mapping[str, Any], name: str) -> str:
    value = attributes[name]
    return value.decode() if isinstance(value, bytes) else str(value)


def _write_document(group: h5py.Group, name: str, document: dict[str, Any]) -> None:
    """Write JSON as compressed bytes: it can be longer than all parameters."""
    text = np.frombuffer(json.dumps(document).encode(), dtype=np.uint8)
    _write_array(group, name, text)


def _document(group: h5py.Group, name: str) -> dict[str, Any]:
    stored = group[name][()]  # one string up to format 2
    return dict(json.loads(stored if isinstance(stored, bytes) else stored.tobytes()))


def _write_fit(group: h5py.Group, fit: Fit) -> None:
    _write_text(group, "names", json.dumps(fit.names))
    _write_text(group, "at_limit", json.dumps(fit.at_limit))
    _write_text(group, "notes", json.dumps(fit.notes))
    _write_text(group, "settings", json.dumps(fit.settings))
    group.attrs["energy_range"] = fit.energy_range
    for name in _FIT_NUMBERS:
        group.attrs[name] = getattr(fit, name)
    _write_array(group, "values", fit.values)
    _write_array(group, "covariance", fit.covariance)
    points = group.create_group("points")
    for name, values in fit.points.items():
        _write_array(points, name, values)


def _write_array(group: h5py.Group, name: str, values: npt.NDArray[Any]) -> None:
    """Compress what is long enough to gain by it, in one piece: every chunk of HDF5 costs some kB."""
    packed: dict[str, Any] = {}
    if values.nbytes > _WORTH_PACKING:
        packed = {"chunks": values.shape, "compression": "gzip", "compression_opts": 9, "shuffle": True}
    group.create_dataset(name, data=values, **packed)


def _write_tables(group: h5py.Group, tables: Tables) -> None:
    _write_text(group, "settings", json.dumps(tables.settings))
    for name, values in tables.arrays.items():
        _write_array(group, name, values)


def _read_tables(group: h5py.Group) -> Tables:
    return Tables({name: values[()] for name, values in group.items()}, json.loads(_text(group.attrs, "settings")))


def _read_slice(group: h5py.Group) -> SliceTune:
    attributes: Mapping[str, Any] = group.attrs
    eta = json.loads(_text(attributes, "eta"))
    low, high = attributes["energy_range"]
    return SliceTune(
        int(attributes["pdg"]),
        None if eta is None else (eta[0], eta[1]),
        (float(low), float(high)),
        float(attributes["max_angle"]),
        int(attributes["n_showers"]),
        {name: _read_fit(group[name]) for name in json.loads(_text(attributes, "components"))},
        json.loads(_text(attributes, "failed")),
        tuple(float(e) for e in attributes["sparse"]),
        {name: _read_tables(stored) for name, stored in group["tables"].items()} if "tables" in group else {},
    )


def _read_fit(group: h5py.Group) -> Fit:
    attributes: Mapping[str, Any] = group.attrs
    low, high = attributes["energy_range"]
    return Fit(
        tuple(json.loads(_text(attributes, "names"))),
        group["values"][()],
        group["covariance"][()],
        bool(attributes["valid"]),
        bool(attributes["accurate"]),
        tuple(json.loads(_text(attributes, "at_limit"))),
        float(attributes["chi2"]),
        int(attributes["ndf"]),
        (float(low), float(high)),
        int(attributes["n_showers"]),
        tuple(json.loads(_text(attributes, "notes"))),
        json.loads(_text(attributes, "settings")),
        {name: values[()] for name, values in group["points"].items()},
    )
