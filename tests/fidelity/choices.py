"""Settings of the recipe `gflash`, judged within the even rows of the full samples only.

    python -m tests.fidelity.choices DATA [--summaries DIR] [--only NAME ...] [-o FILE]

Two folds: rows 0 mod 4 tune and rows 2 mod 4 judge, then the other way round; odd rows are not read. Every setting is
judged by the same numbers as in `tests.fidelity.gflash`, pooled over energies from 4 GeV and over both folds: sampled
showers minus full simulation, both fitted with the same code. Also the share of photons that leave less than 0.5 MeV
in the first layer, where that is a presampler, and the processor time of the fit.

The form of the correction `layers` is judged without sampling: rms deviation of the mean energies of layers of the same
showers, each at its own (T, alpha), over energies and layers with more than 0.2 % of the energy; and the RMS of
ln alpha, fitted back, of these modelled showers over that of the showers themselves, which corrections must not change.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastparam.comparison.simulate import simulate
from fastparam.fit import layer_factors, longitudinal
from fastparam.generate import TunedGenerator
from fastparam.geometry.detector import Geometry
from fastparam.particles import particle_name
from fastparam.summary import Summary, load_summary, save_summary, summarise_sample
from fastparam.tunes.fitting import fit_tune
from fastparam.tunes.recipe import load_recipe
from fastparam.tunes.slices import eta_slices, in_slice
from fastparam.tunes.tune import SliceTune
from tests.fidelity.gflash import LOWEST, REPEAT, SEED, Depth, Number, Sample, compare, pool, shapes
from tests.full_samples import FILES, with_files

Floats = npt.NDArray[np.float64]

#: Fewest showers of a particle and slice in a fold.
_FEWEST = 120
_EMPTY = 0.5
_SMALLEST_LAYER = 0.002

SETTINGS: dict[str, dict[str, Any]] = {
    "normal": {"corrections": ["warp", "layers", "radial", "spots"]},
    "`marginals`": {"corrections": ["warp", "layers", "radial", "spots", "marginals"]},
    "`conversion`": {"photons": "conversion", "corrections": ["warp", "layers", "radial", "spots"]},
    "normal, spline": {"longitudinal_law": "spline", "corrections": ["warp", "layers", "radial", "spots"]},
    "normal, no `layers`": {"corrections": ["warp", "radial", "spots"]},
}
QUANTITIES = ("sigma(ln T)", "width", "sigma(ln alpha)", "width", "rho x 100")


@dataclass(frozen=True)
class Fold:
    """Training and judging showers of one geometry."""

    geometry: Geometry
    training: Summary
    judging: Summary


def folds(geometry: Geometry, showers: Summary) -> list[Fold]:
    """Return both ways of tuning on one half of the even rows and judging on the other."""
    halves = [showers.take(showers.row % 4 == k) for k in (0, 2)]
    return [Fold(geometry, halves[0], halves[1]), Fold(geometry, halves[1], halves[0])]


def _of(showers: Summary, part: SliceTune) -> Summary:
    return showers.take((showers.particles.pdg == part.pdg) & in_slice(showers.particles.eta, part.eta))


def judge(
    fold: Fold, update: dict[str, Any], pdgs: tuple[int, ...]
) -> dict[str, tuple[dict[str, list[Number]], float]]:
    """Tune, sample, and compare; by particle and slice the numbers of every quantity, and the time of the fit."""
    recipe = load_recipe("gflash").model_copy(update=update)
    started = time.process_time()
    slices = eta_slices(fold.geometry, fold.training.particles)
    tune = fit_tune(fold.geometry, fold.training, recipe, slices=slices, quiet=True)
    seconds = (time.process_time() - started) / len(tune.slices)
    found = {}
    for part in tune.slices:
        judging, training = _of(fold.judging, part), _of(fold.training, part)
        if part.pdg not in pdgs or min(len(judging), len(training)) < _FEWEST:
            continue
        copies, _ = simulate(
            fold.geometry, TunedGenerator(tune), judging.particles, judging.binning, seed=SEED, repeat=REPEAT
        )
        samples = {
            name: Sample(fold.geometry, s)
            for name, s in (("training", training), ("judging", judging), ("sampled", copies))
        }
        title = particle_name(part.pdg) + ("" if part.eta is None else f", eta {part.eta[0]:g}–{part.eta[1]:g}")
        found[title] = _numbers(samples, part), seconds
    return found


def _numbers(samples: dict[str, Sample], part: SliceTune) -> dict[str, list[Number]]:
    points = samples["judging"].points
    numbers: dict[str, list[Number]] = {}
    depth = Depth(samples["training"])
    for energy in points.energy:
        if energy < LOWEST or len(samples["judging"].at(energy)) < 10:
            continue
        where = f"{energy / 1000:.3g} GeV"
        _, d, error = compare(samples, energy, shapes)
        _, absolute, absolute_error = compare(samples, energy, shapes, ratio=False)
        for k, q in enumerate(QUANTITIES):
            value, of_value = (absolute[k], absolute_error[k]) if k == 4 else (d[k], error[k])
            numbers.setdefault(f"{k} {q}", []).append(Number(where, 100 * float(value), 100 * float(of_value)))
        full, d, error = compare(samples, energy, depth.statistic, ratio=False)
        peak = full.max() / 100.0
        # Over bins: rms of the deviations with what their errors alone would give taken out.
        excess = float(np.mean(d**2 - error**2)) / peak**2
        numbers.setdefault("profile", []).append(Number(where, excess, float(np.mean(error**2)) / peak**2))
        if part.pdg == 22 and samples["judging"].geometry.layer_names[0] == "presampler":
            _, d, error = compare(samples, energy, _empty, ratio=False)
            numbers.setdefault("empty", []).append(Number(where, 100 * float(d[0]), 100 * float(error[0])))
    return numbers


def _empty(sample: Sample, rows: npt.NDArray[np.int64], w: Floats) -> Floats:
    return (w @ (sample.showers.layer_energy[rows, 0] < _EMPTY) / w.sum(axis=1))[:, None]


def _both(numbers: list[Number]) -> str:
    """Mean over folds and energies. A shower tunes in one fold and judges in the other: errors are of one fold."""
    pooled = pool(numbers, "")
    return f"{pooled.deviation:+.1f} ± {pooled.error * np.sqrt(2.0):.1f}"


def population_table(everything: list[Fold]) -> list[str]:
    """Return the table of the settings of photons, and of laws and layers for all particles."""
    lines = [
        "| particle | setting | sigma(ln T) / % | width | sigma(ln alpha) / % | width | rho x 100 | mean profile, rms"
        " beyond errors / % of maximum | empty presamplers / % | fit / s |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    rows: dict[str, list[str]] = {}
    for setting, update in SETTINGS.items():
        photons_only = "spline" not in setting and "layers" not in setting and setting != "normal"
        both = [judge(fold, update, (22,) if photons_only else (22, 11)) for fold in everything]
        for title in both[0]:
            joined = {
                q: [n for found in both if title in found for n in found[title][0].get(q, [])]
                for q in both[0][title][0]
            }
            profile = np.mean([n.deviation for n in joined["profile"]])
            cells = [_both(joined[f"{k} {q}"]) for k, q in enumerate(QUANTITIES)]
            cells += [f"{np.sign(profile) * np.sqrt(abs(profile)):.1f}"]
            cells += [_both(joined["empty"]) if joined.get("empty") else "–", f"{both[0][title][1]:.1f}"]
            rows.setdefault(title, []).append(f"| {title} | {setting} | " + " | ".join(cells) + " |")
        print("\n".join(row[-1] for row in rows.values()), flush=True)
    return lines + [row for group in rows.values() for row in group]


def layer_table(everything: list[Fold]) -> list[str]:
    """Return the table of forms of the correction `layers`."""
    lines = [
        "| particle | layers | deviation of layer energies / % | its error / % | RMS of ln alpha, modelled over own |",
        "|---|---|---|---|---|",
    ]
    found: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    for fold in everything:
        slices = eta_slices(fold.geometry, fold.training.particles)
        tune = fit_tune(fold.geometry, fold.training, load_recipe("gflash"), slices=slices, quiet=True)
        for part in tune.slices:
            training, judging = (_of(s, part) for s in (fold.training, fold.judging))
            if min(len(judging), len(training)) < _FEWEST:
                continue
            title = particle_name(part.pdg) + ("" if part.eta is None else f", eta {part.eta[0]:g}–{part.eta[1]:g}")
            of_training, own = Sample(fold.geometry, training), Sample(fold.geometry, judging)
            for form in ("none", "added energy (`layers`)", "factors"):
                cells = _modelled(own, of_training, part, form)
                found.setdefault((title, form), []).append(_layers_of(own, cells))
    for (title, form), both in found.items():
        deviation, error, ratio = np.mean(both, axis=0)
        lines.append(f"| {title} | {form} | {deviation:.1f} | {error:.1f} | {ratio:.3f} |")
    return lines


def _modelled(sample: Sample, training: Sample, part: SliceTune, form: str) -> Floats:
    """Cell energies of the sample's showers, each at its own (T, alpha)."""
    media, bend, cell_layer = (
        part.components["layers"],
        part.components.get("warp"),
        sample.showers.binning.cell_layer,
    )
    added = part.components["layer_factors"] if form.startswith("added") else None
    cells = layer_factors.cell_energy(sample.profiles, sample.theta, media, bend, cell_layer, added)
    if form != "factors":
        return cells
    modelled = layer_factors.expected_energy(training.profiles, training.theta, media, bend, cell_layer)
    x, points = np.log(sample.showers.particles.energy), training.points
    knots, ratios = [], []
    for p in range(len(points)):
        own = points.point == p
        if own.sum() >= 10:
            knots.append(np.log(points.energy[p]))
            seen, expected = training.showers.layer_energy[own].sum(axis=0), modelled[own].sum(axis=0)
            ratios.append(np.where(expected > 0, seen / np.where(expected > 0, expected, 1.0), 1.0))
    factor = np.column_stack([np.interp(x, knots, r) for r in np.array(ratios).T])
    cells = cells * factor[:, cell_layer]
    scaled: Floats = cells / cells.sum(axis=1, keepdims=True) * sample.showers.visible[:, None]
    return scaled


