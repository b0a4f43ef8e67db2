"""A detector as everything but the readers sees it: slabs, active layers, and the whole as one medium."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fastparam.files import digest
from fastparam.geometry.materials import BUILTIN, EffectiveMaterial, atoms_to_mass, mixture, stack
from fastparam.geometry.schema import GeometryConfig, Layer, MaterialSpec, Plate, StackEntry, Units

__all__ = ["Geometry", "build_geometry", "material_table", "medium_of"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Geometry:
    """A detector of L active layers in m declared slabs; lengths in mm, the rest in the units of each attribute.

    Attributes
    ----------
    config : GeometryConfig
        The file as validated, in its own units.
    path : Path
        Of the file; relative paths of samples start in its directory.
    name, frame : str
        `frame` is "barrel" (positions are radii about the z axis) or "planar" (positions are z).
    slab_from, slab_to : float64 arrays (m,)
        Every declared slab in the order a particle meets it, stacks plate by plate; growing, never overlapping.
    slab_x0 : float64 array (m,)
        Radiation length of each slab's material in mm.
    slab_layer : int32 array (m,)
        Index of the active layer, 0 to L-1, or -1.
    layer_ids : int32 array (L,)
        The user's ids, as the layer branches of files hold them.
    layer_names : tuple of str
    layer_from, layer_to : float64 arrays (L,)
        Extent of the active medium.
    period_from, period_to : float64 arrays (L,)
        Range of the shower a layer stands for: in a stack its period (up to the end of the active plate and from the
        end of the one before, where a period has several), else the layer itself.
    layer_medium : int32 array (L,)
        Layers of equal medium (same material and, in stacks, same plate of the same period) share a number.
    material : EffectiveMaterial
        Everything from the front of the first active layer's period to the back of the last one, as one medium.
    digest : str
        Of all that changes what hits mean (frame, slabs, ids): equal for equal detectors, whatever their samples.
    """

    config: GeometryConfig
    path: Path
    name: str
    frame: str
    slab_from: Floats
    slab_to: Floats
    slab_x0: Floats
    slab_layer: Ints
    layer_ids: Ints
    layer_names: tuple[str, ...]
    layer_from: Floats
    layer_to: Floats
    period_from: Floats
    period_to: Floats
    layer_medium: Ints
    material: EffectiveMaterial
    digest: str

    @property
    def n_layers(self) -> int:
        """Number of active layers."""
        return len(self.layer_ids)

    def layer_index(self, ids: npt.ArrayLike) -> Ints:
        """Return the indices of layers given by the user's ids, -1 for unknown ones; same shape."""
        wanted = np.asarray(ids)
        order = np.argsort(self.layer_ids)
        slot = np.minimum(np.searchsorted(self.layer_ids[order], wanted), self.n_layers - 1)
        index = order[slot]
        return np.where(self.layer_ids[index] == wanted, index, -1).astype(np.int32)


@dataclass(frozen=True)
class _Slab:
    start: float
    stop: float
    material: EffectiveMaterial
    layer_id: int | None = None
    name: str = ""
    period: tuple[float, float] = (0.0, 0.0)
    medium: tuple[object, ...] = ()


def build_geometry(config: GeometryConfig, path: Path) -> Geometry:
    """Return the geometry of a configuration that passed `fastparam.geometry.load`'s checks."""
    table = material_table(config)
    slabs: list[_Slab] = []
    for entry in config.layers:
        made = (
            _stack_slabs(entry, table, config.units)
            if isinstance(entry, StackEntry)
            else [_layer_slab(entry, table, config.units)]
        )
        slabs.extend(made)
    slab_from = np.array([slab.start for slab in slabs])
    slab_to = np.array([slab.stop for slab in slabs])
    # Edges that are meant to touch may differ in the last digits.
    slab_from[1:] = np.maximum(slab_from[1:], slab_to[:-1])
    slab_x0 = np.array([slab.material.radiation_length for slab in slabs])
    active = [slab for slab in slabs if slab.layer_id is not None]
    numbers = {id(slab): number for number, slab in enumerate(active)}
    media: dict[tuple[object, ...], int] = {}
    start, stop = active[0].period[0], active[-1].period[1]
    seen = (slab_from >= start - 1e-9) & (slab_to <= stop + 1e-9)
    ids = np.array([slab.layer_id for slab in active], dtype=np.int32)
    return Geometry(
        config=config,
        path=path,
        name=config.name,
        frame=config.frame,
        slab_from=slab_from,
        slab_to=slab_to,
        slab_x0=slab_x0,
        slab_layer=np.array([numbers.get(id(slab), -1) for slab in slabs], dtype=np.int32),
        layer_ids=ids,
        layer_names=tuple(slab.name for slab in active),
        layer_from=np.array([slab.start for slab in active]),
        layer_to=np.array([slab.stop for slab in active]),
        period_from=np.array([slab.period[0] for slab in active]),
        period_to=np.array([slab.period[1] for slab in active]),
        layer_medium=np.array([media.setdefault(slab.medium, len(media)) for slab in active], dtype=np.int32),
        material=stack(
            [(float(slab_to[i] - slab_from[i]), slabs[i].material) for i in np.flatnonzero(seen)],
            length=stop - start,
        ),
        digest=_digest(config.frame, slabs),
    )


