"""Energies component of the recipe `fastcalosim`: total, layers and depths inside layers, and how they hang together.

The method is that of FastCaloSimV2 (ATL-SOFT-PUB-2018-002; arXiv:2109.02551), rebuilt so that everything is a smooth
function of ln E:

1. every quantity - visible energy over E, each layer's share of it, mean depth inside each thick layer - gets a score:
   the standard normal number at its place among the showers of its energy (`fit.marginals`). All layers are kept. Exact
   zeros are an atom: their scores are drawn below the atom's edge *given the other quantities* (Gibbs sampling of the
   truncated normal law), so that layers that are empty together stay so;
2. the leading principal component of the scores, pointing to deeper showers at every energy, cuts the showers of each
   energy in bins of equal numbers. Hadrons in detectors of many layers have bins of the layer in which they start
   instead (`Starts`), one of them for those that do not; in detectors of few layers hadrons that pass have a bin of
   their own, and the law of their energy (`passing`);
3. within a bin: how the scores are distributed (tables h), and the correlation matrix of what is Gaussian then, as a
   Cholesky factor. An energy point borrows showers from its neighbours, a bin correlations from all bins; how much is
   chosen by how well correlations of left-out showers are predicted.

`calibrate` then draws showers from the fit and corrects tables and matrices until layer energies have the
distributions and correlations of the training showers. `left_out` says how well an inner energy point is predicted
without its showers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import special

from fastparam._numba import kernel
from fastparam.errors import FitError
from fastparam.fit import marginals
from fastparam.fit.marginals import FORWARD, Marginals, Quantities, neighbour_weights, table_of
from fastparam.fit.tables import Tables
from fastparam.random import stream, uniform
from fastparam.shapes.binned_copula import draw1
from fastparam.shapes.normal import normal_cdf1, normal_ppf1

if TYPE_CHECKING:
    from fastparam.geometry.detector import Geometry
    from fastparam.summary.points import EnergyPoints
    from fastparam.summary.summary import Summary

__all__ = [
    "SCORE_MAX",
    "Energies",
    "bins_of",
    "calibrate",
    "draw",
    "fit",
    "left_out",
    "quantities_of",
    "scores_of",
    "total_of",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

#: Scores between which h is tabulated, and the number of knots.
SCORE_MAX = 3.5
_SCORE_KNOTS = 43

#: Name of the energy in MeV of showers that pass.
PASSING = "total of those that pass"

#: What is tried: widths in ln E over which energy points borrow from each other, and shares of the pooled correlation
#: matrix in that of a bin.
_WIDTHS = (0.0, 0.35, 0.5, 0.7, 1.0, 2.0, 8.0)
_SHARES = (0.0, 0.1, 0.3, 0.6, 1.0)
_FOLDS = 4

#: Sweeps of Gibbs sampling of the scores of zeros; each with the correlations found so far.
_SWEEPS = 12

#: Width in ln E over which correlations are pooled for imputation and for the leading component, and the fewest
#: showers per quantity.
_LOCAL, _PER_QUANTITY = 0.35, 3.0

#: Correlations are kept this far from singular: sums of shares are 1 in every shower.
_RIDGE = 2e-3

#: Showers that support the tables of a bin.
_SUPPORT = 20.0

#: Showers drawn per energy point to calibrate; numbers of quantities squared take their time.
_CALIBRATION_SHOWERS, _CALIBRATION_WORK = 10_000, 10_000_000
_CALIBRATION_ROUNDS = 6


@dataclass(frozen=True)
class Energies:
    """The fitted model; the tables of `shapes.binned_copula`.

    Attributes
    ----------
    marginals : Marginals
        Of m quantities at P energy points.
    direction : float64 array (P, m)
        The leading principal component of the scores.
    edges : float64 array (P, B - 1)
        Its values between which the bins lie.
    score : float64 array (P, B, m, K)
        h, scores within all showers at scores within a bin, from -SCORE_MAX to SCORE_MAX in equal steps.
    factor : float64 array (P, B, m, m)
        Cholesky factors.
    probability : float64 array (P, B)
        Of the bins.
    first : int64 array (B + 1,)
        First start of each bin, and the number of layers; empty if bins are quantiles of the leading component.
    threshold : float64 array (L,)
        Energies in MeV that a layer must exceed where a shower starts.
    width, share : float
        What was chosen: width in ln E, share of the pooled correlations.
    names : tuple of str (m,)
    n_layers : int
    """

    marginals: Marginals
    direction: Floats
    edges: Floats
    score: Floats
    factor: Floats
    probability: Floats
    first: Ints
    threshold: Floats
    width: float
    share: float
    names: tuple[str, ...]
    n_layers: int

    @property
    def passing(self) -> int:
        """Number of the quantity that holds the energy of showers that pass, bin 0; -1 if they have no bin."""
        return self.names.index(PASSING) if PASSING in self.names else -1

    @property
    def n_bins(self) -> int:
        """Number of bins of the leading component."""
        return int(self.factor.shape[1])

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return compact arrays to store; `from_tables` reads them."""
        low = np.tril_indices(self.factor.shape[2])
        return {
            **self.marginals.to_arrays(),
            "energies_direction": self.direction,
            "energies_edges": self.edges.astype(np.float32),
            "energies_score": np.round(self.score * 4096.0).astype(np.int16),
            "energies_factor": self.factor[:, :, low[0], low[1]].astype(np.float32),
            "energies_probability": self.probability,
            "energies_first": self.first,
            "energies_threshold": self.threshold,
            "energies_chosen": np.array([self.width, self.share]),
            "energies_names": np.array([name.encode() for name in self.names]),
            "energies_layers": np.array([self.n_layers]),
        }

    @classmethod
    def from_tables(cls, tables: Tables) -> Energies:
        """Build from tables that hold what `to_arrays` returned."""
        packed = tables["energies_factor"].astype(np.float64)
        m = tables["energies_direction"].shape[1]
        factor = np.zeros((*packed.shape[:2], m, m))
        low = np.tril_indices(m)
        factor[:, :, low[0], low[1]] = packed
        width, share = (float(v) for v in tables["energies_chosen"])
        return cls(
            Marginals.from_tables(tables),
            tables["energies_direction"].astype(np.float64),
            tables["energies_edges"].astype(np.float64),
            np.ascontiguousarray(tables["energies_score"].astype(np.float64) / 4096.0),
            factor,
            tables["energies_probability"].astype(np.float64),
            tables["energies_first"].astype(np.int64),
            tables["energies_threshold"].astype(np.float64),
            width,
            share,
            tuple(name.decode() for name in tables["energies_names"]),
            int(tables["energies_layers"][0]),
        )


