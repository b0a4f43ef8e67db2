"""Distances of two samples of feature vectors: Frechet (FPD) and kernel (KPD).

FPD and KPD follow the definitions of jetnet's ``gen_metrics`` (R. Kansal et al., Phys. Rev. D 107 (2023) 076017), which
the CaloChallenge uses: every feature divided by the largest absolute value of the reference; FPD extrapolated to
infinite samples from draws of finite ones, KPD the median over batches. What they call an error is the error of a fit
to draws, and half the spread of batches; neither is the sampling error, which is in `distance_errors`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg.blas import dsyrk
from scipy.optimize import curve_fit

__all__ = [
    "BATCHES",
    "covariance",
    "fpd",
    "frechet",
    "kernel",
    "kernel_distance",
    "kpd",
    "normalised",
]

Floats = npt.NDArray[np.float64]

#: Batches of KPD.
BATCHES = 10


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
