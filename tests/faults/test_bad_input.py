"""Bad input, end to end: each row of the list, through ``fastparam tune``.

A refusal is exit code 2, one message that says what is wrong, where, and what to do, and a folder that holds what it
held before. What is counted and kept is told once, and the tune is made.
"""

from __future__ import annotations

import io
import re
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import showerfiles as sf
import toys

from fastparam.cli import main
from fastparam.geometry.load import load_geometry
from fastparam.geometry.shipped import shipped_geometries
from fastparam.hits.hits import Hits
from fastparam.particles import MASSES, Particles
from fastparam.tunes import Tune, load_tune

ENERGIES = (4000.0, 16_000.0)


@dataclass(frozen=True)
class Outcome:
    """What a run of ``fastparam tune`` left: exit code, output, and the names of new files."""

    code: int
    out: str
    err: str
    new: set[str]


def tune(folder: Path, *options: str) -> Outcome:
    before = {p.name for p in folder.iterdir()}
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(
            ["tune", str(folder / "geometry.yaml"), "-o", str(folder / "a.tune.h5"), "--rows", "even", *options]
        )
    return Outcome(code, out.getvalue(), err.getvalue(), {p.name for p in folder.iterdir()} - before)


def assert_refused(folder: Path, *texts: str, options: tuple[str, ...] = ()) -> None:
    """Every text, a regular expression, must be in the one message there is."""
    found = tune(folder, *options)
    assert found.code == 2
    assert found.out == ""
    assert found.new == set()
    assert re.findall(r"^(?:error|warning): ", found.err, re.MULTILINE) == ["error: "]
    assert "Traceback" not in found.err
    for text in texts:
        assert re.search(text, found.err), f"{text!r} is not in: {found.err}"


def showers(
    folder: Path, *, pdg: int = 22, n: int = 40, seed: int = 1, text: str = toys.PLANAR
) -> tuple[Particles, Hits]:
    """Write a geometry without its samples; return good showers of it."""
    path = folder / "geometry.yaml"
    path.write_text(text, encoding="utf-8")
    geometry = load_geometry(path)
    particles = toys.gun(geometry, pdg=pdg, energies=ENERGIES, n=n, seed=seed)
    return particles, toys.shower_batch(geometry, particles, seed=seed, n_spots=150)


def table(particles: Particles, hits: Hits, *, mev: float = 1.0) -> dict[str, object]:
    """Columns of the jagged tree that `toys.PLANAR` reads, in a unit of `mev` MeV."""
    mass = np.array([MASSES[abs(int(code))] for code in particles.pdg])
    momentum = np.sqrt(particles.energy * (particles.energy + 2 * mass))[:, None] * particles.direction
    columns = {"pdg": particles.pdg, "energy": particles.energy / mev}
    columns |= {name: particles.position[:, k] for k, name in enumerate(("vx", "vy", "vz"))}
    columns |= {name: momentum[:, k] / mev for k, name in enumerate(("px", "py", "pz"))}
    stored = {"x": hits.x, "y": hits.y, "z": hits.z, "e": hits.e / mev, "layer": hits.layer}
    return columns | {f"hit_{name}": sf.lists(values, hits.offsets) for name, values in stored.items()}


def changed(values: np.ndarray, at: list[int] | slice, value: float) -> np.ndarray:
    values = values.copy()
    values[at] = value
    return values


def edit(folder: Path, old: str, new: str) -> None:
    path = folder / "geometry.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sound geometry with its hits: what every test below breaks in one place."""
    sf.write_tree(tmp_path / "toy.root", table(*showers(tmp_path)))
    return tmp_path


# Files


def test_missing_file(folder: Path) -> None:
    (folder / "toy.root").rename(folder / "toys.root")
    assert_refused(
        folder,
        r"geometry\.yaml: samples\[0\]\.files\[0\]: file '.*toy\.root' does not exist",
        r"did you mean 'toys\.root'\?",
    )


def test_missing_geometry(folder: Path) -> None:
    (folder / "geometry.yaml").unlink()
    assert_refused(folder, r"geometry\.yaml: no such file, and no shipped geometry of that name")


