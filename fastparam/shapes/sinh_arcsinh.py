"""Sinh-arcsinh distribution: a normal law with skewness and tails of its own.

    x = loc + scale sinh((arcsinh(z) + skew) / tail),      z standard normal

scale, tail > 0. (skew, tail) = (0, 1) is the normal distribution; skew > 0 leans to high values; tail < 1 is heavier
than normal, tail > 1 lighter. With u = (x - loc)/scale the inverse is z = sinh(w), w = tail arcsinh(u) - skew, hence

    F(x) = Phi(z),      f(x) = phi(z) tail cosh(w) / (scale sqrt(1 + u**2))

Source: M. C. Jones & A. Pewsey, "Sinh-arcsinh distributions", Biometrika 96 (2009) 761, eqs. 1 to 3; moments section
2.3 there (skew is their epsilon, tail their delta).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import special

from fastparam._numba import kernel
from fastparam.random import normal
from fastparam.shapes._arrays import (
    FloatArray,
    Shape,
    Stream,
    flat,
    require_finite,
    require_number,
    require_positive,
    require_probability,
)
from fastparam.shapes.normal import normal_cdf1, normal_ppf1

__all__ = [
    "cdf",
    "expectation",
    "logpdf",
    "moments",
    "pdf",
    "ppf",
    "rvs",
    "sinh_arcsinh_cdf1",
    "sinh_arcsinh_draw1",
    "sinh_arcsinh_from_normal1",
    "sinh_arcsinh_logpdf1",
    "sinh_arcsinh_ppf1",
]

_LOG_NORM = 0.5 * math.log(2.0 * math.pi) + math.log(2.0)  # of phi, and of cosh w = (1 + exp(-2|w|)) exp(|w|)/2


@kernel
def sinh_arcsinh_from_normal1(z: float, loc: float, scale: float, skew: float, tail: float) -> float:
    """Value x that belongs to the standard normal number z."""
    return loc + scale * math.sinh((math.asinh(z) + skew) / tail)


@kernel
def sinh_arcsinh_logpdf1(x: float, loc: float, scale: float, skew: float, tail: float) -> float:
    """Logarithm of f(x); -infinity where f underflows."""
    u = (x - loc) / scale
    w = tail * math.asinh(u) - skew
    z = math.sinh(w)
    if math.isinf(z) or math.isinf(u):
        return -math.inf
    jacobian = abs(w) + math.log1p(math.exp(-2.0 * abs(w))) - math.log(math.hypot(1.0, u))
    return jacobian - 0.5 * z * z + math.log(tail / scale) - _LOG_NORM


@kernel
def sinh_arcsinh_cdf1(x: float, loc: float, scale: float, skew: float, tail: float) -> float:
    """F(x)."""
    return normal_cdf1(math.sinh(tail * math.asinh((x - loc) / scale) - skew))


@kernel
def sinh_arcsinh_ppf1(q: float, loc: float, scale: float, skew: float, tail: float) -> float:
    """Value x at which F(x) = q, q in [0, 1]."""
    return sinh_arcsinh_from_normal1(normal_ppf1(q), loc, scale, skew, tail)


@kernel
def sinh_arcsinh_draw1(state: Stream, loc: float, scale: float, skew: float, tail: float) -> float:
    """Draw x."""
    return sinh_arcsinh_from_normal1(normal(state), loc, scale, skew, tail)


@kernel
def _logpdf(x: FloatArray, loc: FloatArray, scale: FloatArray, skew: FloatArray, tail: FloatArray) -> FloatArray:
    out = x.copy()
    for i in range(len(out)):
        out[i] = sinh_arcsinh_logpdf1(x[i], loc[i], scale[i], skew[i], tail[i])
    return out


@kernel
def _cdf(x: FloatArray, loc: FloatArray, scale: FloatArray, skew: FloatArray, tail: FloatArray) -> FloatArray:
    out = x.copy()
    for i in range(len(out)):
        out[i] = sinh_arcsinh_cdf1(x[i], loc[i], scale[i], skew[i], tail[i])
    return out


@kernel
def _ppf(q: FloatArray, loc: FloatArray, scale: FloatArray, skew: FloatArray, tail: FloatArray) -> FloatArray:
    out = q.copy()
    for i in range(len(out)):
        out[i] = sinh_arcsinh_ppf1(q[i], loc[i], scale[i], skew[i], tail[i])
    return out


@kernel
def _rvs(state: Stream, loc: FloatArray, scale: FloatArray, skew: FloatArray, tail: FloatArray) -> FloatArray:
    out = loc.copy()
    for i in range(len(out)):
        out[i] = sinh_arcsinh_draw1(state, loc[i], scale[i], skew[i], tail[i])
    return out


def _require_parameters(loc: FloatArray, scale: FloatArray, skew: FloatArray, tail: FloatArray) -> None:
    require_finite("loc", loc)
    require_positive("scale", scale)
    require_finite("skew", skew)
    require_positive("tail", tail)


def _checked(
    x: npt.ArrayLike, loc: npt.ArrayLike, scale: npt.ArrayLike, skew: npt.ArrayLike, tail: npt.ArrayLike
) -> tuple[Shape, list[FloatArray]]:
    shape, arguments = flat(x, loc, scale, skew, tail)
    require_number("x", arguments[0])
    _require_parameters(*arguments[1:])
    return shape, arguments


def logpdf(
    x: npt.ArrayLike, loc: npt.ArrayLike, scale: npt.ArrayLike, skew: npt.ArrayLike, tail: npt.ArrayLike
) -> FloatArray:
    """Return ln f(x), the broadcast shape.

    Raises
    ------
    OutOfDomainError
        Unless scale and tail are > 0, all parameters are finite, and x is a number.
    """
    shape, arguments = _checked(x, loc, scale, skew, tail)
    return _logpdf(*arguments).reshape(shape)


def pdf(
    x: npt.ArrayLike, loc: npt.ArrayLike, scale: npt.ArrayLike, skew: npt.ArrayLike, tail: npt.ArrayLike
) -> FloatArray:
    """Return f(x), the broadcast shape. Raises like `logpdf`."""
    return np.asarray(np.exp(logpdf(x, loc, scale, skew, tail)))


def cdf(
    x: npt.ArrayLike, loc: npt.ArrayLike, scale: npt.ArrayLike, skew: npt.ArrayLike, tail: npt.ArrayLike
) -> FloatArray:
    """Return F(x), the broadcast shape. Raises like `logpdf`."""
    shape, arguments = _checked(x, loc, scale, skew, tail)
    return _cdf(*arguments).reshape(shape)


def ppf(
    q: npt.ArrayLike, loc: npt.ArrayLike, scale: npt.ArrayLike, skew: npt.ArrayLike, tail: npt.ArrayLike
) -> FloatArray:
    """Return the x at which F(x) = q, the broadcast shape; infinite for q = 0 and 1.

    Raises
    ------
    OutOfDomainError
        Unless q lies in [0, 1], scale and tail are > 0, and all parameters are finite.
    """
    shape, (q_, *parameters) = flat(q, loc, scale, skew, tail)
    require_probability("q", q_)
    _require_parameters(*parameters)
    return _ppf(q_, *parameters).reshape(shape)


def rvs(
    state: Stream,
    size: int | Shape,
    loc: npt.ArrayLike,
    scale: npt.ArrayLike,
    skew: npt.ArrayLike,
    tail: npt.ArrayLike,
) -> FloatArray:
    """Draw numbers of shape `size` from a stream of `fastparam.random.stream`, which is advanced.

    Raises
    ------
    OutOfDomainError
        Unless scale and tail are > 0 and all parameters are finite.
    """
    shape, parameters = flat(loc, scale, skew, tail, shape=size if isinstance(size, tuple) else (size,))
    _require_parameters(*parameters)
    return _rvs(state, *parameters).reshape(shape)


def moments(
    loc: npt.ArrayLike, scale: npt.ArrayLike, skew: npt.ArrayLike, tail: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Return mean and variance, each of the broadcast shape.

    With P_q = E[exp(q arcsinh z)] = exp(1/4)/sqrt(8 pi) [K_{(q+1)/2}(1/4) + K_{(q-1)/2}(1/4)], K the modified Bessel
    function of the second kind: E[u] = sinh(skew/tail) P_{1/tail}, E[u**2] = [cosh(2 skew/tail) P_{2/tail} - 1]/2.
    Raises like `rvs`.
    """
    shape, (loc_, scale_, skew_, tail_) = flat(loc, scale, skew, tail)
    _require_parameters(loc_, scale_, skew_, tail_)

    def power(q: FloatArray) -> FloatArray:
        bessel = special.kve((q + 1) / 2, 0.25) + special.kve((q - 1) / 2, 0.25)  # kve = exp(1/4) K
        return np.asarray(bessel / math.sqrt(8 * math.pi))

    mean = np.sinh(skew_ / tail_) * power(1 / tail_)
    square = 0.5 * (np.cosh(2 * skew_ / tail_) * power(2 / tail_) - 1)
    return (loc_ + scale_ * mean).reshape(shape), (scale_**2 * (square - mean**2)).reshape(shape)


def expectation(
    function: Callable[[FloatArray], npt.ArrayLike],
    loc: npt.ArrayLike,
    scale: npt.ArrayLike,
    skew: npt.ArrayLike,
    tail: npt.ArrayLike,
    *,
    nodes: int = 128,
) -> FloatArray:
    """Return the mean of ``function(x)`` by Gauss-Hermite quadrature in z, the broadcast shape.

    `function` acts elementwise. The mean of exp(x) (x a logarithm) is finite only for tail > 1/2.
    Raises like `rvs`.
    """
    shape, parameters = flat(loc, scale, skew, tail)
    _require_parameters(*parameters)
    z, weight = special.roots_hermitenorm(nodes)
    loc_, scale_, skew_, tail_ = (p[:, None] for p in parameters)
    x = loc_ + scale_ * np.sinh((np.arcsinh(z) + skew_) / tail_)
    return np.asarray(np.asarray(function(x)) @ weight / math.sqrt(2 * math.pi)).reshape(shape)
