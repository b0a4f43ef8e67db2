"""Start component of hadrons: how many shower at all, and where they start (`summary.shower_start`).

With u = ln(E / 10 GeV):

    logit P(no start)                  = none0 + none1 u [+ none2 u^2]
    logit P(start in the first layer)  = first0 + first1 u                 of those that start
    P(start in layer k), k > 0         = exp(-z_k / lambda) - exp(-z_(k+1) / lambda), normalised to the layers there are
    ln(lambda / mm)                    = lambda0 + lambda1 u

z_k is where the period of layer k begins, along the normal. The first layer has a probability of its own because albedo
and the fluctuations of the first interaction shift starts forward, and they pile up there; lambda is the length over
which starts fall off behind it, the nuclear interaction length as the rule for the start sees it. In detectors of few
layers (`summary.shower_start.COARSE`) only the first law is fitted.

Each law is one binomial or multinomial likelihood over all energies. `points` holds per energy the fraction without a
start, the mean start, the width of the visible energy of showers that started and its correlation with the start: late
showers leak and fluctuate more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from iminuit import Minuit

from fastparam.errors import FitError
from fastparam.fit.fit import Fit, from_minuit, minimise
from fastparam.summary.shower_start import COARSE, last_start, shower_start

if TYPE_CHECKING:
    from fastparam.geometry.detector import Geometry
    from fastparam.summary.points import EnergyPoints

__all__ = ["fit", "no_start_probability", "start_probabilities"]

Floats = npt.NDArray[np.float64]

#: Logits of probabilities stay inside: a fraction of 0 or 1 in every energy has no maximum otherwise.
_LOGIT = 12.0

#: Starts expected in a group of layers that counts in chi2.
_EXPECTED = 8.0


def fit(geometry: Geometry, energy: Floats, layer_energy: Floats, points: EnergyPoints) -> Fit:
    """Fit the start of the showers of one hadron.

    Parameters
    ----------
    geometry : Geometry
    energy : float64 array (n,)
        Kinetic energy in MeV.
    layer_energy : float64 array (n, L)
        Visible energy in MeV.
    points : EnergyPoints

    Returns
    -------
    Fit
        chi2 compares counts per energy point with the laws: without a start, and in groups of layers.

    Raises
    ------
    FitError
        If fewer than 30 showers start, in detectors of many layers.
    """
    start = shower_start(layer_energy, geometry)
    u = np.log(energy / 10_000.0)
    laws = [_no_start(u, start < 0, energy)]
    seen = start >= 0
    if geometry.n_layers >= COARSE:
        if seen.sum() < 30:
            raise FitError(f"start: {int(seen.sum())} of {len(start)} particles start a shower; at least 30 are needed")
        laws.append(_first_layer(u[seen], start[seen] == 0, energy[seen]))
        behind = start > 0
        laws.append(_length(geometry, u[behind], start[behind], energy[behind]))
    k = sum(len(law.names) for law in laws)
    covariance = np.zeros((k, k))
    at = 0
    for law in laws:
        block = slice(at, at + len(law.names))
        covariance[block, block] = law.covariance
        at += len(law.names)
    joined = Fit(
        tuple(n for law in laws for n in law.names),
        np.concatenate([law.values for law in laws]),
        covariance,
        all(law.valid for law in laws),
        all(law.accurate for law in laws),
        tuple(n for law in laws for n in law.at_limit),
        0.0,
        0,
        (float(energy.min()), float(energy.max())),
        len(energy),
        settings={
            "layers": geometry.n_layers,
            "last": last_start(geometry),
            "depth": [float(z) for z in _depths(geometry)] if geometry.n_layers >= COARSE else [],
        },
    )
    chi2, ndf = _against_counts(joined, start, energy, points)
    return Fit(
        **{
            **{name: getattr(joined, name) for name in joined.__dataclass_fields__},
            "chi2": chi2,
            "ndf": max(ndf - k, 0),
            "points": _diagnostics(joined, start, energy, layer_energy.sum(axis=1), points),
        }
    )


def no_start_probability(start: Fit, energy: Floats) -> Floats:
    """Probability that a hadron of kinetic energy `energy` (n,) in MeV starts no shower, shape (n,)."""
    u = np.log(energy / 10_000.0)
    order = sum(name.startswith("none") for name in start.names)
    return _logistic(_polyval(u, np.array([start[f"none{j}"] for j in range(order)])))


def start_probabilities(start: Fit, energy: Floats) -> Floats:
    """Probability to start in each layer for hadrons that start at all, shape (n, L); rows sum to 1.

    Only of detectors with layers enough (`settings["depth"]` is not empty).
    """
    u = np.log(energy / 10_000.0)
    first = _logistic(start["first0"] + start["first1"] * u)
    depth = np.array(start.settings["depth"])
    out = np.zeros((len(u), start.settings["layers"]))
    out[:, 0] = first
    behind = _steps(np.exp(start["lambda0"] + start["lambda1"] * u), depth)
    out[:, 1 : 1 + behind.shape[1]] = (1.0 - first)[:, None] * behind
    return out


def _polyval(u: Floats, coefficients: Floats) -> Floats:
    return np.asarray(np.polynomial.polynomial.polyval(u, coefficients), dtype=np.float64)


def _logistic(x: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(x, -_LOGIT, _LOGIT))))


def _depths(geometry: Geometry) -> Floats:
    """Where the periods of layers 1 .. last begin, and where the last one ends, in mm from the front of layer 0's."""
    last = last_start(geometry)
    edges = np.append(geometry.period_from[1 : last + 1], geometry.period_to[last])
    return np.asarray(edges - geometry.period_from[0])


