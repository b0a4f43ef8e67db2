"""The recipe `hybrid`: sampled showers have the rings of those that were trained on, and hits where they belong."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import numba
import numpy as np
import pytest
import ring_samples
from ring_samples import ring_tune, with_settings
from scipy import stats

from fastparam.fit.copula import Copula
from fastparam.fit.ring_hits import RingHits
from fastparam.fit.ring_model import features_of, frame_of
from fastparam.fit.rings import Rings, ring_features
from fastparam.generate import TunedGenerator, blocks
from fastparam.generate.domain import plan
from fastparam.generate.ring_features import draw_features
from fastparam.generate.ring_program import MODEL, SLICE, ring_program
from fastparam.geometry.frames import local_frames, to_local
from fastparam.hits.hits import Hits
from fastparam.particles import Particles
from fastparam.summary import energy_points
from fastparam.summary.summarise import summarise_hits
from fastparam.tunes.tune import Tune

DETECTORS = ["lar_accordion", "siw", "pbwo4"]
COLUMNS = ("x", "y", "z", "e", "layer", "offsets")


def again(name: str, n: int, pdg: int = 22) -> Particles:
    """Return the particles of the shipped showers, n times over, each with a number of its own."""
    _, sample = ring_samples.showers(name, pdg)
    many = Particles.concatenate([sample.particles] * n)
    return many.with_index(np.arange(len(many)))


def rings_of(
    tune: Tune, particles: Particles, *, numbers: bool = True, modulation: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rings that the sampler draws first: energies, dipoles and numbers of hits, and hits per shower."""
    program = ring_program(tune, modulation=modulation, smoothing=0.3, smoothing_hadrons=0.0)
    return draw_features(program, plan(tune, particles), particles, 1, copula="empirical", numbers=numbers)


def all_of(particles: Particles) -> np.ndarray:
    return np.ones(len(particles), dtype=bool)


# Where hits lie


@pytest.mark.parametrize(("name", "pdg"), [(name, 22) for name in DETECTORS] + [("fehcal", 211)])
def test_hits_lie_in_their_layers(name: str, pdg: int) -> None:
    tune = ring_tune(name, pdg)
    hits = TunedGenerator(tune).generate(again(name, 1, pdg), seed=1).hits
    level = np.hypot(hits.x, hits.y) if tune.geometry.frame == "barrel" else hits.z
    assert (level >= tune.geometry.layer_from[hits.layer]).all()
    assert (level <= tune.geometry.layer_to[hits.layer]).all()
    assert (hits.e > 0).all()
    assert np.isfinite(hits.x).all()


def test_inclined_particles_leave_hits_in_layers_too() -> None:
    tune = ring_tune("siw")
    particles = Particles.gun(pdg=22, energy=8000.0, n=50, position=(0, 0, -1), direction=(0.5, 0.2, 1.0))
    with pytest.warns(match="inclined"):
        hits = TunedGenerator(tune).generate(particles, seed=1).hits
    assert (hits.z >= tune.geometry.layer_from[hits.layer]).all()
    assert (hits.z <= tune.geometry.layer_to[hits.layer]).all()


def test_hits_lie_in_the_ring_they_were_drawn_for_and_add_up_to_its_energy() -> None:
    tune = ring_tune("siw")
    particles = again("siw", 1)
    rows, counts = rings_of(tune, particles)
    hits = TunedGenerator(tune).generate(particles, seed=1).hits
    assert np.array_equal(counts, hits.n_hits)
    rings = Rings.from_arrays(tune.slices[0].tables["rings"].arrays)
    frames = local_frames(tune.geometry, particles)
    local = to_local(frames, hits.shower, np.stack([hits.x, hits.y, hits.z], axis=1))
    r = np.hypot(local[:, 1], local[:, 2])
    g = rings.n_rings
    ring = np.repeat(np.tile(np.arange(g), len(particles)), rows[:, 3 * g :].astype(int).ravel())
    assert (r >= rings.r_low[ring] * (1 - 1e-6)).all()  # drawn in single precision
    assert (r <= rings.r_high[ring] * (1 + 1e-3)).all()  # quantiles are kept to half precision
    sums = np.zeros((len(particles), g))
    np.add.at(sums, (hits.shower, ring), hits.e)
    assert sums == pytest.approx(rows[:, :g].astype(np.float64), rel=1e-6, abs=1e-12)
    total = np.add.reduceat(hits.e, hits.offsets[:-1][hits.n_hits > 0])
    assert total == pytest.approx(rows[hits.n_hits > 0, :g].sum(axis=1, dtype=np.float64), rel=1e-6)


