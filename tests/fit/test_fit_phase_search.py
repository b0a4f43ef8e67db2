"""A periodic response is found with its period and its error, and chance is not taken for one."""

from __future__ import annotations

import numpy as np
import pytest

from fastparam.fit.phase_search import FALSE_ALARM, MAX_PERIODS, search

ENERGIES = np.array([2000.0, 8000.0, 32_000.0])


def sample(
    rng: np.random.Generator, n: int = 1500, *, extent: float = 0.1, amplitude: float = 0.0, periods: int = 1024
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """phi, energy, and energies of three layers: the first two exchange energy, the third is empty in most showers."""
    energy = ENERGIES[rng.integers(0, 3, n)]
    phi = rng.uniform(-0.5 * extent, 0.5 * extent, n)
    wave = np.cos(periods * phi)
    width = 0.1 / np.sqrt(energy / 1000.0)
    total = 0.2 * energy * (1 + width * rng.standard_normal(n)) * (1 + amplitude * wave)
    early = rng.beta(3, 4, n) * np.exp(-5 * amplitude * wave)
    back = np.where(rng.random(n) < 0.2, 0.01 * rng.exponential(size=n), 0.0)
    shares = np.column_stack([early, 1 - early, back])
    return phi, energy, total[:, None] * shares / shares.sum(axis=1, keepdims=True)


def found(rng: np.random.Generator, **options):
    phi, energy, layers = sample(rng, **options)
    return search([np.arange(len(phi))], phi, energy, layers)


@pytest.mark.parametrize(("extent", "periods"), [(0.1, 1024), (2 * np.pi, 1024), (2 * np.pi, 300), (0.2, 768)])
def test_the_period_is_found_within_its_error(extent: float, periods: int) -> None:
    one = found(np.random.default_rng(1), extent=extent, amplitude=0.02, periods=periods, n=2500)
    assert one is not None
    assert one.p_value < 1e-8
    assert abs(one.periods - periods) <= 4 * one.error
    assert one.error < (6.0 if extent < 1 else 1.0)
    assert set(one.layers) >= {0, 1}
    assert one.amplitude[0] == pytest.approx(0.02, abs=4 * one.amplitude_error[0])


@pytest.mark.parametrize("extent", [0.1, 2 * np.pi])
def test_chance_is_as_rare_as_stated(extent: float) -> None:
    """200 samples without modulation: p-values below x in a share x of them; alarm in one of 1000."""
    rng = np.random.default_rng(2)
    p = np.array([found(rng, n=400, extent=extent).p_value for _ in range(200)])
    assert (p < FALSE_ALARM).sum() <= 2  # 0.2 expected
    for level, most in ((0.05, 20), (0.2, 56)):  # 10 and 40 expected
        assert (p < level).sum() <= most
    assert (p < 0.5).sum() >= 60  # and no test that cannot fail


def test_single_showers_of_huge_weight_are_no_modulation() -> None:
    rng = np.random.default_rng(3)
    alarms = 0
    for _ in range(50):
        phi, energy, layers = sample(rng, n=300)
        layers[rng.integers(0, 300, 3)] *= 30.0
        one = search([np.arange(300)], phi, energy, layers)
        alarms += one.significant
    assert alarms == 0


def test_particles_with_other_responses_are_judged_together() -> None:
    """Half the showers answer twice as much: without groups that would drown the modulation."""
    rng = np.random.default_rng(4)
    phi, energy, layers = sample(rng, amplitude=0.015)
    layers[::2] *= 2.0
    apart = search([np.arange(0, 1500, 2), np.arange(1, 1500, 2)], phi, energy, layers)
    together = search([np.arange(1500)], phi, energy, layers)
    assert apart.p_value < 1e-6
    assert apart.amplitude_error[0] < 0.2 * together.amplitude_error[0]


def test_what_cannot_be_resolved_is_not_searched() -> None:
    rng = np.random.default_rng(5)
    assert found(rng, n=19) is None
    assert found(rng, extent=0.004) is None  # less than three of the narrowest periods
    assert found(rng, extent=0.0) is None
    one = found(rng, extent=0.1)
    low, high = one.searched
    assert high == MAX_PERIODS
    assert low == pytest.approx(3 * 2 * np.pi / 0.1, rel=0.05)


def test_a_given_period_is_one_look_only() -> None:
    rng = np.random.default_rng(6)
    phi, energy, layers = sample(rng, n=600, amplitude=0.005)
    rows = [np.arange(600)]
    given, any_ = (search(rows, phi, energy, layers, periods=n) for n in (1024, None))
    assert given.p_value < any_.p_value
    assert given.periods == 1024
