"""Sampler of the recipe `hybrid`: ring energies and dipoles from a copula, hits drawn into every ring.

For every shower

1. its rings are drawn (`generate.ring_features`): energies, dipoles, numbers of hits;
2. hits get radius, energy and depth from their ring's tables, the azimuth from the pattern of the merging grid in their
   zone in r; those of a ring keep apart or lie together (`shapes.azimuth_pairs`), or lie in clumps where these are on;
3. rings are turned and tilted to their dipoles (`shapes.tilt`) and scaled to their energies;
4. hits are placed in their layers along the particle's line (`shapes.lines`).

Steps 2 and 3 go through the hits of some thousand at a time in simple passes over small arrays in single precision,
without searches, calls of the mathematical library, or branches that depend on random numbers.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastparam._numba import kernel, parallel_kernel, prange
from fastparam.fit.ring_hits import CLUMP_SPREAD, N_DEPTHS
from fastparam.generate.blocks import hits_in_blocks
from fastparam.generate.ring_features import draw_features
from fastparam.generate.ring_program import (
    AZIMUTH_SIZE,
    HIT_DEPTH,
    HIT_E,
    MODEL,
    N_AZIMUTHS,
    SLICE,
    ring_program,
)
from fastparam.random import exponential, fill_uniforms, normal, poisson, stream, uniform
from fastparam.shapes.azimuth_pairs import paired1
from fastparam.shapes.corners import blended1, corners1
from fastparam.shapes.normal import normal_cdf1
from fastparam.shapes.quantile_table import knot1, quantile1
from fastparam.shapes.quick_functions import direction1, exp1
from fastparam.shapes.ring_placing import place_rings1
from fastparam.shapes.tilt import LANES, WORK, WORK_INTS
from fastparam.showers.showers import Showers

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastparam.generate.domain import Plan
    from fastparam.particles import Particles
    from fastparam.tunes.tune import Tune

__all__ = ["sampler"]

_HITS = 12

#: Columns of `RingProgram.slices` and `.models`, as numbers that kernels can see.
_S_MODEL, _S_CLUMPS, _S_PAIRS, _S_HITS = SLICE.MODEL, SLICE.CLUMPS, SLICE.PAIRS, SLICE.HITS
_S_LN_E, _S_POINTS = SLICE.LN_E, SLICE.POINTS
_SECTIONS, _RINGS, _FIRST, _LAYER, _TURNS = MODEL.SECTIONS, MODEL.RINGS, MODEL.FIRST, MODEL.LAYER, MODEL.TURNS
_AZIMUTH, _ZONES, _N_CELLS, _PER_CELL = MODEL.AZIMUTH, MODEL.ZONES, MODEL.N_CELLS, MODEL.PER_CELL
_SINGLE, _CLUMPED, _DEEP, _HIT_SIZE = MODEL.SINGLE, MODEL.CLUMPED, MODEL.DEEP, MODEL.HIT_SIZE

#: Clumps of a ring beyond which its hits are as good as independent; correlation of the radii of a clump's hits.
_MAX_CLUMPS, _CLUMP_RADIUS = 64, 0.9

#: Hits that are drawn together: their arrays stay in the fast caches. A ring is never split.
_CHUNK = 1536

#: Hits whose rings are noted at once.
_RUN = 16

_HALF, _ONE = np.float32(0.5), np.float32(1.0)
_BINS = np.float32(N_AZIMUTHS)
_N_DEPTH_CELLS = np.float32(N_DEPTHS - 1)


@kernel
def _clump1(state: Any, rate: float, radius: Any, azimuth: Any, low: int, high: int) -> None:
    """Replace the uniform numbers of a ring's hits ``low:high`` by those of clumps, `rate` of them on average."""
    clumps = max(poisson(state, rate), 1)
    if clumps > _MAX_CLUMPS:
        return
    share, centre_r, centre_a = np.empty(_MAX_CLUMPS), np.empty(_MAX_CLUMPS), np.empty(_MAX_CLUMPS)
    total = 0.0
    for m in range(clumps):
        total += exponential(state)
        share[m] = total
        centre_r[m], centre_a[m] = normal(state), uniform(state)
    clump = 0
    for h in range(low, high):
        # Hits are independent of each other, so those of a clump may come one after the other.
        while clump < clumps - 1 and (h - low + 0.5) * total > share[clump] * (high - low):
            clump += 1
        a = centre_a[clump] + (CLUMP_SPREAD / (2.0 * math.pi)) * normal(state)
        v = _CLUMP_RADIUS * centre_r[clump] + math.sqrt(1.0 - _CLUMP_RADIUS**2) * normal(state)
        azimuth[h] = min(a - math.floor(a), 1.0 - 1e-7)
        radius[h] = min(normal_cdf1(v), 1.0 - 1e-6)


@kernel
def _radii1(n: int, base: Any, u: Any, tables: Any, place: Any, r: Any) -> None:
    for h in range(n):
        place[h] = knot1(u[h])
    for h in range(n):
        r[h] = quantile1(place[h], tables, base[h])


