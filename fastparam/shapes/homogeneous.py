"""Grindhammer-Peters laws of the longitudinal profile in homogeneous media.

Average profile, y = E/Ec:

    T = ln y - 0.858,      alpha = 0.21 + (0.492 + 2.38/Z) ln y

Fluctuating profiles:

    <ln T>     = ln(ln y - 0.812),                      sigma(ln T)     = 1/(-1.4 + 1.26 ln y)
    <ln alpha> = ln(0.81 + (0.458 + 2.26/Z) ln y),      sigma(ln alpha) = 1/(-0.58 + 0.86 ln y)
    rho        = 0.705 - 0.023 ln y

The two sets are separate fits: the mean of fluctuating gamma profiles is broader than the profile of mean parameters.
Geant4's GFlash has only the second. Every quantity has a lowest y, from logarithms and poles; below it these functions
raise.

Source: G. Grindhammer & S. Peters, hep-ex/0001020, appendix A.1. The fields of the constants carry the names of
Geant4's getters without "Par" (`GVFlashHomoShowerTuning`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastparam.shapes._arrays import FloatArray, flat, require, require_positive
from fastparam.shapes.fluctuations import Fluctuations

__all__ = ["AVERAGE", "FLUCTUATING", "Average", "Fluctuating", "average", "fluctuating", "inverse_line"]


@dataclass(frozen=True)
class Average:
    """Constants of the average profile: T = ln y + t1, alpha = a1 + (a2 + a3/Z) ln y."""

    t1: float = -0.858
    a1: float = 0.21
    a2: float = 0.492
    a3: float = 2.38


@dataclass(frozen=True)
class Fluctuating:
    """Constants of the fluctuating profiles, in the order of the module's formulas."""

    ave_t1: float = -0.812
    ave_a1: float = 0.81
    ave_a2: float = 0.458
    ave_a3: float = 2.26
    sig_log_t1: float = -1.4
    sig_log_t2: float = 1.26
    sig_log_a1: float = -0.58
    sig_log_a2: float = 0.86
    rho1: float = 0.705
    rho2: float = -0.023


AVERAGE = Average()
FLUCTUATING = Fluctuating()


def inverse_line(name: str, log_y: FloatArray, c1: float, c2: float) -> FloatArray:
    """Return the sigma 1/(c1 + c2 ln y), or raise `OutOfDomainError` at and below its pole."""
    inverse = c1 + c2 * log_y
    require("y", np.exp(log_y), inverse > 0, f"{name} = 1/({c1:g} + {c2:g} ln y) > 0")
    return 1 / inverse


def average(y: npt.ArrayLike, z: npt.ArrayLike, constants: Average = AVERAGE) -> tuple[FloatArray, FloatArray]:
    """Return T in X0 and alpha of the average profile.

    Parameters
    ----------
    y : array_like
        Energy over critical energy.
    z : array_like
        Effective atomic number.
    constants : Average

    Returns
    -------
    T, alpha : float64 arrays of the broadcast shape

    Raises
    ------
    OutOfDomainError
        Where T <= 0 or alpha <= 1: y is too low.
    """
    shape, (y_, z_) = flat(y, z)
    require_positive("y", y_)
    require_positive("Z", z_)
    c = constants
    maximum = np.log(y_) + c.t1
    alpha = c.a1 + (c.a2 + c.a3 / z_) * np.log(y_)
    require("y", y_, maximum > 0, f"T = ln y {c.t1:+g} > 0")
    require("y", y_, alpha > 1, f"alpha = {c.a1:g} + ({c.a2:g} + {c.a3:g}/Z) ln y > 1")
    return maximum.reshape(shape), alpha.reshape(shape)


def fluctuating(y: npt.ArrayLike, z: npt.ArrayLike, constants: Fluctuating = FLUCTUATING) -> Fluctuations:
    """Return the law of (ln T, ln alpha).

    Parameters
    ----------
    y : array_like
        Energy over critical energy.
    z : array_like
        Effective atomic number.
    constants : Fluctuating

    Returns
    -------
    Fluctuations of the broadcast shape

    Raises
    ------
    OutOfDomainError
        Where a logarithm, a sigma or the correlation does not exist, or exp<ln alpha> <= 1: y is too low.
    """
    shape, (y_, z_) = flat(y, z)
    require_positive("y", y_)
    require_positive("Z", z_)
    c = constants
    log_y = np.log(y_)
    maximum = log_y + c.ave_t1
    alpha = c.ave_a1 + (c.ave_a2 + c.ave_a3 / z_) * log_y
    rho = c.rho1 + c.rho2 * log_y
    require("y", y_, maximum > 0, f"<ln T> = ln(ln y {c.ave_t1:+g}) to exist")
    require("y", y_, alpha > 1, f"exp<ln alpha> = {c.ave_a1:g} + ({c.ave_a2:g} + {c.ave_a3:g}/Z) ln y > 1")
    require("y", y_, np.abs(rho) <= 1, f"the correlation {c.rho1:g} {c.rho2:+g} ln y in [-1, 1]")
    law = (
        np.log(maximum),
        np.log(alpha),
        inverse_line("sigma(ln T)", log_y, c.sig_log_t1, c.sig_log_t2),
        inverse_line("sigma(ln alpha)", log_y, c.sig_log_a1, c.sig_log_a2),
        rho,
    )
    return Fluctuations(*(values.reshape(shape) for values in law))
