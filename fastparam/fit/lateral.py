"""Lateral component of the recipe `fastcalosim`: where in (r, alpha) a layer's energy lies, in how many hits.

*Shape.* Per layer a histogram of the energy in r, one per energy point and bin of the leading component
(`fit.energies`); each is drawn towards the one of its energy, and that towards the one of the layer, by a weight that
cross-validation chooses; then the profile of all layers together is brought back at each energy. Bins are a lateral
cell wide in the core (1 mm, say) and grow with r; inside a bin energy is uniform in r^2. alpha has a histogram per
layer and zone of r, shared by all energies: what depends on alpha is the grid in which simulations merge hits, and the
lie of the layers. Between energies the densities are mixed, hit by hit, which is the linear interpolation of the mean
shape.

*Radial function.* Of electromagnetic particles the tuned two-component law (`fit.radial`) at the layer's mean age is
the alternative to the histograms in r. Each layer takes what predicts the energy of left-out showers better.

*Symmetry.* Mirroring e1, e2, and swapping them are looked for in the data: moments that are odd under the mirror must
vanish within the scatter of showers. Then the histogram in alpha is folded.

*Hits.* n_eff is the number of independent equal deposits that would make a layer's energy scatter over rings and
quadrants as it does from shower to shower,

    E[ sum_k (phi_k - p_k)^2 / p_k ] / (K - 1) = 1 / n_eff,         ln n_eff = c0 + c1 ln(E_layer / MeV),

phi_k the share of a layer's energy in window k of K, p_k its expectation. Hits of hadrons have weights with the
spectrum of the stored hits, one for all radii, so that the mean shape does not depend on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from fastparam.errors import FitError
from fastparam.fit.tables import Tables

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastparam.geometry.detector import Geometry
    from fastparam.summary.deposits import Deposits
    from fastparam.summary.points import EnergyPoints

__all__ = ["N_ALPHA", "Lateral", "LayerHits", "fit", "hits_of"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

N_ALPHA = 32

#: Growth of the radial bins, fewest hits of a layer in one, and the width of the narrowest in mm where no cell is seen.
_GROWTH, _MIN_HITS, _NARROWEST = 1.22, 40, 1.0

#: Hits that a zone of r needs for a histogram in alpha, and the p-value above which it is flat.
_ALPHA_HITS, _FLAT = 1500, 0.01

#: Weights that are tried, in hits, with which a histogram is drawn towards the next coarser one.
_PSEUDO = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)
_FOLDS = 4

#: How often pooled profiles are brought back, and what no change is worth in hits.
_RAKINGS, _RAKED_HITS = 5, 30.0

#: Below this p-value (for all layers together) a mirror symmetry is taken to be broken.
_BROKEN = 0.01
_RINGS, _QUADRANTS = 5, 4
_WEIGHT_KNOTS, _WEIGHT_ZONES = 33, (0.0, 4.0, 12.0, 30.0, 80.0)


@dataclass(frozen=True)
class LayerHits:
    """Single hits of n showers: what the fit looks at.

    Attributes
    ----------
    shower, layer : int64 arrays (k,)
    r, alpha, e : float64 arrays (k,)
        Radius in mm, angle in rad, visible energy in MeV; e > 0.
    """

    shower: Ints
    layer: Ints
    r: Floats
    alpha: Floats
    e: Floats


@dataclass(frozen=True)
class Lateral:
    """The fitted model.

    Attributes
    ----------
    edges : float64 array (R + 1,)
        Of the radial bins in mm, from 0 to the outermost hit.
    density : float64 array (P, B, L, R)
        Share of a layer's energy in each radial bin, per energy point and bin of the leading component.
    zone : int64 array (L, R)
        Row of `alpha` for each radial bin.
    alpha : float64 array (Z, N_ALPHA)
        Share of the energy in bins of alpha from -pi.
    hits : float64 array (L, 2)
        c0, c1 of ln n_eff.
    weights : float64 array (W, K)
        Quantiles of ln weight of hits in zones of r, at u from 0 to 1; (0, 0) where hits are equal.
    weight_edges : float64 array (W + 1,)
        Of those zones, mm.
    folded : bool array (L, 3)
        Which mirror symmetries were found: e1, e2, swap.
    law : bool array (L,)
        Layers that take the radial function instead of the histograms.
    pseudo : float
        The weight chosen for drawing histograms together.
    """

    edges: Floats
    density: Floats
    zone: Ints
    alpha: Floats
    hits: Floats
    weights: Floats
    weight_edges: Floats
    folded: npt.NDArray[np.bool_]
    law: npt.NDArray[np.bool_]
    pseudo: float

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return compact arrays to store; `from_tables` reads them."""
        return {
            "lateral_edges": self.edges,
            "lateral_density": np.sqrt(self.density).astype(np.float16),
            "lateral_zone": self.zone.astype(np.int32),
            "lateral_alpha": self.alpha.astype(np.float32),
            "lateral_hits": self.hits,
            "lateral_weights": self.weights.astype(np.float32),
            "lateral_weight_edges": self.weight_edges,
            "lateral_folded": self.folded,
            "lateral_law": self.law,
            "lateral_pseudo": np.array([self.pseudo]),
        }

    @classmethod
    def from_tables(cls, tables: Tables) -> Lateral:
        """Build from tables that hold what `to_arrays` returned."""
        density = tables["lateral_density"].astype(np.float64) ** 2
        density /= np.maximum(density.sum(axis=-1, keepdims=True), 1e-300)
        alpha = tables["lateral_alpha"].astype(np.float64)
        return cls(
            tables["lateral_edges"].astype(np.float64),
            density,
            tables["lateral_zone"].astype(np.int64),
            alpha / alpha.sum(axis=1, keepdims=True),
            tables["lateral_hits"].astype(np.float64),
            tables["lateral_weights"].astype(np.float64),
            tables["lateral_weight_edges"].astype(np.float64),
            tables["lateral_folded"],
            tables["lateral_law"],
            float(tables["lateral_pseudo"][0]),
        )

    @property
    def spread(self) -> Floats:
        """Mean square of the weights of hits per zone of r, (W,): hits per independent equal deposit."""
        return np.asarray((np.exp(self.weights) ** 2).mean(axis=1))


