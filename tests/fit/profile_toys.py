"""Depth profiles and radii of showers whose laws are known, in plain NumPy and SciPy: what the fits are closed against.

The population is that of Grindhammer & Peters (hep-ex/0001020, A.1.2) for PbWO4, as in `toys.Law`; a shower is a
multinomial of `deposits` equal deposits over its depth cells and what lies outside them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import gammainc

from fastparam.fit.fit import Fit
from fastparam.fit.longitudinal import NAMES, Profiles
from fastparam.fit.radial import RadialData
from fastparam.summary.points import energy_points

Floats = npt.NDArray[np.float64]

CRITICAL_ENERGY = 8.76
TRUTH = np.array([-0.812, 1.0, 0.81, 0.49, -1.4, 1.26, -0.58, 0.86, 0.705, -0.023])
LABELS = tuple(
    f"{q} at {end}" for q in ("T", "alpha", "1/sigma(ln T)", "1/sigma(ln alpha)", "rho") for end in ("low", "high")
)

#: (z1, z2), (k1, k2, k3, k4), (p1, p2, p3) of the classical radial law.
RADIAL_TRUTH = {
    "z1": 0.03, "z2": 0.09, "zE": 0.0, "k1": 0.45, "k2": 0.645, "k3": -2.59, "k4": 0.36, "k5": 0.0,
    "p1": 2.57, "p2": 0.53, "p3": 1.31, "p4": 0.0,
}  # fmt: skip
RADIAL_EDGES = np.concatenate([[0.0], np.geomspace(0.02, 20.0, 39), [np.inf]])


@dataclass(frozen=True)
class Population:
    """Showers as they were drawn."""

    profiles: Profiles
    ln_t: Floats
    ln_alpha: Floats


def population(
    rng: np.random.Generator,
    *,
    energies: tuple[float, ...] = (4_000.0, 16_000.0, 65_000.0),
    n: int = 60,
    reach: tuple[float, float] = (0.0, 25.0),
    deposits: float = 200.0,
    truth: Floats = TRUTH,
) -> Population:
    """Draw `n` showers per energy, seen in cells of 1 X0 over `reach`."""
    energy = np.repeat(np.array(energies), n)
    ln_y = np.log(energy / CRITICAL_ENERGY)
    t, alpha, inverse_sigma_t, inverse_sigma_alpha, rho = (truth[2 * j] + truth[2 * j + 1] * ln_y for j in range(5))
    ln_t, ln_alpha = np.full(len(energy), np.nan), np.full(len(energy), -np.inf)
    while (again := ln_alpha <= 0.02).any():  # such showers have no maximum
        z = rng.standard_normal((2, len(energy)))
        ln_t = np.where(again, np.log(t) + z[0] / inverse_sigma_t, ln_t)
        correlated = rho * z[0] + np.sqrt(1 - rho**2) * z[1]
        ln_alpha = np.where(again, np.log(alpha) + correlated / inverse_sigma_alpha, ln_alpha)
    edges = np.arange(reach[0], reach[1] + 0.5)
    share = fractions(ln_t, ln_alpha, edges)
    chances = np.column_stack([share, np.maximum(1.0 - share.sum(axis=1), 0.0)])
    cells = rng.multinomial(round(deposits), chances / chances.sum(axis=1, keepdims=True))[:, :-1]
    depths = np.tile(np.stack([edges[:-1], edges[1:]], axis=1), (len(energy), 1, 1))
    medium = np.zeros(len(edges) - 1, dtype=np.int64)
    return Population(Profiles(energy, ln_y, cells.astype(np.float64), depths, medium), ln_t, ln_alpha)


def fractions(ln_t: Floats, ln_alpha: Floats, edges: Floats) -> Floats:
    """Share of each shower between neighbouring edges, from SciPy's incomplete gamma function."""
    alpha = np.exp(ln_alpha)[:, None]
    return np.diff(gammainc(alpha, (alpha - 1.0) / np.exp(ln_t)[:, None] * edges), axis=1)


def ends(fit: Fit, ln_y: Floats) -> tuple[Floats, Floats]:
    """Values of the five laws at both ends of the range in the order of `LABELS`, and their errors."""
    assert fit.names == NAMES
    values, errors = [], []
    for j in range(5):
        block = slice(2 * j, 2 * j + 2)
        for x in (ln_y.min(), ln_y.max()):
            direction = np.array([1.0, x])
            values.append(direction @ fit.values[block])
            errors.append(np.sqrt(direction @ fit.covariance[block, block] @ direction))
    return np.array(values), np.array(errors)


def true_ends(ln_y: Floats, truth: Floats = TRUTH) -> Floats:
    return np.array([truth[2 * j] + truth[2 * j + 1] * x for j in range(5) for x in (ln_y.min(), ln_y.max())])


def radial_law(tau: Floats, truth: dict[str, float] = RADIAL_TRUTH) -> tuple[Floats, Floats, Floats]:
    """R_C, R_T and core weight, written out."""
    q = truth
    core = q["z1"] + q["z2"] * tau
    tail = q["k1"] * (np.exp(q["k3"] * (tau - q["k2"])) + np.exp(q["k4"] * (tau - q["k2"])))
    u = (q["p2"] - tau) / q["p3"]
    return core, tail, q["p1"] * np.exp(u - np.exp(u))


def radii(
    rng: np.random.Generator,
    *,
    energies: tuple[float, ...] = (4_000.0, 16_000.0, 65_000.0),
    n: int = 60,
    spots: int = 300,
    edges: Floats = RADIAL_EDGES,
) -> RadialData:
    """Draw `n` showers per energy; equal spots, `spots` at 10 GeV and more above; visible energies fluctuate."""
    energy = np.repeat(np.array(energies), n)
    count = (spots * np.sqrt(energy / 10_000.0)).astype(int)
    shower = np.repeat(np.arange(len(energy)), count)
    tau = rng.gamma(4.0, 1.0 / 3.0, len(shower))
    core, tail, weight = radial_law(tau)
    radius = np.where(rng.random(len(shower)) < weight, core, tail)
    quantile = rng.random(len(shower)) * 400.0 / (400.0 + radius**2)  # radii end at 20
    r = radius * np.sqrt(quantile / (1.0 - quantile))
    visible = 0.05 * energy * rng.gamma(100.0, 0.01, len(energy))
    ring = np.searchsorted(edges, r, side="right") - 1
    return RadialData(shower, tau, ring, (visible / count)[shower], edges, energy_points(energy), energy)
