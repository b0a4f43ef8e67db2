"""The power law of the number of deposits."""

from __future__ import annotations

import numpy as np
import pytest
from profile_toys import population

from fastparam.fit import longitudinal, spots
from fastparam.summary.points import energy_points

ENERGIES = (4_000.0, 8_000.0, 16_000.0, 32_000.0)


def fitted(counts: tuple[float, ...], seed: int = 1) -> spots.Fit:
    """Showers of each energy consist of that many deposits; the fit knows nothing of it."""
    toys = [
        population(np.random.default_rng([seed, 51, k]), energies=(e,), n=80, reach=(0.0, 40.0), deposits=c)
        for k, (e, c) in enumerate(zip(ENERGIES, counts, strict=True))
    ]
    columns = ("energy", "ln_y", "cell_energy", "depths")
    joined = longitudinal.Profiles(
        *(np.concatenate([getattr(t.profiles, name) for t in toys]) for name in columns), toys[0].profiles.medium
    )
    points = energy_points(joined.energy)
    _, single = longitudinal.shower_fits(joined, points)
    return spots.fit(single, joined.energy, points)


def power_law(n1: float) -> tuple[float, ...]:
    return tuple(100.0 * (e / 1_000.0) ** n1 for e in ENERGIES)


def test_the_power_law_is_found_with_its_errors() -> None:
    fit = fitted(power_law(0.7))
    assert np.all(np.abs((fit.values - [np.log(100.0), 0.7]) / fit.errors) < 4)
    assert abs((fit["n1"] - 0.5) / fit.errors[1]) > 4
    assert np.all(fit.errors < 0.1)
    assert fit.p_value > 1e-3


def test_numbers_on_no_power_law_have_a_small_p_value() -> None:
    assert fitted((200.0, 600.0, 200.0, 600.0)).p_value < 1e-6


def test_the_law_is_evaluated_in_gev() -> None:
    fit = fitted(power_law(0.5), seed=2)
    assert spots.evaluate(fit, np.array([1_000.0]))[0] == pytest.approx(np.exp(fit["n0"]))
    ratio = np.divide(*spots.evaluate(fit, np.array([32_000.0, 2_000.0])))
    assert ratio == pytest.approx(16.0 ** fit["n1"])
