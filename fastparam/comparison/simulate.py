"""Generators as summaries: showers sampled for given particles, and summarised batch by batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from fastparam.comparison.collect import VoxelCollector, voxels_of_batch
from fastparam.particles import Particles
from fastparam.summary import Binning, Summary, summarise

if TYPE_CHECKING:
    from fastparam.geometry.detector import Geometry
    from fastparam.hits.batches import Batch

__all__ = ["simulate"]

#: A batch of sampled showers ends at so many showers or so much kinetic energy (MeV): some million hits at most.
_BATCH_SHOWERS = 2000
_BATCH_ENERGY = 2e6


def simulate(
    geometry: Geometry,
    generator: Any,
    particles: Particles,
    binning: Binning,
    *,
    seed: int,
    repeat: int,
    collector: VoxelCollector | None = None,
    progress: Callable[[float], None] | None = None,
) -> tuple[Summary, float]:
    """Let a generator simulate particles several times and summarise its showers in batches of bounded size.

    Parameters
    ----------
    generator
        Anything with ``generate(particles, *, seed)`` whose result has `particles` and `hits`.
    repeat : int
        Copies of each particle. Copy c of particle i has `Particles.index` c n + i: no stream of random numbers is
        used twice.
    collector : VoxelCollector, optional
        Gets the voxels of all showers.

    Returns
    -------
    summary : Summary (repeat n,)
        Its `row` is the index.
    ms_per_shower : float
        Wall time spent in ``generate``.
    """
    # The first batch pays for compilation; one shower more keeps that out of the time quoted.
    generator.generate(particles.take(slice(0, 1)).with_index([0]), seed=seed)
    spent = 0.0

    def batches() -> Iterator[Batch]:
        nonlocal spent
        from fastparam.hits.batches import Batch

        n = len(particles)
        cuts = _batch_cuts(particles.energy)
        for copy in range(repeat):
            for low, high in pairwise(cuts):
                index = copy * n + np.arange(low, high, dtype=np.int64)
                wanted = particles.take(slice(low, high)).with_index(index)
                start = time.perf_counter()
                showers = generator.generate(wanted, seed=seed)
                spent += time.perf_counter() - start
                none = np.zeros(len(index), dtype=np.int32)
                made = Batch(wanted, showers.hits, index, none, none)
                if collector is not None:
                    # Showers that were made as voxels need not go through hits.
                    collector.add(wanted, getattr(showers, "voxels", None) or partial(voxels_of_batch, geometry, made))
                yield made
                if progress is not None:
                    progress((copy * n + high) / (repeat * n))

    summary = summarise(geometry, batches(), binning)
    return summary, 1000.0 * spent / len(summary)


def _batch_cuts(energy: np.ndarray[Any, np.dtype[np.float64]]) -> list[int]:
    """Return where batches begin, and the end."""
    cuts, held = [0], 0.0
    for i, e in enumerate(energy.tolist()):
        if i > cuts[-1] and (held + e > _BATCH_ENERGY or i - cuts[-1] >= _BATCH_SHOWERS):
            cuts.append(i)
            held = 0.0
        held += e
    return [*cuts, len(energy)]
