"""Formats of written showers, by the ending of the file's name: one line each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastparam.errors import UsageError, near
from fastparam.geometry.cells import cells_of
from fastparam.geometry.detector import Geometry
from fastparam.geometry.voxels import VoxelBinning
from fastparam.showers.calochallenge import CaloChallengeWriter
from fastparam.showers.fastcalogan import FastCaloGANWriter, companions
from fastparam.showers.parquet import ParquetWriter
from fastparam.showers.root import RootWriter
from fastparam.showers.writer import Form, Writer

__all__ = ["FORMATS", "FORMS", "Format", "form_of", "format_of"]

FORMS = ("hits", "voxels", "cells")


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes
    ----------
    forms : tuple of str
        What it can hold; the first is the default.
    open : function of (path, geometry, form, pdg, provenance)
        Returns a writer; `pdg` is the particle of the first shower.
    files : function of path
        All files that it writes.
    """

    forms: tuple[str, ...]
    open: Callable[[Path, Geometry, Any, int, Mapping[str, Any]], Writer]
    files: Callable[[Path], tuple[Path, ...]] = lambda path: (path,)


def _root(path: Path, geometry: Geometry, form: Any, pdg: int, provenance: Mapping[str, Any]) -> Writer:
    return RootWriter(path, geometry, form, provenance=provenance)


def _calochallenge(path: Path, geometry: Geometry, form: Any, pdg: int, provenance: Mapping[str, Any]) -> Writer:
    return CaloChallengeWriter(path, geometry, form, provenance=provenance)


def _fastcalogan(path: Path, geometry: Geometry, form: Any, pdg: int, provenance: Mapping[str, Any]) -> Writer:
    return FastCaloGANWriter(path, form, pdg=pdg, provenance=provenance)


def _parquet(path: Path, geometry: Geometry, form: Any, pdg: int, provenance: Mapping[str, Any]) -> Writer:
    return ParquetWriter(path, geometry, form, provenance=provenance)


FORMATS: dict[str, Format] = {
    ".root": Format(("hits", "voxels", "cells"), _root),
    ".h5": Format(("voxels", "cells"), _calochallenge),
    ".hdf5": Format(("voxels", "cells"), _calochallenge),
    ".csv": Format(("voxels",), _fastcalogan, lambda path: (path, *companions(path))),
    ".parquet": Format(("hits", "voxels", "cells"), _parquet),
}


def format_of(path: Path) -> Format:
    """Return the format that a name's ending chooses.

    Raises
    ------
    UsageError
        For an unknown ending.
    """
    if path.suffix not in FORMATS:
        raise UsageError(
            f"--output {path}: unknown format '{path.suffix}'{near(path.suffix, FORMATS)}; expected a name ending in"
            f" {', '.join(FORMATS)}"
        )
    return FORMATS[path.suffix]


def form_of(path: Path, wanted: str, geometry: Geometry, binning: Callable[[], VoxelBinning]) -> Form:
    """Return what is to be written: the default of the format where `wanted` is empty.

    Parameters
    ----------
    path : Path
    wanted : str
        One of `FORMS`, or empty.
    geometry : Geometry
    binning : function
        Returns the voxels to write, if voxels are written.

    Raises
    ------
    UsageError
        For something that the format cannot hold, or cells of a detector that declares none.
    """
    known = format_of(path).forms
    form = wanted or known[0]
    if form not in FORMS:
        raise UsageError(f"--as {form}: unknown form{near(form, FORMS)}; expected {', '.join(FORMS)}")
    if form not in known:
        able = [ending for ending, one in FORMATS.items() if form in one.forms]
        raise UsageError(f"--as {form}: {path.suffix} files hold {' or '.join(known)}; expected {', '.join(able)}")
    if form == "hits":
        return "hits"
    return binning() if form == "voxels" else cells_of(geometry)
