"""Errors of cross-validated areas: exact where scores are sums over training showers, wrong without their training."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.stats import rankdata

from fastparam.comparison.classifier_error import area_error, placements, reliability

FOLDS, REPEATS, SHOWERS, PAIRS = 5, 2, 200, 250


def trained(x: np.ndarray, y: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Score by the difference of the two means: a sum over training showers of the symmetric kernel x.y."""
    way = x[train][y[train] == 1].mean(axis=0) - x[train][y[train] == 0].mean(axis=0)
    return placements(x[test] @ way, y[test])


def area(shift: float, dimensions: int, seed: int) -> tuple[float, float, float]:
    """Area of one pair of samples, its error, and the error of placements alone."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2 * SHOWERS, dimensions)), np.repeat([0, 1], SHOWERS)
    x[y == 1, 0] += shift
    placed, fold, pairs = np.empty((REPEATS, len(y))), np.empty((REPEATS, len(y)), dtype=np.int64), []
    for r in range(REPEATS):
        for side in (0, 1):
            fold[r, y == side] = rng.permutation(np.arange(SHOWERS) % FOLDS)
        for f in range(FOLDS):
            test, train = np.flatnonzero(fold[r] == f), np.flatnonzero(fold[r] != f)
            placed[r, test] = trained(x, y, train, test)
            if f == 0:
                halves = train[0::2], train[1::2]
                pairs.append((*(trained(x, y, half, test) for half in halves), y[test]))
    mean = placed.mean(axis=0)
    alone = np.sqrt(sum(mean[y == side].var(ddof=1) / SHOWERS for side in (0, 1)))
    return float(placed.mean()), area_error(placed, fold, y, reliability(pairs)), float(alone)


@cache
def areas(shift: float, dimensions: int) -> np.ndarray:
    return np.array([area(shift, dimensions, seed) for seed in range(PAIRS)])


@pytest.mark.parametrize(("shift", "dimensions"), [(0.0, 20), (0.3, 20), (0.7, 20), (1.5, 3)])
def test_pulls_have_unit_width(shift: float, dimensions: int) -> None:
    value, error, _ = areas(shift, dimensions).T
    truth = 0.5 if shift == 0 else value.mean()
    # 250 pairs know a width to 4.5 %: 3 standard deviations.
    assert np.sqrt(np.mean(((value - truth) / error) ** 2)) == pytest.approx(1.0, abs=0.135)


def test_placements_alone_miss_what_training_adds() -> None:
    value, _, alone = areas(0.0, 20).T
    # Twice the variance but for pairs that share a fold in one of two repetitions: sqrt(2 x 0.9 / 0.9) = 1.41.
    assert np.std((value - 0.5) / alone) == pytest.approx(np.sqrt(2.0), abs=0.2)


def test_placements_are_shares_of_pairs_and_their_mean_the_area() -> None:
    rng = np.random.default_rng(2)
    score, label = np.round(rng.normal(size=30), 1), np.repeat([0, 1, 1], 10)
    found = placements(score, label)
    high, low = score[label == 1], score[label == 0]
    above = (high[:, None] > low) + 0.5 * (high[:, None] == low)
    np.testing.assert_allclose(found[label == 1], above.mean(axis=1))
    np.testing.assert_allclose(found[label == 0], above.mean(axis=0))
    # Mann and Whitney's U from the sum of ranks.
    u = rankdata(score)[label == 1].sum() - 20 * 21 / 2
    assert found[label == 1].mean() == pytest.approx(u / 200)


def test_reliability_is_spearman_and_browns() -> None:
    rng = np.random.default_rng(3)
    common, label = rng.normal(size=40_000), rng.integers(0, 2, 40_000)
    one, other = (common + rng.normal(size=40_000) for _ in range(2))  # they correlate by 1/2, their mean by 2/3
    assert reliability([(one, other, label)]) == pytest.approx(2 / 3, abs=0.01)
    # The samples' own means are no agreement, and chance below zero is none either.
    assert reliability([(one + 9 * label, rng.normal(size=40_000) + 9 * label, label)]) < 0.03
    assert reliability([(one, -one, label)]) == 0.0


def test_a_single_repetition_has_at_most_twice_the_variance_of_placements() -> None:
    label = np.repeat([0, 1], 500)
    rng = np.random.default_rng(4)
    fold = np.tile(np.arange(1000) % FOLDS, (1, 1))
    placed = placements(rng.normal(size=1000), label)[None]
    assert area_error(placed, fold, label, 0.0) == pytest.approx(np.sqrt(2 * 2 / (12 * 500)), rel=0.05)
    assert area_error(placed, fold, label, 1.0) == pytest.approx(np.sqrt(2 / (12 * 500)), rel=0.05)
