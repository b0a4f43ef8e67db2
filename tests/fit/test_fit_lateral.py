"""Lateral shapes of the recipe `fastcalosim`: known densities, symmetries and numbers of deposits come back."""

from __future__ import annotations

import handmade
import numpy as np
import pytest
from scipy import stats

from fastparam.errors import FitError
from fastparam.fit import lateral
from fastparam.fit.lateral import Lateral, LayerHits
from fastparam.fit.tables import Tables
from fastparam.summary.points import energy_points

LEVEL = 1e-3
ENERGIES = np.repeat([4000.0, 16_000.0], 300)
CORE, TAIL, SHARE = 2.0, 20.0, 0.7


def radii(n: int, rng: np.random.Generator, core: float = CORE) -> np.ndarray:
    """Radii of the law of two components, up to 300 mm."""
    scale = np.where(rng.random(n) < SHARE, core, TAIL)
    u = rng.random(n) * 300.0**2 / (300.0**2 + scale**2)
    return scale * np.sqrt(u / (1.0 - u))


def below(r: np.ndarray, core: float = CORE) -> np.ndarray:
    def one(scale: float) -> np.ndarray:
        return r**2 / (r**2 + scale**2) * (300.0**2 + scale**2) / 300.0**2

    return SHARE * one(core) + (1 - SHARE) * one(TAIL)


def toy(
    per_shower: int = 60, clump: int = 1, tilt: float = 0.0, squeeze: float = 0.0, seed: int = 1
) -> tuple[LayerHits, np.ndarray]:
    """Showers with equal hits in three layers; `clump` of them lie at one place, the azimuth has 1 + tilt cos alpha."""
    rng = np.random.default_rng(seed)
    n, groups = len(ENERGIES), per_shower // clump
    shower = np.repeat(np.arange(n), 3 * groups)
    layer = np.tile(np.repeat(np.arange(3), groups), n)
    r = radii(len(shower), rng)
    alpha = rng.uniform(-np.pi, np.pi, len(shower))
    wrong = rng.random(len(shower)) > (1 + tilt * np.cos(alpha)) / (1 + abs(tilt))
    alpha[wrong] = np.where(rng.random(int(wrong.sum())) < 0.5, 1, -1) * np.arccos(rng.uniform(0, 1, int(wrong.sum())))
    d1 = r * np.cos(alpha) * (1 + squeeze)
    hits = LayerHits(
        shower, layer, np.hypot(d1, r * np.sin(alpha)), np.arctan2(r * np.sin(alpha), d1), np.full(len(r), 2.0)
    )
    every = np.repeat(np.arange(len(r)), clump)
    return LayerHits(*(getattr(hits, name)[every] for name in ("shower", "layer", "r", "alpha", "e"))), ENERGIES


def fitted(hits: LayerHits, *, weighted: bool = False, law: object = None, bin_: np.ndarray | None = None) -> Lateral:
    bins = np.zeros(len(ENERGIES), dtype=np.int64) if bin_ is None else bin_
    return lateral.fit(
        handmade.detector("barrel"), hits, energy_points(ENERGIES), ENERGIES, bins, n_bins=int(bins.max()) + 1,
        cell=0.0, weighted=weighted, law=law,
    )  # fmt: skip


def test_densities_are_those_of_the_hits_and_keep_a_core_of_a_millimetre() -> None:
    model = fitted(toy()[0])
    assert np.diff(model.edges)[:3] == pytest.approx(1.0)
    expected = np.diff(below(np.minimum(model.edges, 300.0)))
    for p in range(2):
        for layer in range(3):
            n = 300 * 60
            assert model.density[p, 0, layer] == pytest.approx(expected, abs=5 * np.sqrt(0.25 / n))
    assert model.density.sum(axis=-1) == pytest.approx(1.0)


def test_bins_of_the_leading_component_have_shapes_of_their_own() -> None:
    """Narrow showers in one bin, wide ones in the other; where there is nothing to tell, bins are drawn together."""
    hits, _ = toy()
    bin_ = np.arange(len(ENERGIES)) % 2
    scaled = LayerHits(hits.shower, hits.layer, hits.r * np.where(bin_[hits.shower] == 1, 2.0, 1.0), hits.alpha, hits.e)
    model = fitted(scaled, bin_=bin_)
    inside = model.edges[1:] < 2.5
    narrow, wide = (model.density[:, b][..., inside].sum() / 6 for b in (0, 1))
    edge = model.edges[1:][inside].max()
    assert narrow == pytest.approx(below(np.array(edge)), rel=0.03)
    assert wide == pytest.approx(below(np.array(edge / 2)), rel=0.03)
    assert fitted(hits, bin_=bin_).pseudo > model.pseudo


def test_even_azimuth_is_found_symmetric_and_flat() -> None:
    model = fitted(toy()[0])
    assert model.folded.all()
    assert (model.zone == 0).all()


