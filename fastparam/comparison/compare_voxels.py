"""`compare` for a reference that is voxels and nothing else: CaloChallenge HDF5, FastCaloGAN CSV.

The same points, observables, verdicts and metrics as for hits, as far as voxels know them: there are no profiles in X0,
no radii inside a ring and no numbers of hits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fastparam.comparison.candidates import naming
from fastparam.comparison.comparison import Candidate, Comparison
from fastparam.comparison.extras import timing_metrics
from fastparam.comparison.judge_voxels import judge_voxels
from fastparam.comparison.measurement import Measurement, measure
from fastparam.comparison.metric import Metric
from fastparam.comparison.points import MIN_SHOWERS, Point, copies_of, find_points, require_same_energies
from fastparam.comparison.pooled import SEARCHED, threshold_of
from fastparam.comparison.spectra import require_same_spectra
from fastparam.comparison.verdict import Limit
from fastparam.comparison.voxel_files import VoxelShowers, is_voxel_file, read_voxel_file, regions_of, stated_regions
from fastparam.comparison.voxel_point import VoxelLayout, VoxelPoint
from fastparam.comparison.voxels import VoxelBuilder, VoxelSample
from fastparam.errors import InputError, UsageError
from fastparam.generate.files import ShowerFile
from fastparam.geometry.load import load_geometry
from fastparam.particles import Particles

if TYPE_CHECKING:
    from fastparam.comparison.compare import Progress
    from fastparam.geometry.detector import Geometry
    from fastparam.geometry.schema import BinningRegion

__all__ = ["compare_voxel_samples", "compare_voxels"]

_BATCH = 1000


def compare_voxels(
    reference: Path,
    candidates: Mapping[str, Any],
    *,
    geometry: str | Path | Geometry | None,
    rows: Literal["all", "even", "odd"],
    seed: int,
    repeat: int | None,
    limits: Sequence[Limit],
    training: str | Path | None,
    quick: bool,
    progress: Progress,
) -> Comparison:
    """Compare files of voxels and generators with a file of voxels; parameters as for `compare.compare`."""
    regions, detector = _voxels_of(reference, candidates, geometry)
    full = read_voxel_file(reference, regions, rows=rows, progress=partial(progress, f"read {reference.name}"))
    points, _ = find_points(full.particles)
    copies = copies_of(len(full.particles)) if repeat is None else repeat
    samples: dict[str, tuple[VoxelSample, Particles]] = {}
    about: dict[str, tuple[str, float | None]] = {}
    notes = list(full.notes)
    timed: list[Metric] = []
    for name, thing in candidates.items():
        if isinstance(thing, Path):
            samples[name], more = _read(
                thing, full, points, regions, detector, name, partial(progress, f"read {thing.name}")
            )
            notes += more
            about[name] = ("file of showers", None)
        elif isinstance(thing, ShowerFile):
            report = partial(progress, f"read {name}")
            sample, _ = _generate(thing, thing.particles, full.sample, seed, 1, report)
            samples[name] = sample, thing.particles
            about[name] = ("file of showers", None)
        elif hasattr(thing, "generate"):
            particles = _particles(full, detector or thing.geometry)
            with naming(name, thing):
                sample, ms = _generate(thing, particles, full.sample, seed, copies, partial(progress, f"sample {name}"))
            samples[name] = sample, particles.take(np.tile(np.arange(len(particles)), copies))
            about[name] = (f"generator: {type(thing).__name__}", ms)
            if not quick:
                timed += timing_metrics(thing, particles, name, seed)
        else:
            raise UsageError(f"candidate '{name}': a summary has no voxels to compare with those of {reference}")
    lent = None
    if training is not None:
        lent = read_voxel_file(Path(training), regions, most=SEARCHED).sample
    elif rows != "all" and not quick:
        lent = read_voxel_file(reference, regions, rows="odd" if rows == "even" else "even", most=SEARCHED).sample
    found = compare_voxel_samples(
        full.sample,
        full.particles,
        samples,
        training=lent,
        limits=limits,
        quick=quick,
        seed=seed,
        reference_name=reference.name,
        detector=Path(str(geometry or reference)).stem if detector is None else detector.name,
        about=about,
        provenance={"rows": rows}
        | (
            {"sampled showers per reference shower": str(copies)}
            if any(a[1] is not None for a in about.values())
            else {}
        )
        | {f"read {i + 1}": note for i, note in enumerate(notes)},
        progress=progress,
    )
    return replace(found, metrics=found.metrics + tuple(timed))


def _voxels_of(
    reference: Path, candidates: Mapping[str, Any], geometry: str | Path | Geometry | None
) -> tuple[list[BinningRegion], Geometry | None]:
    """Return the voxels of a reference and its detector: as given, as the file states, or of the first candidate."""
    if isinstance(geometry, str | Path) and Path(geometry).suffix == ".xml":
        return regions_of(Path(geometry)), None
    if geometry is not None:
        given = load_geometry(geometry) if isinstance(geometry, str | Path) else geometry
        return regions_of(given), given
    regions, own = stated_regions(reference)
    known = (g for g in (own, *(getattr(c, "geometry", None) for c in candidates.values())) if g is not None)
    detector = next(known, None)
    if not regions:
        if detector is None:
            raise UsageError(
                f"{reference}: the voxels of this file are not known; give the XML of their binning or a geometry.yaml"
                " (--geometry)"
            )
        regions = regions_of(detector)
    return regions, detector


def compare_voxel_samples(
    reference: VoxelSample,
    particles: Particles,
    candidates: Mapping[str, tuple[VoxelSample, Particles]],
    *,
    training: VoxelSample | None = None,
    limits: Sequence[Limit] = (),
    quick: bool = False,
    seed: int = 1,
    reference_name: str = "full simulation",
    detector: str = "voxels",
    about: Mapping[str, tuple[str, float | None]] | None = None,
    provenance: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Compare samples of voxels in memory; pure and deterministic but for the version and time it notes.

    Parameters
    ----------
    reference : VoxelSample (n,)
    particles : Particles (n,)
        Of the same showers.
    candidates : mapping of str to (VoxelSample, Particles)
        In the same voxels.
    training : VoxelSample, optional
        Showers that candidates may repeat.
    limits, seed, reference_name, about, provenance
        As for `compare.compare_summaries`.
    quick : bool
        Leave out classifiers, FPD and KPD.
    detector : str
        Name for the report.
    progress : callable, optional

    Raises
    ------
    InputError
        If voxels or incident energies differ, or no point has `points.MIN_SHOWERS` showers.
    """
    from fastparam.comparison.compare import provenance_of

    report = progress or (lambda what, fraction: None)
    for name, (sample, _) in candidates.items():
        if sample.binning != reference.binning:
            raise InputError(f"candidate '{name}' is cut into other voxels than the reference")
    points, left_out = find_points(particles)
    if not points:
        raise InputError(
            f"the reference has no energy with {MIN_SHOWERS} or more showers ({len(reference)} in all);"
            " compare with more full simulation"
        )
    threshold = threshold_of(reference)
    measurements: list[Measurement] = []
    counts: dict[str, list[int]] = {name: [] for name in ("", *candidates)}
    for i, point in enumerate(points):
        rows = point.select(particles)
        full = reference.take(rows)
        layout = VoxelLayout.of(full)
        chosen = {}
        for name, (sample, own) in candidates.items():
            mine = point.select(own)
            require_same_energies(point, particles.take(rows), own.take(mine), name)
            chosen[name] = VoxelPoint(sample.take(mine), layout, threshold)
            counts[name].append(len(chosen[name]))
        counts[""].append(len(full))
        measurements += measure(i, layout, VoxelPoint(full, layout, threshold), chosen, None, seed)
        report("measure", (i + 1) / len(points))
    groups = {point.group: np.zeros(len(particles), dtype=bool) for point in points}
    for point in points:
        groups[point.group] |= point.select(particles)
    judged = judge_voxels(
        {group: reference.take(rows) for group, rows in groups.items()},
        {
            name: {group: sample.take(_member(points, group, own)) for group in groups}
            for name, (sample, own) in candidates.items()
        },
        training=None if training is None else dict.fromkeys(groups, training),
        threshold=threshold,
        quick=quick,
        seed=seed,
        progress=partial(report, "judge voxels"),
    )
    described = about or {}
    return Comparison(
        reference=reference_name,
        geometry=detector,
        points=points,
        n_reference=tuple(counts[""]),
        n_training=None,
        candidates=tuple(
            Candidate(name, described.get(name, ("", None))[0], tuple(counts[name]), described.get(name, ("", None))[1])
            for name in candidates
        ),
        measurements=tuple(measurements),
        limits=tuple(limits),
        left_out=left_out,
        provenance=provenance_of(detector, seed)
        | {"form": "voxels only: no profiles in X0, no radii inside a ring, no hits"}
        | dict(provenance or {})
        | judged.notes,
        metrics=tuple(judged.metrics),
        pictures=judged.pictures,
        distributions=tuple(judged.distributions),
    )


