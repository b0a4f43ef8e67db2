"""Showers in voxels with a known factor structure.

Two layers of three rings of voxels and four parts in alpha: 24 voxels. Two factors push the voxels of the first and of
the second layer; a third pushes one part in alpha of both against the opposite one. Of a normal score above Phi^-1(p0)
the conditional rank decides the energy, exponentially distributed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from fastparam.geometry.voxels import VoxelBinning

BINNING = VoxelBinning((0, 1), ((0.0, 5.0, 20.0, 60.0), (0.0, 5.0, 20.0, 60.0)), (4, 4))

#: Probability of being empty of the three rings of voxels, in both layers.
ZERO = (0.1, 0.5, 0.85)


def loadings() -> np.ndarray:
    """Return Lambda, shape (24, 3)."""
    first, second = (BINNING.layer == 0) * 0.7, (BINNING.layer == 1) * 0.6
    side = 0.5 * (BINNING.sector == 0) - 0.5 * (BINNING.sector == 2)
    return np.stack([first, second, side], axis=1)


def correlation() -> np.ndarray:
    """Return the correlation matrix of the scores, shape (24, 24)."""
    common = loadings() @ loadings().T
    return common + np.diag(1.0 - np.diag(common))


@dataclass(frozen=True)
class Toy:
    """Showers: energies (n,), voxels (n, 24), their scores and probabilities of being empty (n, 24)."""

    energy: np.ndarray
    voxels: np.ndarray
    scores: np.ndarray
    zero: np.ndarray


def showers(n: int, seed: int, *, energies: tuple[float, ...] = (10_000.0,), growth: float = 0.0) -> Toy:
    """Draw n showers per energy; the logit of p0 falls by `growth` per unit of ln E."""
    rng = np.random.default_rng(seed)
    energy = np.repeat(np.array(energies), n)
    scores = rng.multivariate_normal(np.zeros(24), correlation(), size=len(energy), method="cholesky")
    logit = special.logit(np.array(ZERO))[BINNING.ring] - growth * np.log(energy / 10_000.0)[:, None]
    zero = special.expit(logit)
    rank = (special.ndtr(scores) - zero) / (1.0 - zero)
    amount = -np.log1p(-np.clip(rank, 0.0, 1.0 - 1e-12)) * energy[:, None] / 1000.0
    return Toy(energy, np.where(rank > 0.0, amount, 0.0), scores, zero)


def correlation_of(voxels: np.ndarray, zero: np.ndarray) -> np.ndarray:
    """Return tetrachoric correlations of being hit, by inverting the bivariate normal integral on a grid.

    Nothing of the model under test is used: P(both hit) of two normal scores with thresholds Phi^-1(p0) grows with
    their correlation.
    """
    hit = (voxels > 0.0).astype(float)
    both = hit.T @ hit / len(hit)
    t = special.ndtri(zero)
    grid = np.linspace(-0.95, 0.95, 77)
    found = np.eye(voxels.shape[1])
    for i in range(voxels.shape[1]):
        for j in range(i):
            # P(z1 > t1, z2 > t2) = E over z1 of [z1 > t1] Phi((r z1 - t2) / sqrt(1 - r^2)), on quantiles above t1.
            u = special.ndtri(zero[i] + (1.0 - zero[i]) * (np.arange(200) + 0.5) / 200)
            p = [(1.0 - zero[i]) * special.ndtr((r * u - t[j]) / np.sqrt(1 - r * r)).mean() for r in grid]
            found[i, j] = found[j, i] = np.interp(both[i, j], p, grid)
    return found
