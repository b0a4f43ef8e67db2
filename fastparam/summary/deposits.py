"""Single hits of showers in the local frame: what models of single deposits are built from.

A summary keeps them only where a recipe asks for them, and of at most about `MAX_SHOWERS` showers of a sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastparam._numba import parallel_kernel, prange
from fastparam.summary.rounding import rounded

if TYPE_CHECKING:
    from fastparam.geometry.frames import Frames
    from fastparam.hits.hits import Hits

__all__ = ["MAX_SHOWERS", "PER_HIT", "Deposits", "chosen", "deposits_of"]

#: Showers of a sample whose hits are kept, about; of a larger sample a share is chosen by the numbers of the rows.
MAX_SHOWERS = 30_000

#: Significant bits kept of distances and of energies: 0.2 % and 0.4 % at worst.
_POSITION_BITS, _ENERGY_BITS = 9, 8

#: The arrays of `Deposits` with one row per hit.
PER_HIT = ("layer", "d1", "d2", "depth", "e")


@dataclass(frozen=True)
class Deposits:
    """Hits of n showers in the frames of their particles' lines.

    Attributes
    ----------
    kept : bool array (n,)
        Whether the shower's hits are here; the others have none.
    offsets : int64 array (n + 1,)
        Shower i owns hits ``offsets[i]:offsets[i + 1]``.
    layer : int16 array (n_hits,)
        Index of the active layer.
    d1, d2 : float32 arrays (n_hits,)
        Distances in mm transverse to the line along e1 and e2 (`geometry.frames`).
    depth : uint8 array (n_hits,)
        Where between the line's entry into the layer (0) and its exit (255) the hit lies along the line; 128 in
        layers of a single depth cell.
    e : float32 array (n_hits,)
        Visible energy in MeV.
    """

    kept: npt.NDArray[np.bool_]
    offsets: npt.NDArray[np.int64]
    layer: npt.NDArray[np.int16]
    d1: npt.NDArray[np.float32]
    d2: npt.NDArray[np.float32]
    depth: npt.NDArray[np.uint8]
    e: npt.NDArray[np.float32]

    def __len__(self) -> int:
        """Return the number of showers, kept or not."""
        return len(self.kept)

    @property
    def shower(self) -> npt.NDArray[np.int64]:
        """Number of the shower of each hit, shape (n_hits,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def take(self, positions: npt.NDArray[np.int64]) -> Deposits:
        """Return the showers at these positions, in that order."""
        counts = np.diff(self.offsets)[positions]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        source = np.repeat(self.offsets[positions] - offsets[:-1], counts) + np.arange(offsets[-1])
        return Deposits(self.kept[positions], offsets, *(getattr(self, name)[source] for name in PER_HIT))

    @staticmethod
    def concatenate(parts: list[Deposits]) -> Deposits:
        """Put showers one behind the other."""
        counts = np.concatenate([np.diff(part.offsets) for part in parts])
        return Deposits(
            np.concatenate([part.kept for part in parts]),
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            *(np.concatenate([getattr(part, name) for part in parts]) for name in PER_HIT),
        )


def chosen(row: npt.NDArray[np.int64], sample_rows: int) -> npt.NDArray[np.bool_]:
    """Which rows of a sample keep their hits: all of a small sample, a share of a large one, whatever the split."""
    if sample_rows <= MAX_SHOWERS:
        return np.ones(len(row), dtype=np.bool_)
    # Fibonacci hashing spreads any pattern of rows, even and odd ones alike.
    hashed = (row.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(11)
    return np.asarray(hashed.astype(np.float64) * 2.0**-53 < MAX_SHOWERS / sample_rows)


@parallel_kernel
def _localise(
    x: Any, y: Any, z: Any, e: Any, layer: Any, offsets: Any, origin: Any, u: Any, e1: Any, e2: Any, slab_in: Any,
    slab_out: Any, layer_slab: Any, n_cells: Any, keep: Any, new_offsets: Any, new_layer: Any, d1: Any, d2: Any,
    depth: Any, new_e: Any,
) -> None:  # fmt: skip
    for i in prange(len(offsets) - 1):
        if not keep[i]:
            continue
        j = new_offsets[i]
        for h in range(offsets[i], offsets[i + 1]):
            if layer[h] < 0:
                continue
            dx, dy, dz = x[h] - origin[i, 0], y[h] - origin[i, 1], z[h] - origin[i, 2]
            s = dx * u[i, 0] + dy * u[i, 1] + dz * u[i, 2]
            d1[j] = dx * e1[i, 0] + dy * e1[i, 1] + dz * e1[i, 2]
            d2[j] = dx * e2[i, 0] + dy * e2[i, 1] + dz * e2[i, 2]
            depth[j] = 128
            if n_cells[layer[h]] > 1:
                slab = layer_slab[layer[h]]
                path = slab_out[i, slab] - slab_in[i, slab]
                share = (s - slab_in[i, slab]) / path if path > 0.0 else 0.5
                depth[j] = np.uint8(round(255.0 * min(max(share, 0.0), 1.0)))
            new_layer[j] = layer[h]
            new_e[j] = e[h]
            j += 1


def deposits_of(
    frames: Frames,
    hits: Hits,
    layer_slab: npt.NDArray[np.int64],
    n_cells: npt.NDArray[np.int64],
    keep: npt.NDArray[np.bool_],
    n_inside: npt.NDArray[np.int64],
) -> Deposits:
    """Return the hits in active layers of the showers to keep.

    Parameters
    ----------
    frames : Frames
    hits : Hits
        Of the same n showers, global frame.
    layer_slab : int64 array (L,)
        Slab of each active layer.
    n_cells : int64 array (L,)
        Depth cells of each active layer (`Binning.n_cells`).
    keep : bool array (n,)
    n_inside : int64 array (n,)
        Hits in active layers.
    """
    offsets = np.concatenate([[0], np.cumsum(np.where(keep, n_inside, 0))]).astype(np.int64)
    n = int(offsets[-1])
    layer, depth = np.empty(n, dtype=np.int16), np.empty(n, dtype=np.uint8)
    d1, d2, e = (np.empty(n) for _ in range(3))
    _localise(
        hits.x, hits.y, hits.z, hits.e, hits.layer, hits.offsets, frames.origin, frames.u, frames.e1, frames.e2,
        frames.slab_in, frames.slab_out, layer_slab, n_cells, keep, offsets, layer, d1, d2, depth, e,
    )  # fmt: skip
    return Deposits(
        keep,
        offsets,
        layer,
        rounded(d1, _POSITION_BITS).astype(np.float32),
        rounded(d2, _POSITION_BITS).astype(np.float32),
        depth,
        rounded(e, _ENERGY_BITS).astype(np.float32),
    )
