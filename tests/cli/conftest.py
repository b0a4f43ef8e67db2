"""A detector tuned once, as a new user would: a folder with geometry.yaml and hits, and one command in it."""

from __future__ import annotations

import io
from contextlib import chdir, redirect_stderr, redirect_stdout

import pytest
import toys
from tuned_folder import Tuned

from fastparam.cli import main


@pytest.fixture(scope="session")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    folder = tmp_path_factory.mktemp("tuned")
    toys.write_detector(folder, toys.BARREL, energies=(4000.0, 16_000.0), n=80, n_spots=150)
    out, err = io.StringIO(), io.StringIO()
    with chdir(folder), redirect_stdout(out), redirect_stderr(err):
        code = main(["tune", "geometry.yaml", "--rows", "even"])
    assert code == 0, err.getvalue()
    return Tuned(folder, out.getvalue(), err.getvalue())
