"""Fit of the modulation component: harmonics of the total and of what layers share (`fit.modulation`).

One quasi-likelihood over all energies (`fit.phase_likelihood`), with a free mean and resolution per energy and the
variance function of a Gamma law (standard deviation in proportion to the mean), which needs no more than the mean to be
right and takes empty layers as they are. The low tail (late showers, energy lost in front) is clipped: a shower never
pulls harder than one 3 resolutions below the mean. K <= 4, the order of the polynomials and whether there are sines at
all (a fold that is symmetric in phi has none) are chosen by the Bayesian information criterion; the covariance is the
sandwich of curvature and of single showers' scores, over all quantities together.

Nothing is applied unless the data ask for it: a test that looks at the first two harmonics of the total and of every
declared layer, whatever the fit chose, must find p < 0.01 for none in any of them (after allowing for their number).
Then all of them are corrected, by one harmonic at least, since they exchange energy with each other.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from fastparam.errors import FitError
from fastparam.fit.fit import Fit
from fastparam.fit.modulation import evaluate, phases, undo
from fastparam.fit.phase_likelihood import Series, basis_of, choose, phase_data, score_test, without_mean
from fastparam.fit.phase_profile import BINS, curve, harmonics_test, profile

if TYPE_CHECKING:
    from fastparam.geometry.detector import Geometry
    from fastparam.particles import Particles
    from fastparam.summary.points import EnergyPoints

__all__ = ["SIGNIFICANT", "fit"]

Floats = npt.NDArray[np.float64]

#: A quantity counts as modulated below this probability of "no modulation".
SIGNIFICANT = 0.01

#: Fewest showers with energy in a quantity.
_MIN_SHOWERS = 50

#: Harmonics that are tested for "no modulation", and afterwards for what is left.
_TESTED, _LEFT = 2, 6

#: Solving for factors of layers: step of a coefficient, rounds, and the least slope that counts as an effect.
_STEP = 0.02
_ROUNDS = 4
_LEAST_SLOPE = 0.15


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
    data, used = zip(*(phase_data(values[:, c], particles.energy, psi[:, c], points) for c in columns), strict=True)
    tests = [score_test(d, _TESTED) for d in data]
    p_none = [float(stats.chi2.sf(chi2, ndf)) if ndf else 1.0 for chi2, ndf in tests]
    joint = min(1.0, len(names) * min(p_none))
    applied = joint < SIGNIFICANT
    chosen = [choose(d, points) if applied else None for d in data]
    terms: dict[str, dict[str, Any]] = {}
    parameters: list[str] = []
    theta: list[Floats] = []
    influences: list[Floats] = []
    models: dict[int, Series] = {}
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
    start: Fit, models: dict[int, Series], energy: Floats, layer_energy: Floats, psi: Floats, points: EnergyPoints
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
            data, _ = phase_data(shares[:, column], energy, psi[:, column], points)
            basis = without_mean(data, basis_of(data, models[column]))
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
