"""Marginals of (ln T, ln alpha): skew ones come back without the measurement error of single showers."""

from __future__ import annotations

import numpy as np
import pytest
from profile_toys import CRITICAL_ENERGY, fractions
from scipy.stats import skew

from fastparam.fit import longitudinal, shape_marginals
from fastparam.fit.longitudinal import Profiles
from fastparam.fit.tables import Tables
from fastparam.summary.points import energy_points

ENERGIES = (4_000.0, 16_000.0, 65_000.0)


def profiles(seed: int, *, skewed: bool, n: int = 400, deposits: int = 300) -> Profiles:
    """Showers whose ln alpha is a shifted exponential of skewness 2 at the law's mean and width, or normal."""
    rng = np.random.default_rng(seed)
    energy = np.repeat(np.array(ENERGIES), n)
    ln_y = np.log(energy / CRITICAL_ENERGY)
    z_t = rng.standard_normal(len(energy))
    z_a = rng.exponential(1.0, len(energy)) - 1.0 if skewed else rng.standard_normal(len(energy))
    ln_t = np.log(-0.8 + ln_y) + 0.15 * z_t
    ln_alpha = np.log(0.8 + 0.5 * ln_y) + 0.25 * z_a
    edges = np.arange(0.0, 26.0)
    share = fractions(ln_t, ln_alpha, edges)
    chances = np.column_stack([share, np.maximum(1.0 - share.sum(axis=1), 0.0)])
    cells = rng.multinomial(deposits, chances / chances.sum(axis=1, keepdims=True))[:, :-1]
    depths = np.tile(np.stack([edges[:-1], edges[1:]], axis=1), (len(energy), 1, 1))
    return Profiles(energy, ln_y, cells.astype(np.float64), depths, np.zeros(len(edges) - 1, dtype=np.int64))


def tables(sample: Profiles) -> Tables:
    law, single = longitudinal.shower_fits(sample, energy_points(sample.energy))
    return shape_marginals.fit(sample, single, law)


def drawn(h: np.ndarray, n: int = 200_000) -> np.ndarray:
    """Numbers that follow a table."""
    return np.interp(np.random.default_rng(1).standard_normal(n), shape_marginals.Z, h)


@pytest.fixture(scope="module")
def skewed() -> Tables:
    return tables(profiles(1, skewed=True))


def test_a_skew_distribution_is_found_behind_the_measurement_error(skewed: Tables) -> None:
    # A shower's own ln alpha is known to about half of the population's width here.
    for h in skewed["alpha"]:
        found = drawn(h)
        assert 1.0 < skew(found) < 2.3
        # Quantiles of the exponential minus 1; a normal law would miss the median by 0.31.
        assert np.quantile(found, [0.16, 0.5, 0.84]) == pytest.approx([-0.826, -0.307, 0.833], abs=0.15)


def test_tables_have_mean_0_and_variance_1_and_rise(skewed: Tables) -> None:
    for h in (*skewed["t"], *skewed["alpha"]):
        found = drawn(h)
        assert found.mean() == pytest.approx(0.0, abs=0.02)
        assert found.std() == pytest.approx(1.0, abs=0.02)
        assert np.all(np.diff(h) > 0)


def test_normal_showers_stay_normal(skewed: Tables) -> None:
    plain = tables(profiles(2, skewed=False))
    central = np.abs(shape_marginals.Z) < 1.6
    for h in (*plain["t"], *plain["alpha"]):
        assert h[central] == pytest.approx(shape_marginals.Z[central], abs=0.2)
    # Negative control: the skew ones are farther away.
    assert np.abs(skewed["alpha"][1] - shape_marginals.Z)[central].max() > 0.25


def test_the_correlation_of_the_law_survives() -> None:
    z = shape_marginals.Z
    h_t, h_alpha = z, (np.exp(0.6 * z) - np.exp(0.18)) / np.sqrt(np.expm1(0.36) * np.exp(0.36))
    r = 0.7
    # A log-normal and a normal number: exactly r s / sqrt(exp(s^2) - 1).
    assert shape_marginals.correlation(h_t, h_alpha, np.array([r]))[0] == pytest.approx(
        r * 0.6 / np.sqrt(np.expm1(0.36)), abs=0.01
    )


def test_between_knots_tables_are_linear_in_ln_e(skewed: Tables) -> None:
    knots = skewed["ln_y"]
    h, copula = shape_marginals.evaluate(skewed, np.array([knots[0] - 1.0, 0.5 * (knots[0] + knots[1])]))
    assert h[0, 1] == pytest.approx(skewed["alpha"][0])
    assert h[1, 1] == pytest.approx(0.5 * (skewed["alpha"][0] + skewed["alpha"][1]))
    assert copula[1] == pytest.approx(0.5 * (skewed["copula"][0] + skewed["copula"][1]))


def test_few_showers_have_one_table_for_all_energies() -> None:
    few = profiles(3, skewed=True, n=40)
    assert len(tables(few)["ln_y"]) == 1
