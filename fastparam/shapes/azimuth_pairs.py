"""How the hits of a ring lie to each other in azimuth, as a kernel.

What is known is kappa, the mean of cos 2(alpha_i - alpha_j) over pairs of hits of a shower:

* Hits that the simulation merged in cells keep apart. Where each of N cells is hit at most once, kappa = -1/(N - 1), as
  for draws without replacement from any population (W. G. Cochran, Sampling Techniques, 3rd ed., section 2.6).
* Hits of one secondary particle lie together: m of these, equally likely and with a spread sigma in alpha, give
  kappa = exp(-4 sigma^2)/m.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastparam._numba import kernel
from fastparam.random import normal, uniform

__all__ = ["GROUP_SPREAD", "paired1"]

#: Spread in alpha of the hits of a group, rad.
GROUP_SPREAD = 0.3

#: Cells up to which one is drawn after the other; groups beyond which hits are as good as independent.
_MOST = 64

_TOGETHER, _SPREAD = math.exp(-4.0 * GROUP_SPREAD**2), GROUP_SPREAD / (2.0 * math.pi)
_BELOW_ONE = np.float32(1.0 - 2.0**-23)


@kernel
def paired1(state: Any, kappa: float, u: Any) -> None:
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
    """
    n = len(u)
    if n < 2 or kappa == 0.0:
        return
    if kappa > 0.0:
        groups = int(max(_TOGETHER / kappa, 1.0) + uniform(state))
        if groups > _MOST:
            return
        centre = np.empty(_MOST)
        for m in range(groups):
            centre[m] = uniform(state)
        for h in range(n):
            a = centre[int(uniform(state) * groups)] + _SPREAD * normal(state)
            u[h] = min(np.float32(a - math.floor(a)), _BELOW_ONE)
        return
    # Cells lie on a square grid: as many in every quarter.
    cells = max(4 * int(0.25 * (1.0 - 1.0 / kappa) + uniform(state)), 4)
    if cells > _MOST and n < cells:
        # As many even ones as leave the variance of draws without replacement, (N - n)/(N - 1) of independent ones;
        # one or two where hits are few, which are as good as independent: kappa is within 1/64 of 0 here.
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
        if uniform(state) * (cells - j) < n - h:
            u[h] = min((np.float32(j) + u[h]) * per, _BELOW_ONE)
            h += 1


@kernel
def _even1(u: Any, n: int) -> None:
    """Put the first n numbers into n equal parts of (0, 1), one into each."""
    per = np.float32(1.0) / np.float32(max(n, 1))
    for h in range(n):
        u[h] = min((np.float32(h) + u[h]) * per, _BELOW_ONE)
