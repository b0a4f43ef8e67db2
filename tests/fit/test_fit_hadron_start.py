"""Start of hadron showers: the rule, counted by hand, and its laws, against toys and real pions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from fastparam.errors import FitError
from fastparam.fit import hadron_start
from fastparam.geometry.ionisation import mip_energy
from fastparam.geometry.load import load_geometry, parse_geometry
from fastparam.summary import summarise_sample
from fastparam.summary.points import energy_points
from fastparam.summary.shower_start import last_start, shower_start

FEHCAL = load_geometry("fehcal")
ACCORDION = load_geometry("lar_accordion")


# Minimum-ionising particles


def test_a_plate_shows_its_minimum_of_dedx_times_its_thickness() -> None:
    # polystyrene: 1.936 MeV cm2/g (Review of Particle Physics) x 1.06 g/cm3 x 0.5 cm
    assert mip_energy(FEHCAL) == pytest.approx(np.full(60, 1.936 * 1.06 * 0.5), rel=0.02)
    # silicon: 1.664 x 2.329 x 0.05 cm
    assert mip_energy(load_geometry("siw")) == pytest.approx(np.full(45, 1.664 * 2.329 * 0.05), rel=0.02)


def test_of_an_accordion_only_the_argon_shows() -> None:
    """Argon fills 4.185 of 6.66 mm; its presampler is 11 mm of pure argon."""
    argon = 1.508 * 1.396
    expected = [1.1 * argon, *(0.1 * d * 4.185 / 6.66 * argon for d in (92.0, 308.0, 60.0))]
    assert mip_energy(ACCORDION) == pytest.approx(expected, rel=0.02)


def test_a_crystal_shows_all_of_itself() -> None:
    assert mip_energy(load_geometry("pbwo4")).sum() == pytest.approx(1.229 * 8.28 * 23.0, rel=0.02)


# The rule


def shower(*in_mips: float) -> np.ndarray:
    energies = np.zeros(60)
    energies[: len(in_mips)] = in_mips
    return energies * mip_energy(FEHCAL)[0]


@pytest.mark.parametrize(
    ("in_mips", "start"),
    [
        ((1, 1, 4, 5, 6, 1), 2),
        ((4, 4, 4), 0),
        ((4, 4, 2.9, 4, 4, 4), 3),  # two layers are not enough
        ((1, 1, 1, 9, 9, 1), -1),
        ((1,) * 60, -1),
        ((1,) * 57 + (4, 4, 4), 57),
        ((1,) * 58 + (4, 4), -1),
        ((), -1),
    ],
)
def test_a_shower_starts_with_three_layers_of_more_than_three_particles(in_mips: tuple, start: int) -> None:
    assert shower_start(shower(*in_mips)[None, :], FEHCAL) == [start]
    assert start <= last_start(FEHCAL)


def test_where_layers_are_few_a_shower_leaves_more_than_150_mev_in_the_accordion() -> None:
    shares = np.array([0.02, 0.2, 0.65, 0.13])
    # 2.4 minimum-ionising particles: within 2 % of 150 MeV
    starts = shower_start(np.array([147.0, 154.0])[:, None] * shares, ACCORDION)
    assert starts[0] == -1
    assert starts[1] >= 0
    deep = np.array([[2.0, 13.0, 400.0, 40.0]])
    assert shower_start(deep, ACCORDION) == [2]


# The laws


def toy(rng: np.random.Generator, n: int, *, length: float = 250.0) -> tuple[np.ndarray, np.ndarray]:
    """Energies in MeV and layer energies: 1 particle per layer, 10 from the start on; 20 % at 2 GeV never start."""
    energy = np.array([2000.0, 8000.0, 32_000.0])[rng.integers(0, 3, n)]
    start = np.floor(rng.exponential(length, n) / 25.0).astype(int)
    none = (rng.random(n) < np.where(energy < 3000.0, 0.2, 0.02)) | (start > 57)
    layers = np.full((n, 60), 1.1)
    layers[np.arange(60)[None, :] >= np.where(none, 99, start)[:, None]] = 10.0
    return energy, layers * mip_energy(FEHCAL)[0]


def test_fraction_and_length_come_back_within_their_errors() -> None:
    """Pulls over 30 samples; a start behind the last possible layer counts as none."""
    rng = np.random.default_rng(1)
    pulls, p_values = [], []
    for _ in range(30):
        energy, layers = toy(rng, 600)
        law = hadron_start.fit(FEHCAL, energy, layers, energy_points(energy))
        assert law.valid
        pulls.append((law["lambda0"] - np.log(250.0)) / law.errors[law.names.index("lambda0")])
        p_values.append(law.p_value)
        none = hadron_start.no_start_probability(law, np.array([2000.0]))[0]
        assert none == pytest.approx(0.2, abs=5 * np.sqrt(0.2 * 0.8 / 200))
    assert abs(np.mean(pulls)) < 3 / np.sqrt(30)
    assert 0.65 < np.std(pulls) < 1.4
    assert stats.kstest(p_values, "uniform").pvalue > 1e-3


def test_a_length_that_is_wrong_by_a_fifth_shows() -> None:
    rng = np.random.default_rng(2)
    energy, layers = toy(rng, 2000, length=200.0)
    law = hadron_start.fit(FEHCAL, energy, layers, energy_points(energy))
    assert (np.log(250.0) - law["lambda0"]) / law.errors[law.names.index("lambda0")] > 4


def test_starts_that_are_no_exponential_show_in_chi2() -> None:
    rng = np.random.default_rng(3)
    energy, layers = toy(rng, 1500)
    layers[::4] = np.roll(layers[::4], 12, axis=1)
    layers[::4, :12] = 1.1 * mip_energy(FEHCAL)[0]
    assert hadron_start.fit(FEHCAL, energy, layers, energy_points(energy)).p_value < 1e-6


def test_probabilities_add_up_and_follow_the_law() -> None:
    rng = np.random.default_rng(4)
    energy, layers = toy(rng, 3000)
    law = hadron_start.fit(FEHCAL, energy, layers, energy_points(energy))
    shares = hadron_start.start_probabilities(law, np.array([2000.0, 32_000.0]))
    assert shares.sum(axis=1) == pytest.approx([1.0, 1.0], abs=1e-12)
    assert (shares[:, 58:] == 0).all()
    length = np.exp(law["lambda0"] + law["lambda1"] * np.log(0.2))
    assert shares[0, 2] / shares[0, 1] == pytest.approx(np.exp(-25.0 / length), rel=1e-9)


def test_too_few_showers_are_refused() -> None:
    energy = np.full(100, 5000.0)
    with pytest.raises(FitError, match="start: 0 of 100 particles start a shower; at least 30 are needed"):
        hadron_start.fit(FEHCAL, energy, np.full((100, 60), 1.0), energy_points(energy))


# Real pions


def test_pions_of_the_hadron_calorimeter_start_within_an_interaction_length() -> None:
    """The shipped sample; pions in iron: 160.8 g/cm2 (Review of Particle Physics), in polystyrene 105.5: 243 mm."""
    showers = summarise_sample(FEHCAL)
    law = hadron_start.fit(
        FEHCAL, showers.particles.energy, showers.layer_energy, energy_points(showers.particles.energy)
    )
    assert law.p_value > 1e-3
    expected = 25.0 / (2.0 * 7.874 / 160.8 + 0.5 * 1.06 / 105.5)
    error = law.errors[law.names.index("lambda0")]
    assert error < 0.1
    assert abs(law["lambda0"] - np.log(expected)) < 3 * error
    none = hadron_start.no_start_probability(law, np.array([1865.0, 16_000.0]))
    assert 0.2 < none[0] < 0.6
    assert none[1] < 0.02


def test_pions_of_the_accordion_pass_in_a_quarter_of_all_cases() -> None:
    everything = summarise_sample(ACCORDION)
    pions = everything.take(everything.particles.pdg == 211)
    law = hadron_start.fit(ACCORDION, pions.particles.energy, pions.layer_energy, energy_points(pions.particles.energy))
    assert set(law.names) <= {"none0", "none1", "none2"}
    fraction = (pions.visible < 150.0).mean()
    assert hadron_start.no_start_probability(law, pions.particles.energy).mean() == pytest.approx(fraction, abs=0.02)
    assert fraction == pytest.approx(0.28, abs=0.1)


def test_a_planar_toy_of_few_layers_has_the_fraction_alone(tmp_path: Path) -> None:
    text = "name: few\nframe: planar\nlayers:\n  - {id: 3, from: 0, to: 100, material: polystyrene}\n"
    few = parse_geometry(text, tmp_path / "few.yaml")
    energy = np.full(400, 5000.0)
    left = np.where(np.arange(400) % 4 == 0, 20.0, 500.0)[:, None]
    law = hadron_start.fit(few, energy, left, energy_points(energy))
    assert hadron_start.no_start_probability(law, energy[:1])[0] == pytest.approx(0.25, abs=0.01)
    assert law.settings["depth"] == []
