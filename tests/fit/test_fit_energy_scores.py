"""Scores of the energies component and bins of showers: zeros, quantiles, starts."""

from __future__ import annotations

import energy_toys
import numpy as np
import pytest
from scipy import stats

from fastparam.fit import marginals
from fastparam.fit.energy_scores import Starts, bins_of, scores_of
from fastparam.fit.marginals import Quantities
from fastparam.summary.points import energy_points

LEVEL = 1e-3
L = energy_toys.N_LAYERS
POINTS, N = energy_toys.POINTS, energy_toys.N


@pytest.fixture(scope="module")
def training() -> tuple[Quantities, np.ndarray]:
    return energy_toys.training()


def test_scores_of_zeros_are_spread_over_their_atom(training: tuple[Quantities, np.ndarray]) -> None:
    """Randomised within the atom: the scores of every quantity are standard normal, also with 60 % of zeros."""
    quantities, energy = training
    points = energy_points(energy)
    laws, residual = marginals.fit(quantities, points, energy, quick=True)
    g, _ = scores_of(quantities, laws, residual, points)
    for k in range(L + 1):
        for p in range(len(points)):
            assert stats.kstest(g[points.point == p, k], "norm").pvalue > LEVEL / (3 * (L + 1))


def test_zeros_piled_up_at_one_score_would_be_found(training: tuple[Quantities, np.ndarray]) -> None:
    """The known defect: all zeros at the score of half a bin, about -3.6."""
    quantities, energy = training
    x = quantities.values[energy == POINTS[0], L]
    g = stats.norm.ppf((stats.rankdata(x) - 0.5) / len(x))
    g[x == 0] = -3.6
    assert stats.kstest(g, "norm").pvalue < 1e-6


def test_scores_of_zeros_go_with_the_other_layers(training: tuple[Quantities, np.ndarray]) -> None:
    """Two last layers that are empty together must not be told apart by random numbers: their latent correlation is
    that of a shower's depth, not diluted by the atom."""
    quantities, energy = training
    points = energy_points(energy)
    laws, residual = marginals.fit(quantities, points, energy, quick=True)
    g, _ = scores_of(quantities, laws, residual, points)
    rng = np.random.default_rng(1)
    own = points.point == 0
    random = g[own].copy()
    for k in (L - 1, L):
        zero = quantities.values[own, k] == 0
        edge = stats.norm.cdf(g[own, k][zero].max())
        random[zero, k] = stats.norm.ppf(rng.uniform(0, edge, int(zero.sum())))
    assert np.corrcoef(g[own, L - 1], g[own, L])[0, 1] > np.corrcoef(random[:, L - 1], random[:, L])[0, 1] + 0.1


def test_every_shower_is_in_exactly_one_bin_of_equal_size() -> None:
    rng = np.random.default_rng(1)
    points = energy_points(np.repeat(POINTS, 103))
    bin_, edges = bins_of(np.append(rng.standard_normal(308), 1e9), points, 5)
    counts = np.array([np.bincount(bin_[points.point == p], minlength=5) for p in range(3)])
    assert counts.sum() == 309
    assert counts.min() >= 20
    assert counts.max() <= 21
    assert (np.diff(edges, axis=1) > 0).all()
    assert bin_[-1] == 4


def test_bins_of_starts_cover_every_start_once() -> None:
    first = Starts(np.array([-1]), np.full(20, 3.0)).first_of_bins()
    assert first[0] == -1
    assert first[1] == 0
    assert first[-1] == 20
    assert (np.diff(first) > 0).all()
