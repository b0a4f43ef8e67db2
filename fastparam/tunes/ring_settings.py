"""Settings of the recipes `hybrid` and `mosaic`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["HybridSettings", "MosaicSettings"]


class HybridSettings(BaseModel):
    """Fluctuations of the recipe `hybrid`; each can be switched off.

    Attributes
    ----------
    copula : str
        "empirical": features hang together as in stored showers; "gaussian": their correlations only; "independent".
    smoothing : float
        Weight h of the second shower in the empirical copula; 0 repeats stored showers.
    dipoles : bool
        Rings get the sampled dipole.
    clumps : bool
        Hits of a ring lie in clumps. Off by default: what clumps do is in the dipoles of narrow rings already.
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

    copula: Literal["empirical", "gaussian", "independent"] = "empirical"
    smoothing: float = Field(default=0.3, ge=0.0, lt=1.0)
    dipoles: bool = True
    clumps: bool = False
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
    copula, smoothing, dipoles, modulation
        As `HybridSettings`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    donors: int = Field(default=40, ge=2)
    copula: Literal["empirical", "gaussian", "independent"] = "empirical"
    smoothing: float = Field(default=0.3, ge=0.0, lt=1.0)
    dipoles: bool = True
    modulation: bool = True
