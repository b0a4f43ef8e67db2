"""Separation with its floor subtracted: unbiased, with right errors, blind to nothing.

Every toy is a table of many independent Gaussian features, so one call is many repetitions.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from fastparam.comparison.features import FeatureTable
from fastparam.comparison.separation import Separations, scalar_edges, separations, spectrum_groups, strata_of
from fastparam.errors import UsageError


def table(values: np.ndarray, energy: np.ndarray | None = None, spectrum: np.ndarray | None = None) -> FeatureTable:
    n, f = values.shape
    spectra = np.zeros((n, 0, 4), dtype=np.uint16) if spectrum is None else spectrum[:, None].astype(np.uint16)
    return FeatureTable(
        np.full(n, 1000.0) if energy is None else energy,
        tuple(f"x{i}" for i in range(f)),
        values,
        () if spectrum is None else ("spectrum",),
        spectra,
    )


def gaussian_toys(n_p: int, n_q: int, width: float, repetitions: int, seed: int = 1) -> Separations:
    rng = np.random.default_rng(seed)
    p, q = rng.normal(size=(n_p, repetitions)), width * rng.normal(size=(n_q, repetitions))
    return separations(table(p), table(q), seed=seed)


def true_separation(x: np.ndarray, width: float) -> float:
    """S of N(0, 1) and N(0, width) in the bins that a reference would choose."""
    edges = np.concatenate([[-np.inf], scalar_edges(x), [np.inf]])
    p, q = np.diff(norm.cdf(edges)), np.diff(norm.cdf(edges / width))
    return float(0.5 * np.sum((p - q) ** 2 / (p + q)))


@pytest.mark.parametrize(
    ("n_p", "n_q", "width", "tolerance"),
    [
        (250, 250, 1.0, 0.0015),  # three times the scatter of the mean of 300
        (250, 250, 1.15, 0.0020),
        (1360, 1360, 1.15, 0.0010),
    ],
)
def test_the_estimate_is_unbiased_and_its_error_is_its_scatter(
    n_p: int, n_q: int, width: float, tolerance: float
) -> None:
    found = gaussian_toys(n_p, n_q, width, 300)
    values = np.array([s.value for s in found.features])
    expected = true_separation(np.random.default_rng(5).normal(size=n_p), width)

    assert abs(values.mean() - expected) < tolerance
    quoted = np.sqrt(np.mean([s.error**2 for s in found.features]))
    assert values.std() / quoted == pytest.approx(1.0, abs=0.15)
    # Without subtraction there is a floor of about (bins / 4) (1/n + 1/n): the control.
    raw = np.mean([s.raw for s in found.features])
    assert raw - expected > 10 * tolerance * (250 / n_p)
    bins = np.mean([s.n_bins for s in found.features])
    assert np.mean([s.floor for s in found.features]) == pytest.approx((bins - 1) / 4 * (1 / n_p + 1 / n_q), rel=0.1)


def test_a_width_wrong_by_15_percent_separates_by_what_the_densities_say() -> None:
    # Without binning: half the integral of (p - q)^2 / (p + q); twenty bins lose a sixth of it, mostly in the tails.
    def integrand(x: float) -> float:
        p, q = norm.pdf(x), norm.pdf(x, scale=1.15)
        return float((p - q) ** 2 / (p + q))

    exact = 0.5 * quad(integrand, -10, 10)[0]
    binned = true_separation(np.random.default_rng(5).normal(size=20_000), 1.15)
    assert 0.8 * exact < binned < exact
    assert gaussian_toys(20_000, 20_000, 1.15, 20).mean.value == pytest.approx(binned, abs=0.0007)  # 3 errors


def test_pulls_of_equal_samples_rarely_exceed_three_and_those_of_different_ones_do() -> None:
    equal = np.array([s.pull for s in gaussian_toys(400, 400, 1.0, 400, seed=3).features])
    assert np.mean(equal > 1.645) == pytest.approx(0.05, abs=0.04)
    assert np.mean(equal > 3.0) < 0.01
    different = np.array([s.pull for s in gaussian_toys(400, 400, 1.4, 50, seed=3).features])
    assert np.median(different) > 3.0


def test_the_error_of_the_mean_knows_that_features_are_correlated() -> None:
    rng = np.random.default_rng(2)
    one = [rng.normal(size=(400, 1)), rng.normal(size=(400, 1))]
    alone = separations(table(one[0]), table(one[1]))
    tenfold = separations(table(np.repeat(one[0], 10, axis=1)), table(np.repeat(one[1], 10, axis=1)))
    assert tenfold.mean.value == pytest.approx(alone.mean.value, abs=1e-12)
    assert tenfold.mean.error == pytest.approx(alone.mean.error, rel=1e-9)


def test_variances_are_taken_within_energies_where_both_samples_have_the_same_ones() -> None:
    rng = np.random.default_rng(4)
    energy = np.repeat([1000.0, 8000.0, 64000.0], 200)
    values = [energy[:, None] * (1 + 0.01 * rng.normal(size=(600, 200))) for _ in range(2)]
    found = separations(table(values[0], energy), table(values[1], energy))
    mean = np.mean([s.value for s in found.features])
    assert abs(mean) < 0.001
    # As if the number of showers of each energy fluctuated too: too much is subtracted, S is biased.
    wrong = separations(table(values[0]), table(values[1]))
    assert np.mean([s.value for s in wrong.features]) < -0.001 + mean


def test_showers_not_voxels_are_independent() -> None:
    """A spectrum whose showers differ has a floor far above that of independent entries."""
    rng = np.random.default_rng(6)

    def showers(n: int) -> np.ndarray:
        hard = rng.integers(0, 2, size=n)  # half of the showers fill the upper bins, all their 100 voxels together
        spectrum = np.zeros((n, 8), dtype=np.uint16)
        spectrum[np.arange(n), 2 + 3 * hard] = 100
        spectrum[:, 0] = 100
        return spectrum

    values = []
    for _ in range(60):
        p, q = showers(200), showers(200)
        found = separations(table(np.zeros((200, 0)), spectrum=p), table(np.zeros((200, 0)), spectrum=q), replicas=20)
        values.append(found["spectrum"])
    mean = np.mean([s.value for s in values])
    assert abs(mean) < 4 * np.std([s.value for s in values]) / np.sqrt(60)
    independent = (values[0].n_bins - 1) / 4 * (2 / (200 * 200))
    assert values[0].floor > 20 * independent


def test_a_repeated_value_is_its_own_bin_and_nothing_falls_outside() -> None:
    rng = np.random.default_rng(7)
    x = np.where(rng.random(1000) < 0.3, 0.0, rng.gamma(2.0, size=1000))
    edges = scalar_edges(x)
    counts = np.bincount(np.searchsorted(edges, x, side="right"), minlength=len(edges) + 1)
    assert counts.sum() == 1000
    assert counts.min() >= 20
    assert len(counts) <= 22
    assert counts[0] == (x == 0).sum()
    assert edges.min() > 0  # nothing lies below 0
    assert edges.max() < x.max()
    # 30 % empty layers that the candidate lacks are seen; the challenge's histogram is blind to them.
    full = np.where(rng.random(1000) < 0.3, 0.0, rng.gamma(2.0, size=1000))
    never_empty = rng.gamma(2.0, size=1000)
    assert separations(table(full[:, None]), table(never_empty[:, None])).mean.value > 0.1


def test_entries_beyond_the_range_of_the_reference_count() -> None:
    rng = np.random.default_rng(8)
    x, far = rng.normal(size=(500, 1)), rng.normal(size=(500, 1))
    far[:50] += 100.0
    assert separations(table(x), table(far)).mean.value > 0.02


def test_few_showers_still_get_bins() -> None:
    assert len(scalar_edges(np.random.default_rng(1).normal(size=45))) == 1
    assert len(scalar_edges(np.zeros(45))) == 0
    assert len(scalar_edges(np.arange(3.0))) == 0


def test_spectrum_bins_hold_about_a_twentieth_each_and_end_narrow() -> None:
    groups = spectrum_groups(np.full(140, 100))
    per_bin = np.bincount(groups) * 100
    assert per_bin[0] == 100
    assert per_bin[1:-1].max() <= 140 * 100 / 20 + 100
    assert groups[0] == 0
    assert (np.diff(groups) >= 0).all()
    assert spectrum_groups(np.zeros(5, dtype=np.int64)).max() == 0


def test_strata_are_energy_points_slices_of_the_same_particles_or_one() -> None:
    points = np.repeat([1000.0, 2000.0], 100)
    assert len(set(strata_of(points, np.tile(points, 2))[1])) == 2
    rng = np.random.default_rng(9)
    spectrum = np.exp(rng.uniform(7, 12, size=2000))
    assert len(set(strata_of(spectrum, np.tile(spectrum, 2))[0])) == 20
    assert set(strata_of(spectrum, np.exp(rng.uniform(7, 12, size=2000)))[0]) == {0}


def test_different_features_are_refused() -> None:
    with pytest.raises(UsageError, match="different features"):
        separations(table(np.zeros((5, 2))), table(np.zeros((5, 3))))
    with pytest.raises(UsageError, match="at least 2"):
        separations(table(np.zeros((1, 2))), table(np.zeros((5, 2))))
