"""Files of voxels, whatever their format, as one type that reads rows on demand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastparam.errors import InputError
from fastparam.geometry.voxels import VoxelBinning

__all__ = ["VoxelFile", "check_voxels"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class VoxelFile:
    """Showers of a file as voxels.

    Attributes
    ----------
    path : Path
    energy : float64 array (n,)
        Of the particles in MeV: kinetic, as far as the file says.
    n_voxels : int
    rows : function of (start, stop)
        Returns voxels of the rows start to stop - 1 as they are stored, float32 or float64 (stop - start, n_voxels).
    columns : dict of str to array
        What else is known of each particle: ``pdg`` (n,), ``eta`` (n,), ``phi`` (n,), ``position`` (n, 3) in mm,
        ``direction`` (n, 3).
    binning : VoxelBinning, optional
        Where the file, or one beside it, holds it.
    geometry : str, optional
        Text of the geometry.yaml, where the file holds it.
    provenance : dict
    chunk : int
        Rows that are stored together: whoever reads multiples of it unpacks nothing twice.
    notes : tuple of str
        What was found out about the file.
    """

    path: Path
    energy: Floats
    n_voxels: int
    rows: Callable[[int, int], npt.NDArray[Any]]
    columns: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    binning: VoxelBinning | None = None
    geometry: str | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    chunk: int = 1
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of showers."""
        return len(self.energy)

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Return `rows` after refusing what is no energy of a voxel.

        Raises
        ------
        InputError
            Naming the first row with a voxel that is negative or no finite number.
        """
        return check_voxels(self.path, self.rows(start, stop), start)

    def check_binning(self, binning: VoxelBinning) -> None:
        """Raise `InputError` if the file has another number of voxels than a binning."""
        if self.n_voxels != binning.n_voxels:
            raise InputError(
                f"{self.path}: has {self.n_voxels} voxels per shower, the binning has {binning.n_voxels};"
                " expected the binning that the file was written with"
            )


def check_voxels(path: Path, voxels: npt.NDArray[Any], first: int) -> npt.NDArray[Any]:
    """Return voxels after refusing values that are negative or no finite numbers; `first` is the row of the first.

    Raises
    ------
    InputError
        Naming the row.
    """
    bad = ~(np.isfinite(voxels).all(axis=1) & (voxels >= 0.0).all(axis=1))
    if bad.any():
        raise InputError(
            f"{path}: shower {first + int(np.flatnonzero(bad)[0])} has a voxel whose energy is negative or no number;"
            " expected energies in MeV from 0 up"
        )
    return voxels
