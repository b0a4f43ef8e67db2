"""Straight lines through layers, as kernels; surfaces are cylinders about z (barrel) or planes in z (planar)."""

from __future__ import annotations

import math
from typing import Any

from fastparam._numba import kernel

__all__ = ["axes1", "path_to1"]


@kernel
def path_to1(barrel: bool, x: float, y: float, z: float, ux: float, uy: float, uz: float, target: float) -> float:
    """Path from (x, y, z) along u to the surface of radius or z `target`, on the way out; NaN if the line misses it."""
    if not barrel:
        return (target - z) / uz
    a = ux * ux + uy * uy
    b = x * ux + y * uy
    root = b * b - a * (x * x + y * y - target * target)
    if root < 0.0:
        return math.nan
    return (-b + math.sqrt(root)) / a


@kernel
def axes1(barrel: bool, u: Any, e1: Any, e2: Any) -> None:
    """Fill the transverse axes (3,) of a line along u; conventions of `fastparam.geometry.frames`."""
    if barrel:
        n = math.sqrt(1.0 - u[2] * u[2])
        e1[0], e1[1], e1[2] = -u[2] * u[0] / n, -u[2] * u[1] / n, (1.0 - u[2] * u[2]) / n
        e2[0], e2[1], e2[2] = (
            e1[1] * u[2] - e1[2] * u[1],
            e1[2] * u[0] - e1[0] * u[2],
            e1[0] * u[1] - e1[1] * u[0],
        )
    else:
        n = math.sqrt(1.0 - u[0] * u[0])
        e1[0], e1[1], e1[2] = (1.0 - u[0] * u[0]) / n, -u[0] * u[1] / n, -u[0] * u[2] / n
        e2[0], e2[1], e2[2] = (
            u[1] * e1[2] - u[2] * e1[1],
            u[2] * e1[0] - u[0] * e1[2],
            u[0] * e1[1] - u[1] * e1[0],
        )
