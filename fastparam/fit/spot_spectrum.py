"""Spot spectrum: how unequal the energies of spots are.

The variance of ring energies only knows the effective number of spots, N / (1 + cv^2) with cv the relative width of
their energies; the third moment knows both. A shower leaves e in a bin of age, and e_far of it outside a radius beyond
which the share q lies on average. With d = e_far - q e and independent radii,

    <d^2> = q (1 - q) S2,     <d^3> = q (1 - q) (1 - 2 q) S3,     S_k = <sum of (spot energy)^k>,

whatever the number of spots and the energy of the bin do. Equal spots have S3 <e> / S2^2 = 1, spots of log-normal
energies

    S3 <e> / S2^2 = 1 + cv^2,     cv^2 = v0 + v1 L,     L = ln(E / 10 GeV).

Both are taken at the radius beyond which about one effective spot lies: nearer to the line the third moment drowns in
the fluctuations of many spots, farther out there is too little. A ratio of noisy moments is biased; instead
S3 <e> - (1 + cv^2) S2^2, from products of different showers, is zero on average over all bins of age and energy.

The sampler keeps what `fit.spots` and `fit.spot_groups` have measured: with `c` effective spots per independent deposit
a group has more spots, and there are more groups (`sampled`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastparam.errors import FitError
from fastparam.fit.fit import Fit
from fastparam.fit.radial import TAU_EDGES, RadialData

__all__ = ["NAMES", "evaluate", "fit", "moments", "sampled"]

Floats = npt.NDArray[np.float64]

NAMES = ("v0", "v1")

#: Effective spots beyond the radius at which third moments are taken; the largest share of the energy there.
_FAR, _LARGEST_SHARE = 1.0, 0.3

#: Fewest showers of an energy point, and effective spots of a bin of age.
_MIN_SHOWERS, _MIN_SPOTS = 20, 5.0

#: Relative variance of a log-normal spectrum that is sampled, at most: wider ones hold their energy in single spots.
MAX_VARIANCE = 4.0


@dataclass(frozen=True)
class Moments:
    """Third moments of m bins of energy and age.

    Attributes
    ----------
    energy, tau : float64 arrays (m,)
        Kinetic energy in MeV, and middle of the bin.
    cubes, squares : float64 arrays (m,)
        S3 <e> and S2^2, in units of the square of the S2 expected.
    weight : float64 array (m,)
        Inverse of the variance expected of equal spots.
    of_cubes, of_squares : float64 arrays (m, n)
        What each shower adds to them.
    """

    energy: Floats
    tau: Floats
    cubes: Floats
    squares: Floats
    weight: Floats
    of_cubes: Floats
    of_squares: Floats


def moments(data: RadialData) -> Moments:
    """Return the third moments of showers; no rows where nothing can be measured."""
    n_r, n = len(data.r_edges) - 2, len(data.incident)
    age = np.searchsorted(TAU_EDGES, data.tau, side="right") - 1
    use = (age >= 0) & (age < len(TAU_EDGES) - 1) & (data.ring < n_r) & (data.energy > 0)
    total = np.bincount(data.shower, weights=data.energy, minlength=n)
    shower, ring, age = data.shower[use], data.ring[use], age[use]
    share = data.energy[use] / total[shower]
    row = data.points.point[shower] * (len(TAU_EDGES) - 1) + age
    found: list[tuple[float, int, float, float, Floats, npt.NDArray[np.int64], Floats]] = []
    for number in np.unique(row):
        own = row == number
        who, place = np.unique(shower[own], return_inverse=True)
        if len(who) < _MIN_SHOWERS:
            continue
        flat = np.bincount(place * n_r + ring[own], weights=share[own], minlength=len(who) * n_r)
        rings: Floats = flat.reshape(len(who), n_r).astype(np.float64)
        e, f = rings.sum(axis=1), rings.sum(axis=0) / rings.sum()
        filled = f > 0
        squares = ((rings - e[:, None] * f)[:, filled] ** 2 / f[filled]).sum(axis=1) / max(int(filled.sum()) - 1, 1)
        spots = e.mean() ** 2 / max(squares.mean(), 1e-300)
        if spots >= _MIN_SPOTS:
            energy = data.points.energy[number // (len(TAU_EDGES) - 1)]
            found.append((energy, int(number) % (len(TAU_EDGES) - 1), spots, e.mean(), f, who, rings))
    if not found:
        none, nobody = np.zeros(0), np.zeros((0, n))
        return Moments(none, none, none, none, none, nobody, nobody)
    at, measured, mean = np.array([(item[0], item[2], item[3]) for item in found], dtype=np.float64).T
    tau = (0.5 * (TAU_EDGES[:-1] + TAU_EDGES[1:]))[[item[1] for item in found]]
    counts = np.array([len(item[5]) for item in found], dtype=np.int64)
    expected = _smooth(np.log(at / 10_000.0), tau, measured / mean, counts) * mean
    kept: list[tuple[int, float, float, float, Floats, Floats]] = []
    for k, (*_, f, who, rings) in enumerate(found):
        # Shares of the energy beyond the outer edge of each ring.
        beyond = 1.0 - np.cumsum(f)[:-1]
        wanted = min(_FAR / expected[k], _LARGEST_SHARE)
        outside = int(np.argmin(np.abs(np.log(np.maximum(beyond, 1e-12) / wanted)))) + 1
        q = beyond[outside - 1]
        if not 0.5 * wanted < q < 2.0 * wanted or q >= 0.45:
            continue
        e = rings.sum(axis=1) / mean[k]
        d = (rings[:, outside:].sum(axis=1) - q * rings.sum(axis=1)) / mean[k]
        s2, s3 = d**2 / (q * (1.0 - q)), d**3 / (q * (1.0 - q) * (1.0 - 2.0 * q))
        pairs, unit = len(who) * (len(who) - 1.0), expected[k] ** 2
        cubes = unit * (s3.sum() * e.sum() - (s3 * e).sum()) / pairs
        squares = unit * (s2.sum() ** 2 - (s2**2).sum()) / pairs
        of_cubes, of_squares = np.zeros((2, n))
        of_cubes[who] = unit * ((s3 - s3.mean()) + s3.mean() * (e - 1.0)) / len(who)
        of_squares[who] = unit * 2.0 * s2.mean() * (s2 - s2.mean()) / len(who)
        far = q * expected[k]
        kept.append((k, cubes, squares, len(who) / (15.0 * far + 1.0 / far + 6.0), of_cubes, of_squares))
    rows = [item[0] for item in kept]
    cubes_, squares_, weight = (np.array([item[j] for item in kept]) for j in (1, 2, 3))
    by_cubes, by_squares = (np.array([item[j] for item in kept]).reshape(len(kept), n) for j in (4, 5))
    return Moments(at[rows], tau[rows], cubes_, squares_, weight, by_cubes, by_squares)


def _smooth(ln_e: Floats, tau: Floats, spots: Floats, n: npt.NDArray[np.int64]) -> Floats:
    """Return effective spots per share of energy, smoothed as by the law of `fit.spot_groups`."""
    design = np.column_stack([np.ones_like(tau), ln_e, np.log(tau), tau])
    weight = np.sqrt(n)
    smooth: Floats = np.exp(design @ (np.linalg.pinv(design * weight[:, None]) @ (np.log(spots) * weight)))
    return smooth


def fit(data: RadialData) -> Fit:
    """Fit the relative variance of spot energies.

    Returns
    -------
    Fit
        chi2 over all bins of energy and age, with errors from the showers' own contributions; the covariance holds what
        the bins of a shower have in common, and is scaled by chi2 / ndf where that exceeds 1. Diagnostics: "energy",
        "tau", "ratio" and "ratio_error".

    Raises
    ------
    FitError
        If no bin of energy and age has 20 showers and enough spots.
    """
    seen = moments(data)
    if not len(seen.cubes):
        raise FitError(f"spot_spectrum: no bin of energy and age has {_MIN_SHOWERS} showers and {_MIN_SPOTS:g} spots")
    x = np.log(seen.energy / 10_000.0)
    design = np.column_stack([np.ones_like(x), x])
    free = np.array([True, bool(np.ptp(x) > 0.05)])
    of = design[:, free].T * seen.weight
    matrix = (of * seen.squares) @ design[:, free]
    values, covariance = np.zeros(2), np.zeros((2, 2))
    values[free] = np.linalg.solve(matrix, of @ (seen.cubes - seen.squares))
    law = 1.0 + design @ values
    influence = seen.of_cubes - law[:, None] * seen.of_squares
    scores = np.linalg.solve(matrix, of @ influence)
    covariance[np.ix_(free, free)] = scores @ scores.T
    error = np.sqrt((influence**2).sum(axis=1))
    known = error > 0
    pull = (seen.cubes - law * seen.squares)[known] / error[known]
    chi2, ndf = float((pull**2).sum()), max(int(known.sum()) - int(free.sum()), 0)
    # Rare large energies rule third moments: where a sample has none, its own scatter is too small.
    covariance *= max(chi2 / ndf, 1.0) if ndf else 1.0
    return Fit(
        NAMES,
        values,
        covariance,
        bool(np.isfinite(values).all()),
        True,
        (),
        chi2,
        ndf,
        (float(seen.energy.min()), float(seen.energy.max())),
        len(data.incident),
        points={
            "energy": seen.energy,
            "tau": seen.tau,
            "ratio": seen.cubes / seen.squares,
            "ratio_error": error / seen.squares,
        },
    )


def evaluate(spectrum: Fit, energy: Floats) -> Floats:
    """Return cv^2 for kinetic energies in MeV (n,), shape (n,); 0 where the law is negative."""
    variance: Floats = np.clip(spectrum["v0"] + spectrum["v1"] * np.log(energy / 10_000.0), 0.0, MAX_VARIANCE)
    return variance


def sampled(variance: Floats, per_group: Floats) -> tuple[Floats, Floats]:
    """Return the factors on the numbers of groups and of spots per group that keep the effective numbers.

    G groups of s spots with energies of relative variance v fluctuate along the depth as G / (1 + v / s) deposits and
    across as G s / (1 + v). For the effective numbers N and N c that were measured, s = c + (c - 1) v.

    Parameters
    ----------
    variance : float64 array (n,)
    per_group : float64 array (n,)
        c at the shower maximum, at least 1.
    """
    groups = 1.0 + variance / (per_group + (per_group - 1.0) * variance)
    return groups, (1.0 + variance) / groups
