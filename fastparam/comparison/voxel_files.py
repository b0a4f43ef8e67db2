"""Files of voxels as `VoxelSample`: which voxels they are, which rows are wanted, and no more of them in memory.

The formats are read by `showers.calochallenge` and `showers.fastcalogan`, block by block.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import h5py
import numpy as np
import numpy.typing as npt

from fastparam.comparison.voxels import VoxelBuilder, VoxelSample
from fastparam.errors import FastparamWarning, InputError
from fastparam.geometry.binning_xml import read_binning_xml
from fastparam.geometry.load import parse_geometry
from fastparam.geometry.schema import BinningRegion
from fastparam.geometry.voxels import VoxelBinning, default_voxels
from fastparam.particles import Particles
from fastparam.showers.calochallenge import read_calochallenge
from fastparam.showers.fastcalogan import companions, n_columns, read_fastcalogan, voxel_order
from fastparam.showers.voxelfile import VoxelFile

if TYPE_CHECKING:
    from fastparam.geometry.detector import Geometry

__all__ = ["VoxelShowers", "is_voxel_file", "read_voxel_file", "regions_of", "stated_regions"]

Floats = npt.NDArray[np.float64]
Rows = Literal["all", "even", "odd"]

_HDF5 = (".h5", ".hdf5")

#: Voxels that are read at a time.
_BLOCK = 8_000_000


@dataclass(frozen=True)
class VoxelShowers:
    """What such a file holds.

    Attributes
    ----------
    sample : VoxelSample (n,)
        In single precision.
    particles : Particles (n,)
        Incident energies as the file states them; of FastCaloGAN, whose names hold momenta, the kinetic energy.
        Directions are those of the file if it has them.
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
    """Whether a file is one of voxels, by its ending; HDF5 is, too, unless it says that it is a tune or a summary.

    Of a folder, or of a pattern of names, its CSV files.
    """
    if path.is_dir():
        return any(path.glob("*.csv"))
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
    return [_region(default_voxels(binning))]


def stated_regions(path: Path) -> tuple[list[BinningRegion], Geometry | None]:
    """Return the voxels that a file, or the XML beside it, states, and its detector; neither where it states none."""
    if path.suffix == ".csv":
        xml = companions(path)[0]
        return (regions_of(xml) if xml.is_file() else []), None
    if path.suffix not in _HDF5 or not path.is_file():
        return [], None
    file = read_calochallenge(path)
    detector = parse_geometry(file.geometry, path) if file.geometry is not None else None
    return ([] if file.binning is None else [_region(file.binning)]), detector


def _region(binning: VoxelBinning) -> BinningRegion:
    layers = [
        {"id": i, "r_edges": list(edges), "n_bin_alpha": n}
        for i, edges, n in zip(binning.layer_ids, binning.r_edges, binning.n_alpha, strict=True)
    ]
    return BinningRegion.model_validate({"layers": layers})


