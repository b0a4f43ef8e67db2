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

A law of another kind, `spline`, has knots in ln y in place of straight lines (`fit.population`).

The covariance is the sandwich of the curvature and of the scores of single showers, since real showers need not follow
a normal population.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from iminuit import Minuit

from fastparam.errors import FitError
from fastparam.fit import population
from fastparam.fit.fit import Fit, from_minuit, minimise
from fastparam.fit.marginal import Cost, log_marginal, slopes_at_knots
from fastparam.fit.population import LIMITS, NAMES, QUANTITIES, Kind, PopulationLaw, evaluate
from fastparam.fit.profiles import Profiles, deposits, gamma_fractions, posterior_nodes, posteriors
from fastparam.summary.points import EnergyPoints, energy_points

__all__ = [
    "NAMES", "Profiles", "ShowerFits", "deposits_law", "evaluate", "fit", "gamma_fractions", "law_from_knots",
    "prior_from_knots", "shower_fits", "unbiased", "values_at_knots",
]  # fmt: skip

Floats = npt.NDArray[np.float64]

#: Fewest depth cells with energy from which two shape parameters and a normalisation can be told apart.
MIN_CELLS = 4

#: Rounds of fitting the showers under the population and the population to the showers, unless it settles earlier:
#: nothing then moves by more than a fiftieth of its error.
_ROUNDS = 10
_SETTLED = 0.02


@dataclass(frozen=True)
class ShowerFits:
    """Posterior maxima of (ln T, ln alpha) of single showers, and what they say about the number of deposits.

    Attributes
    ----------
    theta : float64 array (n, 2)
        The population mean for showers that could not be fitted.
    nodes : float64 array (n, K, 2)
        (ln T, ln alpha) of weights `profiles.NODE_WEIGHTS` that stand for each posterior, or for the population.
    used : bool array (n,)
        Showers with enough cells to be fitted.
    n_eff_law : float64 array (2,)
        ln N_eff = n0 + n1 ln(E / GeV).
    n_eff_covariance : float64 array (2, 2)
    n_eff_points, n_eff_errors : float64 arrays (n_points,)
        N_eff measured at every energy point by itself, and its error; NaN where fewer than 5 showers allow it.
    """

    theta: Floats
    nodes: Floats
    used: npt.NDArray[np.bool_]
    n_eff_law: Floats
    n_eff_covariance: Floats
    n_eff_points: Floats
    n_eff_errors: Floats


