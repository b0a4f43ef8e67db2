"""How energy falls with r inside a voxel, as the tuned showers have it: what turns voxels into hits.

A voxel far out spans a range of r in which showers fall by a factor of ten; even over its area, its energy would lie
too far out. Each ring of a binning is cut into parts of equal width, and the share of the ring's energy in each of them
is kept: a small table per tune, of all energies together, because the slope within a ring hardly depends on them.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from fastparam.fit.tables import Tables
from fastparam.geometry.voxels import VoxelBinning
from fastparam.summary.deposits import Deposits

__all__ = ["fit", "shape"]

Floats = npt.NDArray[np.float64]

#: Parts of a ring, and the number of deposits with which an even spread over the area weighs as much as they do.
_PARTS, _EVEN = 8, 20.0


def fit(deposits: Deposits, binning: VoxelBinning, rows: npt.NDArray[np.int64]) -> Tables:
    """Sum deposits ring by ring.

    Parameters
    ----------
    deposits : Deposits
    binning : VoxelBinning
    rows : int64 array (L,)
        `VoxelBinning.rows_of_layers`.

    Returns
    -------
    Tables
        ``share`` (rings, parts), float16; each row sums to 1, rings are counted layer by layer.
    """
    r = np.hypot(deposits.d1.astype(np.float64), deposits.d2.astype(np.float64))
    row = rows[deposits.layer]
    shares = []
    for k, edges in enumerate(binning.r_edges):
        fine = _fine(edges)
        own = row == k
        energy = np.histogram(r[own], bins=fine, weights=deposits.e[own])[0].reshape(-1, _PARTS)
        number = np.histogram(r[own], bins=fine)[0].reshape(-1, _PARTS).sum(axis=1, keepdims=True)
        area = np.diff(fine**2).reshape(-1, _PARTS)
        total = energy.sum(axis=1, keepdims=True)
        seen = energy / np.where(total > 0, total, 1.0)
        weight = np.where(total > 0, number / (number + _EVEN), 0.0)
        shares.append(weight * seen + (1.0 - weight) * area / area.sum(axis=1, keepdims=True))
    return Tables({"share": np.concatenate(shares).astype(np.float16)})


def shape(tables: Tables, binning: VoxelBinning) -> Callable[[int, Floats], Floats]:
    """Return energy per area as a function of (layer id, radii in mm), as `showers.spread` takes it."""
    share = tables["share"].astype(np.float64)
    first = np.concatenate([[0], np.cumsum(binning.n_r)])
    position = {layer: k for k, layer in enumerate(binning.layer_ids)}

    def density(layer: int, r: Floats) -> Floats:
        k = position[layer]
        fine = _fine(binning.r_edges[k])
        part = np.clip(np.searchsorted(fine, r, side="right") - 1, 0, len(fine) - 2)
        # Relative within a ring; rings are never compared with each other.
        return np.asarray((share[first[k] : first[k + 1]].ravel() / np.diff(fine**2))[part])

    return density


def _fine(edges: tuple[float, ...]) -> Floats:
    """Return radii that cut each ring into parts of equal width."""
    inner = [np.linspace(a, b, _PARTS, endpoint=False) for a, b in pairwise(edges)]
    return np.concatenate([*inner, edges[-1:]])
