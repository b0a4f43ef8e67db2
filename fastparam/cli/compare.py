"""`fastparam compare`: generators or files of showers against full simulation."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fastparam.comparison.comparison import Comparison


def compare(
    reference: Annotated[str, typer.Argument(metavar="REFERENCE", help="File of full-simulation showers.")],
    candidates: Annotated[
        list[str], typer.Argument(metavar="CANDIDATE...", help="Tunes, generators or files of showers.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Directory for report.html and report.json.")
    ],
    geometry: Annotated[
        str | None,
        typer.Option(metavar="GEOMETRY.yaml", help="File or shipped name; default: that of the first tune."),
    ] = None,
    rows: Annotated[str, typer.Option(help="Rows of REFERENCE to use: all, even or odd.")] = "all",
    seed: Annotated[int, typer.Option(help="Of sampled showers and bootstrap.")] = 1,
    training: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Showers that candidates were tuned on, to find near-duplicates of them; default: the other rows.",
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out classifiers, FPD, KPD and timing, which take longest.")
    ] = False,
    fail_above: Annotated[
        list[str] | None,
        typer.Option(metavar="METRIC=VALUE", help="Exit with code 3 if a candidate is above; may be repeated."),
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing report.")] = False,
) -> None:
    """Compare generators or files of showers with full simulation, in one report."""
    from fastparam.files import refuse_existing

    refuse_existing(output, force=force)

    from fastparam.comparison.gate import crossed, parse_gates, require_known

    gates = parse_gates(fail_above or ())

    import json
    from typing import cast

    from rich.console import Console
    from rich.progress import Progress, TaskID

    from fastparam.comparison.compare import Rows
    from fastparam.comparison.compare import compare as run
    from fastparam.comparison.report import write_directory

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        tasks: dict[str, TaskID] = {}

        def progress(what: str, fraction: float) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=1.0)
            bar.update(tasks[what], completed=fraction)

        found = run(
            reference,
            *candidates,
            geometry=geometry,
            rows=cast(Rows, rows),
            seed=seed,
            training=training,
            quick=quick,
            progress=progress,
        )
        require_known(found, gates)
        progress("write report", 0.0)
        write_directory(output, found, force=force)
    failures = crossed(found, gates)
    if json_output:
        print(json.dumps(found.to_json(), allow_nan=False))
    else:
        _print(found)
        print(f"report: {output / 'report.html'}")
    if failures:
        for line in failures:
            print(f"fail-above: {line}", file=sys.stderr)
        raise typer.Exit(3)


def _print(found: Comparison) -> None:
    """Print what is judged: limits, then the metrics of all energies together."""
    from fastparam.comparison.metric import HEADLINES

    for v in found.verdicts:
        if v.passed is not None and v.largest_deviation is not None:
            worst = v.largest_deviation
            place = ", ".join(part for part in (found.points[worst.point].label, worst.entry) if part)
            print(
                f"{v.candidate}  {v.group}  {v.observable}: {'pass' if v.passed else 'FAIL'}"
                f"  {worst.deviation:+.3g} +- {worst.deviation_error:.2g} (pull {worst.pull:+.1f}, {place})"
            )
    for m in found.metrics:
        if m.name in HEADLINES:
            floor = f" (floor {m.floor:.4g})" if m.floor == m.floor else ""
            print(f"{m.candidate}  {m.group}  {m.name}: {m.value:.4g} +- {m.error:.2g}{floor}")
