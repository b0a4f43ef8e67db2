"""`fastparam merge`: parts make the file that one pass makes, and what is refused."""

from __future__ import annotations

import json
import shutil

import h5py
import pytest
import toys

from fastparam.cli import main


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with parts 1.h5 to 3.h5 of a toy sample of 30 showers, and all of it in all.h5."""
    folder = tmp_path_factory.mktemp("merge")
    geometry = str(toys.write_detector(folder, toys.BLOCK, n=10, n_spots=200))
    for i in (1, 2, 3):
        assert main(["summarise", geometry, "--part", f"{i}/3", "-o", str(folder / f"{i}.h5")]) == 0
    assert main(["summarise", geometry, "-o", str(folder / "all.h5")]) == 0
    return folder


@pytest.fixture
def folder(made, tmp_path, monkeypatch):
    """A copy of that folder, as working directory."""
    shutil.copytree(made, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


def test_parts_in_any_order_make_the_file_of_one_pass(folder, capsys):
    assert main(["merge", "3.h5", "1.h5", "2.h5", "-o", "merged.h5"]) == 0
    assert capsys.readouterr().out == "merged.h5: 30 showers from 3 parts\n"
    assert (folder / "merged.h5").read_bytes() == (folder / "all.h5").read_bytes()


def test_json_is_one_document(folder, capsys):
    assert main(["merge", "1.h5", "2.h5", "3.h5", "-o", "merged.h5", "--json"]) == 0
    size = (folder / "merged.h5").stat().st_size
    assert json.loads(capsys.readouterr().out) == {"output": "merged.h5", "showers": 30, "parts": 3, "bytes": size}


def test_a_missing_part_is_a_warning_that_names_its_rows(folder, capsys):
    assert main(["merge", "1.h5", "3.h5", "-o", "merged.h5"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "merged.h5: 20 showers from 2 parts\n"
    assert "warning: 10 of the 30 rows of the sample are in none of the 2 merged parts: 10 to 19" in captured.err


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (["1.h5", "2.h5", "1.h5"], "row 0 is in 1.h5 and in 1.h5; merge each part only once"),
        (["1.h5", "all.h5"], "row 0 is in 1.h5 and in all.h5"),
        (["1.h5", "4.h5"], "4.h5: no such file"),
        (["1.h5", "toy.root"], "toy.root: cannot be read as a summary"),
        (["1.h5", "other.h5"], "other.h5: made with another geometry than 1.h5"),
        (["1.h5", "foreign.h5"], "foreign.h5: is no fastparam summary"),
    ],
)
def test_what_is_no_part_of_the_sample_is_refused(folder, capsys, parts, message):
    other = folder / "other"
    other.mkdir()
    geometry = str(toys.write_detector(other, toys.PLANAR, n=2, n_spots=50))
    assert main(["summarise", geometry, "-o", "other.h5"]) == 0
    with h5py.File("foreign.h5", "w") as file:
        file.attrs["origin"] = "elsewhere"
    capsys.readouterr()
    assert main(["merge", *parts, "-o", "merged.h5"]) == 2
    captured = capsys.readouterr()
    assert f"error: {message}" in captured.err
    assert captured.out == ""
    assert not list(folder.glob("*merged*"))


def test_an_existing_output_is_kept_unless_forced(folder, capsys):
    before = (folder / "3.h5").read_bytes()
    assert main(["merge", "1.h5", "2.h5", "-o", "3.h5"]) == 2
    assert "output exists: 3.h5" in capsys.readouterr().err
    assert (folder / "3.h5").read_bytes() == before
    assert main(["merge", "1.h5", "2.h5", "3.h5", "-o", "3.h5", "--force"]) == 0
    assert (folder / "3.h5").read_bytes() == (folder / "all.h5").read_bytes()


def test_parts_are_needed(folder, capsys):
    assert main(["merge", "-o", "merged.h5"]) == 2
    assert "PART" in capsys.readouterr().err
