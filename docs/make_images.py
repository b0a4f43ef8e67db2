"""Make the pictures of the documentation from the shipped hits: ``python docs/make_images.py``."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

import fastparam as fp
from fastparam.hits import iterate, read_particles
from fastparam.summary import Summary, cell_depths, choose_binning, concatenate, summarise, summarise_hits

mpl.use("Agg")
import matplotlib.pyplot as plt

IMAGES = Path(__file__).parent / "images"

#: Sampled showers per shower of full simulation: their statistical error stays well below that of the reference.
REPEAT = 10

ENERGIES = ((4, "#0072b2"), (16, "#d55e00"), (65, "#009e73"))  # GeV; colours of Okabe and Ito

Floats = npt.NDArray[np.float64]


def showers(name: str, pdg: int) -> tuple[fp.Geometry, Summary, Summary]:
    """Return the geometry, the full simulation of its odd rows, and sampled showers of the same particles.

    The tune that they are sampled from has seen even rows only.
    """
    geometry = fp.load_geometry(name)
    batches = list(iterate(geometry, rows="odd"))
    binning = choose_binning(geometry, batches[0].particles, batches[0].hits, read_particles(geometry))
    full = summarise(geometry, batches, binning)
    full = full.take(full.particles.pdg == pdg)
    tune = fp.tune(name, rows="even")
    sampled = []
    for k in range(REPEAT):
        sample = tune.generate(full.particles.with_index(np.arange(len(full)) + k * len(full)), seed=1)
        sampled.append(summarise_hits(geometry, sample.particles, sample.hits, binning))
    return geometry, full, concatenate(sampled)


def mean_and_error(values: Floats) -> tuple[Floats, Floats]:
    """Return mean and standard error over showers (axis 0)."""
    return values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(values))


def draw(upper: Axes, lower: Axes, edges: Floats, full: Floats, sampled: Floats, colour: str, label: str) -> None:
    """Draw contents per shower and bin (n, k) as densities: points with errors, a line, and their ratio below."""
    width, centre = np.diff(edges), 0.5 * (edges[:-1] + edges[1:])
    reference, error = mean_and_error(full)
    candidate, candidate_error = mean_and_error(sampled)
    upper.errorbar(centre, reference / width, error / width, fmt="o", ms=3.5, color=colour, label=label)
    upper.stairs(candidate / width, edges, color=colour)
    seen = reference > 0.002 * reference.sum()
    ratio = candidate[seen] / reference[seen]
    spread = ratio * np.hypot(error[seen] / reference[seen], candidate_error[seen] / candidate[seen])
    lower.errorbar(centre[seen], ratio, spread, fmt="o", ms=3.5, color=colour)


def first_tune() -> None:
    """Longitudinal and lateral profiles of photons in the accordion, full simulation and tune."""
    geometry, full, sampled = showers("lar_accordion", pdg=22)
    depths = cell_depths(geometry, full.particles, full.binning).mean(axis=0)
    accordion = full.binning.cell_layer > 0  # the presampler has another sampling fraction
    t_edges = np.append(depths[accordion, 0], depths[accordion, 1][-1])
    rings = np.flatnonzero((full.binning.r_edges[1:] > 1.0) & (full.binning.r_edges[1:] < 200.0))
    r_edges = full.binning.r_edges[rings[0] : rings[-1] + 2]

    figure, axes = plt.subplots(
        2, 2, figsize=(9, 5), sharex="col", height_ratios=[3, 1], layout="constrained", squeeze=True
    )
    for energy, colour in ENERGIES:
        a = full.take(np.abs(full.particles.energy / (1000 * energy) - 1) < 0.02)
        b = sampled.take(np.abs(sampled.particles.energy / (1000 * energy) - 1) < 0.02)
        label = f"{energy} GeV"
        draw(axes[0, 0], axes[1, 0], t_edges, a.cell_energy[:, accordion], b.cell_energy[:, accordion], colour, label)
        draw(axes[0, 1], axes[1, 1], r_edges, a.ring_energy[:, rings], b.ring_energy[:, rings], colour, label)
    axes[0, 0].set(ylabel="visible energy  [MeV / $X_0$]", title="along the particle's line")
    axes[0, 1].set(xscale="log", yscale="log", ylabel="visible energy  [MeV / mm]", title="around the particle's line")
    axes[1, 0].set(xlabel="depth  [$X_0$]")
    axes[1, 1].set(xlabel="radius  [mm]")
    for lower in axes[1]:
        lower.axhline(1.0, color="0.6", lw=0.8)
        lower.set(ylabel="tune / full", ylim=(0.75, 1.25))
    axes[0, 0].legend(title="photons: points full\nsimulation, lines tune", frameon=False)
    IMAGES.mkdir(exist_ok=True)
    figure.savefig(IMAGES / "first_tune.png", dpi=150)


if __name__ == "__main__":
    first_tune()
