"""What a sample says about a modulation in phi, declared or not: for ``fastparam check``."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastparam.errors import FastparamError, FastparamWarning
from fastparam.fit.phase_search import Periodicity, search
from fastparam.geometry.detector import Geometry
from fastparam.geometry.frames import line_crossings
from fastparam.hits.batches import iterate, read_particles
from fastparam.particles import Particles
from fastparam.tunes.slices import eta_slices, in_slice

__all__ = ["MAX_HITS", "look_for_modulation"]

Floats = npt.NDArray[np.float64]

#: Hits that are read at most, and in how many pieces spread evenly over the rows of a larger sample.
MAX_HITS = 2_000_000
_PIECES = 4
_BATCH_HITS = 250_000
_PIECE_SHOWERS = 500

#: A layer with a smaller share of the energy is not proposed where no layer is seen to be modulated by itself.
_SHARE = 0.05


@dataclass(frozen=True)
class _Read:
    particles: Particles
    layer_energy: Floats


def look_for_modulation(geometry: Geometry) -> dict[str, Any] | None:
    """Judge the declared modulation of a barrel by a part of its samples, and search for one that is not declared.

    Returns
    -------
    dict or None
        "declared" (pitch in rad or None), "showers" read, "searched" (least and largest number of periods around),
        "found" (the most significant period: "periods", "error", "p_value", "significant", "layers" (ids),
        "amplitude" and "amplitude_error" by name of the quantity), "at_declared" (the same at the declared pitch), and
        "text": one or more sentences on what that means. None for planar detectors, for samples that cannot be read,
        and where there are too few showers or phi to say anything.
    """
    if geometry.frame != "barrel" or not geometry.config.samples:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FastparamWarning)  # `hits.inspect` says them
            everything = read_particles(geometry)
            showers = _read(geometry, len(everything))
            slices = eta_slices(geometry, everything)
            phi = _phi(geometry, showers.particles)
    except FastparamError:  # `hits.inspect` reports it
        return None
    groups = _groups(showers.particles, slices)
    energy, layer_energy = showers.particles.energy, showers.layer_energy
    found = search(groups, phi, energy, layer_energy)
    if found is None:
        return None
    declared = geometry.config.modulation
    at_declared = None
    if declared is not None:
        at_declared = search(groups, phi, energy, layer_energy, periods=max(1, round(2.0 * np.pi / declared.pitch)))
    return {
        "declared": None if declared is None else float(declared.pitch),
        "showers": found.n_showers,
        "searched": list(found.searched),
        "found": _facts(geometry, found),
        "at_declared": None if at_declared is None else _facts(geometry, at_declared),
        "text": _text(geometry, found, at_declared, layer_energy),
    }


def _read(geometry: Geometry, rows: int) -> _Read:
    """Read layer energies of at most about `MAX_HITS` hits, from pieces spread over the rows of a large sample."""
    n = max(1, rows // _PIECE_SHOWERS)
    pieces = np.unique(np.linspace(1, n, min(n, _PIECES)).astype(int))
    particles: list[Particles] = []
    energies: list[Floats] = []
    for piece in pieces:
        left = MAX_HITS // len(pieces)
        for batch in iterate(geometry, part=(int(piece), n), batch_hits=_BATCH_HITS):
            inside = batch.hits.layer >= 0
            flat = (batch.hits.shower * geometry.n_layers + batch.hits.layer)[inside]
            sums = np.bincount(flat, weights=batch.hits.e[inside], minlength=len(batch) * geometry.n_layers)
            particles.append(batch.particles)
            energies.append(sums.astype(np.float64).reshape(len(batch), geometry.n_layers))
            left -= len(batch.hits.e)
            if left <= 0:
                break
    return _Read(Particles.concatenate(particles), np.concatenate(energies))


def _phi(geometry: Geometry, particles: Particles) -> Floats:
    """Azimuth in rad at which each line crosses the middle of the active layers."""
    middle = 0.5 * (geometry.layer_from.min() + geometry.layer_to.max())
    path = line_crossings(geometry, particles, np.array([middle]))[:, 0]
    x, y = (particles.position[:, k] + path * particles.direction[:, k] for k in (0, 1))
    return np.asarray(np.arctan2(y, x))


def _groups(particles: Particles, slices: list[tuple[float, float]] | None) -> list[npt.NDArray[np.int64]]:
    return [
        np.flatnonzero((particles.pdg == pdg) & in_slice(particles.eta, edges))
        for pdg in np.unique(particles.pdg)
        for edges in (slices if slices is not None else [None])
    ]


def _facts(geometry: Geometry, found: Periodicity) -> dict[str, Any]:
    names = ["total", *(f"layer{i}" for i in geometry.layer_ids)]
    return {
        "periods": found.periods,
        "error": found.error,
        "p_value": found.p_value,
        "significant": found.significant,
        "layers": [int(geometry.layer_ids[k]) for k in found.layers],
        "amplitude": dict(zip(names, map(float, found.amplitude), strict=True)),
        "amplitude_error": dict(zip(names, map(float, found.amplitude_error), strict=True)),
    }


def _text(geometry: Geometry, found: Periodicity, at_declared: Periodicity | None, layer_energy: Floats) -> str:
    looked = f"2 pi/N with N from {found.searched[0]} to {found.searched[1]}"
    if at_declared is not None:
        n = f"{at_declared.periods:g}"
        text = f"declared with 2 pi/{n}: {_sizes(geometry, at_declared)} in {at_declared.n_showers} showers"
        other = found.significant and abs(found.periods - at_declared.periods) > 5.0 * found.error
        if other and not at_declared.significant:
            return f"{text}, which may be chance; {_seen(geometry, found)}: check `pitch`"
        return text + ("" if at_declared.significant else "; too few to tell it from chance")
    if not found.significant:
        return f"none declared, and none seen in {found.n_showers} showers (looked for {looked})"
    layers = found.layers or tuple(np.flatnonzero(layer_energy.sum(axis=0) > _SHARE * layer_energy.sum()))
    ids = ", ".join(str(geometry.layer_ids[k]) for k in layers)
    return (
        f"none declared, but {_seen(geometry, found)}. Add `modulation: {{pitch: 2*pi/{found.periods:.0f},"
        f" layers: [{ids}]}}` to geometry.yaml, with the exact number of absorbers if you know it"
    )


def _seen(geometry: Geometry, found: Periodicity) -> str:
    return (
        f"the response has a period of 2 pi/N in phi, N = {found.periods:.0f} +- {found.error:.1f}:"
        f" {_sizes(geometry, found)} in {found.n_showers} showers"
    )


def _sizes(geometry: Geometry, found: Periodicity) -> str:
    sizes = [f"{100 * found.amplitude[0]:.1f} +- {100 * found.amplitude_error[0]:.1f} % in the total"]
    sizes += [
        f"{100 * found.amplitude[1 + k]:.0f} +- {100 * found.amplitude_error[1 + k]:.0f} % in layer"
        f" {geometry.layer_ids[k]}"
        for k in found.layers
    ]
    p = "below 1e-12" if found.p_value < 1e-12 else f"{found.p_value:.1g}"
    return f"{', '.join(sizes)} (probability of chance {p})"
