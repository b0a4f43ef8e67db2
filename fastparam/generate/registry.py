"""From a path or a name to a generator."""

from __future__ import annotations

from pathlib import Path

from fastparam.generate.protocol import Generator
from fastparam.generate.stock import PREFIX, load_stock
from fastparam.generate.tuned import TunedGenerator
from fastparam.tunes.file import load_tune

__all__ = ["load"]


def load(path: str | Path, *, as_pdg: int | None = None) -> Generator:
    """Load a generator: a tune, or stock GFlash in a geometry.

    Parameters
    ----------
    path : path or str
        Of a file written by ``fastparam tune``; or ``gflash:GEOMETRY``, see `fastparam.generate.stock`.
    as_pdg : int, optional
        Sample every particle as if it were this one.

    Raises
    ------
    InputError
        If there is no such file, or it is no tune.
    UsageError, GeometryError
        As `fastparam.generate.stock.load_stock`.
    """
    if str(path).startswith(PREFIX):
        return load_stock(str(path), as_pdg=as_pdg)
    return TunedGenerator(load_tune(Path(path)), as_pdg=as_pdg)
