"""Judge the modulation in phi and the start of hadron showers on the full samples, and write docs/modulation.md.

    python -m tests.fidelity.modulation DATA [-o docs/modulation.md] [--recipe gflash --recipe voxel ...]

DATA holds a directory per geometry, in the layouts of the shipped geometries. Everything is fitted to even rows and
judged on odd rows, harmonics, orders and significance included. The reduced versions in the suite are
`tests/fit/test_fit_modulation.py`, `tests/fit/test_fit_hadron_start.py` and `tests/cli/test_cli_check.py`.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import stats

from fastparam.errors import FastparamError, FastparamWarning
from fastparam.fit import hadron_start, modulation, modulation_fit, phase_profile
from fastparam.fit.fit import Fit
from fastparam.fit.phase_search import FALSE_ALARM, search
from fastparam.generate.tuned import TunedGenerator
from fastparam.geometry.detector import Geometry
from fastparam.geometry.shipped import shipped_recipes
from fastparam.particles import Particles, particle_name
from fastparam.showers.showers import Showers
from fastparam.summary import Summary, summarise_sample
from fastparam.summary.points import energy_points
from fastparam.summary.shower_start import shower_start
from fastparam.tunes.fitting import fit_tune
from fastparam.tunes.recipe import load_recipe
from fastparam.tunes.slices import eta_slices, in_slice
from tests.full_samples import with_files

Floats = npt.NDArray[np.float64]

FILES = ["photons_eta020", "photons_eta040", "photons_eta060", "electrons_eta020", "pions_eta020"]

#: Sampled showers per judged one.
REPEAT = 5
SEED = 20261125
NULLS = 200
REPLICAS = 400

INTRODUCTION = """# Modulation in phi, and pions without a shower

Written by `python -m tests.fidelity.modulation DATA`.
Liquid-argon accordion, full samples: fitted to even rows, judged on odd ones. A quantity is the visible energy of the
shower ("total") or of a layer; psi is phi modulo the pitch of the absorbers, 2 pi/1024. What the component is, and how
it is undone and applied: `fastparam/fit/modulation.py`.

What it says. The total is modulated by 1.3 to 1.9 %, strips and middle with opposite phase by 3 to 8 %, the back by 12
to 28 %; one cosine describes each of them, and no sine is asked for. Of 192 bins of odd rows none lies more than 3.1
standard errors from the law (family limit 4.0 at 1 %), and after undoing none of 192 harmonics exceeds 2.7. Undoing
narrows photons of 65 GeV at eta 0.2 from 1.66 to 1.24 %, and takes A²/2 off the variance: 1.21 ± 0.20 where 1.37 is
expected (1e-4; other slices and electrons likewise). What is sampled follows: in every recipe all first harmonics are
within 2.0 standard errors of full simulation. Strips are less modulated at low energies than at high ones, more so than
a law constant in ln E has it; even rows alone are too few to ask for a slope there, except for electrons.

