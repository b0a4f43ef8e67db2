"""How the content of a shower is cut: depth cells within each layer, and rings around the particle's line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fastparam.geometry.frames import Frames, line_crossings, local_frames, to_local

if TYPE_CHECKING:
    from fastparam.geometry.detector import Geometry
    from fastparam.hits.hits import Hits
    from fastparam.particles import Particles

__all__ = ["PROBE_SHOWERS", "Binning", "choose_binning"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Binning:
    """Depth cells and radial bins.

    A layer is cut along the particle's line into cells of ``cell_width`` mm. Multiples of the width are counted from
    the particle's start (`anchor` "start", where stored hits were merged in cells counted from there) or from the
    line's entry into the layer ("layer"). A line that crosses a layer in more than `n_cells` cells has the rest in
    the last one.

    Attributes
    ----------
    anchor : str
        "start" or "layer".
    cell_width : float64 array (L,)
        Width of the cells of each active layer in mm along the line; infinite where a layer is one cell.
    n_cells : int64 array (L,)
        Cells of each layer.
    r_edges : float64 array (n_r + 1,)
        Edges of the radial bins in mm, from 0 to infinity.
    lateral_cell : float
        Width in mm of the lateral cells around the line in which stored hits were merged; 0 where none is seen.
        Radial bins narrower than this say more about the cells than about the shower.
    """

    anchor: str
    cell_width: npt.NDArray[np.float64]
    n_cells: npt.NDArray[np.int64]
    r_edges: npt.NDArray[np.float64]
    lateral_cell: float

    @property
    def n_r(self) -> int:
        """Number of radial bins."""
        return len(self.r_edges) - 1

    @property
    def first_cell(self) -> npt.NDArray[np.int64]:
        """Number of each layer's first cell, and the number of all cells behind it; shape (L + 1,)."""
        return np.concatenate([[0], np.cumsum(self.n_cells)]).astype(np.int64)

    @property
    def cell_layer(self) -> npt.NDArray[np.int64]:
        """Layer index of every cell, shape (n_cells_total,)."""
        return np.repeat(np.arange(len(self.n_cells)), self.n_cells)

    def same_as(self, other: Binning) -> bool:
        """Whether contents cut by either can be compared bin by bin."""
        return (
            self.anchor == other.anchor
            and np.array_equal(self.cell_width, other.cell_width)
            and np.array_equal(self.n_cells, other.n_cells)
            and np.array_equal(self.r_edges, other.r_edges)
        )

    def coarse_rings(self) -> npt.NDArray[np.int64]:
        """First radial bin of each group of bins that is wide enough for the lateral cells, shape (n_groups,).

        Within four lateral cells of the line a group is at least a cell wide, beyond each bin is one.
        """
        starts, edge = [0], 0.0
        for k, start in enumerate(self.r_edges[1:-1], start=1):
            cell = self.lateral_cell if edge < 4 * self.lateral_cell else 0.0
            if start - edge >= (1.2 if edge == 0.0 else 1.0) * cell:
                starts.append(k)
                edge = float(start)
        return np.array(starts, dtype=np.int64)


#: Showers looked at to find out how stored hits were merged.
PROBE_SHOWERS = 300

#: Clumping of hits in the middle of cells counts as merging when its first harmonic has this relative amplitude (hits
#: at the centres of their cells have 2, Geant4 samples merged in cells 0.3 to 1.2, smooth profiles below 0.1) and this
#: significance.
_MIN_AMPLITUDE = 0.15
_MIN_SIGNIFICANCE = 10.0

#: Widths of cells that are looked for in mm, along the line and across it, and the histograms they are looked for in.
#: In cells of many X0 the shower itself clumps.
_DEPTH_WIDTHS, _DEPTH_STEP, _WIDEST_IN_X0 = np.arange(2.0, 64.5, 0.5), 0.25, 4.0
_LATERAL_WIDTHS, _LATERAL_STEP = np.arange(0.2, 10.05, 0.1), 0.05

_N_RINGS = 40


