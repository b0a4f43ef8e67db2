"""The frame of a shower: its particle's straight line, and the depth along it.

    position = origin + s u + d1 e1 + d2 e2

u is the unit vector of the line, s the path length from the particle's start, d1 and d2 the distances transverse to
the line in mm; r = hypot(d1, d2), alpha = atan2(d2, d1).

* barrel: e1 is the axis of the barrel (z) made orthogonal to u, the direction of growing eta; e2 = e1 x u, the
  direction of growing phi.
* planar: e1 is the x axis made orthogonal to u; e2 = u x e1.

The two have opposite handedness: (e1, e2, u) is left-handed in a barrel and right-handed in a planar detector.

Depth starts where the line enters the first declared slab. In mm it is s minus the path length to that point; in X0 it
adds up the declared materials along the line, with vacuum between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastparam._numba import parallel_kernel, prange
from fastparam.errors import OutOfDomainError

if TYPE_CHECKING:
    from fastparam.geometry.detector import Geometry
    from fastparam.particles import Particles

__all__ = ["MAX_ANGLE", "Frames", "check_lines", "depth_at", "line_crossings", "local_frames", "to_global", "to_local"]

Floats = npt.NDArray[np.float64]

#: Largest angle in rad between a particle's line and the normal of a planar detector. Depth along the line grows with
#: 1/cos, and a parametrisation in depth and radius alone loses its meaning when a shower grazes the layers.
MAX_ANGLE = np.deg2rad(60.0)

#: Smallest sine of the angle between a line and the axis of a barrel; pseudorapidity 5.3.
_MIN_SINE = 0.01

#: How far a particle may start behind the face of the first slab before it counts as starting inside, mm.
_START_TOLERANCE = 0.1


@dataclass(frozen=True)
class Frames:
    """Local frames of n showers, and where their lines cross the m declared slabs.

    Attributes
    ----------
    origin, u, e1, e2 : float64 arrays (n, 3)
        Start of the line in mm, and the three unit vectors.
    slab_in, slab_out : float64 arrays (n, m)
        Path lengths in mm from `origin` at which the line enters and leaves each slab.
    x0_in : float64 array (n, m)
        Depth in X0 at `slab_in`.
    """

    origin: Floats
    u: Floats
    e1: Floats
    e2: Floats
    slab_in: Floats
    slab_out: Floats
    x0_in: Floats

    def __len__(self) -> int:
        return len(self.origin)

    @property
    def entry(self) -> Floats:
        """Path length in mm from `origin` to the entry into the first declared slab, shape (n,)."""
        return self.slab_in[:, 0]


def check_lines(geometry: Geometry, particles: Particles) -> None:
    """Refuse what `local_frames` refuses, for a fraction of its time: the front of the detector alone decides.

    Raises
    ------
    OutOfDomainError
        If a line starts behind the face of the first slab, runs along the axis of a barrel (within 0.01 rad), or meets
        a planar detector at more than `MAX_ANGLE`; names the row.
    """
    _check_start(geometry, particles, line_crossings(geometry, particles, geometry.slab_from[:1])[:, 0])


def local_frames(geometry: Geometry, particles: Particles) -> Frames:
    """Return the frames of `particles`.

    Raises
    ------
    OutOfDomainError
        As `check_lines`.
    """
    crossings = line_crossings(geometry, particles, np.stack([geometry.slab_from, geometry.slab_to]))
    slab_in, slab_out = np.ascontiguousarray(crossings[:, 0]), np.ascontiguousarray(crossings[:, 1])
    _check_start(geometry, particles, slab_in[:, 0])
    # Lines that were not refused are well away from the direction that e1 starts from.
    u = particles.direction
    reference = np.array([0.0, 0.0, 1.0]) if geometry.frame == "barrel" else np.array([1.0, 0.0, 0.0])
    e1 = reference - (u @ reference)[:, None] * u
    e1 /= np.linalg.norm(e1, axis=1)[:, None]
    e2 = np.cross(e1, u) if geometry.frame == "barrel" else np.cross(u, e1)
    thickness = (slab_out - slab_in) / geometry.slab_x0
    x0_in = np.cumsum(thickness, axis=1) - thickness
    return Frames(particles.position, u, e1, e2, slab_in, slab_out, x0_in)


def line_crossings(geometry: Geometry, particles: Particles, surfaces: Floats) -> Floats:
    """Return path lengths in mm from each particle's start to surfaces (radii or z), shape (n, *surfaces.shape).

    In a barrel, where a line meets a cylinder twice, the way out counts.

    Raises
    ------
    OutOfDomainError
        As `local_frames`.
    """
    if geometry.frame == "barrel":
        return _cylinder_crossings(geometry, particles, surfaces)
    return _plane_crossings(particles, surfaces)


@parallel_kernel
def _depths(slab_in: Any, slab_out: Any, x0_in: Any, slab_x0: Any, paths: Any, depths: Any) -> None:
    for i in prange(len(paths)):
        for j in range(paths.shape[1]):
            s = paths[i, j]
            low, high = 0, len(slab_x0)
            while high - low > 1:
                middle = (low + high) // 2
                if slab_in[i, middle] <= s:
                    low = middle
                else:
                    high = middle
            depths[i, j] = x0_in[i, low] + max(0.0, min(s, slab_out[i, low]) - slab_in[i, low]) / slab_x0[low]


def depth_at(frames: Frames, slab_x0: Floats, paths: Floats) -> Floats:
    """Return the depth in X0 at path lengths (n, k) along each line; 0 before the first slab, constant in vacuum."""
    depths = np.empty(paths.shape)
    _depths(frames.slab_in, frames.slab_out, frames.x0_in, slab_x0, np.ascontiguousarray(paths), depths)
    return depths


def to_local(frames: Frames, shower: npt.NDArray[np.int64], xyz: Floats) -> Floats:
    """Return (s, d1, d2) in mm, shape (k, 3), of global points (k, 3) that belong to the showers `shower` (k,)."""
    relative = xyz - frames.origin[shower]
    return np.stack([np.einsum("ij,ij->i", relative, axis[shower]) for axis in (frames.u, frames.e1, frames.e2)], 1)


def to_global(frames: Frames, shower: npt.NDArray[np.int64], local: Floats) -> Floats:
    """Invert `to_local`: (s, d1, d2) of shape (k, 3) to global points (k, 3)."""
    return (
        frames.origin[shower]
        + local[:, :1] * frames.u[shower]
        + local[:, 1:2] * frames.e1[shower]
        + local[:, 2:] * frames.e2[shower]
    )


def _plane_crossings(particles: Particles, surfaces: Floats) -> Floats:
    cosine = particles.direction[:, 2]
    _refuse(
        cosine < np.cos(MAX_ANGLE),
        f"its angle to the z axis is larger than {np.rad2deg(MAX_ANGLE):g} degrees, the limit in a planar detector",
        particles,
    )
    shape = (-1, *(1 for _ in surfaces.shape))
    crossings: Floats = (surfaces - particles.position[:, 2].reshape(shape)) / cosine.reshape(shape)
    return crossings


def _cylinder_crossings(geometry: Geometry, particles: Particles, surfaces: Floats) -> Floats:
    p, u = particles.position[:, :2], particles.direction[:, :2]
    a = np.einsum("ij,ij->i", u, u)
    _refuse(a < _MIN_SINE**2, "its line is parallel to the axis of the barrel", particles)
    b = np.einsum("ij,ij->i", p, u)
    distance = np.einsum("ij,ij->i", p, p)
    _refuse(
        distance > (geometry.slab_from[0] + _START_TOLERANCE) ** 2,
        f"it starts behind the face of the first declared layer ({geometry.slab_from[0]:g} mm)",
        particles,
    )
    shape = (-1, *(1 for _ in surfaces.shape))
    a, b = a.reshape(shape), b.reshape(shape)
    discriminant = b**2 - a * (distance.reshape(shape) - surfaces**2)
    # Only within the tolerance above can a line start outside a cylinder and pass it by.
    missed = (discriminant < 0.0).any(axis=tuple(range(1, discriminant.ndim)))
    _refuse(missed, "its line passes the first declared layer by", particles)
    crossings: Floats = (-b + np.sqrt(discriminant)) / a
    return crossings


def _check_start(geometry: Geometry, particles: Particles, entry: Floats) -> None:
    _refuse(
        entry < -_START_TOLERANCE,
        f"it starts behind the face of the first declared layer ({geometry.slab_from[0]:g} mm)",
        particles,
    )


def _refuse(bad: npt.NDArray[np.bool_], reason: str, particles: Particles) -> None:
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        x, y, z = particles.position[row]
        ux, uy, uz = particles.direction[row]
        raise OutOfDomainError(
            f"particle {particles.index[row]} (position {x:g}, {y:g}, {z:g} mm, direction {ux:.4g}, {uy:.4g}, {uz:.4g})"
            f": {reason} ({int(bad.sum())} of {len(particles)} particles)"
        )
