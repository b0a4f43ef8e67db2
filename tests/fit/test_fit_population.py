"""Laws of the population: straight lines as published, splines where lines do not describe the showers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from profile_toys import CRITICAL_ENERGY, TRUTH, population
from scipy.interpolate import CubicSpline

from fastparam.fit import longitudinal
from fastparam.fit.fit import Fit
from fastparam.fit.population import QUANTITIES, PopulationLaw, choose, evaluate
from fastparam.summary.points import energy_points

ENERGIES = (1_000.0, 4_000.0, 16_000.0, 65_000.0)


def test_a_spline_through_two_knots_is_the_published_line() -> None:
    law = PopulationLaw("linear", np.array([4.0, 9.0]))
    at_knots = np.array([[3.0, 8.0], [2.5, 5.0], [4.0, 9.0], [3.0, 6.0], [0.6, 0.5]])
    parameters = law.of_knots() @ at_knots.ravel()
    x = np.array([2.0, 4.0, 6.5, 9.0, 11.0])
    assert at_knots @ law.basis(x).T == pytest.approx(parameters[::2, None] + parameters[1::2, None] * x)


def test_between_knots_the_spline_is_the_natural_cubic_one_and_beyond_them_a_line() -> None:
    knots, values = np.array([4.0, 5.0, 7.5, 9.0]), np.array([3.0, 4.5, 6.0, 8.0])
    x = np.linspace(4.0, 9.0, 41)
    basis = PopulationLaw("spline", knots).basis(x)
    reference = CubicSpline(knots, values, bc_type="natural")
    assert basis @ values == pytest.approx(reference(x), rel=1e-12)
    beyond = PopulationLaw("spline", knots).basis(np.array([3.0, 11.0])) @ values
    assert beyond == pytest.approx([values[0] - reference(4.0, 1), values[-1] + 2.0 * reference(9.0, 1)], rel=1e-12)


def test_knots_lie_at_the_ends_and_evenly_over_the_energy_points() -> None:
    energy = np.repeat([1e3, 2e3, 4e3, 8e3, 16e3, 32e3, 64e3], 40)
    ln_y = np.log(energy / CRITICAL_ENERGY)
    knots = choose("spline", ln_y, energy_points(energy)).knots
    assert np.exp(knots) * CRITICAL_ENERGY == pytest.approx([1e3, 4e3, 16e3, 64e3])
    assert choose("spline", ln_y[:80], energy_points(energy[:80])).kind == "linear"


@pytest.fixture(scope="module")
def bent() -> tuple[Fit, Fit, np.ndarray]:
    """Linear and spline fit of showers whose alpha rises by a fifth over the line in the middle, and their ln y."""
    parts = []
    for k, energy in enumerate(ENERGIES):
        truth = TRUTH.copy()
        truth[2:4] = np.array([2.4, 4.2, 4.8, 5.0])[k], 0.0
        parts.append(population(np.random.default_rng([k, 2]), energies=(energy,), n=150, truth=truth).profiles)
    joined = replace(
        parts[0],
        **{
            name: np.concatenate([getattr(p, name) for p in parts])
            for name in ("energy", "ln_y", "cell_energy", "depths")
        },
    )
    points = energy_points(joined.energy)
    linear, spline = (longitudinal.shower_fits(joined, points, law=kind)[0] for kind in ("linear", "spline"))
    return linear, spline, np.log(np.array(ENERGIES) / CRITICAL_ENERGY)


def test_a_line_that_does_not_describe_the_showers_says_so(bent: tuple[Fit, Fit, np.ndarray]) -> None:
    assert bent[0].p_value < 1e-6


def test_a_spline_describes_them(bent: tuple[Fit, Fit, np.ndarray]) -> None:
    _, spline, ln_y = bent
    assert spline.valid
    alpha = np.exp(evaluate(spline, ln_y)["mean_ln_alpha"])
    error = spline.errors[4:8]
    assert np.all(np.abs(alpha - [2.4, 4.2, 4.8, 5.0]) < 4 * error)
    assert np.all(error < 0.2)


def test_where_lines_hold_a_spline_finds_them() -> None:
    toy = population(np.random.default_rng(8), energies=ENERGIES, n=80)
    fit, _ = longitudinal.shower_fits(toy.profiles, energy_points(toy.profiles.energy), law="spline")
    ln_y = np.log(np.array(ENERGIES) / CRITICAL_ENERGY)
    found = evaluate(fit, ln_y)
    for j, name in enumerate(QUANTITIES):
        line = TRUTH[2 * j] + TRUTH[2 * j + 1] * ln_y
        value = [np.exp, np.exp, np.reciprocal, np.reciprocal, np.asarray][j](found[name])
        assert np.all(np.abs(value - line) < 4 * fit.errors[4 * j : 4 * j + 4]), name
