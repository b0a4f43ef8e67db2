"""Sampled showers follow the laws of their tune; beside each test, a law that they do not follow."""

from __future__ import annotations

from dataclasses import replace

import handmade
import numba
import numpy as np
import pytest
import toys
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import gammainc
from scipy.stats import chisquare, ks_2samp, kstest

from fastparam.fit import conversion, modulation, phase_profile, radial_warp, response, shape_marginals, spot_groups
from fastparam.fit.fit import Fit
from fastparam.fit.tables import Tables
from fastparam.generate import TunedGenerator
from fastparam.geometry.detector import Geometry
from fastparam.particles import Particles
from fastparam.showers import Showers
from fastparam.summary.points import energy_points
from fastparam.tunes.tune import SliceTune

#: Every statistical test fails once in a thousand seeds; the seeds are fixed. What it must reject, it rejects by far.
LEVEL, FAR = 1e-3, 1e-6

pytestmark = pytest.mark.filterwarnings("ignore:.*inclined by:fastparam.errors.FastparamWarning")


def sample(geometry: Geometry, particles: Particles, *, seed: int = 1, **laws: object) -> Showers:
    eta = (0.2, 0.25) if geometry.frame == "barrel" else None
    generator = TunedGenerator(handmade.tune(geometry, handmade.part(geometry, eta=eta, **laws)))
    return generator.generate(particles, seed=seed)


def beam(geometry: Geometry, n: int, *, energy: float = 10_000.0, degrees: float = 0.0) -> Particles:
    """Particles in a barrel's slice, or at an angle to the normal of a planar detector, some 30 mm in front of it."""
    if geometry.frame == "barrel":
        return Particles.gun(pdg=22, energy=energy, eta=0.22, phi=0.4, n=n)
    angle = np.deg2rad(degrees)
    heading = (0.6 * np.sin(angle), -0.8 * np.sin(angle), np.cos(angle))
    return Particles.gun(pdg=22, energy=energy, n=n, position=(13.0, -7.0, -30.0), direction=heading)


def level(geometry: Geometry, showers: Showers) -> np.ndarray:
    hits = showers.hits
    return np.hypot(hits.x, hits.y) if geometry.frame == "barrel" else hits.z


def along_and_radius(showers: Showers) -> tuple[np.ndarray, np.ndarray]:
    """Path length along each hit's line from the particle's start, and distance from the line, mm."""
    hits, p = showers.hits, showers.particles
    relative = np.stack([hits.x, hits.y, hits.z], axis=1) - p.position[hits.shower]
    s = (relative * p.direction[hits.shower]).sum(axis=1)
    return s, np.linalg.norm(relative - s[:, None] * p.direction[hits.shower], axis=1)


def period_depths(geometry: Geometry, particle: Particles) -> np.ndarray:
    """Depth in X0 at the front of every layer's period and behind the last one, along the line of one particle."""
    if geometry.frame == "barrel":
        stretch = np.cosh(particle.eta[0])  # lines from the origin
    else:
        stretch = 1 / particle.direction[0, 2]
    levels = np.append(geometry.period_from, geometry.period_to[-1])
    covered = np.clip(levels[:, None], geometry.slab_from, geometry.slab_to) - geometry.slab_from
    return stretch * (covered / geometry.slab_x0).sum(axis=1)


# Energies


def test_every_spot_of_a_shower_has_an_equal_share_of_its_visible_energy() -> None:
    geometry = handmade.detector("block")
    showers = sample(geometry, beam(geometry, 50), width=1e-12)
    assert showers.visible == pytest.approx(np.full(50, 500.0), rel=1e-9)
    share = showers.visible / showers.hits.n_hits
    assert showers.hits.e == pytest.approx(share[showers.hits.shower], rel=1e-12)


