"""The published parametrisation as a sampler: means, fluctuations and radii of its showers are those of the laws."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fastparam.errors import GeometryError
from fastparam.generate.paper_gflash import PaperGFlash, conversion_depth
from fastparam.geometry.detector import Geometry
from fastparam.geometry.load import load_geometry, parse_geometry
from fastparam.hits.hits import Hits
from fastparam.particles import Particles
from fastparam.random import stream
from fastparam.shapes import fluctuations, gamma_profile, homogeneous, radial, radial_laws, sampling, spots

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "gflash_vectors.json").read_text(encoding="utf-8"))
N = 2000

#: 60 X0 of lead tungstate in 60 layers.
X0 = 8.924169
DEEP = "name: deep\nframe: planar\nlayers:\n" + "".join(
    f"  - {{from: {i * X0}, to: {(i + 1) * X0}, id: {i}, material: PbWO4}}\n" for i in range(60)
)


def deep(rest: str = "") -> Geometry:
    return parse_geometry(DEEP + rest, Path("deep.yaml"))


def sample(geometry: Geometry, pdg: int, energy: float, n: int = N, seed: int = 1) -> Hits:
    particles = Particles.gun(pdg=pdg, energy=energy, direction=(0, 0, 1), n=n)
    return PaperGFlash(geometry).hits(particles, seed)


def layer_energies(hits: Hits, n_layers: int) -> np.ndarray:
    return np.bincount(hits.shower * n_layers + hits.layer, hits.e, len(hits) * n_layers).reshape(len(hits), n_layers)


@pytest.mark.slow
@pytest.mark.parametrize("energy", [1000.0, 8000.0])
def test_mean_profile_is_that_of_fluctuating_gammas(energy: float) -> None:
    geometry = deep()
    material = geometry.material
    layers = layer_energies(sample(geometry, 11, energy), 60) / energy
    law = homogeneous.fluctuating(energy / material.critical_energy, material.z)
    maximum, alpha = fluctuations.rvs(stream(5, 0, 0), 20_000, law)
    depth = np.arange(61.0)[:, None]
    expected = np.diff(gamma_profile.cdf(depth, alpha, (alpha - 1) / maximum), axis=0)
    error = np.hypot(layers.std(axis=0) / np.sqrt(N), expected.std(axis=1) / np.sqrt(20_000))
    bulk = expected.mean(axis=1) > 1e-3
    pulls = ((layers.mean(axis=0) - expected.mean(axis=1)) / error)[bulk]
    assert np.abs(pulls).max() < 4
    average = homogeneous.average(energy / material.critical_energy, material.z)
    wrong = np.diff(gamma_profile.cdf(depth[:, 0], average[1], (average[1] - 1) / average[0]))
    assert (
        np.abs((layers.mean(axis=0) - wrong) / error)[bulk].max() > 8
    )  # control: the constants of the average profile


def test_all_energy_of_a_contained_shower_is_seen() -> None:
    layers = layer_energies(sample(deep(), 11, 5000.0, 200), 60)
    assert layers.sum(axis=1) == pytest.approx(np.full(200, 5000.0), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("energy", [1000.0, 20_000.0])
def test_number_of_spots(energy: float) -> None:
    hits = sample(deep(), 11, energy, 500)
    expected = spots.homogeneous(energy, deep().material.z, 1.0, 1.0).number
    # Rounding up or down at random is right on average; only the last of 60 slices is sure to have a spot.
    assert hits.n_hits.mean() == pytest.approx(expected + 1, abs=3 * hits.n_hits.std() / np.sqrt(500))


@pytest.mark.slow
def test_radii_at_the_maximum() -> None:
    geometry = deep()
    material = geometry.material
    energy, n = 20_000.0, 300
    hits = sample(geometry, 11, energy, n)
    law = homogeneous.fluctuating(energy / material.critical_energy, material.z)
    maximum, alpha = np.exp(law.mean_ln_t), np.exp(law.mean_ln_alpha)
    rc, rt, p = radial_laws.evaluate(
        fluctuations.age(hits.z / X0, maximum, alpha, law.mean_ln_alpha),
        radial_laws.homogeneous_coefficients(energy, material.z),
    )
    quantile = radial.cdf(np.hypot(hits.x, hits.y) / material.moliere_radius, p, rc, rt)
    # The showers' own age fluctuates about the central one by 12 %, which moves radii but hardly their mean quantile.
    assert quantile.mean() == pytest.approx(0.5, abs=0.01)
    shrunk = radial.cdf(0.9 * np.hypot(hits.x, hits.y) / material.moliere_radius, p, rc, rt)
    assert shrunk.mean() < 0.48  # control


def test_azimuth_is_uniform() -> None:
    hits = sample(deep(), 11, 5000.0, 100)
    octant = np.floor((np.arctan2(hits.y, hits.x) + np.pi) / (np.pi / 4)).astype(int).clip(0, 7)
    counts = np.bincount(octant, minlength=8)
    assert ((counts - counts.mean()) ** 2 / counts.mean()).sum() < 24.3  # 0.1 % of chi-squared with 7 degrees


@pytest.mark.slow
def test_stack_shows_its_fraction_with_sampling_fluctuations() -> None:
    geometry = parse_geometry(
        "name: s\nframe: planar\nstock: {c: 0.2, visible_fraction: 0.05}\nlayers:\n  - stack: {from: 0, repeat: 100,"
        " plates: [{material: Pb, thickness: 2}, {material: lAr, thickness: 4, active: true}]}\n",
        Path("s.yaml"),
    )
    visible = layer_energies(sample(geometry, 11, 4000.0), 100).sum(axis=1) / 4000.0
    width = 0.2 / np.sqrt(4.0)
    assert visible.mean() == pytest.approx(0.05, rel=3 * width / np.sqrt(N))
    assert visible.std() / visible.mean() == pytest.approx(width, rel=3 / np.sqrt(2 * N))


@pytest.mark.slow
def test_stack_has_the_sampling_profile() -> None:
    geometry = parse_geometry(
        "name: s\nframe: planar\nlayers:\n  - stack: {from: 0, repeat: 100,"
        " plates: [{material: Pb, thickness: 2}, {material: lAr, thickness: 4, active: true}]}\n",
        Path("s.yaml"),
    )
    energy, stack = 20_000.0, PaperGFlash(geometry)
    assert stack.calorimeter.sampling is not None
    hits = sample(geometry, 11, energy, 1000)
    period = 6.0 / geometry.material.radiation_length
    mean = np.average((hits.layer + 0.5) * period, weights=hits.e)
    depths = np.add.reduceat(hits.e * (hits.layer + 0.5) * period, hits.offsets[:-1]) / np.add.reduceat(
        hits.e, hits.offsets[:-1]
    )
    s = stack.calorimeter.sampling
    y = energy / geometry.material.critical_energy
    law = sampling.fluctuating(y, geometry.material.z, s.e_mip, 1 / s.inverse_frequency)
    maximum, alpha = fluctuations.rvs(stream(5, 0, 0), 20_000, law)
    expected = alpha * maximum / (alpha - 1)
    error = np.hypot(depths.std() / np.sqrt(1000), expected.std() / np.sqrt(20_000))
    assert mean == pytest.approx(expected.mean(), abs=4 * error)
    medium = fluctuations.rvs(stream(5, 0, 0), 20_000, homogeneous.fluctuating(y, geometry.material.z))
    assert abs(mean - (medium[1] * medium[0] / (medium[1] - 1)).mean()) > 8 * error  # control


@pytest.mark.slow
def test_fine_structures_are_the_limit_of_the_sampling_laws() -> None:
    geometry = deep("stock: {c: 0.1, visible_fraction: 0.3}\n")
    fine = PaperGFlash(geometry)
    energy = np.array([10_000.0])
    medium = homogeneous.fluctuating(energy / geometry.material.critical_energy, geometry.material.z)
    law = fine.law(energy)
    assert law.mean_ln_t == pytest.approx(medium.mean_ln_t, abs=1e-9)
    assert law.sigma_ln_t > medium.sigma_ln_t
    hits = fine.hits(Particles.gun(pdg=11, energy=1e4, direction=(0, 0, 1), n=300), 1)
    visible = np.add.reduceat(hits.e, hits.offsets[:-1])
    assert visible.mean() == pytest.approx(3000.0, rel=3 * 0.1 / np.sqrt(10 * 300))


@pytest.mark.slow
def test_photons_start_where_they_convert() -> None:
    geometry = deep()
    electrons, photons = (sample(geometry, pdg, 2000.0) for pdg in (11, 22))
    shift = np.average(photons.z, weights=photons.e) - np.average(electrons.z, weights=electrons.e)
    spread = np.hypot(1.3, 2.0) * np.sqrt(2 / N)  # conversion, and mean depth of either, in X0
    assert shift / X0 == pytest.approx(conversion_depth(2000.0), abs=3 * spread)


@pytest.mark.parametrize("name", VECTORS["photon_conversion"]["materials"])
def test_conversion_depth_is_that_of_bethe_and_heitler(name: str) -> None:
    energy = np.array(VECTORS["photon_conversion"]["E_MeV"])
    expected = np.array(VECTORS["photon_conversion"]["materials"][name]["lambda_pair_X0"])
    valid = energy >= 100.0
    tolerance = {"polystyrene": 0.12, "LAr": 0.035}.get(name, 0.027)
    np.testing.assert_allclose(conversion_depth(energy[valid]), expected[valid], rtol=tolerance)


@pytest.mark.slow
def test_material_in_front_takes_its_share() -> None:
    bare = parse_geometry(
        "name: a\nframe: planar\nlayers:\n  - {from: 100, to: 400, id: 0, material: PbWO4}\n", Path("a.yaml")
    )
    behind = parse_geometry(
        "name: b\nframe: planar\nlayers:\n"
        "  - {from: 60, to: 70, material: Pb}\n  - {from: 100, to: 400, id: 0, material: PbWO4}\n",
        Path("b.yaml"),
    )
    first, second = (sample(g, 11, 2000.0, 500) for g in (bare, behind))
    share = second.e.sum() / first.e.sum()
    material = behind.material
    law = homogeneous.fluctuating(2000.0 / material.critical_energy, material.z)
    maximum, alpha = fluctuations.rvs(stream(6, 0, 0), 5000, law)
    lost = gamma_profile.cdf(10.0 / behind.slab_x0[0], alpha, (alpha - 1) / maximum)
    assert share == pytest.approx(1 - lost.mean(), abs=0.005 + 3 * lost.std() / np.sqrt(500))


def test_silicon_at_low_energy_keeps_spots_and_energy() -> None:
    """Light media draw alpha_spot below 1, where the spots' profile has no maximum."""
    geometry = parse_geometry(
        "name: si\nframe: planar\nlayers:\n  - {from: 0, to: 9000, id: 0, material: Si}\n", Path("si.yaml")
    )
    silicon = PaperGFlash(geometry)
    energy = silicon.energies[0] * 1.01
    hits = silicon.hits(Particles.gun(pdg=11, energy=energy, direction=(0, 0, 1), n=500), 3)
    visible = np.bincount(hits.shower, hits.e, 500)
    assert (visible > 0.5 * energy).mean() > 0.99
    assert np.isfinite(hits.x).all()


