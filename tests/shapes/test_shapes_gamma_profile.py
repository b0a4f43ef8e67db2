"""Longitudinal gamma profile, against scipy and its own identities. Statistical tests reject below p = 1e-3."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from fastparam._numba import parallel_kernel, prange
from fastparam.errors import OutOfDomainError, UsageError
from fastparam.random import stream
from fastparam.shapes import gamma_profile as gp

REJECT = 1e-3
PROFILES = [(4.2, 0.48), (1.0, 0.5), (1.3, 0.9), (0.7, 0.4), (40.0, 3.0)]
# alpha, beta, t1, t2: inside, before and behind the maximum; narrow, wide and open; at the edges of every branch.
INTERVALS = [
    (4.0, 0.5, 0.0, np.inf),
    (4.0, 0.5, 3.0, 4.0),
    (4.0, 0.5, 5.9, 6.1),
    (4.0, 0.5, 0.0, 1.0),
    (4.0, 0.5, 10.0, 11.0),
    (4.0, 0.5, 0.0, 25.0),
    (4.0, 0.5, 30.0, np.inf),
    (4.0, 0.5, 6.1, np.inf),
    (4.0, 0.5, 5.9, 30.0),
    (4.0, 0.5, 6.0, 20.0),
    (4.0, 0.5, 2.0, 6.0),
    (1.0, 0.5, 0.0, 0.1),
    (1.0, 0.5, 0.0, np.inf),
    (1.0, 0.5, 2.0, 9.0),
    (1.001, 0.5, 0.0, 0.03),
    (1.001, 0.5, 0.0, 2.0),
    (0.6, 0.5, 0.0, 0.1),
    (0.6, 0.5, 3.0, np.inf),
    (50.0, 1.0, 0.0, 5.0),
    (50.0, 1.0, 48.0, 60.0),
]


@parallel_kernel
def leakage_behind(depth: float, alpha: np.ndarray, beta: float) -> np.ndarray:
    out = np.empty(len(alpha))
    for i in prange(len(alpha)):
        out[i] = gp.gamma_sf1(depth, alpha[i], beta)
    return out


@pytest.mark.parametrize(("alpha", "beta"), PROFILES)
def test_pdf_cdf_sf_ppf_agree_with_scipy(alpha: float, beta: float) -> None:
    reference = stats.gamma(alpha, scale=1 / beta)
    t = np.concatenate([[-1.0], np.logspace(-6, 2, 200)])
    np.testing.assert_allclose(gp.pdf(t, alpha, beta), reference.pdf(t), rtol=1e-11, atol=1e-300)
    np.testing.assert_allclose(gp.cdf(t, alpha, beta), reference.cdf(t), rtol=1e-11, atol=1e-300)
    np.testing.assert_allclose(gp.sf(t, alpha, beta), reference.sf(t), rtol=1e-11, atol=1e-300)
    q = np.linspace(0, 1, 101)
    np.testing.assert_allclose(gp.ppf(q, alpha, beta), reference.ppf(q), rtol=1e-11)


def test_density_at_the_start_of_the_shower() -> None:
    assert gp.pdf(0.0, [1.5, 1.0, 0.5], 0.4).tolist() == [0.0, 0.4, np.inf]


@pytest.mark.parametrize(("alpha", "beta"), PROFILES)
def test_fraction_is_the_integral_of_the_density(alpha: float, beta: float) -> None:
    for t1, t2 in ((0.5, 1.5), (2.0, 30.0), (60.0, 61.0)):
        integral, _ = integrate.quad(gp.gamma_pdf1, t1, t2, args=(alpha, beta), epsabs=0)
        assert gp.fraction(t1, t2, alpha, beta) == pytest.approx(integral, rel=1e-9)
    assert gp.fraction(-np.inf, np.inf, alpha, beta) == 1.0


@given(alpha=st.floats(0.5, 60), beta=st.floats(0.1, 5), q=st.floats(1e-9, 1 - 1e-9))
def test_ppf_inverts_cdf(alpha: float, beta: float, q: float) -> None:
    assert gp.cdf(gp.ppf(q, alpha, beta), alpha, beta) == pytest.approx(q, rel=1e-11)


@given(maximum=st.floats(0.5, 20), alpha=st.floats(1.01, 30))
def test_maximum_lies_where_it_was_put(maximum: float, alpha: float) -> None:
    beta = float(gp.rate(maximum, alpha))
    top = gp.pdf(maximum, alpha, beta)
    assert top >= gp.pdf(maximum * 0.99, alpha, beta)
    assert top >= gp.pdf(maximum * 1.01, alpha, beta)
    mean, variance = gp.moments(alpha, beta)
    assert maximum == pytest.approx(mean - variance / mean)  # T = m - v/m


def test_moments_agree_with_scipy_and_return_the_parameters() -> None:
    mean, variance = gp.moments(4.2, 0.48)
    assert (mean, variance) == pytest.approx(stats.gamma(4.2, scale=1 / 0.48).stats("mv"))
    assert gp.from_moments(mean, variance) == pytest.approx((4.2, 0.48))


@pytest.mark.parametrize(("alpha", "beta"), PROFILES)
def test_samples_follow_the_cdf(alpha: float, beta: float) -> None:
    t = gp.rvs(stream(1, 0, 0), 50_000, alpha, beta)
    assert stats.kstest(t, lambda x: gp.cdf(x, alpha, beta)).pvalue > REJECT


@pytest.mark.parametrize(("alpha", "beta", "t1", "t2"), INTERVALS)
def test_samples_within_an_interval_follow_the_truncated_cdf(alpha: float, beta: float, t1: float, t2: float) -> None:
    t = gp.rvs_between(stream(2, 0, 0), 50_000, alpha, beta, t1, t2)
    assert t.min() >= t1
    assert t.max() <= t2
    whole = gp.fraction(t1, t2, alpha, beta)
    assert stats.kstest(t, lambda x: gp.fraction(t1, x, alpha, beta) / whole).pvalue > REJECT


def test_an_interval_without_width_gives_its_edge() -> None:
    assert gp.rvs_between(stream(2, 0, 0), 3, 4.0, 0.5, 7.0, 7.0).tolist() == [7.0] * 3


@given(alpha=st.floats(1.0, 60), t1=st.floats(0, 50), width=st.floats(1e-6, 100), seed=st.integers(0, 2**31))
def test_samples_never_leave_their_interval(alpha: float, t1: float, width: float, seed: int) -> None:
    t = gp.gamma_draw_between1(stream(seed, 0, 0), alpha, 0.5, t1, t1 + width)
    assert t1 <= t <= t1 + width


def test_samples_depend_on_their_stream_only() -> None:
    first = gp.rvs(stream(3, 1, 4), (2, 5), 4.0, [[0.5], [0.6]])
    assert first.shape == (2, 5)
    np.testing.assert_array_equal(first, gp.rvs(stream(3, 1, 4), (2, 5), 4.0, [[0.5], [0.6]]))
    assert not np.array_equal(first, gp.rvs(stream(3, 1, 5), (2, 5), 4.0, [[0.5], [0.6]]))


def test_kernels_work_inside_a_parallel_kernel() -> None:
    alpha = np.linspace(2.0, 6.0, 50)
    np.testing.assert_array_equal(leakage_behind(22.0, alpha, 0.5), gp.sf(22.0, alpha, 0.5))


def test_compiled_equals_python() -> None:
    for function, arguments in (
        (gp.gamma_pdf1, (3.0, 4.2, 0.48)),
        (gp.gamma_cdf1, (3.0, 4.2, 0.48)),
        (gp.gamma_sf1, (3.0, 4.2, 0.48)),
        (gp.gamma_fraction1, (3.0, 9.0, 4.2, 0.48)),
        (gp.gamma_ppf1, (0.3, 4.2, 0.48)),
    ):
        assert function(*arguments) == pytest.approx(function.py_func(*arguments), rel=1e-13)
    for alpha, beta, t1, t2 in INTERVALS:
        a, b = stream(5, 0, 0), stream(5, 0, 0)
        for _ in range(5):
            compiled = gp.gamma_draw_between1(a, alpha, beta, t1, t2)
            with np.errstate(over="ignore"):
                plain = gp.gamma_draw_between1.py_func(b, alpha, beta, t1, t2)
            assert compiled == pytest.approx(plain, rel=1e-12)


def test_values_without_meaning_are_refused() -> None:
    with pytest.raises(OutOfDomainError, match=r"alpha = 0 \(entry 1 of 2\): expected a finite number > 0"):
        gp.pdf(1.0, [2.0, 0.0], 0.5)
    with pytest.raises(OutOfDomainError, match=r"beta = -0\.5: expected a finite number > 0"):
        gp.cdf(1.0, 2.0, -0.5)
    with pytest.raises(OutOfDomainError, match="t = nan"):
        gp.sf(np.nan, 2.0, 0.5)
    with pytest.raises(OutOfDomainError, match="t1 = 3: expected t1 <= t2"):
        gp.fraction(3.0, 2.0, 2.0, 0.5)
    with pytest.raises(OutOfDomainError, match=r"q = 2: expected a number in \[0, 1\]"):
        gp.ppf(2.0, 2.0, 0.5)
    with pytest.raises(OutOfDomainError, match=r"t1 = -1 \(entry 0 of 5\): expected 0 <= t1 <= t2"):
        gp.rvs_between(stream(1, 0, 0), 5, 2.0, 0.5, -1.0, 2.0)
    with pytest.raises(OutOfDomainError, match="alpha = 1: expected alpha > 1, else the profile has no maximum"):
        gp.rate(6.0, 1.0)
    with pytest.raises(OutOfDomainError, match="variance = 0"):
        gp.from_moments(8.0, 0.0)
    with pytest.raises(UsageError, match=r"cannot be broadcast to \(3,\)"):
        gp.rvs(stream(1, 0, 0), 3, [4.0, 4.1], 0.5)


def test_control_a_wrong_alpha_is_rejected() -> None:
    t = gp.rvs(stream(1, 0, 0), 50_000, 4.2, 0.48)
    assert stats.kstest(t, lambda x: gp.cdf(x, 4.3, 0.48)).pvalue < REJECT
    t = gp.rvs_between(stream(2, 0, 0), 50_000, 4.0, 0.5, 10.0, 11.0)  # uniform is not good enough
    assert stats.kstest(t, stats.uniform(10, 1).cdf).pvalue < REJECT
