"""Tune the shipped geometries on the full samples and write docs/results.md.

    python -m tests.fidelity.results DATA [-o docs/results.md]

DATA holds a directory of ROOT files per geometry (``DATA/siw/photons.root`` ...), in the layouts of the shipped
geometries. Even rows are tuned on, odd rows judge; nothing is chosen by looking at odd rows. The reduced version in the
suite is `tests/workflow/test_workflow_fidelity.py`, on the hits that ship with the geometries.
"""

from __future__ import annotations

import argparse
import platform
import time
from pathlib import Path

import numpy as np

from fastparam.comparison.comparison import Comparison
from fastparam.comparison.verdict import Verdict
from fastparam.workflow.tune import TuneResult, run
from tests.full_samples import with_files

FILES = {
    "lar_accordion": [
        "photons_eta020.root",
        "photons_eta040.root",
        "photons_eta060.root",
        "electrons_eta020.root",
    ],
    "siw": ["photons.root", "electrons.root"],
    "pbwo4": ["photons.root", "electrons.root"],
}

JUDGED = ("visible_mean", "visible_width", "leakage_mean", "leakage_width", "longitudinal", "r50", "r90")
TITLES = {
    "visible_mean": "mean / %",
    "visible_width": "width / %",
    "leakage_mean": "leakage mean / %",
    "leakage_width": "leakage width / %",
    "longitudinal": "profile / % of max.",
    "r50": "R50 / %",
    "r90": "R90 / %",
}


def number(value: float, error: float, pull: float) -> str:
    """Deviation, its standard error, and the pull."""
    return f"{value:+.2f} ± {error:.2f} ({pull:+.1f})"


def energy_rows(comparison: Comparison, group: str, limits: dict[tuple[str, float], str]) -> list[str]:
    """One line per energy: every judged quantity; of the profile the bin of largest deviation."""
    names = [n for n in JUDGED if any(m.observable == n for m in comparison.measurements)]
    candidate = comparison.candidates[0].name
    lines = [
        "| E / GeV | showers | " + " | ".join(TITLES[n] for n in names) + " | gamma kernel / % of max. |",
        "|---" * (len(names) + 3) + "|",
    ]
    for i, point in enumerate(comparison.points):
        if point.group != group:
            continue
        cells = [f"{point.energy / 1000:.4g}", f"{comparison.n_reference[i]}"]
        for name in names:
            m = comparison.measurement(name, i)
            if m is None:
                cells.append("–")
                continue
            d = m.candidates[candidate]
            k = int(np.nanargmax(np.abs(np.where(np.isfinite(d.deviation), d.deviation, 0.0))))
            cells.append(number(float(d.deviation[k]), float(d.deviation_error[k]), float(d.pull[k])))
        cells.append(limits.get((group, round(point.energy)), "–"))
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def verdict_row(comparison: Comparison, v: Verdict) -> str:
    worst = v.largest_deviation
    assert worst is not None
    where = comparison.points[worst.point].label + (f", {worst.entry}" if worst.entry else "")
    passed = "yes" if v.passed else "**no**"
    limit = ", ".join(f"{x:g}" for x in v.limits)
    return (
        f"| {v.group} | {v.observable} | {limit} | {v.n} | {v.pull_limit:.2f} |"
        f" {number(worst.deviation, worst.deviation_error, worst.pull)} at {where} | {v.undecided} | {passed} |"
    )


def section(name: str, result: TuneResult, reports: Path | None) -> list[str]:
    comparison = result.comparison
    assert comparison is not None
    tune = result.generator.tune
    if reports is not None:
        result.write_html(reports / f"{name}.report.html")
    kernel = {
        (
            row["particle"] + ("" if row["eta"] is None else f", eta {row['eta'][0]:g}–{row['eta'][1]:g}"),
            round(row["energy"]),
        ): f"{row['deviation']:+.1f} ± {row['error']:.1f}"
        for row in tune.validation["gamma_profile_limit"]
    }
    lines = [f"## {name}", ""]
    lines += [f"Showers: {tune.provenance['showers']}, hits: {tune.provenance['hits']}. "]
    failed = [f"{p.pdg} {p.eta}: {k} ({v})" for p in tune.slices for k, v in p.failed.items()]
    lines += [f"Components that failed: {'; '.join(failed) or 'none'}."]
    lines += [f"Left out: {'; '.join(tune.excluded) or 'nothing'}.", ""]
    lines += [
        "From 4 GeV, all energies of a particle and slice as one family:",
        "",
        "| particle | quantity | limit / % | numbers | pull limit | largest deviation | undecided | kept |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [verdict_row(comparison, v) for v in comparison.verdicts if v.passed is not None]
    for group in comparison.groups:
        lines += ["", f"### {name}: {group}", ""]
        lines += energy_rows(comparison, group, kernel)
    lines += [""]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/results.md"))
    parser.add_argument("--reports", type=Path, help="directory for the HTML reports")
    parser.add_argument("--only", nargs="*", default=list(FILES))
    options = parser.parse_args()
    body: list[str] = []
    timing = ["| detector | read and summarise / s | fit / s | validate / s |", "|---|---|---|---|"]
    for name in options.only:
        files = [options.data / name / f for f in FILES[name]]
        result = run(with_files(name, files), rows="even")
        body += section(name, result, options.reports)
        s = result.seconds
        timing.append(f"| {name} | {s['read and summarise']:.1f} | {s['fit']:.1f} | {s['validate']:.1f} |")
        print(name, s, flush=True)
    text = [
        "# Results of the recipe `gflash`",
        "",
        "Tuned on even rows of the full samples, judged on odd rows, without a number set by hand. Written by"
        f" `tests/fidelity/results.py` on {time.strftime('%Y-%m-%d', time.gmtime())}"
        f" (Python {platform.python_version()}, two cores).",
        "",
        "Every deviation is sampled minus full simulation, with its standard error (bootstrap over showers of "
        "the judging and the sampled showers; the training showers' own error of the same quantity added as "
        "an upper estimate, since a fit joins all energies) and its pull in brackets. Five showers are "
        "sampled per judged one. Widths are half the central 68 %. Of a profile the bin of largest deviation "
        "is shown, in % of the maximum of full simulation; bins are about 1 X0, whole merging cells or whole "
        "periods. `gamma kernel` is the largest deviation of the gamma profiles fitted to single showers from "
        "the same showers: no law and no sampling is in it. A family passes if every deviation beyond the "
        "limit has a pull below the 1 % family-wise limit; `undecided` counts numbers whose two standard "
        "errors exceed the limit.",
        "",
        *body,
        "## Time",
        "",
        "One run, warm caches; validation samples and compares five showers per judged one.",
        "",
        *timing,
        "",
    ]
    options.output.write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main()
