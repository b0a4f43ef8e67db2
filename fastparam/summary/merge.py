"""Joining summaries of parts of one sample."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastparam.errors import InputError
from fastparam.particles import Particles
from fastparam.summary.summary import Summary

__all__ = ["concatenate", "merge"]


def merge(parts: Sequence[Summary], names: Sequence[str]) -> Summary:
    """Join parts of one sample into the summary that one pass over all of it would give, bit by bit.

    Raises
    ------
    InputError
        If the parts belong to different geometries or are cut differently, or if two of them hold the same row.
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
    rows = np.concatenate([p.row for p in parts])
    owner = np.repeat(np.arange(len(parts)), [len(p) for p in parts])
    order = np.argsort(rows, kind="stable")
    twice = np.flatnonzero(np.diff(rows[order]) == 0)
    if len(twice):
        a, b = owner[order[twice[0]]], owner[order[twice[0] + 1]]
        raise InputError(f"row {rows[order[twice[0]]]} is in {names[a]} and in {names[b]}; merge each part only once")
    return concatenate(parts).take(order)


def concatenate(parts: Sequence[Summary]) -> Summary:
    """Put the showers of summaries of equal binning one behind the other, in the order given."""
    first = parts[0]
    if len(parts) == 1:
        return first
    counts = np.concatenate([np.diff(p.offsets) for p in parts])
    return Summary(
        first.geometry_digest,
        first.binning,
        Particles.concatenate([p.particles for p in parts]),
        np.concatenate([p.row for p in parts]),
        np.concatenate([p.n_hits for p in parts]),
        np.concatenate([p.n_negative for p in parts]),
        np.concatenate([p.n_outside for p in parts]),
        np.concatenate([p.outside for p in parts]),
        np.concatenate([p.layer_energy for p in parts]),
        np.concatenate([p.layer_moments for p in parts]),
        np.concatenate([p.depth_sums for p in parts]),
        np.concatenate([p.r50 for p in parts]),
        np.concatenate([p.r90 for p in parts]),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        np.concatenate([p.content_bin for p in parts]),
        np.concatenate([p.content_energy for p in parts]),
    )
