"""From a summary to a tune: which showers are fitted, and which samples contradict themselves."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import toys

from fastparam.errors import FastparamWarning, FitError, InputError
from fastparam.fit import response
from fastparam.generate.tuned import TunedGenerator
from fastparam.geometry.detector import Geometry
from fastparam.geometry.load import load_geometry
from fastparam.particles import Particles
from fastparam.summary import Summary, choose_binning, summarise_hits
from fastparam.tunes import load_recipe
from fastparam.tunes.fitting import MIN_SHOWERS, SAMPLED_BY_GFLASH, check_shower_maximum, fit_slice, fit_tune
from fastparam.tunes.slices import eta_slices


def summarised(geometry: Geometry, particles: Particles, *, declared: float = 1.0, seed: int = 1) -> Summary:
    """Summarise toy showers whose energies, true and visible, are read as `declared` times what they are."""
    hits = toys.shower_batch(geometry, particles, seed=seed, n_spots=150)
    read = replace(particles, energy=particles.energy * declared)
    hits = replace(hits, e=hits.e * declared)
    return summarise_hits(geometry, read, hits, choose_binning(geometry, read, hits, read))


def geometry_of(folder: Path, text: str) -> Geometry:
    path = folder / "geometry.yaml"
    path.write_text(text, encoding="utf-8")
    return load_geometry(path)


# Which showers


@pytest.fixture(scope="module")
def barrel(tmp_path_factory: pytest.TempPathFactory) -> tuple[Geometry, Summary]:
    """Photons in two slices, electrons in one, and a few electrons in the other."""
    geometry = geometry_of(tmp_path_factory.mktemp("barrel"), toys.BARREL)
    rng = np.random.default_rng(1)

    def particles(pdg: int, low: float, n: int) -> Particles:
        energy = np.repeat([4000.0, 16_000.0], n // 2)
        return Particles.gun(pdg=pdg, energy=energy, eta=rng.uniform(low, low + 0.05, n), phi=0.1)

    everything = Particles.concatenate(
        [particles(22, 0.2, 60), particles(22, 0.4, 60), particles(11, 0.2, 80), particles(11, 0.4, MIN_SHOWERS - 2)]
    )
    return geometry, summarised(geometry, everything.with_index(np.arange(len(everything))))


def test_every_particle_and_slice_with_enough_showers_is_fitted_and_the_others_are_named(
    barrel: tuple[Geometry, Summary],
) -> None:
    geometry, summary = barrel
    slices = eta_slices(geometry, summary.particles)
    told: list[str] = []
    with pytest.warns(FastparamWarning) as warned:
        tune = fit_tune(geometry, summary, load_recipe("gflash"), slices=slices, progress=told.append)
    assert [(p.pdg, p.eta, p.n_showers) for p in tune.slices] == [
        (11, pytest.approx((0.2, 0.25), abs=2e-3), 80),
        (22, pytest.approx((0.2, 0.25), abs=2e-3), 60),
        (22, pytest.approx((0.4, 0.45), abs=2e-3), 60),
    ]
    assert len(told) == 3
    assert [str(w.message) for w in warned] == [f"left out: {reason}" for reason in tune.excluded]
    assert len(tune.excluded) == 1
    assert tune.excluded[0].startswith("electron, eta 0.4")
    assert f"{MIN_SHOWERS - 2} training showers; at least {MIN_SHOWERS} are needed" in tune.excluded[0]
    for part in tune.slices:
        assert set(part.components) >= {"response", "resolution", "layer_response", "longitudinal", "spots", "radial"}
        assert part.energy_range == pytest.approx((4000.0, 16_000.0))
    # 40 electrons, but 30 photons per energy: none is sparse.
    assert [part.sparse for part in tune.slices] == [(), (), ()]


def test_only_the_particles_asked_for_are_fitted(barrel: tuple[Geometry, Summary]) -> None:
    geometry, summary = barrel
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tune = fit_tune(geometry, summary, load_recipe("gflash"), slices=[(0.2, 0.251)], pdgs=[22])
    assert tune.pdgs == (22,)
    assert tune.excluded == ()


def test_particles_that_the_recipe_cannot_describe_are_left_out(barrel: tuple[Geometry, Summary]) -> None:
    geometry, summary = barrel
    pions = replace(summary, particles=replace(summary.particles, pdg=np.full(len(summary), 211, dtype=np.int32)))
    with (
        pytest.warns(FastparamWarning, match=r"left out: pi\+: the recipe gflash describes electron, positron, photon"),
        pytest.raises(FitError, match=r"nothing could be tuned; pi\+: the recipe gflash describes"),
    ):
        fit_tune(geometry, pions, load_recipe("gflash"), slices=[(0.2, 0.25)])


def test_energies_with_few_showers_stay_in_the_fit_and_are_named(tmp_path: Path) -> None:
    geometry = geometry_of(tmp_path, toys.PLANAR)
    many, few = (toys.gun(geometry, energies=(e,), n=n, seed=1) for e, n in ((4000.0, 60), (16_000.0, 12)))
    particles = Particles.concatenate([many, few])
    summary = summarised(geometry, particles.with_index(np.arange(72)))
    (part,) = fit_tune(geometry, summary, load_recipe("gflash"), slices=None).slices
    assert part.n_showers == 72
    assert part.sparse == (pytest.approx(16_000.0),)
    assert part.energy_range[1] == pytest.approx(16_000.0)


# The shower maximum


@pytest.mark.parametrize("text", [toys.PLANAR, toys.BLOCK, toys.BARREL], ids=["planar", "block", "barrel"])
@pytest.mark.parametrize("energies", [(16_000.0,), (1000.0, 4000.0, 65_000.0)])
def test_energies_in_a_wrong_unit_are_told_by_the_depth_of_the_showers(
    tmp_path: Path, text: str, energies: tuple[float, ...]
) -> None:
    geometry = geometry_of(tmp_path, text)
    particles = toys.gun(geometry, energies=energies, n=25, seed=2)
    check_shower_maximum(geometry, summarised(geometry, particles))
    for declared, factor, sign in ((1e-3, "1000", r"\+"), (1e3, r"0\.001", "-")):
        message = rf"{sign}\d\.\d X0 from ln\(E/Ec\), as if their energies were {factor} times what was read"
        with pytest.raises(InputError, match=message):
            check_shower_maximum(geometry, summarised(geometry, particles, declared=declared))


def test_corrections_that_few_showers_do_not_support_are_left_out_of_a_tune_that_samples(tmp_path: Path) -> None:
    """12 showers per energy: no bin in energy and age has the 20 that unequal spots need."""
    geometry = geometry_of(tmp_path, toys.PLANAR)
    primaries = toys.gun(geometry, energies=(2000.0, 8000.0, 32_000.0), n=12, seed=4)
    tune = fit_tune(geometry, summarised(geometry, primaries), load_recipe("gflash"), slices=None)
    (part,) = tune.slices
    assert part.failed["spot_spectrum"].startswith("spot_spectrum: no bin")
    assert "spot_spectrum" not in part.components
    assert set(SAMPLED_BY_GFLASH) <= set(part.components)
    showers = TunedGenerator(tune).generate(primaries, seed=1)
    trained = toys.shower_batch(geometry, primaries, seed=1, n_spots=150)
    # 12 showers of 32 GeV, with 1.8 % and leakage, hold three quarters of the energy: 0.6 % on either side.
    assert showers.visible.sum() == pytest.approx(trained.e.sum(), rel=0.03)


def test_a_maximum_behind_a_short_detector_is_no_contradiction(tmp_path: Path) -> None:
    """4 X0 of lead tungstate see the rise of a 65 GeV shower only, and that is what they should see."""
    text = toys.BLOCK.split("  - {name: second")[0] + "samples:" + toys.BLOCK.split("samples:")[1]
    geometry = geometry_of(tmp_path, text)
    particles = toys.gun(geometry, energies=(65_000.0,), n=40, seed=2)
    check_shower_maximum(geometry, summarised(geometry, particles))


def test_pions_and_single_showers_say_nothing_about_units(tmp_path: Path) -> None:
    geometry = geometry_of(tmp_path, toys.BLOCK)
    particles = toys.gun(geometry, n=10, seed=2)
    wrong = summarised(geometry, particles, declared=1e-3)
    check_shower_maximum(geometry, wrong.take(slice(0, 10)))
    pions = replace(wrong, particles=replace(wrong.particles, pdg=np.full(len(wrong), 211, dtype=np.int32)))
    check_shower_maximum(geometry, pions)
    with pytest.raises(InputError, match="shower maximum"):
        check_shower_maximum(geometry, wrong)


def test_a_declared_modulation_is_divided_out_before_anything_else_is_fitted(tmp_path: Path) -> None:
    """A third of the showers' width at 16 GeV is their phase; the response law does not hold it, the tune shows it."""
    pitch = 2 * np.pi / 512
    geometry = geometry_of(tmp_path, toys.BARREL + "modulation: {pitch: 2*pi/512, layers: [1, 2, 3]}\n")
    primaries = toys.gun(geometry, energies=(4000.0, 16_000.0), n=250, seed=5)
    hits = toys.shower_batch(geometry, primaries, seed=5, n_spots=60)
    wave = 1.0 + 0.08 * np.cos(2 * np.pi * primaries.phi / pitch)
    seen = replace(hits, e=hits.e * wave[hits.shower])
    showers = summarise_hits(geometry, primaries, seen, choose_binning(geometry, primaries, seen, primaries))
    recipe = load_recipe("gflash").model_copy(update={"corrections": []})
    part = fit_slice(geometry, showers, recipe, 22, (0.20, 0.25))
    law = part.components["modulation"]
    assert law.settings["applied"]
    assert abs(law["total_a10"] - 0.08) < 4 * law.errors[law.names.index("total_a10")]
    mean, width = response.moments(part.components["response"], np.array([np.log(16.0)]))
    hard = primaries.energy == 16_000.0
    raw = np.std(showers.visible[hard] / 16_000.0) / mean[0]
    true = 0.10 / np.sqrt(16.0)
    assert raw > 1.9 * true  # hypot(0.025, 0.08 / sqrt 2) and what leaks
    assert width[0] / mean[0] < 1.5 * true
