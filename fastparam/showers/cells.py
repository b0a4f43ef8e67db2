"""Hits -> readout cells: all cells with energy, or an image of the cells around each particle's impact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastparam._numba import kernel, parallel_kernel, prange
from fastparam.geometry.frames import line_crossings

if TYPE_CHECKING:
    from fastparam.geometry.cells import CellGrid
    from fastparam.geometry.detector import Geometry
    from fastparam.hits.hits import Hits
    from fastparam.particles import Particles

__all__ = ["Cells", "cell_images", "cells_of_hits"]

Floats = npt.NDArray[np.float64]

#: Bits of a cell's number in one coordinate.
_BITS = 24
_HALF = 1 << (_BITS - 1)


@dataclass(frozen=True)
class Cells:
    """Cells with energy of n showers, in the order of layer, first and second coordinate.

    Attributes
    ----------
    layer : int32 array (n_cells,)
        The user's id of the layer.
    i, j : int32 arrays (n_cells,)
        Number of the cell in the grid's first and second coordinate; a cell starts at i times its size.
    e : float64 array (n_cells,)
        Visible energy in MeV.
    offsets : int64 array (n + 1,)
        Shower k owns the cells ``offsets[k]:offsets[k + 1]``.
    lost : float64 array (n,)
        Energy in MeV of hits in layers without cells, or in none.
    """

    layer: npt.NDArray[np.int32]
    i: npt.NDArray[np.int32]
    j: npt.NDArray[np.int32]
    e: Floats
    offsets: npt.NDArray[np.int64]
    lost: Floats

    def __len__(self) -> int:
        """Return the number of showers."""
        return len(self.offsets) - 1

    @property
    def shower(self) -> npt.NDArray[np.int64]:
        """Number of the shower of each cell, shape (n_cells,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    @property
    def cell_id(self) -> npt.NDArray[np.int64]:
        """One number per cell, shape (n_cells,): the layer above bit 48, below it 24 bits each of i and j + 2**23."""
        i, j = self.i.astype(np.int64) + _HALF, self.j.astype(np.int64) + _HALF
        return (self.layer.astype(np.int64) << (2 * _BITS)) | (i << _BITS) | j


@kernel
def _wrapped(j: int, around: int) -> int:
    """Cell around the axis, from -around // 2 on."""
    half = around // 2
    return (j + half) % around - half


@parallel_kernel
def _number(
    x: Any, y: Any, z: Any, layer: Any, rows: Any, projective: Any, steps: Any, around: Any, i: Any, j: Any
) -> None:
    for h in prange(len(x)):
        row = rows[layer[h]] if layer[h] >= 0 else -1
        if row < 0:
            i[h], j[h] = 0, 0
            continue
        first, second = x[h], y[h]
        if projective[row]:
            first = np.arcsinh(z[h] / max(np.sqrt(x[h] * x[h] + y[h] * y[h]), 1e-9))
            second = np.arctan2(y[h], x[h])
        i[h] = np.int64(np.floor(first / steps[row, 0]))
        j[h] = np.int64(np.floor(second / steps[row, 1]))
        if projective[row]:
            j[h] = _wrapped(j[h], around[row])


@parallel_kernel
def _sum_sorted(key: Any, e: Any, offsets: Any, merged_key: Any, merged_e: Any, counts: Any, lost: Any) -> None:
    """Merge the hits of every shower cell by cell; results at the front of the shower's stretch."""
    for k in prange(len(offsets) - 1):
        lo, hi = offsets[k], offsets[k + 1]
        order = np.argsort(key[lo:hi], kind="mergesort")  # stable: sums do not depend on anything else
        last = np.int64(-1)
        n = 0
        for o in order:
            number = key[lo + o]
            if number < 0:
                lost[k] += e[lo + o]
                continue
            if number != last:
                merged_key[lo + n], merged_e[lo + n] = number, 0.0
                last = number
                n += 1
            merged_e[lo + n - 1] += e[lo + o]
        counts[k] = n


@parallel_kernel
def _compact(source: Any, offsets: Any, keys: Any, energies: Any, out_key: Any, out_e: Any) -> None:
    for k in prange(len(offsets) - 1):
        for n in range(offsets[k + 1] - offsets[k]):
            out_key[offsets[k] + n] = keys[source[k] + n]
            out_e[offsets[k] + n] = energies[source[k] + n]


@parallel_kernel
def _image(
    i: Any, j: Any, row: Any, e: Any, offsets: Any, corner: Any, window: Any, first: Any, around: Any, image: Any,
    lost: Any,
) -> None:  # fmt: skip
    for k in prange(len(offsets) - 1):
        for h in range(offsets[k], offsets[k + 1]):
            m = row[h]
            inside = False
            if m >= 0:
                a, b = i[h] - corner[k, m, 0], j[h] - corner[k, m, 1]
                if around[m] > 0:
                    b %= around[m]
                inside = 0 <= a < window[m, 0] and 0 <= b < window[m, 1]
                if inside:
                    image[k, first[m] + a * window[m, 1] + b] += e[h]
            if not inside:
                lost[k] += e[h]


def _numbers(
    geometry: Geometry, hits: Hits, grid: CellGrid
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the position of the layer in the grid (-1 for none), i and j of every hit."""
    rows = grid.rows_of_layers(geometry)
    i, j = np.empty(len(hits.x), dtype=np.int64), np.empty(len(hits.x), dtype=np.int64)
    projective = np.array(grid.projective, dtype=np.bool_)
    _number(hits.x, hits.y, hits.z, hits.layer, rows, projective, grid.steps, grid.n_phi, i, j)
    return np.where(hits.layer >= 0, rows[np.maximum(hits.layer, 0)], -1), i, j


def cells_of_hits(geometry: Geometry, hits: Hits, grid: CellGrid) -> Cells:
    """Sum hits cell by cell.

    Parameters
    ----------
    geometry : Geometry
    hits : Hits
        Of n showers, global frame.
    grid : CellGrid

    Raises
    ------
    UsageError
        If the grid has layers that the detector lacks.
    """
    row, i, j = _numbers(geometry, hits, grid)
    key = np.where(row >= 0, (row << (2 * _BITS)) | ((i + _HALF) << _BITS) | (j + _HALF), -1)
    n = len(hits)
    keys, energies = np.empty_like(key), np.empty(len(key))
    counts, lost = np.zeros(n, dtype=np.int64), np.zeros(n)
    _sum_sorted(key, hits.e, hits.offsets, keys, energies, counts, lost)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    out_key, e = np.empty(offsets[-1], dtype=np.int64), np.empty(offsets[-1])
    _compact(hits.offsets, offsets, keys, energies, out_key, e)
    mask = (1 << _BITS) - 1
    return Cells(
        np.array(grid.layer_ids, dtype=np.int32)[out_key >> (2 * _BITS)],
        (((out_key >> _BITS) & mask) - _HALF).astype(np.int32),
        ((out_key & mask) - _HALF).astype(np.int32),
        e,
        offsets,
        lost,
    )


def cell_images(geometry: Geometry, particles: Particles, hits: Hits, grid: CellGrid) -> tuple[Floats, Floats]:
    """Return the cells around each particle's impact as one vector.

    In each layer the window of the grid has the cell in its middle that the particle's line crosses half-way through
    the layer; a window of an even number of cells is put so that the crossing is nearest to its middle.

    Returns
    -------
    image : float64 array (n, n_image)
        Visible energy in MeV: layer by layer, in a layer the first coordinate slowest.
    lost : float64 array (n,)
        Energy in MeV outside the window: the two add up to that of all hits.
    """
    row, i, j = _numbers(geometry, hits, grid)
    own = geometry.layer_index(grid.layer_ids)
    middle = 0.5 * (geometry.layer_from + geometry.layer_to)[own]
    paths = line_crossings(geometry, particles, middle)
    points = particles.position[:, None, :] + paths[..., None] * particles.direction[:, None, :]
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    angular = np.array(grid.projective)
    first = np.where(angular, np.arcsinh(z / np.maximum(np.hypot(x, y), 1e-9)), x)
    second = np.where(angular, np.arctan2(y, x), y)
    window = np.array(grid.window, dtype=np.int64)
    impact = np.stack([first, second], axis=-1) / grid.steps
    corner = np.floor(impact - 0.5 * window + 0.5).astype(np.int64)
    image, lost = np.zeros((len(hits), grid.n_image)), np.zeros(len(hits))
    _image(i, j, row, hits.e, hits.offsets, corner, window, grid.first, grid.n_phi, image, lost)
    return image, lost
