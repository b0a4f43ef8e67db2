"""Showers as Parquet: one row per particle, in columns that any tool of the Arrow family reads.

    pdg energy vx vy vz ux uy uz, and one of
    hit_x hit_y hit_z hit_e hit_layer     lists, global frame
    voxels                                list of all voxels
    cell_layer cell_i cell_j cell_e       lists, cells with energy

mm and MeV; ``energy`` is kinetic, ``ux uy uz`` the direction, layers are the user's ids. The key ``fastparam`` of the
file's metadata holds provenance, geometry and binning or cells as JSON. Needs pyarrow (``pip install
"fastparam[parquet]"``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastparam.errors import InputError, UsageError
from fastparam.files import atomic_output
from fastparam.geometry.load import dump_geometry
from fastparam.geometry.voxels import VoxelBinning
from fastparam.hits.hits import Hits
from fastparam.particles import Particles
from fastparam.showers.writer import Form, Writer

if TYPE_CHECKING:
    from fastparam.geometry.detector import Geometry
    from fastparam.showers.showers import Showers

__all__ = ["ParquetWriter", "parquet_document", "read_parquet", "read_parquet_particles"]

_PRIMARY = ("pdg", "energy", "vx", "vy", "vz", "ux", "uy", "uz")


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise UsageError(
            'Parquet files need pyarrow, which is not installed; install it with: pip install "fastparam[parquet]"'
        ) from error
    return pyarrow, pyarrow.parquet


class ParquetWriter(Writer):
    """Write showers to a Parquet file, a row group at a time.

    Parameters
    ----------
    path : Path
    geometry : Geometry
    form : "hits", VoxelBinning or CellGrid
        What is written.
    provenance : dict
    """

    def __init__(
        self,
        path: Path,
        geometry: Geometry,
        form: Form = "hits",
        *,
        provenance: Mapping[str, Any],
    ) -> None:
        self._arrow, parquet = _arrow()
        self._form = form
        pa = self._arrow
        doubles, integers, singles = pa.float64(), pa.int32(), pa.list_(pa.float32())
        if isinstance(form, str):
            lists = {f"hit_{name}": singles for name in ("x", "y", "z", "e")} | {"hit_layer": pa.list_(integers)}
        elif isinstance(form, VoxelBinning):
            lists = {"voxels": pa.list_(pa.float32(), form.n_voxels)}
        else:
            lists = {f"cell_{name}": pa.list_(integers) for name in ("layer", "i", "j")} | {"cell_e": singles}
        kinds = {name: integers if name == "pdg" else doubles for name in _PRIMARY} | lists
        document = {
            "provenance": dict(provenance),
            "geometry": dump_geometry(geometry),
            "form": form if isinstance(form, str) else form.to_json(),
        }
        self._schema = pa.schema(list(kinds.items()), metadata={"fastparam": json.dumps(document)})
        with ExitStack() as stack:
            partial = stack.enter_context(atomic_output(path))
            self._file = stack.enter_context(parquet.ParquetWriter(partial, self._schema, compression="zstd"))
            self._open = stack.pop_all()

    def write(self, showers: Showers) -> None:
        """Append showers as one row group."""
        pa, p = self._arrow, showers.particles
        columns: dict[str, Any] = {"pdg": p.pdg, "energy": p.energy}
        columns |= dict(zip(_PRIMARY[2:], (*p.position.T, *p.direction.T), strict=True))
        columns = {name: pa.array(np.ascontiguousarray(values)) for name, values in columns.items()}

        def lists(offsets: Any, values: Any, kind: Any) -> Any:
            return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), pa.array(values.astype(kind)))

        if isinstance(self._form, str):
            hits = showers.hits
            for name in ("x", "y", "z", "e"):
                columns[f"hit_{name}"] = lists(hits.offsets, getattr(hits, name), np.float32)
            columns["hit_layer"] = lists(hits.offsets, showers.layer_ids, np.int32)
        elif isinstance(self._form, VoxelBinning):
            flat = pa.array(showers.voxels(self._form).astype(np.float32).ravel())
            columns["voxels"] = pa.FixedSizeListArray.from_arrays(flat, self._form.n_voxels)
        else:
            cells = showers.cells(self._form)
            for name in ("layer", "i", "j"):
                columns[f"cell_{name}"] = lists(cells.offsets, getattr(cells, name), np.int32)
            columns["cell_e"] = lists(cells.offsets, cells.e, np.float32)
        self._file.write_table(pa.table(columns, schema=self._schema))


def parquet_document(path: Path) -> dict[str, Any]:
    """Return what the file says of itself: provenance, geometry, form.

    Raises
    ------
    InputError
        If the file is missing, broken, or not ours.
    """
    pa, parquet = _arrow()
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        metadata = parquet.read_schema(path).metadata or {}
        if b"fastparam" not in metadata:
            raise InputError(f"{path}: is Parquet of another origin; expected a file written by `fastparam sample`")
        document: dict[str, Any] = json.loads(metadata[b"fastparam"])
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be read as Parquet ({error}); copy it again") from error
    return document


def read_parquet_particles(path: Path) -> Particles:
    """Return the particles of a file; `index` is the row. Raises as `parquet_document`."""
    parquet_document(path)
    pa, parquet = _arrow()
    try:
        table = parquet.read_table(path, columns=list(_PRIMARY))
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be read as Parquet ({error}); copy it again") from error
    return _particles_of(table, 0)


def read_parquet(path: Path, geometry: Geometry) -> Iterator[tuple[Particles, Hits]]:
    """Yield the showers of each row group of a file of hits. Raises as `parquet_document`."""
    pa, parquet = _arrow()
    first = 0
    try:
        with parquet.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group)
                yield _particles_of(table, first), _hits_of(table, geometry)
                first += len(table)
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be read as Parquet ({error}); copy it again") from error


def _particles_of(table: Any, first: int) -> Particles:
    columns = {name: table.column(name).to_numpy() for name in _PRIMARY}
    return Particles(
        columns["pdg"].astype(np.int32),
        columns["energy"].astype(np.float64),
        np.stack([columns[name] for name in ("vx", "vy", "vz")], axis=1),
        np.stack([columns[name] for name in ("ux", "uy", "uz")], axis=1),
        np.arange(first, first + len(table), dtype=np.int64),
    )


def _hits_of(table: Any, geometry: Geometry) -> Hits:
    def flat(name: str) -> Any:
        return table.column(f"hit_{name}").combine_chunks()

    offsets = flat("e").offsets.to_numpy().astype(np.int64)
    x, y, z, e = (flat(name).flatten().to_numpy().astype(np.float64) for name in ("x", "y", "z", "e"))
    layer = geometry.layer_index(flat("layer").flatten().to_numpy())
    return Hits(x, y, z, e, layer, offsets - offsets[0])
