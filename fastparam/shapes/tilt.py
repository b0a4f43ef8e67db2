"""Tilt: the dipole of a ring of hits is brought to a wanted value by reweighting, without moving a hit.

    e_i -> e_i exp(a cos alpha_i + b sin alpha_i)

with (a, b) from Newton steps on D = sum e exp(i alpha)/sum e. Moving hits instead would blur what single far deposits
look like. Where the ring may be turned as a whole, it is turned first.
"""

from __future__ import annotations

import math
from typing import Any

from fastparam._numba import kernel

__all__ = ["MIN_HITS", "tilt1", "turn1"]

#: Hits from which a ring is tilted: two can have any dipole only by losing one of them.
MIN_HITS = 3

_STEPS, _LONGEST, _LARGEST, _CLOSE, _FLOOR = 4, 1.2, 0.97, 2e-3, 0.02


@kernel
def _exp1(x: float) -> float:
    """exp(x) for |x| < 2 to 1e-6: eight equal factors. Unlike math.exp, loops of it become vector code."""
    y = 0.125 * x
    p = 1.0 + y * (1.0 + y * (0.5 + y * (1.0 / 6.0 + y * (1.0 / 24.0 + y * (1.0 / 120.0)))))
    p *= p
    p *= p
    return p * p


@kernel
def turn1(c: Any, s: Any, w: Any, low: int, high: int, d1: float, d2: float, freely: bool) -> None:
    """Turn hits ``low:high`` with directions (c, s) and weights w so that their dipole points along (d1, d2).

    Parameters
    ----------
    freely : bool
        By any angle; else by quarter turns, which keep the pattern of a square grid.
    """
    m1, m2 = 0.0, 0.0
    for h in range(low, high):
        m1 += w[h] * c[h]
        m2 += w[h] * s[h]
    along, across = m1 * d1 + m2 * d2, m1 * d2 - m2 * d1
    length = math.sqrt(along * along + across * across)
    if length <= 0.0:
        return
    if freely:
        cos, sin = along / length, across / length
    elif abs(along) >= abs(across):
        if along > 0.0:
            return
        cos, sin = -1.0, 0.0
    else:
        cos, sin = 0.0, (1.0 if across > 0.0 else -1.0)
    for h in range(low, high):
        old = c[h]
        c[h] = cos * old - sin * s[h]
        s[h] = sin * old + cos * s[h]


@kernel
def tilt1(c: Any, s: Any, w: Any, low: int, high: int, d1: float, d2: float) -> None:
    """Reweight hits ``low:high`` with directions (c, s) so that their dipole is (d1, d2), as nearly as they allow."""
    size = math.sqrt(d1 * d1 + d2 * d2)
    if size > _LARGEST:
        d1 *= _LARGEST / size
        d2 *= _LARGEST / size
    for _ in range(_STEPS):
        m, m1, m2, m11, m12, m22 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for h in range(low, high):
            wc, ws = w[h] * c[h], w[h] * s[h]
            m += w[h]
            m1 += wc
            m2 += ws
            m11 += wc * c[h]
            m12 += wc * s[h]
            m22 += ws * s[h]
        m1 /= m
        m2 /= m
        r1, r2 = d1 - m1, d2 - m2
        if r1 * r1 + r2 * r2 < _CLOSE * _CLOSE:
            return
        v11, v12, v22 = m11 / m - m1 * m1 + _FLOOR, m12 / m - m1 * m2, m22 / m - m2 * m2 + _FLOOR
        det = v11 * v22 - v12 * v12
        a, b = (v22 * r1 - v12 * r2) / det, (v11 * r2 - v12 * r1) / det
        step = math.sqrt(a * a + b * b)
        if step > _LONGEST:
            a *= _LONGEST / step
            b *= _LONGEST / step
        for h in range(low, high):
            w[h] *= _exp1(a * c[h] + b * s[h])
