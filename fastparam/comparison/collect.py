"""Collects the voxels of showers while they pass by, particle by particle and slice by slice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fastparam.comparison.points import Point, find_points
from fastparam.comparison.voxels import VoxelSample, concatenate_voxels
from fastparam.errors import UsageError
from fastparam.geometry.voxels import VoxelBinning, voxels_of
from fastparam.hits.voxelise import voxelise
from fastparam.particles import Particles

if TYPE_CHECKING:
    from fastparam.geometry.detector import Geometry
    from fastparam.hits.batches import Batch

__all__ = ["ReferenceVoxels", "VoxelCollector", "group_binnings", "voxels_of_batch"]

Floats = npt.NDArray[np.float64]


def group_binnings(geometry: Geometry, points: Sequence[Point]) -> dict[str, VoxelBinning]:
    """Return the voxels that a geometry has for each particle and slice; those for which it has none are left out."""
    found = {}
    for point in points:
        eta = None if point.slice is None else 0.5 * sum(point.slice)
        try:
            found[point.group] = voxels_of(geometry, pdg=point.pdg, eta=eta)
        except UsageError:
            continue
    return found


class VoxelCollector:
    """Keeps the voxels of showers that belong to a point.

    Parameters
    ----------
    points : sequence of Point
    binnings : dict of str to VoxelBinning
        Per particle and slice, `Point.group`.
    """

    def __init__(self, points: Sequence[Point], binnings: dict[str, VoxelBinning]) -> None:
        self._points = points
        self._binnings = binnings
        self._parts: dict[str, list[VoxelSample]] = {group: [] for group in binnings}

    def add(self, particles: Particles, voxels: Callable[[VoxelBinning], Floats]) -> None:
        """Take the showers of some particles; `voxels` returns those of all of them, shape (n, n_voxels)."""
        done: dict[VoxelBinning, Floats] = {}
        for group, binning in self._binnings.items():
            member = np.zeros(len(particles), dtype=bool)
            for point in self._points:
                if point.group == group:
                    member |= point.select(particles)
            if not member.any():
                continue
            if binning not in done:
                done[binning] = voxels(binning)
            rows = done[binning] if member.all() else done[binning][member]
            self._parts[group].append(
                VoxelSample.from_dense(rows, particles.energy[member], binning, particles.pdg[member])
            )

    def samples(self) -> dict[str, VoxelSample]:
        """Return what was collected per particle and slice."""
        return {group: concatenate_voxels(parts) for group, parts in self._parts.items() if parts}


class ReferenceVoxels:
    """Voxels of the reference, and collectors of the same points and voxels for candidates.

    Parameters
    ----------
    geometry : Geometry
    slices : sequence of (low, high), or None
        Ranges of eta that are compared apart.

    Attributes
    ----------
    samples : dict of str to VoxelSample
        Per particle and slice, `Point.group`; empty until the reference was read.
    """

    def __init__(self, geometry: Geometry, slices: Sequence[tuple[float, float]] | None) -> None:
        self._geometry, self._slices = geometry, slices
        self._points: tuple[Point, ...] = ()
        self._binnings: dict[str, VoxelBinning] = {}
        self.samples: dict[str, VoxelSample] = {}

    def start(self, particles: Particles) -> VoxelCollector:
        """Find the points of the reference and begin."""
        self._points, _ = find_points(particles, self._slices)
        self._binnings = group_binnings(self._geometry, self._points)
        return VoxelCollector(self._points, self._binnings)

    def collector(self) -> VoxelCollector | None:
        """Begin with a candidate; None without voxels of the reference."""
        return VoxelCollector(self._points, self._binnings) if self.samples else None


def voxels_of_batch(geometry: Geometry, batch: Batch, binning: VoxelBinning) -> Floats:
    """Return the voxels of a batch of hits, shape (n, n_voxels), in MeV."""
    return voxelise(geometry, batch.particles, batch.hits, binning)[0]
