"""Equal showers pass, spoiled ones are caught with the guilty quantity."""

import json
from dataclasses import replace

import numpy as np
import pytest
import toys
from comparison_toys import LAW, ToyDetector, scaled, shuffled_layers, swapped

from fastparam.comparison.candidates import names_of
from fastparam.comparison.compare import compare, compare_summaries
from fastparam.comparison.comparison import Comparison
from fastparam.comparison.simulate import simulate
from fastparam.comparison.verdict import Limit
from fastparam.errors import InputError, UsageError
from fastparam.particles import Particles
from fastparam.summary import Summary


def verdicts(comparison, name):
    return {v.observable: v for v in comparison.verdicts if v.candidate == name}


def spoiled(barrel, reference, **options):
    other = compare_summaries(barrel.geometry, reference, {"spoiled": barrel.summary(600, seed=4, **options)})
    return verdicts(other, "spoiled")


class TestEqualShowers:
    def test_an_independent_sample_of_the_same_law_keeps_every_limit(self, comparison):
        assert [v.observable for v in comparison.failures() if v.candidate == "equal"] == []

    def test_no_difference_is_seen(self, comparison):
        assert [v.observable for v in verdicts(comparison, "equal").values() if v.different] == []

    def test_two_halves_of_the_reference_agree(self, barrel, reference):
        half = np.arange(len(reference)) % 2 == 0
        found = compare_summaries(barrel.geometry, reference.take(half), {"half": reference.take(~half)})
        assert found.failures() == []
        assert not any(v.different for v in found.verdicts)

    def test_pulls_of_all_kinds_of_quantities_have_width_one(self, barrel):
        pulls = []
        for seed in range(20):
            one, two = (barrel.summary(100, seed=100 + 2 * seed + k, energies=(8000.0,)) for k in (0, 1))
            names = ("visible_mean", "visible_width", "depth_mean", "r50", "r90", "layer_mean", "longitudinal")
            found = compare_summaries(barrel.geometry, one, {"other": two}, only=names, seed=seed)
            # Bins of one profile share showers; some of each keep the sum of squares honest.
            pulls += [
                x for m in found.measurements for x in m.candidates["other"].pull[m.candidates["other"].testable][:3]
            ]
        assert np.sqrt(np.mean(np.square(pulls))) == pytest.approx(1.0, abs=0.17)


class TestSpoiledShowers:
    def test_an_energy_scale_off_by_two_percent(self, comparison):
        found = verdicts(comparison, "bright")
        assert found["visible_mean"].passed is False
        assert found["visible_mean"].largest_deviation.deviation == pytest.approx(2.0, abs=1.0)
        assert found["longitudinal"].passed
        assert found["r50"].passed

    def test_a_wrong_width_with_the_right_mean(self, barrel, reference):
        found = spoiled(barrel, reference, law=replace(LAW, resolution=0.16))
        assert found["visible_mean"].passed
        assert found["visible_width"].passed is False
        assert found["visible_rms"].different

    def test_swapped_layers(self, barrel, reference):
        found = spoiled(barrel, reference, spoil=swapped(0, 1))
        assert found["layer_mean"].different
        assert found["visible_mean"].passed

    def test_a_profile_shifted_in_depth(self, barrel, reference):
        a, b = LAW.exp_ln_t
        found = spoiled(barrel, reference, law=replace(LAW, exp_ln_t=(a + 0.6, b)))
        assert found["longitudinal"].passed is False
        assert found["depth_mean"].different
        assert found["visible_mean"].passed

    def test_a_lateral_profile_ten_percent_too_wide(self, barrel, reference):
        found = spoiled(
            barrel, reference, law=replace(LAW, core=tuple(1.1 * x for x in LAW.core), tail=(0.495, *LAW.tail[1:]))
        )
        assert found["r50"].passed is False
        assert found["lateral"].different
        assert found["layer_r50"].different
        assert found["spread_e1_mean"].different

    def test_correlations_between_layers_lost_with_every_mean_right(self, barrel, reference):
        found = spoiled(barrel, reference, spoil=shuffled_layers(1))
        assert found["layer_correlation"].different
        assert not found["layer_mean"].different

    def test_a_layer_that_stays_empty_is_not_passed_over(self, barrel, reference):
        def empty(hits):
            return replace(hits, layer=np.where(hits.layer == 2, 1, hits.layer).astype(np.int32))

        found = spoiled(barrel, reference, spoil=empty)
        assert found["layer_mean"].different
        assert found["layer_r50"].different


