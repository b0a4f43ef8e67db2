"""Quantile tables in the root odds of their tail, which is fine in both tails and cheap to look up.

For the upper tail probability c of a value,

    w = r / (1 + r),    r = sqrt(c / (1 - c))

runs from 0 at the largest value to 1 at the smallest; near both ends c or 1 - c goes with the square of the distance.
Tables hold quantiles at equally spaced w, between which they are linear.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fastparam._numba import kernel

__all__ = ["place1", "probabilities", "quantiles"]

Floats = npt.NDArray[np.float64]


@kernel
def place1(c: Any, n: int) -> Any:
    """Return where a tail probability lies in a table of n knots, from 0 to n - 1."""
    c = min(max(c, np.float32(1e-7)), np.float32(1.0 - 1e-6))
    r = math.sqrt(c / (np.float32(1.0) - c))
    return r / (np.float32(1.0) + r) * np.float32(n - 1)


def probabilities(n: int) -> Floats:
    """Return the cumulative probabilities (1 to 0) of the knots of a table, shape (n,)."""
    w = np.linspace(0.0, 1.0, n)
    inner = w[1:-1] / (1.0 - w[1:-1])
    return np.concatenate([[1.0], 1.0 / (1.0 + inner**2), [0.0]])


def quantiles(values: Floats, n: int) -> Floats:
    """Return the table of n knots of a sample of values; between ranks linear, rank k of m at (k - 1/2)/m."""
    ordered = np.sort(values)
    place = probabilities(n) * len(ordered) - 0.5
    return np.asarray(np.interp(place, np.arange(len(ordered)), ordered), dtype=np.float64)
