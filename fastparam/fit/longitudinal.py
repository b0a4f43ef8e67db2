"""Longitudinal component: gamma profiles whose (ln T, ln alpha) are bivariate normal from shower to shower.

Model (Grindhammer & Peters, hep-ex/0001020, A.1.2), T the depth of the shower maximum in X0, alpha the shape of the
gamma function, y = E / Ec:

    <ln T>          = ln(t0 + t1 ln y)
    <ln alpha>      = ln(a0 + a1 ln y)
    sigma(ln T)     = 1 / (st0 + st1 ln y)
    sigma(ln alpha) = 1 / (sa0 + sa1 ln y)
    rho             = r0 + r1 ln y

Each shower contributes the likelihood of its cell energies, a multinomial of N_eff deposits over the depth cells that
the detector covers (normalised there, so leakage, dead material and missing layers need no correction), integrated
over the population. N_eff is measured from the residuals of the profiles themselves: it holds both the correlation of
deposits and what is not gamma-shaped in a cascade.

The integral is Laplace's: ln L of a shower is expanded to second order at the maximum of its posterior, which makes the
marginal likelihood a closed form, also for showers that hardly constrain (ln T, ln alpha) by themselves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from iminuit import Minuit

from fastparam._numba import kernel, parallel_kernel, prange
from fastparam.errors import FitError
from fastparam.fit.fit import Fit, from_minuit, minimise
from fastparam.shapes.incomplete_gamma import gamma_p1
from fastparam.summary.points import EnergyPoints, energy_points

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Profiles", "evaluate", "fit", "gamma_fractions", "shower_fits"]

Floats = npt.NDArray[np.float64]

NAMES = ("t0", "t1", "a0", "a1", "st0", "st1", "sa0", "sa1", "r0", "r1")

_QUANTITIES = ("mean_ln_t", "mean_ln_alpha", "sigma_ln_t", "sigma_ln_alpha", "rho")

#: Fewest depth cells with energy from which two shape parameters and a normalisation can be told apart.
MIN_CELLS = 4

_ROUNDS = 4
_MIN_LN_ALPHA = 0.02
_MAX_RHO = 0.98


@dataclass(frozen=True)
class Profiles:
    """Longitudinal profiles of n showers in C depth cells.

    Attributes
    ----------
    energy : float64 array (n,)
        Kinetic energy in MeV.
    ln_y : float64 array (n,)
        ln(E / Ec).
    cell_energy : float64 array (n, C)
        Visible energy in MeV.
    depths : float64 array (n, C, 2)
        Depth range of each cell in X0; zero width where a shower's line misses the cell.
    medium : int64 array (C,)
        Cells of equal number share a visible fraction; shapes are compared only within a medium.
    """

    energy: Floats
    ln_y: Floats
    cell_energy: Floats
    depths: Floats
    medium: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.energy)


@kernel
def _fractions(t: Any, alpha: Any, depths: Any, out: Any) -> None:
    """Share of a gamma profile with maximum t and shape alpha in each depth range."""
    beta = (alpha - 1.0) / t
    edge, at_edge = -1.0, 0.0
    for k in range(len(depths)):
        a, b = depths[k, 0], depths[k, 1]
        if b <= a:
            out[k] = 0.0
            continue
        if a != edge:
            at_edge = gamma_p1(alpha, beta * a)
        upper = gamma_p1(alpha, beta * b)
        out[k] = max(upper - at_edge, 1e-300)
        edge, at_edge = b, upper


@kernel
def _log_likelihood(
    ln_t: Any, ln_alpha: Any, weights: Any, depths: Any, medium: Any, n_media: Any, work: Any, norm: Any
) -> float:
    """Multinomial ln L of one shower; `weights` are its cell energies times N_eff / visible energy."""
    _fractions(math.exp(ln_t), math.exp(ln_alpha), depths, work)
    for m in range(n_media):
        norm[m] = 0.0
    for k in range(len(work)):
        norm[medium[k]] += work[k]
    total = 0.0
    for k in range(len(work)):
        if weights[k] > 0.0 and work[k] > 0.0:
            total += weights[k] * math.log(work[k] / norm[medium[k]])
    return total


@parallel_kernel
def _maximise(
    cells: Any, depths: Any, medium: Any, n_media: Any, n_eff: Any, prior: Any, theta: Any, expansion: Any
) -> None:
    """Move theta (n, 2) to each shower's posterior maximum; expansion (n, 5): gradient and Hessian of ln L there.

    prior (n, 5): mean ln T, mean ln alpha, and the inverse covariance (tt, aa, ta).
    """
    step = 1e-3
    for i in prange(len(theta)):
        n_cells = cells.shape[1]
        work, norm, weights = np.empty(n_cells), np.empty(n_media), np.empty(n_cells)
        visible = 0.0
        for k in range(n_cells):
            visible += cells[i, k]
        for k in range(n_cells):
            weights[k] = cells[i, k] / visible * n_eff[i] if visible > 0.0 else 0.0
        x, y = theta[i, 0], theta[i, 1]
        m0, m1, p00, p11, p01 = prior[i, 0], prior[i, 1], prior[i, 2], prior[i, 3], prior[i, 4]
        damping = 1e-3
        centre = _log_likelihood(x, y, weights, depths[i], medium, n_media, work, norm)
        g0, g1, h00, h11, h01 = 0.0, 0.0, 0.0, 0.0, 0.0
        for _ in range(60):
            xp = _log_likelihood(x + step, y, weights, depths[i], medium, n_media, work, norm)
            xm = _log_likelihood(x - step, y, weights, depths[i], medium, n_media, work, norm)
            yp = _log_likelihood(x, y + step, weights, depths[i], medium, n_media, work, norm)
            ym = _log_likelihood(x, y - step, weights, depths[i], medium, n_media, work, norm)
            pp = _log_likelihood(x + step, y + step, weights, depths[i], medium, n_media, work, norm)
            mm = _log_likelihood(x - step, y - step, weights, depths[i], medium, n_media, work, norm)
            g0, g1 = (xp - xm) / (2 * step), (yp - ym) / (2 * step)
            h00, h11 = (xp - 2 * centre + xm) / step**2, (yp - 2 * centre + ym) / step**2
            h01 = (pp + mm - xp - xm - yp - ym + 2 * centre) / (2 * step**2)
            # Posterior: minus quadratic form of the prior.
            d0, d1 = x - m0, y - m1
            q0, q1 = g0 - p00 * d0 - p01 * d1, g1 - p01 * d0 - p11 * d1
            a00, a11, a01 = p00 - h00, p11 - h11, p01 - h01
            now = centre - 0.5 * (p00 * d0 * d0 + p11 * d1 * d1 + 2 * p01 * d0 * d1)
            moved = False
            change = 0.0
            for _ in range(12):
                b00, b11 = a00 + damping * (abs(a00) + 1.0), a11 + damping * (abs(a11) + 1.0)
                det = b00 * b11 - a01 * a01
                if det <= 0.0 or b00 <= 0.0:
                    damping = max(10.0 * damping, 1e-2)
                    continue
                s0, s1 = (b11 * q0 - a01 * q1) / det, (b00 * q1 - a01 * q0) / det
                length = max(abs(s0), abs(s1))
                if length > 0.5:
                    s0, s1 = 0.5 * s0 / length, 0.5 * s1 / length
                nx, ny = x + s0, max(y + s1, _MIN_LN_ALPHA)
                e0, e1 = nx - m0, ny - m1
                value = _log_likelihood(nx, ny, weights, depths[i], medium, n_media, work, norm)
                then = value - 0.5 * (p00 * e0 * e0 + p11 * e1 * e1 + 2 * p01 * e0 * e1)
                if then >= now:
                    change = abs(nx - x) + abs(ny - y)
                    x, y, centre = nx, ny, value
                    damping *= 0.1
                    moved = True
                    break
                damping *= 10.0
            if not moved or change < 1e-5:
                break
        theta[i, 0], theta[i, 1] = x, y
        expansion[i, 0], expansion[i, 1] = g0, g1
        expansion[i, 2], expansion[i, 3], expansion[i, 4] = h00, h11, h01


@parallel_kernel
def _residuals(cells: Any, depths: Any, medium: Any, n_media: Any, theta: Any, smallest: Any, out: Any) -> None:
    """Out (n, 2): chi2 for one deposit and its degrees of freedom, neighbouring cells joined to at least `smallest`."""
    for i in prange(len(theta)):
        n_cells = cells.shape[1]
        work, norm, held = np.empty(n_cells), np.zeros(n_media), np.zeros(n_media)
        _fractions(math.exp(theta[i, 0]), math.exp(theta[i, 1]), depths[i], work)
        visible = 0.0
        for k in range(n_cells):
            norm[medium[k]] += work[k]
            held[medium[k]] += cells[i, k]
            visible += cells[i, k]
        for m in range(n_media):
            if held[m] <= 0.0 or norm[m] <= 0.0:
                continue
            share = held[m] / visible
            expected, found, joined = 0.0, 0.0, 0
            for k in range(n_cells):
                if medium[k] != m:
                    continue
                expected += work[k] / norm[m] * share
                found += cells[i, k] / visible
                if expected >= smallest:
                    out[i, 0] += (found - expected) ** 2 / expected
                    joined += 1
                    expected, found = 0.0, 0.0
            if expected > 0.0 and joined > 0:
                out[i, 0] += (found - expected) ** 2 / max(expected, 0.2 * smallest)
                joined += 1
            out[i, 1] += max(joined - 1, 0)
        out[i, 1] -= 2.0


@kernel
def _marginal(theta: Any, expansion: Any, mean_t: Any, mean_a: Any, sigma_t: Any, sigma_a: Any, rho: Any) -> float:
    """Sum over showers of the log marginal likelihood, up to a constant (module docstring)."""
    total = 0.0
    for i in range(len(theta)):
        c = 1.0 - rho[i] * rho[i]
        p00, p11 = 1.0 / (sigma_t[i] ** 2 * c), 1.0 / (sigma_a[i] ** 2 * c)
        p01 = -rho[i] / (sigma_t[i] * sigma_a[i] * c)
        d0, d1 = mean_t[i] - theta[i, 0], mean_a[i] - theta[i, 1]
        b0, b1 = expansion[i, 0] + p00 * d0 + p01 * d1, expansion[i, 1] + p01 * d0 + p11 * d1
        a00, a11, a01 = p00 - expansion[i, 2], p11 - expansion[i, 3], p01 - expansion[i, 4]
        det = a00 * a11 - a01 * a01
        total += 0.5 * math.log(p00 * p11 - p01 * p01) - 0.5 * math.log(det)
        total += 0.5 * (a11 * b0 * b0 + a00 * b1 * b1 - 2 * a01 * b0 * b1) / det
        total -= 0.5 * (p00 * d0 * d0 + p11 * d1 * d1 + 2 * p01 * d0 * d1)
    return total


def gamma_fractions(ln_t: Floats, ln_alpha: Floats, depths: Floats) -> Floats:
    """Share of each shower's gamma profile in its depth cells, shape (n, C); 0 for cells of zero width."""
    out = np.empty(depths.shape[:2])
    _all_fractions(ln_t, ln_alpha, depths, out)
    return out


