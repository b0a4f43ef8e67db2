"""How longitudinal profiles fluctuate from shower to shower, and the age of a fluctuating shower.

    ln T     = <ln T>     + sigma_T     (a z1 + b z2)
    ln alpha = <ln alpha> + sigma_alpha (a z1 - b z2),      a = sqrt((1+rho)/2), b = sqrt((1-rho)/2)

z1, z2 standard normal: variances sigma**2, correlation a**2 - b**2 = rho. A profile has a maximum only for alpha > 1,
which the law does not ensure: showers with alpha <= 1 are drawn again. That moves <ln alpha> up by what
`fraction_redrawn` measures; a fit has to use the same truncated law.

Source: G. Grindhammer & S. Peters, hep-ex/0001020, appendices A.1.2 and A.1.4.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fastparam._numba import kernel
from fastparam.random import normal
from fastparam.shapes import normal as _normal
from fastparam.shapes._arrays import (
    FloatArray,
    Shape,
    Stream,
    flat,
    require,
    require_finite,
    require_positive,
)

__all__ = [
    "Fluctuations",
    "age",
    "age1",
    "correlated1",
    "fraction_redrawn",
    "rvs",
    "shower_draw1",
]


class Fluctuations(NamedTuple):
    """Law of (ln T, ln alpha), T in X0; float64 arrays of equal shape.

    Attributes
    ----------
    mean_ln_t, mean_ln_alpha : arrays
    sigma_ln_t, sigma_ln_alpha : arrays
        Standard deviations.
    rho : array
        Correlation.
    """

    mean_ln_t: FloatArray
    mean_ln_alpha: FloatArray
    sigma_ln_t: FloatArray
    sigma_ln_alpha: FloatArray
    rho: FloatArray


@kernel
def correlated1(
    z1: float, z2: float, mean_t: float, mean_alpha: float, sigma_t: float, sigma_alpha: float, rho: float
) -> tuple[float, float]:
    """(ln T, ln alpha) that belong to two standard normal numbers."""
    a = math.sqrt(0.5 * (1.0 + rho))
    b = math.sqrt(0.5 * (1.0 - rho))
    return mean_t + sigma_t * (a * z1 + b * z2), mean_alpha + sigma_alpha * (a * z1 - b * z2)


@kernel
def shower_draw1(
    state: Stream, mean_t: float, mean_alpha: float, sigma_t: float, sigma_alpha: float, rho: float
) -> tuple[float, float]:
    """Draw (T, alpha) with alpha > 1; mean_alpha > 0, so that at least every second attempt succeeds."""
    while True:
        ln_t, ln_alpha = correlated1(normal(state), normal(state), mean_t, mean_alpha, sigma_t, sigma_alpha, rho)
        alpha = math.exp(ln_alpha)
        if not alpha <= 1.0:
            return math.exp(ln_t), alpha


@kernel
def age1(t: float, maximum: float, alpha: float, mean_ln_alpha: float) -> float:
    """Age tau of a shower of its own (T, alpha > 1) at depth t; see `age`."""
    return t * (alpha - 1.0) / (maximum * alpha) / -math.expm1(-mean_ln_alpha)


@kernel
def _rvs(
    state: Stream,
    mean_t: FloatArray,
    mean_alpha: FloatArray,
    sigma_t: FloatArray,
    sigma_alpha: FloatArray,
    rho: FloatArray,
) -> FloatArray:
    out = np.empty((2, len(rho)))
    for i in range(len(rho)):
        out[0, i], out[1, i] = shower_draw1(state, mean_t[i], mean_alpha[i], sigma_t[i], sigma_alpha[i], rho[i])
    return out


def rvs(state: Stream, size: int | Shape, law: Fluctuations) -> tuple[FloatArray, FloatArray]:
    """Draw showers.

    Parameters
    ----------
    state : uint64 array (2,)
        Stream of `fastparam.random.stream`; advanced in place.
    size : int or tuple
        Shape of both results; `law` broadcasts to it.
    law : Fluctuations

    Returns
    -------
    T, alpha : float64 arrays of shape `size`
        Depth of the maximum in X0; alpha > 1.

    Raises
    ------
    OutOfDomainError
        Unless the sigmas are > 0, |rho| <= 1 and <ln alpha> > 0.
    """
    shape, values = flat(*law, shape=size if isinstance(size, tuple) else (size,))
    mean_t, mean_alpha, sigma_t, sigma_alpha, rho = values
    require_finite("<ln T>", mean_t)
    require_positive("<ln alpha>", mean_alpha)
    require_positive("sigma(ln T)", sigma_t)
    require_positive("sigma(ln alpha)", sigma_alpha)
    require("rho", rho, np.abs(rho) <= 1, "a correlation in [-1, 1]")
    maximum, alpha = _rvs(state, mean_t, mean_alpha, sigma_t, sigma_alpha, rho)
    return maximum.reshape(shape), alpha.reshape(shape)


def fraction_redrawn(law: Fluctuations) -> FloatArray:
    """Return the probability of alpha <= 1 in the law before truncation, the shape of `law`."""
    return _normal.cdf(-np.asarray(law.mean_ln_alpha) / np.asarray(law.sigma_ln_alpha))


def age(t: npt.ArrayLike, maximum: npt.ArrayLike, alpha: npt.ArrayLike, mean_ln_alpha: npt.ArrayLike) -> FloatArray:
    """Return tau = (t/<t>) exp<ln alpha>/(exp<ln alpha> - 1) with the shower's own <t> = T alpha/(alpha-1).

    It is t/T for alpha = exp<ln alpha>, and the argument of the radial laws.

    Parameters
    ----------
    t, maximum : array_like
        Depth from the start of the shower, and of its maximum, in the same unit.
    alpha, mean_ln_alpha : array_like
        Of this shower, and the mean over showers.

    Returns
    -------
    float64 array of the broadcast shape

    Raises
    ------
    OutOfDomainError
        Unless T > 0, alpha > 1, <ln alpha> > 0, and t is finite.
    """
    shape, (t_, maximum_, alpha_, mean_) = flat(t, maximum, alpha, mean_ln_alpha)
    require_finite("t", t_)
    require_positive("T", maximum_)
    require("alpha", alpha_, np.isfinite(alpha_) & (alpha_ > 1), "alpha > 1, else the profile has no maximum")
    require_positive("<ln alpha>", mean_)
    return np.asarray(t_ * (alpha_ - 1) / (maximum_ * alpha_) / -np.expm1(-mean_)).reshape(shape)
