"""The shipped hits with their single deposits, and ring tunes of them: what tests of the ring recipes share."""

from __future__ import annotations

from functools import cache

import numpy as np

from fastparam.geometry.detector import Geometry
from fastparam.geometry.load import load_geometry
from fastparam.summary import Summary, energy_points
from fastparam.summary.sample import summarise_sample
from fastparam.tunes.models import MODELS, Slice
from fastparam.tunes.recipe import Recipe, load_recipe
from fastparam.tunes.tune import SliceTune, Tune

__all__ = ["ring_tune", "showers", "with_settings"]


@cache
def _everything(name: str) -> tuple[Geometry, Summary]:
    geometry = load_geometry(name)
    return geometry, summarise_sample(geometry, keep_hits=True)


@cache
def showers(name: str, pdg: int = 22) -> tuple[Geometry, Summary]:
    """Return a shipped geometry and all of its showers of one particle, with their hits."""
    geometry, everything = _everything(name)
    return geometry, everything.take(everything.particles.pdg == pdg)


@cache
def ring_tune(name: str, pdg: int = 22, sampler: str = "hybrid") -> Tune:
    """Return a tune of one particle, one slice, that holds what the sampler needs and nothing else."""
    geometry, sample = showers(name, pdg)
    recipe = load_recipe(sampler)
    eta = sample.particles.eta
    edges = (float(eta.min()), float(eta.max())) if geometry.frame == "barrel" else None
    part = Slice(geometry, recipe, pdg, edges, sample, energy_points(sample.particles.energy), {})
    energy = sample.particles.energy
    span = (float(energy.min()), float(energy.max()))
    made = SliceTune(pdg, edges, span, 0.0, len(sample), {}, tables=MODELS[sampler](part).tables)
    return Tune(name, geometry, recipe, sample.binning, (made,), (), {})


def with_settings(tune: Tune, **settings: object) -> Tune:
    """Return a tune whose recipe has other settings of its sampler."""
    recipe: Recipe = tune.recipe
    changed = getattr(recipe, recipe.sampler).model_copy(update=settings)
    return Tune(
        tune.name, tune.geometry, recipe.model_copy(update={recipe.sampler: changed}), tune.binning, tune.slices, (), {}
    )


def layer_sums(geometry: Geometry, showers: np.ndarray, layer: np.ndarray, e: np.ndarray, n: int) -> np.ndarray:
    """Return the energy of n showers in each layer from their hits, shape (n, L)."""
    sums = np.zeros((n, geometry.n_layers))
    np.add.at(sums, (showers, layer), e)
    return sums
