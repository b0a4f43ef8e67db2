"""From spots in the frame of their shower to hits in the detector.

A spot lies at path length s along its particle's line and at (d1, d2) across it, as `fastparam.geometry.frames` has
them. Two rules say what the detector sees of it:

* `at_rest`: where it lies, if that is active (what a sensitive volume in a full simulation sees);
* `collected`: what is deposited in a layer's period is seen by the layer. The spot is moved along the line's direction
  into the active plate, to the depth that divides the plate as the spot's depth in X0 divides the period.

Spots outside all of that are lost.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fastparam._numba import kernel, parallel_kernel, prange
from fastparam.geometry.detector import Geometry
from fastparam.hits.hits import Hits
from fastparam.shapes.lines import last_layer1, path_to1

__all__ = ["Spots", "no_hits", "place"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Spots:
    """Energy spots of n showers in their local frames.

    Attributes
    ----------
    s, d1, d2 : float64 arrays (n_spots,)
        Path length along the line from the particle's start, and distances across it, in mm.
    e : float64 array (n_spots,)
        Energy in MeV.
    offsets : int64 array (n + 1,)
        Shower i owns the spots ``offsets[i]:offsets[i + 1]``.
    """

    s: Floats
    d1: Floats
    d2: Floats
    e: Floats
    offsets: npt.NDArray[np.int64]

    @classmethod
    def empty(cls, numbers: npt.NDArray[np.int64]) -> Spots:
        """Return room for the given numbers of spots."""
        offsets = np.concatenate([[0], np.cumsum(numbers)]).astype(np.int64)
        s, d1, d2, e = (np.empty(offsets[-1]) for _ in range(4))
        return cls(s, d1, d2, e, offsets)


@kernel
def _depth(c: float, slab_from: Floats, slab_to: Floats, slab_x0: Floats, x_from: Floats) -> Any:
    """Depth in X0 of the coordinate c (z or radius) along the normal; x_from holds it at slab_from."""
    low, high = 0, len(slab_from)
    while high - low > 1:
        middle = (low + high) // 2
        if slab_from[middle] <= c:
            low = middle
        else:
            high = middle
    return x_from[low] + max(0.0, min(c, slab_to[low]) - slab_from[low]) / slab_x0[low]


@parallel_kernel
def _place(
    offsets: Any, origin: Any, u: Any, e1: Any, e2: Any, barrel: Any, collect: Any, visible: Any,
    slab_from: Any, slab_to: Any, slab_x0: Any, x_from: Any, layer_from: Any, layer_to: Any,
    period_from: Any, period_to: Any, x: Any, y: Any, z: Any, e: Any, layer: Any,
) -> None:  # fmt: skip
    """Replace s, d1, d2 in x, y, z by global positions, and set the layers; -1 where nothing is seen."""
    for i in prange(len(offsets) - 1):
        ux, uy, uz = u[i, 0], u[i, 1], u[i, 2]
        for h in range(offsets[i], offsets[i + 1]):
            s, d1, d2 = x[h], y[h], z[h]
            px = origin[i, 0] + s * ux + d1 * e1[i, 0] + d2 * e2[i, 0]
            py = origin[i, 1] + s * uy + d1 * e1[i, 1] + d2 * e2[i, 1]
            pz = origin[i, 2] + s * uz + d1 * e1[i, 2] + d2 * e2[i, 2]
            c = math.sqrt(px * px + py * py) if barrel else pz
            m = last_layer1(c, period_from)
            seen = period_from[m] <= c <= period_to[m] if collect else layer_from[m] <= c <= layer_to[m]
            if seen and collect and (period_from[m] != layer_from[m] or period_to[m] != layer_to[m]):
                front = _depth(period_from[m], slab_from, slab_to, slab_x0, x_from)
                back = _depth(period_to[m], slab_from, slab_to, slab_x0, x_from)
                share = (_depth(c, slab_from, slab_to, slab_x0, x_from) - front) / (back - front)
                target = layer_from[m] + share * (layer_to[m] - layer_from[m])
                step = path_to1(barrel, px, py, pz, ux, uy, uz, target)
                if math.isnan(step):  # so far aside that its direction misses the plate: towards the axis
                    px *= target / c
                    py *= target / c
                else:
                    px += step * ux
                    py += step * uy
                    pz += step * uz
            x[h], y[h], z[h] = px, py, pz
            e[h] *= visible[m]
            layer[h] = m if seen else -1


def no_hits() -> Hits:
    """Return the hits of no showers."""
    none = np.empty(0)
    return Hits(none, none, none, none, np.empty(0, dtype=np.int32), np.zeros(1, dtype=np.int64))


def place(
    geometry: Geometry,
    spots: Spots,
    lines: tuple[Floats, Floats, Floats, Floats],
    rule: Literal["at_rest", "collected"],
    visible: Floats,
) -> Hits:
    """Turn spots into hits.

    Parameters
    ----------
    geometry : Geometry
    spots : Spots
        Of n showers; its arrays are used up.
    lines : tuple of four float64 arrays (n, 3)
        Start of each line in mm, its direction, and the two axes across it.
    rule : {"at_rest", "collected"}
        See the module.
    visible : float64 array (L,)
        Factor on the energy of spots seen by each layer.

    Returns
    -------
    Hits
        Of the same n showers: spots with energy that are seen.
    """
    thickness = (geometry.slab_to - geometry.slab_from) / geometry.slab_x0
    layer = np.empty(len(spots.s), dtype=np.int32)
    origin, u, e1, e2 = (np.ascontiguousarray(v) for v in lines)
    _place(
        spots.offsets, origin, u, e1, e2, geometry.frame == "barrel", rule == "collected",
        visible, geometry.slab_from, geometry.slab_to, geometry.slab_x0, np.cumsum(thickness) - thickness,
        geometry.layer_from, geometry.layer_to, geometry.period_from, geometry.period_to,
        spots.s, spots.d1, spots.d2, spots.e, layer,
    )  # fmt: skip
    kept = np.flatnonzero((layer >= 0) & (spots.e > 0))
    return Hits(
        spots.s[kept],
        spots.d1[kept],
        spots.d2[kept],
        spots.e[kept],
        layer[kept],
        np.searchsorted(kept, spots.offsets).astype(np.int64),
    )
