"""Observables whose truth is known by construction: where hadrons start to shower, and centroids of layers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fastparam.comparison.compare import compare_summaries
from fastparam.comparison.observables import by_name
from fastparam.comparison.sample import Layout, Sample, depth_groups
from fastparam.geometry.ionisation import mip_energy
from fastparam.geometry.load import load_geometry
from fastparam.hits.hits import Hits
from fastparam.particles import Particles
from fastparam.summary import cell_depths, choose_binning, summarise_hits
from fastparam.summary.summary import Summary

FEHCAL = load_geometry("fehcal")
LAYERS = FEHCAL.n_layers


def showers(starts: np.ndarray, *, pdg: int = 211, sway: float = 0.0, seed: int = 1) -> Summary:
    """One hit per layer: 1 minimum-ionising particle before the start, 5 in it and behind it, -1 for none.

    `sway`: share of the displacement, 30 mm in each direction, that all layers have in common.
    """
    n, rng = len(starts), np.random.default_rng(seed)
    particles = Particles.gun(pdg=pdg, energy=8000.0, position=(0.0, 0.0, -1.0), direction=(0.0, 0.0, 1.0), n=n)
    mips = np.where((np.arange(LAYERS) >= starts[:, None]) & (starts[:, None] >= 0), 5.0, 1.0)
    aside = 30 * (np.sqrt(sway) * rng.normal(size=(n, 1, 2)) + np.sqrt(1 - sway) * rng.normal(size=(n, LAYERS, 2)))
    layer = np.tile(np.arange(LAYERS, dtype=np.int32), n)
    z = np.tile(0.5 * (FEHCAL.layer_from + FEHCAL.layer_to), n)
    hits = Hits(
        aside[..., 0].ravel(), aside[..., 1].ravel(), z, (mips * mip_energy(FEHCAL)).ravel(), layer,
        np.arange(n + 1) * LAYERS,
    )  # fmt: skip
    return summarise_hits(FEHCAL, particles, hits, choose_binning(FEHCAL, particles, hits, particles))


def cut(summary: Summary) -> Sample:
    depths = cell_depths(FEHCAL, summary.particles, summary.binning)
    groups = depth_groups(FEHCAL, depths, summary.binning.cell_layer)
    return Sample(summary, Layout.decide(FEHCAL, summary, groups))


def value(name: str, sample: Sample) -> np.ndarray:
    return by_name(name).values(sample, np.ones((1, len(sample))))[0]


def test_starts_are_those_that_were_made() -> None:
    starts = np.repeat([-1, 0, 3, 20], [20, 10, 30, 40])
    sample = cut(showers(starts))
    assert value("no_start", sample) == pytest.approx(20.0)
    assert value("start_mean", sample) == pytest.approx((30 * 3 + 40 * 20) / 80)
    distribution = value("start_distribution", sample)
    assert distribution[[0, 3, 20]] == pytest.approx([10.0, 30.0, 40.0])
    assert distribution.sum() == pytest.approx(80.0)


def test_a_sample_that_starts_later_is_seen_and_its_equal_is_not() -> None:
    rng = np.random.default_rng(3)

    def made(n: int, mean: float, seed: int) -> Summary:
        starts = rng.geometric(1 / mean, n) - 1
        return showers(np.where(starts > 40, -1, starts), seed=seed)

    reference = made(600, 6.0, 1)
    candidates = {"equal": made(1500, 6.0, 2), "later": made(1500, 12.0, 3)}
    binned = {name: replace(s, binning=reference.binning) for name, s in candidates.items()}
    compared = compare_summaries(FEHCAL, reference, binned, only=("no_start", "start_mean", "start_distribution"))
    for m in compared.measurements:
        equal = m.candidates["equal"]
        assert np.abs(equal.pull[equal.testable]).max(initial=0.0) < 4.0
    mean = next(m for m in compared.measurements if m.observable == "start_mean")
    assert mean.candidates["later"].pull[0] > 5


@pytest.mark.parametrize("pdg", [11, 22])
def test_electrons_and_photons_have_no_start(pdg: int) -> None:
    layout = cut(showers(np.zeros(20, dtype=int), pdg=pdg)).layout
    for name in ("no_start", "start_mean", "start_distribution"):
        only_if = by_name(name).only_if
        assert only_if is not None
        assert not only_if(layout)


@pytest.mark.parametrize("sway", [0.0, 0.5])
def test_correlation_of_centroids_is_what_layers_have_in_common(sway: float) -> None:
    """The mean over pairs to its error: 1/sqrt(400), as what layers have in common is one number per shower."""
    found = value("centroid_correlation", cut(showers(np.zeros(400, dtype=int), sway=sway)))
    assert len(found) == LAYERS * (LAYERS - 1)  # pairs along e1 and along e2
    assert found.mean() == pytest.approx(sway, abs=0.05)
