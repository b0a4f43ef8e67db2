"""How the content of a shower is cut: depth cells within each layer, and rings around the particle's line."""

from __future__ import annotations

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

#: A periodic clumping of the depth of hits counts as merging when its first harmonic has this relative amplitude
#: (hits at the centres of their cells have 2, a smooth profile 0 within 0.06, Geant4 samples merged in cells 0.3 to
#: 1.2) and this significance.
_MIN_AMPLITUDE = 0.15
_MIN_SIGNIFICANCE = 10.0

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
        same_medium = merged[geometry.layer_medium == geometry.layer_medium[k]]
        cell = merged[k] or same_medium.max()
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


def _lateral_cell(d: Floats, e: Floats) -> float:
    """Return the width in mm of lateral cells, counted from the line, that clump the energy of hits; 0 for none."""
    edges = np.arange(0.0, 40.0 + 1e-9, 0.05)
    middle = edges[:-1] + 0.025
    profiles = [(np.histogram(np.abs(d[:, j]), edges, weights=e)[0], np.abs(d[:, j])) for j in range(2)]
    squares = [np.histogram(distance, edges, weights=e**2)[0] for _, distance in profiles]
    best, found = 0.0, 0.0
    for width in np.arange(0.2, 10.05, 0.1):
        near = middle < 4 * width
        wave = np.cos(2 * np.pi * middle[near] / width)
        totals = [energy[near].sum() for energy, _ in profiles]
        if min(totals) <= 0:
            continue
        # Hits gather in the middle of their cells: minus the cosine of the phase, of both projections together.
        amplitude = -sum(
            float(energy[near] @ wave) / total for (energy, _), total in zip(profiles, totals, strict=True)
        )
        n_effective = sum(total**2 / square[near].sum() for total, square in zip(totals, squares, strict=True))
        if amplitude > found and amplitude * np.sqrt(n_effective / 4) > _MIN_SIGNIFICANCE:
            best, found = float(width), amplitude
    return round(best, 1) if found > _MIN_AMPLITUDE else 0.0


def _find_merging(
    geometry: Geometry,
    frames: Frames,
    shower: npt.NDArray[np.int64],
    s: Floats,
    layer: npt.NDArray[np.int32],
    e: Floats,
    layers: npt.NDArray[np.int64],
) -> tuple[str, Floats]:
    """Return the anchor and, per layer, the width in mm of the cells in which hits were merged, 0 for none."""
    best: tuple[float, str, Floats] = (0.0, "layer", np.zeros(geometry.n_layers))
    for anchor in ("start", "layer"):
        merged, strength = np.zeros(geometry.n_layers), 0.0
        for k in layers:
            slab = np.flatnonzero(geometry.slab_layer == k)[0]
            inside = (layer == k) & (s >= frames.slab_in[shower, slab]) & (s <= frames.slab_out[shower, slab])
            depth = s[inside] - (frames.slab_in[shower[inside], slab] if anchor == "layer" else 0.0)
            merged[k], amplitude = _merging_period(depth, e[inside])
            strength += amplitude * e[inside].sum()
        if strength > best[0]:
            best = (strength, anchor, merged)
    return best[1], best[2]


def _merging_period(depth: Floats, e: Floats) -> tuple[float, float]:
    """Return the width in mm of the cells, counted from depth 0, that clump the energy of hits, and its amplitude."""
    if len(depth) < 1000:
        return 0.0, 0.0
    low, high = np.quantile(depth, [0.001, 0.999])
    n_effective = e.sum() ** 2 / (e**2).sum()
    edges = np.arange(np.floor(low / 0.25) * 0.25, high, 0.25)
    density = np.histogram(depth, edges, weights=e)[0]
    centre = edges[:-1] + 0.125

    def amplitude(width: float) -> float:
        k = 2 * round(2.0 * width) + 1  # an odd number of histogram bins, about one cell
        if len(density) < 4 * k:
            return 0.0
        window = np.ones(k) / k
        smooth = np.convolve(np.convolve(density, window, "same"), window, "same")
        inner = slice(k, -k)
        excess = (density - smooth)[inner]
        # Hits gather in the middle of their cells: minus the cosine of the phase.
        return float(-2.0 * (excess * np.cos(2 * np.pi * centre[inner] / width)).sum() / density[inner].sum())

    widths = np.arange(2.0, 64.5, 0.5)
    amplitudes = np.array([amplitude(w) for w in widths])
    best = int(np.argmax(amplitudes))
    width, found = float(widths[best]), float(amplitudes[best])

    def significant(a: float) -> bool:
        return a > _MIN_AMPLITUDE and a * np.sqrt(n_effective / 2) > _MIN_SIGNIFICANCE

    if not significant(found):
        return 0.0, 0.0
    while significant(amplitude(2 * width)):  # coarser cells farther from the axis
        width *= 2
    return width, found
