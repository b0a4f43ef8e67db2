"""Many standard normal numbers, and normal tail probabilities, from tables: for kernels that need hundreds per shower.

Each 32 random bits are a sign and a tail probability q in (0, 1/2). Phi^-1 is linear between the ends of 1024 equal
cells in q and exact in the outermost one, beyond 3.1 standard deviations: every quantile is right to 0.02, the
variance to 1e-5.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from fastparam._numba import kernel
from fastparam.shapes.normal import normal_ppf1
from fastparam.shapes.root_odds import place1, probabilities

__all__ = ["fill_normals", "tail_score1", "upper_tail1"]

_CELLS = 1024
_QUANTILES = (-special.ndtri(np.maximum(np.arange(_CELLS + 1), 0.5) * (0.5 / _CELLS))).astype(np.float32)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)

_TAIL_END, _TAIL_CELLS = 6.0, 1536
_TAIL = special.ndtr(-np.linspace(-_TAIL_END, _TAIL_END, _TAIL_CELLS + 1)).astype(np.float32)
_TAIL_SCALE = _TAIL_CELLS / (2.0 * _TAIL_END)

# Scores of tail probabilities at the knots of a table in root odds: fine in both tails.
_SCORE_KNOTS = 1025
_SCORES = special.ndtri(np.clip(probabilities(_SCORE_KNOTS), 1e-8, 1.0 - 1e-8)).astype(np.float32)


@kernel
def _from_bits(bits: Any) -> Any:
    """Return a normal number from 32 random bits."""
    cell = (bits >> np.uint64(21)) & np.uint64(1023)
    part = np.float32(bits & np.uint64(0x1FFFFF)) * np.float32(4.76837158203125e-07)
    low = _QUANTILES[cell]
    x = low + part * (_QUANTILES[cell + np.uint64(1)] - low)
    if cell == np.uint64(0):
        x = np.float32(-normal_ppf1((np.float64(part) + 2.4e-7) * (0.5 / 1024)))
    return -x if bits & np.uint64(0x80000000) else x


@kernel
def fill_normals(state: Any, out: Any) -> None:
    """Fill a float32 array with standard normal numbers from a stream of `fastparam.random`; two per 64 bits."""
    word, step = state[0], state[1]
    n = len(out)
    for k in range((n + 1) // 2):
        word = word + step
        z = (word ^ (word >> np.uint64(30))) * _FIRST
        z = (z ^ (z >> np.uint64(27))) * _SECOND
        z = z ^ (z >> np.uint64(31))
        out[2 * k] = _from_bits(z >> np.uint64(32))
        if 2 * k + 1 < n:
            out[2 * k + 1] = _from_bits(z & np.uint64(0xFFFFFFFF))
    state[0] = word


@kernel
def upper_tail1(z: Any) -> Any:
    """1 - Phi(z) to 2e-6 absolute and 4e-4 relative for |z| < 6, constant beyond."""
    place = (min(max(z, np.float32(-5.999)), np.float32(5.999)) + np.float32(_TAIL_END)) * np.float32(_TAIL_SCALE)
    cell = np.int32(place)
    at = np.uint64(cell)  # unsigned: no check for counting from the end
    low = _TAIL[at]
    return low + (place - np.float32(cell)) * (_TAIL[at + np.uint64(1)] - low)


@kernel
def tail_score1(c: Any) -> Any:
    """Return z with 1 - Phi(z) = c to 1e-4 for |z| < 3.2; c beyond [1e-7, 1 - 1e-6] counts as these."""
    place = place1(c, _SCORE_KNOTS)
    cell = np.int32(place)
    at = np.uint64(cell)
    low = _SCORES[at]
    return low + (place - np.float32(cell)) * (_SCORES[at + np.uint64(1)] - low)
