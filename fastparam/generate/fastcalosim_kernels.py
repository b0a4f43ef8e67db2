"""Kernels of the recipe `fastcalosim`: energies of layers, numbers of hits, and the hits one by one.

Plain loops over arrays that `generate.fastcalosim` makes of the tuned tables; it says what showers are made of.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastparam._numba import kernel, parallel_kernel, prange
from fastparam.fit.fastcalosim import DEPTH_CELLS
from fastparam.fit.lateral import N_ALPHA
from fastparam.random import poisson, stream, uniform
from fastparam.shapes.binned_copula import draw1
from fastparam.shapes.lines import onto1
from fastparam.shapes.quantile_table import first_entry1

__all__ = ["draw_energies", "draw_numbers", "place_hits"]

#: Purposes of random streams, beside those of `shapes.binned_copula`.
_NUMBERS, _PLACES = 2, 3

#: More hits than this are not made in a layer, and more of them do not continue.
_MOST_HITS, _MOST_TRACKS = 200_000, 4096

#: Mean depths inside a layer that are reached by tilting.
_SHALLOWEST, _DEEPEST, _STEEPEST = 0.01, 0.99, 200.0


@parallel_kernel
def draw_energies(
    seed: Any, index: Any, energy: Any, slot: Any, member: Any, weight: Any, probability: Any, first: Any,
    threshold: Any, factor: Any, score: Any, score_max: Any, zero: Any, shape: Any, shape_max: Any, slice_weight: Any,
    location: Any, ln_scale: Any, kind: Any, n_layers: Any, passing: Any, out: Any, bin_: Any,
) -> None:  # fmt: skip
    """Draw the quantities of every shower, `out` (n, m), and its bin, `bin_` (n,); see `shapes.binned_copula.draw1`.

    Quantities are the visible over the kinetic energy, the layers' shares of it, and mean depths in thick layers.
    """
    for i in prange(len(index)):
        work = np.empty((2, len(kind)))
        bin_[i] = draw1(
            seed, index[i], energy[i], slot[i], member[i], weight[i], probability, first, threshold, factor, score,
            score_max, zero, shape, shape_max, slice_weight[i], location[i], ln_scale[i], kind, n_layers, passing, work,
            out[i],
        )  # fmt: skip


@kernel
def _extra_hits(n_eff: float) -> float:
    """Mean l of a Poisson number N for which 1/(1 + N) has the mean 1/n_eff: l/(1 - exp(-l)) = n_eff."""
    if n_eff <= 1.0:
        return 0.0
    extra = n_eff
    if n_eff > 40.0:
        return extra
    for _ in range(30):  # Newton, from above on a convex function
        at = math.exp(-extra)
        step = (extra - n_eff * (1.0 - at)) / (1.0 - n_eff * at)
        extra -= step
        if abs(step) < 1e-9 * extra:
            break
    return max(extra, 0.0)


@parallel_kernel
def draw_numbers(seed: Any, index: Any, layer_energy: Any, ln_n: Any, spread: Any, counts: Any) -> None:
    """Draw how many hits every layer of every shower has, `counts` (n, L): none without energy, else 1 + Poisson.

    layer_energy (n, L) is in MeV; ln_n (n, L, 2) holds offset and slope of ln n_eff in ln(layer energy), spread (n,) a
    factor on n_eff.
    """
    for i in prange(len(index)):
        state = stream(seed, index[i], _NUMBERS)
        for layer in range(layer_energy.shape[1]):
            if layer_energy[i, layer] <= 0.0:
                continue
            ln_eff = ln_n[i, layer, 0] + ln_n[i, layer, 1] * math.log(layer_energy[i, layer])
            n_eff = max(math.exp(min(ln_eff, 12.0)), 1.0) * spread[i]
            counts[i, layer] = min(1 + poisson(state, _extra_hits(n_eff)), _MOST_HITS)


@kernel
def _tilt(density: Any, mean: float, table: Any) -> None:
    """Cumulative of density times exp(beta x) over cells of x in [0, 1], beta such that the mean of x is `mean`."""
    cells = len(density)
    beta = 0.0
    for _ in range(50):
        s0, s1, s2 = 0.0, 0.0, 0.0
        for c in range(cells):
            x = (c + 0.5) / cells
            w = density[c] * math.exp(beta * (x - mean))
            s0 += w
            s1 += w * (x - mean)
            s2 += w * (x - mean) * (x - mean)
        offset = s1 / s0
        variance = max(s2 / s0 - offset * offset, 1e-6)
        step = min(max(-offset / variance, -8.0), 8.0)
        beta = min(max(beta + step, -_STEEPEST), _STEEPEST)
        if abs(offset) < 1e-5:
            break
    total = 0.0
    for c in range(cells):
        total += density[c] * math.exp(beta * ((c + 0.5) / cells - mean))
        table[c] = total
    for c in range(cells):
        table[c] /= total


@kernel
def _fill(state: Any, out: Any) -> None:
    """Where a hit lies: numbers for its radial bin, the place inside, its azimuth and its weight."""
    for k in range(len(out)):
        out[k] = uniform(state)


@parallel_kernel
def place_hits(
    seed: Any, index: Any, offsets: Any, counts: Any, layer_energy: Any, member: Any, weight: Any, bin_: Any,
    cumulative: Any, edges: Any, zone: Any, alpha: Any, weights: Any, weight_edges: Any, continuing: Any,
    thick: Any, base: Any, depth: Any, active: Any, origin: Any, u: Any, e1: Any, e2: Any, barrel: Any,
    layer_from: Any, layer_to: Any, x: Any, y: Any, z: Any, e: Any, layer: Any,
) -> None:  # fmt: skip
    """Place all hits, in mm of the global frame, with their energies in MeV; those of shower i begin at offsets[i].

    active (n, 2, L) is where each line enters and leaves the layers' active media in mm; thick (L,) numbers the layers
    whose depth fluctuates (-1: none), base their depth densities and depth (n, thick layers) the depths drawn;
    continuing (n, 4) as in `fit.tracks`.
    """
    n_weights, n_knots = weights.shape[1], weights.shape[2]
    for i in prange(len(index)):
        state = stream(seed, index[i], _PLACES)
        table = np.empty(DEPTH_CELLS)
        h = offsets[i]
        n_tracks = min(counts[i].max(), _MOST_TRACKS) if continuing[i, 0] > 0.0 else 0
        track, last, place = np.empty((n_tracks, 4)), np.full(n_tracks, -1), np.empty(4)
        for m in range(counts.shape[1]):
            n = counts[i, m]
            if n == 0:
                continue
            if thick[m] >= 0:
                mean = min(max(depth[i, thick[m]], _SHALLOWEST), _DEEPEST)
                _tilt(base[i, thick[m]], mean, table)
            first, held, cell = h, 0.0, 0
            for k in range(n):
                # Which table: mixing densities hit by hit is the linear interpolation of the mean shape.
                v = uniform(state)
                which = 0
                while which < 3 and (v >= weight[i, which] or weight[i, which] <= 0.0):
                    v -= weight[i, which]
                    which += 1
                if weight[i, which] <= 0.0:  # a rounding error beyond the last table that counts
                    which = 0
                    while weight[i, which] <= 0.0:
                        which += 1
                s = which // 2
                _fill(state, place)
                if k < n_tracks and uniform(state) < continuing[i, 0]:
                    if last[k] < 0 or uniform(state) >= continuing[i, 2] ** (m - last[k]):
                        track[k] = place
                    else:
                        if uniform(state) >= continuing[i, 3] ** (m - last[k]):
                            track[k, :2] = place[:2]
                        place[2:] = track[k, 2:]
                        if uniform(state) < continuing[i, 1]:
                            place[:2] = track[k, :2]
                    last[k] = m
                ring = first_entry1(cumulative[member[i, which], bin_[i], m], place[0])
                inner, outer = edges[s, ring], edges[s, ring + 1]
                r = math.sqrt(inner * inner + place[1] * (outer * outer - inner * inner))
                angles = alpha[s, zone[s, m, ring]]
                v = place[2]
                a = first_entry1(angles[1:], v)
                width = angles[a + 1] - angles[a]
                part = (v - angles[a]) / width if width > 0.0 else 0.5
                azimuth = 2.0 * math.pi * (a + part) / N_ALPHA - math.pi
                d1, d2 = r * math.cos(azimuth), r * math.sin(azimuth)
                if thick[m] >= 0:
                    v = (k + uniform(state)) / n
                    while cell < DEPTH_CELLS - 1 and table[cell] < v:
                        cell += 1
                    below = table[cell - 1] if cell > 0 else 0.0
                    inside = (cell + (v - below) / max(table[cell] - below, 1e-300)) / DEPTH_CELLS
                else:
                    inside = uniform(state)
                inside = min(max(inside, 0.0), 1.0)
                path = active[i, 0, m] + inside * (active[i, 1, m] - active[i, 0, m])
                px = origin[i, 0] + path * u[i, 0] + d1 * e1[i, 0] + d2 * e2[i, 0]
                py = origin[i, 1] + path * u[i, 1] + d1 * e1[i, 1] + d2 * e2[i, 1]
                pz = origin[i, 2] + path * u[i, 2] + d1 * e1[i, 2] + d2 * e2[i, 2]
                c = math.sqrt(px * px + py * py) if barrel else pz
                if not layer_from[m] <= c <= layer_to[m]:
                    target = layer_from[m] + inside * (layer_to[m] - layer_from[m])
                    px, py, pz, _ = onto1(barrel, px, py, pz, u[i], origin[i], path, target)
                share = 1.0
                if n_knots > 2:
                    w = 0
                    while w < n_weights - 1 and r >= weight_edges[s, w + 1]:
                        w += 1
                    share = math.exp(weights[s, w, min(int(place[3] * n_knots), n_knots - 1)])
                x[h], y[h], z[h], e[h], layer[h] = px, py, pz, share, m
                held += share
                h += 1
            for k in range(first, h):
                e[k] *= layer_energy[i, m] / held
