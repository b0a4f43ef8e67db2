"""Near-duplicates: showers that have (almost) been there before.

A generator that stores showers, or that has collapsed to a few of them, repeats itself or its training sample; no
distribution shows it. Two showers are near-duplicates if their voxels, as vectors of length 1, differ by less than
2 %: the same shower with another energy is one, two showers of the same particle are 20 to 100 % apart. Showers of
fewer than ten voxels say too little and are left out.

Candidates for pairs are found by random projections, which keep distances (W. B. Johnson & J. Lindenstrauss, Contemp.
Math. 26 (1984) 189), and then compared voxel by voxel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from fastparam._numba import kernel
from fastparam.comparison.voxels import VoxelSample

__all__ = ["DISTANCE", "MIN_VOXELS", "Duplicates", "duplicates_between", "duplicates_within"]

Floats = npt.NDArray[np.float64]

DISTANCE = 0.02
MIN_VOXELS = 10

_PROJECTIONS = 8


@dataclass(frozen=True)
class Duplicates:
    """How many showers are near-duplicates.

    Attributes
    ----------
    count, n : int
        Near-duplicates, of so many showers that have enough voxels.
    """

    count: int
    n: int

    @property
    def fraction(self) -> float:
        """Share of the showers; 0 without any."""
        return self.count / max(self.n, 1)


def duplicates_within(sample: VoxelSample, threshold: float) -> Duplicates:
    """Count the showers that repeat an earlier one of their sample."""
    unit = _Unit(sample, threshold)
    if unit.n < 2:
        return Duplicates(0, unit.n)
    pairs = cKDTree(unit.projection).query_pairs(_radius(), output_type="ndarray")
    close = _close(unit, unit, pairs)
    return Duplicates(len(np.unique(pairs[close].max(axis=1))), unit.n)


def duplicates_between(sample: VoxelSample, other: VoxelSample, threshold: float) -> Duplicates:
    """Count the showers of `sample` that repeat one of `other`."""
    unit, known = _Unit(sample, threshold), _Unit(other, threshold)
    if unit.n < 1 or known.n < 1:
        return Duplicates(0, unit.n)
    found = cKDTree(unit.projection).query_ball_tree(cKDTree(known.projection), _radius())
    pairs = np.array([(i, j) for i, close in enumerate(found) for j in close], dtype=np.int64).reshape(-1, 2)
    return Duplicates(len(np.unique(pairs[_close(unit, known, pairs), 0])), unit.n)


def _radius() -> float:
    """Projected distance that a near-duplicate keeps below in all but one of 10^5 cases (chi-square, 8 degrees)."""
    return DISTANCE * float(np.sqrt(37.3))


class _Unit:
    """Showers with enough voxels as sparse vectors of length 1."""

    def __init__(self, sample: VoxelSample, threshold: float) -> None:
        kept = sample.value >= threshold
        counts = np.diff(np.concatenate([[0], np.cumsum(kept)])[sample.offsets])
        enough = counts >= MIN_VOXELS
        entries = np.repeat(enough, counts)
        self.n = int(enough.sum())
        self.offsets = np.concatenate([[0], np.cumsum(counts[enough])]).astype(np.int64)
        self.number = sample.number[kept][entries]
        value = sample.value[kept][entries].astype(np.float32)  # a copy, never the sample's own
        self.value = value
        _normalise(self.offsets, self.value)
        # The same directions for every sample: they depend on the voxel's number alone.
        directions = np.random.default_rng(20221).normal(size=(sample.binning.n_voxels, _PROJECTIONS))
        self.projection = np.zeros((self.n, _PROJECTIONS))
        _project(self.offsets, self.number, self.value, directions, self.projection)


def _close(first: _Unit, second: _Unit, pairs: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    close = np.zeros(len(pairs), dtype=np.bool_)
    _compare(
        first.offsets, first.number, first.value, second.offsets, second.number, second.value,
        np.ascontiguousarray(pairs, dtype=np.int64), DISTANCE**2, close,
    )  # fmt: skip
    return close


@kernel
def _normalise(offsets: Any, value: Any) -> None:
    for i in range(len(offsets) - 1):
        square = 0.0
        for j in range(offsets[i], offsets[i + 1]):
            square += float(value[j]) ** 2
        for j in range(offsets[i], offsets[i + 1]):
            value[j] /= np.sqrt(max(square, 1e-300))


@kernel
def _project(offsets: Any, number: Any, value: Any, directions: Any, projection: Any) -> None:
    for i in range(len(offsets) - 1):
        for j in range(offsets[i], offsets[i + 1]):
            for k in range(directions.shape[1]):
                projection[i, k] += value[j] * directions[number[j], k]


@kernel
def _compare(
    offsets_1: Any, number_1: Any, value_1: Any, offsets_2: Any, number_2: Any, value_2: Any, pairs: Any,
    largest: float, close: Any,
) -> None:  # fmt: skip
    for p in range(len(pairs)):
        i, end_1 = offsets_1[pairs[p, 0]], offsets_1[pairs[p, 0] + 1]
        j, end_2 = offsets_2[pairs[p, 1]], offsets_2[pairs[p, 1] + 1]
        square = 0.0
        while (i < end_1 or j < end_2) and square < largest:
            if j >= end_2 or (i < end_1 and number_1[i] < number_2[j]):
                square += value_1[i] * value_1[i]
                i += 1
            elif i >= end_1 or number_2[j] < number_1[i]:
                square += value_2[j] * value_2[j]
                j += 1
            else:
                square += (value_1[i] - value_2[j]) ** 2
                i += 1
                j += 1
        close[p] = square < largest
