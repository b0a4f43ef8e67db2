"""Files of showers that are voxels already: CaloChallenge HDF5 and FastCaloGAN CSV, read in chunks.

An HDF5 file has one order of voxels by definition. CSV files come in two, depending on the version of FastCaloGAN:
alpha outside and r inside (version 1, as in the challenge) or the other way round (version 2); which one is told from
the mean shower, nearly flat along alpha in the right order, and said.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import h5py
import numpy as np
import numpy.typing as npt

from fastparam.comparison.voxels import VoxelSample, concatenate_voxels
from fastparam.errors import InputError
from fastparam.geometry.binning_xml import read_binning_xml
from fastparam.geometry.schema import BinningRegion
from fastparam.geometry.voxels import VoxelBinning, default_voxels
from fastparam.particles import Particles

if TYPE_CHECKING:
    from fastparam.geometry.detector import Geometry

__all__ = ["VoxelFile", "is_voxel_file", "read_voxel_file", "regions_of", "transposed", "voxel_order"]

Floats = npt.NDArray[np.float64]
Rows = Literal["all", "even", "odd"]

_HDF5 = (".h5", ".hdf5")
_CHUNK = 32_000_000  # voxels read at a time

#: By how much one order of voxels has to be flatter along alpha than the other to be told.
_CLEARLY = 1.5


@dataclass(frozen=True)
class VoxelFile:
    """What such a file holds.

    Attributes
    ----------
    sample : VoxelSample (n,)
    particles : Particles (n,)
        Incident energies as the file states them. Directions are those of ``eta`` and ``phi`` if the file has them.
    directed : bool
        Whether it has.
    notes : tuple of str
        What was found or assumed, for the provenance.
    """

    sample: VoxelSample
    particles: Particles
    directed: bool
    notes: tuple[str, ...]


def is_voxel_file(path: Path) -> bool:
    """Whether a file is one of voxels, by its ending; HDF5 is, too, unless it says that it is a tune or a summary."""
    return path.suffix == ".csv" or (path.suffix in _HDF5 and not _is_tune_or_summary(path))


def _is_tune_or_summary(path: Path) -> bool:
    try:
        with h5py.File(path, "r") as file:
            kind = file.attrs.get("fastparam", b"")
    except (OSError, RuntimeError):  # missing or damaged: whoever reads it says so
        return False
    return kind in (b"tune", b"summary", "tune", "summary")


def regions_of(binning: Path | Geometry) -> list[BinningRegion]:
    """Return the voxels of an XML file or of a detector."""
    if isinstance(binning, Path):
        return [BinningRegion.model_validate(region) for region in read_binning_xml(binning)]
    regions = list(binning.config.binning or ())
    if regions:
        return regions
    default = default_voxels(binning)
    layers = [
        {"id": i, "r_edges": list(edges), "n_bin_alpha": n}
        for i, edges, n in zip(default.layer_ids, default.r_edges, default.n_alpha, strict=True)
    ]
    return [BinningRegion.model_validate({"layers": layers})]


def read_voxel_file(
    path: Path, regions: Sequence[BinningRegion], *, rows: Rows = "all", pdg: int | None = None
) -> VoxelFile:
    """Read showers in voxels.

    Parameters
    ----------
    path : Path
        HDF5, one CSV file, or a folder or pattern of CSV files that differ in energy.
    regions : sequence of BinningRegion
        Of geometry.yaml or of a binning's XML (`regions_of`); the one with as many voxels as the file is used.
    rows : "all", "even" or "odd"
    pdg : int, optional
        Particle; default that of the file's name, of its data or of the region.

    Raises
    ------
    InputError
        If there is no such file, it lacks what the format demands, or no region has as many voxels.
    """
    return _read_hdf5(path, regions, rows, pdg) if path.suffix in _HDF5 else _read_csv(path, regions, rows, pdg)


def voxel_order(mean: Floats, binning: VoxelBinning) -> Literal["alpha outside", "r outside", "unclear"]:
    """Tell the order of voxels inside a layer from a mean shower, shape (n_voxels,)."""
    ours, other, seen = 0.0, 0.0, False
    for k, (n_r, n_alpha) in enumerate(zip(binning.n_r, binning.n_alpha, strict=True)):
        part = mean[binning.first[k] : binning.first[k + 1]]
        if n_alpha < 2 or n_r < 2 or part.sum() <= 0:
            continue
        seen = True
        for shape, axis in (((n_alpha, n_r), 0), ((n_r, n_alpha), 1)):
            table = part.reshape(shape)
            uneven = float(table.std(axis=axis).sum() / max(float(table.mean(axis=axis).sum()), 1e-300))
            if axis == 0:
                ours += uneven
            else:
                other += uneven
    if not seen or max(ours, other) <= _CLEARLY * min(ours, other):
        return "unclear"
    return "alpha outside" if ours < other else "r outside"


def transposed(binning: VoxelBinning) -> npt.NDArray[np.int64]:
    """Return which column of a file with r outside and alpha inside holds each of our voxels, shape (n_voxels,)."""
    n_alpha = np.array(binning.n_alpha)[binning.layer]
    found: npt.NDArray[np.int64] = binning.first[binning.layer] + binning.ring * n_alpha + binning.sector
    return found


def _read_hdf5(path: Path, regions: Sequence[BinningRegion], rows: Rows, pdg: int | None) -> VoxelFile:
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise InputError(f"{path}: is not an HDF5 file that can be read ({error})") from error
    with file:
        missing = [name for name in ("incident_energies", "showers") if name not in file]
        if missing:
            raise InputError(
                f"{path}: lacks the data set {' and '.join(missing)}; a file of the CaloChallenge has"
                " incident_energies (N, 1) and showers (N, n_voxels)"
            )
        energy = np.asarray(file["incident_energies"], dtype=np.float64).reshape(-1)
        showers = file["showers"]
        if len(showers.shape) != 2 or showers.shape[0] != len(energy) or not len(energy):
            raise InputError(
                f"{path}: showers of shape {showers.shape} for {len(energy)} incident energies;"
                " expected one row of voxels for each"
            )
        _check_energies(path, energy)
        binning, region = _fitting(path, int(showers.shape[1]), regions)
        step = max(1, _CHUNK // showers.shape[1])
        first, stride = {"all": (0, 1), "even": (0, 2), "odd": (1, 2)}[rows]
        chosen = slice(first, None, stride)
        parts = []
        for low in range(0, len(energy), step + step % 2):  # even steps: rows keep their parity
            voxels = showers[low : low + step + step % 2][chosen]
            parts.append(VoxelSample.from_dense(voxels, energy[low : low + step + step % 2][chosen], binning))
        extra = {
            name: np.asarray(file[name], dtype=np.float64).reshape(-1)[chosen]
            for name in ("eta", "phi", "pdg")
            if name in file and file[name].size == len(energy)
        }
    sample = concatenate_voxels(parts)
    if not len(sample):
        raise InputError(f"{path}: not a single shower in rows '{rows}'")
    code = pdg if pdg is not None else int(extra["pdg"][0]) if "pdg" in extra else region.pid or 22
    notes = [
        f"{path.name}: {len(sample)} showers of {binning.n_voxels} voxels, order of the CaloChallenge by definition"
    ]
    if voxel_order(_mean(sample), binning) == "r outside":
        notes.append(
            f"{path.name}: its mean shower is flat along r rather than alpha: is the order of its voxels right?"
        )
    return _finish(sample, code, region, extra.get("eta"), extra.get("phi"), notes)


def _read_csv(path: Path, regions: Sequence[BinningRegion], rows: Rows, pdg: int | None) -> VoxelFile:
    files = sorted(path.glob("*.csv")) if path.is_dir() else sorted(path.parent.glob(path.name))
    if not files:
        raise InputError(f"{path}: there is no such file")
    tables, energies, notes = [], [], []
    code = pdg
    for file in files:
        found = re.search(r"_E(\d+(?:\.\d+)?)", file.name)
        if found is None:
            raise InputError(
                f"{file}: its name does not say the energy; expected pid22_E65536_..., the energy in MeV behind _E"
            )
        try:
            table = np.loadtxt(file, delimiter=",", ndmin=2)
        except ValueError as error:
            raise InputError(f"{file}: is not a table of numbers, one shower per line ({error})") from error
        if not table.size:
            raise InputError(f"{file}: holds no showers")
        tables.append(table)
        energies.append(np.full(len(table), float(found.group(1))))
        named = re.match(r"pid(\d+)", file.name)
        code = int(named.group(1)) if code is None and named else code
    widths = {table.shape[1] for table in tables}
    if len(widths) > 1:
        raise InputError(f"{path}: files of {' and '.join(map(str, sorted(widths)))} columns cannot be joined")
    voxels, energy = np.concatenate(tables), np.concatenate(energies)
    eta = None
    by_count = {VoxelBinning.from_region(region).n_voxels for region in regions}
    if voxels.shape[1] not in by_count and voxels.shape[1] - 2 in by_count:  # version 2: phi modulo pitch and |eta|
        eta, voxels = voxels[:, 1].copy(), voxels[:, 2:]
    binning, region = _fitting(path, voxels.shape[1], regions)
    order = voxel_order(voxels.mean(axis=0), binning)
    if order == "r outside":
        voxels = voxels[:, transposed(binning)]
    told = {
        "alpha outside": "alpha outside and r inside (FastCaloGAN version 1)",
        "r outside": "r outside and alpha inside (FastCaloGAN version 2); reordered",
        "unclear": "taken as alpha outside and r inside; the mean shower does not tell",
    }[order]
    notes.append(f"{path.name}: {len(voxels)} showers of {binning.n_voxels} voxels, order {told}")
    first, stride = {"all": (0, 1), "even": (0, 2), "odd": (1, 2)}[rows]
    chosen = slice(first, None, stride)
    sample = VoxelSample.from_dense(voxels[chosen], energy[chosen], binning)
    if not len(sample):
        raise InputError(f"{path}: not a single shower in rows '{rows}'")
    return _finish(sample, code or region.pid or 22, region, None if eta is None else eta[chosen], None, notes)


def _check_energies(path: Path, energy: Floats) -> None:
    bad = np.flatnonzero(~(np.isfinite(energy) & (energy > 0)))
    if len(bad):
        raise InputError(
            f"{path}: incident energy {energy[bad[0]]:g} in row {bad[0]}; expected a positive number of MeV"
        )


def _fitting(path: Path, n_voxels: int, regions: Sequence[BinningRegion]) -> tuple[VoxelBinning, BinningRegion]:
    counts = []
    for region in regions:
        binning = VoxelBinning.from_region(region)
        if binning.n_voxels == n_voxels:
            return binning, region
        counts.append(binning.n_voxels)
    raise InputError(
        f"{path}: {n_voxels} voxels per shower, the binning has {' or '.join(map(str, sorted(set(counts))))};"
        " give the binning's XML or a geometry.yaml with it (--geometry)"
    )


def _mean(sample: VoxelSample) -> Floats:
    return sample.per_voxel() / len(sample)


def _finish(
    sample: VoxelSample, pdg: int, region: BinningRegion, eta: Floats | None, phi: Floats | None, notes: list[str]
) -> VoxelFile:
    n = len(sample)
    directed = eta is not None and phi is not None
    if eta is not None:
        particles = Particles.gun(pdg=pdg, energy=sample.energy, eta=eta, phi=0.0 if phi is None else phi)
    elif region.eta is not None:
        middle = 0.5 * (region.eta[0] + region.eta[1])
        particles = Particles.gun(pdg=pdg, energy=sample.energy, n=n, eta=middle)
    else:
        particles = Particles.gun(pdg=pdg, energy=sample.energy, n=n, direction=(0.0, 0.0, 1.0))
    return VoxelFile(sample, particles, directed, tuple(notes))
