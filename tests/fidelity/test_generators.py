"""The judge of generators, on the shipped hits: it knows a good model from a bad one."""

from __future__ import annotations

import numpy as np
import pytest

from fastparam.generate import TunedGenerator
from fastparam.geometry.voxels import voxels_of
from tests.fidelity.generators import library_voxels, repeated, score, voxels_of_summary
from tests.ring_samples import ring_tune, showers, with_settings


def test_the_library_shows_every_training_shower_before_any_comes_again() -> None:
    energies = np.repeat([1000.0, 8000.0], [3, 4])
    training = np.arange(7.0)[:, None]
    drawn = library_voxels(training, energies, np.array([8000.0] * 8 + [1100.0] * 3))[:, 0]
    assert sorted(drawn[:8]) == [3, 3, 4, 4, 5, 5, 6, 6]
    assert sorted(drawn[8:]) == pytest.approx([0.0, 1.1, 2.2])


def test_rings_with_their_copula_are_nearer_to_full_simulation_than_independent_ones() -> None:
    geometry, sample = showers("lar_accordion")
    binning = voxels_of(geometry, pdg=22)
    reference = voxels_of_summary(geometry, sample, binning)
    energy = sample.particles.energy
    found = {}
    for kind in ("empirical", "independent"):
        generator = TunedGenerator(with_settings(ring_tune("lar_accordion"), copula=kind))
        made = generator.generate(repeated(sample.particles, 3), seed=1).voxels(binning)
        found[kind] = score(reference, made, energy, binning, 0.05, aucs=False)["S"]
    assert found["empirical"] < 0.01
    assert found["independent"] > found["empirical"] + 0.005
