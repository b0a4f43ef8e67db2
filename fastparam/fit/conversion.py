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

One likelihood over all showers and energies. Path and profile of every shower are integrated over (`fit.starts`); the
integral over the path is exact enough only with nodes closer than the cells let one tell starts apart: with steps of
0.35 X0 and more, a start between two nodes can only be taken for the earlier one, and T', alpha' and rho are wrong by
one to two errors. In front of its start a shower may hold a little energy that comes back from it, a share `haze` per
X0 that is fitted along: without it few deposits of albedo would decide where a shower began, and with a fixed share
larger than the true one starts are found too late.
"""

from __future__ import annotations

from collections.abc import Callable
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
    prior_from_knots,
    unbiased,
    values_at_knots,
)
from fastparam.fit.marginal import Cost, log_marginal, slopes_at_knots
from fastparam.fit.population import LIMITS, Kind, PopulationLaw
from fastparam.fit.profiles import MIN_LN_ALPHA, Profiles
from fastparam.fit.starts import Nodes, Views, look
from fastparam.shapes import normal
from fastparam.summary.points import EnergyPoints

__all__ = ["EXTRA", "PAIR", "Starts", "evaluate", "fit", "mean_free_path"]

Floats = npt.NDArray[np.float64]

#: Critical energies per X0 that a pair leaves right behind the conversion.
PAIR = 2.0

#: A shower does not start where more than this share of its energy lies in front already.
_AHEAD = 0.1

#: Share of a shower's energy per X0 in front of its start: first guess and limits.
_HAZE, _HAZE_LIMITS = 5e-4, (1e-6, 2e-2)

#: Rounds of asking the showers and fitting the population, unless it settles earlier; the ranges in which starts are
#: looked for are chosen in the first ones.
_ROUNDS, _CHOOSING = 12, 2
_SETTLED = 0.02
_K_LIMITS = (0.3, 3.0)

#: A correlation is not determined when its error exceeds this, other quantities when it exceeds themselves.
_UNKNOWN = 0.6

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
class _Slopes:
    """Slopes of exp<ln T'> and exp<ln alpha'> as electrons have them; nothing where laws are no lines."""

    matrix: Floats  # (m, 5 K + 1), from the values at the knots and k
    measured: Floats  # (m,)
    inverse: Floats  # (m, m)

    @classmethod
    def of(cls, electrons: Fit | None, form: PopulationLaw) -> _Slopes:
        n = 5 * len(form.knots) + 1
        if electrons is None or electrons.names != population.NAMES or form.kind != "linear" or len(form.knots) != 2:
            return cls(np.empty((0, n)), np.empty(0), np.empty((0, 0)))
        rows = [1, 3]
        matrix = np.zeros((2, n))
        matrix[:, :-1] = form.of_knots()[rows]
        return cls(
            matrix,
            electrons.values[rows],
            np.asarray(np.linalg.inv(electrons.covariance[np.ix_(rows, rows)]), dtype=np.float64),
        )

    def chi2(self, values: Floats) -> tuple[float, Floats]:
        """chi2 and its slope."""
        off = self.matrix @ values - self.measured
        return float(off @ self.inverse @ off), 2.0 * self.matrix.T @ self.inverse @ off

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
        Parameters of the law, then `EXTRA`. chi2 compares the shared slopes with the electrons' ones; ndf 0 without
        them. Notes name the values that the showers do not determine. `settings["haze"]` is the share of a shower's
        energy per X0 in front of its start.
    Starts
    """
    fitted = profiles.take(single.used)
    ln_e, point = np.log(fitted.energy / 1000.0), points.point[single.used]
    n_eff = np.exp(single.n_eff_law[0] + single.n_eff_law[1] * ln_e)
    kind: Kind = "linear" if plain.names == population.NAMES else "spline"
    form = population.choose(kind, profiles.ln_y, points)
    slopes = _Slopes.of(electrons, form)
    values = _first_guess(plain, form)
    if start is not None:
        values = np.append(values_at_knots(start, form), start["k"])
    model = _Model(fitted, form.basis(fitted.ln_y), mean_free_path(fitted.energy), PAIR * np.exp(-fitted.ln_y))
    nodes, haze = Nodes.first_look(len(fitted)), _HAZE
    minuit: Minuit | None = None
    theta = np.repeat(prior_from_knots(values[:-1], model.basis)[:, None, :2], nodes.depth.shape[1], axis=1)
    for round_ in range(_ROUNDS):
        views, ln_likely = model.look(values, haze, n_eff, nodes, theta, follow=round_ < _CHOOSING)
        if round_ < _CHOOSING:
            nodes = nodes.narrowed(ln_likely)
            theta = theta[:, :1].repeat(nodes.depth.shape[1], axis=1)
            views, ln_likely = model.look(values, haze, n_eff, nodes, theta, follow=True)
        theta = views.theta
        weight = np.exp(ln_likely - ln_likely.max(axis=1, keepdims=True))
        weight /= weight.sum(axis=1, keepdims=True)
        law, covariance, at_points, errors = deposits_law(
            (weight * views.chi2).sum(axis=1), (weight * views.freedom).sum(axis=1), ln_e, point, len(points)
        )
        n_eff = np.exp(law[0] + law[1] * ln_e)
        attributed, predicted = (weight * views.hazy).sum(), (weight * views.exposed).sum()
        haze = float(np.clip(attributed / max(predicted, 1e-300), *_HAZE_LIMITS))
        before = values
        cost = Cost(model.likelihood(values, views, nodes), slopes.chi2, slopes.information())
        minuit = _minuit(cost, values, model.basis.shape[1])
        minuit.migrad(ncall=5_000)
        values = np.array(minuit.values)
        if round_ > _CHOOSING and np.all(np.abs(values - before) <= _SETTLED * np.array(minuit.errors)):
            break
    assert minuit is not None
    minimise(minuit)
    fit_ = _as_fit(minuit, cost, form, fitted, slopes, haze)
    laws = evaluate(fit_, profiles.energy, profiles.ln_y)
    everything, from_front = np.column_stack([laws[q] for q in population.QUANTITIES[:2]]), laws["path"].copy()
    from_front[single.used] = (weight * nodes.depth).sum(axis=1)
    everything[single.used] = (weight[..., None] * theta).sum(axis=1)
    all_seen = profiles.shifted(from_front, pair=laws["pair"])
    expected = all_seen.expected(everything)
    expected[single.used] = model.averaged(nodes, theta, weight)
    shapes = ShowerFits(everything, single.nodes, single.used, law, covariance, at_points, errors)
    return fit_, Starts(all_seen, shapes, from_front, expected)