def test_energies_start_where_the_laws_exist() -> None:
    low, high = PaperGFlash(load_geometry("siw")).energies
    assert (100.0 < low < 200.0, high) == (True, 1e7)
    law = PaperGFlash(load_geometry("siw")).law(np.array([low]))
    assert max(law.sigma_ln_t[0], law.sigma_ln_alpha[0]) == pytest.approx(1.0, rel=1e-6)
    assert PaperGFlash(deep()).energies == (100.0, 1e7)


def test_stacks_beyond_the_laws_are_refused() -> None:
    geometry = parse_geometry(
        "name: coarse\nframe: planar\nlayers:\n  - stack: {from: 0, repeat: 5,"
        " plates: [{material: Pb, thickness: 60}, {material: lAr, thickness: 20, active: true}]}\n",
        Path("coarse.yaml"),
    )
    with pytest.raises(GeometryError, match=r"coarse\.yaml: stock GFlash does not hold"):
        PaperGFlash(geometry)


def test_showers_depend_on_their_number_only() -> None:
    particles = Particles.gun(pdg=11, energy=3000.0, direction=(0.2, 0, 1), n=20)
    generator = PaperGFlash(deep())
    together = generator.hits(particles, 4)
    alone = generator.hits(replace(particles).take(slice(13, 14)), 4)
    rows = slice(together.offsets[13], together.offsets[14])
    for name in ("x", "y", "z", "e", "layer"):
        assert np.array_equal(getattr(together, name)[rows], getattr(alone, name))
