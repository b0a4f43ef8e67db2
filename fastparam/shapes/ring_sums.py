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
    amount, nearest = 0.0, 0
    for s in range(len(section)):
        if section[s] > 0.0:
            amount += section[s]
        if section[s] > section[nearest]:
            nearest = s
    if amount <= 0.0:
        section[nearest] = amount = total
    scale = total / amount
    for s in range(len(section)):
        section[s] = max(section[s] * scale, 0.0)
        amount, nearest = 0.0, first[s]
        for g in range(first[s], first[s + 1]):
            if ring[g] > 0.0:
                amount += ring[g]
            if ring[g] > ring[nearest]:
                nearest = g
        if amount <= 0.0:
            ring[nearest] = amount = 1.0
        share = section[s] / amount
        for g in range(first[s], first[s + 1]):
            ring[g] = max(ring[g] * share, 0.0)


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
