"""Smoothed empirical copula: how the features of a shower hang together, and how each of them is distributed.

The model and its formulas are in `shapes.empirical_copula`. What is stored:

* marginals: per energy point and feature the probability of an exact zero and quantiles of the rest;
* the scores of training showers, in steps of 1/5, after the dependence on the phase of an accordion was taken out;
* a factor model of their correlation matrix, V V^T + d^2, of as many factors as hold most of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from fastparam.fit.tables import Tables
from fastparam.summary.points import EnergyPoints

__all__ = ["KINDS", "MAX_SCORES", "N_KNOTS", "SPACING", "START", "STEP", "Copula", "Features", "fit", "scores_of"]

Floats = npt.NDArray[np.float64]

#: Ways in which features can depend on each other: stored showers, their correlations only, or not at all.
KINDS = ("empirical", "gaussian", "independent")

#: Scores are stored as bytes in these steps, quantiles at these scores. Rounding adds 0.3 % to the variance of a score,
#: and mixing two showers fills the gaps; steps of 1/15 are not seen to be better, and take a third more.
STEP = 1.0 / 5.0
_KNOTS = np.linspace(-3.15, 3.15, 31)

#: Score of the first stored quantile, distance of their scores, and their number.
START, SPACING, N_KNOTS = float(_KNOTS[0]), float(_KNOTS[1] - _KNOTS[0]), len(_KNOTS)

#: Quantiles are stored in so many steps between the lowest and the highest of a feature.
_LEVELS = 2047

#: Showers whose scores are stored. They are sampled again and again: the fewer they are, the better a classifier knows
#: them. In W/Si 350 of 695 instead of all raised the AUC of features from 0.67 to 0.77 (`mosaic`), S from 0.0017 to
#: 0.0034.
MAX_SCORES = 1250

#: Scores of undefined features are random, and need no place in a file: this stands for them there.
_UNDEFINED = -128

#: Both numbers in tunes of a format below 4, which do not say them.
_OLDER_PRECISION = 1.0 / 15.0, 8191

#: Features whose zeros are no atom but undefined get a random score; factors hold at most so many dimensions.
_MAX_FACTORS = 40


@dataclass(frozen=True)
class Features:
    """What is known of n showers.

    Attributes
    ----------
    values : float64 array (n, k)
        NaN where a feature is undefined (where an empty ring lies, say): its score is then random.
    positive : bool array (k,)
        Positive features with an atom at exactly 0; the others have any sign and no atom.
    """

    values: Floats
    positive: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Copula:
    """The arrays that `shapes.empirical_copula` draws from; see there."""

    ln_e: Floats
    zero: Floats
    quantiles: Floats
    first: npt.NDArray[np.int64]
    scores: npt.NDArray[np.int8]
    factors: Floats
    unique: Floats
    waves: Floats
    scale: Floats
    undefined: npt.NDArray[np.bool_]
    positive: npt.NDArray[np.bool_]

    @property
    def start(self) -> float:
        """Score of the first stored quantile."""
        return START

    @property
    def spacing(self) -> float:
        """Distance of the scores of stored quantiles."""
        return SPACING

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return compact arrays to store; `from_tables` reads them."""
        low = self.quantiles.min(axis=(0, 2))
        span = np.maximum(self.quantiles.max(axis=(0, 2)) - low, 1e-12)
        levels = np.round((self.quantiles - low[:, None]) / span[:, None] * _LEVELS).astype(np.int64)
        # Quantiles grow: their steps are small numbers, which compress to half.
        packed = np.diff(levels, axis=2, prepend=0).astype(np.uint16)
        return {
            "copula_ln_e": self.ln_e,
            "copula_zero": self.zero.astype(np.float32),
            "copula_quantiles": packed,
            "copula_low": low.astype(np.float32),
            "copula_span": span.astype(np.float32),
            "copula_first": self.first,
            "copula_scores": np.where(self.undefined, _UNDEFINED, self.scores).astype(np.int8),
            "copula_precision": np.array([STEP, _LEVELS]),
            "copula_factors": self.factors.astype(np.float16),
            "copula_unique": self.unique.astype(np.float16),
            "copula_waves": self.waves.astype(np.float32),
            "copula_scale": self.scale.astype(np.float32),
            "copula_positive": self.positive,
        }

    @classmethod
    def from_tables(cls, tables: Tables) -> Copula:
        """Build from tables that hold what `to_arrays` returned."""
        low, span = tables["copula_low"].astype(np.float64), tables["copula_span"].astype(np.float64)
        step, n_levels = tables.arrays.get("copula_precision", _OLDER_PRECISION)
        scores = tables["copula_scores"]
        undefined = scores == _UNDEFINED
        if step != STEP:
            scores = np.round(scores * (step / STEP)).astype(np.int8)
        levels = np.cumsum(tables["copula_quantiles"].astype(np.int64), axis=2)
        quantiles = low[:, None] + span[:, None] * (levels / n_levels)
        return cls(
            tables["copula_ln_e"].astype(np.float64),
            tables["copula_zero"].astype(np.float64),
            np.ascontiguousarray(quantiles),
            tables["copula_first"].astype(np.int64),
            _filled(scores, undefined),
            tables["copula_factors"].astype(np.float64),
            tables["copula_unique"].astype(np.float64),
            tables["copula_waves"].astype(np.float64),
            tables["copula_scale"].astype(np.float64),
            undefined,
            tables["copula_positive"],
        )


