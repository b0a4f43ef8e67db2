"""Stock GFlash by its name: what is loaded, what is refused, and showers that everything else can take."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import fastparam as fp
from fastparam.errors import FastparamWarning, GeometryError, OutOfDomainError, UsageError
from fastparam.generate.protocol import Generator
from fastparam.generate.stock import StockGFlash, load_stock
from fastparam.particles import Particles

NAMES = ["gflash:siw", "gflash:siw?convention=geant4", "gflash:pbwo4", "gflash:pbwo4?convention=geant4"]


def electrons(n: int = 20, **options: object) -> Particles:
    return Particles.gun(**({"pdg": 11, "energy": 2000.0, "direction": (0, 0, 1), "n": n} | options))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NAMES)
def test_load_gives_a_generator(name: str) -> None:
    generator = fp.load(name)
    assert isinstance(generator, Generator)
    assert isinstance(generator, StockGFlash)
    convention = "geant4" if "geant4" in name else "paper"
    assert generator.name == f"gflash:{generator.geometry.name}, {convention}"
    assert repr(generator) == f"<stock GFlash {generator.name}>"


def test_a_path_works_as_well_as_a_name(tiny_planar: Path) -> None:
    assert load_stock(f"gflash:{tiny_planar}").geometry.path == tiny_planar
    assert load_stock(f"gflash:{tiny_planar}?convention=paper").name == "gflash:tiny_planar, paper"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gflash:", "names no geometry"),
        ("gflash:siw?", r"option '' has no value; expected \?key=value"),
        ("gflash:siw?convnetion=geant4", "unknown option 'convnetion' .did you mean 'convention'"),
        ("gflash:siw?convention=geant", "unknown convention 'geant' .did you mean 'geant4'"),
    ],
)
def test_other_names_are_refused(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        fp.load(name)


def test_a_geometry_that_is_not_there() -> None:
    with pytest.raises(GeometryError, match="no such file, and no shipped geometry"):
        fp.load("gflash:nowhere.yaml")


@pytest.mark.parametrize("name", NAMES)
def test_hits_lie_in_their_layers(name: str) -> None:
    generator = fp.load(name)
    direction = (np.sin(0.35), 0.0, np.cos(0.35))
    hits = generator.generate(electrons(direction=direction), seed=1).hits
    geometry = generator.geometry
    assert len(hits) == 20
    assert (hits.n_hits > 0).all()
    assert (hits.e > 0).all()
    slack = 1e-9
    assert (hits.z >= geometry.layer_from[hits.layer] - slack).all()
    assert (hits.z <= geometry.layer_to[hits.layer] + slack).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_bits_for_any_split(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    generator, particles = fp.load(name), electrons(12)
    whole = generator.generate(particles, seed=7).hits
    monkeypatch.setattr("fastparam.generate.stock._SHOWERS_AT_A_TIME", 5)
    split = generator.generate(particles, seed=7).hits
    for field in ("x", "y", "z", "e", "layer", "offsets"):
        assert np.array_equal(getattr(whole, field), getattr(split, field))
    other = generator.generate(particles, seed=8).hits
    assert not np.array_equal(whole.n_hits, other.n_hits) or not np.array_equal(whole.x, other.x)


def test_no_particles_give_no_showers() -> None:
    showers = fp.load("gflash:siw").generate(electrons().take(slice(0, 0)), seed=1)
    assert len(showers) == 0
    assert len(showers.hits) == 0


@pytest.mark.slow
def test_inclined_showers_keep_their_radii() -> None:
    generator = fp.load("gflash:pbwo4")
    quantiles = []
    for angle in (0.0, 0.35):
        particles = electrons(400, direction=(np.sin(angle), 0.0, np.cos(angle)))
        hits = generator.generate(particles, seed=3).hits
        across = np.hypot(hits.x * np.cos(angle) - hits.z * np.sin(angle), hits.y)
        quantiles.append(np.quantile(across, [0.5, 0.9]))
    assert quantiles[1] == pytest.approx(quantiles[0], rel=0.03)


def test_positrons_and_photons() -> None:
    paper, geant4 = fp.load("gflash:pbwo4"), fp.load("gflash:pbwo4?convention=geant4")
    for generator in (paper, geant4):
        same = [generator.generate(electrons(pdg=pdg), seed=1).hits.x for pdg in (11, -11)]
        assert np.array_equal(*same)
    assert len(paper.generate(electrons(pdg=22), seed=1)) == 20
    with pytest.raises(
        OutOfDomainError, match=r"particle 0: gflash:pbwo4, geant4 has no photon \(22\); expected electron"
    ):
        geant4.generate(electrons(pdg=22), seed=1)
    with pytest.raises(OutOfDomainError, match=r"has no pi\+ \(211\); expected electron, photon, positron"):
        paper.generate(electrons(pdg=211), seed=1)


def test_as_pdg_stands_in() -> None:
    stand_in = fp.load("gflash:pbwo4", as_pdg=11)
    showers = stand_in.generate(electrons(pdg=211), seed=1)
    assert (showers.particles.pdg == 211).all()
    assert np.array_equal(showers.hits.x, fp.load("gflash:pbwo4").generate(electrons(), seed=1).hits.x)


@pytest.mark.parametrize("energy", [99.0, 1.01e7])
@pytest.mark.parametrize("name", NAMES)
def test_energies_outside_are_refused(name: str, energy: float) -> None:
    particles = electrons(3, energy=np.array([2000.0, energy, 2000.0]))
    with pytest.raises(OutOfDomainError, match=re.escape(f"particle 1: kinetic energy {energy:g} MeV is outside")):
        fp.load(name).check(particles)


def test_domain_is_told_as_data() -> None:
    assert fp.load("gflash:pbwo4?convention=geant4").domain == [
        {"pdg": 11, "energy": [100.0, 1e7], "eta": None, "emits": "hits"}
    ]
    assert [entry["pdg"] for entry in fp.load("gflash:pbwo4").domain] == [11, 22]


def test_a_barrel_of_mixtures_needs_stock(tiny_barrel: Path) -> None:
    with pytest.raises(GeometryError, match=r"stock\.visible_fraction is missing: layer 'strips' is a mixture"):
        load_stock(f"gflash:{tiny_barrel}")
    tiny_barrel.write_text(tiny_barrel.read_text() + "stock: {c: 0.1, visible_fraction: 0.2}\n")
    particles = Particles.gun(pdg=22, energy=20_000.0, eta=0.3, phi=np.linspace(-3, 3, 50))
    paper = load_stock(f"gflash:{tiny_barrel}")
    showers = paper.generate(particles, seed=1)
    radius = np.hypot(showers.hits.x, showers.hits.y)
    layer = showers.hits.layer
    assert ((radius >= paper.geometry.layer_from[layer]) & (radius <= paper.geometry.layer_to[layer])).all()
    assert 0.15 < showers.visible.mean() / 20_000 < 0.2
    with pytest.warns(FastparamWarning, match="in front of the calorimeter"):
        geant4 = load_stock(f"gflash:{tiny_barrel}?convention=geant4")
    hits = geant4.generate(Particles.gun(pdg=11, energy=20_000.0, eta=0.3, n=20), seed=1).hits
    assert np.add.reduceat(hits.e, hits.offsets[:-1]).mean() == pytest.approx(20_000, rel=0.02)


@pytest.mark.slow
def test_the_conventions_differ() -> None:
    """Control: in silicon and tungsten by far more than their fluctuations, in depth, width and energy."""
    showers = [fp.load(name).generate(electrons(200), seed=1) for name in NAMES[:2]]
    visible = [s.visible.mean() for s in showers]
    assert visible[1] > 4 * visible[0]
    depth = [np.average(s.hits.z, weights=s.hits.e) for s in showers]
    assert depth[1] < 0.9 * depth[0]
