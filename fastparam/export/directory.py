"""An output that is a directory: complete or absent, and replaced only where nothing else would be lost."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from fastparam.errors import OutputExistsError
from fastparam.files import refuse_existing

__all__ = ["refuse_to_replace", "write_directory"]

#: Present in every directory that `write_directory` made, and nowhere else.
MARK = ".fastparam-export"


def refuse_to_replace(directory: Path, names: frozenset[str], *, force: bool) -> None:
    """Raise unless `directory` is new, or with `force` was made by `write_directory` and holds only `names`.

    Raises
    ------
    OutputExistsError
        Saying what would be lost.
    InputError
        If the directory that shall hold it does not exist.
    """
    refuse_existing(directory, force=force)
    if not directory.exists():
        return
    if not directory.is_dir():
        raise OutputExistsError(f"{directory}: is a file; expected a directory of an earlier export, or a new name")
    found = {p.name for p in directory.iterdir()}
    if found and MARK not in found:
        raise OutputExistsError(
            f"{directory}: is no directory of an earlier export, so --force will not replace it; choose another name"
        )
    if foreign := sorted(found - names - {MARK}):
        raise OutputExistsError(
            f"{directory}: holds {', '.join(foreign)} beside an earlier export; --force would remove that too, so move"
            " it elsewhere first"
        )


def write_directory(directory: Path, files: dict[str, str], digest: str) -> None:
    """Write texts by relative path beside `directory`, then put all of them in its place; `digest` goes to the mark."""
    work = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", suffix=".partial", dir=directory.parent))
    try:
        fresh = work / "new"
        for name, text in {**files, MARK: digest + "\n"}.items():
            path = fresh / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        if directory.exists():
            directory.replace(work / "old")
        fresh.replace(directory)
    finally:
        shutil.rmtree(work)
