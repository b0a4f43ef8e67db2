"""Kernels of the ring recipes: quantile tables, sums that must agree, tilts, lines."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fastparam._numba import kernel
from fastparam.random import stream, uniform
from fastparam.shapes.lines import axes1, path_to1, place1, place_hits1, place_in_planes1
from fastparam.shapes.quantile_table import KNOTS, knot1, quantile1
from fastparam.shapes.ring_sums import balance1, total1
from fastparam.shapes.tilt import FREE, LANES, ONLY_TURN, QUARTERS, STAY, WORK, WORK_INTS, turn_and_tilt1

# Quantile tables


@pytest.mark.parametrize("u", [0.0, 0.03, 0.5, 0.9374, 0.9375, 0.98, 0.9921875, 0.997, 1.0 - 1e-12])
def test_a_table_of_any_function_that_is_linear_between_knots_is_exact(u: float) -> None:
    table = np.interp(KNOTS, [0.0, 15 / 16, 127 / 128, 1.0], [0.0, 1.0, 5.0, 100.0]).astype(np.float32)
    u = min(np.float32(u), np.float32(1 - 2**-24))
    behind = np.concatenate([[np.nan] * 3, table]).astype(np.float32)
    assert quantile1(knot1(u), behind, 3) == pytest.approx(np.interp(u, KNOTS, table), rel=1e-5)


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
    return tuple(x.astype(np.float32) for x in (np.cos(alpha), np.sin(alpha), rng.exponential(size=n)))  # type: ignore


def dipole(c: np.ndarray, s: np.ndarray, w: np.ndarray) -> np.ndarray:
    return np.array([w @ c, w @ s], dtype=np.float64) / w.sum(dtype=np.float64)


def turned(
    c: np.ndarray, s: np.ndarray, w: np.ndarray, wanted: list[tuple[float, float]], kinds: list[int], first: list[int]
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Turn and tilt rings of 1, 2, 3.. MeV; return their dipoles afterwards, their angles and the energies of hits."""
    n = len(kinds)
    d1, d2 = (np.array(d, dtype=np.float32) for d in zip(*wanted, strict=True))
    cos, sin = np.empty(n, dtype=np.float32), np.empty(n, dtype=np.float32)
    w, scale, totals = w.copy(), np.full(n, np.nan), np.full(LANES, np.nan)
    floats, ints = np.full(WORK, np.nan, dtype=np.float32), np.full(n + WORK_INTS, -1, dtype=np.int32)
    turn_and_tilt1(
        c, s, w, np.array(first, dtype=np.int32), n, 1.0 + np.arange(n), d1, d2, np.array(kinds, dtype=np.int32), cos,
        sin, scale, totals, floats, ints,
    )  # fmt: skip
    e = np.repeat(scale, np.diff(first)) * w
    found = []
    for k in range(n):
        own = slice(first[k], first[k + 1])
        assert e[own].sum() == pytest.approx(1.0 + k, rel=1e-12)
        a, b = dipole(c[own], s[own], e[own])
        found.append(np.array([cos[k] * a - sin[k] * b, sin[k] * a + cos[k] * b]))
    return found, np.arctan2(sin, cos), e


@pytest.mark.parametrize("wanted", [(0.3, 0.1), (-0.6, 0.4), (0.0, 0.0)])
@pytest.mark.parametrize("kind", [FREE, QUARTERS])
def test_a_tilt_gives_the_wanted_dipole_and_moves_no_hit_within_its_ring(
    wanted: tuple[float, float], kind: int
) -> None:
    c, s, w = hits(60)
    before = c.copy(), s.copy()
    found, _, e = turned(c, s, w, [wanted], [kind], [0, 60])
    assert found[0] == pytest.approx(wanted, abs=0.01)
    assert (e > 0).all()
    assert np.array_equal(c, before[0])
    assert np.array_equal(s, before[1])


@pytest.mark.parametrize("sizes", [[32], [33], [130], [3, 30, 33, 7, 200, 12, 12, 5, 31, 32]])
def test_every_ring_gets_its_own_dipole_however_many_and_large_they_are(sizes: list[int]) -> None:
    """150 rings, more than are solved together; one of them stays as it is. Few hits can't have every dipole."""
    size = np.resize(sizes, 150)
    first = [0, *np.cumsum(size).tolist()]
    c, s, w = hits(first[-1])
    wanted = [(0.3 * np.cos(k), 0.3 * np.sin(k)) for k in range(150)]
    kinds = [STAY if k == 70 else FREE for k in range(150)]
    found, angle, e = turned(c, s, w, wanted, kinds, first)
    own = slice(first[70], first[71])
    assert e[own] / e[own].sum() == pytest.approx(w[own] / w[own].sum(dtype=np.float64), rel=1e-6)
    assert angle[70] == 0.0
    off = np.array([np.hypot(*(f - d)) for f, d in zip(found, wanted, strict=True)])
    assert off[(size >= 30) & (np.arange(150) != 70)].max() < 0.01


def test_a_ring_does_not_depend_on_those_beside_it() -> None:
    size = np.resize([3, 30, 33, 7, 200, 12, 12, 5, 31, 32], 150)
    first = [0, *np.cumsum(size).tolist()]
    c, s, w = hits(first[-1])
    wanted, kinds = [(0.5 * np.cos(k), 0.5 * np.sin(k)) for k in range(150)], [FREE] * 150
    together = turned(c, s, w, wanted, kinds, first)[2]
    for k in (0, 2, 4, 77, 149):
        own = slice(first[k], first[k + 1])
        alone = turned(c[own], s[own], w[own], [wanted[k]], [FREE], [0, size[k]])[2]
        assert alone * (1.0 + k) == pytest.approx(together[own], rel=1e-15)