@kernel
def _energies1(n: int, base: Any, u: Any, tables: Any, factor: Any, place: Any, e: Any) -> None:
    for h in range(n):
        place[h] = knot1(u[h])
    for h in range(n):
        e[h] = quantile1(place[h], tables, base[h] + HIT_E)
    for h in range(n):
        e[h] = exp1(e[h]) * factor[h]


@kernel
def _azimuths1(
    n: int, r: Any, u: Any, azimuth: Any, model: Any, reals: Any, entry: Any, turn: Any, factor: Any, c: Any, s: Any
) -> None:  # fmt: skip
    """Draw cos and sin of alpha, and the mean energy of a hit there: by quantiles, so that hits can keep apart.

    `azimuth` says for every hit where the tables of its layer's zones begin. Numbers are computed in passes of vector
    code and looked up in passes of their own, between which `turn`, `factor`, `c`, `s` keep them.
    """
    per_cell, last, cells = reals[model[_PER_CELL]], np.int32(model[_N_CELLS] - 1), reals[model[_ZONES] :]
    for h in range(n):
        entry[h] = np.int32(2) * min(np.int32(r[h] * per_cell), last)
    edge, begin = c, s
    for h in range(n):
        at = np.uint64(entry[h])
        edge[h], begin[h] = cells[at], cells[at + np.uint64(1)]
    for h in range(n):
        next_zone = np.int32(AZIMUTH_SIZE) if r[h] >= edge[h] else np.int32(0)
        entry[h] = azimuth[h] + np.int32(begin[h]) + next_zone + np.int32(2) * np.int32(u[h] * _BINS)
    low, high = turn, c
    for h in range(n):
        at = np.uint64(entry[h])
        low[h], factor[h], high[h] = reals[at], reals[at + np.uint64(1)], reals[at + np.uint64(2)]
    for h in range(n):
        x = u[h] * _BINS
        turn[h] = low[h] + (x - np.float32(np.int32(x))) * (high[h] - low[h])
    for h in range(n):
        c[h], s[h] = direction1(turn[h])


@kernel
def _hits1(
    seed: int, index: int, energy: float, position: Any, u: Any, lower: int, upper: int, weight: float, slices: Any,
    models: Any, ints: Any, reals: Any, surfaces: Any, knobs: Any, row: Any, x: Any, y: Any, z: Any, e: Any,
    layer: Any,
) -> None:  # fmt: skip
    """Fill the hits of one shower."""
    state = stream(seed, index, _HITS)
    corner, w = np.empty((4, 2), dtype=np.int64), np.empty(4)
    n_corners = corners1(math.log(energy), lower, upper, weight, slices, _S_LN_E, _S_POINTS, reals, corner, w)
    model = models[slices[lower, _S_MODEL]]
    rings = model[_RINGS]
    first_ring = ints[model[_FIRST] : model[_FIRST] + model[_SECTIONS] + 1]
    section_layer = ints[model[_LAYER] : model[_LAYER] + model[_SECTIONS]]
    single = ints[model[_SINGLE] : model[_SINGLE] + len(surfaces)]
    number = row[3 * rings : 4 * rings]
    size = _CHUNK
    for g in range(rings):
        size = max(size, int(number[g]))
    size += _RUN
    floats = np.empty(12 * size + 6 * rings + WORK, dtype=np.float32)
    own, place, factor, r, c, s = (
        floats[:size], floats[size : 2 * size], floats[2 * size : 3 * size], floats[3 * size : 4 * size],
        floats[4 * size : 5 * size], floats[5 * size : 6 * size],
    )  # fmt: skip
    across = floats[size : 3 * size]  # place and factor are no longer needed by then
    uniforms, tilts, rest = floats[6 * size : 10 * size], floats[10 * size :], floats[12 * size + WORK :]
    d1, d2, amount, turns = rest[:rings], rest[rings:], rest[2 * rings :], rest[3 * rings :]
    numbers = np.empty(4 * size + 4 * rings + 1 + WORK_INTS, dtype=np.int32)
    slot, base, azimuth, entry, rest_ = (
        numbers[:size], numbers[size : 2 * size], numbers[2 * size : 3 * size], numbers[3 * size : 4 * size],
        numbers[4 * size :],
    )  # fmt: skip
    kind, ring, first, sorting = rest_[:rings], rest_[rings:], rest_[2 * rings :], rest_[3 * rings + 1 :]
    doubles = np.empty(size + 3 * rings + LANES)
    # Tables of all rings: where they are at an energy point, blended between points.
    per_ring = model[_HIT_SIZE]
    tables, at = reals, slices[corner[0, 0], _S_HITS] + corner[0, 1] * rings * per_ring
    if n_corners > 1:
        tables, at = np.empty(rings * per_ring, dtype=np.float32), 0
        blended1(n_corners, w, corner, slices, _S_HITS, 0, 1, reals, tables)
    paired, kappa = slices[lower, _S_PAIRS] >= 0, rest[5 * rings : 6 * rings]
    if paired:
        blended1(n_corners, w, corner, slices, _S_PAIRS, 0, 1, reals, kappa)
    # Rings with hits.
    n_rings, first_zone = 0, ints[model[_AZIMUTH] : model[_AZIMUTH] + rings]
    for g in range(rings):
        ring[n_rings], amount[n_rings] = g, row[g]
        d1[n_rings], d2[n_rings], kind[n_rings] = row[rings + g], row[2 * rings + g], ints[model[_TURNS] + g]
        n_rings += number[g] > 0.0
    done, low = 0, 0
    while done < n_rings:
        # As many of them as fill a chunk.
        n, k = 0, 0
        first[0] = 0
        while done + k < n_rings:
            g = ring[done + k]
            hits = int(number[g])
            if n > 0 and n + hits > _CHUNK:
                break
            slots, bases, zones = slot[n:], base[n:], azimuth[n:]
            begin, zone = np.int32(at + g * per_ring), np.int32(first_zone[g])
            for h in range(0, hits, _RUN):  # what is too much is overwritten by the next ring
                for q in range(h, h + _RUN):
                    slots[q] = k
                for q in range(h, h + _RUN):
                    bases[q] = begin
                for q in range(h, h + _RUN):
                    zones[q] = zone
            n, k = n + hits, k + 1
            first[k] = n
        fill_uniforms(state, uniforms[: 4 * n])
        if paired:
            fresh, azimuths = r, uniforms[n : 2 * n]
            fill_uniforms(state, fresh[: n + n % 2])
            for m in range(k):
                begin, end = first[m], first[m + 1]
                if end - begin > 1:
                    paired1(state, kappa[ring[done + m]], azimuths[begin:end], fresh[begin:end], c)
        if model[_CLUMPED] != 0:
            for m in range(k):
                rate = 0.0
                for q in range(n_corners):
                    rate += w[q] * reals[slices[corner[q, 0], _S_CLUMPS] + corner[q, 1] * rings + ring[done + m]]
                if rate > 0.0 and first[m + 1] - first[m] > 1:
                    _clump1(state, rate * amount[done + m], uniforms[:n], uniforms[n : 2 * n], first[m], first[m + 1])
        _radii1(n, base, uniforms, tables, place, r)
        _azimuths1(n, r, uniforms[n:], azimuth, model, reals, entry, place, factor, c, s)
        _energies1(n, base, uniforms[2 * n :], tables, factor, place, own)
        share = uniforms[3 * n : 4 * n]
        if model[_DEEP] != 0:
            for h in range(n):
                share[h] = quantile1(share[h] * _N_DEPTH_CELLS, tables, base[h] + np.int32(HIT_DEPTH))
        place_rings1(
            k, ring[done:], first, slot, amount[done:], d1[done:], d2[done:], kind[done:], r[:n], c[:n], s[:n],
            own[:n], share, first_ring, section_layer, single, surfaces, knobs[4] > 0.0, position, u, across, tilts,
            turns, doubles, sorting, x[low : low + n], y[low : low + n], z[low : low + n], e[low : low + n],
            layer[low : low + n],
        )  # fmt: skip
        done, low = done + k, low + n


