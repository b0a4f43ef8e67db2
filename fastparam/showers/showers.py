"""`Showers`: what every generator returns, and its forms."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from fastparam.errors import UsageError
from fastparam.geometry.cells import cells_of
from fastparam.geometry.voxels import voxels_of
from fastparam.hits.hits import Hits
from fastparam.hits.voxelise import voxelise
from fastparam.showers.cells import Cells, cell_images, cells_of_hits
from fastparam.showers.spread import DepthShape, RadialShape, spread
from fastparam.showers.wiggle import straightened

if TYPE_CHECKING:
    import awkward

    from fastparam.geometry.cells import CellGrid
    from fastparam.geometry.detector import Geometry
    from fastparam.geometry.voxels import VoxelBinning
    from fastparam.particles import Particles

__all__ = ["Showers"]

Floats = npt.NDArray[np.float64]


class Showers:
    """Particles with the hits or the voxels of their showers, each form convertible into the others.

    A generator emits one form, and nothing is converted before it is asked for. Whatever the form, energy is conserved:
    voxels and what `lost` returns add up to `visible`, and so do cells and what is lost with them.

    Parameters
    ----------
    particles : Particles (n,)
    hits : Hits
        Of the same n showers, in the global frame; ``hits.layer`` counts active layers from 0 (`layer_ids` translates).
    geometry : Geometry

    Attributes
    ----------
    particles : Particles (n,)
    geometry : Geometry
    emits : "hits" or "voxels"
        Form in which the showers were made.
    """

    def __init__(self, particles: Particles, hits: Hits, geometry: Geometry) -> None:
        self.particles = particles
        self.geometry = geometry
        self.emits: Literal["hits", "voxels"] = "hits"
        self.hits = hits

    @classmethod
    def from_voxels(
        cls,
        particles: Particles,
        voxels: Floats,
        binning: VoxelBinning,
        geometry: Geometry,
        *,
        seed: int = 1,
        radial: RadialShape = None,
        depth: DepthShape | None = None,
    ) -> Showers:
        """Build showers that were made as voxels.

        Parameters
        ----------
        particles : Particles (n,)
        voxels : float64 array (n, n_voxels)
            Visible energy in MeV in the order of `binning`; not copied.
        binning : VoxelBinning
        geometry : Geometry
        seed : int
            Of the random numbers that put hits into voxels.
        radial : None, float64 array (K,) or function
            How energy falls with r inside a voxel; by default it is even over the voxel's area. See
            `fastparam.showers.spread.RadialShape`.
        depth : DepthShape, optional
            How energy is distributed over the depth of layers; by default evenly.

        Raises
        ------
        UsageError
            If the array has another shape than (n, n_voxels), or the detector lacks a layer of the binning.
        """
        if voxels.shape != (len(particles), binning.n_voxels):
            raise UsageError(f"voxels: found shape {voxels.shape}; expected {(len(particles), binning.n_voxels)}")
        binning.rows_of_layers(geometry)
        showers = cls.__new__(cls)
        showers.particles, showers.geometry, showers.emits = particles, geometry, "voxels"
        showers._voxels, showers._binning = np.ascontiguousarray(voxels, dtype=np.float64), binning
        showers._seed, showers._radial, showers._depth = seed, radial, depth
        return showers

    _voxels: Floats
    _binning: VoxelBinning
    _seed: int
    _radial: RadialShape
    _depth: DepthShape | None

    def __len__(self) -> int:
        return len(self.particles)

    def __repr__(self) -> str:
        return f"<{len(self)} showers in {self.geometry.name}, made as {self.emits}>"

    @cached_property
    def hits(self) -> Hits:
        """Hits in the global frame; of showers that were made as voxels, points inside them (`showers.spread`)."""
        return spread(
            self.geometry, self.particles, self._voxels, self._binning, seed=self._seed, radial=self._radial,
            depth=self._depth,
        )  # fmt: skip

    @property
    def binning(self) -> VoxelBinning:
        """The voxels in which the showers were made; else those of geometry.yaml for these particles."""
        if self.emits == "voxels":
            return self._binning
        codes = np.unique(np.abs(self.particles.pdg))
        pdg = int(codes[0]) if len(codes) == 1 else None
        eta = float(np.abs(self.particles.eta).mean()) if len(self) and self.geometry.frame == "barrel" else None
        return voxels_of(self.geometry, pdg=pdg, eta=eta)

    @property
    def layer_ids(self) -> npt.NDArray[np.int32]:
        """The user's layer id of every hit, -1 outside all layers, shape (n_hits,)."""
        layer = self.hits.layer
        return np.where(layer >= 0, self.geometry.layer_ids[np.maximum(layer, 0)], -1).astype(np.int32)

    @property
    def visible(self) -> Floats:
        """Visible energy of each shower in MeV, shape (n,)."""
        if self.emits == "voxels":
            return np.asarray(self._voxels.sum(axis=1), dtype=np.float64)
        return np.bincount(self.hits.shower, weights=self.hits.e, minlength=len(self)).astype(np.float64)

    def voxels(self, binning: VoxelBinning | None = None, threshold: float = 0.0) -> Floats:
        """Return the energy of each voxel in MeV, shape (n, n_voxels).

        Parameters
        ----------
        binning : VoxelBinning, optional
            Default `binning`. Showers made in other voxels are turned into hits first.
        threshold : float
            Voxels with less energy in MeV become 0.
        """
        return self._voxels_and_lost(binning, threshold)[0]

    def lost(self, binning: VoxelBinning | None = None, threshold: float = 0.0) -> Floats:
        """Return the energy of each shower in MeV that lies in no voxel or below the threshold, shape (n,).

        Parameters as for `voxels`: what the two return adds up to `visible`.
        """
        return self._voxels_and_lost(binning, threshold)[1]

    def cells(self, grid: CellGrid | None = None) -> Cells:
        """Return the readout cells with energy, sparse.

        Parameters
        ----------
        grid : CellGrid, optional
            Default: `cells` of geometry.yaml.
        """
        hits = straightened(self.geometry, self.hits)
        return cells_of_hits(self.geometry, hits, cells_of(self.geometry) if grid is None else grid)

    def cell_images(self, grid: CellGrid | None = None) -> tuple[Floats, Floats]:
        """Return the cells around each impact as one vector, shape (n, n_image), and the energy outside (n,), in MeV.

        Parameters
        ----------
        grid : CellGrid, optional
            Default: `cells` of geometry.yaml, with its windows; `CellGrid.with_window` chooses others.
        """
        grid = cells_of(self.geometry) if grid is None else grid
        return cell_images(self.geometry, self.particles, straightened(self.geometry, self.hits), grid)

    def scaled(self, factor: npt.ArrayLike) -> Showers:
        """Return the same showers with all energies times a factor, one number or one per shower (n,)."""
        factors = np.broadcast_to(np.asarray(factor, dtype=np.float64), (len(self),))
        if self.emits == "voxels":
            return Showers.from_voxels(
                self.particles, self._voxels * factors[:, None], self._binning, self.geometry, seed=self._seed,
                radial=self._radial, depth=self._depth,
            )  # fmt: skip
        return Showers(self.particles, replace(self.hits, e=self.hits.e * factors[self.hits.shower]), self.geometry)

    def mirrored(self, rows: npt.NDArray[np.bool_]) -> Showers:
        """Return the showers with those of a mask (n,), and their particles, mirrored at z = 0, as a barrel may be."""
        particles = self.particles.mirrored(rows)
        order = self.binning.mirrored if self.emits == "voxels" else None
        if order is not None:
            voxels = self._voxels.copy()
            voxels[rows] = voxels[rows][:, order]
            return Showers.from_voxels(
                particles, voxels, self._binning, self.geometry, seed=self._seed, radial=self._radial, depth=self._depth
            )
        hits = self.hits
        z = np.where(rows[hits.shower], -hits.z, hits.z)
        return Showers(particles, Hits(hits.x, hits.y, z, hits.e, hits.layer, hits.offsets), self.geometry)

    def to_awkward(self) -> awkward.Array:
        """Return one record per shower: pdg, energy, eta, phi, and hits as a list of records x, y, z, e, layer (id)."""
        import awkward as ak

        records = ak.zip(
            {"x": self.hits.x, "y": self.hits.y, "z": self.hits.z, "e": self.hits.e, "layer": self.layer_ids}
        )
        return ak.zip(
            {
                "pdg": self.particles.pdg,
                "energy": self.particles.energy,
                "eta": self.particles.eta,
                "phi": self.particles.phi,
                "hits": ak.unflatten(records, self.hits.n_hits),
            },
            depth_limit=1,
        )

    def _voxels_and_lost(self, binning: VoxelBinning | None, threshold: float) -> tuple[Floats, Floats]:
        if self.emits == "voxels" and (binning is None or binning == self._binning):
            found, lost = self._voxels, np.zeros(len(self))
        else:
            chosen = self.binning if binning is None else binning
            found, lost = voxelise(self.geometry, self.particles, self.hits, chosen)
        if threshold <= 0.0:
            return found, lost
        weak = found < threshold
        return np.where(weak, 0.0, found), lost + np.where(weak, found, 0.0).sum(axis=1)