class TestLeakage:
    def test_where_nearly_all_energy_is_visible_the_leakage_is_judged(self, tmp_path):
        law = replace(LAW, visible=0.99, resolution=0.01)
        block = ToyDetector(tmp_path, toys.BLOCK, law)
        found = compare_summaries(
            block.geometry, block.summary(200, seed=1), {"c": block.summary(600, seed=2, spoil=scaled(0.99))}
        )
        names = {v.observable for v in found.verdicts}
        assert {"leakage_mean", "leakage_width", "visible_mean"} <= names
        assert "visible_width" not in names
        assert verdicts(found, "c")["leakage_mean"].passed is False


class TestErrors:
    def test_training_showers_add_their_own_error(self, barrel, reference, candidate):
        plain, trained = (
            compare_summaries(barrel.geometry, reference, {"c": candidate}, training=t, only=["visible_mean"])
            for t in (None, barrel.summary(100, seed=7))
        )
        for a, b in zip(plain.measurements, trained.measurements, strict=True):
            extra = 100.0 * b.training_error / np.abs(b.reference)
            np.testing.assert_allclose(
                b.candidates["c"].deviation_error, np.hypot(a.candidates["c"].deviation_error, extra), rtol=1e-12
            )
        assert trained.n_training == (100, 100)

    def test_the_floor_is_the_error_of_the_reference_in_the_unit_of_deviations(self, comparison):
        m = comparison.measurement("visible_mean", 0)
        np.testing.assert_allclose(m.floor, 100.0 * m.error / m.reference)
        assert m.floor[0] == pytest.approx(100 * 0.05 / np.sqrt(300), rel=0.25)  # 10 % / sqrt(4 GeV), 300 showers

    def test_the_errors_of_a_candidate_do_not_depend_on_the_others(self, barrel, reference, candidate, comparison):
        alone = compare_summaries(barrel.geometry, reference, {"equal": candidate}, only=["r90"])
        np.testing.assert_array_equal(
            alone.measurement("r90", 1).candidates["equal"].deviation_error,
            comparison.measurement("r90", 1).candidates["equal"].deviation_error,
        )

    def test_where_statistics_cannot_decide_the_showers_needed_are_named(self, barrel, candidate):
        few = barrel.summary(30, seed=8)
        found = compare_summaries(barrel.geometry, few, {"c": candidate}, only=["visible_width"])
        assert found.verdicts[0].undecided == 2
        assert found.verdicts[0].showers_to_halve == 4 * 30


class TestLimits:
    def test_below_four_gev_quantities_are_printed_and_not_judged(self, barrel):
        energies = (1000.0, 2000.0)
        one = barrel.summary(50, seed=1, energies=energies)
        two = barrel.summary(50, seed=2, energies=energies, spoil=scaled(1.2))
        found = compare_summaries(barrel.geometry, one, {"c": two})
        assert found.failures() == []
        assert verdicts(found, "c")["visible_mean"].different

    def test_a_pion_of_four_gev_momentum_is_judged(self):
        kinetic = np.hypot(4000.0, 139.57) - 139.57
        assert Limit("visible_mean", 1.0).low < kinetic

    def test_limits_may_depend_on_energy(self, barrel, reference, candidate):
        limits = [Limit("longitudinal", 9.0, high=10_000.0), Limit("longitudinal", 6.0)]
        found = compare_summaries(
            barrel.geometry, reference, {"c": candidate}, limits=limits, only=["longitudinal", "r50"]
        )
        assert verdicts(found, "c")["longitudinal"].limits == (6.0, 9.0)
        assert verdicts(found, "c")["r50"].passed is None


class TestRefusals:
    def test_another_detector(self, barrel, reference, candidate):
        with pytest.raises(InputError, match="'c' belongs to another detector"):
            compare_summaries(barrel.geometry, reference, {"c": replace(candidate, geometry_digest="other")})

    def test_another_binning(self, barrel, reference, candidate):
        other = replace(candidate, binning=replace(candidate.binning, r_edges=2 * candidate.binning.r_edges))
        with pytest.raises(InputError, match="'c' is cut into other depth cells or radial bins"):
            compare_summaries(barrel.geometry, reference, {"c": other})

    def test_a_candidate_that_lacks_an_energy(self, barrel, reference, candidate):
        with pytest.raises(InputError, match="'c' has 0 showers of photon at 16 GeV"):
            compare_summaries(barrel.geometry, reference, {"c": candidate.take(candidate.particles.energy < 5000)})

    def test_a_reference_of_a_handful_of_showers(self, barrel, reference, candidate):
        with pytest.raises(InputError, match="no energy with 10 or more showers"):
            compare_summaries(barrel.geometry, reference.take(slice(0, 5)), {"c": candidate})


