"""The slow twin of `fastparam.summary`: every array of a `Summary` from its definition, hit by hit, in plain Python.

Shares nothing with the package but the geometry's tables; axes and crossings come from `toys`, R50 and R90 are exact.
"""

from __future__ import annotations

import math

import numpy as np
import toys

from fastparam.summary.summary import PER_ENTRY, PER_SHOWER


def crossing(geometry, position, u, level):
    """Path length from `position` along `u` to a radius (barrel, outwards) or z (planar)."""
    if geometry.frame == "planar":
        return (level - position[2]) / u[2]
    a = u[0] ** 2 + u[1] ** 2
    b = 2.0 * (position[0] * u[0] + position[1] * u[1])
    c = position[0] ** 2 + position[1] ** 2 - level**2
    return (-b + math.sqrt(b * b - 4.0 * a * c)) / (2.0 * a)


def depth_in_x0(geometry, position, u, s):
    """Radiation lengths between the first declared slab and the path length `s`."""
    t = 0.0
    for start, stop, x0 in zip(geometry.slab_from, geometry.slab_to, geometry.slab_x0, strict=True):
        enter, leave = crossing(geometry, position, u, start), crossing(geometry, position, u, stop)
        t += max(0.0, min(s, leave) - enter) / x0
    return t


def layer_at_depth(geometry, position, u, s, k):
    """Layer whose period the line crosses at `s`, or the last one on the way from `k` that is of the same medium."""
    level = lambda value: crossing(geometry, position, u, value)  # noqa: E731
    while s < level(geometry.period_from[k]):
        before = k - 1
        if before < 0 or geometry.layer_medium[before] != geometry.layer_medium[k]:
            break
        if s >= level(geometry.period_to[before]):  # in a gap
            break
        k = before
    while s > level(geometry.period_to[k]):
        behind = k + 1
        if behind == geometry.n_layers or geometry.layer_medium[behind] != geometry.layer_medium[k]:
            break
        if s <= level(geometry.period_from[behind]):
            break
        k = behind
    return k


def exact_radius(r, e, fraction):
    """Smallest radius that holds at least `fraction` of the energy; NaN without energy."""
    order = np.argsort(r)
    cumulative = np.cumsum(e[order])
    if not len(e) or cumulative[-1] <= 0.0:
        return math.nan
    return float(r[order][np.searchsorted(cumulative, fraction * cumulative[-1])])


def twin(geometry, particles, hits, binning):
    """Return the arrays by name; `content` is dense, shape (n, cells, rings), before any rounding."""
    n, n_layers = len(particles), geometry.n_layers
    out = {
        "n_hits": np.zeros(n, dtype=np.int64),
        "n_outside": np.zeros(n, dtype=np.int64),
        "outside": np.zeros(n),
        "layer_energy": np.zeros((n, n_layers)),
        "layer_moments": np.zeros((n, n_layers, 4)),
        "depth_sums": np.zeros((n, 2)),
        "r50": np.full(n, math.nan),
        "r90": np.full(n, math.nan),
        "layer_rings": np.zeros((n, n_layers, binning.n_r)),
        "content": np.zeros((n, int(binning.n_cells.sum()), binning.n_r)),
    }
    first = np.concatenate([[0], np.cumsum(binning.n_cells)])
    for i in range(n):
        position, u = particles.position[i], particles.direction[i]
        e1, e2 = toys.transverse_axes(geometry, u)
        radii, energies = [], []
        for h in range(hits.offsets[i], hits.offsets[i + 1]):
            k, e = int(hits.layer[h]), float(hits.e[h])
            if k < 0:
                out["n_outside"][i] += 1
                out["outside"][i] += e
                continue
            relative = np.array([hits.x[h], hits.y[h], hits.z[h]]) - position
            s, d1, d2 = float(relative @ u), float(relative @ e1), float(relative @ e2)
            t = depth_in_x0(geometry, position, u, s)
            out["n_hits"][i] += 1
            out["layer_energy"][i, k] += e
            out["layer_moments"][i, k] += e * np.array([d1, d2, d1 * d1, d2 * d2])
            out["depth_sums"][i] += e * np.array([t, t * t])

            r = math.hypot(d1, d2)
            ring = int(np.searchsorted(binning.r_edges, r, side="right")) - 1
            out["layer_rings"][i, k, ring] += e
            k = layer_at_depth(geometry, position, u, s, k)
            cell = 0
            if binning.n_cells[k] > 1:
                width, entry = binning.cell_width[k], crossing(geometry, position, u, geometry.layer_from[k])
                if binning.anchor == "start":
                    cell = math.floor(s / width) - math.floor(entry / width)
                else:
                    cell = math.floor((s - entry) / width)
                cell = min(max(cell, 0), binning.n_cells[k] - 1)
            out["content"][i, first[k] + cell, ring] += e
            radii.append(r)
            energies.append(e)
        for name, fraction in (("r50", 0.5), ("r90", 0.9)):
            out[name][i] = exact_radius(np.array(radii), np.array(energies), fraction)
    return out


def dense(summary):
    """Content of a `Summary` as an array (n, cells, rings)."""
    content = np.zeros((len(summary), int(summary.binning.n_cells.sum()) * summary.binning.n_r))
    for i in range(len(summary)):
        own = slice(summary.offsets[i], summary.offsets[i + 1])
        place = summary.content_cell[own] * summary.binning.n_r + summary.content_ring[own]
        np.add.at(content[i], place, summary.content_energy[own])
    return content.reshape(len(summary), -1, summary.binning.n_r)


def assert_identical(a, b):
    """Two summaries are the same to the last bit."""
    assert a.geometry_digest == b.geometry_digest
    assert a.binning.same_as(b.binning)
    assert a.binning.lateral_cell == b.binning.lateral_cell
    for name in ("pdg", "energy", "position", "direction", "index"):
        np.testing.assert_array_equal(getattr(a.particles, name), getattr(b.particles, name), err_msg=name)
    for name in (*PER_SHOWER, "offsets", *PER_ENTRY):
        first, second = getattr(a, name), getattr(b, name)
        assert first.dtype == second.dtype, name
        assert np.array_equal(first, second, equal_nan=first.dtype.kind == "f"), name
