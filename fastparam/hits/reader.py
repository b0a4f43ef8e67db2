"""What a reader of one layout of files provides."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from fastparam.hits.columns import Columns
from fastparam.hits.layout import Layout
from fastparam.hits.rootfile import RootFile

__all__ = ["Reader"]


class Reader(Protocol):
    """Reads the files of one layout; constructed from an open file and a `Layout`.

    The constructor raises `InputError` where `problem` would have something to say.

    Attributes
    ----------
    n_rows : int
        Number of showers in the file.
    """

    n_rows: int

    def __init__(self, file: RootFile, layout: Layout) -> None: ...

    @staticmethod
    def recognises(file: RootFile, layout: Layout) -> bool:
        """Tell from the kinds of trees alone whether this reader is the one for the file."""
        ...

    @staticmethod
    def problem(file: RootFile, layout: Layout) -> str | None:
        """Say which tree or branch the file lacks; None if it can be read."""
        ...

    def read(self, start: int, stop: int, batch_hits: int) -> Iterator[Columns]:
        """Yield rows `start` to `stop` in order, with *about* `batch_hits` hits at a time."""
        ...

    def primaries(self, start: int, stop: int) -> Iterator[Columns]:
        """Yield rows `start` to `stop` in order, without hits."""
        ...
