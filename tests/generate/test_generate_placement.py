"""Where spots go: what lies where it is active, what a layer collects from its period, what is lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fastparam.generate.placement import Spots, place
from fastparam.geometry.detector import Geometry
from fastparam.geometry.frames import local_frames
from fastparam.geometry.load import load_geometry, parse_geometry
from fastparam.hits.hits import Hits
from fastparam.particles import Particles

#: Two periods of 2 mm tungsten and 1 mm silicon from z = 10.
STACK = """name: d
frame: planar
layers:
  - stack: {from: 10, repeat: 2, plates: [{material: W, thickness: 2}, {material: Si, thickness: 1, active: true}]}
"""


@pytest.fixture
def stack() -> Geometry:
    return parse_geometry(STACK, Path("d.yaml"))


def placed(
    geometry: Geometry, s: list[float], d1: list[float], rule: str, direction: tuple[float, float, float]
) -> Hits:
    frames = local_frames(geometry, Particles.gun(pdg=11, energy=1000, n=1, direction=direction))
    spots = Spots(np.array(s), np.array(d1), np.zeros(len(s)), np.ones(len(s)), np.array([0, len(s)]))
    lines = (frames.origin, frames.u, frames.e1, frames.e2)
    return place(geometry, spots, lines, rule, np.full(geometry.n_layers, 0.5))  # type: ignore[arg-type]


def test_at_rest_only_active_media_see(stack: Geometry) -> None:
    hits = placed(stack, [5.0, 11.0, 12.4, 13.5, 15.9, 20.0], [0.0] * 6, "at_rest", (0, 0, 1))
    assert hits.z.tolist() == [12.4, 15.9]
    assert hits.layer.tolist() == [0, 1]
    assert hits.e.tolist() == [0.5, 0.5]
    assert hits.offsets.tolist() == [0, 2]


def test_a_layer_collects_its_period_in_proportion_to_its_depth_in_x0(stack: Geometry) -> None:
    x0_w, x0_si = stack.slab_x0[:2]
    hits = placed(stack, [5.0, 10.0, 11.0, 13.0, 14.0, 20.0], [0.0] * 6, "collected", (0, 0, 1))
    half = 12.0 + (1.0 / x0_w) / (2.0 / x0_w + 1.0 / x0_si)
    assert hits.z == pytest.approx([12.0, half, 15.0, 15.0 + half - 12.0])
    assert hits.layer.tolist() == [0, 0, 1, 1]


def test_spots_are_moved_along_the_line_so_their_radius_stays(stack: Geometry) -> None:
    direction = (np.sin(0.4), 0.0, np.cos(0.4))
    hits = placed(stack, [12.0, 15.0], [1.0, -2.0], "collected", direction)
    across = hits.x * direction[2] - hits.z * direction[0]
    assert across == pytest.approx([1.0, -2.0])
    assert ((hits.z >= stack.layer_from[hits.layer]) & (hits.z <= stack.layer_to[hits.layer])).all()


def test_in_a_barrel_radii_decide(tiny_barrel: Path) -> None:
    barrel = load_geometry(tiny_barrel)
    hits = placed(barrel, [1400.0, 1500.5, 1700.0, 2000.0], [0.0] * 4, "at_rest", (1, 0, 0))
    assert hits.x == pytest.approx([1500.5, 1700.0])
    assert hits.layer.tolist() == [0, 1]


def test_spots_without_energy_or_position_leave_no_hit(stack: Geometry) -> None:
    spots = Spots(
        np.array([12.5, 12.5, 12.5]), np.array([0.0, np.nan, 0.0]), np.zeros(3), np.array([0.0, 1.0, 1.0]),
        np.array([0, 2, 2, 3]),
    )  # fmt: skip
    frames = local_frames(stack, Particles.gun(pdg=11, energy=1000, n=3, direction=(0, 0, 1)))
    along = spots.s.copy()
    spots.s[1] = np.nan
    hits = place(stack, spots, (frames.origin, frames.u, frames.e1, frames.e2), "at_rest", np.ones(2))
    assert hits.offsets.tolist() == [0, 0, 0, 1]
    assert hits.z.tolist() == [along[2]]
