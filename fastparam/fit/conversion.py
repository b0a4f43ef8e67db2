"""Conversion component: photon showers as a path to the first pair, and a gamma profile behind it.

    t = s + t',    s ~ exp(-s / lambda) / lambda,    lambda(E) = k 9/7 [1 + 0.05 (E / GeV)^-0.88]  in X0,

t' a gamma profile with its own (ln T', ln alpha'), whose population follows the laws of `fit.population`. Tunes have
room for means that depend on the path, <ln T'> + ct (s - lambda) and <ln alpha'> + ca (s - lambda); a shower behind its
conversion knows nothing of the path, and both are kept at 0: left free, they do not settle for samples of a few hundred
showers. The bracket is the mean free path of Bethe-Heitler pairs, which Geant4's model follows within 2.5 % from iron
to lead and from 0.1 GeV; k is fitted. A gamma profile rises slowly from its start, whereas a pair ionises at once: both
electrons lose one critical energy per X0 (Rossi's definition), PAIR Ec / E of the shower, for about one X0. Profiles
get that term, exp(-t'), without a parameter.

A photon shares its energy between two electrons and from there on is their shower: T' and alpha' grow with ln E as
those of electrons in the same detector, whose measured slopes constrain the fit. Their values are smaller, and their
fluctuations larger, than those of one electron of that energy; they stay free.

One likelihood over all showers and energies. The path of each shower is integrated over on a grid, every step with its
exact probability; behind every node the profile is integrated over the population as in `fit.longitudinal`. Cells may
hold a little energy in front of the start (`HAZE`): a few deposits of albedo must not decide where a shower began.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from iminuit import Minuit

from fastparam.fit import population
from fastparam.fit.fit import Fit, from_minuit, minimise
from fastparam.fit.longitudinal import (
    ShowerFits,
    deposits_law,
    law_from_knots,
    log_marginal,
    prior_from_knots,
    values_at_knots,
)
from fastparam.fit.population import LIMITS, Kind, PopulationLaw
from fastparam.fit.profiles import MIN_LN_ALPHA, Profiles, deposits, evidences, posteriors
from fastparam.shapes import normal
from fastparam.summary.points import EnergyPoints

__all__ = ["EXTRA", "HAZE", "PAIR", "Starts", "evaluate", "fit", "mean_free_path"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Share of a shower's energy that every depth cell in front of its start may hold.
HAZE = 5e-4

#: Critical energies per X0 that a pair leaves right behind the conversion.
PAIR = 2.0

#: Ends of the steps of the path in X0; a step stands for its middle, the last one for all longer paths.
_EDGES = np.array([0.0, 0.35, 0.7, 1.1, 1.55, 2.05, 2.6, 3.25, 4.0, 5.0, 6.2, 7.7, 9.5])
_NODES = np.append(0.5 * (_EDGES[1:] + _EDGES[:-1]), _EDGES[-1] + 1.2)

#: Nodes of a shower that are this much less likely (in ln L) than its best one are not looked at again.
_HOPELESS = 14.0

#: A profile does not start where this share of the shower's energy lies in front already.
_AHEAD = 0.1

_ROUNDS = 5
_SETTLED = 0.1
_K_LIMITS = (0.3, 3.0)
_TREND_LIMITS = (-0.2, 0.2)

#: Parameters beside those of the population law.
EXTRA = ("k", "ct", "ca")


@dataclass(frozen=True)
class Starts:
    """What single showers say about their start and the profile behind it.

    Attributes
    ----------
    profiles : Profiles
        All showers, seen from their starts.
    showers : ShowerFits
        Their (ln T', ln alpha') and numbers of deposits, measured from the scatter around these profiles.
    start : float64 array (n,)
        Posterior mean of the path in X0.
    expected : float64 array (n, C)
        Share of each profile in its cells, averaged over the posterior of the path: a thin layer in front sees all or
        nothing of a pair.
    """

    profiles: Profiles
    showers: ShowerFits
    start: Floats
    expected: Floats


def mean_free_path(energy: Floats) -> Floats:
    """Mean free path of a photon of `energy` MeV for pairs in X0, same shape."""
    path: Floats = 9.0 / 7.0 * (1.0 + 0.05 * (energy / 1000.0) ** -0.88)
    return path


def evaluate(fit: Fit, energy: Floats, ln_y: Floats) -> dict[str, Floats]:
    """Evaluate the laws of the profile behind the conversion.

    Also "path", the mean of s in X0, "pair", the relative energy of the pair, and "ct", "ca".
    """
    own = {"path": fit["k"] * mean_free_path(energy), "pair": PAIR * np.exp(-ln_y)}
    return population.evaluate(fit, ln_y) | own | {name: np.full_like(ln_y, fit[name]) for name in ("ct", "ca")}


@dataclass(frozen=True)
class _Pairs:
    """Showers and nodes that go together: m pairs, sorted by shower."""

    shower: Ints
    node: Ints
    first: Ints  # of every shower
    theta: Floats  # (m, 2)
    parabola: Floats  # (m, 5)
    offset: Floats  # (m,), ln L beyond what parabola and law say


@dataclass(frozen=True)
class _Slopes:
    """Slopes of exp<ln T'> and exp<ln alpha'> as electrons have them; nothing where laws are no lines."""

    matrix: Floats  # (m, 5 K + 3), from the values at the knots and EXTRA
    measured: Floats  # (m,)
    inverse: Floats  # (m, m)

    @classmethod
    def of(cls, electrons: Fit | None, form: PopulationLaw) -> _Slopes:
        n = 5 * len(form.knots) + len(EXTRA)
        if electrons is None or electrons.names != population.NAMES or form.kind != "linear" or len(form.knots) != 2:
            return cls(np.empty((0, n)), np.empty(0), np.empty((0, 0)))
        rows = [1, 3]
        matrix = np.zeros((2, n))
        matrix[:, : -len(EXTRA)] = form.of_knots()[rows]
        return cls(
            matrix,
            electrons.values[rows],
            np.asarray(np.linalg.inv(electrons.covariance[np.ix_(rows, rows)]), dtype=np.float64),
        )

    def chi2(self, values: Floats) -> float:
        off = self.matrix @ values - self.measured
        return float(off @ self.inverse @ off)

    def information(self) -> Floats:
        found: Floats = self.matrix.T @ self.inverse @ self.matrix
        return found


def fit(
    profiles: Profiles,
    points: EnergyPoints,
    single: ShowerFits,
    plain: Fit,
    *,
    electrons: Fit | None = None,
    start: Fit | None = None,
) -> tuple[Fit, Starts]:
    """Fit mean free path and population together.

    Parameters
    ----------
    profiles : Profiles
    points : EnergyPoints
    single : ShowerFits
        Of the same profiles by `longitudinal.shower_fits`: which can be used, and their numbers of deposits.
    plain : Fit
        Its population; the conversion law gets the same knots.
    electrons : Fit, optional
        The electrons' population in the same detector. Straight lines share their slopes with it: its t1 and a1 are
        measurements of the photons' ones.
    start : Fit, optional
        An earlier fit to begin with.

    Returns
    -------
    Fit
        Parameters of the law, then k. chi2 compares the shared slopes with the electrons' ones; ndf 0 without them.
    Starts
    """
    fitted = profiles.take(single.used)
    ln_e, point = np.log(fitted.energy / 1000.0), points.point[single.used]
    n_eff = np.exp(single.n_eff_law[0] + single.n_eff_law[1] * ln_e)
    kind: Kind = "linear" if plain.names == population.NAMES else "spline"
    form = population.choose(kind, profiles.ln_y, points)
    basis = form.basis(fitted.ln_y)
    path = mean_free_path(fitted.energy)
    slopes = _Slopes.of(electrons, form)
    values = _first_guess(plain, form)
    if start is not None:
        values = np.concatenate([values_at_knots(start, form), [start[name] for name in EXTRA]])
    theta = np.repeat(single.theta[single.used][:, None], len(_NODES), axis=1)
    theta[..., 0] = np.log(np.maximum(np.exp(theta[..., 0]) - _NODES, 0.3 * np.exp(theta[..., 0])))
    hopeful = _before(fitted) < _AHEAD
    minuit: Minuit | None = None
    for _ in range(_ROUNDS):
        pairs, ln_weight = _expand(fitted, n_eff, values, basis, path, theta, hopeful)
        best = ln_weight.max(axis=1, keepdims=True)
        hopeful &= ln_weight > best - _HOPELESS
        before = values
        minuit = _maximise(pairs, basis, path, values, slopes)
        values = np.array(minuit.values)
        weight = np.exp(ln_weight - best)
        starts = (weight @ _NODES) / weight.sum(axis=1)
        seen = fitted.shifted(starts, haze=HAZE, pair=PAIR * np.exp(-fitted.ln_y))
        prior = _prior(values, basis, starts - values[-3] * path)
        own = prior[:, :2].copy()
        parabola = posteriors(seen, n_eff, prior, own)
        law, covariance, at_points, errors = deposits_law(
            *deposits(seen, own, parabola, prior), ln_e, point, len(points)
        )
        n_eff = np.exp(law[0] + law[1] * ln_e)
        if np.all(np.abs(values - before) <= _SETTLED * np.array(minuit.errors)):
            break
    assert minuit is not None
    minimise(minuit)
    fit_ = _as_fit(minuit, form, pairs, basis, path, fitted, slopes)
    laws = evaluate(fit_, profiles.energy, profiles.ln_y)
    everything, from_front = np.column_stack([laws[q] for q in population.QUANTITIES[:2]]), laws["path"].copy()
    everything[single.used], from_front[single.used] = own, starts
    all_seen = profiles.shifted(from_front, haze=0.0, pair=laws["pair"])
    expected = all_seen.expected(everything)
    expected[single.used] = _averaged(fitted, theta, weight / weight.sum(axis=1, keepdims=True))
    shapes = ShowerFits(everything, single.used, law, covariance, at_points, errors)
    return fit_, Starts(all_seen, shapes, from_front, expected)


def _averaged(fitted: Profiles, theta: Floats, weight: Floats) -> Floats:
    """Average the profiles at the nodes of the path, weighted (n, n_nodes)."""
    total = np.zeros(fitted.cell_energy.shape)
    for k, s in enumerate(_NODES):
        rows = np.flatnonzero(weight[:, k] > 1e-4)
        seen = fitted.take(rows)
        seen = seen.shifted(s, haze=0.0, pair=PAIR * np.exp(-seen.ln_y))
        total[rows] += weight[rows, k, None] * seen.expected(theta[rows, k])
    return total


def _first_guess(plain: Fit, form: PopulationLaw) -> Floats:
    """Return the plain law, 1.1 X0 earlier and with its slope in the tail; widths of electrons, k = 1."""
    values = values_at_knots(plain, form).reshape(5, -1)
    t = np.maximum(values[0] - 1.1, 0.3 * values[0])
    alpha = 1.0 + np.maximum(values[1] - 1.0, 0.05) * t / values[0]
    inverse = [np.maximum(1.3 * q, 2.0) for q in values[2:4]]
    return np.concatenate([t, alpha, *inverse, np.full_like(t, 0.5), [1.0, 0.0, 0.0]])


def _before(fitted: Profiles) -> Floats:
    """Share of the energy of every shower in front of every node, shape (n, n_nodes); 0 for the first."""
    low, high = fitted.depths[..., 0], fitted.depths[..., 1]
    share = fitted.cell_energy / fitted.cell_energy.sum(axis=1, keepdims=True)
    density = share / np.where(high > low, high - low, 1.0)
    before = np.stack([(density * np.clip(s - low, 0.0, high - low)).sum(axis=1) for s in _NODES], axis=1)
    before[:, 0] = 0.0
    return before


def _prior(values: Floats, basis: Floats, beyond: Floats) -> Floats:
    """Prior of every shower whose path exceeds the mean one by `beyond`."""
    prior = prior_from_knots(values[:-3], basis)
    prior[:, 0] += values[-2] * beyond
    prior[:, 1] += values[-1] * beyond
    return prior


def _expand(
    fitted: Profiles,
    n_eff: Floats,
    values: Floats,
    basis: Floats,
    path: Floats,
    theta: Floats,
    hopeful: npt.NDArray[np.bool_],
) -> tuple[_Pairs, Floats]:
    """Describe every shower at its hopeful nodes; also ln of likelihood times probability of the node, (n, n_nodes)."""
    n = len(fitted)
    mean = values[-3] * path
    parabola, evidence = np.empty((n, len(_NODES), 5)), np.full((n, len(_NODES)), -np.inf)
    offset = np.empty((n, len(_NODES)))
    pair = PAIR * np.exp(-fitted.ln_y)
    for k, s in enumerate(_NODES):
        rows = np.flatnonzero(hopeful[:, k])
        prior = _prior(values, basis[rows], s - mean[rows])
        own = np.ascontiguousarray(theta[rows, k])
        seen = fitted.take(rows).shifted(s, haze=HAZE, pair=pair[rows])
        parabola[rows, k], ln_z = evidences(seen, n_eff[rows], prior, own)
        theta[rows, k] = own
        # The population ends at the smallest alpha.
        evidence[rows, k] = ln_z - np.log(
            np.maximum(normal.cdf((prior[:, 1] - MIN_LN_ALPHA) / _sigma_alpha(prior)), 1e-300)
        )
        offset[rows, k] = evidence[rows, k] - _marginal_of_prior(own, parabola[rows, k], prior)
    shower, node = np.nonzero(hopeful)
    first = np.searchsorted(shower, np.arange(n))
    pairs = _Pairs(shower, node, first, theta[shower, node], parabola[shower, node], offset[shower, node])
    return pairs, evidence + _ln_steps(mean)


def _sigma_alpha(prior: Floats) -> Floats:
    """sigma(ln alpha) of a prior given as mean and inverse covariance."""
    sigma: Floats = np.sqrt(prior[:, 2] / (prior[:, 2] * prior[:, 3] - prior[:, 4] ** 2))
    return sigma


def _marginal_of_prior(theta: Floats, parabola: Floats, prior: Floats) -> Floats:
    determinant = prior[:, 2] * prior[:, 3] - prior[:, 4] ** 2
    sigma_t = np.sqrt(prior[:, 3] / determinant)
    law = {
        "mean_ln_t": prior[:, 0],
        "mean_ln_alpha": prior[:, 1],
        "sigma_ln_t": sigma_t,
        "sigma_ln_alpha": _sigma_alpha(prior),
        "rho": -prior[:, 4] / np.sqrt(prior[:, 2] * prior[:, 3]),
    }
    return log_marginal(theta, parabola, {name: np.ascontiguousarray(v) for name, v in law.items()})


def _ln_steps(path: Floats) -> Floats:
    """Log probability of every step for mean paths (n,), shape (n, n_nodes)."""
    behind = np.exp(-np.append(_EDGES, np.inf) / path[:, None])
    steps: Floats = np.log(np.maximum(behind[:, :-1] - behind[:, 1:], 1e-300))
    return steps


def _log_likelihood(pairs: _Pairs, basis: Floats, path: Floats, values: Floats) -> Floats:
    """Return ln L of every shower, integrated over path and profile."""
    k, ct, ca = values[-3:]
    law = law_from_knots(values[:-3], basis)
    at_pairs = {name: q[pairs.shower] for name, q in law.items()}
    beyond = _NODES[pairs.node] - k * path[pairs.shower]
    at_pairs["mean_ln_t"] += ct * beyond
    at_pairs["mean_ln_alpha"] += ca * beyond
    of_pairs = pairs.offset + log_marginal(pairs.theta, pairs.parabola, at_pairs)
    of_pairs += _ln_steps(k * path)[pairs.shower, pairs.node]
    total: Floats = np.logaddexp.reduceat(of_pairs, pairs.first)
    return total


def _maximise(pairs: _Pairs, basis: Floats, path: Floats, start: Floats, slopes: _Slopes) -> Minuit:
    n_knots = basis.shape[1]

    def cost(values: Floats) -> float:
        return slopes.chi2(values) - 2.0 * float(_log_likelihood(pairs, basis, path, values).sum())

    at = ("low", "high") if n_knots == 2 else range(n_knots)
    names = [f"{q}_{k}" for q in ("T", "alpha", "inv_sigma_T", "inv_sigma_alpha", "rho") for k in at] + list(EXTRA)
    minuit = Minuit(cost, start, name=names)
    minuit.errordef = Minuit.LEAST_SQUARES
    minuit.strategy = 1
    for name, limits in zip(
        names, [*np.repeat(LIMITS, n_knots, axis=0), _K_LIMITS, _TREND_LIMITS, _TREND_LIMITS], strict=True
    ):
        minuit.limits[name] = tuple(limits)
    minuit.fixed["ct"] = minuit.fixed["ca"] = True
    minuit.migrad(ncall=5_000)
    return minuit


def _as_fit(
    minuit: Minuit,
    form: PopulationLaw,
    pairs: _Pairs,
    basis: Floats,
    path: Floats,
    fitted: Profiles,
    slopes: _Slopes,
) -> Fit:
    """Rewrite the fit in terms of the law's own parameters, with the sandwich covariance of single showers."""
    n = 5 * len(form.knots)
    jacobian = np.zeros((len(form.names) + 3, n + 3))
    jacobian[:-3, :n], jacobian[-3:, n:] = form.of_knots(), np.eye(3)
    at_knots = from_minuit(minuit, energy=fitted.energy)
    scores = np.zeros((len(fitted), n + 3))
    for j in range(n + 3):
        step = 1e-4 * max(abs(at_knots.values[j]), 0.1)
        sides = []
        for sign in (1.0, -1.0):
            moved = at_knots.values.copy()
            moved[j] += sign * step
            sides.append(_log_likelihood(pairs, basis, path, moved))
        scores[:, j] = (sides[0] - sides[1]) / (2.0 * step)
    inverse = np.nan_to_num(at_knots.covariance)
    unused = len(fitted) / (len(fitted) - minuit.nfit)
    # The constraint is a score of its own, whose variance is its information.
    covariance = inverse @ (unused * scores.T @ scores + slopes.information()) @ inverse
    settings = {} if form.kind == "linear" else {"law": "spline", "knots": [float(k) for k in form.knots]}
    return replace(
        at_knots,
        names=(*form.names, *EXTRA),
        values=jacobian @ at_knots.values,
        covariance=jacobian @ covariance @ jacobian.T,
        settings=settings,
        chi2=slopes.chi2(at_knots.values),
        ndf=len(slopes.measured),
    )
