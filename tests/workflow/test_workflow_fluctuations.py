"""What each fluctuation buys: measured on the shipped showers, bounded, and in the report."""

from __future__ import annotations

import pytest

from fastparam.summary import Summary
from fastparam.tunes.tune import Tune
from fastparam.workflow import fluctuations
from fastparam.workflow.fluctuations import SWITCHES, fluctuation_gains
from fastparam.workflow.report import fluctuation_section
from tests.ring_samples import ring_tune, showers


@pytest.fixture(scope="module")
def tuned() -> tuple[Tune, Summary]:
    return ring_tune("siw"), showers("siw")[1]


def rows_of(tuned: tuple[Tune, Summary]) -> dict[str, dict[str, object]]:
    return {r["without"]: r for r in fluctuation_gains(*tuned, seed=1)}


def test_without_correlations_showers_are_further_from_full_simulation(tuned: tuple[Tune, Summary]) -> None:
    """The showers are those of the tune: with all fluctuations nothing is left beyond twice the error."""
    rows = rows_of(tuned)
    # No modulation is declared, and photons have no clumps to switch off.
    assert set(rows) == {"", *SWITCHES["hybrid"]} - {"modulation in phi", "clumps of hits"}
    full, independent = rows[""], rows["correlations"]
    assert all(r["error"] > 0 and r["particle"] == full["particle"] for r in rows.values())  # type: ignore[operator]
    assert abs(full["separation"]) < 0.01  # type: ignore[arg-type]
    apart = independent["separation"] - full["separation"]  # type: ignore[operator]
    assert apart > 3 * (independent["error"] ** 2 + full["error"] ** 2) ** 0.5  # type: ignore[operator]


def test_the_cost_is_bounded(tuned: tuple[Tune, Summary], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fluctuations, "SHOWERS", 40)
    assert {r["showers"] for r in rows_of(tuned).values()} == {40}


def test_the_report_shows_every_row(tuned: tuple[Tune, Summary]) -> None:
    rows = fluctuation_gains(*tuned, seed=1)
    (section,) = fluctuation_section(rows)
    (table,) = section.tables
    assert [r[1] for r in table.rows][:2] == ["all fluctuations", "all but correlations"]
    assert len(table.rows) == len(rows)
    assert "±" in str(table.rows[0][2])


def test_recipes_without_switches_and_showers_without_hits_have_nothing_to_say(tuned: tuple[Tune, Summary]) -> None:
    from dataclasses import replace

    tune, sample = tuned
    assert fluctuation_gains(tune, replace(sample, deposits=None), seed=1) == []
    other = replace(tune, recipe=tune.recipe.model_copy(update={"sampler": "gflash"}))
    assert fluctuation_gains(other, sample, seed=1) == []
    assert fluctuation_section([]) == ()
