"""All voxel metrics of one candidate: what `Metric` holds, from two samples of voxels.

Everything costly works on a stated part of large samples; features are computed once per sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from fastparam.comparison.challenge import ChallengeHistograms, ChallengeReference, challenge_features, data_set_of
from fastparam.comparison.classifier import MAX_VOXELS, Auc, auc_high, auc_low
from fastparam.comparison.distance_errors import DistanceErrors
from fastparam.comparison.distances import BATCHES, fpd, kpd
from fastparam.comparison.distribution import Distribution, distribution
from fastparam.comparison.duplicates import Duplicates, duplicates_between, duplicates_within
from fastparam.comparison.features import MANY_LAYERS, FeatureTable, features_of_moments
from fastparam.comparison.metric import HEADLINES, Metric, aspect_of
from fastparam.comparison.moments import LayerMoments, layer_moments
from fastparam.comparison.separation import Separation, separations
from fastparam.comparison.voxels import VoxelSample
from fastparam.comparison.wasserstein import wasserstein

__all__ = ["MIN_SHOWERS", "SEARCHED", "PooledReference", "threshold_of"]

#: Fewer showers than this do not support features in bins, classifiers or covariances.
MIN_SHOWERS = 60

#: Fewer are small: values are quoted, and said to be unsure.
_SMALL = 1000

#: Showers of each sample that classifiers see at most.
_CLASSIFIED = 5000
_TRAININGS = 2

#: From this size on FPD and KPD are computed with the challenge's sample sizes.
_CHALLENGE_SIZE = 10_000

#: A draw of FPD costs the square of the features: with more than so many there are fewer, which is said.
_MANY_FEATURES = 100
_FEW_DRAWS = 3

#: Error of the median over KPD's batches, in units of their spread.
_MEDIAN = float(np.sqrt(np.pi / 2.0 / BATCHES))

#: Showers of each sample that FPD, KPD and the search for near-duplicates see at most.
_MEASURED = 50_000
SEARCHED = 20_000

#: Share of a sample's energy in voxels below its threshold, where nothing else sets one.
_BELOW = 5e-4

#: Resamples: fewer of large samples, whose errors matter less than the time.
_MANY = 20_000


def threshold_of(sample: VoxelSample) -> float:
    """Return the voxel energy in MeV below which voxels count as empty.

    That of the challenge for its data sets; else the largest number with one digit such that voxels below hold at most
    0.05 % of all energy: about a tenth of what a minimum-ionising particle leaves in a plate.
    """
    known = data_set_of(sample.binning)
    if known is not None:
        return known.threshold
    values = np.sort(sample.value[:: max(1, len(sample.value) // 2_000_000)].astype(np.float64))
    if not len(values):
        return 0.0
    limit = float(values[np.searchsorted(np.cumsum(values), _BELOW * values.sum())])
    digit = 10.0 ** np.floor(np.log10(limit))
    return float(np.floor(limit / digit * (1 + 1e-9)) * digit)


@dataclass(frozen=True)
class _Prepared:
    """A sample with its moments and features."""

    sample: VoxelSample
    threshold: float

    @cached_property
    def moments(self) -> LayerMoments:
        per_layer = len(self.sample.binning.layer_ids) <= MANY_LAYERS
        return layer_moments(self.sample, self.threshold, spectrum_per_layer=per_layer)

    @cached_property
    def table(self) -> FeatureTable:
        return features_of_moments(self.moments, self.sample.energy, self.sample.binning)

    def forget_moments(self) -> None:
        """Free what takes most memory beside the voxels; it would be collected again if asked for."""
        self.__dict__.pop("moments", None)


class PooledReference:
    """Full simulation, and what is computed of it only once for all candidates.

    Parameters
    ----------
    sample : VoxelSample
        At least `MIN_SHOWERS` showers.
    group : str
        Particle and slice.
    threshold : float, optional
        Voxels below so many MeV count as empty; default `threshold_of`.
    training : VoxelSample, optional
        Showers that candidates may have been tuned on.
    seed : int
    """

    def __init__(
        self, sample: VoxelSample, group: str, *, threshold: float | None = None,
        training: VoxelSample | None = None, seed: int = 1,
    ) -> None:  # fmt: skip
        self.group = group
        self.threshold = threshold_of(sample) if threshold is None else threshold
        self.full = _Prepared(sample, self.threshold)
        self.training = training
        self.seed = seed
        self.data_set = data_set_of(sample.binning)
        # The challenge counts energies in units of the incident one; visible energies are scaled by one factor.
        self.scale = 1.0
        if self.data_set is None:
            share = float(np.mean(sample.visible / sample.energy))
            self.scale = 1.0 / share if share > 0 else 1.0

    @property
    def replicas(self) -> int:
        """Bootstrap resamples."""
        return 200 if len(self.full.sample) < _MANY else 50

    def measure(
        self, candidate: VoxelSample, name: str, *, quick: bool = False
    ) -> tuple[list[Metric], list[Distribution]]:
        """Measure all metrics of a candidate's voxels, and keep the features that differ most.

        `quick` leaves out classifiers, FPD and KPD.
        """
        self._keep_what_is_needed(quick=quick)
        other = _Prepared(candidate, self.threshold)
        _ = other.table
        histograms = self._challenge_reference.fill(other.moments, candidate)
        features = None if quick else challenge_features(other.moments, candidate, self.scale, most=_MEASURED)
        other.forget_moments()
        found = self._separations(other) + self._challenge(histograms) + self._wasserstein(other)
        if features is not None:
            found += self._distances(features, candidate.energy)
            del features
            found += self._classifiers(other)
        found += self._duplicates(candidate)
        metrics = [Metric(candidate=name, group=self.group, **m) for m in found]
        return metrics, self._distributions(metrics, other, name)

    def _keep_what_is_needed(self, *, quick: bool) -> None:
        """Compute what every candidate is compared with, then let go of the reference's moments."""
        _ = self.full.table, self._challenge_reference
        if not quick:
            _ = self._challenge_features
        self.full.forget_moments()

    @cached_property
    def _challenge_reference(self) -> ChallengeReference:
        full = self.full
        return ChallengeReference(
            full.moments, full.sample, threshold=self.threshold, data_set=self.data_set, scale=self.scale
        )

    def _distributions(self, metrics: list[Metric], other: _Prepared, name: str) -> list[Distribution]:
        pulls = {m.name.removeprefix("separation_"): m.pull for m in metrics if m.name.startswith("separation_")}
        order = sorted(pulls, key=lambda feature: -pulls[feature])
        # The worst of each aspect is what a report may show.
        kept = {aspect_of(feature): feature for feature in reversed(order)}
        return [distribution(self.full.table, other.table, f, name, self.group) for f in order if f in kept.values()]

    # --- one family each

    def _separations(self, other: _Prepared) -> list[dict[str, Any]]:
        s = separations(self.full.table, other.table, seed=self.seed, replicas=self.replicas)
        rows = [_separation("separation", s.mean, HEADLINES["separation"], "as a whole", self._small(other))]
        return rows + [
            _separation(f"separation_{f.name}", f, f"separation of {f.name}", aspect_of(f.name), "") for f in s.features
        ]

    def _challenge(self, histograms: ChallengeHistograms) -> list[dict[str, Any]]:
        s, points = self._challenge_reference.separations(histograms, seed=self.seed, replicas=self.replicas)
        note = "" if self.data_set else f"visible energies times {self.scale:.4g}; ranges of data set 1"
        title = "challenge's separation"
        rows = [_challenge_row("challenge_separation", s.mean, HEADLINES["challenge_separation"], note)]
        return rows + [
            _challenge_row(f"challenge_separation_{f.name}", f, f"{title} of {f.name}", "")
            for f in (*s.features, *points)
        ]

    def _wasserstein(self, other: _Prepared) -> list[dict[str, Any]]:
        names = self.full.table.names
        w = wasserstein(
            self.full.table.values, other.table.values, (self.full.table.energy, other.table.energy), seed=self.seed
        )
        rows = [
            {
                "name": f"wasserstein_{name}", "title": f"Wasserstein-1 of {name}", "aspect": aspect_of(name),
                "value": float(w.value[i]), "error": float(w.error[i]), "floor": float(w.floor[i]),
                "floor_error": float(w.floor_error[i]), "unit": "sigma",
            }
            for i, name in enumerate(names) if np.isfinite(w.value[i])
        ]  # fmt: skip
        value, error, floor, floor_error = w.mean
        mean = {
            "name": "wasserstein", "title": HEADLINES["wasserstein"], "aspect": "as a whole",
            "value": value, "error": error, "floor": floor, "floor_error": floor_error,
            "unit": "sigma", "note": "of standard deviations of full simulation",
        }  # fmt: skip
        return [mean, *rows]

    def _classifiers(self, other: _Prepared) -> list[dict[str, Any]]:
        options: dict[str, Any] = {"seed": self.seed, "max_showers": _CLASSIFIED, "repeats": _TRAININGS}
        low_options = {**options, "threshold": self.threshold}
        found = {
            "auc_high": (auc_high(self.full.table, other.table, **options), self._auc_floor[0]),
            "auc_low": (auc_low(self.full.sample, other.sample, **low_options), self._auc_floor[1]),
        }
        rows = []
        for name, (value, floor) in found.items():
            note = f"{value.n} showers of each sample"
            if name == "auc_low" and self.full.sample.binning.n_voxels > MAX_VOXELS:
                note += f", the {MAX_VOXELS} most occupied voxels"
            rows.append(
                {
                    "name": name, "title": HEADLINES[name], "aspect": "as a whole", "value": value.value,
                    "error": value.error, "floor": floor.value, "floor_error": floor.error,
                    "pull": (value.value - 0.5) / value.error, "note": note + self._small(other, ", "),
                }
            )  # fmt: skip
        return rows

    @cached_property
    def _auc_floor(self) -> tuple[Auc, Auc]:
        """Two halves of full simulation; they have half as many showers as a comparison."""
        rng = np.random.default_rng([self.seed, 5])
        a, b = (np.sort(rng.permutation(half)[:_CLASSIFIED]) for half in self._halves)
        options = {"seed": self.seed, "max_showers": _CLASSIFIED}
        full = self.full
        return (
            auc_high(full.table.take(a), full.table.take(b), **options),
            auc_low(full.sample.take(a), full.sample.take(b), threshold=self.threshold, **options),
        )

    @cached_property
    def _halves(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Two disjoint halves at random, energies evenly in both."""
        sample = self.full.sample
        rng = np.random.default_rng([self.seed, 3])
        order = np.lexsort([rng.random(len(sample)), sample.energy])
        return np.sort(order[0::2][: len(sample) // 2]), np.sort(order[1::2])

    def _distances(self, y: npt.NDArray[np.float32], energy: npt.NDArray[np.float64]) -> list[dict[str, Any]]:
        x, errors = self._challenge_features, self._distance_errors
        energy = energy[: len(y)]
        # What draws of their own add to the error of the showers: that of the fit, and that of a median over batches.
        fit, spread = _fpd(x, y), _kpd(x, y)
        found = {
            "fpd": (fit, np.hypot(errors.fpd(y, energy), fit[1])),
            "kpd": (spread, np.hypot(errors.kpd(y, energy), _MEDIAN * spread[1])),
        }
        return [
            {
                "name": name, "title": HEADLINES[name], "aspect": "as a whole", "value": value, "error": float(error),
                "floor": self._distance_floor[name][0], "floor_error": self._distance_floor[name][1],
                "note": f"jetnet's own error {own:.2g}" + (note and f"; {note}"),
            }
            for name, ((value, own, note), error) in found.items()
        ]  # fmt: skip

    @cached_property
    def _distance_errors(self) -> DistanceErrors:
        x = self._challenge_features
        return DistanceErrors(x, self.full.sample.energy[: len(x)], self.seed)

    @cached_property
    def _challenge_features(self) -> npt.NDArray[np.float32]:
        return challenge_features(self.full.moments, self.full.sample, self.scale, most=_MEASURED)

    @cached_property
    def _distance_floor(self) -> dict[str, tuple[float, float]]:
        """Value between two halves of full simulation, and its error."""
        x, errors = self._challenge_features, self._distance_errors
        a, b = (half[half < len(x)] for half in self._halves)
        n = min(len(a), len(b))
        fit, spread = _fpd(x[a], x[b]), _kpd(x[a], x[b])
        return {
            "fpd": (fit[0], float(np.hypot(errors.fpd_floor(n), fit[1]))),
            "kpd": (spread[0], float(np.hypot(errors.kpd_floor(n), _MEDIAN * spread[1]))),
        }

    def _duplicates(self, candidate: VoxelSample) -> list[dict[str, Any]]:
        candidate = candidate.take(slice(0, SEARCHED))
        own = duplicates_within(candidate, self.threshold)
        rows = [_duplicates("duplicates", own, self._own_duplicates, growth=own.n / max(self._own_duplicates.n, 1))]
        if self.training is not None:
            met = duplicates_between(candidate, self.training.take(slice(0, SEARCHED)), self.threshold)
            rows.append(_duplicates("duplicates_training", met, self._training_duplicates, growth=1.0))
        return rows

    @cached_property
    def _own_duplicates(self) -> Duplicates:
        return duplicates_within(self.full.sample.take(slice(0, SEARCHED)), self.threshold)

    @cached_property
    def _training_duplicates(self) -> Duplicates:
        assert self.training is not None
        return duplicates_between(
            self.full.sample.take(slice(0, SEARCHED)), self.training.take(slice(0, SEARCHED)), self.threshold
        )

    def _small(self, other: _Prepared, before: str = "") -> str:
        n = min(len(self.full.sample), len(other.sample))
        return f"{before}small sample: {n} showers" if n < _SMALL else ""


def _separation(name: str, s: Separation, title: str, aspect: str, note: str) -> dict[str, Any]:
    return {
        "name": name, "title": title, "aspect": aspect, "value": s.value, "error": s.error, "floor": s.floor,
        "floor_error": s.error, "pull": s.pull, "note": note,
    }  # fmt: skip


def _challenge_row(name: str, s: Separation, title: str, note: str) -> dict[str, Any]:
    """Quote the raw value as the challenge does; the floor is for the reader to subtract."""
    return {
        "name": name, "title": title, "aspect": "as a whole", "value": s.raw, "error": s.error, "floor": s.floor,
        "note": note,
    }  # fmt: skip


def _fpd(x: npt.NDArray[np.float32], y: npt.NDArray[np.float32]) -> tuple[float, float, str]:
    n = min(len(x), len(y))
    batches = _FEW_DRAWS if x.shape[1] > _MANY_FEATURES else 20
    few = f"{batches} draws at each size, the challenge has 20" if batches < 20 else ""
    if n >= _CHALLENGE_SIZE:
        return (*fpd(x, y, min_samples=10_000, max_samples=50_000, batches=batches), few)
    small = max(n // 4, 2 * MIN_SHOWERS // 4)
    note = f"from {small} to {n} showers, the challenge has 10 000 to 50 000" + (few and f"; {few}")
    return (*fpd(x, y, min_samples=small, max_samples=max(n, small + 1), batches=batches), note)


def _kpd(x: npt.NDArray[np.float32], y: npt.NDArray[np.float32]) -> tuple[float, float, str]:
    n = min(len(x), len(y))
    if n >= _CHALLENGE_SIZE:
        return (*kpd(x, y, batch_size=5000), "")
    return (*kpd(x, y, batch_size=max(n // 2, 2)), f"batches of {max(n // 2, 2)} showers, jetnet has 5000")


def _duplicates(name: str, found: Duplicates, floor: Duplicates, growth: float) -> dict[str, Any]:
    expected = floor.fraction * growth
    error = np.sqrt(found.count + 1.0) / max(found.n, 1)
    # Against what chance repeats in full simulation, with at least one shower's worth of doubt.
    doubt = np.sqrt(max(expected * found.n, 1.0) + (found.n * growth) ** 2 * floor.count / max(floor.n, 1) ** 2)
    return {
        "name": name, "title": HEADLINES[name], "aspect": "repetition", "value": found.fraction, "error": float(error),
        "floor": expected, "floor_error": float(np.sqrt(floor.count + 1.0) * growth / max(floor.n, 1)),
        "pull": float((found.count - expected * found.n) / doubt),
        "note": f"{found.count} of {found.n} showers with enough voxels",
    }  # fmt: skip
