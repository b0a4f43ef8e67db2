"""Bad input: what it is, where it is, and the likely mistake; beside each, the nearest good input that passes."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import showerfiles as sf

from fastparam.errors import FastparamWarning, InputError
from fastparam.hits import iterate, iterate_file


def check(tmp_path, showers, **options):
    """Write the showers as they are, read them by a geometry with the options, and return the number of rows."""
    path = sf.write_tree(tmp_path / "a.root", sf.jagged_table(showers, dtype="f8"))
    return sum(len(b) for b in iterate(sf.geometry(tmp_path, path, **options)))


def changed(values, at, value):
    values = np.array(values, dtype=float)
    values[at] = value
    return values


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("role", ["x", "y", "z", "e"])
def test_hits_that_are_not_finite_are_refused_with_branch_row_and_number(tmp_path, role, value):
    showers = sf.truth()
    at = [showers.offsets[4] + 1, showers.offsets[4] + 2, showers.offsets[9]]
    broken = showers.with_hit(**{role: changed(showers.hits[role], at, value)})
    expected = (
        rf"a\.root, row 4: branch 'hit_{role}' is NaN or infinite; in rows 0 to 19 3 hits of 2 showers are not finite"
    )
    with pytest.raises(InputError, match=expected):
        check(tmp_path, broken)


@pytest.mark.parametrize("role", ["energy", "vx", "pz"])
def test_primaries_that_are_not_finite_are_refused(tmp_path, role):
    showers = sf.truth()
    broken = showers.with_primary(**{role: changed(showers.primaries[role], [7, 8], np.nan)})
    with pytest.raises(InputError, match=rf"row 7: branch '{role}' is NaN or infinite \(2 of rows 0 to 19\)"):
        check(tmp_path, broken)


def test_energies_of_primaries_must_be_positive(tmp_path):
    showers = sf.truth()
    for value in (0.0, -1000.0):
        broken = showers.with_primary(energy=changed(showers.primaries["energy"], 3, value))
        with pytest.raises(InputError, match=r"row 3: energy \(branch 'energy'\) is not positive"):
            check(tmp_path, broken)


def test_a_particle_at_rest_has_no_direction(tmp_path):
    showers = sf.truth()
    with pytest.raises(InputError, match="row 5: momentum is zero"):
        check(tmp_path, showers.with_primary(pz=changed(showers.primaries["pz"], 5, 0.0)))


def test_negative_energies_are_set_to_zero_counted_and_told_once(tmp_path):
    showers = sf.truth()
    at = [showers.offsets[4], showers.offsets[4] + 1, showers.offsets[9]]
    path = sf.write_tree(tmp_path / "a.root", sf.jagged_table(showers.with_hit(e=changed(showers.hits["e"], at, -3.0))))
    with pytest.warns(FastparamWarning) as told:
        batches = list(iterate(sf.geometry(tmp_path, path), batch_hits=100))
    assert [str(w.message).split(": ", 1)[1] for w in told] == [
        f"3 of {showers.offsets[-1]} hits have a negative energy, which was set to 0"
    ]
    n_negative = np.concatenate([b.n_negative for b in batches])
    assert {i: n for i, n in enumerate(n_negative) if n} == {4: 2, 9: 1}
    energies = np.concatenate([b.hits.e for b in batches])
    assert (energies[at] == 0).all()
    assert (energies >= 0).all()


def test_few_hits_outside_every_layer_are_left_out_and_told(tmp_path):
    showers = sf.truth()
    at = [showers.offsets[4], showers.offsets[9]]
    path = sf.write_tree(tmp_path / "a.root", sf.jagged_table(showers.with_hit(z=changed(showers.hits["z"], at, 1.0))))
    for without in ((), ("layer",)):
        with pytest.warns(FastparamWarning, match=r"2 of \d+ hits, with 0\.\d+ % of the visible energy, lie outside"):
            (batch,) = iterate(sf.geometry(tmp_path, path, without=without))
        assert (batch.hits.layer[at] == -1).all()
        assert np.count_nonzero(batch.hits.layer < 0) == 2
        assert {i: n for i, n in enumerate(batch.n_outside) if n} == {4: 1, 9: 1}


def fraction_outside(showers, fraction):
    """Move the given fraction of the hits between the first two layers."""
    n = int(showers.offsets[-1])
    at = np.linspace(0, n - 1, round(fraction * n)).astype(int)
    return showers.with_hit(z=changed(showers.hits["z"], at, 4.0))


def test_more_than_a_twentieth_of_the_hits_outside_every_layer_is_refused(tmp_path):
    showers = sf.truth()
    with pytest.raises(InputError, match=r"6\.\d % of the hits in the 20 showers read lie outside every layer"):
        check(tmp_path, fraction_outside(showers, 0.062))
    with pytest.warns(FastparamWarning, match="lie outside"):
        assert check(tmp_path, fraction_outside(showers, 0.045)) == 20


@pytest.mark.parametrize(("written", "declared"), [("cm", "mm"), ("mm", "cm"), ("m", "mm")])
@pytest.mark.parametrize("without", [(), ("layer",)])
def test_a_wrong_unit_of_length_is_named(tmp_path, written, declared, without):
    showers = sf.truth()
    mm = {"mm": 1.0, "cm": 10.0, "m": 1000.0}[written]
    path = sf.write_tree(tmp_path / "a.root", sf.jagged_table(showers, mm=mm))
    wrong = sf.geometry(tmp_path, path, units=f"{{length: {declared}}}", without=without)
    expected = f"in {written} in place of {declared} they would fit: set `units: {{length: {written}}}`"
    with pytest.raises(InputError, match=expected):
        list(iterate(wrong))
    right = sf.geometry(tmp_path, path, units=f"{{length: {written}}}", without=without)
    assert sum(len(b) for b in iterate(right)) == 20


def test_hits_of_another_detector_say_where_they_are(tmp_path):
    showers = sf.truth()
    expected = r"90 % of them have z 502\.\d+ to 511\.\d+ mm where the layers reach from 2 to 12 mm"
    with pytest.raises(InputError, match=expected):
        check(tmp_path, showers.with_hit(z=showers.hits["z"] + 500.0))


def test_layers_numbered_from_another_first_id_are_named(tmp_path):
    showers = sf.truth()
    detector = sf.PLANAR.replace("first_id: 10", "first_id: 9").replace("repeat: 4", "repeat: 5")
    with pytest.raises(InputError, match=r"100\.0 % .* do not lie in the layer that branch 'hit_layer' names") as error:
        check(tmp_path, showers, detector=detector)
    assert "number the layers as the file does" in str(error.value)
    assert check(tmp_path, showers, detector=detector, without=("layer",)) == 20


def test_layers_that_the_geometry_does_not_have_are_refused(tmp_path):
    showers = sf.truth()
    layer = showers.hits["layer"].copy()
    layer[showers.offsets[6]] = 14
    expected = r"row 6: branch 'hit_layer' holds 14; the geometry's layers are 10, 11, 12, 13\. In rows 0 to 19 1 hits"
    with pytest.raises(InputError, match=expected):
        check(tmp_path, showers.with_hit(layer=layer))


@pytest.mark.parametrize(
    ("factor", "likely"),
    [
        (1e3, "with hit energies in keV beside particles in MeV it would be 0.1"),
        (1e6, "with hit energies in eV beside particles in MeV it would be 0.1"),
        (0.9e-3, "with hit energies in GeV beside particles in MeV it would be 0.09"),
        (1e12, "is 'hit_e' an energy"),
    ],
)
def test_impossible_visible_energy_names_the_units(tmp_path, factor, likely):
    showers = sf.truth()
    with pytest.raises(InputError, match=f"mean visible over true energy is .*{likely}"):
        check(tmp_path, showers.with_hit(e=showers.hits["e"] * factor))


@pytest.mark.parametrize("factor", [1.1e-3, 19.0])
def test_any_visible_fraction_that_a_calorimeter_can_have_passes(tmp_path, factor):
    showers = sf.truth()
    assert check(tmp_path, showers.with_hit(e=showers.hits["e"] * factor)) == 20


def test_showers_without_any_hits_name_the_branch(tmp_path):
    showers = sf.truth(5, empty=(0, 1, 2, 3, 4))
    with pytest.raises(InputError, match="no hits at all in the 5 showers read; is 'hit_x' the branch"):
        check(tmp_path, showers)


@pytest.mark.parametrize(
    ("stored", "declared"),
    [("kinetic", "total"), ("total", "kinetic"), ("momentum", "kinetic"), ("kinetic", "momentum")],
)
def test_momentum_tells_what_the_energy_is(tmp_path, stored, declared):
    showers = sf.truth(pdg=211)
    kinetic, mass = showers.primaries["energy"], 139.57039
    energy = {"kinetic": kinetic, "total": kinetic + mass, "momentum": np.sqrt(kinetic * (kinetic + 2 * mass))}[stored]
    other = showers.with_primary(energy=energy)
    with pytest.raises(InputError, match=rf"contradict each other: pi\+ .*all rows agree with `energy_is: {stored}`"):
        check(tmp_path, other, energy_is=declared)
    assert check(tmp_path, other, energy_is=stored) == 20


def test_momentum_in_another_unit_than_the_energy_is_named(tmp_path):
    showers = sf.truth()
    with pytest.raises(InputError, match=r"differ by a factor 1000: they are stored in different units"):
        check(tmp_path, showers.with_primary(pz=showers.primaries["pz"] / 1000.0))


def test_total_energy_below_the_rest_mass_and_unknown_masses_are_refused(tmp_path):
    showers = sf.truth(pdg=211)
    low = showers.with_primary(energy=np.full(20, 100.0))
    with pytest.raises(InputError, match="declared as total, is not above the particle's rest mass"):
        check(tmp_path, low, energy_is="total")
    strange = showers.with_primary(pdg=np.full(20, 3122))
    with pytest.raises(InputError, match="the mass of pdg 3122 is not known"):
        check(tmp_path, strange, energy_is="total")
    assert check(tmp_path, strange) == 20


def test_the_first_hundred_showers_are_judged_before_the_rest_is_read(tmp_path):
    bad, good = sf.truth(100), sf.truth(4000, seed=2)
    first = sf.write_tree(tmp_path / "a.root", sf.jagged_table(fraction_outside(bad, 0.5)))
    second = sf.write_tree(tmp_path / "b.root", sf.jagged_table(good))
    with pytest.raises(InputError, match=r"a\.root: .* in the 100 showers read lie outside"):
        next(iterate(sf.geometry(tmp_path, [first, second])))


@pytest.mark.parametrize("batch_hits", [500, 3000, 1_000_000])
def test_the_verdict_does_not_depend_on_batches(tmp_path, batch_hits):
    """Half of the hits of the last 60 of 300 showers are outside: 10 % of all, none of the first hundred."""
    showers = sf.truth(300)
    start = showers.offsets[240]
    z = showers.hits["z"].copy()
    z[start::2] = 4.0
    path = sf.write_tree(tmp_path / "a.root", sf.jagged_table(showers.with_hit(z=z)), baskets=11)
    with pytest.raises(InputError, match=r"(9|10)\.\d % of the hits in the 300 showers read"):
        list(iterate(sf.geometry(tmp_path, path), batch_hits=batch_hits))


def test_one_bad_file_is_named_among_many_good_ones(tmp_path):
    good = [sf.write_tree(tmp_path / f"{i}.root", sf.jagged_table(sf.truth(120, seed=i))) for i in range(3)]
    bad = sf.write_tree(tmp_path / "bad.root", sf.jagged_table(fraction_outside(sf.truth(120, seed=9), 0.1)))
    geometry = sf.geometry(tmp_path, [*good[:2], bad, good[2]])
    with pytest.raises(InputError, match=r"bad\.root: 10\.\d % of the hits in the 100 showers read"):
        list(iterate(geometry))


def test_small_files_of_an_entry_are_judged_together(tmp_path):
    paths = [
        sf.write_tree(tmp_path / f"{i}.root", sf.jagged_table(fraction_outside(sf.truth(10, seed=i), 0.1 * (i == 0))))
        for i in range(4)
    ]
    with pytest.warns(FastparamWarning, match="lie outside"):
        assert sum(len(b) for b in iterate(sf.geometry(tmp_path, paths))) == 40
    with pytest.raises(InputError, match=r"0\.root: 9\.9 % of the hits in the 10 showers read"):
        list(iterate_file(paths[0], sf.geometry(tmp_path, paths)))


def test_good_showers_pass_without_a_word(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check(tmp_path, sf.truth(250)) == 250
