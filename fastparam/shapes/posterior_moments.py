"""Mean and covariance of a density of two variables by quadrature, with nodes spread by a parabola at its maximum.

Nodes are Gauss-Hermite's (M. Abramowitz & I. A. Stegun, 25.4.46) for a normal density with the precision of the
parabola; each counts with the density over that normal one.
"""

from __future__ import annotations

import math
from typing import Any

from fastparam._numba import kernel

__all__ = ["moments1", "spread1"]

#: A covariance whose determinant is below this share of the parabola's means that a single node holds everything.
_SINGLE = 1e-3


@kernel
def spread1(a00: float, a11: float, a01: float) -> tuple[float, float, float]:
    """Return l00, l10, l11 of the lower triangular L with L L^T the inverse of a precision (a00, a11, a01)."""
    det = a00 * a11 - a01 * a01
    l00 = math.sqrt(a11 / det)
    l10 = -a01 / det / l00
    return l00, l10, math.sqrt(max(a00 / det - l10 * l10, 0.0))


@kernel
def moments1(ln_values: Any, nodes: Any, ln_weights: Any, l00: float, l10: float, l11: float, out: Any) -> float:
    """Fill the mean and the covariance (tt, aa, ta) about the maximum; return the sum of the weights.

    Parameters
    ----------
    ln_values : float64 array (J,)
        ln of the density at every node over that at the maximum; -inf where there is none.
    nodes : float64 array (J, 2)
        Standard normal places; the node lies at L times that from the maximum.
    ln_weights : float64 array (J,)
        ln of a node's weight over the normal density there.
    l00, l10, l11 : float
        From `spread1`.
    out : float64 array (5,)
        Where a single node holds everything, a profile far from anything that its cells show: that of the parabola.

    Returns
    -------
    float
        Times l00 l11, the integral of the density over that at its maximum.
    """
    s, s0, s1, s00, s11, s01 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for j in range(len(nodes)):
        if ln_values[j] == -math.inf:
            continue
        u, v = l00 * nodes[j, 0], l10 * nodes[j, 0] + l11 * nodes[j, 1]
        w = math.exp(min(ln_values[j] + ln_weights[j], 100.0))
        s += w
        s0 += w * u
        s1 += w * v
        s00 += w * u * u
        s11 += w * v * v
        s01 += w * u * v
    v00, v11, v01 = s00 / s - (s0 / s) ** 2, s11 / s - (s1 / s) ** 2, s01 / s - s0 * s1 / s**2
    if v00 * v11 - v01 * v01 > _SINGLE * (l00 * l11) ** 2:
        out[0], out[1], out[2], out[3], out[4] = s0 / s, s1 / s, v00, v11, v01
    else:
        out[0], out[1], out[2], out[3], out[4] = 0.0, 0.0, l00 * l00, l10 * l10 + l11 * l11, l00 * l10
    return s
