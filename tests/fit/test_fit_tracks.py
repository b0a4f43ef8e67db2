"""Tracks of the recipe `fastcalosim`: known continuation of deposits comes back; independent layers show none."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from fastparam.fit import lateral, tracks
from fastparam.fit.lateral import Lateral, LayerHits
from fastparam.fit.tables import Tables
from fastparam.fit.tracks import Tracks
from fastparam.summary.points import energy_points

LAYERS, PER_LAYER = 10, 24
ENERGIES = np.repeat([4000.0, 16_000.0, 64_000.0], 600)
GEOMETRY = SimpleNamespace(n_layers=LAYERS, layer_medium=np.zeros(LAYERS, dtype=np.int64))


def toy(truth: Tracks, seed: int = 1) -> LayerHits:
    """Equal hits, 13 on average, uniform in azimuth, exponential in radius; each track a Markov chain of its own."""
    rng = np.random.default_rng(seed)
    n = len(ENERGIES)
    joins = np.sqrt(truth.begun(ENERGIES))[:, None]
    keeps_radius = np.sqrt(truth.radius)
    alpha, r = np.empty((n, LAYERS, PER_LAYER)), np.empty((n, LAYERS, PER_LAYER))
    for layer in range(LAYERS):
        fresh_a, fresh_r = rng.uniform(-np.pi, np.pi, (n, PER_LAYER)), rng.exponential(20.0, (n, PER_LAYER))
        if layer == 0:
            track_a, track_r = fresh_a, fresh_r
        else:
            ends = rng.random((n, PER_LAYER)) >= np.exp(-1 / truth.length)
            track_a = np.where(ends, rng.uniform(-np.pi, np.pi, (n, PER_LAYER)), track_a)
            moves = ends | (rng.random((n, PER_LAYER)) >= np.exp(-1 / truth.radius_length))
            track_r = np.where(moves, rng.exponential(20.0, (n, PER_LAYER)), track_r)
        on = rng.random((n, PER_LAYER)) < joins
        alpha[:, layer] = np.where(on, track_a, fresh_a)
        r[:, layer] = np.where(on & (rng.random((n, PER_LAYER)) < keeps_radius), track_r, fresh_r)
    shower, layer, number = np.indices(alpha.shape)
    # As many as the sampler makes: 1 + Poisson, of which the first continue.
    some = number < np.minimum(1 + rng.poisson(PER_LAYER / 2, (n, LAYERS)), PER_LAYER)[..., None]
    return LayerHits(shower[some], layer[some], r[some], alpha[some], np.full(int(some.sum()), 3.0))


def shapes_of(hits: LayerHits) -> Lateral:
    return lateral.fit(
        GEOMETRY, hits, energy_points(ENERGIES), ENERGIES, np.zeros(len(ENERGIES), dtype=np.int64), n_bins=1, cell=0.0,
        weighted=False, law=None,
    )  # fmt: skip


def fitted(hits: LayerHits) -> Tracks | None:
    return tracks.fit(hits, energy_points(ENERGIES), np.zeros(len(ENERGIES), dtype=np.int64), shapes_of(hits))


@pytest.mark.parametrize("truth", [Tracks(0.3, 0.2, 4.0, 0.0, 1.0), Tracks(0.0, 0.1, 8.0, 0.9, 6.0)])
def test_what_continues_comes_back(truth: Tracks) -> None:
    """c to three standard errors, and what radii share of it.

    Where everything continues, an energy's 600 showers have one dipole each, whose square scatters by its mean: 4 %.
    """
    found = fitted(toy(truth))
    assert found is not None
    d = np.arange(1, 7)

    def agreement(t: Tracks) -> tuple[np.ndarray, np.ndarray]:
        c = t.begun(np.unique(ENERGIES))[:, None] * np.exp(-d / t.length)
        return c, c * t.radius * np.exp(-d / t.radius_length)

    azimuth, radius = zip(agreement(found), agreement(truth), strict=True)
    assert np.abs(azimuth[0] - azimuth[1]).max() < 3 / np.sqrt(600)
    assert np.abs(radius[0] - radius[1]).max() < 0.15  # from two moments of heavy-tailed centroids
    assert np.abs(radius[0][:, 0] - agreement(Tracks(0.0, 0.0, 8.0, 0.9 - truth.radius, 6.0))[1][:, 0]).min() > 0.2


def test_layers_of_different_showers_do_not_continue() -> None:
    """The same hits, each layer given to another shower: nothing is found."""
    hits = toy(Tracks(0.0, 0.0, 8.0, 0.9, 6.0))
    turned = (hits.shower + 17 * hits.layer) % len(ENERGIES)
    order = np.lexsort((hits.layer, turned))
    mixed = LayerHits(turned[order], *(getattr(hits, name)[order] for name in ("layer", "r", "alpha", "e")))
    found = fitted(mixed)
    assert found is None or found.begun(ENERGIES).max() * np.exp(-1 / found.length) < 0.1


def test_a_lean_of_all_showers_to_one_side_of_their_own_is_found() -> None:
    """Not tracks at all: azimuths of a shower follow 1 + cos(alpha - phi), so that dipoles of all layers agree."""
    hits = toy(Tracks(20.0, 0.0, 1.0))
    rng = np.random.default_rng(4)
    phi = rng.uniform(-np.pi, np.pi, len(ENERGIES))
    away = rng.random(len(hits.alpha)) > (1 + np.cos(hits.alpha - phi[hits.shower])) / 2
    leaning = LayerHits(hits.shower, hits.layer, hits.r, np.where(away, hits.alpha + np.pi, hits.alpha), hits.e)
    found = fitted(leaning)
    assert found is not None
    assert found.length > 20
    assert found.begun(ENERGIES).min() > 0.9


def test_a_single_layer_has_nothing_to_continue() -> None:
    hits = toy(Tracks(0.0, 0.0, 8.0))
    own = hits.layer == 0
    one = LayerHits(*(getattr(hits, name)[own] for name in ("shower", "layer", "r", "alpha", "e")))
    geometry = SimpleNamespace(n_layers=1, layer_medium=np.zeros(1, dtype=np.int64))
    points, bins = energy_points(ENERGIES), np.zeros(len(ENERGIES), dtype=np.int64)
    shapes = lateral.fit(geometry, one, points, ENERGIES, bins, n_bins=1, cell=0.0, weighted=False, law=None)
    assert tracks.fit(one, points, bins, shapes) is None


def test_tables_hold_all_of_it() -> None:
    model = Tracks(0.3, 0.2, 4.0, 0.5, 2.0)
    assert Tracks.from_tables(Tables(model.to_arrays(), {})) == model
    assert Tracks.from_tables(Tables({}, {})) is None
    assert model.begun(1.0) == 1.0  # never more than all
