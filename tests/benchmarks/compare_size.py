"""How long `compare` takes, and how much memory, for 100 000 showers of 6480 voxels a side (CaloChallenge data set 2).

    python -m tests.benchmarks.compare_size FOLDER [--showers 100000] [--quick]

Writes two files of toy showers into FOLDER (kept: a second run reads them), runs the command in a process of its own
and prints wall time, processor time and peak memory.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np

LAYERS, RINGS, SECTORS = 45, 9, 16
THRESHOLD = 0.5e-3 / 0.033


def write_binning(path: Path) -> None:
    edges = ",".join(f"{4.65 * i:g}" for i in range(RINGS + 1))
    layers = "".join(f'<Layer id="{k}" r_edges="{edges}" n_bin_alpha="{SECTORS}"/>' for k in range(LAYERS))
    path.write_text(f'<Bins><Bin pid="11" etaMin="0" etaMax="130" name="electron">{layers}</Bin></Bins>')


def write_showers(path: Path, n: int, seed: int, chunk: int = 2000) -> None:
    """Toy electrons, 1 GeV to 1 TeV: gamma profile in depth, exponential in r, a fifth of the voxels hit."""
    rng = np.random.default_rng(seed)
    depth, r = np.arange(LAYERS) + 0.5, 4.65 * (np.arange(RINGS) + 0.5)
    lateral = r * np.exp(-r / 9.0)
    lateral = np.tile(lateral / lateral.sum() / SECTORS, SECTORS)
    partial = path.with_suffix(".partial")
    with h5py.File(partial, "w") as file:
        energies = file.create_dataset("incident_energies", (n, 1), "f4")
        showers = file.create_dataset(
            "showers", (n, LAYERS * RINGS * SECTORS), "f4", chunks=(200, LAYERS * RINGS * SECTORS), compression="gzip",
            compression_opts=1,
        )  # fmt: skip
        for low in range(0, n, chunk):
            m = min(chunk, n - low)
            energy = np.exp(rng.uniform(np.log(1e3), np.log(1e6), size=m))
            peak = 4.0 + 1.2 * np.log(energy / 1e3)[:, None] + rng.normal(size=(m, 1))
            profile = (depth / 1.5) ** np.maximum(peak / 1.5, 0.5) * np.exp(-depth / 1.5)
            profile /= profile.sum(axis=1, keepdims=True)
            mean = (energy[:, None] * profile)[:, :, None] * lateral
            voxels = (mean * rng.standard_gamma(0.15, size=mean.shape, dtype=np.float32) / 0.15).reshape(m, -1)
            voxels[voxels < THRESHOLD * 40] = 0.0  # leaves a fifth
            energies[low : low + m, 0] = energy
            showers[low : low + m] = voxels
    partial.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--showers", type=int, default=100_000)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    files = [options.folder / f"{name}_{options.showers}.hdf5" for name in ("reference", "candidate")]
    for seed, path in enumerate(files):
        if not path.is_file():
            write_showers(path, options.showers, seed)
    with h5py.File(files[0]) as file:
        occupancy = float((file["showers"][:500] > 0).mean())
    binning, out = options.folder / "binning.xml", options.folder / "report"
    write_binning(binning)
    shutil.rmtree(out, ignore_errors=True)
    command = [
        sys.executable,
        "-m",
        "fastparam",
        "compare",
        *map(str, files),
        "--geometry",
        str(binning),
        "-o",
        str(out),
    ]
    start = time.perf_counter()
    process = subprocess.Popen(command + ["--quick"] * options.quick)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    print(
        f"{options.showers} showers a side, {100 * occupancy:.0f} % of voxels hit: {wall:.0f} s wall,"
        f" {usage.ru_utime + usage.ru_stime:.0f} s processor, {usage.ru_maxrss / 1e6:.2f} GB peak, exit {status >> 8};"
        f" report {(out / 'report.html').stat().st_size / 1e6:.1f} MB"
    )


if __name__ == "__main__":
    main()
