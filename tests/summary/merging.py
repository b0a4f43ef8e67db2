"""What simulations do to save space: deposits of a small cell become one hit at their energy-weighted mean position."""

from __future__ import annotations

import numpy as np
import toys

from fastparam.hits.hits import Hits


def entry_into_layers(geometry, particles):
    """Path length of each line to the front of each active layer, shape (n, L)."""
    u, p = particles.direction, particles.position
    if geometry.frame == "planar":
        return (geometry.layer_from - p[:, 2:]) / u[:, 2:]
    a = (u[:, :2] ** 2).sum(axis=1)[:, None]
    b = (u[:, :2] * p[:, :2]).sum(axis=1)[:, None]
    c = (p[:, :2] ** 2).sum(axis=1)[:, None] - geometry.layer_from**2
    return (np.sqrt(b**2 - a * c) - b) / a


def merged(geometry, particles, hits, *, depth, anchor="start", lateral=(1.0, 3.0, 8.0), limits=(4.0, 12.0), far=None):
    """Merge hits in square lateral cells around the line times cells of `depth` mm along it.

    `lateral` are the widths of the lateral cells within the radii `limits` and beyond the last; beyond 12 mm the cells
    are `far` deep. Positions are rounded to 0.1 mm at last.
    """
    shower = hits.shower
    u = particles.direction
    axes = [toys.transverse_axes(geometry, row) for row in u]
    e1, e2 = (np.array([pair[j] for pair in axes]) for j in (0, 1))
    xyz = np.stack([hits.x, hits.y, hits.z], axis=1)
    relative = xyz - particles.position[shower]
    s, d1, d2 = ((relative * axis[shower]).sum(axis=1) for axis in (u, e1, e2))
    r = np.hypot(d1, d2)
    zone = np.searchsorted(limits, r, side="right")
    side = np.asarray(lateral)[zone]
    deep = np.where(r < 12.0, depth, far or depth)
    zero = 0.0 if anchor == "start" else entry_into_layers(geometry, particles)[shower, hits.layer]
    cells = [shower, hits.layer, zone, np.floor((s - zero) / deep), np.floor(d1 / side), np.floor(d2 / side)]
    _, first, cell = np.unique(np.stack(cells, axis=1), axis=0, return_index=True, return_inverse=True)
    cell = cell.ravel()
    e = np.bincount(cell, weights=hits.e)
    x, y, z = (np.round(np.bincount(cell, weights=hits.e * v) / e, 1) for v in xyz.T)
    counts = np.bincount(shower[first], minlength=len(hits))
    return Hits(x, y, z, e, hits.layer[first], np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))