def fit(
    features: Features,
    points: EnergyPoints,
    *,
    energy: Floats,
    phase: Floats | None = None,
    max_scores: int = MAX_SCORES,
) -> Copula:
    """Fit marginals and copula.

    Parameters
    ----------
    features : Features
        Of n showers.
    points : EnergyPoints
        Of the same showers.
    energy : float64 array (n,)
        Kinetic energies in MeV.
    phase : float64 array (n,), optional
        2 pi (phi modulo pitch)/pitch where the detector has a modulation.
    max_scores : int
        Showers whose scores are stored; evenly from all energy points.
    """
    k = features.values.shape[1]
    zero, quantiles = _marginals(features, points)
    z = scores_of(features, points)
    ln_e = np.log(energy / 10_000.0)
    waves, scale = np.zeros((0, 8)), np.ones(k)
    if phase is not None:
        waves, scale, z = _take_out_phase(z, ln_e, phase)
    factors, unique = _factors(z)
    order, first = _stored(points, max_scores)
    stored = np.clip(np.round(z[order] / STEP), -127, 127).astype(np.int8)
    undefined = np.isnan(features.values[order])
    return Copula(
        np.log(points.energy), zero, quantiles, first, _filled(stored, undefined), factors, unique, waves, scale,
        undefined, features.positive,
    )  # fmt: skip


def _filled(scores: npt.NDArray[np.int8], undefined: npt.NDArray[np.bool_]) -> npt.NDArray[np.int8]:
    """Give undefined features random scores, the same ones whenever a tune is read."""
    drawn = np.round(np.random.default_rng(1).standard_normal(scores.shape) / STEP)
    return np.where(undefined, np.clip(drawn, -127, 127), scores).astype(np.int8)


def scores_of(features: Features, points: EnergyPoints, *, seed: int = 1) -> Floats:
    """Return normal scores within each energy point, shape (n, k): ties and undefined values in random order."""
    rng = np.random.default_rng(seed)
    z = np.empty_like(features.values)
    for p in range(len(points)):
        rows = np.flatnonzero(points.point == p)
        values = features.values[rows]
        undefined = np.isnan(values)
        order = np.lexsort((rng.random(values.shape), np.where(undefined, np.inf, values)), axis=0)
        rank = np.empty_like(order)
        np.put_along_axis(rank, order, np.broadcast_to(np.arange(len(rows))[:, None], order.shape), axis=0)
        known = np.maximum((~undefined).sum(axis=0), 1)
        scores = special.ndtri(np.clip((rank + 0.5) / known, 0.0, 1.0 - 0.5 / known))
        z[rows] = np.where(undefined, rng.standard_normal(values.shape), scores)
    return z


