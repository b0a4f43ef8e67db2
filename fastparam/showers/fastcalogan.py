"""The text layout of FastCaloGAN: one shower per line, its voxels in MeV separated by commas, the binning as XML.

Two dialects exist. Version 1 (CERN open data 15012) has nothing but voxels, in each layer alpha by alpha with r
fastest, as `VoxelBinning`; version 2 starts a line with phi modulo and |eta| and orders r by r with alpha fastest. The
number of columns tells the first difference, the showers tell the second: in the right order the mean shower is nearly
flat in alpha. Energy, particle and eta are in the file's name only, ``pid22_E65536_eta_20_25_voxalisation.csv``, and E
is a momentum.

We write version 1, and beside NAME.csv the binning NAME.xml and the particles NAME.particles.csv.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastparam.errors import FastparamWarning, GeometryError, InputError
from fastparam.files import atomic_output
from fastparam.geometry.binning_xml import read_binning_xml, write_binning_xml
from fastparam.geometry.schema import BinningRegion
from fastparam.geometry.voxels import VoxelBinning
from fastparam.particles import MASSES
from fastparam.showers.voxelfile import VoxelFile
from fastparam.showers.writer import Writer

if TYPE_CHECKING:
    from fastparam.showers.showers import Showers

__all__ = ["FastCaloGANWriter", "companions", "from_v2", "n_columns", "read_fastcalogan", "voxel_order"]

Floats = npt.NDArray[np.float64]

_NAME = re.compile(r"pid(\d+)_E(\d+)_eta_(\d+)_(\d+)")
_COLUMNS = ("pdg", "energy", "x", "y", "z", "ux", "uy", "uz")

#: What `voxel_order` found, in words.
_ORDERS = {
    "v1": "order of FastCaloGAN version 1: alpha outside, r inside",
    "v2": "order of FastCaloGAN version 2: r outside, alpha inside; reordered",
    None: "taken as alpha outside and r inside; the mean shower does not tell",
}

#: Beyond it a column is no pseudorapidity of a calorimeter.
_LARGEST_ETA = 6.0

#: Showers from which the order is told, at most, and lines that are parsed at a time.
_JUDGED, _LINES = 2000, 1000


def companions(path: Path) -> tuple[Path, Path]:
    """Return the names of the binning and of the particles beside a CSV file."""
    return path.with_suffix(".xml"), path.with_suffix(".particles.csv")


class FastCaloGANWriter(Writer):
    """Write showers as text.

    Parameters
    ----------
    path : Path
        Ending in .csv.
    binning : VoxelBinning
    pdg : int
        Particle that the XML names.
    provenance : dict
        Stored as JSON in a comment on top of the particles.
    """

    def __init__(self, path: Path, binning: VoxelBinning, *, pdg: int, provenance: Mapping[str, Any]) -> None:
        self._binning = binning
        with ExitStack() as stack:
            xml, particles = companions(path)
            self._voxels: IO[str] = stack.enter_context(
                stack.enter_context(atomic_output(path)).open("w", encoding="ascii")
            )
            self._particles: IO[str] = stack.enter_context(
                stack.enter_context(atomic_output(particles)).open("w", encoding="ascii")
            )
            self._particles.write(f"# {json.dumps(dict(provenance), sort_keys=True)}\n{','.join(_COLUMNS)}\n")
            write_binning_xml(stack.enter_context(atomic_output(xml)), binning, pdg)
            self._open = stack.pop_all()

    def write(self, showers: Showers) -> None:
        """Append showers; energies with nine significant digits."""
        for row in showers.voxels(self._binning):
            self._voxels.write(",".join("0" if e == 0.0 else f"{e:.9g}" for e in row) + "\n")
        p = showers.particles
        for row in range(len(p)):
            numbers = [p.energy[row], *p.position[row], *p.direction[row]]
            self._particles.write(f"{p.pdg[row]}," + ",".join(repr(float(v)) for v in numbers) + "\n")


def voxel_order(binning: VoxelBinning, mean: Floats) -> str | None:
    """Tell the order of voxels: "v1" (r fastest), "v2" (alpha fastest), or None where the showers cannot tell.

    Parameters
    ----------
    binning : VoxelBinning
    mean : float64 array (n_voxels,)
        Mean shower.
    """
    roughness = np.zeros(2)
    for k, (n_r, n_alpha) in enumerate(zip(binning.n_r, binning.n_alpha, strict=True)):
        if n_alpha == 1 or n_r == 1:
            continue
        layer = mean[binning.first[k] : binning.first[k + 1]]
        if not layer.any():
            continue
        for which, table in enumerate((layer.reshape(n_alpha, n_r), layer.reshape(n_r, n_alpha).T)):
            ring = table.mean(axis=0)
            spread = ((table - ring) ** 2).mean(axis=0)
            roughness[which] += (spread[ring > 0] / ring[ring > 0] ** 2 * ring[ring > 0]).sum() / mean.sum()
    # A factor of 2: real showers of some hundred differ by orders of magnitude.
    if roughness.max() <= 2.0 * roughness.min():
        return None
    return "v1" if roughness[0] < roughness[1] else "v2"


def read_fastcalogan(
    path: Path, binning: VoxelBinning | None = None, *, pdg: int | None = None, energy: float | None = None
) -> VoxelFile:
    """Open a CSV file of either dialect.

    Parameters
    ----------
    path : Path
    binning : VoxelBinning, optional
        Default: the XML beside the file.
    pdg, energy : optional
        Particle and kinetic energy in MeV of all showers, where neither the file's name nor one beside it says.

    Raises
    ------
    InputError
        If the file, its binning or its particles are missing or broken; names the line.

    Warns
    -----
    FastparamWarning
        Which order of voxels was found, where it is not that of version 1.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    xml, beside = companions(path)
    named = _NAME.search(path.name)
    if named is not None and pdg is None:
        pdg = int(named[1])
    if binning is None:
        binning = _binning_of(path, xml, pdg, named)
    table = _particles(beside) if beside.is_file() else None
    starts, width = _lines(path)
    n = len(starts)
    width = width if n else binning.n_voxels
    if width not in (binning.n_voxels, binning.n_voxels + 2):
        raise InputError(
            f"{path}: has {width} columns; expected the {binning.n_voxels} voxels of the binning, or two more"
        )
    skip = width - binning.n_voxels
    columns: dict[str, Any] = {}
    if table is not None:
        if len(table) != n:
            raise InputError(f"{beside}: has {len(table)} particles for the {n} showers of {path.name}")
        columns |= {"pdg": table[:, 0].astype(np.int32), "position": table[:, 2:5], "direction": table[:, 5:8]}
        energies = table[:, 1]
    else:
        if energy is None and named is not None and pdg is not None:
            mass = MASSES.get(abs(pdg), 0.0)
            energy = float(np.hypot(float(named[2]), mass) - mass)
        if pdg is None or energy is None:
            raise InputError(
                f"{path}: of which particles? Expected {beside.name} beside it, a name such as"
                " pid22_E65536_eta_20_25_voxalisation.csv, or options pdg and energy"
            )
        energies = np.full(n, energy)
        columns["pdg"] = np.full(n, pdg, dtype=np.int32)
        if named is not None:
            columns["eta"] = np.full(n, 0.005 * (float(named[3]) + float(named[4])))
        if skip:
            columns["phi"], columns["eta"] = _directions(path, starts)
    order = np.arange(binning.n_voxels)
    sample = np.concatenate([*_parsed(path, starts, 0, min(n, _JUDGED), width), np.empty((0, width))])
    found = voxel_order(binning, sample[:, skip:].mean(axis=0)) if n else None
    if found == "v2":
        order = from_v2(binning)
        warnings.warn(
            f"{path}: voxels are in the order of FastCaloGAN version 2, alpha fastest: told from the mean shower, which"
            " is flat in alpha that way only",
            FastparamWarning,
            stacklevel=2,
        )

    def rows(start: int, stop: int) -> Floats:
        table = np.concatenate([*_parsed(path, starts, start, stop, width), np.empty((0, width))])
        return np.ascontiguousarray(table[:, skip:][:, order])

    return VoxelFile(path, energies, binning.n_voxels, rows, columns, binning, notes=(_ORDERS[found],))


