"""Voxel model: all that the sampler of the recipe `voxel` needs of a slice, from its showers in voxels.

The features of a shower, in this order (K layers, G rings; `fit.voxel_rings`):

    total/E | layer/E (K) | ring/E (G) | dipoles D_1, then D_2 | number of voxels hit

Those of rings are there for the rings that have them. They follow a smoothed empirical copula (`fit.copula`). Voxels
and features together have a factor model of their normal scores in which empty ones are censored (`fit.factors`), so
that features drawn from the copula say how the factors are distributed, and those how the voxels are.

Per energy point, every voxel has its probability of being empty and quantiles of ln(energy/E) of the rest. The parts in
alpha of a ring of voxels share them where their scores agree in mean and width within errors: they do around a line at
normal incidence, they do not where hits were merged in cells of the voxels' size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special
from scipy.stats import chi2

from fastparam.errors import InputError
from fastparam.fit import copula
from fastparam.fit.factors import Factors, fit_factors
from fastparam.fit.tables import Tables
from fastparam.fit.voxel_rings import VoxelRings, choose_voxel_rings
from fastparam.geometry.voxels import VoxelBinning
from fastparam.shapes.root_odds import quantiles
from fastparam.summary.points import EnergyPoints

__all__ = ["VoxelModel", "features_of", "fit"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Knots of the quantile tables, and of those of features when they are prepared for sampling.
_KNOTS = 28

#: Training showers that a factor needs, at least.
_SHOWERS_PER_FACTOR = 8

#: The form in which tables keep numbers of hit voxels: see `features_of`.
_HITS = "deposits per voxel"

#: Probability below which the parts in alpha of a ring of voxels count as different.
_SAME = 0.01


@dataclass(frozen=True)
class VoxelModel:
    """The model of one slice: P energy points, k features, Q groups of voxels with common tables.

    Attributes
    ----------
    rings : VoxelRings
    copula : Copula
        Of the features.
    group : int64 array (n_voxels,)
        Number of the tables of every voxel.
    zero : float64 array (P, Q)
        Probability of being empty.
    quantiles : float64 array (P, Q, knots)
        Of ln(energy/E) of hit voxels, at the knots of `shapes.root_odds`.
    factors : Factors
        Of n_voxels + k scores.
    counts : int64 array (P,)
        Training showers of every energy point.
    """

    rings: VoxelRings
    copula: copula.Copula
    group: Ints
    zero: Floats
    quantiles: Floats
    factors: Factors
    counts: Ints

    def to_tables(self) -> Tables:
        """Return compact tables to store; `from_tables` reads them."""
        low, high = float(self.quantiles.min()), float(self.quantiles.max())
        span = max(high - low, 1e-12)
        arrays: dict[str, npt.NDArray[Any]] = {
            **self.rings.to_arrays(),
            **self.copula.to_arrays(),
            "group": self.group.astype(np.int16),
            "zero": self.zero.astype(np.float32),
            "quantiles": np.round((self.quantiles - low) / span * 65535.0).astype(np.uint16),
            "loadings": self.factors.loadings.astype(np.float16),
            "unique": self.factors.unique.astype(np.float16),
            "counts": self.counts.astype(np.int32),
        }
        return Tables(arrays, {"binning": self.rings.binning.to_json(), "low": low, "span": span, "hits": _HITS})

    @classmethod
    def from_tables(cls, tables: Tables) -> VoxelModel:
        """Build from what `to_tables` returned.

        Raises
        ------
        InputError
            If numbers of hit voxels are kept in another form, as they were before 2026-12-01.
        """
        if tables.settings.get("hits") != _HITS:
            raise InputError(
                "the tune's recipe `voxel` was fitted by another version of fastparam, which kept numbers of hit voxels"
                " in another form; make the tune again with `fastparam tune`"
            )
        binning = VoxelBinning.from_json(tables.settings["binning"])
        stored = tables["quantiles"].astype(np.float64) / 65535.0
        return cls(
            VoxelRings.from_arrays(binning, tables.arrays),
            copula.Copula.from_tables(tables),
            tables["group"].astype(np.int64),
            tables["zero"].astype(np.float64),
            tables.settings["low"] + tables.settings["span"] * stored,
            Factors(tables["loadings"].astype(np.float32), tables["unique"].astype(np.float32)),
            tables["counts"].astype(np.int64),
        )


def fit(
    voxels: Floats,
    binning: VoxelBinning,
    energy: Floats,
    points: EnergyPoints,
    *,
    phase: Floats | None = None,
    max_scores: int = copula.MAX_SCORES,
    rank: int = 60,
    rings: VoxelRings | None = None,
    seed: int = 1,
) -> VoxelModel:
    """Fit the model to n showers.

    Parameters
    ----------
    voxels : float64 array (n, n_voxels)
        Visible energy in MeV.
    binning : VoxelBinning
    energy : float64 array (n,)
        Kinetic energies in MeV.
    points : EnergyPoints
        Of the same showers.
    phase : float64 array (n,), optional
        2 pi (phi modulo pitch)/pitch where the detector has a modulation.
    max_scores : int
        See `copula.fit`.
    rank : int
        Number of factors, 0 for voxels that are independent of each other in a ring; at most an eighth of n is used.
    rings : VoxelRings, optional
        Default: chosen from the showers.
    seed : int
        Of random numbers for ties and censored scores.
    """
    rings = choose_voxel_rings(binning, voxels) if rings is None else rings
    features = features_of(rings, voxels, energy, seed=seed)
    model = copula.fit(features, points, energy=energy, phase=phase, max_scores=max_scores)
    relative = voxels / energy[:, None]
    group = _groups(binning, relative, points)
    zero, tables, z, limit = _tables(relative, group, points)
    feature_z, feature_censored, feature_limit = _feature_scores(features, points)
    used = min(rank, len(energy) // _SHOWERS_PER_FACTOR)
    if used < 1:
        p = binning.n_voxels + features.values.shape[1]
        factors = Factors(np.zeros((p, 1), dtype=np.float32), np.ones(p, dtype=np.float32))
    else:
        factors = fit_factors(
            np.concatenate([z, feature_z], axis=1),
            np.concatenate([voxels <= 0.0, feature_censored], axis=1),
            np.concatenate([limit, feature_limit], axis=1),
            used,
            seed=seed,
        )
    return VoxelModel(rings, model, group, zero, tables, factors, points.counts)


def features_of(rings: VoxelRings, voxels: Floats, energy: Floats, *, seed: int = 1) -> copula.Features:
    """Return the features of n showers.

    Numbers of hit voxels are spread over -1/2 to +1/2 at random: rounded they are themselves again, and between energy
    points their distribution moves smoothly. A number n of m voxels is kept as -ln(1 - n/(m + 1)), the deposits per
    voxel that would hit so many: nearly a power of the energy, as probabilities of zero are, where n itself saturates.
    """
    own = rings.sum(voxels)
    layers = rings.sum_layers(own)
    hits = rings.sum((voxels > 0.0).astype(np.float64))[:, rings.with_count]
    size = rings.size[rings.with_count]
    spread = np.random.default_rng(seed).uniform(-0.5, 0.5, hits.shape)
    deposits = -np.log1p(-(hits + spread) / (size + 1.0))
    d1, d2 = rings.dipoles(voxels)
    by_energy = np.concatenate([layers.sum(axis=1, keepdims=True), layers, own], axis=1) / energy[:, None]
    values = np.concatenate([by_energy, d1, d2, np.where(hits > 0, deposits, np.nan)], axis=1)
    positive = np.ones(values.shape[1], dtype=bool)
    positive[by_energy.shape[1] : by_energy.shape[1] + 2 * d1.shape[1]] = False
    return copula.Features(values, positive)


def _groups(binning: VoxelBinning, relative: Floats, points: EnergyPoints) -> Ints:
    """Return the number of every voxel's tables: of its ring of voxels where the parts in alpha agree, else its own."""
    shared = np.unique(binning.layer * (int(binning.ring.max()) + 1) + binning.ring, return_inverse=True)[1]
    n_tests = 2 * (int(shared.max()) + 1)
    key = np.empty(binning.n_voxels, dtype=np.int64)
    for g in range(int(shared.max()) + 1):
        own = np.flatnonzero(shared == g)
        x = relative[:, own]
        score = np.zeros_like(x)
        for p in range(len(points)):
            rows = points.point == p
            # Ranks among all parts alike, so that every energy and size of deposit counts the same.
            flat = np.argsort(np.argsort(x[rows], axis=None, kind="stable"), kind="stable") + 0.5
            filled = special.ndtri(flat / flat.size).reshape(x[rows].shape)
            empty = x[rows] <= 0.0
            filled[empty] = filled[empty].mean() if empty.any() else 0.0
            score[rows] = filled
        alike = all(_agree(moment) > _SAME / n_tests for moment in (score, score**2))
        key[own] = binning.n_voxels + g if alike else own
    return np.unique(key, return_inverse=True)[1].astype(np.int64)


