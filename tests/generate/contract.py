"""What every generator promises, as functions that fail when it does not; and one case per kind of generator.

A recipe is added by its name in `RECIPES`, another kind by a line in `CASES`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import networks
import numpy as np
import pytest
import toys

from fastparam.errors import OutOfDomainError
from fastparam.generate import Generator, TunedGenerator, load
from fastparam.geometry.cells import CellGrid
from fastparam.geometry.load import load_geometry
from fastparam.geometry.voxels import VoxelBinning
from fastparam.hits.batches import iterate
from fastparam.hits.hits import Hits
from fastparam.particles import Particles
from fastparam.showers import Showers
from fastparam.showers.formats import FORMATS
from fastparam.summary.sample import summarise_sample
from fastparam.tunes.fitting import fit_tune
from fastparam.tunes.recipe import load_recipe

#: Recipes of which a tune is made from toy showers, in both kinds of detectors.
RECIPES = ("gflash", "library", "voxel", "fastcalosim", "hybrid", "mosaic")


@dataclass(frozen=True)
class Case:
    """A generator, particles that it knows, and some that it does not.

    Attributes
    ----------
    generator : Generator
    particles : Particles
        In the domain; at least 12, of several energies.
    outside : dict of str to Particles
        By what the message has to say of the limit.
    tolerance : float
        Relative, of energies of the same shower in another batch; 0 for the same bits.
    random : bool
        Whether showers depend on the seed.
    """

    generator: Generator
    particles: Particles
    outside: dict[str, Particles]
    tolerance: float = 0.0
    random: bool = True


# Cases ----------------------------------------------------------------------------------------------------------------


def sample(folder: Path, text: str) -> Path:
    """Write toy showers of 4, 16 and 65 GeV; return the geometry.yaml."""
    return toys.write_detector(folder, text, n=60, n_spots=150)


def others(particles: Particles, *, energy: str, pdg: str) -> dict[str, Particles]:
    """Return particles with the energy and kind of the seventh changed."""
    heavy, strange = particles.energy.copy(), particles.pdg.copy()
    heavy[6], strange[6] = 1e8, 13
    return {energy: replace(particles, energy=heavy), pdg: replace(particles, pdg=strange)}


def tuned(recipe: str, text: str) -> Callable[[Path], Case]:
    """Return the case of a recipe, tuned on toy showers."""

    def case(folder: Path) -> Case:
        geometry = load_geometry(sample(folder, text))
        eta = [(0.2, 0.25)] if geometry.frame == "barrel" else None
        chosen = load_recipe(recipe)
        summary = summarise_sample(geometry, keep_hits=chosen.needs_hits)
        tune = fit_tune(geometry, summary, chosen, slices=eta, quiet=True)
        particles = toys.gun(geometry, n=6, seed=5)
        limits = others(particles, energy=r"outside 3960 to 65650 MeV", pdg=r"it knows photon \(22\)")
        return Case(TunedGenerator(tune), particles, limits)

    return case


def stock(folder: Path) -> Case:
    """Return stock GFlash in a homogeneous block."""
    generator = load(f"gflash:{sample(folder, toys.BLOCK)}")
    particles = toys.gun(generator.geometry, pdg=11, energies=(4000.0, 16_000.0), n=8, seed=5)
    high = generator.domain[0]["energy"][1]
    return Case(generator, particles, others(particles, energy=re.escape(f"to {high:g} MeV"), pdg="expected"))


def replay(folder: Path) -> Case:
    """Return toy showers drawn again."""
    path = sample(folder, toys.BARREL)
    generator = load(f"replay:{folder / 'toy.root'}?geometry={path}")
    particles = toys.gun(generator.geometry, n=6, seed=5)
    limits = others(particles, energy="outside 3960 to 65650 MeV", pdg=r"it knows photon \(22\)")
    return Case(generator, particles, limits)


def onnx(folder: Path) -> Case:
    """Return a small network in ONNX."""
    return _network(load(networks.write(folder)))


def lwtnn(folder: Path) -> Case:
    """Return a small network of lwtnn."""
    quantities = [networks.LATENT, networks.ENERGY, {"quantity": "constant"}]
    path = networks.write(folder, network="gan.json", file=networks.generator_file(), inputs={"inputs": quantities})
    return _network(load(path))


def _network(generator: Generator) -> Case:
    particles = toys.gun(generator.geometry, n=6, seed=5)
    limits = others(particles, energy="outside 1000 to 100000 MeV", pdg=r"it knows photon \(22\)")
    return Case(generator, particles, limits, tolerance=1e-5)


def file(suffix: str) -> Callable[[Path], Case]:
    """Return the case of a file of toy showers."""

    def case(folder: Path) -> Case:
        geometry = load_geometry(sample(folder, toys.BARREL))
        (batch,) = iterate(geometry)
        showers = Showers(batch.particles, batch.hits, geometry)
        path = folder / f"showers{suffix}"
        form = "hits" if suffix in (".root", ".parquet") else showers.binning
        with FORMATS[suffix].open(path, geometry, form, 22, {}) as writer:
            writer.write(showers)
        generator = load(path, geometry=geometry)
        particles = generator.particles.take(slice(0, 18))
        limits = others(particles, energy="another energy", pdg="another kind of particle")
        return Case(generator, particles, limits, random=False)

    return case


CASES: dict[str, Callable[[Path], Case]] = {
    **{f"{recipe} in a stack": tuned(recipe, toys.PLANAR) for recipe in RECIPES},
    **{f"{recipe} in a barrel": tuned(recipe, toys.BARREL) for recipe in RECIPES},
    "stock": stock,
    "replay": replay,
    "onnx": onnx,
    "lwtnn": lwtnn,
    **{f"file {suffix}": file(suffix) for suffix in FORMATS},
}


# Promises -------------------------------------------------------------------------------------------------------------


def content(showers: Showers) -> list[np.ndarray]:
    """Return each shower as one table: of its hits (x, y, z, e, layer), or of its voxels."""
    if showers.emits == "voxels":
        return [row[:, None] for row in showers.voxels()]
    hits = showers.hits
    table = np.stack([hits.x, hits.y, hits.z, hits.e, hits.layer], axis=1)
    return [table[a:b] for a, b in zip(hits.offsets[:-1], hits.offsets[1:], strict=True)]


def assert_same(first: list[np.ndarray], second: list[np.ndarray], tolerance: float) -> None:
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        if tolerance:
            np.testing.assert_allclose(one, other, rtol=tolerance)
        else:
            np.testing.assert_array_equal(one, other)


def keeps_its_protocol(case: Case) -> None:
    """It has the attributes of the protocol, and its domain is data that holds the case's particles."""
    generator = case.generator
    assert isinstance(generator, Generator)
    assert json.loads(json.dumps(generator.domain)) == generator.domain
    entries = generator.domain
    for p in range(len(case.particles)):
        assert any(
            entry["pdg"] in (None, case.particles.pdg[p], -case.particles.pdg[p])
            and entry["energy"][0] <= case.particles.energy[p] <= entry["energy"][1]
            for entry in entries
        )
    showers = generator.generate(case.particles, seed=1)
    assert isinstance(showers, Showers)
    assert showers.particles is case.particles
    assert {entry["emits"] for entry in entries} == {showers.emits}


