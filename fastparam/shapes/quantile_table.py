"""Quantile functions as tables with a fine upper tail, as kernels.

Knots stand at probabilities k/16 up to 15/16, at 15/16 + k/128 up to 127/128, then at 127/128 + k/512 up to 1: hit
energies have tails that hold much of a shower's energy. Between knots everything is linear in the probability.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastparam._numba import kernel

__all__ = ["KNOTS", "first_entry1", "knot1", "quantile1"]

_BODY, _TAIL, _END = 15, 7, 4

#: Probabilities of the knots, shape (27,).
KNOTS: npt.NDArray[np.float64] = np.concatenate(
    [np.arange(_BODY) / 16.0, 15.0 / 16.0 + np.arange(_TAIL) / 128.0, 127.0 / 128.0 + np.arange(_END + 1) / 512.0]
)


_TAIL_FROM, _END_FROM = np.float32(0.9375), np.float32(0.9921875)
_NONE, _STEPS, _TAIL_STEPS, _END_STEPS = np.float32(0.0), np.float32(16.0), np.float32(128.0), np.float32(512.0)
_TAIL_KNOT, _END_KNOT = np.float32(_BODY), np.float32(_BODY + _TAIL)


@kernel
def knot1(u: Any) -> Any:
    """Return where a probability u in [0, 1) lies among the knots, from 0 to 26, in single precision."""
    tail, end = u >= _TAIL_FROM, u >= _END_FROM
    below = _END_FROM if end else (_TAIL_FROM if tail else _NONE)
    steps = _END_STEPS if end else (_TAIL_STEPS if tail else _STEPS)
    return (u - below) * steps + (_END_KNOT if end else (_TAIL_KNOT if tail else _NONE))


@kernel
def quantile1(place: Any, tables: Any, begin: int) -> Any:
    """Return the quantile at a place of `knot1` from the table (27,) that begins at ``tables[begin]``."""
    cell = np.int32(place)
    at = np.uint64(begin) + np.uint64(cell)  # unsigned: no check for counting from the end
    low = tables[at]
    return low + (place - np.float32(cell)) * (tables[at + np.uint64(1)] - low)


@kernel
def first_entry1(table: Any, value: float) -> int:
    """Return the place of the first entry of a growing table that is at least `value`; the last one's if none is."""
    left, right = 0, len(table) - 1
    while left < right:
        middle = (left + right) // 2
        if table[middle] < value:
            left = middle + 1
        else:
            right = middle
    return left
