"""Tunes with known laws, made to be exported: between them they have every law and every kind of detector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import handmade
import numpy as np

from fastparam.fit import conversion, radial_warp, shape_marginals, spot_groups, spot_spectrum
from fastparam.fit.fit import Fit
from fastparam.fit.population import PopulationLaw
from fastparam.fit.radial import LAWS
from fastparam.fit.tables import Tables
from fastparam.tunes.tune import SliceTune, Tune

#: Radial constants of the classical law with slopes in energy, none of them at a limit.
CLASSICAL = (0.03, 0.10, 0.004, 0.42, 0.645, -2.59, 0.38, 0.03, 2.4, 0.5, 1.2, -0.05)


#: Two sines with coefficients that are lines in ln E: more energy around the maximum and in the tail.
WARP = handmade.component(["b10", "b11", "b20", "b21"], [-0.004, 0.002, -0.02, 0.003], order=2, degree=1)


def classical(part: SliceTune) -> SliceTune:
    """Give a slice the radial law that Geant4 has."""
    radial = handmade.component(LAWS["classical"].names, CLASSICAL, law="classical", front=0.3)
    return replace(part, components={**part.components, "radial": radial})


def corrected(part: SliceTune, n_layers: int, seed: int = 4) -> SliceTune:
    """Give a slice every correction, each with terms of all orders in energy."""
    rng = np.random.default_rng(seed)
    orders = [k % 4 - 1 for k in range(n_layers)]
    n_terms, n_nodes = sum(order + 1 for order in orders), len(radial_warp.TAU_NODES) * radial_warp.U_HATS.shape[1]
    return replace(
        part,
        components={
            **part.components,
            "warp": WARP,
            "layer_factors": handmade.component(
                [f"h{k}" for k in range(n_terms)],
                rng.normal(0.0, 0.1, n_terms),
                orders=orders,
                reference=[1.7, 0.1, 1.4, 0.05],
            ),
            "radial_warp": handmade.component(
                [f"b{k}" for k in range(2 * n_nodes)], rng.normal(0.0, 0.2, 2 * n_nodes), degree=1
            ),
            "spot_groups": handmade.component(spot_groups.NAMES, [1.0, 0.05, -0.1, -0.15]),
            "spot_spectrum": handmade.component(spot_spectrum.NAMES, [0.7, -0.2]),
        },
    )


def curved(part: SliceTune) -> SliceTune:
    """Give a slice laws with all their terms: cubic response of the leakage, empty showers, tau and energy in radii."""
    names = [f"{q}{j}" for q in ("location", "ln_scale", "skewness", "ln_tail") for j in range(4)]
    names = [n for n in names if n not in ("ln_scale3", "skewness2", "skewness3", "ln_tail2", "ln_tail3")]
    values = [-2.0, 0.1, -0.02, 0.003, -1.2, 0.02, 0.01, 0.1, -0.05, -0.2, 0.03]
    response = handmade.component(names, values, offset=0.02, orders=[3, 2, 1, 1], zero=[-4.0, 0.3])
    rng = np.random.default_rng(3)
    radial = part.components["radial"]
    moved = radial.values + rng.normal(0.0, 0.05, len(radial.values))
    parts = {**part.components, "response": response, "radial": replace(radial, values=moved)}
    return replace(part, components={**parts, "warp": WARP})


def slices() -> Tune:
    """Photons and electrons of a barrel in slices of eta with gaps between them; the laws differ."""
    geometry = handmade.detector("barrel")
    return handmade.tune(
        geometry,
        handmade.part(geometry, pdg=11, eta=(0.20, 0.25), visible=0.05, core=0.10),
        handmade.part(geometry, pdg=11, eta=(0.28, 0.36), visible=0.07, tail=1.5),
        handmade.part(geometry, pdg=11, eta=(0.40, 0.45), visible=0.08, core=0.20, spots=300.0, weight=0.5),
        corrected(curved(handmade.part(geometry, pdg=22, eta=(0.20, 0.25), factor=1.4)), geometry.n_layers),
        classical(handmade.part(geometry, pdg=22, eta=(0.40, 0.45))),
    )


def phased() -> Tune:
    """Two slices of photons whose response depends on phi, each in its own way, and electrons whose does not."""
    geometry = handmade.detector("phased")
    low, high = (handmade.part(geometry, eta=eta, width=0.01) for eta in ((0.20, 0.25), (0.40, 0.45)))
    first = handmade.modulation(
        total_a10=0.02, total_a11=0.005, layer1_a10=-0.2, layer1_b10=0.05, layer1_b21=0.03, layer2_a10=0.1
    )
    second = handmade.modulation(total_a10=0.01, layer1_a10=-0.1, layer1_a40=0.05, layer2_b32=0.04)
    return handmade.tune(
        geometry,
        replace(low, components={**low.components, "modulation": first}),
        replace(high, components={**high.components, "modulation": second, "warp": WARP}),
        handmade.part(geometry, pdg=11, eta=(0.20, 0.45)),
    )


def block(**laws: float) -> Tune:
    """Electrons and photons in one medium of four layers, by laws that Geant4's own class can hold."""
    geometry = handmade.detector("block")
    electrons = classical(handmade.part(geometry, pdg=11, width=0.02, **laws))
    return handmade.tune(geometry, electrons, classical(handmade.part(geometry, pdg=22, width=0.02, **laws)))


