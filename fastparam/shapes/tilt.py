"""Turn and tilt: the dipoles of rings of hits are brought to wanted values without moving a hit within its ring.

A ring is turned as a whole, freely or by quarters (which keep the pattern of a square grid). Then its hits are
reweighted,

    e_i -> e_i (1 + x_i + x_i^2/2),    x_i = a cos alpha_i + b sin alpha_i,

the first terms of exp(x), positive everywhere. What this does to D = sum e exp(i alpha)/sum e is a rational function
of (a, b) and of the moments of (cos, sin) up to the third, which are summed once: (a, b) are then found by a few
Newton steps without looking at the hits again. Moving hits instead would blur what single far deposits look like.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastparam._numba import kernel

__all__ = ["FREE", "MIN_HITS", "ONLY_TURN", "QUARTERS", "STAY", "WORK", "turn_and_tilt1"]

#: What may be done with a ring: nothing, quarter turns, any turn; both go with tilts, unless `ONLY_TURN` is added.
STAY, QUARTERS, FREE, ONLY_TURN = 0, 1, 2, 4

#: Hits from which a ring is tilted: two can have any dipole only by losing one of them.
MIN_HITS = 3

#: Tilts one after the other, for dipoles that one cannot reach, and Newton steps for each.
_TILTS, _STEPS = 4, 4

_LONGEST, _LARGEST, _CLOSE, _FLOOR = np.float32(1.2), np.float32(0.97), np.float32(4e-3), np.float32(0.02)
_NONE, _HALF, _ONE, _TWO, _TINY = np.float32(0.0), np.float32(0.5), np.float32(1.0), np.float32(2.0), np.float32(1e-30)


#: Rings that are solved together.
_BLOCK = 64

# Columns of the work space: moments of the hits (sums of w times powers of cos and sin), target, tilt, what is left.
_M, _M1, _M2, _M11, _M12, _M111, _M112, _T1, _T2, _A, _B, _OFF, _NEXT, _COS, _SIN, _FREELY = (
    _BLOCK * k for k in range(16)
)

#: Length of the work space of `turn_and_tilt1`.
WORK = 16 * _BLOCK


@kernel
def turn_and_tilt1(
    c: Any, s: Any, w: Any, first: Any, n: int, d1: Any, d2: Any, kind: Any, cos: Any, sin: Any, work: Any
) -> None:  # fmt: skip
    """Reweight the hits of n rings and say by which angles to turn these.

    Parameters
    ----------
    c, s : float32 arrays
        Directions of hits, cos and sin of alpha; not changed.
    w : float32 array
        Their energies in any unit, changed in place.
    first : int array (n + 1,)
        First hit of each ring.
    d1, d2 : float32 arrays (n,)
        Wanted dipoles.
    kind : int array (n,)
        `STAY`, `QUARTERS` or `FREE`, or one of these and `ONLY_TURN`.
    cos, sin : float32 arrays (n,)
        Filled with the angles.
    work : float32 array (`WORK`,)
        Space.
    """
    for begin in range(0, n, _BLOCK):
        size = min(_BLOCK, n - begin)
        for k in range(_BLOCK):
            work[_M + k] = _ONE
            work[_M1 + k] = work[_M2 + k] = work[_M12 + k] = work[_M111 + k] = work[_M112 + k] = _NONE
            work[_M11 + k] = _HALF
            work[_T1 + k] = work[_T2 + k] = work[_OFF + k] = work[_FREELY + k] = _NONE
        for k in range(size):
            ring = begin + k
            if kind[ring] != STAY:
                _moments1(c, s, w, first[ring], first[ring + 1], k, work)
                work[_T1 + k], work[_T2 + k] = d1[ring], d2[ring]
                tilted = kind[ring] < ONLY_TURN and first[ring + 1] - first[ring] >= MIN_HITS
                work[_OFF + k] = _ONE if tilted else _NONE
                work[_FREELY + k] = _ONE if kind[ring] & FREE else _NONE
        _turn1(work)
        for k in range(size):
            cos[begin + k], sin[begin + k] = work[_COS + k], work[_SIN + k]
        for tilt in range(_TILTS):
            left = 0
            if tilt > 0:
                for k in range(size):
                    if work[_OFF + k] > _CLOSE * _CLOSE:
                        left += 1
                        _moments1(c, s, w, first[begin + k], first[begin + k + 1], k, work)
                if left == 0:
                    break
            _solve1(work)
            for k in range(size):
                if work[_OFF + k] > _CLOSE * _CLOSE:
                    a, b = work[_A + k], work[_B + k]
                    for h in range(first[begin + k], first[begin + k + 1]):
                        x = a * c[h] + b * s[h]
                        w[h] *= _ONE + x * (_ONE + _HALF * x)
            for k in range(_BLOCK):
                work[_OFF + k] = work[_NEXT + k] if work[_OFF + k] > _CLOSE * _CLOSE else _NONE


@kernel
def _moments1(c: Any, s: Any, w: Any, low: int, high: int, k: int, work: Any) -> None:
    m = m1 = m2 = m11 = m12 = m111 = m112 = _NONE
    for h in range(low, high):
        wc, ws = w[h] * c[h], w[h] * s[h]
        wcc = wc * c[h]
        m += w[h]
        m1 += wc
        m2 += ws
        m11 += wcc
        m12 += wc * s[h]
        m111 += wcc * c[h]
        m112 += wcc * s[h]
    work[_M + k], work[_M1 + k], work[_M2 + k], work[_M11 + k] = m, m1, m2, m11
    work[_M12 + k], work[_M111 + k], work[_M112 + k] = m12, m111, m112


@kernel
def _turn1(work: Any) -> None:
    """Find the turns of a block of rings, and their wanted dipoles as the rings see them before they are turned."""
    for k in range(_BLOCK):
        m1, m2, t1, t2 = work[_M1 + k], work[_M2 + k], work[_T1 + k], work[_T2 + k]
        along, across = m1 * t1 + m2 * t2, m1 * t2 - m2 * t1
        length = np.float32(math.sqrt(along * along + across * across))
        per = _ONE / max(length, _TINY)
        straight = abs(along) >= abs(across)
        cos = (_ONE if along > _NONE else -_ONE) if straight else _NONE
        sin = _NONE if straight else (_ONE if across > _NONE else -_ONE)
        freely = work[_FREELY + k] > _NONE
        cos, sin = along * per if freely else cos, across * per if freely else sin
        cos, sin = cos if length > _NONE else _ONE, sin if length > _NONE else _NONE
        t1, t2 = cos * t1 + sin * t2, cos * t2 - sin * t1
        shrink = min(_ONE, _LARGEST / np.float32(math.sqrt(max(t1 * t1 + t2 * t2, _TINY))))
        work[_COS + k], work[_SIN + k] = cos, sin
        work[_T1 + k], work[_T2 + k] = t1 * shrink, t2 * shrink


@kernel
def _solve1(work: Any) -> None:
    """Find the tilts (a, b) of a block of rings from their moments, and how far from their dipoles that leaves them.

    Every ring of the block, so that the loop has a fixed length and becomes vector code.
    """
    for k in range(_BLOCK):
        norm = _ONE / work[_M + k]
        m1, m2, m11, m12 = work[_M1 + k] * norm, work[_M2 + k] * norm, work[_M11 + k] * norm, work[_M12 + k] * norm
        m111, m112 = work[_M111 + k] * norm, work[_M112 + k] * norm
        # cos^2 + sin^2 = 1 gives the others.
        m22, m122, m222 = _ONE - m11, m1 - m111, m2 - m112
        v11, v12, v22 = m11 - m1 * m1 + _FLOOR, m12 - m1 * m2, m22 - m2 * m2 + _FLOOR
        inverse = _ONE / (v11 * v22 - v12 * v12)
        a = b = _NONE
        t1, t2 = work[_T1 + k], work[_T2 + k]
        r1, r2 = t1 - m1, t2 - m2
        for _ in range(_STEPS):
            a, b = a + (v22 * r1 - v12 * r2) * inverse, b + (v11 * r2 - v12 * r1) * inverse
            shrink = min(_ONE, _LONGEST / np.float32(math.sqrt(max(a * a + b * b, _TINY))))
            a, b = a * shrink, b * shrink
            half1, half2 = _HALF * (a * m11 + b * m12), _HALF * (a * m12 + b * m22)
            total = _ONE / (_ONE + a * (m1 + half1) + b * (m2 + half2))
            one = m1 + _TWO * half1 + _HALF * (a * (a * m111 + _TWO * b * m112) + b * b * m122)
            two = m2 + _TWO * half2 + _HALF * (a * (a * m112 + _TWO * b * m122) + b * b * m222)
            r1, r2 = t1 - one * total, t2 - two * total
        work[_A + k], work[_B + k], work[_NEXT + k] = a, b, r1 * r1 + r2 * r2
