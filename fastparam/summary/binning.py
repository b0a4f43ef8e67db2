"""How the content of a shower is cut: depth cells within each layer, and rings around the particle's line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Binning"]


@dataclass(frozen=True)
class Binning:
    """Depth cells and radial bins.

    A layer is cut along the particle's line into cells of ``cell_width`` mm. Multiples of the width are counted from
    the particle's start (`anchor` "start", where stored hits were merged in cells counted from there) or from the
    line's entry into the layer ("layer"). A line that crosses a layer in more than `n_cells` cells has the rest in
    the last one.

    Attributes
    ----------
    anchor : str
        "start" or "layer".
    cell_width : float64 array (L,)
        Width of the cells of each active layer in mm along the line; infinite where a layer is one cell.
    n_cells : int64 array (L,)
        Cells of each layer.
    r_edges : float64 array (n_r + 1,)
        Edges of the radial bins in mm, from 0 to infinity.
    """

    anchor: str
    cell_width: npt.NDArray[np.float64]
    n_cells: npt.NDArray[np.int64]
    r_edges: npt.NDArray[np.float64]

    @property
    def n_r(self) -> int:
        """Number of radial bins."""
        return len(self.r_edges) - 1

    @property
    def first_cell(self) -> npt.NDArray[np.int64]:
        """Number of each layer's first cell, and the number of all cells behind it; shape (L + 1,)."""
        return np.concatenate([[0], np.cumsum(self.n_cells)]).astype(np.int64)

    @property
    def cell_layer(self) -> npt.NDArray[np.int64]:
        """Layer index of every cell, shape (n_cells_total,)."""
        return np.repeat(np.arange(len(self.n_cells)), self.n_cells)

    def same_as(self, other: Binning) -> bool:
        """Whether contents cut by either can be compared bin by bin."""
        return (
            self.anchor == other.anchor
            and np.array_equal(self.cell_width, other.cell_width)
            and np.array_equal(self.n_cells, other.n_cells)
            and np.array_equal(self.r_edges, other.r_edges)
        )
