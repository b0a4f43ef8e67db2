"""All generators in one report of `compare`: tuned on even rows, judged on odd rows, and the table of docs/results.md.

    python -m tests.fidelity.compare_generators DATA DETECTOR -o FOLDER [--repeat 5] [--write docs/results.md]

DATA holds the full samples, DETECTOR is lar_accordion or siw. FOLDER keeps summary and tunes (a second run does only
what is missing), the report and its JSON. With --write, what is between <!-- DETECTOR --> and <!-- end --> in a page is
replaced by the table.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from fastparam.comparison.compare import compare
from fastparam.comparison.findings import worst_of
from fastparam.comparison.report import write_directory
from fastparam.tunes import load_recipe
from fastparam.tunes.file import save_tune
from fastparam.tunes.fitting import fit_tune
from tests.fidelity.generators import NETWORK, SAMPLES, showers_of

RECIPES = ("hybrid", "mosaic", "voxel", "library", "gflash", "fastcalosim")

#: Columns of the table: metric and heading.
COLUMNS = {
    "separation": "S",
    "auc_high": "AUC features",
    "auc_low": "AUC voxels",
    "challenge_separation": "S challenge",
    "fpd": "FPD",
    "duplicates_training": "repeats training",
    "ms_batch_100": "ms per shower",
}

#: The file of photons of each detector that judges; of lar_accordion that of the first eta slice.
_JUDGING = {"lar_accordion": "photons_eta020.root", "siw": "photons.root"}


def tunes(detector: str, data: Path, folder: Path) -> dict[str, Path]:
    """Return a tune of even rows per recipe, fitted if it is not there yet."""
    sample = next(s for s in SAMPLES if s.detector == detector and s.pdg == 22)
    found = {}
    for recipe in RECIPES:
        path = folder / f"{detector}_{recipe}.tune.h5"
        if not path.exists():
            geometry, showers = showers_of(sample, data, folder)
            start = time.perf_counter()
            training = showers.take(showers.row % 2 == 0)
            slices = None if sample.eta is None else [sample.eta]
            save_tune(path, fit_tune(geometry, training, load_recipe(recipe), slices=slices, quiet=True))
            print(f"{recipe}: fitted in {time.perf_counter() - start:.0f} s", flush=True)
        found[recipe] = path
    return found


def line(name: str, document: dict[str, Any], worst: str) -> str:
    """Return a row of the table."""
    own = {m["name"]: m for m in document["metrics"] if m["candidate"] == name}
    judged = [v for v in document["verdicts"] if v["candidate"] == name and v["passed"] is not None]
    cells = [f"`{name}`", f"{sum(v['passed'] for v in judged)} of {len(judged)}"]
    for key in COLUMNS:
        m = own.get(key)
        if m is None:
            cells.append("-")
        elif key in ("separation", "challenge_separation", "duplicates_training"):
            cells.append(f"{m['value']:.4f}" + (f" ± {m['error']:.4f}" if key == "separation" else ""))
        elif key == "ms_batch_100":
            cells.append(f"{m['value']:.2g}")
        else:
            cells.append(f"{m['value']:.3f} ± {m['error']:.3f}")
    return "| " + " | ".join([*cells, worst]) + " |"


def floor_line(document: dict[str, Any], candidate: str) -> str:
    """Return the row of full simulation against itself."""
    cells = ["full simulation against itself", "-"]
    own = {m["name"]: m for m in document["metrics"] if m["candidate"] == candidate}
    for key in COLUMNS:
        m = own.get(key)
        if key == "separation":
            cells.append("0")
        elif m is None or m["floor"] is None or key == "ms_batch_100":
            cells.append("-")
        elif key in ("challenge_separation", "duplicates_training"):
            cells.append(f"{m['floor']:.4f}")
        else:
            cells.append(f"{m['floor']:.3f} ± {m['floor_error']:.3f}")
    return "| " + " | ".join([*cells, "-"]) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("detector", choices=sorted(_JUDGING))
    parser.add_argument("-o", "--folder", type=Path, required=True)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    judging = options.data / options.detector / _JUDGING[options.detector]
    candidates: dict[str, Any] = dict(tunes(options.detector, options.data, options.folder))
    candidates["replay"] = f"replay:{judging}?geometry={options.detector}&rows=even"
    candidates["stock GFlash"] = f"gflash:{options.detector}"
    if options.detector == "lar_accordion":
        candidates["GAN"] = NETWORK
    start = time.perf_counter()
    found = compare(
        judging, *candidates.values(), names=list(candidates), geometry=options.detector, rows="odd",
        repeat=options.repeat, quick=options.quick,
    )  # fmt: skip
    write_directory(options.folder / f"{options.detector}_report", found, force=True)
    document = json.loads(json.dumps(found.to_json()))
    print(f"compared in {time.perf_counter() - start:.0f} s\n")
    lines = ["| candidate | limits kept | " + " | ".join(COLUMNS.values()) + " | worst aspect (pull / limit) |"]
    lines += ["|" + "---|" * (len(COLUMNS) + 3), floor_line(document, next(iter(candidates)))]
    for name in candidates:
        worst = worst_of(found, name)[0]
        lines.append(line(name, document, f"{worst.title} ({worst.score:.1f})"))
    print("\n".join(lines))
    if options.write is not None:
        before, rest = options.write.read_text(encoding="utf-8").split(f"<!-- {options.detector} -->")
        after = rest.split("<!-- end -->", 1)[1]
        text = "\n".join([f"<!-- {options.detector} -->", "", *lines, "", "<!-- end -->"])
        options.write.write_text(before + text + after, encoding="utf-8")


if __name__ == "__main__":
    main()
