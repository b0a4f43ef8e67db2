"""Settings that hold for every test, and the fixtures that more than one package of tests uses."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def _numba_cache() -> Path:
    """Folder for compiled kernels, named after the source of every file that has kernels.

    Numba sees edits in a function's own file only. A folder per state of all kernel files can never serve stale code,
    and an edit elsewhere compiles nothing anew. The workers of pytest-xdist share it.
    """
    state = hashlib.sha256()
    for path in sorted((ROOT / "fastparam").rglob("*.py")):
        source = path.read_bytes()
        if b"_numba" in source:
            state.update(str(path.relative_to(ROOT)).encode() + b"\0" + source)
    base = ROOT / ".pytest_cache" / "numba"
    folder = base / state.hexdigest()[:16]
    if not folder.is_dir() and "PYTEST_XDIST_WORKER" not in os.environ:
        shutil.rmtree(base, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


# Before anything imports numba or matplotlib.
os.environ.setdefault("NUMBA_CACHE_DIR", str(_numba_cache()))
os.environ["MPLBACKEND"] = "Agg"

import hypothesis  # noqa: E402

# The first example of a property pays for compilation, so deadlines would only measure the cache.
hypothesis.settings.register_profile("fastparam", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "fastparam")


@pytest.fixture
def tiny_planar(tmp_path: Path) -> Path:
    """`toys.PLANAR`, a sampling stack of 30 tungsten and silicon plates, written to a file; has no hits."""
    return _write(tmp_path, "PLANAR")


@pytest.fixture
def tiny_block(tmp_path: Path) -> Path:
    """`toys.BLOCK`, a homogeneous PbWO4 block in four layers, written to a file; has no hits."""
    return _write(tmp_path, "BLOCK")


@pytest.fixture
def tiny_barrel(tmp_path: Path) -> Path:
    """`toys.BARREL`, three layers behind a cryostat, written to a file; has no hits."""
    return _write(tmp_path, "BARREL")


def _write(folder: Path, name: str) -> Path:
    import toys  # here, so that tests of pure formulas do not wait for uproot

    path = folder / f"{name.lower()}.yaml"
    path.write_text(getattr(toys, name), encoding="utf-8")
    return path
