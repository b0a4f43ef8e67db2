"""Modulation component: response that depends on phi with the period of the absorbers (accordions, ridged plates).

With psi = 2 pi (phi modulo pitch) / pitch, phi taken where the particle's line crosses a layer (for the total: half-way
through all layers that are declared as modulated),

    m_q(psi; E) = exp(sum_{k=1..K} [a_k(E) cos k psi + b_k(E) sin k psi]) / norm

for the visible energy of the shower (q = total) and for what every declared layer holds of it; a_k, b_k are polynomials
in ln(E / 10 GeV), and norm makes the mean over phi exactly 1.

*Fit.* One quasi-likelihood over all energies, with a free mean and resolution per energy and the variance function of a
Gamma law (standard deviation in proportion to the mean), which needs no more than the mean to be right and takes empty
layers as they are. The low tail (late showers, energy lost in front) is clipped: a shower never pulls harder than one 3
resolutions below the mean. K <= 4, the order of the polynomials and whether there are sines at all (a fold that is
symmetric in phi has none) are chosen by the Bayesian information criterion; the covariance is the sandwich of curvature
and of single showers' scores, over all quantities together.

*Use.* The total is divided by m_total; what the layers share of it by m_layer, after which shares add up to 1 again:

    undo:   E_l -> (E_l / m_l) / sum_j (E_j / m_j) * sum_j E_j / m_total,        apply: its inverse.

A layer's energy cannot simply be divided by its own curve: strips and middle exchange energy within a shower, and one
that starts early would have its total raised by the curve of the strips alone. As shares that fluctuate give way to
each other, a factor moves the mean of its layer by less than it says. The factors are therefore solved for: such that
the shares of showers without modulation are flat, layer by layer. `curve` says what the mean of a layer then does. A
factor common to all layers would change nothing, and none is fitted.

Nothing is applied unless the data ask for it: a test that looks at the first two harmonics of the total and of every
declared layer, whatever the fit chose, must find p < 0.01 for none in any of them (after allowing for their number).
Then all of them are corrected, by one harmonic at least, since they exchange energy with each other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from fastparam._numba import parallel_kernel, prange
from fastparam.errors import FitError
from fastparam.fit.fit import Fit
from fastparam.geometry.frames import line_crossings
from fastparam.shapes.phase_curve import HARMONICS, phase_curve1

if TYPE_CHECKING:
    from fastparam.geometry.detector import Geometry
    from fastparam.particles import Particles
    from fastparam.summary.points import EnergyPoints
    from fastparam.summary.summary import Summary

__all__ = [
    "DEGREES",
    "apply",
    "coefficients",
    "curve",
    "deviations",
    "evaluate",
    "fit",
    "harmonics_test",
    "phase_radii",
    "phases",
    "profile",
    "undo",
    "undo_summary",
]

Floats = npt.NDArray[np.float64]

#: Order in ln E of a coefficient at most; coefficients of one series have room for `DEGREES` + 1 numbers.
DEGREES = 2

#: A quantity counts as modulated below this probability of "no modulation".
SIGNIFICANT = 0.01

#: Bins in phi of reports.
BINS = 12

#: Fewest showers with energy in a quantity.
_MIN_SHOWERS = 50

_CLIP = 3.0
_TESTED = 2
_LEFT = 6
_ITERATIONS = 50

#: Solving for factors of layers: step of a coefficient, rounds, and the least slope that counts as an effect.
_STEP = 0.02
_ROUNDS = 4
_LEAST_SLOPE = 0.15


@dataclass(frozen=True)
class _Model:
    """What was chosen: K harmonics, order in ln E, cosines only or sines too."""

    harmonics: int
    degree: int
    symmetric: bool

    @property
    def names(self) -> list[str]:
        series = "a" if self.symmetric else "ab"
        return [f"{c}{k}{j}" for k in range(1, self.harmonics + 1) for c in series for j in range(self.degree + 1)]


@dataclass(frozen=True)
class _Data:
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


def phases(geometry: Geometry, particles: Particles) -> Floats:
    """Return the phase in rad, 0 to 2 pi, of every particle: for the total in column 0, then layer by layer.

    The line's phi where it crosses the middle of a layer, modulo the pitch; for the total, the middle of all declared
    layers. Shape (n, 1 + L).

    Raises
    ------
    FitError
        If the geometry declares no modulation.
    """
    declared = geometry.config.modulation
    if declared is None:
        raise FitError(f"modulation: {geometry.path} declares none")
    path = line_crossings(geometry, particles, phase_radii(geometry))
    x, y = (particles.position[:, k, None] + path * particles.direction[:, k, None] for k in (0, 1))
    return np.asarray(2.0 * np.pi * np.mod(np.arctan2(y, x) / declared.pitch, 1.0))


def phase_radii(geometry: Geometry) -> Floats:
    """Return the radii in mm at which `phases` looks: for the total, then layer by layer, shape (1 + L,)."""
    declared = geometry.config.modulation
    assert declared is not None
    layers = geometry.layer_index(np.array(declared.layers))
    total = 0.5 * (geometry.layer_from[layers].min() + geometry.layer_to[layers].max())
    return np.concatenate([[total], 0.5 * (geometry.layer_from + geometry.layer_to)])


def fit(geometry: Geometry, particles: Particles, layer_energy: Floats, points: EnergyPoints) -> Fit:
    """Fit the modulation of one particle in one eta slice.

    Parameters
    ----------
    geometry : Geometry
        Declares the pitch and the layers.
    particles : Particles (n,)
    layer_energy : float64 array (n, L)
        Visible energy in MeV.
    points : EnergyPoints
        Of the n showers.

    Returns
    -------
    Fit
        Parameters ``total_a10`` (cosine of the first harmonic, constant in ln E), ``total_a11`` (its slope), ...,
        ``layer1_b20``; none for quantities that are not modulated. ``settings["terms"]`` says for every quantity what
        was chosen, the probability of no modulation and the probability of what is left after undoing. `chi2` is what
        is left in the total (harmonics 1 to 6). `points` holds the mean in 12 bins of phi, data and model.

    Raises
    ------
    FitError
        If fewer than 50 showers have energy in the declared layers.
    """
    declared = geometry.config.modulation
    assert declared is not None
    index = geometry.layer_index(np.array(declared.layers))
    psi = phases(geometry, particles)
    names = ["total", *(f"layer{i}" for i in declared.layers)]
    columns = [0, *(1 + int(k) for k in index)]
    if (layer_energy[:, index].sum(axis=1) > 0).sum() < _MIN_SHOWERS:
        raise FitError(f"modulation: fewer than {_MIN_SHOWERS} showers with energy in the layers that are declared")
    values = _quantities(layer_energy, particles.energy)
    data, used = zip(*(_data(values[:, c], particles.energy, psi[:, c], points) for c in columns), strict=True)
    tests = [_score_test(d, _TESTED) for d in data]
    p_none = [float(stats.chi2.sf(chi2, ndf)) if ndf else 1.0 for chi2, ndf in tests]
    joint = min(1.0, len(names) * min(p_none))
    applied = joint < SIGNIFICANT
    chosen = [_choose(d, points) if applied else None for d in data]
    terms: dict[str, dict[str, Any]] = {}
    parameters: list[str] = []
    theta: list[Floats] = []
    influences: list[Floats] = []
    models: dict[int, _Model] = {}
    for name, column, p, rows, found in zip(names, columns, p_none, used, chosen, strict=True):
        terms[name] = {"column": column, "harmonics": 0, "degree": 0, "symmetric": True, "p_none": p}
        if found is None:
            continue
        models[column], coefficients_, influence = found
        model = models[column]
        terms[name] |= {"harmonics": model.harmonics, "degree": model.degree, "symmetric": model.symmetric}
        parameters += [f"{name}_{n}" for n in model.names]
        theta.append(coefficients_)
        everyone = np.zeros((len(particles), len(coefficients_)))
        everyone[rows] = influence
        influences.append(everyone)
    joined = np.hstack(influences) if influences else np.zeros((len(particles), 0))
    settings = {
        "pitch": float(declared.pitch),
        "layers": geometry.n_layers,
        "applied": applied,
        "p_none": joint,
        "terms": terms,
    }
    result = Fit(
        tuple(parameters),
        np.concatenate(theta) if theta else np.zeros(0),
        joined.T @ joined,
        True,
        True,
        (),
        0.0,
        0,
        (float(particles.energy.min()), float(particles.energy.max())),
        len(particles),
        settings=settings,
    )
    if applied:
        result = _solved(result, models, particles.energy, layer_energy, psi, points)
    return _judged(result, particles.energy, layer_energy, psi, points)


def _quantities(layer_energy: Floats, energy: Floats) -> Floats:
    """Return what is modulated: energies of showers, then shares of layers times the true energy, shape (n, 1 + L)."""
    total = layer_energy.sum(axis=1)
    shares = np.divide(layer_energy, total[:, None], out=np.zeros_like(layer_energy), where=total[:, None] > 0)
    return np.column_stack([total, shares * energy[:, None]])


def _solved(
    start: Fit, models: dict[int, _Model], energy: Floats, layer_energy: Floats, psi: Floats, points: EnergyPoints
) -> Fit:
    """Change the factors of layers until the shares of showers without modulation are flat; covariance accordingly.

    What is left in the shares, in the terms of each layer's series, falls as the factors grow, by less than they do:
    the slopes are measured. Directions in which nothing changes (a factor common to all layers) are left alone.
    """
    own = [k for k, name in enumerate(start.names) if not name.startswith("total")]

    def left(values: Floats) -> Floats:
        flat = undo(evaluate(replace(start, values=values), energy, psi), layer_energy)
        shares = _quantities(flat, energy)
        found = []
        for column in [c for c in models if c > 0]:
            data, _ = _data(shares[:, column], energy, psi[:, column], points)
            basis = _without_mean(data, _basis(data, models[column]))
            curvature = (data.weight[:, None] * basis).T @ basis
            found.append(np.linalg.lstsq(curvature, basis.T @ (data.weight * data.pull), rcond=None)[0])
        return np.concatenate(found)

    values = start.values.copy()
    now = left(values)
    slopes = np.empty((len(own), len(own)))
    for k, number in enumerate(own):
        moved = values.copy()
        moved[number] += _STEP
        slopes[:, k] = (now - left(moved)) / _STEP
    inverse = np.linalg.pinv(slopes, rcond=_LEAST_SLOPE)
    # Before anything is undone the series' own fit is what is left: directions without effect start from nothing.
    values[own] = inverse @ slopes @ values[own]
    for _ in range(_ROUNDS):
        values[own] += inverse @ left(values)
    wide = np.eye(len(start.names))
    wide[np.ix_(own, own)] = inverse
    return replace(start, values=values, covariance=wide @ start.covariance @ wide.T)


def coefficients(modulation: Fit) -> Floats:
    """Return the polynomials of all series, shape (1 + L, 2, HARMONICS, DEGREES + 1); zeros where nothing is applied.

    First axis: total, then layers; second: cosines, sines; last: powers of ln(E / 10 GeV).
    """
    found = np.zeros((1 + modulation.settings["layers"], 2, HARMONICS, DEGREES + 1))
    for name, value in zip(modulation.names, modulation.values, strict=True):
        quantity, _, term = name.rpartition("_")
        column = modulation.settings["terms"][quantity]["column"]
        found[column, "ab".index(term[0]), int(term[1]) - 1, int(term[2])] = value
    return found


@parallel_kernel
def _factors(coefficients: Any, active: Any, u: Any, psi: Any, out: Any) -> None:
    for i in prange(len(u)):
        a, b = np.empty(HARMONICS), np.empty(HARMONICS)
        for q in range(len(active)):
            if not active[q]:
                out[i, q] = 1.0
                continue
            for k in range(HARMONICS):
                a[k], b[k] = 0.0, 0.0
                for j in range(DEGREES, -1, -1):
                    a[k] = a[k] * u[i] + coefficients[q, 0, k, j]
                    b[k] = b[k] * u[i] + coefficients[q, 1, k, j]
            out[i, q] = phase_curve1(a, b, psi[i, q])


def evaluate(modulation: Fit, energy: Floats, psi: Floats) -> Floats:
    """Return the factors of the total (column 0) and of every layer, shape (n, 1 + L).

    Parameters
    ----------
    modulation : Fit
    energy : float64 array (n,)
        Kinetic energy in MeV.
    psi : float64 array (n, 1 + L)
        From `phases`.
    """
    series = coefficients(modulation)
    out = np.empty(psi.shape)
    active = (series != 0.0).any(axis=(1, 2, 3))
    _factors(series, active, np.log(energy / 10_000.0), np.ascontiguousarray(psi), out)
    return out


def apply(factors: Floats, layer_energy: Floats) -> Floats:
    """Put the modulation on layer energies (n, L) in MeV; `factors` (n, 1 + L) from `evaluate`."""
    return _shared(factors[:, 1:] * layer_energy, factors[:, 0] * layer_energy.sum(axis=1))


def undo(factors: Floats, layer_energy: Floats) -> Floats:
    """Take the modulation off layer energies (n, L) in MeV: the inverse of `apply`."""
    return _shared(layer_energy / factors[:, 1:], layer_energy.sum(axis=1) / factors[:, 0])


def undo_summary(modulation: Fit, geometry: Geometry, showers: Summary) -> Summary:
    """Return showers without modulation: energies of layers and of all that lies in them are scaled alike.

    Radii, depths and hit positions stay; so do numbers of hits.
    """
    factors = evaluate(modulation, showers.particles.energy, phases(geometry, showers.particles))
    energies = undo(factors, showers.layer_energy)
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = np.where(showers.layer_energy > 0, energies / showers.layer_energy, 1.0)
    shower = np.repeat(np.arange(len(showers)), np.diff(showers.offsets))
    layer = showers.content_layer
    content = (showers.content_energy * scale[shower, layer]).astype(np.float32)
    flat = replace(showers, layer_energy=energies, content_energy=content)
    if showers.deposits is None:
        return flat
    held = showers.deposits
    e = (held.e * scale[held.shower, held.layer]).astype(np.float32)
    return replace(flat, deposits=replace(held, e=e))


def _shared(parts: Floats, total: Floats) -> Floats:
    """Scale the rows of `parts` to sums `total`."""
    held = parts.sum(axis=1)
    scale = np.divide(total, held, out=np.zeros_like(total), where=held > 0)
    return np.asarray(parts * scale[:, None])


def harmonics_test(
    values: Floats, energy: Floats, psi: Floats, points: EnergyPoints, harmonics: int
) -> tuple[Floats, Floats, float, int]:
    """Measure harmonics of a quantity by themselves, without any model: for tests of flatness.

    Parameters
    ----------
    values : float64 array (n,)
        Energies in MeV, of a layer or of the shower.
    energy, psi : float64 arrays (n,)
        Kinetic energy in MeV; phase in rad.
    harmonics : int
        Number of harmonics K.

    Returns
    -------
    amplitude, error : float64 arrays (K, 2)
        Coefficients of cosines and sines relative to the mean, averaged over energies with the weight of their
        resolution.
    chi2, ndf : float, int
        Of all of them being 0, correlations included.
    """
    data, _ = _data(values, energy, psi, points)
    basis = _residual_basis(data, harmonics)
    inverse = np.linalg.inv((data.weight[:, None] * basis).T @ basis)
    single = (data.weight * data.pull)[:, None] * basis
    covariance = inverse @ (single.T @ single) @ inverse
    amplitude = inverse @ single.sum(axis=0)
    chi2 = float(amplitude @ np.linalg.solve(covariance, amplitude))
    return (
        amplitude.reshape(harmonics, 2),
        np.sqrt(np.diag(covariance)).reshape(harmonics, 2),
        chi2,
        2 * harmonics,
    )


def deviations(values: Floats, energy: Floats, points: EnergyPoints) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    """Return relative deviations of showers from the mean of their energy, clipped below, and their weights.

    Parameters
    ----------
    values, energy : float64 arrays (n,)
        Energies in MeV, of a layer or of the shower, and kinetic energies in MeV.
    points : EnergyPoints

    Returns
    -------
    deviation, weight : float64 arrays (m,)
        The weight is the inverse variance.
    used : bool array (n,)
        The m showers at energies where the quantity has any energy.
    """
    data, used = _data(values, energy, np.zeros(len(values)), points)
    return data.pull, data.weight, used


def profile(values: Floats, energy: Floats, psi: Floats, points: EnergyPoints) -> tuple[Floats, Floats]:
    """Return the mean of a quantity in `BINS` bins of phase, relative to its mean at each energy, and its error.

    Parameters
    ----------
    values, energy, psi : float64 arrays (n,)
        As `harmonics_test`.

    Returns
    -------
    mean, error : float64 arrays (BINS,)
        NaN in bins without showers. Energies count with the weight of their resolution, so that this is where the
        modulation is best seen.
    """
    data, _ = _data(values, energy, psi, points)
    bins = np.minimum((data.psi * (BINS / (2.0 * np.pi))).astype(np.int64), BINS - 1)
    s, weight = 1.0 + data.pull, data.weight
    total = np.bincount(bins, weights=weight, minlength=BINS)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(bins, weights=weight * s, minlength=BINS) / total
        error = np.sqrt(np.bincount(bins, weights=(weight * (s - mean[bins])) ** 2, minlength=BINS)) / total
    return mean, error


def curve(modulation: Fit, energy: Floats, layer_energy: Floats, points: EnergyPoints) -> Floats:
    """Return the mean of the total and of every layer in `BINS` bins of phase, relative, as the modulation has it.

    Parameters
    ----------
    modulation : Fit
    energy : float64 array (n,)
        Kinetic energy in MeV.
    layer_energy : float64 array (n, L)
        Of showers without modulation (`undo`) in MeV.
    points : EnergyPoints

    Returns
    -------
    float64 array (BINS, 1 + L)
        Energies with the weight of their resolution, as in `profile`; NaN for layers without energy.
    """
    flat = np.column_stack([layer_energy.sum(axis=1), layer_energy])
    seen = np.full((BINS, flat.shape[1]), np.nan)
    grid = 2.0 * np.pi * (np.arange(BINS) + 0.5) / BINS
    for b, phase in enumerate(grid):
        factors = evaluate(modulation, energy, np.full(flat.shape, phase))
        there = apply(factors, layer_energy)
        there = np.column_stack([there.sum(axis=1), there])
        for q in np.flatnonzero(flat.sum(axis=0) > 0):
            data, used = _data(flat[:, q], energy, np.zeros(len(energy)), points)
            ratio = np.maximum(there[used, q] / energy[used] / data.mean, data.threshold)
            seen[b, q] = (data.weight * ratio).sum() / (data.weight * (1.0 + data.pull)).sum()
    return np.asarray(seen / seen.mean(axis=0))


def _data(values: Floats, energy: Floats, psi: Floats, points: EnergyPoints) -> tuple[_Data, npt.NDArray[np.bool_]]:
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
    data = _Data(y, psi[used], u, design.astype(np.float64), free, start, ones, -np.inf * ones)
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


def _unmodulated(data: _Data) -> Floats:
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


def _residual_basis(data: _Data, harmonics: int) -> Floats:
    """Harmonics minus what the mean of each energy absorbs of them."""
    return _without_mean(data, _series(data.psi, harmonics))


def _without_mean(data: _Data, basis: Floats) -> Floats:
    """Return a basis minus what the mean of each energy absorbs of it."""
    relative = data.design / data.mean[:, None]
    weighted = data.weight[:, None] * relative
    absorbed = np.linalg.lstsq(weighted.T @ relative, weighted.T @ basis, rcond=None)[0]
    return np.asarray(basis - relative @ absorbed)


def _score_test(data: _Data, harmonics: int) -> tuple[float, int]:
    """Return chi2 and degrees of freedom of "no harmonic up to `harmonics`", with the scatter of single scores."""
    single = (data.weight * data.pull)[:, None] * _residual_basis(data, harmonics)
    score, variance = single.sum(axis=0), single.T @ single
    if not np.isfinite(variance).all() or np.linalg.matrix_rank(variance) < len(score):
        return 0.0, 0
    return float(score @ np.linalg.solve(variance, score)), len(score)


def _basis(data: _Data, model: _Model) -> Floats:
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


def _maximise(data: _Data, basis: Floats) -> tuple[Floats, float, Floats] | None:
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


def _choose(data: _Data, points: EnergyPoints) -> tuple[_Model, Floats, Floats] | None:
    """Return the model with the best information criterion, at least one harmonic, its parameters and influences.

    Harmonics first, constant in energy; then the order in ln E. None if nothing could be fitted.
    """
    orders = DEGREES if points.continuous else min(DEGREES, data.design.shape[1] - 1)
    steps = [[_Model(k, 0, s) for k in range(1, HARMONICS + 1) for s in (True, False)], []]
    best: tuple[float, _Model, Floats, Floats] | None = None
    for models in steps:
        for model in models:
            found = _maximise(data, _basis(data, model))
            if found is None:
                continue
            theta, objective, influence = found
            criterion = 2.0 * objective + len(theta) * np.log(len(data.y))
            if best is None or criterion < best[0]:
                best = (criterion, model, theta, influence)
        if best is not None and models is steps[0]:
            steps[1].extend(replace(best[1], degree=d) for d in range(1, orders + 1))
    return None if best is None else best[1:]


def _judged(found: Fit, energy: Floats, layer_energy: Floats, psi: Floats, points: EnergyPoints) -> Fit:
    """Add what is left after undoing, and the curves for the report."""
    factors = evaluate(found, energy, psi)
    unmodulated = undo(factors, layer_energy)
    expected = curve(found, energy, unmodulated, points)
    flat = np.column_stack([unmodulated.sum(axis=1), unmodulated])
    seen = np.column_stack([layer_energy.sum(axis=1), layer_energy])
    curves: dict[str, Floats] = {"phase": 2.0 * np.pi * (np.arange(BINS) + 0.5) / BINS}
    terms = {name: dict(term) for name, term in found.settings["terms"].items()}
    total = (0.0, 0)
    for name, term in terms.items():
        q = term["column"]
        *_, chi2, ndf = harmonics_test(flat[:, q], energy, psi[:, q], points, _LEFT)
        ndf -= term["harmonics"] * (1 if term["symmetric"] else 2)  # what was fitted leaves nothing of itself
        term["p_left"] = float(stats.chi2.sf(chi2, ndf))
        if name == "total":
            total = (chi2, ndf)
        mean, error = profile(seen[:, q], energy, psi[:, q], points)
        curves |= {name: mean, f"{name}_error": error, f"{name}_model": expected[:, q]}
    notes = tuple(_note(name, term) for name, term in terms.items())
    if not found.settings["applied"]:
        notes = (f"no modulation is seen (p = {found.settings['p_none']:.2g}), so none is applied", *notes)
    settings = found.settings | {"terms": terms}
    return replace(found, chi2=total[0], ndf=total[1], notes=notes, settings=settings, points=curves)


def _note(name: str, term: dict[str, Any]) -> str:
    """Say what was chosen for a quantity and how probable chance is, before and after."""
    if not term["harmonics"]:
        return f"{name}: p = {term['p_none']:.2g} without modulation"
    series = "cosines" if term["symmetric"] else "cosines and sines"
    return (
        f"{name}: {term['harmonics']} {'harmonic' if term['harmonics'] == 1 else 'harmonics'} ({series}), order"
        f" {term['degree']} in ln E; p = {term['p_none']:.2g} without modulation, {term['p_left']:.2g} for what is left"
    )
