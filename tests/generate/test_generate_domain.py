"""Where a tune may be used: section 5 of the design, limit by limit, from both sides."""

from __future__ import annotations

import re
import warnings

import handmade
import numpy as np
import pytest

from fastparam.errors import FastparamWarning, OutOfDomainError
from fastparam.generate import TunedGenerator
from fastparam.generate.domain import describe, plan
from fastparam.particles import Particles


def barrel(*parts: dict) -> TunedGenerator:
    geometry = handmade.detector("barrel")
    return TunedGenerator(handmade.tune(geometry, *(handmade.part(geometry, **laws) for laws in parts)))


def planar(**laws: object) -> TunedGenerator:
    geometry = handmade.detector("planar")
    return TunedGenerator(handmade.tune(geometry, handmade.part(geometry, **laws)))


def straight(**particle: object) -> Particles:
    return Particles.gun(**({"pdg": 22, "energy": 10_000.0, "direction": (0, 0, 1)} | particle))


def inclined(degrees: float, **particle: object) -> Particles:
    angle = np.deg2rad(degrees)
    return straight(direction=(np.sin(angle), 0, np.cos(angle)), **particle)


# Energy


@pytest.mark.parametrize("energy", [990.0, 1000.0, 100_000.0, 101_000.0])
def test_energies_are_widened_by_a_hundredth(energy: float) -> None:
    assert len(planar().generate(straight(energy=energy), seed=1)) == 1


@pytest.mark.parametrize("energy", [989.9, 101_001.0])
def test_other_energies_are_refused_with_row_and_limits(energy: float) -> None:
    particles = straight(energy=[5000.0, energy, 5000.0, energy])
    message = (
        f"particle 1: kinetic energy {energy:g} MeV is outside 990 to 101000 MeV, the range tuned for the photon"
        r" \(2 of 4 particles\)"
    )
    with pytest.raises(OutOfDomainError, match=message):
        planar().generate(particles, seed=1)


def test_a_batch_of_many_names_the_particle_by_its_number() -> None:
    with pytest.raises(OutOfDomainError, match="particle 71: kinetic energy 1 MeV"):
        planar().generate(straight(energy=[5000.0, 1.0]).with_index([70, 71]), seed=1)


def test_the_range_of_energies_is_that_of_the_slice() -> None:
    generator = barrel({"eta": (0.2, 0.25)}, {"eta": (0.4, 0.45), "energy_range": (1000.0, 20_000.0)})
    high = {"pdg": 22, "energy": 50_000.0}
    assert len(generator.generate(Particles.gun(**high, eta=0.22), seed=1)) == 1
    for eta in (0.42, 0.3):  # a gap needs both of its neighbours
        with pytest.raises(OutOfDomainError, match=r"outside 990 to 20200 MeV, .* photon at eta 0\.4 to 0\.45"):
            generator.generate(Particles.gun(**high, eta=eta), seed=1)


# Eta


@pytest.mark.parametrize("eta", [0.195, 0.2, 0.25, 0.32, 0.45, 0.455])
def test_eta_is_widened_by_a_tenth_of_a_slice(eta: float) -> None:
    generator = barrel({"eta": (0.2, 0.25)}, {"eta": (0.4, 0.45)})
    inwards = np.clip(eta, 0.195 + 1e-9, 0.455 - 1e-9)
    assert len(generator.generate(Particles.gun(pdg=22, energy=5000.0, eta=inwards), seed=1)) == 1


@pytest.mark.parametrize("eta", [0.1949, 0.4551, 0.0, -0.1949, -0.4551])
def test_other_directions_are_refused_with_row_and_limits(eta: float) -> None:
    generator = barrel({"eta": (0.2, 0.25)}, {"eta": (0.4, 0.45)})
    message = (
        rf"particle 2: eta {eta:.4g} is outside 0\.195 to 0\.455 \(of either sign\), the range tuned for the photon"
        r" \(1 of 3 part"
    )
    with pytest.raises(OutOfDomainError, match=message):
        generator.generate(Particles.gun(pdg=22, energy=5000.0, eta=[0.22, 0.41, eta]), seed=1)


@pytest.mark.parametrize(
    ("eta", "lower", "upper", "weight"),
    [
        (0.2, 0, 0, 0.0),
        (0.225, 0, 0, 0.0),
        (0.25, 0, 1, 0.125),
        (0.325, 0, 1, 0.5),
        (0.4, 0, 1, 0.875),
        (0.44, 1, 1, 0.0),
    ],
)
def test_everything_is_linear_in_eta_from_the_middle_of_a_slice_to_that_of_the_next(
    eta: float, lower: int, upper: int, weight: float
) -> None:
    tune = barrel({"eta": (0.2, 0.25)}, {"eta": (0.4, 0.45)}).tune
    found = plan(tune, Particles.gun(pdg=22, energy=5000.0, eta=eta))
    assert (found.lower[0], found.upper[0]) == (lower, upper)
    assert found.weight[0] == pytest.approx(weight, abs=1e-9)


def test_nothing_jumps_at_the_edge_of_neighbouring_slices() -> None:
    tune = barrel({"eta": (0.2, 0.25)}, {"eta": (0.25, 0.3)}).tune
    found = plan(tune, Particles.gun(pdg=22, energy=5000.0, eta=np.linspace(0.196, 0.304, 109)))
    place = found.lower + found.weight
    assert np.abs(np.diff(place)).max() < 0.001 / 0.05 * 1.01
    assert (place[0], place[-1]) == (0.0, 1.0)


