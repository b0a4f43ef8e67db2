"""Sampler of the recipe `mosaic`: rings as in `hybrid`, filled with the hits of stored rings.

Every ring of a sampled shower takes the hits of one donor: among the 16 stored rings of nearest energy the one that
comes nearest in energy, dipole, number of hits and phase of the accordion, with some chance in it. Where hits follow no
grid the donor is turned to the wanted dipole, elsewhere by quarter turns; either way it may be mirrored. Then it is
tilted (`shapes.tilt`) and scaled. No hit is moved within its ring. Between eta slices donors come from both.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastparam._numba import kernel, parallel_kernel, prange
from fastparam.fit.donors import Donors
from fastparam.generate.blocks import hits_in_blocks
from fastparam.generate.ring_features import draw_features
from fastparam.generate.ring_program import MODEL, SLICE, TABLES, Pool, RingProgram, ring_program
from fastparam.random import stream, uniform
from fastparam.shapes.ring_placing import place_rings1
from fastparam.shapes.tilt import FREE, LANES, ONLY_TURN, QUARTERS, WORK, WORK_INTS
from fastparam.showers.showers import Showers

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastparam.generate.domain import Plan
    from fastparam.particles import Particles
    from fastparam.tunes.tune import Tune

__all__ = ["sampler"]

_DONORS, _FILL = 21, 22

#: Stored rings that are looked at, and what a difference costs: of ln energy, dipole, ln of hits, phase in turns.
_LOOKED_AT, _COST_ENERGY, _COST_DIPOLE, _COST_HITS, _COST_PHASE = 16, 2.0, 3.0, 1.0, 4.0

#: Hits that are placed together; a ring is never split.
_CHUNK = 1024

_S_MODEL = SLICE.MODEL
_M_SECTIONS, _M_RINGS, _M_FIRST, _M_LAYER = MODEL.SECTIONS, MODEL.RINGS, MODEL.FIRST, MODEL.LAYER
_M_DIPOLE, _M_STRUCTURED, _M_SINGLE = MODEL.DIPOLE, MODEL.STRUCTURED, MODEL.SINGLE


@kernel
def _choose1(
    seed: int, index: int, phase: float, lower: int, upper: int, weight: float, slices: Any, models: Any, ints: Any,
    first: Any, rings: Any, hit_first: Any, dipoles: bool, row: Any, chosen: Any,
) -> int:  # fmt: skip
    """Choose a donor for every ring of a shower into `chosen` (G,), -1 for none; return the number of their hits.

    `first` (n_slices, G + 1) says which donors are a slice's and ring's; `rings` (m, 4) holds their ln energy, dipole
    and phase.
    """
    state = stream(seed, index, _DONORS)
    model = slices[lower, _S_MODEL]
    n_rings = models[model, _M_RINGS]
    total = 0
    for g in range(n_rings):
        chosen[g] = -1
        if row[g] <= 0.0:
            continue
        own = upper if uniform(state) < weight else lower
        begin, end = first[own, g], first[own, g + 1]
        if begin == end:
            own = lower + upper - own
            begin, end = first[own, g], first[own, g + 1]
        ln_energy = math.log(row[g])
        low, high = begin, end
        while low < high:
            middle = (low + high) // 2
            if rings[middle, 0] < ln_energy:
                low = middle + 1
            else:
                high = middle
        begin, end = max(begin, low - _LOOKED_AT // 2), min(end, low + _LOOKED_AT // 2)
        free = ints[models[model, _M_STRUCTURED] + g] == 0
        aimed = dipoles and ints[models[model, _M_DIPOLE] + g] >= 0
        d1, d2, wanted = row[n_rings + g], row[2 * n_rings + g], max(row[3 * n_rings + g], 1.0)
        best = math.inf
        for k in range(begin, end):
            cost = uniform(state) + _COST_ENERGY * abs(rings[k, 0] - ln_energy)
            cost += _COST_HITS * abs(math.log((hit_first[k + 1] - hit_first[k]) / wanted))
            if aimed:
                size = abs(math.hypot(rings[k, 1], rings[k, 2]) - math.hypot(d1, d2))
                cost += _COST_DIPOLE * (size if free else _nearest1(rings[k, 1], rings[k, 2], d1, d2))
            turn = abs(rings[k, 3] - phase)
            turn = min(turn, 1.0 - turn)
            cost += (_COST_PHASE * turn) ** 2
            if cost < best:
                best, chosen[g] = cost, k
        if chosen[g] >= 0:
            total += hit_first[chosen[g] + 1] - hit_first[chosen[g]]
    return total


@kernel
def _nearest1(a1: float, a2: float, b1: float, b2: float) -> float:
    """Distance of two dipoles after the best of four quarter turns."""
    best = math.inf
    for _ in range(4):
        a1, a2 = -a2, a1
        best = min(best, math.hypot(a1 - b1, a2 - b2))
    return best


@kernel
def _hits1(
    seed: int, index: int, position: Any, u: Any, lower: int, slices: Any, models: Any, ints: Any, surfaces: Any,
    barrel: bool, hit_first: Any, hits: Any, dipoles: bool, row: Any, chosen: Any, x: Any, y: Any, z: Any, e: Any,
    layer: Any,
) -> None:  # fmt: skip
    """Fill the hits of one shower; `hits` (n, 4) holds d1, d2, depth and share of all donors' hits."""
    state = stream(seed, index, _FILL)
    model = models[slices[lower, _S_MODEL]]
    rings = model[_M_RINGS]
    first_ring = ints[model[_M_FIRST] : model[_M_FIRST] + model[_M_SECTIONS] + 1]
    section_layer = ints[model[_M_LAYER] : model[_M_LAYER] + model[_M_SECTIONS]]
    single = ints[model[_M_SINGLE] : model[_M_SINGLE] + len(surfaces)]
    energy, given, size = 0.0, 0.0, _CHUNK
    for g in range(rings):
        energy += row[g]
        if chosen[g] >= 0:
            given += row[g]
            size = max(size, hit_first[chosen[g] + 1] - hit_first[chosen[g]])
    # Rings that no donor has give their energy to the others.
    more = energy / given if given > 0.0 else 1.0
    floats = np.empty(9 * size + 5 * rings + WORK, dtype=np.float32)
    r, c, s, own, share, across, rest = (
        floats[:size], floats[size : 2 * size], floats[2 * size : 3 * size], floats[3 * size : 4 * size],
        floats[4 * size : 5 * size], floats[5 * size : 7 * size], floats[7 * size :],
    )  # fmt: skip
    d1, d2, amount, turns, tilts = (
        rest[:rings], rest[rings : 2 * rings], rest[2 * rings : 3 * rings], rest[3 * rings : 5 * rings],
        rest[5 * rings :],
    )  # fmt: skip
    numbers = np.empty(size + 4 * rings + 1 + WORK_INTS, dtype=np.int32)
    kind, ring, first, slot, sorting = (
        numbers[:rings], numbers[rings : 2 * rings], numbers[2 * rings : 3 * rings + 1],
        numbers[3 * rings + 1 : 3 * rings + 1 + size], numbers[3 * rings + 1 + size :],
    )  # fmt: skip
    doubles = np.empty(size + 3 * rings + LANES)
    section, g, low = 0, 0, 0
    while g < rings:
        n, k = 0, 0
        first[0] = 0
        while g < rings:
            if chosen[g] < 0:
                g += 1
                continue
            source = hit_first[chosen[g]]
            number = hit_first[chosen[g] + 1] - source
            if n > 0 and n + number > _CHUNK:
                break
            while g >= first_ring[section + 1]:
                section += 1
            plate = single[section_layer[section]] != 0
            mirror = np.float32(-1.0 if uniform(state) < 0.5 else 1.0)
            for h in range(number):
                a, b = hits[source + h, 0], mirror * hits[source + h, 1]
                radius = np.float32(math.sqrt(a * a + b * b))
                per = np.float32(1.0) / max(radius, np.float32(1e-12))
                r[n + h], c[n + h], s[n + h], own[n + h] = radius, a * per, b * per, hits[source + h, 3]
                if radius == np.float32(0.0):
                    c[n + h] = np.float32(1.0)
                share[n + h], slot[n + h] = hits[source + h, 2], k
            if plate:
                for h in range(number):
                    share[n + h] = np.float32(uniform(state))
            kind[k] = QUARTERS if ints[model[_M_STRUCTURED] + g] != 0 else FREE
            angle = 2.0 * math.pi * uniform(state)
            d1[k], d2[k] = row[rings + g], row[2 * rings + g]
            if not (dipoles and ints[model[_M_DIPOLE] + g] >= 0):
                d1[k], d2[k] = math.cos(angle), math.sin(angle)
                kind[k] += ONLY_TURN
            ring[k], amount[k] = g, more * row[g]
            n, k, g = n + number, k + 1, g + 1
            first[k] = n
        if n == 0:
            break
        place_rings1(
            k, ring, first, slot, amount, d1, d2, kind, r[:n], c[:n], s[:n], own[:n], share, first_ring, section_layer,
            single, surfaces, barrel, position, u, across, tilts, turns, doubles, sorting, x[low : low + n],
            y[low : low + n], z[low : low + n], e[low : low + n], layer[low : low + n],
        )  # fmt: skip
        low += n


