"""Rows, parts, files and batches: which showers come, in which order, and that reading ahead leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import showerfiles as sf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastparam.errors import FastparamWarning, InputError, UsageError
from fastparam.hits import inspect, iterate, iterate_file, read_particles
from fastparam.hits.columns import Columns
from fastparam.hits.convert import TOLERANCE, convert, layer_at
from fastparam.hits.layout import SHOWER_FILE


def rows_of(batches):
    return np.concatenate([b.row for b in batches] or [[]])


@pytest.fixture
def three_files(tmp_path):
    """Files of 5, 8 and 4 rows in two entries; listed by name and by pattern."""
    for i, n in enumerate((5, 8, 4)):
        sf.write_tree(tmp_path / f"part{i}.root", sf.jagged_table(sf.truth(n, seed=i)))
    return sf.geometry(tmp_path, "part[01].root", str(tmp_path / "part2.root"))


def test_rows_count_through_the_files_of_all_entries(three_files):
    energies = np.concatenate([sf.truth(n, seed=i).primaries["energy"] for i, n in enumerate((5, 8, 4))])
    batches = list(iterate(three_files))
    np.testing.assert_array_equal(rows_of(batches), np.arange(17))
    np.testing.assert_array_equal(np.concatenate([b.particles.energy for b in batches]), energies)
    even, odd = (list(iterate(three_files, rows=rows, batch_hits=100)) for rows in ("even", "odd"))
    np.testing.assert_array_equal(rows_of(even), np.arange(0, 17, 2))
    np.testing.assert_array_equal(rows_of(odd), np.arange(1, 17, 2))
    np.testing.assert_array_equal(np.concatenate([b.particles.energy for b in odd]), energies[1::2])


def test_hits_of_even_and_odd_rows_are_those_of_all_rows(three_files):
    per_row = {}
    for batch in iterate(three_files):
        for i, row in enumerate(batch.row):
            own = slice(*batch.hits.offsets[i : i + 2])
            per_row[row] = batch.hits.x[own], batch.hits.e[own], batch.hits.layer[own]
    seen = set()
    for rows in ("even", "odd"):
        for batch in iterate(three_files, rows=rows):
            for i, row in enumerate(batch.row):
                own = slice(*batch.hits.offsets[i : i + 2])
                for name, expected in zip(("x", "e", "layer"), per_row[row], strict=True):
                    np.testing.assert_array_equal(getattr(batch.hits, name)[own], expected)
                seen.add(int(row))
    assert seen == set(range(17))


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(n=st.integers(1, 20), rows=st.sampled_from(["all", "even", "odd"]), batch_hits=st.integers(1, 500))
def test_parts_are_disjoint_contiguous_and_complete(three_files, n, rows, batch_hits):
    parts = [rows_of(iterate(three_files, rows=rows, part=(i, n), batch_hits=batch_hits)) for i in range(1, n + 1)]
    np.testing.assert_array_equal(np.concatenate(parts), rows_of(iterate(three_files, rows=rows)))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"rows": "evn"}, "rows: unknown 'evn'"),
        ({"part": (0, 3)}, "part: 0/3 does not exist"),
        ({"part": (4, 3)}, "part: 4/3 does not exist"),
        ({"batch_hits": 0}, "batch_hits: found 0"),
    ],
)
def test_impossible_options_are_refused_before_anything_is_read(three_files, options, expected):
    with pytest.raises(UsageError, match=expected):
        iterate(three_files, **options)


def test_a_missing_file_names_its_place_in_the_geometry_and_its_neighbour(tmp_path):
    sf.write_tree(tmp_path / "photons.root", sf.jagged_table(sf.truth(3)))
    expected = r"samples\[0\]\.files\[1\]: file '.*/photon\.root' does not exist \(did you mean 'photons\.root'\?\)"
    with pytest.raises(InputError, match=expected):
        iterate(sf.geometry(tmp_path, ["photons.root", "photon.root"]))


def test_patterns_without_a_match_directories_urls_and_empty_lists_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"files\[0\]: no file matches 'hits_\*\.root'"):
        iterate(sf.geometry(tmp_path, "hits_*.root"))
    with pytest.raises(InputError, match="is not a file; to read all of a directory write"):
        iterate(sf.geometry(tmp_path, tmp_path))
    with pytest.raises(InputError, match="is a URL; copy the file"):
        iterate(sf.geometry(tmp_path, "https://example.org/hits.root"))
    with pytest.raises(InputError, match="no samples to read"):
        iterate(sf.geometry(tmp_path))
    with pytest.raises(InputError, match="no samples to read"):
        read_particles(sf.geometry(tmp_path))


def test_a_reader_that_is_abandoned_leaves_no_thread_behind(three_files):
    before = threading.active_count()
    batches = iterate(three_files, batch_hits=1)
    next(batches)
    assert threading.active_count() > before  # negative control: it does read ahead
    batches.close()
    assert threading.active_count() == before


def test_a_reader_that_is_still_open_when_python_exits_closes_quietly():
    program = """
