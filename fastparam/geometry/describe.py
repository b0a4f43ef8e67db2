"""A geometry in plain numbers and words, for `fastparam check`."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastparam.geometry.detector import Geometry, material_table, medium_of
from fastparam.geometry.materials import EffectiveMaterial
from fastparam.geometry.schema import Layer, Plate, StackEntry

__all__ = ["describe"]


def describe(geometry: Geometry) -> dict[str, Any]:
    """Return what was understood of a geometry.yaml, in types that JSON knows.

    Returns
    -------
    dict
        Lengths in mm, energies in MeV, densities in g/cm3. `layers` has one entry per entry of the file, with the
        first and last id of its active layers, and its depth in X0 at normal incidence from the first declared layer.
    """
    config = geometry.config
    return {
        "name": geometry.name,
        "path": str(geometry.path),
        "frame": geometry.frame,
        "energy_is": config.energy_is,
        "n_layers": geometry.n_layers,
        "layers": _layers(geometry),
        "materials": {name: _numbers(material) for name, material in sorted(_used(geometry).items())},
        "medium": _numbers(geometry.material),
        "samples": [sample.model_dump(exclude_none=True) for sample in config.samples],
        "slices": None if config.slices is None else config.slices.eta,
        "modulation": None if config.modulation is None else config.modulation.model_dump(),
        "recipe": config.recipe,
        "digest": geometry.digest,
    }


def _layers(geometry: Geometry) -> list[dict[str, Any]]:
    rows = []
    depth = np.concatenate([[0.0], np.cumsum((geometry.slab_to - geometry.slab_from) / geometry.slab_x0)])
    first = 0
    for number, entry in enumerate(geometry.config.layers):
        last = first + (entry.stack.repeat * len(entry.stack.plates) if isinstance(entry, StackEntry) else 1)
        index = geometry.slab_layer[first:last]
        ids = geometry.layer_ids[index[index >= 0]]
        rows.append(
            {
                "name": (entry.stack.name if isinstance(entry, StackEntry) else entry.name) or f"layers[{number}]",
                "ids": [int(ids[0]), int(ids[-1])] if len(ids) else None,
                "from": float(geometry.slab_from[first]),
                "to": float(geometry.slab_to[last - 1]),
                "x0": float(depth[last] - depth[first]),
                "x0_from": float(depth[first]),
                "x0_to": float(depth[last]),
                "made_of": _made_of(entry),
            }
        )
        first = last
    return rows


def _made_of(entry: Layer | StackEntry) -> str:
    if isinstance(entry, StackEntry):
        plates = ", ".join(
            f"{_name(plate)} {plate.thickness:g}{' active' if plate.active else ''}" for plate in entry.stack.plates
        )
        return f"{entry.stack.repeat} x ({plates})"
    return _name(entry)


def _name(medium: Layer | Plate) -> str:
    if medium.mixture is not None:
        return " + ".join(f"{100 * w:.3g}% {part}" for part, w in medium.mixture.items())
    return str(medium.material) if medium.density is None else f"{medium.material} at {medium.density:g} g/cm3"


def _used(geometry: Geometry) -> dict[str, EffectiveMaterial]:
    table = material_table(geometry.config)
    media: list[Layer | Plate] = []
    for entry in geometry.config.layers:
        media.extend(entry.stack.plates if isinstance(entry, StackEntry) else [entry])
    return {_name(medium): medium_of(medium, table) for medium in media}


def _numbers(material: EffectiveMaterial) -> dict[str, float]:
    return {
        "X0": material.radiation_length,
        "R_M": material.moliere_radius,
        "Ec": material.critical_energy,
        "Z": material.z,
        "A": material.a,
        "density": material.density,
    }
