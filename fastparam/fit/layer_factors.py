"""Layer factors: what the longitudinal model misses of the mean energy of single layers.

Gamma functions fall too fast far behind the shower maximum, and start too slowly in the first plates of a stack: the
last layer of an accordion comes out 18 to 30 % short, the first one of a stack by up to 90 %. Layer l gets

    h_l e_l(reference),    h_l = c_l0 + c_l1 L + c_l2 L^2,    L = ln(E / 10 GeV),

on top of what the model, warp and media included, leaves in it, and all layers together are scaled back, so that a
shower's visible energy stays what it is. e_l(reference) is what the gamma profile of a mean shower, at the mean ln T
and ln alpha of its energy, leaves there; both are shares of the visible energy. What is missing is not in
proportion to what the shower's own profile leaves in a layer: factors on that (up to 9 in the first plates) describe
showers that were not fitted to worse (docs/longitudinal.md).

Shares are compared at each shower's own (T, alpha), so that the laws of (T, alpha) have no part in them. How many terms
a layer needs, if any, is decided by Akaike's criterion: two units of chi2 per term.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastparam.fit import layers, warp
from fastparam.fit.fit import Fit
from fastparam.fit.profiles import Profiles, gamma_fractions
from fastparam.summary.points import EnergyPoints

__all__ = [
    "Reference", "cell_energy", "coefficients", "evaluate", "expected_energy", "fit", "reference", "reference_shape",
]  # fmt: skip

Floats = npt.NDArray[np.float64]

_MAX_DEGREE = 2

#: Fewest showers of an energy point.
_MIN_SHOWERS = 10


def fit(
    showers: Floats, expected: Floats, reference: Reference, points: EnergyPoints, layer_ids: npt.NDArray[np.int32]
) -> Fit:
    """Fit the factors of L layers.

    Parameters
    ----------
    showers, expected : float64 arrays (n, L)
        Visible energy of each shower per layer in MeV: as seen, and as `expected_energy` leaves it.
    reference : Reference
        Mean showers of the same energies.
    points : EnergyPoints
        Of the n showers.
    layer_ids : int32 array (L,)
        Name the parameters.

    Returns
    -------
    Fit
        Parameters ``layer<id>_h<m>``; chi2 of the differences of all energy points and layers.
    """
    n_layers = showers.shape[1]
    used = [p for p in range(len(points)) if (points.point == p).sum() >= _MIN_SHOWERS]
    x = np.log(points.energy[used] / 10_000.0)
    missing, spread = np.zeros((len(used), n_layers)), np.zeros((len(used), n_layers, n_layers))
    ratio, ratio_error = np.ones((len(used), n_layers)), np.zeros((len(used), n_layers))
    for k, p in enumerate(used):
        own = points.point == p
        seen, wanted, unit = showers[own], expected[own], reference.share[own]
        visible = seen.sum(axis=1)
        known = (seen.sum(axis=0) > 0) & (unit.sum(axis=0) > 0)
        scale = np.where(known, visible @ unit, np.inf)
        missing[k] = (seen - wanted).sum(axis=0) / scale
        residual = (seen - wanted - missing[k] * unit * visible[:, None]) / scale
        spread[k] = len(residual) * np.cov(residual, rowvar=False).reshape(n_layers, n_layers)
        total = wanted.sum(axis=0)
        ratio[k] = seen.sum(axis=0) / np.where(total > 0, total, np.inf)
        ratio_error[k] = np.sqrt(np.diag(spread[k])) * np.where(known, scale, 0.0) / np.where(total > 0, total, np.inf)
    variance = np.diagonal(spread, axis1=1, axis2=2) if used else np.zeros((0, n_layers))
    names, orders, rows, chi2, ndf = [], [], [], 0.0, 0
    for layer, number in enumerate(layer_ids):
        # (terms, points): what turns differences into coefficients.
        weights, least, freedom = _choose(x, missing[:, layer], variance[:, layer])
        orders.append(len(weights) - 1)
        names += [f"layer{number}_h{m}" for m in range(len(weights))]
        chi2, ndf = chi2 + least, ndf + freedom
        for row in weights:
            rows.append(np.zeros((len(used), n_layers)))
            rows[-1][:, layer] = row
    combination = np.array(rows).reshape(-1, len(used), n_layers)
    return Fit(
        tuple(names),
        np.einsum("kpl,pl->k", combination, missing),
        np.einsum("kpl,plm,jpm->kj", combination, spread, combination, optimize=True),
        True,
        True,
        (),
        chi2,
        ndf,
        (float(points.low.min()), float(points.high.max())),
        len(showers),
        settings={"orders": orders, "reference": [float(c) for c in reference.shape]},
        points={"energy": points.energy[used], "ratio": ratio, "ratio_error": ratio_error},
    )


@dataclass(frozen=True)
class Reference:
    """Mean showers, whose gamma profiles say how much energy a factor stands for.

    Attributes
    ----------
    shape : float64 array (4,)
        ln T = shape[0] + shape[1] L and ln alpha = shape[2] + shape[3] L.
    share : float64 array (n, L)
        Of a shower's energy in each layer, for the lines and energies of n showers.
    """

    shape: Floats
    share: Floats


def reference(profiles: Profiles, theta: Floats, media: Fit, cell_layer: npt.NDArray[np.int64]) -> Reference:
    """Return the mean showers of a sample with the shapes `theta` (n, 2); other arguments as in `cell_energy`."""
    x = np.log(profiles.energy / 10_000.0)
    degree = 1 if np.ptp(x) > 0.05 else 0
    lines = [np.append(np.polynomial.polynomial.polyfit(x, q, degree), np.zeros(1 - degree)) for q in theta.T]
    shape = np.concatenate(lines)
    to_layer = (cell_layer[:, None] == np.arange(int(cell_layer.max()) + 1)).astype(np.float64)
    return Reference(shape, _shares(profiles, _shape(shape, profiles.energy), media) @ to_layer)


def evaluate(factors: Fit, energy: Floats) -> Floats:
    """H of all layers for kinetic energies in MeV (n,), shape (n, L)."""
    powers = np.vander(np.log(energy / 10_000.0), _MAX_DEGREE + 1, increasing=True)
    h: Floats = powers @ coefficients(factors).T
    return h


def reference_shape(factors: Fit, energy: Floats) -> Floats:
    """Ln T and ln alpha of the mean shower for kinetic energies in MeV (n,), shape (n, 2)."""
    return _shape(np.array(factors.settings["reference"]), energy)


def _shape(shape: Floats, energy: Floats) -> Floats:
    x = np.log(energy / 10_000.0)
    return np.column_stack([shape[0] + shape[1] * x, shape[2] + shape[3] * x])


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
    share = profiles.expected(theta) * layers.evaluate(media, profiles.energy)[:, profiles.medium]
    share /= np.maximum(share.sum(axis=1, keepdims=True), 1e-300)
    if bend is not None:
        main = profiles.medium == media.settings["main"]
        of_main = share[:, main].sum(axis=1, keepdims=True)
        u = np.minimum(np.cumsum(share[:, main], axis=1) / np.maximum(of_main, 1e-300), 1.0)
        u = warp.warped(u, warp.evaluate(bend, profiles.energy))
        share[:, main] = np.diff(u, axis=1, prepend=0.0) * of_main
    if factors is not None:
        added = _shares(profiles, reference_shape(factors, profiles.energy), media)
        share = np.maximum(share + evaluate(factors, profiles.energy)[:, cell_layer] * added, 0.0)
    visible = profiles.cell_energy.sum(axis=1, keepdims=True)
    energy: Floats = share / np.maximum(share.sum(axis=1, keepdims=True), 1e-300) * visible
    return energy


def _shares(profiles: Profiles, theta: Floats, media: Fit) -> Floats:
    """Shares (n, C) of gamma profiles from depth 0, media included; each row adds up to one."""
    share = gamma_fractions(theta[:, 0], theta[:, 1], profiles.depths)
    share *= layers.evaluate(media, profiles.energy)[:, profiles.medium]
    normalised: Floats = share / np.maximum(share.sum(axis=1, keepdims=True), 1e-300)
    return normalised


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
