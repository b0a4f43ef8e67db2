"""Incomplete gamma functions, against scipy and against sums in exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from fastparam.errors import OutOfDomainError, UsageError
from fastparam.shapes import incomplete_gamma as ig


def grid() -> tuple[np.ndarray, np.ndarray]:
    """a from 0.05 to 200, x over its bulk and both tails."""
    rng = np.random.default_rng(1)
    a = np.exp(rng.uniform(math.log(0.05), math.log(200), 50_000))
    return a, a * np.exp(rng.normal(0, 0.3 + 1.5 / np.sqrt(a)))


def test_p_and_q_agree_with_scipy() -> None:
    a, x = grid()
    p, q = special.gammainc(a, x), special.gammaincc(a, x)
    np.testing.assert_allclose(ig.gamma_p(a, x), p, rtol=0, atol=2e-14)
    np.testing.assert_allclose(ig.gamma_q(a, x), q, rtol=0, atol=2e-14)
    low, high = (p < 0.5) & (p > 1e-290), (q < 0.5) & (q > 1e-290)
    np.testing.assert_allclose(ig.gamma_p(a, x)[low], p[low], rtol=1e-12)
    np.testing.assert_allclose(ig.gamma_q(a, x)[high], q[high], rtol=1e-12)


@pytest.mark.parametrize(("a", "x"), [(1, Fraction(1, 2)), (4, Fraction(10)), (30, Fraction(25)), (150, Fraction(190))])
def test_q_of_whole_a_is_a_poisson_sum(a: int, x: Fraction) -> None:
    # Q(a, x) = exp(-x) sum_{k<a} x**k/k!, with the sum in exact arithmetic.
    total = sum(x**k / math.factorial(k) for k in range(a))
    assert ig.gamma_q1(float(a), float(x)) == pytest.approx(math.exp(math.log(total) - float(x)), rel=2e-13)


def test_differences_far_in_the_tail_keep_their_digits() -> None:
    # Q(1, x) = exp(-x), where P is 1 to all digits.
    assert ig.gamma_p_between(1.0, 50.0, 51.0) == pytest.approx(math.exp(-50) - math.exp(-51), rel=1e-13)
    assert ig.gamma_p1(1.0, 51.0) - ig.gamma_p1(1.0, 50.0) == 0.0
    assert ig.gamma_p_between(3.0, 0.0, np.inf) == 1.0


@given(a=st.floats(0.05, 200), x=st.lists(st.floats(0, 400), min_size=3, max_size=3).map(sorted))
def test_intervals_add_up_and_are_never_negative(a: float, x: list[float]) -> None:
    parts = [ig.gamma_p_between1(a, x[0], x[1]), ig.gamma_p_between1(a, x[1], x[2])]
    assert min(parts) >= 0
    assert sum(parts) == pytest.approx(ig.gamma_p_between1(a, x[0], x[2]), abs=4e-14)


def test_inverse_agrees_with_scipy_and_returns() -> None:
    a, _ = grid()
    q = np.random.default_rng(2).uniform(size=len(a))
    np.testing.assert_allclose(ig.gamma_p_inverse(a, q), special.gammaincinv(a, q), rtol=1e-12, atol=1e-290)
    small = 10 ** np.random.default_rng(3).uniform(-200, 0, len(a))
    x = ig.gamma_p_inverse(a, small)
    known = x > 1e-290  # below, the answer has fewer digits than a float64
    np.testing.assert_allclose(ig.gamma_p(a, x)[known], small[known], rtol=1e-11)
    assert ig.gamma_p_inverse(3.0, [0.0, 1.0]).tolist() == [0.0, np.inf]


def test_poisson_weight_is_the_poisson_probability() -> None:
    from scipy import stats

    for mean in (0.3, 9.7, 400.0):
        for k in (0, 3, 9, 10, 11, 390):
            weight = ig.poisson_weight1(float(k), mean)
            assert weight == pytest.approx(stats.poisson.pmf(k, mean), rel=1e-12, abs=1e-300)


def test_ends_of_the_range() -> None:
    assert ig.gamma_p(2.0, [-1.0, 0.0, np.inf]).tolist() == [0.0, 0.0, 1.0]
    assert ig.gamma_q(2.0, [-1.0, 0.0, np.inf]).tolist() == [1.0, 1.0, 0.0]
    assert math.isnan(ig.gamma_p1(2.0, math.nan))
    assert math.isnan(ig.gamma_q1(math.nan, 1.0))


def test_compiled_equals_python() -> None:
    for a, x in ((0.1, 0.01), (3.0, 2.0), (3.0, 9.0), (120.0, 100.0), (120.0, 150.0)):
        for function in (ig.gamma_p1, ig.gamma_q1, ig.poisson_weight1, ig.kummer_series1):
            assert function(a, x) == pytest.approx(function.py_func(a, x), rel=1e-13)
        assert ig.gamma_p_inverse1(a, 0.3) == pytest.approx(ig.gamma_p_inverse1.py_func(a, 0.3), rel=1e-13)


def test_values_without_meaning_are_refused() -> None:
    with pytest.raises(OutOfDomainError, match=r"a = 0: expected a finite number > 0"):
        ig.gamma_p(0.0, 1.0)
    with pytest.raises(OutOfDomainError, match=r"x = nan \(entry 1 of 2\)"):
        ig.gamma_q(1.0, [0.0, np.nan])
    with pytest.raises(OutOfDomainError, match=r"x1 = 2: expected x1 <= x2"):
        ig.gamma_p_between(1.0, 2.0, 1.0)
    with pytest.raises(OutOfDomainError, match=r"q = -0\.1: expected a number in \[0, 1\]"):
        ig.gamma_p_inverse(1.0, -0.1)
    with pytest.raises(UsageError, match=r"shapes \(2,\), \(3,\) cannot be broadcast"):
        ig.gamma_p([1.0, 2.0], [1.0, 2.0, 3.0])


def test_results_have_the_broadcast_shape() -> None:
    assert ig.gamma_p(1.0, 2.0).shape == ()
    assert ig.gamma_p([[1.0], [2.0]], [1.0, 2.0, 3.0]).shape == (2, 3)


def test_control_a_wrong_parameter_is_seen() -> None:
    a, x = grid()
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(ig.gamma_p(a * (1 + 1e-12), x), special.gammainc(a, x), rtol=0, atol=2e-14)
