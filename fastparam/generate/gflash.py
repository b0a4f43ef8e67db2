"""Sampler of the recipe `gflash`: gamma profile, two radial components, equal spots.

For every shower: the visible energy from the response law; of a photon, if the recipe says so, the path to its
conversion; (ln T, ln alpha) from the bivariate normal law, drawn again where alpha would not exceed 1; N spots of equal
energy, N Poisson around the spots law. Each spot gets a depth from the shower's gamma profile, folded with where the
detector is active and how much of the energy each medium shows, then a radius from the two-component profile at its
age, and a uniform azimuth. What the recipe's corrections add: (ln T, ln alpha) of photons follow tabulated marginals;
the profile is warped and multiplied by factors of layers; a radius is found through the warped cumulative profile; a
spot becomes a group of spots with radii of their own that share its step of depth and its energy, in equal parts or
with a log-normal spectrum.

A spot is placed in the local frame, so that showers keep their symmetry about the particle's line at any incidence, and
belongs to the layer it then lies in. One that lands between the plates of a stack is moved along the line's direction
into the active part of its period. One that lands outside all layers of its medium is no hit of full simulation: it
is mirrored or drawn again, as `fit.acceptance` takes the radial law. Only layers that have no depths of their own keep
it, moved along the line's direction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastparam._numba import kernel, parallel_kernel, prange
from fastparam.fit import (
    acceptance,
    conversion,
    layer_factors,
    layers,
    longitudinal,
    modulation,
    radial,
    radial_warp,
    response,
    shape_marginals,
    spot_groups,
    spot_spectrum,
    spots,
    warp,
)
from fastparam.geometry.frames import depth_at, line_crossings, local_frames
from fastparam.hits.hits import Hits
from fastparam.random import normal, poisson, stream, uniform
from fastparam.shapes.incomplete_gamma import gamma_p1
from fastparam.shapes.lines import layer_of1, onto1
from fastparam.shapes.radial import radial_cdf1, radial_ppf1
from fastparam.showers.showers import Showers

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastparam.fit.fit import Fit
    from fastparam.generate.domain import Plan
    from fastparam.geometry.detector import Geometry
    from fastparam.particles import Particles
    from fastparam.tunes.tune import SliceTune, Tune

__all__ = ["sample", "sampler"]

Floats = npt.NDArray[np.float64]

#: Steps in X0 in which a thick layer's gamma profile is tabulated; the profile is taken as flat within a step.
_STEP = 0.25

#: Showers whose tables are held at a time: the stated buffer, about 10 kB per shower.
_CHUNK = 4096

#: How often radius and azimuth of a spot are drawn until it lies in a layer of its medium.
_TRIES = 100

_VISIBLE, _SHAPE, _SPOTS, _GROUPS = 1, 2, 3, 4
_MIN_LN_ALPHA = 0.02
_Z_LAST, _Z_STEP = shape_marginals.Z_LAST, shape_marginals.Z_STEP
#: ln T and ln alpha of a mean shower that nothing is added for.
_ANY_SHAPE = (1.6, 1.4)

_MIN_TAU, _MAX_TAU = spot_groups.MIN_TAU, float(radial.TAU_EDGES[-1])


@dataclass(frozen=True)
class _Segments:
    """Depth ranges in which the profile is tabulated: a share f0..f1 of a layer's period."""

    layer: npt.NDArray[np.int64]
    f0: Floats
    f1: Floats
    whole: npt.NDArray[np.bool_]  # of the layer: the period is one segment, hits go anywhere in the active medium


