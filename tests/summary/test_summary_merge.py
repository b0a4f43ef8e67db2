"""Joining parts: the same bits as one pass, and what is refused."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import toys
from hypothesis import given, settings
from hypothesis import strategies as st
from summary_twin import assert_identical

from fastparam.errors import FastparamWarning, InputError
from fastparam.geometry.load import parse_geometry
from fastparam.summary import choose_binning, concatenate, merge, summarise_hits


@pytest.fixture(scope="module")
def whole():
    """Twelve showers, rows 0 to 11 of a sample of twelve."""
    geometry = parse_geometry(toys.BLOCK, Path("block.yaml"))
    particles = toys.gun(geometry, n=4, seed=1)
    hits = toys.shower_batch(geometry, particles, seed=1, n_spots=60)
    binning = choose_binning(geometry, particles, hits, particles)
    return replace(summarise_hits(geometry, particles, hits, binning), sample_rows=12)


@settings(max_examples=40)
@given(owner=st.lists(st.integers(0, 4), min_size=12, max_size=12), order=st.permutations(range(5)))
def test_any_partition_in_any_order_gives_the_whole(whole, owner, order):
    parts = [whole.take(np.flatnonzero(np.array(owner) == k)) for k in order]
    assert_identical(merge(parts, [f"part{k}" for k in order]), whole)


def test_merged_parts_can_be_merged_again(whole):
    a, b, c = (whole.take(slice(i, i + 4)) for i in (0, 4, 8))
    with pytest.warns(FastparamWarning, match="4 of the 12 rows"):
        front = merge([b, a], ["b", "a"])
    assert_identical(merge([c, front], ["c", "front"]), whole)


def test_one_part_is_itself(whole):
    assert_identical(merge([whole], ["all"]), whole)
    assert concatenate([whole]) is whole


def test_rows_in_no_part_are_named(whole):
    parts = [whole.take([0, 1, 2]), whole.take([5, 6]), whole.take([8])]
    message = r"6 of the 12 rows of the sample are in none of the 3 merged parts: 3 to 4, 7, 9 to 11; .* lacks them"
    with pytest.warns(FastparamWarning, match=message):
        assert merge(parts, list("abc")).row.tolist() == [0, 1, 2, 5, 6, 8]
    with pytest.warns(FastparamWarning, match="merged parts: 0, 2, 4, ...;"):
        merge([whole.take([1, 3, 5, 7, 9, 11])], ["odd"])


def test_without_the_length_of_the_sample_no_row_is_missed(whole):
    parts = [replace(whole, sample_rows=0).take([i]) for i in (3, 9)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert merge(parts, ["a", "b"]).row.tolist() == [3, 9]


def test_a_row_in_two_parts_is_refused(whole):
    parts = [whole.take(slice(0, 5)), whole.take(slice(4, 12))]
    with pytest.raises(InputError, match=r"^row 4 is in one.h5 and in two.h5; merge each part only once"):
        merge(parts, ["one.h5", "two.h5"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"geometry_digest": "0123456789abcdef"}, "two.h5: made with another geometry than one.h5"),
        ({"sample_rows": 13}, "two.h5: part of a sample of 13 rows, one.h5 of one of 12"),
    ],
)
def test_parts_of_other_detectors_or_samples_are_refused(whole, change, message):
    a, b = whole.take(slice(0, 6)), whole.take(slice(6, 12))
    with pytest.raises(InputError, match=message):
        merge([a, replace(b, **change)], ["one.h5", "two.h5"])


def test_parts_that_are_cut_differently_are_refused(whole):
    a, b = whole.take(slice(0, 6)), whole.take(slice(6, 12))
    other = replace(b, binning=replace(b.binning, r_edges=1.1 * b.binning.r_edges))
    with pytest.raises(InputError, match=r"two.h5: its depth cells or radial bins differ from those of one.h5"):
        merge([a, other], ["one.h5", "two.h5"])
