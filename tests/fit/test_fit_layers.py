"""Factors of media with another visible fraction than the main one, and mean shares per layer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from profile_toys import Population, population

from fastparam.errors import FitError
from fastparam.fit import layers, longitudinal
from fastparam.fit.profiles import Profiles
from fastparam.summary.points import energy_points

ENERGIES = (4_000.0, 16_000.0, 65_000.0)


def presampler(seed: int, *, n: int = 100, factor: tuple[float, float] = (-0.7, 0.1)) -> Population:
    """Toys whose first two cells are of another medium, which shows exp(f0 + f1 ln(E / 10 GeV)) of the energy."""
    toy = population(np.random.default_rng([seed, 41]), energies=ENERGIES, n=n, deposits=500.0)
    cells = toy.profiles.cell_energy.copy()
    cells[:, :2] *= np.exp(factor[0] + factor[1] * np.log(toy.profiles.energy / 10_000.0))[:, None]
    medium = toy.profiles.medium.copy()
    medium[:2] = 1
    return replace(toy, profiles=replace(toy.profiles, cell_energy=cells, medium=medium))


def theta(toy: Population) -> np.ndarray:
    return np.stack([toy.ln_t, toy.ln_alpha], axis=1)


def test_the_factor_of_a_medium_is_found_from_true_shapes() -> None:
    toy = presampler(1)
    fit = layers.fit(toy.profiles, theta(toy), energy_points(toy.profiles.energy))
    assert fit.names == ("factor1_f0", "factor1_f1")
    assert fit.settings == {"main": 0, "media": 2}
    assert np.all(np.abs((fit.values - [-0.7, 0.1]) / fit.errors) < 4)
    assert abs((fit["factor1_f0"] + 0.5) / fit.errors[0]) > 4
    assert np.all(fit.errors < 0.05)
    assert fit.valid


def test_the_factor_is_unbiased_and_its_error_honest() -> None:
    pulls = []
    for seed in range(40):
        toy = presampler(seed, n=40)
        fit = layers.fit(toy.profiles, theta(toy), energy_points(toy.profiles.energy))
        pulls.append((fit.values - [-0.7, 0.1]) / fit.errors)
    # 40 toys: error of a mean 0.16, of a width 0.11.
    assert np.all(np.abs(np.mean(pulls, axis=0)) < 0.64)
    assert np.all(np.abs(np.std(pulls, axis=0, ddof=1) - 1) < 0.45)


def test_the_factor_is_found_from_fitted_shapes() -> None:
    """With 500 deposits the fitted shapes cost 2 % of the factor."""
    toy = presampler(2)
    points = energy_points(toy.profiles.energy)
    _, single = longitudinal.shower_fits(toy.profiles, points)
    fit = layers.fit(toy.profiles, single.theta, points)
    assert fit.values == pytest.approx([-0.7, 0.1], abs=0.1)


def test_another_visible_fraction_does_not_move_the_shapes() -> None:
    toy = presampler(3)
    same = replace(toy.profiles, cell_energy=toy.profiles.cell_energy * np.where(toy.profiles.medium == 1, 9.0, 1.0))
    first, second = longitudinal.fit(toy.profiles), longitudinal.fit(same)
    law, other = (longitudinal.evaluate(f, toy.profiles.ln_y[:1]) for f in (first, second))
    assert other["mean_ln_t"] == pytest.approx(law["mean_ln_t"], abs=0.02)
    assert other["mean_ln_alpha"] == pytest.approx(law["mean_ln_alpha"], abs=0.03)


def test_factors_are_one_in_the_main_medium_and_follow_the_law_in_others() -> None:
    toy = presampler(4)
    fit = layers.fit(toy.profiles, theta(toy), energy_points(toy.profiles.energy))
    factors = layers.evaluate(fit, np.array([10_000.0, 10_000.0 * np.e]))
    assert factors[:, 0].tolist() == [1.0, 1.0]
    assert np.log(factors[:, 1]) == pytest.approx([fit.values[0], fit.values.sum()])


def test_one_medium_needs_no_factors() -> None:
    toy = population(np.random.default_rng(5), n=20)
    fit = layers.fit(toy.profiles, theta(toy), energy_points(toy.profiles.energy))
    assert fit.names == ()
    assert fit.valid
    assert layers.evaluate(fit, np.array([1_000.0])).tolist() == [[1.0]]


def test_a_medium_in_which_no_energy_was_seen_fails_and_is_named() -> None:
    toy = presampler(6, n=20)
    silent = replace(toy.profiles, cell_energy=np.where(toy.profiles.medium == 1, 0.0, toy.profiles.cell_energy))
    fit = layers.fit(silent, theta(toy), energy_points(toy.profiles.energy))
    assert fit.failed
    assert fit.notes == ("medium 1: no energy point has 10 showers and energy in it; factor kept at 1",)
    assert layers.evaluate(fit, np.array([1_000.0])).tolist() == [[1.0, 1.0]]


def shares(n: int) -> tuple[np.ndarray, np.ndarray, Profiles]:
    """Two layers that see 2 % + 0.3 % ln(E / 10 GeV) and 3 % - 0.2 % ln(E / 10 GeV), with 10 % fluctuations."""
    rng = np.random.default_rng(7)
    energy = np.repeat(np.array(ENERGIES), n)
    u = np.log(energy / 10_000.0)
    mean = np.stack([0.02 + 0.003 * u, 0.03 - 0.002 * u], axis=1)
    return energy, energy[:, None] * mean * (1 + 0.1 * rng.standard_normal(mean.shape)), u


def test_mean_shares_per_layer_are_found_with_their_errors() -> None:
    energy, layer_energy, _ = shares(200)
    fit = layers.response(energy, layer_energy, energy_points(energy), np.array([11, 13], dtype=np.int32))
    assert fit.names == ("layer11_c0", "layer11_c1", "layer11_c2", "layer13_c0", "layer13_c1", "layer13_c2")
    assert np.all(np.abs((fit.values - [0.02, 0.003, 0, 0.03, -0.002, 0]) / fit.errors) < 4)
    assert abs((fit["layer11_c0"] - 0.021) / fit.errors[0]) > 4
    assert fit.points["mean_error"][0, 0] == pytest.approx(0.1 * (0.02 + 0.003 * np.log(0.4)) / np.sqrt(200), rel=0.2)


def test_energies_with_fewer_than_ten_showers_say_nothing_about_shares() -> None:
    energy, layer_energy, _ = shares(9)
    with pytest.raises(FitError, match="layer_response: no energy point has 10 showers"):
        layers.response(energy, layer_energy, energy_points(energy), np.array([0, 1], dtype=np.int32))
