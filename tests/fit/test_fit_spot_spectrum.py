"""Spectrum of spots: planted widths come back from third moments, and the sampler keeps all fluctuations."""

from __future__ import annotations

import handmade
import numpy as np
import pytest
from profile_toys import RADIAL_EDGES, radial_law

from fastparam.errors import FitError
from fastparam.fit import radial, spot_spectrum
from fastparam.fit.radial import RadialData
from fastparam.generate import TunedGenerator
from fastparam.particles import Particles
from fastparam.summary.points import energy_points

N_TOYS = 16


def showers(seed: int, variance: float, *, slope: float = 0.0, n: int = 150) -> RadialData:
    """Spots of log-normal energies with the relative variance `variance` + `slope` L, 300 of them at 10 GeV."""
    rng = np.random.default_rng([seed, 81])
    energy = np.repeat([4_000.0, 16_000.0, 65_000.0], n)
    count = (300 * np.sqrt(energy / 10_000.0)).astype(int)
    shower = np.repeat(np.arange(len(energy)), count)
    tau = rng.gamma(4.0, 1.0 / 3.0, len(shower))
    core, tail, weight = radial_law(tau)
    scale = np.where(rng.random(len(tau)) < weight, core, tail)
    quantile = rng.random(len(tau)) * 400.0 / (400.0 + scale**2)
    ring = np.searchsorted(RADIAL_EDGES, scale * np.sqrt(quantile / (1.0 - quantile)), side="right") - 1
    width = np.sqrt(np.log1p(variance + slope * np.log(energy / 10_000.0)))[shower]
    share = np.exp(width * rng.standard_normal(len(tau)) - 0.5 * width**2)
    return RadialData(shower, tau, ring, share, RADIAL_EDGES, energy_points(energy), energy)


@pytest.fixture(scope="module", params=[0.0, 0.5])
def ensemble(request: pytest.FixtureRequest) -> tuple[float, np.ndarray, np.ndarray]:
    fits = [spot_spectrum.fit(showers(seed, request.param)) for seed in range(N_TOYS)]
    return request.param, np.array([f.values for f in fits]), np.array([f.errors for f in fits])


def test_the_width_of_the_spectrum_is_found(ensemble: tuple[float, np.ndarray, np.ndarray]) -> None:
    truth, values, errors = ensemble
    pulls = (values - [truth, 0.0]) / errors
    assert np.all(np.abs(pulls.mean(axis=0)) * np.sqrt(N_TOYS) < 4)
    # A width of 16 pulls is known to 18 %.
    assert np.all((pulls.std(axis=0, ddof=1) > 0.5) & (pulls.std(axis=0, ddof=1) < 1.6))


def test_another_width_is_rejected(ensemble: tuple[float, np.ndarray, np.ndarray]) -> None:
    truth, values, errors = ensemble
    other = 0.25
    assert abs(((values[:, 0] - other) / errors[:, 0]).mean()) * np.sqrt(N_TOYS) > 5
    assert truth != other


def test_a_width_that_falls_with_the_energy_is_followed() -> None:
    # Of wider spectra (0.9 at 10 GeV) the slope comes out by a third too shallow: docs/corrections.md.
    fit = spot_spectrum.fit(showers(31, 0.5, slope=-0.25, n=500))
    assert fit["v1"] == pytest.approx(-0.25, abs=4 * fit.errors[1])
    assert fit["v1"] < -3 * fit.errors[1]
    assert spot_spectrum.evaluate(fit, np.array([1e9])) == 0.0


def test_too_few_showers_say_nothing() -> None:
    with pytest.raises(FitError, match="spot_spectrum: no bin of energy and age has 20 showers"):
        spot_spectrum.fit(showers(1, 0.0, n=19))


@pytest.mark.parametrize(("variance", "per_group"), [(0.7, 3.0), (2.0, 1.0), (0.5, 1.4)])
def test_effective_numbers_stay_what_they_are(variance: float, per_group: float) -> None:
    """G groups of s unequal spots, by simulation, vary along and across like N and N c equal ones."""
    n, rng = 40.0, np.random.default_rng(5)
    groups, factor = spot_spectrum.sampled(np.array([variance]), np.array([per_group]))
    g, s = n * groups[0], per_group * factor[0]
    width = np.sqrt(np.log1p(variance))
    low = np.floor(s)
    up = rng.random((4000, round(g))) > low * ((low + 1) / s - 1)  # the mean of 1 / number is 1 / s
    number = (low + up).astype(int)
    w = np.exp(width * rng.standard_normal((4000, round(g), number.max())) - 0.5 * width**2)
    w = np.where(np.arange(number.max()) < number[..., None], w / number[..., None], 0.0)
    # Sums of squares over squared mean sums: 1 / effective number, for an energy not scaled to a total.
    along, across = ((x**2).sum(axis=1).mean() / g**2 for x in (w.sum(axis=2), w.reshape(4000, -1)))
    assert 1.0 / along == pytest.approx(n, rel=0.03)
    assert 1.0 / across == pytest.approx(n * per_group, rel=0.03)


def sampled(variance: float | None) -> RadialData:
    """Showers of the sampler in a block, whose radial law does not depend on the age."""
    geometry = handmade.detector("block")
    part = handmade.part(geometry, spots=150.0, width=0.01)
    if variance is not None:
        part.components["spot_spectrum"] = handmade.component(spot_spectrum.NAMES, [variance, 0.0])
    particles = Particles.gun(pdg=22, energy=np.full(1500, 10_000.0), position=(0, 0, -1), direction=(0, 0, 1))
    hits = TunedGenerator(handmade.tune(geometry, part)).generate(particles, seed=3).hits
    r = np.hypot(hits.x, hits.y) / geometry.material.moliere_radius
    ring = np.searchsorted(RADIAL_EDGES, r, side="right") - 1
    energy = particles.energy
    one_age = np.full(len(ring), 1.1)
    return RadialData(hits.shower, one_age, ring, hits.e, RADIAL_EDGES, energy_points(energy), energy)


@pytest.mark.parametrize("variance", [None, 0.8])
def test_sampled_spots_have_the_spectrum_and_their_number_fluctuates_as_before(variance: float | None) -> None:
    data = sampled(variance)
    fit = spot_spectrum.fit(data)
    assert fit["v0"] == pytest.approx(variance or 0.0, abs=max(4 * fit.errors[0], 0.1))
    assert radial.cells(data).n_eff[0] / 1500 == pytest.approx(150.0 * np.sqrt(10.0), rel=0.05)  # 150 at 1 GeV
