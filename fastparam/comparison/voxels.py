"""Showers cut into voxels, as every voxel metric sees them: full simulation, candidates and training sample alike.

Most voxels of a shower are empty (80 to 95 % in fine binnings), so only those with energy are kept: 100 000 showers
of 6480 voxels need well below a gigabyte, and every metric is one pass over what is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastparam._numba import kernel
from fastparam.errors import UsageError
from fastparam.geometry.voxels import VoxelBinning

__all__ = ["VoxelBuilder", "VoxelSample", "concatenate_voxels"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class VoxelSample:
    """n showers in voxels; shower i owns entries ``offsets[i]:offsets[i + 1]`` of `number` and `value`.

    Attributes
    ----------
    binning : VoxelBinning
    energy : float64 array (n,)
        Incident energy in MeV, as the sample states it.
    offsets : int64 array (n + 1,)
    number : uint16 or int32 array (n_entries,)
        Number of the voxel in the order of `VoxelBinning`, ascending within a shower.
    value : float32 or float64 array (n_entries,)
        Energy in MeV; positive.
    pdg : int32 array (n,), optional
        Particle codes where they are known.
    """

    binning: VoxelBinning
    energy: Floats
    offsets: npt.NDArray[np.int64]
    number: npt.NDArray[Any]
    value: npt.NDArray[Any]
    pdg: npt.NDArray[np.int32] | None = None

    def __len__(self) -> int:
        """Return the number of showers."""
        return len(self.energy)

    @classmethod
    def from_dense(
        cls,
        voxels: npt.NDArray[Any],
        energy: npt.NDArray[Any],
        binning: VoxelBinning,
        pdg: npt.NDArray[Any] | None = None,
    ) -> VoxelSample:
        """Keep the positive voxels of a matrix (n, n_voxels); those that are negative or NaN count as empty.

        Raises
        ------
        UsageError
            If the shapes do not belong together.
        """
        if voxels.ndim != 2 or voxels.shape[1] != binning.n_voxels or len(voxels) != len(energy):
            raise UsageError(
                f"voxels of shape {voxels.shape} for {len(energy)} energies; expected"
                f" ({len(energy)}, {binning.n_voxels}), the number of voxels of the binning"
            )
        dense: npt.NDArray[Any] = np.ascontiguousarray(
            voxels, dtype=np.float32 if voxels.dtype == np.float32 else np.float64
        )
        counts = np.count_nonzero(dense > 0.0, axis=1)
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        number = np.empty(offsets[-1], dtype=np.uint16 if binning.n_voxels < 2**16 else np.int32)
        value = np.empty(offsets[-1], dtype=dense.dtype)
        _gather(dense, offsets, number, value)
        return cls(
            binning,
            np.asarray(energy, dtype=np.float64).reshape(-1),
            offsets,
            number,
            value,
            None if pdg is None else np.asarray(pdg, dtype=np.int32),
        )

    def dense(self, rows: slice | npt.NDArray[Any] | None = None) -> npt.NDArray[Any]:
        """Return the matrix (n, n_voxels) of all or some showers, in the precision they are kept in."""
        positions = np.arange(len(self), dtype=np.int64)[slice(None) if rows is None else rows]
        voxels = np.zeros((len(positions), self.binning.n_voxels), dtype=self.value.dtype)
        _scatter(self.offsets, self.number, self.value, positions, voxels)
        return voxels

    def take(self, rows: Any) -> VoxelSample:
        """Return the showers of a mask, slice or list of positions, in that order."""
        positions = np.arange(len(self))[rows]
        if len(positions) == len(self) and (np.diff(positions) == 1).all():
            return self  # gigabytes need not be copied
        counts = np.diff(self.offsets)[positions]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        number = np.empty(offsets[-1], dtype=self.number.dtype)
        value = np.empty(offsets[-1], dtype=self.value.dtype)
        _copy(self.offsets, self.number, self.value, positions, offsets, number, value)
        pdg = None if self.pdg is None else self.pdg[positions]
        return VoxelSample(self.binning, self.energy[positions], offsets, number, value, pdg)

    def scaled(self, factor: float) -> VoxelSample:
        """Return the same showers with all voxel energies multiplied."""
        value = (self.value * factor).astype(self.value.dtype)
        return VoxelSample(self.binning, self.energy, self.offsets, self.number, value, self.pdg)

    @property
    def shower(self) -> npt.NDArray[np.int64]:
        """Shower of every entry, shape (n_entries,)."""
        return np.repeat(np.arange(len(self), dtype=np.int64), np.diff(self.offsets))

    @property
    def visible(self) -> Floats:
        """Energy of all voxels of each shower in MeV, shape (n,)."""
        total = np.zeros(len(self))
        _sum(self.offsets, self.value, total)
        return total

    def per_voxel(self) -> Floats:
        """Return the energy of all showers in each voxel in MeV, shape (n_voxels,)."""
        total = np.zeros(self.binning.n_voxels)
        _sum_voxels(self.number, self.value, total)
        return total


class VoxelBuilder:
    """Joins blocks of showers to one sample, in single precision, without holding any of them twice.

    Parameters
    ----------
    binning : VoxelBinning
    """

    def __init__(self, binning: VoxelBinning) -> None:
        self._binning = binning
        self._energy: list[Floats] = []
        self._counts: list[npt.NDArray[np.int64]] = []
        self._number = np.empty(0, dtype=np.uint16 if binning.n_voxels < 2**16 else np.int32)
        self._value = np.empty(0, dtype=np.float32)

    def add(self, voxels: npt.NDArray[Any], energy: npt.NDArray[Any]) -> None:
        """Append the showers of a matrix (n, n_voxels), as `VoxelSample.from_dense` takes them."""
        part = VoxelSample.from_dense(np.asarray(voxels, dtype=np.float32), energy, self._binning)
        start = len(self._value)
        for whole, new in ((self._number, part.number), (self._value, part.value)):
            # The memory grows where it is: nothing else refers to it yet.
            whole.resize(start + len(new), refcheck=False)
            whole[start:] = new
        self._energy.append(part.energy)
        self._counts.append(np.diff(part.offsets))

    def finish(self) -> VoxelSample:
        """Return the sample; the builder is of no use afterwards."""
        counts = np.concatenate([np.zeros(1, dtype=np.int64), *self._counts])
        energy = np.concatenate([np.empty(0), *self._energy])
        return VoxelSample(self._binning, energy, np.cumsum(counts).astype(np.int64), self._number, self._value)


def concatenate_voxels(parts: Sequence[VoxelSample]) -> VoxelSample:
    """Join samples of one binning, at least one."""
    lengths = [int(part.offsets[-1]) for part in parts]
    starts = np.concatenate([[0], np.cumsum(lengths)])[:-1]
    offsets = np.concatenate([[0], *(part.offsets[1:] + start for part, start in zip(parts, starts, strict=True))])
    known = [part.pdg for part in parts if part.pdg is not None]
    return VoxelSample(
        parts[0].binning,
        np.concatenate([part.energy for part in parts]),
        offsets.astype(np.int64),
        np.concatenate([part.number for part in parts]),
        np.concatenate([part.value for part in parts]),
        np.concatenate(known) if len(known) == len(parts) else None,
    )


@kernel
def _gather(dense: Any, offsets: Any, number: Any, value: Any) -> None:
    for i in range(len(offsets) - 1):
        k = offsets[i]
        for v in range(dense.shape[1]):
            if dense[i, v] > 0:
                number[k] = v
                value[k] = dense[i, v]
                k += 1


@kernel
def _sum(offsets: Any, value: Any, total: Any) -> None:
    for i in range(len(total)):
        for k in range(offsets[i], offsets[i + 1]):
            total[i] += value[k]


@kernel
def _sum_voxels(number: Any, value: Any, total: Any) -> None:
    for k in range(len(number)):
        total[number[k]] += value[k]


@kernel
def _copy(
    offsets: Any, number: Any, value: Any, positions: Any, new_offsets: Any, new_number: Any, new_value: Any
) -> None:
    for i in range(len(positions)):
        k = new_offsets[i]
        for j in range(offsets[positions[i]], offsets[positions[i] + 1]):
            new_number[k] = number[j]
            new_value[k] = value[j]
            k += 1


@kernel
def _scatter(offsets: Any, number: Any, value: Any, positions: Any, voxels: Any) -> None:
    for i in range(len(positions)):
        for k in range(offsets[positions[i]], offsets[positions[i] + 1]):
            voxels[i, number[k]] = value[k]
