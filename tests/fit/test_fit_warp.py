"""Warp of gamma profiles: planted distortions come back, and there is none where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from fastparam.fit import warp
from fastparam.fit.profiles import Profiles

DEPTHS = np.stack([np.arange(0.0, 22.0), np.arange(1.0, 23.0)], axis=1)


def showers(n: int, a: dict[int, float], *, slope: float = 0.0, deposits: int = 2000, seed: int = 1):
    """Multinomial gamma profiles in 22 cells of 1 X0, their cumulative distribution bent by G.

    a : amplitude of sin(j pi u) at 10 GeV by j; `slope` is added to a_1 per unit of ln E.
    """
    rng = np.random.default_rng(seed)
    energy = rng.choice([4000.0, 10_000.0, 32_000.0], n)
    t, alpha = np.exp(rng.normal(1.8, 0.1, n)), np.exp(rng.normal(1.5, 0.15, n))
    beta = (alpha - 1) / t
    edges = np.arange(23.0)
    f = special.gammainc(alpha[:, None], beta[:, None] * edges)
    u = (f - f[:, :1]) / (f[:, -1:] - f[:, :1])
    ln_e = np.log(energy / 10_000.0)[:, None]
    bent = u + sum((x + (slope * ln_e if j == 1 else 0.0)) * np.sin(j * np.pi * u) for j, x in a.items())
    p = np.diff(bent, axis=1)
    assert (p > -1e-12).all()
    cells = np.array([rng.multinomial(deposits, q / q.sum()) for q in np.maximum(p, 0)]) * 5.0
    profiles = Profiles(
        energy, np.log(energy / 10.0), cells, np.broadcast_to(DEPTHS, (n, 22, 2)).copy(), np.zeros(22, np.int64)
    )
    return profiles, np.log(np.stack([t, alpha], axis=1)), np.full(n, float(deposits))


def amplitudes(fit, energy: float) -> np.ndarray:
    return warp.evaluate(fit, np.array([energy]))[0]


def test_a_planted_warp_comes_back_at_every_energy() -> None:
    fit = warp.fit(*showers(600, {1: 0.02, 2: -0.03, 4: 0.01}, slope=0.01))
    for energy in (4000.0, 10_000.0, 32_000.0):
        wanted = np.zeros(warp.MAX_ORDER)
        wanted[[0, 1, 3]] = 0.02 + 0.01 * np.log(energy / 10_000.0), -0.03, 0.01
        np.testing.assert_allclose(amplitudes(fit, energy), wanted, atol=0.002)


def test_the_covariance_is_that_of_repeated_samples() -> None:
    fits = [warp.fit(*showers(150, {2: -0.03}, deposits=300, seed=s)) for s in range(40)]
    order = [f.settings["order"] for f in fits]
    same = [f for f in fits if f.settings["order"] == np.bincount(order).argmax()]
    b20 = np.array([f["b20"] for f in same])
    quoted = np.mean([f.errors[f.names.index("b20")] for f in same])
    # The spread of n values is known to 1 / sqrt(2 n); three of those.
    assert abs(b20.std(ddof=1) / quoted - 1) < 3 / np.sqrt(2 * len(same))
    assert abs(b20.mean() + 0.03) < 4 * quoted / np.sqrt(len(same))


def test_gamma_profiles_are_left_alone() -> None:
    fit = warp.fit(*showers(600, {}))
    assert np.abs(amplitudes(fit, 10_000.0)).max() < 0.002


def test_a_warp_of_the_wrong_sign_describes_worse_than_none() -> None:
    profiles, theta, n_eff = showers(400, {2: -0.04})
    right = amplitudes(warp.fit(profiles, theta, n_eff), 10_000.0)
    u = np.linspace(0, 1, 50)[None, :]
    planted = u - 0.04 * np.sin(2 * np.pi * u)
    error = [np.abs(warp.warped(u, sign * right[None, :]) - planted).max() for sign in (1, 0, -1)]
    assert error[0] < 0.1 * error[1] < error[2]


def test_the_ends_stay_and_the_profile_stays_positive() -> None:
    fit = warp.fit(*showers(300, {1: 0.05, 2: -0.05, 3: 0.03}, deposits=200))
    u = np.linspace(0, 1, 1001)[None, :]
    for energy in (4000.0, 32_000.0):
        bent = warp.warped(u, amplitudes(fit, energy)[None, :])[0]
        assert bent[[0, -1]] == pytest.approx([0.0, 1.0], abs=1e-12)
        assert (np.diff(bent) > 0).all()


def test_one_energy_has_no_slope() -> None:
    profiles, theta, n_eff = showers(300, {2: -0.03})
    own = profiles.energy == 10_000.0
    single = Profiles(
        profiles.energy[own], profiles.ln_y[own], profiles.cell_energy[own], profiles.depths[own], profiles.medium
    )
    fit = warp.fit(single, theta[own], n_eff[own])
    assert fit.settings["degree"] == 0
    assert amplitudes(fit, 10_000.0)[1] == pytest.approx(-0.03, abs=0.004)
