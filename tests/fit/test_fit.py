"""What a `Fit` says about itself, and when a minimiser's result is not to be trusted."""

from __future__ import annotations

import numpy as np
import pytest
from iminuit import Minuit
from scipy.stats import chi2

from fastparam.fit.fit import Fit, from_minuit, minimise

ENERGY = np.array([1_000.0, 8_000.0])


def parabola(limits: tuple[float | None, float | None] = (None, None), *, fixed: bool = False) -> Fit:
    """Minimum at 2 with an error of 0.5."""
    minuit = Minuit(lambda x, y: 4 * (x - 2) ** 2 + y**2, x=1.0, y=1.0)
    minuit.errordef = Minuit.LEAST_SQUARES
    minuit.limits["x"] = limits
    minuit.fixed["y"] = fixed
    minimise(minuit)
    return from_minuit(minuit, energy=ENERGY, chi2=3.0, ndf=2)


def test_values_errors_and_range_are_those_of_the_minimum() -> None:
    fit = parabola()
    assert fit["x"] == pytest.approx(2.0, abs=1e-4)
    assert fit.errors == pytest.approx([0.5, 1.0], rel=1e-3)
    assert (fit.valid, fit.accurate, fit.failed, fit.at_limit) == (True, True, False, ())
    assert (fit.energy_range, fit.n_showers) == ((1_000.0, 8_000.0), 2)


def test_a_parameter_that_ends_on_a_limit_is_named() -> None:
    assert parabola((None, 1.5)).at_limit == ("x",)
    assert parabola((None, 2.5)).at_limit == ()


def test_a_fixed_parameter_is_not_at_a_limit_although_it_may_sit_on_one() -> None:
    minuit = Minuit(lambda x, y: (x - 2) ** 2 + y, x=1.0, y=0.0)
    minuit.errordef = Minuit.LEAST_SQUARES
    minuit.limits["y"] = (0, None)
    minuit.fixed["y"] = True
    minimise(minuit)
    assert from_minuit(minuit, energy=ENERGY).at_limit == ()


def test_a_cost_without_a_minimum_fails() -> None:
    minuit = Minuit(lambda x: -x, x=1.0)
    minuit.errordef = Minuit.LEAST_SQUARES
    minimise(minuit)
    fit = from_minuit(minuit, energy=ENERGY)
    assert fit.failed
    assert not fit.valid


def test_p_value_is_that_of_chi2_and_undefined_without_degrees_of_freedom() -> None:
    assert parabola().p_value == pytest.approx(chi2.sf(3.0, 2))
    minuit = Minuit(lambda x: x**2, x=1.0)
    minuit.errordef = Minuit.LEAST_SQUARES
    minimise(minuit)
    assert np.isnan(from_minuit(minuit, energy=ENERGY).p_value)
