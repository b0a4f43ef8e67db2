"""FPD and KPD against their definitions, computed plainly on the same draws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.optimize import curve_fit

from fastparam.comparison.distances import fpd, frechet, kernel_distance, kpd, normalised


def samples(seed: int = 1, shift: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(300, 4)) * [1.0, 2.0, 0.5, 1.0]
    y = rng.normal(size=(250, 4)) * [1.0, 2.0, 0.7, 1.0] + [shift, 0.0, 0.0, 0.0]
    x[:, 3] = y[:, 3] = 0.0  # a feature that is always zero
    return x, y


def plain_frechet(x: np.ndarray, y: np.ndarray) -> float:
    c1, c2 = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = sqrtm(c1 @ c2)
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(c1 + c2 - 2 * np.real(root)))


def test_distance_of_gaussians_with_known_widths() -> None:
    # Independent components: the sum of (m1 - m2)^2 + (s1 - s2)^2.
    found = frechet(np.array([1.0, 2.0]), np.diag([4.0, 9.0]), np.array([0.0, 2.5]), np.diag([1.0, 16.0]))
    assert found == pytest.approx(1 + 0.25 + 1 + 1, rel=1e-12)


def test_fpd_follows_its_definition() -> None:
    x, y = samples()
    value, error = fpd(x, y, min_samples=100, max_samples=250, batches=5, points=6, seed=3)

    largest = np.abs(x).max(axis=0)
    largest[largest == 0] = 1.0
    a, b = x[:, :] / largest, y / largest
    rng = np.random.default_rng(3)
    sizes = (1 / np.linspace(1 / 100, 1 / 250, 6)).astype("int32")
    means = []
    for size in sizes:
        draws = []
        for _ in range(5):
            one = a[rng.integers(0, len(a), size)]
            draws.append(plain_frechet(one[:, :3], b[rng.integers(0, len(b), size)][:, :3]))
        means.append(np.mean(draws))
    popt, pcov = curve_fit(lambda t, c, s: c + s * t, 1 / sizes, means, bounds=([0, 0], [np.inf, np.inf]))
    assert value == pytest.approx(popt[0], rel=1e-4)
    assert error == pytest.approx(np.sqrt(pcov[0, 0]), rel=1e-3)


def test_kernel_distance_is_the_unbiased_double_sum() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(12, 3)), rng.normal(size=(9, 3)) + 0.5

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / 3 + 1) ** 4)

    xx = np.mean([k(x[i], x[j]) for i in range(12) for j in range(12) if i != j])
    yy = np.mean([k(y[i], y[j]) for i in range(9) for j in range(9) if i != j])
    xy = np.mean([k(a, b) for a in x for b in y])
    assert kernel_distance(x, y) == pytest.approx(xx + yy - 2 * xy, rel=1e-10)


def test_kpd_is_the_median_over_batches_and_half_their_spread() -> None:
    x, y = samples()
    value, error = kpd(x, y, batches=7, batch_size=50, seed=5)
    a, b = normalised(x, y)
    rng = np.random.default_rng(5)
    expected = [kernel_distance(a[rng.integers(0, len(a), 50)], b[rng.integers(0, len(b), 50)]) for _ in range(7)]
    low, high = np.percentile(expected, [16.275, 83.725])
    assert value == pytest.approx(np.median(expected), rel=1e-12)
    assert error == pytest.approx((high - low) / 2, rel=1e-12)


def test_larger_shifts_are_larger_distances() -> None:
    values = [fpd(*samples(shift=s), min_samples=100, max_samples=250, batches=5)[0] for s in (0.0, 0.5, 1.0)]
    assert values[0] < values[1] < values[2]
