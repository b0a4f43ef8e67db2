"""Depth cells and rings: how merging of stored hits is found, and that nothing is found where there is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import toys
from hypothesis import given
from hypothesis import strategies as st
from merging import entry_into_layers, merged

from fastparam.geometry.load import parse_geometry
from fastparam.summary import Binning, choose_binning

geometries = {
    name: parse_geometry(getattr(toys, name.upper()), Path(f"{name}.yaml")) for name in ("planar", "block", "barrel")
}


@pytest.fixture(scope="module")
def showers():
    """Particles and hits of 240 toy showers per detector, 2000 spots each, before any merging."""
    made = {}

    def of(name):
        if name not in made:
            particles = toys.gun(geometries[name], n=80, seed=7)
            made[name] = particles, toys.shower_batch(geometries[name], particles, seed=7, n_spots=2000)
        return made[name]

    return of


def chosen(name, showers, **how):
    geometry = geometries[name]
    particles, hits = showers(name)
    if how:
        hits = merged(geometry, particles, hits, **how)
    return choose_binning(geometry, particles, hits, particles)


# Merging along the line


@pytest.mark.parametrize("anchor", ["start", "layer"])
@pytest.mark.parametrize("depth", [8.0, 16.0])
@pytest.mark.parametrize("name", ["block", "barrel"])
def test_cells_in_which_hits_were_merged_are_found(name, depth, anchor, showers):
    binning = chosen(name, showers, depth=depth, anchor=anchor)
    np.testing.assert_array_equal(binning.cell_width, np.full(geometries[name].n_layers, depth))
    assert binning.anchor == anchor


@pytest.mark.parametrize("anchor", ["start", "layer"])
def test_deep_cells_are_found_in_layers_that_hold_many_of_them(anchor, showers):
    # 32 mm: two or three cells in the strips, of the same medium as the 210 mm of the middle layer.
    binning = chosen("barrel", showers, depth=32.0, anchor=anchor)
    np.testing.assert_array_equal(binning.cell_width, [32.0, 32.0, 32.0])
    assert binning.anchor == anchor


def test_where_cells_are_coarser_far_from_the_line_the_coarser_ones_count(showers):
    binning = chosen("block", showers, depth=8.0, far=16.0)
    assert binning.anchor == "start"
    assert set(binning.cell_width) <= {8.0, 16.0}


@pytest.mark.parametrize("name", ["block", "barrel"])
def test_hits_that_were_not_merged_show_no_cells(name, showers):
    """Negative control: smooth gamma profiles get cells of half an X0, anchored at the layers."""
    binning = chosen(name, showers)
    x0 = geometries[name].slab_x0[-1]
    np.testing.assert_allclose(binning.cell_width, 0.5 * x0)
    assert binning.anchor == "layer"
    assert binning.lateral_cell == 0.0


def test_merging_across_the_line_alone_is_not_taken_for_merging_along_it(showers):
    binning = chosen("block", showers, depth=0.01)
    np.testing.assert_allclose(binning.cell_width, 0.5 * geometries["block"].slab_x0[0])


def test_thin_layers_are_one_cell(showers):
    binning = chosen("planar", showers, depth=1.0)
    assert np.isinf(binning.cell_width).all()
    assert (binning.n_cells == 1).all()


@pytest.mark.parametrize(("name", "anchor"), [("block", "start"), ("barrel", "start"), ("barrel", "layer")])
def test_cells_of_every_line_fit_into_those_provided(name, anchor, showers):
    geometry = geometries[name]
    particles, _ = showers(name)
    binning = chosen(name, showers, depth=16.0, anchor=anchor)
    entry = entry_into_layers(geometry, particles)
    path = geometry.layer_to - geometry.layer_from
    if name == "barrel":
        path = path[None, :] / np.hypot(particles.direction[:, :1], particles.direction[:, 1:2])
    zero = np.floor(entry / 16.0) * 16.0 if anchor == "start" else entry
    needed = np.ceil((entry + path - zero) / 16.0).max(axis=0)
    assert (binning.n_cells >= needed).all()
    assert (binning.n_cells <= needed + 1).all()


# Across the line


@pytest.mark.parametrize("width", [1.0, 2.0, 3.0])
def test_lateral_cells_are_found(width, showers):
    binning = chosen("block", showers, depth=8.0, lateral=(width, width, 8.0), limits=(4.0, 12.0))
    assert binning.lateral_cell == pytest.approx(width, rel=0.15)


def test_rings_are_logarithmic_where_no_cells_are_seen(showers):
    binning = chosen("block", showers)
    moliere = geometries["block"].material.moliere_radius
    assert binning.n_r == 40
    np.testing.assert_allclose(binning.r_edges[[0, 1, -2]], [0.0, 0.02 * moliere, 20 * moliere])
    assert np.isinf(binning.r_edges[-1])
    ratio = binning.r_edges[2:-1] / binning.r_edges[1:-2]
    np.testing.assert_allclose(ratio, ratio[0])


def test_rings_near_the_line_are_no_narrower_than_the_cells(showers):
    binning = chosen("block", showers, depth=8.0, lateral=(2.0, 2.0, 8.0))
    near = binning.r_edges[:-1] < 4 * binning.lateral_cell
    assert (np.diff(binning.r_edges)[near] >= binning.lateral_cell).all()
    assert binning.n_r < 40
    np.testing.assert_array_equal(binning.coarse_rings(), np.arange(binning.n_r))


@given(st.floats(0.0, 6.0), st.floats(5.0, 50.0))
def test_joining_rings_twice_changes_nothing(cell, moliere):
    edges = np.concatenate([[0.0], moliere * np.geomspace(0.02, 20.0, 39), [np.inf]])
    fine = Binning("layer", np.array([np.inf]), np.array([1]), edges, cell)
    joined = np.append(edges[fine.coarse_rings()], np.inf)
    coarse = Binning("layer", np.array([np.inf]), np.array([1]), joined, cell)
    np.testing.assert_array_equal(coarse.coarse_rings(), np.arange(coarse.n_r))


# The type itself


def test_cells_are_numbered_layer_by_layer():
    binning = Binning("layer", np.array([5.0, np.inf, 7.0]), np.array([2, 1, 3]), np.array([0.0, 1.0, np.inf]), 0.0)
    assert binning.n_r == 2
    assert binning.first_cell.tolist() == [0, 2, 3, 6]
    assert binning.cell_layer.tolist() == [0, 0, 1, 2, 2, 2]


def test_binnings_are_the_same_if_contents_can_be_compared():
    def make(anchor="layer", width=5.0, cells=2, edge=1.0, lateral=0.0):
        return Binning(anchor, np.array([width]), np.array([cells]), np.array([0.0, edge, np.inf]), lateral)

    assert make().same_as(make(lateral=1.0))
    for other in (make(anchor="start"), make(width=6.0), make(cells=3), make(edge=2.0)):
        assert not make().same_as(other)


def test_the_choice_does_not_depend_on_showers_beyond_the_probe(showers, monkeypatch):
    monkeypatch.setattr("fastparam.summary.binning.PROBE_SHOWERS", 100)
    geometry = geometries["block"]
    particles, hits = showers("block")
    hits = merged(geometry, particles, hits, depth=8.0)
    first = type(hits)(
        *(getattr(hits, c)[: hits.offsets[100]] for c in ("x", "y", "z", "e", "layer")), hits.offsets[:101]
    )
    whole = choose_binning(geometry, particles, hits, particles)
    probe = choose_binning(geometry, particles.take(slice(0, 100)), first, particles)
    assert whole.same_as(probe)
    assert whole.lateral_cell == probe.lateral_cell
