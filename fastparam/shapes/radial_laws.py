"""Grindhammer-Peters laws of the radial parameters against shower age.

    R_C(tau) = a + b tau                                        + c0 + c1 exp(-tau)
    R_T(tau) = k1 [exp(k3 (tau-k2)) + exp(k4 (tau-k2))]         + t0 + t1 exp(-tau)
    p(tau)   = p1 exp(u - exp(u)),  u = (p2 - tau)/p3,          + w0 + w1 exp(-(tau-1)**2)

Radii in Moliere radii, tau the age (`fluctuations.age`). The first nine coefficients describe a medium, the last six
(zero in homogeneous media) a sampling structure; with L = ln(E/GeV), E the energy of the shower:

    a  = 0.0251 + 0.00319 L      b  = 0.1162 - 0.000381 Z
    k1 = 0.659 - 0.00309 Z       k2 = 0.645     k3 = -2.59     k4 = 0.3585 + 0.0421 L
    p1 = 2.632 - 0.00094 Z       p2 = 0.401 + 0.00187 Z        p3 = 1.313 - 0.0686 L
    c0 = -0.0203 (1-e)   c1 = 0.0397/F_S   t0 = -0.14 (1-e)   t1 = -0.495/F_S   w0 = 0.348 (1-e)   w1 = -0.642 (1-e)/F_S

p is returned as the law gives it: above 1 (1.001 to 1.05) for fine sampling with a heavy absorber, below 0 for
e > 1. `radial.radial_draw1` takes it as it is, everything else of `radial` needs it clipped to [0, 1].

Source: G. Grindhammer & S. Peters, hep-ex/0001020, appendices A.1.3 and A.2. The fields of the constants carry the
names of Geant4's getters without "Par" and "Pars" (`GVFlashHomoShowerTuning`, `GFlashSamplingShowerTuning`); its
ParRT6 = 0.0412 against 0.0421 here is an exchange of digits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fastparam._numba import kernel
from fastparam.shapes._arrays import FloatArray, flat, require, require_finite, require_positive

__all__ = [
    "MEDIUM",
    "SAMPLING",
    "Medium",
    "RadialCoefficients",
    "Sampling",
    "core_radius1",
    "core_weight1",
    "evaluate",
    "homogeneous_coefficients",
    "radial_laws1",
    "sampling_coefficients",
    "tail_radius1",
]

_GEV = 1000.0  # MeV


@dataclass(frozen=True)
class Medium:
    """Published constants of the nine coefficients of a medium, in the order of the module's formulas."""

    rc1: float = 0.0251
    rc2: float = 0.00319
    rc3: float = 0.1162
    rc4: float = -0.000381
    rt1: float = 0.659
    rt2: float = -0.00309
    rt3: float = 0.645
    rt4: float = -2.59
    rt5: float = 0.3585
    rt6: float = 0.0421
    wc1: float = 2.632
    wc2: float = -0.00094
    wc3: float = 0.401
    wc4: float = 0.00187
    wc5: float = 1.313
    wc6: float = -0.0686


@dataclass(frozen=True)
class Sampling:
    """Published constants of the six coefficients of a sampling structure."""

    rc1: float = -0.0203
    rc2: float = 0.0397
    rt1: float = -0.14
    rt2: float = -0.495
    wc1: float = 0.348
    wc2: float = -0.642


MEDIUM = Medium()
SAMPLING = Sampling()


class RadialCoefficients(NamedTuple):
    """Coefficients of the three laws of age, in the module's notation; float64 arrays that broadcast together."""

    a: FloatArray
    b: FloatArray
    k1: FloatArray
    k2: FloatArray
    k3: FloatArray
    k4: FloatArray
    p1: FloatArray
    p2: FloatArray
    p3: FloatArray
    c0: FloatArray
    c1: FloatArray
    t0: FloatArray
    t1: FloatArray
    w0: FloatArray
    w1: FloatArray

    def table(self) -> FloatArray:
        """Return all coefficients as a float64 array (..., 15) for `radial_laws1`."""
        return np.stack(np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in self)), axis=-1)


@kernel
def core_radius1(tau: float, a: float, b: float) -> float:
    """R_C of a medium."""
    return a + b * tau


@kernel
def tail_radius1(tau: float, k1: float, k2: float, k3: float, k4: float) -> float:
    """R_T of a medium."""
    return k1 * (math.exp(k3 * (tau - k2)) + math.exp(k4 * (tau - k2)))


@kernel
def core_weight1(tau: float, p1: float, p2: float, p3: float) -> float:
    """Weight p of the core in a medium: greatest, p1/e, at tau = p2."""
    u = (p2 - tau) / p3
    return p1 * math.exp(u - math.exp(u))


