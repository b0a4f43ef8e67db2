"""Acceptance: which part of a ring around the line of flight lies in active layers.

Far from the line, curved and inclined layers are entered and left at another depth than along it. What a shower leaves
in front of the first layer, behind the last one or in another medium is no hit of the medium that the line is in. On
the other side of the line the layers begin earlier, and what a shower leaves there counts for the first cell of depth.
At the depth s of the line, ring r therefore shows

    a(r; s) = seen(r; s) + front mirrored(r; s)

instead of 1: `seen` is the share of azimuths at which the point (s, r) lies in the medium; `mirrored` is what is lost
in front of the medium at depths behind s, relative to the energy at s, and is found on the opposite side of the point
where the line enters the medium. How much there is of it (`front`: 0 if there is nothing in front of where the line
enters, 1 if the shower goes on there evenly) is a matter of showers, not of geometry: `fit.radial` fits it. The
accordion's showers have 1; toys whose spots lie where the line has matter have 0.

The sampler does the same to single spots: one that lies in no layer of its medium is mirrored with the probability
`front`, or else drawn again. A layer that is thinner than `THIN` and has no neighbour of its medium (a presampler) has
no depths of its own: hits count for it at whatever s they are, and a = 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastparam._numba import parallel_kernel, prange
from fastparam.geometry.frames import line_crossings, local_frames
from fastparam.shapes.lines import layer_of1

if TYPE_CHECKING:
    from fastparam.geometry.detector import Geometry
    from fastparam.particles import Particles
    from fastparam.summary.binning import Binning

__all__ = ["THIN", "Acceptance", "acceptance", "entrances", "thin"]

Floats = npt.NDArray[np.float64]

#: Thickness in X0 below which a run of layers of one medium has no depths of its own: that of a depth cell.
THIN = 1.0

#: Lines that stand for a sample, and points per cell of depth, per ring and around it.
_LINES, _DEPTHS, _RADII, _AZIMUTHS = 48, 6, 3, 16


@dataclass(frozen=True)
class Acceptance:
    """What is seen of the rings at each depth cell, on average over the lines of a sample.

    Attributes
    ----------
    seen : float64 array (C, n_r)
        Share of each ring that lies in the medium.
    lost : float64 array (C, n_r)
        Share that lies in front of it, and whose mirror image is in it.
    first : int64 array (C,)
        The first cell of the run of layers of one medium that a cell belongs to.
    """

    seen: Floats
    lost: Floats
    first: npt.NDArray[np.int64]


def _runs(geometry: Geometry) -> npt.NDArray[np.int64]:
    """Return the number of the run of touching layers of one medium that each layer belongs to, shape (L,)."""
    apart = geometry.period_from[1:] - geometry.period_to[:-1] > 1e-6
    other = geometry.layer_medium[1:] != geometry.layer_medium[:-1]
    return np.concatenate([[0], np.cumsum(apart | other)]).astype(np.int64)


def entrances(geometry: Geometry) -> npt.NDArray[np.int64]:
    """Return the first layer of the run of layers of one medium that each layer belongs to, shape (L,)."""
    run = _runs(geometry)
    return np.searchsorted(run, run).astype(np.int64)


def thin(geometry: Geometry) -> npt.NDArray[np.bool_]:
    """Return which layers belong to a run of neighbours of one medium that is thinner than `THIN`, shape (L,)."""
    slab = np.flatnonzero(geometry.slab_layer >= 0)
    x0 = geometry.slab_x0[slab[np.argsort(geometry.slab_layer[slab])]]
    thickness = geometry.layer_to - geometry.layer_from
    stack = (geometry.period_to - geometry.period_from) > thickness * (1 + 1e-9)
    # The plates of a stack are thin, their periods are not.
    run = _runs(geometry)
    whole = np.bincount(run, weights=np.where(stack, THIN, thickness / x0))
    result: npt.NDArray[np.bool_] = whole[run] < THIN
    return result


@parallel_kernel
def _seen(
    origin: Any, u: Any, e1: Any, e2: Any, low: Any, high: Any, entrance: Any, radii: Any, cell_layer: Any, thin: Any,
    barrel: Any, period_from: Any, period_to: Any, medium: Any, seen: Any, lost: Any,
) -> None:  # fmt: skip
    """Shares of azimuths; low, high and entrance (n, C) are in mm along the lines, seen and lost (n, C, n_r)."""
    for i in prange(len(origin)):
        for c in range(low.shape[1]):
            own = cell_layer[c]
            for b in range(radii.shape[0]):
                if thin[own] or not high[i, c] > low[i, c]:
                    seen[i, c, b], lost[i, c, b] = 1.0, 0.0
                    continue
                inside, opposite = 0, 0
                for k in range(_DEPTHS):
                    s = low[i, c] + (k + 0.5) / _DEPTHS * (high[i, c] - low[i, c])
                    for j in range(_RADII):
                        for a in range(_AZIMUTHS):
                            azimuth = 2.0 * np.pi * (a + 0.5) / _AZIMUTHS
                            d1, d2 = radii[b, j] * np.cos(azimuth), radii[b, j] * np.sin(azimuth)
                            for side in range(2):
                                if side == 1:
                                    d1, d2, s = -d1, -d2, 2.0 * entrance[i, c] - s
                                x = origin[i, 0] + s * u[i, 0] + d1 * e1[i, 0] + d2 * e2[i, 0]
                                y = origin[i, 1] + s * u[i, 1] + d1 * e1[i, 1] + d2 * e2[i, 1]
                                z = origin[i, 2] + s * u[i, 2] + d1 * e1[i, 2] + d2 * e2[i, 2]
                                level = np.sqrt(x * x + y * y) if barrel else z
                                m = layer_of1(level, period_from, period_to)
                                there = m >= 0 and medium[m] == medium[own]
                                if side == 1:
                                    opposite += there
                                    s = 2.0 * entrance[i, c] - s
                                elif there:
                                    inside += 1
                                    break
                points = _DEPTHS * _RADII * _AZIMUTHS
                seen[i, c, b], lost[i, c, b] = inside / points, opposite / points


def acceptance(geometry: Geometry, particles: Particles, binning: Binning, paths: Floats) -> Acceptance | None:
    """Average the acceptance over the lines of a sample.

    Parameters
    ----------
    geometry : Geometry
    particles : Particles (n,)
    binning : Binning
        With C depth cells and n_r rings.
    paths : float64 array (n, C, 2)
        Ends of the cells in mm along each line.

    Returns
    -------
    Acceptance or None
        None where all is seen: flat layers that every line meets straight on.
    """
    direction = particles.direction
    if geometry.frame == "planar" and np.all(direction[:, 2] > 1.0 - 1e-9):
        return None
    # Lines of all inclinations, evenly.
    order = np.argsort(direction[:, 2], kind="stable")
    rows = order[np.unique(np.linspace(0, len(order) - 1, min(_LINES, len(order))).astype(np.int64))]
    some = particles.take(rows)
    frames = local_frames(geometry, some)
    edges, layer = binning.r_edges[:-1], binning.cell_layer.astype(np.int64)
    # Within a ring the law falls as a power of r: points at equal distances in ln r.
    inner = np.maximum(edges[:-1], 1e-3 * edges[1:])
    where = (np.arange(_RADII) + 0.5) / _RADII
    radii = np.vstack([inner[:, None] * (edges[1:] / inner)[:, None] ** where, np.full((1, _RADII), edges[-1])])
    first = binning.first_cell[entrances(geometry)][layer]
    low, high = (np.ascontiguousarray(paths[rows, :, k]) for k in (0, 1))
    front = line_crossings(geometry, some, geometry.period_from)[:, layer[first]]
    seen, lost = (np.empty((len(some), len(layer), len(radii))) for _ in range(2))
    _seen(
        frames.origin, frames.u, frames.e1, frames.e2, low, high, np.ascontiguousarray(front), radii, layer,
        thin(geometry), geometry.frame == "barrel", geometry.period_from, geometry.period_to,
        geometry.layer_medium.astype(np.int64), seen, lost,
    )  # fmt: skip
    return Acceptance(seen.mean(axis=0), lost.mean(axis=0), first)
