"""Stock GFlash as a generator: a geometry and published constants, no tune.

Its name is ``gflash:GEOMETRY`` or ``gflash:GEOMETRY?convention=geant4``, GEOMETRY a geometry.yaml, its directory, or
the name of a shipped geometry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fastparam.errors import OutOfDomainError, UsageError, near
from fastparam.generate.geant4_gflash import Geant4GFlash
from fastparam.generate.paper_gflash import PaperGFlash
from fastparam.generate.placement import no_hits
from fastparam.geometry.detector import Geometry
from fastparam.geometry.load import load_geometry
from fastparam.hits.hits import Hits
from fastparam.particles import Particles, particle_label, particle_name
from fastparam.showers.showers import Showers

__all__ = ["CONVENTIONS", "PREFIX", "Convention", "StockGFlash", "load_stock"]

PREFIX = "gflash:"

#: Spots made at a time, about, and showers: the stated buffer, 0.2 GB.
_SPOTS_AT_A_TIME = 4e6
_SHOWERS_AT_A_TIME = 2048


class Convention(Protocol):
    """One reading of GFlash in one detector.

    Attributes
    ----------
    geometry : Geometry
    pdgs : tuple of int
        Particles it knows: |pdg|.
    energies : tuple of two floats
        Lowest and highest kinetic energy in MeV.
    """

    @property
    def geometry(self) -> Geometry: ...  # noqa: D102 - in the class docstring

    @property
    def pdgs(self) -> tuple[int, ...]: ...  # noqa: D102

    @property
    def energies(self) -> tuple[float, float]: ...  # noqa: D102

    def n_spots(self, energy: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return about how many spots showers of energies in MeV have, the same shape."""
        ...

    def check(self, particles: Particles) -> None:
        """Raise `OutOfDomainError` for particles of known kind and energy that it still cannot do."""
        ...

    def hits(self, particles: Particles, seed: int) -> Hits:
        """Sample the showers of particles that passed the checks."""
        ...


CONVENTIONS: dict[str, Callable[[Geometry], Convention]] = {"paper": PaperGFlash, "geant4": Geant4GFlash}


class StockGFlash:
    """Samples showers from GFlash with its stock constants.

    Parameters
    ----------
    convention : Convention
    name : str
        For reports.
    as_pdg : int, optional
        Sample every particle as if it were this one.

    Attributes
    ----------
    convention : Convention
    name : str
    geometry : Geometry
    """

    def __init__(self, convention: Convention, name: str, *, as_pdg: int | None = None) -> None:
        self.convention = convention
        self.name = name
        self.as_pdg = as_pdg
        self.geometry: Geometry = convention.geometry

    def __repr__(self) -> str:
        return f"<stock GFlash {self.name}>"

    @property
    def domain(self) -> list[dict[str, object]]:
        """Particles and energies that can be sampled, as data; antiparticles as their particle."""
        return [
            {"pdg": pdg, "energy": list(self.convention.energies), "eta": None, "emits": "hits"}
            for pdg in self.convention.pdgs
        ]

    def check(self, particles: Particles) -> None:
        """Do what `generate` does before it samples: useful ahead of many batches.

        Raises
        ------
        OutOfDomainError
            If a particle is outside the domain; names its number and the limit.
        """
        self._checked(particles)

    def generate(self, particles: Particles, *, seed: int) -> Showers:
        """Simulate each particle once; see `fastparam.generate.protocol.Generator`."""
        treated = self._checked(particles)
        parts = [self.convention.hits(treated.take(rows), seed) for rows in self._batches(treated)]
        return Showers(particles, _concatenate(parts), self.geometry)

    def _checked(self, particles: Particles) -> Particles:
        if self.as_pdg is not None:
            particles = replace(particles, pdg=np.full(len(particles), self.as_pdg, dtype=np.int32))
        known = self.convention.pdgs
        strange = ~np.isin(np.abs(particles.pdg), known) | (particles.pdg == -22)
        if strange.any():
            row = int(np.flatnonzero(strange)[0])
            number = particles.index[row]
            names = ", ".join(particle_name(pdg) for pdg in known)
            raise OutOfDomainError(
                f"particle {number}: {self.name} has no {particle_label(particles.pdg[row])};"
                f" expected {names}{' or positron' if known == (11,) else ', positron'}"
                f" ({int(strange.sum())} of {len(particles)} particles)"
            )
        low, high = self.convention.energies
        outside = (particles.energy < low) | (particles.energy > high)
        if outside.any():
            row = int(np.flatnonzero(outside)[0])
            number = particles.index[row]
            raise OutOfDomainError(
                f"particle {number}: kinetic energy {particles.energy[row]:g} MeV is outside {low:g} to {high:g} MeV,"
                f" the range of {self.name} ({int(outside.sum())} of {len(particles)} particles)"
            )
        self.convention.check(particles)
        return particles

    def _batches(self, particles: Particles) -> Iterator[slice]:
        spots = np.cumsum(self.convention.n_spots(particles.energy))
        first = 0
        while first < len(particles):
            before = spots[first - 1] if first else 0.0
            room = int(np.searchsorted(spots, before + _SPOTS_AT_A_TIME))
            last = min(max(room, first + 1), first + _SHOWERS_AT_A_TIME, len(particles))
            yield slice(first, last)
            first = last


def load_stock(name: str, *, as_pdg: int | None = None) -> StockGFlash:
    """Load stock GFlash by its name, with or without its prefix.

    Parameters
    ----------
    name : str
        ``gflash:GEOMETRY`` or ``gflash:GEOMETRY?convention=C``, C "paper" (the default) or "geant4".
    as_pdg : int, optional
        Sample every particle as if it were this one.

    Raises
    ------
    UsageError
        For a name of another form.
    GeometryError
        For a geometry that cannot be read or that the convention cannot describe.
    """
    where, _, options = name.removeprefix(PREFIX).partition("?")
    convention = "paper"
    if options or name.endswith("?"):
        key, _, convention = options.partition("=")
        if key != "convention":
            raise UsageError(f"{name}: unknown option '{key}'{near(key, ['convention'])}; expected ?convention=NAME")
        if convention not in CONVENTIONS:
            raise UsageError(
                f"{name}: unknown convention '{convention}'{near(convention, CONVENTIONS)}; expected"
                f" {' or '.join(CONVENTIONS)}"
            )
    if not where:
        raise UsageError(f"{name}: names no geometry; expected gflash:GEOMETRY.yaml or the name of a shipped geometry")
    geometry = load_geometry(where)
    return StockGFlash(CONVENTIONS[convention](geometry), f"{PREFIX}{geometry.name}, {convention}", as_pdg=as_pdg)


def _concatenate(parts: list[Hits]) -> Hits:
    if not parts:
        return no_hits()
    numbers = np.concatenate([part.n_hits for part in parts])
    return Hits(
        x=np.concatenate([part.x for part in parts]),
        y=np.concatenate([part.y for part in parts]),
        z=np.concatenate([part.z for part in parts]),
        e=np.concatenate([part.e for part in parts]),
        layer=np.concatenate([part.layer for part in parts]),
        offsets=np.concatenate([[0], np.cumsum(numbers)]).astype(np.int64),
    )