def test_the_mean_response_between_two_slices_is_linear() -> None:
    narrow = {"width": 1e-12, "spots": 5.0}
    generator = barrel({"eta": (0.2, 0.25), "visible": 0.05} | narrow, {"eta": (0.4, 0.45), "visible": 0.11} | narrow)
    eta = [0.22, 0.275, 0.325, 0.375, 0.43]
    visible = generator.generate(Particles.gun(pdg=22, energy=5000.0, eta=eta), seed=1).visible
    assert visible / 5000.0 == pytest.approx([0.05, 0.065, 0.08, 0.095, 0.11], rel=1e-9)


def test_any_azimuth_will_do() -> None:
    generator = barrel({"eta": (0.2, 0.25)})
    particles = Particles.gun(pdg=22, energy=5000.0, eta=0.22, phi=np.linspace(-10, 10, 21))
    assert len(generator.generate(particles, seed=1)) == 21


# Angle


def test_inclined_showers_beyond_the_samples_are_told_once_and_made() -> None:
    particles = Particles.concatenate([straight(n=3), inclined(50, n=2)])
    with pytest.warns(FastparamWarning) as told:
        showers = planar(max_angle=np.deg2rad(10)).generate(particles, seed=1)
    assert [str(w.message) for w in told] == [
        "2 of 5 particles are inclined by up to 50.0 degrees; the samples of the tune reach 10.0 degrees, so these"
        " showers are extrapolated along their lines"
    ]
    assert len(showers) == 5


def test_directions_of_the_samples_are_no_extrapolation() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(planar(max_angle=np.deg2rad(30)).generate(inclined(30.5, n=2), seed=1)) == 2


def test_there_is_a_largest_angle() -> None:
    particles = Particles.concatenate([straight(n=5000), inclined(60.1).with_index([5000])])
    with pytest.raises(OutOfDomainError, match=r"particle 5000 \(.*larger than 60 degrees.*\(1 of 5001 particles\)"):
        planar().generate(particles, seed=1)


def test_lines_that_start_inside_or_miss_the_detector_are_refused_by_row() -> None:
    with pytest.raises(OutOfDomainError, match=r"particle 1 .*it starts behind the face of the first declared layer"):
        planar().generate(straight(position=[(0, 0, 0), (0, 0, 5)]), seed=1)
    with pytest.raises(OutOfDomainError, match=r"particle 0 .*its line is parallel to the axis"):
        barrel({"eta": (0.2, 0.25)}).generate(Particles.gun(pdg=22, energy=5000.0, direction=(0, 0, 1)), seed=1)


# Particles


def test_antiparticles_are_served_by_their_particle() -> None:
    geometry = handmade.detector("planar")
    electron, photon = (handmade.part(geometry, pdg=p, visible=v, width=1e-12) for p, v in ((11, 0.05), (22, 0.06)))
    generator = TunedGenerator(handmade.tune(geometry, electron, photon))
    visible = generator.generate(straight(pdg=-11, n=2), seed=1).visible
    assert visible == pytest.approx([500.0, 500.0])
    assert generator.generate(straight(pdg=22), seed=1).visible == pytest.approx([600.0])


def test_a_tune_of_its_own_comes_before_that_of_the_antiparticle() -> None:
    geometry = handmade.detector("planar")
    parts = (handmade.part(geometry, pdg=p, visible=v, width=1e-12) for p, v in ((-11, 0.05), (11, 0.06)))
    generator = TunedGenerator(handmade.tune(geometry, *parts))
    visible = generator.generate(Particles.concatenate([straight(pdg=11), straight(pdg=-11)]), seed=1).visible
    assert visible == pytest.approx([600.0, 500.0])


def test_other_particles_are_refused_and_what_to_do_is_said() -> None:
    particles = Particles.concatenate([straight(), straight(pdg=211).with_index([1])])
    with pytest.raises(OutOfDomainError) as error:
        planar().generate(particles, seed=1)
    assert re.match(r"particle 1: the tune has no pi\+ \(211\).*it knows photon \(22\)", str(error.value))
    assert "--as-pdg" in str(error.value)


def test_other_particles_can_be_sampled_as_one_that_is_known() -> None:
    geometry = handmade.detector("planar")
    generator = TunedGenerator(handmade.tune(geometry), as_pdg=22)
    showers = generator.generate(straight(pdg=211, n=3), seed=1)
    as_photons = TunedGenerator(handmade.tune(geometry)).generate(straight(n=3), seed=1)
    assert list(showers.particles.pdg) == [211, 211, 211]
    assert np.array_equal(showers.hits.x, as_photons.hits.x)


def test_the_domain_is_told_as_data() -> None:
    (entry,) = describe(planar(max_angle=0.1).tune)
    assert entry == {
        "pdg": 22,
        "energy": [990.0, 101_000.0],
        "eta": None,
        "mirrored": False,
        "max_angle_supported": 0.1,
        "emits": "hits",
    }
    assert [e["eta"] for e in barrel({"eta": (0.2, 0.25)}, {"eta": (0.4, 0.45)}).domain] == [[0.2, 0.25], [0.4, 0.45]]


@pytest.mark.parametrize("eta", [(0.0, 0.05), (0.2, 0.25)])
def test_a_barrel_tuned_on_one_side_serves_both(eta: tuple[float, float]) -> None:
    assert barrel({"eta": eta}).domain[0]["mirrored"]
    assert not barrel({"eta": (-0.25, -0.2)}, {"eta": (0.2, 0.25)}).domain[0]["mirrored"]
