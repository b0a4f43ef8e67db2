"""Sampler of the recipe `hybrid`: ring energies and dipoles from a copula, hits drawn into every ring.

For every shower

1. the features of `fit.ring_model` are drawn (`shapes.empirical_copula`), and made to add up;
2. every ring gets its number of hits; the radius, energy and depth of each come from the ring's tables, the azimuth
   from clumps and from the pattern of the merging grid;
3. the ring is turned and tilted to its dipole (`shapes.tilt`) and scaled to its energy;
4. hits are placed in their layers along the particle's line.

Two passes: the first counts hits and keeps four numbers per ring, the second fills arrays of the right size. The buffer
between them, the only memory beside the hits, is 16 bytes per ring and shower: a few per cent of the hits of
lar_accordion, up to a sixth of those of siw.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastparam._numba import kernel, parallel_kernel, prange
from fastparam.fit.copula import N_KNOTS
from fastparam.fit.ring_hits import CLUMP_SPREAD, N_ALPHA, N_DEPTHS, N_ENERGIES
from fastparam.generate.ring_program import COPULAS, MODEL, SLICE, RingProgram, ring_program
from fastparam.hits.hits import Hits
from fastparam.random import exponential, normal, poisson, stream, uniform
from fastparam.shapes.empirical_copula import (
    add_waves1,
    feature1,
    gaussian_scores1,
    mixed_scores1,
    neighbours1,
)
from fastparam.shapes.lines import axes1, path_to1, place1
from fastparam.shapes.normal import normal_cdf1
from fastparam.shapes.quantile_table import KNOTS, quantile1
from fastparam.shapes.ring_sums import balance1
from fastparam.shapes.tilt import MIN_HITS, tilt1, turn1
from fastparam.showers.showers import Showers

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastparam.generate.domain import Plan
    from fastparam.particles import Particles
    from fastparam.tunes.ring_settings import HybridSettings
    from fastparam.tunes.tune import Tune

__all__ = ["draw_features", "sampler"]

Floats = npt.NDArray[np.float64]

_FEATURES, _HITS = 11, 12

#: Columns of `RingProgram.slices` and `.models`, as numbers that kernels can see.
_S_POINTS, _S_MODEL, _S_LN_E, _S_ZERO, _S_QUANTILES = (
    SLICE.POINTS, SLICE.MODEL, SLICE.LN_E, SLICE.ZERO, SLICE.QUANTILES,
)  # fmt: skip
_S_FIRST, _S_SCORES, _S_RANK, _S_FACTORS, _S_UNIQUE = (
    SLICE.FIRST, SLICE.SCORES, SLICE.RANK, SLICE.FACTORS, SLICE.UNIQUE,
)  # fmt: skip
_S_WAVES, _S_SCALE, _S_LN_ENERGY, _S_LN_NUMBER = SLICE.WAVES, SLICE.SCALE, SLICE.LN_ENERGY, SLICE.LN_NUMBER
_S_CLUMPS, _S_R, _S_HIT_E, _S_DEPTH = SLICE.CLUMPS, SLICE.R, SLICE.HIT_E, SLICE.DEPTH
_M_SECTIONS, _M_RINGS, _M_FEATURES, _M_DIPOLES = MODEL.SECTIONS, MODEL.RINGS, MODEL.FEATURES, MODEL.DIPOLES
_M_FIRST, _M_LAYER, _M_DIPOLE, _M_STRUCTURED = MODEL.FIRST, MODEL.LAYER, MODEL.DIPOLE, MODEL.STRUCTURED
_M_ZONE, _M_ZONE_EDGES, _M_ALPHA = MODEL.ZONE, MODEL.ZONE_EDGES, MODEL.ALPHA
_M_FACTOR, _M_FLAT, _M_SINGLE = MODEL.FACTOR, MODEL.FLAT, MODEL.SINGLE

_EMPIRICAL, _GAUSSIAN = COPULAS["empirical"], COPULAS["gaussian"]
_N_QUANTILES, _N_DEPTHS, _N_NUMBERS = len(KNOTS), N_DEPTHS, N_ENERGIES

#: Clumps of a ring beyond which its hits are as good as independent; correlation of the radii of a clump's hits.
_MAX_CLUMPS, _CLUMP_RADIUS = 64, 0.9

#: Hits keep this share of the layer's thickness from its surfaces, so that rounding does not put them outside.
_INSIDE = 1e-6

#: Places in the array of switches.
_COPULA, _NUMBERS, _DIPOLES, _CLUMPS, _SPECTRA, _GRID, _MODULATION = range(7)


@kernel
def _corners1(ln_e: float, lower: int, upper: int, weight: float, slices: Any, reals: Any, corner: Any, w: Any) -> int:
    """Fill slice and energy point (4, 2) and weight (4,) of the corners around a shower; return their number."""
    n = 0
    for side in range(2):
        number, share = (lower, 1.0 - weight) if side == 0 else (upper, weight)
        if share <= 0.0:
            continue
        begin = slices[number, _S_LN_E]
        low, high, above = neighbours1(ln_e, reals[begin : begin + slices[number, _S_POINTS]])
        for end in range(2):
            part = share * ((1.0 - above) if end == 0 else above)
            if part > 0.0:
                corner[n, 0], corner[n, 1], w[n] = number, (low if end == 0 else high), part
                n += 1
    return n


@kernel
def _features1(
    seed: int, index: int, energy: float, phi: float, lower: int, upper: int, weight: float, slices: Any, models: Any,
    ints: Any, reals: Any, scores: Any, knobs: Any, switches: Any, h: float, row: Any,
) -> int:  # fmt: skip
    """Draw one shower's rings into `row`: energies, both dipoles, numbers of hits (G each); return the sum of hits."""
    state = stream(seed, index, _FEATURES)
    ln_e = math.log(energy)
    corner, w = np.empty((4, 2), dtype=np.int64), np.empty(4)
    n = _corners1(ln_e, lower, upper, weight, slices, reals, corner, w)
    model = slices[lower, _S_MODEL]
    n_sections, n_rings, k = models[model, _M_SECTIONS], models[model, _M_RINGS], models[model, _M_FEATURES]
    n_dipoles = models[model, _M_DIPOLES]
    # One corner lends its dependence between features, each as often as its weight.
    left, chosen = uniform(state), n - 1
    for c in range(n - 1):
        left -= w[c]
        if left < 0.0:
            chosen = c
            break
    own, point = corner[chosen, 0], corner[chosen, 1]
    z = np.empty(k)
    if switches[_COPULA] == _EMPIRICAL:
        first = ints[slices[own, _S_FIRST] + point]
        last = ints[slices[own, _S_FIRST] + point + 1]
        begin = slices[own, _S_SCORES]
        stored = scores[begin : begin + last * k].reshape((last, k))
        mixed_scores1(state, stored, first, last, knobs[0], h, z)
    elif switches[_COPULA] == _GAUSSIAN:
        rank, begin = slices[own, _S_RANK], slices[own, _S_FACTORS]
        unique = slices[own, _S_UNIQUE]
        factors = reals[begin : begin + rank * k].reshape((rank, k))
        gaussian_scores1(state, factors, reals[unique : unique + k], z)
    else:
        for j in range(k):
            z[j] = normal(state)
    if switches[_MODULATION] != 0 and slices[own, _S_WAVES] >= 0 and knobs[3] > 0.0:
        phase = phi / knobs[3]
        begin, scale = slices[own, _S_WAVES], slices[own, _S_SCALE]
        add_waves1(
            ln_e - math.log(10_000.0), 2.0 * math.pi * (phase - math.floor(phase)),
            reals[begin : begin + 8 * k].reshape((k, 8)), reals[scale : scale + k], z,
        )  # fmt: skip
    zero_at, table_at = np.empty(4, dtype=np.int64), np.empty(4, dtype=np.int64)
    for c in range(n):
        zero_at[c] = slices[corner[c, 0], _S_ZERO] + corner[c, 1] * k
        table_at[c] = slices[corner[c, 0], _S_QUANTILES] + corner[c, 1] * k * N_KNOTS
    signed = 1 + n_sections + n_rings
    for j in range(k):
        positive = j < signed or j >= signed + 2 * n_dipoles
        z[j] = feature1(
            z[j], n, w, zero_at, table_at, reals, reals, knobs[1], knobs[2], N_KNOTS, positive
        )  # fmt: skip
        for c in range(n):
            zero_at[c] += 1
            table_at[c] += N_KNOTS
    first_ring = ints[models[model, _M_FIRST] : models[model, _M_FIRST] + n_sections + 1]
    balance1(z[0] * energy, z[1 : 1 + n_sections], z[1 + n_sections : signed], first_ring)
    total = 0
    for g in range(n_rings):
        amount = z[1 + n_sections + g]
        row[g] = amount
        row[n_rings + g] = row[2 * n_rings + g] = row[3 * n_rings + g] = 0.0
        if amount <= 0.0:
            continue
        place = ints[models[model, _M_DIPOLE] + g]
        if place >= 0:
            row[n_rings + g] = z[signed + place]
            row[2 * n_rings + g] = z[signed + n_dipoles + place]
        expected, x = 0.0, math.log(amount)
        for c in range(n):
            at = (corner[c, 1] * n_rings + g) * _N_NUMBERS
            expected += w[c] * _interpolate1(
                x, reals, slices[corner[c, 0], _S_LN_ENERGY] + at, slices[corner[c, 0], _S_LN_NUMBER] + at
            )
        expected = max(math.exp(expected), 1.0)
        if switches[_NUMBERS] != 0:
            expected *= z[signed + 2 * n_dipoles + g]
            number = int(expected + 0.5)
        else:
            number = int(expected + uniform(state))
        number = max(number, 1)
        row[3 * n_rings + g] = number
        total += number
    return total


