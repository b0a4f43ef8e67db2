"""Geant4 11.4.0's GFlash, defects included, against numbers that its own classes returned.

Deterministic values agree within what the vectors' meta.reproduction_max_rel_dev gives (atomic masses differ, and
Geant4 integrates in single precision) plus half of the last digit printed; Monte Carlo values within 3 standard errors.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastparam.errors import FastparamWarning, GeometryError, OutOfDomainError
from fastparam.generate.geant4_gflash import Geant4GFlash, Parameterisation, Settings, transverse_axes
from fastparam.generate.placement import Spots
from fastparam.geometry.detector import Geometry
from fastparam.geometry.load import load_geometry, parse_geometry
from fastparam.geometry.materials import BUILTIN, EffectiveMaterial, mixture
from fastparam.particles import Particles
from fastparam.shapes import fluctuations, gamma_profile, radial_laws

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "gflash_vectors.json").read_text(encoding="utf-8"))
DEVIATION = VECTORS["meta"]["reproduction_max_rel_dev"]["values"]
PRINTED = 5e-8
TAU = np.array(VECTORS["meta"]["tau"], dtype=float)
MEDIA = [(name, i) for name, block in VECTORS["homogeneous"].items() for i in range(len(block["energies"]))]
STACKS = [(name, i) for name, block in VECTORS["sampling"].items() for i in range(len(block["energies"]))]
RUNS = VECTORS["geant4_runs"]["runs"]


def material(name: str) -> EffectiveMaterial:
    entry = VECTORS["materials"][name]
    parts = {symbol: (w, BUILTIN[symbol]) for symbol, w in entry["mass_fractions"].items()}
    return mixture(parts, entry["density_g_cm3"])


def stacked(name: str) -> Parameterisation:
    entry = VECTORS["stacks"][name]
    return Parameterisation.sampling(
        material(entry["passive"]), material(entry["active"]), 10 * entry["d_passive_cm"], 10 * entry["d_active_cm"]
    )


def block(name: str, length_x0: float) -> Geometry:
    """Return a block of a material of the vectors, `length_x0` radiation lengths deep."""
    medium = material(name)
    text = (
        "name: block\nframe: planar\n"
        f"materials: {{m: {{density: {medium.density}, mass: {dict(medium.mass_fractions)}}}}}\n"
        f"layers:\n  - {{from: 0, to: {length_x0 * medium.radiation_length}, id: 0, material: m}}\n"
        "stock: {visible_fraction: 1}\n"
    )
    return parse_geometry(text, Path("block.yaml"))


def agrees(value: Any, vector: Any, key: str) -> None:
    np.testing.assert_allclose(value, vector, rtol=DEVIATION[key] + PRINTED, err_msg=key)


@pytest.mark.parametrize("name", VECTORS["materials"])
def test_media_with_x0_in_mm(name: str) -> None:
    held, geant4 = Parameterisation.homogeneous(material(name)), VECTORS["materials"][name]["geant4"]
    agrees(held.radiation_length, 10 * geant4["X0_cm"], "X0")
    agrees(held.critical_energy, geant4["Ec_MeV"], "Ec_mm")
    agrees(held.moliere_radius, 10 * geant4["RM_cm"], "RM_mm")


@pytest.mark.parametrize("name", VECTORS["stacks"])
def test_stacks_with_mass_weights_on_lengths(name: str) -> None:
    held, geant4 = stacked(name), VECTORS["stacks"][name]["geant4"]
    agrees(held.radiation_length, 10 * geant4["X0_eff_cm"], "stack_X0")
    agrees(held.critical_energy, geant4["Ec_eff_MeV"], "stack_Ec")
    agrees(held.moliere_radius, 10 * geant4["RM_eff_cm"], "stack_RM")
    agrees(held.f_s, geant4["F_S"], "stack_FS")
    agrees(held.e_mip, geant4["e_hat"], "stack_ehat")


def cdf(t: list[float], maximum: float, alpha: float) -> np.ndarray:
    return gamma_profile.cdf(t, alpha, gamma_profile.rate(maximum, alpha))


@pytest.mark.parametrize(("name", "i"), MEDIA)
def test_laws_of_the_homogeneous_class(name: str, i: int) -> None:
    entry, held = VECTORS["homogeneous"][name]["energies"][i], Parameterisation.homogeneous(material(name))
    geant4, energy = entry["geant4"], [1000.0 * entry["E_GeV"]]
    law = held.laws(energy).deposit
    for value, key in zip(law, ("mean_lnT", "mean_lnalpha", "sigma_lnT", "sigma_lnalpha", "rho"), strict=True):
        agrees(value[0], geant4[key], f"hom_{key}")
    agrees(held.n_spots(energy)[0], geant4["N_spot"], "hom_N")
    maximum, alpha = np.exp(law.mean_ln_t[0]), np.exp(law.mean_ln_alpha[0])
    t = VECTORS["homogeneous"][name]["cdf_t"]
    # A relative deviation in ln T is one of ln T times as much in T.
    slack = DEVIATION["hom_mean_lnT"] * abs(law.mean_ln_t[0])
    np.testing.assert_allclose(cdf(t, maximum, alpha), geant4["long_cdf"], rtol=3 * slack + 2e-7)
    factors = held.spot_factors()
    np.testing.assert_allclose(
        [maximum * factors[0], alpha * factors[1]], [geant4["T_spot"], geant4["alpha_spot"]], rtol=1e-5
    )
    np.testing.assert_allclose(cdf(t, maximum * factors[0], alpha * factors[1]), geant4["spot_cdf"], rtol=1e-5)
    assert fluctuations.age(10.0, maximum, alpha, law.mean_ln_alpha[0]) == pytest.approx(geant4["tau_at_t10"], rel=1e-5)
    rc, rt, p = radial_laws.evaluate(TAU, held.radial(energy))
    for value, key, column in ((rc, "hom_RC", 0), (rt, "hom_RT", 1), (p, "hom_p", 2)):
        agrees(value, [row[column] for row in geant4["radial"]], key)


@pytest.mark.parametrize(("name", "i"), STACKS)
def test_laws_of_the_sampling_class(name: str, i: int) -> None:
    entry, held = VECTORS["sampling"][name]["energies"][i], stacked(name)
    geant4, energy = entry["geant4"], [1000.0 * entry["E_GeV"]]
    deposit, age = held.laws(energy)
    agrees(deposit.mean_ln_t[0], geant4["mean_lnT_hom"], "sam_mean_lnT_hom")
    agrees(deposit.mean_ln_alpha[0], geant4["mean_lnalpha_hom"], "sam_mean_lnalpha_hom")
    agrees(deposit.sigma_ln_t[0], geant4["sigma_lnT_hom"], "sam_sigma_lnT_hom_as_sam")
    agrees(deposit.sigma_ln_alpha[0], geant4["sigma_lnalpha_hom"], "sam_sigma_lnalpha_hom")
    agrees(deposit.rho[0], geant4["rho_hom"], "sam_rho_hom")
    for value, key in zip(age, ("mean_lnT", "mean_lnalpha", "sigma_lnT", "sigma_lnalpha", "rho"), strict=True):
        agrees(value[0], geant4[f"{key}_sam"], f"sam_{key}_sam")
    agrees(held.n_spots(energy)[0], geant4["N_spot"], "sam_N")
    maximum, alpha = np.exp(deposit.mean_ln_t[0]), np.exp(deposit.mean_ln_alpha[0])
    t = VECTORS["sampling"][name]["cdf_t"]
    agrees(cdf(t, maximum, alpha), geant4["long_cdf"], "sam_cdf_uses_HOM")
    factors = held.spot_factors()
    agrees(maximum * factors[0], geant4["T_spot"], "sam_Tspot_hom")
    agrees(alpha * factors[1], geant4["alpha_spot"], "sam_aspot_hom")
    rc, rt, p = radial_laws.evaluate(TAU, held.radial(energy))
    for value, key, column in ((rc, "sam_RC", 0), (rt, "sam_RT", 1), (p, "sam_p", 2)):
        agrees(value, [row[column] for row in geant4["radial"]], key)
    assert held.contained_depth(energy)[0] == pytest.approx(10 * geant4["GetAveT90_cm"], rel=1e-4)


def test_swapped_plates_invert_e_over_mip() -> None:
    swapped = Parameterisation.sampling(material("Ar_liquid"), material("Pb"), 4.0, 2.0)
    assert swapped.e_mip == pytest.approx(VECTORS["stacks"]["Pb_LAr"]["geant4_with_materials_swapped"]["e_hat"])


def test_the_published_medium_is_not_geant4s() -> None:
    """Control: with correct units the vectors are missed by far more than the tolerance."""
    assert Parameterisation.homogeneous(BUILTIN["PbWO4"]).critical_energy > 1.2 * BUILTIN["PbWO4"].critical_energy


N_DRAWS = 200_000


def check_moments(profile: np.ndarray, mc: dict[str, float], keys: tuple[str, str, str, str]) -> None:
    ln_t, ln_alpha = np.log(profile).T
    for values, mean, sd in ((ln_t, keys[0], keys[1]), (ln_alpha, keys[2], keys[3])):
        sigma = values.std() * np.sqrt(2 / N_DRAWS)  # both samples have this size
        assert values.mean() == pytest.approx(mc[mean], abs=3 * sigma)
        assert values.std() == pytest.approx(mc[sd], abs=3 * sigma / np.sqrt(2))


@pytest.mark.slow
@pytest.mark.parametrize("name", VECTORS["homogeneous"])
def test_drawn_profiles_of_the_homogeneous_class(name: str) -> None:
    generator = Geant4GFlash(block(name, 30))
    profile = generator.profiles(np.full(N_DRAWS, 20_000.0), np.arange(N_DRAWS), 3)
    mc = VECTORS["homogeneous"][name]["geant4_mc20GeV"]
    check_moments(profile[:, :2], mc, ("mean_lnT", "sd_lnT", "mean_lnalpha", "sd_lnalpha"))
    rho = np.corrcoef(np.log(profile[:, 0]), np.log(profile[:, 1]))[0, 1]
    assert rho == pytest.approx(mc["rho"], abs=3 * (1 - rho**2) * np.sqrt(2 / N_DRAWS))


@pytest.mark.slow
@pytest.mark.parametrize("name", VECTORS["homogeneous"])
@pytest.mark.parametrize("energy", ["0.3", "1"])
def test_share_of_profiles_that_never_grow(name: str, energy: str) -> None:
    profile = Geant4GFlash(block(name, 30)).profiles(np.full(N_DRAWS, 1000 * float(energy)), np.arange(N_DRAWS), 4)
    expected = VECTORS["homogeneous"][name]["geant4_frac_alpha_le_1"][energy]
    share = np.mean(~(profile[:, 1] > 1))
    assert share == pytest.approx(expected, abs=3 * np.sqrt(2 * expected * (1 - expected) / N_DRAWS) + 1 / N_DRAWS)


@pytest.mark.slow
@pytest.mark.parametrize("name", VECTORS["stacks"])
def test_drawn_profiles_of_the_sampling_class(name: str) -> None:
    entry = VECTORS["stacks"][name]
    active = {"polystyrene": "polystyrene", "Ar_liquid": "lAr"}[entry["active"]]
    plates = f"[{{material: Pb, thickness: 2}}, {{material: {active}, thickness: 4, active: true}}]"
    text = f"name: s\nframe: planar\nlayers:\n  - stack: {{from: 0, repeat: 80, plates: {plates}}}\n"
    generator = Geant4GFlash(parse_geometry(text, Path("s.yaml")))
    profile = generator.profiles(np.full(N_DRAWS, 20_000.0), np.arange(N_DRAWS), 5)
    mc = entry["geant4_mc20GeV"]
    check_moments(profile[:, 2:], mc, ("mean_lnT", "sd_lnT", "mean_lnalpha", "sd_lnalpha"))
    check_moments(profile[:, :2], mc, ("mean_lnTh", "sd_lnTh", "mean_lnah", "sd_lnah"))


#: Runs of the whole model on a block along z: material, energy in GeV, settings, length in X0.
ALONG_Z = {
    "A011_default": ("PbWO4", 0.11, Settings(), 60),
    "A03_default": ("PbWO4", 0.3, Settings(), 60),
    "A03_ekill0": ("PbWO4", 0.3, Settings(energy_to_kill=0.0), 60),
    "A1_default": ("PbWO4", 1.0, Settings(), 60),
    "A1_ekill0": ("PbWO4", 1.0, Settings(energy_to_kill=0.0), 60),
    "A10_default": ("PbWO4", 10.0, Settings(), 60),
    "A10_ekill0": ("PbWO4", 10.0, Settings(energy_to_kill=0.0), 60),
    "C_thin": ("PbWO4", 10.0, Settings(energy_to_kill=0.0, containment=False), 10),
    "D_Si1": ("Si", 1.0, Settings(), 60),
}


#: Half of the sides of the blocks, which the vectors do not tell, in Moliere radii. Only showers that never grow care:
#: their age is negative, so that their spots, without energy, leave any block somewhere on their way.
HALF_SIDE = 2000.0


def numbers_inside(spots: Spots, moliere: float) -> np.ndarray:
    """Return the spots of each shower inside the block, without energy or not, as Geant4 counts them."""
    inside = np.maximum(np.abs(spots.d1), np.abs(spots.d2)) < HALF_SIDE * moliere
    return np.add.reduceat(inside.astype(float), spots.offsets[:-1])


@pytest.mark.slow
@pytest.mark.parametrize("run", ALONG_Z)
def test_runs_of_the_whole_model(run: str) -> None:
    name, energy, settings, length = ALONG_Z[run]
    expected, n = RUNS[run], 3000 if energy < 5 else 800
    generator = Geant4GFlash(block(name, length), settings)
    held = generator.parameterisation
    particles = Particles.gun(pdg=11, energy=1000 * energy, direction=(0, 0, 1), n=n)
    generator.check(particles)
    spots = generator.spots(particles.energy, np.full(n, length * held.radiation_length), particles.index, 6)
    shower = np.repeat(np.arange(n), np.diff(spots.offsets))
    total = np.bincount(shower, spots.e, n)
    share = total / particles.energy
    t = spots.s / held.radiation_length
    r = np.hypot(spots.d1, spots.d2) / held.moliere_radius
    error = np.sqrt(1 / n + 1 / expected["events"])

    numbers = numbers_inside(spots, held.moliere_radius)
    # Where a shower ends that nothing kills hangs on rounding in single precision: 1 X0 of its last 50 at most.
    slack = 0.1 if settings.energy_to_kill else 10.0
    assert numbers.mean() == pytest.approx(expected["spots_per_event"], abs=3 * numbers.std() * error + slack)
    assert share.mean() == pytest.approx(expected["mean_SD"], abs=3 * share.std() * error + 3e-4)
    empty = np.mean(total <= 0)
    assert empty == pytest.approx(
        expected["events_without_energy"] / expected["events"], abs=3 * np.sqrt(empty) * error + 1e-9
    )

    mean = np.average(t, weights=spots.e)
    # A pooled mean moves with the showers' own: linear in each shower's weighted deviation.
    influence = np.bincount(shower, spots.e * (t - mean), n) / total.mean()
    assert mean == pytest.approx(expected["mean_t_X0"], abs=3 * influence.std() * error)
    variance = np.average((t - mean) ** 2, weights=spots.e)
    influence = np.bincount(shower, spots.e * ((t - mean) ** 2 - variance), n) / total.mean()
    rms = np.sqrt(variance)
    assert rms == pytest.approx(expected["rms_t_X0"], abs=3 * influence.std() * error / (2 * rms))

    order = np.argsort(r)
    inside = np.cumsum(spots.e[order]) / spots.e.sum()
    for q, key in ((0.5, "r50_RM"), (0.9, "r90_RM")):
        radius = r[order][np.searchsorted(inside, q)]
        within = np.bincount(shower, spots.e * ((r <= radius) - q), n) / total.mean()
        low, high = (r[order][np.searchsorted(inside, q + sign * within.std() * error)] for sign in (-3, 3))
        assert low <= expected[key] <= high, (key, low, high)


@pytest.mark.slow
def test_sampling_class_in_one_block() -> None:
    """Run E: lead and argon plates described to it, everything sensitive, c = 0.11 in the wrong unit."""
    generator = Geant4GFlash(load_geometry("pbwo4"), Settings(energy_to_kill=0.0))
    generator.parameterisation = held = stacked("Pb_LAr")
    expected, n = RUNS["E_samp20"], 400
    energy = np.full(n, 20_000.0)
    spots = generator.spots(energy, np.full(n, 60 * held.radiation_length), np.arange(n), 7)
    shower = np.repeat(np.arange(n), np.diff(spots.offsets))
    share = np.bincount(shower, spots.e, n) / energy
    error = np.sqrt(1 / n + 1 / expected["events"])
    numbers = numbers_inside(spots, held.moliere_radius)
    assert numbers.mean() == pytest.approx(expected["spots_per_event"], abs=3 * numbers.std() * error + 10)
    assert share.mean() == pytest.approx(1.0, abs=3 * share.std() / np.sqrt(n))
    assert share.std() == pytest.approx(expected["sd_SD"], rel=3 * error / np.sqrt(2))
    depth = np.bincount(shower, spots.e * spots.s, n) / share / energy / held.radiation_length
    assert depth.mean() == pytest.approx(expected["mean_t_X0"], abs=3 * depth.std() * error)


@pytest.mark.parametrize("name", VECTORS["stacks"])
def test_sampling_fluctuation_of_1_gev_in_the_wrong_unit(name: str) -> None:
    spread = VECTORS["stacks"][name]["geant4_ApplySampling_1GeV"]["sd_MeV"]
    assert spread == pytest.approx(0.11 * np.sqrt(1000.0), rel=0.01)  # sqrt(c**2 E) in MeV, not in GeV


def test_what_cannot_be_profiled_is_an_empty_shower() -> None:
    """Run D: 0.3 GeV in silicon has y below 2.25, one spot at NaN, and no energy anywhere."""
    generator = Geant4GFlash(block("Si", 60), Settings(containment=False))
    particles = Particles.gun(pdg=11, energy=300, direction=(0, 0, 1), n=50)
    assert RUNS["D_Si03"]["mean_SD"] == 0
    assert generator.hits(particles, 1).offsets.tolist() == [0] * 51


@pytest.mark.slow
def test_radii_shrink_with_the_axes_off_the_coordinate_axes() -> None:
    along, diagonal = RUNS["B_axis"], RUNS["B_111"]
    first, second = transverse_axes(np.array([[0.0, 0.0, 1.0], [3**-0.5] * 3, [0.0, 0.6, 0.8]]))
    length = np.linalg.norm(first, axis=1)
    assert length == pytest.approx([1.0, np.sqrt(2 / 3), 1.0])
    assert np.linalg.norm(second, axis=1) == pytest.approx(length)
    assert np.einsum("ij,ij->i", first, second) == pytest.approx(np.zeros(3), abs=1e-15)
    assert diagonal["r50_RM"] / along["r50_RM"] == pytest.approx(length[1], rel=0.02)

    generator = Geant4GFlash(block("PbWO4", 60), Settings(containment=False))
    directions = np.repeat([[0.0, 0.0, 1.0], [1.0, 1.0, 1.0]], 200, axis=0)
    particles = Particles.build(pdg=11, energy=10_000, position=(0, 0, 0), direction=directions)
    hits = generator.hits(particles, 2)
    xyz = np.column_stack([hits.x, hits.y, hits.z])
    u = particles.direction[hits.shower]
    r = np.linalg.norm(xyz - np.einsum("ij,ij->i", xyz, u)[:, None] * u, axis=1)
    middle = hits.offsets[200]
    assert np.median(r[middle:]) / np.median(r[:middle]) == pytest.approx(length[1], rel=0.03)


def test_showers_that_do_not_fit_are_not_parametrised() -> None:
    """Run C: 10 X0 are too few for 10 GeV; Geant4 never triggers there."""
    particles = Particles.gun(pdg=11, energy=[1000, 10_000], direction=(0, 0, 1))
    with pytest.raises(OutOfDomainError, match="particle 1: with 10000 MeV its shower does not fit"):
        Geant4GFlash(block("PbWO4", 12)).check(particles)
    Geant4GFlash(block("PbWO4", 12), Settings(containment=False)).check(particles)


@pytest.mark.slow
def test_visible_energy_in_a_stack_is_the_share_of_volume() -> None:
    generator = Geant4GFlash(load_geometry("siw"))
    particles = Particles.gun(pdg=11, energy=8000, direction=(0, 0, 1), n=200)
    hits = generator.hits(particles, 1)
    visible = np.add.reduceat(hits.e, hits.offsets[:-1]) / 8000
    assert visible.mean() == pytest.approx(0.5 / 3.6, abs=5e-4 + 3 * visible.std() / np.sqrt(200))


def test_the_passive_plate_with_most_x0_is_the_one_described() -> None:
    held = Geant4GFlash(load_geometry("siw")).parameterisation
    assert held == Parameterisation.sampling(BUILTIN["W"], BUILTIN["Si"], 2.1, 0.5)


def test_media_that_geant4_has_no_class_for(tiny_barrel: Path) -> None:
    text = (
        "name: d\nframe: planar\nlayers:\n"
        "  - {from: 0, to: 9, id: 0, material: lAr}\n  - {from: 9, to: 300, id: 1, material: PbWO4}\n"
    )
    with pytest.raises(GeometryError, match="2 different media"):
        Geant4GFlash(parse_geometry(text, Path("d.yaml")))
    told = tiny_barrel.read_text() + "stock: {c: 0.1, visible_fraction: 0.2}\n"
    with pytest.warns(FastparamWarning, match=r"0\.67 X0 are declared in front"):
        Geant4GFlash(parse_geometry(told, tiny_barrel))