def _steps(length: Floats, depth: Floats) -> Floats:
    """Shares of an exponential in the intervals of `depth`, normalised to all of them, shape (n, intervals)."""
    survival = np.exp(-(depth - depth[0]) / length[:, None])
    return np.asarray((survival[:, :-1] - survival[:, 1:]) / (1.0 - survival[:, -1:]))


def _polynomial(
    u: Floats,
    energy: Floats,
    name: str,
    order: int,
    ln_likelihood: Callable[[Floats], float],
    start: float,
    bound: float,
) -> Fit:
    """Maximise a likelihood over a polynomial in u."""
    names = [f"{name}{j}" for j in range(order + 1)]

    def cost(*p: float) -> float:
        return -2.0 * ln_likelihood(_polyval(u, np.array(p)))

    minuit = Minuit(cost, *[start, *[0.0] * order], name=names)
    minuit.errordef = Minuit.LEAST_SQUARES
    minuit.limits[names[0]] = (start - bound, start + bound)
    for other in names[1:]:
        minuit.limits[other] = (-bound, bound)
    minimise(minuit)
    return from_minuit(minuit, energy=energy)


def _binomial(u: Floats, yes: npt.NDArray[np.bool_], energy: Floats, name: str, order: int) -> tuple[Fit, float]:
    """Logistic regression; half a shower is added on either side, which keeps it finite where all are alike."""
    share = (yes.sum() + 0.5) / (len(yes) + 1.0)

    def ln_likelihood(x: Floats) -> float:
        p = _logistic(x)
        return float(np.log(np.where(yes, p, 1.0 - p)).sum() + 0.5 * np.log(p * (1.0 - p)).mean())

    fit_ = _polynomial(u, energy, name, order, ln_likelihood, float(np.log(share / (1.0 - share))), _LOGIT)
    return fit_, ln_likelihood(_polyval(u, fit_.values))


def _no_start(u: Floats, none: npt.NDArray[np.bool_], energy: Floats) -> Fit:
    highest = 2 if np.ptp(u) > 1.0 else 0
    best, best_criterion = None, np.inf
    for order in range(highest + 1):
        law, likelihood = _binomial(u, none, energy, "none", order)
        criterion = -2.0 * likelihood + (order + 1) * np.log(len(u))
        if law.valid and criterion < best_criterion:
            best, best_criterion = law, criterion
    return best if best is not None else _binomial(u, none, energy, "none", 0)[0]


def _first_layer(u: Floats, first: npt.NDArray[np.bool_], energy: Floats) -> Fit:
    return _binomial(u, first, energy, "first", 1)[0]


