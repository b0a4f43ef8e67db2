"""Acceptance of rings around inclined and curved layers, against plain geometry."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import handmade
import numpy as np
import pytest
import toys

from fastparam.fit import radial
from fastparam.fit.acceptance import Acceptance, acceptance, entrances, thin
from fastparam.geometry.detector import Geometry
from fastparam.geometry.load import load_geometry
from fastparam.particles import Particles
from fastparam.summary.binning import Binning
from fastparam.summary.points import energy_points
from fastparam.summary.summarise import cell_paths

R_EDGES = np.array([0.0, 1.0, 10.0, 30.0, 60.0, 100.0, 300.0, np.inf])


def geometry(folder: Path, text: str) -> Geometry:
    path = folder / "geometry.yaml"
    path.write_text(text, encoding="utf-8")
    return load_geometry(path)


def accepted(detector: Geometry, particles: Particles, cells: int = 6) -> tuple[Acceptance | None, np.ndarray]:
    """Acceptance with every layer cut into `cells`, and the ends of the cells."""
    thickness = detector.layer_to - detector.layer_from
    binning = Binning("layer", thickness / cells, np.full(detector.n_layers, cells), R_EDGES, 0.0)
    paths = cell_paths(detector, particles, binning)
    return acceptance(detector, particles, binning, paths), paths


def inclined(n: int = 4, angle: float = 0.5) -> Particles:
    return Particles.gun(
        pdg=11, energy=np.full(n, 1e4), position=(0.0, 0.0, -1.0), direction=(np.sin(angle), 0.0, np.cos(angle))
    )


def test_everything_is_seen_straight_on(tmp_path: Path) -> None:
    particles = Particles.gun(pdg=11, energy=np.full(3, 1e4), position=(0, 0, -1), direction=(0, 0, 1))
    assert accepted(geometry(tmp_path, toys.BLOCK), particles)[0] is None


def test_an_inclined_front_cuts_rings_as_a_plane_does(tmp_path: Path) -> None:
    """At the depth s behind the front of a plane, ring r is seen where r cos(phi) tan(angle) < s."""
    angle = 0.5
    found, paths = accepted(geometry(tmp_path, toys.BLOCK), inclined(angle=angle))
    assert found is not None
    s = paths[0, 0, 0] + (paths[0, 0, 1] - paths[0, 0, 0]) * (np.arange(400) + 0.5) / 400 - paths[0, 0, 0]
    for ring, (low, high) in enumerate(pairwise(R_EDGES[1:6]), start=1):
        r = low * (high / low) ** ((np.arange(300) + 0.5) / 300)
        outside = np.arccos(np.clip(s[:, None] / (r * np.tan(angle)), -1.0, 1.0)) / np.pi
        assert found.seen[0, ring] == pytest.approx(1.0 - outside.mean(), abs=0.03)
        # The other side of a plane is its mirror image.
        assert found.lost[0, ring] == pytest.approx(outside.mean(), abs=0.03)
    # The middle of 230 mm is 100 mm away from both ends.
    assert found.seen[11, :4] == pytest.approx(1.0)


def test_rings_are_cut_behind_the_last_layer_of_a_barrel_and_not_mirrored(tmp_path: Path) -> None:
    found, _ = accepted(geometry(tmp_path, toys.BARREL), Particles.gun(pdg=11, energy=[1e4], eta=0.0, phi=0.3))
    assert found is not None
    # At eta = 0, 200 mm aside are 10 mm farther out at a radius of 1960 mm, of the 27 mm of the last cell.
    assert found.seen[-1, -2] < 0.99
    assert found.lost[-1, -2] == 0.0
    assert found.seen[0, -2] == 1.0


def test_a_thin_layer_of_its_own_medium_has_no_depths(tmp_path: Path) -> None:
    text = toys.BARREL.replace(
        "  - {name: strips", "  - {name: presampler, id: 0, from: 1400, to: 1411, material: lAr}\n  - {name: strips"
    )
    detector = geometry(tmp_path, text)
    assert thin(detector).tolist() == [True, False, False, False]
    assert entrances(detector).tolist() == [0, 1, 1, 1]
    found, _ = accepted(detector, Particles.gun(pdg=11, energy=[1e4], eta=0.6, phi=0.0))
    assert found is not None
    assert np.all(found.seen[:6] == 1.0)
    assert found.seen[6, -2] < 0.6  # 27 to 45 mm of depth in strips of 90 mm


def test_plates_of_a_stack_stand_for_their_periods(tmp_path: Path) -> None:
    detector = geometry(tmp_path, toys.PLANAR)
    assert not thin(detector).any()
    assert np.all(entrances(detector) == 0)


def test_the_law_of_a_ring_that_is_cut_comes_back(tmp_path: Path) -> None:
    """Toy rings of one age, half of whose third ring is lost: with the acceptance the radii are those of all spots."""
    rng = np.random.default_rng(3)
    edges = np.append(np.concatenate([[0.0], np.geomspace(0.05, 20.0, 12)]), np.inf)
    energy = np.repeat([4_000.0, 16_000.0, 65_000.0], 40)
    shower = np.repeat(np.arange(120), 900)
    tau = rng.uniform(0.1, 3.0, len(shower))
    core, tail, weight = radial.evaluate(_law(), tau, np.zeros(len(tau)))
    width = np.where(rng.random(len(tau)) < weight, core, tail)
    q = rng.random(len(tau)) * 400.0 / (400.0 + width**2)
    ring = np.searchsorted(edges, width * np.sqrt(q / (1.0 - q)), side="right") - 1
    kept = ~((ring >= 6) & (rng.random(len(ring)) < 0.5))
    seen = np.where(np.arange(13) >= 6, 0.5, 1.0)[None, :]
    cell = np.zeros(int(kept.sum()), dtype=np.int64)
    found = Acceptance(seen, np.zeros_like(seen), np.zeros(1, dtype=np.int64))
    fits = [
        radial.fit(
            radial.RadialData(
                shower[kept], tau[kept], ring[kept], np.ones(int(kept.sum())), edges, energy_points(energy), energy,
                cell, acceptance=a,
            ),
            "smooth",
        )
        for a in (found, None)
    ]  # fmt: skip
    name = "ln_tail_c0"
    with_, without = ((f[name] - _law()[name]) / f.errors[f.names.index(name)] for f in fits)
    assert abs(with_) < 3.5
    assert without < -5


def _law() -> radial.Fit:
    values = (-2.0, 1.0, 0, 0, 0, 0, 0.0, 0.3, 0, 0, 0, 0, 0.8, -0.3, 0, 0, 0, 0)
    return handmade.component(radial.LAWS["smooth"].names, values, law="smooth")
