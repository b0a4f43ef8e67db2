"""Energies that are sampled one by one, made to add up, as a kernel: rings to sections, sections to the total."""

from __future__ import annotations

from typing import Any

from fastparam._numba import kernel

__all__ = ["balance1", "total1"]


@kernel
def balance1(total: float, section: Any, ring: Any, first: Any) -> None:
    """Scale rings to their sections and sections to the total, in place.

    Parameters
    ----------
    total : float
    section : float array (S,)
    ring : float array (G,)
        Zeros are numbers <= 0, the nearer to 0 the nearer they were to not being zero: where a section has energy but
        none of its rings, or the total but no section, the nearest one gets it. All are >= 0 afterwards.
    first : int array (S + 1,)
        First ring of each section.
    """
    if total <= 0.0:
        section[:] = 0.0
        ring[:] = 0.0
        return
    amount = _positive1(section)
    if amount <= 0.0:
        section[_nearest1(section)] = amount = total
    scale = total / amount
    for s in range(len(section)):
        section[s] = max(section[s] * scale, 0.0)
        own = ring[first[s] : first[s + 1]]
        amount = _positive1(own)
        if amount <= 0.0:
            own[_nearest1(own)] = amount = 1.0
        share = section[s] / amount
        for g in range(len(own)):
            own[g] = max(own[g] * share, 0.0)


@kernel
def _positive1(values: Any) -> float:
    """Sum what is positive."""
    amount = 0.0
    for k in range(len(values)):
        amount += max(values[k], 0.0)
    return amount


@kernel
def _nearest1(values: Any) -> int:
    """Return the place of the largest value."""
    nearest = 0
    for k in range(1, len(values)):
        if values[k] > values[nearest]:
            nearest = k
    return nearest


@kernel
def total1(values: Any) -> float:
    """Sum values in double precision, in four sums that do not wait for each other."""
    a = b = c = d = 0.0
    n = len(values)
    for h in range(0, n - 3, 4):
        a += values[h]
        b += values[h + 1]
        c += values[h + 2]
        d += values[h + 3]
    for h in range(n - n % 4, n):
        a += values[h]
    return (a + b) + (c + d)