def n_columns(path: Path) -> int:
    """Return the number of columns of the first line; the voxels, in version 2 also phi modulo and eta before them."""
    with path.open("rb") as file:
        return next((line.count(b",") + 1 for line in file if line.strip()), 0)


def from_v2(binning: VoxelBinning) -> npt.NDArray[np.int64]:
    """Return where each voxel of ours is in a line of version 2."""
    n_alpha = np.array(binning.n_alpha, dtype=np.int64)[binning.layer]
    place: npt.NDArray[np.int64] = binning.first[binning.layer] + binning.ring * n_alpha + binning.sector
    return place


def _binning_of(path: Path, xml: Path, pdg: int | None, named: re.Match[str] | None) -> VoxelBinning:
    if not xml.is_file():
        raise InputError(f"{path}: which voxels are these? Expected the binning {xml.name} beside it, or a binning")
    try:
        regions = [BinningRegion.model_validate(region) for region in read_binning_xml(xml)]
    except GeometryError as error:
        raise InputError(str(error)) from error
    middle = None if named is None else 0.005 * (float(named[3]) + float(named[4]))
    for region in regions:
        kind = region.pid is None or pdg is None or abs(region.pid) == abs(pdg)
        if kind and (region.eta is None or middle is None or region.eta[0] <= middle <= region.eta[1]):
            return VoxelBinning.from_region(region)
    raise InputError(f"{xml}: has no voxels for particle {pdg}" + ("" if middle is None else f" at eta {middle:g}"))


