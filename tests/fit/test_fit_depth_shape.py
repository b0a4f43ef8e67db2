"""The shape of the depth inside layers: shares by hand, and hits that lie where those of the showers do."""

from __future__ import annotations

import numpy as np
import pytest

from fastparam.fit import depth_shape
from fastparam.geometry.load import load_geometry
from fastparam.geometry.voxels import VoxelBinning
from fastparam.particles import Particles
from fastparam.showers import Showers
from fastparam.showers.spread import DepthShape
from fastparam.summary import energy_points
from fastparam.summary.deposits import Deposits

#: Two layers; the second one has no depth inside.
BINNING = VoxelBinning((3, 5), ((0.0, 10.0, 100.0), (0.0, 50.0)), (4, 1))
ROWS, FLAT = np.array([0, 1]), np.array([False, True])


def deposits(depth, layer, showers):
    """Equal numbers of deposits of 1 MeV per shower."""
    n = len(depth)
    return Deposits(
        np.ones(showers, dtype=bool), np.linspace(0, n, showers + 1).astype(np.int64), layer.astype(np.int16),
        np.ones(n, dtype=np.float32), np.ones(n, dtype=np.float32), np.round(255 * depth).astype(np.uint8),
        np.ones(n, dtype=np.float32),
    )  # fmt: skip


def tables():
    """Half of the deposits of 1 GeV lie at 0.1 of the depth, half at 0.3; all of those of 4 GeV at 0.9; 200 each."""
    depth = np.concatenate([np.tile([0.1, 0.3], 100), np.full(200, 0.9)])
    layer = np.zeros(400)
    energy = np.repeat([1000.0, 4000.0], 10)
    return depth_shape.fit(deposits(depth, layer, 20), energy_points(energy), ROWS, FLAT)


def test_shares_are_those_of_the_energy_in_parts_of_equal_depth() -> None:
    """200 deposits against the 20 that count as even."""
    share = tables()["share"].astype(float)
    even = 20 / 220 / 8
    expected = np.full((2, 8), even)
    expected[0, [0, 2]] += 200 / 220 / 2
    expected[1, 7] += 200 / 220
    assert share[:, 0] == pytest.approx(expected, abs=1e-3)
    assert share[:, 1] == pytest.approx(np.full((2, 8), 1 / 8), abs=1e-3)  # flat


def depths(energy, depth, n=200):
    """Depths of the hits of showers of both layers as shares of 10 and 20 mm, energies, and the sums of voxels."""
    particles = Particles.gun(pdg=22, energy=energy, n=n, position=(0, 0, -1), direction=(0, 0, 1))
    voxels = np.tile(np.array([1.0] * 8 + [3.0]), (n, 1))
    made = Showers.from_voxels(particles, voxels, BINNING, geometry(), depth=depth)
    z, e, layer = made.hits.z, made.hits.e, made.hits.layer
    assert made.voxels(BINNING) == pytest.approx(voxels, rel=1e-9)
    return z[layer == 0] / 10.0, (z[layer == 1] - 15.0) / 20.0, e.sum() / voxels.sum()


def geometry():
    layers = "[{id: 3, from: 0, to: 10, material: Si}, {id: 5, from: 15, to: 35, material: Si}]"
    return load_geometry_text(f"name: two\nframe: planar\nlayers: {layers}\n")


def load_geometry_text(text):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "two.yaml"
        path.write_text(text)
        return load_geometry(path)


def test_hits_of_voxels_have_the_depths_of_the_showers_and_their_energy() -> None:
    shape = DepthShape(*depth_shape.shape(tables()))
    one, flat, kept = depths(1000.0, shape)
    assert kept == pytest.approx(1.0, abs=1e-9)
    histogram = np.histogram(one, np.linspace(0, 1, 9))[0] / len(one)
    error = np.sqrt(0.25 / len(one))
    assert histogram[[0, 2]] == pytest.approx(2 * [200 / 220 / 2 + 20 / 220 / 8], abs=4 * error)
    assert flat.mean() == pytest.approx(0.5, abs=4 * np.sqrt(1 / 12 / len(flat)))
    even = depths(1000.0, None)[0]
    assert even.mean() == pytest.approx(0.5, abs=4 * np.sqrt(1 / 12 / len(even)))
    assert one.mean() < 0.3  # a uniform depth is told apart


def test_between_energies_shares_are_linear_in_ln_e() -> None:
    shape = DepthShape(*depth_shape.shape(tables()))
    means = [depths(energy, shape)[0].mean() for energy in (1000.0, 2000.0, 4000.0)]
    assert means[1] == pytest.approx((means[0] + means[2]) / 2, abs=0.01)
    assert depths(500.0, shape)[0].mean() == pytest.approx(means[0], abs=0.01)
