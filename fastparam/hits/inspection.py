"""What the samples of a geometry hold, and all that is wrong with them, for ``fastparam check``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fastparam.errors import FastparamError
from fastparam.hits.batches import BATCH_HITS, check_first_batch, read_file_particles
from fastparam.hits.layout import sample_files
from fastparam.particles import Particles

if TYPE_CHECKING:
    from fastparam.geometry.detector import Geometry

__all__ = ["Inspection", "Point", "inspect"]

#: Pseudorapidities further apart than this belong to different ranges, where the geometry declares no slices.
_GAP = 0.05

#: pdg, number of showers, lowest and highest kinetic energy in MeV, lowest and highest eta (None in planar detectors)
Point = tuple[int, int, float, float, float | None, float | None]


@dataclass(frozen=True)
class Inspection:
    """What was found.

    Attributes
    ----------
    rows : int
        Number of showers in all files that could be read.
    points : list of tuples
        One per particle and range of eta, in ascending order: pdg, number of showers, lowest and highest kinetic
        energy (MeV), lowest and highest eta (None in a planar detector).
    problems : list of str
        Errors, at most one per file.
    """

    rows: int
    points: list[Point]
    problems: list[str]


def inspect(geometry: Geometry) -> Inspection:
    """Read the primaries of all rows and the first batch of hits of every entry of the samples.

    Errors do not stop the inspection: each becomes one of `Inspection.problems`.

    Warns
    -----
    FastparamWarning
        Per entry: hits of negative energy, showers without hits, hits outside every layer.
    """
    try:
        files = sample_files(geometry)
    except FastparamError as error:
        return Inspection(0, [], [str(error)])
    parts: list[Particles] = []
    problems: list[str] = []
    entries: set[int] = set()
    for file in files:
        try:
            parts.append(read_file_particles(file, 0))
            if file.entry not in entries:
                entries.add(file.entry)
                check_first_batch(geometry, file, BATCH_HITS)
        except FastparamError as error:
            problems.append(str(error))
    particles = Particles.concatenate(parts) if parts else None
    if particles is None:
        return Inspection(0, [], problems)
    return Inspection(len(particles), _points(geometry, particles), problems)


def _points(geometry: Geometry, particles: Particles) -> list[Point]:
    points: list[Point] = []
    for pdg in np.unique(particles.pdg):
        mine = particles.take(particles.pdg == pdg)
        if geometry.frame == "planar":
            points.append((int(pdg), len(mine), float(mine.energy.min()), float(mine.energy.max()), None, None))
            continue
        for low, high in _eta_ranges(geometry, mine.eta):
            inside = (mine.eta >= low) & (mine.eta <= high)
            if inside.any():
                energy = mine.energy[inside]
                points.append(
                    (int(pdg), int(inside.sum()), float(energy.min()), float(energy.max()), float(low), float(high))
                )
    return points


def _eta_ranges(geometry: Geometry, eta: npt.NDArray[np.float64]) -> list[tuple[float, float]]:
    """Return the declared slices, else the ranges that the values cover without a gap."""
    if geometry.config.slices is not None:
        return [(low, high) for low, high in geometry.config.slices.eta]
    ordered = np.sort(eta)
    cuts = np.flatnonzero(np.diff(ordered) > _GAP)
    starts, stops = np.concatenate([[0], cuts + 1]), np.concatenate([cuts, [len(ordered) - 1]])
    return [(float(ordered[a]), float(ordered[b])) for a, b in zip(starts, stops, strict=True)]
