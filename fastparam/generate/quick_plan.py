"""The plan of particles that lie well inside a tune's domain, found in one kernel.

`generate.domain.plan` says what is wrong with a particle, and takes tens of microseconds for a single one. Here nothing
is said: where any particle is doubtful there is no quick plan, and the slow way decides.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastparam._numba import kernel
from fastparam.generate.domain import ENERGY_MARGIN, ETA_MARGIN, Plan
from fastparam.geometry.frames import MAX_ANGLE
from fastparam.particles import Particles
from fastparam.tunes.tune import Tune

__all__ = ["QuickPlan"]

#: Lines closer than this to the axis of a barrel are doubtful (sine of the angle).
_SINE = 0.02

#: Directions in planar detectors may exceed those of the samples by this, rad; a little less than what is warned of.
_BEYOND = np.deg2rad(0.99)


class QuickPlan:
    """Plans of one tune.

    Parameters
    ----------
    tune : Tune
    as_pdg : int, optional
        As for `generate.domain.plan`.
    """

    def __init__(self, tune: Tune, as_pdg: int | None) -> None:
        parts = tune.slices
        self._as_pdg = 0 if as_pdg is None else as_pdg
        self._pdg = np.array([part.pdg for part in parts], dtype=np.int64)
        self._energy = np.array([part.energy_range for part in parts]) * (1.0 - ENERGY_MARGIN, 1.0 + ENERGY_MARGIN)
        self._eta = np.array([(0.0, -1.0) if part.eta is None else part.eta for part in parts])
        self._cosine = np.cos(np.minimum(np.array([part.max_angle for part in parts]) + _BEYOND, 0.999 * MAX_ANGLE))
        self._mirrored = tune.mirrored
        self._barrel = tune.geometry.frame == "barrel"
        self._front = float(tune.geometry.slab_from[0])

    def __call__(self, particles: Particles) -> Plan | None:
        """Return the plan of n particles, or None where the slow way has to decide."""
        n = len(particles)
        lower, upper, weight = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64), np.empty(n)
        fine = _plan(
            particles.pdg, particles.energy, particles.position, particles.direction, self._as_pdg, self._pdg,
            self._energy, self._eta, self._cosine, self._barrel, self._mirrored, self._front, lower, upper, weight,
        )  # fmt: skip
        return Plan(lower, upper, weight) if fine else None


@kernel
def _plan(
    pdg: Any, energy: Any, position: Any, direction: Any, as_pdg: int, slice_pdg: Any, slice_energy: Any,
    slice_eta: Any, cosine: Any, barrel: bool, mirrored: bool, front: float, lower: Any, upper: Any, weight: Any,
) -> bool:  # fmt: skip
    n_slices = len(slice_pdg)
    for i in range(len(energy)):
        code = pdg[i] if as_pdg == 0 else as_pdg
        served = 0
        for k in range(n_slices):
            if slice_pdg[k] == code:
                served = code
        if served == 0:
            for k in range(n_slices):
                if slice_pdg[k] == -code:
                    served = -code
        if served == 0:
            return False
        x, y, z = position[i, 0], position[i, 1], position[i, 2]
        ux, uy, uz = direction[i, 0], direction[i, 1], direction[i, 2]
        if barrel:
            transverse = math.sqrt(ux * ux + uy * uy)
            if not (transverse > _SINE and x * x + y * y <= front * front):
                return False
            eta = math.asinh((abs(uz) if mirrored else uz) / transverse)
            below, above, first, last = -1, -1, -1, -1
            for k in range(n_slices):  # of a particle in the order of eta
                if slice_pdg[k] != served:
                    continue
                middle = 0.5 * (slice_eta[k, 0] + slice_eta[k, 1])
                first = k if first < 0 else first
                last = k
                if middle <= eta:
                    below = k
                elif above < 0:
                    above = k
            low = slice_eta[first, 0] - ETA_MARGIN * (slice_eta[first, 1] - slice_eta[first, 0])
            high = slice_eta[last, 1] + ETA_MARGIN * (slice_eta[last, 1] - slice_eta[last, 0])
            if not low <= eta <= high:
                return False
            share = 0.0
            if below < 0:
                below = above = first
            elif above < 0:
                above = below
            else:
                a = 0.5 * (slice_eta[below, 0] + slice_eta[below, 1])
                b = 0.5 * (slice_eta[above, 0] + slice_eta[above, 1])
                share = (eta - a) / (b - a)
                if share <= 0.0:
                    above = below
            lower[i], upper[i], weight[i] = below, above, share
        else:
            for k in range(n_slices):
                if slice_pdg[k] == served:
                    lower[i] = upper[i] = k
            weight[i] = 0.0
            if not (uz >= cosine[lower[i]] and z <= front):
                return False
        for k in (lower[i], upper[i]):
            if not slice_energy[k, 0] <= energy[i] <= slice_energy[k, 1]:
                return False
    return True
