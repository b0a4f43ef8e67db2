"""What each fluctuation of the recipes `hybrid`, `mosaic` and `voxel` buys, measured on sampled showers.

Each switch of the recipe is turned off by itself, showers are sampled for particles of held-back ones, and both are
cut into the detector's voxels: the mean separation of their features (`comparison.separation`) with and without says
what the switch is worth. Nothing is fitted again. The cost is bounded: the slice of each particle with most showers,
`SHOWERS` of them at most, `REPEAT` sampled ones for each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastparam.comparison.features import features_of
from fastparam.comparison.separation import separations
from fastparam.comparison.voxels import VoxelSample
from fastparam.errors import UsageError
from fastparam.generate.tuned import TunedGenerator
from fastparam.geometry.voxels import default_voxels, voxels_of
from fastparam.hits.voxelise import voxelise_local
from fastparam.particles import Particles, particle_name
from fastparam.tunes.slices import in_slice
from fastparam.tunes.tune import SliceTune, Tune

if TYPE_CHECKING:
    from fastparam.geometry.voxels import VoxelBinning
    from fastparam.summary import Summary

__all__ = ["REPEAT", "SHOWERS", "SWITCHES", "fluctuation_gains"]

#: Showers of a slice that are judged at most, sampled ones for each, and replicas of the bootstrap.
SHOWERS, REPEAT, _REPLICAS, _FEWEST = 250, 2, 40, 30

#: By recipe, what is switched off: name in the report, and the settings that do it.
SWITCHES: dict[str, dict[str, dict[str, Any]]] = {
    "hybrid": {
        "correlations": {"copula": "independent"},
        "correlations beyond linear ones": {"copula": "gaussian"},
        "dipoles of rings": {"dipoles": False},
        "clumps of hits": {"clumps": "none"},
        "distances of hits": {"pairs": False},
        "energies of hits": {"spectra": False},
        "cells of merged hits": {"grid": False},
        "numbers of hits": {"numbers": False},
        "modulation in phi": {"modulation": False},
    },
    "mosaic": {
        "correlations": {"copula": "independent"},
        "correlations beyond linear ones": {"copula": "gaussian"},
        "dipoles of rings": {"dipoles": False},
        "modulation in phi": {"modulation": False},
    },
    "voxel": {
        "correlations": {"copula": "independent"},
        "correlations beyond linear ones": {"copula": "gaussian"},
        "numbers of hit voxels": {"counts": False},
    },
}


def fluctuation_gains(tune: Tune, showers: Summary, *, seed: int) -> list[dict[str, Any]]:
    """Measure the distance to full simulation with all fluctuations, and without each.

    Parameters
    ----------
    tune : Tune
    showers : Summary
        Held back where there are any; with single hits, else nothing is measured.
    seed : int

    Returns
    -------
    list of dict
        One row per particle and set of fluctuations: "particle", "eta", "without" ("" for nothing missing),
        "separation" and its "error" (one standard deviation), and "showers", how many were judged. Empty for other
        recipes.
    """
    switches = SWITCHES.get(tune.recipe.sampler)
    if switches is None or showers.deposits is None:
        return []
    rows = []
    for part, own in _largest(tune, showers):
        judged = own.take(np.unique(np.linspace(0, len(own) - 1, min(SHOWERS, len(own))).astype(np.int64)))
        binning = _binning(tune, part)
        reference = VoxelSample.from_dense(_voxels(tune, judged, binning), judged.particles.energy, binning)
        particles = Particles.concatenate([judged.particles] * REPEAT)
        particles = particles.with_index(np.arange(len(particles)))
        for name, settings in {"": {}, **switches}.items():
            if not _acts(tune, part, settings):
                continue
            made = TunedGenerator(_changed(tune, settings)).generate(particles, seed=seed).voxels(binning)
            candidate = VoxelSample.from_dense(made, particles.energy, binning)
            found = separations(
                features_of(reference, threshold=0.0), features_of(candidate, threshold=0.0), replicas=_REPLICAS
            ).mean
            rows.append(
                {
                    "particle": particle_name(part.pdg), "eta": part.eta, "without": name, "separation": found.value,
                    "error": found.error, "showers": len(judged),
                }
            )  # fmt: skip
    return rows


def _largest(tune: Tune, showers: Summary) -> list[tuple[SliceTune, Summary]]:
    """Return for each particle the slice with most showers with hits, and these."""
    found: dict[int, tuple[SliceTune, Summary]] = {}
    assert showers.deposits is not None
    for part in tune.slices:
        chosen = (showers.particles.pdg == part.pdg) & in_slice(showers.particles.eta, part.eta)
        low, high = part.energy_range
        energy = showers.particles.energy
        own = showers.take(chosen & showers.deposits.kept & (energy >= low) & (energy <= high))
        if len(own) >= max(_FEWEST, 1 + len(found[part.pdg][1]) if part.pdg in found else 0):
            found[part.pdg] = (part, own)
    return list(found.values())


def _binning(tune: Tune, part: SliceTune) -> VoxelBinning:
    try:
        return voxels_of(tune.geometry, pdg=part.pdg, eta=None if part.eta is None else sum(part.eta) / 2)
    except UsageError:  # the file has voxels, but none for this particle
        return default_voxels(tune.geometry)


def _voxels(tune: Tune, showers: Summary, binning: VoxelBinning) -> npt.NDArray[np.float64]:
    deposits = showers.deposits
    assert deposits is not None
    d1, d2, e = (getattr(deposits, name).astype(np.float64) for name in ("d1", "d2", "e"))
    rows = binning.rows_of_layers(tune.geometry)
    return voxelise_local(binning, rows, deposits.layer, d1, d2, e, deposits.offsets)[0]


def _changed(tune: Tune, settings: dict[str, Any]) -> Tune:
    own = getattr(tune.recipe, tune.recipe.sampler).model_copy(update=settings)
    recipe = tune.recipe.model_copy(update={tune.recipe.sampler: own})
    return Tune(tune.name, tune.geometry, recipe, tune.binning, tune.slices, (), {})


def _acts(tune: Tune, part: SliceTune, settings: dict[str, Any]) -> bool:
    """Whether a switch changes anything for a particle."""
    own = getattr(tune.recipe, tune.recipe.sampler)
    if all(getattr(own, name) == value for name, value in settings.items()) and settings:
        return False
    if "modulation" in settings and tune.geometry.config.modulation is None:
        return False
    return "clumps" not in settings or own.clumps == "all" or abs(part.pdg) not in (11, 22)
