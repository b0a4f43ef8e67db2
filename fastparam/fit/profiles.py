"""Depth profiles of single showers: what one shower says about its own (ln T, ln alpha).

A shower's energies in the depth cells that the detector covers are taken as a multinomial of N_eff equal deposits,
normalised to those cells, so that leakage, dead material and missing layers need no correction:

    ln L(ln T, ln alpha) = N_eff sum_k h_k ln(F_k / sum F),    h_k energy fractions, F_k the gamma profile's share,

medium by medium where the cells differ in visible fraction. Under a normal prior (the population) `posteriors` finds
the maximum of each shower, and then replaces ln L by the parabola that gives the posterior its true mean and
covariance, found by Gauss-Hermite quadrature about the maximum. Its product with any normal law has a closed integral,
and yet the maximum of the population's likelihood is that of the exact integral: the score of a normal law knows the
posterior by its first two moments only (expectation propagation; Minka, UAI 2001). The parabola of the maximum itself
(Laplace's method) puts alpha 2 % too high where a shower has 100 deposits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastparam._numba import kernel, parallel_kernel, prange
from fastparam.shapes.incomplete_gamma import gamma_p1
from fastparam.shapes.posterior_moments import moments1, spread1

__all__ = [
    "MIN_LN_ALPHA", "NODE_WEIGHTS", "SMALLEST_SHARE", "Profiles", "deposits", "gamma_fractions", "posterior_nodes",
    "posteriors",
]  # fmt: skip

Floats = npt.NDArray[np.float64]

#: A shower with alpha <= 1 has no maximum; the population ends here, and so does the sampler's.
MIN_LN_ALPHA = 0.02

#: Neighbouring cells are joined until they hold this share of the shower, before scatter is counted in deposits.
SMALLEST_SHARE = 0.02

#: Depths in front of a shifted start are scaled by this.
_IN_FRONT = 1e-9

_NODES_1D, _WEIGHTS_1D = np.polynomial.hermite_e.hermegauss(5)
_NODES = np.array([(a, b) for a in _NODES_1D for b in _NODES_1D])
#: Where the nodes that stand for a posterior lie in ln T, in standard deviations, and their weights: Gauss-Hermite.
_NODE_PLACES, NODE_WEIGHTS = np.array([-math.sqrt(3.0), 0.0, math.sqrt(3.0)]), np.array([1.0, 4.0, 1.0]) / 6.0
#: Weight of a node times the inverse of the normal density there.
_LN_WEIGHTS = np.log(np.outer(_WEIGHTS_1D, _WEIGHTS_1D).ravel()) + 0.5 * (_NODES**2).sum(axis=1)


@dataclass(frozen=True)
class Profiles:
    """Longitudinal profiles of n showers in C depth cells.

    Attributes
    ----------
    energy : float64 array (n,)
        Kinetic energy in MeV.
    ln_y : float64 array (n,)
        ln(E / Ec).
    cell_energy : float64 array (n, C)
        Visible energy in MeV.
    depths : float64 array (n, C, 2)
        Depth range of each cell in X0; zero width where a shower's line misses the cell.
    medium : int64 array (C,)
        Cells of equal number share a visible fraction; shapes are compared only within a medium.
    pair : float64 array (n,), or None
        Energy that the first pair leaves by ionisation, relative to the profile's: pair exp(-t) dt from its start.
        Only for profiles that start behind the front (`shifted`).
    """

    energy: Floats
    ln_y: Floats
    cell_energy: Floats
    depths: Floats
    medium: npt.NDArray[np.int64]
    pair: Floats | None = None

    def __len__(self) -> int:
        return len(self.energy)

    @property
    def pairs(self) -> Floats:
        """`pair` as an array."""
        return np.zeros(len(self)) if self.pair is None else self.pair

    @property
    def main_medium(self) -> int:
        """The medium whose cells hold most energy."""
        return int(np.argmax(np.bincount(self.medium, weights=self.cell_energy.sum(axis=0))))

    def expected(self, theta: Floats) -> Floats:
        """Share of each shower's profile of (ln T, ln alpha) = theta (n, 2) in its depth cells, shape (n, C)."""
        out = np.empty(self.depths.shape[:2])
        _all_fractions(theta[:, 0].copy(), theta[:, 1].copy(), self.depths, self.pairs, out)
        return out

    def of_medium(self, medium: int) -> Profiles:
        """Return the same showers in the cells of one medium only."""
        cells = self.medium == medium
        return Profiles(
            self.energy,
            self.ln_y,
            self.cell_energy[:, cells],
            np.ascontiguousarray(self.depths[:, cells]),
            np.zeros(int(cells.sum()), dtype=np.int64),
            self.pair,
        )

    def take(self, rows: npt.NDArray[Any]) -> Profiles:
        """Return some of the showers; `rows` are their numbers or a mask."""
        return replace(
            self,
            energy=self.energy[rows],
            ln_y=self.ln_y[rows],
            cell_energy=self.cell_energy[rows],
            depths=self.depths[rows],
            pair=None if self.pair is None else self.pair[rows],
        )

    def shifted(self, start: Floats | float, *, pair: Floats | None) -> Profiles:
        """Return the showers with depths counted from `start`, X0, shape (n,) or a number.

        Cells in front of it keep a width, so that they still count as seen, but no share of the profile.
        """
        behind = self.depths - np.reshape(start, (-1, 1, 1))
        return replace(self, depths=np.where(behind > 0, behind, _IN_FRONT * self.depths), pair=pair)


