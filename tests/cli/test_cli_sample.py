"""`fastparam sample`: showers into a file, reproducibly, completely or not at all."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import handmade
import numpy as np
import pytest
import uproot
from tuned_folder import Tuned, environment, fastparam

from fastparam.cli import main
from fastparam.generate import load
from fastparam.generate.registry import short_name
from fastparam.hits import iterate_file
from fastparam.particles import Particles
from fastparam.tunes import load_tune, save_tune, tune_digest

GUN = ["-n", "3", "--pdg", "22", "--energy", "5000", "--eta", "0.22"]


@pytest.fixture(scope="module")
def planar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A handmade tune of a planar detector: photons from 1 to 100 GeV, along z and inclined."""
    path = tmp_path_factory.mktemp("planar") / "planar.tune.h5"
    geometry = handmade.detector("planar")
    save_tune(path, handmade.tune(geometry, handmade.part(geometry, max_angle=np.deg2rad(30), zero=(0.0, -0.5))))
    return path


def tree(path: Path) -> dict[str, np.ndarray]:
    with uproot.open(path) as file:
        return file["showers"].arrays(library="np")


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_gun_writes_what_python_samples(tuned: Tuned, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out.root"
    assert main(["sample", str(tuned.tune), "-o", str(out), *GUN, "--phi", "0.3", "--seed", "5"]) == 0
    captured = capsys.readouterr()
    particles = Particles.gun(pdg=22, energy=5000.0, eta=0.22, phi=0.3, n=3)
    showers = load(tuned.tune).generate(particles, seed=5)
    assert captured.out == f"{out}: 3 showers, {len(showers.hits.e)} hits\n"
    assert captured.err == ""
    columns = tree(out)
    assert list(columns["pdg"]) == [22, 22, 22]
    assert columns["energy"] == pytest.approx(np.full(3, 5000.0))
    assert columns["eta"] == pytest.approx(np.full(3, 0.22))
    assert columns["phi"] == pytest.approx(np.full(3, 0.3))
    assert np.hypot(columns["px"], columns["py"]) * np.cosh(0.22) == pytest.approx(np.full(3, 5000.0))
    for branch, values in (("x", showers.hits.x), ("e", showers.hits.e), ("layer", showers.layer_ids)):
        assert np.concatenate(columns[f"hit_{branch}"]) == pytest.approx(values, rel=1e-6)
    assert names(tmp_path) == ["out.root"]


def test_a_new_user_in_a_process_of_their_own(tuned: Tuned, tmp_path: Path) -> None:
    done = fastparam(tmp_path, "sample", str(tuned.tune), "-o", "out.root", *GUN)
    assert (done.returncode, done.stderr) == (0, "")
    assert names(tmp_path) == ["out.root"]
    again = fastparam(tmp_path, "sample", str(tuned.tune), "-o", "out.root", *GUN)
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr == "error: output exists: out.root; choose another name, or overwrite with --force\n"


def test_the_file_says_where_it_comes_from(tuned: Tuned, tmp_path: Path) -> None:
    assert main(["sample", str(tuned.tune), "-o", str(tmp_path / "out.root"), *GUN, "--seed", "5"]) == 0
    with uproot.open(tmp_path / "out.root") as file:
        provenance = json.loads(str(file["fastparam"]))
    assert provenance["tune_digest"] == tune_digest(load_tune(tuned.tune))
    assert (provenance["seed"], provenance["generator"]) == (5, "tiny_barrel.tune.h5")


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("/a/b/gan.onnx", "gan.onnx"),
        ("gflash:/a/geometry.yaml", "gflash:geometry.yaml"),
        ("replay:/a/b.root?geometry=/c/d.yaml&rows=odd", "replay:b.root?geometry=d.yaml&rows=odd"),
        ("/a/b.hdf5?binning=/c/d.xml&eta=0.2", "b.hdf5?binning=d.xml&eta=0.2"),
    ],
)
def test_provenance_names_generators_without_their_folders(text: str, short: str) -> None:
    assert short_name(text) == short