def choose_binning(geometry: Geometry, particles: Particles, hits: Hits, all_particles: Particles) -> Binning:
    """Choose depth cells and radial bins for a sample from some of its showers.

    Simulations often merge the deposits of a small cell into one stored hit. Depth bins that cut through such cells
    show artefacts of up to 25 % of the profile's maximum, so cells are whole merging cells wherever merging is seen.
    Elsewhere a layer thicker than 1 X0 is cut into cells of half an X0, a thinner one is a cell by itself.
    Radial bins are logarithmic from 0.02 to 20 Moliere radii, and no narrower than the lateral cells that are seen.

    Parameters
    ----------
    geometry : Geometry
    particles, hits : Particles (k,), Hits
        The showers looked at; only the first `PROBE_SHOWERS` are used, so that the choice does not depend on batches.
    all_particles : Particles
        All primaries of the sample: the longest path through a layer sets its number of cells.
    """
    slabs = np.flatnonzero(geometry.slab_layer >= 0)
    slabs = slabs[np.argsort(geometry.slab_layer[slabs])]
    x0 = geometry.slab_x0[slabs]
    thickness = geometry.layer_to - geometry.layer_from
    thick = thickness > x0
    anchor, merged = "layer", np.zeros(geometry.n_layers)
    n = min(PROBE_SHOWERS, len(hits))
    frames = local_frames(geometry, particles.take(slice(0, n)))
    used = slice(0, hits.offsets[n])
    shower, layer, e = hits.shower[used], hits.layer[used], hits.e[used]
    local = to_local(frames, shower, np.stack([hits.x[used], hits.y[used], hits.z[used]], axis=1))
    if thick.any():
        anchor, merged = _find_merging(geometry, frames, shower, local[:, 0], layer, e, np.flatnonzero(thick))
    width = np.full(geometry.n_layers, np.inf)
    for k in np.flatnonzero(thick):
        cell = merged[k]
        width[k] = cell * max(1.0, np.ceil(0.4 * x0[k] / cell)) if cell > 0 else 0.5 * x0[k]
    path = _longest_paths(geometry, all_particles)
    n_cells = np.where(thick, np.ceil(path / np.where(thick, width, 1.0)) + (anchor == "start"), 1).astype(np.int64)
    moliere = geometry.material.moliere_radius
    r_edges = np.concatenate([[0.0], moliere * np.geomspace(0.02, 20.0, _N_RINGS - 1), [np.inf]])
    fine = Binning(anchor, width, n_cells, r_edges, _lateral_cell(local[layer >= 0, 1:], e[layer >= 0]))
    return replace(fine, r_edges=np.append(r_edges[fine.coarse_rings()], np.inf))


def _longest_paths(geometry: Geometry, particles: Particles) -> Floats:
    """Longest path of any particle through each active layer in mm, shape (L,)."""
    longest = np.zeros(geometry.n_layers)
    for first in range(0, len(particles), 100_000):
        some = particles.take(slice(first, first + 100_000))
        crossings = line_crossings(geometry, some, np.stack([geometry.layer_from, geometry.layer_to]))
        longest = np.maximum(longest, (crossings[:, 1] - crossings[:, 0]).max(axis=0))
    return longest


@dataclass(frozen=True)
class _Profile:
    """Sums of e and of e^2 of hits in narrow bins of one coordinate."""

    edges: Floats
    energy: Floats
    square: Floats

    @classmethod
    def of(cls, where: Floats, e: Floats, step: float, low: float, high: float) -> _Profile:
        # Bins start at a multiple of the step, so that borders of cells are borders of bins.
        edges = step * np.arange(np.floor(low / step), np.ceil(high / step) + 0.5)
        return cls(edges, np.histogram(where, edges, weights=e)[0], np.histogram(where, edges, weights=e**2)[0])

    def within(self, distance: float) -> _Profile:
        """Return the part of the profile that is not farther from 0 than this."""
        first, last = np.searchsorted(self.edges, [-distance - 1e-9, distance + 1e-9])
        return _Profile(self.edges[first:last], self.energy[first : last - 1], self.square[first : last - 1])

    def clumping(self, width: float) -> Floats:
        """Return sums over the whole cells of a width, counted from 0: of e times minus twice the cosine, e, and e^2.

        Hits at the middles of their cells have a ratio of the first two of 2. A smooth profile has a cosine of its
        own, which is subtracted: as merging moves no energy across the borders of cells, the profile is drawn smoothly
        through what lies between these.
        """
        from scipy.interpolate import CubicSpline

        start, stop = self.edges[0], self.edges[-1]
        slack = 1.01 * (self.edges[1] - start)
        borders = width * np.arange(np.ceil((start - slack) / width), np.floor((stop + slack) / width) + 1)
        if len(borders) < 3:  # fewer than two whole cells
            return np.zeros(3)
        knots = np.concatenate([[start], borders[(borders > start + slack) & (borders < stop - slack)], [stop]])
        cumulative = np.concatenate([[0.0], np.cumsum(self.energy)])
        smooth = np.diff(CubicSpline(knots, np.interp(knots, self.edges, cumulative))(self.edges))
        middle = 0.5 * (self.edges[1:] + self.edges[:-1])
        whole = (middle > borders[0]) & (middle < borders[-1])
        excess = (self.energy - smooth)[whole] @ (-2.0 * np.cos(2.0 * np.pi * middle[whole] / width))
        return np.array([excess, self.energy[whole].sum(), self.square[whole].sum()])


