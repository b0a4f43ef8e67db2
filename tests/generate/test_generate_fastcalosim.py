"""Sampler of the recipe `fastcalosim`: the inverse of its fit, from toys whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import handmade
import numpy as np
import pytest
import toys
from scipy import stats

from fastparam.errors import OutOfDomainError
from fastparam.fit import fastcalosim
from fastparam.fit.energy_model import Energies, draw
from fastparam.fit.energy_quantities import layer_energies
from fastparam.fit.tables import Tables
from fastparam.generate.tuned import TunedGenerator
from fastparam.geometry.detector import Geometry
from fastparam.geometry.frames import local_frames, to_local
from fastparam.particles import Particles
from fastparam.showers.showers import Showers
from fastparam.summary.binning import choose_binning
from fastparam.summary.summarise import summarise_hits
from fastparam.summary.summary import Summary
from fastparam.tunes.file import load_tune, save_tune
from fastparam.tunes.recipe import load_recipe
from fastparam.tunes.tune import SliceTune, Tune

LEVEL, FAR = 1e-3, 1e-6
POINTS = (4000.0, 16_000.0, 65_000.0)


def training(geometry: Geometry, n: int = 150, seed: int = 1, energies: tuple[float, ...] = POINTS) -> Summary:
    """Toy showers, summarised with their hits."""
    particles = toys.gun(geometry, energies=energies, n=n, seed=seed)
    hits = toys.shower_batch(geometry, particles, seed=seed, n_spots=200)
    binning = choose_binning(geometry, particles, hits, particles)
    return summarise_hits(geometry, particles, hits, binning, keep_hits=np.ones(len(particles), dtype=np.bool_))


def tune_of(geometry: Geometry, *parts: tuple[tuple[float, float] | None, Tables]) -> Tune:
    """A tune of the recipe that consists of its own tables only."""
    slices = tuple(
        SliceTune(22, eta, (POINTS[0], POINTS[-1]), 0.0, 450, {}, tables={"fastcalosim": tables})
        for eta, tables in parts
    )
    return replace(handmade.tune(geometry), recipe=load_recipe("fastcalosim"), slices=slices)


@pytest.fixture(scope="module")
def planar() -> tuple[Summary, Tune]:
    geometry = handmade.detector("planar")
    showers = training(geometry)
    return showers, tune_of(geometry, (None, fastcalosim.fit(geometry, showers, {}, left_out=False)))


@pytest.fixture(scope="module")
def block() -> tuple[Summary, Tune]:
    """Four thick layers."""
    geometry = handmade.detector("block")
    showers = training(geometry, n=250)
    return showers, tune_of(geometry, (None, fastcalosim.fit(geometry, showers, {}, left_out=False)))


@pytest.fixture(scope="module")
def barrel() -> Tune:
    geometry = handmade.detector("barrel")
    tables = fastcalosim.fit(geometry, training(geometry), {}, left_out=False)
    richer = Tables(tables.arrays | {"marginal_location": _shifted(tables, 0.1)}, tables.settings)
    return tune_of(geometry, ((0.20, 0.25), tables), ((0.40, 0.45), richer))


def _shifted(tables: Tables, relative: float) -> np.ndarray:
    """Locations with the total raised by a fraction."""
    location = tables["marginal_location"].copy()
    location[:, 0] *= 1 + relative
    return location


def beam(geometry: Geometry, n: int, energy: float = 16_000.0, degrees: float = 0.0, eta: float = 0.22) -> Particles:
    if geometry.frame == "barrel":
        return Particles.gun(pdg=22, energy=energy, eta=eta, phi=0.3, n=n)
    angle = np.deg2rad(degrees)
    return Particles.gun(
        pdg=22, energy=energy, position=(5.0, -7.0, -0.001), direction=(np.sin(angle), 0, np.cos(angle)), n=n
    )


def sampled(tune: Tune, particles: Particles, seed: int = 1) -> Showers:
    return TunedGenerator(tune).generate(particles, seed=seed)


def layer_energy(showers: Showers) -> np.ndarray:
    n = showers.geometry.n_layers
    flat = np.bincount(showers.hits.shower * n + showers.hits.layer, weights=showers.hits.e, minlength=len(showers) * n)
    return flat.reshape(-1, n)


def local(showers: Showers) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(s, d1, d2) of all hits."""
    hits = showers.hits
    frames = local_frames(showers.geometry, showers.particles)
    return tuple(to_local(frames, hits.shower, np.stack([hits.x, hits.y, hits.z], axis=1)).T)


