"""Turn and tilt: the dipoles of rings of hits are brought to wanted values without moving a hit within its ring.

A ring is turned as a whole, freely or by quarters (which keep the pattern of a square grid). Then its hits are
reweighted,

    w_i -> w_i (1 + x_i + x_i^2/2),    x_i = a cos alpha_i + b sin alpha_i,

the first terms of exp(x), positive everywhere. What this does to D = sum w exp(i alpha)/sum w is a rational function
of (a, b) and of the moments of (cos, sin) up to the third, which are summed once: (a, b) are then found by a few
Newton steps without looking at the hits again. Moving hits instead would blur what single far deposits look like.

Rings are worked on in groups of 16, one in each *lane*, so that every loop becomes vector code however few hits a ring
has. For that, rings of few hits are sorted by their number and copied, hit by hit, into a table of 16 columns.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastparam._numba import kernel
from fastparam.shapes.ring_sums import total1

__all__ = ["FREE", "LANES", "MIN_HITS", "ONLY_TURN", "QUARTERS", "STAY", "WORK", "WORK_INTS", "turn_and_tilt1"]

#: What may be done with a ring: nothing, quarter turns, any turn; both go with tilts, unless `ONLY_TURN` is added.
STAY, QUARTERS, FREE, ONLY_TURN = 0, 1, 2, 4

#: Hits from which a ring is tilted: two can have any dipole only by losing one of them.
MIN_HITS = 3

#: Tilts one after the other, for dipoles that one cannot reach, and Newton steps for each: what is left is seen, and
#: done by the next.
_TILTS, _STEPS = 4, 2

_LONGEST, _LARGEST, _CLOSE, _FLOOR = np.float32(1.2), np.float32(0.97), np.float32(4e-3), np.float32(0.02)
_NONE, _HALF, _ONE, _TWO, _TINY = np.float32(0.0), np.float32(0.5), np.float32(1.0), np.float32(2.0), np.float32(1e-30)

#: Rings of a group; hits up to which a ring's are copied into a column.
LANES, _SMALL = 16, 32

# Rows of `work`: moments of the hits (sums of w times powers of cos and sin), target, tilt, what is left.
_M, _M1, _M2, _M11, _M12, _M111, _M112, _T1, _T2, _A, _B, _OFF, _COS, _SIN, _FREELY = (LANES * k for k in range(15))
_MOMENTS, _COLUMNS = 7 * LANES, 15 * LANES

_TABLE = _SMALL * LANES

#: Lengths of the work spaces of `turn_and_tilt1`, the second beside a number per ring.
WORK, WORK_INTS = _COLUMNS + 3 * _TABLE, _SMALL + 2 + _TABLE + 2 * LANES


@kernel
def turn_and_tilt1(
    c: Any, s: Any, w: Any, first: Any, n: int, amount: Any, d1: Any, d2: Any, kind: Any, cos: Any, sin: Any,
    scale: Any, totals: Any, floats: Any, ints: Any,
) -> None:  # fmt: skip
    """Reweight the hits of n rings, and say by which factors to scale them and by which angles to turn them.

    Parameters
    ----------
    c, s : float32 arrays
        Directions of hits, cos and sin of alpha; not changed.
    w : float32 array
        Their energies in any unit, changed.
    first : int array (n + 1,)
        First hit of each ring; none is empty.
    amount : float array (n,)
        Energies of the rings in MeV.
    d1, d2 : float32 arrays (n,)
        Wanted dipoles.
    kind : int array (n,)
        `STAY`, `QUARTERS` or `FREE`, or one of these and `ONLY_TURN`.
    cos, sin : float32 arrays (n,)
        Filled with the angles.
    scale : float64 array (n,)
        Filled with MeV per unit of w.
    totals, floats, ints : float64 array (`LANES`,), float32 array (`WORK`,), int32 array (n + `WORK_INTS`,)
        Space.
    """
    ends, source, order = ints[: _SMALL + 2], ints[_SMALL + 2 : WORK_INTS], ints[WORK_INTS : WORK_INTS + n]
    work, table_c, table_s, table_w = (
        floats[:_COLUMNS], floats[_COLUMNS : _COLUMNS + _TABLE], floats[_COLUMNS + _TABLE : _COLUMNS + 2 * _TABLE],
        floats[_COLUMNS + 2 * _TABLE :],
    )  # fmt: skip
    sums = table_c[:_MOMENTS]
    large = _sorted1(first, n, ends, order)
    begin = 0
    while begin < n:
        size = min(LANES, (large if begin < large else n) - begin)
        own = order[begin : begin + size]
        _wanted1(first, own, size, d1, d2, kind, work)
        if begin < large:
            _large1(c, s, w, first, own, size, cos, sin, sums, work)
            for k in range(size):
                scale[own[k]] = amount[own[k]] / total1(w[first[own[k]] : first[own[k] + 1]])
        else:
            rows = first[own[0] + 1] - first[own[0]]
            _columns1(c, s, w, first, own, size, rows, source, table_c, table_s, table_w)
            _small1(own, size, rows, cos, sin, work, table_c, table_s, table_w)
            _column_sums1(table_w, rows, totals)
            for k in range(size):
                scale[own[k]] = amount[own[k]] / totals[k]
            # A hit comes more than once where its column is longer than its ring: its own row is the last one here.
            for at in range(LANES * rows - 1, -1, -1):
                w[np.uint64(source[at])] = table_w[at]
        begin += size


@kernel
def _column_sums1(table: Any, rows: int, totals: Any) -> None:
    """Sum the columns of a table in double precision."""
    for k in range(LANES):
        totals[k] = 0.0
    for row in range(rows):
        for k in range(LANES):
            totals[k] += table[row * LANES + k]


@kernel
def _columns1(
    c: Any, s: Any, w: Any, first: Any, own: Any, size: int, rows: int, source: Any, table_c: Any, table_s: Any,
    table_w: Any,
) -> None:  # fmt: skip
    """Copy rings of at most `rows` hits into the columns of a table, and say where each entry comes from.

    Below its hits a column repeats the last one, without weight; columns without a ring repeat the last ring's.
    """
    begin, last = source[_TABLE : _TABLE + LANES], source[_TABLE + LANES :]
    for k in range(LANES):
        ring = np.uint64(own[min(k, size - 1)])
        begin[k], last[k] = first[ring], first[ring + np.uint64(1)] - 1
    for row in range(rows):
        for k in range(LANES):
            source[row * LANES + k] = min(begin[k] + row, last[k])
    for row in range(rows):
        for k in range(LANES):
            h, at = np.uint64(source[row * LANES + k]), row * LANES + k
            table_c[at], table_s[at] = c[h], s[h]
            table_w[at] = w[h] if begin[k] + row <= last[k] else _NONE


@kernel
def _sorted1(first: Any, n: int, ends: Any, order: Any) -> Any:
    """Sort rings by number of hits, most of them first; return how many are too large for a column."""
    for q in range(_SMALL + 2):
        ends[q] = 0
    for m in range(n):
        ends[np.uint64(_SMALL + 1 - min(first[m + 1] - first[m], _SMALL + 1))] += 1
    large, total = ends[0], 0
    for q in range(_SMALL + 2):
        number = ends[q]
        ends[q] = total
        total += number
    for m in range(n):
        own = np.uint64(_SMALL + 1 - min(first[m + 1] - first[m], _SMALL + 1))
        order[np.uint64(ends[own])] = m
        ends[own] += 1
    return large


@kernel
def _wanted1(first: Any, own: Any, size: int, d1: Any, d2: Any, kind: Any, work: Any) -> None:
    for k in range(LANES):
        work[_T1 + k] = work[_T2 + k] = work[_OFF + k] = work[_FREELY + k] = _NONE
    for k in range(size):
        ring = np.uint64(own[k])
        number, what = first[ring + np.uint64(1)] - first[ring], kind[ring]
        moved = np.float32(what != STAY)
        work[_T1 + k], work[_T2 + k] = moved * d1[ring], moved * d2[ring]
        work[_OFF + k] = moved * np.float32((what < ONLY_TURN) & (number >= MIN_HITS))
        work[_FREELY + k] = np.float32(what & FREE)


@kernel
def _left1(work: Any) -> Any:
    """Whether any ring of a group is not there yet."""
    left = _NONE
    for k in range(LANES):
        left = max(left, work[_OFF + k])
    return left > _CLOSE * _CLOSE


@kernel
def _small1(
    own: Any, size: int, rows: int, cos: Any, sin: Any, work: Any, table_c: Any, table_s: Any, table_w: Any
) -> None:  # fmt: skip
    """Do a group of rings in a table with a column for each."""
    _cleared1(work)
    _moments1(table_c, table_s, table_w, rows, work)
    for k in range(size, LANES):
        work[_M + k] = _ONE
    _turn1(work)
    for k in range(size):
        cos[own[k]], sin[own[k]] = work[_COS + k], work[_SIN + k]
    for _ in range(_TILTS):
        if not _left1(work):
            break
        _solve1(work)
        _cleared1(work)
        _tilted1(table_c, table_s, table_w, rows, work)
        for k in range(size, LANES):
            work[_M + k] = _ONE


@kernel
def _cleared1(work: Any) -> None:
    for k in range(_MOMENTS):
        work[k] = _NONE


@kernel
def _add1(weight: Any, c: Any, s: Any, k: int, work: Any) -> None:
    """Add a hit to the moments of lane k."""
    wc = weight * c
    wcc = wc * c
    work[_M + k] += weight
    work[_M1 + k] += wc
    work[_M2 + k] += weight * s
    work[_M11 + k] += wcc
    work[_M12 + k] += wc * s
    work[_M111 + k] += wcc * c
    work[_M112 + k] += wcc * s


@kernel
def _moments1(c: Any, s: Any, w: Any, rows: int, work: Any) -> None:
    """Add the moments of 16 columns of hits."""
    for row in range(rows):
        for k in range(LANES):
            at = row * LANES + k
            _add1(w[at], c[at], s[at], k, work)


@kernel
def _tilted1(c: Any, s: Any, w: Any, rows: int, work: Any) -> None:
    """Tilt 16 columns of hits and add their moments."""
    for row in range(rows):
        for k in range(LANES):
            at = row * LANES + k
            x = work[_A + k] * c[at] + work[_B + k] * s[at]
            weight = w[at] * (_ONE + x * (_ONE + _HALF * x))
            w[at] = weight
            _add1(weight, c[at], s[at], k, work)


@kernel
def _large1(
    c: Any, s: Any, w: Any, first: Any, own: Any, size: int, cos: Any, sin: Any, sums: Any, work: Any
) -> None:  # fmt: skip
    """Do a group of rings of many hits, where these are."""
    for k in range(LANES):
        work[_M + k] = _ONE
        work[_M1 + k] = work[_M2 + k] = work[_M11 + k] = work[_M12 + k] = work[_M111 + k] = work[_M112 + k] = _NONE
    for k in range(size):
        _moments_of1(c, s, w, first[own[k]], first[own[k] + 1], k, sums, work)
    _turn1(work)
    for k in range(size):
        cos[own[k]], sin[own[k]] = work[_COS + k], work[_SIN + k]
    for tilt in range(_TILTS):
        if not _left1(work):
            break
        if tilt > 0:
            for k in range(size):
                if work[_OFF + k] > _CLOSE * _CLOSE:
                    _moments_of1(c, s, w, first[own[k]], first[own[k] + 1], k, sums, work)
        _solve1(work)
        for k in range(size):
            a, b = work[_A + k], work[_B + k]
            if a != _NONE or b != _NONE:
                low, high = first[own[k]], first[own[k] + 1]
                c_, s_, w_ = c[low:high], s[low:high], w[low:high]
                for h in range(len(w_)):
                    x = a * c_[h] + b * s_[h]
                    w_[h] *= _ONE + x * (_ONE + _HALF * x)


@kernel
def _moments_of1(c: Any, s: Any, w: Any, low: int, high: int, k: int, sums: Any, work: Any) -> None:
    """Sum the moments of one ring of many hits, 16 hits side by side, and keep them as those of lane k."""
    for q in range(_MOMENTS):
        sums[q] = _NONE
    rows = (high - low) // LANES
    _moments1(c[low:high], s[low:high], w[low:high], rows, sums)
    for q in range(0, _MOMENTS, LANES):
        for lane in range(8):
            sums[q + lane] += sums[q + 8 + lane]
        for lane in range(4):
            sums[q + lane] += sums[q + 4 + lane]
    m, m1, m2, m11 = _four1(sums, _M), _four1(sums, _M1), _four1(sums, _M2), _four1(sums, _M11)
    m12, m111, m112 = _four1(sums, _M12), _four1(sums, _M111), _four1(sums, _M112)
    c_, s_, w_ = c[low:high], s[low:high], w[low:high]
    for h in range(rows * LANES, high - low):
        wc = w_[h] * c_[h]
        wcc = wc * c_[h]
        m += w_[h]
        m1 += wc
        m2 += w_[h] * s_[h]
        m11 += wcc
        m12 += wc * s_[h]
        m111 += wcc * c_[h]
        m112 += wcc * s_[h]
    work[_M + k], work[_M1 + k], work[_M2 + k], work[_M11 + k] = m, m1, m2, m11
    work[_M12 + k], work[_M111 + k], work[_M112 + k] = m12, m111, m112


@kernel
def _four1(sums: Any, q: int) -> Any:
    return (sums[q] + sums[q + 2]) + (sums[q + 1] + sums[q + 3])


@kernel
def _turn1(work: Any) -> None:
    """Find the turns of a group of rings, and their wanted dipoles as the rings see them before they are turned."""
    for k in range(LANES):
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
    """Find the tilts (a, b) of a group of rings from their moments, and how far from their dipoles that leaves them.

    Rings that are there already, or not to be tilted, get (0, 0).
    """
    for k in range(LANES):
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
        off = work[_OFF + k] > _CLOSE * _CLOSE
        work[_A + k], work[_B + k] = a if off else _NONE, b if off else _NONE
        work[_OFF + k] = r1 * r1 + r2 * r2 if off else _NONE
