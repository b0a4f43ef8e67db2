"""The ROOT files that ``fastparam sample`` writes: what is in them, and that they are read back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import showerfiles as sf
import uproot

from fastparam.errors import FastparamWarning, InputError
from fastparam.hits import iterate_file
from fastparam.hits.hits import Hits
from fastparam.particles import MASSES, Particles
from fastparam.showers.root import RootWriter
from fastparam.showers.showers import Showers

#: The stack of `showerfiles`, with layers 10 to 13.
GEOMETRY = sf.geometry(Path())

BARREL = ["pdg", "energy", "eta", "phi", "vx", "vy", "vz", "px", "py", "pz"]
HITS = ["nhit", "hit_x", "hit_y", "hit_z", "hit_e", "hit_layer"]


def in_memory(showers):
    particles = Particles.build(
        pdg=showers.primaries["pdg"],
        energy=showers.primaries["energy"] * 1.000123456789,  # not a single-precision number
        position=np.stack([showers.primaries[role] for role in ("vx", "vy", "vz")], axis=1),
        direction=np.stack([showers.primaries[role] for role in ("px", "py", "pz")], axis=1),
    )
    h = showers.hits
    hits = Hits(h["x"], h["y"], h["z"], h["e"], showers.index.astype(np.int32), showers.offsets.astype(np.int64))
    return particles, hits


def write(path, geometry, showers, provenance=None):
    with RootWriter(path, geometry, provenance=provenance or {}) as writer:
        for some in showers:
            writer.write(Showers(*in_memory(some), geometry))
    return path


@pytest.mark.parametrize(("frame", "detector"), [("planar", sf.PLANAR), ("barrel", sf.BARREL)])
@pytest.mark.parametrize("pdg", [22, -11, 211])
def test_showers_are_read_back_as_they_were_written(tmp_path, frame, detector, pdg):
    geometry = sf.geometry(tmp_path, detector=detector)
    chunks = [sf.truth(n, frame=frame, seed=n, pdg=pdg) for n in (7, 1, 12)]
    path = write(tmp_path / "out.root", geometry, chunks)
    batches = list(iterate_file(path, geometry))
    written = [in_memory(chunk) for chunk in chunks]
    particles = Particles.concatenate([p for p, _ in written])
    back = Particles.concatenate([b.particles for b in batches])
    np.testing.assert_array_equal(back.pdg, particles.pdg)
    # Primaries come back to the last digits, so that other generators can be given exactly the same.
    np.testing.assert_array_equal(back.energy, particles.energy)
    np.testing.assert_array_equal(back.position, particles.position)
    np.testing.assert_allclose(back.direction, particles.direction, rtol=0, atol=1e-15)
    for name in ("x", "y", "z", "e"):
        expected = np.concatenate([getattr(h, name) for _, h in written]).astype(np.float32)
        np.testing.assert_array_equal(np.concatenate([getattr(b.hits, name) for b in batches]), expected)
    np.testing.assert_array_equal(
        np.concatenate([b.hits.layer for b in batches]), np.concatenate([h.layer for _, h in written])
    )
    np.testing.assert_array_equal(
        np.concatenate([b.hits.n_hits for b in batches]), np.concatenate([h.n_hits for _, h in written])
    )


def test_the_tree_has_the_documented_branches(tmp_path):
    for detector, frame in ((sf.PLANAR, "planar"), (sf.BARREL, "barrel")):
        geometry = sf.geometry(tmp_path, detector=detector)
        path = write(tmp_path / f"{frame}.root", geometry, [sf.truth(4, frame=frame)])
        with uproot.open(path) as file:
            tree = file["showers"]
            expected = [name for name in BARREL if frame == "barrel" or name not in ("eta", "phi")]
            assert tree.keys() == expected + HITS
            assert tree["hit_x"].typename == "float[]"
            assert tree["hit_layer"].typename == "int32_t[]"


def test_momentum_eta_phi_and_layer_ids_are_the_users(tmp_path):
    geometry = sf.geometry(tmp_path, detector=sf.BARREL)
    showers = sf.truth(9, frame="barrel", pdg=-211)
    path = write(tmp_path / "out.root", geometry, [showers])
    particles, _ = in_memory(showers)
    with uproot.open(path) as file:
        table = file["showers"].arrays(library="np")
    momentum = np.stack([table["px"], table["py"], table["pz"]])
    energy = np.sqrt((momentum**2).sum(axis=0) + MASSES[211] ** 2) - MASSES[211]
    np.testing.assert_allclose(energy, particles.energy, rtol=1e-12)
    np.testing.assert_allclose(np.arcsinh(momentum[2] / np.hypot(momentum[0], momentum[1])), table["eta"], rtol=1e-12)
    np.testing.assert_allclose(np.arctan2(momentum[1], momentum[0]), table["phi"], rtol=1e-12)
    np.testing.assert_array_equal(np.concatenate(table["hit_layer"]), np.array([0, 1, 5])[showers.index])


def test_empty_showers_have_a_row_and_no_showers_make_a_file(tmp_path):
    geometry = sf.geometry(tmp_path)
    path = write(tmp_path / "out.root", geometry, [sf.truth(3, empty=(0, 2)), sf.truth(2, empty=(0, 1))])
    with pytest.warns(FastparamWarning, match="4 of 5 showers have no hits"):
        (batch,) = iterate_file(path, geometry, batch_hits=10**6)
    np.testing.assert_array_equal(batch.hits.n_hits > 0, [False, True, False, False, False])
    nothing = write(tmp_path / "nothing.root", geometry, [])
    assert list(iterate_file(nothing, geometry)) == []


def test_provenance_is_a_string_beside_the_tree(tmp_path):
    provenance = {"tune": "tiny", "seed": 1}
    path = write(tmp_path / "out.root", sf.geometry(tmp_path), [sf.truth(2)], provenance)
    with uproot.open(path) as file:
        assert file.classnames(cycle=False)["fastparam"] == "TObjString"
        assert json.loads(file["fastparam"]) == provenance


def test_the_mark_outweighs_a_sample_layout_in_other_units(tmp_path):
    geometry = sf.geometry(tmp_path, "absent.root", units="{energy: GeV, length: cm}", energy_is="total")
    showers = sf.truth(4)
    path = write(tmp_path / "out.root", geometry, [showers])
    (batch,) = iterate_file(path, geometry)
    np.testing.assert_allclose(batch.particles.energy, showers.primaries["energy"], rtol=1e-3)


def test_a_failure_leaves_no_file_and_the_old_one_untouched(tmp_path):
    path = tmp_path / "out.root"
    path.write_text("old")
    with pytest.raises(RuntimeError), RootWriter(path, GEOMETRY, provenance={}) as writer:  # noqa: PT012
        writer.write(Showers(*in_memory(sf.truth(3)), GEOMETRY))
        raise RuntimeError
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["out.root"]


def test_closing_completes_the_file(tmp_path):
    path = tmp_path / "out.root"
    writer = RootWriter(path, GEOMETRY, provenance={})
    writer.write(Showers(*in_memory(sf.truth(3)), GEOMETRY))
    assert not path.exists()
    writer.close()
    assert sum(len(b) for b in iterate_file(path, sf.geometry(tmp_path))) == 3


def test_particles_of_unknown_mass_are_refused(tmp_path):
    path = tmp_path / "out.root"
    with (
        pytest.raises(InputError, match="pdg 3122: its mass is not known"),
        RootWriter(path, GEOMETRY, provenance={}) as writer,
    ):
        writer.write(Showers(*in_memory(sf.truth(3, pdg=3122)), GEOMETRY))
    assert list(tmp_path.iterdir()) == []
