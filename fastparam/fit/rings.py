"""Rings: what showers are cut into where their single deposits are modelled.

A *section* is a layer, or one of the equal parts in depth that a layer of many radiation lengths is cut into. A ring is
the range of a section between two radii. For every shower and ring the features are

* the energy,
* the dipole D = sum e exp(i alpha) / sum e, where the energy lies around the line,
* the number of hits, and sum e^2.

From them follow how many independent deposits there are: n_dip = 1/<|D|^2> counts them by angle (clumps of hits count
once), n_part = 1/<sum e^2/(sum e)^2> counts stored hits.

Edges follow from the showers: rings of a section hold comparable shares of its energy, are not narrower than the
cells in which hits were merged, and as many as the number of its hits can fill.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastparam._numba import parallel_kernel, prange

if TYPE_CHECKING:
    from fastparam.geometry.detector import Geometry
    from fastparam.geometry.voxels import VoxelBinning
    from fastparam.summary.deposits import Deposits
    from fastparam.summary.summary import Summary

__all__ = ["RingFeatures", "Rings", "choose_rings", "ring_features", "ring_of_hits"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Thickness in X0 that one section stands for.
_SECTION = 4.0

#: Shares of a section's energy inside the edges of its rings, by the number of rings.
_SHARES = {
    1: (),
    2: (0.6,),
    3: (0.45, 0.85),
    4: (0.35, 0.65, 0.92),
    5: (0.3, 0.55, 0.78, 0.95),
}

#: Hits that a ring should have in a typical shower: one more ring for each such number.
_HITS_PER_RING = 1.0


@dataclass(frozen=True)
class Rings:
    """Sections of a detector and the rings they are cut into; G rings in all.

    Attributes
    ----------
    section_layer : int64 array (S,)
        Index of the layer of each section.
    section_from, section_to : float64 arrays (S,)
        Range of the layer's depth along the line, 0 at its entry and 1 at its exit.
    first : int64 array (S + 1,)
        Number of each section's first ring, and of all rings.
    r_low, r_high : float64 arrays (G,)
        Radii in mm; the outermost ring of a section ends at infinity.
    """

    section_layer: Ints
    section_from: Floats
    section_to: Floats
    first: Ints
    r_low: Floats
    r_high: Floats

    @property
    def n_sections(self) -> int:
        """Number of sections."""
        return len(self.section_layer)

    @property
    def n_rings(self) -> int:
        """Number of rings of all sections."""
        return len(self.r_low)

    @property
    def section(self) -> Ints:
        """Section of every ring, shape (G,)."""
        return np.repeat(np.arange(self.n_sections), np.diff(self.first))

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays to store; `from_arrays` reads them."""
        names = ("section_layer", "section_from", "section_to", "first", "r_low", "r_high")
        return {f"rings_{name}": getattr(self, name) for name in names}

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]]) -> Rings:
        """Build from what `to_arrays` returned."""
        names = ("section_layer", "section_from", "section_to", "first", "r_low", "r_high")
        return cls(*(arrays[f"rings_{name}"] for name in names))


@dataclass(frozen=True)
class RingFeatures:
    """Features of n showers in G rings.

    Attributes
    ----------
    energy : float64 array (n, G)
        Visible energy in MeV.
    d1, d2 : float64 arrays (n, G)
        Dipole, 0 for empty rings.
    hits : float64 array (n, G)
        Number of hits.
    square : float64 array (n, G)
        Sum of e^2 in MeV^2.
    """

    energy: Floats
    d1: Floats
    d2: Floats
    hits: Floats
    square: Floats

    def section_energy(self, rings: Rings) -> Floats:
        """Visible energy per section in MeV, shape (n, S)."""
        return np.add.reduceat(self.energy, rings.first[:-1], axis=1)


@parallel_kernel
def _features(
    offsets: Any, ring: Any, d1: Any, d2: Any, e: Any, energy: Any, dip1: Any, dip2: Any, hits: Any, square: Any
) -> None:
    for i in prange(len(offsets) - 1):
        for h in range(offsets[i], offsets[i + 1]):
            g = ring[h]
            r = np.sqrt(d1[h] * d1[h] + d2[h] * d2[h])
            energy[i, g] += e[h]
            if r > 0.0:
                dip1[i, g] += e[h] * d1[h] / r
                dip2[i, g] += e[h] * d2[h] / r
            hits[i, g] += 1.0
            square[i, g] += e[h] * e[h]
        for g in range(energy.shape[1]):
            if energy[i, g] > 0.0:
                dip1[i, g] /= energy[i, g]
                dip2[i, g] /= energy[i, g]


def ring_of_hits(rings: Rings, deposits: Deposits) -> Ints:
    """Return the ring of every hit, shape (n_hits,)."""
    section = section_of_hits(rings, deposits)
    r = np.hypot(deposits.d1.astype(np.float64), deposits.d2.astype(np.float64))
    ring = rings.first[section]
    last = rings.first[section + 1] - 1
    moved = True
    while moved:
        further = (ring < last) & (r >= rings.r_high[ring])
        ring = ring + further
        moved = bool(further.any())
    return ring.astype(np.int64)