@kernel
def _interpolate1(x: float, reals: Any, at_x: int, at_y: int) -> float:
    """Interpolate linearly in a table of `_N_NUMBERS` knots; slope 1 beyond it."""
    last = _N_NUMBERS - 1
    if x <= reals[at_x]:
        return float(reals[at_y] + x - reals[at_x])
    for k in range(1, last + 1):
        if x <= reals[at_x + k]:
            part = (x - reals[at_x + k - 1]) / (reals[at_x + k] - reals[at_x + k - 1])
            return float(reals[at_y + k - 1] + part * (reals[at_y + k] - reals[at_y + k - 1]))
    return float(reals[at_y + last] + x - reals[at_x + last])


@kernel
def _blend1(n: int, w: Any, corner: Any, slices: Any, column: int, at: int, stride: int, reals: Any, out: Any) -> None:
    """Interpolate a table of a ring between corners; `at` is the ring, `stride` the rings of a point."""
    size = len(out)
    for q in range(size):
        out[q] = 0.0
    for c in range(n):
        begin = slices[corner[c, 0], column] + (corner[c, 1] * stride + at) * size
        for q in range(size):
            out[q] += w[c] * reals[begin + q]


@kernel
def _hits1(
    seed: int, index: int, energy: float, position: Any, u: Any, lower: int, upper: int, weight: float, slices: Any,
    models: Any, ints: Any, reals: Any, surfaces: Any, knobs: Any, switches: Any, row: Any, low: int,
    x: Any, y: Any, z: Any, e: Any, layer: Any,
) -> None:  # fmt: skip
    """Fill the hits of one shower from `low` on. Until a ring is done, x, y, z hold cos, sin of alpha and r."""
    state = stream(seed, index, _HITS)
    corner, w = np.empty((4, 2), dtype=np.int64), np.empty(4)
    n = _corners1(math.log(energy), lower, upper, weight, slices, reals, corner, w)
    model = slices[lower, _S_MODEL]
    n_rings = models[model, _M_RINGS]
    radii, energies, depths = np.empty(_N_QUANTILES), np.empty(_N_QUANTILES), np.empty(_N_DEPTHS)
    share, centre_r, centre_a = np.empty(_MAX_CLUMPS), np.empty(_MAX_CLUMPS), np.empty(_MAX_CLUMPS)
    barrel = knobs[4] > 0.0
    e1, e2 = np.empty(3), np.empty(3)
    axes1(barrel, u, e1, e2)
    edges = models[model, _M_ZONE_EDGES]
    section, inside = 0, 0.0
    path_in, path_out = 0.0, 0.0
    own_layer = -1
    for g in range(n_rings):
        while g >= ints[models[model, _M_FIRST] + section + 1]:
            section += 1
        number = int(row[3 * n_rings + g])
        if number == 0:
            continue
        high = low + number
        if own_layer != ints[models[model, _M_LAYER] + section]:
            own_layer = ints[models[model, _M_LAYER] + section]
            inside = surfaces[own_layer, 1] - surfaces[own_layer, 0]
            path_in = path_to1(barrel, position[0], position[1], position[2], u[0], u[1], u[2], surfaces[own_layer, 0])
            path_out = path_to1(barrel, position[0], position[1], position[2], u[0], u[1], u[2], surfaces[own_layer, 1])
        _blend1(n, w, corner, slices, _S_R, g, n_rings, reals, radii)
        _blend1(n, w, corner, slices, _S_HIT_E, g, n_rings, reals, energies)
        # Clumps: their weights as a growing sum, their places in units of the ring's own distributions.
        rate = 0.0
        for c in range(n):
            rate += w[c] * reals[slices[corner[c, 0], _S_CLUMPS] + corner[c, 1] * n_rings + g]
        clumps = 0
        if switches[_CLUMPS] != 0 and rate > 0.0 and number > 1:
            clumps = max(poisson(state, rate * row[g]), 1)
            if clumps > _MAX_CLUMPS:
                clumps = 0
            total = 0.0
            for m in range(clumps):
                total += exponential(state)
                share[m] = total
                centre_r[m], centre_a[m] = normal(state), uniform(state)
            for m in range(clumps):
                share[m] /= total
        zone_first = ints[models[model, _M_ZONE] + own_layer]
        zone = 0
        clump = 0
        for h in range(low, high):
            if clumps > 0:
                # Hits are independent of each other, so those of a clump may come one after the other.
                while clump < clumps - 1 and (h - low + 0.5) > share[clump] * number:
                    clump += 1
                spread_r, spread_a = normal(state), normal(state)
                a = centre_a[clump] + (CLUMP_SPREAD / (2.0 * math.pi)) * spread_a
                a -= math.floor(a)
                v = _CLUMP_RADIUS * centre_r[clump] + math.sqrt(1.0 - _CLUMP_RADIUS**2) * spread_r
                v = min(normal_cdf1(v), 0.999999)
            else:
                a, v = uniform(state), uniform(state)
            r = quantile1(v, radii)
            factor = 1.0
            if switches[_GRID] != 0:
                zone = 0
                while r >= reals[edges + zone]:
                    zone += 1
                at = zone_first + zone
                b = int(a * N_ALPHA)
                if ints[models[model, _M_FLAT] + at] == 0:
                    table = models[model, _M_ALPHA] + at * (N_ALPHA + 1)
                    while a < reals[table + b]:
                        b -= 1
                    while b < N_ALPHA - 1 and a >= reals[table + b + 1]:
                        b += 1
                    width = max(reals[table + b + 1] - reals[table + b], 1e-9)
                    a = (b + min((a - reals[table + b]) / width, 1.0)) / N_ALPHA
                factor = reals[models[model, _M_FACTOR] + at * N_ALPHA + b]
            alpha = 2.0 * math.pi * a - math.pi
            x[h], y[h], z[h] = math.cos(alpha), math.sin(alpha), r
            e[h] = factor * math.exp(quantile1(uniform(state), energies)) if switches[_SPECTRA] != 0 else 1.0
        if switches[_DIPOLES] != 0 and ints[models[model, _M_DIPOLE] + g] >= 0:
            d1, d2 = row[n_rings + g], row[2 * n_rings + g]
            turn1(x, y, e, low, high, d1, d2, ints[models[model, _M_STRUCTURED] + g] == 0 or switches[_GRID] == 0)
            if number >= MIN_HITS:
                tilt1(x, y, e, low, high, d1, d2)
        single = ints[models[model, _M_SINGLE] + own_layer] != 0
        if not single:
            _blend1(n, w, corner, slices, _S_DEPTH, g, n_rings, reals, depths)
        total = 0.0
        for h in range(low, high):
            total += e[h]
        scale = row[g] / total
        front, back = surfaces[own_layer, 0] + _INSIDE * inside, surfaces[own_layer, 1] - _INSIDE * inside
        for h in range(low, high):
            v = uniform(state)
            if not single:
                place = v * (N_DEPTHS - 1)
                cell = int(place)
                v = depths[cell] + (place - cell) * (depths[cell + 1] - depths[cell])
            x[h], y[h], z[h] = place1(
                barrel, position, u, e1, e2, path_in, path_out, front, back, v, single, z[h] * x[h], z[h] * y[h]
            )  # fmt: skip
            e[h] *= scale
            layer[h] = own_layer
        low = high


