"""Longitudinal component: gamma profiles whose (ln T, ln alpha) are bivariate normal from shower to shower.

Model (Grindhammer & Peters, hep-ex/0001020, A.1.2), T the depth of the shower maximum in X0, alpha the shape of the
gamma function, y = E / Ec:

    <ln T>          = ln(t0 + t1 ln y)
    <ln alpha>      = ln(a0 + a1 ln y)
    sigma(ln T)     = 1 / (st0 + st1 ln y)
    sigma(ln alpha) = 1 / (sa0 + sa1 ln y)
    rho             = r0 + r1 ln y

Each shower contributes the likelihood of its cell energies (`fit.profiles`), integrated over the population, so that
showers count with what they know and the scatter of the single fits never enters the widths. The population ends at
ln alpha = 0.02, where the sampler draws again. N_eff is measured from the residuals of the profiles themselves: it
holds both the correlation of deposits and what is not gamma-shaped in a cascade.

The covariance is the sandwich of the curvature and of the scores of single showers, since real showers need not follow
a normal population.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from iminuit import Minuit

from fastparam._numba import kernel
from fastparam.errors import FitError
from fastparam.fit.fit import Fit, from_minuit, minimise
from fastparam.fit.profiles import MIN_LN_ALPHA, Profiles, deposits, gamma_fractions, posteriors
from fastparam.shapes.normal import normal_cdf1
from fastparam.summary.points import EnergyPoints, energy_points

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Profiles", "ShowerFits", "evaluate", "fit", "gamma_fractions", "shower_fits"]

Floats = npt.NDArray[np.float64]

NAMES = ("t0", "t1", "a0", "a1", "st0", "st1", "sa0", "sa1", "r0", "r1")

_QUANTITIES = ("mean_ln_t", "mean_ln_alpha", "sigma_ln_t", "sigma_ln_alpha", "rho")

#: Fewest depth cells with energy from which two shape parameters and a normalisation can be told apart.
MIN_CELLS = 4

#: Rounds of fitting the showers under the population and the population to the showers, unless it settles earlier:
#: nothing then moves by more than a fiftieth of its error.
_ROUNDS = 10
_SETTLED = 0.02
_MAX_RHO = 0.98


@kernel
def _marginal(
    theta: Any, parabola: Any, mean_t: Any, mean_a: Any, sigma_t: Any, sigma_a: Any, rho: Any, out: Any
) -> None:
    """Log marginal likelihood of every shower up to a constant: parabola times normal law, integrated.

    The law is normalised above `MIN_LN_ALPHA`.
    """
    for i in range(len(theta)):
        c = 1.0 - rho[i] * rho[i]
        p00, p11 = 1.0 / (sigma_t[i] ** 2 * c), 1.0 / (sigma_a[i] ** 2 * c)
        p01 = -rho[i] / (sigma_t[i] * sigma_a[i] * c)
        d0, d1 = mean_t[i] - theta[i, 0], mean_a[i] - theta[i, 1]
        b0, b1 = parabola[i, 0] + p00 * d0 + p01 * d1, parabola[i, 1] + p01 * d0 + p11 * d1
        a00, a11, a01 = p00 - parabola[i, 2], p11 - parabola[i, 3], p01 - parabola[i, 4]
        det = a00 * a11 - a01 * a01
        out[i] = 0.5 * math.log((p00 * p11 - p01 * p01) / det)
        out[i] += 0.5 * (a11 * b0 * b0 + a00 * b1 * b1 - 2 * a01 * b0 * b1) / det
        out[i] -= 0.5 * (p00 * d0 * d0 + p11 * d1 * d1 + 2 * p01 * d0 * d1)
        out[i] -= math.log(max(normal_cdf1((mean_a[i] - MIN_LN_ALPHA) / sigma_a[i]), 1e-300))


def _log_marginal(theta: Floats, parabola: Floats, law: dict[str, Floats]) -> Floats:
    out = np.empty(len(theta))
    t, alpha, sigma_t, sigma_alpha, rho = (law[q] for q in _QUANTITIES)
    _marginal(theta, parabola, t, alpha, sigma_t, sigma_alpha, rho, out)
    return out


@dataclass(frozen=True)
class ShowerFits:
    """Posterior maxima of (ln T, ln alpha) of single showers, and what they say about the number of deposits.

    Attributes
    ----------
    theta : float64 array (n, 2)
        The population mean for showers that could not be fitted.
    used : bool array (n,)
        Showers with enough cells to be fitted.
    n_eff_law : float64 array (2,)
        ln N_eff = n0 + n1 ln(E / GeV).
    n_eff_covariance : float64 array (2, 2)
    n_eff_points, n_eff_errors : float64 arrays (n_points,)
        N_eff measured at every energy point by itself, and its error; NaN where fewer than 5 showers allow it.
    """

    theta: Floats
    used: npt.NDArray[np.bool_]
    n_eff_law: Floats
    n_eff_covariance: Floats
    n_eff_points: Floats
    n_eff_errors: Floats


def shower_fits(profiles: Profiles, points: EnergyPoints) -> tuple[Fit, ShowerFits]:
    """Fit the population and, under it, every single shower.

    Returns
    -------
    Fit
        Parameters `NAMES`; chi2 is twice the gain in ln L of five free numbers per energy point over the laws.
    ShowerFits

    Raises
    ------
    FitError
        If there are too few depth cells, or too few showers with energy in them.
    """
    used = (profiles.cell_energy > 0).sum(axis=1) >= MIN_CELLS
    n_cells = int((profiles.depths[..., 1] > profiles.depths[..., 0]).any(axis=0).sum())
    if n_cells < MIN_CELLS:
        raise FitError(f"longitudinal: {n_cells} depth cells; a gamma profile needs at least {MIN_CELLS}")
    if used.sum() < 20:
        raise FitError(
            f"longitudinal: {int(used.sum())} of {len(profiles)} showers have energy in {MIN_CELLS} or more depth"
            " cells; at least 20 are needed"
        )
    fitted = replace(
        profiles,
        energy=profiles.energy[used],
        ln_y=profiles.ln_y[used],
        cell_energy=profiles.cell_energy[used],
        depths=profiles.depths[used],
    )
    ln_e, point = np.log(fitted.energy / 1000.0), points.point[used]
    theta = _starting_values(fitted.cell_energy, fitted.depths)
    prior = _wide_prior(theta, fitted.ln_y)
    n_eff = np.full(len(theta), 200.0)
    minuit: Minuit | None = None
    for round_ in range(_ROUNDS):
        parabola = posteriors(fitted, n_eff, prior, theta)
        scatter = deposits(fitted, theta, parabola, prior)
        law, law_covariance, n_eff_points, n_eff_errors = _n_eff_law(*scatter, ln_e, point, len(points))
        n_eff = np.exp(law[0] + law[1] * ln_e)
        if round_ == 0:  # the parabolas were made with a provisional N_eff
            parabola = posteriors(fitted, n_eff, prior, theta)
        before = None if minuit is None else np.array(minuit.values)
        minuit = _population(theta, parabola, fitted.ln_y, minuit)
        now = np.array(minuit.values)
        prior = _prior(now, fitted.ln_y)
        if before is not None and np.all(np.abs(now - before) <= _SETTLED * np.array(minuit.errors)):
            break
    assert minuit is not None
    minimise(minuit)
    fit_ = _as_fit(minuit, theta, parabola, fitted, point, points)
    everything = np.column_stack([evaluate(fit_.values, profiles.ln_y)[q] for q in _QUANTITIES[:2]])
    everything[used] = theta
    return fit_, ShowerFits(everything, used, law, law_covariance, n_eff_points, n_eff_errors)


def fit(profiles: Profiles) -> Fit:
    """Fit the population laws alone; see `shower_fits`."""
    return shower_fits(profiles, energy_points(profiles.energy))[0]


def evaluate(values: Floats, ln_y: Floats) -> dict[str, Floats]:
    """Evaluate the laws: mean_ln_t, mean_ln_alpha, sigma_ln_t, sigma_ln_alpha, rho, each of the shape of `ln_y`."""
    t0, t1, a0, a1, st0, st1, sa0, sa1, r0, r1 = values
    return {
        "mean_ln_t": np.log(t0 + t1 * ln_y),
        "mean_ln_alpha": np.log(a0 + a1 * ln_y),
        "sigma_ln_t": 1.0 / (st0 + st1 * ln_y),
        "sigma_ln_alpha": 1.0 / (sa0 + sa1 * ln_y),
        "rho": r0 + r1 * ln_y,
    }


def _starting_values(cells: Floats, depths: Floats) -> Floats:
    """(ln T, ln alpha) from the moments of each profile (gflash: T = m - v/m, alpha = m^2/v), kept in a sane range."""
    middle = depths.mean(axis=2)
    total = cells.sum(axis=1)
    mean = (cells * middle).sum(axis=1) / total
    variance = np.maximum((cells * middle**2).sum(axis=1) / total - mean**2, 1e-3)
    t = np.clip(mean - variance / mean, 0.2 * mean, mean)
    return np.stack([np.log(t), np.log(np.clip(mean**2 / variance, 1.5, 50.0))], axis=1)


def _wide_prior(theta: Floats, ln_y: Floats) -> Floats:
    """Prior of the first round: straight lines through the starting values, three times their spread."""
    prior = np.zeros((len(theta), 5))
    for j in range(2):
        degree = 1 if np.ptp(ln_y) > 0.05 else 0
        line = np.polynomial.Polynomial.fit(ln_y, theta[:, j], degree)
        prior[:, j] = line(ln_y)
        prior[:, 2 + j] = 1.0 / max(3.0 * float(np.std(theta[:, j] - prior[:, j])), 0.3) ** 2
    return prior


def _n_eff_law(
    chi2: Floats, freedom: Floats, ln_e: Floats, point: npt.NDArray[np.int64], n_points: int
) -> tuple[Floats, Floats, Floats, Floats]:
    """Measure N_eff per energy point (degrees of freedom over the chi2 of one deposit), and fit its power law."""
    value, error, x = np.full(n_points, np.nan), np.full(n_points, np.nan), np.full(n_points, np.nan)
    for p in range(n_points):
        own = (freedom > 0.5) & (point == p)
        n = int(own.sum())
        if n >= 5 and chi2[own].sum() > 0:
            value[p] = freedom[own].sum() / chi2[own].sum()
            deviation = chi2[own] * value[p] - freedom[own]
            error[p] = value[p] * math.sqrt((deviation**2).sum() * n / (n - 1)) / freedom[own].sum()
            x[p] = ln_e[own].mean()
    known = np.isfinite(value) & (error > 0)
    if not known.any():
        raise FitError(
            "longitudinal: no energy point has 5 showers whose profile can be judged; give more showers per energy"
        )
    degree = 1 if known.sum() > 1 else 0
    design = np.vander(x[known], 2, increasing=True)[:, : degree + 1]
    weight = value[known] / error[known]
    covariance = np.linalg.inv((design * weight[:, None] ** 2).T @ design)
    law = np.zeros(2)
    law[: degree + 1] = covariance @ (design * weight[:, None] ** 2).T @ np.log(value[known])
    full = np.zeros((2, 2))
    full[: degree + 1, : degree + 1] = covariance
    return law, full, value, error


def _ends(ln_y: Floats) -> tuple[float, float]:
    low, high = float(ln_y.min()), float(ln_y.max())
    return low, high if high - low > 0.05 else low


def _line(low: float, high: float, a: float, b: float) -> tuple[float, float]:
    """Intercept and slope of the line through (a, low) and (b, high)."""
    slope = (high - low) / (b - a) if b > a else 0.0
    return low - slope * a, slope


def _laws(parameters: Sequence[float], a: float, b: float) -> Floats:
    """From the five quantities at both ends of the range to `NAMES`."""
    p = parameters
    return np.array([_line(p[2 * j], p[2 * j + 1], a, b) for j in range(5)]).ravel()


_END_NAMES = tuple(
    f"{q}_{end}" for q in ("T", "alpha", "inv_sigma_T", "inv_sigma_alpha", "rho") for end in ("low", "high")
)


def _prior(end_values: Floats, ln_y: Floats) -> Floats:
    law = evaluate(_laws(list(end_values), *_ends(ln_y)), ln_y)
    c = 1.0 - law["rho"] ** 2
    return np.column_stack(
        [
            law["mean_ln_t"],
            law["mean_ln_alpha"],
            1.0 / (law["sigma_ln_t"] ** 2 * c),
            1.0 / (law["sigma_ln_alpha"] ** 2 * c),
            -law["rho"] / (law["sigma_ln_t"] * law["sigma_ln_alpha"] * c),
        ]
    )


def _population(theta: Floats, parabola: Floats, ln_y: Floats, previous: Minuit | None) -> Minuit:
    """Maximise the marginal likelihood over the laws, written as their values at both ends of the range in ln y.

    That way limits (positive T, sigma; |rho| < 1) hold over the whole range and the parameters are hardly correlated.
    """
    a, b = _ends(ln_y)

    def cost(*p: float) -> float:
        return -2.0 * float(_log_marginal(theta, parabola, evaluate(_laws(p, a, b), ln_y)).sum())

    if previous is not None:
        start = list(previous.values)
    else:
        t, alpha = np.exp(theta[:, 0]), np.exp(theta[:, 1])
        degree = 1 if b > a else 0
        start = []
        for q in (t, alpha):
            line = np.polynomial.Polynomial.fit(ln_y, q, degree)
            start += [max(float(line(a)), 0.3 * float(q.mean())), max(float(line(b)), 0.3 * float(q.mean()))]
        start += [1 / 0.3, 1 / 0.2, 1 / 0.35, 1 / 0.25, 0.5, 0.5]
    minuit = Minuit(cost, *start, name=_END_NAMES)
    minuit.errordef = Minuit.LEAST_SQUARES
    minuit.strategy = 1
    for name in _END_NAMES:
        if name.startswith("T"):
            minuit.limits[name] = (0.05, None)
        elif name.startswith("alpha"):
            minuit.limits[name] = (1.02, None)
        elif name.startswith("inv"):
            minuit.limits[name] = (0.2, 200.0)
        else:
            minuit.limits[name] = (-_MAX_RHO, _MAX_RHO)
        if b <= a and name.endswith("high"):
            minuit.fixed[name] = True
    minuit.migrad(ncall=20_000)
    return minuit


def _as_fit(
    minuit: Minuit,
    theta: Floats,
    parabola: Floats,
    fitted: Profiles,
    point: npt.NDArray[np.int64],
    points: EnergyPoints,
) -> Fit:
    """Rewrite the fit in terms of `NAMES`, and compare it with free numbers at every energy point."""
    a, b = _ends(fitted.ln_y)
    jacobian = np.zeros((10, 10))
    for k in range(10):
        jacobian[:, k] = _laws([float(k == m) for m in range(10)], a, b)
    ends = from_minuit(minuit, energy=fitted.energy)
    values = _laws(list(ends.values), a, b)
    free: dict[str, list[float]] = {"energy": []}
    gain, n_points = 0.0, 0
    for p in range(len(points)):
        own = point == p
        if own.sum() < 20:
            continue
        single = _population(theta[own], parabola[own], np.zeros(int(own.sum())), None)
        single.hesse()
        constrained = -2.0 * float(_log_marginal(theta[own], parabola[own], evaluate(values, fitted.ln_y[own])).sum())
        gain += constrained - float(single.fval)
        n_points += 1
        covariance = _sandwich(single, theta[own], parabola[own], np.zeros(int(own.sum())))
        e = np.sqrt(np.maximum(np.diag(covariance), 0.0))[::2]
        t, alpha, inv_t, inv_a, rho = (float(single.values[2 * j]) for j in range(5))
        numbers = [math.log(t), math.log(alpha), 1 / inv_t, 1 / inv_a, rho]
        errors = [e[0] / t, e[1] / alpha, e[2] / inv_t**2, e[3] / inv_a**2, e[4]]
        free["energy"].append(float(points.energy[p]))
        for q, v, s in zip(_QUANTITIES, numbers, errors, strict=True):
            free.setdefault(q, []).append(v)
            free.setdefault(f"{q}_error", []).append(float(s))
    n_parameters = 10 if b > a else 5
    return replace(
        ends,
        names=NAMES,
        values=values,
        covariance=jacobian @ _sandwich(minuit, theta, parabola, fitted.ln_y) @ jacobian.T,
        chi2=gain,
        ndf=max(5 * n_points - n_parameters, 0),
        points={k: np.array(v) for k, v in free.items()},
    )


def _sandwich(minuit: Minuit, theta: Floats, parabola: Floats, ln_y: Floats) -> Floats:
    """Covariance H^-1 B H^-1 of the values at the ends, with B from the scores of single showers; 0 where fixed."""
    values = np.array(minuit.values)
    scores = np.zeros((len(theta), len(values)))
    for k in (k for k, fixed in enumerate(minuit.fixed) if not fixed):
        step = 1e-4 * max(abs(values[k]), 0.1)
        sides = []
        for sign in (1.0, -1.0):
            moved = values.copy()
            moved[k] += sign * step
            sides.append(_log_marginal(theta, parabola, evaluate(_laws(list(moved), *_ends(ln_y)), ln_y)))
        scores[:, k] = (sides[0] - sides[1]) / (2.0 * step)
    inverse = np.nan_to_num(np.array(minuit.covariance)) if minuit.covariance is not None else np.zeros((10, 10))
    # At the maximum each parameter has used up one shower's worth of scatter.
    unused = len(theta) / (len(theta) - minuit.nfit)
    covariance: Floats = unused * inverse @ (scores.T @ scores) @ inverse
    return covariance
