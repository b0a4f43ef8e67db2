"""Warp of radial profiles: a planted halo is found, none where there is none, and energy is conserved."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from profile_toys import radii

from fastparam.fit import radial, radial_warp
from fastparam.fit.fit import Fit
from fastparam.fit.radial import RadialData

AGES = np.array([0.5, 1.0, 1.5, 2.2])


def halo(seed: int, *, n: int = 100, share: float = 0.15, slope: float = 0.0) -> RadialData:
    """Classical toys in which a part of the deposits of all ages is moved out by four rings, a factor of 2.

    The part is `share` at 10 GeV and grows by `slope` per unit of ln E.
    """
    data = radii(np.random.default_rng([seed, 51]), n=n)
    rng = np.random.default_rng([seed, 52])
    part = share + slope * np.log(data.incident / 10_000.0)[data.shower]
    moved = rng.random(len(data.ring)) < part
    return replace(data, ring=np.minimum(data.ring + np.where(moved, 4, 0), len(data.r_edges) - 3))


def radius(fit: Fit, warp: Fit | None, q: float, energy: float = 10_000.0) -> np.ndarray:
    """Radius in Moliere radii that holds the share q at `AGES`, on a fine grid."""
    r = np.geomspace(0.005, 20.0, 4000)
    law = radial.evaluate(fit, AGES, np.full(len(AGES), np.log(energy / 10_000.0)))
    u = radial.cumulative(*law, r**2)
    if warp is not None:
        u = radial_warp.warped(u, radial_warp.at_age(radial_warp.evaluate(warp, np.array([energy]))[0], AGES))
    return np.array([np.interp(q, row, r) for row in u])


@pytest.fixture(scope="module")
def classical() -> Fit:
    """The law that toys without a halo follow."""
    return radial.fit(radii(np.random.default_rng(50), n=150), "classical")


def with_halo(fit: Fit, q: float, share: float = 0.15) -> np.ndarray:
    """Radius that holds q of the classical profile, `share` of which is 2 times farther out."""
    r = np.geomspace(0.005, 20.0, 4000)
    rings = 20.0 / 0.02
    law = radial.evaluate(fit, AGES, np.zeros(len(AGES)))
    u, inner = (radial.cumulative(*law, x**2) for x in (r, r * rings ** (-4 / 38)))
    return np.array([np.interp(q, row, r) for row in (1 - share) * u + share * inner / inner[:, -1:]])


@pytest.mark.parametrize("q", [0.5, 0.9])
def test_a_halo_moves_the_radii_as_it_should(classical: Fit, q: float) -> None:
    warp = radial_warp.fit(halo(1, n=150), classical)
    assert radius(classical, warp, q) == pytest.approx(with_halo(classical, q), rel=0.03)
    # Without the warp they are short by up to 15 %.
    assert np.abs(radius(classical, None, q) / with_halo(classical, q) - 1).max() > 0.06


def test_a_profile_that_the_law_describes_is_left_alone(classical: Fit) -> None:
    warp = radial_warp.fit(radii(np.random.default_rng([2, 53]), n=150), classical)
    for q in (0.5, 0.9):
        assert radius(classical, warp, q) == pytest.approx(radius(classical, None, q), rel=0.025)


def test_a_halo_that_grows_with_the_energy_is_followed(classical: Fit) -> None:
    warp = radial_warp.fit(halo(3, n=150, share=0.2, slope=0.1), classical)
    assert warp.settings["degree"] >= 1
    low, high = (radius(classical, warp, 0.9, e) / radius(classical, None, 0.9, e) for e in (4_000.0, 65_000.0))
    assert np.all(high > low + 0.05)


def test_chi2_says_what_was_gained(classical: Fit) -> None:
    warp = radial_warp.fit(halo(4), classical)
    assert warp.chi2 < 1.15 * warp.ndf
    assert warp.settings["chi2_without"] > 1.5 * warp.chi2


def test_errors_are_those_of_repeated_samples(classical: Fit) -> None:
    """Coefficients of the nodes that hold most energy, at the ages of the maximum."""
    fits = [radial_warp.fit(halo(seed, n=40), classical) for seed in range(20, 32)]
    names = [f"b{i}_{j}_0" for i in (1, 2, 3) for j in (3, 4, 5)]
    values = np.array([[f[name] for name in names] for f in fits])
    quoted = np.array([[f.errors[f.names.index(name)] for name in names] for f in fits])
    ratio = values.std(axis=0, ddof=1) / quoted.mean(axis=0)
    # 12 samples know a width to 21 %, the mean of nine correlated ones to about 9 %.
    assert 0.75 < ratio.mean() < 1.3


def test_the_warp_is_monotonous_whatever_its_coefficients() -> None:
    s = np.random.default_rng(5).normal(0.0, 2.0, (6, radial_warp.U_HATS.shape[1]))
    u = np.linspace(0.0, 1.0, 500)
    within = radial_warp.warped(np.broadcast_to(u, (6, 500)), s)
    assert within[:, [0, -1]] == pytest.approx(np.tile([0.0, 1.0], (6, 1)), abs=1e-12)
    assert np.all(np.diff(within, axis=1) > 0)
    for v in (0.01, 0.5, 0.999):
        inverse = radial_warp.unwarped(v, s)
        assert radial_warp.warped(inverse[:, None], s)[:, 0] == pytest.approx(np.full(6, v), abs=1e-12)


def test_one_energy_has_no_dependence_on_energy(classical: Fit) -> None:
    data = radii(np.random.default_rng(6), energies=(10_000.0,), n=60)
    assert radial_warp.fit(data, classical).settings["degree"] == 0


def test_too_few_showers_for_cross_validation_have_no_dependence_on_energy(classical: Fit) -> None:
    assert radial_warp.fit(halo(7, n=12), classical).settings["degree"] == 0
