"""`fastparam show`: a tune for people and for programs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import handmade
import numpy as np
import pytest
from tuned_folder import Tuned

from fastparam.cli import main
from fastparam.tunes import load_tune, save_tune


def shown(path: Path, capsys, *options: str) -> str:
    assert main(["show", str(path), *options]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def test_it_prints_medium_parameters_with_errors_and_how_it_validated(tuned: Tuned, capsys) -> None:
    text = shown(tuned.tune, capsys)
    tune = load_tune(tuned.tune)
    assert text.startswith(f"tiny_barrel: recipe gflash, geometry tiny_barrel ({tune.geometry.digest})\n")
    assert f"X0 {tune.geometry.material.radiation_length:.4g} mm" in text
    assert "photon, eta 0.2–0.25: 80 training showers, 4 to 16 GeV" in text
    fit = tune.slices[0].components["longitudinal"]
    row = next(line.split() for line in text.splitlines() if line.split()[:1] == ["t1"])
    assert row == ["t1", f"{fit['t1']:.5g}", "+-", f"{fit.errors[fit.names.index('t1')]:.2g}"]
    assert "validation on showers that were held back" in text
    assert "visible_mean" in text
    assert not any(len(line) > 160 for line in text.splitlines() if "fastparam" not in line)


def test_json_is_one_strict_document_with_the_numbers_of_the_file(tuned: Tuned, capsys) -> None:
    facts = json.loads(shown(tuned.tune, capsys, "--json"), parse_constant=pytest.fail)
    tune = load_tune(tuned.tune)
    assert facts["provenance"] == tune.provenance
    assert facts["domain"][0]["energy"] == [pytest.approx(3960.0), pytest.approx(16_160.0)]
    for name, fit in tune.slices[0].components.items():
        described = facts["slices"][0]["components"][name]
        assert [value for value, _ in described["parameters"].values()] == list(fit.values)
        assert described["valid"] is fit.valid
    assert {row["verdict"] for row in facts["validation"]} <= {"kept", "BROKEN"}


def test_what_is_wrong_with_fits_is_said(tmp_path: Path, capsys) -> None:
    geometry = handmade.detector("planar")
    part = handmade.part(geometry)
    bad = replace(
        part.components["spots"],
        valid=False,
        accurate=False,
        at_limit=("n1",),
        covariance=np.full((2, 2), np.nan),
        chi2=float("nan"),
    )
    tune = handmade.tune(geometry, replace(part, components=part.components | {"spots": bad}))
    save_tune(tmp_path / "a.tune.h5", replace(tune, excluded=("electron: 7 training showers",)))
    text = shown(tmp_path / "a.tune.h5", capsys)
    assert "NOT VALID; covariance not accurate; at limit: n1" in text
    assert "left out: electron: 7 training showers" in text
    assert "not validated: no showers were left to judge" in text
    facts = json.loads(shown(tmp_path / "a.tune.h5", capsys, "--json"), parse_constant=pytest.fail)
    assert facts["slices"][0]["components"]["spots"]["parameters"]["n1"] == [0.5, None]
    assert facts["slices"][0]["components"]["spots"]["chi2"] is None


def test_strong_correlations_are_named(tmp_path: Path, capsys) -> None:
    geometry = handmade.detector("planar")
    part = handmade.part(geometry)
    tied = replace(part.components["spots"], covariance=np.array([[4.0, -1.98], [-1.98, 1.0]]))
    save_tune(tmp_path / "a.tune.h5", handmade.tune(geometry, replace(part, components={"spots": tied})))
    assert "correlation of n0 and n1: -0.990" in shown(tmp_path / "a.tune.h5", capsys)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such file"), (b"name: siw", "is no HDF5 file"), (b"\x89HDF\r\n\x1a\n", "a tune")],
)
def test_what_is_no_tune_exits_with_2(tmp_path: Path, capsys, content: bytes | None, message: str) -> None:
    path = tmp_path / "a.tune.h5"
    if content is not None:
        path.write_bytes(content)
    assert main(["show", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"error: {path}: ")
    assert message in captured.err
