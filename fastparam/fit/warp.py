"""Warp component: what gamma profiles miss of the mean shape of real showers.

Cascades are more peaked than any gamma function and have a longer far tail. On the scale of a shower's own gamma
profile, u = F(t) / F(covered), the energy deposited up to depth t is on average not u but

    G(u) = u + sum_j a_j sin(j pi u),    j = 1..J,    a_j = b_j0 + b_j1 L + b_j2 L^2,    L = ln(E / 10 GeV)

G keeps both ends, so that nothing changes in total, and every shower keeps its own (T, alpha): the classical parameters
stay what they are. The coefficients follow from a linear fit of the cumulative profiles of single showers at their own
(T, alpha); a warp fitted to the mean profile of *sampled* showers would learn the statistical error of <T> instead.

J is chosen by cross-validation over showers, among those whose G grows everywhere in the range of energies.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastparam.fit.fit import Fit
from fastparam.fit.profiles import Profiles

__all__ = ["MAX_ORDER", "evaluate", "fit", "warped"]

Floats = npt.NDArray[np.float64]

#: Sines at most; more would follow single depth cells.
MAX_ORDER = 6
_FOLDS = 4


def fit(profiles: Profiles, theta: Floats, n_eff: Floats) -> Fit:
    """Fit the warp of one medium's profiles.

    Parameters
    ----------
    profiles : Profiles
        Of n showers in the cells of one medium.
    theta : float64 array (n, 2)
        ln T and ln alpha of each shower.
    n_eff : float64 array (n,)
        Independent deposits of each shower: its weight.
    """
    used = profiles.cell_energy.sum(axis=1) > 0
    energy = profiles.energy[used]
    cells = profiles.cell_energy[used]
    expected = profiles.take(used).expected(theta[used])
    # The last edge is 1 on both sides: it says nothing.
    u = np.cumsum(expected / expected.sum(axis=1, keepdims=True), axis=1)[:, :-1]
    excess = np.cumsum(cells / cells.sum(axis=1, keepdims=True), axis=1)[:, :-1] - u
    ln_e = np.log(energy / 10_000.0)
    degree = min(2, len(np.unique(np.round(ln_e, 2))) - 1)
    fold = np.arange(len(ln_e)) % _FOLDS
    best, chosen = np.inf, 0
    for order in range(MAX_ORDER + 1):
        score = 0.0
        for k in range(_FOLDS):
            coefficients = _solve(
                u[fold != k], excess[fold != k], ln_e[fold != k], n_eff[used][fold != k], order, degree
            )[0]
            score += _loss(
                u[fold == k], excess[fold == k], ln_e[fold == k], n_eff[used][fold == k], order, degree, coefficients
            )
        everything = _solve(u, excess, ln_e, n_eff[used], order, degree)[0]
        if score < best and _grows(everything, order, degree, ln_e):
            best, chosen = score, order
    values, covariance = _solve(u, excess, ln_e, n_eff[used], chosen, degree)
    return Fit(
        tuple(f"b{j}{m}" for j in range(1, chosen + 1) for m in range(degree + 1)),
        values,
        covariance,
        True,
        True,
        (),
        0.0,
        0,
        (float(energy.min()), float(energy.max())),
        len(energy),
        settings={"order": chosen, "degree": degree},
    )


def evaluate(warp: Fit, energy: Floats) -> Floats:
    """Coefficients a_j of showers of kinetic energy `energy` in MeV, shape (n, MAX_ORDER); 0 beyond J."""
    order, degree = warp.settings["order"], warp.settings["degree"]
    powers = np.vander(np.log(energy / 10_000.0), degree + 1, increasing=True)
    coefficients = np.zeros((len(energy), MAX_ORDER))
    coefficients[:, :order] = powers @ warp.values.reshape(order, degree + 1).T
    return coefficients


def warped(u: Floats, a: Floats) -> Floats:
    """G(u) for u (n, k) and coefficients a (n, J)."""
    j = np.arange(1, a.shape[1] + 1)
    shifted: Floats = u + np.einsum("nj,nkj->nk", a, np.sin(np.pi * u[:, :, None] * j))
    return shifted


def _design(u: Floats, ln_e: Floats, order: int, degree: int) -> Floats:
    """Design (n, k, order (degree + 1))."""
    powers = np.vander(ln_e, degree + 1, increasing=True)
    waves = np.sin(np.pi * u[:, :, None] * np.arange(1, order + 1))
    return (waves[:, :, :, None] * powers[:, None, None, :]).reshape(*u.shape, -1)


def _solve(u: Floats, excess: Floats, ln_e: Floats, weight: Floats, order: int, degree: int) -> tuple[Floats, Floats]:
    """Least squares, and the covariance from the scores of single showers, whose edges are not independent."""
    if order == 0:
        return np.zeros(0), np.zeros((0, 0))
    design = _design(u, ln_e, order, degree)
    normal = np.einsum("n,nkp,nkq->pq", weight, design, design)
    inverse = np.linalg.inv(normal)
    values = inverse @ np.einsum("n,nkp,nk->p", weight, design, excess)
    scores = np.einsum("n,nkp,nk->np", weight, design, excess - design @ values)
    return values, inverse @ (scores.T @ scores) @ inverse


def _loss(u: Floats, excess: Floats, ln_e: Floats, weight: Floats, order: int, degree: int, values: Floats) -> float:
    residual = excess - (_design(u, ln_e, order, degree) @ values if order else 0.0)
    return float((weight[:, None] * residual**2).sum())


def _grows(values: Floats, order: int, degree: int, ln_e: Floats) -> bool:
    """Whether G has no falling part at any energy of the fit."""
    if order == 0:
        return True
    u = np.linspace(0.0, 1.0, 101)
    j = np.arange(1, order + 1)
    for x in np.linspace(ln_e.min(), ln_e.max(), 9):
        a = values.reshape(order, degree + 1) @ x ** np.arange(degree + 1)
        if (1.0 + np.cos(np.pi * u[:, None] * j) @ (a * j * np.pi)).min() <= 0.05:
            return False
    return True
