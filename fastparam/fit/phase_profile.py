"""Means of a quantity against a phase: harmonics and profiles by themselves, and what a modulation makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fastparam.fit.modulation import apply, evaluate
from fastparam.fit.phase_likelihood import phase_data, residual_basis

if TYPE_CHECKING:
    from fastparam.fit.fit import Fit
    from fastparam.summary.points import EnergyPoints

__all__ = ["BINS", "curve", "deviations", "harmonics_test", "profile"]

Floats = npt.NDArray[np.float64]

#: Bins in phi of reports.
BINS = 12


def harmonics_test(
    values: Floats, energy: Floats, psi: Floats, points: EnergyPoints, harmonics: int
) -> tuple[Floats, Floats, float, int]:
    """Measure harmonics of a quantity by themselves, without any model: for tests of flatness.

    Parameters
    ----------
    values : float64 array (n,)
        Energies in MeV, of a layer or of the shower.
    energy, psi : float64 arrays (n,)
        Kinetic energy in MeV; phase in rad.
    harmonics : int
        Number of harmonics K.

    Returns
    -------
    amplitude, error : float64 arrays (K, 2)
        Coefficients of cosines and sines relative to the mean, averaged over energies with the weight of their
        resolution.
    chi2, ndf : float, int
        Of all of them being 0, correlations included.
    """
    data, _ = phase_data(values, energy, psi, points)
    basis = residual_basis(data, harmonics)
    inverse = np.linalg.inv((data.weight[:, None] * basis).T @ basis)
    single = (data.weight * data.pull)[:, None] * basis
    covariance = inverse @ (single.T @ single) @ inverse
    amplitude = inverse @ single.sum(axis=0)
    chi2 = float(amplitude @ np.linalg.solve(covariance, amplitude))
    return (
        amplitude.reshape(harmonics, 2),
        np.sqrt(np.diag(covariance)).reshape(harmonics, 2),
        chi2,
        2 * harmonics,
    )


def deviations(values: Floats, energy: Floats, points: EnergyPoints) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    """Return relative deviations of showers from the mean of their energy, clipped below, and their weights.

    Parameters
    ----------
    values, energy : float64 arrays (n,)
        Energies in MeV, of a layer or of the shower, and kinetic energies in MeV.
    points : EnergyPoints

    Returns
    -------
    deviation, weight : float64 arrays (m,)
        The weight is the inverse variance.
    used : bool array (n,)
        The m showers at energies where the quantity has any energy.
    """
    data, used = phase_data(values, energy, np.zeros(len(values)), points)
    return data.pull, data.weight, used


def profile(values: Floats, energy: Floats, psi: Floats, points: EnergyPoints) -> tuple[Floats, Floats]:
    """Return the mean of a quantity in `BINS` bins of phase, relative to its mean at each energy, and its error.

    Parameters
    ----------
    values, energy, psi : float64 arrays (n,)
        As `harmonics_test`.

    Returns
    -------
    mean, error : float64 arrays (BINS,)
        NaN in bins without showers. Energies count with the weight of their resolution, so that this is where the
        modulation is best seen.
    """
    data, _ = phase_data(values, energy, psi, points)
    bins = np.minimum((data.psi * (BINS / (2.0 * np.pi))).astype(np.int64), BINS - 1)
    s, weight = 1.0 + data.pull, data.weight
    total = np.bincount(bins, weights=weight, minlength=BINS)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(bins, weights=weight * s, minlength=BINS) / total
        error = np.sqrt(np.bincount(bins, weights=(weight * (s - mean[bins])) ** 2, minlength=BINS)) / total
    return mean, error


def curve(modulation: Fit, energy: Floats, layer_energy: Floats, points: EnergyPoints) -> Floats:
    """Return the mean of the total and of every layer in `BINS` bins of phase, relative, as the modulation has it.

    Parameters
    ----------
    modulation : Fit
    energy : float64 array (n,)
        Kinetic energy in MeV.
    layer_energy : float64 array (n, L)
        Of showers without modulation (`undo`) in MeV.
    points : EnergyPoints

    Returns
    -------
    float64 array (BINS, 1 + L)
        Energies with the weight of their resolution, as in `profile`; NaN for layers without energy.
    """
    flat = np.column_stack([layer_energy.sum(axis=1), layer_energy])
    seen = np.full((BINS, flat.shape[1]), np.nan)
    grid = 2.0 * np.pi * (np.arange(BINS) + 0.5) / BINS
    for b, phase in enumerate(grid):
        factors = evaluate(modulation, energy, np.full(flat.shape, phase))
        there = apply(factors, layer_energy)
        there = np.column_stack([there.sum(axis=1), there])
        for q in np.flatnonzero(flat.sum(axis=0) > 0):
            data, used = phase_data(flat[:, q], energy, np.zeros(len(energy)), points)
            ratio = np.maximum(there[used, q] / energy[used] / data.mean, data.threshold)
            seen[b, q] = (data.weight * ratio).sum() / (data.weight * (1.0 + data.pull)).sum()
    return np.asarray(seen / seen.mean(axis=0))
