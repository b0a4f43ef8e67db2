"""Sampler of the recipe `gflash`: gamma profile, two radial components, equal spots.

For every shower: the visible energy from the response law; (ln T, ln alpha) from the bivariate normal law, drawn again
where alpha would not exceed 1; N spots of equal energy, N Poisson around the spots law. Each spot gets a depth from the
shower's gamma profile, warped if the recipe says so, folded with where the detector is active and how much of the
energy each medium shows, then a radius from the two-component profile at its age, and a uniform azimuth.

A spot is placed in the local frame, so that showers keep their symmetry about the particle's line at any incidence, and
belongs to the layer it then lies in. One that lands between active media is moved along the line's direction into the
active part of the period it lies in, or of the layer it came from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastparam._numba import kernel, parallel_kernel, prange
from fastparam.fit import layers, longitudinal, radial, response, spots, warp
from fastparam.geometry.frames import depth_at, line_crossings, local_frames
from fastparam.hits.hits import Hits
from fastparam.random import normal, poisson, stream, uniform
from fastparam.shapes.incomplete_gamma import gamma_p1
from fastparam.showers.showers import Showers

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastparam.generate.domain import Plan
    from fastparam.geometry.detector import Geometry
    from fastparam.particles import Particles
    from fastparam.tunes.tune import SliceTune, Tune

__all__ = ["sample", "sampler"]

Floats = npt.NDArray[np.float64]

#: Steps in X0 in which a thick layer's gamma profile is tabulated; the profile is taken as flat within a step.
_STEP = 0.25

#: Spots farther from the line than this many Moliere radii are not made; full simulation has 1e-4 of its energy there.
_MAX_RADIUS = 20.0

#: Showers whose tables are held at a time: the stated buffer, about 10 kB per shower.
_CHUNK = 4096

_VISIBLE, _SHAPE, _SPOTS = 1, 2, 3
_MIN_LN_ALPHA = 0.02


@dataclass(frozen=True)
class _Segments:
    """Depth ranges in which the profile is tabulated: a share f0..f1 of a layer's period."""

    layer: npt.NDArray[np.int64]
    f0: Floats
    f1: Floats
    whole: npt.NDArray[np.bool_]  # of the layer: the period is one segment, hits go anywhere in the active medium


@dataclass(frozen=True)
class _Drawn:
    """What is known once per shower: visible energy in MeV, ln T, ln alpha, factors (n, n_media), warp (n, J)."""

    visible: Floats
    ln_t: Floats
    ln_alpha: Floats
    factor: Floats
    warp: Floats


@parallel_kernel
def _latents(seed: Any, index: Any, z: Any, u: Any) -> None:
    for i in prange(len(index)):
        state = stream(seed, index[i], _VISIBLE)
        z[i] = normal(state)
        u[i] = uniform(state)


@parallel_kernel
def _shapes(seed: Any, index: Any, law: Any, mean_spots: Any, ln_t: Any, ln_alpha: Any, n_spots: Any) -> None:
    """`law` (n, 5): mean ln T, mean ln alpha, sigma of both, correlation."""
    for i in prange(len(index)):
        state = stream(seed, index[i], _SHAPE)
        r = min(max(law[i, 4], -1.0), 1.0)
        a, b = math.sqrt(0.5 * (1.0 + r)), math.sqrt(0.5 * (1.0 - r))
        for _ in range(1000):
            z1, z2 = normal(state), normal(state)
            ln_t[i] = law[i, 0] + law[i, 2] * (a * z1 + b * z2)
            ln_alpha[i] = law[i, 1] + law[i, 3] * (a * z1 - b * z2)
            if ln_alpha[i] > _MIN_LN_ALPHA:
                break
        n_spots[i] = max(poisson(state, mean_spots[i]), 1)


@kernel
def _along(barrel: bool, x: float, y: float, z: float, ux: float, uy: float, uz: float, target: float) -> float:
    """Path from (x, y, z) along u to the surface of radius or z `target`; NaN if the line misses it."""
    if not barrel:
        return (target - z) / uz
    a = ux * ux + uy * uy
    b = x * ux + y * uy
    c = x * x + y * y - target * target
    root = b * b - a * c
    if root < 0.0:
        return math.nan
    return (-b + math.sqrt(root)) / a


