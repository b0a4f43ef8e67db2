"""The tune in Geant4's homogeneous class: exact where that class has the law, else the nearest with its loss.

What Geant4 makes of the constants is worked out here with the published formulas of `fastparam.shapes` and with the
critical energy that Geant4 11 gets from X0 in millimetres.
"""

from __future__ import annotations

from dataclasses import astuple, replace
from pathlib import Path

import cplusplus
import exported_tunes
import handmade
import numpy as np
import pytest

from fastparam.errors import UsageError
from fastparam.export import export_geant4
from fastparam.export.homogeneous import constants, not_homogeneous
from fastparam.fit import longitudinal, radial
from fastparam.fit import spots as spots_fit
from fastparam.shapes import homogeneous, radial_laws, spots
from fastparam.tunes.tune import SliceTune, Tune

ENERGIES = np.geomspace(1000.0, 100_000.0, 7)
AGES = np.linspace(0.1, 4.0, 9)

EC_PBWO4_GEANT4 = (
    10.76  # MeV, as the class of Geant4 11.4.0 holds it at 8.30 g/cm3; 8.76 by the formula with X0 in g/cm2
)


class Geant4:
    """What GFlashHomoShowerParameterisation makes of 32 constants in a material."""

    def __init__(self, getters: list[float], x0: float, z: float, a: float) -> None:
        self.z = z
        self.ec = 2.66 * (x0 * z / a) ** 1.1
        self.moliere_radius = x0 * 21.2 / self.ec
        self.profile = homogeneous.Fluctuating(*getters[:10])
        self.radial = radial_laws.Medium(*getters[10:26])
        self.spots = spots.SpotConstants(*getters[26:])

    def laws(self, energy: np.ndarray) -> np.ndarray:
        return np.array(homogeneous.fluctuating(energy / self.ec, self.z, self.profile))

    def radii(self, energy: np.ndarray, tau: np.ndarray) -> np.ndarray:
        """R_C and R_T in mm, and p."""
        coefficients = radial_laws.homogeneous_coefficients(energy, self.z, self.radial)
        core, tail, p = radial_laws.evaluate(tau, coefficients)
        return np.array([core * self.moliere_radius, tail * self.moliere_radius, p])


def of(tune: Tune, program: Path) -> Geant4:
    m = tune.geometry.material
    (row,) = cplusplus.run(program, f"getters {m.z} {m.a} {m.radiation_length}\n")
    return Geant4([float(word) for word in row], m.radiation_length, m.z, m.a)


def wanted_radii(tune: Tune, part: SliceTune, energy: np.ndarray, tau: np.ndarray) -> np.ndarray:
    core, tail, p = radial.evaluate(part.components["radial"], tau, np.log(energy / 10_000.0))
    size = tune.geometry.material.moliere_radius
    return np.array([core * size, tail * size, p])


@cplusplus.needs_compiler
def test_geant4_has_the_wrong_critical_energy_and_yet_the_laws_of_the_tune(application: tuple[Tune, Path]) -> None:
    tune, program = application
    geant4, part = of(tune, program), tune.slices[0]
    assert geant4.ec == pytest.approx(EC_PBWO4_GEANT4, rel=5e-3)
    ln_y = np.log(ENERGIES / tune.geometry.material.critical_energy)
    law = longitudinal.evaluate(part.components["longitudinal"], ln_y)
    assert geant4.laws(ENERGIES) == pytest.approx(np.array(list(law.values())), rel=1e-9)
    energy, tau = np.meshgrid(ENERGIES, AGES)
    assert geant4.radii(energy, tau) == pytest.approx(wanted_radii(tune, part, energy, tau), rel=1e-9)
    shape = geant4.laws(ENERGIES)[:2]
    found = spots.homogeneous(ENERGIES, geant4.z, *np.exp(shape), geant4.spots)
    assert found.number == pytest.approx(spots_fit.evaluate(part.components["spots"], ENERGIES), rel=1e-9)
    assert np.log([found.maximum, found.alpha]) == pytest.approx(shape, rel=1e-9)  # spots follow the energy


@cplusplus.needs_compiler
def test_constants_typed_into_geant4_as_they_are_give_other_showers(application: tuple[Tune, Path]) -> None:
    """Negative control: what the folding of Geant4's y and R_M is for."""
    tune, program = application
    geant4, part = of(tune, program), tune.slices[0]
    own = part.components["longitudinal"].values
    geant4.profile = replace(geant4.profile, ave_t1=own[0])
    ln_y = np.log(ENERGIES / tune.geometry.material.critical_energy)
    ratio = np.exp(geant4.laws(ENERGIES)[0]) / (own[0] + own[1] * ln_y)
    assert ((ratio > 0.94) & (ratio < 0.98)).any()
    assert ratio.max() < 0.98


@cplusplus.needs_compiler
def test_a_material_of_another_radiation_length_is_reported(application: tuple[Tune, Path]) -> None:
    rows = cplusplus.run(application[1], "getters 82 207.2 5.61\n")
    assert rows[0] == ["exception", "fastparam003"]


# What Geant4 cannot hold


