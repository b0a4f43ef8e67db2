"""A tune as C++ for Geant4: a fast-simulation model of its own, and the laws behind Geant4's GFlash interfaces.

The C++ is written once, under `templates`; the numbers of the tune go to one header. Its sampler follows
`fastparam.generate.gflash` step by step, so that equal random numbers give equal spots.
"""

from __future__ import annotations

import re
import textwrap
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastparam import __version__
from fastparam.errors import FastparamWarning, InputError, UsageError
from fastparam.export.directory import refuse_to_replace, write_directory
from fastparam.export.homogeneous import Constants, constants, not_homogeneous
from fastparam.export.readme import domain_table, failed_notes, fidelity, photons_text, stock_notes, title
from fastparam.export.tune_data import (
    RESPONSE_COEFFICIENTS,
    correction_sizes,
    detector_constants,
    getters,
    medium_constants,
    radial_bins,
    segment_tables,
    slice_tables,
)
from fastparam.fit import conversion, population, shape_marginals
from fastparam.fit.fit import Fit
from fastparam.fit.radial import LAWS
from fastparam.geometry.frames import MAX_ANGLE
from fastparam.tunes.file import tune_digest
from fastparam.tunes.tune import SliceTune, Tune

__all__ = ["Exported", "export_geant4"]

_TEMPLATES = Path(__file__).parent / "templates"

#: What an export consists of, at the top of its directory.
_TOP = frozenset({"include", "src", "example", "dd4hep", "CMakeLists.txt", "README.md"})

#: Components of a slice that are sampled, those that may be, and those that only inform.
_SAMPLED = ("response", "longitudinal", "spots", "layers", "radial")
_CORRECTIONS = ("warp", "conversion", "layer_factors", "radial_warp", "spot_groups", "spot_spectrum", "modulation")
_INFORMING = ("resolution", "layer_response")

#: What the C++ has room for: knots of a population law, energies of shape_marginals.
_MAX_KNOTS = 4
_MARGINAL_ENERGIES = 3


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes
    ----------
    directory : Path
    namespace : str
        Of the C++, and name of the library.
    files : tuple of str
        Relative to `directory`, sorted.
    stock : Constants or None
        The laws in the form of Geant4's homogeneous class, if `HomoTuning` was written.
    left_out : str or None
        Why `HomoTuning` was not written.
    closest_possible : bool
        Whether `closest` writes it all the same.
    """

    directory: Path
    namespace: str
    files: tuple[str, ...]
    stock: Constants | None
    left_out: str | None
    closest_possible: bool


def export_geant4(tune: Tune, directory: Path, *, closest: bool = False, force: bool = False) -> Exported:
    """Write the C++ of a tune to a new directory, complete or not at all.

    Parameters
    ----------
    tune : Tune
    directory : Path
    closest : bool
        Write `HomoTuning`, constants for Geant4's own homogeneous class, also where that class cannot hold the tuned
        laws: the nearest constants then, and `Exported.stock.losses` says how near.
    force : bool
        Replace an earlier export.

    Raises
    ------
    OutputExistsError
        If `directory` exists; with `force`, if it holds anything but an export.
    InputError
        If the tune has components that the C++ cannot sample.
    UsageError
        With `closest`, if the calorimeter is not one homogeneous medium.

    Warns
    -----
    FastparamWarning
        For fits that are not valid.
    """
    refuse_to_replace(directory, _TOP, force=force)
    _check(tune)
    stock, reason, possible = _stock(tune, closest)
    namespace = "fastparam_" + (re.sub(r"\W+", "_", tune.name, flags=re.ASCII).strip("_").lower() or "tune")
    files = _files(tune, namespace, stock)
    write_directory(directory, files, tune_digest(tune))
    return Exported(directory, namespace, tuple(sorted(files)), stock, reason, possible)


def _stock(tune: Tune, closest: bool) -> tuple[Constants | None, str | None, bool]:
    """Geant4's own constants or why there are none, and whether the nearest would do."""
    reason = not_homogeneous(tune)
    if reason is not None:
        if closest:
            raise UsageError(f"--closest is for Geant4's homogeneous GFlash, and {reason}; leave it out")
        return None, reason, False
    stock = constants(_electrons(tune), tune.geometry.material.critical_energy)
    if stock.reasons and not closest:
        return None, "; ".join(stock.reasons), True
    return stock, None, True


def _electrons(tune: Tune) -> SliceTune:
    """Return the electrons' slice, or the positrons' if there is none."""
    return max((part for part in tune.slices if abs(part.pdg) == 11), key=lambda part: part.pdg)


def _knots(fit: Fit) -> int:
    return len(population.law_of(fit).knots)


def _check(tune: Tune) -> None:
    """Refuse what the templates have no law for, and warn of fits that failed."""
    for part in tune.slices:
        where = f"tune {tune.name}, {title(part)}"
        if missing := [name for name in _SAMPLED if name not in part.components]:
            raise InputError(f"{where}: has no component {', '.join(missing)}; tune again")
        laws = part.components
        unknown = [name for name in laws if name not in _SAMPLED + _CORRECTIONS + _INFORMING]
        radial_law = laws["radial"].settings.get("law")
        known = {
            "longitudinal": population.law_of(laws["longitudinal"]).names,
            "spots": ("n0", "n1"),
            "radial": LAWS[radial_law].names if radial_law in ("classical", "smooth") else (),
        }
        unknown += [name for name, names in known.items() if laws[name].names != names]
        unknown += [name for name in ("longitudinal", "conversion") if name in laws and _knots(laws[name]) > _MAX_KNOTS]
        unknown += [name for name in part.tables if name != "shape_marginals"]
        if max(laws["response"].settings["orders"]) >= RESPONSE_COEFFICIENTS:
            unknown.append("response")
        if "warp" in laws and laws["warp"].settings["degree"] > 2:
            unknown.append("warp")
        if unknown or tune.recipe.sampler != "gflash":
            what = f"the law of {', '.join(unknown)}" if unknown else f"the sampler {tune.recipe.sampler}"
            raise InputError(f"{where}: there is no C++ for {what}; export a tune of the recipe gflash")
        for name, failure in part.failed.items():
            warnings.warn(f"{where}: {name}: {failure}", FastparamWarning, stacklevel=3)


