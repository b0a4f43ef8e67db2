"""Milliseconds per shower as a user of a generator pays them: at batch 1, 100 and 10 000, placing of hits included."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastparam.particles import Particles

__all__ = ["BATCHES", "Timing", "time_generator"]

BATCHES = (1, 100, 10_000)

#: A batch that would take longer is cut short, and says so.
_LONGEST = 5.0
_REPEATS = {1: 30, 100: 3}


@dataclass(frozen=True)
class Timing:
    """Wall time per shower at one size of batch.

    Attributes
    ----------
    batch : int
        Size asked for.
    ms, error : float
        Mean over repetitions and its standard error; NaN error of a single one.
    measured : int
        Size timed: smaller than `batch` where that would have taken more than 5 s.
    """

    batch: int
    ms: float
    error: float
    measured: int


def time_generator(generator: Any, particles: Particles, *, seed: int = 1) -> tuple[Timing, ...]:
    """Time a generator on particles of a sample, in random order.

    Parameters
    ----------
    generator
        Anything with ``generate(particles, *, seed) -> Showers``.
    particles : Particles
        Drawn from with repetition.
    seed : int
    """
    rng = np.random.default_rng(seed)

    def run(n: int) -> float:
        wanted = particles.take(rng.integers(0, len(particles), n)).with_index(np.arange(n))
        start = time.perf_counter()
        _ = generator.generate(wanted, seed=seed).hits
        return time.perf_counter() - start

    run(2)  # pays for compilation
    found = []
    per_shower = 0.0
    for batch in BATCHES:
        size = batch if per_shower * batch <= _LONGEST else max(int(_LONGEST / per_shower), 1)
        times = 1000.0 * np.array([run(size) for _ in range(_REPEATS.get(batch, 1))]) / size
        per_shower = float(times.mean()) / 1000.0
        error = float(times.std(ddof=1) / np.sqrt(len(times))) if len(times) > 1 else float("nan")
        found.append(Timing(batch, float(times.mean()), error, size))
    return tuple(found)