def section_of_hits(rings: Rings, deposits: Deposits) -> Ints:
    """Return the section of every hit, shape (n_hits,)."""
    n_layers = int(rings.section_layer.max()) + 1
    count = np.bincount(rings.section_layer, minlength=n_layers)
    start = np.concatenate([[0], np.cumsum(count)])[:-1]
    layer = deposits.layer.astype(np.int64)
    part = np.minimum((deposits.depth.astype(np.float64) / 255.0 * count[layer]).astype(np.int64), count[layer] - 1)
    return np.asarray(start[layer] + part, dtype=np.int64)


def ring_features(rings: Rings, deposits: Deposits) -> RingFeatures:
    """Return the features of all showers; those that are not kept have none."""
    n = len(deposits)
    arrays = [np.zeros((n, rings.n_rings)) for _ in range(5)]
    _features(
        deposits.offsets, ring_of_hits(rings, deposits), deposits.d1.astype(np.float64),
        deposits.d2.astype(np.float64), deposits.e.astype(np.float64), *arrays,
    )  # fmt: skip
    return RingFeatures(*arrays)


def choose_rings(geometry: Geometry, showers: Summary, voxels: VoxelBinning | None = None) -> Rings:
    """Choose sections and rings for a slice's showers.

    Parameters
    ----------
    geometry : Geometry
    showers : Summary
        With deposits.
    voxels : VoxelBinning, optional
        Of the detector: edges of rings are then edges of voxels.
    """
    deposits = showers.deposits
    assert deposits is not None
    count = _sections_per_layer(geometry, showers)
    layer = np.repeat(np.arange(geometry.n_layers), count)
    part = np.concatenate([np.arange(n) for n in count])
    plain = Rings(
        layer.astype(np.int64), part / count[layer], (part + 1) / count[layer],
        np.arange(len(layer) + 1), np.zeros(len(layer)), np.full(len(layer), np.inf),
    )  # fmt: skip
    section = section_of_hits(plain, deposits)
    r = np.hypot(deposits.d1.astype(np.float64), deposits.d2.astype(np.float64))
    weight = deposits.e.astype(np.float64) / np.maximum(showers.visible[deposits.shower], 1e-300)
    n_kept = max(int(deposits.kept.sum()), 1)
    edges: list[list[float]] = []
    for s in range(plain.n_sections):
        own = section == s
        # Of showers that reach the section, those of all energies alike.
        reached = max(len(np.unique(deposits.shower[own])), 1)
        wanted = int(np.clip(own.sum() / reached / _HITS_PER_RING, 1, max(_SHARES))) if reached > 0.02 * n_kept else 1
        minimum = 2.0 * showers.binning.lateral_cell
        allowed = None if voxels is None else _allowed(geometry, voxels, int(layer[s]))
        edges.append(_edges(r[own], weight[own], wanted, minimum, allowed))
    first = np.concatenate([[0], np.cumsum([len(e) + 1 for e in edges])]).astype(np.int64)
    return Rings(
        plain.section_layer, plain.section_from, plain.section_to, first,
        np.array([x for e in edges for x in (0.0, *e)]), np.array([x for e in edges for x in (*e, np.inf)]),
    )  # fmt: skip


def _sections_per_layer(geometry: Geometry, showers: Summary) -> Ints:
    slabs = np.flatnonzero(geometry.slab_layer >= 0)
    slabs = slabs[np.argsort(geometry.slab_layer[slabs])]
    thickness = (geometry.layer_to - geometry.layer_from) / geometry.slab_x0[slabs]
    wanted = np.maximum(np.round(thickness / _SECTION), 1)
    # A layer of a single depth cell has no depth inside.
    return np.where(showers.binning.n_cells > 1, np.minimum(wanted, showers.binning.n_cells), 1).astype(np.int64)


def _allowed(geometry: Geometry, voxels: VoxelBinning, layer: int) -> Floats | None:
    ids = list(voxels.layer_ids)
    number = int(geometry.layer_ids[layer])
    return np.array(voxels.r_edges[ids.index(number)]) if number in ids else None


def _edges(r: Floats, weight: Floats, wanted: int, minimum: float, allowed: Floats | None) -> list[float]:
    """Inner edges of a section's rings, at most `wanted` - 1 of them, growing."""
    if len(r) == 0 or weight.sum() <= 0:
        return []
    order = np.argsort(r)
    cumulative = np.cumsum(weight[order]) / weight.sum()
    found: list[float] = []
    for share in _SHARES[wanted]:
        edge = float(r[order[min(int(np.searchsorted(cumulative, share)), len(r) - 1)]])
        if allowed is not None and len(allowed) > 2:
            edge = float(allowed[1:-1][np.argmin(np.abs(np.log(allowed[1:-1] / max(edge, 1e-9))))])
        edge = max(edge, minimum)
        if not found or edge > 1.2 * found[-1]:
            found.append(edge)
    return [e for e in found if e > 0.0]
