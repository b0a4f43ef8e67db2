"""Limits on deviations, and who keeps them.

"Within x %" holds for one number if its deviation is at most x % or two standard errors, whichever is larger. A
family of n numbers (all energies, all bins of one observable for one particle and slice) passes if every deviation
beyond x % has a pull below the limit that the largest of n pulls exceeds by chance in 1 % of families. Deviation and
pull of the worst numbers are always stated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fastparam.comparison.measurement import Measurement
from fastparam.comparison.points import Point
from fastparam.comparison.statistics import family_limit

__all__ = ["DEFAULT_LIMITS", "Limit", "Number", "Verdict", "judge"]


@dataclass(frozen=True)
class Limit:
    """Largest deviation allowed to an observable.

    Attributes
    ----------
    observable : str
        Name in `observables.OBSERVABLES`.
    value : float
        In the observable's unit of deviations: % of the reference or of the profile's maximum.
    low, high : float
        Kinetic energies in MeV that are judged. The default starts below the kinetic energy of a pion of 4 GeV/c,
        3.86 GeV.
    """

    observable: str
    value: float
    low: float = 3800.0
    high: float = np.inf


#: What a classical parametrisation is expected to keep. Several limits of one observable: the first whose energies
#: include the point holds.
DEFAULT_LIMITS: tuple[Limit, ...] = (
    Limit("visible_mean", 1.0),
    Limit("visible_width", 15.0),
    Limit("leakage_mean", 15.0),
    Limit("leakage_width", 30.0),
    Limit("longitudinal", 6.0),
    Limit("r50", 8.0),
    Limit("r90", 12.0),
)


@dataclass(frozen=True)
class Number:
    """One number of a family: where it is, how far off, how sure.

    Attributes
    ----------
    point : int
        Position in `Comparison.points`.
    entry : str
        Bin or layer; empty for scalars.
    deviation, deviation_error, pull : float
    """

    point: int
    entry: str
    deviation: float
    deviation_error: float
    pull: float


@dataclass(frozen=True)
class Verdict:
    """One observable of one candidate over all energies of a particle and slice.

    Attributes
    ----------
    candidate, observable, group : str
        `group` is particle and slice, `Point.group`.
    limits : tuple of float
        The limits in force (one, unless they depend on energy); empty where nothing is judged.
    n : int
        Numbers judged; without a limit, numbers whose pull is a test.
    pull_limit : float
        Limit on |pull| for that family.
    passed : bool or None
        None where nothing is judged.
    different : bool
        Whether some pull is beyond the family's limit: a difference is seen, allowed or not.
    largest_deviation, largest_pull : Number or None
        Among the judged numbers, or all without a limit. The failing number of largest deviation, if one fails.
    undecided : int
        Judged numbers whose two standard errors exceed the limit: statistics cannot tell there.
    showers_to_halve : int or None
        Showers of full simulation (judging and training) per energy at which the largest of these errors would be
        halved, candidates growing alike; None if `undecided` is 0.
    """

    candidate: str
    observable: str
    group: str
    limits: tuple[float, ...]
    n: int
    pull_limit: float
    passed: bool | None
    different: bool
    largest_deviation: Number | None
    largest_pull: Number | None
    undecided: int
    showers_to_halve: int | None


def judge(
    points: Sequence[Point],
    measurements: Sequence[Measurement],
    limits: Sequence[Limit],
    n_full: Sequence[int],
) -> list[Verdict]:
    """Judge every observable of every candidate, by particle and slice.

    Parameters
    ----------
    points : sequence of Point
    measurements : sequence of Measurement
    limits : sequence of Limit
    n_full : sequence of int
        Showers of full simulation per point, judging and training.
    """
    families: dict[tuple[str, str, str], list[Measurement]] = {}
    for m in measurements:
        for name in m.candidates:
            families.setdefault((name, points[m.point].group, m.observable), []).append(m)
    return [_judge(key, family, points, limits, n_full) for key, family in families.items()]


def _judge(
    key: tuple[str, str, str],
    family: list[Measurement],
    points: Sequence[Point],
    limits: Sequence[Limit],
    n_full: Sequence[int],
) -> Verdict:
    candidate, group, observable = key
    numbers: list[tuple[Number, float | None, bool]] = []
    for m in family:
        limit = next(
            (
                limit.value
                for limit in limits
                if limit.observable == observable and limit.low <= points[m.point].energy <= limit.high
            ),
            None,
        )
        d = m.candidates[candidate]
        for k in range(len(d.deviation)):
            entry = "" if m.axis is None else m.axis.place(k)
            if np.isfinite(d.deviation[k]) and not np.isnan(d.pull[k]):
                found = Number(m.point, entry, float(d.deviation[k]), float(d.deviation_error[k]), float(d.pull[k]))
                numbers.append((found, limit, bool(d.testable[k])))
            elif np.isfinite(m.reference[k]) and not np.isfinite(d.value[k]):
                # What the reference has and the candidate lacks is as far off as can be.
                numbers.append((Number(m.point, entry, np.inf, np.nan, np.inf), limit, True))

    judged = [(number, limit) for number, limit, _ in numbers if limit is not None]
    tested = [number for number, _, testable in numbers if testable]
    pull_limit = family_limit(len(judged) if judged else len(tested))
    failing = [x for x, limit in judged if abs(x.deviation) > limit and abs(x.pull) > pull_limit]
    undecided = [x for x, limit in judged if 2.0 * x.deviation_error > limit]
    worst_of = failing or [x for x, _ in judged] or tested
    widest = max(undecided, key=lambda x: x.deviation_error, default=None)
    return Verdict(
        candidate=candidate,
        observable=observable,
        group=group,
        limits=tuple(sorted({limit for _, limit in judged})),
        n=len(judged) if judged else len(tested),
        pull_limit=pull_limit,
        passed=not failing if judged else None,
        different=any(abs(x.pull) > family_limit(len(tested)) for x in tested),
        largest_deviation=max(worst_of, key=_size, default=None),
        largest_pull=max(failing or tested, key=lambda x: abs(x.pull), default=None),
        undecided=len(undecided),
        showers_to_halve=None if widest is None else 4 * n_full[widest.point],
    )


def _size(number: Number) -> tuple[float, float]:
    """Order by deviation, equal ones (to the digits that JSON keeps) by pull."""
    return float(f"{abs(number.deviation):.6g}"), abs(number.pull)
