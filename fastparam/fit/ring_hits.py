"""Hits inside rings: how many, where, and with which energies, given the ring's energy.

Per energy point and ring

* the mean number of hits as a function of the ring's energy;
* quantiles of their radius, of the logarithm of their energy, and of their depth within the section;
* the number of clumps: hits of a shower lie together. Of m clumps with exponential weights and a spread of 0.3 in
  alpha, the dipole has <|D|^2> = 2 exp(-0.3^2)/(m + 1) from clumps and 1/n_part from single hits, which gives m from
  what is measured; m grows with the energy of the ring.

The azimuth follows P(alpha | r, layer), because stored hits were merged on a grid of cells, and so does the mean
energy of a hit relative to its radius: both are tables in zones of r, shared by all energies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastparam.fit.rings import RingFeatures, Rings, ring_of_hits

if TYPE_CHECKING:
    from fastparam.fit.tables import Tables
    from fastparam.geometry.detector import Geometry
    from fastparam.summary.points import EnergyPoints
    from fastparam.summary.summary import Summary

__all__ = ["ALPHA_SPREAD", "N_ALPHA", "RingHits", "fit"]

Floats = npt.NDArray[np.float64]

#: Spread in alpha of the hits of a clump in rad.
ALPHA_SPREAD = 0.3

#: Bins in alpha, from -pi.
N_ALPHA = 40

_R_KNOTS, _E_KNOTS, _DEPTH_KNOTS, _ENERGY_BINS = 17, 17, 9, 6

#: Zones in r of the alpha tables, in lateral cells; a zone without structure is uniform.
_ZONES_IN_CELLS = (0.0, 0.7, 1.5, 2.5, 4.0, 6.0, 9.0, 13.0, 20.0, 40.0)

#: Hits from which the azimuth of a zone gets a table, and the relative rms of what is left of it without its first two
#: harmonics from which a ring keeps its orientation: merging on a square grid shows there, the shower itself does not.
_MIN_HITS, _GRID_RMS = 2000, 0.1


@dataclass(frozen=True)
class RingHits:
    """Tables of P energy points, G rings and Z zones.

    Attributes
    ----------
    ln_energy, ln_number : float64 arrays (P, G, 6)
        Mean ln energy (MeV) of rings, and ln of the mean number of hits in them.
    clumps : float64 array (P, G)
        Clumps per MeV; 0 where hits are independent.
    r : float64 array (P, G, 17)
        Quantiles of the radius in mm, evenly in probability.
    ln_e : float64 array (P, G, 17)
        Quantiles of ln(e / mean of the zone's factor), e in MeV.
    depth : float64 array (P, G, 9)
        Quantiles of the depth in the layer, 0 at its entry and 1 at its exit.
    zone_first : int64 array (L + 1,)
        Where the zones of each layer begin.
    zone_r : float64 array (Z,)
        Outer radius of each zone in mm.
    alpha : float64 array (Z, 41)
        Cumulative distribution of alpha at the edges of the bins.
    factor : float64 array (Z, 40)
        Mean energy of hits per bin relative to the zone's.
    structured : bool array (G,)
        Whether the ring lies in zones with structure in alpha: it is then not rotated.
    """

    ln_energy: Floats
    ln_number: Floats
    clumps: Floats
    r: Floats
    ln_e: Floats
    depth: Floats
    zone_first: npt.NDArray[np.int64]
    zone_r: Floats
    alpha: Floats
    factor: Floats
    structured: npt.NDArray[np.bool_]

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return compact arrays to store; `from_tables` reads them."""
        return {
            "hits_ln_energy": self.ln_energy.astype(np.float16),
            "hits_ln_number": self.ln_number.astype(np.float16),
            "hits_clumps": self.clumps.astype(np.float32),
            "hits_r": self.r.astype(np.float16),
            "hits_ln_e": self.ln_e.astype(np.float16),
            "hits_depth": np.round(255.0 * self.depth).astype(np.uint8),
            "hits_zone_first": self.zone_first,
            "hits_zone_r": self.zone_r.astype(np.float32),
            "hits_alpha": np.round(65535.0 * self.alpha).astype(np.uint16),
            "hits_factor": self.factor.astype(np.float16),
            "hits_structured": self.structured,
        }

    @classmethod
    def from_tables(cls, tables: Tables) -> RingHits:
        """Build from tables that hold what `to_arrays` returned."""
        names = ("ln_energy", "ln_number", "clumps", "r", "ln_e", "depth", "zone_r", "alpha", "factor")
        values: dict[str, Any] = {name: tables[f"hits_{name}"].astype(np.float64) for name in names}
        values["depth"] /= 255.0
        values["alpha"] /= 65535.0
        return cls(**values, zone_first=tables["hits_zone_first"], structured=tables["hits_structured"])

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


def fit(geometry: Geometry, rings: Rings, showers: Summary, features: RingFeatures, points: EnergyPoints) -> RingHits:
    """Fit the tables to the deposits of a slice's showers.

    Parameters
    ----------
    geometry : Geometry
    rings : Rings
    showers : Summary
        With deposits; n showers.
    features : RingFeatures (n, G)
    points : EnergyPoints
        Of the showers.
    """
    deposits = showers.deposits
    assert deposits is not None
    ring = ring_of_hits(rings, deposits)
    d1, d2 = deposits.d1.astype(np.float64), deposits.d2.astype(np.float64)
    r, alpha = np.hypot(d1, d2), np.arctan2(d2, d1)
    e = deposits.e.astype(np.float64)
    layer = deposits.layer.astype(np.int64)
    zones = _alpha_tables(geometry, showers, layer, r, alpha, e)
    zone_first, zone_r, table, factor, flat = zones
    zone = _zone_of(zone_first, zone_r, layer, r)
    bin_ = np.minimum(((alpha + np.pi) / (2 * np.pi) * N_ALPHA).astype(np.int64), N_ALPHA - 1)
    ln_e = np.log(np.maximum(e, 1e-300) / factor[zone, bin_])
    n_points, n_rings = len(points), rings.n_rings
    shape = (n_points, n_rings)
    out_r, out_e = np.zeros((*shape, _R_KNOTS)), np.zeros((*shape, _E_KNOTS))
    out_depth = np.zeros((*shape, _DEPTH_KNOTS))
    section = rings.section
    order = np.lexsort((ring, points.point[deposits.shower]))
    key = points.point[deposits.shower][order] * n_rings + ring[order]
    starts = np.searchsorted(key, np.arange(n_points * n_rings + 1))
    filled = np.zeros(shape, dtype=bool)
    depth = deposits.depth.astype(np.float64) / 255.0
    for p in range(n_points):
        for g in range(n_rings):
            own = order[starts[p * n_rings + g] : starts[p * n_rings + g + 1]]
            own = own[e[own] > 0]
            if len(own) < 5:
                continue
            filled[p, g] = True
            out_r[p, g] = np.quantile(r[own], np.linspace(0, 1, _R_KNOTS))
            out_e[p, g] = np.quantile(ln_e[own], np.linspace(0, 1, _E_KNOTS))
            if showers.binning.n_cells[layer[own[0]]] > 1:
                out_depth[p, g] = np.quantile(depth[own], np.linspace(0, 1, _DEPTH_KNOTS))
            else:
                out_depth[p, g] = np.linspace(0, 1, _DEPTH_KNOTS)
    ln_energy, ln_number = _numbers(features, points)
    clumps = _clumps(features, points)
    mean_r = np.where(np.isfinite(rings.r_high), 0.5 * (rings.r_low + rings.r_high), 1.5 * rings.r_low + 1.0)
    for g in range(n_rings):
        have = np.flatnonzero(filled[:, g])
        for empty in np.flatnonzero(~filled[:, g]):
            if len(have):
                near = have[np.argmin(np.abs(have - empty))]
                out_r[empty, g], out_e[empty, g], out_depth[empty, g] = (
                    out_r[near, g],
                    out_e[near, g],
                    out_depth[near, g],
                )
            else:
                out_r[p, g], out_depth[p, g] = (
                    mean_r[g],
                    np.linspace(rings.section_from[section[g]], rings.section_to[section[g]], _DEPTH_KNOTS),
                )
    structured = np.zeros(n_rings, dtype=bool)
    for g in range(n_rings):
        own_layer = rings.section_layer[section[g]]
        mine = slice(zone_first[own_layer], zone_first[own_layer + 1])
        inner = np.concatenate([[0.0], zone_r[mine][:-1]])
        structured[g] = bool((~flat[mine] & (inner < rings.r_high[g]) & (zone_r[mine] > rings.r_low[g])).any())
    return RingHits(
        ln_energy, ln_number, clumps, out_r, out_e, out_depth, zone_first, zone_r, table, factor, structured
    )


def _alpha_tables(
    geometry: Geometry, showers: Summary, layer: npt.NDArray[np.int64], r: Floats, alpha: Floats, e: Floats
) -> tuple[npt.NDArray[np.int64], Floats, Floats, Floats, npt.NDArray[np.bool_]]:
    """Zones of every layer with their cumulative in alpha, energy factors, and whether they are flat.

    Layers of one medium that are a single depth cell (plates of a stack) share their tables.
    """
    cell = showers.binning.lateral_cell
    edges = np.array([z * cell for z in _ZONES_IN_CELLS[1:]] + [np.inf]) if cell > 0 else np.array([np.inf])
    n_zones = len(edges)
    n_layers = geometry.n_layers
    group = np.arange(n_layers)
    if n_layers > 8:
        group = geometry.layer_medium.astype(np.int64)
    tables = np.tile(np.linspace(0, 1, N_ALPHA + 1), (n_layers * n_zones, 1))
    factors = np.ones((n_layers * n_zones, N_ALPHA))
    flat = np.ones(n_layers * n_zones, dtype=bool)
    zone = np.searchsorted(edges, r, side="right")
    bin_ = np.minimum(((alpha + np.pi) / (2 * np.pi) * N_ALPHA).astype(np.int64), N_ALPHA - 1)
    for g in np.unique(group):
        members = np.flatnonzero(group == g)
        inside = group[layer] == g
        for k in range(n_zones):
            own = inside & (zone == k)
            n = int(own.sum())
            if n < _MIN_HITS:
                continue
            count = np.bincount(bin_[own], minlength=N_ALPHA).astype(np.float64)
            energy = np.bincount(bin_[own], weights=e[own], minlength=N_ALPHA)
            waves = np.fft.rfft(count)
            waves[:3] = 0.0
            fine = np.fft.irfft(waves, N_ALPHA)
            grid = np.sqrt(max(float((fine**2).mean()) - count.mean() * (1 - 5 / N_ALPHA), 0.0)) / count.mean()
            mean = energy / np.maximum(count, 1.0)
            relative = np.where(count > 20, mean / (energy.sum() / n), 1.0)
            for m in members:
                tables[m * n_zones + k] = np.concatenate([[0.0], np.cumsum(count) / n])
                factors[m * n_zones + k] = np.clip(relative, 0.2, 5.0)
                flat[m * n_zones + k] = grid < _GRID_RMS
    first = np.arange(n_layers + 1) * n_zones
    return first.astype(np.int64), np.tile(edges, n_layers), tables, factors, flat


def _zone_of(first: npt.NDArray[np.int64], edges: Floats, layer: npt.NDArray[np.int64], r: Floats) -> Any:
    n_zones = int(first[1] - first[0])
    return first[layer] + np.searchsorted(edges[:n_zones], r, side="right")


def _numbers(features: RingFeatures, points: EnergyPoints) -> tuple[Floats, Floats]:
    """Mean ln energy of rings and ln of mean numbers of hits in six bins of ring energy, shapes (P, G, 6)."""
    n_rings = features.energy.shape[1]
    x, y = np.zeros((len(points), n_rings, _ENERGY_BINS)), np.zeros((len(points), n_rings, _ENERGY_BINS))
    for g in range(n_rings):
        known = np.flatnonzero(features.energy[:, g] > 0)
        typical = float(np.log(features.energy[known, g]).mean()) if len(known) else 0.0
        for p in range(len(points)):
            rows = known[points.point[known] == p]
            if len(rows) < 3:
                # One hit, growing with the energy beyond what is typical.
                x[p, g] = typical + np.arange(_ENERGY_BINS) * 1e-3
                continue
            rows = rows[np.argsort(features.energy[rows, g])]
            n_bins = int(np.clip(len(rows) // 5, 1, _ENERGY_BINS))
            parts = np.array_split(rows, n_bins)
            mean_x = np.array([np.log(features.energy[part, g]).mean() for part in parts])
            mean_y = np.array([np.log(features.hits[part, g].mean()) for part in parts])
            knots = np.linspace(0, n_bins - 1, _ENERGY_BINS)
            x[p, g] = np.interp(knots, np.arange(n_bins), mean_x) + np.arange(_ENERGY_BINS) * 1e-3
            y[p, g] = np.interp(knots, np.arange(n_bins), mean_y)
    return x, y


def _clumps(features: RingFeatures, points: EnergyPoints) -> Floats:
    """Clumps per MeV of ring energy, shape (P, G); 0 where hits are as good as independent."""
    n_rings = features.energy.shape[1]
    found = np.zeros((len(points), n_rings))
    for p in range(len(points)):
        rows = points.point == p
        for g in range(n_rings):
            own = np.flatnonzero(rows & (features.hits[:, g] >= 2))
            if len(own) < 20:
                continue
            energy = features.energy[own, g]
            weight = energy**2 / (energy**2).sum()
            d1, d2 = features.d1[own, g], features.d2[own, g]
            by_angle = (d1 - weight @ d1) ** 2 + (d2 - weight @ d2) ** 2
            by_hits = features.square[own, g] / energy**2
            excess = float(weight @ (by_angle - by_hits))
            error = float(np.sqrt((weight**2 * (by_angle - by_hits - excess) ** 2).sum()))
            if excess < 3.0 * error or excess < 0.2 * float(weight @ by_hits):
                continue
            number = 2.0 * np.exp(-(ALPHA_SPREAD**2)) / excess - 1.0
            found[p, g] = max(number, 1.0) / float(energy.mean())
    return found
