"""What moved between two tunes, in standard deviations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from fastparam.fit.fit import Fit
from fastparam.tunes.tune import SliceTune, Tune

__all__ = ["ComponentDiff", "diff"]


@dataclass(frozen=True)
class ComponentDiff:
    """One component of one particle and slice in two tunes.

    Attributes
    ----------
    pdg : int
    eta : tuple of float, or None
    component : str
    note : str
        Why nothing can be compared (one side only, another law); empty otherwise.
    names : tuple of str (k,)
    old, new, pull : tuple of float (k,)
        Values, and their difference over its error. Two tunes of independent samples are assumed; tunes that share
        showers differ by less than the errors say.
    chi2, ndf, p_value : float, int, float
        Of all differences together, correlations included.
    """

    pdg: int
    eta: tuple[float, float] | None
    component: str
    note: str = ""
    names: tuple[str, ...] = ()
    old: tuple[float, ...] = ()
    new: tuple[float, ...] = ()
    pull: tuple[float, ...] = ()
    chi2: float = 0.0
    ndf: int = 0
    p_value: float = float("nan")


def diff(old: Tune, new: Tune) -> list[ComponentDiff]:
    """Compare two tunes component by component, in the order of the new one; slices are matched by their edges."""
    before = {(part.pdg, part.eta): part for part in old.slices}
    after = {(part.pdg, part.eta): part for part in new.slices}
    found: list[ComponentDiff] = []
    for key, part in after.items():
        if key not in before:
            found.append(ComponentDiff(*key, "all", "only in the new tune"))
            continue
        found += _slice(before[key], part)
    return found + [ComponentDiff(*key, "all", "only in the old tune") for key in before if key not in after]


def _slice(old: SliceTune, new: SliceTune) -> list[ComponentDiff]:
    found = []
    for name in dict.fromkeys([*old.components, *new.components]):
        if name not in old.components or name not in new.components:
            side = "new" if name in new.components else "old"
            found.append(ComponentDiff(new.pdg, new.eta, name, f"only in the {side} tune"))
        elif old.components[name].names != new.components[name].names:
            found.append(ComponentDiff(new.pdg, new.eta, name, "another law: the parameters have other names"))
        elif old.components[name].names:
            found.append(_component(new.pdg, new.eta, name, old.components[name], new.components[name]))
    return found


def _component(pdg: int, eta: tuple[float, float] | None, name: str, old: Fit, new: Fit) -> ComponentDiff:
    difference = new.values - old.values
    covariance = np.nan_to_num(old.covariance + new.covariance)
    errors = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    pull = np.divide(difference, errors, out=np.zeros_like(difference), where=errors > 0)
    scale = np.where(errors > 0, errors, 1.0)
    correlation = covariance / np.outer(scale, scale)
    # Directions without any variance (fixed parameters) say nothing.
    inverse = np.linalg.pinv(correlation, rcond=1e-10, hermitian=True)
    chi2 = float(pull @ inverse @ pull)
    ndf = int(np.linalg.matrix_rank(correlation, tol=1e-10, hermitian=True)) if len(errors) else 0
    return ComponentDiff(
        pdg,
        eta,
        name,
        "",
        new.names,
        tuple(float(v) for v in old.values),
        tuple(float(v) for v in new.values),
        tuple(float(p) for p in pull),
        chi2,
        ndf,
        float(stats.chi2.sf(chi2, ndf)) if ndf else float("nan"),
    )
