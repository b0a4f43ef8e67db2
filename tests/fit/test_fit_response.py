"""Closure of the visible energy: distributions with known mean and width in, the same mean and width out."""

from __future__ import annotations

import numpy as np
import pytest

from fastparam.errors import FitError
from fastparam.fit import response
from fastparam.fit.fit import Fit

ENERGIES = np.array([4_000.0, 8_000.0, 16_000.0, 32_000.0, 65_000.0])
N = 200


def normal(rng: np.random.Generator, energy: np.ndarray) -> np.ndarray:
    """5 % visible, resolution 10 % / sqrt(E)."""
    return 0.05 * energy * (1 + 0.1 / np.sqrt(energy / 1000) * rng.standard_normal(len(energy)))


def gamma(rng: np.random.Generator, energy: np.ndarray) -> np.ndarray:
    """Skewed: 25 % / sqrt(E); response grows by 1 % per unit of ln E."""
    width = 0.25 / np.sqrt(energy / 1000)
    return 0.05 * (1 + 0.01 * np.log(energy / 1000)) * energy * rng.gamma(width**-2) * width**2


def leaking(rng: np.random.Generator, energy: np.ndarray) -> np.ndarray:
    """All is visible but a log-normal leakage of about 1 % that grows with energy; one shower in 20 leaks nothing."""
    leakage = np.exp(np.log(0.01) + 0.1 * np.log(energy / 1000) + 0.5 * rng.standard_normal(len(energy)))
    return energy * (1 - np.where(rng.random(len(energy)) < 0.05, 0.0, leakage))


def fitted(law, seed: int, energies: np.ndarray = ENERGIES, n: int = N) -> tuple[Fit, np.ndarray, np.ndarray]:
    energy = np.repeat(energies, n)
    visible = law(np.random.default_rng([seed, 31]), energy)
    return response.fit(energy, visible), energy, visible


@pytest.fixture(scope="module")
def of_normal() -> Fit:
    return fitted(normal, 1)[0]


def test_mean_and_width_of_a_normal_response_are_found(of_normal: Fit) -> None:
    mean, width = response.moments(of_normal, np.log(ENERGIES / 1000))
    true_width = 0.005 / np.sqrt(ENERGIES / 1000)
    # 4 errors of 200 showers each, as if every energy stood alone.
    assert np.all(np.abs(mean - 0.05) < 4 * true_width / np.sqrt(N))
    assert width == pytest.approx(true_width, rel=4 / np.sqrt(2 * N))
    assert of_normal.valid
    assert of_normal.p_value > 1e-3


def test_a_wrong_mean_and_a_wrong_width_are_rejected(of_normal: Fit) -> None:
    mean, width = response.moments(of_normal, np.log(ENERGIES / 1000))
    true_width = 0.005 / np.sqrt(ENERGIES / 1000)
    assert not np.all(np.abs(mean - 1.02 * 0.05) < 4 * true_width / np.sqrt(N))
    assert width != pytest.approx(1.3 * true_width, rel=4 / np.sqrt(2 * N))


def test_mean_width_and_skewness_of_a_gamma_response_are_found() -> None:
    fit = fitted(gamma, 2)[0]
    u = np.log(ENERGIES / 1000)
    mean, width = response.moments(fit, u)
    true_mean, relative = 0.05 * (1 + 0.01 * u), 0.25 / np.sqrt(ENERGIES / 1000)
    assert np.all(np.abs(mean / true_mean - 1) < 4 * relative / np.sqrt(N))
    assert width == pytest.approx(true_mean * relative, rel=4 / np.sqrt(2 * N))
    z = np.random.default_rng(1).standard_normal(200_000)
    x = response.quantile(fit, np.full(len(z), u[0]), z)
    # A gamma distribution has the skewness 2 sigma / mean = 0.25 at 4 GeV; 1000 showers know it to 0.08.
    assert ((x - x.mean()) ** 3).mean() / x.std() ** 3 == pytest.approx(0.25, abs=0.25)


def test_mean_and_width_of_the_leakage_are_found_where_some_showers_leak_nothing() -> None:
    fit = fitted(leaking, 3)[0]
    u = np.log(ENERGIES / 1000)
    z = np.random.default_rng(2).standard_normal((len(u), 40_000))
    leakage = 1 - response.quantile(fit, u[:, None], z)
    assert fit.settings["offset"] is not None
    assert np.all(leakage >= 0)
    rng = np.random.default_rng(4)
    for i, e in enumerate(ENERGIES):
        true = 1 - leaking(rng, np.full(40_000, e)) / e
        # 200 showers: 4 % in the mean, 6 to 8 % in half the central 68 %.
        assert leakage[i].mean() == pytest.approx(true.mean(), rel=0.15)
        low, high = np.quantile(leakage[i], [0.16, 0.84])
        true_low, true_high = np.quantile(true, [0.16, 0.84])
        assert high - low == pytest.approx(true_high - true_low, rel=0.25)