def _digest(frame: str, slabs: Sequence[_Slab]) -> str:
    # Nine digits: the logarithms in X0 may differ in the last bits between machines.
    return digest(frame, *(f"{s.start:.9g} {s.stop:.9g} {s.material.radiation_length:.9g} {s.layer_id}" for s in slabs))


def material_table(config: GeometryConfig) -> dict[str, EffectiveMaterial]:
    """Return the built-in materials and those that the file declares, by name."""
    table = dict(BUILTIN)
    for name, spec in config.materials.items():
        table[name] = _declared(name, spec, table, config.units)
    return table


def _declared(name: str, spec: MaterialSpec, table: dict[str, EffectiveMaterial], units: Units) -> EffectiveMaterial:
    fractions = spec.mass if spec.atoms is None else atoms_to_mass(spec.atoms)
    if fractions is None:
        material = table[name] if spec.density is None else table[name].at_density(spec.density)
    else:
        assert spec.density is not None  # checks.py
        material = mixture({part: (w, table[part]) for part, w in fractions.items()}, spec.density)
    return material.override(
        radiation_length=None if spec.X0 is None else spec.X0 * units.mm,
        moliere_radius=None if spec.R_M is None else spec.R_M * units.mm,
        critical_energy=None if spec.Ec is None else spec.Ec * units.mev,
        z=spec.Z,
        a=spec.A,
    )


def medium_of(entry: Layer | Plate, table: dict[str, EffectiveMaterial]) -> EffectiveMaterial:
    """Return what a layer or plate is made of."""
    if entry.mixture is not None:
        assert entry.density is not None  # schema.py
        return mixture({part: (w, table[part]) for part, w in entry.mixture.items()}, entry.density)
    assert entry.material is not None
    material = table[entry.material]
    return material if entry.density is None else material.at_density(entry.density)


def _key(material: EffectiveMaterial) -> tuple[object, ...]:
    return (
        round(material.density, 9),
        round(material.radiation_length, 9),
        tuple(sorted((symbol, round(w, 9)) for symbol, w in material.mass_fractions.items())),
    )


def _layer_slab(entry: Layer, table: dict[str, EffectiveMaterial], units: Units) -> _Slab:
    start, stop = entry.from_ * units.mm, entry.to * units.mm
    material = medium_of(entry, table)
    name = entry.name or ("" if entry.id is None else f"layer {entry.id}")
    return _Slab(start, stop, material, entry.id, name, (start, stop), _key(material))


def _stack_slabs(entry: StackEntry, table: dict[str, EffectiveMaterial], units: Units) -> list[_Slab]:
    plates = entry.stack.plates
    materials = [medium_of(plate, table) for plate in plates]
    edges = [units.mm * d for d in accumulate((plate.thickness for plate in plates), initial=0.0)]
    composition = tuple(
        (_key(m), round(plate.thickness * units.mm, 9)) for m, plate in zip(materials, plates, strict=True)
    )
    active = [number for number, plate in enumerate(plates) if plate.active]
    # With several active plates, each stands for the matter behind the one before it; the last also for the rest.
    bounds = [0.0, *(edges[number + 1] for number in active[:-1]), edges[-1]]
    slabs = []
    layer_id = entry.stack.first_id
    for repeat in range(entry.stack.repeat):
        # From the start of the stack each time, so that rounding does not add up.
        start = entry.stack.from_ * units.mm + repeat * edges[-1]
        for number, material in enumerate(materials):
            extent = start + edges[number], start + edges[number + 1]
            if number not in active:
                slabs.append(_Slab(*extent, material))
                continue
            slot = active.index(number)
            name = f"{entry.stack.name or 'layer'} {layer_id}"
            period = (start + bounds[slot], start + bounds[slot + 1])
            slabs.append(_Slab(*extent, material, layer_id, name, period, (composition, number)))
            layer_id += 1
    return slabs
