"""The report of a comparison: verdict first, then figures, then every number, provenance last."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from fastparam.comparison.figures import draw
from fastparam.comparison.observables import OBSERVABLES, Observable, by_name
from fastparam.comparison.page import Cell, Figure, Page, Section, Status, Table, render, write_html
from fastparam.comparison.report_metrics import (
    metric_sections,
    modulation_sections,
    picture_sections,
    ranking_section,
    summary_sections,
)
from fastparam.errors import OutputExistsError
from fastparam.files import atomic_output

if TYPE_CHECKING:
    from fastparam.comparison.comparison import Comparison
    from fastparam.comparison.measurement import Difference, Measurement
    from fastparam.comparison.verdict import Number, Verdict

__all__ = [
    "Cell",
    "Figure",
    "Page",
    "Section",
    "Table",
    "comparison_report",
    "comparison_sections",
    "render",
    "write_directory",
    "write_html",
]

#: Layers whose lateral profiles are drawn, and energies at which; all others are in JSON.
_LAYERS_DRAWN = 8
_ENERGIES_DRAWN = 3

_WORST = 5

T = TypeVar("T")

_HOW_TO_READ = (
    "An error ± is one standard deviation from bootstrap over showers; that of a deviation includes full simulation,"
    " candidate and, where stated, training showers. The pull is deviation over error. Floor: what the statistics of"
    " full simulation alone contribute (grey bands in the lower panels). Width: half of the central 68 % interval."
    "\n\n"
    "A limit is kept if every deviation beyond it has a pull below the limit for the whole family of numbers (all"
    " energies and bins), which equal showers exceed in 1 % of cases. Dashed lines in figures are the limits."
)


def comparison_report(comparison: Comparison, title: str = "") -> Page:
    """Compose the report of a comparison.

    Parameters
    ----------
    comparison : Comparison
    title : str, optional
        Default: who was compared with whom.
    """
    names = ", ".join(c.name for c in comparison.candidates)
    return Page(
        title=title or f"{names} against {comparison.reference}",
        lead=_lead(comparison),
        sections=(*comparison_sections(comparison),),
    )


def comparison_sections(comparison: Comparison) -> tuple[Section, ...]:
    """Return all sections of the report, for a page with sections of its own."""
    if not comparison.metrics:
        return (_verdict_section(comparison), *comparison.extra, *_particles_and_numbers(comparison))
    first, *failures = summary_sections(comparison)
    return (
        first,
        *failures,
        _verdict_section(comparison),
        *comparison.extra,
        *picture_sections(comparison),
        *modulation_sections(comparison),
        *ranking_section(comparison),
        *_particles_and_numbers(comparison),
    )


def _particles_and_numbers(comparison: Comparison) -> tuple[Section, ...]:
    return (
        *(_group_section(comparison, i, group) for i, group in enumerate(comparison.groups)),
        *(_number_section(comparison, i, group) for i, group in enumerate(comparison.groups)),
        *metric_sections(comparison),
        _provenance_section(comparison),
    )


def write_directory(directory: Path, comparison: Comparison, *, force: bool = False) -> None:
    """Write ``report.html`` and ``report.json`` to a directory that is complete or absent.

    With `force` an existing directory keeps its other files; these two are replaced, each in one step.

    Raises
    ------
    OutputExistsError
        If the directory exists and `force` is not given.
    """
    if directory.exists() and not force:
        raise OutputExistsError(f"output exists: {directory}; choose another name, or overwrite with --force")
    contents = {
        "report.html": render(comparison_report(comparison)),
        "report.json": json.dumps(comparison.to_json(), allow_nan=False),
    }
    if directory.is_dir():
        for name, text in contents.items():
            with atomic_output(directory / name) as partial:
                partial.write_text(text, encoding="utf-8")
        return
    folder = directory.with_name(f".{directory.name}.{os.getpid()}.partial")
    try:
        folder.mkdir()
        for name, text in contents.items():
            (folder / name).write_text(text, encoding="utf-8")
        folder.replace(directory)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# --- first screen


def _lead(comparison: Comparison) -> str:
    words = [
        f"Detector {comparison.geometry}. Full simulation: {comparison.reference}, "
        f"{sum(comparison.n_reference)} showers of {'; '.join(comparison.groups)}."
    ]
    if comparison.n_training is not None:
        words.append(
            f" Errors include those of the {sum(comparison.n_training)} training showers, as an upper estimate:"
            " each quantity's own error at each energy, though the tune joins all energies."
        )
    return "".join(words)


def _verdict_section(comparison: Comparison) -> Section:
    tables = [_candidate_table(comparison)]
    judged = [v for v in comparison.verdicts if v.passed is not None]
    if judged:
        columns = "limit, worst deviation, pull, pull limit, undecided, at"
        tables.append(
            Table(
                ("verdict", "quantity", *_whose(comparison), *columns.split(", ")),
                tuple(_verdict_row(comparison, v) for v in judged),
                "Quantities with a limit, worst number of each. Undecided: numbers whose two standard errors exceed"
                " the limit, and how many showers of full simulation per energy would halve the largest of these"
                " errors.",
            )
        )
    tables.append(_worst_table(comparison))
    return Section("Verdict", tables=tuple(tables), anchor="verdict", text="")


def _candidate_table(comparison: Comparison) -> Table:
    rows: list[tuple[Cell | str, ...]] = []
    for c in comparison.candidates:
        judged = [v for v in comparison.verdicts if v.candidate == c.name and v.passed is not None]
        failed = sum(v.passed is False for v in judged)
        tested = [v for v in comparison.verdicts if v.candidate == c.name and v.n]
        seen = sum(v.different for v in tested)
        verdict = Cell("no limits")
        if judged:
            text = f"{len(judged) - failed} of {len(judged)} within limits"
            verdict = Cell(text, "bad" if failed else "good")
        rows.append(
            (
                c.name,
                verdict,
                f"{seen} of {len(tested)}",
                str(sum(c.showers)),
                "–" if c.ms_per_shower is None else f"{c.ms_per_shower:.3g}",
                c.description or "–",
            )
        )
    columns = ("candidate", "limits", "differences seen", "showers", "ms per shower", "what it is")
    return Table(
        columns,
        tuple(rows),
        "A difference is seen where a pull exceeds the limit of its family, whatever its size;"
        " equal showers show one in 1 % of the quantities.",
    )


def _verdict_row(comparison: Comparison, v: Verdict) -> tuple[Cell | str, ...]:
    o = by_name(v.observable)
    status: Status = "good" if v.passed else "bad"
    text = "pass" if v.passed else "fail"
    if v.passed and v.undecided:
        status, text = "warn", "pass, undecided"
    undecided = "–" if v.showers_to_halve is None else f"{v.undecided} of {v.n}; {v.showers_to_halve} showers"
    limit = " / ".join(f"{x:g}" for x in v.limits)
    return (
        Cell(text, status),
        Cell(o.title, link=_anchor_of(comparison, v)),
        *_whose(comparison, v),
        f"{limit} {o.deviation_unit}",
        _deviation(v.largest_deviation, o),
        _pull(v.largest_deviation),
        f"{v.pull_limit:.2f}",
        undecided,
        _place(comparison, v.largest_deviation),
    )


def _worst_table(comparison: Comparison) -> Table:
    """List, per candidate, the observables whose largest pull exceeds its family's limit most."""
    rows: list[tuple[Cell | str, ...]] = []
    for c in comparison.candidates:
        own = [v for v in comparison.verdicts if v.candidate == c.name and v.largest_pull is not None]
        own.sort(key=lambda v: -abs(v.largest_pull.pull if v.largest_pull else 0.0) / v.pull_limit)
        for v in own[:_WORST]:
            o = by_name(v.observable)
            rows.append(
                (
                    Cell("difference seen", "warn") if v.different else "no difference seen",
                    Cell(o.title, link=_anchor_of(comparison, v)),
                    *_whose(comparison, v),
                    _deviation(v.largest_pull, o),
                    _pull(v.largest_pull),
                    f"{v.pull_limit:.2f}",
                    _place(comparison, v.largest_pull),
                )
            )
    return Table(
        ("", "quantity", *_whose(comparison), "deviation", "pull", "pull limit", "at"),
        tuple(rows),
        f"Where each candidate differs most: the {_WORST} quantities of most significant difference.",
    )


