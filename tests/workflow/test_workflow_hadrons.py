"""A tune of pions alone: no classical law exists for them, and nothing on the whole road may ask for one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from fastparam.cli import app
from fastparam.errors import FitError
from fastparam.fit.tables import Tables
from fastparam.generate import tuned
from fastparam.hits.hits import Hits
from fastparam.showers.showers import Showers
from fastparam.tunes import load_tune
from fastparam.tunes.models import MODELS, Fitted, Slice
from fastparam.workflow import TuneResult, run

RECIPE = """
name: means
description: every layer at its mean share of the energy, on the line
sampler: library
particles: [211]
"""


def mean_shares(slice_: Slice) -> Fitted:
    showers = slice_.showers
    share = (showers.layer_energy / showers.particles.energy[:, None]).mean(axis=0)
    return Fitted({"shares": Tables({"share": share})}, {})


def sampler(tune):
    share = tune.slices[0].tables["shares"]["share"]
    z = 0.5 * (tune.geometry.layer_from + tune.geometry.layer_to)

    def sampled(plan, particles, seed):
        n, n_layers = len(particles), len(share)
        x, y = (np.repeat(particles.position[:, k], n_layers) for k in (0, 1))
        e = (particles.energy[:, None] * share).ravel()
        layer = np.tile(np.arange(n_layers, dtype=np.int32), n)
        offsets = n_layers * np.arange(n + 1, dtype=np.int64)
        return Showers(particles, Hits(x, y, np.tile(z, n), e, layer, offsets), tune.geometry)

    return sampled


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "means.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def result(recipe: Path) -> TuneResult:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(MODELS, "library", mean_shares)
        patch.setitem(tuned.SAMPLERS, "library", sampler)
        return run("fehcal", recipe=str(recipe), rows="even")


def test_the_tune_holds_no_electromagnetic_law(result: TuneResult) -> None:
    (part,) = result.generator.tune.slices
    assert part.pdg == 211
    assert part.n_showers == 222
    assert {"response", "resolution", "layer_response"} <= set(part.components)
    assert not {"longitudinal", "spots", "radial", "warp"} & set(part.components)


def test_odd_rows_judge_and_see_that_nothing_fluctuates(result: TuneResult) -> None:
    assert result.comparison is not None
    failed = {verdict.observable for verdict in result.comparison.failures()}
    assert "visible_width" in failed
    assert "visible_mean" not in failed


def test_there_is_no_limit_of_gamma_profiles_to_state(result: TuneResult) -> None:
    assert result.generator.tune.validation["gamma_profile_limit"] == []


def test_tune_and_report_are_written_and_shown(result: TuneResult, tmp_path: Path) -> None:
    result.generator.save(tmp_path / "pions.tune.h5")
    assert load_tune(tmp_path / "pions.tune.h5").slices[0].tables["shares"]["share"].shape == (60,)
    shown = CliRunner().invoke(app, ["show", str(tmp_path / "pions.tune.h5")])
    assert shown.exit_code == 0
    assert "pi+: 222 training showers" in shown.output
    result.write_html(tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Visible energy" in html
    assert "What a gamma function can do at best" not in html


def test_gamma_functions_refuse_pions_by_name() -> None:
    with (
        pytest.warns(match="left out: pi"),
        pytest.raises(FitError, match=r"pi\+: the recipe gflash describes .*: gamma-function profiles are for electro"),
    ):
        run("fehcal", recipe="gflash", rows="even")
