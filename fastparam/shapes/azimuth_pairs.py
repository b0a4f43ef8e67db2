"""How the hits of a ring lie to each other in azimuth, as a kernel.

What is known is kappa, the mean of cos 2(alpha_i - alpha_j) over pairs of hits of a shower:

* Hits that the simulation merged in cells keep apart. Where each of N cells is hit at most once, kappa = -1/(N - 1), as
  for draws without replacement from any population (W. G. Cochran, Sampling Techniques, 3rd ed., section 2.6).
* Hits of one secondary particle lie together: m of these, equally likely and each with hits evenly within a width w of
  its azimuth on both sides, give kappa = (sin(2w)/(2w))^2/m.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastparam._numba import kernel
from fastparam.random import uniform

__all__ = ["GROUP_WIDTH", "paired1"]

#: Width in alpha of the hits of a group on both sides, rad.
GROUP_WIDTH = 0.5

#: Cells up to which one is drawn after the other: beyond, some of the hits lie evenly, which is as good and faster.
_CELLS = 16

#: What a correlation must change of a variance to be worth the work.
_SEEN = 0.02

_TOGETHER = (math.sin(2.0 * GROUP_WIDTH) / (2.0 * GROUP_WIDTH)) ** 2
_WIDTH, _HALF, _NONE, _ONE = np.float32(GROUP_WIDTH / math.pi), np.float32(0.5), np.float32(0.0), np.float32(1.0)
_SMALLEST, _BELOW_ONE = np.float32(2.0**-24), np.float32(1.0 - 2.0**-23)


@kernel
def paired1(state: Any, kappa: float, u: Any, fresh: Any, space: Any) -> None:
    """Give the azimuths of a ring's hits a pair correlation kappa.

    Parameters
    ----------
    state : uint64 array (2,)
        Stream of random numbers.
    kappa : float
        0: they stay as they are.
    u : float32 array (n,)
        Probabilities to lie at a smaller azimuth: uniform in (0, 1), independent of each other before. Taken one by
        one at random, they are uniform afterwards.
    fresh, space : float32 arrays (n,)
        Further uniform numbers in (0, 1), and space.
    """
    n = len(u)
    if abs(kappa) * (n - 1) < _SEEN:
        return
    if kappa > 0.0:
        # One of the two whole numbers beside 1/q, so that q = 1/m on average.
        q = min(kappa / _TOGETHER, 1.0)
        m = math.floor(1.0 / q)
        m += (1.0 / m - q) * m * (m + 1.0) > uniform(state)
        _grouped1(np.float32(m), u, fresh, space)
        return
    # Cells lie on a square grid: as many in every quarter.
    cells = max(4 * int(0.25 * (1.0 - 1.0 / kappa) + uniform(state)), 4)
    if cells > _CELLS and n < cells:
        # As many even ones as leave the variance of draws without replacement, (N - n)/(N - 1) of independent ones;
        # one or two where hits are few, which are as good as independent: kappa is within 1/16 of 0 here.
        _even1(u, int((n - 1.0) / (cells - 1.0) * n + uniform(state)))
        return
    h = 0
    while n - h >= cells:
        _even1(u[h:], cells)
        h += cells
    # Cell after cell is hit with the probability that is left for it (D. E. Knuth, The Art of Computer Programming 2,
    # section 3.4.2, algorithm S).
    per = np.float32(1.0) / np.float32(cells)
    for j in range(cells):
        if h == n:
            return
        hit = uniform(state) * (cells - j) < n - h
        inside = min((np.float32(j) + u[h]) * per, _BELOW_ONE)
        u[h] = inside if hit else u[h]
        h += hit


@kernel
def _grouped1(groups: Any, u: Any, fresh: Any, centre: Any) -> None:
    """Put hits into equally likely groups: each joins one that has hits already, or is the first of another."""
    found = np.int32(0)
    for h in range(len(u)):
        # The whole part says which group, what is left of it where in the group.
        x = u[h] * groups
        m = np.int32(x)
        centre[found] = fresh[h]
        own = min(m, found)
        found += own == found
        a = centre[np.uint64(own)] + _WIDTH * (x - np.float32(m) - _HALF)
        a += _ONE if a < _NONE else _NONE
        a -= _ONE if a >= _ONE else _NONE
        u[h] = min(max(a, _SMALLEST), _BELOW_ONE)


@kernel
def _even1(u: Any, n: int) -> None:
    """Put the first n numbers into n equal parts of (0, 1), one into each."""
    per = np.float32(1.0) / np.float32(max(n, 1))
    for h in range(n):
        u[h] = min((np.float32(h) + u[h]) * per, _BELOW_ONE)
