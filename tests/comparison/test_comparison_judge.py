"""Spoiled candidates are caught with the guilty quantity in the worst five; an independent half is not.

The faults are those of `tests.fidelity.compare_judged`, here on toy showers; that study uses full simulation.
"""

from __future__ import annotations

import numpy as np
import pytest

from fastparam.comparison.comparison import Comparison
from fastparam.comparison.findings import differs, worst_of
from fastparam.comparison.gate import crossed, parse_gates, require_known
from fastparam.comparison.spectra import require_same_spectrum
from fastparam.errors import InputError, UsageError
from fastparam.geometry.voxels import VoxelBinning
from tests.fidelity.compare_judged import FAULTS, guilty, judge

R = (0.0, 5.0, 10.0, 20.0, 40.0, 80.0)
BINNING = VoxelBinning((0, 1, 2, 3), (R, R, R, R), (1, 8, 8, 1))


def toy_showers(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Showers whose layers fluctuate against each other, elongated along eta and off axis in phi."""
    rng = np.random.default_rng(seed)
    energy = np.repeat([4000.0, 16000.0], n // 2)
    voxels = np.zeros((n, BINNING.n_voxels))
    total = 0.2 * energy * rng.normal(1.0, 0.05, size=n)
    depth = rng.normal(0.0, 0.5, size=n)
    share = np.stack([0.05 * np.exp(-depth), 0.3 * np.exp(-depth), 0.6 * np.exp(0.5 * depth), 0.05 * np.exp(depth)], 1)
    share /= share.sum(axis=1, keepdims=True)
    r = 0.5 * (BINNING.r_low + BINNING.r_high)
    shape = np.exp(-r / 12.0) * (BINNING.r_high - BINNING.r_low)
    shape *= 1 + 0.3 * np.cos(2 * BINNING.alpha) + 0.15 * np.sin(BINNING.alpha)
    for k in range(4):
        own = slice(int(BINNING.first[k]), int(BINNING.first[k + 1]))
        part = shape[own] * rng.gamma(0.5, size=(n, own.stop - own.start))
        voxels[:, own] = part / part.sum(axis=1, keepdims=True) * (total * share[:, k])[:, None]
    return voxels, energy


@pytest.fixture(scope="module")
def halves() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    return toy_showers(1000, 1), toy_showers(1000, 2)


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_caught_by_its_own_quantity(fault: str, halves: tuple) -> None:
    spoil, expected = FAULTS[fault]
    spoiled = spoil(*halves[1], BINNING, np.random.default_rng(3))
    found = judge(BINNING, halves[0], spoiled)
    caught, worst = guilty(found, expected)
    assert caught, worst
    assert differs(found, "candidate")


@pytest.fixture(scope="module")
def unspoiled(halves: tuple) -> Comparison:
    return judge(BINNING, *halves)


def test_an_independent_half_is_not_caught(unspoiled: Comparison) -> None:
    assert not differs(unspoiled, "candidate")


def test_few_of_many_random_halves_raise_a_false_alarm() -> None:
    alarms, pulls = 0, []
    for seed in range(15):
        found = judge(BINNING, toy_showers(200, 100 + seed), toy_showers(200, 200 + seed), seed=seed)
        alarms += differs(found, "candidate")
        width = found.measurement("visible_width", 0)
        mean = found.measurement("visible_mean", 0)
        pulls += [float(m.candidates["candidate"].pull[0]) for m in (width, mean)]
    assert alarms <= 1  # 15 at 1 %: two or more have a probability of 1 %
    assert np.std(pulls) == pytest.approx(1.0, abs=0.4)  # 30 pulls: three standard errors


def test_the_worst_five_are_of_five_aspects(unspoiled: Comparison) -> None:
    aspects = [f.aspect for f in worst_of(unspoiled, "candidate")]
    assert len(aspects) == 5
    assert len(set(aspects)) == 5


def test_voxel_only_samples_have_no_hit_level_observables_and_say_so(unspoiled: Comparison) -> None:
    names = {m.observable for m in unspoiled.measurements}
    assert {"visible_mean", "layer_width", "layer_r90", "centroid_e1_mean", "layer_occupancy"} <= names
    assert not names & {"longitudinal", "shower_r50", "n_hits", "depth_mean"}
    assert "voxels only" in unspoiled.provenance["form"]


def test_json_has_every_number_and_comes_back(unspoiled: Comparison) -> None:
    document = unspoiled.to_json()
    again = Comparison.from_json(document)
    assert again.to_json() == document
    assert {m["name"] for m in document["metrics"]} >= {
        "separation",
        "challenge_separation",
        "duplicates",
        "wasserstein",
    }


def test_a_data_frame_has_a_row_per_number_or_says_what_is_missing(unspoiled: Comparison) -> None:
    try:
        import pandas  # noqa: F401
    except ImportError:
        with pytest.raises(UsageError, match="install"):
            unspoiled.to_frame()
        return
    frame = unspoiled.to_frame()
    assert len(frame) == len(unspoiled.table()) + len(unspoiled.metrics)


def test_gates_are_crossed_by_what_is_above_them(halves: tuple) -> None:
    spoil, _ = FAULTS["energies scaled 2 %"]
    found = judge(BINNING, halves[0], spoil(*halves[1], BINNING, np.random.default_rng(3)))
    assert crossed(found, parse_gates(["visible_mean=5", "separation=0.5"])) == []
    lines = crossed(found, parse_gates(["visible_mean=0.5", "separation_E_tot=0.001"]))
    assert len(lines) == 2
    assert "candidate" in lines[0]
    assert "above 0.001" in lines[0] + lines[1]


@pytest.mark.parametrize("text", ["separation", "separation=much", "=3"])
def test_a_gate_without_number_or_name_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_gates([text])


def test_an_unknown_gate_names_the_known_ones(unspoiled: Comparison) -> None:
    with pytest.raises(UsageError, match=r"no metric 'seperation' \(did you mean 'separation'\?\); known here: "):
        parse_gates(["seperation=0.1"])
    with pytest.raises(UsageError, match="no metric 'separation_E_9'"):
        require_known(unspoiled, parse_gates(["separation_E_9=0.1"]))


@pytest.mark.parametrize(
    ("candidate", "words"),
    [
        (np.repeat([1000.0, 4000.0], 100), "showers of 4000 MeV"),
        (np.repeat([1000.0], 100), "none of 2000 MeV"),
        (np.repeat([1000.0, 2000.0], [150, 50]), "75/25 %"),
    ],
)
def test_other_energies_are_refused(candidate: np.ndarray, words: str) -> None:
    reference = np.repeat([1000.0, 2000.0], 100)
    require_same_spectrum(reference, np.repeat([1000.0, 2000.0], [205, 195]), "x", "photon")
    with pytest.raises(InputError, match=words):
        require_same_spectrum(reference, candidate, "x", "photon")


def test_another_spectrum_is_refused() -> None:
    rng = np.random.default_rng(1)
    flat = np.exp(rng.uniform(7, 12, size=1000))
    require_same_spectrum(flat, np.exp(rng.uniform(7, 12, size=1000)), "x", "photon")
    with pytest.raises(InputError, match="not distributed like"):
        require_same_spectrum(flat, np.exp(rng.uniform(8, 12, size=1000)), "x", "photon")
