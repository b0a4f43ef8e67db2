"""Standard normal distribution for kernels.

    Phi(z) = erfc(-z / sqrt 2) / 2

Source of the inverse: M. J. Wichura, Algorithm AS 241 (PPND16), Applied Statistics 37 (1988) 477; relative error 1e-16.
"""

from __future__ import annotations

import math

import numpy.typing as npt

from fastparam._numba import kernel
from fastparam.shapes._arrays import FloatArray, flat, require_number, require_probability

__all__ = ["cdf", "normal_cdf1", "normal_ppf1", "ppf"]


@kernel
def normal_cdf1(z: float) -> float:
    """Phi(z); keeps its digits in the lower tail (for the upper one use Phi(-z))."""
    return 0.5 * math.erfc(-z * 0.7071067811865476)


@kernel
def normal_ppf1(q: float) -> float:
    """Inverse of Phi for q in [0, 1]; infinite at the ends."""
    d = q - 0.5
    if abs(d) <= 0.425:
        r = 0.180625 - d * d
        return (
            d
            * (
                ((((((2509.0809287301226727 * r + 33430.575583588128105) * r + 67265.770927008700853) * r
                + 45921.953931549871457) * r + 13731.693765509461125) * r + 1971.5909503065514427) * r
                + 133.14166789178437745) * r + 3.387132872796366608
            )
            / (
                ((((((5226.495278852854561 * r + 28729.085735721942674) * r + 39307.89580009271061) * r
                + 21213.794301586595867) * r + 5394.1960214247511077) * r + 687.1870074920579083) * r
                + 42.313330701600911252) * r + 1.0
            )
        )  # fmt: skip
    tail = q if d < 0.0 else 1.0 - q
    if tail <= 0.0:
        return math.copysign(math.inf, d)
    r = math.sqrt(-math.log(tail))
    if r <= 5.0:
        r -= 1.6
        z = (
            (((((((7.7454501427834140764e-4 * r + 0.0227238449892691845833) * r + 0.24178072517745061177) * r
            + 1.27045825245236838258) * r + 3.64784832476320460504) * r + 5.7694972214606914055) * r
            + 4.6303378461565452959) * r + 1.42343711074968357734)
            / (((((((1.05075007164441684324e-9 * r + 5.475938084995344946e-4) * r + 0.0151986665636164571966) * r
            + 0.14810397642748007459) * r + 0.68976733498510000455) * r + 1.6763848301838038494) * r
            + 2.05319162663775882187) * r + 1.0)
        )  # fmt: skip
    else:
        r -= 5.0
        z = (
            (((((((2.01033439929228813265e-7 * r + 2.71155556874348757815e-5) * r + 0.0012426609473880784386) * r
            + 0.026532189526576123093) * r + 0.29656057182850489123) * r + 1.7848265399172913358) * r
            + 5.4637849111641143699) * r + 6.6579046435011037772)
            / (((((((2.04426310338993978564e-15 * r + 1.4215117583164458887e-7) * r + 1.8463183175100546818e-5) * r
            + 7.868691311456132591e-4) * r + 0.0148753612908506148525) * r + 0.13692988092273580531) * r
            + 0.59983220655588793769) * r + 1.0)
        )  # fmt: skip
    return -z if d < 0.0 else z


@kernel
def _cdf(z: FloatArray) -> FloatArray:
    out = z.copy()
    for i in range(len(out)):
        out[i] = normal_cdf1(z[i])
    return out


@kernel
def _ppf(q: FloatArray) -> FloatArray:
    out = q.copy()
    for i in range(len(out)):
        out[i] = normal_ppf1(q[i])
    return out


def cdf(z: npt.ArrayLike) -> FloatArray:
    """Return Phi(z), the shape of `z`.

    Raises
    ------
    OutOfDomainError
        For NaN.
    """
    shape, (z_,) = flat(z)
    require_number("z", z_)
    return _cdf(z_).reshape(shape)


def ppf(q: npt.ArrayLike) -> FloatArray:
    """Return the z at which Phi(z) = q, the shape of `q`; infinite at 0 and 1.

    Raises
    ------
    OutOfDomainError
        For q outside [0, 1].
    """
    shape, (q_,) = flat(q)
    require_probability("q", q_)
    return _ppf(q_).reshape(shape)
