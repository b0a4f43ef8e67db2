"""The phi modulation: amplitude and phase come back, errors are right, energies may be mixed."""

from __future__ import annotations

import numpy as np
import pytest

from fastparam.comparison.modulation import difference, modulation


def toys(n: int, amplitude: float, seed: int, at: float = 0.2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    point, phase = rng.integers(0, 3, size=n), rng.uniform(-5, 5, size=n)
    mean, width = np.array([800.0, 3000.0, 13000.0])[point], np.array([0.10, 0.05, 0.02])[point]
    response = mean * (1 + amplitude * np.cos(2 * np.pi * (phase - at)) + width * rng.normal(size=n))
    return response, phase, point


def test_amplitude_and_phase_come_back() -> None:
    found = modulation(*toys(20_000, 0.015, 1)).harmonic
    assert found.c == pytest.approx(0.015 * np.cos(2 * np.pi * 0.2), abs=4 * found.error)
    assert found.s == pytest.approx(0.015 * np.sin(2 * np.pi * 0.2), abs=4 * found.error)
    # Weighted: the most precise energy, a third of the showers with 2 %, dominates.
    assert found.error < 0.02 / np.sqrt(20_000 / 3 / 2) * 1.05


def test_the_curve_is_the_mean_per_phase() -> None:
    curve = modulation(*toys(50_000, 0.05, 2))
    u = (np.arange(12) + 0.5) / 12
    pull = (curve.value - 1 - 0.05 * np.cos(2 * np.pi * (u - 0.2))) / curve.error
    assert np.abs(pull).max() < 4


def test_pulls_of_the_harmonics_have_unit_width() -> None:
    found = [modulation(*toys(300, 0.02, seed)).harmonic for seed in range(400)]
    pull = [(h.c - 0.02 * np.cos(0.4 * np.pi)) / np.sqrt(h.covariance[0, 0]) for h in found]
    assert np.std(pull) == pytest.approx(1.0, abs=0.1)
    assert abs(np.mean(pull)) < 0.15


def test_equal_modulations_do_not_differ_and_a_missing_one_does() -> None:
    full = modulation(*toys(5000, 0.015, 3)).harmonic
    assert difference(full, modulation(*toys(5000, 0.015, 4)).harmonic)[2] < 3
    distance, error, pull = difference(full, modulation(*toys(5000, 0.0, 5)).harmonic)
    assert pull > 5
    assert distance == pytest.approx(0.015, abs=4 * error)
