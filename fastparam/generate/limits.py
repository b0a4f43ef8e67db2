"""Domains that are a list of regions: the check and the messages that generators without slices share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from fastparam.errors import OutOfDomainError
from fastparam.geometry.detector import Geometry
from fastparam.geometry.frames import check_lines
from fastparam.particles import Particles, particle_label

__all__ = ["Region", "check_regions", "describe_regions"]


@dataclass(frozen=True)
class Region:
    """Particles of one kind that a generator knows.

    Attributes
    ----------
    pdg : int or None
        Particle code; its antiparticle is served as well. None for any.
    energy : tuple of float
        Lowest and highest kinetic energy in MeV.
    eta : tuple of float, or None
        Range of the pseudorapidity of the direction; None for any.
    """

    pdg: int | None
    energy: tuple[float, float]
    eta: tuple[float, float] | None = None


def describe_regions(regions: Sequence[Region], emits: Literal["hits", "voxels"]) -> list[dict[str, object]]:
    """Return regions as `Generator.domain`."""
    return [
        {
            "pdg": region.pdg,
            "energy": list(region.energy),
            "eta": None if region.eta is None else list(region.eta),
            "emits": emits,
        }
        for region in regions
    ]


def check_regions(
    name: str, geometry: Geometry, regions: Sequence[Region], particles: Particles, as_pdg: int | None = None
) -> npt.NDArray[np.int64]:
    """Return the number of the region that each particle lies in, shape (n,); the first one where regions overlap.

    Parameters
    ----------
    name : str
        Of the generator, for messages.
    geometry : Geometry
    regions : list of Region
    particles : Particles
    as_pdg : int, optional
        Treat all particles as this one.

    Raises
    ------
    OutOfDomainError
        For the first particle that is outside; names its number (`Particles.index`) and the limit.
    """
    check_lines(geometry, particles)
    n = len(particles)
    found = np.full(n, -1)
    pdg = particles.pdg if as_pdg is None else np.full(n, as_pdg)
    eta = particles.eta if any(region.eta is not None for region in regions) else np.zeros(n)
    of_kind, of_eta = np.zeros(n, dtype=np.bool_), np.zeros(n, dtype=np.bool_)
    for number, region in enumerate(regions):
        kind = np.ones(n, dtype=np.bool_) if region.pdg is None else np.abs(pdg) == abs(region.pdg)
        where = kind & _within(eta, region.eta)
        inside = where & _within(particles.energy, region.energy)
        found[inside & (found < 0)] = number
        of_kind |= kind
        of_eta |= where
    if (found >= 0).all():
        return found
    row = int(np.flatnonzero(found < 0)[0])
    start, count = f"particle {particles.index[row]}: ", f" ({int((found < 0).sum())} of {n} particles)"
    known = [region for region in regions if region.pdg is None or abs(region.pdg) == abs(int(pdg[row]))]
    if not of_kind[row]:
        names = dict.fromkeys(particle_label(r.pdg) for r in regions if r.pdg is not None)
        raise OutOfDomainError(
            f"{start}{name} has no {particle_label(int(pdg[row]))}; it knows {', '.join(names)}."
            f" To use one of them all the same, say which with --as-pdg{count}"
        )
    if not of_eta[row]:
        ranges = " or ".join(dict.fromkeys(f"{r.eta[0]:g} to {r.eta[1]:g}" for r in known if r.eta is not None))
        raise OutOfDomainError(f"{start}eta {eta[row]:.4g} is outside {ranges}, the range of {name}{count}")
    here = [region for region in known if _within(eta[row : row + 1], region.eta)[0]]
    ranges = " or ".join(dict.fromkeys(f"{r.energy[0]:g} to {r.energy[1]:g} MeV" for r in here))
    raise OutOfDomainError(
        f"{start}kinetic energy {particles.energy[row]:g} MeV is outside {ranges}, the range of {name}{count}"
    )


def _within(values: npt.NDArray[np.float64], limits: tuple[float, float] | None) -> npt.NDArray[np.bool_]:
    if limits is None:
        return np.ones(len(values), dtype=np.bool_)
    return (values >= limits[0]) & (values <= limits[1])
