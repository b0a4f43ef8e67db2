"""Energy points: showers of (nearly) equal energy, or slices of a continuous spectrum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["EnergyPoints", "energy_points"]

#: Kinetic energies closer than this (relative) are one point: single-precision files blur a nominal energy by 1e-7,
#: and points given as momenta differ by the mass.
_SAME = 1e-3
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

    Energies within 0.1 % of their neighbour form a point. If that leaves fewer than 5 showers per point on average,
    the spectrum is continuous and is cut into at most 12 slices of equal width in ln E, joined until each holds 50.
    """
    order = np.argsort(energy, kind="stable")
    sorted_energy = energy[order]
    new = np.concatenate([[False], np.diff(np.log(sorted_energy)) > _SAME])
    label = np.cumsum(new)
    continuous = bool(len(energy) < 5 * (label[-1] + 1) and label[-1] >= 20) if len(energy) else False
    if continuous:
        n_bins = int(np.clip(len(energy) // _MIN_PER_BIN, 1, _MAX_BINS))
        edges = np.linspace(np.log(sorted_energy[0]), np.log(sorted_energy[-1]), n_bins + 1)[1:-1]
        label = np.searchsorted(edges, np.log(sorted_energy), side="right")
        counts = np.bincount(label, minlength=n_bins)
        merged, current, held = np.zeros(n_bins, dtype=np.int64), 0, 0
        for b in range(n_bins):
            merged[b] = current
            held += counts[b]
            if held >= _MIN_PER_BIN and counts[b + 1 :].sum() >= _MIN_PER_BIN:
                current, held = current + 1, 0
        label = merged[label]
    point = np.empty(len(energy), dtype=np.int64)
    point[order] = label
    n = int(label[-1]) + 1 if len(energy) else 0
    counts = np.bincount(point, minlength=n)
    mean = np.exp(np.bincount(point, weights=np.log(energy), minlength=n) / counts)
    low, high = np.full(n, np.inf), np.zeros(n)
    np.minimum.at(low, point, energy)
    np.maximum.at(high, point, energy)
    return EnergyPoints(point, mean, low, high, continuous)