def with_tables(tune: Tune, **arrays: np.ndarray) -> Tune:
    part = tune.slices[0]
    tables = part.tables["fastcalosim"]
    changed = replace(part, tables={"fastcalosim": Tables(tables.arrays | arrays, tables.settings)})
    return replace(tune, slices=(changed, *tune.slices[1:]))


# Energies


def test_hits_of_layers_add_up_to_the_energies_drawn(planar: tuple[Summary, Tune]) -> None:
    tune = planar[1]
    showers = sampled(tune, beam(tune.geometry, 300))
    model = Energies.from_tables(tune.slices[0].tables["fastcalosim"])
    x, _ = draw(model, np.full(300, 16_000.0), seed=1)
    wanted = layer_energies(x, tune.geometry.n_layers) * 16_000.0
    assert layer_energy(showers) == pytest.approx(wanted, rel=1e-9)
    assert showers.visible == pytest.approx(x[:, 0] * 16_000.0, rel=1e-9)
    assert (showers.hits.e > 0).all()


@pytest.mark.parametrize("energy", POINTS)
def test_total_and_layers_are_distributed_as_in_training(planar: tuple[Summary, Tune], energy: float) -> None:
    summary, tune = planar
    truth = summary.take(summary.particles.energy == energy)
    showers = sampled(tune, beam(tune.geometry, 3000, energy))
    assert stats.ks_2samp(showers.visible, truth.visible).pvalue > LEVEL
    found = layer_energy(showers)
    # In layers of few spots the toy's energies are multiples of a spot.
    main = truth.layer_energy.sum(axis=0) > 0.05 * truth.visible.sum()
    p_values = [stats.ks_2samp(found[:, k], truth.layer_energy[:, k]).pvalue for k in np.flatnonzero(main)]
    assert min(p_values) > LEVEL / len(p_values)


def test_depths_inside_thick_layers_are_distributed_as_in_training(block: tuple[Summary, Tune]) -> None:
    """The mean depth of a whole shower: mean to 1 %, width to 12 % (250 showers scatter by 4.5 %)."""
    summary, tune = block
    geometry = tune.geometry
    for energy in POINTS[1:]:
        truth = summary.take(summary.particles.energy == energy)
        particles = beam(geometry, 1500, energy)
        showers = sampled(tune, particles)
        again = summarise_hits(geometry, particles, showers.hits, summary.binning)
        a, b = (s.depth_sums[:, 0] / s.visible for s in (again, truth))
        error = b.std() / np.sqrt(len(b))
        assert a.mean() == pytest.approx(b.mean(), abs=max(0.01 * b.mean(), 3 * error))
        assert a.std() == pytest.approx(b.std(), rel=0.12)
        c, d = (s.depth_sums[:, 1] / s.visible - (s.depth_sums[:, 0] / s.visible) ** 2 for s in (again, truth))
        assert c.mean() == pytest.approx(d.mean(), rel=0.05)


# Places


@pytest.mark.parametrize("degrees", [0.0, 40.0])
def test_radii_follow_the_stored_histogram_at_any_incidence(planar: tuple[Summary, Tune], degrees: float) -> None:
    tune = planar[1]
    showers = sampled(tune, beam(tune.geometry, 400, degrees=degrees)) if degrees == 0 else _inclined(tune, degrees)
    _, d1, d2 = local(showers)
    tables = tune.slices[0].tables["fastcalosim"]
    density = tables["lateral_density"].astype(np.float64) ** 2
    density /= density.sum(axis=-1, keepdims=True)
    own = showers.hits.layer == 8
    middle = int(np.argmin(np.abs(tables["marginal_ln_e"] - np.log(16_000.0))))
    counts = np.histogram(np.hypot(d1, d2)[own], tables["lateral_edges"])[0]
    expected = density[middle, :, 8].mean(axis=0)
    used = expected * counts.sum() > 10
    # Bins of the leading component differ a little in how many hits they have.
    assert stats.chisquare(counts[used], expected[used] / expected[used].sum() * counts[used].sum()).pvalue > LEVEL
    wider = np.histogram(1.1 * np.hypot(d1, d2)[own], tables["lateral_edges"])[0]
    assert stats.chisquare(wider[used], expected[used] / expected[used].sum() * wider[used].sum()).pvalue < FAR


