"""Sampler of the recipe `voxel`: showers as voxels, in one kernel per shower.

1. Scores of the features from the smoothed empirical copula (`shapes.empirical_copula`), of the stored showers of one
   of the energy points and eta slices around the particle, by its weight.
2. Features from their quantile tables, interpolated to the particle's energy and eta: first the probability of an exact
   zero, then the quantiles of the rest. Ring energies are scaled to their layer (the more so, the more voxels it hits:
   a layer of two deposits is the sum of its rings), everything to the total.
3. Factors from their posterior given the features' scores, and with them scores of the voxels, of rings with energy
   only. With c = (1 - Phi(z)) / (1 - p0) a voxel is hit where c < 1.
4. Where a ring's number of hit voxels was drawn as a feature, c of all its voxels is divided by the number that makes
   it so: their probabilities of being hit change by a common factor. A ring with energy has one hit voxel at least.
5. Energies of hit voxels at the quantile c of their tables, scaled to the ring's energy; a tilt exp(a cos alpha + b sin
   alpha) between the parts in alpha brings the ring's dipole to its drawn value.

A tune is prepared once: its numbers lie in one array of floats, one of integers and one of scores, in which a directory
per slice says where (`_Pack`), so that a call has few arguments and the loops over voxels run over neighbours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastparam._numba import kernel, parallel_kernel, prange
from fastparam.errors import UsageError
from fastparam.fit import copula, radial_shape
from fastparam.fit.voxels import VoxelModel
from fastparam.random import stream, uniform
from fastparam.shapes.quick_normal import fill_normals, upper_tail1
from fastparam.shapes.root_odds import place1, probabilities
from fastparam.showers.showers import Showers

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastparam.generate.domain import Plan
    from fastparam.particles import Particles
    from fastparam.tunes.recipe import VoxelSettings
    from fastparam.tunes.tune import Tune

__all__ = ["sampler"]

_PURPOSE = 71

#: Batches up to this size are not worth waking other threads for.
_SERIAL = 16

#: Hit voxels at which a layer's own energy and the sum of its rings count the same.
_HITS_OF_LAYER = 10.0

#: Knots of the features' tables, resampled from those of the copula.
_FEATURE_KNOTS = 64

_TILT_STEPS, _TILT_STEP, _MAX_DIPOLE, _SOFT = 3, 1.2, 0.97, 0.02

# Places in a slice's directory: numbers, then offsets into the integers, then offsets into the floats.
(_G, _K, _F, _R, _P, _KV, _Q, _RC, _WAVES, _KIND, _TILT,
 _FIRST, _LAYER, _ORDER, _GROUP, _DIPOLE, _COUNT, _SECTORS, _TRIG, _DONOR,
 _LN_E, _ZERO_F, _QUANT_F, _COP_V, _COP_D, _COEFF, _SCALE, _MEAN, _ROOT, _LOAD, _WIDTH, _ZERO_V, _QUANT_V, _COS,
 _SIN, _BLUR, _SCORES, _LAYOUT, _N_DIPOLES) = range(39)  # fmt: skip
_SIZE = 39


@kernel
def _corners(ln_e: float, d: Any, floats: Any, share: float, count: int, slice_: int, corner: Any, w: Any) -> int:
    """Add the energy points around ln E of one slice to the list of corners; returns the length of the list."""
    n = d[_P]
    points = floats[d[_LN_E] : d[_LN_E] + n]
    low, high, weight = 0, 0, 0.0
    if n > 1 and ln_e >= points[n - 1]:
        low = high = n - 1
    elif n > 1 and ln_e > points[0]:
        high = n - 1
        while high - low > 1:
            middle = (low + high) // 2
            if points[middle] <= ln_e:
                low = middle
            else:
                high = middle
        weight = (ln_e - points[low]) / (points[high] - points[low])
    if share * (1.0 - weight) > 1e-5:
        corner[count, 0], corner[count, 1], w[count] = slice_, low, share * (1.0 - weight)
        count += 1
    if share * weight > 1e-5:
        corner[count, 0], corner[count, 1], w[count] = slice_, high, share * weight
        count += 1
    return count


@kernel
def _feature(z: float, j: int, n: int, corner: Any, w: Any, directory: Any, floats: Any) -> tuple[bool, float]:
    """Whether feature j is not zero at score z, and its table's value; between corners zeros first, then the rest."""
    hit = 0.0
    for q in range(n):
        d = directory[corner[q, 0]]
        hit += w[q] * (1.0 - floats[d[_ZERO_F] + corner[q, 1] * d[_F] + j])
    c = upper_tail1(z)
    if hit <= 0.0 or c >= hit:
        return False, 0.0
    place = place1(c / hit, _FEATURE_KNOTS)
    cell = min(int(place), _FEATURE_KNOTS - 2)
    part = place - cell
    value, total = 0.0, 0.0
    for q in range(n):
        d = directory[corner[q, 0]]
        row = corner[q, 1] * d[_F] + j
        if floats[d[_ZERO_F] + row] < 1.0:
            at = d[_QUANT_F] + row * _FEATURE_KNOTS + cell
            value += w[q] * (floats[at] + part * (floats[at + 1] - floats[at]))
            total += w[q]
    return True, value / total


