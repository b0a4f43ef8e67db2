"""What is wrong with a candidate, most significant first: observables and metrics on one scale.

A number is significant if its pull exceeds the limit that the largest of its family exceeds by chance in 1 % of
families. The score of a quantity is its largest pull over that limit. Quantities that see the same fault would fill
any short list, so the worst five are the worst of five aspects of showers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fastparam.comparison.observables import by_name
from fastparam.comparison.statistics import family_limit

if TYPE_CHECKING:
    from fastparam.comparison.comparison import Comparison
    from fastparam.comparison.metric import Metric
    from fastparam.comparison.verdict import Verdict

__all__ = ["Finding", "differs", "findings", "worst_of"]


#: Limit for a quantity of a single number: 1 % of equal candidates exceed it.
_ALONE = 2.576


@dataclass(frozen=True)
class Finding:
    """A quantity and how significantly a candidate is off in it.

    Attributes
    ----------
    aspect, name, title : str
    score : float
        Largest pull over the limit of its family: above 1 a difference is seen.
    pull : float
    n : int
        Numbers in the family.
    verdict : Verdict or None
        Of an observable.
    metric : Metric or None
    """

    aspect: str
    name: str
    title: str
    score: float
    pull: float
    n: int
    verdict: Verdict | None = None
    metric: Metric | None = None


def findings(comparison: Comparison, candidate: str) -> list[Finding]:
    """Return all quantities that can be tested, most significant first."""
    found = []
    for v in comparison.verdicts:
        if v.candidate == candidate and v.largest_pull is not None:
            o, pull = by_name(v.observable), abs(v.largest_pull.pull)
            found.append(Finding(o.aspect, o.name, o.title, pull / max(v.pull_limit, _ALONE), pull, v.n, v))
    for m in comparison.metrics:
        if m.candidate != candidate or not np.isfinite(m.pull) or m.aspect == "as a whole":
            continue
        family = m.name.split("_")[0]
        n = sum(
            x.candidate == candidate and x.name.split("_")[0] == family and np.isfinite(x.pull)
            for x in comparison.metrics
        )
        found.append(Finding(m.aspect, m.name, m.title, m.pull / max(family_limit(n), _ALONE), m.pull, n, metric=m))
    return sorted(found, key=lambda f: -f.score if np.isfinite(f.score) else -np.inf)


def worst_of(comparison: Comparison, candidate: str, n: int = 5) -> list[Finding]:
    """Return the worst quantity of each of the n worst aspects."""
    best: dict[str, Finding] = {}
    for finding in findings(comparison, candidate):
        best.setdefault(finding.aspect, finding)
    return list(best.values())[:n]


def differs(comparison: Comparison, candidate: str) -> bool:
    """Return whether any of all numbers is further off than chance would bring the largest of them in 1 % of cases."""
    all_of_them = findings(comparison, candidate)
    metrics = {f.name: f for f in all_of_them if f.metric is not None}
    total = sum(f.n for f in all_of_them if f.verdict is not None) + len(metrics)
    limit = family_limit(max(total, 2))
    return any(f.pull > limit for f in all_of_them)
