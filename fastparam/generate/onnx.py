"""Networks in ONNX, evaluated by onnxruntime on the processor. Needs ``pip install "fastparam[networks]"``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from fastparam.errors import InputError, UsageError

__all__ = ["OnnxNetwork"]

Floats = npt.NDArray[np.float64]

_KINDS = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16}


class OnnxNetwork:
    """A network of an ONNX file.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    inputs : dict of str to int
        Names of the inputs and how many numbers per shower each takes; -1 where the file leaves it open.
    outputs : dict of str to None
        Names of the outputs.

    Raises
    ------
    InputError
        If the file is missing or broken, or has inputs that are not of a floating type.
    UsageError
        Without onnxruntime.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise InputError(f"{path}: no such file; expected a network in ONNX")
        try:
            import onnxruntime
        except ImportError as error:
            raise UsageError(
                f"{path}: networks in ONNX need onnxruntime, which is not installed; install it with:"
                ' pip install "fastparam[networks]"'
            ) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = numba.get_num_threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self._session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has a type of its own per kind of damage, without a common base
            raise InputError(f"{path}: cannot be loaded as ONNX ({_first_line(error)}); export it again") from error
        self._shapes: dict[str, list[Any]] = {one.name: list(one.shape) for one in self._session.get_inputs()}
        self._types: dict[str, Any] = {}
        for one in self._session.get_inputs():
            if one.type not in _KINDS:
                raise InputError(f"{path}: input '{one.name}' is a {one.type}; expected floating-point numbers")
            self._types[one.name] = _KINDS[one.type]
        self.inputs = {name: _width(shape) for name, shape in self._shapes.items()}
        self.outputs: dict[str, None] = {one.name: None for one in self._session.get_outputs()}
        # A network exported for one shower at a time has to be asked for one at a time.
        self._single = any(shape and shape[0] == 1 for shape in self._shapes.values())

    def __repr__(self) -> str:
        return f"<ONNX network {self.path.name}, inputs {self.inputs}, outputs {', '.join(self.outputs)}>"

    def __call__(self, values: Mapping[str, Floats], output: str) -> Floats:
        """Return an output, shape (n, columns), of inputs by name, each of shape (n, columns)."""
        n = len(next(iter(values.values())))
        fed = {
            name: values[name].astype(kind).reshape(n, *_inner(self._shapes[name]))
            for name, kind in self._types.items()
        }
        step = 1 if self._single else max(n, 1)
        try:
            parts = [
                self._session.run([output], {name: v[a : a + step] for name, v in fed.items()})[0].reshape(
                    min(step, n - a), -1
                )
                for a in range(0, n, step)
            ]
        except Exception as error:  # as above
            raise InputError(f"{self.path}: cannot be evaluated ({_first_line(error)})") from error
        if not parts:
            return np.empty((0, 0))
        return np.asarray(np.concatenate(parts), dtype=np.float64)


def _inner(shape: list[Any]) -> list[int]:
    """Return the shape of one shower's input; what is left open takes what there is."""
    inner = [size if isinstance(size, int) and size > 0 else -1 for size in shape[1:]] or [-1]
    return inner if inner.count(-1) <= 1 else [-1]


def _width(shape: list[Any]) -> int:
    inner = _inner(shape)
    return -1 if -1 in inner else int(np.prod(inner))


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]
