"""Recipes: what a tune is made of, as a small YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt, ValidationError
from pydantic_core import ErrorDetails

from fastparam.errors import UsageError, near
from fastparam.fit.copula import MAX_SCORES
from fastparam.geometry.shipped import find_recipe
from fastparam.tunes.ring_settings import HybridSettings, MosaicSettings

__all__ = ["DEFAULT_RECIPE", "Recipe", "load_recipe"]

#: The shipped recipe that is taken where neither the user nor geometry.yaml names one.
DEFAULT_RECIPE = "hybrid"


class LibrarySettings(BaseModel):
    """Settings of the sampler `library`: which stored showers may serve a particle (`generate.donors.Nearness`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at_least: PositiveInt = 64
    phi_width: PositiveFloat = 0.05
    eta_width: PositiveFloat = 0.02
    rotate: bool = True


class VoxelSettings(BaseModel):
    """Settings of the sampler `voxel`; each fluctuation can be switched off.

    Attributes
    ----------
    rank : int
        Factors that link voxels (`fit.factors`); 0: voxels are independent of each other in a ring.
    showers : int
        Stored showers, evenly from all energies, that lend the features of their rings.
    copula : str
        How features hang together: "empirical" (stored showers, blurred), "gaussian" or "independent".
    blur : float
        Share of the Gaussian copula in the empirical one, from 0 (stored showers' own) to 1.
    blur_hadrons : float
        The same for hadrons: blurring mixes those that pass with those that shower.
    counts : bool
        Sparse rings get their drawn number of hit voxels, else as many as the voxels' own probabilities give.
    tilt : bool
        Rings are tilted to their drawn dipole, else they have the one that the voxels come out with.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rank: NonNegativeInt = 60
    showers: int = Field(default=MAX_SCORES, ge=2)
    copula: Literal["empirical", "gaussian", "independent"] = "empirical"
    blur: float = Field(default=0.3, ge=0.0, le=1.0)
    blur_hadrons: float = Field(default=0.05, ge=0.0, le=1.0)
    counts: bool = True
    tilt: bool = False


class FastCaloSimSettings(BaseModel):
    """Settings of the sampler `fastcalosim` (`fit.fastcalosim`): see tuning/recipes/fastcalosim.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bins: PositiveInt = 5
    start_bins: bool = True
    hit_weights: Literal["hadrons", "all", "none"] = "hadrons"
    radial_function: bool = True
    tracks: bool = True
    leave_out: bool = True


class Recipe(BaseModel):
    """A recipe as written in ``tuning/recipes/NAME.yaml``.

    Attributes
    ----------
    name, description : str
    sampler : str
        Which generator turns the fitted components into showers.
    particles : list of int
        Particle codes that the recipe can describe.
    radial_law : str
        A key of `fastparam.fit.radial.LAWS`.
    longitudinal_law : str
        "linear" in ln E, or "spline" (`fastparam.fit.population`): how the shapes of profiles depend on the energy.
    photons : str
        "gamma": photon showers are gamma profiles from the front, as those of electrons; "conversion": from where the
        photon converts (`fastparam.fit.conversion`).
    corrections : list of str
        What is put on top of the classical form: "warp" (`fastparam.fit.warp`), "radial" (`fastparam.fit.radial_warp`),
        "layers" (`fastparam.fit.layer_factors`), "spots" (`fastparam.fit.spot_groups`), "spectrum"
        (`fastparam.fit.spot_spectrum`), "marginals" of photons
        (`fastparam.fit.shape_marginals`).
    library : LibrarySettings
    voxel : VoxelSettings
    fastcalosim : FastCaloSimSettings
    hybrid, mosaic
        Settings of the samplers of these names.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    description: str
    sampler: Literal["gflash", "fastcalosim", "hybrid", "mosaic", "voxel", "library"]
    particles: list[int]
    radial_law: Literal["classical", "smooth"] = "smooth"
    longitudinal_law: Literal["linear", "spline"] = "linear"
    photons: Literal["gamma", "conversion"] = "gamma"
    corrections: list[Literal["warp", "radial", "layers", "spots", "spectrum", "marginals"]] = []
    library: LibrarySettings = LibrarySettings()
    voxel: VoxelSettings = VoxelSettings()
    fastcalosim: FastCaloSimSettings = FastCaloSimSettings()
    hybrid: HybridSettings = HybridSettings()
    mosaic: MosaicSettings = MosaicSettings()

    @property
    def needs_hits(self) -> bool:
        """Whether single hits have to be kept when showers are summarised (`summary.deposits`)."""
        return self.sampler != "gflash"

    @property
    def emits(self) -> Literal["hits", "voxels"]:
        """Form in which the recipe's showers are made."""
        return "voxels" if self.sampler == "voxel" else "hits"


def load_recipe(path_or_name: str | Path, directory: Path | None = None) -> Recipe:
    """Read a recipe: a file (relative to `directory`, default the current one) or the name of a shipped one.

    Raises
    ------
    UsageError
        If the file is no recipe; every wrong key is named.
    """
    path = find_recipe(path_or_name, directory)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is not a text file (byte {error.start} is not UTF-8)") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: not valid YAML: {error}") from error
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise UsageError(f"{path}: {'; '.join(map(_problem, error.errors()))}") from error


def _problem(error: ErrorDetails) -> str:
    where = ".".join(map(str, error["loc"])) or "file"
    if error["type"] == "extra_forbidden":
        return f"{where}: unknown key{near(where, Recipe.model_fields)}"
    return f"{where}: {error['msg']}"
