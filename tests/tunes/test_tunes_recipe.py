"""Recipes by name and by file."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastparam.errors import FastparamError, UsageError
from fastparam.fit.radial import LAWS
from fastparam.geometry.shipped import shipped_recipes
from fastparam.tunes import load_recipe
from fastparam.tunes.ring_settings import HybridSettings


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipes_load_by_their_name(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.radial_law in LAWS


def test_the_gflash_recipe_describes_electromagnetic_showers() -> None:
    assert load_recipe("gflash").particles == [11, -11, 22]


def test_a_file_is_found_beside_the_geometry(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("{name: mine, description: d, sampler: gflash, particles: [22]}")
    recipe = load_recipe("mine.yaml", tmp_path)
    assert (recipe.name, recipe.radial_law) == ("mine", "smooth")


def test_an_unknown_name_is_refused_with_the_near_match() -> None:
    with pytest.raises(FastparamError, match=r"gflahs: no such file.*did you mean 'gflash'.*shipped: .*gflash"):
        load_recipe("gflahs")


def test_every_wrong_key_of_a_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("{name: mine, description: d, sampler: gflas, particles: [x], radial_lw: smooth}")
    with pytest.raises(UsageError) as error:
        load_recipe(path)
    text = str(error.value)
    assert text.startswith(f"{path}: ")
    for problem in (
        "sampler: Input should be 'gflash'",
        "particles.0: ",
        "radial_lw: unknown key (did you mean 'radial_law'?)",
    ):
        assert problem in text


@pytest.mark.parametrize("content", ["", "[1", "gflash", "name: a\0b"])
def test_what_is_no_mapping_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    with pytest.raises(UsageError, match=r"mine\.yaml: "):
        load_recipe(path)


def test_binary_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"mine\.yaml: is not a text file"):
        load_recipe(path)


@pytest.mark.parametrize(("said", "means"), [(True, "all"), (False, "none"), ("hadrons", "hadrons")])
def test_clumps_of_older_recipes_are_yes_or_no(said: object, means: str) -> None:
    assert HybridSettings.model_validate({"clumps": said}).clumps == means
