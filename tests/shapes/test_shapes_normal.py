"""Normal distribution for kernels, against scipy (Cephes)."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from fastparam.errors import OutOfDomainError
from fastparam.shapes import normal


def test_cdf_agrees_with_scipy_far_into_the_lower_tail() -> None:
    z = np.linspace(-37, 9, 2001)
    np.testing.assert_allclose(normal.cdf(z), special.ndtr(z), rtol=1e-13)


def test_ppf_agrees_with_scipy_to_the_last_digits() -> None:
    q = np.concatenate([np.logspace(-300, -1, 600), np.linspace(0.001, 0.999, 999), 1 - np.logspace(-15, -1, 100)])
    np.testing.assert_allclose(normal.ppf(q), special.ndtri(q), rtol=2e-15, atol=1e-16)


def test_ppf_is_odd_and_infinite_at_the_ends() -> None:
    q = np.array([1 / 1024, 0.25, 0.375])  # 1 - q is exact
    np.testing.assert_array_equal(normal.ppf(1 - q), -normal.ppf(q))
    assert normal.ppf([0.0, 0.5, 1.0]).tolist() == [-np.inf, 0.0, np.inf]


def test_compiled_equals_python() -> None:
    for q in (1e-200, 1e-9, 0.02, 0.4, 0.99, 1.0):
        assert normal.normal_ppf1(q) == pytest.approx(normal.normal_ppf1.py_func(q), rel=1e-15)
    assert normal.normal_cdf1(-3.3) == pytest.approx(normal.normal_cdf1.py_func(-3.3), rel=1e-15)


def test_values_without_meaning_are_refused() -> None:
    with pytest.raises(OutOfDomainError, match=r"z = nan \(entry 1 of 2\): expected a number, not NaN"):
        normal.cdf([0.0, np.nan])
    with pytest.raises(OutOfDomainError, match=r"q = 1\.5: expected a number in \[0, 1\]"):
        normal.ppf(1.5)


def test_control_a_misprinted_coefficient_would_be_seen() -> None:
    q = np.linspace(0.001, 0.999, 99)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(normal.ppf(q) * (1 + 1e-14), special.ndtri(q), rtol=2e-15)
