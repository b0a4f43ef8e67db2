"""Smoothed empirical copula with tabulated marginals, as kernels: correlated features of one shower.

A *score* z is the normal score of a feature among the showers of an energy point. New scores mix those of two stored
showers j and k of the same point,

    z = s (sqrt(1 - h^2) R_j + h R_k) + phase dependence,

so that z has normal marginals and the correlations of R exactly, and its dependence beyond correlations, such as two
populations, nearly. h = 0 is a bootstrap. A Gaussian copula draws V a + d b instead, with a, b standard normal and the
factors V, d of the correlation matrix of R.

The marginals are quantile functions of z at *corners*: the energy points, and in eta the slices, around the shower's
own values. Between corners everything is linear: first the probability p0 of an exact zero, then the quantiles of the
positive part at equal conditional rank, in the logarithm for positive features. (Quantiles interpolated with their
zeros would have the smaller p0 of the two points.)
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastparam._numba import kernel
from fastparam.random import normal, uniform
from fastparam.shapes.quick_normal import tail_score1, upper_tail1

__all__ = ["add_waves1", "fill_features1", "gaussian_scores1", "mixed_scores1", "neighbours1"]

_NONE, _ALL, _TINY = np.float32(0.0), np.float32(1.0), np.float32(1e-9)


@kernel
def neighbours1(ln_e: float, points: Any) -> tuple[int, int, float]:
    """Return the two energy points around ln E and the weight of the upper one; the nearest one outside."""
    n = len(points)
    if n == 1 or ln_e <= points[0]:
        return 0, 0, 0.0
    if ln_e >= points[n - 1]:
        return n - 1, n - 1, 0.0
    low, high = 0, n - 1
    while high - low > 1:
        middle = (low + high) // 2
        if points[middle] <= ln_e:
            low = middle
        else:
            high = middle
    return low, high, (ln_e - points[low]) / (points[high] - points[low])


@kernel
def mixed_scores1(state: Any, scores: Any, first: int, last: int, step: float, h: float, z: Any) -> None:
    """Draw the scores of one shower into `z` (k,) from stored showers ``first:last``.

    Parameters
    ----------
    state : uint64 array (2,)
        Stream of random numbers.
    scores : int8 array (n, k)
        R in units of `step`.
    h : float
        Weight of the second shower.
    """
    n = last - first
    one = scores[first + min(int(uniform(state) * n), n - 1)]
    two = scores[first + min(int(uniform(state) * n), n - 1)]
    a, b = np.float32(math.sqrt(1.0 - h * h) * step), np.float32(h * step)
    for j in range(len(z)):
        z[j] = a * np.float32(one[j]) + b * np.float32(two[j])


@kernel
def gaussian_scores1(state: Any, factors: Any, unique: Any, z: Any) -> None:
    """Draw the scores of one shower into `z` (k,) from a factor model: V (r, k) and d (k,)."""
    for j in range(len(z)):
        z[j] = unique[j] * normal(state)
    for a in range(factors.shape[0]):
        amount = normal(state)
        for j in range(len(z)):
            z[j] += amount * factors[a, j]


@kernel
def add_waves1(ln_e: float, phase: float, waves: Any, scale: Any, z: Any) -> None:
    """Scale residuals `z` (k,) by their width and add the dependence on the phase of an accordion.

    Parameters
    ----------
    ln_e : float
        ln(E / 10 GeV).
    phase : float
        2 pi (phi modulo pitch) / pitch.
    waves : float array (k, 8)
        Coefficients of (1, ln_e) x (cos, sin)(phase), (cos, sin)(2 phase).
    scale : float array (k,)
        Width of the residuals.
    """
    c1, s1 = np.float32(math.cos(phase)), np.float32(math.sin(phase))
    c2, s2 = np.float32(math.cos(2.0 * phase)), np.float32(math.sin(2.0 * phase))
    grown = np.float32(ln_e)
    for j in range(len(z)):
        z[j] = scale[j] * z[j] + (
            (waves[j, 0] + grown * waves[j, 4]) * c1
            + (waves[j, 1] + grown * waves[j, 5]) * s1
            + (waves[j, 2] + grown * waves[j, 6]) * c2
            + (waves[j, 3] + grown * waves[j, 7]) * s2
        )


@kernel
def fill_features1(
    z: Any, n: int, weight: Any, zero_at: Any, table_at: Any, zero: Any, quantiles: Any, start: float, spacing: float,
    knots: int, gap: Any, value: Any, part: Any, cell: Any,
) -> None:  # fmt: skip
    """Look up the features of a shower at scores z (k,), all in single precision.

    One pass after the other, each simple enough to become vector code.

    Parameters
    ----------
    n : int
        Corners used, of the next three arrays.
    weight : float array
        Of the corners, adding up to 1.
    zero_at, table_at : int array
        Where in `zero` each corner's probabilities of exact zeros (k,), and in `quantiles` its tables (k, knots) begin.
    quantiles : float32 array
        Of the rest at scores ``start + spacing * arange(knots)``; of ln x for positive features.
    gap : float32 array (k,)
        Filled with how far in probability each feature is from being zero: > 0 where it is not.
    value : float32 array (k,)
        Filled with the quantiles, of features that are not zero.
    part, cell : float32 and int32 arrays (k,)
        Space.
    """
    k = len(z)
    for j in range(k):
        gap[j] = _NONE
        value[j] = _NONE
    for c in range(n):
        share, of_corner = np.float32(weight[c]), zero[zero_at[c] : zero_at[c] + k]
        for j in range(k):
            gap[j] += share * of_corner[j]
    low, high = np.float32(start), np.float32(start + spacing * (knots - 1))
    per_step, last = np.float32(1.0 / spacing), np.int32(knots - 2)
    for j in range(k):
        p0, c = gap[j], upper_tail1(z[j])
        hit = _ALL - p0
        inner = tail_score1(c / max(hit, _TINY))
        score = inner if p0 > _NONE else z[j]
        place = (min(max(score, low), high) - low) * per_step
        at = min(np.int32(place), last)
        gap[j] = hit - c if p0 > _NONE else _ALL
        cell[j] = at
        part[j] = place - np.float32(at)
    for j in range(k):
        z[j] = _TINY
    for c in range(n):
        share, of_corner, table = np.float32(weight[c]), zero[zero_at[c] : zero_at[c] + k], np.uint64(table_at[c])
        for j in range(k):
            begin = table + np.uint64(j * knots) + np.uint64(cell[j])
            low_ = quantiles[begin]
            # A corner where the feature is always zero has no quantiles of the rest.
            own = share if of_corner[j] < _ALL else _NONE
            value[j] += own * (low_ + part[j] * (quantiles[begin + np.uint64(1)] - low_))
            z[j] += own
    for j in range(k):
        value[j] /= z[j]
