"""What is stored of a copula: marginals with atoms, scores, factors, and the dependence on a phase."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fastparam.fit import copula
from fastparam.fit.copula import Copula, Features
from fastparam.fit.tables import Tables
from fastparam.summary.points import energy_points

N = 600


def sample(seed: int = 1) -> tuple[np.ndarray, Features]:
    """Three features at two energies: one with 30 % zeros, one of any sign, one positive and tied to the second."""
    rng = np.random.default_rng(seed)
    energy = np.repeat([1000.0, 8000.0], N // 2)
    common = rng.normal(size=N)
    x = np.exp(rng.normal(size=N)) * (rng.random(N) > 0.3)
    y = common
    z = np.exp(0.5 * (0.9 * common + np.sqrt(1 - 0.81) * rng.normal(size=N)))
    return energy, Features(np.stack([x, y, z], axis=1), np.array([True, False, True]))


def fitted(max_scores: int = 1250) -> tuple[np.ndarray, Features, Copula]:
    energy, features = sample()
    return energy, features, copula.fit(features, energy_points(energy), energy=energy, max_scores=max_scores)


def test_zeros_are_a_probability_of_their_own() -> None:
    energy, features, model = fitted()
    for p, e in enumerate((1000.0, 8000.0)):
        assert model.zero[p, 0] == (features.values[energy == e, 0] == 0).mean()
    assert not model.zero[:, 1:].any()


def test_quantiles_are_those_of_the_rest() -> None:
    energy, features, model = fitted()
    x = features.values[energy == 1000.0]
    u = stats.norm.cdf(copula.START + copula.SPACING * np.arange(copula.N_KNOTS))
    expected = np.quantile(np.log(x[x[:, 0] > 0, 0]), u, method="hazen")
    assert model.quantiles[0, 0] == pytest.approx(expected, abs=1e-12)
    assert model.quantiles[0, 1] == pytest.approx(np.quantile(x[:, 1], u, method="hazen"), abs=1e-12)


def test_scores_are_normal_within_every_energy_and_ties_fall_at_random() -> None:
    energy, features = sample()
    z = copula.scores_of(features, energy_points(energy))
    for e in (1000.0, 8000.0):
        own = z[energy == e]
        assert np.sort(own, axis=0)[:, 0] == pytest.approx(stats.norm.ppf((np.arange(N // 2) + 0.5) / (N // 2)))
    empty = features.values[:, 0] == 0
    assert abs(stats.spearmanr(z[empty, 0], np.arange(empty.sum())).statistic) < 0.15
    assert (z[empty & (energy == 1000.0), 0].max()) < z[~empty & (energy == 1000.0), 0].min()


def test_an_undefined_feature_gets_a_random_score_and_does_not_disturb_the_others() -> None:
    energy, features = sample()
    values = features.values.copy()
    gone = np.arange(N) % 3 == 0
    values[gone, 1] = np.nan
    z = copula.scores_of(Features(values, features.positive), energy_points(energy))
    assert np.isfinite(z).all()
    assert abs(np.corrcoef(z[gone, 1], z[gone, 2])[0, 1]) < 0.2
    assert np.corrcoef(z[~gone, 1], z[~gone, 2])[0, 1] > 0.8


def test_factors_hold_the_correlations() -> None:
    _, _, model = fitted()
    correlation = model.factors.T @ model.factors + np.diag(model.unique**2)
    assert np.diag(correlation) == pytest.approx(np.ones(3))
    assert correlation[1, 2] > 0.6


def test_a_wave_of_the_phase_is_found_and_taken_out() -> None:
    energy, features = sample()
    phase = np.random.default_rng(2).uniform(0, 2 * np.pi, N)
    values = features.values.copy()
    values[:, 1] += 0.8 * np.cos(phase)
    points = energy_points(energy)
    model = copula.fit(Features(values, features.positive), points, energy=energy, phase=phase, max_scores=1250)
    # In units of scores the wave is 0.8 over the width sqrt(1 + 0.8^2 / 2).
    ln_e = np.log(np.array([1.0, 8.0]) / 10.0)
    amplitude = model.waves[1, 0] + ln_e * model.waves[1, 4]
    assert amplitude == pytest.approx(np.full(2, 0.8 / np.sqrt(1.32)), abs=0.12)
    assert abs(model.waves[0, 0]) < 0.15  # another feature has none
    assert model.scale[1] == pytest.approx(np.sqrt(1 - 0.32 / 1.32), abs=0.05)


def test_what_is_stored_is_compact_and_reads_back() -> None:
    _, _, model = fitted()
    read = Copula.from_tables(Tables(model.to_arrays()))
    span = np.ptp(model.quantiles, axis=(0, 2))
    assert (np.abs(read.quantiles - model.quantiles) <= span[:, None] / 2047.0 + 1e-6).all()
    assert np.array_equal(read.scores, model.scores)
    assert np.array_equal(read.first, model.first)
    assert np.abs(read.factors - model.factors).max() < 1e-3


def test_random_scores_of_undefined_features_are_the_same_whenever_read_and_take_no_place() -> None:
    energy, features = sample()
    values = features.values.copy()
    values[np.arange(N) % 3 == 0, 1] = np.nan
    model = copula.fit(Features(values, features.positive), energy_points(energy), energy=energy)
    assert (model.to_arrays()["copula_scores"] == -128).mean() == pytest.approx(1 / 9)
    read = Copula.from_tables(Tables(model.to_arrays()))
    assert np.array_equal(read.scores, model.scores)
    random = model.scores[model.undefined] * copula.STEP
    assert stats.kstest(random + np.random.default_rng(1).uniform(-0.1, 0.1, random.size), "norm").pvalue > 1e-3


def test_older_tunes_with_finer_steps_are_read() -> None:
    _, _, model = fitted()
    older = Tables({n: a for n, a in model.to_arrays().items() if n != "copula_precision"})
    older.arrays["copula_scores"] = (3 * model.scores.astype(np.int64)).clip(-127, 127).astype(np.int8)
    older.arrays["copula_quantiles"] = older["copula_quantiles"] * np.uint16(4)
    read = Copula.from_tables(older)
    assert np.array_equal(read.scores, model.scores)
    span = np.ptp(model.quantiles, axis=(0, 2))
    assert (np.abs(read.quantiles - model.quantiles) <= span[:, None] / 1000.0).all()


def test_more_showers_than_are_kept_are_thinned_evenly() -> None:
    energy, features = sample()
    model = copula.fit(features, energy_points(energy), energy=energy, max_scores=100)
    assert np.diff(model.first).tolist() == [50, 50]
