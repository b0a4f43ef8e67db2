"""The same showers come out of every layout of files, whatever their units, baskets and order."""

from __future__ import annotations

import warnings
from contextlib import suppress

import numpy as np
import pytest
import showerfiles as sf
import uproot
from hypothesis import given, settings
from hypothesis import strategies as st

from fastparam.errors import FastparamWarning, InputError
from fastparam.hits import iterate, read_particles
from fastparam.hits.hits import Hits
from fastparam.hits.readers import READERS
from fastparam.particles import Particles

SINGLE = {"rtol": 2e-6, "atol": 1e-5}


def read(geometry, **options):
    batches = list(iterate(geometry, **options))
    n_hits = np.concatenate([b.hits.n_hits for b in batches])
    hits = Hits(
        *(np.concatenate([getattr(b.hits, name) for b in batches]) for name in ("x", "y", "z", "e", "layer")),
        np.concatenate([[0], np.cumsum(n_hits)]),
    )
    return Particles.concatenate([b.particles for b in batches]), hits, np.concatenate([b.row for b in batches])


def assert_same(showers, particles, hits):
    np.testing.assert_array_equal(particles.pdg, showers.primaries["pdg"])
    np.testing.assert_allclose(particles.energy, showers.primaries["energy"], **SINGLE)
    for i, role in enumerate(("vx", "vy", "vz")):
        np.testing.assert_allclose(particles.position[:, i], showers.primaries[role], **SINGLE)
    momentum = np.stack([showers.primaries[role] for role in ("px", "py", "pz")], axis=1)
    direction = momentum / np.linalg.norm(momentum, axis=1)[:, None]
    np.testing.assert_allclose(particles.direction, direction, **SINGLE)
    np.testing.assert_array_equal(hits.offsets, showers.offsets)
    for role in ("x", "y", "z", "e"):
        np.testing.assert_allclose(getattr(hits, role), showers.hits[role], **SINGLE)
    np.testing.assert_array_equal(hits.layer, showers.index)


def write(layout, path, showers, **units):
    if layout == "joined":
        return sf.write_joined(path, showers, **units)
    return {"jagged": sf.write_tree, "rntuple": sf.write_rntuple}[layout](path, sf.jagged_table(showers, **units))


@pytest.mark.parametrize("layout", READERS)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_every_layout_gives_the_showers_that_were_written(tmp_path, layout, dtype):
    showers = sf.truth()
    path = write(layout, tmp_path / "a.root", showers, dtype=dtype)
    particles, hits, row = read(sf.geometry(tmp_path, path, layout=layout))
    assert_same(showers, particles, hits)
    np.testing.assert_array_equal(row, np.arange(20))
    np.testing.assert_array_equal(particles.index, row)


@pytest.mark.parametrize("layout", READERS)
def test_units_are_converted_to_mm_and_mev(tmp_path, layout):
    showers = sf.truth()
    path = write(layout, tmp_path / "a.root", showers, mev=1000.0, mm=10.0)
    geometry = sf.geometry(tmp_path, path, layout=layout, units="{energy: GeV, length: cm}")
    assert_same(showers, *read(geometry)[:2])


@pytest.mark.parametrize("layout", READERS)
@pytest.mark.parametrize("batch_hits", [1, 100, 333])
def test_showers_do_not_depend_on_the_size_of_batches(tmp_path, layout, batch_hits):
    showers = sf.truth(50)
    path = tmp_path / "a.root"
    if layout == "joined":
        sf.write_joined(path, showers, baskets=7)
    elif layout == "jagged":
        sf.write_tree(path, sf.jagged_table(showers), baskets=7)
    else:
        sf.write_rntuple(path, sf.jagged_table(showers), clusters=7)
    geometry = sf.geometry(tmp_path, path, layout=layout)
    whole, pieces = read(geometry), read(geometry, batch_hits=batch_hits)
    for name in ("x", "y", "z", "e", "layer", "offsets"):
        np.testing.assert_array_equal(getattr(whole[1], name), getattr(pieces[1], name))
    np.testing.assert_array_equal(whole[0].energy, pieces[0].energy)
    np.testing.assert_array_equal(whole[2], pieces[2])
    assert_same(showers, *pieces[:2])
    limit = max(batch_hits, np.diff(showers.offsets).max())
    assert all(b.hits.offsets[-1] <= limit for b in iterate(geometry, batch_hits=batch_hits))


def test_barrel_layers_come_from_the_branch_or_from_the_radius(tmp_path):
    showers = sf.truth(frame="barrel")
    path = sf.write_tree(tmp_path / "a.root", sf.jagged_table(showers))
    with_branch = sf.geometry(tmp_path, path, detector=sf.BARREL)
    without = sf.geometry(tmp_path, path, detector=sf.BARREL, without=("layer",))
    assert_same(showers, *read(with_branch)[:2])
    assert_same(showers, *read(without)[:2])