@pytest.mark.parametrize("energy", [1000.0, 65_000.0])
def test_visible_energy_has_mean_and_width_of_the_response_law(energy: float) -> None:
    geometry = handmade.detector("block")
    n = 20_000
    visible = sample(geometry, beam(geometry, n, energy=energy), spots=0.5, visible=0.08, width=0.2).visible / energy
    # ln x is normal: mean and variance of x are known without any quadrature.
    mean, rms = 0.08 * np.exp(0.02), 0.08 * np.exp(0.02) * np.sqrt(np.exp(0.04) - 1)
    assert visible.mean() == pytest.approx(mean, abs=3.3 * rms / np.sqrt(n))
    assert visible.std() == pytest.approx(rms, rel=3.3 * np.sqrt(0.6 / n))  # kurtosis 3.7
    assert kstest(np.log(visible / 0.08) / 0.2, "norm").pvalue > LEVEL
    assert kstest(np.log(visible / 0.081) / 0.2, "norm").pvalue < FAR
    law = handmade.part(geometry, visible=0.08, width=0.2).components["response"]
    assert response.moments(law, np.array([np.log(energy / 1000.0)])) == (pytest.approx(mean), pytest.approx(rms))


def test_the_share_of_empty_showers_is_that_of_the_law() -> None:
    geometry = handmade.detector("block")
    showers = sample(geometry, beam(geometry, 4000, energy=np.e * 1000.0), spots=3.0, zero=(0.5, -1.5))
    expected = 1 / (1 + np.e)  # logit 0.5 - 1.5 ln(E / GeV) = -1
    empty = showers.hits.n_hits == 0
    assert empty.mean() == pytest.approx(expected, abs=3.3 * np.sqrt(expected * (1 - expected) / 4000))
    assert np.array_equal(showers.visible == 0, empty)


def test_the_number_of_spots_is_poisson_around_its_law() -> None:
    geometry = handmade.detector("block")
    n_hits = sample(geometry, beam(geometry, 3000, energy=16_000.0), spots=5.0).hits.n_hits
    assert n_hits.mean() == pytest.approx(20.0, abs=3.3 * np.sqrt(20.0 / 3000))
    assert n_hits.var() == pytest.approx(20.0, rel=3.3 * np.sqrt(2 / 3000))


# Depths


@pytest.mark.parametrize(
    ("name", "degrees"),
    [("planar", 0), ("planar", 50), ("block", 0), ("block", 50), ("barrel", 0), ("two_media", 0), ("two_media", 30)],
)
def test_layers_hold_the_fractions_of_the_gamma_profile(name: str, degrees: float) -> None:
    """Pencil showers of one shape, so that a hit stays at the depth where it was drawn."""
    geometry = handmade.detector(name)
    particles = beam(geometry, 40, degrees=degrees)
    showers = sample(geometry, particles, shape=(6.5, 4.5), spots=1500.0, core=2e-3, tail=2e-3)
    counts = np.bincount(showers.hits.layer, minlength=geometry.n_layers)
    depths = period_depths(geometry, particles)

    def p_value(t_max: float) -> float:
        shares = np.diff(gammainc(4.5, 3.5 / t_max * depths))
        expected = counts.sum() * shares / shares.sum()
        seen = expected > 20
        return chisquare(counts[seen], expected[seen] * counts[seen].sum() / expected[seen].sum()).pvalue

    assert p_value(6.5) > LEVEL
    assert p_value(6.5 * 1.05) < FAR


@pytest.mark.parametrize("degrees", [0, 50])
def test_depths_within_a_thick_layer_follow_the_gamma_profile(degrees: float) -> None:
    geometry = handmade.detector("block")
    particles = beam(geometry, 40, degrees=degrees)
    showers = sample(geometry, particles, shape=(6.5, 4.5), spots=400.0, core=2e-3, tail=2e-3)
    path, _ = along_and_radius(showers)
    depth = (path - 30.0 / particles.direction[0, 2]) / geometry.material.radiation_length
    end = period_depths(geometry, particles)[-1]

    def p_value(t_max: float) -> float:
        return kstest(gammainc(4.5, 3.5 / t_max * depth) / gammainc(4.5, 3.5 / t_max * end), "uniform").pvalue

    assert p_value(6.5) > LEVEL
    assert p_value(6.5 * 1.03) < FAR


