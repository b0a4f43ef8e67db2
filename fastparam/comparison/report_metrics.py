"""Sections of a report that judge candidates as a whole: who is closest, where each fails, how fast; ranking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastparam.comparison.figures import distribution_figure, picture_figure, profile_figure, scalar_figure
from fastparam.comparison.findings import Finding, differs, worst_of
from fastparam.comparison.metric import HEADLINES
from fastparam.comparison.observables import by_name
from fastparam.comparison.page import Cell, Figure, Section, Table
from fastparam.comparison.ranking import CITATION, RANKED, place, standings, submissions

if TYPE_CHECKING:
    from fastparam.comparison.comparison import Comparison
    from fastparam.comparison.metric import Metric
    from fastparam.comparison.verdict import Number

__all__ = ["metric_sections", "modulation_sections", "picture_sections", "ranking_section", "summary_sections"]

_WORST = 5

#: Columns of the summary, left to right: name and short title. What else there is stands with the numbers.
_COLUMNS = {
    "separation": "S",
    "auc_high": "AUC features",
    "auc_low": "AUC voxels",
    "challenge_separation": "S challenge",
    "fpd": "FPD",
}
_REPEATS = {"duplicates": "own", "duplicates_training": "of training"}
_TIMES = ("ms_batch_1", "ms_batch_100", "ms_batch_10000")

_SUMMARY = (
    "S: separation averaged over all voxel features, statistical floor subtracted; 0 is full simulation, 1 is disjoint."
    " AUC: how well boosted trees tell showers apart by their features or voxels; 0.5 is not at all, and it grows with"
    " the number of showers. S challenge: the CaloChallenge's definition, floor included. FPD: distance of all features"
    " together. Repeats: near-duplicates, in % of the showers. Fails most in: the quantity of largest pull over its"
    " limit, and that ratio; above 1 a difference is seen. The first row is what full simulation scores against itself"
    " (two halves). ± is one standard deviation. KPD and Wasserstein distances are among the numbers."
)


def summary_sections(comparison: Comparison) -> list[Section]:
    """Return the summary table, and the worst five quantities of each candidate with their figures."""
    tables = tuple(_summary_table(comparison, group) for group in _groups(comparison))
    sections = [
        Section(
            "Which is closest, and how fast",
            text=_closest(comparison),
            tables=tables,
            sections=(Section("What the columns mean", text=_SUMMARY, folded=True),),
            anchor="summary",
        ),
    ]
    for number, c in enumerate(comparison.candidates):
        worst = worst_of(comparison, c.name, _WORST)
        figures = [f for finding in worst if (f := _figure(comparison, c.name, finding)) is not None]
        seen = differs(comparison, c.name)
        text = (
            "A difference from full simulation is seen."
            if seen
            else "No difference from full simulation is seen with these statistics: all numbers together, at 1 %."
            " A single kind of number can exceed its own limit by chance."
        )
        sections.append(
            Section(
                f"Where it fails: {c.name}",
                text=text,
                tables=(_worst_table(comparison, worst),),
                figures=tuple(figures),
                anchor=f"worst-{number}",
            )
        )
    return sections


def _groups(comparison: Comparison) -> list[str]:
    return list(dict.fromkeys(m.group for m in comparison.metrics if m.group)) or list(comparison.groups)


def _closest(comparison: Comparison) -> str:
    means = {}
    for c in comparison.candidates:
        own = [m.value for m in comparison.metrics if m.candidate == c.name and m.name == "separation"]
        if own:
            means[c.name] = float(np.mean(own))
    if not means:
        return ""
    best = min(means, key=lambda name: means[name])
    others = ", ".join(f"{n} {v:.4f}" for n, v in sorted(means.items(), key=lambda x: x[1])[1:])
    times = {m.candidate: m for m in comparison.metrics if m.name == "ms_batch_100"}
    words = f"Closest to full simulation: {best}, mean separation {means[best]:.4f}"
    words += f" ({others})." if others else "."
    if times:
        fastest = min(times.values(), key=lambda m: m.value)
        words += f" Fastest: {fastest.candidate}, {fastest.value:.3g} ms per shower at batch 100, placing included."
    return words.replace("-", "−") if "-" in words and "−" not in words and not any("-" in n for n in means) else words


def _summary_table(comparison: Comparison, group: str) -> Table:
    """Return a row per candidate, the closest first, below that of full simulation."""
    by_key = {(m.candidate, m.name): m for m in comparison.metrics if m.group in (group, "")}
    named = {name for _, name in by_key}
    names = [n for n in _COLUMNS if n in named]
    repeats = [n for n in _REPEATS if n in named]
    times = [n for n in _TIMES if n in named]
    best = {}
    for n in names:
        values = {c.name: by_key[c.name, n].value for c in comparison.candidates if (c.name, n) in by_key}
        if n.startswith("auc"):  # nearest to a half is best; of distances the lowest, which can be below 0
            values = {name: abs(value - 0.5) for name, value in values.items()}
        if len(set(values.values())) > 1:
            best[n] = min(values, key=lambda c: values[c])
    some = {n: next(m for key, m in by_key.items() if key[1] == n) for n in (*names, *repeats)}
    floor: list[Cell | str] = ["full simulation itself", "–"]
    floor += ["0" if n == "separation" else _pm(some[n].floor, some[n].floor_error) for n in names]
    floor += [" / ".join(_percent(some[n].floor) for n in repeats)] * bool(repeats) + ["–"] * bool(times) + ["–"]
    ranked: list[tuple[float, tuple[Cell | str, ...]]] = []
    for number, c in enumerate(comparison.candidates):
        judged = [v for v in comparison.verdicts if v.candidate == c.name and v.passed is not None]
        failed = sum(v.passed is False for v in judged)
        limits = Cell("no limits")
        if judged:
            limits = Cell(f"{len(judged) - failed} of {len(judged)}", "bad" if failed else "good")
        own = {n: by_key.get((c.name, n)) for n in (*names, *repeats, *times)}
        row: list[Cell | str] = [Cell(c.name, link=f"worst-{number}"), limits]
        for n in names:
            m = own[n]
            text = "–" if m is None else _pm(m.value, m.error)
            row.append(Cell(text, "good") if best.get(n) == c.name else text)
        if repeats:
            row.append(" / ".join("–" if (m := own[n]) is None else _percent(m.value) for n in repeats))
        if times:
            row.append(" / ".join("–" if (m := own[n]) is None else f"{m.value:.2g}" for n in times))
        worst = worst_of(comparison, c.name, 1)
        row.append(
            Cell(f"{worst[0].title} ({worst[0].score:.3g})", "warn" if worst[0].score > 1 else "") if worst else "–"
        )
        first = own.get("separation")
        ranked.append((np.inf if first is None else first.value, tuple(row)))
    columns = ["candidate", "limits kept", *(_COLUMNS[n] for n in names)]
    columns += [f"repeats, % {' / '.join(_REPEATS[n] for n in repeats)}"] * bool(repeats)
    columns += [f"ms per shower, batch {' / '.join(n.removeprefix('ms_batch_') for n in times)}"] * bool(times)
    notes = [m.note for m in by_key.values() if "small" in m.note or "of each sample" in m.note]
    rows = (tuple(floor), *(row for _, row in sorted(ranked, key=lambda r: r[0])))
    return Table((*columns, "fails most in"), rows, f"{group}" + (f": {notes[0]}" if notes else ""), cards=True)


def _percent(share: float) -> str:
    return f"{100.0 * share:.0f}" if share >= 0.1 else f"{100.0 * share:.2g}"


def _worst_table(comparison: Comparison, worst: Sequence[Finding]) -> Table:
    rows = []
    for f in worst:
        status = Cell("difference seen", "warn") if f.score > 1 else Cell("no difference seen")
        title: Cell | str = f.title
        if f.verdict is not None:
            number = f.verdict.largest_pull
            o = by_name(f.name)
            value = (
                "–" if number is None else f"{number.deviation:+.3g} ± {number.deviation_error:.2g} {o.deviation_unit}"
            )
            where = "–" if number is None else _where(comparison, number)
            title = Cell(f.title, link=_anchor(comparison, f))
        else:
            assert f.metric is not None
            value, where = _pm(f.metric.value, f.metric.error) + f" {f.metric.unit}", f.metric.note or f.metric.group
        rows.append(
            (status, f.aspect, title, value.replace("-", "−").strip(), f"{f.pull:.1f}", f"{f.score:.2f}", where)
        )
    return Table(
        ("", "aspect", "quantity", "deviation", "pull", "pull / limit", "at"),
        tuple(rows),
        f"The worst quantity of each of the {_WORST} worst aspects. Limit: what the largest of a family of numbers"
        " exceeds by chance in 1 % of cases.",
        cards=True,
    )


def _anchor(comparison: Comparison, f: Finding) -> str:
    assert f.verdict is not None
    number = f.verdict.largest_pull
    if number is None or by_name(f.name).kind != "profile":
        return f"particle-{comparison.groups.index(f.verdict.group)}"
    return f"point-{number.point}"


def _where(comparison: Comparison, number: Number) -> str:
    return ", ".join(part for part in (comparison.points[number.point].label, number.entry) if part)


def _figure(comparison: Comparison, candidate: str, f: Finding) -> Figure | None:
    if f.metric is not None:
        feature = f.name.removeprefix("separation_")
        for d in comparison.distributions:
            if d.candidate == candidate and d.group == f.metric.group and d.feature == feature:
                return distribution_figure(comparison, d)
        return None
    assert f.verdict is not None
    number = f.verdict.largest_pull
    if by_name(f.name).kind != "profile" or number is None:
        return scalar_figure(comparison, f.name, f.verdict.group, candidate)
    m = comparison.measurement(f.name, number.point)
    layer = ""
    if m is not None and m.axis is not None and any(m.axis.group):
        layer = next((g for k, g in enumerate(m.axis.group) if m.axis.place(k) == number.entry), "")
    return profile_figure(comparison, f.name, number.point, layer, candidate)


# --- showers


def picture_sections(comparison: Comparison) -> list[Section]:
    """Return pictures of the mean shower and of single ones, layer by layer, full simulation beside each candidate."""
    found = []
    for number, (group, pictures) in enumerate(comparison.pictures.items()):
        figures = tuple(picture_figure(pictures, kind, group, comparison.reference) for kind in ("mean", "single"))
        found.append(
            Section(
                f"Showers: {group}",
                text=f"Energy per area in the layers that hold most, {pictures.energy / 1000:.3g} GeV: left column full"
                " simulation, then each candidate. Rings are drawn equally wide; the number is the outermost radius in"
                " mm.",
                figures=figures,
                anchor=f"showers-{number}",
            )
        )
    return found


def modulation_sections(comparison: Comparison) -> list[Section]:
    """Return the curves of the response against phi modulo the pitch, where the detector has such a modulation."""
    figures = tuple(
        distribution_figure(comparison, d) for d in comparison.distributions if d.feature.startswith("modulation_")
    )
    if not figures:
        return []
    text = "Response against phi modulo the pitch, all energies joined, each divided by its mean."
    return [Section("Phi modulation", text=text, figures=figures, anchor="modulation")]


# --- tables


def metric_sections(comparison: Comparison) -> list[Section]:
    """Return every metric as a table, by family."""
    families = (
        ("Separation of features", "separation_"),
        ("Wasserstein-1 distances", "wasserstein_"),
        ("Separation in the challenge's definition", "challenge_separation_"),
        ("Phi modulation", "modulation_"),
    )
    parts = []
    overall = [m for m in comparison.metrics if m.name in HEADLINES or m.name.startswith("ms_batch")]
    short = ("All features together", "Phi modulation")
    for title, chosen in [(short[0], overall)] + [
        (title, [m for m in comparison.metrics if m.name.startswith(start)]) for title, start in families
    ]:
        if chosen:
            parts.append(Section(title, tables=(_metric_table(comparison, chosen),), folded=title not in short))
    if not parts:
        return []
    return [Section("Numbers: all energies together", sections=tuple(parts), anchor="metrics")]


def _metric_table(comparison: Comparison, chosen: Sequence[Metric]) -> Table:
    several = len({m.group for m in chosen if m.group}) > 1
    noted = any(m.note for m in chosen)
    keys = list(dict.fromkeys((m.name, m.title, m.group) for m in chosen))
    by_key = {(m.candidate, m.name, m.group): m for m in chosen}
    rows = []
    for name, title, group in keys:
        own = [by_key.get((c.name, name, group)) for c in comparison.candidates]
        first = next(m for m in own if m is not None)
        row = [title, *([group] if several else []), _pm(first.floor, first.floor_error), first.unit or "–"]
        for m in own:
            row += ["–", "–"] if m is None else [_pm(m.value, m.error), f"{m.pull:.1f}" if np.isfinite(m.pull) else "–"]
        rows.append(tuple(row + ([first.note or "–"] if noted else [])))
    columns = ["metric", *(["particle"] if several else []), "floor", "unit"]
    for c in comparison.candidates:
        columns += [c.name, "pull"]
    return Table(tuple(columns + (["remark"] if noted else [])), tuple(rows))


# --- ranking


def ranking_section(comparison: Comparison) -> list[Section]:
    """Return where candidates would stand among the CaloChallenge's submissions; nothing for other voxels."""
    sets = {
        key.removeprefix("data set of "): value
        for key, value in comparison.provenance.items()
        if key.startswith("data set of ")
    }
    found = []
    for group, data_set in sets.items():
        if not submissions(data_set):
            continue
        tables = []
        for metric, title in RANKED.items():
            values = _ranked_values(comparison, group, metric)
            if not values:
                continue
            rows = tuple(
                (Cell(name, "good" if own else ""), f"{value:.4g}", _place(data_set, metric, name, value, own))
                for name, value, own in standings(data_set, metric, values)
            )
            tables.append(Table(("who", "value", "place"), rows, title))
        found.append(
            Section(
                f"Among the submissions to the CaloChallenge, data set {data_set}",
                text=f"Published values: {CITATION}. They were measured against the challenge's evaluation file: places"
                " mean something only if the reference here is that file, whole. The AUCs here are those of boosted"
                " trees on a part of the showers, there of neural networks on all of them; times are those of this"
                " machine.",
                sections=tuple(Section(t.caption, tables=(Table(t.columns, t.rows),), folded=True) for t in tables),
                anchor="ranking",
            )
        )
    return found


def _ranked_values(comparison: Comparison, group: str, metric: str) -> dict[str, float]:
    names = {
        "separation_mean": "challenge_separation",
        "separation_E_tot": "challenge_separation_E_tot",
        "separation_voxel_energy": "challenge_separation_voxel_energy",
        "ms_cpu_1": "ms_batch_1",
        "ms_cpu_100": "ms_batch_100",
        "ms_cpu_10000": "ms_batch_10000",
    }
    wanted = names.get(metric, metric)
    return {
        m.candidate: m.value
        for m in comparison.metrics
        if m.name == wanted and m.group in (group, "") and np.isfinite(m.value)
    }


def _place(data_set: str, metric: str, name: str, value: float, own: bool) -> str:
    if not own:
        return "Geant4" if name.upper().startswith("GEANT4 (") else "–"
    rank, of = place(data_set, metric, value)
    return f"{rank} of {of}"


def _pm(value: float, error: float) -> str:
    if not np.isfinite(value):
        return "–"
    if not np.isfinite(error) or error <= 0:
        return f"{value:.3g}".replace("-", "−")
    digits = max(0, min(7, 1 - int(np.floor(np.log10(error)))))
    return f"{value:.{digits}f} ± {error:.{digits}f}".replace("-", "−")
