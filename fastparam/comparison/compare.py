"""`compare`: run candidates on the reference's own particles, and measure the difference.

reference --summarise--> Summary --+
                                   +--> compare_summaries --> Comparison
candidates --summarise--> Summary -+
"""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from fastparam.comparison.collect import VoxelCollector, group_binnings
from fastparam.comparison.comparison import Candidate, Comparison
from fastparam.comparison.extras import modulation_distributions, modulation_metrics, timing_metrics
from fastparam.comparison.judge_voxels import judge_voxels
from fastparam.comparison.measurement import Measurement, measure
from fastparam.comparison.metric import Metric
from fastparam.comparison.points import MIN_SHOWERS, Point, copies_of, find_points, require_same_energies
from fastparam.comparison.sample import Layout, Sample, depth_groups
from fastparam.comparison.verdict import DEFAULT_LIMITS, Limit
from fastparam.comparison.voxel_files import is_voxel_file
from fastparam.comparison.voxels import VoxelSample
from fastparam.errors import InputError, UsageError
from fastparam.generate.files import ShowerFile
from fastparam.geometry.voxels import VoxelBinning
from fastparam.hits.voxelise import voxelise
from fastparam.particles import Particles
from fastparam.summary import Binning, Summary, cell_depths, choose_binning, summarise

if TYPE_CHECKING:
    from fastparam.comparison.page import Section
    from fastparam.geometry.detector import Geometry
    from fastparam.hits.batches import Batch

__all__ = ["compare", "compare_summaries", "load_candidate", "provenance_of", "simulate"]

Rows = Literal["all", "even", "odd"]
Progress = Callable[[str, float], None]  # what is done, and which fraction of it

#: Lines along which the mean depth of cells is taken; they differ by less than a cell.
_LINES = 1000

#: A batch of sampled showers ends at so many showers or so much kinetic energy (MeV): some million hits at most.
_BATCH_SHOWERS = 2000
_BATCH_ENERGY = 2e6


