"""How the response depends on phi modulo the pitch of an accordion: the curve, and its first harmonic.

All energies are joined, each response divided by the mean of its energy: the amplitude is a per cent or two, the
response of one shower fluctuates by as much or ten times more (a layer).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2, norm

__all__ = ["N_BINS", "Curve", "Harmonic", "difference", "modulation"]

Floats = npt.NDArray[np.float64]

#: Bins of a curve over one pitch.
N_BINS = 12


@dataclass(frozen=True)
class Harmonic:
    """First harmonic 1 + c cos(2 pi u) + s sin(2 pi u) of a response, u = phi / pitch.

    Attributes
    ----------
    c, s : float
    covariance : float64 array (2, 2)
    """

    c: float
    s: float
    covariance: Floats

    @property
    def amplitude(self) -> float:
        """Length of (c, s), biased upwards by its error."""
        return float(np.hypot(self.c, self.s))

    @property
    def error(self) -> float:
        """Mean standard error of c and s."""
        return float(np.sqrt(0.5 * np.trace(self.covariance)))


@dataclass(frozen=True)
class Curve:
    """Relative response against the phase.

    Attributes
    ----------
    value, error : float64 arrays (N_BINS,)
        Mean of the bin and its standard error; NaN for bins with fewer than two showers.
    harmonic : Harmonic
    """

    value: Floats
    error: Floats
    harmonic: Harmonic


def modulation(response: Floats, phase: Floats, point: npt.NDArray[np.int64]) -> Curve:
    """Measure how a response depends on the phase.

    Parameters
    ----------
    response : float64 array (n,)
        Energy of a shower, or of a layer, in any unit.
    phase : float64 array (n,)
        phi / pitch; only the fraction counts.
    point : int64 array (n,)
        Number of the incident energy; each is divided by its own mean.
    """
    count = np.bincount(point)
    mean = np.bincount(point, weights=response) / np.maximum(count, 1)
    usable = mean[point] > 0
    y, u, p = response[usable] / mean[point][usable], phase[usable] % 1.0, point[usable]
    # The mean over phases of a point is 1 by construction; it is fitted along, point by point.
    basis = np.stack([np.cos(2 * np.pi * u), np.sin(2 * np.pi * u)], axis=1)
    size = np.maximum(np.bincount(p), 1)
    centred = basis - np.stack([np.bincount(p, weights=b) for b in basis.T], axis=1)[p] / size[p][:, None]
    # Energies fluctuate by different amounts: weigh each by its own variance.
    variance = np.maximum(np.bincount(p, weights=(y - 1.0) ** 2) / np.maximum(size - 1, 1), 1e-30)
    weight = 1.0 / variance[p]
    information = (centred * weight[:, None]).T @ centred
    inverse = np.linalg.pinv(information)
    c, s = inverse @ (centred * weight[:, None]).T @ (y - 1.0)
    residual = y - 1.0 - centred @ np.array([c, s])
    spread = (centred * (weight * residual)[:, None]).T @ (centred * (weight * residual)[:, None])
    harmonic = Harmonic(float(c), float(s), np.asarray(inverse @ spread @ inverse))

    place = np.minimum((u * N_BINS).astype(np.int64), N_BINS - 1)
    total = np.bincount(place, weights=weight, minlength=N_BINS)
    entries = np.bincount(place, minlength=N_BINS)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = np.bincount(place, weights=weight * y, minlength=N_BINS) / total
        square = np.bincount(place, weights=(weight * (y - value[place])) ** 2, minlength=N_BINS)
        error = np.where(entries > 1, np.sqrt(square) / total, np.nan)
    return Curve(np.where(entries > 1, value, np.nan), error, harmonic)


def difference(reference: Harmonic, candidate: Harmonic) -> tuple[float, float, float]:
    """Return how far two harmonics lie apart: |(dc, ds)|, its standard error, and the significance in sigma."""
    d = np.array([candidate.c - reference.c, candidate.s - reference.s])
    covariance = reference.covariance + candidate.covariance
    square = float(d @ np.linalg.pinv(covariance) @ d)
    pull = max(float(norm.isf(max(float(chi2.sf(square, 2)), 1e-300))), 0.0)
    return float(np.hypot(*d)), float(np.sqrt(0.5 * np.trace(covariance))), pull
