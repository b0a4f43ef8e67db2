"""Which showers are compared with which."""

import numpy as np
import pytest

from fastparam.comparison.points import Point, find_points, require_same_energies
from fastparam.errors import InputError
from fastparam.particles import Particles


def gun(energy, pdg=22, eta=0.2):
    return Particles.gun(pdg=pdg, energy=energy, eta=eta)


def test_repeated_energies_are_points_by_particle_and_energy():
    particles = Particles.concatenate(
        [gun(np.tile([65e3, 4e3], 20), pdg=11), gun(np.full(15, 8e3)), gun(np.full(12, 8e3), pdg=-11)]
    )
    points, left_out = find_points(particles)
    assert [(p.pdg, p.label) for p in points] == [(11, "4 GeV"), (11, "65 GeV"), (-11, "8 GeV"), (22, "8 GeV")]
    assert [int(p.select(particles).sum()) for p in points] == [20, 20, 12, 15]
    assert left_out == ()


def test_kinetic_energies_of_equal_momenta_stored_in_single_precision_are_one_point():
    kinetic = np.hypot(4000.0, 0.511) - 0.511
    points, _ = find_points(gun(np.array([kinetic, np.float32(kinetic)] * 10, dtype=float), pdg=11))
    assert len(points) == 1
    assert points[0].select(gun([kinetic, 4200.0], pdg=11)).tolist() == [True, False]


def test_a_continuous_spectrum_is_cut_into_slices_of_at_least_fifty_showers():
    particles = gun(np.exp(np.random.default_rng(1).uniform(np.log(1e3), np.log(1e5), 700)))
    points, left_out = find_points(particles)
    counts = [int(p.select(particles).sum()) for p in points]
    assert all(p.continuous for p in points)
    assert min(counts) >= 50
    assert sum(counts) == 700
    assert left_out == ()
    assert points[0].label == f"{points[0].low / 1000:.3g}–{points[0].high / 1000:.3g} GeV"


def test_energies_of_few_showers_are_listed_as_left_out():
    points, left_out = find_points(gun(np.repeat([4e3, 8e3], [30, 9])))
    assert len(points) == 1
    assert left_out == ("photon at 8 GeV: 9 showers, fewer than 10",)


def test_slices_in_eta_are_compared_apart():
    particles = Particles.gun(pdg=22, energy=4e3, eta=np.repeat([0.22, 0.42, 0.7], 20))
    points, _ = find_points(particles, slices=[(0.2, 0.25), (0.4, 0.45)])
    assert [p.group for p in points] == ["photon, eta 0.2–0.25", "photon, eta 0.4–0.45"]
    assert [int(p.select(particles).sum()) for p in points] == [20, 20]


class TestOtherEnergies:
    point = Point(22, 8e3, 6e3, 1e4, continuous=True)
    reference = gun(np.linspace(6e3, 1e4, 100))

    def test_the_same_spectrum_is_accepted(self):
        require_same_energies(self.point, self.reference, gun(np.linspace(6e3, 1e4, 500)), "tune")

    def test_too_few_showers_are_refused(self):
        with pytest.raises(InputError, match=r"candidate 'tune' has 3 showers of photon at 6–10 GeV.*--like REFERENCE"):
            require_same_energies(self.point, self.reference, gun([8e3] * 3), "tune")

    def test_another_spectrum_is_refused(self):
        with pytest.raises(InputError, match=r"spectra differ"):
            require_same_energies(self.point, self.reference, gun(np.linspace(8e3, 1e4, 500)), "tune")
