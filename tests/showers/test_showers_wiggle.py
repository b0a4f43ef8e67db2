"""Cells behind folded electrodes: sign, density and what they do to the sharing between neighbours.

The truth is made apart from the code: a cell of an accordion holds all hits between two folded borders.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import toys

from fastparam.errors import GeometryError, InputError
from fastparam.geometry.load import parse_geometry
from fastparam.hits.hits import Hits
from fastparam.particles import Particles
from fastparam.showers.showers import Showers
from fastparam.showers.wiggle import displaced, displacement_of_efficiency, displacement_of_fold, straightened

#: Cell of four absorbers out of 1024, as in the middle layer of the ATLAS barrel.
WIDTH = 4 * 2 * np.pi / 1024

#: Zigzag of 33 mm whose turning points lie at +7 and -3 mrad: more often above 0 than below, so that a sign shows.
RADII = np.arange(1590.0, 1801.0, 35.0)
TURNS = np.where(np.arange(7) % 2 == 0, 7e-3, -3e-3)
FOLD = ", ".join(f"[{r:g}, {phi:g}]" for r, phi in zip(RADII, TURNS, strict=True))

CELLS = "cells: {2: {eta: 0.025, phi: 2*pi/256}, 3: {eta: 0.025, phi: 2*pi/256}}\n"
STRAIGHT = toys.BARREL + CELLS + "modulation: {pitch: 2*pi/1024, layers: [2]}\n"
FOLDED = toys.BARREL + CELLS + f"modulation: {{pitch: 2*pi/1024, layers: [2], fold: [{FOLD}]}}\n"


def geometry(text: str = FOLDED):
    return parse_geometry(text, Path("toy.yaml"))


def fold(r: np.ndarray) -> np.ndarray:
    return np.interp(r, RADII, TURNS)


def hits_at(phi: np.ndarray, r: np.ndarray, layer: int = 1) -> Hits:
    """One shower per hit, at z such that eta is 0.2."""
    n = len(phi)
    return Hits(
        r * np.cos(phi),
        r * np.sin(phi),
        r * np.sinh(0.2),
        np.ones(n),
        np.full(n, layer, dtype=np.int32),
        np.arange(n + 1),
    )


def sample(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.uniform(-3.0, 3.0, n), rng.uniform(RADII[0], RADII[-1], n)


def true_cell(phi: np.ndarray, r: np.ndarray) -> np.ndarray:
    """Between which two folded borders a hit lies: border k at phi = k WIDTH + fold(r)."""
    return np.floor((phi - fold(r)) / WIDTH).astype(int)


def straight_cell(hits: Hits) -> np.ndarray:
    return np.floor(np.arctan2(hits.y, hits.x) / WIDTH).astype(int)


def position(phi: np.ndarray) -> np.ndarray:
    """t, -1 to 1 across the straight cell."""
    return 2.0 * (phi / WIDTH - np.floor(phi / WIDTH)) - 1.0


def efficiency(phi: np.ndarray, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    edges = np.linspace(-1.0, 1.0, 51)
    n, good = (np.histogram(position(phi), edges, weights=w)[0] for w in (np.ones(len(phi)), kept.astype(float)))
    return 0.5 * (edges[:-1] + edges[1:]), good / n


# With the depth of hits


def test_hits_with_a_depth_come_into_the_cell_whose_electrode_is_theirs() -> None:
    phi, r = sample(20_000, 1)
    moved = straightened(geometry(), hits_at(phi, r))
    assert (straight_cell(moved) == true_cell(phi, r)).all()
    assert (straight_cell(hits_at(phi, r)) != true_cell(phi, r)).mean() > 0.1
    assert np.hypot(moved.x, moved.y) == pytest.approx(r, rel=1e-12)


def test_the_other_sign_would_be_seen() -> None:
    """Negative control: with an even fold it would not matter, with this one 1 in 4 hits comes into a wrong cell."""
    phi, r = sample(20_000, 2)
    wrong = np.floor((phi + fold(r)) / WIDTH).astype(int)
    assert (wrong != true_cell(phi, r)).mean() > 0.2


def test_showers_use_the_fold_for_their_cells() -> None:
    phi, r = sample(500, 3)
    primaries = Particles.gun(pdg=22, energy=1e4, eta=0.2, phi=phi)
    cells = Showers(primaries, hits_at(phi, r), geometry()).cells()
    assert cells.j == pytest.approx(true_cell(phi, r))
    plain = Showers(primaries, hits_at(phi, r), geometry(STRAIGHT)).cells()
    assert plain.j == pytest.approx(np.floor(phi / WIDTH))


def test_without_a_fold_and_in_other_layers_nothing_moves() -> None:
    phi, r = sample(100, 4)
    hits = hits_at(phi, r)
    assert straightened(geometry(STRAIGHT), hits) is hits
    elsewhere = straightened(geometry(), hits_at(phi, r, layer=2))
    assert elsewhere.x == pytest.approx(hits.x, rel=1e-14)


# Without


@pytest.mark.parametrize("source", ["fold", "efficiency"])
def test_random_displacements_give_the_efficiency_of_the_folded_cells(source: str) -> None:
    phi, r = sample(200_000, 5)
    t, eff = efficiency(phi, straight_cell(hits_at(phi, r)) == true_cell(phi, r))
    law = displacement_of_fold(geometry(), 1) if source == "fold" else displacement_of_efficiency(t, eff, WIDTH)
    phi, r = sample(200_000, 6)
    moved = displaced(hits_at(phi, r), {1: law}, index=np.arange(200_000), seed=1)
    _, again = efficiency(phi, straight_cell(moved) == straight_cell(hits_at(phi, r)))
    error = np.sqrt(2 * np.maximum(eff * (1 - eff), 1e-3) / 4000)
    assert (np.abs(again - eff) / error).max() < 4.5  # 50 positions
    assert again.mean() == pytest.approx(eff.mean(), abs=0.004)
    assert eff.min() < 0.5  # of the upper border, which electrodes swing across more often


def test_neighbours_share_as_behind_folded_electrodes() -> None:
    """Hits of narrow showers in the middle of a cell's upper half: how much the upper neighbour gets."""
    rng = np.random.default_rng(7)
    r = rng.uniform(RADII[0], RADII[-1], 50_000)
    phi = WIDTH * (0.80 + 0.05 * rng.standard_normal(50_000))
    shares = [(true_cell(phi, r) == k).mean() for k in (-1, 0, 1)]
    moved = displaced(hits_at(phi, r), {1: displacement_of_fold(geometry(), 1)}, index=np.arange(50_000), seed=2)
    got = [(straight_cell(moved) == k).mean() for k in (-1, 0, 1)]
    assert got == pytest.approx(shares, abs=4 * 0.5 / np.sqrt(25_000))
    flipped = np.floor((phi + fold(r)) / WIDTH)
    assert abs((flipped == 1).mean() - shares[2]) > 0.05


