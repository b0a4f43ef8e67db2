"""The uncertainty of a tune, used: systematic variations along eigenvectors, and replicas from the covariance."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from fastparam.errors import FastparamWarning, UsageError, near
from fastparam.fit.fit import Fit
from fastparam.tunes.tune import SliceTune, Tune

__all__ = ["eigenvectors", "replicas", "vary"]

Floats = npt.NDArray[np.float64]

#: Components that the classical sampler draws showers from; the others only describe.
SAMPLED = (
    "response", "longitudinal", "conversion", "spots", "spot_groups", "spot_spectrum", "layers", "layer_factors",
    "warp", "radial", "radial_warp", "modulation",
)  # fmt: skip

#: Components by sampler. Those that are not here draw from tables, which have no covariance.
_OF_SAMPLER = {"gflash": SAMPLED, "fastcalosim": ("modulation",)}


def eigenvectors(fit: Fit) -> tuple[Floats, Floats]:
    """Return the independent directions of a fit's covariance.

    Parameters are put in units of their errors first, so that the order does not depend on units.

    Returns
    -------
    sigma : float64 array (m,)
        Standard deviations along the directions in those units, largest first; directions without any are left out.
    shift : float64 array (m, k)
        What one standard deviation along each direction adds to the parameters.
    """
    errors = np.where(fit.errors > 0, fit.errors, 1.0)
    correlation = fit.covariance / np.outer(errors, errors)
    variance, directions = np.linalg.eigh(np.nan_to_num(correlation))
    order = np.argsort(-variance)
    kept = order[variance[order] > 1e-12]
    sigma = np.sqrt(variance[kept])
    shift: Floats = (directions[:, kept] * sigma).T * errors
    return sigma, shift


def vary(tune: Tune, component: str, n_sigma: float, eigenvector: int = 0) -> Tune:
    """Move one component of every slice along an eigenvector of its covariance.

    Parameters
    ----------
    tune : Tune
    component : str
        One of `SAMPLED`.
    n_sigma : float
        Standard deviations, of either sign.
    eigenvector : int
        0 is the direction of largest variance, in units of the parameters' errors.

    Raises
    ------
    UsageError
        If there is no such component or direction.

    Warns
    -----
    FastparamWarning
        If the recipe's showers are not drawn from that component.
    """
    if component not in SAMPLED:
        raise UsageError(f"no component '{component}'{near(component, SAMPLED)}; expected one of {', '.join(SAMPLED)}")
    if not any(component in part.components for part in tune.slices):
        raise UsageError(f"the tune has no {component}; its recipe {tune.recipe.name} leaves it out")
    parts = []
    for part in tune.slices:
        if component not in part.components:  # e.g. pions have no longitudinal law
            parts.append(part)
            continue
        fit = part.components[component]
        _, shift = eigenvectors(fit)
        if not 0 <= eigenvector < len(shift):
            raise UsageError(
                f"eigenvector {eigenvector} of {component}: expected 0 to {len(shift) - 1}"
                if len(shift)
                else f"{component} has no parameter that could be varied"
            )
        parts.append(_with(part, component, fit.values + n_sigma * shift[eigenvector]))
    _say_if_unused(tune, [component])
    return _varied(tune, parts, f"{component} {n_sigma:+g} sigma along eigenvector {eigenvector}")


def replicas(tune: Tune, n: int, *, seed: int = 1) -> list[Tune]:
    """Draw n tunes from the covariance of all sampled components, independently per slice and component.

    Warns
    -----
    FastparamWarning
        If the recipe's showers are drawn from none of them.
    """
    if n < 1:
        raise UsageError(f"{n} replicas: expected at least 1")
    _say_if_unused(tune, [name for name in SAMPLED if any(name in part.components for part in tune.slices)])
    rng = np.random.default_rng(seed)
    drawn = []
    for number in range(n):
        parts = []
        for part in tune.slices:
            varied = part
            for component in [name for name in SAMPLED if name in part.components]:
                fit = part.components[component]
                _, shift = eigenvectors(fit)
                varied = _with(varied, component, fit.values + rng.standard_normal(len(shift)) @ shift)
            parts.append(varied)
        drawn.append(_varied(tune, parts, f"replica {number} of seed {seed}"))
    return drawn


def _say_if_unused(tune: Tune, components: Sequence[str]) -> None:
    if set(components).isdisjoint(_OF_SAMPLER.get(tune.recipe.sampler, ())):
        warnings.warn(
            f"the recipe {tune.recipe.name} does not draw showers from {', '.join(components)}: what is varied shows in"
            " `fastparam show` and in exports, the showers stay the same; tune with --recipe gflash to vary showers",
            FastparamWarning,
            stacklevel=4,
        )


def _with(part: SliceTune, component: str, values: Floats) -> SliceTune:
    return replace(part, components=part.components | {component: replace(part.components[component], values=values)})


def _varied(tune: Tune, parts: list[SliceTune], how: str) -> Tune:
    """Return the tune with other slices; its validation no longer holds."""
    return replace(tune, slices=tuple(parts), provenance=tune.provenance | {"varied": how}, validation={})