@pytest.mark.parametrize("share", [0.0, 0.0005, 0.1, 0.5, 0.95])
def test_truncated_root_file(folder: Path, share: float) -> None:
    content = (folder / "toy.root").read_bytes()
    (folder / "toy.root").write_bytes(content[: int(share * len(content))])
    assert_refused(folder, r"toy\.root: (truncated|not a ROOT file but empty)")


@pytest.mark.parametrize("seed", range(6))
def test_damaged_root_file(folder: Path, seed: int) -> None:
    """Noise in the middle hits compressed hits or the tree itself: never a traceback, never a wrong tune."""
    content = bytearray((folder / "toy.root").read_bytes())
    start = int(len(content) * (0.1 + 0.14 * seed))
    content[start : start + 3000] = np.random.default_rng(seed).bytes(3000)
    (folder / "toy.root").write_bytes(content)
    assert_refused(folder, r"toy\.root")


def test_missing_tree(folder: Path) -> None:
    edit(folder, "tree: showers", "tree: shower")
    assert_refused(folder, r"toy\.root: no tree 'shower' \(did you mean 'showers'\?\), as samples\[0\] names it")


def test_missing_branch(folder: Path) -> None:
    edit(folder, "e: hit_e", "e: hit_energy")
    assert_refused(
        folder, r"toy\.root: tree 'showers' has no branch 'hit_energy' \(e\)", r"it has .*hit_e, nhit_layer, hit_layer"
    )
    edit(folder, "e: hit_energy", "e: hit_E")
    assert_refused(folder, r"no branch 'hit_E' \(e\) \(did you mean 'hit_[a-z]+'\?\)")


# Values


def test_unequal_hit_columns(tmp_path: Path) -> None:
    particles, hits = showers(tmp_path)
    shorter = hits.offsets.copy()
    shorter[18:] -= 1
    columns = table(particles, hits) | {"hit_e": sf.lists(hits.e[:-1], shorter)}
    sf.write_tree(tmp_path / "toy.root", columns)
    n = int(hits.n_hits[17])
    assert_refused(
        tmp_path,
        "hit columns of unequal length in 1 of rows 0 to 79",
        f"row 17: 'hit_x' has {n} values, 'hit_e' has {n - 1}",
    )


def test_event_numbers_in_hits_without_a_primary(tmp_path: Path) -> None:
    path = toys.write_detector(tmp_path, toys.BLOCK, energies=ENERGIES, n=40, n_spots=150)
    geometry = load_geometry(path)
    particles = toys.gun(geometry, energies=ENERGIES, n=40, seed=1)
    hits = toys.shower_batch(geometry, particles, seed=1, n_spots=150)
    toys.write_root(tmp_path / "toy.root", geometry, particles.take(slice(0, 78)), hits)
    lost = int(hits.offsets[80] - hits.offsets[78])
    assert_refused(
        tmp_path, rf"tree 'hits': {lost} hits belong to events that tree 'primaries' does not have", "first event 78"
    )


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_or_infinite_values(tmp_path: Path, value: float) -> None:
    particles, hits = showers(tmp_path)
    at = [int(hits.offsets[7]), int(hits.offsets[7]) + 2, int(hits.offsets[30])]
    sf.write_tree(tmp_path / "toy.root", table(particles, replace(hits, e=changed(hits.e, at, value))))
    assert_refused(tmp_path, "row 7: branch 'hit_e' is NaN or infinite; in rows 0 to 79 3 hits of 2 showers")


def test_nan_in_a_primary(tmp_path: Path) -> None:
    particles, hits = showers(tmp_path)
    columns = table(particles, hits)
    sf.write_tree(tmp_path / "toy.root", columns | {"pz": changed(columns["pz"], [3, 5], np.nan)})
    assert_refused(tmp_path, r"row 3: branch 'pz' is NaN or infinite \(2 of rows 0 to 79\)")


def test_more_than_a_twentieth_of_the_hits_outside_every_layer(tmp_path: Path) -> None:
    particles, hits = showers(tmp_path)
    z = changed(hits.z, slice(0, None, 12), -5.0)
    sf.write_tree(tmp_path / "toy.root", table(particles, replace(hits, z=z)))
    assert_refused(tmp_path, r"8\.3 % of the hits in the 80 showers read lie outside every layer \(at most 5 % may\)")


# Units


