"""Showers as a ROOT file: tree ``showers``, one row per particle, lists in counted jagged branches.

    pdg energy [eta phi] vx vy vz px py pz, and one of
    nhit hit_x hit_y hit_z hit_e hit_layer
    voxels
    ncell cell_layer cell_i cell_j cell_e

Global frame; mm, MeV, rad; ``energy`` is kinetic, ``px py pz`` the momentum, layers are the user's ids; ``eta phi`` in
barrels only. Primaries are written in double precision, so that showers can be sampled again from exactly the same
particles; energies and hits in single. A TObjString beside the tree holds where the showers come from and marks the
file as ours: `fastparam.hits.iterate_file` reads its hits back without a geometry's samples. Another, ``geometry``,
holds the detector's geometry.yaml.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
import numpy.typing as npt
import uproot

from fastparam.errors import InputError
from fastparam.files import atomic_output
from fastparam.geometry.load import dump_geometry
from fastparam.geometry.voxels import VoxelBinning
from fastparam.hits.columns import ranges_of_hits
from fastparam.hits.layout import SHOWER_FILE, SHOWER_MARK
from fastparam.particles import MASSES, Particles
from fastparam.showers.writer import Form, Writer

if TYPE_CHECKING:
    from fastparam.geometry.detector import Geometry
    from fastparam.showers.showers import Showers

__all__ = ["RootWriter"]

#: Hits per basket at most: what a reader has to decompress at once.
_BASKET_HITS = 1_000_000


class RootWriter(Writer):
    """Write showers to a ROOT file, chunk by chunk.

    Parameters
    ----------
    path : Path
    geometry : Geometry
    form : "hits", VoxelBinning or CellGrid
        What is written.
    provenance : dict
        Stored as JSON in the object ``fastparam``: tune, seed, versions, what is written.
    """

    def __init__(self, path: Path, geometry: Geometry, form: Form = "hits", *, provenance: Mapping[str, Any]) -> None:
        self._form = form
        self._barrel = geometry.frame == "barrel"
        with ExitStack() as stack:
            partial = stack.enter_context(atomic_output(path))
            # Level 1 of ZSTD writes nearly as fast as no compression and is the fastest to read.
            self._file = stack.enter_context(uproot.recreate(partial, compression=uproot.ZSTD(1)))
            written = {} if isinstance(form, str) else {"written": form.to_json()}
            self._file[SHOWER_MARK] = json.dumps({**provenance, **written}, sort_keys=True)
            self._file["geometry"] = dump_geometry(geometry)
            doubles = ("energy", *(("eta", "phi") if self._barrel else ()), "vx", "vy", "vz", "px", "py", "pz")
            kinds: dict[str, Any] = {"pdg": np.dtype(np.int32), **{name: np.dtype(np.float64) for name in doubles}}
            if isinstance(form, str):
                kinds["hit"] = 'var * {"x": float32, "y": float32, "z": float32, "e": float32, "layer": int32}'
            elif isinstance(form, VoxelBinning):
                kinds["voxels"] = np.dtype((np.float32, (form.n_voxels,)))
            else:
                kinds["cell"] = 'var * {"layer": int32, "i": int32, "j": int32, "e": float32}'
            self._tree = self._file.mktree(SHOWER_FILE.tree, kinds, title="showers in mm and MeV, global frame")
            self._open = stack.pop_all()

    def write(self, showers: Showers) -> None:
        """Append showers; empty ones get a row, too.

        Raises
        ------
        InputError
            If there is a particle whose mass, and with it the momentum, is not known.
        """
        particles = showers.particles
        momentum = _momentum(particles)
        if isinstance(self._form, VoxelBinning):
            voxels = showers.voxels(self._form).astype(np.float32)
            if len(showers):
                self._extend(particles, momentum, {"voxels": voxels})
            return
        if isinstance(self._form, str):
            hits, name = showers.hits, "hit"
            offsets = hits.offsets
            columns: dict[str, Any] = {key: getattr(hits, key) for key in ("x", "y", "z", "e")}
            columns["layer"] = showers.layer_ids
        else:
            cells, name = showers.cells(self._form), "cell"
            offsets = cells.offsets
            columns = {key: getattr(cells, key) for key in ("layer", "i", "j", "e")}
        for a, b in ranges_of_hits(offsets, _BASKET_HITS):
            lo, hi = offsets[a], offsets[b]
            values = [
                ak.contents.NumpyArray(c[lo:hi].astype(np.float32 if c.dtype.kind == "f" else np.int32))
                for c in columns.values()
            ]
            records = ak.contents.RecordArray(values, list(columns))
            lists = ak.Array(ak.contents.ListOffsetArray(ak.index.Index64(offsets[a : b + 1] - lo), records))
            self._extend(particles.take(slice(a, b)), momentum[a:b], {name: lists})

    def _extend(self, particles: Particles, momentum: npt.NDArray[np.float64], more: dict[str, Any]) -> None:
        directions = {"eta": particles.eta, "phi": particles.phi} if self._barrel else {}
        self._tree.extend(
            {
                "pdg": particles.pdg,
                "energy": particles.energy,
                **directions,
                **dict(zip(("vx", "vy", "vz"), particles.position.T, strict=True)),
                **dict(zip(("px", "py", "pz"), momentum.T, strict=True)),
                **more,
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
