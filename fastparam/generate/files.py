"""Files of showers as generators: they give their own showers for their own particles.

Hits (ROOT of ``fastparam sample`` or of a geometry's sample layouts, Parquet of ours) and voxels (CaloChallenge HDF5,
FastCaloGAN CSV) are read row by row on demand, so that a file may be larger than memory.

`Particles.index` names the row. A particle is the row's if kind and energy agree, and, where the file holds hits, the
line as well; voxels go along any line.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fastparam.errors import InputError, OutOfDomainError, UsageError
from fastparam.generate.limits import Region, describe_regions
from fastparam.geometry.binning_xml import read_binning_xml
from fastparam.geometry.detector import Geometry
from fastparam.geometry.frames import check_lines
from fastparam.geometry.load import load_geometry, parse_geometry
from fastparam.geometry.schema import BinningRegion
from fastparam.geometry.stand_in import voxels_only
from fastparam.geometry.voxels import VoxelBinning, voxels_of
from fastparam.hits.batches import iterate_file, layout_of, read_file_particles
from fastparam.hits.hits import Hits
from fastparam.hits.layout import SHOWER_MARK, SampleFile
from fastparam.hits.rootfile import RootFile
from fastparam.particles import Particles, particle_name
from fastparam.showers.calochallenge import read_calochallenge
from fastparam.showers.fastcalogan import read_fastcalogan
from fastparam.showers.join import join_hits, take_hits
from fastparam.showers.parquet import parquet_document, read_parquet, read_parquet_particles
from fastparam.showers.showers import Showers
from fastparam.showers.voxelfile import VoxelFile

__all__ = ["OPTIONS", "SUFFIXES", "ShowerFile", "load_file", "particles_of_file"]

#: Endings of files of showers, and what can be said of them behind a question mark.
SUFFIXES = (".root", ".h5", ".hdf5", ".csv", ".parquet")
OPTIONS = ("geometry", "binning", "pdg", "energy", "eta")

#: Energies and lines of a particle and of its row may differ by the rounding of single precision.
_SAME = 1e-6
_SAME_POSITION = 1e-2


class ShowerFile:
    """Showers of a file, for its own particles.

    Parameters
    ----------
    name : str
    geometry : Geometry
    particles : Particles (n,)
        Of all rows; `index` is the row.
    read : function of rows
        Returns the showers of the rows given (int64, in any order): hits, or voxels (k, n_voxels).
    binning : VoxelBinning, optional
        Of voxels.
    any_pdg : bool
        Whether the file does not say which particles these are.

    Attributes
    ----------
    name, geometry, particles
    """

    def __init__(
        self,
        name: str,
        geometry: Geometry,
        particles: Particles,
        read: Callable[[npt.NDArray[np.int64]], Any],
        *,
        binning: VoxelBinning | None = None,
        any_pdg: bool = False,
    ) -> None:
        self.name = name
        self.geometry: Geometry = geometry
        self.particles = particles
        self._read = read
        self._binning = binning
        self._any_pdg = any_pdg

    def __repr__(self) -> str:
        return f"<showers of {self.name}, {len(self.particles)}>"

    @property
    def emits(self) -> Literal["hits", "voxels"]:
        """Form of the showers in the file."""
        return "hits" if self._binning is None else "voxels"

    @property
    def domain(self) -> list[dict[str, object]]:
        """Ranges of the file's own particles, as data; no others are known."""
        own = self.particles
        regions = []
        for pdg in np.unique(own.pdg):
            rows = own.pdg == pdg
            energy = (float(own.energy[rows].min()), float(own.energy[rows].max()))
            eta = own.eta[rows]
            limits = (float(eta.min()), float(eta.max())) if self.geometry.frame == "barrel" else None
            regions.append(Region(None if self._any_pdg else int(pdg), energy, limits))
        return describe_regions(regions, self.emits)

    def check(self, particles: Particles) -> None:
        """Refuse particles that are not those of the rows their `index` names.

        Raises
        ------
        OutOfDomainError
            Naming the first such particle, and what its row holds.
        """
        check_lines(self.geometry, particles)
        n = len(self.particles)
        for text, bad in self._differences(particles, n):
            if bad.any():
                k = int(np.flatnonzero(bad)[0])
                number = int(particles.index[k])
                own = f"its row {number} is {self._row(number)}" if 0 <= number < n else f"it has rows 0 to {n - 1}"
                raise OutOfDomainError(
                    f"particle {number}: {text.format(k=k)}; {self.name} has showers of its own particles only, and"
                    f" {own} ({int(bad.sum())} of {len(particles)} particles)"
                )

    def generate(self, particles: Particles, *, seed: int) -> Showers:
        """Return the showers of the file for its own particles; see `fastparam.generate.protocol.Generator`."""
        self.check(particles)
        found = self._read(particles.index)
        if self._binning is None:
            return Showers(particles, found, self.geometry)
        return Showers.from_voxels(particles, found, self._binning, self.geometry, seed=seed)

    def _differences(self, particles: Particles, n: int) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
        yield "there is no such row", (particles.index < 0) | (particles.index >= n)
        own = self.particles.take(particles.index)
        if not self._any_pdg:
            yield "another kind of particle", particles.pdg != own.pdg
        yield "another energy", np.abs(particles.energy - own.energy) > _SAME * own.energy
        if self._binning is None:
            far = np.abs(particles.position - own.position).max(axis=1, initial=0.0) > _SAME_POSITION
            askew = np.abs(particles.direction - own.direction).max(axis=1, initial=0.0) > _SAME
            yield "another line", far | askew

    def _row(self, number: int) -> str:
        own = self.particles.take([number])
        kind = "a particle" if self._any_pdg else f"a {particle_name(int(own.pdg[0]))}"
        return f"{kind} of {own.energy[0]:g} MeV at {own.position[0]} mm along {own.direction[0]}"


