"""Showers whose start is not known: what the depth cells say about it, and about the profile behind.

A shower begins at a depth s. Behind it lies a gamma profile of (ln T', ln alpha') and the ionisation of the first pair,
in front of it next to nothing: `haze`, the share of the shower's energy per X0 that comes back from it. Everything is
asked at a few depths per shower (`Nodes`), a Gauss-Legendre rule over the range that its cells allow: the normal law
of (ln T', ln alpha') behind a node is integrated over as in `fit.profiles`; the integral over s is the weighted sum.

The share of a cell is integrated numerically, so that the shape parameters enter by a power and an exponential at fixed
points, whose logarithms are taken once per node; score and information of (ln T', ln alpha') come with it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastparam._numba import kernel, parallel_kernel, prange
from fastparam.fit.profiles import MIN_LN_ALPHA, SMALLEST_SHARE, Profiles
from fastparam.shapes.posterior_moments import moments1, spread1

__all__ = ["LAST", "Nodes", "Views", "look"]

Floats = npt.NDArray[np.float64]

#: Deepest start that is looked for, X0: one photon in 10 000 converts behind it.
LAST = 12.0

#: Nodes of the first look, and of every other one.
_STEP = 0.5
_N_NODES = 12

#: Starts that are this much less likely (in ln L) than the best one are left out.
_UNLIKELY = 8.0

#: Points of a cell in which a profile starts or that is wider than `_WIDE` (X0), and of the others.
_MANY = np.array(np.polynomial.legendre.leggauss(5))
_FEW = np.array(np.polynomial.legendre.leggauss(2))
_WIDE = 1.05

_HERMITE, _HERMITE_WEIGHTS = np.polynomial.hermite_e.hermegauss(5)
_SHAPES = np.array([(a, b) for a in _HERMITE for b in _HERMITE])
_LN_SHAPES = np.log(np.outer(_HERMITE_WEIGHTS, _HERMITE_WEIGHTS).ravel()) + 0.5 * (_SHAPES**2).sum(axis=1)
_LN_TWO_PI = math.log(2.0 * math.pi)
_DIGAMMA_STEP = 1e-4
_NOTHING = 1e-300


@dataclass(frozen=True)
class Nodes:
    """Depths at which n showers are asked whether they start there.

    Attributes
    ----------
    depth : float64 array (n, K)
        In X0, ascending.
    ln_weight : float64 array (n, K)
        Logarithm of the weight of each in an integral over depth.
    """

    depth: Floats
    ln_weight: Floats

    @classmethod
    def first_look(cls, n: int) -> Nodes:
        """Return equal steps down to `LAST` for every shower."""
        depth = np.arange(0.5 * _STEP, LAST, _STEP)
        return cls(np.tile(depth, (n, 1)), np.full((n, len(depth)), math.log(_STEP)))

    def narrowed(self, ln_likely: Floats) -> Nodes:
        """Return a Gauss-Legendre rule over the range of likely nodes of each shower; `ln_likely` (n, K)."""
        likely = ln_likely > ln_likely.max(axis=1, keepdims=True) - _UNLIKELY
        k = np.arange(self.depth.shape[1])
        first, last = np.where(likely, k, k[-1]).min(axis=1), np.where(likely, k, 0).max(axis=1)
        rows = np.arange(len(self.depth))
        # A node says nothing about what lies between it and its neighbours.
        low = np.where(first > 0, self.depth[rows, np.maximum(first - 1, 0)], 0.0)
        high = np.where(last < k[-1], self.depth[rows, np.minimum(last + 1, k[-1])], LAST)
        x, w = np.polynomial.legendre.leggauss(_N_NODES)
        half = 0.5 * (high - low)[:, None]
        return Nodes(low[:, None] + half * (1.0 + x), np.log(half * w))


@dataclass(frozen=True)
class Views:
    """What the cells of n showers say at K nodes each.

    Attributes
    ----------
    theta : float64 array (n, K, 2)
        Most likely (ln T', ln alpha') behind each node.
    parabola : float64 array (n, K, 5)
        In place of ln L, as from `profiles.posteriors`.
    evidence : float64 array (n, K)
        ln of the integral of likelihood times prior over (ln T', ln alpha').
    chi2, freedom : float64 arrays (n, K)
        Scatter of the cells about the profile as from `profiles.deposits`.
    hazy, exposed : float64 arrays (n, K)
        Deposits that the haze explains, and those that it predicts.
    """

    theta: Floats
    parabola: Floats
    evidence: Floats
    chi2: Floats
    freedom: Floats
    hazy: Floats
    exposed: Floats


@kernel
def _points(start: Any, depths: Any, many: Any, few: Any, cell: Any, t: Any, ln_t: Any, weight: Any) -> int:
    """List the points at which a profile behind `start` is evaluated; returns their number."""
    n = 0
    for k in range(len(depths)):
        a, b = depths[k, 0] - start, depths[k, 1] - start
        if b <= 0.0 or depths[k, 1] <= depths[k, 0]:
            continue
        rule = few if a > 0.0 and b - a < _WIDE else many
        a = max(a, 0.0)
        half = 0.5 * (b - a)
        for j in range(rule.shape[1]):
            x = a + half * (1.0 + rule[0, j])
            cell[n], t[n], ln_t[n], weight[n] = k, x, math.log(x), half * rule[1, j]
            n += 1
    return n


@kernel
def _score(
    x: Any, y: Any, n: Any, cell: Any, t: Any, ln_t: Any, weight: Any, rest: Any, seen: Any, counts: Any, medium: Any,
    share: Any, slope: Any, norm: Any, out: Any,
) -> float:  # fmt: skip
    """Return ln L of (ln T', ln alpha') = (x, y); out: its gradient and expected information (tt, aa, ta)."""
    alpha = math.exp(y)
    top = math.exp(x)
    power = alpha - 1.0
    rate = power / top
    ln_rate = math.log(rate)
    constant = alpha * ln_rate - math.lgamma(alpha)
    digamma = (math.lgamma(alpha + _DIGAMMA_STEP) - math.lgamma(alpha - _DIGAMMA_STEP)) / (2.0 * _DIGAMMA_STEP)
    of_alpha = ln_rate - digamma + alpha / power
    for k in range(len(share)):
        share[k], slope[k, 0], slope[k, 1] = rest[k], 0.0, 0.0
    for j in range(n):
        f = weight[j] * math.exp(power * ln_t[j] - rate * t[j] + constant)
        k = cell[j]
        share[k] += f
        slope[k, 0] += f * (rate * t[j] - alpha)
        slope[k, 1] += f * alpha * (ln_t[j] - t[j] / top + of_alpha)
    for m in range(len(norm)):
        for j in range(4):
            norm[m, j] = 0.0
    for k in range(len(share)):
        share[k] = max(share[k], seen[k])
        norm[medium[k], 0] += share[k]
        norm[medium[k], 1] += slope[k, 0]
        norm[medium[k], 2] += slope[k, 1]
        norm[medium[k], 3] += counts[k]
    for j in range(5):
        out[j] = 0.0
    total = 0.0
    for k in range(len(share)):
        m = medium[k]
        if seen[k] <= 0.0 or norm[m, 3] <= 0.0:
            continue
        d0 = slope[k, 0] / share[k] - norm[m, 1] / norm[m, 0]
        d1 = slope[k, 1] / share[k] - norm[m, 2] / norm[m, 0]
        expected = norm[m, 3] * share[k] / norm[m, 0]
        out[2] += expected * d0 * d0
        out[3] += expected * d1 * d1
        out[4] += expected * d0 * d1
        if counts[k] > 0.0:
            total += counts[k] * math.log(share[k] / norm[m, 0])
            out[0] += counts[k] * d0
            out[1] += counts[k] * d1
    return total


@kernel
def _value(
    x: Any, y: Any, n: Any, cell: Any, t: Any, ln_t: Any, weight: Any, rest: Any, seen: Any, counts: Any, medium: Any,
    share: Any, norm: Any,
) -> float:  # fmt: skip
    """Return ln L alone."""
    alpha = math.exp(y)
    power = alpha - 1.0
    rate = power * math.exp(-x)
    constant = alpha * math.log(rate) - math.lgamma(alpha)
    for k in range(len(share)):
        share[k] = rest[k]
    for j in range(n):
        share[cell[j]] += weight[j] * math.exp(power * ln_t[j] - rate * t[j] + constant)
    for m in range(len(norm)):
        norm[m, 0] = norm[m, 3] = 0.0
    total = 0.0
    for k in range(len(share)):
        share[k] = max(share[k], seen[k])
        norm[medium[k], 0] += share[k]
        if counts[k] > 0.0:
            norm[medium[k], 3] += counts[k]
            total += counts[k] * math.log(share[k])
    for m in range(len(norm)):
        if norm[m, 3] > 0.0:
            total -= norm[m, 3] * math.log(norm[m, 0])
    return total


@kernel
def _residuals(share: Any, counts: Any, medium: Any, norm: Any, n_eff: Any, smallest: Any, out: Any) -> None:
    """Out: chi2 for one deposit, and the number of joined cells minus one, as in `profiles.deposits`."""
    out[0] = out[1] = 0.0
    for m in range(len(norm)):
        if norm[m, 3] <= 0.0 or norm[m, 0] <= 0.0:
            continue
        of_medium = norm[m, 3] / n_eff / norm[m, 0]
        expected, found, last_expected, last_found, joined = 0.0, 0.0, 0.0, 0.0, 0
        for k in range(len(share)):
            if medium[k] != m:
                continue
            expected += share[k] * of_medium
            found += counts[k] / n_eff
            if expected >= smallest:
                if joined > 0:
                    out[0] += (last_found - last_expected) ** 2 / last_expected
                last_expected, last_found, expected, found = expected, found, 0.0, 0.0
                joined += 1
        if joined > 0:
            last_expected, last_found = last_expected + expected, last_found + found
            out[0] += (last_found - last_expected) ** 2 / last_expected
            out[1] += joined - 1


@parallel_kernel
def _look(
    cells: Any, depths: Any, medium: Any, n_media: Any, haze: Any, pair: Any, n_eff: Any, prior: Any, starts: Any,
    ahead: Any, follow: Any, rules: Any, smallest: Any, theta: Any, parabola: Any, evidence: Any, scatter: Any,
) -> None:  # fmt: skip
    """See `look`; scatter (n, K, 4) holds chi2, freedom, hazy and exposed deposits."""
    many, few, shapes, ln_shapes = rules
    for i in prange(len(cells)):
        n_cells = cells.shape[1]
        most = n_cells * many.shape[1]
        cell = np.empty(most, dtype=np.int64)
        t, ln_t, weight = np.empty(most), np.empty(most), np.empty(most)
        counts, rest, in_front = np.empty(n_cells), np.empty(n_cells), np.empty(n_cells)
        share, seen, slope, norm = np.empty(n_cells), np.zeros(n_cells), np.empty((n_cells, 2)), np.empty((n_media, 4))
        g, residual, values, moments = np.empty(5), np.empty(2), np.empty(len(shapes)), np.empty(5)
        visible = 0.0
        for k in range(n_cells):
            visible += cells[i, k]
        for k in range(n_cells):
            # A cell that is seen at all holds more than nothing, however far the profile is.
            crossed = depths[i, k, 1] > depths[i, k, 0]
            seen[k] = _NOTHING if crossed else 0.0
            counts[k] = cells[i, k] / visible * n_eff[i] if crossed and visible > 0.0 else 0.0
        m0, m1, p00, p11, p01 = prior[i, 0], prior[i, 1], prior[i, 2], prior[i, 3], prior[i, 4]
        begun = False
        for node in range(starts.shape[1]):
            start = starts[i, node]
            before = 0.0
            for k in range(n_cells):
                a, b = depths[i, k, 0], depths[i, k, 1]
                in_front[k] = max(min(b, start) - a, 0.0) if b > a else 0.0
                rest[k] = haze * in_front[k]
                if b > a:
                    before += counts[k] * in_front[k] / (b - a)
                    if b > start:
                        rest[k] += pair[i] * (math.exp(-max(a - start, 0.0)) - math.exp(start - b))
            if before > ahead * n_eff[i]:
                evidence[i, node] = -np.inf
                if node > 0:
                    theta[i, node, 0], theta[i, node, 1] = theta[i, node - 1, 0], theta[i, node - 1, 1]
                    for j in range(5):
                        parabola[i, node, j] = parabola[i, node - 1, j]
                else:
                    for j in range(5):
                        parabola[i, node, j] = 0.0
                for j in range(4):
                    scatter[i, node, j] = 0.0
                continue
            n = _points(start, depths[i], many, few, cell, t, ln_t, weight)
            if follow and begun:
                x, y = theta[i, node - 1, 0], theta[i, node - 1, 1]
            else:
                x, y = theta[i, node, 0], theta[i, node, 1]
            begun = True
            damping = 0.0
            now = _score(x, y, n, cell, t, ln_t, weight, rest, seen, counts, medium, share, slope, norm, g)
            now -= 0.5 * (p00 * (x - m0) ** 2 + p11 * (y - m1) ** 2 + 2.0 * p01 * (x - m0) * (y - m1))
            for _ in range(40):
                q0, q1 = g[0] - p00 * (x - m0) - p01 * (y - m1), g[1] - p01 * (x - m0) - p11 * (y - m1)
                b00, b11 = (p00 + g[2]) * (1.0 + damping), (p11 + g[3]) * (1.0 + damping)
                b01 = p01 + g[4]
                det = b00 * b11 - b01 * b01
                s0, s1 = (b11 * q0 - b01 * q1) / det, (b00 * q1 - b01 * q0) / det
                length = max(abs(s0), abs(s1))
                if length > 0.5:
                    s0, s1 = 0.5 * s0 / length, 0.5 * s1 / length
                nx, ny = x + s0, max(y + s1, MIN_LN_ALPHA)
                then = _score(nx, ny, n, cell, t, ln_t, weight, rest, seen, counts, medium, share, slope, norm, g)
                then -= 0.5 * (p00 * (nx - m0) ** 2 + p11 * (ny - m1) ** 2 + 2.0 * p01 * (nx - m0) * (ny - m1))
                if then >= now - 1e-9:
                    change = abs(nx - x) + abs(ny - y)
                    x, y, now = nx, ny, then
                    damping = 0.1 * damping if damping > 1e-3 else 0.0
                    if change < 1e-4:
                        break
                else:
                    damping = max(10.0 * damping, 0.1)
                    _score(x, y, n, cell, t, ln_t, weight, rest, seen, counts, medium, share, slope, norm, g)
                    if damping > 1e6:
                        break
            theta[i, node, 0], theta[i, node, 1] = x, y
            _residuals(share, counts, medium, norm, n_eff[i], smallest, residual)
            scatter[i, node, 0], scatter[i, node, 1] = residual[0], residual[1]
            scatter[i, node, 2], scatter[i, node, 3] = 0.0, 0.0
            for k in range(n_cells):
                if in_front[k] > 0.0 and norm[medium[k], 3] > 0.0 and share[k] > 0.0:
                    scatter[i, node, 2] += counts[k] * haze * in_front[k] / share[k]
                    scatter[i, node, 3] += norm[medium[k], 3] * in_front[k] / norm[medium[k], 0]
            # Quadrature about the maximum, spread as information and prior say.
            a00, a11, a01 = p00 + g[2], p11 + g[3], p01 + g[4]
            l00, l10, l11 = spread1(a00, a11, a01)
            d0, d1 = x - m0, y - m1
            for j in range(len(shapes)):
                u, v = l00 * shapes[j, 0], l10 * shapes[j, 0] + l11 * shapes[j, 1]
                if y + v < MIN_LN_ALPHA:
                    values[j] = -math.inf
                    continue
                value = _value(x + u, y + v, n, cell, t, ln_t, weight, rest, seen, counts, medium, share, norm)
                e0, e1 = d0 + u, d1 + v
                values[j] = value - 0.5 * (p00 * e0 * e0 + p11 * e1 * e1 + 2.0 * p01 * e0 * e1) - now
            s = moments1(values, shapes, ln_shapes, l00, l10, l11, moments)
            u0, u1, v00, v11, v01 = moments[0], moments[1], moments[2], moments[3], moments[4]
            evidence[i, node] = now + math.log(s * l00 * l11) + 0.5 * math.log(p00 * p11 - p01 * p01) - _LN_TWO_PI
            # The parabola in place of ln L: precision of the posterior minus the prior's, gradient likewise.
            det = v00 * v11 - v01 * v01
            h00, h11, h01 = p00 - v11 / det, p11 - v00 / det, p01 + v01 / det
            if h00 > 0.0 or h11 > 0.0 or h00 * h11 < h01 * h01:
                # Without positive eigenvalues: a flat direction says nothing, it does not repel.
                middle, half = 0.5 * (h00 + h11), math.hypot(0.5 * (h00 - h11), h01)
                largest, smallest_ = middle + half, min(middle - half, 0.0)
                if largest > 0.0 and half > 0.0:
                    # Projector on the smallest eigenvalue.
                    f = smallest_ / (2.0 * half)
                    h00, h11, h01 = f * (half - 0.5 * (h00 - h11)), f * (half + 0.5 * (h00 - h11)), -f * h01
            parabola[i, node, 2], parabola[i, node, 3], parabola[i, node, 4] = h00, h11, h01
            parabola[i, node, 0] = (p00 - h00) * u0 + (p01 - h01) * u1 + p00 * d0 + p01 * d1
            parabola[i, node, 1] = (p01 - h01) * u0 + (p11 - h11) * u1 + p01 * d0 + p11 * d1
            # Fitting takes as many degrees of freedom from a shower as it determines: trace of (prior - H)^-1 (-H).
            b00, b11, b01 = p00 - h00, p11 - h11, p01 - h01
            scatter[i, node, 1] -= (-b11 * h00 - b00 * h11 + 2.0 * b01 * h01) / (b00 * b11 - b01 * b01)


def look(
    profiles: Profiles,
    pair: Floats,
    haze: float,
    n_eff: Floats,
    prior: Floats,
    nodes: Nodes,
    theta: Floats,
    *,
    ahead: float,
    follow: bool = False,
) -> Views:
    """Ask n showers about their start.

    Parameters
    ----------
    profiles : Profiles
        With depths from the front.
    pair : float64 array (n,)
        Energy of the first pair over the profile's.
    haze : float
        Share of a shower's energy per X0 in front of its start.
    n_eff : float64 array (n,)
        Deposits that each shower's visible energy counts as.
    prior : float64 array (n, 5)
        Mean ln T', mean ln alpha', and the inverse covariance (tt, aa, ta).
    nodes : Nodes
    theta : float64 array (n, K, 2)
        Where to begin; not changed.
    ahead : float
        A shower does not start where more than this share of its energy lies in front already.
    follow : bool
        Begin at each node where the one in front of it ended, instead of at `theta`.
    """
    n, k = nodes.depth.shape
    theta = theta.copy()
    parabola, evidence, scatter = np.empty((n, k, 5)), np.empty((n, k)), np.empty((n, k, 4))
    rules = (_MANY, _FEW, _SHAPES, _LN_SHAPES)
    _look(
        profiles.cell_energy, profiles.depths, profiles.medium, int(profiles.medium.max()) + 1, haze, pair, n_eff,
        prior, nodes.depth, ahead, follow, rules, SMALLEST_SHARE, theta, parabola, evidence, scatter,
    )  # fmt: skip
    return Views(theta, parabola, evidence, *(np.ascontiguousarray(scatter[..., j]) for j in range(4)))