@parallel_kernel
def _all_donors(
    seed: Any, index: Any, direction: Any, pitch: Any, lower: Any, upper: Any, weight: Any, slices: Any, models: Any,
    ints: Any, first: Any, rings: Any, hit_first: Any, dipoles: Any, rows: Any, chosen: Any, counts: Any,
) -> None:  # fmt: skip
    for i in prange(len(index)):
        phase = 0.0
        if pitch > 0.0:
            phase = math.atan2(direction[i, 1], direction[i, 0]) / pitch
            phase -= math.floor(phase)
        counts[i] = _choose1(
            seed, index[i], phase, lower[i], upper[i], weight[i], slices, models, ints, first, rings, hit_first,
            dipoles, rows[i], chosen[i],
        )  # fmt: skip


@parallel_kernel
def _all_hits(
    seed: Any, index: Any, position: Any, direction: Any, lower: Any, slices: Any, models: Any, ints: Any,
    surfaces: Any, barrel: Any, hit_first: Any, hits: Any, dipoles: Any, rows: Any, chosen: Any, offsets: Any,
    x: Any, y: Any, z: Any, e: Any, layer: Any,
) -> None:  # fmt: skip
    for i in prange(len(index)):
        low, high = offsets[i], offsets[i + 1]
        _hits1(
            seed, index[i], position[i], direction[i], lower[i], slices, models, ints, surfaces, barrel, hit_first,
            hits, dipoles, rows[i], chosen[i], x[low:high], y[low:high], z[low:high], e[low:high], layer[low:high],
        )  # fmt: skip


