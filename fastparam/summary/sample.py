"""The samples of a geometry -> `Summary`, in one pass over the files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from fastparam.errors import InputError
from fastparam.hits.batches import BATCH_HITS, Batch, iterate, read_particles
from fastparam.hits.hits import Hits
from fastparam.particles import Particles
from fastparam.summary.binning import PROBE_SHOWERS, Binning, choose_binning
from fastparam.summary.summarise import summarise
from fastparam.summary.summary import Summary

if TYPE_CHECKING:
    from fastparam.geometry.detector import Geometry

__all__ = ["probe", "summarise_sample"]


def summarise_sample(
    geometry: Geometry,
    *,
    part: tuple[int, int] | None = None,
    keep_hits: bool = False,
    batch_hits: int = BATCH_HITS,
    progress: Callable[[float], None] = lambda _: None,
) -> Summary:
    """Summarise the samples of a geometry, or the i-th of n parts of them.

    The result does not depend on how rows are split into files, parts or batches, to the last bit: the binning follows
    from the first showers of the whole sample, and every shower is reduced by itself.

    Parameters
    ----------
    geometry : Geometry
    part : (i, n), optional
        The i-th (from 1) of n contiguous ranges of rows.
    keep_hits : bool
        Keep single hits (`Summary.deposits`), which recipes of single deposits are fitted to.
    batch_hits : int
        Hits held at a time.
    progress : callable
        Called with the fraction of rows that is done.

    Raises
    ------
    InputError
        If there are no samples, no showers, or for what `fastparam.hits` finds wrong.
    """
    if not geometry.config.samples:
        raise InputError(f"{geometry.path}: has no samples to read; add them under `samples:`")
    everything = read_particles(geometry)
    if not len(everything):
        raise InputError(f"{geometry.path}: the samples hold no showers")
    batches = iterate(geometry, batch_hits=batch_hits)
    head: list[Batch] = []
    for batch in batches:
        head.append(batch)
        if sum(len(b) for b in head) >= PROBE_SHOWERS:
            break
    binning = probe(geometry, head, everything)
    todo = chain(head, batches) if part is None else iterate(geometry, part=part, batch_hits=batch_hits)
    total = len(everything) if part is None else max(len(everything) // part[1], 1)

    def watched() -> Iterator[Batch]:
        done = 0
        for batch in todo:
            yield batch
            done += len(batch)
            progress(min(done / total, 1.0))

    keep_hits_of = len(everything) if keep_hits else None
    return replace(summarise(geometry, watched(), binning, keep_hits_of=keep_hits_of), sample_rows=len(everything))


def probe(geometry: Geometry, batches: list[Batch], everything: Particles) -> Binning:
    """Choose the binning from the first showers of a sample, however they are cut into batches."""
    heads, left = [], PROBE_SHOWERS
    for batch in batches:
        heads.append(_first(batch, left))
        left -= len(heads[-1][0])
    counts = np.concatenate([hits.n_hits for _, hits in heads])
    x, y, z, e = (np.concatenate([getattr(hits, c) for _, hits in heads]) for c in ("x", "y", "z", "e"))
    layer = np.concatenate([hits.layer for _, hits in heads])
    hits = Hits(x, y, z, e, layer, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))
    return choose_binning(geometry, Particles.concatenate([particles for particles, _ in heads]), hits, everything)


def _first(batch: Batch, n: int) -> tuple[Particles, Hits]:
    """First n showers of a batch."""
    offsets = batch.hits.offsets[: n + 1]
    used = slice(0, offsets[-1])
    h = batch.hits
    return batch.particles.take(slice(0, n)), Hits(h.x[used], h.y[used], h.z[used], h.e[used], h.layer[used], offsets)
