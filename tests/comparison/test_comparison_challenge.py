"""The challenge's numbers against a slow, plain implementation written from the definition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fastparam.comparison.challenge import (
    DataSet,
    challenge_features,
    challenge_separations,
    data_set_of,
)
from fastparam.comparison.moments import layer_moments
from fastparam.comparison.ranking import RANKED, place, standings, submissions
from fastparam.comparison.separation import Separations
from fastparam.comparison.voxels import VoxelSample
from fastparam.geometry.voxels import VoxelBinning

EPS = 1e-16

#: As data set 1 has them: layers with one part in alpha and with several, and a hadronic one.
SMALL = VoxelBinning((0, 1, 12), ((0.0, 10.0, 20.0, 50.0), (0.0, 5.0, 15.0, 45.0), (0.0, 100.0, 300.0)), (1, 4, 3))
EDGES = {0: (SMALL.r_edges[0], 1), 1: (SMALL.r_edges[1], 4), 12: (SMALL.r_edges[2], 3)}
PHOTONS = DataSet("1-photons", 1.0, 23, 3, points=True, narrow_from=4096.0)
ELECTRONS = DataSet("2", 0.01515, 23, 3, points=False)


def toys(n: int, seed: int, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    energy = 2.0 ** rng.integers(8, 14, size=n)
    voxels = scale * energy[:, None] * rng.gamma(0.2, 1.0, size=(n, SMALL.n_voxels)) / (0.2 * SMALL.n_voxels)
    voxels[rng.random(n) < 0.1, :3] = 0.0  # empty first layers
    return voxels, energy


def plain_density(x: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """numpy.histogram(density=True) times the widths, without numpy's histogram."""
    counts = np.zeros(len(edges) - 1)
    for value in x:
        for b in range(len(counts)):
            last = b == len(counts) - 1
            if edges[b] <= value < edges[b + 1] or (last and value == edges[b + 1]):
                counts[b] += 1
    with np.errstate(invalid="ignore"):
        density = counts / np.diff(edges) / counts.sum()  # NaN without any entry
    return density * np.diff(edges)


def plain_separation(p: np.ndarray, q: np.ndarray) -> float:
    return float(0.5 * sum((a - b) ** 2 / (a + b + EPS) for a, b in zip(p, q, strict=True)))


def plain_features(voxels: np.ndarray, energy: np.ndarray, threshold: float) -> dict[str, np.ndarray]:
    voxels = np.where(voxels < threshold, 0.0, voxels)
    found = {"E_tot": voxels.sum(axis=1) / energy}
    start = 0
    for layer, (edges, n_alpha) in EDGES.items():
        n_r = len(edges) - 1
        part = voxels[:, start : start + n_r * n_alpha].reshape(-1, n_alpha, n_r)
        start += n_r * n_alpha
        r = np.array([(edges[i] + edges[i + 1]) / 2 for i in range(n_r)])
        alpha = np.array([-np.pi + (i + 0.5) * 2 * np.pi / n_alpha for i in range(n_alpha)])
        total = part.sum(axis=(1, 2))
        found[f"E_layer_{layer}"] = total
        found[f"sparsity_{layer}"] = 1.0 - (part > 0).mean(axis=(1, 2))
        places = {"r": np.broadcast_to(r, (n_alpha, n_r))}
        if n_alpha > 1:
            places["eta"] = np.outer(np.cos(alpha), r)
            places["phi"] = np.outer(np.sin(alpha), r)
        for axis, x in places.items():
            centre = (part * x).sum(axis=(1, 2)) / (total + EPS)
            square = (part * x * x).sum(axis=(1, 2)) / (total + EPS)
            found[f"EC_{axis}_{layer}"] = centre
            found[f"width_{axis}_{layer}"] = np.sqrt(np.clip(square - centre**2, 0.0, None))
    return found


def plain_edges(name: str, reference: np.ndarray, threshold: float, fine: bool) -> np.ndarray:
    quantity, layer = (name, None) if name == "E_tot" else name.rsplit("_", 1)
    hadronic = layer == "12" and not fine
    if quantity == "E_tot":
        return np.linspace(0.5, 1.5, 101)
    if quantity == "E_layer":
        return np.logspace(np.log10(threshold), np.log10(reference.max()), 40)
    if quantity == "sparsity":
        return np.linspace(0, 1, 21)
    if quantity in ("EC_eta", "EC_phi"):
        half = 30 if fine else 500 if hadronic else 100
        return np.linspace(-half, half, 101)
    if quantity in ("width_eta", "width_phi"):
        return np.linspace(0, 30 if fine else 400 if hadronic else 100, 101)
    if quantity == "EC_r":
        return np.linspace(0, 42 if fine else 1500 if hadronic else 500, 101)
    return np.linspace(0, 20 if fine else 1500 if hadronic else 500, 101)


def measured(
    full: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray], known: DataSet, **options: float
) -> tuple[Separations, tuple]:
    samples = [VoxelSample.from_dense(v, e, SMALL) for v, e in (full, other)]
    pairs = [(layer_moments(s, known.threshold), s) for s in samples]
    return challenge_separations(*pairs, threshold=known.threshold, data_set=known, replicas=20, **options)


