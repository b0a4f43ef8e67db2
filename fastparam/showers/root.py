"""Showers as a ROOT file: tree ``showers``, one row per particle, hits in counted jagged branches.

    pdg energy [eta phi] vx vy vz px py pz nhit hit_x hit_y hit_z hit_e hit_layer

Global frame; mm, MeV, rad; ``energy`` is kinetic, ``px py pz`` the momentum, ``hit_layer`` the user's id of the layer;
``eta phi`` in barrels only. Primaries are written in double precision, so that showers can be sampled again from
exactly the same particles; hits in single. A TObjString beside the tree holds where the showers come from and marks the
file as ours: `fastparam.hits.iterate_file` reads it back without a geometry's samples.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import awkward as ak
import numpy as np
import numpy.typing as npt
import uproot

from fastparam.errors import InputError
from fastparam.files import atomic_output
from fastparam.hits.columns import ranges_of_hits
from fastparam.hits.hits import Hits
from fastparam.hits.layout import SHOWER_FILE, SHOWER_MARK
from fastparam.particles import MASSES, Particles

__all__ = ["RootWriter"]

#: Hits per basket at most: what a reader has to decompress at once.
_BASKET_HITS = 1_000_000


class RootWriter:
    """Write showers to a ROOT file, chunk by chunk; the file appears under its name when it is complete.

    Use as a context manager: leaving it by an exception leaves no file behind.

    Parameters
    ----------
    path : Path
    barrel : bool
        Whether to write ``eta`` and ``phi``.
    provenance : dict
        Stored as JSON in the object ``fastparam``: tune, seed, versions.
    """

    def __init__(self, path: Path, *, barrel: bool, provenance: Mapping[str, Any]) -> None:
        with ExitStack() as stack:
            partial = stack.enter_context(atomic_output(path))
            # Level 1 of ZSTD writes nearly as fast as no compression and is the fastest to read.
            self._file = stack.enter_context(uproot.recreate(partial, compression=uproot.ZSTD(1)))
            self._file[SHOWER_MARK] = json.dumps(dict(provenance), sort_keys=True)
            doubles = ("energy", *(("eta", "phi") if barrel else ()), "vx", "vy", "vz", "px", "py", "pz")
            self._tree = self._file.mktree(
                SHOWER_FILE.tree,
                {
                    "pdg": np.dtype(np.int32),
                    **{name: np.dtype(np.float64) for name in doubles},
                    "hit": 'var * {"x": float32, "y": float32, "z": float32, "e": float32, "layer": int32}',
                },
                title="showers in mm and MeV, global frame",
            )
            self._barrel = barrel
            self._open = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)

    def close(self) -> None:
        """Finish the file and give it its name."""
        self._open.close()

    def write(self, particles: Particles, hits: Hits, layer_ids: npt.NDArray[np.int32]) -> None:
        """Append showers.

        Parameters
        ----------
        particles : Particles
            Of n showers.
        hits : Hits
            Of the same n showers; empty ones get a row, too.
        layer_ids : int32 array (L,)
            `Geometry.layer_ids`.

        Raises
        ------
        InputError
            If there is a particle whose mass, and with it the momentum, is not known.
        """
        momentum = _momentum(particles)
        for a, b in ranges_of_hits(hits.offsets, _BASKET_HITS):
            some, lo, hi = particles.take(slice(a, b)), hits.offsets[a], hits.offsets[b]
            columns = [getattr(hits, name)[lo:hi].astype(np.float32) for name in ("x", "y", "z", "e")]
            columns.append(layer_ids[hits.layer[lo:hi]])
            records = ak.contents.RecordArray(
                [ak.contents.NumpyArray(values) for values in columns], ["x", "y", "z", "e", "layer"]
            )
            directions = {"eta": some.eta, "phi": some.phi} if self._barrel else {}
            self._tree.extend(
                {
                    "pdg": some.pdg,
                    "energy": some.energy,
                    **directions,
                    **dict(zip(("vx", "vy", "vz"), some.position.T, strict=True)),
                    **dict(zip(("px", "py", "pz"), momentum[a:b].T, strict=True)),
                    "hit": ak.Array(
                        ak.contents.ListOffsetArray(ak.index.Index64(hits.offsets[a : b + 1] - lo), records)
                    ),
                }
            )


def _momentum(particles: Particles) -> npt.NDArray[np.float64]:
    """Momentum vectors in MeV/c, shape (n, 3), from kinetic energies."""
    codes, inverse = np.unique(np.abs(particles.pdg), return_inverse=True)
    unknown = [int(code) for code in codes if int(code) not in MASSES]
    if unknown:
        raise InputError(
            f"pdg {unknown[0]}: its mass is not known, so that no momentum can be written to a ROOT file; "
            f"known are {', '.join(str(code) for code in MASSES)}"
        )
    mass = np.array([MASSES[int(code)] for code in codes], dtype=np.float64)[inverse]
    length = np.sqrt(particles.energy * (particles.energy + 2.0 * mass))
    momentum: npt.NDArray[np.float64] = length[:, None] * particles.direction
    return momentum
