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
REPEAT = 20

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


def per_energy(energy: Floats, contents: Floats, edges: Floats) -> tuple[Floats, Floats]:
    """Return mean and standard error over showers of the density of `contents` (n, k) in per cent of `energy` (n,)."""
    density = 100.0 * contents / energy[:, None] / np.diff(edges)
    return density.mean(axis=0), density.std(axis=0, ddof=1) / np.sqrt(len(density))


def draw(upper: Axes, lower: Axes, edges: Floats, full: tuple[Floats, Floats], tune: tuple[Floats, Floats],
         least: float, **style: str) -> None:  # fmt: skip
    """Draw densities with errors: points (full simulation), lines (tune), and below their ratio from `least` up."""
    centre = 0.5 * (edges[:-1] + edges[1:])
    (reference, error), (candidate, candidate_error) = full, tune
    upper.errorbar(centre, reference, error, fmt="o", ms=3.5, **style)
    upper.stairs(candidate, edges, color=style["color"])
    seen = reference > least * reference.max()
    ratio = candidate[seen] / reference[seen]
    spread = ratio * np.hypot(error[seen] / reference[seen], candidate_error[seen] / candidate[seen])
    lower.errorbar(centre[seen], ratio, spread, fmt="o", ms=3.5, color=style["color"])


def first_tune() -> None:
    """Longitudinal and lateral profiles of electrons in the silicon / tungsten stack, full simulation and tune."""
    # Electrons: showers of photons start late and early, and so few of them scatter widely around their mean.
    geometry, full, sampled = showers("siw", pdg=11)
    # Bins of two periods, 1.2 X0; rings three bins wide and not finer than the cells that stored hits were merged in.
    cells = np.arange(0, geometry.n_layers, 2)
    depths = cell_depths(geometry, full.particles, full.binning).mean(axis=0)
    t_edges = np.append(depths[cells, 0], depths[-1, 1])
    bins = np.flatnonzero((full.binning.r_edges > 2.0) & (full.binning.r_edges < 100.0))[::3]
    r_edges = full.binning.r_edges[bins]

    figure, axes = plt.subplots(2, 2, figsize=(9, 5), sharex="col", height_ratios=[3, 1], layout="constrained")
    for energy, colour in ENERGIES:
        along, around = [], []
        for summary in (full, sampled):
            s = summary.take(np.abs(summary.particles.energy / (1000 * energy) - 1) < 0.02)
            e = s.particles.energy
            along.append(per_energy(e, np.add.reduceat(s.cell_energy, cells, axis=1), t_edges))
            around.append(per_energy(e, np.add.reduceat(s.ring_energy, bins, axis=1)[:, :-1], r_edges))
        draw(axes[0, 0], axes[1, 0], t_edges, *along, least=0.1, color=colour, label=f"{energy} GeV")
        draw(axes[0, 1], axes[1, 1], r_edges, *around, least=0.0, color=colour)
    axes[0, 0].set(ylabel="visible energy  [% of E per $X_0$]", title="along the particle's line")
    axes[0, 1].set(
        xscale="log", yscale="log", ylabel="visible energy  [% of E per mm]", title="around the particle's line"
    )
    axes[1, 0].set(xlabel="depth  [$X_0$]", ylabel="tune / full", ylim=(0.7, 1.3))
    axes[1, 1].set(xlabel="radius  [mm]", ylabel="tune / full", ylim=(0.7, 1.3))
    for lower in axes[1]:
        lower.axhline(1.0, color="0.6", lw=0.8)
    axes[0, 0].legend(title="points: full simulation\nlines: tune", frameon=False)
    IMAGES.mkdir(exist_ok=True)
    figure.savefig(IMAGES / "first_tune.png", dpi=150)


if __name__ == "__main__":
    first_tune()