@kernel
def _fractions(t: Any, alpha: Any, depths: Any, pair: Any, out: Any) -> None:
    """Share of a gamma profile with maximum t and shape alpha in each depth range."""
    beta = (alpha - 1.0) / t
    edge, at_edge = -1.0, 0.0
    for k in range(len(depths)):
        a, b = depths[k, 0], depths[k, 1]
        if b <= a:
            out[k] = 0.0
            continue
        if a != edge:
            at_edge = gamma_p1(alpha, beta * a)
        upper = gamma_p1(alpha, beta * b)
        out[k] = max(upper - at_edge, 1e-300)
        if pair > 0.0:
            out[k] += pair * (math.exp(-a) - math.exp(-b))
        edge, at_edge = b, upper


@kernel
def _log_likelihood(
    ln_t: Any, ln_alpha: Any, weights: Any, depths: Any, medium: Any, pair: Any, work: Any, norm: Any
) -> float:
    """Multinomial ln L of one shower; `weights` are its cell energies times N_eff / visible energy."""
    _fractions(math.exp(ln_t), math.exp(ln_alpha), depths, pair, work)
    for m in range(len(norm)):
        norm[m] = 0.0
    for k in range(len(work)):
        norm[medium[k]] += work[k]
    total = 0.0
    for k in range(len(work)):
        if weights[k] > 0.0 and work[k] > 0.0:
            total += weights[k] * math.log(work[k] / norm[medium[k]])
    return total


