"""Equal random numbers give equal spots: the exported sampler against the Python sampler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cplusplus
import handmade
import numpy as np
import pytest
from exported_tunes import with_values
from scipy.special import gammainc

from fastparam.errors import OutOfDomainError
from fastparam.export import export_geant4
from fastparam.generate import TunedGenerator
from fastparam.generate.domain import plan
from fastparam.particles import Particles
from fastparam.tunes.tune import Tune

pytestmark = [
    cplusplus.needs_compiler,
    pytest.mark.filterwarnings("ignore:.*inclined by:fastparam.errors.FastparamWarning"),
]

Sampler = Callable[[str], tuple[Tune, Path]]

#: Agreement asked for; what is left are last digits of two mathematical libraries, mm and MeV.
EXACT = 1e-6


def particles(name: str, n: int = 24) -> Particles:
    """Particles over the whole domain of a tune of `exported_tunes.TUNES`."""
    rng = np.random.default_rng(7)
    energy = np.geomspace(1000.0, 100_000.0, n)
    pdg = {"barrel": [11, -11, 22], "phased": [11, 22], "block": [11, 22], "stack": [-11, 22], "fixed": [11]}.get(
        name, [22]
    )
    codes = np.resize(pdg, n)
    if name in ("barrel", "roll", "phased", "tabulated", "converted"):
        eta = rng.uniform(0.2, 0.25, n) if name == "roll" else rng.uniform(0.196, 0.454, n)
        eta *= rng.choice([-1.0, 1.0], n)  # slices are those of one side
        phi = rng.uniform(-3.0, 3.0, n)
        direction = np.column_stack([np.cos(phi), np.sin(phi), np.sinh(eta)])
        return Particles.build(pdg=codes, energy=energy, position=rng.normal(0.0, 10.0, (n, 3)), direction=direction)
    angle, azimuth = rng.uniform(0.0, 0.6, n), rng.uniform(-3.0, 3.0, n)
    angle[: n // 2] = np.deg2rad(20.0)
    sine = np.sin(angle)
    direction = np.column_stack([sine * np.cos(azimuth), sine * np.sin(azimuth), np.cos(angle)])
    position = np.column_stack([rng.uniform(-20.0, 20.0, (n, 2)), np.full(n, -30.0)])
    return Particles.build(pdg=codes, energy=energy, position=position, direction=direction)


@pytest.mark.parametrize("name", ["barrel", "phased", "block", "stack", "two_media", "roll", "tabulated", "converted"])
def test_equal_random_numbers_give_equal_spots(sampler: Sampler, name: str) -> None:
    tune, program = sampler(name)
    primaries = particles(name)
    python = TunedGenerator(tune).generate(primaries, seed=5)
    cpp = cplusplus.Showers(program, primaries, seed=5)
    assert (cpp.verdict == 0).all()
    assert cpp.n_spots == pytest.approx(python.hits.n_hits)
    assert cpp.layer == pytest.approx(python.hits.layer)
    assert np.where(cpp.n_spots > 0, cpp.visible, 0.0) == pytest.approx(python.visible, rel=EXACT)
    for axis in ("x", "y", "z", "e"):
        assert getattr(cpp, axis) == pytest.approx(getattr(python.hits, axis), abs=EXACT, rel=0.0)


def test_the_response_depends_on_phi_in_both(sampler: Sampler) -> None:
    """One period of a photon's phi: visible energies follow exp(0.02 cos) over I0(0.02), layers their own curves."""
    tune, program = sampler("phased")
    phi = 2 * np.pi / 512 * np.arange(64) / 64
    energy = np.full(64, 10_000.0)
    primaries = Particles.gun(pdg=22, energy=energy, eta=0.225, phi=phi).with_index(np.zeros(64))
    for visible in (
        TunedGenerator(tune).generate(primaries, seed=1).visible,
        cplusplus.Showers(program, primaries, seed=1).visible,
    ):
        curve = np.exp(0.02 * np.cos(2 * np.pi * np.arange(64) / 64))
        assert visible / visible.mean() == pytest.approx(curve / curve.mean(), rel=1e-9)


def test_empty_showers_occur_and_are_empty_in_both(sampler: Sampler) -> None:
    tune, program = sampler("stack")
    primaries = Particles.gun(pdg=22, energy=50_000.0, n=400, position=(0, 0, -1), direction=(0, 0, 1))
    python = TunedGenerator(tune).generate(primaries, seed=2).hits.n_hits == 0
    cpp = cplusplus.Showers(program, primaries, seed=2).n_spots == 0
    assert 5 < python.sum() < 100
    assert (cpp == python).all()


def test_a_constant_that_is_wrong_in_the_sixth_digit_shows(tmp_path: Path) -> None:
    """Negative control: the export of another tune is not taken for this one."""
    geometry = handmade.detector("two_media")
    part = handmade.part(geometry)
    wrong = with_values(part.components["longitudinal"], t0=part.components["longitudinal"]["t0"] * (1 + 1e-6))
    other = handmade.tune(geometry, replace(part, components={**part.components, "longitudinal": wrong}))
    written = export_geant4(other, tmp_path / "cpp")
    include = (tmp_path / "cpp" / "include" / written.namespace,)
    program = tmp_path / "showers"
    cplusplus.compile_cpp(program, cplusplus.HERE / "showers.cc", include=include, define=f"TUNE={written.namespace}")
    primaries = particles("two_media", 8)
    python = TunedGenerator(handmade.tune(geometry, part)).generate(primaries, seed=5).hits
    assert np.abs(cplusplus.Showers(program, primaries, seed=5).z - python.z).max() > EXACT


