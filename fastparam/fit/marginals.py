"""Distributions of shower quantities at any energy: quantile functions that are smooth in ln E.

A quantity x of showers of energy E (the visible energy over E, say, or a layer's share of it) is

    0                                            with probability p0(E), an atom of its own,
    f^-1(location(E) + scale(E) q(z; E))         else, z standard normal;

f is ln for layers, logit for quantities between 0 and 1, and nothing for the total, whose mean is to be kept. location
and ln scale are polynomials in ln E, whose orders are those that predict left-out energy points best, plus what the
points show beyond their errors, drawn from point to point: a fit in energy, not an interpolation, so that an energy
without showers gets the mean and the width it should have. The shape q, of mean 0 and width 1, is tabulated in z per
energy point and interpolated at fixed z: between two energies this is the distribution half-way, never a mixture of
both. Points with few showers borrow shape from their neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from fastparam.fit.tables import Tables
from fastparam.summary.points import EnergyPoints

__all__ = [
    "FORWARD",
    "INVERSE",
    "Marginals",
    "Quantities",
    "deviation_of",
    "fit",
    "neighbour_weights",
    "smooth_law",
    "table_of",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Scores between which shapes are tabulated, and the numbers of knots that are tried: the first that keeps the
#: tabulated distribution within `BUDGET`/sqrt(n) of that of the showers is taken.
Z_MAX = 4.0
KNOTS = (65, 129, 257)
BUDGET = 0.3

#: Showers that shall support a shape: where an energy point has fewer, neighbours lend theirs. What is tried, folds,
#: and quantiles that are looked at.
_SUPPORTS = (30.0, 150.0, 500.0, np.inf)
_FOLDS, _LOSS_KNOTS = 4, 20

#: Values further out than this many widths count as if they were there when location and scale are fitted.
_WINSOR = 2.5
_MAX_DEGREE = 4
_GRID_STEP = 0.1


#: Positive quantities that are tabulated as they are do not get smaller than this.
FLOOR = 1e-7


def _logit(x: Floats) -> Floats:
    inside = np.clip(x, 1e-6, 1.0 - 1e-6)
    return np.asarray(np.log(inside / (1.0 - inside)))


#: From a quantity to what is tabulated, and back, by the number stored as `Marginals.kind`.
FORWARD: tuple[Callable[[Floats], Floats], ...] = (np.log, _logit, np.positive)
INVERSE: tuple[Callable[[Floats], Floats], ...] = (
    np.exp,
    lambda y: np.asarray(1.0 / (1.0 + np.exp(-y))),
    lambda y: np.maximum(y, FLOOR),
)


@dataclass(frozen=True)
class Quantities:
    """What is known of n showers.

    Attributes
    ----------
    values : float64 array (n, m)
        At least 0; NaN where a quantity is undefined.
    kind : int64 array (m,)
        0: positive, with an atom at exactly 0, tabulated as its logarithm. 1: between 0 and 1, without an atom,
        tabulated as logit. 2: like 0, but tabulated as it is: the mean is what is smooth in energy.
    names : tuple of str (m,)
    """

    values: Floats
    kind: Ints
    names: tuple[str, ...]

    def take(self, rows: Any) -> Quantities:
        """Return the same quantities of some showers."""
        return Quantities(self.values[rows], self.kind, self.names)


@dataclass(frozen=True)
class Marginals:
    """Distributions of m quantities.

    Attributes
    ----------
    ln_e : float64 array (P,)
        ln of the energy points in MeV.
    zero : float64 array (P, m)
        Probability of the atom, linear in ln E between points.
    grid : float64 array (G,)
        Energies at which laws are tabulated, ln MeV.
    location, ln_scale : float64 arrays (G, m)
    shape : float64 array (P, m, K)
        q at scores from -Z_MAX to Z_MAX in equal steps.
    kind : int64 array (m,)
    deviation : float64 array (m,)
        Largest distance between the tabulated cumulative and that of the showers, in units of 1/sqrt(n).
    """

    ln_e: Floats
    zero: Floats
    grid: Floats
    location: Floats
    ln_scale: Floats
    shape: Floats
    kind: Ints
    deviation: Floats

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return compact arrays to store; `from_tables` reads them."""
        low = self.shape.min(axis=(0, 2))
        span = np.maximum(self.shape.max(axis=(0, 2)) - low, 1e-12)
        packed = np.round((self.shape - low[:, None]) / span[:, None] * 65535.0).astype(np.uint16)
        return {
            "marginal_ln_e": self.ln_e,
            "marginal_zero": self.zero.astype(np.float32),
            "marginal_grid": self.grid,
            "marginal_location": self.location.astype(np.float32),
            "marginal_ln_scale": self.ln_scale.astype(np.float32),
            "marginal_shape": packed,
            "marginal_low": low,
            "marginal_span": span,
            "marginal_kind": self.kind,
            "marginal_deviation": self.deviation.astype(np.float32),
        }

    @classmethod
    def from_tables(cls, tables: Tables) -> Marginals:
        """Build from tables that hold what `to_arrays` returned."""
        low, span = tables["marginal_low"], tables["marginal_span"]
        shape = low[:, None] + span[:, None] * (tables["marginal_shape"].astype(np.float64) / 65535.0)
        return cls(
            tables["marginal_ln_e"].astype(np.float64),
            tables["marginal_zero"].astype(np.float64),
            tables["marginal_grid"].astype(np.float64),
            tables["marginal_location"].astype(np.float64),
            tables["marginal_ln_scale"].astype(np.float64),
            np.ascontiguousarray(shape),
            tables["marginal_kind"].astype(np.int64),
            tables["marginal_deviation"].astype(np.float64),
        )

    def quantiles(self, ln_e: float, z: Floats) -> tuple[Floats, Floats]:
        """Return the atoms (m,), and the rest (m, k) at scores z (k,) among what is not zero, at an energy."""
        p, w = _between(self.ln_e, ln_e)
        q = min(p + 1, len(self.ln_e) - 1)
        knots = np.linspace(-Z_MAX, Z_MAX, self.shape.shape[2])
        zero = (1 - w) * self.zero[p] + w * self.zero[q]
        found = np.empty((len(self.kind), len(z)))
        for j in range(len(self.kind)):
            shape = (1 - w) * self.shape[p, j] + w * self.shape[q, j]
            location = np.interp(ln_e, self.grid, self.location[:, j])
            scale = np.exp(np.interp(ln_e, self.grid, self.ln_scale[:, j]))
            found[j] = INVERSE[self.kind[j]](location + scale * np.interp(z, knots, shape))
        return zero, found

    def moments(self, ln_e: float) -> tuple[Floats, Floats]:
        """Return mean and standard deviation (m,) of every quantity at an energy, atoms included."""
        z = special.ndtri((np.arange(4000) + 0.5) / 4000.0)
        zero, x = self.quantiles(ln_e, z)
        mean, square = (1 - zero) * x.mean(axis=1), (1 - zero) * (x**2).mean(axis=1)
        return mean, np.sqrt(np.maximum(square - mean**2, 0.0))

    def widths(self, ln_e: float) -> Floats:
        """Return half the central 68 % (m,) of every quantity at an energy, atoms included."""
        n = 4000
        zero, x = self.quantiles(ln_e, special.ndtri((np.arange(n) + 0.5) / n))
        ends = np.empty((2, len(zero)))
        for k, u in enumerate((0.158655, 0.841345)):
            inner = (u - zero) / np.maximum(1 - zero, 1e-9)
            column = np.clip((inner * n).astype(np.int64), 0, n - 1)
            ends[k] = np.where(inner > 0, x[np.arange(len(zero)), column], 0.0)
        return np.asarray(0.5 * (ends[1] - ends[0]))