def _agree(values: Floats) -> float:
    """Probability of differences of the column means at least as large as seen, if they are equal; rows independent."""
    n, parts = values.shape
    if parts < 2:
        return 1.0
    difference = values - values.mean(axis=1, keepdims=True)
    mean = difference.mean(axis=0)
    variance = np.maximum(difference.var(axis=0, ddof=1) / n, 1e-300)
    return float(chi2.sf((mean**2 / variance).sum() * (parts - 1) / parts, parts - 1))


def _tables(relative: Floats, group: Ints, points: EnergyPoints) -> tuple[Floats, Floats, Floats, Floats]:
    """Probability of zero (P, Q), quantiles (P, Q, knots), scores (n, n_voxels) and their limits if empty."""
    n_points, n_groups = len(points), int(group.max()) + 1
    zero, tables = np.ones((n_points, n_groups)), np.zeros((n_points, n_groups, _KNOTS))
    z, limit = np.zeros(relative.shape), np.zeros(relative.shape)
    members = [np.flatnonzero(group == g) for g in range(n_groups)]
    for p in range(n_points):
        rows = np.flatnonzero(points.point == p)
        x = relative[rows]
        for g, own in enumerate(members):
            values = x[:, own]
            hit = values > 0.0
            m = int(hit.sum())
            zero[p, g] = 1.0 - m / values.size
            limit[np.ix_(rows, own)] = special.ndtri(zero[p, g])
            if m:
                ln = np.log(values[hit])
                tables[p, g] = quantiles(ln, _KNOTS)
                rank = np.empty(m)
                rank[np.argsort(ln, kind="stable")] = np.arange(m) + 0.5
                scores = np.zeros(values.shape)
                scores[hit] = special.ndtri(zero[p, g] + (1.0 - zero[p, g]) * rank / m)
                z[np.ix_(rows, own)] = scores
    # Where a voxel is never hit, the quantiles of the nearest point stand in.
    for number in range(n_groups):
        have = np.flatnonzero(zero[:, number] < 1.0)
        for empty in np.flatnonzero(zero[:, number] >= 1.0):
            near = int(have[np.argmin(np.abs(have - empty))]) if len(have) else 0
            tables[empty, number] = tables[near, number] if len(have) else np.log(1e-6)
    return zero, tables, z, limit


def _feature_scores(features: copula.Features, points: EnergyPoints) -> tuple[Floats, npt.NDArray[np.bool_], Floats]:
    """Scores of features, which of them are censored, and their limits; nothing is known of an undefined one."""
    z = copula.scores_of(features, points)
    undefined = np.isnan(features.values)
    empty = (features.values == 0.0) & features.positive
    limit = np.full(z.shape, np.inf)
    for p in range(len(points)):
        rows = points.point == p
        limit[rows] = np.where(undefined[rows], np.inf, special.ndtri(empty[rows].mean(axis=0)))
    return z, undefined | empty, limit
