"""Time the main job against its limit, the time that uproot alone needs to read the same branches.

    python -m tests.benchmarks.main_job DATA [-o docs/performance.md]

Everything is measured in one run, compiled and warm; reading and summarising alternate, the median of 5 counts. The
siw file is listed ten times, as a user's many files would be.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import uproot

from fastparam.comparison.page import render
from fastparam.geometry.detector import Geometry
from fastparam.geometry.load import load_geometry
from fastparam.summary import save_summary, summarise_sample
from fastparam.workflow.tune import run
from tests.full_samples import with_files

REPEAT = 5
CASES = {
    "lar_accordion photons (LZMA)": ("lar_accordion", "photons_eta020.root", 1),
    "siw photons, listed 10 times (ZSTD)": ("siw", "photons.root", 10),
}


def read_alone(geometry: Geometry) -> int:
    """Read the branches of the sample with uproot and nothing else; returns the number of hits."""
    sample = geometry.config.samples[0]
    hits = 0
    for file in sample.files:
        with uproot.open(file) as opened:
            for arrays in opened[sample.tree].iterate(list(sample.branches.values()), step_size="200 MB"):
                hits += int(arrays[sample.branches["x"]].layout.offsets[-1])
    return hits


def seconds(function, *arguments) -> float:  # type: ignore[no-untyped-def]
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def cold_start(tune: Path, cache: Path) -> float:
    """Seconds from starting a process to the first sampled shower."""
    code = (
        "import fastparam as fp, sys; t = fp.load(sys.argv[1]);"
        "t.generate(fp.Particles.gun(pdg=22, energy=8000.0, direction=(0, 0, 1), position=(0, 0, -0.001)), seed=1)"
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache)}
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code, str(tune)], check=True, env=environment)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/performance.md"))
    options = parser.parse_args()
    lines = [
        "# Speed of the main job",
        "",
        f"Written by `tests/benchmarks/main_job.py` on {time.strftime('%Y-%m-%d', time.gmtime())}:"
        f" {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}. Times are medians of"
        f" {REPEAT} runs that alternate between uproot and fastparam, compiled and warm; in brackets the smallest and"
        " largest.",
        "",
        "| sample | hits | uproot alone / s | files to Summary / s | ratio | summary / input size |",
        "|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for title, (name, file, times) in CASES.items():
            geometry = with_files(name, [options.data / name / file] * times)
            hits = read_alone(geometry)
            summary = summarise_sample(geometry)
            alone, whole = [], []
            for _ in range(REPEAT):
                alone.append(seconds(read_alone, geometry))
                whole.append(seconds(summarise_sample, geometry))
            path = Path(folder) / "summary.h5"
            save_summary(path, summary, geometry)
            share = path.stat().st_size / (times * (options.data / name / file).stat().st_size)
            a, w = statistics.median(alone), statistics.median(whole)
            lines.append(
                f"| {title} | {hits} | {a:.2f} ({min(alone):.2f}–{max(alone):.2f}) | {w:.2f}"
                f" ({min(whole):.2f}–{max(whole):.2f}) | {w / a:.2f} | {100 * share:.0f} % |"
            )
            print(lines[-1], flush=True)
        lines += [
            "",
            "The rest of the job, once each, same run: photons and electrons of each detector, even rows tuned on, odd"
            " rows judged with five sampled showers each.",
            "",
            "| detector | read and summarise / s | fit / s | validate / s | report / s |",
            "|---|---|---|---|---|",
        ]
        for name in ("lar_accordion", "siw", "pbwo4"):
            suffix = "_eta020" if name == "lar_accordion" else ""
            files = [options.data / name / f"{p}{suffix}.root" for p in ("photons", "electrons")]
            geometry = with_files(name, files)
            run(load_geometry(name), rows="even")  # compiles
            result = run(geometry, rows="even")
            s = result.seconds
            report = seconds(lambda r=result: render(r.page()))
            lines.append(
                f"| {name} | {s['read and summarise']:.1f} | {s['fit']:.1f} | {s['validate']:.1f} | {report:.1f} |"
            )
            print(lines[-1], flush=True)
            if name == "siw":
                result.generator.save(Path(folder) / "siw.tune.h5")
        tune = Path(folder) / "siw.tune.h5"
        cache = Path(folder) / "cache"
        cold = cold_start(tune, cache)
        warm = statistics.median(cold_start(tune, cache) for _ in range(REPEAT))
        command = [sys.executable, "-m", "fastparam", "--help"]
        helps = statistics.median(
            seconds(partial(subprocess.run, command, check=True, capture_output=True)) for _ in range(REPEAT)
        )
        lines += [
            "",
            "| from starting a process | s |",
            "|---|---|",
            f"| first sampled shower, cold cache (everything compiled) | {cold:.1f} |",
            f"| first sampled shower, warm cache | {warm:.1f} |",
            f"| `fastparam --help` | {helps:.2f} |",
            "",
        ]
    options.output.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
