"""Straight lines through layers, as kernels; surfaces are cylinders about z (barrel) or planes in z (planar)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastparam._numba import kernel

__all__ = ["axes1", "last_layer1", "layer_of1", "onto1", "path_to1", "place1", "place_hits1", "place_in_planes1"]

#: Hits keep this share of the layer's thickness from its surfaces.
_SKIN = 1e-6

#: Hits that are looked at together for some that are outside of their layer.
_BLOCK = 32


@kernel
def path_to1(barrel: bool, x: float, y: float, z: float, ux: float, uy: float, uz: float, target: float) -> float:
    """Path from (x, y, z) along u to the surface of radius or z `target`, on the way out; NaN if the line misses it."""
    if not barrel:
        return (target - z) / uz
    a = ux * ux + uy * uy
    b = x * ux + y * uy
    root = b * b - a * (x * x + y * y - target * target)
    if root < 0.0:
        return math.nan
    return (-b + math.sqrt(root)) / a


@kernel
def onto1(
    barrel: bool, x: float, y: float, z: float, u: Any, position: Any, path: float, target: float
) -> tuple[float, float, float, bool]:  # fmt: skip
    """Move (x, y, z) along u to the surface of radius or z `target`; True if it could be moved.

    A point so far aside that its direction misses the surface becomes that of the line at `path` from `position`.
    """
    step = path_to1(barrel, x, y, z, u[0], u[1], u[2], target)
    if math.isnan(step):
        return position[0] + path * u[0], position[1] + path * u[1], position[2] + path * u[2], False
    return x + step * u[0], y + step * u[1], z + step * u[2], True


@kernel
def last_layer1(level: float, period_from: Any) -> int:
    """Return the last layer whose period starts in front of a radius or z, 0 if none does."""
    left, right = 0, len(period_from) - 1
    while left < right:
        middle = (left + right + 1) // 2
        if period_from[middle] <= level:
            left = middle
        else:
            right = middle - 1
    return left


@kernel
def layer_of1(level: float, period_from: Any, period_to: Any) -> int:
    """Return the layer in whose period a radius or z lies, -1 if in none; periods (L,) are in order."""
    last = last_layer1(level, period_from)
    return last if period_from[last] <= level <= period_to[last] else -1


@kernel
def axes1(barrel: bool, u: Any, e1: Any, e2: Any) -> None:
    """Fill the transverse axes (3,) of a line along u; conventions of `fastparam.geometry.frames`."""
    if barrel:
        n = math.sqrt(1.0 - u[2] * u[2])
        e1[0], e1[1], e1[2] = -u[2] * u[0] / n, -u[2] * u[1] / n, (1.0 - u[2] * u[2]) / n
        e2[0], e2[1], e2[2] = (
            e1[1] * u[2] - e1[2] * u[1],
            e1[2] * u[0] - e1[0] * u[2],
            e1[0] * u[1] - e1[1] * u[0],
        )
    else:
        n = math.sqrt(1.0 - u[0] * u[0])
        e1[0], e1[1], e1[2] = (1.0 - u[0] * u[0]) / n, -u[0] * u[1] / n, -u[0] * u[2] / n
        e2[0], e2[1], e2[2] = (
            u[1] * e1[2] - u[2] * e1[1],
            u[2] * e1[0] - u[0] * e1[2],
            u[0] * e1[1] - u[1] * e1[0],
        )


@kernel
def place1(
    barrel: bool, position: Any, u: Any, e1: Any, e2: Any, path_in: float, path_out: float, front: float, back: float,
    share: float, single: bool, d1: float, d2: float,
) -> tuple[float, float, float]:  # fmt: skip
    """Return the point of a layer at a share of its depth along a line, and (d1, d2) across it.

    Far from the line a curved or inclined layer begins elsewhere: a point beyond one of its surfaces is mirrored at it.

    Parameters
    ----------
    position, u, e1, e2 : float arrays (3,)
        Start of the line, its direction, and the axes across it.
    path_in, path_out : float
        Where the line enters and leaves the layer, mm from its start.
    front, back : float
        Surfaces of the layer.
    single : bool
        The layer has no depth inside: the share counts between its surfaces at the point.
    """
    px = position[0] + d1 * e1[0] + d2 * e2[0]
    py = position[1] + d1 * e1[1] + d2 * e2[1]
    pz = position[2] + d1 * e1[2] + d2 * e2[2]
    if single:
        path = path_to1(barrel, px, py, pz, u[0], u[1], u[2], front + share * (back - front))
    else:
        path = path_in + share * (path_out - path_in)
        x, y, z = px + path * u[0], py + path * u[1], pz + path * u[2]
        level = math.sqrt(x * x + y * y) if barrel else z
        if level < front:
            path = path_to1(barrel, px, py, pz, u[0], u[1], u[2], min(2.0 * front - level, back))
        elif level > back:
            path = path_to1(barrel, px, py, pz, u[0], u[1], u[2], max(2.0 * back - level, front))
    if math.isnan(path):  # so far aside that its direction misses the layer: keep the line's point
        px, py, pz, path = position[0], position[1], position[2], 0.5 * (path_in + path_out)
    return px + path * u[0], py + path * u[1], pz + path * u[2]


@kernel
def _along1(position: Any, u: Any, e1: Any, e2: Any, d1: Any, d2: Any, path: Any, x: Any, y: Any, z: Any) -> None:
    """Fill x, y, z with points at `path` along a line and (d1, d2) across it."""
    x0, y0, z0, ux, uy, uz = position[0], position[1], position[2], u[0], u[1], u[2]
    x1, y1, z1, x2, y2, z2 = e1[0], e1[1], e1[2], e2[0], e2[1], e2[2]
    for h in range(len(x)):
        x[h] = x0 + d1[h] * x1 + d2[h] * x2 + path[h] * ux
        y[h] = y0 + d1[h] * y1 + d2[h] * y2 + path[h] * uy
        z[h] = z0 + d1[h] * z1 + d2[h] * z2 + path[h] * uz


@kernel
def place_hits1(
    barrel: bool, position: Any, u: Any, e1: Any, e2: Any, front: float, back: float, single: bool, d1: Any,
    d2: Any, share: Any, path: Any, x: Any, y: Any, z: Any,
) -> None:  # fmt: skip
    """Place n deposits of one layer: `place1` for each of them.

    Most need no case: theirs are simple passes, which become vector code. The others follow one by one.

    Parameters
    ----------
    front, back : float
        Surfaces of the layer; hits stay a millionth of its thickness inside, so that rounding does not put them out.
    d1, d2, share : float32 arrays (n,)
        Distances across the line in mm, and where in the layer.
    path : float64 array (n,)
        Space.
    x, y, z : float64 arrays (n,)
        Filled.
    """
    n = len(d1)
    x0, y0, z0, ux, uy, uz = position[0], position[1], position[2], u[0], u[1], u[2]
    path_in = path_to1(barrel, x0, y0, z0, ux, uy, uz, front)
    path_out = path_to1(barrel, x0, y0, z0, ux, uy, uz, back)
    skin = _SKIN * (back - front)
    front, back = front + skin, back - skin
    x1, y1, z1, x2, y2, z2 = e1[0], e1[1], e1[2], e2[0], e2[1], e2[2]
    a, missed = ux * ux + uy * uy, 0
    if not single:
        for h in range(n):
            path[h] = path_in + share[h] * (path_out - path_in)
    elif barrel:
        for h in range(n):
            px, py = x0 + d1[h] * x1 + d2[h] * x2, y0 + d1[h] * y1 + d2[h] * y2
            b, target = px * ux + py * uy, front + share[h] * (back - front)
            root = b * b - a * (px * px + py * py - target * target)
            path[h] = (math.sqrt(root) - b) / a  # NaN if it misses
            missed += root < 0.0
    else:
        for h in range(n):
            path[h] = (front + share[h] * (back - front) - (z0 + d1[h] * z1 + d2[h] * z2)) / uz
    _along1(position, u, e1, e2, d1, d2, path, x, y, z)
    if single and missed == 0 and not math.isnan(path_in) and not math.isnan(path_out):
        return
    level, front_, back_ = path, front * front if barrel else front, back * back if barrel else back
    if barrel:
        for h in range(n):
            level[h] = x[h] * x[h] + y[h] * y[h]
    else:
        for h in range(n):
            level[h] = z[h]
    for begin in range(0, n, _BLOCK):
        block = level[begin : begin + _BLOCK]
        special = 0
        for h in range(len(block)):
            special += not ((front_ <= block[h]) & (block[h] <= back_))
        if special == 0:
            continue
        for h in range(begin, begin + len(block)):
            if not front_ <= level[h] <= back_:
                x[h], y[h], z[h] = place1(
                    barrel, position, u, e1, e2, path_in, path_out, front, back, share[h], single, d1[h], d2[h]
                )  # fmt: skip


@kernel
def place_in_planes1(
    position: Any, u: Any, e1: Any, e2: Any, own: Any, front: Any, thickness: Any, d1: Any, d2: Any, share: Any,
    path: Any, x: Any, y: Any, z: Any,
) -> None:  # fmt: skip
    """Place n deposits in planes without depth inside: `place_hits1` for many planes at once.

    Parameters
    ----------
    position, u, e1, e2 : float arrays (3,)
        Start of the line, its direction, and the axes across it.
    own : int array (n,)
        Place of each deposit's plane in the next two.
    front, thickness : float64 arrays
        z of the plane's front, and how thick it is.
    d1, d2, share, path, x, y, z : arrays (n,)
        See `place_hits1`.
    """
    n = len(d1)
    z0, uz, z1, z2 = position[2], u[2], e1[2], e2[2]
    for h in range(n):  # looked up in a pass of its own: the next one becomes vector code
        at = np.uint64(own[h])
        path[h], x[h] = front[at], thickness[at]
    for h in range(n):
        level = path[h] + (_SKIN + (1.0 - 2.0 * _SKIN) * share[h]) * x[h]
        path[h] = (level - (z0 + d1[h] * z1 + d2[h] * z2)) / uz
    _along1(position, u, e1, e2, d1, d2, path, x, y, z)
