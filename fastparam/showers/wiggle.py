"""Cells that follow folded electrodes: displacement of hits in phi before they are looked up in straight cells.

In an accordion the border between two cells lies at phi_border + fold(r): it swings with the depth, while cells are
tabulated with straight borders. A hit belongs to the straight cell that holds phi - fold(r).

* `straightened` does that for hits that know their depth, with the fold of geometry.yaml (`modulation: {fold: ...}`,
  off unless given).
* `displaced` draws the displacement delta at random, phi -> phi + delta, for hits without a depth of their own (voxels,
  and lateral shapes of a whole layer). Its distribution is that of -fold(r) over the depth of a layer. Or it follows
  from the efficiency eff(t), the share of hits at position t in the straight cell whose true cell that is: a hit at
  distance d from the upper border stays if delta < d, so that eff is the cumulative distribution of delta there, and
  the density is its derivative (not eff itself).

Energies are not touched: how the response depends on phi is another matter (`fit.modulation`). Random displacements are
independent hit by hit, while in a detector all hits of one depth move together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastparam._numba import parallel_kernel, prange
from fastparam.errors import InputError
from fastparam.random import stream, uniform

if TYPE_CHECKING:
    from fastparam.geometry.detector import Geometry
    from fastparam.hits.hits import Hits

__all__ = ["Displacement", "displaced", "displacement_of_efficiency", "displacement_of_fold", "straightened"]

Floats = npt.NDArray[np.float64]

_PURPOSE = 91
_STEPS = 200


@dataclass(frozen=True)
class Displacement:
    """Distribution of a displacement in phi: cumulative values at points between which it is linear.

    Attributes
    ----------
    delta : float64 array (m,)
        rad, growing.
    cumulative : float64 array (m,)
        From 0 to 1, not falling.
    """

    delta: Floats
    cumulative: Floats


def straightened(geometry: Geometry, hits: Hits) -> Hits:
    """Return hits at the phi where straight cells hold them; the same hits if the geometry has no fold.

    Hits outside the radii of the fold, and in layers that are not modulated, keep their place.
    """
    declared = geometry.config.modulation
    if declared is None or declared.fold is None:
        return hits
    scale = geometry.config.units.mm
    radius, phi = np.array(declared.fold).T
    modulated = np.isin(np.arange(geometry.n_layers), geometry.layer_index(np.array(declared.layers)))
    concerned = (hits.layer >= 0) & modulated[np.maximum(hits.layer, 0)]
    shift = -np.interp(np.hypot(hits.x, hits.y), scale * radius, phi, left=0.0, right=0.0)
    return _turned(hits, np.where(concerned, shift, 0.0))


def displacement_of_fold(geometry: Geometry, layer: int) -> Displacement:
    """Return the distribution of -fold(r) over a layer (by index), all radii of it alike.

    Raises
    ------
    InputError
        If the geometry declares no fold.
    """
    declared = geometry.config.modulation
    if declared is None or declared.fold is None:
        raise InputError(f"{geometry.path}: declares no `fold` in `modulation`")
    radius, phi = np.array(declared.fold).T
    r = np.linspace(geometry.layer_from[layer], geometry.layer_to[layer], 50 * _STEPS)
    delta = np.sort(-np.interp(r, geometry.config.units.mm * radius, phi, left=0.0, right=0.0))
    cumulative = np.linspace(0.0, 1.0, _STEPS + 1)
    return Displacement(np.quantile(delta, cumulative), cumulative)


def displacement_of_efficiency(t: Floats, efficiency: Floats, width: float) -> Displacement:
    """Return the distribution of displacements from the efficiency of straight cells.

    Parameters
    ----------
    t : float64 array (k,)
        Position in the cell, -1 at its lower and 1 at its upper border, growing.
    efficiency : float64 array (k,)
        Share of hits there whose true cell it is.
    width : float
        Of a cell in rad; displacements are assumed smaller than half of it.

    Raises
    ------
    InputError
        If positions or efficiencies are out of range.
    """
    t, efficiency = np.asarray(t, dtype=np.float64), np.asarray(efficiency, dtype=np.float64)
    if (np.abs(t) > 1.0).any() or (np.diff(t) <= 0).any() or (efficiency < 0).any() or (efficiency > 1).any():
        raise InputError("efficiency of cells: expected t from -1 to 1, growing, and efficiencies from 0 to 1")
    above, below = t > 0, t < 0
    # Upper border at distance d = (1 - t) width / 2: F(d) = eff. Lower border at (1 + t) width / 2: F(-d) = 1 - eff.
    delta = 0.5 * width * np.concatenate([-(1.0 + t[below])[::-1], (1.0 - t[above])[::-1]])
    cumulative = np.concatenate([(1.0 - efficiency[below])[::-1], efficiency[above][::-1]])
    half = 0.5 * width
    delta, cumulative = np.concatenate([[-half], delta, [half]]), np.concatenate([[0.0], cumulative, [1.0]])
    return Displacement(delta, np.maximum.accumulate(cumulative))


@parallel_kernel
def _draw(
    seed: Any, index: Any, offsets: Any, layer: Any, table_of: Any, deltas: Any, cumulatives: Any, out: Any
) -> None:
    for i in prange(len(offsets) - 1):
        state = stream(seed, index[i], _PURPOSE)
        for h in range(offsets[i], offsets[i + 1]):
            u = uniform(state)
            row = table_of[layer[h]] if layer[h] >= 0 else -1
            if row < 0:
                continue
            k = min(np.searchsorted(cumulatives[row], u, side="right"), deltas.shape[1] - 1)
            low, high = cumulatives[row, k - 1], cumulatives[row, k]
            share = (u - low) / (high - low) if high > low else 0.0
            out[h] = deltas[row, k - 1] + share * (deltas[row, k] - deltas[row, k - 1])


def displaced(
    hits: Hits, displacements: Mapping[int, Displacement], *, index: npt.NDArray[np.int64], seed: int
) -> Hits:
    """Return hits with random displacements in phi.

    Parameters
    ----------
    hits : Hits
        Of n showers.
    displacements : dict of int to Displacement
        By index of the layer; hits of other layers keep their place.
    index : int64 array (n,)
        Numbers of the showers (`Particles.index`), which name their streams of random numbers.
    seed : int
    """
    if not displacements:
        return hits
    most = max(len(d.delta) for d in displacements.values())
    deltas, cumulatives = (
        np.stack([np.append(v, np.full(most - len(v), v[-1])) for v in values])
        for values in ([d.delta for d in displacements.values()], [d.cumulative for d in displacements.values()])
    )
    table_of = np.full(max(int(hits.layer.max(initial=0)), *displacements) + 1, -1, dtype=np.int64)
    table_of[list(displacements)] = np.arange(len(displacements))
    shift = np.zeros(len(hits.x))
    _draw(seed, index, hits.offsets, hits.layer, table_of, deltas, cumulatives, shift)
    return _turned(hits, shift)


def _turned(hits: Hits, angle: Floats) -> Hits:
    """Turn hits about the axis of the barrel."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return replace(hits, x=cosine * hits.x - sine * hits.y, y=sine * hits.x + cosine * hits.y)
