"""Hits -> voxels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastparam._numba import kernel, parallel_kernel, prange
from fastparam.geometry.frames import local_frames, to_local

if TYPE_CHECKING:
    from fastparam.geometry.detector import Geometry
    from fastparam.geometry.voxels import VoxelBinning
    from fastparam.hits.hits import Hits
    from fastparam.particles import Particles

__all__ = ["voxel_numbers", "voxelise", "voxelise_local"]

Floats = npt.NDArray[np.float64]


@kernel
def _voxel(d1: float, d2: float, row: int, first: Any, first_edge: Any, edges: Any, n_alpha: Any) -> int:
    """Return the number of the voxel of a hit in the binning's layer `row`; -1 beyond the last edge."""
    r = math.sqrt(d1 * d1 + d2 * d2)
    low, high = first_edge[row], first_edge[row + 1] - 1
    if r < edges[low] or r >= edges[high]:
        return -1
    n_r = high - low
    while high - low > 1:
        middle = (low + high) // 2
        if edges[middle] <= r:
            low = middle
        else:
            high = middle
    sector = 0
    if n_alpha[row] > 1:
        sector = int((math.atan2(d2, d1) + math.pi) / (2.0 * math.pi) * n_alpha[row])
        sector = min(sector, n_alpha[row] - 1)  # alpha = pi belongs to the last
    return int(first[row] + sector * n_r + low - first_edge[row])


@parallel_kernel
def _numbers(
    d1: Any, d2: Any, layer: Any, rows: Any, first: Any, first_edge: Any, edges: Any, n_alpha: Any, number: Any
) -> None:
    for h in prange(len(d1)):
        number[h] = -1
        if layer[h] >= 0 and rows[layer[h]] >= 0:
            number[h] = _voxel(d1[h], d2[h], rows[layer[h]], first, first_edge, edges, n_alpha)


@parallel_kernel
def _fill(number: Any, e: Any, offsets: Any, voxels: Any, lost: Any) -> None:
    for i in prange(len(offsets) - 1):
        for h in range(offsets[i], offsets[i + 1]):
            if number[h] >= 0:
                voxels[i, number[h]] += e[h]
            else:
                lost[i] += e[h]


def voxel_numbers(
    binning: VoxelBinning, rows: npt.NDArray[np.int64], layer: npt.NDArray[Any], d1: Floats, d2: Floats
) -> npt.NDArray[np.int64]:
    """Return the number of the voxel that each hit lies in, -1 for none.

    Parameters
    ----------
    binning : VoxelBinning
    rows : int64 array (L,)
        `VoxelBinning.rows_of_layers`.
    layer : int array (n_hits,)
        Index of the active layer, -1 for none.
    d1, d2 : float64 arrays (n_hits,)
        Distances in mm transverse to the line.
    """
    number = np.empty(len(d1), dtype=np.int64)
    first_edge = np.concatenate([[0], np.cumsum(binning.n_r + 1)]).astype(np.int64)
    n_alpha = np.array(binning.n_alpha, dtype=np.int64)
    _numbers(
        d1, d2, np.ascontiguousarray(layer, dtype=np.int64), rows, binning.first, first_edge, binning.flat_edges,
        n_alpha, number,
    )  # fmt: skip
    return number


def voxelise_local(
    binning: VoxelBinning, rows: npt.NDArray[np.int64], layer: npt.NDArray[Any], d1: Floats, d2: Floats, e: Floats,
    offsets: npt.NDArray[np.int64],
) -> tuple[Floats, Floats]:  # fmt: skip
    """Sum hits in the local frame into voxels; parameters as `voxel_numbers` and `Hits`, result as `voxelise`."""
    number = voxel_numbers(binning, rows, layer, d1, d2)
    voxels, lost = np.zeros((len(offsets) - 1, binning.n_voxels)), np.zeros(len(offsets) - 1)
    _fill(number, e, offsets, voxels, lost)
    return voxels, lost


def voxelise(geometry: Geometry, particles: Particles, hits: Hits, binning: VoxelBinning) -> tuple[Floats, Floats]:
    """Sum hits into voxels around each particle's line.

    Parameters
    ----------
    geometry : Geometry
    particles : Particles (n,)
    hits : Hits
        Of the same n showers, global frame.
    binning : VoxelBinning

    Returns
    -------
    voxels : float64 array (n, n_voxels)
        Visible energy in MeV.
    lost : float64 array (n,)
        Energy in MeV of hits that lie in no voxel: the two add up to that of all hits.

    Raises
    ------
    UsageError
        If the binning has layers that the detector lacks.
    """
    rows = binning.rows_of_layers(geometry)
    frames = local_frames(geometry, particles)
    local = to_local(frames, hits.shower, np.stack([hits.x, hits.y, hits.z], axis=1))
    d1, d2 = np.ascontiguousarray(local[:, 1]), np.ascontiguousarray(local[:, 2])
    return voxelise_local(binning, rows, hits.layer, d1, d2, hits.e, hits.offsets)
