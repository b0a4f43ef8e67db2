"""Outputs that are complete or absent, and digests of what they were made from."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastparam.errors import InputError, OutputExistsError

__all__ = ["atomic_output", "digest", "refuse_existing"]


def refuse_existing(*paths: Path, force: bool) -> None:
    """Raise before any work is done if an output exists and was not to be overwritten, or has no directory.

    Raises
    ------
    OutputExistsError
        Naming every path that exists.
    InputError
        If the directory of an output does not exist.
    """
    for path in paths:
        if not path.parent.is_dir():
            raise InputError(f"{path}: its directory {path.parent} does not exist; create it first")
    there = [str(p) for p in paths if p.exists()]
    if there and not force:
        raise OutputExistsError(f"output exists: {', '.join(there)}; choose another name, or overwrite with --force")


@contextmanager
def atomic_output(path: Path) -> Iterator[Path]:
    """Yield a name beside `path` to write to; renamed to `path` on success, removed on any failure."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def digest(*parts: bytes | str) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of the parts, each preceded by its length."""
    h = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        h.update(len(raw).to_bytes(8, "little"))
        h.update(raw)
    return h.hexdigest()[:16]
