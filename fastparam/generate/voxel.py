"""Sampler of the recipe `voxel`: showers as voxels, in one kernel per shower.

1. Scores of the features from the smoothed empirical copula (`shapes.empirical_copula`), of the stored showers of one
   of the energy points and eta slices around the particle, by its weight.
2. Features from their quantile tables, interpolated to the particle's energy and eta: first the probability p0 of an
   exact zero, as ln(-ln p0), then the quantiles of the rest. Ring energies are scaled to their layer (the more so, the
   more voxels it hits: a layer of two deposits is the sum of its rings), everything to the total.
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
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastparam._numba import kernel, parallel_kernel, prange
from fastparam.errors import UsageError
from fastparam.fit import copula, depth_shape, radial_shape
from fastparam.fit.voxels import VoxelModel
from fastparam.random import stream, uniform
from fastparam.shapes.quick_functions import exp1
from fastparam.shapes.quick_normal import fill_normals, upper_tail1
from fastparam.shapes.root_odds import place1, probabilities
from fastparam.showers.showers import Showers
from fastparam.showers.spread import DepthShape

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

_TILT_STEPS, _TILT_STEP, _MAX_DIPOLE, _SOFT = 2, 1.2, 0.97, 0.02

# Places in a slice's directory: numbers, then offsets into the integers, then offsets into the floats.
(_G, _K, _F, _R, _P, _KV, _Q, _RC, _WAVES, _KIND, _TILT,
 _FIRST, _LAYER, _ORDER, _GROUP, _DIPOLE, _COUNT, _SECTORS, _TRIG, _DONOR,
 _LN_E, _RATE_F, _QUANT_F, _COP_V, _COP_D, _COEFF, _SCALE, _MEAN, _ROOT, _LOAD, _WIDTH, _RATE_V, _QUANT_V, _COS,
 _SIN, _BLUR, _SCORES, _LAYOUT, _N_DIPOLES, _LONGEST, _MAX_SECTORS, _SECTOR) = range(42)  # fmt: skip
_SIZE = 42

#: ln(-ln p0) from which a feature is never zero.
_ALWAYS = 3.0

#: Weight of an energy point or slice below which it is left out.
_NEGLIGIBLE = 1e-5


@kernel
def _corners(
    ln_e: float, directory: Any, floats: Any, slice_: int, share: float, count: int, corner: Any, w: Any
) -> int:  # fmt: skip
    """Add the energy points around ln E of one slice to the list of corners; returns the length of the list.

    corner (4, 7): slice, point, and where its zeros and quantiles of features, of voxels, and the voxels' groups begin.
    """
    n, start = directory[slice_, _P], directory[slice_, _LN_E]
    low, high, weight = 0, 0, 0.0
    if n > 1 and ln_e >= floats[start + n - 1]:
        low = high = n - 1
    elif n > 1 and ln_e > floats[start]:
        high = n - 1
        while high - low > 1:
            middle = (low + high) // 2
            if floats[start + middle] <= ln_e:
                low = middle
            else:
                high = middle
        weight = (ln_e - floats[start + low]) / (floats[start + high] - floats[start + low])
    for k in range(2):
        point = high if k else low
        own = share * (weight if k else 1.0 - weight)
        if own > _NEGLIGIBLE:
            n_groups, n_features = directory[slice_, _Q], directory[slice_, _F]
            corner[count, 0], corner[count, 1], w[count] = slice_, point, own
            corner[count, 2] = directory[slice_, _RATE_F] + point * n_features
            corner[count, 3] = directory[slice_, _QUANT_F] + point * n_features * _FEATURE_KNOTS
            corner[count, 4] = directory[slice_, _RATE_V] + point * n_groups
            corner[count, 5] = directory[slice_, _QUANT_V] + point * n_groups * directory[slice_, _KV]
            corner[count, 6] = directory[slice_, _GROUP]
            count += 1
    return count


@kernel
def _add_rows(amounts: Any, n_rows: int, rows: Any, out: Any) -> None:
    """Add amounts[a] times row a of a matrix (n_rows, len(out)) to `out`, four rows per pass."""
    size = len(out)
    whole = n_rows - n_rows % 4
    for a in range(0, whole, 4):
        p, q, r, s = amounts[a], amounts[a + 1], amounts[a + 2], amounts[a + 3]
        row_p, row_q = rows[a * size : (a + 1) * size], rows[(a + 1) * size : (a + 2) * size]
        row_r, row_s = rows[(a + 2) * size : (a + 3) * size], rows[(a + 3) * size : (a + 4) * size]
        for v in range(size):
            out[v] += (p * row_p[v] + q * row_q[v]) + (r * row_r[v] + s * row_s[v])
    for a in range(whole, n_rows):
        p, row_p = amounts[a], rows[a * size : (a + 1) * size]
        for v in range(size):
            out[v] += p * row_p[v]


@kernel
def _feature(z: float, j: int, n: int, corner: Any, w: Any, floats: Any) -> tuple[bool, float]:
    """Whether feature j is not zero at score z, and its table's value; between corners zeros first, then the rest."""
    rate = 0.0
    for q in range(n):
        rate += w[q] * floats[corner[q, 2] + j]
    hit = -math.expm1(-math.exp(rate))
    c = upper_tail1(z)
    if rate < _ALWAYS and c >= hit:
        return False, 0.0
    place = place1(c / hit, _FEATURE_KNOTS)
    cell = min(int(place), _FEATURE_KNOTS - 2)
    part = place - cell
    value = 0.0
    for q in range(n):
        at = corner[q, 3] + j * _FEATURE_KNOTS + cell
        value += w[q] * (floats[at] + part * (floats[at + 1] - floats[at]))
    return True, value