def test_energies_in_gev_declared_as_mev(tmp_path: Path) -> None:
    """Hits and primaries alike, so that their ratio gives no hint: only the depth of the showers can tell."""
    sf.write_tree(tmp_path / "toy.root", table(*showers(tmp_path), mev=1000.0))
    assert_refused(
        tmp_path,
        r"shower maximum \+\d\.\d X0 from ln\(E/Ec\)",
        "as if their energies were 1000 times what was read",
        "units",
    )


def test_energies_in_mev_declared_as_gev(folder: Path) -> None:
    edit(folder, "    tree: showers", "    units: {energy: GeV}\n    tree: showers")
    assert_refused(folder, r"shower maximum -\d\.\d X0", r"as if their energies were 0\.001 times what was read")


def test_energies_of_hits_in_another_unit_than_those_of_primaries(tmp_path: Path) -> None:
    particles, hits = showers(tmp_path)
    sf.write_tree(tmp_path / "toy.root", table(particles, replace(hits, e=hits.e * 1000.0)))
    assert_refused(tmp_path, r"mean visible over true energy is \d", "with hit energies in keV beside particles in MeV")


def test_lengths_in_mm_declared_as_cm_and_the_reverse(tmp_path: Path) -> None:
    """The shipped silicon-tungsten stack stores centimetres."""
    shipped = shipped_geometries()["siw"]
    text = shipped.read_text(encoding="utf-8").replace("hits/", f"{shipped.parent / 'hits'}/")
    assert "length: cm" in text
    (tmp_path / "geometry.yaml").write_text(text.replace("length: cm", "length: mm"), encoding="utf-8")
    assert_refused(tmp_path, "% of the hits", r"in cm in place of mm they would fit: set `units: \{length: cm\}`")
    (tmp_path / "geometry.yaml").write_text(text.replace("length: cm", "length: m"), encoding="utf-8")
    assert_refused(tmp_path, r"in cm in place of m they would fit: set `units: \{length: cm\}`")


# Descriptions


def test_unknown_material(folder: Path) -> None:
    edit(folder, "material: W,", "material: Wolfram,")
    assert_refused(
        folder, r"geometry\.yaml: line 10, layers\[0\]\.stack\.plates\[0\]\.material: unknown material 'Wolfram'"
    )


def test_unknown_key(folder: Path) -> None:
    edit(folder, "energy_is: kinetic", "energy_si: kinetic")
    assert_refused(folder, r"line 4, energy_si: unknown key \(did you mean 'energy_is'\?\)")


LAYERS = """name: tiny
frame: planar
layers:
  - {{id: 0, from: 0, to: 40, material: PbWO4}}
  - {{id: 1, from: {}, to: {}, material: PbWO4}}
samples: [{{files: [toy.root], tree: showers, branches: {{pdg: pdg, energy: energy, vx: vx, vy: vy, vz: vz, px: px,
  py: py, pz: pz, x: hit_x, y: hit_y, z: hit_z, e: hit_e}}}}]
"""


@pytest.mark.parametrize(("start", "stop", "says"), [(39, 80, "overlap"), (-50, -10, "order"), (80, 40, "to")])
def test_overlapping_or_disordered_layers(folder: Path, start: float, stop: float, says: str) -> None:
    (folder / "geometry.yaml").write_text(LAYERS.format(start, stop), encoding="utf-8")
    assert_refused(folder, r"line 5, layers\[1\]", says)


# Options and outputs


def test_output_that_exists(folder: Path) -> None:
    for name in ("a.tune.h5", "a.report.html", "a.report.json"):
        (folder / name).write_text("mine")
        assert_refused(folder, rf"output exists: \S*{re.escape(name)}; choose another name, or overwrite with --force")
        assert (folder / name).read_text() == "mine"
        (folder / name).unlink()


def test_output_in_a_folder_that_does_not_exist(folder: Path) -> None:
    assert_refused(folder, "nowhere does not exist", options=("-o", str(folder / "nowhere" / "a.tune.h5")))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--rows", "some"), "--rows some: expected all, even or odd"),
        (("--recipe", "gflahs"), r"gflahs: no such file.*did you mean 'gflash'"),
        (("--pdg", "211"), r"--pdg: the sample has no particle 211; it has 22"),
        (("--eta", "0.2"), "--eta: a planar detector has no eta slices"),
    ],
)
def test_options_that_do_not_fit(folder: Path, options: tuple[str, ...], says: str) -> None:
    assert_refused(folder, says, options=options)


