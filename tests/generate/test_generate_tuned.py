"""A tune as a generator, and from a file to a generator."""

from __future__ import annotations

from pathlib import Path

import handmade
import numpy as np
import pytest

import fastparam
from fastparam.errors import InputError, OutputExistsError
from fastparam.generate import Generator, TunedGenerator, load
from fastparam.particles import Particles


@pytest.fixture
def generator() -> TunedGenerator:
    return TunedGenerator(handmade.tune(handmade.detector("planar")))


PARTICLES = Particles.gun(pdg=22, energy=5000.0, n=4, direction=(0, 0, 1))


def test_it_is_a_generator(generator: TunedGenerator) -> None:
    assert isinstance(generator, Generator)
    assert generator.name == "tiny_planar"
    assert generator.geometry.n_layers == 30
    assert repr(generator) == "<tune tiny_planar, recipe gflash, 1 slice>"


def test_showers_know_their_particles_layers_and_energies(generator: TunedGenerator) -> None:
    showers = generator.generate(PARTICLES, seed=1)
    assert showers.particles is PARTICLES
    assert len(showers) == 4
    assert np.array_equal(showers.layer_ids, generator.geometry.layer_ids[showers.hits.layer])
    by_hand = [showers.hits.e[showers.hits.shower == i].sum() for i in range(4)]
    assert showers.visible == pytest.approx(by_hand, rel=1e-12)


def test_showers_join_the_ecosystem_as_records(generator: TunedGenerator) -> None:
    showers = generator.generate(PARTICLES, seed=1)
    records = showers.to_awkward()
    assert records.fields == ["pdg", "energy", "eta", "phi", "hits"]
    assert records["hits"].fields == ["x", "y", "z", "e", "layer"]
    assert len(records) == 4
    assert np.array_equal(records["hits", "z"][2], showers.hits.z[showers.hits.offsets[2] : showers.hits.offsets[3]])
    assert np.array_equal(np.unique(records["hits", "layer"][0]), np.unique(showers.layer_ids[: len(records[0].hits)]))


def test_a_saved_tune_samples_the_same_showers(generator: TunedGenerator, tmp_path: Path) -> None:
    generator.save(tmp_path / "a.tune.h5")
    loaded = fastparam.load(tmp_path / "a.tune.h5")
    first, second = generator.generate(PARTICLES, seed=9), loaded.generate(PARTICLES, seed=9)
    for column in ("x", "y", "z", "e", "layer", "offsets"):
        assert np.array_equal(getattr(first.hits, column), getattr(second.hits, column))


def test_saving_keeps_an_existing_file_unless_forced(generator: TunedGenerator, tmp_path: Path) -> None:
    path = tmp_path / "a.tune.h5"
    path.write_text("mine")
    with pytest.raises(OutputExistsError, match="output exists"):
        generator.save(path)
    assert path.read_text() == "mine"
    generator.save(str(path), force=True)
    assert load(path).name == "tiny_planar"
    assert [p.name for p in tmp_path.iterdir()] == ["a.tune.h5"]


def test_as_pdg_reaches_the_generator(generator: TunedGenerator, tmp_path: Path) -> None:
    generator.save(tmp_path / "a.tune.h5")
    pions = Particles.gun(pdg=211, energy=5000.0, n=2, direction=(0, 0, 1))
    assert len(load(tmp_path / "a.tune.h5", as_pdg=22).generate(pions, seed=1)) == 2


def test_a_missing_tune_is_an_error_that_names_near_files(generator: TunedGenerator, tmp_path: Path) -> None:
    generator.save(tmp_path / "detector.tune.h5")
    with pytest.raises(
        InputError, match=r"detektor\.tune\.h5: no such file, .*\(did you mean 'detector\.tune\.h5'\?\)"
    ):
        load(tmp_path / "detektor.tune.h5")
