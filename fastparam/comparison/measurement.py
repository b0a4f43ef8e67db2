"""One observable at one energy point: reference, candidates, how far apart they are and how sure that is."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastparam.comparison.observables import OBSERVABLES, Observable
from fastparam.comparison.sample import Axis, Layout, Sample
from fastparam.comparison.statistics import REPLICAS, bootstrap_weights, error, rms_distance, widened
from fastparam.comparison.voxel_point import VoxelPoint

__all__ = ["Difference", "Measurement", "measure"]

Floats = npt.NDArray[np.float64]
Showers = Sample | VoxelPoint

#: With so many showers at a point fewer resamples do: their errors are small, and known to 10 %.
_MANY = 5000
_FEW_REPLICAS = 50

#: An entry that the reference cannot know better than this, relative, rests on a few showers: its pull is far from
#: Gaussian and tests nothing. The average of both samples decides, which does not know which of them is higher;
#: judging by the reference alone would select its upward fluctuations.
_POOR = 0.2


@dataclass(frozen=True)
class Difference:
    """A candidate's value of an observable and its difference from the reference; arrays of shape (K,).

    Attributes
    ----------
    value, error : float64 arrays
        In the observable's unit.
    deviation, deviation_error : float64 arrays
        Candidate minus reference in the unit of deviations (`Observable.scale`), and its standard error: reference,
        candidate and, where given, training showers.
    pull : float64 array
        Deviation over its error; NaN where both are zero or nothing was measured.
    testable : bool array
        Whether enough showers contribute for the pull to be a test.
    """

    value: Floats
    error: Floats
    deviation: Floats
    deviation_error: Floats
    pull: Floats
    testable: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Measurement:
    """An observable at a point; arrays of shape (K,).

    Attributes
    ----------
    observable : str
    point : int
        Position in `Comparison.points`.
    axis : Axis or None
        What the entries stand for; None for scalars and distances.
    reference, error : float64 arrays
        In the observable's unit.
    training_error : float64 array or None
        Standard error of the same quantity in the training showers of this point alone: an upper estimate of what
        training adds, since a fit joins all energies. None without training showers here.
    floor : float64 array
        Standard error of the reference alone, in the unit of deviations: by so much an equal candidate with
        unlimited statistics deviates. Two halves of the reference differ by twice that.
    candidates : dict of str to Difference
    """

    observable: str
    point: int
    axis: Axis | None
    reference: Floats
    error: Floats
    training_error: Floats | None
    floor: Floats
    candidates: dict[str, Difference]


def measure(
    point: int,
    layout: Layout,
    reference: Showers,
    candidates: Mapping[str, Showers],
    training: Showers | None,
    seed: int,
    only: tuple[str, ...] | None = None,
) -> list[Measurement]:
    """Evaluate all observables at one point.

    Parameters
    ----------
    point : int
        Number of the point, kept in the result; with `seed` and the candidate's name it seeds the bootstrap, so that
        the errors of one candidate do not depend on which others are compared.
    layout : Layout
    reference : Sample or VoxelPoint
    candidates : mapping of str to the same
    training : the same, or None
        The showers of this point only, in all three, cut by `layout`.
    seed : int
    only : tuple of str, optional
        Names of observables; default all.
    """
    wanted = [
        o
        for o in OBSERVABLES
        if (only is None or o.name in only)
        and o.source in ("both", layout.source)
        and (o.only_if is None or o.only_if(layout))
    ]
    full = _evaluate(wanted, reference, seed, point, "reference")
    trained = None if training is None else _evaluate(wanted, training, seed, point, "training")
    sampled = {name: _evaluate(wanted, c, seed, point, name) for name, c in candidates.items()}
    found = []
    for o in wanted:
        others = {name: (values[o.name], len(candidates[name])) for name, values in sampled.items()}
        third = None if trained is None or training is None else (trained[o.name], len(training))
        compare = _compare_by_distance if o.kind == "distance" else _compare_entries
        found.append(compare(o, point, layout, (full[o.name], len(reference)), others, third))
    return found


def _evaluate(wanted: list[Observable], sample: Showers, seed: int, point: int, name: str) -> dict[str, Floats]:
    rng = np.random.default_rng([seed, point, zlib.crc32(name.encode())])
    weights = bootstrap_weights(len(sample), rng, REPLICAS if len(sample) < _MANY else _FEW_REPLICAS)
    return {o.name: o.values(sample, weights) for o in wanted}


Replicas = tuple[Floats, int]  # values (R, K) and the number of showers


def _compare_entries(
    o: Observable,
    point: int,
    layout: Layout,
    reference: Replicas,
    candidates: dict[str, Replicas],
    training: Replicas | None,
) -> Measurement:
    value, sigma = reference[0][0], error(*reference)
    training_error = None if training is None else error(*training)
    with np.errstate(invalid="ignore", divide="ignore"):
        if o.scale == "relative":
            scale = np.where(value != 0, 100.0 / np.abs(value), np.nan)
        elif o.scale == "maximum":
            largest = np.nanmax(np.abs(value), initial=0.0)
            scale = np.full(len(value), 100.0 / largest if largest > 0 else np.nan)
        else:
            scale = np.ones(len(value))
        differences = {}
        for name, replicas in candidates.items():
            other, other_sigma = replicas[0][0], error(*replicas)
            difference = other - value
            combined = np.sqrt(sigma**2 + other_sigma**2 + (0.0 if training_error is None else training_error**2))
            pull = np.where(combined > 0, difference / combined, np.where(difference == 0, np.nan, np.inf))
            testable = np.isfinite(pull)
            if o.scale != "absolute":
                n, m = reference[1], replicas[1]
                average = (n * value + m * other) / (n + m)
                expected = np.hypot(n * sigma, m * other_sigma) / (n + m) * np.sqrt((n + m) / n)
                testable &= expected <= _POOR * np.abs(average)
            differences[name] = Difference(
                other, other_sigma, difference * scale, combined * scale, pull, np.asarray(testable, dtype=np.bool_)
            )
    axis = None if o.axis is None else o.axis(layout)
    return Measurement(o.name, point, axis, value, sigma, training_error, sigma * scale, differences)


def _compare_by_distance(
    o: Observable,
    point: int,
    layout: Layout,
    reference: Replicas,
    candidates: dict[str, Replicas],
    training: Replicas | None,
) -> Measurement:
    differences = {}
    full, third = widened(*reference), None if training is None else widened(*training)
    floor = rms_distance(full, full).floor
    for name, replicas in candidates.items():
        d = rms_distance(full, widened(*replicas), third)
        value, sigma, pull = (np.array([x]) for x in (d.value, d.error, d.pull))
        differences[name] = Difference(value, sigma, value, sigma, pull, np.isfinite(pull))
    return Measurement(o.name, point, None, np.zeros(1), np.array([floor]), None, np.array([floor]), differences)
