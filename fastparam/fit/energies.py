"""Energies component of the recipe `fastcalosim`: total, layers and depths inside layers, and how they hang together.

The method is that of FastCaloSimV2 (ATL-SOFT-PUB-2018-002; arXiv:2109.02551), rebuilt so that everything is a smooth
function of ln E:

1. every quantity - visible energy over E, each layer's share of it, mean depth inside each thick layer - gets a score:
   the standard normal number at its place among the showers of its energy (`fit.marginals`). All layers are kept. Exact
   zeros are an atom: their scores are drawn below the atom's edge *given the other quantities* (Gibbs sampling of the
   truncated normal law), so that layers that are empty together stay so;
2. the leading principal component of the scores, pointing to deeper showers at every energy, cuts the showers of each
   energy in bins of equal numbers. Hadrons in detectors of many layers have bins of the layer in which they start
   instead (`energy_scores.Starts`), one of them for those that do not; in detectors of few layers hadrons that pass
   have a bin of their own, and the law of their energy (`passing`);
3. within a bin: how the scores are distributed (tables h), and the correlation matrix of what is Gaussian then, as a
   Cholesky factor. An energy point borrows showers from its neighbours, a bin correlations from all bins; how much is
   chosen by how well correlations of left-out showers are predicted.

`fit.energy_calibration` then draws showers from the fit and corrects tables and matrices until layer energies have the
distributions and correlations of the training showers. `left_out` says how well an inner energy point is predicted
without its showers.

The steps are modules of their own: `energy_quantities`, `energy_scores`, `energy_correlations`, `energy_model` (which
draws), `energy_calibration`; here they are put together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fastparam.errors import FitError
from fastparam.fit import marginals
from fastparam.fit.energy_calibration import calibrate
from fastparam.fit.energy_correlations import choose_share, choose_width, inner_scores, pearson, tables
from fastparam.fit.energy_model import Energies
from fastparam.fit.energy_quantities import PASSING, total_of
from fastparam.fit.energy_scores import Starts, bins_of, directions, scores_of
from fastparam.fit.marginals import Quantities, neighbour_weights

if TYPE_CHECKING:
    from fastparam.summary.points import EnergyPoints

__all__ = ["fit", "left_out"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def fit(
    quantities: Quantities,
    points: EnergyPoints,
    energy: Floats,
    *,
    n_bins: int,
    n_layers: int,
    starts: Starts | None = None,
    pass_probability: Floats | None = None,
) -> tuple[Energies, Ints]:
    """Fit distributions, bins and correlations; return the model and the bin of every shower (n,).

    Parameters
    ----------
    quantities : Quantities
        Of n showers.
    points : EnergyPoints
        Of the same showers.
    energy : float64 array (n,)
        Kinetic energies in MeV.
    n_bins : int
        Bins of the leading component.
    n_layers : int
    starts : Starts, optional
        Take bins of starts instead.
    pass_probability : float64 array (P,), optional
        Of showers that pass, at the energy points; as many as there are if omitted.

    Raises
    ------
    FitError
        If fewer than 20 showers have energy.
    """
    total = total_of(quantities, energy)
    seen = int((total > 0).sum())
    if seen < 20:
        raise FitError(f"energies: {seen} showers with energy; at least 20 are needed")
    laws, residual = marginals.fit(quantities, points, energy)
    g, correlation = scores_of(quantities, laws, residual, points)
    direction = directions(correlation, n_layers)
    first, threshold = np.empty(0, dtype=np.int64), np.zeros(n_layers)
    passing = np.isnan(quantities.values[:, 0]) if PASSING in quantities.names else None
    if starts is None:
        own = np.ones(len(g), dtype=np.bool_) if passing is None else ~passing
        n_bins = n_bins if own.sum() >= 30 * n_bins else 1
        bin_, edges = bins_of(np.einsum("ij,ij->i", g, direction[points.point]), points, n_bins, own)
        if passing is not None:
            n_bins, bin_ = n_bins + 1, np.where(passing, 0, bin_ + 1)
    else:
        first, threshold = starts.first_of_bins(), starts.threshold
        n_bins = len(first) - 1
        bin_ = np.searchsorted(first, starts.layer, side="right") - 1
        edges = np.zeros((len(points), 0))
    inner = inner_scores(g, bin_, points, n_bins)
    layers = np.nan_to_num(quantities.values[:, 1 : n_layers + 1]) * total[:, None]
    width = choose_width(layers, points)
    share = choose_share(inner, bin_, points, n_bins, width)
    score, factor = tables(g, bin_, points, n_bins, width, share)
    counts = points.counts.astype(np.float64)
    weights = neighbour_weights(np.log(points.energy), counts, width, 0.0) * counts
    matrices = np.array([pearson(layers[points.point == p]) for p in range(len(points))])
    target = np.einsum("pq,qij->pij", weights / weights.sum(axis=1, keepdims=True), matrices)
    number = np.array([np.bincount(bin_[points.point == p], minlength=n_bins) for p in range(len(points))])
    probability = number * 1.0 if starts is not None else np.full(number.shape, 1.0)
    if passing is not None:
        p0 = number[:, 0] / points.counts if pass_probability is None else pass_probability
        probability[:, 0] = (n_bins - 1) * p0 / np.maximum(1.0 - p0, 1e-9)
    probability /= probability.sum(axis=1, keepdims=True)
    model = Energies(
        laws, direction, edges, score, factor, probability, first, threshold, width, share, quantities.names, n_layers
    )
    shares = np.nan_to_num(quantities.values[:, 1 : n_layers + 1])
    centre = np.where(total > 0, shares @ np.arange(n_layers), np.nan)
    spread = np.array([_widths_of_points(np.where(bin_ == b, centre, np.nan), points) for b in range(n_bins)]).T
    means = np.array([shares[points.point == p].mean(axis=0) for p in range(len(points))])
    return calibrate(model, target, means, spread), bin_


def _widths_of_points(x: Floats, points: EnergyPoints) -> Floats:
    """Return the standard deviation of x at every energy point, smooth in ln E, (P,); 0 if nothing is known of it."""
    ln_width, error = np.zeros(len(points)), np.full(len(points), np.inf)
    for p in range(len(points)):
        own = x[(points.point == p) & np.isfinite(x)]
        if len(own) > 4 and own.std() > 0:
            kurtosis = float(((own - own.mean()) ** 4).mean() / own.var() ** 2)
            ln_width[p], error[p] = np.log(own.std(ddof=1)), np.sqrt(max(kurtosis - 1.0, 0.5) / (4.0 * len(own)))
    if not np.isfinite(error).any():
        return np.zeros(len(points))
    ln_e = np.log(points.energy)
    return np.asarray(np.exp(marginals.smooth_law(ln_e, ln_width, error, ln_e)))


def left_out(quantities: Quantities, points: EnergyPoints, energy: Floats) -> list[dict[str, float]]:
    """How well each inner energy point is predicted without its showers; of hadrons, those that do not pass.

    Returns
    -------
    list of dict
        Per inner point: energy in MeV; mean and mean_error, width and width_error of the total in % of full simulation
        (predicted minus measured; the error is that of the point's showers), and the largest deviation of a layer's
        mean share in % of the total with its error.
    """
    from fastparam.summary.points import energy_points

    found = []
    n_layers = int((quantities.kind == 0).sum())
    for p in range(1, len(points) - 1):
        own = (points.point == p) & ~np.isnan(quantities.values[:, 0])
        if own.sum() < 10:
            continue
        others = points.point != p
        laws, _ = marginals.fit(quantities.take(others), energy_points(energy[others]), energy[others], quick=True)
        x = quantities.values[own]
        total = x[:, 0]
        e = float(np.exp(np.log(energy[own]).mean()))
        mean, _ = laws.moments(float(np.log(e)))
        width = laws.widths(float(np.log(e)))[0]
        n = int(own.sum())
        rng = np.random.default_rng(p)
        again = total[rng.integers(0, n, (200, n))]
        measured, measured_width = float(total.mean()), _half_68(total)
        width_error = float(np.std([_half_68(t) for t in again]))
        shares = np.nan_to_num(x[:, 1 : n_layers + 1])
        offsets = mean[1 : n_layers + 1] - shares.mean(axis=0)
        worst = int(np.argmax(np.abs(offsets)))
        found.append(
            {
                "energy": e,
                "mean": 100 * (mean[0] / measured - 1),
                "mean_error": 100 * float(total.std() / np.sqrt(n) / measured),
                "width": 100 * (width / measured_width - 1),
                "width_error": 100 * width_error / measured_width,
                "layer": 100 * float(offsets[worst]),
                "layer_error": 100 * float(shares[:, worst].std() / np.sqrt(n)),
            }
        )
    return found


def _half_68(x: Floats) -> float:
    low, high = np.quantile(x, [0.158655, 0.841345])
    return float(0.5 * (high - low))
