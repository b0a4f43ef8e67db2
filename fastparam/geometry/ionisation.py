"""What a minimum-ionising particle leaves in every layer, from the materials."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastparam.geometry.detector import Geometry, material_table, medium_of
from fastparam.geometry.materials import BUILTIN
from fastparam.geometry.schema import GeometryConfig, Layer, Plate, StackEntry

__all__ = ["SENSITIVE", "mip_energy"]

#: Media that measure. Where a layer is described as a mixture (an accordion as one medium), only they are visible.
SENSITIVE = (
    "lAr", "LAr", "lKr", "LKr", "lXe", "LXe", "Si", "silicon", "polystyrene", "scintillator", "polyvinyltoluene", "PVT",
)  # fmt: skip


def mip_energy(geometry: Geometry) -> npt.NDArray[np.float64]:
    """Return the minimum of dE/dx times the thickness of every active layer at normal incidence, MeV, shape (L,).

    In a layer that is a mixture with a known sensitive medium (`SENSITIVE`), only the share of that medium counts.
    """
    config = geometry.config
    found: list[float] = []
    for entry in config.layers:
        if isinstance(entry, StackEntry):
            plates = [_loss(plate, config) for plate in entry.stack.plates if plate.active]
            found += plates * entry.stack.repeat
        elif entry.id is not None:
            found.append(_loss(entry, config))
    # MeV cm2/g times g/cm3 times cm
    return np.asarray(np.array(found) * 0.1 * (geometry.layer_to - geometry.layer_from))


def _loss(entry: Layer | Plate, config: GeometryConfig) -> float:
    """Visible energy loss in MeV/cm."""
    medium = medium_of(entry, material_table(config))
    declared = config.materials.get(entry.material) if entry.material is not None else None
    parts = entry.mixture or (declared.mass if declared is not None else None) or {}
    total = sum(parts.values())
    visible = [(w / total, BUILTIN[part]) for part, w in parts.items() if part in SENSITIVE]
    if visible:
        return medium.density * sum(w * material.minimum_dedx for w, material in visible)
    return medium.density * medium.minimum_dedx