@kernel
def _between(c: Any, found: int, wanted: int) -> Any:
    """Return what separates the `wanted` smallest values from the rest: the geometric mean of the two around the gap.

    `found` of them are below 1. Counting runs over neighbours without branches, which sorting does not.
    """
    low, high = np.float32(0.0), np.float32(1.0)
    if found < wanted:
        low, high = np.float32(1.0), np.float32(1.5)
        while _below(c, high) < wanted and high < np.float32(1e8):
            low, high = high, high * np.float32(2.0)
    limit = high
    for _ in range(40):
        count = _below(c, limit)
        if count == wanted:
            break
        if count < wanted:
            low = limit
        else:
            high = limit
        limit = np.float32(0.5) * (low + high)
    last, after = np.float32(0.0), np.float32(1e9)
    for v in range(len(c)):
        inside = c[v] < limit
        last = max(last, c[v] if inside else np.float32(0.0))
        after = min(after, np.float32(1e9) if inside else c[v])
    if after >= np.float32(1e9):
        return max(last * np.float32(1.001), np.float32(1.0))
    return max(np.float32(math.sqrt(last * after)), last * np.float32(1.000001))


@kernel
def _below(c: Any, limit: Any) -> Any:
    count = np.int32(0)
    for v in range(len(c)):
        count += np.int32(c[v] < limit)
    return count


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
    corner, w = np.empty((4, 7), dtype=np.int64), np.empty(4)
    if directory[lower, _LAYOUT] == directory[upper, _LAYOUT]:
        n = _corners(ln_e, directory, floats, lower, 1.0 - weight, 0, corner, w)
        n = _corners(ln_e, directory, floats, upper, weight, n, corner, w)
    else:
        n = _corners(ln_e, directory, floats, chosen, 1.0, 0, corner, w)
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
    longest, n_voxels = d[_LONGEST], ints[d[_FIRST] + rings]
    work = np.empty(2 * k + n_common + 2 * rank + 2 * longest + 2 * d[_MAX_SECTORS] + 2 * n_voxels, dtype=np.float32)
    x = work[:k]
    noise = work[k : 2 * k + n_common]
    fill_normals(state, noise)
    unique = floats[d[_COP_D] : d[_COP_D] + k]
    blur = floats[d[_BLUR]]
    for j in range(k):
        x[j] = blur * unique[j] * noise[j]
    for a in range(n_common):
        noise[k + a] *= blur
    _add_rows(noise[k:], n_common, floats[d[_COP_V] :], x)
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
    there, value = _feature(x[0], 0, n, corner, w, floats)
    total = energy * math.exp(value) if there else 0.0
    if total <= 0.0:
        return
    ring_energy, hits = np.zeros(rings), np.zeros(rings, dtype=np.int64)
    by_layer = np.zeros((3, layers))
    for g in range(rings):
        there, value = _feature(x[1 + layers + g], 1 + layers + g, n, corner, w, floats)
        if not there:
            continue
        ring_energy[g] = math.exp(value)
        layer = ints[d[_LAYER] + g]
        counted = ints[d[_COUNT] + g]
        if counted >= 0:
            size = ints[d[_FIRST] + g + 1] - ints[d[_FIRST] + g]
            there, value = _feature(x[counted], counted, n, corner, w, floats)
            number = -math.expm1(-math.exp(value)) * (size + 1.0)  # as in `fit.voxels.features_of`
            hits[g] = min(max(int(number + 0.5), 1), size)
        by_layer[0, layer] += ring_energy[g]
        by_layer[1, layer] += max(hits[g], 1)
    everything = 0.0
    for m in range(layers):
        if by_layer[0, m] > 0.0:
            there, value = _feature(x[1 + m], 1 + m, n, corner, w, floats)
            if there:
                share = by_layer[1, m] / (by_layer[1, m] + _HITS_OF_LAYER)
                by_layer[2, m] = share * max(value - math.log(by_layer[0, m]), -5.0)
            everything += by_layer[0, m] * math.exp(by_layer[2, m])
    if everything <= 0.0:  # no ring was drawn: the likeliest one takes all
        best = 0
        for g in range(1, rings):
            if floats[d[_RATE_F] + point * k + 1 + layers + g] > floats[d[_RATE_F] + point * k + 1 + layers + best]:
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
    _add_rows(x, k, floats[d[_MEAN] :], f)
    _add_rows(noise, rank, floats[d[_ROOT] :], f)

    # Scores of all voxels, and what makes them hit where it is below 1.
    own = 2 * k + n_common + 2 * rank
    value_of, part_of = work[own : own + longest], work[own + longest : own + 2 * longest]
    own += 2 * longest
    z, c_all = work[own : own + n_voxels], work[own + n_voxels : own + 2 * n_voxels]
    own += 2 * n_voxels
    spare = work[own:]
    fill_normals(state, z)
    width = floats[d[_WIDTH] : d[_WIDTH] + n_voxels]
    for v in range(n_voxels):
        z[v] *= width[v]
    _add_rows(f, rank, floats[d[_LOAD] :], z)
    for v in range(n_voxels):
        c_all[v] = 0.0
    for q in range(n):
        share_, rate = np.float32(w[q]), floats[corner[q, 4] :]
        group = ints[corner[q, 6] : corner[q, 6] + n_voxels]
        for v in range(n_voxels):
            c_all[v] += share_ * rate[group[v]]
    for v in range(n_voxels):
        hit = np.float32(1.0) - exp1(-exp1(c_all[v]))
        c_all[v] = upper_tail1(z[v]) / max(hit, np.float32(1e-6))

    # Voxels, ring by ring.
    hit_at = np.empty(longest, dtype=np.int64)
    knots = d[_KV]
    for g in range(rings):
        if ring_energy[g] <= 0.0:
            continue
        start = ints[d[_FIRST] + g]
        size = ints[d[_FIRST] + g + 1] - start
        order = d[_ORDER] + start
        if size == 1:
            out[ints[order]] = ring_energy[g]
            continue
        c = c_all[start : start + size]
        n_hit = _below(c, np.float32(1.0))
        wanted = hits[g] if hits[g] > 0 else max(n_hit, 1)
        limit = np.float32(1.0) if n_hit == wanted else _between(c, n_hit, wanted)
        n_hit = 0
        for v in range(size):
            hit_at[n_hit] = v
            value_of[n_hit] = c[v] / limit
            n_hit += c[v] < limit

        # Their energies.
        for h in range(n_hit):
            part_of[h] = place1(value_of[h], knots)
            value_of[h] = 0.0
        for q in range(n):
            share_, table, group = np.float32(w[q]), corner[q, 5], corner[q, 6] + start
            for h in range(n_hit):
                cell = min(int(part_of[h]), knots - 2)
                at = table + ints[group + hit_at[h]] * knots + cell
                value_of[h] += share_ * (floats[at] + (part_of[h] - np.float32(cell)) * (floats[at + 1] - floats[at]))
        for h in range(n_hit):
            value_of[h] = exp1(value_of[h])
        total = 0.0
        for h in range(n_hit):
            total += value_of[h]
        dipole = ints[d[_DIPOLE] + g]
        if dipole >= 0 and d[_TILT] and n_hit >= 3:
            there, t1 = _feature(x[dipole], dipole, n, corner, w, floats)
            there, t2 = _feature(x[dipole + d[_N_DIPOLES]], dipole + d[_N_DIPOLES], n, corner, w, floats)
            n_sectors = ints[d[_SECTORS] + g]
            total = _tilt(
                value_of, hit_at, n_hit, n_sectors, ints, d[_SECTOR] + start, floats, d[_COS] + ints[d[_TRIG] + g],
                d[_SIN] + ints[d[_TRIG] + g], t1, t2, spare,
            )  # fmt: skip
        factor = ring_energy[g] / total
        for h in range(n_hit):
            out[ints[order + hit_at[h]]] = factor * value_of[h]


