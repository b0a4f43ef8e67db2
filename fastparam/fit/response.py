"""Response component: the distribution of the visible energy of a shower.

The ratio x = E_visible / E is modelled through y = ln x, or y = ln(1 + d - x) where nearly all energy is visible and
what fluctuates is the leakage 1 - x; whichever gives the larger cross-validated likelihood. The offset d, a fraction of
the median leakage chosen in the same way, lets showers without leakage in. y follows a sinh-arcsinh distribution
(Jones & Pewsey, Biometrika 96 (2009) 761),

    y = location + scale sinh((asinh(z) + skewness) / tail),   z standard normal,

with location, ln scale, skewness and ln tail polynomials in u = ln(E / GeV). Their orders are chosen by
cross-validation too. Showers without any visible energy have a probability of their own, logistic in u.

Mean response and resolution follow from the law by quadrature; `resolution` describes the width as a / sqrt(E) + b in
quadrature, the way calorimeters are quoted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from iminuit import Minuit
from iminuit.cost import LeastSquares

from fastparam.errors import FitError
from fastparam.fit.fit import Fit, from_minuit, minimise
from fastparam.summary.points import EnergyPoints, energy_points

__all__ = ["fit", "moments", "quantile", "resolution", "zero_probability"]

Floats = npt.NDArray[np.float64]

#: Orders in u of (location, ln scale, skewness, ln tail), from stiff to flexible.
ORDERS = ((1, 1, 0, -1), (2, 1, 0, -1), (2, 1, 0, 0), (2, 1, 1, 0), (2, 2, 1, 0), (3, 2, 1, 1))

#: Offsets of the leakage that are tried, in units of its median.
_OFFSETS = (0.1, 0.3, 1.0)

_FOLDS = 4
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(96)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def fit(energy: Floats, visible: Floats, *, start: Fit | None = None) -> Fit:
    """Fit the response of n showers of kinetic energies `energy` and visible energies `visible`, MeV, shapes (n,).

    The minimiser begins with the earlier fit `start` where that has the same form.

    Returns
    -------
    Fit
        Coefficients, constant first, named ``location0, location1, ...``, ``ln_scale0``, ``skewness0``, ``ln_tail0``.
        Settings: "orders" in u (-1 for a parameter fixed at 0), "offset" d of the leakage (None for y = ln x), and
        "zero", intercept and slope of the logit of the probability of no visible energy (empty if none was seen).
        chi2 compares mean responses of the energy points with the law.

    Raises
    ------
    FitError
        If fewer than 20 showers have visible energy.
    """
    seen = visible > 0
    if seen.sum() < 20:
        raise FitError(f"response: {int(seen.sum())} showers with visible energy; at least 20 are needed")
    u, x = np.log(energy[seen] / 1000.0), visible[seen] / energy[seen]
    points = energy_points(energy[seen])
    n_points = len(points) if not points.continuous else len(points) + len(ORDERS)
    offset, orders = _choose(u, x, n_points)
    y, _ = _forward(x, offset)
    minuit = _maximise(u, y, orders, start)
    minimise(minuit)
    settings = {"offset": offset, "orders": list(orders), "zero": _fit_zeros(np.log(energy / 1000.0), seen)}
    provisional = from_minuit(minuit, energy=energy, settings=settings)
    chi2, ndf, diagnostics = _against_points(provisional, energy[seen], x, points)
    return from_minuit(minuit, energy=energy, chi2=chi2, ndf=ndf, settings=settings, points=diagnostics)


def quantile(response: Fit, u: Floats, z: Floats) -> Floats:
    """Visible ratio x at u = ln(E / GeV) and standard normal number z (arrays broadcast); showers with energy only."""
    location, scale, skewness, tail = _evaluate(response.values, u, response.settings["orders"])
    y = location + scale * np.sinh((np.arcsinh(z) + skewness) / tail)
    offset = response.settings["offset"]
    if offset is None:
        ratio: Floats = np.exp(y)
    else:
        ratio = np.clip(1.0 + offset - np.exp(np.minimum(y, 0.0)), 0.0, 1.0)
    return ratio


def zero_probability(response: Fit, u: Floats) -> Floats:
    """Probability that a shower leaves no visible energy."""
    zero = response.settings["zero"]
    if not zero:
        return np.zeros_like(u)
    probability: Floats = 1.0 / (1.0 + np.exp(-(zero[0] + zero[1] * u)))
    return probability


def moments(response: Fit, u: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of the visible ratio at u = ln(E / GeV), each (n,); empty showers included."""
    x = quantile(response, u[:, None], _NODES[None, :])
    seen = 1.0 - zero_probability(response, u)
    mean, square = seen * (x @ _WEIGHTS), seen * (x**2 @ _WEIGHTS)
    return mean, np.sqrt(np.maximum(square - mean**2, 0.0))


