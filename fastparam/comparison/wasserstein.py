"""Wasserstein-1 distance of two samples, feature by feature, in standard deviations of full simulation.

W = integral |F - G| dx of two distribution functions cannot fall below 0: equal samples have a *floor*, and W scatters
less there than where F and G really differ. A bootstrap about the difference that was found therefore is too wide for
equal samples, a spread of equal samples too narrow for others. Both follow from the same resamples. With e_r what
resample r adds to F - G, and any multiple k of the difference that was found,

    W_r(k) = integral |k (F - G) + e_r| dx

has mean m(k) and variance V(k). Those that explain the value found within one standard deviation lie between the roots
of (W - m)^2 = V(m), and half their distance is the error: limits from the score, as those of `quadratic_error`.

Sources: S. S. Vallender, Theory Probab. Appl. 18 (1974) 784 (the integral); E. B. Wilson, J. Am. Stat. Assoc. 22 (1927)
209 (limits from the score); B. Efron, Ann. Statist. 7 (1979) 1 (bootstrap).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastparam._numba import parallel_kernel, prange
from fastparam.comparison.separation import Strata, strata_of

__all__ = ["Wasserstein", "wasserstein"]

Floats = npt.NDArray[np.float64]

#: Bootstrap resamples, and random partitions: spreads are known to 7 % of themselves.
_REPLICAS = 100

#: Multiples of the difference that are tried: from none to so many that chance alone explains nothing below.
_MULTIPLES = np.array([0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0])


@dataclass(frozen=True)
class Wasserstein:
    """Wasserstein-1 distance per feature in standard deviations of the reference, F features.

    Attributes
    ----------
    value, error : float64 arrays (F,)
        NaN for features that do not vary in the reference.
    floor, floor_error : float64 arrays (F,)
        Mean and spread for equal samples of the same size, from random partitions of all showers.
    mean : tuple of float
        The same four of the mean over features.
    """

    value: Floats
    error: Floats
    floor: Floats
    floor_error: Floats
    mean: tuple[float, ...]


def wasserstein(
    reference: npt.NDArray[Any],
    candidate: npt.NDArray[Any],
    energies: tuple[Floats, Floats] | None = None,
    *,
    seed: int = 1,
    replicas: int = _REPLICAS,
    most: int = 5000,
) -> Wasserstein:
    """Return the Wasserstein-1 distance of every feature.

    Parameters
    ----------
    reference, candidate : arrays (n, F), (m, F)
        Of the larger sample, and of both beyond `most`, a random part is used, energies evenly in it.
    energies : tuple of float64 arrays (n,), (m,), optional
        Incident energies: resamples and partitions keep the number of showers of each.
    seed, replicas : int
        Of bootstrap and random partitions.
    most : int
    """
    rng = np.random.default_rng(seed)
    n = min(len(reference), len(candidate), most)
    energies = energies or (np.ones(len(reference)), np.ones(len(candidate)))
    rows = [_evenly(e, n, rng) for e in energies]
    both = np.concatenate([s[r] for s, r in zip((reference, candidate), rows, strict=True)]).astype(np.float64)
    sides = strata_of(*(e[r] for e, r in zip(energies, rows, strict=True)))
    sources = [Strata(side) for side in sides]
    strata, side = np.concatenate(sides), np.repeat([1.0, -1.0], n)
    added, parted = np.empty((replicas, 2 * n)), np.empty((replicas, 2 * n))
    for r in range(replicas):
        counts = [np.bincount(source.draw(rng), minlength=n) for source in sources]
        added[r] = side * (np.concatenate(counts) - 1.0) * np.sqrt(n / (n - sources[0].n))
        parted[r, np.lexsort([rng.random(2 * n), strata])] = np.tile([1.0, -1.0], n)
    scale = reference.std(axis=0, dtype=np.float64)
    unit = 1.0 / np.where(scale > 0, scale, np.nan) / n
    value, tried, null = (np.zeros((both.shape[1], *shape)) for shape in ((), (len(_MULTIPLES), replicas), (replicas,)))
    _integrate(np.ascontiguousarray(both.T), side, added, parted, _MULTIPLES, value, tried, null)
    value, tried, null = (np.moveaxis(np.moveaxis(v, 0, -1) * unit, -1, 0) for v in (value, tried, null))
    known = np.isfinite(value)
    if known.any():  # the mean over features as the last of them
        value, tried, null = (np.concatenate([v, v[known].mean(axis=0, keepdims=True)]) for v in (value, tried, null))
    else:
        value, tried, null = (np.concatenate([v, v[:1]]) for v in (value, tried, null))
    error = np.array([_error(*pair) for pair in zip(value.tolist(), tried, strict=True)])
    floor, spread = null.mean(axis=1), null.std(axis=1, ddof=1)
    mean = tuple(float(v[-1]) for v in (value, error, floor, spread))
    return Wasserstein(value[:-1], error[:-1], floor[:-1], spread[:-1], mean)


def _evenly(energy: Floats, n: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Choose n showers at random, evenly over energies."""
    order = np.lexsort([rng.random(len(energy)), energy])
    return np.sort(order[((np.arange(n) + rng.random()) * len(energy) / n).astype(np.int64)])


def _error(value: float, tried: Floats) -> float:
    """Return half the distance between the means that a value is one standard deviation away from.

    Below the floor, and beyond the largest multiple, the spread is that of the last.
    """
    mean, spread = tried.mean(axis=1), tried.std(axis=1, ddof=1)
    if not np.isfinite(value) or mean[-1] <= mean[0]:
        return float("nan") if not np.isfinite(value) else float(spread[0])
    mean = np.maximum.accumulate(mean)
    low = _crossing(mean, mean + spread, value)
    high = _crossing(mean, mean - spread, value)
    return 0.5 * (high - low)


def _crossing(x: Floats, y: Floats, value: float) -> float:
    """Return where y, which rises with x from one point to the next, passes a value; slope 1 outside."""
    y = np.maximum.accumulate(y)
    if value <= y[0]:
        return float(x[0] - (y[0] - value))
    if value >= y[-1]:
        return float(x[-1] + (value - y[-1]))
    return float(np.interp(value, y, x))


@parallel_kernel
def _integrate(x: Any, side: Any, added: Any, parted: Any, multiples: Any, value: Any, tried: Any, null: Any) -> None:
    for f in prange(x.shape[0]):
        order = np.argsort(x[f])
        n = len(order)
        step, difference = np.empty(n - 1), np.empty(n - 1)
        total = 0.0
        for i in range(n - 1):
            step[i] = x[f, order[i + 1]] - x[f, order[i]]
            total += side[order[i]]
            difference[i] = total
            value[f] += abs(total) * step[i]
        for r in range(added.shape[0]):
            noise, part = 0.0, 0.0
            for i in range(n - 1):
                noise += added[r, order[i]]
                part += parted[r, order[i]]
                null[f, r] += abs(part) * step[i]
                for k in range(len(multiples)):
                    tried[f, k, r] += abs(multiples[k] * difference[i] + noise) * step[i]
