"""Stored showers, lent to other particles: which ones, and that they keep what is theirs."""

from __future__ import annotations

import numpy as np
import pytest
import toys

from fastparam.errors import FitError, InputError, UsageError
from fastparam.fit import library
from fastparam.generate import load
from fastparam.generate.donors import Donors, Nearness, lend
from fastparam.generate.replay import Replay
from fastparam.generate.tuned import TunedGenerator
from fastparam.geometry.load import load_geometry
from fastparam.hits.batches import iterate
from fastparam.particles import Particles
from fastparam.showers import Showers
from fastparam.showers.local import local_hits
from fastparam.summary.sample import summarise_sample
from fastparam.tunes.fitting import fit_tune
from fastparam.tunes.recipe import load_recipe

EVEN = Nearness(at_least=8, phi_width=0.05, eta_width=0.02, rotate=False)


@pytest.fixture(scope="module", params=["PLANAR", "BARREL"])
def sample(request, tmp_path_factory):
    """Toys at 4, 16 and 65 GeV, as a file and in memory."""
    path = toys.write_detector(tmp_path_factory.mktemp("toy"), getattr(toys, request.param), n=40, n_spots=60)
    geometry = load_geometry(path)
    (batch,) = iterate(geometry)
    return geometry, batch


@pytest.fixture(scope="module")
def tuned(sample):
    geometry, _ = sample
    eta = [(0.2, 0.25)] if geometry.frame == "barrel" else None
    summary = summarise_sample(geometry, keep_hits=True)
    return TunedGenerator(fit_tune(geometry, summary, load_recipe("library"), slices=eta, quiet=True))


def points(energy, *, eta=0.0, phi=0.0):
    """Donors of one deposit each, whose energy tells them apart."""
    m = len(energy)
    return Donors.build(
        np.asarray(energy, dtype=np.float64), np.arange(m + 1), eta=np.broadcast_to(eta, m) + np.zeros(m),
        phi=np.broadcast_to(phi, m) + np.zeros(m), layer=np.zeros(m, dtype=np.int16),
        d1=np.full(m, 3.0, dtype=np.float32), d2=np.full(m, 4.0, dtype=np.float32),
        share=np.full(m, 0.5, dtype=np.float32), e=np.arange(m, dtype=np.float32) + 1,
        central=np.zeros(1, dtype=bool),
    )  # fmt: skip


def one_layer(tmp_path, text="frame: planar\nlayers: [{id: 0, from: 0, to: 10, material: Si}]\n"):
    path = tmp_path / "one.yaml"
    path.write_text(f"name: one\n{text}")
    return load_geometry(path)


class TestNearest:
    def test_showers_of_the_nearest_energy_are_lent_evenly_and_scaled(self, tmp_path):
        """120 donors at 4 GeV and 120 at 8; particles of 5 GeV get those of 4, each as often as any other."""
        donors = points(np.repeat([4000.0, 8000.0], 120))
        particles = Particles.gun(pdg=22, energy=5000.0, n=24_000, direction=(0, 0, 1))
        hits = lend(donors, one_layer(tmp_path), particles, EVEN, 1)
        chosen = np.round(hits.e / 1.25).astype(int)
        assert hits.e / 1.25 == pytest.approx(chosen, rel=1e-6)
        counts = np.bincount(chosen, minlength=241)[1:]
        assert counts[120:].sum() == 0
        expected = 24_000 / 120
        assert ((counts[:120] - expected) ** 2 / expected).sum() < 170  # 0.1 % of chi2 with 119 degrees of freedom

    def test_few_showers_at_an_energy_are_not_mixed_with_those_of_another(self, tmp_path):
        donors = points(np.repeat([4000.0, 8000.0], 3))
        particles = Particles.gun(pdg=22, energy=4000.0, n=100, direction=(0, 0, 1))
        assert lend(donors, one_layer(tmp_path), particles, EVEN, 1).e.max() < 3.5

    def test_phi_modulo_the_pitch_and_eta_are_near(self, tmp_path):
        geometry = one_layer(
            tmp_path,
            "frame: barrel\nlayers: [{id: 0, from: 100, to: 110, material: Si}]\n"
            "modulation: {pitch: 0.1, layers: [0]}\n",
        )
        rng = np.random.default_rng(1)
        phi, eta = rng.uniform(-1, 1, 4000), rng.uniform(0.2, 0.4, 4000)
        donors = points(np.full(4000, 4000.0), eta=eta, phi=phi)
        particles = Particles.gun(pdg=22, energy=4000.0, eta=0.3, phi=0.95 + np.zeros(500))
        chosen = np.round(lend(donors, geometry, particles, EVEN, 1).e).astype(int) - 1
        turn = (phi[chosen] - 0.95) / 0.1
        assert np.std(turn - np.round(turn)) == pytest.approx(0.05, rel=0.2)
        assert np.std(eta[chosen] - 0.3) == pytest.approx(0.02, rel=0.2)
        assert np.std(phi[chosen]) > 0.4  # all around the detector

    def test_showers_are_turned_by_quarters_and_mirrored_at_normal_incidence_only(self, tmp_path):
        geometry, donors = one_layer(tmp_path), points([4000.0])
        for direction, turned in (((0, 0, 1), True), ((0.3, 0, 1), False)):
            particles = Particles.gun(pdg=22, energy=4000.0, n=100, direction=direction)
            hits = lend(donors, geometry, particles, Nearness(), 1)
            _, d1, d2 = local_hits(geometry, particles, hits)
            places = set(zip(np.round(d1, 4), np.round(d2, 4), strict=True))
            square = {(a, b) for a in (3, -3) for b in (4, -4)} | {(a, b) for a in (4, -4) for b in (3, -3)}
            assert places == (square if turned else {(3, 4)})

    def test_in_a_barrel_without_modulation_showers_are_mirrored_in_phi(self, tmp_path):
        geometry = one_layer(tmp_path, "frame: barrel\nlayers: [{id: 0, from: 100, to: 110, material: Si}]\n")
        particles = Particles.gun(pdg=22, energy=4000.0, eta=0.0, n=200)
        for rotate, share in ((True, 0.5), (False, 0.0)):
            hits = lend(points([4000.0]), geometry, particles, Nearness(rotate=rotate), 1)
            _, d1, d2 = local_hits(geometry, particles, hits)
            assert d1 == pytest.approx(3.0, abs=1e-6)
            assert np.mean(d2 < 0) == pytest.approx(share, abs=0.15)


