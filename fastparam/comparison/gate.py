"""Gates: thresholds on metrics and observables that a candidate must not cross, for monitoring and re-tuning."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastparam.comparison.metric import HEADLINES
from fastparam.comparison.observables import OBSERVABLES, by_name
from fastparam.comparison.verdict import Limit, judge
from fastparam.errors import UsageError, near

if TYPE_CHECKING:
    from fastparam.comparison.comparison import Comparison

__all__ = ["Gate", "crossed", "parse_gates", "require_known"]

#: Metrics whose names depend on the detector: of features, layers and batches.
_FAMILIES = ("separation_", "challenge_separation_", "wasserstein_", "modulation_", "ms_batch_")


@dataclass(frozen=True)
class Gate:
    """A threshold.

    Attributes
    ----------
    metric : str
        Name of a metric, or of an observable.
    value : float
        A metric must not be above it; an observable's deviations must not significantly exceed it, in the observable's
        unit of deviations, at any energy.
    """

    metric: str
    value: float


def parse_gates(texts: Sequence[str]) -> tuple[Gate, ...]:
    """Read ``METRIC=VALUE``.

    Raises
    ------
    UsageError
        If one is not of that form, or names a metric that cannot exist.
    """
    found = []
    for text in texts:
        name, equal, value = text.partition("=")
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if not equal or math.isnan(number):
            raise UsageError(f"--fail-above {text}: expected METRIC=VALUE, a name and a number")
        gate = Gate(name.strip(), number)
        if not gate.metric.startswith(_FAMILIES):
            _require(gate.metric, _static())
        found.append(gate)
    return tuple(found)


def require_known(comparison: Comparison, gates: Sequence[Gate]) -> None:
    """Refuse gates on what was not measured here.

    Raises
    ------
    UsageError
        Naming what was.
    """
    known = {m.name for m in comparison.metrics} | {m.observable for m in comparison.measurements}
    for gate in gates:
        _require(gate.metric, sorted(known))


def crossed(comparison: Comparison, gates: Sequence[Gate]) -> list[str]:
    """Return what crosses a gate, a line each; empty if nothing does."""
    found = []
    for gate in gates:
        for m in comparison.metrics:
            if m.name == gate.metric and not m.value <= gate.value:
                place = f", {m.group}" if m.group else ""
                found.append(f"{m.candidate}{place}: {m.name} = {m.value:.4g} +- {m.error:.2g}, above {gate.value:g}")
        measured = [m for m in comparison.measurements if m.observable == gate.metric]
        if measured:
            limits = [Limit(gate.metric, gate.value, low=0.0)]
            for v in judge(comparison.points, measured, limits, comparison.n_reference):
                if v.passed is False and v.largest_deviation is not None:
                    worst = v.largest_deviation
                    where = ", ".join(x for x in (v.group, comparison.points[worst.point].label, worst.entry) if x)
                    found.append(
                        f"{v.candidate}, {where}: {gate.metric} deviates by {worst.deviation:+.4g} +-"
                        f" {worst.deviation_error:.2g} {by_name(gate.metric).deviation_unit}, above {gate.value:g}"
                    )
    return found


def _static() -> list[str]:
    return [*HEADLINES, *(o.name for o in OBSERVABLES)]


def _require(name: str, known: Sequence[str]) -> None:
    if name not in known:
        families = ", ".join(f"{start}*" for start in _FAMILIES)
        raise UsageError(
            f"--fail-above: no metric '{name}'{near(name, known)}; known here: {', '.join(known)}; and {families}"
        )
