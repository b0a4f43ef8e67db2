"""What the cells of one shower say about its start, against integrals on fine grids by SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import gammainc

from fastparam.fit.profiles import Profiles
from fastparam.fit.starts import Nodes, look

LN_T, LN_ALPHA, START, PAIR, HAZE, N_EFF = 1.6, 1.35, 2.4, 0.005, 2e-4, 250.0
SIGMA_T, SIGMA_A, RHO = 0.15, 0.2, 0.5
EDGES = np.arange(0.7, 24.0, 0.6)


def share(start: float, ln_t: np.ndarray, ln_alpha: np.ndarray, haze: float = HAZE) -> np.ndarray:
    """Share of each cell, shape (*ln_t.shape, C)."""
    alpha = np.exp(np.asarray(ln_alpha))[..., None]
    rate = (alpha - 1.0) / np.exp(np.asarray(ln_t))[..., None]
    behind = np.maximum(EDGES - start, 0.0)
    cumulative = gammainc(alpha, rate * behind) - PAIR * np.exp(-behind)
    in_front = np.diff(np.minimum(EDGES, start))
    return np.diff(cumulative, axis=-1) + haze * in_front


def one_shower(seed: int = 3) -> Profiles:
    rng = np.random.default_rng(seed)
    expected = share(START, np.array(LN_T), np.array(LN_ALPHA), haze=0.0)
    cells = rng.multinomial(int(N_EFF), expected / expected.sum())[None].astype(np.float64)
    depths = np.stack([EDGES[:-1], EDGES[1:]], axis=1)[None]
    return Profiles(np.array([10e3]), np.array([7.0]), cells, depths, np.zeros(len(EDGES) - 1, dtype=np.int64))


def prior() -> np.ndarray:
    inverse = np.linalg.inv(np.array([[SIGMA_T**2, RHO * SIGMA_T * SIGMA_A], [RHO * SIGMA_T * SIGMA_A, SIGMA_A**2]]))
    return np.array([[LN_T, LN_ALPHA, inverse[0, 0], inverse[1, 1], inverse[0, 1]]])


def exact_evidence(profiles: Profiles, start: float) -> tuple[float, np.ndarray, np.ndarray]:
    """ln of the integral over (ln T, ln alpha), and mean and covariance of the posterior, by a sum over a grid."""
    x, y = np.meshgrid(np.linspace(0.6, 2.6, 201), np.linspace(0.1, 2.6, 201), indexing="ij")
    f = share(start, x, y)
    counts = profiles.cell_energy[0] / profiles.cell_energy.sum() * N_EFF
    ln_l = (counts * np.log(f / f.sum(axis=-1, keepdims=True))).sum(axis=-1)
    m0, m1, p00, p11, p01 = prior()[0]
    ln_prior = -0.5 * (p00 * (x - m0) ** 2 + p11 * (y - m1) ** 2 + 2 * p01 * (x - m0) * (y - m1))
    ln_prior += 0.5 * np.log(p00 * p11 - p01**2) - np.log(2 * np.pi)
    top = (ln_l + ln_prior).max()
    w = np.exp(ln_l + ln_prior - top)
    mean = np.array([(w * x).sum(), (w * y).sum()]) / w.sum()
    d = np.stack([x - mean[0], y - mean[1]])
    area = (x[1, 0] - x[0, 0]) * (y[0, 1] - y[0, 0])
    return float(top + np.log(w.sum() * area)), mean, np.einsum("iab,jab,ab->ij", d, d, w) / w.sum()


def looked(profiles: Profiles, nodes: Nodes):
    theta = np.repeat(prior()[:, None, :2], nodes.depth.shape[1], axis=1)
    n_eff, pair = np.array([N_EFF]), np.array([PAIR])
    return look(profiles, pair, HAZE, n_eff, prior(), nodes, theta, ahead=0.1, follow=True)


def test_every_start_has_the_evidence_and_posterior_of_the_exact_integral() -> None:
    profiles = one_shower()
    nodes = Nodes(np.array([[0.3, 1.9, 2.4, 2.9]]), np.zeros((1, 4)))
    views = looked(profiles, nodes)
    for k, start in enumerate(nodes.depth[0]):
        evidence, mean, covariance = exact_evidence(profiles, float(start))
        assert views.evidence[0, k] == pytest.approx(evidence, abs=0.03)
        m0, m1, p00, p11, p01 = prior()[0]
        g, h = views.parabola[0, k, :2], views.parabola[0, k, 2:]
        own = np.array([[p00, p01], [p01, p11]])
        total = own - np.array([[h[0], h[2]], [h[2], h[1]]])
        off = np.array([m0, m1]) - views.theta[0, k]
        assert views.theta[0, k] + np.linalg.solve(total, g + own @ off) == pytest.approx(mean, abs=0.004)
        assert np.linalg.inv(total) == pytest.approx(covariance, rel=0.05, abs=1e-4)


def test_the_integral_over_the_start_is_that_of_a_fine_grid() -> None:
    profiles = one_shower()
    first = Nodes.first_look(1)
    nodes = first.narrowed(looked(profiles, first).evidence - first.depth / 1.3)
    views = looked(profiles, nodes)
    ln_weight = views.evidence + nodes.ln_weight - nodes.depth / 1.3
    found = np.exp(ln_weight - ln_weight.max())
    s = np.arange(0.025, 6.0, 0.05)
    exact = np.array([exact_evidence(profiles, float(k))[0] for k in s]) - s / 1.3
    w = np.exp(exact - exact.max())
    assert ln_weight.max() + np.log(found.sum()) == pytest.approx(exact.max() + np.log(w.sum() * 0.05), abs=0.03)
    assert (found * nodes.depth).sum() / found.sum() == pytest.approx((w * s).sum() / w.sum(), abs=0.02)


def test_energy_far_in_front_forbids_a_start() -> None:
    profiles = one_shower()
    views = looked(profiles, Nodes(np.array([[2.0, 9.0]]), np.zeros((1, 2))))
    assert np.isfinite(views.evidence[0, 0])
    assert views.evidence[0, 1] == -np.inf
