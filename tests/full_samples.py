"""The shipped geometries with other files: what the studies on full samples share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fastparam.geometry.detector import Geometry
from fastparam.geometry.load import load_geometry

__all__ = ["FILES", "with_files"]

#: Electrons and photons of each detector.
FILES = {
    "lar_accordion": [
        "photons_eta020.root",
        "photons_eta040.root",
        "photons_eta060.root",
        "electrons_eta020.root",
    ],
    "siw": ["photons.root", "electrons.root"],
    "pbwo4": ["photons.root", "electrons.root"],
}


def with_files(name: str, files: list[Path]) -> Geometry:
    """Return a shipped geometry with other files in its one sample entry."""
    geometry = load_geometry(name)
    sample = geometry.config.samples[0].model_copy(update={"files": [str(f.resolve()) for f in files]})
    return replace(geometry, config=geometry.config.model_copy(update={"samples": [sample]}))
