"""`Summary` -> `Tune`: choose the showers of every particle and slice, and fit the recipe's components to them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastparam.errors import FastparamWarning, FitError, InputError
from fastparam.fit import (
    acceptance,
    conversion,
    hadron_start,
    layer_factors,
    layers,
    longitudinal,
    modulation,
    modulation_fit,
    radial,
    radial_warp,
    response,
    shape_marginals,
    spot_groups,
    spot_spectrum,
    spots,
    warp,
)
from fastparam.fit.fit import Fit
from fastparam.fit.longitudinal import ShowerFits
from fastparam.fit.profiles import NODE_WEIGHTS, gamma_fractions
from fastparam.fit.tables import Tables
from fastparam.geometry.detector import Geometry
from fastparam.geometry.shipped import shipped_recipes
from fastparam.particles import particle_name
from fastparam.summary.points import EnergyPoints, energy_points
from fastparam.summary.summarise import cell_depths, cell_paths
from fastparam.summary.summary import Summary
from fastparam.tunes.models import MODELS, Slice
from fastparam.tunes.recipe import Recipe, load_recipe
from fastparam.tunes.slices import in_slice
from fastparam.tunes.tune import SliceTune, Tune

__all__ = [
    "ELECTROMAGNETIC",
    "MIN_SHOWERS",
    "check_shower_maximum",
    "fit_slice",
    "fit_tune",
    "profiles_of",
    "radial_data",
]

#: Fewer training showers than this cannot support a tune of a particle and slice (section 7 of the design).
MIN_SHOWERS = 30

#: Parts of a depth cell whose ages the radial law tells apart.
_AGES_PER_CELL = 4

#: Particles whose showers are gamma profiles.
ELECTROMAGNETIC = (11, -11, 22)
PHOTON = 22

#: Particles that do not shower.
MUONS = (13, -13)

#: Components without which the sampler of the recipe `gflash` cannot work.
SAMPLED_BY_GFLASH = ("response", "longitudinal", "spots", "layers", "radial")

#: How far in X0 the mean shower maximum may be from ln(E / Ec) before energies are taken to be in a wrong unit.
_MAXIMUM_TOLERANCE = 3.0

Floats = npt.NDArray[np.float64]


def fit_tune(
    geometry: Geometry,
    summary: Summary,
    recipe: Recipe,
    *,
    slices: Sequence[tuple[float, float]] | None,
    pdgs: Sequence[int] | None = None,
    provenance: dict[str, Any] | None = None,
    progress: Callable[[str], None] = lambda _: None,
    quiet: bool = False,
    start_from: Tune | None = None,
) -> Tune:
    """Fit every particle and slice that the training showers `summary` support.

    Parameters
    ----------
    geometry : Geometry
    summary : Summary
        Training showers only.
    recipe : Recipe
    slices : list of (float, float), or None
        Edges in eta of a barrel's slices.
    pdgs : list of int, optional
        Particles to tune; default all of the sample that the recipe describes.
    progress : callable
        Called with a line of text before each particle and slice.
    quiet : bool
        Do not warn about what is left out (it is in `Tune.excluded` all the same).
    start_from : Tune, optional
        An earlier tune whose laws the fits begin with: of the same particle, and of the slice whose middle is nearest.

    Raises
    ------
    FitError
        If nothing can be fitted; says why for every particle and slice.
    """
    present = [int(p) for p in np.unique(summary.particles.pdg)]
    parts: list[SliceTune] = []
    excluded: list[str] = []
    for pdg in present if pdgs is None else pdgs:
        if pdg not in recipe.particles:
            excluded.append(_not_described(pdg, recipe))
            continue
        of_particle = summary.take(summary.particles.pdg == pdg) if recipe.needs_hits else None
        common: dict[str, Any] = {}
        for eta in slices if slices is not None else [None]:
            label = particle_name(pdg) + ("" if eta is None else f", eta {eta[0]:g} to {eta[1]:g}")
            chosen = (summary.particles.pdg == pdg) & in_slice(summary.particles.eta, eta)
            if not chosen.any():  # e.g. electrons in one slice only: nobody promised them elsewhere
                continue
            if chosen.sum() < MIN_SHOWERS:
                excluded.append(f"{label}: {int(chosen.sum())} training showers; at least {MIN_SHOWERS} are needed")
                continue
            progress(label)
            try:
                own = summary.take(chosen)
                electrons = _nearest([part for part in parts if abs(part.pdg) == 11], eta)
                earlier = None if start_from is None else _nearest(start_from.of(pdg), eta)
                part = fit_slice(
                    geometry, own, recipe, pdg, eta, electrons=electrons, start=earlier, of_particle=of_particle,
                    common=common,
                )  # fmt: skip
                parts.append(part)
            except FitError as error:
                excluded.append(f"{label}: {error}")
    if not quiet:
        for reason in excluded:
            warnings.warn(f"left out: {reason}", FastparamWarning, stacklevel=2)
    if not parts:
        raise FitError("nothing could be tuned; " + "; ".join(excluded or ["the sample has no showers"]))
    return Tune(geometry.name, geometry, recipe, summary.binning, tuple(parts), tuple(excluded), provenance or {})


def _not_described(pdg: int, recipe: Recipe) -> str:
    """Say why a recipe leaves a particle out, and which shipped recipes take it."""
    reason = (
        f"{particle_name(pdg)}: the recipe {recipe.name} describes"
        f" {', '.join(particle_name(p) for p in recipe.particles)} only"
    )
    if recipe.sampler == "gflash" and pdg not in ELECTROMAGNETIC:
        reason += ": gamma-function profiles are for electromagnetic particles"
    others = [name for name, path in shipped_recipes().items() if pdg in load_recipe(path).particles]
    return reason + (f"; recipes that describe it: {', '.join(others)}" if others else "")


def _nearest(parts: Sequence[SliceTune], eta: tuple[float, float] | None) -> SliceTune | None:
    """Return the slice whose middle is nearest to that of `eta`; None if there is none."""
    if not parts or eta is None:
        return parts[-1] if parts else None
    return min(parts, key=lambda part: abs(sum(part.eta or (0.0, 0.0)) - sum(eta)))


def fit_slice(
    geometry: Geometry,
    showers: Summary,
    recipe: Recipe,
    pdg: int,
    eta: tuple[float, float] | None,
    *,
    electrons: SliceTune | None = None,
    start: SliceTune | None = None,
    of_particle: Summary | None = None,
    common: dict[str, Any] | None = None,
) -> SliceTune:
    """Fit all components to the showers of one particle and slice.

    Parameters
    ----------
    geometry : Geometry
    showers : Summary
    recipe : Recipe
    pdg : int
    eta : tuple of float, or None
        Edges of the slice.
    electrons : SliceTune, optional
        Of the same detector: what photons share with electrons (`fit.conversion`).
    start : SliceTune, optional
        An earlier tune of such showers, whose laws the fits begin with.
    of_particle : Summary, optional
        Training showers of the particle in all slices; default: `showers`.
    common : dict, optional
        What the slices of a particle have in common (`tunes.models.Slice`).

    Raises
    ------
    FitError
        If a component that sampling needs cannot be fitted at all.
    """
    energy = showers.particles.energy
    points = energy_points(energy)
    components: dict[str, Fit] = {}
    tables: dict[str, Tables] = {}
    failed: dict[str, str] = {}
    before = {} if start is None else start.components
    classical_only = recipe.sampler == "gflash"
    flat = _without_modulation(geometry, showers, points, components, failed)
    steps: list[Callable[[], dict[str, Fit]]] = [
        lambda: {"response": response.fit(energy, flat.visible, start=before.get("response"))},
        # Summaries for the reader: nothing is sampled from them.
        lambda: {"resolution": response.resolution(energy, showers.visible)},
        lambda: {"layer_response": layers.response(energy, showers.layer_energy, points, geometry.layer_ids)},
    ]
    if pdg not in (*ELECTROMAGNETIC, *MUONS):
        steps.append(lambda: {"start": hadron_start.fit(geometry, energy, showers.layer_energy, points)})
    if pdg in ELECTROMAGNETIC:
        shared = electrons.components.get("longitudinal") if electrons is not None and pdg == 22 else None
        steps.append(lambda: _classical(geometry, flat, recipe, points, pdg, tables, shared, before, failed))
    for step in steps:
        try:
            components |= step()
        except FitError as error:
            failed[str(error).partition(":")[0]] = str(error)
    if classical_only and (missing := [name for name in SAMPLED_BY_GFLASH if name not in components]):
        raise FitError("; ".join(dict.fromkeys(failed.values())) or f"{', '.join(missing)} could not be fitted")
    if not classical_only:
        everything = showers if of_particle is None else of_particle
        shares = {} if common is None else common
        part = Slice(geometry, recipe, pdg, eta, showers, points, components, everything, shares)
        found = MODELS[recipe.sampler](part)
        tables, components = tables | found.tables, components | found.components
    for name, component in components.items():
        if component.failed:
            at_limit = f" (at a limit: {', '.join(component.at_limit)})" if component.at_limit else ""
            failed[name] = "; ".join(component.notes) or f"the minimiser found no valid minimum{at_limit}"
        elif name == "conversion" and component.notes:
            failed[name] = "; ".join(component.notes)
    angle = (
        0.0 if geometry.frame == "barrel" else float(np.arccos(np.clip(showers.particles.direction[:, 2], -1, 1)).max())
    )
    sparse = tuple(float(e) for e, n in zip(points.energy, points.counts, strict=True) if n < MIN_SHOWERS)
    return SliceTune(
        pdg, eta, (float(energy.min()), float(energy.max())), angle, len(showers), components, failed, sparse, tables
    )


def _without_modulation(
    geometry: Geometry, showers: Summary, points: EnergyPoints, components: dict[str, Fit], failed: dict[str, str]
) -> Summary:
    """Fit the modulation that the geometry declares, and return the showers as they would be without it.

    Samplers put it back at each particle's phi; laws fitted to showers at all phases would hold it as fluctuation.
    """
    if geometry.config.modulation is None:
        return showers
    try:
        found = modulation_fit.fit(geometry, showers.particles, showers.layer_energy, points)
    except FitError as error:
        failed["modulation"] = str(error)
        return showers
    components["modulation"] = found
    return modulation.undo_summary(found, geometry, showers) if found.settings["applied"] else showers


def _classical(
    geometry: Geometry,
    showers: Summary,
    recipe: Recipe,
    points: EnergyPoints,
    pdg: int,
    tables: dict[str, Tables],
    electrons: Fit | None,
    before: Mapping[str, Fit],
    failed: dict[str, str],
) -> dict[str, Fit]:
    """Fit gamma profiles and all that stands on them.

    Puts what is no law into `tables`, and into `failed` the corrections that the hits do not support: the classical
    form can be sampled without them.
    """
    energy = showers.particles.energy
    profiles = profiles_of(geometry, showers)
    components: dict[str, Fit] = {}

    def correct(name: str, fit: Callable[[], Fit]) -> None:
        try:
            components[name] = fit()
        except FitError as error:
            failed[name] = str(error)

    components["longitudinal"], single = longitudinal.shower_fits(
        profiles, points, law=recipe.longitudinal_law, start=before.get("longitudinal")
    )
    # Spots, layers and warp stand on the profiles that are sampled.
    sampled, shapes, expected = profiles, single, None
    if pdg == PHOTON and recipe.photons == "conversion":
        components["conversion"], starts = conversion.fit(
            profiles, points, single, components["longitudinal"], electrons=electrons, start=before.get("conversion")
        )
        sampled, shapes, expected = starts.profiles, starts.showers, starts.expected
    elif pdg == PHOTON and "marginals" in recipe.corrections:
        tables["shape_marginals"] = shape_marginals.fit(profiles, single, components["longitudinal"])
    components["spots"] = spots.fit(shapes, energy, points)
    components["layers"] = layers.fit(sampled, shapes.theta, points, expected=expected)
    if "warp" in recipe.corrections:
        deposits = spots.evaluate(components["spots"], energy)
        main = sampled.of_medium(components["layers"].settings["main"])
        correct("warp", lambda: warp.fit(main, shapes.theta, deposits))
    if "layers" in recipe.corrections:
        media, cell_layer = components["layers"], showers.binning.cell_layer
        correct(
            "layer_factors",
            lambda: layer_factors.fit(
                showers.layer_energy,
                layer_factors.expected_energy(sampled, shapes.theta, media, components.get("warp"), cell_layer),
                layer_factors.reference(profiles, single.theta, media, cell_layer),
                points,
                geometry.layer_ids,
            ),
        )
    radii = radial_data(geometry, showers, single, profiles.depths)
    components["radial"] = radial.fit(radii, recipe.radial_law, start=before.get("radial"))
    if "radial" in recipe.corrections:
        correct("radial_warp", lambda: radial_warp.fit(radii, components["radial"]))
    if "spots" in recipe.corrections:
        correct("spot_groups", lambda: spot_groups.fit(radial.cells(radii), components["spots"]))
    if "spectrum" in recipe.corrections:
        correct("spot_spectrum", lambda: spot_spectrum.fit(radii))
    return components


def profiles_of(geometry: Geometry, showers: Summary) -> longitudinal.Profiles:
    """Longitudinal profiles of a summary's showers."""
    return longitudinal.Profiles(
        showers.particles.energy,
        np.log(showers.particles.energy / geometry.material.critical_energy),
        showers.cell_energy,
        cell_depths(geometry, showers.particles, showers.binning),
        geometry.layer_medium[showers.binning.cell_layer].astype(np.int64),
    )


