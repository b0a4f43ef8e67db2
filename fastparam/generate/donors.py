"""Stored showers that lend their deposits to other particles: what `library` and `replay` are made of.

For each particle one stored shower of the same kind is chosen at random among those nearest in ln E, with weights that
fall with the distance in ln E, in phi modulo the pitch of a modulation, and in eta. Its
deposits keep their places across the particle's line and inside their layers; energies are scaled by the ratio of the
two particles' energies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastparam._numba import kernel, parallel_kernel, prange
from fastparam.geometry.detector import Geometry
from fastparam.hits.hits import Hits
from fastparam.particles import Particles
from fastparam.random import stream, uniform
from fastparam.showers.local import hits_in_layers

__all__ = ["Donors", "Nearness", "lend"]

Floats = npt.NDArray[np.float64]

#: Names the stream of random numbers.
_PURPOSE = 0xD0

#: Energies that differ by less than this are the same point.
_SAME_ENERGY = 0.01

#: Width in ln E of the weight of showers that are further away than the nearest one.
_ENERGY_WIDTH = 0.05

#: Cosine and sine of quarter turns.
_QUARTERS = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])

#: Beyond this angle to the normal in rad a planar detector looks different from different sides.
_NORMAL = np.deg2rad(1.0)


@dataclass(frozen=True)
class Nearness:
    """Which stored showers may serve a particle.

    Attributes
    ----------
    at_least : int
        So many nearest in ln E, and all that are as near.
    phi_width : float
        Width of the weight in phi modulo the pitch, in pitches.
    eta_width : float
        Width of the weight in eta.
    rotate : bool
        Turn showers by quarters about their line and mirror them, where the detector looks the same.
    """

    at_least: int = 64
    phi_width: float = 0.05
    eta_width: float = 0.02
    rotate: bool = True


@dataclass(frozen=True)
class Donors:
    """Stored showers of one kind of particle, in the order of energy.

    Attributes
    ----------
    energy, eta, phi : float64 arrays (m,)
        Of the particles; kinetic energy in MeV, growing.
    offsets : int64 array (m + 1,)
        Shower k owns the deposits ``offsets[k]:offsets[k + 1]``.
    layer : int16 array (n_deposits,)
        Index of the active layer.
    d1, d2 : float32 arrays (n_deposits,)
        Distances across the line in mm.
    share : float32 array (n_deposits,)
        Where in the layer, 0 to 1.
    e : float32 array (n_deposits,)
        Visible energy in MeV.
    central : bool array (L,)
        What `share` divides in each layer; see `showers.local.hits_in_layers`.
    """

    energy: Floats
    eta: Floats
    phi: Floats
    offsets: npt.NDArray[np.int64]
    layer: npt.NDArray[np.int16]
    d1: npt.NDArray[np.float32]
    d2: npt.NDArray[np.float32]
    share: npt.NDArray[np.float32]
    e: npt.NDArray[np.float32]
    central: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        """Return the number of stored showers."""
        return len(self.energy)

    @classmethod
    def build(cls, energy: Floats, offsets: npt.NDArray[np.int64], **columns: Any) -> Donors:
        """Sort showers by energy; columns as the attributes."""
        order = np.argsort(energy, kind="stable")
        counts = np.diff(offsets)[order]
        sorted_offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        source = np.repeat(offsets[order] - sorted_offsets[:-1], counts) + np.arange(sorted_offsets[-1])
        per_shower = {name: columns[name][order] for name in ("eta", "phi")}
        per_hit = {name: columns[name][source] for name in ("layer", "d1", "d2", "share", "e")}
        return cls(energy[order], offsets=sorted_offsets, central=columns["central"], **per_shower, **per_hit)


@kernel
def _weight(
    further: float, dphi: float, deta: float, pitch: float, phi_width: float, eta_width: float
) -> Any:  # fmt: skip
    exponent = (further / _ENERGY_WIDTH) ** 2
    if pitch > 0.0:
        turns = dphi / pitch
        turns -= np.floor(turns + 0.5)
        exponent += (turns / phi_width) ** 2
    if eta_width > 0.0:
        exponent += (deta / eta_width) ** 2
    return np.exp(-0.5 * exponent) + 1e-12  # never nothing at all


@parallel_kernel
def _choose(
    seed: Any, index: Any, ln_e: Any, eta: Any, phi: Any, donor_ln_e: Any, donor_eta: Any, donor_phi: Any,
    at_least: int, same: float, pitch: float, phi_width: float, eta_width: float, chosen: Any, angle: Any,
) -> None:  # fmt: skip
    m = len(donor_ln_e)
    for i in prange(len(index)):
        state = stream(seed, index[i], _PURPOSE)
        # The window [low, high) grows towards the nearer side until it holds enough, then takes all that are as near.
        low = np.searchsorted(donor_ln_e, ln_e[i])
        high = low
        reach = same
        while high - low < min(at_least, m):
            below = ln_e[i] - donor_ln_e[low - 1] if low > 0 else np.inf
            above = donor_ln_e[high] - ln_e[i] if high < m else np.inf
            if below <= above:
                low -= 1
                reach = max(reach, below)
            else:
                high += 1
                reach = max(reach, above)
        low = np.searchsorted(donor_ln_e, ln_e[i] - reach * (1.0 + 1e-9))
        high = np.searchsorted(donor_ln_e, ln_e[i] + reach * (1.0 + 1e-9))
        nearest = np.inf
        for k in range(low, high):
            nearest = min(nearest, max(abs(ln_e[i] - donor_ln_e[k]), same))
        total = 0.0
        for k in range(low, high):
            further = max(abs(ln_e[i] - donor_ln_e[k]) - nearest, 0.0)
            total += _weight(further, phi[i] - donor_phi[k], eta[i] - donor_eta[k], pitch, phi_width, eta_width)
        left = uniform(state) * total
        chosen[i] = high - 1
        for k in range(low, high):
            further = max(abs(ln_e[i] - donor_ln_e[k]) - nearest, 0.0)
            left -= _weight(further, phi[i] - donor_phi[k], eta[i] - donor_eta[k], pitch, phi_width, eta_width)
            if left <= 0.0:
                chosen[i] = k
                break
        angle[i] = uniform(state)


@parallel_kernel
def _copy(
    chosen: Any, angle: Any, turn: Any, mirror: Any, scale: Any, source: Any, layer: Any, d1: Any, d2: Any, share: Any,
    e: Any, offsets: Any, out_layer: Any, out_d1: Any, out_d2: Any, out_share: Any, out_e: Any,
) -> None:  # fmt: skip
    for i in prange(len(chosen)):
        cosine, sine, flip = 1.0, 0.0, 1.0
        if turn[i]:
            # The eight ways in which a square grid fits onto itself: cells, and those in which hits were merged.
            quarter = np.int64(8.0 * angle[i])
            flip = 1.0 if quarter < 4 else -1.0
            cosine, sine = _QUARTERS[quarter % 4, 0], _QUARTERS[quarter % 4, 1]
        elif mirror and angle[i] < 0.5:
            flip = -1.0
        first = source[chosen[i]]
        for n in range(offsets[i + 1] - offsets[i]):
            h, g = offsets[i] + n, first + n
            a, b = d1[g], flip * d2[g]
            out_layer[h] = layer[g]
            out_d1[h], out_d2[h] = cosine * a - sine * b, sine * a + cosine * b
            out_share[h] = share[g]
            out_e[h] = e[g] * scale[i]


def lend(donors: Donors, geometry: Geometry, particles: Particles, nearness: Nearness, seed: int) -> Hits:
    """Return the hits of one stored shower for each particle.

    Parameters
    ----------
    donors : Donors
        At least one shower.
    geometry : Geometry
    particles : Particles (n,)
    nearness : Nearness
    seed : int
        Of the random numbers; a particle's shower depends on it and on `Particles.index` only.
    """
    n = len(particles)
    modulation = geometry.config.modulation
    barrel = geometry.frame == "barrel"
    pitch = modulation.pitch if barrel and modulation is not None else 0.0
    chosen, angle = np.empty(n, dtype=np.int64), np.empty(n)
    zeros = np.zeros(n)
    _choose(
        seed, particles.index, np.log(particles.energy), particles.eta if barrel else zeros,
        particles.phi if barrel else zeros, np.log(donors.energy), donors.eta, donors.phi, nearness.at_least,
        _SAME_ENERGY, pitch, nearness.phi_width, nearness.eta_width if barrel else 0.0, chosen, angle,
    )  # fmt: skip
    upright = particles.direction[:, 2] > np.cos(_NORMAL)
    turn = upright if nearness.rotate and not barrel else np.zeros(n, dtype=np.bool_)
    mirror = nearness.rotate and barrel and modulation is None
    offsets = np.concatenate([[0], np.cumsum(np.diff(donors.offsets)[chosen])]).astype(np.int64)
    total = int(offsets[-1])
    layer = np.empty(total, dtype=np.int32)
    d1, d2, share, e = (np.empty(total) for _ in range(4))
    _copy(
        chosen, angle, turn, mirror, particles.energy / donors.energy[chosen], donors.offsets, donors.layer, donors.d1,
        donors.d2, donors.share, donors.e, offsets, layer, d1, d2, share, e,
    )  # fmt: skip
    return hits_in_layers(geometry, particles, offsets, layer, d1, d2, share, e, central=donors.central)