def test_a_layer_of_another_medium_holds_its_factor_times_as_much() -> None:
    geometry = handmade.detector("two_media")
    particles = beam(geometry, 40)
    showers = sample(geometry, particles, shape=(2.0, 3.0), spots=1500.0, core=2e-3, tail=2e-3, factor=0.25)
    counts = np.bincount(showers.hits.layer, minlength=3)
    shares = np.diff(gammainc(3.0, 1.0 * period_depths(geometry, particles))) * [1.0, 0.25, 0.25]
    assert chisquare(counts, counts.sum() * shares / shares.sum()).pvalue > LEVEL
    equal = shares / [1.0, 0.25, 0.25]
    assert chisquare(counts, counts.sum() * equal / equal.sum()).pvalue < FAR


@pytest.mark.slow
def test_shapes_fluctuate_with_means_widths_and_correlation_of_their_laws() -> None:
    """Mean and variance of the depths of one shower give its T and alpha; 67 X0 hold it whole."""
    geometry = handmade.detector("deep")
    n, energy = 400, 10_000.0
    showers = sample(geometry, beam(geometry, n, energy=energy), spots=2000.0, core=2e-3, tail=2e-3)
    path, _ = along_and_radius(showers)
    depth = (path - 30.0) / geometry.material.radiation_length
    mean = np.bincount(showers.hits.shower, weights=depth) / showers.hits.n_hits
    variance = np.bincount(showers.hits.shower, weights=depth**2) / showers.hits.n_hits - mean**2
    ln_alpha, ln_t = np.log(mean**2 / variance), np.log(mean - variance / mean)
    law, ln_y = handmade.LAW, np.log(energy / geometry.material.critical_energy)
    wanted_t, wanted_alpha, inverse_t, inverse_alpha, rho = (
        a + b * ln_y for a, b in (law.exp_ln_t, law.exp_ln_alpha, law.inverse_sigma_t, law.inverse_sigma_alpha, law.rho)
    )
    assert ln_t.mean() == pytest.approx(np.log(wanted_t), abs=3.3 / inverse_t / np.sqrt(n))
    assert ln_alpha.mean() == pytest.approx(np.log(wanted_alpha), abs=3.3 / inverse_alpha / np.sqrt(n))
    assert ln_t.std() == pytest.approx(1 / inverse_t, rel=3.3 / np.sqrt(2 * n))
    assert ln_alpha.std() == pytest.approx(1 / inverse_alpha, rel=3.3 / np.sqrt(2 * n))
    assert np.corrcoef(ln_t, ln_alpha)[0, 1] == pytest.approx(rho, abs=3.3 * (1 - rho**2) / np.sqrt(n))


# Radii


def radial_quantiles(
    radius: np.ndarray, core: np.ndarray | float, tail: np.ndarray | float, weight: float
) -> np.ndarray:
    """Cumulative two-component law of Grindhammer & Peters, each component up to 20 Moliere radii."""

    def below(scale: np.ndarray | float) -> np.ndarray:
        return radius**2 / (radius**2 + scale**2) * (1 + scale**2 / 20.0**2)

    return weight * below(core) + (1 - weight) * below(tail)


@pytest.mark.parametrize(("name", "degrees"), [("planar", 0), ("planar", 50), ("block", 50), ("barrel", 0)])
def test_radii_follow_the_two_component_law_at_any_incidence(name: str, degrees: float) -> None:
    geometry = handmade.detector(name)
    showers = sample(geometry, beam(geometry, 60, degrees=degrees), spots=400.0, core=0.1, tail=0.6, weight=0.7)
    radius = along_and_radius(showers)[1] / geometry.material.moliere_radius
    assert kstest(radial_quantiles(radius, 0.1, 0.6, 0.7), "uniform").pvalue > LEVEL
    assert kstest(radial_quantiles(radius, 0.105, 0.6, 0.7), "uniform").pvalue < FAR
    assert kstest(radial_quantiles(radius, 0.1, 0.6, 0.68), "uniform").pvalue < FAR
    assert radius.max() < 20.0