def _marginals(features: Features, points: EnergyPoints) -> tuple[Floats, Floats]:
    """Probability of zero (P, k) and quantiles of the rest (P, k, K)."""
    n_points, k = len(points), features.values.shape[1]
    zero, quantiles = np.zeros((n_points, k)), np.zeros((n_points, k, len(_KNOTS)))
    known = np.zeros((n_points, k), dtype=bool)
    u = special.ndtr(_KNOTS)
    for p in range(n_points):
        x = features.values[points.point == p]
        defined = (~np.isnan(x)).sum(axis=0)
        empty = features.positive & (x <= 0)
        zero[p] = np.where(features.positive, np.where(defined > 0, empty.sum(axis=0) / np.maximum(defined, 1), 1.0), 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            x = np.where(features.positive, np.where(empty, np.nan, np.log(x)), x)
        n = (~np.isnan(x)).sum(axis=0)
        known[p] = n > 0
        x = np.sort(x, axis=0)  # NaN last
        # Quantiles by Hazen's rule: the i-th of n values stands at (i + 1/2)/n.
        place = np.clip(u[None, :] * n[:, None] - 0.5, 0.0, np.maximum(n[:, None] - 1, 0))
        low = place.astype(np.int64)
        high = np.minimum(low + 1, np.maximum(n[:, None] - 1, 0))
        column = np.arange(k)[:, None]
        quantiles[p] = np.nan_to_num(x[low, column] + (place - low) * (x[high, column] - x[low, column]))
    for j in np.flatnonzero(~known.all(axis=0)):
        # Where a feature has no values at a point, those of the nearest point stand in.
        have = np.flatnonzero(known[:, j])
        for missing in np.flatnonzero(~known[:, j]):
            if len(have):
                quantiles[missing, j] = quantiles[have[np.argmin(np.abs(have - missing))], j]
    return zero, quantiles


def _take_out_phase(z: Floats, ln_e: Floats, phase: Floats) -> tuple[Floats, Floats, Floats]:
    """Regress scores on waves of the phase; return coefficients (k, 8), widths (k,) and residuals in units of them."""
    waves = np.stack([np.cos(phase), np.sin(phase), np.cos(2 * phase), np.sin(2 * phase)], axis=1)
    design = np.concatenate([waves, ln_e[:, None] * waves], axis=1)
    if len(np.unique(np.round(ln_e, 3))) == 1:
        design[:, 4:] = 0.0
    coefficients = np.linalg.lstsq(design, z, rcond=None)[0]
    residual = z - design @ coefficients
    scale = residual.std(axis=0)
    scale[scale <= 0] = 1.0
    return np.ascontiguousarray(coefficients.T), scale, residual / scale


def _factors(z: Floats) -> tuple[Floats, Floats]:
    """Factor model of the correlation matrix: V (r, k) of the leading components, d (k,) of what is left."""
    correlation = z.T @ z / len(z)
    width = np.sqrt(np.maximum(np.diag(correlation), 1e-12))
    correlation = correlation / np.outer(width, width)
    value, vector = np.linalg.eigh(correlation)
    # Components above what independent features of so few showers would show (Marchenko-Pastur edge).
    edge = (1.0 + np.sqrt(z.shape[1] / len(z))) ** 2
    rank = int(min(max((value > edge).sum(), 1), _MAX_FACTORS, z.shape[1]))
    factors = (vector[:, -rank:] * np.sqrt(np.maximum(value[-rank:], 0.0))).T
    left = 1.0 - (factors**2).sum(axis=0)
    over = left < 0.0
    if over.any():
        factors[:, over] /= np.sqrt((factors[:, over] ** 2).sum(axis=0))
    return np.ascontiguousarray(factors), np.sqrt(np.maximum(left, 0.0))


def _stored(points: EnergyPoints, most: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Showers whose scores are stored, point by point, and where each point begins."""
    chosen = []
    share = min(1.0, most / max(len(points.point), 1))
    for p in range(len(points)):
        rows = np.flatnonzero(points.point == p)
        keep = max(1, int(np.ceil(share * len(rows))))
        chosen.append(rows[np.linspace(0, len(rows) - 1, keep).astype(np.int64)])
    first = np.concatenate([[0], np.cumsum([len(c) for c in chosen])]).astype(np.int64)
    return np.concatenate(chosen), first