def test_a_photon_leaves_nothing_in_front_of_its_conversion(sampler: Sampler) -> None:
    tune, program = sampler("converted")
    primaries = Particles.gun(pdg=22, energy=10_000.0, n=200, eta=0.22, phi=0.0)
    showers = cplusplus.Showers(program, primaries, seed=4)
    # 0.7 X0 of aluminium and 10 X0 of lead and argon: a third of the photons reaches the first layer unconverted.
    depth = 60.0 / 88.97 * np.cosh(0.22)
    waits = np.array([e.min() for e in np.split(showers.path, np.cumsum(showers.n_spots)[:-1])])
    mean_free_path = 0.9 * 9 / 7 * (1 + 0.05 * 10**-0.88)
    assert tune.pdgs == (22,)
    assert waits.min() > 0.0
    # The start is drawn from the whole calorimeter's depth.
    assert showers.start.mean() == pytest.approx(mean_free_path, abs=4 * mean_free_path / np.sqrt(200))
    assert (showers.start > depth).mean() == pytest.approx(np.exp(-depth / mean_free_path), abs=0.14)


# Domain


@pytest.mark.parametrize("name", ["barrel", "stack"])
def test_the_domain_is_that_of_the_tune(sampler: Sampler, name: str) -> None:
    tune, program = sampler(name)
    rng = np.random.default_rng(11)
    n = 400
    energy = np.exp(rng.uniform(np.log(900.0), np.log(110_000.0), n))
    pdg = rng.choice([11, -11, 22, 13], n)
    if name == "barrel":
        eta, phi = rng.uniform(0.1, 0.5, n), rng.uniform(-3.0, 3.0, n)
        direction = np.column_stack([np.cos(phi), np.sin(phi), np.sinh(eta)])
        primaries = Particles.build(pdg=pdg, energy=energy, position=np.zeros(3), direction=direction)
    else:
        direction = np.column_stack([rng.normal(0.0, 0.8, (n, 2)), np.ones(n)])
        primaries = Particles.build(pdg=pdg, energy=energy, position=(0.0, 0.0, -5.0), direction=direction)
    inside = []
    for row in range(n):
        try:
            plan(tune, primaries.take([row]))
            inside.append(True)
        except OutOfDomainError:
            inside.append(False)
    assert 50 < sum(inside) < n - 50
    assert ((cplusplus.Showers(program, primaries, seed=1).verdict == 0) == inside).all()


@pytest.mark.parametrize(
    ("pdg", "energy", "position", "direction", "verdict"),
    [
        (13, 10_000.0, (0, 0, -1), (0, 0, 1), 1),
        (11, 980.0, (0, 0, -1), (0, 0, 1), 2),
        (11, 102_000.0, (0, 0, -1), (0, 0, 1), 2),
        (11, 10_000.0, (0, 0, -1), (0, 0.9, 0.4), 4),
        (11, 10_000.0, (0, 0, 50), (0, 0, -1), 4),
        (11, 10_000.0, (0, 0, 230.5), (0, 0, 1), 4),
        (-11, 990.5, (0, 0, 229.0), (0, 0, 1), 0),
    ],
    ids=["muon", "low", "high", "steep", "backwards", "behind", "positron"],
)
def test_what_is_not_parametrised(
    sampler: Sampler, pdg: int, energy: float, position: object, direction: object, verdict: int
) -> None:
    particle = Particles.build(pdg=pdg, energy=energy, position=position, direction=direction)
    assert cplusplus.Showers(sampler("fixed")[1], particle, seed=1).verdict == [verdict]


def test_particles_born_in_a_barrel_have_to_go_outwards(sampler: Sampler) -> None:
    outward = np.array([np.cos(0.3), np.sin(0.3), np.sinh(0.22)])
    at = 1600.0 * np.array([np.cos(0.3), np.sin(0.3), 0.2])
    both = Particles.build(pdg=11, energy=5000.0, position=[at, at], direction=[outward, outward * [-1, -1, 1]])
    assert list(cplusplus.Showers(sampler("barrel")[1], both, seed=1).verdict) == [0, 4]


# Particles born inside


@pytest.mark.parametrize("degrees", [0.0, 20.0])
def test_a_shower_born_inside_starts_there_and_shows_what_the_rest_of_the_block_holds(
    sampler: Sampler, degrees: float
) -> None:
    tune, program = sampler("fixed")
    cosine = np.cos(np.deg2rad(degrees))
    direction = (np.sin(np.deg2rad(degrees)), 0.0, cosine)
    born = Particles.gun(pdg=11, energy=20_000.0, n=40, position=(3.0, 0.0, 150.0), direction=direction)
    showers = cplusplus.Showers(program, born, seed=3)
    x0, beta = tune.geometry.material.radiation_length, 3.0 / 6.0
    front, rest = (gammainc(4.0, beta * d / cosine / x0) for d in (230.0, 80.0))
    assert showers.visible == pytest.approx(np.full(40, 18_000.0 * rest / front), rel=1e-6)
    assert showers.path.min() > 0.0
    depth = showers.path / x0
    assert np.median(depth) == pytest.approx(
        np.interp(0.5, gammainc(4.0, beta * (grid := np.linspace(0, 80 / cosine / x0, 999))) / rest, grid), abs=0.1
    )


def test_a_shower_from_the_front_is_not_reduced(sampler: Sampler) -> None:
    """Negative control of the test above."""
    primaries = Particles.gun(pdg=11, energy=20_000.0, n=3, position=(0, 0, 0), direction=(0, 0, 1))
    assert cplusplus.Showers(sampler("fixed")[1], primaries, seed=3).visible == pytest.approx([18_000.0] * 3, rel=1e-9)