def test_radii_grow_with_the_age_of_the_shower() -> None:
    geometry = handmade.detector("planar")
    showers = sample(geometry, beam(geometry, 60), spots=400.0, shape=(6.0, 4.0), aging=1.5)
    radius = along_and_radius(showers)[1] / geometry.material.moliere_radius
    edges = period_depths(geometry, showers.particles)
    tau = 0.5 * (edges[1:] + edges[:-1])[showers.hits.layer] / 6.0
    growth = ((np.minimum(tau, 5.0) + 0.2) / 1.2) ** 1.5
    assert kstest(radial_quantiles(radius, 0.1 * growth, 0.6 * growth, 0.7), "uniform").pvalue > LEVEL
    assert kstest(radial_quantiles(radius, 0.1, 0.6, 0.7), "uniform").pvalue < FAR


@pytest.mark.parametrize(("name", "degrees"), [("planar", 50), ("barrel", 0)])
def test_showers_are_round_about_their_line(name: str, degrees: float) -> None:
    geometry = handmade.detector(name)
    particles = beam(geometry, 60, degrees=degrees)
    showers = sample(geometry, particles, spots=200.0)
    hits, origin = showers.hits, particles.position[0]
    e1, e2 = toys.transverse_axes(geometry, particles.direction[0])
    relative = np.stack([hits.x, hits.y, hits.z], axis=1) - origin
    azimuth = np.arctan2(relative @ e2, relative @ e1)
    assert kstest(azimuth, "uniform", args=(-np.pi, 2 * np.pi)).pvalue > LEVEL


# Layers


@pytest.mark.parametrize("name", ["planar", "block", "two_media", "barrel", "roll"])
@settings(max_examples=12)
@given(
    seed=st.integers(0, 2**63 - 1),
    angle=st.floats(0.0, np.deg2rad(50.0)),
    azimuth=st.floats(-np.pi, np.pi),
    eta=st.floats(0.196, 0.254),
    start=st.tuples(*3 * [st.floats(-40.0, 40.0)]),
)
def test_every_hit_lies_in_the_layer_it_claims(
    name: str, seed: int, angle: float, azimuth: float, eta: float, start: tuple[float, float, float]
) -> None:
    geometry = handmade.detector(name)
    if geometry.frame == "barrel":
        particles = Particles.gun(pdg=22, energy=20_000.0, n=3, eta=eta, phi=azimuth, position=start)
    else:
        heading = (np.sin(angle) * np.cos(azimuth), np.sin(angle) * np.sin(azimuth), np.cos(angle))
        particles = Particles.gun(
            pdg=22, energy=20_000.0, n=3, position=(start[0], start[1], start[2] - 40.0), direction=heading
        )
    showers = sample(geometry, particles, seed=seed, core=0.3, tail=5.0)
    depth, layer = level(geometry, showers), showers.hits.layer
    assert len(layer) > 0
    assert np.all(depth >= geometry.layer_from[layer] - 1e-9)
    assert np.all(depth <= geometry.layer_to[layer] + 1e-9)
    assert np.isfinite(showers.hits.x + showers.hits.y + showers.hits.z).all()


def test_spots_beyond_the_axis_of_a_narrow_barrel_stay_in_the_layer_of_their_own_depth() -> None:
    """Moved along the line's direction they would miss their layer altogether."""
    geometry = handmade.detector("roll")
    lines = Particles.gun(pdg=22, energy=20_000.0, eta=0.22, phi=np.linspace(-3, 3, 200), position=(20, -10, 5))
    showers = sample(geometry, lines, seed=3, core=0.3, tail=5.0, spots=400.0)
    depth, layer = level(geometry, showers), showers.hits.layer
    assert np.count_nonzero(along_and_radius(showers)[1] < 1e-9) > 1000
    assert np.all((depth >= geometry.layer_from[layer] - 1e-9) & (depth <= geometry.layer_to[layer] + 1e-9))


