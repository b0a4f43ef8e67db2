"""The judge of all generators: how far sampled showers are from full simulation that they were not tuned on.

    python -m tests.fidelity.generators DATA [-o FOLDER] [--write docs/fidelity.md] [--only NAME ...]

DATA holds the full samples. Every generator is tuned on even rows and judged on odd rows, with the particles of the
judged showers: mean separation S with its floor subtracted, and AUC of a classifier that sees all voxels (low) or the
features (high), as `fastparam.comparison` defines them. The first row, `library`, draws the training showers again:
what it shows is the noise of the training sample. With --untrained, energies are left out of the tune in turn and
judged alone.

Every result is kept in FOLDER as soon as it is known; a second run does only what is missing.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastparam.comparison.classifier import auc_high, auc_low
from fastparam.comparison.features import features_of
from fastparam.comparison.separation import separations
from fastparam.comparison.voxels import VoxelSample
from fastparam.generate import TunedGenerator, load
from fastparam.geometry.detector import Geometry
from fastparam.geometry.voxels import VoxelBinning, voxels_of
from fastparam.hits.voxelise import voxelise_local
from fastparam.particles import Particles
from fastparam.summary import Summary, energy_points, load_summary, save_summary
from fastparam.summary.sample import summarise_sample
from fastparam.tunes import load_recipe
from fastparam.tunes.file import save_tune
from fastparam.tunes.fitting import fit_tune
from fastparam.tunes.models import MODELS
from tests.full_samples import with_files

Floats = npt.NDArray[np.float64]

#: Sampled showers per judged one.
REPEAT = 3

GENERATORS = ("library", "stock", "gflash", "fastcalosim", "hybrid", "mosaic", "voxel", "gan")

#: The network that ships for comparisons; it knows photons of the first slice only, and no shower of these files.
NETWORK = Path(__file__).parents[2] / "tuning" / "gan" / "gan.onnx"


@dataclass(frozen=True)
class Sample:
    """Which showers: a detector and its files, a particle, a slice, and the threshold of voxels in MeV."""

    name: str
    detector: str
    files: tuple[str, ...]
    pdg: int
    eta: tuple[float, float] | None
    threshold: float


_LAR = ("photons_eta020", "photons_eta040", "photons_eta060", "electrons_eta020", "pions_eta020")
_SIW = ("photons", "electrons")
SAMPLES = (
    Sample("lar_accordion photons 0.20-0.25", "lar_accordion", _LAR, 22, (0.20, 0.25), 0.05),
    Sample("siw photons", "siw", _SIW, 22, None, 0.02),
    Sample("lar_accordion photons 0.40-0.45", "lar_accordion", _LAR, 22, (0.40, 0.45), 0.05),
    Sample("lar_accordion photons 0.60-0.65", "lar_accordion", _LAR, 22, (0.60, 0.65), 0.05),
    Sample("lar_accordion electrons", "lar_accordion", _LAR, 11, (0.20, 0.25), 0.05),
    Sample("lar_accordion pions", "lar_accordion", _LAR, 211, (0.20, 0.25), 0.05),
    Sample("siw electrons", "siw", _SIW, 11, None, 0.02),
    # A tenth of what a minimum ionising particle leaves in a tile, about as in the other two.
    Sample("fehcal pions", "fehcal", ("pions",), 211, None, 0.1),
)

#: Energies in MeV that are left out of the tune in turn.
UNTRAINED = (4000.0, 16000.0)


def showers_of(sample: Sample, data: Path, folder: Path) -> tuple[Geometry, Summary]:
    """Return the showers of a sample, summarised once per detector."""
    path = folder / f"{sample.detector}.summary.h5"
    if not path.exists():
        geometry = with_files(sample.detector, [data / sample.detector / f"{name}.root" for name in sample.files])
        save_summary(path, summarise_sample(geometry, keep_hits=True), geometry)
    everything, geometry = load_summary(path)
    chosen = everything.particles.pdg == sample.pdg
    if sample.eta is not None:
        chosen &= (everything.particles.eta >= sample.eta[0]) & (everything.particles.eta <= sample.eta[1])
    return geometry, everything.take(chosen)


def voxels_of_summary(geometry: Geometry, showers: Summary, binning: VoxelBinning) -> Floats:
    """Return the voxels of full simulation, shape (n, n_voxels)."""
    deposits = showers.deposits
    assert deposits is not None
    d1, d2, e = (getattr(deposits, name).astype(np.float64) for name in ("d1", "d2", "e"))
    rows = binning.rows_of_layers(geometry)
    return voxelise_local(binning, rows, deposits.layer, d1, d2, e, deposits.offsets)[0]


def repeated(particles: Particles, n: int) -> Particles:
    """Return the particles n times over, each with a number of its own."""
    many = Particles.concatenate([particles] * n)
    return many.with_index(np.arange(len(many)))


def library_voxels(training: Floats, energies: Floats, wanted: Floats) -> Floats:
    """Draw training showers of the nearest energy point, scaled to the wanted energies."""
    points = energy_points(energies)
    rng = np.random.default_rng(1)
    nearest = np.abs(np.log(wanted[:, None] / points.energy)).argmin(axis=1)
    rows = np.empty(len(wanted), dtype=np.int64)
    for p in range(len(points)):
        # Each shower once before any comes again: a classifier would recognise what it has been trained on.
        asked, own = np.flatnonzero(nearest == p), np.flatnonzero(points.point == p)
        rounds = [rng.permutation(own) for _ in range(-(-len(asked) // len(own)))]
        rows[asked] = np.concatenate([*rounds, own[:0]])[: len(asked)]
    return training[rows] * (wanted / energies[rows])[:, None]


def sampled_voxels(
    generator: str, sample: Sample, geometry: Geometry, training: Summary, judged: Particles, binning: VoxelBinning,
    folder: Path,
) -> tuple[Floats, dict[str, Any]]:  # fmt: skip
    """Tune a generator, sample `judged` and return voxels, with the size of the tune and the time per shower."""
    particles = repeated(judged, REPEAT)
    if generator == "library":
        own = voxels_of_summary(geometry, training, binning)
        return library_voxels(own, training.particles.energy, particles.energy), {}
    facts: dict[str, Any] = {}
    if generator == "stock":
        made: Any = load(f"gflash:{sample.detector}")
    elif generator == "gan":
        made = load(NETWORK)
    else:
        slices = None if sample.eta is None else [sample.eta]
        began = time.perf_counter()
        tune = fit_tune(geometry, training, load_recipe(generator), slices=slices, quiet=True)
        facts["fit_s"] = time.perf_counter() - began
        path = folder / "size.tune.h5"
        save_tune(path, tune)
        facts["mb"] = path.stat().st_size / 1e6
        path.unlink()
        made = TunedGenerator(tune)
    made.generate(particles.take(slice(0, 4)), seed=1)
    began = time.perf_counter()
    showers = made.generate(particles, seed=1)
    facts["ms"] = 1e3 * (time.perf_counter() - began) / len(particles)
    return showers.voxels(binning), facts


def score(
    reference: Floats, candidate: Floats, energy: Floats, binning: VoxelBinning, threshold: float, *, aucs: bool = True
) -> dict[str, Any]:
    """Return S with its error, the worst features, and both AUC."""
    full = VoxelSample.from_dense(reference, energy, binning)
    made = VoxelSample.from_dense(candidate, np.tile(energy, len(candidate) // len(energy)), binning)
    features, other = features_of(full, threshold=threshold), features_of(made, threshold=threshold)
    found = separations(features, other)
    result: dict[str, Any] = {
        "showers": len(full), "S": found.mean.value, "error": found.mean.error,
        "worst": [[w.name, w.value] for w in found.worst(5)],
    }  # fmt: skip
    if aucs:
        n = np.arange(len(full))
        result["low"] = auc_low(full, made.take(n), threshold=threshold).value
        result["high"] = auc_high(features, other.take(n)).value
    return result


def judge(sample: Sample, generator: str, data: Path, folder: Path) -> dict[str, Any]:
    """Judge a generator tuned on even rows by odd rows."""
    geometry, showers = showers_of(sample, data, folder)
    training, judged = showers.take(showers.row % 2 == 0), showers.take(showers.row % 2 == 1)
    binning = voxels_of(geometry, pdg=sample.pdg, eta=None if sample.eta is None else sum(sample.eta) / 2)
    reference = voxels_of_summary(geometry, judged, binning)
    voxels, facts = sampled_voxels(generator, sample, geometry, training, judged.particles, binning, folder)
    return score(reference, voxels, judged.particles.energy, binning, sample.threshold) | facts


def judge_untrained(sample: Sample, generator: str, data: Path, folder: Path) -> dict[str, Any]:
    """Judge energies that were left out of the tune, all together, beside a tune that has them."""
    geometry, showers = showers_of(sample, data, folder)
    binning = voxels_of(geometry, pdg=sample.pdg, eta=None if sample.eta is None else sum(sample.eta) / 2)
    energy = showers.particles.energy
    even = showers.row % 2 == 0
    parts: dict[str, list[Floats]] = {"trained": [], "untrained": []}
    reference, energies = [], []
    for left_out in UNTRAINED:
        own = np.abs(np.log(energy / left_out)) < 0.1
        judged = showers.take(~even & own)
        reference.append(voxels_of_summary(geometry, judged, binning))
        energies.append(judged.particles.energy)
        for name, trained in (("trained", even), ("untrained", even & ~own)):
            training = showers.take(trained)
            parts[name].append(
                sampled_voxels(generator, sample, geometry, training, judged.particles, binning, folder)[0]
            )
    sizes = [len(e) for e in energies]
    result: dict[str, Any] = {}
    for name, made in parts.items():
        # In the order of the reference, once for every repetition.
        whole = np.concatenate(
            [v[k * n : (k + 1) * n] for k in range(REPEAT) for v, n in zip(made, sizes, strict=True)]
        )
        result[name] = score(
            np.concatenate(reference), whole, np.concatenate(energies), binning, sample.threshold, aucs=False
        )
    return result


def _line(name: str, r: dict[str, Any]) -> str:
    worst = ", ".join(f"{feature} {value:.3f}" for feature, value in r["worst"])
    size, ms = (f"{r['mb']:.2f}" if "mb" in r else "-"), (f"{r['ms']:.2f}" if "ms" in r else "-")
    return f"| {name} | {r['S']:.4f} ± {r['error']:.4f} | {r['low']:.3f} | {r['high']:.3f} | {worst} | {size} | {ms} |"


def table(folder: Path) -> str:
    """Return all results as Markdown."""
    results = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")}
    lines: list[str] = []
    for sample in SAMPLES:
        rows = [(g, results[f"{sample.name}, {g}"]) for g in GENERATORS if f"{sample.name}, {g}" in results]
        if rows:
            lines += [f"## {sample.name}, {rows[0][1]['showers']} judged showers", ""]
            lines += ["| generator | mean S | AUC low | AUC high | worst features (S) | tune, MB | ms/shower |"]
            lines += ["|---|---|---|---|---|---|---|", *(_line(*row) for row in rows), ""]
    rows = [(name, r) for name, r in sorted(results.items()) if "untrained" in r]
    if rows:
        lines += ["## Energies left out of the tune (4 and 16 GeV in turn, judged together)", ""]
        lines += ["| | mean S, tuned with them | without | worst features without |", "|---|---|---|---|"]
        for name, r in rows:
            a, b = r["trained"], r["untrained"]
            worst = ", ".join(f"{feature} {value:.3f}" for feature, value in b["worst"])
            lines.append(
                f"| {name.removesuffix(', untrained')} | {a['S']:.4f} ± {a['error']:.4f} |"
                f" {b['S']:.4f} ± {b['error']:.4f} | {worst} |"
            )
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--folder", type=Path, default=Path("generators"))
    parser.add_argument("--write", type=Path, help="page whose tables, from the line <!-- tables --> on, are replaced")
    parser.add_argument("--only", nargs="*", default=[], help="generators to judge; default all that exist")
    parser.add_argument("--samples", nargs="*", default=[], help="beginnings of the names of samples")
    parser.add_argument("--untrained", action="store_true", help="judge energies left out, too")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    there = [g for g in GENERATORS if g in ("library", "stock", "gflash", "gan") or g in MODELS]
    for sample in SAMPLES:
        if options.samples and not any(sample.name.startswith(name) for name in options.samples):
            continue
        for generator in options.only or there:
            if sample.pdg == 211 and generator in ("stock", "gflash"):  # gamma functions are for electrons and photons
                continue
            if generator == "gan" and sample is not SAMPLES[0]:
                continue
            jobs = [(judge, f"{sample.name}, {generator}")]
            if options.untrained and generator not in ("stock", "gan"):
                jobs.append((judge_untrained, f"{sample.name}, {generator}, untrained"))
            for job, name in jobs:
                path = options.folder / f"{name}.json"
                if path.exists():
                    continue
                result = job(sample, generator, options.data, options.folder)
                path.write_text(json.dumps(result, indent=1), encoding="utf-8")
                print(name, {k: v for k, v in result.items() if k != "worst"}, flush=True)
    text = table(options.folder)
    print(text)
    if options.write:
        head = options.write.read_text(encoding="utf-8").split("<!-- tables -->")[0]
        options.write.write_text(f"{head}<!-- tables -->\n\n{text}", encoding="utf-8")


if __name__ == "__main__":
    main()
