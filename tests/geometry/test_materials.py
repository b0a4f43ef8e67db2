"""Materials against the Review of Particle Physics, and against vectors computed independently from the formulas."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastparam.geometry.materials import (
    BUILTIN,
    ELEMENTS,
    atoms_to_mass,
    element,
    gflash_critical_energy,
    mixture,
    stack,
)

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "gflash_vectors.json").read_text())
NAMES = {"H_liquid": "lH2", "N_liquid": "lN2", "O_liquid": "lO2", "Ar_liquid": "lAr", "G10_like": "G10"}

# Radiation lengths in g/cm2: Review of Particle Physics 2024, atomic and nuclear properties of materials.
PDG_X0 = {
    "Be": 65.19,
    "B": 52.69,
    "C": 42.70,
    "Al": 24.01,
    "Si": 21.82,
    "Ti": 16.16,
    "Cr": 14.94,
    "Fe": 13.84,
    "Ni": 12.68,
    "Cu": 12.86,
    "Zn": 12.43,
    "Ge": 12.25,
    "Mo": 9.80,
    "Ag": 8.97,
    "Sn": 8.82,
    "Ta": 6.82,
    "W": 6.76,
    "Pt": 6.54,
    "Au": 6.46,
    "Pb": 6.37,
    "U": 6.00,
    "lAr": 19.55,
    "lKr": 11.37,
    "lXe": 8.48,
    "PbWO4": 7.39,
    "BGO": 7.97,
    "BaF2": 9.91,
    "CsI": 8.39,
    "NaI": 9.49,
    "quartz": 27.05,
    "sapphire": 27.94,
    "water": 36.08,
    "air": 36.62,
    "polystyrene": 43.79,
    "scintillator": 43.90,
    "polyethylene": 44.77,
    "PMMA": 40.55,
    "mylar": 39.95,
    "teflon": 34.84,
    "kapton": 40.58,
}


def from_vectors(name):
    entry = VECTORS["materials"][name]
    return mixture({s: (w, element(s)) for s, w in entry["mass_fractions"].items()}, entry["density_g_cm3"])


@pytest.mark.parametrize(("name", "x0"), PDG_X0.items())
def test_radiation_length_is_that_of_the_review_of_particle_physics(name, x0):
    assert BUILTIN[name].radiation_length_mass == pytest.approx(x0, rel=1.5e-3)


@pytest.mark.parametrize("name", VECTORS["materials"])
def test_derived_quantities_equal_the_reference_vectors(name):
    material, paper = from_vectors(name), VECTORS["materials"][name]["paper"]
    assert material.radiation_length_mass == pytest.approx(paper["X0_g_cm2"], rel=1e-7)
    assert material.radiation_length == pytest.approx(10 * paper["X0_cm"], rel=1e-7)
    assert material.critical_energy == pytest.approx(paper["Ec_MeV"], rel=1e-7)
    assert material.moliere_radius == pytest.approx(10 * paper["RM_cm"], rel=1e-7)
    assert material.z == pytest.approx(paper["Zeff"], rel=1e-7)
    assert material.a == pytest.approx(paper["Aeff"], rel=1e-7)


@pytest.mark.parametrize("name", VECTORS["materials"])
def test_named_materials_are_those_of_the_reference_vectors(name):
    builtin, reference = BUILTIN[NAMES.get(name, name)], from_vectors(name)
    assert builtin.radiation_length_mass == pytest.approx(reference.radiation_length_mass, rel=1e-7)
    if name != "PbWO4":  # crystals in use are lighter than the 8.30 of the Review
        assert builtin.density == pytest.approx(reference.density)


@pytest.mark.parametrize(
    ("name", "ec"), [("Al", 42.70), ("Si", 40.19), ("Fe", 21.68), ("Cu", 19.42), ("W", 7.97), ("Pb", 7.43)]
)
def test_critical_energy_is_within_ten_per_cent_of_rossis_definition(name, ec):
    assert BUILTIN[name].critical_energy == pytest.approx(ec, rel=0.10)


def test_critical_energy_takes_the_radiation_length_in_g_cm2():
    lead = BUILTIN["Pb"]
    assert gflash_critical_energy(6.37, 82, 207.2) == pytest.approx(7.355, abs=0.005)
    in_millimetres = gflash_critical_energy(lead.radiation_length, 82, 207.2)
    assert in_millimetres != pytest.approx(lead.critical_energy, rel=0.05)


@pytest.mark.parametrize("name", VECTORS["stacks"])
def test_stacks_equal_the_reference_vectors(name):
    entry = VECTORS["stacks"][name]
    paper = entry["paper"]
    effective = stack(
        [
            (10 * entry["d_passive_cm"], from_vectors(entry["passive"])),
            (10 * entry["d_active_cm"], from_vectors(entry["active"])),
        ]
    )
    assert effective.radiation_length == pytest.approx(10 * paper["X0_eff_cm"], rel=1e-7)
    assert effective.radiation_length_mass == pytest.approx(paper["X0_eff_g_cm2"], rel=1e-7)
    assert effective.critical_energy == pytest.approx(paper["Ec_eff_MeV"], rel=1e-7)
    assert effective.moliere_radius == pytest.approx(10 * paper["RM_eff_cm"], rel=1e-7)
    assert effective.z == pytest.approx(paper["Zeff"], rel=1e-7)
    assert effective.a == pytest.approx(paper["Aeff"], rel=1e-7)
    assert effective.density == pytest.approx(paper["rho_eff_g_cm3"], rel=1e-7)


def test_volume_weights_in_place_of_mass_weights_are_told_apart():
    entry = VECTORS["stacks"]["Pb_LAr"]
    lead, argon = BUILTIN["Pb"], BUILTIN["lAr"]
    wrong_z = (0.2 * lead.z + 0.4 * argon.z) / 0.6
    assert wrong_z != pytest.approx(entry["paper"]["Zeff"], rel=0.1)


def test_vacuum_in_a_stack_dilutes_lengths_and_keeps_the_critical_energy():
    plates = [(2.0, BUILTIN["W"]), (0.5, BUILTIN["Si"])]
    dense, dilute = stack(plates), stack(plates, length=5.0)
    assert dilute.radiation_length == pytest.approx(2 * dense.radiation_length)
    assert dilute.radiation_length_mass == pytest.approx(dense.radiation_length_mass)
    assert dilute.moliere_radius == pytest.approx(2 * dense.moliere_radius)
    assert dilute.critical_energy == pytest.approx(dense.critical_energy)
    declared = stack([*plates, (2.5, BUILTIN["vacuum"])])
    assert declared.radiation_length == pytest.approx(dilute.radiation_length)


@given(st.floats(0.01, 0.99), st.floats(0.1, 20.0))
def test_a_mixture_does_not_depend_on_how_its_elements_are_grouped(lead_fraction, density):
    oxygen, carbon = element("O"), element("C")
    plastic = mixture({"O": (0.3, oxygen), "C": (0.7, carbon)}, 1.2)
    grouped = mixture({"Pb": (lead_fraction, element("Pb")), "p": (1 - lead_fraction, plastic)}, density)
    flat = mixture(
        {
            "Pb": (lead_fraction, element("Pb")),
            "O": (0.3 * (1 - lead_fraction), oxygen),
            "C": (0.7 * (1 - lead_fraction), carbon),
        },
        density,
    )
    assert grouped.radiation_length == pytest.approx(flat.radiation_length)
    assert grouped.critical_energy == pytest.approx(flat.critical_energy)
    assert grouped.mass_fractions == pytest.approx(flat.mass_fractions)
    assert math.fsum(grouped.mass_fractions.values()) == pytest.approx(1.0)


def test_a_stack_of_one_material_is_that_material():
    silicon = BUILTIN["Si"]
    effective = stack([(0.3, silicon), (0.7, silicon)])
    assert effective.radiation_length == pytest.approx(silicon.radiation_length)
    assert effective.moliere_radius == pytest.approx(silicon.moliere_radius)
    assert effective.critical_energy == pytest.approx(silicon.critical_energy)


def test_an_overridden_radiation_length_moves_what_follows_from_it():
    tungsten = BUILTIN["W"]
    changed = tungsten.override(radiation_length=4.0)
    assert changed.radiation_length == 4.0
    assert changed.critical_energy == gflash_critical_energy(0.4 * 19.3, 74.0, 183.84)
    assert changed.moliere_radius == pytest.approx(4.0 * 21.2 / changed.critical_energy)
    assert tungsten.override(moliere_radius=9.0).critical_energy == tungsten.critical_energy
    assert tungsten.override(critical_energy=8.0).moliere_radius == pytest.approx(tungsten.radiation_length * 21.2 / 8)


def test_another_density_scales_lengths_only():
    tungsten = BUILTIN["W"].at_density(17.8)
    assert tungsten.radiation_length_mass == pytest.approx(BUILTIN["W"].radiation_length_mass)
    assert tungsten.radiation_length == pytest.approx(BUILTIN["W"].radiation_length * 19.3 / 17.8)
    assert tungsten.critical_energy == BUILTIN["W"].critical_energy


def test_the_table_holds_the_elements_up_to_uranium_in_order():
    assert [z for z, _, _ in ELEMENTS.values()] == list(range(1, 93))
    assert (ELEMENTS["Sn"][0], ELEMENTS["Gd"][0], ELEMENTS["U"][0]) == (50, 64, 92)
    weights = [a for _, a, _ in ELEMENTS.values()]
    out_of_order = [
        s for s, below, above in zip(list(ELEMENTS)[1:], weights, weights[1:], strict=False) if above < below
    ]
    assert out_of_order == ["K", "Ni", "I", "Pa"]  # the known inversions: Ar/K, Co/Ni, Te/I, Th/Pa


def test_numbers_of_atoms_become_mass_fractions():
    assert atoms_to_mass({"Pb": 1, "W": 1, "O": 4}) == pytest.approx(
        {"Pb": 0.45534699, "W": 0.40401057, "O": 0.14064244}, rel=1e-7
    )


@pytest.mark.parametrize(
    ("name", "tabulated"),
    [
        # Review of Particle Physics 2024, atomic and nuclear properties: minimum ionisation in MeV cm2/g
        ("polystyrene", 1.936), ("Fe", 1.451), ("lAr", 1.508), ("Pb", 1.122), ("Si", 1.664), ("W", 1.145),
        ("Cu", 1.403), ("Al", 1.615), ("PbWO4", 1.229), ("U", 1.081), ("scintillator", 1.956), ("lKr", 1.357),
        ("lXe", 1.255), ("CsI", 1.243), ("BGO", 1.251), ("quartz", 1.699), ("PMMA", 1.929), ("water", 1.992),
        ("lH2", 4.034), ("air", 1.815), ("Ar", 1.519), ("He", 1.937),
    ],
)  # fmt: skip
def test_minimum_ionisation_is_that_of_the_tables_within_two_per_cent(name, tabulated):
    assert BUILTIN[name].minimum_dedx == pytest.approx(tabulated, rel=0.02)


def test_the_density_effect_lowers_the_loss_in_dense_matter():
    """Argon as a liquid and as a gas in the same tables: 1.508 and 1.519."""
    assert BUILTIN["lAr"].minimum_dedx / BUILTIN["Ar"].minimum_dedx == pytest.approx(1.508 / 1.519, abs=2e-3)
