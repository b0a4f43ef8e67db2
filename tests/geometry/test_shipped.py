"""The geometries that ship: found by name, small, and with hits of every energy in even and odd rows."""

import numpy as np
import pytest
import uproot

from fastparam.errors import FastparamError, GeometryError
from fastparam.geometry.load import load_geometry
from fastparam.geometry.materials import BUILTIN
from fastparam.geometry.shipped import find_geometry, find_recipe, shipped_geometries
from fastparam.tunes.recipe import DEFAULT_RECIPE, load_recipe

NAMES = ["fehcal", "lar_accordion", "pbwo4", "siw"]
TREES = {
    "fehcal": ("showers", "energy"),
    "lar_accordion": ("showers", "energy"),
    "pbwo4": ("primaries", "ekin"),
    "siw": ("events", "MC_E"),
}
#: Files and the number of their energies.
HITS = {
    "fehcal": {"pions.root": 7},
    "lar_accordion": {"photons.root": 7, "electrons.root": 7, "pions.root": 6},
    "pbwo4": {"photons.root": 7, "electrons.root": 7},
    "siw": {"photons.root": 7, "electrons.root": 7},
}


def test_the_shipped_geometries_are_found_by_name():
    assert sorted(shipped_geometries()) == NAMES
    assert find_geometry("siw") == shipped_geometries()["siw"]


def test_a_path_wins_over_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "siw").mkdir()
    assert find_geometry("siw") == shipped_geometries()["siw"]
    (tmp_path / "siw" / "geometry.yaml").touch()
    assert find_geometry("siw").resolve() == tmp_path / "siw" / "geometry.yaml"


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(GeometryError, match=r"did you mean 'pbwo4'\?\); shipped: fehcal, lar_accordion, pbwo4, siw"):
        find_geometry("pbw04")
    with pytest.raises(FastparamError, match="no such file, and no shipped recipe"):
        find_recipe("no_such_recipe")


def test_a_recipe_may_lie_beside_the_geometry(tmp_path):
    (tmp_path / "mine.yaml").touch()
    assert find_recipe("mine.yaml", tmp_path) == tmp_path / "mine.yaml"


@pytest.mark.parametrize("name", NAMES)
def test_hits_are_small_and_both_parities_hold_every_energy_of_every_particle(name):
    folder = shipped_geometries()[name].parent
    files = sorted((folder / "hits").iterdir())
    assert sum(path.stat().st_size for path in files) < 4_000_000
    assert {path.name for path in files} == set(HITS[name])
    tree, branch = TREES[name]
    for path in files:
        with uproot.open(path) as file:
            energy = np.round(file[tree][branch].array(library="np"), 3)
        points, counts = np.unique(energy, return_counts=True)
        assert len(points) == HITS[name][path.name]
        for parity in (0, 1):
            assert len(energy[parity::2]) >= 30
            np.testing.assert_array_equal(np.unique(energy[parity::2]), points)
        assert (np.diff(counts) < 0).all()  # low energies have more showers


@pytest.mark.parametrize("name", NAMES)
def test_shipped_geometries_state_all_that_a_copy_with_other_files_needs(name):
    config = load_geometry(name).config
    assert len(config.samples) == 1
    assert config.slices is None
    assert config.binning is not None
    assert config.energy_is == "kinetic"


@pytest.mark.parametrize("name", NAMES)
def test_the_recipe_of_a_shipped_geometry_describes_its_particles(name):
    recipe = load_recipe(load_geometry(name).config.recipe or DEFAULT_RECIPE)
    particles = {"photons.root": 22, "electrons.root": 11, "pions.root": 211}
    assert {particles[file] for file in HITS[name]} & set(recipe.particles)


def test_the_accordion_is_its_period_of_6_66_mm_spread_out():
    # surface masses of a period from thickness (mm) and density (g/cm3), apart from the file
    parts = {"Pb": 1.53 * 11.35, "shell": 0.67 * 5.225, "Cu": 0.105 * 8.96, "kapton": 0.170 * 1.42}
    parts["lAr"] = (6.66 - 2.20 - 0.275) * 1.396
    shell_x0 = 1 / (0.8997 / 13.838 + 0.0602 / 42.697 + 0.0080 / 63.043 + 0.0321 / 34.238)
    x0 = {name: BUILTIN[name].radiation_length_mass for name in ("Pb", "Cu", "kapton", "lAr")} | {"shell": shell_x0}
    radiation_lengths = sum(0.1 * mass / x0[name] for name, mass in parts.items())
    accordion = load_geometry("lar_accordion").slab_x0[-1]
    assert accordion == pytest.approx(6.66 / radiation_lengths, rel=1e-4)


def test_depths_in_front_of_and_in_the_accordion():
    g = load_geometry("lar_accordion")
    depth = np.cumsum((g.slab_to - g.slab_from) / g.slab_x0)
    assert depth[3] == pytest.approx(120 / 88.96 + 115 / 140.0, rel=1e-3)  # aluminium, and 35 + 11 + 69 mm of argon
    assert depth[6] - depth[3] == pytest.approx(23.07, abs=0.02)
    assert g.layer_medium.tolist() == [0, 1, 1, 1]


def test_the_hadron_calorimeter_is_an_rntuple_of_60_planes_seven_interaction_lengths_deep():
    g = load_geometry("fehcal")
    with uproot.open(shipped_geometries()["fehcal"].parent / "hits" / "pions.root") as file:
        assert file.classnames()["showers;1"] == "ROOT::RNTuple"
    np.testing.assert_allclose(g.layer_from, 25.0 * np.arange(60) + 20.0)
    np.testing.assert_allclose(g.layer_to, 25.0 * np.arange(60) + 25.0)
    # Interaction lengths in g/cm2 of the Review of Particle Physics 2024: iron 132.1, polystyrene 77.1.
    active = (g.layer_to - g.layer_from).sum()
    depth = 0.1 * ((1500.0 - active) * 7.874 / 132.1 + active * 1.06 / 77.1)
    assert depth == pytest.approx(7.6, abs=0.05)  # as its README says
