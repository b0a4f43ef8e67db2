"""Ring model: all that the samplers of the recipes `hybrid` and `mosaic` need of a slice, from its showers.

The features of a shower, in this order (S sections, G rings; `fit.rings`):

    total/E | section/E (S) | ring/E (G) | dipoles D_1, then D_2, of rings that have them | hits/expected (S), of all

Numbers of hits are relative to what the rings' energies make one expect (`fit.ring_hits`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastparam.errors import FitError
from fastparam.fit import copula, ring_hits
from fastparam.fit.rings import RingFeatures, Rings, choose_rings, ring_features
from fastparam.fit.tables import Tables
from fastparam.geometry.voxels import VoxelBinning, voxels_of

if TYPE_CHECKING:
    from fastparam.geometry.detector import Geometry
    from fastparam.summary.points import EnergyPoints
    from fastparam.summary.summary import Summary

__all__ = ["fit", "phase_of", "showers_with_hits"]

Floats = npt.NDArray[np.float64]

_MIN_SHOWERS = 20


def showers_with_hits(showers: Summary, points: EnergyPoints) -> tuple[Summary, EnergyPoints]:
    """Return the showers whose single hits are kept, and their energy points.

    Raises
    ------
    FitError
        If they are too few.
    """
    from fastparam.summary.points import energy_points

    if showers.deposits is None or showers.deposits.kept.sum() < _MIN_SHOWERS:
        raise FitError(f"rings: at least {_MIN_SHOWERS} showers with single hits are needed")
    if showers.deposits.kept.all():
        return showers, points
    kept = showers.take(showers.deposits.kept)
    return kept, energy_points(kept.particles.energy)


def phase_of(geometry: Geometry, phi: Floats) -> Floats | None:
    """Return 2 pi (phi modulo pitch)/pitch of a detector with a declared modulation, else None."""
    modulation = geometry.config.modulation
    if modulation is None or geometry.frame != "barrel":
        return None
    return np.asarray(2.0 * np.pi * np.mod(phi / modulation.pitch, 1.0))


def fit(
    geometry: Geometry, showers: Summary, points: EnergyPoints, *, pdg: int, eta: tuple[float, float] | None
) -> Tables:
    """Fit rings, their copula and their hits.

    Parameters
    ----------
    geometry : Geometry
    showers : Summary
        Of one particle and slice, with deposits.
    points : EnergyPoints
        Of the showers.
    pdg, eta
        For the choice of voxels, whose edges are edges of rings.

    Raises
    ------
    FitError
        If fewer than 20 showers have their hits.
    """
    showers, points = showers_with_hits(showers, points)
    binning = None
    if geometry.config.binning is not None:
        binning = voxels_of(geometry, pdg=pdg, eta=None if eta is None else sum(eta) / 2)
    rings = choose_rings(geometry, showers, binning)
    measured = ring_features(rings, showers.deposits)  # type: ignore[arg-type]
    hits = ring_hits.fit(geometry, rings, showers, measured, points)
    dipole = _rings_with_dipoles(geometry, rings, binning)
    features = _features(rings, measured, hits, dipole, showers.particles.energy, points)
    model = copula.fit(
        features, points, energy=showers.particles.energy, phase=phase_of(geometry, showers.particles.phi)
    )
    mean = np.array(
        [np.nanmean(features.values[points.point == p, : 1 + rings.n_sections], axis=0) for p in range(len(points))]
    )
    arrays: dict[str, npt.NDArray[Any]] = {
        **rings.to_arrays(), **model.to_arrays(), **hits.to_arrays(), "dipole_rings": dipole, "mean": mean,
    }  # fmt: skip
    return Tables(arrays, {"showers": len(showers), "features": int(features.values.shape[1])})


def _rings_with_dipoles(geometry: Geometry, rings: Rings, binning: VoxelBinning | None) -> npt.NDArray[np.int64]:
    """Rings of layers that are looked at in several parts of alpha."""
    wanted = np.ones(geometry.n_layers, dtype=bool)
    if binning is not None:
        several = {layer for layer, n in zip(binning.layer_ids, binning.n_alpha, strict=True) if n > 1}
        wanted = np.array([int(i) in several for i in geometry.layer_ids])
    return np.flatnonzero(wanted[rings.section_layer[rings.section]]).astype(np.int64)


def _features(
    rings: Rings, measured: RingFeatures, hits: ring_hits.RingHits, dipole: npt.NDArray[np.int64], energy: Floats,
    points: EnergyPoints,
) -> copula.Features:  # fmt: skip
    section = measured.section_energy(rings)
    total = section.sum(axis=1)
    empty = measured.energy[:, dipole] <= 0
    d1, d2 = np.where(empty, np.nan, measured.d1[:, dipole]), np.where(empty, np.nan, measured.d2[:, dipole])
    expected = np.zeros_like(measured.energy)
    for p in range(len(points)):
        rows = points.point == p
        expected[rows] = hits.expected(p, measured.energy[rows])
    wanted = np.add.reduceat(expected, rings.first[:-1], axis=1)
    found = np.add.reduceat(measured.hits, rings.first[:-1], axis=1)
    ratio = np.where(wanted > 0, found / np.where(wanted > 0, wanted, 1.0), np.nan)
    all_wanted, all_found = wanted.sum(axis=1), found.sum(axis=1)
    overall = np.where(all_wanted > 0, all_found / np.where(all_wanted > 0, all_wanted, 1.0), np.nan)
    values = np.concatenate(
        [
            (total / energy)[:, None], section / energy[:, None], measured.energy / energy[:, None],
            d1, d2, ratio, overall[:, None],
        ],
        axis=1,
    )  # fmt: skip
    positive = np.ones(values.shape[1], dtype=bool)
    start = 1 + rings.n_sections + rings.n_rings
    positive[start : start + 2 * len(dipole)] = False
    return copula.Features(values, positive)
