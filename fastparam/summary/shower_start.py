"""Where a hadron starts to shower, and whether it does."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastparam.geometry.detector import Geometry
from fastparam.geometry.ionisation import mip_energy

__all__ = ["COARSE", "MIPS", "NO_SHOWER", "last_start", "shower_start", "starts_of"]

Floats = npt.NDArray[np.float64]

#: A shower starts in the first layer with more than this many times the energy of a minimum-ionising particle in it
#: and in each of the next two.
MIPS = 3.0
_RUN = 3

#: Detectors with fewer layers cannot follow a shower; there one that leaves less than `NO_SHOWER` times what a
#: minimum-ionising particle leaves in all layers together has none. In a lead / liquid argon accordion that is 150 MeV,
#: in the valley between the particles that pass (60 to 110 MeV) and the showers.
COARSE = 10
NO_SHOWER = 2.4


def shower_start(layer_energy: Floats, geometry: Geometry) -> npt.NDArray[np.int64]:
    """Return the layer in which each shower starts.

    Parameters
    ----------
    layer_energy : float64 array (n, L)
        Visible energy in MeV.
    geometry : Geometry

    Returns
    -------
    int64 array (n,)
        Index of the layer; -1 for showers without a start. With `COARSE` layers or more, the first with more than 3
        minimum-ionising particles in it and in each of the next two; with fewer, the first with more than 3 of those
        showers that leave 2.4 times the energy of a minimum-ionising particle (or else the layer that comes nearest).
    """
    return starts_of(layer_energy, mip_energy(geometry))


def starts_of(layer_energy: Floats, mip: Floats) -> npt.NDArray[np.int64]:
    """Return the same (n,), given what a minimum-ionising particle leaves in each layer, (L,) in MeV."""
    in_mips = layer_energy / mip
    above = in_mips > MIPS
    if len(mip) < COARSE:
        showers = layer_energy.sum(axis=1) > NO_SHOWER * mip.sum()
        first = np.where(above.any(axis=1), above.argmax(axis=1), in_mips.argmax(axis=1))
        return np.where(showers, first, -1).astype(np.int64)
    run = above[:, : -_RUN + 1].copy()
    for k in range(1, _RUN):
        run &= above[:, k : above.shape[1] - _RUN + 1 + k]
    return np.where(run.any(axis=1), run.argmax(axis=1), -1).astype(np.int64)


def last_start(geometry: Geometry) -> int:
    """Index of the last layer in which a shower can start."""
    return geometry.n_layers - 1 if geometry.n_layers < COARSE else geometry.n_layers - _RUN