@parallel_kernel
def _all_fractions(ln_t: Any, ln_alpha: Any, depths: Any, out: Any) -> None:
    for i in prange(len(ln_t)):
        _fractions(math.exp(ln_t[i]), math.exp(ln_alpha[i]), depths[i], out[i])


@dataclass(frozen=True)
class ShowerFits:
    """Posterior maxima of (ln T, ln alpha) of single showers, and what they say about the number of deposits.

    Attributes
    ----------
    theta : float64 array (n, 2)
    expansion : float64 array (n, 5)
        Gradient and Hessian (tt, aa, ta) of ln L at theta.
    used : bool array (n,)
        Showers with enough cells to be fitted; the others keep the population mean.
    n_eff_law : float64 array (2,), (2, 2)
        ln N_eff = n0 + n1 ln(E / GeV), and its covariance.
    n_eff_points, n_eff_errors : float64 arrays (n_points,)
    """

    theta: Floats
    expansion: Floats
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
    cells, depths = profiles.cell_energy[used], profiles.depths[used]
    ln_y, energy, point = profiles.ln_y[used], profiles.energy[used], points.point[used]
    n_media = int(profiles.medium.max()) + 1
    theta = _starting_values(cells, depths)
    expansion = np.zeros((len(theta), 5))
    n_eff = np.full(len(theta), 200.0)
    law, law_cov = np.zeros(2), np.zeros((2, 2))
    n_eff_points = np.full(len(points), np.nan)
    n_eff_errors = np.full(len(points), np.nan)
    prior = _wide_prior(theta, ln_y)
    minuit: Minuit | None = None
    for round_ in range(_ROUNDS):
        _maximise(cells, depths, profiles.medium, n_media, n_eff, prior, theta, expansion)
        residuals = np.zeros((len(theta), 2))
        _residuals(cells, depths, profiles.medium, n_media, theta, 0.02, residuals)
        law, law_cov, n_eff_points, n_eff_errors = _n_eff_law(residuals, energy, point, len(points))
        n_eff = np.exp(law[0] + law[1] * np.log(energy / 1000.0))
        if round_ == 0:  # the expansions were made with a provisional N_eff
            _maximise(cells, depths, profiles.medium, n_media, n_eff, prior, theta, expansion)
        minuit = _population(theta, _semidefinite(expansion), ln_y, minuit)
        prior = _prior(np.array(minuit.values), ln_y)
    assert minuit is not None
    minimise(minuit)
    fit_ = _as_fit(minuit, theta, _semidefinite(expansion), ln_y, energy, point, points)
    everything = np.empty((len(profiles), 2))
    everything[:, 0], everything[:, 1] = (
        evaluate(fit_.values, profiles.ln_y)[k] for k in ("mean_ln_t", "mean_ln_alpha")
    )
    everything[used] = theta
    return fit_, ShowerFits(everything, expansion, used, law, law_cov, n_eff_points, n_eff_errors)


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