@dataclass(frozen=True)
class Starts:
    """Where n showers start.

    Attributes
    ----------
    layer : int64 array (n,)
        -1 for those that do not start.
    threshold : float64 array (L,)
        Energies in MeV that a layer and the two behind it must exceed.
    """

    layer: Ints
    threshold: Floats

    def first_of_bins(self) -> Ints:
        """First start of each bin, and the number of layers: bins that widen with depth, whatever the showers."""
        edges = [-1, 0]
        while edges[-1] < len(self.threshold):
            edges.append(min(edges[-1] + 1 + edges[-1] // 2, len(self.threshold)))
        return np.array(edges, dtype=np.int64)


def quantities_of(
    geometry: Geometry, showers: Summary, factors: Floats | None = None, *, passing: Bools | None = None
) -> Quantities:
    """Return the quantities of a slice's showers: total/E, layers/total, mean depths inside thick layers.

    Parameters
    ----------
    geometry : Geometry
    showers : Summary
        n showers; depths are those of the showers that keep their hits, NaN for others.
    factors : float64 array (n, L), optional
        Modulation of each layer's energy at the shower's azimuth, which is divided out.
    passing : bool array (n,), optional
        Showers of hadrons that pass: they have no total/E, but a total in MeV, the last quantity, which others lack.
    """
    layer = showers.layer_energy if factors is None else showers.layer_energy / factors
    total = layer.sum(axis=1)
    share = np.where(total[:, None] > 0, layer / np.where(total > 0, total, 1.0)[:, None], np.nan)
    thick = thick_layers(showers)
    depth = _depths(showers, thick)
    names = (
        "total",
        *(f"layer {i}" for i in geometry.layer_ids),
        *(f"depth in {geometry.layer_ids[k]}" for k in thick),
    )
    kind = np.array([2] + [0] * layer.shape[1] + [1] * len(thick), dtype=np.int64)
    values = np.column_stack([total / showers.particles.energy, share, depth.reshape(len(showers), len(thick))])
    if passing is None:
        return Quantities(values, kind, names)
    values[passing, 0] = np.nan
    return Quantities(
        np.column_stack([values, np.where(passing, total, np.nan)]), np.append(kind, 0), (*names, PASSING)
    )


def total_of(quantities: Quantities, energy: Floats) -> Floats:
    """Return the visible energy over E (n,) of showers, of those that pass, too."""
    total = quantities.values[:, 0]
    if PASSING not in quantities.names:
        return total
    return np.where(np.isnan(total), quantities.values[:, quantities.names.index(PASSING)] / energy, total)


def thick_layers(showers: Summary) -> Ints:
    """Layers inside which hits have a depth: those of more than one depth cell."""
    return np.flatnonzero(showers.binning.n_cells > 1).astype(np.int64)


def _depths(showers: Summary, thick: Ints) -> Floats:
    """Energy-weighted mean depth between entry (0) and exit (1) of each thick layer; NaN for empty ones."""
    found = np.full((len(showers), len(thick)), np.nan)
    if showers.deposits is None or not len(thick):
        return found
    d = showers.deposits
    for j, layer in enumerate(thick):
        own = d.layer == layer
        e = d.e[own].astype(np.float64)
        sum_e = np.bincount(d.shower[own], weights=e, minlength=len(showers))
        sum_d = np.bincount(
            d.shower[own], weights=e * (d.depth[own].astype(np.float64) / 255.0), minlength=len(showers)
        )
        some = sum_e > 0
        found[some, j] = np.clip(sum_d[some] / sum_e[some], 0.003, 0.997)
    return found


def fit(
    quantities: Quantities,
    points: EnergyPoints,
    energy: Floats,
    *,
    n_bins: int,
    n_layers: int,
    starts: Starts | None = None,
    pass_probability: Floats | None = None,
) -> tuple[Energies, Ints]:
    """Fit distributions, bins and correlations; return the model and the bin of every shower (n,).

    Parameters
    ----------
    quantities : Quantities
        Of n showers.
    points : EnergyPoints
        Of the same showers.
    energy : float64 array (n,)
        Kinetic energies in MeV.
    n_bins : int
        Bins of the leading component.
    n_layers : int
    starts : Starts, optional
        Take bins of starts instead.
    pass_probability : float64 array (P,), optional
        Of showers that pass, at the energy points; as many as there are if omitted.

    Raises
    ------
    FitError
        If fewer than 20 showers have energy.
    """
    total = total_of(quantities, energy)
    seen = int((total > 0).sum())
    if seen < 20:
        raise FitError(f"energies: {seen} showers with energy; at least 20 are needed")
    laws, residual = marginals.fit(quantities, points, energy)
    g, correlation = scores_of(quantities, laws, residual, points)
    direction = _directions(correlation, n_layers)
    first, threshold = np.empty(0, dtype=np.int64), np.zeros(n_layers)
    passing = np.isnan(quantities.values[:, 0]) if PASSING in quantities.names else None
    if starts is None:
        own = np.ones(len(g), dtype=np.bool_) if passing is None else ~passing
        n_bins = n_bins if own.sum() >= 30 * n_bins else 1
        bin_, edges = bins_of(np.einsum("ij,ij->i", g, direction[points.point]), points, n_bins, own)
        if passing is not None:
            n_bins, bin_ = n_bins + 1, np.where(passing, 0, bin_ + 1)
    else:
        first, threshold = starts.first_of_bins(), starts.threshold
        n_bins = len(first) - 1
        bin_ = np.searchsorted(first, starts.layer, side="right") - 1
        edges = np.zeros((len(points), 0))
    inner = _inner_scores(g, bin_, points, n_bins)
    layers = np.nan_to_num(quantities.values[:, 1 : n_layers + 1]) * total[:, None]
    width = _choose_width(layers, points)
    share = _choose_share(inner, bin_, points, n_bins, width)
    score, factor = _tables(g, bin_, points, n_bins, width, share)
    counts = points.counts.astype(np.float64)
    weights = neighbour_weights(np.log(points.energy), counts, width, 0.0) * counts
    matrices = np.array([_pearson(layers[points.point == p]) for p in range(len(points))])
    target = np.einsum("pq,qij->pij", weights / weights.sum(axis=1, keepdims=True), matrices)
    number = np.array([np.bincount(bin_[points.point == p], minlength=n_bins) for p in range(len(points))])
    probability = number * 1.0 if starts is not None else np.full(number.shape, 1.0)
    if passing is not None:
        p0 = number[:, 0] / points.counts if pass_probability is None else pass_probability
        probability[:, 0] = (n_bins - 1) * p0 / np.maximum(1.0 - p0, 1e-9)
    probability /= probability.sum(axis=1, keepdims=True)
    model = Energies(
        laws, direction, edges, score, factor, probability, first, threshold, width, share, quantities.names, n_layers
    )
    shares = np.nan_to_num(quantities.values[:, 1 : n_layers + 1])
    centre = np.where(total > 0, shares @ np.arange(n_layers), np.nan)
    spread = np.array([_widths_of_points(np.where(bin_ == b, centre, np.nan), points) for b in range(n_bins)]).T
    means = np.array([shares[points.point == p].mean(axis=0) for p in range(len(points))])
    return calibrate(model, target, means, spread), bin_


def _widths_of_points(x: Floats, points: EnergyPoints) -> Floats:
    """Return the standard deviation of x at every energy point, smooth in ln E, (P,); 0 if nothing is known of it."""
    ln_width, error = np.zeros(len(points)), np.full(len(points), np.inf)
    for p in range(len(points)):
        own = x[(points.point == p) & np.isfinite(x)]
        if len(own) > 4 and own.std() > 0:
            kurtosis = float(((own - own.mean()) ** 4).mean() / own.var() ** 2)
            ln_width[p], error[p] = np.log(own.std(ddof=1)), np.sqrt(max(kurtosis - 1.0, 0.5) / (4.0 * len(own)))
    if not np.isfinite(error).any():
        return np.zeros(len(points))
    ln_e = np.log(points.energy)
    return np.asarray(np.exp(marginals.smooth_law(ln_e, ln_width, error, ln_e)))


def layer_energies(values: Floats, n_layers: int) -> Floats:
    """Layer energies over E, (n, L), of drawn quantities (n, m)."""
    return np.asarray(np.nan_to_num(values[:, 1 : n_layers + 1]) * values[:, :1])


def scores_of(
    quantities: Quantities, laws: Marginals, residual: Floats, points: EnergyPoints, *, seed: int = 1
) -> tuple[Floats, Floats]:
    """Return scores (n, m) of all quantities and their correlation matrices (P, m, m).

    Scores of zeros lie below their atom's edge, scores of undefined quantities anywhere; both are drawn given the
    shower's other scores.
    """
    n, m = residual.shape
    g, upper = np.zeros((n, m)), np.full((n, m), np.nan)
    for p in range(len(points)):
        rows = np.flatnonzero(points.point == p)
        for j in range(m):
            seen = rows[~np.isnan(residual[rows, j])]
            zero = rows[quantities.values[rows, j] == 0] if quantities.kind[j] != 1 else rows[:0]
            p0 = len(zero) / max(len(zero) + len(seen), 1)
            if len(seen):
                rank = np.empty(len(seen))
                rank[np.argsort(residual[seen, j], kind="stable")] = np.arange(len(seen)) + 0.5
                g[seen, j] = special.ndtri(p0 + (1 - p0) * rank / len(seen))
            upper[rows, j] = np.inf  # undefined, unless seen or zero
            upper[seen, j] = np.nan
            upper[zero, j] = special.ndtri(p0)
    unknown = ~np.isnan(upper)
    upper = np.where(unknown, upper, 0.0)
    ln_e = np.log(points.energy)
    weights = neighbour_weights(ln_e, points.counts.astype(np.float64), _LOCAL, _PER_QUANTITY * m)
    coefficients, width = np.zeros((len(points), m, m)), np.ones((len(points), m))
    _impute(seed, points.point, upper, unknown, width, coefficients, g)
    correlation = _local_correlations(g, points, weights)
    for sweep in range(_SWEEPS if unknown.any() else 0):
        for p in range(len(points)):
            inverse = np.linalg.inv(correlation[p])
            coefficients[p] = -inverse / np.diag(inverse)[:, None]
            np.fill_diagonal(coefficients[p], 0.0)
            width[p] = 1.0 / np.sqrt(np.diag(inverse))
        _impute(seed + 1 + sweep, points.point, upper, unknown, width, coefficients, g)
        correlation = _local_correlations(g, points, weights)
    return g, correlation


def _local_correlations(g: Floats, points: EnergyPoints, weights: Floats) -> Floats:
    """Correlation matrices (P, m, m) of the scores at every energy point, neighbours counting with their weights."""
    m = g.shape[1]
    moments = np.array([g[points.point == p].T @ g[points.point == p] for p in range(len(points))])
    mixed = np.einsum("pq,qij->pij", weights, moments.reshape(-1, m, m))
    return np.array([_regular(matrix / n) for matrix, n in zip(mixed, weights @ points.counts, strict=True)])


def _directions(correlation: Floats, n_layers: int) -> Floats:
    """Leading components (P, m), turned towards deeper showers at the highest energy and alike at its neighbours."""
    found = np.array([np.linalg.eigh(matrix)[1][:, -1] for matrix in correlation])
    deeper = np.concatenate([[0.0], np.arange(n_layers) - 0.5 * (n_layers - 1)])
    if found[-1, : n_layers + 1] @ deeper < 0:
        found[-1] *= -1.0
    for p in range(len(found) - 2, -1, -1):
        if found[p] @ found[p + 1] < 0:
            found[p] *= -1.0
    return found


@kernel
def _impute(seed: Any, point: Any, upper: Any, unknown: Any, width: Any, coefficients: Any, g: Any) -> None:
    """Draw unknown scores below `upper` (infinite: anywhere) given the others, one after the other."""
    n, m = g.shape
    for i in range(n):
        state = stream(seed, i, 7)
        p = point[i]
        for j in range(m):
            if not unknown[i, j]:
                continue
            mean = 0.0
            for k in range(m):
                mean += coefficients[p, j, k] * g[i, k]
            u = uniform(state)
            if upper[i, j] < 1e300:
                u *= normal_cdf1((upper[i, j] - mean) / width[p, j])
            g[i, j] = min(mean + width[p, j] * normal_ppf1(max(u, 1e-300)), upper[i, j])


def _regular(matrix: Floats) -> Floats:
    width = np.sqrt(np.maximum(np.diag(matrix), 1e-6))
    matrix = matrix / np.outer(width, width)
    np.fill_diagonal(matrix, 1.0)
    return np.asarray((1 - _RIDGE) * matrix + _RIDGE * np.eye(len(matrix)))


def bins_of(leading: Floats, points: EnergyPoints, n_bins: int, own: Bools | None = None) -> tuple[Ints, Floats]:
    """Cut the showers of every energy point in bins of equal numbers; return the bins (n,) and edges (P, B - 1).

    Showers that are not `own` are left out: their bin is 0.
    """
    bin_ = np.zeros(len(leading), dtype=np.int64)
    edges = np.zeros((len(points), n_bins - 1))
    for p in range(len(points)):
        rows = np.flatnonzero((points.point == p) & (True if own is None else own))
        if not len(rows):
            continue
        order = rows[np.argsort(leading[rows], kind="stable")]
        bin_[order] = np.arange(len(rows)) * n_bins // len(rows)
        for b in range(1, n_bins):
            low, high = leading[rows][bin_[rows] < b], leading[rows][bin_[rows] >= b]
            edges[p, b - 1] = 0.5 * ((low.max() if len(low) else high.min()) + (high.min() if len(high) else low.max()))
    return bin_, edges


def _inner_scores(g: Floats, bin_: Ints, points: EnergyPoints, n_bins: int) -> Floats:
    """Scores within bin and energy point."""
    inner = np.zeros_like(g)
    for p in range(len(points)):
        for b in range(n_bins):
            rows = np.flatnonzero((points.point == p) & (bin_ == b))
            if len(rows):
                rank = np.argsort(np.argsort(g[rows], axis=0, kind="stable"), axis=0, kind="stable")
                inner[rows] = special.ndtri((rank + 0.5) / len(rows))
    return inner


def _folds(points: EnergyPoints, bin_: Ints) -> Ints:
    """Fold of every shower for cross-validation; energies and bins are spread evenly over them."""
    fold = np.empty(len(bin_), dtype=np.int64)
    fold[np.lexsort((np.arange(len(bin_)), bin_, points.point))] = np.arange(len(bin_)) % _FOLDS
    return fold


def _choose_width(x: Floats, points: EnergyPoints) -> float:
    """Width in ln E that predicts the correlations between layers of left-out showers best.

    The criterion is the squared distance of the matrices, to which every pair of layers contributes; a likelihood would
    look at the smallest eigenvalues first, which shares that add up to 1 make meaningless.
    """
    if len(points) == 1:
        return 0.0
    fold = _folds(points, np.zeros(len(x), dtype=np.int64))
    train, held, counts = [], [], []
    for f in range(_FOLDS):
        train.append([_pearson(x[(points.point == p) & (fold != f)]) for p in range(len(points))])
        held.append([_pearson(x[(points.point == p) & (fold == f)]) for p in range(len(points))])
        counts.append(np.bincount(points.point[fold != f], minlength=len(points)).astype(np.float64))
    costs = []
    for width in _WIDTHS:
        cost = 0.0
        for f in range(_FOLDS):
            weights = neighbour_weights(np.log(points.energy), counts[f], width, 0.0) * counts[f]
            mixed = np.einsum("pq,qij->pij", weights / weights.sum(axis=1, keepdims=True), np.array(train[f]))
            cost += float((points.counts * ((mixed - np.array(held[f])) ** 2).sum(axis=(1, 2))).sum())
        costs.append(cost)
    return float(_WIDTHS[int(np.argmin(costs))])


def _choose_share(inner: Floats, bin_: Ints, points: EnergyPoints, n_bins: int, width: float) -> float:
    """Share of the matrix pooled over bins that predicts the matrices of bins of left-out showers best."""
    if n_bins == 1:
        return 0.0
    n_points, m = len(points), inner.shape[1]
    fold = _folds(points, bin_)
    moments = np.zeros((_FOLDS, n_points, n_bins, m, m))
    counts = np.zeros((_FOLDS, n_points, n_bins))
    for f in range(_FOLDS):
        for p in range(n_points):
            for b in range(n_bins):
                z = inner[(fold == f) & (points.point == p) & (bin_ == b)]
                moments[f, p, b], counts[f, p, b] = z.T @ z, len(z)
    costs = []
    for share in _SHARES:
        cost = 0.0
        for f in range(_FOLDS):
            train, n_train = moments.sum(axis=0) - moments[f], counts.sum(axis=0) - counts[f]
            weights = neighbour_weights(np.log(points.energy), n_train.sum(axis=1), width, _SUPPORT * n_bins)
            for p in range(n_points):
                matrices = _shrunk(np.einsum("q,qbij->bij", weights[p], train), weights[p] @ n_train, share)
                for b, matrix in enumerate(matrices):
                    if counts[f, p, b] > 0:
                        distance = matrix - moments[f, p, b] / counts[f, p, b]
                        cost += counts[f, p, b] * float((distance**2).sum())
        costs.append(cost)
    return float(_SHARES[int(np.argmin(costs))])


def _pearson(x: Floats) -> Floats:
    """Correlation matrix of the columns; 0 where a column is constant."""
    d = x - x.mean(axis=0) if len(x) else x
    width = np.sqrt((d**2).sum(axis=0))
    d = d / np.where(width > 0, width, 1.0)
    matrix = d.T @ d
    np.fill_diagonal(matrix, 1.0)
    return np.asarray(matrix)


def _shrunk(mixed: Floats, number: Floats, share: float) -> list[Floats]:
    """Correlation matrices of the bins from their second moments, each with a share of the pooled one."""
    own = mixed / np.maximum(number, 1e-9)[:, None, None]
    pooled = mixed.sum(axis=0) / max(float(number.sum()), 1e-9)
    return [_regular((1 - share) * matrix + share * pooled) for matrix in own]


def _tables(
    g: Floats, bin_: Ints, points: EnergyPoints, n_bins: int, width: float, share: float
) -> tuple[Floats, Floats]:
    """Tables h and Cholesky factors per energy point and bin."""
    n_points, m = len(points), g.shape[1]
    ln_e = np.log(points.energy)
    knots = np.linspace(-SCORE_MAX, SCORE_MAX, _SCORE_KNOTS)
    weights = neighbour_weights(ln_e, points.counts.astype(np.float64), width, _SUPPORT * n_bins)
    score = np.zeros((n_points, n_bins, m, _SCORE_KNOTS))
    factor = np.zeros((n_points, n_bins, m, m))
    for p in range(n_points):
        w = weights[p, points.point]
        mixed, number = np.zeros((n_bins, m, m)), np.zeros(n_bins)
        for b in range(n_bins):
            rows = np.flatnonzero((bin_ == b) & (w > 0))
            if len(rows) < 5:  # a bin that hardly occurs here: whatever there is of it
                w = np.where(bin_ == b, np.maximum(w, 1e-3), w)
                rows = np.flatnonzero(bin_ == b)
            if not len(rows):
                score[p, b] = knots
                continue
            z = np.empty((len(rows), m))
            for j in range(m):
                table = table_of(g[rows, j], w[rows], knots) if n_bins > 1 else knots
                score[p, b, j] = np.maximum.accumulate(np.clip(table, -7.5, 7.5))
                z[:, j] = np.interp(g[rows, j], score[p, b, j] + 1e-9 * np.arange(_SCORE_KNOTS), knots)
            mixed[b], number[b] = (z * w[rows, None]).T @ z, w[rows].sum()
        for b, matrix in enumerate(_shrunk(mixed, number, share)):
            factor[p, b] = np.linalg.cholesky(matrix)
    return score, factor


def draw(model: Energies, energy: Floats, *, seed: int, index: Ints | None = None) -> tuple[Floats, Ints]:
    """Draw showers of kinetic energies `energy` (n,) in MeV: quantities (n, m) and bins (n,).

    As the sampler does, for one slice.
    """
    laws = model.marginals
    ln_e = np.log(energy)
    location, ln_scale = (
        np.stack([np.interp(ln_e, laws.grid, law[:, j]) for j in range(law.shape[1])], axis=1)
        for law in (laws.location, laws.ln_scale)
    )
    number = np.arange(len(energy), dtype=np.int64) if index is None else index
    out, bin_ = np.empty((len(energy), len(laws.kind))), np.empty(len(energy), dtype=np.int64)
    _draw(
        seed, number, energy, laws.ln_e, model.probability, model.first, model.threshold, model.factor, model.score,
        laws.zero, laws.shape, location, ln_scale, laws.kind, model.n_layers, model.passing, SCORE_MAX, marginals.Z_MAX,
        out, bin_,
    )  # fmt: skip
    return out, bin_


@kernel
def _draw(
    seed: Any, index: Any, energy: Any, points: Any, probability: Any, first: Any, threshold: Any, factor: Any,
    score: Any, zero: Any, shape: Any, location: Any, ln_scale: Any, kind: Any, n_layers: Any, passing: Any,
    score_max: Any, shape_max: Any, out: Any, bin_: Any,
) -> None:  # fmt: skip
    work, two, two_s = np.empty((2, len(kind))), np.zeros((2, len(kind))), np.zeros((2, len(kind)))
    member, weight, slot = np.zeros(4, dtype=np.int64), np.zeros(4), np.array([0, 1, 2, 3])
    slices = np.array([1.0, 0.0])
    for i in range(len(index)):
        below = 0
        ln_e = math.log(energy[i])
        while below < len(points) - 2 and points[below + 1] <= ln_e:
            below += 1
        above = min(below + 1, len(points) - 1)
        w = (ln_e - points[below]) / (points[above] - points[below]) if above > below else 0.0
        w = min(max(w, 0.0), 1.0)
        member[0], member[1] = below, above
        slot[0] = below % 2
        slot[1] = 1 - slot[0]
        weight[0], weight[1] = 1.0 - w, w
        for j in range(len(kind)):
            two[0, j], two_s[0, j] = location[i, j], ln_scale[i, j]
        bin_[i] = draw1(
            seed, index[i], energy[i], slot, member, weight, probability, first, threshold, factor, score, score_max,
            zero, shape, shape_max, slices, two, two_s, kind, n_layers, passing, work, out[i],
        )  # fmt: skip


def calibrate(
    model: Energies, correlation: Floats, mean_share: Floats, centre_width: Floats, *, seed: int = 3
) -> Energies:
    """Make the showers that are drawn have the distributions of shares and the correlations that were fitted.

    Scaling shares to a sum of 1 changes their distributions a little, and a Gaussian copula in bins has the
    correlations of scores, not of energies. So showers are drawn at every energy point, and what separates their
    quantiles and correlations from the wanted ones is taken off the tables and the matrices, in a few rounds.

    Parameters
    ----------
    model : Energies
    correlation : float64 array (P, L, L)
        Wanted correlation matrices of the layers' energies.
    mean_share : float64 array (P, L)
        Wanted mean shares.
    centre_width : float64 array (P, B)
        Wanted standard deviation of a shower's mean layer in each bin, 0 for any: small errors of many correlations add
        up in it, and showers of the last bin scatter more than all others.
    """
    wanted, n_layers = model.marginals, model.n_layers
    knots = np.linspace(-marginals.Z_MAX, marginals.Z_MAX, wanted.shape.shape[2])
    shape, factor, shift = wanted.shape.copy(), model.factor.copy(), np.zeros(wanted.shape.shape[:2])
    inner = slice(1, n_layers + 1)
    n_drawn = int(np.clip(_CALIBRATION_WORK / shape.shape[1] ** 2, 3000, _CALIBRATION_SHOWERS))
    for round_ in range(_CALIBRATION_ROUNDS):
        current = replace(model, marginals=replace(wanted, shape=shape.copy()), factor=factor.copy())
        for p in range(len(wanted.ln_e)):
            drawn, bin_ = draw(current, np.full(n_drawn, np.exp(wanted.ln_e[p])), seed=seed + round_)
            # Drawing again until a shower starts in its bin prefers totals that do; nothing else changes the total.
            for j in range(1 if len(model.first) == 0 else 0, n_layers + 1):
                location = np.interp(wanted.ln_e[p], wanted.grid, wanted.location[:, j])
                scale = np.exp(np.interp(wanted.ln_e[p], wanted.grid, wanted.ln_scale[:, j]))
                x = np.sort(drawn[drawn[:, j] > 0, j])
                n = len(x)
                if n < 300 or scale < 1e-6:
                    continue
                # Where draws are too rare to tell, the correction is that of the last knot that has some.
                used = np.clip(knots, *special.ndtri([30.0 / n, 1 - 30.0 / n]))
                y = FORWARD[wanted.kind[j]](x)
                found = np.interp(used, special.ndtri((np.arange(n) + 0.5) / n), (y - location) / scale)
                mean = float(drawn[:, j].mean())
                if j > 0 and mean_share[p, j - 1] > 0 and round_ > 0:
                    shift[p, j] += 0.7 * np.clip(np.log(mean_share[p, j - 1] / mean), -0.3, 0.3) / scale
                    shift[p, j] = np.clip(shift[p, j], -0.5, 0.5)
                target = wanted.shape[p, j] + shift[p, j]
                missing_z = np.interp(used, knots, target) - found
                if j == 0:  # a smooth correction: each change of the total moves the bins that showers are kept in
                    missing_z = np.polyval(np.polyfit(used, missing_z, 2, w=np.exp(-0.25 * used**2)), used)
                moved = shape[p, j] + 0.7 * missing_z
                shape[p, j] = np.maximum.accumulate(np.clip(moved, target - 1.0, target + 1.0))
            x = layer_energies(drawn, n_layers)
            missing = correlation[p] - _pearson(x)
            # Bins hold part of the correlation by their means; the rest is theirs to change.
            spread = x.std(axis=0)
            within = np.sqrt(sum(x[bin_ == b].var(axis=0) * np.mean(bin_ == b) for b in np.unique(bin_)))
            gain = np.minimum(spread / np.maximum(within, 1e-12), 2.0)
            step = np.zeros(factor.shape[2:])
            step[inner, inner] = 0.7 * missing * np.outer(gain, gain)
            for b in range(model.n_bins):
                own = step.copy()
                if (bin_ == b).sum() > 300 and centre_width[p, b] > 0:
                    own[inner, inner] += 0.7 * _towards(drawn[bin_ == b, inner], centre_width[p, b])
                np.fill_diagonal(own, 0.0)
                factor[p, b] = np.linalg.cholesky(_positive(factor[p, b] @ factor[p, b].T + own))
    return replace(model, marginals=replace(wanted, shape=shape), factor=factor)


def _towards(share: Floats, width: float) -> Floats:
    """Smallest change of the correlations of shares (n, L) that gives the mean layer a standard deviation."""
    layer = np.arange(share.shape[1])
    centre = share @ layer
    lever = (layer - centre.mean()) * share.std(axis=0)
    square = np.outer(lever, lever)
    np.fill_diagonal(square, 0.0)
    return np.asarray(square * (width**2 - centre.var()) / max(float((square**2).sum()), 1e-300))


def _positive(matrix: Floats) -> Floats:
    """Nearest correlation matrix, about: no eigenvalue below the ridge, diagonal 1."""
    value, vector = np.linalg.eigh(matrix)
    matrix = (vector * np.maximum(value, _RIDGE)) @ vector.T
    width = np.sqrt(np.diag(matrix))
    return np.asarray(matrix / np.outer(width, width))


def left_out(quantities: Quantities, points: EnergyPoints, energy: Floats) -> list[dict[str, float]]:
    """How well each inner energy point is predicted without its showers; of hadrons, those that do not pass.

    Returns
    -------
    list of dict
        Per inner point: energy in MeV; mean and mean_error, width and width_error of the total in % of full simulation
        (predicted minus measured; the error is that of the point's showers), and the largest deviation of a layer's
        mean share in % of the total with its error.
    """
    from fastparam.summary.points import energy_points

    found = []
    n_layers = int((quantities.kind == 0).sum())
    for p in range(1, len(points) - 1):
        own = (points.point == p) & ~np.isnan(quantities.values[:, 0])
        if own.sum() < 10:
            continue
        others = points.point != p
        laws, _ = marginals.fit(quantities.take(others), energy_points(energy[others]), energy[others], quick=True)
        x = quantities.values[own]
        total = x[:, 0]
        e = float(np.exp(np.log(energy[own]).mean()))
        mean, _ = laws.moments(float(np.log(e)))
        width = laws.widths(float(np.log(e)))[0]
        n = int(own.sum())
        rng = np.random.default_rng(p)
        again = total[rng.integers(0, n, (200, n))]
        measured, measured_width = float(total.mean()), _half_68(total)
        width_error = float(np.std([_half_68(t) for t in again]))
        shares = np.nan_to_num(x[:, 1 : n_layers + 1])
        offsets = mean[1 : n_layers + 1] - shares.mean(axis=0)
        worst = int(np.argmax(np.abs(offsets)))
        found.append(
            {
                "energy": e,
                "mean": 100 * (mean[0] / measured - 1),
                "mean_error": 100 * float(total.std() / np.sqrt(n) / measured),
                "width": 100 * (width / measured_width - 1),
                "width_error": 100 * width_error / measured_width,
                "layer": 100 * float(offsets[worst]),
                "layer_error": 100 * float(shares[:, worst].std() / np.sqrt(n)),
            }
        )
    return found


def _half_68(x: Floats) -> float:
    low, high = np.quantile(x, [0.158655, 0.841345])
    return float(0.5 * (high - low))