def radial_data(geometry: Geometry, showers: Summary, shapes: ShowerFits, depths: Floats) -> radial.RadialData:
    """Cells of depth and radius of a summary's showers; `shapes` holds what is known of their (ln T, ln alpha).

    Entries are sorted by the most likely T, the ages of their energy follow all T that the shower's cells allow: at the
    most likely one the law would be a smeared one, and sampled showers, whose T are not smeared, 3 to 9 % too wide
    where showers are small.
    """
    binning = showers.binning
    shower = np.repeat(np.arange(len(showers)), np.diff(showers.offsets))
    cell = showers.content_cell
    parts = depths[..., :1] + (depths[..., 1:] - depths[..., :1]) * np.linspace(0.0, 1.0, _AGES_PER_CELL + 1)
    edges = np.stack([parts[..., :-1], parts[..., 1:]], axis=-1).reshape(len(showers), -1, 2)
    ages, shares = [], []
    for k, weight in enumerate(NODE_WEIGHTS):
        ln_t, ln_alpha = shapes.nodes[:, k].T.copy()
        inside = gamma_fractions(ln_t, ln_alpha, edges).reshape(*depths.shape[:2], -1)
        total = inside.sum(axis=2, keepdims=True)
        known = total > 1e-12
        shares.append(weight * np.where(known, inside / np.where(known, total, 1.0), 1.0 / _AGES_PER_CELL))
        ages.append(0.5 * (parts[..., :-1] + parts[..., 1:]) / np.exp(ln_t)[:, None, None])
    return radial.RadialData(
        shower,
        depths.mean(axis=2)[shower, cell] / np.exp(shapes.theta[:, 0])[shower],
        showers.content_ring,
        showers.content_energy.astype(np.float64),
        binning.r_edges / geometry.material.moliere_radius,
        energy_points(showers.particles.energy),
        showers.particles.energy,
        cell,
        np.concatenate(ages, axis=2),
        np.concatenate(shares, axis=2),
        acceptance.acceptance(geometry, showers.particles, binning, cell_paths(geometry, showers.particles, binning)),
    )


