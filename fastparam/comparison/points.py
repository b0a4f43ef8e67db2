"""Energy points of a comparison: which showers are compared with which.

Showers of one particle type, one slice in eta and one kinetic energy (or one slice of a continuous spectrum, see
`summary.points`) form a point. Points are found in the reference; every candidate must populate them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastparam.errors import InputError
from fastparam.particles import Particles, particle_name
from fastparam.summary import points as summary_points

__all__ = ["MIN_SHOWERS", "Point", "copies_of", "find_points", "require_same_energies"]

#: Fewer showers do not support an error by bootstrap; such energies are listed as left out.
MIN_SHOWERS = 10

#: Showers that a generator samples in all, for large references; at least one per particle.
_SAMPLED = 100_000

#: By how much, relative, the file of a candidate may have rounded the energies.
_ROUNDING = 1e-4


@dataclass(frozen=True)
class Point:
    """A set of showers of comparable incident energy.

    Attributes
    ----------
    pdg : int
    energy : float
        Mean kinetic energy in MeV (of ln E, back-transformed).
    low, high : float
        Range of kinetic energy in MeV.
    continuous : bool
        Whether it is a slice of a spectrum rather than one nominal energy.
    slice : (float, float) or None
        Range of eta, lower edge included; None for all.
    """

    pdg: int
    energy: float
    low: float
    high: float
    continuous: bool = False
    slice: tuple[float, float] | None = None

    @property
    def label(self) -> str:
        """Energy as text, in GeV."""
        if self.continuous:
            return f"{self.low / 1000:.3g}–{self.high / 1000:.3g} GeV"
        return f"{self.energy / 1000:.3g} GeV"

    @property
    def group(self) -> str:
        """Particle and slice as text: what a family of energies has in common."""
        return _group(self.pdg, self.slice)

    def select(self, particles: Particles) -> npt.NDArray[np.bool_]:
        """Return which particles belong to the point, shape (n,)."""
        inside = _in_group(particles, self.pdg, self.slice)
        energy = particles.energy
        return np.asarray(
            inside & (energy >= self.low * (1 - _ROUNDING)) & (energy <= self.high * (1 + _ROUNDING)), dtype=np.bool_
        )


def find_points(
    particles: Particles, slices: Sequence[tuple[float, float]] | None = None
) -> tuple[tuple[Point, ...], tuple[str, ...]]:
    """Find the energy points of a sample.

    Parameters
    ----------
    particles : Particles
    slices : sequence of (low, high), optional
        Ranges of eta; default: all eta together.

    Returns
    -------
    points : tuple of Point
        By particle, slice and energy.
    left_out : tuple of str
        Energies of fewer than `MIN_SHOWERS` showers, which are not compared.
    """
    points: list[Point] = []
    left_out: list[str] = []
    for pdg in sorted(set(particles.pdg.tolist()), key=lambda code: (abs(code), -code)):
        for cut in [None] if slices is None else slices:
            rows = _in_group(particles, pdg, cut)
            if not rows.any():
                continue
            found = summary_points.energy_points(particles.energy[rows])
            for i, count in enumerate(found.counts.tolist()):
                point = Point(
                    pdg, float(found.energy[i]), float(found.low[i]), float(found.high[i]), found.continuous, cut
                )
                if count >= MIN_SHOWERS:
                    points.append(point)
                else:
                    left_out.append(f"{point.group} at {point.label}: {count} showers, fewer than {MIN_SHOWERS}")
    return tuple(points), tuple(left_out)


def copies_of(n: int) -> int:
    """Return how often each of n particles is sampled by default: five times, less often if there are many."""
    return max(1, min(5, _SAMPLED // max(n, 1)))


def require_same_energies(point: Point, reference: Particles, candidate: Particles, name: str) -> None:
    """Refuse a candidate whose incident energies at a point are not those of the reference.

    Raises
    ------
    InputError
        If it has fewer than `MIN_SHOWERS` showers there, or another mean of ln E (by 5 standard errors and 0.1 %).
    """
    if len(candidate) < MIN_SHOWERS:
        raise InputError(
            f"candidate '{name}' has {len(candidate)} showers of {point.group} at {point.label}, the reference has"
            f" {len(reference)}; give it the reference's own particles (fastparam sample --like REFERENCE),"
            f" at least {MIN_SHOWERS} per energy"
        )
    a, b = np.log(reference.energy), np.log(candidate.energy)
    allowed = 1e-3 + 5.0 * float(np.hypot(a.std() / np.sqrt(len(a)), b.std() / np.sqrt(len(b))))
    if abs(a.mean() - b.mean()) > allowed:
        raise InputError(
            f"candidate '{name}': the mean incident energy of {point.group} at {point.label} is"
            f" {np.exp(b.mean()):.6g} MeV, in the reference {np.exp(a.mean()):.6g} MeV: the spectra differ;"
            " sample the reference's own particles (fastparam sample --like REFERENCE)"
        )


def _group(pdg: int, cut: tuple[float, float] | None) -> str:
    return particle_name(pdg) + ("" if cut is None else f", eta {cut[0]:g}–{cut[1]:g}")


def _in_group(particles: Particles, pdg: int, cut: tuple[float, float] | None) -> npt.NDArray[np.bool_]:
    rows = particles.pdg == pdg
    if cut is not None:
        rows = rows & (particles.eta >= cut[0]) & (particles.eta < cut[1])
    return np.asarray(rows, dtype=np.bool_)
