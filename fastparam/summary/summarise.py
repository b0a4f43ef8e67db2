"""Hits -> `Summary`: one pass, one kernel, every shower by itself."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastparam._numba import kernel, parallel_kernel, prange
from fastparam.errors import InputError
from fastparam.geometry.frames import depth_at, line_crossings, local_frames
from fastparam.summary.binning import Binning
from fastparam.summary.deposits import chosen, deposits_of
from fastparam.summary.merge import concatenate
from fastparam.summary.rounding import rounded
from fastparam.summary.summary import Summary

if TYPE_CHECKING:
    from fastparam.geometry.detector import Geometry
    from fastparam.hits.batches import Batch
    from fastparam.hits.hits import Hits
    from fastparam.particles import Particles

__all__ = ["cell_depths", "cell_paths", "summarise", "summarise_hits"]

#: Significant bits kept of sums per shower and per layer (a relative error of 1.5e-5 at worst), and of the content and
#: of means and variances per layer (4e-3 at worst, 1.6e-3 rms: far below what one bin of one shower fluctuates by).
#: More bits would store noise, and noise does not compress.
_SUM_BITS = 16
_CONTENT_BITS = 8

#: R50 and R90 are found in bins of r^2 that are the floating-point numbers of equal exponent and equal first 4 bits of
#: the mantissa: 1.5 to 3 % wide in r, from 2^-7 mm to 2^13 mm, and found without a logarithm.
_MANTISSA_BITS = 4
_EXPONENTS = (-14, 26)
_SHIFT = 52 - _MANTISSA_BITS
_FIRST_CODE = (1023 + _EXPONENTS[0]) << _MANTISSA_BITS
_N_CODES = (_EXPONENTS[1] - _EXPONENTS[0]) << _MANTISSA_BITS
_R2_LOW, _R2_HIGH = 2.0 ** _EXPONENTS[0], 2.0 ** _EXPONENTS[1]


def _fine_edges() -> npt.NDArray[np.float64]:
    """Edges in r^2 (mm^2) of the fine bins: one below the codes, one per code, one above; shape (_N_CODES + 3,)."""
    exponent = np.arange(*_EXPONENTS)[:, None]
    mantissa = 1.0 + np.arange(1 << _MANTISSA_BITS) / (1 << _MANTISSA_BITS)
    return np.concatenate([[0.0], np.ldexp(mantissa, exponent).ravel(), [_R2_HIGH, np.inf]])


@kernel
def _radius(fine: npt.NDArray[np.float64], edges: npt.NDArray[np.float64], wanted: float) -> float:
    """Radius in mm that holds the energy `wanted`, linear in r^2 within a fine bin; NaN if `wanted` is not positive."""
    if wanted <= 0.0:
        return math.nan
    below = 0.0
    for f in range(len(fine) - 1):
        if below + fine[f] >= wanted:
            share = (wanted - below) / fine[f]
            return math.sqrt(edges[f] + share * (edges[f + 1] - edges[f]))
        below += fine[f]
    return math.sqrt(edges[len(fine) - 1])


@kernel
def _join(entry_bin: Any, entry_energy: Any, entry: int, first: int, last: int) -> int:
    """Move entries `first` to `last` to the place `entry`, ascending and one per bin; return the next place."""
    order = first + np.argsort(entry_bin[first:last], kind="mergesort")
    bins, energies = entry_bin[order], entry_energy[order]
    start = entry
    for j in range(len(bins)):
        if energies[j] <= 0.0:
            continue
        if entry > start and bins[j] == entry_bin[entry - 1]:
            entry_energy[entry - 1] += energies[j]
        else:
            entry_bin[entry], entry_energy[entry] = bins[j], energies[j]
            entry += 1
    return entry


@parallel_kernel
def _reduce(
    x: Any,
    y: Any,
    z: Any,
    e: Any,
    layer: Any,
    offsets: Any,
    origin: Any,
    u: Any,
    e1: Any,
    e2: Any,
    slab_in: Any,
    slab_out: Any,
    x0_in: Any,
    slab_x0: Any,
    layer_slab: Any,
    medium: Any,
    period_in: Any,
    period_out: Any,
    from_start: Any,
    cell_width: Any,
    n_cells: Any,
    first_cell: Any,
    ring_edges: Any,
    fine_edges: Any,
    first_ring: Any,
    n_hits: Any,
    n_outside: Any,
    outside: Any,
    layer_energy: Any,
    moments: Any,
    depth_sums: Any,
    r50: Any,
    r90: Any,
    n_entries: Any,
    entry_bin: Any,
    entry_energy: Any,
) -> None:
    """Fill the per-shower arrays; entries of the content go to the shower's hit range of `entry_*`, from its front.

    A cell of the content is a range of depth along the line. Far from the line a hit's layer is entered at another
    depth, by centimetres where layers are inclined or curved: it then belongs to a cell of the layer that the line
    crosses there, as long as that is of the same medium. Such hits have bins of their own (`Summary.content_bin`).
    """
    n_slabs, n_r = slab_in.shape[1], len(ring_edges) - 1
    n_content = first_cell[-1] * n_r
    n_fine = len(fine_edges) - 1
    for i in prange(len(offsets) - 1):
        content = np.zeros(n_content)
        fine = np.zeros(n_fine)
        # What a loop over hits reads or adds to again and again is kept in local numbers: arrays might overlap, which
        # would force a load and a store for every hit.
        x0, y0, z0 = origin[i, 0], origin[i, 1], origin[i, 2]
        ux, uy, uz = u[i, 0], u[i, 1], u[i, 2]
        ax, ay, az = e1[i, 0], e1[i, 1], e1[i, 2]
        bx, by, bz = e2[i, 0], e2[i, 1], e2[i, 2]
        total, et, ett, lost = 0.0, 0.0, 0.0, 0.0
        inside, back = 0, offsets[i + 1]
        for h in range(offsets[i], offsets[i + 1]):
            energy = e[h]
            k = layer[h]
            if k < 0:
                lost += energy
                continue
            dx, dy, dz = x[h] - x0, y[h] - y0, z[h] - z0
            s = dx * ux + dy * uy + dz * uz
            d1 = dx * ax + dy * ay + dz * az
            d2 = dx * bx + dy * by + dz * bz
            inside += 1
            total += energy
            layer_energy[i, k] += energy
            moments[i, k, 0] += energy * d1
            moments[i, k, 1] += energy * d2
            moments[i, k, 2] += energy * d1 * d1
            moments[i, k, 3] += energy * d2 * d2

            slab = layer_slab[k]
            s_layer = slab_in[i, slab]
            if s < s_layer or s > slab_out[i, slab]:  # far from the line the layer is left at another depth
                low, high = 0, n_slabs
                while high - low > 1:
                    middle = (low + high) // 2
                    if slab_in[i, middle] <= s:
                        low = middle
                    else:
                        high = middle
                slab = low
            t = x0_in[i, slab] + max(0.0, min(s, slab_out[i, slab]) - slab_in[i, slab]) / slab_x0[slab]
            et += energy * t
            ett += energy * t * t

            own = k
            while k > 0 and s < period_in[i, k] and medium[k - 1] == medium[k] and s < period_out[i, k - 1]:
                k -= 1
            while (
                k + 1 < len(medium) and s > period_out[i, k] and medium[k + 1] == medium[k] and s > period_in[i, k + 1]
            ):
                k += 1
            s_layer = slab_in[i, layer_slab[k]]
            cell = 0
            if n_cells[k] > 1:
                width = cell_width[k]
                if from_start:
                    cell = math.floor(s / width) - math.floor(s_layer / width)
                else:
                    cell = math.floor((s - s_layer) / width)
                cell = min(max(cell, 0), n_cells[k] - 1)

            r2 = d1 * d1 + d2 * d2
            if r2 < _R2_LOW:
                f = 0
            elif r2 < _R2_HIGH:
                f = 1 + int(np.float64(r2).view(np.int64) >> _SHIFT) - _FIRST_CODE
            else:
                f = n_fine - 1
            fine[f] += energy
            ring = first_ring[f]
            while r2 >= ring_edges[ring + 1]:
                ring += 1
            b = (first_cell[k] + cell) * n_r + ring
            if k == own:
                content[b] += energy
            else:
                back -= 1
                entry_bin[back], entry_energy[back] = (1 + own) * n_content + b, energy
        n_hits[i] = inside
        n_outside[i] = offsets[i + 1] - offsets[i] - inside
        outside[i] = lost
        depth_sums[i, 0], depth_sums[i, 1] = et, ett
        r50[i] = _radius(fine, fine_edges, 0.5 * total)
        r90[i] = _radius(fine, fine_edges, 0.9 * total)

        entry = offsets[i]
        for b in range(n_content):
            if content[b] > 0.0:
                entry_bin[entry] = b
                entry_energy[entry] = content[b]
                entry += 1
        entry = _join(entry_bin, entry_energy, entry, back, offsets[i + 1])
        n_entries[i] = entry - offsets[i]


@parallel_kernel
def _compact(
    offsets: Any, entry_bin: Any, entry_energy: Any, new_offsets: Any, content_bin: Any, content_energy: Any
) -> None:
    for i in prange(len(new_offsets) - 1):
        shift = offsets[i] - new_offsets[i]
        for j in range(new_offsets[i], new_offsets[i + 1]):
            content_bin[j] = entry_bin[j + shift]
            content_energy[j] = entry_energy[j + shift]


def summarise(
    geometry: Geometry, batches: Iterable[Batch], binning: Binning, *, keep_hits_of: int | None = None
) -> Summary:
    """Reduce all batches of a sample to one `Summary`, in order of row.

    Parameters
    ----------
    keep_hits_of : int, optional
        Rows of the sample, of which some or all keep their hits (`summary.deposits`); by default none does.

    Raises
    ------
    InputError
        If there is not a single shower.
    """
    parts = [
        summarise_hits(
            geometry, b.particles, b.hits, binning, row=b.row, n_negative=b.n_negative,
            keep_hits=None if keep_hits_of is None else chosen(b.row, keep_hits_of),
        )
        for b in batches
    ]  # fmt: skip
    if not parts:
        raise InputError("there is not a single shower in the sample; check `files`, `--rows` and `--part`")
    return concatenate(parts)


def summarise_hits(
    geometry: Geometry,
    particles: Particles,
    hits: Hits,
    binning: Binning,
    *,
    row: npt.NDArray[np.int64] | None = None,
    n_negative: npt.NDArray[Any] | None = None,
    keep_hits: npt.NDArray[np.bool_] | None = None,
) -> Summary:
    """Reduce the showers of one batch; each result depends on its own shower alone, to the last bit.

    Parameters
    ----------
    geometry : Geometry
    particles : Particles (n,)
    hits : Hits
        Of the same n showers, global frame.
    binning : Binning
    row : int64 array (n,), optional
        Rows in the sample; default `particles.index`.
    n_negative : int array (n,), optional
        Hits whose negative energy the reader set to 0.
    keep_hits : bool array (n,), optional
        Showers whose hits are kept as `Summary.deposits`.
    """
    n, n_layers = len(hits), geometry.n_layers
    frames = local_frames(geometry, particles)
    n_hits, n_outside, n_entries = (np.zeros(n, dtype=np.int64) for _ in range(3))
    outside, r50, r90 = (np.zeros(n) for _ in range(3))
    layer_energy, moments, depth_sums = np.zeros((n, n_layers)), np.zeros((n, n_layers, 4)), np.zeros((n, 2))
    entry_bin = np.empty(len(hits.e), dtype=np.int32)
    entry_energy = np.empty(len(hits.e))
    ring_edges, fine_edges = binning.r_edges**2, _fine_edges()
    first_ring = np.searchsorted(ring_edges, fine_edges[:-1], side="right") - 1
    period = line_crossings(geometry, particles, np.stack([geometry.period_from, geometry.period_to]))
    _reduce(
        hits.x, hits.y, hits.z, hits.e, hits.layer, hits.offsets,
        frames.origin, frames.u, frames.e1, frames.e2, frames.slab_in, frames.slab_out, frames.x0_in,
        geometry.slab_x0, _layer_slab(geometry), geometry.layer_medium.astype(np.int64),
        np.ascontiguousarray(period[:, 0]), np.ascontiguousarray(period[:, 1]),
        binning.anchor == "start", binning.cell_width, binning.n_cells,
        binning.first_cell, ring_edges, fine_edges, first_ring,
        n_hits, n_outside, outside, layer_energy, moments, depth_sums, r50, r90, n_entries, entry_bin, entry_energy,
    )  # fmt: skip
    entry_offsets = np.concatenate([[0], np.cumsum(n_entries)]).astype(np.int64)
    content_bin, content_energy = np.empty(entry_offsets[-1], np.int32), np.empty(entry_offsets[-1])
    _compact(hits.offsets, entry_bin, entry_energy, entry_offsets, content_bin, content_energy)
    mean, variance = _mean_and_variance(layer_energy, moments)
    return Summary(
        geometry_digest=geometry.digest,
        binning=binning,
        particles=particles,
        row=particles.index if row is None else row,
        n_hits=n_hits,
        n_negative=np.zeros(n, dtype=np.int64) if n_negative is None else n_negative.astype(np.int64),
        n_outside=n_outside,
        outside=rounded(outside, _SUM_BITS),
        layer_energy=rounded(layer_energy, _SUM_BITS),
        layer_mean=rounded(mean, _CONTENT_BITS).astype(np.float32),
        layer_variance=rounded(variance, _CONTENT_BITS).astype(np.float32),
        depth_sums=rounded(depth_sums, _SUM_BITS),
        r50=rounded(r50, _SUM_BITS),
        r90=rounded(r90, _SUM_BITS),
        offsets=entry_offsets,
        content_bin=content_bin,
        content_energy=rounded(content_energy, _CONTENT_BITS).astype(np.float32),
        deposits=None
        if keep_hits is None
        else deposits_of(frames, hits, _layer_slab(geometry), binning.n_cells, keep_hits, n_hits),
    )


def _mean_and_variance(
    energy: npt.NDArray[np.float64], moments: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and variance (n, L, 2) of d1 and d2 from energies (n, L) and sums (n, L, 4); 0 without energy."""
    weight = np.where(energy > 0.0, energy, 1.0)[:, :, None]
    mean, square = moments[:, :, :2] / weight, moments[:, :, 2:] / weight
    variance = square - mean**2
    # Of a single hit only rounding errors are left.
    return mean, np.where(variance > 1e-12 * square, variance, 0.0)


