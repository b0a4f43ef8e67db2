"""Wasserstein-1 distances: SciPy's values, the known floor of equal samples, errors with and without a difference."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from fastparam.comparison.wasserstein import wasserstein


def test_wasserstein_is_scipys_per_standard_deviation() -> None:
    rng = np.random.default_rng(4)
    x, y = 3.0 * rng.normal(size=(400, 2)), 3.0 * rng.normal(size=(400, 2)) + [0.0, 1.5]
    found = wasserstein(x, y)
    for f in range(2):
        assert found.value[f] == pytest.approx(wasserstein_distance(x[:, f], y[:, f]) / x[:, f].std(), rel=1e-10)
    assert found.mean[0] == pytest.approx(found.value.mean(), rel=1e-12)
    # A shift of half a standard deviation; and the known floor of equal Gaussian samples, (1.8 +- 0.6) / sqrt(n).
    assert found.value[1] == pytest.approx(0.5, abs=0.15)
    assert found.floor[0] * np.sqrt(400) == pytest.approx(1.8, abs=0.6)
    assert found.value[1] - found.floor[1] > 3 * found.floor_error[1]
    assert np.isnan(wasserstein(np.zeros((50, 1)), np.zeros((50, 1))).value[0])


def test_a_constant_feature_does_not_enter_the_mean() -> None:
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(100, 2)), rng.normal(size=(100, 2))
    x[:, 1] = y[:, 1] = 7.0
    found = wasserstein(x, y)
    assert np.isnan(found.value[1])
    assert np.isnan(found.error[1])
    assert found.mean[:2] == pytest.approx((found.value[0], found.error[0]))


def test_a_plain_shift_is_known_as_well_as_the_mean() -> None:
    # All of G lies to one side of F: W is the difference of the means, whose error is sqrt(2 / n).
    rng = np.random.default_rng(6)
    x, y = rng.normal(size=(2, 500, 20))
    assert np.mean(wasserstein(x, y + 1.0).error) == pytest.approx(np.sqrt(2 / 500), rel=0.1)


def test_energies_that_are_equally_frequent_by_construction_are_no_source_of_scatter() -> None:
    # The feature is the energy itself: without strata resamples would scatter, with them nothing does.
    energy = np.repeat([1e3, 1e4], 100)
    x = np.log(energy)[:, None]
    assert wasserstein(x, x, (energy, energy)).floor[0] == 0.0
    assert wasserstein(x, x).floor[0] > 0.01


@pytest.mark.parametrize("wide", [1.0, 1.2])
def test_limits_hold_two_thirds_of_samples(wide: float) -> None:
    rng = np.random.default_rng(7)
    pairs = [wasserstein(rng.normal(size=(300, 1)), wide * rng.normal(size=(300, 1)), seed=i) for i in range(200)]
    value, error = (np.array([getattr(p, what)[0] for p in pairs]) for what in ("value", "error"))
    inside = np.mean(np.abs(value - value.mean()) < error)
    # 68 %, more for equal samples, whose distances lie closer together than limits that allow for a difference;
    # 200 pairs know a share to 3 %.
    assert 0.58 < inside < 0.86


def test_equal_samples_scatter_about_their_floor_as_said() -> None:
    rng = np.random.default_rng(8)
    pulls = []
    for i in range(200):
        w = wasserstein(rng.normal(size=(300, 4)), rng.normal(size=(300, 4)), seed=i)
        pulls.append((w.mean[0] - w.mean[2]) / w.mean[3])
    assert np.std(pulls) == pytest.approx(1.0, abs=0.16)  # 200 pairs know a width to 5 %, 100 partitions one to 7 %
    assert abs(np.mean(pulls)) < 0.22
