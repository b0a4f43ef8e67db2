"""Small showers in memory, and the same showers as ROOT files of every layout that is read.

The detector is a stack of four periods (2 mm W, 1 mm Si) with ids 10 to 13, or a barrel of three layers with ids 0, 1
and 5. Hits lie at random inside the active layers and carry a tenth of the energy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot

from fastparam.geometry.detector import Geometry
from fastparam.geometry.load import parse_geometry

MASS_ELECTRON = 0.51099895

PLANAR = """name: tiny
frame: planar
layers:
  - stack:
      from: 0
      repeat: 4
      first_id: 10
      plates: [{material: W, thickness: 2.0}, {material: Si, thickness: 1.0, active: true}]
"""

BARREL = """name: tiny
frame: barrel
layers:
  - {name: first, id: 0, from: 100, to: 110, material: PbWO4}
  - {name: second, id: 1, from: 110, to: 130, material: PbWO4}
  - {name: third, id: 5, from: 140, to: 150, material: PbWO4}
"""

PRIMARY = ("pdg", "energy", "vx", "vy", "vz", "px", "py", "pz")
HIT = ("x", "y", "z", "e", "layer")


@dataclass(frozen=True)
class Truth:
    """Showers in mm and MeV: columns by role, offsets of the hits, and the index of the layer of every hit."""

    primaries: dict[str, Any]
    hits: dict[str, Any]
    offsets: Any
    index: Any

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def with_hit(self, **columns: Any) -> Truth:
        return replace(self, hits=self.hits | columns)

    def with_primary(self, **columns: Any) -> Truth:
        return replace(self, primaries=self.primaries | columns)

    def permuted(self, order: Any) -> Truth:
        """The same showers with their hits in the order that a file gives them whose hits are permuted by `order`."""
        shower = np.repeat(np.arange(len(self)), np.diff(self.offsets))
        now = order[np.argsort(shower[order], kind="stable")]
        return replace(self, hits={role: v[now] for role, v in self.hits.items()}, index=self.index[now])


def truth(n: int = 20, *, frame: str = "planar", seed: int = 1, pdg: int = 11, empty: tuple[int, ...] = ()) -> Truth:
    """Make n showers; those in `empty` have no hits."""
    rng = np.random.default_rng(seed)
    n_hits = rng.integers(20, 60, n)
    n_hits[list(empty)] = 0
    offsets = np.concatenate([[0], np.cumsum(n_hits)])
    total = int(offsets[-1])
    energy = rng.choice([1000.0, 4000.0, 16000.0], n)
    index = rng.integers(0, 4 if frame == "planar" else 3, total)
    if frame == "planar":
        x, y = rng.normal(0, 5, (2, total))
        z = 3.0 * index + 2.0 + rng.uniform(0.01, 0.99, total)
        layer = 10 + index
        direction = np.tile([0.0, 0.0, 1.0], (n, 1))
    else:
        low, high = np.array([100.0, 110, 140]), np.array([110.0, 130, 150])
        radius = low[index] + rng.uniform(0.01, 0.99, total) * (high - low)[index]
        phi = rng.uniform(-np.pi, np.pi, total)
        x, y, z = radius * np.cos(phi), radius * np.sin(phi), rng.normal(0, 30, total)
        layer = np.array([0, 1, 5])[index]
        angle, eta = rng.uniform(-np.pi, np.pi, n), rng.uniform(0.2, 0.25, n)
        direction = np.stack([np.cos(angle), np.sin(angle), np.sinh(eta)], axis=1) / np.cosh(eta)[:, None]
    shower = np.repeat(np.arange(n), n_hits)
    e = 0.1 * energy[shower] / n_hits[shower]
    mass = MASS_ELECTRON if abs(pdg) == 11 else 139.57039 if abs(pdg) == 211 else 0.0
    momentum = direction * np.sqrt(energy * (energy + 2 * mass))[:, None]
    vertex = rng.uniform(-20, 20, (n, 3)) if frame == "planar" else np.zeros((n, 3))
    if frame == "planar":
        vertex[:, 2] = -0.001
    columns = [np.full(n, pdg), energy, *vertex.T, *momentum.T]
    return Truth(
        dict(zip(PRIMARY, columns, strict=True)),
        dict(zip(HIT, (x, y, z, e, layer), strict=True)),
        offsets,
        index,
    )


def stored(showers: Truth, *, mev: float = 1.0, mm: float = 1.0, dtype: str = "f4") -> tuple[dict, dict]:
    """Return columns as a file holds them that uses units of `mev` MeV and `mm` mm."""
    unit = dict.fromkeys(("energy", "px", "py", "pz", "e"), mev) | dict.fromkeys(("vx", "vy", "vz", "x", "y", "z"), mm)

    def one(role: str, values: Any) -> Any:
        if role in ("pdg", "layer"):
            return np.asarray(values).astype("i4" if role == "pdg" else "i2")
        return (np.asarray(values) / unit.get(role, 1.0)).astype(dtype)

    return (
        {role: one(role, v) for role, v in showers.primaries.items()},
        {role: one(role, v) for role, v in showers.hits.items()},
    )


def lists(values: Any, offsets: Any) -> ak.Array:
    return ak.Array(
        ak.contents.ListOffsetArray(ak.index.Index64(np.asarray(offsets)), ak.contents.NumpyArray(np.asarray(values)))
    )


def jagged_table(showers: Truth, **units: Any) -> dict[str, Any]:
    primaries, hits = stored(showers, **units)
    return {
        **primaries,
        **{f"hit_{role}": lists(values, showers.offsets) for role, values in hits.items()},
    }


def write_tree(path: Path, table: dict[str, Any], *, name: str = "showers", baskets: int = 1) -> Path:
    """Write a TTree; every jagged branch gets a counter of its own, so that lengths may differ."""
    kinds = {
        role: f"var * {values.type.content.content}" if isinstance(values, ak.Array) else values.dtype
        for role, values in table.items()
    }
    n = len(next(iter(table.values())))
    edges = np.linspace(0, n, baskets + 1).astype(int)
    with uproot.recreate(path) as file:
        tree = file.mktree(name, kinds)
        for a, b in pairwise(edges):
            tree.extend({role: values[a:b] for role, values in table.items()})
    return path


def write_rntuple(path: Path, table: dict[str, Any], *, name: str = "showers", clusters: int = 1) -> Path:
    n = len(next(iter(table.values())))
    edges = np.linspace(0, n, clusters + 1).astype(int)
    with uproot.recreate(path) as file:
        ntuple = file.mkrntuple(name, {role: values[: edges[1]] for role, values in table.items()})
        for a, b in pairwise(edges[1:]):
            ntuple.extend({role: values[a:b] for role, values in table.items()})
    return path


def write_joined(
    path: Path, showers: Truth, *, events: Any = None, order: Any = None, baskets: int = 1, **units: Any
) -> Path:
    """Write trees `primaries` and `hits`; `events` numbers the showers, `order` permutes the hits."""
    primaries, hits = stored(showers, **units)
    events = np.arange(len(showers)) if events is None else np.asarray(events)
    order = np.arange(showers.offsets[-1]) if order is None else np.asarray(order)
    primaries = {"event": events.astype("i4"), **primaries}
    number = np.repeat(events, np.diff(showers.offsets)).astype("i4")
    hits = {"event": number, **{role: values for role, values in hits.items() if role != "layer"}}
    edges = np.linspace(0, len(order), baskets + 1).astype(int)
    with uproot.recreate(path) as file:
        file.mktree("primaries", {role: v.dtype for role, v in primaries.items()}).extend(primaries)
        tree = file.mktree("hits", {role: v.dtype for role, v in hits.items()})
        for a, b in pairwise(edges):
            tree.extend({role: v[order[a:b]] for role, v in hits.items()})
    return path


def geometry(
    folder: Path,
    *samples: str | Path | list[str],
    detector: str = PLANAR,
    layout: str = "jagged",
    units: str = "{}",
    energy_is: str = "kinetic",
    without: tuple[str, ...] = (),
    more: str = "",
    branches: dict[str, str] | None = None,
) -> Geometry:
    """Load a geometry whose samples are the given files: one entry per argument (a file, or a list of files)."""
    if layout == "joined":
        tree = "{particles: primaries, hits: hits}"
        names = {role: role for role in (*PRIMARY, *HIT[:4], "event")}
    else:
        tree = "showers"
        names = {role: role for role in PRIMARY} | {role: f"hit_{role}" for role in HIT}
    names = {role: name for role, name in (names | (branches or {})).items() if role not in without}
    text = f"{detector}energy_is: {energy_is}\n"
    if samples:
        text += "samples:\n"
    for files in samples:
        listed = [str(f) for f in files] if isinstance(files, list) else [str(files)]
        text += f"  - {{files: {listed}, tree: {tree}, units: {units}, branches: {names} {more}}}\n"
    return parse_geometry(text, folder / "geometry.yaml")
