"""From a path or a name to a generator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py

from fastparam.errors import InputError, UsageError, near
from fastparam.generate.files import OPTIONS, SUFFIXES, load_file
from fastparam.generate.network import SUFFIXES as NETWORKS
from fastparam.generate.network import load_network
from fastparam.generate.protocol import Generator
from fastparam.generate.replay import Replay
from fastparam.generate.stock import PREFIX, load_stock
from fastparam.generate.tuned import TunedGenerator
from fastparam.geometry.detector import Geometry
from fastparam.geometry.load import load_geometry
from fastparam.geometry.shipped import shipped_tunes
from fastparam.showers.calochallenge import is_calochallenge
from fastparam.tunes.file import load_tune

__all__ = ["KINDS", "Kind", "Source", "load", "parse_source", "short_name"]


@dataclass(frozen=True)
class Source:
    """What a user wrote: ``PATH`` or ``PREFIX:PATH``, with options behind a question mark.

    Attributes
    ----------
    text : str
        All of it.
    path : str
        Without prefix and options.
    options : dict of str to str
    """

    text: str
    path: str
    options: dict[str, str]

    def only(self, *known: str) -> dict[str, str]:
        """Return the options after refusing any but the known ones."""
        for key in self.options:
            if key not in known:
                expected = f"expected {', '.join(f'?{k}=' for k in known)}" if known else "there are none"
                raise UsageError(f"{self.text}: unknown option '{key}'{near(key, known)}; {expected}")
        return self.options


@dataclass(frozen=True)
class Kind:
    """A kind of generator: how its names look, and what loads it."""

    what: str
    recognised: Callable[[Source], bool]
    load: Callable[[Source, int | None, Geometry | None], Generator]


def _stock(source: Source, as_pdg: int | None, geometry: Geometry | None) -> Generator:
    return load_stock(source.text, as_pdg=as_pdg)


def _replay(source: Source, as_pdg: int | None, geometry: Geometry | None) -> Generator:
    options = source.only("geometry", "rows")
    if "geometry" in options:
        geometry = load_geometry(options["geometry"])
    if geometry is None:
        raise UsageError(f"{source.text}: of which detector? Say it as {source.text}?geometry=GEOMETRY.yaml")
    return Replay.from_file(source.path, geometry, rows=options.get("rows", "all"), as_pdg=as_pdg)


def _file(source: Source, as_pdg: int | None, geometry: Geometry | None) -> Generator:
    if as_pdg is not None:
        raise UsageError(f"{source.text}: --as-pdg has no meaning for a file, which has its own particles")
    return load_file(Path(source.path), source.only(*OPTIONS), geometry=geometry)


def _network(source: Source, as_pdg: int | None, geometry: Geometry | None) -> Generator:
    source.only()
    return load_network(Path(source.path), geometry=geometry, as_pdg=as_pdg)


def _is_file(path: str) -> bool:
    suffix = Path(path).suffix
    return suffix in SUFFIXES and (suffix not in (".h5", ".hdf5") or is_calochallenge(Path(path)))


def _foreign(path: Path) -> bool:
    """Whether a file is none of ours: no HDF5, or without our mark. Of a damaged one `load_tune` says what is wrong."""
    if not h5py.is_hdf5(path):
        return True
    try:
        with h5py.File(path, "r") as file:
            return "fastparam" not in file.attrs
    except (OSError, RuntimeError):
        return False


def _tune(source: Source, as_pdg: int | None, geometry: Geometry | None) -> Generator:
    source.only()
    path = Path(source.path)
    if not path.is_file() and source.path not in (shipped := shipped_tunes()):
        names = [*shipped, *(p.name for p in path.parent.glob("*") if p.is_file())]
        raise InputError(
            f"{source.text}: no such file, and no shipped tune of that name{near(path.name, names)}; shipped:"
            f" {', '.join(shipped)}. Expected {'; '.join(kind.what for kind in KINDS)}"
        )
    if path.is_file() and _foreign(path):
        raise InputError(f"{source.text}: is not recognised; expected {'; '.join(kind.what for kind in KINDS)}")
    return TunedGenerator(load_tune(path), as_pdg=as_pdg)


#: Every kind, the first that recognises a name loads it.
KINDS = (
    Kind("stock GFlash, gflash:GEOMETRY", lambda source: source.text.startswith(PREFIX), _stock),
    Kind(
        "full simulation drawn again, replay:FILE?geometry=GEOMETRY",
        lambda source: source.text.startswith("replay:"),
        _replay,
    ),
    Kind("a file of showers, .root .h5 .hdf5 .csv .parquet", lambda source: _is_file(source.path), _file),
    Kind(
        "a network, .onnx .json .json.gz with its description, or that description, .yaml",
        lambda source: source.path.endswith((*NETWORKS, ".yaml", ".yml")),
        _network,
    ),
    Kind("a tune, a file or the name of a shipped one", lambda source: True, _tune),
)


def load(path: str | Path, *, as_pdg: int | None = None, geometry: Geometry | str | Path | None = None) -> Generator:
    """Load a generator of any kind.

    Parameters
    ----------
    path : path or str
        One of `KINDS`.
    as_pdg : int, optional
        Sample every particle as if it were this one.
    geometry : Geometry, path or str, optional
        Detector of a file that does not name its own.

    Raises
    ------
    InputError
        If there is no such file, or it cannot be read as what it claims to be.
    UsageError, GeometryError
        For a name that is not complete, and a geometry that cannot be read.
    """
    source = parse_source(str(path))
    detector = load_geometry(geometry) if isinstance(geometry, str | Path) else geometry
    kind = next(kind for kind in KINDS if kind.recognised(source))
    return kind.load(source, as_pdg, detector)


def parse_source(text: str) -> Source:
    """Take apart what a user wrote.

    Raises
    ------
    UsageError
        If an option has no value.
    """
    where, mark, rest = text.partition("?")
    if Path(text).exists():  # a file that really has a question mark in its name
        where, mark, rest = text, "", ""
    options: dict[str, str] = {}
    for item in rest.split("&") if mark else []:
        key, equal, value = item.partition("=")
        if not equal or not value:
            raise UsageError(f"{text}: option '{item}' has no value; expected ?key=value&key=value")
        options[key] = value
    prefix, colon, path = where.partition(":")
    return Source(text, path if colon and prefix in ("replay", "gflash") else where, options)


def short_name(text: str) -> str:
    """Return what a user wrote with files named without their folders, as provenance and reports name generators."""
    source = parse_source(text)
    start = source.text.partition("?")[0].removesuffix(source.path)
    options = "&".join(f"{key}={Path(value).name}" for key, value in source.options.items())
    return f"{start}{Path(source.path).name}" + (f"?{options}" if options else "")
