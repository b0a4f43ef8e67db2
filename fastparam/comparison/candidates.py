"""Candidates of a comparison: what they are loaded from, how they are called, whose error it is."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastparam.comparison.voxel_files import is_voxel_file
from fastparam.errors import InputError, OutOfDomainError, UsageError
from fastparam.generate.files import ShowerFile
from fastparam.summary import Summary

__all__ = ["description_of", "load_candidate", "names_of", "naming"]

#: A kind of generator and the file it reads: replay:FOLDER/FILE?options.
_GENERATOR = re.compile(r"(?P<kind>[a-z]{2,}):(?!//)(?P<path>[^?]+)(\?.*)?")


def load_candidate(candidate: Any) -> Any:
    """Return a generator, a Summary, or the Path of a file of showers."""
    if isinstance(candidate, Summary) or hasattr(candidate, "generate"):
        return candidate
    if isinstance(candidate, str | Path):
        if Path(candidate).suffix == ".root" or is_voxel_file(Path(candidate)):
            if not any(Path(candidate).parent.glob(Path(candidate).name)):
                raise InputError(f"{candidate}: there is no such file")
            return Path(candidate)
        from fastparam.generate.registry import load

        return load(candidate)
    raise UsageError(
        f"cannot compare a {type(candidate).__name__};"
        " expected a generator, a path, the name of a shipped tune, or a Summary"
    )


def names_of(candidates: Sequence[Any]) -> list[str]:
    """Return how candidates are called: by their files, else their own names or kinds."""
    return [_name(candidate) for candidate in candidates]


def _name(candidate: Any) -> str:
    if isinstance(candidate, str) and (found := _GENERATOR.fullmatch(candidate)):
        return f"{found['kind']}:{Path(found['path']).name}"  # without folders and options, which only make it long
    if isinstance(candidate, str | Path):
        return Path(candidate).name if os.sep in str(candidate) else str(candidate)
    return str(getattr(candidate, "name", type(candidate).__name__))


def description_of(thing: Any) -> str:
    """Return what kind of thing a candidate is, for the report."""
    if isinstance(thing, Path | ShowerFile):
        return "file of showers"
    return "summary of showers" if isinstance(thing, Summary) else f"generator: {type(thing).__name__}"


@contextmanager
def naming(name: str, generator: Any) -> Iterator[None]:
    """Say of which candidate, and of which detector, particles are outside the domain."""
    try:
        yield
    except OutOfDomainError as error:
        geometry = getattr(generator, "geometry", None)
        made_for = "" if geometry is None else f", made for {geometry.name}"
        raise OutOfDomainError(f"candidate '{name}'{made_for}: {error}") from error
