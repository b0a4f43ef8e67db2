"""The showers of one energy point, and how their quantities are cut.

The cuts (`Layout`) are decided by the reference alone and then used for every candidate, so that two samples are
always compared bin by bin. A `Sample` holds the quantities of each shower that observables average.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from fastparam.comparison.statistics import half_width
from fastparam.geometry.ionisation import mip_energy
from fastparam.summary.shower_start import starts_of
from fastparam.summary.summary import Summary

if TYPE_CHECKING:
    from fastparam.geometry.detector import Geometry

__all__ = ["MAIN_SHARE", "NEARLY_ALL", "RESPONSE_BINS", "Axis", "Layout", "Sample", "depth_groups"]

Floats = npt.NDArray[np.float64]

#: Bins of a longitudinal profile are at least so many X0 deep: about 1, but a cell of 0.9 X0 is kept whole.
_MIN_DEPTH = 0.85

#: Radii and shapes are compared in layers that hold at least this share of the visible energy.
MAIN_SHARE = 0.01

#: Above this visible fraction the leakage is the quantity that fluctuates.
NEARLY_ALL = 0.9

RESPONSE_BINS = 24

#: Electrons, photons and muons have no shower start.
_NO_HADRONS = (11, 13, 22)


@dataclass(frozen=True)
class Axis:
    """What the entries of a profile stand for.

    Attributes
    ----------
    title, unit : str
    low, high : float64 arrays (K,)
        Range of every entry; for layers the index of the layer -+ 1/2.
    label : tuple of str (K,)
        Name of every entry for tables.
    group : tuple of str (K,)
        Layer that the entry belongs to where the axis repeats for every layer, else empty strings.
    """

    title: str
    unit: str
    low: Floats
    high: Floats
    label: tuple[str, ...]
    group: tuple[str, ...]

    def place(self, k: int) -> str:
        """Return where entry k is, in words."""
        own = self.label[k] if self.title == "layer" else f"{self.title} {self.label[k]} {self.unit}"
        return ", ".join(part for part in (self.group[k], own) if part)


@dataclass(frozen=True)
class Layout:
    """How the showers of a point are cut.

    Attributes
    ----------
    layer_names : tuple of str (L,)
    main_layers : int64 array (M,)
        Indices of the layers that hold more than 1 % of the reference's visible energy.
    cell_group : int64 array (C,)
        Bin of the longitudinal profile that each depth cell belongs to; -1 for cells of other media than the one that
        holds most of the energy. A presampler's sampling fraction is another, so its energy per X0 would tower above
        the profile and set its maximum.
    depth_low, depth_high : float64 arrays (G,)
        Mean range of the bins in X0.
    r_edges : float64 array (R + 1,)
        Radial edges in mm, the last one infinite.
    response_edges : float64 array (n + 1,)
        Bins of the distribution of visible energy, MeV/GeV.
    nearly_all_visible : bool
        Whether more than 90 % of the energy is visible, so that the leakage is judged.
    mip : float64 array (L,), optional
        Of hadrons: what a minimum-ionising particle leaves in each layer in MeV, which says where showers start.
    """

    source: ClassVar[str] = "hits"

    layer_names: tuple[str, ...]
    main_layers: npt.NDArray[np.int64]
    cell_group: npt.NDArray[np.int64]
    depth_low: Floats
    depth_high: Floats
    r_edges: Floats
    response_edges: Floats
    nearly_all_visible: bool
    mip: Floats | None = None

    @classmethod
    def decide(
        cls, geometry: Geometry, reference: Summary, groups: tuple[npt.NDArray[np.int64], Floats, Floats]
    ) -> Layout:
        """Cut like the reference's showers of one point; `groups` as `depth_groups` returns them."""
        share = reference.layer_energy.sum(axis=0) / max(float(reference.visible.sum()), np.finfo(float).tiny)
        response = 1000.0 * reference.visible / reference.particles.energy
        centre = float(np.median(response))
        width = float(half_width(np.ones((1, len(response))), response[:, None])[0, 0])
        width = max(width, 1e-3 * centre, 1e-9)
        cell_medium = geometry.layer_medium[reference.binning.cell_layer]
        main_medium = int(np.argmax(np.bincount(geometry.layer_medium, weights=reference.layer_energy.sum(axis=0))))
        bins = np.unique(groups[0][cell_medium == main_medium])
        number = np.full(len(groups[1]), -1, dtype=np.int64)
        number[bins] = np.arange(len(bins))
        return cls(
            layer_names=geometry.layer_names,
            main_layers=np.flatnonzero(share > MAIN_SHARE).astype(np.int64),
            cell_group=number[groups[0]],
            depth_low=groups[1][bins],
            depth_high=groups[2][bins],
            r_edges=reference.binning.r_edges,
            response_edges=np.linspace(max(centre - 4.0 * width, 0.0), centre + 4.0 * width, RESPONSE_BINS + 1),
            nearly_all_visible=bool(response.mean() > 1000.0 * NEARLY_ALL),
            mip=None if np.isin(np.abs(reference.particles.pdg), _NO_HADRONS).any() else mip_energy(geometry),
        )

    @property
    def by_layer(self) -> Axis:
        """All layers."""
        return self._layers(np.arange(len(self.layer_names)))

    @property
    def by_main_layer(self) -> Axis:
        """Layers that hold more than 1 % of the energy."""
        return self._layers(self.main_layers)

    def _layers(self, index: npt.NDArray[np.int64]) -> Axis:
        names = tuple(self.layer_names[i] for i in index)
        centre = index.astype(np.float64)
        return Axis("layer", "", centre - 0.5, centre + 0.5, names, ("",) * len(names))

    @property
    def by_depth(self) -> Axis:
        """Bins of the longitudinal profile."""
        label = tuple(f"{a:.2f}–{b:.2f}" for a, b in zip(self.depth_low, self.depth_high, strict=True))
        return Axis("depth", "X0", self.depth_low, self.depth_high, label, ("",) * len(label))

    @property
    def by_radius(self) -> Axis:
        """Radial bins of finite width."""
        low, high = self.r_edges[:-2], self.r_edges[1:-1]
        label = tuple(f"{a:.3g}–{b:.3g}" for a, b in zip(low, high, strict=True))
        return Axis("r", "mm", low, high, label, ("",) * len(label))

    @property
    def by_layer_and_radius(self) -> Axis:
        """The radial bins of every main layer in turn."""
        one, m = self.by_radius, len(self.main_layers)
        group = tuple(self.layer_names[i] for i in np.repeat(self.main_layers, len(one.low)))
        return Axis("r", "mm", np.tile(one.low, m), np.tile(one.high, m), one.label * m, group)

    @property
    def by_response(self) -> Axis:
        """Bins of visible energy."""
        low, high = self.response_edges[:-1], self.response_edges[1:]
        label = tuple(f"{a:.4g}–{b:.4g}" for a, b in zip(low, high, strict=True))
        return Axis("visible energy", "MeV/GeV", low, high, label, ("",) * len(label))


