"""Are the uncertainties of `compare` right? Pulls over independent pairs of samples.

    python -m tests.fidelity.compare_coverage POOL.npz [--pairs 400] [--classifiers]

Pairs are sampled from the shipped tune of lar_accordion, photons of 1, 4 and 16 GeV, so that no shower is in two of
them: halves of one pool of full simulation share its quantiles. Samples are kept in POOL.npz for the next time. Each
pair is compared as it is, and with the energy of the candidate's middle layer 5 % too high; there pulls are about the
mean of all pairs, where no truth is known.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

import fastparam as fp
from fastparam.comparison.classifier import auc, auc_high, low_features
from fastparam.comparison.compare_voxels import compare_voxel_samples
from fastparam.comparison.features import features_of
from fastparam.comparison.pooled import PooledReference, threshold_of
from fastparam.comparison.voxels import VoxelBuilder, VoxelSample
from fastparam.geometry.load import load_geometry
from fastparam.geometry.voxels import VoxelBinning, voxels_of
from fastparam.particles import Particles

ENERGIES = np.array([1000.0, 4000.0, 16000.0])
PER_ENERGY = 200
_VOXELS = 120
TUNE = Path(__file__).parents[2] / "tuning" / "tunes" / "lar_accordion.tune.h5"

Numbers = dict[str, tuple[float, float]]


def sampled(path: Path, n: int, binning: VoxelBinning) -> VoxelSample:
    """Read the pool, or sample n showers and keep them."""
    if not path.exists():
        tune, builder, rng = fp.load(TUNE), VoxelBuilder(binning), np.random.default_rng(5)
        block = 1000 * len(ENERGIES)
        for first in range(0, n, block):
            energy = np.tile(ENERGIES, 1000)
            eta, phi = rng.uniform(0.2, 0.25, block), rng.uniform(-0.05, 0.05, block)
            gun = Particles.gun(pdg=22, energy=energy, eta=eta, phi=phi, n=block)
            builder.add(tune.generate(gun.with_index(np.arange(first, first + block)), seed=3).voxels(binning), energy)
        found = builder.finish()
        np.savez(path, energy=found.energy, offsets=found.offsets, number=found.number, value=found.value)
    with np.load(path) as file:
        return VoxelSample(binning, file["energy"], file["offsets"], file["number"], file["value"])


def spoiled(sample: VoxelSample) -> VoxelSample:
    """Energy of the third layer 5 % too high."""
    value = sample.value.copy()
    value[sample.binning.layer[sample.number] == 2] *= 1.05
    return VoxelSample(sample.binning, sample.energy, sample.offsets, sample.number, value)


def areas(reference: VoxelSample, candidate: VoxelSample, seed: int) -> Numbers:
    """Return the same of both classifiers, which take longest: that of voxels sees half of the showers, few voxels."""
    threshold = threshold_of(reference)
    tables = [features_of(s, threshold=threshold) for s in (reference, candidate)]
    high = auc_high(*tables, seed=seed, repeats=2)
    half = [s.take(slice(0, len(s) // 2)) for s in (reference, candidate)]
    low = auc(*low_features(*half, threshold=threshold, max_voxels=_VOXELS), seed=seed, repeats=2)
    return {"auc_high": (high.value, high.error), "auc_low": (low.value, low.error)}


def numbers(reference: VoxelSample, candidate: VoxelSample, seed: int) -> Numbers:
    """Return value and error of every number but classifiers."""
    own, other = (Particles.gun(pdg=22, energy=s.energy, eta=0.2, n=len(s)) for s in (reference, candidate))
    found = compare_voxel_samples(reference, own, {"candidate": (candidate, other)}, quick=True, seed=seed)
    out = {m.name: (m.value, m.error) for m in found.metrics if m.error > 0}
    for m in found.metrics:
        if m.name.startswith("wasserstein"):
            out[f"{m.name}, against its floor"] = (m.value - m.floor, m.floor_error)
        if m.name.startswith("challenge"):  # its bins, and so its floor, depend on the reference
            out[f"{m.name}, less its floor"] = (m.value - m.floor, m.error)
    for m in found.measurements:
        d = m.candidates["candidate"]
        for i in range(len(d.deviation)):
            if m.axis is None or m.observable in ("layer_mean", "layer_width", "layer_r50", "centroid_e2_width"):
                out[f"{m.observable}, point {m.point}, {i}"] = (float(d.deviation[i]), float(d.deviation_error[i]))
    pooled = PooledReference(reference, "photons", seed=seed)
    theirs = PooledReference(candidate, "photons", threshold=pooled.threshold, seed=seed)
    theirs.scale = pooled.scale
    for row in pooled._distances(theirs._challenge_features, candidate.energy):
        out[row["name"]] = row["value"], row["error"]
        out[f"{row['name']} of halves"] = row["floor"], row["floor_error"]
    return out


def truth_of(key: str, value: np.ndarray, *, equal: bool) -> float:
    """Return what the number would be without statistics, or the mean of all pairs where that is not known."""
    if equal and (key.startswith("separation") or "point" in key or "less its floor" in key):
        return 0.0
    if key.startswith("fpd"):
        return float(np.median(value))  # one pair in twenty has a shower that outweighs all others
    return 0.5 if equal and key.startswith("auc") else float(value.mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pool", type=Path)
    parser.add_argument("--pairs", type=int, default=400)
    parser.add_argument("--classifiers", action="store_true", help="these instead of all others")
    options = parser.parse_args()
    binning = voxels_of(load_geometry("lar_accordion"))
    size = PER_ENERGY * len(ENERGIES)
    pool = sampled(options.pool, 2 * options.pairs * size, binning)
    measure = areas if options.classifiers else numbers
    for name, spoil in (("equal", lambda s: s), ("middle layer 5 % high", spoiled)):
        collected: dict[str, list[tuple[float, float]]] = defaultdict(list)
        start = time.time()
        for pair in range(options.pairs):
            a, b = (pool.take(slice((2 * pair + k) * size, (2 * pair + k + 1) * size)) for k in (0, 1))
            for key, value in measure(a, spoil(b), pair).items():
                collected[key].append(value)
            if pair % 20 == 19:
                print(f"  {name}: {pair + 1} pairs, {time.time() - start:.0f} s", flush=True)
            if (pair + 1) % 100 and pair + 1 < options.pairs:
                continue
            print(f"# {name}: mean, RMS and half width (68 %) of pulls")
            for key, pairs in sorted(collected.items()):
                value, error = np.array([p for p in pairs if np.isfinite(p).all() and p[1] > 0]).reshape(-1, 2).T
                if len(value) < 2:
                    continue
                pull = (value - truth_of(key, value, equal=name == "equal")) / error
                low, high = np.percentile(pull, [15.87, 84.13])
                print(
                    f"{key}: value {value.mean():.4g}, scatter {value.std(ddof=1):.3g},"
                    f" error {np.sqrt((error**2).mean()):.3g}; pulls {pull.mean():+.2f}, {pull.std(ddof=1):.2f},"
                    f" {(high - low) / 2:.2f} ({len(pull)})"
                )


if __name__ == "__main__":
    main()