def cell_depths(geometry: Geometry, particles: Particles, binning: Binning) -> npt.NDArray[np.float64]:
    """Return the depth range in X0 that each depth cell stands for along each particle's line, shape (n, C, 2).

    A layer that is one cell stands for its whole period in a stack (`Geometry.period_from`, `period_to`). Cells that a
    line does not reach have zero width.
    """
    frames, paths = local_frames(geometry, particles), cell_paths(geometry, particles, binning)
    return depth_at(frames, geometry.slab_x0, paths.reshape(len(particles), -1)).reshape(paths.shape)


def cell_paths(geometry: Geometry, particles: Particles, binning: Binning) -> npt.NDArray[np.float64]:
    """Return the ends of the same cells in mm from each particle's start, shape (n, C, 2)."""
    frames = local_frames(geometry, particles)
    first = binning.first_cell
    paths = np.empty((len(particles), int(first[-1]), 2))
    borders = line_crossings(geometry, particles, np.stack([geometry.period_from, geometry.period_to]))
    slabs = _layer_slab(geometry)
    for k in range(geometry.n_layers):
        cells = slice(first[k], first[k + 1])
        if binning.n_cells[k] == 1:
            paths[:, cells, :] = borders[:, None, :, k]
            continue
        low, high, width = frames.slab_in[:, slabs[k]], frames.slab_out[:, slabs[k]], binning.cell_width[k]
        zero = np.floor(low / width) * width if binning.anchor == "start" else low
        edges = zero[:, None] + width * np.arange(binning.n_cells[k] + 1)
        edges[:, -1] = np.inf
        paths[:, cells, 0] = np.clip(edges[:, :-1], low[:, None], high[:, None])
        paths[:, cells, 1] = np.clip(edges[:, 1:], low[:, None], high[:, None])
    return paths


def _layer_slab(geometry: Geometry) -> npt.NDArray[np.int64]:
    """Slab number of each active layer, shape (L,)."""
    slab = np.flatnonzero(geometry.slab_layer >= 0)
    return slab[np.argsort(geometry.slab_layer[slab])].astype(np.int64)