class TestLibrary:
    def test_showers_of_the_training_come_back_at_their_own_energies(self, sample, tuned):
        """To the 8 bits that a deposit's energy is stored with."""
        geometry, batch = sample
        made = tuned.generate(batch.particles, seed=3)
        full = Showers(batch.particles, batch.hits, geometry)
        known = full.visible / batch.particles.energy
        found = made.visible / made.particles.energy
        distance = np.abs(found[:, None] / known[None, :] - 1.0)
        assert distance.min(axis=1).max() < 5e-3
        assert len(np.unique(made.visible)) > 40

    def test_particles_between_the_points_get_scaled_showers(self, sample, tuned):
        _, batch = sample
        energy = np.full(len(batch.particles), 5000.0)
        between = Particles.build(
            pdg=22, energy=energy, position=batch.particles.position, direction=batch.particles.direction
        )
        made = tuned.generate(between, seed=1)
        at_point = batch.particles.energy == 4000.0
        full = np.bincount(batch.hits.shower, batch.hits.e, minlength=len(batch))[at_point]
        assert made.visible.mean() == pytest.approx(1.25 * full.mean(), rel=0.03)

    def test_a_summary_without_hits_is_refused(self, sample):
        with pytest.raises(FitError, match="keeps no single hits"):
            library.fit(summarise_sample(sample[0]))


class TestReplay:
    def test_a_hit_comes_back_to_where_it_was_on_the_same_line(self, sample):
        """One shower is replayed to its own particle."""
        geometry, batch = sample
        hits = batch.hits
        one = type(batch)(
            batch.particles.take([7]),
            type(hits)(
                *(getattr(hits, name)[hits.offsets[7] : hits.offsets[8]] for name in ("x", "y", "z", "e", "layer")),
                np.array([0, hits.offsets[8] - hits.offsets[7]]),
            ),
            batch.row[[7]], batch.n_negative[[7]], batch.n_outside[[7]],
        )  # fmt: skip
        made = Replay([one], geometry).generate(one.particles, seed=1).hits
        for name, tolerance in (("x", 1e-3), ("y", 1e-3), ("z", 1e-3), ("e", 1e-6)):
            np.testing.assert_allclose(getattr(made, name), getattr(one.hits, name), atol=tolerance)
        np.testing.assert_array_equal(made.layer, one.hits.layer)

    def test_its_name_says_file_detector_and_rows(self, sample):
        geometry, batch = sample
        name = f"replay:{geometry.path.parent / 'toy.root'}?geometry={geometry.path}&rows=odd"
        generator = load(name)
        assert repr(generator) == "<replay:toy.root, 60 showers>"
        assert generator.domain[0]["pdg"] == 22
        assert len(generator.generate(batch.particles, seed=1)) == 120

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("replay:{toy}", "of which detector"),
            ("replay:{toy}?geometry={yaml}&row=odd", r"unknown option 'row' \(did you mean 'rows'\?\)"),
            ("replay:{toy}?geometry", "option 'geometry' has no value"),
            ("replay:{toy}?geometry={yaml}&rows=some", "rows: unknown 'some'"),
        ],
    )
    def test_incomplete_names_are_refused(self, sample, name, message):
        path = sample[0].path
        with pytest.raises(UsageError, match=message):
            load(name.format(toy=path.parent / "toy.root", yaml=path))

    def test_nothing_to_replay_is_refused(self, sample):
        with pytest.raises(InputError, match="replay: holds no showers to replay"):
            Replay([], sample[0])
