"""Features of showers in voxels: what separation, classifiers and distances are computed from.

Per layer the share of the incident energy, mean radius and occupancy, in layers with several parts in alpha also
centre and width along eta and phi; of the whole shower its visible share, occupancy and, in a calorimeter of many
layers, depth; and the spectrum of voxel energies. Marginals only: what links them is for the classifier to see.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastparam.comparison.moments import LayerMoments, layer_moments
from fastparam.comparison.voxels import VoxelSample
from fastparam.geometry.voxels import VoxelBinning

__all__ = ["MANY_LAYERS", "FeatureTable", "features_of", "features_of_moments", "voxel_features"]

Floats = npt.NDArray[np.float64]

#: With more layers than this the shower has a depth, and one spectrum of voxels stands for all layers.
MANY_LAYERS = 6


@dataclass(frozen=True)
class FeatureTable:
    """Features of n showers.

    Attributes
    ----------
    energy : float64 array (n,)
        Incident energy in MeV.
    names : tuple of str (F,)
        Of the scalar features: what, then the user's layer id.
    values : float32 array (n, F)
        Scalars. An empty layer has 0 in all of its features. In single precision the rounding of sums is gone, so that
        what repeats (the radius of a single voxel) is exactly equal.
    spectrum_names : tuple of str (G,)
        Of the features with many entries per shower.
    spectra : uint16 array (n, G, B)
        Entries of each shower in fixed fine bins, `moments.N_SPECTRUM_BINS` of them.
    """

    energy: Floats
    names: tuple[str, ...]
    values: npt.NDArray[np.float32]
    spectrum_names: tuple[str, ...]
    spectra: npt.NDArray[np.uint16]

    def __len__(self) -> int:
        """Return the number of showers."""
        return len(self.energy)

    @property
    def all_names(self) -> tuple[str, ...]:
        """Scalars first, then spectra."""
        return self.names + self.spectrum_names

    def take(self, rows: Any) -> FeatureTable:
        """Return the showers of a mask, slice or list of positions."""
        return FeatureTable(self.energy[rows], self.names, self.values[rows], self.spectrum_names, self.spectra[rows])


def voxel_features(
    voxels: npt.NDArray[Any], energy: npt.NDArray[Any], binning: VoxelBinning, *, threshold: float
) -> FeatureTable:
    """Compute the features of a matrix of voxels.

    Parameters
    ----------
    voxels : array (n, n_voxels)
        Energy in MeV in the order of `binning`.
    energy : array (n,)
        Incident energy in MeV.
    binning : VoxelBinning
    threshold : float
        Voxels below so many MeV are set to 0 first; a tenth of what a minimum-ionising particle leaves is a good
        choice (0.05 in the liquid argon of lar_accordion, 0.02 in the silicon of siw).

    Returns
    -------
    FeatureTable (n,)
        27 features for the voxels of lar_accordion, 320 for those of siw.
    """
    return features_of(VoxelSample.from_dense(voxels, energy, binning), threshold=threshold)


def features_of(sample: VoxelSample, *, threshold: float) -> FeatureTable:
    """Compute the features of a `VoxelSample`; see `voxel_features`."""
    per_layer = len(sample.binning.layer_ids) <= MANY_LAYERS
    moments = layer_moments(sample, threshold, spectrum_per_layer=per_layer)
    return features_of_moments(moments, sample.energy, sample.binning)


def features_of_moments(moments: LayerMoments, energy: Floats, binning: VoxelBinning) -> FeatureTable:
    """Compute the features from moments that were collected already."""
    ids = binning.layer_ids
    names = _scalar_names(binning)
    values = np.empty((len(energy), len(names)), dtype=np.float32)
    for (name, column), f in zip(_scalars(moments, energy, binning), range(len(names)), strict=True):
        assert name == names[f]
        values[:, f] = column
    spectra, spectrum_names = moments.spectrum, ["spectrum"]
    if len(ids) > MANY_LAYERS:
        spectra = spectra.sum(axis=1, keepdims=True, dtype=np.uint16)
    elif spectra.shape[1] == len(ids) > 1:
        spectrum_names += [f"spectrum_{layer}" for layer in ids]
        spectra = np.concatenate([spectra.sum(axis=1, keepdims=True, dtype=np.uint16), spectra], axis=1)
    return FeatureTable(
        energy=energy, names=tuple(names), values=values, spectrum_names=tuple(spectrum_names), spectra=spectra
    )


def _scalar_names(binning: VoxelBinning) -> list[str]:
    k = len(binning.layer_ids)
    none = LayerMoments(
        energy=np.zeros((0, k)), first=np.zeros((0, k, 3)), second=np.zeros((0, k, 3)),
        hit=np.zeros((0, k), dtype=np.int32), n_voxels=np.diff(binning.first),
        spectrum=np.zeros((0, 1, 1), dtype=np.uint16),
    )  # fmt: skip
    return [name for name, _ in _scalars(none, np.zeros(0), binning)]


def _scalars(moments: LayerMoments, energy: Floats, binning: VoxelBinning) -> Iterator[tuple[str, Floats]]:
    """Go through the scalar features one by one: of 100 000 showers all together take a gigabyte."""
    yield "E_tot", moments.total / energy
    centre, width = [moments.centre(c) for c in range(3)], [moments.width(c) for c in range(2)]
    for k, layer in enumerate(binning.layer_ids):
        yield f"E_{layer}", moments.energy[:, k] / energy
        yield f"mean_r_{layer}", centre[2][:, k]
        yield f"occupancy_{layer}", moments.hit[:, k] / moments.n_voxels[k]
        if binning.n_alpha[k] > 1:
            for c, axis in enumerate(("eta", "phi")):
                yield f"centre_{axis}_{layer}", centre[c][:, k]
                yield f"width_{axis}_{layer}", width[c][:, k]
    yield "occupancy", moments.hit.sum(axis=1) / binning.n_voxels
    if len(binning.layer_ids) > MANY_LAYERS:
        # Depth in numbers of layers: a voxel-only sample knows nothing else.
        number = np.arange(len(binning.layer_ids), dtype=np.float64)
        total = np.where(moments.total > 0, moments.total, 1.0)
        depth = moments.energy @ number / total
        yield "depth_mean", depth
        yield "depth_width", np.sqrt(np.maximum(moments.energy @ number**2 / total - depth**2, 0.0))
