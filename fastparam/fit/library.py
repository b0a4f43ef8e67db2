"""Stored training showers: the recipe `library`.

Nothing is fitted. Deposits are kept in the precision that summaries have them in (`summary.deposits`).
"""

from __future__ import annotations

import numpy as np

from fastparam.errors import FitError
from fastparam.fit.tables import Tables
from fastparam.summary.summary import Summary

__all__ = ["PER_DEPOSIT", "PER_SHOWER", "fit"]

#: Arrays with one row per stored shower, and with one row per deposit.
PER_SHOWER = ("energy", "eta", "phi", "n_deposits")
PER_DEPOSIT = ("layer", "d1", "d2", "depth", "e")


def fit(showers: Summary) -> Tables:
    """Store the showers of one particle and slice.

    Parameters
    ----------
    showers : Summary
        With deposits.

    Returns
    -------
    Tables
        Arrays `PER_SHOWER`, `PER_DEPOSIT`, and `central` (L,): whether `depth` says where in the layer a deposit lies.

    Raises
    ------
    FitError
        If the summary kept no deposits.
    """
    if showers.deposits is None or not showers.deposits.kept.any():
        raise FitError("library: the summary keeps no single hits; summarise again for this recipe")
    kept = np.flatnonzero(showers.deposits.kept)
    deposits = showers.deposits.take(kept)
    particles = showers.particles.take(kept)
    return Tables(
        {
            "energy": particles.energy,
            "eta": np.where(np.isfinite(particles.eta), particles.eta, 0.0).astype(np.float32),
            "phi": particles.phi.astype(np.float32),
            "n_deposits": np.diff(deposits.offsets).astype(np.int32),
            "layer": deposits.layer,
            # Nine significant bits fit into half precision.
            "d1": deposits.d1.astype(np.float16),
            "d2": deposits.d2.astype(np.float16),
            "depth": deposits.depth,
            "e": deposits.e,
            "central": showers.binning.n_cells > 1,
        },
        {"showers": len(kept)},
    )