def _semidefinite(expansion: Floats) -> Floats:
    """Expansion whose Hessian has no positive eigenvalue: a flat direction says nothing, it does not repel."""
    h = np.empty((len(expansion), 2, 2))
    h[:, 0, 0], h[:, 1, 1] = expansion[:, 2], expansion[:, 3]
    h[:, 0, 1] = h[:, 1, 0] = expansion[:, 4]
    w, v = np.linalg.eigh(h)
    h = np.einsum("nij,nj,nkj->nik", v, np.minimum(w, 0.0), v)
    return np.column_stack([expansion[:, :2], h[:, 0, 0], h[:, 1, 1], h[:, 0, 1]])


def _n_eff_law(
    residuals: Floats, energy: Floats, point: npt.NDArray[np.int64], n_points: int
) -> tuple[Floats, Floats, Floats, Floats]:
    """Measure N_eff per energy point (degrees of freedom over the chi2 of one deposit), and fit its power law."""
    good = residuals[:, 1] > 0
    value, error, x = np.full(n_points, np.nan), np.full(n_points, np.nan), np.full(n_points, np.nan)
    for p in range(n_points):
        own = good & (point == p)
        if own.sum() >= 5:
            per_deposit = residuals[own, 0] / residuals[own, 1]
            value[p] = 1.0 / per_deposit.mean()
            error[p] = value[p] * per_deposit.std(ddof=1) / per_deposit.mean() / math.sqrt(own.sum())
            x[p] = np.log(energy[own] / 1000.0).mean()
    known = np.isfinite(value) & (error > 0)
    if not known.any():
        raise FitError("longitudinal: no energy point has 5 showers whose profile can be judged")
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


