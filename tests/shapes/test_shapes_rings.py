"""Kernels of the ring recipes: quantile tables, sums that must agree, tilts, lines."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fastparam._numba import kernel
from fastparam.random import stream, uniform
from fastparam.shapes.lines import axes1, path_to1
from fastparam.shapes.quantile_table import KNOTS, quantile1
from fastparam.shapes.ring_sums import balance1
from fastparam.shapes.tilt import tilt1, turn1

# Quantile tables


@pytest.mark.parametrize("u", [0.0, 0.03, 0.5, 0.9374, 0.9375, 0.98, 0.9921875, 0.997, 1.0 - 1e-12])
def test_a_table_of_any_function_that_is_linear_between_knots_is_exact(u: float) -> None:
    table = np.interp(KNOTS, [0.0, 15 / 16, 127 / 128, 1.0], [0.0, 1.0, 5.0, 100.0])
    assert quantile1(u, table) == pytest.approx(np.interp(u, KNOTS, table), rel=1e-9)


# Sums


def test_rings_add_up_to_their_sections_and_sections_to_the_total() -> None:
    section, ring = np.array([2.0, 1.0]), np.array([1.0, 3.0, 2.0, 2.0, 0.0])
    balance1(12.0, section, ring, np.array([0, 2, 5]))
    assert section == pytest.approx([8.0, 4.0])
    assert ring == pytest.approx([2.0, 6.0, 2.0, 2.0, 0.0])


def test_energy_without_a_ring_goes_to_the_ring_that_was_nearest_to_having_some() -> None:
    section, ring = np.array([1.0, -0.2]), np.array([-0.5, -0.1, 3.0])
    balance1(5.0, section, ring, np.array([0, 2, 3]))
    assert section.tolist() == [5.0, 0.0]
    assert ring.tolist() == [0.0, 5.0, 0.0]


def test_no_energy_means_none_anywhere() -> None:
    section, ring = np.array([1.0]), np.array([1.0, 2.0])
    balance1(-0.1, section, ring, np.array([0, 2]))
    assert not section.any()
    assert not ring.any()


# Dipoles


def hits(n: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    alpha = rng.uniform(-np.pi, np.pi, n)
    return np.cos(alpha), np.sin(alpha), rng.exponential(size=n)


def dipole(c: np.ndarray, s: np.ndarray, w: np.ndarray) -> tuple[float, float]:
    return float(w @ c / w.sum()), float(w @ s / w.sum())


@pytest.mark.parametrize("wanted", [(0.3, 0.1), (-0.6, 0.4), (0.0, 0.0)])
def test_a_tilt_gives_the_wanted_dipole_and_moves_no_hit(wanted: tuple[float, float]) -> None:
    c, s, w = hits(60)
    before = c.copy(), s.copy()
    tilt1(c, s, w, 0, 60, *wanted)
    assert dipole(c, s, w) == pytest.approx(wanted, abs=0.01)
    assert (w > 0).all()
    assert np.array_equal(c, before[0])
    assert np.array_equal(s, before[1])


def test_a_tilt_leaves_hits_outside_its_range_alone() -> None:
    c, s, w = hits(20)
    before = w.copy()
    tilt1(c, s, w, 5, 15, 0.5, 0.0)
    assert np.array_equal(w[:5], before[:5])
    assert np.array_equal(w[15:], before[15:])
    assert not np.array_equal(w[5:15], before[5:15])


def test_a_free_turn_points_the_dipole_and_keeps_its_size() -> None:
    c, s, w = hits(10)
    size = np.hypot(*dipole(c, s, w))
    turn1(c, s, w, 0, 10, 0.2, -0.7, True)
    d = dipole(c, s, w)
    assert np.arctan2(d[1], d[0]) == pytest.approx(np.arctan2(-0.7, 0.2), abs=1e-9)
    assert np.hypot(*d) == pytest.approx(size, rel=1e-12)


@pytest.mark.parametrize("angle", np.linspace(0, 2 * np.pi, 9))
def test_quarter_turns_keep_the_grid_and_leave_at_most_half_a_quarter(angle: float) -> None:
    c, s, w = hits(10)
    old = c.copy(), s.copy()
    turn1(c, s, w, 0, 10, np.cos(angle), np.sin(angle), False)
    d = dipole(c, s, w)
    off = np.angle(np.exp(1j * (np.arctan2(d[1], d[0]) - angle)))
    assert abs(off) <= np.pi / 4 + 1e-9
    quarter = np.angle((c + 1j * s) / (old[0] + 1j * old[1])) / (np.pi / 2)
    assert quarter == pytest.approx(np.round(quarter), abs=1e-9)


# Lines


def test_a_line_meets_a_cylinder_on_the_way_out_and_a_plane_where_it_should() -> None:
    u = np.array([0.6, 0.0, 0.8])
    path = path_to1(True, 1.0, 0.5, 0.0, *u, 20.0)
    assert np.hypot(1.0 + path * 0.6, 0.5) == pytest.approx(20.0)
    assert path > 0
    assert path_to1(False, 0.0, 0.0, 1.0, *u, 9.0) == pytest.approx(10.0)
    assert np.isnan(path_to1(True, 0.0, 30.0, 0.0, 1.0, 0.0, 0.0, 20.0))


@pytest.mark.parametrize("barrel", [True, False])
def test_axes_are_those_of_the_frames(barrel: bool) -> None:
    u = np.array([0.3, -0.2, 0.933])
    u /= np.linalg.norm(u)
    e1, e2 = np.empty(3), np.empty(3)
    axes1(barrel, u, e1, e2)
    reference = np.array([0.0, 0.0, 1.0]) if barrel else np.array([1.0, 0.0, 0.0])
    expected = reference - (reference @ u) * u
    expected /= np.linalg.norm(expected)
    assert e1 == pytest.approx(expected, abs=1e-12)
    assert e2 == pytest.approx(np.cross(e1, u) if barrel else np.cross(u, e1), abs=1e-12)


@kernel
def _draw(table: np.ndarray, out: np.ndarray) -> None:
    state = stream(1, 2, 3)
    for i in range(len(out)):
        out[i] = quantile1(uniform(state), table)


def test_numbers_drawn_from_a_table_have_its_distribution() -> None:
    table = stats.expon.ppf(np.minimum(KNOTS, 1 - 1e-4))
    drawn = np.empty(20_000)
    _draw(table, drawn)
    tabulated = stats.kstest(drawn, lambda x: np.interp(x, table, KNOTS)).pvalue
    assert tabulated > 0.01
    assert stats.kstest(drawn, stats.expon(scale=1.05).cdf).pvalue < 1e-4  # the test would see 5 %
