"""Correlations of the energies component: tables and Cholesky factors of every energy and bin (`fit.energies`).

Within a bin, how the scores are distributed (tables h), and the correlation matrix of what is Gaussian then. An energy
point borrows showers from its neighbours, a bin correlations from all bins; how much is chosen by how well correlations
of left-out showers are predicted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import special

from fastparam.fit.energy_model import SCORE_MAX
from fastparam.fit.energy_scores import regular
from fastparam.fit.marginals import neighbour_weights, table_of

if TYPE_CHECKING:
    from fastparam.summary.points import EnergyPoints

__all__ = ["choose_share", "choose_width", "inner_scores", "pearson", "tables"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Knots of h between -`SCORE_MAX` and `SCORE_MAX`.
_SCORE_KNOTS = 43

#: What is tried: widths in ln E over which energy points borrow from each other, and shares of the pooled correlation
#: matrix in that of a bin.
_WIDTHS = (0.0, 0.35, 0.5, 0.7, 1.0, 2.0, 8.0)
_SHARES = (0.0, 0.1, 0.3, 0.6, 1.0)
_FOLDS = 4

#: Showers that support the tables of a bin.
_SUPPORT = 20.0


def inner_scores(g: Floats, bin_: Ints, points: EnergyPoints, n_bins: int) -> Floats:
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


def choose_width(x: Floats, points: EnergyPoints) -> float:
    """Width in ln E that predicts the correlations between layers of left-out showers best.

    The criterion is the squared distance of the matrices, to which every pair of layers contributes; a likelihood would
    look at the smallest eigenvalues first, which shares that add up to 1 make meaningless.
    """
    if len(points) == 1:
        return 0.0
    fold = _folds(points, np.zeros(len(x), dtype=np.int64))
    train, held, counts = [], [], []
    for f in range(_FOLDS):
        train.append([pearson(x[(points.point == p) & (fold != f)]) for p in range(len(points))])
        held.append([pearson(x[(points.point == p) & (fold == f)]) for p in range(len(points))])
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


def choose_share(inner: Floats, bin_: Ints, points: EnergyPoints, n_bins: int, width: float) -> float:
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


def pearson(x: Floats) -> Floats:
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
    return [regular((1 - share) * matrix + share * pooled) for matrix in own]


def tables(
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
