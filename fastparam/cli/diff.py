"""`fastparam diff`: what moved between two tunes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

#: Parameters that moved by fewer standard deviations than this are listed in --json only.
_NOTABLE = 2.0


def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="A tune.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Another tune of the same detector.")],
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Say what moved between two tunes, in standard deviations."""
    from fastparam.particles import particle_name
    from fastparam.tunes.diff import diff as compare_tunes
    from fastparam.tunes.file import load_tune

    first, second = load_tune(old), load_tune(new)
    found = compare_tunes(first, second)
    same_detector = first.geometry.digest == second.geometry.digest
    if json_output:
        import json
        import math
        from dataclasses import asdict

        rows = [asdict(d) | {"p_value": None if math.isnan(d.p_value) else d.p_value} for d in found]
        print(json.dumps({"same_detector": same_detector, "components": rows}, indent=2))
        return
    if not same_detector:
        print("the two tunes belong to different detectors: parameters are compared all the same")
    for d in found:
        where = particle_name(d.pdg) + ("" if d.eta is None else f", eta {d.eta[0]:g} to {d.eta[1]:g}")
        if d.note:
            print(f"{where}: {d.component}: {d.note}")
            continue
        print(f"{where}: {d.component}: chi2/ndf {d.chi2:.1f}/{d.ndf}, p {d.p_value:.2g}")
        for name, a, b, pull in zip(d.names, d.old, d.new, d.pull, strict=True):
            if abs(pull) > _NOTABLE:
                print(f"    {name}: {a:.5g} -> {b:.5g} ({pull:+.1f} sigma)")
