"""Laws of a population of (ln T, ln alpha): five quantities as functions of ln y, y = E / Ec.

Fitted are exp<ln T>, exp<ln alpha>, 1/sigma(ln T), 1/sigma(ln alpha) and rho, by their values at a few knots in ln y. A
natural cubic spline through two knots is a straight line, so that both kinds of law are one:

`linear`
    Knots at both ends of the tuned range; written as intercept and slope, the form of Grindhammer & Peters
    (hep-ex/0001020, A.1.2):  exp<ln T> = t0 + t1 ln y, and so on.
`spline`
    Three or four knots, evenly over the energy points; written as the values at the knots.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from fastparam.fit.fit import Fit
from fastparam.summary.points import EnergyPoints

__all__ = ["LAWS", "NAMES", "QUANTITIES", "PopulationLaw", "choose", "curvatures", "evaluate", "law_of"]

Floats = npt.NDArray[np.float64]
Kind = Literal["linear", "spline"]

LAWS: tuple[Kind, ...] = ("linear", "spline")

#: Parameters of the linear law.
NAMES = ("t0", "t1", "a0", "a1", "st0", "st1", "sa0", "sa1", "r0", "r1")

QUANTITIES = ("mean_ln_t", "mean_ln_alpha", "sigma_ln_t", "sigma_ln_alpha", "rho")

_STEMS = ("t", "a", "st", "sa", "r")

#: Values between and beyond the knots of a spline are kept in these limits, as the fit keeps those at the knots.
LIMITS = ((0.05, np.inf), (1.02, np.inf), (0.2, 200.0), (0.2, 200.0), (-0.98, 0.98))

#: Most knots of a spline, and the showers an energy point needs to count for one.
_MAX_KNOTS = 4
_MIN_SHOWERS = 30

#: A range in ln y narrower than this is one energy.
_ONE_POINT = 0.05


@dataclass(frozen=True)
class PopulationLaw:
    """A kind of law and its knots.

    Attributes
    ----------
    kind : str
        One of `LAWS`.
    knots : float64 array (K,)
        In ln y, ascending; one knot for a single energy.
    """

    kind: Kind
    knots: Floats

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters, quantity by quantity."""
        if self.kind == "linear":
            return NAMES
        return tuple(f"{stem}_at{k}" for stem in _STEMS for k in range(len(self.knots)))

    def basis(self, ln_y: Floats) -> Floats:
        """Contribution of the value at every knot, shape (n, K)."""
        return _spline(np.eye(len(self.knots)), self.knots, ln_y)

    def of_knots(self) -> Floats:
        """Matrix that turns the values at the knots, quantity by quantity, into the parameters."""
        n = len(self.knots)
        if self.kind == "spline":
            return np.eye(5 * n)
        line = np.array([[1.0], [0.0]])
        if n == 2:
            a, b = self.knots
            line = np.array([[b, -a], [-1.0, 1.0]]) / (b - a)
        return np.kron(np.eye(5), line)


def choose(kind: Kind, ln_y: Floats, points: EnergyPoints) -> PopulationLaw:
    """Place the knots for showers of the energy points `points`; a spline needs three points of 30 showers."""
    low, high = float(ln_y.min()), float(ln_y.max())
    if high - low <= _ONE_POINT:
        return PopulationLaw("linear", np.array([low]))
    middle = np.array([ln_y[points.point == p].mean() for p in np.flatnonzero(points.counts >= _MIN_SHOWERS)])
    n = min(_MAX_KNOTS, len(middle))
    if kind == "linear" or n < 3:
        return PopulationLaw("linear", np.array([low, high]))
    inner = np.quantile(middle, np.linspace(0.0, 1.0, n))[1:-1]
    return PopulationLaw("spline", np.concatenate([[low], inner, [high]]))


def law_of(fit: Fit) -> PopulationLaw:
    """Return the law that a fit follows."""
    if fit.settings.get("law", "linear") == "linear":
        return PopulationLaw("linear", np.empty(0))
    return PopulationLaw("spline", np.array(fit.settings["knots"]))


def evaluate(fit: Fit, ln_y: Floats) -> dict[str, Floats]:
    """Evaluate `QUANTITIES`, each of the shape of `ln_y`."""
    law = law_of(fit)
    values = fit.values[: len(law.names)]
    if law.kind == "linear":
        return quantities(np.stack([values[2 * j] + values[2 * j + 1] * ln_y for j in range(5)]))
    at_knots = values.reshape(5, -1)
    return quantities(np.stack([np.clip(_spline(v, law.knots, ln_y), *LIMITS[j]) for j, v in enumerate(at_knots)]))


def quantities(fitted: Floats) -> dict[str, Floats]:
    """From the five fitted quantities, along the first axis, to `QUANTITIES`."""
    t, alpha, inverse_t, inverse_alpha, rho = fitted
    return dict(zip(QUANTITIES, (np.log(t), np.log(alpha), 1.0 / inverse_t, 1.0 / inverse_alpha, rho), strict=True))


def curvatures(knots: Floats) -> Floats:
    """Matrix (K, K) from the values of a natural cubic spline at its knots to its second derivatives there."""
    n, h = len(knots), np.diff(knots)
    left, right = np.zeros((n, n)), np.zeros((n, n))
    left[0, 0] = left[-1, -1] = 1.0
    for k in range(1, n - 1):
        left[k, k - 1 : k + 2] = h[k - 1] / 6.0, (h[k - 1] + h[k]) / 3.0, h[k] / 6.0
        right[k, k - 1 : k + 2] = 1.0 / h[k - 1], -1.0 / h[k - 1] - 1.0 / h[k], 1.0 / h[k]
    return np.asarray(np.linalg.solve(left, right), dtype=np.float64)


def _spline(values: Floats, knots: Floats, x: Floats) -> Floats:
    """Natural cubic spline through `values` (K,), a straight line beyond the ends; shape of x.

    The unit matrix as `values` gives the basis, shape (*x.shape, K).
    """
    tail = (1,) * (values.ndim - 1)
    if len(knots) == 1:
        one: Floats = np.ones((*np.shape(x), *tail)) * values[0]
        return one
    bend = curvatures(knots) @ values
    k = np.clip(np.searchsorted(knots, x, side="right") - 1, 0, len(knots) - 2)
    h = knots[k + 1] - knots[k]
    u = (x - knots[k]) / h
    inside, before, behind = np.clip(u, 0.0, 1.0), np.minimum(u, 0.0), np.maximum(u - 1.0, 0.0)
    a = (1.0 - inside) ** 3 - (1.0 - inside) - 2.0 * before + behind
    b = inside**3 - inside - before + 2.0 * behind
    u, a, b, h = (np.reshape(q, (*np.shape(x), *tail)) for q in (u, a, b, h))
    curve: Floats = np.asarray((1.0 - u) * values[k] + u * values[k + 1] + h**2 / 6.0 * (a * bend[k] + b * bend[k + 1]))
    return curve
