"""What a geometry.yaml may say, and the errors of one that says something else."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fastparam.errors import GeometryError
from fastparam.geometry.load import dump_geometry, load_geometry, parse_geometry

VALID = """\
name: toy
frame: barrel
units: {length: cm}
materials:
  glass: {density: 2.5, mass: {quartz: 0.9, Pb: 0.1}}
  foam: {density: 0.1, atoms: {C: 1, H: 2}}
  W: {density: 17.8}
layers:
  - {name: wall, from: 100, to: 110, material: glass}
  - {id: 0, from: 110, to: 120, mixture: {Pb: 0.7, lAr: 0.3}, density: 4}
  - {id: 5, from: 121, to: 130, material: W}
cells: {0: {eta: 0.025, phi: 2*pi/256}, 5: {eta: 0.05, phi: 0.1}}
modulation: {pitch: 2*pi/1024, layers: [0]}
binning:
  - {pid: 22, eta: [0, 1.3], layers: [{id: 0, r_edges: [0, 5, 10], n_bin_alpha: 8}, {id: [5], r_edges: [0, 1e1]}]}
samples:
  - files: hits/*.root
    tree: showers
    branches: {pdg: pdg, energy: e, eta: eta, phi: phi, x: x, y: y, z: z, e: hit_e}
    units: {energy: GeV}
slices: {eta: [[0.2, 0.25], [0.4, 0.45]]}
stock: {c: 0.1}
recipe: gflash
"""


def change(old: str, new: str) -> str:
    assert old in VALID
    return VALID.replace(old, new)


def errors(text: str) -> str:
    with pytest.raises(GeometryError) as caught:
        parse_geometry(text, Path("toy.yaml"))
    return str(caught.value)


def test_cells_of_a_whole_stack_are_given_by_a_range_of_ids():
    cells = load_geometry("fehcal").config.cells
    assert sorted(cells) == list(range(60))
    assert {(cell.x, cell.y) for cell in cells.values()} == {(30.0, 30.0)}


def test_every_key_of_the_schema_is_understood():
    config = parse_geometry(VALID, Path("toy.yaml")).config
    assert config.name == "toy"
    assert config.energy_is == "kinetic"
    assert config.samples[0].files == ["hits/*.root"]
    assert config.samples[0].branches["energy"] == "e"
    assert config.modulation.pitch == pytest.approx(0.0061359, rel=1e-4)
    assert config.cells[0].phi == pytest.approx(0.0245437, rel=1e-4)
    assert config.binning[0].layers[1].ids == [5]
    assert config.slices.eta == [[0.2, 0.25], [0.4, 0.45]]


def test_samples_inherit_the_units_they_do_not_state():
    text = change("units: {length: cm}", "units: {length: cm, energy: TeV}")
    units = parse_geometry(text, Path("toy.yaml")).config.samples[0].units
    assert (units.energy, units.length) == ("GeV", "cm")
    assert (units.mev, units.mm) == (1000.0, 10.0)


def test_numbers_and_words_are_those_of_yaml_1_2():
    geometry = parse_geometry(change("name: toy", "name: no"), Path("toy.yaml"))
    assert geometry.name == "no"
    assert geometry.config.binning[0].layers[1].r_edges == [0.0, 10.0]


def test_a_range_of_ids_stands_for_all_of_them():
    text = change("{id: 0, r_edges", "{id: 0-0, r_edges")
    assert parse_geometry(text, Path("toy.yaml")).config.binning[0].layers[0].ids == [0]


def test_dumped_yaml_gives_the_same_geometry_back():
    text = change("branches: {pdg: pdg", "branches: {pdg: '1e5'")
    geometry = parse_geometry(text, Path("toy.yaml"))
    again = parse_geometry(dump_geometry(geometry), Path("toy.yaml"))
    assert again.config == geometry.config
    assert again.config.samples[0].branches["pdg"] == "1e5"
    assert again.digest == geometry.digest


ONE_ERROR = [
    ("name: toy", "nam: toy", ["line 1, nam: unknown key (did you mean 'name'?)", "name: missing"]),
    ("name: toy", "name: a/b", ["line 1, name: found 'a/b'; expected letters"]),
    ("frame: barrel", "frame: barel", ["line 2, frame: found 'barel' (did you mean 'barrel'?); expected 'barrel' or"]),
    ("length: cm", "length: inch", ["line 3, units.length: found 'inch'", "'um', 'mm', 'cm' or 'm'"]),
    (
        "material: glass",
        "material: glas",
        ["line 9, layers[0].material: unknown material 'glas' (did you mean 'glass'?)"],
    ),
    ("material: glass", "materal: glass", ["line 9, layers[0].materal: unknown key (did you mean 'material'?)"]),
    ("material: glass", "density: 3", ["layers[0]: expected either a material or a mixture"]),
    ("to: 110,", "to: 90,", ["layers[0]: from 100 to 90 has no positive thickness"]),
    ("to: 110,", "to: thick,", ["layers[0].to: 'thick' is not arithmetic; expected a number"]),
    ("to: 110,", "to: .nan,", ["layers[0].to: '.nan' cannot be evaluated; expected a number"]),
    ("to: 110,", "to: [110],", ["layers[0].to: found [110]; expected a number"]),
    ("from: 110", "from: 105", ["line 10, layers[1].from: starts at 105 before layers[0] ends at 110: layers overlap"]),
    ("from: 100", "from: -100", ["layers[0].from: found -100; expected a radius that is not negative"]),
    ("{Pb: 0.7, lAr: 0.3}", "{Pb: 0.7, lAr: 0.2}", ["layers[1].mixture: mass fractions sum to 0.9000; expected 1"]),
    ("{Pb: 0.7, lAr: 0.3}", "{Pb: 0.7, lAX: 0.3}", ["layers[1].mixture.lAX: unknown material 'lAX'"]),
    ("{Pb: 0.7, lAr: 0.3}", "{Pb: 1.7, lAr: -0.7}", ["layers[1].mixture.lAr: found -0.7; expected a number greater"]),
    (", density: 4}", "}", ["layers[1]: a mixture needs its density"]),
    ("id: 5, from", "id: 0, from", ["layers[2].id: layer id 0 is used by layers[1] already"]),
    ("id: 5, from", "id: -5, from", ["layers[2].id: found -5; expected a layer id"]),
    ("id: 5, from", "id: '5', from", ["layers[2].id: found '5'; expected an integer"]),
    ("id: 5, from", "id: true, from", ["layers[2].id: found True; expected an integer"]),
    ("quartz: 0.9", "quarts: 0.9", ["materials.glass.mass.quarts: unknown material (did you mean 'quartz'?)"]),
    ("density: 2.5, ", "", ["materials.glass: density is missing"]),
    ("density: 2.5,", "densty: 2.5,", ["materials.glass.densty: unknown key (did you mean 'density'?)"]),
    ("atoms: {C: 1", "atoms: {Cc: 1", ["materials.foam.atoms.Cc: unknown element"]),
    (
        "W: {density: 17.8}",
        "Q: {density: 17.8}",
        ["materials.Q: no composition, and no built-in material of that name"],
    ),
    ("5: {eta: 0.05", "6: {eta: 0.05", ["cells[6]: there is no active layer with id 6; expected ids out of 0, 5"]),
    ("eta: 0.05, phi: 0.1", "eta: 0.05, x: 0.1", ["cells[5]: expected {eta: ..., phi: ...} or {x: ..., y: ...}"]),
    ("5: {eta: 0.05", "5-6: {eta: 0.05", ["cells[6]: there is no active layer with id 6; expected ids out of 0, 5"]),
    ("{0: {eta: 0.025", "{0-5: {eta: 0.025", ["cells: layer 5 is given twice, the second time by 5"]),
    ("layers: [0]}", "layers: [0, 7]}", ["modulation.layers[1]: there is no active layer with id 7"]),
    ("pitch: 2*pi/1024", "pitch: 2*pj/1024", ["modulation.pitch: 'pj' is not arithmetic"]),
    ("r_edges: [0, 5, 10]", "r_edges: [0, 5, 5]", ["binning[0].layers[0].r_edges: found [0.0, 5.0, 5.0]"]),
    ("id: [5]", "id: 0", ["binning[0].layers[1].id: layer 0 has bins already"]),
    ("id: [5]", "id: 5-9", ["binning[0].layers[1].id: there is no active layer with id 6-9; expected ids out of 0, 5"]),
    (
        "tree: showers",
        "tre: showers",
        ["samples[0].tre: unknown key (did you mean 'tree'?)", "samples[0].tree: missing"],
    ),
    ("tree: showers", "tree: {particles: p, hits: h}", ["samples[0]: two trees need a branch with the role event"]),
    (
        "tree: showers",
        "tree: {particle: p, hits: h}",
        ["samples[0].tree.particle: unknown key (did you mean 'particles'?)", "samples[0].tree.particles: missing"],
    ),
    ("pdg: pdg", "event: n, pdg: pdg", ["samples[0]: the role event joins two trees"]),
    ("pdg: pdg, energy: e", "energy: e", ["samples[0].branches: no branch for pdg (particle code"]),
    (
        "pdg: pdg, energy: e",
        "pdg: pdg, enrgy: e",
        ["samples[0].branches: unknown role 'enrgy' (did you mean 'energy'?)"],
    ),
    ("eta: eta, phi: phi", "px: px, py: py", ["samples[0].branches: found px, py only; expected px, py, pz together"]),
    ("eta: eta, phi: phi, ", "", ["samples[0].branches: no direction of the particles"]),
    ("files: hits/*.root", "files: []", ["samples[0].files: found []; expected at least one entry"]),
    ("energy: GeV", "energy: gev", ["samples[0].units.energy: found 'gev' (did you mean 'GeV'?)"]),
    ("[0.2, 0.25]", "[0.25, 0.2]", ["slices.eta[0]: found [0.25, 0.2]; expected [low, high] with low < high"]),
    ("[0.2, 0.25]", "[0.2, 0.5]", ["slices.eta: slices overlap or are out of order at 0.4"]),
    ("stock: {c: 0.1}", "stock: {d: 0.1}", ["stock.d: unknown key"]),
    ("recipe: gflash", "recipe: 3", ["recipe: found 3; expected text"]),
    ("recipe: gflash", "name: twice", ["name: duplicate key, given in line 1 and again in line 23"]),
    (
        "frame: barrel",
        "frame: planar",
        ["modulation: a modulation is in phi", "slices: slices in eta", "no branches for vx"],
    ),
]


@pytest.mark.parametrize(("old", "new", "expected"), ONE_ERROR, ids=[new for _, new, _ in ONE_ERROR])
def test_an_error_names_place_value_and_what_was_expected(old, new, expected):
    message = errors(change(old, new))
    assert message.startswith("toy.yaml: ")
    for part in expected:
        assert part in message
    if len(expected) == 1:
        assert "\n" not in message


def test_all_errors_of_a_file_are_reported_at_once():
    text = VALID
    for old, new in [
        ("frame: barrel", "frame: barel"),
        ("material: glass", "materal: glass"),
        ("from: 110", "from: 105"),
        ("{Pb: 0.7, lAr: 0.3}", "{Pb: 0.7, lAX: 0.2}"),
        ("id: 5, from", "id: 0, from"),
        ("energy: GeV", "energy: gev"),
    ]:
        text = text.replace(old, new)
    message = errors(text)
    lines = message.splitlines()
    assert lines[0].startswith("toy.yaml: ")
    assert [line.split(":")[0].split()[-1] for line in lines[1:]] == [
        "frame",
        "layers[0].materal",
        "layers[1].from",
        "layers[1].mixture",
        "layers[1].mixture.lAX",
        "layers[2].id",
        "samples[0].units.energy",
    ]
    assert [int(line.split()[1].rstrip(",")) for line in lines[1:]] == [2, 9, 10, 10, 10, 11, 20]


@pytest.mark.parametrize(
    ("stack", "expected"),
    [
        (
            "{from: 0, repeat: 0, plates: [{material: W, thickness: 1, active: true}]}",
            "stack.repeat: found 0; expected an",
        ),
        ("{from: 0, repeat: 3, plates: []}", "layers[0].stack.plates: found []; expected at least one entry"),
        ("{from: 0, repeat: 3, plates: [{material: W, thickness: 1}]}", "no plate is active"),
        ("{from: 0, repeat: 3, plates: [{material: W, thickness: -1, active: true}]}", "plates[0].thickness: found -1"),
        ("{from: 0, repeat: 3, plates: [{material: W, thicknes: 1, active: true}]}", "(did you mean 'thickness'?)"),
        ("{from: 0, repeats: 3, plates: [{material: W, thickness: 1, active: true}]}", "(did you mean 'repeat'?)"),
        (
            "{from: 0, repeat: 3, plates: [{material: Ww, thickness: 1, active: true}]}",
            "plates[0].material: unknown material",
        ),
    ],
)
def test_errors_inside_a_stack_are_placed(stack, expected):
    assert expected in errors(f"name: s\nframe: planar\nlayers:\n  - stack: {stack}\n")


def test_a_layer_after_a_stack_must_start_behind_it():
    stack = (
        "{from: 0, repeat: 45, plates: [{material: W, thickness: 2.1}, {material: Si, thickness: 1.5, active: true}]}"
    )
    text = f"name: s\nframe: planar\nlayers:\n  - stack: {stack}\n  - {{from: 161, to: 170, material: Fe}}\n"
    assert "layers[1].from: starts at 161 before layers[0] ends at 162" in errors(text)
    assert parse_geometry(text.replace("161", "162"), Path("s.yaml")).n_layers == 45


def test_a_detector_without_active_layer_is_refused():
    text = "name: s\nframe: planar\nlayers: [{from: 0, to: 10, material: W}]\n"
    assert "layers: no layer is active; give an id" in errors(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is empty"),
        ("- a\n- b\n", "found list; expected a mapping"),
        ("name: [a\nframe: b\n", "line 2, column"),
        ("name: a\n\tframe: b\n", "line 2, column 1: not valid YAML"),
        ("name: !!python/object:os.system {}\n", "not valid YAML"),
        ("a: !!int x\n", "not valid YAML"),
        ("a: \x00\n", "not valid YAML"),
        ("? [a, b]\n: 1\n", "toy.yaml"),
        ("layers: &a [*a]\n", "layers[0]"),
        ("1: 2\nlayers: {a: 1}\nsamples: 3\nmaterials: [1]\nunits: x\n", "layers: found {'a': 1}; expected a list"),
        ("[" * 3000, "not valid YAML"),
    ],
)
def test_what_is_not_a_geometry_is_refused_with_a_reason(text, expected):
    assert expected in errors(text)


def test_missing_and_binary_files_are_refused(tmp_path):
    with pytest.raises(GeometryError, match="no such file, and no shipped geometry of that name"):
        load_geometry(tmp_path / "none.yaml")
    path = tmp_path / "binary.yaml"
    path.write_bytes(b"name: \xff\xfe")
    with pytest.raises(GeometryError, match="byte 6 is not UTF-8"):
        load_geometry(path)


def test_an_xml_binning_is_read_from_beside_the_file(tmp_path):
    inline = VALID[VALID.index("binning:") : VALID.index("samples:")]
    path = tmp_path / "geometry.yaml"
    path.write_text(change(inline, "binning: bins.xml\n"))
    with pytest.raises(GeometryError, match=r"line 14, binning: cannot read .*bins.xml"):
        load_geometry(path)
    (tmp_path / "bins.xml").write_text(
        '<Bins><Bin pid="22" etaMin="0" etaMax="130"><Layer id="0" r_edges="0,5,10" n_bin_alpha="8"/>'
        '<Layer id="5" r_edges="0,10" n_bin_alpha="1"/><Layer id="3" r_edges="0" n_bin_alpha="1"/></Bin></Bins>'
    )
    assert load_geometry(tmp_path).config.binning == parse_geometry(VALID, path).config.binning
    assert yaml.safe_load(dump_geometry(load_geometry(tmp_path)))["binning"][0]["pid"] == 22


JUNK = st.sampled_from(
    ["", "0", "-1", "1e400", "9" * 400, "null", "true", "[]", "{}", "[1, {a: 2}]", "'x'", "*a", "&a ", ": ", "\n"]
)


@settings(max_examples=300)
@given(st.integers(0, len(VALID) - 1), st.integers(0, 30), JUNK)
def test_no_damage_to_a_file_gives_anything_but_a_geometry_or_a_geometry_error(start, length, junk):
    damaged = VALID[:start] + junk + VALID[start + length :]
    outcome = "toy.yaml: valid"
    try:
        parse_geometry(damaged, Path("toy.yaml"))
    except GeometryError as error:
        outcome = str(error)
    assert outcome.startswith("toy.yaml: ")
