"""`fastparam merge`: parts of a sample -> one summary."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def merge(
    parts: Annotated[list[Path], typer.Argument(metavar="PART...", help="Summaries of parts of one sample.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Summary file (HDF5).")],
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing output.")] = False,
) -> None:
    """Join summaries of parts into the summary that one pass over everything gives, bit by bit."""
    from fastparam.files import refuse_existing

    refuse_existing(output, force=force)

    from fastparam.summary import load_summary, save_summary
    from fastparam.summary import merge as merge_summaries

    loaded = [load_summary(path) for path in parts]
    summary = merge_summaries([s for s, _ in loaded], [str(p) for p in parts])
    save_summary(output, summary, loaded[0][1])
    if json_output:
        import json

        facts = {"output": str(output), "showers": len(summary), "parts": len(parts), "bytes": output.stat().st_size}
        print(json.dumps(facts, indent=2))
        return
    print(f"{output}: {len(summary)} showers from {len(parts)} parts")