def resolution(energy: Floats, visible: Floats) -> Fit:
    """Fit sigma / mean = a / sqrt(E / GeV) (+) b to the central 68 % widths of the energy points.

    Returns a Fit with parameters a (sqrt(GeV)) and b, both at least 0.
    """
    points = energy_points(energy)
    e, width, error = [], [], []
    rng = np.random.default_rng(0)
    for p in range(len(points)):
        own = visible[points.point == p] / energy[points.point == p]
        own = own[own > 0]
        if len(own) < 20:
            continue
        draws = own[rng.integers(0, len(own), (200, len(own)))]
        q = np.quantile(draws, [0.1587, 0.8413], axis=1)
        w = np.quantile(own, 0.8413) - np.quantile(own, 0.1587)
        e.append(points.energy[p] / 1000.0)
        width.append(0.5 * w / own.mean())
        error.append(max(float(0.5 * (q[1] - q[0]).std() / own.mean()), 1e-9))
    if not e:
        raise FitError("resolution: no energy point has 20 showers with visible energy")

    def law(x: Floats, a: float, b: float) -> Floats:
        return np.sqrt(a**2 / x + b**2)

    cost = LeastSquares(np.array(e), np.array(width), np.array(error), law)
    minuit = Minuit(cost, a=width[0] * np.sqrt(e[0]), b=0.3 * min(width))
    minuit.limits = [(0, None), (0, None)]
    if len(e) < 2:
        minuit.values["b"], minuit.fixed["b"] = 0.0, True
    minimise(minuit)
    return from_minuit(
        minuit,
        energy=energy,
        chi2=float(minuit.fval),
        ndf=max(len(e) - int(minuit.nfit), 0),
        points={"energy": 1000.0 * np.array(e), "width": np.array(width), "width_error": np.array(error)},
    )


def _choose(u: Floats, x: Floats, n_points: int) -> tuple[float | None, tuple[int, ...]]:
    """Offset and orders with the best cross-validated likelihood of x; a richer law must gain a unit of ln L."""
    offsets: list[float | None] = [None]
    leakage = float(np.median(1.0 - x))
    if 0.0 < leakage < 0.5:
        offsets += [f * leakage for f in _OFFSETS if 1.0 - x.max() + f * leakage > 0]
    # Neighbours in energy go to different folds, in whatever order the energies come.
    fold = np.empty(len(u), dtype=np.int64)
    fold[np.argsort(u, kind="stable")] = np.arange(len(u)) % _FOLDS
    # A polynomial through n energies has an order of n - 1 at most.
    candidates = list(dict.fromkeys(tuple(min(order, n_points - 1) for order in orders) for orders in ORDERS))
    best: tuple[float, float | None, tuple[int, ...]] = (-np.inf, None, candidates[0])
    for offset in offsets:
        y, ln_jacobian = _forward(x, offset)
        previous = None
        for orders in candidates:
            previous = _maximise(u, y, orders, previous)
            score = float(ln_jacobian.sum())
            for k in range(_FOLDS):
                inner = _maximise(u[fold != k], y[fold != k], orders, previous)
                score += float(_log_density(inner.values, u[fold == k], y[fold == k], orders).sum())
            if score > best[0] + 1.0:
                best = (score, offset, orders)
    return best[1], best[2]


def _forward(x: Floats, offset: float | None) -> tuple[Floats, Floats]:
    """Return the transformed ratio y, and ln |dy/dx|."""
    y = np.log(x) if offset is None else np.log(1.0 + offset - x)
    return y, -y


def _evaluate(values: Any, u: Floats, orders: Sequence[int]) -> tuple[Floats, Floats, Floats, Floats]:
    out, first = [], 0
    for order in orders:
        coefficients = np.asarray(values[first : first + order + 1])
        first += order + 1
        out.append(np.polynomial.polynomial.polyval(u, coefficients) if len(coefficients) else np.zeros_like(u))
    location, ln_scale, skewness, ln_tail = out
    # Bounds far from any shower keep the minimiser's excursions finite.
    return location, np.exp(np.clip(ln_scale, -30.0, 30.0)), skewness, np.exp(np.clip(ln_tail, -5.0, 5.0))


