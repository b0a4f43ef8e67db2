"""Stored columns of primaries -> `Particles`: units, the meaning of the energy, and what contradicts it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastparam.errors import InputError
from fastparam.hits.columns import Columns
from fastparam.hits.layout import Layout
from fastparam.particles import MASSES, Particles, particle_name

__all__ = ["particles"]

Floats = npt.NDArray[np.float64]

#: Relative difference between momentum and energy that passes as rounding in the file.
_TOLERANCE = 1e-3

_MEANINGS = ("kinetic", "total", "momentum")


def particles(columns: Columns, layout: Layout, place: str, index: npt.NDArray[np.int64]) -> Particles:
    """Convert primaries to mm, MeV, kinetic energy and unit directions.

    A vertex that the file does not hold is the origin. Where px, py, pz are a momentum (their length is not 1), it
    must agree with the energy as `energy_is` of the geometry declares it.

    Parameters
    ----------
    columns : Columns
    layout : Layout
    place : str
        The file, for messages.
    index : int64 array (n,)
        Becomes `Particles.index`.

    Raises
    ------
    InputError
        For values that are not finite, energies that are not positive, momenta of length zero, momenta that
        contradict the energy; each with branch, row and number.
    """
    check = _Rows(columns.first, place)
    stored = {role: values.astype(np.float64) for role, values in columns.primaries.items()}
    for role, values in stored.items():
        check.none(~np.isfinite(values), f"branch '{layout.branches[role]}' is NaN or infinite")
    n = len(columns)
    origin = np.zeros(n)
    vertex = np.stack([stored.get(role, origin) for role in ("vx", "vy", "vz")], axis=1) * layout.length
    energy, pdg = stored["energy"] * layout.energy, stored["pdg"].astype(np.int32)
    name = layout.branches["energy"]
    check.none(energy <= 0, f"energy (branch '{name}') is not positive; leave such primaries out of the file")
    if "px" in stored:
        momentum = np.stack([stored["px"], stored["py"], stored["pz"]], axis=1)
        length = np.linalg.norm(momentum, axis=1)
        check.none(length == 0, "momentum is zero; a shower needs a direction")
    else:
        momentum = np.stack([np.cos(stored["phi"]), np.sin(stored["phi"]), np.sinh(stored["eta"])], axis=1)
        length = np.linalg.norm(momentum, axis=1)
    kinetic = _kinetic(energy, pdg, layout.energy_is, check)
    check.none(
        kinetic <= 0,
        f"energy (branch '{name}'), declared as total, is not above the particle's rest mass; "
        "is it kinetic (`energy_is: kinetic`)?",
    )
    if "px" in stored:
        _check_momentum(length, energy, kinetic, pdg, layout, check)
    return Particles.build(pdg=pdg, energy=kinetic, position=vertex, direction=momentum, index=index)


class _Rows:
    """Turns masks over the rows of a chunk into errors that name the first row of the file and how many there are."""

    def __init__(self, first: int, place: str) -> None:
        self.first = first
        self.place = place

    def none(self, bad: npt.NDArray[np.bool_], text: str) -> None:
        if bad.any():
            row = self.first + int(np.flatnonzero(bad)[0])
            last = self.first + len(bad) - 1
            raise InputError(f"{self.place}, row {row}: {text} ({bad.sum()} of rows {self.first} to {last})")


def _masses(pdg: npt.NDArray[np.int32]) -> Floats:
    """Masses in MeV, NaN for particles that are not in the table."""
    codes, inverse = np.unique(np.abs(pdg), return_inverse=True)
    return np.array([MASSES.get(int(c), np.nan) for c in codes], dtype=np.float64)[inverse]


def _kinetic(energy: Floats, pdg: npt.NDArray[np.int32], energy_is: str, check: _Rows) -> Floats:
    """Kinetic energy in MeV from the energy in MeV, or momentum in MeV/c, that the file holds."""
    if energy_is == "kinetic":
        return energy
    mass = _masses(pdg)
    unknown = np.isnan(mass)
    if unknown.any():
        check.none(
            unknown,
            f"the mass of pdg {pdg[unknown][0]} is not known, so that `energy_is: {energy_is}` cannot be converted; "
            "store kinetic energies",
        )
    if energy_is == "total":
        return energy - mass
    return energy**2 / (np.hypot(energy, mass) + mass)  # sqrt(p2 + m2) - m without its cancellation


def _check_momentum(
    length: Floats, energy: Floats, kinetic: Floats, pdg: npt.NDArray[np.int32], layout: Layout, check: _Rows
) -> None:
    """Compare the momentum with the energy, where px, py, pz are a momentum and the mass is known."""
    mass = _masses(pdg)
    momentum = length * layout.energy
    comparable = (np.abs(length - 1.0) > _TOLERANCE) & ~np.isnan(mass)

    def agree(expected: Floats) -> npt.NDArray[np.bool_]:
        return np.abs(expected - momentum) <= _TOLERANCE * momentum

    bad = comparable & ~agree(np.sqrt(kinetic * (kinetic + 2 * mass)))
    if not bad.any():
        return
    row = int(np.flatnonzero(bad)[0])
    readings = {
        "kinetic": np.sqrt(energy * (energy + 2 * mass)),
        "total": np.sqrt(np.maximum(energy**2 - mass**2, 0.0)),
        "momentum": energy,
    }
    likely = {f"all rows agree with `energy_is: {m}`": readings[m] for m in _MEANINGS if m != layout.energy_is}
    for factor in (1e3, 1e-3, 1e6, 1e-6):
        # A wrong unit scales both branches alike, and only the mass gives it away.
        scaled = factor * kinetic
        both = np.sqrt(scaled * (scaled + 2 * mass)) / factor
        likely[f"all rows agree if energies are {factor:g} times what was read: check `units: {{energy: ...}}`"] = both
    deviation = {
        text: float((np.abs(expected - momentum) / momentum)[comparable].max()) for text, expected in likely.items()
    }
    best = min(deviation, key=lambda text: deviation[text])
    if deviation[best] > _TOLERANCE:
        best = "check the units and `energy_is`"
        ratio = float(np.median(readings[layout.energy_is][comparable] / momentum[comparable]))
        for factor in (1e3, 1e-3, 1e6, 1e-6):
            if abs(ratio / factor - 1) < 0.05:
                best = f"the branches differ by a factor {factor:g}: they are stored in different units"
    check.none(
        bad,
        f"momentum and energy contradict each other: {particle_name(pdg[row])} with |p| = {momentum[row]:.6g} MeV/c "
        f"and energy {energy[row]:.6g} MeV, declared as `energy_is: {layout.energy_is}`; {best}",
    )
