"""What is compared: one function and one line of `OBSERVABLES` per quantity.

A function maps the showers of an energy point and a matrix of weights (`statistics`) to one row of values per
replica, shape (R, K); K is 1 for a scalar. Uncertainties, pulls, verdicts, figures, tables and JSON follow from the
registry; nothing else needs to know about a new observable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fastparam.comparison.sample import Axis, Layout, Sample
from fastparam.comparison.statistics import correlations, half_width, mean, quantile_radius, ratio, rms
from fastparam.comparison.voxel_point import VoxelPoint
from fastparam.summary.shower_start import COARSE

__all__ = ["OBSERVABLES", "Observable", "by_name"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Observable:
    """A quantity that is compared.

    Attributes
    ----------
    name : str
        Key in JSON and limits.
    title, unit : str
        As a physicist would label an axis.
    values : callable
        (Sample, weights (R, n)) -> float64 array (R, K).
    kind : str
        "scalar", "profile", or "distance": a vector that is compared by one number, the RMS difference with its
        statistical part subtracted.
    axis : callable, optional
        Layout -> Axis of a profile's K entries.
    scale : str
        What a deviation is measured in: "relative" (% of the reference), "maximum" (% of the largest entry of the
        reference's profile) or "absolute" (the observable's unit).
    log : bool
        Whether figures show it on a logarithmic scale.
    only_if : callable, optional
        Layout -> whether the observable makes sense at this point.
    source : str
        "hits", "voxels" or "both": what showers must be for it to exist.
    aspect : str
        What is wrong where it deviates, one of `metric.ASPECTS`.
    drawn : bool
        Whether reports show it in any case; else only where a difference is seen. Tables always have it.
    """

    name: str
    title: str
    unit: str
    values: Callable[[Any, Floats], Floats]
    kind: Literal["scalar", "profile", "distance"] = "scalar"
    axis: Callable[[Layout], Axis] | None = None
    scale: Literal["relative", "maximum", "absolute"] = "relative"
    log: bool = False
    only_if: Callable[[Layout], bool] | None = None
    source: Literal["hits", "voxels", "both"] = "hits"
    aspect: str = "energy"
    drawn: bool = True

    @property
    def deviation_unit(self) -> str:
        """Unit of a deviation, as text."""
        return {"relative": "%", "maximum": "% of max.", "absolute": self.unit}[self.scale]


def _visible_mean(s: Sample, w: Floats) -> Floats:
    return mean(w, s.response[:, None])


def _visible_width(s: Sample, w: Floats) -> Floats:
    return half_width(w, s.response[:, None])


def _visible_rms(s: Sample, w: Floats) -> Floats:
    return rms(w, s.response[:, None])


def _leakage_mean(s: Sample, w: Floats) -> Floats:
    return mean(w, 1000.0 - s.response[:, None])


def _visible_distribution(s: Sample, w: Floats) -> Floats:
    edges = s.layout.response_edges
    inside = (s.response[:, None] >= edges[:-1]) & (s.response[:, None] < edges[1:])
    return mean(w, inside / np.diff(edges))


def _layer_mean(s: Sample, w: Floats) -> Floats:
    return mean(w, s.layer_response)


def _layer_width(s: Sample, w: Floats) -> Floats:
    return half_width(w, s.layer_response)


def _layer_correlation(s: Sample, w: Floats) -> Floats:
    return correlations(w, s.layer_response[:, s.layout.main_layers])


def _centroid_correlation(s: Sample | VoxelPoint, w: Floats) -> Floats:
    """Return correlations along e1, then along e2, between layers; empty layers count as centred on the line.

    Centroids are clipped at the distance that one in twenty exceeds: a single far hit says nothing of the others.
    """
    centroid = np.nan_to_num(s.centroid)
    most = np.quantile(np.abs(centroid), 1 - _CLIPPED, axis=0)
    clipped = np.clip(centroid, -most, most)
    return np.concatenate([correlations(w, clipped[:, :, k]) for k in (0, 1)], axis=1)


def _no_start(s: Sample, w: Floats) -> Floats:
    return mean(w, np.where(s.start < 0, 100.0, 0.0)[:, None].astype(np.float64))


def _start_distribution(s: Sample, w: Floats) -> Floats:
    return mean(w, 100.0 * (s.start[:, None] == np.arange(len(s.layout.layer_names))))


def _start_mean(s: Sample, w: Floats) -> Floats:
    layer: Floats = s.start.astype(np.float64)
    layer[s.start < 0] = np.nan
    return mean(w, layer[:, None])


def _longitudinal(s: Sample, w: Floats) -> Floats:
    """Return the share of the profile's own energy per X0: of the layers of the main medium (`Layout`)."""
    width = s.layout.depth_high - s.layout.depth_low  # zero where no line passes
    return ratio(w, s.depth_energy, s.depth_energy.sum(axis=1)) / np.where(width > 0, width, np.nan)


def _lateral(s: Sample, w: Floats) -> Floats:
    return ratio(w, s.ring_energy[:, :-1], s.visible) / np.diff(s.layout.r_edges[:-1])