def depth_groups(
    geometry: Geometry, depths: Floats, cell_layer: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], Floats, Floats]:
    """Join adjacent depth cells to bins of about 1 X0.

    A bin never joins layers of different media (`Geometry.layer_medium`): their sampling fractions differ. What is
    left behind the last full bin of a medium is joined to that bin.

    Parameters
    ----------
    geometry : Geometry
    depths : float64 array (n, C, 2)
        Depth range of every cell along every line in X0 (`summary.cell_depths`); cells not reached have width zero.
    cell_layer : int64 array (C,)
        Layer index of every cell.

    Returns
    -------
    group : int64 array (C,)
        Number of each cell's bin.
    low, high : float64 arrays (G,)
        Mean range in X0: where the bin starts, and that plus the mean depth its cells cover.
    """
    width = (depths[:, :, 1] - depths[:, :, 0]).mean(axis=0)
    start = depths[:, :, 0].mean(axis=0)
    medium = geometry.layer_medium[cell_layer]
    group = np.zeros(len(width), dtype=np.int64)
    current, held = 0, 0.0
    for c in range(1, len(width)):
        held += width[c - 1]
        if medium[c] != medium[c - 1] or (held >= _MIN_DEPTH and width[c] > 0):
            current, held = current + 1, 0.0
        group[c] = current
    total = np.bincount(group, weights=width)
    # A thin rest at the end of a medium fluctuates with the position of the cells: it joins the bin before it.
    first = np.searchsorted(group, np.arange(current + 1))
    keep = np.ones(current + 1, dtype=bool)
    for g in range(1, current + 1):
        last_of_medium = g == current or medium[first[g + 1]] != medium[first[g]]
        if last_of_medium and total[g] < _MIN_DEPTH and medium[first[g - 1]] == medium[first[g]]:
            keep[g] = False
    group = (np.cumsum(keep) - 1)[group]
    low = start[first[keep]]
    return group, low, low + np.bincount(group, weights=width)


