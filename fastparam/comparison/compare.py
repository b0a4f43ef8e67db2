"""`compare`: run candidates on the reference's own particles, and measure the difference.

reference --summarise--> Summary --+
                                   +--> compare_summaries --> Comparison
candidates --summarise--> Summary -+
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fastparam.comparison.candidates import description_of, load_candidate, names_of, naming
from fastparam.comparison.collect import ReferenceVoxels
from fastparam.comparison.comparison import Candidate, Comparison
from fastparam.comparison.extras import modulation_distributions, modulation_metrics, timing_metrics
from fastparam.comparison.judge_voxels import judge_voxels
from fastparam.comparison.measurement import Measurement, measure
from fastparam.comparison.metric import Metric
from fastparam.comparison.points import MIN_SHOWERS, Point, copies_of, find_points, require_same_energies
from fastparam.comparison.sample import Layout, Sample, depth_groups
from fastparam.comparison.sample_files import summarise_candidate, summarise_reference, training_voxels
from fastparam.comparison.simulate import simulate
from fastparam.comparison.verdict import DEFAULT_LIMITS, Limit
from fastparam.comparison.voxel_files import is_voxel_file
from fastparam.comparison.voxels import VoxelSample
from fastparam.errors import InputError, UsageError
from fastparam.generate.files import ShowerFile
from fastparam.summary import Summary, cell_depths

if TYPE_CHECKING:
    from fastparam.comparison.page import Section
    from fastparam.geometry.detector import Geometry

__all__ = ["compare", "compare_summaries", "provenance_of"]

Rows = Literal["all", "even", "odd"]
Progress = Callable[[str, float], None]  # what is done, and which fraction of it

#: Lines along which the mean depth of cells is taken; they differ by less than a cell.
_LINES = 1000


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
    called = _unique(names or names_of(candidates))
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
    kept = ReferenceVoxels(detector, slices)

    full = summarise_reference(detector, reference, rows, report, kept)
    summaries: dict[str, Summary] = {}
    voxels: dict[str, dict[str, VoxelSample]] = {}
    about: dict[str, tuple[str, float | None]] = {}
    timed: list[Metric] = []
    copies = copies_of(len(full)) if repeat is None else repeat
    for name, thing in zip(called, loaded, strict=True):
        duration = None
        collector = kept.collector()
        if isinstance(thing, Summary):
            summaries[name] = thing
        elif isinstance(thing, Path):
            summaries[name] = summarise_candidate(detector, thing, full, report, collector)
        elif isinstance(thing, ShowerFile):  # its own particles, once each
            summaries[name], _ = simulate(
                detector, thing, thing.particles, full.binning, seed=seed, repeat=1, collector=collector,
                progress=partial(report, f"read {name}"),
            )  # fmt: skip
        else:
            with naming(name, thing):
                summaries[name], duration = simulate(
                    detector, thing, full.particles, full.binning, seed=seed, repeat=copies, collector=collector,
                    progress=partial(report, f"sample {name}"),
                )  # fmt: skip
            if not quick:
                timed += timing_metrics(thing, full.particles, name, seed)
        about[name] = (description_of(thing), duration)
        if collector is not None and not isinstance(thing, Summary):
            voxels[name] = collector.samples()

    lent = None if quick else training_voxels(detector, reference, rows, training, kept, report)
    judged = judge_voxels(
        kept.samples, voxels, training=lent, quick=quick, seed=seed, progress=partial(report, "judge voxels")
    )
    if not kept.samples:
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


def _depth_groups(geometry: Geometry, reference: Summary, points: Sequence[Point], group: str) -> Any:
    """Cut the depth for all energies of a particle and slice alike."""
    member = np.zeros(len(reference), dtype=bool)
    for point in points:
        if point.group == group:
            member |= point.select(reference.particles)
    rows = np.flatnonzero(member)
    lines = reference.particles.take(rows[:: max(1, len(rows) // _LINES)])
    return depth_groups(geometry, cell_depths(geometry, lines, reference.binning), reference.binning.cell_layer)


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


def _unique(names: Sequence[str]) -> list[str]:
    """Append numbers to names that repeat."""
    return [name if names.count(name) == 1 else f"{name} ({i + 1})" for i, name in enumerate(names)]


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
