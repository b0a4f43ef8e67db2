"""Which showers are tuned together: particle by particle, and in a barrel eta slice by eta slice."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from fastparam.geometry.detector import Geometry
from fastparam.particles import Particles

__all__ = ["eta_slices", "in_slice"]

#: A hole in eta wider than this ends a slice.
_GAP = 0.02

#: Width into which wider coverage is cut (FastCaloSim's), as long as a slice holds enough showers of all kinds to tune.
_WIDTH = 0.05
_SHOWERS = 200

#: Pseudorapidities that differ by less are the same; they come from momenta with rounding.
_SAME = 1e-9


def eta_slices(geometry: Geometry, particles: Particles) -> list[tuple[float, float]] | None:
    """Return the eta slices of a sample: those of geometry.yaml, or what the particles cover; None if planar.

    Parameters
    ----------
    geometry : Geometry
    particles : Particles
        All primaries of the sample, whatever rows are tuned on, so that edges do not depend on them.

    Notes
    -----
    A range of eta without holes is one slice up to a width of 0.1, else slices of equal width, 0.05 or a little more;
    wider ones where there would be fewer than 200 showers in each.
    """
    if geometry.frame != "barrel":
        return None
    if geometry.config.slices is not None:
        return [(low, high) for low, high in geometry.config.slices.eta]
    eta = np.sort(particles.eta)
    ends = np.flatnonzero(np.diff(eta) > _GAP)
    starts = np.concatenate([[0], ends + 1])
    stops = np.concatenate([ends, [len(eta) - 1]])
    slices: list[tuple[float, float]] = []
    for first, last in zip(starts, stops, strict=True):
        low, high = _outward(eta[first], eta[last])
        by_width = int((high - low) / _WIDTH + 1e-6) if high - low > 2 * _WIDTH else 1
        by_showers = int(last - first + 1) // _SHOWERS
        edges = np.linspace(low, high, max(1, min(by_width, by_showers)) + 1)
        slices += [(float(a), float(b)) for a, b in pairwise(edges)]
    return slices


def _outward(low: float, high: float) -> tuple[float, float]:
    """Round a range outwards to three digits; a single value becomes a range of 0.001 around it."""
    a, b = np.floor((low + _SAME) * 1000.0) / 1000.0, np.ceil((high - _SAME) * 1000.0) / 1000.0
    return (float(a), float(b)) if b > a else (float(a) - 0.0005, float(b) + 0.0005)


def in_slice(eta: npt.NDArray[np.float64], edges: tuple[float, float] | None) -> npt.NDArray[np.bool_]:
    """Whether each pseudorapidity lies in a slice, both edges included."""
    if edges is None:
        return np.ones(len(eta), dtype=np.bool_)
    return (eta >= edges[0] - _SAME) & (eta <= edges[1] + _SAME)
