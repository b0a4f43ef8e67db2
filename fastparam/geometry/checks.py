"""What one entry of a geometry.yaml cannot know of the others: order, names, ids.

The checks work on the file as plain mappings and lists and take from each entry what is readable, so that an error in
one place does not hide those in another: all errors of a file are found in one go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from fastparam.geometry.materials import BUILTIN, ELEMENTS
from fastparam.geometry.problems import Location, Problem, suggest
from fastparam.geometry.schema import (
    BinningRegion,
    Cells,
    Count,
    LayerId,
    MaterialSpec,
    Modulation,
    Number,
    Positive,
    Sample,
    Slices,
)

__all__ = ["TOUCHING", "cross_checks"]

#: Layers may overlap by this much in the file's unit: rounding of edges that are meant to touch.
TOUCHING = 1e-6


@dataclass(frozen=True)
class _Entry:
    """What is readable of one entry of `layers`; None where a value is not."""

    location: Location
    start: float | None
    stop: float | None
    ids: range | None
    id_key: str
    media: list[tuple[Location, Mapping[str, Any]]]


def cross_checks(raw: Mapping[str, Any]) -> list[Problem]:
    """Return the problems between the entries of a file that was read into plain mappings and lists."""
    entries = _entries(raw)
    return [
        *_materials(raw),
        *_layer_materials(raw, entries),
        *_order(entries, raw.get("frame")),
        *_active(entries),
        *_references(raw, entries),
        *_planar(raw),
    ]


def _read(kind: Any, value: Any) -> Any:
    """Return a value as a type of the schema, None if it is not valid."""
    try:
        return TypeAdapter(kind).validate_python(value, strict=True)
    except ValidationError:
        return None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _mapping(value: Any) -> Mapping[str, Any]:
    return {key: v for key, v in value.items() if isinstance(key, str)} if isinstance(value, dict) else {}


def _entries(raw: Mapping[str, Any]) -> list[_Entry]:
    entries = []
    for index, entry in enumerate(map(_mapping, _list(raw.get("layers")))):
        location: Location = ("layers", index)
        if "stack" in entry:
            entries.append(_stack_entry((*location, "stack"), _mapping(entry["stack"])))
            continue
        layer_id = _read(LayerId | None, entry.get("id"))
        unreadable = layer_id is None and entry.get("id") is not None
        ids = None if unreadable else range(0) if layer_id is None else range(layer_id, layer_id + 1)
        start, stop = _read(Number, entry.get("from")), _read(Number, entry.get("to"))
        entries.append(_Entry(location, start, stop, ids, "id", [(location, entry)]))
    return entries


def _stack_entry(location: Location, stack: Mapping[str, Any]) -> _Entry:
    plates = [_mapping(plate) for plate in _list(stack.get("plates"))]
    start, repeat = _read(Number, stack.get("from")), _read(Count, stack.get("repeat"))
    thicknesses = [_read(Positive, plate.get("thickness")) for plate in plates]
    first = _read(LayerId, stack.get("first_id", 0))
    stop = ids = None
    if repeat is not None:
        if start is not None and None not in thicknesses:
            stop = start + repeat * sum(thicknesses)
        if first is not None and all(isinstance(plate.get("active", False), bool) for plate in plates):
            ids = range(first, first + repeat * sum(plate.get("active", False) for plate in plates))
    media = [((*location, "plates", number), plate) for number, plate in enumerate(plates)]
    return _Entry(location, start, stop, ids, "first_id", media)


def _materials(raw: Mapping[str, Any]) -> Iterator[Problem]:
    """Compositions may use elements, built-in materials and those declared above."""
    known = set(BUILTIN)
    for name, value in _mapping(raw.get("materials")).items():
        spec = _read(MaterialSpec, value)
        if spec is None:
            known.add(name)
            continue
        here: Location = ("materials", name)
        if spec.atoms is not None:
            for symbol in spec.atoms:
                if symbol not in ELEMENTS:
                    yield Problem((*here, "atoms", symbol), f"unknown element{suggest(symbol, ELEMENTS)}")
        for part in spec.mass or ():
            if part not in known:
                yield Problem(
                    (*here, "mass", part),
                    f"unknown material{suggest(part, known)}; expected elements, built-in materials, or materials "
                    f"declared above this one",
                )
        composed = spec.mass is not None or spec.atoms is not None
        if composed and spec.density is None:
            yield Problem(here, "density is missing; expected g/cm3")
        if not composed and name not in BUILTIN:
            yield Problem(
                here,
                f"no composition, and no built-in material of that name{suggest(name, BUILTIN)}; add mass: or atoms:",
            )
        known.add(name)


def _layer_materials(raw: Mapping[str, Any], entries: list[_Entry]) -> Iterator[Problem]:
    known = [*BUILTIN, *_mapping(raw.get("materials"))]
    for location, medium in (found for entry in entries for found in entry.media):
        name = medium.get("material")
        if isinstance(name, str) and name not in known:
            yield _unknown_material((*location, "material"), name, known)
        for part in _mapping(medium.get("mixture")):
            if part not in known:
                yield _unknown_material((*location, "mixture", part), part, known)


def _unknown_material(location: Location, name: str, known: Iterable[str]) -> Problem:
    return Problem(
        location,
        f"unknown material '{name}'{suggest(name, known)}; expected an element, a built-in compound or a name "
        "from materials",
    )


def _order(entries: list[_Entry], frame: Any) -> Iterator[Problem]:
    end, before = None, ""
    for entry in entries:
        key = (*entry.location, "from")
        if frame == "barrel" and entry.start is not None and entry.start < 0:
            yield Problem(key, f"found {entry.start:g}; expected a radius that is not negative in a barrel")
        if end is not None and entry.start is not None and entry.start < end - TOUCHING:
            yield Problem(
                key,
                f"starts at {entry.start:g} before {before} ends at {end:g}: layers overlap or are not in the order a "
                f"particle meets them; expected from >= {end:g}",
            )
        if entry.stop is not None and (end is None or entry.stop > end):
            end, before = entry.stop, f"layers[{entry.location[1]}]"


def _active(entries: list[_Entry]) -> Iterator[Problem]:
    owner: dict[int, Location] = {}
    for entry in entries:
        taken = next((i for i in entry.ids or () if i in owner), None)
        if taken is not None:
            yield Problem(
                (*entry.location, entry.id_key),
                f"layer id {taken} is used by layers[{owner[taken][1]}] already; expected ids that are unique",
            )
        owner.update((i, entry.location) for i in entry.ids or () if i not in owner)
        if entry.id_key == "first_id" and entry.ids is not None and entry.media and not entry.ids:
            yield Problem(
                (*entry.location, "plates"),
                "no plate is active; mark those that measure with active: true, or declare passive layers without a "
                "stack",
            )
    if entries and not owner and all(entry.ids is not None for entry in entries):
        yield Problem(("layers",), "no layer is active; give an id to every layer that measures")


def _references(raw: Mapping[str, Any], entries: list[_Entry]) -> Iterator[Problem]:
    """Yield ids in cells, binning and modulation that no active layer has; needs ids that are sound themselves."""
    listed = [i for entry in entries for i in entry.ids or ()]
    ids = set(listed)
    if any(entry.ids is None for entry in entries) or len(ids) < len(listed):
        return
    used: list[tuple[Location, list[int]]] = []
    used += [(("cells", i), [i]) for i in _read(Cells, raw.get("cells")) or ()]
    modulation = _read(Modulation, raw.get("modulation"))
    if modulation is not None:
        used += [(("modulation", "layers", n), [i]) for n, i in enumerate(modulation.layers)]
    for index, region in enumerate(_read(BinningRegion, value) for value in _list(raw.get("binning"))):
        seen: set[int] = set()
        for n, bins in enumerate(region.layers if region is not None else ()):
            location: Location = ("binning", index, "layers", n, "id")
            used.append((location, bins.ids))
            if not seen.isdisjoint(bins.ids):
                yield Problem(location, f"layer {min(seen.intersection(bins.ids))} has bins already")
            seen.update(bins.ids)
    for location, some in used:
        unknown = set(some) - ids
        if unknown:
            yield Problem(
                location, f"there is no active layer with id {_ranges(unknown)}; expected ids out of {_ranges(ids)}"
            )


def _ranges(ids: set[int]) -> str:
    """Return ids in words, runs as ranges: ``0-44, 50``."""
    runs: list[list[int]] = []
    for i in sorted(ids):
        if runs and i == runs[-1][1] + 1:
            runs[-1][1] = i
        else:
            runs.append([i, i])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs) or "none"


def _planar(raw: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what only a barrel can have, or can do without."""
    if raw.get("frame") != "planar":
        return
    if _read(Modulation, raw.get("modulation")) is not None:
        yield Problem(
            ("modulation",),
            "a modulation is in phi about the axis of a barrel; expected frame: barrel, or no modulation",
        )
    if _read(Slices, raw.get("slices")) is not None:
        yield Problem(("slices",), "slices in eta belong to a barrel; expected frame: barrel, or no slices")
    for index, sample in enumerate(_read(Sample, value) for value in _list(raw.get("samples"))):
        if sample is not None and "vx" not in sample.branches:
            yield Problem(
                ("samples", index, "branches"),
                "no branches for vx, vy, vz; expected where the particles start (only in a barrel the default is the "
                "origin)",
            )