# Random numbers


def test_the_same_seed_gives_the_same_bits_and_another_seed_others() -> None:
    geometry = handmade.detector("barrel")
    first, again, other = (sample(geometry, beam(geometry, 20), seed=seed) for seed in (1, 1, 2))
    for column in ("x", "y", "z", "e", "layer", "offsets"):
        assert np.array_equal(getattr(first.hits, column), getattr(again.hits, column))
    assert not np.intersect1d(first.hits.x, other.hits.x).size


@pytest.mark.parametrize("name", ["planar", "barrel"])
def test_compiled_showers_do_not_depend_on_the_number_of_threads(name: str) -> None:
    geometry = handmade.detector(name)
    particles = beam(geometry, 50)
    threads = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        alone = sample(geometry, particles)
        numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
        together = sample(geometry, particles)
    finally:
        numba.set_num_threads(threads)
    assert alone.hits.x.tobytes() == together.hits.x.tobytes()
    assert alone.hits.e.tobytes() == together.hits.e.tobytes()


def test_a_shower_depends_on_its_index_and_on_nothing_else_in_the_batch() -> None:
    geometry = handmade.detector("planar")
    every = beam(geometry, 30, energy=np.geomspace(1000.0, 100_000.0, 30))
    whole = sample(geometry, every)
    for rows in (slice(0, 7), slice(7, 30), slice(12, 13), [29, 3, 17]):
        piece = sample(geometry, every.take(rows))
        for number, row in enumerate(np.arange(30)[rows]):
            mine = slice(*piece.hits.offsets[number : number + 2])
            same = slice(*whole.hits.offsets[row : row + 2])
            for column in ("x", "y", "z", "e", "layer"):
                assert np.array_equal(getattr(piece.hits, column)[mine], getattr(whole.hits, column)[same])


def test_a_shower_is_the_same_wherever_the_buffer_of_the_sampler_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    geometry = handmade.detector("planar")
    whole = sample(geometry, beam(geometry, 10))
    monkeypatch.setattr("fastparam.generate.gflash._CHUNK", 3)
    pieces = sample(geometry, beam(geometry, 10))
    assert np.array_equal(whole.hits.x, pieces.hits.x)


def test_particles_without_an_index_of_their_own_share_no_random_numbers() -> None:
    geometry = handmade.detector("planar")
    showers = sample(geometry, beam(geometry, 40))
    assert len(np.unique(showers.visible)) == 40


@pytest.mark.parametrize("name", ["planar", "barrel"])
def test_no_particles_are_no_showers(name: str) -> None:
    geometry = handmade.detector(name)
    showers = sample(geometry, beam(geometry, 3).take(slice(0, 0)))
    assert len(showers) == 0
    assert len(showers.hits) == 0
    assert len(showers.hits.e) == 0
    assert len(showers.visible) == 0


# Corrections


def corrected(geometry: Geometry, particles: Particles, *, seed: int = 1, **components: object) -> Showers:
    part = handmade.part(geometry, shape=(6.0, 4.0), width=1e-12)
    part = replace(part, components={**part.components, **components})
    return TunedGenerator(handmade.tune(geometry, part)).generate(particles, seed=seed)


def nodes(value: np.ndarray) -> Fit:
    """A radial warp that is the same at all ages and energies, from its values at the nodes of logit(u)."""
    values = np.tile(value, len(radial_warp.TAU_NODES))
    return handmade.component([f"b{k}" for k in range(len(values))], values, degree=0)


