"""The model of the recipe `hybrid` in NumPy: what the sampler is compared with, in results and in time.

It shares the tune's arrays with the sampler and nothing else: no random numbers, no kernels, no tables in single
precision; tilts are exponentials found in four steps.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from fastparam.fit import copula
from fastparam.fit.copula import Copula
from fastparam.fit.ring_hits import N_ALPHA, RingHits
from fastparam.fit.rings import Rings
from fastparam.shapes.azimuth_pairs import GROUP_WIDTH
from fastparam.shapes.quantile_table import KNOTS
from fastparam.tunes.tune import Tune

__all__ = ["Twin"]


class Twin:
    """The model in NumPy for photons of one trained energy along z in a planar detector."""

    def __init__(self, tune: Tune, point: int) -> None:
        tables = tune.slices[0].tables["rings"]
        self.copula, self.hits = Copula.from_tables(tables), RingHits.from_tables(tables)
        self.rings, self.p = Rings.from_arrays(tables.arrays), point
        self.dipoles = tables["dipole_rings"]
        self.geometry = tune.geometry
        self.energy = float(np.exp(self.copula.ln_e[point]))

    def sample(self, n: int, rng: np.random.Generator) -> tuple[npt.NDArray[Any], ...]:
        """Return x, y, z, e and layer of the hits of n showers, and where each shower's begin (n + 1,)."""
        energy, d1, d2, number = self._rings(n, rng)
        g = self.rings.n_rings
        ring = np.repeat(np.tile(np.arange(g), n), number.ravel())
        cell = np.repeat(np.arange(n * g), number.ravel())
        place = np.interp(rng.random(len(ring)), KNOTS, np.arange(len(KNOTS)))
        k = np.minimum(place.astype(np.int64), len(KNOTS) - 2)
        table = self.hits.r[self.p]
        r = table[ring, k] + (place - k) * (table[ring, k + 1] - table[ring, k])
        layer = self.rings.section_layer[self.rings.section[ring]]
        zone = self.hits.azimuth.zone(layer, r)
        u = self._paired(rng.random(len(ring)), number, rng)
        cumulative = self.hits.azimuth.cumulative
        b = np.minimum((u[:, None] >= cumulative[zone, 1:]).sum(axis=1), N_ALPHA - 1)
        width = np.maximum(cumulative[zone, b + 1] - cumulative[zone, b], 1e-9)
        alpha = 2 * np.pi * (b + (u - cumulative[zone, b]) / width) / N_ALPHA - np.pi
        place = np.interp(rng.random(len(ring)), KNOTS, np.arange(len(KNOTS)))
        k = np.minimum(place.astype(np.int64), len(KNOTS) - 2)
        table = self.hits.ln_e[self.p]
        e = self.hits.azimuth.factor[zone, b] * np.exp(
            table[ring, k] + (place - k) * (table[ring, k + 1] - table[ring, k])
        )
        c, s = np.cos(alpha), np.sin(alpha)
        c, s = self._turned(c, s, e, cell, ring, d1.ravel(), d2.ravel())
        e = self._tilted(c, s, e, cell, number.ravel(), d1.ravel(), d2.ravel())
        e *= (energy.ravel() / np.maximum(np.bincount(cell, e, n * g), 1e-300))[cell]
        low, high = self.geometry.layer_from[layer], self.geometry.layer_to[layer]
        z = low + rng.random(len(ring)) * (high - low)
        offsets = np.concatenate([[0], np.cumsum(number.sum(axis=1))])
        return r * c, r * s, z, e, layer.astype(np.int32), offsets

    def _rings(self, n: int, rng: np.random.Generator) -> tuple[npt.NDArray[Any], ...]:
        first, last = self.copula.first[self.p], self.copula.first[self.p + 1]
        one, two = (self.copula.scores[rng.integers(first, last, n)] for _ in range(2))
        z = copula.STEP * (np.sqrt(1 - 0.3**2) * one + 0.3 * two)
        zero = self.copula.zero[self.p]
        u = (special.ndtr(z) - zero) / np.maximum(1 - zero, 1e-9)
        z = np.where(zero > 0, special.ndtri(np.clip(u, 1e-12, 1 - 1e-12)), z)
        place = np.clip((z - copula.START) / copula.SPACING, 0, copula.N_KNOTS - 1)
        k = np.minimum(place.astype(np.int64), copula.N_KNOTS - 2)
        table, column = self.copula.quantiles[self.p], np.arange(z.shape[1])
        x = table[column, k] + (place - k) * (table[column, k + 1] - table[column, k])
        x = np.where(self.copula.positive, np.exp(x), x) * ((u > 0) & (zero < 1))
        s, g, d = self.rings.n_sections, self.rings.n_rings, len(self.dipoles)
        section, ring = x[:, 1 : 1 + s], x[:, 1 + s : 1 + s + g]
        section = section * (x[:, :1] / np.maximum(section.sum(axis=1, keepdims=True), 1e-300))
        sums = np.add.reduceat(ring, self.rings.first[:-1], axis=1)
        energy = self.energy * ring * (section / np.maximum(sums, 1e-300))[:, self.rings.section]
        dipole = np.zeros((2, n, g))
        dipole[:, :, self.dipoles] = x[:, 1 + s + g : 1 + s + g + 2 * d].reshape(n, 2, d).transpose(1, 0, 2)
        number = self.hits.expected(self.p, energy) * x[:, 1 + s + g + 2 * d :]
        return energy, *dipole, np.where(energy > 0, np.maximum(np.round(number), 1), 0).astype(np.int64)

    def _paired(self, u: Any, number: Any, rng: np.random.Generator) -> Any:
        """Give the azimuths u of all hits the pair correlations of their rings; `number` is (n, G)."""
        first = np.cumsum(number.ravel()) - number.ravel()
        for g in range(number.shape[1]):
            kappa = self.hits.pairs[self.p, g]
            begin, own = first.reshape(number.shape)[:, g], number[:, g]
            asked = np.flatnonzero(own >= 2) if kappa != 0.0 else []
            if kappa > 0.0:
                together = np.sinc(2.0 * GROUP_WIDTH / np.pi) ** 2
                q = min(kappa / together, 1.0)
                m = int(1 / q)
                for i in asked:
                    groups = m + ((1 / m - q) * m * (m + 1) > rng.random())
                    a = rng.random(groups)[rng.integers(0, groups, own[i])]
                    a = a + GROUP_WIDTH / np.pi * (rng.random(own[i]) - 0.5)
                    u[begin[i] : begin[i] + own[i]] = a % 1.0
                continue
            for i in asked:
                cells = max(4 * int(0.25 * (1.0 - 1.0 / kappa) + rng.random()), 4)
                hits = u[begin[i] : begin[i] + own[i]]
                if cells > 16 and own[i] < cells:
                    even = int((own[i] - 1) / (cells - 1) * own[i] + rng.random())
                    hits[:even] = (np.arange(even) + hits[:even]) / max(even, 1)
                else:
                    whole, left = divmod(own[i], cells)
                    cell = np.concatenate([np.tile(np.arange(cells), whole), rng.permutation(cells)[:left]])
                    hits[:] = (cell + hits) / cells
        return u

    def _turned(self, c: Any, s: Any, e: Any, cell: Any, ring: Any, d1: Any, d2: Any) -> tuple[Any, Any]:
        m = len(d1)
        m1, m2 = np.bincount(cell, e * c, m), np.bincount(cell, e * s, m)
        angle = np.arctan2(m1 * d2 - m2 * d1, m1 * d1 + m2 * d2)[cell]
        angle = np.where(self.hits.structured[ring], np.round(angle / (np.pi / 2)) * (np.pi / 2), angle)
        return np.cos(angle) * c - np.sin(angle) * s, np.sin(angle) * c + np.cos(angle) * s

    @staticmethod
    def _tilted(c: Any, s: Any, e: Any, cell: Any, number: Any, d1: Any, d2: Any) -> Any:
        m = len(d1)
        scale = np.minimum(1.0, 0.97 / np.maximum(np.hypot(d1, d2), 1e-9)) * (number >= 3)
        for _ in range(4):
            total = np.maximum(np.bincount(cell, e, m), 1e-300)
            m1, m2 = np.bincount(cell, e * c, m) / total, np.bincount(cell, e * s, m) / total
            v11 = np.bincount(cell, e * c * c, m) / total - m1**2 + 0.02
            v12 = np.bincount(cell, e * c * s, m) / total - m1 * m2
            v22 = np.bincount(cell, e * s * s, m) / total - m2**2 + 0.02
            r1, r2 = (d1 * scale - m1) * (number >= 3), (d2 * scale - m2) * (number >= 3)
            det = v11 * v22 - v12**2
            a, b = (v22 * r1 - v12 * r2) / det, (v11 * r2 - v12 * r1) / det
            step = np.minimum(1.0, 1.2 / np.maximum(np.hypot(a, b), 1e-12))
            e = e * np.exp((a * step)[cell] * c + (b * step)[cell] * s)
        return e
