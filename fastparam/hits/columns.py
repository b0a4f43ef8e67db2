"""Showers as a reader hands them over: bare columns in the file's own names of roles, units and types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt

from fastparam.errors import InputError

__all__ = ["Array", "Columns", "equal_offsets", "lists", "ranges_of_hits", "scalars"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Columns:
    """Consecutive rows of one file, as stored.

    Attributes
    ----------
    first : int
        Row of the file that the first shower comes from.
    primaries : dict of arrays (n,)
        By role: pdg, energy, vx, vy, vz, px, py, pz or eta, phi.
    hits : dict of arrays (n_hits,)
        By role: x, y, z, e and, where the file has it, layer.
    offsets : int64 array (n + 1,)
        Shower i owns the hits ``offsets[i]:offsets[i + 1]``.
    """

    first: int
    primaries: dict[str, Array]
    hits: dict[str, Array]
    offsets: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def split(self, batch_hits: int) -> Iterator[Columns]:
        """Cut into pieces of at most `batch_hits` hits, but at least one shower; the pieces are views."""
        for a, b in ranges_of_hits(self.offsets, batch_hits):
            lo, hi = self.offsets[a], self.offsets[b]
            yield Columns(
                self.first + a,
                {role: values[a:b] for role, values in self.primaries.items()},
                {role: values[lo:hi] for role, values in self.hits.items()},
                self.offsets[a : b + 1] - lo,
            )


def ranges_of_hits(offsets: npt.NDArray[np.int64], batch_hits: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of showers that hold at most `batch_hits` hits each, but at least one shower."""
    a, n = 0, len(offsets) - 1
    while a < n:
        b = max(a + 1, int(np.searchsorted(offsets, offsets[a] + batch_hits, side="right")) - 1)
        yield a, b
        a = b


def scalars(values: Any, place: str) -> Array:
    """Return a branch with one number per row as a numpy array, without a copy.

    Raises
    ------
    InputError
        If the branch holds anything else; `place` says where it is.
    """
    layout = values.layout
    if not isinstance(layout, ak.contents.NumpyArray) or layout.data.ndim != 1 or layout.data.dtype.kind not in "iuf":
        raise InputError(f"{place} holds {values.type.content} in every row; expected one number")
    return np.asarray(layout.data)


def lists(values: Any, place: str) -> tuple[Array, npt.NDArray[np.int64]]:
    """Return the numbers and the offsets of a branch with a list of numbers per row, without a copy.

    Raises
    ------
    InputError
        If the branch holds anything else; `place` says where it is.
    """
    layout = values.layout
    if not (layout.is_list and isinstance(layout.content, ak.contents.NumpyArray)):
        raise InputError(f"{place} holds {values.type.content} in every row; expected a list of numbers, one per hit")
    layout = layout.to_ListOffsetArray64(False)
    offsets = np.asarray(layout.offsets.data)
    content = np.asarray(layout.content.data)[offsets[0] : offsets[-1]]
    if content.ndim != 1 or content.dtype.kind not in "iuf":
        raise InputError(f"{place} holds {values.type.content} in every row; expected a list of numbers, one per hit")
    return content, offsets - offsets[0]


def equal_offsets(
    offsets: Mapping[str, npt.NDArray[np.int64]], names: Mapping[str, str], first: int, place: str
) -> npt.NDArray[np.int64]:
    """Return the offsets that all hit columns share.

    Parameters
    ----------
    offsets : dict of int64 arrays (n + 1,)
        By role.
    names : dict
        Role to branch, for the message.
    first : int
        Row of the file that the first entry belongs to.
    place : str
        File and tree, for the message.

    Raises
    ------
    InputError
        If two columns have lists of different length in a row; names the row, the branches and both lengths.
    """
    reference, shared = next(iter(offsets.items()))
    for role, other in offsets.items():
        if np.array_equal(shared, other):
            continue
        differ = np.flatnonzero(np.diff(shared) != np.diff(other))
        row = int(differ[0])
        raise InputError(
            f"{place}: hit columns of unequal length in {len(differ)} of rows {first} to {first + len(shared) - 2}, "
            f"first in row {first + row}: '{names[reference]}' has {shared[row + 1] - shared[row]} values, "
            f"'{names[role]}' has {other[row + 1] - other[row]}; every hit needs a value in each column"
        )
    return shared
