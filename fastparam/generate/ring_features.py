"""The rings of sampled showers: what the recipes `hybrid` and `mosaic` draw before any hit.

The features of `fit.ring_model` come from the copula (`shapes.empirical_copula`), energies are made to add up, and
every ring with energy gets its number of hits: the number drawn relative to what its energy makes one expect.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastparam._numba import kernel, parallel_kernel, prange
from fastparam.fit.copula import N_KNOTS
from fastparam.fit.ring_hits import N_ENERGIES
from fastparam.generate.ring_program import COPULAS, MODEL, SLICE, RingProgram
from fastparam.random import normal, stream, uniform
from fastparam.shapes.corners import corners1
from fastparam.shapes.empirical_copula import (
    add_waves1,
    fill_features1,
    gaussian_scores1,
    mixed_scores1,
)
from fastparam.shapes.quick_functions import exp1, ln1
from fastparam.shapes.ring_sums import balance1

if TYPE_CHECKING:
    from fastparam.generate.domain import Plan
    from fastparam.particles import Particles

__all__ = ["draw_features"]

_FEATURES = 11

#: Columns of `RingProgram.slices` and `.models`, as numbers that kernels can see.
_POINTS, _MODEL, _LN_E, _ZERO, _QUANTILES = SLICE.POINTS, SLICE.MODEL, SLICE.LN_E, SLICE.ZERO, SLICE.QUANTILES
_FIRST_SCORE, _SCORES, _RANK, _FACTORS, _UNIQUE = SLICE.FIRST, SLICE.SCORES, SLICE.RANK, SLICE.FACTORS, SLICE.UNIQUE
_WAVES, _SCALE, _EXPECTED, _SMOOTHING = SLICE.WAVES, SLICE.SCALE, SLICE.EXPECTED, SLICE.SMOOTHING
_SECTIONS, _RINGS, _K, _DIPOLES = MODEL.SECTIONS, MODEL.RINGS, MODEL.FEATURES, MODEL.DIPOLES
_FIRST_RING, _DIPOLE = MODEL.FIRST, MODEL.DIPOLE

_EMPIRICAL, _GAUSSIAN = COPULAS["empirical"], COPULAS["gaussian"]
_HALF, _ONE, _NONE = np.float32(0.5), np.float32(1.0), np.float32(0.0)
_SEGMENTS = N_ENERGIES - 1


@kernel
def _scores1(
    state: Any, ln_e: float, phi: float, own: int, point: int, slices: Any, ints: Any, reals: Any, scores: Any,
    knobs: Any, kind: int, z: Any,
) -> None:  # fmt: skip
    """Draw the scores of one shower into `z` (k,) from the copula of one slice and energy point."""
    k = len(z)
    if kind == _EMPIRICAL:
        at = slices[own, _FIRST_SCORE] + point
        first, last, begin = ints[at], ints[at + 1], slices[own, _SCORES]
        stored = scores[begin : begin + last * k].reshape((last, k))
        mixed_scores1(state, stored, first, last, knobs[0], reals[slices[own, _SMOOTHING]], z)
    elif kind == _GAUSSIAN:
        rank, begin, unique = slices[own, _RANK], slices[own, _FACTORS], slices[own, _UNIQUE]
        factors = reals[begin : begin + rank * k].reshape((rank, k))
        gaussian_scores1(state, factors, reals[unique : unique + k], z)
    else:
        for j in range(k):
            z[j] = normal(state)
    if slices[own, _WAVES] >= 0 and knobs[3] > 0.0:
        phase = phi / knobs[3]
        begin, scale = slices[own, _WAVES], slices[own, _SCALE]
        add_waves1(
            ln_e - math.log(10_000.0), 2.0 * math.pi * (phase - math.floor(phase)),
            reals[begin : begin + 8 * k].reshape((k, 8)), reals[scale : scale + k], z,
        )  # fmt: skip


@kernel
def rings1(
    seed: int, index: int, energy: float, phi: float, lower: int, upper: int, weight: float, slices: Any, models: Any,
    ints: Any, reals: Any, scores: Any, knobs: Any, kind: int, numbers: bool, row: Any,
) -> int:  # fmt: skip
    """Draw one shower's rings into `row`: energies, both dipoles, numbers of hits (G each); return the sum of hits."""
    state = stream(seed, index, _FEATURES)
    ln_e = math.log(energy)
    corner, w = np.empty((4, 2), dtype=np.int64), np.empty(4)
    n = corners1(ln_e, lower, upper, weight, slices, _LN_E, _POINTS, reals, corner, w)
    model = slices[lower, _MODEL]
    n_sections, n_rings, k = models[model, _SECTIONS], models[model, _RINGS], models[model, _K]
    n_dipoles = models[model, _DIPOLES]
    # One corner lends its dependence between features, each as often as its weight.
    left, chosen = uniform(state), n - 1
    for c in range(n - 1):
        left -= w[c]
        if left < 0.0:
            chosen = c
            break
    work = np.empty(4 * k + n_rings, dtype=np.float32)
    z, gap, value, part, expected = work[:k], work[k : 2 * k], work[2 * k : 3 * k], work[3 * k : 4 * k], work[4 * k :]
    _scores1(
        state, ln_e, phi, corner[chosen, 0], corner[chosen, 1], slices, ints, reals, scores, knobs, kind, z
    )  # fmt: skip
    zero_at, table_at = np.empty(4, dtype=np.int64), np.empty(4, dtype=np.int64)
    for c in range(n):
        zero_at[c] = slices[corner[c, 0], _ZERO] + corner[c, 1] * k
        table_at[c] = slices[corner[c, 0], _QUANTILES] + corner[c, 1] * k * N_KNOTS
    fill_features1(
        z, n, w, zero_at, table_at, reals, reals, knobs[1], knobs[2], N_KNOTS, gap, value, part,
        np.empty(k, dtype=np.int32),
    )  # fmt: skip
    # Energies. A zero is minus its distance from being none.
    signed = 1 + n_sections + n_rings
    for j in range(signed):
        amount = exp1(value[j])
        part[j] = amount if gap[j] > _NONE else gap[j]
    first_ring = ints[models[model, _FIRST_RING] : models[model, _FIRST_RING] + n_sections + 1]
    amounts = row[:n_rings]
    for g in range(n_rings):
        amounts[g] = part[1 + n_sections + g]
    balance1(part[0] * energy, part[1 : 1 + n_sections], amounts, first_ring)
    # Numbers of hits: a power law of the ring's energy, with another slope between the knots of a table.
    ln_amount = gap[:n_rings]
    for g in range(n_rings):
        ln_amount[g] = ln1(amounts[g])
        expected[g] = _NONE
    for c in range(n):
        begin = slices[corner[c, 0], _EXPECTED] + corner[c, 1] * n_rings * (2 * N_ENERGIES)
        share = np.float32(w[c])
        table = reals[begin : begin + n_rings * 2 * N_ENERGIES]
        for g in range(n_rings):
            expected[g] += share * (ln_amount[g] + table[g])
        for m in range(_SEGMENTS):
            at = (1 + m) * n_rings
            low, high, slope = table[at:], table[at + n_rings :], table[at + N_ENERGIES * n_rings :]
            for g in range(n_rings):
                inside = min(max(ln_amount[g], low[g]), high[g]) - low[g]
                expected[g] += share * slope[g] * inside
    if numbers:
        ratio, there = value[k - n_rings :], gap[k - n_rings :]
        for g in range(n_rings):
            relative = exp1(ratio[g])
            relative = relative if there[g] > _NONE else _NONE
            expected[g] = max(exp1(expected[g]), _ONE) * relative + _HALF
    else:
        for g in range(n_rings):
            expected[g] = max(exp1(expected[g]), _ONE) + np.float32(uniform(state))
    d1, d2, count = row[n_rings : 2 * n_rings], row[2 * n_rings : 3 * n_rings], row[3 * n_rings : 4 * n_rings]
    total = 0
    for g in range(n_rings):
        number = max(int(expected[g]), 1) if amounts[g] > _NONE else 0
        count[g] = number
        total += number
    place = models[model, _DIPOLE]
    for g in range(n_rings):
        d1[g] = d2[g] = _NONE
        at = ints[place + g]
        if at >= 0:
            d1[g], d2[g] = value[signed + at], value[signed + n_dipoles + at]
    return total


