"""Hits of many showers with a bounded buffer: what the ring recipes keep of a shower before its hits are drawn.

How many hits a shower has is known when its rings are drawn, and arrays can only be made when all numbers are known.
Rings are kept from one to the other while they fit into the buffer; of larger batches they are drawn twice, block by
block, with the same random numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from fastparam.generate.domain import Plan
from fastparam.hits.hits import Hits
from fastparam.particles import Particles

__all__ = ["BUFFER", "hits_in_blocks"]

#: Bytes kept between the two steps. Beside it, and the hits, every thread holds the arrays of some thousand hits.
BUFFER = 64_000_000

#: From some particles to the numbers of hits, and whatever is kept of their showers.
Count = Callable[[Plan, Particles], tuple[npt.NDArray[np.int64], Any]]

#: From the same, what was kept, where each shower's hits begin, and the arrays x, y, z, e, layer, which it fills.
Fill = Callable[[Plan, Particles, Any, npt.NDArray[np.int64], tuple[npt.NDArray[Any], ...]], None]


def hits_in_blocks(
    plan: Plan, particles: Particles, kept_bytes: int, count: Count, fill: Fill, *, buffer: int | None = None
) -> Hits:
    """Return the hits of n showers.

    Parameters
    ----------
    plan, particles
        Of the n showers.
    kept_bytes : int
        What `count` keeps per shower.
    count, fill
        The two steps.
    buffer : int, optional
        Bytes; default `BUFFER`.
    """
    n = len(particles)
    size = max(1, (BUFFER if buffer is None else buffer) // max(kept_bytes, 1))
    blocks = [slice(a, min(a + size, n)) for a in range(0, n, size)]
    counts = np.empty(n, dtype=np.int64)
    parts = [(_part(plan, b), particles.take(b)) for b in blocks] if len(blocks) > 1 else [(plan, particles)][:n]
    kept: Any = None
    for block, own in zip(blocks, parts, strict=True):
        kept = None  # of the block before: never two at a time
        counts[block], kept = count(*own)
    offsets = np.zeros(n + 1, dtype=np.int64)
    np.cumsum(counts, out=offsets[1:])
    x, y, z, e = (np.empty(offsets[-1]) for _ in range(4))
    layer = np.empty(offsets[-1], dtype=np.int32)
    for block, own in zip(blocks, parts, strict=True):
        if len(blocks) > 1:
            kept = None
            kept = count(*own)[1]
        low, high = offsets[block.start], offsets[block.stop]
        arrays = tuple(column[low:high] for column in (x, y, z, e, layer))
        fill(*own, kept, offsets[block.start : block.stop + 1] - low, arrays)
    return Hits(x, y, z, e, layer, offsets)


def _part(plan: Plan, block: slice) -> Plan:
    return Plan(plan.lower[block], plan.upper[block], plan.weight[block])
