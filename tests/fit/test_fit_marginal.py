"""Likelihood of a population: its slope against differences, its bias and errors against what textbooks say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import gammaln

from fastparam.fit.marginal import Cost, log_marginal, slopes_at_knots
from fastparam.fit.population import QUANTITIES, quantities

N, K = 12, 4


def showers(seed: int = 1) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Showers with K starts each, as `fit.starts` would describe them, some left out; and a basis of two knots."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(N, K, 2, 2))
    precision = root @ root.transpose(0, 1, 3, 2) * 30.0
    parabola = np.stack(
        [*rng.normal(size=(2, N, K)) * 4.0, -precision[..., 0, 0], -precision[..., 1, 1], -precision[..., 0, 1]],
        axis=-1,
    )
    offset = rng.normal(size=(N, K))
    offset[::3, 1] = -np.inf
    views = {"offset": offset, "depth": np.sort(rng.uniform(0.0, 5.0, (N, K)), axis=1)}
    theta = np.array([1.9, 1.5]) + 0.2 * rng.normal(size=(N, K, 2))
    u = np.linspace(0.0, 1.0, N)
    return views | {"parabola": parabola}, theta, np.column_stack([1.0 - u, u])


def of_showers(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """ln L and slopes by values at two knots, and the factor of the mean path."""
    views, theta, basis = showers()
    law = quantities(np.reshape(values[:-1], (5, 2)) @ basis.T)
    path = values[-1] * np.linspace(1.2, 1.4, N)
    ln_l, slope = log_marginal(theta, views["parabola"], law, offset=views["offset"], depth=views["depth"], path=path)
    of_path = slope[:, 5] * np.linspace(1.2, 1.4, N)
    return ln_l, np.column_stack([slopes_at_knots(slope, values[:-1], basis), of_path])


VALUES = np.array([6.0, 7.5, 4.0, 5.0, 6.0, 9.0, 4.0, 7.0, 0.4, 0.6, 0.9])


def test_slopes_are_those_of_the_likelihood() -> None:
    slope = of_showers(VALUES)[1]
    for k in range(len(VALUES)):
        step = np.zeros(len(VALUES))
        step[k] = 1e-5
        difference = (of_showers(VALUES + step)[0] - of_showers(VALUES - step)[0]) / 2e-5
        assert slope[:, k] == pytest.approx(difference, rel=1e-5, abs=1e-6)


def test_a_start_counts_with_its_integral_over_the_law_times_the_probability_of_its_path() -> None:
    """Against a sum over a grid of (ln T, ln alpha)."""
    views, theta, basis = showers()
    law = quantities(np.reshape(VALUES[:-1], (5, 2)) @ basis.T)
    found = log_marginal(
        theta, views["parabola"], law, offset=views["offset"], depth=views["depth"], path=np.full(N, 1.3)
    )[0]
    i, h = 3, 0.004
    x, y = np.meshgrid(np.arange(0.0, 4.0, h), np.arange(0.02, 4.0, h), indexing="ij")
    m0, m1, s0, s1, r = (law[q][i] for q in QUANTITIES)
    z0, z1 = (x - m0) / s0, (y - m1) / s1
    normal = np.exp(-0.5 * (z0**2 - 2 * r * z0 * z1 + z1**2) / (1 - r**2)) / (2 * np.pi * s0 * s1 * np.sqrt(1 - r**2))
    total = 0.0
    for k in range(K):
        g0, g1, h00, h11, h01 = views["parabola"][i, k]
        d0, d1 = x - theta[i, k, 0], y - theta[i, k, 1]
        ln_l = g0 * d0 + g1 * d1 + 0.5 * (h00 * d0**2 + h11 * d1**2 + 2 * h01 * d0 * d1)
        integral = (np.exp(ln_l) * normal).sum() * h**2
        total += np.exp(views["offset"][i, k] - views["depth"][i, k] / 1.3) / 1.3 * integral
    assert found[i] == pytest.approx(np.log(total), abs=2e-3)


def widths(n: int, n_samples: int) -> np.ndarray:
    """1/sigma of normal samples by maximum likelihood, its bias and its error, shape (n_samples, 3); truth 0.5."""
    rng = np.random.default_rng(5)
    rows = []
    for _ in range(n_samples):
        x = rng.normal(1.0, 2.0, n)

        def of_sample(v: np.ndarray, x: np.ndarray = x) -> tuple[np.ndarray, np.ndarray]:
            z = (x - v[0]) * v[1]
            return np.log(v[1]) - 0.5 * z**2, np.column_stack([z * v[1], 1.0 / v[1] - (x - v[0]) ** 2 * v[1]])

        values = np.array([x.mean(), 1.0 / x.std()])
        covariance, bias = Cost(of_sample).of_second_order(values)
        rows.append([values[1], bias[1], np.sqrt(covariance[1, 1])])
    return np.array(rows)


def test_the_width_of_a_normal_law_loses_its_textbook_bias() -> None:
    """E[1/s] / (1/sigma) = sqrt(n / 2) Gamma(n/2 - 1) / Gamma(n/2 - 1/2) for the maximum of the likelihood: + 4.5 %."""
    n, n_samples = 40, 400
    found = widths(n, n_samples)
    exact = 0.5 * (np.sqrt(n / 2) * np.exp(gammaln(n / 2 - 1) - gammaln(n / 2 - 0.5)) - 1.0)
    error = found[:, 0].std() / np.sqrt(n_samples)
    assert found[:, 1].mean() == pytest.approx(exact, rel=0.25)
    assert abs((found[:, 0] - found[:, 1]).mean() - 0.5) < 3 * error
    assert found[:, 0].mean() - 0.5 > 4 * error  # the bias is there to be seen
    assert found[:, 2].mean() == pytest.approx(found[:, 0].std(), rel=0.1)