def hits_of(deposits: Deposits) -> LayerHits:
    """Return single hits with energy."""
    some = deposits.e > 0
    d1, d2 = deposits.d1[some].astype(np.float64), deposits.d2[some].astype(np.float64)
    return LayerHits(
        deposits.shower[some],
        deposits.layer[some].astype(np.int64),
        np.hypot(d1, d2),
        np.arctan2(d2, d1),
        deposits.e[some].astype(np.float64),
    )


def fit(
    geometry: Geometry,
    hits: LayerHits,
    points: EnergyPoints,
    energy: Floats,
    bin_: Ints,
    *,
    n_bins: int,
    cell: float,
    weighted: bool,
    law: Callable[[Floats], Floats] | None,
) -> Lateral:
    """Fit shapes and numbers of hits.

    Parameters
    ----------
    geometry : Geometry
    hits : LayerHits
        Of n showers.
    points : EnergyPoints
        Of the showers.
    energy : float64 array (n,)
        Kinetic energies in MeV.
    bin_ : int64 array (n,)
        Bin of the leading component of every shower.
    n_bins : int
    cell : float
        Width of the lateral cells in which hits were merged in mm, 0 for none.
    weighted : bool
        Give hits the spectrum of the stored ones; else they are equal.
    law : callable, optional
        From edges (R + 1,) in mm to the shares (P, L, R) that the tuned radial function puts between them.

    Raises
    ------
    FitError
        If there are fewer than 100 hits.
    """
    if len(hits.r) < 100:
        raise FitError(f"lateral: {len(hits.r)} hits with energy; at least 100 are needed")
    n_layers, n_points = geometry.n_layers, len(points)
    edges = _edges(hits, cell)
    n_r = len(edges) - 1
    column = np.minimum(np.searchsorted(edges, hits.r, side="right") - 1, n_r - 1)
    fold = np.arange(len(energy)) % _FOLDS
    group = (fold * n_points + points.point) * n_bins + bin_
    size = _FOLDS * n_points * n_bins
    flat = (group[hits.shower] * n_layers + hits.layer) * n_r + column
    shape = (_FOLDS, n_points, n_bins, n_layers, n_r)
    sums = np.bincount(flat, weights=hits.e / energy[hits.shower], minlength=size * n_layers * n_r)
    share = sums.astype(np.float64).reshape(shape)
    layers = np.bincount(group[hits.shower] * n_layers + hits.layer, minlength=size * n_layers)
    number = layers.astype(np.float64).reshape(shape[:-1])
    area = np.diff(edges**2)
    pseudo, own = _choose_pseudo(share, number, area)
    density = _drawn_together(share.sum(axis=0), number.sum(axis=0), area, pseudo)
    takes_law = np.zeros(n_layers, dtype=bool)
    if law is not None:
        shares = law(edges)
        predicted = np.einsum("pblr,plr->l", share.sum(axis=0), np.log(np.maximum(shares, 1e-12)))
        takes_law = predicted > own
        density = np.where(takes_law[:, None], shares[:, None], density)
    density = _raked(density, share.sum(axis=0), number.sum(axis=0))
    folded = _symmetries(hits, energy, n_layers)
    zone, alpha = _alpha(hits, column, n_r, n_layers, geometry, folded)
    weights, weight_edges = _weights(hits) if weighted else (np.zeros((1, 2)), np.array([0.0, np.inf]))
    return Lateral(
        edges,
        density,
        zone,
        alpha,
        _hit_numbers(geometry, hits, column, density, points, bin_),
        weights,
        weight_edges,
        folded,
        takes_law,
        pseudo,
    )


