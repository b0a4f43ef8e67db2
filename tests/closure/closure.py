"""Closure: toy showers of known laws in, the same laws out, with errors that mean what they say.

A toy experiment makes showers with `toys`, reduces them to a summary, fits them, and lists every fitted number beside
its true value and its error. `run.py` does that many times; `test_closure.py` is the reduced version in the suite.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import toys

from fastparam.fit import conversion, longitudinal, radial, spots
from fastparam.fit.fit import Fit
from fastparam.geometry.detector import Geometry
from fastparam.geometry.load import load_geometry
from fastparam.summary.binning import choose_binning
from fastparam.summary.points import energy_points
from fastparam.summary.summarise import summarise_hits
from fastparam.tunes.fitting import profiles_of, radial_data

Floats = npt.NDArray[np.float64]

LAW = toys.Law()
ENERGIES = (4_000.0, 16_000.0, 65_000.0)

#: Photons that convert; the population behind the conversion is that of `LAW` at the start of `_CONVERTING`.
_CONVERTING = toys.Law(exp_ln_t=(-1.8, 1.0), exp_ln_alpha=(0.2, 0.55), k=1.0, pair=conversion.PAIR)

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

#: Half of them, 19 X0, behind 1.1 X0 of iron.
_DEAD_AND_LEAKING = _STACK.replace("repeat: 45", "repeat: 30").replace(
    "  - stack:\n      from: 0\n", "  - {name: plate, from: 0, to: 20, material: Fe}\n  - stack:\n      from: 40\n"
)

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
    """A detector as text and in words, with the particles and the law of its showers."""

    text: str
    title: str
    pdg: int = 11
    law: toys.Law = LAW


CONFIGURATIONS = {
    "block": Configuration(_SHORT_BLOCK, "electrons in a homogeneous block of 18 X0, with leakage"),
    "stack": Configuration(_STACK, "electrons in a stack of 45 layers"),
    "barrel": Configuration(
        _FOUR_LAYERS.format(frame="barrel"), "electrons in a barrel, four layers behind a cryostat"
    ),
    "flat": Configuration(_FOUR_LAYERS.format(frame="planar"), "electrons in the same four layers, but flat"),
    "dead": Configuration(_DEAD_AND_LEAKING, "photons, plain gamma law, in 30 layers behind iron, with leakage", 22),
    "block_photons": Configuration(toys.BLOCK, "photons that convert in a homogeneous block of 26 X0", 22, _CONVERTING),
    "stack_photons": Configuration(_STACK, "photons that convert in a stack of 45 layers", 22, _CONVERTING),
    "barrel_photons": Configuration(
        _FOUR_LAYERS.format(frame="barrel"), "photons that convert in the barrel", 22, _CONVERTING
    ),
}


@dataclass(frozen=True)
class Number:
    """A fitted number beside the truth.

    `scale` names the function of it whose error does not depend on its value: "log" for widths, "fisher" (atanh) for
    correlations (R. A. Fisher, Metron 1 (1921) 3). Without it pulls would be lopsided where nothing is biased, since a
    width that fluctuates down and a correlation that fluctuates up have smaller errors.
    """

    value: float
    error: float
    truth: float
    scale: str = "linear"

    @property
    def pull(self) -> float:
        if self.scale == "log" and min(self.value, self.truth) > 0.0:
            return float(np.log(self.value / self.truth) / (self.error / self.value))
        if self.scale == "fisher" and max(abs(self.value), abs(self.truth)) < 1.0:
            return float((np.arctanh(self.value) - np.arctanh(self.truth)) / (self.error / (1.0 - self.value**2)))
        return (self.value - self.truth) / self.error


def load(name: str, folder: Path) -> Geometry:
    """Return the geometry of a configuration; writes its text to `folder`."""
    path = folder / f"{name}.yaml"
    path.write_text(CONFIGURATIONS[name].text, encoding="utf-8")
    return load_geometry(path)


def experiment(
    name: str, geometry: Geometry, *, seed: int, n: int, n_spots: int, truth: toys.Law | None = None
) -> dict[str, Number]:
    """Make `n` showers with `n_spots` at each energy, fit them, and return every number beside the truth.

    Another `truth` than the configuration's law is a negative control. Of photons that convert the conversion fit is
    listed, without the radial law, whose ages refer to profiles from the front.
    """
    configuration = CONFIGURATIONS[name]
    law = configuration.law
    truth = law if truth is None else truth
    particles = toys.gun(geometry, pdg=configuration.pdg, energies=ENERGIES, n=n, seed=seed)
    hits = toys.shower_batch(geometry, particles, seed=seed, law=law, n_spots=n_spots)
    summary = summarise_hits(geometry, particles, hits, choose_binning(geometry, particles, hits, particles))
    profiles, points = profiles_of(geometry, summary), energy_points(particles.energy)
    shapes, single = longitudinal.shower_fits(profiles, points)
    assert shapes.valid
    numbers: dict[str, Number] = {}
    if law.k > 0.0:
        shapes, starts = conversion.fit(profiles, points, single, shapes)
        assert shapes.valid
        single = starts.showers
        numbers["k"] = Number(shapes["k"], float(shapes.errors[shapes.names.index("k")]), truth.k)
    numbers |= shape_numbers(shapes, particles.energy, profiles.ln_y, truth)
    if law.k == 0.0:
        widths = radial.fit(radial_data(geometry, summary, single, profiles.depths), "classical")
        assert widths.valid
        for parameter, value, error in zip(widths.names, widths.values, widths.errors, strict=True):
            numbers[parameter] = Number(float(value), float(error), radial_truth(truth)[parameter])
    deposits = spots.fit(single, particles.energy, points)
    for p in (0, len(points) - 1):
        direction = np.array([1.0, np.log(points.energy[p] / 1000.0)])
        value, error = direction @ deposits.values, np.sqrt(direction @ deposits.covariance @ direction)
        inside = hits.n_hits[points.point == p].mean()
        label = f"ln deposits at {points.energy[p] / 1000:.3g} GeV"
        numbers[label] = Number(float(value), float(error), float(np.log(inside)))
    return numbers


def shape_numbers(shapes: Fit, energy: Floats, ln_y: Floats, truth: toys.Law) -> dict[str, Number]:
    """Return the five laws of the population at the lowest and the highest energy."""
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
        for k in (int(np.argmin(energy)), int(np.argmax(energy))):
            direction = np.array([1.0, ln_y[k]])
            error = np.sqrt(direction @ shapes.covariance[block, block] @ direction)
            label = f"{name} at {energy[k] / 1000:g} GeV"
            scale = "fisher" if name == "rho" else "log" if name.startswith("1/") else "linear"
            value, true = float(direction @ shapes.values[block]), float(direction @ pair)
            numbers[label] = Number(value, float(error), true, scale)
    return numbers


def radial_truth(law: toys.Law) -> dict[str, float]:
    """Return the parameters of the classical radial law that toy showers of `law` follow."""
    (z1, z2), (k1, k2, k3, k4), (p1, p2, p3) = law.core, law.tail, law.weight
    return {
        "z1": z1, "z2": z2, "zE": 0.0, "k1": k1, "k2": k2, "k3": k3, "k4": k4, "k5": 0.0,
        "p1": p1, "p2": p2, "p3": p3, "p4": 0.0,
    }  # fmt: skip
