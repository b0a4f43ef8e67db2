"""Tracks of the recipe `fastcalosim`: particles leave deposits in one layer after the other.

Hits that are drawn layer by layer lie about the line independently, and so the centroids of neighbouring layers do.
Those of a shower that strays lie on one side. Here hit k of a layer may continue hit k of a layer in front of it: it
takes over the random number that says where in its layer's density the azimuth lies, that of its weight, and often that
of its radius. Each layer then looks as before - its hits are independent of each other and follow the density - while
hits of layers at the distance d, in layers, agree

    in azimuth with the probability   c(d, E) = b(E) exp(-d/length),      ln b = -(c0 + c1 ln(E/GeV)) <= 0,
    and in radius, too, with          c(d, E) k exp(-d/length_r).

Of n and n' hits the first min(n, n') can. So for the dipole D = sum e (cos alpha, sin alpha)/sum e of a layer, w_k
being the shares of its hits,

    E[D . D'] = c(d, E) q,        q = <sum_k w_k w'_k>        (1/max(n, n') if hits are equal),

which gives b and the length: from sums over the showers of an energy and pairs of layers at one distance, q from
numbers and weights of hits drawn as the sampler does. What a few hits alone do to a layer's dipole is in E[D^2], which
is not used; between layers its mean is 0. The centroid C = sum e r (cos alpha, sin alpha)/sum e is made by far hits,
and its correlation,

    c(d, E) q/<(sum_k w_k^2 sum_k w'_k^2)^(1/2)> (m^2 + (1 - m^2) k exp(-d/length_r)),    m^2 = <r>^2/<r^2>,

gives k and the length of radii. Centroids are clipped where one in twenty lies: a single far hit says nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastparam.fit.tables import Tables

if TYPE_CHECKING:
    from fastparam.fit.lateral import Lateral, LayerHits
    from fastparam.summary.points import EnergyPoints

__all__ = ["Tracks", "fit"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Lengths in layers and powers of E that are tried, and the largest distance of layers that is looked at.
_LENGTHS, _POWERS = np.geomspace(0.3, 60.0, 60), np.linspace(-0.2, 1.0, 61)
_FARTHEST = 15

#: Share of centroids that is clipped.
_CLIPPED = 0.05

#: Hits of a layer that are looked at, how often they are drawn, and steps to their mean number.
_MOST_HITS, _REPLICAS, _ITERATIONS = 1000, 4, 30

#: Share of the energy that a layer must hold to count.
_MAIN = 0.01

#: Standard errors by which deposits must continue.
_SIGNIFICANT = 2.0


@dataclass(frozen=True)
class Tracks:
    """The fitted model.

    Attributes
    ----------
    c0, c1 : float
        Of -ln b, in ln(E/GeV).
    length : float
        In layers.
    radius : float
        k, from 0 to 1.
    radius_length : float
        In layers.
    """

    c0: float
    c1: float
    length: float
    radius: float = 0.0
    radius_length: float = 1.0

    def begun(self, energy: npt.ArrayLike) -> Floats:
        """Return b at kinetic energies `energy` in MeV, at most 1."""
        in_gev = np.asarray(energy, dtype=np.float64) / 1000.0
        return np.asarray(np.minimum(np.exp(-self.c0) * in_gev**-self.c1, 1.0), dtype=np.float64)

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return arrays to store; `from_tables` reads them."""
        return {"tracks": np.array([self.c0, self.c1, self.length, self.radius, self.radius_length])}

    @classmethod
    def from_tables(cls, tables: Tables) -> Tracks | None:
        """Build from tables that hold what `to_arrays` returned; None if hits of layers are independent."""
        return cls(*map(float, tables["tracks"])) if "tracks" in tables.arrays else None


