"""`fastparam check` on shipped geometries and on broken ones."""

import json

import pytest

from fastparam.cli import main


def test_it_explains_layers_materials_and_samples(capsys):
    assert main(["check", "siw"]) == 0
    out = capsys.readouterr().out
    assert "siw: planar, 45 active layers" in out
    assert "45 x (W 2.1, Si 0.5 active, FR4 1)" in out
    assert "27.45" in out  # 45 (2.1/3.504 + 0.5/93.70 + 1.0/184.5) X0
    assert "active layers as one medium" in out
    assert "SimHit_layer" in out
    assert "GeV, cm" in out
    assert "electron" in out


def test_json_is_one_document_with_the_same_numbers(capsys):
    assert main(["check", "lar_accordion", "--json"]) == 0
    captured = capsys.readouterr()
    facts = json.loads(captured.out)
    assert facts["n_layers"] == 4
    assert [row["ids"] for row in facts["layers"]] == [None, None, [0, 0], None, [1, 1], [2, 2], [3, 3]]
    assert facts["layers"][0]["x0"] == pytest.approx(120 / 88.96, rel=1e-3)
    assert facts["materials"]["lAr"]["X0"] == pytest.approx(140.0, rel=1e-3)
    assert facts["medium"]["Ec"] == pytest.approx(10.56, rel=1e-3)
    assert facts["samples"][0]["units"] == {"energy": "MeV", "length": "mm"}
    assert facts["found"]["rows"] == 204 + 204 + 306
    assert {point[0] for point in facts["found"]["points"]} == {11, 22, 211}
    assert facts["found"]["problems"] == []


def test_all_errors_of_a_file_come_in_one_message(tmp_path, capsys):
    path = tmp_path / "geometry.yaml"
    path.write_text("name: a\nframe: planer\nlayers:\n  - {id: 0, from: 0, to: 5, material: Pbb}\n")
    assert main(["check", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"error: {path}: 2 errors\n")
    assert "line 2, frame: found 'planer' (did you mean 'planar'?)" in captured.err
    assert "line 4, layers[0].material: unknown material 'Pbb' (did you mean 'Pb'?)" in captured.err


def test_a_geometry_without_samples_is_explained(tiny_planar, capsys):
    text = tiny_planar.read_text().split("samples:")[0]
    tiny_planar.write_text(text)
    assert main(["check", str(tiny_planar), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["found"] is None


def test_missing_files_of_samples_are_a_problem(tmp_path, capsys):
    assert main(["init", str(tmp_path)]) == 0
    assert main(["check", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert "my_calorimeter: planar, 30 active layers" in captured.out
    assert "hits.root" in captured.err
