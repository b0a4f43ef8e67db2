"""Sampler of the recipe `fastcalosim`: layer energies from bins of a leading component, hits from measured shapes.

For every shower, the inverse of `fit.fastcalosim`:

1. a bin, correlated scores, and from them the total, the layers' shares of it and depths inside thick layers
   (`shapes.binned_copula`); tables are interpolated at fixed score in ln E, and in eta between slices;
2. the modulation with phi is put on the layers (`fit.modulation`);
3. a number of hits per layer, 1 + Poisson, with the mean of 1/n that the measured n_eff asks for;
4. for each hit (r, alpha) from the layer's density in the shower's bin, an energy (equal, or with the spectrum of
   stored hits), and a place along the line. Hits continue those of layers in front (`fit.tracks`). Inside thick layers
   they are spread evenly over the quantiles of a density that was tilted to the mean depth drawn in step 1, so that the
   depth fluctuates as drawn and no more.

Hits of a layer add up to its energy, layers to the total. A hit that would lie outside its layer is moved along the
line's direction into it, which leaves r and alpha as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fastparam.fit import modulation
from fastparam.fit.energy_model import SCORE_MAX, Energies
from fastparam.fit.fastcalosim import DEPTH_CELLS
from fastparam.fit.lateral import N_ALPHA, Lateral
from fastparam.fit.marginals import Z_MAX
from fastparam.fit.tracks import Tracks
from fastparam.generate.fastcalosim_kernels import draw_energies, draw_numbers, place_hits
from fastparam.geometry.frames import depth_at, line_crossings, local_frames
from fastparam.hits.hits import Hits
from fastparam.showers.join import join_hits
from fastparam.showers.showers import Showers

if TYPE_CHECKING:
    from fastparam.generate.domain import Plan
    from fastparam.particles import Particles
    from fastparam.tunes.tune import SliceTune, Tune

__all__ = ["sampler"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Pair:
    """Tables of the two slices that serve a particle, stacked: energy points of the lower one first.

    Attributes
    ----------
    number : int
        Of the lower slice in the tune.
    slices : tuple of SliceTune (2,)
    models : tuple of Energies (2,)
    ln_e : tuple of float64 arrays
        Energy points of the slices.
    probability, factor, score, zero, shape : float64 arrays
        As `shapes.binned_copula.draw1` takes them.
    kind : int64 array (m,)
    cumulative : float64 array (P, B, L, R)
        Of the energy in radial bins.
    edges : float64 array (2, R + 1)
    zone : int64 array (2, L, R)
    alpha : float64 array (2, Z, N_ALPHA + 1)
        Cumulatives.
    hits : float64 array (2, L, 2)
    weights : float64 array (2, W, K)
        Of hits.
    weight_edges : float64 array (2, W + 1)
    spread : float64 array (2, W)
        Mean square of the weights.
    thick : int64 array (L,)
        Number among the thick layers, -1 for others.
    tracks : tuple of Tracks or None (2,)
    """

    number: int
    slices: tuple[SliceTune, SliceTune]
    models: tuple[Energies, Energies]
    ln_e: tuple[Floats, Floats]
    probability: Floats
    factor: Floats
    score: Floats
    zero: Floats
    shape: Floats
    kind: Ints
    cumulative: Floats
    edges: Floats
    zone: Ints
    alpha: Floats
    hits: Floats
    weights: Floats
    weight_edges: Floats
    spread: Floats
    thick: Ints
    tracks: tuple[Tracks | None, Tracks | None]

    def slots(self, member: Ints) -> Ints:
        """Streams of normal numbers (n, 4): by parity of slice and energy point, whose neighbours are of the other."""
        slot = np.empty_like(member)
        first = len(self.ln_e[0])
        for s in range(2):
            parity = (self.number + s) % 2
            below = (member[:, 2 * s] - s * first) % 2
            slot[:, 2 * s], slot[:, 2 * s + 1] = 2 * parity + below, 2 * parity + 1 - below
        return slot


def sampler(tune: Tune) -> Callable[[Plan, Particles, int], Showers]:
    """Return what samples from a tune; needs no memory beyond the hits returned and tables of the slices."""

    @cache
    def pair(lower: int, upper: int) -> _Pair:
        return _pair_of(tune, lower, upper)

    def sampled(plan: Plan, particles: Particles, seed: int) -> Showers:
        parts: list[Hits] = []
        places: list[Ints] = []
        number = plan.lower * len(tune.slices) + plan.upper
        for which in np.unique(number):
            rows = np.flatnonzero(number == which)
            lower, upper = divmod(int(which), len(tune.slices))
            parts.append(_sample(tune, pair(lower, upper), particles.take(rows), plan.weight[rows], seed))
            places.append(rows)
        return Showers(particles, join_hits(parts, places), tune.geometry)

    return sampled


def _pair_of(tune: Tune, lower: int, upper: int) -> _Pair:
    n_layers = tune.geometry.n_layers
    parts = (tune.slices[lower], tune.slices[upper])
    tables = [part.tables["fastcalosim"] for part in parts]
    models = (Energies.from_tables(tables[0]), Energies.from_tables(tables[1]))
    shapes = [Lateral.from_tables(t) for t in tables]
    n_bins, passing = max(model.n_bins for model in models), models[0].passing >= 0
    n_r = max(len(s.edges) - 1 for s in shapes)
    n_zones = max(len(s.alpha) for s in shapes)
    n_weights, n_w_knots = max(s.weights.shape[0] for s in shapes), max(s.weights.shape[1] for s in shapes)
    knots = max(model.marginals.shape.shape[2] for model in models)
    cumulative, edges, zone, alpha, weights, weight_edges, spread = [], [], [], [], [], [], []
    for s in shapes:
        total = np.cumsum(s.density, axis=-1)
        total /= total[..., -1:]
        wide = np.ones((*total.shape[:3], n_r))
        wide[..., : total.shape[-1]] = total
        cumulative.append(_more_bins(wide, n_bins, passing))
        edges.append(np.concatenate([s.edges, np.full(n_r + 1 - len(s.edges), s.edges[-1])]))
        z = np.zeros((n_layers, n_r), dtype=np.int64)
        z[:, : s.zone.shape[1]] = s.zone
        zone.append(z)
        a = np.zeros((n_zones, N_ALPHA + 1))
        a[: len(s.alpha), 1:] = np.cumsum(s.alpha, axis=1)
        a[len(s.alpha) :] = np.linspace(0, 1, N_ALPHA + 1)
        alpha.append(a)
        w = np.repeat(s.weights, n_w_knots // s.weights.shape[1] + 1, axis=1)[:, :n_w_knots]
        w = s.weights if s.weights.shape[1] == n_w_knots else w
        rows = np.minimum(np.arange(n_weights), len(w) - 1)
        weights.append(w[rows])
        spread.append(s.spread[rows])
        weight_edges.append(np.concatenate([s.weight_edges, np.full(n_weights + 1 - len(s.weight_edges), np.inf)]))
    thick = np.full(n_layers, -1, dtype=np.int64)
    thick[tables[0]["depth_layers"].astype(np.int64)] = np.arange(len(tables[0]["depth_layers"]))
    return _Pair(
        lower,
        parts,
        models,
        (models[0].marginals.ln_e, models[1].marginals.ln_e),
        np.concatenate([_shared(_more_bins(m.probability, n_bins, passing), m.n_bins, passing) for m in models]),
        np.concatenate([_more_bins(m.factor, n_bins, passing) for m in models]),
        np.concatenate([_more_bins(m.score, n_bins, passing) for m in models]),
        np.concatenate([m.marginals.zero for m in models]),
        np.concatenate([_finer(m.marginals.shape, knots) for m in models]),
        models[0].marginals.kind,
        np.concatenate(cumulative),
        np.stack(edges),
        np.stack(zone),
        np.stack(alpha),
        np.stack([s.hits for s in shapes]),
        np.stack(weights),
        np.stack(weight_edges),
        np.stack(spread),
        thick,
        (Tracks.from_tables(tables[0]), Tracks.from_tables(tables[1])),
    )


def _more_bins(table: Floats, n_bins: int, passing: bool) -> Floats:
    """Tables (P, B, ...) of so many bins: a single bin stands for all of them. That of showers that pass stays one."""
    first = int(passing)
    return np.concatenate(
        [table[:, :first], np.repeat(table[:, first:], (n_bins - first) // (table.shape[1] - first), axis=1)], axis=1
    )


def _shared(probability: Floats, n_bins: int, passing: bool) -> Floats:
    """Probabilities (P, B), those of bins that came from one of `n_bins` bins divided among them."""
    first = int(passing)
    found = probability.copy()
    found[:, first:] /= (probability.shape[1] - first) // (n_bins - first)
    return found


def _finer(shape: Floats, knots: int) -> Floats:
    """Tables (P, m, K) with more knots: each other table has twice the intervals, so that nothing changes."""
    while shape.shape[2] < knots:
        finer = np.empty((*shape.shape[:2], 2 * shape.shape[2] - 1))
        finer[..., ::2], finer[..., 1::2] = shape, 0.5 * (shape[..., 1:] + shape[..., :-1])
        shape = finer
    return shape


def _members(pair: _Pair, ln_e: Floats, weight: Floats) -> tuple[Ints, Floats]:
    """Rows of the tables (n, 4) and their weights (n, 4): two energy points of each slice."""
    member, share = np.zeros((len(ln_e), 4), dtype=np.int64), np.zeros((len(ln_e), 4))
    first = 0
    for s, (points, of_slice) in enumerate(zip(pair.ln_e, (1.0 - weight, weight), strict=True)):
        below = np.clip(np.searchsorted(points, ln_e, side="right") - 1, 0, max(len(points) - 2, 0))
        above = np.minimum(below + 1, len(points) - 1)
        distance = np.where(above > below, points[above] - points[below], 1.0)
        w = np.clip((ln_e - points[below]) / distance, 0.0, 1.0) * (above > below)
        member[:, 2 * s], member[:, 2 * s + 1] = first + below, first + above
        share[:, 2 * s], share[:, 2 * s + 1] = of_slice * (1.0 - w), of_slice * w
        first += len(points)
    return member, share


def _sample(tune: Tune, pair: _Pair, particles: Particles, weight: Floats, seed: int) -> Hits:
    """Sample showers that are served by one pair of slices."""
    geometry, n, energy = tune.geometry, len(particles), particles.energy
    ln_e = np.log(energy)
    member, share = _members(pair, ln_e, weight)
    laws = [model.marginals for model in pair.models]
    location, ln_scale = (
        np.stack(
            [
                np.stack([np.interp(ln_e, law.grid, getattr(law, name)[:, j]) for j in range(len(law.kind))], axis=1)
                for law in laws
            ],
            axis=1,
        )
        for name in ("location", "ln_scale")
    )
    drawn, bin_ = np.empty((n, len(pair.kind))), np.empty(n, dtype=np.int64)
    draw_energies(
        seed, particles.index, energy, pair.slots(member), member, share, pair.probability, pair.models[0].first,
        pair.models[0].threshold, pair.factor, pair.score, SCORE_MAX, pair.zero,
        pair.shape, Z_MAX,
        np.stack([1.0 - weight, weight], axis=1), location, ln_scale, pair.kind, geometry.n_layers,
        pair.models[0].passing, drawn, bin_,
    )  # fmt: skip
    layer_energy = drawn[:, 1 : geometry.n_layers + 1] * (drawn[:, :1] * energy[:, None])
    layer_energy = _modulated(tune, pair, particles, weight, layer_energy)
    counts = np.zeros((n, geometry.n_layers), dtype=np.int64)
    ln_n = np.einsum("ns,slc->nlc", np.stack([1.0 - weight, weight], axis=1), pair.hits)
    spread = (1.0 - weight) * pair.spread[0, 0] + weight * pair.spread[1, 0]
    draw_numbers(seed, particles.index, layer_energy, np.ascontiguousarray(ln_n), spread, counts)
    offsets = np.concatenate([[0], np.cumsum(counts.sum(axis=1))]).astype(np.int64)
    x, y, z, e = (np.empty(offsets[-1]) for _ in range(4))
    hits = Hits(x, y, z, e, np.empty(offsets[-1], dtype=np.int32), offsets)
    frames = local_frames(geometry, particles)
    active = line_crossings(geometry, particles, np.stack([geometry.layer_from, geometry.layer_to]))
    base = _depth_densities(tune, pair, particles, weight, active)
    place_hits(
        seed, particles.index, offsets, counts, layer_energy, member, share, bin_, pair.cumulative, pair.edges,
        pair.zone, pair.alpha, pair.weights, pair.weight_edges, _continuing(pair, energy, weight), pair.thick, base,
        np.ascontiguousarray(drawn[:, geometry.n_layers + 1 :]), np.ascontiguousarray(active),
        frames.origin, frames.u, frames.e1, frames.e2, geometry.frame == "barrel", geometry.layer_from,
        geometry.layer_to, hits.x, hits.y, hits.z, hits.e, hits.layer,
    )  # fmt: skip
    return hits


def _continuing(pair: _Pair, energy: Floats, weight: Floats) -> Floats:
    """Probabilities (n, 4) of `fit.tracks`: a hit is of a track; has its radius; each goes on for another layer."""
    found = np.zeros((len(energy), 4))
    for tracks, share in zip(pair.tracks, (1.0 - weight, weight), strict=True):
        if tracks is not None:
            found[:, 0] += share * np.sqrt(tracks.begun(energy))  # both hits of a pair have to be
            found[:, 1] += share * math.sqrt(tracks.radius)
            found[:, 2] += share * math.exp(-1.0 / tracks.length)
            found[:, 3] += share * math.exp(-1.0 / tracks.radius_length)
    return found


def _modulated(tune: Tune, pair: _Pair, particles: Particles, weight: Floats, layer_energy: Floats) -> Floats:
    """Layer energies with the modulation of both slices put on."""
    found = [part.components.get("modulation") for part in pair.slices]
    if all(fit is None for fit in found):
        return layer_energy
    psi = modulation.phases(tune.geometry, particles)
    factors = np.zeros(psi.shape)
    for fit, share in zip(found, (1.0 - weight, weight), strict=True):
        own = np.ones(psi.shape) if fit is None else modulation.evaluate(fit, particles.energy, psi)
        factors += share[:, None] * own
    return modulation.apply(factors, layer_energy)


def _depth_densities(tune: Tune, pair: _Pair, particles: Particles, weight: Floats, active: Floats) -> Floats:
    """Densities over thick layers, before they are tilted, (n, n_thick, DEPTH_CELLS)."""
    geometry, n = tune.geometry, len(particles)
    layers = np.flatnonzero(pair.thick >= 0)
    if not len(layers):
        return np.zeros((n, 0, DEPTH_CELLS))
    tables = [part.tables["fastcalosim"] for part in pair.slices]
    shares = (1.0 - weight, weight)
    if not all(len(table["depth_exponent"]) for table in tables):
        measured = [table["depth_measured"].astype(np.float64) for table in tables]
        return np.asarray(
            np.einsum("n,jc->njc", shares[0], measured[0]) + np.einsum("n,jc->njc", shares[1], measured[1])
        )
    ln_e = np.log(particles.energy)
    exponent = np.sum(
        [w * np.interp(ln_e, at, t["depth_exponent"]) for w, at, t in zip(shares, pair.ln_e, tables, strict=True)],
        axis=0,
    )
    frames = local_frames(geometry, particles)
    middle = (np.arange(DEPTH_CELLS) + 0.5) / DEPTH_CELLS
    first, last = active[:, 0][:, layers], active[:, 1][:, layers]
    path = first[..., None] + (last - first)[..., None] * middle
    t = depth_at(frames, geometry.slab_x0, path.reshape(n, -1)).reshape(path.shape)
    ln_density = exponent[:, None, None] * np.log(np.maximum(t, 1e-3))
    return np.asarray(np.exp(ln_density - ln_density.max(axis=-1, keepdims=True)))
