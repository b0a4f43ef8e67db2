"""Local frames: axes and their handedness, round trips, and depth along the line in mm and X0."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastparam.errors import OutOfDomainError
from fastparam.geometry.frames import MAX_ANGLE, depth_at, line_crossings, local_frames, to_global, to_local
from fastparam.geometry.load import parse_geometry
from fastparam.particles import Particles

# Materials of round radiation lengths, so that depths can be added up by hand.
MATERIALS = """materials:
  dense: {density: 10.0, mass: {Pb: 1.0}, X0: 5.0}
  light: {density: 1.0, mass: {C: 1.0}, X0: 40.0}
"""

#: 2 X0 of dead material, 10 mm of vacuum, 4 X0 and 1 X0 of active layers that touch.
PLANAR = f"""name: hand
frame: planar
{MATERIALS}
layers:
  - {{name: window, from: 0, to: 10, material: dense}}
  - {{name: front, id: 0, from: 20, to: 40, material: dense}}
  - {{name: rear, id: 1, from: 40, to: 80, material: light}}
"""

BARREL = PLANAR.replace("planar", "barrel").replace("from: 0, to: 10", "from: 10, to: 15")

#: A window of 1 X0, then three periods of 1 X0 (dense) and 0.1 X0 (light, active).
STACK = f"""name: hand
frame: planar
{MATERIALS}
layers:
  - {{name: window, from: -10, to: -5, material: dense}}
  - stack:
      from: 0
      repeat: 3
      first_id: 0
      plates: [{{material: dense, thickness: 5}}, {{material: light, thickness: 4, active: true}}]