def check_shower_maximum(geometry: Geometry, summary: Summary) -> None:
    """Refuse electrons and photons whose showers peak where their energy does not allow it.

    The shower maximum lies near ln(E / Ec) (PDG, "Passage of particles through matter": minus 0.5 X0 for electrons,
    plus 0.5 X0 for photons). A maximum in front of the detector or behind it is expected at the nearest depth seen.

    Raises
    ------
    InputError
        If the mean profile of the sample peaks more than 3 X0 from there on average; the likely wrong unit is named.
    """
    light = np.flatnonzero(np.isin(summary.particles.pdg, [11, -11, 22]) & (summary.visible > 0))[:2000]
    if len(light) < 20:
        return
    showers = summary.take(light)
    depths = cell_depths(geometry, showers.particles, showers.binning)
    width = depths[..., 1] - depths[..., 0]
    points = energy_points(showers.particles.energy)
    expected, seen, found = (np.empty(len(points)) for _ in range(3))
    for p in range(len(points)):
        own = points.point == p
        reach = depths[own].max(axis=(1, 2)).mean()
        first = np.where(width[own] > 0, depths[own, :, 0], np.inf).min(axis=1).mean()
        expected[p] = np.log(points.energy[p] / geometry.material.critical_energy)
        seen[p] = min(max(expected[p], first), reach)
        total_width = width[own].sum(axis=0)
        density = showers.cell_energy[own].sum(axis=0) / np.where(total_width > 0, total_width, np.inf)
        main = geometry.layer_medium[showers.binning.cell_layer]
        energy_of = np.bincount(main, weights=showers.cell_energy[own].sum(axis=0))
        density = np.where(main == np.argmax(energy_of), density, 0.0)
        found[p] = depths[own].mean(axis=(0, 2))[int(np.argmax(density))]
    if abs(np.average(found - seen, weights=points.counts)) <= _MAXIMUM_TOLERANCE:
        return
    shift = float(np.average(found - expected, weights=points.counts))
    # Units of energy differ by powers of 1000.
    factor = 1000.0 ** round(shift / np.log(1000.0))
    likely = "" if factor == 1.0 else f", as if their energies were {factor:g} times what was read"
    raise InputError(
        f"{geometry.path}: electrons and photons reach their shower maximum {shift:+.1f} X0 from ln(E/Ec){likely};"
        " check `units: {energy: ...}` of the samples, `energy_is`, and the materials of the layers"
    )
