"""The main job from Python, on toy showers that follow the recipe's own laws: the validation must find no fault."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import toys

import fastparam
from fastparam.comparison.comparison import Comparison
from fastparam.errors import FastparamWarning, UsageError
from fastparam.geometry.load import load_geometry
from fastparam.particles import Particles
from fastparam.summary import summarise_sample
from fastparam.tunes import tune_digest
from fastparam.workflow import TuneResult, run

#: The module; as an attribute of its package, the name is that of the function.
WORKFLOW = import_module("fastparam.workflow.tune")


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toys.write_detector(
        tmp_path_factory.mktemp("workflow"), toys.PLANAR, energies=(4000.0, 16_000.0), n=120, n_spots=200
    )


@pytest.fixture(scope="module")
def result(sample: Path) -> TuneResult:
    return run(sample)


@pytest.fixture
def unjudged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the validation out: these tests are about the tune."""
    monkeypatch.setattr(WORKFLOW, "validate", lambda *_, **__: None)
    monkeypatch.setattr(WORKFLOW, "judged_showers", lambda *_: [])


def test_all_rows_are_tuned_on_and_judged_by_cross_validation(result: TuneResult) -> None:
    assert result.generator.tune.slices[0].n_showers == 240
    assert result.comparison is not None
    assert result.comparison.provenance["validation"] == "cross-validation of two halves"
    assert [point.label for point in result.comparison.points]
    assert result.comparison.to_json()["candidates"][0]["showers"] == [600, 600]  # five per judged one


def test_showers_of_the_recipes_own_laws_are_reproduced(result: TuneResult) -> None:
    assert result.comparison is not None
    judged = [v for v in result.comparison.verdicts if v.passed is not None]
    assert {v.observable for v in judged} >= {"visible_mean", "visible_width", "longitudinal", "r50", "r90"}
    assert result.comparison.failures() == []


def test_the_law_of_the_toys_is_found(result: TuneResult) -> None:
    part = result.generator.tune.slices[0]
    assert part.failed == {}
    longitudinal, law = part.components["longitudinal"], toys.Law()
    for energy in (4000.0, 16_000.0):
        ln_y = np.log(energy / result.generator.geometry.material.critical_energy)
        found = longitudinal["t0"] + longitudinal["t1"] * ln_y
        assert found == pytest.approx(law.exp_ln_t[0] + law.exp_ln_t[1] * ln_y, rel=0.04)
    resolution = part.components["resolution"]
    assert resolution["a"] == pytest.approx(law.resolution, abs=4 * resolution.errors[0] + 0.02)


def test_gamma_profiles_describe_gamma_showers(result: TuneResult) -> None:
    rows = result.generator.tune.validation["gamma_profile_limit"]
    assert [row["energy"] for row in rows] == pytest.approx([4000.0, 16_000.0])
    for row in rows:
        assert abs(row["deviation"]) < 4 * row["error"] + 1.0


def test_the_tune_carries_its_validation(result: TuneResult) -> None:
    assert result.comparison is not None
    carried = Comparison.from_json(result.generator.tune.validation["comparison"])
    assert carried.to_json() == result.comparison.to_json()


def test_the_report_is_written_whole(result: TuneResult, tmp_path: Path) -> None:
    result.write_html(tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "cross-validation of two halves" in html
    assert html.rstrip().endswith("</html>")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_the_report_of_a_tune_that_nothing_could_judge_says_so(result: TuneResult) -> None:
    page = replace(result, comparison=None).page()
    assert "Not validated: no showers were left to judge." in page.lead
    assert page.sections


@pytest.mark.usefixtures("unjudged")
def test_rows_that_judge_do_not_take_part_in_the_tune(sample: Path, tmp_path: Path) -> None:
    """Odd rows twice as bright, and another choice of rows as control."""
    geometry = load_geometry(sample)
    particles = toys.gun(geometry, energies=(4000.0, 16_000.0), n=120, seed=1)
    hits = toys.shower_batch(geometry, particles, seed=1, n_spots=200)
    bright = replace(hits, e=np.where(hits.shower % 2 == 1, 2.0, 1.0) * hits.e)
    (tmp_path / "geometry.yaml").write_text(sample.read_text())
    toys.write_root(tmp_path / "toy.root", geometry, particles, bright)
    digests = [
        tune_digest(fastparam.tune(path, rows=rows).tune)
        for path, rows in (
            (geometry, "even"),
            (tmp_path / "geometry.yaml", "even"),
            (tmp_path / "geometry.yaml", "odd"),
        )
    ]
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]


def test_tuned_showers_have_the_response_of_the_sample(result: TuneResult) -> None:
    """`tune.generate` is what the README promises."""
    photons = Particles.gun(pdg=22, energy=16_000.0, n=500, direction=(0, 0, 1), position=(0, 0, -1))
    showers = result.generator.generate(photons, seed=1)
    summary = summarise_sample(result.generator.geometry)
    wanted = summary.visible[summary.particles.energy > 10_000.0].mean()
    assert showers.visible.mean() == pytest.approx(wanted, rel=0.015)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": "some"}, "rows: unknown 'some'; expected all, even or odd"),
        ({"pdg": [11, 22]}, "--pdg: the sample has no particle 11; it has 22"),
        ({"eta": [0.2]}, "--eta: a planar detector has no eta slices"),
    ],
)
def test_options_that_do_not_fit_the_sample_are_refused(sample: Path, options: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run(sample, **options)


# Warm start


@pytest.mark.usefixtures("unjudged")
def test_a_warm_start_ends_where_a_cold_one_does(sample: Path) -> None:
    cold, other = (run(sample, rows=rows).generator for rows in ("even", "odd"))
    warm = run(sample, rows="even", start_from=other).generator
    (before,), (after,), (far,) = cold.tune.slices, warm.tune.slices, other.tune.slices
    for name in ("response", "longitudinal", "radial"):
        a, b, c = (part.components[name] for part in (before, after, far))
        # A minimum is found to a hundredth of its error or so.
        assert np.all(np.abs(a.values - b.values) < 0.1 * a.errors + 1e-12), name
        # What it started from is another place.
        assert np.abs(a.values - c.values).max() > 0.2 * a.errors.max(), name
    assert warm.tune.provenance["started from"].endswith("same detector")
    assert "started from" not in cold.tune.provenance


@pytest.mark.usefixtures("unjudged")
def test_a_tune_of_another_detector_may_be_started_from_and_is_warned_of(sample: Path, tmp_path: Path) -> None:
    text = sample.read_text(encoding="utf-8").replace("thickness: 3.2", "thickness: 3.3")
    other = run(toys.write_detector(tmp_path, text, energies=(4000.0,), n=60)).generator
    with pytest.warns(FastparamWarning, match="of another detector"):
        warm = run(sample, rows="even", start_from=other).generator
    assert warm.tune.provenance["started from"].endswith("another detector")
