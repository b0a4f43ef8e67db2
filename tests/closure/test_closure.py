"""The reduced version of `run.py`: a few experiments per detector, from hits to laws.

The pulls of all 24 numbers are pooled: a handful of experiments shows whether something is wrong anywhere in the chain
of hits, frames, binning, depths and fits; `run.py` says by how much.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from closure import CONFIGURATIONS, LAW, Number, experiment, load
from run import document, read

from fastparam.geometry.detector import Geometry

N_TOYS, SHOWERS, SPOTS = 4, 40, 300


def pulls(experiments: list[dict[str, Number]]) -> np.ndarray:
    return np.array([[number.pull for number in numbers.values()] for numbers in experiments])


@pytest.fixture(scope="module")
def geometries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Geometry]:
    folder = tmp_path_factory.mktemp("closure")
    return {name: load(name, folder) for name in CONFIGURATIONS}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_laws_come_back_within_their_errors(geometries: dict[str, Geometry], name: str) -> None:
    n = 100 if CONFIGURATIONS[name].law.k > 0.0 else SHOWERS
    found = pulls([experiment(name, geometries[name], seed=s, n=n, n_spots=SPOTS) for s in range(N_TOYS)])
    # 96 pulls, about half of them independent: their rms is known to 0.1; the seeds are fixed.
    assert 0.6 < np.sqrt((found**2).mean()) < 1.5
    assert np.abs(found).max() < 5


def test_another_law_is_rejected(geometries: dict[str, Geometry]) -> None:
    later = replace(LAW, exp_ln_t=(LAW.exp_ln_t[0] + 0.7, LAW.exp_ln_t[1]), core=(0.03, 0.10))
    numbers = experiment("flat", geometries["flat"], seed=1, n=SHOWERS, n_spots=SPOTS, truth=later)
    assert numbers["exp<ln T> at 65 GeV"].pull < -4
    assert numbers["z2"].pull < -4


def test_the_study_goes_on_where_it_stopped(tmp_path: Path) -> None:
    lines = [
        f'{{"configuration": "flat", "seed": {seed}, "n": 60, "n_spots": 400, "numbers": {{"z1": [0.03, 0.01, 0.03]}}}}'
        for seed in (0, 1, 7)
    ]
    results = tmp_path / "closure.jsonl"
    results.write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = read(results, 60, 400)
    assert sorted(done["flat"]) == [0, 1, 7]
    assert done["block"] == {}
    assert read(results, 60, 500)["flat"] == {}
    assert "but flat: 3 experiments" in document(done, 60, 400)
