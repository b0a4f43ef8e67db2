"""Joining summaries of parts of one sample."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastparam.errors import FastparamWarning, InputError
from fastparam.particles import Particles
from fastparam.summary.deposits import Deposits
from fastparam.summary.summary import PER_ENTRY, PER_SHOWER, Summary

__all__ = ["concatenate", "merge"]


def merge(parts: Sequence[Summary], names: Sequence[str]) -> Summary:
    """Join parts of one sample into the summary that one pass over all of it would give, bit by bit.

    Raises
    ------
    InputError
        If the parts belong to different geometries or samples or are cut differently, or if two of them hold the same
        row.

    Warns
    -----
    FastparamWarning
        If rows of the sample are in none of the parts.
    """
    for part, name in zip(parts, names, strict=True):
        if part.geometry_digest != parts[0].geometry_digest:
            raise InputError(
                f"{name}: made with another geometry than {names[0]}; summarise all parts with the same one"
            )
        if not part.binning.same_as(parts[0].binning):
            raise InputError(
                f"{name}: its depth cells or radial bins differ from those of {names[0]}; "
                "summarise all parts from the same geometry.yaml and list of files"
            )
        if (part.deposits is None) != (parts[0].deposits is None):
            kept, lost = (names[0], name) if part.deposits is None else (name, names[0])
            raise InputError(
                f"{kept} holds the single hits of its showers and {lost} does not; summarise all parts with the same"
                " recipe in geometry.yaml"
            )
        if part.sample_rows != parts[0].sample_rows:
            raise InputError(
                f"{name}: part of a sample of {part.sample_rows} rows, {names[0]} of one of {parts[0].sample_rows}; "
                "summarise all parts from the same geometry.yaml and list of files"
            )
    rows = np.concatenate([p.row for p in parts])
    owner = np.repeat(np.arange(len(parts)), [len(p) for p in parts])
    order = np.argsort(rows, kind="stable")
    twice = np.flatnonzero(np.diff(rows[order]) == 0)
    if len(twice):
        a, b = owner[order[twice[0]]], owner[order[twice[0] + 1]]
        raise InputError(f"row {rows[order[twice[0]]]} is in {names[a]} and in {names[b]}; merge each part only once")
    missing = np.setdiff1d(np.arange(parts[0].sample_rows), rows)
    if len(missing):
        warnings.warn(
            f"{len(missing)} of the {parts[0].sample_rows} rows of the sample are in none of the {len(parts)} merged "
            f"parts: {_ranges(missing)}; the summary lacks them",
            FastparamWarning,
            stacklevel=2,
        )
    return concatenate(parts).take(order)


def _ranges(rows: npt.NDArray[np.int64]) -> str:
    """Write ascending numbers as ranges, such as ``0 to 9, 12``; only the first three."""
    runs = np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1)
    shown = [f"{run[0]} to {run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs[:3]]
    return ", ".join([*shown, "..."] if len(runs) > 3 else shown)


def concatenate(parts: Sequence[Summary]) -> Summary:
    """Put the showers of summaries of equal binning one behind the other, in the order given."""
    first = parts[0]
    if len(parts) == 1:
        return first
    counts = np.concatenate([np.diff(p.offsets) for p in parts])
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(p, name) for p in parts]) for name in (*PER_SHOWER, *PER_ENTRY)
    }
    deposits = [p.deposits for p in parts if p.deposits is not None]
    return replace(
        first,
        deposits=Deposits.concatenate(deposits) if len(deposits) == len(parts) else None,
        particles=Particles.concatenate([p.particles for p in parts]),
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        **joined,
    )
