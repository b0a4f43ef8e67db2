"""Sinh-arcsinh distribution, against the normal law and its closed moments. Statistical tests reject below 1e-3."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, special, stats

from fastparam.errors import OutOfDomainError
from fastparam.random import stream
from fastparam.shapes import sinh_arcsinh as sas

REJECT = 1e-3
# loc, scale, skew, tail
LAWS = [(0.0, 1.0, 0.0, 1.0), (1.0, 2.0, 0.5, 0.7), (0.0, 1.0, -1.0, 0.5), (-3.0, 0.4, 0.3, 2.0)]


def test_without_skew_and_tail_it_is_the_normal_distribution() -> None:
    x = np.linspace(-6, 8, 101)
    reference = stats.norm(1.0, 2.0)
    np.testing.assert_allclose(sas.logpdf(x, 1.0, 2.0, 0.0, 1.0), reference.logpdf(x), rtol=1e-13)
    np.testing.assert_allclose(sas.cdf(x, 1.0, 2.0, 0.0, 1.0), reference.cdf(x), rtol=1e-12)
    q = np.linspace(0.01, 0.99, 99)
    np.testing.assert_allclose(sas.ppf(q, 1.0, 2.0, 0.0, 1.0), reference.ppf(q), rtol=1e-12, atol=1e-14)
    assert sas.moments(1.0, 2.0, 0.0, 1.0) == pytest.approx((1.0, 4.0))


@pytest.mark.parametrize("law", LAWS)
def test_density_is_the_derivative_of_the_cdf(law: tuple[float, float, float, float]) -> None:
    for q1, q2 in ((1e-6, 0.1), (0.1, 0.6), (0.6, 1 - 1e-6)):
        x1, x2 = sas.ppf([q1, q2], *law)
        integral, _ = integrate.quad(lambda x: float(sas.pdf(x, *law)), x1, x2, epsabs=1e-13, limit=200)
        assert integral == pytest.approx(q2 - q1, rel=1e-9)


def test_sinh_and_arcsinh_stand_where_the_paper_puts_them() -> None:
    # Jones & Pewsey eq. 2 at tail = 1/2, skew = 1: the median is scale sinh(skew/tail).
    assert sas.ppf(0.5, 0.0, 3.0, 1.0, 0.5) == pytest.approx(3 * math.sinh(2.0))
    assert sas.cdf(1.7, 0.0, 1.0, 0.4, 0.8) == pytest.approx(special.ndtr(math.sinh(0.8 * math.asinh(1.7) - 0.4)))


def test_tail_parameter_orders_the_tails_and_skew_leans() -> None:
    kurtosis = [
        sas.expectation(lambda x: x**4, 0.0, 1.0, 0.0, tail) / sas.moments(0.0, 1.0, 0.0, tail)[1] ** 2
        for tail in (0.6, 1.0, 2.0)
    ]
    assert kurtosis[0] > kurtosis[1] == pytest.approx(3.0)
    assert kurtosis[2] < 3.0
    assert sas.moments(0.0, 1.0, 0.5, 1.0)[0] > 0


@pytest.mark.parametrize("law", LAWS)
def test_closed_moments_equal_quadrature(law: tuple[float, float, float, float]) -> None:
    mean, variance = sas.moments(*law)
    assert sas.expectation(lambda x: x, *law) == pytest.approx(mean, rel=1e-9, abs=1e-12)
    assert sas.expectation(lambda x: (x - mean) ** 2, *law) == pytest.approx(variance, rel=1e-9)


def test_expectation_of_an_exponential_is_the_lognormal_mean() -> None:
    value = sas.expectation(np.exp, [[1.0], [2.0]], [0.3, 0.5], 0.0, 1.0)
    np.testing.assert_allclose(value, np.exp([[1 + 0.045, 1 + 0.125], [2 + 0.045, 2 + 0.125]]), rtol=1e-12)


@given(q=st.floats(1e-9, 1 - 1e-9), skew=st.floats(-2, 2), tail=st.floats(0.3, 3), scale=st.floats(0.01, 100))
def test_ppf_inverts_cdf(q: float, skew: float, tail: float, scale: float) -> None:
    x = sas.ppf(q, 0.0, scale, skew, tail)
    assert sas.cdf(x, 0.0, scale, skew, tail) == pytest.approx(q, rel=1e-9)


def test_ends_of_the_range() -> None:
    for law in LAWS:
        assert sas.ppf([0.0, 1.0], *law).tolist() == [-np.inf, np.inf]
        assert sas.cdf([-np.inf, np.inf], *law).tolist() == [0.0, 1.0]
        assert sas.logpdf([-np.inf, np.inf], *law).tolist() == [-np.inf] * 2
        assert (sas.logpdf([1e300, -1e300], *law) < -1e100).all()  # where sinh overflows: -inf, not NaN


@pytest.mark.parametrize("law", LAWS)
def test_samples_follow_the_cdf(law: tuple[float, float, float, float]) -> None:
    x = sas.rvs(stream(1, 0, 0), 50_000, *law)
    assert stats.kstest(x, lambda v: sas.cdf(v, *law)).pvalue > REJECT


def test_compiled_equals_python() -> None:
    for function, first in (
        (sas.sinh_arcsinh_logpdf1, 1.3),
        (sas.sinh_arcsinh_cdf1, 1.3),
        (sas.sinh_arcsinh_ppf1, 0.2),
        (sas.sinh_arcsinh_from_normal1, -0.7),
    ):
        for law in LAWS:
            assert function(first, *law) == pytest.approx(function.py_func(first, *law), rel=1e-13)
    a, b = stream(5, 0, 0), stream(5, 0, 0)
    assert sas.sinh_arcsinh_draw1(a, *LAWS[1]) == pytest.approx(sas.sinh_arcsinh_draw1.py_func(b, *LAWS[1]))


def test_values_without_meaning_are_refused() -> None:
    with pytest.raises(OutOfDomainError, match="scale = 0: expected a finite number > 0"):
        sas.logpdf(0.0, 0.0, 0.0, 0.0, 1.0)
    with pytest.raises(OutOfDomainError, match="tail = -1: expected a finite number > 0"):
        sas.cdf(0.0, 0.0, 1.0, 0.0, -1.0)
    with pytest.raises(OutOfDomainError, match="skew = inf: expected a finite number"):
        sas.moments(0.0, 1.0, np.inf, 1.0)
    with pytest.raises(OutOfDomainError, match="loc = nan"):
        sas.rvs(stream(1, 0, 0), 1, np.nan, 1.0, 0.0, 1.0)
    with pytest.raises(OutOfDomainError, match="x = nan"):
        sas.pdf(np.nan, 0.0, 1.0, 0.0, 1.0)
    with pytest.raises(OutOfDomainError, match="q = 2"):
        sas.ppf(2.0, 0.0, 1.0, 0.0, 1.0)


def test_control_wrong_tail_and_skew_are_rejected() -> None:
    x = sas.rvs(stream(1, 0, 0), 50_000, 1.0, 2.0, 0.5, 0.7)
    assert stats.kstest(x, lambda v: sas.cdf(v, 1.0, 2.0, 0.5, 0.75)).pvalue < REJECT
    assert stats.kstest(x, lambda v: sas.cdf(v, 1.0, 2.0, 0.45, 0.7)).pvalue < REJECT