class Sample:
    """Quantities of the showers of one point, cut by a `Layout`.

    Parameters
    ----------
    summary : Summary (n,)
        The showers of the point.
    layout : Layout
    """

    def __init__(self, summary: Summary, layout: Layout) -> None:
        self.summary = summary
        self.layout = layout

    def __len__(self) -> int:
        return len(self.summary)

    @property
    def visible(self) -> Floats:
        """Visible energy in MeV, shape (n,)."""
        return self.summary.visible

    @cached_property
    def response(self) -> Floats:
        """Visible energy per incident kinetic energy in MeV/GeV, shape (n,)."""
        return 1000.0 * self.summary.visible / self.summary.particles.energy

    @cached_property
    def layer_response(self) -> Floats:
        """The same per layer, shape (n, L)."""
        return 1000.0 * self.summary.layer_energy / self.summary.particles.energy[:, None]

    @cached_property
    def depth_energy(self) -> Floats:
        """Visible energy per bin of the longitudinal profile in MeV, shape (n, G)."""
        member = self.layout.cell_group[:, None] == np.arange(len(self.layout.depth_low))
        return np.asarray(self.summary.cell_energy @ member.astype(np.float64))

    @cached_property
    def ring_energy(self) -> Floats:
        """Visible energy per radial bin in MeV, shape (n, R)."""
        return self.summary.ring_energy

    @cached_property
    def main_ring_energy(self) -> Floats:
        """The same per main layer, shape (n, M, R)."""
        s, n_r, main = self.summary, self.summary.binning.n_r, self.layout.main_layers
        place = np.full(len(self.layout.layer_names), len(main))
        place[main] = np.arange(len(main))
        column = place[s.content_layer] * n_r + s.content_ring
        shower = np.repeat(np.arange(len(s)), np.diff(s.offsets))
        n_columns = (len(main) + 1) * n_r  # the last n_r hold the other layers
        flat = np.bincount(shower * n_columns + column, weights=s.content_energy, minlength=len(s) * n_columns)
        return np.asarray(flat, dtype=np.float64).reshape(len(s), len(main) + 1, n_r)[:, :-1]

    @cached_property
    def centroid(self) -> Floats:
        """Energy-weighted mean of d1 and d2 per main layer in mm, shape (n, M, 2); NaN for empty layers."""
        main = self.layout.main_layers
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.summary.layer_moments[:, main, :2] / self.summary.layer_energy[:, main, None])

    @cached_property
    def spread(self) -> Floats:
        """Energy-weighted standard deviation of d1 and d2 per main layer in mm, shape (n, M, 2)."""
        main = self.layout.main_layers
        with np.errstate(invalid="ignore", divide="ignore"):
            square = self.summary.layer_moments[:, main, 2:] / self.summary.layer_energy[:, main, None]
        return np.asarray(np.sqrt(np.maximum(square - self.centroid**2, 0.0)))

    @cached_property
    def start(self) -> npt.NDArray[np.int64]:
        """Index of the layer where each hadron starts to shower, shape (n,); -1 if it does not."""
        assert self.layout.mip is not None
        return starts_of(self.summary.layer_energy, self.layout.mip)

    @cached_property
    def mean_depth(self) -> Floats:
        """Energy-weighted mean depth in X0, shape (n,); NaN for empty showers."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.summary.depth_sums[:, 0] / self.visible)
