"""Validation finds what is wrong with a tune, and nothing where nothing is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import toys

from fastparam.geometry.detector import Geometry
from fastparam.geometry.load import load_geometry
from fastparam.summary import Binning, Summary, choose_binning, summarise_hits
from fastparam.tunes import Tune, load_recipe
from fastparam.tunes.fitting import fit_tune
from fastparam.workflow.validate import REPEAT, cross_validate, judged_showers, kernel_limit, validate


def summarised(
    geometry: Geometry, binning: Binning | None, *, seed: int, brightness: float = 1.0, shift: int = 0
) -> Summary:
    """Toy showers at two energies; `shift` books every hit that many layers deeper, those behind the last in none."""
    particles = toys.gun(geometry, energies=(4000.0, 16_000.0), n=100, seed=seed)
    hits = toys.shower_batch(geometry, particles, seed=seed, n_spots=200)
    layer = hits.layer + shift
    layer[layer >= geometry.n_layers] = -1
    hits = replace(hits, e=hits.e * brightness, z=hits.z + 3.7 * shift, layer=layer)
    return summarise_hits(geometry, particles, hits, binning or choose_binning(geometry, particles, hits, particles))


def as_particle(summary: Summary, pdg: int) -> Summary:
    codes = np.full(len(summary), pdg, dtype=np.int32)
    return replace(summary, particles=replace(summary.particles, pdg=codes))


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tune, Summary]:
    """A tune, and the showers it was fitted to."""
    path = tmp_path_factory.mktemp("validate") / "geometry.yaml"
    path.write_text(toys.PLANAR, encoding="utf-8")
    geometry = load_geometry(path)
    training = summarised(geometry, None, seed=1)
    return fit_tune(geometry, training, load_recipe("gflash"), slices=None), training


def silent(what: str, fraction: float) -> None:
    assert 0.0 <= fraction <= 1.0, what


@pytest.mark.parametrize(
    ("spoil", "broken"),
    [({}, set()), ({"brightness": 1.1}, {"visible_mean"}), ({"shift": 2}, {"longitudinal"})],
    ids=["same law", "10 % brighter", "two layers deeper"],
)
def test_held_back_showers_judge(tuned: tuple[Tune, Summary], spoil: dict, broken: set[str]) -> None:
    tune, training = tuned
    judging = summarised(tune.geometry, tune.binning, seed=2, **spoil)
    comparison = validate(tune, judging, training, seed=1, progress=silent)
    assert comparison is not None
    assert comparison.provenance["validation"] == "rows that were not tuned on"
    assert comparison.to_json()["candidates"][0]["showers"] == [100 * REPEAT] * 2
    failed = {verdict.observable for verdict in comparison.failures()}
    assert broken <= failed
    if not broken:
        assert failed == set()


def test_showers_outside_the_domain_judge_nothing(tuned: tuple[Tune, Summary]) -> None:
    tune, training = tuned
    assert validate(tune, as_particle(training, 211), training, seed=1, progress=silent) is None


def test_halves_that_cannot_be_fitted_cannot_judge(tuned: tuple[Tune, Summary]) -> None:
    tune, training = tuned
    assert cross_validate(tune, training.take(slice(0, 40)), slices=None, seed=1, progress=silent) is None


def test_profiles_that_are_no_gamma_functions_are_seen_by_the_limit(tuned: tuple[Tune, Summary]) -> None:
    """Every second layer twice as bright; each of the 30 layers is one cell of depth."""
    tune, training = tuned
    odd_cell = training.content_cell % 2
    zigzag = replace(
        training,
        content_energy=training.content_energy * (1 + odd_cell).astype(np.float32),
        layer_energy=training.layer_energy * (1 + np.arange(30) % 2),
    )
    good, bad = (kernel_limit(tune, judged_showers(tune, s)) for s in (training, zigzag))
    assert [row["energy"] for row in good] == [row["energy"] for row in bad] == pytest.approx([4000.0, 16_000.0])
    for gamma, other in zip(good, bad, strict=True):
        assert abs(gamma["deviation"]) < 4 * gamma["error"] + 1.0
        assert abs(other["deviation"]) > 10 * other["error"]


def test_a_particle_that_the_sample_lacks_has_no_limit(tuned: tuple[Tune, Summary]) -> None:
    tune, training = tuned
    assert judged_showers(tune, as_particle(training, 11)) == []
