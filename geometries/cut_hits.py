"""Cut the hits that ship with the geometries from the full simulation samples.

    python geometries/cut_hits.py SOURCE [NAME ...]

SOURCE holds the samples in one directory per detector, named as the geometries here. The cut keeps layout, branch
types and units. Showers at an even row of a source file land at even rows, those at odd rows at odd rows, so that
training (even rows) and validation (odd rows) never mix; rows 2k and 2k+1 have the same energy, and the energies are
spread evenly over the file. Low energies have more showers: they fluctuate more and take less space. No random numbers
are involved.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot

HERE = Path(__file__).parent

#: Showers per nominal momentum 1, 2, 4, 8, 16, 32, 65 GeV/c; even numbers, half of them for training.
SHOWERS = {
    "lar_accordion": (48, 44, 34, 28, 22, 16, 12),
    "siw": (108, 96, 84, 72, 54, 38, 26),
    "pbwo4": (44, 40, 32, 26, 20, 14, 10),
}

#: File made -> file it is cut from.
FILES = {
    "lar_accordion": {"photons.root": "photons_eta020.root", "electrons.root": "electrons_eta020.root"},
    "siw": {"photons.root": "photons.root", "electrons.root": "electrons.root"},
    "pbwo4": {"photons.root": "photons.root", "electrons.root": "electrons.root"},
}


def chosen_rows(energy: np.ndarray, counts: tuple[int, ...]) -> np.ndarray:
    """Return the source rows in the order of the new file."""
    pairs = []
    points = np.unique(np.round(energy, 3))
    for number, (point, count) in enumerate(zip(points, counts, strict=True)):
        rows = np.flatnonzero(np.round(energy, 3) == point)
        even, odd = rows[rows % 2 == 0], rows[rows % 2 == 1]
        n = count // 2
        if min(len(even), len(odd)) < n:
            raise SystemExit(f"energy {point}: {len(even)} even and {len(odd)} odd rows, {n} of each wanted")
        pairs += [((k + 0.5) / n, number, even[k], odd[k]) for k in range(n)]
    return np.array([row for _, _, even, odd in sorted(pairs) for row in (even, odd)])


def cut_jagged(source: Path, target: Path, tree: str, hits: str, energy: str, counts: tuple[int, ...]) -> None:
    """Cut a tree with a row per shower; `hits` is the prefix of the jagged branches."""
    with uproot.open(source) as file:
        data = file[tree].arrays()
        names = file[tree].keys()
    rows = chosen_rows(data[energy].to_numpy(), counts)
    jagged = [name for name in names if data[name].ndim == 2]
    counter = f"n{hits}"
    columns: dict[str, Any] = {name: data[name][rows] for name in names if name not in jagged and name != counter}
    columns[hits] = ak.zip({name.removeprefix(f"{hits}_"): data[name][rows] for name in jagged})
    with uproot.recreate(target, compression=uproot.LZMA(9)) as file:
        # mktree: assignment would write an RNTuple in recent versions of uproot
        file.mktree(tree, {name: column.type.content for name, column in columns.items()})
        file[tree].extend(columns)


def cut_joined(source: Path, target: Path, counts: tuple[int, ...]) -> None:
    """Cut two flat trees joined by `event`, which is numbered anew."""
    with uproot.open(source) as file:
        primaries, hits = file["primaries"].arrays(library="np"), file["hits"].arrays(library="np")
    rows = chosen_rows(primaries["ekin"], counts)
    first = np.searchsorted(hits["event"], primaries["event"][rows], side="left")
    last = np.searchsorted(hits["event"], primaries["event"][rows], side="right")
    picked = np.concatenate([np.arange(a, b) for a, b in zip(first, last, strict=True)])
    primaries = {name: column[rows] for name, column in primaries.items()}
    hits = {name: column[picked] for name, column in hits.items()}
    primaries["event"] = np.arange(len(rows), dtype=np.int32)
    hits["event"] = np.repeat(primaries["event"], last - first)
    with uproot.recreate(target, compression=uproot.LZMA(9)) as file:
        for tree, columns in (("primaries", primaries), ("hits", hits)):
            file.mktree(tree, {name: column.dtype for name, column in columns.items()})
            file[tree].extend(columns)


def main(source: Path, names: list[str]) -> None:
    """Cut the files of the named detectors, by default of all."""
    for name in names or FILES:
        for made, origin in FILES[name].items():
            target = HERE / name / "hits" / made
            target.parent.mkdir(exist_ok=True)
            if name == "pbwo4":
                cut_joined(source / name / origin, target, SHOWERS[name])
            elif name == "siw":
                cut_jagged(source / name / origin, target, "events", "SimHit", "MC_E", SHOWERS[name])
            else:
                cut_jagged(source / name / origin, target, "showers", "hit", "energy", SHOWERS[name])
            print(f"{target.relative_to(HERE)}: {target.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2:])
