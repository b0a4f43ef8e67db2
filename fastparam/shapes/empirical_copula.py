"""Smoothed empirical copula with tabulated marginals, as kernels: correlated features of one shower.

A *score* z is the normal score of a feature among the showers of an energy point. New scores are those of a stored
shower R_j, blurred:

    z = s (sqrt(1 - h^2) R_j + h (V a + d b)) + phase dependence,    a, b standard normal

V and d are factors of the correlation matrix of R, so that z has the correlations of R exactly and its dependence
beyond correlations, such as two populations, nearly. h -> 1 is a Gaussian copula, h = 0 a bootstrap.

The marginals are quantile functions of z at energy points, between which everything is linear in ln E: first the
probability p0 of an exact zero, then the quantiles of the positive part at equal conditional rank, in the logarithm
for positive features. (Quantiles interpolated with their zeros would have the smaller p0 of the two points.)
"""

from __future__ import annotations

import math
from typing import Any

from fastparam._numba import kernel
from fastparam.random import normal, uniform
from fastparam.shapes.normal import normal_cdf1, normal_ppf1

__all__ = ["draw_scores1", "feature1", "neighbours1"]


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
def draw_scores1(
    state: Any, low: int, high: int, weight: float, first: Any, scores: Any, step: float, kind: int, h: float,
    factors: Any, unique: Any, ln_e: float, phase: float, waves: Any, scale: Any, z: Any,
) -> int:  # fmt: skip
    """Draw the scores of one shower into `z` (k,) and return the number of the stored shower.

    Parameters
    ----------
    state : uint64 array (2,)
        Stream of random numbers.
    low, high, weight
        From `neighbours1`; the stored shower belongs to `high` with probability `weight`.
    first : int64 array (P + 1,)
        Where the stored showers of each point begin.
    scores : int8 array (n, k)
        R in units of `step`.
    kind : int
        0 empirical, 1 Gaussian, 2 independent features.
    h : float
    factors : float array (r, k)
        V.
    unique : float array (k,)
        d.
    ln_e : float
        ln(E / 10 GeV), for the phase dependence.
    phase : float
        2 pi (phi modulo pitch) / pitch.
    waves : float array (k, 8)
        Coefficients of (1, ln_e) x (cos, sin)(phase), (cos, sin)(2 phase); empty (0, 8) without a modulation.
    scale : float array (k,)
        Width of the residuals, s.
    """
    k = len(z)
    point = high if uniform(state) < weight else low
    n = first[point + 1] - first[point]
    donor = first[point] + min(int(uniform(state) * n), n - 1)
    if kind == 2:
        for j in range(k):
            z[j] = normal(state)
    else:
        blur = h if kind == 0 else 1.0
        for j in range(k):
            z[j] = blur * unique[j] * normal(state)
        for a in range(len(factors)):
            amount = blur * normal(state)
            for j in range(k):
                z[j] += amount * factors[a, j]
        if kind == 0:
            kept = math.sqrt(1.0 - h * h) * step
            for j in range(k):
                z[j] += kept * scores[donor, j]
    if len(waves):
        c1, s1 = math.cos(phase), math.sin(phase)
        c2, s2 = math.cos(2.0 * phase), math.sin(2.0 * phase)
        for j in range(k):
            z[j] = scale[j] * z[j] + (
                (waves[j, 0] + ln_e * waves[j, 4]) * c1
                + (waves[j, 1] + ln_e * waves[j, 5]) * s1
                + (waves[j, 2] + ln_e * waves[j, 6]) * c2
                + (waves[j, 3] + ln_e * waves[j, 7]) * s2
            )
    return int(donor)


@kernel
def feature1(
    z: float, j: int, low: int, high: int, weight: float, zero: Any, quantiles: Any, start: float, spacing: float,
    positive: bool,
) -> float:  # fmt: skip
    """Return the value of feature j at score z.

    Parameters
    ----------
    zero : float array (P, k)
        Probability of an exact zero.
    quantiles : float array (P, k, K)
        Of the rest at scores ``start + spacing * arange(K)``; of ln x for positive features.
    """
    p0 = (1.0 - weight) * zero[low, j] + weight * zero[high, j]
    if p0 > 0.0:
        u = normal_cdf1(z)
        if u <= p0 or p0 >= 1.0:
            return 0.0
        z = normal_ppf1(min(max((u - p0) / (1.0 - p0), 1e-12), 1.0 - 1e-12))
    last = quantiles.shape[2] - 1
    place = min(max((z - start) / spacing, 0.0), float(last))
    cell = min(int(place), last - 1)
    part = place - cell
    value = (1.0 - part) * quantiles[low, j, cell] + part * quantiles[low, j, cell + 1]
    if weight > 0.0:
        other = (1.0 - part) * quantiles[high, j, cell] + part * quantiles[high, j, cell + 1]
        # A point where the feature is always zero has no quantiles of the rest.
        if zero[low, j] >= 1.0:
            value = other
        elif zero[high, j] < 1.0:
            value = (1.0 - weight) * value + weight * other
    return math.exp(value) if positive else value