@parallel_kernel
def _maximise(
    cells: Any,
    depths: Any,
    medium: Any,
    n_media: Any,
    pair: Any,
    n_eff: Any,
    prior: Any,
    theta: Any,
    expansion: Any,
) -> None:
    """Move theta (n, 2) to each shower's posterior maximum; expansion (n, 5) is ln L there.

    expansion: gradient and Hessian (tt, aa, ta).
    prior (n, 5): mean ln T, mean ln alpha, and the inverse covariance (tt, aa, ta).
    """
    step = 1e-3
    for i in prange(len(theta)):
        n_cells = cells.shape[1]
        work, norm, weights = np.empty(n_cells), np.empty(n_media), np.empty(n_cells)
        visible = 0.0
        for k in range(n_cells):
            visible += cells[i, k]
        for k in range(n_cells):
            weights[k] = cells[i, k] / visible * n_eff[i] if visible > 0.0 else 0.0
        x, y = theta[i, 0], theta[i, 1]
        m0, m1, p00, p11, p01 = prior[i, 0], prior[i, 1], prior[i, 2], prior[i, 3], prior[i, 4]
        damping = 1e-3
        centre = _log_likelihood(x, y, weights, depths[i], medium, pair[i], work, norm)
        g0, g1, h00, h11, h01 = 0.0, 0.0, 0.0, 0.0, 0.0
        for _ in range(60):
            xp = _log_likelihood(x + step, y, weights, depths[i], medium, pair[i], work, norm)
            xm = _log_likelihood(x - step, y, weights, depths[i], medium, pair[i], work, norm)
            yp = _log_likelihood(x, y + step, weights, depths[i], medium, pair[i], work, norm)
            ym = _log_likelihood(x, y - step, weights, depths[i], medium, pair[i], work, norm)
            pp = _log_likelihood(x + step, y + step, weights, depths[i], medium, pair[i], work, norm)
            mm = _log_likelihood(x - step, y - step, weights, depths[i], medium, pair[i], work, norm)
            g0, g1 = (xp - xm) / (2 * step), (yp - ym) / (2 * step)
            h00, h11 = (xp - 2 * centre + xm) / step**2, (yp - 2 * centre + ym) / step**2
            h01 = (pp + mm - xp - xm - yp - ym + 2 * centre) / (2 * step**2)
            # Posterior: minus quadratic form of the prior.
            d0, d1 = x - m0, y - m1
            q0, q1 = g0 - p00 * d0 - p01 * d1, g1 - p01 * d0 - p11 * d1
            a00, a11, a01 = p00 - h00, p11 - h11, p01 - h01
            now = centre - 0.5 * (p00 * d0 * d0 + p11 * d1 * d1 + 2 * p01 * d0 * d1)
            moved = False
            change = 0.0
            for _ in range(12):
                b00, b11 = a00 + damping * (abs(a00) + 1.0), a11 + damping * (abs(a11) + 1.0)
                det = b00 * b11 - a01 * a01
                if det <= 0.0 or b00 <= 0.0:
                    damping = max(10.0 * damping, 1e-2)
                    continue
                s0, s1 = (b11 * q0 - a01 * q1) / det, (b00 * q1 - a01 * q0) / det
                length = max(abs(s0), abs(s1))
                if length > 0.5:
                    s0, s1 = 0.5 * s0 / length, 0.5 * s1 / length
                nx, ny = x + s0, max(y + s1, MIN_LN_ALPHA)
                e0, e1 = nx - m0, ny - m1
                value = _log_likelihood(nx, ny, weights, depths[i], medium, pair[i], work, norm)
                then = value - 0.5 * (p00 * e0 * e0 + p11 * e1 * e1 + 2 * p01 * e0 * e1)
                if then >= now:
                    change = abs(nx - x) + abs(ny - y)
                    x, y, centre = nx, ny, value
                    damping *= 0.1
                    moved = True
                    break
                damping *= 10.0
            if not moved or change < 1e-5:
                break
        theta[i, 0], theta[i, 1] = x, y
        expansion[i, 0], expansion[i, 1] = g0, g1
        expansion[i, 2], expansion[i, 3], expansion[i, 4] = h00, h11, h01


@parallel_kernel
def _moments(
    cells: Any, depths: Any, medium: Any, n_media: Any, pair: Any, n_eff: Any, prior: Any, theta: Any,
    expansion: Any, nodes: Any, ln_weights: Any, out: Any,
) -> None:  # fmt: skip
    """Out (n, 5): mean minus theta, and covariance (tt, aa, ta), of the posterior by quadrature about theta."""
    for i in prange(len(theta)):
        n_cells = cells.shape[1]
        work, norm, weights = np.empty(n_cells), np.empty(n_media), np.empty(n_cells)
        values = np.empty(len(nodes))
        visible = 0.0
        for k in range(n_cells):
            visible += cells[i, k]
        for k in range(n_cells):
            weights[k] = cells[i, k] / visible * n_eff[i] if visible > 0.0 else 0.0
        x, y = theta[i, 0], theta[i, 1]
        m0, m1, p00, p11, p01 = prior[i, 0], prior[i, 1], prior[i, 2], prior[i, 3], prior[i, 4]
        a00, a11, a01 = p00 - expansion[i, 2], p11 - expansion[i, 3], p01 - expansion[i, 4]
        l00, l10, l11 = spread1(a00, a11, a01)
        peak = _log_likelihood(x, y, weights, depths[i], medium, pair[i], work, norm)
        d0, d1 = x - m0, y - m1
        peak -= 0.5 * (p00 * d0 * d0 + p11 * d1 * d1 + 2.0 * p01 * d0 * d1)
        for j in range(len(nodes)):
            u, v = l00 * nodes[j, 0], l10 * nodes[j, 0] + l11 * nodes[j, 1]
            if y + v < MIN_LN_ALPHA:
                values[j] = -math.inf
                continue
            value = _log_likelihood(x + u, y + v, weights, depths[i], medium, pair[i], work, norm)
            e0, e1 = d0 + u, d1 + v
            values[j] = value - 0.5 * (p00 * e0 * e0 + p11 * e1 * e1 + 2.0 * p01 * e0 * e1) - peak
        moments1(values, nodes, ln_weights, l00, l10, l11, out[i])