def test_radii_follow_the_warped_profile() -> None:
    geometry = handmade.detector("deep")
    value = np.linspace(-0.8, 0.8, radial_warp.U_HATS.shape[1])
    showers = corrected(geometry, beam(geometry, 200), radial_warp=nodes(value))
    r = along_and_radius(showers)[1] / geometry.material.moliere_radius
    within = 0.7 * r**2 / (r**2 + 0.01) + 0.3 * r**2 / (r**2 + 0.36)
    u = within / (0.7 * 400 / 400.01 + 0.3 * 400 / 400.36)
    warped = radial_warp.warped(u, value)
    assert kstest(warped, "uniform").pvalue > LEVEL
    assert kstest(u, "uniform").pvalue < FAR


def test_a_layer_holds_what_the_mean_shower_has_there_on_top_and_the_shower_what_it_held() -> None:
    """All showers are mean ones, so that a layer holds a factor times as much."""
    geometry = handmade.detector("block")
    mean = [np.log(6.0), 0.0, np.log(4.0), 0.0]
    factor = handmade.component(["layer3_h0"], [0.5], orders=[-1, -1, -1, 0], reference=mean)
    plain, scaled = (corrected(geometry, beam(geometry, 2000), seed=3, **c) for c in ({}, {"layer_factors": factor}))
    shares = []
    for showers in (plain, scaled):
        energy = np.bincount(showers.hits.layer, weights=showers.hits.e, minlength=4)
        shares.append(energy / energy.sum())
    wanted = shares[0] * [1, 1, 1, 1.5] / (shares[0] @ [1, 1, 1, 1.5])
    # 1.3 million spots: 0.1 % of each share.
    assert shares[1] == pytest.approx(wanted, rel=0.01)
    assert shares[1] != pytest.approx(shares[0], rel=0.01)
    assert scaled.visible == pytest.approx(plain.visible, rel=1e-9)


def test_groups_share_a_depth_and_their_number_is_that_of_the_law() -> None:
    """Depth fluctuates as with one spot per group, radii as with all spots."""
    geometry = handmade.detector("block")
    groups = handmade.component(spot_groups.NAMES, [np.log(3.0), 0.0, 0.0, 0.0])
    particles = beam(geometry, 1500)
    plain, grouped = (corrected(geometry, particles, seed=4, **c) for c in ({}, {"spot_groups": groups}))
    assert grouped.hits.n_hits.mean() == pytest.approx(3 * plain.hits.n_hits.mean(), rel=0.01)
    assert grouped.visible == pytest.approx(plain.visible, rel=1e-9)
    spread = {}
    for name, showers in (("plain", plain), ("grouped", grouped)):
        s, r = along_and_radius(showers)
        total = showers.visible
        for what, chosen in (("deep", s > 130.0), ("wide", r > 0.3 * geometry.material.moliere_radius)):
            share = np.bincount(showers.hits.shower, weights=showers.hits.e * chosen, minlength=len(particles)) / total
            spread[name, what] = share.std()
    # A standard deviation from 1500 showers is known to 1.8 %, the ratio of two to 2.6 %.
    assert spread["grouped", "deep"] / spread["plain", "deep"] == pytest.approx(1.0, abs=0.1)
    assert spread["grouped", "wide"] / spread["plain", "wide"] == pytest.approx(np.sqrt(1 / 3), abs=0.06)


def test_corrections_that_change_nothing_leave_the_laws_as_they_are() -> None:
    geometry = handmade.detector("planar")
    idle = {
        "layer_factors": handmade.component([], [], orders=[-1] * geometry.n_layers, reference=[1.6, 0.1, 1.4, 0.1]),
        "radial_warp": nodes(np.zeros(radial_warp.U_HATS.shape[1])),
        "spot_groups": handmade.component(spot_groups.NAMES, [0.0, 0.0, 0.0, 0.0]),
    }
    plain, same = (corrected(geometry, beam(geometry, 400), seed=5, **c) for c in ({}, idle))
    assert same.hits.n_hits.tolist() == plain.hits.n_hits.tolist()
    radii = [along_and_radius(s)[1] for s in (plain, same)]
    depths = [s.hits.z + np.random.default_rng(1).normal(0, 1e-6, len(s.hits.z)) for s in (plain, same)]
    assert ks_2samp(*radii).pvalue > LEVEL
    assert ks_2samp(*depths).pvalue > LEVEL
    assert ks_2samp(radii[0], 1.05 * radii[1]).pvalue < FAR