def _inclined(tune: Tune, degrees: float) -> Showers:
    with pytest.warns(match="inclined by up to 40.0 degrees"):
        return sampled(tune, beam(tune.geometry, 400, degrees=degrees))


@pytest.mark.parametrize("name", ["planar", "block", "barrel"])
def test_every_hit_lies_in_its_layer(name: str, request: pytest.FixtureRequest) -> None:
    found = request.getfixturevalue(name)
    tune = found[1] if isinstance(found, tuple) else found
    showers = sampled(tune, beam(tune.geometry, 100))
    hits, geometry = showers.hits, showers.geometry
    where = np.hypot(hits.x, hits.y) if geometry.frame == "barrel" else hits.z
    assert (where >= geometry.layer_from[hits.layer] - 1e-9).all()
    assert (where <= geometry.layer_to[hits.layer] + 1e-9).all()


def test_turning_the_detector_turns_the_showers(barrel: Tune) -> None:
    a = beam(barrel.geometry, 50)
    b = Particles.gun(pdg=22, energy=16_000.0, eta=0.22, phi=0.3 + 2.0, n=50)
    first, second = sampled(barrel, a).hits, sampled(barrel, b).hits
    x, y = np.cos(2.0) * first.x - np.sin(2.0) * first.y, np.sin(2.0) * first.x + np.cos(2.0) * first.y
    assert np.abs(np.stack([x - second.x, y - second.y, first.z - second.z])).max() < 1e-7
    assert np.array_equal(first.e, second.e)


def test_a_displaced_start_moves_the_shower_along(planar: tuple[Summary, Tune]) -> None:
    tune = planar[1]
    a = beam(tune.geometry, 50)
    b = replace(a, position=a.position + np.array([11.0, 3.0, -20.0]))
    first, second = sampled(tune, a).hits, sampled(tune, b).hits
    assert first.x + 11.0 == pytest.approx(second.x, abs=1e-9)
    assert first.z == pytest.approx(second.z, abs=1e-9)


# Numbers and energies of hits


def share_inside(showers: Showers, layer: int, radius: float) -> np.ndarray:
    """Share of a layer's energy within a radius, per shower."""
    _, d1, d2 = local(showers)
    own = showers.hits.layer == layer
    inside = own & (np.hypot(d1, d2) < radius)
    total, within = (
        np.bincount(showers.hits.shower[m], weights=showers.hits.e[m], minlength=len(showers)) for m in (own, inside)
    )
    return within[total > 0] / total[total > 0]


@pytest.mark.parametrize(("n_eff", "weights"), [(1.0, False), (4.0, False), (30.0, False), (30.0, True)])
def test_energy_in_a_window_fluctuates_as_n_eff_says(planar: tuple[Summary, Tune], n_eff: float, weights: bool) -> None:
    """Variance of the share phi in a window: <phi> (1 - <phi>) / n_eff."""
    tune = _same_everywhere(planar[1], n_eff)
    if weights:
        tune = with_tables(tune, lateral_weights=np.log(np.linspace(0.1, 1.9, 33))[None])
    phi = share_inside(sampled(tune, beam(tune.geometry, 3000)), 8, 6.0)
    variance = phi.mean() * (1 - phi.mean()) / n_eff
    assert phi.var() == pytest.approx(variance, rel=0.1 if not weights else 0.12)


