"""The network that ships for comparisons: both files are one network, and it makes photon showers of the accordion."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import fastparam as fp
from fastparam.errors import OutOfDomainError
from fastparam.hits import iterate

pytest.importorskip("onnxruntime")

FOLDER = Path(__file__).parents[2] / "tuning" / "gan"


def photons(energy: float, n: int) -> fp.Particles:
    return fp.Particles.gun(pdg=22, energy=energy, eta=0.22, phi=0.01, n=n)


def test_onnx_and_lwtnn_files_hold_the_same_network() -> None:
    primaries = photons(16_000.0, 50)
    onnx = fp.load(FOLDER / "gan.onnx").generate(primaries, seed=1).voxels()
    lwtnn = fp.load(FOLDER / "gan_lwtnn.json.gz").generate(primaries, seed=1).voxels()
    # Single against double precision, numbers of seven digits: 1e-5 of the largest voxels.
    assert lwtnn == pytest.approx(onnx, abs=1e-5 * onnx.max())


@pytest.mark.parametrize("energy", [4000.0, 16_000.0])
def test_it_makes_the_visible_energy_of_full_simulation(energy: float) -> None:
    """Showers that it was not trained on; its own bias is up to 3 %, an energy scale of 10 % would show."""
    visible = []
    for batch in iterate(fp.load_geometry("lar_accordion")):
        own = (batch.particles.pdg == 22) & (np.abs(batch.particles.energy / energy - 1) < 0.02)
        visible.append(np.bincount(batch.hits.shower, batch.hits.e, len(batch.particles))[own])
    full = np.concatenate(visible)
    made = fp.load(FOLDER / "gan.onnx").generate(photons(energy, 1000), seed=2).visible
    error = np.hypot(full.std() / np.sqrt(len(full)), made.std() / np.sqrt(len(made))) / full.mean()
    assert made.mean() / full.mean() == pytest.approx(1.0, abs=0.03 + 4 * error)
    assert made.mean() * 1.1 / full.mean() != pytest.approx(1.0, abs=0.03 + 4 * error)


def test_energies_it_never_saw_are_refused() -> None:
    with pytest.raises(OutOfDomainError, match="99000"):
        fp.load(FOLDER / "gan.onnx").generate(photons(99_000.0, 1), seed=1)


def test_files_are_small_and_the_chosen_checkpoint_is_the_best_of_the_log() -> None:
    assert all(path.stat().st_size < 3e6 for path in FOLDER.iterdir())
    log = list(csv.DictReader((FOLDER / "training_log.csv").read_text(encoding="utf-8").splitlines()))
    late = {int(row["step"]): float(row["chi2_ndf"]) for row in log if int(row["step"]) >= 12_000}
    assert min(late, key=late.__getitem__) == 13_250
