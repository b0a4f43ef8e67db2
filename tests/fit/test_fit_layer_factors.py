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


def sample(seed: int, *, n: int = 150, back: tuple[float, float] = (0.4, -0.1)) -> tuple[object, ...]:
    """Layer energies with more in the last layer, those expected without it, mean showers, and energies.

    back : what the last layer gets on top in units of the mean shower's energy there at 10 GeV, and its slope in ln E.
    """
    toy = population(np.random.default_rng([seed, 61]), energies=ENERGIES, n=n, deposits=500.0)
    theta, points = np.stack([toy.ln_t, toy.ln_alpha], axis=1), energy_points(toy.profiles.energy)
    media = layers.fit(toy.profiles, theta, points)
    seen = toy.profiles.cell_energy @ (CELL_LAYER[:, None] == np.arange(4))
    mean = layer_factors.reference(toy.profiles, theta, media, CELL_LAYER)
    more = back[0] + back[1] * np.log(toy.profiles.energy / 10_000.0)
    visible = seen.sum(axis=1)
    seen[:, 3] += more * mean.share[:, 3] * visible
    # The model has the visible energy of what is seen.
    expected = layer_factors.expected_energy(toy.profiles, theta, media, None, CELL_LAYER)
    return seen, expected * (seen.sum(axis=1) / visible)[:, None], mean, toy.profiles.energy


def fitted(seed: int, **options: object) -> object:
    seen, expected, mean, energy = sample(seed, **options)
    return layer_factors.fit(seen, expected, mean, energy_points(energy), IDS)


def test_the_factor_of_a_layer_is_found_at_every_energy() -> None:
    fit = fitted(1)
    energy = np.array(ENERGIES)
    h = layer_factors.evaluate(fit, energy)
    # Relative to the others, which give what the last layer gets. It holds 1 to 6 % of the energy, known to 2 to 5 %.
    relative = (1 + h[:, 3]) / (1 + h[:, 1])
    assert relative == pytest.approx(1.4 - 0.1 * np.log(energy / 10_000.0), rel=0.12)
    assert np.all(np.abs(h[:, 3]) > 0.03)
    assert set(fit.names) >= {"layer9_h0"}


def test_layers_that_the_model_describes_get_nothing() -> None:
    factors = layer_factors.evaluate(fitted(2, back=(0.0, 0.0)), np.array(ENERGIES))
    assert np.all(np.abs(factors[:, :3]) < 0.04)
    assert np.all(np.abs(factors[:, 3]) < 0.12)


def test_pulls_of_layers_that_the_model_describes_have_the_width_of_one() -> None:
    pulls = []
    for seed in range(30):
        fit = fitted(seed, n=40, back=(0.0, 0.0))
        ratio, error = fit.points["ratio"], fit.points["ratio_error"]
        pulls.append((ratio - 1) / error)
    pulls = np.array(pulls)
    # 30 samples of 3 energies: mean to 0.11, width to 0.08; four of them.
    assert np.all(np.abs(pulls.mean(axis=(0, 1))) < 0.45)
    assert np.all(np.abs(pulls.std(axis=(0, 1)) - 1) < 0.35)


def test_expected_energies_add_up_to_what_is_visible() -> None:
    seen, expected, _, _ = sample(3, back=(0.0, 0.0))
    assert expected.sum(axis=1) == pytest.approx(seen.sum(axis=1))


def test_a_layer_without_energy_gets_nothing() -> None:
    seen, expected, mean, energy = sample(4)
    seen[:, 0] = 0.0
    fit = layer_factors.fit(seen, expected, mean, energy_points(energy), IDS)
    assert layer_factors.evaluate(fit, energy[:1])[0, 0] == 0.0
    assert fit.settings["orders"][0] == -1


def test_coefficients_are_those_that_are_evaluated() -> None:
    fit = fitted(5)
    table, x = layer_factors.coefficients(fit), np.log(np.array([5_000.0, 40_000.0]) / 10_000.0)
    by_hand = table[:, 0] + table[:, 1] * x[:, None] + table[:, 2] * x[:, None] ** 2
    assert layer_factors.evaluate(fit, np.array([5_000.0, 40_000.0])) == pytest.approx(by_hand)