def compare(
    reference: str | Path | Summary,
    *candidates: Any,
    geometry: str | Path | Geometry | None = None,
    rows: Rows = "all",
    seed: int = 1,
    repeat: int | None = None,
    names: Sequence[str] | None = None,
    limits: Sequence[Limit] = DEFAULT_LIMITS,
    training: str | Path | None = None,
    quick: bool = False,
    progress: Progress | None = None,
) -> Comparison:
    """Compare generators or files of showers with full simulation.

    Parameters
    ----------
    reference : path or Summary
        File of showers of the full simulation: of hits, in a layout that `geometry` knows or as ``fastparam sample``
        writes it, or of voxels (CaloChallenge HDF5, FastCaloGAN CSV), for which only what voxels hold is compared.
    *candidates : generator, path, name or Summary
        A generator (``generate(particles, *, seed) -> Showers``) simulates the reference's own particles `repeat`
        times. A string is loaded as `fastparam.load` does; a file of showers is compared as it is.
    geometry : path, name or Geometry, optional
        Default: that of the first candidate that knows its own, as tunes do. For voxels also the XML of their binning.
    rows : "all", "even" or "odd"
        Rows of the reference to use.
    seed : int
        Of the sampled showers and of the bootstrap.
    repeat : int, optional
        Showers sampled per shower of the reference; default 5, fewer (at least 1) for more than 20 000 of them.
    names : sequence of str, optional
        Of the candidates in the report; default their file names or kinds.
    limits : sequence of Limit
    training : path, optional
        File of showers that candidates may have been tuned on, to look for near-duplicates of them. By default the
        rows of the reference that `rows` leaves out.
    quick : bool
        Leave out what takes longest: classifiers, FPD and KPD, timing, near-duplicates of the training sample.
    progress : callable, optional
        Called with what is being done and the fraction of it that is done.

    Returns
    -------
    Comparison

    Raises
    ------
    UsageError
        Without candidates or geometry, or with names that do not match.
    InputError
        If files cannot be read, or a candidate lacks showers of an energy point.
    """
    if not candidates:
        raise UsageError("nothing to compare: give at least one candidate beside the reference")
    if repeat is not None and repeat < 1:
        raise UsageError(f"repeat: found {repeat}; expected at least 1")
    if rows not in ("all", "even", "odd"):
        raise UsageError(f"rows: unknown '{rows}'; expected all, even or odd")
    if names is not None and len(names) != len(candidates):
        raise UsageError(f"{len(names)} names for {len(candidates)} candidates; give one each, in order")
    report = progress or (lambda what, fraction: None)
    called = _unique(names or [_name(c) for c in candidates])
    if not isinstance(reference, Summary) and is_voxel_file(Path(reference)):
        from fastparam.comparison.compare_voxels import compare_voxels

        return compare_voxels(
            Path(reference), dict(zip(called, [load_candidate(c) for c in candidates], strict=True)),
            geometry=geometry, rows=rows, seed=seed, repeat=repeat, limits=limits, training=training, quick=quick,
            progress=report,
        )  # fmt: skip
    loaded = [load_candidate(candidate) for candidate in candidates]
    detector = _geometry_of(geometry, loaded)
    slices = None if detector.config.slices is None else [(low, high) for low, high in detector.config.slices.eta]
    keep = _Keeper(detector, slices)

    full = _summarise_reference(detector, reference, rows, report, keep)
    summaries: dict[str, Summary] = {}
    voxels: dict[str, dict[str, VoxelSample]] = {}
    about: dict[str, tuple[str, float | None]] = {}
    timed: list[Metric] = []
    copies = copies_of(len(full)) if repeat is None else repeat
    for name, thing in zip(called, loaded, strict=True):
        duration = None
        collector = keep.collector()
        if isinstance(thing, Summary):
            summaries[name] = thing
        elif isinstance(thing, Path):
            summaries[name] = _summarise_any(detector, thing, full, report, collector)
        elif isinstance(thing, ShowerFile):  # its own particles, once each
            summaries[name], _ = simulate(
                detector, thing, thing.particles, full.binning, seed=seed, repeat=1, collector=collector,
                progress=partial(report, f"read {name}"),
            )  # fmt: skip
        else:
            summaries[name], duration = simulate(
                detector, thing, full.particles, full.binning, seed=seed, repeat=copies, collector=collector,
                progress=partial(report, f"sample {name}"),
            )  # fmt: skip
            if not quick:
                timed += timing_metrics(thing, full.particles, name, seed)
        about[name] = (_description(thing), duration)
        if collector is not None and not isinstance(thing, Summary):
            voxels[name] = collector.samples()

    lent = None if quick else _training(detector, reference, rows, training, keep, report)
    judged = judge_voxels(
        keep.reference, voxels, training=lent, quick=quick, seed=seed, progress=partial(report, "judge voxels")
    )
    if not keep.reference:
        judged.notes["voxels"] = "not compared: the reference has none, or no particle with voxels"
    found = compare_summaries(
        detector,
        full,
        summaries,
        slices=slices,
        limits=limits,
        seed=seed,
        reference_name="summary" if isinstance(reference, Summary) else Path(reference).name,
        about=about,
        provenance={"rows": rows, "sampled showers per reference shower": str(copies)} | judged.notes,
        progress=lambda fraction: report("measure", fraction),
    )
    modulated = modulation_metrics(detector, full, summaries, found.points)
    return replace(
        found,
        metrics=(*judged.metrics, *modulated, *timed),
        pictures=judged.pictures,
        distributions=(
            *judged.distributions,
            *modulation_distributions(detector, full, summaries, found.points),
        ),
    )


