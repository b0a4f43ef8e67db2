"""Programs made of exported tunes; each is compiled once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import cplusplus
import pytest
from exported_tunes import TUNES, block

from fastparam.export import export_geant4
from fastparam.tunes.tune import Tune


@pytest.fixture(scope="session")
def sampler(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Tune, Path]]:
    """Tune of a name of `TUNES` and its program `showers`, which knows nothing of Geant4."""

    @cache
    def build(name: str) -> tuple[Tune, Path]:
        tune, folder = TUNES[name](), tmp_path_factory.mktemp(name)
        written = export_geant4(tune, folder / "cpp")
        program = folder / "showers"
        include = (folder / "cpp" / "include" / written.namespace,)
        cplusplus.compile_cpp(
            program, cplusplus.HERE / "showers.cc", include=include, define=f"TUNE={written.namespace}"
        )
        return tune, program

    return build


@pytest.fixture(scope="session")
def application(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tune, Path]:
    """The tune `block` and a program with all its Geant4 classes in a world of stubs."""
    tune, folder = block(), tmp_path_factory.mktemp("application")
    written = export_geant4(tune, folder / "cpp")
    assert written.stock is not None
    program = folder / "application"
    include = (folder / "cpp" / "include" / written.namespace, cplusplus.STUB)
    sources = [cplusplus.HERE / "geant4_application.cc", *sorted((folder / "cpp" / "src").glob("*.cc"))]
    define = f"TUNE={written.namespace} HOMO_TUNING"
    cplusplus.compile_cpp(program, *sources, include=include, define=define)
    return tune, program