def _layer_lateral(s: Sample | VoxelPoint, w: Floats) -> Floats:
    if isinstance(s, VoxelPoint):
        return s.lateral(w)
    rings = s.main_ring_energy
    sums = np.einsum("rn,nlk->rlk", w, rings, optimize=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        density = sums[:, :, :-1] / sums.sum(axis=2, keepdims=True) / np.diff(s.layout.r_edges[:-1])
    return np.asarray(density.reshape(len(w), -1), dtype=np.float64)


def _pooled_radius(fraction: float) -> Callable[[Sample, Floats], Floats]:
    def values(s: Sample, w: Floats) -> Floats:
        return quantile_radius(w @ s.ring_energy, s.layout.r_edges, fraction)[:, None]

    return values


def _layer_radius(fraction: float) -> Callable[[Sample | VoxelPoint, Floats], Floats]:
    def values(s: Sample | VoxelPoint, w: Floats) -> Floats:
        if isinstance(s, VoxelPoint):
            return s.layer_radius(w, fraction)
        return quantile_radius(
            np.einsum("rn,nlk->rlk", w, s.main_ring_energy, optimize=True), s.layout.r_edges, fraction
        )

    return values


def _shower_r50(s: Sample, w: Floats) -> Floats:
    return mean(w, s.summary.r50[:, None])


def _shower_r90(s: Sample, w: Floats) -> Floats:
    return mean(w, s.summary.r90[:, None])


def _depth_mean(s: Sample, w: Floats) -> Floats:
    return mean(w, s.mean_depth[:, None])


def _depth_width(s: Sample, w: Floats) -> Floats:
    return half_width(w, s.mean_depth[:, None])


def _shower_radius_width(radius: str) -> Callable[[Sample, Floats], Floats]:
    def values(s: Sample, w: Floats) -> Floats:
        per_shower: Floats = getattr(s.summary, radius)
        return half_width(w, per_shower[:, None])

    return values


def _layer_depth_mean(s: VoxelPoint, w: Floats) -> Floats:
    return mean(w, s.mean_layer[:, None])


def _layer_depth_width(s: VoxelPoint, w: Floats) -> Floats:
    return half_width(w, s.mean_layer[:, None])


def _occupancy(s: VoxelPoint, w: Floats) -> Floats:
    return mean(w, s.occupancy)


def _n_hits(s: Sample, w: Floats) -> Floats:
    return mean(w, s.summary.n_hits[:, None].astype(np.float64))


def _along(
    estimator: Callable[[Floats, Floats], Floats], quantity: str, direction: int
) -> Callable[[Sample, Floats], Floats]:
    """Apply an estimator to the centroid or spread of each main layer along e1 (0) or e2 (1)."""

    def values(s: Sample, w: Floats) -> Floats:
        per_shower: Floats = getattr(s, quantity)
        return estimator(w, per_shower[:, :, direction])

    return values


def _nearly_all(layout: Layout) -> bool:
    return layout.nearly_all_visible


def _sampled_fraction(layout: Layout) -> bool:
    return not layout.nearly_all_visible


def _starts(layout: Layout) -> bool:
    return layout.mip is not None


def _starts_in_many_layers(layout: Layout) -> bool:
    return layout.mip is not None and len(layout.mip) >= COARSE


def _some_layers(layout: Layout) -> bool:
    return len(layout.main_layers) > 1


_GEV = "MeV/GeV"

#: Share of centroids that is clipped where they are correlated.
_CLIPPED = 0.05


def _profile(
    name: str, title: str, unit: str, values: Callable[[Any, Floats], Floats], axis: str, **options: Any
) -> Observable:
    """Make an observable with one entry per bin of the Layout's axis of that name."""
    return Observable(name, title, unit, values, "profile", attrgetter(axis), **options)


_ABSOLUTE: dict[str, Any] = {"scale": "absolute", "drawn": False}
_DEPTH, _RADIUS, _LAYER, _MAIN = "by_depth", "by_radius", "by_layer", "by_main_layer"
_LAYER_RADIUS = "by_layer_and_radius"

#: Everything that is compared, in the order of the report. Energies are per incident kinetic energy; "width" is half
#: of the central 68 % interval; e1 and e2 are the transverse directions of `geometry.frames`.
OBSERVABLES: tuple[Observable, ...] = (
    Observable("visible_mean", "visible energy, mean", _GEV, _visible_mean, source="both"),
    # Where nearly all energy is visible its width is that of the leakage and listed under that name.
    Observable(
        "visible_width", "visible energy, width", _GEV, _visible_width, only_if=_sampled_fraction,
        source="both",
    ),
    Observable("visible_rms", "visible energy, RMS", _GEV, _visible_rms, source="both"),
    Observable("leakage_mean", "leakage, mean", _GEV, _leakage_mean, only_if=_nearly_all, source="both"),
    Observable("leakage_width", "leakage, width", _GEV, _visible_width, only_if=_nearly_all, source="both"),
    _profile(
        "visible_distribution", "visible energy", f"1/({_GEV})", _visible_distribution, "by_response",
        scale="maximum", source="both",
    ),
    _profile(
        "longitudinal", "longitudinal profile (1/E) dE/dt", "1/X0", _longitudinal, _DEPTH, scale="maximum",
        aspect="depth",
    ),
    Observable("depth_mean", "shower depth, mean", "X0", _depth_mean, aspect="depth"),
    Observable("depth_width", "shower depth, width", "X0", _depth_width, aspect="depth"),
    Observable(
        "no_start", "hadrons that do not shower", "%", _no_start, only_if=_starts, aspect="depth"
    ),
    Observable(
        "start_mean", "layer where hadrons start to shower, mean", "layers", _start_mean, scale="absolute",
        only_if=_starts_in_many_layers, aspect="depth",
    ),
    _profile(
        "start_distribution", "layer where hadrons start to shower", "%", _start_distribution, _LAYER, scale="maximum",
        only_if=_starts, aspect="depth",
    ),
    _profile("lateral", "lateral profile (1/E) dE/dr", "1/mm", _lateral, _RADIUS, log=True, aspect="radius"),
    Observable("r50", "R50, pooled", "mm", _pooled_radius(0.5), aspect="radius"),
    Observable("r90", "R90, pooled", "mm", _pooled_radius(0.9), aspect="radius"),
    Observable("shower_r50", "R50 of each shower, mean", "mm", _shower_r50, aspect="radius"),
    Observable("shower_r90", "R90 of each shower, mean", "mm", _shower_r90, aspect="radius"),
    Observable("shower_r50_width", "R50 of each shower, width", "mm", _shower_radius_width("r50"), aspect="radius"),
    Observable("shower_r90_width", "R90 of each shower, width", "mm", _shower_radius_width("r90"), aspect="radius"),
    Observable(
        "layer_depth_mean", "shower depth, mean layer", "layers", _layer_depth_mean, source="voxels", aspect="depth"
    ),
    Observable(
        "layer_depth_width", "shower depth, width", "layers", _layer_depth_width, source="voxels", aspect="depth"
    ),
    _profile(
        "layer_mean", "energy per layer, mean", _GEV, _layer_mean, _LAYER,
        source="both", aspect="energy per layer",
    ),
    _profile(
        "layer_width", "energy per layer, width", _GEV, _layer_width, _LAYER,
        source="both", aspect="energy per layer",
    ),
    Observable(
        "layer_correlation", "correlation of layer energies, RMS difference", "", _layer_correlation,
        kind="distance", scale="absolute", only_if=_some_layers,
        source="both", aspect="correlations",
    ),
    Observable(
        "centroid_correlation", "correlation of centroids between layers, RMS difference", "", _centroid_correlation,
        kind="distance", scale="absolute", only_if=_some_layers, source="both", aspect="correlations",
    ),
    _profile("layer_r50", "R50 per layer", "mm", _layer_radius(0.5), _MAIN, source="both", aspect="radius"),
    _profile("layer_r90", "R90 per layer", "mm", _layer_radius(0.9), _MAIN, source="both", aspect="radius"),
    _profile(
        "centroid_e1_mean", "centroid, e1, mean", "mm", _along(mean, "centroid", 0), _MAIN, **_ABSOLUTE,
        source="both", aspect="centre",
    ),
    _profile(
        "centroid_e2_mean", "centroid, e2, mean", "mm", _along(mean, "centroid", 1), _MAIN, **_ABSOLUTE,
        source="both", aspect="centre",
    ),
    _profile(
        "centroid_e1_width", "centroid, e1, width", "mm", _along(half_width, "centroid", 0), _MAIN,
        source="both", aspect="centre",
    ),
    _profile(
        "centroid_e2_width", "centroid, e2, width", "mm", _along(half_width, "centroid", 1), _MAIN,
        source="both", aspect="centre",
    ),
    _profile(
        "spread_e1_mean", "lateral RMS, e1, mean", "mm", _along(mean, "spread", 0), _MAIN,
        source="both", aspect="width",
    ),
    _profile(
        "spread_e2_mean", "lateral RMS, e2, mean", "mm", _along(mean, "spread", 1), _MAIN,
        source="both", aspect="width",
    ),
    _profile(
        "spread_e1_width", "lateral RMS, e1, width", "mm", _along(half_width, "spread", 0), _MAIN, drawn=False,
        source="both", aspect="width",
    ),
    _profile(
        "spread_e2_width", "lateral RMS, e2, width", "mm", _along(half_width, "spread", 1), _MAIN, drawn=False,
        source="both", aspect="width",
    ),
    _profile(
        "layer_lateral", "layer's lateral profile (1/E) dE/dr", "1/mm", _layer_lateral, _LAYER_RADIUS, log=True,
        source="both", aspect="radius",
    ),
    Observable("n_hits", "hits per shower, mean", "", _n_hits, aspect="voxels"),
    _profile(
        "layer_occupancy", "voxels hit per layer, mean", "%", _occupancy, _MAIN, source="voxels", aspect="voxels"
    ),
)  # fmt: skip


def by_name(name: str) -> Observable:
    """Return the observable of that name; KeyError if there is none."""
    return {o.name: o for o in OBSERVABLES}[name]