def _length(geometry: Geometry, u: Floats, start: npt.NDArray[np.int64], energy: Floats) -> Fit:
    depth = _depths(geometry)
    slot = np.minimum(start - 1, len(depth) - 2)

    def ln_likelihood(ln_length: Floats) -> float:
        shares = _steps(np.exp(np.clip(ln_length, 0.0, 12.0)), depth)
        return float(np.log(np.maximum(shares[np.arange(len(slot)), slot], 1e-300)).sum())

    mean = float((0.5 * (depth[:-1] + depth[1:])[slot] - depth[0]).mean()) if len(slot) else float(np.ptp(depth))
    return _polynomial(u, energy, "lambda", 1, ln_likelihood, float(np.log(max(mean, 1.0))), 4.0)


def _against_counts(law: Fit, start: npt.NDArray[np.int64], energy: Floats, points: EnergyPoints) -> tuple[float, int]:
    """Pearson's chi2 of counts without a start and in groups of layers, energy by energy, and the number of counts."""
    chi2, n = 0.0, 0
    none = no_start_probability(law, energy)
    layers = start_probabilities(law, energy) if law.settings["depth"] else np.ones((len(energy), 1))
    for p in range(len(points)):
        own = points.point == p
        expected = np.concatenate([[none[own].sum()], ((1.0 - none)[own, None] * layers[own]).sum(axis=0)])
        counts = np.bincount(
            np.where(start[own] < 0, 0, 1 + start[own] * (layers.shape[1] > 1)), minlength=len(expected)
        ).astype(np.float64)
        groups = _grouped(expected)
        seen, wanted = np.bincount(groups, weights=counts), np.bincount(groups, weights=expected)
        chi2 += float(((seen - wanted) ** 2 / np.maximum(wanted, 1e-9)).sum())
        n += len(wanted) - 1
    return chi2, n


def _grouped(expected: Floats) -> npt.NDArray[np.int64]:
    """Neighbours joined until each group expects enough."""
    groups, group, held = np.zeros(len(expected), dtype=np.int64), 0, 0.0
    for k, e in enumerate(expected):
        groups[k] = group
        held += e
        if held >= _EXPECTED and expected[k + 1 :].sum() >= _EXPECTED:
            group, held = group + 1, 0.0
    return groups


def _diagnostics(
    law: Fit, start: npt.NDArray[np.int64], energy: Floats, visible: Floats, points: EnergyPoints
) -> dict[str, Floats]:
    columns: dict[str, list[float]] = {
        name: []
        for name in (
            "energy", "no_start", "no_start_error", "no_start_law", "mean_start", "mean_start_error", "width",
            "width_error", "correlation", "correlation_error",
        )
    }  # fmt: skip
    for p in range(len(points)):
        own = points.point == p
        n, none = int(own.sum()), int((start[own] < 0).sum())
        share = (none + 0.5) / (n + 1.0)
        began = own & (start >= 0)
        m = int(began.sum())
        ratio, layer = visible[began] / energy[began], start[began].astype(np.float64)
        enough = m >= 10 and layer.std() > 0
        q = np.quantile(ratio, [0.1587, 0.8413]) if enough else np.full(2, np.nan)
        width = 0.5 * float(q[1] - q[0]) / float(ratio.mean()) if enough else np.nan
        rho = float(np.corrcoef(ratio, layer)[0, 1]) if enough else np.nan
        row = (
            float(points.energy[p]), none / n, float(np.sqrt(share * (1.0 - share) / n)),
            float(no_start_probability(law, energy[own]).mean()),
            float(layer.mean()) if enough else np.nan, float(layer.std() / np.sqrt(m)) if enough else np.nan,
            # 0.96 / sqrt(m) is the relative error of half the central 68 % of m normal numbers.
            width, width * 0.96 / np.sqrt(max(m, 1)), rho, (1.0 - rho**2) / np.sqrt(max(m, 1)),
        )  # fmt: skip
        for column, value in zip(columns.values(), row, strict=True):
            column.append(value)
    return {name: np.array(values) for name, values in columns.items()}
