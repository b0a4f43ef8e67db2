"""Toy showers of known truth for the energies of the recipe `fastcalosim`, in plain NumPy.

A shower has a depth t = c(E) + 0.7 z about which its energy lies as a Gaussian of width 1.3 layers, times log-normal
noise per layer; a layer whose share is below a threshold sees nothing, so that the last ones are mostly empty. The
total is Gamma-distributed about a response that grows with ln E, with a relative width a/sqrt(E) (+) b, and a bit
smaller for deep showers.
"""

from __future__ import annotations

import numpy as np

from fastparam.fit.marginals import Quantities

N_LAYERS = 6
THRESHOLD = 0.012

#: Kinetic energies in MeV of the training showers, and how many showers each has.
POINTS = np.array([2000.0, 8000.0, 32_000.0])
N = 4000


def width(energy: np.ndarray | float) -> np.ndarray | float:
    """Relative standard deviation of the total."""
    return np.sqrt(0.10**2 / (np.asarray(energy) / 1000.0) + 0.015**2)


def response(energy: np.ndarray | float) -> np.ndarray | float:
    return 0.05 * (1 + 0.02 * np.log(np.asarray(energy) / 10_000.0))


def toy(energy: np.ndarray, seed: int) -> Quantities:
    """Quantities of showers of these energies."""
    rng = np.random.default_rng(seed)
    n = len(energy)
    z = rng.standard_normal(n)
    depth = 1.2 + 0.35 * np.log(energy / 1000.0) + 0.7 * z
    w = np.exp(-0.5 * ((np.arange(N_LAYERS) - depth[:, None]) / 1.3) ** 2 + 0.15 * rng.standard_normal((n, N_LAYERS)))
    share = w / w.sum(axis=1, keepdims=True)
    share = np.where(share > THRESHOLD, share, 0.0)
    share /= share.sum(axis=1, keepdims=True)
    relative = np.sqrt(np.square(width(energy)) - 0.01**2)
    total = response(energy) * rng.gamma(relative**-2) * relative**2 * (1 - 0.01 * z)
    names = ("total", *(f"layer {k}" for k in range(N_LAYERS)))
    return Quantities(np.column_stack([total, share]), np.array([2] + [0] * N_LAYERS), names)


def training() -> tuple[Quantities, np.ndarray]:
    """Training showers of all points, and their energies."""
    energy = np.repeat(POINTS, N)
    return toy(energy, 1), energy
