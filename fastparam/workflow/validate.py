"""A tune against full simulation that it was not tuned on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from fastparam.comparison.compare import compare_summaries
from fastparam.comparison.comparison import Comparison
from fastparam.comparison.page import Section
from fastparam.comparison.sample import depth_groups
from fastparam.comparison.simulate import simulate
from fastparam.errors import FitError, OutOfDomainError
from fastparam.fit import longitudinal
from fastparam.fit.profiles import Profiles
from fastparam.generate.domain import ENERGY_MARGIN, plan
from fastparam.generate.tuned import TunedGenerator
from fastparam.particles import particle_name
from fastparam.summary import Summary, concatenate, energy_points
from fastparam.summary.points import EnergyPoints
from fastparam.tunes.fitting import ELECTROMAGNETIC, fit_tune, profiles_of
from fastparam.tunes.slices import in_slice
from fastparam.tunes.tune import SliceTune, Tune

__all__ = ["REPEAT", "Judged", "cross_validate", "judged_showers", "kernel_limit", "validate"]

#: Showers sampled per judged shower of full simulation.
REPEAT = 5

Progress = Callable[[str, float], None]


def validate(
    tune: Tune, judging: Summary, training: Summary, *, seed: int, progress: Progress, extra: tuple[Section, ...] = ()
) -> Comparison | None:
    """Compare a tune with showers that it has not seen; None if none of them lies in its domain.

    Parameters
    ----------
    tune : Tune
    judging, training : Summary
        Held-back showers, and those that the tune was fitted to (their statistical error counts too).
    """
    judged = judging.take(_in_domain(tune, judging))
    if not len(judged):
        return None
    sampled, ms = simulate(
        tune.geometry,
        TunedGenerator(tune),
        judged.particles,
        judged.binning,
        seed=seed,
        repeat=REPEAT,
        progress=lambda f: progress("sample for validation", f),
    )
    return _compare(tune, judged, sampled, training, ms, seed, progress, extra, "rows that were not tuned on")


def cross_validate(
    tune: Tune,
    showers: Summary,
    *,
    slices: list[tuple[float, float]] | None,
    seed: int,
    progress: Progress,
    extra: tuple[Section, ...] = (),
) -> Comparison | None:
    """Validate a tune of all rows: every half of the rows judges a tune of the other half.

    The halves are fitted with half the statistics, so that what is found is on the cautious side. None if a half cannot
    support a fit.
    """
    even = showers.row % 2 == 0
    judged_parts, sampled_parts, times = [], [], []
    for fold, trained in enumerate((even, ~even)):
        try:
            half = fit_tune(
                tune.geometry, showers.take(trained), tune.recipe, slices=slices, pdgs=tune.pdgs, quiet=True,
                progress=partial(_fitting, progress, fold),
            )  # fmt: skip
        except FitError:
            return None
        judged = showers.take(~trained)
        judged = judged.take(_in_domain(half, judged))
        if not len(judged):
            continue
        sampled, ms = simulate(
            tune.geometry, TunedGenerator(half), judged.particles, judged.binning, seed=seed + fold, repeat=REPEAT,
            progress=partial(progress, f"cross-validation {fold + 1}/2: sample"),
        )  # fmt: skip
        judged_parts.append(judged)
        sampled_parts.append(sampled)
        times.append(ms)
    if not judged_parts:
        return None
    judged, sampled = concatenate(judged_parts), concatenate(sampled_parts)
    # Training and judging showers are the same ones, in turns; their error is in the reference already.
    return _compare(
        tune, judged, sampled, None, float(np.mean(times)), seed, progress, extra, "cross-validation of two halves"
    )


@dataclass(frozen=True)
class Judged:
    """Showers of one particle and slice with the shapes that the fit finds for each of them.

    Attributes
    ----------
    part : SliceTune
    showers : Summary (n,)
        Those with visible energy.
    points : EnergyPoints
    profiles : Profiles
    shapes : ShowerFits
        What is known of their (ln T, ln alpha).
    """

    part: SliceTune
    showers: Summary
    points: EnergyPoints
    profiles: Profiles
    shapes: longitudinal.ShowerFits

    @property
    def theta(self) -> npt.NDArray[np.float64]:
        """Most likely ln T and ln alpha, shape (n, 2)."""
        return self.shapes.theta


def judged_showers(tune: Tune, showers: Summary) -> list[Judged]:
    """Fit the shapes of single showers of every electromagnetic particle and slice with at least 30 showers."""
    judged = []
    for part in tune.slices:
        if part.pdg not in ELECTROMAGNETIC:  # nobody describes hadron showers by gamma profiles
            continue
        own = (showers.particles.pdg == part.pdg) & in_slice(showers.particles.eta, part.eta)
        group = showers.take(own & (showers.visible > 0))
        if len(group) < 30:
            continue
        points = energy_points(group.particles.energy)
        profiles = profiles_of(tune.geometry, group)
        try:
            _, single = longitudinal.shower_fits(profiles, points, law=tune.recipe.longitudinal_law)
        except FitError:
            continue
        judged.append(Judged(part, group, points, profiles, single))
    return judged


def kernel_limit(tune: Tune, judged: list[Judged]) -> list[dict[str, Any]]:
    """Measure what gamma profiles cannot describe: fitted profiles against the same showers, for every energy point.

    No law and no sampling is involved, so this needs little statistics; a mean profile of sampled showers can only be
    as good as this unless errors cancel.

    Returns
    -------
    list of dict
        "particle", "eta", "energy" (MeV), "deviation" (largest difference of the mean profiles in % of the maximum,
        with sign, fitted minus full simulation), "error" (statistical, in %), "depth" (X0, where it is).
    """
    rows: list[dict[str, Any]] = []
    for own in judged:
        part, group, points, profiles, theta = own.part, own.showers, own.points, own.profiles, own.theta
        # The medium with most of the energy, as in comparisons: others have their own visible fraction.
        main = profiles.of_medium(profiles.main_medium)
        seen = main.cell_energy / group.visible[:, None]
        fitted = longitudinal.gamma_fractions(theta[:, 0], theta[:, 1], main.depths)
        fitted *= seen.sum(axis=1, keepdims=True) / np.maximum(fitted.sum(axis=1, keepdims=True), 1e-300)
        layers_of_main = group.binning.cell_layer[profiles.medium == profiles.main_medium]
        bins, low, high = depth_groups(tune.geometry, main.depths, layers_of_main)
        to_bin = (bins[:, None] == np.arange(len(low))).astype(np.float64)
        width = np.maximum(high - low, 1e-9)
        for p in range(len(points)):
            chosen = points.point == p
            if chosen.sum() < 10:
                continue
            full, fit = (seen[chosen] @ to_bin) / width, (fitted[chosen] @ to_bin) / width
            peak = full.mean(axis=0).max()
            difference = (fit - full).mean(axis=0) / peak
            worst = int(np.argmax(np.abs(difference)))
            error = (fit - full)[:, worst].std(ddof=1) / np.sqrt(chosen.sum()) / peak
            rows.append(
                {
                    "particle": particle_name(part.pdg),
                    "eta": part.eta,
                    "energy": float(points.energy[p]),
                    "deviation": 100.0 * float(difference[worst]),
                    "error": 100.0 * float(error),
                    "depth": float(0.5 * (low[worst] + high[worst])),
                }
            )
    return rows


def _fitting(progress: Progress, fold: int, label: str) -> None:
    progress(f"cross-validation {fold + 1}/2: fit {label}", 0.0)


def _compare(
    tune: Tune,
    judged: Summary,
    sampled: Summary,
    training: Summary | None,
    ms: float,
    seed: int,
    progress: Progress,
    extra: tuple[Section, ...],
    how: str,
) -> Comparison:
    slices = None if tune.slices[0].eta is None else sorted({part.eta for part in tune.slices if part.eta is not None})
    return compare_summaries(
        tune.geometry,
        judged,
        {tune.name: sampled},
        training=training,
        slices=slices,
        seed=seed,
        about={tune.name: (f"tune, recipe {tune.recipe.name}", ms)},
        provenance={"validation": how, **{k: str(v) for k, v in tune.provenance.items()}},
        extra=extra,
        progress=lambda f: progress("compare", f),
    )


def _in_domain(tune: Tune, showers: Summary) -> npt.NDArray[np.bool_]:
    """Showers that the tune can be asked for."""
    inside = np.zeros(len(showers), dtype=np.bool_)
    for part in tune.slices:
        chosen = (showers.particles.pdg == part.pdg) & in_slice(showers.particles.eta, part.eta)
        low, high = part.energy_range
        energy = showers.particles.energy
        inside |= chosen & (energy >= (1 - ENERGY_MARGIN) * low) & (energy <= (1 + ENERGY_MARGIN) * high)
    try:
        plan(tune, showers.particles.take(inside))
    except OutOfDomainError:  # e.g. lines that miss layers: judged one by one would be slow, and no sample has them
        return np.zeros(len(showers), dtype=np.bool_)
    return inside