def _lines(path: Path) -> tuple[list[int], int]:
    """Return where each line with numbers starts in the file, and the number of columns of the first."""
    starts: list[int] = []
    width, here = 0, 0
    with path.open("rb") as file:
        for line in file:
            if line.strip():
                if not starts:
                    width = line.count(b",") + 1
                starts.append(here)
            here += len(line)
    return starts, width


def _directions(path: Path, starts: list[int]) -> tuple[Floats, Floats]:
    """Return phi modulo the detector's pitch and |eta| of every shower: a direction that looks the same to it."""
    found = np.empty((2, len(starts)))
    with path.open("rb") as file:
        for k, line in enumerate(line for line in file if line.strip()):
            try:
                found[:, k] = [float(field) for field in line.split(b",", 2)[:2]]
            except ValueError as error:
                raise InputError(f"{path}: shower {k} begins with {line[:30]!r}; expected phi and eta") from error
    wrong = np.flatnonzero(~np.isfinite(found).all(axis=0) | (np.abs(found[1]) > _LARGEST_ETA))
    if len(wrong):
        phi, eta = found[:, wrong[0]]
        raise InputError(
            f"{path}: shower {wrong[0]} begins with {phi:g} and {eta:g}; a line of two more columns than voxels begins"
            f" with phi and |eta|, up to {_LARGEST_ETA:g}"
        )
    return found[0], np.abs(found[1])


def _parsed(path: Path, starts: list[int], start: int, stop: int, width: int) -> Iterator[Floats]:
    """Yield the rows start to stop - 1, some lines at a time."""
    if stop <= start:
        return
    with path.open("rb") as file:
        file.seek(starts[start])
        left = stop - start
        while left > 0:
            lines = list(islice((line for line in file if line.strip()), min(left, _LINES)))
            rows = np.empty((len(lines), width))
            for k, line in enumerate(lines):
                try:
                    rows[k] = np.array(line.split(b","), dtype=np.float64)
                except ValueError as error:
                    raise InputError(
                        f"{path}: shower {stop - left + k}: expected {width} numbers separated by commas, found"
                        f" {line.count(b',') + 1} fields or text ({line[:30]!r}...)"
                    ) from error
            yield rows
            left -= len(lines)


def _particles(path: Path) -> Floats:
    """Return the table of particles, shape (n, 8)."""
    try:
        with path.open(encoding="ascii") as file:
            lines = [line for line in file if not line.startswith("#")]
        if lines[0].strip().split(",") != list(_COLUMNS):
            raise InputError(f"{path}: found the columns {lines[0].strip()}; expected {','.join(_COLUMNS)}")
        table = np.array([line.split(",") for line in lines[1:]], dtype=np.float64).reshape(-1, len(_COLUMNS))
    except (ValueError, IndexError) as error:
        raise InputError(f"{path}: expected lines of {len(_COLUMNS)} numbers ({error})") from error
    return table
