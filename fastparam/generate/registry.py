"""From a path or a name to a generator."""

from __future__ import annotations

from pathlib import Path

from fastparam.generate.protocol import Generator
from fastparam.generate.tuned import TunedGenerator
from fastparam.tunes.file import load_tune

__all__ = ["load"]


def load(path: str | Path, *, as_pdg: int | None = None) -> Generator:
    """Load a generator from a tune file.

    Parameters
    ----------
    path : path
        Of a file written by ``fastparam tune``.
    as_pdg : int, optional
        Sample every particle as if it were this one.

    Raises
    ------
    InputError
        If there is no such file, or it is no tune.
    """
    return TunedGenerator(load_tune(Path(path)), as_pdg=as_pdg)
