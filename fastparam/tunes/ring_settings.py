"""Settings of the recipes `hybrid` and `mosaic`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from fastparam.fit.copula import MAX_SCORES

__all__ = ["HybridSettings", "MosaicSettings"]


def _named(clumps: Any) -> Any:
    """Older recipes and tunes say yes or no."""
    return {True: "all", False: "none"}.get(clumps, clumps) if isinstance(clumps, bool) else clumps


class HybridSettings(BaseModel):
    """Fluctuations of the recipe `hybrid`; each can be switched off.

    Attributes
    ----------
    showers : int
        Stored showers, evenly from all energies, that lend their features. They are sampled again and again: the fewer
        they are, the better a classifier knows them.
    copula : str
        "empirical": features hang together as in stored showers; "gaussian": their correlations only; "independent".
    smoothing : float
        Weight h of the second shower in the empirical copula; 0 repeats stored showers.
    smoothing_hadrons : float
        The same for hadrons: mixing a hadron that passes with one that showers gives neither.
    dipoles : bool
        Rings get the sampled dipole.
    clumps : str
        Whether hits of a ring lie in clumps: "hadrons", "all" or "none". In electromagnetic showers, what clumps do is
        in the dipoles of narrow rings already; hits of hadrons are tracks.
    pairs : bool
        Hits of a ring keep apart in azimuth, or lie together, as measured; else they are independent, or in clumps.
    spectra : bool
        Hits have energies as measured; else those of a ring are equal.
    grid : bool
        Hits follow the cells in which stored hits were merged.
    numbers : bool
        Numbers of hits fluctuate as measured; else they follow from the energy.
    modulation : bool
        Features depend on phi modulo the pitch.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    showers: int = Field(default=MAX_SCORES, ge=2)
    copula: Literal["empirical", "gaussian", "independent"] = "empirical"
    smoothing: float = Field(default=0.3, ge=0.0, lt=1.0)
    smoothing_hadrons: float = Field(default=0.0, ge=0.0, lt=1.0)
    dipoles: bool = True
    clumps: Annotated[Literal["hadrons", "all", "none"], BeforeValidator(_named)] = "hadrons"
    pairs: bool = True
    spectra: bool = True
    grid: bool = True
    numbers: bool = True
    modulation: bool = True


class MosaicSettings(BaseModel):
    """Settings of the recipe `mosaic`.

    Attributes
    ----------
    donors : int
        Stored showers per energy point whose rings are used.
    showers, copula, smoothing, smoothing_hadrons, dipoles, modulation
        As `HybridSettings`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    donors: int = Field(default=40, ge=2)
    showers: int = Field(default=MAX_SCORES, ge=2)
    copula: Literal["empirical", "gaussian", "independent"] = "empirical"
    smoothing: float = Field(default=0.3, ge=0.0, lt=1.0)
    smoothing_hadrons: float = Field(default=0.0, ge=0.0, lt=1.0)
    dipoles: bool = True
    modulation: bool = True
