"""Networks: lwtnn's rules by hand and by its own test vectors, descriptions, and what goes in and comes out."""

from __future__ import annotations

import gzip
import json
import math

import networks
import numpy as np
import pytest

from fastparam.errors import FastparamError, InputError, OutOfDomainError
from fastparam.generate import load
from fastparam.generate.lwtnn import LwtnnNetwork
from fastparam.particles import Particles

X = np.array([[-40.0, -2.0, -0.5, 0.0, 0.5, 3.0, 40.0]])

PHOTONS = Particles.gun(pdg=22, energy=np.array([1000.0, 10_000.0, 100_000.0, 5000.0]), eta=0.22)


def lwtnn(folder, document, name="net.json"):
    path = folder / name
    path.write_text(json.dumps(document))
    return LwtnnNetwork(path)


class TestLwtnn:
    @pytest.mark.parametrize("name", ["lwtnn_graph_elu_real", "lwtnn_graph_gan_synthetic"])
    def test_outputs_are_those_of_the_test_vectors(self, name):
        """The first is a trained network with the outputs that lwtnn's own tests expect."""
        network = LwtnnNetwork(networks.DATA / f"{name}.json")
        document = json.loads((networks.DATA / f"{name}.json").read_text())
        vector = json.loads((networks.DATA / f"{name}_testvector.json").read_text())
        values = {
            node["name"]: np.array([[vector["inputs"][node["name"]][v["name"]] for v in node["variables"]]])
            for node in document["inputs"]
        }
        for output, expected in vector["expected_outputs"].items():
            found = dict(zip(network.outputs[output], network(values, output)[0], strict=True))
            assert found == pytest.approx(expected, abs=1e-7)

    def test_gzip_is_read(self, tmp_path):
        path = tmp_path / "net.json.gz"
        path.write_bytes(gzip.compress((networks.DATA / "lwtnn_graph_gan_synthetic.json").read_bytes()))
        assert LwtnnNetwork(path).inputs == {"node_0": 5, "node_1": 2}

    @pytest.mark.parametrize(
        ("activation", "expected"),
        [
            ("linear", lambda x: x),
            ("rectified", lambda x: max(x, 0.0)),
            ("sigmoid", lambda x: 0.0 if x < -30 else 1.0 if x > 30 else 1 / (1 + math.exp(-x))),
            ("tanh", math.tanh),
            ("hard_sigmoid", lambda x: min(max(0.2 * x + 0.5, 0.0), 1.0)),
            ("elu", lambda x: x if x >= 0 else math.exp(x) - 1),
            ({"function": "elu", "alpha": 0.3}, lambda x: x if x >= 0 else 0.3 * (math.exp(x) - 1)),
            ({"function": "leakyrelu", "alpha": 0.2}, lambda x: x if x > 0 else 0.2 * x),
            ({"function": "swish", "alpha": 2.0}, lambda x: x / (1 + math.exp(-2 * x)) if x > -15 else 0.0),
            ("abs", abs),
            ("rectified_legacy", lambda x: max(x, 0.0)),
        ],
    )
    def test_activations(self, tmp_path, activation, expected):
        layer = networks.dense([], [], activation)
        network = lwtnn(tmp_path, networks.sequential([layer], 7, 7))
        found = network({"inputs": X}, "outputs")[0]
        assert list(found) == pytest.approx([expected(x) for x in X[0]], abs=1e-12)

    def test_softmax_sums_to_one_without_overflow(self, tmp_path):
        network = lwtnn(tmp_path, networks.sequential([networks.dense([], [], "softmax")], 7, 7))
        found = network({"inputs": 100 * X}, "outputs")[0]
        assert found.sum() == pytest.approx(1.0)
        assert found[-1] == pytest.approx(1.0)

    def test_dense_is_row_by_row_after_offset_and_scale(self, tmp_path):
        """((1 + 1) 2, (2 - 1) 3) = (4, 3); W = [[1, 10], [100, 1000], [0, 1]] -> 34, 3400, 3; bias 1, 2, 3."""
        document = networks.sequential([networks.dense([[1, 10], [100, 1000], [0, 1]], [1, 2, 3])], 2, 3)
        document["inputs"][0] |= {"offset": 1.0, "scale": 2.0}
        document["inputs"][1] |= {"offset": -1.0, "scale": 3.0}
        assert list(lwtnn(tmp_path, document)({"inputs": np.array([[1.0, 2.0]])}, "outputs")[0]) == [35, 3402, 6]

    def test_normalization_maxout_and_highway(self, tmp_path):
        normalization = {"architecture": "normalization", "weights": [2.0, 4.0], "bias": [1.0, -1.0]}
        maxout = {
            "architecture": "maxout",
            "sublayers": [networks.dense([[1, 0], [0, 1]], []), networks.dense([[0, 1], [1, 0]], [])],
        }
        gate = networks.dense([[0, 0], [0, 0]], [0, 0])
        highway = {
            "architecture": "highway",
            "activation": "linear",
            "components": {"t": gate, "carry": networks.dense([[3, 0], [0, 3]], [])},
        }
        x = np.array([[1.0, 5.0]])
        for layer, expected in ((normalization, [4, 16]), (maxout, [5, 5]), (highway, [2, 10])):
            assert list(lwtnn(tmp_path, networks.sequential([layer], 2, 2))({"inputs": x}, "outputs")[0]) == expected

    def test_nodes_concatenate_and_add(self, tmp_path):
        document = {
            "inputs": [{"name": n, "variables": [{"name": "v", "offset": 0, "scale": 1}]} for n in ("a", "b")],
            "input_sequences": [],
            "layers": [],
            "nodes": [
                {"type": "concatenate", "sources": [2, 3, 1]},
                {"type": "add", "sources": [2, 3]},
                {"type": "input", "sources": [0], "size": 1},
                {"type": "input", "sources": [1], "size": 1},
            ],
            "outputs": {"o": {"labels": ["x", "y", "z"], "node_index": 0}},
        }
        network = lwtnn(tmp_path, document)
        assert list(network({"a": np.array([[2.0]]), "b": np.array([[3.0]])}, "o")[0]) == [2.0, 3.0, 5.0]
        document["nodes"][1]["sources"] = [2, 0]
        with pytest.raises(InputError, match=r"nodes\[.\] depends on itself"):
            lwtnn(tmp_path, document)

    @pytest.mark.parametrize(
        ("layer", "message"),
        [
            ({"architecture": "lstm"}, r"layers\[0\].architecture: 'lstm' is not supported"),
            (networks.dense([[1.0]], [0.0], "swish"), "activation swish needs its alpha"),
            (networks.dense([[1.0]], [0.0], "leakyrelu"), "activation leakyrelu needs its alpha"),
            (
                networks.dense([[1.0]], [0.0], "rectifed"),
                r"unknown activation 'rectifed' \(did you mean 'rectified'\?\)",
            ),
            ({"architecture": "dense", "weights": [1.0], "bias": [0.0]}, "has no activation"),
            (networks.dense([[1.0, 2.0], [3.0, 4.0]], []), "is no complete lwtnn network"),
            (networks.dense([[float("nan")]], []), "a weight is no finite number"),
        ],
    )
    def test_what_is_not_supported_or_not_complete_is_named(self, tmp_path, layer, message):
        with pytest.raises(InputError, match=message):
            lwtnn(tmp_path, networks.sequential([layer], 1, 1))


