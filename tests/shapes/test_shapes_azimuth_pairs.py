"""Pair correlation of azimuths: cells that are hit once at most, and groups, as textbooks have them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fastparam._numba import kernel
from fastparam.random import stream
from fastparam.shapes.azimuth_pairs import GROUP_WIDTH, paired1

RINGS = 20_000


@kernel
def _rings(kappa, u, fresh):  # type: ignore[no-untyped-def]
    space = np.empty(u.shape[1], dtype=np.float32)
    for i in range(len(u)):
        paired1(stream(1, i, 5), kappa, u[i], fresh[i], space)


def rings(n: int, kappa: float) -> np.ndarray:
    u, fresh = np.random.default_rng(3).random((2, RINGS, n)).astype(np.float32)
    _rings(kappa, u, fresh)
    return u


def pair_correlation(u: np.ndarray) -> tuple[float, float]:
    """Mean cos 2(alpha_i - alpha_j) over pairs, and its standard error."""
    n = u.shape[1]
    both = np.abs(np.exp(4j * np.pi * u).sum(axis=1)) ** 2 - n
    return float(both.mean() / (n * (n - 1))), float(both.std() / np.sqrt(len(u)) / (n * (n - 1)))


@pytest.mark.parametrize(("n", "kappa"), [(3, -1 / 11), (8, -1 / 15), (20, -1 / 39), (40, -1 / 99), (60, -1 / 199)])
def test_cells_hit_once_at_most_give_the_variance_of_draws_without_replacement(n: int, kappa: float) -> None:
    found, error = pair_correlation(rings(n, kappa))
    # Hits lie anywhere in their cells, or in their even parts where cells are many, which takes sinc^2 of the
    # correlation of the middles.
    cells = 1.0 - 1.0 / kappa
    blur = np.sinc(2.0 / (cells if cells <= 16 else n * (n - 1) / (cells - 1))) ** 2
    assert abs(found - kappa * blur) < 4.0 * error + 0.01 * abs(kappa)


def test_few_hits_in_many_cells_are_independent() -> None:
    """As many even ones as the variance asks for are two or less then, and say nothing of a quadrupole."""
    found, error = pair_correlation(rings(20, -1 / 199))
    assert abs(found) < 4.0 * error


@pytest.mark.parametrize("n", [2, 3, 4])
def test_the_four_cells_around_the_axis_hold_one_hit_each(n: int) -> None:
    quarter = np.sort((4 * rings(n, -1 / 3)).astype(int), axis=1)
    assert (np.diff(quarter, axis=1) > 0).all()


def test_more_hits_than_cells_fill_every_cell_before_one_is_hit_again() -> None:
    counts = np.apply_along_axis(np.bincount, 1, (4 * rings(10, -1 / 3)).astype(int), minlength=4)
    assert counts.min() == 2
    assert counts.max() == 3


@pytest.mark.parametrize(("n", "kappa"), [(4, 0.2), (12, 0.05), (6, 0.6)])
def test_hits_that_lie_together_have_the_correlation_that_was_asked_for(n: int, kappa: float) -> None:
    found, error = pair_correlation(rings(n, kappa))
    together = np.sinc(2.0 * GROUP_WIDTH / np.pi) ** 2
    assert abs(found - min(kappa, together)) < 4.0 * error


@pytest.mark.parametrize(("n", "kappa"), [(3, -1 / 7), (10, -1 / 7), (30, -0.002), (5, 0.3), (5, 0.0)])
def test_single_azimuths_stay_uniform(n: int, kappa: float) -> None:
    u = rings(n, kappa)
    assert u.min() > 0.0
    assert u.max() < 1.0
    chosen = u[np.arange(RINGS), np.random.default_rng(5).integers(0, n, RINGS)]
    assert stats.kstest(chosen, "uniform").pvalue > 1e-3


def test_one_hit_and_no_correlation_change_nothing() -> None:
    u = np.random.default_rng(3).random((2, RINGS, 1))[0].astype(np.float32)
    assert np.array_equal(rings(1, -0.3), u)
    u = np.random.default_rng(3).random((2, RINGS, 5))[0].astype(np.float32)
    assert np.array_equal(rings(5, 0.0), u)