@kernel
def _between(c: Any, n: int, k: int, work: Any) -> Any:
    """Return what separates the k smallest of n values from the rest; 1 where that does."""
    for i in range(n):
        work[i] = c[i]
    low, high = 0, n - 1
    while low < high:
        pivot = work[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while work[i] < pivot:
                i += 1
            while work[j] > pivot:
                j -= 1
            if i <= j:
                work[i], work[j] = work[j], work[i]
                i += 1
                j -= 1
        if k - 1 <= j:
            high = j
        elif k - 1 >= i:
            low = i
        else:
            break
    last = work[k - 1]
    if k == n:
        return 1.0 if last < 1.0 else last * np.float32(1.001)
    after = work[k]
    for i in range(k + 1, n):
        after = min(after, work[i])
    if last < 1.0 <= after:
        return 1.0
    return max(math.sqrt(last * after), last * np.float32(1.000001))


@kernel
def _shower(
    seed: int, index: int, energy: float, phase: float, lower: int, upper: int, weight: float, directory: Any,
    ints: Any, floats: Any, scores: Any, out: Any,
) -> None:  # fmt: skip
    """Sample one shower into `out` (n_voxels,), which holds zeros."""
    state = stream(seed, index, _PURPOSE)
    chosen = upper if uniform(state) < weight else lower
    d = directory[chosen]
    ln_e = math.log(energy)
    corner, w = np.empty((4, 2), dtype=np.int64), np.empty(4)
    if directory[lower, _LAYOUT] == directory[upper, _LAYOUT]:
        n = _corners(ln_e, directory[lower], floats, 1.0 - weight, 0, lower, corner, w)
        n = _corners(ln_e, directory[upper], floats, weight, n, upper, corner, w)
    else:
        n = _corners(ln_e, d, floats, 1.0, 0, chosen, corner, w)
    rings, layers, k, rank = d[_G], d[_K], d[_F], d[_R]

    # Scores of the features. The stored shower is of the chosen slice, and of one of its energy points by weight.
    u = uniform(state)
    point, total_w = 0, 0.0
    for q in range(n):
        if corner[q, 0] == chosen:
            total_w += w[q]
    for q in range(n):
        if corner[q, 0] == chosen:
            point = corner[q, 1]
            u -= w[q] / total_w
            if u < 0.0:
                break
    first_donor, last_donor = ints[d[_DONOR] + point], ints[d[_DONOR] + point + 1]
    donor = first_donor + min(int(uniform(state) * (last_donor - first_donor)), last_donor - first_donor - 1)
    n_common = d[_RC]
    longest = 0
    for g in range(rings):
        longest = max(longest, ints[d[_FIRST] + g + 1] - ints[d[_FIRST] + g])
    work = np.empty(2 * k + n_common + 2 * rank + 5 * longest, dtype=np.float32)
    x = work[:k]
    noise = work[k : 2 * k + n_common]
    fill_normals(state, noise)
    unique = floats[d[_COP_D] : d[_COP_D] + k]
    blur = floats[d[_BLUR]]
    for j in range(k):
        x[j] = blur * unique[j] * noise[j]
    for a in range(n_common):
        amount = blur * noise[k + a]
        row = floats[d[_COP_V] + a * k : d[_COP_V] + (a + 1) * k]
        for j in range(k):
            x[j] += amount * row[j]
    if d[_KIND] == 0:
        kept = np.float32(math.sqrt(1.0 - blur * blur) * copula.STEP)
        stored = scores[d[_SCORES] + donor * k : d[_SCORES] + (donor + 1) * k]
        for j in range(k):
            x[j] += kept * np.float32(stored[j])
    if d[_WAVES]:
        c1, s1 = math.cos(phase), math.sin(phase)
        c2, s2 = math.cos(2.0 * phase), math.sin(2.0 * phase)
        grown = ln_e - math.log(10_000.0)
        for j in range(k):
            b = floats[d[_COEFF] + 8 * j : d[_COEFF] + 8 * j + 8]
            x[j] = floats[d[_SCALE] + j] * x[j] + (
                (b[0] + grown * b[4]) * c1 + (b[1] + grown * b[5]) * s1
                + (b[2] + grown * b[6]) * c2 + (b[3] + grown * b[7]) * s2
            )  # fmt: skip

    # Energies of the rings.
    there, value = _feature(x[0], 0, n, corner, w, directory, floats)
    total = energy * math.exp(value) if there else 0.0
    if total <= 0.0:
        return
    ring_energy, hits = np.zeros(rings), np.zeros(rings, dtype=np.int64)
    by_layer = np.zeros((3, layers))
    for g in range(rings):
        there, value = _feature(x[1 + layers + g], 1 + layers + g, n, corner, w, directory, floats)
        if not there:
            continue
        ring_energy[g] = math.exp(value)
        layer = ints[d[_LAYER] + g]
        counted = ints[d[_COUNT] + g]
        if counted >= 0:
            size = ints[d[_FIRST] + g + 1] - ints[d[_FIRST] + g]
            there, value = _feature(x[counted], counted, n, corner, w, directory, floats)
            hits[g] = min(max(int(math.exp(value) + 0.5), 1), size)
        by_layer[0, layer] += ring_energy[g]
        by_layer[1, layer] += max(hits[g], 1)
    everything = 0.0
    for m in range(layers):
        if by_layer[0, m] > 0.0:
            there, value = _feature(x[1 + m], 1 + m, n, corner, w, directory, floats)
            if there:
                share = by_layer[1, m] / (by_layer[1, m] + _HITS_OF_LAYER)
                by_layer[2, m] = share * max(value - math.log(by_layer[0, m]), -5.0)
            everything += by_layer[0, m] * math.exp(by_layer[2, m])
    if everything <= 0.0:  # no ring was drawn: the likeliest one takes all
        best = 0
        for g in range(1, rings):
            if floats[d[_ZERO_F] + point * k + 1 + layers + g] < floats[d[_ZERO_F] + point * k + 1 + layers + best]:
                best = g
        ring_energy[best] = everything = 1.0
        hits[best] = 1
    for g in range(rings):
        ring_energy[g] *= math.exp(by_layer[2, ints[d[_LAYER] + g]]) * (total / everything)

    # Factors given the features.
    f = work[2 * k + n_common : 2 * k + n_common + rank]
    noise = work[2 * k + n_common + rank : 2 * k + n_common + 2 * rank]
    fill_normals(state, noise)
    for a in range(rank):
        f[a] = 0.0
    for j in range(k):
        row = floats[d[_MEAN] + j * rank : d[_MEAN] + (j + 1) * rank]
        for a in range(rank):
            f[a] += x[j] * row[a]
    for b in range(rank):
        row = floats[d[_ROOT] + b * rank : d[_ROOT] + (b + 1) * rank]
        for a in range(rank):
            f[a] += noise[b] * row[a]

    # Voxels, ring by ring.
    own = 2 * k + n_common + 2 * rank
    z_, eps_, c_, value_, spare_ = (own, own + longest, own + 2 * longest, own + 3 * longest, own + 4 * longest)
    for g in range(rings):
        if ring_energy[g] <= 0.0:
            continue
        start = ints[d[_FIRST] + g]
        size = ints[d[_FIRST] + g + 1] - start
        order = ints[d[_ORDER] + start : d[_ORDER] + start + size]
        if size == 1:
            out[order[0]] = ring_energy[g]
            continue
        z, eps, c = work[z_ : z_ + size], work[eps_ : eps_ + size], work[c_ : c_ + size]
        value_of, spare = work[value_ : value_ + size], work[spare_ : spare_ + size]
        fill_normals(state, eps)
        width = floats[d[_WIDTH] + start : d[_WIDTH] + start + size]
        for v in range(size):
            z[v] = width[v] * eps[v]
        for a in range(rank):
            amount = f[a]
            row = floats[d[_LOAD] + rank * start + a * size : d[_LOAD] + rank * start + (a + 1) * size]
            for v in range(size):
                z[v] += amount * row[v]
        for v in range(size):
            c[v] = 0.0
        for q in range(n):
            e = directory[corner[q, 0]]
            share_, base = np.float32(w[q]), e[_ZERO_V] + corner[q, 1] * e[_Q]
            group = ints[e[_GROUP] + start : e[_GROUP] + start + size]
            for v in range(size):
                c[v] += share_ * (np.float32(1.0) - floats[base + group[v]])
        n_hit, best = 0, 0
        for v in range(size):
            c[v] = upper_tail1(z[v]) / max(c[v], np.float32(1e-6))
            n_hit += c[v] < np.float32(1.0)
        limit = np.float32(1.0)
        if hits[g] > 0:
            if n_hit != hits[g]:
                limit = np.float32(_between(c, size, hits[g], spare))
        elif n_hit == 0:
            limit = np.float32(_between(c, size, 1, spare))
        total = 0.0
        for v in range(size):
            value_of[v] = 0.0
            if c[v] >= limit:
                continue
            place = place1(c[v] / limit, d[_KV])
            cell = min(int(place), d[_KV] - 2)
            part = np.float32(place - cell)
            sum_, sum_w = np.float32(0.0), np.float32(0.0)
            for q in range(n):
                e = directory[corner[q, 0]]
                row_ = corner[q, 1] * e[_Q] + ints[e[_GROUP] + start + v]
                if floats[e[_ZERO_V] + row_] < np.float32(1.0):
                    at = e[_QUANT_V] + row_ * e[_KV] + cell
                    sum_ += np.float32(w[q]) * (floats[at] + part * (floats[at + 1] - floats[at]))
                    sum_w += np.float32(w[q])
            value_of[v] = math.exp(sum_ / sum_w) if sum_w > 0.0 else np.float32(1e-6)
            total += value_of[v]
            best += 1
        dipole = ints[d[_DIPOLE] + g]
        if dipole >= 0 and d[_TILT] and best >= 3:
            there, t1 = _feature(x[dipole], dipole, n, corner, w, directory, floats)
            there, t2 = _feature(x[dipole + d[_N_DIPOLES]], dipole + d[_N_DIPOLES], n, corner, w, directory, floats)
            total = _tilt(
                value_of, ints[d[_SECTORS] + g], floats[d[_COS] + ints[d[_TRIG] + g] :],
                floats[d[_SIN] + ints[d[_TRIG] + g] :], t1, t2,
            )  # fmt: skip
        factor = ring_energy[g] / total
        for v in range(size):
            if value_of[v] > 0.0:
                out[order[v]] = factor * value_of[v]


@kernel
def _tilt(value: Any, sectors: int, cosine: Any, sine: Any, t1: float, t2: float) -> float:
    """Multiply the parts in alpha of a ring by exp(a cos alpha + b sin alpha) with a dipole (t1, t2); returns the sum.

    Newton steps on (a, b) with the weighted covariance of (cos, sin).
    """
    wanted = math.sqrt(t1 * t1 + t2 * t2)
    if wanted > _MAX_DIPOLE:
        t1, t2 = t1 * _MAX_DIPOLE / wanted, t2 * _MAX_DIPOLE / wanted
    in_sector = len(value) // sectors
    weight, power = np.zeros(sectors), np.zeros(sectors)
    for s in range(sectors):
        for v in range(s * in_sector, (s + 1) * in_sector):
            weight[s] += value[v]
    for _ in range(_TILT_STEPS):
        sum_, m1, m2, s11, s12, s22 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for s in range(sectors):
            x, y, p = cosine[s], sine[s], weight[s]
            sum_ += p
            m1 += p * x
            m2 += p * y
            s11 += p * x * x
            s12 += p * x * y
            s22 += p * y * y
        m1, m2 = m1 / sum_, m2 / sum_
        s11, s12, s22 = s11 / sum_ - m1 * m1 + _SOFT, s12 / sum_ - m1 * m2, s22 / sum_ - m2 * m2 + _SOFT
        inverse = 1.0 / (s11 * s22 - s12 * s12)
        a = (s22 * (t1 - m1) - s12 * (t2 - m2)) * inverse
        b = (s11 * (t2 - m2) - s12 * (t1 - m1)) * inverse
        length = math.sqrt(a * a + b * b)
        if length > _TILT_STEP:
            a, b = a * _TILT_STEP / length, b * _TILT_STEP / length
        for s in range(sectors):
            step = a * cosine[s] + b * sine[s]
            power[s] += step
            weight[s] *= math.exp(step)
    total = 0.0
    for s in range(sectors):
        factor = np.float32(math.exp(power[s]))
        for v in range(s * in_sector, (s + 1) * in_sector):
            value[v] *= factor
            total += value[v]
    return total


@kernel
def _few(
    seed: int, index: Any, energy: Any, phase: Any, lower: Any, upper: Any, weight: Any, directory: Any, ints: Any,
    floats: Any, scores: Any, out: Any,
) -> None:  # fmt: skip
    for i in range(len(index)):
        _shower(
            seed, index[i], energy[i], phase[i], lower[i], upper[i], weight[i], directory, ints, floats, scores, out[i]
        )


@parallel_kernel
def _many(
    seed: int, index: Any, energy: Any, phase: Any, lower: Any, upper: Any, weight: Any, directory: Any, ints: Any,
    floats: Any, scores: Any, out: Any,
) -> None:  # fmt: skip
    for i in prange(len(index)):
        _shower(
            seed, index[i], energy[i], phase[i], lower[i], upper[i], weight[i], directory, ints, floats, scores, out[i]
        )


@dataclass
class _Pack:
    """A tune's numbers in three arrays, and a directory (slices, `_SIZE`) of what lies where."""

    directory: npt.NDArray[np.int64]
    ints: npt.NDArray[np.int64]
    floats: npt.NDArray[np.float32]
    scores: npt.NDArray[np.int8]


def _pack(models: list[VoxelModel], settings: VoxelSettings) -> _Pack:
    directory = np.zeros((len(models), _SIZE), dtype=np.int64)
    ints: list[npt.NDArray[np.int64]] = []
    floats: list[npt.NDArray[np.float32]] = []
    scores: list[npt.NDArray[np.int8]] = []

    def put(store: list[Any], values: Any, dtype: Any) -> int:
        at = sum(len(part) for part in store)
        store.append(np.ascontiguousarray(values, dtype=dtype).ravel())
        return at

    layouts: list[tuple[Any, ...]] = []
    for model, d in zip(models, directory, strict=True):
        rings, c, order = model.rings, model.copula, model.rings.order
        binning = rings.binning
        n_rings, n_layers, n_features = rings.n_rings, len(binning.layer_ids), len(c.unique)
        rank = model.factors.loadings.shape[1]
        first = np.concatenate([[0], np.cumsum(rings.size)])
        dipoles, counts = np.full(n_rings, -1), np.full(n_rings, -1)
        start = 1 + n_layers + n_rings
        dipoles[rings.with_dipole] = start + np.arange(len(rings.with_dipole))
        if settings.counts:
            counts[rings.with_count] = start + 2 * len(rings.with_dipole) + np.arange(len(rings.with_count))
        sectors = np.array(binning.n_alpha)
        trig = np.concatenate([[0], np.cumsum(sectors)])
        angle = np.concatenate([-np.pi + (np.arange(a) + 0.5) * 2.0 * np.pi / a for a in sectors])
        layout = (binning, rings.ring.tobytes(), n_features)
        layouts.append(layout)

        d[_G], d[_K], d[_F], d[_R], d[_P] = n_rings, n_layers, n_features, rank, len(c.ln_e)
        d[_KV], d[_Q] = model.quantiles.shape[2], model.zero.shape[1]
        d[_WAVES], d[_TILT], d[_N_DIPOLES] = len(c.waves) > 0, settings.dipoles, len(rings.with_dipole)
        d[_KIND] = copula.KINDS.index(settings.copula)
        d[_LAYOUT] = layouts.index(layout)
        # Independent features are a Gaussian copula without common factors.
        alone = settings.copula == "independent"
        d[_RC] = 0 if alone else len(c.factors)

        for place, values in (
            (_FIRST, first), (_LAYER, rings.layer), (_ORDER, order), (_GROUP, model.group[order]), (_DIPOLE, dipoles),
            (_COUNT, counts), (_SECTORS, sectors[rings.layer]), (_TRIG, trig[rings.layer]), (_DONOR, c.first),
        ):  # fmt: skip
            d[place] = put(ints, values, np.int64)
        n_voxels = binning.n_voxels
        mean, root = model.factors.posterior(np.arange(n_voxels, n_voxels + n_features))
        ordered = model.factors.loadings[:n_voxels][order]
        loadings = [ordered[a:b].T.ravel() for a, b in pairwise(first)]
        for place, numbers in (
            (_LN_E, c.ln_e), (_ZERO_F, c.zero), (_QUANT_F, _feature_tables(c)), (_COP_V, c.factors),
            (_COP_D, np.ones(n_features) if alone else c.unique), (_COEFF, c.waves), (_SCALE, c.scale),
            (_MEAN, mean.T), (_ROOT, root.T), (_LOAD, np.concatenate(loadings)),
            (_WIDTH, np.sqrt(model.factors.unique[:n_voxels][order])), (_ZERO_V, model.zero),
            (_QUANT_V, model.quantiles), (_COS, np.cos(angle)), (_SIN, np.sin(angle)),
            (_BLUR, [settings.blur if settings.copula == "empirical" else 1.0]),
        ):  # fmt: skip
            d[place] = put(floats, numbers, np.float32)
        d[_SCORES] = put(scores, c.scores, np.int8)
    return _Pack(directory, np.concatenate(ints), np.concatenate(floats), np.concatenate(scores))


def _feature_tables(model: copula.Copula) -> npt.NDArray[np.float32]:
    """Quantiles of the features at the knots of `shapes.root_odds`, shape (P, k, `_FEATURE_KNOTS`)."""
    from scipy import special

    p = np.clip(probabilities(_FEATURE_KNOTS), 1e-12, 1.0 - 1e-12)
    last = model.quantiles.shape[2] - 1
    place = np.clip((special.ndtri(p) - model.start) / model.spacing, 0.0, last)
    cell = np.minimum(place.astype(np.int64), last - 1)
    part = place - cell
    tables = (1.0 - part) * model.quantiles[..., cell] + part * model.quantiles[..., cell + 1]
    return np.asarray(tables, dtype=np.float32)


def sampler(tune: Tune) -> Callable[[Plan, Particles, int], Showers]:
    """Return what samples from a tune; needs no memory beyond the voxels returned and some kB per thread."""
    models = [VoxelModel.from_tables(part.tables["voxel"]) for part in tune.slices]
    pack = _pack(models, tune.recipe.voxel)
    arrays = (pack.directory, pack.ints, pack.floats, pack.scores)
    binnings = [model.rings.binning for model in models]
    # Of the first slice with the same binning: one shape for all showers, whichever are together in a batch.
    stored = [part.tables.get("radial_shape") for part in tune.slices]
    firsts = [stored[binnings.index(binning)] for binning in binnings]
    shapes = [None if t is None else radial_shape.shape(t, b) for t, b in zip(firsts, binnings, strict=True)]
    one_binning = all(binning == binnings[0] for binning in binnings)
    modulation = tune.geometry.config.modulation
    pitch = modulation.pitch if modulation is not None and tune.geometry.frame == "barrel" else None

    def sampled(plan: Plan, particles: Particles, seed: int) -> Showers:
        n = len(particles)
        binning, shape = binnings[0], shapes[0]
        if not one_binning and n:
            used = np.unique(np.concatenate([plan.lower, plan.upper]))
            binning, shape = binnings[used[0]], shapes[used[0]]
            if any(binnings[k] != binning for k in used):
                raise UsageError(
                    f"{tune.name}: these particles belong to different regions of the detector's voxel binning;"
                    " sample the particles of each region by themselves"
                )
        phase = np.zeros(n) if pitch is None else (2.0 * np.pi / pitch) * particles.phi
        voxels = np.zeros((n, binning.n_voxels))
        run = _few if n <= _SERIAL else _many
        run(seed, particles.index, particles.energy, phase, plan.lower, plan.upper, plan.weight, *arrays, voxels)
        return Showers.from_voxels(particles, voxels, binning, tune.geometry, seed=seed, radial=shape)

    return sampled
