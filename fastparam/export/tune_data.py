"""The numbers of a tune as C++: declarations for ``TuneData.hh``, and the getters of ``HomoTuning.hh``.

Every number reads back as the same double.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from fastparam.export.homogeneous import Constants
from fastparam.export.readme import title
from fastparam.fit import (
    acceptance,
    layer_factors,
    modulation,
    population,
    radial,
    radial_warp,
    spot_groups,
    spot_spectrum,
    warp,
)
from fastparam.fit.fit import Fit
from fastparam.fit.tables import Tables
from fastparam.geometry.detector import Geometry
from fastparam.geometry.frames import MAX_ANGLE
from fastparam.tunes.tune import SliceTune, Tune

__all__ = [
    "RESPONSE_COEFFICIENTS", "correction_sizes", "detector_constants", "getters", "medium_constants", "radial_bins",
    "segment_tables", "slice_tables",
]  # fmt: skip

#: Steps in X0 in which a thick layer's profile is tabulated, as in `fastparam.generate.gflash`.
_STEP = 0.25

#: How often radius and azimuth of a spot are drawn, as in `fastparam.generate.gflash`.
TRIES = 100

#: The mean shower of a slice whose layers get nothing on top, as in `fastparam.generate.gflash`.
NO_REFERENCE = (1.6, 0.0, 1.4, 0.0)

#: What the C++ has room for in each polynomial of the response law.
RESPONSE_COEFFICIENTS = 4


def _number(value: float) -> str:
    """Shortest text that reads back as the same double."""
    return repr(float(value))


def _array(kind: str, name: str, size: str, values: Iterable[float]) -> str:
    texts = [str(int(v)) if kind in ("int", "bool") else _number(v) for v in values]
    if kind == "bool":
        texts = ["true" if text == "1" else "false" for text in texts]
    body = textwrap.fill(", ".join(texts), 116, initial_indent="  ", subsequent_indent="  ")
    return f"inline constexpr {kind} {name}[{size}] = {{\n{body}}};"


def medium_constants(geometry: Geometry) -> str:
    """Return the calorimeter as one medium."""
    m = geometry.material
    numbers = {
        "kRadiationLength": m.radiation_length,
        "kMoliereRadius": m.moliere_radius,
        "kCriticalEnergy": m.critical_energy,
        "kZ": m.z,
        "kA": m.a,
        "kDensity": m.density,
    }
    return "\n".join(f"inline constexpr double {name} = {_number(value)};" for name, value in numbers.items())


def detector_constants(geometry: Geometry, *, mirrored: bool) -> str:
    """Return slabs and layers; `mirrored` as `Tune.mirrored`."""
    declared = geometry.config.modulation
    pitch = 0.0 if declared is None else declared.pitch
    radii = np.zeros(1 + geometry.n_layers) if declared is None else modulation.phase_radii(geometry)
    lines = [
        f"inline constexpr bool kBarrel = {'true' if geometry.frame == 'barrel' else 'false'};",
        f"inline constexpr bool kMirrored = {'true' if mirrored else 'false'};  // negative eta at -z, mirrored",
        f"inline constexpr double kMinCosine = {_number(np.cos(MAX_ANGLE))};  // to the normal of a planar detector",
        f"inline constexpr int kSlabs = {len(geometry.slab_from)};",
        _array("double", "kSlabFrom", "kSlabs", geometry.slab_from),
        _array("double", "kSlabTo", "kSlabs", geometry.slab_to),
        _array("double", "kSlabX0", "kSlabs", geometry.slab_x0),
        f"inline constexpr int kLayers = {geometry.n_layers};",
        _array("double", "kLayerFrom", "kLayers", geometry.layer_from),
        _array("double", "kLayerTo", "kLayers", geometry.layer_to),
        _array("double", "kPeriodFrom", "kLayers", geometry.period_from),
        _array("double", "kPeriodTo", "kLayers", geometry.period_to),
        f"inline constexpr int kMedia = {int(geometry.layer_medium.max()) + 1};",
        _array("int", "kLayerMedium", "kLayers", geometry.layer_medium),
        _array("bool", "kWhole", "kLayers", _whole(geometry)),
        _array("bool", "kThin", "kLayers", acceptance.thin(geometry)),
        _array("int", "kEntrance", "kLayers", acceptance.entrances(geometry)),
        f"inline constexpr int kTries = {TRIES};  // to place a spot in a layer of its medium",
        f"inline constexpr double kPitch = {_number(pitch)};  // of the modulation in phi, rad; 0 without one",
        _array("double", "kPhaseRadius", "1 + kLayers", radii),
        f"inline constexpr double kDepth = {_number(float(_depth(geometry)))};  // X0, of all slabs, straight through",
    ]
    return "\n".join(lines)


def _depth(geometry: Geometry) -> np.float64:
    depth: np.float64 = ((geometry.slab_to - geometry.slab_from) / geometry.slab_x0).sum()
    return depth


def _whole(geometry: Geometry) -> npt.NDArray[np.bool_]:
    whole: npt.NDArray[np.bool_] = (geometry.period_from != geometry.layer_from) | (
        geometry.period_to != geometry.layer_to
    )
    return whole


def segment_tables(geometry: Geometry) -> str:
    """Return the numbers of steps in which profiles are tabulated: about `_STEP` each, whole periods in stacks."""
    x0 = dict(zip(geometry.slab_layer, geometry.slab_x0, strict=True))
    steps = [
        (geometry.layer_to[m] - geometry.layer_from[m]) / x0[m] / _STEP if not whole else 1.0
        for m, whole in enumerate(_whole(geometry))
    ]
    pieces = [max(1, int(np.ceil(n))) for n in steps]
    return f"inline constexpr int kSegments = {sum(pieces)};\n" + _array("int", "kPieces", "kLayers", pieces)


def correction_sizes() -> dict[str, str]:
    """Return the sizes of the tables of corrections, and the age in front of which groups do not grow."""
    bins, nodes = radial_warp.U_HATS.shape
    return {
        "AGE_NODES": str(len(radial_warp.TAU_NODES)),
        "SHARE_NODES": str(nodes),
        "SHARE_BINS": str(bins),
        "MIN_AGE": _number(spot_groups.MIN_TAU),
        "MAX_VARIANCE": _number(spot_spectrum.MAX_VARIANCE),
    }


def radial_bins() -> str:
    """Return nodes and bins of the radial warp."""
    return "\n".join(
        [
            _array("double", "kAges", "kAgeNodes", radial_warp.TAU_NODES),
            _array("double", "kShareEdges", "kShareBins + 1", radial_warp.U_EDGES),
            _array("int", "kShareNode", "kShareBins", radial_warp.U_NODE),
            _array("double", "kShareWeight", "kShareBins", radial_warp.U_WEIGHT),
        ]
    )


def _table(kind: str, name: str, rows: str) -> str:
    body = textwrap.fill(rows, 116, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
    return f"inline constexpr {kind} {name} = {{\n{body}}};"


def slice_tables(tune: Tune) -> str:
    """Return the laws of every particle and slice."""
    lines = []
    for k, part in enumerate(tune.slices):
        lines += _correction_tables(k, part)
        rows = ", ".join(_braces(row) for row in _layer_factors(part.components["layers"]))
        lines.append(f"inline constexpr double kLayerFactor{k}[kMedia][2] = {{{rows}}};")
        if "shape_marginals" in part.tables:
            lines.append(f"inline constexpr Marginals kMarginals{k} = {_marginals(part.tables['shape_marginals'])};")
    lines += [f"inline constexpr int kSlices = {len(tune.slices)};", "inline constexpr Slice kTune[kSlices] = {"]
    lines += [_slice(k, part) for k, part in enumerate(tune.slices)]
    lines.append("};")
    # As in the Python sampler, which samples all particles of a tune alike.
    any_of = {
        "kAnySplits": ("spot_groups", "spot_spectrum"),
        "kAnyRadialWarp": ("radial_warp",),
        "kAnyLayerShift": ("layer_factors",),
    }
    for name, components in any_of.items():
        anywhere = any(component in part.components for part in tune.slices for component in components)
        lines.append(f"inline constexpr bool {name} = {'true' if anywhere else 'false'};")
    return "\n".join(lines)


def _correction_tables(number: int, part: SliceTune) -> list[str]:
    """Tables of the corrections that a slice has."""
    lines = []
    if (scale := part.components.get("layer_factors")) is not None:
        rows = ", ".join(_braces(row) for row in layer_factors.coefficients(scale))
        lines.append(_table("double", f"kLayerShift{number}[kLayers][3]", rows))
    if _modulated(part):
        series = ", ".join(
            "{" + ", ".join("{" + ", ".join(_braces(row) for row in wave) + "}" for wave in quantity) + "}"
            for quantity in modulation.coefficients(part.components["modulation"])
        )
        lines.append(_table("double", f"kModulation{number}[1 + kLayers][2][kHarmonics][3]", series))
    if (bend := part.components.get("radial_warp")) is not None:
        nodes = ", ".join("{" + ", ".join(_braces(row) for row in age) + "}" for age in radial_warp.coefficients(bend))
        lines.append(_table("double", f"kRadialWarp{number}[kAgeNodes][kShareNodes][3]", nodes))
    return lines


def _modulated(part: SliceTune) -> bool:
    return "modulation" in part.components and bool(part.components["modulation"].names)


def _slice(number: int, part: SliceTune) -> str:
    shower = part.components
    zero, groups = shower["response"].settings["zero"], shower.get("spot_groups")
    shifts, spectrum = shower.get("layer_factors"), shower.get("spot_spectrum")
    offset = shower["response"].settings["offset"]
    law = {"classical": "RadialLaw::kClassical", "smooth": "RadialLaw::kSmooth"}[shower["radial"].settings["law"]]
    eta = (0.0, 0.0) if part.eta is None else part.eta
    lines = [
        f"  {{  // {title(part)}",
        f"    {part.pdg}, {_number(eta[0])}, {_number(eta[1])},",
        f"    {_number(part.energy_range[0])}, {_number(part.energy_range[1])},",
        f"    {'false, 0.0' if offset is None else f'true, {_number(offset)}'},",
        f"    {'true' if zero else 'false'}, {_braces(zero or [0.0, 0.0])},",
        *(f"    {_braces(row)}," for row in _response_rows(shower["response"])),
        f"    {_population(shower['longitudinal'])},",
        f"    {_number(shower['conversion']['k'] if 'conversion' in shower else 0.0)},",
        f"    {_population(shower.get('conversion', shower['longitudinal']))},",
        f"    {_braces(shower['conversion'].values[-2:] if 'conversion' in shower else [0.0, 0.0])},",
        f"    {f'&kMarginals{number}' if 'shape_marginals' in part.tables else 'nullptr'},",
        f"    {_braces(shower['spots'].values)},",
        f"    kLayerFactor{number}, {shower['layers'].settings['main']},",
        f"    {f'kLayerShift{number}' if shifts is not None else 'nullptr'},",
        f"    {_braces(NO_REFERENCE if shifts is None else shifts.settings['reference'])},",
        f"    {f'kModulation{number}' if _modulated(part) else 'nullptr'},",
        f"    {{{', '.join(_braces(row) for row in _warp_rows(shower.get('warp')))}}},",
        f"    {law},",
        f"    {_braces(shower['radial'].values)}, {_number(radial.front(shower['radial']))},",
        f"    {f'kRadialWarp{number}' if 'radial_warp' in shower else 'nullptr'},",
        f"    {'false' if groups is None else 'true'}, {_braces([0.0] * 4 if groups is None else groups.values)},",
        f"    {_braces([0.0, 0.0] if spectrum is None else spectrum.values)}}},",
    ]
    return "\n".join(textwrap.fill(line, 116, subsequent_indent="     ", break_on_hyphens=False) for line in lines)


def _braces(values: Iterable[float]) -> str:
    return "{" + ", ".join(_number(v) for v in values) + "}"


def _population(fit: Fit) -> str:
    """Return intercepts and slopes, or knots with values and second derivatives there."""
    law = population.law_of(fit)
    values = fit.values[: len(law.names)].reshape(5, -1)
    knots = law.knots
    bends = (population.curvatures(knots) @ values.T).T if len(knots) else np.zeros((5, 0))
    tables = (", ".join(_braces(row) for row in table) for table in (values, bends))
    value, bend = (f"{{{table}}}" for table in tables)
    return f"{{{len(knots)}, {_braces(knots)}, {value}, {bend}}}"


def _marginals(tables: Tables) -> str:
    h = ", ".join("{" + ", ".join(_braces(row) for row in tables[name]) + "}" for name in ("t", "alpha"))
    text = f"{{{len(tables['ln_y'])}, {_braces(tables['ln_y'])}, {{{h}}}, {_braces(tables['copula'])}}}"
    return textwrap.fill(text, 116, subsequent_indent="  ", break_on_hyphens=False)


def _response_rows(fit: Fit) -> list[list[float]]:
    """Coefficients of location, ln scale, skewness and ln tail, each filled up with zeros."""
    rows, first = [], 0
    for order in fit.settings["orders"]:
        own = [float(v) for v in fit.values[first : first + order + 1]]
        rows.append(own + [0.0] * (RESPONSE_COEFFICIENTS - len(own)))
        first += order + 1
    return rows


def _layer_factors(fit: Fit) -> list[list[float]]:
    """Logarithm of the factor at 10 GeV and its slope in ln E, by medium; the main medium has the factor 1."""
    rows = [[0.0, 0.0] for _ in range(fit.settings["media"])]
    others = [m for m in range(fit.settings["media"]) if m != fit.settings["main"]]
    for k, m in enumerate(others):
        rows[m] = [float(v) for v in fit.values[2 * k : 2 * k + 2]]
    return rows


def _warp_rows(fit: Fit | None) -> list[list[float]]:
    """Polynomials in ln E of the coefficients of all sines; zeros where there is no warp."""
    rows = [[0.0, 0.0, 0.0] for _ in range(warp.MAX_ORDER)]
    if fit is not None:
        for row, own in zip(rows, fit.values.reshape(-1, fit.settings["degree"] + 1), strict=False):
            row[: len(own)] = [float(v) for v in own]
    return rows


def getters(stock: Constants) -> str:
    """Return the 32 getters of Geant4's class.

    Constants of laws in ln y move by slope x fDelta, radii scale by fRadius, L = ln(E / 10 GeV) becomes ln(E / GeV).
    """
    t0, t1, a0, a1, st0, st1, sa0, sa1, r0, r1 = stock.longitudinal
    z1, z2, ze, k1, k2, k3, k4, k5, p1, p2, p3, p4 = stock.radial
    n0, n1 = stock.spots
    ln10 = np.log(10.0)

    def moved(constant: float, slope: float) -> str:
        return f"{_number(constant)} + {_number(slope)} * fDelta"

    def scaled(value: float) -> str:
        return f"{_number(value)} * fRadius"

    texts = {
        "AveT1": moved(t0, t1), "AveA1": moved(a0, a1), "AveA2": _number(a1), "AveA3": "0.0",
        "SigLogT1": moved(st0, st1), "SigLogT2": _number(st1), "SigLogA1": moved(sa0, sa1), "SigLogA2": _number(sa1),
        "Rho1": moved(r0, r1), "Rho2": _number(r1),
        "RC1": scaled(z1 - ze * ln10), "RC2": scaled(ze), "RC3": scaled(z2), "RC4": "0.0",
        "RT1": scaled(k1), "RT2": "0.0", "RT3": _number(k2), "RT4": _number(k3),
        "RT5": _number(k4 - k5 * ln10), "RT6": _number(k5),
        "WC1": _number(p1), "WC2": "0.0", "WC3": _number(p2), "WC4": "0.0",
        "WC5": _number(p3 - p4 * ln10), "WC6": _number(p4),
        "SpotN1": f"{_number(np.exp(n0))} / fLogZ", "SpotN2": _number(n1),
        "SpotT1": "1.0", "SpotT2": "0.0", "SpotA1": "1.0", "SpotA2": "0.0",
    }  # fmt: skip
    return "\n".join(f"  G4double Par{name}() override {{ return {text}; }}" for name, text in texts.items())
