"""Photons that convert: the mean free path and the profile behind it come back, late conversions included."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from profile_toys import CRITICAL_ENERGY
from scipy.special import gammainc

from fastparam.fit import conversion, longitudinal
from fastparam.fit.fit import Fit
from fastparam.fit.longitudinal import Profiles
from fastparam.summary.points import EnergyPoints, energy_points

#: Behind the conversion: t0 t1 a0 a1 st0 st1 sa0 sa1 r0 r1.
TRUTH = np.array([-1.8, 1.0, 0.2, 0.55, -1.4, 1.26, -0.58, 0.86, 0.705, -0.023])
ENERGIES = (4_000.0, 16_000.0, 65_000.0)
K = 0.9


def photons(seed: int, n: int = 80, *, k: float = K, deposits: int = 300) -> tuple[Profiles, np.ndarray]:
    """Profiles in 26 cells of 1 X0 behind 1.5 X0 that are not seen, and where the photons converted."""
    rng = np.random.default_rng(seed)
    energy = np.repeat(np.array(ENERGIES), n)
    ln_y = np.log(energy / CRITICAL_ENERGY)
    t, alpha, inverse_t, inverse_alpha, rho = (TRUTH[2 * j] + TRUTH[2 * j + 1] * ln_y for j in range(5))
    z = rng.standard_normal((2, len(energy)))
    t = t * np.exp(z[0] / inverse_t)
    alpha = alpha * np.exp((rho * z[0] + np.sqrt(1 - rho**2) * z[1]) / inverse_alpha)
    # Bethe-Heitler's mean free path in X0, and two critical energies over E from the pair.
    start = rng.exponential(k * 9 / 7 * (1 + 0.05 * (energy / 1000.0) ** -0.88))
    pair = 2.0 * CRITICAL_ENERGY / energy
    edges = np.arange(1.5, 28.0)
    behind = np.maximum(edges - start[:, None], 0.0)
    cumulative = gammainc(alpha[:, None], ((alpha - 1.0) / t)[:, None] * behind) - pair[:, None] * np.exp(-behind)
    share = np.diff(cumulative, axis=1) / (1.0 + pair[:, None])
    outside = np.maximum(1.0 - share.sum(axis=1, keepdims=True), 0.0)
    cells = rng.multinomial(deposits, np.hstack([share, outside]) / (share.sum(axis=1, keepdims=True) + outside))
    depths = np.tile(np.stack([edges[:-1], edges[1:]], axis=1), (len(energy), 1, 1))
    medium = np.zeros(len(edges) - 1, dtype=np.int64)
    return Profiles(energy, ln_y, cells[:, :-1].astype(np.float64), depths, medium), start


def fitted(profiles: Profiles, **options: Fit) -> tuple[Fit, conversion.Starts, EnergyPoints]:
    points = energy_points(profiles.energy)
    plain, single = longitudinal.shower_fits(profiles, points)
    return *conversion.fit(profiles, points, single, plain, **options), points


@pytest.fixture(scope="module")
def ensemble() -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Values and errors of the fits of a few samples."""
    fits = [fitted(photons(seed)[0])[0] for seed in range(4)]
    assert all(f.valid for f in fits)
    return np.array([f.values for f in fits]), np.array([f.errors for f in fits]), fits[0].names


def test_path_and_laws_come_back(ensemble: tuple[np.ndarray, np.ndarray, tuple[str, ...]]) -> None:
    values, errors, names = ensemble
    assert names[-3:] == ("k", "ct", "ca")
    assert np.all(values[:, -2:] == 0.0)
    error = np.sqrt((errors[:, :-2] ** 2).mean(axis=0) / len(values))
    pull = (values[:, :-2].mean(axis=0) - np.append(TRUTH, K)) / error
    assert np.all(np.abs(pull) < 4), dict(zip(names, pull, strict=False))


def test_a_longer_path_is_told_from_this_one(ensemble: tuple[np.ndarray, np.ndarray, tuple[str, ...]]) -> None:
    """Negative control."""
    values, errors, names = ensemble
    j = names.index("k")
    assert (1.3 - values[:, j].mean()) / (errors[:, j].mean() / np.sqrt(len(values))) > 4


def test_each_start_is_found_as_well_as_the_cells_show_it() -> None:
    profiles, start = photons(11)
    _, starts, _ = fitted(profiles)
    late = start > 3.0
    assert late.sum() > 10
    assert np.corrcoef(starts.start, start)[0, 1] > 0.7
    assert np.abs(starts.start[late] - start[late]).mean() < 1.0
    # The plain gamma law, by contrast, has no start to move: its profile begins at the front.
    assert np.abs(start[late]).mean() > 3.0


def test_the_number_of_deposits_is_counted_behind_the_start() -> None:
    profiles, _ = photons(12, n=150)
    _, starts, points = fitted(profiles)
    inside = np.array([profiles.cell_energy[points.point == p].sum(axis=1).mean() for p in range(len(points))])
    assert starts.showers.n_eff_points == pytest.approx(inside, rel=0.15)


def test_slopes_are_shared_with_electrons_and_say_so() -> None:
    profiles, _ = photons(13)
    alone, _, points = fitted(profiles)
    electrons, _ = longitudinal.shower_fits(photons(14, k=1e-6)[0], points)
    together, _, _ = fitted(profiles, electrons=electrons)
    assert alone.ndf == 0
    assert together.ndf == 2
    for name in ("t1", "a1"):
        j = together.names.index(name)
        assert together.errors[j] < alone.errors[j]
    steep = replace(electrons, values=electrons.values + np.where(np.arange(10) == 1, 1.0, 0.0))
    assert fitted(profiles, electrons=steep)[0].chi2 > together.chi2 + 10


def test_a_fit_says_what_showers_do_not_determine() -> None:
    """Twelve deposits leave a shower's start, T' and alpha' to guesswork."""
    enough, _ = photons(15)
    assert fitted(enough)[0].notes == ()
    poor, _ = photons(15, n=10, deposits=12)
    notes = fitted(poor)[0].notes
    assert notes
    assert all("not determined by these showers" in note for note in notes)
