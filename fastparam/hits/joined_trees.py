"""Two flat TTrees, one row per primary and one per hit, joined by the number of the event.

The hits of an event need not be neighbours and events need not be in order. A first pass over the event numbers
alone counts the hits of every primary and notes where they begin and end; then each batch of primaries reads the
range of hits that covers it, so that memory stays bounded and files in order are read once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from fastparam._numba import kernel
from fastparam.errors import InputError
from fastparam.hits.columns import Array, Columns, ranges_of_hits, scalars
from fastparam.hits.jagged_tree import primary_columns
from fastparam.hits.layout import Layout
from fastparam.hits.rootfile import TTREES, RootFile

__all__ = ["JoinedTrees"]

Ints = npt.NDArray[np.int64]


class JoinedTrees:
    """See `fastparam.hits.reader.Reader`."""

    def __init__(self, file: RootFile, layout: Layout) -> None:
        if problem := self.problem(file, layout):
            raise InputError(problem)
        self._file = file
        self._layout = layout
        self._event = layout.branches["event"]
        self._primaries: Any = file.tree(layout.tree, layout.where)
        self._hits: Any = file.tree(str(layout.hits_tree), layout.where)
        with file.readable():
            self.n_rows = int(self._primaries.num_entries)

    @staticmethod
    def recognises(file: RootFile, layout: Layout) -> bool:
        """Tell whether the layout has a tree of hits beside that of the primaries."""
        trees = (layout.tree, layout.hits_tree)
        return layout.hits_tree is not None and all(file.classes.get(str(name)) in TTREES for name in trees)

    @staticmethod
    def problem(file: RootFile, layout: Layout) -> str | None:
        """Say which branches are missing in either tree, or None."""
        if "event" not in layout.branches:
            return f"{layout.where}.branches: two trees need a branch `event` that joins them"
        joint = {"event": layout.branches["event"]}
        return file.missing(layout.tree, joint | layout.primary_branches, layout.where) or file.missing(
            str(layout.hits_tree), joint | layout.hit_branches, layout.where
        )

    def primaries(self, start: int, stop: int) -> Iterator[Columns]:
        """Yield rows in order, without hits."""
        if start < stop:
            names = list(self._layout.primary_branches.values())
            place = f"{self._file.path}: tree '{self._layout.tree}'"
            for chunk in self._file.iterate(self._primaries, names, (start, stop), stop - start):
                yield primary_columns(chunk, self._layout, start, place)

    def read(self, start: int, stop: int, batch_hits: int) -> Iterator[Columns]:
        """Yield rows in order, `batch_hits` hits at a time."""
        # A smaller batch than the largest basket would only decompress that basket several times.
        with self._file.readable():
            baskets = np.diff(self._hits[self._layout.branches["x"]].entry_offsets)
        batch_hits = max(batch_hits, int(baskets.max(initial=0)))
        events, rows = self._numbers()
        count, first, last = self._extents(events, rows, batch_hits)
        offsets = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
        for every in self.primaries(start, stop):
            for a, b in ranges_of_hits(offsets[start : stop + 1], batch_hits):
                lo, hi = start + a, start + b
                begin = int(first[lo:hi].min())
                end = max(begin, int(last[lo:hi].max()) + 1)
                yield Columns(
                    lo,
                    {role: values[a:b] for role, values in every.primaries.items()},
                    self._gather(events, rows, (lo, hi), offsets[lo : hi + 1] - offsets[lo], (begin, end), batch_hits),
                    offsets[lo : hi + 1] - offsets[lo],
                )

    def _numbers(self) -> tuple[Ints, Ints]:
        """Return the event numbers of the primaries in ascending order, and their rows."""
        place = f"{self._file.path}: tree '{self._layout.tree}'"
        numbers = [
            _integers(chunk[self._event], f"{place}, branch '{self._event}'")
            for chunk in self._file.iterate(self._primaries, [self._event], (0, self.n_rows), max(1, self.n_rows))
        ]
        events = np.concatenate([*numbers, np.zeros(0, dtype=np.int64)])
        rows = np.argsort(events, kind="stable")
        events = events[rows]
        twice = np.flatnonzero(events[1:] == events[:-1])
        if len(twice):
            i = int(twice[0])
            raise InputError(
                f"{place}: event {events[i]} occurs in rows {rows[i]} and {rows[i + 1]} ({len(twice)} repetitions in "
                "all); a shower has one primary, and number the events of joined runs anew"
            )
        return events, rows

    def _extents(self, events: Ints, rows: Ints, batch_hits: int) -> tuple[Ints, Ints, Ints]:
        """Count the hits of every row, and find the first and last entry of each in the tree of hits."""
        n_hits = int(self._hits.num_entries)
        count = np.zeros(self.n_rows, dtype=np.int64)
        first = np.full(self.n_rows, n_hits, dtype=np.int64)
        last = np.full(self.n_rows, -1, dtype=np.int64)
        place = f"{self._file.path}: tree '{self._layout.hits_tree}'"
        orphans, orphan, entry = 0, 0, 0
        for chunk in self._file.iterate(self._hits, [self._event], (0, n_hits), batch_hits):
            numbers = _integers(chunk[self._event], f"{place}, branch '{self._event}'")
            lost, example = _tally(numbers, events, rows, entry, count, first, last)
            if lost and not orphans:
                orphan = example
            orphans += lost
            entry += len(numbers)
        if orphans:
            number = self._event_at(orphan)
            raise InputError(
                f"{place}: {orphans} hits belong to events that tree '{self._layout.tree}' does not have, first "
                f"event {number} (row {orphan}); write both trees from the same run, primaries for every event"
            )
        return count, first, last

    def _event_at(self, entry: int) -> int:
        chunk = next(self._file.iterate(self._hits, [self._event], (entry, entry + 1), 1))
        return int(chunk[self._event][0])

    def _gather(
        self, events: Ints, rows: Ints, wanted: tuple[int, int], offsets: Ints, entries: tuple[int, int], step: int
    ) -> dict[str, Array]:
        """Return the hits of rows `wanted`, shower by shower and within a shower in the order of the file."""
        names = self._layout.hit_branches
        place = f"{self._file.path}: tree '{self._layout.hits_tree}'"
        cursor = offsets[:-1].copy()
        hits: dict[str, Array] = {}
        for chunk in self._file.iterate(self._hits, [self._event, *names.values()], entries, step):
            numbers = _integers(chunk[self._event], f"{place}, branch '{self._event}'")
            places = np.empty(len(numbers), dtype=np.int64)
            in_order = _places(numbers, events, rows, wanted[0], wanted[1], cursor, places)
            for role, name in names.items():
                values = scalars(chunk[name], f"{place}, branch '{name}'")
                if in_order and len(values) == offsets[-1]:
                    hits[role] = values
                    continue
                if role not in hits:
                    hits[role] = np.empty(offsets[-1], dtype=values.dtype)
                mine = places >= 0
                hits[role][places[mine]] = values[mine]
        return hits or {role: np.empty(0, dtype=np.float64) for role in names}


def _integers(values: Any, place: str) -> Ints:
    numbers = scalars(values, place)
    if numbers.dtype.kind not in "iu":
        raise InputError(f"{place} holds numbers of type {numbers.dtype}; event numbers are integers")
    return numbers.astype(np.int64)


@kernel
def _find(number: int, events: Ints) -> int:
    """Position of a number in the sorted `events`, or -1; numbers without gaps are found at once."""
    n = len(events)
    if n == 0:
        return -1
    guess = number - events[0]
    if 0 <= guess < n and events[guess] == number:
        return guess  # type: ignore[no-any-return]
    lo, hi = 0, n
    while lo < hi:
        middle = (lo + hi) // 2
        if events[middle] < number:
            lo = middle + 1
        else:
            hi = middle
    return lo if lo < n and events[lo] == number else -1


@kernel
def _tally(
    numbers: Ints, events: Ints, rows: Ints, entry: int, count: Ints, first: Ints, last: Ints
) -> tuple[int, int]:
    """Add hits to `count`, widen `first` and `last`; return how many hits have no primary, and the first of them."""
    orphans, orphan = 0, -1
    for i in range(len(numbers)):
        at = _find(numbers[i], events)
        if at < 0:
            if orphans == 0:
                orphan = entry + i
            orphans += 1
            continue
        row = rows[at]
        count[row] += 1
        first[row] = min(first[row], entry + i)
        last[row] = max(last[row], entry + i)
    return orphans, orphan


@kernel
def _places(numbers: Ints, events: Ints, rows: Ints, start: int, stop: int, cursor: Ints, places: Ints) -> bool:
    """Give every hit of rows start..stop its place in the batch, -1 to others; tell if all places are in order."""
    in_order = True
    for i in range(len(numbers)):
        row = rows[_find(numbers[i], events)]
        if start <= row < stop:
            places[i] = cursor[row - start]
            cursor[row - start] += 1
        else:
            places[i] = -1
        in_order = in_order and places[i] == i
    return in_order
