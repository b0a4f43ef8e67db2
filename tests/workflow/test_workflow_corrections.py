"""What each correction buys, on showers that need it and on showers that do not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import toys

from fastparam.fit import radial_warp
from fastparam.geometry.load import load_geometry
from fastparam.summary import Summary, summarise_sample
from fastparam.tunes.fitting import fit_tune
from fastparam.tunes.recipe import load_recipe
from fastparam.tunes.tune import Tune
from fastparam.workflow.corrections import QUANTITIES, correction_gains
from fastparam.workflow.report import correction_section
from fastparam.workflow.validate import judged_showers


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tune, Summary]:
    """Toys of a block in four layers: gamma profiles, two radial components, independent spots; judging showers."""
    geometry = load_geometry(toys.write_detector(tmp_path_factory.mktemp("toys"), toys.BLOCK, n=120, n_spots=300))
    showers = summarise_sample(geometry)
    even = showers.row % 2 == 0
    tune = fit_tune(geometry, showers.take(even), load_recipe("gflash"), slices=None)
    return tune, showers.take(~even)


def gains(tune: Tune, showers: Summary) -> dict[str, dict[str, float]]:
    rows = correction_gains(tune, judged_showers(tune, showers))
    return {row["without"]: row for row in rows}


def test_every_correction_is_switched_off_in_turn(tuned: tuple[Tune, Summary]) -> None:
    rows = gains(*tuned)
    assert list(rows) == ["", "warp", "layers", "radial", "spots", "spectrum", "all"]
    for row in rows.values():
        assert all(np.isfinite(row[name]) for name in QUANTITIES)


def test_toys_of_the_classical_form_need_no_correction(tuned: tuple[Tune, Summary]) -> None:
    rows = gains(*tuned)
    # 60 judging showers of 300 spots per energy.
    assert rows["all"]["profile"] < 4.5
    assert abs(rows["all"]["r90"] - rows[""]["r90"]) < 4.0
    assert abs(rows[""]["deposits"]) < 10.0


def test_a_correction_shows_in_its_own_column(tuned: tuple[Tune, Summary]) -> None:
    """A warp of radii planted in the tune: without it the tune describes these showers again."""
    tune, showers = tuned
    part = tune.slices[0]
    fit = part.components["radial_warp"]
    degree = fit.settings["degree"] + 1
    planted = np.zeros((len(radial_warp.TAU_NODES), radial_warp.U_HATS.shape[1], degree))
    planted[:, :, 0] = np.linspace(-1.0, 1.0, radial_warp.U_HATS.shape[1])
    spoiled = replace(part, components={**part.components, "radial_warp": replace(fit, values=planted.ravel())})
    rows = gains(replace(tune, slices=(spoiled, *tune.slices[1:])), showers)
    assert rows[""]["r90"] > 2 * rows["radial"]["r90"]
    assert abs(rows[""]["tail"]) > abs(rows["radial"]["tail"]) + 50.0
    assert rows["warp"]["r90"] == rows[""]["r90"]
    assert rows["radial"]["profile"] == rows[""]["profile"]


def test_the_report_says_it_in_words(tuned: tuple[Tune, Summary]) -> None:
    tune, showers = tuned
    section = correction_section(correction_gains(tune, judged_showers(tune, showers)))[0]
    assert [row[1] for row in section.tables[0].rows] == [
        "all corrections", "all but warp", "all but layers", "all but radial", "all but spots", "all but spectrum",
        "none: the classical form",
    ]  # fmt: skip
    assert correction_section([]) == ()


def test_a_tune_without_corrections_has_nothing_to_say(tuned: tuple[Tune, Summary], tmp_path: Path) -> None:
    tune, showers = tuned
    plain = load_recipe("gflash").model_copy(update={"corrections": []})
    bare = fit_tune(tune.geometry, showers, plain, slices=None)
    assert correction_gains(bare, judged_showers(bare, showers)) == []
