"""Gaussian copula in bins of showers: how the quantities of a shower are drawn together.

A shower lies in bin b with the probability pi_b(E). There, with z ~ N(0, C_b(E)),

    g_i = h_bi(z_i; E)                    score of quantity i among all showers of this energy
    x_i = 0                               if Phi(g_i) <= p0_i(E)
    x_i = f_i^-1(location_i(E) + scale_i(E) q_i(z'; E)),   Phi(z') = (Phi(g_i) - p0_i)/(1 - p0_i)      else

f is the logarithm (`kind` 0), the logit (1) or nothing (2).

All tables hold energy points; a shower between two points, or between two slices in eta, has up to four *members*
(rows of the tables) with weights w that add up to 1. Tables are interpolated at fixed score. Correlations are, too:
with independent normal vectors n_k, z = sum_k sqrt(w_k) L_k n_k has the correlation matrix sum_k w_k L_k L_k^T exactly.

Quantities are numbered: 0 the total (`kind` 2), 1 to L the layers' shares of it (0), then depths inside thick layers
(1). Shares are scaled to add up to 1, so that the layers add up to the total.

Bins may be *starts*: ranges of the layer in which a shower starts, the first with more than a threshold in it and in
each of the next two (-1: none). Then z is drawn again until the shower does start in its bin.

Bin 0 may hold the showers of hadrons that pass. Their energy does not scale with E, and a fit of the total that is
wrong by its error would lift them to energies that none of them has; so it is a quantity of its own, the last, in MeV,
which takes the place of the total in this bin.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastparam._numba import kernel
from fastparam.random import normal, stream, uniform
from fastparam.shapes.normal import normal_cdf1, normal_ppf1

__all__ = ["draw1", "lookup1", "start1"]

#: Purposes of random streams: the bin, and the normal numbers of slot 0.
_BIN, _NORMALS = 1, 16

#: How often a shower is drawn that does not start in its bin.
_TRIES = 60

#: Smallest total: a shower that is not empty holds some energy.
_FLOOR = 1e-7


@kernel
def lookup1(table: Any, z: float, z_max: float) -> Any:
    """Value of a table in equal steps from -z_max to z_max at score z, linear; constant beyond."""
    last = len(table) - 1
    x = (z + z_max) / (2.0 * z_max) * last
    if x <= 0.0:
        return table[0]
    if x >= last:
        return table[last]
    k = int(x)
    return table[k] + (x - k) * (table[k + 1] - table[k])


@kernel
def start1(out: Any, n_layers: int, scale: float, threshold: Any) -> int:
    """First layer with more than its threshold in it and in each of the next two; -1 for none.

    Layers hold ``out[1:n_layers + 1]`` times `scale` MeV.
    """
    run = 0
    for i in range(n_layers):
        run = run + 1 if out[i + 1] * scale > threshold[i] else 0
        if run == 3:
            return i - 2
    return -1


@kernel
def draw1(
    seed: Any, index: Any, energy: float, slot: Any, member: Any, weight: Any, probability: Any, first: Any,
    threshold: Any, factor: Any, score: Any, score_max: float, zero: Any, shape: Any, shape_max: float,
    slice_weight: Any, location: Any, ln_scale: Any, kind: Any, n_layers: int, passing: int, work: Any, out: Any,
) -> Any:  # fmt: skip
    """Draw the quantities of one shower and return its bin.

    Parameters
    ----------
    seed, index : int
        Of the shower's random streams.
    energy : float
        Kinetic, MeV.
    slot : int64 array (4,)
        0 to 3, one for each member: names the stream of its normal numbers. An energy point keeps its slot on either
        side of it, so that a shower of given seed and index moves continuously with its energy.
    member, weight : int64 and float64 arrays (4,)
        Rows of the tables (energy points; two per slice, those of slice s at 2 s and 2 s + 1) and their weights.
    probability : float64 array (P, B)
        Of the bins.
    first : int64 array (B + 1,)
        First start of each bin, and the number of layers; empty if bins are no starts.
    threshold : float64 array (L,)
        In MeV; see `start1`.
    factor : float64 array (P, B, m, m)
        Cholesky factors of the correlation matrices.
    score : float64 array (P, B, m, K)
        h at scores in equal steps up to `score_max`.
    zero : float64 array (P, m)
    shape : float64 array (P, m, K')
        q at scores in equal steps up to `shape_max`.
    slice_weight : float64 array (2,)
    location, ln_scale : float64 arrays (2, m)
        Of the two slices at the shower's energy.
    kind : int64 array (m,)
    n_layers : int
    passing : int
        Number of the quantity that is the visible energy of showers in bin 0 in MeV; -1 for none.
    work : float64 array (2, m)
        Space.
    out : float64 array (m,)
        Total as a fraction of the shower's energy, shares of the layers, depths inside layers, energy if passing.
    """
    n_bins = factor.shape[1]
    left = uniform(stream(seed, index, _BIN))
    b = 0
    while b < n_bins:
        p = 0.0
        for k in range(4):
            if weight[k] > 0.0:
                p += weight[k] * probability[member[k], b]
        if p > 0.0 and left < p:
            break
        left -= p
        b += 1
    if b == n_bins:  # probabilities add up to 1 but for rounding
        b = n_bins - 1
        while b > 0 and probability[member[0], b] <= 0.0:
            b -= 1
    states = np.empty((4, 2), dtype=np.uint64)
    for k in range(4):
        if weight[k] > 0.0:
            states[k] = stream(seed, index, _NORMALS + slot[k])
    for _ in range(_TRIES):
        _draw_in_bin(
            states, b, member, weight, factor, score, score_max, zero, shape, shape_max, slice_weight, location,
            ln_scale, kind, n_layers, passing, energy, work, out,
        )  # fmt: skip
        if len(first) == 0:
            break
        start = start1(out, n_layers, out[0] * energy, threshold)
        if first[b] <= start < first[b + 1]:
            break
    return b


@kernel
def _draw_in_bin(
    states: Any, b: int, member: Any, weight: Any, factor: Any, score: Any, score_max: float, zero: Any, shape: Any,
    shape_max: float, slice_weight: Any, location: Any, ln_scale: Any, kind: Any, n_layers: int, passing: int,
    energy: float, work: Any, out: Any,
) -> None:  # fmt: skip
    m = len(kind)
    for i in range(m):
        work[0, i] = 0.0
    for k in range(4):
        if weight[k] <= 0.0:
            continue
        root = math.sqrt(weight[k])
        for i in range(m):
            work[1, i] = normal(states[k])
        for i in range(m):
            total = 0.0
            for j in range(i + 1):
                total += factor[member[k], b, i, j] * work[1, j]
            work[0, i] += root * total
    best, margin = 1, -math.inf
    shares = 0.0
    for i in range(m):
        g, p0 = 0.0, 0.0
        for k in range(4):
            if weight[k] > 0.0:
                g += weight[k] * lookup1(score[member[k], b, i], work[0, i], score_max)
                p0 += weight[k] * zero[member[k], i]
        out[i] = 0.0
        u = normal_cdf1(g)
        above = u - p0
        if above <= 0.0 or p0 >= 1.0:
            if 1 <= i <= n_layers and p0 < 1.0 and above > margin:
                best, margin = i, above
            continue
        # The complement keeps the digits of the upper tail.
        z = -normal_ppf1(normal_cdf1(-g) / (1.0 - p0)) if p0 < 1.0 else 0.0
        value, seen = 0.0, 0.0
        for s in range(2):
            first = 2 * s
            of_slice = weight[first] + weight[first + 1]
            if of_slice <= 0.0:
                continue
            q, there = 0.0, 0.0
            for k in range(first, first + 2):
                if weight[k] > 0.0:
                    q += weight[k] / of_slice * lookup1(shape[member[k], i], z, shape_max)
                    there += weight[k] / of_slice * (1.0 - zero[member[k], i])
            # A slice in which a layer is never hit has no say in how much energy it holds.
            share = slice_weight[s] if there > 0.0 else 0.0
            value += share * (location[s, i] + math.exp(ln_scale[s, i]) * q)
            seen += share
        value /= max(seen, 1e-300)
        if kind[i] == 0:
            out[i] = math.exp(min(value, 50.0))
        elif kind[i] == 1:
            out[i] = 1.0 / (1.0 + math.exp(-value))
        else:
            out[i] = max(value, _FLOOR)
        if 1 <= i <= n_layers:
            shares += out[i]
    if passing >= 0 and b == 0:
        out[0] = out[passing] / energy
    if out[0] > 0.0 and shares <= 0.0:
        out[best] = 1.0  # a shower with energy has it somewhere: in the layer that was closest to being hit
        shares = 1.0
    for i in range(1, n_layers + 1):
        out[i] = out[i] / shares if shares > 0.0 and out[0] > 0.0 else 0.0