def same_seed_same_showers(case: Case) -> None:
    """However particles are cut into batches and ordered, a shower depends on its own number only."""
    generator, particles = case.generator, case.particles
    n = len(particles)
    whole = content(generator.generate(particles, seed=7))
    assert_same(content(generator.generate(particles, seed=7)), whole, case.tolerance)
    for rows in ([0], [n - 1], list(range(5)), [8, 3, 5], list(range(n - 1, -1, -1))):
        part = content(generator.generate(particles.take(rows), seed=7))
        assert_same(part, [whole[row] for row in rows], case.tolerance)


def other_seed_other_showers(case: Case) -> None:
    """Seed and number decide: neither another seed nor another number gives the same showers."""
    generator, particles = case.generator, case.particles
    if not case.random:
        return
    whole = content(generator.generate(particles, seed=7))
    moved = particles.with_index(particles.index + 1000)
    for showers in (generator.generate(particles, seed=8), generator.generate(moved, seed=7)):
        different = [
            a.shape != b.shape or not np.array_equal(a, b) for a, b in zip(content(showers), whole, strict=True)
        ]
        assert np.mean(different) > 0.8


def no_particles_no_showers(case: Case) -> None:
    """An empty list of particles is no error."""
    nobody = case.particles.take(slice(0, 0))
    case.generator.check(nobody)
    showers = case.generator.generate(nobody, seed=1)
    assert len(showers) == len(showers.hits) == len(showers.visible) == 0
    assert showers.voxels(binning_of(showers)).shape[0] == 0


