"""Closure: toy showers of known laws in, the same laws out, with errors that mean what they say.

A toy experiment makes showers with `toys`, reduces them to a summary, fits them, and lists every fitted number beside
its true value and its error. `run.py` does that many times; `test_closure.py` is the reduced version in the suite.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import toys

from fastparam.fit import longitudinal, radial, spots
from fastparam.geometry.detector import Geometry
from fastparam.geometry.load import load_geometry
from fastparam.summary.binning import choose_binning
from fastparam.summary.points import energy_points
from fastparam.summary.summarise import summarise_hits
from fastparam.tunes.fitting import profiles_of, radial_data

LAW = toys.Law()
ENERGIES = (4_000.0, 16_000.0, 65_000.0)

#: 45 periods of 0.62 X0.
_STACK = """name: stack
frame: planar
energy_is: kinetic
layers:
  - stack:
      from: 0
      repeat: 45
      first_id: 0
      plates: [{material: W, thickness: 2.1}, {material: Si, thickness: 0.5, active: true}, {material: FR4, thickness: 1.0}]
samples: [{files: [toy.root], tree: showers, branches: {pdg: pdg, energy: energy, vx: vx, vy: vy, vz: vz, px: px, py: py,
           pz: pz, x: hit_x, y: hit_y, z: hit_z, e: hit_e, layer: hit_layer}}]
"""  # noqa: E501

#: 18 X0 of PbWO4 in three layers: a 65 GeV shower leaves 5 % of its energy behind it.
_SHORT_BLOCK = toys.BLOCK.replace("  - {name: fourth, id: 3, from: 140, to: 230, material: PbWO4}\n", "").replace(
    "to: 140", "to: 160"
)

_FOUR_LAYERS = """name: four_layers
frame: {frame}
energy_is: kinetic
layers:
  - {{name: cryostat, from: 1300, to: 1360, material: Al}}
  - {{name: first, id: 0, from: 1500, to: 1530, mixture: {{Pb: 0.8, lAr: 0.2}}, density: 4.0}}
  - {{name: strips, id: 1, from: 1530, to: 1620, mixture: {{Pb: 0.8, lAr: 0.2}}, density: 4.0}}
  - {{name: middle, id: 2, from: 1620, to: 1820, mixture: {{Pb: 0.8, lAr: 0.2}}, density: 4.0}}
  - {{name: back, id: 3, from: 1820, to: 1960, mixture: {{Pb: 0.8, lAr: 0.2}}, density: 4.0}}
samples: [{{files: [toy.root], tree: showers, branches: {{pdg: pdg, energy: energy, vx: vx, vy: vy, vz: vz, px: px,
           py: py, pz: pz, x: hit_x, y: hit_y, z: hit_z, e: hit_e, layer: hit_layer}}}}]
"""


@dataclass(frozen=True)
class Configuration:
    """A detector as text and in words."""

    text: str
    title: str


CONFIGURATIONS = {
    "block": Configuration(_SHORT_BLOCK, "homogeneous block of 18 X0, with leakage"),
    "stack": Configuration(_STACK, "stack of 45 layers"),
    "barrel": Configuration(_FOUR_LAYERS.format(frame="barrel"), "barrel, four layers behind a cryostat"),
    "flat": Configuration(_FOUR_LAYERS.format(frame="planar"), "the same four layers, but flat"),
}


@dataclass(frozen=True)
class Number:
    """A fitted number beside the truth."""

    value: float
    error: float
    truth: float

    @property
    def pull(self) -> float:
        return (self.value - self.truth) / self.error


def load(name: str, folder: Path) -> Geometry:
    """Return the geometry of a configuration; writes its text to `folder`."""
    path = folder / f"{name}.yaml"
    path.write_text(CONFIGURATIONS[name].text, encoding="utf-8")
    return load_geometry(path)


def experiment(geometry: Geometry, *, seed: int, n: int, n_spots: int, truth: toys.Law = LAW) -> dict[str, Number]:
    """Make `n` showers of `LAW` with `n_spots` at each energy, fit them, and return every number beside `truth`.

    Another `truth` than `LAW` is a negative control.
    """
    particles = toys.gun(geometry, energies=ENERGIES, n=n, seed=seed)
    hits = toys.shower_batch(geometry, particles, seed=seed, law=LAW, n_spots=n_spots)
    summary = summarise_hits(geometry, particles, hits, choose_binning(geometry, particles, hits, particles))
    profiles, points = profiles_of(geometry, summary), energy_points(particles.energy)
    shapes, single = longitudinal.shower_fits(profiles, points)
    widths = radial.fit(radial_data(geometry, summary, single.theta, profiles.depths), "classical")
    deposits = spots.fit(single, particles.energy, points)
    assert shapes.valid
    assert widths.valid
    numbers = {}
    pairs = (
        ("exp<ln T>", truth.exp_ln_t),
        ("exp<ln alpha>", truth.exp_ln_alpha),
        ("1/sigma(ln T)", truth.inverse_sigma_t),
        ("1/sigma(ln alpha)", truth.inverse_sigma_alpha),
        ("rho", truth.rho),
    )
    for j, (name, pair) in enumerate(pairs):
        block = slice(2 * j, 2 * j + 2)
        for k in (int(np.argmin(particles.energy)), int(np.argmax(particles.energy))):
            direction = np.array([1.0, profiles.ln_y[k]])
            error = np.sqrt(direction @ shapes.covariance[block, block] @ direction)
            label = f"{name} at {particles.energy[k] / 1000:g} GeV"
            numbers[label] = Number(float(direction @ shapes.values[block]), float(error), float(direction @ pair))
    for name, value, error in zip(widths.names, widths.values, widths.errors, strict=True):
        numbers[name] = Number(float(value), float(error), radial_truth(truth)[name])
    for p in (0, len(points) - 1):
        direction = np.array([1.0, np.log(points.energy[p] / 1000.0)])
        value, error = direction @ deposits.values, np.sqrt(direction @ deposits.covariance @ direction)
        inside = hits.n_hits[points.point == p].mean()
        label = f"ln deposits at {points.energy[p] / 1000:.3g} GeV"
        numbers[label] = Number(float(value), float(error), float(np.log(inside)))
    return numbers


def radial_truth(law: toys.Law) -> dict[str, float]:
    """Return the parameters of the classical radial law that toy showers of `law` follow."""
    (z1, z2), (k1, k2, k3, k4), (p1, p2, p3) = law.core, law.tail, law.weight
    return {
        "z1": z1, "z2": z2, "zE": 0.0, "k1": k1, "k2": k2, "k3": k3, "k4": k4, "k5": 0.0,
        "p1": p1, "p2": p2, "p3": p3, "p4": 0.0,
    }  # fmt: skip
