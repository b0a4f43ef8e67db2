"""Hits inside rings: how many, where, and with which energies, given the ring's energy.

Per energy point and ring

* the mean number of hits as a function of the ring's energy;
* quantiles of their radius, of the logarithm of their energy, and of their depth within the layer;
* the number of clumps: hits of a shower lie together. Of m clumps with exponential weights and a spread sigma in alpha,
  the quadrupole Q = sum e exp(2 i alpha)/sum e has <|Q|^2> = 2 exp(-4 sigma^2)/(m + 1) from clumps and 1/n_part from
  single hits, which gives m from what is measured; m grows with the energy of the ring. (The dipole would say the same,
  but sampled showers are given their dipoles anyway.)

The azimuth follows P(alpha | r, layer), because stored hits were merged on a grid of cells, and so does the mean
energy of a hit relative to that of its zone in r: both are tables in zones of r, shared by all energies.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastparam.fit.rings import RingFeatures, Rings, ring_of_hits
from fastparam.shapes.quantile_table import KNOTS

if TYPE_CHECKING:
    from fastparam.fit.tables import Tables
    from fastparam.geometry.detector import Geometry
    from fastparam.summary.points import EnergyPoints
    from fastparam.summary.summary import Summary

__all__ = ["CLUMP_SPREAD", "N_ALPHA", "N_DEPTHS", "N_ENERGIES", "AlphaTables", "RingHits", "alpha_tables", "fit"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Spread in alpha of the hits of a clump in rad.
CLUMP_SPREAD = 0.3

#: Bins in alpha, from -pi.
N_ALPHA = 40

#: Knots in depth, evenly in probability; bins of a ring's energy.
N_DEPTHS, N_ENERGIES = 17, 6

#: Inner edges of the zones of the alpha tables, in lateral cells: as fine as cells are, which may grow outwards.
_ZONES_IN_CELLS = np.concatenate(
    [np.arange(0.5, 4.0, 0.5), np.arange(4, 16), np.arange(16, 40, 2), np.arange(40, 84, 4)]
)

#: Hits from which the azimuth of a zone gets a table, and the relative rms of what is left of it without its first two
#: harmonics from which a ring keeps its orientation: merging on a square grid shows there, the shower itself does not.
_MIN_HITS, _GRID_RMS = 2000, 0.1

#: Showers with two hits in a ring from which it is measured how they lie to each other.
_MIN_SHOWERS = 20

#: Layers from which those of one medium share their alpha tables.
_MANY_LAYERS = 8


@dataclass(frozen=True)
class AlphaTables:
    """Azimuth and energy of hits in Z zones, of L layers.

    Attributes
    ----------
    first : int64 array (L,)
        First zone of each layer; layers may share theirs.
    edges : float64 array (n_zones - 1,)
        Inner edges in mm of the zones of a layer.
    cumulative : float64 array (Z, 41)
        Cumulative distribution of alpha at the edges of the bins.
    factor : float64 array (Z, 40)
        Mean energy of hits per bin relative to the layer's.
    flat : bool array (Z,)
        Zones without the pattern of a grid.
    """

    first: Ints
    edges: Floats
    cumulative: Floats
    factor: Floats
    flat: npt.NDArray[np.bool_]

    def zone(self, layer: Ints, r: Floats) -> Ints:
        """Return the zone of hits at radii (n,) in mm in layers (n,)."""
        return np.asarray(self.first[layer] + np.searchsorted(self.edges, r, side="right"), dtype=np.int64)

    def structured(self, rings: Rings) -> npt.NDArray[np.bool_]:
        """Return which rings overlap zones with a pattern: they are not rotated, shape (G,)."""
        low, high = np.concatenate([[0.0], self.edges]), np.concatenate([self.edges, [np.inf]])
        layer = rings.section_layer[rings.section]
        zones = self.first[layer][:, None] + np.arange(len(low))
        overlap = (rings.r_low[:, None] < high) & (rings.r_high[:, None] > low)
        return np.asarray((overlap & ~self.flat[zones]).any(axis=1))


@dataclass(frozen=True)
class RingHits:
    """Tables of P energy points and G rings; K are the knots of `shapes.quantile_table`.

    Attributes
    ----------
    ln_energy, ln_number : float64 arrays (P, G, 6)
        Mean ln energy (MeV) of rings, and ln of the mean number of hits in them.
    clumps : float64 array (P, G)
        Clumps per MeV; 0 where hits are independent.
    pairs : float64 array (P, G)
        Mean of cos 2(alpha_i - alpha_j) over pairs of hits of a shower (`shapes.azimuth_pairs`): below 0 where hits
        keep apart, since they were merged in cells, above 0 where they lie together.
    r : float64 array (P, G, K)
        Quantiles of the radius in mm.
    ln_e : float64 array (P, G, K)
        Quantiles of ln(e / factor), e in MeV.
    depth : float64 array (P, G, 17)
        Quantiles, evenly in probability, of the depth in the layer, 0 at its entry and 1 at its exit. Weighted with
        energy: hits at the edge of a layer have less of it, and the mean profile is to come out right.
    azimuth : AlphaTables
    structured : bool array (G,)
        Rings that keep their orientation.
    """

    ln_energy: Floats
    ln_number: Floats
    clumps: Floats
    pairs: Floats
    r: Floats
    ln_e: Floats
    depth: Floats
    azimuth: AlphaTables
    structured: npt.NDArray[np.bool_]

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return compact arrays to store; `from_tables` reads them."""
        return {
            "hits_ln_energy": self.ln_energy.astype(np.float16),
            "hits_ln_number": self.ln_number.astype(np.float16),
            "hits_clumps": self.clumps.astype(np.float32),
            "hits_pairs": self.pairs.astype(np.float16),
            "hits_r": self.r.astype(np.float16),
            "hits_ln_e": self.ln_e.astype(np.float16),
            "hits_depth": np.round(255.0 * self.depth).astype(np.uint8),
            "hits_structured": self.structured,
            "zone_first": self.azimuth.first,
            "zone_edges": self.azimuth.edges,
            "zone_alpha": np.round(65535.0 * self.azimuth.cumulative).astype(np.uint16),
            "zone_factor": self.azimuth.factor.astype(np.float16),
            "zone_flat": self.azimuth.flat,
        }

    @classmethod
    def from_tables(cls, tables: Tables) -> RingHits:
        """Build from tables that hold what `to_arrays` returned."""
        names = ("ln_energy", "ln_number", "clumps", "r", "ln_e", "depth")
        values: dict[str, Any] = {name: tables[f"hits_{name}"].astype(np.float64) for name in names}
        # Tunes of a format below 4 have none.
        values["pairs"] = tables.arrays.get("hits_pairs", np.zeros_like(values["clumps"])).astype(np.float64)
        values["depth"] /= 255.0
        azimuth = AlphaTables(
            tables["zone_first"], tables["zone_edges"], tables["zone_alpha"].astype(np.float64) / 65535.0,
            tables["zone_factor"].astype(np.float64), tables["zone_flat"],
        )  # fmt: skip
        return cls(**values, azimuth=azimuth, structured=tables["hits_structured"])

    def expected(self, point: int, energy: Floats) -> Floats:
        """Mean numbers of hits of rings of these energies (n, G) in MeV at an energy point; 0 for empty rings."""
        found = np.zeros_like(energy)
        ln = np.log(np.maximum(energy, 1e-300))
        for g in range(energy.shape[1]):
            # Linear in ln E_ring, and as a power law of slope 1 beyond the table.
            x, y = self.ln_energy[point, g], self.ln_number[point, g]
            inside = np.clip(ln[:, g], x[0], x[-1])
            found[:, g] = np.exp(np.interp(inside, x, y) + ln[:, g] - inside)
        return np.where(energy > 0, np.maximum(found, 1.0), 0.0)


