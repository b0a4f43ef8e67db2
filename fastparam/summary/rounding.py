"""Rounding to the bits worth storing: more would be noise, and noise does not compress."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["rounded"]


def rounded(values: npt.NDArray[np.float64], bits: int) -> npt.NDArray[np.float64]:
    """Round to the nearest numbers of `bits` significant bits, ties to even (Veltkamp's splitting)."""
    scaled = values * (2.0 ** (53 - bits) + 1.0)
    return np.asarray(scaled - (scaled - values))
