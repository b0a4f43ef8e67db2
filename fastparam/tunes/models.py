"""What each sampler needs beside the classical laws: one function per sampler that fits it to a slice's showers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastparam.fit import depth_shape, donors, fastcalosim, library, radial_shape, ring_model, voxels
from fastparam.fit.fit import Fit
from fastparam.fit.ring_model import phase_of, showers_with_hits
from fastparam.fit.tables import Tables
from fastparam.geometry.detector import Geometry
from fastparam.geometry.voxels import voxels_of
from fastparam.hits.voxelise import voxelise_local
from fastparam.summary.points import EnergyPoints
from fastparam.summary.summary import Summary
from fastparam.tunes.recipe import Recipe

__all__ = ["MODELS", "Fitted", "Slice"]


@dataclass(frozen=True)
class Slice:
    """The training showers of one particle in one eta slice, and what was fitted to them so far.

    Attributes
    ----------
    geometry : Geometry
    recipe : Recipe
    pdg : int
    eta : tuple of float, or None
        Edges of the slice.
    showers : Summary
    points : EnergyPoints
        Of the showers.
    components : dict of str to Fit
        Laws fitted already: the response, and of electromagnetic particles the classical ones.
    of_particle : Summary, optional
        Training showers of the particle in all slices; default: `showers`.
    shared : dict
        What the slices of a particle have in common; filled by the first of them.
    """

    geometry: Geometry
    recipe: Recipe
    pdg: int
    eta: tuple[float, float] | None
    showers: Summary
    points: EnergyPoints
    components: dict[str, Fit]
    of_particle: Summary | None = None
    shared: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Fitted:
    """What a model adds to a slice: tables to sample from, and laws that explain them."""

    tables: dict[str, Tables]
    components: dict[str, Fit]


def _library(part: Slice) -> Fitted:
    return Fitted({"library": library.fit(part.showers)}, {})


def _voxel(part: Slice) -> Fitted:
    showers, points = showers_with_hits(part.showers, part.points)
    deposits = showers.deposits
    assert deposits is not None
    eta = None if part.eta is None else sum(part.eta) / 2
    binning = voxels_of(part.geometry, pdg=part.pdg, eta=eta)
    found, _ = voxelise_local(
        binning, binning.rows_of_layers(part.geometry), deposits.layer, deposits.d1.astype(np.float64),
        deposits.d2.astype(np.float64), deposits.e.astype(np.float64), deposits.offsets,
    )  # fmt: skip
    particles = showers.particles
    model = voxels.fit(
        found, binning, particles.energy, points, phase=phase_of(part.geometry, particles.phi),
        max_scores=part.recipe.voxel.showers, rank=part.recipe.voxel.rank,
    )  # fmt: skip
    rows = binning.rows_of_layers(part.geometry)
    shape = radial_shape.fit(deposits, binning, rows)
    depth = depth_shape.fit(deposits, points, rows, showers.binning.n_cells == 1)
    return Fitted({"voxel": model.to_tables(), "radial_shape": shape, "depth_shape": depth}, {})


def _fastcalosim(part: Slice) -> Fitted:
    own = part.recipe.fastcalosim
    hadron = abs(part.pdg) not in (11, 22)
    components = dict(part.components)
    if not own.radial_function:
        components.pop("radial", None)
    tables = fastcalosim.fit(
        part.geometry,
        part.showers,
        components,
        n_bins=own.bins,
        hit_weights=own.hit_weights == "all" or (own.hit_weights == "hadrons" and hadron),
        start_bins=own.start_bins and hadron,
        continued=own.tracks,
        left_out=own.leave_out,
    )
    return Fitted({"fastcalosim": tables}, {})


def _hybrid(part: Slice) -> Fitted:
    return Fitted({"rings": _rings(part, part.recipe.hybrid.showers)}, {})


def _rings(part: Slice, max_scores: int) -> Tables:
    """Ring model: rings and merging grid of the particle, the rest of the slice."""
    if "rings" not in part.shared:
        everything = part.showers if part.of_particle is None else part.of_particle
        part.shared["rings"] = ring_model.frame_of(part.geometry, everything, pdg=part.pdg, eta=part.eta)
    return ring_model.fit(
        part.geometry, part.shared["rings"], part.showers, part.points, max_scores=max_scores
    )  # fmt: skip


def _mosaic(part: Slice) -> Fitted:
    """Ring model, and the rings of stored showers."""
    found = _rings(part, part.recipe.mosaic.showers)
    showers, points = showers_with_hits(part.showers, part.points)
    stored = donors.fit(
        part.shared["rings"].rings, showers, points, donors=part.recipe.mosaic.donors,
        phase=phase_of(part.geometry, showers.particles.phi),
    )  # fmt: skip
    return Fitted({"rings": Tables(found.arrays | stored.to_arrays(), found.settings)}, {})


#: By `Recipe.sampler`. GFlash needs nothing but the classical laws.
MODELS: dict[str, Callable[[Slice], Fitted]] = {
    "fastcalosim": _fastcalosim,
    "hybrid": _hybrid,
    "library": _library,
    "mosaic": _mosaic,
    "voxel": _voxel,
}
