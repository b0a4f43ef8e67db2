"""GFlash as Geant4 11.4.0 has it: convention `geant4` of the stock parametrisation.

What `GFlashShowerModel` deposits with `GFlashHomoShowerParameterisation` or `GFlashSamplingShowerParameterisation`,
their default tuning and default `GFlashParticleBounds`, where nothing else happens to the particle: written from the
behaviour of the classes to be compared with them, with what distinguishes them from the published parametrisation.

Both classes:

* Ec = 2.66 (X0 Z/A)^1.1 with X0 in **mm** for g/cm2, and R_M = X0 Es/Ec from it;
* 0.0412 in the slope of R_T (`ParRT6`) for 0.0421; p is not clipped;
* slices of 0.1 X0 get floor(N dF) spots, at least one, at equal distances along the line, with radii at the age of the
  slice's middle; below 0.1 GeV of remaining energy one slice gets all the rest;
* the axes across the line are not of unit length unless it runs along a coordinate axis, and radii shrink with them;
* alpha <= 1 gives a profile that never grows, and a shower without energy; so does y too low for <ln T>.

The sampling class:

* two plates, of which averages of R_M and Ec weight lengths with mass fractions. Further passive plates are not
  described to it: here, the passive plate with most X0 counts;
* energy and spots follow the *homogeneous* profile, whose sigma(ln T) is the sampling one; the sampling profile only
  enters the age;
* N = 93/c E^0.876 with c = 0.11: constants of homogeneous media with the variable of sampling ones;
* c**2 is applied in MeV for GeV: sampling fluctuations are smaller by sqrt(1000).

Spots are seen where they lie in an active medium, with all their energy, so the visible fraction is a share of volume.

Sources: Geant4 11.4.0, source/parameterisations/gflash; values of its classes in tests/data/gflash_vectors.json.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastparam._numba import parallel_kernel, prange
from fastparam.errors import FastparamWarning, GeometryError, OutOfDomainError
from fastparam.generate.calorimeter import Calorimeter, calorimeter_of
from fastparam.generate.placement import Spots, place
from fastparam.geometry.detector import Geometry
from fastparam.geometry.frames import line_crossings, local_frames
from fastparam.geometry.materials import SCALE_ENERGY, EffectiveMaterial, gflash_critical_energy
from fastparam.hits.hits import Hits
from fastparam.particles import Particles
from fastparam.random import gamma, normal, stream, uniform
from fastparam.shapes import homogeneous, radial_laws, sampling, spots
from fastparam.shapes.fluctuations import Fluctuations, age1, correlated1
from fastparam.shapes.incomplete_gamma import gamma_p1
from fastparam.shapes.radial import radial_draw1
from fastparam.shapes.radial_laws import radial_laws1

__all__ = ["Geant4GFlash", "Laws", "Parameterisation", "Settings", "transverse_axes"]

Floats = npt.NDArray[np.float64]

_PROFILE, _SAMPLING, _SPOTS = 21, 22, 23

#: `SamplingResolution` of GFlashSamplingShowerTuning.
_RESOLUTION = 0.11

#: Geant4 holds fractions in single precision, where larger ones are 1: nothing is left then, which ends a shower.
_ROUNDS_TO_1 = 1.0 - 2.0**-25

_RADIAL = radial_laws.Medium(rt6=0.0412)


@dataclass(frozen=True)
class Settings:
    """What users of Geant4's classes can set, with its defaults.

    Attributes
    ----------
    step : float
        Length of a slice in X0.
    energy_to_kill : float
        Remaining energy in MeV at which all of it goes into one slice.
    containment : bool
        Whether a shower must fit into the calorimeter.
    """

    step: float = 0.1
    energy_to_kill: float = 100.0
    containment: bool = True


_DEFAULTS = Settings()


class Laws(NamedTuple):
    """Laws of (ln T, ln alpha): of what is deposited, and of what the age is computed from."""

    deposit: Fluctuations
    age: Fluctuations


@dataclass(frozen=True)
class Parameterisation:
    """What an object of Geant4's classes holds of its medium.

    Attributes
    ----------
    radiation_length, moliere_radius : float
        mm.
    critical_energy : float
        MeV.
    z : float
    f_s, e_mip : float
        Of the sampling class; infinite and 1 in the homogeneous one.
    samples : bool
    """

    radiation_length: float
    moliere_radius: float
    critical_energy: float
    z: float
    f_s: float = math.inf
    e_mip: float = 1.0
    samples: bool = False

    @classmethod
    def homogeneous(cls, material: EffectiveMaterial) -> Parameterisation:
        """Return what `GFlashHomoShowerParameterisation(material)` holds."""
        x0 = material.radiation_length
        energy = _critical_energy(material)
        return cls(x0, x0 * SCALE_ENERGY / energy, energy, material.z)

    @classmethod
    def sampling(
        cls, passive: EffectiveMaterial, active: EffectiveMaterial, d_passive: float, d_active: float
    ) -> Parameterisation:
        """Return what `GFlashSamplingShowerParameterisation(passive, active, d_passive, d_active)` holds; d in mm."""
        plates = ((passive, d_passive), (active, d_active))
        thickness = d_passive + d_active
        mass = sum(d * m.density for m, d in plates)
        weights = [d * m.density / mass for m, d in plates]
        x0 = thickness / sum(d / m.radiation_length for m, d in plates)
        # Mass weights and lengths in mm in one sum.
        per_length = sum(
            w * _critical_energy(m) / m.radiation_length for w, (m, _) in zip(weights, plates, strict=True)
        )
        return cls(
            radiation_length=x0,
            moliere_radius=SCALE_ENERGY / per_length,
            critical_energy=x0 * per_length,
            z=sum(w * m.z for w, (m, _) in zip(weights, plates, strict=True)),
            f_s=x0 / thickness,
            e_mip=1.0 / (1.0 + 0.007 * (passive.z - active.z)),
            samples=True,
        )

    def laws(self, energy: npt.ArrayLike) -> Laws:
        """Return the laws for kinetic energies in MeV, 1-dimensional; NaN where Geant4 has NaN."""
        log_y = np.log(np.asarray(energy, dtype=np.float64) / self.critical_energy)
        h = homogeneous.FLUCTUATING
        maximum = log_y + h.ave_t1
        alpha = h.ave_a1 + (h.ave_a2 + h.ave_a3 / self.z) * log_y
        sigma_t = (h.sig_log_t1, h.sig_log_t2)
        sigma_alpha = (h.sig_log_a1, h.sig_log_a2)
        rho = h.rho1 + h.rho2 * log_y
        with np.errstate(invalid="ignore", divide="ignore"):
            if not self.samples:
                law = Fluctuations(
                    np.log(maximum), np.log(alpha), _inverse(log_y, *sigma_t), _inverse(log_y, *sigma_alpha), rho
                )
                return Laws(law, law)
            s = sampling.FLUCTUATING
            sigma_t = (s.sig_log_t1, s.sig_log_t2)  # for both profiles
            maximum, alpha = _at_least(0.1, maximum), _at_least(0.1, alpha)
            deposit = Fluctuations(
                np.log(maximum),
                np.log(alpha),
                _at_most(0.5, _inverse(log_y, *sigma_t)),
                _at_most(0.5, _inverse(log_y, *sigma_alpha)),
                rho,
            )
            age = Fluctuations(
                _at_least(0.1, np.log(maximum + s.ave_t1 / self.f_s + s.ave_t2 * (1.0 - self.e_mip))),
                _at_least(0.1, np.log(alpha + s.ave_a1 / self.f_s)),
                _at_most(0.5, _inverse(log_y, *sigma_t)),
                _at_most(0.5, _inverse(log_y, s.sig_log_a1, s.sig_log_a2)),
                s.rho1 + s.rho2 * log_y,
            )
            return Laws(deposit, age)

    def n_spots(self, energy: npt.ArrayLike) -> Floats:
        """Return N for kinetic energies in MeV, the same shape."""
        c = spots.HOMOGENEOUS
        density = 1.0 / _RESOLUTION if self.samples else math.log(self.z)
        return np.asarray(c.n1 * density * (np.asarray(energy, dtype=np.float64) / 1000.0) ** c.n2)

    def spot_factors(self) -> tuple[float, float]:
        """Return T_spot/T and alpha_spot/alpha."""
        c = spots.HOMOGENEOUS
        return c.t1 + c.t2 * self.z, c.a1 + c.a2 * self.z

    def radial(self, energy: npt.ArrayLike) -> radial_laws.RadialCoefficients:
        """Return the coefficients of the radial laws for kinetic energies in MeV."""
        if self.samples:
            return radial_laws.sampling_coefficients(energy, self.z, self.e_mip, self.f_s, medium_constants=_RADIAL)
        return radial_laws.homogeneous_coefficients(energy, self.z, _RADIAL)

    def contained_depth(self, energy: npt.ArrayLike) -> Floats:
        """Return `GetAveT90` in mm: 2.5 times the depth of the average maximum."""
        depth: Floats = 2.5 * self.radiation_length * np.exp(self.laws(energy).age.mean_ln_t)
        return depth

    def contained_radius(self) -> float:
        """Return `GetAveR90` in mm: 1.5 Moliere radii."""
        return 1.5 * self.moliere_radius


def _critical_energy(material: EffectiveMaterial) -> float:
    return gflash_critical_energy(material.radiation_length, material.z, material.a)  # mm in place of g/cm2


def _inverse(log_y: Floats, c1: float, c2: float) -> Floats:
    return np.asarray(1.0 / (c1 + c2 * log_y))


def _at_least(limit: float, value: Floats) -> Floats:
    return np.where(value > limit, value, limit)  # NaN becomes the limit, as with std::max


def _at_most(limit: float, value: Floats) -> Floats:
    return np.where(value < limit, value, limit)


@parallel_kernel
def _profiles(seed: Any, index: Any, deposit: Any, age: Any, samples: Any, profile: Any) -> None:
    """Draw T and alpha of what is deposited and of the age into `profile` (n, 4), from the same two normal numbers."""
    for i in prange(len(index)):
        state = stream(seed, index[i], _PROFILE)
        z1, z2 = normal(state), normal(state)
        ln_t, ln_alpha = correlated1(z1, z2, deposit[i, 0], deposit[i, 1], deposit[i, 2], deposit[i, 3], deposit[i, 4])
        profile[i, 0], profile[i, 1] = math.exp(ln_t), math.exp(ln_alpha)
        profile[i, 2], profile[i, 3] = profile[i, 0], profile[i, 1]
        if samples:
            ln_t, ln_alpha = correlated1(z1, z2, age[i, 0], age[i, 1], age[i, 2], age[i, 3], age[i, 4])
            profile[i, 2], profile[i, 3] = max(1.0, math.exp(ln_t)), max(1.1, math.exp(ln_alpha))


@parallel_kernel
def _slices(
    seed: Any, index: Any, energy: Any, length: Any, profile: Any, samples: Any, factors: Any, number: Any, x0: Any,
    step: Any, energy_to_kill: Any, resolution: Any, slice_energy: Any, slice_spots: Any,
) -> None:  # fmt: skip
    """Fill each shower's slices (n, S).

    length (n,) is the path inside the calorimeter in mm, step in mm, resolution in MeV.
    """
    for i in prange(len(index)):
        state = stream(seed, index[i], _SAMPLING)
        maximum, alpha = profile[i, 0], profile[i, 1]
        spot_maximum, spot_alpha = maximum * factors[0], alpha * factors[1]
        if samples:
            spot_maximum = max(0.5, spot_maximum)
        beta = (alpha - 1.0) / maximum
        spot_beta = (spot_alpha - 1.0) / spot_maximum
        left, room, depth, before, spots_before = energy[i], length[i], 0.0, 0.0, 0.0
        for k in range(slice_energy.shape[1]):
            width = room if room < step else step
            room -= width
            depth += width
            if left > energy_to_kill:
                after = gamma_p1(alpha, beta * depth / x0)
                spots_after = gamma_p1(spot_alpha, spot_beta * depth / x0)
                deposited = (after - before) * energy[i]
                if after > _ROUNDS_TO_1 or not deposited < left:
                    deposited = left
                wanted = (spots_after - spots_before) * number[i]
                before, spots_before = after, spots_after
            else:
                deposited = left
                wanted = (1.0 - spots_before) * number[i]
            left -= deposited
            if samples and deposited > 0.0:
                deposited = resolution * gamma(state, deposited / resolution)
            slice_energy[i, k] = deposited
            slice_spots[i, k] = math.floor(wanted) if wanted > 1.0 else 1  # 1 for NaN, too
            if not (left > 0.0 and room > 0.0):
                break


@parallel_kernel
def _spots(
    seed: Any, index: Any, length: Any, profile: Any, mean_ln_alpha: Any, radial: Any, moliere: Any, x0: Any,
    step: Any, slice_energy: Any, slice_spots: Any, offsets: Any, s: Any, d1: Any, d2: Any, e: Any,
) -> None:  # fmt: skip
    for i in prange(len(index)):
        state = stream(seed, index[i], _SPOTS)
        h = offsets[i]
        for k in range(slice_spots.shape[1]):
            n = slice_spots[i, k]
            if n == 0:
                break
            width = min(step, length[i] - k * step)
            middle = k * step + 0.5 * width
            core, tail, p = radial_laws1(age1(middle / x0, profile[i, 2], profile[i, 3], mean_ln_alpha[i]), radial[i])
            for j in range(n):
                r = moliere * radial_draw1(uniform(state), uniform(state), p, core, tail)
                azimuth = 2.0 * math.pi * uniform(state)
                s[h] = middle + width / n * (j + 0.5 - 0.5 * n)
                d1[h], d2[h] = r * math.cos(azimuth), r * math.sin(azimuth)
                e[h] = slice_energy[i, k] / n
                h += 1


def transverse_axes(direction: Floats) -> tuple[Floats, Floats]:
    """Return the axes across unit vectors (n, 3) that Geant4 uses, (n, 3) each, by CLHEP's ``orthogonal()``.

    Both are of length sqrt(1 - m**2) with m the smallest of the direction's components: 1 along coordinate axes and
    wherever one component is 0, at least sqrt(2/3).
    """
    x, y, z = direction.T
    smallest = np.argmin(np.abs(direction)[:, [2, 1, 0]], axis=1)  # of equal components, CLHEP takes the last
    zero = np.zeros_like(x)
    axes = np.stack(
        [np.stack([y, -x, zero], 1), np.stack([-z, zero, x], 1), np.stack([zero, z, -y], 1)]
    )  # without z, y, x
    first = axes[smallest, np.arange(len(x))]
    return first, np.cross(direction, first)


class Geant4GFlash:
    """Geant4's parametrisation in one detector.

    Its envelope reaches from the front of the first layer's period to the back of the last one.

    Parameters
    ----------
    geometry : Geometry
    settings : Settings

    Attributes
    ----------
    geometry : Geometry
    parameterisation : Parameterisation
    settings : Settings
    pdgs : tuple of int
        Particles it knows: |pdg|.
    energies : tuple of two floats
        Lowest and highest kinetic energy in MeV, of `GFlashParticleBounds`.

    Raises
    ------
    GeometryError
        If the calorimeter is not one material or one stack; Geant4 has no class for it.

    Warns
    -----
    FastparamWarning
        If there is material in front of the envelope, where Geant4 would track the particle.
    """

    pdgs = (11,)
    energies = (100.0, 1e7)

    def __init__(self, geometry: Geometry, settings: Settings = _DEFAULTS) -> None:
        self.geometry = geometry
        self.settings = settings
        self.parameterisation = _parameterisation(geometry, calorimeter_of(geometry))
        in_front = geometry.slab_to <= geometry.period_from[0] + 1e-9
        if in_front.any():
            depth = float(((geometry.slab_to - geometry.slab_from) / geometry.slab_x0)[in_front].sum())
            warnings.warn(
                f"{geometry.path}: {depth:.2f} X0 are declared in front of the calorimeter, through which Geant4 would"
                " track a particle; here it arrives untouched (the published parametrisation counts that material)",
                FastparamWarning,
                stacklevel=2,
            )

    def n_spots(self, energy: Floats) -> Floats:
        """Return about how many spots showers of energies in MeV have, the same shape."""
        depth = (self.geometry.period_to[-1] - self.geometry.period_from[0]) / self.parameterisation.radiation_length
        return self.parameterisation.n_spots(energy) + float(depth) / self.settings.step

    def check(self, particles: Particles) -> None:
        """Test containment as `GFlashShowerModel::CheckContainment` does, against the front and back of the envelope.

        Raises
        ------
        OutOfDomainError
            For the first particle whose shower does not fit: Geant4 tracks it in full.
        """
        if not self.settings.containment or not len(particles):
            return
        front, back = self._envelope(particles)
        first, second = transverse_axes(particles.direction)
        depth = self.parameterisation.contained_depth(particles.energy)
        radius = self.parameterisation.contained_radius()
        middle = particles.position + (front + depth)[:, None] * particles.direction
        out = np.zeros(len(particles), dtype=bool)
        for axis, sign in ((first, 1.0), (second, 1.0), (first, -1.0), (second, -1.0)):
            point = middle + sign * radius * axis
            c = np.hypot(point[:, 0], point[:, 1]) if self.geometry.frame == "barrel" else point[:, 2]
            out |= (c < self.geometry.period_from[0]) | (c > self.geometry.period_to[-1])
        if out.any():
            row = int(np.flatnonzero(out)[0])
            raise OutOfDomainError(
                f"particle {particles.index[row]}: with {particles.energy[row]:g} MeV its shower does not fit into the"
                f" calorimeter ({depth[row]:.0f} mm deep and {radius:.0f} mm wide by Geant4's containment test,"
                f" {back[row] - front[row]:.0f} mm along the line): Geant4 does not parametrise it"
                f" ({int(out.sum())} of {len(particles)} particles)"
            )

    def profiles(self, energy: Floats, index: npt.NDArray[np.int64], seed: int) -> Floats:
        """Draw T and alpha of what is deposited, T and alpha of the age; shape (n, 4) for energies (n,) in MeV."""
        laws = self.parameterisation.laws(energy)
        profile = np.empty((len(energy), 4))
        deposit, age = np.column_stack(laws.deposit), np.column_stack(laws.age)
        _profiles(seed, index, deposit, age, self.parameterisation.samples, profile)
        return profile

    def spots(self, energy: Floats, length: Floats, index: npt.NDArray[np.int64], seed: int) -> Spots:
        """Return the spots of showers that start at s = 0.

        Parameters
        ----------
        energy : float64 array (n,)
            Kinetic, MeV.
        length : float64 array (n,)
            Path inside the calorimeter, mm.
        index : int64 array (n,)
            Numbers of the showers.
        seed : int

        Returns
        -------
        Spots
            d1 and d2 in units of the axes of `transverse_axes`; NaN for a shower whose laws do not exist.
        """
        p, n = self.parameterisation, len(energy)
        step = self.settings.step * p.radiation_length
        profile = self.profiles(energy, index, seed)
        n_slices = math.ceil(length.max() / step) + 1
        energies, numbers = np.zeros((n, n_slices)), np.zeros((n, n_slices), dtype=np.int64)
        _slices(
            seed, index, energy, length, profile, p.samples, np.array(p.spot_factors()), p.n_spots(energy),
            p.radiation_length, step, self.settings.energy_to_kill, _RESOLUTION**2, energies, numbers,
        )  # fmt: skip
        made = Spots.empty(numbers.sum(axis=1))
        _spots(
            seed, index, length, profile, p.laws(energy).age.mean_ln_alpha, p.radial(energy).table(), p.moliere_radius,
            p.radiation_length, step, energies, numbers, made.offsets, made.s, made.d1, made.d2, made.e,
        )  # fmt: skip
        return made

    def hits(self, particles: Particles, seed: int) -> Hits:
        """Sample the showers of `particles`, all of which are in the domain."""
        front, back = self._envelope(particles)
        made = self.spots(particles.energy, back - front, particles.index, seed)
        origin = particles.position + front[:, None] * particles.direction
        lines = (origin, particles.direction, *transverse_axes(particles.direction))
        return place(self.geometry, made, lines, "at_rest", np.ones(self.geometry.n_layers))

    def _envelope(self, particles: Particles) -> tuple[Floats, Floats]:
        """Path lengths at which lines enter and leave the calorimeter."""
        local_frames(self.geometry, particles)  # refuses lines that do not cross it
        ends = np.array([self.geometry.period_from[0], self.geometry.period_to[-1]])
        front, back = line_crossings(self.geometry, particles, ends).T
        return np.ascontiguousarray(front), np.ascontiguousarray(back)


def _parameterisation(geometry: Geometry, calorimeter: Calorimeter) -> Parameterisation:
    if calorimeter.n_media > 1:
        raise GeometryError(
            f"{geometry.path}: its active layers are of {calorimeter.n_media} different media; Geant4's GFlash knows"
            " one material or one stack of two plates: use the published parametrisation, without ?convention=geant4"
        )
    plates = calorimeter.plates
    if plates is None:
        return Parameterisation.homogeneous(calorimeter.material)
    thickness, absorber = max(plates.passive, key=lambda plate: plate[0] / plate[1].radiation_length)
    return Parameterisation.sampling(absorber, plates.active, thickness, plates.d_active)
