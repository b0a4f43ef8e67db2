"""Estimators against plain calculations, their errors against the scatter of repeated experiments."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import norm

from fastparam.comparison import statistics as stats


def weights_of(counts):
    return np.array([np.ones(len(counts)), np.asarray(counts, dtype=float)])


class TestWeights:
    def test_the_first_row_is_the_sample_itself_and_every_row_counts_n_showers(self):
        w = stats.bootstrap_weights(37, np.random.default_rng(1), replicas=50)
        assert w.shape == (51, 37)
        np.testing.assert_array_equal(w[0], 1.0)
        np.testing.assert_array_equal(w.sum(axis=1), 37.0)

    def test_a_shower_is_drawn_once_on_average_with_the_variance_of_a_multinomial(self):
        w = stats.bootstrap_weights(50, np.random.default_rng(2), replicas=4000)[1:]
        assert w.mean() == 1.0
        assert w.var() == pytest.approx(1 - 1 / 50, rel=0.02)


class TestEstimators:
    """A weight of k must mean the shower is there k times."""

    counts = np.array([2, 0, 1, 3, 0, 1, 1])
    x = np.array([3.0, -1.0, 4.0, 1.0, 5.0, 9.0, 2.0])

    @property
    def repeated(self):
        return np.repeat(self.x, self.counts)

    def test_mean(self):
        np.testing.assert_allclose(
            stats.mean(weights_of(self.counts), self.x[:, None])[:, 0], [self.x.mean(), self.repeated.mean()]
        )

    def test_rms_is_the_standard_deviation_with_bessels_correction(self):
        np.testing.assert_allclose(
            stats.rms(weights_of(self.counts), self.x[:, None])[:, 0], [self.x.std(ddof=1), self.repeated.std(ddof=1)]
        )

    def test_half_width_is_half_the_distance_of_median_unbiased_quantiles(self):
        expected = [
            np.diff(np.quantile(v, norm.cdf([-1, 1]), method="median_unbiased"))[0] / 2 for v in (self.x, self.repeated)
        ]
        np.testing.assert_allclose(stats.half_width(weights_of(self.counts), self.x[:, None])[:, 0], expected)

    @given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.integers(0, 4)), min_size=2, max_size=40))
    def test_half_width_agrees_with_numpy_for_any_weights(self, pairs):
        x, counts = np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])
        width = stats.half_width(counts[None, :].astype(float), x[:, None])[0, 0]
        repeated = np.repeat(x, counts)
        if len(repeated) < 2:
            assert np.isnan(width)
        else:
            low, high = np.quantile(repeated, norm.cdf([-1, 1]), method="median_unbiased")
            assert width == pytest.approx((high - low) / 2, rel=1e-9, abs=1e-9)

    def test_ratio_is_of_sums_not_a_mean_of_ratios(self):
        parts, total = np.array([[1.0], [6.0]]), np.array([2.0, 8.0])
        assert stats.ratio(np.ones((1, 2)), parts, total)[0, 0] == 0.7

    def test_showers_without_a_value_do_not_count(self):
        x = np.append(self.x, np.nan)[:, None]
        w = np.ones((1, 8))
        assert stats.mean(w, x)[0, 0] == pytest.approx(self.x.mean())
        assert stats.rms(w, x)[0, 0] == pytest.approx(self.x.std(ddof=1))
        assert stats.half_width(w, x)[0, 0] == pytest.approx(stats.half_width(w[:, :7], self.x[:, None])[0, 0])

    def test_correlations_are_pearsons_pair_by_pair(self):
        x = np.random.default_rng(3).normal(size=(60, 4)) @ np.random.default_rng(4).normal(size=(4, 4))
        full = np.corrcoef(x.T)
        np.testing.assert_allclose(stats.correlations(np.ones((1, 60)), x)[0], full[np.triu_indices(4, k=1)])


class TestHalfWidthOfSmallSamples:
    """A reference of 30 showers must not look narrower than a candidate of 150."""

    def test_thirty_gaussian_showers_have_width_one(self):
        x = np.random.default_rng(5).normal(size=(30, 4000))
        assert stats.half_width(np.ones((1, 30)), x).mean() == pytest.approx(1.0, abs=0.015)

    def test_the_common_quantiles_would_be_five_percent_narrow(self):
        x = np.random.default_rng(5).normal(size=(30, 4000))
        low, high = np.quantile(x, norm.cdf([-1, 1]), axis=0)
        assert (high - low).mean() / 2 == pytest.approx(0.95, abs=0.01)


class TestCoverage:
    """Pulls between independent samples of one law have width one."""

    @pytest.mark.parametrize("estimator", [stats.mean, stats.half_width, stats.rms], ids=["mean", "half width", "rms"])
    @pytest.mark.parametrize("shape", [40.0, 3.0], ids=["nearly Gaussian", "skew"])
    def test_pulls_of_toy_pairs(self, estimator, shape):
        rng = np.random.default_rng(6)
        pulls = []
        for _ in range(300):
            values, errors = [], []
            for n in (150, 600):
                w = stats.bootstrap_weights(n, rng, replicas=100)
                replicas = estimator(w, rng.gamma(shape, size=(n, 1)))
                values.append(replicas[0, 0])
                errors.append(stats.error(replicas, n)[0])
            pulls.append((values[1] - values[0]) / np.hypot(*errors))
        assert np.std(pulls) == pytest.approx(1.0, abs=0.13)
        # Width and error of a skew law rise together, which shifts the mean pull a little.
        assert abs(np.mean(pulls)) < 0.35

    def test_an_error_is_the_spread_of_the_replicas(self):
        x = np.random.default_rng(7).normal(size=(400, 1))
        w = stats.bootstrap_weights(400, np.random.default_rng(8), replicas=2000)
        assert stats.error(stats.mean(w, x), 400)[0] == pytest.approx(x.std(ddof=1) / 20, rel=0.05)

    def test_an_error_needs_half_of_the_replicas(self):
        values = np.full((11, 1), np.nan)
        values[:5] = 1.0
        assert np.isnan(stats.error(values, 20)[0])


def two_components(r, p, core, tail):
    """Share of the energy within r: Grindhammer & Peters, hep-ex/0001020, integrated."""
    return p * r**2 / (r**2 + core**2) + (1 - p) * r**2 / (r**2 + tail**2)


R_EDGES = np.concatenate([[0.0], np.geomspace(0.4, 800.0, 39), [np.inf]])


class TestQuantileRadius:
    @settings(max_examples=50)
    @given(st.floats(0.2, 0.9), st.floats(1.0, 8.0), st.floats(10.0, 40.0), st.sampled_from([0.5, 0.9]))
    def test_radii_of_an_analytic_profile(self, p, core, tail, fraction):
        inner = two_components(R_EDGES[:-1], p, core, tail)
        rings = np.diff(np.append(inner, 1.0))
        expected = brentq(lambda r: two_components(r, p, core, tail) - fraction, 1e-6, 1e6)
        assert stats.quantile_radius(rings, R_EDGES, fraction) == pytest.approx(expected, rel=2e-3)

    def test_many_profiles_at_once_keep_their_shape(self):
        rings = np.random.default_rng(9).uniform(0.1, 1.0, size=(5, 3, 40))
        together = stats.quantile_radius(rings, R_EDGES, 0.5)
        assert together.shape == (5, 3)
        assert together[4, 2] == stats.quantile_radius(rings[4, 2], R_EDGES, 0.5)

    def test_inside_the_first_edge_the_density_is_constant(self):
        rings = np.zeros(40)
        rings[0] = 1.0
        assert stats.quantile_radius(rings, R_EDGES, 0.5) == pytest.approx(0.4 * np.sqrt(0.5))

    def test_no_energy_or_a_radius_beyond_the_last_finite_edge_has_no_value(self):
        beyond = np.zeros(40)
        beyond[-1] = 1.0
        assert np.isnan(stats.quantile_radius(np.zeros(40), R_EDGES, 0.5))
        assert np.isnan(stats.quantile_radius(beyond, R_EDGES, 0.5))


class TestFamilyLimit:
    def test_one_number_is_held_to_two_standard_errors(self):
        assert stats.family_limit(1) == 2.0

    @pytest.mark.parametrize(("n", "limit"), [(7, 3.189), (100, 3.891)])
    def test_a_family_of_independent_gaussians_exceeds_it_in_one_percent_of_cases(self, n, limit):
        assert stats.family_limit(n) == pytest.approx(limit, abs=1e-3)
        assert 1 - (1 - 2 * norm.sf(limit)) ** n == pytest.approx(0.01, rel=0.02)


class TestQuadraticError:
    """Sums of squares of k independent normal numbers, whose law is exactly known: a histogram of k + 1 bins."""

    @staticmethod
    def pulls(k, difference, error):
        """Pulls of X - k about the true distance, `difference` standard deviations of X without one."""
        truth = difference * np.sqrt(2.0 * k)
        x = np.random.default_rng(11).noncentral_chisquare(k, max(truth, 1e-9), size=20_000)
        return (x - k - truth) / np.array([error(4.0 * value, 2.0 * k, float(k)) for value in x])

    @staticmethod
    def half(pulls):
        low, high = np.percentile(pulls, [15.87, 84.13])
        return (high - low) / 2

    @pytest.mark.parametrize("k", [9, 19, 99], ids=["10 bins", "20 bins", "100 bins"])
    @pytest.mark.parametrize("difference", [0.0, 1.0, 3.0, 10.0])
    def test_pulls_have_width_one_with_and_without_a_difference(self, k, difference):
        assert self.half(self.pulls(k, difference, stats.quadratic_error)) == pytest.approx(1.0, abs=0.1)

    def test_the_slope_at_the_estimate_alone_would_be_too_wide(self):
        assert self.half(self.pulls(19, 0.0, lambda slope, null, floor: np.sqrt(slope + null))) < 0.7


class TestRmsDistance:
    @staticmethod
    def estimates(rng, truth, sigma=0.05, replicas=200):
        value = truth + sigma * rng.normal(size=len(truth))
        return np.concatenate([[value], value + sigma * rng.normal(size=(replicas, len(truth)))])

    def distances(self, offset, k=15, n=200):
        rng = np.random.default_rng(10)
        zero = np.zeros(k)
        return [stats.rms_distance(self.estimates(rng, zero), self.estimates(rng, zero + offset)) for _ in range(n)]

    def test_equal_vectors_have_no_distance_on_average(self):
        squares = [np.sign(d.value) * d.value**2 for d in self.distances(0.0)]
        assert np.mean(squares) == pytest.approx(0.0, abs=3 * np.std(squares) / np.sqrt(len(squares)))

    @pytest.mark.parametrize("k", [1, 3, 30])
    def test_equal_vectors_are_called_different_at_the_stated_rate(self, k):
        pulls = np.array([d.pull for d in self.distances(0.0, k=k, n=400)])
        assert np.mean(pulls > 1.645) == pytest.approx(0.05, abs=0.035)

    def test_a_real_difference_is_found_with_its_size(self):
        found = self.distances(0.2)
        assert np.mean([d.value for d in found]) == pytest.approx(0.2, rel=0.02)
        assert np.std([d.value for d in found]) == pytest.approx(np.mean([d.error for d in found]), rel=0.2)
        assert min(d.pull for d in found) > 5

    def test_the_floor_is_the_noise_of_the_reference(self):
        assert np.mean([d.floor for d in self.distances(0.0, n=20)]) == pytest.approx(0.05, rel=0.05)

    def test_vectors_without_values_have_no_distance(self):
        nothing = np.full((5, 2), np.nan)
        assert np.isnan(stats.rms_distance(nothing, nothing).value)


def test_widened_resamples_have_the_unbiased_variance_of_a_mean():
    x = np.random.default_rng(6).normal(size=8)
    w = stats.bootstrap_weights(len(x), np.random.default_rng(7), replicas=40_000)
    values = stats.widened(stats.mean(w, x[:, None]), len(x))
    assert values[0, 0] == pytest.approx(x.mean())
    # Resamples know the population, whose variance is 7/8 of the unbiased one; 40 000 know theirs to 0.7 %.
    assert values[1:, 0].var() == pytest.approx(x.var(ddof=1) / len(x), rel=0.03)