def load_file(path: Path, options: dict[str, str] | None = None, *, geometry: Geometry | None = None) -> ShowerFile:
    """Open a file of showers.

    Parameters
    ----------
    path : Path
        Ending in one of `SUFFIXES`.
    options : dict, optional
        Out of `OPTIONS`: ``geometry`` and ``binning`` (an XML file), where the file does not say them itself;
        ``pdg``, ``energy`` (kinetic, MeV) and ``eta`` of particles that it does not describe.
    geometry : Geometry, optional
        Detector of a file that names none.

    Raises
    ------
    InputError
        If the file is missing, broken, or does not say enough.
    """
    options = options or {}
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a file of showers")
    if "geometry" in options:
        geometry = load_geometry(options["geometry"])
    if path.suffix in (".root", ".parquet"):
        return _of_hits(path, geometry)
    return _of_voxels(path, options, geometry)


def particles_of_file(path: Path, geometry: Geometry, options: dict[str, str] | None = None) -> Particles:
    """Return the particles of a file of showers of any form, without reading showers; `index` is the row.

    Parameters
    ----------
    path : Path
    geometry : Geometry
        Whose layouts files of hits may have; where particles go of whom the file does not say it.
    options : dict, optional
        As for `load_file`.

    Raises
    ------
    InputError
        If the file is missing, broken, or does not say enough.
    """
    if path.suffix == ".parquet":
        return read_parquet_particles(path)
    if path.suffix in (".h5", ".hdf5", ".csv"):
        stated = _Stated.of(path, options or {})
        # Voxels of HDF5 are not read, so that any number of them will do.
        file = read_calochallenge(path, particles_only=True) if path.suffix != ".csv" else stated.csv(path)
        return _particles(file, geometry, stated.pdg, stated.eta)
    return read_file_particles(SampleFile(path, layout_of(path, geometry), 0), 0)


class _Rows:
    """Showers by row out of batches in order: going forward is cheap, going back starts again."""

    def __init__(self, batches: Callable[[], Iterator[tuple[npt.NDArray[np.int64], Hits]]]) -> None:
        self._batches = batches
        self._restart()

    def _restart(self) -> None:
        self._iterator = self._batches()
        self._row: npt.NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._hits = join_hits([])

    def __call__(self, rows: npt.NDArray[np.int64]) -> Hits:
        if not len(rows):
            return join_hits([])
        wanted = np.unique(rows)
        if len(self._row) and wanted[0] < self._row[0]:
            self._restart()
        parts: list[Hits] = []
        while True:
            here = wanted[np.isin(wanted, self._row)]
            if len(here):
                parts.append(take_hits(self._hits, here - self._row[0]))
            if len(self._row) and self._row[-1] >= wanted[-1]:
                break
            self._row, self._hits = next(self._iterator)
        joined = join_hits(parts)
        return take_hits(joined, np.searchsorted(wanted, rows))


def _of_hits(path: Path, geometry: Geometry | None) -> ShowerFile:
    if path.suffix == ".parquet":
        document = parquet_document(path)
        _require_hits(path, document["form"] == "hits")
        own = parse_geometry(document["geometry"], path)

        def of_parquet() -> Iterator[tuple[npt.NDArray[np.int64], Hits]]:
            return ((particles.index, hits) for particles, hits in read_parquet(path, own))

        return ShowerFile(path.name, own, read_parquet_particles(path), _Rows(of_parquet))
    with RootFile(path) as file:
        ours = json.loads(file.text(SHOWER_MARK) or "{}") if SHOWER_MARK in file.classes else {}
    _require_hits(path, "written" not in ours)
    own = _geometry_of_root(path) or geometry or _nowhere(path)

    def of_root() -> Iterator[tuple[npt.NDArray[np.int64], Hits]]:
        return ((batch.row, batch.hits) for batch in iterate_file(path, own))

    return ShowerFile(path.name, own, particles_of_file(path, own), _Rows(of_root))