def test_the_efficiency_taken_as_a_density_gives_another_efficiency() -> None:
    """Planted defect: displacements drawn from the normalised efficiency itself, as public code does."""
    phi, r = sample(200_000, 8)
    t, eff = efficiency(phi, straight_cell(hits_at(phi, r)) == true_cell(phi, r))
    rng = np.random.default_rng(9)
    bins = np.searchsorted(np.cumsum(eff) / eff.sum(), rng.random(200_000))
    wrong = np.floor((phi - 0.5 * WIDTH * t[np.minimum(bins, 49)]) / WIDTH)
    _, again = efficiency(phi, wrong == np.floor(phi / WIDTH))
    assert np.abs(again - eff).max() > 0.1


def test_displacements_depend_on_shower_and_seed_alone() -> None:
    phi, r = sample(1000, 10)
    hits, law = hits_at(phi, r), {1: displacement_of_fold(geometry(), 1)}
    whole = displaced(hits, law, index=np.arange(1000), seed=3)
    part = displaced(hits_at(phi[400:], r[400:]), law, index=np.arange(400, 1000), seed=3)
    assert (part.x == whole.x[400:]).all()
    assert (displaced(hits, law, index=np.arange(1000), seed=4).x != whole.x).mean() > 0.9
    assert displaced(hits, {}, index=np.arange(1000), seed=3) is hits


# What is refused


def test_a_fold_needs_two_points_in_order() -> None:
    for wrong in ("[[1500, 0.1]]", "[[1600, 0.1], [1500, 0.2]]", "[[1500, 0.1, 3]]"):
        with pytest.raises(GeometryError, match=r"modulation.fold: expected points \[radius, phi in rad\]"):
            geometry(f"{toys.BARREL}modulation: {{pitch: 0.01, layers: [2], fold: {wrong}}}\n")
    with pytest.raises(InputError, match="declares no `fold`"):
        displacement_of_fold(geometry(STRAIGHT), 1)


def test_an_efficiency_is_a_share_at_positions_in_the_cell() -> None:
    for t, eff in (([-1.2, 0.5], [0.5, 0.5]), ([0.5, -0.5], [0.5, 0.5]), ([-0.5, 0.5], [0.5, 1.5])):
        with pytest.raises(InputError, match="efficiency of cells: expected t from -1 to 1"):
            displacement_of_efficiency(np.array(t), np.array(eff), WIDTH)
