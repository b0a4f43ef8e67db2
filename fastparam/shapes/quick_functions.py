"""exp, ln, cos and sin in single precision, without branches or calls: loops of them become vector code.

exp and ln split off the power of two, cos and sin the quarter turn, and use a polynomial for the rest (Horner's scheme,
minimal degree for single precision); errors are below 3e-7 (exp, relative), 4e-7 (ln, absolute or relative, whichever
is larger) and 4e-7 (cos, sin).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastparam._numba import kernel

__all__ = ["direction1", "exp1", "ln1"]

_LOG2E, _LN2_HIGH, _LN2_LOW = np.float32(1.4426950408889634), np.float32(0.693359375), np.float32(-2.12194440e-4)
_E2, _E3, _E4, _E5, _E6 = (np.float32(1.0 / n) for n in (2.0, 6.0, 24.0, 120.0, 720.0))
_L3, _L5, _L7, _L9 = (np.float32(2.0 / n) for n in (3.0, 5.0, 7.0, 9.0))
_ONE, _TWO, _HALF = np.float32(1.0), np.float32(2.0), np.float32(0.5)
_LOWEST, _HIGHEST, _SMALLEST = np.float32(-87.0), np.float32(88.0), np.float32(1.2e-38)
_BIAS, _MANTISSA, _MASK = np.int32(127), np.int32(23), np.int32(0x7FFFFF)
_SQRT_HALF = np.int32(0x3F3504F3)  # the bits of sqrt(1/2): mantissas are taken from there to sqrt(2)


_QUARTERS, _ANGLE = np.float32(4.0), np.float32(math.pi / 2.0)
_C2, _C4, _C6, _C8 = (np.float32(x) for x in (-1.0 / 2.0, 1.0 / 24.0, -1.0 / 720.0, 1.0 / 40320.0))
_S3, _S5, _S7 = (np.float32(x) for x in (-1.0 / 6.0, 1.0 / 120.0, -1.0 / 5040.0))


@kernel
def direction1(turns: Any) -> tuple[Any, Any]:
    """Return cos and sin of 2 pi turns, a float32 from -1 to 1."""
    x = turns * _QUARTERS
    quarter = np.floor(x + _HALF)
    a = (x - quarter) * _ANGLE
    a2 = a * a
    c = _ONE + a2 * (_C2 + a2 * (_C4 + a2 * (_C6 + a2 * _C8)))
    s = a * (_ONE + a2 * (_S3 + a2 * (_S5 + a2 * _S7)))
    n = np.int32(quarter)
    crossed, behind = (n & np.int32(1)) != 0, (n & np.int32(2)) != 0
    c, s = -s if crossed else c, c if crossed else s
    return -c if behind else c, -s if behind else s


@kernel
def exp1(x: Any) -> Any:
    """Return exp(x) of a float32; x beyond -87 or 88 counts as these."""
    x = min(max(x, _LOWEST), _HIGHEST)
    n = np.floor(x * _LOG2E + _HALF)
    f = x - n * _LN2_HIGH - n * _LN2_LOW
    p = _ONE + f * (_ONE + f * (_E2 + f * (_E3 + f * (_E4 + f * (_E5 + f * _E6)))))
    return p * np.int32((np.int32(n) + _BIAS) << _MANTISSA).view(np.float32)


@kernel
def ln1(x: Any) -> Any:
    """Return ln x of a float32; below 1.2e-38 that of this number."""
    bits = np.float32(max(x, _SMALLEST)).view(np.int32) - _SQRT_HALF
    n = np.float32(bits >> _MANTISSA)
    m = np.int32((bits & _MASK) + _SQRT_HALF).view(np.float32)
    # ln m = 2 atanh(q) with |q| < 0.172
    q = (m - _ONE) / (m + _ONE)
    q2 = q * q
    p = q * (_TWO + q2 * (_L3 + q2 * (_L5 + q2 * (_L7 + q2 * _L9))))
    return p + n * _LN2_LOW + n * _LN2_HIGH
