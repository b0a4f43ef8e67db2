"""Standard error of the area under the ROC curve (AUC) of a cross-validated classifier.

An area is a mean over pairs of showers, and to first order a test shower moves it by its *placement*, the share of the
other sample on the far side of its score. The spread of placements, averaged over repetitions, is the error for
classifiers that are given (DeLong; LeDell et al.). But every shower also trains, in K - 1 of K folds, and a score
that is a sum over training showers of a symmetric kernel k(a, b) meets each pair of showers twice: b judged by what a
has taught, and a by what b has. So the trees' own noise, which is all there is without a difference, must count twice,
and K-fold areas scatter by up to the square root of two more than placements do.

Let c be the covariance of placements between repetitions: other folds and seeds, the same showers. Of it rho V is
signal, what independent trainings agree on, V being the variance of one repetition and rho the correlation of
placements by two trainings; the rest is noise of the training showers. With R repetitions

    variance = (V + (R - 1) c) / R  +  max(c - rho V, 0) (1 + 1 / ((K - 1) R))  +  rho V ((2 - rho)^2 - 1).

The second term is the noise met the other way round; pairs in one fold never meet, hence K. The third is what training
adds by signal: the scale of scores does not count, so a shower moves the area by training as by being tested, less
what it adds to the scale, 1 - rho of it; nothing where trees know all there is to know. Trees are no symmetric kernel
exactly; docs/compare.md has the widths of pulls.

rho is found with trainings by two disjoint halves of the showers, and follows for all of them from Spearman and Brown.

Sources: E. R. DeLong et al., Biometrics 44 (1988) 837; E. LeDell, M. Petersen & M. van der Laan, Electron. J. Stat. 9
(2015) 1583; Y. Bengio & Y. Grandvalet, J. Mach. Learn. Res. 5 (2004) 1089 (folds are correlated, and no spread between
them tells by how much); C. Spearman, Br. J. Psychol. 3 (1910) 271; W. Brown, ibid. 296.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

__all__ = ["area_error", "placements", "reliability"]

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


def placements(score: Floats, label: Labels) -> Floats:
    """Return the share of the other sample on the far side of each score, ties by half, shape (n,).

    The mean over either sample is the area. Labels are 0 and 1; the latter should have the higher scores.
    """
    rank, found = rankdata(score), np.empty(len(score))
    high, low = label == 1, label == 0
    found[high] = (rank[high] - rankdata(score[high])) / low.sum()
    found[low] = 1.0 - (rank[low] - rankdata(score[low])) / high.sum()
    return found


def reliability(pairs: Sequence[tuple[Floats, Floats, Labels]]) -> float:
    """Return the correlation that trainings by twice as many showers have, from placements by two disjoint halves.

    Parameters
    ----------
    pairs : sequence of (float64 array (m,), float64 array (m,), int64 array (m,))
        Placements of the same test showers by two classifiers that share no training shower; their labels.

    Returns
    -------
    float
        From 0 to 1: correlations below 0 are chance.
    """
    product, squares = 0.0, 0.0
    for one, other, label in pairs:
        a, b = (_centred(x, label) for x in (one, other))
        product += float(a @ b)
        squares += 0.5 * float(a @ a + b @ b)
    r = min(max(product / squares, 0.0), 1.0) if squares > 0 else 0.0
    return 2.0 * r / (1.0 + r)


def area_error(placed: Floats, fold: Labels, label: Labels, rho: float) -> float:
    """Return the standard error of the mean area.

    Parameters
    ----------
    placed : float64 array (R, n)
        Placements of every shower within its test fold in each repetition.
    fold : int64 array (R, n)
        Number of that fold.
    label : int64 array (n,)
        0 or 1.
    rho : float
        Of `reliability`.
    """
    repeats, folds = len(placed), int(fold.max()) + 1
    centred = np.stack([_centred(p, 2 * f + label) for p, f in zip(placed, fold, strict=True)])
    one = float(np.mean([_variance(row, label, folds) for row in centred]))
    both = _variance(centred.mean(axis=0), label, folds)
    if repeats > 1:
        shared = (repeats * both - one) / (repeats - 1)
    else:  # what others would share is not known: at most all but the noise of pairs that are in one of their folds
        shared = one * (1.0 - (1.0 - rho) / folds)
    noise = max(shared - rho * one, 0.0) * (1.0 + 1.0 / ((folds - 1) * repeats))
    return float(np.sqrt(both + noise + rho * one * ((2.0 - rho) ** 2 - 1.0)))


def _centred(x: Floats, group: Labels) -> Floats:
    """Return deviations from the mean of each group."""
    size = np.maximum(np.bincount(group), 1)
    return np.asarray(x - (np.bincount(group, weights=x) / size)[group])


def _variance(deviation: Floats, label: Labels, folds: int) -> float:
    """Return the variance of the mean area from deviations of placements; each fold's mean took a degree of freedom."""
    size = np.bincount(label, minlength=2)
    squares = np.bincount(label, weights=deviation**2, minlength=2)
    return float((squares / (size * np.maximum(size - folds, 1))).sum())
