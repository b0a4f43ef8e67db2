"""From deposits in the frame of their shower to hits inside the detector's layers.

A deposit lies at (d1, d2) across its particle's line, as `fastparam.geometry.frames` has them, in a known layer. Its
distances across the line are kept exactly; along the line it is put inside the layer, which in a barrel curves away
from the plane across the line.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastparam._numba import kernel, parallel_kernel, prange
from fastparam.geometry.frames import line_crossings, local_frames, to_local
from fastparam.hits.hits import Hits

if TYPE_CHECKING:
    from fastparam.geometry.detector import Geometry
    from fastparam.particles import Particles

__all__ = ["hits_in_layers", "local_hits", "shares_of_hits"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Hits keep this share of the layer's thickness away from its surfaces, so that rounding does not move them out.
_SKIN = 1e-6


@kernel
def _path_to(barrel: bool, x: float, y: float, z: float, ux: float, uy: float, uz: float, level: float) -> float:
    """Path from (x, y, z) along u to the surface of z or radius `level`; NaN if the line misses it."""
    if not barrel:
        return (level - z) / uz
    a = ux * ux + uy * uy
    b = x * ux + y * uy
    root = b * b - a * (x * x + y * y - level * level)
    if root < 0.0:
        return math.nan
    return (-b + math.sqrt(root)) / a


@parallel_kernel
def _place(
    offsets: Any, layer: Any, share: Any, central: Any, d1: Any, d2: Any, origin: Any, u: Any, e1: Any, e2: Any,
    barrel: Any, layer_from: Any, layer_to: Any, line_in: Any, line_out: Any, x: Any, y: Any, z: Any,
) -> None:  # fmt: skip
    for i in prange(len(offsets) - 1):
        ux, uy, uz = u[i, 0], u[i, 1], u[i, 2]
        for h in range(offsets[i], offsets[i + 1]):
            m = layer[h]
            px = origin[i, 0] + d1[h] * e1[i, 0] + d2[h] * e2[i, 0]
            py = origin[i, 1] + d1[h] * e1[i, 1] + d2[h] * e2[i, 1]
            pz = origin[i, 2] + d1[h] * e1[i, 2] + d2[h] * e2[i, 2]
            skin = _SKIN * (layer_to[m] - layer_from[m])
            front, back = layer_from[m] + skin, layer_to[m] - skin
            enter = _path_to(barrel, px, py, pz, ux, uy, uz, front)
            leave = _path_to(barrel, px, py, pz, ux, uy, uz, back)
            if math.isnan(leave):
                # So far aside that its direction misses the layer: towards the axis from the point nearest to it.
                s = -(px * ux + py * uy) / (ux * ux + uy * uy)
                px, py, pz = px + s * ux, py + s * uy, pz + s * uz
                shrink = (front + share[h] * (back - front)) / math.sqrt(px * px + py * py)
                x[h], y[h], z[h] = px * shrink, py * shrink, pz
                continue
            if math.isnan(enter):  # passes the layer's inner surface by
                enter = -(px * ux + py * uy) / (ux * ux + uy * uy)
            if central[m]:
                s = line_in[i, m] + share[h] * (line_out[i, m] - line_in[i, m])
                s = min(max(s, enter), leave)
            else:
                s = enter + share[h] * (leave - enter)
            x[h], y[h], z[h] = px + s * ux, py + s * uy, pz + s * uz


def hits_in_layers(
    geometry: Geometry,
    particles: Particles,
    offsets: Ints,
    layer: npt.NDArray[np.int32],
    d1: Floats,
    d2: Floats,
    share: Floats,
    e: Floats,
    *,
    central: npt.NDArray[np.bool_] | None = None,
) -> Hits:
    """Return hits in the global frame of deposits in the local frames of their showers.

    Parameters
    ----------
    geometry : Geometry
    particles : Particles (n,)
    offsets : int64 array (n + 1,)
        Shower i owns the deposits ``offsets[i]:offsets[i + 1]``.
    layer : int32 array (n_hits,)
        Index of the active layer.
    d1, d2 : float64 arrays (n_hits,)
        Distances across the line in mm; kept, but for deposits that lie so far aside of a barrel's axis that no point
        of the layer has them.
    share : float64 array (n_hits,)
        Where in the layer, from 0 at the front to 1 at the back.
    e : float64 array (n_hits,)
        Visible energy in MeV.
    central : bool array (L,), optional
        Layers where `share` divides the stretch of the *particle's* line within the layer (as `summary.deposits`
        measures it), with deposits moved along the line into the layer where it curves away. Elsewhere, and by
        default, it divides the stretch of the parallel through (d1, d2).

    Returns
    -------
    Hits
        Of the same n showers, inside their layers.
    """
    frames = local_frames(geometry, particles)
    surfaces = line_crossings(geometry, particles, np.stack([geometry.layer_from, geometry.layer_to]))
    x, y, z = (np.empty(len(e)) for _ in range(3))
    own = np.zeros(geometry.n_layers, dtype=np.bool_) if central is None else central
    origin, u, e1, e2 = (np.ascontiguousarray(v) for v in (frames.origin, frames.u, frames.e1, frames.e2))
    line_in, line_out = np.ascontiguousarray(surfaces[:, 0]), np.ascontiguousarray(surfaces[:, 1])
    _place(
        offsets, layer, share, own, d1, d2, origin, u, e1, e2, geometry.frame == "barrel", geometry.layer_from,
        geometry.layer_to, line_in, line_out, x, y, z,
    )  # fmt: skip
    return Hits(x, y, z, e, np.asarray(layer, dtype=np.int32), np.asarray(offsets, dtype=np.int64))


def local_hits(geometry: Geometry, particles: Particles, hits: Hits) -> tuple[Floats, Floats, Floats]:
    """Return (s, d1, d2) in mm of hits in the frames of their showers, each of shape (n_hits,).

    s is the path length along the particle's line from its start; see `fastparam.geometry.frames`.
    """
    local = to_local(local_frames(geometry, particles), hits.shower, np.stack([hits.x, hits.y, hits.z], axis=1))
    return tuple(np.ascontiguousarray(local[:, k]) for k in range(3))  # type: ignore[return-value]


@parallel_kernel
def _shares(
    offsets: Any, layer: Any, d1: Any, d2: Any, s: Any, origin: Any, u: Any, e1: Any, e2: Any, barrel: Any,
    layer_from: Any, layer_to: Any, share: Any,
) -> None:  # fmt: skip
    for i in prange(len(offsets) - 1):
        ux, uy, uz = u[i, 0], u[i, 1], u[i, 2]
        for h in range(offsets[i], offsets[i + 1]):
            px = origin[i, 0] + d1[h] * e1[i, 0] + d2[h] * e2[i, 0]
            py = origin[i, 1] + d1[h] * e1[i, 1] + d2[h] * e2[i, 1]
            pz = origin[i, 2] + d1[h] * e1[i, 2] + d2[h] * e2[i, 2]
            enter = _path_to(barrel, px, py, pz, ux, uy, uz, layer_from[layer[h]])
            leave = _path_to(barrel, px, py, pz, ux, uy, uz, layer_to[layer[h]])
            share[h] = 0.5
            if not math.isnan(leave):
                if math.isnan(enter):
                    enter = -(px * ux + py * uy) / (ux * ux + uy * uy)
                share[h] = min(max((s[h] - enter) / (leave - enter), 0.0), 1.0)


def shares_of_hits(geometry: Geometry, particles: Particles, hits: Hits) -> tuple[Floats, Floats, Floats]:
    """Return (d1, d2, share) of hits inside active layers, each of shape (n_hits,): `hits_in_layers` inverts it."""
    frames = local_frames(geometry, particles)
    s, d1, d2 = local_hits(geometry, particles, hits)
    share = np.empty(len(s))
    origin, u, e1, e2 = (np.ascontiguousarray(v) for v in (frames.origin, frames.u, frames.e1, frames.e2))
    _shares(
        hits.offsets, hits.layer, d1, d2, s, origin, u, e1, e2, geometry.frame == "barrel", geometry.layer_from,
        geometry.layer_to, share,
    )  # fmt: skip
    return d1, d2, share