def fit(rings: Rings, showers: Summary, features: RingFeatures, points: EnergyPoints, azimuth: AlphaTables) -> RingHits:
    """Fit the tables to the deposits of a slice's showers.

    Parameters
    ----------
    rings : Rings
    showers : Summary
        With deposits; n showers.
    features : RingFeatures (n, G)
    points : EnergyPoints
        Of the showers.
    azimuth : AlphaTables
        Of all showers of the particle.
    """
    deposits = showers.deposits
    assert deposits is not None
    ring = ring_of_hits(rings, deposits)
    d1, d2 = deposits.d1.astype(np.float64), deposits.d2.astype(np.float64)
    r, alpha = np.hypot(d1, d2), np.arctan2(d2, d1)
    e = deposits.e.astype(np.float64)
    zone = azimuth.zone(deposits.layer.astype(np.int64), r)
    ln_e = np.log(np.maximum(e, 1e-300) / azimuth.factor[zone, _alpha_bin(alpha)])
    depth = deposits.depth.astype(np.float64) / 255.0
    n_points, n_rings = len(points), rings.n_rings
    section = rings.section
    key = points.point[deposits.shower] * n_rings + ring
    order = np.argsort(key, kind="stable")
    order = order[e[order] > 0]
    starts = np.searchsorted(key[order], np.arange(n_points * n_rings + 1))
    shape = (n_points, n_rings)
    out_r, out_e = np.zeros((*shape, len(KNOTS))), np.zeros((*shape, len(KNOTS)))
    out_depth = np.zeros((*shape, N_DEPTHS))
    filled = np.zeros(shape, dtype=bool)
    even = np.linspace(0.0, 1.0, N_DEPTHS)
    for p in range(n_points):
        for g in range(n_rings):
            own = order[starts[p * n_rings + g] : starts[p * n_rings + g + 1]]
            if len(own) < 5:
                continue
            filled[p, g] = True
            out_r[p, g] = _quantiles(r[own], KNOTS)
            out_e[p, g] = _quantiles(ln_e[own], KNOTS)
            cells = showers.binning.n_cells[rings.section_layer[section[g]]]
            out_depth[p, g] = _weighted_quantiles(depth[own], e[own], even) if cells > 1 else even
    for g in range(n_rings):
        have = np.flatnonzero(filled[:, g])
        for missing in np.flatnonzero(~filled[:, g]):
            if len(have):
                near = have[np.argmin(np.abs(have - missing))]
                for table in (out_r, out_e, out_depth):
                    table[missing, g] = table[near, g]
            else:
                outer = rings.r_high[g] if np.isfinite(rings.r_high[g]) else 2.0 * rings.r_low[g] + 1.0
                out_r[missing, g] = rings.r_low[g] + KNOTS * (outer - rings.r_low[g])
                s = section[g]
                out_depth[missing, g] = np.linspace(rings.section_from[s], rings.section_to[s], N_DEPTHS)
    ln_energy, ln_number = _numbers(features, points)
    return RingHits(
        ln_energy,
        ln_number,
        _clumps(features, points),
        _pairs(features, points),
        out_r,
        out_e,
        out_depth,
        azimuth,
        azimuth.structured(rings),
    )


