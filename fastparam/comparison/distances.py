"""Distances of two samples of feature vectors: Frechet (FPD), kernel (KPD), and Wasserstein feature by feature.

FPD and KPD follow the definitions of jetnet's ``gen_metrics`` (R. Kansal et al., Phys. Rev. D 107 (2023) 076017), which
the CaloChallenge uses: every feature divided by the largest absolute value of the reference; FPD extrapolated to
infinite samples from draws of finite ones, KPD the median over batches. What they call an error is the error of a fit
to draws, and half the spread of batches; neither is the sampling error, which is in `distance_errors`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg.blas import dsyrk
from scipy.optimize import curve_fit

from fastparam.comparison.separation import Strata, strata_of

__all__ = [
    "BATCHES",
    "Wasserstein",
    "covariance",
    "fpd",
    "frechet",
    "kernel",
    "kernel_distance",
    "kpd",
    "normalised",
    "wasserstein",
]

Floats = npt.NDArray[np.float64]

#: Batches of KPD.
BATCHES = 10


@dataclass(frozen=True)
class Wasserstein:
    """Wasserstein-1 distance per feature in standard deviations of the reference, F features.

    Attributes
    ----------
    value, error : float64 arrays (F,)
        NaN for features that do not vary in the reference.
    floor, floor_error : float64 arrays (F,)
        Mean and spread for equal samples of the same size, from random partitions of all showers.
    mean : tuple of float
        The same four of the mean over features.
    """

    value: Floats
    error: Floats
    floor: Floats
    floor_error: Floats
    mean: tuple[float, ...]


def normalised(reference: npt.NDArray[Any], candidate: npt.NDArray[Any]) -> tuple[Floats, Floats]:
    """Divide both samples by the largest absolute value of each feature of the reference; 1 in place of 0."""
    largest = np.maximum(reference.max(axis=0), -reference.min(axis=0))
    largest = np.where(largest == 0, 1.0, largest)
    return reference / largest, candidate / largest


def frechet(mean_1: Floats, cov_1: Floats, mean_2: Floats, cov_2: Floats) -> float:
    """Return the squared Frechet distance of two Gaussians: |m1 - m2|^2 + Tr(C1 + C2 - 2 sqrt(C1 C2))."""
    # C1 C2 and sqrt(C1) C2 sqrt(C1) have the same eigenvalues, and the latter is symmetric.
    values, vectors = np.linalg.eigh(cov_1)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    common = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ cov_2 @ root), 0.0)).sum()
    return float(((mean_1 - mean_2) ** 2).sum() + np.trace(cov_1) + np.trace(cov_2) - 2.0 * common)


def covariance(x: npt.NDArray[Any], drawn: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return mean and covariance of rows drawn with replacement; a row drawn three times is read once, with weight."""
    counts = np.bincount(drawn, minlength=len(x))
    rows = np.flatnonzero(counts)
    weight = counts[rows].astype(np.float64)
    chosen = x[rows].astype(np.float64)
    mean = (weight @ chosen) / len(drawn)
    chosen -= mean
    chosen *= np.sqrt(weight)[:, None]
    upper = dsyrk(1.0 / (len(drawn) - 1), chosen.T)  # the symmetric half: twice as fast as a product
    return mean, np.asarray(upper + np.triu(upper, 1).T)


def fpd(
    reference: npt.NDArray[Any],
    candidate: npt.NDArray[Any],
    *,
    min_samples: int = 20_000,
    max_samples: int = 50_000,
    batches: int = 20,
    points: int = 10,
    seed: int = 42,
) -> tuple[float, float]:
    """Return the Frechet physics distance and the error of its fit.

    Parameters
    ----------
    reference, candidate : float arrays (n, D), (m, D)
        Covariances are taken in double precision, whatever they are kept in.
    min_samples, max_samples : int
        Range of sample sizes N, equidistant in 1/N; the challenge takes 10 000 to 50 000.
    batches : int
        Draws with replacement at each size, averaged.
    points : int
        Sizes.
    seed : int
    """
    x, y = normalised(reference, candidate)
    rng = np.random.default_rng(seed)
    sizes = (1.0 / np.linspace(1.0 / min_samples, 1.0 / max_samples, points)).astype(np.int32)
    values = [
        np.mean(
            [
                frechet(*covariance(x, rng.integers(0, len(x), size)), *covariance(y, rng.integers(0, len(y), size)))
                for _ in range(batches)
            ]
        )
        for size in sizes.tolist()
    ]
    start = (max(float(values[-1]), 0.0), 1.0)
    found, uncertainty = curve_fit(
        lambda t, intercept, slope: intercept + slope * t, 1.0 / sizes, values, p0=start, bounds=([0, 0], [np.inf] * 2)
    )
    return float(found[0]), float(np.sqrt(uncertainty[0, 0]))


