"""`fastparam export`: a tune as code for another program."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    tune: Annotated[Path, typer.Argument(metavar="TUNE", help="A file written by fastparam tune.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Directory to make.")],
    to: Annotated[str, typer.Option("--to", help="The program: geant4.")],
    closest: Annotated[
        bool,
        typer.Option("--closest", help="Write the nearest constants for Geant4's homogeneous GFlash, and their loss."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier export.")] = False,
) -> None:
    """Write a tune as C++ for Geant4: fast-simulation model, GFlash parametrisation, CMake and DD4hep files."""
    from fastparam.errors import UsageError, near
    from fastparam.files import refuse_existing

    if to != "geant4":
        raise UsageError(f"--to {to}: unknown program{near(to, ['geant4'])}; expected geant4")
    refuse_existing(output, force=force)

    from fastparam.export import export_geant4
    from fastparam.tunes.file import load_tune

    written = export_geant4(load_tune(tune), output, closest=closest, force=force)
    print(f"{output}: namespace {written.namespace}, {len(written.files)} files; README.md says what to do with them")
    if written.stock is None:
        hint = "; --closest writes the nearest" if written.closest_possible else ""
        print(f"left out: constants for Geant4's own homogeneous GFlash ({written.left_out}){hint}")
    elif not written.stock.reasons:
        print("HomoTuning: constants for Geant4's own homogeneous GFlash, the laws of the tune")
    else:
        print(
            f"HomoTuning: the nearest constants for Geant4's own homogeneous GFlash; {'; '.join(written.stock.reasons)}"
        )
        for name, loss in written.stock.losses.items():
            print(f"  largest relative loss in {name}: {loss:.2g}")
