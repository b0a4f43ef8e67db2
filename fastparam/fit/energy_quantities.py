"""Quantities of the energies component: what of a shower is parametrised (`fit.energies`).

Visible energy over E, each layer's share of it, the mean depth inside each thick layer, and of hadrons that pass a
detector of few layers their energy in MeV.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fastparam.fit.marginals import Quantities

if TYPE_CHECKING:
    from fastparam.geometry.detector import Geometry
    from fastparam.summary.summary import Summary

__all__ = ["PASSING", "layer_energies", "quantities_of", "thick_layers", "total_of"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

Bools = npt.NDArray[np.bool_]

#: Name of the energy in MeV of showers that pass.
PASSING = "total of those that pass"


def quantities_of(
    geometry: Geometry, showers: Summary, factors: Floats | None = None, *, passing: Bools | None = None
) -> Quantities:
    """Return the quantities of a slice's showers: total/E, layers/total, mean depths inside thick layers.

    Parameters
    ----------
    geometry : Geometry
    showers : Summary
        n showers; depths are those of the showers that keep their hits, NaN for others.
    factors : float64 array (n, L), optional
        Modulation of each layer's energy at the shower's azimuth, which is divided out.
    passing : bool array (n,), optional
        Showers of hadrons that pass: they have no total/E, but a total in MeV, the last quantity, which others lack.
    """
    layer = showers.layer_energy if factors is None else showers.layer_energy / factors
    total = layer.sum(axis=1)
    share = np.where(total[:, None] > 0, layer / np.where(total > 0, total, 1.0)[:, None], np.nan)
    thick = thick_layers(showers)
    depth = _depths(showers, thick)
    names = (
        "total",
        *(f"layer {i}" for i in geometry.layer_ids),
        *(f"depth in {geometry.layer_ids[k]}" for k in thick),
    )
    kind = np.array([2] + [0] * layer.shape[1] + [1] * len(thick), dtype=np.int64)
    values = np.column_stack([total / showers.particles.energy, share, depth.reshape(len(showers), len(thick))])
    if passing is None:
        return Quantities(values, kind, names)
    values[passing, 0] = np.nan
    return Quantities(
        np.column_stack([values, np.where(passing, total, np.nan)]), np.append(kind, 0), (*names, PASSING)
    )


def total_of(quantities: Quantities, energy: Floats) -> Floats:
    """Return the visible energy over E (n,) of showers, of those that pass, too."""
    total = quantities.values[:, 0]
    if PASSING not in quantities.names:
        return total
    return np.where(np.isnan(total), quantities.values[:, quantities.names.index(PASSING)] / energy, total)


def thick_layers(showers: Summary) -> Ints:
    """Layers inside which hits have a depth: those of more than one depth cell."""
    return np.flatnonzero(showers.binning.n_cells > 1).astype(np.int64)


def _depths(showers: Summary, thick: Ints) -> Floats:
    """Energy-weighted mean depth between entry (0) and exit (1) of each thick layer; NaN for empty ones."""
    found = np.full((len(showers), len(thick)), np.nan)
    if showers.deposits is None or not len(thick):
        return found
    d = showers.deposits
    for j, layer in enumerate(thick):
        own = d.layer == layer
        e = d.e[own].astype(np.float64)
        sum_e = np.bincount(d.shower[own], weights=e, minlength=len(showers))
        sum_d = np.bincount(
            d.shower[own], weights=e * (d.depth[own].astype(np.float64) / 255.0), minlength=len(showers)
        )
        some = sum_e > 0
        found[some, j] = np.clip(sum_d[some] / sum_e[some], 0.003, 0.997)
    return found


def layer_energies(values: Floats, n_layers: int) -> Floats:
    """Layer energies over E, (n, L), of drawn quantities (n, m)."""
    return np.asarray(np.nan_to_num(values[:, 1 : n_layers + 1]) * values[:, :1])