"""


def detector(text):
    return parse_geometry(text, Path("hand.yaml"))


planar, barrel, stack = detector(PLANAR), detector(BARREL), detector(STACK)


def particle(*, position=(0.0, 0.0, 0.0), direction=(0.0, 0.0, 1.0)):
    return Particles.build(pdg=22, energy=1000.0, position=position, direction=direction)


def depths(geometry, particles, paths):
    frames = local_frames(geometry, particles)
    return depth_at(frames, geometry.slab_x0, np.atleast_2d(np.asarray(paths, dtype=np.float64)))


coordinate = st.floats(-5000.0, 5000.0)
points = st.lists(st.tuples(coordinate, coordinate, coordinate), min_size=1, max_size=5)
angle = st.floats(-np.pi, np.pi)
barrel_particles = st.builds(
    lambda eta, phi, x, y, z: Particles.gun(pdg=22, energy=1e3, eta=eta, phi=phi, position=(x, y, z)),
    eta=st.floats(-4.0, 4.0),
    phi=angle,
    x=st.floats(-7.0, 7.0),
    y=st.floats(-7.0, 7.0),
    z=st.floats(-300.0, 300.0),
)
planar_particles = st.builds(
    lambda theta, phi, x, y, z: particle(
        position=(x, y, z), direction=(np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta))
    ),
    theta=st.floats(0.0, MAX_ANGLE - 1e-6),
    phi=angle,
    x=coordinate,
    y=coordinate,
    z=st.floats(-1000.0, -0.001),
)
either = st.one_of(st.tuples(st.just(barrel), barrel_particles), st.tuples(st.just(planar), planar_particles))


# Axes


@given(eta=st.floats(-3.0, 3.0), phi=angle)
def test_in_a_barrel_e1_is_growing_eta_and_e2_is_growing_phi(eta, phi):
    def heading(eta, phi):
        return np.array([np.cos(phi), np.sin(phi), np.sinh(eta)]) / np.cosh(eta)

    frames = local_frames(barrel, Particles.gun(pdg=22, energy=1e3, eta=eta, phi=phi))
    step = 1e-5
    for axis, difference in (
        (frames.e1[0], heading(eta + step, phi) - heading(eta - step, phi)),
        (frames.e2[0], heading(eta, phi + step) - heading(eta, phi - step)),
    ):
        np.testing.assert_allclose(axis, difference / np.linalg.norm(difference), atol=1e-8)


@pytest.mark.parametrize(
    ("direction", "e1", "e2"),
    [
        ((0, 0, 1), (1, 0, 0), (0, 1, 0)),
        ((3, 0, 4), (0.8, 0, -0.6), (0, 1, 0)),  # tilted towards x
        ((0, 3, 4), (1, 0, 0), (0, 0.8, -0.6)),  # tilted towards y
    ],
)
def test_in_a_planar_detector_e1_is_x_and_e2_is_y_for_a_straight_line(direction, e1, e2):
    frames = local_frames(planar, particle(direction=direction))
    np.testing.assert_allclose(frames.e1[0], e1, atol=1e-15)
    np.testing.assert_allclose(frames.e2[0], e2, atol=1e-15)


@given(either)
def test_axes_are_orthonormal_and_of_opposite_handedness_in_the_two_frames(case):
    geometry, particles = case
    frames = local_frames(geometry, particles)
    axes = np.stack([frames.e1[0], frames.e2[0], frames.u[0]])
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(axes) == pytest.approx(-1.0 if geometry is barrel else 1.0)


def test_alpha_and_r_of_points_around_a_line():
    # A photon along x in a barrel: z is growing eta (alpha = 0), y is growing phi (alpha = pi/2).
    frames = local_frames(barrel, particle(direction=(1, 0, 0)))
    local = to_local(frames, np.zeros(3, dtype=np.int64), np.array([[1500.0, 0, 3], [1500, 3, 0], [1500, -3, -3]]))
    np.testing.assert_allclose(local[:, 0], 1500.0)
    np.testing.assert_allclose(np.hypot(local[:, 1], local[:, 2]), [3.0, 3.0, 3.0 * np.sqrt(2)])
    np.testing.assert_allclose(np.arctan2(local[:, 2], local[:, 1]), [0.0, np.pi / 2, -0.75 * np.pi])


# Round trips


@given(either, points)
def test_global_to_local_and_back_is_exact(case, xyz):
    geometry, particles = case
    frames = local_frames(geometry, particles)
    shower, xyz = np.zeros(len(xyz), dtype=np.int64), np.array(xyz)
    back = to_global(frames, shower, to_local(frames, shower, xyz))
    scale = np.abs(xyz).max() + np.abs(particles.position).max() + 1.0
    np.testing.assert_allclose(back, xyz, rtol=1e-9, atol=1e-12 * scale)


@given(either, points)
def test_local_to_global_and_back_is_exact(case, local):
    geometry, particles = case
    frames = local_frames(geometry, particles)
    shower, local = np.zeros(len(local), dtype=np.int64), np.array(local)
    back = to_local(frames, shower, to_global(frames, shower, local))
    scale = np.abs(local).max() + np.abs(particles.position).max() + 1.0
    np.testing.assert_allclose(back, local, rtol=1e-9, atol=1e-12 * scale)


@given(either, points)
def test_r_is_the_distance_from_the_line_and_s_the_path_to_its_foot(case, xyz):
    geometry, particles = case
    frames = local_frames(geometry, particles)
    xyz = np.array(xyz)
    s, d1, d2 = to_local(frames, np.zeros(len(xyz), dtype=np.int64), xyz).T
    relative = xyz - particles.position[0]
    np.testing.assert_allclose(
        np.hypot(d1, d2), np.linalg.norm(np.cross(relative, particles.direction[0]), axis=1), rtol=1e-9, atol=1e-8
    )
    np.testing.assert_allclose(s**2 + d1**2 + d2**2, (relative**2).sum(axis=1), rtol=1e-9)


def test_every_shower_has_a_frame_of_its_own():
    particles = Particles.gun(pdg=22, energy=1e3, eta=[0.0, 1.0], phi=[0.0, np.pi / 2])
    frames = local_frames(barrel, particles)
    both = to_local(frames, np.array([1, 0]), 50.0 * particles.direction[[1, 0]])
    np.testing.assert_allclose(both, [[50.0, 0, 0], [50.0, 0, 0]], atol=1e-12)


# Depth


def test_depth_in_mm_starts_at_the_first_declared_slab():
    frames = local_frames(planar, particle(position=(0, 0, -7.0)))
    assert frames.entry == pytest.approx([7.0])
    assert local_frames(barrel, particle(position=(3, 0, 0), direction=(1, 0, 0))).entry == pytest.approx([7.0])
    assert local_frames(barrel, particle(position=(3, 0, 0), direction=(-1, 0, 0))).entry == pytest.approx([13.0])


def test_depth_in_x0_adds_up_dead_material_and_skips_vacuum():
    # Before the window, in it, in the gap behind it, in either layer, beyond everything.
    z = [-1.0, 0.0, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 60.0, 80.0, 500.0]
    expected = [0.0, 0.0, 1.0, 2.0, 2.0, 2.0, 4.0, 6.0, 6.5, 7.0, 7.0]
    np.testing.assert_allclose(depths(planar, particle(position=(0, 0, -3.0)), np.add(z, 3.0))[0], expected)


def test_depth_grows_with_one_over_cosine_at_inclined_incidence():
    inclined = particle(direction=(0, 4, 3))  # cosine 0.6
    z = np.array([5.0, 15.0, 30.0, 60.0])
    np.testing.assert_allclose(depths(planar, inclined, z / 0.6)[0], np.array([1.0, 2.0, 4.0, 6.5]) / 0.6)


def test_depth_grows_with_cosh_eta_in_a_barrel():
    eta = 1.3
    particles = Particles.gun(pdg=22, energy=1e3, eta=eta)
    radius = np.array([12.5, 18.0, 30.0, 60.0])
    expected = np.array([0.5, 1.0, 3.0, 5.5]) * np.cosh(eta)
    np.testing.assert_allclose(depths(barrel, particles, radius * np.cosh(eta))[0], expected)


def test_depth_in_a_stack_is_that_of_its_plates():
    # A window of 1 X0, then 1 X0 and 0.1 X0 per period of 9 mm; z = 22 is 4 mm into the third absorber.
    z = np.array([-10.0, -7.5, -2.0, 0.0, 5.0, 7.0, 9.0, 22.0, 27.0])
    expected = [0.0, 0.5, 1.0, 1.0, 2.0, 2.05, 2.1, 4.0, 4.3]
    np.testing.assert_allclose(depths(stack, particle(position=(0, 0, -10.0)), z + 10.0)[0], expected)


@given(either)
def test_depth_is_the_integral_of_the_declared_materials_along_the_line(case):
    geometry, particles = case
    frames = local_frames(geometry, particles)
    end = float(frames.slab_out[0, -1])
    path = np.linspace(0.0, 1.05 * end, 20_001)
    middle = 0.5 * (path[1:] + path[:-1])
    xyz = particles.position + middle[:, None] * particles.direction
    level = np.hypot(xyz[:, 0], xyz[:, 1]) if geometry is barrel else xyz[:, 2]
    slab = np.searchsorted(geometry.slab_from, level, side="right") - 1
    inside = (slab >= 0) & (level < geometry.slab_to[slab])
    if geometry is barrel:  # declared cylinders are met on the way out only
        inside &= xyz[:, :2] @ particles.direction[0, :2] > 0
    integral = np.concatenate([[0.0], np.cumsum(np.where(inside, np.diff(path) / geometry.slab_x0[slab], 0.0))])
    one_step = np.diff(path)[0] / geometry.slab_x0.min()
    found = depth_at(frames, geometry.slab_x0, path[None, :])[0]
    np.testing.assert_allclose(found, integral, atol=2 * len(geometry.slab_x0) * one_step)


@given(barrel_particles)
def test_lines_from_a_displaced_vertex_cross_cylinders_on_their_way_out(particles):
    surfaces = np.array([15.0, 40.0, 80.0])
    s = line_crossings(barrel, particles, surfaces)
    at = particles.position[0] + s[0, :, None] * particles.direction[0]
    np.testing.assert_allclose(np.hypot(at[:, 0], at[:, 1]), surfaces, rtol=1e-9)
    assert (at[:, :2] @ particles.direction[0, :2] > 0).all()
    assert (np.diff(s[0]) > 0).all()


@given(planar_particles)
def test_lines_cross_planes_whatever_their_shape_in_the_array(particles):
    surfaces = np.array([[0.0, 20.0, 40.0], [10.0, 40.0, 80.0]])
    s = line_crossings(planar, particles, surfaces)
    assert s.shape == (1, 2, 3)
    np.testing.assert_allclose(
        particles.position[0, 2] + s[0] * particles.direction[0, 2], surfaces, rtol=1e-9, atol=1e-9
    )


# Refusals


@pytest.mark.parametrize(
    ("geometry", "position", "direction", "reason"),
    [
        (barrel, (0, 0, 0), (0, 0, 1), "parallel to the axis of the barrel"),
        (barrel, (0, 0, 0), (0.009, 0, 1), "parallel to the axis of the barrel"),
        (barrel, (10.2, 0, 0), (1, 0, 0), r"starts behind the face of the first declared layer \(10 mm\)"),
        (barrel, (10.05, 0, 0), (0, 1, 0.1), "passes the first declared layer by"),
        (planar, (0, 0, 0.2), (0, 0, 1), r"starts behind the face of the first declared layer \(0 mm\)"),
        (planar, (0, 0, 0), (np.sin(1.06), 0, np.cos(1.06)), "larger than 60 degrees"),  # 60.7 degrees
        (planar, (0, 0, 0), (1, 0, 0), "larger than 60 degrees"),
        (planar, (0, 0, 0), (0, 0, -1), "larger than 60 degrees"),
    ],
)
def test_lines_without_a_frame_are_refused_with_row_and_reason(geometry, position, direction, reason):
    good = {"position": (0, 0, 0), "direction": (1, 0, 1) if geometry is barrel else (0, 0, 1)}
    both = Particles.concatenate([particle(**good), particle(position=position, direction=direction)])
    particles = both.with_index([70, 71])  # rows 70 and 71 of a sample
    with pytest.raises(OutOfDomainError, match=rf"^particle 71 \(position .* mm, direction .*: .*{reason}.*\(1 of 2"):
        local_frames(geometry, particles)


@pytest.mark.parametrize(
    ("geometry", "position", "direction"),
    [
        (barrel, (0, 0, 0), (0.011, 0, 1)),
        (barrel, (10.05, 0, 0), (1, 0, 0)),
        (planar, (0, 0, 0.05), (0, 0, 1)),
        (planar, (0, 0, 0), (np.sin(1.04), 0, np.cos(1.04))),  # 59.6 degrees
    ],
)
def test_lines_just_within_the_limits_have_frames(geometry, position, direction):
    frames = local_frames(geometry, particle(position=position, direction=direction))
    assert all(np.isfinite(values).all() for values in astuple(frames))


def test_no_particles_have_no_frames():
    none = particle().take(slice(0, 0))
    for geometry in (barrel, planar):
        frames = local_frames(geometry, none)
        assert len(frames) == 0
        assert depth_at(frames, geometry.slab_x0, np.empty((0, 3))).shape == (0, 3)