def _files(tune: Tune, namespace: str, stock: Constants | None) -> dict[str, str]:
    """Texts of all files by path relative to the directory."""
    headers = ["Laws", "TuneData", "Shower", "SpotDepositor", "ShowerModel", "Parameterisation"]
    sources = ["SpotDepositor", "ShowerModel", "Parameterisation"]
    if stock is not None:
        headers.append("HomoTuning")
        sources.append("HomoTuning")
    templates = {
        **{f"include/{namespace}/{name}.hh": f"{name}.hh" for name in headers},
        **{f"src/{name}.cc": f"{name}.cc" for name in sources},
        "example/registration.cc": "registration.cc",
        "dd4hep/ShowerModelAction.cc": "ShowerModelAction.cc",
        "dd4hep/steering.py": "steering.txt",
        "CMakeLists.txt": "CMakeLists.txt",
        "README.md": "README.md",
    }
    words = {
        **_names(tune, namespace),
        **_numbers(tune),
        **_texts(tune),
        **_stock_words(tune, stock),
        "SOURCES": "\n".join(f"  src/{name}.cc" for name in sources),
    }
    return {path: _fill(template, words) for path, template in templates.items()}


def _fill(template: str, words: dict[str, str]) -> str:
    text = (_TEMPLATES / template).read_text(encoding="utf-8")
    return re.sub(r"@([A-Z0-9_]+)@", lambda found: words[found[1]], text)


def _names(tune: Tune, namespace: str) -> dict[str, str]:
    return {
        "NAMESPACE": namespace,
        "GUARD": namespace.upper(),
        "TUNE": re.sub(r"[^\w .,()+-]", "_", tune.name),  # goes into comments and string literals
        "VERSION": __version__,
        "DIGEST": tune_digest(tune),
        "RECIPE": tune.recipe.name,
    }


def _numbers(tune: Tune) -> dict[str, str]:
    return {
        "MEDIUM": medium_constants(tune.geometry),
        "DETECTOR": detector_constants(tune.geometry, mirrored=tune.mirrored),
        "SEGMENTS": segment_tables(tune.geometry),
        "RADIAL_BINS": radial_bins(),
        **correction_sizes(),
        "SLICES": slice_tables(tune),
        "MAX_KNOTS": str(_MAX_KNOTS),
        "MARGINAL_ENERGIES": str(_MARGINAL_ENERGIES),
        "MARGINAL_NODES": str(len(shape_marginals.Z)),
        "MARGINAL_FIRST": repr(float(-shape_marginals.Z_LAST)),
        "MARGINAL_STEP": repr(float(shape_marginals.Z_STEP)),
        "PAIR": repr(float(conversion.PAIR)),
    }


def _texts(tune: Tune) -> dict[str, str]:
    geometry = tune.geometry
    barrel = geometry.frame == "barrel"
    leptons = ["e-", "e+"] if {11, -11} & set(tune.pdgs) else []
    return {
        "GEOMETRY": f"`{geometry.name}`, {geometry.n_layers} active layer{'' if geometry.n_layers == 1 else 's'}",
        "DOMAIN": domain_table(tune),
        "FRAME": "layers in radius about the z axis" if barrel else "layers in z",
        "FRONT": f"{geometry.slab_from[0]:g}",
        "ANGLES": "that cross the layers outwards"
        if barrel
        else f"up to {np.rad2deg(MAX_ANGLE):g} degrees to the normal",
        "PARTICLES": repr(leptons + (["gamma"] if 22 in tune.pdgs else [])),
        "PHOTONS": repr(22 in tune.pdgs),
        "PHOTONS_TEXT": photons_text(22 in tune.pdgs),
        "ENERGY_LOW": f"{min(part.energy_range[0] for part in tune.slices):g}",
        "NOTES": failed_notes(tune),
        "CORRECTIONS": _corrections_text(tune),
    }


def _corrections_text(tune: Tune) -> str:
    """Name the corrections that any slice has."""
    names = [name for name in _CORRECTIONS if any(name in part.components for part in tune.slices)]
    names += ["shape_marginals"] if any("shape_marginals" in part.tables for part in tune.slices) else []
    return ", ".join(f"`{name}`" for name in names) or "none"


def _stock_words(tune: Tune, stock: Constants | None) -> dict[str, str]:
    if stock is None:
        return {"HOMO_ROW": "", "FIDELITY": "", "GETTERS": "", "STOCK": ""}
    return {
        "HOMO_ROW": "| `HomoTuning` | constants for Geant4's own `GFlashHomoShowerParameterisation` |\n",
        "FIDELITY": textwrap.fill(fidelity(stock), 112, subsequent_indent="// ", break_on_hyphens=False),
        "GETTERS": getters(stock),
        "STOCK": stock_notes(_electrons(tune), stock),
    }
