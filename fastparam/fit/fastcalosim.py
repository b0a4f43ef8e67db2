"""All that the sampler of the recipe `fastcalosim` needs of a slice, from its showers.

* energies of layers, and depths inside thick ones, drawn together: `fit.energies` over `fit.marginals`;
* where a layer's energy lies in (r, alpha), and in how many hits: `fit.lateral`;
* how these continue from layer to layer: `fit.tracks`;
* how hits lie along the line inside a layer that is thick: a density over the layer (electromagnetic particles: the
  rise t^(alpha - 1) of the gamma function, alpha as the longitudinal law has it; others: as measured), tilted by a
  factor exp(-beta t) to the mean depth drawn for the shower. Tilting a gamma function only changes its T.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastparam.errors import FitError
from fastparam.fit import energies, hadron_start, lateral, longitudinal, modulation, radial, tracks
from fastparam.fit.energy_model import Energies
from fastparam.fit.energy_quantities import quantities_of, thick_layers
from fastparam.fit.energy_scores import Starts
from fastparam.fit.fit import Fit
from fastparam.fit.tables import Tables
from fastparam.geometry.ionisation import mip_energy
from fastparam.summary.points import energy_points
from fastparam.summary.shower_start import COARSE, MIPS, shower_start
from fastparam.summary.summarise import cell_depths

if TYPE_CHECKING:
    from fastparam.geometry.detector import Geometry
    from fastparam.summary.summary import Summary

__all__ = ["DEPTH_CELLS", "fit"]

Floats = npt.NDArray[np.float64]

#: Cells of equal width in which densities inside a thick layer are tabulated.
DEPTH_CELLS = 48

#: Of measured densities: coarser cells, so that merging cells do not show.
_MEASURED_CELLS = 8


def fit(
    geometry: Geometry,
    showers: Summary,
    components: dict[str, Fit],
    *,
    n_bins: int = 5,
    hit_weights: bool = False,
    start_bins: bool = False,
    continued: bool = True,
    left_out: bool = True,
) -> Tables:
    """Fit the model to the showers of one particle and slice.

    Parameters
    ----------
    geometry : Geometry
    showers : Summary
        With single hits.
    components : dict of str to Fit
        Laws that were fitted already: "modulation" is divided out; "longitudinal" gives the depth inside layers and
        "radial" the alternative to histograms, of electromagnetic particles.
    n_bins : int
        Bins of the leading component.
    hit_weights : bool
        Give hits the spectrum of the stored ones instead of equal energies.
    start_bins : bool
        Of a hadron: in detectors of many layers, take bins of the layer in which showers start instead; in those of
        few, give showers that pass a bin of their own.
    continued : bool
        Fit how deposits continue from layer to layer; else hits of different layers are independent.
    left_out : bool
        Measure how well each inner energy point is predicted without it.

    Raises
    ------
    FitError
        If there are too few showers with energy, or no single hits.
    """
    if showers.deposits is None or not showers.deposits.kept.any():
        raise FitError("lateral: the summary holds no single hits")
    if "modulation" in components:
        showers = modulation.undo_summary(components["modulation"], geometry, showers)
    assert showers.deposits is not None
    energy = showers.particles.energy
    points = energy_points(energy)
    starts, passing, pass_probability = None, None, None
    if start_bins:
        start = shower_start(showers.layer_energy, geometry)
        if geometry.n_layers >= COARSE:
            starts = Starts(start, MIPS * mip_energy(geometry))
        else:
            passing = start < 0
            if "start" in components:
                pass_probability = hadron_start.no_start_probability(components["start"], points.energy)
    quantities = quantities_of(geometry, showers, passing=passing)
    model, bin_ = energies.fit(
        quantities, points, energy, n_bins=n_bins, n_layers=geometry.n_layers, starts=starts,
        pass_probability=pass_probability,
    )  # fmt: skip
    hits = lateral.hits_of(showers.deposits)
    shapes = lateral.fit(
        geometry,
        hits,
        points,
        energy,
        bin_,
        n_bins=model.n_bins,
        cell=showers.binning.lateral_cell,
        weighted=hit_weights,
        law=_radial_law(geometry, showers, components, points.energy) if "radial" in components else None,
    )
    continuing = tracks.fit(hits, points, bin_, shapes) if continued else None
    thick = thick_layers(showers)
    arrays: dict[str, npt.NDArray[Any]] = {
        **model.to_arrays(),
        **shapes.to_arrays(),
        **({} if continuing is None else continuing.to_arrays()),
        "depth_layers": thick,
        "depth_measured": _measured_depths(showers, thick),
        "depth_exponent": _exponent(geometry, components, points.energy),
        "bin_counts": np.array([[int(((points.point == p) & (bin_ == b)).sum()) for b in range(model.n_bins)]
                                for p in range(len(points))]),
    }  # fmt: skip
    settings: dict[str, Any] = {
        "showers": len(showers),
        "bins": model.n_bins,
        "width_in_ln_e": model.width,
        "share_of_pooled_correlations": model.share,
        "quantile_knots": int(model.marginals.shape.shape[2]),
        "quantile_deviation": float(model.marginals.deviation.max()),
        "radial_function_in_layers": [int(i) for i in geometry.layer_ids[shapes.law]],
        "mirrored_layers": [int(f.sum()) for f in shapes.folded.T],
        "left_out": energies.left_out(quantities, points, energy) if left_out else [],
    }
    settings["notes"] = _notes(settings, model, geometry.n_layers)
    return Tables(arrays, settings)


def _notes(settings: dict[str, Any], model: Energies, n_layers: int) -> list[str]:
    """Say in words what was fitted and how it was chosen."""
    laws = model.marginals
    layers = settings["radial_function_in_layers"]
    notes = [
        f"energies: {len(laws.kind)} quantities ({n_layers} layers) at {len(laws.ln_e)} energies, {model.n_bins} bins"
        f" of {'the layer where showers start' if len(model.first) else 'the leading component'}"
        f"{', the first of hadrons that pass' if model.passing >= 0 else ''}; correlations share"
        f" showers over {model.width:g} in ln E, and bins {100 * model.share:.0f} % of them",
        f"quantile functions of {settings['quantile_knots']} knots, {settings['quantile_deviation']:.2f}/sqrt(n) from"
        " the showers' own at most (0.3 are allowed)",
        "radial function preferred to histograms in "
        + (f"{len(layers)} of {n_layers} layers: {', '.join(map(str, layers))}" if layers else "no layer"),
        "mirror symmetric in e1, e2, under their exchange: "
        + ", ".join(str(n) for n in settings["mirrored_layers"])
        + f" of {n_layers} layers",
    ]
    rows = settings["left_out"]
    if rows:
        mean, width = (max(rows, key=lambda r: abs(r[c])) for c in ("mean", "width"))
        notes.append(
            f"a left-out inner energy is predicted to {mean['mean']:+.2f} +- {mean['mean_error']:.2f} % in the mean"
            f" ({mean['energy'] / 1000:.4g} GeV) and {width['width']:+.1f} +- {width['width_error']:.1f} % in the width"
            f" ({width['energy'] / 1000:.4g} GeV)"
        )
    return notes


def _exponent(geometry: Geometry, components: dict[str, Fit], energy: Floats) -> Floats:
    """Exponent alpha - 1 of the gamma function at the energy points; empty where none was fitted."""
    if "longitudinal" not in components:
        return np.empty(0)
    law = longitudinal.evaluate(components["longitudinal"], np.log(energy / geometry.material.critical_energy))
    return np.asarray(np.exp(law["mean_ln_alpha"]) - 1.0)


def _measured_depths(showers: Summary, thick: npt.NDArray[np.int64]) -> Floats:
    """Mean density of energy over each thick layer, (n_thick, DEPTH_CELLS), from all energies."""
    d = showers.deposits
    assert d is not None
    found = np.full((len(thick), DEPTH_CELLS), 1.0 / DEPTH_CELLS)
    weight = d.e.astype(np.float64) / showers.particles.energy[d.shower]
    for j, layer in enumerate(thick):
        own = d.layer == layer
        coarse, _ = np.histogram(d.depth[own] / 255.0, np.linspace(0, 1, _MEASURED_CELLS + 1), weights=weight[own])
        if coarse.sum() > 0:
            middle = (np.arange(_MEASURED_CELLS) + 0.5) / _MEASURED_CELLS
            fine = np.interp((np.arange(DEPTH_CELLS) + 0.5) / DEPTH_CELLS, middle, coarse) + 1e-6 * coarse.sum()
            found[j] = fine / fine.sum()
    return found


def _radial_law(geometry: Geometry, showers: Summary, components: dict[str, Fit], energy: Floats) -> Any:
    """Return the function from radial edges in mm to shares (P, L, R) of the tuned radial function.

    Every layer is taken at the mean age that its energy has at each energy point.
    """
    few = showers.take(np.arange(min(len(showers), 500)))
    depths = cell_depths(geometry, few.particles, few.binning).mean(axis=(0, 2))
    cells = showers.cell_energy / showers.particles.energy[:, None]
    points = energy_points(showers.particles.energy)
    layer = showers.binning.cell_layer
    law = longitudinal.evaluate(components["longitudinal"], np.log(energy / geometry.material.critical_energy))
    tau = np.zeros((len(energy), geometry.n_layers))
    for p in range(len(energy)):
        mean = cells[points.point == p].mean(axis=0)
        held = np.bincount(layer, weights=mean, minlength=geometry.n_layers)
        at = np.bincount(layer, weights=mean * depths, minlength=geometry.n_layers)
        plain = np.bincount(layer, weights=depths, minlength=geometry.n_layers) / showers.binning.n_cells
        tau[p] = np.where(held > 0, at / np.where(held > 0, held, 1.0), plain) / math.exp(law["mean_ln_t"][p])

    def shares(edges: Floats) -> Floats:
        r2 = (edges / geometry.material.moliere_radius) ** 2
        core, tail, p = radial.evaluate(components["radial"], tau, np.log(energy / 10_000.0)[:, None])
        inside = p[..., None] * r2 / (r2 + core[..., None] ** 2) + (1 - p[..., None]) * r2 / (r2 + tail[..., None] ** 2)
        between = np.diff(inside, axis=-1)
        return np.asarray(between / between.sum(axis=-1, keepdims=True))

    return shares
