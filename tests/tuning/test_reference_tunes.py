"""The reference tunes that ship: one per geometry, of today's geometry, and each makes showers of full simulation."""

from __future__ import annotations

import numpy as np
import pytest

import fastparam as fp
from fastparam.geometry.shipped import shipped_geometries, shipped_tunes
from fastparam.hits import iterate
from fastparam.tunes.file import load_tune


def test_every_geometry_has_its_tune() -> None:
    assert set(shipped_tunes()) == set(shipped_geometries())


@pytest.mark.parametrize("name", sorted(shipped_geometries()))
def test_it_belongs_to_the_geometry_as_it_is_and_was_validated(name: str) -> None:
    path = shipped_tunes()[name]
    tune = load_tune(path)
    assert tune.geometry.digest == fp.load_geometry(name).digest
    assert tune.validation["comparison"]["measurements"]
    assert path.stat().st_size <= 2e6 * len(tune.slices)
    assert "/" not in tune.provenance["inputs"]


@pytest.mark.parametrize("name", sorted(shipped_geometries()))
def test_it_gives_the_visible_energy_of_shipped_hits(name: str) -> None:
    """Shipped hits are a tenth of the samples; half of them were tuned on. 5 % off would show."""
    tune = fp.load(name)
    batch = next(iter(iterate(fp.load_geometry(name))))
    full = np.bincount(batch.hits.shower, batch.hits.e, len(batch.particles))
    made = tune.generate(batch.particles, seed=1).visible
    # Ratio of sums, weighted against the few showers of highest energy.
    weight = 1.0 / batch.particles.energy
    spread = np.sqrt(np.var(weight * full) + np.var(weight * made)) / np.sqrt(len(full))
    mean = (weight * full).mean()
    assert abs((weight * (made - full)).mean()) < 4 * spread
    assert abs((weight * (1.05 * made - full)).mean()) > 0.02 * mean
