"""Whether two samples have the same incident energies; without that no comparison of all energies means anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2_contingency, ks_2samp

from fastparam.comparison.points import Point
from fastparam.errors import InputError
from fastparam.particles import Particles

__all__ = ["require_same_spectra", "require_same_spectrum"]

Floats = npt.NDArray[np.float64]

#: Spectra less likely to be the same are refused.
_P_VALUE = 1e-4
_SHOWERS_PER_POINT = 20


def require_same_spectrum(reference: Floats, candidate: Floats, name: str, group: str) -> None:
    """Refuse a candidate whose incident energies are not distributed like the reference's.

    Raises
    ------
    InputError
        If it has other energy points, or the same ones in other proportions, or another spectrum, by more than chance.
    """
    advice = "sample the reference's own particles (fastparam sample --like REFERENCE)"
    points = np.unique(np.round(np.log(reference), 4))
    if len(points) * _SHOWERS_PER_POINT > len(reference):
        p_value = float(ks_2samp(reference, candidate).pvalue)
        if p_value < _P_VALUE:
            raise InputError(
                f"candidate '{name}', {group}: its incident energies ({_range(candidate)}) are not distributed like"
                f" the reference's ({_range(reference)}), p = {p_value:.1g}; {advice}"
            )
        return
    other = np.unique(np.round(np.log(candidate), 4))
    foreign = [e for e in other if np.abs(points - e).min() > 2e-4]
    missing = [e for e in points if np.abs(other - e).min() > 2e-4]
    for what, energies in (("showers of", foreign), ("none of", missing)):
        if energies:
            listed = ", ".join(f"{np.exp(e):.4g}" for e in energies[:4])
            raise InputError(
                f"candidate '{name}', {group}: it has {what} {listed} MeV, unlike the reference: the incident spectra"
                f" differ; {advice}"
            )
    limits = 0.5 * (points[1:] + points[:-1])
    counts = [np.bincount(np.searchsorted(limits, np.log(e)), minlength=len(points)) for e in (reference, candidate)]
    if len(points) > 1:
        p_value = float(chi2_contingency(np.array(counts)).pvalue)
        if p_value < _P_VALUE:
            shares = ["/".join(f"{100 * c:.0f}" for c in n / n.sum()) for n in counts]
            raise InputError(
                f"candidate '{name}', {group}: its showers are spread over the energies as {shares[1]} %, those of the"
                f" reference as {shares[0]} %: the incident spectra differ; {advice}"
            )


def require_same_spectra(points: Sequence[Point], reference: Particles, candidate: Particles, name: str) -> None:
    """Refuse a candidate whose spectrum differs for any particle and slice; also one that has other energies beside.

    Raises
    ------
    InputError
        As `require_same_spectrum`, or if the candidate has no shower of a particle or slice.
    """
    for point in {p.group: p for p in points}.values():
        whole = replace(point, low=0.0, high=np.inf)
        full, other = (particles.energy[whole.select(particles)] for particles in (reference, candidate))
        if not len(other):
            raise InputError(
                f"candidate '{name}' has no shower of {point.group}; give it the reference's own particles"
                " (fastparam sample --like REFERENCE)"
            )
        require_same_spectrum(full, other, name, point.group)


def _range(energy: Floats) -> str:
    return f"{energy.min():.4g} to {energy.max():.4g} MeV, median {np.median(energy):.4g}"
