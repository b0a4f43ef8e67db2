"""Summary files: HDF5, one dataset per array, the geometry inside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import h5py
import numpy.typing as npt

from fastparam.errors import InputError
from fastparam.files import atomic_output
from fastparam.geometry.load import dump_geometry, parse_geometry
from fastparam.particles import Particles
from fastparam.summary.binning_file import read_binning, write_binning
from fastparam.summary.summary import Summary

if TYPE_CHECKING:
    from fastparam.geometry.detector import Geometry

__all__ = ["FORMAT", "load_geometry_of", "load_summary", "save_summary"]

T = TypeVar("T")

#: Raised whenever the layout changes; older versions are read as long as `load_summary` says so.
FORMAT = 1

_PARTICLES = ("pdg", "energy", "position", "direction", "index")
_ARRAYS = (
    "row",
    "n_hits",
    "n_negative",
    "n_outside",
    "outside",
    "layer_energy",
    "layer_moments",
    "depth_sums",
    "r50",
    "r90",
    "offsets",
    "content_bin",
    "content_energy",
)


def save_summary(path: Path, summary: Summary, geometry: Geometry) -> None:
    """Write a summary, complete or not at all."""
    with atomic_output(path) as partial, h5py.File(partial, "w") as file:
        file.attrs["fastparam"] = "summary"
        file.attrs["format"] = FORMAT
        file.attrs["geometry"] = dump_geometry(geometry)
        file.attrs["geometry_digest"] = summary.geometry_digest
        write_binning(file, summary.binning)
        for name in _PARTICLES:
            _write(file, f"particles/{name}", getattr(summary.particles, name))
        for name in _ARRAYS:
            _write(file, name, getattr(summary, name))


def load_summary(path: Path) -> tuple[Summary, Geometry]:
    """Read a summary and the geometry it was made with.

    Raises
    ------
    InputError
        If the file is missing, broken, no summary, or of a newer format.
    """
    return _read(path, lambda file: (_summary(file), parse_geometry(str(file.attrs["geometry"]), path)))


def _summary(file: h5py.File) -> Summary:
    binning = read_binning(file)
    particles = Particles(*(file[f"particles/{name}"][()] for name in _PARTICLES))
    return Summary(str(file.attrs["geometry_digest"]), binning, particles, *(file[name][()] for name in _ARRAYS))


def _read(path: Path, wanted: Callable[[h5py.File], T]) -> T:
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("fastparam") != "summary":
                raise InputError(f"{path}: is no fastparam summary; expected a file written by `fastparam summarise`")
            version = int(file.attrs["format"])
            if version > FORMAT:
                raise InputError(
                    f"{path}: summary format {version}, this fastparam reads up to {FORMAT}; update fastparam"
                )
            return wanted(file)
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a summary ({error}); summarise the sample again") from error


def load_geometry_of(path: Path) -> Geometry:
    """Read only the geometry of a summary; errors as `load_summary`."""
    return _read(path, lambda file: parse_geometry(str(file.attrs["geometry"]), path))


def _write(file: h5py.File, name: str, data: npt.NDArray[Any]) -> None:
    if data.size:
        file.create_dataset(name, data=data, compression="gzip", compression_opts=4, shuffle=True)
    else:
        file.create_dataset(name, data=data)
