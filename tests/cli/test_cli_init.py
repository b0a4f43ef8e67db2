"""`fastparam init`, and what `main` makes of errors."""

import subprocess
import sys
import time

import pytest

import fastparam.cli
from fastparam.cli import main
from fastparam.cli.init import TEMPLATE
from fastparam.errors import FastparamWarning
from fastparam.geometry.load import load_geometry, parse_geometry
from fastparam.geometry.shipped import shipped_geometries


def test_the_template_is_a_valid_geometry(tmp_path, capsys):
    assert main(["init", str(tmp_path / "new")]) == 0
    path = tmp_path / "new" / "geometry.yaml"
    assert path.read_text() == TEMPLATE
    assert load_geometry(path).n_layers == 30
    assert str(path) in capsys.readouterr().out


def test_what_the_template_shows_in_comments_is_valid_too(tmp_path):
    optional = {"# recipe", "# cells", "# binning:", "# stock", "# materials", "#   my_glue", "#   W:", "#   - layers"}
    lines = [
        line[2:] if any(line.startswith(start) for start in optional) and "xml" not in line else line
        for line in TEMPLATE.splitlines()
    ]
    geometry = parse_geometry("\n".join(lines), tmp_path / "geometry.yaml")
    assert geometry.config.recipe == "mosaic"
    assert geometry.config.binning is not None
    assert set(geometry.config.materials) == {"my_glue", "W"}


def test_a_shipped_geometry_is_copied_with_its_hits(tmp_path):
    assert main(["init", str(tmp_path), "--from", "siw"]) == 0
    original = shipped_geometries()["siw"].parent
    for name in ("geometry.yaml", "README.md", "hits/photons.root", "hits/electrons.root"):
        assert (tmp_path / name).read_bytes() == (original / name).read_bytes()
    assert load_geometry(tmp_path).digest == load_geometry("siw").digest


def test_nothing_is_overwritten_without_force(tmp_path, capsys):
    (tmp_path / "geometry.yaml").write_text("mine")
    assert main(["init", str(tmp_path), "--from", "siw"]) == 2
    assert "output exists" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["geometry.yaml"]
    assert (tmp_path / "geometry.yaml").read_text() == "mine"
    assert main(["init", str(tmp_path), "--force"]) == 0
    assert (tmp_path / "geometry.yaml").read_text() == TEMPLATE


def test_an_unknown_name_is_refused_with_the_known_ones(tmp_path, capsys):
    assert main(["init", str(tmp_path / "new"), "--from", "siv"]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert "(did you mean 'siw'?); shipped: fehcal, lar_accordion, pbwo4, siw" in captured.err
    assert not (tmp_path / "new").exists()


def test_a_file_in_place_of_the_directory_is_an_error(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["init", str(tmp_path / "file")]) == 2
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize(
    ("args", "code"),
    [(["--version"], 0), (["--help"], 0), (["chekc"], 2), (["check"], 2), (["init", "--form", "siw"], 2)],
)
def test_usage_errors_exit_with_2(args, code, capsys):
    assert main(args) == code
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert bool(captured.err) == bool(code)


def raising(error):
    def app(**_):
        raise error

    return app


def test_an_unexpected_exception_is_called_a_bug_and_shows_no_traceback(monkeypatch, capsys):
    monkeypatch.setattr(fastparam.cli, "app", raising(RuntimeError("boom")))
    monkeypatch.delenv("FASTPARAM_DEBUG", raising=False)
    assert main([]) == 1
    assert capsys.readouterr().err.startswith(
        "error: this is a bug in fastparam: RuntimeError: boom; set FASTPARAM_DEBUG=1"
    )
    monkeypatch.setenv("FASTPARAM_DEBUG", "1")
    with pytest.raises(RuntimeError, match="boom"):
        main([])


def test_interruption_and_errors_of_the_system_have_their_codes(monkeypatch, capsys):
    monkeypatch.setattr(fastparam.cli, "app", raising(KeyboardInterrupt()))
    assert main([]) == 130
    monkeypatch.setattr(fastparam.cli, "app", raising(PermissionError(13, "Permission denied", "out.h5")))
    assert main([]) == 2
    assert "error: out.h5: Permission denied" in capsys.readouterr().err


def test_warnings_are_one_line_on_stderr(monkeypatch, capsys):
    def app(**_):
        import warnings

        warnings.warn("slice left out", FastparamWarning, stacklevel=1)
        print("result")

    monkeypatch.setattr(fastparam.cli, "app", app)
    assert main([]) == 0
    captured = capsys.readouterr()
    assert captured.err == "warning: slice left out\n"
    assert captured.out == "result\n"


def test_help_is_fast_and_imports_nothing_heavy():
    code = (
        "import sys, fastparam.cli; fastparam.cli.main(['--help']); "
        "heavy = {'numpy', 'numba', 'scipy', 'uproot', 'awkward', 'pydantic', 'matplotlib'} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert time.perf_counter() - started < 0.7