def _same_everywhere(tune: Tune, n_eff: float) -> Tune:
    """One shape for all bins and energies, and a fixed number of independent deposits."""
    tables = tune.slices[0].tables["fastcalosim"]
    density = tables["lateral_density"].astype(np.float64) ** 2
    one = np.broadcast_to(density.mean(axis=(0, 1), keepdims=True), density.shape)
    hits = np.tile([np.log(n_eff), 0.0], (tune.geometry.n_layers, 1))
    return with_tables(tune, lateral_density=np.sqrt(one).astype(np.float32), lateral_hits=hits)


def test_layer_energies_are_unbiased_with_a_single_hit(planar: tuple[Summary, Tune]) -> None:
    """The planted defect, a sum that leaves the last hit of a layer out, would take away 1/n of it: all of it here."""
    tune = _same_everywhere(planar[1], 1.0)
    showers = sampled(tune, beam(tune.geometry, 500))
    many = sampled(_same_everywhere(planar[1], 20.0), beam(tune.geometry, 500))
    assert layer_energy(showers) == pytest.approx(layer_energy(many), rel=1e-9)
    key = many.hits.shower * tune.geometry.n_layers + many.hits.layer
    last = np.append(key[1:] != key[:-1], True)
    assert many.hits.e[~last].sum() / many.hits.e.sum() == pytest.approx(1 - 1 / 20.0, abs=0.01)


def test_weights_of_hits_leave_the_mean_profile_alone(planar: tuple[Summary, Tune]) -> None:
    plain = _same_everywhere(planar[1], 20.0)
    w = np.exp(np.linspace(-4.0, 2.0, 33))
    wide = with_tables(plain, lateral_weights=np.log(w / w.mean())[None])
    a, b = (share_inside(sampled(t, beam(t.geometry, 1500), seed=k), 8, 6.0) for k, t in enumerate((plain, wide)))
    assert a.mean() == pytest.approx(b.mean(), abs=3.3 * np.hypot(a.std(), b.std()) / np.sqrt(1500))
    spread = sampled(wide, beam(plain.geometry, 200)).hits.e
    assert spread.min() > 0


def test_centroids_of_layers_scatter_as_in_training(planar: tuple[Summary, Tune]) -> None:
    """The toy has 200 equal spots per shower, which n_eff must find; far tails make a variance a poor measure."""
    summary, tune = planar
    truth = summary.take(summary.particles.energy == 16_000.0)
    particles = beam(tune.geometry, 2000)
    again = summarise_hits(tune.geometry, particles, sampled(tune, particles).hits, summary.binning)
    for layer in (5, 8, 12):
        means = [s.layer_mean[s.layer_energy[:, layer] > 0, layer, 0] for s in (again, truth)]
        a, b = (np.diff(np.quantile(m, [0.16, 0.84]))[0] for m in means)
        assert a == pytest.approx(b, rel=0.25)


# Layers together (row 16 of the closed loops: centroids of hadron showers are correlated from layer to layer)


TRACKS = np.array([0.1, 0.0, 6.0, 0.8, 4.0])


def dipoles(showers: Showers) -> np.ndarray:
    """Energy-weighted mean of (cos alpha, sin alpha) per layer, (n, L, 2)."""
    _, d1, d2 = local(showers)
    n, r = showers.geometry.n_layers, np.maximum(np.hypot(d1, d2), 1e-12)
    place = showers.hits.shower * n + showers.hits.layer
    sums = [np.bincount(place, weights=showers.hits.e * w, minlength=len(showers) * n) for w in (1.0, d1 / r, d2 / r)]
    return np.stack(sums[1:], axis=-1).reshape(-1, n, 2) / np.maximum(sums[0], 1e-12).reshape(-1, n, 1)


