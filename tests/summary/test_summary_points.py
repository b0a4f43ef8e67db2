"""Energy points: which showers have the same energy, and how a continuous spectrum is cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastparam.summary.points import EnergyPoints, energy_points

NOMINAL = np.array([1_000.0, 2_000.0, 4_000.0, 8_000.0, 65_536.0])


def shuffled(energy: np.ndarray, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).permutation(energy)


def spectrum(n: int, seed: int = 2, low: float = 1_000.0, high: float = 100_000.0) -> np.ndarray:
    """Uniform in ln E."""
    return np.exp(np.random.default_rng(seed).uniform(np.log(low), np.log(high), n))


@pytest.mark.parametrize("n", [1, 3, 40])
def test_discrete_energies_are_points(n: int) -> None:
    points = energy_points(shuffled(np.repeat(NOMINAL, n)))
    assert points.energy == pytest.approx(NOMINAL)
    assert points.counts.tolist() == [n] * 5
    assert not points.continuous


def test_single_precision_and_momenta_blur_no_point() -> None:
    rng = np.random.default_rng(3)
    exact = np.repeat(NOMINAL, 100)
    blurred = exact.astype(np.float32).astype(np.float64) * (1 + 1e-7 * rng.standard_normal(500))
    mass = np.where(rng.random(500) < 0.5, 0.511, 0.0)  # electrons and photons of equal momentum, kinetic energies
    for energy in (blurred, exact * (1 + rng.uniform(-4e-4, 4e-4, 500)), np.hypot(exact, mass) - mass):
        points = energy_points(energy)
        assert len(points) == 5
        assert not points.continuous
        assert points.energy == pytest.approx(NOMINAL, rel=1e-3)


def test_energies_one_percent_apart_are_two_points() -> None:
    assert len(energy_points(np.repeat([10_000.0, 10_100.0], 50))) == 2


@pytest.mark.parametrize("blur", [0.0, 1e-7, 1e-3, 1e-2])
def test_a_single_energy_is_one_point(blur: float) -> None:
    points = energy_points(10_000.0 * (1 + blur * np.random.default_rng(4).uniform(-1, 1, 200)))
    assert len(points) == 1
    assert not points.continuous


@pytest.mark.parametrize("n", [100, 1_000, 10_000, 100_000])
def test_a_continuous_spectrum_is_cut_into_slices_however_many_showers_it_has(n: int) -> None:
    # With 10 000 showers neighbours are closer than the blur of a point: chains of them are no points.
    points = energy_points(spectrum(n))
    assert points.continuous
    assert len(points) == (2 if n == 100 else 12)
    assert points.counts.min() >= 50 or n == 100


def test_slices_have_equal_width_in_ln_energy_where_showers_are_plenty() -> None:
    points = energy_points(spectrum(20_000))
    assert np.log(points.high / points.low) == pytest.approx(np.full(12, np.log(100) / 12), rel=0.02)


def test_slices_are_joined_until_they_hold_fifty_showers() -> None:
    falling = 1_000.0 / np.random.default_rng(5).uniform(0.01, 1.0, 600)  # dN/dE ~ E^-2
    points = energy_points(falling)
    assert points.continuous
    assert points.counts.min() >= 50
    assert len(points) < 12


@pytest.mark.parametrize("power", [2.0, 4.0, 8.0])
@pytest.mark.parametrize("n", [200, 2_000, 20_000])
def test_a_falling_spectrum_is_continuous_although_most_showers_are_close_together(power: float, n: int) -> None:
    u = np.random.default_rng(6).uniform(size=n)
    points = energy_points(1_000.0 * u ** (-1.0 / (power - 1.0)))  # dN/dE ~ E^-power
    assert points.continuous
    assert points.counts.min() >= 50


def test_a_few_showers_of_many_energies_are_one_slice() -> None:
    points = energy_points(spectrum(40))
    assert len(points) == 1
    assert points.continuous


def test_a_nominal_energy_in_a_continuous_spectrum_belongs_to_its_slice() -> None:
    energy = np.concatenate([spectrum(1_000), np.full(500, 10_000.0)])
    points = energy_points(energy)
    assert points.continuous
    assert len(set(points.point[1_000:])) == 1
    assert points.counts[points.point[-1]] > 500


def test_many_discrete_energies_are_points_as_long_as_they_hold_five_showers() -> None:
    grid = np.geomspace(1_000.0, 100_000.0, 30)
    assert len(energy_points(np.repeat(grid, 5))) == 30
    assert energy_points(np.repeat(grid, 4)).continuous


def test_no_showers_are_no_points() -> None:
    points = energy_points(np.empty(0))
    assert len(points) == 0
    assert points.counts.tolist() == []


energies = st.one_of(
    st.lists(st.floats(1.0, 1e7), min_size=1, max_size=300),
    st.lists(st.sampled_from(list(NOMINAL)), min_size=1, max_size=300),
    st.integers(1, 400).map(lambda n: list(spectrum(n, seed=n))),
).map(np.array)


def _assert_partition(energy: np.ndarray, points: EnergyPoints) -> None:
    assert points.counts.sum() == len(energy)
    assert points.counts.min() >= 1
    assert np.all(points.low <= points.high)
    assert np.all(points.high[:-1] < points.low[1:])
    for p in range(len(points)):
        own = energy[points.point == p]
        assert (own.min(), own.max()) == (points.low[p], points.high[p])
        assert points.energy[p] == pytest.approx(np.exp(np.log(own).mean()))


@given(energies)
def test_points_are_a_partition_in_order_of_energy(energy: np.ndarray) -> None:
    _assert_partition(energy, energy_points(energy))


@given(energies, st.integers(0, 2**31))
def test_the_order_of_showers_does_not_matter(energy: np.ndarray, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(energy))
    assert np.array_equal(energy_points(energy[order]).point, energy_points(energy).point[order])


@given(energies, st.sampled_from([1e-3, 1e3]))
def test_the_unit_of_energy_does_not_matter(energy: np.ndarray, unit: float) -> None:
    # A gap that happens to be 0.1 % to the last bit could be rounded to either side.
    gaps = np.diff(np.sort(np.log(energy)))
    if np.all(np.abs(gaps - 1e-3) > 1e-9) and not energy_points(energy).continuous:
        assert np.array_equal(energy_points(unit * energy).point, energy_points(energy).point)
