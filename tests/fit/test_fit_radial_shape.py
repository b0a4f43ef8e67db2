"""The radial shape inside voxels: shares by hand, and hits that lie where those of the showers do."""

from __future__ import annotations

import numpy as np
import pytest

from fastparam.fit import radial_shape
from fastparam.geometry.load import load_geometry
from fastparam.geometry.voxels import VoxelBinning
from fastparam.particles import Particles
from fastparam.showers import Showers
from fastparam.showers.local import local_hits
from fastparam.summary.deposits import Deposits

#: One layer of two rings; the outer one spans a factor of ten in r.
BINNING = VoxelBinning((3,), ((0.0, 10.0, 100.0),), (4,))


def deposits(r, e):
    n = len(r)
    alpha = np.random.default_rng(1).uniform(-np.pi, np.pi, n)
    return Deposits(
        np.ones(1, dtype=bool), np.array([0, n]), np.zeros(n, dtype=np.int16),
        (r * np.cos(alpha)).astype(np.float32), (r * np.sin(alpha)).astype(np.float32),
        np.full(n, 128, dtype=np.uint8), np.asarray(e, dtype=np.float32),
    )  # fmt: skip


def falling(n=20_000):
    """Radii whose energy per area falls as exp(-r / 15 mm), up to 100 mm."""
    rng = np.random.default_rng(3)
    r = rng.gamma(2.0, 15.0, 3 * n)
    return r[r < 100.0][:n]


def test_shares_are_those_of_the_energy_in_parts_of_equal_width():
    """80 deposits hold 9/10 in the outer ring's first eighth (to 21 mm), 1/10 in its last; 20 count as even."""
    r = np.concatenate([np.full(40, 15.0), np.full(40, 99.0)])
    e = np.concatenate([np.full(40, 9.0), np.full(40, 1.0)])
    tables = radial_shape.fit(deposits(r, e), BINNING, np.array([0]))
    area = np.diff(np.linspace(10.0, 100.0, 9) ** 2) / (100.0**2 - 10.0**2)
    expected = 0.2 * area
    expected[[0, 7]] += [0.8 * 0.9, 0.8 * 0.1]
    assert tables["share"][1] == pytest.approx(expected, abs=1e-3)
    assert tables["share"][0] == pytest.approx(np.diff(np.linspace(0, 1, 9) ** 2), abs=1e-3)  # no deposits: by area


def test_hits_of_voxels_have_the_radii_of_the_showers(tmp_path):
    path = tmp_path / "one.yaml"
    path.write_text("name: one\nframe: planar\nlayers: [{id: 3, from: 0, to: 10, material: Si}]\n")
    geometry = load_geometry(path)
    r = falling()
    tables = radial_shape.fit(deposits(r, np.ones(len(r))), BINNING, np.array([0]))
    particles = Particles.gun(pdg=22, energy=1000.0, n=40, position=(0, 0, -1), direction=(0, 0, 1))
    share = np.histogram(r, [0, 10, 100])[0] / len(r)
    voxels = np.tile(np.tile(share / 4, 4), (40, 1))
    means = {}
    for name, radial in (("tuned", radial_shape.shape(tables, BINNING)), ("even", None)):
        made = Showers.from_voxels(particles, voxels, BINNING, geometry, radial=radial)
        _, d1, d2 = local_hits(geometry, particles, made.hits)
        means[name] = np.average(np.hypot(d1, d2), weights=made.hits.e)
    assert means["tuned"] == pytest.approx(r.mean(), rel=0.03)
    assert means["even"] > 1.7 * r.mean()