A quarter of the pions passes, and every recipe has that fraction within 2.1 standard errors, energy by energy too.
"""


class Group:
    """Showers of one particle in one slice."""

    def __init__(self, geometry: Geometry, showers: Summary, pdg: int, eta: tuple[float, float]) -> None:
        own = (showers.particles.pdg == pdg) & in_slice(showers.particles.eta, eta)
        self.geometry, self.pdg, self.eta = geometry, pdg, eta
        self.train, self.judge = (showers.take(own & (showers.row % 2 == k)) for k in (0, 1))

    def __str__(self) -> str:
        return f"{particle_name(self.pdg)}, eta {self.eta[0]:g} to {self.eta[1]:g}"

    def fit(self) -> Fit:
        s = self.train
        return modulation_fit.fit(self.geometry, s.particles, s.layer_energy, energy_points(s.particles.energy))


def groups(geometry: Geometry, showers: Summary, pdgs: tuple[int, ...]) -> list[Group]:
    found = []
    for pdg in pdgs:
        for eta in eta_slices(geometry, showers.particles) or []:
            group = Group(geometry, showers, pdg, eta)
            if len(group.train):
                found.append(group)
    return found


def quantities(geometry: Geometry, layer_energy: Floats) -> Iterator[tuple[str, int, Floats]]:
    """Name, column and values of the total and of the modulated layers."""
    yield "total", 0, layer_energy.sum(axis=1)
    declared = geometry.config.modulation
    assert declared is not None
    for layer in declared.layers:
        k = int(geometry.layer_index(np.array([layer]))[0])
        yield f"layer {layer}", 1 + k, layer_energy[:, k]


def recovered(group: Group, law: Fit) -> list[str]:
    """One line per quantity: what was fitted, and odd rows against it before and after undoing."""
    s, geometry = group.judge, group.geometry
    energy, points = s.particles.energy, energy_points(s.particles.energy)
    psi = modulation.phases(geometry, s.particles)
    flat = modulation.undo(modulation.evaluate(law, energy, psi), s.layer_energy)
    after_of = {name: v for name, _, v in quantities(geometry, flat)}
    expected, spread = model(group, law)
    lines = []
    for name, column, before in quantities(geometry, s.layer_energy):
        term = law.settings["terms"][name.replace(" ", "")]
        mean, error = phase_profile.profile(before, energy, psi[:, column], points)
        pulls = (mean - expected[:, column]) / np.hypot(error, spread[:, column])
        chi2 = float(np.nansum(pulls**2))
        first, first_error, *_ = phase_profile.harmonics_test(before, energy, psi[:, column], points, 1)
        left, left_error, *_ = phase_profile.harmonics_test(after_of[name], energy, psi[:, column], points, 6)
        chosen = (
            f"{term['harmonics']} {'cos' if term['symmetric'] else 'cos, sin'}, order {term['degree']}"
            if term["harmonics"]
            else "none"
        )
        lines.append(
            f"| {group} | {name} | {chosen} | {term['p_none']:.1g} | {term['p_left']:.2f} |"
            f" {50 * np.ptp(expected[:, column]):.2f} |"
            f" {100 * first[0, 0]:+.2f} ± {100 * first_error[0, 0]:.2f} | {np.nanmax(np.abs(pulls)):.1f} |"
            f" {chi2:.1f} / {BINS} ({stats.chi2.sf(chi2, BINS):.2f}) | {np.abs(left / left_error).max():.1f} |"
        )
    return lines


BINS = phase_profile.BINS


def model(group: Group, law: Fit) -> tuple[Floats, Floats]:
    """Curves of the law (BINS, 1 + L) on even rows, and their errors from its covariance."""
    s = group.train
    energy, points = s.particles.energy, energy_points(s.particles.energy)
    psi = modulation.phases(group.geometry, s.particles)
    flat = modulation.undo(modulation.evaluate(law, energy, psi), s.layer_energy)
    expected = phase_profile.curve(law, energy, flat, points)
    if not law.names:
        return expected, np.zeros_like(expected)
    rng = np.random.default_rng(SEED)
    drawn = rng.multivariate_normal(law.values, law.covariance, size=40)
    curves = [phase_profile.curve(replace(law, values=one), energy, flat, points) for one in drawn]
    return expected, np.std(curves, axis=0)


def resolution(group: Group, law: Fit) -> list[str]:
    """Variance of the total before and after undoing, odd rows, per energy from 8 GeV; A is the law's amplitude."""
    s = group.judge
    energy, points = s.particles.energy, energy_points(s.particles.energy)
    factors = modulation.evaluate(law, energy, modulation.phases(group.geometry, s.particles))
    before, after = s.visible / energy, modulation.undo(factors, s.layer_energy).sum(axis=1) / energy
    expected = np.var(factors[:, 0])
    rng = np.random.default_rng(SEED)
    lines = []
    gains, weights = [], []
    for p in range(len(points)):
        rows = np.flatnonzero(points.point == p)
        if points.energy[p] < 7900.0 or len(rows) < 15:
            continue
        # The core alone: a shower that lost most of its energy would decide the variance by itself.
        middle, half = np.median(before[rows]), 4.0 * half_width(before[rows])
        rows = rows[np.abs(before[rows] - middle) < half]
        w = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=REPLICAS)
        sides = [relative_variance(v[rows], np.vstack([np.ones(len(rows)), w])) for v in (before, after)]
        gain = sides[0] - sides[1]
        gains.append(gain[0])
        weights.append(1.0 / gain[1:].std() ** 2)
        lines.append(
            f"| {group} | {points.energy[p] / 1000:.4g} | {len(rows)} | {100 * np.sqrt(sides[0][0]):.2f} |"
            f" {100 * np.sqrt(sides[1][0]):.2f} | {1e4 * gain[0]:.2f} ± {1e4 * gain[1:].std():.2f} |"
            f" {1e4 * expected:.2f} |"
        )
    mean, error = np.average(gains, weights=weights), 1.0 / np.sqrt(np.sum(weights))
    lines.append(
        f"| {group} | all | | | | **{1e4 * mean:.2f} ± {1e4 * error:.2f}** ({(mean - expected) / error:+.1f}) |"
        f" {1e4 * expected:.2f} |"
    )
    return lines


