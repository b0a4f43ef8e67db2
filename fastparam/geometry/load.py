"""geometry.yaml -> Geometry, with every error of the file in one message."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from fastparam.errors import GeometryError
from fastparam.geometry.binning_xml import read_binning_xml
from fastparam.geometry.checks import cross_checks
from fastparam.geometry.detector import Geometry, build_geometry
from fastparam.geometry.problems import Location, Problem, path_of, problems_of
from fastparam.geometry.schema import GeometryConfig
from fastparam.geometry.shipped import find_geometry

__all__ = ["dump_geometry", "load_geometry", "parse_geometry"]


def load_geometry(path_or_name: str | Path) -> Geometry:
    """Read a geometry.yaml, the directory that holds it, or a shipped geometry by its name.

    Raises
    ------
    GeometryError
        If there is no such file or name, or the file has errors: all of them, each with line, path, value and what was
        expected.
    """
    path = find_geometry(path_or_name)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise GeometryError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise GeometryError(f"{path}: is not a text file (byte {error.start} is not UTF-8)") from error
    return parse_geometry(text, path)


def parse_geometry(text: str, path: Path) -> Geometry:
    """Return the geometry written in `text`; `path` is named in errors and relative paths start in its directory.

    Raises
    ------
    GeometryError
        As `load_geometry`.
    """
    raw, root, problems = _read_yaml(text, path)
    if isinstance(raw.get("binning"), str):
        try:
            raw["binning"] = read_binning_xml(path.parent / raw["binning"])
        except GeometryError as error:
            problems.append(Problem(("binning",), str(error)))
            del raw["binning"]
    config = None
    try:
        config = GeometryConfig.model_validate(raw)
    except ValidationError as error:
        problems += problems_of(error)
    problems += cross_checks(raw)
    if problems or config is None:
        raise GeometryError(_message(path, problems, root))
    return build_geometry(config, path)


def dump_geometry(geometry: Geometry) -> str:
    """Return YAML from which `parse_geometry` makes the same geometry: the file, with an XML binning written inline."""
    data = geometry.config.model_dump(by_alias=True, exclude_none=True)
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


class _Loader(yaml.SafeLoader):
    """YAML 1.2's core schema: 1e-3 is a number, 010 is ten, 10:30 and no are text."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - the base class's own form


class _Dumper(yaml.SafeDumper):
    """Quotes what `_Loader` would not read back as text."""

    yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers


def _integer(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    return int(str(loader.construct_scalar(node)))


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))
_Loader.add_constructor("tag:yaml.org,2002:int", _integer)


def _read_yaml(text: str, path: Path) -> tuple[dict[str, Any], yaml.Node, list[Problem]]:
    """Return the file as plain mappings and lists, its tree of nodes (for line numbers), and duplicate keys."""
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:
            raise GeometryError(f"{path}: is empty; `fastparam init` writes a commented example")
        duplicates = list(_duplicates(root, (), set()))
        raw = loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise GeometryError(f"{path}: {where}not valid YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise GeometryError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(raw, dict):
        raise GeometryError(f"{path}: found {type(raw).__name__}; expected a mapping with the keys name, frame, layers")
    return raw, root, duplicates


def _duplicates(node: yaml.Node, location: Location, visited: set[int]) -> Iterable[Problem]:
    if id(node) in visited:  # an alias of what was seen already, perhaps of what it is part of
        return
    visited.add(id(node))
    if isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for key, value in node.value:
            here = (*location, str(key.value))
            line = key.start_mark.line + 1
            if str(key.value) in first:
                yield Problem(
                    here, f"duplicate key, given in line {first[str(key.value)]} and again in line {line}; keep one"
                )
            first.setdefault(str(key.value), line)
            yield from _duplicates(value, here, visited)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _duplicates(value, (*location, index), visited)


def _message(path: Path, problems: list[Problem], root: yaml.Node) -> str:
    placed = sorted((_line(root, p.location), path_of(p.location), p.text) for p in problems)
    lines = [f"line {line}, {where}: {text}" for line, where, text in placed]
    if len(lines) == 1:
        return f"{path}: {lines[0]}"
    return "\n".join([f"{path}: {len(lines)} errors", *(f"  {line}" for line in lines)])


def _line(node: yaml.Node, location: Location) -> int:
    """Return the line (from 1) of the deepest part of a location that the file has."""
    line = node.start_mark.line
    for part in location:
        if isinstance(node, yaml.MappingNode):
            match = next(((k, v) for k, v in node.value if str(k.value) == str(part)), None)
            if match is None:
                break
            line, node = match[0].start_mark.line, match[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line
        else:
            break
    return int(line) + 1
