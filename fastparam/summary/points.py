"""Energy points: showers of (nearly) equal energy, or slices of a continuous spectrum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["EnergyPoints", "energy_points"]

#: Kinetic energies closer than this (relative) to their neighbour are one point: single-precision files blur a nominal
#: energy by 1e-7, and points given as momenta differ by the mass.
_SAME = 1e-3

#: A spectrum is continuous if most points would hold fewer showers than this (and be more than the slices of a
#: continuous one), or if points would cover more than this share of the range in ln E: chains of neighbours grow with
#: the number of showers.
_MIN_PER_POINT = 5
_MAX_COVERED = 0.1

#: A continuous spectrum no wider than this in ln E is one point.
_ONE_POINT = 0.05

_MIN_PER_BIN = 50
_MAX_BINS = 12


@dataclass(frozen=True)
class EnergyPoints:
    """A partition of showers by energy.

    Attributes
    ----------
    point : int64 array (n,)
        Point of every shower, 0 to n_points - 1 by energy.
    energy : float64 array (n_points,)
        Mean kinetic energy in MeV (of ln E, back-transformed).
    low, high : float64 arrays (n_points,)
        Lowest and highest energy of the point's showers.
    continuous : bool
        Whether the points are slices of a continuous spectrum.
    """

    point: npt.NDArray[np.int64]
    energy: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    continuous: bool

    def __len__(self) -> int:
        return len(self.energy)

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Showers per point, shape (n_points,)."""
        return np.bincount(self.point, minlength=len(self))


def energy_points(energy: npt.NDArray[np.float64]) -> EnergyPoints:
    """Group showers by kinetic energy.

    Energies within 0.1 % of their neighbour form a point. Where that finds no points but a continuous spectrum, it is
    cut into at most 12 slices of equal width in ln E, joined until each holds 50 showers; a nominal energy among a
    continuous spectrum belongs to the slice it lies in.

    Parameters
    ----------
    energy : float64 array (n,)
        Positive, any unit; `EnergyPoints` then has that unit.
    """
    order = np.argsort(energy, kind="stable")
    ln_e = np.log(energy[order])
    gaps = np.diff(ln_e)
    label = np.concatenate([[0], np.cumsum(gaps > _SAME)])[: len(energy)]
    n_labels = int(label[-1]) + 1 if len(energy) else 0
    extent = float(ln_e[-1] - ln_e[0]) if len(energy) else 0.0
    sparse = n_labels > _MAX_BINS and float(np.median(np.bincount(label))) < _MIN_PER_POINT
    spread = sparse or float(gaps[gaps <= _SAME].sum()) > _MAX_COVERED * extent
    continuous = bool(spread and extent > _ONE_POINT)
    if continuous:
        label = _slices(ln_e)
    elif spread:
        label = np.zeros(len(energy), dtype=np.int64)
    point = np.empty(len(energy), dtype=np.int64)
    point[order] = label
    n = int(label[-1]) + 1 if len(energy) else 0
    counts = np.bincount(point, minlength=n)
    mean = np.exp(np.bincount(point, weights=np.log(energy), minlength=n) / counts)
    low, high = np.full(n, np.inf), np.zeros(n)
    np.minimum.at(low, point, energy)
    np.maximum.at(high, point, energy)
    return EnergyPoints(point, mean, low, high, continuous)


def _slices(ln_e: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the slice of every shower, from ascending ln E."""
    n_bins = int(np.clip(len(ln_e) // _MIN_PER_BIN, 1, _MAX_BINS))
    edges = np.linspace(ln_e[0], ln_e[-1], n_bins + 1)[1:-1]
    label = np.searchsorted(edges, ln_e, side="right")
    counts = np.bincount(label, minlength=n_bins)
    merged, current, held = np.zeros(n_bins, dtype=np.int64), 0, 0
    for b in range(n_bins):
        merged[b] = current
        held += int(counts[b])
        if held >= _MIN_PER_BIN and counts[b + 1 :].sum() >= _MIN_PER_BIN:
            current, held = current + 1, 0
    return merged[label]