def compare_summaries(
    geometry: Geometry,
    reference: Summary,
    candidates: Mapping[str, Summary],
    *,
    training: Summary | None = None,
    slices: Sequence[tuple[float, float]] | None = None,
    limits: Sequence[Limit] = DEFAULT_LIMITS,
    only: Sequence[str] | None = None,
    seed: int = 1,
    reference_name: str = "full simulation",
    about: Mapping[str, tuple[str, float | None]] | None = None,
    provenance: Mapping[str, str] | None = None,
    extra: Sequence[Section] = (),
    progress: Callable[[float], None] | None = None,
) -> Comparison:
    """Compare samples that are summarised already; pure and deterministic but for the version and time it notes.

    Parameters
    ----------
    geometry : Geometry
    reference : Summary
        Full simulation.
    candidates : mapping of str to Summary
        Cut by the same binning; any number of showers, five times the reference's or more.
    training : Summary, optional
        Showers that the candidates were tuned on. Their own error of each quantity at each point is added to the
        error of the difference, as an upper estimate: a fit joins all energies.
    slices : sequence of (low, high), optional
        Ranges of eta that are compared apart; default: all together.
    limits : sequence of Limit
    only : sequence of str, optional
        Names of observables; default all.
    seed : int
        Of the bootstrap.
    reference_name : str
    about : mapping of str to (description, ms per shower), optional
    provenance : mapping of str to str, optional
        Added to version, time and seed.
    extra : sequence of Section
        Further sections of the report.
    progress : callable, optional
        Called with the fraction done.

    Raises
    ------
    InputError
        If summaries belong to another detector or are cut otherwise, if no point has `MIN_SHOWERS` showers, or if a
        candidate lacks a point or has other energies there.
    """
    for name, summary in {**candidates, **({} if training is None else {"training": training})}.items():
        if summary.geometry_digest != reference.geometry_digest:
            raise InputError(
                f"candidate '{name}' belongs to another detector than the reference; use one geometry.yaml"
            )
        if not summary.binning.same_as(reference.binning):
            raise InputError(
                f"candidate '{name}' is cut into other depth cells or radial bins than the reference;"
                " summarise both from the same geometry.yaml and list of files"
            )
    points, left_out = find_points(reference.particles, slices)
    if not points:
        raise InputError(
            f"the reference has no energy with {MIN_SHOWERS} or more showers ({len(reference)} in all);"
            " compare with more full simulation"
        )
    groups: dict[str, Any] = {}
    measurements: list[Measurement] = []
    counts: dict[str, list[int]] = {name: [] for name in ("", "training", *candidates)}
    for i, point in enumerate(points):
        full = reference.take(point.select(reference.particles))
        if point.group not in groups:
            groups[point.group] = _depth_groups(geometry, reference, points, point.group)
        layout = Layout.decide(geometry, full, groups[point.group])
        chosen = {}
        for name, summary in candidates.items():
            chosen[name] = summary.take(point.select(summary.particles))
            require_same_energies(point, full.particles, chosen[name].particles, name)
            counts[name].append(len(chosen[name]))
        trained = None if training is None else training.take(point.select(training.particles))
        counts[""].append(len(full))
        counts["training"].append(0 if trained is None else len(trained))
        if trained is not None and len(trained) < MIN_SHOWERS:
            trained = None
        measurements += measure(
            i,
            layout,
            Sample(full, layout),
            {name: Sample(summary, layout) for name, summary in chosen.items()},
            None if trained is None else Sample(trained, layout),
            seed,
            None if only is None else tuple(only),
        )
        if progress is not None:
            progress((i + 1) / len(points))
    described = about or {}
    return Comparison(
        reference=reference_name,
        geometry=geometry.name,
        points=points,
        n_reference=tuple(counts[""]),
        n_training=None if training is None else tuple(counts["training"]),
        candidates=tuple(
            Candidate(name, described.get(name, ("", None))[0], tuple(counts[name]), described.get(name, ("", None))[1])
            for name in candidates
        ),
        measurements=tuple(measurements),
        limits=tuple(limits),
        left_out=left_out,
        provenance=provenance_of(f"{geometry.name} ({geometry.digest})", seed) | dict(provenance or {}),
        extra=tuple(extra),
    )