def fit(hits: LayerHits, points: EnergyPoints, bin_: Ints, shapes: Lateral) -> Tracks | None:
    """Fit how deposits continue; None if nothing does, beyond two standard errors.

    Parameters
    ----------
    hits : LayerHits
        Of n showers.
    points : EnergyPoints
        Of the showers.
    bin_ : int64 array (n,)
        Bin of the leading component of every shower.
    shapes : Lateral
        The layers' densities and n_eff.
    """
    shape = (len(points.point), shapes.density.shape[2])
    place = hits.shower * shape[1] + hits.layer
    held: Floats = np.bincount(place, weights=hits.e, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)
    share = hits.e / held.reshape(-1)[place]

    def sums(weight: Floats) -> Floats:
        found = np.bincount(place, weights=share * weight, minlength=shape[0] * shape[1])
        return np.asarray(found, dtype=np.float64).reshape(shape)

    if shape[1] < 2:
        return None
    held = np.where(_main(held, points), held, 0.0)
    shared = _shared(held, shapes, min(shape[1] - 1, _FARTHEST))
    cos, sin = np.cos(hits.alpha), np.sin(hits.alpha)
    value, weight = _dipole_products(np.stack([sums(cos), sums(sin)], axis=-1), shared, points)
    if not (weight > 0).any():
        return None
    distance, ln_e = np.arange(1, value.shape[1] + 1), np.log(points.energy / 1000.0)
    best, found, pull = np.inf, Tracks(0.0, 0.0, 1.0), 0.0
    for length in _LENGTHS:
        for power in _POWERS if len(points) > 1 else [0.0]:
            of_energy, of_distance = np.exp(-power * ln_e)[:, None], np.exp(-distance / length)
            b, significance = _amplitude(value, weight, of_energy * of_distance)
            cost = float((weight * (value - np.minimum(b * of_energy, 1.0) * of_distance) ** 2).sum())
            if b > 0 and cost < best:
                best, found, pull = cost, Tracks(-float(np.log(b)), float(power), float(length)), significance
    if pull < _SIGNIFICANT:
        return None
    correlation, possible, pairs = _centroids(
        np.stack([sums(hits.r * cos), sums(hits.r * sin)], axis=-1), shared, points
    )
    azimuth = possible * found.begun(points.energy)[:, None] * np.exp(-distance / found.length)
    m2 = _evenness(shapes)
    best, radius, radius_length = np.inf, 0.0, 1.0
    for length in _LENGTHS:
        curve = azimuth * (1.0 - m2) * np.exp(-distance / length)
        k = float(np.clip(_amplitude(correlation - azimuth * m2, pairs, curve)[0], 0.0, 1.0))
        cost = float((pairs * (correlation - azimuth * m2 - k * curve) ** 2).sum())
        if cost < best:
            best, radius, radius_length = cost, k, float(length)
    return Tracks(found.c0, found.c1, found.length, radius, radius_length)


def _main(held: Floats, points: EnergyPoints) -> npt.NDArray[np.bool_]:
    """Whether a layer holds more than a hundredth of the energy at a shower's energy point, (n, L)."""
    mean = np.array([held[points.point == p].sum(axis=0) for p in range(len(points))])
    return np.asarray((mean > _MAIN * mean.sum(axis=1, keepdims=True))[points.point])


def _shared(held: Floats, shapes: Lateral, farthest: int) -> list[Floats]:
    """q, (n, L - d), of layers d = 0 to `farthest` apart, of layer energies `held` (n, L); 0 beside empty layers."""
    some = held > 0
    ln_n = shapes.hits[:, 0] + shapes.hits[:, 1] * np.log(np.where(some, held, 1.0))
    mean = np.clip(np.exp(np.minimum(ln_n, math.log(_MOST_HITS))), 1.0, None) * shapes.spread[0]
    extra = mean.copy()
    for _ in range(_ITERATIONS):  # 1 + Poisson(extra) hits have 1/mean as the mean of their 1/n
        extra = mean * -np.expm1(-extra)
    equal = shapes.weights.shape[1] == 2
    rng = np.random.default_rng(5)
    found = [np.zeros((len(held), held.shape[1] - d)) for d in range(farthest + 1)]
    rows = np.arange(len(held))[:, None]
    for _ in range(_REPLICAS):
        number = np.minimum(1 + rng.poisson(extra), _MOST_HITS)
        if not equal:
            weight = np.exp(rng.choice(shapes.weights.reshape(-1), (len(held), number.max())))
            sums, squares = np.cumsum(weight, axis=1), np.cumsum(weight**2, axis=1)
        for d, q in enumerate(found):
            front, back = number[:, : held.shape[1] - d], number[:, d:]
            if equal:
                one = 1.0 / np.maximum(front, back)
            else:
                one = squares[rows, np.minimum(front, back) - 1] / (sums[rows, front - 1] * sums[rows, back - 1])
            np.add(q, one * (some[:, : held.shape[1] - d] & some[:, d:]) / _REPLICAS, out=q)
    return found


