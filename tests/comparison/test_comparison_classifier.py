"""The classifier's AUC: 0.5 for equal samples, the known value for known densities, and repeatable."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from fastparam.comparison.classifier import auc, auc_high, high_features, low_features
from fastparam.comparison.features import FeatureTable
from fastparam.comparison.voxels import VoxelSample
from fastparam.errors import UsageError
from fastparam.geometry.voxels import VoxelBinning


def gaussian(n: int, shift: float, seed: int) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=(n, 3))
    x[:, 0] += shift
    return x


def test_equal_samples_cannot_be_told_apart() -> None:
    found = auc(gaussian(500, 0.0, 1), gaussian(500, 0.0, 2), seed=1)
    assert abs(found.value - 0.5) < 3 * found.error
    # For one untrained score, (2n + 1)/(12 n^2) is the variance at 0.5 (Mann and Whitney); training at most doubles it.
    untrained = np.sqrt((2 * 500 + 1) / (12 * 500**2))
    assert 0.95 * untrained < found.error < 1.05 * np.sqrt(2) * untrained
    assert found.n == 500


def test_a_shift_gives_nearly_the_best_area_there_can_be() -> None:
    # Two Gaussians one sigma apart: no classifier beats Phi(1 / sqrt 2) = 0.760.
    best = norm.cdf(1 / np.sqrt(2))
    found = auc(gaussian(1000, 0.0, 1), gaussian(1000, 1.0, 2), seed=1)
    assert best - 0.04 < found.value < best + 3 * found.error


def test_wrong_correlations_behind_right_marginals_are_seen() -> None:
    rng = np.random.default_rng(3)
    x = rng.multivariate_normal([0, 0], [[1, 0.9], [0.9, 1]], size=300)
    shuffled = np.stack([x[:, 0], rng.permutation(x[:, 1])], axis=1)
    assert auc(x, shuffled, seed=1).value > 0.6  # marginals alone: 0.5


def test_the_same_seed_gives_the_same_number_and_unequal_samples_are_thinned() -> None:
    a, b = gaussian(60, 0.0, 1), gaussian(200, 0.5, 2)
    first, second = auc(a, b, seed=4, repeats=2), auc(a, b, seed=4, repeats=2)
    assert first == second
    assert first.n == 60
    assert auc(a, b, seed=4, max_showers=40).n == 40
    with pytest.raises(UsageError, match="at least 10"):
        auc(a[:8], b)


def test_low_level_features_are_logarithms_of_the_most_occupied_voxels() -> None:
    binning = VoxelBinning((0,), ((0.0, 1.0, 2.0, 3.0),), (1,))
    dense = np.array([[2.0, 0.0, 0.04], [3.0, 1.0, 0.0]])
    sample = VoxelSample.from_dense(dense, np.array([1000.0, 2000.0]), binning)
    x, _ = low_features(sample, sample, threshold=0.1, max_voxels=2)
    np.testing.assert_allclose(
        x, [[np.log(1000), np.log1p(20), 0.0], [np.log(2000), np.log1p(30), np.log1p(10)]], rtol=1e-6
    )


def test_a_candidate_that_lends_each_shower_several_times_is_judged_by_one_of_them() -> None:
    # Trees that meet the copies of a shower in training and test would recognise them: 0.5 must stay 0.5.
    rng = np.random.default_rng(5)
    energy, values = np.full(200, 1e3), rng.normal(size=(400, 4)).astype(np.float32)
    names, none = tuple("abcd"), np.zeros((200, 0, 4), dtype=np.uint16)
    full = FeatureTable(energy, names, values[:200], (), none)
    fivefold = FeatureTable(
        np.tile(energy, 5), names, np.tile(values[200:], (5, 1)), (), np.zeros((1000, 0, 4), dtype=np.uint16)
    )
    found = auc_high(full, fivefold, seed=1)
    assert found.n == 200
    assert abs(found.value - 0.5) < 3 * found.error
    leaked = auc(high_features(full), high_features(fivefold.take(np.repeat(np.arange(40), 5))), seed=1)
    assert leaked.value > 0.6