@kernel
def radial_laws1(tau: float, c: FloatArray) -> tuple[float, float, float]:
    """(R_C, R_T, p) at age tau for one row of `RadialCoefficients.table`; p is not clipped."""
    fall = math.exp(-tau)
    return (
        core_radius1(tau, c[0], c[1]) + c[9] + c[10] * fall,
        tail_radius1(tau, c[2], c[3], c[4], c[5]) + c[11] + c[12] * fall,
        core_weight1(tau, c[6], c[7], c[8]) + c[13] + c[14] * math.exp(-((tau - 1.0) ** 2)),
    )


@kernel
def _evaluate(tau: FloatArray, table: FloatArray) -> FloatArray:
    out = np.empty((3, len(tau)))
    for i in range(len(tau)):
        out[0, i], out[1, i], out[2, i] = radial_laws1(tau[i], table[i])
    return out


def homogeneous_coefficients(energy: npt.ArrayLike, z: npt.ArrayLike, constants: Medium = MEDIUM) -> RadialCoefficients:
    """Return the coefficients for a homogeneous medium.

    Parameters
    ----------
    energy : array_like
        Energy of the shower in MeV.
    z : array_like
        Effective atomic number.
    constants : Medium

    Returns
    -------
    RadialCoefficients of the broadcast shape; the last six are zero.

    Raises
    ------
    OutOfDomainError
        Unless energy and Z are > 0 and finite, and p3 > 0 (energies below 2e5 TeV with the published constants).
    """
    shape, (energy_, z_) = flat(energy, z)
    require_positive("energy", energy_)
    require_positive("Z", z_)
    c = constants
    log_e = np.log(energy_ / _GEV)
    one = np.ones_like(log_e)
    p3 = c.wc5 + c.wc6 * log_e
    require("energy", energy_, p3 > 0, f"p3 = {c.wc5:g} {c.wc6:+g} ln(E/GeV) > 0 (energy in MeV)")
    medium = (
        c.rc1 + c.rc2 * log_e,
        c.rc3 + c.rc4 * z_,
        c.rt1 + c.rt2 * z_,
        c.rt3 * one,
        c.rt4 * one,
        c.rt5 + c.rt6 * log_e,
        c.wc1 + c.wc2 * z_,
        c.wc3 + c.wc4 * z_,
        p3,
    )
    return RadialCoefficients(*(v.reshape(shape) for v in medium), *(np.zeros(shape) for _ in range(6)))


def sampling_coefficients(
    energy: npt.ArrayLike,
    z: npt.ArrayLike,
    e_mip: npt.ArrayLike,
    f_s: npt.ArrayLike,
    constants: Sampling = SAMPLING,
    medium_constants: Medium = MEDIUM,
) -> RadialCoefficients:
    """Return the coefficients for a sampling calorimeter.

    Parameters
    ----------
    energy : array_like
        Energy of the shower in MeV.
    z : array_like
        Effective atomic number of the stack.
    e_mip, f_s : array_like
        See `sampling.e_over_mip` and `sampling.sampling_frequency`.
    constants : Sampling
    medium_constants : Medium

    Returns
    -------
    RadialCoefficients of the broadcast shape

    Raises
    ------
    OutOfDomainError
        As `homogeneous_coefficients`, and unless e/mip and F_S are > 0 and finite.
    """
    shape, (energy_, z_, e_, f_) = flat(energy, z, e_mip, f_s)
    require_positive("e/mip", e_)
    require_positive("F_S", f_)
    c = constants
    medium = homogeneous_coefficients(energy_, z_, medium_constants)
    structure = (
        c.rc1 * (1 - e_),
        c.rc2 / f_,
        c.rt1 * (1 - e_),
        c.rt2 / f_,
        c.wc1 * (1 - e_),
        c.wc2 * (1 - e_) / f_,
    )
    return RadialCoefficients(*(v.reshape(shape) for v in (*medium[:9], *structure)))


def evaluate(tau: npt.ArrayLike, coefficients: RadialCoefficients) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return R_C, R_T (in Moliere radii) and p at age tau; p is not clipped.

    Parameters
    ----------
    tau : array_like
        Age; broadcasts with the coefficients.
    coefficients : RadialCoefficients

    Returns
    -------
    R_C, R_T, p : float64 arrays of the broadcast shape

    Raises
    ------
    OutOfDomainError
        Unless tau >= 0 and finite, and where a radius is not > 0 (very coarse sampling, F_S below 0.5).
    """
    shape, (tau_, *values) = flat(tau, *coefficients)
    require_finite("tau", tau_)
    require("tau", tau_, tau_ >= 0, "tau >= 0")
    rc, rt, p = _evaluate(tau_, np.stack(values, axis=-1))
    require("R_C", rc, rc > 0, "a core radius > 0; the laws do not hold for this calorimeter and age")
    require("R_T", rt, rt > 0, "a tail radius > 0; the laws do not hold for this calorimeter and age")
    return rc.reshape(shape), rt.reshape(shape), p.reshape(shape)
