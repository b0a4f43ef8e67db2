"""`fastparam check`: what was understood of a geometry.yaml and its samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console


def check(
    geometry: Annotated[
        str, typer.Argument(metavar="GEOMETRY.yaml", help="A file, or the name of a shipped geometry.")
    ],
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Explain what was understood of a geometry and its samples."""
    from dataclasses import asdict

    from fastparam.geometry.describe import describe
    from fastparam.geometry.load import load_geometry

    loaded = load_geometry(geometry)
    facts = describe(loaded)
    facts["found"], facts["phase"] = None, None
    if loaded.config.samples:
        from fastparam.hits import inspect
        from fastparam.workflow.phase_check import look_for_modulation

        facts["found"] = asdict(inspect(loaded))
        if not facts["found"]["problems"]:
            facts["phase"] = look_for_modulation(loaded)
    if json_output:
        import json

        print(json.dumps(facts, indent=2))
    else:
        from rich.console import Console

        console = Console(highlight=False, markup=False)
        if not console.is_terminal:
            console.width = 120
        _print(facts, console)
    problems = facts["found"]["problems"] if facts["found"] else []
    if problems:
        from fastparam.errors import InputError

        raise InputError("\n  ".join([f"{facts['path']}: the samples have {len(problems)} problem(s)", *problems]))


def _print(facts: dict[str, Any], console: Console) -> None:
    position = "radius" if facts["frame"] == "barrel" else "z"
    layers = "1 active layer" if facts["n_layers"] == 1 else f"{facts['n_layers']} active layers"
    console.print(f"{facts['name']}: {facts['frame']}, {layers} ({facts['path']})\n", soft_wrap=True)
    console.print(f"Layers: {position} and thickness d; depth at the end of each, at normal incidence")
    console.print(_layer_table(facts["layers"]))
    console.print("\nMaterials")
    console.print(_material_table({**facts["materials"], "active layers as one medium": facts["medium"]}))
    for sample in facts["samples"]:
        tree = sample["tree"] if isinstance(sample["tree"], str) else " + ".join(sample["tree"].values())
        units = f"{sample['units']['energy']}, {sample['units']['length']}"
        console.print(f"\nSamples: {', '.join(sample['files'])} (tree {tree}; {units})", soft_wrap=True)
        console.print(
            "  " + ", ".join(f"{role}: {branch}" for role, branch in sample["branches"].items()), soft_wrap=True
        )
    if facts["samples"]:
        console.print(f"  energies of particles are read as {facts['energy_is']}")
    if facts["found"] is not None:
        console.print(f"\nFound {facts['found']['rows']} showers")
        if facts["found"]["points"]:
            console.print(_point_table(facts["found"]["points"]))
    if facts["phase"] is not None:
        console.print(f"\nModulation of the response in phi: {facts['phase']['text']}.", soft_wrap=True)


def _layer_table(layers: list[dict[str, Any]]) -> Any:
    table = _table("layer", "id", "from / mm", "to / mm", "d / mm", "d / X0", "depth / X0", "made of")
    for row in layers:
        ids = row["ids"]
        table.add_row(
            row["name"],
            "" if ids is None else str(ids[0]) if ids[0] == ids[1] else f"{ids[0]}-{ids[1]}",
            f"{row['from']:g}",
            f"{row['to']:g}",
            f"{row['to'] - row['from']:g}",
            f"{row['x0']:.3g}",
            f"{row['x0_to']:.4g}",
            row["made_of"],
        )
    return table


def _material_table(materials: dict[str, dict[str, float]]) -> Any:
    table = _table("", "X0 / mm", "R_M / mm", "Ec / MeV", "Z", "A", "g/cm3")
    for name, numbers in materials.items():
        table.add_row(name, *(f"{numbers[key]:.4g}" for key in ("X0", "R_M", "Ec", "Z", "A", "density")))
    return table


def _point_table(points: list[Any]) -> Any:
    from fastparam.particles import particle_name

    barrel = any(point[4] is not None for point in points)
    table = _table("particle", "showers", "kinetic energy / MeV", *(("eta",) if barrel else ()))
    for pdg, n, low, high, eta_low, eta_high in points:
        energy = f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"
        table.add_row(particle_name(pdg), str(n), energy, *((f"{eta_low:.3g} to {eta_high:.3g}",) if barrel else ()))
    return table


def _table(*columns: str) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        words = number == 0 or column == "made of"
        table.add_column(column, justify="left" if words else "right", overflow="fold")
    return table