@parallel_kernel
def _place(
    seed: Any, index: Any, offsets: Any, first: Any, visible: Any, ln_t: Any, ln_alpha: Any, factor: Any,
    warp: Any, main: Any, medium: Any,
    seg_layer: Any, seg_f0: Any, seg_f1: Any, whole: Any, t: Any, period: Any, active: Any, widths: Any, moliere: Any,
    r_max: Any, origin: Any, u: Any, e1: Any, e2: Any, barrel: Any, layer_from: Any, layer_to: Any,
    period_from: Any, period_to: Any, x: Any, y: Any, z: Any, e: Any, layer: Any,
) -> None:  # fmt: skip
    """Place all spots.

    t, period and active (n, 2, L) are where each line enters and leaves the layers' periods, in X0 and in mm, and their
    active media, in mm; widths (n, 3, n_segments) holds R_C and R_T in Moliere radii and the core weight.
    """
    n_segments, n_layers = len(seg_layer), len(layer_from)
    for i in prange(len(index)):
        low, high = offsets[first + i], offsets[first + i + 1]
        if high == low:
            continue
        state = stream(seed, index[i], _SPOTS)
        alpha = math.exp(ln_alpha[i])
        beta = (alpha - 1.0) / math.exp(ln_t[i])
        table = np.empty(n_segments)
        of_main = 0.0
        edge, at_edge = -1.0, 0.0
        for k in range(n_segments):
            m = seg_layer[k]
            a = t[i, 0, m] + seg_f0[k] * (t[i, 1, m] - t[i, 0, m])
            b = t[i, 0, m] + seg_f1[k] * (t[i, 1, m] - t[i, 0, m])
            if a != edge:
                at_edge = gamma_p1(alpha, beta * a)
            upper = gamma_p1(alpha, beta * b)
            table[k] = max(upper - at_edge, 0.0) * factor[i, medium[m]]
            if medium[m] == main:
                of_main += table[k]
            edge, at_edge = b, upper
        # The warp moves energy within the main medium, on the scale of its own cumulative profile.
        total, before, bent = 0.0, 0.0, 0.0
        for k in range(n_segments):
            if medium[seg_layer[k]] == main and of_main > 0.0:
                before += table[k] / of_main
                after = before
                for j in range(warp.shape[1]):
                    after += warp[i, j] * math.sin((j + 1) * math.pi * before)
                total += max(after - bent, 0.0) * of_main
                bent = max(after, bent)
            else:
                total += table[k]
            table[k] = total
        share = visible[i] / (high - low)
        for h in range(low, high):
            wanted = uniform(state) * total
            left, right = 0, n_segments - 1
            while left < right:
                middle = (left + right) // 2
                if table[middle] < wanted:
                    left = middle + 1
                else:
                    right = middle
            k = left
            m = seg_layer[k]
            below = table[k - 1] if k > 0 else 0.0
            inner = (wanted - below) / max(table[k] - below, 1e-300)
            if whole[m]:
                s = active[i, 0, m] + inner * (active[i, 1, m] - active[i, 0, m])
            else:
                s = period[i, 0, m] + (seg_f0[k] + inner * (seg_f1[k] - seg_f0[k])) * (
                    period[i, 1, m] - period[i, 0, m]
                )

            v, p = uniform(state), widths[i, 2, k]
            radius = moliere * (widths[i, 0, k] if v < p else widths[i, 1, k])
            v = v / p if v < p else (v - p) / (1.0 - p)
            v *= r_max * r_max / (r_max * r_max + radius * radius)
            r = radius * math.sqrt(v / (1.0 - v))
            azimuth = 2.0 * math.pi * uniform(state)
            d1, d2 = r * math.cos(azimuth), r * math.sin(azimuth)
            px = origin[i, 0] + s * u[i, 0] + d1 * e1[i, 0] + d2 * e2[i, 0]
            py = origin[i, 1] + s * u[i, 1] + d1 * e1[i, 1] + d2 * e2[i, 1]
            pz = origin[i, 2] + s * u[i, 2] + d1 * e1[i, 2] + d2 * e2[i, 2]

            c = math.sqrt(px * px + py * py) if barrel else pz
            if not layer_from[m] <= c <= layer_to[m]:
                own = m
                left, right = 0, n_layers - 1
                while left < right:  # last layer whose period starts in front of the spot
                    middle = (left + right + 1) // 2
                    if period_from[middle] <= c:
                        left = middle
                    else:
                        right = middle - 1
                inside = period_from[left] <= c <= period_to[left] and medium[left] == medium[own]
                m = left if inside else own
                if not layer_from[m] <= c <= layer_to[m]:
                    thickness = layer_to[m] - layer_from[m]
                    if whole[m]:
                        target = layer_from[m] + inner * thickness
                    elif c < layer_from[m]:
                        target = layer_from[m] + min(layer_from[m] - c, thickness)
                    else:
                        target = layer_to[m] - min(c - layer_to[m], thickness)
                    step = _along(barrel, px, py, pz, u[i, 0], u[i, 1], u[i, 2], target)
                    if math.isnan(step):  # so far aside that its direction misses the layer: keep the line's point
                        m = own
                        px = origin[i, 0] + s * u[i, 0]
                        py = origin[i, 1] + s * u[i, 1]
                        pz = origin[i, 2] + s * u[i, 2]
                    else:
                        px += step * u[i, 0]
                        py += step * u[i, 1]
                        pz += step * u[i, 2]
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
    law = _blend(
        tune,
        plan,
        lambda part, rows: np.column_stack(
            list(longitudinal.evaluate(part.components["longitudinal"], ln_y[rows]).values())
        ),
    )
    mean_spots = _blend(tune, plan, lambda part, rows: spots.evaluate(part.components["spots"], particles.energy[rows]))
    factor = _blend(tune, plan, lambda part, rows: layers.evaluate(part.components["layers"], particles.energy[rows]))
    bend = _blend(tune, plan, lambda part, rows: _warp(part, particles.energy[rows]))
    ln_t, ln_alpha, n_spots = np.empty(n), np.empty(n), np.empty(n, dtype=np.int64)
    _shapes(seed, index, law, mean_spots, ln_t, ln_alpha, n_spots)
    n_spots[visible <= 0] = 0
    offsets = np.concatenate([[0], np.cumsum(n_spots)]).astype(np.int64)
    x, y, z, e = (np.empty(offsets[-1]) for _ in range(4))
    hits = Hits(x, y, z, e, np.empty(offsets[-1], dtype=np.int32), offsets)
    segments = _segments(tune.geometry)
    for first in range(0, n, _CHUNK):
        rows = np.arange(first, min(first + _CHUNK, n))
        drawn = _Drawn(visible[rows], ln_t[rows], ln_alpha[rows], factor[rows], bend[rows])
        _fill(tune, _take(plan, rows), particles.take(rows), seed, segments, first, drawn, hits)
    return hits


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
    tau = at / np.exp(drawn.ln_t)[:, None]
    ln_e = np.log(particles.energy / 10_000.0)
    widths = _blend(
        tune,
        plan,
        lambda part, rows: np.stack(radial.evaluate(part.components["radial"], tau[rows], ln_e[rows, None]), axis=1),
    )
    moliere = geometry.material.moliere_radius
    main = tune.slices[plan.lower[0]].components["layers"].settings["main"]
    _place(
        seed, particles.index, hits.offsets, first, drawn.visible, drawn.ln_t, drawn.ln_alpha, drawn.factor,
        drawn.warp, main, geometry.layer_medium.astype(np.int64),
        segments.layer, segments.f0, segments.f1, segments.whole,
        t, np.ascontiguousarray(period), np.ascontiguousarray(active), widths, moliere, _MAX_RADIUS * moliere,
        frames.origin, frames.u, frames.e1, frames.e2, geometry.frame == "barrel",
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


def _warp(part: SliceTune, energy: Floats) -> Floats:
    if "warp" not in part.components:
        return np.zeros((len(energy), warp.MAX_ORDER))
    return warp.evaluate(part.components["warp"], energy)


def _take(plan: Plan, rows: npt.NDArray[np.int64]) -> Plan:
    return type(plan)(plan.lower[rows], plan.upper[rows], plan.weight[rows])
