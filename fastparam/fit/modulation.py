"""Modulation component: response that depends on phi with the period of the absorbers (accordions, ridged plates).

With psi = 2 pi (phi modulo pitch) / pitch, phi taken where the particle's line crosses a layer (for the total: half-way
through all layers that are declared as modulated),

    m_q(psi; E) = exp(sum_{k=1..K} [a_k(E) cos k psi + b_k(E) sin k psi]) / norm

for the visible energy of the shower (q = total) and for what every declared layer holds of it; a_k, b_k are polynomials
in ln(E / 10 GeV), and norm makes the mean over phi exactly 1.

*Use.* The total is divided by m_total; what the layers share of it by m_layer, after which shares add up to 1 again:

    undo:   E_l -> (E_l / m_l) / sum_j (E_j / m_j) * sum_j E_j / m_total,        apply: its inverse.

A layer's energy cannot simply be divided by its own curve: strips and middle exchange energy within a shower, and one
that starts early would have its total raised by the curve of the strips alone. As shares that fluctuate give way to
each other, a factor moves the mean of its layer by less than it says. The factors are therefore solved for: such that
the shares of showers without modulation are flat, layer by layer. `phase_profile.curve` says what the mean of a layer
then does. A factor common to all layers would change nothing, and none is fitted.

Fitted by `fit.modulation_fit`; harmonics and profiles in phi without any model: `fit.phase_profile`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastparam._numba import parallel_kernel, prange
from fastparam.errors import FitError
from fastparam.geometry.frames import line_crossings
from fastparam.shapes.phase_curve import HARMONICS, phase_curve1

if TYPE_CHECKING:
    from fastparam.fit.fit import Fit
    from fastparam.geometry.detector import Geometry
    from fastparam.particles import Particles
    from fastparam.summary.summary import Summary

__all__ = ["DEGREES", "apply", "coefficients", "evaluate", "phase_radii", "phases", "undo", "undo_summary"]

Floats = npt.NDArray[np.float64]

#: Order in ln E of a coefficient at most; coefficients of one series have room for `DEGREES` + 1 numbers.
DEGREES = 2


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