@kernel
def _tilt(
    value: Any, hit_at: Any, n_hit: int, sectors: int, ints: Any, sector: int, floats: Any, cosine: int, sine: int,
    t1: float, t2: float, work: Any,
) -> float:  # fmt: skip
    """Multiply the parts in alpha of a ring by exp(a cos alpha + b sin alpha) with a dipole (t1, t2); returns the sum.

    Newton steps on (a, b) with the weighted covariance of (cos, sin).
    """
    wanted = math.sqrt(t1 * t1 + t2 * t2)
    if wanted > _MAX_DIPOLE:
        t1, t2 = t1 * _MAX_DIPOLE / wanted, t2 * _MAX_DIPOLE / wanted
    for s in range(sectors):
        work[s] = 0.0
        work[sectors + s] = 1.0
    for h in range(n_hit):
        work[ints[sector + hit_at[h]]] += value[h]
    for _ in range(_TILT_STEPS):
        sum_, m1, m2, s11, s12, s22 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for s in range(sectors):
            x, y, p = floats[cosine + s], floats[sine + s], work[s] * work[sectors + s]
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
        a_, b_ = np.float32(a), np.float32(b)
        for s in range(sectors):
            work[sectors + s] *= math.exp(a_ * floats[cosine + s] + b_ * floats[sine + s])
    total = 0.0
    for h in range(n_hit):
        value[h] *= work[sectors + ints[sector + hit_at[h]]]
        total += value[h]
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


