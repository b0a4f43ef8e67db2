"""Likelihood of a quantity that depends on a phase: harmonics, mean and resolution free at every energy, clipped below.

A quasi-likelihood with the variance function of a Gamma law; the number of harmonics, the order of their coefficients
in ln E and whether there are sines are chosen by the Bayesian information criterion (`fit.modulation_fit`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastparam.fit.modulation import DEGREES
from fastparam.shapes.phase_curve import HARMONICS

if TYPE_CHECKING:
    from fastparam.summary.points import EnergyPoints

__all__ = ["PhaseData", "Series", "basis_of", "choose", "phase_data", "residual_basis", "score_test", "without_mean"]

Floats = npt.NDArray[np.float64]

#: A shower pulls as one so many resolutions below the mean at most.
_CLIP = 3.0
_ITERATIONS = 50


@dataclass(frozen=True)
class Series:
    """What was chosen: K harmonics, order in ln E, cosines only or sines too."""

    harmonics: int
    degree: int
    symmetric: bool

    @property
    def names(self) -> list[str]:
        """Names of its parameters."""
        series = "a" if self.symmetric else "ab"
        return [f"{c}{k}{j}" for k in range(1, self.harmonics + 1) for c in series for j in range(self.degree + 1)]


@dataclass(frozen=True)
class PhaseData:
    """One quantity of the n showers at energies where it has any.

    Attributes
    ----------
    y : float64 array (n,)
        Its share of the true energy.
    psi, u : float64 arrays (n,)
        Phase, and ln(E / 10 GeV).
    design : float64 array (n, m)
        What its mean may depend on: the energy point, or powers of u in a continuous spectrum.
    free : bool
        Whether the mean of every energy point is free.
    mean : float64 array (n,)
        Without modulation.
    weight : float64 array (n,)
        Inverse variance of y / mean.
    threshold : float64 array (n,)
        Below this y / mean is clipped.
    """

    y: Floats
    psi: Floats
    u: Floats
    design: Floats
    free: bool
    mean: Floats
    weight: Floats
    threshold: Floats

    @property
    def pull(self) -> Floats:
        """Deviations from the mean, relative, clipped below."""
        return np.asarray(np.maximum(self.y / self.mean, self.threshold) - 1.0)


def phase_data(
    values: Floats, energy: Floats, psi: Floats, points: EnergyPoints
) -> tuple[PhaseData, npt.NDArray[np.bool_]]:
    """Return what the fits of one quantity need, and which showers that are."""
    sums = np.bincount(points.point, weights=values, minlength=len(points))
    used = (sums[points.point] > 0) & (points.counts[points.point] >= 2)
    label = np.unique(points.point[used], return_inverse=True)[1]
    n = np.bincount(label)
    y, u = values[used] / energy[used], np.log(energy[used] / 10_000.0)
    middle = np.bincount(label, weights=u) / n
    free = not points.continuous
    design = label[:, None] == np.arange(len(n)) if free else np.vander(u, min(4, len(n)), increasing=True)
    ones = np.ones(len(y))
    start = np.maximum(design @ np.linalg.lstsq(design.astype(np.float64), y, rcond=None)[0], 0.05 * y.mean())
    data = PhaseData(y, psi[used], u, design.astype(np.float64), free, start, ones, -np.inf * ones)
    core = np.array([0.5 * np.diff(np.quantile(data.pull[label == p], [0.1587, 0.8413]))[0] for p in range(len(n))])
    data = replace(data, threshold=1.0 - _CLIP * _steadied(core, n, middle)[label])
    data = replace(data, mean=_unmodulated(data))
    spread = _steadied(np.sqrt(np.bincount(label, weights=data.pull**2) / n), n, middle)
    inside = np.bincount(label, weights=data.y > data.threshold * data.mean) / n
    data = replace(data, weight=(np.maximum(inside, 0.5) / spread**2)[label])
    return replace(data, mean=_unmodulated(data)), used


def _steadied(width: Floats, n: npt.NDArray[Any], u: Floats) -> Floats:
    """Widths of few showers are drawn towards a power law through all of them: a chance agreement of three is none."""
    known = width > 0
    if not known.any():
        return np.full_like(width, 0.1)
    order = 1 if known.sum() > 1 and np.ptp(u[known]) > 0.05 else 0
    law = np.polynomial.Polynomial.fit(u[known], np.log(width[known]), order, w=np.sqrt(n[known]))
    steady: Floats = np.sqrt((n * width**2 + 10.0 * np.exp(2.0 * law(u))) / (n + 10.0))
    return steady


def _unmodulated(data: PhaseData) -> Floats:
    """Mean without modulation, such that clipped deviations average to 0."""
    mean = data.mean
    for _ in range(_ITERATIONS):
        pull = np.maximum(data.y / mean, data.threshold) - 1.0
        relative = data.design / mean[:, None]
        weighted = data.weight[:, None] * relative
        step = data.design @ np.linalg.lstsq(weighted.T @ relative, weighted.T @ pull, rcond=None)[0]
        mean = np.maximum(mean + step, 0.1 * mean)
        if np.abs(step / mean).max() <= 1e-12:
            break
    return np.asarray(mean)


def _series(psi: Floats, harmonics: int) -> Floats:
    """Cosine and sine of each harmonic, shape (n, 2 harmonics)."""
    return np.column_stack([f(k * psi) for k in range(1, harmonics + 1) for f in (np.cos, np.sin)])


def residual_basis(data: PhaseData, harmonics: int) -> Floats:
    """Harmonics minus what the mean of each energy absorbs of them."""
    return without_mean(data, _series(data.psi, harmonics))


def without_mean(data: PhaseData, basis: Floats) -> Floats:
    """Return a basis minus what the mean of each energy absorbs of it."""
    relative = data.design / data.mean[:, None]
    weighted = data.weight[:, None] * relative
    absorbed = np.linalg.lstsq(weighted.T @ relative, weighted.T @ basis, rcond=None)[0]
    return np.asarray(basis - relative @ absorbed)


def score_test(data: PhaseData, harmonics: int) -> tuple[float, int]:
    """Return chi2 and degrees of freedom of "no harmonic up to `harmonics`", with the scatter of single scores."""
    single = (data.weight * data.pull)[:, None] * residual_basis(data, harmonics)
    score, variance = single.sum(axis=0), single.T @ single
    if not np.isfinite(variance).all() or np.linalg.matrix_rank(variance) < len(score):
        return 0.0, 0
    return float(score @ np.linalg.solve(variance, score)), len(score)


def basis_of(data: PhaseData, model: Series) -> Floats:
    """Harmonics times powers of ln E, one column per parameter of a series, (n, k)."""
    series = _series(data.psi, model.harmonics)
    if model.symmetric:
        series = series[:, ::2]
    powers = np.vander(data.u, model.degree + 1, increasing=True)
    return np.asarray((series[:, :, None] * powers[:, None, :]).reshape(len(data.y), -1))


def _objective(y: Floats, ln_mean: Floats, threshold: Floats, weight: Floats) -> float:
    """Minus the quasi-log-likelihood; terms that depend on the data alone are left out.

    Gamma: y / mean + ln mean, continued as a straight line in ln mean where y / mean is below the threshold.
    """
    s = y * np.exp(-ln_mean)
    inside = s > threshold
    slope = 1.0 - threshold
    with np.errstate(divide="ignore", invalid="ignore"):
        at_edge = np.where(y > 0, threshold + threshold * np.log(y / np.maximum(threshold, 1e-300)), 0.0)
    value = np.where(inside, s + ln_mean, slope * ln_mean + at_edge)
    return float((weight * value).sum())


def _maximise(data: PhaseData, basis: Floats) -> tuple[Floats, float, Floats] | None:
    """Fit mean and series together.

    Returns
    -------
    theta : coefficients of `basis`; the objective; influence of every shower on theta (n, k). None without a minimum.
    """
    # The logarithm of the mean moves as the mean could: freely at every energy, or by a polynomial in ln E.
    start = np.log(data.mean)
    design = np.hstack([data.design, basis])
    beta = np.zeros(design.shape[1])

    def objective(b: Floats) -> float:
        return _objective(data.y, start + design @ b, data.threshold, data.weight)

    current = objective(beta)
    for _ in range(_ITERATIONS):
        s = data.y * np.exp(-start - design @ beta)
        pull = np.maximum(s, data.threshold) - 1.0
        slope = data.weight * np.where(s > data.threshold, s, 0.0)
        step = np.linalg.lstsq((slope[:, None] * design).T @ design, design.T @ (data.weight * pull), rcond=None)[0]
        length = 1.0
        while length > 1e-3 and not (after := objective(beta + length * step)) <= current + 1e-9 * abs(current):
            length *= 0.5
        if length <= 1e-3:
            break
        beta, current = beta + length * step, after
        if np.abs(length * step).max() < 1e-8:
            break
    if not np.isfinite(beta).all() or np.abs(beta[-basis.shape[1] :]).max() > 2.0:
        return None
    s = data.y * np.exp(-start - design @ beta)
    inside = s > data.threshold
    curvature = ((data.weight * np.where(inside, s, 0.0))[:, None] * design).T @ design
    if np.linalg.cond(curvature) > 1e12:
        return None
    single = (data.weight * (np.maximum(s, data.threshold) - 1.0))[:, None] * design
    influence = single @ np.linalg.inv(curvature)
    k = basis.shape[1]
    return beta[-k:], current, influence[:, -k:]


def choose(data: PhaseData, points: EnergyPoints) -> tuple[Series, Floats, Floats] | None:
    """Return the model with the best information criterion, at least one harmonic, its parameters and influences.

    Harmonics first, constant in energy; then the order in ln E. None if nothing could be fitted.
    """
    orders = DEGREES if points.continuous else min(DEGREES, data.design.shape[1] - 1)
    steps = [[Series(k, 0, s) for k in range(1, HARMONICS + 1) for s in (True, False)], []]
    best: tuple[float, Series, Floats, Floats] | None = None
    for models in steps:
        for model in models:
            found = _maximise(data, basis_of(data, model))
            if found is None:
                continue
            theta, objective, influence = found
            criterion = 2.0 * objective + len(theta) * np.log(len(data.y))
            if best is None or criterion < best[0]:
                best = (criterion, model, theta, influence)
        if best is not None and models is steps[0]:
            steps[1].extend(replace(best[1], degree=d) for d in range(1, orders + 1))
    return None if best is None else best[1:]
