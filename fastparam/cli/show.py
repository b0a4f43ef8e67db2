"""`fastparam show`: what is in a tune."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

#: Components with more parameters than this are shown in --json and the report only.
_LONG = 40


def show(
    tune: Annotated[Path, typer.Argument(metavar="TUNE", help="A file written by fastparam tune.")],
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Print a tune's parameters with errors, how good its fits are, and how it validated."""
    from fastparam.tunes.file import load_tune
    from fastparam.workflow.show import describe

    facts = describe(load_tune(tune))
    if json_output:
        import json

        print(json.dumps(facts, indent=2))
        return
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 120
    _print(facts, console)


def _print(facts: dict[str, Any], console: Console) -> None:
    from rich.table import Table

    material = facts["material"]
    console.print(
        f"{facts['name']}: recipe {facts['recipe']}, geometry {facts['geometry']} ({facts['geometry_digest']})"
    )
    console.print(
        f"X0 {material['radiation_length_mm']:.4g} mm, R_M {material['moliere_radius_mm']:.4g} mm,"
        f" Ec {material['critical_energy_mev']:.4g} MeV; depths in X0, radii in R_M, y = E/Ec"
    )
    console.print(", ".join(f"{k}: {v}" for k, v in facts["provenance"].items()), soft_wrap=True)
    for reason in facts["excluded"]:
        console.print(f"left out: {reason}", soft_wrap=True)
    for part in facts["slices"]:
        low, high = part["energy_mev"]
        console.print(
            f"\n{part['title']}: {part['showers']} training showers, {low / 1000:.4g} to {high / 1000:.4g} GeV"
        )
        for name, component in part["components"].items():
            flags = [] if component["valid"] else ["NOT VALID"]
            flags += [] if component["accurate"] else ["covariance not accurate"]
            flags += [f"at limit: {', '.join(component['at_limit'])}"] if component["at_limit"] else []
            p = component["p_value"]
            quality = [] if p is None else [f"chi2/ndf {component['chi2']:.4g}/{component['ndf']}, {_probability(p)}"]
            if not component["parameters"]:
                quality.append("no parameters: nothing to tune here")
            console.print("  " + "  ".join([name, *quality, *(["; ".join(flags)] if flags else [])]))
            for note in component["notes"]:
                console.print(f"    {note}", soft_wrap=True)
            if len(component["parameters"]) > _LONG:
                console.print(f"    {len(component['parameters'])} parameters; see --json")
            elif component["parameters"]:
                _print_parameters(component, console)
        for name, tables in part["tables"].items():
            console.print(f"  tables of {name}  {tables['bytes'] / 1e6:.2f} MB")
            for note in tables["notes"]:
                console.print(f"    {note}", soft_wrap=True)
    if facts["corrections"]:
        from fastparam.workflow.report import correction_cells

        console.print("\nwhat each correction buys, on the mean of single showers (see the report)")
        headings = ("where", "with", "profile", "layers", "R50", "R90", "tail", "deposits across", "third moment")
        table = Table(*headings, box=None, padding=(0, 2))
        for row in facts["corrections"]:
            table.add_row(*correction_cells(row))
        console.print(table)
    if facts["validation"]:
        console.print("\nvalidation on showers that were held back")
        table = Table("where", "observable", "worst deviation", "pull", "limit", "verdict", box=None, padding=(0, 2))
        for row in facts["validation"]:
            table.add_row(*(str(row[k]) for k in ("group", "observable", "deviation", "pull", "limit", "verdict")))
        console.print(table)
    else:
        console.print("\nnot validated: no showers were left to judge")


def _print_parameters(component: dict[str, Any], console: Console) -> None:
    """Print values with errors, and what is so correlated that one error says little."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 2), show_header=False)
    for parameter, (value, error) in component["parameters"].items():
        table.add_row("  ", parameter, f"{value:.5g}", "+-", "unknown" if error is None else f"{error:.2g}")
    console.print(table)
    for a, b, rho in component["strong_correlations"]:
        console.print(f"    correlation of {a} and {b}: {rho:+.3f}")


def _probability(p: float) -> str:
    """Return a p-value in words; that of a law that fails beyond all doubt is no number worth printing."""
    return f"p {p:.2g}" if p >= 1e-10 else "p below 1e-10: the law does not describe the data"
