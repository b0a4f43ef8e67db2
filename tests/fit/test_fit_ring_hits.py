"""Hits inside rings: numbers, quantiles, and where merging cells put them."""

from __future__ import annotations

import numpy as np
import pytest
import ring_samples

from fastparam.fit import ring_hits
from fastparam.fit.ring_hits import RingHits
from fastparam.fit.ring_model import frame_of
from fastparam.fit.rings import ring_features, ring_of_hits
from fastparam.fit.tables import Tables
from fastparam.shapes.quantile_table import KNOTS
from fastparam.summary import energy_points


@pytest.fixture(scope="module")
def fitted() -> tuple:
    geometry, sample = ring_samples.showers("siw")
    frame = frame_of(geometry, sample, pdg=22, eta=None)
    points = energy_points(sample.particles.energy)
    measured = ring_features(frame.rings, sample.deposits)
    return sample, frame, points, measured, ring_hits.fit(frame.rings, sample, measured, points, frame.azimuth)


def test_radii_are_quantiles_of_the_rings_hits(fitted: tuple) -> None:
    sample, frame, points, measured, hits = fitted
    ring, shower = ring_of_hits(frame.rings, sample.deposits), sample.deposits.shower
    p = 3
    g = int(np.argmax(measured.hits[points.point == p].sum(axis=0)))
    own = (ring == g) & (points.point[shower] == p)
    r = np.hypot(sample.deposits.d1[own], sample.deposits.d2[own])
    assert hits.r[p, g] == pytest.approx(np.quantile(r, KNOTS), rel=1e-5)
    assert (hits.r[:, g] >= frame.rings.r_low[g]).all()
    assert (hits.r[:, g] <= frame.rings.r_high[g]).all()


def test_expected_numbers_are_the_mean_and_grow_with_the_energy_of_the_ring(fitted: tuple) -> None:
    _, _, points, measured, hits = fitted
    for p in (2, 4):
        rows = points.point == p
        expected = hits.expected(p, measured.energy[rows])
        assert expected.sum() == pytest.approx(measured.hits[rows].sum(), rel=0.03)
        assert (expected[measured.energy[rows] > 0] >= 1.0).all()
        assert not expected[measured.energy[rows] == 0].any()
    g = int(np.argmax(measured.hits.sum(axis=0)))
    energies = np.zeros((2, measured.energy.shape[1]))
    energies[:, g] = np.quantile(measured.energy[points.point == 3, g], [0.2, 0.9])
    low, high = hits.expected(3, energies)[:, g]
    assert high > 1.2 * low


def test_mean_energies_of_cells_are_taken_out_of_the_spectra(fitted: tuple) -> None:
    sample, frame, _, _, _ = fitted
    deposits, azimuth = sample.deposits, frame.azimuth
    d1, d2 = deposits.d1.astype(np.float64), deposits.d2.astype(np.float64)
    r, alpha = np.hypot(d1, d2), np.arctan2(d2, d1)
    zone = azimuth.zone(deposits.layer.astype(np.int64), r)
    bin_ = np.minimum(((alpha + np.pi) / (2 * np.pi) * ring_hits.N_ALPHA).astype(int), ring_hits.N_ALPHA - 1)
    e = deposits.e.astype(np.float64)
    full = np.bincount(zone) >= 4000
    assert full.any()
    for k in np.flatnonzero(full):
        own = zone == k
        count = np.bincount(bin_[own], minlength=40)
        mean, enough = np.bincount(bin_[own], weights=e[own], minlength=40) / np.maximum(count, 1), count > 50
        assert azimuth.factor[k, enough] * e.mean() == pytest.approx(mean[enough], rel=1e-3)


def test_clumps_are_found_where_hits_lie_together_and_not_where_they_are_independent() -> None:
    rng = np.random.default_rng(1)
    n, per_shower = 400, 30

    def features(clumped: bool) -> ring_hits.RingFeatures:
        centre = rng.uniform(-np.pi, np.pi, (n, 3))
        weights = rng.exponential(size=(n, 3))
        weights /= weights.sum(axis=1, keepdims=True)
        which = (rng.random((n, per_shower, 1)) > np.cumsum(weights, axis=1)[:, None, :]).sum(axis=2)
        alpha = np.take_along_axis(centre, which, axis=1) + ring_hits.CLUMP_SPREAD * rng.normal(size=(n, per_shower))
        if not clumped:
            alpha = rng.uniform(-np.pi, np.pi, (n, per_shower))
        quadrupole = np.exp(2j * alpha).mean(axis=1)[:, None]
        one = np.ones((n, 1))
        return ring_hits.RingFeatures(
            3.0 * one, 0 * one, 0 * one, quadrupole.real, quadrupole.imag, per_shower * one, 0.3 * one
        )

    points = energy_points(np.full(n, 1000.0))
    # Three clumps in 3 MeV; with weights of their own they count as a little fewer or more.
    assert ring_hits._clumps(features(True), points)[0, 0] == pytest.approx(1.0, rel=0.25)
    assert ring_hits._clumps(features(False), points)[0, 0] == 0.0 or ring_hits._clumps(features(False), points) > 10.0


def test_pairs_of_hits_keep_apart_where_cells_are_hit_once_and_lie_together_where_their_groups_do() -> None:
    rng = np.random.default_rng(2)
    n, per_shower, cells = 2000, 6, 16

    def found(alpha: np.ndarray) -> float:
        quadrupole = np.exp(2j * alpha).mean(axis=1)[:, None]
        one = np.ones((n, 1))
        features = ring_hits.RingFeatures(
            one, 0 * one, 0 * one, quadrupole.real, quadrupole.imag, per_shower * one, one
        )  # fmt: skip
        return float(ring_hits._pairs(features, energy_points(np.full(n, 1000.0)))[0, 0])

    middle = 2 * np.pi * np.argsort(rng.random((n, cells)), axis=1)[:, :per_shower] / cells
    assert found(middle) == pytest.approx(-1 / (cells - 1), rel=0.1)
    # Independent ones: 0, but for a spread of n over the pairs of all showers.
    assert abs(found(rng.uniform(0, 2 * np.pi, (n, per_shower)))) < 4.0 * 6 / (30 * np.sqrt(n))
    centres = rng.uniform(0, 2 * np.pi, (n, 3))
    group = np.take_along_axis(centres, rng.integers(0, 3, (n, per_shower)), axis=1)
    assert found(group + 0.3 * rng.standard_normal(group.shape)) == pytest.approx(np.exp(-0.36) / 3, rel=0.1)


def test_what_is_stored_is_compact_and_reads_back(fitted: tuple) -> None:
    *_, hits = fitted
    tables = Tables(hits.to_arrays())
    read = RingHits.from_tables(tables)
    assert tables.nbytes < 0.4 * sum(np.asarray(getattr(hits, n)).nbytes for n in ("r", "ln_e", "depth", "ln_number"))
    assert read.r == pytest.approx(hits.r, rel=1e-3)
    assert read.pairs == pytest.approx(hits.pairs, rel=1e-3)
    without = {name: array for name, array in tables.arrays.items() if name != "hits_pairs"}
    assert not RingHits.from_tables(Tables(without)).pairs.any()
    assert read.ln_e == pytest.approx(hits.ln_e, abs=1e-2)
    assert read.azimuth.cumulative == pytest.approx(hits.azimuth.cumulative, abs=1e-5)
    assert np.array_equal(read.structured, hits.structured)
