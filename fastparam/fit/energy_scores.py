"""Scores of the energies component, and the bins of showers that follow from them (`fit.energies`).

A score is the standard normal number at a quantity's place among the showers of its energy. Exact zeros are an atom:
their scores are drawn below the atom's edge *given the other quantities* (Gibbs sampling of the truncated normal law).
Bins are quantiles of the leading principal component of the scores, or of hadrons where they start (`Starts`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import special

from fastparam._numba import kernel
from fastparam.fit.marginals import Marginals, Quantities, neighbour_weights
from fastparam.random import stream, uniform
from fastparam.shapes.normal import normal_cdf1, normal_ppf1

if TYPE_CHECKING:
    from fastparam.summary.points import EnergyPoints

__all__ = ["RIDGE", "Starts", "bins_of", "directions", "regular", "scores_of"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

Bools = npt.NDArray[np.bool_]

#: Sweeps of Gibbs sampling of the scores of zeros; each with the correlations found so far.
_SWEEPS = 12

#: Width in ln E over which correlations are pooled for imputation and for the leading component, and the fewest
#: showers per quantity.
_LOCAL, _PER_QUANTITY = 0.35, 3.0

#: Correlations are kept this far from singular: sums of shares are 1 in every shower.
RIDGE = 2e-3


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
    return np.array([regular(matrix / n) for matrix, n in zip(mixed, weights @ points.counts, strict=True)])


def directions(correlation: Floats, n_layers: int) -> Floats:
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


def regular(matrix: Floats) -> Floats:
    """Correlation matrix of a matrix of second moments, kept away from singular."""
    width = np.sqrt(np.maximum(np.diag(matrix), 1e-6))
    matrix = matrix / np.outer(width, width)
    np.fill_diagonal(matrix, 1.0)
    return np.asarray((1 - RIDGE) * matrix + RIDGE * np.eye(len(matrix)))


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
