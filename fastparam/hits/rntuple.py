"""RNTuple with one row per shower and the hits in jagged fields."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastparam.errors import InputError
from fastparam.hits.columns import Columns, ranges_of_hits
from fastparam.hits.jagged_tree import jagged_columns, primary_columns
from fastparam.hits.layout import Layout
from fastparam.hits.rootfile import RNTUPLES, RootFile

__all__ = ["RNTuple"]


class RNTuple:
    """See `fastparam.hits.reader.Reader`."""

    def __init__(self, file: RootFile, layout: Layout) -> None:
        if problem := self.problem(file, layout):
            raise InputError(problem)
        self._file = file
        self._layout = layout
        self._ntuple: Any = file.tree(layout.tree, layout.where)
        self._place = f"{file.path}: RNTuple '{layout.tree}'"
        with file.readable():
            self.n_rows = int(self._ntuple.num_entries)

    @staticmethod
    def recognises(file: RootFile, layout: Layout) -> bool:
        """Tell whether the layout has one tree and it is an RNTuple."""
        return layout.hits_tree is None and file.classes.get(layout.tree) in RNTUPLES

    @staticmethod
    def problem(file: RootFile, layout: Layout) -> str | None:
        """Say which fields are missing, or None."""
        return file.missing(layout.tree, layout.primary_branches | layout.hit_branches, layout.where)

    def read(self, start: int, stop: int, batch_hits: int) -> Iterator[Columns]:
        """Yield rows in order, whole clusters at a time: a cluster is what can be read without reading others."""
        layout = self._layout
        names = [*layout.primary_branches.values(), *layout.hit_branches.values()]
        for a, b in self._clusters(start, stop, batch_hits):
            yield jagged_columns(self._file.rows(self._ntuple, names, (a, b)), layout, a, self._place)

    def primaries(self, start: int, stop: int) -> Iterator[Columns]:
        """Yield rows in order, without hits."""
        names = list(self._layout.primary_branches.values())
        if start < stop:
            chunk = self._file.rows(self._ntuple, names, (start, stop))
            yield primary_columns(chunk, self._layout, start, self._place)

    def _clusters(self, start: int, stop: int, batch_hits: int) -> Iterator[tuple[int, int]]:
        """Yield ranges of rows that end where clusters end and hold about `batch_hits` hits, if clusters are small."""
        # num_entries_for takes bytes; x alone, at 4 bytes a hit and 8 an offset, counts hits.
        with self._file.readable():
            step = self._ntuple.num_entries_for(4 * batch_hits, filter_name=[self._layout.branches["x"]])
            ends = np.cumsum([0, *(c.num_entries for c in self._ntuple.cluster_summaries)], dtype=np.int64)
        for a, b in ranges_of_hits(ends, step):
            lo, hi = max(start, int(ends[a])), min(stop, int(ends[b]))
            if lo < hi:
                yield lo, hi