def _whose(comparison: Comparison, v: Verdict | None = None) -> tuple[str, ...]:
    """Return the cells that name candidate and particle, where there are several; without a verdict, their columns."""
    cells = []
    if len(comparison.candidates) > 1:
        cells.append("candidate" if v is None else v.candidate)
    if len(comparison.groups) > 1:
        cells.append("particle" if v is None else v.group)
    return tuple(cells)


def _anchor_of(comparison: Comparison, v: Verdict) -> str:
    group = comparison.groups.index(v.group)
    number = v.largest_pull or v.largest_deviation
    if number is None or by_name(v.observable).kind != "profile":
        return f"particle-{group}"
    return f"point-{number.point}"


def _deviation(number: Number | None, o: Observable) -> str:
    if number is None:
        return "–"
    return f"{_signed(number.deviation)} ± {_digits(number.deviation_error)} {o.deviation_unit}"


def _pull(number: Number | None) -> str:
    return "–" if number is None else _signed(number.pull, ".1f")


def _place(comparison: Comparison, number: Number | None) -> str:
    if number is None:
        return "–"
    return ", ".join(part for part in (comparison.points[number.point].label, number.entry) if part)


def _signed(value: float, form: str = ".3g") -> str:
    if not np.isfinite(value):
        return "–"
    return f"{value:+{form}}".replace("-", "−")