def _member(points: Sequence[Point], group: str, particles: Particles) -> Any:
    member = np.zeros(len(particles), dtype=bool)
    for point in points:
        if point.group == group:
            member |= point.select(particles)
    return member


def _read(
    path: Path,
    full: VoxelShowers,
    points: Sequence[Point],
    regions: Sequence[Any],
    detector: Geometry | None,
    name: str,
    progress: Callable[[float], None],
) -> tuple[tuple[VoxelSample, Particles], tuple[str, ...]]:
    """Read a candidate's file, of voxels or of hits that are cut into the reference's voxels."""

    def wanted(particles: Particles) -> Any:
        # Before gigabytes are read; and what no point compares is never kept.
        require_same_spectra(points, full.particles, particles, name)
        inside = np.logical_or.reduce([point.select(particles) for point in points])
        outside.append(int(np.count_nonzero(~inside)))
        return inside

    outside: list[int] = []
    if is_voxel_file(path):
        file = read_voxel_file(
            path, regions, pdg=int(full.particles.pdg[0]), keep=wanted if points else None, progress=progress
        )
        beyond = f"{path.name}: {sum(outside)} showers beyond the energies of the reference are not compared"
        return (file.sample, file.particles), file.notes + ((beyond,) if sum(outside) else ())
    if detector is None:
        raise UsageError(f"{path}: hits can only be cut into voxels of a detector; give its geometry.yaml (--geometry)")
    from fastparam.hits.batches import iterate_file
    from fastparam.hits.voxelise import voxelise

    builder, particles = VoxelBuilder(full.sample.binning), []
    for batch in iterate_file(path, detector):
        voxels, _ = voxelise(detector, batch.particles, batch.hits, full.sample.binning)
        builder.add(voxels, batch.particles.energy)
        particles.append(batch.particles)
    joined = Particles.concatenate(particles)
    require_same_spectra(points, full.particles, joined, name)
    return (builder.finish(), joined), ()


