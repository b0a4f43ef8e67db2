"""Radial warp: what the two components of the radial law miss of the lateral profile of real showers.

Cascades have a halo that two components cannot describe together with the core: the radius that holds 90 % comes out up
to 19 % short at late ages, and the far tail too high. On the scale of the radial law's own cumulative profile u, the
energy lies with the density

    g(u) = exp(s(u; tau, E)) / integral of exp(s) over u

instead of 1. s is piecewise constant in bins of logit(u) = ln(u / (1 - u)), which resolves core and tail alike; its
values follow straight lines between nodes in logit(u) and in the age tau, and are polynomials in L = ln(E / 10 GeV),

    s = sum_ijm  b_ijm  hat_i(tau) hat_j(logit u) L^m.

Whatever the coefficients, g is positive, its distribution function grows, and nothing changes in total. The parameters
of the radial law stay what they are.

The likelihood is that of `fit.radial`: energies in (tau, r) cells are a multinomial whose number of deposits is
measured from the spread between showers. It is maximised by Fisher's scoring, less half the sum of squares of
b_ijm / w^m, which keeps coefficients finite where a node has no energy: a factor e is one standard deviation. How
freely the warp may change with the energy, w, is chosen by cross-validation over showers. The covariance comes from the
scores of single showers.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from fastparam.errors import FitError
from fastparam.fit import radial
from fastparam.fit.fit import Fit
from fastparam.fit.radial import RadialCells, RadialData

__all__ = [
    "TAU_NODES", "U_EDGES", "U_HATS", "U_NODE", "U_WEIGHT", "at_age", "coefficients", "evaluate", "fit", "predicted",
    "unwarped", "warped",
]  # fmt: skip

Floats = npt.NDArray[np.float64]

#: Ages between which s is linear; it is constant outside.
TAU_NODES = np.array([0.1, 0.4, 0.8, 1.2, 1.75, 2.5, 3.5])

_U_NODES = np.linspace(-4.2, 6.6, 19)
_MIDDLES = np.linspace(-4.65, 7.05, 40)

#: Edges in u of the bins in which s is constant, 0 and 1 included: two bins from node to node.
U_EDGES = np.concatenate([[0.0], 1.0 / (1.0 + np.exp(-0.5 * (_MIDDLES[1:] + _MIDDLES[:-1]))), [1.0]])

#: s in a bin lies between those of two neighbouring nodes: number of the first, and weight of the second.
U_NODE = np.clip(np.searchsorted(_U_NODES, _MIDDLES, side="right") - 1, 0, len(_U_NODES) - 2).astype(np.int64)
U_WEIGHT = np.clip((_MIDDLES - _U_NODES[U_NODE]) / np.diff(_U_NODES)[U_NODE], 0.0, 1.0)

#: The same as hat functions of the nodes at the middle of every bin, shape (bins, nodes).
U_HATS = np.array([np.interp(_MIDDLES, _U_NODES, row) for row in np.eye(len(_U_NODES))]).T

#: Highest power of L, and widths w per unit of L among which cross-validation chooses; 0: the same at all energies.
_DEGREE = 2
_WIDTHS = (0.0, 0.1, 0.3, 1.0)
_FOLDS = 2

#: Steps of Fisher's scoring at most, and the gain in ln L that ends them.
_MAX_STEPS, _SETTLED = 30, 1e-3


def fit(data: RadialData, law: Fit) -> Fit:
    """Fit the warp of a fitted radial law.

    Parameters
    ----------
    data : RadialData
    law : Fit
        Of `fit.radial`.

    Returns
    -------
    Fit
        Coefficients b_ijm, named ``b<i>_<j>_<m>``; chi2 as that of the radial law, which it compares with.
    """
    rows = radial.cells(data)
    degree, width = _choose(data, law, len(np.unique(np.round(rows.ln_e, 2))))
    model = _Model(rows, law, degree, width)
    values = model.maximise()
    described = model.predicted(values)[0]
    chi2, compared = radial.goodness(rows, described)
    before = radial.goodness(rows, model.predicted(np.zeros_like(values))[0])[0]
    covariance, freedom = model.covariance(values)
    return Fit(
        tuple(f"b{i}_{j}_{m}" for i in range(len(TAU_NODES)) for j in range(len(_U_NODES)) for m in range(degree + 1)),
        values,
        covariance,
        bool(np.isfinite(values).all()),
        True,
        (),
        chi2,
        max(round(compared - freedom), 0),
        (float(data.incident.min()), float(data.incident.max())),
        len(data.incident),
        settings={"degree": degree, "width": width, "chi2_without": before},
    )


def _choose(data: RadialData, law: Fit, n_energies: int) -> tuple[int, float]:
    """Order in L and width with the best cross-validated likelihood; 0 where there are too few showers to ask them."""
    degree = min(_DEGREE, n_energies - 1)
    if degree == 0:
        return 0, 0.0
    parts = []
    for k in range(_FOLDS):
        fold = np.arange(len(data.incident)) % _FOLDS == k
        try:
            parts.append((radial.cells(_taken(data, ~fold)), radial.cells(_taken(data, fold))))
        except FitError:
            return 0, 0.0
    scores = np.zeros(len(_WIDTHS))
    for train, judge in parts:
        values: Floats | None = None
        for k, width in enumerate(_WIDTHS):
            order = degree if width > 0 else 0
            if values is not None and len(values) < _n_parameters(order):
                values = _raised(values, order)
            values = _Model(train, law, order, width).maximise(values)
            scores[k] += _Model(judge, law, order).cost(values)
    best = int(np.argmin(scores))
    return (degree if _WIDTHS[best] > 0 else 0), _WIDTHS[best]


def _n_parameters(degree: int) -> int:
    return len(TAU_NODES) * len(_U_NODES) * (degree + 1)


def _raised(values: Floats, degree: int) -> Floats:
    """Coefficients of degree 0 with all orders in L up to `degree`, which are 0."""
    table = np.zeros((len(TAU_NODES), len(_U_NODES), degree + 1))
    table[:, :, 0] = _table(values, 0)[:, :, 0]
    return table.ravel()


def evaluate(warp: Fit, energy: Floats) -> Floats:
    """Return s at the nodes of age and logit(u) for kinetic energies in MeV (n,), shape (n, n_tau, n_u)."""
    degree = warp.settings["degree"]
    powers = np.vander(np.log(energy / 10_000.0), degree + 1, increasing=True)
    at_nodes: Floats = np.einsum("ijm,nm->nij", _table(warp.values, degree), powers)
    return at_nodes


def predicted(rows: RadialCells, law: Fit, warp: Fit) -> Floats:
    """Return the fractions (m, n_r) that a warped law expects."""
    return _Model(rows, law, warp.settings["degree"]).predicted(warp.values)[0]


def coefficients(warp: Fit) -> Floats:
    """Polynomials in L of s at the nodes, constant first, shape (n_tau, n_u, 3)."""
    degree = warp.settings["degree"]
    table = np.zeros((len(TAU_NODES), len(_U_NODES), _DEGREE + 1))
    table[:, :, : degree + 1] = _table(warp.values, degree)
    return table


def at_age(nodes: Floats, tau: Floats) -> Floats:
    """Return s at the nodes of logit(u) and ages tau (k,), for nodes (..., n_tau, n_u); shape (..., k, n_u)."""
    hats = np.array([np.interp(tau, TAU_NODES, row) for row in np.eye(len(TAU_NODES))])
    between: Floats = np.einsum("...ij,ik->...kj", nodes, hats)
    return between


def warped(u: Floats, s: Floats) -> Floats:
    """Share of the energy that lies within the classical share u (..., k), for s (..., n_u) at the nodes."""
    within: Floats = np.einsum("...b,...kb->...k", _density(s), _overlaps(u))
    return within


def unwarped(v: float, s: Floats) -> Floats:
    """Classical share u within which the share v of the energy lies, for s (..., n_u) at the nodes; shape (...)."""
    shares = np.cumsum(_density(s), axis=-1)
    b = np.minimum((shares < v).sum(axis=-1), shares.shape[-1] - 1)
    above = np.take_along_axis(shares, b[..., None], -1)[..., 0]
    inside = np.take_along_axis(_density(s), b[..., None], -1)[..., 0]
    share: Floats = U_EDGES[b + 1] - np.clip((above - v) / inside, 0.0, 1.0) * np.diff(U_EDGES)[b]
    return share


def _density(s: Floats) -> Floats:
    """Energy in every bin of u for s at the nodes of logit(u), shapes (..., bins) and (..., n_u)."""
    g = np.diff(U_EDGES) * np.exp(s @ U_HATS.T)
    per_bin: Floats = g / g.sum(axis=-1, keepdims=True)
    return per_bin


def _overlaps(u: Floats) -> Floats:
    """Share of every bin that lies below u, shape (..., bins)."""
    below: Floats = np.clip((u[..., None] - U_EDGES[:-1]) / np.diff(U_EDGES), 0.0, 1.0)
    return below


def _table(values: Floats, degree: int) -> Floats:
    return values.reshape(len(TAU_NODES), len(_U_NODES), degree + 1)


def _taken(data: RadialData, showers: npt.NDArray[np.bool_]) -> RadialData:
    """Return the data of some showers; the others keep their place, without entries."""
    kept = showers[data.shower]
    return replace(
        data,
        **{name: getattr(data, name)[kept] for name in ("shower", "tau", "ring", "energy")},
        cell=None if data.cell is None else data.cell[kept],
    )


class _Model:
    """The likelihood of the rows of one sample."""

    def __init__(self, rows: RadialCells, law: Fit, degree: int, width: float = 1.0) -> None:
        self.rows, self.degree = rows, degree
        widths = radial.evaluate(law, rows.tau, rows.ln_e[:, None])
        # (rows, parts, rings, bins): what each bin of u gives to each ring.
        self.rings = np.diff(_overlaps(radial.cumulative(*widths, rows.r2)), axis=2)
        shares = radial.visible(rows, radial.front(law))
        if shares is not None:
            self.rings *= shares[..., None]
        self.seen = self.rings.sum(axis=2)
        hats = np.stack([np.interp(rows.tau, TAU_NODES, row) for row in np.eye(len(TAU_NODES))], axis=-1)
        powers = np.vander(rows.ln_e, degree + 1, increasing=True)
        self.hats, self.powers = hats, powers
        self.n_parameters = _n_parameters(degree)
        ln_precision = -2.0 * np.log(max(width, 1e-3)) * np.arange(degree + 1)
        self.precision = np.tile(np.exp(ln_precision), self.n_parameters // (degree + 1))

    def _fractions(self, values: Floats) -> tuple[Floats, Floats, Floats]:
        """Fractions (rows, rings), seen energy in every bin of u (rows, parts, bins), and weights (rows, parts)."""
        s = np.einsum("api,ijm,am->apj", self.hats, _table(values, self.degree), self.powers, optimize=True)
        g = _density(s)
        # What is seen of each part is normalised by itself: the row's energy is shared out as it was measured.
        visible = np.einsum("apk,apk->ap", self.seen, g)
        weight = self.rows.mixture / np.maximum(visible, 1e-12)
        fractions = np.einsum("ap,aprk,apk->ar", weight, self.rings, g, optimize=True)
        return np.maximum(fractions, 1e-12), g, weight

    def predicted(self, values: Floats) -> tuple[Floats, Floats]:
        """Fractions (rows, rings) and their derivatives (rows, rings, parameters)."""
        fractions, g, weight = self._fractions(values)
        mean = np.einsum("apk,apk,kj->apj", self.seen, g, U_HATS, optimize=True)
        mean /= np.maximum(np.einsum("apk,apk->ap", self.seen, g), 1e-12)[..., None]
        slope = np.matmul(self.rings, g[..., None] * (U_HATS - mean[:, :, None, :]))
        by_node = np.einsum("ap,api,aprj->arij", weight, self.hats, slope, optimize=True)
        derivative = by_node[..., None] * self.powers[:, None, None, None, :]
        return fractions, derivative.reshape(*fractions.shape, self.n_parameters)

    def cost(self, values: Floats) -> float:
        """Minus ln L."""
        return self._cost(self._fractions(values)[0])

    def _cost(self, fractions: Floats) -> float:
        # The likelihood of the data themselves is subtracted, which keeps the digits that matter.
        own = np.where(self.rows.fractions > 0, self.rows.fractions, fractions)
        return float((self.rows.n_eff[:, None] * self.rows.fractions * np.log(own / fractions)).sum())

    def maximise(self, start: Floats | None = None) -> Floats:
        """Coefficients at the maximum of ln L minus half the sum of their squares, in units of their widths."""
        values = np.zeros(self.n_parameters) if start is None else start
        fractions, derivative = self.predicted(values)
        cost = self._cost(fractions) + self._prior(values)
        for _ in range(_MAX_STEPS):
            gradient, fisher = self._expansion(fractions, derivative)
            step = np.linalg.solve(fisher + np.diag(self.precision), gradient - self.precision * values)
            for _ in range(12):
                tried = values + step
                fractions, derivative = self.predicted(tried)
                now = self._cost(fractions) + self._prior(tried)
                if now <= cost:
                    break
                step = 0.5 * step
            gain, cost, values = cost - now, now, tried
            if gain < _SETTLED:
                break
        return values

    def _prior(self, values: Floats) -> float:
        return 0.5 * float(self.precision @ values**2)

    def _expansion(self, fractions: Floats, derivative: Floats) -> tuple[Floats, Floats]:
        """Gradient of ln L and Fisher's information."""
        flat = derivative.reshape(-1, self.n_parameters)
        n = np.repeat(self.rows.n_eff, fractions.shape[1])
        f, seen = fractions.ravel(), self.rows.fractions.ravel()
        return flat.T @ (n * seen / f), (flat * (n / f)[:, None]).T @ flat

    def covariance(self, values: Floats) -> tuple[Floats, float]:
        """Covariance from the scores of single showers, and the number of parameters that the data determine."""
        fractions, derivative = self.predicted(values)
        fisher = self._expansion(fractions, derivative)[1]
        inverse = np.linalg.inv(fisher + np.diag(self.precision))
        rows = self.rows
        cell = (rows.row * fractions.shape[1] + rows.ring).astype(np.int64)
        n_showers = int(rows.shower.max()) + 1
        deposits = np.zeros((n_showers, fractions.size))
        np.add.at(deposits, (rows.shower, cell), rows.deposits)
        scores = (deposits / fractions.ravel()) @ derivative.reshape(-1, self.n_parameters)
        scores -= scores.mean(axis=0)
        return inverse @ (scores.T @ scores) @ inverse, float(np.trace(inverse @ fisher))
