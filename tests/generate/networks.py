"""Small networks with their descriptions, written to a folder: an ONNX file and lwtnn files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import toys
import yaml

DATA = Path(__file__).parents[1] / "data"

#: Two of the layers of `toys.BARREL`: 2 rings x 3 sectors, and 1 ring x 2 sectors.
BINNING = """<Bins><Bin pid="22" etaMin="0" etaMax="130">
<Layer id="1" r_edges="0,20,50" n_bin_alpha="3"/><Layer id="2" r_edges="0,50" n_bin_alpha="2"/></Bin></Bins>"""

LATENT = {"quantity": "latent", "size": 5}
ENERGY = {"quantity": "log_energy", "low": 1000, "high": 100000}

DESCRIPTION: dict[str, Any] = {
    "network": "gan.onnx",
    "geometry": "geometry.yaml",
    "binning": "binning.xml",
    "inputs": {"Noise": [LATENT], "mycond": [ENERGY, {"quantity": "constant"}]},
    "domain": [{"pdg": 22, "energy": [1000, 100000], "eta": [0.2, 0.25]}],
}


def write(folder: Path, *, network: str = "gan.onnx", file: Any = "tiny_gan.onnx", **changes: Any) -> Path:
    """Write a network with its description, geometry and binning; return the path of the description."""
    (folder / "geometry.yaml").write_text(toys.BARREL)
    (folder / "binning.xml").write_text(BINNING)
    if isinstance(file, str):
        shutil.copy(DATA / file, folder / network)
    else:
        (folder / network).write_text(json.dumps(file))
    path = folder / "gan.yaml"
    path.write_text(yaml.safe_dump(DESCRIPTION | {"network": network} | changes))
    return path


def dense(weights: list[list[float]], bias: list[float], activation: Any = "linear") -> dict[str, Any]:
    """Return a dense layer of lwtnn."""
    flat = [w for row in weights for w in row]
    return {"architecture": "dense", "weights": flat, "bias": bias, "activation": activation}


def sequential(layers: list[dict[str, Any]], n_in: int, n_out: int) -> dict[str, Any]:
    """Return a sequential file of lwtnn."""
    inputs = [{"name": f"variable_{k}", "offset": 0.0, "scale": 1.0} for k in range(n_in)]
    return {"inputs": inputs, "layers": layers, "outputs": [f"out_{k}" for k in range(n_out)]}


def generator_file(n_in: int = 7) -> dict[str, Any]:
    """Return a sequential network: n_in numbers -> 8 voxels that sum to about a twentieth."""
    rows = [[0.1 * ((3 * i + 5 * j) % 7 - 3) for j in range(n_in)] for i in range(8)]
    layers = [
        dense(rows, [0.0] * 8, "softmax"),
        dense([[0.05 * (i == j) for j in range(8)] for i in range(8)], [0.0] * 8),
    ]
    return sequential(layers, n_in, 8)
