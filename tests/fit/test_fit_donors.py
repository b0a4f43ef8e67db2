"""Stored rings: all hits of some showers, sorted by ring and energy."""

from __future__ import annotations

import numpy as np
import pytest
import ring_samples

from fastparam.fit import donors
from fastparam.fit.donors import Donors
from fastparam.fit.ring_model import frame_of
from fastparam.fit.rings import ring_features
from fastparam.fit.tables import Tables
from fastparam.summary import energy_points


@pytest.fixture(scope="module")
def stored() -> tuple:
    geometry, sample = ring_samples.showers("siw")
    rings = frame_of(geometry, sample, pdg=22, eta=None).rings
    points = energy_points(sample.particles.energy)
    return sample, rings, points, donors.fit(rings, sample, points, donors=5)


def test_rings_are_sorted_by_energy_and_hold_all_of_their_hits(stored: tuple) -> None:
    _, rings, _, found = stored
    for g in range(rings.n_rings):
        assert (np.diff(found.ln_energy[found.first[g] : found.first[g + 1]]) >= 0).all()
    r = np.hypot(found.hit_d1, found.hit_d2)
    ring = np.repeat(np.repeat(np.arange(rings.n_rings), np.diff(found.first)), np.diff(found.hit_first))
    assert (r >= rings.r_low[ring] * (1 - 1e-6)).all()
    assert (r < rings.r_high[ring]).all()
    assert np.add.reduceat(found.hit_share, found.hit_first[:-1]) == pytest.approx(np.ones(len(found.ln_energy)))


def test_the_given_number_of_showers_is_stored_of_every_energy(stored: tuple) -> None:
    sample, rings, points, found = stored
    energy = ring_features(rings, sample.deposits).energy
    rows = np.concatenate([np.flatnonzero(points.point == p)[[0, -1]] for p in range(len(points))])
    values = np.exp(found.ln_energy)
    for row in rows:  # the first and the last are among those chosen evenly
        g = int(np.argmax(energy[row]))
        assert np.isclose(values[found.first[g] : found.first[g + 1]], energy[row, g], rtol=1e-9).any()
    assert np.diff(found.first).max() <= 5 * len(points)


def test_what_is_stored_is_compact_and_reads_back(stored: tuple) -> None:
    *_, found = stored
    tables = Tables(found.to_arrays())
    read = Donors.from_tables(tables)
    assert np.array_equal(read.first, found.first)
    assert np.array_equal(read.hit_first, found.hit_first)
    assert read.hit_d1 == pytest.approx(found.hit_d1, rel=1e-3, abs=1e-4)
    assert read.hit_share == pytest.approx(found.hit_share, rel=1e-3, abs=1e-6)
    assert tables.nbytes < 9 * len(found.hit_d1) + 16 * len(found.ln_energy)
