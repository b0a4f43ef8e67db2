"""`Showers`: what every generator returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fastparam.hits.hits import Hits
from fastparam.particles import Particles

if TYPE_CHECKING:
    import awkward

    from fastparam.geometry.detector import Geometry

__all__ = ["Showers"]


@dataclass(frozen=True)
class Showers:
    """Particles and the hits of their showers, in the global frame.

    Attributes
    ----------
    particles : Particles (n,)
    hits : Hits
        Of the same n showers; ``hits.layer`` counts active layers from 0 (`layer_ids` translates).
    geometry : Geometry
    """

    particles: Particles
    hits: Hits
    geometry: Geometry

    def __len__(self) -> int:
        return len(self.particles)

    @property
    def layer_ids(self) -> npt.NDArray[np.int32]:
        """The user's layer id of every hit, -1 outside all layers, shape (n_hits,)."""
        layer = self.hits.layer
        return np.where(layer >= 0, self.geometry.layer_ids[np.maximum(layer, 0)], -1).astype(np.int32)

    @property
    def visible(self) -> npt.NDArray[np.float64]:
        """Visible energy of each shower in MeV, shape (n,)."""
        return np.bincount(self.hits.shower, weights=self.hits.e, minlength=len(self)).astype(np.float64)

    def to_awkward(self) -> awkward.Array:
        """Return one record per shower: pdg, energy, eta, phi, and hits as a list of records x, y, z, e, layer (id)."""
        import awkward as ak

        records = ak.zip(
            {"x": self.hits.x, "y": self.hits.y, "z": self.hits.z, "e": self.hits.e, "layer": self.layer_ids}
        )
        return ak.zip(
            {
                "pdg": self.particles.pdg,
                "energy": self.particles.energy,
                "eta": self.particles.eta,
                "phi": self.particles.phi,
                "hits": ak.unflatten(records, self.hits.n_hits),
            },
            depth_limit=1,
        )