def _edges(hits: LayerHits, cell: float) -> Floats:
    """Edges of radial bins: cells in the core, then growing with r; every bin has some hits."""
    step = cell if cell > 0 else _NARROWEST
    top = float(hits.r.max()) * (1 + 1e-9)
    edges = [0.0]
    while edges[-1] < top:
        edges.append(edges[-1] + max(step, round((_GROWTH - 1.0) * edges[-1] / step) * step))
    grid = np.array([*edges[:-1], top])
    counts = np.histogram(hits.r, grid)[0]
    kept, held = [0.0], 0
    for k in range(len(counts)):
        held += int(counts[k])
        if held >= _MIN_HITS:
            kept.append(float(grid[k + 1]))
            held = 0
    kept[-1] = top
    return np.array(kept if len(kept) > 1 else [0.0, top])


def _drawn_together(share: Floats, number: Floats, area: Floats, pseudo: float) -> Floats:
    """Shares (P, B, L, R) from sums of energy and numbers of hits; coarser sums stand in for what is missing."""

    def step(own: Floats, n: Floats, wider: Floats) -> Floats:
        total = own.sum(axis=-1, keepdims=True)
        shape = own / np.where(total > 0, total, 1.0)
        n = np.where(total[..., 0] > 0, n, 0)[..., None]
        return np.asarray((n * shape + pseudo * wider) / (n + pseudo))

    everywhere = share.sum(axis=(0, 1, 2)) + 1e-9 * share.sum() * area / area.sum()
    of_layer = step(share.sum(axis=(0, 1)), number.sum(axis=(0, 1)), everywhere / everywhere.sum())
    of_energy = step(share.sum(axis=1), number.sum(axis=1), of_layer)
    return step(share, number, of_energy[:, None])


def _raked(density: Floats, share: Floats, number: Floats) -> Floats:
    """Densities (P, B, L, R) whose sum over layers and bins is that of the showers, at every energy.

    Drawn together, histograms of few hits lose how the shower's width changes with its energy: one factor for all
    layers per energy and radial bin gives it back (iterative proportional fitting).
    """
    layer = share.sum(axis=-1)
    seen = share.sum(axis=(1, 2))
    hits = number.sum(axis=(1, 2))[:, None] * seen / np.maximum(seen.sum(axis=1, keepdims=True), 1e-300)
    for _ in range(_RAKINGS):
        expected = np.einsum("pbl,pblr->pr", layer, density)
        ratio = np.where(expected > 0, seen / np.where(expected > 0, expected, 1.0), 1.0)
        factor = (hits * ratio + _RAKED_HITS) / (hits + _RAKED_HITS)
        density = density * factor[:, None, None]
        density /= np.maximum(density.sum(axis=-1, keepdims=True), 1e-300)
    return density


def _choose_pseudo(share: Floats, number: Floats, area: Floats) -> tuple[float, Floats]:
    """Weight that predicts the energy of left-out showers best, and its log-likelihood per layer."""
    best, chosen, of_layer = -np.inf, _PSEUDO[0], np.zeros(share.shape[3])
    for pseudo in _PSEUDO:
        found = np.zeros(share.shape[3])
        for f in range(_FOLDS):
            density = _drawn_together(share.sum(axis=0) - share[f], number.sum(axis=0) - number[f], area, pseudo)
            found += np.einsum("pblr,pblr->l", share[f], np.log(np.maximum(density, 1e-12)))
        if found.sum() > best:
            best, chosen, of_layer = float(found.sum()), pseudo, found
    return chosen, of_layer


