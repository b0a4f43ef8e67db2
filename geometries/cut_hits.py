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

#: Showers per nominal momentum, from low to high; even numbers, half of them for training. Electrons and photons have
#: 1, 2, 4, 8, 16, 32 and 65 GeV/c, pions 2 to 65 in the accordion and 2 to 131 GeV/c in the hadron calorimeter.
SHOWERS = {
    "lar_accordion": {
        "photons": (48, 44, 34, 28, 22, 16, 12),
        "electrons": (48, 44, 34, 28, 22, 16, 12),
        "pions": (100, 80, 56, 36, 22, 12),
    },
    "siw": {"photons": (108, 96, 84, 72, 54, 38, 26), "electrons": (108, 96, 84, 72, 54, 38, 26)},
    "pbwo4": {"photons": (44, 40, 32, 26, 20, 14, 10), "electrons": (44, 40, 32, 26, 20, 14, 10)},
    "fehcal": {"pions": (118, 98, 82, 64, 44, 26, 12)},
}

#: File made -> file it is cut from, without the ending.
FILES = {
    "lar_accordion": {kind: f"{kind}_eta020" for kind in ("photons", "electrons", "pions")},
    "siw": {kind: kind for kind in ("photons", "electrons")},
    "pbwo4": {kind: kind for kind in ("photons", "electrons")},
    "fehcal": {"pions": "pions"},
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


def cut_ntuple(source: Path, target: Path, counts: tuple[int, ...]) -> None:
    """Cut an RNTuple with a row per shower."""
    with uproot.open(source) as file:
        data = file["showers"].arrays()
    rows = chosen_rows(data["energy"].to_numpy(), counts)
    with uproot.recreate(target, compression=uproot.LZMA(9)) as file:
        file.mkrntuple("showers", {name: ak.to_packed(data[name][rows]) for name in data.fields})


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
        for kind, origin in FILES[name].items():
            whole, target, counts = (
                source / name / f"{origin}.root",
                HERE / name / "hits" / f"{kind}.root",
                SHOWERS[name][kind],
            )
            target.parent.mkdir(exist_ok=True)
            if name == "pbwo4":
                cut_joined(whole, target, counts)
            elif name == "siw":
                cut_jagged(whole, target, "events", "SimHit", "MC_E", counts)
            elif name == "fehcal":
                cut_ntuple(whole, target, counts)
            else:
                cut_jagged(whole, target, "showers", "hit", "energy", counts)
            print(f"{target.relative_to(HERE)}: {target.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2:])
