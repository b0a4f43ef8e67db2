"""What every public function of this package does first: broadcast, and refuse what the formula excludes."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from fastparam.errors import OutOfDomainError, UsageError

FloatArray: TypeAlias = npt.NDArray[np.float64]
Stream: TypeAlias = npt.NDArray[np.uint64]
Shape: TypeAlias = tuple[int, ...]


def flat(*arguments: npt.ArrayLike, shape: Shape | None = None) -> tuple[Shape, list[FloatArray]]:
    """Broadcast together (or to `shape`); return the shape and one-dimensional float64 copies.

    Fresh contiguous arrays, so that every kernel is compiled for one signature only.

    Raises
    ------
    UsageError
        If the shapes do not fit.
    """
    arrays = [np.asarray(a, dtype=np.float64) for a in arguments]
    try:
        common = np.broadcast_shapes(*(a.shape for a in arrays))
        common = common if shape is None else np.broadcast_to(np.empty(common), shape).shape
    except ValueError as error:
        to = "" if shape is None else f" to {shape}"
        shapes = ", ".join(str(a.shape) for a in arrays)
        raise UsageError(f"arguments of shapes {shapes} cannot be broadcast{to}; make the shapes agree") from error
    return common, [np.array(np.broadcast_to(a, common), order="C").reshape(-1) for a in arrays]


def require(name: str, values: npt.ArrayLike, accepted: npt.ArrayLike, expected: str) -> None:
    """Raise unless all values are accepted, with the first one that is not.

    Raises
    ------
    OutOfDomainError
        With name, value, entry (of the flattened broadcast arrays) and what was expected.
    """
    checked, good = np.broadcast_arrays(np.asarray(values, dtype=np.float64), np.asarray(accepted))
    if good.all():
        return
    entry = int(np.flatnonzero(~good.reshape(-1))[0])
    where = f" (entry {entry} of {good.size})" if good.size > 1 else ""
    raise OutOfDomainError(f"{name} = {checked.reshape(-1)[entry]:.6g}{where}: expected {expected}")


def require_number(name: str, values: FloatArray) -> None:
    """Raise `OutOfDomainError` for NaN."""
    require(name, values, ~np.isnan(values), "a number, not NaN")


def require_finite(name: str, values: FloatArray) -> None:
    """Raise `OutOfDomainError` unless every value is finite."""
    require(name, values, np.isfinite(values), "a finite number")


def require_positive(name: str, values: FloatArray) -> None:
    """Raise `OutOfDomainError` unless every value is finite and above zero."""
    require(name, values, np.isfinite(values) & (values > 0), "a finite number > 0")


def require_probability(name: str, values: FloatArray) -> None:
    """Raise `OutOfDomainError` unless every value lies in [0, 1]."""
    require(name, values, (values >= 0) & (values <= 1), "a number in [0, 1]")