def test_two_hits_keep_their_energies_and_are_only_turned() -> None:
    c, s, w = hits(2)
    size = np.hypot(*dipole(c, s, w))
    found, _, e = turned(c, s, w, [(0.2, -0.7)], [FREE], [0, 2])
    assert e == pytest.approx(w / w.sum(), rel=1e-6)
    assert np.arctan2(found[0][1], found[0][0]) == pytest.approx(np.arctan2(-0.7, 0.2), abs=1e-5)
    assert np.hypot(*found[0]) == pytest.approx(size, rel=1e-5)


@pytest.mark.parametrize("angle", np.linspace(0, 2 * np.pi, 9))
def test_quarter_turns_keep_the_grid_and_leave_at_most_half_a_quarter(angle: float) -> None:
    c, s, w = hits(10)
    found, by, e = turned(c, s, w, [(np.cos(angle), np.sin(angle))], [QUARTERS + ONLY_TURN], [0, 10])
    off = np.angle(np.exp(1j * (np.arctan2(found[0][1], found[0][0]) - angle)))
    assert abs(off) <= np.pi / 4 + 1e-5
    assert e == pytest.approx(w / w.sum(), rel=1e-6)
    assert by[0] / (np.pi / 2) == pytest.approx(np.round(by[0] / (np.pi / 2)), abs=1e-6)


def test_sums_are_in_double_precision() -> None:
    values = np.random.default_rng(1).exponential(size=1003).astype(np.float32)
    assert total1(values) == pytest.approx(values.sum(dtype=np.float64), rel=1e-13)
    assert total1(values[:0]) == 0.0
    assert total1(values[:3]) == pytest.approx(values[:3].sum(dtype=np.float64), rel=1e-13)


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


@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("barrel", [True, False])
def test_hits_are_placed_together_as_one_by_one_however_far_aside(barrel: bool, single: bool) -> None:
    """Some so far aside that the layer begins elsewhere there, or that their direction misses it."""
    u = np.array([0.8, 0.1, 0.3]) if barrel else np.array([0.2, -0.1, 0.9])
    u /= np.linalg.norm(u)
    position = np.array([0.5, 0.0, -1.0])
    front, back = 40.0, 47.0
    e1, e2 = np.empty(3), np.empty(3)
    axes1(barrel, u, e1, e2)
    rng = np.random.default_rng(1)
    d1, d2 = (rng.normal(0, 20, 400).astype(np.float32) for _ in range(2))
    share = rng.random(400, dtype=np.float32)
    x, y, z, path = (np.empty(400) for _ in range(4))
    place_hits1(barrel, position, u, e1, e2, front, back, single, d1, d2, share, path, x, y, z)
    path_in, path_out = (path_to1(barrel, *position, *u, level) for level in (front, back))
    skin = 1e-6 * (back - front)
    one = np.array(
        [
            place1(
                barrel, position, u, e1, e2, path_in, path_out, front + skin, back - skin, float(share[h]), single,
                float(d1[h]), float(d2[h]),
            )
            for h in range(400)
        ]
    )  # fmt: skip
    assert np.stack([x, y, z], axis=1) == pytest.approx(one, abs=1e-9)
    level = np.hypot(x, y) if barrel else z
    assert ((level >= front) & (level <= back)).mean() > 0.9


def test_hits_of_many_planes_are_placed_together_as_plane_by_plane() -> None:
    u = np.array([0.2, -0.1, 0.9])
    u /= np.linalg.norm(u)
    position, e1, e2 = np.array([0.5, 0.0, -1.0]), np.empty(3), np.empty(3)
    axes1(False, u, e1, e2)
    rng = np.random.default_rng(1)
    d1, d2 = (rng.normal(0, 20, 90).astype(np.float32) for _ in range(2))
    share = rng.random(90, dtype=np.float32)
    own, front, thickness = (
        np.repeat([0, 1, 2], 30).astype(np.int32),
        np.array([3.0, 40.0, 41.0]),
        np.array([1, 1, 0.5]),
    )
    together, one, path = np.empty((3, 90)), np.empty((3, 90)), np.empty(90)
    place_in_planes1(position, u, e1, e2, own, front, thickness, d1, d2, share, path, *together)
    for k in range(3):
        part = slice(30 * k, 30 * k + 30)
        place_hits1(
            False, position, u, e1, e2, front[k], front[k] + thickness[k], True, d1[part], d2[part], share[part],
            path[part], *(a[part] for a in one),
        )  # fmt: skip
    assert together == pytest.approx(one, abs=1e-9)


@kernel
def _draw(table: np.ndarray, out: np.ndarray) -> None:
    state = stream(1, 2, 3)
    for i in range(len(out)):
        out[i] = quantile1(knot1(np.float32(uniform(state) * (1.0 - 1e-7))), table, 0)


def test_numbers_drawn_from_a_table_have_its_distribution() -> None:
    table = stats.expon.ppf(np.minimum(KNOTS, 1 - 1e-4)).astype(np.float32)
    drawn = np.empty(20_000)
    _draw(table, drawn)
    tabulated = stats.kstest(drawn, lambda x: np.interp(x, table, KNOTS)).pvalue
    assert tabulated > 0.01
    assert stats.kstest(drawn, stats.expon(scale=1.05).cdf).pvalue < 1e-4  # the test would see 5 %
