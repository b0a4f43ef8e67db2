"""A tune in the form of Geant4's homogeneous GFlash class (`GVFlashHomoShowerTuning`), exactly or as near as it goes.

Geant4's laws are those of Grindhammer & Peters (hep-ex/0001020, A.1) with 32 constants. Of a tune they hold exactly: ln
alpha, both sigmas and rho against ln y, the `classical` radial law with its slopes in ln E, the number of spots. They
cannot hold: a slope of T in ln y other than 1, any correction, the `smooth` radial law, a visible fraction, photons,
layers. Where spots come in groups, its spots are those of all groups: its depth profiles do not scatter.

Geant4's own y and R_M follow from a critical energy with X0 in mm in place of g/cm2. That does no harm to a tune: the
exported class folds ln(Ec_Geant4 / Ec) into the constants when it meets the material, and scales radii.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares
from scipy.special import gammainc

from fastparam.fit import longitudinal, radial, radial_warp, spot_groups, warp
from fastparam.fit.fit import Fit
from fastparam.fit.radial import LAWS
from fastparam.shapes.radial import cdf, ppf
from fastparam.tunes.tune import SliceTune, Tune

__all__ = ["Constants", "constants", "not_homogeneous"]

Floats = npt.NDArray[np.float64]

#: A slope of T closer to 1 than this is 1: T then changes by less than 1e-8 X0 over any range of energies.
_SLOPE_TOLERANCE = 1e-9

_N_ENERGIES = 5
#: Ages at which radial profiles are matched; losses count between those before and behind which this share of the mean
#: shower's energy lies.
_AGE_EDGES = np.linspace(0.0, 5.0, 26)
_AGES = 0.5 * (_AGE_EDGES[:-1] + _AGE_EDGES[1:])
_OUTSIDE = 0.05
#: Radii in Moliere radii at which cumulative radial profiles are compared.
_RADII = np.geomspace(0.01, 10.0, 12)


@dataclass(frozen=True)
class Constants:
    """Laws of one slice in Geant4's form, before its y and R_M.

    Attributes
    ----------
    longitudinal : float64 array (10,)
        As `fit.longitudinal.NAMES`; t1 is 1.
    radial : float64 array (12,)
        As the `classical` law of `fit.radial`.
    spots : float64 array (2,)
        ln N = spots[0] + spots[1] ln(E / GeV).
    reasons : tuple of str
        Why these are not the laws of the tune; empty if they are.
    losses : dict of str to float
        Largest relative deviation from the tune over its energies; for the radial quantities R_C, R_T, p, R50 and R90
        also over the ages of the central 90 % of the energy. F, the energy before a depth, counts as a share of the
        shower. Empty if there is none.
    """

    longitudinal: Floats
    radial: Floats
    spots: Floats
    reasons: tuple[str, ...] = ()
    losses: dict[str, float] = field(default_factory=dict)


def not_homogeneous(tune: Tune) -> str | None:
    """Return why Geant4's homogeneous class is not for this calorimeter, or None if it is."""
    geometry = tune.geometry
    if (geometry.slab_layer < 0).any():
        return "the calorimeter has passive layers"
    if len(np.unique(geometry.layer_medium)) > 1:
        return "the calorimeter has more than one active medium"
    if np.any(geometry.slab_from[1:] - geometry.slab_to[:-1] > 1e-6):
        return "the calorimeter has gaps"
    electrons = [part for part in tune.slices if abs(part.pdg) == 11]
    if not electrons:
        return "Geant4's GFlash parametrises electrons and positrons only, and the tune has neither"
    if len(electrons) > 1 and any(part.eta is not None for part in electrons):
        return "Geant4's GFlash has one set of constants, and the tune has several slices in eta"
    return None


