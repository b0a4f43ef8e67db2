"""Networks in the JSON of lwtnn, evaluated with NumPy.

A *sequential* file is one chain of layers, a *graph* file has nodes that point to layers and to each other; the key
``nodes`` tells them apart. Both hold weights as plain numbers. What lwtnn knows beyond fixed-size inputs (recurrent
layers, sequences, convolutions, embeddings) is refused by name.

Rules, read in lwtnn's source (https://github.com/lwtnn/lwtnn): an input is (x + offset) scale; a dense layer is
act(W x + b) with W of shape (outputs, inputs), row by row; empty weights or bias skip that step; `normalization` is
(x + bias) weights; nodes are in no order of evaluation.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastparam.errors import InputError, near

__all__ = ["ACTIVATIONS", "LwtnnNetwork"]

Floats = npt.NDArray[np.float64]


def _sigmoid(x: Floats, _: float) -> Floats:
    inside = 1.0 / (1.0 + np.exp(-np.clip(x, -30.0, 30.0)))
    return np.where(x < -30.0, 0.0, np.where(x > 30.0, 1.0, inside))


def _softmax(x: Floats, _: float) -> Floats:
    shifted = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


#: By name: the function of (x, alpha), and the alpha of its plain name (None: it has to be given).
ACTIVATIONS: dict[str, tuple[Callable[[Floats, float], Floats], float | None]] = {
    "linear": (lambda x, _: x, 0.0),
    "sigmoid": (_sigmoid, 0.0),
    "rectified": (lambda x, _: np.maximum(x, 0.0), 0.0),
    "softmax": (_softmax, 0.0),
    "tanh": (lambda x, _: np.tanh(x), 0.0),
    "hard_sigmoid": (lambda x, _: np.clip(0.2 * x + 0.5, 0.0, 1.0), 0.0),
    "elu": (lambda x, alpha: np.where(x >= 0.0, x, alpha * np.expm1(np.minimum(x, 0.0))), 1.0),
    "leakyrelu": (lambda x, alpha: np.where(x > 0.0, x, alpha * x), None),
    "swish": (lambda x, alpha: x * _sigmoid(alpha * x, 0.0), None),
    "abs": (lambda x, _: np.abs(x), 0.0),
}

_Layer = Callable[[Floats], Floats]


class LwtnnNetwork:
    """A network of an lwtnn file, sequential or graph, plain or compressed with gzip.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    inputs : dict of str to int
        Names of the inputs and how many columns each has; a sequential file has one, ``inputs``.
    outputs : dict of str to list of str
        Names of the outputs and the labels of their columns; a sequential file has one, ``outputs``.

    Raises
    ------
    InputError
        If the file is missing, broken, or has parts that are not supported; says where.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        document = _read(path)
        try:
            self._build(document)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise InputError(
                f"{path}: is no complete lwtnn network ({type(error).__name__}: {error}); expected the JSON that"
                " lwtnn's converters write"
            ) from error

    def __repr__(self) -> str:
        return f"<lwtnn network {self.path.name}, inputs {self.inputs}, outputs {', '.join(self.outputs)}>"

    def __call__(self, values: Mapping[str, Floats], output: str) -> Floats:
        """Return an output, shape (n, columns), of inputs by name, each of shape (n, columns)."""
        scaled = [(values[name] + offset) * scale for name, offset, scale in self._inputs]
        return self._evaluate(self._outputs[output], scaled)

    def _build(self, document: dict[str, Any]) -> None:
        self._layers = [self._layer(spec, f"layers[{k}]") for k, spec in enumerate(document["layers"])]
        if "nodes" not in document:  # sequential
            columns = document["inputs"]
            self._inputs = [("inputs", *_scaling(columns))]
            self._nodes: list[tuple[str, list[int], int]] = [("input", [0], len(columns))]
            self._nodes += [("feed_forward", [k], k) for k in range(len(self._layers))]
            self._outputs = {"outputs": len(self._layers)}
            self.outputs = {"outputs": list(document["outputs"])}
            self.inputs = {"inputs": len(columns)}
        else:
            if document.get("input_sequences"):
                raise self._unsupported("input_sequences", "sequences")
            self._inputs = [(node["name"], *_scaling(node["variables"])) for node in document["inputs"]]
            self.inputs = {node["name"]: len(node["variables"]) for node in document["inputs"]}
            self._nodes = [self._node(spec, f"nodes[{k}]") for k, spec in enumerate(document["nodes"])]
            self._outputs = {name: int(out["node_index"]) for name, out in document["outputs"].items()}
            self.outputs = {name: list(out["labels"]) for name, out in document["outputs"].items()}
        # Once with zeros: layers that do not fit together, loops and wrong numbers of labels are errors of the file.
        zeros = {name: np.zeros((1, width)) for name, width in self.inputs.items()}
        for name, labels in self.outputs.items():
            width = self(zeros, name).shape[1]
            if width != len(labels):
                raise ValueError(f"output {name} has {width} columns and {len(labels)} labels")

    def _evaluate(self, node: int, inputs: list[Floats]) -> Floats:
        known: dict[int, Floats] = {}

        def value(number: int, above: tuple[int, ...]) -> Floats:
            if number in above:
                raise ValueError(f"nodes[{number}] depends on itself")
            if number not in known:
                kind, sources, detail = self._nodes[number]
                if kind == "input":
                    known[number] = inputs[sources[0]]
                else:
                    parts = [value(source, (*above, number)) for source in sources]
                    if kind == "concatenate":
                        known[number] = np.concatenate(parts, axis=1)
                    elif kind == "add":
                        known[number] = np.sum(parts, axis=0)
                    else:
                        known[number] = self._layers[detail](parts[0])
            return known[number]

        return value(node, ())

    def _node(self, spec: dict[str, Any], where: str) -> tuple[str, list[int], int]:
        kind, sources = spec["type"], [int(source) for source in spec["sources"]]
        if kind not in ("input", "feed_forward", "concatenate", "add"):
            raise self._unsupported(f"{where}.type", kind)
        if min(sources) < 0:
            raise ValueError(f"{where} has a negative source")
        if kind == "input" and int(spec["size"]) != self.inputs[self._inputs[sources[0]][0]]:
            raise ValueError(f"{where} has size {spec['size']}, its input {self.inputs[self._inputs[sources[0]][0]]}")
        return kind, sources, int(spec.get("layer_index", -1))

    def _layer(self, spec: dict[str, Any], where: str) -> _Layer:
        kind = spec["architecture"]
        if kind == "normalization":
            factor, shift = _numbers(spec["weights"]), _numbers(spec["bias"])
            return lambda x: (x + shift) * factor
        if kind == "dense":
            return self._dense(spec, where, activated=True)
        if kind == "maxout":
            branches = [self._dense(one, f"{where}.sublayers", activated=False) for one in spec["sublayers"]]
            return lambda x: np.max([branch(x) for branch in branches], axis=0)
        if kind == "highway":
            t = self._dense(spec["components"]["t"], f"{where}.components.t", activated=False)
            carry = self._dense(spec["components"]["carry"], f"{where}.components.carry", activated=False)
            act = self._activation(spec, where)

            def highway(x: Floats) -> Floats:
                gate = _sigmoid(t(x), 0.0)
                return np.asarray(act(carry(x)) * gate + (1.0 - gate) * x)

            return highway
        raise self._unsupported(f"{where}.architecture", kind)

    def _dense(self, spec: dict[str, Any], where: str, *, activated: bool) -> _Layer:
        weights, bias = _numbers(spec.get("weights", [])), _numbers(spec.get("bias", []))
        act = self._activation(spec, where) if activated else (lambda x: x)

        def dense(x: Floats) -> Floats:
            if len(weights):
                x = x @ weights.reshape(-1, x.shape[1]).T
            return act(x + bias if len(bias) else x)

        return dense

    def _activation(self, spec: dict[str, Any], where: str) -> _Layer:
        found = spec.get("activation")
        if found is None:
            raise InputError(f"{self.path}: {where} has no activation; expected one of {', '.join(ACTIVATIONS)}")
        name, alpha = (found, None) if isinstance(found, str) else (found["function"], found.get("alpha"))
        known = str(name).removesuffix("_legacy")
        if known not in ACTIVATIONS:
            raise InputError(
                f"{self.path}: {where}: unknown activation '{name}'{near(known, ACTIVATIONS)}; expected one of"
                f" {', '.join(ACTIVATIONS)}"
            )
        function, default = ACTIVATIONS[known]
        chosen = default if alpha is None else float(alpha)
        if chosen is None:
            raise InputError(
                f"{self.path}: {where}: activation {name} needs its alpha; expected"
                f' {{"function": "{name}", "alpha": ...}}'
            )
        return lambda x: function(x, chosen)

    def _unsupported(self, where: str, what: Any) -> InputError:
        return InputError(
            f"{self.path}: {where}: '{what}' is not supported; expected layers dense, normalization, maxout, highway"
            " and nodes input, feed_forward, concatenate, add"
        )


def _read(path: Path) -> dict[str, Any]:
    try:
        raw = path.read_bytes()
        if raw[:2] == b"\x1f\x8b":
            raw = gzip.decompress(raw)
        document = json.loads(raw)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; expected an lwtnn network") from error
    except (OSError, EOFError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error}); copy it again") from error
    if not isinstance(document, dict):
        raise InputError(f"{path}: holds a {type(document).__name__}; expected the JSON of an lwtnn network")
    return document


def _numbers(values: Any) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError("a weight is no finite number")
    return array


def _scaling(variables: list[dict[str, Any]]) -> tuple[Floats, Floats]:
    return _numbers([v["offset"] for v in variables]), _numbers([v["scale"] for v in variables])
