"""What a file of showers looks like: which tree, which branches, which units.

A `Layout` is one `samples` entry of a geometry.yaml reduced to what a reader needs, or the layout that
``fastparam sample`` writes (`SHOWER_FILE`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fastparam.errors import InputError, near

if TYPE_CHECKING:
    from fastparam.geometry.detector import Geometry

__all__ = ["PRIMARIES_ONLY", "SHOWER_FILE", "SHOWER_MARK", "Layout", "SampleFile", "sample_files", "sample_layouts"]

_VERTEX = ("vx", "vy", "vz")
_MOMENTUM = ("px", "py", "pz")
_HIT = ("x", "y", "z", "e", "layer")

#: Name of the object that marks a file as written by ``fastparam sample`` (a TObjString with the provenance).
SHOWER_MARK = "fastparam"


@dataclass(frozen=True)
class Layout:
    """Names and units of one kind of file.

    Attributes
    ----------
    tree : str
        Tree or RNTuple of the showers; of the primaries alone if the hits are in a tree of their own.
    hits_tree : str or None
        Tree with one row per hit, joined by the branch of role ``event``.
    branches : dict
        Role (pdg, energy, vx, ..., layer, event) to the name of the branch.
    energy, length : float
        MeV and mm per unit of the file.
    energy_is : str
        What the branch of role ``energy`` holds: kinetic, total or momentum.
    format : str or None
        Name of the reader, where the file alone does not tell.
    where : str
        How messages call this layout, e.g. ``samples[0]``.
    """

    tree: str
    branches: Mapping[str, str]
    hits_tree: str | None = None
    energy: float = 1.0
    length: float = 1.0
    energy_is: str = "kinetic"
    format: str | None = None
    where: str = field(default="", compare=False)

    @property
    def primary_branches(self) -> dict[str, str]:
        """Role to branch of what is read of a primary; a momentum makes eta and phi superfluous."""
        direction = _MOMENTUM if all(role in self.branches for role in _MOMENTUM) else ("eta", "phi")
        roles = ("pdg", "energy", *_VERTEX, *direction)
        return {role: self.branches[role] for role in roles if role in self.branches}

    @property
    def hit_branches(self) -> dict[str, str]:
        """Role to branch of what is read of a hit."""
        return {role: self.branches[role] for role in _HIT if role in self.branches}


#: The layout of the ``.root`` files that ``fastparam sample`` writes (see `fastparam.showers.root`).
SHOWER_FILE = Layout(
    tree="showers",
    branches={role: role for role in ("pdg", "energy", *_VERTEX, *_MOMENTUM)} | {role: f"hit_{role}" for role in _HIT},
    where="the layout that `fastparam sample` writes",
)

#: The same without hits: all that is read where only particles are wanted.
PRIMARIES_ONLY = replace(SHOWER_FILE, branches={role: role for role in ("pdg", "energy", *_VERTEX, *_MOMENTUM)})


@dataclass(frozen=True)
class SampleFile:
    """One file of a sample, with the layout and the number of the entry that lists it."""

    path: Path
    layout: Layout
    entry: int


def sample_layouts(geometry: Geometry) -> list[Layout]:
    """Return one layout per entry of the geometry's ``samples``, in order."""
    return [
        Layout(
            tree=sample.tree if isinstance(sample.tree, str) else sample.tree.particles,
            hits_tree=None if isinstance(sample.tree, str) else sample.tree.hits,
            branches=sample.branches,
            energy=sample.units.mev,
            length=sample.units.mm,
            energy_is=geometry.config.energy_is,
            format=sample.format,
            where=f"samples[{i}]",
        )
        for i, sample in enumerate(geometry.config.samples)
    ]


def sample_files(geometry: Geometry) -> list[SampleFile]:
    """Return the files of all entries in listed order, globs expanded and sorted.

    Raises
    ------
    InputError
        If the geometry lists no samples, a file does not exist, or a glob matches nothing.
    """
    files = []
    for i, (sample, layout) in enumerate(zip(geometry.config.samples, sample_layouts(geometry), strict=True)):
        for j, name in enumerate(sample.files):
            where = f"{geometry.path}: samples[{i}].files[{j}]"
            files += [SampleFile(path, layout, i) for path in _expand(name, geometry.path.parent, where)]
    if not files:
        raise InputError(
            f"{geometry.path}: no samples to read; list the files of full simulation under `samples:` "
            "(`fastparam init` writes a commented example)"
        )
    return files


def _expand(name: str, directory: Path, where: str) -> list[Path]:
    if "://" in name:
        raise InputError(f"{where}: '{name}' is a URL; copy the file here and give its local path")
    path = directory / Path(name).expanduser()
    if any(c in name for c in "*?["):
        if path.is_file():  # a name that merely looks like a pattern
            return [path]
        anchor = Path(path.anchor)
        found = sorted(p for p in anchor.glob(str(path.relative_to(anchor))) if p.is_file())
        if not found:
            raise InputError(f"{where}: no file matches '{name}' (looked in {directory})")
        return found
    if not path.exists():
        there = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise InputError(f"{where}: file '{path}' does not exist{near(path.name, there)}")
    if not path.is_file():
        raise InputError(
            f"{where}: '{path}' is not a file; to read all of a directory write '{name.rstrip('/')}/*.root'"
        )
    return [path]
