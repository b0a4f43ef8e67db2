"""The HDF5 layout of the CaloChallenge: ``incident_energies`` (N, 1) and ``showers`` (N, n_voxels) in MeV.

Voxels are in the order of `VoxelBinning`. Beside them we write what the challenge leaves out: ``pdg`` (N, 1), ``eta``
and ``phi`` (N, 1; in barrels), ``position`` and ``direction`` (N, 3), and as attributes the binning, the geometry and
the provenance. Cells take the same layout, with the cells around the impact in place of voxels.

Source: https://github.com/CaloChallenge/homepage.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import numpy.typing as npt

from fastparam.errors import InputError
from fastparam.files import atomic_output
from fastparam.geometry.load import dump_geometry
from fastparam.geometry.voxels import VoxelBinning
from fastparam.showers.voxelfile import VoxelFile
from fastparam.showers.writer import Writer

if TYPE_CHECKING:
    from fastparam.geometry.cells import CellGrid
    from fastparam.geometry.detector import Geometry
    from fastparam.showers.showers import Showers

__all__ = ["CaloChallengeWriter", "is_calochallenge", "read_calochallenge"]

#: Bytes of one compressed chunk before compression, about: what a reader decompresses at once.
_CHUNK = 1 << 20


class CaloChallengeWriter(Writer):
    """Write showers to an HDF5 file, chunk by chunk.

    Parameters
    ----------
    path : Path
    geometry : Geometry
    form : VoxelBinning or CellGrid
        What is written: voxels, or the cells around each impact.
    provenance : dict
        Stored as JSON in the attribute ``provenance``.
    """

    def __init__(
        self, path: Path, geometry: Geometry, form: VoxelBinning | CellGrid, *, provenance: Mapping[str, Any]
    ) -> None:
        self._form = form
        self._width = form.n_voxels if isinstance(form, VoxelBinning) else form.n_image
        with ExitStack() as stack:
            partial = stack.enter_context(atomic_output(path))
            self._file = stack.enter_context(h5py.File(partial, "w", libver=("v108", "v108")))
            rows = max(1, min(1024, _CHUNK // (4 * max(self._width, 1))))
            self._columns = {"incident_energies": (1, "f8"), "pdg": (1, "i4"), "position": (3, "f8")}
            self._columns |= {"direction": (3, "f8")}
            if geometry.frame == "barrel":
                self._columns |= {"eta": (1, "f8"), "phi": (1, "f8")}
            for name, (width, kind) in (self._columns | {"showers": (self._width, "f4")}).items():
                self._file.create_dataset(
                    name, (0, width), kind, maxshape=(None, width), chunks=(rows, max(width, 1)), compression="gzip",
                    compression_opts=4, shuffle=True,
                )  # fmt: skip
            kind = "binning" if isinstance(form, VoxelBinning) else "cells"
            for name, text in (
                (kind, json.dumps(form.to_json())),
                ("geometry", dump_geometry(geometry)),
                ("provenance", json.dumps(dict(provenance), sort_keys=True)),
            ):
                # As a data set of fixed length: attributes end at 64 kB.
                self._file.create_dataset(name, data=np.bytes_(text.encode()))
            self._file.attrs["fastparam"] = np.bytes_(b"showers")
            self._open = stack.pop_all()

    def write(self, showers: Showers) -> None:
        """Append showers."""
        if isinstance(self._form, VoxelBinning):
            energies = showers.voxels(self._form)
        else:
            energies, _ = showers.cell_images(self._form)
        particles = showers.particles
        values: dict[str, Any] = {
            "showers": energies,
            "incident_energies": particles.energy,
            "pdg": particles.pdg,
            "position": particles.position,
            "direction": particles.direction,
            "eta": particles.eta,
            "phi": particles.phi,
        }
        for name in (*self._columns, "showers"):
            column = self._file[name]
            first = len(column)
            column.resize(first + len(showers), axis=0)
            column[first:] = np.asarray(values[name]).reshape(len(showers), column.shape[1])


def is_calochallenge(path: Path) -> bool:
    """Whether a file is HDF5 and has the two data sets of the layout."""
    try:
        with h5py.File(path, "r") as file:
            return "incident_energies" in file and "showers" in file
    except (OSError, RuntimeError, KeyError, ValueError):  # what damage has raised; opening it as a tune will say so
        return False


def read_calochallenge(path: Path, *, particles_only: bool = False) -> VoxelFile:
    """Open a file of the layout.

    Parameters
    ----------
    path : Path
    particles_only : bool
        Take files of cells, too: nothing but their particles is wanted.

    Raises
    ------
    InputError
        If the file is missing, broken, or of another layout; what it returns raises the same for damaged rows.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with h5py.File(path, "r") as file:
            for name in ("incident_energies", "showers"):
                if not isinstance(file.get(name), h5py.Dataset):
                    raise InputError(
                        f"{path}: has no data set '{name}'; expected incident_energies (N, 1) and showers (N, voxels),"
                        " as the CaloChallenge has them"
                    )
            shape, chunk = file["showers"].shape, (file["showers"].chunks or (1,))[0]
            energy = np.asarray(file["incident_energies"][()], dtype=np.float64).reshape(-1)
            if len(shape) != 2 or len(energy) != shape[0]:
                raise InputError(
                    f"{path}: showers have shape {shape} and there are {len(energy)} incident energies; expected"
                    " (N, voxels) and N"
                )
            columns = {
                name: np.asarray(file[name][()]).reshape((shape[0], width) if width > 1 else (shape[0],))
                for name, width in (("pdg", 1), ("eta", 1), ("phi", 1), ("position", 3), ("direction", 3))
                if name in file
            }
            texts = {name: _text(file, name) for name in ("binning", "geometry", "provenance", "cells")}
    except (OSError, ValueError, TypeError, RuntimeError, KeyError) as error:
        raise InputError(f"{path}: cannot be read as HDF5 ({error}); copy it again") from error
    if texts["cells"] and not particles_only:
        raise InputError(f"{path}: holds cells around the impact, not voxels; expected a file written with --as voxels")
    if not (np.isfinite(energy) & (energy > 0)).all():
        row = int(np.flatnonzero(~(np.isfinite(energy) & (energy > 0)))[0])
        raise InputError(f"{path}: incident energy of shower {row} is {energy[row]:g} MeV; expected a positive number")

    def rows(start: int, stop: int) -> npt.NDArray[Any]:
        try:
            with h5py.File(path, "r") as opened:
                voxels = np.asarray(opened["showers"][start:stop])
                return voxels if voxels.dtype == np.float32 else voxels.astype(np.float64)
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            raise InputError(f"{path}: rows {start} to {stop - 1} cannot be read ({error}); copy it again") from error

    binning = texts["binning"]
    return VoxelFile(
        path, energy, int(shape[1]), rows, columns,
        VoxelBinning.from_json(json.loads(binning)) if binning else None,
        texts["geometry"] or None,
        json.loads(texts["provenance"]) if texts["provenance"] else {},
        chunk, ("order of the CaloChallenge by definition: alpha outside, r inside",),
    )  # fmt: skip


def _text(file: h5py.File, name: str) -> str:
    value = file[name][()] if name in file else b""
    return value.decode() if isinstance(value, bytes) else ""