def fit(
    quantities: Quantities, points: EnergyPoints, energy: Floats, *, quick: bool = False
) -> tuple[Marginals, Floats]:
    """Fit the distributions, and find where in them each shower lies.

    Parameters
    ----------
    quantities : Quantities
        Of n showers.
    points : EnergyPoints
        Of the same showers.
    energy : float64 array (n,)
        Kinetic energies in MeV.
    quick : bool
        Take the fewest knots and neighbours without trying others: for moments.

    Returns
    -------
    Marginals
    residual : float64 array (n, m)
        (f(x) - location)/scale with the location and scale of the shower's energy point; NaN for zeros and undefined.
    """
    ln_e, ln_point = np.log(energy), np.log(points.energy)
    low, high = float(ln_e.min()), float(ln_e.max())
    n_grid = max(2, int(np.ceil((high - low) / _GRID_STEP)) + 1)
    grid = np.unique(np.concatenate([np.linspace(low - 0.02, high + 0.02, n_grid), ln_point]))
    n_points, m = len(points), len(quantities.kind)
    zero = np.zeros((n_points, m))
    location, ln_scale = np.zeros((len(grid), m)), np.full((len(grid), m), -20.0)
    residual = np.full(quantities.values.shape, np.nan)
    for j in range(m):
        x = quantities.values[:, j]
        known = ~np.isnan(x)
        seen = known & (x > 0) if quantities.kind[j] != 1 else known
        of_point = np.bincount(points.point[known], minlength=n_points)
        hit = np.bincount(points.point[seen], minlength=n_points)
        if quantities.kind[j] != 1:
            zero[:, j] = 1.0 - np.where(of_point > 0, hit / np.maximum(of_point, 1), 0.0)
        if not seen.any():
            continue
        y = FORWARD[quantities.kind[j]](x[seen])
        residual[seen, j], location[:, j], ln_scale[:, j] = _standardise(
            y, ln_e[seen], points.point[seen], ln_point, grid
        )
    at_points = [np.exp([np.interp(ln_point, grid, ln_scale[:, j]) for j in range(m)]).T, quantities.kind == 0]
    shape, deviation = _shapes(residual, points.point, ln_point, np.where(at_points[1], at_points[0], 0.0), quick)
    return Marginals(ln_point, zero, grid, location, ln_scale, shape, quantities.kind, deviation), residual