def _pack(models: list[VoxelModel], hadrons: list[bool], settings: VoxelSettings) -> _Pack:
    directory = np.zeros((len(models), _SIZE), dtype=np.int64)
    ints: list[npt.NDArray[np.int64]] = []
    floats: list[npt.NDArray[np.float32]] = []
    scores: list[npt.NDArray[np.int8]] = []

    def put(store: list[Any], values: Any, dtype: Any) -> int:
        at = sum(len(part) for part in store)
        store.append(np.ascontiguousarray(values, dtype=dtype).ravel())
        return at

    layouts: list[tuple[Any, ...]] = []
    for model, hadron, d in zip(models, hadrons, directory, strict=True):
        blur = settings.blur_hadrons if hadron else settings.blur
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
        d[_WAVES], d[_TILT], d[_N_DIPOLES] = len(c.waves) > 0, settings.tilt, len(rings.with_dipole)
        d[_LONGEST], d[_MAX_SECTORS] = rings.size.max(), sectors.max()
        d[_KIND] = copula.KINDS.index(settings.copula)
        d[_LAYOUT] = layouts.index(layout)
        # Independent features are a Gaussian copula without common factors.
        alone = settings.copula == "independent"
        d[_RC] = 0 if alone else len(c.factors)

        for place, values in (
            (_FIRST, first), (_LAYER, rings.layer), (_ORDER, order), (_GROUP, model.group[order]),
            (_SECTOR, binning.sector[order]), (_DIPOLE, dipoles),
            (_COUNT, counts), (_SECTORS, sectors[rings.layer]), (_TRIG, trig[rings.layer]), (_DONOR, c.first),
        ):  # fmt: skip
            d[place] = put(ints, values, np.int64)
        n_voxels = binning.n_voxels
        mean, root = model.factors.posterior(np.arange(n_voxels, n_voxels + n_features))
        in_group = model.counts[:, None] * np.bincount(model.group)
        for place, numbers in (
            (_LN_E, c.ln_e), (_RATE_F, _rates(c.zero, model.counts[:, None])),
            (_QUANT_F, _feature_tables(c)), (_COP_V, c.factors),
            (_COP_D, np.ones(n_features) if alone else c.unique), (_COEFF, c.waves), (_SCALE, c.scale),
            (_MEAN, mean.T), (_ROOT, root.T), (_LOAD, model.factors.loadings[:n_voxels][order].T),
            (_WIDTH, np.sqrt(model.factors.unique[:n_voxels][order])), (_RATE_V, _rates(model.zero, in_group)),
            (_QUANT_V, model.quantiles), (_COS, np.cos(angle)), (_SIN, np.sin(angle)),
            (_BLUR, [blur if settings.copula == "empirical" else 1.0]),
        ):  # fmt: skip
            d[place] = put(floats, numbers, np.float32)
        d[_SCORES] = put(scores, c.scores, np.int8)
    return _Pack(directory, np.concatenate(ints), np.concatenate(floats), np.concatenate(scores))


