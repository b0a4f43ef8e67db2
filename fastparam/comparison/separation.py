"""Separation of two samples, feature by feature, with the part that is only statistics subtracted.

For shares p (reference) and q (candidate) of a feature's entries in bins b,

    S = 1/2 sum_b (p_b - q_b)^2 / (p_b + q_b),

the triangular discrimination, 0 for equal and 1 for disjoint distributions. Its plug-in value for two samples of one
distribution is not 0 but about (n_bins / 4) (1/n_p + 1/n_q). Since E[(p^ - q^)^2] = (p - q)^2 + var p^ + var q^,

    S = 1/2 sum_b [(p^_b - q^_b)^2 - v_b(p) - v_b(q)] / (p^_b + q^_b)

has no such floor; v_b is the variance of a share *between showers* (within strata of equal incident energy), whatever
a shower contributes: one entry to a scalar, hundreds to a spectrum. S can come out negative and must not be clipped
before it is averaged.

The bins are quantiles of the reference, so no extreme shower moves them; the outermost two are narrow and open, so
nothing falls outside; and a value that repeats (an empty layer) is a bin of its own.

S is a quadratic form of differences that fluctuate; `statistics.quadratic_error` says what its error is, from resamples
of showers within strata: of the form itself without a difference, and of its slope at the difference that was found.

Sources: F. Topsoe, IEEE Trans. Inf. Theory 46 (2000) 1602 (triangular discrimination); B. Efron, Ann. Statist. 7
(1979) 1; F. E. Satterthwaite, Biometrics Bull. 2 (1946) 110 (significance of a sum of squares).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2, norm

from fastparam._numba import kernel, parallel_kernel, prange
from fastparam.comparison.features import FeatureTable
from fastparam.comparison.statistics import quadratic_error
from fastparam.errors import UsageError

__all__ = [
    "REPLICAS",
    "Separation",
    "Separations",
    "Shares",
    "Strata",
    "combine",
    "resampled_shares",
    "scalar_edges",
    "separations",
    "spectrum_groups",
    "strata_of",
]

Floats = npt.NDArray[np.float64]

#: Bins of a feature at most, and entries of the reference in each at least.
_BINS = 20
_MIN_ENTRIES = 20

#: Bootstrap resamples.
REPLICAS = 200

#: Energies count as points if showers share them in such numbers on average; else they are a spectrum.
_SHOWERS_PER_POINT = 20
_ENERGY_SLICES = 20

#: By how much the shares of strata may differ, in standard deviations, to count as the same by construction.
_SAME_SHARES = 0.05


@dataclass(frozen=True)
class Separation:
    """Separation of one feature, or the mean of several.

    Attributes
    ----------
    name : str
    value, error : float
        S with the floor subtracted, and its standard error.
    raw : float
        The plug-in value.
    floor : float
        What was subtracted: the plug-in value expected for equal distributions.
    pull : float
        Significance against equal distributions in standard deviations of a Gaussian; 0 below the median.
    n_bins : int
        Bins; of a mean, features.
    """

    name: str
    value: float
    error: float
    raw: float
    floor: float
    pull: float
    n_bins: int


@dataclass(frozen=True)
class Separations:
    """Separation of all features.

    Attributes
    ----------
    features : tuple of Separation
    mean : Separation
        Plain mean over the features; its error knows their correlations.
    """

    features: tuple[Separation, ...]
    mean: Separation

    def worst(self, n: int = 5) -> list[Separation]:
        """Return the features of largest S, largest first."""
        return sorted(self.features, key=lambda s: -s.value)[:n]

    def __getitem__(self, name: str) -> Separation:
        return {s.name: s for s in self.features}[name]


def separations(
    reference: FeatureTable, candidate: FeatureTable, *, seed: int = 1, replicas: int = REPLICAS
) -> Separations:
    """Separate two samples in every feature.

    Parameters
    ----------
    reference, candidate : FeatureTable
        Of equal features; incident energies equally distributed. Where the shares of energies are the same by
        construction (equal points, or the very same particles), variances are taken within energies.
    seed : int
        Of the bootstrap.
    replicas : int
        Resamples.

    Returns
    -------
    Separations

    Raises
    ------
    UsageError
        If the features differ, or a sample has fewer than two showers.
    """
    if reference.all_names != candidate.all_names:
        raise UsageError("the two samples have different features; cut both into the same voxels")
    if min(len(reference), len(candidate)) < 2:
        raise UsageError(f"{len(reference)} and {len(candidate)} showers cannot be compared; at least 2 are needed")
    strata = strata_of(reference.energy, candidate.energy)
    weights = [_stratified_weights(s, replicas, np.random.default_rng([seed, side])) for side, s in enumerate(strata)]
    found: list[tuple[str, _Estimate]] = []
    n_scalars = len(reference.names)
    if n_scalars:
        edges = [scalar_edges(reference.values[:, f]) for f in range(n_scalars)]
        n_bins = max(len(e) for e in edges) + 1
        shares = []
        for side, table in enumerate((reference, candidate)):
            codes = np.empty((n_scalars, len(table)), dtype=np.uint8)
            for f in range(n_scalars):
                codes[f] = np.searchsorted(edges[f], table.values[:, f], side="right")
            shares.append(_scalar_shares(codes, strata[side], weights[side], n_bins))
        for f, name in enumerate(reference.names):
            b = len(edges[f]) + 1
            found.append((name, _estimate(*(s.histogram(f, b) for s in shares))))
    for g, name in enumerate(reference.spectrum_names):
        groups = spectrum_groups(reference.spectra[:, g].sum(axis=0, dtype=np.int64))
        parts = [
            _entry_shares(_join(t.spectra[:, g], groups), strata[side], weights[side])
            for side, t in enumerate((reference, candidate))
        ]
        found.append((name, _estimate(*parts)))
    return _with_mean(found)


def _with_mean(found: list[tuple[str, _Estimate]]) -> Separations:
    estimates = [e for _, e in found if np.isfinite(e.raw)]
    if not estimates:
        return Separations(tuple(_finish(name, e) for name, e in found), _finish("mean", found[0][1]))
    mean = _Estimate(
        value=float(np.mean([e.value for e in estimates])),
        raw=float(np.mean([e.raw for e in estimates])),
        floor=float(np.mean([e.floor for e in estimates])),
        slope=np.mean([e.slope for e in estimates], axis=0),
        null=np.mean([e.null for e in estimates], axis=0),
        n_bins=len(estimates),
    )
    return Separations(tuple(_finish(name, e) for name, e in found), _finish("mean", mean))


def resampled_shares(
    codes: npt.NDArray[Any], strata: npt.NDArray[np.int64], n_bins: int, replicas: int, seed: int, side: int
) -> Shares:
    """Return shares of histograms with given bins whose entries outside are dropped.

    Parameters
    ----------
    codes : uint8 array (F, n) or uint16 array (n, B)
        1 + the bin of every shower, 0 outside, of F histograms; or, as uint16, the entries of each shower in one.
    strata : int64 array (n,)
        As `strata_of` returns them.
    n_bins : int
    replicas, seed, side : int
        Of the bootstrap; the two samples are side 0 and 1.
    """
    weights = _stratified_weights(strata, replicas, np.random.default_rng([seed, side]))
    if codes.dtype == np.uint16:
        one = _entry_shares(codes.astype(np.float64), strata, weights)
        return Shares(one.share[None], one.variance[None], one.noise[None], one.entries[None])
    every = np.concatenate([np.ones((1, codes.shape[1]), dtype=np.uint8), weights])
    counts = np.zeros((len(codes), len(every), n_bins + 1))
    _count_replicas(codes, every, counts)
    inside = counts[:, :, 1:]
    with np.errstate(invalid="ignore"):
        shares = inside / inside.sum(axis=2, keepdims=True)  # NaN without any entry, as defined
    noise = np.nan_to_num(shares[:, 1:] - shares[:, :1]) * _bootstrap_correction(np.bincount(strata).astype(np.float64))
    return Shares(shares[:, 0], np.mean(noise**2, axis=1), noise, inside[:, 0])


def combine(names: list[str], reference: Shares, candidate: Shares) -> Separations:
    """Separate histograms whose shares were computed already; mean over those that are not NaN."""
    found = [(name, _estimate(*(s.histogram(f) for s in (reference, candidate)))) for f, name in enumerate(names)]
    return _with_mean(found)


def strata_of(reference: Floats, candidate: Floats) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the number of the stratum of equal incident energy of every shower, counted from 0, for both samples.

    Energy points are strata; a continuous spectrum is cut at quantiles. Two samples that drew their spectra
    independently have no strata but one: there the number of showers per energy fluctuates too.
    """
    points, place = np.unique(np.round(np.log(reference), 4), return_inverse=True)
    if len(points) * _SHOWERS_PER_POINT <= len(reference):
        limits = 0.5 * (points[1:] + points[:-1])
        other = np.searchsorted(limits, np.log(candidate))
    else:
        limits = np.quantile(reference, np.arange(1, _ENERGY_SLICES) / _ENERGY_SLICES)
        place, other = np.searchsorted(limits, reference), np.searchsorted(limits, candidate)
    n = len(limits) + 1
    p, q = np.bincount(place, minlength=n) / len(place), np.bincount(other, minlength=n) / len(other)
    spread = np.sqrt(p * (1 - p) * (1 / len(place) + 1 / len(other)))
    few = np.concatenate([np.bincount(place, minlength=n), np.bincount(other, minlength=n)]).min() < 2
    if few or (np.abs(p - q) > _SAME_SHARES * spread + 1.5 / min(len(place), len(other))).any():
        return np.zeros(len(place), dtype=np.int64), np.zeros(len(other), dtype=np.int64)
    return place.astype(np.int64).reshape(-1), other.astype(np.int64)


