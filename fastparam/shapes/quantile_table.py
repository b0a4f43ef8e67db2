"""Quantile functions as tables with a fine upper tail, as kernels.

Knots stand at probabilities k/16 up to 15/16, at 15/16 + k/128 up to 127/128, then at 127/128 + k/512 up to 1: hit
energies have tails that hold much of a shower's energy. Between knots everything is linear in the probability.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastparam._numba import kernel

__all__ = ["KNOTS", "quantile1"]

_BODY, _TAIL, _END = 15, 7, 4

#: Probabilities of the knots, shape (27,).
KNOTS: npt.NDArray[np.float64] = np.concatenate(
    [np.arange(_BODY) / 16.0, 15.0 / 16.0 + np.arange(_TAIL) / 128.0, 127.0 / 128.0 + np.arange(_END + 1) / 512.0]
)


@kernel
def quantile1(u: float, table: Any) -> float:
    """Return the quantile at u in [0, 1) from its values (27,) at `KNOTS`."""
    place = u * 16.0
    first = 0
    if u >= 0.9375:
        if u < 0.9921875:
            place = (u - 0.9375) * 128.0
            first = 15
        else:
            place = (u - 0.9921875) * 512.0
            first = 22
    cell = int(place)
    return float(table[first + cell] + (place - cell) * (table[first + cell + 1] - table[first + cell]))
