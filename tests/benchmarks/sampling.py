"""Time the sampler of the recipe `hybrid` against its limit and against the same model in NumPy, in one run.

    python -m tests.benchmarks.sampling [-o docs/performance.md]

The limit draws as many random numbers as a hit needs (five uniform ones, for its radius, azimuth, energy, depth, and
for what it has to do with other hits, from a stream per shower; the three numbers that choose a shower's rings do not
count beside them) and makes and writes the same five arrays. The NumPy twin is the same model, features included,
vectorised over all hits of a batch. All is compiled and warm. Sampler and limit alternate, and medians of their
processor times count, and of their ratios: the machine may be busy. Times of single showers and of threads are wall
clock, the smallest of the repetitions.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from fastparam._numba import parallel_kernel, prange
from fastparam.fit.copula import Copula
from fastparam.generate import TunedGenerator
from fastparam.particles import Particles
from fastparam.random import stream, uniform
from tests.hybrid_twin import Twin
from tests.ring_samples import ring_tune

REPEAT = 25
#: The page keeps what it says beside the tables.
MARKS = "<!-- sampling -->", "<!-- end of sampling -->"


@parallel_kernel
def _limit(offsets: Any, x: Any, y: Any, z: Any, e: Any, layer: Any) -> None:
    for i in prange(len(offsets) - 1):
        state = stream(1, i, 1)
        for h in range(offsets[i], offsets[i + 1]):
            x[h] = uniform(state)
            y[h] = uniform(state)
            z[h] = uniform(state)
            e[h] = uniform(state) * uniform(state)
            layer[h] = 1


def limit(offsets: npt.NDArray[np.int64]) -> None:
    """Draw the numbers and write the arrays."""
    x, y, z, e = (np.empty(offsets[-1]) for _ in range(4))
    _limit(offsets, x, y, z, e, np.empty(offsets[-1], dtype=np.int32))


def best(function: Callable[[], object], n: int = REPEAT) -> float:
    """Return the smallest time of n calls in seconds."""
    found = []
    for _ in range(n):
        began = time.perf_counter()
        function()
        found.append(time.perf_counter() - began)
    return min(found)


def spent(function: Callable[[], object]) -> float:
    """Return the processor time of a call in seconds."""
    began = time.process_time()
    function()
    return time.process_time() - began


def measure() -> str:
    """Return the table as Markdown."""
    lines = ["| detector, photons | hits/shower | hybrid, ns/hit | limit, ns/hit | ratio | NumPy, ns/hit | ratio |"]
    lines.append("|---|---|---|---|---|---|---|")
    threads, extra = numba.get_num_threads(), []
    for name, energy, n in (
        ("siw", 16_000.0, 2000), ("siw", 11_000.0, 2000), ("lar_accordion", 16_000.0, 500), ("pbwo4", 16_000.0, 500)
    ):  # fmt: skip
        tune = ring_tune(name)
        generator = TunedGenerator(tune)
        where: dict[str, Any] = {"eta": 0.22} if tune.geometry.frame == "barrel" else {"direction": (0, 0, 1)}
        at = {} if tune.geometry.frame == "barrel" else {"position": (0, 0, -0.001)}
        particles = Particles.gun(pdg=22, energy=energy, n=n, **where, **at)
        numba.set_num_threads(1)
        offsets = generator.generate(particles, seed=1).hits.offsets
        limit(offsets)
        twin_time, twin = np.inf, None
        if tune.geometry.frame == "planar" and name == "siw" and energy == 16_000.0:
            twin = Twin(tune, int(np.argmin(np.abs(Copula.from_tables(
                tune.slices[0].tables["rings"]).ln_e - np.log(energy)))))  # fmt: skip
            found = len(twin.sample(n, np.random.default_rng(1))[3])
        times = np.array([
            (spent(lambda g=generator, p=particles: g.generate(p, seed=1)), spent(lambda o=offsets: limit(o)))
            for _ in range(REPEAT)
        ])  # fmt: skip
        ours, theirs = np.median(times, axis=0)
        ratio = float(np.median(times[:, 0] / times[:, 1]))
        if twin is not None:
            twin_time = spent(lambda t=twin, m=n: t.sample(m, np.random.default_rng(1))) / found
        hits = int(offsets[-1])
        a, b = 1e9 * ours / hits, 1e9 * theirs / hits
        numpy_ns = f"{1e9 * twin_time:.0f} | {1e9 * twin_time / a:.1f}" if twin is not None else "- | -"
        lines.append(
            f"| {name}, {energy / 1000:g} GeV | {hits / n:.0f} | {a:.0f} | {b:.1f} | {ratio:.1f} | {numpy_ns} |"
        )
        if energy != 16_000.0:
            continue
        one = Particles.gun(pdg=22, energy=1005.0, n=1, **where, **at)
        generator.generate(one, seed=1)
        alone = best(lambda g=generator, p=one: g.generate(p, seed=1), 500)
        many = Particles.gun(pdg=22, energy=1005.0, n=500, **where, **at)
        share = best(lambda g=generator, p=many: g.generate(p, seed=1)) / 500
        extra.append(f"| {name}, 1 GeV | {1e6 * alone:.0f} | {1e6 * share:.0f} |")
        if threads > 1:
            numba.set_num_threads(threads)
            ours_all = best(lambda g=generator, p=particles: g.generate(p, seed=1), 8)
            numba.set_num_threads(1)
            alone_all = best(lambda g=generator, p=particles: g.generate(p, seed=1), 8)
            extra[-1] += f" {alone_all / ours_all:.2f} |"
        else:
            extra[-1] += " - |"
    lines += [
        "",
        f"| | us, one shower alone | us per shower of 500 | {threads} threads over 1 |",
        "|---|---|---|---|",
        *extra,
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    load = os.getloadavg()[0]
    text = (
        f"Written by `tests/benchmarks/sampling.py`, load of the machine {load:.0f} on {os.cpu_count()} cores, medians"
        f" of {REPEAT} alternating runs, processor time.\n\n{measure()}\n"
    )
    print(text)
    if options.output:
        before, rest = options.output.read_text(encoding="utf-8").split(MARKS[0])
        after = rest.split(MARKS[1])[1]
        options.output.write_text(f"{before}{MARKS[0]}\n\n{text}\n{MARKS[1]}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
