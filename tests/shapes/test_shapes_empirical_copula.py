"""Scores of new showers from stored ones, and features from scores."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from fastparam._numba import kernel
from fastparam.random import stream
from fastparam.shapes.empirical_copula import fill_features1, gaussian_scores1, mixed_scores1, neighbours1

STEP = 1.0 / 30.0
N_KNOTS = 41
START, SPACING = -3.2, 0.16


@kernel
def _mixed(scores: npt.NDArray[np.int8], h: float, z: npt.NDArray[np.float64]) -> None:
    for i in range(len(z)):
        mixed_scores1(stream(1, i, 1), scores, 0, len(scores), STEP, h, z[i])


@kernel
def _gaussian(factors: npt.NDArray[np.float32], unique: npt.NDArray[np.float32], z: npt.NDArray[np.float64]) -> None:
    for i in range(len(z)):
        gaussian_scores1(stream(1, i, 1), factors, unique, z[i])


def stored(n: int = 2000) -> npt.NDArray[np.int8]:
    """Two populations of which the second has both features high, as normal scores."""
    rng = np.random.default_rng(1)
    second = rng.random(n) < 0.3
    x = rng.normal(size=(n, 2)) + 3.0 * second[:, None]
    ranks = stats.rankdata(x, axis=0) - 0.5
    return np.round(stats.norm.ppf(ranks / n) / STEP).astype(np.int8)


@pytest.mark.parametrize("h", [0.0, 0.3, 0.6])
def test_new_scores_are_normal_with_the_correlation_of_the_stored_ones(h: float) -> None:
    scores = stored()
    z = np.empty((20_000, 2))
    _mixed(scores, h, z)
    true = np.corrcoef(scores.T)[0, 1]
    assert np.corrcoef(z.T)[0, 1] == pytest.approx(true, abs=0.02)
    assert z.mean(axis=0) == pytest.approx([0, 0], abs=0.03)
    assert z.std(axis=0) == pytest.approx([1, 1], abs=0.02)


def test_two_populations_stay_two_which_correlations_alone_would_not_give() -> None:
    scores = stored()
    true = np.mean((scores * STEP > 0.8).all(axis=1))
    mixed, gaussian = np.empty((20_000, 2)), np.empty((20_000, 2))
    _mixed(scores, 0.2, mixed)
    r = np.corrcoef(scores.T)[0, 1]
    _gaussian(np.sqrt([[r, r]]).astype(np.float32), np.sqrt([1 - r, 1 - r]).astype(np.float32), gaussian)
    assert np.corrcoef(gaussian.T)[0, 1] == pytest.approx(r, abs=0.02)
    both = [(z > 0.8).all(axis=1).mean() for z in (mixed, gaussian)]
    assert both[0] == pytest.approx(true, abs=0.01)
    assert abs(both[1] - true) > 0.02


def test_energies_between_points_know_their_neighbours_and_those_outside_the_nearest() -> None:
    points = np.log(np.array([1.0, 4.0, 16.0]))
    assert neighbours1(np.log(8.0), points) == (1, 2, pytest.approx(0.5))
    assert neighbours1(np.log(0.5), points) == (0, 0, 0.0)
    assert neighbours1(np.log(99.0), points) == (2, 2, 0.0)


# Atoms: corner 0 has 60 % zeros and ln x normal about 0, corner 1 has 10 % zeros and ln x about 2

ZERO = np.array([0.6, 0.1])
KNOTS = START + SPACING * np.arange(N_KNOTS)
TABLES = np.concatenate([KNOTS, KNOTS + 2.0])


def drawn(
    weight: float, z: npt.NDArray[np.float64], zero: npt.NDArray[np.float64] = ZERO
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return for scores of one feature how far it is from being zero, and ln x; between two corners."""
    n = len(z)
    w, zero_at, table_at = np.array([1 - weight, weight]), np.array([0, n]), np.array([0, n * N_KNOTS])
    gap, value, part = (np.empty(n, dtype=np.float32) for _ in range(3))
    zeros = np.repeat(zero, n).astype(np.float32)
    tables = np.concatenate([np.tile(TABLES[:N_KNOTS], n), np.tile(TABLES[N_KNOTS:], n)]).astype(np.float32)
    fill_features1(
        z.astype(np.float32), 2, w, zero_at, table_at, zeros, tables, START, SPACING, N_KNOTS, gap, value, part,
        np.empty(n, dtype=np.int32),
    )  # fmt: skip
    return gap, value


@pytest.mark.parametrize("weight", [0.0, 0.25, 0.5, 1.0])
def test_atoms_are_interpolated_before_the_positive_part(weight: float) -> None:
    z = stats.norm.ppf((np.arange(4000) + 0.5) / 4000)
    gap, ln = drawn(weight, z)
    p0 = 0.6 - 0.5 * weight
    assert (gap <= 0).mean() == pytest.approx(p0, abs=1e-3)
    ln = ln[gap > 0]
    assert np.median(ln) == pytest.approx(2.0 * weight, abs=0.02)
    assert ln.std() == pytest.approx(1.0, abs=0.02)
    if 0.0 < weight < 1.0:  # quantiles interpolated with their zeros would have the smaller atom
        assert abs(min(ZERO) - p0) > 0.1


def test_a_zero_says_how_far_it_was_from_being_none() -> None:
    (far, near), _ = drawn(0.0, np.array([-2.0, 0.2]))
    assert far < near <= 0.0
    assert near == pytest.approx(stats.norm.cdf(0.2) - 0.6, abs=1e-5)  # single precision, from a table


def test_a_feature_that_is_never_zero_is_not_however_low_its_score() -> None:
    gap, ln = drawn(0.0, np.array([-7.0, 0.0]), zero=np.array([0.0, 0.0]))
    assert (gap > 0).all()
    assert ln == pytest.approx([START, 0.0], abs=1e-6)


def test_a_corner_that_is_always_empty_lends_no_values() -> None:
    _, ln = drawn(0.5, np.array([2.0]), zero=np.array([1.0, 0.0]))
    conditional = stats.norm.ppf((stats.norm.cdf(2.0) - 0.5) / 0.5)
    assert ln[0] == pytest.approx(2.0 + conditional, abs=1e-3)
