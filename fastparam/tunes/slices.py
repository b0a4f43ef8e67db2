"""Which showers are tuned together: particle by particle, and in a barrel eta slice by eta slice."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from fastparam.geometry.detector import Geometry
from fastparam.particles import Particles

__all__ = ["eta_slices"]

#: A hole in eta wider than this ends a slice, and a slice is at most twice as wide; FastCaloSim uses slices of 0.05.
_GAP = 0.02
_WIDTH = 0.05


def eta_slices(geometry: Geometry, particles: Particles) -> list[tuple[float, float]] | None:
    """Return the eta slices of a sample: those of geometry.yaml, or what the particles cover; None if planar.

    Parameters
    ----------
    geometry : Geometry
    particles : Particles
        All primaries of the sample, whatever rows are tuned on, so that edges do not depend on them.
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
        pieces = max(1, int(np.floor((high - low) / _WIDTH + 1e-6))) if high - low > 2 * _WIDTH else 1
        edges = np.linspace(low, high, pieces + 1)
        slices += [(float(a), float(b)) for a, b in pairwise(edges)]
    return slices


def _outward(low: float, high: float) -> tuple[float, float]:
    """Round a range outwards to three digits; a single value becomes a range of 0.001 around it."""
    a, b = np.floor(low * 1000.0 + 1e-6) / 1000.0, np.ceil(high * 1000.0 - 1e-6) / 1000.0
    return (float(a), float(b)) if b > a else (float(a) - 0.0005, float(b) + 0.0005)


def in_slice(eta: npt.NDArray[np.float64], edges: tuple[float, float] | None) -> npt.NDArray[np.bool_]:
    """Whether each pseudorapidity lies in a slice, both edges included."""
    if edges is None:
        return np.ones(len(eta), dtype=np.bool_)
    return (eta >= edges[0]) & (eta <= edges[1])