def test_eta_and_phi_stand_in_for_a_momentum_and_a_missing_vertex_is_the_origin(tmp_path):
    showers = sf.truth(frame="barrel")
    table = sf.jagged_table(showers)
    momentum = np.stack([showers.primaries[role] for role in ("px", "py", "pz")])
    table["eta"] = np.arctanh(momentum[2] / np.linalg.norm(momentum, axis=0))
    table["phi"] = np.arctan2(momentum[1], momentum[0])
    path = sf.write_tree(tmp_path / "a.root", table)
    gone = ("px", "py", "pz", "vx", "vy", "vz")
    named = {"eta": "eta", "phi": "phi"}
    geometry = sf.geometry(tmp_path, path, detector=sf.BARREL, without=gone, branches=named)
    assert_same(showers, *read(geometry)[:2])


@pytest.mark.parametrize(
    ("energy_is", "energy"),
    [
        ("total", lambda t, m: t + m),
        ("momentum", lambda t, m: np.sqrt(t * (t + 2 * m))),
    ],
)
def test_energies_become_kinetic(tmp_path, energy_is, energy):
    showers = sf.truth(pdg=-211)
    other = showers.with_primary(energy=energy(showers.primaries["energy"], 139.57039))
    path = sf.write_tree(tmp_path / "a.root", sf.jagged_table(other))
    assert_same(showers, *read(sf.geometry(tmp_path, path, energy_is=energy_is))[:2])


def test_unit_vectors_are_directions_and_not_compared_with_the_energy(tmp_path):
    showers = sf.truth()
    path = sf.write_tree(tmp_path / "a.root", sf.jagged_table(showers.with_primary(pz=np.ones(20))))
    assert_same(showers, *read(sf.geometry(tmp_path, path))[:2])


@pytest.mark.parametrize("batch_hits", [200, 1_000_000])
def test_joined_hits_need_not_be_neighbours_and_events_not_in_order(tmp_path, batch_hits):
    showers = sf.truth(40)
    rng = np.random.default_rng(3)
    order = rng.permutation(showers.offsets[-1])
    events = rng.permutation(1000)[:40] + 10
    path = sf.write_joined(tmp_path / "a.root", showers, events=events, order=order, baskets=5)
    particles, hits, _ = read(sf.geometry(tmp_path, path, layout="joined"), batch_hits=batch_hits)
    assert_same(showers.permuted(order), particles, hits)


@pytest.mark.parametrize("layout", READERS)
def test_showers_without_hits_are_kept_and_counted(tmp_path, layout):
    showers = sf.truth(empty=(0, 2, 19))
    path = write(layout, tmp_path / "a.root", showers)
    with pytest.warns(FastparamWarning, match="3 of 20 showers have no hits; kept as zero response"):
        particles, hits, _ = read(sf.geometry(tmp_path, path, layout=layout))
    assert_same(showers, particles, hits)


def test_joined_hits_without_a_primary_are_refused(tmp_path):
    showers = sf.truth(6)
    path = sf.write_joined(tmp_path / "a.root", showers, events=[0, 1, 2, 3, 4, 77])
    geometry = sf.geometry(tmp_path, path, layout="joined")
    with uproot.open(path) as file:
        primaries, hits = (file[name].arrays(library="np") for name in ("primaries", "hits"))
    with uproot.recreate(path) as file:
        cut = {role: v[:4] for role, v in primaries.items()}
        file.mktree("primaries", {role: v.dtype for role, v in cut.items()}).extend(cut)
        file.mktree("hits", {role: v.dtype for role, v in hits.items()}).extend(hits)
    lost = int(showers.offsets[6] - showers.offsets[4])
    first = int(showers.offsets[4])
    with pytest.raises(InputError, match=rf"{lost} hits belong to events .* first event 4 \(row {first}\)"):
        list(iterate(geometry))


def test_joined_events_with_two_primaries_are_refused(tmp_path):
    showers = sf.truth(4)
    path = sf.write_joined(tmp_path / "a.root", showers, events=[5, 6, 7, 5])
    with pytest.raises(InputError, match="event 5 occurs in rows 0 and 3"):
        list(iterate(sf.geometry(tmp_path, path, layout="joined")))


def test_particles_alone_are_those_of_the_showers(tmp_path):
    showers = sf.truth(30)
    for layout in READERS:
        path = write(layout, tmp_path / f"{layout}.root", showers)
        geometry = sf.geometry(tmp_path, [path, path], layout=layout)
        alone, (particles, _, _) = read_particles(geometry), read(geometry)
        for name in ("pdg", "energy", "position", "direction", "index"):
            np.testing.assert_array_equal(getattr(alone, name), getattr(particles, name))


def test_unequal_hit_columns_name_row_and_branches(tmp_path):
    showers = sf.truth()
    table = sf.jagged_table(showers)
    offsets = showers.offsets.copy()
    offsets[7:] -= 1
    table["hit_y"] = sf.lists(table["hit_y"].layout.content.data[:-1], offsets)
    path = sf.write_tree(tmp_path / "a.root", table)
    n = int(np.diff(showers.offsets)[6])
    expected = rf"unequal length in 1 of rows 0 to 19, first in row 6: 'hit_x' has {n} values, 'hit_y' has {n - 1}"
    with pytest.raises(InputError, match=expected):
        list(iterate(sf.geometry(tmp_path, path)))


