"""Errors of a geometry.yaml in words: where, what was found, what was expected."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from fastparam.errors import near
from fastparam.geometry import schema

__all__ = ["Location", "Problem", "path_of", "problems_of", "suggest"]

Location = tuple[str | int, ...]


@dataclass(frozen=True)
class Problem:
    """One error: the location in the file as keys and indices, and the text."""

    location: Location
    text: str


# The models by location, `*` standing for any key that the user chooses; for the near match of a misspelt key.
_MODELS: dict[tuple[str, ...], type[BaseModel]] = {
    (): schema.GeometryConfig,
    ("units",): schema.Units,
    ("materials", "*"): schema.MaterialSpec,
    ("layers", f"{schema.TAG}layer"): schema.Layer,
    ("layers", f"{schema.TAG}stack"): schema.StackEntry,
    ("layers", f"{schema.TAG}stack", "stack"): schema.Stack,
    ("layers", f"{schema.TAG}stack", "stack", "plates"): schema.Plate,
    ("cells", "*"): schema.CellSize,
    ("binning",): schema.BinningRegion,
    ("binning", "layers"): schema.LayerBins,
    ("modulation",): schema.Modulation,
    ("samples",): schema.Sample,
    ("samples", "units"): schema.Units,
    ("samples", "tree", f"{schema.TAG}joined"): schema.Trees,
    ("slices",): schema.Slices,
    ("stock",): schema.Stock,
}

_EXPECTED = {
    "float_type": "a number",
    "finite_number": "a finite number",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "int_parsing": "an integer",
    "string_type": "text",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
}


def path_of(location: Location) -> str:
    """Return a location as users write it, e.g. ``layers[3].material``."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    return path or "file"


def suggest(word: str, known: Iterable[str]) -> str:
    """Return `errors.near`, after a word that differs in capitals only: gev for GeV, pb for Pb."""
    words = list(known)
    same = next((w for w in words if w.lower() == word.lower()), None)
    return near(word, words) if same is None else f" (did you mean '{same}'?)"


def problems_of(error: ValidationError) -> list[Problem]:
    """Return every error of a validation in words."""
    return [_problem(dict(item)) for item in error.errors(include_url=False)]


def _problem(item: dict[str, Any]) -> Problem:
    full = tuple(item["loc"])
    location = tuple(part for part in full if not str(part).startswith(schema.TAG))
    kind, value, context = item["type"], item["input"], item.get("ctx", {})
    if kind == "geometry":
        return Problem(location, context["text"])
    if kind == "missing":
        return Problem(location, "missing; this key is required")
    if kind == "extra_forbidden":
        keys = _keys(full[:-1])
        return Problem(location, f"unknown key{suggest(str(full[-1]), keys)}; expected keys: {', '.join(keys)}")
    if kind == "literal_error":
        allowed = context["expected"]
        return Problem(
            location, f"found {value!r}{suggest(str(value), allowed.split(chr(39))[1::2])}; expected {allowed}"
        )
    if location and location[-1] == "[key]":
        location = location[:-1]
    return Problem(location, f"found {_shown(value)}; expected {_EXPECTED.get(kind, item['msg'])}")


def _keys(location: Location) -> list[str]:
    names = tuple(part for part in location if isinstance(part, str))
    if location[:1] in (("materials",), ("cells",)):
        names = (names[0], "*")
    return [field.alias or name for name, field in _MODELS[names].model_fields.items()]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
