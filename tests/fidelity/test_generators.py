"""The judge of generators: its library row."""

from __future__ import annotations

import numpy as np
import pytest

from tests.fidelity.generators import library_voxels


def test_the_library_shows_every_training_shower_before_any_comes_again() -> None:
    energies = np.repeat([1000.0, 8000.0], [3, 4])
    training = np.arange(7.0)[:, None]
    drawn = library_voxels(training, energies, np.array([8000.0] * 8 + [1100.0] * 3))[:, 0]
    assert sorted(drawn[:8]) == [3, 3, 4, 4, 5, 5, 6, 6]
    assert sorted(drawn[8:]) == pytest.approx([0.0, 1.1, 2.2])
