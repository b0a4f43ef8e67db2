"""Grindhammer-Peters laws of the energy spots of a shower.

A shower is N spots of equal energy within a slice of depth; their density in depth is a gamma profile of its own:

    homogeneous   N = 93 ln(Z) E**0.876     T_spot = T (0.698 + 0.00212 Z)    alpha_spot = alpha (0.639 + 0.00334 Z)
    sampling      N = (10.3/c) E**0.959     T_spot = T (0.813 + 0.0019 Z)     alpha_spot = alpha (0.844 + 0.0026 Z)

E in GeV; T, alpha the shower's own; c = sigma/E sqrt(E/GeV). Between t1 and t2 there are
N `gamma_profile.fraction`(t1, t2, alpha_spot, `gamma_profile.rate`(T_spot, alpha_spot)). In light media alpha_spot may
be <= 1 although alpha > 1: such a spot profile has no maximum, and `rate` refuses it.

N shows in the fluctuation of energy within rings and cells, never in mean profiles.

Source: G. Grindhammer & S. Peters, hep-ex/0001020, appendices A.1.4 and A.2. The fields of the constants carry the
names of Geant4's getters without "ParSpot" and "ParsSpot".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fastparam.shapes._arrays import FloatArray, flat, require, require_positive

__all__ = ["HOMOGENEOUS", "SAMPLING", "SpotConstants", "Spots", "homogeneous", "sampling"]

_GEV = 1000.0  # MeV


@dataclass(frozen=True)
class SpotConstants:
    """N = n1 X E**n2, T_spot = T (t1 + t2 Z), alpha_spot = alpha (a1 + a2 Z); X = ln Z or 1/c."""

    n1: float
    n2: float
    t1: float
    t2: float
    a1: float
    a2: float


HOMOGENEOUS = SpotConstants(n1=93.0, n2=0.876, t1=0.698, t2=0.00212, a1=0.639, a2=0.00334)
SAMPLING = SpotConstants(n1=10.3, n2=0.959, t1=0.813, t2=0.0019, a1=0.844, a2=0.0026)


class Spots(NamedTuple):
    """Spots of showers; float64 arrays of equal shape.

    Attributes
    ----------
    number : array
        N, not whole.
    maximum : array
        T_spot in X0.
    alpha : array
        alpha_spot; <= 1 is possible.
    """

    number: FloatArray
    maximum: FloatArray
    alpha: FloatArray


def homogeneous(
    energy: npt.ArrayLike,
    z: npt.ArrayLike,
    maximum: npt.ArrayLike,
    alpha: npt.ArrayLike,
    constants: SpotConstants = HOMOGENEOUS,
) -> Spots:
    """Return the spots of showers in a homogeneous medium.

    Parameters
    ----------
    energy : array_like
        Energy of the shower in MeV.
    z : array_like
        Effective atomic number.
    maximum, alpha : array_like
        T in X0 and alpha of the shower.
    constants : SpotConstants

    Returns
    -------
    Spots of the broadcast shape

    Raises
    ------
    OutOfDomainError
        Unless all are > 0 and finite, and Z > 1: N is proportional to ln Z.
    """
    shape, (energy_, z_, maximum_, alpha_) = flat(energy, z, maximum, alpha)
    require_positive("Z", z_)
    require("Z", z_, z_ > 1, "Z > 1: the number of spots is proportional to ln Z")
    return _spots(energy_, np.log(z_), z_, maximum_, alpha_, constants, shape)


def sampling(
    energy: npt.ArrayLike,
    z: npt.ArrayLike,
    c: npt.ArrayLike,
    maximum: npt.ArrayLike,
    alpha: npt.ArrayLike,
    constants: SpotConstants = SAMPLING,
) -> Spots:
    """Return the spots of showers in a sampling calorimeter.

    Parameters
    ----------
    energy : array_like
        Energy of the shower in MeV.
    z : array_like
        Effective atomic number of the stack.
    c : array_like
        Resolution sigma/E = c/sqrt(E/GeV), in sqrt(GeV).
    maximum, alpha : array_like
        T in X0 and alpha of the shower.
    constants : SpotConstants

    Returns
    -------
    Spots of the broadcast shape

    Raises
    ------
    OutOfDomainError
        Unless all are > 0 and finite.
    """
    shape, (energy_, z_, c_, maximum_, alpha_) = flat(energy, z, c, maximum, alpha)
    require_positive("Z", z_)
    require_positive("c", c_)
    return _spots(energy_, 1 / c_, z_, maximum_, alpha_, constants, shape)


def _spots(
    energy: FloatArray,
    density: FloatArray,
    z: FloatArray,
    maximum: FloatArray,
    alpha: FloatArray,
    c: SpotConstants,
    shape: tuple[int, ...],
) -> Spots:
    require_positive("energy", energy)
    require_positive("T", maximum)
    require_positive("alpha", alpha)
    number = c.n1 * density * (energy / _GEV) ** c.n2
    return Spots(
        number.reshape(shape), (maximum * (c.t1 + c.t2 * z)).reshape(shape), (alpha * (c.a1 + c.a2 * z)).reshape(shape)
    )
