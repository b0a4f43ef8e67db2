"""A detector tuned once, as a new user would: a folder with geometry.yaml and hits, and one command in it."""

from __future__ import annotations

import pytest
import toys
from tuned_folder import Tuned, fastparam


@pytest.fixture(scope="session")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    folder = tmp_path_factory.mktemp("tuned")
    toys.write_detector(folder, toys.BARREL, energies=(4000.0, 16_000.0), n=80, n_spots=150)
    done = fastparam(folder, "tune", "geometry.yaml", "--rows", "even")
    assert done.returncode == 0, done.stderr
    return Tuned(folder, done.stdout, done.stderr)
