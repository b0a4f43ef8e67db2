"""Where a tune may be used, and which slices serve a particle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastparam.errors import OutOfDomainError
from fastparam.geometry.frames import check_lines
from fastparam.particles import Particles, particle_label, particle_name
from fastparam.tunes.tune import SliceTune, Tune

__all__ = ["ENERGY_MARGIN", "ETA_MARGIN", "Plan", "describe", "plan"]

#: Kinetic energies may exceed the tuned range by this fraction, pseudorapidities by this fraction of a slice.
ENERGY_MARGIN = 0.01
ETA_MARGIN = 0.1


@dataclass(frozen=True)
class Plan:
    """Slices of a tune that serve each of n particles.

    Attributes
    ----------
    lower, upper : int64 arrays (n,)
        Numbers of two slices in `Tune.slices` between whose middles the particle lies in eta; equal outside the first
        and the last middle.
    weight : float64 array (n,)
        Weight of `upper`, linear in eta from middle to middle, so that nothing jumps at an edge.
    """

    lower: npt.NDArray[np.int64]
    upper: npt.NDArray[np.int64]
    weight: npt.NDArray[np.float64]


def plan(tune: Tune, particles: Particles, as_pdg: int | None = None) -> Plan:
    """Find the slices for every particle; antiparticles are served by their particle's tune.

    Parameters
    ----------
    as_pdg : int, optional
        Treat all particles as this one.

    Raises
    ------
    OutOfDomainError
        For the first particle that is outside; names its number (`Particles.index`) and the limit.
    """
    check_lines(tune.geometry, particles)  # the sampler would find out batch by batch, after much work
    n = len(particles)
    lower, upper, weight = np.full(n, -1), np.full(n, -1), np.zeros(n)
    for code in np.unique(particles.pdg):
        rows = np.flatnonzero(particles.pdg == code)
        served = _served_by(tune, int(code) if as_pdg is None else as_pdg, int(particles.index[rows[0]]))
        numbers = np.array([k for k, part in enumerate(tune.slices) if part.pdg == served])
        if tune.slices[numbers[0]].eta is None:
            lower[rows] = upper[rows] = numbers[0]
        else:
            lower[rows], upper[rows], weight[rows] = _by_eta(tune, numbers, particles, rows)
    for k, part in enumerate(tune.slices):
        low, high = part.energy_range[0] * (1 - ENERGY_MARGIN), part.energy_range[1] * (1 + ENERGY_MARGIN)
        used = (lower == k) | (upper == k)
        outside = used & ((particles.energy < low) | (particles.energy > high))
        if outside.any():
            row = int(np.flatnonzero(outside)[0])
            raise OutOfDomainError(
                f"particle {particles.index[row]}: kinetic energy {particles.energy[row]:g} MeV is outside"
                f" {low:g} to {high:g} MeV, the range tuned for the {particle_name(part.pdg)}{_where(part)}"
                f" ({int(outside.sum())} of {n} particles)"
            )
    return Plan(lower, upper, weight)


def describe(tune: Tune) -> list[dict[str, object]]:
    """Return the domain as data: one entry per slice with pdg, energy range in MeV, eta range or largest angle.

    "mirrored" says that the negative of the eta range is served, too.
    """
    return [
        {
            "pdg": part.pdg,
            "energy": [part.energy_range[0] * (1 - ENERGY_MARGIN), part.energy_range[1] * (1 + ENERGY_MARGIN)],
            "eta": None if part.eta is None else list(part.eta),
            "mirrored": tune.mirrored,
            "max_angle_supported": part.max_angle,
            "emits": tune.recipe.emits,
        }
        for part in tune.slices
    ]


def _served_by(tune: Tune, pdg: int, number: int) -> int:
    for code in (pdg, -pdg):
        if code in tune.pdgs:
            return code
    known = ", ".join(particle_label(p) for p in tune.pdgs)
    raise OutOfDomainError(
        f"particle {number}: the tune has no {particle_label(pdg)}; it knows {known}."
        " To use one of them all the same, say which with --as-pdg"
    )


def _by_eta(
    tune: Tune, numbers: npt.NDArray[np.int64], particles: Particles, rows: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    edges = np.array([tune.slices[k].eta for k in numbers], dtype=np.float64)
    low = edges[0, 0] - ETA_MARGIN * (edges[0, 1] - edges[0, 0])
    high = edges[-1, 1] + ETA_MARGIN * (edges[-1, 1] - edges[-1, 0])
    eta = np.abs(particles.eta[rows]) if tune.mirrored else particles.eta[rows]
    outside = (eta < low) | (eta > high)
    if outside.any():
        k = int(np.flatnonzero(outside)[0])
        raise OutOfDomainError(
            f"particle {particles.index[rows[k]]}: eta {particles.eta[rows[k]]:.4g} is outside"
            f" {low:g} to {high:g}{' (of either sign)' if tune.mirrored else ''}, the range tuned"
            f" for the {particle_name(tune.slices[numbers[0]].pdg)}"
            f" ({int(outside.sum())} of {len(particles)} particles)"
        )
    # A slice is fitted to all of its showers, so it stands for its middle; from middle to middle everything is linear.
    middle = edges.mean(axis=1)
    below = np.clip(np.searchsorted(middle, eta, side="right") - 1, 0, len(edges) - 1)
    above = np.minimum(below + 1, len(edges) - 1)
    distance = np.where(above > below, middle[above] - middle[below], 1.0)
    weight = np.clip((eta - middle[below]) / distance, 0.0, 1.0) * (above > below)
    return numbers[below], numbers[np.where(weight > 0.0, above, below)], weight


def _where(part: SliceTune) -> str:
    return "" if part.eta is None else f" at eta {part.eta[0]:g} to {part.eta[1]:g}"