@parallel_kernel
def _all_features(
    seed: Any, index: Any, energy: Any, direction: Any, lower: Any, upper: Any, weight: Any, slices: Any, models: Any,
    ints: Any, reals: Any, scores: Any, knobs: Any, switches: Any, h: Any, rows: Any, counts: Any,
) -> None:  # fmt: skip
    for i in prange(len(index)):
        phi = math.atan2(direction[i, 1], direction[i, 0])
        counts[i] = _features1(
            seed, index[i], energy[i], phi, lower[i], upper[i], weight[i], slices, models, ints, reals, scores, knobs,
            switches, h, rows[i],
        )  # fmt: skip


@parallel_kernel
def _all_hits(
    seed: Any, index: Any, energy: Any, position: Any, direction: Any, lower: Any, upper: Any, weight: Any,
    slices: Any, models: Any, ints: Any, reals: Any, surfaces: Any, knobs: Any, switches: Any, rows: Any, offsets: Any,
    x: Any, y: Any, z: Any, e: Any, layer: Any,
) -> None:  # fmt: skip
    for i in prange(len(index)):
        _hits1(
            seed, index[i], energy[i], position[i], direction[i], lower[i], upper[i], weight[i], slices, models, ints,
            reals, surfaces, knobs, switches, rows[i], offsets[i], x, y, z, e, layer,
        )  # fmt: skip


