"""Grindhammer-Peters laws of the longitudinal profile in sampling calorimeters.

With y, Z, X0 of the stack as one medium, F_S = X0/(d_a + d_p) and the e/mip ratio e = 1/(1 + 0.007 (Z_p - Z_a)):

    average       T = T_hom - 0.59/F_S - 0.53 (1 - e),      alpha = alpha_hom - 0.444/F_S

    fluctuating   <ln T>     = ln(exp<ln T_hom> - 0.55/F_S - 0.69 (1 - e)),   sigma(ln T)     = 1/(-2.5 + 1.25 ln y)
                  <ln alpha> = ln(exp<ln alpha_hom> - 0.476/F_S),             sigma(ln alpha) = 1/(-0.82 + 0.79 ln y)
                  rho        = 0.784 - 0.023 ln y

The visible energy of a slice fluctuates: where dE is deposited, a Gamma number of mean dE and variance c**2 dE, with
sigma/E = c/sqrt(E/GeV). It is additive, so that the total does not depend on the slicing. (A constant term would
multiply the whole shower, noise belongs to readout cells: neither can be a Gamma per slice.)

Source: G. Grindhammer & S. Peters, hep-ex/0001020, appendix A.2. The fields of the constants carry the names of
Geant4's getters without "Pars" (`GFlashSamplingShowerTuning`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastparam._numba import kernel
from fastparam.random import gamma
from fastparam.shapes import homogeneous
from fastparam.shapes._arrays import FloatArray, Shape, Stream, flat, require, require_positive
from fastparam.shapes.fluctuations import Fluctuations

__all__ = [
    "AVERAGE",
    "FLUCTUATING",
    "Average",
    "Fluctuating",
    "average",
    "e_over_mip",
    "fluctuating",
    "sampling_frequency",
    "visible_energy_draw1",
    "visible_energy_rvs",
]

_GEV = 1000.0  # MeV


@dataclass(frozen=True)
class Average:
    """Constants of the average profile: T = T_hom + t1/F_S + t2 (1 - e), alpha = alpha_hom + a1/F_S."""

    t1: float = -0.59
    t2: float = -0.53
    a1: float = -0.444


@dataclass(frozen=True)
class Fluctuating:
    """Constants of the fluctuating profiles, in the order of the module's formulas."""

    ave_t1: float = -0.55
    ave_t2: float = -0.69
    ave_a1: float = -0.476
    sig_log_t1: float = -2.5
    sig_log_t2: float = 1.25
    sig_log_a1: float = -0.82
    sig_log_a2: float = 0.79
    rho1: float = 0.784
    rho2: float = -0.023


AVERAGE = Average()
FLUCTUATING = Fluctuating()


@kernel
def visible_energy_draw1(state: Stream, energy: float, c: float) -> float:
    """Visible energy of a slice that holds `energy` > 0 (MeV), for a resolution c > 0 in sqrt(GeV)."""
    scale = _GEV * c * c
    return scale * gamma(state, energy / scale)


@kernel
def _visible_energy_rvs(state: Stream, energy: FloatArray, c: FloatArray) -> FloatArray:
    out = energy.copy()
    for i in range(len(out)):
        out[i] = visible_energy_draw1(state, energy[i], c[i])
    return out


def e_over_mip(z_passive: npt.ArrayLike, z_active: npt.ArrayLike) -> FloatArray:
    """Return the ratio e/mip = 1/(1 + 0.007 (Z_p - Z_a)) of the responses to electrons and to minimum ionisation.

    Raises
    ------
    OutOfDomainError
        Unless both effective atomic numbers are > 0 and the ratio is.
    """
    shape, (passive, active) = flat(z_passive, z_active)
    require_positive("Z_p", passive)
    require_positive("Z_a", active)
    inverse = 1 + 0.007 * (passive - active)
    require("Z_a", active, inverse > 0, "Z_a < Z_p + 1/0.007")
    return (1 / inverse).reshape(shape)


def sampling_frequency(radiation_length: npt.ArrayLike, active: npt.ArrayLike, passive: npt.ArrayLike) -> FloatArray:
    """Return F_S = X0/(d_a + d_p): effective radiation length and thicknesses in the same unit.

    Raises
    ------
    OutOfDomainError
        Unless all are > 0.
    """
    shape, (x0, d_active, d_passive) = flat(radiation_length, active, passive)
    require_positive("X0", x0)
    require_positive("d_a", d_active)
    require_positive("d_p", d_passive)
    return (x0 / (d_active + d_passive)).reshape(shape)