# Modulation in phi


def phased_showers(n: int, **values: float) -> tuple[Geometry, Particles, np.ndarray, np.ndarray]:
    """Showers of 30 GeV at all phi, their energies per layer (n, 3), and their phases."""
    geometry = handmade.detector("phased")
    part = handmade.part(geometry, eta=(0.20, 0.25), width=0.02)
    part = replace(part, components={**part.components, "modulation": handmade.modulation(**values)})
    primaries = Particles.gun(
        pdg=22, energy=30_000.0, eta=0.225, phi=np.random.default_rng(1).uniform(-np.pi, np.pi, n)
    )
    hits = TunedGenerator(handmade.tune(geometry, part)).generate(primaries, seed=1).hits
    energies = np.bincount(3 * hits.shower + hits.layer, weights=hits.e, minlength=3 * n).reshape(n, 3)
    return geometry, primaries, energies, modulation.phases(geometry, primaries)


def test_total_and_layers_follow_the_modulation_of_the_tune() -> None:
    """Layer by layer, not only within layers; strips and middle exchange energy that the shower keeps."""
    laws = {"total_a10": 0.02, "layer1_a10": -0.12, "layer1_b10": 0.03, "layer2_a10": 0.02 + 0.01}
    _, primaries, energies, psi = phased_showers(20_000, **laws)
    points = energy_points(primaries.energy)
    amplitude, error, *_ = phase_profile.harmonics_test(energies.sum(axis=1), primaries.energy, psi[:, 0], points, 3)
    assert error[0, 0] < 5e-4
    assert amplitude[0, 0] == pytest.approx(0.02, abs=4 * error[0, 0])
    assert (np.abs(amplitude / error).ravel()[1:] < 4).all()
    # What a layer shows: the total's curve times its own over the mean of all, weighted with what they hold.
    share = energies.mean(axis=0) / energies.mean(axis=0).sum()
    grid = 2 * np.pi * np.arange(360) / 360
    curves = np.ones((3, 360))
    curves[0] = np.exp(-0.12 * np.cos(grid) + 0.03 * np.sin(grid))
    curves[1] = np.exp(0.03 * np.cos(grid))
    seen = np.exp(0.02 * np.cos(grid)) * curves / (share @ curves)
    for layer in (0, 1, 2):
        expected = [2 * np.mean(seen[layer] / seen[layer].mean() * f(grid)) for f in (np.cos, np.sin)]
        amplitude, error, *_ = phase_profile.harmonics_test(
            energies[:, layer], primaries.energy, psi[:, 1 + layer], points, 1
        )
        assert amplitude[0] == pytest.approx(expected, abs=4 * error[0].max() + 0.003)


def test_a_modulation_leaves_the_mean_over_phi_as_it_is() -> None:
    _, _, with_it, _ = phased_showers(8000, total_a10=0.05, layer1_a10=-0.2)
    _, _, without, _ = phased_showers(8000, total_a10=0.0)
    assert with_it.sum(axis=1).mean() == pytest.approx(without.sum(axis=1).mean(), rel=4 * 0.05 / np.sqrt(2 * 8000))
    assert with_it[:, 0].mean() == pytest.approx(without[:, 0].mean(), rel=0.01)
    assert with_it.sum(axis=1).std() > 1.5 * without.sum(axis=1).std()


# Photons: conversion, marginals


def converting(geometry: Geometry, k: float, **changes: float) -> Fit:
    names = (*handmade.part(geometry).components["longitudinal"].names, *conversion.EXTRA)
    values = dict(zip(names, [-1.8, 1.0, 0.2, 0.55, 1e9, 0.0, 1e9, 0.0, 0.0, 0.0, k, 0.0, 0.0], strict=True)) | changes
    return handmade.component(names, list(values.values()))


