"""Model of the energies component: what `fit.energies` finds, and showers drawn from it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastparam._numba import kernel
from fastparam.fit import marginals
from fastparam.fit.energy_quantities import PASSING
from fastparam.fit.marginals import Marginals
from fastparam.fit.tables import Tables
from fastparam.shapes.binned_copula import draw1

__all__ = ["SCORE_MAX", "Energies", "draw"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Scores between which h is tabulated.
SCORE_MAX = 3.5


@dataclass(frozen=True)
class Energies:
    """The fitted model; the tables of `shapes.binned_copula`.

    Attributes
    ----------
    marginals : Marginals
        Of m quantities at P energy points.
    direction : float64 array (P, m)
        The leading principal component of the scores.
    edges : float64 array (P, B - 1)
        Its values between which the bins lie.
    score : float64 array (P, B, m, K)
        h, scores within all showers at scores within a bin, from -SCORE_MAX to SCORE_MAX in equal steps.
    factor : float64 array (P, B, m, m)
        Cholesky factors.
    probability : float64 array (P, B)
        Of the bins.
    first : int64 array (B + 1,)
        First start of each bin, and the number of layers; empty if bins are quantiles of the leading component.
    threshold : float64 array (L,)
        Energies in MeV that a layer must exceed where a shower starts.
    width, share : float
        What was chosen: width in ln E, share of the pooled correlations.
    names : tuple of str (m,)
    n_layers : int
    """

    marginals: Marginals
    direction: Floats
    edges: Floats
    score: Floats
    factor: Floats
    probability: Floats
    first: Ints
    threshold: Floats
    width: float
    share: float
    names: tuple[str, ...]
    n_layers: int

    @property
    def passing(self) -> int:
        """Number of the quantity that holds the energy of showers that pass, bin 0; -1 if they have no bin."""
        return self.names.index(PASSING) if PASSING in self.names else -1

    @property
    def n_bins(self) -> int:
        """Number of bins of the leading component."""
        return int(self.factor.shape[1])

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return compact arrays to store; `from_tables` reads them."""
        low = np.tril_indices(self.factor.shape[2])
        return {
            **self.marginals.to_arrays(),
            "energies_direction": self.direction,
            "energies_edges": self.edges.astype(np.float32),
            "energies_score": np.round(self.score * 4096.0).astype(np.int16),
            "energies_factor": self.factor[:, :, low[0], low[1]].astype(np.float32),
            "energies_probability": self.probability,
            "energies_first": self.first,
            "energies_threshold": self.threshold,
            "energies_chosen": np.array([self.width, self.share]),
            "energies_names": np.array([name.encode() for name in self.names]),
            "energies_layers": np.array([self.n_layers]),
        }

    @classmethod
    def from_tables(cls, tables: Tables) -> Energies:
        """Build from tables that hold what `to_arrays` returned."""
        packed = tables["energies_factor"].astype(np.float64)
        m = tables["energies_direction"].shape[1]
        factor = np.zeros((*packed.shape[:2], m, m))
        low = np.tril_indices(m)
        factor[:, :, low[0], low[1]] = packed
        width, share = (float(v) for v in tables["energies_chosen"])
        return cls(
            Marginals.from_tables(tables),
            tables["energies_direction"].astype(np.float64),
            tables["energies_edges"].astype(np.float64),
            np.ascontiguousarray(tables["energies_score"].astype(np.float64) / 4096.0),
            factor,
            tables["energies_probability"].astype(np.float64),
            tables["energies_first"].astype(np.int64),
            tables["energies_threshold"].astype(np.float64),
            width,
            share,
            tuple(name.decode() for name in tables["energies_names"]),
            int(tables["energies_layers"][0]),
        )


def draw(model: Energies, energy: Floats, *, seed: int, index: Ints | None = None) -> tuple[Floats, Ints]:
    """Draw showers of kinetic energies `energy` (n,) in MeV: quantities (n, m) and bins (n,).

    As the sampler does, for one slice.
    """
    laws = model.marginals
    ln_e = np.log(energy)
    location, ln_scale = (
        np.stack([np.interp(ln_e, laws.grid, law[:, j]) for j in range(law.shape[1])], axis=1)
        for law in (laws.location, laws.ln_scale)
    )
    number = np.arange(len(energy), dtype=np.int64) if index is None else index
    out, bin_ = np.empty((len(energy), len(laws.kind))), np.empty(len(energy), dtype=np.int64)
    _draw(
        seed, number, energy, laws.ln_e, model.probability, model.first, model.threshold, model.factor, model.score,
        laws.zero, laws.shape, location, ln_scale, laws.kind, model.n_layers, model.passing, SCORE_MAX, marginals.Z_MAX,
        out, bin_,
    )  # fmt: skip
    return out, bin_


@kernel
def _draw(
    seed: Any, index: Any, energy: Any, points: Any, probability: Any, first: Any, threshold: Any, factor: Any,
    score: Any, zero: Any, shape: Any, location: Any, ln_scale: Any, kind: Any, n_layers: Any, passing: Any,
    score_max: Any, shape_max: Any, out: Any, bin_: Any,
) -> None:  # fmt: skip
    work, two, two_s = np.empty((2, len(kind))), np.zeros((2, len(kind))), np.zeros((2, len(kind)))
    member, weight, slot = np.zeros(4, dtype=np.int64), np.zeros(4), np.array([0, 1, 2, 3])
    slices = np.array([1.0, 0.0])
    for i in range(len(index)):
        below = 0
        ln_e = math.log(energy[i])
        while below < len(points) - 2 and points[below + 1] <= ln_e:
            below += 1
        above = min(below + 1, len(points) - 1)
        w = (ln_e - points[below]) / (points[above] - points[below]) if above > below else 0.0
        w = min(max(w, 0.0), 1.0)
        member[0], member[1] = below, above
        slot[0] = below % 2
        slot[1] = 1 - slot[0]
        weight[0], weight[1] = 1.0 - w, w
        for j in range(len(kind)):
            two[0, j], two_s[0, j] = location[i, j], ln_scale[i, j]
        bin_[i] = draw1(
            seed, index[i], energy[i], slot, member, weight, probability, first, threshold, factor, score, score_max,
            zero, shape, shape_max, slices, two, two_s, kind, n_layers, passing, work, out[i],
        )  # fmt: skip