def read_voxel_file(
    path: Path,
    regions: Sequence[BinningRegion],
    *,
    rows: Rows = "all",
    pdg: int | None = None,
    keep: Callable[[Particles], npt.NDArray[np.bool_]] | None = None,
    most: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> VoxelShowers:
    """Read showers in voxels.

    Parameters
    ----------
    path : Path
        HDF5, one CSV file, or a folder or pattern of CSV files that differ in energy.
    regions : sequence of BinningRegion
        Of geometry.yaml or of a binning's XML (`regions_of`); the first with as many voxels as the file is used.
    rows : "all", "even" or "odd"
        Counted through all files in order of their names.
    pdg : int, optional
        Particle; default that of the file's data or name, or of the region.
    keep : function of Particles, optional
        Returns which showers are wanted, shape (n,); the others are read, but not kept.
    most : int, optional
        Showers at most, from the first one on.
    progress : callable, optional
        Called with the fraction that is read.

    Raises
    ------
    InputError
        If there is no such file, it lacks what the format demands, no region has as many voxels, or voxels are no
        numbers.

    Warns
    -----
    FastparamWarning
        If voxels are negative.
    """
    files = _files(path)
    binning, region = _fitting(path, _counts(files), regions)
    opened = [
        read_fastcalogan(f, binning, pdg=pdg) if f.suffix == ".csv" else read_calochallenge(f) for f in files
    ]  # fmt: skip
    particles, directed = _particles(opened, pdg, region)
    wanted = np.zeros(len(particles), dtype=bool)
    wanted[{"all": slice(None), "even": slice(0, None, 2), "odd": slice(1, None, 2)}[rows]] = True
    if not wanted.any():
        raise InputError(f"{path}: not a single shower in rows '{rows}'")
    if keep is not None:
        wanted &= keep(particles)
    if most is not None:
        wanted[np.flatnonzero(wanted)[most:]] = False
    builder, negative, first = VoxelBuilder(binning), 0, 0
    for file in opened:
        step = max(1, _BLOCK // (binning.n_voxels * file.chunk)) * file.chunk
        for low in range(0, len(file), step):
            high = min(low + step, len(file))
            chosen = wanted[first + low : first + high]
            if chosen.any():
                voxels = file.rows(low, high)
                voxels = voxels if chosen.all() else voxels[chosen]
                negative += _impossible(file.path, voxels, low + np.flatnonzero(chosen))
                builder.add(voxels, particles.energy[first + low : first + high][chosen])
            if progress is not None:
                progress((first + high) / len(particles))
        first += len(file)
    sample = builder.finish()
    notes = [f"{f.path.name}: {len(f)} showers of {f.n_voxels} voxels; {' '.join(f.notes)}" for f in opened]
    if negative:
        text = f"{path.name}: {negative} voxels of negative energy count as empty"
        warnings.warn(text, FastparamWarning, stacklevel=2)
        notes.append(text)
    mean = sample.per_voxel() / max(len(sample), 1)
    if path.suffix in _HDF5 and voxel_order(binning, mean) == "v2":
        notes.append(f"{path.name}: its mean shower is flat along r, not alpha: is the order of its voxels right?")
    return VoxelShowers(sample, particles.take(np.flatnonzero(wanted)), directed, tuple(notes))


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        found = sorted(path.glob("*.csv"))
    elif any(mark in path.name for mark in "*?["):
        found = sorted(path.parent.glob(path.name))
    else:
        found = [path] if path.is_file() else []
    found = [f for f in found if not f.name.endswith(".particles.csv")]
    if not found:
        raise InputError(f"{path}: there is no such file")
    return found


def _counts(files: Sequence[Path]) -> list[tuple[int, ...]]:
    """Return how many voxels each file can have: a line of CSV may begin with two other numbers."""
    counts: list[tuple[int, ...]] = []
    for file in files:
        if file.suffix == ".csv":
            n = n_columns(file)
            if n == 0:
                raise InputError(f"{file}: holds no showers")
            counts.append((n, n - 2))
        else:
            counts.append((read_calochallenge(file).n_voxels,))
    return counts


def _fitting(
    path: Path, counts: Sequence[tuple[int, ...]], regions: Sequence[BinningRegion]
) -> tuple[VoxelBinning, BinningRegion]:
    known = [(VoxelBinning.from_region(region), region) for region in regions]
    for binning, region in known:
        if all(binning.n_voxels in possible for possible in counts):
            return binning, region
    expected = " or ".join(map(str, sorted({binning.n_voxels for binning, _ in known})))
    raise InputError(
        f"{path}: {' and '.join(sorted({str(possible[0]) for possible in counts}))} voxels per shower, the binning has"
        f" {expected}; give the binning's XML or a geometry.yaml with it (--geometry)"
    )


def _particles(files: Sequence[VoxelFile], pdg: int | None, region: BinningRegion) -> tuple[Particles, bool]:
    """Return the particles of all files, and whether the files say where they went."""
    parts, directed = [], True
    for file in files:
        known, n = file.columns, len(file)
        default = pdg if pdg is not None else region.pid or 22
        codes = known["pdg"] if "pdg" in known and pdg is None else np.full(n, default)
        if "position" in known and "direction" in known:
            position, direction = known["position"], known["direction"]
        else:
            directed &= "eta" in known and "phi" in known
            eta = known.get("eta", None if region.eta is None else np.full(n, 0.5 * sum(region.eta)))
            phi = known.get("phi", np.zeros(n))
            position = np.zeros((n, 3))
            direction = np.tile([0.0, 0.0, 1.0], (n, 1))
            if eta is not None:
                direction = np.stack([np.cos(phi), np.sin(phi), np.sinh(eta)], axis=1)
        parts.append(Particles.build(pdg=codes, energy=file.energy, position=position, direction=direction))
    joined = parts[0] if len(parts) == 1 else Particles.concatenate(parts)
    return joined.with_index(np.arange(len(joined))), directed


def _impossible(path: Path, voxels: npt.NDArray[Any], row: npt.NDArray[np.int64]) -> int:
    """Return how many voxels are negative, as some networks make them; refuse what is no number."""
    lowest = voxels.min(axis=1, initial=0.0)  # NaN where there is one
    broken = ~(np.isfinite(lowest) & np.isfinite(voxels.max(axis=1, initial=0.0)))
    if broken.any():
        first = row[np.flatnonzero(broken)[0]]
        raise InputError(f"{path}: shower {first} has a voxel whose energy is no finite number; expected MeV")
    return int((voxels[lowest < 0] < 0).sum())