def refuses_what_it_does_not_know(case: Case) -> None:
    """One error, from `check` and `generate` alike, with the number of the particle and the limit."""
    assert case.outside
    for limit, particles in case.outside.items():
        numbered = particles.with_index(particles.index)
        messages = []
        for ask in (case.generator.check, lambda p: case.generator.generate(p, seed=1)):
            with pytest.raises(OutOfDomainError, match=limit) as caught:
                ask(numbered)
            messages.append(str(caught.value))
        assert messages[0] == messages[1]
        assert messages[0].startswith(f"particle {particles.index[6]}: ")
    case.generator.check(case.particles)


def energies_are_energies(case: Case) -> None:
    """Finite and not negative; and there are some."""
    showers = case.generator.generate(case.particles, seed=3)
    assert np.isfinite(showers.visible).all()
    assert (showers.visible >= 0.0).all()
    assert showers.visible.max() > 0.0
    assert showers.visible.max() < 1.5 * case.particles.energy.max()
    values = showers.voxels() if showers.emits == "voxels" else showers.hits.e
    assert np.isfinite(values).all()
    assert (values >= 0.0).all()


def hits_lie_in_their_layers(case: Case) -> None:
    """To a thousandth of a millimetre, which is what files keep."""
    showers = case.generator.generate(case.particles, seed=3)
    hits, geometry = showers.hits, showers.geometry
    assert ((hits.layer >= 0) & (hits.layer < geometry.n_layers)).all()
    level = np.hypot(hits.x, hits.y) if geometry.frame == "barrel" else hits.z
    assert (level >= geometry.layer_from[hits.layer] - 1e-3).all()
    assert (level <= geometry.layer_to[hits.layer] + 1e-3).all()


def binning_of(showers: Showers) -> VoxelBinning:
    n = showers.geometry.n_layers
    return VoxelBinning(tuple(map(int, showers.geometry.layer_ids)), ((0.0, 4.0, 12.0, 60.0),) * n, (5,) * n)


def forms_conserve_energy(case: Case) -> None:
    """Hits, voxels, cells: what is not there is returned as lost."""
    showers = case.generator.generate(case.particles, seed=3)
    visible, binning = showers.visible, binning_of(showers)
    np.testing.assert_allclose(np.bincount(showers.hits.shower, showers.hits.e, len(showers)), visible, rtol=1e-6)
    np.testing.assert_allclose(showers.voxels(binning).sum(axis=1) + showers.lost(binning), visible, rtol=1e-6)
    n, barrel = showers.geometry.n_layers, showers.geometry.frame == "barrel"
    size = (0.025, 2 * np.pi / 256) if barrel else (5.0, 5.0)
    grid = CellGrid(binning.layer_ids, (barrel,) * n, (size,) * n, ((5, 5),) * n)
    cells = showers.cells(grid)
    np.testing.assert_allclose(np.bincount(cells.shower, cells.e, len(showers)) + cells.lost, visible, rtol=1e-6)
    image, lost = showers.cell_images(grid)
    np.testing.assert_allclose(image.sum(axis=1) + lost, visible, rtol=1e-6)


def both_sides_of_a_barrel_are_alike(case: Case) -> None:
    """Where the domain says so, a particle of negative pseudorapidity has the mirror image of the other's shower."""
    if not any(entry.get("mirrored") for entry in case.generator.domain):
        return
    behind = case.particles.mirrored(np.ones(len(case.particles), dtype=bool))
    assert (behind.eta < 0.0).all()
    case.generator.check(behind)
    first, second = (case.generator.generate(p, seed=7) for p in (case.particles, behind))
    assert second.particles is behind
    if first.emits == "hits":
        assert (second.hits.z == -first.hits.z).all()
        for axis in ("x", "y", "e", "layer", "offsets"):
            np.testing.assert_array_equal(getattr(second.hits, axis), getattr(first.hits, axis))
        n = first.geometry.n_layers
        binning = VoxelBinning(tuple(map(int, first.geometry.layer_ids)), ((0.0, 4.0, 12.0, 60.0),) * n, (6,) * n)
    else:
        binning = first.binning
    order = binning.mirrored
    assert order is not None
    np.testing.assert_allclose(second.voxels(binning), first.voxels(binning)[:, order], rtol=1e-9, atol=1e-9)
    assert not np.allclose(second.voxels(binning), first.voxels(binning))


PROMISES = (
    keeps_its_protocol,
    same_seed_same_showers,
    other_seed_other_showers,
    no_particles_no_showers,
    refuses_what_it_does_not_know,
    energies_are_energies,
    hits_lie_in_their_layers,
    forms_conserve_energy,
    both_sides_of_a_barrel_are_alike,
)


