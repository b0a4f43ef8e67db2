"""`fastparam tune`: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from fastparam.workflow.tune import TuneResult


def tune(
    geometry: Annotated[
        str, typer.Argument(metavar="GEOMETRY.yaml", help="A file, the name of a shipped geometry, or a SUMMARY.h5.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Tune file; default NAME.tune.h5. Reports go beside it.")
    ] = None,
    recipe: Annotated[str, typer.Option(help="A shipped recipe or a file; default that of the geometry.")] = "",
    rows: Annotated[str, typer.Option(help="Rows to tune on: all, even or odd; the others judge.")] = "all",
    pdg: Annotated[list[int] | None, typer.Option(help="Particle to tune; may be repeated. Default all.")] = None,
    eta: Annotated[list[float] | None, typer.Option(help="Tune the slice that holds this eta; repeatable.")] = None,
    seed: Annotated[int, typer.Option(help="Of the showers sampled for validation.")] = 1,
    start_from: Annotated[
        str,
        typer.Option(
            metavar="TUNE", help="An earlier tune, a file or a shipped one: its laws are where the fits begin."
        ),
    ] = "",
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing outputs.")] = False,
) -> None:
    """Fit a tune to the samples, validate it on showers held back, write the tune and its report."""
    from fastparam.cli.options import parse_rows
    from fastparam.cli.progress import progress_bar
    from fastparam.errors import UsageError
    from fastparam.files import refuse_existing

    chosen_rows = parse_rows(rows)
    target = output or Path(f"{_name(geometry)}.tune.h5")
    if target.suffix not in (".h5", ".hdf5"):
        raise UsageError(f"--output {target}: a tune is an HDF5 file; expected a name ending in .tune.h5")
    stem = target.name.removesuffix(target.suffix).removesuffix(".tune")
    html, document = target.with_name(f"{stem}.report.html"), target.with_name(f"{stem}.report.json")
    refuse_existing(target, html, document, force=force)

    from fastparam.workflow.tune import run

    with progress_bar() as bar:
        result = run(
            geometry,
            recipe=recipe,
            rows=chosen_rows,
            pdg=pdg,
            eta=eta,
            seed=seed,
            start_from=start_from or None,
            progress=bar,
        )
        bar("write", 1.0)
        _write(result, target, html, document)
    if json_output:
        import json

        from fastparam.workflow.show import describe

        print(json.dumps(describe(result.generator.tune) | {"seconds": result.seconds}, indent=2))
        return
    from rich.console import Console

    _print(result, target, html, Console(highlight=False, markup=False, soft_wrap=True))


def _name(geometry: str) -> str:
    """Name of the geometry, from the file's `name` or from the summary's; read early so that outputs are known."""
    if Path(geometry).suffix in (".h5", ".hdf5"):
        from fastparam.summary.file import load_geometry_of

        return load_geometry_of(Path(geometry)).name
    from fastparam.geometry.load import load_geometry

    return load_geometry(geometry).name


def _write(result: TuneResult, target: Path, html: Path, document: Path) -> None:
    """Write all three files or none: each is complete before the first gets its name."""
    import json
    from contextlib import ExitStack

    from fastparam.comparison.page import render
    from fastparam.files import atomic_output
    from fastparam.tunes.file import save_tune

    with ExitStack() as stack:
        paths = [stack.enter_context(atomic_output(p)) for p in (document, html, target)]
        paths[0].write_text(json.dumps(result.generator.tune.validation, indent=1), encoding="utf-8")
        paths[1].write_text(render(result.page()), encoding="utf-8")
        save_tune(paths[2], result.generator.tune)


def _print(result: TuneResult, target: Path, html: Path, console: Console) -> None:
    from fastparam.workflow.report import slice_title

    tune_ = result.generator.tune
    for part in tune_.slices:
        fitted = [name for name in part.failed if name in part.components]
        missing = [name for name in part.failed if name not in part.components]
        bad = f"; NOT TRUSTED: {', '.join(fitted)}" if fitted else ""
        bad += f"; not fitted, too few showers or hits (see the report): {', '.join(missing)}" if missing else ""
        console.print(f"{slice_title(part)}: {part.n_showers} training showers, {len(part.components)} components{bad}")
    if result.comparison is None:
        console.print("validation: no showers were left to judge")
    else:
        judged = [v for v in result.comparison.verdicts if v.passed is not None]
        failed = result.comparison.failures()
        console.print(
            f"validation ({result.comparison.provenance['validation']}): {len(judged) - len(failed)} of {len(judged)}"
            " judged observables within their limits"
        )
        for verdict in failed:
            console.print(f"  outside: {verdict.group}: {verdict.observable}")
    console.print(", ".join(f"{step} {s:.1f} s" for step, s in result.seconds.items()))
    console.print(f"wrote {target} and {html}")
