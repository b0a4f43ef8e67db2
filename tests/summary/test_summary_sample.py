"""Files -> Summary: any split into batches, parts, files or entries gives the same bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import showerfiles as sf
import toys
from hypothesis import given, settings
from hypothesis import strategies as st
from summary_twin import assert_identical

from fastparam.errors import FastparamWarning, InputError
from fastparam.geometry.load import load_geometry, parse_geometry
from fastparam.hits import Hits
from fastparam.summary import merge, summarise_hits, summarise_sample

N = 36


@pytest.fixture(scope="module", params=["PLANAR", "BLOCK", "BARREL"])
def sample(request, tmp_path_factory):
    """Folder of a detector, its toy showers in one file, and their summary."""
    folder = tmp_path_factory.mktemp("sample")
    path = toys.write_detector(folder, getattr(toys, request.param), n=N // 3, n_spots=300, seed=4)
    geometry = load_geometry(path)
    return folder, geometry, summarise_sample(geometry)


def listed(folder: Path, *entries: list[str]):
    """The same detector with other files."""
    text = (folder / "geometry.yaml").read_text(encoding="utf-8")
    head, rest = text.split("samples:\n")
    rest = rest.split("\n", 1)[1]
    samples = "".join(f"  - files: {files}\n{rest}\n" for files in entries)
    return parse_geometry(f"{head}samples:\n{samples}", folder / "geometry.yaml")


def test_files_summarised_are_hits_summarised(sample):
    _, geometry, whole = sample
    particles = toys.gun(geometry, n=N // 3, seed=4)
    hits = toys.shower_batch(geometry, particles, seed=4, n_spots=300)
    summary = summarise_hits(geometry, particles, hits, whole.binning)
    assert whole.sample_rows == N
    np.testing.assert_array_equal(whole.row, np.arange(N))
    np.testing.assert_allclose(whole.layer_energy, summary.layer_energy, rtol=2.0**-16)
    np.testing.assert_array_equal(whole.n_hits, summary.n_hits)


@settings(max_examples=4)
@given(batch_hits=st.integers(1, 12_000))
def test_any_size_of_batches_gives_the_same_bits(sample, batch_hits):
    _, geometry, whole = sample
    assert_identical(summarise_sample(geometry, batch_hits=batch_hits), whole)


@settings(max_examples=3)
@given(n=st.integers(2, 7))
def test_any_number_of_parts_merges_to_the_same_bits(sample, n):
    _, geometry, whole = sample
    parts = [summarise_sample(geometry, part=(i, n), batch_hits=1500) for i in range(1, n + 1)]
    assert [part.sample_rows for part in parts] == [N] * n
    assert_identical(merge(parts[::-1], [str(i) for i in range(n)]), whole)


@settings(max_examples=5)
@given(cuts=st.lists(st.integers(1, N - 1), min_size=1, max_size=4, unique=True), entries=st.integers(1, 2))
def test_any_split_into_files_gives_the_same_bits(sample, cuts, entries):
    folder, geometry, whole = sample
    particles = toys.gun(geometry, n=N // 3, seed=4)
    hits = toys.shower_batch(geometry, particles, seed=4, n_spots=300)
    edges = [0, *sorted(cuts), N]
    names = [f"piece{i}.root" for i in range(len(cuts) + 1)]
    for name, a, b in zip(names, edges[:-1], edges[1:], strict=True):
        used = slice(hits.offsets[a], hits.offsets[b])
        columns = (getattr(hits, c)[used] for c in ("x", "y", "z", "e", "layer"))
        piece = Hits(*columns, hits.offsets[a : b + 1] - hits.offsets[a])
        toys.write_root(folder / name, geometry, particles.take(slice(a, b)), piece)
    split = listed(folder, *([names] if entries == 1 else [names[:1], names[1:]]))
    assert_identical(summarise_sample(split), whole)


def test_the_order_of_files_is_the_order_of_rows(sample):
    """Negative control: another order of the same files is another summary."""
    folder, geometry, _ = sample
    particles = toys.gun(geometry, n=1, seed=5)
    toys.write_root(folder / "few.root", geometry, particles, toys.shower_batch(geometry, particles, seed=5))
    names = ["few.root", "toy.root"]
    first, last = (summarise_sample(listed(folder, files)) for files in (names, names[::-1]))
    assert first.sample_rows == last.sample_rows == N + 3
    assert not np.array_equal(first.visible, last.visible)
    np.testing.assert_array_equal(np.sort(first.visible), np.sort(last.visible))


def test_progress_grows_to_one(sample):
    _, geometry, _ = sample
    seen: list[float] = []
    summarise_sample(geometry, part=(2, 3), batch_hits=1000, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_layouts_of_files_make_no_difference(tmp_path):
    """The same showers as a jagged tree, an RNTuple, and two trees joined by event number."""
    showers = sf.truth(30, seed=8)
    # Without layers in the file a hit's layer follows from its position.
    sf.write_tree(tmp_path / "tree.root", sf.jagged_table(showers))
    sf.write_rntuple(tmp_path / "ntuple.root", sf.jagged_table(showers))
    sf.write_joined(tmp_path / "joined.root", showers)
    tree, ntuple = (summarise_sample(sf.geometry(tmp_path, f"{name}.root")) for name in ("tree", "ntuple"))
    joined = summarise_sample(sf.geometry(tmp_path, "joined.root", layout="joined"))
    assert_identical(ntuple, tree)
    assert_identical(joined, tree)


def test_showers_without_hits_are_kept_as_zero_response(tmp_path):
    sf.write_tree(tmp_path / "a.root", sf.jagged_table(sf.truth(12, seed=3, empty=(0, 7))))
    with pytest.warns(FastparamWarning, match="2 of 12 showers"):
        summary = summarise_sample(sf.geometry(tmp_path, "a.root"))
    assert len(summary) == 12
    assert np.flatnonzero(summary.visible == 0).tolist() == [0, 7]


def test_negative_energies_are_counted_per_shower(tmp_path):
    showers = sf.truth(12, seed=3)
    e = showers.hits["e"].copy()
    e[[showers.offsets[4], showers.offsets[4] + 1, showers.offsets[9]]] *= -1
    sf.write_tree(tmp_path / "a.root", sf.jagged_table(showers.with_hit(e=e)))
    with pytest.warns(FastparamWarning, match="3 of 421 hits have a negative energy, which was set to 0"):
        summary = summarise_sample(sf.geometry(tmp_path, "a.root"))
    assert summary.n_negative.tolist() == [0, 0, 0, 0, 2, 0, 0, 0, 0, 1, 0, 0]


def test_a_geometry_without_samples_is_refused(tmp_path):
    with pytest.raises(InputError, match="has no samples to read; add them under `samples:`"):
        summarise_sample(sf.geometry(tmp_path))


def test_samples_without_showers_are_refused(tmp_path):
    sf.write_tree(tmp_path / "none.root", sf.jagged_table(sf.truth(0)))
    with pytest.raises(InputError, match="the samples hold no showers"):
        summarise_sample(sf.geometry(tmp_path, "none.root"))


def test_a_part_without_rows_is_refused(tmp_path):
    sf.write_tree(tmp_path / "two.root", sf.jagged_table(sf.truth(2)))
    geometry = sf.geometry(tmp_path, "two.root")
    with pytest.raises(InputError, match=r"not a single shower in the sample; check .*`--part`"):
        summarise_sample(geometry, part=(1, 3))