@parallel_kernel
def _all(
    seed: Any, index: Any, energy: Any, direction: Any, lower: Any, upper: Any, weight: Any, slices: Any, models: Any,
    ints: Any, reals: Any, scores: Any, knobs: Any, kind: Any, numbers: Any, rows: Any, counts: Any,
) -> None:  # fmt: skip
    for i in prange(len(index)):
        phi = math.atan2(direction[i, 1], direction[i, 0])
        counts[i] = rings1(
            seed, index[i], energy[i], phi, lower[i], upper[i], weight[i], slices, models, ints, reals, scores, knobs,
            kind, numbers, rows[i],
        )  # fmt: skip


def draw_features(
    program: RingProgram, plan: Plan, particles: Particles, seed: int, *, copula: str, numbers: bool
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Draw the rings of n showers.

    Parameters
    ----------
    program : RingProgram
    plan, particles, seed
        As samplers get them.
    copula, numbers
        See `tunes.ring_settings.HybridSettings`.

    Returns
    -------
    rows : float32 array (n, 4 G)
        Energies in MeV, dipoles D_1 and D_2, and numbers of hits of the rings; G those of the particle's model.
    counts : int64 array (n,)
        Hits per shower.
    """
    n = len(particles)
    rows, counts = np.empty((n, program.width), dtype=np.float32), np.empty(n, dtype=np.int64)
    _all(
        seed, particles.index, particles.energy, particles.direction, plan.lower, plan.upper, plan.weight,
        program.slices, program.models, program.ints, program.reals, program.scores, program.knobs, COPULAS[copula],
        numbers, rows, counts,
    )  # fmt: skip
    return rows, counts
