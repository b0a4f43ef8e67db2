"""Is `compare` a good judge? Spoiled candidates are caught, an independent half is not, and uncertainties are right.

    python -m tests.fidelity.compare_judged DATA [--splits 200]

DATA holds lar_accordion/voxels_photons_eta020.hdf5, showers of full simulation in voxels. Candidates are the even rows,
spoiled in one way each, against the odd rows: no shower is in both. Random halves, always disjoint, give the rate of
false alarms and the pulls of the metrics. `tests/comparison/test_comparison_judge.py` is the reduced version.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from fastparam.comparison.classifier import auc_high
from fastparam.comparison.compare_voxels import compare_voxel_samples
from fastparam.comparison.comparison import Comparison
from fastparam.comparison.features import features_of
from fastparam.comparison.findings import differs, findings, worst_of
from fastparam.comparison.observables import by_name
from fastparam.comparison.separation import separations
from fastparam.comparison.voxels import VoxelSample
from fastparam.comparison.wasserstein import wasserstein
from fastparam.geometry.load import load_geometry
from fastparam.geometry.voxels import VoxelBinning, voxels_of
from fastparam.particles import Particles
from fastparam.showers.fastcalogan import from_v2

Dense = np.ndarray
Spoil = Callable[[Dense, np.ndarray, VoxelBinning, np.random.Generator], tuple[Dense, np.ndarray]]


def scaled(voxels: Dense, energy: np.ndarray, binning: VoxelBinning, rng: np.random.Generator):
    """All energies 2 % too high."""
    return 1.02 * voxels, energy


def swapped(voxels: Dense, energy: np.ndarray, binning: VoxelBinning, rng: np.random.Generator):
    """The energies of two layers booked under each other's number; shapes stay."""
    found = voxels.copy()
    a, b = (slice(int(binning.first[k]), int(binning.first[k + 1])) for k in (1, 2))
    sums = voxels[:, a].sum(axis=1, keepdims=True), voxels[:, b].sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        found[:, a] *= np.where(sums[0] > 0, sums[1] / sums[0], 0.0)
        found[:, b] *= np.where(sums[1] > 0, sums[0] / sums[1], 0.0)
    return found, energy


