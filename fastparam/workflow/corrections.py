"""What each correction of the classical form buys, measured on showers without sampling any.

Each shower keeps the (T, alpha) that the fit finds for it, and the model is asked for the mean of the same showers:
with all corrections of the recipe, with each of them switched off in turn, and with none. Differences of the model and
its own showers need little statistics: no law of (T, alpha) and no random number is in them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastparam.comparison.sample import depth_groups
from fastparam.fit import layer_factors, radial, radial_warp, spot_groups, spot_spectrum, spots
from fastparam.fit.fit import Fit
from fastparam.fit.radial import RadialCells
from fastparam.particles import particle_name
from fastparam.tunes.fitting import radial_data
from fastparam.tunes.tune import Tune
from fastparam.workflow.validate import Judged

__all__ = ["COMPONENTS", "QUANTITIES", "correction_gains"]

Floats = npt.NDArray[np.float64]

#: The component behind each correction of a recipe.
COMPONENTS = {
    "warp": "warp",
    "layers": "layer_factors",
    "radial": "radial_warp",
    "spots": "spot_groups",
    "spectrum": "spot_spectrum",
}

#: Columns of the table: key, and what it is.
QUANTITIES = {
    "profile": "largest deviation of the mean profile / % of maximum",
    "layers": "deviation of layer energies / %",
    "r50": "deviation of R50 / %",
    "r90": "deviation of R90 / %",
    "tail": "energy beyond 5 R_M / %",
    "deposits": "independent deposits across / %",
    "cubes": "third moment of far energy / %",
}

_MIN_SHOWERS = 10

#: Layers with less than this share of the energy of a point are not judged, and where "beyond" begins in Moliere radii.
_SMALLEST_LAYER, _FAR = 0.002, 5.0


def correction_gains(tune: Tune, judged: list[Judged]) -> list[dict[str, Any]]:
    """Measure what is wrong with, and without, each correction.

    Parameters
    ----------
    tune : Tune
    judged : list of Judged
        Showers of `validate.judged_showers`, held back where there are any.

    Returns
    -------
    list of dict
        One row per particle, slice and set of corrections: "particle", "eta", "without" (a correction, "" for none of
        them missing, "all" for the classical form), and `QUANTITIES` in per cent. "profile" is the rms over energies of
        the largest deviation over bins of 1 X0, "layers" the rms over energies and layers with more than 0.2 % of the
        energy, "r50" and "r90" the median of the sizes over energies and bins of age, weighted with the energy in them,
        of radii above the width of a lateral cell; "tail", "deposits" and "cubes" are mean ratios minus one. None where
        nothing can be measured.
    """
    rows = []
    for own in judged:
        part = own.part
        used = [name for name, component in COMPONENTS.items() if component in part.components]
        if not used:
            continue
        data = radial_data(tune.geometry, own.showers, own.shapes, own.profiles.depths)
        cells, third = radial.cells(data), spot_spectrum.moments(data)
        for missing in ("", *used, *(("all",) if len(used) > 1 else ())):
            off = {COMPONENTS[name] for name in (used if missing == "all" else [missing] if missing else [])}
            components = {name: fit for name, fit in part.components.items() if name not in off}
            moliere = tune.geometry.material.moliere_radius
            rows.append(
                {
                    "particle": particle_name(part.pdg),
                    "eta": part.eta,
                    "without": missing,
                    **_finite(_longitudinal(tune, own, components)),
                    **_finite(_radial(cells, components, own.showers.binning.lateral_cell / moliere)),
                    **_finite({"cubes": _third(third, components.get("spot_spectrum"))}),
                }
            )
    return rows


def _finite(values: dict[str, float]) -> dict[str, float | None]:
    """Turn what cannot be measured into None: reports are JSON."""
    return {name: value if np.isfinite(value) else None for name, value in values.items()}


def _longitudinal(tune: Tune, own: Judged, components: dict[str, Fit]) -> dict[str, float]:
    profiles, showers = own.profiles, own.showers
    layer = showers.binning.cell_layer
    model = layer_factors.cell_energy(
        profiles, own.theta, components["layers"], components.get("warp"), layer, components.get("layer_factors")
    )
    main = profiles.medium == profiles.main_medium
    bins, low, high = depth_groups(tune.geometry, profiles.depths[:, main], layer[main])
    to_bin = (bins[:, None] == np.arange(len(low))) / np.maximum(high - low, 1e-9)
    to_layer = (layer[:, None] == np.arange(tune.geometry.n_layers)).astype(np.float64)
    largest, of_layers = [], []
    for p in range(len(own.points)):
        chosen = own.points.point == p
        if chosen.sum() < _MIN_SHOWERS:
            continue
        weight = 1.0 / showers.visible[chosen]
        seen, found = (weight @ (cells[chosen][:, main] @ to_bin) for cells in (profiles.cell_energy, model))
        seen, found = seen / (seen @ (high - low)), found / (found @ (high - low))
        largest.append(np.abs(found - seen).max() / seen.max())
        # The layer a hit is in counts here, not the one its line is in at its depth.
        full, fitted = weight @ showers.layer_energy[chosen], weight @ (model[chosen] @ to_layer)
        kept = full > _SMALLEST_LAYER * full.sum()
        of_layers.append((fitted / np.where(kept, full, 1.0) - 1.0)[kept])
    both = (np.array(largest), np.concatenate(of_layers) if of_layers else np.zeros(0))
    return {name: _rms(values) for name, values in zip(("profile", "layers"), both, strict=True)}


def _radial(rows: RadialCells, components: dict[str, Fit], smallest: float) -> dict[str, float]:
    law, bend, groups = components["radial"], components.get("radial_warp"), components.get("spot_groups")
    model = radial.predicted(rows, law) if bend is None else radial_warp.predicted(rows, law, bend)
    edges = np.sqrt(rows.r2)
    result = {}
    weight = rows.share * rows.n_showers
    for name, q in (("r50", 0.5), ("r90", 0.9)):
        seen, found = (np.array([_quantile(row, rows.r2, q) for row in f]) for f in (rows.fractions, model))
        kept = seen > max(smallest, 1e-9)
        result[name] = _median(np.abs(found[kept] / seen[kept] - 1.0), weight[kept])
    far = edges[:-1] >= edges[np.argmin(np.abs(edges - _FAR))]
    result["tail"] = 100.0 * float(
        weight @ model[:, far].sum(axis=1) / (weight @ rows.fractions[:, far].sum(axis=1)) - 1
    )
    per_shower = spots.evaluate(components["spots"], rows.energy) * rows.share
    if groups is not None:
        per_shower *= spot_groups.per_group(groups, rows.energy, (rows.mixture * rows.tau).sum(axis=1))
    found_, seen_ = weight @ per_shower, weight @ (rows.n_eff / rows.n_showers)
    result["deposits"] = 100.0 * float(found_ / seen_ - 1.0)
    return result


def _third(seen: spot_spectrum.Moments, spectrum: Fit | None) -> float:
    """Third moment that the spots have over the one seen, minus one, in per cent."""
    model = 1.0 if spectrum is None else 1.0 + spot_spectrum.evaluate(spectrum, seen.energy)
    cubes = seen.weight @ seen.cubes
    return 100.0 * float(seen.weight @ (model * seen.squares) / cubes - 1.0) if cubes > 0 else float("nan")


def _quantile(fractions: Floats, r2: Floats, q: float) -> float:
    within = np.concatenate([[0.0], np.cumsum(fractions)])
    return float(np.sqrt(np.interp(q * within[-1], within, r2)))


def _rms(values: Floats) -> float:
    """Root of the mean square in per cent; NaN of nothing."""
    return 100.0 * float(np.sqrt(np.mean(values**2))) if len(values) else float("nan")


def _median(values: Floats, weight: Floats) -> float:
    """Weighted median in per cent; NaN of nothing."""
    if not len(values):
        return float("nan")
    order = np.argsort(values)
    below = np.cumsum(weight[order]) - 0.5 * weight[order]
    return 100.0 * float(np.interp(0.5 * weight.sum(), below, values[order]))