def sampler(tune: Tune) -> Callable[[Plan, Particles, int], Showers]:
    """Return what samples from a tune."""
    settings = tune.recipe.mosaic
    program = ring_program(
        tune, smoothing=settings.smoothing, smoothing_hadrons=settings.smoothing_hadrons,
        modulation=settings.modulation,
    )  # fmt: skip
    first, rings, hit_first, hits = _stored(tune, program)
    geometry, barrel = tune.geometry, tune.geometry.frame == "barrel"
    pitch = float(program.knobs[3]) if settings.modulation else 0.0

    def sampled(plan: Plan, particles: Particles, seed: int) -> Showers:
        def count(plan: Plan, particles: Particles) -> tuple[npt.NDArray[np.int64], tuple[npt.NDArray[Any], ...]]:
            rows, counts = draw_features(
                program, plan, particles, seed, copula=settings.copula, numbers=True
            )  # fmt: skip
            chosen = np.empty((len(particles), program.width // 4), dtype=np.int32)
            _all_donors(
                seed, particles.index, particles.direction, pitch, plan.lower, plan.upper, plan.weight, program.slices,
                program.models, program.ints, first, rings, hit_first, settings.dipoles, rows, chosen, counts,
            )  # fmt: skip
            return counts, (rows, chosen)

        def fill(
            plan: Plan, particles: Particles, kept: tuple[npt.NDArray[Any], ...], offsets: npt.NDArray[np.int64],
            arrays: tuple[npt.NDArray[Any], ...],
        ) -> None:  # fmt: skip
            rows, chosen = kept
            _all_hits(
                seed, particles.index, particles.position, particles.direction, plan.lower, program.slices,
                program.models, program.ints, program.surfaces, barrel, hit_first, hits, settings.dipoles, rows,
                chosen, offsets, *arrays,
            )  # fmt: skip

        return Showers(particles, hits_in_blocks(plan, particles, 5 * program.width, count, fill), geometry)

    return sampled


def _stored(tune: Tune, program: RingProgram) -> tuple[npt.NDArray[Any], ...]:
    """Return the donors of all slices: where each slice's rings begin, rings, where their hits begin, and hits."""
    first = np.zeros((len(tune.slices), program.width // 4 + 1), dtype=np.int64)
    rings, hits, counts = Pool(np.float32), Pool(np.float32), Pool(np.int64)
    for number, part in enumerate(tune.slices):
        donors = Donors.from_tables(part.tables[TABLES])
        begin = rings.add(np.stack([donors.ln_energy, donors.d1, donors.d2, donors.phase], axis=1)) // 4
        hits.add(np.stack([donors.hit_d1, donors.hit_d2, donors.hit_depth, donors.hit_share], axis=1))
        counts.add(np.diff(donors.hit_first))
        first[number, : len(donors.first)] = begin + donors.first
        first[number, len(donors.first) :] = begin + donors.first[-1]
    hit_first = np.concatenate([[0], np.cumsum(counts.array()[:-1])]).astype(np.int64)
    return first, rings.array()[:-1].reshape(-1, 4), hit_first, hits.array()[:-1].reshape(-1, 4)
