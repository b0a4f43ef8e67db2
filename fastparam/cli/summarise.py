"""`fastparam summarise`: files -> summary, in parts if wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def summarise(
    geometry: Annotated[str, typer.Argument(metavar="GEOMETRY.yaml", help="A file, or a shipped geometry's name.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Summary file (HDF5).")],
    part: Annotated[str, typer.Option(help="i/n: only the i-th of n contiguous ranges of rows.")] = "",
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing output.")] = False,
) -> None:
    """Reduce the hits of the samples to what tunes need; the parts can be made anywhere and merged."""
    from fastparam.cli.options import parse_part
    from fastparam.cli.progress import progress_bar
    from fastparam.files import refuse_existing

    wanted = parse_part(part) if part else None
    refuse_existing(output, force=force)

    from fastparam.geometry.load import load_geometry
    from fastparam.hits.layout import sample_files
    from fastparam.summary import save_summary, summarise_sample
    from fastparam.tunes.recipe import DEFAULT_RECIPE, load_recipe

    loaded = load_geometry(geometry)
    recipe = load_recipe(loaded.config.recipe or DEFAULT_RECIPE, loaded.path.parent)
    with progress_bar() as bar:
        summary = summarise_sample(
            loaded, part=wanted, keep_hits=recipe.needs_hits, progress=lambda f: bar("read and summarise", f)
        )
        save_summary(output, summary, loaded)
    raw = sum(file.path.stat().st_size for file in sample_files(loaded))
    facts: dict[str, Any] = {
        "output": str(output),
        "showers": len(summary),
        "hits": int(summary.n_hits.sum()),
        "bytes": output.stat().st_size,
        "bytes_of_input": raw,
    }
    if json_output:
        import json

        print(json.dumps(facts, indent=2))
        return
    share = "" if wanted else f", {100 * facts['bytes'] / raw:.0f} % of the input"
    print(f"{output}: {facts['showers']} showers, {facts['hits']} hits, {facts['bytes'] / 1e6:.2f} MB{share}")