def _digits(value: float) -> str:
    return f"{value:.2g}" if np.isfinite(value) else "–"


# --- figures


def _is_per_layer(o: Observable) -> bool:
    return o.kind == "profile" and o.name.startswith("layer_lateral")


def _group_section(comparison: Comparison, number: int, group: str) -> Section:
    points = [i for i, p in enumerate(comparison.points) if p.group == group]
    scalars = [o.name for o in OBSERVABLES if o.kind != "profile"]
    different = {v.observable for v in comparison.verdicts if v.group == group and v.different}
    profiles = [
        o.name for o in OBSERVABLES if o.kind == "profile" and not _is_per_layer(o) and (o.drawn or o.name in different)
    ]
    parts = [
        Section(
            f"{comparison.points[i].label}",
            text=_point_text(comparison, i),
            figures=draw(comparison, profiles, i),
            anchor=f"point-{i}",
        )
        for i in points
    ]
    parts += _layer_sections(comparison, number, points)
    return Section(
        group[:1].upper() + group[1:],
        text=_HOW_TO_READ if number == 0 else "",
        figures=draw(comparison, scalars, group),
        sections=tuple(parts),
        anchor=f"particle-{number}",
    )


def _point_text(comparison: Comparison, i: int) -> str:
    counts = [f"{comparison.n_reference[i]} of full simulation"]
    counts += [f"{c.showers[i]} of {c.name}" for c in comparison.candidates]
    if comparison.n_training is not None:
        counts.append(f"{comparison.n_training[i]} trained on")
    return f"Showers: {', '.join(counts)}."


def _layer_sections(comparison: Comparison, number: int, points: Sequence[int]) -> list[Section]:
    """Draw lateral profiles of some layers at some energies, spread evenly over those there are."""
    found = [m for i in points if (m := comparison.measurement("layer_lateral", i)) is not None and m.axis is not None]
    layers = list(dict.fromkeys(g for m in found if m.axis is not None for g in m.axis.group))
    drawn = _spread(layers, _LAYERS_DRAWN)
    energies = _spread([m.point for m in found], _ENERGIES_DRAWN)
    return [
        Section(
            layer if layer.lower().startswith("layer") else f"Layer {layer}",
            text="Other layers and energies are in report.json."
            if len(drawn) < len(layers) and layer == drawn[0]
            else "",
            figures=tuple(f for i in energies for f in draw(comparison, ["layer_lateral"], i, layer)),
            anchor=f"layer-{number}-{k}",
        )
        for k, layer in enumerate(drawn)
    ]