def test_laws_that_geant4_has_lose_nothing() -> None:
    tune = exported_tunes.block()
    found = constants(tune.slices[0], tune.geometry.material.critical_energy)
    assert found.reasons == ()
    assert found.losses == {}


@pytest.mark.parametrize("slope", [0.9, 1.1])
def test_another_slope_of_t_is_matched_in_the_middle_of_the_range(slope: float) -> None:
    tune = exported_tunes.block()
    part, ec = tune.slices[0], tune.geometry.material.critical_energy
    own = exported_tunes.with_values(part.components["longitudinal"], t1=slope)
    part = replace(part, components={**part.components, "longitudinal": own})
    found = constants(part, ec)
    assert len(found.reasons) == 1
    assert found.reasons[0].startswith(f"T grows by {slope:g} X0")
    assert found.longitudinal[1] == 1.0
    assert found.longitudinal[2:] == pytest.approx(own.values[2:])
    ln_y = np.log(ENERGIES / ec)
    ratio = np.log((found.longitudinal[0] + ln_y) / (own.values[0] + own.values[1] * ln_y))
    assert ratio.min() < 0.0 < ratio.max()
    assert found.losses == {"T": pytest.approx(np.abs(np.expm1(ratio)).max(), rel=0.02)}
    assert 0.01 < found.losses["T"] < 0.1


def test_the_smooth_law_is_matched_by_the_nearest_classical_profile() -> None:
    geometry = handmade.detector("block")
    part = handmade.part(geometry, pdg=11)
    found = constants(part, geometry.material.critical_energy)
    assert found.reasons == ("the radial law is 'smooth'; Geant4 has the classical one",)
    assert set(found.losses) == {"R_C", "R_T", "p", "R50", "R90"}
    assert all(0.0 < loss < 0.1 for loss in found.losses.values())
    core, tail, p = radial.LAWS["classical"].function(found.radial, np.array(1.0), np.array(0.0))
    assert (core, tail, p) == pytest.approx((0.1, 0.6, 0.7), rel=0.06)


def test_a_warp_is_left_out_with_its_size() -> None:
    tune = exported_tunes.block()
    part = replace(tune.slices[0], components={**tune.slices[0].components, "warp": exported_tunes.WARP})
    found = constants(part, tune.geometry.material.critical_energy)
    assert found.reasons == ("mean profiles are warped; Geant4 has plain gamma profiles",)
    assert found.losses == {"F": pytest.approx(0.02 + 0.003 * np.log(10.0), rel=0.3)}


# What Geant4's class is not for


@pytest.mark.parametrize(
    ("tune", "reason"),
    [
        (exported_tunes.stack, "passive layers"),
        (exported_tunes.two_media, "more than one active medium"),
        (lambda: exported_tunes.single("block", 22), "electrons and positrons only"),
        (exported_tunes.slices, "passive layers"),
    ],
)
def test_calorimeters_of_another_kind_are_told_apart(tune: object, reason: str) -> None:
    assert reason in (not_homogeneous(tune()) or "")  # type: ignore[operator]


def test_a_gap_between_layers_is_not_homogeneous() -> None:
    tune = exported_tunes.block()
    text = handmade.toys.BLOCK.replace("from: 140, to: 230", "from: 141, to: 230")
    geometry = handmade.parse_geometry(text, Path("gap.yaml"))
    assert not_homogeneous(tune) is None
    assert not_homogeneous(replace(tune, geometry=geometry)) == "the calorimeter has gaps"


def test_without_closest_the_constants_are_left_out_with_the_reason(tmp_path: Path) -> None:
    tune = exported_tunes.single("block", 11)
    written = export_geant4(tune, tmp_path / "plain")
    assert written.stock is None
    assert written.left_out == "the radial law is 'smooth'; Geant4 has the classical one"
    assert written.closest_possible
    assert not any("HomoTuning" in name for name in written.files)
    near = export_geant4(tune, tmp_path / "closest", closest=True)
    assert near.stock is not None
    header = tmp_path / "closest" / "include" / near.namespace / "HomoTuning.hh"
    readme = (tmp_path / "closest" / "README.md").read_text()
    for name, loss in near.stock.losses.items():
        assert f"{name} {loss:.2g}" in header.read_text().replace("\n// ", " ")
        assert f"{name} {loss:.2g}" in readme.replace("\n", " ")


def test_closest_is_refused_where_geant4_has_no_class_for_it(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match="--closest is for Geant4's homogeneous GFlash, and the calorimeter has passive"
    ):
        export_geant4(exported_tunes.stack(), tmp_path / "out", closest=True)
    assert not list(tmp_path.iterdir())


def test_the_constants_have_the_order_of_the_published_formulas() -> None:
    """The driver prints the getters in the order of these classes; Geant4's defaults but for its exchanged digits."""
    defaults = (*astuple(homogeneous.FLUCTUATING), *astuple(radial_laws.MEDIUM), *astuple(spots.HOMOGENEOUS))
    stub = (cplusplus.STUB / "GVFlashHomoShowerTuning.hh").read_text()
    listed = [float(line.split("return ")[1].split(";")[0]) for line in stub.splitlines() if "return" in line]
    assert len(listed) == 32
    assert [(a, b) for a, b in zip(listed, defaults, strict=True) if a != b] == [(0.0412, 0.0421)]
