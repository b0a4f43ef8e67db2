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
from fastparam.fit.ring_hits import N_ALPHA, N_DEPTHS, N_ENERGIES, AlphaTables, RingHits
from fastparam.fit.rings import Rings
from fastparam.shapes.quantile_table import KNOTS
from fastparam.shapes.tilt import FREE, QUARTERS, STAY

if TYPE_CHECKING:
    from fastparam.geometry.detector import Geometry
    from fastparam.tunes.tune import Tune

__all__ = [
    "AZIMUTH_SIZE",
    "COPULAS",
    "HIT_DEPTH",
    "HIT_E",
    "MODEL",
    "N_AZIMUTHS",
    "SLICE",
    "TABLES",
    "Pool",
    "RingProgram",
    "ring_program",
]

Ints = npt.NDArray[np.int64]

#: Name of the ring model among a slice's tables.
TABLES = "rings"

#: Numbers that kernels know the kinds of copula by.
COPULAS = {name: number for number, name in enumerate(copula.KINDS)}


class SLICE:
    """Columns of `RingProgram.slices`: numbers, and beginnings of tables (P points, k features, G rings) in pools."""

    POINTS, MODEL, LN_E, ZERO, QUANTILES, FIRST, SCORES, RANK, FACTORS, UNIQUE = range(10)
    WAVES, SCALE, EXPECTED, CLUMPS, HITS, SMOOTHING, PAIRS = range(10, 17)
    COLUMNS = 17


class MODEL:
    """Columns of `RingProgram.models`."""

    SECTIONS, RINGS, FEATURES, DIPOLES, FIRST, LAYER, DIPOLE, TURNS = range(8)
    ZONES, N_CELLS, AZIMUTH, SINGLE, PER_CELL, CLUMPED, DEEP, STRUCTURED, HIT_SIZE = range(8, 17)
    COLUMNS = 17


#: Where tables of a ring's hits begin behind those of the radius: quantiles of ln energy, and of the depth where any
#: layer has one inside.
HIT_E, HIT_DEPTH = len(KNOTS), 2 * len(KNOTS)

#: Steps in probability of a zone's table of the azimuth, and its numbers; parts of a step for what is averaged over it.
N_AZIMUTHS, _FINE = 64, 16
AZIMUTH_SIZE = 2 * (N_AZIMUTHS + 1)


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


def ring_program(
    tune: Tune, *, smoothing: float, smoothing_hadrons: float, dipoles: bool = True, clumps: str = "none",
    pairs: bool = False, spectra: bool = True, grid: bool = True, modulation: bool = True,
) -> RingProgram:  # fmt: skip
    """Prepare the ring tables of a tune for sampling.

    What is switched off gets tables that do nothing; see `tunes.ring_settings.HybridSettings`.
    """
    ints, reals, scores = Pool(np.int64), Pool(np.float32), Pool(np.int8)
    slices = np.full((len(tune.slices), SLICE.COLUMNS), -1, dtype=np.int64)
    models: list[list[int]] = []
    of_particle: dict[int, int] = {}
    width = 0
    for number, part in enumerate(tune.slices):
        tables = part.tables[TABLES]
        hits = RingHits.from_tables(tables)
        rings = Rings.from_arrays(tables.arrays)
        hadron = abs(part.pdg) not in (11, 22)
        of_kind = "hadrons" if hadron else "others"
        if part.pdg not in of_particle:
            of_particle[part.pdg] = len(models)
            single = tables["single_cell"]
            model = _model(rings, hits, tables["dipole_rings"], single, grid, spectra, ints, reals)
            model[MODEL.CLUMPED], model[MODEL.DEEP] = int(clumps in ("all", of_kind)), int(not single.all())
            model[MODEL.HIT_SIZE] = HIT_DEPTH + N_DEPTHS * model[MODEL.DEEP]
            if not dipoles:
                model[MODEL.TURNS] = ints.add(np.full(rings.n_rings, STAY))
            models.append(model)
            width = max(width, 4 * rings.n_rings)
        fitted = Copula.from_tables(tables)
        row = slices[number]
        row[SLICE.POINTS], row[SLICE.MODEL] = len(fitted.ln_e), of_particle[part.pdg]
        row[SLICE.LN_E], row[SLICE.ZERO] = reals.add(fitted.ln_e), reals.add(fitted.zero)
        row[SLICE.QUANTILES] = reals.add(fitted.quantiles)
        row[SLICE.FIRST], row[SLICE.SCORES] = ints.add(fitted.first), scores.add(fitted.scores)
        row[SLICE.RANK], row[SLICE.FACTORS] = len(fitted.factors), reals.add(fitted.factors)
        row[SLICE.UNIQUE], row[SLICE.SCALE] = reals.add(fitted.unique), reals.add(fitted.scale)
        if len(fitted.waves) and modulation:
            row[SLICE.WAVES] = reals.add(fitted.waves)
        row[SLICE.EXPECTED], row[SLICE.CLUMPS] = reals.add(_expected(hits)), reals.add(hits.clumps)
        row[SLICE.PAIRS] = reals.add(hits.pairs) if pairs else -1
        row[SLICE.SMOOTHING] = reals.add([smoothing_hadrons if hadron else smoothing])
        ln_e = hits.ln_e if spectra else np.zeros_like(hits.ln_e)
        # Where a layer has no depth inside, hits are even between its surfaces: exactly, not to a byte.
        flat = tables["single_cell"][rings.section_layer[rings.section]]
        depth = np.where(flat[None, :, None], np.linspace(0.0, 1.0, N_DEPTHS), hits.depth)
        stored = np.concatenate([hits.r, ln_e, depth], axis=2)
        row[SLICE.HITS] = reals.add(stored[:, :, : models[row[SLICE.MODEL]][MODEL.HIT_SIZE]])
    return RingProgram(
        slices, np.array(models, dtype=np.int64), ints.array(), reals.array(), scores.array(),
        np.stack([tune.geometry.layer_from, tune.geometry.layer_to], axis=1), _knobs(tune.geometry), width,
    )  # fmt: skip


