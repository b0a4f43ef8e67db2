"""Tunes written by hand: every law is known, so that what is sampled can be judged without a fit.

Visible energy: ln(E_visible / E) is normal. Showers have the shapes of `toys.Law`, or all the same one. Radii follow
two components that do not depend on the age, unless `aging` says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import toys

from fastparam.fit.fit import Fit
from fastparam.fit.radial import LAWS
from fastparam.geometry.detector import Geometry
from fastparam.geometry.load import parse_geometry
from fastparam.summary.binning import Binning
from fastparam.tunes.recipe import load_recipe
from fastparam.tunes.tune import SliceTune, Tune

LAW = toys.Law()

#: Two media: a presampler of argon in front of a block of lead tungstate.
TWO_MEDIA = """name: two_media
frame: planar
layers:
  - {name: presampler, id: 7, from: 0, to: 70, material: lAr}
  - {name: first, id: 1, from: 70, to: 170, material: PbWO4}
  - {name: second, id: 2, from: 170, to: 300, material: PbWO4}
"""

#: A stack rolled up so tightly that the far sides of a shower pass the axis.
ROLL = """name: roll
frame: barrel
layers:
  - stack:
      from: 60
      repeat: 25
      first_id: 0
      plates: [{material: Si, thickness: 0.5, active: true}, {material: W, thickness: 3.2}]
"""

#: 67 X0 in one layer: nothing leaks.
DEEP = """name: deep
frame: planar
layers:
  - {id: 0, from: 0, to: 600, material: PbWO4}
"""

#: The barrel with a modulation in phi of its first two layers.
PHASED = toys.BARREL + "modulation: {pitch: 2*pi/512, layers: [1, 2]}\n"

DETECTORS = {
    "phased": PHASED,
    "planar": toys.PLANAR,
    "block": toys.BLOCK,
    "barrel": toys.BARREL,
    "two_media": TWO_MEDIA,
    "roll": ROLL,
    "deep": DEEP,
}


def detector(name: str) -> Geometry:
    """Return one of `DETECTORS`; it has no samples to read."""
    return parse_geometry(DETECTORS[name], Path(f"{name}.yaml"))


def component(names: Sequence[str], values: Sequence[float], **settings: object) -> Fit:
    """Return parameters as a finished fit of theirs, with errors of 1 % and some correlation."""
    v = np.asarray(values, dtype=np.float64)
    covariance = 1e-4 * np.outer(v, v) * (0.5 * np.eye(len(v)) + 0.5)
    return Fit(tuple(names), v, covariance, True, True, (), 3.25, 4, (1000.0, 100_000.0), 500, settings=settings)


def part(
    geometry: Geometry,
    *,
    pdg: int = 22,
    eta: tuple[float, float] | None = None,
    energy_range: tuple[float, float] = (1000.0, 100_000.0),
    max_angle: float = 0.0,
    visible: float = 0.05,
    width: float = 0.05,
    zero: Sequence[float] = (),
    shape: tuple[float, float] | None = None,
    spots: float = 200.0,
    core: float = 0.1,
    tail: float = 0.6,
    weight: float = 0.7,
    aging: float = 0.0,
    factor: float = 1.0,
) -> SliceTune:
    """Return the laws of one particle and slice.

    Parameters
    ----------
    visible, width
        Median visible over true energy, and the standard deviation of its logarithm.
    zero
        Intercept and slope in ln(E / GeV) of the logit of the probability of an empty shower.
    shape
        T in X0 and alpha of every shower; None for the fluctuating shapes of `toys.Law`.
    spots
        Mean number of spots at 1 GeV; it grows like the square root of the energy.
    core, tail, weight
        Radii in Moliere radii, and the share of the core.
    aging
        Powers of (tau + 0.2) / 1.2 by which both radii grow.
    factor
        Of every medium but the one with number 0, relative to that.
    """
    if shape is None:
        laws = (LAW.exp_ln_t, LAW.exp_ln_alpha, LAW.inverse_sigma_t, LAW.inverse_sigma_alpha, LAW.rho)
        longitudinal = [number for pair in laws for number in pair]
    else:
        longitudinal = [shape[0], 0.0, shape[1], 0.0, 1e9, 0.0, 1e9, 0.0, 0.0, 0.0]
    media = int(geometry.layer_medium.max()) + 1
    logit = float(np.log(weight / (1.0 - weight)))
    radial = [np.log(core), aging, 0, 0, 0, 0, np.log(tail), aging, 0, 0, 0, 0, logit, 0, 0, 0, 0, 0]
    return SliceTune(
        pdg,
        eta,
        energy_range,
        max_angle,
        500,
        {
            "response": component(
                ("location0", "location1", "ln_scale0", "ln_scale1", "skewness0"),
                [np.log(visible), 0.0, np.log(width), 0.0, 0.0],
                offset=None,
                orders=[1, 1, 0, -1],
                zero=list(zero),
            ),
            "longitudinal": component(("t0", "t1", "a0", "a1", "st0", "st1", "sa0", "sa1", "r0", "r1"), longitudinal),
            "spots": component(("n0", "n1"), [np.log(spots), 0.5]),
            "layers": component(
                [f"factor{m}_f{j}" for m in range(1, media) for j in range(2)],
                [np.log(factor), 0.0] * (media - 1),
                main=0,
                media=media,
            ),
            "radial": component(LAWS["smooth"].names, radial, law="smooth", front=0.6),
        },
    )


def modulation(**values: float) -> Fit:
    """Return a modulation of `PHASED` by its parameters, such as ``total_a10``."""
    columns = {"total": 0, "layer1": 1, "layer2": 2}
    fit = component(list(values), list(values.values()), pitch=2 * np.pi / 512, layers=3, applied=True, terms={})
    return replace(fit, settings=fit.settings | {"terms": {name: {"column": c} for name, c in columns.items()}})


def tune(geometry: Geometry, *parts: SliceTune) -> Tune:
    """Return a tune of the given parts, by default of one part with the default laws."""
    binning = Binning(
        "layer",
        np.full(geometry.n_layers, np.inf),
        np.ones(geometry.n_layers, dtype=np.int64),
        np.array([0.0, 1.0, 2.0, 4.0, 8.0, np.inf]),
        0.0,
    )
    slices = parts or (part(geometry, eta=(0.2, 0.25) if geometry.frame == "barrel" else None),)
    return Tune(geometry.name, geometry, load_recipe("gflash"), binning, slices, (), {"rows": "even", "showers": 500})