def test_stiff_laws_are_chosen_for_normal_toys() -> None:
    # A richer law must gain a unit of cross-validated ln L; by chance it does so in about one sample of ten.
    orders = [fitted(normal, seed, n=60)[0].settings["orders"] for seed in range(8)]
    assert orders.count([1, 1, 0, -1]) >= 5


def test_a_mean_that_bends_in_ln_energy_is_followed() -> None:
    def bent(rng: np.random.Generator, energy: np.ndarray) -> np.ndarray:
        return normal(rng, energy) * (1 + 0.05 * (np.log(energy / 16_000.0)) ** 2)

    fit = fitted(bent, 5)[0]
    assert fit.settings["orders"][0] >= 2
    mean, width = response.moments(fit, np.log(ENERGIES / 1000))
    true = 0.05 * (1 + 0.05 * np.log(ENERGIES / 16_000.0) ** 2)
    assert np.all(np.abs(mean - true) < 4 * width / np.sqrt(N))


def test_folds_hold_every_energy_whatever_the_order_of_the_file() -> None:
    # Four energies in turn: folds by row number would each leave out one energy.
    energy = np.tile(ENERGIES[:4], 100)
    visible = normal(np.random.default_rng(6), energy)
    by_turn = response.fit(energy, visible)
    order = np.argsort(energy, kind="stable")
    assert response.fit(energy[order], visible[order]).settings == by_turn.settings


@pytest.mark.parametrize("energies", [(10_000.0,), (10_000.0, 20_000.0)])
def test_few_energies_allow_laws_of_low_order_only(energies: tuple[float, ...]) -> None:
    fit = fitted(normal, 7, np.array(energies), 100)[0]
    assert max(fit.settings["orders"]) < len(energies)
    assert fit.valid
    mean, _ = response.moments(fit, np.log(np.array(energies) / 1000))
    assert mean == pytest.approx(0.05, rel=0.02)


def test_a_continuous_spectrum_is_described_like_points() -> None:
    rng = np.random.default_rng(8)
    energy = np.exp(rng.uniform(np.log(4_000.0), np.log(65_000.0), 800))
    fit = response.fit(energy, normal(rng, energy))
    mean, width = response.moments(fit, np.log(ENERGIES / 1000))
    assert mean == pytest.approx(0.05, rel=0.01)
    assert width == pytest.approx(0.005 / np.sqrt(ENERGIES / 1000), rel=0.15)


def test_showers_without_visible_energy_have_the_probability_they_are_seen_with() -> None:
    rng = np.random.default_rng(9)
    energies = np.array([500.0, 1_000.0, 2_000.0])
    energy = np.repeat(energies, 400)
    true = 1 / (1 + np.exp(1.0 + 1.5 * np.log(energy / 1000)))
    visible = np.where(rng.random(len(energy)) < true, 0.0, normal(rng, energy))
    fit = response.fit(energy, visible)
    u = np.log(energies / 1000)
    found = response.zero_probability(fit, u)
    assert found == pytest.approx(true[::400], abs=4 * np.sqrt(0.25 / 400))
    # Empty showers count in the mean.
    assert response.moments(fit, u)[0] == pytest.approx(0.05 * (1 - true[::400]), rel=0.1)


def test_where_no_shower_is_empty_none_is_sampled_empty(of_normal: Fit) -> None:
    assert np.all(response.zero_probability(of_normal, np.log(ENERGIES / 1000)) == 0)


def test_quantiles_grow_with_z_and_the_median_is_the_sample_s(of_normal: Fit) -> None:
    z = np.linspace(-5, 5, 101)
    assert np.all(np.diff(response.quantile(of_normal, np.full(101, 2.0), z)) > 0)
    _, energy, visible = fitted(normal, 1)
    at_4 = np.median(visible[energy == 4_000.0] / 4_000.0)
    assert response.quantile(of_normal, np.log([4.0]), np.zeros(1))[0] == pytest.approx(at_4, rel=0.01)


def test_resolution_is_that_of_the_calorimeter() -> None:
    rng = np.random.default_rng(10)
    energy = np.repeat(ENERGIES, 400)
    sigma = np.hypot(0.12 / np.sqrt(energy / 1000), 0.02)
    fit = response.resolution(energy, 0.05 * energy * (1 + sigma * rng.standard_normal(len(energy))))
    assert np.all(np.abs((fit.values - [0.12, 0.02]) / fit.errors) < 4)
    assert abs((fit["a"] - 0.16) / fit.errors[0]) > 4
    assert fit.p_value > 1e-3


def test_resolution_from_one_energy_has_no_constant_term() -> None:
    energy = np.full(400, 4_000.0)
    fit = response.resolution(energy, normal(np.random.default_rng(11), energy))
    assert fit["b"] == 0
    assert fit.at_limit == ()
    assert fit["a"] == pytest.approx(0.1, rel=0.15)


def test_too_few_showers_are_refused() -> None:
    energy = np.full(30, 4_000.0)
    visible = np.where(np.arange(30) < 19, 200.0, 0.0)
    with pytest.raises(FitError, match="response: 19 showers with visible energy; at least 20"):
        response.fit(energy, visible)
    with pytest.raises(FitError, match="resolution: no energy point has 20 showers"):
        response.resolution(energy, visible)
