"""Photon showers: an exponential depth of the first conversion, then a gamma profile.

    t = s + t',   s ~ mu exp(-mu s),   t' ~ gamma(alpha, beta)

    F(t) = P(alpha, beta t) - D(t),      f(t) = mu D(t)
    D(t) = exp(-mu t) (beta t)**alpha / Gamma(alpha+1) M(alpha, alpha+1, (mu-beta) t)

M is Kummer's function, mu = X0 / (mean conversion depth), about 7/9 at high energy. All of alpha, beta, mu > 0, mu
below, at or above beta. Mean alpha/beta + 1/mu, variance alpha/beta**2 + 1/mu**2.

Every form of D below is a sum of positive terms. With w = (beta t)**alpha exp(-beta t) / Gamma(alpha+1) and
z = (beta - mu) t, Kummer's transformation (DLMF 13.2.39) gives D = w M(1, alpha+1, z).
"""

from __future__ import annotations

import math

import numpy.typing as npt

from fastparam._numba import kernel
from fastparam.random import exponential, gamma
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
from fastparam.shapes.incomplete_gamma import gamma_p1, gamma_q1, kummer_series1, poisson_weight1

__all__ = [
    "cdf",
    "conversion_cdf1",
    "conversion_draw1",
    "conversion_fraction1",
    "conversion_pdf1",
    "conversion_ppf1",
    "conversion_sf1",
    "fraction",
    "moments",
    "pdf",
    "ppf",
    "rvs",
    "sf",
]


@kernel
def _poisson_mean1(alpha: float, mean: float) -> float:
    """E[alpha/(alpha + N)] of a Poisson number N: M(1, alpha+1, -mean) without its alternating signs."""
    n = float(math.floor(mean))
    top = poisson_weight1(n, mean)
    total = top * alpha / (alpha + n)
    weight = top
    k = n
    while k > 0.0 and weight > 1e-17 * top:
        weight *= k / mean
        k -= 1.0
        total += weight * alpha / (alpha + k)
    weight = top
    k = n
    while weight > 1e-17 * top:
        k += 1.0
        weight *= mean / k
        total += weight * alpha / (alpha + k)
    return total


@kernel
def _not_converted1(t: float, mu: float, alpha: float, beta: float) -> float:
    """D(t): what a shower started at t = 0 would have deposited by now beyond what this one has."""
    z = (beta - mu) * t
    if z < 0.0:
        return poisson_weight1(alpha, beta * t) * _poisson_mean1(alpha, -z)
    if z < alpha + 1.0:
        return poisson_weight1(alpha, beta * t) * kummer_series1(alpha, z)
    # The same with M(1, alpha+1, z) = Gamma(alpha+1) exp(z) z**-alpha P(alpha, z): the series would be long.
    return math.exp(-alpha * math.log1p(-mu / beta) - mu * t) * gamma_p1(alpha, z)


@kernel
def conversion_pdf1(t: float, mu: float, alpha: float, beta: float) -> float:
    """Density f(t)."""
    if t <= 0.0 or t == math.inf:
        return 0.0
    return mu * _not_converted1(t, mu, alpha, beta)


@kernel
def conversion_cdf1(t: float, mu: float, alpha: float, beta: float) -> float:
    """Fraction of the energy before t."""
    if t <= 0.0:
        return 0.0
    if t == math.inf:
        return 1.0
    return max(0.0, gamma_p1(alpha, beta * t) - _not_converted1(t, mu, alpha, beta))


@kernel
def conversion_sf1(t: float, mu: float, alpha: float, beta: float) -> float:
    """Fraction of the energy behind t; accurate far in the tail."""
    if t <= 0.0:
        return 1.0
    if t == math.inf:
        return 0.0
    return gamma_q1(alpha, beta * t) + _not_converted1(t, mu, alpha, beta)


@kernel
def conversion_fraction1(t1: float, t2: float, mu: float, alpha: float, beta: float) -> float:
    """Fraction of the energy between t1 and t2; accurate far in the tail."""
    if t1 > alpha / beta:
        difference = conversion_sf1(t1, mu, alpha, beta) - conversion_sf1(t2, mu, alpha, beta)
    else:
        difference = conversion_cdf1(t2, mu, alpha, beta) - conversion_cdf1(t1, mu, alpha, beta)
    return 0.0 if difference < 0.0 else difference  # rounding, in intervals of hardly any width


@kernel
def conversion_ppf1(q: float, mu: float, alpha: float, beta: float) -> float:
    """Depth before which the fraction q lies: Newton's method, kept inside a bracket by bisection."""
    if q <= 0.0:
        return 0.0
    if q >= 1.0:
        return math.inf
    low = 0.0
    high = alpha / beta + 1.0 / mu
    while conversion_sf1(high, mu, alpha, beta) > 1.0 - q:
        low = high
        high *= 2.0
    t = 0.5 * (low + high)
    for _ in range(200):
        if q <= 0.5:
            excess = conversion_cdf1(t, mu, alpha, beta) - q
        else:
            excess = (1.0 - q) - conversion_sf1(t, mu, alpha, beta)
        if excess > 0.0:
            high = t
        else:
            low = t
        new = t - excess / conversion_pdf1(t, mu, alpha, beta)
        if not low < new < high:
            new = 0.5 * (low + high)
        if abs(new - t) <= 1e-15 * t:
            return new
        t = new
    return t


@kernel
def conversion_draw1(state: Stream, mu: float, alpha: float, beta: float) -> float:
    """Draw a depth."""
    return exponential(state) / mu + gamma(state, alpha) / beta


@kernel
def _pdf(t: FloatArray, mu: FloatArray, alpha: FloatArray, beta: FloatArray) -> FloatArray:
    out = t.copy()
    for i in range(len(out)):
        out[i] = conversion_pdf1(t[i], mu[i], alpha[i], beta[i])
    return out


