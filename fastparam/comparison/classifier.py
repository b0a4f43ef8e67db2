"""A classifier as judge: how well full simulation and candidate can be told apart, shower by shower.

The area under the ROC curve (AUC) of gradient-boosted trees is 0.5 for equal samples and 1 for samples that are always
told apart. It sees what marginals cannot: correlations, and patterns of voxels ("low"). It grows with the number of
showers trained on, so values are comparable only at equal numbers.

Trees, as in scikit-learn's ``HistGradientBoostingClassifier``: 150 of 12 leaves, learning rate 0.08, 30 % of the
features tried per split; 5 folds, every shower judged by trees that have not seen it.

`classifier_error` says what the error of the area is.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from fastparam.comparison.classifier_error import area_error, placements, reliability
from fastparam.comparison.features import FeatureTable
from fastparam.comparison.voxels import VoxelSample
from fastparam.errors import UsageError

__all__ = ["MAX_VOXELS", "Auc", "auc", "auc_high", "auc_low", "high_features", "low_features"]

Floats = npt.NDArray[np.float64]
T = TypeVar("T", FeatureTable, VoxelSample)

#: Only the most occupied voxels are shown to the trees.
MAX_VOXELS = 600

_FOLDS = 5


@dataclass(frozen=True)
class Auc:
    """Area under the ROC curve.

    Attributes
    ----------
    value, error : float
        Mean over folds and repetitions, and its standard error.
    n : int
        Showers of each sample.
    n_features : int
    """

    value: float
    error: float
    n: int
    n_features: int


def auc(
    reference: npt.NDArray[Any],
    candidate: npt.NDArray[Any],
    *,
    seed: int = 1,
    repeats: int = 1,
    folds: int = _FOLDS,
    max_showers: int | None = None,
) -> Auc:
    """Train trees to tell two matrices of features apart.

    Parameters
    ----------
    reference, candidate : arrays (n, F), (m, F)
        Rows are showers. Equal numbers are used: of the larger sample, and of both beyond `max_showers`, a random
        part.
    seed : int
        Of folds and trees.
    repeats : int
        Trainings with other folds and seeds.
    folds : int
    max_showers : int, optional
        Per sample.

    Raises
    ------
    UsageError
        With fewer than two showers per fold.
    """
    import numba
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedKFold
    from threadpoolctl import threadpool_limits

    def judge(task: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], int]) -> Floats:
        train, test, state = task
        trees = HistGradientBoostingClassifier(
            max_iter=150,
            max_leaf_nodes=12,
            learning_rate=0.08,
            max_features=0.3,
            early_stopping=False,
            random_state=state,
        )
        # Threads inside a fit wait for each other at every leaf, and on a busy machine spend nearly all time waiting
        # (measured: 1.5 s with one, 56 s with two). So one each, and several fits at a time.
        with threadpool_limits(1, user_api="openmp"):
            trees.fit(x[train], y[train])
            return np.asarray(trees.decision_function(x[test]))

    n = min(len(reference), len(candidate), max_showers or len(reference))
    if n < 2 * folds:
        raise UsageError(f"{n} showers per sample; a classifier with {folds} folds needs at least {2 * folds}")
    rng = np.random.default_rng(seed)
    chosen = [x if len(x) == n else x[np.sort(rng.permutation(len(x))[:n])] for x in (reference, candidate)]
    x, y = np.concatenate(chosen), np.repeat([0, 1], n)
    fold, tasks, halved = np.empty((repeats, 2 * n), dtype=np.int64), [], []
    for repeat in range(repeats):
        state = 1000 * (seed + repeat)
        splits = StratifiedKFold(folds, shuffle=True, random_state=seed + repeat).split(x, y)
        for number, (train, test) in enumerate(splits):
            fold[repeat, test] = number
            tasks.append((train, test, state + number))
            if number == 0:
                shuffled = train[np.lexsort([rng.random(len(train)), y[train]])]
                halved += [(shuffled[side::2], test, state + folds + side) for side in (0, 1)]
    with ThreadPoolExecutor(numba.get_num_threads()) as pool:  # as many as everything else uses
        scores = pool.map(judge, tasks + halved)
        # Scores of different folds have different scales: showers are placed among those of their own fold.
        found = [placements(score, y[test]) for (_, test, _), score in zip(tasks + halved, scores, strict=True)]
    placed = np.empty((repeats, 2 * n))
    for i, (_, test, _) in enumerate(tasks):
        placed[i // folds, test] = found[i]
    pairs = [(*found[len(tasks) + i :][:2], y[halved[i][1]]) for i in range(0, len(halved), 2)]
    return Auc(float(placed.mean()), area_error(placed, fold, y, reliability(pairs)), n, x.shape[1])


def auc_high(
    reference: FeatureTable, candidate: FeatureTable, *, max_showers: int | None = None, seed: int = 1, **options: Any
) -> Auc:
    """Tell samples apart by their scalar features; options as for `auc`."""
    parts = _equal_parts(reference, candidate, max_showers, seed)
    return auc(*(high_features(part) for part in parts), seed=seed, **options)


def auc_low(
    reference: VoxelSample, candidate: VoxelSample, *, threshold: float, max_showers: int | None = None, seed: int = 1,
    **options: Any,
) -> Auc:  # fmt: skip
    """Tell samples apart by their voxels; options as for `auc`."""
    parts = _equal_parts(reference, candidate, max_showers, seed)
    return auc(*low_features(*parts, threshold=threshold), seed=seed, **options)


def _equal_parts(reference: T, candidate: T, max_showers: int | None, seed: int) -> tuple[T, T]:
    """Return equal numbers of showers of both samples.

    A candidate often is several simulations of the reference's particles in turn; one of them is used then, because
    a generator that stores showers may lend the same one to each, and trees would recognise in the test what they have
    seen in training.
    """
    n = min(len(reference), len(candidate), max_showers or len(reference))
    rng = np.random.default_rng([seed, 7])
    rows = np.sort(rng.permutation(len(reference))[:n])
    m = len(reference)
    if len(candidate) >= m and np.allclose(candidate.energy[:m], reference.energy, rtol=1e-3):
        return reference.take(rows), candidate.take(rows)
    return reference.take(rows), candidate.take(np.sort(rng.permutation(len(candidate))[:n]))


def high_features(table: FeatureTable) -> Floats:
    """Return ln of the incident energy and the scalar features, shape (n, 1 + F)."""
    return np.column_stack([np.log(table.energy), table.values])


def low_features(
    reference: VoxelSample, candidate: VoxelSample, *, threshold: float, max_voxels: int = MAX_VOXELS
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return ln of the incident energy and ln(1 + voxel / threshold) of both samples.

    Parameters
    ----------
    reference, candidate : VoxelSample
    threshold : float
        Voxels below so many MeV are set to 0.
    max_voxels : int
        Beyond so many only the voxels that are hit most often, both samples together.

    Returns
    -------
    float32 arrays (n, 1 + min(n_voxels, max_voxels)) and (m, ...)
    """
    n_voxels = reference.binning.n_voxels
    column = np.full(n_voxels, -1, dtype=np.int64)
    occupancy = np.zeros(n_voxels)
    for sample in (reference, candidate):
        occupancy += np.bincount(sample.number[sample.value >= threshold], minlength=n_voxels) / max(len(sample), 1)
    kept = np.sort(np.argsort(-occupancy, kind="stable")[:max_voxels])
    column[kept] = np.arange(len(kept))
    found = []
    for sample in (reference, candidate):
        x = np.zeros((len(sample), 1 + len(kept)), dtype=np.float32)
        x[:, 0] = np.log(sample.energy)
        shown = (sample.value >= threshold) & (column[sample.number] >= 0)
        where = sample.shower[shown], 1 + column[sample.number[shown]]
        x[where] = np.log1p(sample.value[shown].astype(np.float64) / max(threshold, 1e-300))
        found.append(x)
    return found[0], found[1]
