"""What an export consists of, what it refuses, and that it is there complete or not at all."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from pathlib import Path

import exported_tunes
import handmade
import pytest

from fastparam.errors import FastparamWarning, InputError, OutputExistsError
from fastparam.export import export_geant4
from fastparam.tunes.file import tune_digest
from fastparam.tunes.tune import Tune


def numbers(text: str, name: str) -> list[float]:
    """Values of an array or a constant of TuneData.hh."""
    found = re.search(rf"\b{name}(?:\[\w+\])* = {{?([^;]*?)}}?;", text)
    assert found is not None
    return [float(word) for word in found[1].replace("true", "1").replace("false", "0").split(",")]


@pytest.mark.parametrize("name", ["barrel", "stack"])
def test_the_numbers_are_those_of_the_tune_to_the_last_bit(tmp_path: Path, name: str) -> None:
    tune = exported_tunes.TUNES[name]()
    written = export_geant4(tune, tmp_path / "cpp")
    text = (tmp_path / "cpp" / "include" / written.namespace / "TuneData.hh").read_text()
    geometry = tune.geometry
    assert numbers(text, "kMoliereRadius") == [geometry.material.moliere_radius]
    assert numbers(text, "kSlabX0") == list(geometry.slab_x0)
    assert numbers(text, "kPeriodFrom") == list(geometry.period_from)
    assert numbers(text, "kLayerMedium") == list(geometry.layer_medium)
    for part in tune.slices:
        radial, shapes = (part.components[name].values for name in ("radial", "longitudinal"))
        for values in (radial, *shapes.reshape(5, -1)):
            assert "{" + ", ".join(repr(float(v)) for v in values) + "}" in re.sub(r"\s+", " ", text)


def test_every_placeholder_is_filled_and_nothing_tells_of_the_machine(tmp_path: Path) -> None:
    written = export_geant4(exported_tunes.block(), tmp_path / "cpp")
    for name in written.files:
        text = (tmp_path / "cpp" / name).read_text()
        assert not re.search(r"@[A-Z0-9_]+@", text), name
        assert str(tmp_path) not in text
        assert max(map(len, text.splitlines())) <= 140 or name == "README.md", name
        assert text.endswith("\n")


def test_what_is_listed_is_what_is_there(tmp_path: Path) -> None:
    written = export_geant4(exported_tunes.block(), tmp_path / "cpp")
    there = {str(p.relative_to(tmp_path / "cpp")) for p in (tmp_path / "cpp").rglob("*") if p.is_file()}
    assert there == {*written.files, ".fastparam-export"}
    assert [p.name for p in tmp_path.iterdir()] == ["cpp"]
    sources = {f"src/{p.name}" for p in (tmp_path / "cpp" / "src").iterdir()}
    assert set(re.findall(r"src/\w+\.cc", (tmp_path / "cpp" / "CMakeLists.txt").read_text())) == sources


def test_the_registration_example_fits_into_forty_lines(tmp_path: Path) -> None:
    export_geant4(exported_tunes.stack(), tmp_path / "cpp")
    assert len((tmp_path / "cpp" / "example" / "registration.cc").read_text().splitlines()) <= 40


def test_the_steering_fragment_is_python_and_names_the_particles_of_the_tune(tmp_path: Path) -> None:
    export_geant4(exported_tunes.two_media(), tmp_path / "photons")
    export_geant4(exported_tunes.block(), tmp_path / "both")
    for folder, particles in (("photons", ["gamma"]), ("both", ["e-", "e+", "gamma"])):
        tree = ast.parse((tmp_path / folder / "dd4hep" / "steering.py").read_text())
        (assignment,) = [node for node in tree.body if isinstance(node, ast.Assign)]
        assert ast.literal_eval(assignment.value) == particles


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("fixed", "in this tune: none."),
        ("stack", "`warp`, `layer_factors`, `radial_warp`, `spot_groups`, `spot_spectrum`."),
    ],
)
def test_the_readme_names_the_corrections(tmp_path: Path, name: str, wanted: str) -> None:
    export_geant4(exported_tunes.TUNES[name](), tmp_path / "cpp")
    assert wanted in (tmp_path / "cpp" / "README.md").read_text()


def test_the_readme_says_what_was_tuned(tmp_path: Path) -> None:
    tune = exported_tunes.slices()
    export_geant4(tune, tmp_path / "cpp")
    text = (tmp_path / "cpp" / "README.md").read_text()
    assert "| e-, e+ | 1 to 100 | eta 0.2 to 0.25 | 500 |" in text
    assert "| photon | 1 to 100 | eta 0.4 to 0.45 | 500 |" in text
    assert tune_digest(tune) in text
    assert "HomoTuning" not in text


@pytest.mark.parametrize(
    ("name", "namespace"),
    [("pbwo4", "fastparam_pbwo4"), ("My ECAL (v2)", "fastparam_my_ecal_v2"), ("***", "fastparam_tune")],
)
def test_the_namespace_comes_from_the_name(tmp_path: Path, name: str, namespace: str) -> None:
    tune = replace(exported_tunes.two_media(), name=name)
    assert export_geant4(tune, tmp_path / "cpp").namespace == namespace


def test_a_name_cannot_break_out_of_a_comment_or_a_string(tmp_path: Path) -> None:
    tune = replace(exported_tunes.two_media(), name='a"; int evil\n#error')
    written = export_geant4(tune, tmp_path / "cpp")
    text = (tmp_path / "cpp" / "include" / written.namespace / "TuneData.hh").read_text()
    assert 'kName[] = "a__ int evil__error";' in text


# What cannot be exported


def changed(tune: Tune, **components: object) -> Tune:
    part = tune.slices[0]
    return replace(tune, slices=(replace(part, components={**part.components, **components}),))


def test_components_without_a_law_in_cpp_are_refused(tmp_path: Path) -> None:
    tune = exported_tunes.two_media()
    extra = changed(tune, halo=handmade.component(["h0"], [0.1]))
    with pytest.raises(InputError, match=r"tune two_media, photon: there is no C\+\+ for the law of halo"):
        export_geant4(extra, tmp_path / "cpp")
    other = changed(tune, longitudinal=handmade.component(["t0", "t1"], [0.1, 1.0]))
    with pytest.raises(InputError, match="the law of longitudinal"):
        export_geant4(other, tmp_path / "cpp")
    bent = handmade.component(["b10", "b11", "b12", "b13"], [0.0] * 4, order=1, degree=3)
    with pytest.raises(InputError, match="the law of warp"):
        export_geant4(changed(tune, warp=bent), tmp_path / "cpp")
    steep = replace(
        tune.slices[0].components["response"], settings={"offset": None, "orders": [4, 0, 0, 0], "zero": []}
    )
    with pytest.raises(InputError, match="the law of response"):
        export_geant4(changed(tune, response=steep), tmp_path / "cpp")
    assert not list(tmp_path.iterdir())


def test_a_missing_component_is_named(tmp_path: Path) -> None:
    tune = exported_tunes.two_media()
    part = tune.slices[0]
    parts = {k: v for k, v in part.components.items() if k != "spots"}
    with pytest.raises(InputError, match="photon: has no component spots"):
        export_geant4(replace(tune, slices=(replace(part, components=parts),)), tmp_path / "cpp")


def test_fits_that_are_not_valid_are_exported_with_a_warning(tmp_path: Path) -> None:
    tune = exported_tunes.two_media()
    failed = replace(tune, slices=(replace(tune.slices[0], failed={"radial": "no valid minimum"}),))
    with pytest.warns(FastparamWarning, match="photon: radial: no valid minimum"):
        export_geant4(failed, tmp_path / "cpp")
    assert "the fit of `radial` is not valid (no valid minimum)" in (tmp_path / "cpp" / "README.md").read_text()


# The directory


def test_an_existing_directory_is_refused_and_kept(tmp_path: Path) -> None:
    export_geant4(exported_tunes.two_media(), tmp_path / "cpp")
    before = (tmp_path / "cpp" / "README.md").read_text()
    with pytest.raises(OutputExistsError, match="--force"):
        export_geant4(exported_tunes.stack(), tmp_path / "cpp")
    assert (tmp_path / "cpp" / "README.md").read_text() == before


def test_force_replaces_an_earlier_export_as_a_whole(tmp_path: Path) -> None:
    first = export_geant4(exported_tunes.block(), tmp_path / "cpp")
    second = export_geant4(exported_tunes.stack(), tmp_path / "cpp", force=True)
    there = {str(p.relative_to(tmp_path / "cpp")) for p in (tmp_path / "cpp").rglob("*") if p.is_file()}
    assert there == {*second.files, ".fastparam-export"}
    assert not there & {name for name in first.files if "HomoTuning" in name}
    assert [p.name for p in tmp_path.iterdir()] == ["cpp"]


def test_force_does_not_remove_what_is_no_export(tmp_path: Path) -> None:
    thesis = tmp_path / "cpp" / "thesis.tex"
    thesis.parent.mkdir()
    thesis.write_text("ten years")
    with pytest.raises(OutputExistsError, match="is no directory of an earlier export"):
        export_geant4(exported_tunes.stack(), tmp_path / "cpp", force=True)
    thesis.unlink()
    export_geant4(exported_tunes.stack(), tmp_path / "cpp", force=True)  # an empty directory may be filled
    thesis.write_text("ten years")
    with pytest.raises(OutputExistsError, match=r"holds thesis\.tex beside an earlier export"):
        export_geant4(exported_tunes.stack(), tmp_path / "cpp", force=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputExistsError, match="is a file"):
        export_geant4(exported_tunes.stack(), tmp_path / "file", force=True)
    assert thesis.read_text() == "ten years"


def test_a_failure_while_writing_leaves_nothing_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export_geant4(exported_tunes.two_media(), tmp_path / "old")
    write = Path.write_text

    def fail(self: Path, text: str, encoding: str) -> int:
        if self.name == "README.md":
            raise OSError(28, "No space left on device", str(self))
        return write(self, text, encoding=encoding)

    monkeypatch.setattr(Path, "write_text", fail)
    for name, force in (("new", False), ("old", True)):
        with pytest.raises(OSError, match="No space"):
            export_geant4(exported_tunes.stack(), tmp_path / name, force=force)
    assert [p.name for p in tmp_path.iterdir()] == ["old"]
    assert "two_media" in (tmp_path / "old" / "README.md").read_text()


def test_a_directory_to_write_to_has_to_exist(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="create it first"):
        export_geant4(exported_tunes.stack(), tmp_path / "missing" / "cpp")