def test_what_no_generator_has_for_a_name_lists_what_there_is(tmp_path: Path, capsys) -> None:
    (tmp_path / "points.h5").write_bytes(b"points")
    for name, said in (
        (
            "lar_acordion",
            "no such file, and no shipped tune of that name (did you mean 'lar_accordion'?); shipped: fehcal",
        ),
        (str(tmp_path / "points.h5"), "points.h5: is not recognised; expected stock GFlash, gflash:GEOMETRY; "),
    ):
        assert main(["sample", name, "-o", str(tmp_path / "a.root"), *GUN]) == 2
        assert said in capsys.readouterr().err


def test_a_planar_gun_has_a_position_and_a_direction(planar: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out.root"
    arguments = ["-n", "200", "--pdg", "22", "--energy", "2000", "--position", "-5,3,-10", "--direction", "0.2,0,1"]
    assert main(["sample", str(planar), "-o", str(out), *arguments]) == 0
    columns = tree(out)
    assert "eta" not in columns
    assert (columns["vx"][0], columns["vy"][0], columns["vz"][0]) == (-5.0, 3.0, -10.0)
    assert columns["px"] / columns["pz"] == pytest.approx(np.full(200, 0.2))
    empty = np.array([len(e) == 0 for e in columns["hit_e"]])
    assert 20 < empty.sum() < 180  # a row per particle, showers without hits included
    assert capsys.readouterr().err == ""


def test_the_same_seed_gives_the_same_showers_however_they_are_cut_into_pieces(
    planar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["-n", "450", "--pdg", "22", "--energy", "5000", "--direction", "0,0,1"]
    for name, seed, at_a_time in (("a", 1, 4_000_000), ("b", 1, 3000), ("c", 2, 4_000_000)):
        monkeypatch.setattr("fastparam.cli.sample._HITS_AT_A_TIME", at_a_time)
        options = ["-o", str(tmp_path / f"{name}.root"), "--seed", str(seed)]
        assert main(["sample", str(planar), *arguments, *options]) == 0
    a, b, c = (np.concatenate(tree(tmp_path / f"{name}.root")["hit_x"]) for name in "abc")
    assert np.array_equal(a, b)
    assert not np.array_equal(a[:100], c[:100])


def test_like_samples_the_particles_of_another_file_in_their_order(tuned: Tuned, tmp_path: Path) -> None:
    out = tmp_path / "out.root"
    assert main(["sample", str(tuned.tune), "-o", str(out), "--like", str(tuned.folder / "toy.root")]) == 0
    wanted, got = tree(tuned.folder / "toy.root"), tree(out)
    for name in ("pdg", "energy", "vx", "vy", "vz", "px", "py", "pz"):
        assert got[name] == pytest.approx(wanted[name], rel=1e-12, abs=1e-9)


def test_like_takes_rows(tuned: Tuned, tmp_path: Path) -> None:
    toy = tuned.folder / "toy.root"
    for rows, wanted in (("even", slice(0, None, 2)), ("odd", slice(1, None, 2))):
        out = tmp_path / f"{rows}.root"
        assert main(["sample", str(tuned.tune), "-o", str(out), "--like", str(toy), "--rows", rows]) == 0
        assert tree(out)["px"] == pytest.approx(tree(toy)["px"][wanted], rel=1e-12)


def test_sampled_files_are_read_back_and_sampled_again(tuned: Tuned, tmp_path: Path) -> None:
    """Without the layouts of a geometry: the file knows its own."""
    first, second = tmp_path / "first.root", tmp_path / "second.root"
    assert main(["sample", str(tuned.tune), "-o", str(first), *GUN, "--position", "1,2,3"]) == 0
    assert main(["sample", str(tuned.tune), "-o", str(second), "--like", str(first)]) == 0
    assert np.array_equal(np.concatenate(tree(first)["hit_x"]), np.concatenate(tree(second)["hit_x"]))
    (batch,) = iterate_file(second, load_tune(tuned.tune).geometry)
    assert len(batch) == 3
    assert (batch.hits.layer >= 0).all()


def test_other_particles_only_as_one_that_is_known(planar: Path, tmp_path: Path, capsys) -> None:
    arguments = ["-n", "2", "--pdg", "211", "--energy", "5000", "--direction", "0,0,1", "-o", str(tmp_path / "a.root")]
    assert main(["sample", str(planar), *arguments]) == 2
    assert "error: particle 0: the tune has no pi+ (211)" in capsys.readouterr().err
    assert names(tmp_path) == []
    assert main(["sample", str(planar), *arguments, "--as-pdg", "22"]) == 0
    assert list(tree(tmp_path / "a.root")["pdg"]) == [211, 211]


def test_extrapolated_directions_are_told_once(
    planar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr("fastparam.cli.sample._HITS_AT_A_TIME", 20_000)
    arguments = ["-n", "900", "--pdg", "22", "--energy", "5000", "--direction", "1,0,1", "-o", str(tmp_path / "a.root")]
    assert main(["sample", str(planar), *arguments]) == 0
    err = capsys.readouterr().err
    assert err.count("warning: ") == 1
    assert "900 of 900 particles are inclined by up to 45.0 degrees" in err


def test_particles_outside_the_domain_are_found_before_any_is_sampled(
    tuned: Tuned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    """With the row that the user counts, although showers are sampled piece by piece."""
    like = Particles.gun(pdg=22, energy=np.append(np.full(700, 5000.0), 20_000.0), eta=0.22)
    monkeypatch.setattr("fastparam.cli.sample._like", lambda *_: like)
    monkeypatch.setattr("fastparam.generate.tuned.TunedGenerator.generate", lambda *_, **__: pytest.fail("sampled"))
    assert main(["sample", str(tuned.tune), "-o", str(tmp_path / "a.root"), "--like", "any.root"]) == 2
    assert "error: particle 700: kinetic energy 20000 MeV is outside 3960 to 16160 MeV" in capsys.readouterr().err
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "missing -n, --pdg, --energy; give them, or --like FILE"),
        (["-n", "1", "--pdg", "22", "--energy", "5000"], "expected either --eta (and --phi) or --direction x,y,z"),
        ([*GUN, "--direction", "1,0,0"], "expected either --eta (and --phi) or --direction x,y,z"),
        (["-n", "1", "--pdg", "22", "--energy", "5e3", "--direction", "1,0,0", "--phi", "1"], "--phi belongs to --eta"),
        ([*GUN, "-n", "0"], "-n 0: expected at least 1"),
        ([*GUN, "--energy", "-5"], "particle 0: energy is not a finite positive number"),
        ([*GUN, "--energy", "nan"], "particle 0: energy is not a finite positive number"),
        ([*GUN, "--position", "0,0"], "--position 0,0: expected three numbers x,y,z without blanks"),
        ([*GUN, "--position", "1400,0,0"], "starts behind the face of the first declared layer"),
        ([*GUN, "--eta", "0.4"], "particle 0: eta 0.4 is outside 0.195 to 0.255"),
        ([*GUN, "--seed", "-1"], "--seed -1: expected a number from 0 to 2**63 - 1"),
        ([*GUN, "--rows", "odd"], "--geometry and --rows belong to --like"),
        (
            [*GUN, "--like", "toy.root"],
            "--like takes its particles from the file; leave out -n, --pdg, --energy, --eta",
        ),
        (["--like", "none.root"], "none.root: file does not exist"),
        (["--like", "geometry.yaml"], "geometry.yaml: not a ROOT file"),
        (["--like", "toy.root", "--geometry", "siv"], "did you mean 'siw'?"),
        (
            [*GUN, "-o", "a.txt"],
            "--output a.txt: unknown format '.txt'; expected a name ending in .root, .h5, .hdf5, .csv",
        ),
        ([*GUN, "-o", "a.csv", "--as", "hits"], "--as hits: .csv files hold voxels; expected .root, .parquet"),
        ([*GUN, "--as", "hit"], "--as hit: unknown form (did you mean 'hits'?)"),
        ([*GUN, "--as", "cells"], "has no cells; declare them"),
        ([*GUN, "-o", "nowhere/a.root"], "its directory nowhere does not exist"),
        ([*GUN, "-o", "toy.root"], "output exists: toy.root"),
    ],
)
def test_mistakes_exit_with_2_and_leave_nothing_behind(
    tuned: Tuned, monkeypatch: pytest.MonkeyPatch, capsys, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tuned.folder)
    before = {p.name: p.stat().st_mtime_ns for p in tuned.folder.iterdir()}
    assert main(["sample", "tiny_barrel.tune.h5", "-o", "out.root", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert message in captured.err
    assert {p.name: p.stat().st_mtime_ns for p in tuned.folder.iterdir()} == before


def test_an_existing_file_is_replaced_with_force(tuned: Tuned, tmp_path: Path) -> None:
    out = tmp_path / "out.root"
    out.write_text("mine")
    assert main(["sample", str(tuned.tune), "-o", str(out), *GUN]) == 2
    assert out.read_text() == "mine"
    assert main(["sample", str(tuned.tune), "-o", str(out), *GUN, "--force"]) == 0
    assert len(tree(out)["pdg"]) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing(planar: Path, tmp_path: Path, number: signal.Signals) -> None:
    """Stopped in the middle of its work, in a process of its own."""
    arguments = ["-n", "300000", "--pdg", "22", "--energy", "100000", "--direction", "0,0,1", "-o", "out.root"]
    process = subprocess.Popen(
        [sys.executable, "-m", "fastparam", "sample", str(planar), *arguments],
        cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # A shell that runs the tests in its background has children ignore SIGINT.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # noqa: PLW1509
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not any(p.stat().st_size > 1_000_000 for p in tmp_path.iterdir()):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert [name.endswith(".partial") for name in names(tmp_path)] == [True]
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert (out, err) == ("", "error: interrupted\n")
    assert names(tmp_path) == []


def test_voxels_on_the_electromagnetic_scale(tuned: Tuned, tmp_path: Path) -> None:
    """Divided by one number, which is written down and is the mean response of the tune."""
    plain, scaled = tmp_path / "plain.h5", tmp_path / "scaled.hdf5"
    arguments = ["-n", "40", "--pdg", "22", "--energy", "8000", "--eta", "0.22"]
    assert main(["sample", str(tuned.tune), "-o", str(plain), *arguments]) == 0
    assert main(["sample", str(tuned.tune), "-o", str(scaled), *arguments, "--em-scale"]) == 0
    with h5py.File(plain) as one, h5py.File(scaled) as other:
        provenance = json.loads(other["provenance"][()])
        fraction = provenance["em_scale"]["visible_fraction"]
        assert provenance["tune_digest"] == tune_digest(load_tune(tuned.tune))
        np.testing.assert_allclose(other["showers"][()] * fraction, one["showers"][()], rtol=1e-6)
        assert "em_scale" not in json.loads(one["provenance"][()])
        assert other["showers"][()].sum() / 40 == pytest.approx(8000, rel=0.1)


def test_voxels_do_not_depend_on_the_pieces_they_are_written_in(
    planar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["-n", "50", "--pdg", "22", "--energy", "5000", "--direction", "0,0,1"]
    made = []
    for name, at_a_time in (("a", 4_000_000), ("b", 30_000)):
        monkeypatch.setattr("fastparam.cli.sample._HITS_AT_A_TIME", at_a_time)
        assert main(["sample", str(planar), *arguments, "-o", str(tmp_path / f"{name}.h5")]) == 0
        with h5py.File(tmp_path / f"{name}.h5") as file:
            made.append(file["showers"][()])
    assert made[0].shape == (50, 2400)
    np.testing.assert_array_equal(made[0], made[1])


def test_a_network_is_sampled_like_any_other(tmp_path: Path, capsys) -> None:
    gan = Path(__file__).parents[2] / "tuning" / "gan" / "gan.onnx"
    out = tmp_path / "out.h5"
    arguments = ["-n", "20", "--pdg", "22", "--energy", "16000", "--eta", "0.22"]
    assert main(["sample", str(gan), "-o", str(out), *arguments]) == 0
    assert capsys.readouterr().out == f"{out}: 20 showers, 363 voxels each\n"
    assert main(["sample", str(gan), "-o", str(tmp_path / "b.root"), "--like", str(out), "--rows", "even"]) == 0
    assert len(tree(tmp_path / "b.root")["pdg"]) == 10
    assert main(["sample", str(gan), "-o", str(tmp_path / "c.root"), *arguments, "--energy", "500"]) == 2
    assert "kinetic energy 500 MeV is outside 990 to 65650 MeV" in capsys.readouterr().err
    broken = tmp_path / "gan.onnx"
    broken.write_bytes(gan.read_bytes()[:5000])
    (tmp_path / "gan.yaml").write_bytes(gan.with_suffix(".yaml").read_bytes())
    before = names(tmp_path)
    assert main(["sample", str(broken), "-o", str(tmp_path / "d.root"), *arguments]) == 2
    assert "gan.onnx: cannot be loaded as ONNX" in capsys.readouterr().err
    assert names(tmp_path) == before
