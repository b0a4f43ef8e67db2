"""Summary files: what is written is read back to the last bit, and files that are no summaries are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import toys
from summary_twin import assert_identical

from fastparam.errors import InputError
from fastparam.geometry.load import load_geometry
from fastparam.summary import choose_binning, load_summary, save_summary, summarise_hits
from fastparam.summary.file import FORMAT, load_geometry_of


@pytest.fixture(params=["tiny_planar", "tiny_block", "tiny_barrel"])
def made(request):
    geometry = load_geometry(request.getfixturevalue(request.param))
    particles = toys.gun(geometry, n=5, seed=2).with_index(np.arange(100, 115))
    hits = toys.shower_batch(geometry, particles, seed=2, n_spots=200)
    binning = choose_binning(geometry, particles, hits, particles)
    return geometry, replace(summarise_hits(geometry, particles, hits, binning), sample_rows=300)


@pytest.fixture
def saved(made, tmp_path):
    path = tmp_path / "summary.h5"
    save_summary(path, made[1], made[0])
    return path


def test_a_summary_comes_back_to_the_last_bit(made, saved):
    geometry, summary = made
    read, read_geometry = load_summary(saved)
    assert_identical(read, summary)
    assert read.sample_rows == 300
    assert read_geometry.digest == geometry.digest == read.geometry_digest
    assert load_geometry_of(saved).digest == geometry.digest
    assert [p.name for p in saved.parent.glob("*summary*")] == ["summary.h5"]


def test_an_empty_selection_is_a_summary_too(made, tmp_path):
    geometry, summary = made
    none = summary.take([])
    save_summary(tmp_path / "none.h5", none, geometry)
    assert_identical(load_summary(tmp_path / "none.h5")[0], none)


def test_the_same_summary_makes_the_same_file(made, saved, tmp_path):
    again = tmp_path / "again.h5"
    save_summary(again, load_summary(saved)[0], made[0])
    assert again.read_bytes() == saved.read_bytes()


def test_a_failed_write_leaves_nothing_and_the_old_file_as_it_was(made, saved):
    geometry, summary = made
    before = saved.read_bytes()
    broken = replace(summary, r90=np.array([object()]))
    with pytest.raises(TypeError):
        save_summary(saved, broken, geometry)
    assert saved.read_bytes() == before
    assert not list(saved.parent.glob(".*partial"))


def refused(path: Path, message: str) -> None:
    for read in (load_summary, load_geometry_of):
        with pytest.raises(InputError, match=message) as caught:
            read(path)
        assert str(caught.value).startswith(str(path))


def test_a_missing_file_is_refused(tmp_path):
    refused(tmp_path / "nothing.h5", "no such file")


@pytest.mark.parametrize("content", [b"", b"not an HDF5 file", b"\x89HDF\r\n\x1a\n" + bytes(100)])
def test_a_file_that_is_not_hdf5_is_refused(tmp_path, content):
    path = tmp_path / "foreign.h5"
    path.write_bytes(content)
    refused(path, "cannot be read as a summary .*; summarise the sample again")


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_file_is_refused(saved, share):
    content = saved.read_bytes()
    saved.write_bytes(content[: int(share * len(content))])
    refused(saved, "cannot be read as a summary .*; summarise the sample again")


def test_another_programs_hdf5_is_refused(tmp_path):
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("showers", data=np.zeros(3))
    refused(path, "is no fastparam summary; expected a file written by `fastparam summarise`")


def test_a_newer_format_is_refused(saved):
    with h5py.File(saved, "a") as file:
        file.attrs["format"] = FORMAT + 1
    refused(saved, f"summary format {FORMAT + 1}, this fastparam reads up to {FORMAT}; update fastparam")


@pytest.mark.parametrize("name", ["layer_energy", "content_bin_steps", "particles/energy", "binning"])
def test_a_summary_without_one_of_its_arrays_is_refused(saved, name):
    with h5py.File(saved, "a") as file:
        del file[name]
    with pytest.raises(InputError, match=r"cannot be read as a summary \(.*\); summarise the sample again"):
        load_summary(saved)


def test_corrupted_data_are_refused(saved):
    """Bytes in the middle of the compressed content turned over."""
    with h5py.File(saved) as file:
        where = file["content_energy"].id.get_chunk_info(0)
    content = bytearray(saved.read_bytes())
    middle = where.byte_offset + where.size // 2
    content[middle : middle + 8] = bytes(255 - b for b in content[middle : middle + 8])
    saved.write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as a summary"):
        load_summary(saved)
