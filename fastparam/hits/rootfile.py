"""Opening ROOT files so that whatever is wrong with one becomes an `InputError` that names it."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uproot

from fastparam.errors import FastparamError, InputError, near

__all__ = ["RNTUPLES", "TTREES", "RootFile"]

#: Class names of what has rows and columns, as a file spells them.
TTREES = frozenset({"TTree", "TNtuple", "TNtupleD"})
RNTUPLES = frozenset({"ROOT::RNTuple"})


class RootFile:
    """A ROOT file open for reading.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    classes : dict
        Name of every object of the file (cycle numbers dropped) to the name of its class.

    Raises
    ------
    InputError
        If the file is missing, truncated or not a ROOT file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        _check_header(path)
        with self.readable():
            self._directory: Any = uproot.open({str(path): None})
            self.classes: dict[str, str] = dict(self._directory.classnames(cycle=False))
        # Baskets of one chunk are decompressed side by side; this is most of the time for LZMA.
        self._pool = uproot.ThreadPoolExecutor(min(4, os.cpu_count() or 1))

    def __enter__(self) -> RootFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._directory.close()
        self._pool.shutdown()

    def tree(self, name: str, where: str) -> Any:
        """Return a TTree or RNTuple; `where` is the entry that asked for it.

        Raises
        ------
        InputError
            If there is none of that name; with the nearest and all others.
        """
        tables = [n for n, kind in self.classes.items() if kind in TTREES | RNTUPLES]
        if name not in tables:
            there = f"it holds {', '.join(tables)}" if tables else "it holds no tree at all"
            raise InputError(f"{self.path}: no tree '{name}'{near(name, tables)}, as {where} names it; {there}")
        with self.readable():
            return self._directory[name]

    def text(self, name: str) -> str | None:
        """Return the text of a TObjString, None if there is none of that name."""
        if self.classes.get(name) != "TObjString":
            return None
        with self.readable():
            return str(self._directory[name])

    def missing(self, name: str, branches: Mapping[str, str], where: str) -> str | None:
        """Say which branches a tree lacks, with near matches; None if it has them all."""
        with self.readable():
            there = list(self.tree(name, where).keys())
        absent = [f"'{b}' ({role}){near(b, there)}" for role, b in branches.items() if b not in there]
        if not absent:
            return None
        return (
            f"{self.path}: tree '{name}' has no branch {', '.join(absent)}, as {where} names it; "
            f"it has {', '.join(there)}"
        )

    def iterate(self, tree: Any, names: list[str], rows: tuple[int, int], step: int) -> Iterator[dict[str, Any]]:
        """Yield dictionaries of awkward arrays for consecutive rows of a TTree, `step` rows at a time."""
        chunks = tree.iterate(
            names,
            step_size=max(1, step),
            entry_start=rows[0],
            entry_stop=rows[1],
            how=dict,
            decompression_executor=self._pool,
        )
        for start in range(*rows, max(1, step)):
            with self.readable():
                chunk: dict[str, Any] = next(chunks)
            self._check_rows(chunk, start, min(start + max(1, step), rows[1]))
            yield chunk

    def rows(self, ntuple: Any, names: list[str], rows: tuple[int, int]) -> dict[str, Any]:
        """Return a dictionary of awkward arrays for the given rows of an RNTuple."""
        with self.readable():
            columns: dict[str, Any] = ntuple.arrays(
                filter_name=names, entry_start=rows[0], entry_stop=rows[1], how=dict
            )
        self._check_rows(columns, *rows)
        return columns

    def _check_rows(self, columns: dict[str, Any], start: int, stop: int) -> None:
        """Refuse branches that end before the tree does, as a job that died or a branch that was not filled leaves."""
        for name, values in columns.items():
            if len(values) != stop - start:
                raise InputError(
                    f"{self.path}: branch '{name}' has values for {len(values)} of rows {start} to {stop - 1}; "
                    "it was not filled in every row: write the file again"
                )

    @contextmanager
    def readable(self) -> Iterator[None]:
        """Turn whatever uproot raises inside into an `InputError`; for calls of uproot and nothing else."""
        # Damaged bytes surface in uproot as almost any exception (struct, zlib, index, key, its own).
        try:
            yield
        except FastparamError:
            raise
        except Exception as error:
            first_line = (str(error).splitlines() or [""])[0]
            raise InputError(
                f"{self.path}: cannot be read as a ROOT file ({type(error).__name__}: {first_line}); it is damaged, "
                "truncated or of a kind that uproot does not read; copy or write it again"
            ) from error


def _check_header(path: Path) -> None:
    """Compare magic bytes and length with the file's own header (TFile: 'root', version, fBEGIN, fEND)."""
    try:
        with path.open("rb") as stream:
            head = stream.read(20)
        size = path.stat().st_size
    except FileNotFoundError:
        raise InputError(f"{path}: file does not exist") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be opened ({error.strerror})") from error
    if head[:4] != b"root":
        kind = "an HDF5 file" if head[:4] == b"\x89HDF" else "empty" if not head else "something else"
        raise InputError(f"{path}: not a ROOT file but {kind}; hits are read from ROOT files with TTrees or RNTuples")
    if len(head) == 20:
        version, _, end_small, end_upper = struct.unpack(">iiII", head[4:])
        # Files beyond 2 GB have a version above one million and 64-bit pointers.
        end = (end_small << 32 | end_upper) if version >= 1_000_000 else end_small
        if size >= end:
            return
        raise InputError(f"{path}: truncated: its header promises {end} bytes, it has {size}; copy or write it again")
    raise InputError(f"{path}: truncated after {size} bytes; copy or write it again")
