"""Readout cells: a grid per layer in (eta, phi) or (x, y), with a cell border at 0.

Cell (i, j) of a layer covers [i, i + 1) times the size in the first coordinate and [j, j + 1) times the size in the
second. Around the axis a whole number of cells fits: the one nearest to 2 pi over the size in phi.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastparam.errors import UsageError

if TYPE_CHECKING:
    from fastparam.geometry.detector import Geometry

__all__ = ["CellGrid", "cells_of"]


@dataclass(frozen=True)
class CellGrid:
    """Cells of K layers.

    Attributes
    ----------
    layer_ids : tuple of int (K,)
        The user's ids of the layers that are read out.
    projective : tuple of bool (K,)
        Whether a layer's cells are in eta and phi (rad) about the origin; else in x and y (mm).
    size : tuple of pairs of float (K,)
        Size of a cell in the first and the second coordinate.
    window : tuple of pairs of int (K,)
        Cells around the impact cell in an image of the shower, in both coordinates.
    """

    layer_ids: tuple[int, ...]
    projective: tuple[bool, ...]
    size: tuple[tuple[float, float], ...]
    window: tuple[tuple[int, int], ...]

    @cached_property
    def n_phi(self) -> npt.NDArray[np.int64]:
        """Cells around the axis, 0 for cells in x and y, shape (K,)."""
        around = [
            round(2.0 * np.pi / s[1]) if projective else 0
            for projective, s in zip(self.projective, self.size, strict=True)
        ]
        return np.array(around, dtype=np.int64)

    @cached_property
    def first(self) -> npt.NDArray[np.int64]:
        """Place of each layer's first cell in an image, and number of all cells, shape (K + 1,)."""
        return np.concatenate([[0], np.cumsum([a * b for a, b in self.window])]).astype(np.int64)

    @property
    def n_image(self) -> int:
        """Cells of an image."""
        return int(self.first[-1])

    @cached_property
    def steps(self) -> npt.NDArray[np.float64]:
        """Sizes as used, those in phi so that a whole number fits, shape (K, 2)."""
        steps = np.array(self.size, dtype=np.float64)
        around = self.n_phi > 0
        steps[around, 1] = 2.0 * np.pi / self.n_phi[around]
        return steps

    def with_window(self, window: tuple[int, int] | dict[int, tuple[int, int]]) -> CellGrid:
        """Return the grid with other images: one size for all layers, or sizes by layer id (others have none).

        Raises
        ------
        UsageError
            For a layer without cells, or a size that is not positive.
        """
        wanted = window if isinstance(window, dict) else dict.fromkeys(self.layer_ids, window)
        strange = [layer for layer in wanted if layer not in self.layer_ids]
        if strange:
            raise UsageError(f"window: layer {strange[0]} has no cells; expected {', '.join(map(str, self.layer_ids))}")
        for layer, numbers in wanted.items():
            if min(numbers) < 1:
                raise UsageError(f"window: found {numbers} for layer {layer}; expected two numbers of cells")
        windows = tuple((int(wanted[i][0]), int(wanted[i][1])) if i in wanted else (0, 0) for i in self.layer_ids)
        return CellGrid(self.layer_ids, self.projective, self.size, windows)

    def rows_of_layers(self, geometry: Geometry) -> npt.NDArray[np.int64]:
        """Return for every active layer of a detector its position in `layer_ids`, -1 without cells, shape (L,).

        Raises
        ------
        UsageError
            If the detector lacks one of the layers.
        """
        missing = [i for i in self.layer_ids if i not in geometry.layer_ids]
        if missing:
            raise UsageError(
                f"the grid has cells in layer {', '.join(map(str, missing))}, which the detector {geometry.name} lacks;"
                f" its layers are {', '.join(map(str, geometry.layer_ids))}"
            )
        place = {layer: k for k, layer in enumerate(self.layer_ids)}
        return np.array([place.get(int(i), -1) for i in geometry.layer_ids], dtype=np.int64)

    def to_json(self) -> dict[str, Any]:
        """Return the grid as JSON values."""
        return {
            "layer_ids": list(self.layer_ids),
            "projective": list(self.projective),
            "size": [list(s) for s in self.size],
            "window": [list(w) for w in self.window],
        }


def cells_of(geometry: Geometry) -> CellGrid:
    """Return the cells that a detector's geometry.yaml gives.

    Raises
    ------
    UsageError
        If it gives none.
    """
    cells = geometry.config.cells
    if not cells:
        raise UsageError(
            f"{geometry.path}: has no cells; declare them, such as `cells: {{0: {{eta: 0.025, phi: 0.0982}}}}` or"
            " `cells: {0-44: {x: 5, y: 5}}`, sizes per layer"
        )
    ids = sorted(cells)
    unit = geometry.config.units.mm
    projective = tuple(cells[i].eta is not None for i in ids)
    size = tuple(
        (float(cells[i].eta or 0.0), float(cells[i].phi or 0.0))
        if angular
        else (float(cells[i].x or 0.0) * unit, float(cells[i].y or 0.0) * unit)
        for i, angular in zip(ids, projective, strict=True)
    )
    windows = tuple((w[0], w[1]) for w in (cells[i].window for i in ids))
    return CellGrid(tuple(ids), projective, size, windows)
