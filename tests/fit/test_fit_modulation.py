"""Modulation in phi: recovered with honest errors, undone without a trace, and not found where there is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import toys
from scipy import stats

from fastparam.errors import FitError
from fastparam.fit import modulation, modulation_fit, phase_profile
from fastparam.geometry.load import parse_geometry
from fastparam.hits.hits import Hits
from fastparam.particles import Particles
from fastparam.shapes.phase_curve import phase_curve
from fastparam.summary import choose_binning, summarise_hits
from fastparam.summary.points import energy_points

PITCH = 2 * np.pi / 512
GEOMETRY = parse_geometry(toys.BARREL + "modulation: {pitch: 2*pi/512, layers: [1, 2]}\n", Path("toy.yaml"))

#: Cosine and sine of the first two harmonics at 10 GeV, and the slope of the first cosine in ln E: of the total, and of
#: what strips and middle hold of it.
TOTAL = {"a1": 0.015, "b1": 0.0, "a2": 0.0, "b2": 0.0, "slope": 0.0}
STRIPS = {"a1": -0.10, "b1": 0.03, "a2": 0.0, "b2": 0.06, "slope": -0.03}
MIDDLE = {"a1": 0.08, "b1": 0.0, "a2": 0.0, "b2": 0.0, "slope": 0.0}


def curve(law: dict[str, float], psi: np.ndarray, energy: np.ndarray) -> np.ndarray:
    """exp of the series over its mean over 1000 phases; written apart from the code that is tested."""
    grid = 2 * np.pi * (np.arange(1000) + 0.5) / 1000
    a1 = law["a1"] + law["slope"] * np.log(energy / 10_000.0)

    def series(p: np.ndarray, a: np.ndarray) -> np.ndarray:
        first = a * np.cos(p) + law["b1"] * np.sin(p)
        return np.exp(first + law["a2"] * np.cos(2 * p) + law["b2"] * np.sin(2 * p))

    return series(psi, a1) / series(grid[None, :], a1[:, None]).mean(axis=1)


def particles(n: int, rng: np.random.Generator, *, continuous: bool = False, eta: float = 0.22) -> Particles:
    points = np.array([1000.0, 4000.0, 16_000.0, 65_000.0])
    energy = np.exp(rng.uniform(np.log(1e3), np.log(65e3), n)) if continuous else points[rng.integers(0, 4, n)]
    return Particles.gun(pdg=22, energy=energy, eta=eta, phi=rng.uniform(-np.pi, np.pi, n))


def phase(primaries: Particles, shift: float = 0.0) -> np.ndarray:
    return 2 * np.pi * np.mod(primaries.phi / PITCH + shift / (2 * np.pi), 1.0)


def showers(primaries: Particles, rng: np.random.Generator, *, shift: float = 0.0, tail: float = 0.02) -> np.ndarray:
    """Energies (n, 3): strips and middle exchange energy as a shower starts early or late, the back is mostly empty.

    `tail` is the share of showers that lost most of their energy.
    """
    e, n = primaries.energy, len(primaries)
    psi = phase(primaries, shift)
    width = 0.1 * (e / 1000.0) ** -0.5
    total = 0.2 * e * rng.gamma(width**-2) * width**2 * curve(TOTAL, psi, e)
    early = rng.beta(4.0, 6.0, n)
    back = np.where(rng.random(n) < 0.3, 0.02 * rng.exponential(size=n), 0.0)
    parts = np.column_stack([early * curve(STRIPS, psi, e), (1 - early) * curve(MIDDLE, psi, e), back])
    energies = total[:, None] * parts / parts.sum(axis=1, keepdims=True)
    lost = rng.random(n) < tail
    energies[lost] *= rng.uniform(0.0, 0.5, (lost.sum(), 1))
    return energies


def fitted(primaries: Particles, energies: np.ndarray):
    return modulation_fit.fit(GEOMETRY, primaries, energies, energy_points(primaries.energy))


# The curve


def test_the_factor_is_the_exponential_of_a_fourier_series_with_mean_one() -> None:
    a, b = np.array([0.5, -0.2, 0.1, 0.05]), np.array([-0.3, 0.0, 0.2, -0.1])
    psi = np.linspace(0, 2 * np.pi, 20_001)
    k = np.arange(1, 5)
    expected = np.exp(np.cos(np.outer(psi, k)) @ a + np.sin(np.outer(psi, k)) @ b)
    expected /= np.trapezoid(expected, psi) / (2 * np.pi)
    assert phase_curve(a, b, psi) == pytest.approx(expected, rel=1e-10)
    assert phase_curve(a, b, psi[:-1]).mean() == pytest.approx(1.0, abs=1e-13)


def test_the_mean_over_phi_is_one_at_every_energy() -> None:
    rng = np.random.default_rng(1)
    primaries = particles(3000, rng)
    found = fitted(primaries, showers(primaries, rng))
    grid = np.tile(2 * np.pi * np.arange(1000)[:, None] / 1000, (1, 4))
    for energy in (1000.0, 7000.0, 65_000.0):
        factors = modulation.evaluate(found, np.full(1000, energy), grid)
        assert factors.mean(axis=0) == pytest.approx(np.ones(4), abs=1e-12)
        assert np.ptp(factors[:, 1]) > 0.03


def test_phases_are_those_of_the_line_in_each_layer_and_half_way_for_the_total() -> None:
    """A particle that starts aside of the axis crosses the layers at growing phi."""
    start, direction = np.array([0.0, 30.0, 0.0]), np.array([1.0, 0.2, 0.1])
    one = Particles.build(pdg=22, energy=1e4, position=start, direction=direction)
    radii = [0.5 * (1500 + 1800), 1545.0, 1695.0, 1880.0]
    expected = []
    for radius in radii:
        # x = s, y = 30 + 0.2 s on a circle
        s = np.roots([1.04, 12.0, 900.0 - radius**2]).max()
        expected.append(2 * np.pi * (np.arctan2(30 + 0.2 * s, s) / PITCH % 1))
    assert modulation.phases(GEOMETRY, one)[0] == pytest.approx(expected, rel=1e-9)


# The fit


def difference(found) -> tuple[float, float]:
    """First cosine of strips minus that of the middle, which is all that sharing depends on, and its error."""
    at = [found.names.index("layer1_a10"), found.names.index("layer2_a10")]
    c = found.covariance[np.ix_(at, at)]
    return found.values[at[0]] - found.values[at[1]], np.sqrt(c[0, 0] + c[1, 1] - 2 * c[0, 1])


def test_coefficients_come_back_within_their_errors() -> None:
    """Pulls of 40 samples at one energy, with a low tail among them."""
    rng = np.random.default_rng(2)
    total, shares = [], []
    for _ in range(40):
        primaries = Particles.gun(pdg=22, energy=10_000.0, eta=0.22, phi=rng.uniform(-np.pi, np.pi, 1500))
        found = fitted(primaries, showers(primaries, rng))
        total.append((found["total_a10"] - TOTAL["a1"]) / found.errors[0])
        seen, error = difference(found)
        shares.append((seen - STRIPS["a1"] + MIDDLE["a1"]) / error)
    for pulls in (total, shares):
        assert abs(np.mean(pulls)) < 3.0 / np.sqrt(40)
        assert 0.7 < np.std(pulls) < 1.35


@pytest.mark.parametrize("continuous", [False, True], ids=["energy points", "spectrum"])
def test_harmonics_sines_and_the_slope_in_energy_are_chosen_where_they_are_seen(continuous: bool) -> None:
    """Curves of strips over middle, against the truth at three energies."""
    rng = np.random.default_rng(3)
    primaries = particles(30_000, rng, continuous=continuous)
    found = fitted(primaries, showers(primaries, rng))
    terms = found.settings["terms"]
    assert (terms["layer1"]["harmonics"], terms["layer1"]["degree"], terms["layer1"]["symmetric"]) == (2, 1, False)
    assert (terms["total"]["harmonics"], terms["total"]["degree"], terms["total"]["symmetric"]) == (1, 0, True)
    grid = 2 * np.pi * np.arange(48) / 48
    for e in (1500.0, 10_000.0, 50_000.0):
        energy = np.full(48, e)
        factors = modulation.evaluate(found, energy, np.tile(grid[:, None], (1, 4)))
        seen, truth = factors[:, 1] / factors[:, 2], curve(STRIPS, grid, energy) / curve(MIDDLE, grid, energy)
        assert np.ptp(truth) > 0.2
        assert seen / np.exp(np.log(seen).mean()) == pytest.approx(truth / np.exp(np.log(truth).mean()), abs=0.04)


def test_the_curve_of_a_layer_is_that_of_its_mean() -> None:
    """What `curve` says, against the means of showers in bins of phi; a factor by itself would be another curve."""
    rng = np.random.default_rng(4)
    primaries = particles(20_000, rng)
    energies = showers(primaries, rng)
    found = fitted(primaries, energies)
    psi, points = modulation.phases(GEOMETRY, primaries), energy_points(primaries.energy)
    factors = modulation.evaluate(found, primaries.energy, psi)
    expected = phase_profile.curve(found, primaries.energy, modulation.undo(factors, energies), points)
    for layer in (0, 1):
        mean, error = phase_profile.profile(energies[:, layer], primaries.energy, psi[:, 1 + layer], points)
        assert (((mean - expected[:, 1 + layer]) / error) ** 2).sum() < 33  # 12 bins, p = 1e-3
        assert (((mean - 1) / error) ** 2).sum() > 100


def test_showers_that_lost_most_of_their_energy_hardly_matter() -> None:
    """10 % of the showers at a few per cent of their energy, all of them at one phase of the total's curve."""
    rng = np.random.default_rng(5)
    primaries = particles(4000, rng)
    psi = phase(primaries)
    width = 0.05
    total = 0.2 * primaries.energy * rng.gamma(width**-2, size=4000) * width**2 * (1 + 0.01 * np.cos(psi))
    energies = np.column_stack([0.4 * total, 0.6 * total, 0.0 * total])
    spoilt = energies.copy()
    spoilt[(np.cos(psi) > 0.9) & (rng.random(4000) < 0.5)] *= 0.05
    clean, robust = fitted(primaries, energies)["total_a10"], fitted(primaries, spoilt)["total_a10"]
    plain = np.mean(spoilt.sum(axis=1) / primaries.energy / 0.2 * 2 * np.cos(psi))
    assert clean == pytest.approx(0.01, abs=0.004)
    assert abs(plain - clean) > 0.12  # what a mean would say
    assert abs(robust - clean) < 0.05