def _spread(items: Sequence[T], n: int) -> list[T]:
    if len(items) <= n:
        return list(items)
    return [items[i] for i in np.unique(np.linspace(0, len(items) - 1, n).round().astype(int))]


# --- numbers


def _number_section(comparison: Comparison, number: int, group: str) -> Section:
    points = [i for i, p in enumerate(comparison.points) if p.group == group]
    scalars = []
    for o in OBSERVABLES:
        found = [m for i in points if o.kind != "profile" and (m := comparison.measurement(o.name, i)) is not None]
        if found:
            rows = tuple(_number_row(comparison, o, m, 0, comparison.points[m.point].label) for m in found)
            scalars.append(Section(o.title, tables=(_number_table(comparison, o, "energy", rows),), folded=True))
    energies = []
    for i in points:
        parts = []
        for o in OBSERVABLES:
            m = comparison.measurement(o.name, i)
            if m is None or m.axis is None or _is_per_layer(o):
                continue
            rows = tuple(_number_row(comparison, o, m, k, m.axis.label[k]) for k in range(len(m.reference)))
            unit = f" [{m.axis.unit}]" if m.axis.unit else ""
            parts.append(
                Section(o.title, tables=(_number_table(comparison, o, m.axis.title + unit, rows),), folded=True)
            )
        energies.append(Section(comparison.points[i].label, sections=tuple(parts), folded=True))
    return Section(
        f"Numbers: {group}",
        text="Lateral profiles of single layers are in report.json only, and in print so is all of this.",
        sections=(*scalars, *energies),
        anchor=f"numbers-{number}",
    )


def _number_table(comparison: Comparison, o: Observable, first: str, rows: tuple[tuple[Cell | str, ...], ...]) -> Table:
    columns = [first, "full simulation", f"floor [{o.deviation_unit}]" if o.deviation_unit else "floor"]
    for c in comparison.candidates:
        deviation = f"deviation [{o.deviation_unit}]" if o.deviation_unit else "deviation"
        columns += [c.name, deviation, "pull"]
    return Table(tuple(columns), rows, f"{o.title} [{o.unit}]" if o.unit else o.title)


def _number_row(comparison: Comparison, o: Observable, m: Measurement, k: int, label: str) -> tuple[Cell | str, ...]:
    row: list[Cell | str] = [label]
    row.append("–" if o.kind == "distance" else _with_error(float(m.reference[k]), float(m.error[k])))
    row.append(_digits(float(m.floor[k])))
    for c in comparison.candidates:
        d: Difference = m.candidates[c.name]
        deviation = "–"
        if np.isfinite(d.deviation[k]):
            deviation = f"{_signed(float(d.deviation[k]))} ± {_digits(float(d.deviation_error[k]))}"
        row += [_with_error(float(d.value[k]), float(d.error[k])), deviation, _signed(float(d.pull[k]), ".1f")]
    return tuple(row)


def _with_error(value: float, error: float) -> str:
    if not np.isfinite(value):
        return "–"
    return f"{value:.4g} ± {_digits(error)}".replace("-", "−")


def _provenance_section(comparison: Comparison) -> Section:
    rows: list[tuple[str, str]] = list(comparison.provenance.items())
    rows += [("left out", text) for text in comparison.left_out]
    rows += [
        (
            f"limit on {by_name(x.observable).title}",
            f"{x.value:g} {by_name(x.observable).deviation_unit}, {_range(x.low, x.high)}",
        )
        for x in comparison.limits
    ]
    return Section("Provenance", tables=(Table(("", ""), tuple(rows)),), anchor="provenance")


def _range(low: float, high: float) -> str:
    if np.isfinite(high):
        return f"{low / 1000:g} to {high / 1000:g} GeV"
    return f"from {low / 1000:g} GeV"