def simulate(
    geometry: Geometry,
    generator: Any,
    particles: Particles,
    binning: Binning,
    *,
    seed: int,
    repeat: int,
    collector: VoxelCollector | None = None,
    progress: Callable[[float], None] | None = None,
) -> tuple[Summary, float]:
    """Let a generator simulate particles several times and summarise its showers in batches of bounded size.

    Parameters
    ----------
    generator
        Anything with ``generate(particles, *, seed)`` whose result has `particles` and `hits`.
    repeat : int
        Copies of each particle. Copy c of particle i has `Particles.index` c n + i: no stream of random numbers is
        used twice.
    collector : VoxelCollector, optional
        Gets the voxels of all showers.

    Returns
    -------
    summary : Summary (repeat n,)
        Its `row` is the index.
    ms_per_shower : float
        Wall time spent in ``generate``.
    """
    # The first batch pays for compilation; one shower more keeps that out of the time quoted.
    generator.generate(particles.take(slice(0, 1)).with_index([0]), seed=seed)
    spent = 0.0

    def batches() -> Iterator[Batch]:
        nonlocal spent
        from fastparam.hits.batches import Batch

        n = len(particles)
        cuts = _batch_cuts(particles.energy)
        for copy in range(repeat):
            for low, high in pairwise(cuts):
                index = copy * n + np.arange(low, high, dtype=np.int64)
                wanted = particles.take(slice(low, high)).with_index(index)
                start = time.perf_counter()
                showers = generator.generate(wanted, seed=seed)
                spent += time.perf_counter() - start
                none = np.zeros(len(index), dtype=np.int32)
                made = Batch(wanted, showers.hits, index, none, none)
                if collector is not None:
                    # Showers that were made as voxels need not go through hits.
                    collector.add(wanted, getattr(showers, "voxels", None) or partial(_voxels, geometry, made))
                yield made
                if progress is not None:
                    progress((copy * n + high) / (repeat * n))

    summary = summarise(geometry, batches(), binning)
    return summary, 1000.0 * spent / len(summary)


def _batch_cuts(energy: np.ndarray[Any, np.dtype[np.float64]]) -> list[int]:
    """Return where batches begin, and the end."""
    cuts, held = [0], 0.0
    for i, e in enumerate(energy.tolist()):
        if i > cuts[-1] and (held + e > _BATCH_ENERGY or i - cuts[-1] >= _BATCH_SHOWERS):
            cuts.append(i)
            held = 0.0
        held += e
    return [*cuts, len(energy)]


