"""Run many closure experiments and write docs/closure.md.

    python tests/closure/run.py --toys 200 --results closure.jsonl -o docs/closure.md

Every finished experiment is a line of the file of results: the study goes on where it was stopped, with the experiments
that are missing, and stops by itself after --minutes. The table holds whatever is there.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # toys

from closure import CONFIGURATIONS, ENERGIES, Number, experiment, load

from fastparam.files import atomic_output

_INTRODUCTION = """
Made by `tests/closure/run.py`. One experiment is {n} toy showers of {n_spots} equal spots at each of {energies} GeV
(`tests/toys.py`, plain NumPy, without our own samplers), reduced to a summary and fitted like full simulation. Rows:
the longitudinal laws at both ends of the range in energy, the twelve parameters of the classical radial law, and the
number of independent deposits (truth: the mean number of spots that end in a layer). A pull is (fit - truth) / error of
the fit, of widths for their logarithm and of rho for atanh rho: where fits are unbiased and errors honest, pulls have
mean 0 and width 1.
"""

Results = dict[str, dict[int, dict[str, Number]]]


def read(path: Path, n: int, n_spots: int) -> Results:
    """Return the finished experiments of this size by configuration and seed."""
    done: Results = {name: {} for name in CONFIGURATIONS}
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            if (record["n"], record["n_spots"]) == (n, n_spots):
                numbers = {name: Number(*values) for name, values in record["numbers"].items()}
                done[record["configuration"]][record["seed"]] = numbers
    return done


def _seed(name: str, number: int) -> int:
    """Return a seed that no other configuration has, so that fluctuations are not shared."""
    return 100_000 * list(CONFIGURATIONS).index(name) + number


def rows(experiments: Sequence[dict[str, Number]]) -> list[str]:
    """Return the lines of the table of one configuration."""
    lines = [
        "| number | truth | mean of fits - truth | error of one fit | mean pull | width of pulls |",
        "|---|---|---|---|---|---|",
    ]
    count = len(experiments)
    for name in experiments[0]:
        numbers = [e[name] for e in experiments]
        difference = np.array([k.value - k.truth for k in numbers])
        pulls = np.array([k.pull for k in numbers])
        truth = np.mean([k.truth for k in numbers])
        error = np.mean([k.error for k in numbers])
        of_mean = difference.std(ddof=1) / np.sqrt(count)
        lines.append(
            f"| {name} | {truth:.4g} | {difference.mean():+.2g} ± {of_mean:.1g} | {error:.2g}"
            f" | {pulls.mean():+.2f} ± {pulls.std(ddof=1) / np.sqrt(count):.2f}"
            f" | {pulls.std(ddof=1):.2f} ± {pulls.std(ddof=1) / np.sqrt(2 * count - 2):.2f} |"
        )
    return lines


def document(done: Results, n: int, n_spots: int) -> str:
    text = [
        "# Closure: known laws in, the same laws out",
        "",
        _INTRODUCTION.format(n=n, n_spots=n_spots, energies=", ".join(f"{e / 1000:g}" for e in ENERGIES)).strip(),
        "",
        (Path(__file__).parent / "findings.md").read_text(encoding="utf-8").strip(),
    ]
    for name, experiments in done.items():
        if len(experiments) > 1:
            title = CONFIGURATIONS[name].title
            text += ["", f"## {title[0].upper()}{title[1:]}: {len(experiments)} experiments", ""]
            text += rows(list(experiments.values()))
    return "\n".join(text) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--toys", type=int, default=200, help="experiments per configuration")
    parser.add_argument("--showers", type=int, default=60, help="per energy")
    parser.add_argument("--spots", type=int, default=400, help="per shower")
    parser.add_argument("--configurations", nargs="+", choices=list(CONFIGURATIONS), default=list(CONFIGURATIONS))
    parser.add_argument("--minutes", type=float, default=15.0, help="stop after this time")
    parser.add_argument("--results", type=Path, default=Path("closure.jsonl"), help="finished experiments, appended to")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/closure.md"))
    options = parser.parse_args()
    started = time.monotonic()
    done = read(options.results, options.showers, options.spots)
    with tempfile.TemporaryDirectory() as folder, options.results.open("a", encoding="utf-8") as results:
        geometries = {name: load(name, Path(folder)) for name in options.configurations}
        # Seed by seed, so that a study cut short holds as much of every configuration.
        for seed in range(options.toys):
            for name, geometry in geometries.items():
                if seed in done[name]:
                    continue
                if time.monotonic() - started > 60.0 * options.minutes:
                    break
                numbers = experiment(name, geometry, seed=_seed(name, seed), n=options.showers, n_spots=options.spots)
                done[name][seed] = numbers
                record = {
                    "configuration": name,
                    "seed": seed,
                    "n": options.showers,
                    "n_spots": options.spots,
                    "numbers": {key: (k.value, k.error, k.truth, k.scale) for key, k in numbers.items()},
                }
                results.write(json.dumps(record) + "\n")
                results.flush()
    with atomic_output(options.output) as path:
        path.write_text(document(done, options.showers, options.spots), encoding="utf-8")


if __name__ == "__main__":
    main()
