"""The recipe `gflash` against full simulation, quantity by quantity, and write docs/gflash_results.md.

    python -m tests.fidelity.gflash DATA [-o docs/gflash_results.md] [--summaries DIR] [--swap]

DATA holds a directory of ROOT files per geometry, in the layouts of the shipped geometries. Tuned on even rows, judged
on odd rows, from 4 GeV; five showers are sampled per judged one. Sampled and judged showers are reduced and fitted with
the same code. With --summaries, summaries are kept there and used again. With --swap odd rows train and even ones
judge, a diagnosis: what is beyond a limit only one way round is a fluctuation of the rows.

A number is candidate minus full simulation. Its standard error comes from a bootstrap over showers of the judging, the
sampled and the training rows. A family of n numbers is kept if every deviation beyond its limit has a pull below the
1 % limit of n numbers. Pooled numbers are means over energies, weighted with their errors, and each is kept if it is
within its limit or within 2 standard errors.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import stats

from fastparam.comparison.sample import depth_groups
from fastparam.comparison.simulate import simulate
from fastparam.fit import layer_factors, longitudinal, radial
from fastparam.fit.profiles import Profiles
from fastparam.generate import TunedGenerator
from fastparam.geometry.detector import Geometry
from fastparam.particles import particle_name
from fastparam.summary import Summary, load_summary, save_summary, summarise_sample
from fastparam.summary.points import energy_points
from fastparam.tunes.fitting import fit_tune, profiles_of, radial_data
from fastparam.tunes.recipe import load_recipe
from fastparam.tunes.slices import eta_slices, in_slice
from fastparam.tunes.tune import SliceTune, Tune
from fastparam.workflow.corrections import QUANTITIES, correction_gains
from fastparam.workflow.report import correction_cells
from fastparam.workflow.validate import judged_showers
from tests.full_samples import FILES, with_files

Floats = npt.NDArray[np.float64]

REPEAT, REPLICAS, SEED = 5, 200, 20261125
LOWEST = 3_900.0

#: Radii below this are the size of the cells in which stored hits were merged, mm.
SMALLEST_RADIUS = 1.5


@dataclass(frozen=True)
class Number:
    """A deviation in per cent (of a correlation: times 100), its error, and where it is."""

    where: str
    deviation: float
    error: float

    @property
    def pull(self) -> float:
        return self.deviation / self.error if self.error > 0 else 0.0

    def __str__(self) -> str:
        return f"{self.deviation:+.1f} ± {self.error:.1f} ({self.pull:+.1f})"


@dataclass(frozen=True)
class Family:
    """Numbers that are judged together; `pooled` ones one by one."""

    title: str
    limit: float
    numbers: list[Number]
    pooled: bool = False

    @property
    def pull_limit(self) -> float:
        return 2.0 if self.pooled else float(stats.norm.isf(0.005 / max(len(self.numbers), 1)))

    @property
    def kept(self) -> bool:
        return all(abs(n.deviation) <= self.limit or abs(n.pull) <= self.pull_limit for n in self.numbers)

    def row(self) -> str:
        beyond = [n for n in self.numbers if abs(n.deviation) > self.limit]
        largest = max(self.numbers, key=lambda n: abs(n.deviation))
        worst = max(beyond, key=lambda n: abs(n.pull), default=None)
        return (
            f"| {self.title} | {self.limit:g} | {len(self.numbers)} | {len(beyond)} | {largest} {largest.where} |"
            f" {'–' if worst is None else f'{worst.pull:+.1f} {worst.where}'} | {self.pull_limit:.1f} |"
            f" {'yes' if self.kept else '**no**'} |"
        )


class Sample:
    """Showers with the shapes that fits find for them."""

    def __init__(self, geometry: Geometry, showers: Summary) -> None:
        showers = showers.take(showers.visible > 0)
        self.geometry, self.showers = geometry, showers
        self.points = energy_points(showers.particles.energy)
        self.profiles = profiles_of(geometry, showers)
        self.shapes = longitudinal.shower_fits(self.profiles, self.points)[1]
        self.theta = self.shapes.theta
        data = radial_data(geometry, showers, self.shapes, self.profiles.depths)
        self.tau, self.entry_shower = data.tau, data.shower

    def at(self, energy: float) -> npt.NDArray[np.int64]:
        """Showers of the energy point next to an energy."""
        p = int(np.argmin(np.abs(np.log(self.points.energy / energy))))
        return np.flatnonzero(self.points.point == p)

    def rings(self, rows: npt.NDArray[np.int64]) -> Floats:
        """Share of each shower's energy in bins of age and rings, shape (n, n_tau, n_r)."""
        s, n_tau, n_r = self.showers, len(radial.TAU_EDGES) - 1, self.showers.binning.n_r
        place = np.full(len(s), -1)
        place[rows] = np.arange(len(rows))
        row, age = place[self.entry_shower], np.searchsorted(radial.TAU_EDGES, self.tau, side="right") - 1
        kept = (row >= 0) & (age >= 0) & (age < n_tau)
        flat = np.bincount(
            (row * n_tau + age)[kept] * n_r + s.content_ring[kept],
            weights=(s.content_energy / s.visible[self.entry_shower])[kept],
            minlength=len(rows) * n_tau * n_r,
        )
        return flat.reshape(len(rows), n_tau, n_r)