def _amplitude(profiles: Sequence[_Profile], width: float) -> float:
    """Amplitude of the clumping in cells of a width, of all profiles together; 0 if it is not significant."""
    excess, energy, square = np.sum([p.clumping(width) for p in profiles], axis=0)
    if energy <= 0.0 or excess < _MIN_AMPLITUDE * energy:
        return 0.0
    # Of hits at random phases the sum has a variance of 2 sum(e^2).
    return float(excess / energy) if excess > _MIN_SIGNIFICANCE * np.sqrt(2.0 * square) else 0.0


def _lateral_cell(d: Floats, e: Floats) -> float:
    """Return the width in mm of lateral cells, counted from the line, that clump the energy of hits; 0 for none.

    Within about 15 %: in a steep profile the hits of a cell are nearer to the line than its middle.
    """
    reach = 4.0 * _LATERAL_WIDTHS[-1]
    profiles = [_Profile.of(d[:, j], e, _LATERAL_STEP, -reach, reach) for j in range(2)]
    # Cells may grow with the distance from the line, so only those next to it are judged.
    amplitudes = [_amplitude([p.within(4.0 * width) for p in profiles], width) for width in _LATERAL_WIDTHS]
    return round(float(_LATERAL_WIDTHS[np.argmax(amplitudes)]), 1) if max(amplitudes) > 0.0 else 0.0


def _find_merging(
    geometry: Geometry,
    frames: Frames,
    shower: npt.NDArray[np.int64],
    s: Floats,
    layer: npt.NDArray[np.int32],
    e: Floats,
    layers: npt.NDArray[np.int64],
) -> tuple[str, Floats]:
    """Return the anchor and, per layer, the width in mm of the cells in which hits were merged, 0 for none.

    Layers of one medium are judged together, as few cells fit into a thin one. Where merging is coarser far from the
    line, a layer has the coarser cells unless the finer ones show three times as much there (hold 3/4 of its energy).
    """
    best: tuple[float, str, Floats] = (0.0, "layer", np.zeros(geometry.n_layers))
    for anchor in ("start", "layer"):
        merged, total = np.zeros(geometry.n_layers), 0.0
        for medium in np.unique(geometry.layer_medium[layers]):
            members = layers[geometry.layer_medium[layers] == medium]
            profiles, widths = [], _DEPTH_WIDTHS
            for k in members:
                slab = np.flatnonzero(geometry.slab_layer == k)[0]
                inside = (layer == k) & (s >= frames.slab_in[shower, slab]) & (s <= frames.slab_out[shower, slab])
                depth = s[inside] - (frames.slab_in[shower[inside], slab] if anchor == "layer" else 0.0)
                widths = widths[widths <= _WIDEST_IN_X0 * geometry.slab_x0[slab]]
                ends = (depth.min(), depth.max()) if len(depth) else (0.0, _DEPTH_STEP)
                profiles.append(_Profile.of(depth, e[inside], _DEPTH_STEP, *ends))
            amplitudes = [_amplitude(profiles, width) for width in widths]
            if max(amplitudes, default=0.0) == 0.0:
                continue
            width = float(widths[np.argmax(amplitudes)])
            total += max(amplitudes) * sum(float(p.energy.sum()) for p in profiles)
            merged[members] = width
            while 2.0 * width <= widths[-1] and _amplitude(profiles, 2.0 * width) > 0.0:
                for k, profile in zip(members, profiles, strict=True):
                    if 3.0 * _amplitude([profile], 2.0 * width) >= _amplitude([profile], width):
                        merged[k] = 2.0 * width
                width *= 2.0
        if total > best[0]:
            best = (total, anchor, merged)
    return best[1], best[2]
