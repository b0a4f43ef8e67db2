"""Stored columns of hits -> `Hits`: one parallel pass that converts, looks up the layer and counts what is odd."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fastparam._numba import kernel, parallel_kernel, prange
from fastparam.hits.columns import Array, Columns
from fastparam.hits.hits import Hits
from fastparam.hits.layout import Layout

if TYPE_CHECKING:
    from fastparam.geometry.detector import Geometry

__all__ = ["TOLERANCE", "Oddities", "convert", "layer_at"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: How far outside its layer a hit may lie, mm. Positions rounded to 0.1 mm leave a layer by up to 0.05 mm per
#: coordinate, positions truncated to 0.1 mm by up to 0.1 mm; the rest is for single precision at large radii.
TOLERANCE = 0.15


@dataclass(frozen=True)
class Oddities:
    """What was found in the hits of n showers; arrays of shape (n,).

    Attributes
    ----------
    not_finite, negative, outside, elsewhere, unknown : int64
        Hits with a value that is NaN or infinite; with negative energy; outside every layer; in another place than
        the layer their branch names; with a layer id that the geometry does not have.
    energy, energy_outside : float64
        Visible energy in MeV of all hits, and of those outside every layer.
    """

    not_finite: Ints
    negative: Ints
    outside: Ints
    elsewhere: Ints
    unknown: Ints
    energy: Floats
    energy_outside: Floats


def convert(columns: Columns, geometry: Geometry, layout: Layout, rows: Ints) -> tuple[Hits, Oddities]:
    """Convert the hits of some rows to mm, MeV and layer indices.

    Energies below 0 become 0. The layer is the one that the file names, or without a layer branch the one at the
    hit's position; -1 wherever the position lies outside every layer by more than `TOLERANCE`.

    Parameters
    ----------
    columns : Columns
    geometry : Geometry
    layout : Layout
        Units of the file.
    rows : int64 array (m,)
        Which showers of `columns`, ascending.

    Returns
    -------
    Hits, Oddities
        Of the m showers.
    """
    starts = columns.offsets[rows]
    stops = columns.offsets[rows + 1]
    offsets = np.concatenate([[0], np.cumsum(stops - starts)]).astype(np.int64)
    n = int(offsets[-1])
    x, y, z, e = (np.empty(n) for _ in range(4))
    layer = np.empty(n, dtype=np.int32)
    counts = np.empty((len(rows), 5), dtype=np.int64)
    energies = np.empty((len(rows), 2))
    ids = columns.hits.get("layer")
    order = np.argsort(geometry.layer_ids, kind="stable").astype(np.int64)
    values = _of_one_type(columns)
    _convert(
        values["x"],
        values["y"],
        values["z"],
        values["e"],
        np.empty(0, dtype=np.int64) if ids is None else ids.astype(np.int64),
        ids is not None,
        starts,
        stops,
        offsets,
        layout.length,
        layout.energy,
        geometry.frame == "barrel",
        np.asarray(geometry.layer_from, dtype=np.float64),
        np.asarray(geometry.layer_to, dtype=np.float64),
        geometry.layer_ids[order].astype(np.int64),
        order,
        TOLERANCE,
        x,
        y,
        z,
        e,
        layer,
        counts,
        energies,
    )
    return Hits(x, y, z, e, layer, offsets), Oddities(*counts.T, *energies.T)


def layer_at(depth: Floats, geometry: Geometry) -> npt.NDArray[np.int32]:
    """Return the index of the layer at each radius (barrel) or z (planar) in mm, -1 outside every layer."""
    layer = np.empty(len(depth), dtype=np.int32)
    _layers(
        np.asarray(depth, dtype=np.float64),
        np.asarray(geometry.layer_from, dtype=np.float64),
        np.asarray(geometry.layer_to, dtype=np.float64),
        TOLERANCE,
        layer,
    )
    return layer


def _of_one_type(columns: Columns) -> dict[str, Array]:
    """Return x, y, z, e all in single or all in double precision: two compilations of the kernel cover all files.

    Single precision is passed on as it is, because a copy to double would cost as much as the kernel itself.
    """
    values = {role: columns.hits[role] for role in ("x", "y", "z", "e")}
    if all(v.dtype == np.float32 for v in values.values()):
        return values
    return {role: v.astype(np.float64, copy=False) for role, v in values.items()}


@kernel
def _layer_of(depth: float, layer_from: Floats, layer_to: Floats, tolerance: float) -> int:
    """Index of the layer at `depth`, else of the nearest within `tolerance`, else -1; layers are in order."""
    lo, hi = 0, len(layer_from)
    while lo < hi:
        middle = (lo + hi) // 2
        if layer_from[middle] <= depth:
            lo = middle + 1
        else:
            hi = middle
    behind = math.inf if lo == 0 else depth - layer_to[lo - 1]
    before = math.inf if lo == len(layer_from) else layer_from[lo] - depth
    if behind <= before:
        return lo - 1 if behind <= tolerance else -1
    return lo if before <= tolerance else -1


@kernel
def _layers(
    depth: Floats, layer_from: Floats, layer_to: Floats, tolerance: float, layer: npt.NDArray[np.int32]
) -> None:
    for i in range(len(depth)):
        layer[i] = _layer_of(depth[i], layer_from, layer_to, tolerance)


@kernel
def _index_of(number: int, sorted_ids: Ints, order: Ints) -> int:
    """Index of the layer with id `number`, -1 if there is none; ids without gaps are found at once."""
    n = len(sorted_ids)
    guess = number - sorted_ids[0]
    if 0 <= guess < n and sorted_ids[guess] == number:
        return order[guess]  # type: ignore[no-any-return]
    lo, hi = 0, n
    while lo < hi:
        middle = (lo + hi) // 2
        if sorted_ids[middle] < number:
            lo = middle + 1
        else:
            hi = middle
    return order[lo] if lo < n and sorted_ids[lo] == number else -1


@parallel_kernel
def _convert(
    x: Array,
    y: Array,
    z: Array,
    e: Array,
    ids: Ints,
    has_ids: bool,
    starts: Ints,
    stops: Ints,
    offsets: Ints,
    length: float,
    energy: float,
    barrel: bool,
    layer_from: Floats,
    layer_to: Floats,
    sorted_ids: Ints,
    order: Ints,
    tolerance: float,
    x_mm: Floats,
    y_mm: Floats,
    z_mm: Floats,
    e_mev: Floats,
    layer: npt.NDArray[np.int32],
    counts: npt.NDArray[np.int64],
    energies: Floats,
) -> None:
    for shower in prange(len(starts)):
        not_finite = negative = outside = elsewhere = unknown = 0
        total = total_outside = 0.0
        shift = offsets[shower] - starts[shower]
        for i in range(starts[shower], stops[shower]):
            a, b, c, d = x[i] * length, y[i] * length, z[i] * length, e[i] * energy
            if not math.isfinite(a + b + c + d):
                not_finite += 1
            if d < 0.0:
                negative += 1
                d = 0.0
            depth = math.sqrt(a * a + b * b) if barrel else c
            if has_ids:
                index = _index_of(ids[i], sorted_ids, order)
                if index < 0:
                    unknown += 1
                elif not layer_from[index] - tolerance <= depth <= layer_to[index] + tolerance:
                    elsewhere += 1
                    if _layer_of(depth, layer_from, layer_to, tolerance) < 0:
                        index = -1
                        outside += 1
                        total_outside += d
            else:
                index = _layer_of(depth, layer_from, layer_to, tolerance)
                if index < 0:
                    outside += 1
                    total_outside += d
            total += d
            j = i + shift
            x_mm[j] = a
            y_mm[j] = b
            z_mm[j] = c
            e_mev[j] = d
            layer[j] = index
        counts[shower, 0] = not_finite
        counts[shower, 1] = negative
        counts[shower, 2] = outside
        counts[shower, 3] = elsewhere
        counts[shower, 4] = unknown
        energies[shower, 0] = total
        energies[shower, 1] = total_outside