def rotated(voxels: Dense, energy: np.ndarray, binning: VoxelBinning, rng: np.random.Generator):
    """Alpha turned by half of the sectors in every layer, as by a wrong sign of both axes."""
    found = voxels.copy()
    for k, (n_r, n_alpha) in enumerate(zip(binning.n_r, binning.n_alpha, strict=True)):
        own = slice(int(binning.first[k]), int(binning.first[k + 1]))
        found[:, own] = np.roll(voxels[:, own].reshape(-1, n_alpha, n_r), n_alpha // 4, axis=1).reshape(len(voxels), -1)
    return found, energy


def duplicated(voxels: Dense, energy: np.ndarray, binning: VoxelBinning, rng: np.random.Generator):
    """5 % of the showers replaced by copies of others of their energy."""
    found = voxels.copy()
    for i in rng.permutation(len(voxels))[: len(voxels) // 20]:
        same = np.flatnonzero(energy == energy[i])
        found[i] = found[rng.choice(same[same != i])]
    return found, energy


def transposed_voxels(voxels: Dense, energy: np.ndarray, binning: VoxelBinning, rng: np.random.Generator):
    """Voxels written with r outside and alpha inside."""
    return voxels[:, np.argsort(from_v2(binning))], energy


def shuffled(voxels: Dense, energy: np.ndarray, binning: VoxelBinning, rng: np.random.Generator):
    """Every layer taken from another shower of the same energy: marginals per layer stay, correlations go."""
    found = voxels.copy()
    for k in range(len(binning.layer_ids)):
        own = slice(int(binning.first[k]), int(binning.first[k + 1]))
        for e in np.unique(energy):
            rows = np.flatnonzero(energy == e)
            found[rows, own] = voxels[rng.permutation(rows), own]
    return found, energy


def broadened(voxels: Dense, energy: np.ndarray, binning: VoxelBinning, rng: np.random.Generator):
    """Visible energy of each incident energy 30 % too broad, its mean right."""
    found = voxels.copy()
    for e in np.unique(energy):
        rows = energy == e
        total = voxels[rows].sum(axis=1)
        wanted = np.maximum(total.mean() + 1.3 * (total - total.mean()), 0.0)
        found[rows] *= (wanted / np.maximum(total, 1e-9))[:, None]
    return found, energy


#: Name of a fault: how it is made, and the quantities one of which must be among the worst five.
FAULTS: dict[str, tuple[Spoil, tuple[str, ...]]] = {
    "energies scaled 2 %": (scaled, ("visible_mean", "visible_distribution", "separation_E_tot")),
    "one layer swapped": (swapped, ("layer_mean", "separation_E_1", "separation_E_2")),
    "alpha rotated": (
        rotated,
        tuple(f"{x}_e{i}_{what}" for x in ("centroid", "spread") for i in (1, 2) for what in ("mean", "width"))
        + tuple(f"separation_{x}_{axis}_{k}" for x in ("centre", "width") for axis in ("eta", "phi") for k in (1, 2)),
    ),
    "5 % duplicated": (duplicated, ("duplicates",)),
    "voxel order transposed": (
        transposed_voxels,
        ("layer_lateral", "layer_r50", "layer_r90", "separation_mean_r_1", "separation_mean_r_2", "spread_e1_mean"),
    ),
    "layer correlations shuffled": (shuffled, ("layer_correlation",)),
    "widths wrong, means right": (
        broadened,
        ("visible_width", "visible_rms", "visible_distribution", "separation_E_tot"),
    ),
}  # fmt: skip


def judge(
    binning: VoxelBinning, reference: tuple[Dense, np.ndarray], candidate: tuple[Dense, np.ndarray], seed: int = 1,
    training: Dense | None = None,
) -> Comparison:  # fmt: skip
    samples = [VoxelSample.from_dense(v, e, binning) for v, e in (reference, candidate)]
    particles = [Particles.gun(pdg=22, energy=e, eta=0.2, n=len(e)) for _, e in (reference, candidate)]
    return compare_voxel_samples(
        samples[0], particles[0], {"candidate": (samples[1], particles[1])}, quick=True, seed=seed
    )


def guilty(comparison: Comparison, expected: tuple[str, ...]) -> tuple[bool, list[str]]:
    """Return whether a guilty quantity is in the worst five with a difference seen, and the five."""
    worst = worst_of(comparison, "candidate")
    return any(f.name in expected and f.score > 1 for f in worst), [f"{f.name} {f.score:.1f}" for f in worst]


def pulls(comparison: Comparison) -> dict[str, float]:
    """One pull per metric and split: scalars at one point, and the mean separation.

    Distances have none: their significance has one side, half of a Gaussian, 0.40 +- 0.60 without a difference.
    """
    found = {
        m.observable: float(m.candidates["candidate"].pull[0])
        for m in comparison.measurements
        if m.point == 3 and m.axis is None and by_name(m.observable).kind != "distance"
    }
    for m in comparison.metrics:
        if m.name in ("separation", "separation_E_tot", "separation_spectrum"):
            found[m.name] = m.value / m.error
    layer = comparison.measurement("layer_width", 3)
    if layer is not None:
        found["layer_width, layer 2"] = float(layer.candidates["candidate"].pull[2])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--splits", type=int, default=200)
    parser.add_argument("--metric-splits", type=int, default=400)
    parser.add_argument("--auc-splits", type=int, default=40)
    options = parser.parse_args()
    binning = voxels_of(load_geometry("lar_accordion"))
    with h5py.File(options.data / "lar_accordion" / "voxels_photons_eta020.hdf5") as file:
        voxels = file["showers"][:].astype(np.float64)
        energy = file["incident_energies"][:, 0].astype(np.float64)
    odd, even = (voxels[1::2], energy[1::2]), (voxels[0::2], energy[0::2])

    print("# Spoiled candidates (even rows) against odd rows")
    for name, (spoil, expected) in {"unspoiled": (lambda v, e, b, r: (v, e), ()), **FAULTS}.items():
        found = judge(binning, odd, spoil(*even, binning, np.random.default_rng(1)))
        caught, five = guilty(found, expected)
        seen = "difference seen" if differs(found, "candidate") else "no difference"
        print(f"{name}: {'caught' if caught else seen}; worst five: {', '.join(five)}", flush=True)

    print(f"# {options.splits} random splits into disjoint halves")
    pool = np.arange(len(energy) // 2)
    alarms, families, collected, start = 0, [], {}, time.time()
    for split in range(options.splits):
        rng = np.random.default_rng(1000 + split)
        order = np.lexsort([rng.random(len(pool)), energy[pool]])
        first, second = pool[order[0::2]], pool[order[1::2]]
        found = judge(binning, (voxels[first], energy[first]), (voxels[second], energy[second]), seed=split)
        alarms += differs(found, "candidate")
        scores = [f.score for f in findings(found, "candidate")]
        families.append(np.mean(np.array(scores) > 1))
        for key, value in pulls(found).items():
            collected.setdefault(key, []).append(value)
        if split % 20 == 19:
            print(f"  {split + 1} splits, {alarms} alarms, {time.time() - start:.0f} s", flush=True)
    n = max(options.splits, 1)
    rate = alarms / n
    error = np.sqrt(max(rate, 1 / n) * (1 - rate) / n)
    print(f"false alarms: {100 * rate:.1f} +- {100 * error:.1f} % of splits (stated 1 %)")
    if families:
        print(f"quantities flagged: {100 * np.mean(families):.2f} % (stated 1 %)")
    for key, values in collected.items():
        x = np.array(values)[np.isfinite(values)]
        print(f"pull of {key}: mean {x.mean():+.2f}, width {x.std(ddof=1):.2f} +- {1 / np.sqrt(2 * len(x)):.2f}")

    # Metrics of all energies together, alone: quick enough for more splits of all showers.
    table = features_of(VoxelSample.from_dense(voxels, energy, binning), threshold=0.05)
    together: dict[str, list[float]] = {}
    for split in range(options.metric_splits):
        rng = np.random.default_rng(5000 + split)
        order = np.lexsort([rng.random(len(energy)), energy])
        a, b = table.take(order[0::2]), table.take(order[1::2])
        s = separations(a, b, seed=split, replicas=100)
        w = wasserstein(a.values, b.values, seed=split)
        together.setdefault("separation", []).append(s.mean.value / s.mean.error)
        for name in ("E_tot", "width_phi_2", "spectrum"):
            together.setdefault(f"separation_{name}", []).append(s[name].value / s[name].error)
        known = np.isfinite(w.value)
        together.setdefault("wasserstein, value against its floor, all features", []).extend(
            ((w.value - w.floor) / w.floor_error)[known]
        )
    for key, values in together.items():
        print(
            f"pull of {key}: mean {np.mean(values):+.2f}, width {np.std(values, ddof=1):.2f}, {len(values)}", flush=True
        )

    areas = []
    for split in range(options.auc_splits):
        rng = np.random.default_rng(split)
        order = rng.permutation(len(energy))[:1600]
        found = auc_high(table.take(order[:800]), table.take(order[800:]), seed=split)
        areas.append((found.value - 0.5) / found.error)
    if areas:
        print(f"pull of auc_high: mean {np.mean(areas):+.2f}, width {np.std(areas, ddof=1):.2f}, {len(areas)} splits")


if __name__ == "__main__":
    main()