from fastparam.hits.batches import _ahead
def items():
    try:
        yield from (1, 2, 3)
    finally:
        print("closed")
ahead = _ahead(items())
print("read", next(ahead))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "read 1\nclosed\n", "")


def test_an_error_while_reading_ahead_reaches_the_caller(tmp_path):
    good = sf.write_tree(tmp_path / "good.root", sf.jagged_table(sf.truth(4)))
    (tmp_path / "bad.root").write_bytes(b"root")
    batches = iterate(sf.geometry(tmp_path, [good, "bad.root"]))
    assert len(next(batches)) == 4
    with pytest.raises(InputError, match=r"bad\.root: truncated"):
        next(batches)


@pytest.mark.parametrize(
    ("depth", "layer"),
    [
        (2.0, 0),
        (3.0, 0),
        (2.0 - 0.1, 0),  # positions are rounded to 0.1 mm
        (3.0 + 0.1, 0),
        (2.0 - 0.16, -1),
        (3.16, -1),
        (4.5, -1),
        (11.5, 3),
        (12.2, -1),
        (-100.0, -1),
        (1e9, -1),
    ],
)
def test_a_hit_a_tenth_of_a_millimetre_outside_its_layer_is_rounding(tmp_path, depth, layer):
    assert layer_at(np.array([depth]), sf.geometry(tmp_path)) == layer


def test_between_layers_that_nearly_touch_the_nearest_one_has_the_hit(tmp_path):
    text = sf.BARREL.replace("from: 110, to: 130", "from: 110.2, to: 130")
    geometry = sf.geometry(tmp_path, detector=text)
    np.testing.assert_array_equal(layer_at(np.array([110.08, 110.12]), geometry), [0, 1])
    np.testing.assert_array_equal(layer_at(np.array([110.1 - 1e-9, 130.1]), geometry), [0, 1])


@given(depths=st.lists(st.floats(-1.0, 14.0), min_size=1, max_size=30))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_layer_of_a_position_is_the_nearest_within_the_tolerance(tmp_path, depths):
    geometry = sf.geometry(tmp_path)
    values = np.array(depths)
    distance = np.maximum(0.0, np.maximum(geometry.layer_from - values[:, None], values[:, None] - geometry.layer_to))
    slow = np.where(distance.min(axis=1) <= TOLERANCE, distance.argmin(axis=1), -1)
    np.testing.assert_array_equal(layer_at(values, geometry), slow)


def test_the_compiled_pass_agrees_with_a_plain_loop(tmp_path):
    geometry = sf.geometry(tmp_path)
    rng = np.random.default_rng(5)
    offsets = np.array([0, 7, 7, 40, 100])
    z, e, ids = rng.uniform(-1, 14, 100), rng.normal(1, 1, 100), rng.integers(9, 15, 100)
    z[3], e[50] = np.nan, np.inf
    columns = Columns(0, {}, {"x": z, "y": z, "z": z, "e": e, "layer": ids}, offsets)
    chosen = np.array([0, 2, 3])
    hits, found = convert(columns, geometry, SHOWER_FILE, chosen)
    expected = {name: [0, 0, 0] for name in ("not_finite", "negative", "outside", "elsewhere", "unknown")}
    layers = []
    for k, shower in enumerate(chosen):
        for i in range(offsets[shower], offsets[shower + 1]):
            expected["not_finite"][k] += not np.isfinite(z[i] + e[i])
            expected["negative"][k] += e[i] < 0
            index = ids[i] - 10 if 10 <= ids[i] <= 13 else -1
            expected["unknown"][k] += index < 0
            at = layer_at(z[i : i + 1], geometry)[0]
            if index >= 0 and not (2 + 3 * index - TOLERANCE <= z[i] <= 3 + 3 * index + TOLERANCE):
                expected["elsewhere"][k] += 1
                expected["outside"][k] += at < 0
                index = index if at >= 0 else -1
            layers.append(index)
    for name, counts in expected.items():
        np.testing.assert_array_equal(getattr(found, name), counts, err_msg=name)
    np.testing.assert_array_equal(hits.layer, layers)
    np.testing.assert_array_equal(hits.offsets, [0, 7, 40, 100])
    np.testing.assert_array_equal(hits.e, np.maximum(np.concatenate([e[:7], e[7:]]), 0.0))


