"""Tables between energy points and eta slices, as kernels: the corners around a shower, and blends of their tables.

Tables of all slices lie in flat arrays; ``slices[number, column]`` says where one begins.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastparam._numba import kernel
from fastparam.shapes.empirical_copula import neighbours1

__all__ = ["blended1", "corners1"]

#: Weights below this are rounding: energy points are kept in single precision.
_ROUNDING = 1e-6


@kernel
def corners1(
    ln_e: float, lower: int, upper: int, weight: float, slices: Any, points: int, n_points: int, reals: Any,
    corner: Any, w: Any,
) -> int:  # fmt: skip
    """Fill slice and energy point (4, 2) and weight (4,) of the corners around a shower; return their number.

    Parameters
    ----------
    ln_e : float
    lower, upper : int
        Slices around the shower in eta.
    weight : float
        Of the upper one.
    slices : int array
    points, n_points : int
        Columns that say where ln E of a slice's energy points begins in `reals`, and their number.
    """
    n = 0
    for side in range(2):
        number, share = (lower, 1.0 - weight) if side == 0 else (upper, weight)
        if share <= 0.0:
            continue
        begin = slices[number, points]
        low, high, above = neighbours1(ln_e, reals[begin : begin + slices[number, n_points]])
        above = 0.0 if above < _ROUNDING else 1.0 if above > 1.0 - _ROUNDING else above
        for end in range(2):
            part = share * ((1.0 - above) if end == 0 else above)
            if part > 0.0:
                corner[n, 0], corner[n, 1], w[n] = number, (low if end == 0 else high), part
                n += 1
    return n


@kernel
def blended1(
    n: int, w: Any, corner: Any, slices: Any, column: int, item: int, items: int, reals: Any, out: Any
) -> None:
    """Interpolate the table `item` (of `items` per energy point) between n corners into `out`."""
    size = len(out)
    begin = slices[corner[0, 0], column] + (corner[0, 1] * items + item) * size
    share, table = np.float32(w[0]), reals[begin : begin + size]
    if n == 1:
        for q in range(size):
            out[q] = table[q]
        return
    begin = slices[corner[1, 0], column] + (corner[1, 1] * items + item) * size
    share_, table_ = np.float32(w[1]), reals[begin : begin + size]
    for q in range(size):
        out[q] = share * table[q] + share_ * table_[q]
    for c in range(2, n):
        begin = slices[corner[c, 0], column] + (corner[c, 1] * items + item) * size
        share, table = np.float32(w[c]), reals[begin : begin + size]
        for q in range(size):
            out[q] += share * table[q]
