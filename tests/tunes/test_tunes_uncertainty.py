"""Uncertainties of a tune, used: eigenvectors, variations, replicas, and differences between tunes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from fastparam.errors import FastparamWarning, UsageError
from fastparam.fit.fit import Fit
from fastparam.geometry.load import load_geometry
from fastparam.summary.binning import Binning
from fastparam.tunes.diff import diff
from fastparam.tunes.recipe import load_recipe
from fastparam.tunes.tune import SliceTune, Tune
from fastparam.tunes.uncertainty import SAMPLED, eigenvectors, replicas, vary

COVARIANCE = np.array([[4.0, 1.2, 0.0], [1.2, 1.0, 0.0], [0.0, 0.0, 0.25]])


def fit(values=(10.0, -3.0, 0.5), covariance=COVARIANCE) -> Fit:
    return Fit(("a", "b", "c"), np.array(values), np.array(covariance), True, True, (), 0.0, 0, (1e3, 1e5), 100)


def tune(**components: Fit) -> Tune:
    part = SliceTune(22, None, (1e3, 1e5), 0.0, 100, {name: fit() for name in SAMPLED} | components)
    binning = Binning("layer", np.array([np.inf]), np.array([1]), np.array([0.0, 1.0, np.inf]), 0.0)
    return Tune("toy", load_geometry("pbwo4"), load_recipe("gflash"), binning, (part,), (), {}, {"comparison": {}})


def test_eigenvectors_rebuild_the_covariance() -> None:
    _, shift = eigenvectors(fit())
    np.testing.assert_allclose(shift.T @ shift, COVARIANCE, atol=1e-12)


def test_eigenvectors_do_not_depend_on_units() -> None:
    scale = np.array([1000.0, 1.0, 1e-3])
    sigma, shift = eigenvectors(fit())
    other_sigma, other_shift = eigenvectors(fit(covariance=COVARIANCE * np.outer(scale, scale)))
    np.testing.assert_allclose(other_sigma, sigma)
    np.testing.assert_allclose(np.abs(other_shift), np.abs(shift * scale))


def test_a_fixed_parameter_never_moves() -> None:
    fixed = COVARIANCE.copy()
    fixed[0, :] = fixed[:, 0] = 0.0
    _, shift = eigenvectors(fit(covariance=fixed))
    assert shift.shape == (2, 3)
    assert (shift[:, 0] == 0).all()


def test_varying_moves_one_component_by_that_many_sigmas() -> None:
    before = tune()
    after = vary(before, "radial", -1.5, 1)
    moved = after.slices[0].components["radial"].values - before.slices[0].components["radial"].values
    # The chi2 of the shift is n_sigma^2, whatever the direction.
    assert moved @ np.linalg.inv(COVARIANCE) @ moved == pytest.approx(1.5**2)
    for other in set(SAMPLED) - {"radial"}:
        assert after.slices[0].components[other] is before.slices[0].components[other]
    assert after.validation == {}
    assert "radial" in after.provenance["varied"]


@pytest.mark.parametrize(
    ("component", "eigenvector", "message"),
    [
        ("radal", 0, "no component 'radal' .did you mean 'radial'"),
        ("radial", 3, "eigenvector 3 of radial: expected 0 to 2"),
        ("spots", 0, "spots has no parameter that could be varied"),
    ],
)
def test_what_cannot_be_varied_is_named(component: str, eigenvector: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        vary(tune(spots=fit(covariance=np.zeros((3, 3)))), component, 1.0, eigenvector)


@pytest.mark.parametrize("change", [lambda t: vary(t, "radial", 1.0), lambda t: replicas(t, 1)])
def test_recipes_that_draw_from_tables_say_that_their_showers_stay(change: Callable[[Tune], object]) -> None:
    with pytest.warns(FastparamWarning, match="recipe hybrid does not draw showers from .*--recipe gflash"):
        change(replace(tune(), recipe=load_recipe("hybrid")))
    change(tune())  # warnings are errors


def test_replicas_have_the_covariance_of_the_fit() -> None:
    drawn = np.array([t.slices[0].components["longitudinal"].values for t in replicas(tune(), 4000, seed=3)])
    # 4000 draws: relative error of a variance sqrt(2 / 4000) = 2.2 %, of a mean sigma / 63.
    np.testing.assert_allclose(np.cov(drawn.T), COVARIANCE, atol=0.4)
    assert (np.abs(drawn.mean(axis=0) - [10.0, -3.0, 0.5]) < 4 * np.sqrt(np.diag(COVARIANCE) / 4000)).all()


def test_replicas_are_reproducible_and_at_least_one() -> None:
    a, b = (replicas(tune(), 2, seed=5)[1].slices[0].components["radial"].values for _ in range(2))
    np.testing.assert_array_equal(a, b)
    with pytest.raises(UsageError, match="0 replicas: expected at least 1"):
        replicas(tune(), 0)


def test_a_tune_does_not_differ_from_itself() -> None:
    for found in diff(tune(), tune()):
        assert found.chi2 == 0
        assert set(found.pull) == {0.0}


def test_differences_come_in_standard_errors_with_correlations() -> None:
    shift = np.array([2.0, -1.0, 0.0])
    found = {d.component: d for d in diff(tune(), tune(radial=fit(values=np.array([10.0, -3.0, 0.5]) + shift)))}
    radial = found["radial"]
    # Both tunes have errors: the variance of the difference is twice that of either.
    assert radial.pull == pytest.approx((2.0 / np.sqrt(8.0), -1.0 / np.sqrt(2.0), 0.0))
    assert radial.chi2 == pytest.approx(shift @ np.linalg.inv(2 * COVARIANCE) @ shift)
    assert radial.ndf == 3
    assert found["spots"].chi2 == 0


def test_two_independent_samples_of_one_truth_differ_by_chi2_of_their_degrees_of_freedom() -> None:
    rng = np.random.default_rng(11)
    truth = np.array([10.0, -3.0, 0.5])
    p_values = []
    for _ in range(300):
        a, b = rng.multivariate_normal(truth, COVARIANCE, 2)
        p_values += [d.p_value for d in diff(tune(radial=fit(a)), tune(radial=fit(b))) if d.component == "radial"]
    # Uniform p-values: mean 1/2 with error 1/sqrt(12 300) = 0.017; four sigma is a false alarm in 16 000.
    assert abs(np.mean(p_values) - 0.5) < 4 / np.sqrt(12 * 300)


def test_slices_and_laws_that_are_on_one_side_only_are_said() -> None:
    here = tune()
    there = replace(here, slices=(replace(here.slices[0], pdg=11),))
    assert {d.note for d in diff(here, there)} == {"only in the new tune", "only in the old tune"}
    other_law = tune(radial=replace(fit(), names=("x", "y", "z")))
    assert [d.note for d in diff(here, other_law) if d.component == "radial"] == [
        "another law: the parameters have other names"
    ]


def test_a_slice_without_the_component_stays_as_it_is() -> None:
    """As pions beside photons: they have no longitudinal law."""
    both = tune()
    (photons,) = both.slices
    rest = {name: law for name, law in photons.components.items() if name != "longitudinal"}
    pions = replace(photons, pdg=211, components=rest)
    after = vary(replace(both, slices=(photons, pions)), "longitudinal", 1.0)
    assert after.slices[1] is pions
    assert (after.slices[0].components["longitudinal"].values != photons.components["longitudinal"].values).any()
