"""Radial profile of core and tail, against its published quantiles and numerical integrals.

Statistical tests reject below p = 1e-3.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, optimize, stats

from fastparam.errors import OutOfDomainError
from fastparam.random import stream
from fastparam.shapes import radial

REJECT = 1e-3
PROFILES = [(0.9, 0.1, 0.7), (0.3, 0.3, 1.2), (0.0, 0.1, 0.7), (1.0, 0.1, 0.7), (0.5, 0.4, 0.4)]


def test_one_component_has_the_published_quantiles() -> None:
    # Median R, 90 % at 3 R, 99 % at 9.95 R.
    assert radial.cdf([1.0, 3.0, math.sqrt(99)], 1.0, 1.0, 5.0) == pytest.approx([0.5, 0.9, 0.99])
    assert radial.ppf([0.5, 0.9, 0.99], 0.0, 5.0, 2.0) == pytest.approx([2.0, 6.0, 2 * math.sqrt(99)])


@pytest.mark.parametrize(("p", "rc", "rt"), PROFILES)
def test_cdf_sf_and_rings_integrate_the_density(p: float, rc: float, rt: float) -> None:
    for r1, r2 in ((0.0, 0.05), (0.05, 0.4), (0.4, 5.0), (300.0, 301.0)):
        integral, _ = integrate.quad(radial.radial_pdf1, r1, r2, args=(p, rc, rt), epsabs=0, epsrel=1e-12)
        assert radial.fraction(r1, r2, p, rc, rt) == pytest.approx(integral, rel=1e-9)
        assert radial.cdf(r2, p, rc, rt) - radial.cdf(r1, p, rc, rt) == pytest.approx(integral, abs=1e-12)
        assert radial.sf(r1, p, rc, rt) - radial.sf(r2, p, rc, rt) == pytest.approx(integral, abs=1e-12)
    assert radial.fraction(2.0, np.inf, p, rc, rt) == radial.sf(2.0, p, rc, rt)
    assert radial.fraction(-1.0, 2.0, p, rc, rt) == pytest.approx(radial.cdf(2.0, p, rc, rt))


def test_far_tail_keeps_its_digits() -> None:
    assert radial.sf(1e9, 0.5, 1.0, 2.0) == pytest.approx(2.5e-18)
    assert radial.fraction(1e9, 2e9, 0.5, 1.0, 2.0) == pytest.approx(2.5e-18 * 0.75)


def test_ends_of_the_range() -> None:
    assert radial.pdf([-1.0, 0.0, np.inf], 0.5, 1.0, 2.0).tolist() == [0.0] * 3
    assert radial.cdf([-1.0, 0.0, np.inf], 0.5, 1.0, 2.0).tolist() == [0.0, 0.0, 1.0]
    assert radial.sf([-1.0, 0.0, np.inf], 0.5, 1.0, 2.0).tolist() == [1.0, 1.0, 0.0]
    assert radial.ppf([0.0, 1.0], 0.5, 1.0, 2.0).tolist() == [0.0, np.inf]


@pytest.mark.parametrize(("p", "rc", "rt"), PROFILES)
def test_closed_quantile_equals_numerical_inversion(p: float, rc: float, rt: float) -> None:
    for q in (1e-6, 0.1, 0.5, 0.9, 0.999):
        root = optimize.brentq(lambda r, q=q: radial.radial_cdf1(r, p, rc, rt) - q, 1e-9, 1e3, xtol=1e-14, rtol=1e-13)
        assert radial.ppf(q, p, rc, rt) == pytest.approx(root, rel=1e-9)


@given(q=st.floats(0.0, 1.0 - 1e-12), p=st.floats(0, 1), rc=st.floats(1e-3, 10), factor=st.floats(1, 1e3))
def test_ppf_inverts_cdf(q: float, p: float, rc: float, factor: float) -> None:
    r = radial.ppf(q, p, rc, rc * factor)
    assert radial.cdf(r, p, rc, rc * factor) == pytest.approx(q, rel=1e-9, abs=1e-15)


def test_mean_within_a_radius() -> None:
    for p, rc, rt in PROFILES:
        moment, _ = integrate.quad(lambda r, a=(p, rc, rt): r * radial.radial_pdf1(r, *a), 0, 3.0, epsabs=1e-13)
        assert radial.mean_within(3.0, p, rc, rt) == pytest.approx(moment / radial.cdf(3.0, p, rc, rt), rel=1e-9)
    assert radial.mean_within(np.inf, 1.0, 2.0, 1.0) == pytest.approx(math.pi)  # pi R/2


@pytest.mark.parametrize("r_max", [np.inf, 0.8])
@pytest.mark.parametrize(("p", "rc", "rt"), PROFILES)
def test_samples_follow_the_cdf_below_r_max(p: float, rc: float, rt: float, r_max: float) -> None:
    r = radial.rvs(stream(1, 0, 0), 50_000, p, rc, rt, r_max)
    assert r.max() <= r_max
    whole = radial.cdf(r_max, p, rc, rt)
    assert stats.kstest(r, lambda x: radial.cdf(x, p, rc, rt) / whole).pvalue > REJECT


def test_draws_are_quantiles_of_the_chosen_component() -> None:
    assert radial.radial_draw1(0.1, 0.5, 0.3, 2.0, 7.0) == 2.0
    assert radial.radial_draw1(0.9, 0.5, 0.3, 2.0, 7.0) == 7.0
    assert radial.radial_draw1(0.999, 0.9, 1.05, 2.0, 7.0) == pytest.approx(6.0)  # p above 1: all core
    assert radial.radial_draw1(0.001, 0.9, -0.1, 2.0, 7.0) == pytest.approx(21.0)
    for u1, u2 in ((0.1, 0.2), (0.6, 0.9)):
        free = radial.radial_draw1(u1, u2, 0.3, 2.0, 7.0)
        assert radial.radial_draw_within1(u1, u2, 0.3, 2.0, 7.0, np.inf) == pytest.approx(free)


def test_compiled_equals_python() -> None:
    for function, arguments in (
        (radial.radial_pdf1, (0.4, 0.9, 0.1, 0.7)),
        (radial.radial_cdf1, (0.4, 0.9, 0.1, 0.7)),
        (radial.radial_sf1, (0.4, 0.9, 0.1, 0.7)),
        (radial.radial_fraction1, (0.4, 0.6, 0.9, 0.1, 0.7)),
        (radial.radial_ppf1, (0.4, 0.9, 0.1, 0.7)),
        (radial.radial_ppf1, (0.99, 0.9, 0.1, 0.7)),
        (radial.radial_draw1, (0.4, 0.6, 0.9, 0.1, 0.7)),
        (radial.radial_draw_within1, (0.95, 0.6, 0.9, 0.1, 0.7, 2.0)),
    ):
        assert function(*arguments) == pytest.approx(function.py_func(*arguments), rel=1e-14)


def test_values_without_meaning_are_refused() -> None:
    with pytest.raises(OutOfDomainError, match=r"p = 1\.05: expected a number in \[0, 1\]"):
        radial.pdf(1.0, 1.05, 0.1, 0.7)
    with pytest.raises(OutOfDomainError, match="R_C = 0: expected a finite number > 0"):
        radial.cdf(1.0, 0.5, 0.0, 0.7)
    with pytest.raises(OutOfDomainError, match=r"R_T = -0\.7 \(entry 1 of 2\)"):
        radial.sf(1.0, 0.5, 0.1, [0.7, -0.7])
    with pytest.raises(OutOfDomainError, match="r = nan"):
        radial.pdf(np.nan, 0.5, 0.1, 0.7)
    with pytest.raises(OutOfDomainError, match="r1 = 2: expected r1 <= r2"):
        radial.fraction(2.0, 1.0, 0.5, 0.1, 0.7)
    with pytest.raises(OutOfDomainError, match="q = 2"):
        radial.ppf(2.0, 0.5, 0.1, 0.7)
    with pytest.raises(OutOfDomainError, match="r_max = 0: expected r_max > 0"):
        radial.rvs(stream(1, 0, 0), 1, 0.5, 0.1, 0.7, 0.0)


def test_control_exchanged_components_are_rejected() -> None:
    # The inequality of component choice as printed in the paper.
    r = radial.rvs(stream(1, 0, 0), 50_000, 0.9, 0.1, 0.7)
    assert stats.kstest(r, lambda x: radial.cdf(x, 0.1, 0.1, 0.7)).pvalue < REJECT
    assert stats.kstest(r, lambda x: radial.cdf(x, 0.9, 0.105, 0.7)).pvalue < REJECT
