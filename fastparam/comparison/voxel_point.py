"""The voxels of one energy point, with the quantities that observables average; sister of `sample`.

Serves references that are voxels and nothing else (CaloChallenge, FastCaloGAN). Depth is counted in layers, radii are
those of rings, and what needs single hits does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from fastparam._numba import kernel
from fastparam.comparison.moments import LayerMoments, layer_moments
from fastparam.comparison.sample import MAIN_SHARE, RESPONSE_BINS, Axis, Layout
from fastparam.comparison.statistics import half_width, quantile_radius
from fastparam.comparison.voxels import VoxelSample

__all__ = ["VoxelLayout", "VoxelPoint"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class VoxelLayout(Layout):
    """How the voxels of a point are cut: fields of `Layout` that have no meaning for voxels are empty.

    Attributes
    ----------
    ring_edges : tuple of float64 arrays (M,)
        Radial edges in mm of every main layer.
    """

    source: ClassVar[str] = "voxels"

    ring_edges: tuple[Floats, ...] = ()

    @classmethod
    def of(cls, reference: VoxelSample) -> VoxelLayout:
        """Cut like the reference's showers of one point."""
        binning = reference.binning
        response = 1000.0 * reference.visible / reference.energy
        per_layer = np.bincount(binning.layer, reference.per_voxel(), len(binning.layer_ids))
        share = per_layer / max(float(per_layer.sum()), np.finfo(float).tiny)
        main = np.flatnonzero(share > MAIN_SHARE).astype(np.int64)
        centre = float(np.median(response))
        width = float(half_width(np.ones((1, len(response))), response[:, None])[0, 0])
        width = max(width, 1e-3 * centre, 1e-9)
        none = np.zeros(0)
        return cls(
            layer_names=tuple(f"layer {i}" for i in binning.layer_ids),
            main_layers=main,
            cell_group=np.zeros(0, dtype=np.int64),
            depth_low=none,
            depth_high=none,
            r_edges=none,
            response_edges=np.linspace(max(centre - 4.0 * width, 0.0), centre + 4.0 * width, RESPONSE_BINS + 1),
            nearly_all_visible=False,  # voxel files are scaled to the incident energy: nothing says what leaks
            ring_edges=tuple(np.array(binning.r_edges[k]) for k in main),
        )

    @property
    def by_layer_and_radius(self) -> Axis:
        """The rings of every main layer in turn."""
        low = np.concatenate([edges[:-1] for edges in self.ring_edges])
        high = np.concatenate([edges[1:] for edges in self.ring_edges])
        label = tuple(f"{a:.3g}–{b:.3g}" for a, b in zip(low, high, strict=True))
        group = tuple(
            self.layer_names[i]
            for i, edges in zip(self.main_layers, self.ring_edges, strict=True)
            for _ in range(len(edges) - 1)
        )
        return Axis("r", "mm", low, high, label, group)


class VoxelPoint:
    """Quantities of the showers of one point, cut by a `VoxelLayout`.

    Parameters
    ----------
    sample : VoxelSample (n,)
        The showers of the point.
    layout : VoxelLayout
    threshold : float
        Voxels below so many MeV count as empty.
    """

    def __init__(self, sample: VoxelSample, layout: VoxelLayout, threshold: float = 0.0) -> None:
        self.sample = sample
        self.layout = layout
        self.threshold = threshold

    def __len__(self) -> int:
        return len(self.sample)

    @cached_property
    def _moments(self) -> LayerMoments:
        return layer_moments(self.sample, self.threshold)

    @property
    def visible(self) -> Floats:
        """Visible energy in MeV, shape (n,)."""
        return self._moments.total

    @cached_property
    def response(self) -> Floats:
        """Visible per incident energy in MeV/GeV, shape (n,)."""
        return 1000.0 * self._moments.total / self.sample.energy

    @cached_property
    def layer_response(self) -> Floats:
        """The same per layer, shape (n, K)."""
        return 1000.0 * self._moments.energy / self.sample.energy[:, None]

    @cached_property
    def occupancy(self) -> Floats:
        """Share of each main layer's voxels that are hit in %, shape (n, M)."""
        main = self.layout.main_layers
        return np.asarray(100.0 * self._moments.hit[:, main] / self._moments.n_voxels[main])

    @cached_property
    def centroid(self) -> Floats:
        """Energy-weighted mean along eta and phi per main layer in mm, shape (n, M, 2); NaN for empty layers."""
        return self._known(np.stack([self._moments.centre(c) for c in range(2)], axis=2))

    @cached_property
    def spread(self) -> Floats:
        """Energy-weighted standard deviation of the same in mm, shape (n, M, 2)."""
        return self._known(np.stack([self._moments.width(c) for c in range(2)], axis=2))

    def _known(self, x: Floats) -> Floats:
        main = self.layout.main_layers
        # A layer that is not cut in alpha knows neither.
        cut = np.array(self.sample.binning.n_alpha)[main] > 1
        return np.where((self._moments.energy[:, main, None] > 0) & cut[:, None], x[:, main], np.nan)

    @cached_property
    def mean_layer(self) -> Floats:
        """Energy-weighted mean number of the layer, shape (n,); NaN for empty showers."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self._moments.energy @ np.arange(len(self.layout.layer_names)) / self._moments.total)

    @cached_property
    def _rings(self) -> Floats:
        """Energy per ring of all main layers in turn in MeV, shape (n, sum of rings)."""
        binning, main = self.sample.binning, self.layout.main_layers
        starts = np.concatenate([[0], np.cumsum(binning.n_r[main])])
        place = np.full(len(binning.layer_ids), -1)
        place[main] = starts[:-1]
        start = place[binning.layer]
        width = int(starts[-1]) + 1
        column = np.where(start >= 0, start + binning.ring, starts[-1]).astype(np.int64)
        table = np.zeros((len(self), width))
        _sum_columns(self.sample.offsets, self.sample.number, self.sample.value, self.threshold, column, table)
        return table[:, :-1]

    def _layer_sums(self, w: Floats) -> list[Floats]:
        sums = w @ self._rings
        cuts = np.cumsum(self.sample.binning.n_r[self.layout.main_layers])[:-1]
        return np.split(sums, cuts, axis=1)

    def lateral(self, w: Floats) -> Floats:
        """Return the lateral profile (1/E) dE/dr of every main layer in 1/mm, shape (R, sum of rings)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.concatenate(
                [
                    part / part.sum(axis=1, keepdims=True) / np.diff(edges)
                    for part, edges in zip(self._layer_sums(w), self.layout.ring_edges, strict=True)
                ],
                axis=1,
            )

    def layer_radius(self, w: Floats, fraction: float) -> Floats:
        """Return the radius that holds a fraction of each main layer's energy in mm, shape (R, M)."""
        parts = zip(self._layer_sums(w), self.layout.ring_edges, strict=True)
        return np.stack(
            [
                quantile_radius(part, edges, fraction) if len(edges) > 2 else np.full(len(w), np.nan)
                for part, edges in parts
            ],
            axis=1,
        )


@kernel
def _sum_columns(offsets: Any, number: Any, value: Any, threshold: float, column: Any, table: Any) -> None:
    for i in range(len(offsets) - 1):
        for j in range(offsets[i], offsets[i + 1]):
            if value[j] >= threshold:
                table[i, column[number[j]]] += value[j]
