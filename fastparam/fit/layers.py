"""Layers component: how much of the energy lost in a layer is seen there, relative to the main medium.

Layers of one medium have one sampling fraction, and the gamma profile shares the visible energy among them. A layer of
another medium (a presampler in front of an accordion, say) sees another fraction of what the profile leaves in it:

    factor_m = exp(f0 + f1 ln(E / 10 GeV)),    main medium: 1.

`response` describes the visible energy of every layer by itself: mean share of the incident energy as a polynomial in
ln(E / 10 GeV), for the reader of a report and for monitoring; sampling does not use it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastparam.errors import FitError
from fastparam.fit.fit import Fit
from fastparam.fit.profiles import Profiles
from fastparam.summary.points import EnergyPoints

__all__ = ["evaluate", "fit", "response"]

Floats = npt.NDArray[np.float64]

_MIN_SHOWERS = 10


def fit(profiles: Profiles, theta: Floats, points: EnergyPoints, *, expected: Floats | None = None) -> Fit:
    """Fit the factors of all media but the one that holds most energy.

    Parameters
    ----------
    profiles : Profiles
        Of n showers.
    theta : float64 array (n, 2)
        ln T and ln alpha of each shower.
    points : EnergyPoints
    expected : float64 array (n, C), optional
        Share of each shower's own profile in its cells; default that of `theta`.

    Returns
    -------
    Fit
        Not valid, and the factor kept at 1, where no energy point has 10 showers and energy in a medium; the notes
        name it.
    """
    n_media = int(profiles.medium.max()) + 1
    if expected is None:
        expected = profiles.expected(theta)
    seen = np.stack([profiles.cell_energy[:, profiles.medium == m].sum(axis=1) for m in range(n_media)], axis=1)
    share = np.stack([expected[:, profiles.medium == m].sum(axis=1) for m in range(n_media)], axis=1)
    main = profiles.main_medium
    others = [m for m in range(n_media) if m != main]
    names: list[str] = []
    notes: list[str] = []
    values, covariance, chi2, ndf = np.zeros(2 * len(others)), np.zeros((2 * len(others),) * 2), 0.0, 0
    diagnostics = {"energy": points.energy}
    for k, m in enumerate(others):
        ln_factor, error = np.full(len(points), np.nan), np.full(len(points), np.nan)
        for p in range(len(points)):
            own = points.point == p
            # What the profile promises in medium m, given what the shower left in the main medium.
            promised = seen[own, main] * share[own, m] / np.maximum(share[own, main], 1e-6)
            total, wanted = seen[own, m].sum(), promised.sum()
            if own.sum() < _MIN_SHOWERS or total <= 0 or wanted <= 0:
                continue
            ratio = total / wanted
            ln_factor[p] = np.log(ratio)
            error[p] = (seen[own, m] - ratio * promised).std(ddof=1) * np.sqrt(own.sum()) / total
        block = slice(2 * k, 2 * k + 2)
        x = np.log(points.energy / 10_000.0)
        values[block], covariance[block, block], c, n = _polynomial(x, ln_factor, error, 1)
        chi2, ndf = chi2 + c, ndf + n
        if not np.any(error > 0):
            notes.append(f"medium {m}: no energy point has {_MIN_SHOWERS} showers and energy in it; factor kept at 1")
        names += [f"factor{m}_f0", f"factor{m}_f1"]
        diagnostics |= {f"ln_factor{m}": ln_factor, f"ln_factor{m}_error": error}
    return Fit(
        tuple(names),
        values,
        covariance,
        not notes,
        True,
        (),
        chi2,
        ndf,
        (float(profiles.energy.min()), float(profiles.energy.max())),
        len(profiles),
        tuple(notes),
        settings={"main": main, "media": n_media},
        points=diagnostics,
    )


def evaluate(layers: Fit, energy: Floats) -> Floats:
    """Factors of all media for showers of kinetic energy `energy` in MeV, shape (n, n_media)."""
    factors = np.ones((len(energy), layers.settings["media"]))
    ln_e = np.log(energy / 10_000.0)
    others = [m for m in range(layers.settings["media"]) if m != layers.settings["main"]]
    for k, m in enumerate(others):
        factors[:, m] = np.exp(layers.values[2 * k] + layers.values[2 * k + 1] * ln_e)
    return factors


def response(energy: Floats, layer_energy: Floats, points: EnergyPoints, layer_ids: npt.NDArray[np.int32]) -> Fit:
    """Fit the mean share of the incident energy seen in every layer; resolution per layer as diagnostics.

    Parameters
    ----------
    energy : float64 array (n,)
        Kinetic energy in MeV.
    layer_energy : float64 array (n, L)
        Visible energy in MeV.
    points : EnergyPoints
    layer_ids : int32 array (L,)

    Raises
    ------
    FitError
        If no energy point has 10 showers.
    """
    used = [p for p in range(len(points)) if (points.point == p).sum() >= _MIN_SHOWERS]
    if not used:
        raise FitError(f"layer_response: no energy point has {_MIN_SHOWERS} showers")
    x = np.log(points.energy[used] / 10_000.0)
    shares = [layer_energy[points.point == p] / energy[points.point == p, None] for p in used]
    mean = np.array([s.mean(axis=0) for s in shares])
    spread = np.array([s.std(axis=0, ddof=1) for s in shares])
    error = spread / np.sqrt([[len(s)] for s in shares])
    degree = min(2, len(used) - 1)
    names, values, chi2, ndf = [], [], 0.0, 0
    n_layers = layer_energy.shape[1]
    full = np.zeros((n_layers * (degree + 1),) * 2)
    for k, layer in enumerate(layer_ids):
        floor = np.where(error[:, k] > 0, error[:, k], np.inf)
        coefficients, covariance, c, n = _polynomial(x, mean[:, k], floor, degree)
        names += [f"layer{layer}_c{j}" for j in range(degree + 1)]
        values.append(coefficients[: degree + 1])
        block = slice(k * (degree + 1), (k + 1) * (degree + 1))
        full[block, block] = covariance[: degree + 1, : degree + 1]
        chi2, ndf = chi2 + c, ndf + n
    return Fit(
        tuple(names),
        np.concatenate(values),
        full,
        True,
        True,
        (),
        chi2,
        ndf,
        (float(energy.min()), float(energy.max())),
        len(energy),
        points={"energy": points.energy[used], "mean": mean, "mean_error": error, "spread": spread},
    )


def _polynomial(x: Floats, y: Floats, error: Floats, degree: int) -> tuple[Floats, Floats, float, int]:
    """Weighted least squares; coefficients from the constant up, covariance, chi2 and degrees of freedom."""
    usable = np.isfinite(error) & (error > 0)
    order = min(degree, int(usable.sum()) - 1)
    coefficients, covariance = np.zeros(degree + 1), np.zeros((degree + 1, degree + 1))
    if order < 0:
        return coefficients, covariance, 0.0, 0
    design = np.vander(x[usable], order + 1, increasing=True)
    weight = 1.0 / error[usable] ** 2
    block = np.linalg.inv((design * weight[:, None]).T @ design)
    coefficients[: order + 1] = block @ (design * weight[:, None]).T @ y[usable]
    covariance[: order + 1, : order + 1] = block
    residual = y[usable] - design @ coefficients[: order + 1]
    return coefficients, covariance, float((residual**2 * weight).sum()), int(usable.sum()) - order - 1
