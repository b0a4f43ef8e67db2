"""Random streams: the published generator, its distributions, and that no two streams know of each other.

Statistical tests run at fixed seeds and reject below p = 1e-3; each of the kind has a control that must be rejected.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from fastparam import random
from fastparam._numba import kernel, parallel_kernel, prange

WORD = 2**64
GOLDEN = 0x9E3779B97F4A7C15
REJECT = 1e-3
RECORDED = [
    0.7796475841136431,
    1.766649922920092,
    1.3307661160912847,
    0.9698637032440622,
    0.026587558250492294,
    7,
    49,
]  # test_numbers_of_a_name_never_change


def mix(z: int) -> int:
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % WORD
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % WORD
    return z ^ (z >> 31)


def slow_stream(seed: int, index: int, purpose: int) -> tuple[int, int]:
    """The stream's words in Python's integers."""
    name = mix((seed + GOLDEN) % WORD)
    name = mix(name ^ ((index * 0xD1342543DE82EF95 + GOLDEN) % WORD))
    name = mix(name ^ ((purpose * 0xAF251AF3B0F025B5 + GOLDEN) % WORD))
    z = (name + 2 * GOLDEN) % WORD
    z = (z ^ (z >> 33)) * 0xFF51AFD7ED558CCD % WORD
    z = (z ^ (z >> 33)) * 0xC4CEB9FE1A85EC53 % WORD
    return mix((name + GOLDEN) % WORD), (z ^ (z >> 33)) | 1


def unmix(z: int) -> int:
    """Inverse of `mix`: finds the state behind a wanted word."""
    for shift, factor in ((31, 0x94D049BB133111EB), (27, 0xBF58476D1CE4E5B9), (30, 1)):
        x = z
        while x:
            x >>= shift
            z ^= x
        z = z * pow(factor, -1, WORD) % WORD
    return z


@kernel
def uniforms(seed: int, index: int, purpose: int, n: int) -> np.ndarray:
    state = random.stream(seed, index, purpose)
    out = np.empty(n)
    for i in range(n):
        out[i] = random.uniform(state)
    return out


@kernel
def normals(seed: int, n: int) -> np.ndarray:
    state = random.stream(seed, 0, 0)
    out = np.empty(n)
    for i in range(n):
        out[i] = random.normal(state)
    return out


@kernel
def exponentials(seed: int, n: int) -> np.ndarray:
    state = random.stream(seed, 0, 0)
    out = np.empty(n)
    for i in range(n):
        out[i] = random.exponential(state)
    return out


@kernel
def gammas(seed: int, n: int, shape: float) -> np.ndarray:
    state = random.stream(seed, 0, 0)
    out = np.empty(n)
    for i in range(n):
        out[i] = random.gamma(state, shape)
    return out


@kernel
def poissons(seed: int, n: int, mean: float) -> np.ndarray:
    state = random.stream(seed, 0, 0)
    out = np.empty(n, dtype=np.int64)
    for i in range(n):
        out[i] = random.poisson(state, mean)
    return out


@parallel_kernel
def first_numbers(seed: int, n: int) -> np.ndarray:
    out = np.empty(n)
    for i in prange(n):
        out[i] = random.uniform(random.stream(seed, i, 0))
    return out


def poisson_p_value(counts: np.ndarray, mean: float) -> float:
    """Chi-squared test of counts against a Poisson law, in bins between its quantiles."""
    quantiles = np.concatenate([[1e-3], np.linspace(0.02, 0.98, 49), [1 - 1e-3]])
    edges = np.unique(stats.poisson.ppf(quantiles, mean))
    expected = np.diff(np.concatenate([[0.0], stats.poisson.cdf(edges, mean), [1.0]])) * len(counts)
    observed = np.bincount(np.searchsorted(edges, counts), minlength=len(expected))
    return float(stats.chisquare(observed, expected).pvalue)


@pytest.mark.parametrize("name", [(0, 0, 0), (1, 2, 3), (2**63 - 1, 10**12, 7)])
def test_streams_are_splitmix64_in_exact_integer_arithmetic(name: tuple[int, int, int]) -> None:
    state, gamma = slow_stream(*name)
    assert [int(word) for word in random.stream(*name)] == [state, gamma]
    expected = [((mix((state + i * gamma) % WORD) >> 12) + 0.5) / 2**52 for i in range(1, 100)]
    assert uniforms(*name, 99).tolist() == expected


def test_splitmix64_mixer_has_the_published_output() -> None:
    # First output for seed 0, as printed by the reference implementation (prng.di.unimi.it/splitmix64.c).
    assert int(random._mix(np.uint64(GOLDEN))) == 0xE220A8397B1DCDAF


def test_numbers_of_a_name_never_change() -> None:
    state = random.stream(1, 2, 3)
    drawn = [
        random.uniform(state),
        random.normal(state),
        random.exponential(state),
        random.gamma(state, 2.5),
        random.gamma(state, 0.5),
        random.poisson(state, 3.0),
        random.poisson(state, 50.0),
    ]
    assert drawn == pytest.approx(RECORDED, rel=1e-12)


def test_uniform_never_reaches_its_ends() -> None:
    for word, expected in ((0, 2.0**-53), (WORD - 1, 1 - 2.0**-53)):
        state = np.array([(unmix(word) - GOLDEN) % WORD, GOLDEN], dtype=np.uint64)
        assert random.uniform(state) == expected


def test_uniform_is_uniform_in_one_two_and_three_dimensions() -> None:
    u = uniforms(11, 0, 0, 300_000)
    assert stats.kstest(u, "uniform").pvalue > REJECT
    for dimension, bins in ((2, 64), (3, 16)):
        counts, _ = np.histogramdd(u.reshape(-1, dimension), bins=bins, range=[(0, 1)] * dimension)
        assert stats.chisquare(counts.reshape(-1)).pvalue > REJECT


def test_every_bit_of_the_words_is_fair() -> None:
    words = (uniforms(12, 0, 0, 100_000) * 2**52).astype(np.uint64)
    set_bits = [int(((words >> np.uint64(bit)) & np.uint64(1)).sum()) for bit in range(52)]
    assert np.abs((np.array(set_bits) - 50_000) / math.sqrt(25_000)).max() < 4.5  # 52 bits: chance 4e-4


@pytest.mark.parametrize("differ", ["seed", "index", "purpose"])
def test_neighbouring_streams_are_independent(differ: str) -> None:
    rows = []
    for i in range(60):
        name = {"seed": 5, "index": 5, "purpose": 1} | {differ: i}
        rows.append(uniforms(name["seed"], name["index"], name["purpose"], 4000))
    numbers = np.array(rows)
    assert stats.kstest(numbers[:, 0], "uniform").pvalue > REJECT
    for lag in (0, 1):
        correlations = np.corrcoef(numbers[:, : 4000 - lag], numbers[:, lag:])[:60, 60:]
        pairs = correlations[np.triu_indices(60, 1)] * math.sqrt(4000 - lag)
        assert stats.kstest(pairs, "norm").pvalue > REJECT
        assert np.abs(pairs).max() < 5.2  # 1770 pairs: chance 4e-4


def test_no_two_streams_of_a_large_run_begin_alike() -> None:
    names = itertools.product(range(3), range(20_000), range(2))
    first = {tuple(random.stream(*name).tolist()) for name in names}
    assert len(first) == 3 * 20_000 * 2


def test_first_numbers_of_a_run_are_uniform_and_do_not_depend_on_threads() -> None:
    parallel = first_numbers(3, 100_000)
    assert stats.kstest(parallel, "uniform").pvalue > REJECT
    assert parallel[:100].tolist() == [uniforms(3, i, 0, 1)[0] for i in range(100)]


def test_normal_numbers_are_normal() -> None:
    x = normals(21, 300_000)
    assert stats.kstest(x, "norm").pvalue > REJECT
    assert abs(np.corrcoef(x[:-1], x[1:])[0, 1]) < 4 / math.sqrt(len(x))


def test_exponential_numbers_are_exponential() -> None:
    assert stats.kstest(exponentials(22, 300_000), "expon").pvalue > REJECT


@pytest.mark.parametrize("shape", [0.05, 0.5, 1.0, 1.5, 4.0, 60.0, 1e5])
def test_gamma_numbers_follow_the_gamma_distribution(shape: float) -> None:
    assert stats.kstest(gammas(23, 200_000, shape), stats.gamma(shape).cdf).pvalue > REJECT


@pytest.mark.parametrize("mean", [0.01, 0.7, 4.0, 9.99, 10.0, 31.4, 400.0, 1e5])
def test_poisson_numbers_follow_the_poisson_distribution(mean: float) -> None:
    assert poisson_p_value(poissons(24, 200_000, mean), mean) > REJECT


def test_poisson_of_no_mean_is_zero() -> None:
    assert not poissons(24, 10, 0.0).any()


def test_compiled_numbers_equal_python() -> None:
    for draw, arguments in (
        (random.uniform, ()),
        (random.normal, ()),
        (random.exponential, ()),
        (random.gamma, (0.4,)),
        (random.gamma, (3.3,)),
        (random.poisson, (2.0,)),
        (random.poisson, (80.0,)),
    ):
        compiled, plain = random.stream(4, 5, 6), random.stream(4, 5, 6)
        with np.errstate(over="ignore"):  # compiled words wrap silently
            expected = [getattr(draw, "py_func", draw)(plain, *arguments) for _ in range(50)]
        assert [draw(compiled, *arguments) for _ in range(50)] == pytest.approx(expected, rel=1e-14)
        assert compiled.tolist() == plain.tolist()


def test_control_wrong_distributions_are_rejected() -> None:
    assert stats.kstest(gammas(23, 200_000, 4.0), stats.gamma(4.02).cdf).pvalue < REJECT
    assert stats.kstest(normals(21, 300_000) * 1.02, "norm").pvalue < REJECT
    assert poisson_p_value(poissons(24, 200_000, 31.4), 31.5) < REJECT
    u = uniforms(11, 0, 0, 4000)
    assert abs(np.corrcoef(u, 0.9 * uniforms(11, 1, 0, 4000) + 0.1 * u)[0, 1]) * math.sqrt(4000) > 5.2