def shower_fits(
    profiles: Profiles, points: EnergyPoints, *, law: Kind = "linear", start: Fit | None = None
) -> tuple[Fit, ShowerFits]:
    """Fit the population and, under it, every single shower.

    Parameters
    ----------
    profiles : Profiles
    points : EnergyPoints
    law : str
        "linear" or "spline"; see `fit.population`. A spline needs three energy points of 30 showers, else the law is
        linear.
    start : Fit, optional
        An earlier fit to begin with.

    Returns
    -------
    Fit
        Parameters `NAMES`, or those of the spline. chi2 is twice the gain in ln L of five free numbers per energy
        point over the laws.
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
    form = population.choose(law, profiles.ln_y, points)
    basis = form.basis(fitted.ln_y)
    theta = _starting_values(fitted.cell_energy, fitted.depths)
    if start is None:
        prior, values = _wide_prior(theta, fitted.ln_y), None
    else:
        values = values_at_knots(start, form)
        prior = prior_from_knots(values, basis)
    n_eff = np.full(len(theta), 200.0)
    minuit: Minuit | None = None
    for round_ in range(_ROUNDS):
        parabola = posteriors(fitted, n_eff, prior, theta)
        scatter = deposits(fitted, theta, parabola, prior)
        n_eff_law, law_covariance, n_eff_points, n_eff_errors = deposits_law(*scatter, ln_e, point, len(points))
        n_eff = np.exp(n_eff_law[0] + n_eff_law[1] * ln_e)
        if round_ == 0:  # the parabolas were made with a provisional N_eff
            parabola = posteriors(fitted, n_eff, prior, theta)
        before = values
        minuit = _population(theta, parabola, basis, values)
        values = np.array(minuit.values)
        prior = prior_from_knots(values, basis)
        if before is not None and np.all(np.abs(values - before) <= _SETTLED * np.array(minuit.errors)):
            break
    assert minuit is not None
    minimise(minuit)
    fit_ = _as_fit(minuit, form, theta, parabola, fitted, point, points)
    everything = np.column_stack([evaluate(fit_, profiles.ln_y)[q] for q in QUANTITIES[:2]])
    of_population = prior_from_knots(np.array(minuit.values), form.basis(profiles.ln_y))
    nodes = posterior_nodes(everything, np.zeros((len(profiles), 5)), of_population)
    everything[used], nodes[used] = theta, posterior_nodes(theta, parabola, prior)
    return fit_, ShowerFits(everything, nodes, used, n_eff_law, law_covariance, n_eff_points, n_eff_errors)


def fit(profiles: Profiles) -> Fit:
    """Fit the population laws alone; see `shower_fits`."""
    return shower_fits(profiles, energy_points(profiles.energy))[0]


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


def deposits_law(
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


def values_at_knots(start: Fit, form: PopulationLaw) -> Floats:
    """Values at the knots that an earlier fit, of whatever law, has there."""
    law = evaluate(start, form.knots)
    rows = [np.exp(law["mean_ln_t"]), np.exp(law["mean_ln_alpha"]), 1 / law["sigma_ln_t"], 1 / law["sigma_ln_alpha"]]
    fitted = np.array([*rows, law["rho"]])
    bounds = np.array(LIMITS)[:, :, None]
    inside: Floats = np.clip(np.nan_to_num(fitted, nan=1.0), bounds[:, 0] + 0.01, bounds[:, 1] - 0.01).ravel()
    return inside


def law_from_knots(values: Floats, basis: Floats) -> dict[str, Floats]:
    """Quantities of every shower from the values at the knots."""
    fitted = np.reshape(values, (5, -1)) @ basis.T
    if basis.shape[1] > 2:  # a straight line stays between its ends
        fitted = np.stack([np.clip(q, *LIMITS[j]) for j, q in enumerate(fitted)])
    return population.quantities(fitted)


def prior_from_knots(values: Floats, basis: Floats) -> Floats:
    """Prior of every shower, as `profiles.posteriors` wants it."""
    law = law_from_knots(values, basis)
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


def _cost(theta: Floats, parabola: Floats, basis: Floats) -> Cost:
    """-2 ln L of the values at the knots."""

    def of_showers(values: Floats) -> tuple[Floats, Floats]:
        ln_l, slope = log_marginal(theta, parabola, law_from_knots(values, basis))
        return ln_l, slopes_at_knots(slope, values, basis)

    return Cost(of_showers)


def _population(theta: Floats, parabola: Floats, basis: Floats, start: Floats | None) -> Minuit:
    """Maximise the marginal likelihood over the values of the laws at their knots, whose basis is `basis` (n, K).

    That way limits (positive T, sigma; |rho| < 1) hold over the whole range and the parameters are hardly correlated.
    """
    n_knots = basis.shape[1]
    if start is None:
        rows = []
        for q in (np.exp(theta[:, 0]), np.exp(theta[:, 1])):
            line = np.linalg.lstsq(basis, q, rcond=None)[0]
            rows.append(np.maximum(line, 0.3 * float(q.mean())))
        rows += [np.linspace(1 / low, 1 / high, n_knots) for low, high in ((0.3, 0.2), (0.35, 0.25), (2.0, 2.0))]
        start = np.concatenate(rows)
    at = ("low", "high") if n_knots == 2 else range(n_knots)
    names = [f"{q}_{k}" for q in ("T", "alpha", "inv_sigma_T", "inv_sigma_alpha", "rho") for k in at]
    cost = _cost(theta, parabola, basis)
    minuit = Minuit(cost, start, grad=cost.slope, name=names)
    minuit.errordef = Minuit.LEAST_SQUARES
    minuit.strategy = 0
    for name, limits in zip(names, np.repeat(LIMITS, n_knots, axis=0), strict=True):
        minuit.limits[name] = tuple(limits)
    minuit.migrad(ncall=20_000)
    return minuit


def _as_fit(
    minuit: Minuit,
    form: PopulationLaw,
    theta: Floats,
    parabola: Floats,
    fitted: Profiles,
    point: npt.NDArray[np.int64],
    points: EnergyPoints,
) -> Fit:
    """Rewrite the fit in terms of the law's own parameters, and compare it with free numbers at every energy point."""
    jacobian, basis = form.of_knots(), form.basis(fitted.ln_y)
    at_knots = from_minuit(minuit, energy=fitted.energy)
    constrained = -2.0 * log_marginal(theta, parabola, law_from_knots(at_knots.values, basis))[0]
    corrected, of_knots = unbiased(at_knots, _cost(theta, parabola, basis))
    free: dict[str, list[float]] = {"energy": []}
    gain, n_points = 0.0, 0
    for p in range(len(points)):
        own = point == p
        if own.sum() < 20:
            continue
        alone = np.ones((int(own.sum()), 1))
        single = _population(theta[own], parabola[own], alone, None)
        gain += float(constrained[own].sum()) - float(single.fval)
        n_points += 1
        numbers_, covariance = unbiased(
            from_minuit(single, energy=fitted.energy[own]), _cost(theta[own], parabola[own], alone)
        )
        e = np.sqrt(np.maximum(np.diag(covariance), 0.0))
        t, alpha, inv_t, inv_a, rho = (float(v) for v in numbers_)
        numbers = [math.log(t), math.log(alpha), 1 / inv_t, 1 / inv_a, rho]
        errors = [e[0] / t, e[1] / alpha, e[2] / inv_t**2, e[3] / inv_a**2, e[4]]
        free["energy"].append(float(points.energy[p]))
        for q, v, s in zip(QUANTITIES, numbers, errors, strict=True):
            free.setdefault(q, []).append(v)
            free.setdefault(f"{q}_error", []).append(float(s))
    settings = {} if form.kind == "linear" else {"law": "spline", "knots": [float(k) for k in form.knots]}
    return replace(
        at_knots,
        names=form.names,
        values=jacobian @ corrected,
        covariance=jacobian @ of_knots @ jacobian.T,
        chi2=gain,
        ndf=max(5 * n_points - 5 * len(form.knots), 0),
        settings=settings,
        points={k: np.array(v) for k, v in free.items()},
    )


def unbiased(at_knots: Fit, cost: Cost) -> tuple[Floats, Floats]:
    """Values at the knots less their bias of first order, and their covariance.

    Values that ended on a limit stay there, and the others with them: the expansion is about a maximum. No correction
    is larger than half an error, or leaves the limits of the law.
    """
    covariance, bias = cost.of_second_order(at_knots.values)
    values = at_knots.values
    if not at_knots.at_limit and np.isfinite(bias).all():
        error = np.sqrt(np.maximum(np.diag(covariance), 0.0))
        n_knots = len(values) // len(LIMITS)
        low, high = np.full((2, len(values)), [[-np.inf], [np.inf]])
        low[: 5 * n_knots], high[: 5 * n_knots] = np.repeat(LIMITS, n_knots, axis=0).T
        values = np.clip(values - np.clip(bias, -0.5 * error, 0.5 * error), low, high)
    return values, covariance
