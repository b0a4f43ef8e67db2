"""`fastparam tune`, and `summarise` and `merge` on its way."""

from __future__ import annotations

import errno
import json
import re
from importlib import import_module
from pathlib import Path

import pytest
from tuned_folder import Tuned

import fastparam
from fastparam.cli import main
from fastparam.comparison.page import Page
from fastparam.errors import FitError
from fastparam.generate import load
from fastparam.tunes import load_tune, tune_digest
from fastparam.workflow import TuneResult

#: The module; as an attribute of its package, the name is that of the function.
WORKFLOW = import_module("fastparam.workflow.tune")


def refuse_nan(text: str) -> None:
    raise ValueError(f"{text} is no JSON")


def strict_json(text: str) -> dict:
    return json.loads(text, parse_constant=refuse_nan)


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_it_writes_the_tune_and_its_reports_into_the_current_folder(tuned: Tuned) -> None:
    written = {"tiny_barrel.tune.h5", "tiny_barrel.report.html", "tiny_barrel.report.json"}
    assert set(names(tuned.folder)) >= written
    assert not [name for name in names(tuned.folder) if "partial" in name]


def test_it_prints_what_it_did_on_stdout_and_nothing_on_stderr(tuned: Tuned) -> None:
    assert tuned.err == ""
    lines = tuned.out.splitlines()
    assert re.fullmatch(r"photon, eta 0\.2–0\.25: 80 training showers, \d+ components", lines[0])
    assert re.fullmatch(
        r"validation \(rows that were not tuned on\): \d of \d judged observables within their limits", lines[1]
    )
    assert re.search(r"^read and summarise [\d.]+ s, fit [\d.]+ s, validate [\d.]+ s$", tuned.out, re.MULTILINE)
    assert lines[-1] == "wrote tiny_barrel.tune.h5 and tiny_barrel.report.html"


def test_the_report_is_one_file_with_verdict_fits_and_figures(tuned: Tuned) -> None:
    html = (tuned.folder / "tiny_barrel.report.html").read_text(encoding="utf-8")
    for text in (
        "Tune of tiny_barrel",
        "What was fitted",
        "photon, eta 0.2–0.25",
        "What a gamma function can do at best",
    ):
        assert text in html
    assert "<figure>" in html
    assert not re.search(r"(?:src|href)=[\"']?https?:", html)


def test_the_numbers_of_the_report_are_those_in_the_tune(tuned: Tuned) -> None:
    document = strict_json((tuned.folder / "tiny_barrel.report.json").read_text())
    assert document == load_tune(tuned.tune).validation
    assert [row["energy"] for row in document["gamma_profile_limit"]] == pytest.approx([4000.0, 16_000.0])
    assert document["comparison"]["format"] == "fastparam comparison"


def test_the_tune_names_what_it_was_made_from(tuned: Tuned) -> None:
    provenance = load_tune(tuned.tune).provenance
    assert provenance["fastparam"] == fastparam.__version__
    assert (provenance["rows"], provenance["showers"]) == ("even", 160)
    assert provenance["digest"] == tune_digest(load_tune(tuned.tune))


def test_an_existing_tune_or_report_is_kept_without_force(tuned: Tuned, tmp_path: Path, capsys) -> None:
    geometry = str(tuned.folder / "geometry.yaml")
    for there in ("a.tune.h5", "a.report.html", "a.report.json"):
        (tmp_path / there).write_text("mine")
        assert main(["tune", geometry, "-o", str(tmp_path / "a.tune.h5")]) == 2
        assert f"output exists: {tmp_path / there}" in capsys.readouterr().err
        assert names(tmp_path) == [there]
        assert (tmp_path / there).read_text() == "mine"
        (tmp_path / there).unlink()


