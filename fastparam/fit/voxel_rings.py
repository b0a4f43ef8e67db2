"""Rings of voxels: what showers in voxels are described by before their single voxels are.

A ring is some neighbouring rings of voxels of one layer. For every shower and ring the features are the energy, the
dipole D = sum e exp(i alpha) / sum e (in layers that are cut in alpha, alpha in the middle of the voxels) and the
number of voxels hit.

How many rings a layer has follows from how many of its voxels a shower hits, where its edges are from where energy and
hit voxels lie: sparse layers are a single ring.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastparam.geometry.voxels import VoxelBinning

__all__ = ["VoxelRings", "choose_voxel_rings"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Rings of a layer at most, and hit voxels that each should have, in units of the layer's parts in alpha.
_MAX_RINGS, _HITS_PER_RING = 5, 0.75

#: Mean share of hit voxels, of rings with energy, below which a ring is sparse.
_SPARSE = 0.5


@dataclass(frozen=True)
class VoxelRings:
    """Rings of a binning with K layers; G rings in all.

    Attributes
    ----------
    binning : VoxelBinning
    ring : int64 array (n_voxels,)
        Ring of every voxel; rings are numbered layer by layer, then by radius.
    layer : int64 array (G,)
        Position of every ring's layer in `VoxelBinning.layer_ids`.
    sparse : bool array (G,)
        Rings of several voxels of which a shower hits few: the number of hit ones is a feature. In others the voxels
        themselves say it better.
    """

    binning: VoxelBinning
    ring: Ints
    layer: Ints
    sparse: npt.NDArray[np.bool_]

    @property
    def n_rings(self) -> int:
        """Number of rings of all layers."""
        return len(self.layer)

    @property
    def size(self) -> Ints:
        """Number of voxels of every ring, shape (G,)."""
        return np.bincount(self.ring, minlength=self.n_rings)

    @property
    def order(self) -> Ints:
        """Voxels ring by ring, in a ring sector by sector, shape (n_voxels,)."""
        return np.lexsort((self.binning.ring, self.binning.sector, self.ring)).astype(np.int64)

    @property
    def with_dipole(self) -> Ints:
        """Rings of layers that are cut in alpha."""
        return np.flatnonzero(np.array(self.binning.n_alpha)[self.layer] > 1).astype(np.int64)

    @property
    def with_count(self) -> Ints:
        """Rings whose number of hit voxels is a feature: the sparse ones."""
        return np.flatnonzero(self.sparse).astype(np.int64)

    def sum(self, voxels: Floats) -> Floats:
        """Return sums over the voxels of each ring, shape (n, G), of an array (n, n_voxels)."""
        order = self.order
        first = np.searchsorted(self.ring[order], np.arange(self.n_rings))
        return np.asarray(np.add.reduceat(voxels[:, order], first, axis=1), dtype=np.float64)

    def sum_layers(self, rings: Floats) -> Floats:
        """Return sums over the rings of each layer, shape (n, K), of an array (n, G)."""
        first = np.searchsorted(self.layer, np.arange(len(self.binning.layer_ids)))
        return np.asarray(np.add.reduceat(rings, first, axis=1), dtype=np.float64)

    def dipoles(self, voxels: Floats) -> tuple[Floats, Floats]:
        """Return the dipoles of the rings `with_dipole`, shapes (n, n_dipoles); NaN in empty rings."""
        alpha, own = self.binning.alpha, self.with_dipole
        energy = self.sum(voxels)[:, own]
        full = np.where(energy > 0, energy, np.nan)
        return self.sum(voxels * np.cos(alpha))[:, own] / full, self.sum(voxels * np.sin(alpha))[:, own] / full

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays to store; with the binning they make `from_arrays`."""
        return {
            "rings_of_voxels": self.ring.astype(np.int16),
            "rings_layer": self.layer.astype(np.int16),
            "rings_sparse": self.sparse,
        }

    @classmethod
    def from_arrays(cls, binning: VoxelBinning, arrays: dict[str, npt.NDArray[Any]]) -> VoxelRings:
        """Build from what `to_arrays` returned."""
        return cls(
            binning,
            arrays["rings_of_voxels"].astype(np.int64),
            arrays["rings_layer"].astype(np.int64),
            arrays["rings_sparse"].astype(np.bool_),
        )


def choose_voxel_rings(binning: VoxelBinning, voxels: Floats) -> VoxelRings:
    """Choose rings for showers in voxels.

    Parameters
    ----------
    binning : VoxelBinning
    voxels : float64 array (n, n_voxels)
        Visible energy in MeV.
    """
    energy, hit = voxels.mean(axis=0), (voxels > 0).mean(axis=0)
    ring, layer, next_ring = np.zeros(binning.n_voxels, dtype=np.int64), [], 0
    for k, n_alpha in enumerate(binning.n_alpha):
        own = slice(int(binning.first[k]), int(binning.first[k + 1]))
        n_r = int(binning.n_r[k])
        by_r = [values[own].reshape(n_alpha, n_r).sum(axis=0) for values in (energy, hit)]
        most = min(_MAX_RINGS, max(n_r // 2, 1))
        n = int(np.clip(round(float(by_r[1].sum()) / (_HITS_PER_RING * n_alpha)), 1, most))
        # Inner rings hold the energy, outer ones most of the voxels: edges share out both.
        inside = sum(0.5 * np.cumsum(values) / max(float(values.sum()), 1e-300) for values in by_r)
        cut = sorted({int(np.argmin(np.abs(inside - j / n))) + 1 for j in range(1, n)} - {n_r})
        ring[own] = next_ring + np.searchsorted(cut, binning.ring[own], side="right")
        layer += [k] * (len(cut) + 1)
        next_ring += len(cut) + 1
    rings = VoxelRings(binning, ring, np.array(layer, dtype=np.int64), np.zeros(len(layer), dtype=np.bool_))
    hits = rings.sum((voxels > 0).astype(np.float64))
    occupancy = hits.sum(axis=0) / np.maximum((hits > 0).sum(axis=0), 1) / rings.size
    return replace(rings, sparse=(rings.size > 1) & (occupancy < _SPARSE))
