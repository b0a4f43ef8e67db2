"""What the hits of a sample say about its description: layers, lengths, energies.

Shower by shower nothing here is an error: a few hits outside every layer or a few odd energies happen. The totals
over a file tell a wrong unit, a wrong branch or a wrong geometry, and a verdict is given twice: on the first `ENOUGH`
showers, so that a wrong description does not cost a night, and on all of them. Neither depends on how the showers were
cut into batches.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastparam.errors import FastparamWarning, InputError
from fastparam.geometry.schema import ENERGIES, LENGTHS
from fastparam.hits.columns import Columns
from fastparam.hits.convert import Oddities, layer_at
from fastparam.hits.hits import Hits
from fastparam.hits.layout import Layout

if TYPE_CHECKING:
    from fastparam.geometry.detector import Geometry

__all__ = ["ENOUGH", "Notes", "Verdict", "check_values"]

#: Showers after which the totals are first judged, and below which files of one entry are judged together.
ENOUGH = 100

#: Largest fraction of hits outside every layer, or in another layer than their branch names.
MAX_OUTSIDE = 0.05

#: Range of the mean visible over true energy that any calorimeter can have.
VISIBLE = (1e-4, 2.0)


def check_values(
    columns: Columns,
    oddities: Oddities,
    rows: npt.NDArray[np.int64],
    geometry: Geometry,
    layout: Layout,
    place: str,
) -> None:
    """Refuse hits that cannot be used at all.

    Raises
    ------
    InputError
        For values that are NaN or infinite, and for layer ids that the geometry does not have; with row and number.
    """
    read = f"rows {columns.first + int(rows[0])} to {columns.first + int(rows[-1])}"
    if oddities.not_finite.any():
        shower = int(np.flatnonzero(oddities.not_finite)[0])
        own = slice(*columns.offsets[rows[shower] : rows[shower] + 2])
        names = [f"'{layout.branches[r]}'" for r in ("x", "y", "z", "e") if not np.isfinite(columns.hits[r][own]).all()]
        raise InputError(
            f"{place}, row {columns.first + int(rows[shower])}: branch {', '.join(names)} is NaN or infinite; in "
            f"{read} {oddities.not_finite.sum()} hits of {np.count_nonzero(oddities.not_finite)} showers are not "
            "finite; leave such hits out of the file"
        )
    if oddities.unknown.any():
        shower = int(np.flatnonzero(oddities.unknown)[0])
        ids = np.unique(columns.hits["layer"][slice(*columns.offsets[rows[shower] : rows[shower] + 2])])
        raise InputError(
            f"{place}, row {columns.first + int(rows[shower])}: branch '{layout.branches['layer']}' holds "
            f"{_short(ids[geometry.layer_index(ids) < 0])}; the geometry's layers are {_short(geometry.layer_ids)}. In "
            f"{read} {oddities.unknown.sum()} hits are in layers unknown; declare those layers (`id`, or `first_id` of "
            "a stack), or leave `layer` out of `branches` to find the layer from the position"
        )


def _short(ids: npt.NDArray[np.integer[Any]]) -> str:
    return ", ".join(str(i) for i in ids) if len(ids) <= 6 else f"{ids[0]}, {ids[1]}, ... {ids[-1]}"


class Notes:
    """Counts over everything read, told once at the end as warnings."""

    def __init__(self) -> None:
        self.showers = self.empty = self.hits = self.negative = self.outside = 0
        self.energy = self.energy_outside = 0.0

    def add(self, hits: Hits, oddities: Oddities) -> None:
        """Count a batch."""
        self.showers += len(hits)
        self.hits += int(hits.offsets[-1])
        self.empty += int(np.count_nonzero(hits.n_hits == 0))
        self.negative += int(oddities.negative.sum())
        self.outside += int(oddities.outside.sum())
        self.energy += float(oddities.energy.sum())
        self.energy_outside += float(oddities.energy_outside.sum())

    def texts(self, source: str) -> list[str]:
        """Return one sentence per kind of oddity that occurred."""
        texts = []
        if self.negative:
            texts.append(f"{source}: {self.negative} of {self.hits} hits have a negative energy, which was set to 0")
        if self.empty:
            texts.append(f"{source}: {self.empty} of {self.showers} showers have no hits; kept as zero response")
        if self.outside:
            share = 100 * self.energy_outside / self.energy if self.energy > 0 else 0.0
            texts.append(
                f"{source}: {self.outside} of {self.hits} hits, with {share:.2g} % of the visible energy, lie outside "
                "every layer and belong to none"
            )
        return texts

    def warn(self, source: str) -> None:
        """Issue a `FastparamWarning` per kind of oddity that occurred."""
        for text in self.texts(source):
            warnings.warn(text, FastparamWarning, stacklevel=3)


class Verdict:
    """Totals over the showers of one file, or of small files of one entry, and what they say."""

    def __init__(self, geometry: Geometry, layout: Layout) -> None:
        self.geometry = geometry
        self.layout = layout
        self.places: list[str] = []
        self.showers = 0
        self._hits = self._outside = self._elsewhere = 0
        self._ratio = 0.0
        self._last: Hits | None = None

    def add(self, place: str, hits: Hits, oddities: Oddities, energy: npt.NDArray[np.float64]) -> None:
        """Add a batch of showers of the given true energies in MeV; judge when there are `ENOUGH` of them.

        Raises
        ------
        InputError
            See `judge`.
        """
        if place not in self.places:
            self.places.append(place)
        self._last = hits
        head = max(0, min(ENOUGH - self.showers, len(hits)))
        self._sum(hits, oddities, energy, slice(0, head))
        if head and self.showers == ENOUGH:
            self.judge()
        self._sum(hits, oddities, energy, slice(head, len(hits)))

    def _sum(self, hits: Hits, oddities: Oddities, energy: npt.NDArray[np.float64], part: slice) -> None:
        self.showers += len(energy[part])
        self._hits += int(hits.n_hits[part].sum())
        self._outside += int(oddities.outside[part].sum())
        self._elsewhere += int(oddities.elsewhere[part].sum())
        # One by one in order, so that the sum is the same for every split into batches.
        for ratio in oddities.energy[part] / energy[part]:
            self._ratio += float(ratio)

    def judge(self) -> None:
        """Compare the totals with what is possible.

        Raises
        ------
        InputError
            If too many hits are outside every layer or elsewhere than their layer branch says, or the mean visible
            over true energy is impossible; with the likely mistake.
        """
        if self.showers == 0:
            return
        place = self.places[0] if len(self.places) == 1 else f"{self.places[0]} and {len(self.places) - 1} more"
        read = f"in the {self.showers} showers read"
        if self._hits == 0:
            raise InputError(
                f"{place}: no hits at all {read}; is '{self.layout.branches['x']}' the branch of the hits' x?"
            )
        if self._outside > MAX_OUTSIDE * self._hits:
            raise InputError(
                f"{place}: {100 * self._outside / self._hits:.1f} % of the hits {read} lie outside every layer "
                f"(at most {100 * MAX_OUTSIDE:g} % may); {self._likely()}"
            )
        if self._elsewhere > MAX_OUTSIDE * self._hits:
            raise InputError(
                f"{place}: {100 * self._elsewhere / self._hits:.1f} % of the hits {read} do not lie in the layer that "
                f"branch '{self.layout.branches['layer']}' names (at most {100 * MAX_OUTSIDE:g} % may); "
                f"{self._likely()}"
            )
        ratio = self._ratio / self.showers
        if not VISIBLE[0] <= ratio <= VISIBLE[1]:
            raise InputError(
                f"{place}: mean visible over true energy is {ratio:.3g} {read}; expected {VISIBLE[0]:g} to "
                f"{VISIBLE[1]:g}; {self._likely_energy(ratio)}"
            )

    def _likely(self) -> str:
        """Name the unit of length, or the numbering of layers, that would put the hits where they belong."""
        assert self._last is not None
        g, hits = self.geometry, self._last
        depth = np.hypot(hits.x, hits.y) if g.frame == "barrel" else hits.z
        named = "layer" in self.layout.branches
        for unit, mm in LENGTHS.items():
            at = layer_at(depth * (mm / self.layout.length), g)
            agrees = (at >= 0) & ((hits.layer < 0) | (at == hits.layer)) if named else at >= 0
            if mm != self.layout.length and np.count_nonzero(~agrees) <= MAX_OUTSIDE * len(at):
                declared = next(u for u, factor in LENGTHS.items() if factor == self.layout.length)
                return f"in {unit} in place of {declared} they would fit: set `units: {{length: {unit}}}`"
        if named:
            at = layer_at(depth, g)
            inside = (at >= 0) & (hits.layer >= 0)
            for shift in (-1, 1):
                if np.count_nonzero(at[inside] == hits.layer[inside] + shift) >= (1 - MAX_OUTSIDE) * len(at):
                    return (
                        f"the positions are {abs(shift)} layer {'behind' if shift > 0 else 'in front'} throughout: "
                        "number the layers as the file does (ids, `first_id`)"
                    )
        low, high = (float(np.quantile(depth, q)) for q in (0.05, 0.95)) if len(depth) else (0.0, 0.0)
        axis = "radius" if g.frame == "barrel" else "z"
        return (
            f"90 % of them have {axis} {low:.5g} to {high:.5g} mm where the layers reach from {g.layer_from[0]:g} to "
            f"{g.layer_to[-1]:g} mm; check `layers`, `frame`, `units` and the branches x, y, z and layer"
        )

    def _likely_energy(self, ratio: float) -> str:
        """Name a pair of units that would make the ratio possible."""
        declared = next(u for u, factor in ENERGIES.items() if factor == self.layout.energy)
        for unit, mev in ENERGIES.items():
            factor = mev / self.layout.energy
            if factor != 1 and 1e-3 <= ratio * factor <= 1:
                return (
                    f"with hit energies in {unit} beside particles in {declared} it would be {ratio * factor:.3g}: "
                    f"store '{self.layout.branches['e']}' and '{self.layout.branches['energy']}' in the same unit"
                )
        return f"is '{self.layout.branches['e']}' an energy?"