Statistic = Callable[[Sample, npt.NDArray[np.int64], Floats], Floats]


def weights(n: int, rng: np.random.Generator) -> Floats:
    """Return weights of showers: once all the same, then replicas; shape (1 + REPLICAS, n)."""
    return np.vstack([np.ones(n), rng.multinomial(n, np.full(n, 1 / n), size=REPLICAS)])


def compare(
    samples: dict[str, Sample], energy: float, statistic: Statistic, *, ratio: bool = True
) -> tuple[Floats, ...]:
    """Value of full simulation, deviation (relative if `ratio`) and its error, each of the statistic's shape."""
    values = {}
    for name, sample in samples.items():
        rows = sample.at(energy)
        values[name] = statistic(sample, rows, weights(len(rows), np.random.default_rng(SEED)))
    with np.errstate(invalid="ignore", divide="ignore"):
        full = values["judging"][0]
        scale = full if ratio else np.ones_like(full)
        variance = sum(np.nanvar(v[1:], axis=0, ddof=1) for v in values.values())
        return full, (values["sampled"][0] - full) / scale, np.sqrt(variance) / np.abs(scale)


def width(x: Floats, w: Floats) -> Floats:
    """Half the central 68 % of values (n,) for every row of weights (B, n)."""
    order = np.argsort(x)
    below = (np.cumsum(w[:, order], axis=1) - 0.5 * w[:, order]) / w.sum(axis=1, keepdims=True)
    return np.array([0.5 * np.diff(np.interp([0.1587, 0.8413], row, x[order]))[0] for row in below])


def mean(x: Floats, w: Floats) -> Floats:
    return (w @ x) / w.sum(axis=1)


def rms(x: Floats, w: Floats) -> Floats:
    return np.sqrt(np.maximum(mean(x**2, w) - mean(x, w) ** 2, 0.0))


def shapes(sample: Sample, rows: npt.NDArray[np.int64], w: Floats) -> Floats:
    """RMS and width of ln T and ln alpha, and their correlation; (B, 5)."""
    t, a = sample.theta[rows].T
    t, a = t - t.mean(), a - a.mean()
    rho = (mean(t * a, w) - mean(t, w) * mean(a, w)) / (rms(t, w) * rms(a, w))
    return np.column_stack([rms(t, w), width(t, w), rms(a, w), width(a, w), rho])


def response(sample: Sample, rows: npt.NDArray[np.int64], w: Floats) -> Floats:
    """Mean, and width and RMS relative to the mean, of the visible share; (B, 3)."""
    x = sample.showers.visible[rows] / sample.showers.particles.energy[rows]
    m = mean(x, w)
    return np.column_stack([m, width(x, w) / m, rms(x, w) / m])


def leakage(sample: Sample, rows: npt.NDArray[np.int64], w: Floats) -> Floats:
    """Mean, width and RMS of what is not seen; (B, 3)."""
    x = 1.0 - sample.showers.visible[rows] / sample.showers.particles.energy[rows]
    return np.column_stack([mean(x, w), width(x, w), rms(x, w)])


