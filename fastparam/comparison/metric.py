"""`Metric`: a number that judges all energies of a particle together, with its error and its floor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["ASPECTS", "HEADLINES", "Metric", "aspect_of"]

#: What can be wrong with showers; the worst of each is what a report shows first.
ASPECTS = (
    "energy", "energy per layer", "correlations", "depth", "radius", "centre", "width", "voxels", "repetition",
    "phi modulation", "as a whole",
)  # fmt: skip

#: Metrics of the summary table: name and title.
HEADLINES = {
    "separation": "separation, mean",
    "challenge_separation": "separation, challenge's definition",
    "auc_high": "AUC, features",
    "auc_low": "AUC, voxels",
    "fpd": "FPD",
    "kpd": "KPD",
    "wasserstein": "Wasserstein-1, mean",
    "duplicates": "near-duplicates",
    "duplicates_training": "near-duplicates of training",
}


@dataclass(frozen=True)
class Metric:
    """One number.

    Attributes
    ----------
    candidate, group : str
        Whose, and of which particle and slice.
    name, title : str
        Key in JSON and gates; words.
    aspect : str
        One of `ASPECTS`.
    value, error : float
        With its standard error; NaN where there is none.
    floor, floor_error : float
        The same for full simulation against full simulation. Of a separation, what was subtracted.
    pull : float
        Significance against "no difference" in standard deviations; NaN for what cannot be tested.
    unit : str
    note : str
        What restricts it: part of the showers, small samples.
    """

    candidate: str
    group: str
    name: str
    title: str
    aspect: str
    value: float
    error: float
    floor: float = np.nan
    floor_error: float = np.nan
    pull: float = np.nan
    unit: str = ""
    note: str = ""


def aspect_of(feature: str) -> str:
    """Return the aspect that a voxel feature (`features`) belongs to."""
    if feature in ("E_tot", "depth_mean", "depth_width"):
        return "energy" if feature == "E_tot" else "depth"
    for start, aspect in (
        ("E_", "energy per layer"),
        ("mean_r", "radius"),
        ("centre", "centre"),
        ("width", "width"),
    ):
        if feature.startswith(start):
            return aspect
    return "voxels"
