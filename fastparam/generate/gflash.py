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
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

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
from fastparam.generate.gflash_kernels import count_spots, draw_latents, draw_shapes, place_spots
from fastparam.geometry.frames import depth_at, line_crossings, local_frames
from fastparam.hits.hits import Hits
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

#: ln T and ln alpha of a mean shower that nothing is added for.
_ANY_SHAPE = (1.6, 1.4)


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
    draw_latents(seed, index, z, u)
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
        draw_shapes(seed, index[own], law[own], h, depth, mean_spots[own], shape[own], groups[own])
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
    count_spots(
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
    place_spots(
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
    """Law of the shape that is sampled, (n, 10) as `draw_shapes` wants it."""
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
