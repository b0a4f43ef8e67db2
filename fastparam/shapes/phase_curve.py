"""Periodic factor with mean 1: the exponential of a Fourier series, divided by its mean over the period.

    m(psi) = exp(sum_k [a_k cos k psi + b_k sin k psi]) / norm,    k = 1..4

The mean over the period is taken over 64 equidistant phases, which is exact to rounding for series this short as long
as the coefficients stay below 2 (the first harmonic that aliases is the 64th).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fastparam._numba import kernel

__all__ = ["HARMONICS", "phase_curve", "phase_curve1"]

#: Harmonics of the series at most.
HARMONICS = 4

_NODES = 64
_PHASES = 2.0 * np.pi * np.arange(_NODES) / _NODES
_COSINES = np.cos(np.outer(_PHASES, np.arange(1, HARMONICS + 1)))
_SINES = np.sin(np.outer(_PHASES, np.arange(1, HARMONICS + 1)))


@kernel
def phase_curve1(a: Any, b: Any, psi: float) -> float:
    """Factor at phase `psi` (rad) of the series with coefficients `a` and `b`, arrays (4,); for use in kernels."""
    norm = 0.0
    for n in range(_NODES):
        h = 0.0
        for k in range(HARMONICS):
            h += a[k] * _COSINES[n, k] + b[k] * _SINES[n, k]
        norm += math.exp(h)
    h = 0.0
    for k in range(HARMONICS):
        h += a[k] * math.cos((k + 1) * psi) + b[k] * math.sin((k + 1) * psi)
    return math.exp(h) * _NODES / norm


@kernel
def _curve(a: Any, b: Any, psi: Any, out: Any) -> None:
    for i in range(len(psi)):
        out[i] = phase_curve1(a[i], b[i], psi[i])


def phase_curve(
    a: npt.NDArray[np.float64], b: npt.NDArray[np.float64], psi: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the factors at phases `psi` (n,) for coefficients `a` and `b` (n, 4) or (4,)."""
    psi = np.ascontiguousarray(psi, dtype=np.float64)
    out = np.empty(len(psi))
    wide = [
        np.ascontiguousarray(np.broadcast_to(np.asarray(c, dtype=np.float64), (len(psi), HARMONICS))) for c in (a, b)
    ]
    _curve(wide[0], wide[1], psi, out)
    return out