def constants(part: SliceTune, critical_energy: float) -> Constants:
    """Return Geant4's constants for a slice: the tune's own laws where it has them, else the nearest.

    T is matched in ln T, evenly over ln E. Radial profiles are matched in their cumulatives at the ages of the mean
    shower, weighted with the energy there.

    Parameters
    ----------
    part : SliceTune
    critical_energy : float
        Of the tune, MeV.
    """
    shapes = part.components["longitudinal"]
    spots, law = part.components["spots"].values, part.components["radial"]
    energy = np.geomspace(*part.energy_range, _N_ENERGIES)
    ln_y = np.log(energy / critical_energy)
    reasons, losses = [], {}
    own, lost = _straight(shapes, ln_y)
    if shapes.names != longitudinal.NAMES:
        reasons.append("the laws of the profile's shape are splines; Geant4 has straight lines in ln E")
        losses["shape"] = lost
    matched, radii = np.array(own), np.array(law.values)
    if abs(own[1] - 1.0) > _SLOPE_TOLERANCE:
        reasons.append(f"T grows by {own[1]:.4g} X0 per unit of ln E; Geant4 has 1")
        matched[:2] = _nearest_maximum(own, ln_y)
        losses["T"] = float(np.abs((matched[0] + ln_y) / (own[0] + own[1] * ln_y) - 1.0).max())
    if "warp" in part.components and part.components["warp"].settings["order"] > 0:
        reasons.append("mean profiles are warped; Geant4 has plain gamma profiles")
        a = warp.evaluate(part.components["warp"], energy)
        u = np.broadcast_to(np.linspace(0.0, 1.0, 101), (len(energy), 101))
        losses["F"] = float(np.abs(warp.warped(u, a) - u).max())
    if "modulation" in part.components and part.components["modulation"].names:
        reasons.append("the response is modulated in phi; Geant4 knows no phi")
    if "layer_factors" in part.components and part.components["layer_factors"].names:
        reasons.append("single layers get energy on top of the profile; Geant4 has none")
    alpha = np.exp(longitudinal.evaluate(shapes, ln_y)["mean_ln_alpha"])[:, None]
    share = np.diff(gammainc(alpha, (alpha - 1.0) * _AGE_EDGES), axis=1)
    if "spot_groups" in part.components:
        reasons.append("spots come in groups; Geant4's are independent")
        spots = _all_spots(part.components["spot_groups"], spots, energy, share)
    if "spot_spectrum" in part.components:
        reasons.append("spots have a spectrum of energies; Geant4's are equal, as many as fluctuate as much")
    bend = part.components.get("radial_warp")
    if law.settings["law"] != "classical" or bend is not None:
        if law.settings["law"] != "classical":
            reasons.append(f"the radial law is '{law.settings['law']}'; Geant4 has the classical one")
        if bend is not None:
            reasons.append("radial profiles are warped; Geant4 has two components")
        ln_e = np.log(energy / 10_000.0)[:, None]
        wanted = np.broadcast_arrays(*radial.evaluate(law, _AGES, ln_e))
        s = None if bend is None else radial_warp.at_age(radial_warp.evaluate(bend, energy), _AGES)
        radii = _nearest_radial(wanted, s, share, ln_e)
        got = np.broadcast_arrays(*LAWS["classical"].function(radii, _AGES, ln_e))
        before = np.cumsum(share, axis=1) - 0.5 * share
        counted = (before > _OUTSIDE) & (before < 1.0 - _OUTSIDE)
        losses |= _radial_losses(
            [q[counted] for q in got], [q[counted] for q in wanted], None if s is None else s[counted]
        )
    return Constants(matched, radii, np.array(spots), tuple(reasons), losses)


def _straight(shapes: Fit, ln_y: Floats) -> tuple[Floats, float]:
    """Straight lines in ln y nearest to the laws, evenly over ln E, and the largest loss of T, alpha and 1/sigma."""
    if shapes.names == longitudinal.NAMES:
        return shapes.values, 0.0
    law = longitudinal.evaluate(shapes, ln_y)
    wanted = [np.exp(law["mean_ln_t"]), np.exp(law["mean_ln_alpha"]), 1 / law["sigma_ln_t"], 1 / law["sigma_ln_alpha"]]
    lines = [np.polynomial.Polynomial.fit(ln_y, q, 1).convert() for q in (*wanted, law["rho"])]
    loss = max(float(np.abs(line(ln_y) / q - 1.0).max()) for line, q in zip(lines, wanted, strict=False))
    return np.concatenate([line.coef for line in lines]), loss


