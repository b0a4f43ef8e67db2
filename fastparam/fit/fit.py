"""What every fit of a component returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import stats

if TYPE_CHECKING:
    from iminuit import Minuit

__all__ = ["Fit", "from_minuit", "minimise"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Fit:
    """A fitted component: its parameters, how certain they are, and how well the law describes the data.

    Attributes
    ----------
    names : tuple of str (k,)
    values : float64 array (k,)
    covariance : float64 array (k, k)
    valid, accurate : bool
        The minimiser's verdict: a minimum was found; its covariance is that of the full Hessian.
    at_limit : tuple of str
        Parameters that ended on a limit.
    chi2, ndf : float, int
        How far the law is from the same quantities fitted at each energy point alone; ndf 0 where not defined.
    energy_range : tuple of float
        Lowest and highest kinetic energy in MeV that supported the fit.
    n_showers : int
    notes : tuple of str
        What the reader of the report should know, in words.
    settings : dict
        What else the law needs to be evaluated (orders, choices); JSON values only.
    points : dict of str to float64 array
        Diagnostics per energy point, for figures: "energy" and pairs such as "mean_ln_t", "mean_ln_t_error".
    """

    names: tuple[str, ...]
    values: Floats
    covariance: Floats
    valid: bool
    accurate: bool
    at_limit: tuple[str, ...]
    chi2: float
    ndf: int
    energy_range: tuple[float, float]
    n_showers: int
    notes: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    points: dict[str, Floats] = field(default_factory=dict)

    @property
    def errors(self) -> Floats:
        """Standard errors of the parameters, shape (k,)."""
        return np.sqrt(np.maximum(np.diag(self.covariance), 0.0))

    @property
    def p_value(self) -> float:
        """Probability of a chi2 at least this large if the law holds; NaN where not defined."""
        return float(stats.chi2.sf(self.chi2, self.ndf)) if self.ndf > 0 else float("nan")

    @property
    def failed(self) -> bool:
        """Whether the minimiser found no valid minimum."""
        return not self.valid

    def __getitem__(self, name: str) -> float:
        return float(self.values[self.names.index(name)])


def minimise(minuit: Minuit) -> None:
    """Run MIGRAD and HESSE until both agree on a minimum, at most three times.

    HESSE recomputes the estimated distance to the minimum with the exact curvature, which can show that MIGRAD stopped
    early; starting again from there ends it.
    """
    minuit.print_level = -1  # no messages on the terminal: what they mean is in `valid` and the flags
    for strategy in (1, 1, 2):
        minuit.strategy = strategy
        minuit.migrad(ncall=20_000)
        minuit.hesse()
        if minuit.valid:
            return


def from_minuit(
    minuit: Minuit,
    *,
    energy: Floats,
    chi2: float = 0.0,
    ndf: int = 0,
    notes: tuple[str, ...] = (),
    settings: dict[str, Any] | None = None,
    points: dict[str, Floats] | None = None,
    covariance: Floats | None = None,
) -> Fit:
    """Build a `Fit` from a finished `Minuit`; `energy` are the kinetic energies of the showers used, MeV."""
    values = np.array(minuit.values)
    if covariance is None:
        covariance = (
            np.array(minuit.covariance) if minuit.covariance is not None else np.full((len(values),) * 2, np.nan)
        )
    at_limit = []
    for name, value, (low, high), fixed in zip(minuit.parameters, values, minuit.limits, minuit.fixed, strict=True):
        if fixed or not np.isfinite(value):
            continue
        scale = (high - low) if np.isfinite(high - low) else max(1.0, abs(value))
        if value - low < 1e-4 * scale or high - value < 1e-4 * scale:
            at_limit.append(name)
    return Fit(
        tuple(minuit.parameters),
        values,
        covariance,
        bool(minuit.valid),
        bool(minuit.accurate),
        tuple(at_limit),
        chi2,
        ndf,
        (float(energy.min()), float(energy.max())),
        len(energy),
        notes,
        settings or {},
        points or {},
    )
