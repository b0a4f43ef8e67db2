"""Tune files: what goes in comes out, bit by bit, and what is no sound tune is refused."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path

import h5py
import handmade
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastparam.errors import FastparamWarning, InputError
from fastparam.fit.fit import Fit
from fastparam.tunes import load_tune, save_tune, tune_digest
from fastparam.tunes.file import FORMAT
from fastparam.tunes.tune import Tune


def full_tune() -> Tune:
    """Two slices, everything that may be empty filled."""
    geometry = handmade.detector("barrel")
    parts = [handmade.part(geometry, pdg=pdg, eta=(0.2, 0.25), zero=(0.1, -1 / 3)) for pdg in (22, 11)]
    odd = replace(
        parts[0].components["response"],
        valid=False,
        at_limit=("location0",),
        notes=("few showers",),
        chi2=float("nan"),
        points={"energy": np.array([1.0, np.pi]), "mean": np.array([[0.1, 0.2], [1 / 3, np.nan]])},
    )
    parts[0] = replace(
        parts[0],
        components=parts[0].components | {"response": odd},
        failed={"response": "the minimiser found no valid minimum"},
        sparse=(1000.0, 2e4 / 3),
    )
    return replace(
        handmade.tune(geometry, *parts),
        excluded=("pi+: the recipe describes photons",),
        validation={"gamma_profile_limit": [], "comparison": {"a": [1.5, None]}},
    )


def saved(folder: Path, tune: Tune) -> Path:
    path = folder / "a.tune.h5"
    path.unlink(missing_ok=True)
    save_tune(path, tune)
    return path


def assert_same_fit(one: Fit, other: Fit) -> None:
    for name in (f.name for f in fields(Fit)):
        a, b = getattr(one, name), getattr(other, name)
        if name == "points":
            assert list(a) == list(b)
            for key in a:
                assert a[key].tobytes() == b[key].tobytes()
                assert a[key].shape == b[key].shape
        elif isinstance(a, np.ndarray):
            assert a.tobytes() == b.tobytes()
        elif isinstance(a, float):
            assert np.array_equal(a, b, equal_nan=True)
        else:
            assert a == b
            assert type(a) is type(b)


def test_a_tune_comes_back_exactly(tmp_path: Path) -> None:
    tune = full_tune()
    loaded = load_tune(saved(tmp_path, tune))
    for name in ("name", "recipe", "excluded", "provenance", "validation"):
        assert getattr(loaded, name) == getattr(tune, name)
    assert loaded.binning.same_as(tune.binning)
    assert loaded.geometry.digest == tune.geometry.digest
    assert loaded.pdgs == (22, 11)
    for one, other in zip(tune.slices, loaded.slices, strict=True):
        for name in ("pdg", "eta", "energy_range", "max_angle", "n_showers", "failed", "sparse"):
            assert getattr(one, name) == getattr(other, name)
        assert list(one.components) == list(other.components)
        for name, fit in one.components.items():
            assert_same_fit(fit, other.components[name])
    assert tune_digest(loaded) == tune_digest(tune)


def test_a_loaded_tune_is_written_as_before(tmp_path: Path) -> None:
    """Nothing is lost or added on the second way either, and many slices keep their order."""
    geometry = handmade.detector("barrel")
    edges = np.linspace(0.0, 0.6, 13)
    tune = handmade.tune(geometry, *(handmade.part(geometry, eta=(float(a), float(b))) for a, b in pairwise(edges)))
    twice = load_tune(saved(tmp_path, load_tune(saved(tmp_path, tune))))
    assert [part.eta for part in twice.slices] == [part.eta for part in tune.slices]
    assert tune_digest(twice) == tune_digest(tune)


@settings(max_examples=15)
@given(values=st.lists(st.floats(allow_nan=False), min_size=2, max_size=2))
def test_any_number_survives(values: list[float], tmp_path_factory: pytest.TempPathFactory) -> None:
    geometry = handmade.detector("planar")
    part = handmade.part(geometry)
    spots = replace(part.components["spots"], values=np.array(values))
    tune = handmade.tune(geometry, replace(part, components=part.components | {"spots": spots}))
    loaded = load_tune(saved(tmp_path_factory.mktemp("any"), tune))
    assert loaded.slices[0].components["spots"].values.tobytes() == np.array(values).tobytes()


def test_text_may_be_long_and_of_any_language(tmp_path: Path) -> None:
    tune = replace(full_tune(), excluded=("Ölpest " * 20_000,), provenance={"author": "Élise Müller 山田"})
    loaded = load_tune(saved(tmp_path, tune))
    assert (loaded.excluded, loaded.provenance) == (tune.excluded, tune.provenance)


# Digest


def test_the_digest_changes_with_what_is_sampled() -> None:
    tune = full_tune()
    part = tune.slices[0]
    spots = part.components["spots"]
    changes = [
        replace(tune, geometry=handmade.detector("planar")),
        replace(tune, recipe=tune.recipe.model_copy(update={"radial_law": "classical"})),
        replace(tune, slices=tune.slices[:1]),
        replace(tune, slices=(replace(part, energy_range=(1000.0, 99_999.0)), *tune.slices[1:])),
        *(
            replace(tune, slices=(replace(part, components=part.components | {"spots": fit}), *tune.slices[1:]))
            for fit in (
                replace(spots, values=np.nextafter(spots.values, np.inf)),
                replace(spots, settings={"law": "other"}),
            )
        ),
    ]
    digests = {tune_digest(tune), *map(tune_digest, changes)}
    assert len(digests) == 1 + len(changes)


def test_the_digest_stays_with_what_is_only_told() -> None:
    tune = full_tune()
    other = replace(tune, validation={}, provenance={"tuned at": "noon"}, excluded=(), name="other")
    assert tune_digest(other) == tune_digest(tune)


def test_files_of_format_2_are_read(tmp_path: Path) -> None:
    """Their validation is one string in place of compressed bytes."""

    def as_it_was(file: h5py.File) -> None:
        document = file["validation"][()].tobytes()
        del file["validation"]
        file.create_dataset("validation", data=np.bytes_(document))
        file.attrs.modify("format", 2)

    assert load_tune(edited(tmp_path, as_it_was)).validation == full_tune().validation


# Refusals


def edited(folder: Path, edit: Callable[[h5py.File], object]) -> Path:
    path = saved(folder, full_tune())
    with h5py.File(path, "r+") as file:
        edit(file)
    return path


def test_a_newer_format_asks_for_a_newer_fastparam(tmp_path: Path) -> None:
    path = edited(tmp_path, lambda file: file.attrs.modify("format", FORMAT + 1))
    with pytest.raises(InputError, match=rf"tune format {FORMAT + 1}, this fastparam reads up to {FORMAT}; update"):
        load_tune(path)


@pytest.mark.parametrize(
    ("kind", "found"), [("summary", "a fastparam summary"), ("", "an HDF5 file of another origin")]
)
def test_other_files_of_the_format_are_told_apart(tmp_path: Path, kind: str, found: str) -> None:
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        if kind:
            file.attrs["fastparam"] = kind
    with pytest.raises(
        InputError, match=rf"other\.h5: is {found}; expected a tune, a file written by `fastparam tune`"
    ):
        load_tune(path)


def test_files_of_other_formats_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tune.h5"
    for content in (b"", b"name: siw\n", b"root" + bytes(100)):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"a\.tune\.h5: is no HDF5 file; expected a tune"):
            load_tune(path)
    with pytest.raises(InputError, match="no such file"):
        load_tune(tmp_path)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.999])
def test_a_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    path = saved(tmp_path, full_tune())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError, match=r"a\.tune\.h5: cannot be read as a tune \(.*tune again"):
        load_tune(path)


@pytest.mark.parametrize(
    "edit",
    [
        lambda file: file.__delitem__("slices"),
        lambda file: file.__delitem__("slices/001/spots/values"),
        lambda file: file.attrs.__delitem__("recipe"),
        lambda file: file.attrs.modify("recipe", json.dumps({"name": "gflash"})),
        lambda file: file.attrs.modify("geometry", "name: a"),
        lambda file: file.attrs.modify("provenance", "{"),
    ],
)
def test_a_file_with_a_part_missing_is_refused(tmp_path: Path, edit: Callable[[h5py.File], object]) -> None:
    with pytest.raises(InputError, match=r"a\.tune\.h5: cannot be read as a tune"):
        load_tune(edited(tmp_path, edit))


def test_a_parameter_that_changed_on_disk_is_told(tmp_path: Path) -> None:
    def edit(file: h5py.File) -> None:
        file["slices/000/spots/values"][0] += 1e-9

    with pytest.warns(FastparamWarning, match="its parameters are not those that were written"):
        tune = load_tune(edited(tmp_path, edit))
    assert tune.slices[0].components["spots"].values[0] != full_tune().slices[0].components["spots"].values[0]


def test_noise_anywhere_in_a_file_ends_in_an_error_or_a_warning(tmp_path: Path) -> None:
    """HDF5 hangs or crashes on damage that its checksums do not cover; nothing here leaves that to it."""
    path = saved(tmp_path, full_tune())
    content = path.read_bytes()
    rng = np.random.default_rng(1)
    survived = 0
    for start in range(0, len(content), len(content) // 60):
        damaged = bytearray(content)
        damaged[start : start + 40] = rng.bytes(len(damaged[start : start + 40]))
        path.write_bytes(damaged)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                load_tune(path)
        except (InputError, FastparamWarning):
            continue
        survived += 1  # what was hit is empty space, a diagnostic, or a covariance
    assert survived < 30


def test_a_tune_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path, full_tune())
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fastparam.tunes.file._write_fit", fail)
    with pytest.raises(KeyboardInterrupt):
        save_tune(path, full_tune())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
