"""Showers as hits, voxels and cells: what each form holds, and that no energy is made or lost between them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import toys

from fastparam.errors import UsageError
from fastparam.geometry.cells import CellGrid, cells_of
from fastparam.geometry.load import load_geometry
from fastparam.geometry.voxels import VoxelBinning
from fastparam.hits.hits import Hits
from fastparam.particles import Particles
from fastparam.showers import Showers
from fastparam.showers.local import hits_in_layers, local_hits

#: Relative; the issue asks for 1e-6.
CONSERVED = 1e-12


@pytest.fixture(params=["PLANAR", "BARREL"])
def showers(request, tmp_path):
    path = tmp_path / "geometry.yaml"
    path.write_text(getattr(toys, request.param), encoding="utf-8")
    geometry = load_geometry(path)
    particles = toys.gun(geometry, energies=(4000.0, 65000.0), n=8, seed=3)
    return Showers(particles, toys.shower_batch(geometry, particles, seed=3), geometry)


def binning_of(geometry, edges=(0.0, 3.0, 10.0, 40.0, 150.0), n_alpha=4):
    n = geometry.n_layers
    return VoxelBinning(tuple(map(int, geometry.layer_ids)), (edges,) * n, (n_alpha,) * n)


def as_voxels(showers, **options):
    binning = binning_of(showers.geometry)
    return Showers.from_voxels(showers.particles, showers.voxels(binning), binning, showers.geometry, **options)


def level(showers):
    hits = showers.hits
    return np.hypot(hits.x, hits.y) if showers.geometry.frame == "barrel" else hits.z


def mean_radius(showers, weights):
    _, d1, d2 = local_hits(showers.geometry, showers.particles, showers.hits)
    return np.average(np.hypot(d1, d2), weights=weights)


class TestVoxels:
    def test_voxels_and_what_is_lost_are_all_the_energy(self, showers):
        binning = binning_of(showers.geometry)
        lost = showers.lost(binning)
        assert lost.max() > 0.0
        np.testing.assert_allclose(showers.voxels(binning).sum(axis=1) + lost, showers.visible, rtol=CONSERVED)

    def test_a_threshold_moves_energy_from_voxels_to_what_is_lost(self, showers):
        binning = binning_of(showers.geometry)
        voxels, lost = showers.voxels(binning, 10.0), showers.lost(binning, 10.0)
        assert voxels[voxels > 0].min() >= 10.0
        assert lost.sum() > 1.2 * showers.lost(binning).sum()
        np.testing.assert_allclose(voxels.sum(axis=1) + lost, showers.visible, rtol=CONSERVED)

    def test_a_hit_is_found_in_the_voxel_of_its_radius_and_angle(self, showers):
        """One hit each, put by hand at r = 7 mm and alpha = -3 pi/4 + 0.1, in the second ring and first quarter."""
        geometry = showers.geometry
        particles = showers.particles.take(slice(0, 1))
        angle = -3 * math.pi / 4 + 0.1
        u = particles.direction[0]
        e1, e2 = toys.transverse_axes(geometry, u)
        middle = 0.5 * (geometry.layer_from[1] + geometry.layer_to[1])
        start = particles.position[0] + 7.0 * (math.cos(angle) * e1 + math.sin(angle) * e2)
        point = start + toys._path_to_level(geometry, start, u, np.array(middle)) * u
        hit = Hits(*(np.array([v]) for v in point), np.array([5.0]), np.array([1], dtype=np.int32), np.array([0, 1]))
        voxels = Showers(particles, hit, geometry).voxels(binning_of(geometry))
        assert np.flatnonzero(voxels[0]).tolist() == [1 * 16 + 0 * 4 + 1]

    def test_voxels_made_in_a_binning_are_returned_as_they_are(self, showers):
        made = as_voxels(showers)
        assert made.emits == "voxels"
        np.testing.assert_array_equal(made.voxels(), showers.voxels(binning_of(showers.geometry)))
        assert not made.lost().any()
        np.testing.assert_allclose(made.visible, made.voxels().sum(axis=1), rtol=CONSERVED)

    def test_a_wrong_shape_and_an_unknown_layer_are_refused(self, showers):
        binning = binning_of(showers.geometry)
        with pytest.raises(UsageError, match=r"voxels: found shape \(16, 3\); expected \(16, "):
            Showers.from_voxels(showers.particles, np.zeros((16, 3)), binning, showers.geometry)
        other = VoxelBinning((99,), ((0.0, 1.0),), (1,))
        with pytest.raises(UsageError, match="voxels in layer 99, which the detector"):
            Showers.from_voxels(showers.particles, np.zeros((16, 1)), other, showers.geometry)


class TestHitsOfVoxels:
    def test_hits_lie_in_their_layers_and_in_their_voxels(self, showers):
        made = as_voxels(showers)
        hits = made.hits
        layer = hits.layer
        assert (level(made) > made.geometry.layer_from[layer]).all()
        assert (level(made) < made.geometry.layer_to[layer]).all()
        again = Showers(made.particles, hits, made.geometry)
        np.testing.assert_allclose(again.voxels(binning_of(made.geometry)), made.voxels(), rtol=CONSERVED)

    def test_energy_survives_another_binning(self, showers):
        made = as_voxels(showers)
        other = binning_of(made.geometry, edges=(0.0, 5.0, 20.0, 90.0), n_alpha=3)
        np.testing.assert_allclose(made.voxels(other).sum(axis=1) + made.lost(other), made.visible, rtol=CONSERVED)

    def test_hits_of_a_shower_depend_on_seed_and_index_only(self, showers):
        made = as_voxels(showers, seed=7)
        some = [5, 2]
        part = Showers.from_voxels(
            made.particles.take(some), made.voxels()[some], made.binning, made.geometry, seed=7
        ).hits
        stretch = np.concatenate([np.arange(*made.hits.offsets[k : k + 2]) for k in some])
        for name in ("x", "y", "z", "e"):
            np.testing.assert_array_equal(getattr(part, name), getattr(made.hits, name)[stretch])
        assert (as_voxels(showers, seed=8).hits.x != made.hits.x).any()

    def test_without_a_shape_radii_are_even_over_the_area(self, showers):
        """Between radii a and b the mean is 2/3 (b^3 - a^3)/(b^2 - a^2)."""
        geometry, particles = showers.geometry, showers.particles
        binning = VoxelBinning((int(geometry.layer_ids[0]),), ((10.0, 40.0),), (1,))
        made = Showers.from_voxels(particles, np.full((16, 1), 50.0), binning, geometry)
        expected = 2.0 / 3.0 * (40.0**3 - 10.0**3) / (40.0**2 - 10.0**2)
        assert mean_radius(made, made.hits.e) == pytest.approx(expected, abs=4 * 8.0 / math.sqrt(len(made.hits.e)))

    @pytest.mark.parametrize("form", ["slope", "function"])
    def test_a_radial_shape_moves_energy_inwards(self, showers, form):
        """Energy per area exp(-r/10 mm) between 10 and 40 mm: mean radius by quadrature."""
        geometry, particles = showers.geometry, showers.particles
        binning = VoxelBinning((int(geometry.layer_ids[0]),), ((10.0, 40.0),), (1,))
        radial = np.array([0.1]) if form == "slope" else lambda layer, r: np.exp(-r / 10.0)
        made = Showers.from_voxels(particles, np.full((16, 1), 50.0), binning, geometry, radial=radial)
        r = np.linspace(10.0, 40.0, 100_001)
        expected = np.average(r, weights=r * np.exp(-r / 10.0))
        tolerance = 4 * 8.0 / math.sqrt(len(made.hits.e))
        assert mean_radius(made, made.hits.e) == pytest.approx(expected, abs=tolerance)
        even = Showers.from_voxels(particles, np.full((16, 1), 50.0), binning, geometry)
        assert abs(mean_radius(even, even.hits.e) - expected) > tolerance

    def test_a_radial_shape_without_energy_is_refused(self, showers):
        made = as_voxels(showers, radial=lambda layer, r: 0.0 * r)
        with pytest.raises(UsageError, match=r"radial shape: in layer .* between 0 and 3 mm"):
            _ = made.hits

    def test_a_voxel_far_aside_of_a_narrow_barrel_keeps_its_energy_and_layer(self, tmp_path):
        path = tmp_path / "g.yaml"
        path.write_text("name: narrow\nframe: barrel\nlayers: [{id: 4, from: 50, to: 60, material: PbWO4}]\n")
        geometry = load_geometry(path)
        binning = VoxelBinning((4,), ((0.0, 40.0, 200.0),), (1,))
        particles = Particles.gun(pdg=22, energy=1000.0, eta=0.3, n=3)
        made = Showers.from_voxels(particles, np.full((3, 2), 30.0), binning, geometry)
        assert (np.abs(np.hypot(made.hits.x, made.hits.y) - 55.0) < 5.0).all()
        other = binning_of(geometry)
        np.testing.assert_allclose(made.voxels(other).sum(axis=1) + made.lost(other), 60.0, rtol=CONSERVED)


class TestLocalFrame:
    def test_there_and_back(self, showers):
        s, d1, d2 = local_hits(showers.geometry, showers.particles, showers.hits)
        hits = showers.hits
        share = np.full(len(s), 0.5)
        back = hits_in_layers(showers.geometry, showers.particles, hits.offsets, hits.layer, d1, d2, share, hits.e)
        _, again1, again2 = local_hits(showers.geometry, showers.particles, back)
        np.testing.assert_allclose(np.stack([again1, again2]), np.stack([d1, d2]), atol=1e-9)

    def test_shares_of_the_particles_line_bring_hits_back_to_where_they_were(self, showers):
        """In a thick layer; those that left the stretch of the line are moved into the layer."""
        geometry, hits = showers.geometry, showers.hits
        s, d1, d2 = local_hits(geometry, showers.particles, hits)
        u, start = showers.particles.direction[hits.shower], showers.particles.position[hits.shower]
        edges = []
        for levels in (geometry.layer_from, geometry.layer_to):
            one = [toys._path_to_level(geometry, start[h], u[h], levels[hits.layer[h]]) for h in range(len(s))]
            edges.append(np.array(one))
        share = (s - edges[0]) / (edges[1] - edges[0])
        inside = (share > 1e-3) & (share < 1 - 1e-3)
        assert inside.mean() > 0.8
        back = hits_in_layers(
            geometry, showers.particles, hits.offsets, hits.layer, d1, d2, np.clip(share, 0, 1), hits.e,
            central=np.ones(geometry.n_layers, dtype=bool),
        )  # fmt: skip
        np.testing.assert_allclose(back.x[inside], hits.x[inside], atol=1e-6)
        made = Showers(showers.particles, back, geometry)
        assert (level(made) >= geometry.layer_from[back.layer]).all()
        assert (level(made) <= geometry.layer_to[back.layer]).all()


class TestCells:
    GRIDS = ("x-y", "eta-phi")

    def grid(self, showers):
        geometry = showers.geometry
        ids, n = tuple(map(int, geometry.layer_ids)), geometry.n_layers
        if geometry.frame == "barrel":
            return CellGrid(ids, (True,) * n, ((0.025, 2 * math.pi / 256),) * n, ((7, 7),) * n)
        return CellGrid(ids, (False,) * n, ((5.0, 5.0),) * n, ((9, 4),) * n)

    def test_cells_hold_all_the_energy_once(self, showers):
        cells = showers.cells(self.grid(showers))
        np.testing.assert_allclose(np.bincount(cells.shower, cells.e), showers.visible, rtol=CONSERVED)
        assert not cells.lost.any()
        for k in range(len(showers)):
            own = cells.cell_id[cells.offsets[k] : cells.offsets[k + 1]]
            assert (np.diff(own) > 0).all()

    def test_cells_are_where_plain_numpy_puts_the_hits(self, showers):
        grid, hits = self.grid(showers), showers.hits
        cells = showers.cells(grid)
        if showers.geometry.frame == "barrel":
            first = np.arctanh(hits.z / np.sqrt(hits.x**2 + hits.y**2 + hits.z**2))
            second = np.arctan2(hits.y, hits.x)
        else:
            first, second = hits.x, hits.y
        expected = {}
        step = grid.size[0]
        for h in range(len(hits.e)):
            key = (hits.shower[h], showers.layer_ids[h], first[h] // step[0], second[h] // step[1])
            expected[key] = expected.get(key, 0.0) + hits.e[h]
        found = dict(zip(zip(cells.shower, cells.layer, cells.i, cells.j, strict=True), cells.e, strict=True))
        assert found.keys() == expected.keys()
        for key, e in expected.items():
            assert found[key] == pytest.approx(e, rel=1e-9)

    def test_images_and_what_is_outside_are_all_the_energy(self, showers):
        image, lost = showers.cell_images(self.grid(showers))
        assert lost.max() > 0
        np.testing.assert_allclose(image.sum(axis=1) + lost, showers.visible, rtol=CONSERVED)

    def test_layers_without_cells_are_lost(self, showers):
        grid = self.grid(showers)
        less = CellGrid(grid.layer_ids[1:], grid.projective[1:], grid.size[1:], grid.window[1:])
        cells = showers.cells(less)
        assert cells.lost.max() > 0
        total = np.bincount(cells.shower, cells.e, minlength=len(showers)) + cells.lost
        np.testing.assert_allclose(total, showers.visible, rtol=CONSERVED)

    @pytest.mark.parametrize(
        ("cells", "impact", "first"), [(3, 5.7, 4), (3, 5.2, 4), (4, 5.7, 4), (4, 5.2, 3), (1, -0.5, -1)]
    )
    def test_the_window_is_centred_on_the_impact(self, tmp_path, cells, impact, first):
        """Cells of 1 mm: with 3 of them the impact cell is in the middle, of 4 the nearest border."""
        path = tmp_path / "g.yaml"
        path.write_text(
            "name: one\nframe: planar\nlayers: [{id: 2, from: 0, to: 10, material: Si}]\ncells: {2: {x: 1, y: 1}}\n"
        )
        geometry = load_geometry(path)
        grid = cells_of(geometry).with_window((cells, 1))
        particles = Particles.gun(pdg=22, energy=1000.0, position=(impact, 0.5, -1.0), direction=(0, 0, 1), n=1)
        x = np.arange(first - 1, first + cells + 1) + 0.5
        hits = Hits(
            x,
            np.full(len(x), 0.5),
            np.full(len(x), 5.0),
            np.arange(len(x)) + 1.0,
            np.zeros(len(x), dtype=np.int32),
            np.array([0, len(x)]),
        )
        image, lost = Showers(particles, hits, geometry).cell_images(grid)
        np.testing.assert_array_equal(image[0], np.arange(cells) + 2.0)
        assert lost[0] == 1.0 + len(x)

    def test_cells_go_round_the_axis(self, tmp_path):
        path = tmp_path / "g.yaml"
        path.write_text(toys.BARREL + "cells: {1: {eta: 0.1, phi: 2*pi/64, window: [1, 5]}}\n")
        geometry = load_geometry(path)
        particles = Particles.gun(pdg=22, energy=1000.0, eta=0.25, phi=math.pi - 0.01, n=1)
        phi = math.pi + (np.arange(5) - 2.5 + 0.01) * 2 * math.pi / 64
        r = np.full(5, 1550.0)
        hits = Hits(
            r * np.cos(phi),
            r * np.sin(phi),
            r * math.sinh(0.25),
            np.arange(5) + 1.0,
            np.zeros(5, dtype=np.int32),
            np.array([0, 5]),
        )
        showers = Showers(particles, hits, geometry)
        image, lost = showers.cell_images()
        np.testing.assert_array_equal(image[0], np.arange(5) + 1.0)
        cells = showers.cells()
        assert sorted(cells.j) == [-32, -31, 29, 30, 31]
        assert not lost.any()

    def test_the_shipped_accordion_has_the_266_cells_of_the_literature(self):
        """ATL-SOFT-PUB-2018-001: presampler 7 x 3, strips 56 x 3, middle 7 x 7, back 4 x 7."""
        grid = cells_of(load_geometry("lar_accordion"))
        assert grid.window == ((7, 3), (56, 3), (7, 7), (4, 7))
        assert grid.n_image == 266

    def test_a_range_of_layers_shares_a_size(self):
        grid = cells_of(load_geometry("siw"))
        assert len(grid.layer_ids) == 45
        assert grid.n_image == 45 * 30 * 30

    def test_no_cells_and_odd_windows_are_said(self, showers):
        with pytest.raises(UsageError, match="has no cells; declare them"):
            showers.cells()
        with pytest.raises(UsageError, match="window: layer 77 has no cells"):
            self.grid(showers).with_window({77: (3, 3)})
        with pytest.raises(UsageError, match=r"window: found \(0, 3\)"):
            self.grid(showers).with_window((0, 3))
