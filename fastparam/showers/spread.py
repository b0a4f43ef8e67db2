"""Voxels -> hits: the energy of every voxel is put at points inside it.

A voxel becomes hits of equal energy, as many as it takes that none holds more than `FINEST` of the shower; weak voxels
become one hit. A hit lies anywhere in the voxel's range of alpha. Its radius follows either the voxel's area, or a
radial shape: a voxel far out spans a wide range of r, in which showers fall steeply. Its depth is even in the layer, or
follows the shape of showers of its energy in it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastparam._numba import kernel, parallel_kernel, prange
from fastparam.errors import UsageError
from fastparam.random import stream, uniform
from fastparam.showers.local import hits_in_layers

if TYPE_CHECKING:
    from fastparam.geometry.detector import Geometry
    from fastparam.geometry.voxels import VoxelBinning
    from fastparam.hits.hits import Hits
    from fastparam.particles import Particles

__all__ = ["FINEST", "DepthShape", "RadialShape", "radial_quantiles", "spread"]

Floats = npt.NDArray[np.float64]

#: None: by area. An array (K,) of slopes in 1/mm, one per layer of the binning: energy per area falls as
#: exp(-slope r). A function of (layer id, radii in mm): energy per area, in any unit.
RadialShape: TypeAlias = Callable[[int, Floats], Floats] | Floats | None


@dataclass(frozen=True)
class DepthShape:
    """How energy is distributed over the depth of layers.

    Attributes
    ----------
    ln_e : float64 array (P,)
        ln of kinetic energies in MeV, growing.
    cumulative : float64 array (P, K, parts + 1)
        Shares of the energy, from 0 to 1, up to equidistant depths between where the line enters a layer of the binning
        and where it leaves it; linear in ln E between energies, those of the nearest energy outside.
    """

    ln_e: Floats
    cumulative: Floats


#: Largest share of a shower's visible energy that one hit gets.
FINEST = 1e-3

#: Equal parts of a ring's energy between which the radius is interpolated (linearly in r**2), and the finer parts of
#: its area from which these are found.
_PARTS, _FINE = 16, 128

#: Names the stream of random numbers.
_PURPOSE = 0x5E1

#: Hits keep this share of the voxel away from its borders, so that rounding does not move them into the next.
_RIM = 1e-9


def radial_quantiles(binning: VoxelBinning, radial: RadialShape) -> Floats:
    """Return squared radii in mm2 that divide the energy of each ring into equal parts, shape (n_rings, parts + 1).

    Rings are counted layer by layer.

    Raises
    ------
    UsageError
        If a shape is negative, not finite, or has no energy in a ring.
    """
    rows = []
    for k, (layer, edges) in enumerate(zip(binning.layer_ids, binning.r_edges, strict=True)):
        for low, high in pairwise(edges):
            if radial is None:
                rows.append(np.linspace(low**2, high**2, _PARTS + 1))
                continue
            # Parts of equal area; the density in the middle of each is its energy.
            squares = np.linspace(low**2, high**2, _FINE + 1)
            middle = np.sqrt(0.5 * (squares[:-1] + squares[1:]))
            if callable(radial):
                density = np.asarray(radial(layer, middle), dtype=np.float64)
            else:
                density = np.exp(-float(radial[k]) * (middle - low))
            if (
                density.shape != middle.shape
                or not np.isfinite(density).all()
                or density.min() < 0
                or not density.any()
            ):
                raise UsageError(
                    f"radial shape: in layer {layer} between {low:g} and {high:g} mm found {density.ravel()[:3]}...;"
                    " expected finite energies per area, not negative, one per radius"
                )
            cumulative = np.concatenate([[0.0], np.cumsum(density)])
            rows.append(np.interp(np.linspace(0, cumulative[-1], _PARTS + 1), cumulative, squares))
    return np.array(rows)


@lru_cache(maxsize=16)
def _known(binning: VoxelBinning, radial: Callable[[int, Floats], Floats] | None) -> Floats:
    """Quantiles of a binning and shape that come again with every batch."""
    return radial_quantiles(binning, radial)


def _even(n_layers: int) -> DepthShape:
    return DepthShape(np.zeros(1), np.tile(np.array([0.0, 1.0]), (1, n_layers, 1)))


@parallel_kernel
def _count(voxels: Any, finest: float, counts: Any) -> None:
    for i in prange(len(voxels)):
        total = 0.0
        for v in range(voxels.shape[1]):
            total += voxels[i, v]
        for v in range(voxels.shape[1]):
            if voxels[i, v] > 0.0:
                counts[i] += np.int64(np.ceil(voxels[i, v] / (finest * total)))


@kernel
def _depth(u: float, one: Any, two: Any, weight: float, row: int) -> Any:
    """Return where in a layer's depth a share u of its energy lies, between two energies."""
    low, parts = 0.0, one.shape[1] - 1
    for k in range(parts):
        high = (1.0 - weight) * one[row, k + 1] + weight * two[row, k + 1]
        if u < high:
            return (k + (u - low) / (high - low)) / parts
        low = high
    return 1.0


