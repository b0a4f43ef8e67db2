"""`replay`: full simulation drawn again, as a generator.

``replay:FILE`` lends each particle one of the file's showers at its energy (`fastparam.generate.donors`). A comparison
with the file's other rows shows what a perfect model would get from a sample of that size: every list of candidates
can carry its own control.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from fastparam.errors import InputError
from fastparam.generate.domain import ENERGY_MARGIN, ETA_MARGIN
from fastparam.generate.donors import Donors, Nearness, lend
from fastparam.generate.limits import Region, check_regions, describe_regions
from fastparam.geometry.detector import Geometry
from fastparam.hits.batches import Batch, Rows, iterate_file
from fastparam.hits.hits import Hits
from fastparam.particles import Particles
from fastparam.showers.join import join_hits
from fastparam.showers.local import shares_of_hits
from fastparam.showers.showers import Showers

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Replay"]


class Replay:
    """Showers of full simulation, drawn again.

    Holds the hits of the whole file in single precision, 18 bytes each.

    Parameters
    ----------
    batches : iterable of Batch
        The showers; see `hits.iterate`, `hits.iterate_file`.
    geometry : Geometry
    name : str
    as_pdg : int, optional
        Sample every particle as if it were this one.

    Attributes
    ----------
    name : str
    geometry : Geometry

    Raises
    ------
    InputError
        If there are no showers.
    """

    def __init__(
        self, batches: Iterable[Batch], geometry: Geometry, name: str = "replay", *, as_pdg: int | None = None
    ) -> None:
        self.geometry: Geometry = geometry
        self.name = name
        self.as_pdg = as_pdg
        self._donors = _stored(batches, geometry)
        if not self._donors:
            raise InputError(f"{name}: holds no showers to replay")
        self._regions = [_region(pdg, stored, geometry) for pdg, stored in self._donors.items()]

    @classmethod
    def from_file(cls, path: str | Path, geometry: Geometry, *, rows: str = "all", as_pdg: int | None = None) -> Replay:
        """Read the showers of one file, of the geometry's sample layouts or written by ``fastparam sample``."""
        chosen = cast(Rows, rows)
        return cls(
            iterate_file(Path(path), geometry, rows=chosen), geometry, f"replay:{Path(path).name}", as_pdg=as_pdg
        )

    def __repr__(self) -> str:
        return f"<{self.name}, {sum(len(stored) for stored in self._donors.values())} showers>"

    @property
    def domain(self) -> list[dict[str, object]]:
        """Particles, energies and directions that can be sampled, as data."""
        return describe_regions(self._regions, "hits")

    def check(self, particles: Particles) -> None:
        """Do what `generate` does before it samples; raises `OutOfDomainError`."""
        check_regions(self.name, self.geometry, self._regions, particles, self.as_pdg)

    def generate(self, particles: Particles, *, seed: int) -> Showers:
        """Draw one of the stored showers for each particle; see `fastparam.generate.protocol.Generator`."""
        region = check_regions(self.name, self.geometry, self._regions, particles, self.as_pdg)
        parts: list[Hits] = []
        places = []
        for number, stored in enumerate(self._donors.values()):
            rows = np.flatnonzero(region == number)
            if len(rows):
                parts.append(lend(stored, self.geometry, particles.take(rows), Nearness(rotate=False), seed))
                places.append(rows)
        return Showers(particles, join_hits(parts, places), self.geometry)


def _region(pdg: int, stored: Donors, geometry: Geometry) -> Region:
    energy = (float(stored.energy[0]) * (1 - ENERGY_MARGIN), float(stored.energy[-1]) * (1 + ENERGY_MARGIN))
    if geometry.frame != "barrel":
        return Region(pdg, energy)
    low, high = float(stored.eta.min()), float(stored.eta.max())
    margin = ETA_MARGIN * (high - low) + 1e-9
    return Region(pdg, energy, (low - margin, high + margin))


def _stored(batches: Iterable[Batch], geometry: Geometry) -> dict[int, Donors]:
    """Return the showers of each kind of particle, in the order of the codes."""
    found: dict[int, list[dict[str, object]]] = {}
    for batch in batches:
        for code in np.unique(batch.particles.pdg):
            own = np.flatnonzero(batch.particles.pdg == code)
            found.setdefault(int(code), []).append(_columns(batch, own, geometry))
    return {code: _joined(found[code], geometry) for code in sorted(found)}


def _columns(batch: Batch, rows: np.typing.NDArray[np.int64], geometry: Geometry) -> dict[str, object]:
    particles, hits = batch.particles.take(rows), batch.hits
    inside = np.isin(hits.shower, rows) & (hits.layer >= 0)
    number = np.searchsorted(rows, hits.shower[inside])
    some = Hits(
        hits.x[inside], hits.y[inside], hits.z[inside], hits.e[inside], hits.layer[inside],
        np.concatenate([[0], np.cumsum(np.bincount(number, minlength=len(rows)))]).astype(np.int64),
    )  # fmt: skip
    d1, d2, share = shares_of_hits(geometry, particles, some)
    barrel = geometry.frame == "barrel"
    return {
        "energy": particles.energy,
        "eta": particles.eta if barrel else np.zeros(len(rows)),
        "phi": particles.phi if barrel else np.zeros(len(rows)),
        "counts": some.n_hits,
        "layer": some.layer.astype(np.int16),
        "d1": d1.astype(np.float32),
        "d2": d2.astype(np.float32),
        "share": share.astype(np.float32),
        "e": some.e.astype(np.float32),
    }


def _joined(parts: list[dict[str, object]], geometry: Geometry) -> Donors:
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    offsets = np.concatenate([[0], np.cumsum(columns.pop("counts"))]).astype(np.int64)
    energy = columns.pop("energy")
    return Donors.build(energy, offsets, central=np.zeros(geometry.n_layers, dtype=np.bool_), **columns)
