"""Shower-to-shower fluctuations of (ln T, ln alpha) and the age of a shower."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from fastparam.errors import OutOfDomainError
from fastparam.random import stream
from fastparam.shapes import fluctuations as fl
from fastparam.shapes import homogeneous

LAW = fl.Fluctuations(*(np.asarray(v) for v in (1.93, 1.53, 0.12, 0.165, 0.527)))


def test_drawn_showers_have_the_means_sigmas_and_correlation_of_the_law() -> None:
    n = 100_000
    maximum, alpha = fl.rvs(stream(1, 0, 0), n, LAW)
    x, y = np.log(maximum), np.log(alpha)
    assert stats.kstest(x, stats.norm(LAW.mean_ln_t, LAW.sigma_ln_t).cdf).pvalue > 1e-3
    assert stats.kstest(y, stats.norm(LAW.mean_ln_alpha, LAW.sigma_ln_alpha).cdf).pvalue > 1e-3
    assert np.corrcoef(x, y)[0, 1] == pytest.approx(0.527, abs=4 * (1 - 0.527**2) / math.sqrt(n))


@pytest.mark.parametrize("rho", [-1.0, -0.4, 0.0, 0.6, 1.0])
def test_the_transformation_has_the_stated_covariance(rho: float) -> None:
    columns = np.array([fl.correlated1(*z, 0.0, 0.0, 2.0, 3.0, rho) for z in ((1.0, 0.0), (0.0, 1.0))]).T
    np.testing.assert_allclose(columns @ columns.T, [[4.0, 6 * rho], [6 * rho, 9.0]], atol=1e-14)


def test_showers_without_a_maximum_are_drawn_again_in_the_stated_number() -> None:
    law = LAW._replace(mean_ln_alpha=np.asarray(0.2), rho=np.asarray(0.0))
    _, alpha = fl.rvs(stream(2, 0, 0), 50_000, law)
    assert alpha.min() > 1
    a = (0 - 0.2) / 0.165
    assert stats.kstest(np.log(alpha), stats.truncnorm(a, np.inf, 0.2, 0.165).cdf).pvalue > 1e-3
    assert fl.fraction_redrawn(law) == pytest.approx(stats.norm.cdf(a))


def test_fraction_redrawn_is_what_geant4_loses_in_lead_tungstate() -> None:
    # 2.1 % of 0.3 GeV and 0.015 % of 1 GeV showers drew alpha <= 1 in a run of Geant4 11.4, whose critical energy of
    # PbWO4 is 10.757 MeV.
    law = homogeneous.fluctuating(np.array([300.0, 1000.0]) / 10.757, 68.36)
    np.testing.assert_allclose(fl.fraction_redrawn(law), [0.021, 0.00015], rtol=0.25)


def test_age_of_the_central_shower_is_depth_over_maximum() -> None:
    t = np.array([0.0, 3.0, 12.0])
    np.testing.assert_allclose(fl.age(t, 6.0, math.exp(1.5), 1.5), t / 6.0, rtol=1e-15)


def test_age_uses_the_centre_of_gravity_of_the_shower_itself() -> None:
    maximum, alpha, mean = 5.0, 3.0, 1.5
    centre = maximum * alpha / (alpha - 1)
    expected = 7.0 / centre * math.exp(mean) / (math.exp(mean) - 1)
    assert fl.age(7.0, maximum, alpha, mean) == pytest.approx(expected)
    assert fl.age1(7.0, maximum, alpha, mean) == pytest.approx(expected)


def test_compiled_equals_python() -> None:
    arguments = (0.3, -1.2, 1.93, 1.53, 0.12, 0.165, 0.527)
    assert fl.correlated1(*arguments) == pytest.approx(fl.correlated1.py_func(*arguments))
    assert fl.age1(7.0, 5.0, 3.0, 1.5) == pytest.approx(fl.age1.py_func(7.0, 5.0, 3.0, 1.5))
    a, b = stream(3, 0, 0), stream(3, 0, 0)
    assert fl.shower_draw1(a, *arguments[2:]) == pytest.approx(fl.shower_draw1.py_func(b, *arguments[2:]))


def test_values_without_meaning_are_refused() -> None:
    state = stream(1, 0, 0)
    with pytest.raises(OutOfDomainError, match=r"<ln alpha> = -1: expected a finite number > 0"):
        fl.rvs(state, (), LAW._replace(mean_ln_alpha=np.asarray(-1.0)))
    with pytest.raises(OutOfDomainError, match=r"sigma\(ln T\) = 0"):
        fl.rvs(state, (), LAW._replace(sigma_ln_t=np.asarray(0.0)))
    with pytest.raises(OutOfDomainError, match=r"rho = 1\.2: expected a correlation in \[-1, 1\]"):
        fl.rvs(state, (), LAW._replace(rho=np.asarray(1.2)))
    with pytest.raises(OutOfDomainError, match=r"alpha = 0\.9: expected alpha > 1"):
        fl.age(1.0, 6.0, 0.9, 1.5)


def test_control_another_correlation_is_rejected() -> None:
    n = 100_000
    maximum, alpha = fl.rvs(stream(1, 0, 0), n, LAW)
    measured = np.corrcoef(np.log(maximum), np.log(alpha))[0, 1]
    assert abs(measured - 0.50) > 4 * (1 - 0.5**2) / math.sqrt(n)
