"""Make the reference tunes that ship, one per geometry: ``NAME.tune.h5`` beside this script.

    python tuning/tunes/make.py [DATA] [--only NAME ...] [--rows even] [--recipe R] [-o DIRECTORY]

Without DATA the hits that ship with the geometries are tuned to: few showers, one eta slice of the accordion. DATA
holds a directory per geometry with the full samples that those were cut from. The recipe is that of geometry.yaml, else
the default one. Every tune carries its validation; nothing is written for a geometry whose tune would be larger than
2 MB per particle and slice. Paths of the machine it was made on do not get into a tune.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from fastparam.files import refuse_existing
from fastparam.geometry.detector import Geometry
from fastparam.geometry.load import load_geometry
from fastparam.geometry.shipped import shipped_geometries
from fastparam.tunes.file import save_tune
from fastparam.workflow.tune import run

HERE = Path(__file__).parent

#: Largest file per particle and slice in bytes, and of all tunes together.
LARGEST = 2_000_000
ALL = 20_000_000

#: Full samples by geometry; three eta slices of the accordion.
FULL = {
    "lar_accordion": ["photons_eta020", "photons_eta040", "photons_eta060", "electrons_eta020", "pions_eta020"],
    "siw": ["photons", "electrons"],
    "pbwo4": ["photons", "electrons"],
    "fehcal": ["pions"],
}


def with_files(geometry: Geometry, files: list[str]) -> Geometry:
    """Return a geometry with other files in its one sample entry."""
    sample = geometry.config.samples[0].model_copy(update={"files": files})
    return replace(geometry, config=geometry.config.model_copy(update={"samples": [sample]}))


def make(name: str, data: Path | None, directory: Path, *, rows: str, recipe: str, force: bool) -> int:
    """Tune one geometry, write the tune, and return its size in bytes; 0 if it is too large."""
    target = directory / f"{name}.tune.h5"
    refuse_existing(target, force=force)
    shipped = load_geometry(name)
    geometry = shipped
    if data is not None:
        geometry = with_files(shipped, [str((data / name / f"{kind}.root").resolve()) for kind in FULL[name]])
    result = run(geometry, recipe=recipe, rows=rows, progress=lambda what, _: None)
    tune = result.generator.tune
    save_tune(target, replace(tune, geometry=with_files(tune.geometry, shipped.config.samples[0].files)))
    size = target.stat().st_size
    each = size / len(tune.slices)
    print(f"{target.name}: recipe {tune.recipe.name}, {len(tune.slices)} slices, {size / 1e6:.2f} MB", flush=True)
    if each > LARGEST:
        target.unlink()
        print(f"{target.name}: {each / 1e6:.2f} MB per particle and slice, at most {LARGEST / 1e6:g}; removed")
        return 0
    return size


def main() -> int:
    """Make the tunes and return 1 if one is too large, or all together are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--only", action="append", choices=sorted(shipped_geometries()))
    parser.add_argument("--rows", choices=["all", "even", "odd"], default="all")
    parser.add_argument("--recipe", default="")
    parser.add_argument("-o", "--output", type=Path, default=HERE)
    parser.add_argument("--force", action="store_true")
    options = parser.parse_args()
    sizes = [
        make(name, options.data, options.output, rows=options.rows, recipe=options.recipe, force=options.force)
        for name in options.only or sorted(shipped_geometries())
    ]
    total = sum(sizes)
    print(f"{total / 1e6:.2f} MB in {len(sizes)} tunes, at most {ALL / 1e6:g}")
    return int(total > ALL or 0 in sizes)


if __name__ == "__main__":
    sys.exit(main())
