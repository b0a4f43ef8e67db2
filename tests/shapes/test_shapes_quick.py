"""Functions in single precision and from tables, against the exact ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from fastparam._numba import kernel
from fastparam.random import fill_uniforms, stream
from fastparam.shapes.quick_functions import direction1, exp1, ln1
from fastparam.shapes.quick_normal import tail_score1


@kernel
def _each(function: int, x: np.ndarray, out: np.ndarray) -> None:
    for i in range(len(x)):
        out[i] = exp1(x[i]) if function == 0 else ln1(x[i]) if function == 1 else tail_score1(x[i])


def each(function: int, x: np.ndarray) -> np.ndarray:
    x = x.astype(np.float32)
    out = np.empty_like(x)
    _each(function, x, out)
    return out.astype(np.float64)


def test_exp_is_right_to_single_precision() -> None:
    x = np.linspace(-80.0, 80.0, 20_001).astype(np.float32)
    assert np.abs(each(0, x) / np.exp(x.astype(np.float64)) - 1).max() < 4e-7
    assert each(0, np.array([-1e4, 1e4])) == pytest.approx(np.exp([-87.0, 88.0]), rel=1e-5)


def test_ln_is_right_to_single_precision() -> None:
    x = np.concatenate([np.geomspace(1e-30, 1e30, 20_001), [0.5, 0.70710678, 1.0, 1.41421356]]).astype(np.float32)
    exact = np.log(x.astype(np.float64))
    assert (np.abs(each(1, x) - exact) / np.maximum(np.abs(exact), 1)).max() < 2e-7
    assert np.isfinite(each(1, np.array([0.0, -1.0]))).all()


@kernel
def _directions(turns: np.ndarray, c: np.ndarray, s: np.ndarray) -> None:
    for i in range(len(turns)):
        c[i], s[i] = direction1(turns[i])


def test_cos_and_sin_are_right_to_single_precision_in_every_quarter() -> None:
    turns = np.concatenate([np.linspace(-1.0, 1.0, 20_001), np.arange(-8, 9) / 8]).astype(np.float32)
    c, s = np.empty_like(turns), np.empty_like(turns)
    _directions(turns, c, s)
    exact = np.exp(2j * np.pi * turns.astype(np.float64))
    assert np.abs(c - exact.real).max() < 4e-7
    assert np.abs(s - exact.imag).max() < 4e-7


def test_scores_of_tail_probabilities_are_right_to_a_ten_thousandth() -> None:
    z = np.linspace(-3.2, 3.2, 5001)
    assert np.abs(each(2, special.ndtr(-z)) - z).max() < 2e-4
    assert np.abs(each(2, np.array([0.0, 1.0]))).min() > 4.5


def test_uniform_numbers_stay_inside_and_are_even() -> None:
    out = np.empty(400_000, dtype=np.float32)
    state = stream(1, 2, 3)
    fill_uniforms(state, out)
    assert out.min() > 0.0
    assert out.max() < 1.0
    counts = np.histogram(out, bins=100, range=(0, 1))[0]
    assert ((counts - 4000) ** 2 / 4000).sum() == pytest.approx(99, abs=5 * np.sqrt(2 * 99))
    halves = out.reshape(2, -1)
    assert abs(np.corrcoef(halves)[0, 1]) < 5 / np.sqrt(halves.shape[1])
    before = out.copy()
    fill_uniforms(state, out)  # the stream goes on
    assert abs(np.corrcoef(before, out)[0, 1]) < 5 / np.sqrt(len(out))
