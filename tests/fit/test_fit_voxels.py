"""The voxel model from toys whose factor structure is known."""

from __future__ import annotations

import numpy as np
import pytest
import voxel_toys
from scipy import special
from voxel_toys import BINNING

from fastparam.errors import InputError
from fastparam.fit.factors import fit_factors
from fastparam.fit.tables import Tables
from fastparam.fit.voxel_rings import VoxelRings, choose_voxel_rings
from fastparam.fit.voxels import VoxelModel, features_of, fit
from fastparam.geometry.voxels import VoxelBinning
from fastparam.summary.points import energy_points

N = 3000


@pytest.fixture(scope="module")
def toy() -> voxel_toys.Toy:
    return voxel_toys.showers(N, seed=3)


def rms_of_correlations(found: np.ndarray, expected: np.ndarray) -> float:
    pairs = np.triu_indices(len(expected), 1)
    return float(np.sqrt(((found - expected)[pairs] ** 2).mean()))


# Factors


def test_correlations_of_censored_scores_are_recovered(toy: voxel_toys.Toy) -> None:
    """Statistics: a correlation of two scores seen in full is known to 1/sqrt(3000) = 0.018; most are seen in part."""
    empty = toy.voxels <= 0.0
    factors = fit_factors(np.where(empty, 99.0, toy.scores), empty, special.ndtri(toy.zero), rank=3)
    found = factors.loadings @ factors.loadings.T
    assert rms_of_correlations(found, voxel_toys.correlation()) < 0.035
    assert (factors.loadings**2).sum(axis=1) + factors.unique == pytest.approx(np.ones(24), abs=1e-5)


def test_zeros_that_are_taken_for_measured_scores_dilute_correlations(toy: voxel_toys.Toy) -> None:
    """The planted defect: scores of empty voxels in random order, as ties have them, and nothing censored."""
    rng = np.random.default_rng(1)
    empty = toy.voxels <= 0.0
    ties = special.ndtri(np.where(empty, toy.zero * rng.random(toy.zero.shape), 0.5))
    filled = np.where(empty, ties, toy.scores)
    factors = fit_factors(filled, np.zeros_like(empty), special.ndtri(toy.zero), rank=3)
    assert rms_of_correlations(factors.loadings @ factors.loadings.T, voxel_toys.correlation()) > 0.1


def test_factors_follow_from_what_is_known_of_some_scores() -> None:
    """One factor and two scores: the posterior of a normal variable measured twice, by hand."""
    factors = fit_factors(
        voxel_toys.showers(2000, seed=5).scores[:, :4], np.zeros((2000, 4), bool), np.full((2000, 4), np.inf), rank=1
    )
    loading, psi = factors.loadings[:2, 0].astype(float), factors.unique[:2].astype(float)
    mean, root = factors.posterior(np.array([0, 1]))
    precision = 1.0 + (loading**2 / psi).sum()
    assert mean[0] == pytest.approx(loading / psi / precision, rel=1e-5)
    assert root[0, 0] == pytest.approx(np.sqrt(1.0 / precision), rel=1e-5)


# Rings and features


def test_rings_are_as_many_as_hit_voxels_can_fill() -> None:
    binning = VoxelBinning((0, 1), (tuple(map(float, range(9))),) * 2, (4, 4))
    rng = np.random.default_rng(1)
    voxels = rng.exponential(size=(200, 64))
    voxels[:, 32:] *= rng.random((200, 32)) < 0.05  # 1.6 hit voxels in the second layer
    rings = choose_voxel_rings(binning, voxels)
    assert np.bincount(rings.layer).tolist() == [4, 1]
    assert rings.size.sum() == 64
    assert rings.sparse.tolist() == [False, False, False, False, True]
    assert (np.diff(rings.ring[rings.order]) >= 0).all()


def test_features_of_a_shower_by_hand() -> None:
    voxels = np.zeros((2, 24))
    # Layer 0: part 0 (alpha = -135 degrees) r 0 gets 3 MeV, part 2 (45 degrees) r 2 gets 1 MeV; layer 1 stays empty.
    voxels[0, [0, 2 * 3 + 2]] = 3.0, 1.0
    rings = VoxelRings(BINNING, (BINNING.layer * 1).astype(np.int64), np.array([0, 1]), np.array([True, True]))
    values = features_of(rings, voxels, np.array([100.0, 100.0])).values
    assert values[0, :5] == pytest.approx([0.04, 0.04, 0.0, 0.04, 0.0])
    half = np.sqrt(0.5)
    assert values[0, [5, 7]] == pytest.approx([(-3 + 1) / 4 * half, (-3 + 1) / 4 * half])
    assert np.round(13 * (1 - np.exp(-values[0, 9]))) == 2.0  # of the 12 voxels of layer 0
    assert np.isnan(values[0, [6, 8, 10]]).all()
    assert (values[1, :5] == 0.0).all()


# Tables


def test_zero_fractions_and_quantiles_are_those_of_the_showers(toy: voxel_toys.Toy) -> None:
    model = fit(toy.voxels, BINNING, toy.energy, energy_points(toy.energy), rank=3)
    hit = (toy.voxels > 0).mean(axis=0)
    kind = BINNING.layer * 3 + BINNING.ring
    by_ring = np.array([hit[kind == k].mean() for k in kind])
    assert 1.0 - model.zero[0, model.group] == pytest.approx(by_ring, abs=1e-9)
    # Exponential: the median is ln 2 of the mean, 10 MeV here; w = 1/2 is the middle of the table.
    middle = 0.5 * (model.quantiles[0, :, 13] + model.quantiles[0, :, 14])
    assert np.exp(middle[model.group]) * 10_000.0 == pytest.approx(np.full(24, 10.0 * np.log(2.0)), rel=0.08)


def test_parts_in_alpha_share_tables_unless_one_differs(toy: voxel_toys.Toy) -> None:
    points = energy_points(toy.energy)
    alike = fit(toy.voxels, BINNING, toy.energy, points, rank=1)
    assert len(np.unique(alike.group)) == 6
    planted = toy.voxels.copy()
    planted[:, (BINNING.layer == 0) & (BINNING.ring == 0) & (BINNING.sector == 1)] *= 1.3
    assert len(np.unique(fit(planted, BINNING, toy.energy, points, rank=1).group)) == 9


def test_what_is_stored_is_what_was_fitted_within_its_precision(toy: voxel_toys.Toy) -> None:
    model = fit(toy.voxels, BINNING, toy.energy, energy_points(toy.energy), rank=3)
    loaded = VoxelModel.from_tables(model.to_tables())
    assert loaded.rings.binning == BINNING
    assert loaded.quantiles == pytest.approx(model.quantiles, abs=2e-4)
    assert loaded.factors.loadings == pytest.approx(model.factors.loadings, abs=1e-3)
    assert np.array_equal(loaded.group, model.group)


def test_tables_with_another_form_of_numbers_of_hit_voxels_are_refused(toy: voxel_toys.Toy) -> None:
    """Up to 2026-12-01 they held ln n, and did not say so."""
    tables = fit(toy.voxels, BINNING, toy.energy, energy_points(toy.energy), rank=1).to_tables()
    old = Tables(tables.arrays, {name: value for name, value in tables.settings.items() if name != "hits"})
    with pytest.raises(InputError, match="make the tune again"):
        VoxelModel.from_tables(old)
