"""All candidates against one reference, everything that is measured of voxels: metrics and pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fastparam.comparison.distribution import Distribution
from fastparam.comparison.metric import Metric
from fastparam.comparison.pictures import Pictures, take_pictures
from fastparam.comparison.pooled import MIN_SHOWERS, PooledReference
from fastparam.comparison.spectra import require_same_spectrum
from fastparam.comparison.voxels import VoxelSample

__all__ = ["Judged", "judge_voxels"]


@dataclass(frozen=True)
class Judged:
    """What was found.

    Attributes
    ----------
    metrics : list of Metric
    distributions : list of Distribution
        Of the features in which each candidate differs most.
    pictures : dict of str to Pictures
        Per particle and slice.
    notes : dict of str to str
        For the provenance.
    """

    metrics: list[Metric] = field(default_factory=list)
    distributions: list[Distribution] = field(default_factory=list)
    pictures: dict[str, Pictures] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


def judge_voxels(
    reference: Mapping[str, VoxelSample],
    candidates: Mapping[str, Mapping[str, VoxelSample]],
    *,
    training: Mapping[str, VoxelSample] | None = None,
    threshold: float | None = None,
    quick: bool = False,
    seed: int = 1,
    progress: Callable[[float], None] | None = None,
) -> Judged:
    """Measure every candidate in every particle and slice.

    Parameters
    ----------
    reference : mapping of str to VoxelSample
        Per particle and slice.
    candidates : mapping of str to the same
        A candidate without one of them is left out there.
    training : mapping of str to VoxelSample, optional
        Showers that candidates may repeat.
    threshold : float, optional
        In MeV; default `pooled.threshold_of` the reference.
    quick : bool
        Leave out what takes longest: classifiers, FPD and KPD.
    seed : int
    progress : callable, optional

    Returns
    -------
    Judged

    Raises
    ------
    InputError
        If the incident energies of a candidate are distributed otherwise than the reference's.
    """
    found = Judged()
    done, total = 0, max(len(reference) * len(candidates), 1)
    for group, sample in reference.items():
        own = {name: samples[group] for name, samples in candidates.items() if group in samples}
        if len(sample) < MIN_SHOWERS or not own:
            found.notes[f"voxels of {group}"] = f"not compared: {len(sample)} showers, fewer than {MIN_SHOWERS}"
            continue
        for name, other in own.items():
            require_same_spectrum(sample.energy, other.energy, name, group)
        judge = PooledReference(
            sample, group, threshold=threshold, training=None if training is None else training.get(group), seed=seed
        )
        for name, other in own.items():
            if len(other) >= MIN_SHOWERS:
                metrics, distributions = judge.measure(other, name, quick=quick)
                found.metrics.extend(metrics)
                found.distributions.extend(distributions)
            done += 1
            if progress is not None:
                progress(done / total)
        found.pictures[group] = take_pictures(sample, own)
        found.notes[f"voxels of {group}"] = (
            f"{len(sample)} showers in {sample.binning.n_voxels} voxels; empty below {judge.threshold:.4g} MeV;"
            f" energies scaled by {judge.scale:.5g} for the challenge's definition"
        )
        if judge.data_set is not None:
            found.notes[f"data set of {group}"] = judge.data_set.name
    return found
