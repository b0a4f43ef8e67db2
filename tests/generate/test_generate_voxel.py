"""The sampler of the recipe `voxel`: against a slow twin, against toys, and limit by limit."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import handmade
import numba
import numpy as np
import pytest
import voxel_toys
from scipy import special
from voxel_toys import BINNING

from fastparam.fit import copula
from fastparam.fit.voxel_rings import VoxelRings
from fastparam.fit.voxels import VoxelModel, fit
from fastparam.generate.tuned import TunedGenerator
from fastparam.generate.voxel import _FEATURE_KNOTS, _feature_tables, _rates
from fastparam.geometry.load import parse_geometry
from fastparam.particles import Particles
from fastparam.random import stream, uniform
from fastparam.shapes.quick_normal import fill_normals, upper_tail1
from fastparam.summary.points import energy_points
from fastparam.tunes.recipe import Recipe, VoxelSettings
from fastparam.tunes.tune import Tune

DETECTOR = """name: toy
frame: planar
layers:
  - {id: 0, from: 0, to: 100, material: PbWO4}
  - {id: 1, from: 100, to: 200, material: PbWO4}
binning:
  - layers: [{id: 0-1, n_bin_alpha: 4, r_edges: [0, 5, 20, 60]}]
"""


BARREL = parse_geometry(DETECTOR.replace("planar", "barrel").replace("from: 0,", "from: 50,"), Path("toy.yaml"))


def recipe(**settings: object) -> Recipe:
    return Recipe(name="voxel", description="", sampler="voxel", particles=[22], voxel=VoxelSettings(**settings))


def tune_of(model: VoxelModel, *, energies: tuple[float, float] = (10_000.0, 10_000.0), **settings: object) -> Tune:
    """Return a tune of one slice."""
    geometry = parse_geometry(DETECTOR, Path("toy.yaml"))
    part = replace(handmade.part(geometry, energy_range=energies), components={}, tables={"voxel": model.to_tables()})
    return replace(handmade.tune(geometry, part), recipe=recipe(**settings))


#: An inner ring of eight voxels and an outer one of four, of which few are hit, in both layers.
RINGS = VoxelRings(
    BINNING, 2 * BINNING.layer + (BINNING.ring == 2), np.array([0, 0, 1, 1]), np.array([False, True, False, True])
)


def gun(energy: float, n: int) -> Particles:
    return Particles.gun(pdg=22, energy=energy, n=n, direction=(0, 0, 1), position=(0, 0, -1))


@pytest.fixture(scope="module")
def toy() -> voxel_toys.Toy:
    return voxel_toys.showers(3000, seed=3)


@pytest.fixture(scope="module")
def model(toy: voxel_toys.Toy) -> VoxelModel:
    found = fit(toy.voxels, BINNING, toy.energy, energy_points(toy.energy), rank=6, rings=RINGS)
    return VoxelModel.from_tables(found.to_tables())


def sample(model: VoxelModel, n: int, *, energy: float = 10_000.0, seed: int = 1, **settings: object) -> np.ndarray:
    energies = tuple(np.exp(model.copula.ln_e[[0, -1]]))
    return TunedGenerator(tune_of(model, energies=energies, **settings)).generate(gun(energy, n), seed=seed).voxels()


# A slow twin


def twin(model: VoxelModel, n: int, blur: float, seed: int) -> np.ndarray:
    """Sample at the one energy point of a model, step by step, in double precision."""
    rings, c, energy = model.rings, model.copula, float(np.exp(model.copula.ln_e[0]))
    out = np.zeros((n, BINNING.n_voxels))
    order, k = rings.order, len(c.unique)
    mean, root = model.factors.posterior(np.arange(BINNING.n_voxels, BINNING.n_voxels + k))
    tables = _feature_tables(c)[0].astype(float)
    rate = _rates(c.zero, model.counts[:, None])[0]
    hit_of = 1.0 - np.exp(-np.exp(_rates(model.zero, model.counts[:, None] * np.bincount(model.group))[0]))

    def at(table: np.ndarray, tail: float) -> float:
        w = 1.0 / (1.0 + math.sqrt((1.0 - tail) / tail))
        return float(np.interp(w, np.linspace(0, 1, len(table)), table))

    def feature(z: np.ndarray, j: int) -> float | None:
        hit, tail = 1.0 - math.exp(-math.exp(rate[j])), float(special.ndtr(-z[j]))
        if rate[j] < 3.0 and tail >= hit:
            return None
        return at(tables[j], tail / hit)

    for i in range(n):
        state = stream(seed, i, 71)
        uniform(state), uniform(state)  # slice and energy point: there is one of each
        donor = min(int(uniform(state) * len(c.scores)), len(c.scores) - 1)
        noise = np.empty(k + len(c.factors), dtype=np.float32)
        fill_normals(state, noise)
        x = (
            blur * (c.unique * noise[:k] + noise[k:] @ c.factors)
            + math.sqrt(1 - blur**2) * copula.STEP * c.scores[donor]
        )
        noise = np.empty(len(root), dtype=np.float32)
        fill_normals(state, noise)
        f = mean @ x + root @ noise
        eps = np.empty(BINNING.n_voxels, dtype=np.float32)
        fill_normals(state, eps)
        z = model.factors.loadings[: BINNING.n_voxels] @ f
        z[order] += np.sqrt(model.factors.unique[: BINNING.n_voxels][order]) * eps
        tail = special.ndtr(-z) / hit_of[model.group]

        start = 1 + 2 + rings.n_rings
        counted = dict(zip(rings.with_count, range(start + 2 * len(rings.with_dipole), k), strict=True))
        ring = np.array([math.exp(v) if (v := feature(x, 3 + g)) is not None else 0.0 for g in range(rings.n_rings)])
        hits = np.array(
            [
                np.clip(
                    int((1.0 - math.exp(-math.exp(feature(x, counted[g])))) * (rings.size[g] + 1) + 0.5),
                    1,
                    rings.size[g],
                )
                if ring[g] and g in counted
                else 0
                for g in range(rings.n_rings)
            ]
        )
        total = energy * math.exp(feature(x, 0))
        for layer in range(2):
            own = (rings.layer == layer) & (ring > 0)
            value = feature(x, 1 + layer)
            if own.any() and value is not None:
                number = np.maximum(hits[own], 1).sum()
                ring[own] *= (math.exp(value) / ring[own].sum()) ** (number / (number + 10.0))
        ring *= total / ring.sum()
        for g in np.flatnonzero(ring > 0):
            voxels = np.flatnonzero(rings.ring == g)
            sorted_ = np.sort(tail[voxels])
            wanted = hits[g] or max(int((sorted_ < 1).sum()), 1)
            inner, outer = sorted_[wanted - 1], sorted_[wanted] if wanted < len(voxels) else np.inf
            limit = 1.0 if inner < 1 <= outer else math.sqrt(inner * outer) if wanted < len(voxels) else 1.001 * inner
            on = voxels[tail[voxels] < limit]
            value = np.exp([at(model.quantiles[0, model.group[v]], tail[v] / limit) for v in on])
            out[i, on] = ring[g] * value / value.sum()
    return out


def test_the_kernel_is_its_slow_twin(model: VoxelModel) -> None:
    """Single precision moves scores by 1e-6, and the table of the normal tail by 1e-5: few voxels change sides."""
    fast, slow = sample(model, 200, seed=7), twin(model, 200, 0.3, seed=7)
    same = (fast > 0) == (slow > 0)
    assert same.mean() > 0.999
    assert fast.sum(axis=1) == pytest.approx(slow.sum(axis=1), rel=2e-3)
    both = (fast > 0) & (slow > 0)
    assert np.abs(np.log(fast[both] / slow[both])).mean() < 2e-3
    assert not np.allclose(fast, twin(model, 200, 0.3, seed=8), rtol=0.1)


# Closed loop


def test_correlations_and_zero_fractions_come_out(toy: voxel_toys.Toy, model: VoxelModel) -> None:
    """Tetrachoric correlations of which voxels are hit; their own error is 0.02 to 0.05 for so many showers."""
    drawn = sample(model, 6000, counts=False)
    assert (drawn <= 0).mean(axis=0) == pytest.approx(toy.zero[0], abs=0.025)
    pairs = np.triu_indices(24, 1)
    expected = voxel_toys.correlation()[pairs]
    found = voxel_toys.correlation_of(drawn, (drawn <= 0).mean(axis=0))[pairs]
    assert np.sqrt(((found - expected) ** 2).mean()) < 0.08
    assert np.corrcoef(found, expected)[0, 1] > 0.93


def test_without_factors_and_copula_correlations_are_gone(toy: voxel_toys.Toy) -> None:
    alone = fit(toy.voxels, BINNING, toy.energy, energy_points(toy.energy), rank=0)
    drawn = sample(alone, 6000, copula="independent")
    pairs = np.triu_indices(24, 1)
    found = voxel_toys.correlation_of(drawn, (drawn <= 0).mean(axis=0))[pairs]
    assert np.abs(found).mean() < 0.5 * np.abs(voxel_toys.correlation()[pairs]).mean()


def test_total_energies_follow_their_distribution(toy: voxel_toys.Toy, model: VoxelModel) -> None:
    drawn, trained = sample(model, 6000).sum(axis=1), toy.voxels.sum(axis=1)
    error = trained.std() * math.sqrt(1 / 6000 + 1 / 3000)
    assert drawn.mean() == pytest.approx(trained.mean(), abs=4 * error)
    assert drawn.std() == pytest.approx(trained.std(), rel=0.06)


def test_a_tilt_brings_rings_to_their_dipole(model: VoxelModel) -> None:
    """The mean length of dipoles is that of the training showers with and without; single rings move."""
    plain, tilted = sample(model, 500), sample(model, 500, tilt=True)
    assert tilted.sum(axis=1) == pytest.approx(plain.sum(axis=1), rel=1e-6)
    assert not np.allclose(plain, tilted)


# Between energies


@pytest.mark.parametrize("energy", [5_000.0, 10_000.0, 20_000.0])
def test_the_probability_of_zero_is_interpolated_before_the_rest(energy: float) -> None:
    """-ln p0 is a power of the energy between the points: here p0 = 0.8 at 4 GeV and 0.3 at 25 GeV, by construction."""
    rng = np.random.default_rng(1)
    energies = np.repeat([4_000.0, 25_000.0], 2000)
    p0 = np.repeat([0.8, 0.3], 2000)[:, None]
    voxels = np.where(rng.random((4000, 24)) < p0, 0.0, rng.exponential(5.0, (4000, 24)))
    model = fit(voxels, BINNING, energies, energy_points(energies), rank=0)
    drawn = sample(model, 4000, energy=energy, counts=False)
    share = np.log(energy / 4_000.0) / np.log(25.0 / 4.0)
    expected = np.exp(-np.exp((1 - share) * np.log(-np.log(0.8)) + share * np.log(-np.log(0.3))))
    assert (drawn <= 0).mean() == pytest.approx(expected, abs=0.02)
    # Quantiles interpolated with their zeros would be empty as often as the fuller of the two points.
    assert abs((drawn <= 0).mean() - 0.3) > 0.05


def test_between_eta_slices_quantiles_are_interpolated(toy: voxel_toys.Toy) -> None:
    """Twice the energy in the second slice: 2^w times as much at weight w, and nothing jumps."""
    points = energy_points(toy.energy)
    parts = [
        replace(
            handmade.part(BARREL, eta=eta, energy_range=(10_000.0, 10_000.0)),
            components={},
            tables={"voxel": fit(factor * toy.voxels, BINNING, toy.energy, points, rank=2, rings=RINGS).to_tables()},
        )
        for eta, factor in (((0.2, 0.3), 1.0), ((0.3, 0.4), 2.0))
    ]
    generator = TunedGenerator(replace(handmade.tune(BARREL, *parts), recipe=recipe()))
    means = []
    for eta in (0.25, 0.275, 0.2999, 0.3001, 0.325, 0.35):
        particles = Particles.gun(pdg=22, energy=10_000.0, eta=eta, n=3000)
        means.append(generator.generate(particles, seed=1).visible.mean())
    expected = toy.voxels.sum(axis=1).mean() * 2.0 ** np.array([0.0, 0.25, 0.499, 0.501, 0.75, 1.0])
    assert means == pytest.approx(expected, rel=0.02)
    assert means[3] == pytest.approx(means[2], rel=0.005)


# Contracts


def test_same_seed_same_bits_for_any_split_and_threads(model: VoxelModel) -> None:
    generator = TunedGenerator(tune_of(model))
    particles = gun(10_000.0, 50)
    whole = generator.generate(particles, seed=3).voxels()
    parts = [generator.generate(particles.take(slice(a, b)), seed=3).voxels() for a, b in ((0, 1), (1, 7), (7, 50))]
    assert np.array_equal(np.concatenate(parts), whole)
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        assert np.array_equal(generator.generate(particles, seed=3).voxels(), whole)
    finally:
        numba.set_num_threads(before)
    assert not np.array_equal(generator.generate(particles, seed=4).voxels(), whole)


def test_showers_are_voxels_of_the_detectors_binning(model: VoxelModel) -> None:
    generator = TunedGenerator(tune_of(model))
    showers = generator.generate(gun(10_000.0, 4), seed=1)
    assert generator.domain[0]["emits"] == showers.emits == "voxels"
    assert showers.binning == BINNING
    assert len(generator.generate(gun(10_000.0, 0), seed=1)) == 0


def test_numbers_of_hit_voxels_are_those_of_the_copula(model: VoxelModel, toy: voxel_toys.Toy) -> None:
    """Sparse rings: how many voxels of theirs are hit is a feature, and imposed."""
    own = model.rings.ring == 1
    drawn, trained = ((v[:, own] > 0).sum(axis=1) for v in (sample(model, 6000), toy.voxels))
    most = int(own.sum())
    shares = [np.bincount(counts, minlength=most + 1) / len(counts) for counts in (drawn, trained)]
    assert shares[0] == pytest.approx(shares[1], abs=0.03)


# Ground


def test_quick_normals_are_normal() -> None:
    x = np.empty(1_000_000, dtype=np.float32)
    fill_normals(stream(1, 2, 3), x)
    assert x.mean() == pytest.approx(0.0, abs=4e-3)
    assert x.var() == pytest.approx(1.0, abs=6e-3)
    for limit in (1.0, 2.0, 3.0, 4.0):
        expected = special.ndtr(-limit)
        assert (np.abs(x) > limit).mean() == pytest.approx(2 * expected, abs=5 * math.sqrt(2 * expected / 1e6))


def test_the_table_of_the_normal_tail_is_the_normal_tail() -> None:
    for z in np.linspace(-5.5, 5.5, 221):
        assert upper_tail1(np.float32(z)) == pytest.approx(special.ndtr(-z), rel=1e-3, abs=2e-6)


def test_tables_of_features_hold_what_the_copula_holds(model: VoxelModel) -> None:
    table = _feature_tables(model.copula)[0, 0]
    assert len(table) == _FEATURE_KNOTS
    assert table[0] == pytest.approx(model.copula.quantiles[0, 0, -1], abs=1e-5)
    assert table[-1] == pytest.approx(model.copula.quantiles[0, 0, 0], abs=1e-5)
