"""Layer factors: what the longitudinal model misses of the mean energy of single layers.

Gamma functions fall too fast far behind the shower maximum, and no smooth profile follows an accordion's first
centimetres: the last layer comes out 18 to 30 % short, others by a few per cent. The energy that the model, warp and
media included, leaves in layer l is multiplied by

    f_l = exp(c_l0 + c_l1 L + c_l2 L^2),    L = ln(E / 10 GeV),

and all layers together are scaled back, so that a shower's visible energy stays what it is. The factors are ratios of
summed energies at each shower's own (T, alpha), so that the laws of (T, alpha) have no part in them. How many terms a
layer needs, if any, is decided by Akaike's criterion: two units of chi2 per term.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastparam.fit import layers, warp
from fastparam.fit.fit import Fit
from fastparam.fit.profiles import Profiles
from fastparam.summary.points import EnergyPoints

__all__ = ["cell_energy", "coefficients", "evaluate", "expected_energy", "fit"]

Floats = npt.NDArray[np.float64]

_MAX_DEGREE = 2

#: Fewest showers of an energy point.
_MIN_SHOWERS = 10


def fit(
    layer_energy: Floats, expected: Floats, energy: Floats, points: EnergyPoints, layer_ids: npt.NDArray[np.int32]
) -> Fit:
    """Fit the factors of L layers.

    Parameters
    ----------
    layer_energy, expected : float64 arrays (n, L)
        Visible energy of each shower per layer in MeV: as seen, and as `expected_energy` leaves it.
    energy : float64 array (n,)
        Kinetic energy in MeV.
    points : EnergyPoints
        Of the n showers.
    layer_ids : int32 array (L,)
        Name the parameters.

    Returns
    -------
    Fit
        Parameters ``layer<id>_f<m>``; chi2 of the ratios of all energy points and layers.
    """
    n_layers = layer_energy.shape[1]
    used = [p for p in range(len(points)) if (points.point == p).sum() >= _MIN_SHOWERS]
    x = np.log(points.energy[used] / 10_000.0)
    ln_ratio, spread = np.zeros((len(used), n_layers)), np.zeros((len(used), n_layers, n_layers))
    for k, p in enumerate(used):
        own = points.point == p
        seen, wanted = layer_energy[own], expected[own]
        total = seen.sum(axis=0)
        known = (total > 0) & (wanted.sum(axis=0) > 0)
        ratio = np.where(known, total / np.where(known, wanted.sum(axis=0), 1.0), 1.0)
        ln_ratio[k] = np.log(ratio)
        residual = (seen - ratio * wanted) / np.where(known, total, np.inf)
        spread[k] = len(residual) * np.cov(residual, rowvar=False).reshape(n_layers, n_layers)
    variance = np.diagonal(spread, axis1=1, axis2=2) if used else np.zeros((0, n_layers))
    names, orders, rows, chi2, ndf = [], [], [], 0.0, 0
    for layer, number in enumerate(layer_ids):
        # (terms, points): what turns ratios into coefficients.
        weights, least, freedom = _choose(x, ln_ratio[:, layer], variance[:, layer])
        orders.append(len(weights) - 1)
        names += [f"layer{number}_f{m}" for m in range(len(weights))]
        chi2, ndf = chi2 + least, ndf + freedom
        for row in weights:
            rows.append(np.zeros((len(used), n_layers)))
            rows[-1][:, layer] = row
    combination = np.array(rows).reshape(-1, len(used), n_layers)
    return Fit(
        tuple(names),
        np.einsum("kpl,pl->k", combination, ln_ratio),
        np.einsum("kpl,plm,jpm->kj", combination, spread, combination, optimize=True),
        True,
        True,
        (),
        chi2,
        ndf,
        (float(energy.min()), float(energy.max())),
        len(energy),
        settings={"orders": orders},
        points={
            "energy": points.energy[used],
            "ratio": np.exp(ln_ratio),
            "ratio_error": np.exp(ln_ratio) * np.sqrt(variance),
        },
    )


def evaluate(factors: Fit, energy: Floats) -> Floats:
    """Factors of all layers for kinetic energies in MeV (n,), shape (n, L)."""
    x = np.log(energy / 10_000.0)
    columns, first = [], 0
    for order in factors.settings["orders"]:
        columns.append(np.exp(np.polynomial.polynomial.polyval(x, [*factors.values[first : first + order + 1], 0.0])))
        first += order + 1
    return np.stack(columns, axis=1)


def coefficients(factors: Fit) -> Floats:
    """Polynomials in L of all layers, constant first, shape (L, 3); zeros where a layer needs no term."""
    table, first = np.zeros((len(factors.settings["orders"]), _MAX_DEGREE + 1)), 0
    for row, order in zip(table, factors.settings["orders"], strict=True):
        row[: order + 1] = factors.values[first : first + order + 1]
        first += order + 1
    return table


def cell_energy(
    profiles: Profiles,
    theta: Floats,
    media: Fit,
    bend: Fit | None,
    cell_layer: npt.NDArray[np.int64],
    factors: Fit | None = None,
) -> Floats:
    """Energy that the longitudinal model leaves in the cells of showers with given shapes and visible energies.

    Parameters
    ----------
    profiles : Profiles
        Of n showers in C cells.
    theta : float64 array (n, 2)
        ln T and ln alpha.
    media : Fit
        Of `fit.layers`.
    bend : Fit, optional
        Of `fit.warp`.
    cell_layer : int64 array (C,)
        Layer of every cell.
    factors : Fit, optional
        Of this module.

    Returns
    -------
    float64 array (n, C)
        In MeV; each row adds up to the shower's visible energy.
    """
    share = profiles.expected(theta)
    share *= layers.evaluate(media, profiles.energy)[:, profiles.medium]
    if bend is not None:
        main = profiles.medium == media.settings["main"]
        of_main = share[:, main].sum(axis=1, keepdims=True)
        u = np.minimum(np.cumsum(share[:, main], axis=1) / np.maximum(of_main, 1e-300), 1.0)
        u = warp.warped(u, warp.evaluate(bend, profiles.energy))
        share[:, main] = np.diff(u, axis=1, prepend=0.0) * of_main
    if factors is not None:
        share *= evaluate(factors, profiles.energy)[:, cell_layer]
    visible = profiles.cell_energy.sum(axis=1, keepdims=True)
    energy: Floats = share / np.maximum(share.sum(axis=1, keepdims=True), 1e-300) * visible
    return energy


def expected_energy(
    profiles: Profiles, theta: Floats, media: Fit, bend: Fit | None, cell_layer: npt.NDArray[np.int64]
) -> Floats:
    """Return what `cell_energy` leaves, without factors, in each of the L layers: float64 array (n, L) in MeV."""
    to_layer = (cell_layer[:, None] == np.arange(int(cell_layer.max()) + 1)).astype(np.float64)
    per_layer: Floats = cell_energy(profiles, theta, media, bend, cell_layer) @ to_layer
    return per_layer


def _choose(x: Floats, y: Floats, variance: Floats) -> tuple[Floats, float, int]:
    """Weights (terms, points) of the best polynomial by Akaike's criterion, its chi2 and degrees of freedom."""
    known = np.isfinite(variance) & (variance > 0)
    best, chosen = np.inf, (np.zeros((0, len(x))), 0.0, 0)
    for terms in range(min(_MAX_DEGREE + 1, int(known.sum())) + 1):
        weights = np.zeros((terms, len(x)))
        if terms:
            design = np.vander(x[known], terms, increasing=True) / np.sqrt(variance[known])[:, None]
            weights[:, known] = np.linalg.pinv(design) / np.sqrt(variance[known])
        fitted = np.vander(x, terms, increasing=True) @ (weights @ y) if terms else np.zeros(len(x))
        chi2 = float(((y - fitted)[known] ** 2 / variance[known]).sum())
        if chi2 + 2 * terms < best:
            best, chosen = chi2 + 2 * terms, (weights, chi2, int(known.sum()) - terms)
    return chosen
