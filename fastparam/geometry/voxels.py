"""Voxels: every layer cut into rings around the particle's line, every ring into equal parts in alpha."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastparam.errors import UsageError

if TYPE_CHECKING:
    from fastparam.geometry.detector import Geometry
    from fastparam.geometry.schema import BinningRegion

__all__ = ["VoxelBinning", "default_voxels", "voxels_of"]

Floats = npt.NDArray[np.float64]

#: Without a binning in geometry.yaml: edges of rings in Moliere radii, and parts in alpha of every ring.
_DEFAULT_R = (0.0, 0.1, 0.2, 0.35, 0.55, 0.85, 1.3, 2.0, 3.0, 5.0, 9.0)
_DEFAULT_ALPHA = 8


@dataclass(frozen=True)
class VoxelBinning:
    """Voxels in the order of the CaloChallenge: layer by layer, in a layer alpha by alpha, r fastest.

    Voxel (k, a, r) has number ``first[k] + a * n_r[k] + r``. Bins in alpha are equal and start at -pi. What lies
    beyond the last edge of a layer, or in a layer without voxels, is lost.

    Attributes
    ----------
    layer_ids : tuple of int (K,)
        The user's ids of the layers that have voxels.
    r_edges : tuple of tuple of float (K,)
        Radii in mm, growing.
    n_alpha : tuple of int (K,)
    """

    layer_ids: tuple[int, ...]
    r_edges: tuple[tuple[float, ...], ...]
    n_alpha: tuple[int, ...]

    @cached_property
    def n_r(self) -> npt.NDArray[np.int64]:
        """Rings of each layer, shape (K,)."""
        return np.array([len(edges) - 1 for edges in self.r_edges], dtype=np.int64)

    @cached_property
    def first(self) -> npt.NDArray[np.int64]:
        """Number of each layer's first voxel, and of all voxels, shape (K + 1,)."""
        return np.concatenate([[0], np.cumsum(self.n_r * np.array(self.n_alpha))]).astype(np.int64)

    @cached_property
    def mirrored(self) -> npt.NDArray[np.int64] | None:
        """Number of the voxel that comes to lie in each one where e1 changes sign, shape (n_voxels,).

        None if bins in alpha have no mirror image: if their number is odd.
        """
        if any(n > 1 and n % 2 for n in self.n_alpha):
            return None
        alpha = [(n // 2 - 1 - np.arange(n)) % n for n in self.n_alpha]  # pi - alpha
        return np.concatenate(
            [
                (first + a[:, None] * n + np.arange(n)).ravel()
                for first, n, a in zip(self.first, self.n_r, alpha, strict=False)
            ]
        ).astype(np.int64)

    @property
    def n_voxels(self) -> int:
        """Number of all voxels."""
        return int(self.first[-1])

    @cached_property
    def layer(self) -> npt.NDArray[np.int64]:
        """Position in `layer_ids` of every voxel, shape (n_voxels,)."""
        return np.repeat(np.arange(len(self.layer_ids)), np.diff(self.first))

    @cached_property
    def ring(self) -> npt.NDArray[np.int64]:
        """Number in r of every voxel within its layer, shape (n_voxels,)."""
        return np.concatenate([np.tile(np.arange(n), a) for n, a in zip(self.n_r, self.n_alpha, strict=True)]).astype(
            np.int64
        )

    @cached_property
    def sector(self) -> npt.NDArray[np.int64]:
        """Number in alpha of every voxel within its layer, shape (n_voxels,)."""
        return np.concatenate([np.repeat(np.arange(a), n) for n, a in zip(self.n_r, self.n_alpha, strict=True)]).astype(
            np.int64
        )

    @cached_property
    def r_low(self) -> Floats:
        """Inner radius of every voxel in mm, shape (n_voxels,)."""
        return np.array([self.r_edges[k][r] for k, r in zip(self.layer, self.ring, strict=True)], dtype=np.float64)

    @cached_property
    def r_high(self) -> Floats:
        """Outer radius of every voxel in mm, shape (n_voxels,)."""
        return np.array([self.r_edges[k][r + 1] for k, r in zip(self.layer, self.ring, strict=True)], dtype=np.float64)

    @cached_property
    def alpha(self) -> Floats:
        """Middle of every voxel in alpha in rad, shape (n_voxels,)."""
        n = np.array(self.n_alpha)[self.layer]
        middle: Floats = -np.pi + (self.sector + 0.5) * 2.0 * np.pi / n
        return middle

    @cached_property
    def flat_edges(self) -> Floats:
        """All edges in r, layer by layer, shape (sum(n_r + 1),): what kernels loop over."""
        return np.array([edge for edges in self.r_edges for edge in edges], dtype=np.float64)

    def rows_of_layers(self, geometry: Geometry) -> npt.NDArray[np.int64]:
        """Return for every active layer of a detector its position in `layer_ids`, -1 without voxels, shape (L,).

        Raises
        ------
        UsageError
            If the detector lacks one of the layers.
        """
        known = geometry.layer_ids.tolist()
        missing = [i for i in self.layer_ids if i not in known]
        if missing:
            raise UsageError(
                f"the binning has voxels in layer {', '.join(map(str, missing))}, which the detector {geometry.name}"
                f" lacks; its layers are {', '.join(map(str, geometry.layer_ids))}"
            )
        place = {layer: k for k, layer in enumerate(self.layer_ids)}
        return np.array([place.get(int(i), -1) for i in known], dtype=np.int64)

    def to_json(self) -> dict[str, Any]:
        """Return the binning as JSON values; `from_json` reads them."""
        return {
            "layer_ids": list(self.layer_ids),
            "r_edges": list(map(list, self.r_edges)),
            "n_alpha": list(self.n_alpha),
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> VoxelBinning:
        """Build a binning from what `to_json` returned."""
        return cls(
            tuple(map(int, document["layer_ids"])),
            tuple(tuple(map(float, edges)) for edges in document["r_edges"]),
            tuple(map(int, document["n_alpha"])),
        )

    @classmethod
    def from_region(cls, region: BinningRegion) -> VoxelBinning:
        """Build the binning of one region of ``binning:``."""
        layers = sorted((layer, bins) for bins in region.layers for layer in bins.ids)
        return cls(
            tuple(layer for layer, _ in layers),
            tuple(tuple(bins.r_edges) for _, bins in layers),
            tuple(bins.n_bin_alpha for _, bins in layers),
        )


def voxels_of(geometry: Geometry, *, pdg: int | None = None, eta: float | None = None) -> VoxelBinning:
    """Return the voxels that a detector's geometry.yaml gives for a particle, or `default_voxels` if it gives none.

    Parameters
    ----------
    pdg : int, optional
        Particle code; antiparticles are served by their particle's region.
    eta : float, optional

    Raises
    ------
    UsageError
        If the file has several regions and none of them fits.
    """
    regions: Sequence[BinningRegion] = geometry.config.binning or ()
    if not regions:
        return default_voxels(geometry)
    for region in regions:
        right_particle = region.pid is None or pdg is None or abs(region.pid) == abs(pdg)
        right_eta = region.eta is None or eta is None or region.eta[0] <= abs(eta) <= region.eta[1]
        if right_particle and right_eta:
            return VoxelBinning.from_region(region)
    raise UsageError(f"{geometry.path}: no region of `binning` is for particle {pdg} at eta {eta}")


def default_voxels(geometry: Geometry) -> VoxelBinning:
    """Return voxels for a detector that declares none: ten rings from 0.1 to 9 Moliere radii, eight parts in alpha."""
    edges = tuple(round(r * geometry.material.moliere_radius, 2) for r in _DEFAULT_R)
    n = geometry.n_layers
    return VoxelBinning(tuple(map(int, geometry.layer_ids)), (edges,) * n, (_DEFAULT_ALPHA,) * n)
