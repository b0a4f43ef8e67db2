"""Donors: rings of stored showers with all of their hits, for the recipe `mosaic`.

Of every energy point a number of showers is kept, whole. Their rings are sorted, ring by ring, by energy, all energies
of the particle together: a sampled ring takes the hits of one that is like it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastparam.fit.rings import Rings, ring_features, ring_of_hits

if TYPE_CHECKING:
    from fastparam.fit.tables import Tables
    from fastparam.summary.points import EnergyPoints
    from fastparam.summary.summary import Summary

__all__ = ["Donors", "fit"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Depths are stored as bytes, phases too.
_BYTE = 255.0


@dataclass(frozen=True)
class Donors:
    """m rings of stored showers, with n hits; ring g owns donors ``first[g]:first[g + 1]``, by energy.

    Attributes
    ----------
    first : int64 array (G + 1,)
    ln_energy : float64 array (m,)
        ln of the ring's energy in MeV, ascending within a ring.
    d1, d2 : float64 arrays (m,)
        Dipole.
    phase : float64 array (m,)
        Of the accordion, in turns; 0 without a modulation.
    hit_first : int64 array (m + 1,)
        Donor k owns hits ``hit_first[k]:hit_first[k + 1]``.
    hit_d1, hit_d2 : float64 arrays (n,)
        Distances across the line in mm.
    hit_depth : float64 array (n,)
        Share of the depth in the layer.
    hit_share : float64 array (n,)
        Energy over that of the ring.
    """

    first: Ints
    ln_energy: Floats
    d1: Floats
    d2: Floats
    phase: Floats
    hit_first: Ints
    hit_d1: Floats
    hit_d2: Floats
    hit_depth: Floats
    hit_share: Floats

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return compact arrays to store; `from_tables` reads them."""
        half = ("ln_energy", "d1", "d2", "hit_d1", "hit_d2", "hit_share")
        arrays: dict[str, npt.NDArray[Any]] = {f"donors_{n}": getattr(self, n).astype(np.float16) for n in half}
        arrays["donors_first"] = self.first.astype(np.int32)
        arrays["donors_hits"] = np.diff(self.hit_first).astype(np.uint16)
        arrays["donors_phase"] = np.round(self.phase * _BYTE).astype(np.uint8)
        arrays["donors_hit_depth"] = np.round(self.hit_depth * _BYTE).astype(np.uint8)
        return arrays

    @classmethod
    def from_tables(cls, tables: Tables) -> Donors:
        """Build from tables that hold what `to_arrays` returned."""
        real = {n: tables[f"donors_{n}"].astype(np.float64) for n in ("ln_energy", "d1", "d2", "hit_d1", "hit_d2")}
        hit_first = np.concatenate([[0], np.cumsum(tables["donors_hits"].astype(np.int64))])
        # The smallest shares are too small for half precision; no hit is without energy.
        share = np.maximum(tables["donors_hit_share"].astype(np.float64), 1e-8)
        phase, depth = tables["donors_phase"] / _BYTE, tables["donors_hit_depth"] / _BYTE
        first = tables["donors_first"].astype(np.int64)
        return cls(first, **real, phase=phase, hit_first=hit_first, hit_depth=depth, hit_share=share)


def fit(rings: Rings, showers: Summary, points: EnergyPoints, *, donors: int, phase: Floats | None = None) -> Donors:
    """Store showers of a slice, `donors` of every energy point.

    Parameters
    ----------
    rings : Rings
    showers : Summary
        With deposits; n showers.
    points : EnergyPoints
        Of the showers.
    donors : int
    phase : float64 array (n,), optional
        2 pi (phi modulo pitch)/pitch where the detector has a modulation.
    """
    chosen = []
    for p in range(len(points)):
        rows = np.flatnonzero(points.point == p)
        chosen.append(rows[np.unique(np.linspace(0, len(rows) - 1, min(donors, len(rows))).astype(np.int64))])
    rows = np.concatenate(chosen)
    kept = showers.take(rows)
    deposits = kept.deposits
    assert deposits is not None
    features = ring_features(rings, deposits)
    n, n_rings = len(kept), rings.n_rings
    turns = np.zeros(n) if phase is None else phase[rows] / (2.0 * np.pi)
    donor_ring, donor_shower = np.nonzero(features.energy.T > 0)
    ln_energy = np.log(features.energy[donor_shower, donor_ring])
    order = np.lexsort((ln_energy, donor_ring))
    donor_ring, donor_shower, ln_energy = donor_ring[order], donor_shower[order], ln_energy[order]
    number = np.full((n, n_rings), -1, dtype=np.int64)
    number[donor_shower, donor_ring] = np.arange(len(order))
    e = deposits.e.astype(np.float64)
    ring, shower = ring_of_hits(rings, deposits), deposits.shower
    donor = np.where(e > 0, number[shower, ring], len(order))
    hits = np.argsort(donor, kind="stable")
    hits = hits[: int((e > 0).sum())]
    hit_first = np.searchsorted(donor[hits], np.arange(len(order) + 1)).astype(np.int64)
    return Donors(
        np.searchsorted(donor_ring, np.arange(n_rings + 1)).astype(np.int64),
        ln_energy,
        features.d1[donor_shower, donor_ring],
        features.d2[donor_shower, donor_ring],
        turns[donor_shower],
        hit_first,
        deposits.d1[hits].astype(np.float64),
        deposits.d2[hits].astype(np.float64),
        deposits.depth[hits].astype(np.float64) / _BYTE,
        e[hits] / features.energy[shower[hits], ring[hits]],
    )