def smooth_law(x: Floats, y: Floats, error: Floats, at: Floats) -> Floats:
    """Smooth curve through points with errors: a polynomial, and what the points show beyond their errors.

    The order of the polynomial, at most 4, is the one that predicts left-out inner points best. The residuals of the
    points are shrunk by error^2/(error^2 + s^2), s the scatter beyond the errors, and drawn linearly from point to
    point: where the polynomial describes the points nothing is added, where it does not the curve goes through them.

    Parameters
    ----------
    x, y, error : float64 arrays (P,)
        Points with infinite errors do not count.
    at : float64 array (G,)
        Where the curve is wanted; constant beyond the first and last x.
    """
    good = np.isfinite(error) & np.isfinite(y)
    x, y, error = x[good], y[good], np.maximum(error[good], 1e-9)
    if len(x) == 0:
        return np.zeros(len(at))
    at = np.clip(at, x[0], x[-1])
    middle, half = 0.5 * (x[0] + x[-1]), max(0.5 * (x[-1] - x[0]), 1e-9)
    best, chosen = np.inf, min(len(x) - 1, 1)
    for degree in range(min(len(x) - 1, _MAX_DEGREE + 1) if len(x) > 2 else 0):
        score = 0.0
        for k in range(1, len(x) - 1):
            others = np.arange(len(x)) != k
            if others.sum() <= degree:
                score = np.inf
                break
            law = np.polynomial.Polynomial.fit((x[others] - middle) / half, y[others], degree, w=1.0 / error[others])
            score += float(((y[k] - law((x[k] - middle) / half)) / error[k]) ** 2)
        if score < best - 1.0:  # a richer law must gain a unit
            best, chosen = score, degree
    law = np.polynomial.Polynomial.fit((x - middle) / half, y, chosen, w=1.0 / error)
    left = y - law((x - middle) / half)
    ndf = len(x) - chosen - 1
    excess = 0.0
    if ndf > 0:
        # Scatter beyond the errors by the method of moments (DerSimonian & Laird, Controlled Clinical Trials 7 (1986)
        # 177) in its form for regressions.
        weight = 1.0 / error**2
        design = np.vander((x - middle) / half, chosen + 1)
        normal = np.linalg.pinv((design * weight[:, None]).T @ design)
        expected = weight.sum() - np.trace(normal @ ((design * weight[:, None] ** 2).T @ design))
        excess = max(0.0, (float(((left / error) ** 2).sum()) - ndf) / float(expected))
    shrunk = left * excess / (excess + error**2)
    return np.asarray(law((at - middle) / half) + np.interp(at, x, shrunk))


def neighbour_weights(ln_e: Floats, counts: Floats, width: float, support: float) -> Floats:
    """Weights (P, P) with which showers of point q count at point p: Gaussian in ln E.

    Widths grow until a point is supported by so many showers, or by all of them.
    """
    weights = np.zeros((len(ln_e), len(ln_e)))
    step = max(float(np.median(np.diff(ln_e))), 1e-3) if len(ln_e) > 1 else 1.0
    for p in range(len(ln_e)):
        own = width
        for _ in range(20):
            distance = np.abs(ln_e - ln_e[p])
            w = np.exp(-0.5 * (distance / own) ** 2) if own > 0 else (distance == 0).astype(np.float64)
            if w @ counts >= min(support, 0.98 * float(counts.sum())):
                break
            own = max(1.3 * own, 0.4 * step)
        weights[p] = np.where(w > 1e-3, w, 0.0)
    return weights