def test_a_shifted_phase_turns_cosine_into_sine() -> None:
    rng = np.random.default_rng(6)
    primaries = particles(20_000, rng)
    found = fitted(primaries, showers(primaries, rng, shift=np.pi / 2))
    error = found.errors[found.names.index("total_b10")]
    assert abs(found["total_b10"] + TOTAL["a1"]) < 4 * error
    assert found.settings["terms"]["total"]["symmetric"] is False


def test_mirroring_in_eta_changes_nothing() -> None:
    here, there = (particles(3000, np.random.default_rng(7), eta=eta) for eta in (0.22, -0.22))
    energies = showers(here, np.random.default_rng(8))
    a, b = fitted(here, energies), fitted(there, energies)
    assert a.names == b.names
    assert b.values == pytest.approx(a.values, rel=1e-6)


def test_without_a_modulation_none_is_applied() -> None:
    """100 samples with random phases: applied in 1 % at most, and p-values are flat."""
    rng = np.random.default_rng(9)
    p_values, applied = [], 0
    for _ in range(100):
        primaries = particles(600, rng)
        order = np.arange(600)  # showers change places within their energy: all but the phase stays
        for e in np.unique(primaries.energy):
            rows = np.flatnonzero(primaries.energy == e)
            order[rows] = rng.permutation(rows)
        found = fitted(primaries, showers(primaries, rng)[order])
        applied += found.settings["applied"]
        p_values.append(found.settings["terms"]["layer2"]["p_none"])
    assert applied <= 4  # 1 expected; Poisson probability of 5 or more is 0.4 %
    assert stats.kstest(p_values, "uniform").pvalue > 1e-3
    assert modulation.evaluate(found, primaries.energy, modulation.phases(GEOMETRY, primaries)).max() == 1.0


