"""Energies of the recipe `fastcalosim`: closed loops on toys of known truth, and the defects they must find."""

from __future__ import annotations

from dataclasses import replace

import energy_toys
import numpy as np
import pytest
from scipy import stats
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict

from fastparam.fit import energies
from fastparam.fit.energy_model import Energies, draw
from fastparam.fit.energy_quantities import PASSING, layer_energies
from fastparam.fit.energy_scores import Starts
from fastparam.fit.marginals import Quantities
from fastparam.fit.tables import Tables
from fastparam.summary.points import energy_points

LEVEL = 1e-3
L = energy_toys.N_LAYERS
POINTS, N = energy_toys.POINTS, energy_toys.N


@pytest.fixture(scope="module")
def training() -> tuple[Quantities, np.ndarray]:
    return energy_toys.training()


@pytest.fixture(scope="module")
def model(training: tuple[Quantities, np.ndarray]) -> Energies:
    return fitted(*training, 5)


def fitted(quantities: Quantities, energy: np.ndarray, n_bins: int) -> Energies:
    return energies.fit(quantities, energy_points(energy), energy, n_bins=n_bins, n_layers=L)[0]


def drawn(model: Energies, energy: float, n: int = 20_000, seed: int = 5) -> np.ndarray:
    return draw(model, np.full(n, energy), seed=seed)[0]


def layers(x: np.ndarray) -> np.ndarray:
    return layer_energies(x, L)


def correlation_rms(a: np.ndarray, b: np.ndarray) -> float:
    upper = np.triu_indices(L, 1)
    difference = np.corrcoef(layers(a).T)[upper] - np.corrcoef(layers(b).T)[upper]
    return float(np.sqrt((difference**2).mean()))


# Closure


@pytest.mark.parametrize("energy", POINTS)
def test_every_marginal_closes(model: Energies, training: tuple[Quantities, np.ndarray], energy: float) -> None:
    """Total and layer energies by KS (of the rest where zeros tie), p > 0.1 % each allowing for their number."""
    truth = training[0].values[training[1] == energy]
    found = drawn(model, energy)
    p_values = [stats.ks_2samp(found[:, 0], truth[:, 0]).pvalue]
    for k in range(L):
        a, b = layers(found)[:, k], layers(truth)[:, k]
        p_values.append(stats.ks_2samp(a[a > 0], b[b > 0]).pvalue)
    assert min(p_values) > LEVEL / len(p_values)


@pytest.mark.parametrize("energy", POINTS)
def test_correlations_of_layer_energies_close_within_002(
    model: Energies, training: tuple[Quantities, np.ndarray], energy: float
) -> None:
    truth = training[0].values[training[1] == energy]
    assert correlation_rms(drawn(model, energy, 40_000), truth) < 0.02
    # Against the law itself rather than the training showers.
    assert correlation_rms(drawn(model, energy, 40_000), energy_toys.toy(np.full(40_000, energy), 99).values) < 0.03


def test_correlations_of_independent_layers_would_not_close(
    model: Energies, training: tuple[Quantities, np.ndarray]
) -> None:
    truth = training[0].values[training[1] == POINTS[1]]
    shuffled = truth.copy()
    rng = np.random.default_rng(3)
    for k in range(1, L + 1):
        shuffled[:, k] = rng.permutation(shuffled[:, k])
    assert correlation_rms(shuffled, truth) > 0.1


def test_a_wrong_sign_in_the_factors_would_be_found(model: Energies, training: tuple[Quantities, np.ndarray]) -> None:
    """The planted defect of a vector whose sign was lost between fit and sampler."""
    wrong = model.factor.copy()
    wrong[:, :, 2] *= -1.0
    spoiled = replace(model, factor=wrong, score=np.repeat(model.score.mean(axis=1, keepdims=True), 5, axis=1))
    truth = training[0].values[training[1] == POINTS[1]]
    assert correlation_rms(drawn(spoiled, POINTS[1]), truth) > 0.1


