"""Where in the depth of a layer a shower's energy lies, as the tuned showers have it: what turns voxels into hits.

Voxels know the layer and no depth inside it, and a calorimeter's middle layer is many radiation lengths deep: even over
it, energy would lie far behind (or in front of) where the shower put it. Each layer is cut into parts of equal depth
along the line, and the share of its energy in each of them is kept per energy point. Unlike a gamma function this holds
for hadrons, too.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastparam.fit.tables import Tables
from fastparam.summary.deposits import Deposits
from fastparam.summary.points import EnergyPoints

__all__ = ["fit", "shape"]

Floats = npt.NDArray[np.float64]

#: Parts of a layer, and the number of deposits with which an even spread weighs as much as they do.
_PARTS, _EVEN = 8, 20.0


def fit(deposits: Deposits, points: EnergyPoints, rows: npt.NDArray[np.int64], flat: npt.NDArray[np.bool_]) -> Tables:
    """Sum deposits layer by layer.

    Parameters
    ----------
    deposits : Deposits
        Of n showers.
    points : EnergyPoints
        Of the same showers.
    rows : int64 array (L,)
        `VoxelBinning.rows_of_layers`.
    flat : bool array (L,)
        Layers without depth inside: even.

    Returns
    -------
    Tables
        ``ln_e`` (P,) of E in MeV, and ``share`` (P, K, parts), float16, of K layers with voxels; each row sums to 1.
    """
    n_layers = int(rows.max()) + 1
    row, point = rows[deposits.layer], points.point[deposits.shower]
    part = np.minimum((deposits.depth.astype(np.float64) * (_PARTS / 255.0)).astype(np.int64), _PARTS - 1)
    used = (row >= 0) & ~flat[deposits.layer]
    size = (len(points), n_layers, _PARTS)
    bins = np.ravel_multi_index((point[used], row[used], part[used]), size)
    energy = np.bincount(bins, deposits.e[used].astype(np.float64), minlength=int(np.prod(size))).reshape(size)
    number = np.bincount(bins, minlength=int(np.prod(size))).reshape(size).sum(axis=2, keepdims=True)
    total = energy.sum(axis=2, keepdims=True)
    weight = np.where(total > 0, number / (number + _EVEN), 0.0)
    share = weight * energy / np.where(total > 0, total, 1.0) + (1.0 - weight) / _PARTS
    return Tables({"ln_e": np.log(points.energy), "share": share.astype(np.float16)})


def shape(tables: Tables) -> tuple[Floats, Floats]:
    """Return ln E (P,) and cumulative shares (P, K, parts + 1): a `showers.spread.DepthShape`."""
    share = tables["share"].astype(np.float64)
    cumulative = np.concatenate([np.zeros((*share.shape[:2], 1)), np.cumsum(share, axis=2)], axis=2)
    return tables["ln_e"].astype(np.float64), cumulative / cumulative[..., -1:]
