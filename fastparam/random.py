"""Counter-based random numbers: one independent stream per shower.

A stream is named by (seed, index, purpose) and its i-th number is a pure function of the name and of i, so that a
shower comes out the same whatever the batch, the number of threads or the order of the work.

The generator is SplitMix64 with a gamma per stream (Steele, Lea & Flood, OOPSLA 2014, "Fast splittable pseudorandom
number generators"): number i of a stream is mix(key + i gamma). Key and the odd gamma are both hashed from the name,
so that two streams meet only if 127 bits agree.

Use inside kernels::

    state = stream(seed, index, purpose)      # uint64 array of two words
    u = uniform(state)                        # in (0, 1), both ends excluded
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from fastparam._numba import kernel

__all__ = ["exponential", "fill_uniforms", "gamma", "normal", "poisson", "stream", "uniform"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_STEP, _HALF_STEP = np.float32(2.0**-23), np.float32(2.0**-24)


@kernel
def _mix(z: np.uint64) -> np.uint64:
    """Finaliser of SplitMix64 (variant 13 of Stafford)."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@kernel
def _mix_gamma(z: np.uint64) -> np.uint64:
    """Odd increment from a hash (finaliser of MurmurHash3, as in the paper, without its bit-count repair)."""
    z = (z ^ (z >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    z = (z ^ (z >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return (z ^ (z >> np.uint64(33))) | np.uint64(1)


@kernel
def stream(seed: int, index: int, purpose: int) -> npt.NDArray[np.uint64]:
    """Start the stream of a shower: the words (state, gamma) as a uint64 array of two.

    Parameters
    ----------
    seed, index, purpose : int
        The run's seed, `Particles.index` of the shower, and a small number that separates uses within a shower.
    """
    name = _mix(np.uint64(seed) + _GOLDEN)
    name = _mix(name ^ (np.uint64(index) * np.uint64(0xD1342543DE82EF95) + _GOLDEN))
    name = _mix(name ^ (np.uint64(purpose) * np.uint64(0xAF251AF3B0F025B5) + _GOLDEN))
    state = np.empty(2, dtype=np.uint64)
    state[0] = _mix(name + _GOLDEN)
    state[1] = _mix_gamma(name + _GOLDEN + _GOLDEN)
    return state


@kernel
def uniform(state: npt.NDArray[np.uint64]) -> float:
    """Draw a uniform number in (0, 1), both ends excluded.

    The numbers lie on a grid of 2**-52 shifted by half a step; on one of 2**-53 the last would be rounded up to 1.
    """
    state[0] = state[0] + state[1]
    return (np.float64(_mix(state[0]) >> np.uint64(12)) + 0.5) * 2.220446049250313e-16


@kernel
def fill_uniforms(state: npt.NDArray[np.uint64], out: npt.NDArray[np.float32]) -> None:
    """Fill a float32 array of an even length with uniform numbers in (0, 1), both ends excluded; two per step.

    They lie on a grid of 2**-23 shifted by half a step. The halves of a number of the stream go to the two halves of
    the array: such loops become vector code.
    """
    half = len(out) // 2
    low, high = out[:half], out[half:]
    word, step = state[0], state[1]
    for k in range(half):
        word = word + step
        bits = _mix(word)
        low[k] = np.float32(np.int32(bits & np.uint64(0x7FFFFF))) * _STEP + _HALF_STEP
        high[k] = np.float32(np.int32(bits >> np.uint64(41))) * _STEP + _HALF_STEP
    state[0] = word


@kernel
def normal(state: npt.NDArray[np.uint64]) -> float:
    """Draw a standard normal number (Marsaglia's polar method; the second number of a pair is not kept)."""
    while True:
        a = 2.0 * uniform(state) - 1.0
        b = 2.0 * uniform(state) - 1.0
        s = a * a + b * b
        if 0.0 < s < 1.0:
            return a * math.sqrt(-2.0 * math.log(s) / s)


@kernel
def exponential(state: npt.NDArray[np.uint64]) -> float:
    """Draw an exponential number of mean 1."""
    return -math.log(uniform(state))


@kernel
def gamma(state: npt.NDArray[np.uint64], shape: float) -> float:
    """Draw a gamma number of the given shape > 0 and scale 1 (Marsaglia & Tsang, ACM TOMS 26 (2000) 363)."""
    boost = 1.0
    if shape < 1.0:
        boost = uniform(state) ** (1.0 / shape)
        shape = shape + 1.0
    d = shape - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        x = normal(state)
        v = 1.0 + c * x
        if v <= 0.0:
            continue
        v = v * v * v
        u = uniform(state)
        if math.log(u) < 0.5 * x * x + d - d * v + d * math.log(v):
            return boost * d * v


@kernel
def poisson(state: npt.NDArray[np.uint64], mean: float) -> int:
    """Draw a Poisson number: products of uniforms below 10, above it Hoermann's PTRS (IME 12 (1993) 39)."""
    if mean <= 0.0:
        return 0
    if mean < 10.0:
        limit = math.exp(-mean)
        k = 0
        product = uniform(state)
        while product > limit:
            k += 1
            product *= uniform(state)
        return k
    root = math.sqrt(mean)
    b = 0.931 + 2.53 * root
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    v_r = 0.9277 - 3.6224 / (b - 2.0)
    while True:
        u = uniform(state) - 0.5
        v = uniform(state)
        us = 0.5 - abs(u)
        k = math.floor((2.0 * a / us + b) * u + mean + 0.43)
        if us >= 0.07 and v <= v_r:
            return k
        if k < 0 or (us < 0.013 and v > us):
            continue
        if math.log(v) + math.log(inverse_alpha) - math.log(a / (us * us) + b) <= (
            k * math.log(mean) - mean - math.lgamma(k + 1.0)
        ):
            return k
