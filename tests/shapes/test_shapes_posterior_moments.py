"""Quadrature about a maximum, against densities whose moments are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fastparam.shapes.posterior_moments import moments1, spread1

PLACES, WEIGHTS = np.polynomial.hermite_e.hermegauss(5)
NODES = np.array([(a, b) for a in PLACES for b in PLACES])
LN_WEIGHTS = np.log(np.outer(WEIGHTS, WEIGHTS).ravel()) + 0.5 * (NODES**2).sum(axis=1)

PRECISION = np.array([[30.0, -12.0], [-12.0, 9.0]])
L = np.linalg.cholesky(np.linalg.inv(PRECISION))


def test_the_spread_is_the_cholesky_factor_of_the_inverse() -> None:
    assert spread1(30.0, 9.0, -12.0) == pytest.approx((L[0, 0], L[1, 0], L[1, 1]), rel=1e-12)


def moments(density: np.ndarray) -> tuple[float, np.ndarray]:
    out = np.empty(5)
    with np.errstate(divide="ignore"):
        s = moments1(np.log(density), NODES, LN_WEIGHTS, L[0, 0], L[1, 0], L[1, 1], out)
    return s * L[0, 0] * L[1, 1], out


def test_a_normal_density_times_a_polynomial_has_its_exact_moments() -> None:
    # (1 + a x)^2 N(0, C) / N(0): by Isserlis' theorem its integral is 1 + a^2 C_xx, its first moments 2 a C_xy, ...
    x, y = NODES @ L.T[:, 0], NODES @ L.T[:, 1]
    c = np.linalg.inv(PRECISION)
    a = 1.3
    normal = np.exp(-0.5 * np.einsum("ni,ij,nj->n", np.column_stack([x, y]), PRECISION, np.column_stack([x, y])))
    integral, found = moments((1.0 + a * x) ** 2 * normal)
    norm = 1.0 + a * a * c[0, 0]
    mean = 2.0 * a * c[0] / norm
    second = (c + a * a * (c[0, 0] * c + 2.0 * np.outer(c[0], c[0]))) / norm
    assert integral == pytest.approx(norm * 2.0 * math.pi * math.sqrt(np.linalg.det(c)), rel=1e-12)
    assert found[:2] == pytest.approx(mean, rel=1e-10)
    covariance = second - np.outer(mean, mean)
    assert found[2:] == pytest.approx([covariance[0, 0], covariance[1, 1], covariance[0, 1]], rel=1e-10)


def test_a_single_node_with_everything_leaves_the_parabola() -> None:
    density = np.zeros(len(NODES))
    density[3] = 1.0
    c = np.linalg.inv(PRECISION)
    assert moments(density)[1] == pytest.approx([0.0, 0.0, c[0, 0], c[1, 1], c[0, 1]], rel=1e-12)
