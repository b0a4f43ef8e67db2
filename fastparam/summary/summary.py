"""`Summary`: all that fits and comparisons need to know of a sample, shower by shower.

Everything is kept per shower, nothing is summed over showers: summaries of parts are joined by putting their showers
in order of row, so that any split of the input into files, parts or batches gives the same bits. For the same reason
numbers are rounded to the bits worth storing when a shower is summarised, not when a file is written.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from fastparam.particles import Particles
from fastparam.summary.binning import Binning
from fastparam.summary.deposits import Deposits

__all__ = ["PER_ENTRY", "PER_SHOWER", "Summary"]

Floats = npt.NDArray[np.float64]

#: The arrays of a `Summary` with one row per shower, and those with one row per entry of the content.
PER_SHOWER = (
    "row",
    "n_hits",
    "n_negative",
    "n_outside",
    "outside",
    "layer_energy",
    "layer_mean",
    "layer_variance",
    "depth_sums",
    "r50",
    "r90",
)
PER_ENTRY = ("content_bin", "content_energy")


@dataclass(frozen=True)
class Summary:
    """Showers reduced to what is fitted and compared.

    Energies, sums and radii are kept to 16 significant bits (a relative error of 1.5e-5 at worst); `layer_mean`,
    `layer_variance` and `content_energy` to 8 (0.4 % at worst, 0.16 % rms, without bias), far below what a single
    shower fluctuates by.

    Attributes
    ----------
    geometry_digest : str
        `Geometry.digest` of the detector that the showers belong to.
    binning : Binning
        How `content` is cut; C depth cells in all, n_r radial bins.
    particles : Particles (n,)
    row : int64 array (n,)
        Row of the shower in its sample, counted through all files.
    n_hits : int64 array (n,)
        Hits inside the active layers.
    n_negative, n_outside : int64 arrays (n,)
        Hits whose negative energy was set to 0, and hits in no active layer.
    outside : float64 array (n,)
        Energy of the latter in MeV; part of nothing else here.
    layer_energy : float64 array (n, L)
        Visible energy in MeV per active layer.
    layer_mean, layer_variance : float32 arrays (n, L, 2)
        Energy-weighted mean (mm) and variance (mm^2) per layer of d1 and d2, the transverse distances from the line
        along e1 and e2 (`geometry.frames`); 0 for empty layers.
    depth_sums : float64 array (n, 2)
        Sums over hits of e t and e t^2, t the depth in X0 from the entry into the first declared layer.
    r50, r90 : float64 arrays (n,)
        Radii about the line in mm that hold 50 % and 90 % of the shower's visible energy; NaN for empty showers.
    offsets : int64 array (n + 1,)
        Shower i owns entries ``offsets[i]:offsets[i + 1]`` of the two next arrays.
    content_bin : int32 array (n_entries,)
        Depth cell times n_r plus radial bin, ascending within a shower. A cell is a range of depth along the line. If
        layers are curved or inclined, a hit far from the line can lie in another layer of the medium than the line at
        its depth: its bin has C n_r (1 + index of its layer) added. `content_cell`, `content_ring` and `content_layer`
        tell them apart.
    content_energy : float32 array (n_entries,)
        Visible energy in MeV; positive.
    sample_rows : int
        Rows of the whole sample, of which these are all or some; 0 where that is not known.
    deposits : Deposits, optional
        Single hits of these showers or of some of them, where a recipe asked for them.
    """

    geometry_digest: str
    binning: Binning
    particles: Particles
    row: npt.NDArray[np.int64]
    n_hits: npt.NDArray[np.int64]
    n_negative: npt.NDArray[np.int64]
    n_outside: npt.NDArray[np.int64]
    outside: Floats
    layer_energy: Floats
    layer_mean: npt.NDArray[np.float32]
    layer_variance: npt.NDArray[np.float32]
    depth_sums: Floats
    r50: Floats
    r90: Floats
    offsets: npt.NDArray[np.int64]
    content_bin: npt.NDArray[np.int32]
    content_energy: npt.NDArray[np.float32]
    sample_rows: int = 0
    deposits: Deposits | None = None

    def __len__(self) -> int:
        """Return the number of showers."""
        return len(self.row)

    @cached_property
    def visible(self) -> Floats:
        """Visible energy of each shower in MeV, shape (n,)."""
        total: Floats = self.layer_energy.sum(axis=1)
        return total

    @cached_property
    def layer_moments(self) -> Floats:
        """Sums over hits of e d1, e d2, e d1^2, e d2^2 in MeV mm and MeV mm^2 per layer, shape (n, L, 4)."""
        mean, variance = self.layer_mean.astype(np.float64), self.layer_variance.astype(np.float64)
        moments: Floats = self.layer_energy[:, :, None] * np.concatenate([mean, variance + mean**2], axis=2)
        return moments

    @property
    def content_cell(self) -> npt.NDArray[np.int64]:
        """Depth cell of each entry of the content, shape (n_entries,)."""
        n_bins = int(self.binning.n_cells.sum()) * self.binning.n_r
        return (self.content_bin % n_bins // self.binning.n_r).astype(np.int64)

    @property
    def content_ring(self) -> npt.NDArray[np.int64]:
        """Radial bin of each entry of the content, shape (n_entries,)."""
        return (self.content_bin % self.binning.n_r).astype(np.int64)

    @property
    def content_layer(self) -> npt.NDArray[np.int64]:
        """Index of the layer that each entry of the content lies in, shape (n_entries,)."""
        elsewhere = self.content_bin // (int(self.binning.n_cells.sum()) * self.binning.n_r)
        layer: npt.NDArray[np.int64] = np.where(
            elsewhere > 0, elsewhere - 1, self.binning.cell_layer[self.content_cell]
        ).astype(np.int64)
        return layer

    @cached_property
    def cell_energy(self) -> Floats:
        """Visible energy per depth cell in MeV, shape (n, C)."""
        return self._marginal(self.content_cell, int(self.binning.n_cells.sum()))

    @cached_property
    def ring_energy(self) -> Floats:
        """Visible energy per radial bin, all layers together, in MeV, shape (n, n_r)."""
        return self._marginal(self.content_ring, self.binning.n_r)

    def layer_ring_energy(self, layer: int) -> Floats:
        """Visible energy per radial bin of one layer (by index) in MeV, shape (n, n_r)."""
        n_r = self.binning.n_r
        inside = self.content_layer == layer
        return self._marginal(np.where(inside, self.content_ring, n_r), n_r + 1)[:, :n_r]

    def _marginal(self, column: npt.NDArray[Any], n_columns: int) -> Floats:
        shower = np.repeat(np.arange(len(self)), np.diff(self.offsets))
        flat: Floats = np.bincount(
            shower * n_columns + column, weights=self.content_energy, minlength=len(self) * n_columns
        ).astype(np.float64)
        return flat.reshape(len(self), n_columns)

    def take(self, rows: Any) -> Summary:
        """Return the showers of a mask or list of positions (not of `row` numbers), in that order."""
        positions = np.arange(len(self))[rows]
        counts = np.diff(self.offsets)[positions]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        source = np.repeat(self.offsets[positions] - offsets[:-1], counts) + np.arange(offsets[-1])
        return replace(
            self,
            particles=self.particles.take(positions),
            offsets=offsets,
            deposits=None if self.deposits is None else self.deposits.take(positions),
            **{name: getattr(self, name)[positions] for name in PER_SHOWER},
            **{name: getattr(self, name)[source] for name in PER_ENTRY},
        )
