"""Summary files: HDF5, one dataset per array, the geometry inside.

Arrays that grow, or grow within each shower, are stored as differences of neighbours (`_STEPS`, dataset ``NAME_steps``)
because these are small numbers, which compress well.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import h5py
import numpy as np
import numpy.typing as npt

from fastparam.errors import InputError
from fastparam.files import atomic_output
from fastparam.geometry.load import dump_geometry, parse_geometry
from fastparam.particles import Particles
from fastparam.summary.binning_file import read_binning, write_binning
from fastparam.summary.deposits import PER_HIT, Deposits
from fastparam.summary.summary import PER_ENTRY, PER_SHOWER, Summary

if TYPE_CHECKING:
    from fastparam.geometry.detector import Geometry

__all__ = ["FORMAT", "load_geometry_of", "load_summary", "save_summary"]

T = TypeVar("T")

#: Raised whenever the layout changes; older versions are read as long as `load_summary` says so.
FORMAT = 1

_PARTICLES = tuple(f"particles/{name}" for name in ("pdg", "energy", "position", "direction", "index"))
_ARRAYS = (*PER_SHOWER, "offsets", *PER_ENTRY)
_DEPOSITS = ("kept", "offsets", *PER_HIT)
_STEPS = frozenset({"particles/index", "row", "offsets", "content_bin", "deposits/offsets"})

#: Rows per compressed chunk; larger ones need memory, in smaller ones compression starts anew too often.
_CHUNK_BYTES = 1 << 20


def save_summary(path: Path, summary: Summary, geometry: Geometry) -> None:
    """Write a summary, complete or not at all."""
    with atomic_output(path) as partial, h5py.File(partial, "w", libver=("v108", "v108")) as file:
        # Texts of fixed length and checksummed metadata: HDF5 can hang on damaged files otherwise.
        file.attrs["fastparam"] = np.bytes_("summary")
        file.attrs["format"] = FORMAT
        file.attrs["geometry"] = np.bytes_(dump_geometry(geometry).encode())
        file.attrs["geometry_digest"] = np.bytes_(summary.geometry_digest)
        file.attrs["sample_rows"] = summary.sample_rows
        write_binning(file, summary.binning)
        for name in _PARTICLES:
            _write(file, name, getattr(summary.particles, name.removeprefix("particles/")))
        for name in _ARRAYS:
            _write(file, name, getattr(summary, name))
        if summary.deposits is not None:
            for name in _DEPOSITS:
                _write(file, f"deposits/{name}", getattr(summary.deposits, name))


def load_summary(path: Path) -> tuple[Summary, Geometry]:
    """Read a summary and the geometry it was made with.

    Raises
    ------
    InputError
        If the file is missing, broken, no summary, or of a newer format.
    """
    return _read(path, lambda file: (_summary(file), parse_geometry(_text(file, "geometry"), path)))


def _summary(file: h5py.File) -> Summary:
    binning = read_binning(file)
    particles = Particles(*(_array(file, name) for name in _PARTICLES))
    return Summary(
        _text(file, "geometry_digest"),
        binning,
        particles,
        **{name: _array(file, name) for name in _ARRAYS},
        sample_rows=int(file.attrs["sample_rows"]),
        deposits=Deposits(*(_array(file, f"deposits/{name}") for name in _DEPOSITS)) if "deposits" in file else None,
    )


def _read(path: Path, wanted: Callable[[h5py.File], T]) -> T:
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with h5py.File(path, "r") as file:
            if "fastparam" not in file.attrs or _text(file, "fastparam") != "summary":
                raise InputError(f"{path}: is no fastparam summary; expected a file written by `fastparam summarise`")
            version = int(file.attrs["format"])
            if version > FORMAT:
                raise InputError(
                    f"{path}: summary format {version}, this fastparam reads up to {FORMAT}; update fastparam"
                )
            return wanted(file)
    except (OSError, KeyError, ValueError, RuntimeError, TypeError) as error:
        raise InputError(f"{path}: cannot be read as a summary ({error}); summarise the sample again") from error


def load_geometry_of(path: Path) -> Geometry:
    """Read only the geometry of a summary; errors as `load_summary`."""
    return _read(path, lambda file: parse_geometry(_text(file, "geometry"), path))


def _text(file: h5py.File, name: str) -> str:
    return np.bytes_(file.attrs[name]).decode()


def _write(file: h5py.File, name: str, data: npt.NDArray[Any]) -> None:
    if name in _STEPS:
        name, data = f"{name}_steps", np.diff(data, prepend=data.dtype.type(0))
    if not data.size:
        file.create_dataset(name, data=data)
        return
    rows = max(1, _CHUNK_BYTES * len(data) // data.nbytes)
    chunks = (min(rows, len(data)), *data.shape[1:])
    file.create_dataset(name, data=data, chunks=chunks, compression="gzip", compression_opts=9, shuffle=True)


def _array(file: h5py.File, name: str) -> npt.NDArray[Any]:
    if name not in _STEPS:
        return np.asarray(file[name][()])
    steps = file[f"{name}_steps"][()]
    return np.cumsum(steps, dtype=steps.dtype)
