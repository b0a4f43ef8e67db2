"""Hits of a batch of showers in the global frame: a struct of arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Hits"]


@dataclass(frozen=True)
class Hits:
    """Energy deposits of n showers, shower by shower.

    Attributes
    ----------
    x, y, z : float64 arrays (n_hits,)
        Position in mm, global frame.
    e : float64 array (n_hits,)
        Visible energy in MeV.
    layer : int32 array (n_hits,)
        *Index* of the active layer in the geometry, 0 to n_layers - 1 in the order a particle meets them (not the
        layer's id); -1 where a hit lies in no active layer.
    offsets : int64 array (n + 1,)
        Shower i owns the hits ``offsets[i]:offsets[i + 1]``.
    """

    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]
    z: npt.NDArray[np.float64]
    e: npt.NDArray[np.float64]
    layer: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of showers."""
        return len(self.offsets) - 1

    @property
    def n_hits(self) -> npt.NDArray[np.int64]:
        """Hits per shower, shape (n,)."""
        return np.diff(self.offsets)

    @property
    def shower(self) -> npt.NDArray[np.int64]:
        """Shower number of every hit, shape (n_hits,)."""
        return np.repeat(np.arange(len(self)), self.n_hits)
