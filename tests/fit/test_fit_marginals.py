"""Distributions that are smooth in ln E: quantiles, atoms, energies that were left out."""

from __future__ import annotations

import energy_toys
import numpy as np
import pytest
from scipy import stats

from fastparam.fit import marginals
from fastparam.fit.marginals import Quantities
from fastparam.fit.tables import Tables
from fastparam.shapes import normal
from fastparam.summary.points import energy_points

LEVEL = 1e-3
POINTS = np.array([1000.0, 2000.0, 4000.0, 8000.0, 16000.0])


def one(values: np.ndarray, kind: int = 0) -> Quantities:
    return Quantities(values[:, None], np.array([kind]), ("x",))


def draw(laws: marginals.Marginals, ln_e: float, n: int, seed: int) -> np.ndarray:
    """Values of the first quantity."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal(n)
    zero, x = laws.quantiles(ln_e, z)
    return np.where(rng.random(n) < zero[0], 0.0, x[0])


@pytest.mark.parametrize("n", [60, 500, 5000])
def test_tabulated_quantiles_stay_within_the_stated_budget(n: int) -> None:
    """Against the empirical distribution: at most 0.3/sqrt(n), whatever the shape."""
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.gamma(2.0, size=n // 2), 3.0 + rng.gamma(9.0, size=n - n // 2)])
    laws, _ = marginals.fit(one(x), energy_points(np.full(n, 1000.0)), np.full(n, 1000.0))
    assert laws.deviation[0] <= marginals.BUDGET
    knots = np.linspace(-marginals.Z_MAX, marginals.Z_MAX, 4001)
    table = laws.quantiles(np.log(1000.0), knots)[1][0]
    cumulative = stats.norm.cdf(np.interp(np.sort(x), table, knots))
    assert np.abs(cumulative - (np.arange(n) + 0.5) / n).max() <= 1.01 * laws.deviation[0] / np.sqrt(n) + 1e-9


def test_a_table_of_too_few_knots_is_noticed() -> None:
    """The control of the test above: 9 knots cannot hold two separate populations."""
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.normal(0.0, 0.1, 2500), rng.normal(5.0, 0.1, 2500)])
    knots = np.linspace(-marginals.Z_MAX, marginals.Z_MAX, 9)
    table = marginals.table_of(x, np.ones(5000), knots)
    assert marginals.deviation_of(table, knots, x, np.ones(5000)) > marginals.BUDGET


def test_drawn_values_have_the_quantiles_of_the_sample_into_the_tails() -> None:
    rng = np.random.default_rng(2)
    x = rng.gamma(3.0, size=20_000)
    laws, _ = marginals.fit(one(x), energy_points(np.full(20_000, 5000.0)), np.full(20_000, 5000.0))
    drawn = draw(laws, np.log(5000.0), 200_000, 3)
    truth = stats.gamma(3.0)
    for u in (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999):
        error = np.sqrt(u * (1 - u) / 20_000) / truth.pdf(truth.ppf(u))
        assert np.quantile(drawn, u) == pytest.approx(truth.ppf(u), abs=3.5 * error)
    assert stats.ks_2samp(drawn, x).pvalue > LEVEL


@pytest.mark.parametrize("share", [0.0, 0.1, 0.8])
def test_zeros_keep_their_probability(share: float) -> None:
    rng = np.random.default_rng(4)
    x = np.where(rng.random(4000) < share, 0.0, rng.gamma(2.0, size=4000))
    laws, _ = marginals.fit(one(x), energy_points(np.full(4000, 5000.0)), np.full(4000, 5000.0))
    drawn = draw(laws, np.log(5000.0), 40_000, 5)
    assert laws.zero[0, 0] == pytest.approx((x == 0).mean(), abs=1e-12)
    assert stats.binomtest(int((drawn == 0).sum()), 40_000, max((x == 0).mean(), 1e-12)).pvalue > LEVEL
    assert stats.ks_2samp(drawn[drawn > 0], x[x > 0]).pvalue > LEVEL


def test_a_left_out_energy_gets_its_mean_and_width() -> None:
    """Width falls as 1/sqrt(E): a line between 2 and 8 GeV would be 6 % too wide at 4 GeV."""
    energy = np.repeat(POINTS, 4000)
    x = energy_toys.toy(energy, 6).values[:, 0]
    kept = energy != 4000.0
    laws, _ = marginals.fit(one(x[kept], 2), energy_points(energy[kept]), energy[kept])
    mean, spread = (q[0] for q in laws.moments(np.log(4000.0)))
    assert mean == pytest.approx(energy_toys.response(4000.0), rel=0.003)
    assert spread / mean == pytest.approx(energy_toys.width(4000.0), rel=0.02)
    assert laws.widths(np.log(4000.0))[0] / mean == pytest.approx(energy_toys.width(4000.0), rel=0.03)


def test_a_mixture_of_neighbouring_energies_would_be_wider() -> None:
    """Choosing one of two energies a factor 2 apart at random, as FastCaloSim does: variance 0.75 instead of 0.707."""
    n = 400_000
    rng = np.random.default_rng(7)
    both = np.where(rng.random(n) < 0.5, rng.normal(1.0, 1.0, n), rng.normal(1.0, np.sqrt(0.5), n))
    assert both.std() / np.sqrt(np.sqrt(0.5)) == pytest.approx(1.030, abs=0.004)
    energy = np.repeat([1000.0, 2000.0], 20_000)
    x = rng.normal(10.0, np.sqrt(1000.0 / energy))
    laws, _ = marginals.fit(one(x, 2), energy_points(energy), energy)
    middle = laws.moments(np.log(1000.0 * np.sqrt(2.0)))[1][0]
    assert middle == pytest.approx(np.sqrt(np.sqrt(0.5)), abs=0.012)


def test_a_continuous_spectrum_gives_the_same_laws_as_points() -> None:
    rng = np.random.default_rng(8)
    energy = np.exp(rng.uniform(np.log(1000.0), np.log(16_000.0), 12_000))
    laws, residual = marginals.fit(one(energy_toys.toy(energy, 9).values[:, 0], 2), energy_points(energy), energy)
    for e in (1500.0, 5000.0, 12_000.0):
        mean, spread = (q[0] for q in laws.moments(np.log(e)))
        assert mean == pytest.approx(energy_toys.response(e), rel=0.004)
        assert spread / mean == pytest.approx(energy_toys.width(e), rel=0.04)
    low, high = residual[energy < 2000.0, 0], residual[energy > 8000.0, 0]
    assert low.mean() == pytest.approx(0.0, abs=0.06)
    assert high.std() == pytest.approx(low.std(), rel=0.05)


def test_smooth_laws_follow_points_that_no_polynomial_describes() -> None:
    x = np.arange(7.0)
    y = np.array([0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0])
    assert marginals.smooth_law(x, y, np.full(7, 0.01), x) == pytest.approx(y, abs=0.05)
    noisy = 2.0 + 0.5 * x + np.random.default_rng(3).normal(0.0, 0.1, 7)
    assert marginals.smooth_law(x, noisy, np.full(7, 0.1), x) == pytest.approx(2.0 + 0.5 * x, abs=0.2)


def test_nothing_jumps_between_energies() -> None:
    energy = np.repeat(POINTS, 300)
    laws, _ = marginals.fit(energy_toys.toy(energy, 10), energy_points(energy), energy)
    at = np.linspace(np.log(1000.0), np.log(16_000.0), 3001)
    x = np.array([laws.quantiles(a, np.array([-1.0, 0.0, 1.5]))[1] for a in at])
    steps = np.abs(np.diff(np.log(x), axis=0)).max()
    assert steps < 0.02


def test_stored_tables_are_those_that_were_fitted_within_their_precision() -> None:
    energy = np.repeat(POINTS, 200)
    laws, _ = marginals.fit(energy_toys.toy(energy, 11), energy_points(energy), energy)
    again = marginals.Marginals.from_tables(Tables(laws.to_arrays()))
    z = np.linspace(-3, 3, 61)
    for a, b in zip(laws.quantiles(8.5, z), again.quantiles(8.5, z), strict=True):
        assert a == pytest.approx(b, rel=1e-3, abs=1e-6)


# One pair of functions makes scores and takes them back.


def test_scores_return_to_where_they_came_from() -> None:
    u = np.concatenate([np.geomspace(1e-12, 0.5, 400), 1 - np.geomspace(1e-12, 0.5, 400)])
    assert np.abs(normal.cdf(normal.ppf(u)) - u).max() < 1e-12


def test_the_factor_two_over_pi_would_be_found() -> None:
    """u = (erf(2 g/pi) + 1)/2, a known defect: g = 1 gives 0.816 instead of 0.841 and the round trip fails by 0.025."""
    from scipy.special import erf

    u = np.linspace(0.01, 0.99, 99)
    wrong = 0.5 * (erf(2.0 * normal.ppf(u) / np.pi) + 1.0)
    assert np.abs(wrong - u).max() == pytest.approx(0.025, abs=0.002)
    assert 0.5 * (erf(2.0 / np.pi) + 1.0) == pytest.approx(0.816, abs=5e-4)
