"""What a generator is: anything that turns particles into showers, and says for which particles it can."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from fastparam.geometry.detector import Geometry
from fastparam.particles import Particles
from fastparam.showers.showers import Showers

__all__ = ["Generator"]


@runtime_checkable
class Generator(Protocol):
    """Turns particles into showers.

    Attributes
    ----------
    name : str
        Short name for reports.
    geometry : Geometry
        Of the detector whose hits it makes.
    domain : list of dict
        The particles it knows, as data (JSON values): one entry per kind of particle and range, with ``pdg`` (int; its
        antiparticle is served as well; None for any), ``energy`` (lowest and highest kinetic energy in MeV), ``eta``
        (range, or None for any) and ``emits`` ("hits" or "voxels": the form in which showers are made).
    """

    name: str
    geometry: Geometry

    @property
    def domain(self) -> list[dict[str, object]]: ...  # noqa: D102 - in the class docstring

    def check(self, particles: Particles) -> None:
        """Do what `generate` does before it samples: useful ahead of many batches.

        Raises
        ------
        OutOfDomainError
            As `generate`.
        """
        ...

    def generate(self, particles: Particles, *, seed: int) -> Showers:
        """Simulate each particle once.

        The same seed gives the same shower for the same `Particles.index`, whatever else is in the batch: the same
        bits, and within 1e-5 for networks, whose libraries add in an order of their own. No particles give no showers.

        Raises
        ------
        OutOfDomainError
            If a particle is outside the range the generator knows; names the row and the limit.
        """
        ...
