"""Factors of single layers: what is planted comes back, and nothing where nothing is missing."""

from __future__ import annotations

import numpy as np
import pytest
from profile_toys import population

from fastparam.fit import layer_factors, layers
from fastparam.summary.points import energy_points

ENERGIES = (4_000.0, 16_000.0, 65_000.0)
IDS = np.array([3, 5, 6, 9], dtype=np.int32)

#: Layers of the 25 depth cells of 1 X0.
CELL_LAYER = np.repeat(np.arange(4), [4, 8, 8, 5])


def sample(seed: int, *, n: int = 150, back: tuple[float, float] = (0.3, -0.1)) -> tuple[np.ndarray, ...]:
    """Layer energies with a factor in the last layer, those expected without it, and energies.

    back : ln of the factor at 10 GeV and its slope in ln E.
    """
    toy = population(np.random.default_rng([seed, 61]), energies=ENERGIES, n=n, deposits=500.0)
    theta, points = np.stack([toy.ln_t, toy.ln_alpha], axis=1), energy_points(toy.profiles.energy)
    media = layers.fit(toy.profiles, theta, points)
    seen = toy.profiles.cell_energy @ (CELL_LAYER[:, None] == np.arange(4))
    seen[:, 3] *= np.exp(back[0] + back[1] * np.log(toy.profiles.energy / 10_000.0))
    expected = layer_factors.expected_energy(toy.profiles, theta, media, None, CELL_LAYER)
    return seen, expected, toy.profiles.energy


def fitted(seed: int, **options: object) -> object:
    seen, expected, energy = sample(seed, **options)
    return layer_factors.fit(seen, expected, energy, energy_points(energy), IDS)


def test_the_factor_of_a_layer_is_found_at_every_energy() -> None:
    fit = fitted(1)
    energy = np.array(ENERGIES)
    factors = layer_factors.evaluate(fit, energy)
    wanted = np.exp(0.3 - 0.1 * np.log(energy / 10_000.0))
    # The last layer holds 1 to 6 % of the energy, known to 2 to 5 %.
    assert factors[:, 3] / factors[:, 1] == pytest.approx(wanted, rel=0.12)
    assert np.all(np.abs(factors[:, 3] - 1) > 0.03)
    assert set(fit.names) >= {"layer9_f0"}


def test_layers_that_the_model_describes_have_factors_near_one() -> None:
    factors = layer_factors.evaluate(fitted(2, back=(0.0, 0.0)), np.array(ENERGIES))
    assert np.all(np.abs(factors[:, :3] - 1) < 0.04)
    assert np.all(np.abs(factors[:, 3] - 1) < 0.12)


def test_pulls_of_a_constant_factor_have_the_width_of_one() -> None:
    pulls = []
    for seed in range(30):
        seen, expected, energy = sample(seed, n=40, back=(0.0, 0.0))
        fit = layer_factors.fit(seen, expected, energy, energy_points(energy), IDS)
        ratio, error = fit.points["ratio"], fit.points["ratio_error"]
        pulls.append((ratio - 1) / error)
    pulls = np.array(pulls)
    # 30 samples of 3 energies: mean to 0.11, width to 0.08; four of them.
    assert np.all(np.abs(pulls.mean(axis=(0, 1))) < 0.45)
    assert np.all(np.abs(pulls.std(axis=(0, 1)) - 1) < 0.35)


def test_expected_energies_add_up_to_what_is_visible() -> None:
    seen, expected, _ = sample(3, back=(0.0, 0.0))
    assert expected.sum(axis=1) == pytest.approx(seen.sum(axis=1))


def test_a_layer_without_energy_keeps_its_factor() -> None:
    seen, expected, energy = sample(4)
    seen[:, 0] = 0.0
    fit = layer_factors.fit(seen, expected, energy, energy_points(energy), IDS)
    assert layer_factors.evaluate(fit, energy[:1])[0, 0] == 1.0
    assert fit.settings["orders"][0] == -1


def test_coefficients_are_those_that_are_evaluated() -> None:
    fit = fitted(5)
    table, x = layer_factors.coefficients(fit), np.log(np.array([5_000.0, 40_000.0]) / 10_000.0)
    by_hand = np.exp(table[:, 0] + table[:, 1] * x[:, None] + table[:, 2] * x[:, None] ** 2)
    assert layer_factors.evaluate(fit, np.array([5_000.0, 40_000.0])) == pytest.approx(by_hand)