# Numbers that are random and reproducible


def test_the_same_seed_gives_the_same_bits_whatever_the_batches_and_threads() -> None:
    generator = TunedGenerator(ring_tune("lar_accordion"))
    particles = again("lar_accordion", 1)
    whole = generator.generate(particles, seed=7).hits
    parts = [generator.generate(particles.take(slice(a, a + 37)), seed=7).hits for a in range(0, len(particles), 37)]
    for column in COLUMNS[:-1]:
        assert np.array_equal(np.concatenate([getattr(p, column) for p in parts]), getattr(whole, column))
    threads = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        single = generator.generate(particles, seed=7).hits
    finally:
        numba.set_num_threads(threads)
    assert all(np.array_equal(getattr(single, column), getattr(whole, column)) for column in COLUMNS)
    other = generator.generate(particles, seed=8).hits
    assert not np.array_equal(other.n_hits, whole.n_hits)


@pytest.mark.parametrize("sampler", ["hybrid", "mosaic"])
def test_a_batch_larger_than_the_buffer_is_drawn_in_blocks_with_the_same_bits(
    sampler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory beside the hits: the buffer, not what the whole batch would keep."""
    generator = TunedGenerator(ring_tune("siw", sampler=sampler))
    particles = Particles.gun(pdg=22, energy=1000.0, n=3000, position=(0, 0, -1), direction=(0, 0, 1))
    whole, large = with_peak(lambda: generator.generate(particles, seed=1).hits)
    monkeypatch.setattr(blocks, "BUFFER", 1_000_000)
    parts, small = with_peak(lambda: generator.generate(particles, seed=1).hits)
    assert all(np.array_equal(getattr(whole, column), getattr(parts, column)) for column in COLUMNS)
    output = sum(getattr(whole, column).nbytes for column in COLUMNS)
    columns = 8 * 24 * len(particles)  # plan, particles of the blocks, counts
    assert small < output + 1_000_000 + columns
    assert large > output + 5_000_000


def with_peak(call: Callable[[], Hits]) -> tuple[Hits, int]:
    """Return what a call returns and the most memory that Python held meanwhile, in bytes."""
    tracemalloc.start()
    try:
        return call(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_no_particles_make_no_showers() -> None:
    showers = TunedGenerator(ring_tune("siw")).generate(again("siw", 1).take(slice(0, 0)), seed=1)
    assert len(showers) == 0
    assert showers.hits.offsets.tolist() == [0]


# Closed loop: features of sampled showers are those of the training showers


def sampled_features(name: str, n: int, **settings: object) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return energies and features of the training showers, and of showers sampled n times for each of them."""
    geometry, sample = ring_samples.showers(name)
    tune = ring_tune(name)
    tables = tune.slices[0].tables["rings"]
    frame = frame_of(geometry, sample, pdg=22, eta=tune.slices[0].eta)
    hits = RingHits.from_tables(tables)
    particles = again(name, n)
    showers = TunedGenerator(with_settings(tune, **settings)).generate(particles, seed=3)
    again_summed = summarise_hits(geometry, particles, showers.hits, sample.binning, keep_hits=all_of(particles))
    values = []
    for summary in (sample, again_summed):
        points = energy_points(summary.particles.energy)
        measured = ring_features(frame.rings, summary.deposits)
        values.append(features_of(frame, measured, hits, summary.particles.energy, points).values)
    return sample.particles.energy, values[0], particles.energy, values[1]


@pytest.fixture(scope="module")
def accordion() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    return sampled_features("lar_accordion", 8)


def worst_pvalue(true: np.ndarray, found: np.ndarray) -> float:
    """Return the smallest p-value of Kolmogorov-Smirnov tests of all columns, times the number of them."""
    pvalues = [
        stats.ks_2samp(a[np.isfinite(a)], b[np.isfinite(b)]).pvalue
        for a, b in zip(true.T, found.T, strict=True)
        if np.isfinite(a).sum() > 10
    ]
    return float(min(pvalues) * len(pvalues))


def test_features_have_the_distributions_of_the_training_showers(
    accordion: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    energy, true, sampled_energy, found = accordion
    n = 1 + 7 + (true.shape[1] - 8) // 4  # energies: those of sections and rings
    for e in np.unique(energy):
        own, other = energy == e, sampled_energy == e
        assert worst_pvalue(true[own, :n], found[other, :n]) > 0.001
    # The test would notice rings that are 30 % off.
    assert worst_pvalue(true[energy == energy.min(), :n] * 1.3, found[sampled_energy == energy.min(), :n]) < 0.001


def test_features_have_the_zeros_and_rank_correlations_of_the_training_showers(
    accordion: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    energy, true, sampled_energy, found = accordion
    e = np.unique(energy)[0]
    a, b = true[energy == e, 1:40], found[sampled_energy == e, 1:40]
    zero = (a <= 0).mean(axis=0), (b <= 0).mean(axis=0)
    error = np.sqrt(np.maximum(zero[0] * (1 - zero[0]), 0.02) / len(a))
    assert (np.abs(zero[0] - zero[1]) < 4 * error).all()
    difference = stats.spearmanr(a).statistic - stats.spearmanr(b).statistic
    other = sampled_features("lar_accordion", 8, copula="independent")[3][sampled_energy == e, 1:40]
    lost = stats.spearmanr(a).statistic - stats.spearmanr(other).statistic
    # Of n showers a coefficient has an error of 1/sqrt(n).
    assert np.sqrt(np.nanmean(difference**2)) < 1.2 / np.sqrt(len(a))
    assert np.sqrt(np.nanmean(lost**2)) > 1.5 * np.sqrt(np.nanmean(difference**2))


def test_rings_have_the_dipoles_that_were_sampled_for_them() -> None:
    tune = ring_tune("pbwo4")
    geometry, sample = ring_samples.showers("pbwo4")
    particles = again("pbwo4", 1)
    rows, _ = rings_of(tune, particles)
    rings = Rings.from_arrays(tune.slices[0].tables["rings"].arrays)

    def dipoles(**settings: object) -> np.ndarray:
        hits = TunedGenerator(with_settings(tune, **settings)).generate(particles, seed=1).hits
        summary = summarise_hits(geometry, particles, hits, sample.binning, keep_hits=all_of(particles))
        return ring_features(rings, summary.deposits).d1

    g = rings.n_rings
    many = rows[:, 3 * g :] >= 12
    wanted = rows[:, g : 2 * g]
    assert np.corrcoef(wanted[many], dipoles()[many])[0, 1] > 0.97
    assert abs(np.corrcoef(wanted[many], dipoles(dipoles=False)[many])[0, 1]) < 0.1


# Switches do what they say


def test_without_spectra_hits_of_a_ring_are_equal_up_to_its_tilt() -> None:
    tune = with_settings(ring_tune("siw"), spectra=False, dipoles=False)
    hits = TunedGenerator(tune).generate(again("siw", 1).take(slice(0, 5)), seed=1).hits
    full = (
        TunedGenerator(with_settings(ring_tune("siw"), dipoles=False))
        .generate(again("siw", 1).take(slice(0, 5)), seed=1)
        .hits
    )
    for plain, many in ((True, hits), (False, full)):
        distinct = len(np.unique(np.round(many.e, 9))) / len(many.e)
        assert (distinct < 0.7) == plain


def test_without_numbers_hits_follow_from_the_energy_of_their_ring() -> None:
    tune, particles = ring_tune("siw"), again("siw", 1)
    hits = RingHits.from_tables(tune.slices[0].tables["rings"])
    points = energy_points(particles.energy)
    within = {}
    for numbers in (True, False):
        rows, _ = rings_of(tune, particles, numbers=numbers)
        energy, number = np.split(rows.astype(np.float64), 4, axis=1)[0], np.split(rows, 4, axis=1)[3]
        expected = np.concatenate([hits.expected(p, energy[points.point == p]) for p in range(len(points))])
        found = np.concatenate([number[points.point == p] for p in range(len(points))])
        within[numbers] = (np.abs(found - expected) <= 1.001)[found > 0].mean()
    assert within[False] > 0.999
    assert within[True] < 0.95


def test_the_modulation_moves_the_response_with_phi_and_can_be_switched_off() -> None:
    _, sample = ring_samples.showers("lar_accordion")
    tune = ring_tune("lar_accordion")
    part = tune.slices[0]
    tables = dict(part.tables["rings"].arrays)
    waves = tables["copula_waves"].copy()
    waves[0, 0], tables["copula_waves"] = 1.0, waves  # the total follows cos(phase) by a whole standard deviation
    changed = {"rings": replace(part.tables["rings"], arrays=tables)}
    tune = replace(tune, slices=(replace(part, tables=changed),))
    pitch = 2 * np.pi / 1024
    mean = {}
    for on in (True, False):
        generator = TunedGenerator(with_settings(tune, modulation=on))
        for phase in (0.0, 0.5):
            particles = Particles.gun(pdg=22, energy=8000.0, eta=0.22, phi=(3 + phase) * pitch, n=400)
            mean[on, phase] = generator.generate(particles, seed=1).visible.mean() / 8000.0
    width = sample.visible[np.isclose(sample.particles.energy, 8000.0, rtol=0.01)].std() / 8000.0
    assert mean[True, 0.0] - mean[True, 0.5] > 1.0 * width
    assert abs(mean[False, 0.0] - mean[False, 0.5]) < 1e-12


def test_showers_do_not_know_where_in_phi_a_detector_without_modulation_begins() -> None:
    """The same showers, turned: directions differ by whole pitches."""
    generator = TunedGenerator(ring_tune("lar_accordion"))
    pitch = 2 * np.pi / 1024
    one = Particles.gun(pdg=22, energy=8000.0, eta=0.22, phi=0.2 * pitch, n=20)
    two = Particles.gun(pdg=22, energy=8000.0, eta=0.22, phi=300.2 * pitch, n=20)
    a, b = (generator.generate(p, seed=4).hits for p in (one, two))
    assert np.array_equal(a.offsets, b.offsets)
    assert b.e == pytest.approx(a.e, rel=1e-9)
    turn = 300 * pitch
    assert b.x == pytest.approx(a.x * np.cos(turn) - a.y * np.sin(turn), abs=1e-6)
    assert b.z == pytest.approx(a.z, abs=1e-6)


# Between energies and slices


def test_between_energies_zeros_and_means_lie_between_those_of_the_neighbours() -> None:
    tune = ring_tune("lar_accordion")
    model = Copula.from_tables(tune.slices[0].tables["rings"])
    energies = np.exp(np.array([model.ln_e[1], 0.5 * (model.ln_e[1] + model.ln_e[2]), model.ln_e[2]]))
    rings = Rings.from_arrays(tune.slices[0].tables["rings"].arrays)
    empty, ratio = [], []
    for energy in energies:
        particles = Particles.gun(pdg=22, energy=energy, eta=0.22, n=4000)
        rows, _ = rings_of(tune, particles, modulation=False)
        section = np.add.reduceat(rows[:, : rings.n_rings], rings.first[:-1], axis=1)
        empty.append((section <= 0).mean(axis=0))
        ratio.append(section.sum(axis=1).mean() / energy)
    assert empty[1] == pytest.approx(0.5 * (empty[0] + empty[2]), abs=0.03)
    for found, p in ((empty[0], 1), (empty[2], 2)):  # scores of a few dozen showers less their phase: nearly normal
        assert found == pytest.approx(model.zero[p, 1:8], abs=0.08)
    assert min(ratio[0], ratio[2]) - 0.002 < ratio[1] < max(ratio[0], ratio[2]) + 0.002


def test_between_slices_everything_is_linear() -> None:
    tune = ring_tune("lar_accordion")
    part = tune.slices[0]
    tables = dict(part.tables["rings"].arrays)
    # A second slice whose total is a quarter larger: quantiles of ln x move by ln 1.25.
    low = tables["copula_low"].copy()
    low[0] += np.log(1.25)
    tables["copula_low"] = low
    second = replace(part, eta=(0.4, 0.45), tables={"rings": replace(part.tables["rings"], arrays=tables)})
    both = replace(tune, slices=(replace(part, eta=(0.2, 0.25)), second))
    generator = TunedGenerator(both)
    mean = []
    for eta in (0.225, 0.325, 0.425):
        particles = Particles.gun(pdg=22, energy=8000.0, eta=eta, n=1500)
        mean.append(np.log(generator.generate(particles, seed=2).visible).mean())
    assert mean[2] - mean[0] == pytest.approx(np.log(1.25), abs=0.01)
    assert mean[1] - mean[0] == pytest.approx(0.5 * np.log(1.25), abs=0.01)


@pytest.mark.parametrize(("pdg", "smoothing", "clumped"), [(22, 0.3, 0), (211, 0.0, 1)])
def test_hadrons_are_not_mixed_and_their_hits_lie_in_clumps(pdg: int, smoothing: float, clumped: int) -> None:
    program = ring_program(
        ring_tune("lar_accordion", pdg), smoothing=0.3, smoothing_hadrons=0.0, clumps="hadrons"
    )  # fmt: skip
    assert program.reals[program.slices[0, SLICE.SMOOTHING]] == pytest.approx(smoothing)
    assert program.models[0][MODEL.CLUMPED] == clumped