def half_width(values: Floats) -> float:
    low, high = np.quantile(values, [0.1587, 0.8413])
    return float(0.5 * (high - low))


def relative_variance(values: Floats, weights: Floats) -> Floats:
    """Variance over squared mean for every row of weights."""
    n = weights.sum(axis=1)
    mean = weights @ values / n
    return np.asarray((weights @ values**2 / n - mean**2) / mean**2)


def layer_energy(showers: Showers) -> Floats:
    """Energies per layer (n, L) of sampled showers, whatever they are made of."""
    geometry = showers.geometry
    hits = showers.hits
    inside = hits.layer >= 0
    flat = hits.shower[inside] * geometry.n_layers + hits.layer[inside]
    sums = np.bincount(flat, weights=hits.e[inside], minlength=len(showers) * geometry.n_layers)
    return sums.reshape(len(showers), geometry.n_layers)


def sampled(group: Group, tune: TunedGenerator) -> list[str]:
    """Curves of sampled showers against odd rows: first harmonic, and chi2 of 12 bins."""
    s, geometry = group.judge, group.geometry
    n = len(s) * REPEAT
    rng = np.random.default_rng(SEED)
    p = s.particles
    phi = rng.uniform(p.phi.min(), p.phi.max(), n)
    rows = np.tile(np.arange(len(s)), REPEAT)
    primaries = Particles.gun(pdg=group.pdg, energy=p.energy[rows], eta=p.eta[rows], phi=phi)
    made = layer_energy(tune.generate(primaries, seed=SEED))
    psi_made, psi = modulation.phases(geometry, primaries), modulation.phases(geometry, p)
    lines = []
    theirs = {name: v for name, _, v in quantities(geometry, made)}
    for name, column, full in quantities(geometry, s.layer_energy):
        curves = []
        for values, particles, phase in ((full, p, psi), (theirs[name], primaries, psi_made)):
            e, points = particles.energy, energy_points(particles.energy)
            a, error, *_ = phase_profile.harmonics_test(values, e, phase[:, column], points, 1)
            curves.append((a[0, 0], error[0, 0], phase_profile.profile(values, e, phase[:, column], points)))
        (a, da, (full_mean, full_error)), (b, db, (mean, error)) = curves
        chi2 = float(np.nansum((mean - full_mean) ** 2 / (error**2 + full_error**2)))
        flat = float(np.nansum((full_mean - 1.0) ** 2 / full_error**2))
        lines.append(
            f"| {tune.tune.recipe.name} | {group} | {name} | {100 * a:+.2f} ± {100 * da:.2f} |"
            f" {100 * b:+.2f} ± {100 * db:.2f} | {(b - a) / np.hypot(da, db):+.1f} |"
            f" {chi2:.1f} / {BINS} ({stats.chi2.sf(chi2, BINS):.2f}) | {flat:.1f} / {BINS} |"
        )
    return lines