@kernel
def _cdf(t: FloatArray, mu: FloatArray, alpha: FloatArray, beta: FloatArray) -> FloatArray:
    out = t.copy()
    for i in range(len(out)):
        out[i] = conversion_cdf1(t[i], mu[i], alpha[i], beta[i])
    return out


@kernel
def _sf(t: FloatArray, mu: FloatArray, alpha: FloatArray, beta: FloatArray) -> FloatArray:
    out = t.copy()
    for i in range(len(out)):
        out[i] = conversion_sf1(t[i], mu[i], alpha[i], beta[i])
    return out


@kernel
def _fraction(t1: FloatArray, t2: FloatArray, mu: FloatArray, alpha: FloatArray, beta: FloatArray) -> FloatArray:
    out = t1.copy()
    for i in range(len(out)):
        out[i] = conversion_fraction1(t1[i], t2[i], mu[i], alpha[i], beta[i])
    return out


@kernel
def _ppf(q: FloatArray, mu: FloatArray, alpha: FloatArray, beta: FloatArray) -> FloatArray:
    out = q.copy()
    for i in range(len(out)):
        out[i] = conversion_ppf1(q[i], mu[i], alpha[i], beta[i])
    return out


@kernel
def _rvs(state: Stream, mu: FloatArray, alpha: FloatArray, beta: FloatArray) -> FloatArray:
    out = mu.copy()
    for i in range(len(out)):
        out[i] = conversion_draw1(state, mu[i], alpha[i], beta[i])
    return out


def _require_parameters(mu: FloatArray, alpha: FloatArray, beta: FloatArray) -> None:
    require_positive("mu", mu)
    require_positive("alpha", alpha)
    require_positive("beta", beta)


def _checked(
    t: npt.ArrayLike, mu: npt.ArrayLike, alpha: npt.ArrayLike, beta: npt.ArrayLike
) -> tuple[Shape, list[FloatArray]]:
    shape, arguments = flat(t, mu, alpha, beta)
    require_number("t", arguments[0])
    _require_parameters(*arguments[1:])
    return shape, arguments


def pdf(t: npt.ArrayLike, mu: npt.ArrayLike, alpha: npt.ArrayLike, beta: npt.ArrayLike) -> FloatArray:
    """Return the density f(t) in the unit of mu and beta, the broadcast shape; 0 for t <= 0.

    Raises
    ------
    OutOfDomainError
        Unless mu, alpha and beta are > 0 and finite and t is a number.
    """
    shape, arguments = _checked(t, mu, alpha, beta)
    return _pdf(*arguments).reshape(shape)


def cdf(t: npt.ArrayLike, mu: npt.ArrayLike, alpha: npt.ArrayLike, beta: npt.ArrayLike) -> FloatArray:
    """Return the fraction of the energy before t, the broadcast shape. Raises like `pdf`."""
    shape, arguments = _checked(t, mu, alpha, beta)
    return _cdf(*arguments).reshape(shape)


def sf(t: npt.ArrayLike, mu: npt.ArrayLike, alpha: npt.ArrayLike, beta: npt.ArrayLike) -> FloatArray:
    """Return the fraction of the energy behind t (leakage), the broadcast shape. Raises like `pdf`."""
    shape, arguments = _checked(t, mu, alpha, beta)
    return _sf(*arguments).reshape(shape)


def fraction(
    t1: npt.ArrayLike, t2: npt.ArrayLike, mu: npt.ArrayLike, alpha: npt.ArrayLike, beta: npt.ArrayLike
) -> FloatArray:
    """Return the fraction of the energy between t1 and t2, the broadcast shape; keeps its digits in the far tail.

    Raises
    ------
    OutOfDomainError
        Unless t1 <= t2 and mu, alpha and beta are > 0 and finite.
    """
    shape, (t1_, t2_, *parameters) = flat(t1, t2, mu, alpha, beta)
    require("t1", t1_, t1_ <= t2_, "t1 <= t2")
    _require_parameters(*parameters)
    return _fraction(t1_, t2_, *parameters).reshape(shape)


def ppf(q: npt.ArrayLike, mu: npt.ArrayLike, alpha: npt.ArrayLike, beta: npt.ArrayLike) -> FloatArray:
    """Return the depth before which the fraction q lies, the broadcast shape; infinite for q = 1.

    Raises
    ------
    OutOfDomainError
        Unless q lies in [0, 1] and mu, alpha and beta are > 0 and finite.
    """
    shape, (q_, *parameters) = flat(q, mu, alpha, beta)
    require_probability("q", q_)
    _require_parameters(*parameters)
    return _ppf(q_, *parameters).reshape(shape)


def rvs(state: Stream, size: int | Shape, mu: npt.ArrayLike, alpha: npt.ArrayLike, beta: npt.ArrayLike) -> FloatArray:
    """Draw depths of shape `size` from a stream of `fastparam.random.stream`, which is advanced.

    Raises
    ------
    OutOfDomainError
        Unless mu, alpha and beta are > 0 and finite.
    """
    shape, parameters = flat(mu, alpha, beta, shape=size if isinstance(size, tuple) else (size,))
    _require_parameters(*parameters)
    return _rvs(state, *parameters).reshape(shape)


def moments(mu: npt.ArrayLike, alpha: npt.ArrayLike, beta: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return mean and variance of the depth, each of the broadcast shape. Raises like `rvs`."""
    shape, (mu_, alpha_, beta_) = flat(mu, alpha, beta)
    _require_parameters(mu_, alpha_, beta_)
    return (alpha_ / beta_ + 1 / mu_).reshape(shape), (alpha_ / beta_**2 + 1 / mu_**2).reshape(shape)
