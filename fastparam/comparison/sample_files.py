"""Files of a comparison as summaries: hits of the reference and of candidates, voxels spread as hits.

Voxels of the same showers are collected on the way, so that files are read once.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from fastparam.comparison.collect import ReferenceVoxels, VoxelCollector, voxels_of_batch
from fastparam.comparison.voxel_files import is_voxel_file
from fastparam.comparison.voxels import VoxelSample
from fastparam.errors import InputError
from fastparam.particles import Particles
from fastparam.summary import Binning, Summary, choose_binning, summarise

if TYPE_CHECKING:
    from fastparam.comparison.compare import Progress, Rows
    from fastparam.geometry.detector import Geometry
    from fastparam.hits.batches import Batch

__all__ = ["summarise_candidate", "summarise_reference", "training_voxels"]

#: Showers of voxels that become hits at a time: some million hits at most.
_BATCH_SHOWERS = 2000


def summarise_reference(
    geometry: Geometry, reference: str | Path | Summary, rows: Rows, report: Progress, kept: ReferenceVoxels
) -> Summary:
    """Summarise the rows of the reference that are used, and collect their voxels in `kept`."""
    if isinstance(reference, Summary):
        chosen = {"all": slice(None), "even": reference.row % 2 == 0, "odd": reference.row % 2 == 1}
        return reference.take(chosen[rows])
    path = Path(reference)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; the reference is a file of full-simulation showers")
    particles = _particles_of(geometry, path)
    collector = kept.start(particles.take({"even": slice(0, None, 2), "odd": slice(1, None, 2)}.get(rows, slice(None))))
    summary = _summarise_file(geometry, path, particles, None, rows, report, collector)
    kept.samples = collector.samples()
    return summary


def summarise_candidate(
    geometry: Geometry, path: Path, full: Summary, report: Progress, collector: VoxelCollector | None
) -> Summary:
    """Summarise a candidate's file, of hits or of voxels that are turned into hits."""
    if not is_voxel_file(path):
        return _summarise_file(geometry, path, _particles_of(geometry, path), full.binning, "all", report, collector)
    from fastparam.comparison.voxel_files import read_voxel_file, regions_of

    file = read_voxel_file(path, regions_of(geometry), pdg=int(full.particles.pdg[0]))
    n, m = len(full), len(file.particles)
    energy = file.particles.energy
    if file.directed:
        particles = file.particles
    elif m % n == 0 and np.allclose(energy, np.tile(full.particles.energy, m // n), rtol=1e-3):
        particles = full.particles.take(np.tile(np.arange(n), m // n)).with_index(np.arange(m))
    else:
        raise InputError(
            f"{path}: says nothing about directions, and its energies are not those of the reference's rows in order;"
            " sample the reference's own particles (fastparam sample --like REFERENCE)"
        )

    def batches() -> Iterator[Batch]:
        from fastparam.hits.batches import Batch
        from fastparam.showers.showers import Showers

        for low in range(0, m, _BATCH_SHOWERS):
            index = np.arange(low, min(low + _BATCH_SHOWERS, m), dtype=np.int64)
            dense = file.sample.dense(index).astype(np.float64)
            showers = Showers.from_voxels(particles.take(index), dense, file.sample.binning, geometry)
            if collector is not None:
                collector.add(showers.particles, showers.voxels)
            none = np.zeros(len(index), dtype=np.int32)
            yield Batch(showers.particles, showers.hits, index, none, none)
            report(f"read {path.name}", (int(index[-1]) + 1) / m)

    return summarise(geometry, batches(), full.binning)


def training_voxels(
    geometry: Geometry, reference: str | Path | Summary, rows: Rows, training: str | Path | None, kept: ReferenceVoxels,
    report: Progress,
) -> dict[str, VoxelSample] | None:  # fmt: skip
    """Return the voxels of the training sample: of its file, or of the rows of the reference that are not used."""
    from fastparam.hits.batches import iterate_file

    collector = kept.collector()
    if collector is None or (training is None and (isinstance(reference, Summary) or rows == "all")):
        return None
    other: Rows = "odd" if rows == "even" else "even"
    path, chosen = (Path(training), "all") if training is not None else (Path(str(reference)), other)
    if not path.is_file():
        raise InputError(
            f"{path}: there is no such file; --training is a file of showers that candidates were tuned on"
        )
    for batch in iterate_file(path, geometry, rows=cast("Rows", chosen)):
        collector.add(batch.particles, partial(voxels_of_batch, geometry, batch))
        report(f"read {path.name} for near-duplicates", 0.5)
    return collector.samples()


def _particles_of(geometry: Geometry, path: Path) -> Particles:
    from fastparam.hits.batches import layout_of, read_file_particles
    from fastparam.hits.layout import SampleFile

    return read_file_particles(SampleFile(path, layout_of(path, geometry), 0), 0)


def _summarise_file(
    geometry: Geometry, path: Path, particles: Particles, binning: Binning | None, rows: Rows, report: Progress,
    collector: VoxelCollector | None,
) -> Summary:  # fmt: skip
    """Summarise a file of showers, cut as given or as its own hits suggest."""
    from fastparam.hits.batches import iterate_file

    batches = iterate_file(path, geometry, rows=rows)
    first = next(batches, None)
    if first is None:
        raise InputError(f"{path}: not a single shower in rows '{rows}'")
    if binning is None:
        binning = choose_binning(geometry, first.particles, first.hits, particles)

    def counted() -> Iterator[Batch]:
        for batch in chain([first], batches):
            if collector is not None:
                collector.add(batch.particles, partial(voxels_of_batch, geometry, batch))
            yield batch
            report(f"read {path.name}", (int(batch.row[-1]) + 1) / max(len(particles), 1))

    return summarise(geometry, counted(), binning)
