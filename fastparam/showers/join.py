"""Showers of several batches as one, and some showers of a batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fastparam.hits.hits import Hits

__all__ = ["join_hits", "take_hits"]


def join_hits(parts: Sequence[Hits], places: Sequence[npt.NDArray[np.int64]] | None = None) -> Hits:
    """Join the hits of batches, one behind the other or shower by shower at given places.

    Parameters
    ----------
    parts : list of Hits
    places : list of int64 arrays, optional
        Where each shower of each part goes; together a permutation of 0..n-1.
    """
    if not parts:
        none = np.empty(0)
        return Hits(none, none, none, none, np.empty(0, dtype=np.int32), np.zeros(1, dtype=np.int64))
    if len(parts) == 1 and places is None:
        return parts[0]
    counts = np.concatenate([part.n_hits for part in parts])
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ("x", "y", "z", "e", "layer")}
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    if places is None:
        return Hits(offsets=offsets, **columns)
    order = np.argsort(np.concatenate(places), kind="stable")
    joined = Hits(offsets=offsets, **columns)
    return joined if np.array_equal(order, np.arange(len(order))) else take_hits(joined, order)


def take_hits(hits: Hits, rows: npt.NDArray[np.int64]) -> Hits:
    """Return the hits of the showers at these positions, in that order."""
    counts = hits.n_hits[rows]
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    source = np.repeat(hits.offsets[:-1][rows] - offsets[:-1], counts) + np.arange(offsets[-1])
    columns = {name: getattr(hits, name)[source] for name in ("x", "y", "z", "e", "layer")}
    return Hits(offsets=offsets, **columns)