@parallel_kernel
def _all(
    seed: Any, index: Any, energy: Any, position: Any, direction: Any, lower: Any, upper: Any, weight: Any,
    slices: Any, models: Any, ints: Any, reals: Any, surfaces: Any, knobs: Any, rows: Any, offsets: Any,
    x: Any, y: Any, z: Any, e: Any, layer: Any,
) -> None:  # fmt: skip
    for i in prange(len(index)):
        low, high = offsets[i], offsets[i + 1]
        _hits1(
            seed, index[i], energy[i], position[i], direction[i], lower[i], upper[i], weight[i], slices, models, ints,
            reals, surfaces, knobs, rows[i], x[low:high], y[low:high], z[low:high], e[low:high], layer[low:high],
        )  # fmt: skip


def sampler(tune: Tune) -> Callable[[Plan, Particles, int], Showers]:
    """Return what samples from a tune."""
    settings = tune.recipe.hybrid
    program = ring_program(
        tune, smoothing=settings.smoothing, smoothing_hadrons=settings.smoothing_hadrons, dipoles=settings.dipoles,
        clumps=settings.clumps, pairs=settings.pairs, spectra=settings.spectra, grid=settings.grid,
        modulation=settings.modulation,
    )  # fmt: skip
    geometry = tune.geometry

    def sampled(plan: Plan, particles: Particles, seed: int) -> Showers:
        def count(plan: Plan, particles: Particles) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
            rows, counts = draw_features(
                program, plan, particles, seed, copula=settings.copula, numbers=settings.numbers,
            )  # fmt: skip
            return counts, rows

        def fill(
            plan: Plan, particles: Particles, rows: npt.NDArray[np.float32], offsets: npt.NDArray[np.int64],
            arrays: tuple[npt.NDArray[Any], ...],
        ) -> None:  # fmt: skip
            _all(
                seed, particles.index, particles.energy, particles.position, particles.direction, plan.lower,
                plan.upper, plan.weight, program.slices, program.models, program.ints, program.reals,
                program.surfaces, program.knobs, rows, offsets, *arrays,
            )  # fmt: skip

        return Showers(particles, hits_in_blocks(plan, particles, 4 * program.width, count, fill), geometry)

    return sampled
