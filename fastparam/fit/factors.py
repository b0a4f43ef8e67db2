"""Factor model of normal scores, some of which are only known to be small.

    z = Lambda f + psi^(1/2) eps,      f, eps standard normal,      sum_k Lambda_jk^2 + psi_j = 1

describes the correlations of p scores by a few factors. The score of an empty voxel is *censored*: all that is known is
that it lies below Phi^-1(p0), p0 the probability of being empty. Taking any number for it would dilute correlations, so
its scores are unknowns of the fit like the factors (Gibbs sampling within stochastic EM): each round draws the factors
of every shower from their posterior, the censored scores from the normal distribution around Lambda f truncated at
their limits, then improves Lambda and psi by a few steps of EM.

Sources: D. Rubin & D. Thayer, Psychometrika 47 (1982) 69 (EM of the factor model); S. F. Nielsen, Bernoulli 6 (2000)
457 (stochastic EM).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special
from sklearn.utils.extmath import randomized_svd

from fastparam._numba import parallel_kernel, prange
from fastparam.random import normal, stream, uniform
from fastparam.shapes.normal import normal_cdf1, normal_ppf1

__all__ = ["Factors", "fit_factors"]

Single = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]

#: Rounds of drawing censored scores, EM steps in each, and the smallest unique variance.
_ROUNDS, _STEPS, _MIN_UNIQUE = 12, 3, 0.02

_PURPOSE = 61


@dataclass(frozen=True)
class Factors:
    """A factor model of p scores.

    Attributes
    ----------
    loadings : float32 array (p, k)
        Lambda.
    unique : float32 array (p,)
        psi; with the squared loadings it adds up to 1.
    """

    loadings: Single
    unique: Single

    def posterior(self, rows: npt.NDArray[Any]) -> tuple[Single, Single]:
        """Return what the scores of some variables say about the factors.

        Returns
        -------
        mean : float32 array (k, m)
            Of the factors: this matrix times the m scores.
        root : float32 array (k, k)
            Lower triangular root of their covariance.
        """
        mean, covariance = _posterior(self.loadings[rows].astype(np.float64), self.unique[rows].astype(np.float64))
        return mean.astype(np.float32), np.linalg.cholesky(covariance).astype(np.float32)


@parallel_kernel
def _draw_censored(seed: Any, mean: Any, width: Any, censored: Any, limit: Any, z: Any) -> None:
    for i in prange(len(z)):
        state = stream(seed, i, _PURPOSE)
        for j in range(z.shape[1]):
            if not censored[i, j]:
                continue
            bound = (limit[i, j] - mean[i, j]) / width[j]
            if bound > 6.0:
                x = normal(state)
            else:
                below = normal_cdf1(bound)
                x = normal_ppf1(uniform(state) * below) if below > 1e-200 else bound
            z[i, j] = mean[i, j] + width[j] * x


def fit_factors(
    z: npt.NDArray[Any], censored: Flags, limit: npt.NDArray[Any], rank: int, *, rounds: int = _ROUNDS, seed: int = 1
) -> Factors:
    """Fit the model.

    Parameters
    ----------
    z : float array (n, p)
        Normal scores; whatever stands at censored places is not used.
    censored : bool array (n, p)
    limit : float array (n, p)
        Upper limits of censored scores; infinite where nothing at all is known.
    rank : int
        Number of factors.
    rounds : int
    seed : int
        Of the draws.
    """
    n = len(z)
    rng = np.random.default_rng(seed)
    filled = z.astype(np.float32)
    limit = limit.astype(np.float32)
    # Start from the mean of a normal variable below its limit.
    bound = np.clip(limit, -8.0, 8.0)
    filled[censored] = -(np.exp(-0.5 * bound**2) / (math.sqrt(2.0 * math.pi) * special.ndtr(bound)))[censored]
    _, value, vector = randomized_svd(filled, rank, n_iter=3, random_state=seed)
    loadings = (vector.T * (value / math.sqrt(n))).astype(np.float32)
    unique = np.maximum((filled**2).mean(axis=0) - (loadings**2).sum(axis=1), 0.05)
    for round_ in range(rounds):
        weights, covariance = _posterior(loadings, unique)
        factors = filled @ weights.T
        factors += rng.standard_normal(factors.shape, dtype=np.float32) @ np.linalg.cholesky(covariance).T
        _draw_censored(
            seed * 1000 + round_, (factors @ loadings.T).astype(np.float32), np.sqrt(unique), censored, limit, filled
        )
        square = (filled**2).mean(axis=0)
        for _ in range(_STEPS):
            loadings, unique = _em_step(filled, square, loadings, unique)
    scale = np.sqrt((loadings**2).sum(axis=1) + unique)
    return Factors((loadings / scale[:, None]).astype(np.float32), (unique / scale**2).astype(np.float32))


def _posterior(loadings: npt.NDArray[Any], unique: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Posterior mean of the factors as a matrix (k, p), and their covariance (k, k)."""
    weighted = loadings / unique[:, None]
    covariance = np.linalg.inv(np.eye(loadings.shape[1], dtype=loadings.dtype) + loadings.T @ weighted)
    return covariance @ weighted.T, covariance


def _em_step(z: Single, square: Single, loadings: Single, unique: Single) -> tuple[Single, Single]:
    weights, covariance = _posterior(loadings, unique)
    factors = z @ weights.T
    cross = factors.T @ z / len(z)
    second = factors.T @ factors / len(z) + covariance
    new = np.linalg.solve(second, cross).T.astype(np.float32)
    return new, np.maximum(square - (new * cross.T).sum(axis=1), _MIN_UNIQUE).astype(np.float32)
