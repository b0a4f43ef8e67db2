"""`fastparam compare` from the shell's point of view."""

import json

import pytest
import toys

from fastparam.cli import main
from fastparam.geometry.load import load_geometry


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A geometry, full simulation and a candidate of the same showers."""
    folder = tmp_path_factory.mktemp("compare")
    path = toys.write_detector(folder, toys.BARREL, energies=(4000.0,), n=40, n_spots=100)
    geometry = load_geometry(path)
    particles = toys.gun(geometry, energies=(4000.0,), n=40, seed=2)
    toys.write_root(folder / "candidate.root", geometry, particles, toys.shower_batch(geometry, particles, seed=2))
    return folder


def run(folder, *options, candidate="candidate.root", out="out"):
    return main(
        [
            "compare", str(folder / "toy.root"), str(folder / candidate), "-o", str(folder / out),
            "--geometry", str(folder / "geometry.yaml"), *options,
        ]
    )  # fmt: skip


def test_writes_report_and_numbers_and_says_how_it_went(folder, capsys):
    assert run(folder) == 0
    assert sorted(p.name for p in (folder / "out").iterdir()) == ["report.html", "report.json"]
    out = capsys.readouterr().out
    assert "candidate.root  photon  visible_mean: pass" in out
    assert "report: " in out


def test_a_tune_is_a_candidate_and_no_file_of_voxels(folder, capsys):
    assert main(["tune", str(folder / "geometry.yaml"), "-o", str(folder / "toy.tune.h5")]) == 0
    assert run(folder, "--quick", candidate="toy.tune.h5", out="tuned") == 0
    assert "toy.tune.h5  photon" in capsys.readouterr().out


def test_files_that_state_their_voxels_are_compared_without_a_geometry(folder, capsys):
    for out in ("full.h5", "full.csv"):
        assert main(["sample", str(folder / "toy.root") + f"?geometry={folder / 'geometry.yaml'}",
                     "-o", str(folder / out)]) == 0  # fmt: skip
        assert main(["compare", str(folder / out), str(folder / out), "-o", str(folder / f"of_{out}"), "--quick"]) == 0
    assert "full.csv  photon  visible_mean: pass" in capsys.readouterr().out


def test_an_error_of_a_candidate_names_it_and_its_detector(folder, capsys):
    arguments = ["compare", str(folder / "toy.root"), "siw", "-o", str(folder / "never"), "--quick"]
    assert main([*arguments, "--geometry", str(folder / "geometry.yaml")]) == 2
    err = " ".join(capsys.readouterr().err.split())
    assert "error: candidate 'siw', made for siw: particle 0 " in err
    assert not (folder / "never").exists()


def test_json_prints_one_document_and_nothing_else(folder, capsys):
    assert run(folder, "--json", out="for_json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["format"] == "fastparam comparison"
    assert document["candidates"][0]["showers"] == [40]
    assert document == json.loads((folder / "for_json" / "report.json").read_text())


def test_an_existing_report_is_refused_before_any_work_and_replaced_with_force(folder, capsys):
    (folder / "there").mkdir()
    assert run(folder, out="there") == 2
    assert "output exists" in capsys.readouterr().err
    assert run(folder, "--force", out="there") == 0
    assert (folder / "there" / "report.html").is_file()


@pytest.mark.parametrize(
    ("options", "candidate", "message"),
    [
        ((), "missing.root", "missing.root: there is no such file"),
        (("--rows", "some"), "candidate.root", "expected all, even or odd"),
    ],
)
def test_mistakes_exit_with_2_and_leave_nothing_behind(folder, capsys, options, candidate, message):
    before = sorted(folder.iterdir())
    assert run(folder, *options, candidate=candidate, out="never") == 2
    assert message in capsys.readouterr().err.replace("\n", " ")
    assert sorted(folder.iterdir()) == before


def test_a_crossed_gate_exits_with_3_and_lists_what_crossed_it(folder, capsys):
    assert run(folder, "--quick", "--fail-above", "visible_mean=100", out="open") == 0
    assert run(folder, "--quick", "--fail-above", "n_hits=0.01", "--fail-above", "visible_mean=100", out="shut") == 3
    err = capsys.readouterr().err
    assert "fail-above: candidate.root, photon, 4 GeV: n_hits deviates by" in err
    assert "visible_mean" not in err
    assert (folder / "shut" / "report.html").is_file()


def test_an_unknown_gate_exits_with_2_before_any_work_and_lists_the_known_ones(folder, capsys):
    assert run(folder, "--fail-above", "visibel_mean=1", out="never") == 2
    err = " ".join(capsys.readouterr().err.split())
    assert "no metric 'visibel_mean' (did you mean 'visible_mean'?)" in err
    assert "auc_low" in err
    assert not (folder / "never").exists()
