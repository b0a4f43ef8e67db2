"""A tune as a generator."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np

from fastparam.errors import FastparamWarning
from fastparam.files import refuse_existing
from fastparam.fit.response import moments
from fastparam.generate import fastcalosim, gflash, hybrid, library, mosaic, voxel
from fastparam.generate.domain import Plan, describe, plan
from fastparam.generate.quick_plan import QuickPlan
from fastparam.geometry.detector import Geometry
from fastparam.particles import Particles
from fastparam.showers.showers import Showers
from fastparam.tunes.file import save_tune
from fastparam.tunes.tune import Tune
from fastparam.tunes.uncertainty import replicas, vary

__all__ = ["TunedGenerator"]

#: What turns particles, whose slices are known, into showers.
Sampler = Callable[[Plan, Particles, int], Showers]

#: By the name that recipes use: from a tune to its sampler, which holds whatever can be prepared once per tune.
SAMPLERS: dict[str, Callable[[Tune], Sampler]] = {
    "fastcalosim": fastcalosim.sampler,
    "gflash": gflash.sampler,
    "hybrid": hybrid.sampler,
    "library": library.sampler,
    "mosaic": mosaic.sampler,
    "voxel": voxel.sampler,
}


class TunedGenerator:
    """Samples showers from a tune.

    Parameters
    ----------
    tune : Tune
    as_pdg : int, optional
        Sample every particle as if it were this one.

    Attributes
    ----------
    tune : Tune
    name : str
    geometry : Geometry
    """

    def __init__(self, tune: Tune, *, as_pdg: int | None = None) -> None:
        self.tune = tune
        self.as_pdg = as_pdg
        self.name = tune.name
        self._mirrored = tune.mirrored
        self.geometry: Geometry = tune.geometry

    def __repr__(self) -> str:
        n = len(self.tune.slices)
        return f"<tune {self.name}, recipe {self.tune.recipe.name}, {n} slice{'s' if n > 1 else ''}>"

    @cached_property
    def _sampler(self) -> Sampler:
        return SAMPLERS[self.tune.recipe.sampler](self.tune)

    @cached_property
    def _quick_plan(self) -> QuickPlan:
        return QuickPlan(self.tune, self.as_pdg)

    @property
    def domain(self) -> list[dict[str, object]]:
        """Particles, energies and directions that can be sampled, as data."""
        return describe(self.tune)

    @property
    def visible_fraction(self) -> float:
        """Tuned visible over kinetic energy of the electromagnetic scale, one number for the detector.

        The mean response of electrons (else photons, else the first particle of the tune) at the geometric middle of
        the tuned energies; the mean over eta slices. What depends on the energy stays in the showers.
        """
        pdg = next((p for p in (11, -11, 22) if p in self.tune.pdgs), self.tune.pdgs[0])
        means = []
        for part in self.tune.of(pdg):
            middle = np.log(np.sqrt(part.energy_range[0] * part.energy_range[1]) / 1000.0)
            means.append(float(moments(part.components["response"], np.array([middle]))[0][0]))
        return float(np.mean(means))

    def check(self, particles: Particles) -> None:
        """Do what `generate` does before it samples: useful ahead of many batches.

        Raises
        ------
        OutOfDomainError
            If a particle is outside the domain; names its number and the limit.

        Warns
        -----
        FastparamWarning
            If directions go beyond those of the samples.
        """
        self._checked(particles)

    def generate(self, particles: Particles, *, seed: int) -> Showers:
        """Simulate each particle once; see `fastparam.generate.protocol.Generator`."""
        chosen = self._checked(particles)
        if self._mirrored and (behind := particles.direction[:, 2] < 0.0).any():
            showers = self._sampler(chosen, particles.mirrored(behind), seed).mirrored(behind)
            showers.particles = particles
            return showers
        return self._sampler(chosen, particles, seed)

    def vary(self, component: str, n_sigma: float, eigenvector: int = 0) -> TunedGenerator:
        """Return the tune moved along an eigenvector of a component's covariance; see `tunes.uncertainty.vary`."""
        return TunedGenerator(vary(self.tune, component, n_sigma, eigenvector), as_pdg=self.as_pdg)

    def replicas(self, n: int, *, seed: int = 1) -> list[TunedGenerator]:
        """Return n tunes drawn from the covariance; see `tunes.uncertainty.replicas`."""
        return [TunedGenerator(t, as_pdg=self.as_pdg) for t in replicas(self.tune, n, seed=seed)]

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write the tune to a file; an existing one is kept unless `force`."""
        path = Path(path)
        refuse_existing(path, force=force)
        save_tune(path, self.tune)

    def _checked(self, particles: Particles) -> Plan:
        quick = self._quick_plan(particles)
        if quick is not None:
            return quick
        chosen = plan(self.tune, particles, self.as_pdg)
        self._say_if_inclined(particles, chosen)
        return chosen

    def _say_if_inclined(self, particles: Particles, plan: Plan) -> None:
        if self.geometry.frame == "barrel":
            return
        angle = np.arccos(np.clip(particles.direction[:, 2], -1.0, 1.0))
        supported = np.array([part.max_angle for part in self.tune.slices])[plan.lower]
        beyond = angle > supported + np.deg2rad(1.0)
        if beyond.any():
            warnings.warn(
                f"{int(beyond.sum())} of {len(particles)} particles are inclined by up to"
                f" {np.rad2deg(angle.max()):.1f} degrees; the samples of the tune reach"
                f" {np.rad2deg(supported.max()):.1f} degrees, so these showers are extrapolated along their lines",
                FastparamWarning,
                stacklevel=3,
            )
