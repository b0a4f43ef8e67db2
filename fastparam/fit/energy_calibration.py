"""Calibration of the energies component: drawn showers get the distributions and correlations that were fitted.

Scaling shares to a sum of 1 changes their distributions a little, and a Gaussian copula in bins has the correlations of
scores, not of energies (`fit.energies`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy import special

from fastparam.fit import marginals
from fastparam.fit.energy_correlations import pearson
from fastparam.fit.energy_model import Energies, draw
from fastparam.fit.energy_quantities import layer_energies
from fastparam.fit.energy_scores import RIDGE
from fastparam.fit.marginals import FORWARD

__all__ = ["calibrate"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Showers drawn per energy point to calibrate; numbers of quantities squared take their time.
_CALIBRATION_SHOWERS, _CALIBRATION_WORK = 10_000, 10_000_000
_CALIBRATION_ROUNDS = 6


def calibrate(
    model: Energies, correlation: Floats, mean_share: Floats, centre_width: Floats, *, seed: int = 3
) -> Energies:
    """Make the showers that are drawn have the distributions of shares and the correlations that were fitted.

    Scaling shares to a sum of 1 changes their distributions a little, and a Gaussian copula in bins has the
    correlations of scores, not of energies. So showers are drawn at every energy point, and what separates their
    quantiles and correlations from the wanted ones is taken off the tables and the matrices, in a few rounds.

    Parameters
    ----------
    model : Energies
    correlation : float64 array (P, L, L)
        Wanted correlation matrices of the layers' energies.
    mean_share : float64 array (P, L)
        Wanted mean shares.
    centre_width : float64 array (P, B)
        Wanted standard deviation of a shower's mean layer in each bin, 0 for any: small errors of many correlations add
        up in it, and showers of the last bin scatter more than all others.
    """
    wanted, n_layers = model.marginals, model.n_layers
    knots = np.linspace(-marginals.Z_MAX, marginals.Z_MAX, wanted.shape.shape[2])
    shape, factor, shift = wanted.shape.copy(), model.factor.copy(), np.zeros(wanted.shape.shape[:2])
    inner = slice(1, n_layers + 1)
    n_drawn = int(np.clip(_CALIBRATION_WORK / shape.shape[1] ** 2, 3000, _CALIBRATION_SHOWERS))
    for round_ in range(_CALIBRATION_ROUNDS):
        current = replace(model, marginals=replace(wanted, shape=shape.copy()), factor=factor.copy())
        for p in range(len(wanted.ln_e)):
            drawn, bin_ = draw(current, np.full(n_drawn, np.exp(wanted.ln_e[p])), seed=seed + round_)
            # Drawing again until a shower starts in its bin prefers totals that do; nothing else changes the total.
            for j in range(1 if len(model.first) == 0 else 0, n_layers + 1):
                location = np.interp(wanted.ln_e[p], wanted.grid, wanted.location[:, j])
                scale = np.exp(np.interp(wanted.ln_e[p], wanted.grid, wanted.ln_scale[:, j]))
                x = np.sort(drawn[drawn[:, j] > 0, j])
                n = len(x)
                if n < 300 or scale < 1e-6:
                    continue
                # Where draws are too rare to tell, the correction is that of the last knot that has some.
                used = np.clip(knots, *special.ndtri([30.0 / n, 1 - 30.0 / n]))
                y = FORWARD[wanted.kind[j]](x)
                found = np.interp(used, special.ndtri((np.arange(n) + 0.5) / n), (y - location) / scale)
                mean = float(drawn[:, j].mean())
                if j > 0 and mean_share[p, j - 1] > 0 and round_ > 0:
                    shift[p, j] += 0.7 * np.clip(np.log(mean_share[p, j - 1] / mean), -0.3, 0.3) / scale
                    shift[p, j] = np.clip(shift[p, j], -0.5, 0.5)
                target = wanted.shape[p, j] + shift[p, j]
                missing_z = np.interp(used, knots, target) - found
                if j == 0:  # a smooth correction: each change of the total moves the bins that showers are kept in
                    missing_z = np.polyval(np.polyfit(used, missing_z, 2, w=np.exp(-0.25 * used**2)), used)
                moved = shape[p, j] + 0.7 * missing_z
                shape[p, j] = np.maximum.accumulate(np.clip(moved, target - 1.0, target + 1.0))
            x = layer_energies(drawn, n_layers)
            missing = correlation[p] - pearson(x)
            # Bins hold part of the correlation by their means; the rest is theirs to change.
            spread = x.std(axis=0)
            within = np.sqrt(sum(x[bin_ == b].var(axis=0) * np.mean(bin_ == b) for b in np.unique(bin_)))
            gain = np.minimum(spread / np.maximum(within, 1e-12), 2.0)
            step = np.zeros(factor.shape[2:])
            step[inner, inner] = 0.7 * missing * np.outer(gain, gain)
            for b in range(model.n_bins):
                own = step.copy()
                if (bin_ == b).sum() > 300 and centre_width[p, b] > 0:
                    own[inner, inner] += 0.7 * _towards(drawn[bin_ == b, inner], centre_width[p, b])
                np.fill_diagonal(own, 0.0)
                factor[p, b] = np.linalg.cholesky(_positive(factor[p, b] @ factor[p, b].T + own))
    return replace(model, marginals=replace(wanted, shape=shape), factor=factor)


def _towards(share: Floats, width: float) -> Floats:
    """Smallest change of the correlations of shares (n, L) that gives the mean layer a standard deviation."""
    layer = np.arange(share.shape[1])
    centre = share @ layer
    lever = (layer - centre.mean()) * share.std(axis=0)
    square = np.outer(lever, lever)
    np.fill_diagonal(square, 0.0)
    return np.asarray(square * (width**2 - centre.var()) / max(float((square**2).sum()), 1e-300))


def _positive(matrix: Floats) -> Floats:
    """Nearest correlation matrix, about: no eigenvalue below the ridge, diagonal 1."""
    value, vector = np.linalg.eigh(matrix)
    matrix = (vector * np.maximum(value, RIDGE)) @ vector.T
    width = np.sqrt(np.diag(matrix))
    return np.asarray(matrix / np.outer(width, width))
