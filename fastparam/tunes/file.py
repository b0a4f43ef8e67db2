"""Tune files: one HDF5 file per tune, readable by any HDF5 tool."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from fastparam.errors import GeometryError, InputError, near
from fastparam.files import atomic_output, digest
from fastparam.fit.fit import Fit
from fastparam.geometry.load import dump_geometry, parse_geometry
from fastparam.summary.binning_file import read_binning, write_binning
from fastparam.tunes.recipe import Recipe
from fastparam.tunes.tune import SliceTune, Tune

__all__ = ["FORMAT", "load_tune", "save_tune", "tune_digest"]

#: Raised whenever the layout changes; `load_tune` says which older versions it reads.
FORMAT = 1

_FIT_NUMBERS = ("valid", "accurate", "chi2", "ndf", "n_showers")


def save_tune(path: Path, tune: Tune) -> None:
    """Write a tune, complete or not at all."""
    # This version of the format has checksums of its metadata; damage to older ones can crash or hang HDF5.
    with atomic_output(path) as partial, h5py.File(partial, "w", libver=("v108", "v108")) as file:
        file.attrs["fastparam"] = "tune"
        file.attrs["format"] = FORMAT
        file.attrs["name"] = tune.name
        file.attrs["geometry"] = dump_geometry(tune.geometry)
        file.attrs["recipe"] = tune.recipe.model_dump_json()
        file.attrs["provenance"] = json.dumps(tune.provenance)
        file.attrs["excluded"] = json.dumps(list(tune.excluded))
        file.attrs["checksum"] = digest(*_numbers(tune))
        file.create_dataset("validation", data=json.dumps(tune.validation))
        write_binning(file, tune.binning)
        for number, part in enumerate(tune.slices):
            group = file.create_group(f"slices/{number:03d}")
            group.attrs["pdg"] = part.pdg
            group.attrs["eta"] = json.dumps(part.eta)
            group.attrs["energy_range"] = part.energy_range
            group.attrs["max_angle"] = part.max_angle
            group.attrs["n_showers"] = part.n_showers
            group.attrs["failed"] = json.dumps(part.failed)
            group.attrs["sparse"] = np.array(part.sparse, dtype=np.float64)
            group.attrs["components"] = json.dumps(list(part.components))  # HDF5 lists groups by name
            for name, fit in part.components.items():
                _write_fit(group.create_group(name), fit)


def load_tune(path: Path) -> Tune:
    """Read a tune file.

    Raises
    ------
    InputError
        If the file is missing, broken, no tune, or of a newer format.
    """
    if not path.is_file():
        beside = [p.name for p in path.parent.glob("*.h5")]
        raise InputError(
            f"{path}: no such file{near(path.name, beside)}; expected a tune, a file written by `fastparam tune`"
        )
    if not h5py.is_hdf5(path):
        raise InputError(f"{path}: is no HDF5 file; expected a tune, a file written by `fastparam tune`")
    try:
        with h5py.File(path, "r") as file:
            if (kind := file.attrs.get("fastparam")) != "tune":
                found = f"a fastparam {kind}" if kind else "an HDF5 file of another origin"
                raise InputError(f"{path}: is {found}; expected a tune, a file written by `fastparam tune`")
            version = int(file.attrs["format"])
            if version > FORMAT:
                raise InputError(
                    f"{path}: tune format {version}, this fastparam reads up to {FORMAT}; update fastparam"
                )
            tune = Tune(
                str(file.attrs["name"]),
                parse_geometry(str(file.attrs["geometry"]), path),
                Recipe.model_validate_json(file.attrs["recipe"]),
                read_binning(file),
                tuple(_read_slice(file["slices"][key]) for key in sorted(file["slices"])),
                tuple(json.loads(file.attrs["excluded"])),
                json.loads(file.attrs["provenance"]),
                json.loads(file["validation"][()].decode()),
            )
            checksum = str(file.attrs["checksum"])
    except (OSError, KeyError, ValueError, GeometryError) as error:
        raise InputError(f"{path}: cannot be read as a tune ({error}); copy it again, or tune again") from error
    if checksum != digest(*_numbers(tune)):
        raise InputError(f"{path}: damaged: its parameters are not those that were written; copy it again")
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
    return parts


def _write_fit(group: h5py.Group, fit: Fit) -> None:
    group.attrs["names"] = json.dumps(fit.names)
    group.attrs["at_limit"] = json.dumps(fit.at_limit)
    group.attrs["notes"] = json.dumps(fit.notes)
    group.attrs["settings"] = json.dumps(fit.settings)
    group.attrs["energy_range"] = fit.energy_range
    for name in _FIT_NUMBERS:
        group.attrs[name] = getattr(fit, name)
    group.create_dataset("values", data=fit.values)
    group.create_dataset("covariance", data=fit.covariance)
    points = group.create_group("points")
    for name, values in fit.points.items():
        points.create_dataset(name, data=values)


def _read_slice(group: h5py.Group) -> SliceTune:
    attributes: Mapping[str, Any] = group.attrs
    eta = json.loads(attributes["eta"])
    low, high = attributes["energy_range"]
    return SliceTune(
        int(attributes["pdg"]),
        None if eta is None else (eta[0], eta[1]),
        (float(low), float(high)),
        float(attributes["max_angle"]),
        int(attributes["n_showers"]),
        {name: _read_fit(group[name]) for name in json.loads(attributes["components"])},
        json.loads(attributes["failed"]),
        tuple(float(e) for e in attributes["sparse"]),
    )


def _read_fit(group: h5py.Group) -> Fit:
    attributes: Mapping[str, Any] = group.attrs
    low, high = attributes["energy_range"]
    return Fit(
        tuple(json.loads(attributes["names"])),
        group["values"][()],
        group["covariance"][()],
        bool(attributes["valid"]),
        bool(attributes["accurate"]),
        tuple(json.loads(attributes["at_limit"])),
        float(attributes["chi2"]),
        int(attributes["ndf"]),
        (float(low), float(high)),
        int(attributes["n_showers"]),
        tuple(json.loads(attributes["notes"])),
        json.loads(attributes["settings"]),
        {name: values[()] for name, values in group["points"].items()},
    )