def _rates(zero: npt.NDArray[np.float64], n: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return ln(-ln p0), the form in which probabilities of being empty are interpolated.

    -ln p0 is the mean number of independent deposits that would leave a voxel empty so often: a power of the energy,
    nearly. None empty of n, or all, stand for three tenths of one, unless it is so at all energies.
    """
    clipped = np.clip(zero, 0.3 / n, 1.0 - 0.3 / n)
    rate = np.log(-np.log(clipped))
    rate[:, (zero <= 0.0).all(axis=0)] = 2.0 * _ALWAYS
    rate[:, (zero >= 1.0).all(axis=0)] = -20.0
    return np.asarray(rate, dtype=np.float64)


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
    pack = _pack(models, [abs(part.pdg) not in (11, 22) for part in tune.slices], tune.recipe.voxel)
    arrays = (pack.directory, pack.ints, pack.floats, pack.scores)
    binnings = [model.rings.binning for model in models]
    # Of the first slice with the same binning: one shape for all showers, whichever are together in a batch.
    stored = [part.tables.get("radial_shape") for part in tune.slices]
    firsts = [stored[binnings.index(binning)] for binning in binnings]
    shapes = [None if t is None else radial_shape.shape(t, b) for t, b in zip(firsts, binnings, strict=True)]
    stored = [part.tables.get("depth_shape") for part in tune.slices]
    firsts = [stored[binnings.index(binning)] for binning in binnings]
    depths = [None if t is None else DepthShape(*depth_shape.shape(t)) for t in firsts]
    one_binning = all(binning == binnings[0] for binning in binnings)
    modulation = tune.geometry.config.modulation
    pitch = modulation.pitch if modulation is not None and tune.geometry.frame == "barrel" else None

    def sampled(plan: Plan, particles: Particles, seed: int) -> Showers:
        n = len(particles)
        binning, shape, depth = binnings[0], shapes[0], depths[0]
        if not one_binning and n:
            used = np.unique(np.concatenate([plan.lower, plan.upper]))
            binning, shape, depth = binnings[used[0]], shapes[used[0]], depths[used[0]]
            if any(binnings[k] != binning for k in used):
                raise UsageError(
                    f"{tune.name}: these particles belong to different regions of the detector's voxel binning;"
                    " sample the particles of each region by themselves"
                )
        phase = np.zeros(n) if pitch is None else (2.0 * np.pi / pitch) * particles.phi
        voxels = np.zeros((n, binning.n_voxels))
        run = _few if n <= _SERIAL else _many
        run(seed, particles.index, particles.energy, phase, plan.lower, plan.upper, plan.weight, *arrays, voxels)
        return Showers.from_voxels(particles, voxels, binning, tune.geometry, seed=seed, radial=shape, depth=depth)

    return sampled
