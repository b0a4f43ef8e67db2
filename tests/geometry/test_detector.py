"""The detector that is built from a geometry.yaml: slabs, layers, periods, effective medium, digest."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastparam.geometry.load import parse_geometry
from fastparam.geometry.materials import BUILTIN, SCALE_ENERGY

STACK = """\
name: stack
frame: planar
layers:
  - {name: window, from: -5, to: -2, material: Al}
  - stack:
      from: 0
      repeat: 45
      first_id: 10
      plates:
        - {material: W, thickness: 2.1}
        - {material: Si, thickness: 0.5, active: true}
        - {material: FR4, thickness: 1.0}
  - {name: tail, id: 3, from: 162, to: 200, material: scintillator}
"""


def build(text):
    return parse_geometry(text, Path("toy.yaml"))


def test_a_stack_becomes_its_plates_in_the_order_a_particle_meets_them():
    g = build(STACK)
    assert len(g.slab_from) == 1 + 45 * 3 + 1
    assert g.n_layers == 46
    assert g.layer_ids.tolist() == [*range(10, 55), 3]
    assert g.layer_names[0] == "layer 10"
    assert g.layer_names[-1] == "tail"
    np.testing.assert_allclose(g.layer_from[:45], 3.6 * np.arange(45) + 2.1, rtol=1e-14)
    np.testing.assert_allclose(g.layer_to[:45] - g.layer_from[:45], 0.5, rtol=1e-11)
    np.testing.assert_array_equal(np.flatnonzero(g.slab_layer >= 0), [*range(2, 136, 3), 136])


def test_slabs_grow_and_never_overlap():
    g = build(STACK)
    assert (g.slab_to > g.slab_from).all()
    assert (g.slab_from[1:] >= g.slab_to[:-1]).all()


def test_a_layer_of_a_stack_stands_for_its_whole_period_any_other_for_itself():
    g = build(STACK)
    np.testing.assert_allclose(g.period_from[:45], 3.6 * np.arange(45), rtol=1e-14)
    np.testing.assert_allclose(g.period_to[:45], 3.6 * np.arange(1, 46), rtol=1e-14)
    assert (g.period_from[45], g.period_to[45]) == (162.0, 200.0)
    assert g.layer_medium.tolist() == [0] * 45 + [1]


def test_several_active_plates_share_a_period_without_gap_or_overlap():
    g = build(
        """\
name: double
frame: planar
layers:
  - stack:
      from: 0
      repeat: 2
      plates:
        - {material: W, thickness: 2}
        - {material: Si, thickness: 1, active: true}
        - {material: Cu, thickness: 3}
        - {material: scintillator, thickness: 4, active: true}
        - {material: FR4, thickness: 5}
"""
    )
    assert g.period_from.tolist() == [0, 3, 15, 18]
    assert g.period_to.tolist() == [3, 15, 18, 30]
    assert g.layer_medium.tolist() == [0, 1, 0, 1]


def test_radiation_lengths_are_those_of_the_materials():
    g = build(STACK)
    assert g.slab_x0[0] == BUILTIN["Al"].radiation_length
    assert g.slab_x0[1:4].tolist() == [BUILTIN[name].radiation_length for name in ("W", "Si", "FR4")]


def test_the_effective_medium_reaches_from_the_first_to_the_last_active_period():
    text = STACK.partition("  - {name: tail")[0]
    material = build(text).material
    plates = [(2.1, BUILTIN["W"]), (0.5, BUILTIN["Si"]), (1.0, BUILTIN["FR4"])]
    depth = sum(d / m.radiation_length for d, m in plates)
    assert material.radiation_length == pytest.approx(3.6 / depth, rel=1e-12)
    ec = sum(d / m.radiation_length * m.critical_energy for d, m in plates) / depth
    assert material.critical_energy == pytest.approx(ec, rel=1e-12)
    assert material.moliere_radius == pytest.approx(3.6 / depth * SCALE_ENERGY / ec, rel=1e-12)
    assert isinstance(material.radiation_length, float)
    assert not isinstance(material.radiation_length, np.floating)


def test_undeclared_space_inside_the_calorimeter_is_vacuum():
    text = (
        "name: g\nframe: planar\nlayers: [{id: 0, from: 0, to: 1, material: W}, {id: 1, from: 3, to: 4, material: W}]\n"
    )
    assert build(text).material.radiation_length == pytest.approx(2 * BUILTIN["W"].radiation_length)


def test_ids_become_indices_and_unknown_ids_minus_one():
    g = build(STACK)
    assert g.layer_index([10, 54, 3, 9, 55, -1, 10**6]).tolist() == [0, 44, 45, -1, -1, -1, -1]
    assert g.layer_index(np.array([], dtype=np.int16)).shape == (0,)
    assert g.layer_index([10]).dtype == np.int32


def test_lengths_in_cm_describe_the_same_detector():
    in_mm = "name: b\nframe: barrel\nlayers: [{id: 0, from: 1500, to: 1592, material: lAr}]\n"
    in_cm = in_mm.replace("1500", "150").replace("1592", "159.2") + "units: {length: cm}\n"
    assert build(in_cm).digest == build(in_mm).digest
    assert build(in_cm).layer_to[0] == pytest.approx(1592.0)


def test_materials_of_the_users_own_and_overrides_reach_the_slabs():
    g = build(
        """\
