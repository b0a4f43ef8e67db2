"""Near-duplicates: copies are found whatever their energy, strangers and sparse showers are not."""

from __future__ import annotations

import numpy as np
import pytest

from fastparam.comparison.duplicates import duplicates_between, duplicates_within
from fastparam.comparison.voxels import VoxelSample
from fastparam.geometry.voxels import VoxelBinning

BINNING = VoxelBinning((0, 1), (tuple(map(float, range(11))),) * 2, (8, 8))


def sample(n: int, seed: int, occupancy: float = 0.4) -> tuple[VoxelSample, np.ndarray]:
    rng = np.random.default_rng(seed)
    dense = rng.gamma(0.5, size=(n, BINNING.n_voxels)) * (rng.random((n, BINNING.n_voxels)) < occupancy)
    return VoxelSample.from_dense(dense, np.full(n, 1e3), BINNING), dense


def as_sample(dense: np.ndarray) -> VoxelSample:
    return VoxelSample.from_dense(dense, np.full(len(dense), 1e3), BINNING)


def brute_force(dense: np.ndarray) -> int:
    unit = dense / np.linalg.norm(dense, axis=1, keepdims=True)
    repeats = [i for i in range(1, len(unit)) if (np.linalg.norm(unit[:i] - unit[i], axis=1) < 0.02).any()]
    return len(repeats)


def test_independent_showers_are_no_duplicates() -> None:
    assert duplicates_within(sample(300, 1)[0], 0.0).count == 0


def test_copies_are_found_at_any_energy_and_with_a_little_noise() -> None:
    dense = sample(300, 1)[1]
    rng = np.random.default_rng(2)
    dense[100:115] = 3.0 * dense[:15]
    dense[200:210] = dense[:10] * rng.normal(1.0, 0.005, size=(10, BINNING.n_voxels))
    dense[250:255] = dense[:5] * rng.normal(1.0, 0.2, size=(5, BINNING.n_voxels))  # too far to be one
    found = duplicates_within(as_sample(dense), 0.0)
    assert found.count == 25 == brute_force(dense)
    assert found.fraction == pytest.approx(25 / 300)


def test_showers_that_repeat_the_training_sample_are_found() -> None:
    training, known = sample(200, 3)
    dense = sample(100, 4)[1]
    dense[10:17] = known[50:57]
    assert duplicates_between(as_sample(dense), training, 0.0).count == 7
    assert duplicates_between(sample(100, 5)[0], training, 0.0).count == 0


def test_showers_of_a_few_voxels_say_nothing() -> None:
    dense = np.zeros((50, BINNING.n_voxels))
    dense[:, 3] = 1.0
    assert duplicates_within(as_sample(dense), 0.0).n == 0