def draw_features(
    program: RingProgram, switches: npt.NDArray[np.int64], h: float, plan: Plan, particles: Particles, seed: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Draw the rings of n showers.

    Returns
    -------
    rows : float32 array (n, 4 G)
        Energies in MeV, dipoles D_1 and D_2, and numbers of hits of the rings; G those of the particle's model.
    counts : int64 array (n,)
        Hits per shower.
    """
    n = len(particles)
    rows, counts = np.empty((n, program.width), dtype=np.float32), np.empty(n, dtype=np.int64)
    _all_features(
        seed, particles.index, particles.energy, particles.direction, plan.lower, plan.upper, plan.weight,
        program.slices, program.models, program.ints, program.reals, program.scores, program.knobs, switches, h, rows,
        counts,
    )  # fmt: skip
    return rows, counts


def sampler(tune: Tune) -> Callable[[Plan, Particles, int], Showers]:
    """Return what samples from a tune."""
    program = ring_program(tune)
    settings = tune.recipe.hybrid
    switches, h = _switches(settings), settings.smoothing
    geometry = tune.geometry

    def sampled(plan: Plan, particles: Particles, seed: int) -> Showers:
        rows, counts = draw_features(program, switches, h, plan, particles, seed)
        offsets = np.zeros(len(particles) + 1, dtype=np.int64)
        np.cumsum(counts, out=offsets[1:])
        x, y, z, e = (np.empty(offsets[-1]) for _ in range(4))
        layer = np.empty(offsets[-1], dtype=np.int32)
        _all_hits(
            seed, particles.index, particles.energy, particles.position, particles.direction, plan.lower, plan.upper,
            plan.weight, program.slices, program.models, program.ints, program.reals, program.surfaces, program.knobs,
            switches, rows, offsets, x, y, z, e, layer,
        )  # fmt: skip
        return Showers(particles, Hits(x, y, z, e, layer, offsets), geometry)

    return sampled


def _switches(settings: HybridSettings) -> npt.NDArray[np.int64]:
    return np.array(
        [
            COPULAS[settings.copula], settings.numbers, settings.dipoles, settings.clumps, settings.spectra,
            settings.grid, settings.modulation,
        ],
        dtype=np.int64,
    )  # fmt: skip