@dataclass(frozen=True)
class _Model:
    """Showers with what the likelihood needs of their energy."""

    fitted: Profiles
    basis: Floats
    path: Floats  # mean free path for k = 1
    pair: Floats

    def look(
        self, values: Floats, haze: float, n_eff: Floats, nodes: Nodes, theta: Floats, *, follow: bool
    ) -> tuple[Views, Floats]:
        """Ask all showers; also ln of likelihood times probability of every node (n, K)."""
        prior = prior_from_knots(values[:-1], self.basis)
        views = look(self.fitted, self.pair, haze, n_eff, prior, nodes, theta, ahead=_AHEAD, follow=follow)
        return views, views.evidence + nodes.ln_weight - nodes.depth / (values[-1] * self.path)[:, None]

    def likelihood(self, asked: Floats, views: Views, nodes: Nodes) -> Callable[[Floats], tuple[Floats, Floats]]:
        """Return ln L of every shower (n,) and its slopes (n, 5 K + 1), from views that were taken at `asked`."""
        offset = views.evidence + nodes.ln_weight - self._closed(views, asked)

        def of_showers(values: Floats) -> tuple[Floats, Floats]:
            ln_l, slope = log_marginal(
                views.theta, views.parabola, law_from_knots(values[:-1], self.basis), offset=offset,
                depth=nodes.depth, path=values[-1] * self.path,
            )  # fmt: skip
            return ln_l, np.column_stack([slopes_at_knots(slope, values[:-1], self.basis), slope[:, 5] * self.path])

        return of_showers

    def _closed(self, views: Views, asked: Floats) -> Floats:
        """Return what `log_marginal` makes of every node by itself under the prior of the views, (n, K)."""
        n, k = views.evidence.shape
        law = {q: np.repeat(v, k) for q, v in law_from_knots(asked[:-1], self.basis).items()}
        closed = log_marginal(views.theta.reshape(-1, 2), views.parabola.reshape(-1, 5), law)[0].reshape(n, k)
        # The population ends at the smallest alpha, which `evidence` does not know.
        law = law_from_knots(asked[:-1], self.basis)
        inside = normal.cdf((law["mean_ln_alpha"] - MIN_LN_ALPHA) / law["sigma_ln_alpha"])
        found: Floats = closed + np.log(np.maximum(inside, 1e-300))[:, None]
        return found

    def averaged(self, nodes: Nodes, theta: Floats, weight: Floats) -> Floats:
        """Average the profiles at the nodes, weighted (n, K); shape (n, C)."""
        total = np.zeros(self.fitted.cell_energy.shape)
        for k in range(weight.shape[1]):
            rows = np.flatnonzero(weight[:, k] > 1e-4)
            seen = self.fitted.take(rows).shifted(nodes.depth[rows, k], pair=self.pair[rows])
            total[rows] += weight[rows, k, None] * seen.expected(theta[rows, k])
        return total


