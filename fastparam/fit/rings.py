"""Rings: what showers are cut into where their single deposits are modelled.

A *section* is a layer, or one of the equal parts in depth that a layer of many radiation lengths is cut into. A ring is
the range of a section between two radii. For every shower and ring the features are

* the energy,
* the dipole D = sum e exp(i alpha) / sum e,
* the number of hits n, their quadrupole sum exp(2 i alpha) / n, and sum e^2.

From them follows how many independent deposits there are: n_dip = 1/<|D|^2> counts them by angle (clumps of hits
count once), n_part = 1/<sum e^2/(sum e)^2> counts stored hits.

Radii are edges of the detector's voxels, as many as the hits can fill: rings are joined, from inside out, until each
holds so many hits in the showers that reach it, and none is narrower than the cells in which hits were merged. Hits
of a ring share one energy spectrum, so voxels too wide for that are cut at the default edges in Moliere radii.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastparam._numba import parallel_kernel, prange
from fastparam.geometry.voxels import default_voxels

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

#: Mean number of hits, and share of its section's energy, from which a ring stands alone. Hadrons leave tracks: few
#: hits, whose radii and energies hang together, and soft hits far from them, which must not be in the same ring.
_HITS_PER_RING, _SHARE_PER_RING = 2.0, 0.01
_HITS_PER_HADRON_RING, _SHARE_PER_HADRON_RING = 1.0, 0.003

#: Mean energy of the hits of a voxel's inner part, relative to those of its outer part, above which it is cut in two
#: if both hold such a share of the section's energy. Uncut, 4.65 mm wide rings in W/Si make R50 20 % too
#: large (a ratio of 2 would leave 11 %, this one -3 +- 3 %).
_STEEP, _SHARE_PER_PART = 1.25, 0.05

#: Showers that rings are chosen from: quantiles need no more.
_CHOSEN_FROM = 2000


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
    q1, q2 : float64 arrays (n, G)
        Quadrupole of the hits, each with weight 1; 0 for empty rings.
    hits : float64 array (n, G)
        Number of hits.
    square : float64 array (n, G)
        Sum of e^2 in MeV^2.
    """

    energy: Floats
    d1: Floats
    d2: Floats
    q1: Floats
    q2: Floats
    hits: Floats
    square: Floats

    def section_energy(self, rings: Rings) -> Floats:
        """Visible energy per section in MeV, shape (n, S)."""
        return np.add.reduceat(self.energy, rings.first[:-1], axis=1)


@parallel_kernel
def _features(
    offsets: Any, ring: Any, d1: Any, d2: Any, e: Any, energy: Any, dip1: Any, dip2: Any, quad1: Any, quad2: Any,
    hits: Any, square: Any,
) -> None:  # fmt: skip
    for i in prange(len(offsets) - 1):
        for h in range(offsets[i], offsets[i + 1]):
            if e[h] <= 0.0:
                continue
            g = ring[h]
            r = np.sqrt(d1[h] * d1[h] + d2[h] * d2[h])
            c, s = (d1[h] / r, d2[h] / r) if r > 0.0 else (1.0, 0.0)
            energy[i, g] += e[h]
            dip1[i, g] += e[h] * c
            dip2[i, g] += e[h] * s
            quad1[i, g] += c * c - s * s
            quad2[i, g] += 2.0 * c * s
            hits[i, g] += 1.0
            square[i, g] += e[h] * e[h]
        for g in range(energy.shape[1]):
            if energy[i, g] > 0.0:
                dip1[i, g] /= energy[i, g]
                dip2[i, g] /= energy[i, g]
                quad1[i, g] /= hits[i, g]
                quad2[i, g] /= hits[i, g]


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
    arrays = [np.zeros((n, rings.n_rings)) for _ in range(7)]
    _features(
        deposits.offsets, ring_of_hits(rings, deposits), deposits.d1.astype(np.float64),
        deposits.d2.astype(np.float64), deposits.e.astype(np.float64), *arrays,
    )  # fmt: skip
    return RingFeatures(*arrays)


