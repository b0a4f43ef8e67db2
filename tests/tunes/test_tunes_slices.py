"""Which showers a barrel tunes together."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import handmade
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastparam.geometry.detector import Geometry
from fastparam.geometry.load import parse_geometry
from fastparam.particles import Particles
from fastparam.tunes.slices import eta_slices, in_slice

RNG = np.random.default_rng(1)
BARREL = handmade.detector("barrel")


def slices(*eta: np.ndarray, geometry: Geometry = BARREL) -> list[tuple[float, float]] | None:
    return eta_slices(geometry, Particles.gun(pdg=22, energy=1000.0, eta=np.concatenate(eta)))


def test_two_ranges_of_eta_are_two_slices() -> None:
    eta = RNG.permutation(np.concatenate([RNG.uniform(0.40, 0.45, 200), RNG.uniform(0.20, 0.25, 200)]))
    assert slices(eta) == [pytest.approx((0.20, 0.25)), pytest.approx((0.40, 0.45))]


def test_edges_are_rounded_outwards_to_a_thousandth() -> None:
    assert slices(np.linspace(0.2004, 0.2496, 100)) == [pytest.approx((0.200, 0.250))]
    assert slices(np.linspace(-0.2496, -0.2014, 100)) == [pytest.approx((-0.250, -0.201))]


def test_a_single_eta_is_a_narrow_slice_around_it() -> None:
    assert slices(np.full(50, 0.3)) == [pytest.approx((0.2995, 0.3005))]


def test_coverage_without_holes_is_cut_into_slices_of_equal_width() -> None:
    found = slices(RNG.uniform(0.0, 0.8, 20_000))
    assert found is not None
    assert len(found) == 16
    assert found[0][0] == 0.0
    assert found[-1][1] == pytest.approx(0.8)
    assert all(b == c for (_, b), (c, _) in pairwise(found))
    assert np.diff(found).ravel() == pytest.approx(np.full(16, 0.05))


def test_a_range_a_little_wider_than_a_slice_stays_whole() -> None:
    assert slices(RNG.uniform(0.2, 0.299, 4000)) == [pytest.approx((0.2, 0.299), abs=1e-3)]


def test_slices_are_wider_where_showers_are_few() -> None:
    found = slices(RNG.uniform(0.0, 0.8, 1000))
    assert found is not None
    assert len(found) == 5
    assert np.diff(found).ravel() == pytest.approx(np.full(5, 0.16), abs=1e-3)
    assert slices(np.linspace(-1.0, 1.0, 150)) == [pytest.approx((-1.0, 1.0))]


def test_slices_of_the_geometry_come_first() -> None:
    geometry = parse_geometry(
        f"{handmade.DETECTORS['barrel']}\nslices: {{eta: [[0.1, 0.3], [0.5, 0.6]]}}\n", Path("geometry.yaml")
    )
    assert slices(RNG.uniform(0.2, 0.25, 100), geometry=geometry) == [(0.1, 0.3), (0.5, 0.6)]


def test_planar_detectors_have_none() -> None:
    particles = Particles.gun(pdg=22, energy=1000.0, n=5, direction=(0, 0, 1))
    assert eta_slices(handmade.detector("planar"), particles) is None
    assert in_slice(particles.eta, None).all()


def test_both_edges_belong_to_a_slice() -> None:
    inside = in_slice(np.array([0.1999, 0.2, 0.22, 0.25, 0.2501]), (0.2, 0.25))
    assert list(inside) == [False, True, True, True, False]


@given(st.lists(st.floats(-3.0, 3.0), min_size=1, max_size=200))
def test_every_shower_is_in_a_slice_and_slices_do_not_overlap(eta: list[float]) -> None:
    particles = Particles.gun(pdg=22, energy=1000.0, eta=np.array(eta))
    found = eta_slices(BARREL, particles)
    assert found is not None
    covered = np.zeros(len(eta), dtype=bool)
    for edges in found:
        covered |= in_slice(particles.eta, edges)
    assert covered.all()
    assert all(a < b for a, b in found)
    assert all(b <= c for (_, b), (c, _) in pairwise(found))
