"""`Comparison`: everything that was measured and judged, as data; JSON, table and report come from it alone."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastparam.comparison.distribution import Distribution
from fastparam.comparison.measurement import Difference, Measurement
from fastparam.comparison.metric import Metric
from fastparam.comparison.observables import OBSERVABLES, by_name
from fastparam.comparison.pictures import Pictures
from fastparam.comparison.points import Point
from fastparam.comparison.sample import Axis
from fastparam.comparison.verdict import Limit, Verdict, judge
from fastparam.errors import InputError, UsageError

if TYPE_CHECKING:
    from fastparam.comparison.page import Section

__all__ = ["FORMAT", "VERSION", "Candidate", "Comparison"]

FORMAT = "fastparam comparison"
VERSION = 1


@dataclass(frozen=True)
class Candidate:
    """Something that was compared.

    Attributes
    ----------
    name : str
    description : str
        What it is: kind of generator, file.
    showers : tuple of int
        Number of its showers per point.
    ms_per_shower : float or None
        Wall time of `generate` per shower, in the batches used here; None for what was read from files.
    """

    name: str
    description: str
    showers: tuple[int, ...]
    ms_per_shower: float | None = None


@dataclass(frozen=True)
class Comparison:
    """Full simulation against candidates.

    Attributes
    ----------
    reference : str
        Name of the full simulation.
    geometry : str
        Name of the detector.
    points : tuple of Point
    n_reference : tuple of int
        Showers of the reference per point.
    n_training : tuple of int or None
        Training showers per point where their error is included.
    candidates : tuple of Candidate
    measurements : tuple of Measurement
    limits : tuple of Limit
    left_out : tuple of str
        Showers of the reference that are not compared, and why.
    provenance : dict of str to str
    extra : tuple of Section
        Further sections of the report; not part of JSON.
    metrics : tuple of Metric
        What judges all energies of a particle together.
    pictures : dict of str to Pictures
        Showers to draw per particle and slice; not part of JSON.
    distributions : tuple of Distribution
        Features to draw, those in which a candidate differs most, and the curves of a phi modulation.
    """

    reference: str
    geometry: str
    points: tuple[Point, ...]
    n_reference: tuple[int, ...]
    n_training: tuple[int, ...] | None
    candidates: tuple[Candidate, ...]
    measurements: tuple[Measurement, ...]
    limits: tuple[Limit, ...]
    left_out: tuple[str, ...] = ()
    provenance: dict[str, str] = field(default_factory=dict)
    extra: tuple[Section, ...] = ()
    metrics: tuple[Metric, ...] = ()
    pictures: dict[str, Pictures] = field(default_factory=dict)
    distributions: tuple[Distribution, ...] = ()

    @cached_property
    def verdicts(self) -> tuple[Verdict, ...]:
        """One per candidate, particle, slice and observable, in the order of the candidates and observables."""
        trained = self.n_training or (0,) * len(self.points)
        n_full = [a + b for a, b in zip(self.n_reference, trained, strict=True)]
        found = judge(self.points, self.measurements, self.limits, n_full)
        candidates = [c.name for c in self.candidates]
        groups = list(self.groups)
        names = [o.name for o in OBSERVABLES]
        return tuple(
            sorted(
                found, key=lambda v: (candidates.index(v.candidate), groups.index(v.group), names.index(v.observable))
            )
        )

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """Particles and slices compared, `Point.group`, in order."""
        return tuple(dict.fromkeys(p.group for p in self.points))

    def failures(self) -> list[Verdict]:
        """Return the verdicts of observables that break their limit."""
        return [v for v in self.verdicts if v.passed is False]

    def measurement(self, observable: str, point: int) -> Measurement | None:
        """Return an observable at a point, or None where it was not measured."""
        return self._by_key.get((observable, point))

    @cached_property
    def _by_key(self) -> dict[tuple[str, int], Measurement]:
        return {(m.observable, m.point): m for m in self.measurements}

    def table(self) -> list[dict[str, Any]]:
        """Return one row per number and candidate, ready for a data frame; energies in GeV."""
        return [
            self._row(m, name, k) for m in self.measurements for name in m.candidates for k in range(len(m.reference))
        ]

    def _row(self, m: Measurement, candidate: str, k: int) -> dict[str, Any]:
        point, observable, d = self.points[m.point], by_name(m.observable), m.candidates[candidate]
        return {
            "candidate": candidate,
            "observable": m.observable,
            "pdg": point.pdg,
            "energy_gev": point.energy / 1000.0,
            "eta": point.slice,
            "layer": "" if m.axis is None else m.axis.group[k],
            "entry": "" if m.axis is None else m.axis.label[k],
            "unit": observable.unit,
            "reference": float(m.reference[k]),
            "reference_error": float(m.error[k]),
            "value": float(d.value[k]),
            "error": float(d.error[k]),
            "deviation": float(d.deviation[k]),
            "deviation_error": float(d.deviation_error[k]),
            "deviation_unit": observable.deviation_unit,
            "floor": float(m.floor[k]),
            "pull": float(d.pull[k]),
        }

    def to_frame(self) -> Any:
        """Return `table` and the metrics as one pandas data frame, a row per number and candidate.

        Raises
        ------
        UsageError
            If pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise UsageError("to_frame needs pandas; install it (pip install pandas), or use table()") from error
        rows = self.table()
        rows += [
            {
                "candidate": m.candidate, "observable": m.name, "group": m.group, "unit": m.unit, "value": m.value,
                "error": m.error, "floor": m.floor, "floor_error": m.floor_error, "pull": m.pull, "note": m.note,
            }
            for m in self.metrics
        ]  # fmt: skip
        return pandas.DataFrame(rows)

    def to_json(self) -> dict[str, Any]:
        """Return everything but `extra` as plain lists, numbers and strings; what is not finite becomes None.

        Numbers are rounded to seven digits.
        """
        return {
            "format": FORMAT,
            "version": VERSION,
            "reference": self.reference,
            "geometry": self.geometry,
            "passed": not self.failures(),
            "observables": [
                {
                    "name": o.name,
                    "title": o.title,
                    "unit": o.unit,
                    "kind": o.kind,
                    "deviation_unit": o.deviation_unit,
                }
                for o in OBSERVABLES
            ],
            "points": [
                {
                    **_plain(p),
                    "particle": p.group,
                    "n_reference": self.n_reference[i],
                    "n_training": _nth(self.n_training, i),
                }
                for i, p in enumerate(self.points)
            ],
            "left_out": list(self.left_out),
            "candidates": [_plain(c) for c in self.candidates],
            "limits": [_plain(limit) for limit in self.limits],
            "verdicts": [_plain(v) for v in self.verdicts],
            "measurements": [_plain(m) for m in self.measurements],
            "metrics": [_plain(m) for m in self.metrics],
            "distributions": [_plain(d) for d in self.distributions],
            "provenance": dict(self.provenance),
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Comparison:
        """Rebuild a comparison from `to_json`.

        Raises
        ------
        InputError
            If the document is of another format or version.
        """
        if document.get("format") != FORMAT or document.get("version") != VERSION:
            raise InputError(
                f"not a comparison that can be read: found format {document.get('format')!r} version"
                f" {document.get('version')!r}, expected {FORMAT!r} version {VERSION}; run fastparam compare again"
            )
        points = document["points"]
        training = [p["n_training"] for p in points]
        return cls(
            reference=document["reference"],
            geometry=document["geometry"],
            points=tuple(
                Point(p["pdg"], p["energy"], p["low"], p["high"], p["continuous"], _pair(p["slice"])) for p in points
            ),
            n_reference=tuple(p["n_reference"] for p in points),
            n_training=None if None in training else tuple(training),
            candidates=tuple(
                Candidate(c["name"], c["description"], tuple(c["showers"]), c["ms_per_shower"])
                for c in document["candidates"]
            ),
            measurements=tuple(_measurement(m) for m in document["measurements"]),
            limits=tuple(
                Limit(x["observable"], x["value"], x["low"], np.inf if x["high"] is None else x["high"])
                for x in document["limits"]
            ),
            left_out=tuple(document["left_out"]),
            provenance=document["provenance"],
            metrics=tuple(_metric(m) for m in document.get("metrics", ())),
            distributions=tuple(_distribution(d) for d in document.get("distributions", ())),
        )

    def to_html(self, path: Path | str) -> None:
        """Write the report, one self-contained HTML file, replacing what is there."""
        from fastparam.comparison.report import comparison_report, write_html

        write_html(Path(path), comparison_report(self))


def _nth(values: tuple[int, ...] | None, i: int) -> int | None:
    return None if values is None else values[i]


def _pair(values: list[float] | None) -> tuple[float, float] | None:
    return None if values is None else (values[0], values[1])


def _plain(thing: Any) -> Any:
    """Reduce dataclasses, arrays and floats to what JSON holds."""
    if isinstance(thing, np.ndarray):
        return [_plain(x) for x in thing.tolist()]
    if isinstance(thing, bool | int | str) or thing is None:
        return thing
    if isinstance(thing, float):
        return float(f"{thing:.7g}") if np.isfinite(thing) else None
    if isinstance(thing, dict):
        return {key: _plain(value) for key, value in thing.items()}
    if isinstance(thing, list | tuple):
        return [_plain(x) for x in thing]
    return {f.name: _plain(getattr(thing, f.name)) for f in fields(thing)}


def _floats(values: list[float | None]) -> npt.NDArray[np.float64]:
    return np.array([np.nan if v is None else v for v in values], dtype=np.float64)


def _metric(m: dict[str, Any]) -> Metric:
    values: dict[str, Any] = {key: np.nan if value is None else value for key, value in m.items()}
    return Metric(**values)


def _distribution(d: dict[str, Any]) -> Distribution:
    values: dict[str, Any] = {key: value if isinstance(value, str) else _floats(value) for key, value in d.items()}
    return Distribution(**values)


def _measurement(m: dict[str, Any]) -> Measurement:
    axis = m["axis"]
    return Measurement(
        m["observable"],
        m["point"],
        None
        if axis is None
        else Axis(
            axis["title"],
            axis["unit"],
            _floats(axis["low"]),
            _floats(axis["high"]),
            tuple(axis["label"]),
            tuple(axis["group"]),
        ),
        _floats(m["reference"]),
        _floats(m["error"]),
        None if m["training_error"] is None else _floats(m["training_error"]),
        _floats(m["floor"]),
        {
            name: Difference(
                _floats(d["value"]),
                _floats(d["error"]),
                _floats(d["deviation"]),
                _floats(d["deviation_error"]),
                _floats(d["pull"]),
                np.array(d["testable"], dtype=np.bool_),
            )
            for name, d in m["candidates"].items()
        },
    )
