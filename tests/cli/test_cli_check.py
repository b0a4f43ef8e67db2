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


def undeclared(folder):
    """The shipped accordion without its modulation."""
    assert main(["init", str(folder), "--from", "lar_accordion"]) == 0
    path = folder / "geometry.yaml"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if not line.startswith("modulation")))
    return path


def test_a_modulation_that_nobody_declared_is_found_with_its_period(tmp_path, capsys):
    assert main(["check", str(undeclared(tmp_path)), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out.partition("\n{")[2].join(["{", ""]))
    phase = facts["phase"]
    assert phase["declared"] is None
    assert phase["found"]["significant"]
    assert abs(phase["found"]["periods"] - 1024) <= 4 * phase["found"]["error"]
    # 1.5 % in the total (full samples); 714 showers
    error = phase["found"]["amplitude_error"]["total"]
    assert error < 0.005
    assert abs(phase["found"]["amplitude"]["total"] - 0.015) < 4 * error
    assert phase["text"].startswith("none declared, but the response has a period of 2 pi/N in phi")
    assert "Add `modulation: {pitch: 2*pi/10" in phase["text"]


def test_what_it_says_to_declare_can_be_declared(tmp_path, capsys):
    path = undeclared(tmp_path)
    capsys.readouterr()
    assert main(["check", str(path)]) == 0
    advice = capsys.readouterr().out.partition("Add `")[2].partition("`")[0]
    path.write_text(f"{path.read_text()}\n{advice}\n")
    assert main(["check", str(path)]) == 0
    assert "declared with 2 pi/10" in capsys.readouterr().out


def test_the_declared_modulation_is_judged(capsys):
    assert main(["check", "lar_accordion"]) == 0
    out = capsys.readouterr().out
    assert "Modulation of the response in phi: declared with 2 pi/1024: " in out
    assert "% in the total" in out


def test_another_pitch_than_the_declared_one_is_named(tmp_path, capsys):
    path = undeclared(tmp_path)
    path.write_text(path.read_text() + "\nmodulation: {pitch: 2*pi/700, layers: [1, 2, 3]}\n")
    assert main(["check", str(path)]) == 0
    out = capsys.readouterr().out
    assert "declared with 2 pi/700" in out
    assert "which may be chance; the response has a period of 2 pi/N in phi, N = 10" in out


def test_planar_detectors_have_no_phi(capsys):
    assert main(["check", "pbwo4", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["phase"] is None
