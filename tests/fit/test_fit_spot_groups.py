"""Spots per group: planted numbers come back from the fluctuations of rings."""

from __future__ import annotations

import handmade
import numpy as np
import pytest
from profile_toys import RADIAL_EDGES, radial_law

from fastparam.fit import radial, spot_groups
from fastparam.fit.radial import RadialData
from fastparam.summary.points import energy_points

#: 150 groups at 10 GeV, growing like the square root of the energy.
GROUPS = handmade.component(("n0", "n1"), [np.log(150.0) - 0.5 * np.log(10.0), 0.5])


def showers(seed: int, law: tuple[float, float, float, float], *, n: int = 150) -> RadialData:
    """Groups of equal energy at depths of their own, each of c spots with radii of their own, c rounded at random."""
    rng = np.random.default_rng([seed, 71])
    energy = np.repeat([4_000.0, 16_000.0, 65_000.0], n)
    groups = rng.poisson(150.0 * np.sqrt(energy / 10_000.0))
    of_group = np.repeat(np.arange(len(energy)), groups)
    age = rng.gamma(4.0, 1.0 / 3.0, len(of_group))
    m0, m1, m2, m3 = law
    t = np.clip(age, 0.1, 5.0)
    c = np.maximum(np.exp(m0 + m1 * np.log(energy / 10_000.0)[of_group] + m2 * np.log(t) + m3 * t), 1.0)
    number = np.floor(c + rng.random(len(c))).astype(int)
    shower, tau = np.repeat(of_group, number), np.repeat(age, number)
    core, tail, weight = radial_law(tau)
    scale = np.where(rng.random(len(tau)) < weight, core, tail)
    quantile = rng.random(len(tau)) * 400.0 / (400.0 + scale**2)
    ring = np.searchsorted(RADIAL_EDGES, scale * np.sqrt(quantile / (1.0 - quantile)), side="right") - 1
    share = np.repeat(1.0 / groups[of_group] / number, number)
    return RadialData(shower, tau, ring, share * 100.0, RADIAL_EDGES, energy_points(energy), energy)


@pytest.mark.parametrize("law", [(0.9, 0.1, 0.0, 0.0), (1.0, 0.0, -0.3, 0.1), (0.0, 0.0, 0.0, 0.0)])
def test_the_number_of_spots_per_group_comes_back(law: tuple[float, float, float, float]) -> None:
    fit = spot_groups.fit(radial.cells(showers(1, law)), GROUPS)
    age, x = np.array([0.4, 1.0, 2.0]), np.array([[-0.9], [1.8]])
    m0, m1, m2, m3 = law
    wanted = m0 + m1 * x + m2 * np.log(age) + m3 * age
    c = spot_groups.evaluate(fit, 10_000.0 * np.exp(x[:, 0]))
    found = c[:, :1] + c[:, 1:2] * np.log(age) + c[:, 2:] * age
    # Rounding a mean of 1.5 to 1 or 2 costs a few per cent of the number, statistics 2 to 3.
    assert found == pytest.approx(wanted, abs=0.08)
    assert found != pytest.approx(wanted + 0.2, abs=0.08)


def test_errors_are_those_of_repeated_samples() -> None:
    fits = [spot_groups.fit(radial.cells(showers(s, (0.9, 0.1, 0.0, 0.0), n=60)), GROUPS) for s in range(10, 34)]
    at_one = np.array([f.values[0] + f.values[3] for f in fits])  # ln c at the maximum, 10 GeV
    direction = np.array([1.0, 0.0, 0.0, 1.0])
    quoted = np.mean([np.sqrt(direction @ f.covariance @ direction) for f in fits])
    assert 0.65 < at_one.std(ddof=1) / quoted < 1.5
    slope = np.array([f["m1"] for f in fits])
    assert 0.65 < slope.std(ddof=1) / np.mean([f.errors[1] for f in fits]) < 1.5
    assert abs(slope.mean() - 0.1) < 4 * slope.std() / np.sqrt(len(fits)) + 0.01


def test_ratios_of_spots_to_energy_are_those_of_gamma_profiles() -> None:
    """Where c = tau^a exp(b tau), spots of a shower with alpha = 4 have a gamma profile with alpha = 4 + a."""
    fit = spot_groups.fit(radial.cells(showers(2, (1.0, 0.0, -0.3, 0.1))), GROUPS)
    m2, m3 = fit.values[2:]
    tau = np.linspace(0.01, 8.0, 20_000)
    density = tau**3 * np.exp(-3.0 * tau) * tau**m2 * np.exp(m3 * tau)
    assert tau[np.argmax(density)] == pytest.approx(fit.settings["t_ratio"], abs=1e-3)
    mean = (tau * density).sum() / density.sum()
    variance = (tau**2 * density).sum() / density.sum() - mean**2
    assert mean**2 / variance == pytest.approx(4.0 * fit.settings["alpha_ratio"], rel=0.01)


def test_one_energy_has_no_slope() -> None:
    data = showers(3, (0.9, 0.0, 0.0, 0.0))
    own = data.incident[data.shower] == 16_000.0
    single = RadialData(
        data.shower[own] - data.shower[own].min(), data.tau[own], data.ring[own], data.energy[own], data.r_edges,
        energy_points(np.full(150, 16_000.0)), np.full(150, 16_000.0),
    )  # fmt: skip
    assert spot_groups.fit(radial.cells(single), GROUPS)["m1"] == 0.0
