"""The toy showers follow the laws they claim: without this, no closure test means anything."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import toys
import uproot
from scipy.special import gammainc
from scipy.stats import kstest

from fastparam.geometry.detector import Geometry
from fastparam.geometry.frames import local_frames
from fastparam.geometry.load import load_geometry
from fastparam.hits.hits import Hits
from fastparam.particles import Particles

#: Each statistical test would fail once in a thousand seeds; the seeds are fixed.
LEVEL = 1e-3
LAW = toys.Law()


@pytest.fixture
def block(tiny_block: Path) -> tuple[Geometry, Particles, Hits]:
    geometry = load_geometry(tiny_block)
    particles = toys.gun(geometry, n=20, seed=3)
    return geometry, particles, toys.shower_batch(geometry, particles, seed=3)


def depth_quantiles(block: tuple[Geometry, Particles, Hits], *, t_max_scale: float = 1.0) -> np.ndarray:
    """Quantile of every spot in its own shower's law, restricted to the block."""
    geometry, particles, hits = block
    t_max, alpha = toys.true_shapes(geometry, particles, seed=3)
    beta = (alpha - 1) / (t_max * t_max_scale)
    depth = hits.z / geometry.material.radiation_length
    end = 230.0 / geometry.material.radiation_length
    return gammainc(alpha[hits.shower], beta[hits.shower] * depth) / gammainc(alpha, beta * end)[hits.shower]


def test_depths_follow_the_gamma_law_of_each_shower(block: tuple[Geometry, Particles, Hits]) -> None:
    assert kstest(depth_quantiles(block), "uniform").pvalue > LEVEL


def test_depths_do_not_follow_a_gamma_law_with_another_maximum(block: tuple[Geometry, Particles, Hits]) -> None:
    assert kstest(depth_quantiles(block, t_max_scale=1.03), "uniform").pvalue < 1e-6


@pytest.mark.parametrize(("core_scale", "follows"), [(1.0, True), (1.1, False)])
def test_radii_follow_the_two_component_law(
    block: tuple[Geometry, Particles, Hits], core_scale: float, follows: bool
) -> None:
    geometry, particles, hits = block
    t_max, _ = toys.true_shapes(geometry, particles, seed=3)
    tau = hits.z / geometry.material.radiation_length / t_max[hits.shower]
    x, y = particles.position[hits.shower, 0], particles.position[hits.shower, 1]
    square = ((hits.x - x) ** 2 + (hits.y - y) ** 2) / geometry.material.moliere_radius**2

    def component(radius: np.ndarray) -> np.ndarray:
        return square / (square + radius**2) * (LAW.r_max**2 + radius**2) / LAW.r_max**2

    p = LAW.core_weight(tau)
    quantiles = p * component(core_scale * LAW.core_radius(tau)) + (1 - p) * component(LAW.tail_radius(tau))
    assert (kstest(quantiles, "uniform").pvalue > LEVEL) == follows


def test_shapes_have_the_means_widths_and_correlation_of_the_law(tiny_block: Path) -> None:
    geometry = load_geometry(tiny_block)
    particles = toys.gun(geometry, energies=(10_000.0,), n=40_000, seed=5)
    ln_t, ln_alpha = np.log(toys.true_shapes(geometry, particles, seed=5))
    ln_y = np.log(10_000.0 / geometry.material.critical_energy)
    sigma_t, sigma_alpha = 1 / (-1.4 + 1.26 * ln_y), 1 / (-0.58 + 0.86 * ln_y)
    assert ln_t.mean() == pytest.approx(np.log(-0.812 + ln_y), abs=4 * sigma_t / 200)
    assert ln_alpha.mean() == pytest.approx(np.log(0.81 + 0.49 * ln_y), abs=4 * sigma_alpha / 200)
    assert ln_t.std() == pytest.approx(sigma_t, rel=4 / np.sqrt(80_000))
    assert ln_alpha.std() == pytest.approx(sigma_alpha, rel=4 / np.sqrt(80_000))
    assert np.corrcoef(ln_t, ln_alpha)[0, 1] == pytest.approx(0.705 - 0.023 * ln_y, abs=0.02)


def test_visible_energy_has_the_mean_and_width_of_the_law(tiny_block: Path) -> None:
    geometry = load_geometry(tiny_block)
    particles = toys.gun(geometry, energies=(4000.0,), n=2000, seed=6)
    hits = toys.shower_batch(geometry, particles, seed=6, n_spots=50)
    complete = hits.e[hits.offsets[:-1]] * 50  # all spots of a shower are equal
    assert complete.mean() == pytest.approx(200.0, rel=4 * 0.05 / np.sqrt(2000))
    assert complete.std() == pytest.approx(10.0, rel=4 / np.sqrt(4000))


def test_every_spot_of_a_stack_lies_in_its_silicon_plate(tiny_planar: Path) -> None:
    geometry = load_geometry(tiny_planar)
    inclined = Particles.gun(pdg=22, energy=20_000.0, n=20, direction=(0.4, -0.2, 1.0), position=(0, 0, -1))
    hits = toys.shower_batch(geometry, inclined, seed=7)
    front = 3.7 * hits.layer + 3.2
    assert np.all((hits.z > front - 1e-9) & (hits.z < front + 0.5 + 1e-9))


def test_every_spot_of_a_barrel_lies_in_its_layer_and_none_in_the_cryostat(tiny_barrel: Path) -> None:
    geometry = load_geometry(tiny_barrel)
    hits = toys.shower_batch(geometry, toys.gun(geometry, n=20, seed=8), seed=8)
    edges = np.array([1500.0, 1590.0, 1800.0, 1960.0])
    assert np.array_equal(np.digitize(np.hypot(hits.x, hits.y), edges) - 1, hits.layer)
    assert set(hits.layer) == {0, 1, 2}


@pytest.mark.parametrize("detector", ["tiny_planar", "tiny_barrel"])
def test_transverse_axes_are_those_of_the_shower_frame(detector: str, request: pytest.FixtureRequest) -> None:
    geometry = load_geometry(request.getfixturevalue(detector))
    lines = Particles.gun(pdg=22, energy=1.0, eta=[1.5, 2.0, 2.5], phi=[0.3, -2.0, 3.0], position=(0, 0, -1))
    frames = local_frames(geometry, lines)
    for i in range(3):
        e1, e2 = toys.transverse_axes(geometry, lines.direction[i])
        assert e1 == pytest.approx(frames.e1[i], abs=1e-12)
        assert e2 == pytest.approx(frames.e2[i], abs=1e-12)


def test_the_same_seed_makes_the_same_showers_and_another_seed_others(tiny_barrel: Path) -> None:
    geometry = load_geometry(tiny_barrel)
    particles = toys.gun(geometry, n=2, seed=1)
    first, again, other = (toys.shower_batch(geometry, particles, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.x, again.x)
    assert not np.array_equal(first.e, other.e)


@pytest.mark.parametrize(("text", "tree", "branch"), [("BARREL", "showers", "hit_e"), ("BLOCK", "hits", "edep")])
def test_files_hold_the_energies_of_the_batch(tmp_path: Path, text: str, tree: str, branch: str) -> None:
    path = toys.write_detector(tmp_path, getattr(toys, text), n=3, seed=9)
    geometry = load_geometry(path)
    batch = toys.shower_batch(geometry, toys.gun(geometry, n=3, seed=9), seed=9)
    with uproot.open(tmp_path / "toy.root") as file:
        written = np.asarray([value for row in file[tree][branch].array() for value in np.atleast_1d(row)])
    assert np.array_equal(written, batch.e)
