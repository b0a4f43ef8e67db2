"""Likelihood of a population from what its showers say: every shower integrated over, with the slope of ln L.

A shower is a parabola in (ln T, ln alpha) in place of its ln L (`fit.profiles`), or a sum of such over the depths at
which it may start (`fit.starts`). Their product with a normal law has a closed integral, and so has its derivative by
each quantity of the law: minimisers need no differences.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from fastparam._numba import kernel
from fastparam.fit.population import LIMITS, QUANTITIES
from fastparam.fit.profiles import MIN_LN_ALPHA
from fastparam.shapes.normal import normal_cdf1

__all__ = ["N_QUANTITIES", "Cost", "log_marginal", "slopes_at_knots"]

Floats = npt.NDArray[np.float64]

#: Quantities of the law, and the mean path.
N_QUANTITIES = 6

#: Leaving out a shower moves the maximum by at most this times what first order says.
_MOST = 2.0

_SQRT_TWO_PI = math.sqrt(2.0 * math.pi)


@kernel
def _marginal(
    theta: Any, parabola: Any, offset: Any, depth: Any, law: Any, path: Any, out: Any, slope: Any, work: Any,
    of_node: Any,
) -> None:  # fmt: skip
    """Log marginal likelihood of every shower, and its slope by the five quantities of the law and the mean path."""
    for i in range(len(theta)):
        mean_t, mean_a, sigma_t, sigma_a, rho = law[i, 0], law[i, 1], law[i, 2], law[i, 3], law[i, 4]
        c = 1.0 - rho * rho
        p00, p11 = 1.0 / (sigma_t**2 * c), 1.0 / (sigma_a**2 * c)
        p01 = -rho / (sigma_t * sigma_a * c)
        ln_p = math.log(p00 * p11 - p01 * p01)
        best = -np.inf
        for k in range(theta.shape[1]):
            of_node[k] = -np.inf
            if offset[i, k] == -np.inf:
                continue
            d0, d1 = mean_t - theta[i, k, 0], mean_a - theta[i, k, 1]
            b0 = parabola[i, k, 0] + p00 * d0 + p01 * d1
            b1 = parabola[i, k, 1] + p01 * d0 + p11 * d1
            a00, a11, a01 = p00 - parabola[i, k, 2], p11 - parabola[i, k, 3], p01 - parabola[i, k, 4]
            det = a00 * a11 - a01 * a01
            value = offset[i, k] + 0.5 * (ln_p - math.log(det))
            value += 0.5 * (a11 * b0 * b0 + a00 * b1 * b1 - 2.0 * a01 * b0 * b1) / det
            value -= 0.5 * (p00 * d0 * d0 + p11 * d1 * d1 + 2.0 * p01 * d0 * d1)
            if path[i] > 0.0:
                value -= math.log(path[i]) + depth[i, k] / path[i]
            of_node[k] = value
            best = max(best, value)
            # Posterior: mean minus the law's, and covariance.
            e0, e1 = (a11 * b0 - a01 * b1) / det - d0, (a00 * b1 - a01 * b0) / det - d1
            v00, v11, v01 = a11 / det + e0 * e0, a00 / det + e1 * e1, -a01 / det + e0 * e1
            s00 = p00 * (v00 * p00 + v01 * p01) + p01 * (v01 * p00 + v11 * p01) - p00
            s11 = p01 * (v00 * p01 + v01 * p11) + p11 * (v01 * p01 + v11 * p11) - p11
            s01 = p00 * (v00 * p01 + v01 * p11) + p01 * (v01 * p01 + v11 * p11) - p01
            work[k, 0] = p00 * e0 + p01 * e1
            work[k, 1] = p01 * e0 + p11 * e1
            work[k, 2] = s00 * sigma_t + s01 * rho * sigma_a
            work[k, 3] = s11 * sigma_a + s01 * rho * sigma_t
            work[k, 4] = s01 * sigma_t * sigma_a
            work[k, 5] = (depth[i, k] / path[i] - 1.0) / path[i] if path[i] > 0.0 else 0.0
        for j in range(6):
            slope[i, j] = 0.0
        total = 0.0
        for k in range(theta.shape[1]):
            if of_node[k] > -np.inf:
                w = math.exp(of_node[k] - best)
                total += w
                for j in range(6):
                    slope[i, j] += w * work[k, j]
        for j in range(6):
            slope[i, j] /= total
        u = (mean_a - MIN_LN_ALPHA) / sigma_a
        inside = max(normal_cdf1(u), 1e-300)
        density = math.exp(-0.5 * u * u) / _SQRT_TWO_PI / inside
        out[i] = best + math.log(total) - math.log(inside)
        slope[i, 1] -= density / sigma_a
        slope[i, 3] += density * u / sigma_a


def log_marginal(
    theta: Floats,
    parabola: Floats,
    law: dict[str, Floats],
    *,
    offset: Floats | None = None,
    depth: Floats | None = None,
    path: Floats | None = None,
) -> tuple[Floats, Floats]:
    """Log marginal likelihood of n showers under a law, up to a constant per shower, and its slope.

    Parameters
    ----------
    theta, parabola : float64 arrays (n, 2), (n, 5) or (n, K, 2), (n, K, 5)
        Of `profiles.posteriors`, or at K starts.
    law : dict of float64 arrays (n,)
        `population.QUANTITIES` of every shower.
    offset : float64 array (n, K), optional
        ln L of every start beyond what parabola and law say, its weight included; minus infinity leaves it out.
    depth : float64 array (n, K), optional
        The starts in X0.
    path : float64 array (n,), optional
        Mean path to the start in X0.

    Returns
    -------
    ln_l : float64 array (n,)
    slope : float64 array (n, 6)
        By `population.QUANTITIES` and `path`.
    """
    if theta.ndim == 2:
        theta, parabola = theta[:, None], parabola[:, None]
    n, k = theta.shape[:2]
    zero = np.zeros((n, k))
    out, slope = np.empty(n), np.empty((n, N_QUANTITIES))
    _marginal(
        theta, parabola, zero if offset is None else offset, zero if depth is None else depth,
        np.column_stack([law[q] for q in QUANTITIES]), np.zeros(n) if path is None else path, out, slope,
        np.empty((k, N_QUANTITIES)), np.empty(k),
    )  # fmt: skip
    return out, slope


def slopes_at_knots(slope: Floats, values: Floats, basis: Floats) -> Floats:
    """Slopes (n, 5 K) by the values at the knots of exp<ln T>, exp<ln alpha>, 1/sigma(ln T), 1/sigma(ln alpha), rho.

    Parameters
    ----------
    slope : float64 array (n, >= 5)
        By `population.QUANTITIES`.
    values : float64 array (5 K,)
        At the knots, quantity by quantity.
    basis : float64 array (n, K)
        Contribution of every knot to every shower.
    """
    fitted = np.reshape(values, (5, -1)) @ basis.T
    inner = np.stack([1 / fitted[0], 1 / fitted[1], -1 / fitted[2] ** 2, -1 / fitted[3] ** 2, np.ones(len(basis))])
    if basis.shape[1] > 2:  # splines are kept within limits
        low, high = np.array(LIMITS).T[:, :, None]
        inner *= (fitted > low) & (fitted < high)
    by_knot: Floats = (slope[:, :5] * inner.T)[:, :, None] * basis[:, None, :]
    return by_knot.reshape(len(basis), -1)


class Cost:
    """-2 ln L and its slope for Minuit, which asks for both at the same values one after the other.

    Parameters
    ----------
    of_showers : callable
        Returns ln L of every shower (n,) and its slopes (n, m) at values (m,).
    constraint : callable, optional
        Returns a chi2 to be added and its slope (m,).
    information : float64 array (m, m), optional
        Of the constraint: half the second derivatives of its chi2.
    """

    def __init__(
        self,
        of_showers: Callable[[Floats], tuple[Floats, Floats]],
        constraint: Callable[[Floats], tuple[float, Floats]] | None = None,
        information: Floats | None = None,
    ) -> None:
        self.of_showers, self.constraint, self.information = of_showers, constraint, information
        self._last: tuple[Floats, float, Floats] | None = None

    def both(self, values: Floats) -> tuple[float, Floats]:
        """Value and slope."""
        if self._last is None or not np.array_equal(self._last[0], values):
            ln_l, slopes = self.of_showers(values)
            cost, slope = -2.0 * float(ln_l.sum()), -2.0 * slopes.sum(axis=0)
            if self.constraint is not None:
                chi2, of_chi2 = self.constraint(values)
                cost, slope = cost + chi2, slope + of_chi2
            self._last = np.array(values), cost, slope
        return self._last[1], self._last[2]

    def __call__(self, values: Floats) -> float:
        """Value alone."""
        return self.both(values)[0]

    def slope(self, values: Floats) -> Floats:
        """Slope alone, shape (m,)."""
        return self.both(values)[1]

    def of_second_order(self, values: Floats) -> tuple[Floats, Floats]:
        """Covariance and bias of the values at the maximum of the likelihood, whatever law showers really follow.

        With the score s_i of shower i, its negative slope J_i, J their sum over showers and T the second derivatives
        of the total score, shower i moves the maximum by e_i = J^-1 s_i to first order, and leaving it out does so by
        d_i = (J - J_i)^-1 s_i. The covariance is the sum of the squares of (d_i + e_i) / 2. The sum of e_i e_i, the
        sandwich of curvature and scores, is too small for few showers, that of d_i d_i, the jackknife, too large; this
        mean is right where scores have the variance that the law says (J. G. MacKinnon and H. White, J. Econometrics
        29 (1985) 305: "HC2" lies between "HC0" and "HC3"). The bias to first order in 1/n is

            J^-1 (-sum_i J_i e_i + 1/2 sum_i T e_i e_i)

        (D. R. Cox and E. J. Snell, J. R. Stat. Soc. B 30 (1968) 248, with sums over showers for expectations). For the
        width of a normal law whose mean is fitted that is the n / (n - 1) of every textbook.

        Returns
        -------
        covariance : float64 array (m, m)
        bias : float64 array (m,)
        """
        m = len(values)
        score = self.of_showers(values)[1]
        own = np.empty((len(score), m, m))
        for k in range(m):
            step = np.zeros(m)
            step[k] = 1e-3 * max(abs(float(values[k])), 0.1)
            own[:, :, k] = (self.of_showers(values - step)[1] - self.of_showers(values + step)[1]) / (2.0 * step[k])
        known = np.zeros((m, m)) if self.information is None else self.information
        total = own.sum(axis=0) + known
        total = 0.5 * (total + total.T)
        inverse = np.linalg.pinv(total, hermitian=True)
        without = total - 0.5 * (own + own.transpose(0, 2, 1))
        try:
            moves = np.linalg.solve(without, score[:, :, None])[:, :, 0]
        except np.linalg.LinAlgError:  # a value that only one shower knows
            moves = score @ inverse
        # The constraint is a score of its own, whose variance is its information.
        plain = score @ inverse
        # A shower that alone decides on a value would move it anywhere.
        length = [np.sqrt(np.maximum(np.einsum("ni,ij,nj->n", d, total, d), 0.0)) for d in (moves, plain)]
        moves *= np.minimum(1.0, _MOST * length[1] / np.maximum(length[0], 1e-300))[:, None]
        middle = 0.5 * (moves + plain)
        covariance = middle.T @ middle + inverse @ known @ inverse
        bend = np.zeros(m)
        scale, axes = np.linalg.eigh(plain.T @ plain + inverse @ known @ inverse)
        for c, axis in zip(scale, axes.T, strict=True):
            if c > 0.0:
                step = 0.1 * np.sqrt(c) * axis
                sides = self.of_showers(values + step)[1].sum(axis=0) + self.of_showers(values - step)[1].sum(axis=0)
                bend += (sides - 2.0 * score.sum(axis=0)) / 0.01
        bias = inverse @ (0.5 * bend - np.einsum("nij,nj->i", own, plain))
        return covariance, bias
