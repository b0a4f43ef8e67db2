"""`Tune`: fitted components per particle and eta slice, with all that is needed to use them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fastparam.fit.fit import Fit
from fastparam.fit.tables import Tables
from fastparam.geometry.detector import Geometry
from fastparam.summary.binning import Binning
from fastparam.tunes.recipe import Recipe

__all__ = ["SliceTune", "Tune"]


@dataclass(frozen=True)
class SliceTune:
    """What was fitted for one particle in one eta slice.

    Attributes
    ----------
    pdg : int
    eta : tuple of float, or None
        Edges of the slice; None in planar detectors.
    energy_range : tuple of float
        Lowest and highest kinetic energy of the training showers in MeV.
    max_angle : float
        Largest angle in rad to the normal among the training showers of a planar detector; beyond it a direction is
        an extrapolation.
    n_showers : int
        Training showers.
    components : dict of str to Fit
        Laws with few parameters: "response", "resolution", "layer_response"; of electromagnetic particles also
        "longitudinal", "spots", "layers", "radial" and corrections.
    failed : dict of str to str
        Components that could not be fitted or whose fit is not valid, with the reason.
    sparse : tuple of float
        Energies in MeV of points with fewer than 30 training showers; they took part in the joint fits.
    tables : dict of str to Tables
        What the recipe's sampler reads beside or instead of the laws.
    """

    pdg: int
    eta: tuple[float, float] | None
    energy_range: tuple[float, float]
    max_angle: float
    n_showers: int
    components: dict[str, Fit]
    failed: dict[str, str] = field(default_factory=dict)
    sparse: tuple[float, ...] = ()
    tables: dict[str, Tables] = field(default_factory=dict)


@dataclass(frozen=True)
class Tune:
    """A tuned parametrisation of one detector.

    Attributes
    ----------
    name : str
    geometry : Geometry
    recipe : Recipe
    binning : Binning
        Of the summary it was fitted from; comparisons cut sampled showers alike.
    slices : tuple of SliceTune
        By particle, then by eta.
    excluded : tuple of str
        Particles and slices of the sample that were left out, each with the reason.
    provenance : dict
        Versions, rows, inputs, time; JSON values.
    validation : dict
        The comparison with full simulation that was held back; empty before validation.
    """

    name: str
    geometry: Geometry
    recipe: Recipe
    binning: Binning
    slices: tuple[SliceTune, ...]
    excluded: tuple[str, ...]
    provenance: dict[str, Any]
    validation: dict[str, Any] = field(default_factory=dict)

    @property
    def mirrored(self) -> bool:
        """Whether negative pseudorapidities are served too, mirrored: in a barrel whose slices are all positive."""
        return all(s.eta is not None and s.eta[0] >= 0.0 for s in self.slices)

    @property
    def pdgs(self) -> tuple[int, ...]:
        """Particles with at least one slice, in the order of `slices`."""
        return tuple(dict.fromkeys(s.pdg for s in self.slices))

    def of(self, pdg: int) -> tuple[SliceTune, ...]:
        """Return the slices of a particle in the order of eta; empty for an unknown one."""
        return tuple(s for s in self.slices if s.pdg == pdg)