def test_turning_the_leading_component_round_changes_nothing(
    training: tuple[Quantities, np.ndarray], model: Energies, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sign only numbers the bins: no eigenvector is needed to sample."""
    real = energies.directions
    monkeypatch.setattr(energies, "directions", lambda *a: -real(*a))
    turned = fitted(*training, 5)
    for k in range(L + 1):
        a, b = drawn(model, POINTS[1])[:, k], drawn(turned, POINTS[1], seed=6)[:, k]
        assert stats.ks_2samp(a, b).pvalue > LEVEL / (L + 1)
    assert correlation_rms(drawn(model, POINTS[1]), drawn(turned, POINTS[1], seed=6)) < 0.02


# Zeros


def joint_zeros(x: np.ndarray) -> np.ndarray:
    """How often each pattern of empty first, last and last but one layer occurs."""
    empty = x[:, [1, L - 1, L]] == 0
    return np.bincount(empty @ np.array([1, 2, 4]), minlength=8).astype(float)


@pytest.mark.parametrize("energy", POINTS)
def test_zeros_and_their_coincidences_are_reproduced(
    model: Energies, training: tuple[Quantities, np.ndarray], energy: float
) -> None:
    truth, found = training[0].values[training[1] == energy], drawn(model, energy)
    for k in range(1, L + 1):
        table = [[(v[:, k] == 0).sum(), (v[:, k] > 0).sum()] for v in (truth, found)]
        if min(np.min(table), 1) > 0:
            assert stats.chi2_contingency(table).pvalue > LEVEL / L
    a, b = joint_zeros(truth), joint_zeros(found)
    assert np.abs(a / a.sum() - b / b.sum()).max() < 0.02


def test_toy_has_zeros_worth_testing(training: tuple[Quantities, np.ndarray]) -> None:
    zeros = (training[0].values[training[1] == POINTS[0], 1:] == 0).mean(axis=0)
    assert zeros.min() < 0.01
    assert zeros.max() > 0.6


# Bins


@pytest.mark.parametrize("n_bins", [1, 10])
def test_the_number_of_bins_does_not_change_marginals(training: tuple[Quantities, np.ndarray], n_bins: int) -> None:
    """Those of 5 bins are tested above; here one copula for all, and 10 bins."""
    model = fitted(*training, n_bins)
    assert model.n_bins == n_bins
    for energy in POINTS:
        found, truth = drawn(model, energy), training[0].values[training[1] == energy]
        for k in range(L + 1):
            assert stats.ks_2samp(found[:, k], truth[:, k]).pvalue > LEVEL / (3 * (L + 1))


def test_bins_are_equally_occupied_when_drawn(model: Energies) -> None:
    _, bin_ = draw(model, np.full(20_000, 8000.0), seed=9)
    assert stats.chisquare(np.bincount(bin_, minlength=5)).pvalue > LEVEL


# Fractions


def test_shares_add_up_and_leave_the_total_alone(model: Energies, training: tuple[Quantities, np.ndarray]) -> None:
    x = drawn(model, POINTS[1])
    assert np.abs(x[:, 1:].sum(axis=1) - 1.0).max() < 1e-12
    assert layers(x).sum(axis=1) == pytest.approx(x[:, 0], rel=1e-12)
    truth = training[0].values[training[1] == POINTS[1], 0]
    assert stats.ks_2samp(layers(x).sum(axis=1), truth).pvalue > LEVEL


# Between energies


def test_a_left_out_energy_is_predicted() -> None:
    energy = np.repeat([2000.0, 4000.0, 16_000.0, 32_000.0], N)
    model = fitted(energy_toys.toy(energy, 2), energy, 5)
    x = drawn(model, 8000.0, 40_000)
    truth = energy_toys.toy(np.full(40_000, 8000.0), 77).values
    assert x[:, 0].mean() == pytest.approx(truth[:, 0].mean(), rel=0.005)
    assert x[:, 0].std() == pytest.approx(truth[:, 0].std(), rel=0.03)
    a, b = ((v[:, 1:] * np.arange(L)).sum(axis=1) for v in (x, truth))
    assert a.mean() == pytest.approx(b.mean(), abs=0.02)
    assert a.std() == pytest.approx(b.std(), rel=0.04)
    assert correlation_rms(x, truth) < 0.05


def test_the_same_shower_moves_smoothly_with_its_energy(model: Energies) -> None:
    energy = np.geomspace(2000.0, 32_000.0, 4001)
    x, _ = draw(model, energy, seed=1, index=np.zeros(len(energy), dtype=np.int64))
    assert np.abs(np.diff(np.log(x[1:-1, 0]))).max() < 0.02


def test_left_out_errors_are_measured_for_inner_points(training: tuple[Quantities, np.ndarray]) -> None:
    rows = energies.left_out(training[0], energy_points(training[1]), training[1])
    assert [round(row["energy"]) for row in rows] == [8000]
    assert abs(rows[0]["mean"]) < 1.0
    assert rows[0]["width_error"] == pytest.approx(100 / np.sqrt(2 * N) * 1.3, rel=0.5)


def test_a_continuous_spectrum_closes_too() -> None:
    rng = np.random.default_rng(4)
    energy = np.exp(rng.uniform(np.log(2000.0), np.log(32_000.0), 8000))
    model = fitted(energy_toys.toy(energy, 3), energy, 5)
    for e in (3000.0, 10_000.0):
        x, truth = drawn(model, e), energy_toys.toy(np.full(20_000, e), 5).values
        assert x[:, 0].mean() == pytest.approx(truth[:, 0].mean(), rel=0.01)
        assert x[:, 0].std() == pytest.approx(truth[:, 0].std(), rel=0.05)
        assert layers(x).mean(axis=0) == pytest.approx(layers(truth).mean(axis=0), abs=0.0006)
        assert correlation_rms(x, truth) < 0.06


# Undefined and rare quantities, storage


def test_undefined_depths_of_empty_layers_do_no_harm() -> None:
    energy = np.repeat(POINTS, 400)
    q = energy_toys.toy(energy, 8)
    rng = np.random.default_rng(5)
    depth = np.where(q.values[:, L] > 0, rng.beta(3.0, 5.0, len(energy)), np.nan)
    wider = Quantities(np.column_stack([q.values, depth]), np.append(q.kind, 1), (*q.names, "depth"))
    x = drawn(fitted(wider, energy, 5), POINTS[2])
    known = depth[(energy == POINTS[2]) & ~np.isnan(depth)]
    assert stats.ks_2samp(x[:, L + 1], known).pvalue > LEVEL


def test_a_layer_that_is_never_hit_stays_empty() -> None:
    energy = np.repeat(POINTS, 200)
    q = energy_toys.toy(energy, 8)
    values = np.column_stack([q.values, np.zeros(len(energy))])
    wider = Quantities(values, np.append(q.kind, 0), (*q.names, "never"))
    model, _ = energies.fit(wider, energy_points(energy), energy, n_bins=5, n_layers=L + 1)
    assert (drawn(model, POINTS[0])[:, L + 1] == 0).all()


def test_stored_tables_draw_the_same_showers(model: Energies) -> None:
    again = Energies.from_tables(Tables(model.to_arrays()))
    twice = Energies.from_tables(Tables(again.to_arrays()))
    assert drawn(again, 5000.0, 2000) == pytest.approx(drawn(model, 5000.0, 2000), rel=5e-3, abs=1e-4)
    assert np.array_equal(drawn(again, 5000.0, 2000)[:, 0] > 0, drawn(twice, 5000.0, 2000)[:, 0] > 0)
    assert again.names == model.names


# Starts of hadron showers


def hadrons(energy: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Energies (n, 20) in MeV of tracks that leave 1 MeV per layer until they start, exponentially, to shower."""
    rng = np.random.default_rng(seed)
    n, layers = len(energy), 20
    start = np.floor(rng.exponential(6.0, n)).astype(int)
    behind = np.arange(layers) - start[:, None]
    shower = np.exp(-np.maximum(behind, 0) / 4.0) * rng.gamma(2.0, 0.5, (n, layers)) * (energy / 1000.0)[:, None] * 8.0
    track = rng.gamma(12.0, 1 / 12.0, (n, layers))
    return np.where(behind >= 0, track + shower, track), start


THRESHOLD = np.full(20, 3.0)


def run_starts(layer_energy: np.ndarray) -> np.ndarray:
    """First of three layers in a row above the threshold, -1 for none; written apart from the kernel."""
    found = np.full(len(layer_energy), -1)
    for i, above in enumerate(layer_energy > THRESHOLD):
        for k in range(18):
            if above[k : k + 3].all():
                found[i] = k
                break
    return found


@pytest.fixture(scope="module")
def hadron_model() -> tuple[Energies, np.ndarray, np.ndarray]:
    energy = np.repeat([600.0, 2400.0], 1500)
    layer, _ = hadrons(energy, 1)
    total = layer.sum(axis=1)
    names = ("total", *(f"layer {k}" for k in range(20)))
    q = Quantities(np.column_stack([total / energy, layer / total[:, None]]), np.array([2] + [0] * 20), names)
    starts = Starts(run_starts(layer), THRESHOLD)
    model, _ = energies.fit(q, energy_points(energy), energy, n_bins=5, n_layers=20, starts=starts)
    return model, energy, layer


@pytest.mark.parametrize("energy", [600.0, 2400.0])
def test_showers_start_where_those_of_training_do(
    hadron_model: tuple[Energies, np.ndarray, np.ndarray], energy: float
) -> None:
    model, incident, layer = hadron_model
    x, bin_ = draw(model, np.full(6000, energy), seed=4)
    drawn_starts = run_starts(layer_energies(x, 20) * energy)
    truth = run_starts(layer[incident == energy])
    table = np.array([np.bincount(np.searchsorted(model.first, s, side="right") - 1, minlength=len(model.first) - 1)
                      for s in (drawn_starts, truth)])  # fmt: skip
    used = table.sum(axis=0) > 20
    assert stats.chi2_contingency(table[:, used]).pvalue > LEVEL
    inside = (model.first[bin_] <= drawn_starts) & (drawn_starts < model.first[bin_ + 1])
    assert inside.mean() > 0.98


def test_without_drawing_again_showers_would_not_start_in_their_bins(
    hadron_model: tuple[Energies, np.ndarray, np.ndarray],
) -> None:
    model = hadron_model[0]
    once = replace(model, first=np.empty(0, dtype=np.int64))
    x, bin_ = draw(once, np.full(6000, 600.0), seed=4)
    found = run_starts(layer_energies(x, 20) * 600.0)
    assert ((model.first[bin_] <= found) & (found < model.first[bin_ + 1])).mean() < 0.9


# Hadrons that pass a detector of few layers


def hadrons_of_few_layers(counts: dict[float, int], seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Energies, layer energies (n, 4), and which pass: 30 %, with 80 MeV whatever their energy."""
    rng = np.random.default_rng(seed)
    energy = np.repeat(list(counts), list(counts.values())).astype(np.float64)
    n = len(energy)
    passing = rng.random(n) < 0.3
    total = np.where(passing, rng.gamma(40.0, 2.0, n), energy * rng.beta(4.0, 8.0, n))
    share = rng.gamma(np.where(passing[:, None], [8.0, 20.0, 80.0, 8.0], [1.0, 4.0, 12.0, 3.0]))
    return energy, share / share.sum(axis=1, keepdims=True) * total[:, None], passing


def of_few_layers(
    energy: np.ndarray, layer: np.ndarray, passing: np.ndarray | None
) -> tuple[Energies, np.ndarray, np.ndarray]:
    total = layer.sum(axis=1)
    values = np.column_stack([total / energy, layer / total[:, None]])
    names, kind = ("total", "a", "b", "c", "d"), [2, 0, 0, 0, 0]
    if passing is not None:
        values[passing, 0] = np.nan
        values = np.column_stack([values, np.where(passing, total, np.nan)])
        names, kind = (*names, PASSING), [*kind, 0]
    quantities = Quantities(values, np.array(kind), names)
    model, bin_ = energies.fit(quantities, energy_points(energy), energy, n_bins=5, n_layers=4)
    return model, bin_, total


FEW_AT_THE_TOP = {2000.0: 220, 4000.0: 190, 8000.0: 130, 16_000.0: 80, 32_000.0: 40}


def test_hadrons_that_pass_keep_their_fraction_and_their_energy_where_few_were_tuned_on() -> None:
    """At 32 GeV 40 showers leave the mean of the total uncertain by 1 GeV; those that pass hold 80 MeV all the same."""
    energy, layer, passing = hadrons_of_few_layers(FEW_AT_THE_TOP, 1)
    model, bin_, _ = of_few_layers(energy, layer, passing)
    np.testing.assert_array_equal(bin_ == 0, passing)
    for e in (32_000.0, 22_600.0):
        x, drawn_bin = draw(model, np.full(4000, e), seed=5)
        total = x[:, 0] * e
        assert abs(np.mean(total < 160.0) - passing.mean()) < 4 * np.sqrt(0.3 * 0.7 * (1 / 40 + 1 / 4000))
        np.testing.assert_array_equal(total < 160.0, drawn_bin == 0)
        # Gamma of shape 40 and scale 2 MeV, known from 200 showers.
        assert abs(total[drawn_bin == 0].mean() - 80.0) < 4 * 12.6 / np.sqrt(passing.sum())
        tracks = layer[passing] / layer[passing].sum(axis=1, keepdims=True)
        np.testing.assert_allclose(x[drawn_bin == 0, 1:5].mean(axis=0), tracks.mean(axis=0), atol=0.02)


def test_one_law_for_all_would_lose_those_that_pass() -> None:
    energy, layer, passing = hadrons_of_few_layers(FEW_AT_THE_TOP, 1)
    model, _, _ = of_few_layers(energy, layer, None)
    x, _ = draw(model, np.full(4000, 32_000.0), seed=5)
    assert np.mean(x[:, 0] * 32_000.0 < 160.0) < 0.15 < passing[energy == 32_000.0].mean()


def test_the_probability_to_pass_may_be_a_law() -> None:
    energy, layer, passing = hadrons_of_few_layers(FEW_AT_THE_TOP, 1)
    total = layer.sum(axis=1)
    values = np.column_stack([total / energy, layer / total[:, None], np.where(passing, total, np.nan)])
    values[passing, 0] = np.nan
    quantities = Quantities(values, np.array([2, 0, 0, 0, 0, 0]), ("total", "a", "b", "c", "d", PASSING))
    law = np.array([0.1, 0.15, 0.2, 0.25, 0.3])
    model, _ = energies.fit(quantities, energy_points(energy), energy, n_bins=5, n_layers=4, pass_probability=law)
    _, bin_ = draw(model, np.full(20_000, 4000.0), seed=5)
    assert abs(np.mean(bin_ == 0) - 0.15) < 4 * np.sqrt(0.15 * 0.85 / 20_000)
    np.testing.assert_allclose(np.bincount(bin_)[1:] / 20_000, 0.17, atol=0.011)


# A classifier


def test_a_classifier_sees_less_with_more_bins_until_they_are_enough() -> None:
    """Of showers whose depth has a tail; with one bin all correlations are those of one Gaussian copula."""
    training, energy = late_showers(1200, 1)
    truth, of_truth = late_showers(2000, 2)

    def auc(other: np.ndarray) -> float:
        x = np.vstack([truth.values[of_truth == 16_000.0], other])
        y = np.repeat([0, 1], [2000, len(other)])
        trees = HistGradientBoostingClassifier(max_iter=60, random_state=1)
        return float(roc_auc_score(y, cross_val_predict(trees, x, y, cv=4, method="predict_proba")[:, 1]))

    found = {}
    for n_bins in (1, 5, 10):
        model, _ = energies.fit(training, energy_points(energy), energy, n_bins=n_bins, n_layers=16)
        found[n_bins] = auc(draw(model, np.full(2000, 16_000.0), seed=5)[0])
    again = auc(training.values[energy == 16_000.0])
    assert again < 0.56  # full simulation against itself
    assert found[1] > found[5] + 0.1
    assert abs(found[10] - found[5]) < 0.03


# Depth of the shower in its bins


def late_showers(n: int, seed: int) -> tuple[Quantities, np.ndarray]:
    """Gamma profiles in 16 layers that start late, exponentially: most scatter little in depth, the last bin a lot."""
    rng = np.random.default_rng(seed)
    energy = np.repeat([4000.0, 16_000.0], n)
    late = rng.exponential(1.6, 2 * n) + rng.normal(0.0, 0.5, 2 * n)
    at = np.arange(16) + 0.5 - late[:, None]
    profile = np.where(at > 0, np.abs(at) ** 3 * np.exp(-np.maximum(at, 0.0)), 1e-4)
    share = rng.gamma(60.0 * profile / profile.sum(axis=1, keepdims=True) + 2.0)
    share /= share.sum(axis=1, keepdims=True)
    names = ("total", *(f"layer {k}" for k in range(16)))
    values = np.column_stack([rng.normal(0.2, 0.01, 2 * n), share])
    return Quantities(values, np.array([2] + [0] * 16), names), energy


def test_the_depth_of_showers_scatters_in_every_bin_as_in_that_bin_of_the_training() -> None:
    """Widths of 240 showers a bin, +-5 %. One width for all bins gives up to +33 %."""
    quantities, energy = late_showers(1200, 1)
    model, bin_ = energies.fit(quantities, energy_points(energy), energy, n_bins=5, n_layers=16)
    own = energy == 16_000.0
    truth = quantities.values[own, 1:] @ np.arange(16)
    x, drawn_bin = draw(model, np.full(20_000, 16_000.0), seed=5)
    found = x[:, 1:] @ np.arange(16)
    ratio = [found[drawn_bin == b].std() / truth[bin_[own] == b].std() for b in range(5)]
    np.testing.assert_allclose(ratio, 1.0, atol=0.12)
