"""The exported Geant4 classes, compiled with all warnings as errors against declarations only, and run."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import cplusplus
import exported_tunes
import numpy as np
import pytest
from scipy.special import gammainc
from scipy.stats import kstest

from fastparam.export import export_geant4
from fastparam.fit import longitudinal, radial, spots
from fastparam.shapes.radial import ppf
from fastparam.tunes.tune import Tune

pytestmark = cplusplus.needs_compiler

Application = tuple[Tune, Path]

EXACT = 1e-6

FRONT = "11 20000 0 0 -1 0 0 1 0"
SINE, COSINE = np.sin(np.deg2rad(20.0)), np.cos(np.deg2rad(20.0))


class Track:
    """What became of one track."""

    def __init__(self, rows: list[list[str]]) -> None:
        triggered, killed, length, deposited, n = (float(word) for word in rows[0])
        self.triggered, self.killed = bool(triggered), bool(killed)
        self.length, self.deposited = length, deposited
        self.hits = np.array([[float(word) for word in row] for row in rows[1 : 1 + int(n)]]).reshape(-1, 5)

    @property
    def seen(self) -> float:
        """Energy that sensitive detectors were given."""
        return float(self.hits[:, 3].sum())


def tracks(application: Application, text: str) -> tuple[list[Track], list[str]]:
    """Run commands; the tracks, and the exceptions that were raised."""
    rows = cplusplus.run(application[1], text)
    exceptions = [row[1] for row in rows if row[0] == "exception"]
    rows = [row for row in rows if row[0] != "exception"]
    found, first = [], 0
    while first < len(rows):
        found.append(Track(rows[first:]))
        first += 1 + len(found[-1].hits)
    return found, exceptions


# ShowerModel


def test_the_step_reports_what_sensitive_detectors_were_given(application: Application) -> None:
    found, exceptions = tracks(application, f"track step {FRONT}\n" * 20)
    for track in found:
        assert track.triggered
        assert track.killed
        assert track.length == 0.0
        assert track.deposited == pytest.approx(track.seen, rel=1e-12)
        assert 0.04 * 20_000 < track.seen < 0.06 * 20_000  # visible fraction 5 % +- 2 %
    assert not exceptions


@pytest.mark.parametrize("interface", ["step", "gflash", "fast"])
def test_every_interface_of_sensitive_detectors_is_served(application: Application, interface: str) -> None:
    (track,), _ = tracks(application, f"track {interface} {FRONT}\n")
    assert len(track.hits) > 100
    assert track.seen == pytest.approx(track.deposited, rel=1e-12)
    assert set(track.hits[:, 4] < 0) == {interface != "step"}  # those two carry no time


def test_spots_arrive_when_the_particle_would(application: Application) -> None:
    (track,), _ = tracks(application, f"track step 11 20000 0 0 -1 0 {SINE} {COSINE} 7.5\n")
    along = track.hits[:, 1] * SINE + (track.hits[:, 2] + 1) * COSINE
    assert track.hits[:, 4] == pytest.approx(7.5 + along / 299.792458, abs=1e-9)


def test_what_finds_no_sensitive_detector_is_not_reported_as_deposited(application: Application) -> None:
    found, exceptions = tracks(application, f"track none {FRONT}\ntrack inactive {FRONT}\ntrack step {FRONT}\n")
    assert [track.deposited > 0 for track in found] == [False, False, True]
    assert exceptions == ["fastparam001"]  # said once


def test_spots_beside_the_detector_are_drawn_again_at_their_depth(application: Application) -> None:
    one, again = (tracks(application, f"attempts {n}\nwall 4\n" + f"track step {FRONT}\n" * 10)[0] for n in (1, 10))
    assert sum(t.deposited for t in one) < 0.7 * 10 * 1000
    for track in again:
        assert np.abs(track.hits[:, 0]).max() <= 4.0
        assert track.deposited == pytest.approx(track.seen, rel=1e-12)
    assert sum(t.deposited for t in again) == pytest.approx(10 * 1000, rel=0.03)


@pytest.mark.parametrize("direction", [(0.0, SINE, COSINE), (0.5, -0.5, 0.5**0.5)])
def test_showers_are_symmetric_about_their_line_at_any_incidence(
    application: Application, direction: tuple[float, float, float]
) -> None:
    straight = np.linalg.norm(_across(application, (0.0, 0.0, 1.0)), axis=1)
    u = np.array(direction)
    across = _across(application, direction)
    e1 = np.cross(u, [0.0, 1.0, 0.0]) / np.hypot(u[0], u[2])
    azimuth = np.arctan2(across @ np.cross(u, e1), across @ e1)
    assert kstest(azimuth, "uniform", args=(-np.pi, 2 * np.pi)).pvalue > 1e-3
    quantiles = [0.25, 0.5, 0.75, 0.9]
    inclined = np.quantile(np.linalg.norm(across, axis=1), quantiles)
    assert inclined == pytest.approx(np.quantile(straight, quantiles), rel=0.04)
    assert inclined != pytest.approx(np.quantile(0.9 * straight, quantiles), rel=0.04)  # axes that are no unit vectors


def _across(application: Application, u: tuple[float, float, float]) -> np.ndarray:
    """Distances from the line of the spots of 150 showers, mm, shape (n, 3)."""
    found, _ = tracks(application, f"track step 11 20000 2 3 -1 {u[0]} {u[1]} {u[2]} 0\n" * 150)
    relative = np.concatenate([track.hits[:, :3] for track in found]) - [2, 3, -1]
    return relative - (relative @ np.array(u))[:, None] * u


def test_a_calorimeter_can_stand_elsewhere(application: Application) -> None:
    angle = 0.7
    turned = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    start, direction = turned @ [0, 0, -1] + [0, 0, 500], turned @ [0, 0, 1]
    track_line = "track step 11 20000 " + " ".join(map(repr, [*map(float, start), *map(float, direction), 0.0]))
    (there,), _ = tracks(application, f"place 500 {angle}\n{track_line}\n")
    (here,), _ = tracks(application, f"track step {FRONT}\n")  # the engine starts with the same seed
    assert there.hits[:, :3] == pytest.approx(here.hits[:, :3] @ turned.T + [0, 0, 500], abs=1e-9)
    (missed,), _ = tracks(application, f"place 500 {angle}\ntrack step 11 20000 0 0 900 0 0 1 0\n")
    assert not missed.triggered


def test_photons_can_be_left_to_geant4_until_they_convert(application: Application) -> None:
    photon = "track step 22 20000 0 0 -1 0 0 1 0\n"
    positron = "track step -11 9000 0 0 12 0 0 1 0\n"
    found, _ = tracks(application, photon + "photons 0\n" + photon + positron)
    assert [track.triggered for track in found] == [True, False, True]
    assert found[2].hits[:, 2].min() >= 12.0 - 0.5  # born inside: nothing upstream but by tilting at the faces


def test_the_threshold_leaves_low_energies_to_geant4(application: Application) -> None:
    found, _ = tracks(application, f"minimum 5000\ntrack step 11 4999 0 0 -1 0 0 1 0\ntrack step {FRONT}\n")
    assert [track.triggered for track in found] == [False, True]


# Parameterisation


@pytest.mark.parametrize("energy", [1000.0, 20_000.0, 100_000.0])
def test_the_parameterisation_has_the_laws_of_the_tune(application: Application, energy: float) -> None:
    tune, program = application
    part, material = tune.slices[1], tune.geometry.material
    depth, maximum, alpha, tau = 77.0, 6.3, 4.4, 1.6
    (row,) = cplusplus.run(program, f"laws 22 0 {energy} {maximum} {alpha} {depth} {tau}\n")
    found = [float(word) for word in row]
    law = longitudinal.evaluate(part.components["longitudinal"], np.log(energy / material.critical_energy))
    fraction = gammainc(alpha, (alpha - 1) / maximum * depth / material.radiation_length)
    radii = radial.evaluate(part.components["radial"], np.array(tau), np.log(energy / 10_000.0))
    expected = [
        *law.values(),
        spots.evaluate(part.components["spots"], np.array([energy]))[0],
        fraction,
        fraction,
        depth / material.radiation_length / maximum,
        *radii,
    ]
    assert found[:12] == pytest.approx(expected, rel=EXACT)
    assert found[17:] == pytest.approx(
        [material.radiation_length, material.critical_energy, material.moliere_radius], rel=1e-12
    )
    mean_t, mean_alpha = np.exp(law["mean_ln_t"]), np.exp(law["mean_ln_alpha"])
    scale = (mean_alpha - 1) / mean_t / material.radiation_length
    assert found[12] == pytest.approx(mean_t * material.radiation_length, rel=EXACT)
    assert gammainc(mean_alpha, scale * np.array(found[13:15])) == pytest.approx([0.90, 0.99], rel=EXACT)
    core, tail, p = radial.evaluate(part.components["radial"], np.array(1.0), np.log(energy / 10_000.0))
    assert found[15:17] == pytest.approx(material.moliere_radius * ppf([0.90, 0.99], p, core, tail), rel=EXACT)


def test_profiles_and_radii_are_drawn_from_those_laws(application: Application) -> None:
    tune, program = application
    part, material = tune.slices[0], tune.geometry.material
    drawn = np.array(cplusplus.run(program, "draw 11 0 20000 4000\n"), dtype=float)
    law = longitudinal.evaluate(part.components["longitudinal"], np.log(20_000.0 / material.critical_energy))
    maximum, first, again, conversion = drawn.T
    normal = (np.log(maximum) - law["mean_ln_t"]) / law["sigma_ln_t"]
    assert kstest(normal, "norm").pvalue > 1e-3
    assert kstest(conversion, "expon", args=(0, 9 / 7 * material.radiation_length)).pvalue > 1e-3
    # Radii of spot 0 belong to the depth given, those of later spots to the depth of spot 0.
    assert np.median(again) == pytest.approx(np.median(first), rel=0.15)


# Compilation


@pytest.mark.parametrize("name", ["barrel", "stack"])
def test_every_kind_of_detector_compiles_without_a_warning(tmp_path: Path, name: str) -> None:
    written = export_geant4(exported_tunes.TUNES[name](), tmp_path / "cpp")
    own, include = tmp_path / "cpp" / "include" / written.namespace, tmp_path / "cpp" / "include"
    sources = [*sorted((tmp_path / "cpp" / "src").glob("*.cc")), tmp_path / "cpp" / "example" / "registration.cc"]
    cplusplus.compile_cpp(tmp_path / "none", *sources, include=(own, include, cplusplus.STUB), objects=True)


@pytest.mark.skipif(shutil.which("cmake") is None, reason="no cmake to configure the exported project with")
def test_the_cmake_project_builds_and_installs_the_library(tmp_path: Path) -> None:
    """With a stand-in for Geant4 that has its declarations and no code."""
    written = export_geant4(exported_tunes.two_media(), tmp_path / "cpp")
    stand_in = tmp_path / "geant4"
    stand_in.mkdir()
    (stand_in / "Geant4Config.cmake").write_text(
        "add_library(G4 INTERFACE IMPORTED)\n"
        f"target_include_directories(G4 INTERFACE {cplusplus.STUB})\nset(Geant4_LIBRARIES G4)\n"
    )
    (stand_in / "Geant4ConfigVersion.cmake").write_text(
        "set(PACKAGE_VERSION 11.4.0)\nset(PACKAGE_VERSION_COMPATIBLE TRUE)\n"
    )
    build, prefix = str(tmp_path / "build"), str(tmp_path / "prefix")
    for step in (
        ["-S", str(tmp_path / "cpp"), "-B", build, f"-DGeant4_DIR={stand_in}", f"-DCMAKE_INSTALL_PREFIX={prefix}"],
        ["--build", build],
        ["--install", build],
    ):
        done = subprocess.run(["cmake", *step], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "prefix" / "lib" / f"lib{written.namespace}.a").is_file()
    assert (tmp_path / "prefix" / "include" / written.namespace / "ShowerModel.hh").is_file()


def test_a_warning_is_an_error(tmp_path: Path) -> None:
    """Negative control of the compilation."""
    (tmp_path / "unused.cc").write_text("int main() { int unused = 1; }\n")
    with pytest.raises(AssertionError, match="unused"):
        cplusplus.compile_cpp(tmp_path / "none", tmp_path / "unused.cc", include=())