def _symmetries(hits: LayerHits, energy: Floats, n_layers: int) -> npt.NDArray[np.bool_]:
    """Which mirrors leave each layer as it is: (L, 3) for e1 -> -e1, e2 -> -e2, e1 <-> e2.

    Moments that a mirror turns round, in four zones of r that hold equal energy, have the mean 0 over showers where the
    symmetry holds: Hotelling's T^2.
    """
    folded = np.zeros((n_layers, 3), dtype=bool)
    for layer in range(n_layers):
        own = hits.layer == layer
        if own.sum() < 200:
            folded[layer] = True
            continue
        shower, r, a = hits.shower[own], hits.r[own], hits.alpha[own]
        w = hits.e[own] / energy[shower]
        order = np.argsort(r)
        zone = np.empty(len(r), dtype=np.int64)
        zone[order] = np.minimum((np.cumsum(w[order]) / w.sum() * 4).astype(np.int64), 3)
        showers = np.unique(shower, return_inverse=True)[1]
        n = int(showers.max()) + 1

        def p_value(*odd: Floats, n: int = n, showers: Ints = showers, zone: Ints = zone, w: Floats = w) -> float:
            x = np.stack(
                [
                    np.bincount(showers[zone == z], weights=(w * m)[zone == z], minlength=n)
                    for z in range(4)
                    for m in odd
                ],
                axis=1,
            )
            k = x.shape[1]
            if n < 5 * k:
                return 1.0
            covariance = np.cov(x.T) + 1e-12 * np.eye(k) * np.trace(np.cov(x.T))
            t2 = n * x.mean(axis=0) @ np.linalg.solve(covariance, x.mean(axis=0))
            return float(stats.f.sf(t2 * (n - k) / (k * (n - 1)), k, n - k))

        limit = _BROKEN / n_layers
        folded[layer, 0] = p_value(np.cos(a), np.sin(2 * a)) > limit
        folded[layer, 1] = p_value(np.sin(a), np.sin(2 * a)) > limit
        folded[layer, 2] = p_value(np.cos(2 * a), np.cos(a) - np.sin(a)) > limit
    return folded


def _alpha(
    hits: LayerHits, column: Ints, n_r: int, n_layers: int, geometry: Geometry, folded: npt.NDArray[np.bool_]
) -> tuple[Ints, Floats]:
    """Zones of r and their histograms in alpha; row 0 is flat. Layers of one medium in a stack share theirs."""
    bin_ = np.minimum(((hits.alpha + np.pi) / (2 * np.pi) * N_ALPHA).astype(np.int64), N_ALPHA - 1)
    group = np.arange(n_layers) if n_layers <= 8 else geometry.layer_medium.astype(np.int64)
    zone = np.zeros((n_layers, n_r), dtype=np.int64)
    tables = [np.full(N_ALPHA, 1.0 / N_ALPHA)]
    for g in np.unique(group):
        members = np.flatnonzero(group == g)
        own = group[hits.layer] == g
        shape = (n_r, N_ALPHA)
        flat = column[own] * N_ALPHA + bin_[own]
        energy = np.bincount(flat, weights=hits.e[own], minlength=n_r * N_ALPHA).reshape(shape)
        square = np.bincount(flat, weights=hits.e[own] ** 2, minlength=n_r * N_ALPHA).reshape(shape)
        count = np.bincount(column[own], minlength=n_r)
        first = 0
        symmetric = np.asarray(folded[members].all(axis=0))
        for k in range(n_r):
            if count[first : k + 1].sum() < _ALPHA_HITS and k < n_r - 1:
                continue
            e, variance = energy[first : k + 1].sum(axis=0), square[first : k + 1].sum(axis=0)
            enough = count[first : k + 1].sum() >= _ALPHA_HITS
            e, variance = _fold(e, symmetric), _fold(variance, symmetric)
            chi2 = float(((e - e.mean()) ** 2 / np.maximum(variance.mean(), 1e-300)).sum())
            if enough and stats.chi2.sf(chi2, N_ALPHA - 1) < _FLAT:
                tables.append(e / e.sum())
                for layer in members:
                    zone[layer, first : k + 1] = len(tables) - 1
            first = k + 1
    return zone, np.array(tables)