class TestJson:
    def test_survives_the_round_trip_and_has_no_nan(self, comparison):
        text = json.dumps(comparison.to_json(), allow_nan=False)
        again = Comparison.from_json(json.loads(text))
        assert again.to_json() == comparison.to_json()
        assert again.verdicts[0].observable == comparison.verdicts[0].observable

    def test_another_version_is_refused(self, comparison):
        with pytest.raises(InputError, match="version 99"):
            Comparison.from_json(comparison.to_json() | {"version": 99})

    def test_the_table_has_a_row_per_number(self, comparison):
        rows = [r for r in comparison.table() if r["observable"] == "visible_mean"]
        assert [(r["candidate"], r["energy_gev"]) for r in rows] == [
            ("equal", pytest.approx(4.0)), ("bright", pytest.approx(4.0)),
            ("equal", pytest.approx(16.0)), ("bright", pytest.approx(16.0)),
        ]  # fmt: skip
        assert all(r["reference"] == pytest.approx(50.0, rel=0.02) and r["unit"] == "MeV/GeV" for r in rows)


class ToyGenerator:
    """Simulates by the toy law; a shower depends on its number only, as a generator's must."""

    name = "toy"

    def __init__(self, detector):
        self.geometry = detector.geometry
        self.asked = []

    def generate(self, particles: Particles, *, seed: int):
        self.asked.append(particles.index.tolist())
        self.particles = particles
        self.hits = toys.shower_batch(self.geometry, particles, seed=seed + int(particles.index[0]), n_spots=100)
        return self


class TestGenerators:
    def test_a_generator_simulates_the_reference_s_own_particles_in_streams_of_their_own(self, barrel, reference):
        generator = ToyGenerator(barrel)
        wanted = reference.particles.take(slice(0, 20))
        summary, ms = simulate(barrel.geometry, generator, wanted, barrel.binning, seed=1, repeat=3)
        assert isinstance(summary, Summary)
        assert summary.row.tolist() == list(range(60))
        np.testing.assert_array_equal(summary.particles.energy, np.tile(wanted.energy, 3))
        assert sorted(i for batch in generator.asked[1:] for i in batch) == list(range(60))
        assert ms > 0

    def test_files_generators_and_summaries_side_by_side(self, barrel, reference, tmp_path):
        particles, hits = barrel.showers(40, seed=11)
        for name in ("full.root", "other.root"):
            toys.write_root(tmp_path / name, barrel.geometry, particles, hits)
        found = compare(
            tmp_path / "full.root", ToyGenerator(barrel), tmp_path / "other.root", repeat=2, limits=(), quick=True
        )
        assert [c.name for c in found.candidates] == ["toy", "other.root"]
        assert [c.showers for c in found.candidates] == [(80, 80), (40, 40)]
        assert found.reference == "full.root"
        same = found.measurement("visible_mean", 0).candidates["other.root"]
        assert same.deviation[0] == pytest.approx(0.0, abs=1e-9)

    def test_rows_select_showers_of_the_reference(self, barrel, reference):
        found = compare(reference, reference, geometry=barrel.geometry, rows="odd", names=["all"], quick=True)
        assert sum(found.n_reference) == 300

    @pytest.mark.parametrize(
        ("arguments", "options", "message"),
        [
            ((), {}, "nothing to compare"),
            (("no.root",), {"geometry": "lar_accordion"}, "no.root: there is no such file"),
            ((object(),), {}, "cannot compare a object"),
            ((None,), {"names": ["a", "b"]}, "2 names for 1 candidates"),
            ((None,), {"rows": "some"}, "unknown 'some'; expected all, even or odd"),
            ((None,), {"repeat": 0}, "repeat: found 0"),
        ],
    )
    def test_misuse_is_explained(self, arguments, options, message):
        with pytest.raises((UsageError, InputError), match=message):
            compare("full.root", *arguments, **options)

    def test_without_a_geometry_the_partner_option_is_named(self, reference):
        with pytest.raises(UsageError, match="--geometry"):
            compare("full.root", reference)


def test_generators_are_named_without_folders_and_options() -> None:
    replay = "replay:/data/photons.root?geometry=/data/geometry.yaml&rows=even"
    given = [replay, "gflash:lar_accordion", "/data/gan.onnx", "lar_accordion"]
    assert names_of(given) == ["replay:photons.root", "gflash:lar_accordion", "gan.onnx", "lar_accordion"]
