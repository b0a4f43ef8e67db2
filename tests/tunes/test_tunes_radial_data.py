"""Ages of what a shower leaves at a depth: its T is known as well as its depth cells tell, and no better."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import toys

from fastparam.fit import longitudinal, radial
from fastparam.fit.longitudinal import ShowerFits
from fastparam.fit.profiles import NODE_WEIGHTS
from fastparam.geometry.load import load_geometry
from fastparam.summary.binning import choose_binning
from fastparam.summary.points import energy_points
from fastparam.summary.summarise import summarise_hits
from fastparam.tunes.fitting import profiles_of, radial_data

#: Few deposits: each shower's own ln T has an error of 0.09.
SHOWERS, SPOTS = 700, 30
AGES = np.array([1.0, 1.5, 2.0, 2.5])


def holding_most(core: np.ndarray, tail: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Radius that holds 90 % of the profile."""
    r2 = np.geomspace(1e-3, radial.MAX_RADIUS, 4000) ** 2
    return np.array([np.sqrt(np.interp(0.9, row, r2)) for row in radial.cumulative(core, tail, p, r2)])


def surely(shapes: ShowerFits, theta: np.ndarray) -> ShowerFits:
    """The same showers, as if `theta` were known without error."""
    return replace(shapes, theta=theta, nodes=np.repeat(theta[:, None], len(NODE_WEIGHTS), axis=1))


def test_radii_of_showers_of_few_deposits_are_those_at_their_true_ages(tmp_path: Path) -> None:
    path = tmp_path / "block.yaml"
    path.write_text(toys.BLOCK, encoding="utf-8")
    geometry = load_geometry(path)
    particles = toys.gun(geometry, pdg=11, energies=(4_000.0, 16_000.0), n=SHOWERS, seed=3)
    hits = toys.shower_batch(geometry, particles, seed=3, n_spots=SPOTS)
    summary = summarise_hits(geometry, particles, hits, choose_binning(geometry, particles, hits, particles))
    profiles = profiles_of(geometry, summary)
    _, shapes = longitudinal.shower_fits(profiles, energy_points(particles.energy))
    true = np.log(np.column_stack(toys.true_shapes(geometry, particles, seed=3)))
    fitted, most_likely, known = (
        holding_most(
            *radial.evaluate(
                radial.fit(radial_data(geometry, summary, s, profiles.depths), "smooth"), AGES, np.zeros(len(AGES))
            )
        )
        for s in (shapes, surely(shapes, shapes.theta), surely(shapes, true))
    )
    # The same spots in all three: only what is known of T differs. At its most likely value the law is smeared.
    assert abs((fitted / known).mean() - 1.0) < 0.01
    assert (most_likely / known).mean() - 1.0 > 0.015