def nulls(group: Group) -> list[str]:
    """Phases shifted, eta mirrored, phases shuffled within energies."""
    s, law = group.train, group.fit()
    p, points = s.particles, energy_points(s.particles.energy)
    declared = group.geometry.config.modulation
    assert declared is not None

    def turned(angle: float, mirror: float = 1.0) -> Particles:
        return Particles.gun(pdg=group.pdg, energy=p.energy, eta=mirror * p.eta, phi=p.phi + angle)

    quarter = modulation_fit.fit(group.geometry, turned(-0.25 * declared.pitch), s.layer_energy, points)
    mirrored = modulation_fit.fit(group.geometry, turned(0.0, -1.0), s.layer_energy, points)
    cosine, sine = law["total_a10"], quarter["total_b10"] if "total_b10" in quarter.names else np.nan
    rng = np.random.default_rng(SEED)
    applied = 0
    for _ in range(NULLS):
        order = np.arange(len(s))
        for point in range(len(points)):
            rows = np.flatnonzero(points.point == point)
            order[rows] = rng.permutation(rows)
        found = modulation_fit.fit(group.geometry, p, s.layer_energy[order], points)
        applied += bool(found.settings["applied"])
    e = law.errors[law.names.index("total_a10")]
    return [
        f"- phi shifted by a quarter of the pitch: the cosine of the total, {100 * cosine:.2f} ± {100 * e:.2f} %,"
        f" becomes a sine of {100 * sine:.2f} %.",
        f"- eta mirrored: the same parameters within {np.abs(mirrored.values - law.values).max():.1g}.",
        f"- phases shuffled within energies: a modulation is applied in {applied} of {NULLS} samples"
        f" ({100 * modulation_fit.SIGNIFICANT:g} % expected at most).",
    ]


def false_alarms(geometry: Geometry, showers: Summary, pdgs: tuple[int, ...]) -> list[str]:
    """How often `check` would report a modulation where there is none."""
    rng = np.random.default_rng(SEED)
    own = [
        np.flatnonzero((showers.particles.pdg == pdg) & in_slice(showers.particles.eta, eta))[:1000]
        for pdg in pdgs
        for eta in eta_slices(geometry, showers.particles) or []
    ]
    own = [rows for rows in own if len(rows)]
    energy, phi = showers.particles.energy, showers.particles.phi
    lines = []
    for label, spread in (("over the phi of the sample", None), ("over the whole circle", np.pi)):
        p = []
        for _ in range(NULLS):
            shuffled = phi.copy()
            for rows in own:
                for e in np.unique(np.round(energy[rows], 1)):
                    k = rows[np.round(energy[rows], 1) == e]
                    shuffled[k] = phi[rng.permutation(k)] if spread is None else rng.uniform(-spread, spread, len(k))
            found = search(own, shuffled, energy, showers.layer_energy)
            assert found is not None
            p.append(found.p_value)
        shares = ", ".join(f"{np.mean(np.array(p) < x):.3f} below {x:g}" for x in (0.2, 0.05, 0.01, FALSE_ALARM))
        lines.append(f"- phases shuffled {label}: p-values {shares} ({NULLS} samples)")
    return lines


def pions(geometry: Geometry, group: Group, tunes: list[TunedGenerator]) -> list[str]:
    """Fraction of pions without a start, odd rows, the law of even rows, and sampled."""
    s, t = group.judge, group.train
    law = hadron_start.fit(geometry, t.particles.energy, t.layer_energy, energy_points(t.particles.energy))
    points = energy_points(s.particles.energy)
    full = shower_start(s.layer_energy, geometry) < 0
    made = []
    for tune in tunes:
        rows = np.tile(np.arange(len(s)), REPEAT)
        primaries = s.particles.take(rows).with_index(np.arange(len(rows)))
        made.append(shower_start(layer_energy(tune.generate(primaries, seed=SEED)), geometry) < 0)
    lines = [
        "| E / GeV | showers | full simulation / % | law of even rows / % | "
        + " | ".join(f"{t.tune.recipe.name} / % (pull)" for t in tunes) + " |",
        "|---" * (4 + len(tunes)) + "|",
    ]  # fmt: skip
    for p in [*range(len(points)), None]:
        own = np.ones(len(s), dtype=bool) if p is None else points.point == p
        n, trained = int(own.sum()), len(t) if p is None else int(own.sum())
        seen = full[own].mean()
        error = np.sqrt(max(seen * (1 - seen), 1 / n) / n)
        wanted = hadron_start.no_start_probability(law, s.particles.energy[own]).mean()
        cells = []
        for other in made:
            share = np.tile(own, REPEAT)
            value = other[share].mean()
            # judged, sampled and training showers fluctuate
            both = np.sqrt(error**2 + error**2 * (1 / REPEAT + n / trained))
            cells.append(f"{100 * value:.1f} ({(value - seen) / both:+.1f})")
        label = "all" if p is None else f"{points.energy[p] / 1000:.4g}"
        row = [label, str(n), f"{100 * seen:.1f} ± {100 * error:.1f}", f"{100 * wanted:.1f}", *cells]
        lines.append("| " + " | ".join(row) + " |")
    return lines