@pytest.mark.parametrize("known", [PHOTONS, ELECTRONS], ids=lambda d: d.name)
def test_every_histogram_equals_the_plain_implementation(known: DataSet) -> None:
    full, other = toys(250, 1), toys(200, 2, scale=1.1)
    found, per_energy = measured(full, other, known)
    expected = [plain_features(*s, known.threshold) for s in (full, other)]
    # In this binning: E_tot; E, EC_r, width_r and sparsity of 3 layers; four moments of 2 layers; voxels.
    assert len(found.features) == 1 + 4 * 3 + 4 * 2 + 1
    assert {s.name for s in found.features} == {*expected[0], "voxel_energy"}
    values = {}
    for name, x in expected[0].items():
        edges = plain_edges(name, x, known.threshold, fine=not known.points)
        values[name] = plain_separation(plain_density(x, edges), plain_density(expected[1][name], edges))
        assert found[name].raw == pytest.approx(values[name], rel=1e-9, abs=1e-14, nan_ok=True), name
    assert found.mean.raw == pytest.approx(np.nanmean(list(values.values())), rel=1e-9)

    edges = np.logspace(np.log10(known.threshold), np.log10(full[0].max()), 50)
    pooled = plain_separation(*(plain_density(v[v >= known.threshold], edges) for v, _ in (full, other)))
    assert found["voxel_energy"].raw == pytest.approx(pooled, rel=1e-9)

    points = np.unique(full[1]) if known.points else []
    assert len(per_energy) == len(points)
    for s, energy in zip(per_energy, points, strict=True):
        edges = np.linspace(0.9, 1.1, 21) if energy >= 4096 else np.linspace(0.4, 1.4, 21)
        parts = [
            plain_density(f["E_tot"][e == energy], edges) for f, (_, e) in zip(expected, (full, other), strict=True)
        ]
        assert s.raw == pytest.approx(plain_separation(*parts), rel=1e-9, nan_ok=True)


def test_visible_energies_are_scaled_to_true_ones_first() -> None:
    full, other = toys(300, 1), toys(300, 2)
    plain, _ = measured(full, other, PHOTONS)
    quarter = DataSet("1-photons", 0.25, 23, 3, points=True, narrow_from=4096.0)
    scaled, _ = measured((full[0] / 4, full[1]), (other[0] / 4, other[1]), quarter, scale=4.0)
    for a, b in zip(plain.features, scaled.features, strict=True):
        assert a.raw == pytest.approx(b.raw, rel=1e-6, abs=1e-9), a.name


def test_a_candidate_without_an_entry_in_range_is_nan_as_in_published_numbers() -> None:
    full, other = toys(200, 1), toys(200, 2)
    other[0][:, :3] = 0.0
    found, _ = measured(full, other, PHOTONS)
    assert np.isnan(found["E_layer_0"].raw)
    assert np.isfinite(found.mean.raw)


def test_equal_samples_sit_on_the_floor_that_is_subtracted() -> None:
    found, _ = measured(toys(3000, 1), toys(3000, 2), PHOTONS)
    e_tot = found["E_tot"]
    assert e_tot.raw == pytest.approx(e_tot.floor, rel=0.35)
    assert abs(found.mean.value) < 5 * found.mean.error
    inside = [((v.sum(axis=1) / e > 0.5) & (v.sum(axis=1) / e < 1.5)).sum() for v, e in (toys(3000, 1), toys(3000, 2))]
    assert e_tot.floor == pytest.approx((e_tot.n_bins - 1) / 4 * sum(1 / n for n in inside), rel=0.15)


@pytest.mark.parametrize(
    ("n_r", "n_alpha", "name", "histograms"),
    [
        ((8, 16, 19, 5, 5), (1, 10, 10, 1, 1), "1-photons", 29),
        ((8, 10, 10, 5, 15, 16, 10), (1, 10, 10, 1, 10, 10, 1), "1-pions", 45),
        ((9,) * 45, (16,) * 45, "2", 361),
    ],
)
def test_data_sets_are_known_by_their_voxels_and_have_as_many_histograms_as_published(
    n_r: tuple[int, ...], n_alpha: tuple[int, ...], name: str, histograms: int
) -> None:
    binning = VoxelBinning(tuple(range(len(n_r))), tuple(tuple(map(float, range(n + 1))) for n in n_r), n_alpha)
    known = data_set_of(binning)
    assert known is not None
    assert known.name == name
    sample = VoxelSample.from_dense(np.ones((30, binning.n_voxels)), np.full(30, 1e3), binning)
    pair = (layer_moments(sample, known.threshold), sample)
    found, _ = challenge_separations(pair, pair, threshold=known.threshold, replicas=2)
    assert len(found.features) - 1 == histograms
    assert challenge_features(*pair).shape[1] == {"1-photons": 30, "1-pions": 46, "2": 362}[name]
    assert data_set_of(SMALL) is None


def test_published_results_are_those_of_the_paper() -> None:
    # Counts and some values as printed in the paper's tables, full simulation against itself included.
    assert [len(submissions(d)) for d in ("1-photons", "1-pions", "2", "3")] == [16, 13, 18, 16]
    dream = next(s for s in submissions("2") if s.name == "CaloDREAM")
    assert dream.numbers["auc_low"] == pytest.approx(0.531, abs=5e-4)
    assert dream.numbers["fpd"] == pytest.approx(24.6e-3, abs=5e-5)
    inn = next(s for s in submissions("1-photons") if s.name == "CaloINN")
    assert inn.numbers["ms_cpu_1"] == pytest.approx(37.9, abs=0.05)
    assert {key for s in submissions("2") for key in s.numbers} >= set(RANKED)


def test_a_candidate_is_placed_among_submissions_but_not_among_full_simulation() -> None:
    assert place("2", "auc_low", 0.51) == (1, 18)
    assert place("2", "auc_low", 0.54) == (2, 18)
    rows = standings("2", "auc_low", {"mine": 0.54})
    assert [name for name, _, _ in rows[:3]] == [
        next(s.name for s in submissions("2") if s.is_geant4),
        "CaloDREAM",
        "mine",
    ]


def test_the_table_lies_beside_the_module() -> None:
    import fastparam.comparison.ranking as module

    assert Path(module.__file__).with_name("calochallenge_results.csv").is_file()