def test_a_tilted_azimuth_breaks_one_mirror_only() -> None:
    model = fitted(toy(tilt=0.15)[0])
    assert not model.folded[:, 0].any()
    assert model.folded[:, 1].all()
    table = model.alpha[model.zone[0, 0]]
    assert table == pytest.approx(table[::-1])  # folded in e2
    assert table[: lateral.N_ALPHA // 4].sum() < table[lateral.N_ALPHA // 4 : lateral.N_ALPHA // 2].sum()


def test_an_oval_shower_cannot_be_swapped() -> None:
    model = fitted(toy(squeeze=0.2)[0])
    assert model.folded[:, :2].all()
    assert not model.folded[:, 2].any()


@pytest.mark.parametrize(("per_shower", "clump"), [(12, 1), (60, 1), (60, 5)])
def test_numbers_of_independent_deposits_come_back(per_shower: int, clump: int) -> None:
    """Five hits at one place are one deposit."""
    model = fitted(toy(per_shower, clump)[0])
    ln_e = np.log(2.0 * per_shower)
    found = np.exp(model.hits[:, 0] + model.hits[:, 1] * ln_e)
    assert found == pytest.approx(per_shower / clump, rel=0.06)


def test_weights_have_the_spectrum_of_the_hits_and_the_mean_one() -> None:
    hits, _ = toy()
    rng = np.random.default_rng(3)
    e = rng.exponential(np.where(hits.r < 4.0, 3.0, 1.0))
    model = fitted(LayerHits(hits.shower, hits.layer, hits.r, hits.alpha, e), weighted=True)
    w = np.exp(model.weights)
    assert w.mean(axis=1) == pytest.approx(1.0)
    assert model.spread == pytest.approx(2.0, rel=0.1)  # <w^2> of an exponential
    for zone in w:
        assert np.quantile(zone, [0.1, 0.5, 0.9]) == pytest.approx(stats.expon.ppf([0.1, 0.5, 0.9]), rel=0.1, abs=0.02)


def test_weights_of_hits_have_the_same_law_at_all_radii() -> None:
    """Else those with the wider law would have less than their share of a layer's energy: E[w/sum w] is not E[w]/n."""
    hits, _ = toy()
    rng = np.random.default_rng(3)
    far = rng.lognormal(0.0, 1.5, len(hits.r))
    e = np.where(hits.r < 4.0, 1.0, far)
    model = fitted(LayerHits(hits.shower, hits.layer, hits.r, hits.alpha, e), weighted=True)
    assert len(model.weights) == 1
    # What was done before, with ten hits per layer: a fifth of the energy of the far ones is lost.
    outer = rng.random((20_000, 10)) < 0.4
    w = np.where(outer, rng.lognormal(-(1.5**2) / 2, 1.5, outer.shape), 1.0)
    assert ((w * outer).sum(axis=1) / w.sum(axis=1)).mean() < 0.4 * 0.9


def test_the_pooled_profile_of_each_energy_is_kept_though_layers_lend_each_other_histograms() -> None:
    """Showers of 4 GeV are half as wide as those of 16 GeV; with 3 hits per layer histograms are drawn together."""
    hits, _ = toy(per_shower=3)
    wide = np.where(ENERGIES[hits.shower] > 8000.0, 2.0, 1.0)
    model = fitted(LayerHits(hits.shower, hits.layer, hits.r * wide, hits.alpha, hits.e))
    middle = 0.5 * (model.edges[1:] + model.edges[:-1])
    for p, energy in enumerate(np.unique(ENERGIES)):
        own = ENERGIES[hits.shower] == energy
        seen = np.histogram((hits.r * wide)[own], model.edges)[0] / own.sum()
        assert model.density[p].mean(axis=(0, 1))[middle < 50] == pytest.approx(seen[middle < 50], abs=0.01)


def test_the_radial_function_is_taken_where_it_predicts_better() -> None:
    hits, _ = toy(per_shower=12)

    def right(edges: np.ndarray) -> np.ndarray:
        shares = np.diff(below(np.minimum(edges, 300.0)))
        return np.broadcast_to(shares / shares.sum(), (2, 3, len(shares)))

    def wrong(edges: np.ndarray) -> np.ndarray:
        shares = np.diff(below(np.minimum(edges, 300.0), core=3.0))
        return np.broadcast_to(shares / shares.sum(), (2, 3, len(shares)))

    # The law itself is never worse than histograms of few hits, up to what left-out showers tell by chance.
    assert fitted(hits, law=right).law.sum() >= 2
    assert not fitted(hits, law=wrong).law.any()


def test_stored_tables_are_those_that_were_fitted() -> None:
    model = fitted(toy(tilt=0.2)[0], weighted=True)
    again = Lateral.from_tables(Tables(model.to_arrays()))
    assert again.density == pytest.approx(model.density, abs=1e-3)
    assert again.alpha == pytest.approx(model.alpha, rel=1e-6)
    assert np.array_equal(again.zone, model.zone)
    assert np.array_equal(again.hits, model.hits)


def test_too_few_hits_are_refused() -> None:
    hits, _ = toy()
    few = LayerHits(*(getattr(hits, name)[:50] for name in ("shower", "layer", "r", "alpha", "e")))
    with pytest.raises(FitError, match="lateral: 50 hits"):
        fitted(few)