@kernel
def _residuals(
    cells: Any, depths: Any, medium: Any, n_media: Any, pair: Any, theta: Any, smallest: Any, out: Any
) -> None:
    """Out (n, 2): chi2 for one deposit, and the number of joined cells minus one, summed over media.

    Neighbouring cells are joined to an expectation of at least `smallest`, what is left over at the end with the last.
    """
    for i in range(len(theta)):
        n_cells = cells.shape[1]
        work, norm, held = np.empty(n_cells), np.zeros(n_media), np.zeros(n_media)
        _fractions(math.exp(theta[i, 0]), math.exp(theta[i, 1]), depths[i], pair[i], work)
        visible = 0.0
        for k in range(n_cells):
            norm[medium[k]] += work[k]
            held[medium[k]] += cells[i, k]
            visible += cells[i, k]
        for m in range(n_media):
            if held[m] <= 0.0 or norm[m] <= 0.0:
                continue
            share = held[m] / visible
            expected, found, last_expected, last_found, joined = 0.0, 0.0, 0.0, 0.0, 0
            for k in range(n_cells):
                if medium[k] != m:
                    continue
                expected += work[k] / norm[m] * share
                found += cells[i, k] / visible
                if expected >= smallest:
                    if joined > 0:
                        out[i, 0] += (last_found - last_expected) ** 2 / last_expected
                    last_expected, last_found, expected, found = expected, found, 0.0, 0.0
                    joined += 1
            if joined > 0:
                last_expected, last_found = last_expected + expected, last_found + found
                out[i, 0] += (last_found - last_expected) ** 2 / last_expected
                out[i, 1] += joined - 1


@parallel_kernel
def _all_fractions(ln_t: Any, ln_alpha: Any, depths: Any, pair: Any, out: Any) -> None:
    for i in prange(len(ln_t)):
        _fractions(math.exp(ln_t[i]), math.exp(ln_alpha[i]), depths[i], pair[i], out[i])


def gamma_fractions(ln_t: Floats, ln_alpha: Floats, depths: Floats) -> Floats:
    """Share of each shower's gamma profile in its depth cells, shape (n, C); 0 for cells of zero width."""
    out = np.empty(depths.shape[:2])
    # Contiguous: another layout would be compiled for itself.
    ln_t, ln_alpha, depths = (np.ascontiguousarray(x) for x in (ln_t, ln_alpha, depths))
    _all_fractions(ln_t, ln_alpha, depths, np.zeros(len(ln_t)), out)
    return out