def test_missing_branches_are_named_with_the_near_match(tmp_path):
    path = sf.write_tree(tmp_path / "a.root", sf.jagged_table(sf.truth()))
    geometry = sf.geometry(tmp_path, path, branches={"e": "hit_energy", "energy": "Energy"})
    expected = (
        r"a.root: tree 'showers' has no branch 'Energy' \(energy\) \(did you mean 'energy'\?\), "
        r"'hit_energy' \(e\) .*samples\[0\]"
    )
    with pytest.raises(InputError, match=expected):
        list(iterate(geometry))


def test_a_missing_tree_is_named_with_what_there_is(tmp_path):
    path = sf.write_tree(tmp_path / "a.root", sf.jagged_table(sf.truth()), name="shower")
    expected = r"no tree 'showers' \(did you mean 'shower'\?\), as samples\[0\] names it; it holds shower"
    with pytest.raises(InputError, match=expected):
        list(iterate(sf.geometry(tmp_path, path)))


def test_branches_of_the_wrong_kind_are_refused(tmp_path):
    path = sf.write_tree(tmp_path / "a.root", sf.jagged_table(sf.truth()))
    with pytest.raises(InputError, match=r"branch 'energy' holds float32 in every row; expected a list"):
        list(iterate(sf.geometry(tmp_path, path, branches={"e": "energy"})))
    with pytest.raises(InputError, match=r"branch 'hit_e' holds var \* float32 in every row; expected one number"):
        list(iterate(sf.geometry(tmp_path, path, branches={"energy": "hit_e"})))


def test_formats_are_checked_against_the_registry_and_the_file(tmp_path):
    path = sf.write_tree(tmp_path / "a.root", sf.jagged_table(sf.truth()))
    with pytest.raises(InputError, match=r"unknown 'rntupel' \(did you mean 'rntuple'\?\)"):
        list(iterate(sf.geometry(tmp_path, path, more=", format: rntupel")))
    with pytest.raises(InputError, match=r"no reader for samples\[0\] with format rntuple"):
        list(iterate(sf.geometry(tmp_path, path, more=", format: rntuple")))
    assert len(read(sf.geometry(tmp_path, path, more=", format: jagged"))[2]) == 20


def test_branch_names_with_dots_are_names(tmp_path):
    showers = sf.truth()
    table = {name.replace("hit_", "hit."): values for name, values in sf.jagged_table(showers).items()}
    path = sf.write_tree(tmp_path / "a.root", table)
    names = {role: f"hit.{role}" for role in sf.HIT}
    assert_same(showers, *read(sf.geometry(tmp_path, path, branches=names))[:2])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "not a ROOT file but empty"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "not a ROOT file but an HDF5 file"),
        (b"event,x,y,z\n1,2,3,4\n", "not a ROOT file"),
    ],
)
def test_files_of_another_kind_are_refused(tmp_path, content, expected):
    path = tmp_path / "a.root"
    path.write_bytes(content)
    with pytest.raises(InputError, match=expected):
        list(iterate(sf.geometry(tmp_path, path)))


@pytest.mark.parametrize("fraction", [0.002, 0.3, 0.9, 0.999])
def test_truncated_files_are_refused(tmp_path, fraction):
    path = sf.write_tree(tmp_path / "a.root", sf.jagged_table(sf.truth()))
    raw = path.read_bytes()
    path.write_bytes(raw[: int(fraction * len(raw))])
    with pytest.raises(InputError, match=r"a\.root: truncated"):
        list(iterate(sf.geometry(tmp_path, path)))


def test_damaged_bytes_are_an_error_that_names_the_file(tmp_path):
    path = sf.write_tree(tmp_path / "a.root", sf.jagged_table(sf.truth(200)))
    raw = bytearray(path.read_bytes())
    middle = len(raw) // 3
    raw[middle : middle + len(raw) // 3] = bytes(len(raw) // 3)
    path.write_bytes(raw)
    with pytest.raises(InputError, match=r"a\.root: cannot be read as a ROOT file"):
        list(iterate(sf.geometry(tmp_path, path)))


@settings(max_examples=25)
@given(layout=st.sampled_from(list(READERS)), seed=st.integers(0, 2**32 - 1))
def test_no_damage_to_a_file_escapes_as_anything_but_an_input_error(tmp_path_factory, layout, seed):
    folder = tmp_path_factory.mktemp("damaged")
    path = write(layout, folder / "a.root", sf.truth(10))
    rng = np.random.default_rng(seed)
    raw = np.frombuffer(path.read_bytes(), dtype=np.uint8).copy()
    at = rng.integers(0, len(raw), 10)
    raw[at] = rng.integers(0, 256, 10)
    path.write_bytes(raw.tobytes())
    with warnings.catch_warnings(), suppress(InputError):
        warnings.simplefilter("ignore", FastparamWarning)
        list(iterate(sf.geometry(folder, path, layout=layout)))
