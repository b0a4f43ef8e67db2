"""From hits in the frame of their ring to hits in a detector, as a kernel: what all ring recipes end with."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastparam._numba import kernel
from fastparam.shapes.lines import axes1, place_hits1, place_in_planes1
from fastparam.shapes.tilt import LANES, turn_and_tilt1

__all__ = ["place_rings1"]


@kernel
def place_rings1(
    k: int, ring: Any, first: Any, slot: Any, amount: Any, d1: Any, d2: Any, kind: Any, r: Any, c: Any, s: Any, w: Any,
    share: Any, first_ring: Any, section_layer: Any, single: Any, surfaces: Any, barrel: bool, position: Any, u: Any,
    across: Any, tilts: Any, turns: Any, doubles: Any, ints: Any, x: Any, y: Any, z: Any, e: Any, layer: Any,
) -> None:  # fmt: skip
    """Turn and tilt k rings to their dipoles, scale them to their energies, and place their n hits.

    Parameters
    ----------
    ring : int array (k,)
        Their numbers, growing.
    first, slot : int arrays (k + 1,), (n,)
        First hit of each, and which of them a hit belongs to, 0 to k - 1.
    amount : float array (k,)
        Energies in MeV.
    d1, d2, kind
        See `shapes.tilt.turn_and_tilt1`.
    r, c, s, w : float32 arrays (n,)
        Radii of hits in mm, cos and sin of alpha, energies in any unit (changed).
    share : float32 array (n,)
        Where in the layer, from 0 to 1.
    first_ring, section_layer : int arrays (S + 1,), (S,)
        First ring of each section, and its layer.
    single, surfaces : arrays (L,), (L, 2)
        Layers without depth inside; where layers begin and end.
    barrel, position, u
        Of the particle's line; see `shapes.lines`.
    across, turns, tilts, doubles, ints : arrays
        Space: float32 (>= 2 n,), (>= 2 k,), (>= `WORK` + 2 n,), float64 (>= n + 3 k + `LANES`,), int32
        (>= k + `WORK_INTS`,).
    x, y, z, e, layer : arrays (n,)
        Filled: mm, MeV, index.
    """
    n = len(r)
    cos, sin, path, totals = turns[:k], turns[k : 2 * k], doubles[:n], doubles[n : n + LANES]
    front, thickness, scale = doubles[n + LANES :], doubles[n + LANES + k :], doubles[n + LANES + 2 * k :]
    turn_and_tilt1(c, s, w, first, k, amount, d1, d2, kind, cos, sin, scale, totals, tilts, ints)
    across1, across2, cos_, sin_ = across[:n], across[n : 2 * n], tilts[:n], tilts[n : 2 * n]
    for h in range(n):
        own = np.uint64(slot[h])
        cos_[h], sin_[h], e[h] = cos[own], sin[own], scale[own] * w[h]
    for h in range(n):
        across1[h] = r[h] * (cos_[h] * c[h] - sin_[h] * s[h])
        across2[h] = r[h] * (sin_[h] * c[h] + cos_[h] * s[h])
    e1, e2 = np.empty(3), np.empty(3)
    axes1(barrel, u, e1, e2)
    begin, section, planes = 0, 0, not barrel
    while begin < k:
        while ring[begin] >= first_ring[section + 1]:
            section += 1
        number, end = section_layer[section], begin
        while end < k and ring[end] < first_ring[section + 1]:
            end += 1
        planes = planes and single[number] != 0
        front[begin:end], thickness[begin:end] = surfaces[number, 0], surfaces[number, 1] - surfaces[number, 0]
        layer[first[begin] : first[end]] = number
        begin = end
    if planes:
        place_in_planes1(position, u, e1, e2, slot, front, thickness, across1, across2, share, path, x, y, z)
        return
    begin = 0
    while begin < k:
        number, end = layer[first[begin]], begin
        while end < k and layer[first[end]] == number:
            end += 1
        low, high = first[begin], first[end]
        place_hits1(
            barrel, position, u, e1, e2, surfaces[number, 0], surfaces[number, 1], single[number] != 0,
            across1[low:high], across2[low:high], share[low:high], path[low:high],
            x[low:high], y[low:high], z[low:high],
        )  # fmt: skip
        begin = end