def _particles(full: VoxelShowers, detector: Geometry) -> Particles:
    """Return the reference's own particles as a generator can simulate them."""
    if full.directed:
        return full.particles
    if detector.frame == "barrel":
        raise InputError(
            "the reference does not say where its particles went (data sets eta and phi): a generator cannot simulate"
            " them; sample a file of showers and compare that"
        )
    front = float(detector.slab_from[0]) - 1e-3
    particles = full.particles
    return Particles.gun(
        pdg=int(particles.pdg[0]), energy=particles.energy, n=len(particles), position=(0.0, 0.0, front),
        direction=(0.0, 0.0, 1.0),
    )  # fmt: skip


def _generate(
    generator: Any, particles: Particles, reference: VoxelSample, seed: int, repeat: int, progress: Any
) -> tuple[VoxelSample, float]:
    n = len(particles)
    generator.generate(particles.take(slice(0, 1)).with_index([0]), seed=seed)
    builder, spent = VoxelBuilder(reference.binning), 0.0
    for copy in range(repeat):
        for low in range(0, n, _BATCH):
            rows = np.arange(low, min(low + _BATCH, n), dtype=np.int64)
            wanted = particles.take(rows).with_index(copy * n + rows)
            start = time.perf_counter()
            showers = generator.generate(wanted, seed=seed)
            spent += time.perf_counter() - start
            builder.add(showers.voxels(reference.binning), wanted.energy)
            progress((copy * n + int(rows[-1]) + 1) / (repeat * n))
    return builder.finish(), 1000.0 * spent / (repeat * n)
