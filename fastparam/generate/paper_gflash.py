"""GFlash as published: convention `paper` of the stock parametrisation.

Constants and laws of Grindhammer & Peters (hep-ex/0001020), with their units: fluctuating profiles, radial profiles
against age, spots with their own profile in depth, sampling fluctuation per slice. The depth of a shower is counted
in X0 of the matter that is declared along its line, so that dead material in front takes its share.

A shower is worked off in slices of 1 X0 from its start. A slice holds the energy that the gamma profile gives it, in a
sampling calorimeter with a Gamma fluctuation of variance c**2 dE; and n spots of equal energy, n the share of N that
the spots' profile gives it, rounded up or down at random so that its mean is right. A slice without a spot leaves its
energy to the next. Each spot gets a depth from the profile within its slice, a radius at its own age, and a uniform
azimuth. What the paper leaves open is settled as follows:

* alpha <= 1 is drawn again (`fastparam.shapes.fluctuations`);
* where the spots' profile would have alpha_spot <= 1 (light media), they follow the energy;
* p is clipped to [0, 1], and radii are drawn within 20 R_M;
* a photon is an electron of its energy that starts where it converts, at a mean depth of
  9/7 [1 + 0.05 (E/GeV)^-0.88] X0: from iron to lead within 2.5 % of Geant4's Bethe-Heitler model from 100 MeV, 12 % low
  in polystyrene. The pair shares the energy, so real photon showers are a few tenths of an X0 shorter.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fastparam._numba import parallel_kernel, prange
from fastparam.errors import GeometryError, OutOfDomainError
from fastparam.generate.calorimeter import calorimeter_of
from fastparam.generate.placement import Spots, place
from fastparam.geometry.detector import Geometry
from fastparam.geometry.frames import depth_at, line_crossings, local_frames
from fastparam.hits.hits import Hits
from fastparam.particles import Particles
from fastparam.random import exponential, stream, uniform
from fastparam.shapes import homogeneous, radial_laws, sampling, spots
from fastparam.shapes.fluctuations import Fluctuations, age1, shower_draw1
from fastparam.shapes.gamma_profile import gamma_draw_between1, gamma_fraction1
from fastparam.shapes.radial import radial_draw_within1
from fastparam.shapes.radial_laws import radial_laws1
from fastparam.shapes.sampling import visible_energy_draw1

__all__ = ["PaperGFlash", "conversion_depth"]

Floats = npt.NDArray[np.float64]

_PROFILE, _SPOTS = 11, 12

#: Length of a slice in X0.
_SLICE = 1.0

#: Largest radius of a spot in Moliere radii: full simulation has 1e-4 of its energy outside.
_MAX_RADIUS = 20.0

#: Stands for 1/F_S = 0 in the laws, which want a finite frequency.
_UNRESOLVED = 1e12

#: Range in energy (MeV) of GFlash, and the relative fluctuation of T or alpha beyond which a law runs into its pole.
_ENERGIES = (100.0, 1e7)
_MAX_SIGMA = 1.0


@parallel_kernel
def _slices(
    seed: Any, index: Any, energy: Any, mean_depth: Any, end: Any, law: Any, spot_law: Any, number: Any, c: Any,
    shape: Any, slice_energy: Any, slice_spots: Any,
) -> None:  # fmt: skip
    """Draw each shower's start, T and alpha into `shape` (n, 3), and fill its slices (n, S).

    mean_depth (n,) is the mean depth of conversion, 0 for electrons; end (n,) the depth behind which nothing is seen;
    both in X0; law (n, 5) as `Fluctuations`; spot_law holds the factors of T and alpha for the spots; c is 0 in
    homogeneous media.
    """
    for i in prange(len(index)):
        state = stream(seed, index[i], _PROFILE)
        start = mean_depth[i] * exponential(state) if mean_depth[i] > 0.0 else 0.0
        maximum, alpha = shower_draw1(state, law[i, 0], law[i, 1], law[i, 2], law[i, 3], law[i, 4])
        beta = (alpha - 1.0) / maximum
        spot_alpha, spot_beta = alpha, beta
        if alpha * spot_law[1] > 1.0:
            spot_alpha = alpha * spot_law[1]
            spot_beta = (spot_alpha - 1.0) / (maximum * spot_law[0])
        shape[i, 0], shape[i, 1], shape[i, 2] = start, maximum, alpha
        room = end[i] - start
        waiting = 0.0
        for k in range(slice_energy.shape[1]):
            a = k * _SLICE
            b = min(a + _SLICE, room)
            if b <= a:
                break
            deposited = energy[i] * gamma_fraction1(a, b, alpha, beta)
            if c > 0.0 and deposited > 0.0:
                deposited = visible_energy_draw1(state, deposited, c)
            waiting += deposited
            n = math.floor(number[i] * gamma_fraction1(a, b, spot_alpha, spot_beta) + uniform(state))
            if n == 0 and b == room:
                n = 1
            if n > 0 and waiting > 0.0:
                slice_energy[i, k] = waiting
                slice_spots[i, k] = n
                waiting = 0.0


@parallel_kernel
def _spots(
    seed: Any, index: Any, shape: Any, mean_ln_alpha: Any, radial: Any, moliere: Any, end: Any, slice_energy: Any,
    slice_spots: Any, slab_in: Any, x0_in: Any, slab_x0: Any, offsets: Any, s: Any, d1: Any, d2: Any, e: Any,
) -> None:  # fmt: skip
    for i in prange(len(index)):
        state = stream(seed, index[i], _SPOTS)
        start, maximum, alpha = shape[i, 0], shape[i, 1], shape[i, 2]
        beta = (alpha - 1.0) / maximum
        h = offsets[i]
        for k in range(slice_spots.shape[1]):
            n = slice_spots[i, k]
            a, b = k * _SLICE, min((k + 1) * _SLICE, end[i] - start)
            for _ in range(n):
                t = gamma_draw_between1(state, alpha, beta, a, b)
                core, tail, p = radial_laws1(age1(t, maximum, alpha, mean_ln_alpha[i]), radial[i])
                p = min(max(p, 0.0), 1.0)
                r = moliere * radial_draw_within1(uniform(state), uniform(state), p, core, tail, _MAX_RADIUS)
                azimuth = 2.0 * math.pi * uniform(state)
                depth = start + t
                low, high = 0, len(slab_x0)
                while high - low > 1:
                    middle = (low + high) // 2
                    if x0_in[i, middle] <= depth:
                        low = middle
                    else:
                        high = middle
                s[h] = slab_in[i, low] + (depth - x0_in[i, low]) * slab_x0[low]
                d1[h], d2[h] = r * math.cos(azimuth), r * math.sin(azimuth)
                e[h] = slice_energy[i, k] / n
                h += 1


def conversion_depth(energy: npt.ArrayLike) -> Floats:
    """Return the mean depth in X0 at which photons of `energy` (MeV, from 100) convert, the same shape."""
    return np.asarray(9.0 / 7.0 * (1.0 + 0.05 * (np.asarray(energy, dtype=np.float64) / 1000.0) ** -0.88))


class PaperGFlash:
    """The published parametrisation in one detector.

    Parameters
    ----------
    geometry : Geometry

    Attributes
    ----------
    geometry : Geometry
    calorimeter : Calorimeter
    pdgs : tuple of int
        Particles it knows: |pdg|.
    energies : tuple of two floats
        Lowest and highest kinetic energy in MeV: from where the laws exist in this medium and T and alpha fluctuate by
        less than a factor e, at least 0.1 GeV, to 10 TeV.

    Raises
    ------
    GeometryError
        As `calorimeter_of`; or if the radial laws give no positive radii for this stack.
    """

    pdgs = (11, 22)

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        self.calorimeter = calorimeter_of(geometry)
        self.energies = (self._lowest_energy(), _ENERGIES[1])
        tau = np.linspace(0.0, 10.0, 101)
        for energy in self.energies:
            try:
                radial_laws.evaluate(tau, self.radial(np.full_like(tau, energy)))
            except OutOfDomainError as error:
                raise GeometryError(
                    f"{geometry.path}: stock GFlash does not hold for this stack: {error}; its laws describe plates of"
                    " about an X0 and less"
                ) from error

    def law(self, energy: Floats) -> Fluctuations:
        """Return the law of (ln T, ln alpha) for energies in MeV, arrays of the same shape."""
        y = energy / self.calorimeter.material.critical_energy
        z = self.calorimeter.material.z
        if self.calorimeter.sampling is None:
            return homogeneous.fluctuating(y, z)
        return sampling.fluctuating(y, z, self.calorimeter.sampling.e_mip, self._frequency)

    def radial(self, energy: Floats) -> radial_laws.RadialCoefficients:
        """Return the coefficients of the radial laws for energies in MeV."""
        z = self.calorimeter.material.z
        if self.calorimeter.sampling is None:
            return radial_laws.homogeneous_coefficients(energy, z)
        return radial_laws.sampling_coefficients(energy, z, self.calorimeter.sampling.e_mip, self._frequency)

    def n_spots(self, energy: Floats) -> Floats:
        """Return the mean numbers of spots N for energies in MeV, the same shape."""
        z = self.calorimeter.material.z
        if self.calorimeter.sampling is None:
            return spots.homogeneous(energy, z, 1.0, 1.0).number
        return spots.sampling(energy, z, self.calorimeter.sampling.c, 1.0, 1.0).number

    def check(self, particles: Particles) -> None:
        """Do nothing: every line that crosses the detector will do."""

    def hits(self, particles: Particles, seed: int) -> Hits:
        """Sample the showers of `particles`, all of which are in the domain."""
        geometry, material, n = self.geometry, self.calorimeter.material, len(particles)
        frames = local_frames(geometry, particles)
        end = depth_at(frames, geometry.slab_x0, line_crossings(geometry, particles, geometry.period_to[-1:]))[:, 0]
        law = self.law(particles.energy)
        mean_depth = np.where(particles.pdg == 22, conversion_depth(particles.energy), 0.0)
        n_slices = math.ceil(end.max() / _SLICE)
        shape, energies = np.empty((n, 3)), np.zeros((n, n_slices))
        numbers = np.zeros((n, n_slices), dtype=np.int64)
        c = 0.0 if self.calorimeter.sampling is None else self.calorimeter.sampling.c
        constants = spots.HOMOGENEOUS if self.calorimeter.sampling is None else spots.SAMPLING
        factors = np.array([constants.t1 + constants.t2 * material.z, constants.a1 + constants.a2 * material.z])
        _slices(
            seed, particles.index, particles.energy, mean_depth, end, np.column_stack(law), factors,
            self.n_spots(particles.energy), c, shape, energies, numbers,
        )  # fmt: skip
        made = Spots.empty(numbers.sum(axis=1))
        _spots(
            seed, particles.index, shape, law.mean_ln_alpha, self.radial(particles.energy).table(),
            material.moliere_radius, end, energies, numbers, frames.slab_in, frames.x0_in, geometry.slab_x0,
            made.offsets, made.s, made.d1, made.d2, made.e,
        )  # fmt: skip
        lines = (frames.origin, frames.u, frames.e1, frames.e2)
        return place(geometry, made, lines, "collected", self.calorimeter.visible)

    @property
    def _frequency(self) -> float:
        assert self.calorimeter.sampling is not None
        return 1.0 / max(self.calorimeter.sampling.inverse_frequency, 1.0 / _UNRESOLVED)

    def _lowest_energy(self) -> float:
        if self._exists(_ENERGIES[0]):
            return _ENERGIES[0]
        low, high = np.log(_ENERGIES)
        if not self._exists(_ENERGIES[1]):
            raise GeometryError(f"{self.geometry.path}: stock GFlash has no laws for this calorimeter at any energy")
        for _ in range(50):
            middle = 0.5 * (low + high)
            low, high = (low, middle) if self._exists(math.exp(middle)) else (middle, high)
        return math.exp(high)

    def _exists(self, energy: float) -> bool:
        try:
            law = self.law(np.array([energy]))
        except OutOfDomainError:
            return False
        return bool(max(law.sigma_ln_t[0], law.sigma_ln_alpha[0]) <= _MAX_SIGMA)