def table_of(values: Floats, weights: Floats, knots: Floats, growth: float = 0.0) -> Floats:
    """Tabulate the quantile function of weighted values at scores `knots`; the tails go on as straight as they end.

    With `growth` the upper tail goes on straight in exp(growth value), which grows slower.
    """
    order = np.argsort(values, kind="stable")
    v, w = values[order], weights[order]
    u = (np.cumsum(w) - 0.5 * w) / w.sum()
    z = special.ndtri(u)
    found = np.interp(knots, z, v)
    if len(v) < 5:
        return found
    # The slope of the last values: 2 % of them, at least 5.
    m = min(max(5, int(0.02 * len(v))), len(v) - 1)
    below, above = knots < z[0], knots > z[-1]
    found[below] = v[0] + (v[m] - v[0]) / (z[m] - z[0]) * (knots[below] - z[0])
    rise = (v[-1] - v[-1 - m]) / (z[-1] - z[-1 - m])
    if growth > 0:
        relative = -np.expm1(growth * (v[-1 - m] - v[-1])) / (z[-1] - z[-1 - m])
        found[above] = v[-1] + np.log1p(relative * (knots[above] - z[-1])) / growth
    else:
        found[above] = v[-1] + rise * (knots[above] - z[-1])
    return found


def _standardise(y: Floats, ln_e: Floats, point: Ints, ln_point: Floats, grid: Floats) -> tuple[Floats, Floats, Floats]:
    """Residuals of values y, and laws of location and ln scale on the grid."""
    n_points = len(ln_point)
    counts = np.bincount(point, minlength=n_points)
    line = np.polyfit(ln_e, y, 1 if np.ptp(ln_e) > 0.05 else 0)
    at_point, at_grid, own = np.polyval(line, ln_point), np.polyval(line, grid), np.polyval(line, ln_e)
    spread = max(float(np.std(y - own)), 1e-9)
    ln_s_point, ln_s_grid, ln_s_own = (np.full(len(a), np.log(spread)) for a in (ln_point, grid, ln_e))
    mean, width = np.zeros(n_points), np.ones(n_points)
    for _ in range(6):
        r = (y - own) / np.exp(ln_s_own)
        # Winsorised about the point's own centre, so that a law that is still far off does not decide what is a tail.
        r = (r - mean[point]) / width[point]
        clipped = np.clip(r, -_WINSOR, _WINSOR)
        first = np.bincount(point, weights=clipped, minlength=n_points) / np.maximum(counts, 1)
        second = np.bincount(point, weights=clipped**2, minlength=n_points) / np.maximum(counts, 1)
        rms = np.sqrt(np.maximum(second - first**2, 1e-12))
        fourth = np.bincount(point, weights=(clipped - first[point]) ** 4, minlength=n_points) / np.maximum(counts, 1)
        mean, width = mean + first * width, np.where(counts > 2, width * rms, width)
        scale = np.exp(ln_s_point)
        n = np.maximum(counts, 1)
        m_error = np.where(counts > 2, scale * width / np.sqrt(n), np.inf)
        s_error = np.where(counts > 4, np.sqrt(np.maximum(fourth / rms**4 - 1.0, 0.5) / (4.0 * n)), np.inf)
        if (counts > 4).sum() == 0:  # hardly any showers: one distribution for all energies
            break
        target, ln_target = at_point + scale * mean, ln_s_point + np.log(width)
        new_grid = smooth_law(ln_point, target, m_error, grid)
        new_s_grid = smooth_law(ln_point, ln_target, s_error, grid)
        # Residuals of the points are kept relative to the laws of this round.
        at_grid, ln_s_grid = new_grid, new_s_grid
        at_point, ln_s_point = np.interp(ln_point, grid, at_grid), np.interp(ln_point, grid, ln_s_grid)
        own, ln_s_own = np.interp(ln_e, grid, at_grid), np.interp(ln_e, grid, ln_s_grid)
        mean = (target - at_point) / np.exp(ln_s_point)
        width = np.exp(ln_target - ln_s_point)
    residual: Floats = ((y - own) / np.exp(ln_s_own) - mean[point]) / width[point]
    return residual, np.asarray(at_grid), np.asarray(ln_s_grid)