def _require_hits(path: Path, there: bool) -> None:
    if not there:
        raise InputError(
            f"{path}: holds voxels or cells, no hits; expected a file written with --as hits, or voxels in .h5 or .csv"
        )


@dataclass(frozen=True)
class _Stated:
    """What a user said of a file of voxels."""

    pdg: int | None
    energy: float | None
    eta: float | None
    binning: VoxelBinning | None

    @classmethod
    def of(cls, path: Path, options: dict[str, str]) -> _Stated:
        pdg = int(_number(path, options, "pdg") or 0) or None
        eta = _number(path, options, "eta")
        binning = _binning_of(Path(options["binning"]), pdg, eta) if "binning" in options else None
        return cls(pdg, _number(path, options, "energy"), eta, binning)

    def csv(self, path: Path) -> VoxelFile:
        return read_fastcalogan(path, self.binning, pdg=self.pdg, energy=self.energy)


def _of_voxels(path: Path, options: dict[str, str], geometry: Geometry | None) -> ShowerFile:
    stated = _Stated.of(path, options)
    pdg, eta = stated.pdg, stated.eta
    file = stated.csv(path) if path.suffix == ".csv" else read_calochallenge(path)
    binning = stated.binning or file.binning
    if file.geometry is not None and "geometry" not in options:
        geometry = parse_geometry(file.geometry, path)
    if binning is None:
        binning = voxels_of(geometry or _nowhere(path), pdg=pdg, eta=eta)
    file.check_binning(binning)
    if geometry is None:
        geometry = voxels_only(binning, path)
    binning.rows_of_layers(geometry)

    def read(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        if not len(rows):
            return np.empty((0, binning.n_voxels))
        first, last = int(rows.min()), int(rows.max()) + 1
        return file.read(first, last)[rows - first].astype(np.float64, copy=False)

    particles = _particles(file, geometry, pdg, eta)
    any_pdg = "pdg" not in file.columns and pdg is None
    return ShowerFile(path.name, geometry, particles, read, binning=binning, any_pdg=any_pdg)


def _particles(file: VoxelFile, geometry: Geometry, pdg: int | None, eta: float | None) -> Particles:
    known, n = file.columns, len(file)
    codes = np.full(n, pdg) if pdg is not None else known.get("pdg", np.full(n, 22))
    if "direction" in known and "position" in known:
        position, direction = known["position"], known["direction"]
    elif geometry.frame == "barrel":
        etas = known.get("eta", np.full(n, eta if eta is not None else _middle_eta(geometry)))
        phi = known.get("phi", np.zeros(n))
        position = np.zeros((n, 3))
        direction = np.stack([np.cos(phi), np.sin(phi), np.sinh(etas)], axis=1)
    else:
        position = np.tile([0.0, 0.0, geometry.slab_from[0] - 0.001], (n, 1))
        direction = np.tile([0.0, 0.0, 1.0], (n, 1))
    return Particles.build(pdg=codes, energy=file.energy, position=position, direction=direction, index=np.arange(n))


def _middle_eta(geometry: Geometry) -> float:
    slices = geometry.config.slices
    return 0.5 * sum(slices.eta[0]) if slices is not None else 0.0


def _binning_of(xml: Path, pdg: int | None, eta: float | None) -> VoxelBinning:
    for region in (BinningRegion.model_validate(entry) for entry in read_binning_xml(xml)):
        kind = region.pid is None or pdg is None or abs(region.pid) == abs(pdg)
        if kind and (region.eta is None or eta is None or region.eta[0] <= eta <= region.eta[1]):
            return VoxelBinning.from_region(region)
    raise InputError(f"{xml}: has no voxels for particle {pdg}" + ("" if eta is None else f" at eta {eta:g}"))


def _geometry_of_root(path: Path) -> Geometry | None:
    with RootFile(path) as file:
        text = file.text("geometry")
    return None if text is None else parse_geometry(text, path)


def _nowhere(path: Path) -> Geometry:
    raise UsageError(
        f"{path}: of which detector? Say it with --geometry, or as {path}?geometry=GEOMETRY.yaml (voxels alone:"
        " ?binning=BINNING.xml)"
    )


def _number(path: Path, options: dict[str, str], name: str) -> float | None:
    if name not in options:
        return None
    try:
        return float(options[name])
    except ValueError as error:
        raise UsageError(f"{path}: option {name}={options[name]} is no number") from error
