"""`fastparam export` as a user types it."""

from __future__ import annotations

from pathlib import Path

import handmade
import pytest

from fastparam.cli import main
from fastparam.tunes.file import save_tune


@pytest.fixture(scope="module")
def tune(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Electrons in a block of one medium, by laws that Geant4's own class cannot hold."""
    geometry = handmade.detector("block")
    path = tmp_path_factory.mktemp("tune") / "block.tune.h5"
    save_tune(path, handmade.tune(geometry, handmade.part(geometry, pdg=11)))
    return path


def test_export_says_what_was_written_and_what_was_left_out(
    tune: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(tune), "--to", "geant4", "-o", str(tmp_path / "cpp")]) == 0
    out = capsys.readouterr().out
    assert "namespace fastparam_tiny_block" in out
    assert "left out" in out
    assert "the radial law is 'smooth'" in out
    assert "--closest writes the nearest" in out
    assert (tmp_path / "cpp" / "CMakeLists.txt").is_file()


def test_closest_prints_the_loss(tune: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(tune), "--to", "geant4", "-o", str(tmp_path / "cpp"), "--closest"]) == 0
    out = capsys.readouterr().out
    for quantity in ("R_C", "R_T", "p", "R50", "R90"):
        assert f"largest relative loss in {quantity}: 0.0" in out
    assert list((tmp_path / "cpp").rglob("HomoTuning.cc"))


def test_an_existing_output_is_refused_without_force(
    tune: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["export", str(tune), "--to", "geant4", "-o", str(tmp_path / "cpp")]
    assert main(command) == 0
    assert main(command) == 2
    assert "output exists" in capsys.readouterr().err
    assert main([*command, "--force"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{tune}", "--to", "geant5", "-o", "{out}"], "--to geant5: unknown program (did you mean 'geant4'?)"),
        (["missing.tune.h5", "--to", "geant4", "-o", "{out}"], "missing.tune.h5: no such file"),
        (["{tune}", "--to", "geant4", "-o", "{out}/a/b"], "create it first"),
        (["{tune}", "--to", "geant4"], "--output"),
        (["{tune}", "-o", "{out}"], "--to"),
    ],
)
def test_usage_errors_end_with_2_and_write_nothing(
    tune: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["export", *(a.format(tune=tune, out=tmp_path / "cpp") for a in arguments)]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.iterdir())
