"""One iterator over all samples: batches of showers in mm and MeV, checked, whatever the files look like.

A thread reads and decompresses the next chunk while the present one is converted and used. Compiled kernels run in the
caller's thread only, as not every threading layer of numba allows more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from fastparam.errors import InputError, UsageError
from fastparam.hits.checks import ENOUGH, Notes, Verdict, check_values
from fastparam.hits.columns import Columns
from fastparam.hits.convert import Oddities, convert
from fastparam.hits.hits import Hits
from fastparam.hits.layout import (
    PRIMARIES_ONLY,
    SHOWER_FILE,
    SHOWER_MARK,
    Layout,
    SampleFile,
    sample_files,
    sample_layouts,
)
from fastparam.hits.primaries import particles
from fastparam.hits.readers import open_reader, reader_of
from fastparam.hits.rootfile import RootFile
from fastparam.particles import Particles

if TYPE_CHECKING:
    from fastparam.geometry.detector import Geometry

__all__ = [
    "BATCH_HITS",
    "Batch",
    "Rows",
    "check_first_batch",
    "iterate",
    "iterate_file",
    "layout_of",
    "read_file_particles",
    "read_particles",
]

T = TypeVar("T")
Rows = Literal["all", "even", "odd"]

#: Hits per batch: about 150 MB with what is read ahead.
BATCH_HITS = 2_000_000


@dataclass(frozen=True)
class Batch:
    """Showers as they come from the files.

    Attributes
    ----------
    particles : Particles
        Of n showers; `index` is `row`.
    hits : Hits
        Of the same showers; a shower may have none.
    row : int64 array (n,)
        Row of each shower, counted through all files.
    n_negative, n_outside : int32 arrays (n,)
        Hits whose energy was negative and became 0; hits outside every layer.
    """

    particles: Particles
    hits: Hits
    row: npt.NDArray[np.int64]
    n_negative: npt.NDArray[np.int32]
    n_outside: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.row)


def iterate(
    geometry: Geometry,
    *,
    rows: Rows = "all",
    part: tuple[int, int] | None = None,
    batch_hits: int = BATCH_HITS,
) -> Iterator[Batch]:
    """Read the samples of a geometry, in order.

    Parameters
    ----------
    geometry : Geometry
    rows : "all", "even" or "odd"
        By row, counted from 0 through the files of all entries in listed order.
    part : (i, n), optional
        The i-th (from 1) of n contiguous ranges of rows.
    batch_hits : int
        About how many hits a batch holds at most; a batch never crosses files, and the showers do not depend on it.

    Yields
    ------
    Batch

    Raises
    ------
    InputError
        For files that cannot be read, and values or totals that contradict the geometry (`fastparam.hits.checks`).
    UsageError
        For an impossible `rows`, `part` or `batch_hits`.

    Warns
    -----
    FastparamWarning
        At the end: hits of negative energy, showers without hits, hits outside every layer.
    """
    _check_options(rows, part, batch_hits)
    return _batches(geometry, sample_files(geometry), rows, part, batch_hits, str(geometry.path))


def iterate_file(
    path: Path | str,
    geometry: Geometry,
    *,
    rows: Rows = "all",
    part: tuple[int, int] | None = None,
    batch_hits: int = BATCH_HITS,
) -> Iterator[Batch]:
    """Read one file that need not be among the samples: of ``fastparam sample``, or of a layout of the samples.

    Parameters, errors and warnings as for `iterate`; rows count from 0 in the file. See `layout_of` for how the file
    is recognised.
    """
    _check_options(rows, part, batch_hits)
    path = Path(path)
    return _batches(geometry, [SampleFile(path, layout_of(path, geometry), 0)], rows, part, batch_hits, str(path))


def read_particles(geometry: Geometry) -> Particles:
    """Return the primaries of all rows of the samples, without reading hits; `index` is the row.

    Raises
    ------
    InputError
        As `iterate`, as far as primaries are concerned.
    """
    parts, base = [], 0
    for file in sample_files(geometry):
        found = read_file_particles(file, base)
        base += len(found)
        parts.append(found)
    return Particles.concatenate(parts)


def read_file_particles(file: SampleFile, base: int) -> Particles:
    """Return the primaries of one file; `index` counts from `base`."""
    parts = [_no_particles()]
    # Files of ours may hold voxels or cells in place of hits.
    layout = PRIMARIES_ONLY if file.layout is SHOWER_FILE else file.layout
    with open_reader(file.path, layout) as reader:
        for columns in reader.primaries(0, reader.n_rows):
            index = base + columns.first + np.arange(len(columns), dtype=np.int64)
            parts.append(particles(columns, layout, str(file.path), index))
    return Particles.concatenate(parts)


def check_first_batch(geometry: Geometry, file: SampleFile, batch_hits: int) -> None:
    """Read one batch of a file and judge it by itself; errors and warnings as for `iterate`."""
    with open_reader(file.path, file.layout) as reader:
        columns = next(reader.read(0, reader.n_rows, batch_hits), None)
    if columns is None:
        raise InputError(f"{file.path}: holds no showers")
    piece = next(columns.split(batch_hits))
    batch, oddities = _batch(geometry, file, 0, piece, np.arange(len(piece), dtype=np.int64))
    verdict, notes = Verdict(geometry, file.layout), Notes()
    verdict.add(str(file.path), batch.hits, oddities, batch.particles.energy)
    verdict.judge()
    notes.add(batch.hits, oddities)
    notes.warn(str(file.path))


def layout_of(path: Path, geometry: Geometry) -> Layout:
    """Tell how a file is to be read.

    A file that carries the mark of ``fastparam sample`` has its layout. Otherwise the layouts of the geometry's
    samples are tried, and at last the layout of ``fastparam sample`` without its mark.

    Raises
    ------
    InputError
        If none fits, or two fit that mean different things.
    """
    with RootFile(path) as file:
        if SHOWER_MARK in file.classes:
            return SHOWER_FILE
        problems = {}
        fitting: list[Layout] = []
        for layout in [*sample_layouts(geometry), SHOWER_FILE]:
            if layout is SHOWER_FILE and fitting:
                break
            try:
                problem = reader_of(file, layout).problem(file, layout)
            except InputError as error:
                problem = str(error)
            if problem is None:
                fitting.append(layout)
            else:
                problems[layout.where] = problem.removeprefix(f"{path}: ")
    if not fitting:
        tried = "".join(f"\n  {where}: {problem}" for where, problem in problems.items())
        raise InputError(f"{path}: has none of the layouts known here:{tried}")
    if any(layout != fitting[0] for layout in fitting[1:]):
        names = ", ".join(layout.where for layout in fitting)
        raise InputError(
            f"{path}: has the trees and branches of {names}, which differ in units or meaning; "
            "use a geometry whose samples say which one holds"
        )
    return fitting[0]


def _check_options(rows: str, part: tuple[int, int] | None, batch_hits: int) -> None:
    if rows not in ("all", "even", "odd"):
        raise UsageError(f"rows: unknown '{rows}'; expected all, even or odd")
    if part is not None and not 1 <= part[0] <= part[1]:
        raise UsageError(f"part: {part[0]}/{part[1]} does not exist; expected i/n with i from 1 to n")
    if batch_hits < 1:
        raise UsageError(f"batch_hits: found {batch_hits}; expected at least 1")


def _batches(
    geometry: Geometry,
    files: list[SampleFile],
    rows: str,
    part: tuple[int, int] | None,
    batch_hits: int,
    source: str,
) -> Iterator[Batch]:
    notes = Notes()
    verdict: Verdict | None = None
    entry = -1
    for file, base, columns in _ahead(_chunks(files, part, batch_hits)):
        place = str(file.path)
        # A file with enough showers is judged by itself, smaller ones together with their neighbours in the entry.
        new_file = verdict is not None and place not in verdict.places
        if verdict is not None and (file.entry != entry or (new_file and verdict.showers >= ENOUGH)):
            verdict.judge()
            verdict = None
        if verdict is None:
            verdict = Verdict(geometry, file.layout)
        entry = file.entry
        for piece in columns.split(batch_hits):
            chosen = _chosen(base + piece.first, len(piece), rows)
            if len(chosen):
                batch, oddities = _batch(geometry, file, base, piece, chosen)
                verdict.add(place, batch.hits, oddities, batch.particles.energy)
                notes.add(batch.hits, oddities)
                yield batch
    if verdict is not None:
        verdict.judge()
    notes.warn(source)


def _batch(
    geometry: Geometry, file: SampleFile, base: int, piece: Columns, chosen: npt.NDArray[np.int64]
) -> tuple[Batch, Oddities]:
    """Convert and check the chosen showers; their rows count from `base`. Primaries are checked in all rows."""
    place = str(file.path)
    every = base + piece.first + np.arange(len(piece), dtype=np.int64)
    primaries = particles(piece, file.layout, place, every).take(chosen)
    hits, oddities = convert(piece, geometry, file.layout, chosen)
    check_values(piece, oddities, chosen, geometry, file.layout, place)
    negative, outside = oddities.negative.astype(np.int32), oddities.outside.astype(np.int32)
    return Batch(primaries, hits, every[chosen], negative, outside), oddities


def _chosen(first: int, n: int, rows: str) -> npt.NDArray[np.int64]:
    """Return which of n consecutive rows are wanted, counted from the first."""
    if rows == "all":
        return np.arange(n, dtype=np.int64)
    return np.arange((first + (rows == "odd")) % 2, n, 2, dtype=np.int64)


def _chunks(
    files: list[SampleFile], part: tuple[int, int] | None, batch_hits: int
) -> Iterator[tuple[SampleFile, int, Columns]]:
    """Yield file, rows in the files before it, and columns, for the rows of `part`."""
    low, high = 0, np.iinfo(np.int64).max
    if part is not None:
        total = 0
        for file in files:
            with open_reader(file.path, file.layout) as reader:
                total += reader.n_rows
        low, high = (total * i // part[1] for i in (part[0] - 1, part[0]))
    base = 0
    for file in files:
        with open_reader(file.path, file.layout) as reader:
            start, stop = max(0, low - base), min(reader.n_rows, high - base)
            if start < stop:
                for columns in reader.read(start, stop, batch_hits):
                    yield file, base, columns
            base += reader.n_rows


def _ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield the items, taking the next one in a thread while the present one is in use."""
    with ThreadPoolExecutor(1) as thread:
        try:
            coming = thread.submit(next, items, None)
            while (item := coming.result()) is not None:
                coming = thread.submit(next, items, None)
                yield item
        finally:
            # Closes the files, in the thread that has them open, also if the caller stops early.
            try:
                thread.submit(_close, items).result()
            except RuntimeError:  # the interpreter exits while the caller still holds this: no thread starts any more
                _close(items)


def _close(items: Iterable[object]) -> None:
    close = getattr(items, "close", None)
    if close is not None:
        close()


def _no_particles() -> Particles:
    return Particles.build(pdg=[], energy=[], position=np.empty((0, 3)), direction=np.empty((0, 3)))
