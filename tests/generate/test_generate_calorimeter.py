"""What GFlash is told of a detector: medium, sampling structure, visible fraction, and what it must ask for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fastparam.errors import GeometryError
from fastparam.generate.calorimeter import Calorimeter, calorimeter_of, minimum_ionisation
from fastparam.geometry.load import parse_geometry
from fastparam.geometry.materials import BUILTIN, stack

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "gflash_vectors.json").read_text(encoding="utf-8"))

#: Minimum ionisation in MeV cm2/g, Review of Particle Physics 2024, atomic and nuclear properties of materials.
PDG_MINIMUM = {
    "Al": 1.615, "Si": 1.664, "lAr": 1.508, "Fe": 1.451, "Cu": 1.403, "W": 1.145, "Pb": 1.122, "U": 1.081,
    "polystyrene": 1.936,
}  # fmt: skip


def calorimeter(layers: str, rest: str = "") -> Calorimeter:
    text = f"name: d\nframe: planar\n{rest}layers:\n{layers}"
    return calorimeter_of(parse_geometry(text, Path("d.yaml")))


def stacked(*plates: str) -> str:
    return f"  - stack: {{from: 0, repeat: 20, plates: [{', '.join(plates)}]}}\n"


LEAD, PLASTIC = "{material: Pb, thickness: 2}", "{material: polystyrene, thickness: 4, active: true}"


@pytest.mark.parametrize("name", PDG_MINIMUM)
def test_minimum_ionisation_is_that_of_the_tables(name: str) -> None:
    assert minimum_ionisation(BUILTIN[name]) == pytest.approx(PDG_MINIMUM[name], rel=0.045)


def test_a_block_is_homogeneous_and_shows_everything() -> None:
    block = calorimeter("  - {from: 0, to: 230, id: 0, material: PbWO4}\n")
    assert block.sampling is None
    assert block.plates is None
    assert block.material == BUILTIN["PbWO4"]
    assert block.visible.tolist() == [1.0]


def test_a_stack_has_the_effective_quantities_of_the_paper() -> None:
    lead_plastic = calorimeter(stacked(LEAD, PLASTIC))
    paper = VECTORS["stacks"]["Pb_scint"]["paper"]
    assert lead_plastic.sampling is not None
    assert 1.0 / lead_plastic.sampling.inverse_frequency == pytest.approx(paper["F_S"], rel=1e-3)
    assert lead_plastic.sampling.e_mip == pytest.approx(paper["e_hat"], rel=1e-6)
    assert lead_plastic.material.critical_energy == pytest.approx(paper["Ec_eff_MeV"], rel=1e-3)
    assert lead_plastic.material.moliere_radius == pytest.approx(10 * paper["RM_eff_cm"], rel=1e-3)


def test_defaults_of_a_stack_follow_from_its_plates() -> None:
    lead_plastic = calorimeter(stacked(LEAD, PLASTIC))
    active, passive = 0.4 * 1.06 * 1.936, 0.2 * 11.35 * 1.122  # MeV per plate at minimum ionisation
    share = active / (active + passive)
    e_mip = 1 / (1 + 0.007 * (82 - BUILTIN["polystyrene"].z))
    assert lead_plastic.visible == pytest.approx(np.full(20, share * e_mip), rel=0.04)
    assert lead_plastic.sampling is not None
    assert lead_plastic.sampling.c == pytest.approx(0.027 * np.sqrt(4 / share), rel=0.04)


def test_stock_overrides_the_defaults() -> None:
    told = calorimeter(stacked(LEAD, PLASTIC), "stock: {c: 0.15, visible_fraction: 0.1}\n")
    assert told.sampling is not None
    assert told.sampling.c == 0.15
    assert (told.visible == 0.1).all()


def test_passive_plates_count_as_one_class() -> None:
    steel = "{material: Fe, thickness: 1}"
    together = calorimeter(stacked(LEAD, PLASTIC, steel))
    lumped = stack([(2.0, BUILTIN["Pb"]), (1.0, BUILTIN["Fe"])])
    assert together.sampling is not None
    assert together.sampling.e_mip == pytest.approx(1 / (1 + 0.007 * (lumped.z - BUILTIN["polystyrene"].z)))
    assert together.sampling.inverse_frequency == pytest.approx(7.0 / together.material.radiation_length)


def test_a_mixture_that_samples_is_a_structure_too_fine_to_resolve() -> None:
    layers = "  - {from: 0, to: 400, id: 0, mixture: {Pb: 0.8, lAr: 0.2}, density: 4.0}\n"
    fine = calorimeter(layers, "stock: {c: 0.1, visible_fraction: 0.2}\n")
    assert fine.sampling is not None
    assert (fine.sampling.inverse_frequency, fine.sampling.e_mip, fine.sampling.c) == (0.0, 1.0, 0.1)
    assert fine.visible.tolist() == [0.2]
    assert calorimeter(layers, "stock: {visible_fraction: 1}\n").sampling is None


def test_a_presampler_shows_all_and_does_not_describe_the_calorimeter() -> None:
    layers = (
        "  - {from: 0, to: 10, id: 0, material: lAr}\n"
        "  - {from: 20, to: 400, id: 1, mixture: {Pb: 0.8, lAr: 0.2}, density: 4.0}\n"
    )
    both = calorimeter(layers, "stock: {c: 0.1, visible_fraction: 0.2}\n")
    assert both.visible.tolist() == [1.0, 0.2]
    assert both.material.density == 4.0
    assert both.n_media == 2


@pytest.mark.parametrize(
    ("rest", "missing"),
    [("", "stock.visible_fraction is missing"), ("stock: {visible_fraction: 0.2}\n", "stock.c is missing")],
)
@pytest.mark.parametrize("how", ["mixture: {Pb: 0.8, lAr: 0.2}, density: 4.0", "material: own"])
def test_a_mixture_asks_for_what_only_its_user_knows(rest: str, missing: str, how: str) -> None:
    own = "materials: {own: {density: 4.0, mass: {Pb: 0.8, lAr: 0.2}}}\n"
    with pytest.raises(GeometryError, match=missing) as error:
        calorimeter(f"  - {{name: strips, from: 0, to: 400, id: 0, {how}}}\n", own + rest)
    assert "d.yaml" in str(error.value)
    assert "'strips'" in str(error.value)


def test_several_active_plates_per_period_are_refused() -> None:
    with pytest.raises(GeometryError, match="2 active plates per period"):
        calorimeter(stacked(LEAD, PLASTIC, LEAD, PLASTIC))