def posteriors(profiles: Profiles, n_eff: Floats, prior: Floats, theta: Floats) -> Floats:
    """Move `theta` to each shower's posterior maximum, and describe its ln L there by a parabola.

    Parameters
    ----------
    profiles : Profiles
        Of n showers with visible energy.
    n_eff : float64 array (n,)
        Deposits that each shower's visible energy counts as.
    prior : float64 array (n, 5)
        Mean ln T, mean ln alpha, and the inverse covariance (tt, aa, ta).
    theta : float64 array (n, 2)
        Where to start; changed in place.

    Returns
    -------
    float64 array (n, 5)
        Gradient and Hessian (tt, aa, ta) at theta of the parabola in place of ln L that gives the posterior its mean
        and covariance. The Hessian has no positive eigenvalue: a flat direction says nothing, it does not repel.
    """
    n_media = int(profiles.medium.max()) + 1
    cells, depths, medium = profiles.cell_energy, profiles.depths, profiles.medium
    expansion, moments = np.empty((len(theta), 5)), np.empty((len(theta), 5))
    _maximise(cells, depths, medium, n_media, profiles.pairs, n_eff, prior, theta, expansion)
    at_maximum = np.column_stack([expansion[:, :2], _semidefinite(expansion[:, 2:])])
    _moments(
        cells,
        depths,
        medium,
        n_media,
        profiles.pairs,
        n_eff,
        prior,
        theta,
        at_maximum,
        _NODES,
        _LN_WEIGHTS,
        moments,
    )
    precision = np.linalg.inv(_matrices(moments[:, 2:5]))
    own = _matrices(prior[:, 2:])
    hessian = _semidefinite(_triples(own - precision))
    total = own - _matrices(hessian)
    gradient = np.einsum("nij,nj->ni", total, moments[:, :2]) + np.einsum("nij,nj->ni", own, theta - prior[:, :2])
    return np.column_stack([gradient, hessian])


def posterior_nodes(theta: Floats, parabola: Floats, prior: Floats) -> Floats:
    """Return (ln T, ln alpha) of weights `NODE_WEIGHTS` that have each posterior's mean and its spread in ln T.

    ln alpha is the posterior's mean at each ln T.

    Parameters
    ----------
    theta, parabola, prior : float64 arrays (n, 2), (n, 5), (n, 5)
        As in `posteriors`.

    Returns
    -------
    float64 array (n, K, 2)
    """
    own = _matrices(prior[:, 2:])
    covariance = np.linalg.inv(own - _matrices(parabola[:, 2:]))
    slope = parabola[:, :2] - np.einsum("nij,nj->ni", own, theta - prior[:, :2])
    mean = theta + np.einsum("nij,nj->ni", covariance, slope)
    along = covariance[:, 0] / np.sqrt(covariance[:, [0], 0])
    nodes: Floats = mean[:, None] + _NODE_PLACES[:, None] * along[:, None]
    nodes[..., 1] = np.maximum(nodes[..., 1], MIN_LN_ALPHA)
    return nodes


def deposits(profiles: Profiles, theta: Floats, parabola: Floats, prior: Floats) -> tuple[Floats, Floats]:
    """Scatter of the cells of each shower around its gamma profile: chi2 for one deposit and its degrees of freedom.

    N_eff deposits have the mean chi2 = degrees of freedom / N_eff. Fitting (ln T, ln alpha) takes two of them from a
    shower that determines both, and none from one that follows the prior: trace of (prior + H)^-1 H.

    Parameters
    ----------
    profiles : Profiles
    theta, parabola, prior : float64 arrays (n, 2), (n, 5), (n, 5)
        As in `posteriors`.

    Returns
    -------
    chi2, freedom : float64 arrays (n,)
    """
    out = np.zeros((len(theta), 2))
    n_media = int(profiles.medium.max()) + 1
    _residuals(
        profiles.cell_energy,
        profiles.depths,
        profiles.medium,
        n_media,
        profiles.pairs,
        theta,
        SMALLEST_SHARE,
        out,
    )
    own, known = _matrices(prior[:, 2:]), -_matrices(parabola[:, 2:])
    taken = np.trace(np.linalg.solve(own + known, known), axis1=1, axis2=2)
    return out[:, 0], out[:, 1] - taken


def _matrices(triples: Floats) -> Floats:
    """Symmetric matrices (n, 2, 2) from (tt, aa, ta)."""
    return np.stack([triples[:, [0, 2]], triples[:, [2, 1]]], axis=1)


def _triples(matrices: Floats) -> Floats:
    return np.column_stack([matrices[:, 0, 0], matrices[:, 1, 1], matrices[:, 0, 1]])


def _semidefinite(hessian: Floats) -> Floats:
    """(tt, aa, ta) of the Hessians without their positive eigenvalues."""
    w, v = np.linalg.eigh(_matrices(hessian))
    return _triples(np.einsum("nij,nj,nkj->nik", v, np.minimum(w, 0.0), v))