def _layers_of(sample: Sample, cells: Floats) -> tuple[float, float, float]:
    s, binning = sample.showers, sample.showers.binning
    to_layer = (binning.cell_layer[:, None] == np.arange(sample.geometry.n_layers)).astype(np.float64)
    modelled = cells @ to_layer
    deviations, errors = [], []
    for p in range(len(sample.points)):
        own = sample.points.point == p
        if own.sum() < 10 or sample.points.energy[p] < LOWEST:
            continue
        full, model = s.layer_energy[own], modelled[own]
        large = full.sum(axis=0) > _SMALLEST_LAYER * full.sum()
        deviations.append(((model - full).mean(axis=0) / full.mean(axis=0))[large])
        error = (model - full).std(axis=0, ddof=1) / np.sqrt(own.sum()) / np.maximum(full.mean(axis=0), 1e-300)
        errors.append(error[large])
    fitted = longitudinal.shower_fits(replace(sample.profiles, cell_energy=cells), sample.points)[1].theta[:, 1]
    high = s.particles.energy > LOWEST

    def spread(ln_alpha: Floats) -> float:
        squares = [np.var(ln_alpha[(sample.points.point == p) & high]) for p in np.unique(sample.points.point[high])]
        return float(np.sqrt(np.mean(squares)))

    rms = [100 * float(np.sqrt(np.mean(np.concatenate(q) ** 2))) for q in (deviations, errors)]
    return rms[0], rms[1], spread(fitted) / spread(sample.theta[:, 1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--summaries", type=Path)
    parser.add_argument("--only", nargs="*", default=list(FILES))
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    text = []
    for name in options.only:
        geometry = with_files(name, [options.data / name / f for f in FILES[name]])
        stored = None if options.summaries is None else options.summaries / f"{name}.h5"
        if stored is not None and stored.exists():
            showers = load_summary(stored)[0]
        else:
            showers = summarise_sample(geometry)
            if stored is not None:
                save_summary(stored, showers, geometry)
        everything = folds(geometry, showers)
        text += [f"## {name}", "", *layer_table(everything), "", *population_table(everything), ""]
        print("\n".join(text[-40:]), flush=True)
    if options.output is not None:
        options.output.write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main()