def _log_density(values: Any, u: Floats, y: Floats, orders: Sequence[int]) -> Floats:
    location, scale, skewness, tail = _evaluate(values, u, orders)
    w = np.clip((y - location) / scale, -1e100, 1e100)
    a = np.clip(tail * np.arcsinh(w) - skewness, -30.0, 30.0)
    normal = 0.5 * np.sinh(a) ** 2 + 0.5 * np.log(2 * np.pi)
    density: Floats = np.log(tail * np.cosh(a) / scale) - 0.5 * np.log1p(w**2) - normal
    return density


def _gradient(values: Any, u: Floats, y: Floats, orders: Sequence[int]) -> Floats:
    """Return the derivatives of the summed log density by all coefficients."""
    location, scale, skewness, tail = _evaluate(values, u, orders)
    w = np.clip((y - location) / scale, -1e100, 1e100)
    stretched = tail * np.arcsinh(w)
    a = np.clip(stretched - skewness, -30.0, 30.0)
    by_a = np.tanh(a) - np.sinh(a) * np.cosh(a)
    root = np.hypot(1.0, w)
    by_w = by_a * tail / root - w / root**2
    slopes = (-by_w / scale, -1.0 - w * by_w, -by_a, 1.0 + by_a * stretched)
    return np.array(
        [slope @ u**j for slope, order in zip(slopes, orders, strict=True) for j in range(order + 1)], dtype=np.float64
    )


def _maximise(u: Floats, y: Floats, orders: Sequence[int], previous: Fit | Minuit | None) -> Minuit:
    names = [
        f"{what}{j}"
        for what, order in zip(("location", "ln_scale", "skewness", "ln_tail"), orders, strict=True)
        for j in range(order + 1)
    ]
    line = np.polynomial.polynomial.polyfit(u, y, orders[0])
    spread = y - np.polynomial.polynomial.polyval(u, line)
    start = {f"location{j}": float(c) for j, c in enumerate(line)} | {
        "ln_scale0": float(np.log(max(0.5 * np.diff(np.quantile(spread, [0.16, 0.84]))[0], 1e-9)))
    }
    if previous is not None:
        known = previous.names if isinstance(previous, Fit) else previous.parameters
        start |= {name: float(value) for name, value in zip(known, previous.values, strict=True) if name in names}

    def cost(values: Floats) -> float:
        return -2.0 * float(_log_density(values, u, y, orders).sum())

    def gradient(values: Floats) -> Floats:
        return -2.0 * _gradient(values, u, y, orders)

    minuit = Minuit(cost, [start.get(name, 0.0) for name in names], grad=gradient, name=names)
    minuit.errordef = Minuit.LEAST_SQUARES
    minuit.errors = [0.02] * len(names)
    minuit.migrad(ncall=10_000)
    return minuit


def _fit_zeros(u: Floats, seen: npt.NDArray[np.bool_]) -> list[float]:
    """Logistic law of the probability of no visible energy: intercept and slope, or nothing if none was seen."""
    if seen.all():
        return []
    empty = ~seen

    def cost(a: float, b: float) -> float:
        t = a + b * u
        return float(2.0 * (np.logaddexp(0.0, t) - empty * t).sum() + 1e-3 * b**2)

    share = empty.mean()
    minuit = Minuit(cost, a=float(np.log(share / (1 - share))), b=0.0)
    minuit.errordef = Minuit.LEAST_SQUARES
    if np.ptp(u) < 0.05:
        minuit.fixed["b"] = True
    minuit.migrad()
    return [float(v) for v in minuit.values]


def _against_points(
    response: Fit, energy: Floats, x: Floats, points: EnergyPoints
) -> tuple[float, int, dict[str, Floats]]:
    """chi2 of the means and of the spreads of the energy points, and both as diagnostics."""
    keys = ("energy", "mean", "mean_error", "rms", "rms_error", "law_mean", "law_rms")
    rows = []
    for p in range(len(points)):
        own = points.point == p
        n = int(own.sum())
        if n < 10:
            continue
        law_mean, law_rms = (float(q.mean()) for q in moments(response, np.log(energy[own] / 1000.0)))
        sample = x[own]
        m, s = sample.mean(), sample.std(ddof=1)
        kurtosis = ((sample - m) ** 4).mean() / s**4
        rows.append(
            (points.energy[p], m, s / np.sqrt(n), s, s * np.sqrt(max(kurtosis - 1, 0.1) / (4 * n)), law_mean, law_rms)
        )
    table = np.array(rows).T.reshape(len(keys), -1)
    d = dict(zip(keys, table, strict=True))
    chi2 = float((((d["mean"] - d["law_mean"]) / d["mean_error"]) ** 2).sum())
    return chi2, max(len(rows) - (response.settings["orders"][0] + 1), 0), d