@parallel_kernel
def _fill(
    voxels: Any, finest: float, offsets: Any, index: Any, seed: Any, layer_of: Any, ring_of: Any, sector: Any,
    n_alpha: Any, quantiles: Any, row_of: Any, below: Any, weight: Any, depths: Any, layer: Any, d1: Any, d2: Any,
    share: Any, e: Any,
) -> None:  # fmt: skip
    parts = quantiles.shape[1] - 1
    for i in prange(len(voxels)):
        state = stream(seed, index[i], _PURPOSE)
        total = 0.0
        for v in range(voxels.shape[1]):
            total += voxels[i, v]
        h, low_e = offsets[i], below[i]
        high_e = min(low_e + 1, len(depths) - 1)
        for v in range(voxels.shape[1]):
            if not voxels[i, v] > 0.0:
                continue
            n = np.int64(np.ceil(voxels[i, v] / (finest * total)))
            for _ in range(n):
                q = _RIM + (1.0 - 2.0 * _RIM) * uniform(state)
                part = min(np.int64(q * parts), parts - 1)
                low, high = quantiles[ring_of[v], part], quantiles[ring_of[v], part + 1]
                r = np.sqrt(low + (q * parts - part) * (high - low))
                turn = _RIM + (1.0 - 2.0 * _RIM) * uniform(state)
                alpha = -np.pi + (sector[v] + turn) * 2.0 * np.pi / n_alpha[v]
                layer[h] = layer_of[v]
                d1[h], d2[h] = r * np.cos(alpha), r * np.sin(alpha)
                share[h] = _depth(uniform(state), depths[low_e], depths[high_e], weight[i], row_of[v])
                e[h] = voxels[i, v] / n
                h += 1


def spread(
    geometry: Geometry,
    particles: Particles,
    voxels: Floats,
    binning: VoxelBinning,
    *,
    seed: int = 1,
    radial: RadialShape = None,
    depth: DepthShape | None = None,
) -> Hits:
    """Turn voxels into hits of the same energy, in the global frame.

    Parameters
    ----------
    geometry : Geometry
    particles : Particles (n,)
    voxels : float64 array (n, n_voxels)
        Visible energy in MeV, not negative.
    binning : VoxelBinning
    seed : int
        Of the random numbers; a shower's hits depend on it and on `Particles.index` only.
    radial : None, float64 array (K,) or function
        How energy falls with r inside a voxel: `RadialShape`.
    depth : DepthShape, optional
        How energy is distributed over the depth of each layer of the binning; default: evenly.

    Returns
    -------
    Hits
        Of the same n showers; every hit lies in its voxel and in its layer.
    """
    rows = binning.rows_of_layers(geometry)
    place = np.full(len(binning.layer_ids), -1, dtype=np.int64)
    place[rows[rows >= 0]] = np.flatnonzero(rows >= 0)
    first_ring = np.concatenate([[0], np.cumsum(binning.n_r)])
    counts = np.zeros(len(voxels), dtype=np.int64)
    _count(voxels, FINEST, counts)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    n = int(offsets[-1])
    quantiles = radial_quantiles(binning, radial) if isinstance(radial, np.ndarray) else _known(binning, radial)
    depth = _even(len(binning.layer_ids)) if depth is None else depth
    place_e = np.interp(np.log(particles.energy), depth.ln_e, np.arange(len(depth.ln_e)))
    below = np.floor(place_e).astype(np.int64)
    layer = np.empty(n, dtype=np.int32)
    d1, d2, share, e = (np.empty(n) for _ in range(4))
    _fill(
        voxels, FINEST, offsets, particles.index, seed, place[binning.layer], first_ring[binning.layer] + binning.ring,
        binning.sector, np.array(binning.n_alpha, dtype=np.int64)[binning.layer],
        quantiles, binning.layer, below, place_e - below, depth.cumulative, layer, d1, d2, share, e,
    )  # fmt: skip
    return hits_in_layers(geometry, particles, offsets, layer, d1, d2, share, e)