class TestDescription:
    def test_a_network_is_found_by_its_file_or_its_description(self, tmp_path):
        path = networks.write(tmp_path)
        for name in (path, tmp_path / "gan.onnx"):
            generator = load(name)
            assert repr(generator) == "<network gan.onnx, 8 voxels>"
            assert generator.domain == [{"pdg": 22, "energy": [1000, 100000], "eta": [0.2, 0.25], "emits": "voxels"}]

    def test_latents_and_conditions_reach_the_network(self, tmp_path):
        """By an identity network: what comes out is what went in."""
        identity = networks.sequential([networks.dense([], [])], 8, 8)
        quantities = [
            {"quantity": "energy", "scale": 1000},
            {"quantity": "log_energy", "low": 1000, "high": 100000},
            {"quantity": "one_hot", "pdg": [11, 22]},
            {"quantity": "abs_eta", "scale": 10},
            {"quantity": "phi_modulo", "pitch": "2*pi/64"},
            {"quantity": "constant", "value": 3},
            {"quantity": "energy", "scale": 1000, "momentum": True},
        ]
        path = networks.write(
            tmp_path, network="gan.json", file=identity, inputs={"inputs": quantities},
            output={"normalisation": "MeV"}, domain=[{"pdg": 22, "energy": [1, 1e6]}, {"pdg": 11, "energy": [1, 1e6]}],
        )  # fmt: skip
        particles = Particles.gun(pdg=11, energy=10_000.0, eta=-0.22, phi=0.03)
        found = load(path).generate(particles, seed=1).voxels()[0]
        momentum = math.sqrt((10_000 + 0.51099895) ** 2 - 0.51099895**2) / 1000
        assert found == pytest.approx([10.0, 0.5, 1.0, 0.0, 2.2, 0.03 / (2 * math.pi / 64), 3.0, momentum])

    @pytest.mark.parametrize(
        ("latent", "mean", "spread"),
        [
            ({"distribution": "normal", "mean": 0.5, "width": 0.5}, 0.5, 0.5),
            ({"distribution": "uniform", "low": 4.0, "high": 6.0}, 5.0, 2 / math.sqrt(12)),
        ],
    )
    def test_latents_have_their_distribution_and_are_independent(self, tmp_path, latent, mean, spread):
        shift = [100.0] * 8  # keeps normal numbers positive
        network = networks.sequential([networks.dense(np.eye(8).tolist(), shift)], 8, 8)
        path = networks.write(
            tmp_path, network="gan.json", file=network, output={"normalisation": "MeV"},
            inputs={"inputs": [{"quantity": "latent", "size": 4, **latent}] * 2},
        )  # fmt: skip
        particles = Particles.gun(pdg=22, energy=5000.0, eta=0.22, n=4000)
        found = load(path).generate(particles, seed=1).voxels() - 100.0
        error = spread / math.sqrt(4000)
        assert found.mean(axis=0) == pytest.approx(np.full(8, mean), abs=4.5 * error)
        assert found.std(axis=0) == pytest.approx(np.full(8, spread), rel=0.06)
        correlation = np.corrcoef(found.T) - np.eye(8)
        assert np.abs(correlation).max() < 4.5 / math.sqrt(4000)

    def test_orders_of_voxels(self, tmp_path):
        """Layer 1 has 2 rings and 3 sectors: with alpha fastest, outputs 0 1 2 are the first ring."""
        numbers = networks.sequential([networks.dense([[0.0]] * 8, list(range(1, 9)))], 1, 8)
        made = {}
        for order in ("layer alpha r", "layer r alpha"):
            path = networks.write(
                tmp_path, network="gan.json", file=numbers, inputs={"inputs": [{"quantity": "constant"}]},
                output={"normalisation": "MeV", "order": order},
            )  # fmt: skip
            made[order] = list(load(path).generate(PHOTONS, seed=1).voxels()[0])
        assert made["layer alpha r"] == [1, 2, 3, 4, 5, 6, 7, 8]
        assert made["layer r alpha"] == [1, 4, 2, 5, 3, 6, 7, 8]
        with pytest.raises(InputError, match="needs equal voxels in all layers"):
            load(networks.write(tmp_path, output={"order": "r alpha layer"}))

    def test_energies_are_visible_or_scaled_down_to_visible(self, tmp_path):
        visible = load(networks.write(tmp_path)).generate(PHOTONS, seed=1).visible
        scaled = load(networks.write(tmp_path, energies="em", visible_fraction=0.2))
        assert scaled.generate(PHOTONS, seed=1).visible == pytest.approx(0.2 * visible)
        assert scaled.visible_fraction == 0.2

    def test_layers_are_normalised_to_their_own_energies(self, tmp_path):
        shares = networks.sequential([networks.dense([[0.0]] * 10, [1, 1, 1, 1, 1, 1, 3, 1, 0.06, 0.02])], 1, 10)
        path = networks.write(
            tmp_path, network="gan.json", file=shares, inputs={"inputs": [{"quantity": "constant"}]},
            output={"normalisation": "layers"},
        )  # fmt: skip
        voxels = load(path).generate(PHOTONS, seed=1).voxels()
        assert voxels[0] == pytest.approx([10.0] * 6 + [15.0, 5.0])

    def test_negative_and_weak_outputs_become_nothing(self, tmp_path):
        few = networks.sequential([networks.dense([[0.0]] * 8, [-1, 2, 0.5, 3, 0, 0, 0, 0])], 1, 8)
        path = networks.write(
            tmp_path, network="gan.json", file=few, inputs={"inputs": [{"quantity": "constant"}]},
            output={"normalisation": "MeV", "threshold": 1.0},
        )  # fmt: skip
        assert list(load(path).generate(PHOTONS, seed=1).voxels()[0][:4]) == [0.0, 2.0, 0.0, 3.0]

    def test_what_is_no_number_is_refused(self, tmp_path):
        bad = networks.sequential(
            [networks.dense([[1e300]] * 8, [0.0] * 8), networks.dense([[1e300] * 8] * 8, [])], 1, 8
        )
        path = networks.write(
            tmp_path, network="gan.json", file=bad, inputs={"inputs": [{"quantity": "energy"}]},
        )  # fmt: skip
        with np.errstate(over="ignore"), pytest.raises(InputError, match="no number for particle 0"):
            load(path).generate(PHOTONS, seed=1)

    def test_outside_its_training_it_refuses(self, tmp_path):
        generator = load(networks.write(tmp_path))
        for change, message in (
            ({"energy": 500.0}, "kinetic energy 500 MeV is outside 1000 to 100000 MeV"),
            ({"eta": 0.4}, "eta 0.4 is outside 0.2 to 0.25"),
            ({"pdg": 211}, r"gan.onnx has no pi\+ \(211\); it knows photon \(22\)"),
        ):
            with pytest.raises(OutOfDomainError, match=f"particle 0: .*{message}"):
                generator.check(Particles.gun(**({"pdg": 22, "energy": 5000.0, "eta": 0.22} | change)))

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"inputs": {"Noise": [networks.LATENT]}}, "has inputs Noise; the network's are Noise, mycond"),
            (
                {"inputs": {"Noise": [networks.LATENT], "mycond": [networks.ENERGY]}},
                "input mycond has 1 columns in the",
            ),
            ({"network": "none.onnx"}, "none.onnx: no such file"),
            ({"output": {"name": "out"}}, "has no output 'out'; it has voxels"),
            (
                {"output": {"normalization": "energy"}},
                r"output.normalization: unknown key \(did you mean 'normalisation'",
            ),
            (
                {"inputs": {"Noise": [{"quantity": "latents"}], "mycond": [networks.ENERGY]}},
                r"inputs.Noise.0: unknown quantity 'latents' \(did you mean 'latent'\?\); expected one of",
            ),
            (
                {"inputs": {"Noise": [{"quantity": "log_energy", "low": 5, "high": 5}], "mycond": [networks.ENERGY]}},
                "inputs.Noise.0: low 5 MeV is not below high 5 MeV",
            ),
            (
                {"inputs": {"Noise": [{"quantity": "latent", "size": 2, "low": 1}], "mycond": [networks.ENERGY]}},
                "inputs.Noise.0: low 1 is not below high 1",
            ),
            ({"domain": [{"pdg": 22, "energy": [2, 1]}]}, r"gan.yaml: domain.0.energy: found \[2.0, 1.0\]"),
            ({"geometry": None, "binning": None}, "gan.yaml: expected geometry, binning or both"),
            ({"domain": []}, "domain: list should have at least 1 item"),
            ({"energies": "em"}, "energies: em needs visible_fraction"),
            ({"geometry": "siv"}, "did you mean 'siw'"),
            ({"binning": "none.xml"}, "cannot read .*none.xml"),
            ({"geometry": "lar_accordion", "binning": None}, "returns 8 numbers per shower; expected 363"),
        ],
    )
    def test_what_does_not_fit_together_is_said(self, tmp_path, changes, message):
        path = networks.write(tmp_path)
        networks.write(tmp_path, **{k: v for k, v in changes.items() if k != "network"})
        if "network" in changes:
            path.write_text(path.read_text().replace("gan.onnx", changes["network"]))
        with pytest.raises(FastparamError, match=message):
            load(path).generate(PHOTONS, seed=1)

    @pytest.mark.parametrize(
        ("network", "file"), [("gan.onnx", "tiny_gan.onnx"), ("gan.json", networks.generator_file())]
    )
    @pytest.mark.parametrize("kind", ["truncated", "garbage", "empty", "missing"])
    def test_broken_networks_are_one_error(self, tmp_path, network, file, kind):
        networks.write(tmp_path, network=network, file=file, inputs={"inputs": [networks.LATENT]})
        path = tmp_path / network
        data = path.read_bytes()
        path.write_bytes({"truncated": data[: len(data) // 2], "garbage": b"{]" * 99}.get(kind, b""))
        if kind == "missing":
            path.unlink()
        with pytest.raises(InputError, match=rf"{network}: .*") as caught:
            load(path)
        assert "\n" not in str(caught.value)

    def test_a_geometry_is_no_network(self, tmp_path):
        networks.write(tmp_path)
        with pytest.raises(InputError, match="is a geometry, no network; stock GFlash in it is gflash:"):
            load(tmp_path / "geometry.yaml")

    def test_without_a_detector_voxels_are_all_there_is(self, tmp_path):
        generator = load(networks.write(tmp_path, geometry=None, domain=[{"pdg": 22, "energy": [1000, 100000]}]))
        assert generator.geometry.name == "voxels_only"
        particles = Particles.gun(pdg=22, energy=5000.0, n=3, position=(0, 0, -1), direction=(0, 0, 1))
        assert generator.generate(particles, seed=1).voxels().shape == (3, 8)


class TestTrainedNetwork:
    """The network of tuning/gan, exported twice by other programs than ours."""

    FOLDER = networks.DATA.parents[1] / "tuning" / "gan"

    def test_onnxruntime_and_our_reading_of_lwtnn_agree(self):
        particles = Particles.gun(pdg=22, energy=np.geomspace(1000.0, 65_000.0, 50), eta=0.22)
        made = [load(self.FOLDER / name).generate(particles, seed=3) for name in ("gan.onnx", "gan_lwtnn.json.gz")]
        scale = made[0].visible[:, None]
        np.testing.assert_allclose(made[1].voxels() / scale, made[0].voxels() / scale, atol=1e-5)
        assert np.abs(made[0].visible / particles.energy - 0.2).max() < 0.1
