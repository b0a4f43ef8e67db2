"""Hits -> Summary: every array against the slow twin, what adds up to what, and how exact numbers are kept."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
import toys
from hypothesis import given, settings
from hypothesis import strategies as st
from summary_twin import assert_identical, dense, twin

from fastparam.errors import InputError
from fastparam.geometry.load import parse_geometry
from fastparam.hits.batches import Batch
from fastparam.hits.hits import Hits
from fastparam.particles import Particles
from fastparam.summary import Binning, cell_depths, choose_binning, concatenate, summarise, summarise_hits
from fastparam.summary.rounding import rounded

#: Relative errors that 16 and 8 significant bits allow.
SUM, CONTENT = 2.0**-16, 2.0**-8

geometries = {
    name: parse_geometry(getattr(toys, name.upper()), Path(f"{name}.yaml")) for name in ("planar", "block", "barrel")
}


def particles_of(geometry, n=3, seed=3):
    """Showers of three energies; in planar detectors inclined, in a barrel from displaced vertices."""
    rng = np.random.default_rng(seed)
    energy = np.repeat([1000.0, 8000.0, 65000.0], n)
    count = len(energy)
    if geometry.frame == "barrel":
        return Particles.gun(
            pdg=22,
            energy=energy,
            eta=rng.uniform(-0.8, 0.8, count),
            phi=rng.uniform(-np.pi, np.pi, count),
            position=rng.normal(0.0, 20.0, (count, 3)),
        )
    theta, phi = rng.uniform(0.0, 0.7, count), rng.uniform(-np.pi, np.pi, count)
    direction = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=1)
    position = np.column_stack([rng.uniform(-20, 20, (count, 2)), np.full(count, -3.0)])
    return Particles.build(pdg=22, energy=energy, position=position, direction=direction)


def showers_of(geometry, n=3, seed=3, n_spots=100):
    """Toy showers, and among them an empty one, one of zeros, and hits outside every layer and far from the line."""
    particles = particles_of(geometry, n, seed)
    hits = toys.shower_batch(geometry, particles, seed=seed, n_spots=n_spots)
    rng = np.random.default_rng(seed)
    e = hits.e * rng.exponential(1.0, len(hits.e))
    x, layer = hits.x.copy(), np.where(rng.random(len(hits.e)) < 0.03, -1, hits.layer)
    x[layer >= 0] += np.where(rng.random((layer >= 0).sum()) < 0.01, 700.0, 0.0)
    offsets = np.insert(hits.offsets, 3, hits.offsets[3])
    particles = particles.take([0, 1, 2, 2, *range(3, len(particles))]).with_index(np.arange(len(particles) + 1))
    e[offsets[5] : offsets[6]] = 0.0
    return particles, Hits(x, hits.y, hits.z, e, layer.astype(np.int32), offsets)


def binning_of(geometry, anchor="layer", width=11.0):
    """Cells of `width` mm in layers thicker than that; 12 rings on no particular grid."""
    thickness = geometry.layer_to - geometry.layer_from
    thick = thickness > width
    n_cells = np.where(thick, np.ceil(1.45 * thickness / width) + 1, 1).astype(np.int64)
    edges = np.concatenate([[0.0], 0.8 * 1.9 ** np.arange(11), [np.inf]])
    return Binning(anchor, np.where(thick, width, np.inf), n_cells, edges, 0.0)


@pytest.fixture(scope="module", params=list(product(geometries, ("start", "layer"))), ids="-".join)
def case(request):
    name, anchor = request.param
    geometry = geometries[name]
    particles, hits = showers_of(geometry)
    binning = binning_of(geometry, anchor)
    return geometry, particles, hits, summarise_hits(geometry, particles, hits, binning)


@pytest.fixture(scope="module")
def expected(case):
    geometry, particles, hits, summary = case
    return twin(geometry, particles, hits, summary.binning)


# The slow twin


@pytest.mark.parametrize("name", ["n_hits", "n_outside"])
def test_counts_are_those_of_the_twin(case, expected, name):
    np.testing.assert_array_equal(getattr(case[-1], name), expected[name])


@pytest.mark.parametrize("name", ["outside", "layer_energy", "depth_sums"])
def test_sums_are_those_of_the_twin(case, expected, name):
    np.testing.assert_allclose(getattr(case[-1], name), expected[name], rtol=1.01 * SUM)


def test_means_and_variances_of_layers_are_those_of_the_twin(case, expected):
    full = expected["layer_energy"] > 0
    moments, energy = expected["layer_moments"][full], expected["layer_energy"][full][:, None]
    mean, square = moments[:, :2] / energy, moments[:, 2:] / energy
    np.testing.assert_allclose(case[-1].layer_mean[full], mean, rtol=1.01 * CONTENT, atol=1e-9)
    np.testing.assert_allclose(case[-1].layer_variance[full], square - mean**2, rtol=1.01 * CONTENT, atol=1e-9)
    assert not case[-1].layer_mean[~full].any()
    assert not case[-1].layer_variance[~full].any()


def test_moments_are_those_of_the_twin(case, expected):
    # First moments cancel, so that the twin's own rounding errors are those of the sum of |e d|.
    noise = 1e-12 * np.sqrt(expected["layer_moments"][:, :, 2:] * expected["layer_energy"][:, :, None])
    exact = expected["layer_moments"]
    error = np.abs(case[-1].layer_moments - exact)
    assert (error[:, :, 2:] <= 2.02 * CONTENT * exact[:, :, 2:]).all()
    assert (error[:, :, :2] <= 1.01 * (CONTENT + SUM) * np.abs(exact[:, :, :2]) + noise).all()


def test_a_layer_with_one_hit_has_no_variance(case):
    geometry, _, hits, summary = case
    per_layer = np.zeros((len(hits), geometry.n_layers), dtype=np.int64)
    np.add.at(per_layer, (hits.shower[hits.layer >= 0], hits.layer[hits.layer >= 0]), 1)
    assert not summary.layer_variance[per_layer == 1].any()
    if geometry.frame == "planar" and geometry.n_layers > 4:
        assert (per_layer == 1).sum() > 3


def test_content_is_that_of_the_twin(case, expected):
    np.testing.assert_allclose(dense(case[-1]), expected["content"], rtol=1.01 * CONTENT)


@pytest.mark.parametrize(("name", "fraction"), [("r50", 0.5), ("r90", 0.9)])
def test_radii_hold_their_fraction_within_the_width_of_a_bin(case, expected, name, fraction):
    found, exact = getattr(case[-1], name), expected[name]
    np.testing.assert_array_equal(np.isnan(found), np.isnan(exact))
    full = ~np.isnan(exact)
    np.testing.assert_allclose(found[full], exact[full], rtol=0.032)
    assert np.abs(found[full] / exact[full] - 1).mean() < 0.015


def test_the_comparison_would_notice_a_wrong_frame(case):
    """Negative control: the same hits seen from lines displaced by 2 mm."""
    geometry, particles, hits, summary = case
    moved = replace(particles, position=particles.position + np.array([0.0, 2.0, 0.0]))
    other = twin(geometry, moved, hits, summary.binning)
    full = summary.visible > 0
    assert not np.allclose(summary.r50[full], other["r50"][full], rtol=0.032)
    assert not np.allclose(dense(summary), other["content"], rtol=0.1)


# What adds up to what


def test_content_adds_up_to_the_energy_of_layers_and_showers(case):
    summary = case[-1]
    rtol = CONTENT + SUM
    per_layer = np.stack([summary.layer_ring_energy(k).sum(axis=1) for k in range(case[0].n_layers)], axis=1)
    np.testing.assert_allclose(per_layer, summary.layer_energy, rtol=rtol)
    np.testing.assert_allclose(summary.cell_energy.sum(axis=1), summary.visible, rtol=rtol)
    np.testing.assert_allclose(summary.ring_energy.sum(axis=1), summary.visible, rtol=rtol)
    # Roundings of many bins average out.
    full = summary.visible > 0
    assert np.abs(summary.cell_energy.sum(axis=1)[full] / summary.visible[full] - 1).mean() < 5e-4


def test_a_hit_far_from_the_line_is_in_the_cell_of_its_depth():
    """In a barrel at eta 0.22 a hit 150 mm aside in z is 32 mm deeper in the layers than its line."""
    geometry = parse_geometry(toys.BARREL, Path("barrel.yaml"))
    particle = Particles.gun(pdg=22, energy=10_000.0, eta=0.22, phi=0.0, n=1)
    u = particle.direction[0]
    e1 = toys.transverse_axes(geometry, u)[0]
    on_line = (1600.0 / u[0]) * u  # 10 mm into the second layer
    aside = on_line + 150.0 * e1
    assert np.hypot(*aside[:2]) < 1590.0  # in the first layer
    hits = Hits(*(np.array([v, w]) for v, w in zip(on_line, aside, strict=True)), np.ones(2),
                np.array([1, 0], dtype=np.int32), np.array([0, 2]))  # fmt: skip
    n_cells = np.array([4, 10, 3])
    binning = Binning("layer", np.array([30.0, 30.0, 30.0]), n_cells, np.array([0.0, 20.0, np.inf]), 0.0)
    summary = summarise_hits(geometry, particle, hits, binning)
    assert summary.layer_energy.tolist() == [[1.0, 1.0, 0.0]]
    first_of_second = 4 * 2
    n_bins = 17 * 2
    assert summary.content_bin.tolist() == [first_of_second, n_bins + first_of_second + 1]
    assert summary.content_cell.tolist() == [4, 4]
    assert summary.content_ring.tolist() == [0, 1]
    assert summary.content_layer.tolist() == [1, 0]


def test_marginals_are_those_of_the_dense_content(case, expected):
    summary = case[-1]
    content = dense(summary)
    np.testing.assert_allclose(summary.cell_energy, content.sum(axis=2), rtol=1e-12)
    np.testing.assert_allclose(summary.ring_energy, content.sum(axis=1), rtol=1e-12)
    for k in range(case[0].n_layers):
        np.testing.assert_allclose(summary.layer_ring_energy(k), expected["layer_rings"][:, k], rtol=1.01 * CONTENT)


def test_all_hits_are_inside_or_outside(case):
    _, _, hits, summary = case
    np.testing.assert_array_equal(summary.n_hits + summary.n_outside, hits.n_hits)
    total = np.add.reduceat(np.append(hits.e, 0.0), hits.offsets[:-1]) * (hits.n_hits > 0)
    np.testing.assert_allclose(summary.visible + summary.outside, total, rtol=2 * SUM)


def test_showers_without_energy_are_zero_but_for_their_radii(case):
    summary = case[-1]
    for i, n_hits in ((3, 0), (5, summary.n_hits[5])):
        assert summary.n_hits[i] == n_hits
        assert summary.visible[i] == 0.0
        assert not summary.layer_moments[i].any()
        assert not summary.depth_sums[i].any()
        assert np.isnan([summary.r50[i], summary.r90[i]]).all()
        assert summary.offsets[i] == summary.offsets[i + 1]


def test_entries_are_ascending_and_positive(case):
    summary = case[-1]
    for i in range(len(summary)):
        own = slice(*summary.offsets[i : i + 2])
        assert (np.diff(summary.content_bin[own]) > 0).all()
    assert (summary.content_energy > 0).all()


def test_a_spot_at_a_known_place_is_where_it_should_be():
    geometry = geometries["block"]  # PbWO4 from z = 0, layers end at 40, 80, 140, 230
    particle = Particles.gun(pdg=22, energy=1000.0, direction=(0, 0, 1), position=(1.0, 2.0, -5.0))
    one = [np.array([v]) for v in (4.0, -2.0, 100.0, 7.0)]  # d1 = 3, d2 = -4, r = 5
    hits = Hits(*one, np.array([2], dtype=np.int32), np.array([0, 1]))
    binning = Binning(
        "start", np.full(4, 16.0), np.array([4, 4, 5, 7]), np.array([0.0, 1.0, 4.9, 5.1, np.inf]), lateral_cell=0.0
    )
    summary = summarise_hits(geometry, particle, hits, binning)
    np.testing.assert_array_equal(summary.layer_energy, [[0, 0, 7.0, 0]])
    np.testing.assert_array_equal(summary.layer_moments[0, 2], [21.0, -28.0, 63.0, 112.0])
    assert summary.depth_sums[0, 0] == pytest.approx(7.0 * 100.0 / 8.925, rel=1e-3)  # PDG: 7.39 g/cm2 at 8.28
    assert summary.r50[0] == pytest.approx(5.0, rel=0.032)
    # s = 105 lies in cell 6 of 16 mm from the start; layer 2 begins at s = 85, in cell 5; layers 0 and 1 have 4 each.
    assert summary.content_bin.tolist() == [(4 + 4 + (6 - 5)) * 4 + 2]
    assert summary.content_energy.tolist() == [7.0]


@pytest.mark.parametrize("r", [0.001, 0.5, 3.0, 250.0, 7000.0])
def test_radii_of_a_thin_ring_are_its_own(r):
    geometry = geometries["block"]
    angle = np.linspace(0, 2 * np.pi, 100, endpoint=False)
    hits = Hits(
        r * np.cos(angle),
        r * np.sin(angle),
        np.full(100, 10.0),
        np.ones(100),
        np.zeros(100, dtype=np.int32),
        np.array([0, 100]),
    )
    particle = Particles.gun(pdg=22, energy=1000.0, direction=(0, 0, 1))
    summary = summarise_hits(geometry, particle, hits, binning_of(geometry))
    tolerance = 2.0**-7 if r < 2.0**-7 else 0.032 * r
    assert summary.r50[0] == pytest.approx(r, abs=tolerance)
    assert summary.r90[0] == pytest.approx(r, abs=tolerance)


# Rounding


@given(st.floats(-1e12, 1e12), st.sampled_from([8, 16]))
def test_rounding_is_to_nearest_with_ties_to_even(value, bits):
    mantissa, exponent = np.frexp(value)
    expected = np.ldexp(np.round(np.ldexp(mantissa, bits)), exponent - bits)
    assert rounded(np.array([value]), bits)[0] == expected


def test_rounding_has_no_bias():
    values = np.random.default_rng(5).exponential(1.0, 200_000)
    error = rounded(values, 8) - values
    assert abs(error.mean()) < 4 * error.std() / np.sqrt(len(values))
    assert np.abs(error / values).max() <= CONTENT


def test_what_is_kept_survives_rounding_again(case):
    summary = case[-1]
    for name, bits in (("layer_energy", 16), ("depth_sums", 16), ("r90", 16), ("layer_variance", 8)):
        kept = getattr(summary, name).astype(np.float64)
        np.testing.assert_array_equal(rounded(kept, bits), kept)
    np.testing.assert_array_equal(rounded(summary.content_energy.astype(np.float64), 8), summary.content_energy)


# Every shower by itself


def cut(hits, first, last):
    used = slice(hits.offsets[first], hits.offsets[last])
    columns = (getattr(hits, name)[used] for name in ("x", "y", "z", "e", "layer"))
    return Hits(*columns, hits.offsets[first : last + 1] - hits.offsets[first])


@settings(max_examples=15)
@given(data=st.data())
def test_any_split_into_batches_gives_the_same_bits(case, data):
    geometry, particles, hits, whole = case
    cuts = data.draw(st.lists(st.integers(0, len(hits)), max_size=5))
    edges = [0, *sorted(cuts), len(hits)]
    batches = [
        Batch(
            particles.take(slice(a, b)),
            cut(hits, a, b),
            particles.index[a:b],
            np.zeros(b - a, dtype=np.int32),
            np.zeros(b - a, dtype=np.int32),
        )
        for a, b in pairwise(edges)
    ]
    assert_identical(summarise(geometry, batches, whole.binning), whole)


@settings(max_examples=15)
@given(data=st.data())
def test_taking_showers_is_summarising_them(case, data):
    geometry, particles, hits, whole = case
    rows = data.draw(st.lists(st.integers(0, len(hits) - 1), max_size=6))
    mask = np.isin(np.arange(len(hits)), rows)
    alone = [
        summarise_hits(geometry, particles.take([i]), cut(hits, i, i + 1), whole.binning) for i in np.flatnonzero(mask)
    ]
    taken = whole.take(mask)
    if alone:
        assert_identical(taken, concatenate(alone))
    assert len(taken) == mask.sum() == len(taken.particles)
    assert taken.offsets[-1] == len(taken.content_bin)


def test_rows_and_negative_hits_come_from_the_reader(case):
    geometry, particles, hits, whole = case
    n = len(hits)
    summary = summarise_hits(
        geometry, particles, hits, whole.binning, row=100 + np.arange(n), n_negative=np.arange(n, dtype=np.int32)
    )
    np.testing.assert_array_equal(summary.row, 100 + np.arange(n))
    np.testing.assert_array_equal(summary.n_negative, np.arange(n))
    np.testing.assert_array_equal(whole.row, particles.index)
    assert not whole.n_negative.any()


def test_no_showers_at_all_are_an_error():
    with pytest.raises(InputError, match="not a single shower in the sample; check `files`, `--rows` and `--part`"):
        summarise(geometries["block"], [], binning_of(geometries["block"]))


# Depth of the cells


def test_cells_tile_their_layer_along_every_line(case):
    geometry, particles, _, summary = case
    depths = cell_depths(geometry, particles, summary.binning)
    assert depths.shape == (len(particles), summary.binning.n_cells.sum(), 2)
    assert (depths[..., 1] >= depths[..., 0]).all()
    for i in range(len(particles)):
        for k in range(geometry.n_layers):
            own = depths[i, summary.binning.cell_layer == k]
            np.testing.assert_allclose(own[1:, 0], own[:-1, 1], atol=1e-12)
            cosine = 1.0
            if geometry.frame == "planar":
                cosine = particles.direction[i, 2]
                slabs = (geometry.slab_from >= geometry.period_from[k] - 1e-9) & (
                    geometry.slab_to <= geometry.period_to[k] + 1e-9
                )
                thickness = ((geometry.slab_to - geometry.slab_from) / geometry.slab_x0)[slabs].sum()
                assert own[-1, 1] - own[0, 0] == pytest.approx(thickness / cosine)


def test_energy_lies_at_the_depth_of_its_cell():
    geometry = geometries["block"]
    particles = particles_of(geometry)
    hits = toys.shower_batch(geometry, particles, seed=1, law=toys.Law(r_max=0.01), n_spots=3000)
    summary = summarise_hits(geometry, particles, hits, binning_of(geometry, "start", 7.0))
    middle = cell_depths(geometry, particles, summary.binning).mean(axis=2)
    mean_of_cells = (summary.cell_energy * middle).sum(axis=1) / summary.visible
    np.testing.assert_allclose(mean_of_cells, summary.depth_sums[:, 0] / summary.visible, atol=0.03)


def test_cells_that_a_line_does_not_reach_have_no_width():
    geometry = geometries["barrel"]
    straight, inclined = (Particles.gun(pdg=22, energy=1e3, eta=eta) for eta in (0.0, 1.0))
    binning = choose_binning(
        geometry,
        straight,
        toys.shower_batch(geometry, straight, seed=1),
        Particles.concatenate([straight, inclined]),
    )
    width = np.diff(cell_depths(geometry, Particles.concatenate([straight, inclined]), binning), axis=2)[..., 0]
    assert (width[0] == 0.0).sum() >= 5
    assert (width[1] > 0.0).all()
