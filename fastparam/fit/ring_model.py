"""Ring model: all that the samplers of the recipes `hybrid` and `mosaic` need of a slice, from its showers.

The features of a shower, in this order (S sections, G rings, D of them with dipoles; `fit.rings`):

    total/E | section/E (S) | ring/E (G) | dipoles D_1, then D_2 (D each) | hits/expected (G)

Numbers of hits are relative to what the rings' energies make one expect (`fit.ring_hits`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastparam.errors import FitError, UsageError
from fastparam.fit import copula, ring_hits
from fastparam.fit.rings import RingFeatures, Rings, choose_rings, ring_features
from fastparam.fit.tables import Tables
from fastparam.geometry.voxels import VoxelBinning, default_voxels, voxels_of
from fastparam.summary.points import EnergyPoints, energy_points

if TYPE_CHECKING:
    from fastparam.geometry.detector import Geometry
    from fastparam.summary.summary import Summary

__all__ = ["Frame", "features_of", "fit", "frame_of", "phase_of", "showers_with_hits"]

Floats = npt.NDArray[np.float64]

_MIN_SHOWERS = 20


@dataclass(frozen=True)
class Frame:
    """What all slices of a particle share.

    Attributes
    ----------
    rings : Rings
    azimuth : AlphaTables
    dipoles : int64 array (D,)
        Rings whose dipoles are features.
    """

    rings: Rings
    azimuth: ring_hits.AlphaTables
    dipoles: npt.NDArray[np.int64]


def frame_of(geometry: Geometry, showers: Summary, *, pdg: int, eta: tuple[float, float] | None) -> Frame:
    """Choose the rings for all showers of a particle and measure where hits lie in alpha.

    Parameters
    ----------
    geometry : Geometry
    showers : Summary
        Of all slices, with deposits.
    pdg, eta
        For the choice of voxels, whose edges are edges of rings.
    """
    try:
        voxels = voxels_of(geometry, pdg=pdg, eta=None if eta is None else sum(eta) / 2)
    except UsageError:  # the file has voxels, but none for this particle
        voxels = default_voxels(geometry)
    rings = choose_rings(geometry, showers, voxels, hadron=abs(pdg) not in (11, 22))
    return Frame(rings, ring_hits.alpha_tables(geometry, showers), _rings_with_dipoles(geometry, rings, voxels))


def showers_with_hits(showers: Summary, points: EnergyPoints) -> tuple[Summary, EnergyPoints]:
    """Return the showers whose single hits are kept, and their energy points.

    Raises
    ------
    FitError
        If they are too few.
    """
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
    geometry: Geometry, frame: Frame, showers: Summary, points: EnergyPoints, *, max_scores: int = copula.MAX_SCORES
) -> Tables:  # fmt: skip
    """Fit the copula of the rings of a slice's showers, and their hits.

    Parameters
    ----------
    geometry : Geometry
    frame : Frame
        Of the particle.
    showers : Summary
        Of one particle and slice, with deposits.
    points : EnergyPoints
        Of the showers.
    max_scores : int
        See `copula.fit`.

    Raises
    ------
    FitError
        If fewer than 20 showers have their hits.
    """
    showers, points = showers_with_hits(showers, points)
    measured = ring_features(frame.rings, showers.deposits)  # type: ignore[arg-type]
    hits = ring_hits.fit(frame.rings, showers, measured, points, frame.azimuth)
    features = features_of(frame, measured, hits, showers.particles.energy, points)
    phase = phase_of(geometry, showers.particles.phi)
    model = copula.fit(features, points, energy=showers.particles.energy, phase=phase, max_scores=max_scores)
    arrays: dict[str, npt.NDArray[Any]] = {
        **frame.rings.to_arrays(), **model.to_arrays(), **hits.to_arrays(), "dipole_rings": frame.dipoles,
        "single_cell": showers.binning.n_cells == 1,
    }  # fmt: skip
    return Tables(arrays, {"showers": len(showers), "features": int(features.values.shape[1])})


def features_of(
    frame: Frame, measured: RingFeatures, hits: ring_hits.RingHits, energy: Floats, points: EnergyPoints
) -> copula.Features:
    """Return the features of n showers of kinetic energies (n,) in MeV; undefined ones of empty rings are NaN."""
    section = measured.section_energy(frame.rings)
    total = section.sum(axis=1)
    empty = measured.energy <= 0
    expected = np.ones_like(measured.energy)
    for p in range(len(points)):
        rows = points.point == p
        expected[rows] = hits.expected(p, measured.energy[rows])
    # Whole numbers are spread evenly around themselves: rounding brings them back exactly.
    spread = np.random.default_rng(1).random(empty.shape) - 0.5
    number = np.where(empty, np.nan, (measured.hits + spread) / np.where(empty, 1.0, expected))
    dipoles = [np.where(empty, np.nan, d)[:, frame.dipoles] for d in (measured.d1, measured.d2)]
    values = np.concatenate([total[:, None], section, measured.energy], axis=1) / energy[:, None]
    values = np.concatenate([values, *dipoles, number], axis=1)
    positive = np.ones(values.shape[1], dtype=bool)
    start = 1 + frame.rings.n_sections + frame.rings.n_rings
    positive[start : start + 2 * len(frame.dipoles)] = False
    return copula.Features(values, positive)


def _rings_with_dipoles(geometry: Geometry, rings: Rings, voxels: VoxelBinning) -> npt.NDArray[np.int64]:
    """Rings of layers that are looked at in several parts of alpha."""
    several = {layer for layer, n in zip(voxels.layer_ids, voxels.n_alpha, strict=True) if n > 1}
    wanted = np.array([int(i) in several for i in geometry.layer_ids])
    return np.flatnonzero(wanted[rings.section_layer[rings.section]]).astype(np.int64)