def tuned(geometry: Geometry, showers: Summary, name: str, pdg: int) -> TunedGenerator | None:
    """Tune a recipe to even rows; None if it does not describe the particle."""
    recipe = load_recipe(name)
    if pdg not in recipe.particles:
        return None
    training = showers.take(showers.row % 2 == 0)
    slices = eta_slices(geometry, showers.particles)
    try:
        return TunedGenerator(fit_tune(geometry, training, recipe, slices=slices, pdgs=[pdg], quiet=True))
    except FastparamError as error:
        print(f"{name}: {error}")
        return None


def study(data: Path, recipes: list[str]) -> Iterator[str]:
    geometry = with_files("lar_accordion", [data / "lar_accordion" / f"{name}.root" for name in FILES])
    showers = summarise_sample(geometry, keep_hits=any(load_recipe(r).needs_hits for r in recipes))
    em = groups(geometry, showers, (22, 11))
    yield "## Recovered curves\n"
    yield (
        "`p none`: no modulation, `p left`: what is left, both in even rows. Amplitude of the law's curve; first\n"
        "harmonic (cosine) of odd rows, averaged over energies with the weight of their resolution; largest pull and\n"
        "chi2 of their mean in 12 bins against the law, both errors included; largest pull of harmonics 1 to 6 after\n"
        "undoing (12 numbers).\n"
    )
    yield "| showers | quantity | terms | p none | p left | law / % | odd rows / % | pull | chi2 (p) | after |"
    yield "|---" * 10 + "|"
    laws = [(group, group.fit()) for group in em]
    for group, law in laws:
        yield from recovered(group, law)
    yield "\n## Resolution\n"
    yield (
        "RMS of the total about its mean on odd rows, showers within 4 half widths of the median, before and after\n"
        "undoing, and what undoing takes off the relative variance (1e-4); expected: the variance of the factor,\n"
        "A²/2.\n"
    )
    yield "| showers | E / GeV | n | before / % | after / % | gain / 1e-4 (pull) | expected / 1e-4 |"
    yield "|---" * 7 + "|"
    for group, law in laws:
        yield from resolution(group, law)
    yield "\n## Where there is none\n"
    yield from nulls(em[0])
    yield "\n`fastparam check`, searching all periods:\n"
    yield from false_alarms(geometry, showers, (22, 11))
    yield "\n## Sampled curves\n"
    yield (
        "Five sampled showers per odd row, phi uniform, against odd rows: first harmonic, and chi2 of the 12 bins. In\n"
        "the last column odd rows against a flat curve.\n"
    )
    yield "| recipe | showers | quantity | full simulation / % | sampled / % | pull | chi2 (p) | flat |"
    yield "|---" * 8 + "|"
    for name in recipes:
        for pdg in (22, 11):
            tune = tuned(geometry, showers, name, pdg)
            if tune is None:
                continue
            for group in em:
                if group.pdg == pdg:
                    yield from sampled(group, tune)
    yield "\n## Pions without a shower\n"
    yield (
        "Showers without a start: less visible energy than 2.4 minimum-ionising particles leave (151 MeV). Odd rows,\n"
        "± binomial error; pulls with the errors of judged, sampled and training showers.\n"
    )
    made = [tune for name in recipes if (tune := tuned(geometry, showers, name, 211)) is not None]
    yield from pions(geometry, groups(geometry, showers, (211,))[0], made)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--recipe", action="append", help="default: all shipped ones")
    options = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FastparamWarning)
        lines = [INTRODUCTION]
        for line in study(options.data, options.recipe or list(shipped_recipes())):
            print(line, file=sys.stderr, flush=True)
            lines.append(line)
        text = "\n".join(lines)
    if options.output is None:
        print(text)
    else:
        options.output.write_text(text.rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
