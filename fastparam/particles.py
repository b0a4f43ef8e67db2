"""Primary particles: a struct of arrays, one entry per shower."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastparam.errors import InputError, UsageError

__all__ = ["MASSES", "NAMES", "Particles", "particle_name"]

#: Rest masses in MeV by |pdg| (Review of Particle Physics 2024), for checks of energy against momentum.
MASSES = {
    11: 0.51099895,
    13: 105.6583755,
    22: 0.0,
    111: 134.9768,
    130: 497.611,
    211: 139.57039,
    310: 497.611,
    321: 493.677,
    2112: 939.56542,
    2212: 938.27209,
}

NAMES = {
    22: "photon",
    11: "electron",
    -11: "positron",
    13: "muon-",
    -13: "muon+",
    211: "pi+",
    -211: "pi-",
    321: "K+",
    -321: "K-",
    130: "K0L",
    2212: "proton",
    2112: "neutron",
}


def particle_name(pdg: int) -> str:
    """Return the English name of a particle, or ``pdg N`` for one without an entry here."""
    return NAMES.get(int(pdg), f"pdg {int(pdg)}")


def particle_label(pdg: int) -> str:
    """Return the English name of a particle with its code, ``photon (22)``; the code alone without a name."""
    return f"{NAMES[int(pdg)]} ({int(pdg)})" if int(pdg) in NAMES else particle_name(pdg)


@dataclass(frozen=True)
class Particles:
    """Primaries at the point where their line starts.

    Attributes
    ----------
    pdg : int32 array (n,)
        Particle code of the Particle Data Group.
    energy : float64 array (n,)
        *Kinetic* energy in MeV.
    position : float64 array (n, 3)
        A point on the particle's straight line, mm, global frame.
    direction : float64 array (n, 3)
        Unit vector along the momentum, global frame.
    index : int64 array (n,)
        Number of the shower; names its stream of random numbers.
    """

    pdg: npt.NDArray[np.int32]
    energy: npt.NDArray[np.float64]
    position: npt.NDArray[np.float64]
    direction: npt.NDArray[np.float64]
    index: npt.NDArray[np.int64]

    @classmethod
    def build(
        cls,
        *,
        pdg: npt.ArrayLike,
        energy: npt.ArrayLike,
        position: npt.ArrayLike,
        direction: npt.ArrayLike,
        index: npt.ArrayLike | None = None,
    ) -> Particles:
        """Check, broadcast and normalise: `direction` may have any length but zero; `index` defaults to 0..n-1.

        Raises
        ------
        InputError
            For values that are not finite, energies that are not positive, or directions of length zero; with row.
        """
        energies = np.atleast_1d(np.asarray(energy, dtype=np.float64))
        positions = np.atleast_2d(np.asarray(position, dtype=np.float64))
        directions = np.atleast_2d(np.asarray(direction, dtype=np.float64))
        codes = np.atleast_1d(np.asarray(pdg)).astype(np.int32)
        n = max(len(energies), len(positions), len(directions), len(codes))
        if min(len(energies), len(positions), len(directions), len(codes)) == 0:
            n = 0
        energies = np.array(np.broadcast_to(energies, (n,)))
        codes = np.array(np.broadcast_to(codes, (n,)))
        positions = np.array(np.broadcast_to(positions, (n, 3)), order="C")
        length = np.linalg.norm(directions, axis=1)
        for name, bad in (
            ("energy is not a finite positive number", ~(np.isfinite(energies) & (energies > 0))),
            ("position is not finite", ~np.isfinite(positions).all(axis=1)),
            ("direction is not finite or has length zero", ~(np.isfinite(length) & (length > 0))),
        ):
            if bad.any():
                row = int(np.flatnonzero(bad)[0])
                raise InputError(f"particle {row}: {name} ({int(bad.sum())} of {n} particles)")
        directions = np.array(np.broadcast_to(directions / length[:, None], (n, 3)), order="C")
        numbers = np.arange(n, dtype=np.int64) if index is None else np.asarray(index, dtype=np.int64)
        return cls(codes, energies, positions, directions, np.array(np.broadcast_to(numbers, (n,))))

    @classmethod
    def gun(
        cls,
        *,
        pdg: int,
        energy: npt.ArrayLike,
        n: int | None = None,
        eta: npt.ArrayLike | None = None,
        phi: npt.ArrayLike = 0.0,
        position: npt.ArrayLike = (0.0, 0.0, 0.0),
        direction: npt.ArrayLike | None = None,
    ) -> Particles:
        """Make `n` particles from scalars (or arrays of length n): a direction, or eta and phi.

        Parameters
        ----------
        pdg : int
        energy : float or array (n,)
            Kinetic energy in MeV.
        n : int, optional
            Default: the length of the longest array given.
        eta, phi : float or array (n,)
            Pseudorapidity and azimuth (rad) of the direction.
        position, direction : array (3,) or (n, 3)
            Start of the line in mm and its direction; default: the origin. `direction` excludes `eta`.
        """
        if (eta is None) == (direction is None):
            raise UsageError("a particle gun needs either eta (and phi) or a direction")
        if eta is not None:
            e, p = np.broadcast_arrays(
                np.atleast_1d(np.asarray(eta, dtype=np.float64)), np.atleast_1d(np.asarray(phi, dtype=np.float64))
            )
            heading = np.stack([np.cos(p), np.sin(p), np.sinh(e)], axis=-1)
        else:
            heading = np.atleast_2d(np.asarray(direction, dtype=np.float64))
        energies = np.atleast_1d(np.asarray(energy, dtype=np.float64))
        positions = np.atleast_2d(np.asarray(position, dtype=np.float64))
        lengths = {len(energies), len(heading), len(positions)} - {1}
        if n is None:
            n = max(lengths, default=1)
        if any(length != n for length in lengths):
            raise UsageError(f"a particle gun of {n} particles got arrays of length {sorted(lengths)}")
        return cls.build(
            pdg=np.full(n, pdg),
            energy=np.broadcast_to(energies, (n,)),
            position=np.broadcast_to(positions, (n, 3)),
            direction=np.broadcast_to(heading, (n, 3)),
        )

    def __len__(self) -> int:
        return len(self.energy)

    @property
    def eta(self) -> npt.NDArray[np.float64]:
        """Pseudorapidity of the direction, shape (n,); infinite along z."""
        transverse = np.hypot(self.direction[:, 0], self.direction[:, 1])
        with np.errstate(divide="ignore"):
            return np.arcsinh(self.direction[:, 2] / transverse)

    @property
    def phi(self) -> npt.NDArray[np.float64]:
        """Azimuth of the direction in rad, shape (n,), in (-pi, pi]."""
        return np.arctan2(self.direction[:, 1], self.direction[:, 0])

    def take(self, rows: Any) -> Particles:
        """Return the particles of a slice, mask or list of rows; their `index` goes with them."""
        return Particles(self.pdg[rows], self.energy[rows], self.position[rows], self.direction[rows], self.index[rows])

    def mirrored(self, rows: npt.NDArray[np.bool_]) -> Particles:
        """Return the particles with those of a mask (n,) mirrored at z = 0: their pseudorapidity changes sign."""
        sign = np.ones((len(self), 3))
        sign[rows, 2] = -1.0
        return Particles(self.pdg, self.energy, self.position * sign, self.direction * sign, self.index)

    def with_index(self, index: npt.ArrayLike) -> Particles:
        """Return the same particles with other shower numbers."""
        return Particles(
            self.pdg, self.energy, self.position, self.direction, np.asarray(index, dtype=np.int64).reshape(len(self))
        )

    @staticmethod
    def concatenate(parts: list[Particles]) -> Particles:
        """Join particles in order; keeps their `index`."""
        return Particles(
            np.concatenate([p.pdg for p in parts]),
            np.concatenate([p.energy for p in parts]),
            np.concatenate([p.position for p in parts]),
            np.concatenate([p.direction for p in parts]),
            np.concatenate([p.index for p in parts]),
        )