def _model(
    rings: Rings,
    hits: RingHits,
    dipole_rings: Ints,
    single: npt.NDArray[np.bool_],
    grid: bool,
    spectra: bool,
    ints: Pool,
    reals: Pool,
) -> list[int]:
    row = [-1] * MODEL.COLUMNS
    place = np.full(rings.n_rings, -1)
    place[dipole_rings] = np.arange(len(dipole_rings))
    azimuth = hits.azimuth
    row[MODEL.SECTIONS], row[MODEL.RINGS], row[MODEL.DIPOLES] = rings.n_sections, rings.n_rings, len(dipole_rings)
    row[MODEL.FEATURES] = 1 + rings.n_sections + 2 * rings.n_rings + 2 * len(dipole_rings)
    row[MODEL.FIRST], row[MODEL.LAYER] = ints.add(rings.first), ints.add(rings.section_layer)
    row[MODEL.DIPOLE] = ints.add(place)
    row[MODEL.STRUCTURED] = ints.add(hits.structured & grid)
    turns = np.where(hits.structured & grid, QUARTERS, FREE)
    row[MODEL.TURNS] = ints.add(np.where(place >= 0, turns, STAY))
    zone = azimuth.first[rings.section_layer[rings.section]]
    row[MODEL.AZIMUTH] = ints.add(reals.add(_azimuth(azimuth, grid, spectra)) + AZIMUTH_SIZE * zone)
    per_cell, cells = _cells(azimuth.edges)
    row[MODEL.PER_CELL], row[MODEL.ZONES], row[MODEL.N_CELLS] = reals.add([per_cell]), reals.add(cells), len(cells)
    row[MODEL.SINGLE] = ints.add(single)
    return row


def _expected(hits: RingHits) -> npt.NDArray[np.float64]:
    """Return ln of numbers of hits as sums of ramps, shape (P, 12, G): `RingHits.expected` without a search.

    y(x) = x + t_0 + sum_m s_m (clip(x, x_m, x_m+1) - x_m) with x = ln E_ring: t_0, then the six x_m, then the five s_m.
    """
    x = hits.ln_energy.copy()
    for m in range(1, x.shape[2]):  # half precision may have joined knots
        x[..., m] = np.maximum(x[..., m], x[..., m - 1] + 1e-3)
    slope = np.diff(hits.ln_number, axis=2) / np.diff(x, axis=2) - 1.0
    table = np.concatenate([hits.ln_number[..., :1] - x[..., :1], x, slope], axis=2)
    assert table.shape[2] == 2 * N_ENERGIES
    return np.ascontiguousarray(table.transpose(0, 2, 1))


def _azimuth(azimuth: AlphaTables, grid: bool, spectra: bool) -> npt.NDArray[np.float64]:
    """Return for each zone quantiles of alpha in turns, and mean energies of hits between them, shape (Z, 65, 2).

    Energies are relative to the layer's; the last one of a zone is not used.
    """
    edges, even = np.linspace(-0.5, 0.5, N_ALPHA + 1), np.linspace(0.0, 1.0, N_ALPHA + 1)
    knots = np.linspace(0.0, 1.0, N_AZIMUTHS + 1)
    between = (np.arange(_FINE * N_AZIMUTHS) + 0.5) / (_FINE * N_AZIMUTHS)
    table = np.ones((len(azimuth.factor), N_AZIMUTHS + 1, 2))
    for k in range(len(table)):
        # Bins without hits get next to nothing: quantiles must be unique.
        cumulative = (azimuth.cumulative[k] if grid and not azimuth.flat[k] else even) + 1e-9 * even
        cumulative /= cumulative[-1]
        table[k, :, 0] = np.interp(knots, cumulative, edges)
        if grid and spectra:
            bin_ = ((np.interp(between, cumulative, edges) + 0.5) * N_ALPHA).astype(np.int64)
            table[k, :-1, 1] = azimuth.factor[k][np.minimum(bin_, N_ALPHA - 1)].reshape(-1, _FINE).mean(axis=1)
    return table


def _cells(edges: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
    """Return cells per mm, and for each cell of the radius where its first zone ends and where its table begins (n, 2).

    Cells are no wider than the narrowest zone: the zone of a radius is that of its cell, or the next one. The last cell
    and the last zone are open.
    """
    if len(edges) == 0:
        return 0.0, np.array([[np.inf, 0.0]])
    width = float(np.diff(edges, prepend=0.0).min()) * (1.0 - 1e-6)
    zone = np.searchsorted(edges, width * np.arange(int(edges[-1] / width) + 2), side="right")
    return 1.0 / width, np.stack([np.append(edges, np.inf)[zone], zone * AZIMUTH_SIZE], axis=1)


def _knobs(geometry: Geometry) -> npt.NDArray[np.float64]:
    modulation = geometry.config.modulation
    pitch = 0.0 if modulation is None or geometry.frame != "barrel" else float(modulation.pitch)
    return np.array([copula.STEP, copula.START, copula.SPACING, pitch, float(geometry.frame == "barrel")])