def kpd(
    reference: npt.NDArray[Any],
    candidate: npt.NDArray[Any],
    *,
    batches: int = BATCHES,
    batch_size: int = 5000,
    seed: int = 42,
) -> tuple[float, float]:
    """Return the kernel physics distance, the median over batches, and half the central 68 % of their spread.

    Parameters
    ----------
    reference, candidate : float arrays (n, D), (m, D)
    batches, batch_size : int
        Batches drawn with replacement.
    seed : int
    """
    x, y = normalised(reference, candidate)
    rng = np.random.default_rng(seed)
    values = [kernel_distance(_drawn(x, rng, batch_size), _drawn(y, rng, batch_size)) for _ in range(batches)]
    low, high = np.percentile(values, [16.275, 83.725])
    return float(np.median(values)), float(0.5 * (high - low))


def _drawn(x: npt.NDArray[Any], rng: np.random.Generator, n: int) -> Floats:
    return np.asarray(x[rng.integers(0, len(x), n)], dtype=np.float64)


def kernel_distance(x: Floats, y: Floats) -> float:
    """Return the unbiased squared maximum mean discrepancy with the kernel (x.y / D + 1)^4."""
    d, n, m = x.shape[1], len(x), len(y)
    # One kernel matrix at a time: three of 5000 x 5000 would need a gigabyte.
    own_x, own_y = (float(kernel(a, a).sum() - (((a * a).sum(axis=1) / d + 1.0) ** 4).sum()) for a in (x, y))
    return own_x / (n * (n - 1)) + own_y / (m * (m - 1)) - 2.0 * float(kernel(x, y).sum()) / (n * m)


def kernel(x: Floats, y: Floats) -> Floats:
    """Return the kernel (x.y / D + 1)^4 of every pair of rows, shape (n, m)."""
    k = x @ y.T
    k /= x.shape[1]
    k += 1.0
    k *= k
    k *= k
    return k


def wasserstein(
    reference: npt.NDArray[Any],
    candidate: npt.NDArray[Any],
    energies: tuple[Floats, Floats] | None = None,
    *,
    seed: int = 1,
    replicas: int = 20,
    most: int = 5000,
) -> Wasserstein:
    """Return the Wasserstein-1 distance of every feature.

    Parameters
    ----------
    reference, candidate : arrays (n, F), (m, F)
        Of the larger sample, and of both beyond `most`, a random part is used, energies evenly in it.
    energies : tuple of float64 arrays (n,), (m,), optional
        Incident energies: resamples and partitions keep the number of showers of each.
    seed, replicas : int
        Of bootstrap and random partitions.
    most : int
    """
    rng = np.random.default_rng(seed)
    n = min(len(reference), len(candidate), most)
    energies = energies or (np.ones(len(reference)), np.ones(len(candidate)))
    rows = [_evenly(e, n, rng) for e in energies]
    x, y = (np.asarray(s[r], dtype=np.float64) for s, r in zip((reference, candidate), rows, strict=True))
    sides = strata_of(*(e[r] for e, r in zip(energies, rows, strict=True)))
    one, other = (Strata(side) for side in sides)
    scale = reference.std(axis=0, dtype=np.float64)
    scale = np.where(scale > 0, scale, np.nan)
    both, strata = np.concatenate([x, y]), np.concatenate(sides)
    drawn, null = np.empty((replicas, x.shape[1])), np.empty((replicas, x.shape[1]))
    for r in range(replicas):
        drawn[r] = _distance(x[one.draw(rng)], y[other.draw(rng)])
        mixed = np.lexsort([rng.random(2 * n), strata])
        null[r] = _distance(both[mixed[0::2]], both[mixed[1::2]])
    value, drawn, null = _distance(x, y) / scale, drawn / scale, null / scale
    known = np.isfinite(value)
    value, drawn, null = (
        np.concatenate([v, v[..., known].mean(axis=-1, keepdims=True) if known.any() else v[..., :1]], axis=-1)
        for v in (value, drawn, null)
    )
    error, floor, floor_error = drawn.std(axis=0, ddof=1), null.mean(axis=0), null.std(axis=0, ddof=1)
    mean = (float(value[-1]), float(error[-1]), float(floor[-1]), float(floor_error[-1]))
    return Wasserstein(value[:-1], error[:-1], floor[:-1], floor_error[:-1], mean)


def _evenly(energy: Floats, n: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Choose n showers at random, evenly over energies."""
    order = np.lexsort([rng.random(len(energy)), energy])
    return np.sort(order[((np.arange(n) + rng.random()) * len(energy) / n).astype(np.int64)])


def _distance(x: Floats, y: Floats) -> Floats:
    """For equal numbers the distance is the mean difference of the sorted values."""
    return np.asarray(np.abs(np.sort(x, axis=0) - np.sort(y, axis=0)).mean(axis=0))
