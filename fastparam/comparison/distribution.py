"""The distribution of a feature in both samples, kept to be drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastparam.comparison.features import FeatureTable
from fastparam.comparison.moments import BINS_PER_DECADE

__all__ = ["Distribution", "distribution"]

Floats = npt.NDArray[np.float64]

_BINS = 40


@dataclass(frozen=True)
class Distribution:
    """Shares of the entries per bin.

    Attributes
    ----------
    candidate, group, feature : str
    edges : float64 array (B + 1,)
        What lies outside is in the outermost bins. Of a spectrum, log10 of the energy over the threshold.
    reference, reference_error, value, error : float64 arrays (B,)
        Share of the entries in %, and its standard error from the spread between showers.
    """

    candidate: str
    group: str
    feature: str
    edges: Floats
    reference: Floats
    reference_error: Floats
    value: Floats
    error: Floats


def distribution(reference: FeatureTable, candidate: FeatureTable, feature: str, name: str, group: str) -> Distribution:
    """Fill a feature of both samples into even bins over the central 99.8 % of the reference."""
    if feature in reference.names:
        f = reference.names.index(feature)
        x = reference.values[:, f].astype(np.float64)
        low, high = np.quantile(x, [0.001, 0.999])
        if high <= low:
            low, high = low - 0.5, high + 0.5
        edges = np.linspace(low, high, _BINS + 1)
        sides = []
        for table in (reference, candidate):
            place = np.clip(np.searchsorted(edges, table.values[:, f], side="right") - 1, 0, _BINS - 1)
            share = np.bincount(place, minlength=_BINS) / len(place)
            sides.append((share, np.sqrt(share * (1 - share) / len(place))))
    else:
        g = reference.spectrum_names.index(feature)
        width = BINS_PER_DECADE // 5  # five bins per decade
        filled = np.flatnonzero(reference.spectra[:, g].any(axis=0) | candidate.spectra[:, g].any(axis=0))
        n = (int(filled.max(initial=0)) // width) + 1
        edges = np.arange(n + 1) / 5
        sides = []
        for table in (reference, candidate):
            fine = table.spectra[:, g, : n * width].astype(np.float64)
            fine = np.pad(fine, ((0, 0), (0, n * width - fine.shape[1])))
            entries = fine.reshape(len(table), n, width).sum(axis=2)
            total = max(float(entries.sum()), 1.0)
            share = entries.sum(axis=0) / total
            deviation = entries - share * entries.sum(axis=1)[:, None]
            sides.append((share, np.sqrt((deviation**2).sum(axis=0)) / total))
    (p, ep), (q, eq) = sides
    return Distribution(name, group, feature, edges, 100 * p, 100 * ep, 100 * q, 100 * eq)
