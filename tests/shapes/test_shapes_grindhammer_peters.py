"""Every Grindhammer-Peters formula against reference values: modules homogeneous, sampling, radial_laws and spots.

The "paper" values of gflash_vectors.json come from an independent program with correct units, printed to 8 digits. Its
"geant4" values were read from Geant4 11.4.0; the laws reproduce them from Geant4's own y with Geant4's one deviating
constant, to the precision noted there.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from fastparam.errors import OutOfDomainError
from fastparam.random import stream
from fastparam.shapes import fluctuations, gamma_profile, homogeneous, radial, radial_laws, sampling, spots

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "gflash_vectors.json").read_text(encoding="utf-8"))
TAU = np.array(VECTORS["meta"]["tau"], dtype=float)
PAPER = 1e-7
MEDIA = [(name, i) for name, block in VECTORS["homogeneous"].items() for i in range(len(block["energies"]))]
STACKS = [(name, i) for name, block in VECTORS["sampling"].items() for i in range(len(block["energies"]))]


def medium(name: str, i: int) -> tuple[dict[str, Any], float, float, dict[str, Any]]:
    """Values, energy in MeV, Z, and the block of one homogeneous entry."""
    block = VECTORS["homogeneous"][name]
    entry = block["energies"][i]
    return entry, 1000.0 * entry["E_GeV"], VECTORS["materials"][name]["paper"]["Zeff"], block


def stack(name: str, i: int) -> tuple[dict[str, Any], float, dict[str, Any], dict[str, Any]]:
    """Values, energy in MeV, effective quantities, and the block of one sampling entry."""
    block = VECTORS["sampling"][name]
    entry = block["energies"][i]
    return entry, 1000.0 * entry["E_GeV"], VECTORS["stacks"][name], block


def cumulative(t: list[float], maximum: float, alpha: float) -> np.ndarray:
    return gamma_profile.cdf(t, alpha, gamma_profile.rate(maximum, alpha))


def check_radial_at_maximum(paper: dict[str, Any], r: list[float], coefficients: Any) -> None:
    rc, rt, p = radial_laws.evaluate(1.0, coefficients)
    law = (np.clip(p, 0, 1), rc, rt)
    np.testing.assert_allclose(radial.cdf(r, *law), paper["radial_cdf_tau1"], rtol=PAPER)
    assert radial.ppf(0.5, *law) == pytest.approx(paper["median_r_tau1_RM"], rel=PAPER)
    assert radial.ppf(0.9, *law) == pytest.approx(paper["q90_r_tau1_RM"], rel=PAPER)


@pytest.mark.parametrize(("name", "i"), MEDIA)
def test_homogeneous_media_have_the_paper_values(name: str, i: int) -> None:
    entry, energy, z, block = medium(name, i)
    paper = entry["paper"]
    maximum, alpha = homogeneous.average(paper["y"], z)
    law = homogeneous.fluctuating(paper["y"], z)
    central = float(np.exp(law.mean_ln_t)), float(np.exp(law.mean_ln_alpha))
    spot = spots.homogeneous(energy, z, *central)
    for value, key in (
        (maximum, "T_hom_avg"),
        (alpha, "alpha_hom_avg"),
        (law.mean_ln_t, "mean_lnT_hom"),
        (law.mean_ln_alpha, "mean_lnalpha_hom"),
        (law.sigma_ln_t, "sigma_lnT_hom"),
        (law.sigma_ln_alpha, "sigma_lnalpha_hom"),
        (law.rho, "rho_hom"),
        (spot.number, "N_spot"),
        (spot.maximum, "T_spot"),
        (spot.alpha, "alpha_spot"),
        (fluctuations.age(10.0, *central, law.mean_ln_alpha), "tau_at_t10"),
    ):
        assert value == pytest.approx(paper[key], rel=PAPER), key
    np.testing.assert_allclose(cumulative(block["cdf_t"], *central), paper["long_cdf"], rtol=PAPER)
    spot_profile = cumulative(block["cdf_t"], float(spot.maximum), float(spot.alpha))
    np.testing.assert_allclose(spot_profile, paper["spot_cdf"], rtol=PAPER)
    coefficients = radial_laws.homogeneous_coefficients(energy, z)
    np.testing.assert_allclose(np.transpose(radial_laws.evaluate(TAU, coefficients)), paper["radial"], rtol=PAPER)
    check_radial_at_maximum(paper, block["radial_cdf_r"], coefficients)


@pytest.mark.parametrize(("name", "i"), STACKS)
def test_sampling_calorimeters_have_the_paper_values(name: str, i: int) -> None:
    entry, energy, effective, block = stack(name, i)
    paper = entry["paper"]
    z, e_mip, f_s = (effective["paper"][key] for key in ("Zeff", "e_hat", "F_S"))
    maximum, alpha = sampling.average(paper["y"], z, e_mip, f_s)
    medium_law = homogeneous.fluctuating(paper["y"], z)
    law = sampling.fluctuating(paper["y"], z, e_mip, f_s)
    central = float(np.exp(law.mean_ln_t)), float(np.exp(law.mean_ln_alpha))
    spot = spots.sampling(energy, z, 0.11, *central)
    for value, key in (
        (maximum, "T_sam_avg"),
        (alpha, "alpha_sam_avg"),
        (medium_law.mean_ln_t, "mean_lnT_hom"),
        (medium_law.sigma_ln_alpha, "sigma_lnalpha_hom"),
        (law.mean_ln_t, "mean_lnT_sam"),
        (law.mean_ln_alpha, "mean_lnalpha_sam"),
        (law.sigma_ln_t, "sigma_lnT_sam"),
        (law.sigma_ln_alpha, "sigma_lnalpha_sam"),
        (law.rho, "rho_sam"),
        (spot.number, "N_spot_c0.11"),
        (spot.maximum, "T_spot"),
        (spot.alpha, "alpha_spot"),
    ):
        assert value == pytest.approx(paper[key], rel=PAPER), key
    np.testing.assert_allclose(cumulative(block["cdf_t"], *central), paper["long_cdf"], rtol=PAPER)
    spot_profile = cumulative(block["cdf_t"], float(spot.maximum), float(spot.alpha))
    np.testing.assert_allclose(spot_profile, paper["spot_cdf"], rtol=PAPER)
    of_medium = radial_laws.evaluate(TAU, radial_laws.homogeneous_coefficients(energy, z))
    np.testing.assert_allclose(np.transpose(of_medium), paper["radial_hom"], rtol=PAPER)
    coefficients = radial_laws.sampling_coefficients(energy, z, e_mip, f_s)
    np.testing.assert_allclose(np.transpose(radial_laws.evaluate(TAU, coefficients)), paper["radial_sam"], rtol=PAPER)
    check_radial_at_maximum(paper, block["radial_cdf_r"], coefficients)


@pytest.mark.parametrize("name", list(VECTORS["stacks"]))
def test_e_over_mip_and_sampling_frequency(name: str) -> None:
    entry = VECTORS["stacks"][name]
    z_passive, z_active = (VECTORS["materials"][entry[part]]["paper"]["Zeff"] for part in ("passive", "active"))
    assert sampling.e_over_mip(z_passive, z_active) == pytest.approx(entry["paper"]["e_hat"], rel=PAPER)
    f_s = sampling.sampling_frequency(entry["paper"]["X0_eff_cm"], entry["d_active_cm"], entry["d_passive_cm"])
    assert f_s == pytest.approx(entry["paper"]["F_S"], rel=PAPER)


@pytest.mark.parametrize(("name", "i"), MEDIA)
def test_geant4_differs_by_constants_only(name: str, i: int) -> None:
    entry, energy, z, _ = medium(name, i)
    geant4 = entry["geant4"]
    law = homogeneous.fluctuating(geant4["y"], z)
    assert law.mean_ln_t == pytest.approx(geant4["mean_lnT"], rel=5e-6)
    assert law.mean_ln_alpha == pytest.approx(geant4["mean_lnalpha"], rel=1e-6)
    assert law.sigma_ln_t == pytest.approx(geant4["sigma_lnT"], rel=1e-6)
    assert law.rho == pytest.approx(geant4["rho"], rel=1e-6)
    exchanged_digits = replace(radial_laws.MEDIUM, rt6=0.0412)
    values = radial_laws.evaluate(TAU, radial_laws.homogeneous_coefficients(energy, z, exchanged_digits))
    np.testing.assert_allclose(np.transpose(values), geant4["radial"], rtol=1e-6)


def test_laws_broadcast_and_join_one_table_for_kernels() -> None:
    energy, z = np.array([[1e3], [1e4]]), np.array([30.0, 60.0, 80.0])
    law = homogeneous.fluctuating(energy / 10, z)
    assert all(v.shape == (2, 3) for v in law)
    table = radial_laws.sampling_coefficients(energy, z, 0.7, 2.5).table()
    assert table.shape == (2, 3, 15)
    single = radial_laws.sampling_coefficients(1e4, 60.0, 0.7, 2.5)
    expected = [float(v) for v in radial_laws.evaluate(1.7, single)]
    assert radial_laws.radial_laws1(1.7, table[1, 1]) == pytest.approx(expected, rel=1e-14)


def test_core_weight_peaks_at_p2_with_p1_over_e() -> None:
    tau = np.linspace(0, 3, 3001)
    values = [radial_laws.core_weight1(t, 2.6, 0.45, 1.2) for t in tau]
    assert tau[np.argmax(values)] == pytest.approx(0.45)
    assert max(values) == pytest.approx(2.6 / np.e)


def test_fine_sampling_with_a_heavy_absorber_passes_a_core_weight_of_one() -> None:
    # Lead and scintillator, F_S = 10: 1.05 near tau = 0.5. Returned as it is, never clipped silently.
    _, _, p = radial_laws.evaluate(0.5, radial_laws.sampling_coefficients(1e3, 70.0, 0.65, 10.0))
    assert p == pytest.approx(1.05, abs=0.005)


def test_spots_have_the_published_numbers() -> None:
    # N of PbWO4 and of c = 0.11 at 1, 5, 20, 100 GeV.
    energy = np.array([1e3, 5e3, 2e4, 1e5])
    np.testing.assert_allclose(spots.homogeneous(energy, 68.36, 6.0, 4.0).number, [393, 1609, 5420, 22197], rtol=2e-3)
    np.testing.assert_allclose(spots.sampling(energy, 70.0, 0.11, 6.0, 4.0).number, [94, 438, 1656, 7753], rtol=5e-3)


def test_visible_energy_fluctuates_additively() -> None:
    # Mean dE, variance c^2 dE in GeV; ten slices of 0.1 GeV fluctuate like one of 1 GeV.
    whole = sampling.visible_energy_rvs(stream(1, 0, 0), 50_000, 1000.0, 0.11)
    sliced = sampling.visible_energy_rvs(stream(2, 0, 0), (50_000, 10), 100.0, 0.11).sum(axis=1)
    law = stats.gamma(1 / 0.11**2, scale=1000 * 0.11**2)
    assert law.mean() == pytest.approx(1000.0)
    assert law.std() == pytest.approx(110.0)
    assert stats.kstest(whole, law.cdf).pvalue > 1e-3
    assert stats.kstest(sliced, law.cdf).pvalue > 1e-3


def test_compiled_equals_python() -> None:
    row = radial_laws.sampling_coefficients(2e4, 70.0, 0.65, 2.7).table()
    for function, arguments in (
        (radial_laws.core_radius1, (0.7, 0.03, 0.1)),
        (radial_laws.tail_radius1, (0.7, 0.5, 0.6, -2.6, 0.4)),
        (radial_laws.core_weight1, (0.7, 2.6, 0.5, 1.2)),
        (radial_laws.radial_laws1, (0.7, row)),
    ):
        assert function(*arguments) == pytest.approx(function.py_func(*arguments), rel=1e-14)
    plain = sampling.visible_energy_draw1.py_func(stream(1, 0, 0), 100.0, 0.11)
    assert sampling.visible_energy_draw1(stream(1, 0, 0), 100.0, 0.11) == pytest.approx(plain, rel=1e-14)


@pytest.mark.parametrize(
    ("y", "z", "message"),
    [
        (2.25, 68.0, r"y = 2\.25: expected <ln T> = ln\(ln y -0\.812\) to exist"),
        (3.0, 68.0, r"y = 3: expected sigma\(ln T\) = 1/\(-1\.4 \+ 1\.26 ln y\) > 0"),
        (1e35, 68.0, r"expected the correlation 0\.705 -0\.023 ln y in \[-1, 1\]"),
        (-1.0, 68.0, r"y = -1: expected a finite number > 0"),
        (100.0, 0.0, r"Z = 0: expected a finite number > 0"),
    ],
)
def test_fluctuating_laws_refuse_what_lies_below_their_poles(y: float, z: float, message: str) -> None:
    with pytest.raises(OutOfDomainError, match=message):
        homogeneous.fluctuating(y, z)


def test_limits_name_the_first_entry() -> None:
    with pytest.raises(OutOfDomainError, match=r"y = 2 \(entry 2 of 4\): expected <ln T>"):
        homogeneous.fluctuating([100.0, 10.0, 2.0, 1.5], 68.0)


def test_average_laws_refuse_profiles_without_a_maximum() -> None:
    with pytest.raises(OutOfDomainError, match=r"y = 2: expected T = ln y -0\.858 > 0"):
        homogeneous.average(2.0, 68.0)
    with pytest.raises(OutOfDomainError, match=r"y = 3: expected alpha = 0\.21 \+ \(0\.492 \+ 2\.38/Z\) ln y > 1"):
        homogeneous.average(3.0, 68.0)
    with pytest.raises(OutOfDomainError, match=r"y = 6: expected alpha = alpha_hom -0\.444/F_S > 1"):
        sampling.average(6.0, 68.0, 0.7, 2.5)
    with pytest.raises(OutOfDomainError, match=r"y = 8: expected T = T_hom -0\.59/F_S -0\.53 \(1 - e/mip\) > 0"):
        sampling.average(8.0, 68.0, 0.7, 0.5)


def test_sampling_laws_have_their_own_poles() -> None:
    with pytest.raises(OutOfDomainError, match=r"y = 7: expected sigma\(ln T\) = 1/\(-2\.5 \+ 1\.25 ln y\) > 0"):
        sampling.fluctuating(7.0, 68.0, 0.7, 2.5)
    with pytest.raises(OutOfDomainError, match=r"y = 8: expected <ln T> = ln\(exp<ln T_hom> -0\.55/F_S"):
        sampling.fluctuating(8.0, 68.0, 0.7, 0.4)
    with pytest.raises(OutOfDomainError, match=r"y = 30: expected exp<ln alpha> = exp<ln alpha_hom> -0\.476/F_S > 1"):
        sampling.fluctuating(30.0, 68.0, 1.0, 0.3)
    with pytest.raises(OutOfDomainError, match="F_S = 0: expected a finite number > 0"):
        sampling.fluctuating(100.0, 68.0, 0.7, 0.0)
    with pytest.raises(OutOfDomainError, match="Z_a = 200: expected Z_a < Z_p"):
        sampling.e_over_mip(10.0, 200.0)


def test_radial_laws_refuse_what_has_no_radius() -> None:
    coarse = radial_laws.sampling_coefficients(1e4, 70.0, 0.65, 0.2)
    with pytest.raises(OutOfDomainError, match=r"R_T = -\d.*: expected a tail radius > 0"):
        radial_laws.evaluate(0.5, coarse)
    with pytest.raises(OutOfDomainError, match=r"tau = -0\.1: expected tau >= 0"):
        radial_laws.evaluate(-0.1, coarse)
    with pytest.raises(OutOfDomainError, match=r"expected p3 = 1\.313 -0\.0686 ln\(E/GeV\) > 0"):
        radial_laws.homogeneous_coefficients(1e12, 70.0)
    with pytest.raises(OutOfDomainError, match="energy = 0: expected a finite number > 0"):
        radial_laws.homogeneous_coefficients(0.0, 70.0)


def test_spots_refuse_hydrogen_and_profiles_without_a_maximum() -> None:
    with pytest.raises(OutOfDomainError, match="Z = 1: expected Z > 1"):
        spots.homogeneous(1e3, 1.0, 6.0, 4.0)
    light = spots.homogeneous(1e3, 14.0, 5.0, 1.4)  # silicon: factor 0.686
    with pytest.raises(OutOfDomainError, match=r"alpha = 0\.960\d*: expected alpha > 1"):
        gamma_profile.rate(light.maximum, light.alpha)
    with pytest.raises(OutOfDomainError, match="c = 0: expected a finite number > 0"):
        spots.sampling(1e3, 70.0, 0.0, 6.0, 4.0)
    with pytest.raises(OutOfDomainError, match="energy = -1"):
        sampling.visible_energy_rvs(stream(1, 0, 0), (), -1.0, 0.1)


def test_control_another_medium_or_constant_misses_the_values() -> None:
    entry, energy, z, _ = medium("PbWO4", 2)
    paper = entry["paper"]
    assert homogeneous.average(paper["y"], z + 0.1)[1] != pytest.approx(paper["alpha_hom_avg"], rel=PAPER)
    exchanged_digits = replace(radial_laws.MEDIUM, rt6=0.0412)
    values = radial_laws.evaluate(TAU, radial_laws.homogeneous_coefficients(energy, z, exchanged_digits))
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(np.transpose(values), paper["radial"], rtol=PAPER)
