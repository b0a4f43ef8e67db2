"""Marginals of the shape: the distributions of (ln T, ln alpha) of photons as they are, in place of normal ones.

Where a photon converts late its whole shower is late, so that ln T and even more ln alpha are skew. Means, widths and
correlation stay those of the classical laws; standard normal numbers z are replaced by

    ln T = <ln T> + sigma(ln T) h_T(z_T),    ln alpha = <ln alpha> + sigma(ln alpha) h_alpha(z_alpha),

h = Q(Phi(z)) from the quantile function Q of the standardised quantity (mean 0, variance 1), tabulated at three
energies and linear in ln E between them. z_T and z_alpha stay jointly normal, with the correlation that gives h_T and
h_alpha the one of the law.

The distributions have the measurement error of single showers taken out: smoothed expectation maximisation (B. W.
Silverman et al., J. R. Stat. Soc. B 52 (1990) 271) of the mixing density behind what each shower says of itself.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from fastparam.fit import population
from fastparam.fit.fit import Fit
from fastparam.fit.longitudinal import ShowerFits
from fastparam.fit.population import QUANTITIES
from fastparam.fit.profiles import Profiles, posteriors
from fastparam.fit.tables import Tables
from fastparam.shapes import normal

__all__ = ["Z_LAST", "Z_STEP", "Z", "correlation", "evaluate", "fit"]

Floats = npt.NDArray[np.float64]

#: Normal numbers at which h is tabulated: -Z_LAST to Z_LAST; a straight line beyond.
Z_LAST, Z_STEP = 4.0, 0.25
Z = np.arange(-Z_LAST, Z_LAST + 0.5 * Z_STEP, Z_STEP)

#: Energies at which the distributions are tabulated, if each then rests on this many showers.
_KNOTS = 3
_SHOWERS_PER_KNOT = 100

_GRID = np.linspace(-6.0, 6.0, 241)
_ITERATIONS = 50

#: Width of the smoothing in every iteration, in units of the spread; Silverman's rule with half its constant.
_SMOOTHING = 0.45

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(64)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
_MAX_CORRELATION = 0.995


def fit(profiles: Profiles, single: ShowerFits, law: Fit) -> Tables:
    """Tabulate the marginals of showers whose population `law` and `single` are from `longitudinal.shower_fits`.

    Returns
    -------
    Tables
        "ln_y" (K,), "t" and "alpha" (K, len(Z)): h_T and h_alpha; "copula" (K,): the correlation of the normal numbers
        over that of the law.
    """
    fitted = profiles.take(single.used)
    n_eff = np.exp(single.n_eff_law[0] + single.n_eff_law[1] * np.log(fitted.energy / 1000.0))
    laws = population.evaluate(law, fitted.ln_y)
    mean = np.column_stack([laws[q] for q in QUANTITIES[:2]])
    sigma = np.column_stack([laws[q] for q in QUANTITIES[2:4]])
    mu, covariance = _posterior_moments(fitted, n_eff, laws, single.theta[single.used])
    n_knots = _KNOTS if len(fitted) >= _KNOTS * _SHOWERS_PER_KNOT and np.ptp(fitted.ln_y) > 1.0 else 1
    knots = np.quantile(fitted.ln_y, np.linspace(0.0, 1.0, n_knots)) if n_knots > 1 else fitted.ln_y[:1]
    weights = _hats(fitted.ln_y, knots)
    tables = np.empty((2, n_knots, len(Z)))
    for j in range(2):
        variance = np.clip(covariance[:, j] / sigma[:, j] ** 2, 1e-6, 1.0 - 1e-6)
        precision = 1.0 / variance - 1.0
        centre = (mu[:, j] - mean[:, j]) / sigma[:, j] / variance / precision
        for k in range(n_knots):
            tables[j, k] = _standardised(centre, precision, weights[:, k])
    rho = np.interp(knots, np.sort(fitted.ln_y), laws["rho"][np.argsort(fitted.ln_y)])
    copula = np.array([_copula(tables[0, k], tables[1, k], float(rho[k])) for k in range(n_knots)])
    return Tables({"ln_y": knots, "t": tables[0], "alpha": tables[1], "copula": copula})


def evaluate(tables: Tables, ln_y: Floats) -> tuple[Floats, Floats]:
    """Return h_T and h_alpha at `Z`, (n, 2, len(Z)), and the factor (n,) of the correlation, linear in ln E."""
    basis = _hats(ln_y, tables["ln_y"])
    h = np.stack([basis @ tables["t"], basis @ tables["alpha"]], axis=1)
    return h, basis @ tables["copula"]


def correlation(h_t: Floats, h_alpha: Floats, r: Floats) -> Floats:
    """Correlation of h_T(z_T) and h_alpha(z_alpha) for normal numbers of correlation r (Mehler's series)."""
    a, b = (_coefficients(h) for h in (h_t, h_alpha))
    norm = np.sqrt((a**2).sum() * (b**2).sum())
    series: Floats = (a * b * np.asarray(r)[..., None] ** np.arange(1, len(a) + 1)).sum(axis=-1) / norm
    return series


def _posterior_moments(
    fitted: Profiles, n_eff: Floats, laws: dict[str, Floats], theta: Floats
) -> tuple[Floats, Floats]:
    """Mean (n, 2) and variances (n, 2) of the posterior of (ln T, ln alpha) under the normal population."""
    c = 1.0 - laws["rho"] ** 2
    sigma_t, sigma_a = laws["sigma_ln_t"], laws["sigma_ln_alpha"]
    p00, p11, p01 = 1.0 / (sigma_t**2 * c), 1.0 / (sigma_a**2 * c), -laws["rho"] / (sigma_t * sigma_a * c)
    prior = np.column_stack([laws["mean_ln_t"], laws["mean_ln_alpha"], p00, p11, p01])
    at = theta.copy()
    parabola = posteriors(fitted, n_eff, prior, at)
    a00, a11, a01 = p00 - parabola[:, 2], p11 - parabola[:, 3], p01 - parabola[:, 4]
    d0, d1 = prior[:, 0] - at[:, 0], prior[:, 1] - at[:, 1]
    b0, b1 = parabola[:, 0] + p00 * d0 + p01 * d1, parabola[:, 1] + p01 * d0 + p11 * d1
    determinant = a00 * a11 - a01**2
    shift = np.column_stack([a11 * b0 - a01 * b1, a00 * b1 - a01 * b0]) / determinant[:, None]
    return at + shift, np.column_stack([a11, a00]) / determinant[:, None]


def _hats(x: Floats, knots: Floats) -> Floats:
    """Weights (n, K) of linear interpolation between the knots, constant beyond them."""
    unit = np.eye(len(knots))
    return np.column_stack([np.interp(x, knots, unit[k]) for k in range(len(knots))])


def _standardised(centre: Floats, precision: Floats, weight: Floats) -> Floats:
    """H(Z) of the density behind measurements `centre` of inverse variance `precision`, each counted `weight` times."""
    used = weight > 1e-3
    centre, precision, weight = centre[used], precision[used], weight[used] / weight[used].sum()
    ln_l = -0.5 * precision[:, None] * (_GRID - centre[:, None]) ** 2
    likelihood = np.exp(ln_l - ln_l.max(axis=1, keepdims=True))
    width = _SMOOTHING * (1.0 / (weight**2).sum()) ** -0.2
    kernel = np.exp(-0.5 * ((_GRID[:, None] - _GRID) / width) ** 2)
    kernel /= kernel.sum(axis=0)
    density = np.exp(-0.5 * _GRID**2)
    density /= density.sum()
    for _ in range(_ITERATIONS):
        expected = likelihood @ density
        density = kernel @ (density * (likelihood.T @ (weight / np.maximum(expected, 1e-300))))
        density /= density.sum()
    mean = density @ _GRID
    spread = math.sqrt(density @ (_GRID - mean) ** 2)
    step = _GRID[1] - _GRID[0]
    cumulative = np.concatenate([[0.0], np.cumsum(density)])
    edges = np.concatenate([_GRID - 0.5 * step, [_GRID[-1] + 0.5 * step]])
    # A floor keeps the cumulative growing where no shower is.
    rising = cumulative * (1.0 - 1e-9) + 1e-9 * np.linspace(0.0, 1.0, len(cumulative))
    h = (np.interp(normal.cdf(Z), rising, edges) - mean) / spread
    # Exactly mean 0 and variance 1 under interpolation in Z, as the sampler reads it.
    own = _interpolated(h, _NODES)
    centre_, variance = own @ _WEIGHTS, own**2 @ _WEIGHTS - (own @ _WEIGHTS) ** 2
    standard: Floats = (h - centre_) / math.sqrt(variance)
    return standard


def _interpolated(h: Floats, z: Floats) -> Floats:
    """Linear interpolation of h, a straight line beyond the ends."""
    u = (z + Z_LAST) / Z_STEP
    k = np.clip(np.floor(u).astype(np.int64), 0, len(h) - 2)
    value: Floats = h[k] + (u - k) * (h[k + 1] - h[k])
    return value


def _coefficients(h: Floats, order: int = 20) -> Floats:
    """sqrt(n!) times the Hermite coefficients 1 to `order` of h."""
    values = _interpolated(h, _NODES) * _WEIGHTS
    found = []
    for n in range(1, order + 1):
        polynomial = np.polynomial.hermite_e.hermeval(_NODES, [0.0] * n + [1.0])
        found.append((values @ polynomial) / math.sqrt(math.factorial(n)))
    return np.array(found)


def _copula(h_t: Floats, h_alpha: Floats, rho: float) -> float:
    """Correlation of the normal numbers over that of the standardised quantities, for a wanted rho of the latter."""
    if abs(rho) < 1e-3:
        return 1.0
    r = np.linspace(-_MAX_CORRELATION, _MAX_CORRELATION, 400)
    return float(np.interp(rho, correlation(h_t, h_alpha, r), r)) / rho