def _first_guess(plain: Fit, form: PopulationLaw) -> Floats:
    """Return the plain law, 1.1 X0 earlier and with its slope in the tail; widths of electrons, k = 1."""
    values = values_at_knots(plain, form).reshape(5, -1)
    t = np.maximum(values[0] - 1.1, 0.3 * values[0])
    alpha = 1.0 + np.maximum(values[1] - 1.0, 0.05) * t / values[0]
    inverse = [np.maximum(1.3 * q, 2.0) for q in values[2:4]]
    return np.concatenate([t, alpha, *inverse, np.full_like(t, 0.5), [1.0]])


def _minuit(cost: Cost, start: Floats, n_knots: int) -> Minuit:
    at = ("low", "high") if n_knots == 2 else range(n_knots)
    names = [f"{q}_{k}" for q in ("T", "alpha", "inv_sigma_T", "inv_sigma_alpha", "rho") for k in at] + ["k"]
    minuit = Minuit(cost, start, grad=cost.slope, name=names)
    minuit.errordef = Minuit.LEAST_SQUARES
    minuit.strategy = 0
    for name, limits in zip(names, [*np.repeat(LIMITS, n_knots, axis=0), _K_LIMITS], strict=True):
        minuit.limits[name] = tuple(limits)
    return minuit


def _as_fit(minuit: Minuit, cost: Cost, form: PopulationLaw, fitted: Profiles, slopes: _Slopes, haze: float) -> Fit:
    """Rewrite the fit in terms of the law's own parameters, with the sandwich covariance of single showers."""
    n = 5 * len(form.knots)
    jacobian = np.zeros((len(form.names) + len(EXTRA), n + 1))
    jacobian[: -len(EXTRA), :n], jacobian[-len(EXTRA), n] = form.of_knots(), 1.0
    at_knots = from_minuit(minuit, energy=fitted.energy)
    values, covariance = unbiased(at_knots, cost)
    settings = {} if form.kind == "linear" else {"law": "spline", "knots": [float(k) for k in form.knots]}
    return replace(
        at_knots,
        notes=_undetermined(at_knots, values, covariance),
        names=(*form.names, *EXTRA),
        values=jacobian @ values,
        covariance=jacobian @ covariance @ jacobian.T,
        settings=settings | {"haze": haze},
        chi2=slopes.chi2(at_knots.values)[0],
        ndf=len(slopes.measured),
    )


def _undetermined(at_knots: Fit, values: Floats, covariance: Floats) -> tuple[str, ...]:
    """Say which values at the knots the showers do not determine: on a limit, or no better known than by it."""
    error = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    notes = []
    for name, value, e in zip(at_knots.names, values, error, strict=True):
        if name in at_knots.at_limit:
            notes.append(f"{name} is not determined by these showers: it ended on its limit {value:.3g}")
        elif not np.isfinite(e) or e > (_UNKNOWN if name.startswith("rho") else abs(value)):
            notes.append(f"{name} is not determined by these showers: {value:.3g} with an error of {e:.2g}")
    return tuple(notes)