def choose_rings(geometry: Geometry, showers: Summary, voxels: VoxelBinning, *, hadron: bool = False) -> Rings:
    """Choose sections and rings for a particle's showers.

    Parameters
    ----------
    geometry : Geometry
    showers : Summary
        With deposits.
    voxels : VoxelBinning
        Whose edges are those of rings, refined where hits change within a voxel; layers without voxels are one ring.
    """
    deposits = showers.deposits
    assert deposits is not None
    used = np.flatnonzero(deposits.kept)
    used = used[np.unique(np.linspace(0, len(used) - 1, min(_CHOSEN_FROM, len(used))).astype(np.int64))]
    deposits = deposits.take(used)
    count = _sections_per_layer(geometry, showers)
    layer = np.repeat(np.arange(geometry.n_layers), count)
    part = np.concatenate([np.arange(n) for n in count])
    plain = Rings(
        layer.astype(np.int64), part / count[layer], (part + 1) / count[layer],
        np.arange(len(layer) + 1), np.zeros(len(layer)), np.full(len(layer), np.inf),
    )  # fmt: skip
    section = section_of_hits(plain, deposits)
    shower = deposits.shower
    r = np.hypot(deposits.d1.astype(np.float64), deposits.d2.astype(np.float64))
    e = deposits.e.astype(np.float64)
    weight = e / np.maximum(showers.visible[used][shower], 1e-300)
    order = np.argsort(section, kind="stable")
    starts = np.searchsorted(section[order], np.arange(plain.n_sections + 1))
    default = np.array(default_voxels(geometry).r_edges[0])
    enough = (_HITS_PER_HADRON_RING, _SHARE_PER_HADRON_RING) if hadron else (_HITS_PER_RING, _SHARE_PER_RING)
    edges: list[list[float]] = []
    for s in range(plain.n_sections):
        own = order[starts[s] : starts[s + 1]]
        reached = max(len(np.unique(shower[own])), 1)
        cell = showers.binning.lateral_cell
        allowed = _refined(_allowed(geometry, voxels, int(layer[s])), default, r[own], e[own], cell)
        edges.append(_edges(r[own], weight[own], reached, cell, allowed, enough))
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


def _allowed(geometry: Geometry, voxels: VoxelBinning, layer: int) -> Floats:
    """Edges of voxels inside a layer, without the first and the last."""
    ids = list(voxels.layer_ids)
    number = int(geometry.layer_ids[layer])
    edges = np.array(voxels.r_edges[ids.index(number)]) if number in ids else np.zeros(0)
    return edges[edges > 0.0][:-1]


def _refined(allowed: Floats, default: Floats, r: Floats, e: Floats, cell: float) -> Floats:
    """Add edges of `default` where the mean energy of hits falls steeply between two edges of `allowed`."""
    edges = [0.0, *allowed, np.inf]
    for x in default[default > 0.0]:
        k = int(np.searchsorted(edges, x))
        low, high = edges[k - 1], edges[k]
        if min(x - low, high - x) < cell:
            continue
        inner, outer = e[(r >= low) & (r < x)], e[(r >= x) & (r < high)]
        enough = min(inner.sum(), outer.sum()) > _SHARE_PER_PART * e.sum()
        if enough and inner.mean() > _STEEP * outer.mean():
            edges.insert(k, float(x))
    return np.array(edges[1:-1])


def _edges(
    r: Floats, weight: Floats, reached: int, cell: float, allowed: Floats, enough: tuple[float, float]
) -> list[float]:
    """Inner edges of a section's rings, growing: those of `allowed` between which enough hits and energy lie."""
    if len(r) == 0 or weight.sum() <= 0:
        return []
    bounds = np.concatenate([[0.0], allowed, [np.inf]])
    bin_ = np.searchsorted(allowed, r, side="right")
    hits = np.bincount(bin_, minlength=len(allowed) + 1) / reached
    share = np.bincount(bin_, weights=weight, minlength=len(allowed) + 1) / weight.sum()
    found: list[float] = []
    last, n, energy = 0.0, 0.0, 0.0
    for k in range(len(allowed)):
        n, energy, edge = n + hits[k], energy + share[k], float(bounds[k + 1])
        left = hits[k + 1 :].sum() >= enough[0] and share[k + 1 :].sum() >= enough[1]
        if n >= enough[0] and energy >= enough[1] and edge - last >= cell and left:
            found.append(edge)
            last, n, energy = edge, 0.0, 0.0
    return found
