"""The quick plan of particles inside a domain is the plan, and there is none where the plan has something to say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ring_samples import ring_tune

from fastparam.errors import OutOfDomainError
from fastparam.generate.domain import plan
from fastparam.generate.quick_plan import QuickPlan
from fastparam.particles import Particles
from fastparam.tunes.tune import Tune


@pytest.fixture(scope="module")
def barrel() -> Tune:
    tune = ring_tune("lar_accordion")
    part = tune.slices[0]
    edges = ((0.2, 0.25), (0.4, 0.45), (0.6, 0.65))
    slices = [replace(part, eta=eta) for eta in edges] + [replace(part, pdg=11, eta=edges[0])]
    return replace(tune, slices=tuple(slices))


def test_it_is_the_plan(barrel: Tune) -> None:
    rng = np.random.default_rng(1)
    photons = Particles.gun(pdg=22, energy=rng.uniform(1e3, 6e4, 500), eta=rng.uniform(0.196, 0.654, 500))
    positrons = Particles.gun(pdg=-11, energy=5e3, eta=rng.uniform(0.2, 0.25, 50))
    particles = Particles.concatenate([photons, positrons])
    quick, slow = QuickPlan(barrel, None)(particles), plan(barrel, particles)
    assert quick is not None
    assert np.array_equal(quick.lower, slow.lower)
    assert np.array_equal(quick.upper, slow.upper)
    assert quick.weight == pytest.approx(slow.weight, abs=1e-12)


@pytest.mark.parametrize(
    ("bad", "as_pdg"),
    [
        ({"energy": 66_000.0}, None),
        ({"energy": 900.0}, None),
        ({"eta": 0.19}, None),
        ({"eta": 0.7}, None),
        ({"pdg": 211}, None),
        ({}, 13),
        ({"position": (1400.0, 0.0, 0.0)}, None),
    ],
)
def test_there_is_none_where_a_particle_is_outside(barrel: Tune, bad: dict[str, object], as_pdg: int | None) -> None:
    arguments: dict[str, object] = {"pdg": 22, "energy": 5000.0, "eta": 0.22, "n": 3} | bad
    particles = Particles.gun(**arguments)
    assert QuickPlan(barrel, as_pdg)(particles) is None
    with pytest.raises(OutOfDomainError):
        plan(barrel, particles, as_pdg)


def test_inclined_particles_that_are_warned_of_have_none() -> None:
    quick = QuickPlan(ring_tune("siw"), None)
    for degrees, there in ((0.0, True), (0.9, True), (1.1, False), (70.0, False)):
        angle = np.deg2rad(degrees)
        particles = Particles.gun(
            pdg=22, energy=5000.0, position=(0, 0, -1), direction=(np.sin(angle), 0, np.cos(angle))
        )
        assert (quick(particles) is not None) == there