# What is counted and kept


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, Tune]:
    """A run over a sample with a little of everything that is no error."""
    folder = tmp_path_factory.mktemp("kept")
    (photons, light), (electrons, more) = (showers(folder, pdg=pdg, n=n) for pdg, n in ((22, 40), (11, 10)))
    light = replace(light, e=changed(light.e, [0, 1, int(light.offsets[9])], -0.5))
    light = replace(light, z=changed(light.z, slice(5, None, 100), -5.0))
    without = without_hits(light, [4, 6, 11])
    particles = Particles.concatenate([photons, electrons])
    hits = Hits(
        *(np.concatenate([getattr(without, c), getattr(more, c)]) for c in ("x", "y", "z", "e", "layer")),
        np.concatenate([without.offsets, without.offsets[-1] + more.offsets[1:]]),
    )
    sf.write_tree(folder / "toy.root", table(particles, hits))
    outcome = tune(folder)
    assert outcome.code == 0, outcome.err
    return outcome, load_tune(folder / "a.tune.h5")


def without_hits(hits: Hits, rows: list[int]) -> Hits:
    keep = ~np.isin(hits.shower, rows)
    n_hits = changed(hits.n_hits, rows, 0)
    columns = (getattr(hits, c)[keep] for c in ("x", "y", "z", "e", "layer"))
    return Hits(*columns, np.concatenate([[0], np.cumsum(n_hits)]))


def test_negative_energies(kept: tuple[Outcome, Tune]) -> None:
    outcome, made = kept
    assert re.search(
        r"^warning: .*: 3 of \d+ hits have a negative energy, which was set to 0$", outcome.err, re.MULTILINE
    )
    assert made.provenance["negative energies set to 0"] == 3


def test_showers_without_hits(kept: tuple[Outcome, Tune]) -> None:
    outcome, made = kept
    assert re.search(r"^warning: .*: 3 of 100 showers have no hits; kept as zero response$", outcome.err, re.MULTILINE)
    assert made.slices[0].n_showers == 40  # even rows of 80 photons, two of them empty
    intercept, slope = made.slices[0].components["response"].settings["zero"]
    share = 1 / (1 + np.exp(-intercept - slope * np.log([4.0, 16.0])))
    assert share.mean() == pytest.approx(2 / 40, abs=0.01)


def test_few_hits_outside_every_layer(kept: tuple[Outcome, Tune]) -> None:
    outcome, made = kept
    pattern = r"^warning: .*: (\d+) of \d+ hits, with [\d.]+ % of the visible energy, lie outside every layer"
    (count,) = re.findall(pattern, outcome.err, re.MULTILINE)
    assert made.provenance["hits outside every layer"] == int(count) > 50


def test_a_pdg_and_slice_with_fewer_than_30_showers(kept: tuple[Outcome, Tune]) -> None:
    outcome, made = kept
    reason = "electron: 10 training showers; at least 30 are needed"
    assert f"warning: left out: {reason}\n" in outcome.err
    assert made.excluded == (reason,)
    assert made.pdgs == (22,)


def test_what_was_told_is_told_once_and_the_tune_is_made(kept: tuple[Outcome, Tune]) -> None:
    outcome, _ = kept
    assert outcome.new == {"a.tune.h5", "a.report.html", "a.report.json"}
    assert len(re.findall(r"^warning: ", outcome.err, re.MULTILINE)) == 4
    assert "error" not in outcome.err


def test_nothing_left_to_tune(tmp_path: Path) -> None:
    sf.write_tree(tmp_path / "toy.root", table(*showers(tmp_path, n=10)))
    found = tune(tmp_path)
    assert found.code == 2
    assert found.new == set()
    assert "error: nothing could be tuned; photon: 10 training showers; at least 30 are needed" in found.err


def test_the_sample_itself_is_sound(folder: Path) -> None:
    """The control of all refusals: unbroken, the same sample is tuned without a word."""
    found = tune(folder)
    assert (found.code, found.err) == (0, "")
    assert found.new == {"a.tune.h5", "a.report.html", "a.report.json"}