def stack() -> Tune:
    geometry = handmade.detector("planar")
    photons = corrected(handmade.part(geometry, pdg=22, zero=(-4.0, 0.3)), geometry.n_layers)
    return handmade.tune(geometry, curved(handmade.part(geometry, pdg=11)), photons)


def two_media() -> Tune:
    geometry = handmade.detector("two_media")
    part = handmade.part(geometry, factor=2.0, aging=0.4)
    return handmade.tune(geometry, replace(part, components={**part.components, "warp": WARP}))


def roll() -> Tune:
    geometry = handmade.detector("roll")
    return handmade.tune(geometry, handmade.part(geometry, eta=(0.2, 0.25), tail=3.0, weight=0.2))


def bent(part: SliceTune, moved: float = 0.0) -> SliceTune:
    """Give a slice population laws that are splines, and marginals that are not normal at three energies."""
    knots = [5.0, 6.5, 7.5, 9.0]
    values = np.array(
        [[3.5, 6.0, 6.2, 8.0], [2.6, 3.0, 4.4, 4.6], [4.0, 7.0, 7.5, 9.0], [3.0, 5.0, 4.0, 6.0], [0.8, 0.4, 0.7, 0.5]]
    )
    law = PopulationLaw("spline", np.array(knots))
    longitudinal = handmade.component(law.names, (values + moved).ravel(), law="spline", knots=knots)
    skew = [np.expm1(s * shape_marginals.Z) / s for s in (0.1, 0.2, 0.3)]
    heavy = [np.sinh(s * shape_marginals.Z) / s for s in (0.1, 0.3, 0.2)]
    arrays = {"ln_y": np.array([5.0, 7.0, 9.0]), "t": np.array(heavy), "alpha": np.array(skew)}
    tables = {"shape_marginals": Tables(arrays | {"copula": np.array([1.05, 1.02, 1.1])})}
    return replace(part, components={**part.components, "longitudinal": longitudinal}, tables=tables)


def converting(part: SliceTune, k: float) -> SliceTune:
    """Let photons convert after `k` times the mean free path of Bethe-Heitler pairs, with their own laws behind it."""
    names = (*part.components["longitudinal"].names, *conversion.EXTRA)
    values = [-2.0, 1.05, -0.2, 0.6, -1.0, 1.0, 0.5, 0.7, 0.9, -0.03, k, -0.04, 0.02]
    return replace(part, components={**part.components, "conversion": handmade.component(names, values), "warp": WARP})


def tabulated() -> Tune:
    """Photons with splines and marginals, in two slices of eta with other ones in each, or none."""
    geometry = handmade.detector("barrel")
    return handmade.tune(
        geometry,
        bent(handmade.part(geometry, eta=(0.20, 0.25))),
        bent(handmade.part(geometry, eta=(0.30, 0.35)), moved=0.1),
        handmade.part(geometry, eta=(0.40, 0.45)),
    )


def converted() -> Tune:
    """Photons that convert, in two slices of eta of a barrel."""
    geometry = handmade.detector("barrel")
    parts = [handmade.part(geometry, eta=eta) for eta in ((0.20, 0.25), (0.40, 0.45))]
    return handmade.tune(geometry, converting(parts[0], 0.9), converting(parts[1], 1.1))


def fixed() -> Tune:
    """All showers alike: T = 6 X0, alpha = 4, visible energy without spread."""
    geometry = handmade.detector("block")
    return handmade.tune(geometry, handmade.part(geometry, pdg=11, shape=(6.0, 4.0), visible=0.9, width=1e-12))


def single(detector: str, pdg: int) -> Tune:
    """One particle by the default laws."""
    geometry = handmade.detector(detector)
    return handmade.tune(geometry, handmade.part(geometry, pdg=pdg))


TUNES: dict[str, Callable[[], Tune]] = {
    "barrel": slices,
    "phased": phased,
    "block": block,
    "stack": stack,
    "two_media": two_media,
    "roll": roll,
    "fixed": fixed,
    "tabulated": tabulated,
    "converted": converted,
}


def with_values(fit: Fit, **values: float) -> Fit:
    """Return a fit with some parameters changed."""
    new = fit.values.copy()
    for name, value in values.items():
        new[fit.names.index(name)] = value
    return replace(fit, values=new)
