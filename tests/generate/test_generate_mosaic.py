"""The recipe `mosaic`: rings of sampled showers hold the hits of stored ones."""

from __future__ import annotations

import numpy as np
import pytest
import ring_samples
from ring_samples import ring_tune, with_settings

from fastparam.fit.donors import Donors
from fastparam.fit.rings import Rings, ring_features
from fastparam.generate import TunedGenerator
from fastparam.generate.domain import plan
from fastparam.generate.ring_features import draw_features
from fastparam.generate.ring_program import ring_program
from fastparam.geometry.frames import local_frames, to_local
from fastparam.particles import Particles
from fastparam.summary.summarise import summarise_hits
from fastparam.tunes.tune import Tune


def tuned(name: str) -> Tune:
    return ring_tune(name, sampler="mosaic")


def rings_of(tune: Tune, particles: Particles) -> tuple[np.ndarray, np.ndarray]:
    program = ring_program(tune, smoothing=0.3, smoothing_hadrons=0.0)
    return draw_features(program, plan(tune, particles), particles, 1, copula="empirical", numbers=True)


def particles_of(name: str) -> Particles:
    _, sample = ring_samples.showers(name)
    return sample.particles.with_index(np.arange(len(sample)))


@pytest.mark.parametrize("name", ["lar_accordion", "siw", "pbwo4"])
def test_hits_lie_in_their_layers_and_rings_add_up(name: str) -> None:
    tune, particles = tuned(name), particles_of(name)
    hits = TunedGenerator(tune).generate(particles, seed=1).hits
    level = np.hypot(hits.x, hits.y) if tune.geometry.frame == "barrel" else hits.z
    assert (level >= tune.geometry.layer_from[hits.layer]).all()
    assert (level <= tune.geometry.layer_to[hits.layer]).all()
    rows, _ = rings_of(tune, particles)
    g = rows.shape[1] // 4
    total = np.bincount(hits.shower, weights=hits.e, minlength=len(particles))
    assert total == pytest.approx(rows[:, :g].sum(axis=1, dtype=np.float64), rel=1e-5)


def test_radii_are_those_of_stored_hits() -> None:
    tune, particles = tuned("siw"), particles_of("siw").take(slice(0, 40))
    hits = TunedGenerator(tune).generate(particles, seed=1).hits
    frames = local_frames(tune.geometry, particles)
    local = to_local(frames, hits.shower, np.stack([hits.x, hits.y, hits.z], axis=1))
    r = np.hypot(local[:, 1], local[:, 2])
    stored = Donors.from_tables(tune.slices[0].tables["rings"])
    known = np.sort(np.hypot(stored.hit_d1, stored.hit_d2))
    place = np.clip(np.searchsorted(known, r), 1, len(known) - 1)
    off = np.minimum(np.abs(known[place] - r), np.abs(known[place - 1] - r))
    assert off.max() < 1e-4 * r.max()


def test_rings_have_the_dipoles_that_were_sampled_for_them() -> None:
    tune, particles = tuned("pbwo4"), particles_of("pbwo4")
    geometry, sample = ring_samples.showers("pbwo4")
    rows, _ = rings_of(tune, particles)
    rings = Rings.from_arrays(tune.slices[0].tables["rings"].arrays)
    g = rings.n_rings
    found = {}
    for on in (True, False):
        hits = TunedGenerator(with_settings(tune, dipoles=on)).generate(particles, seed=1).hits
        keep = np.ones(len(particles), dtype=bool)
        summary = summarise_hits(geometry, particles, hits, sample.binning, keep_hits=keep)
        measured = ring_features(rings, summary.deposits)
        many = measured.hits >= 12
        found[on] = np.corrcoef(rows[:, g : 2 * g][many], measured.d1[many])[0, 1]
    assert found[True] > 0.95
    assert abs(found[False]) < 0.1


def test_the_same_seed_gives_the_same_bits_whatever_the_batches() -> None:
    generator, particles = TunedGenerator(tuned("lar_accordion")), particles_of("lar_accordion")
    whole = generator.generate(particles, seed=7).hits
    parts = [generator.generate(particles.take(slice(a, a + 50)), seed=7).hits for a in range(0, len(particles), 50)]
    for column in ("x", "y", "z", "e", "layer"):
        assert np.array_equal(np.concatenate([getattr(p, column) for p in parts]), getattr(whole, column))


def test_fewer_donors_make_a_smaller_tune() -> None:
    stored = Donors.from_tables(tuned("siw").slices[0].tables["rings"])
    assert np.diff(stored.first).max() <= 40 * 7
