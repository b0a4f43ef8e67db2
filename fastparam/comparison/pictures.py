"""What a report needs to draw showers: the mean of each sample and one shower of each, in voxels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastparam.comparison.voxels import VoxelSample
from fastparam.geometry.voxels import VoxelBinning

__all__ = ["Pictures", "take_pictures"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Pictures:
    """Showers of one particle and slice at the energy in the middle of those there are.

    Attributes
    ----------
    binning : VoxelBinning
    energy : float
        Incident energy in MeV.
    mean, single : dict of str to float64 array (n_voxels,)
        Mean shower, and one of them, in MeV: of the reference under "", then of each candidate.
    """

    binning: VoxelBinning
    energy: float
    mean: dict[str, Floats]
    single: dict[str, Floats]


def take_pictures(reference: VoxelSample, candidates: Mapping[str, VoxelSample]) -> Pictures:
    """Take the mean shower and the first one at the median energy of the reference."""
    energy = float(np.sort(reference.energy)[len(reference) // 2])
    mean, single = {}, {}
    for name, sample in {"": reference, **candidates}.items():
        near = np.argsort(np.abs(np.log(sample.energy / energy)), kind="stable")
        chosen = sample.take(np.sort(near[: max(50, int(np.isclose(sample.energy, energy, rtol=1e-3).sum()))][:2000]))
        mean[name] = np.bincount(chosen.number, weights=chosen.value, minlength=reference.binning.n_voxels) / max(
            len(chosen), 1
        )
        single[name] = sample.take(near[:1]).dense()[0].astype(np.float64)
    return Pictures(reference.binning, energy, mean, single)