def scalar_edges(x: npt.NDArray[Any]) -> Floats:
    """Return the inner edges of a scalar's bins, from quantiles of the reference; entry x is in bin ``#{edges <= x}``.

    At most about 20 bins of at least 20 entries. Values shared by a whole bin's worth of showers are bins of their
    own. Edges lie half-way between values: an edge at the smallest or largest one would bias S by 1/n.
    """
    values, counts = np.unique(np.asarray(x, dtype=np.float64), return_counts=True)
    cumulative = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    size = max(_MIN_ENTRIES, int(np.ceil((len(x) - 2 * _MIN_ENTRIES) / (_BINS - 2))))
    atom = counts >= size
    edges: list[float] = []
    for v in values[atom]:
        edges += [float(v), float(np.nextafter(v, np.inf))]
    bounds = np.flatnonzero(np.diff(np.concatenate([[True], atom, [True]]).astype(np.int8)))
    for first, last in bounds.reshape(-1, 2).tolist():  # runs of values between atoms
        held = int(cumulative[last] - cumulative[first])
        inner, ends = held, []
        if held >= 3 * _MIN_ENTRIES:
            ends = [_MIN_ENTRIES] * (first == 0) + [held - _MIN_ENTRIES] * (last == len(values))
            inner -= _MIN_ENTRIES * len(ends)
        start = _MIN_ENTRIES if ends and first == 0 else 0
        n = max(1, inner // size)
        cuts = {*ends, *(start + (inner * k) // n for k in range(1, n))}
        for cut in sorted(cuts):
            at = int(np.searchsorted(cumulative, cumulative[first] + cut))
            if first < at < last:
                edges.append(float(0.5 * (values[at - 1] + values[at])))
    kept = sorted(set(edges))
    while kept:  # join what holds too little to its smaller neighbour
        filled = np.bincount(np.searchsorted(kept, values, side="right"), weights=counts, minlength=len(kept) + 1)
        least = int(np.argmin(filled))
        if filled[least] >= _MIN_ENTRIES:
            break
        left = filled[least - 1] if least > 0 else np.inf
        right = filled[least + 1] if least < len(kept) else np.inf
        del kept[least - 1 if left <= right else least]
    return np.array(kept)


def spectrum_groups(entries: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the bin that each fine bin of a spectrum joins, from the reference's entries, shape (B,)."""
    size = max(_MIN_ENTRIES, -(-int(entries.sum()) // _BINS))
    group = np.zeros(len(entries), dtype=np.int64)
    current, held = 0, 0
    left = int(entries.sum())
    for b, n in enumerate(entries.tolist()):
        group[b] = current
        held += n
        left -= n
        # The first bin ends as soon as it can; the last begins where only its least entries are left.
        wanted = _MIN_ENTRIES if current == 0 else size
        if held >= wanted and left >= _MIN_ENTRIES:
            current, held = current + 1, 0
    return group


@dataclass(frozen=True)
class Shares:
    """Shares of a sample's entries in bins.

    Attributes
    ----------
    share, variance : float64 arrays (..., B)
        The shares and their variance.
    noise : float64 array (..., R, B)
        What each resample adds to the share.
    entries : float64 array (..., B)
        Independent entries; infinite where a shower makes many.
    """

    share: Floats
    variance: Floats
    noise: Floats
    entries: Floats

    def histogram(self, number: int, n_bins: int | None = None) -> Shares:
        """Return one of several histograms, its first bins only where others have more."""
        first = slice(0, n_bins)
        return Shares(
            self.share[number, first], self.variance[number, first], self.noise[number, :, first],
            self.entries[number, first],
        )  # fmt: skip


@dataclass(frozen=True)
class _Estimate:
    value: float
    raw: float
    floor: float
    slope: Floats  # (R,) resamples of what the value changes by to first order
    null: Floats  # (R,) resamples of the value if there were no difference
    n_bins: int


def _join(fine: npt.NDArray[np.uint16], groups: npt.NDArray[np.int64]) -> Floats:
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    return np.add.reduceat(fine, starts, axis=1, dtype=np.float64)


def _estimate(p: Shares, q: Shares) -> _Estimate:
    a, b = p.share, q.share
    total = a + b
    weight = np.where(total > 0, 0.5 / np.where(total > 0, total, 1.0), 0.0)
    raw = float(np.sum(weight * (a - b) ** 2))
    expected = weight * (p.variance + q.variance)
    floor = float(expected.sum())
    noise = p.noise - q.noise
    # Given t entries, (difference)^2 / t of a symmetric binomial has the variance 2 (1 - 1/t), of a Gaussian 2.
    few = np.sqrt(1.0 - 1.0 / np.maximum(p.entries + q.entries, 1.0))
    null = ((weight * noise**2 - expected) * few).sum(axis=1)
    part = 2.0 * weight * (a - b)
    slope = (part * noise - 0.5 * part**2 * (p.noise + q.noise)).sum(axis=1)  # the total moves as well
    return _Estimate(raw - floor, raw, floor, slope, null, int(np.count_nonzero(total)))


def _finish(name: str, e: _Estimate) -> Separation:
    if not np.isfinite(e.raw):
        return Separation(name, np.nan, np.nan, np.nan, np.nan, np.inf, 0)
    null = float(np.var(e.null, ddof=1))
    if e.floor > 0 and null > 0:
        freedom = 2.0 * e.floor**2 / null
        p_value = float(chi2.sf(e.raw * freedom / e.floor, freedom))
        pull = max(float(norm.isf(max(p_value, 1e-300))), 0.0)
    else:
        pull = 0.0 if e.raw == 0 else np.inf
    sigma = quadratic_error(float(np.var(e.slope, ddof=1)), null, e.floor)
    return Separation(name, e.value, sigma, e.raw, e.floor, pull, e.n_bins)


def _scalar_shares(
    codes: npt.NDArray[np.uint8], strata: npt.NDArray[np.int64], weights: npt.NDArray[np.uint8], n_bins: int
) -> Shares:
    """Shares of features with one entry per shower; a stratum's variance is that of a multinomial."""
    n_strata = int(strata.max()) + 1
    counts = np.zeros((len(codes), n_strata, n_bins))
    _count_strata(codes, strata, counts)
    size = np.bincount(strata, minlength=n_strata).astype(np.float64)[:, None]
    fraction = counts / size
    n = codes.shape[1]
    variance = (size**2 / np.maximum(size - 1, 1) * fraction * (1 - fraction)).sum(axis=1) / n**2
    share = counts.sum(axis=1) / n
    resampled = np.zeros((len(codes), len(weights), n_bins))
    _count_replicas(codes, weights, resampled)
    noise = (resampled / n - share[:, None]) * _bootstrap_correction(size)
    return Shares(share, variance, noise, counts.sum(axis=1))


def _entry_shares(content: Floats, strata: npt.NDArray[np.int64], weights: npt.NDArray[np.uint8]) -> Shares:
    """Shares of a feature with many entries per shower, ``content`` (n, B) of them in each bin."""
    per_bin = content.sum(axis=0)
    total = per_bin.sum()
    if total == 0:
        return Shares(per_bin, np.zeros_like(per_bin), np.zeros((len(weights), len(per_bin))), per_bin)
    share = per_bin / total
    deviation = content - share * content.sum(axis=1)[:, None]
    n_strata = int(strata.max()) + 1
    size = np.bincount(strata, minlength=n_strata).astype(np.float64)[:, None]
    first, second = np.zeros((n_strata, len(share))), np.zeros((n_strata, len(share)))
    np.add.at(first, strata, deviation)
    np.add.at(second, strata, deviation**2)
    variance = (size / np.maximum(size - 1, 1) * (second - first**2 / size)).sum(axis=0) / total**2
    resampled = weights.astype(np.float32) @ content.astype(np.float32)
    resampled = resampled / np.maximum(resampled.sum(axis=1, keepdims=True), 1e-30)
    noise = (resampled.astype(np.float64) - share) * _bootstrap_correction(size)
    return Shares(share, variance, noise, np.full(len(share), np.inf))


def _bootstrap_correction(size: Floats) -> float:
    """Return what makes up for resamples of n showers spreading too little, by sqrt((n - 1) / n) in every stratum."""
    n = float(size.sum())
    return float(np.sqrt(n / max(n - len(size), 1.0)))


class Strata:
    """Strata that keep their sizes in every resample.

    Parameters
    ----------
    strata : int64 array (n,)
        As `strata_of` returns them.
    """

    def __init__(self, strata: npt.NDArray[np.int64]) -> None:
        size = np.bincount(strata)
        self.n = int(np.count_nonzero(size))
        self._order = np.argsort(strata, kind="stable")
        self._start = np.repeat(np.concatenate([[0], np.cumsum(size)[:-1]]), size)
        self._length = np.repeat(size, size)

    def draw(self, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Draw the showers of one resample, with replacement within each stratum, shape (n,)."""
        place = self._start + (rng.random(len(self._order)) * self._length).astype(np.int64)
        return np.asarray(self._order[place])


def _stratified_weights(
    strata: npt.NDArray[np.int64], replicas: int, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Draw how often each resample holds each shower, shape (replicas, n)."""
    source = Strata(strata)
    weights = np.zeros((replicas, len(strata)), dtype=np.uint8)
    for r in range(replicas):
        _add_drawn(source.draw(rng), weights[r])
    return weights


@kernel
def _add_drawn(drawn: Any, weights: Any) -> None:
    for i in range(len(drawn)):
        weights[drawn[i]] += 1


@parallel_kernel
def _count_strata(codes: Any, strata: Any, counts: Any) -> None:
    for f in prange(codes.shape[0]):
        for i in range(codes.shape[1]):
            counts[f, strata[i], codes[f, i]] += 1.0


@parallel_kernel
def _count_replicas(codes: Any, weights: Any, counts: Any) -> None:
    for f in prange(codes.shape[0]):
        for r in range(weights.shape[0]):
            for i in range(codes.shape[1]):
                counts[f, r, codes[f, i]] += weights[r, i]
