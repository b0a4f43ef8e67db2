"""Spot groups: how many spots a shower has across, for each independent deposit along its depth.

Energy fluctuates in depth as if a shower had N deposits (`fit.spots`), and across as if it had two to four times as
many: what goes into one cell of depth comes from one early electron or photon, which shares it out between many radii.
A shower is therefore sampled as N groups of equal energy, each at a depth of its own, and each of

    c = exp(m0 + m1 L + m2 ln tau + m3 tau),    L = ln(E / 10 GeV),    at least 1,

spots that share its depth (to a step of the sampler) and its energy, and have radii of their own. With that the density
of spots in depth is a gamma profile as well, as in Grindhammer & Peters (hep-ex/0001020, A.1.4), with
alpha_spot = alpha + m2 and beta_spot T = beta T - m3.

c follows from the fluctuation of ring energies: of k equal spots in a bin of age, the share q within a ring has the
variance q (1 - q) / k between showers, whatever the fluctuation of the bin's energy. k is measured in every bin of age
and energy from all rings together (`fit.radial.cells`), and c is k over N times the share of the energy in the bin.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastparam.fit import spots
from fastparam.fit.fit import Fit
from fastparam.fit.radial import TAU_EDGES, RadialCells

__all__ = ["MIN_TAU", "NAMES", "evaluate", "fit", "per_group"]

Floats = npt.NDArray[np.float64]

NAMES = ("m0", "m1", "m2", "m3")

#: The law is constant in front of this age and behind the last bin.
MIN_TAU = 0.1


def fit(rows: RadialCells, deposits: Fit) -> Fit:
    """Fit the number of spots per group.

    Parameters
    ----------
    rows : RadialCells
        Of `fit.radial.cells`.
    deposits : Fit
        Of `fit.spots`.

    Returns
    -------
    Fit
        chi2 over all bins of age and energy; the covariance is scaled by chi2 / ndf, as errors of k are rough.
        Diagnostics: "c" and its error per bin, "energy", "tau", and the ratios of T and alpha of spots to those of the
        energy for a shower of alpha = 4.
    """
    tau = np.clip((rows.mixture * rows.tau).sum(axis=1), MIN_TAU, TAU_EDGES[-1])
    groups = spots.evaluate(deposits, rows.energy) * rows.share
    known = (rows.n_eff_error > 0) & (groups > 0)
    # Deposits of all showers of a row, for the groups of one.
    ln_c = np.log(np.where(known, rows.n_eff / rows.n_showers / np.where(known, groups, 1.0), 1.0))
    weight = np.where(known, rows.n_eff / np.where(known, rows.n_eff_error, 1.0), 0.0)
    design = np.column_stack([np.ones_like(tau), rows.ln_e, np.log(tau), tau])
    free = np.array([True, bool(np.ptp(rows.ln_e) > 0.05), True, True])
    scaled = design[:, free] * weight[:, None]
    inverse = np.linalg.pinv(scaled.T @ scaled)
    values, covariance = np.zeros(4), np.zeros((4, 4))
    values[free] = inverse @ scaled.T @ (ln_c * weight)
    chi2 = float((((ln_c - design @ values) * weight) ** 2).sum())
    ndf = max(int(known.sum()) - int(free.sum()), 0)
    covariance[np.ix_(free, free)] = inverse * (chi2 / ndf if ndf else 1.0)
    alpha = 4.0
    return Fit(
        NAMES,
        values,
        covariance,
        bool(np.isfinite(values).all()),
        True,
        (),
        chi2,
        ndf,
        (float(rows.energy.min()), float(rows.energy.max())),
        int(rows.shower.max()) + 1,
        settings={
            "alpha_ratio": float((alpha + values[2]) / alpha),
            "t_ratio": float((alpha - 1.0 + values[2]) / (alpha - 1.0 - values[3])),
        },
        points={
            "energy": rows.energy,
            "tau": tau,
            "c": np.exp(ln_c),
            "c_error": np.exp(ln_c) * np.where(weight > 0, 1.0 / np.where(weight > 0, weight, 1.0), np.inf),
        },
    )


def evaluate(groups: Fit, energy: Floats) -> Floats:
    """Coefficients of 1, ln tau and tau in ln c for kinetic energies in MeV (n,), shape (n, 3)."""
    m0, m1, m2, m3 = groups.values
    ln_e = np.log(energy / 10_000.0)
    return np.column_stack([m0 + m1 * ln_e, np.full_like(ln_e, m2), np.full_like(ln_e, m3)])


def per_group(groups: Fit, energy: Floats, tau: Floats) -> Floats:
    """Mean number of spots of a group at ages tau for kinetic energies in MeV, arrays (n,)."""
    age = np.clip(tau, MIN_TAU, TAU_EDGES[-1])
    a, b, c = evaluate(groups, energy).T
    mean: Floats = np.maximum(np.exp(a + b * np.log(age) + c * age), 1.0)
    return mean