# Generators that break a promise --------------------------------------------------------------------------------------


class Broken:
    """A sound generator, passed through; subclasses break one thing."""

    def __init__(self, sound: Generator) -> None:
        self.sound = sound
        self.name, self.geometry = sound.name, sound.geometry

    @property
    def domain(self) -> list[dict[str, object]]:
        return self.sound.domain

    def check(self, particles: Particles) -> None:
        self.sound.check(particles)

    def generate(self, particles: Particles, *, seed: int) -> Showers:
        return self.sound.generate(particles, seed=seed)

    def changed(self, particles: Particles, seed: int, **columns: object) -> Showers:
        showers = self.sound.generate(particles, seed=seed)
        hits = {name: getattr(showers.hits, name) for name in ("x", "y", "z", "e", "layer", "offsets")}
        return Showers(particles, Hits(**hits | {k: f(showers.hits) for k, f in columns.items()}), self.geometry)


class NumbersByPlace(Broken):
    """Its random numbers follow the place in the batch."""

    def generate(self, particles, *, seed):
        numbered = particles.with_index(np.arange(len(particles)))
        return Showers(particles, self.sound.generate(numbered, seed=seed).hits, self.geometry)


class GlobalNumbers(Broken):
    """Its random numbers go on from call to call."""

    calls = 0

    def generate(self, particles, *, seed):
        self.calls += 1
        return self.sound.generate(particles, seed=seed + self.calls)


class DeafToSeed(Broken):
    def generate(self, particles, *, seed):
        return self.sound.generate(particles, seed=1)


class AfraidOfNobody(Broken):
    def generate(self, particles, *, seed):
        if not len(particles):
            raise ValueError("no particles")
        return self.sound.generate(particles, seed=seed)


class SilentCheck(Broken):
    def check(self, particles):
        return None


class NamelessRefusal(Broken):
    def check(self, particles):
        try:
            self.sound.check(particles)
        except OutOfDomainError as error:
            raise OutOfDomainError(str(error).partition(": ")[2]) from error

    def generate(self, particles, *, seed):
        self.check(particles)
        return self.sound.generate(particles, seed=seed)


class NegativeEnergies(Broken):
    def generate(self, particles, *, seed):
        return self.changed(particles, seed, e=lambda hits: hits.e - 0.9 * hits.e.max())


class NoNumbers(Broken):
    def generate(self, particles, *, seed):
        return self.changed(particles, seed, e=lambda hits: np.where(hits.e == hits.e.max(), np.nan, hits.e))


class BesideItsLayers(Broken):
    def generate(self, particles, *, seed):
        return self.changed(particles, seed, x=lambda hits: hits.x + 2.0)


class LosesEnergy(Broken):
    """Its showers say more than their hits hold."""

    def generate(self, particles, *, seed):
        class Boasting(Showers):
            visible = property(lambda self: 1.001 * Showers.visible.fget(self))

        return Boasting(particles, self.sound.generate(particles, seed=seed).hits, self.geometry)


class OneSided(Broken):
    """Says that it serves both sides and puts all showers on one."""

    @property
    def domain(self):
        return [entry | {"mirrored": True} for entry in self.sound.domain]

    def check(self, particles):
        self.sound.check(particles.mirrored(particles.eta < 0.0))

    def generate(self, particles, *, seed):
        showers = self.sound.generate(particles.mirrored(particles.eta < 0.0), seed=seed)
        showers.particles = particles
        return showers


class OtherForm(Broken):
    @property
    def domain(self):
        return [entry | {"emits": "voxels"} for entry in self.sound.domain]


CONTROLS: tuple[tuple[type[Broken], Callable[[Case], None]], ...] = (
    (OtherForm, keeps_its_protocol),
    (NumbersByPlace, same_seed_same_showers),
    (GlobalNumbers, same_seed_same_showers),
    (DeafToSeed, other_seed_other_showers),
    (NumbersByPlace, other_seed_other_showers),
    (AfraidOfNobody, no_particles_no_showers),
    (SilentCheck, refuses_what_it_does_not_know),
    (NamelessRefusal, refuses_what_it_does_not_know),
    (NegativeEnergies, energies_are_energies),
    (NoNumbers, energies_are_energies),
    (BesideItsLayers, hits_lie_in_their_layers),
    (LosesEnergy, forms_conserve_energy),
    (OneSided, both_sides_of_a_barrel_are_alike),
)