def average(
    y: npt.ArrayLike,
    z: npt.ArrayLike,
    e_mip: npt.ArrayLike,
    f_s: npt.ArrayLike,
    constants: Average = AVERAGE,
    homogeneous_constants: homogeneous.Average = homogeneous.AVERAGE,
) -> tuple[FloatArray, FloatArray]:
    """Return T in X0 and alpha of the average profile.

    Parameters
    ----------
    y, z : array_like
        Energy over critical energy, and atomic number, of the stack as one medium.
    e_mip, f_s : array_like
        See `e_over_mip` and `sampling_frequency`.
    constants : Average
    homogeneous_constants : homogeneous.Average

    Returns
    -------
    T, alpha : float64 arrays of the broadcast shape

    Raises
    ------
    OutOfDomainError
        Where T <= 0 or alpha <= 1, with or without the corrections: y or F_S is too low.
    """
    shape, (y_, z_, e_, f_) = flat(y, z, e_mip, f_s)
    require_positive("e/mip", e_)
    require_positive("F_S", f_)
    c = constants
    maximum, alpha = homogeneous.average(y_, z_, homogeneous_constants)
    maximum = maximum + c.t1 / f_ + c.t2 * (1 - e_)
    alpha = alpha + c.a1 / f_
    require("y", y_, maximum > 0, f"T = T_hom {c.t1:+g}/F_S {c.t2:+g} (1 - e/mip) > 0")
    require("y", y_, alpha > 1, f"alpha = alpha_hom {c.a1:+g}/F_S > 1")
    return maximum.reshape(shape), alpha.reshape(shape)


def fluctuating(
    y: npt.ArrayLike,
    z: npt.ArrayLike,
    e_mip: npt.ArrayLike,
    f_s: npt.ArrayLike,
    constants: Fluctuating = FLUCTUATING,
    homogeneous_constants: homogeneous.Fluctuating = homogeneous.FLUCTUATING,
) -> Fluctuations:
    """Return the law of (ln T, ln alpha).

    Parameters
    ----------
    y, z : array_like
        Energy over critical energy, and atomic number, of the stack as one medium.
    e_mip, f_s : array_like
        See `e_over_mip` and `sampling_frequency`.
    constants : Fluctuating
    homogeneous_constants : homogeneous.Fluctuating

    Returns
    -------
    Fluctuations of the broadcast shape

    Raises
    ------
    OutOfDomainError
        Where a logarithm, a sigma or the correlation does not exist, or exp<ln alpha> <= 1: y or F_S is too low.
    """
    shape, (y_, z_, e_, f_) = flat(y, z, e_mip, f_s)
    require_positive("e/mip", e_)
    require_positive("F_S", f_)
    c = constants
    log_y = np.log(y_)
    medium = homogeneous.fluctuating(y_, z_, homogeneous_constants)
    maximum = np.exp(medium.mean_ln_t) + c.ave_t1 / f_ + c.ave_t2 * (1 - e_)
    alpha = np.exp(medium.mean_ln_alpha) + c.ave_a1 / f_
    rho = c.rho1 + c.rho2 * log_y
    require("y", y_, maximum > 0, f"<ln T> = ln(exp<ln T_hom> {c.ave_t1:+g}/F_S {c.ave_t2:+g} (1 - e/mip)) to exist")
    require("y", y_, alpha > 1, f"exp<ln alpha> = exp<ln alpha_hom> {c.ave_a1:+g}/F_S > 1")
    require("y", y_, np.abs(rho) <= 1, f"the correlation {c.rho1:g} {c.rho2:+g} ln y in [-1, 1]")
    law = (
        np.log(maximum),
        np.log(alpha),
        homogeneous.inverse_line("sigma(ln T)", log_y, c.sig_log_t1, c.sig_log_t2),
        homogeneous.inverse_line("sigma(ln alpha)", log_y, c.sig_log_a1, c.sig_log_a2),
        rho,
    )
    return Fluctuations(*(values.reshape(shape) for values in law))


def visible_energy_rvs(state: Stream, size: int | Shape, energy: npt.ArrayLike, c: npt.ArrayLike) -> FloatArray:
    """Draw visible energies in MeV, before the visible fraction.

    Parameters
    ----------
    state : uint64 array (2,)
        Stream of `fastparam.random.stream`; advanced in place.
    size : int or tuple
        Shape of the result; the other arguments broadcast to it.
    energy : array_like
        Energy of the slice in MeV.
    c : array_like
        Resolution sigma/E = c/sqrt(E/GeV), in sqrt(GeV).

    Returns
    -------
    float64 array of shape `size`

    Raises
    ------
    OutOfDomainError
        Unless energy and c are > 0 and finite.
    """
    shape, (energy_, c_) = flat(energy, c, shape=size if isinstance(size, tuple) else (size,))
    require_positive("energy", energy_)
    require_positive("c", c_)
    return _visible_energy_rvs(state, energy_, c_).reshape(shape)
