"""Radial profile of an electromagnetic shower: core and tail.

    f(r) = p 2 r R_C**2 / (r**2 + R_C**2)**2 + (1-p) 2 r R_T**2 / (r**2 + R_T**2)**2

r >= 0: distance from the axis; R_C, R_T > 0: median radii of core and tail, in the unit of r; 0 <= p <= 1: weight of
the core. f is per dr, integrated over azimuth. One component has the cumulative r**2/(r**2 + R**2): 90 % at 3 R, 99 %
at 9.95 R, mean pi R/2 and *no* variance, which is why radii are fitted and compared by quantiles, or within an r_max.

Source: G. Grindhammer & S. Peters, hep-ex/0001020. The quantile of the mixture solves a quadratic equation in r**2.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from fastparam._numba import kernel
from fastparam.random import uniform
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

__all__ = [
    "cdf",
    "fraction",
    "mean_within",
    "pdf",
    "ppf",
    "radial_cdf1",
    "radial_draw1",
    "radial_draw_within1",
    "radial_fraction1",
    "radial_pdf1",
    "radial_ppf1",
    "radial_sf1",
    "rvs",
    "sf",
]


@kernel
def radial_pdf1(r: float, p: float, rc: float, rt: float) -> float:
    """Density f(r)."""
    if r <= 0.0 or r == math.inf:
        return 0.0
    c = r / rc
    t = r / rt
    return 2.0 * (p * c / (rc * (1.0 + c * c) ** 2) + (1.0 - p) * t / (rt * (1.0 + t * t) ** 2))


@kernel
def radial_cdf1(r: float, p: float, rc: float, rt: float) -> float:
    """Fraction of the energy within r."""
    if r <= 0.0:
        return 0.0
    c = rc / r
    t = rt / r
    return p / (1.0 + c * c) + (1.0 - p) / (1.0 + t * t)


@kernel
def radial_sf1(r: float, p: float, rc: float, rt: float) -> float:
    """Fraction of the energy outside r."""
    if r <= 0.0:
        return 1.0
    c = r / rc
    t = r / rt
    return p / (1.0 + c * c) + (1.0 - p) / (1.0 + t * t)


@kernel
def _ring1(r1: float, r2: float, r0: float) -> float:
    """Fraction of one component of median radius r0 between finite radii 0 <= r1 <= r2; no cancellation."""
    x1 = r1 / r0
    x2 = r2 / r0
    return (x2 - x1) * (x2 + x1) / ((1.0 + x1 * x1) * (1.0 + x2 * x2))


@kernel
def radial_fraction1(r1: float, r2: float, p: float, rc: float, rt: float) -> float:
    """Fraction of the energy between r1 and r2; keeps its digits in thin rings and in the far tail."""
    if r2 == math.inf:
        return radial_sf1(r1, p, rc, rt)
    r1 = max(r1, 0.0)
    r2 = max(r2, 0.0)
    return p * _ring1(r1, r2, rc) + (1.0 - p) * _ring1(r1, r2, rt)


@kernel
def radial_ppf1(q: float, p: float, rc: float, rt: float) -> float:
    """Radius within which the fraction q lies.

    With x = r**2, a = R_C**2, b = R_T**2: (1-q) x**2 + [p b + (1-p) a - q (a+b)] x - q a b = 0, positive root, in the
    form that does not subtract nearly equal numbers.
    """
    a = rc * rc
    b = rt * rt
    half = 0.5 * (p * b + (1.0 - p) * a - q * (a + b))
    root = math.sqrt(half * half + (1.0 - q) * q * a * b)
    if half > 0.0:
        return math.sqrt(q * a * b / (half + root))
    return math.sqrt((root - half) / (1.0 - q))


@kernel
def radial_draw1(u1: float, u2: float, p: float, rc: float, rt: float) -> float:
    """Radius from two uniform numbers in (0, 1): u1 chooses the component, u2 the quantile in it.

    Any real p is accepted and acts as if clipped to [0, 1].
    """
    return (rc if u1 < p else rt) * math.sqrt(u2 / (1.0 - u2))


@kernel
def radial_draw_within1(u1: float, u2: float, p: float, rc: float, rt: float, r_max: float) -> float:
    """Radius below r_max > 0 from two uniform numbers in (0, 1), p in [0, 1]; r_max may be infinite."""
    c = rc / r_max
    t = rt / r_max
    core = p / (1.0 + c * c)
    tail = (1.0 - p) / (1.0 + t * t)
    if u1 * (core + tail) < core:
        return min(rc * math.sqrt(u2 / (1.0 - u2 + c * c)), r_max)
    return min(rt * math.sqrt(u2 / (1.0 - u2 + t * t)), r_max)


@kernel
def _pdf(r: FloatArray, p: FloatArray, rc: FloatArray, rt: FloatArray) -> FloatArray:
    out = r.copy()
    for i in range(len(out)):
        out[i] = radial_pdf1(r[i], p[i], rc[i], rt[i])
    return out


@kernel
def _cdf(r: FloatArray, p: FloatArray, rc: FloatArray, rt: FloatArray) -> FloatArray:
    out = r.copy()
    for i in range(len(out)):
        out[i] = radial_cdf1(r[i], p[i], rc[i], rt[i])
    return out


@kernel
def _sf(r: FloatArray, p: FloatArray, rc: FloatArray, rt: FloatArray) -> FloatArray:
    out = r.copy()
    for i in range(len(out)):
        out[i] = radial_sf1(r[i], p[i], rc[i], rt[i])
    return out


@kernel
def _fraction(r1: FloatArray, r2: FloatArray, p: FloatArray, rc: FloatArray, rt: FloatArray) -> FloatArray:
    out = r1.copy()
    for i in range(len(out)):
        out[i] = radial_fraction1(r1[i], r2[i], p[i], rc[i], rt[i])
    return out


@kernel
def _ppf(q: FloatArray, p: FloatArray, rc: FloatArray, rt: FloatArray) -> FloatArray:
    out = q.copy()
    for i in range(len(out)):
        out[i] = radial_ppf1(q[i], p[i], rc[i], rt[i])
    return out


@kernel
def _rvs(state: Stream, p: FloatArray, rc: FloatArray, rt: FloatArray, r_max: FloatArray) -> FloatArray:
    out = p.copy()
    for i in range(len(out)):
        out[i] = radial_draw_within1(uniform(state), uniform(state), p[i], rc[i], rt[i], r_max[i])
    return out


def _require_parameters(p: FloatArray, rc: FloatArray, rt: FloatArray) -> None:
    require_probability("p", p)
    require_positive("R_C", rc)
    require_positive("R_T", rt)


def _checked(
    r: npt.ArrayLike, p: npt.ArrayLike, rc: npt.ArrayLike, rt: npt.ArrayLike
) -> tuple[Shape, list[FloatArray]]:
    shape, arguments = flat(r, p, rc, rt)
    require_number("r", arguments[0])
    _require_parameters(*arguments[1:])
    return shape, arguments


def pdf(r: npt.ArrayLike, p: npt.ArrayLike, rc: npt.ArrayLike, rt: npt.ArrayLike) -> FloatArray:
    """Return the density f(r) per unit of r, the broadcast shape; 0 for r <= 0.

    Raises
    ------
    OutOfDomainError
        Unless p lies in [0, 1], R_C and R_T are > 0 and finite, and r is a number.
    """
    shape, arguments = _checked(r, p, rc, rt)
    return _pdf(*arguments).reshape(shape)


def cdf(r: npt.ArrayLike, p: npt.ArrayLike, rc: npt.ArrayLike, rt: npt.ArrayLike) -> FloatArray:
    """Return the fraction of the energy within r, the broadcast shape. Raises like `pdf`."""
    shape, arguments = _checked(r, p, rc, rt)
    return _cdf(*arguments).reshape(shape)


def sf(r: npt.ArrayLike, p: npt.ArrayLike, rc: npt.ArrayLike, rt: npt.ArrayLike) -> FloatArray:
    """Return the fraction of the energy outside r, the broadcast shape. Raises like `pdf`."""
    shape, arguments = _checked(r, p, rc, rt)
    return _sf(*arguments).reshape(shape)


def fraction(
    r1: npt.ArrayLike, r2: npt.ArrayLike, p: npt.ArrayLike, rc: npt.ArrayLike, rt: npt.ArrayLike
) -> FloatArray:
    """Return the fraction of the energy between r1 and r2, the broadcast shape; `r2` may be infinite.

    Raises
    ------
    OutOfDomainError
        Unless r1 <= r2, p lies in [0, 1], and R_C and R_T are > 0 and finite.
    """
    shape, (r1_, r2_, *parameters) = flat(r1, r2, p, rc, rt)
    require("r1", r1_, r1_ <= r2_, "r1 <= r2")
    _require_parameters(*parameters)
    return _fraction(r1_, r2_, *parameters).reshape(shape)


def ppf(q: npt.ArrayLike, p: npt.ArrayLike, rc: npt.ArrayLike, rt: npt.ArrayLike) -> FloatArray:
    """Return the radius within which the fraction q lies, the broadcast shape; infinite for q = 1.

    Raises
    ------
    OutOfDomainError
        Unless q and p lie in [0, 1], and R_C and R_T are > 0 and finite.
    """
    shape, (q_, *parameters) = flat(q, p, rc, rt)
    require_probability("q", q_)
    _require_parameters(*parameters)
    return _ppf(q_, *parameters).reshape(shape)


def rvs(
    state: Stream,
    size: int | Shape,
    p: npt.ArrayLike,
    rc: npt.ArrayLike,
    rt: npt.ArrayLike,
    r_max: npt.ArrayLike = np.inf,
) -> FloatArray:
    """Draw radii.

    Parameters
    ----------
    state : uint64 array (2,)
        Stream of `fastparam.random.stream`; advanced in place.
    size : int or tuple
        Shape of the result; the other arguments broadcast to it.
    p, rc, rt : array_like
    r_max : array_like
        Radii are drawn from f restricted to r < r_max.

    Returns
    -------
    float64 array of shape `size`

    Raises
    ------
    OutOfDomainError
        Unless p lies in [0, 1], R_C and R_T are > 0 and finite, and r_max > 0.
    """
    shape, (p_, rc_, rt_, r_max_) = flat(p, rc, rt, r_max, shape=size if isinstance(size, tuple) else (size,))
    _require_parameters(p_, rc_, rt_)
    require("r_max", r_max_, r_max_ > 0, "r_max > 0")
    return _rvs(state, p_, rc_, rt_, r_max_).reshape(shape)


def mean_within(r_max: npt.ArrayLike, p: npt.ArrayLike, rc: npt.ArrayLike, rt: npt.ArrayLike) -> FloatArray:
    """Return the mean radius of the energy within r_max, the broadcast shape; the only mean worth comparing.

    One component contributes int_0^r_max r f dr = R [atan(m) - m/(1 + m**2)], m = r_max/R.

    Raises
    ------
    OutOfDomainError
        Unless r_max > 0, p lies in [0, 1], and R_C and R_T are > 0 and finite.
    """
    shape, (r_max_, p_, rc_, rt_) = flat(r_max, p, rc, rt)
    require("r_max", r_max_, r_max_ > 0, "r_max > 0")
    _require_parameters(p_, rc_, rt_)

    def first_moment(r0: FloatArray) -> FloatArray:
        inverse = r0 / r_max_
        return r0 * (np.arctan2(1.0, inverse) - inverse / (1.0 + inverse**2))

    return ((p_ * first_moment(rc_) + (1 - p_) * first_moment(rt_)) / _cdf(r_max_, p_, rc_, rt_)).reshape(shape)
