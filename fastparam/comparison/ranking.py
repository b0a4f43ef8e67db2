"""Where a candidate would stand among the submissions to the CaloChallenge.

The table beside this file holds published facts: C. Krause et al., "CaloChallenge 2022: a community challenge for fast
calorimeter simulation", arXiv:2410.21611, from the digital copy of its numbers (github.com/CaloChallenge/homepage,
commit 9b41df7, ``final_results/*.hdf``). Times are in ms per shower, all other numbers have no unit.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

__all__ = ["CITATION", "RANKED", "Submission", "place", "standings", "submissions"]

CITATION = "C. Krause et al., arXiv:2410.21611; numbers from github.com/CaloChallenge/homepage at 9b41df7"

#: Published numbers that are also measured here. The classifiers are others than the challenge's networks.
RANKED = {
    "separation_mean": "mean separation, all histograms but voxels",
    "separation_E_tot": "separation of E_tot / E_inc",
    "separation_voxel_energy": "separation of voxel energies",
    "fpd": "FPD",
    "kpd": "KPD",
    "auc_high": "AUC, features",
    "auc_low": "AUC, voxels",
    "ms_cpu_1": "ms per shower, CPU, batch 1",
    "ms_cpu_100": "ms per shower, CPU, batch 100",
    "ms_cpu_10000": "ms per shower, CPU, batch 10 000",
}


@dataclass(frozen=True)
class Submission:
    """What was published about one submission.

    Attributes
    ----------
    data_set : str
        "1-photons", "1-pions", "2" or "3".
    name : str
    numbers : dict of str to float
        Keys of `RANKED`, and times on GPUs; those that were not published are absent.
    """

    data_set: str
    name: str
    numbers: dict[str, float]

    @property
    def is_geant4(self) -> bool:
        """Whether it is full simulation against full simulation."""
        return self.name.upper().startswith("GEANT4 (")


@cache
def submissions(data_set: str) -> tuple[Submission, ...]:
    """Return everything published about a data set, full simulation against itself included."""
    text = files("fastparam.comparison").joinpath("calochallenge_results.csv").read_text(encoding="utf-8")
    found = []
    for row in csv.DictReader(text.splitlines()):
        if row["data_set"] == data_set:
            numbers = {
                key: float(value) for key, value in row.items() if key not in ("data_set", "submission") and value
            }
            found.append(Submission(data_set, row["submission"], numbers))
    return tuple(found)


def place(data_set: str, metric: str, value: float) -> tuple[int, int]:
    """Return the place a value would take among the submissions (1 is best), and how many there are with it."""
    others = [s.numbers[metric] for s in submissions(data_set) if not s.is_geant4 and metric in s.numbers]
    return 1 + sum(other < value for other in others), len(others) + 1


def standings(data_set: str, metric: str, candidates: dict[str, float]) -> list[tuple[str, float, bool]]:
    """Sort submissions and candidates by a metric, best first: name, value, whether it is a candidate."""
    rows = [(s.name, s.numbers[metric], False) for s in submissions(data_set) if metric in s.numbers]
    rows += [(name, value, True) for name, value in candidates.items()]
    return sorted(rows, key=lambda row: row[1])
