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

from fastparam._numba import kernel
from fastparam.random import normal, uniform
from fastparam.shapes.normal import normal_cdf1, normal_ppf1

__all__ = ["add_waves1", "feature1", "gaussian_scores1", "mixed_scores1", "neighbours1"]


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
    one = first + min(int(uniform(state) * n), n - 1)
    two = first + min(int(uniform(state) * n), n - 1)
    a, b = math.sqrt(1.0 - h * h) * step, h * step
    for j in range(len(z)):
        z[j] = a * scores[one, j] + b * scores[two, j]


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
    c1, s1 = math.cos(phase), math.sin(phase)
    c2, s2 = math.cos(2.0 * phase), math.sin(2.0 * phase)
    for j in range(len(z)):
        z[j] = scale[j] * z[j] + (
            (waves[j, 0] + ln_e * waves[j, 4]) * c1
            + (waves[j, 1] + ln_e * waves[j, 5]) * s1
            + (waves[j, 2] + ln_e * waves[j, 6]) * c2
            + (waves[j, 3] + ln_e * waves[j, 7]) * s2
        )


@kernel
def feature1(
    z: float, n: int, weight: Any, zero_at: Any, table_at: Any, zero: Any, quantiles: Any, start: float, spacing: float,
    knots: int, positive: bool,
) -> float:  # fmt: skip
    """Return the value of a feature at score z; of a zero, minus its distance in probability from the atom's end.

    Parameters
    ----------
    n : int
        Corners used, of the next three arrays.
    weight : float array
        Of the corners, adding up to 1.
    zero_at, table_at : int array
        Where in `zero` each corner's probability of an exact zero, and in `quantiles` its table begins.
    quantiles : float array
        Of the rest at scores ``start + spacing * arange(knots)``; of ln x for positive features.
    """
    p0 = 0.0
    for c in range(n):
        p0 += weight[c] * zero[zero_at[c]]
    if p0 > 0.0:
        u = normal_cdf1(z)
        if u <= p0 or p0 >= 1.0:
            return u - p0 if u < p0 else -0.0
        z = normal_ppf1(min(max((u - p0) / (1.0 - p0), 1e-12), 1.0 - 1e-12))
    place = min(max((z - start) / spacing, 0.0), knots - 1.0)
    cell = min(int(place), knots - 2)
    part = place - cell
    value, known = 0.0, 0.0
    for c in range(n):
        # A corner where the feature is always zero has no quantiles of the rest.
        if zero[zero_at[c]] < 1.0:
            at = table_at[c] + cell
            value += weight[c] * (quantiles[at] + part * (quantiles[at + 1] - quantiles[at]))
            known += weight[c]
    if known <= 0.0:
        return -0.0
    value /= known
    return math.exp(value) if positive else value
