"""Train a FastCaloGAN-like Wasserstein GAN on voxelised photon showers, to have a network to compare with.

    python tuning/gan/train.py voxels.hdf5 -o OUT --steps 30000

Needs PyTorch (CPU is enough) and onnx, which fastparam itself does not. VOXELS is a file in the layout of the
CaloChallenge; its even rows train. Normalisations are those of FastCaloGAN (ATL-SOFT-PUB-2020-006 and its public
successor BoloGAN): voxels are divided by the kinetic energy, the condition is ln(E/E_min)/ln(E_max/E_min), latents are
normal with mean 0.5 and width 0.5. The loss is the Wasserstein distance with gradient penalty (Gulrajani et al.,
arXiv:1704.00028). As there, the best checkpoint is the one with the smallest chi2 of total energies; the log says how
every checkpoint does elsewhere, too, so that the reader sees what that choice costs.

An interrupted training goes on from OUT/state.pt. OUT receives log.csv and, of the
best checkpoint, gan.onnx and gan_lwtnn.json.gz.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import time
from pathlib import Path

import h5py
import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

LATENT = 50
HIDDEN = (100, 200, 400)
BATCH, CRITIC_STEPS, PENALTY = 128, 5, 10.0
RATE, BETAS = 2e-4, (0.5, 0.9)

#: Voxels below this visible energy in MeV, a tenth of a minimum-ionising particle, count as empty.
THRESHOLD = 0.05

#: Layers of lar_accordion's binning: number of voxels.
LAYERS = (8, 160, 190, 5)


class Generator(nn.Module):
    """50 latents and the condition -> voxel energies over kinetic energy."""

    def __init__(self, n_voxels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        size = LATENT + 1
        for wanted in HIDDEN:
            layers += [nn.Linear(size, wanted), nn.BatchNorm1d(wanted), nn.SiLU()]
            size = wanted
        self.hidden = nn.Sequential(*layers)
        self.last = nn.Linear(size, n_voxels)
        # Voxels are thousandths of the energy: start from there, not from hundreds of times too much.
        nn.init.normal_(self.last.weight, std=2e-3)
        nn.init.constant_(self.last.bias, 1.0 / n_voxels)

    def forward(self, noise: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """Return voxels (n, n_voxels) of noise (n, 50) and condition (n, 1)."""
        return torch.relu(self.last(self.hidden(torch.cat([noise, condition], dim=1))))


def critic(n_voxels: int) -> nn.Module:
    """Three layers as wide as the voxels."""
    layers: list[nn.Module] = []
    size = n_voxels + 1
    for _ in range(3):
        layers += [nn.Linear(size, n_voxels), nn.ReLU()]
        size = n_voxels
    layers.append(nn.Linear(size, 1))
    for layer in layers:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)


def latents(n: int, source: torch.Generator) -> torch.Tensor:
    """Draw from a normal distribution with mean and width 0.5."""
    return 0.5 + 0.5 * torch.randn(n, LATENT, generator=source)


def chi2_of_totals(full: np.ndarray, made: np.ndarray) -> tuple[float, int]:
    """chi2 and ndf of two normalised histograms of 30 bins within 3 RMS of the most probable value."""
    count, edges = np.histogram(full, bins=30)
    mode = 0.5 * (edges[count.argmax()] + edges[count.argmax() + 1])
    bins = np.linspace(mode - 3 * full.std(), mode + 3 * full.std(), 31)
    a, b = np.histogram(full, bins)[0], np.histogram(made, bins)[0]
    if not b.any():
        return 1e6, 1
    n, m = a.sum(), b.sum()
    used = (a + b) > 0
    chi2 = ((a / n - b / m)[used] ** 2 / (a / n**2 + b / m**2)[used]).sum()
    return float(chi2), int(used.sum()) - 1


def separation(full: np.ndarray, made: np.ndarray) -> float:
    """1/2 sum (p - q)^2/(p + q) in 20 quantile bins of the full simulation."""
    edges = np.unique(np.quantile(full, np.linspace(0, 1, 21)))
    edges[0], edges[-1] = -np.inf, np.inf
    p = np.histogram(full, edges)[0] / len(full)
    q = np.histogram(made, edges)[0] / len(made)
    return float(0.5 * ((p - q) ** 2 / np.maximum(p + q, 1e-12)).sum())


def judge(
    generator: Generator, x: np.ndarray, energy: np.ndarray, condition: np.ndarray, scale: float
) -> dict[str, float]:
    """Compare as many generated showers as there are training ones, at the same energies."""
    generator.eval()
    with torch.no_grad():
        noise = latents(len(x), torch.Generator().manual_seed(99))
        made = generator(noise, torch.from_numpy(condition)).numpy()
    generator.train()
    chi2, ndf = 0.0, 0
    for e in np.unique(energy):
        own = energy == e
        c, n = chi2_of_totals(x[own].sum(1), made[own].sum(1))
        chi2, ndf = chi2 + c, ndf + n
    result = {"chi2_ndf": chi2 / ndf, "S_total": separation(x.sum(1), made.sum(1))}
    first = 0
    for k, n in enumerate(LAYERS):
        part = slice(first, first + n)
        result[f"S_E_{k}"] = separation(x[:, part].sum(1), made[:, part].sum(1))
        result[f"occupancy_{k}"] = float((made[:, part] * scale * energy[:, None] > THRESHOLD).mean())
        first += n
    return result


def folded(generator: Generator, scale: float) -> list[tuple[np.ndarray, np.ndarray, str]]:
    """Weights (out, in), bias and activation of each layer: batch normalisation and the scale absorbed into them."""
    layers = []
    parts = list(generator.hidden)
    for linear, norm in zip(parts[0::3], parts[1::3], strict=True):
        stretch = (norm.weight / torch.sqrt(norm.running_var + norm.eps)).detach()
        weight = (linear.weight.detach() * stretch[:, None]).numpy()
        bias = ((linear.bias.detach() - norm.running_mean) * stretch + norm.bias.detach()).numpy()
        layers.append((weight, bias, "swish"))
    last = generator.last
    layers.append((scale * last.weight.detach().numpy(), scale * last.bias.detach().numpy(), "relu"))
    return layers


def write_onnx(path: Path, layers: list[tuple[np.ndarray, np.ndarray, str]]) -> None:
    """Write the generator with inputs Noise (n, 50) and mycond (n, 1), output voxels/E (n, n_voxels)."""
    nodes = [helper.make_node("Concat", ["Noise", "mycond"], ["x0"], axis=1)]
    constants = []
    for k, (weight, bias, activation) in enumerate(layers):
        constants += [numpy_helper.from_array(weight.T.copy(), f"w{k}"), numpy_helper.from_array(bias, f"b{k}")]
        nodes.append(helper.make_node("Gemm", [f"x{k}", f"w{k}", f"b{k}"], [f"y{k}"]))
        if activation == "swish":
            nodes.append(helper.make_node("Sigmoid", [f"y{k}"], [f"s{k}"]))
            nodes.append(helper.make_node("Mul", [f"y{k}", f"s{k}"], [f"x{k + 1}"]))
        else:
            nodes.append(helper.make_node("Relu", [f"y{k}"], ["voxels"]))
    n_voxels = len(layers[-1][1])
    graph = helper.make_graph(
        nodes,
        "generator",
        [
            helper.make_tensor_value_info("Noise", TensorProto.FLOAT, ["n", LATENT]),
            helper.make_tensor_value_info("mycond", TensorProto.FLOAT, ["n", 1]),
        ],
        [helper.make_tensor_value_info("voxels", TensorProto.FLOAT, ["n", n_voxels])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def write_lwtnn(path: Path, layers: list[tuple[np.ndarray, np.ndarray, str]]) -> None:
    """Write the same as a graph for lwtnn."""
    swish, relu = {"function": "swish", "alpha": 1.0}, {"function": "rectified"}

    def numbers(values: np.ndarray) -> list[float]:
        return [float(f"{v:.7g}") for v in values.ravel()]

    document = {
        "inputs": [
            {
                "name": "node_0",
                "variables": [{"name": f"variable_{i}", "offset": 0, "scale": 1} for i in range(LATENT)],
            },
            {"name": "node_1", "variables": [{"name": "variable_0", "offset": 0, "scale": 1}]},
        ],
        "input_sequences": [],
        "nodes": [
            {"type": "input", "sources": [0], "size": LATENT},
            {"type": "input", "sources": [1], "size": 1},
            {"type": "concatenate", "sources": [0, 1]},
            *({"type": "feed_forward", "sources": [2 + k], "layer_index": k} for k in range(len(layers))),
        ],
        "layers": [
            {
                "architecture": "dense",
                "weights": numbers(weight),
                "bias": numbers(bias),
                "activation": swish if activation == "swish" else relu,
            }
            for weight, bias, activation in layers
        ],
        "outputs": {
            "voxels": {"labels": [f"out_{i}" for i in range(len(layers[-1][1]))], "node_index": 2 + len(layers)}
        },
    }
    text = json.dumps(document, separators=(",", ":")).encode()
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as packed:
        packed.write(text)


def main() -> None:
    """Train, choose, export."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("voxels", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=30_000, help="steps of the generator")
    parser.add_argument("--every", type=int, default=250, help="steps between checkpoints")
    parser.add_argument("--select-from", type=float, default=0.5, help="part of the steps after which one may be best")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    options.output.mkdir(parents=True, exist_ok=True)

    with h5py.File(options.voxels) as file:
        energy = file["incident_energies"][::2, 0].astype(np.float32)
        visible = file["showers"][::2] / energy[:, None]
    # Electromagnetic scale, as FastCaloGAN's inputs have it: voxels of a shower add up to about 1.
    scale = float(visible.sum(1).mean())
    x = (visible / scale).astype(np.float32)
    low, high = np.log(energy.min()), np.log(energy.max())
    condition = ((np.log(energy) - low) / (high - low)).astype(np.float32)[:, None]
    data, label = torch.from_numpy(x), torch.from_numpy(condition)

    source = torch.Generator().manual_seed(options.seed)
    make, judge_net = Generator(x.shape[1]), critic(x.shape[1])
    g_optimiser = torch.optim.Adam(make.parameters(), lr=RATE, betas=BETAS)
    c_optimiser = torch.optim.Adam(judge_net.parameters(), lr=RATE, betas=BETAS)
    state_file, log_file = options.output / "state.pt", options.output / "log.csv"
    step, best, rows = 0, float("inf"), []
    if state_file.is_file():
        state = torch.load(state_file, weights_only=True)
        make.load_state_dict(state["generator"])
        judge_net.load_state_dict(state["critic"])
        g_optimiser.load_state_dict(state["g_optimiser"])
        c_optimiser.load_state_dict(state["c_optimiser"])
        source.set_state(state["source"])
        step, best = state["step"], state["best"]
        rows = list(csv.DictReader(log_file.open()))[: step // options.every]

    start, distance = time.time(), 0.0
    while step < options.steps:
        for _ in range(CRITIC_STEPS):
            chosen = torch.randint(len(data), (BATCH,), generator=source)
            real, c = data[chosen], label[chosen]
            with torch.no_grad():
                fake = make(latents(BATCH, source), c)
            mix = torch.rand(BATCH, 1, generator=source)
            between = (mix * real + (1 - mix) * fake).requires_grad_(True)
            score = judge_net(torch.cat([between, c], 1)).sum()
            (slope,) = torch.autograd.grad(score, between, create_graph=True)
            penalty = ((slope.norm(dim=1) - 1) ** 2).mean()
            both = judge_net(torch.cat([torch.cat([fake, real]), torch.cat([c, c])], 1))
            loss = both[:BATCH].mean() - both[BATCH:].mean()
            c_optimiser.zero_grad(set_to_none=True)
            (loss + PENALTY * penalty).backward()
            c_optimiser.step()
            distance = -float(loss.detach())
        c = label[torch.randint(len(data), (BATCH,), generator=source)]
        score = -judge_net(torch.cat([make(latents(BATCH, source), c), c], 1)).mean()
        g_optimiser.zero_grad(set_to_none=True)
        score.backward()
        g_optimiser.step()
        step += 1
        if step % options.every == 0:
            found = judge(make, x, energy, condition, scale)
            seconds = time.time() - start
            rows.append({"step": step, "wasserstein": f"{distance:.5g}", **{k: f"{v:.5g}" for k, v in found.items()}})
            if step >= options.select_from * options.steps and found["chi2_ndf"] < best:
                best = found["chi2_ndf"]
                make.eval()
                write_onnx(options.output / "gan.onnx", folded(make, scale))
                write_lwtnn(options.output / "gan_lwtnn.json.gz", folded(make, scale))
                make.train()
            with log_file.open("w", newline="") as file:
                writer = csv.DictWriter(file, rows[0].keys())
                writer.writeheader()
                writer.writerows(rows)
            torch.save(
                {
                    "generator": make.state_dict(),
                    "critic": judge_net.state_dict(),
                    "g_optimiser": g_optimiser.state_dict(),
                    "c_optimiser": c_optimiser.state_dict(),
                    "source": source.get_state(),
                    "step": step,
                    "best": best,
                },
                state_file,
            )
            print(f"{step} {seconds:.0f} s  chi2/ndf {found['chi2_ndf']:.3g}  best {best:.3g}", flush=True)


if __name__ == "__main__":
    main()
