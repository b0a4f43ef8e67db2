"""Geometries, recipes and tunes that come with the package, by name; in an installed wheel and in a source checkout."""

from __future__ import annotations

from pathlib import Path

from fastparam.errors import FastparamError, GeometryError, near

__all__ = ["find_geometry", "find_recipe", "shipped_geometries", "shipped_recipes", "shipped_tunes"]

_PACKAGE = Path(__file__).parents[1]


def _root(installed: str, checkout: str) -> Path:
    """Return where files are: the wheel puts them into the package, a checkout has them beside it."""
    inside = _PACKAGE / "shipped" / installed
    return inside if inside.is_dir() else _PACKAGE.parent / checkout


def shipped_geometries() -> dict[str, Path]:
    """Return the geometry.yaml of every shipped geometry by name."""
    return {p.parent.name: p for p in sorted(_root("geometries", "geometries").glob("*/geometry.yaml"))}


def shipped_recipes() -> dict[str, Path]:
    """Return the file of every shipped recipe by name."""
    return {p.stem: p for p in sorted(_root("recipes", "tuning/recipes").glob("*.yaml"))}


def shipped_tunes() -> dict[str, Path]:
    """Return the file of every shipped tune by name."""
    return {p.name.removesuffix(".tune.h5"): p for p in sorted(_root("tunes", "tuning/tunes").glob("*.tune.h5"))}


def find_geometry(path_or_name: str | Path) -> Path:
    """Return the geometry.yaml that is meant: a file, a directory with a geometry.yaml, else a shipped geometry's name.

    Raises
    ------
    GeometryError
        If there is neither; lists the shipped names.
    """
    path = Path(path_or_name)
    if path.is_dir() and (path / "geometry.yaml").is_file():
        return path / "geometry.yaml"
    return _find(path, shipped_geometries(), "geometry", GeometryError)


def find_recipe(path_or_name: str | Path, directory: Path | None = None) -> Path:
    """Return the recipe that is meant: a file (relative to `directory`, default the current one), else a shipped name.

    Raises
    ------
    FastparamError
        If there is neither; lists the shipped names.
    """
    return _find(Path(path_or_name), shipped_recipes(), "recipe", FastparamError, directory)


def _find(
    path: Path, shipped: dict[str, Path], what: str, error: type[FastparamError], directory: Path | None = None
) -> Path:
    located = path if directory is None else directory / path
    if located.is_file():
        return located
    name = str(path)
    if name in shipped:
        return shipped[name]
    raise error(
        f"{name}: no such file, and no shipped {what} of that name{near(name, shipped)}; "
        f"shipped: {', '.join(shipped) or 'none'}"
    )