def _fold(table: Floats, symmetric: npt.NDArray[np.bool_]) -> Floats:
    """Average a histogram in alpha with its mirror images."""
    n = len(table)
    if symmetric[1]:  # alpha -> -alpha
        table = 0.5 * (table + table[::-1])
    if symmetric[0]:  # alpha -> pi - alpha
        table = 0.5 * (table + np.roll(table[::-1], n // 2))
    if symmetric[2]:  # alpha -> pi/2 - alpha
        table = 0.5 * (table + np.roll(table[::-1], n // 4))
    return table


def _hit_numbers(
    geometry: Geometry, hits: LayerHits, column: Ints, density: Floats, points: EnergyPoints, bin_: Ints
) -> Floats:
    """c0, c1 of ln n_eff per layer; layers with few showers lean on those of their medium."""
    n, n_layers, n_r = len(bin_), geometry.n_layers, density.shape[3]
    medium = geometry.layer_medium
    collected: list[tuple[Floats, Floats]] = []
    for layer in range(n_layers):
        own = hits.layer == layer
        shower = hits.shower[own]
        total = np.bincount(shower, weights=hits.e[own], minlength=n)
        some = np.flatnonzero(total > 0)
        if not len(some):
            collected.append((np.empty(0), np.empty(0)))
            continue
        mean = density[:, :, layer].mean(axis=(0, 1))
        ring = np.minimum((np.cumsum(mean) - 0.5 * mean) * _RINGS, _RINGS - 1).astype(np.int64)
        quadrant = np.minimum(((hits.alpha[own] + np.pi) / (2 * np.pi) * _QUADRANTS).astype(np.int64), _QUADRANTS - 1)
        window = ring[column[own]] * _QUADRANTS + quadrant
        place = shower * _RINGS * _QUADRANTS + window
        held = np.bincount(place, weights=hits.e[own], minlength=n * _RINGS * _QUADRANTS)
        phi = held.reshape(n, _RINGS, _QUADRANTS)[some] / total[some, None, None]
        p_ring = np.zeros((n, _RINGS))
        for k in range(n_r):
            p_ring[:, ring[k]] += density[points.point, bin_, layer, k]
        by_angle = phi.sum(axis=(0, 1)) / len(some)
        p = p_ring[some, :, None] * by_angle
        used = p > 1e-6
        scatter = np.where(used, (phi - p) ** 2 / np.where(used, p, 1.0), 0.0).sum(axis=(1, 2))
        windows = np.maximum(used.sum(axis=(1, 2)) - 1, 1)
        collected.append((np.log(total[some]), scatter / windows))
    laws = np.zeros((n_layers, 2))
    for m in np.unique(medium):
        members = [int(k) for k in np.flatnonzero(medium == m)]
        x = np.concatenate([collected[k][0] for k in members])
        y = np.concatenate([collected[k][1] for k in members])
        together = _gamma_regression(x, y, np.array([0.0, 0.8]), 10.0)
        for member in members:
            laws[member] = _gamma_regression(*collected[member], together, 30.0)
    return laws


def _gamma_regression(x: Floats, y: Floats, prior: Floats, strength: float) -> Floats:
    """c0, c1 of E[y] = exp(-c0 - c1 x) by the likelihood of a Gamma law, which needs no more than the mean to be right.

    `strength` is the number of showers that the prior is worth.
    """
    if len(x) == 0:
        return prior.copy()
    middle = float(x.mean())
    c = np.array([prior[0] + prior[1] * middle, prior[1]])
    start = c.copy()
    spread = max(float(x.std()), 0.5)
    design = np.stack([np.ones(len(x)), x - middle], axis=1)
    hold = strength * np.diag([0.1, spread**2])
    for _ in range(50):
        ratio = np.minimum(y * np.exp(design @ c), 50.0)
        # d/dc of sum(eta - y exp(eta)); the expected curvature is the design's.
        step = np.linalg.solve(design.T @ design + hold, design.T @ (1.0 - ratio) - hold @ (c - start))
        c = c + np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < 1e-8:
            break
    return np.array([c[0] - c[1] * middle, c[1]])


def _weights(hits: LayerHits) -> tuple[Floats, Floats]:
    """Quantiles of ln(e / mean e at the hit's radius), and the edges of the one zone of r that they hold for.

    One spectrum for all radii: hits of a layer share its energy, and only if their weights have the same distribution
    is each one's mean share 1/n. With a wider spectrum far out, far hits lose energy to all others: 20 % of R50.
    """
    edges = [0.0]
    for edge in _WEIGHT_ZONES[1:]:
        inside = (hits.r >= edges[-1]) & (hits.r < edge)
        if inside.sum() >= 500 and (hits.r >= edge).sum() >= 500:
            edges.append(edge)
    zone = np.searchsorted(edges, hits.r, side="right") - 1
    mean = np.bincount(zone, weights=hits.e, minlength=len(edges)) / np.maximum(np.bincount(zone), 1)
    everywhere = np.array([0.0, np.inf])
    if len(hits.r) < _WEIGHT_KNOTS:
        return np.zeros((1, _WEIGHT_KNOTS)), everywhere
    # Means of equal parts of the sorted weights keep the mean exactly.
    parts = np.array([part.mean() for part in np.array_split(np.sort(hits.e / mean[zone]), _WEIGHT_KNOTS)])
    return np.log(parts / parts.mean())[None], everywhere
