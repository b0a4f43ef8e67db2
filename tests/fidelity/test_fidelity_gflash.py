"""How the table of the recipe `gflash` judges: what it keeps, and what it must not keep."""

from __future__ import annotations

import numpy as np
import pytest

from tests.fidelity.gflash import Family, Number, pool, quantile_radii, rms, weights, width


def numbers(*pairs: tuple[float, float]) -> list[Number]:
    return [Number(f"number {k}", d, e) for k, (d, e) in enumerate(pairs)]


def test_a_family_is_kept_if_what_is_beyond_its_limit_may_be_chance() -> None:
    # 100 numbers: one in a hundred families has a pull above 3.89 (two-sided, 0.01 / 100).
    others = [(0.0, 1.0)] * 99
    assert Family("q", 3, numbers((3.8, 1.0), *others)).kept
    assert not Family("q", 3, numbers((4.0, 1.0), *others)).kept
    assert Family("q", 5, numbers((4.0, 1.0), *others)).kept


def test_a_pooled_number_has_its_limit_or_two_standard_errors() -> None:
    assert Family("q", 3, numbers((3.9, 2.0)), pooled=True).kept
    assert not Family("q", 3, numbers((4.1, 2.0)), pooled=True).kept
    assert Family("q", 3, numbers((2.9, 0.1)), pooled=True).kept


def test_numbers_are_pooled_by_their_errors() -> None:
    pooled = pool(numbers((1.0, 1.0), (4.0, 2.0), (np.nan, 1.0)), "all")
    assert pooled.deviation == pytest.approx((1.0 + 4.0 / 4.0) / 1.25)
    assert pooled.error == pytest.approx(1.25**-0.5)


def test_widths_and_radii_are_those_of_known_distributions() -> None:
    rng = np.random.default_rng(1)
    x, w = rng.normal(3.0, 2.0, 40_000), np.ones((1, 40_000))
    # Half the central 68 % and the RMS of 40 000 normal numbers are known to 0.5 %.
    assert width(x, w)[0] == pytest.approx(2.0, rel=0.02)
    assert rms(x, w)[0] == pytest.approx(2.0, rel=0.02)
    edges = np.append(np.linspace(0.0, 30.0, 301), np.inf)
    within = np.append(edges[:-1] ** 2 / (edges[:-1] ** 2 + 4.0), 1.0)
    r50, r90 = quantile_radii(np.diff(within), edges)
    assert (r50, r90) == (pytest.approx(2.0, rel=1e-3), pytest.approx(6.0, rel=1e-3))


def test_the_error_of_a_mean_is_that_of_its_bootstrap() -> None:
    x = np.random.default_rng(2).normal(0.0, 1.0, 400)
    w = weights(400, np.random.default_rng(3))
    means = (w @ x) / w.sum(axis=1)
    assert means[0] == pytest.approx(x.mean())
    # 200 replicas know it to 5 %; three of those.
    assert means[1:].std(ddof=1) == pytest.approx(x.std() / 20.0, rel=0.15)