def _depth_groups(geometry: Geometry, reference: Summary, points: Sequence[Point], group: str) -> Any:
    """Cut the depth for all energies of a particle and slice alike."""
    member = np.zeros(len(reference), dtype=bool)
    for point in points:
        if point.group == group:
            member |= point.select(reference.particles)
    rows = np.flatnonzero(member)
    lines = reference.particles.take(rows[:: max(1, len(rows) // _LINES)])
    return depth_groups(geometry, cell_depths(geometry, lines, reference.binning), reference.binning.cell_layer)


def load_candidate(candidate: Any) -> Any:
    """Return a generator, a Summary, or the Path of a file of showers."""
    if isinstance(candidate, Summary) or hasattr(candidate, "generate"):
        return candidate
    if isinstance(candidate, str | Path):
        if Path(candidate).suffix == ".root" or is_voxel_file(Path(candidate)):
            if not any(Path(candidate).parent.glob(Path(candidate).name)):
                raise InputError(f"{candidate}: there is no such file")
            return Path(candidate)
        from fastparam.generate.registry import load

        return load(candidate)
    raise UsageError(
        f"cannot compare a {type(candidate).__name__};"
        " expected a generator, a path, the name of a shipped tune, or a Summary"
    )


def _geometry_of(geometry: str | Path | Geometry | None, candidates: Sequence[Any]) -> Geometry:
    if geometry is None:
        known = next((g for g in (getattr(c, "geometry", None) for c in candidates) if g is not None), None)
        if known is None:
            raise UsageError("no candidate knows its detector; give the geometry (--geometry GEOMETRY.yaml)")
        return known  # type: ignore[no-any-return]
    if isinstance(geometry, str | Path):
        from fastparam.geometry.load import load_geometry

        return load_geometry(geometry)
    return geometry


class _Keeper:
    """Collects voxels of the reference, and gives candidates collectors of the same points and voxels."""

    def __init__(self, geometry: Geometry, slices: Sequence[tuple[float, float]] | None) -> None:
        self._geometry, self._slices = geometry, slices
        self._points: tuple[Point, ...] = ()
        self._binnings: dict[str, VoxelBinning] = {}
        self.reference: dict[str, VoxelSample] = {}

    def start(self, particles: Particles) -> VoxelCollector:
        """Find the points of the reference and begin."""
        self._points, _ = find_points(particles, self._slices)
        self._binnings = group_binnings(self._geometry, self._points)
        return VoxelCollector(self._points, self._binnings)

    def collector(self) -> VoxelCollector | None:
        """Begin with a candidate; None without voxels of the reference."""
        return VoxelCollector(self._points, self._binnings) if self.reference else None


def _summarise_reference(
    geometry: Geometry, reference: str | Path | Summary, rows: Rows, report: Progress, keep: _Keeper
) -> Summary:
    if isinstance(reference, Summary):
        chosen = {"all": slice(None), "even": reference.row % 2 == 0, "odd": reference.row % 2 == 1}
        return reference.take(chosen[rows])
    path = Path(reference)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; the reference is a file of full-simulation showers")
    particles = _particles_of(geometry, path)
    collector = keep.start(particles.take({"even": slice(0, None, 2), "odd": slice(1, None, 2)}.get(rows, slice(None))))
    summary = _summarise_file(geometry, path, particles, None, rows, report, collector)
    keep.reference = collector.samples()
    return summary


def _summarise_any(
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


def _training(
    geometry: Geometry, reference: str | Path | Summary, rows: Rows, training: str | Path | None, keep: _Keeper,
    report: Progress,
) -> dict[str, VoxelSample] | None:  # fmt: skip
    """Return the voxels of the training sample: of its file, or of the rows of the reference that are not used."""
    from fastparam.hits.batches import iterate_file

    collector = keep.collector()
    if collector is None or (training is None and (isinstance(reference, Summary) or rows == "all")):
        return None
    other: Rows = "odd" if rows == "even" else "even"
    path, chosen = (Path(training), "all") if training is not None else (Path(str(reference)), other)
    if not path.is_file():
        raise InputError(
            f"{path}: there is no such file; --training is a file of showers that candidates were tuned on"
        )
    for batch in iterate_file(path, geometry, rows=cast("Rows", chosen)):
        collector.add(batch.particles, partial(_voxels, geometry, batch))
        report(f"read {path.name} for near-duplicates", 0.5)
    return collector.samples()


def _voxels(geometry: Geometry, batch: Batch, binning: VoxelBinning) -> Any:
    return voxelise(geometry, batch.particles, batch.hits, binning)[0]


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
                collector.add(batch.particles, partial(_voxels, geometry, batch))
            yield batch
            report(f"read {path.name}", (int(batch.row[-1]) + 1) / max(len(particles), 1))

    return summarise(geometry, counted(), binning)


#: A kind of generator and the file it reads: replay:FOLDER/FILE?options.
_GENERATOR = re.compile(r"(?P<kind>[a-z]{2,}):(?!//)(?P<path>[^?]+)(\?.*)?")


def _name(candidate: Any) -> str:
    if isinstance(candidate, str) and (found := _GENERATOR.fullmatch(candidate)):
        return f"{found['kind']}:{Path(found['path']).name}"  # without folders and options, which only make it long
    if isinstance(candidate, str | Path):
        return Path(candidate).name if os.sep in str(candidate) else str(candidate)
    return str(getattr(candidate, "name", type(candidate).__name__))


def _unique(names: Sequence[str]) -> list[str]:
    """Append numbers to names that repeat."""
    return [name if names.count(name) == 1 else f"{name} ({i + 1})" for i, name in enumerate(names)]


def _description(thing: Any) -> str:
    if isinstance(thing, Path | ShowerFile):
        return "file of showers"
    return "summary of showers" if isinstance(thing, Summary) else f"generator: {type(thing).__name__}"


def provenance_of(geometry: str, seed: int) -> dict[str, str]:
    """Return what every report says about how it was made."""
    from fastparam import __version__

    return {
        "fastparam": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "geometry": geometry,
        "seed": str(seed),
        "made": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
    }