def first_depths(showers: Showers) -> np.ndarray:
    """Path to the first spot of every shower, mm."""
    s, _ = along_and_radius(showers)
    first = np.full(len(showers.particles), np.inf)
    np.minimum.at(first, showers.hits.shower, s)
    return first


def test_showers_begin_where_their_photon_converts() -> None:
    geometry = handmade.detector("block")
    photons = beam(geometry, 3000)
    mean = 0.9 * 9 / 7 * (1 + 0.05 * 10**-0.88)
    x0 = geometry.material.radiation_length

    def late(k: float) -> np.ndarray:
        showers = corrected(geometry, photons, conversion=converting(geometry, k))
        return (first_depths(showers) - 30.0) / x0  # particles start 30 mm in front

    found = late(0.9)
    for depth in (2.0, 4.0):
        # Nothing lies in front of the conversion, and the first of 600 spots within 0.8 X0 behind it.
        wanted = np.exp(-depth / mean)
        error = np.sqrt(wanted / 3000)
        assert wanted - 4 * error < (found > depth).mean() < np.exp(-(depth - 0.8) / mean) + 4 * error
    assert (late(1.3) > 4.0).mean() > np.exp(-3.2 / mean) + 0.01


def test_profiles_behind_the_conversion_follow_gamma_and_pair() -> None:
    geometry = handmade.detector("block")
    showers = corrected(geometry, beam(geometry, 400), conversion=converting(geometry, 1e-6))
    depth = (along_and_radius(showers)[0] - 30.0) / geometry.material.radiation_length
    ln_y = np.log(10_000.0 / geometry.material.critical_energy)
    t, alpha, pair = ln_y - 1.8, 0.2 + 0.55 * ln_y, 2.0 * np.exp(-ln_y)
    edge = 230.0 / geometry.material.radiation_length

    def cumulative(x: np.ndarray, share: float) -> np.ndarray:
        return gammainc(alpha, (alpha - 1) / t * x) + share * -np.expm1(-x)

    def p_value(share: float) -> float:
        inside = depth < 20.0
        return kstest(depth[inside], lambda x: cumulative(x, share) / cumulative(np.array(20.0), share)).pvalue

    assert edge > 20.0
    assert p_value(pair) > LEVEL
    assert p_value(10 * pair) < FAR


def test_tabulated_marginals_replace_normal_ones() -> None:
    geometry = handmade.detector("block")
    part = handmade.part(geometry, spots=3000.0)
    z = shape_marginals.Z
    late = np.where(z > 0, 1.5 * z, 0.5 * z)
    arrays = {"ln_y": np.array([7.0]), "t": late[None], "alpha": z[None], "copula": np.ones(1)}
    photons = beam(geometry, 2000)

    def mean_depths(tune_part: SliceTune) -> np.ndarray:
        showers = TunedGenerator(handmade.tune(geometry, tune_part)).generate(photons, seed=3)
        s, _ = along_and_radius(showers)
        return np.bincount(showers.hits.shower, weights=s, minlength=2000) / np.bincount(showers.hits.shower)

    plain = mean_depths(part)
    skewed = mean_depths(replace(part, tables={"shape_marginals": Tables(arrays)}))
    # The same normal numbers: showers on the late side move further away, those on the early side come closer.
    order = np.argsort(plain)
    middle = np.median(plain)
    assert np.all(skewed[order[-500:]] > plain[order[-500:]] - 0.02 * middle)
    spread = [np.quantile(q, 0.84) - np.median(q) for q in (skewed, plain)]
    assert spread[0] / spread[1] == pytest.approx(1.35, abs=0.2)
    assert (np.median(skewed) - np.quantile(skewed, 0.16)) / (middle - np.quantile(plain, 0.16)) < 0.85
