"""Sampling errors of the Frechet and the kernel distance (FPD, KPD).

Both are quadratic in a difference of means over showers: of features and their products, or of all features of a
kernel. To first order a shower moves them by its influence, whose spread gives the variance at the difference that was
found; the spread between equal samples gives that without a difference. `statistics.quadratic_error` joins the two.
Showers of one energy are a stratum: their number is the same in both samples by construction.

Influence on FPD: with T the linear map that carries one Gaussian into the other, the derivative of
Tr(C1 + C2 - 2 sqrt(C1 C2)) with respect to C1 is 1 - T (A. Takatsu, Osaka J. Math. 48 (2011) 1005). Influence on KPD:
the witness function, twice the difference of mean kernels (A. Gretton et al., J. Mach. Learn. Res. 13 (2012) 723).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from fastparam.comparison.distances import covariance, frechet, kernel, normalised
from fastparam.comparison.separation import Strata, strata_of
from fastparam.comparison.statistics import quadratic_error

__all__ = ["DistanceErrors"]

Floats = npt.NDArray[np.float64]

#: Resamples, and showers in each at most: spread and floor scale with the number of showers.
_REPLICAS = 40
_RESAMPLED = 4000

#: Showers of each sample in kernel matrices at most, and in the one whose every element is needed.
_KERNEL = 5000
_GRAM = 1500

_BLOCK = 1000

#: Directions of a covariance with a smaller share of the largest variance do not vary.
_FLAT = 1e-12


@dataclass(frozen=True)
class _Null:
    """Floor and variance without a difference for 1/n + 1/m = 1; they scale with it and its square."""

    floor: float
    variance: float

    def error(self, size: float, slope: float) -> float:
        return quadratic_error(slope, self.variance * size**2, self.floor * size)


class DistanceErrors:
    """Standard errors of the distances of candidates from one reference.

    Parameters
    ----------
    x : float array (n, D)
        Features of the reference.
    energy : float64 array (n,)
        Its incident energies.
    seed : int
        Of resamples and of the part that kernel matrices see.
    """

    def __init__(self, x: npt.NDArray[Any], energy: Floats, seed: int) -> None:
        self._x, self._energy, self._seed = x, energy, seed
        largest = np.abs(x).max(axis=0).astype(np.float64)
        self._unit = np.where(largest == 0, 1.0, largest)

    def fpd(self, y: npt.NDArray[Any], energy: Floats) -> float:
        """Return the error of FPD; `y` (m, D) and `energy` (m,) are the candidate's."""
        sides = strata_of(self._energy, energy)
        gaussians = [_gaussian(sample, self._unit) for sample in (self._x, y)]
        slope = 0.0
        for side, sample in enumerate((self._x, y)):
            (mean, own), (other_mean, other) = gaussians[side], gaussians[1 - side]
            bend = np.eye(len(own)) - _transport(own, other)
            influence = np.empty(len(sample))
            for low in range(0, len(sample), _BLOCK):
                shifted = sample[low : low + _BLOCK] / self._unit - mean
                influence[low : low + _BLOCK] = ((shifted @ bend) * shifted).sum(axis=1) + 2.0 * (
                    shifted @ (mean - other_mean)
                )
            slope += _variance_of_mean(influence, sides[side])
        return self._frechet_null.error(1.0 / len(self._x) + 1.0 / len(y), slope)

    def fpd_floor(self, n: int) -> float:
        """Return the spread of FPD between two equal samples of n showers each."""
        return float(np.sqrt(self._frechet_null.variance) * 2.0 / n)

    def kpd(self, y: npt.NDArray[Any], energy: Floats) -> float:
        """Return the error of KPD; parameters as for `fpd`."""
        n, m = len(self._x), len(y)
        rng = np.random.default_rng([self._seed, 1])
        rows = [np.sort(rng.permutation(k)[:_KERNEL]) for k in (n, m)]
        a, b = (s[r] / self._unit for s, r in zip((self._x, y), rows, strict=True))
        sides = strata_of(self._energy[rows[0]], energy[rows[1]])
        slope = sum(
            _variance_of_mean(2.0 * (_mean_kernel(own, own) - _mean_kernel(own, other)), side) * len(own) / size
            for own, other, side, size in ((a, b, sides[0], n), (b, a, sides[1], m))
        )
        size, seen = 1.0 / n + 1.0 / m, 1.0 / len(a) + 1.0 / len(b)
        # Of a part of the showers the difference is less sharp than of all.
        slope = max(slope - 2.0 * self._kernel_null.variance * size * (seen - size), 0.0)
        return self._kernel_null.error(size, slope)

    def kpd_floor(self, n: int) -> float:
        """Return the spread of KPD between two equal samples of n showers each."""
        return float(np.sqrt(self._kernel_null.variance) * 2.0 / n)

    @cached_property
    def _frechet_null(self) -> _Null:
        rng = np.random.default_rng([self._seed, 2])
        rows = np.sort(rng.permutation(len(self._x))[:_RESAMPLED])
        strata = Strata(strata_of(self._energy[rows], self._energy[rows])[0])
        every, values = np.arange(len(rows)), []
        for _ in range(_REPLICAS):
            # Each in units of its own largest values, as FPD is: a shower beyond them weighs much.
            pair = normalised(*(self._x[rows[strata.draw(rng)]] for _ in range(2)))
            values.append(frechet(*(part for x in pair for part in covariance(x, every))))
        size = 2.0 / max(len(rows) - strata.n, 1)
        return _Null(float(np.mean(values)) / size, _half_width(np.array(values)) ** 2 / size**2)

    @cached_property
    def _kernel_null(self) -> _Null:
        rng = np.random.default_rng([self._seed, 3])
        rows = np.sort(rng.permutation(len(self._x))[:_GRAM])
        x = self._x[rows] / self._unit
        strata = strata_of(self._energy[rows], self._energy[rows])[0]
        member = (strata[:, None] == np.arange(strata.max() + 1)).astype(np.float64)
        member /= np.maximum(member.sum(axis=0), 1.0) ** 0.5
        gram = kernel(x, x)
        for _ in range(2):  # deviations from the mean of each stratum, in rows and columns
            gram -= member @ (member.T @ gram)
            gram = gram.T
        n = len(x)
        own = np.diag(gram)
        # Removing means takes a degree of freedom per stratum.
        used = max(n - member.shape[1], 1)
        return _Null(float(own.sum()) / used, 2.0 * float((gram**2).sum() - (own**2).sum()) / used**2)