def _shapes(residual: Floats, point: Ints, ln_point: Floats, growth: Floats, quick: bool) -> tuple[Floats, Floats]:
    """Tables of the residuals' quantile functions (P, m, K), and their largest deviation in 1/sqrt(n) (m,)."""
    m, n_points = residual.shape[1], len(ln_point)
    seen = ~np.isnan(residual)
    weights = np.zeros((m, n_points, n_points))
    for j in np.flatnonzero(seen.any(axis=0)):
        weights[j] = _support(
            residual[seen[:, j], j], point[seen[:, j]], ln_point, _SUPPORTS[1:2] if quick else _SUPPORTS
        )
    for n_knots in KNOTS[:1] if quick else KNOTS:
        knots = np.linspace(-Z_MAX, Z_MAX, n_knots)
        shape, deviation = np.zeros((n_points, m, n_knots)), np.zeros(m)
        for j in np.flatnonzero(seen.any(axis=0)):
            r, of = residual[seen[:, j], j], point[seen[:, j]]
            for p in range(n_points):
                w = weights[j, p, of]
                used = w > 0
                shape[p, j] = table_of(r[used], w[used], knots, growth[p, j])
                if not quick:
                    deviation[j] = max(deviation[j], deviation_of(shape[p, j], knots, r[used], w[used]))
        if deviation.max() <= BUDGET:
            break
    return shape, deviation


def _support(r: Floats, point: Ints, ln_point: Floats, supports: tuple[float, ...]) -> Floats:
    """Weights (P, P) with which energy points share a shape: of those tried, what predicts left-out showers best."""
    counts = np.bincount(point, minlength=len(ln_point)).astype(np.float64)
    fold = np.empty(len(r), dtype=np.int64)
    fold[np.lexsort((r, point))] = np.arange(len(r)) % _FOLDS
    u = (np.arange(_LOSS_KNOTS) + 0.5) / _LOSS_KNOTS
    z = special.ndtri(u)
    best, chosen = np.inf, np.ones((len(ln_point), len(ln_point)))
    tried: list[Floats] = []
    if len(supports) == 1:
        return neighbour_weights(ln_point, counts, 0.0, supports[0])
    for support in supports:
        weights = neighbour_weights(ln_point, counts, 0.0, support)
        if any(np.array_equal(weights, t) for t in tried):
            continue
        tried.append(weights)
        if counts.sum() < 4 * _FOLDS:
            best, chosen = 0.0, weights
            continue
        loss = 0.0
        for f in range(_FOLDS):
            for p in np.flatnonzero(counts > 0):
                held = r[(fold == f) & (point == p)]
                w = weights[p, point] * (fold != f)
                if not len(held) or not (w > 0).any():
                    continue
                # The loss that quantiles minimise, averaged over them.
                ahead = held[:, None] - table_of(r[w > 0], w[w > 0], z)
                loss += float(np.maximum(u * ahead, (u - 1.0) * ahead).mean(axis=1).sum())
        if loss < best:
            best, chosen = loss, weights
    return chosen


def deviation_of(table: Floats, knots: Floats, values: Floats, weights: Floats) -> float:
    """Largest distance of the tabulated cumulative from the one of the values, in units of 1/sqrt(n)."""
    order = np.argsort(values, kind="stable")
    w = weights[order]
    u = (np.cumsum(w) - 0.5 * w) / w.sum()
    # Equal values are one step; a strictly growing table can be inverted.
    growing = np.maximum.accumulate(table) + 1e-12 * np.arange(len(table))
    z = np.interp(values[order], growing, knots)
    n = w.sum() ** 2 / (w**2).sum()
    distance = np.abs(special.ndtr(z) - u)
    ties = np.diff(values[order], prepend=np.nan) == 0
    return float(distance[~ties].max() * np.sqrt(n)) if (~ties).any() else 0.0


def _between(ln_e: Floats, at: float) -> tuple[int, float]:
    """Point below an energy, and the weight of the next one."""
    if len(ln_e) == 1:
        return 0, 0.0
    p = int(np.clip(np.searchsorted(ln_e, at, side="right") - 1, 0, len(ln_e) - 2))
    return p, float(np.clip((at - ln_e[p]) / (ln_e[p + 1] - ln_e[p]), 0.0, 1.0))