def _nearest_maximum(own: Floats, ln_y: Floats) -> tuple[float, float]:
    target = np.log(own[0] + own[1] * ln_y)
    lowest = 0.05 - float(ln_y.min())  # Geant4 takes the logarithm of T over the whole range
    start = max(float(np.mean(np.exp(target) - ln_y)), lowest + 0.01)
    found = least_squares(lambda c: np.log(c[0] + ln_y) - target, [start], bounds=(lowest, np.inf))
    return float(found.x[0]), 1.0


def _all_spots(groups: Fit, spots: Floats, energy: Floats, share: Floats) -> Floats:
    """Constants of the number of spots in all groups, at the ages of the mean shower."""
    age = np.clip(_AGES, spot_groups.MIN_TAU, None)
    c = spot_groups.evaluate(groups, energy)
    mean = np.maximum(np.exp(c[:, :1] + c[:, 1:2] * np.log(age) + c[:, 2:] * age), 1.0)
    ln_mean = np.log((mean * share).sum(axis=1) / share.sum(axis=1))
    ln_e = np.log(energy / 1000.0)
    slope, intercept = np.polyfit(ln_e, ln_mean, 1) if np.ptp(ln_e) > 0 else (0.0, float(ln_mean.mean()))
    return np.array([spots[0] + intercept, spots[1] + slope])


def _nearest_radial(wanted: Sequence[Floats], s: Floats | None, share: Floats, ln_e: Floats) -> Floats:
    """Constants of the classical law whose cumulative profiles are nearest to those of (R_C, R_T, p), warped by s."""
    law = LAWS["classical"]
    weight = np.sqrt(share)[..., None]

    def cumulative(core: Floats, tail: Floats, p: Floats) -> Floats:
        inner, outer = (_RADII**2 / (_RADII**2 + q[..., None] ** 2) for q in np.broadcast_arrays(core, tail))
        within: Floats = outer + p[..., None] * (inner - outer)
        return within

    target = cumulative(*wanted)
    if s is not None:
        target = radial_warp.warped(target, s)

    def residual(values: Floats) -> Floats:
        return np.asarray((weight * (cumulative(*law.function(values, _AGES, ln_e)) - target)).ravel())

    bounds = [
        [-np.inf if low is None else low for low, _ in law.limits],
        [np.inf if high is None else high for _, high in law.limits],
    ]
    best = min(
        (least_squares(residual, start, bounds=bounds, x_scale="jac", max_nfev=100) for start in _starts(law.start)),
        key=lambda found: float(found.cost),
    )
    return np.asarray(best.x)


def _starts(own: tuple[float, ...]) -> list[tuple[float, ...]]:
    """Start values of the fit: those of the tune's own fit, and the published ones for lead (Z = 82)."""
    published = (0.0324, 0.0850, 0.00319, 0.406, 0.645, -2.59, 0.455, 0.0421, 2.555, 0.554, 1.155, -0.0686)
    return [own, published]


def _radial_losses(got: Sequence[Floats], wanted: Sequence[Floats], s: Floats | None) -> dict[str, float]:
    names = ("R_C", "R_T", "p")
    losses = {n: float(np.abs(a / b - 1.0).max()) for n, a, b in zip(names, got, wanted, strict=True)}
    core, tail, p = wanted
    for name, q in (("R50", 0.5), ("R90", 0.9)):
        share = np.full_like(p, q) if s is None else radial_warp.unwarped(q, s) * cdf(radial.MAX_RADIUS, p, core, tail)
        a, b = ppf(q, got[2], got[0], got[1]), ppf(share, p, core, tail)
        losses[name] = float(np.abs(a / b - 1.0).max())
    return losses
