"""Sampler of the recipe `library`: stored training showers, lent to particles like those that made them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fastparam.fit import library
from fastparam.generate.domain import Plan
from fastparam.generate.donors import Donors, Nearness, lend
from fastparam.hits.hits import Hits
from fastparam.particles import Particles
from fastparam.showers.join import join_hits
from fastparam.showers.showers import Showers
from fastparam.tunes.tune import SliceTune, Tune

__all__ = ["sampler"]


def sampler(tune: Tune) -> Callable[[Plan, Particles, int], Showers]:
    """Return what samples from a tune; needs no memory beyond the hits returned."""
    own = tune.recipe.library
    nearness = Nearness(own.at_least, own.phi_width, own.eta_width, own.rotate)
    # Slices of one particle are one library: which shower is near in eta is no matter of their edges.
    stored = {pdg: _donors(tune.of(pdg)) for pdg in tune.pdgs}

    def sampled(plan: Plan, particles: Particles, seed: int) -> Showers:
        served = np.array([part.pdg for part in tune.slices], dtype=np.int64)[plan.lower]
        parts: list[Hits] = []
        places = []
        for pdg in np.unique(served):
            rows = np.flatnonzero(served == pdg)
            parts.append(lend(stored[int(pdg)], tune.geometry, particles.take(rows), nearness, seed))
            places.append(rows)
        return Showers(particles, join_hits(parts, places), tune.geometry)

    return sampled


def _donors(slices: tuple[SliceTune, ...]) -> Donors:
    tables = [part.tables["library"] for part in slices]
    columns = {
        name: np.concatenate([table[name] for table in tables]) for name in (*library.PER_SHOWER, *library.PER_DEPOSIT)
    }
    offsets = np.concatenate([[0], np.cumsum(columns["n_deposits"], dtype=np.int64)]).astype(np.int64)
    return Donors.build(
        columns["energy"].astype(np.float64),
        offsets,
        eta=columns["eta"].astype(np.float64),
        phi=columns["phi"].astype(np.float64),
        layer=columns["layer"],
        d1=columns["d1"].astype(np.float32),
        d2=columns["d2"].astype(np.float32),
        share=(columns["depth"] / np.float32(255.0)).astype(np.float32),
        e=columns["e"].astype(np.float32),
        central=tables[0]["central"].astype(np.bool_),
    )