name: own
frame: planar
units: {length: cm, energy: GeV}
materials:
  W: {density: 17.8}
  paste: {density: 2.0, mass: {W: 0.5, glue: 0.5}, X0: 1.5, R_M: 4.0, Ec: 0.020, Z: 40, A: 90}
layers:
  - {id: 0, from: 0, to: 1, material: W}
  - {id: 1, from: 1, to: 2, material: paste}
  - {id: 2, from: 2, to: 3, material: paste, density: 1.0}
"""
    )
    assert g.slab_x0.tolist() == pytest.approx([BUILTIN["W"].radiation_length * 19.3 / 17.8, 15.0, 30.0])
    alone = build(
        "name: own\nframe: planar\nmaterials: {Si: {R_M: 40, Ec: 20, Z: 15, A: 30, X0: 90}}\n"
        "layers: [{id: 0, from: 0, to: 1, material: Si}]\n"
    ).material
    assert (alone.radiation_length, alone.moliere_radius, alone.critical_energy) == pytest.approx((90, 40, 20))
    assert (alone.z, alone.a) == (15, 30)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("from: -5", "from: -6"),
        ("material: Al", "material: Fe"),
        ("first_id: 10", "first_id: 9"),
        ("repeat: 45", "repeat: 44"),
    ],
)
def test_the_digest_changes_with_all_that_changes_what_hits_mean(old, new):
    assert build(STACK.replace(old, new)).digest != build(STACK).digest


def test_the_digest_does_not_depend_on_names_samples_or_recipe():
    other = STACK.replace("name: stack", "name: copy").replace("name: tail", "name: end") + (
        "recipe: gflash\nsamples:\n  - files: a.root\n    tree: t\n"
        "    branches: {pdg: a, energy: b, vx: c, vy: d, vz: e, px: f, py: g, pz: h, x: i, y: j, z: k, e: l}\n"
    )
    assert build(other).digest == build(STACK).digest


@given(st.integers(1, 200), st.lists(st.floats(0.01, 30.0), min_size=1, max_size=5), st.floats(-1000.0, 1000.0))
def test_periods_of_any_stack_tile_it(repeat, thicknesses, start):
    plates = ", ".join(f"{{material: Si, thickness: {d!r}, active: true}}" for d in thicknesses)
    g = build(
        f"name: t\nframe: planar\nlayers:\n  - stack: {{from: {start!r}, repeat: {repeat}, plates: [{plates}]}}\n"
    )
    assert g.n_layers == repeat * len(thicknesses)
    np.testing.assert_allclose(g.period_from[1:], g.period_to[:-1], rtol=0, atol=1e-9)
    assert g.period_to[-1] - g.period_from[0] == pytest.approx(repeat * sum(thicknesses))
    assert (g.slab_from[1:] >= g.slab_to[:-1]).all()