@dataclass(frozen=True)
class _Drawn:
    """What is known once per shower.

    Visible energy in MeV; shape (n, 4): start in X0, relative energy of the pair there, ln T and ln alpha behind it;
    number of groups; factors (n, n_media) and (n, L); what layers get on top (n, L) of the mean shower's energy, and
    its shape (n, 2); warp (n, J); spots per group (n, 4): coefficients of
    ln c and width of ln(energy); s at the nodes of the radial warp (n, n_tau, n_u). Empty
    where the recipe has none. Probability that a spot lost in front of its medium is mirrored (n,).
    """

    visible: Floats
    shape: Floats
    groups: npt.NDArray[np.int64]
    factor: Floats
    layer_factor: Floats
    shift: Floats
    reference: Floats
    warp: Floats
    split: Floats
    radial_warp: Floats
    mirrored: Floats

    def take(self, rows: npt.NDArray[np.int64]) -> _Drawn:
        return _Drawn(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


@parallel_kernel
def _latents(seed: Any, index: Any, z: Any, u: Any) -> None:
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
def _shapes(
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
            if ln_alpha > _MIN_LN_ALPHA:
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
def _segment(table: Any, wanted: float) -> int:
    """Return the first segment whose end has at least the energy `wanted` in front of it."""
    left, right = 0, len(table) - 1
    while left < right:
        middle = (left + right) // 2
        if table[middle] < wanted:
            left = middle + 1
        else:
            right = middle
    return left


@kernel
def _draw_groups(state: Any, table: Any, tau: Any, split: Any, segment: Any, number: Any) -> int:
    """Draw the segment of every group and its number of spots; return their sum.

    The mean is rounded up or down so that the mean of 1 / number is right: that is what fluctuations are made of.
    """
    total = 0
    for j in range(len(segment)):
        k = _segment(table, uniform(state) * table[-1])
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
def _count(
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
    b = _segment(shares, v)
    below = shares[b - 1] if b > 0 else 0.0
    inner = min((v - below) / max(shares[b] - below, 1e-300), 1.0)
    u = edges[b] + inner * (edges[b + 1] - edges[b])
    return radial_ppf1(u * radial_cdf1(r_max, p, core, tail), p, core, tail)


@parallel_kernel
def _place(
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
                k = _segment(table, wanted)
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


def sampler(tune: Tune) -> Callable[[Plan, Particles, int], Showers]:
    """Return what samples from a tune."""

    def sampled(plan: Plan, particles: Particles, seed: int) -> Showers:
        return Showers(particles, sample(tune, plan, particles, seed), tune.geometry)

    return sampled


def sample(tune: Tune, plan: Plan, particles: Particles, seed: int) -> Hits:
    """Sample the showers of `particles` with the slices that `plan` gives them.

    Needs no memory beyond the hits returned and tables of `_CHUNK` showers.
    """
    n, index = len(particles), particles.index
    if n == 0:
        none = np.empty(0)
        return Hits(none, none, none, none, np.empty(0, dtype=np.int32), np.zeros(1, dtype=np.int64))
    z, u = np.empty(n), np.empty(n)
    _latents(seed, index, z, u)
    ln_e = np.log(particles.energy / 1000.0)
    ratio = _blend(tune, plan, lambda part, rows: response.quantile(part.components["response"], ln_e[rows], z[rows]))
    empty = u < _blend(
        tune, plan, lambda part, rows: response.zero_probability(part.components["response"], ln_e[rows])
    )
    visible = np.where(empty, 0.0, ratio * particles.energy)
    ln_y = np.log(particles.energy / tune.geometry.material.critical_energy)
    law = _blend(tune, plan, lambda part, rows: _population(part, particles.energy[rows], ln_y[rows]))
    mean_spots = _blend(tune, plan, lambda part, rows: spots.evaluate(part.components["spots"], particles.energy[rows]))
    split, more_groups = _split(tune, plan, particles.energy)
    mean_spots = mean_spots * more_groups
    shape, groups = np.empty((n, 4)), np.empty(n, dtype=np.int64)
    depth = float(((tune.geometry.slab_to - tune.geometry.slab_from) / tune.geometry.slab_x0).sum())
    chunks = [np.arange(first, min(first + _CHUNK, n)) for first in range(0, n, _CHUNK)]
    for rows in chunks:
        h, own = _marginals(tune, _take(plan, rows), ln_y[rows]), slice(rows[0], rows[-1] + 1)
        _shapes(seed, index[own], law[own], h, depth, mean_spots[own], shape[own], groups[own])
    segments = _segments(tune.geometry)
    corrections = _corrections(tune, plan, particles.energy, split)
    drawn = _Drawn(visible, shape, groups, *corrections)
    if any("modulation" in part.components for part in tune.slices):
        phase = _modulation(tune, plan, particles)
        # Layers share the energy, which the total has: their factors are relative to each other.
        drawn = replace(drawn, visible=visible * phase[:, 0], layer_factor=drawn.layer_factor * phase[:, 1:])
    n_spots = groups.copy()
    if drawn.split.shape[1]:
        for rows in chunks:
            n_spots[rows] = _spots(tune, plan, particles.take(rows), seed, segments, drawn.take(rows))
    n_spots[visible <= 0] = 0
    offsets = np.concatenate([[0], np.cumsum(n_spots)]).astype(np.int64)
    x, y, z, e = (np.empty(offsets[-1]) for _ in range(4))
    hits = Hits(x, y, z, e, np.empty(offsets[-1], dtype=np.int32), offsets)
    for rows in chunks:
        _fill(tune, _take(plan, rows), particles.take(rows), seed, segments, int(rows[0]), drawn.take(rows), hits)
    return hits


def _split(tune: Tune, plan: Plan, energy: Floats) -> tuple[Floats, Floats]:
    """Spots per group as in `_Drawn.split`, and the factor on the number of groups, shape (n,)."""
    if not any(name in part.components for part in tune.slices for name in ("spot_groups", "spot_spectrum")):
        return np.empty((len(energy), 0)), np.ones(len(energy))

    def of(part: SliceTune, rows: npt.NDArray[np.int64]) -> Floats:
        laws = part.components
        c = (
            spot_groups.evaluate(laws["spot_groups"], energy[rows])
            if "spot_groups" in laws
            else np.zeros((len(rows), 3))
        )
        v = (
            spot_spectrum.evaluate(laws["spot_spectrum"], energy[rows])
            if "spot_spectrum" in laws
            else np.zeros(len(rows))
        )
        return np.column_stack([c, v])

    blended = _blend(tune, plan, of)
    variance = blended[:, 3]
    at_maximum = np.maximum(np.exp(blended[:, 0] + blended[:, 2]), 1.0)
    groups, spots_per_group = spot_spectrum.sampled(variance, at_maximum)
    blended[:, 0] += np.log(spots_per_group)
    blended[:, 3] = np.sqrt(np.log1p(variance))
    return blended, groups


def _corrections(tune: Tune, plan: Plan, energy: Floats, split: Floats) -> tuple[Floats, ...]:
    """Fields of `_Drawn` from `factor` on."""

    def of(name: str, evaluate: Callable[[Fit, Floats], Floats], without: Floats) -> Floats:
        return _blend(
            tune,
            plan,
            lambda part, rows: (
                evaluate(part.components[name], energy[rows])
                if name in part.components
                else np.broadcast_to(without, (len(rows), *without.shape))
            ),
        )

    def anywhere(name: str) -> bool:
        return any(name in part.components for part in tune.slices)

    no_nodes = np.zeros((len(radial_warp.TAU_NODES), radial_warp.U_HATS.shape[1]))
    return (
        _blend(tune, plan, lambda part, rows: layers.evaluate(part.components["layers"], energy[rows])),
        np.ones((len(energy), tune.geometry.n_layers)),
        of(
            "layer_factors",
            layer_factors.evaluate,
            np.zeros(tune.geometry.n_layers if anywhere("layer_factors") else 0),
        ),
        of("layer_factors", layer_factors.reference_shape, np.array(_ANY_SHAPE)),
        of("warp", warp.evaluate, np.zeros(warp.MAX_ORDER)),
        split,
        of("radial_warp", radial_warp.evaluate, no_nodes if anywhere("radial_warp") else np.zeros((0, 0))),
        _blend(tune, plan, lambda part, rows: np.full(len(rows), radial.front(part.components["radial"]))),
    )


def _modulation(tune: Tune, plan: Plan, particles: Particles) -> Floats:
    """Factors of the total and of the layers (n, 1 + L) at the phases of the particles' lines."""
    psi = modulation.phases(tune.geometry, particles)

    def of(part: SliceTune, rows: npt.NDArray[np.int64]) -> Floats:
        if "modulation" not in part.components:
            return np.ones((len(rows), psi.shape[1]))
        return modulation.evaluate(part.components["modulation"], particles.energy[rows], psi[rows])

    return _blend(tune, plan, of)


def _main(tune: Tune, plan: Plan) -> int:
    """Return the number of the medium that holds most energy."""
    return int(tune.slices[plan.lower[0]].components["layers"].settings["main"])


def _spots(
    tune: Tune, plan: Plan, particles: Particles, seed: int, segments: _Segments, drawn: _Drawn
) -> npt.NDArray[np.int64]:
    """Count the spots of the showers of one chunk."""
    geometry = tune.geometry
    frames = local_frames(geometry, particles)
    period = line_crossings(geometry, particles, np.stack([geometry.period_from, geometry.period_to]))
    t = depth_at(frames, geometry.slab_x0, period.reshape(len(particles), -1)).reshape(period.shape)
    n_spots = np.empty(len(particles), dtype=np.int64)
    _count(
        seed, particles.index, drawn.groups, drawn.shape, drawn.factor, drawn.layer_factor, drawn.shift,
        drawn.reference, drawn.warp, drawn.split, _main(tune, plan), geometry.layer_medium.astype(np.int64),
        segments.layer, segments.f0, segments.f1, t, n_spots,
    )  # fmt: skip
    return n_spots


def _fill(
    tune: Tune, plan: Plan, particles: Particles, seed: int, segments: _Segments, first: int, drawn: _Drawn, hits: Hits
) -> None:
    """Place the spots of one chunk."""
    geometry = tune.geometry
    frames = local_frames(geometry, particles)
    period = line_crossings(geometry, particles, np.stack([geometry.period_from, geometry.period_to]))
    active = line_crossings(geometry, particles, np.stack([geometry.layer_from, geometry.layer_to]))
    t = depth_at(frames, geometry.slab_x0, period.reshape(len(particles), -1)).reshape(period.shape)
    at = t[:, 0, segments.layer] + 0.5 * (segments.f0 + segments.f1) * (t[:, 1] - t[:, 0])[:, segments.layer]
    tau = at / (drawn.shape[:, 0] + np.exp(drawn.shape[:, 2]))[:, None]
    ln_e = np.log(particles.energy / 10_000.0)
    widths = _blend(
        tune,
        plan,
        lambda part, rows: np.stack(radial.evaluate(part.components["radial"], tau[rows], ln_e[rows, None]), axis=1),
    )
    moliere = geometry.material.moliere_radius
    _place(
        seed, particles.index, hits.offsets, first, drawn.visible, drawn.shape, drawn.groups, drawn.factor,
        drawn.layer_factor, drawn.shift, drawn.reference, drawn.warp, drawn.split, drawn.radial_warp,
        radial_warp.TAU_NODES, radial_warp.U_NODE, radial_warp.U_WEIGHT, radial_warp.U_EDGES,
        _main(tune, plan), geometry.layer_medium.astype(np.int64),
        segments.layer, segments.f0, segments.f1, segments.whole,
        t, np.ascontiguousarray(period), np.ascontiguousarray(active), widths, moliere, radial.MAX_RADIUS * moliere,
        frames.origin, frames.u, frames.e1, frames.e2, geometry.frame == "barrel",
        acceptance.thin(geometry), acceptance.entrances(geometry), drawn.mirrored,
        geometry.layer_from, geometry.layer_to, geometry.period_from, geometry.period_to,
        hits.x, hits.y, hits.z, hits.e, hits.layer,
    )  # fmt: skip


def _segments(geometry: Geometry) -> _Segments:
    whole = (geometry.period_from != geometry.layer_from) | (geometry.period_to != geometry.layer_to)
    layer, f0, f1 = [], [], []
    slabs = np.flatnonzero(geometry.slab_layer >= 0)
    slabs = slabs[np.argsort(geometry.slab_layer[slabs])]
    for m in range(geometry.n_layers):
        thickness = (geometry.layer_to[m] - geometry.layer_from[m]) / geometry.slab_x0[slabs[m]]
        pieces = 1 if whole[m] else max(1, math.ceil(thickness / _STEP))
        edges = np.linspace(0.0, 1.0, pieces + 1)
        layer += [m] * pieces
        f0 += list(edges[:-1])
        f1 += list(edges[1:])
    return _Segments(np.array(layer, dtype=np.int64), np.array(f0), np.array(f1), whole)


def _blend(tune: Tune, plan: Plan, evaluate: Callable[[SliceTune, npt.NDArray[np.int64]], Floats]) -> Floats:
    """Evaluate a law of the lower and the upper slice of every particle, and interpolate between them."""
    result: Floats | None = None
    for number, part in enumerate(tune.slices):
        for member, share in ((plan.lower, 1.0 - plan.weight), (plan.upper, plan.weight)):
            rows = np.flatnonzero((member == number) & (share > 0))
            if not len(rows):
                continue
            values = evaluate(part, rows)
            if result is None:
                result = np.zeros((len(plan.weight), *values.shape[1:]))
            result[rows] += values * share[rows].reshape(-1, *(1,) * (values.ndim - 1))
    assert result is not None  # a plan serves every particle
    return result


def _population(part: SliceTune, energy: Floats, ln_y: Floats) -> Floats:
    """Law of the shape that is sampled, (n, 10) as `_shapes` wants it."""
    if "conversion" in part.components:
        law = list(conversion.evaluate(part.components["conversion"], energy, ln_y).values())
        return np.column_stack([*law, np.ones_like(ln_y)])
    law = list(longitudinal.evaluate(part.components["longitudinal"], ln_y).values())
    copula = np.ones_like(ln_y)
    if "shape_marginals" in part.tables:
        copula = shape_marginals.evaluate(part.tables["shape_marginals"], ln_y)[1]
    return np.column_stack([*law, np.zeros((len(ln_y), 4)), copula])


def _marginals(tune: Tune, plan: Plan, ln_y: Floats) -> Floats:
    """Tables of the standardised (ln T, ln alpha), (n, 2, k); k = 0 where no slice has any."""

    def tables(part: SliceTune, rows: npt.NDArray[np.int64]) -> Floats:
        if "shape_marginals" in part.tables and "conversion" not in part.components:
            return shape_marginals.evaluate(part.tables["shape_marginals"], ln_y[rows])[0]
        return np.broadcast_to(shape_marginals.Z, (len(rows), 2, len(shape_marginals.Z)))

    used = np.unique(np.concatenate([plan.lower, plan.upper]))
    if not any("shape_marginals" in tune.slices[k].tables for k in used):
        return np.empty((len(ln_y), 2, 0))
    return _blend(tune, plan, tables)


def _take(plan: Plan, rows: npt.NDArray[np.int64]) -> Plan:
    return type(plan)(plan.lower[rows], plan.upper[rows], plan.weight[rows])