def test_layer_ids_may_be_in_any_order_and_have_gaps(tmp_path):
    text = sf.BARREL.replace("id: 0", "id: 7").replace("id: 1", "id: 1000000").replace("id: 5", "id: 2")
    showers = sf.truth(frame="barrel")
    table = sf.jagged_table(showers)
    table["hit_layer"] = sf.lists(np.array([7, 1000000, 2], dtype="i8")[showers.index], showers.offsets)
    path = sf.write_tree(tmp_path / "a.root", table)
    (batch,) = iterate(sf.geometry(tmp_path, path, detector=text))
    np.testing.assert_array_equal(batch.hits.layer, showers.index)


def test_a_file_outside_the_samples_is_read_by_their_layouts(tmp_path):
    showers = sf.truth(6)
    other = sf.write_joined(tmp_path / "other.root", showers, mev=1000.0)
    geometry = sf.geometry(tmp_path, "absent.root", layout="joined", units="{energy: GeV}")
    (batch,) = iterate_file(other, geometry, rows="odd")
    np.testing.assert_array_equal(batch.row, [1, 3, 5])
    np.testing.assert_allclose(batch.particles.energy, showers.primaries["energy"][1::2], rtol=1e-6)


def test_a_file_of_no_known_layout_says_what_was_tried(tmp_path):
    path = sf.write_tree(tmp_path / "a.root", sf.jagged_table(sf.truth(3)), name="events")
    expected = (
        r"(?s)has none of the layouts known here:.*samples\[0\]: no tree 'primaries'.*fastparam sample.*'showers'"
    )
    with pytest.raises(InputError, match=expected):
        iterate_file(path, sf.geometry(tmp_path, "absent.root", layout="joined"))


def test_a_file_that_fits_samples_in_different_units_is_ambiguous(tmp_path):
    path = sf.write_tree(tmp_path / "a.root", sf.jagged_table(sf.truth(3)))
    geometry = sf.geometry(tmp_path, "one.root", "two.root")
    assert sum(len(b) for b in iterate_file(path, geometry)) == 3
    second = geometry.config.samples[1]
    second.units = type(second.units)(energy="GeV", length="mm")
    with pytest.raises(InputError, match=r"samples\[0\], samples\[1\], which differ in units"):
        iterate_file(path, geometry)


def test_inspection_lists_particles_and_ranges(tmp_path):
    for pdg in (11, 22):
        sf.write_tree(tmp_path / f"{pdg}.root", sf.jagged_table(sf.truth(12, frame="barrel", pdg=pdg)))
    found = inspect(sf.geometry(tmp_path, ["11.root", "22.root"], detector=sf.BARREL))
    assert found.problems == []
    assert found.rows == 24
    assert [p[:4] for p in found.points] == [(11, 12, 1000.0, 16000.0), (22, 12, 1000.0, 16000.0)]
    for *_, low, high in found.points:
        assert 0.2 <= low < high <= 0.25
    sliced = inspect(
        sf.geometry(tmp_path, ["11.root"], detector=sf.BARREL + "slices: {eta: [[0.1, 0.225], [0.225, 0.5]]}\n")
    )
    assert [p[4:] for p in sliced.points] == [(0.1, 0.225), (0.225, 0.5)]
    assert sum(p[1] for p in sliced.points) == 12


def test_inspection_of_a_planar_detector_has_no_eta(tmp_path):
    sf.write_tree(tmp_path / "a.root", sf.jagged_table(sf.truth(12)))
    (point,) = inspect(sf.geometry(tmp_path, "a.root")).points
    assert point == (11, 12, 1000.0, 16000.0, None, None)


def test_inspection_collects_problems_instead_of_stopping(tmp_path):
    sf.write_tree(tmp_path / "good.root", sf.jagged_table(sf.truth(12, empty=(1,))))
    (tmp_path / "bad.root").write_bytes(b"nothing")
    with pytest.warns(FastparamWarning, match=r"good\.root: 1 of 12 showers have no hits"):
        found = inspect(sf.geometry(tmp_path, ["bad.root", "good.root"]))
    assert found.rows == 12
    (problem,) = found.problems
    assert "bad.root: not a ROOT file" in problem
    absent = inspect(sf.geometry(tmp_path, "absent.root"))
    assert (absent.rows, absent.points) == (0, [])
    assert "does not exist" in absent.problems[0]
