"""Tune classical calorimeter shower parametrisations from full-simulation hits, sample showers, compare generators.

The public names, resolved on first use so that ``import fastparam`` costs next to nothing:

    tune(geometry, ...)         fit a tune to the samples of a geometry.yaml or of a shipped geometry
    load(path_or_name)          a generator: a tune file, a shipped tune, a file of showers
    compare(reference, ...)     any generators against full simulation
    Particles                   primaries: pdg, kinetic energy, position, direction
    Showers                     particles with their hits, as generators return them
    Geometry, load_geometry     a detector as its geometry.yaml describes it
    errors                      everything that a user can cause, derived from `errors.FastparamError`
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastparam import errors
    from fastparam.comparison.compare import compare
    from fastparam.generate.registry import load
    from fastparam.geometry.detector import Geometry
    from fastparam.geometry.load import load_geometry
    from fastparam.particles import Particles
    from fastparam.showers.showers import Showers
    from fastparam.workflow.tune import tune

__version__ = "0.1.0"

__all__ = ["Geometry", "Particles", "Showers", "__version__", "compare", "errors", "load", "load_geometry", "tune"]

_HOME = {
    "Geometry": "fastparam.geometry.detector",
    "Particles": "fastparam.particles",
    "Showers": "fastparam.showers.showers",
    "compare": "fastparam.comparison.compare",
    "load": "fastparam.generate.registry",
    "load_geometry": "fastparam.geometry.load",
    "tune": "fastparam.workflow.tune",
}


def __getattr__(name: str) -> Any:
    if name == "errors":
        return import_module("fastparam.errors")
    if name not in _HOME:
        raise AttributeError(f"module 'fastparam' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
