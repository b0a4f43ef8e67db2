"""Time the recipe `voxel` against a dense network of the size of FastCaloGAN's, both through `generate`.

    python -m tests.benchmarks.voxels DATA [-o docs/performance.md]

DATA holds ``lar_accordion/photons_eta020.root``; without it the shipped hits are tuned on. The network has random
weights: 50 latents and the energy -> 100 -> 200 -> 400 -> one output per voxel, with batch normalisation and swish in
between, run by onnxruntime. Through `generate` it draws its latents, normalises the energy, turns outputs into MeV and
puts them into `Showers`, as fastparam does for any network; *bare* is the call of onnxruntime alone. One thread each,
compiled and warm; the three alternate, and the smallest of all repetitions counts, because others use the machine.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import time
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numba
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from fastparam.generate.tuned import TunedGenerator
from fastparam.geometry.detector import Geometry
from fastparam.geometry.load import load_geometry
from fastparam.geometry.voxels import voxels_of
from fastparam.particles import Particles
from fastparam.showers.showers import Showers
from fastparam.summary.sample import summarise_sample
from fastparam.tunes.fitting import fit_tune
from fastparam.tunes.recipe import load_recipe
from tests.full_samples import with_files

ENERGIES = (1_000.0, 16_000.0, 65_000.0)
BATCHES = (1, 100, 10_000)
LATENT = 50
HIDDEN = (100, 200, 400)
ETA = (0.20, 0.25)
REPEAT = 40
SECTION = "## Voxels against a network"


def network(n_out: int, seed: int = 1) -> bytes:
    """Return a dense network with batch normalisation and swish as an ONNX model with random weights."""
    rng = np.random.default_rng(seed)
    sizes = (LATENT + 1, *HIDDEN, n_out)
    nodes, stored = [], []

    def store(name: str, *shape: int, positive: bool = False) -> str:
        values = rng.uniform(0.5, 1.5, shape) if positive else rng.normal(0.0, 1.0 / np.sqrt(shape[0]), shape)
        stored.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    x = "input"
    for k, (n_in, n) in enumerate(pairwise(sizes)):
        last = k == len(sizes) - 2
        dense = "output" if last else f"dense{k}"
        nodes.append(helper.make_node("Gemm", [x, store(f"w{k}", n_in, n), store(f"b{k}", n)], [dense]))
        if last:
            break
        norm = [store(f"{name}{k}", n, positive=True) for name in ("scale", "shift", "mean", "variance")]
        nodes.append(helper.make_node("BatchNormalization", [dense, *norm], [f"norm{k}"]))
        nodes.append(helper.make_node("Sigmoid", [f"norm{k}"], [f"sigmoid{k}"]))
        nodes.append(helper.make_node("Mul", [f"norm{k}", f"sigmoid{k}"], [f"swish{k}"]))
        x = f"swish{k}"
    graph = helper.make_graph(
        nodes,
        "generator",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", LATENT + 1])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n", n_out])],
        stored,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


class Network:
    """A network as a generator: latents, energy, run, MeV, showers; nothing else."""

    def __init__(self, geometry: Geometry, seed: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.geometry = geometry
        self.binning = voxels_of(geometry, pdg=22, eta=sum(ETA) / 2)
        self.session = onnxruntime.InferenceSession(
            network(self.binning.n_voxels, seed), options, providers=["CPUExecutionProvider"]
        )

    def generate(self, particles: Particles, *, seed: int) -> Showers:
        n = len(particles)
        rng = np.random.Generator(np.random.SFC64(seed))
        x = np.empty((n, LATENT + 1), dtype=np.float32)
        x[:, :LATENT] = rng.standard_normal((n, LATENT), dtype=np.float32)
        x[:, LATENT] = particles.energy / 65_000.0
        voxels = self.bare(x) * particles.energy[:, None]
        voxels[voxels < 0.0] = 0.0
        return Showers.from_voxels(particles, voxels, self.binning, self.geometry, seed=seed)

    def bare(self, x: np.ndarray) -> np.ndarray:
        return self.session.run(None, {"input": x})[0]


def tuned(data: Path | None) -> TunedGenerator:
    """Tune photons of one slice with the recipe `voxel`, on even rows of full samples."""
    geometry = load_geometry("lar_accordion")
    if data is not None:
        geometry = with_files("lar_accordion", [data / "lar_accordion" / "photons_eta020.root"])
    summary = summarise_sample(geometry, keep_hits=True)
    if data is not None:
        summary = summary.take(np.flatnonzero(summary.row % 2 == 0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return TunedGenerator(fit_tune(geometry, summary, load_recipe("voxel"), slices=[ETA], pdgs=[22]))


def smallest(calls: list[Callable[[], object]], inner: int, repeat: int) -> list[float]:
    """Return the smallest time of each call in seconds; calls alternate."""
    best = [np.inf] * len(calls)
    for call in calls:
        call()
    for _ in range(repeat):
        for k, call in enumerate(calls):
            start = time.perf_counter()
            for _ in range(inner):
                call()
            best[k] = min(best[k], (time.perf_counter() - start) / inner)
    return best


def measure(generator: TunedGenerator, *, repeat: int = REPEAT, batches: tuple[int, ...] = BATCHES) -> list[dict]:
    """Return one row per energy and batch: microseconds per shower of voxel, network, bare onnxruntime."""
    numba.set_num_threads(1)
    other = Network(generator.geometry)
    rows = []
    for energy in ENERGIES:
        for n in batches:
            particles = Particles.gun(pdg=22, energy=energy, eta=np.linspace(0.21, 0.24, n), phi=np.linspace(0, 6, n))
            x = np.random.default_rng(1).standard_normal((n, LATENT + 1)).astype(np.float32)
            calls: list[Callable[[], object]] = [
                lambda p=particles: generator.generate(p, seed=1),
                lambda p=particles: other.generate(p, seed=1),
                lambda x=x: other.bare(x),
            ]
            best = smallest(calls, max(1, 100 // n), max(repeat if n > 1000 else 8 * repeat, 1))
            voxel, through, bare = (1e6 * t / n for t in best)
            rows.append({"energy": energy, "n": n, "voxel": voxel, "network": through, "bare": bare})
    return rows


def report(rows: list[dict]) -> str:
    lines = [
        SECTION,
        "",
        f"Written by `python -m tests.benchmarks.voxels` on {time.strftime('%Y-%m-%d', time.gmtime())}:"
        f" {os.cpu_count()} cores, {platform.machine()}, one thread, onnxruntime {onnxruntime.__version__}. Recipe"
        " `voxel` for photons in lar_accordion (363 voxels) against a dense network 51, 100, 200, 400, 363 with batch"
        " normalisation and swish, both through `generate` (random numbers, normalisation, arrays and `Showers`"
        " included); bare is the call of onnxruntime alone. us per shower, smallest of many alternating repetitions.",
        "",
        "| energy / GeV | batch | voxel | network | bare onnxruntime | voxel / network |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['energy'] / 1000:g} | {r['n']} | {r['voxel']:.1f} | {r['network']:.1f} | {r['bare']:.1f} |"
        f" {r['voxel'] / r['network']:.2f} |"
        for r in rows
    ]
    return "\n".join(lines) + "\n"


def insert(document: str, section: str) -> str:
    """Replace the section of this benchmark in a page, or add it."""
    heading = re.escape(SECTION)
    without = re.sub(rf"\n*{heading}\n.*?(?=\n## |\Z)", "\n", document, flags=re.DOTALL)
    return without.rstrip() + "\n\n" + section


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    text = report(measure(tuned(options.data)))
    print(text)
    if options.output:
        before = options.output.read_text(encoding="utf-8") if options.output.exists() else ""
        options.output.write_text(insert(before, text), encoding="utf-8")


if __name__ == "__main__":
    main()