@pytest.mark.parametrize("weights", [False, True])
def test_dipoles_of_layers_agree_as_hits_continue(planar: tuple[Summary, Tune], weights: bool) -> None:
    """E[D . D'] n_eff = exp(-c0 - d/length) for equal layers; without tracks nothing agrees."""
    tune = _same_everywhere(planar[1], 12.0)
    if weights:  # of mean square 1.5, which n_eff takes off
        w = np.exp(np.sqrt(np.log(1.5)) * stats.norm.ppf((np.arange(33) + 0.5) / 33))
        tune = with_tables(tune, lateral_weights=np.log(w / w.mean())[None])
    layers = slice(4, 12)
    for name, arrays, strength in (("on", {"tracks": TRACKS}, np.exp(-0.1)), ("off", {}, 0.0)):
        d = dipoles(sampled(with_tables(tune, **arrays), beam(tune.geometry, 4000)))[:, layers]
        own = (d**2).sum(axis=2).mean()
        for distance in (1, 3):
            products = (d[:, distance:] * d[:, :-distance]).sum(axis=2).mean(axis=1) / own
            expected = strength * np.exp(-distance / 6.0)
            error = products.std() / np.sqrt(len(products))
            # Of a Poisson number of hits the first min(n, n') can continue: 1/max(n, n') is 12 % below 1/n.
            assert 0.8 * expected - 4 * error < products.mean() < expected + 4 * error, (name, distance)


def test_what_continues_is_found_again_and_nothing_where_it_is_switched_off(planar: tuple[Summary, Tune]) -> None:
    """Sampled showers, fitted again. The planted defect is independent layers."""
    tune = _same_everywhere(planar[1], 12.0)
    particles = beam(tune.geometry, 1500)
    for arrays in ({"tracks": TRACKS}, {}):
        hits = sampled(with_tables(tune, **arrays), particles).hits
        again = summarise_hits(
            tune.geometry, particles, hits, planar[0].binning, keep_hits=np.ones(len(particles), dtype=np.bool_)
        )
        found = fastcalosim.fit(tune.geometry, again, {}, left_out=False).arrays.get("tracks")
        if arrays:
            d = np.arange(1, 6)
            assert np.exp(-found[0] - found[1] * np.log(16.0) - d / found[2]) == pytest.approx(
                np.exp(-TRACKS[0] - d / TRACKS[2]), abs=0.08
            )
        else:
            assert found is None or np.exp(-found[0] - found[1] * np.log(16.0) - 1 / found[2]) < 0.05


def test_continuing_hits_leave_every_single_layer_as_it_is(planar: tuple[Summary, Tune]) -> None:
    """Energies and numbers of hits to the bit; radii and the scatter of centroids within errors."""
    tune = planar[1]
    on, off = (sampled(with_tables(tune, **a), beam(tune.geometry, 2000)) for a in ({"tracks": TRACKS}, {}))
    assert np.array_equal(on.hits.offsets, off.hits.offsets)
    assert layer_energy(on) == pytest.approx(layer_energy(off), rel=1e-12)
    # A layer's hits of different showers are independent, those of one shower, too.
    for layer in (5, 8, 11):
        radii = [np.hypot(*local(s)[1:])[s.hits.layer == layer] for s in (on, off)]
        assert stats.ks_2samp(*radii).pvalue > LEVEL
        a, b = (dipoles(s)[:, layer].ravel() for s in (on, off))
        assert stats.ks_2samp(a, b).pvalue > LEVEL


def test_the_recipe_can_switch_it_off() -> None:
    recipe = load_recipe("fastcalosim")
    assert recipe.fastcalosim.tracks
    geometry = handmade.detector("planar")
    tables = fastcalosim.fit(geometry, training(geometry, n=60), {}, continued=False, left_out=False)
    assert "tracks" not in tables.arrays


# Bits


@pytest.mark.parametrize("name", ["planar", "barrel"])
def test_the_same_bits_for_any_split_into_batches(name: str, request: pytest.FixtureRequest) -> None:
    found = request.getfixturevalue(name)
    tune = found[1] if isinstance(found, tuple) else found
    rng = np.random.default_rng(2)
    particles = beam(tune.geometry, 60, energy=rng.uniform(4500.0, 60_000.0, 60))
    if name == "barrel":
        particles = Particles.gun(pdg=22, energy=particles.energy, eta=rng.uniform(0.2, 0.45, 60), phi=0.1)
    whole = sampled(tune, particles).hits
    for rows in (slice(0, 7), slice(7, 60), np.array([33, 4, 59])):
        part = sampled(tune, particles.take(rows)).hits
        wanted = np.concatenate([np.arange(whole.offsets[i], whole.offsets[i + 1]) for i in np.arange(60)[rows]])
        for coordinate in ("x", "y", "z", "e", "layer"):
            assert np.array_equal(getattr(part, coordinate), getattr(whole, coordinate)[wanted])


