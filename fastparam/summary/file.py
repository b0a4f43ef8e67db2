"""Summary files: HDF5, one dataset per array, the geometry inside."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

from fastparam.errors import InputError
from fastparam.files import atomic_output
from fastparam.geometry.load import dump_geometry, parse_geometry
from fastparam.particles import Particles
from fastparam.summary.binning import Binning
from fastparam.summary.summary import Summary

if TYPE_CHECKING:
    from fastparam.geometry.detector import Geometry

__all__ = ["FORMAT", "load_summary", "save_summary"]

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
        file.attrs["anchor"] = summary.binning.anchor
        file.attrs["lateral_cell"] = summary.binning.lateral_cell
        for name in ("cell_width", "n_cells", "r_edges"):
            file.create_dataset(f"binning/{name}", data=getattr(summary.binning, name))
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
            geometry = parse_geometry(str(file.attrs["geometry"]), path)
            binning = Binning(
                str(file.attrs["anchor"]),
                *(file[f"binning/{name}"][()] for name in ("cell_width", "n_cells", "r_edges")),
                float(file.attrs["lateral_cell"]),
            )
            particles = Particles(*(file[f"particles/{name}"][()] for name in _PARTICLES))
            arrays = [file[name][()] for name in _ARRAYS]
            summary = Summary(str(file.attrs["geometry_digest"]), binning, particles, *arrays)
    except (OSError, KeyError) as error:
        raise InputError(f"{path}: cannot be read as a summary ({error}); summarise the sample again") from error
    return summary, geometry


def _write(file: h5py.File, name: str, data: np.ndarray) -> None:  # type: ignore[type-arg]
    if data.size:
        file.create_dataset(name, data=data, compression="gzip", compression_opts=4, shuffle=True)
    else:
        file.create_dataset(name, data=data)
