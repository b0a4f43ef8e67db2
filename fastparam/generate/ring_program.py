"""Ring tables of a tune as a few flat arrays: what kernels read, prepared once per tune.

Tables of all slices lie one behind the other in pools by type; `slices` and `models` say where each begins. A model is
what all slices of a particle share: its rings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastparam.fit import copula
from fastparam.fit.copula import Copula
from fastparam.fit.ring_hits import RingHits
from fastparam.fit.rings import Rings

if TYPE_CHECKING:
    from fastparam.geometry.detector import Geometry
    from fastparam.tunes.tune import Tune

__all__ = ["COPULAS", "MODEL", "SLICE", "TABLES", "Pool", "RingProgram", "ring_program"]

Ints = npt.NDArray[np.int64]

#: Name of the ring model among a slice's tables.
TABLES = "rings"

#: Numbers that kernels know the kinds of copula by.
COPULAS = {name: number for number, name in enumerate(copula.KINDS)}


class SLICE:
    """Columns of `RingProgram.slices`: numbers, and beginnings of tables (P points, k features, G rings) in pools."""

    POINTS, MODEL, LN_E, ZERO, QUANTILES, FIRST, SCORES, RANK, FACTORS, UNIQUE = range(10)
    WAVES, SCALE, LN_ENERGY, LN_NUMBER, CLUMPS, R, HIT_E, DEPTH, DONORS = range(10, 19)
    COLUMNS = 19


class MODEL:
    """Columns of `RingProgram.models`."""

    SECTIONS, RINGS, FEATURES, DIPOLES, FIRST, LAYER, DIPOLE, STRUCTURED = range(8)
    ZONE, N_ZONES, ZONE_EDGES, ALPHA, FACTOR, FLAT, SINGLE = range(8, 15)
    COLUMNS = 15


@dataclass(frozen=True)
class RingProgram:
    """Flat arrays of a tune.

    Attributes
    ----------
    slices : int64 array (n_slices, `SLICE.COLUMNS`)
    models : int64 array (n_models, `MODEL.COLUMNS`)
    ints : int64 array
    reals : float32 array
    scores : int8 array
    surfaces : float64 array (L, 2)
        Where each active layer begins and ends: radii or z in mm.
    knobs : float64 array (5,)
        Copula's step, first knot and spacing of knots; pitch of the modulation in rad, 0 for none; 1 in a barrel.
    width : int
        Numbers per shower in the buffer between the passes: four per ring.
    """

    slices: Ints
    models: Ints
    ints: Ints
    reals: npt.NDArray[np.float32]
    scores: npt.NDArray[np.int8]
    surfaces: npt.NDArray[np.float64]
    knobs: npt.NDArray[np.float64]
    width: int


class Pool:
    """Arrays of one type, put one behind the other."""

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self.dtype = dtype
        self.parts: list[npt.NDArray[Any]] = []
        self.size = 0

    def add(self, values: npt.ArrayLike) -> int:
        """Append an array and return where it begins."""
        flat = np.ascontiguousarray(values, dtype=self.dtype).ravel()
        self.parts.append(flat)
        self.size += len(flat)
        return self.size - len(flat)

    def array(self) -> npt.NDArray[Any]:
        """Return all arrays as one; never empty."""
        return np.concatenate([*self.parts, np.zeros(1, dtype=self.dtype)])


def ring_program(tune: Tune) -> RingProgram:
    """Prepare the ring tables of a tune for sampling."""
    ints, reals, scores = Pool(np.int64), Pool(np.float32), Pool(np.int8)
    slices = np.full((len(tune.slices), SLICE.COLUMNS), -1, dtype=np.int64)
    models: list[list[int]] = []
    of_particle: dict[int, int] = {}
    width = 0
    for number, part in enumerate(tune.slices):
        tables = part.tables[TABLES]
        hits = RingHits.from_tables(tables)
        rings = Rings.from_arrays(tables.arrays)
        if part.pdg not in of_particle:
            of_particle[part.pdg] = len(models)
            models.append(_model(rings, hits, tables["dipole_rings"], tables["single_cell"], ints, reals))
            width = max(width, 4 * rings.n_rings)
        fitted = Copula.from_tables(tables)
        row = slices[number]
        row[SLICE.POINTS], row[SLICE.MODEL] = len(fitted.ln_e), of_particle[part.pdg]
        row[SLICE.LN_E], row[SLICE.ZERO] = reals.add(fitted.ln_e), reals.add(fitted.zero)
        row[SLICE.QUANTILES] = reals.add(fitted.quantiles)
        row[SLICE.FIRST], row[SLICE.SCORES] = ints.add(fitted.first), scores.add(fitted.scores)
        row[SLICE.RANK], row[SLICE.FACTORS] = len(fitted.factors), reals.add(fitted.factors)
        row[SLICE.UNIQUE], row[SLICE.SCALE] = reals.add(fitted.unique), reals.add(fitted.scale)
        if len(fitted.waves):
            row[SLICE.WAVES] = reals.add(fitted.waves)
        row[SLICE.LN_ENERGY], row[SLICE.LN_NUMBER] = reals.add(hits.ln_energy), reals.add(hits.ln_number)
        row[SLICE.CLUMPS], row[SLICE.R] = reals.add(hits.clumps), reals.add(hits.r)
        row[SLICE.HIT_E], row[SLICE.DEPTH] = reals.add(hits.ln_e), reals.add(hits.depth)
    return RingProgram(
        slices, np.array(models, dtype=np.int64), ints.array(), reals.array(), scores.array(),
        np.stack([tune.geometry.layer_from, tune.geometry.layer_to], axis=1), _knobs(tune.geometry), width,
    )  # fmt: skip


def _model(
    rings: Rings, hits: RingHits, dipole_rings: Ints, single: npt.NDArray[np.bool_], ints: Pool, reals: Pool
) -> list[int]:
    row = [-1] * MODEL.COLUMNS
    place = np.full(rings.n_rings, -1)
    place[dipole_rings] = np.arange(len(dipole_rings))
    azimuth = hits.azimuth
    row[MODEL.SECTIONS], row[MODEL.RINGS], row[MODEL.DIPOLES] = rings.n_sections, rings.n_rings, len(dipole_rings)
    row[MODEL.FEATURES] = 1 + rings.n_sections + 2 * rings.n_rings + 2 * len(dipole_rings)
    row[MODEL.FIRST], row[MODEL.LAYER] = ints.add(rings.first), ints.add(rings.section_layer)
    row[MODEL.DIPOLE], row[MODEL.STRUCTURED] = ints.add(place), ints.add(hits.structured)
    row[MODEL.ZONE], row[MODEL.N_ZONES] = ints.add(azimuth.first), len(azimuth.edges) + 1
    row[MODEL.ZONE_EDGES] = reals.add(np.append(azimuth.edges, np.inf))
    row[MODEL.ALPHA], row[MODEL.FACTOR] = reals.add(azimuth.cumulative), reals.add(azimuth.factor)
    row[MODEL.FLAT], row[MODEL.SINGLE] = ints.add(azimuth.flat), ints.add(single)
    return row


def _knobs(geometry: Geometry) -> npt.NDArray[np.float64]:
    modulation = geometry.config.modulation
    pitch = 0.0 if modulation is None or geometry.frame != "barrel" else float(modulation.pitch)
    return np.array([copula.STEP, copula.START, copula.SPACING, pitch, float(geometry.frame == "barrel")])