def quantile_radii(energy: Floats, edges: Floats) -> Floats:
    """R50 and R90 of ring energies (..., n_r), shape (..., 2)."""
    inside = np.cumsum(energy, axis=-1)[..., :-1]
    total = energy.sum(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        flat = np.concatenate([np.zeros_like(total), inside / total], axis=-1).reshape(-1, len(edges) - 1)
    found = np.array([np.sqrt(np.interp([0.5, 0.9], row, edges[:-1] ** 2)) for row in flat])
    return found.reshape(*energy.shape[:-1], 2)


def radii(sample: Sample, rows: npt.NDArray[np.int64], w: Floats) -> Floats:
    """R50 and R90 in mm per bin of age and, last, of all ages; (B, n_tau + 1, 2)."""
    rings = np.einsum("bn,nar->bar", w, sample.rings(rows), optimize=True)
    s = sample.showers
    everything = w @ (s.ring_energy[rows] / s.visible[rows, None])
    return quantile_radii(np.concatenate([rings, everything[:, None]], axis=1), s.binning.r_edges)


def tail(sample: Sample, rows: npt.NDArray[np.int64], w: Floats) -> Floats:
    """Share of the energy beyond 100 mm (the next edge); (B, 1)."""
    s = sample.showers
    beyond = int(np.argmin(np.abs(s.binning.r_edges - 100.0)))
    return (mean((s.ring_energy[rows, beyond:].sum(axis=1) / s.visible[rows]), w))[:, None]


def layers(sample: Sample, rows: npt.NDArray[np.int64], w: Floats) -> Floats:
    s = sample.showers
    return (w @ s.layer_energy[rows]) / (w @ s.visible[rows])[:, None]


class Depth:
    """Bins of about 1 X0 of the main medium, from the training showers, the same for all samples."""

    def __init__(self, training: Sample) -> None:
        medium = training.profiles.medium
        self.main = medium == training.profiles.main_medium
        layer = training.showers.binning.cell_layer[self.main]
        groups, self.low, self.high = depth_groups(training.geometry, training.profiles.depths[:, self.main], layer)
        self.member = (groups[:, None] == np.arange(len(self.low))).astype(np.float64)

    def shares(self, cells: Floats) -> Floats:
        """Cell energies (n, C) -> energies per bin (n, G)."""
        return cells[:, self.main] @ self.member

    def statistic(self, sample: Sample, rows: npt.NDArray[np.int64], w: Floats) -> Floats:
        """Mean profile in units of its maximum."""
        profile = w @ (self.shares(sample.profiles.cell_energy[rows]) / sample.showers.visible[rows, None])
        return profile / profile.sum(axis=1, keepdims=True)


def pool(numbers: list[Number], where: str) -> Number:
    """Mean of numbers, weighted with their errors."""
    known = [n for n in numbers if np.isfinite(n.deviation) and n.error > 0]
    w = np.array([1 / n.error**2 for n in known])
    return Number(where, float(w @ [n.deviation for n in known] / w.sum()), float(w.sum() ** -0.5))


def same_showers(part: SliceTune, samples: dict[str, Sample], depth: Depth, energy: float) -> tuple[Floats, Floats]:
    """Mean of the modelled minus the mean of the same showers in % of the maximum, with errors, per bin of depth.

    Modelled: gamma profile with the shower's own T and alpha, warp and layers of the tune. The error is that of the
    judging showers and of the training showers, which warp and layers were fitted to.
    """
    (d, error), (_, of_training) = (
        _same(part, samples[k], depth, samples[k].at(energy)) for k in ("judging", "training")
    )
    return d, np.hypot(error, of_training)


def _same(part: SliceTune, judging: Sample, depth: Depth, rows: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    p, s = judging.profiles, judging.showers
    some = Profiles(p.energy[rows], p.ln_y[rows], p.cell_energy[rows], p.depths[rows], p.medium)
    cells = layer_factors.cell_energy(
        some, judging.theta[rows], part.components["layers"], part.components.get("warp"), s.binning.cell_layer,
        part.components.get("layer_factors"),
    )  # fmt: skip
    full, model = (depth.shares(c) for c in (p.cell_energy[rows], cells))
    full, model = full / full.sum(axis=1, keepdims=True), model / model.sum(axis=1, keepdims=True)
    peak = full.mean(axis=0).max() / 100.0
    difference = model - full
    return difference.mean(axis=0) / peak, difference.std(axis=0, ddof=1) / np.sqrt(len(rows)) / peak


def families(tune: Tune, part: SliceTune, samples: dict[str, Sample], name: str) -> Iterator[Family]:
    """All families of one particle and slice."""
    judging = samples["judging"]
    energies = [e for e in judging.points.energy if e > LOWEST and len(judging.at(e)) >= 10]
    photon, accordion = part.pdg == 22, name == "lar_accordion"
    depth = Depth(samples["training"])

    def label(energy: float) -> str:
        return f"at {energy / 1000:.3g} GeV"

    found: dict[str, list[Number]] = {}
    for e in energies:
        _, d, error = compare(samples, e, shapes)
        for k, q in enumerate(
            ("sigma(ln T), RMS", "sigma(ln T), width", "sigma(ln alpha), RMS", "sigma(ln alpha), width")
        ):
            found.setdefault(q, []).append(Number(label(e), 100 * d[k], 100 * error[k]))
        _, d, error = compare(samples, e, shapes, ratio=False)
        found.setdefault("rho x 100", []).append(Number(label(e), 100 * d[4], 100 * error[4]))
    for q, numbers in found.items():
        yield Family(f"{q}, per energy", 10, numbers)
        yield Family(f"{q}, pooled", 3, [pool(numbers, "pooled")], pooled=True)

    fitted, sampled = [], []
    for e in energies:
        d, error = same_showers(part, samples, depth, e)
        fitted += [Number(f"{label(e)}, {depth.low[k]:.1f} X0", d[k], error[k]) for k in range(len(d))]
        full, d, error = compare(samples, e, depth.statistic, ratio=False)
        peak = full.max() / 100.0
        sampled += [Number(f"{label(e)}, {depth.low[k]:.1f} X0", d[k] / peak, error[k] / peak) for k in range(len(d))]
    yield Family("profiles of the same showers, % of maximum", 2 if photon and accordion else 3, fitted)
    yield Family("mean profile of sampled showers, % of maximum", 3, sampled)
    yield Family("the same, aim", 1.5, sampled)

    per_bin: dict[str, list[Number]] = {"R50": [], "R90": []}
    pooled: dict[str, list[Number]] = {"R50": [], "R90": []}
    far: list[Number] = []
    for e in energies:
        full, d, error = compare(samples, e, radii)
        for j, q in enumerate(per_bin):
            for a in range(full.shape[0] - 1):
                held = np.isfinite(d[a, j]) and error[a, j] > 0
                if held and full[a, j] >= SMALLEST_RADIUS:
                    low, high = radial.TAU_EDGES[a : a + 2]
                    where = f"{label(e)}, tau {low:g}–{high:g}"
                    per_bin[q].append(Number(where, 100 * d[a, j], 100 * error[a, j]))
            pooled[q].append(Number(label(e), 100 * d[-1, j], 100 * error[-1, j]))
        _, d, error = compare(samples, e, tail)
        far.append(Number(label(e), 100 * d[0], 100 * error[0]))
    for q, numbers in per_bin.items():
        yield Family(f"{q} per bin of age", 5, numbers)
        yield Family(f"{q}, all ages", 3, pooled[q])
        yield Family(f"{q}, all ages, aim", 2, pooled[q])
    yield Family("share of the energy beyond 100 mm", 10, far)

    seen, narrow, spread, lost = [], [], [], {q: [] for q in ("mean", "width")}
    for e in energies:
        _, d, error = compare(samples, e, response)
        seen.append(Number(label(e), 100 * d[0], 100 * error[0]))
        narrow.append(Number(label(e), 100 * d[1], 100 * error[1]))
        spread.append(Number(label(e), 100 * d[2], 100 * error[2]))
        _, d, error = compare(samples, e, leakage)
        for k, q in enumerate(lost):
            lost[q].append(Number(label(e), 100 * d[k], 100 * error[k]))
    yield Family("mean visible energy", 1, seen)
    if name == "pbwo4":
        yield Family("leakage, mean", 15, lost["mean"])
        yield Family("leakage, width", 25, lost["width"])
    else:
        for q, numbers in (("width", narrow), ("RMS", spread)):
            yield Family(f"resolution, {q}, per energy", 10, numbers)
            yield Family(f"resolution, {q}, pooled", 5, [pool(numbers, "pooled")], pooled=True)
    if 1 < tune.geometry.n_layers < 10:
        for k, layer in enumerate(tune.geometry.layer_names):
            numbers = []
            for e in energies:
                _, d, error = compare(samples, e, layers)
                numbers.append(Number(label(e), 100 * d[k], 100 * error[k]))
            yield Family(f"mean energy of layer {layer}", 5, numbers)


def corrections(tune: Tune, showers: Summary) -> list[str]:
    """Return the table of what each correction buys, on showers that were not tuned on."""
    rows = [correction_cells(row) for row in correction_gains(tune, judged_showers(tune, showers))]
    heading = [
        "| " + " | ".join(("particle", "with", *QUANTITIES.values())) + " |",
        "|---" * (2 + len(QUANTITIES)) + "|",
    ]
    return [*heading, *("| " + " | ".join(row) + " |" for row in rows), ""]


def study(name: str, data: Path, summaries: Path | None, *, swap: bool = False) -> list[str]:
    geometry = with_files(name, [data / name / f for f in FILES[name]])
    stored = None if summaries is None else summaries / f"{name}.h5"
    if stored is not None and stored.exists():
        showers = load_summary(stored)[0]
    else:
        showers = summarise_sample(geometry)
        if stored is not None:
            save_summary(stored, showers, geometry)
    trained = showers.row % 2 == (1 if swap else 0)
    started = time.process_time()
    tune = fit_tune(
        geometry,
        showers.take(trained),
        load_recipe("gflash"),
        slices=eta_slices(geometry, showers.particles),
        quiet=True,
    )
    fit_time = (time.process_time() - started) / len(tune.slices)
    lines = [f"## {name}", "", f"Fit: {fit_time:.1f} s of processor time per particle and slice.", ""]
    lines += ["What each correction buys, odd rows:", "", *corrections(tune, showers.take(~trained))]
    for part in tune.slices:
        own = (showers.particles.pdg == part.pdg) & in_slice(showers.particles.eta, part.eta)
        judged = showers.take(own & ~trained)
        copies, _ = simulate(
            geometry, TunedGenerator(tune), judged.particles, judged.binning, seed=SEED, repeat=REPEAT
        )  # fmt: skip
        samples = {
            "training": Sample(geometry, showers.take(own & trained)),
            "judging": Sample(geometry, judged),
            "sampled": Sample(geometry, copies),
        }
        title = particle_name(part.pdg) + ("" if part.eta is None else f", eta {part.eta[0]:g}–{part.eta[1]:g}")
        lines += [
            f"### {name}: {title}, {len(judged)} judging showers",
            "",
            "| quantity | limit / % | numbers | beyond | largest deviation / % ± error (pull) | largest pull beyond |"
            " pull limit | kept |",
            "|---|---|---|---|---|---|---|---|",
        ]
        lines += [family.row() for family in families(tune, part, samples, name) if family.numbers]
        lines.append("")
        print("\n".join(lines[-40:]), flush=True)
    return lines


INTRODUCTION = """# The recipe `gflash` against full simulation

Written by `python -m tests.fidelity.gflash DATA`. Tuned on even rows of the full samples, judged on odd rows, from
4 GeV. Five showers are sampled per judged one; sampled and judged showers are reduced and fitted with the same code.
Deviations are sampled minus full simulation in per cent, with the standard error of judging, sampled and training
showers (bootstrap; the training showers' own error of the same number is an upper estimate), pull in brackets.

A family is kept if every deviation beyond its limit has a pull below the 1 % limit of as many numbers; a pooled number
if it is within its limit or 2 standard errors. "Profiles of the same showers": gamma profile with the shower's own
(T, alpha), warped and with what layers get on top, minus the shower itself; no law of (T, alpha) and no sampling is in
it. Radii are judged where full simulation has more than 1.5 mm. "RMS" and "width" (half the central 68 %) are of the
posterior (ln T, ln alpha) that the same fit finds for each shower.

"What each correction buys" asks the model for the mean of the same showers, each at its own (T, alpha), with each
correction switched off in turn. Profiles and layers: rms over energies (and layers with more than 0.2 % of the energy).
Radii: median over energies and bins of age, weighted with the energy. The last three columns are ratios to full
simulation, minus one.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/gflash_results.md"))
    parser.add_argument("--summaries", type=Path)
    parser.add_argument("--swap", action="store_true", help="train on odd rows, judge on even ones")
    parser.add_argument("--only", nargs="*", default=list(FILES))
    options = parser.parse_args()
    text = [INTRODUCTION]
    for name in options.only:
        text += study(name, options.data, options.summaries, swap=options.swap)
    options.output.write_text("\n".join(text).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