def test_a_summary_in_place_of_the_samples_gives_the_same_tune(
    tuned: Tuned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    """Summarised in two parts, merged, tuned with options and --json: the same parameters, bit by bit."""
    monkeypatch.chdir(tmp_path)
    geometry = str(tuned.folder / "geometry.yaml")
    for i in (1, 2):
        assert main(["summarise", geometry, "--part", f"{i}/2", "-o", f"{i}.h5"]) == 0
    assert main(["merge", "1.h5", "2.h5", "-o", "all.h5"]) == 0
    assert "all.h5: 160 showers from 2 parts" in capsys.readouterr().out
    (tmp_path / "tiny_barrel.tune.h5").write_text("an older one")
    options = ["--rows", "even", "--pdg", "22", "--eta", "0.22", "--seed", "7", "--json", "--force"]
    assert main(["tune", "all.h5", *options]) == 0
    captured = capsys.readouterr()
    facts = strict_json(captured.out)
    assert captured.err == ""
    assert facts["slices"][0]["showers"] == 80
    assert set(facts["seconds"]) == {"read and summarise", "fit", "validate"}
    assert facts["provenance"]["digest"] == load_tune(tuned.tune).provenance["digest"]
    assert names(tmp_path) == [
        "1.h5", "2.h5", "all.h5", "tiny_barrel.report.html", "tiny_barrel.report.json", "tiny_barrel.tune.h5",
    ]  # fmt: skip


def test_a_misspelt_recipe_is_found_before_any_hit_is_read(
    tuned: Tuned, monkeypatch: pytest.MonkeyPatch, capsys, tmp_path: Path
) -> None:
    monkeypatch.setattr(WORKFLOW, "summarise_sample", lambda *_, **__: pytest.fail("read"))
    monkeypatch.chdir(tmp_path)
    assert main(["tune", str(tuned.folder / "geometry.yaml"), "--recipe", "gflahs"]) == 2
    assert "did you mean 'gflash'" in capsys.readouterr().err


def test_summarise_prints_one_json_document(tuned: Tuned, tmp_path: Path, capsys) -> None:
    assert main(["summarise", str(tuned.folder / "geometry.yaml"), "-o", str(tmp_path / "s.h5"), "--json"]) == 0
    facts = strict_json(capsys.readouterr().out)
    assert facts["showers"] == 160
    assert facts["bytes"] == (tmp_path / "s.h5").stat().st_size
    assert facts["bytes_of_input"] == (tuned.folder / "toy.root").stat().st_size


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["tune", "G", "-o", "O/a.root"], "a tune is an HDF5 file; expected a name ending in .tune.h5"),
        (
            ["tune", "G", "-o", "O/a.tune.h5", "--eta", "0.5"],
            "--eta: no slice contains 0.5; the sample has 0.2 to 0.25",
        ),
        (["tune", "G", "-o", "O/a.tune.h5", "--pdg", "11"], "--pdg: the sample has no particle 11; it has 22"),
        (["tune", "T", "-o", "O/a.tune.h5"], "tiny_barrel.tune.h5: is"),
        (["tune", "O/none.h5"], "none.h5: no such file"),
        (["summarise", "G", "-o", "O/a.h5", "--part", "3/2"], "--part 3/2: expected i/n with 1 <= i <= n"),
        (["merge", "T", "-o", "O/a.h5"], "is no fastparam summary"),
    ],
)
def test_mistakes_exit_with_2_and_leave_nothing_behind(
    tuned: Tuned, tmp_path: Path, capsys, command: list[str], message: str
) -> None:
    places = {"G": str(tuned.folder / "geometry.yaml"), "T": str(tuned.tune)}
    before = names(tuned.folder)
    assert main([places.get(word, word.replace("O/", f"{tmp_path}/")) for word in command]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert message in captured.err
    assert names(tmp_path) == []
    assert names(tuned.folder) == before


@pytest.mark.parametrize(
    ("step", "error", "code", "message"),
    [
        ("fit_tune", KeyboardInterrupt(), 130, "error: interrupted\n"),
        ("validate", KeyboardInterrupt(), 130, "error: interrupted\n"),
        ("fit_tune", FitError("no minimum"), 2, "error: no minimum\n"),
        (
            "fit_tune",
            OSError(errno.ENOSPC, "No space left on device", "a.h5"),
            2,
            "error: a.h5: No space left on device\n",
        ),
    ],
)
def test_a_run_that_ends_early_leaves_nothing(
    tuned: Tuned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys, step: str, error, code: int, message: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(WORKFLOW, step, fail)
    monkeypatch.chdir(tmp_path)
    assert main(["tune", str(tuned.folder / "geometry.yaml"), "--rows", "even"]) == code
    assert capsys.readouterr().err == message
    assert names(tmp_path) == []


def test_reports_and_tune_appear_together_or_not_at_all(
    tuned: Tuned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    """The tune is written last; that it fails must not leave a new report beside an old tune."""

    class Result(TuneResult):
        def page(self) -> Page:
            return Page(title="a", lead="b", sections=())

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "a.tune.h5")

    monkeypatch.setattr(WORKFLOW, "run", lambda *_, **__: Result(load(tuned.tune), None, {}))
    monkeypatch.setattr("fastparam.tunes.file.save_tune", fail)
    for name in ("a.tune.h5", "a.report.html", "a.report.json"):
        (tmp_path / name).write_text("older")
    arguments = ["tune", str(tuned.folder / "geometry.yaml"), "-o", str(tmp_path / "a.tune.h5"), "--force"]
    assert main(arguments) == 2
    assert "No space left" in capsys.readouterr().err
    assert {p.read_text() for p in tmp_path.iterdir()} == {"older"}
    assert len(names(tmp_path)) == 3
