"""Radial component: the two-component profile of Grindhammer & Peters (hep-ex/0001020, A.1.3) and its laws.

    f(r) = p 2 r R_C^2 / (r^2 + R_C^2)^2 + (1 - p) 2 r R_T^2 / (r^2 + R_T^2)^2,     r, R_C, R_T in Moliere radii

tau = t / T is the age of the shower with its own T, L = ln(E / 10 GeV). Two laws say how R_C, R_T and p depend on them:

* `classical`, the form of the paper with slopes in L of our own choice,

    R_C = z1 + z2 tau + zE L
    R_T = k1 (exp(k3 (tau - k2)) + exp((k4 + k5 L) (tau - k2)))
    p   = p1 exp(u - exp(u)),  u = (p2 - tau) / (p3 + p4 L)

* `smooth`: ln R_C, ln R_T and logit p are each  c0 + c1 v + c2 v^2 + c3 v^3 + (e0 + e1 v) L  with
  v = ln((tau + 0.2) / 1.2). Nothing in it runs into a limit, and it follows late ages where the classical form is 10 %
  short in the radius that holds 90 %.

All parameters come from one likelihood over all ages and energies: energy in (tau, r) cells is a multinomial whose
number of deposits is measured, per age and energy, from the spread between showers. The covariance is the sandwich of
the curvature and of the scores of single showers, since the energies of one shower's cells are correlated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from iminuit import Minuit

from fastparam.errors import FitError
from fastparam.fit.acceptance import Acceptance
from fastparam.fit.fit import Fit, from_minuit, minimise
from fastparam.summary.points import EnergyPoints
from fastparam.summary.rounding import rounded

__all__ = [
    "LAWS",
    "MAX_RADIUS",
    "TAU_EDGES",
    "RadialCells",
    "RadialData",
    "cells",
    "cumulative",
    "evaluate",
    "fit",
    "front",
    "goodness",
    "predicted",
    "visible",
]

Floats = npt.NDArray[np.float64]

#: Bins in shower age; energy beyond the last edge is not used, and the laws are constant there.
TAU_EDGES = np.array([0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 5.0])

#: Parts of an age bin over which the law is averaged, weighted with the energy in them: at the mean age of a whole bin
#: the classical core would come out 1 % too narrow. Cells of depth reach beyond their bin: there is one part more on
#: either side.
_PARTS = 4

#: Moliere radii beyond which neither summaries nor samplers look; full simulation has 1e-4 of its energy there.
MAX_RADIUS = 20.0

_MIN_RADIUS = 1e-3

#: Range of the fitted share of what is mirrored, a probability, with room below for its error; and the smallest excess
#: of a ring that it is fitted to.
_FRONTS, _SEEN_IN_FRONT = (-0.5, 1.0), 0.01


def _classical(values: Floats, tau: Floats, ln_e: Floats) -> tuple[Floats, Floats, Floats]:
    z1, z2, ze, k1, k2, k3, k4, k5, p1, p2, p3, p4 = values
    core = np.maximum(z1 + z2 * tau + ze * ln_e, _MIN_RADIUS)
    tail = np.maximum(k1 * (np.exp(k3 * (tau - k2)) + np.exp((k4 + k5 * ln_e) * (tau - k2))), _MIN_RADIUS)
    u = (p2 - tau) / np.maximum(p3 + p4 * ln_e, 0.05)
    return core, tail, np.clip(p1 * np.exp(u - np.exp(u)), 0.0, 1.0)


def _smooth(values: Floats, tau: Floats, ln_e: Floats) -> tuple[Floats, Floats, Floats]:
    v = np.log((tau + 0.2) / 1.2)
    core, tail, logit = (
        c[0] + v * (c[1] + v * (c[2] + v * c[3])) + (c[4] + c[5] * v) * ln_e for c in np.reshape(values, (3, 6))
    )
    bounded = [np.exp(np.clip(q, np.log(_MIN_RADIUS), 5.0)) for q in (core, tail)]
    return bounded[0], bounded[1], 1.0 / (1.0 + np.exp(-np.clip(logit, -30.0, 30.0)))


@dataclass(frozen=True)
class _Law:
    """Names, start and limits of the parameters of a law, those that depend on energy, and the law itself."""

    names: tuple[str, ...]
    start: tuple[float, ...]
    limits: tuple[tuple[float | None, float | None], ...]
    energy: tuple[str, ...]
    function: Callable[[Floats, Floats, Floats], tuple[Floats, Floats, Floats]]


_SMOOTH_NAMES = tuple(
    f"{quantity}_{c}" for quantity in ("ln_core", "ln_tail", "logit_p") for c in ("c0", "c1", "c2", "c3", "e0", "e1")
)

LAWS = {
    "classical": _Law(
        ("z1", "z2", "zE", "k1", "k2", "k3", "k4", "k5", "p1", "p2", "p3", "p4"),
        (0.03, 0.10, 0.0, 0.45, 0.645, -2.59, 0.40, 0.0, 2.4, 0.5, 1.1, 0.0),
        (
            (0.0, 2.0), (0.0, 2.0), (-0.3, 0.3), (0.02, 5.0), (-1.0, 3.0), (-15.0, 0.0), (0.0, 2.0), (-0.3, 0.3),
            (0.1, 2.7182), (-3.0, 3.0), (0.2, 6.0), (-1.0, 1.0),
        ),
        ("zE", "k5", "p4"),
        _classical,
    ),
    "smooth": _Law(
        _SMOOTH_NAMES,
        (-2.0, 1.0, 0.0, 0.0, 0.0, 0.0, -0.5, 0.5, 0.0, 0.0, 0.0, 0.0, 1.0, -0.5, 0.0, 0.0, 0.0, 0.0),
        ((None, None),) * 18,
        tuple(n for n in _SMOOTH_NAMES if n.endswith(("e0", "e1"))),
        _smooth,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class RadialData:
    """Energies of n showers in cells of depth and radius, as sparse entries.

    Attributes
    ----------
    shower : int64 array (m,)
        Shower of every entry.
    tau : float64 array (m,)
        Age at the middle of the entry's depth cell, with the shower's own T.
    ring : int64 array (m,)
        Radial bin.
    energy : float64 array (m,)
        Visible energy in MeV.
    r_edges : float64 array (n_r + 1,)
        Edges of the radial bins in Moliere radii, from 0 to infinity. What lies in the last, open bin is not used: the
        law ends where the sampler's does.
    points : EnergyPoints
        Of the n showers.
    incident : float64 array (n,)
        Kinetic energy in MeV.
    cell : int64 array (m,), optional
        Depth cell of every entry, of C; needed for what follows.
    ages, age_shares : float64 arrays (n, C, k), optional
        Ages in the parts of each cell, and how much of its energy the shower's own profile has there: in early cells
        most of it lies behind their middle. By default all energy has the age `tau`.
    acceptance : Acceptance, optional
        What is seen of each ring (`fit.acceptance`); default all of it.
    """

    shower: npt.NDArray[np.int64]
    tau: Floats
    ring: npt.NDArray[np.int64]
    energy: Floats
    r_edges: Floats
    points: EnergyPoints
    incident: Floats
    cell: npt.NDArray[np.int64] | None = None
    ages: Floats | None = None
    age_shares: Floats | None = None
    acceptance: Acceptance | None = None


def evaluate(fit: Fit, tau: Floats, ln_e: Floats) -> tuple[Floats, Floats, Floats]:
    """R_C, R_T in Moliere radii and core weight p at ages tau and L = ln(E / 10 GeV); arrays broadcast."""
    return LAWS[fit.settings["law"]].function(fit.values, np.clip(tau, 0.0, TAU_EDGES[-1]), ln_e)


@dataclass(frozen=True)
class RadialCells:
    """What the showers say about radial profiles, row by row of (energy, age): the data of all fits of radii.

    Attributes
    ----------
    energy, ln_e : float64 arrays (m,)
        Kinetic energy of each row in MeV, and ln(E / 10 GeV).
    fractions : float64 array (m, n_r)
        Share of the row's energy in every radial bin but the open one.
    n_eff, n_eff_error : float64 arrays (m,)
        Independent deposits that give the fractions the spread seen between showers.
    share : float64 array (m,)
        Of the energy of the point's showers in the row, on average.
    n_showers : float64 array (m,)
        Of the energy point.
    tau, mixture : float64 arrays (m, k)
        Mean ages in the parts of each row's bin of age, and shares of the row's energy in them.
    seen, mirrored : float64 arrays (m, k, n_r), or None
        Share of the rings that is seen in these parts, and what is found there of those lost in front; None where all
        is seen.
    r2 : float64 array (n_r + 1,)
        Squared edges of the radial bins in Moliere radii; the last one is finite.
    shower, row, ring : int64 arrays
        Of the single entries, for the scatter between showers.
    deposits : float64 array
        What an entry adds to the likelihood: `deposits` times ln of the fraction predicted in its row and ring.
    """

    energy: Floats
    ln_e: Floats
    fractions: Floats
    n_eff: Floats
    n_eff_error: Floats
    share: Floats
    n_showers: Floats
    tau: Floats
    mixture: Floats
    seen: Floats | None
    mirrored: Floats | None
    r2: Floats
    shower: npt.NDArray[np.int64]
    row: npt.NDArray[np.int64]
    ring: npt.NDArray[np.int64]
    deposits: Floats


def cells(data: RadialData) -> RadialCells:
    """Sum showers to rows of energy point and age.

    Raises
    ------
    FitError
        If fewer than 20 showers have energy in the bins of age.
    """
    n_tau, n_points = len(TAU_EDGES) - 1, len(data.points)
    age = np.searchsorted(TAU_EDGES, data.tau, side="right") - 1
    r2 = data.r_edges[:-1] ** 2
    n_r = len(r2) - 1
    use = (age >= 0) & (age < n_tau) & (data.ring < n_r) & (data.energy > 0)
    if len(np.unique(data.shower[use])) < 20:
        raise FitError(
            f"radial: {len(np.unique(data.shower[use]))} showers have energy at ages of 0 to {TAU_EDGES[-1]:g} shower"
            " maxima; at least 20 are needed"
        )
    shower, ring, energy = data.shower[use], data.ring[use], data.energy[use]
    # Every shower counts with its share of visible energy, so that an energy point is not ruled by its upward
    # fluctuations.
    total = np.bincount(data.shower, weights=data.energy, minlength=len(data.incident))
    share = energy / total[shower]
    row = data.points.point[shower] * n_tau + age[use]
    n_rows = n_points * n_tau
    table = np.bincount(row * n_r + ring, weights=share, minlength=n_rows * n_r).reshape(n_rows, n_r)
    weight = table.sum(axis=1)
    good = weight > 0
    fractions = table / np.where(good, weight, 1.0)[:, None]
    n_eff, n_eff_error = _effective_deposits(row, shower, ring, share, fractions, len(data.incident))
    good &= n_eff > 5
    if not good.any():
        raise FitError(
            "radial: at no energy and age do 5 showers hold more than 5 independent deposits; give more showers per"
            " energy, or energies closer together"
        )
    tau, in_part, seen, mirrored = _parts(data, use, row, share, n_rows)
    kept = good[row]
    counts = np.repeat(data.points.counts, n_tau).astype(np.float64)
    return RadialCells(
        np.repeat(data.points.energy, n_tau)[good],
        np.repeat(np.log(data.points.energy / 10_000.0), n_tau)[good],
        fractions[good],
        n_eff[good],
        n_eff_error[good],
        (weight / counts)[good],
        counts[good],
        tau[good],
        in_part[good] / weight[good, None],
        None if seen is None else seen[good],
        None if mirrored is None else mirrored[good],
        r2,
        shower[kept],
        (np.cumsum(good) - 1)[row[kept]],
        ring[kept],
        share[kept] * n_eff[row[kept]] / weight[row[kept]],
    )


def _parts(
    data: RadialData, use: npt.NDArray[np.bool_], row: npt.NDArray[np.int64], share: Floats, n_rows: int
) -> tuple[Floats, Floats, Floats | None, Floats | None]:
    """Mean ages and energies in the parts of every row, (n_rows, k), and `seen` and `mirrored` of them.

    `row` and `share` belong to the entries in `use`.
    """
    if data.cell is None or data.ages is None or data.age_shares is None:
        tau, cell, weight = data.tau[use], np.zeros(len(row), dtype=np.int64), share
    else:
        n, n_cells, n_ages = data.ages.shape
        place = data.shower[use] * n_cells + data.cell[use]
        of_cell = np.bincount(place, weights=share, minlength=n * n_cells)
        rows = np.zeros(n * n_cells, dtype=np.int64)
        rows[place] = row  # a cell of a shower has one age
        held = of_cell > 0
        tau = data.ages.reshape(-1, n_ages)[held].ravel()
        weight = (of_cell[held, None] * data.age_shares.reshape(-1, n_ages)[held]).ravel()
        row = np.repeat(rows[held], n_ages)
        cell = np.repeat(np.tile(np.arange(n_cells), n)[held], n_ages)
    low, width = TAU_EDGES[:-1], np.diff(TAU_EDGES)
    age = row % len(low)
    part = np.clip(np.floor((tau - low[age]) / width[age] * _PARTS), -1, _PARTS).astype(np.int64) + 1
    n_parts = _PARTS + 2
    where = row * n_parts + part
    energy = np.bincount(where, weights=weight, minlength=n_rows * n_parts).astype(np.float64)
    filled = np.where(energy > 0, energy, 1.0)
    mean = np.bincount(where, weights=weight * tau, minlength=n_rows * n_parts) / filled
    shape = (n_rows, n_parts)
    if data.acceptance is None:
        return mean.reshape(shape), energy.reshape(shape), None, None
    found = data.acceptance
    n_cells, n_points = len(found.seen), len(data.points)
    in_cells = np.bincount(where * n_cells + cell, weights=weight, minlength=len(energy) * n_cells)
    of_cells: Floats = in_cells.reshape(-1, n_cells) / filled[:, None]
    of_cells[energy <= 0] = 1.0 / n_cells
    # What is lost in front at all depths of a run is found in its first cell, next to what that holds itself.
    point = row // len(low)
    at_point = np.bincount(point * n_cells + cell, weights=weight, minlength=n_points * n_cells).reshape(n_points, -1)
    gathered = np.zeros((n_points, *found.lost.shape))
    for c in np.unique(found.first):
        own = at_point[:, [c]]
        run = found.first == c
        gathered[:, c] = at_point[:, run] @ found.lost[run] / np.where(own > 0, own, np.inf)
    by_point = of_cells.reshape(n_points, -1, n_cells)
    n_r = len(data.r_edges) - 2
    seen = (of_cells @ found.seen)[:, :n_r].reshape(*shape, n_r)
    mirrored = np.matmul(by_point, gathered)[..., :n_r].reshape(*shape, n_r)
    return mean.reshape(shape), energy.reshape(shape), seen, mirrored


def cumulative(core: Floats, tail: Floats, p: Floats, r2: Floats) -> Floats:
    """Share of the energy within squared radii `r2` (n_r,), all below the last of them; shape (..., n_r)."""
    inner, outer = (r2 / (r2 + R**2) * (r2[-1] + R**2) / r2[-1] for R in (core[..., None], tail[..., None]))
    within: Floats = p[..., None] * inner + (1 - p[..., None]) * outer
    return within


def fit(data: RadialData, law: str = "smooth", *, start: Fit | None = None) -> Fit:
    """Fit a law of `LAWS`; chi2 compares fractions per radial bin with the law in every (age, energy) row.

    The minimiser begins with the earlier fit `start` where that has the same law.

    Raises
    ------
    FitError
        If fewer than 20 showers have energy in the bins of age.
    """
    form = LAWS[law]
    rows = cells(data)
    counts = rows.fractions * rows.n_eff[:, None]
    # Where nothing is lost in front of the layers, its mirror image does not matter.
    fronts = rows.mirrored is not None and bool((rows.mirrored > _SEEN_IN_FRONT).any())
    names = (*form.names, "front")

    def of(values: Floats) -> Floats:
        return _per_ring(rows, form.function(values[:-1], rows.tau, rows.ln_e[:, None]), values[-1])

    saturated = float((counts * np.log(np.where(counts > 0, rows.fractions, 1.0))).sum())

    def cost(values: Floats) -> float:
        # The deviance: subtracting the likelihood of the data themselves keeps the digits that matter.
        return 2.0 * (saturated - float((counts * np.log(of(values))).sum()))

    warm = start is not None and start.settings.get("law") == law
    first = list(start.values) if start is not None and warm else list(form.start)
    minuit = Minuit(cost, [*first, 0.5 * fronts], name=names)
    minuit.errordef = Minuit.LEAST_SQUARES
    minuit.limits = [*form.limits, _FRONTS]
    minuit.errors = [*(0.05 * max(abs(s), 0.1) for s in form.start), 0.1]
    minuit.fixed["front"] = not fronts
    if np.ptp(rows.ln_e) < 0.05:
        for name in form.energy:
            minuit.fixed[name] = True
    if not warm:
        minuit.simplex(ncall=3000)
    minimise(minuit)
    values = np.array(minuit.values)
    described = of(values)
    chi2, compared = goodness(rows, described)
    found = from_minuit(
        minuit,
        energy=data.incident,
        chi2=chi2,
        ndf=max(compared - int(minuit.nfit), 0),
        covariance=_sandwich(minuit, of, rows),
        settings={"law": law},
        points={
            "energy": rows.energy,
            "tau": (rows.mixture * rows.tau).sum(axis=1),
            "fractions": rounded(rows.fractions, 16),
            "law": rounded(described, 16),
            "n_eff": rows.n_eff,
        },
    )
    # Not a parameter of the law: it is kept beside it, and the errors of the law allow for it.
    return replace(
        found,
        names=form.names,
        values=found.values[:-1],
        covariance=found.covariance[:-1, :-1],
        at_limit=tuple(name for name in found.at_limit if name != "front"),
        settings={"law": law, "front": float(values[-1]), "front_error": float(np.sqrt(found.covariance[-1, -1]))},
    )


def front(law: Fit) -> float:
    """Return how much of what is lost in front of layers is found on the other side, 0 to 1."""
    return float(np.clip(law.settings.get("front", 0.0), 0.0, 1.0))


def predicted(rows: RadialCells, law: Fit) -> Floats:
    """Return the fractions (m, n_r) that a fitted law expects."""
    return _per_ring(rows, evaluate(law, rows.tau, rows.ln_e[:, None]), front(law))


def visible(rows: RadialCells, front: float) -> Floats | None:
    """Return what is seen of the rings, (m, k, n_r); None where all is."""
    if rows.seen is None or rows.mirrored is None:
        return None
    shares: Floats = np.maximum(rows.seen + front * rows.mirrored, 1e-3)
    return shares


def _per_ring(rows: RadialCells, widths: tuple[Floats, Floats, Floats], front: float) -> Floats:
    """Fractions for R_C, R_T and p (m, k); normalised to what is seen within the last edge."""
    within = cumulative(*widths, rows.r2)
    shares = visible(rows, front)
    if shares is None:
        everything: Floats = np.maximum(np.diff(np.einsum("ap,apr->ar", rows.mixture, within), axis=1), 1e-12)
        return everything
    seen = np.diff(within, axis=2) * shares
    per_ring: Floats = np.einsum("ap,apr->ar", rows.mixture / seen.sum(axis=2), seen)
    return np.maximum(per_ring, 1e-12)


def goodness(rows: RadialCells, described: Floats) -> tuple[float, int]:
    """chi2 of fractions per radial bin, and the numbers compared less one per row: bins that expect 5 deposits."""
    expected = described * rows.n_eff[:, None]
    enough = expected > 5
    chi2 = float((((rows.fractions * rows.n_eff[:, None] - expected) ** 2 / expected) * enough).sum())
    return chi2, int(enough.sum()) - int(enough.any(axis=1).sum())


def _effective_deposits(
    row: npt.NDArray[np.int64],
    shower: npt.NDArray[np.int64],
    ring: npt.NDArray[np.int64],
    share: Floats,
    fractions: Floats,
    n_showers: int,
) -> tuple[Floats, Floats]:
    """Find the number of independent deposits that give each row's ring fractions the spread seen between showers.

    Returns it with its error, which follows from the scatter of the spread between showers.

    For k deposits the summed squared deviation of ring energies, each over its expectation, has the mean n_r - 1; the
    energies w of single showers in a row deviate from w_total f by an amount that the showers themselves tell.
    """
    n_rows, n_r = fractions.shape
    key = (row * n_showers + shower).astype(np.int64)
    unique, inverse = np.unique(key, return_inverse=True)
    own_row = unique // n_showers
    per_shower = np.bincount(inverse * n_r + ring, weights=share, minlength=len(unique) * n_r).reshape(-1, n_r)
    total = per_shower.sum(axis=1)
    f = fractions[own_row]
    seen = f > 0
    deviation = np.where(seen, (per_shower - total[:, None] * f) ** 2 / np.where(seen, f, 1.0), 0.0).sum(axis=1)
    rings_hit = np.maximum((fractions > 0).sum(axis=1) - 1, 1)
    spread = np.bincount(own_row, weights=deviation, minlength=n_rows) / rings_hit
    n_in_row = np.bincount(own_row, minlength=n_rows)
    weight = np.bincount(own_row, weights=total, minlength=n_rows)
    with np.errstate(divide="ignore", invalid="ignore"):
        n_eff = weight**2 / spread * (1 - 1 / np.maximum(n_in_row, 1))
        mean = (spread * rings_hit / np.maximum(n_in_row, 1))[own_row]
        scatter = np.bincount(own_row, weights=(deviation - mean) ** 2, minlength=n_rows)
        error = n_eff * np.sqrt(scatter) / (spread * rings_hit)
    enough = (n_in_row >= 5) & np.isfinite(n_eff)
    return np.where(enough, n_eff, 0.0), np.where(enough, error, 0.0)


def _sandwich(minuit: Minuit, predicted: Callable[[Floats], Floats], entries: RadialCells) -> Floats:
    """Covariance H^-1 B H^-1 with B from the scores of single showers; 0 where fixed."""
    values = np.array(minuit.values)
    if minuit.covariance is None:
        return np.full((len(values), len(values)), np.nan)
    # minuit's covariance is the inverse of the Hessian of -ln L: errordef 1 on -2 ln L.
    inverse = np.array(minuit.covariance)
    scores = np.zeros((int(entries.shower.max()) + 1, len(values)))
    for i in (i for i, fixed in enumerate(minuit.fixed) if not fixed):
        low, high = minuit.limits[i]
        step = 1e-4 * max(abs(values[i]), 0.05)
        up, down = values.copy(), values.copy()
        up[i], down[i] = min(values[i] + step, high), max(values[i] - step, low)
        slope = (np.log(predicted(up)) - np.log(predicted(down))) / (up[i] - down[i])
        contribution = entries.deposits * slope[entries.row, entries.ring]
        scores[:, i] = np.bincount(entries.shower, weights=contribution, minlength=len(scores))
    scores -= scores.mean(axis=0)
    covariance: Floats = inverse @ (scores.T @ scores) @ inverse
    return covariance