def test_too_few_showers_are_refused() -> None:
    rng = np.random.default_rng(10)
    primaries = particles(49, rng)
    with pytest.raises(FitError, match="modulation: fewer than 50 showers"):
        fitted(primaries, showers(primaries, rng))


# Undoing and applying


def test_undo_is_the_inverse_of_apply() -> None:
    rng = np.random.default_rng(11)
    primaries = particles(2000, rng)
    energies = showers(primaries, rng)
    found = fitted(primaries, energies)
    factors = modulation.evaluate(found, primaries.energy, modulation.phases(GEOMETRY, primaries))
    assert np.abs(factors - 1).max() > 0.05
    back = modulation.undo(factors, modulation.apply(factors, energies))
    assert back == pytest.approx(energies, rel=1e-12, abs=0.0)
    again = modulation.apply(factors, modulation.undo(factors, energies))
    assert again == pytest.approx(energies, rel=1e-12, abs=0.0)


def exchanging(primaries: Particles, rng: np.random.Generator) -> np.ndarray:
    """A shower's energy, known to 3 % at 1 GeV, shared by strips and middle as its depth has it; phase moves both."""
    n, e = len(primaries), primaries.energy
    total = 0.2 * e * (1 + 0.03 * (e / 1000.0) ** -0.5 * rng.standard_normal(n))
    early = rng.beta(4.0, 6.0, n)
    psi = phase(primaries)
    strips, middle = early * np.exp(-0.15 * np.cos(psi)), (1 - early) * np.exp(0.10 * np.cos(psi))
    total = total * (1 + 0.015 * np.cos(psi)) / (strips + middle)
    return np.column_stack([total * strips, total * middle, 0.001 * e * rng.exponential(size=n)])


