"""Separation power as the CaloChallenge defines it, histogram by histogram.

The definition is that of its evaluation (github.com/CaloChallenge/homepage, 9b41df7; C. Krause et al.,
arXiv:2410.21611) with all it is known for: what lies outside a histogram vanishes and the rest is renormalised, edges
of energy histograms end at the largest value of the reference, empty layers are entries like others (or, in
logarithmic bins, none), and a histogram without a single entry of a candidate has separation NaN. It is here to be
comparable with published numbers; `separation` is the better judge.

Each histogram is normalised to 1 inside its range, and S = 1/2 sum (p - q)^2 / (p + q + 1e-16).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastparam._numba import parallel_kernel, prange
from fastparam.comparison.moments import LayerMoments
from fastparam.comparison.separation import REPLICAS, Separation, Separations, combine, resampled_shares, strata_of
from fastparam.comparison.voxels import VoxelSample
from fastparam.geometry.voxels import VoxelBinning

__all__ = [
    "DATA_SETS",
    "ChallengeHistograms",
    "ChallengeReference",
    "DataSet",
    "challenge_features",
    "challenge_separations",
    "data_set_of",
]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class DataSet:
    """What the evaluation of a data set fixes.

    Attributes
    ----------
    name : str
        As in the table of published results.
    threshold : float
        Voxels below so many MeV are set to 0.
    n_voxels : int
    n_layers : int
    points : bool
        Whether incident energies are points: then E_tot has a histogram for each.
    narrow_from : float
        From this energy in MeV on, these histograms go from 0.9 to 1.1.
    """

    name: str
    threshold: float
    n_voxels: int
    n_layers: int
    points: bool
    narrow_from: float = np.inf


#: Sets 2 and 3 count half a keV of deposit, divided by their sampling fraction.
DATA_SETS = (
    DataSet("1-photons", 1.0, 368, 5, True, narrow_from=4096.0),
    DataSet("1-pions", 1.0, 533, 7, True),
    DataSet("2", 0.5e-3 / 0.033, 6480, 45, False),
    DataSet("3", 0.5e-3 / 0.033, 40500, 45, False),
)


#: What the challenge's classifiers divide features by.
_UNITS = {f"{what}_{axis}": 100.0 for what in ("EC", "width") for axis in ("eta", "phi", "r")}

#: With more incident energies than this they are a spectrum.
_MOST_POINTS = 30


def data_set_of(binning: VoxelBinning) -> DataSet | None:
    """Return the data set that has this binning, or None."""
    for known in DATA_SETS:
        if binning.n_voxels == known.n_voxels and len(binning.layer_ids) == known.n_layers:
            return known
    return None


@dataclass(frozen=True)
class ChallengeHistograms:
    """Where the n showers of a sample lie in all F histograms; moments are not needed any more.

    Attributes
    ----------
    codes : uint8 array (F, n)
        1 + the bin, 0 outside.
    spectrum : uint16 array (n, B)
        Voxels of each shower per bin of energy.
    energy, share : float64 arrays (n,)
        Incident energy in MeV, and the total over it.
    """

    codes: npt.NDArray[np.uint8]
    spectrum: npt.NDArray[np.uint16]
    energy: Floats
    share: Floats


class ChallengeReference:
    """Full simulation as the challenge's histograms: their edges, and in which bins its showers are.

    Everything that candidates are compared with, so that the moments need not be kept.

    Parameters
    ----------
    moments, sample : LayerMoments, VoxelSample
        The moments of the very sample, with `threshold`.
    threshold : float
        In MeV of the sample, before `scale`.
    data_set : DataSet, optional
        Default: by `data_set_of`. Other binnings get the ranges of data set 1.
    scale : float
        What visible energies are multiplied with to be comparable with incident ones.
    """

    def __init__(
        self, moments: LayerMoments, sample: VoxelSample, *, threshold: float, data_set: DataSet | None = None,
        scale: float = 1.0,
    ) -> None:  # fmt: skip
        self._known = data_set or data_set_of(sample.binning)
        self._threshold, self._scale = threshold, scale
        self._edges: dict[str, Floats] = {}
        for name, layer, full in _columns(moments, sample, scale):
            title = name if layer is None else f"{name}_{layer}"
            self._edges[title] = _edges(name, layer, full, threshold * scale, self._known)
        top = float(sample.value.max(initial=threshold)) * scale
        self._spectrum_edges = np.logspace(np.log10(threshold * scale), np.log10(top), 50)
        self._filled = self.fill(moments, sample)

    def separations(
        self, candidate: ChallengeHistograms, *, seed: int = 1, replicas: int = REPLICAS
    ) -> tuple[Separations, tuple[Separation, ...]]:
        """Compute the separation power of every histogram for a candidate.

        Parameters
        ----------
        candidate : ChallengeHistograms
            As `fill` returns them.
        seed, replicas : int
            Of the bootstrap.

        Returns
        -------
        all energies : Separations
            One per histogram, 29, 45 or 361 in the data sets, and last that of all voxels, which is not part of the
            mean. `raw` is the challenge's number; `value` has the expected floor subtracted.
        per energy : tuple of Separation
            E_tot for each incident energy, where these are points.
        """
        both = self._filled, candidate
        strata = strata_of(both[0].energy, both[1].energy)
        widest = max(len(edges) for edges in self._edges.values()) - 1
        options = {"replicas": replicas, "seed": seed}
        shares = [resampled_shares(f.codes, strata[i], widest, side=i, **options) for i, f in enumerate(both)]
        found = combine(list(self._edges), *shares)
        n_bins = len(self._spectrum_edges) - 1
        spectra = [resampled_shares(f.spectrum, strata[i], n_bins, side=i, **options) for i, f in enumerate(both)]
        voxels = combine(["voxel_energy"], *spectra).features
        points = self._per_energy(both, options)
        return Separations((*found.features, *voxels), found.mean), points

    def fill(self, moments: LayerMoments, sample: VoxelSample) -> ChallengeHistograms:
        """Fill a sample into the histograms of this reference."""
        codes = np.stack(
            [
                _bins(x, edges)
                for (_, _, x), edges in zip(
                    _columns(moments, sample, self._scale), self._edges.values(), strict=True
                )
            ]
        )  # fmt: skip
        spectrum = _spectrum(sample, self._spectrum_edges, self._threshold, self._scale)
        return ChallengeHistograms(codes, spectrum, sample.energy, moments.total * self._scale / sample.energy)

    def _per_energy(
        self, both: tuple[ChallengeHistograms, ChallengeHistograms], options: dict[str, int]
    ) -> tuple[Separation, ...]:
        """Separate E_tot at each incident energy."""
        points = np.unique(both[0].energy)
        if (self._known is not None and not self._known.points) or len(points) > _MOST_POINTS:
            return ()
        found: list[Separation] = []
        for energy in points:
            narrow = self._known is not None and energy >= self._known.narrow_from
            edges = np.linspace(0.9, 1.1, 21) if narrow else np.linspace(0.4, 1.4, 21)
            shares = []
            for side, filled in enumerate(both):
                code = _bins(filled.share[np.isclose(filled.energy, energy, rtol=1e-4)], edges)
                shares.append(
                    resampled_shares(code[None], np.zeros(len(code), dtype=np.int64), 20, side=side, **options)
                )  # fmt: skip
            if all(s.share.shape[1] for s in shares):
                found += combine([f"E_tot_{energy:.6g}_MeV"], *shares).features
        return tuple(found)


def challenge_separations(
    reference: tuple[LayerMoments, VoxelSample],
    candidate: tuple[LayerMoments, VoxelSample],
    *,
    threshold: float,
    data_set: DataSet | None = None,
    scale: float = 1.0,
    seed: int = 1,
    replicas: int = REPLICAS,
) -> tuple[Separations, tuple[Separation, ...]]:
    """Compute the separation power of every histogram of two samples; see `ChallengeReference`."""
    full = ChallengeReference(*reference, threshold=threshold, data_set=data_set, scale=scale)
    return full.separations(full.fill(*candidate), seed=seed, replicas=replicas)


def challenge_features(
    moments: LayerMoments, sample: VoxelSample, scale: float = 1.0, most: int | None = None
) -> npt.NDArray[np.float32]:
    """Return the high-level features of the challenge's classifier, which FPD and KPD use, float32 (n, D).

    log10 of the incident energy and of every layer's, centres and widths in eta and phi / 100 where there are parts in
    alpha, log10 of the total, sparsity, centre and width in r / 100: 30, 46, 362 and 362 in the four data sets. Of the
    first `most` showers, by default all.
    """
    table: dict[str, list[npt.NDArray[np.float32]]] = {}
    for name, _, x in _columns(moments, sample, scale):
        part = np.log10(x[:most] + 1e-8) if name == "E_layer" else x[:most] / _UNITS.get(name, 1.0)
        table.setdefault(name, []).append(part.astype(np.float32))
    columns = [np.log10(sample.energy[:most]).astype(np.float32), *table["E_layer"]]
    for name in ("EC_eta", "EC_phi", "width_eta", "width_phi"):
        columns += table.get(name, [])
    columns.append(np.log10(moments.total[:most] * scale + 1e-8).astype(np.float32))
    for name in ("sparsity", "EC_r", "width_r"):
        columns += table[name]
    return np.stack(columns, axis=1)


def _columns(moments: LayerMoments, sample: VoxelSample, scale: float) -> Iterator[tuple[str, int | None, Floats]]:
    """Go through all histogrammed quantities: name, layer id, values of all showers."""
    ids, n_alpha = sample.binning.layer_ids, sample.binning.n_alpha
    yield "E_tot", None, moments.total * scale / sample.energy
    for k, layer in enumerate(ids):
        yield "E_layer", layer, moments.energy[:, k] * scale
    for c, axis in enumerate(("eta", "phi", "r")):
        centre, width = moments.centre(c), moments.width(c)
        for what, table in (("EC", centre), ("width", width)):
            for k, layer in enumerate(ids):
                if axis == "r" or n_alpha[k] > 1:
                    yield f"{what}_{axis}", layer, table[:, k]
    for k, layer in enumerate(ids):
        yield "sparsity", layer, 1.0 - moments.hit[:, k] / moments.n_voxels[k]


def _edges(name: str, layer: int | None, full: Floats, threshold: float, known: DataSet | None) -> Floats:
    if name == "E_tot":
        return np.linspace(0.5, 1.5, 101)
    if name == "E_layer":
        return np.logspace(np.log10(threshold), np.log10(max(float(full.max()), threshold)), 40)
    if name == "sparsity":
        return np.linspace(0.0, 1.0, 21)
    fine = known is not None and not known.points  # sets 2 and 3
    hadronic = not fine and known is not None and layer in (12, 13, 14)
    if name in ("EC_eta", "EC_phi"):
        reach = 30.0 if fine else 500.0 if hadronic and layer != 14 else 100.0
        return np.linspace(-reach, reach, 101)
    if name in ("width_eta", "width_phi"):
        return np.linspace(0.0, 30.0 if fine else 400.0 if hadronic and layer != 14 else 100.0, 101)
    if name == "EC_r":
        return np.linspace(0.0, 42.0 if fine else 1500.0 if hadronic else 500.0, 101)
    return np.linspace(0.0, 20.0 if fine else 1500.0 if hadronic else 500.0, 101)  # width_r


def _bins(x: Floats, edges: Floats) -> npt.NDArray[np.uint8]:
    """Return 1 + the bin of each value as `numpy.histogram` would fill it, 0 for what lies outside."""
    code = np.searchsorted(edges, x, side="right")
    code[x == edges[-1]] = len(edges) - 1
    code[code == len(edges)] = 0
    return code.astype(np.uint8)


def _spectrum(sample: VoxelSample, edges: Floats, threshold: float, scale: float) -> npt.NDArray[np.uint16]:
    """Count the voxels of each shower per bin of energy, shape (n, B)."""
    content = np.zeros((len(sample), len(edges) - 1), dtype=np.uint16)
    _fill_spectrum(sample.offsets, sample.value, edges, threshold, scale, content)
    return content


@parallel_kernel
def _fill_spectrum(offsets: Any, value: Any, edges: Any, threshold: float, scale: float, content: Any) -> None:
    last = len(edges) - 1
    for i in prange(len(offsets) - 1):
        for j in range(offsets[i], offsets[i + 1]):
            e = float(value[j])
            if e < threshold:
                continue
            e *= scale
            if e < edges[0] or e > edges[last]:
                continue
            b = min(np.searchsorted(edges, e, side="right") - 1, last - 1)
            content[i, b] += 1
