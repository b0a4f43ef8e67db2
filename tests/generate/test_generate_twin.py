"""The sampler of `hybrid` against the same model in NumPy: two implementations, one distribution.

Of every shower one hit, drawn at random, is compared, so that all entries of a test are independent. Seeds are fixed;
with others, one of the p-values would fall below the limit once in 200 times.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy import stats

from fastparam.fit.copula import Copula
from fastparam.generate import TunedGenerator
from fastparam.particles import Particles
from tests.hybrid_twin import Twin
from tests.ring_samples import ring_tune, with_settings

N, LIMIT = 1500, 5e-4

#: Layers whose energies are compared: the first ones, the maximum, the tail.
LAYERS = (0, 3, 9, 15, 30)


def quantities(x: np.ndarray, y: np.ndarray, z: np.ndarray, e: np.ndarray, layer: np.ndarray, offsets: np.ndarray):
    """Return what is compared, each an array of one number per shower."""
    shower = np.repeat(np.arange(N), np.diff(offsets))
    layers = np.zeros((N, layer.max() + 1))
    np.add.at(layers, (shower, layer), e)
    rng = np.random.default_rng(5)
    one = offsets[:-1] + (rng.random(N) * np.diff(offsets)).astype(np.int64)
    r = np.hypot(x, y)
    inner = np.bincount(shower, r < 4.0, N)
    return {
        "hits": np.diff(offsets), "energy": layers.sum(axis=1), **{f"E_{k}": layers[:, k] for k in LAYERS},
        "hit energy": e[one], "hit radius": r[one], "hit angle": np.arctan2(y, x)[one], "hit depth": z[one],
        "hits near the axis": inner, "mean radius": np.bincount(shower, e * r, N) / layers.sum(axis=1),
        "centre": np.bincount(shower, e * x, N) / layers.sum(axis=1),
        "hardest hit": np.maximum.reduceat(e, offsets[:-1]),
    }  # fmt: skip


@cache
def sampled(energy: float = 16_000.0, without: str = "") -> dict[str, np.ndarray]:
    tune = ring_tune("siw")
    tune = with_settings(tune, **{without: False}) if without else tune
    gun = Particles.gun(pdg=22, energy=energy, n=N, position=(0, 0, -0.001), direction=(0, 0, 1))
    hits = TunedGenerator(tune).generate(gun, seed=7).hits
    return quantities(hits.x, hits.y, hits.z, hits.e, hits.layer, hits.offsets)


@cache
def twins() -> dict[str, np.ndarray]:
    tune = ring_tune("siw")
    points = Copula.from_tables(tune.slices[0].tables["rings"]).ln_e
    point = int(np.argmin(np.abs(points - np.log(16_000.0))))
    assert points[point] == pytest.approx(np.log(16_000.0), abs=1e-3)
    x, y, z, e, layer, offsets = Twin(tune, point).sample(N, np.random.default_rng(11))
    return quantities(x, y, z, e, layer, offsets)


@pytest.mark.parametrize(
    "name", ["hits", "energy", *(f"E_{k}" for k in LAYERS), "hit energy", "hit radius", "hit angle", "hit depth",
             "hits near the axis", "mean radius", "centre", "hardest hit"],
)  # fmt: skip
def test_both_implementations_have_the_same_distributions(name: str) -> None:
    assert stats.ks_2samp(sampled()[name], twins()[name]).pvalue > LIMIT


@pytest.mark.parametrize("name", ["hits", "energy", "hits near the axis", "hardest hit"])
def test_another_energy_is_told_apart(name: str) -> None:
    """Negative control: a tenth more energy."""
    assert stats.ks_2samp(sampled(17_600.0)[name], twins()[name]).pvalue < LIMIT


@pytest.mark.parametrize(("switch", "name"), [("spectra", "hit energy"), ("dipoles", "centre")])
def test_a_fluctuation_that_is_switched_off_is_told_apart(switch: str, name: str) -> None:
    """Negative control of what tells single hits, and their places, apart."""
    assert stats.ks_2samp(sampled(without=switch)[name], twins()[name]).pvalue < LIMIT
