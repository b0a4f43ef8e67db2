"""Spots component: how many independent deposits a shower is made of.

    ln N = n0 + n1 ln(E / GeV)

N is the number of equal, independent deposits whose multinomial scatter over the depth cells equals the scatter of full
simulation around each shower's own gamma profile (`fit.longitudinal`). Showers sampled with N spots therefore fluctuate
along their depth as measured.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastparam.fit.fit import Fit
from fastparam.fit.longitudinal import ShowerFits
from fastparam.summary.points import EnergyPoints

__all__ = ["evaluate", "fit"]

Floats = npt.NDArray[np.float64]


def fit(showers: ShowerFits, energy: Floats, points: EnergyPoints) -> Fit:
    """Turn the measured numbers of deposits per energy point into a power law.

    Parameters
    ----------
    showers : ShowerFits
    energy : float64 array (n,)
        Kinetic energies of the showers in MeV.
    points : EnergyPoints
    """
    known = np.isfinite(showers.n_eff_points) & (showers.n_eff_errors > 0)
    ln_n, error = np.log(showers.n_eff_points[known]), (showers.n_eff_errors / showers.n_eff_points)[known]
    law = showers.n_eff_law[0] + showers.n_eff_law[1] * np.log(points.energy[known] / 1000.0)
    return Fit(
        ("n0", "n1"),
        showers.n_eff_law,
        showers.n_eff_covariance,
        True,
        True,
        (),
        float((((ln_n - law) / error) ** 2).sum()),
        max(int(known.sum()) - 2, 0),
        (float(energy.min()), float(energy.max())),
        int(showers.used.sum()),
        points={
            "energy": points.energy[known],
            "deposits": showers.n_eff_points[known],
            "deposits_error": showers.n_eff_errors[known],
        },
    )


def evaluate(spots: Fit, energy: Floats) -> Floats:
    """Mean number of spots of showers of kinetic energy `energy` in MeV, shape (n,)."""
    return np.exp(spots["n0"] + spots["n1"] * np.log(energy / 1000.0))