def _gaussian(x: npt.NDArray[Any], unit: Floats) -> tuple[Floats, Floats]:
    mean, spread = covariance(x, np.arange(len(x)))
    return mean / unit, spread / np.outer(unit, unit)


def _half_width(values: Floats) -> float:
    """Return half of the central 68 %: one resample in ten holds a shower that outweighs all others."""
    low, high = np.quantile(values, norm.cdf([-1.0, 1.0]))
    return float(0.5 * (high - low))


def _transport(own: Floats, other: Floats) -> Floats:
    """Return the symmetric map that turns deviations of one covariance into those of another."""
    values, vectors = np.linalg.eigh(own)
    varies = values > _FLAT * max(float(values[-1]), 0.0)
    root = np.sqrt(np.where(varies, values, 0.0))
    inverse = np.where(varies, 1.0 / np.where(varies, root, 1.0), 0.0)
    forward = (vectors * root) @ vectors.T
    inner_values, inner = np.linalg.eigh(forward @ other @ forward)
    middle = (inner * np.sqrt(np.maximum(inner_values, 0.0))) @ inner.T
    backward = (vectors * inverse) @ vectors.T
    return np.asarray(backward @ middle @ backward)


def _mean_kernel(x: Floats, y: Floats) -> Floats:
    """Return the mean kernel of each row of `x` with all rows of `y`."""
    return np.concatenate([kernel(x[low : low + _BLOCK], y).mean(axis=1) for low in range(0, len(x), _BLOCK)])


def _variance_of_mean(values: Floats, strata: npt.NDArray[np.int64]) -> float:
    """Return the variance of the mean of values whose strata keep their sizes."""
    size = np.bincount(strata).astype(np.float64)
    deviation = values - (np.bincount(strata, weights=values) / np.maximum(size, 1.0))[strata]
    squares = np.bincount(strata, weights=deviation**2)
    return float((squares * size / np.maximum(size - 1.0, 1.0)).sum() / len(values) ** 2)