def test_undoing_leaves_no_harmonic_and_gives_the_resolution_back() -> None:
    """Fitted on one half, judged on the other; A^2/2 is what a modulation of amplitude A adds to the variance."""
    rng = np.random.default_rng(12)
    train, judge = particles(8000, rng), particles(8000, rng)
    found = fitted(train, exchanging(train, rng))
    energies = exchanging(judge, rng)
    psi = modulation.phases(GEOMETRY, judge)
    flat = modulation.undo(modulation.evaluate(found, judge.energy, psi), energies)
    points = energy_points(judge.energy)
    for before, after, column in (
        (energies.sum(axis=1), flat.sum(axis=1), 0), (energies[:, 0], flat[:, 0], 1), (energies[:, 1], flat[:, 1], 2),
    ):  # fmt: skip
        seen, seen_error, *_ = phase_profile.harmonics_test(before, judge.energy, psi[:, column], points, 6)
        left, error, chi2, ndf = phase_profile.harmonics_test(after, judge.energy, psi[:, column], points, 6)
        assert np.abs(seen / seen_error)[0, 0] > 8
        assert np.abs(left / error).max() < 3.6  # 36 numbers
        assert stats.chi2.sf(chi2, ndf) > 1e-3
    hardest = judge.energy == 65_000.0
    raw, corrected = (np.var(v.sum(axis=1)[hardest] / (0.2 * 65_000.0)) for v in (energies, flat))
    assert raw - corrected == pytest.approx(0.015**2 / 2, rel=0.2)


def test_dividing_every_layer_by_its_own_factor_would_spoil_the_resolution() -> None:
    """Negative control of the rule by which layers share."""
    rng = np.random.default_rng(13)
    primaries = particles(8000, rng)
    energies = exchanging(primaries, rng)
    found = fitted(primaries, energies)
    factors = modulation.evaluate(found, primaries.energy, modulation.phases(GEOMETRY, primaries))
    hard = primaries.energy == 65_000.0
    naive = (energies / factors[:, 1:]).sum(axis=1)[hard].std()
    shared = modulation.undo(factors, energies).sum(axis=1)[hard].std()
    assert naive > 2.5 * shared


def test_a_summary_without_modulation_is_consistent_in_all_that_it_holds() -> None:
    rng = np.random.default_rng(14)
    primaries = particles(300, rng)
    batch = toys.shower_batch(GEOMETRY, primaries, seed=1, n_spots=60)
    hits = Hits(batch.x, batch.y, batch.z, batch.e, batch.layer, batch.offsets)
    binning = choose_binning(GEOMETRY, primaries, hits, primaries)
    whole = summarise_hits(GEOMETRY, primaries, hits, binning, keep_hits=np.ones(300, dtype=bool))
    law = fitted(particles(3000, rng), showers(particles(3000, np.random.default_rng(14)), rng))
    law = replace(
        law, names=("total_a10", "layer1_a10"), values=np.array([0.02, -0.2]), covariance=np.eye(2),
        settings=law.settings | {"terms": {"total": {"column": 0}, "layer1": {"column": 1}}},
    )  # fmt: skip
    flat = modulation.undo_summary(law, GEOMETRY, whole)
    factors = modulation.evaluate(law, primaries.energy, modulation.phases(GEOMETRY, primaries))
    assert flat.visible == pytest.approx(whole.visible / factors[:, 0], rel=1e-12)
    assert flat.cell_energy.sum(axis=1) == pytest.approx(flat.visible, rel=5e-3)
    assert whole.deposits is not None
    assert flat.deposits is not None
    held = np.bincount(flat.deposits.shower, weights=flat.deposits.e, minlength=300)
    assert held == pytest.approx(flat.visible, rel=5e-3)
    assert np.abs(flat.layer_energy[:, 0] / np.maximum(whole.layer_energy[:, 0], 1e-9) - 1).max() > 0.1
