"""Toy full simulation for the tests of comparisons, and ways to spoil it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import toys

from fastparam.geometry.load import load_geometry
from fastparam.summary import choose_binning, summarise_hits

LAW = toys.Law()
ENERGIES = (4000.0, 16000.0)


class ToyDetector:
    """A geometry, its binning, and summaries of toy showers that are made once."""

    def __init__(self, folder: Path, text: str = toys.BARREL, law: toys.Law = LAW):
        path = folder / "geometry.yaml"
        path.write_text(text, encoding="utf-8")
        self.geometry = load_geometry(path)
        self.law = law
        particles, hits = self.showers(50, seed=99)
        self.binning = choose_binning(self.geometry, particles, hits, particles)

    def showers(self, n, seed, law=None, energies=ENERGIES):
        particles = toys.gun(self.geometry, energies=energies, n=n, seed=seed)
        return particles, toys.shower_batch(self.geometry, particles, seed=seed, law=law or self.law, n_spots=200)

    def summary(self, n, seed, law=None, spoil=None, energies=ENERGIES):
        particles, hits = self.showers(n, seed, law, energies)
        return summarise_hits(self.geometry, particles, hits if spoil is None else spoil(hits), self.binning)


def scaled(factor):
    return lambda hits: replace(hits, e=hits.e * factor)


def swapped(a, b):
    """Book the energy of two layers under each other's number."""

    def spoil(hits):
        layer = hits.layer.copy()
        layer[hits.layer == a], layer[hits.layer == b] = b, a
        return replace(hits, layer=layer)

    return spoil


def shuffled_layers(seed):
    """Scale each layer of each shower at random: every layer's mean stays, correlations go."""

    def spoil(hits):
        factors = np.random.default_rng(seed).gamma(20.0, 1 / 20.0, size=(len(hits), int(hits.layer.max()) + 1))
        return replace(hits, e=hits.e * factors[hits.shower, hits.layer])

    return spoil