def _evenness(shapes: Lateral) -> float:
    """<r>^2/<r^2> of the layers' densities, radii clipped where one hit in a hundred lies: one in twenty centroids."""
    density = shapes.density.mean(axis=(0, 1))
    middle = 0.5 * (shapes.edges[1:] + shapes.edges[:-1])
    found = []
    for row in density:
        r = np.minimum(middle, middle[min(int(np.searchsorted(np.cumsum(row), 1 - _CLIPPED / 5)), len(middle) - 1)])
        found.append((row @ r) ** 2 / (row @ r**2))
    return float(np.mean(found))


def _centroids(centroid: Floats, shared: list[Floats], points: EnergyPoints) -> tuple[Floats, Floats, Floats]:
    """Correlations of centroids (n, L, 2), what they can be, and numbers of pairs: (P, D), per energy and distance."""
    correlation, possible, pairs = np.zeros((3, len(points), len(shared) - 1))
    for p in range(len(points)):
        own = points.point == p
        c, inv = centroid[own], shared[0][own]
        some = inv > 0
        for layer in np.flatnonzero(some.any(axis=0)):
            most = max(float(np.quantile(np.abs(c[some[:, layer], layer]), 1 - _CLIPPED)), 1e-9)
            c[:, layer] = np.clip(c[:, layer], -most, most)
            c[:, layer] /= max(float(np.sqrt((c[some[:, layer], layer] ** 2).mean())), 1e-9)
        for d in range(1, len(shared)):
            both = some[:, d:] & some[:, :-d]
            front, back = c[:, d:] * both[..., None], c[:, :-d] * both[..., None]
            spread = np.sqrt((front**2).sum(axis=(0, 2)) * (back**2).sum(axis=(0, 2))).sum()
            correlation[p, d - 1] = (front * back).sum() / max(spread, 1e-300)
            geometric = np.sqrt(inv[:, d:] * inv[:, :-d]).sum()
            possible[p, d - 1] = shared[d][own].sum() / max(geometric, 1e-300)
            pairs[p, d - 1] = both.sum()
    return correlation, possible, pairs


def _dipole_products(dipole: Floats, shared: list[Floats], points: EnergyPoints) -> tuple[Floats, Floats]:
    """Products of dipoles (n, L, 2) over what they can be, and their weights: (P, D), per energy and distance."""
    seen, expected, variance = np.zeros((3, len(points), len(shared) - 1))
    for d in range(1, len(shared)):
        product = ((dipole[:, d:] * dipole[:, :-d]).sum(axis=2) * (shared[d] > 0)).sum(axis=1)
        for sums, values in ((seen, product), (expected, shared[d].sum(axis=1)), (variance, product**2)):
            sums[:, d - 1] = np.bincount(points.point, weights=values, minlength=len(points))
    known = (expected > 0) & (variance > 0)
    return (
        np.where(known, seen / np.where(known, expected, 1.0), 0.0),
        np.where(known, expected**2 / np.where(known, variance, 1.0), 0.0),
    )


def _amplitude(value: Floats, weight: Floats, curve: Floats) -> tuple[float, float]:
    """Factor of a curve that fits best, and over its error."""
    curvature = max(float((weight * curve**2).sum()), 1e-300)
    factor = float((weight * value * curve).sum()) / curvature
    return factor, factor * float(np.sqrt(curvature))
