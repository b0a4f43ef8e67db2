"""TTree with one row per shower and the hits in jagged branches: counted arrays or std::vector."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastparam.errors import InputError
from fastparam.hits.columns import Columns, equal_offsets, lists, scalars
from fastparam.hits.layout import Layout
from fastparam.hits.rootfile import TTREES, RootFile

__all__ = ["JaggedTree"]

#: Rows of primaries read at once where no hits are wanted.
_ROWS = 1_000_000


class JaggedTree:
    """See `fastparam.hits.reader.Reader`."""

    def __init__(self, file: RootFile, layout: Layout) -> None:
        if problem := self.problem(file, layout):
            raise InputError(problem)
        self._file = file
        self._layout = layout
        self._tree: Any = file.tree(layout.tree, layout.where)
        with file.readable():
            self.n_rows = int(self._tree.num_entries)

    @staticmethod
    def recognises(file: RootFile, layout: Layout) -> bool:
        """Tell whether the layout has one tree and it is a TTree."""
        return layout.hits_tree is None and file.classes.get(layout.tree) in TTREES

    @staticmethod
    def problem(file: RootFile, layout: Layout) -> str | None:
        """Say which branches are missing, or None."""
        return file.missing(layout.tree, layout.primary_branches | layout.hit_branches, layout.where)

    def read(self, start: int, stop: int, batch_hits: int) -> Iterator[Columns]:
        """Yield rows in order; a chunk holds `batch_hits` hits if the showers are of average size."""
        layout, place = self._layout, f"{self._file.path}: tree '{self._layout.tree}'"
        names = [*layout.primary_branches.values(), *layout.hit_branches.values()]
        with self._file.readable():
            bytes_per_row = self._tree[layout.branches["x"]].uncompressed_bytes / max(1, self.n_rows)
        step = int(batch_hits / max(bytes_per_row / 4, 1.0))
        first = start
        for chunk in self._file.iterate(self._tree, names, (start, stop), step):
            columns = jagged_columns(chunk, layout, first, place)
            first += len(columns)
            yield columns

    def primaries(self, start: int, stop: int) -> Iterator[Columns]:
        """Yield rows in order, without hits."""
        layout, place = self._layout, f"{self._file.path}: tree '{self._layout.tree}'"
        names = list(layout.primary_branches.values())
        first = start
        for chunk in self._file.iterate(self._tree, names, (start, stop), _ROWS):
            columns = primary_columns(chunk, layout, first, place)
            first += len(columns)
            yield columns


def primary_columns(chunk: dict[str, Any], layout: Layout, first: int, place: str) -> Columns:
    """Make `Columns` without hits from a dictionary of awkward arrays."""
    primaries = {
        role: scalars(chunk[name], f"{place}, branch '{name}'") for role, name in layout.primary_branches.items()
    }
    n = len(primaries["energy"])
    return Columns(first, primaries, {}, np.zeros(n + 1, dtype=np.int64))


def jagged_columns(chunk: dict[str, Any], layout: Layout, first: int, place: str) -> Columns:
    """Make `Columns` from a dictionary of awkward arrays with one row per shower."""
    primaries = primary_columns(chunk, layout, first, place).primaries
    hits, offsets = {}, {}
    for role, name in layout.hit_branches.items():
        hits[role], offsets[role] = lists(chunk[name], f"{place}, branch '{name}'")
    return Columns(first, primaries, hits, equal_offsets(offsets, layout.hit_branches, first, place))
