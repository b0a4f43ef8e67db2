"""Kernels of the recipe `gflash`: shapes of showers, their depth profiles, and their spots one by one.

Plain loops over arrays that `generate.gflash` makes of the tuned laws; it says what showers are made of. Shapes there:
n showers, L layers, segments of the depth profile in front of whose end a share of the energy lies.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastparam._numba import kernel, parallel_kernel, prange
from fastparam.fit import radial, shape_marginals, spot_groups
from fastparam.random import normal, poisson, stream, uniform
from fastparam.shapes.incomplete_gamma import gamma_p1
from fastparam.shapes.lines import layer_of1, onto1
from fastparam.shapes.quantile_table import first_entry1
from fastparam.shapes.radial import radial_cdf1, radial_ppf1

__all__ = ["MIN_LN_ALPHA", "count_spots", "draw_latents", "draw_shapes", "place_spots"]

#: Purposes of random streams.
_VISIBLE, _SHAPE, _SPOTS, _GROUPS = 1, 2, 3, 4

#: Least ln alpha of a shower; (ln T, ln alpha) is drawn again below.
MIN_LN_ALPHA = 0.02

_Z_LAST, _Z_STEP = shape_marginals.Z_LAST, shape_marginals.Z_STEP
_MIN_TAU, _MAX_TAU = spot_groups.MIN_TAU, float(radial.TAU_EDGES[-1])

#: How often radius and azimuth of a spot are drawn until it lies in a layer of its medium.
_TRIES = 100


@parallel_kernel
def draw_latents(seed: Any, index: Any, z: Any, u: Any) -> None:
    """Draw a normal number z and a uniform one u per shower, shape (n,)."""
    for i in prange(len(index)):
        state = stream(seed, index[i], _VISIBLE)
        z[i] = normal(state)
        u[i] = uniform(state)


@kernel
def _table(h: Any, z: float) -> float:
    """Value at z of a function tabulated as in `fit.marginals`; z itself where there is no table."""
    if len(h) == 0:
        return z
    u = (z + _Z_LAST) / _Z_STEP
    k = min(max(math.floor(u), 0), len(h) - 2)
    return float(h[k] + (u - k) * (h[k + 1] - h[k]))


@parallel_kernel
def draw_shapes(
    seed: Any, index: Any, law: Any, h: Any, depth: Any, mean_spots: Any, shape: Any, n_spots: Any,
) -> None:  # fmt: skip
    """Draw shapes and numbers of spots.

    `law` (n, 10): mean ln T, mean ln alpha, sigma of both, correlation, mean path, pair, change of both means with the
    path, factor of the correlation. A path ends within `depth`, since showers that show nothing are drawn by the
    response already. `shape` (n, 4) is filled as in `_Drawn`.
    """
    for i in prange(len(index)):
        state = stream(seed, index[i], _SHAPE)
        start = 0.0
        if law[i, 5] > 0.0:
            start = -law[i, 5] * math.log(1.0 - uniform(state) * -math.expm1(-depth / law[i, 5]))
        r = min(max(law[i, 4] * law[i, 9], -1.0), 1.0)
        a, b = math.sqrt(0.5 * (1.0 + r)), math.sqrt(0.5 * (1.0 - r))
        beyond = start - law[i, 5]
        mean_t, mean_alpha = law[i, 0] + law[i, 7] * beyond, law[i, 1] + law[i, 8] * beyond
        ln_t, ln_alpha = 0.0, 0.0
        for _ in range(1000):
            z1, z2 = normal(state), normal(state)
            ln_t = mean_t + law[i, 2] * _table(h[i, 0], a * z1 + b * z2)
            ln_alpha = mean_alpha + law[i, 3] * _table(h[i, 1], a * z1 - b * z2)
            if ln_alpha > MIN_LN_ALPHA:
                break
        shape[i, 0], shape[i, 1], shape[i, 2], shape[i, 3] = start, law[i, 6], ln_t, ln_alpha
        n_spots[i] = max(poisson(state, mean_spots[i]), 1)


@kernel
def _gamma(
    t: Any, start: float, pair: float, maximum: float, alpha: float, factor: Any, medium: Any, seg_layer: Any,
    seg_f0: Any, seg_f1: Any, table: Any,
) -> float:  # fmt: skip
    """Fill `table` with the energy of a gamma profile in each segment, as media show it; return the sum."""
    beta = (alpha - 1.0) / maximum
    total, edge, at_edge = 0.0, -1.0, 0.0
    for k in range(len(seg_layer)):
        m = seg_layer[k]
        a = max(t[0, m] + seg_f0[k] * (t[1, m] - t[0, m]) - start, 0.0)
        b = max(t[0, m] + seg_f1[k] * (t[1, m] - t[0, m]) - start, 0.0)
        if a != edge:
            at_edge = gamma_p1(alpha, beta * a)
        upper = gamma_p1(alpha, beta * b)
        table[k] = max(upper - at_edge, 0.0)
        if pair > 0.0:
            table[k] += pair * (math.exp(-a) - math.exp(-b))
        table[k] *= factor[medium[m]]
        total += table[k]
        edge, at_edge = b, upper
    return total


@kernel
def _profile(
    t: Any, shape: Any, factor: Any, layer_factor: Any, shift: Any, reference: Any, warp: Any,
    main: Any, medium: Any, seg_layer: Any, seg_f0: Any, seg_f1: Any, table: Any,
) -> None:  # fmt: skip
    """Fill `table` with the energy of a shower in front of the end of each segment; t (2, L) are depths in X0."""
    n_segments, shifts = len(seg_layer), len(shift) > 0
    maximum, alpha = math.exp(shape[2]), math.exp(shape[3])
    own = _gamma(t, shape[0], shape[1], maximum, alpha, factor, medium, seg_layer, seg_f0, seg_f1, table)
    added = np.empty(n_segments if shifts else 0)
    if shifts:
        maximum, alpha = math.exp(reference[0]), math.exp(reference[1])
        of_added = _gamma(t, 0.0, 0.0, maximum, alpha, factor, medium, seg_layer, seg_f0, seg_f1, added)
        for k in range(n_segments):
            added[k] *= shift[seg_layer[k]] * own / max(of_added, 1e-300)
    of_main = 0.0
    for k in range(n_segments):
        if medium[seg_layer[k]] == main:
            of_main += table[k]
    # The warp moves energy within the main medium, on the scale of its own cumulative profile.
    total, before, bent = 0.0, 0.0, 0.0
    for k in range(n_segments):
        m = seg_layer[k]
        energy = table[k]
        if medium[m] == main and of_main > 0.0:
            before += energy / of_main
            after = before
            for j in range(len(warp)):
                after += warp[j] * math.sin((j + 1) * math.pi * before)
            energy = max(after - bent, 0.0) * of_main
            bent = max(after, bent)
        if shifts:
            energy = max(energy + added[k], 0.0)
        total += energy * layer_factor[m]
        table[k] = total


@kernel
def _draw_groups(state: Any, table: Any, tau: Any, split: Any, segment: Any, number: Any) -> int:
    """Draw the segment of every group and its number of spots; return their sum.

    The mean is rounded up or down so that the mean of 1 / number is right: that is what fluctuations are made of.
    """
    total = 0
    for j in range(len(segment)):
        k = first_entry1(table, uniform(state) * table[-1])
        age = min(max(tau[k], _MIN_TAU), _MAX_TAU)
        mean = max(math.exp(split[0] + split[1] * math.log(age) + split[2] * age), 1.0)
        below = math.floor(mean)
        segment[j], number[j] = k, below + (1 if uniform(state) > below * ((below + 1.0) / mean - 1.0) else 0)
        total += number[j]
    return total


@kernel
def _ages(t: Any, maximum: float, seg_layer: Any, seg_f0: Any, seg_f1: Any, tau: Any) -> None:
    for k in range(len(seg_layer)):
        m = seg_layer[k]
        tau[k] = (t[0, m] + 0.5 * (seg_f0[k] + seg_f1[k]) * (t[1, m] - t[0, m])) / maximum


@kernel
def _draw_weights(state: Any, spread: float, number: Any, weight: Any) -> float:
    """Fill `weight` with the energies of all spots, group after group; return their sum."""
    h, total = 0, 0.0
    for j in range(len(number)):
        for _ in range(number[j]):
            weight[h] = math.exp(spread * normal(state) - 0.5 * spread * spread) / number[j]
            total += weight[h]
            h += 1
    return total


@parallel_kernel
def count_spots(
    seed: Any, index: Any, groups: Any, shape: Any, factor: Any, layer_factor: Any, shift: Any, reference: Any,
    warp: Any, split: Any, main: Any, medium: Any, seg_layer: Any, seg_f0: Any, seg_f1: Any, t: Any, n_spots: Any,
) -> None:  # fmt: skip
    """Count the spots of all groups of every shower."""
    for i in prange(len(index)):
        table, tau = np.empty(len(seg_layer)), np.empty(len(seg_layer))
        maximum = shape[i, 0] + math.exp(shape[i, 2])
        _profile(
            t[i], shape[i], factor[i], layer_factor[i], shift[i], reference[i], warp[i],
            main, medium, seg_layer, seg_f0, seg_f1, table,
        )  # fmt: skip
        _ages(t[i], maximum, seg_layer, seg_f0, seg_f1, tau)
        segment, number = np.empty(groups[i], dtype=np.int64), np.empty(groups[i], dtype=np.int64)
        n_spots[i] = _draw_groups(stream(seed, index[i], _GROUPS), table, tau, split[i], segment, number)


@kernel
def _warped_shares(s: Any, tau: float, tau_nodes: Any, u_node: Any, u_weight: Any, edges: Any, out: Any) -> None:
    """Fill `out` with the energy in front of the end of every bin of u at age tau; s (n_tau, n_u) are the nodes."""
    n = 0
    while n < len(tau_nodes) - 2 and tau >= tau_nodes[n + 1]:
        n += 1
    x = min(max((tau - tau_nodes[n]) / (tau_nodes[n + 1] - tau_nodes[n]), 0.0), 1.0)
    total = 0.0
    for b in range(len(out)):
        j, w = u_node[b], u_weight[b]
        early, late = (1.0 - w) * s[n, j] + w * s[n, j + 1], (1.0 - w) * s[n + 1, j] + w * s[n + 1, j + 1]
        value = (1.0 - x) * early + x * late
        total += (edges[b + 1] - edges[b]) * math.exp(value)
        out[b] = total
    for b in range(len(out)):
        out[b] /= total


@kernel
def _warped_radius(v: float, shares: Any, edges: Any, core: float, tail: float, p: float, r_max: float) -> float:
    """Radius that holds the share v of the warped profile; `shares` as `_warped_shares` fills them."""
    b = first_entry1(shares, v)
    below = shares[b - 1] if b > 0 else 0.0
    inner = min((v - below) / max(shares[b] - below, 1e-300), 1.0)
    u = edges[b] + inner * (edges[b + 1] - edges[b])
    return radial_ppf1(u * radial_cdf1(r_max, p, core, tail), p, core, tail)


@parallel_kernel
def place_spots(
    seed: Any, index: Any, offsets: Any, first: Any, visible: Any, shape: Any, groups: Any, factor: Any,
    layer_factor: Any, shift: Any, reference: Any, warp: Any, split: Any, radial_warp: Any,
    tau_nodes: Any, u_node: Any, u_weight: Any,
    u_edges: Any, main: Any, medium: Any,
    seg_layer: Any, seg_f0: Any, seg_f1: Any, whole: Any, t: Any, period: Any, active: Any, widths: Any, moliere: Any,
    r_max: Any, origin: Any, u: Any, e1: Any, e2: Any, barrel: Any, thin: Any, entrance: Any, mirrored: Any,
    layer_from: Any, layer_to: Any, period_from: Any, period_to: Any,
    x: Any, y: Any, z: Any, e: Any, layer: Any,
) -> None:  # fmt: skip
    """Place all spots.

    t, period and active (n, 2, L) are where each line enters and leaves the layers' periods, in X0 and in mm, and their
    active media, in mm; widths (n, 3, n_segments) holds R_C and R_T in Moliere radii and the core weight.
    """
    n_segments, n_bins = len(seg_layer), len(u_edges) - 1
    splits, bends = split.shape[1] > 0, radial_warp.shape[1] > 0
    for i in prange(len(index)):
        low, high = offsets[first + i], offsets[first + i + 1]
        if high == low:
            continue
        table, tau = np.empty(n_segments), np.empty(n_segments)
        maximum = shape[i, 0] + math.exp(shape[i, 2])
        _profile(
            t[i], shape[i], factor[i], layer_factor[i], shift[i], reference[i], warp[i],
            main, medium, seg_layer, seg_f0, seg_f1, table,
        )  # fmt: skip
        if splits or bends:
            _ages(t[i], maximum, seg_layer, seg_f0, seg_f1, tau)
        segment, number = np.empty(groups[i] if splits else 0, np.int64), np.empty(groups[i] if splits else 0, np.int64)
        unequal = splits and split[i, 3] > 0.0
        weight, all_weights = np.empty(high - low if unequal else 0), 1.0
        if splits:
            drawing = stream(seed, index[i], _GROUPS)
            _draw_groups(drawing, table, tau, split[i], segment, number)
            if unequal:
                all_weights = _draw_weights(drawing, split[i, 3], number, weight)
        # Radial profiles are tabulated where a spot needs them.
        shares = np.empty((n_segments if bends else 0, n_bins))
        tabulated = np.zeros(n_segments if bends else 0, dtype=np.bool_)
        state = stream(seed, index[i], _SPOTS)
        share = visible[i] / groups[i]
        group, left_in_group = -1, 0
        for h in range(low, high):
            if splits:
                if left_in_group == 0:
                    group += 1
                    left_in_group = number[group]
                    share = visible[i] / (groups[i] * number[group])
                left_in_group -= 1
                if unequal:
                    share = visible[i] * weight[h - low] / all_weights
                k = segment[group]
                inner = uniform(state)
            else:
                wanted = uniform(state) * table[-1]
                k = first_entry1(table, wanted)
                below = table[k - 1] if k > 0 else 0.0
                inner = (wanted - below) / max(table[k] - below, 1e-300)
            m = seg_layer[k]
            if whole[m]:
                s = active[i, 0, m] + inner * (active[i, 1, m] - active[i, 0, m])
            else:
                s = period[i, 0, m] + (seg_f0[k] + inner * (seg_f1[k] - seg_f0[k])) * (
                    period[i, 1, m] - period[i, 0, m]
                )

            core, tail, p = widths[i, 0, k], widths[i, 1, k], widths[i, 2, k]
            if bends and not tabulated[k]:
                _warped_shares(radial_warp[i], tau[k], tau_nodes, u_node, u_weight, u_edges, shares[k])
                tabulated[k] = True
            own, px, py, pz, c = m, 0.0, 0.0, 0.0, 0.0
            for _ in range(_TRIES):
                v = uniform(state)
                if bends:
                    r = moliere * _warped_radius(v, shares[k], u_edges, core, tail, p, r_max / moliere)
                else:
                    radius = moliere * (core if v < p else tail)
                    v = v / p if v < p else (v - p) / (1.0 - p)
                    v *= r_max * r_max / (r_max * r_max + radius * radius)
                    r = radius * math.sqrt(v / (1.0 - v))
                azimuth = 2.0 * math.pi * uniform(state)
                d1, d2 = r * math.cos(azimuth), r * math.sin(azimuth)
                px = origin[i, 0] + s * u[i, 0] + d1 * e1[i, 0] + d2 * e2[i, 0]
                py = origin[i, 1] + s * u[i, 1] + d1 * e1[i, 1] + d2 * e2[i, 1]
                pz = origin[i, 2] + s * u[i, 2] + d1 * e1[i, 2] + d2 * e2[i, 2]
                c = math.sqrt(px * px + py * py) if barrel else pz
                m = own
                if layer_from[m] <= c <= layer_to[m]:
                    break
                there = layer_of1(c, period_from, period_to)
                if there >= 0 and medium[there] == medium[own]:
                    m = there
                    break
                if thin[own]:
                    break
                if mirrored[i] > 0.0 and uniform(state) < mirrored[i]:
                    # On the opposite side of the point where the line enters the medium.
                    enter = 2.0 * period[i, 0, entrance[own]]
                    px = 2.0 * origin[i, 0] + enter * u[i, 0] - px
                    py = 2.0 * origin[i, 1] + enter * u[i, 1] - py
                    pz = 2.0 * origin[i, 2] + enter * u[i, 2] - pz
                    c = math.sqrt(px * px + py * py) if barrel else pz
                    there = layer_of1(c, period_from, period_to)
                    if there >= 0 and medium[there] == medium[own]:
                        m = there
                        break
            if not layer_from[m] <= c <= layer_to[m]:
                thickness = layer_to[m] - layer_from[m]
                if whole[m]:
                    target = layer_from[m] + inner * thickness
                elif c < layer_from[m]:
                    target = layer_from[m] + min(layer_from[m] - c, thickness)
                else:
                    target = layer_to[m] - min(c - layer_to[m], thickness)
                px, py, pz, moved = onto1(barrel, px, py, pz, u[i], origin[i], s, target)
                m = m if moved else own
            x[h], y[h], z[h], e[h], layer[h] = px, py, pz, share, m
