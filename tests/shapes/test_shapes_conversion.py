"""Conversion and gamma profile convolved, against the convolution integral. Statistical tests reject below 1e-3."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from fastparam.errors import OutOfDomainError
from fastparam.random import stream
from fastparam.shapes import conversion, gamma_profile

REJECT = 1e-3
# mu, alpha, beta: mu above, below, at and beside beta; extreme ratios; alpha below 1.
LAWS = [
    (0.75, 4.0, 0.5),
    (0.3, 4.0, 0.5),
    (0.5, 4.0, 0.5),
    (0.5000001, 4.0, 0.5),
    (0.4999999, 60.0, 0.5),
    (5.0, 2.0, 0.5),
    (0.001, 4.0, 0.5),
    (0.75, 0.7, 0.5),
]


def convolved_cdf(t: float, mu: float, alpha: float, beta: float) -> float:
    gamma = stats.gamma(alpha, scale=1 / beta)
    value, _ = integrate.quad(
        lambda s: mu * math.exp(-mu * (t - s)) * gamma.cdf(s), 0, t, epsabs=0, epsrel=1e-12, limit=500
    )
    return float(value)


@pytest.mark.parametrize(("mu", "alpha", "beta"), LAWS)
def test_cdf_is_the_convolution(mu: float, alpha: float, beta: float) -> None:
    for t in (0.05, 0.5, 2.0, 7.0, 20.0, 45.0):
        expected = convolved_cdf(t, mu, alpha, beta)
        assert conversion.cdf(t, mu, alpha, beta) == pytest.approx(expected, rel=1e-9, abs=1e-14)
        assert conversion.sf(t, mu, alpha, beta) == pytest.approx(1 - expected, rel=1e-9, abs=1e-14)


@pytest.mark.parametrize(("mu", "beta"), [(0.75, 0.5), (0.2, 0.5), (9.0, 0.4)])
def test_two_exponentials_keep_their_digits_in_the_tail(mu: float, beta: float) -> None:
    # alpha = 1 is the hypoexponential distribution, whose tail is elementary.
    for t in (1.0, 30.0, 300.0):
        expected = (mu * math.exp(-beta * t) - beta * math.exp(-mu * t)) / (mu - beta)
        assert conversion.sf(t, mu, 1.0, beta) == pytest.approx(expected, rel=1e-12)
    expected = conversion.sf(60.0, mu, 1.0, beta) - conversion.sf(61.0, mu, 1.0, beta)
    assert conversion.fraction(60.0, 61.0, mu, 1.0, beta) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("mu", "alpha", "beta"), LAWS)
def test_density_is_the_derivative_and_integrates_to_the_fraction(mu: float, alpha: float, beta: float) -> None:
    for t1, t2 in ((0.0, 1.0), (3.0, 9.0), (30.0, 31.0)):
        integral, _ = integrate.quad(conversion.conversion_pdf1, t1, t2, args=(mu, alpha, beta), epsrel=1e-11)
        assert conversion.fraction(t1, t2, mu, alpha, beta) == pytest.approx(integral, rel=1e-8, abs=1e-14)
    assert conversion.fraction(-1.0, np.inf, mu, alpha, beta) == pytest.approx(1.0, abs=1e-14)
    assert conversion.pdf([-1.0, 0.0, np.inf], mu, alpha, beta).tolist() == [0.0] * 3


def test_laws_join_smoothly_where_mu_passes_beta() -> None:
    mu = 0.5 + np.array([-1e-6, -1e-12, 0.0, 1e-12, 1e-6])
    values = conversion.cdf(9.0, mu, 4.0, 0.5)
    np.testing.assert_allclose(np.diff(values[[0, 2, 4]]), (values[4] - values[0]) / 2, rtol=1e-4)
    np.testing.assert_allclose(values[[1, 3]], values[2], rtol=1e-11)


def test_immediate_conversion_is_the_gamma_profile() -> None:
    t = np.linspace(0.5, 30, 20)
    np.testing.assert_allclose(conversion.cdf(t, 1e9, 4.0, 0.5), gamma_profile.cdf(t, 4.0, 0.5), rtol=1e-7)


@given(mu=st.floats(0.05, 10), alpha=st.floats(0.5, 40), beta=st.floats(0.1, 5), q=st.floats(1e-9, 1 - 1e-9))
def test_ppf_inverts_cdf(mu: float, alpha: float, beta: float, q: float) -> None:
    t = conversion.ppf(q, mu, alpha, beta)
    assert conversion.cdf(t, mu, alpha, beta) == pytest.approx(q, rel=1e-6, abs=1e-13)
    assert conversion.sf(t, mu, alpha, beta) == pytest.approx(1 - q, rel=1e-6, abs=1e-13)


def test_ppf_has_the_ends_of_the_range() -> None:
    assert conversion.ppf([0.0, 1.0], 0.75, 4.0, 0.5).tolist() == [0.0, np.inf]


@pytest.mark.parametrize(("mu", "alpha", "beta"), LAWS)
def test_samples_follow_cdf_and_moments(mu: float, alpha: float, beta: float) -> None:
    t = conversion.rvs(stream(1, 0, 0), 50_000, mu, alpha, beta)
    assert stats.kstest(t, lambda x: conversion.cdf(x, mu, alpha, beta)).pvalue > REJECT
    mean, variance = conversion.moments(mu, alpha, beta)
    assert abs(t.mean() - mean) < 4 * math.sqrt(variance / len(t))
    assert t.var() == pytest.approx(float(variance), rel=0.06)


def test_compiled_equals_python() -> None:
    for mu, alpha, beta in LAWS:
        for function in (
            conversion.conversion_pdf1,
            conversion.conversion_cdf1,
            conversion.conversion_sf1,
            conversion._not_converted1,
        ):
            expected = function.py_func(6.0, mu, alpha, beta)
            assert function(6.0, mu, alpha, beta) == pytest.approx(expected, rel=1e-12, abs=1e-300)
        expected = conversion.conversion_ppf1.py_func(0.3, mu, alpha, beta)
        assert conversion.conversion_ppf1(0.3, mu, alpha, beta) == pytest.approx(expected, rel=1e-12)
    assert conversion._poisson_mean1(4.0, 12.5) == pytest.approx(conversion._poisson_mean1.py_func(4.0, 12.5))


def test_values_without_meaning_are_refused() -> None:
    with pytest.raises(OutOfDomainError, match="mu = 0: expected a finite number > 0"):
        conversion.cdf(1.0, 0.0, 4.0, 0.5)
    with pytest.raises(OutOfDomainError, match="t = nan"):
        conversion.pdf(np.nan, 0.75, 4.0, 0.5)
    with pytest.raises(OutOfDomainError, match="t1 = 3: expected t1 <= t2"):
        conversion.fraction(3.0, 2.0, 0.75, 4.0, 0.5)
    with pytest.raises(OutOfDomainError, match=r"q = 1\.1: expected a number in \[0, 1\]"):
        conversion.ppf(1.1, 0.75, 4.0, 0.5)
    with pytest.raises(OutOfDomainError, match=r"beta = inf \(entry 0 of 4\)"):
        conversion.rvs(stream(1, 0, 0), 4, 0.75, 4.0, np.inf)


def test_control_another_conversion_length_is_rejected() -> None:
    t = conversion.rvs(stream(1, 0, 0), 50_000, 0.75, 4.0, 0.5)
    assert stats.kstest(t, lambda x: conversion.cdf(x, 0.85, 4.0, 0.5)).pvalue < REJECT
