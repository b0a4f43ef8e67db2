"""Metrics that need more than voxels: the phi modulation of an accordion, and the time a generator takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastparam.comparison.distribution import Distribution
from fastparam.comparison.metric import Metric
from fastparam.comparison.modulation import N_BINS, Curve, difference, modulation
from fastparam.comparison.points import Point
from fastparam.comparison.timing import time_generator
from fastparam.particles import Particles
from fastparam.summary import Summary

if TYPE_CHECKING:
    from fastparam.geometry.detector import Geometry

__all__ = ["modulation_curves", "modulation_distributions", "modulation_metrics", "timing_metrics"]

#: Fewer showers do not show an amplitude of a few per cent.
_MIN_SHOWERS = 100


def timing_metrics(generator: Any, particles: Particles, name: str, seed: int) -> list[Metric]:
    """Time a generator at batch 1, 100 and 10 000, placement of hits included."""
    return [
        Metric(
            name, "", f"ms_batch_{t.batch}", f"ms per shower, batch {t.batch}", "as a whole", t.ms, t.error, unit="ms",
            note="" if t.measured == t.batch else f"measured with {t.measured} showers",
        )
        for t in time_generator(generator, particles, seed=seed)
    ]  # fmt: skip


def modulation_curves(geometry: Geometry, summary: Summary, points: Sequence[Point]) -> dict[str, dict[str, Curve]]:
    """Measure how energies depend on phi modulo the pitch: of each particle and slice, in all and per layer.

    Empty where geometry.yaml declares no modulation, or where there are fewer than a hundred showers.
    """
    declared = geometry.config.modulation
    found: dict[str, dict[str, Curve]] = {}
    if declared is None:
        return found
    phase = summary.particles.phi / float(declared.pitch)
    for group in dict.fromkeys(p.group for p in points):
        point = np.full(len(summary), -1, dtype=np.int64)
        for i, p in enumerate(points):
            if p.group == group:
                point[p.select(summary.particles)] = i
        rows = point >= 0
        if rows.sum() < _MIN_SHOWERS:
            continue
        responses: dict[str, npt.NDArray[np.float64]] = {"total": summary.visible}
        for layer in declared.layers:
            k = int(geometry.layer_index(np.array([layer]))[0])
            responses[geometry.layer_names[k]] = summary.layer_energy[:, k]
        found[group] = {name: modulation(y[rows], phase[rows], point[rows]) for name, y in responses.items()}
    return found


def modulation_metrics(
    geometry: Geometry, reference: Summary, candidates: Mapping[str, Summary], points: Sequence[Point]
) -> list[Metric]:
    """Compare the first harmonic of each candidate's modulation with the reference's."""
    full = modulation_curves(geometry, reference, points)
    found = []
    for name, summary in candidates.items():
        own = modulation_curves(geometry, summary, points) if full else {}
        for group, curves in full.items():
            for what, curve in curves.items() if group in own else ():
                other = own[group][what].harmonic
                distance, error, pull = difference(curve.harmonic, other)
                found.append(
                    Metric(
                        name, group, f"modulation_{what}".replace(" ", "_"), f"phi modulation, {what}",
                        "phi modulation", 100 * distance, 100 * error, 100 * curve.harmonic.error, np.nan, pull, "%",
                        f"amplitude {100 * other.amplitude:.2f} ± {100 * other.error:.2f} %, full simulation"
                        f" {100 * curve.harmonic.amplitude:.2f} ± {100 * curve.harmonic.error:.2f} %",
                    )
                )  # fmt: skip
    return found


def modulation_distributions(
    geometry: Geometry, reference: Summary, candidates: Mapping[str, Summary], points: Sequence[Point]
) -> list[Distribution]:
    """Return the curves themselves: response over its mean in %, against the phase."""
    full = modulation_curves(geometry, reference, points)
    edges = np.linspace(0.0, 1.0, N_BINS + 1)
    found = []
    for name, summary in candidates.items():
        own = modulation_curves(geometry, summary, points) if full else {}
        for group, curves in full.items():
            for what, curve in curves.items() if group in own else ():
                other = own[group][what]
                found.append(
                    Distribution(
                        name, group, f"modulation_{what}".replace(" ", "_"), edges, 100 * (curve.value - 1),
                        100 * curve.error, 100 * (other.value - 1), 100 * other.error,
                    )
                )  # fmt: skip
    return found
