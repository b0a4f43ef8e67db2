"""Search for a modulation in phi that nobody declared: a periodogram of showers' deviations over all plausible periods.

For N = N_min..4096 absorbers around, with d_i the deviation of shower i from the mean of its energy (of the total, or
of one layer) and w_i its inverse variance,

    chi2(N) = 2 |sum_i w_i d_i exp(i N phi_i)|^2 / sum_i (w_i d_i)^2,

which follows chi2 with two degrees of freedom where there is no modulation. Being normalised by the deviations
themselves it has no heavier tail, whatever single showers do. The probability of the largest value anywhere is
1 - (1 - p)^M with M the number of independent looks: quantities times periods, where the latter are fewer than N_max if
the sample covers only part of the circle (periods closer than its inverse extent look alike; a peak between two of them
is found too, which counts as three looks each).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from fastparam.fit.phase_profile import deviations
from fastparam.summary.points import energy_points

__all__ = ["FALSE_ALARM", "MAX_PERIODS", "Periodicity", "search"]

Floats = npt.NDArray[np.float64]

#: Most periods around the circle: 2.3 mm at a radius of 1.5 m, less than a shower's core is wide.
MAX_PERIODS = 4096

#: Fewer periods than this are modules and cracks, or not resolved by the sample.
_MIN_PERIODS = 16
_MIN_TURNS = 3.0

#: A modulation is reported if chance does as well in fewer samples than this.
FALSE_ALARM = 1e-3

_BINS = 1 << 16
_MIN_SHOWERS = 20


@dataclass(frozen=True)
class Periodicity:
    """The most significant period of a sample.

    Attributes
    ----------
    periods, error : float
        Number of periods around the circle and its standard error.
    p_value : float
        Probability to find one as significant anywhere in the search if there is none.
    layers : tuple of int
        Indices of the layers in which it is seen by itself (p < 0.01 after allowing for their number).
    amplitude : float64 array (1 + L,)
        Of the first harmonic in the total and in every layer, relative.
    amplitude_error : float64 array (1 + L,)
    n_showers : int
        That took part.
    searched : tuple of int
        Least and largest number of periods that was looked at.
    """

    periods: float
    error: float
    p_value: float
    layers: tuple[int, ...]
    amplitude: Floats
    amplitude_error: Floats
    n_showers: int
    searched: tuple[int, int]

    @property
    def significant(self) -> bool:
        """Whether it is more than a chance finding."""
        return self.p_value < FALSE_ALARM


def search(
    groups: Sequence[npt.NDArray[np.int64]],
    phi: Floats,
    energy: Floats,
    layer_energy: Floats,
    *,
    periods: int | None = None,
) -> Periodicity | None:
    """Search the showers of a sample for a periodic response.

    Parameters
    ----------
    groups : list of int64 arrays
        Rows of showers that have one mean at one energy: of one particle in one eta slice.
    phi : float64 array (n,)
        Azimuth in rad at which the showers' lines cross the detector.
    energy : float64 array (n,)
        Kinetic energy in MeV.
    layer_energy : float64 array (n, L)
        Visible energy in MeV.
    periods : int, optional
        Look at this number of periods alone.

    Returns
    -------
    Periodicity or None
        None if there are fewer than 20 showers in every group, or the sample covers less than 3 of the narrowest
        periods in phi.
    """
    usable = [rows for rows in groups if len(rows) >= _MIN_SHOWERS]
    if not usable:
        return None
    everyone = np.concatenate(usable)
    extent = _extent(phi[everyone])
    lowest = max(_MIN_PERIODS, int(np.ceil(_MIN_TURNS * 2.0 * np.pi / extent))) if extent > 0 else MAX_PERIODS + 1
    if periods is None and lowest > MAX_PERIODS:
        return None
    looked = np.arange(lowest, MAX_PERIODS + 1) if periods is None else np.array([periods])
    quantities = np.column_stack([layer_energy.sum(axis=1), layer_energy])
    single, weights = (np.zeros(quantities.shape) for _ in range(2))
    for rows in usable:
        points = energy_points(energy[rows])
        for q in range(quantities.shape[1]):
            if quantities[rows, q].sum() <= 0:
                continue
            deviation, weight, used = deviations(quantities[rows, q], energy[rows], points)
            single[rows[used], q], weights[rows[used], q] = weight * deviation, weight
    power = np.sum(single**2, axis=0)
    waves = _waves(single, phi, looked)
    chi2 = 2.0 * np.abs(waves) ** 2 / np.where(power > 0, power, np.inf)[:, None]
    q, best = divmod(int(np.argmax(chi2)), len(looked))
    # Three looks for each period that the extent in phi tells from its neighbours.
    independent = min(1.0, 3.0 * extent / (2.0 * np.pi)) if periods is None else 1.0
    looks = max(1.0, len(looked) * independent) * int((power > 0).sum())
    p = float(stats.chi2.sf(chi2[q, best], 2))
    total_weight = np.maximum(weights.sum(axis=0), 1e-300)
    p_layers = stats.chi2.sf(chi2[1:, best], 2)
    near = looked[chi2[q] > chi2[q, best] - 1.0]
    near = near[np.abs(near - looked[best]) <= np.pi / extent] if extent > 0 else near
    return Periodicity(
        float(looked[best]),
        max(0.5 * float(np.ptp(near)), 0.5 if periods is None else 0.0),
        float(-np.expm1(looks * np.log1p(-min(p, 1.0 - 1e-16)))),
        tuple(int(k) for k in np.flatnonzero(p_layers < 0.01 / len(p_layers))),
        2.0 * np.abs(waves[:, best]) / total_weight,
        np.sqrt(2.0 * power) / total_weight,
        len(everyone),
        (int(looked[0]), int(looked[-1])),
    )


def _extent(phi: Floats) -> float:
    """Angle in rad that the sample covers: the circle without its largest gap."""
    ordered = np.sort(np.mod(phi, 2.0 * np.pi))
    gaps = np.diff(np.append(ordered, ordered[0] + 2.0 * np.pi))
    covered = 2.0 * np.pi - float(gaps.max())
    return 2.0 * np.pi if covered > 0.95 * 2.0 * np.pi else covered


def _waves(single: Floats, phi: Floats, looked: npt.NDArray[np.int64]) -> npt.NDArray[np.complex128]:
    """Sum of single exp(i N phi) over showers, for every quantity and N, shape (quantities, len(looked))."""
    if len(looked) == 1:
        return np.asarray(single.T @ np.exp(1j * looked[0] * phi)[:, None])
    # Many N: phi in bins a sixteenth of the shortest period wide, all N at once.
    bins = np.minimum((np.mod(phi, 2.0 * np.pi) * (_BINS / (2.0 * np.pi))).astype(np.int64), _BINS - 1)
    binned = np.stack([np.bincount(bins, weights=column, minlength=_BINS) for column in single.T])
    return np.asarray(np.conj(np.fft.rfft(binned, axis=1))[:, looked])