def test_a_saved_tune_samples_the_same_bits(tmp_path: Path, block: tuple[Summary, Tune]) -> None:
    tune = block[1]
    save_tune(tmp_path / "t.tune.h5", tune)
    again = load_tune(tmp_path / "t.tune.h5")
    particles = beam(tune.geometry, 40)
    a, b = sampled(tune, particles).hits, sampled(again, particles).hits
    assert all(np.array_equal(getattr(a, c), getattr(b, c)) for c in ("x", "y", "z", "e", "layer", "offsets"))


# Between energies and slices


def test_a_shower_moves_smoothly_with_energy_and_eta(barrel: Tune) -> None:
    """The slices differ by 10 % in response; neither an energy point nor the edge or middle of a slice is felt."""
    n = 2001
    zero = np.zeros(n, dtype=np.int64)
    by_eta = Particles.gun(pdg=22, energy=20_000.0, eta=np.linspace(0.2, 0.45, n), phi=0.1).with_index(zero)
    by_energy = Particles.gun(pdg=22, energy=np.geomspace(4000.0, 65_000.0, n), eta=0.3, phi=0.1).with_index(zero)
    for particles in (by_eta, by_energy):
        total = sampled(barrel, particles).visible / particles.energy
        assert np.abs(np.diff(np.log(total))).max() < 0.03


def test_between_two_slices_the_response_is_in_the_middle(barrel: Tune) -> None:
    def mean(eta: float) -> float:
        return float(sampled(barrel, beam(barrel.geometry, 3000, eta=eta)).visible.mean())

    low, middle, high = (mean(eta) for eta in (0.225, 0.325, 0.425))
    assert high / low == pytest.approx(1.1, abs=0.005)
    assert middle == pytest.approx(0.5 * (low + high), rel=0.005)


@pytest.mark.parametrize(("energy", "eta"), [(3000.0, 0.22), (66_000.0, 0.22), (16_000.0, 0.1), (16_000.0, -0.15)])
def test_outside_the_range_is_refused(barrel: Tune, energy: float, eta: float) -> None:
    with pytest.raises(OutOfDomainError, match="outside"):
        sampled(barrel, beam(barrel.geometry, 1, energy=energy, eta=eta))


# Modulation with phi


def test_the_modulation_is_put_on_total_and_layers(barrel: Tune) -> None:
    """First harmonic of 5 % on the total, of 20 % on what the first layer shares of it; the mean over phi stays."""
    part = replace(barrel.slices[0], components={"modulation": handmade.modulation(total_a10=0.05, layer1_a10=0.2)})
    tune = replace(barrel, geometry=handmade.detector("phased"), slices=(part,))
    # Whole periods in equal steps, so that the waves of a flat response add up to 0.
    psi = 2 * np.pi * np.arange(6000) / 200
    particles = Particles.gun(pdg=22, energy=16_000.0, eta=0.22, phi=psi / 512)
    showers = sampled(tune, particles)
    plain = sampled(replace(tune, slices=(replace(part, components={}),)), particles)

    def wave(values: np.ndarray, of: object = np.cos) -> float:
        return float(2 * (values * of(psi)).mean() / values.mean())

    share, flat = (e[:, 0] / e.sum(axis=1) for e in (layer_energy(showers), layer_energy(plain)))
    assert wave(showers.visible) == pytest.approx(0.05, abs=0.003)
    assert wave(showers.visible, np.sin) == pytest.approx(0.0, abs=0.003)
    assert 0.1 < wave(share) - wave(flat) < 0.2  # shares add up to 1, which takes part of it back
    assert wave(plain.visible) == pytest.approx(0.0, abs=0.003)
    assert showers.visible.mean() == pytest.approx(plain.visible.mean(), rel=0.003)
