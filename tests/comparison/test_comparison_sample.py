"""How showers are cut: bins in depth, layers, radii."""

from types import SimpleNamespace

import numpy as np
import pytest

from fastparam.comparison.sample import Layout, Sample, depth_groups
from fastparam.summary import cell_depths


def groups(widths, medium=None, gaps=None):
    """Group cells of given widths in X0, one layer each."""
    widths = np.asarray(widths, dtype=float)
    start = np.cumsum(widths) - widths + (0 if gaps is None else np.asarray(gaps))
    depths = np.stack([start, start + widths], axis=1)[None]
    geometry = SimpleNamespace(layer_medium=np.zeros(len(widths), int) if medium is None else np.asarray(medium))
    return depth_groups(geometry, depths, np.arange(len(widths)))


class TestDepthGroups:
    """The bins of gflash_study: 0.90 X0 in lead tungstate, two periods in silicon/tungsten."""

    def test_cells_of_09_x0_stay_single(self):
        assert groups([0.9] * 4)[0].tolist() == [0, 1, 2, 3]

    def test_periods_of_061_x0_are_joined_in_pairs(self):
        group, low, high = groups([0.61] * 6)
        assert group.tolist() == [0, 0, 1, 1, 2, 2]
        np.testing.assert_allclose(low, [0, 1.22, 2.44])
        np.testing.assert_allclose(high, [1.22, 2.44, 3.66])

    def test_a_thin_rest_joins_the_bin_before_it(self):
        assert groups([0.61] * 5)[0].tolist() == [0, 0, 1, 1, 1]

    def test_media_of_different_sampling_fraction_are_never_joined(self):
        assert groups([0.1, 0.5, 0.5, 0.5], medium=[0, 1, 1, 1])[0].tolist() == [0, 1, 1, 1]

    def test_a_cell_that_no_line_reaches_adds_no_depth(self):
        group, _, high = groups([0.9, 0.9, 0.0])
        assert group.tolist() == [0, 1, 1]
        assert high[-1] == pytest.approx(1.8)


#: A summary keeps every entry of its content and its moments to 8 significant bits, its layer energies to 16.
STORED = 2.0**-8 + 2.0**-16


@pytest.fixture(scope="module")
def sample(barrel, reference):
    part = reference.take(reference.particles.energy < 5000)
    depths = cell_depths(barrel.geometry, part.particles, part.binning)
    layout = Layout.decide(barrel.geometry, part, depth_groups(barrel.geometry, depths, part.binning.cell_layer))
    return Sample(part, layout)


class TestSample:
    def test_every_cut_holds_all_of_the_energy(self, sample):
        total = sample.visible.sum()
        assert sample.depth_energy.sum() == pytest.approx(total, rel=1e-5)
        assert sample.ring_energy.sum() == pytest.approx(total, rel=1e-5)

    def test_the_rings_of_main_layers_hold_the_energy_of_these_layers(self, sample):
        main = sample.layout.main_layers
        np.testing.assert_allclose(
            sample.main_ring_energy.sum(axis=2), sample.summary.layer_energy[:, main], rtol=STORED, atol=1e-9
        )

    def test_bins_in_depth_cover_the_calorimeter_in_steps_of_about_one_x0(self, sample):
        width = sample.layout.depth_high - sample.layout.depth_low
        assert width.min() > 0.8
        assert width.max() < 2.0
        np.testing.assert_allclose(sample.layout.depth_low[1:], sample.layout.depth_high[:-1], atol=0.02)

    def test_the_longitudinal_profile_covers_the_medium_with_most_of_the_energy(self, sample, barrel):
        part = sample.summary
        layers = part.binning.cell_layer
        geometry = SimpleNamespace(layer_medium=np.array([0, 1, 1]), layer_names=barrel.geometry.layer_names)
        depths = cell_depths(barrel.geometry, part.particles, part.binning)
        layout = Layout.decide(geometry, part, depth_groups(geometry, depths, layers))
        assert set(layout.cell_group[layers == 0]) == {-1}
        # Cells are ranges of depth along the line: far from it, some hits of layer 0 lie as deep as layer 1 does there.
        assert Sample(part, layout).depth_energy.sum() == pytest.approx(part.layer_energy[:, 1:].sum(), rel=1e-3)
        assert part.layer_energy[:, 0].sum() > 1e-2 * part.layer_energy.sum()
        assert layout.depth_low[0] == pytest.approx(depths[:, layers == 1, 0].mean(axis=0)[0])

    def test_centroids_and_spreads_are_those_of_the_hits(self, barrel):
        particles, hits = barrel.showers(2, seed=5)
        summary = barrel.summary(2, seed=5)
        layout = Layout.decide(
            barrel.geometry,
            summary,
            depth_groups(
                barrel.geometry,
                cell_depths(barrel.geometry, particles, summary.binning),
                summary.binning.cell_layer,
            ),
        )
        sample = Sample(summary, layout)
        shower, layer = 1, int(layout.main_layers[0])
        own = (hits.shower == shower) & (hits.layer == layer)
        u = particles.direction[shower]
        e2 = np.array([-u[1], u[0], 0.0]) / np.hypot(u[0], u[1])  # growing phi
        d2 = np.stack([hits.x, hits.y, hits.z], axis=1)[own] @ e2
        assert sample.centroid[shower, 0, 1] == pytest.approx(np.average(d2, weights=hits.e[own]), rel=STORED)
        assert sample.spread[shower, 0, 1] == pytest.approx(
            np.sqrt(np.cov(d2, aweights=hits.e[own], ddof=0)), rel=STORED
        )

    def test_leakage_matters_only_where_nearly_all_energy_is_visible(self, sample):
        assert not sample.layout.nearly_all_visible