def _population(theta: Floats, expansion: Floats, ln_y: Floats, previous: Minuit | None) -> Minuit:
    """Maximise the marginal likelihood over the laws, written as their values at both ends of the range in ln y.

    That way limits (positive T, sigma; |rho| < 1) hold over the whole range and the parameters are hardly correlated.
    """
    a, b = _ends(ln_y)

    def cost(*p: float) -> float:
        law = evaluate(_laws(p, a, b), ln_y)
        return -2.0 * _marginal(theta, expansion, *(law[q] for q in _QUANTITIES))

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
    expansion: Floats,
    ln_y: Floats,
    energy: Floats,
    point: npt.NDArray[np.int64],
    points: EnergyPoints,
) -> Fit:
    """Rewrite the fit in terms of `NAMES`, and compare it with free numbers at every energy point."""
    a, b = _ends(ln_y)
    jacobian = np.zeros((10, 10))
    for j in range(5):
        for k in range(2):
            unit = [0.0] * 10
            unit[2 * j + k] = 1.0
            jacobian[:, 2 * j + k] = _laws(unit, a, b)
    ends = from_minuit(minuit, energy=energy)
    values = _laws(list(ends.values), a, b)
    free: dict[str, list[float]] = {"energy": []}
    gain, n_points = 0.0, 0
    for p in range(len(points)):
        own = point == p
        if own.sum() < 20:
            continue
        single = _population(theta[own], expansion[own], np.zeros(int(own.sum())), None)
        single.hesse()
        law = evaluate(values, ln_y[own])
        constrained = -2.0 * _marginal(theta[own], expansion[own], *(law[q] for q in _QUANTITIES))
        gain += constrained - float(single.fval)
        n_points += 1
        t, alpha, inv_t, inv_a, rho = (float(single.values[2 * j]) for j in range(5))
        e = [float(single.errors[2 * j]) for j in range(5)]
        numbers = [math.log(t), math.log(alpha), 1 / inv_t, 1 / inv_a, rho]
        errors = [e[0] / t, e[1] / alpha, e[2] / inv_t**2, e[3] / inv_a**2, e[4]]
        free["energy"].append(float(points.energy[p]))
        for q, v, s in zip(_QUANTITIES, numbers, errors, strict=True):
            free.setdefault(q, []).append(v)
            free.setdefault(f"{q}_error", []).append(s)
    n_parameters = 10 if b > a else 5
    return Fit(
        NAMES,
        values,
        jacobian @ np.nan_to_num(ends.covariance) @ jacobian.T,
        ends.valid,
        ends.accurate,
        ends.at_limit,
        gain,
        max(5 * n_points - n_parameters, 0) if n_points else 0,
        ends.energy_range,
        ends.n_showers,
        points={k: np.array(v) for k, v in free.items()},
    )