def alpha_tables(geometry: Geometry, showers: Summary) -> AlphaTables:
    """Measure where hits lie in alpha, and how their mean energy depends on it, zone by zone in r.

    Layers of one medium share their tables where there are many (plates of a stack).
    """
    deposits = showers.deposits
    assert deposits is not None
    layer = deposits.layer.astype(np.int64)
    d1, d2 = deposits.d1.astype(np.float64), deposits.d2.astype(np.float64)
    e = deposits.e.astype(np.float64)
    cell = showers.binning.lateral_cell
    edges = cell * _ZONES_IN_CELLS if cell > 0 else np.zeros(0)
    n_zones = len(edges) + 1
    many = geometry.n_layers > _MANY_LAYERS
    group = geometry.layer_medium.astype(np.int64) if many else np.arange(geometry.n_layers)
    n_total = (int(group.max()) + 1) * n_zones
    zone = group[layer] * n_zones + np.searchsorted(edges, np.hypot(d1, d2), side="right")
    number = zone * N_ALPHA + _alpha_bin(np.arctan2(d2, d1))
    counts = np.bincount(number, minlength=n_total * N_ALPHA).reshape(n_total, N_ALPHA).astype(np.float64)
    energies = np.bincount(number, weights=e, minlength=n_total * N_ALPHA).reshape(n_total, N_ALPHA)
    cumulative = np.tile(np.linspace(0, 1, N_ALPHA + 1), (n_total, 1))
    factor, flat = np.ones((n_total, N_ALPHA)), np.ones(n_total, dtype=bool)
    for k in range(n_total):
        count, n = counts[k], counts[k].sum()
        layers = slice(k // n_zones * n_zones, (k // n_zones + 1) * n_zones)
        typical = energies[layers].sum() / max(counts[layers].sum(), 1.0)
        of_zone = energies[k].sum() / n / typical if n > 20 else 1.0
        factor[k] = np.clip(of_zone, 0.05, 20.0)
        if n < _MIN_HITS:
            continue
        waves = np.fft.rfft(count)
        waves[:3] = 0.0
        fine = np.fft.irfft(waves, N_ALPHA)
        noise = count.mean() * (1 - 5 / N_ALPHA)
        grid = np.sqrt(max(float((fine**2).mean()) - noise, 0.0)) / count.mean()
        mean = energies[k] / np.maximum(count, 1.0)
        cumulative[k] = np.concatenate([[0.0], np.cumsum(count) / n])
        factor[k] = np.clip(np.where(count > 20, mean / typical, of_zone), 0.05, 20.0)
        flat[k] = grid < _GRID_RMS
    return AlphaTables(group * n_zones, edges, cumulative, factor, flat)


def _alpha_bin(alpha: Floats) -> Ints:
    return np.minimum(((alpha + np.pi) / (2 * np.pi) * N_ALPHA).astype(np.int64), N_ALPHA - 1)


def _quantiles(values: Floats, probabilities: Floats) -> Floats:
    ordered = np.sort(values)
    place = probabilities * (len(ordered) - 1)
    low = np.minimum(place.astype(np.int64), len(ordered) - 2)
    return np.asarray(ordered[low] + (place - low) * (ordered[low + 1] - ordered[low]))


def _weighted_quantiles(values: Floats, weights: Floats, probabilities: Floats) -> Floats:
    order = np.argsort(values)
    cumulative = np.cumsum(weights[order])
    middle = (cumulative - 0.5 * weights[order]) / cumulative[-1]
    return np.interp(probabilities, middle, values[order])


def _numbers(features: RingFeatures, points: EnergyPoints) -> tuple[Floats, Floats]:
    """Mean ln energy of rings and ln of mean numbers of hits in six bins of ring energy, shapes (P, G, 6)."""
    n_rings = features.energy.shape[1]
    x, y = np.zeros((len(points), n_rings, N_ENERGIES)), np.zeros((len(points), n_rings, N_ENERGIES))
    for g in range(n_rings):
        known = np.flatnonzero(features.energy[:, g] > 0)
        ln_energy = np.log(np.maximum(features.energy[:, g], 1e-300))
        typical = float(ln_energy[known].mean()) if len(known) else 0.0
        for p in range(len(points)):
            rows = known[points.point[known] == p]
            if len(rows) < 3:
                # One hit, growing with the energy beyond what is typical.
                x[p, g] = typical + np.arange(N_ENERGIES) * 1e-3
                continue
            rows = rows[np.argsort(features.energy[rows, g])]
            n_bins = int(np.clip(len(rows) // 5, 1, N_ENERGIES))
            edges = np.linspace(0, len(rows), n_bins + 1).astype(np.int64)
            width = np.diff(edges)
            mean_x = np.add.reduceat(ln_energy[rows], edges[:-1]) / width
            mean_y = np.log(np.add.reduceat(features.hits[rows, g], edges[:-1]) / width)
            knots = np.linspace(0, n_bins - 1, N_ENERGIES)
            x[p, g] = np.interp(knots, np.arange(n_bins), mean_x) + np.arange(N_ENERGIES) * 1e-3
            y[p, g] = np.interp(knots, np.arange(n_bins), mean_y)
    return x, y


def _with_pairs(features: RingFeatures, points: EnergyPoints) -> Iterator[tuple[int, int, Ints]]:
    """Go through energy points and rings where enough showers have two hits, and say which showers."""
    for p in range(len(points)):
        rows = points.point == p
        for g in range(features.energy.shape[1]):
            own = np.flatnonzero(rows & (features.hits[:, g] >= 2))
            if len(own) >= _MIN_SHOWERS:
                yield p, g, own


def _pairs(features: RingFeatures, points: EnergyPoints) -> Floats:
    """Mean cos 2(alpha_i - alpha_j) of pairs of hits, relative to the mean shower, shape (P, G); 0 if none is seen."""
    found = np.zeros((len(points), features.energy.shape[1]))
    for p, g, own in _with_pairs(features, points):
        n = features.hits[own, g]
        q1, q2 = features.q1[own, g], features.q2[own, g]
        q1, q2 = q1 - n @ q1 / n.sum(), q2 - n @ q2 / n.sum()
        both, pairs = (n * q1) ** 2 + (n * q2) ** 2 - n, n * (n - 1.0)
        kappa = float(both.sum() / pairs.sum())
        error = float(np.sqrt(((both - kappa * pairs) ** 2).sum()) / pairs.sum())
        if abs(kappa) > 2.0 * error:
            found[p, g] = np.clip(kappa, -1.0, 1.0)
    return found


def _clumps(features: RingFeatures, points: EnergyPoints) -> Floats:
    """Clumps per MeV of ring energy, shape (P, G); 0 where hits are as good as independent."""
    found = np.zeros((len(points), features.energy.shape[1]))
    for p, g, own in _with_pairs(features, points):
        energy = features.energy[own, g]
        weight = energy / energy.sum()
        q1, q2 = features.q1[own, g], features.q2[own, g]
        by_angle = (q1 - weight @ q1) ** 2 + (q2 - weight @ q2) ** 2
        by_hits = 1.0 / features.hits[own, g]
        excess = float(weight @ (by_angle - by_hits))
        error = float(np.sqrt((weight**2 * (by_angle - by_hits - excess) ** 2).sum()))
        if excess < 2.0 * error:
            continue
        number = 2.0 * np.exp(-4.0 * CLUMP_SPREAD**2) / excess - 1.0
        found[p, g] = max(number, 1.0) / float(weight @ energy)
    return found
