"""One pass over voxels: energy, moments and numbers of hit voxels of every layer, and spectra of voxel energies.

All voxel features, ours and the CaloChallenge's, are functions of what is collected here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from fastparam._numba import parallel_kernel, prange
from fastparam.comparison.voxels import VoxelSample

__all__ = ["BINS_PER_DECADE", "N_SPECTRUM_BINS", "LayerMoments", "layer_moments"]

Floats = npt.NDArray[np.float64]

#: Spectra are kept in bins of a twentieth of a decade from the threshold on, the last one open: their edges follow
#: from the threshold alone, not from a sample's largest voxel.
BINS_PER_DECADE = 20
N_SPECTRUM_BINS = 7 * BINS_PER_DECADE + 1

#: Of a variance, relative to the mean square.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class LayerMoments:
    """What voxels above a threshold sum to, K layers.

    Attributes
    ----------
    energy : float64 array (n, K)
        Energy in MeV.
    first, second : float64 arrays (n, K, 3)
        Sums of voxel energy times eta = r cos(alpha), phi = r sin(alpha) and r at the voxels' middles, and times
        their squares; MeV mm and MeV mm^2.
    hit : int32 array (n, K)
        Number of voxels with energy.
    n_voxels : int64 array (K,)
        Number of voxels.
    spectrum : uint16 array (n, S, N_SPECTRUM_BINS)
        Number of voxels by energy; S is K where layers are told apart, else 1.
    """

    energy: Floats
    first: Floats
    second: Floats
    hit: npt.NDArray[np.int32]
    n_voxels: npt.NDArray[np.int64]
    spectrum: npt.NDArray[np.uint16]

    @cached_property
    def total(self) -> Floats:
        """Energy of all layers in MeV, shape (n,)."""
        return np.asarray(self.energy.sum(axis=1))

    def centre(self, direction: int) -> Floats:
        """Energy-weighted mean of eta (0), phi (1) or r (2) per layer in mm; 0 for empty layers, shape (n, K)."""
        return np.asarray(self.first[:, :, direction] / np.where(self.energy > 0, self.energy, 1.0))

    def width(self, direction: int) -> Floats:
        """Energy-weighted standard deviation of the same in mm; 0 for empty layers, shape (n, K)."""
        mean_square = self.second[:, :, direction] / np.where(self.energy > 0, self.energy, 1.0)
        variance = mean_square - self.centre(direction) ** 2
        # A single voxel has no width: what rounding leaves must not look like one.
        return np.asarray(np.sqrt(np.where(variance > _ROUNDING * mean_square, variance, 0.0)))


def layer_moments(sample: VoxelSample, threshold: float, *, spectrum_per_layer: bool = False) -> LayerMoments:
    """Collect the moments of every layer.

    Parameters
    ----------
    sample : VoxelSample (n,)
    threshold : float
        Voxels below so many MeV count as empty.
    spectrum_per_layer : bool
        Whether voxel spectra tell layers apart.
    """
    binning, n = sample.binning, len(sample)
    k = len(binning.layer_ids)
    r = 0.5 * (binning.r_low + binning.r_high)
    place = np.stack([r * np.cos(binning.alpha), r * np.sin(binning.alpha), r], axis=1)
    found = LayerMoments(
        energy=np.zeros((n, k)),
        first=np.zeros((n, k, 3)),
        second=np.zeros((n, k, 3)),
        hit=np.zeros((n, k), dtype=np.int32),
        n_voxels=np.diff(binning.first),
        spectrum=np.zeros((n, k if spectrum_per_layer else 1, N_SPECTRUM_BINS), dtype=np.uint16),
    )
    _collect(
        sample.offsets, sample.number, sample.value, float(threshold), binning.layer, place,
        found.energy, found.first, found.second, found.hit, found.spectrum,
    )  # fmt: skip
    return found


@parallel_kernel
def _collect(
    offsets: Any, number: Any, value: Any, threshold: float, layer: Any, place: Any,
    energy: Any, first: Any, second: Any, hit: Any, spectrum: Any,
) -> None:  # fmt: skip
    lowest = max(threshold, 1e-300)
    per_layer = spectrum.shape[1] > 1
    for i in prange(len(offsets) - 1):
        for j in range(offsets[i], offsets[i + 1]):
            e = float(value[j])
            if e < threshold:
                continue
            v = number[j]
            k = layer[v]
            energy[i, k] += e
            hit[i, k] += 1
            for c in range(3):
                first[i, k, c] += e * place[v, c]
                second[i, k, c] += e * place[v, c] * place[v, c]
            b = int(math.log10(e / lowest) * BINS_PER_DECADE)
            b = min(max(b, 0), N_SPECTRUM_BINS - 1)
            spectrum[i, k if per_layer else 0, b] += 1
