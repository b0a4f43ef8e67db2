"""What single depth profiles say: against SciPy, and against posteriors integrated on a fine grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from profile_toys import fractions, population

from fastparam.fit.profiles import (
    NODE_WEIGHTS,
    Profiles,
    deposits,
    gamma_fractions,
    posterior_nodes,
    posteriors,
)

#: Mean ln T and ln alpha, and covariance of the normal law that serves as prior.
MEAN = np.array([1.75, 1.4])
COVARIANCE = np.array([[0.02, 0.012], [0.012, 0.04]])


def priors(n: int, covariance: np.ndarray = COVARIANCE) -> np.ndarray:
    inverse = np.linalg.inv(covariance)
    return np.tile([*MEAN, inverse[0, 0], inverse[1, 1], inverse[0, 1]], (n, 1))


def on_a_grid(profiles: Profiles, shower: int, n_eff: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of a shower's posterior, by brute force."""
    edges = np.append(profiles.depths[0, :, 0], profiles.depths[0, -1, 1])
    t, a = np.meshgrid(MEAN[0] + np.linspace(-0.8, 0.8, 241), MEAN[1] + np.linspace(-1.2, 1.2, 241), indexing="ij")
    theta = np.stack([t.ravel(), a.ravel()], axis=1)
    theta = theta[theta[:, 1] > 0.02]
    share = np.maximum(fractions(theta[:, 0], theta[:, 1], edges), 1e-300)
    h = profiles.cell_energy[shower] / profiles.cell_energy[shower].sum()
    ln_p = n_eff * np.log(share / share.sum(axis=1, keepdims=True)) @ h
    d = theta - MEAN
    ln_p -= 0.5 * np.einsum("ni,ij,nj->n", d, np.linalg.inv(COVARIANCE), d)
    p = np.exp(ln_p - ln_p.max())
    p /= p.sum()
    mean = p @ theta
    return mean, (theta - mean).T @ ((theta - mean) * p[:, None])


def from_parabolas(profiles: Profiles, n_eff: float) -> tuple[np.ndarray, np.ndarray]:
    """Means and covariances of all posteriors, from the parabolas in place of ln L."""
    n = len(profiles)
    prior, theta = priors(n), np.tile(MEAN, (n, 1))
    parabola = posteriors(profiles, np.full(n, n_eff), prior, theta)
    own = np.linalg.inv(COVARIANCE)
    total = own - np.stack([parabola[:, [2, 4]], parabola[:, [4, 3]]], axis=1)
    push = parabola[:, :2] - (theta - MEAN) @ own
    return theta + np.linalg.solve(total, push[:, :, None])[:, :, 0], np.linalg.inv(total)


@pytest.mark.parametrize("reach", [25.0, 12.0])
def test_posteriors_have_the_moments_of_the_exact_integral(reach: float) -> None:
    profiles = population(np.random.default_rng(1), energies=(4_000.0,), n=8, reach=(0.0, reach)).profiles
    mean, covariance = from_parabolas(profiles, 60.0)
    for i in range(len(profiles)):
        exact_mean, exact_covariance = on_a_grid(profiles, i, 60.0)
        sigma = np.sqrt(np.diag(exact_covariance))
        assert mean[i] == pytest.approx(exact_mean, abs=0.02 * sigma.min())
        scale = np.outer(sigma, sigma)
        assert covariance[i] / scale == pytest.approx(exact_covariance / scale, abs=0.03)


def test_other_numbers_of_deposits_have_other_posteriors() -> None:
    profiles = population(np.random.default_rng(1), energies=(4_000.0,), n=1).profiles
    assert from_parabolas(profiles, 80.0)[1] != pytest.approx(on_a_grid(profiles, 0, 60.0)[1], rel=0.05)


def test_a_shower_without_information_keeps_the_prior() -> None:
    profiles = population(np.random.default_rng(2), energies=(4_000.0,), n=3).profiles
    mean, covariance = from_parabolas(profiles, 1e-9)
    assert mean == pytest.approx(np.tile(MEAN, (3, 1)), abs=1e-3)
    assert covariance == pytest.approx(np.tile(COVARIANCE, (3, 1, 1)), rel=1e-3)


def test_the_energy_scale_of_a_shower_says_nothing() -> None:
    profiles = population(np.random.default_rng(3), energies=(4_000.0,), n=3).profiles
    louder = replace(profiles, cell_energy=37.0 * profiles.cell_energy)
    assert from_parabolas(louder, 100.0)[0] == pytest.approx(from_parabolas(profiles, 100.0)[0], abs=1e-9)


def test_fractions_are_differences_of_incomplete_gamma_functions() -> None:
    shapes = population(np.random.default_rng(4), n=5)
    edges = np.arange(26.0)
    ours = gamma_fractions(shapes.ln_t, shapes.ln_alpha, shapes.profiles.depths)
    assert ours == pytest.approx(fractions(shapes.ln_t, shapes.ln_alpha, edges), rel=1e-9, abs=1e-14)


def test_cells_that_a_line_misses_hold_nothing() -> None:
    shapes = population(np.random.default_rng(4), n=5)
    depths = shapes.profiles.depths.copy()
    depths[:, 3, 1] = depths[:, 3, 0]
    assert np.all(gamma_fractions(shapes.ln_t, shapes.ln_alpha, depths)[:, 3] == 0.0)


@pytest.mark.parametrize("n_eff", [60, 400])
def test_scatter_around_the_fits_counts_the_deposits(n_eff: int) -> None:
    # The prior is the population's own law at 10 GeV; 300 showers with about 14 joined cells know N_eff to 3 %.
    (var_t, both), (_, var_alpha) = COVARIANCE
    inverse_sigmas, rho = (var_t**-0.5, 0, var_alpha**-0.5, 0), both / np.sqrt(var_t * var_alpha)
    truth = np.array([np.exp(MEAN[0]), 0, np.exp(MEAN[1]), 0, *inverse_sigmas, rho, 0])
    profiles = population(
        np.random.default_rng(5), energies=(10_000.0,), n=300, reach=(0.0, 40.0), deposits=n_eff, truth=truth
    ).profiles
    prior, theta = priors(300), np.tile(MEAN, (300, 1))
    parabola = posteriors(profiles, np.full(300, float(n_eff)), prior, theta)
    chi2, freedom = deposits(profiles, theta, parabola, prior)
    measured = freedom.sum() / chi2.sum()
    assert measured == pytest.approx(n_eff, rel=0.1)


def test_the_nodes_of_a_posterior_have_its_mean_and_its_spread_in_t() -> None:
    profiles = population(np.random.default_rng(6), energies=(4_000.0,), n=5).profiles
    n = len(profiles)
    prior, theta = priors(n), np.tile(MEAN, (n, 1))
    parabola = posteriors(profiles, np.full(n, 60.0), prior, theta)
    nodes = posterior_nodes(theta, parabola, prior)
    mean, covariance = from_parabolas(profiles, 60.0)
    assert np.einsum("k,nkq->nq", NODE_WEIGHTS, nodes) == pytest.approx(mean, rel=1e-9)
    apart = nodes - mean[:, None]
    second = np.einsum("k,nki,nkj->nij", NODE_WEIGHTS, apart, apart)
    assert second[:, 0] == pytest.approx(covariance[:, 0], rel=1e-9)
