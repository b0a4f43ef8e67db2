"""Longitudinal gamma profile of an electromagnetic shower.

    f(t) = beta (beta t)**(alpha-1) exp(-beta t) / Gamma(alpha),      F(t) = P(alpha, beta t)

t : depth from the start of the shower, in X0 (or any length, beta then in its inverse); zero for t < 0.
alpha, beta > 0. For alpha > 1 the maximum lies at T = (alpha-1)/beta; the mean is alpha/beta, the variance
alpha/beta**2.

Source: E. Longo & I. Sestili, NIM 128 (1975) 283; in (T, alpha): G. Grindhammer & S. Peters, hep-ex/0001020.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from fastparam._numba import kernel
from fastparam.random import gamma, uniform
from fastparam.shapes._arrays import (
    FloatArray,
    Shape,
    Stream,
    flat,
    require,
    require_number,
    require_positive,
    require_probability,
)
from fastparam.shapes.incomplete_gamma import (
    gamma_p1,
    gamma_p_between1,
    gamma_p_inverse1,
    gamma_q1,
    poisson_weight1,
)

__all__ = [
    "cdf",
    "fraction",
    "from_moments",
    "gamma_cdf1",
    "gamma_draw1",
    "gamma_draw_between1",
    "gamma_fraction1",
    "gamma_pdf1",
    "gamma_ppf1",
    "gamma_sf1",
    "moments",
    "pdf",
    "ppf",
    "rate",
    "rvs",
    "rvs_between",
    "sf",
]


@kernel
def gamma_pdf1(t: float, alpha: float, beta: float) -> float:
    """Density f(t); infinite at t = 0 for alpha < 1."""
    if t < 0.0 or t == math.inf:
        return 0.0
    if t == 0.0:
        return 0.0 if alpha > 1.0 else (beta if alpha == 1.0 else math.inf)
    return poisson_weight1(alpha, beta * t) * alpha / t


@kernel
def gamma_cdf1(t: float, alpha: float, beta: float) -> float:
    """Fraction of the energy before t."""
    return gamma_p1(alpha, beta * t)


@kernel
def gamma_sf1(t: float, alpha: float, beta: float) -> float:
    """Fraction of the energy behind t; accurate far in the tail."""
    return gamma_q1(alpha, beta * t)


@kernel
def gamma_fraction1(t1: float, t2: float, alpha: float, beta: float) -> float:
    """Fraction of the energy between t1 and t2; accurate far in the tail."""
    return gamma_p_between1(alpha, beta * t1, beta * t2)


@kernel
def gamma_ppf1(q: float, alpha: float, beta: float) -> float:
    """Depth before which the fraction q lies."""
    return gamma_p_inverse1(alpha, q) / beta


@kernel
def gamma_draw1(state: Stream, alpha: float, beta: float) -> float:
    """Draw a depth."""
    return gamma(state, alpha) / beta


@kernel
def gamma_draw_between1(state: Stream, alpha: float, beta: float, t1: float, t2: float) -> float:
    """Draw a depth within [t1, t2], 0 <= t1 <= t2 <= infinity.

    For alpha >= 1 by rejection. f is log-concave, so the tangent to ln f at the point e of the interval nearest to the
    maximum lies above it: an exponential of slope k = (alpha-1)/e - beta (flat where the maximum is inside). It is
    drawn within the interval and accepted with probability f(t)/tangent = [t/e exp(1 - t/e)]**(alpha-1). Where the area
    under the tangent exceeds 1, the area of all of f, whole gamma numbers are drawn until one falls inside.
    """
    if not t1 < t2:
        return t1
    shape = alpha - 1.0
    if shape < 0.0:  # convex at 0: invert
        before = gamma_cdf1(t1, alpha, beta)
        t = gamma_ppf1(before + uniform(state) * gamma_fraction1(t1, t2, alpha, beta), alpha, beta)
        return min(max(t, t1), t2)

    mode = shape / beta
    e = min(max(mode, t1), t2)
    width = t2 - t1
    k = 0.0
    area = width
    height = 0.0
    if e != mode:
        k = abs(shape / e - beta)
        area = -math.expm1(-k * width) / k
        height = shape * math.log(e / mode) - beta * e + shape if shape > 0.0 else -beta * e
    elif shape == 0.0:  # exponential from its maximum at 0
        k = beta
        area = -math.expm1(-k * width) / k
    # f(mode) by a form of Stirling's that is right to 2 %: it only chooses between two exact methods.
    if area * math.exp(height) * beta > math.sqrt(1.0 + 2.0 * math.pi * shape):
        while True:
            t = gamma(state, alpha) / beta
            if not (t < t1 or t > t2):
                return t
    while True:
        if k > 0.0:
            away = -math.log1p(uniform(state) * math.expm1(-k * width)) / k
            t = e + away if e == t1 else e - away
        else:
            t = t1 + uniform(state) * width
        if shape == 0.0:
            return t
        ratio = t / e
        if not math.log(uniform(state)) > shape * (math.log(ratio) - ratio + 1.0):
            return min(max(t, t1), t2)


@kernel
def _pdf(t: FloatArray, alpha: FloatArray, beta: FloatArray) -> FloatArray:
    out = t.copy()
    for i in range(len(out)):
        out[i] = gamma_pdf1(t[i], alpha[i], beta[i])
    return out


@kernel
def _cdf(t: FloatArray, alpha: FloatArray, beta: FloatArray) -> FloatArray:
    out = t.copy()
    for i in range(len(out)):
        out[i] = gamma_cdf1(t[i], alpha[i], beta[i])
    return out


@kernel
def _sf(t: FloatArray, alpha: FloatArray, beta: FloatArray) -> FloatArray:
    out = t.copy()
    for i in range(len(out)):
        out[i] = gamma_sf1(t[i], alpha[i], beta[i])
    return out


@kernel
def _fraction(t1: FloatArray, t2: FloatArray, alpha: FloatArray, beta: FloatArray) -> FloatArray:
    out = t1.copy()
    for i in range(len(out)):
        out[i] = gamma_fraction1(t1[i], t2[i], alpha[i], beta[i])
    return out


@kernel
def _ppf(q: FloatArray, alpha: FloatArray, beta: FloatArray) -> FloatArray:
    out = q.copy()
    for i in range(len(out)):
        out[i] = gamma_ppf1(q[i], alpha[i], beta[i])
    return out


@kernel
def _rvs(state: Stream, alpha: FloatArray, beta: FloatArray) -> FloatArray:
    out = alpha.copy()
    for i in range(len(out)):
        out[i] = gamma_draw1(state, alpha[i], beta[i])
    return out


@kernel
def _rvs_between(state: Stream, alpha: FloatArray, beta: FloatArray, t1: FloatArray, t2: FloatArray) -> FloatArray:
    out = alpha.copy()
    for i in range(len(out)):
        out[i] = gamma_draw_between1(state, alpha[i], beta[i], t1[i], t2[i])
    return out


def _checked(t: npt.ArrayLike, alpha: npt.ArrayLike, beta: npt.ArrayLike) -> tuple[Shape, list[FloatArray]]:
    shape, (t_, alpha_, beta_) = flat(t, alpha, beta)
    require_number("t", t_)
    require_positive("alpha", alpha_)
    require_positive("beta", beta_)
    return shape, [t_, alpha_, beta_]


def pdf(t: npt.ArrayLike, alpha: npt.ArrayLike, beta: npt.ArrayLike) -> FloatArray:
    """Return the density f(t) in units of beta, the broadcast shape; 0 for t < 0.

    Raises
    ------
    OutOfDomainError
        Unless alpha and beta are > 0 and finite and t is a number.
    """
    shape, arguments = _checked(t, alpha, beta)
    return _pdf(*arguments).reshape(shape)


def cdf(t: npt.ArrayLike, alpha: npt.ArrayLike, beta: npt.ArrayLike) -> FloatArray:
    """Return the fraction of the energy before t, the broadcast shape. Raises like `pdf`."""
    shape, arguments = _checked(t, alpha, beta)
    return _cdf(*arguments).reshape(shape)


def sf(t: npt.ArrayLike, alpha: npt.ArrayLike, beta: npt.ArrayLike) -> FloatArray:
    """Return the fraction of the energy behind t (leakage), the broadcast shape. Raises like `pdf`."""
    shape, arguments = _checked(t, alpha, beta)
    return _sf(*arguments).reshape(shape)


def fraction(t1: npt.ArrayLike, t2: npt.ArrayLike, alpha: npt.ArrayLike, beta: npt.ArrayLike) -> FloatArray:
    """Return the fraction of the energy between t1 and t2, the broadcast shape; keeps its digits in the tails.

    Raises
    ------
    OutOfDomainError
        Unless t1 <= t2 and alpha and beta are > 0 and finite.
    """
    shape, (t1_, t2_, alpha_, beta_) = flat(t1, t2, alpha, beta)
    require("t1", t1_, t1_ <= t2_, "t1 <= t2")
    require_positive("alpha", alpha_)
    require_positive("beta", beta_)
    return _fraction(t1_, t2_, alpha_, beta_).reshape(shape)


def ppf(q: npt.ArrayLike, alpha: npt.ArrayLike, beta: npt.ArrayLike) -> FloatArray:
    """Return the depth before which the fraction q lies, the broadcast shape; infinite for q = 1.

    Raises
    ------
    OutOfDomainError
        Unless q lies in [0, 1] and alpha and beta are > 0 and finite.
    """
    shape, (q_, alpha_, beta_) = flat(q, alpha, beta)
    require_probability("q", q_)
    require_positive("alpha", alpha_)
    require_positive("beta", beta_)
    return _ppf(q_, alpha_, beta_).reshape(shape)


def rvs(state: Stream, size: int | Shape, alpha: npt.ArrayLike, beta: npt.ArrayLike) -> FloatArray:
    """Draw depths.

    Parameters
    ----------
    state : uint64 array (2,)
        Stream of `fastparam.random.stream`; advanced in place.
    size : int or tuple
        Shape of the result; `alpha` and `beta` broadcast to it.
    alpha, beta : array_like

    Returns
    -------
    float64 array of shape `size`

    Raises
    ------
    OutOfDomainError
        Unless alpha and beta are > 0 and finite.
    """
    shape, (alpha_, beta_) = flat(alpha, beta, shape=size if isinstance(size, tuple) else (size,))
    require_positive("alpha", alpha_)
    require_positive("beta", beta_)
    return _rvs(state, alpha_, beta_).reshape(shape)


def rvs_between(
    state: Stream,
    size: int | Shape,
    alpha: npt.ArrayLike,
    beta: npt.ArrayLike,
    t1: npt.ArrayLike,
    t2: npt.ArrayLike,
) -> FloatArray:
    """Draw depths within [t1, t2]; parameters as of `rvs`.

    Raises
    ------
    OutOfDomainError
        Unless 0 <= t1 <= t2, t1 is finite, and alpha and beta are > 0 and finite.
    """
    shape, (alpha_, beta_, t1_, t2_) = flat(alpha, beta, t1, t2, shape=size if isinstance(size, tuple) else (size,))
    require_positive("alpha", alpha_)
    require_positive("beta", beta_)
    require("t1", t1_, (t1_ >= 0) & (t1_ <= t2_) & np.isfinite(t1_), "0 <= t1 <= t2")
    return _rvs_between(state, alpha_, beta_, t1_, t2_).reshape(shape)


def rate(maximum: npt.ArrayLike, alpha: npt.ArrayLike) -> FloatArray:
    """Return beta = (alpha - 1)/T of the profile whose maximum lies at the depth T.

    Raises
    ------
    OutOfDomainError
        Unless T > 0 and alpha > 1: a profile with alpha <= 1 falls from its start and has no maximum.
    """
    shape, (maximum_, alpha_) = flat(maximum, alpha)
    require_positive("T", maximum_)
    require("alpha", alpha_, np.isfinite(alpha_) & (alpha_ > 1), "alpha > 1, else the profile has no maximum")
    return ((alpha_ - 1.0) / maximum_).reshape(shape)


def moments(alpha: npt.ArrayLike, beta: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return mean alpha/beta and variance alpha/beta**2 of the depth. Raises like `rvs`."""
    shape, (alpha_, beta_) = flat(alpha, beta)
    require_positive("alpha", alpha_)
    require_positive("beta", beta_)
    return (alpha_ / beta_).reshape(shape), (alpha_ / beta_**2).reshape(shape)


def from_moments(mean: npt.ArrayLike, variance: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return the (alpha, beta) of given mean and variance: starting values of fits, or of fully contained showers.

    Raises
    ------
    OutOfDomainError
        Unless mean and variance are > 0 and finite.
    """
    shape, (mean_, variance_) = flat(mean, variance)
    require_positive("mean", mean_)
    require_positive("variance", variance_)
    return (mean_**2 / variance_).reshape(shape), (mean_ / variance_).reshape(shape)
