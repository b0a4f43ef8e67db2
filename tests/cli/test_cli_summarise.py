"""`fastparam summarise`: one file or nothing, what is printed, parts."""

from __future__ import annotations

import json

import pytest
import toys

from fastparam.cli import main
from fastparam.summary import load_summary


@pytest.fixture
def geometry(tmp_path):
    """A toy sample of 30 showers in the stack."""
    return str(toys.write_detector(tmp_path, toys.PLANAR, n=10, n_spots=200))


def test_one_line_says_what_was_made(geometry, tmp_path, capsys):
    out = tmp_path / "all.h5"
    assert main(["summarise", geometry, "-o", str(out)]) == 0
    captured = capsys.readouterr()
    summary, _ = load_summary(out)
    share = round(100 * out.stat().st_size / (tmp_path / "toy.root").stat().st_size)
    assert captured.out == (
        f"{out}: 30 showers, {summary.n_hits.sum()} hits, {out.stat().st_size / 1e6:.2f} MB, {share} % of the input\n"
    )
    assert captured.err == ""


@pytest.mark.parametrize(("recipe", "share"), [("gflash", 0.25), ("hybrid", 1.2)])
def test_shipped_samples_shrink_to_a_quarter_unless_single_hits_are_kept_which_are_most_of_the_input(
    recipe, share, tmp_path, capsys
):
    for name in ("siw", "pbwo4", "lar_accordion"):
        assert main(["init", str(tmp_path / name), "--from", name]) == 0
        path = tmp_path / name / "geometry.yaml"
        path.write_text(path.read_text() + f"\nrecipe: {recipe}\n")
        capsys.readouterr()
        assert main(["summarise", str(path), "-o", str(tmp_path / f"{name}.h5"), "--json"]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert facts["bytes"] < share * facts["bytes_of_input"], name


def test_json_is_one_document(geometry, tmp_path, capsys):
    out = tmp_path / "all.h5"
    assert main(["summarise", geometry, "-o", str(out), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["output"] == str(out)
    assert facts["showers"] == 30
    assert facts["bytes"] == out.stat().st_size
    assert facts["bytes_of_input"] == (tmp_path / "toy.root").stat().st_size


def test_a_part_is_a_range_of_rows(geometry, tmp_path, capsys):
    assert main(["summarise", geometry, "--part", "2/4", "-o", str(tmp_path / "two.h5")]) == 0
    summary, _ = load_summary(tmp_path / "two.h5")
    assert summary.row.tolist() == list(range(7, 15))
    assert summary.sample_rows == 30
    assert "% of the input" not in capsys.readouterr().out  # the input is that of all parts


def test_an_existing_output_is_kept_unless_forced(geometry, tmp_path, capsys):
    out = tmp_path / "all.h5"
    out.write_text("precious")
    assert main(["summarise", geometry, "-o", str(out)]) == 2
    assert "output exists" in capsys.readouterr().err
    assert out.read_text() == "precious"
    assert main(["summarise", geometry, "-o", str(out), "--force"]) == 0
    assert len(load_summary(out)[0]) == 30


@pytest.mark.parametrize("part", ["0/2", "3/2", "2", "a/b", "1/", "-1/2", "1/0"])
def test_an_impossible_part_is_refused(geometry, tmp_path, capsys, part):
    out = tmp_path / "part.h5"
    assert main(["summarise", geometry, f"--part={part}", "-o", str(out)]) == 2
    assert f"--part {part}: expected i/n with 1 <= i <= n" in capsys.readouterr().err
    assert not out.exists()


def test_input_that_cannot_be_read_leaves_nothing(geometry, tmp_path, capsys):
    content = (tmp_path / "toy.root").read_bytes()
    (tmp_path / "toy.root").write_bytes(content[: len(content) // 2])
    before = sorted(p.name for p in tmp_path.iterdir())
    assert main(["summarise", geometry, "-o", str(tmp_path / "all.h5")]) == 2
    error = capsys.readouterr().err
    assert "toy.root" in error
    assert "Traceback" not in error
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_an_output_in_no_directory_is_refused_before_reading(geometry, tmp_path, capsys):
    assert main(["summarise", geometry, "-o", str(tmp_path / "nowhere" / "all.h5")]) == 2
    assert "its directory" in capsys.readouterr().err
