"""Rings: which are chosen, and what a shower leaves in them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import ring_samples

from fastparam.fit.ring_model import frame_of, phase_of
from fastparam.fit.rings import Rings, choose_rings, ring_features, ring_of_hits
from fastparam.geometry.voxels import VoxelBinning, default_voxels, voxels_of
from fastparam.summary.deposits import Deposits

TWO_LAYERS = Rings(
    section_layer=np.array([0, 1, 1]),
    section_from=np.array([0.0, 0.0, 0.5]),
    section_to=np.array([1.0, 0.5, 1.0]),
    first=np.array([0, 2, 3, 5]),
    r_low=np.array([0.0, 3.0, 0.0, 0.0, 10.0]),
    r_high=np.array([3.0, np.inf, np.inf, 10.0, np.inf]),
)


def deposits(*rows: tuple[int, float, float, int, float]) -> Deposits:
    """One shower of hits (layer, d1, d2, depth, e)."""
    layer, d1, d2, depth, e = (np.array(column) for column in zip(*rows, strict=True))
    return Deposits(
        np.ones(1, bool), np.array([0, len(rows)]), layer.astype(np.int16), d1.astype(np.float32),
        d2.astype(np.float32), depth.astype(np.uint8), e.astype(np.float32),
    )  # fmt: skip


def test_a_hit_belongs_to_the_ring_of_its_layer_depth_and_radius() -> None:
    shower = deposits((0, 1, 1, 0, 1), (0, 3, 0, 0, 1), (1, 50, 0, 20, 1), (1, 0, 9.9, 200, 1), (1, 0, 10, 255, 1))
    assert ring_of_hits(TWO_LAYERS, shower).tolist() == [0, 1, 2, 3, 4]


def test_features_are_what_their_names_say() -> None:
    shower = deposits((0, 1, 0, 0, 3.0), (0, 0, 2, 0, 1.0), (1, -50, 0, 20, 2.0))
    found = ring_features(TWO_LAYERS, shower)
    assert found.energy[0].tolist() == [4.0, 0.0, 2.0, 0.0, 0.0]
    assert found.hits[0].tolist() == [2, 0, 1, 0, 0]
    assert found.square[0].tolist() == [10.0, 0.0, 4.0, 0.0, 0.0]
    assert found.d1[0].tolist() == [0.75, 0.0, -1.0, 0.0, 0.0]
    assert found.d2[0].tolist() == [0.25, 0.0, 0.0, 0.0, 0.0]
    assert found.q1[0].tolist() == [0.0, 0.0, 1.0, 0.0, 0.0]  # 0 and 90 degrees: opposite in cos(2 alpha)
    assert found.section_energy(TWO_LAYERS)[0].tolist() == [4.0, 2.0, 0.0]


@pytest.mark.parametrize("name", ["lar_accordion", "siw", "pbwo4"])
def test_edges_of_rings_are_edges_of_voxels_or_default_ones_and_rings_hold_hits(name: str) -> None:
    geometry, sample = ring_samples.showers(name)
    voxels = voxels_of(geometry, pdg=22)
    rings = choose_rings(geometry, sample, voxels)
    place = voxels.rows_of_layers(geometry)
    for g in range(rings.n_rings):
        edges = {*voxels.r_edges[place[rings.section_layer[rings.section[g]]]], *default_voxels(geometry).r_edges[0]}
        assert rings.r_low[g] in edges
        assert rings.r_high[g] in edges or np.isinf(rings.r_high[g])
    several = np.diff(rings.first) > 1
    hits = ring_features(rings, sample.deposits).hits
    reached = np.add.reduceat(hits, rings.first[:-1], axis=1) > 0
    mean = hits.sum(axis=0) / reached.sum(axis=0)[rings.section]
    assert (mean[several[rings.section]] >= 1.9).all()
    assert rings.n_rings > geometry.n_layers


def test_rings_of_hadrons_are_finer() -> None:
    geometry, sample = ring_samples.showers("lar_accordion", 211)
    voxels = voxels_of(geometry, pdg=211)
    fine, coarse = (choose_rings(geometry, sample, voxels, hadron=hadron) for hadron in (True, False))
    assert fine.n_rings > coarse.n_rings
    assert fine.first[1] > coarse.first[1]  # in the presampler, too
    hits = ring_features(fine, sample.deposits).hits
    reached = np.add.reduceat(hits, fine.first[:-1], axis=1) > 0
    mean = hits.sum(axis=0) / reached.sum(axis=0)[fine.section]
    assert (mean[(np.diff(fine.first) > 1)[fine.section]] >= 0.95).all()


def test_energy_in_rings_is_all_of_the_visible_energy() -> None:
    geometry, sample = ring_samples.showers("lar_accordion")
    rings = choose_rings(geometry, sample, voxels_of(geometry, pdg=22))
    energy = ring_features(rings, sample.deposits).energy.sum(axis=1)
    assert energy == pytest.approx(sample.visible, rel=2e-3)


def test_a_thick_layer_is_cut_in_depth_and_a_thin_one_is_not() -> None:
    geometry, sample = ring_samples.showers("lar_accordion")
    rings = choose_rings(geometry, sample, voxels_of(geometry, pdg=22))
    sections = np.bincount(rings.section_layer)
    thickness = (geometry.layer_to - geometry.layer_from) / geometry.slab_x0[geometry.slab_layer >= 0]
    assert sections[0] == 1
    assert sections[2] == round(thickness[2] / 4.0)


def test_voxels_in_which_hits_change_are_cut_at_default_edges_and_others_are_not() -> None:
    """Hits of a ring share one spectrum: the core of the shower must not share a ring with its surroundings."""
    geometry, sample = ring_samples.showers("pbwo4")
    fine = choose_rings(geometry, sample, voxels_of(geometry, pdg=22))
    coarse = choose_rings(geometry, sample, VoxelBinning((0,), ((0.0, 11.0, 200.0),), (1,)))
    assert 11.0 in coarse.r_low
    assert set(coarse.r_low) - {11.0} <= set(default_voxels(geometry).r_edges[0])
    deposits = sample.deposits
    assert deposits is not None
    alike = replace(deposits, e=np.ones_like(deposits.e))
    same = choose_rings(geometry, replace(sample, deposits=alike), VoxelBinning((0,), ((0.0, 11.0, 200.0),), (1,)))
    assert set(same.r_low) == {0.0, 11.0}
    assert coarse.n_rings < fine.n_rings


def test_only_layers_that_are_looked_at_in_alpha_have_dipoles() -> None:
    geometry, sample = ring_samples.showers("lar_accordion")
    frame = frame_of(geometry, sample, pdg=22, eta=(0.2, 0.25))
    layers = frame.rings.section_layer[frame.rings.section]
    assert set(layers[frame.dipoles]) == {1, 2}
    assert set(layers) == {0, 1, 2, 3}


def test_merging_shows_near_the_line_and_far_from_it_rings_may_turn() -> None:
    geometry, sample = ring_samples.showers("siw")
    frame = frame_of(geometry, sample, pdg=22, eta=None)
    turns = ~frame.azimuth.structured(frame.rings)
    assert not turns[frame.rings.r_low == 0.0].any()
    assert not frame.azimuth.flat.all()
    # Hits were merged in cells of 1 mm about the line: those of the first four lie on the diagonals.
    first = np.diff(frame.azimuth.cumulative[1])
    assert first.max() > 1.3 * first.mean()


def test_the_phase_of_an_accordion_repeats_with_its_pitch() -> None:
    geometry, _ = ring_samples.showers("lar_accordion")
    pitch = 2 * np.pi / 1024
    assert phase_of(geometry, np.array([0.1 * pitch, 5.1 * pitch])) == pytest.approx([0.2 * np.pi] * 2)
    planar, _ = ring_samples.showers("siw")
    assert phase_of(planar, np.zeros(2)) is None
