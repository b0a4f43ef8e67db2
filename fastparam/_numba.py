"""The one place where numba's options are spelt.

`kernel` compiles lazily and caches on disk. Numba's cache only notices edits in a function's own file; kernels here
also call kernels of `fastparam.shapes` and `fastparam.random`, and see numbers of `fastparam.fit` (steps and sizes of
its tables), so the stamp that decides whether a cached compilation is still valid covers those files too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])

__all__ = ["kernel", "parallel_kernel", "prange"]

prange = numba.prange

_PACKAGE = Path(__file__).parent


@cache
def _shared_stamp() -> tuple[tuple[str, int, int], ...]:
    """Name, modification time and size of every file whose kernels, or numbers, other files compile in."""
    shared = [_PACKAGE / "_numba.py", _PACKAGE / "random.py"]
    shared += [file for folder in ("shapes", "fit") for file in sorted((_PACKAGE / folder).glob("*.py"))]
    return tuple((p.name, p.stat().st_mtime_ns, p.stat().st_size) for p in shared)


def _compile(function: F, **options: Any) -> F:
    dispatcher = numba.njit(cache=True, nogil=True, error_model="numpy", **options)(function)
    store = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
    if store is not None:  # absent with NUMBA_DISABLE_JIT
        store._source_stamp = (store._source_stamp, _shared_stamp())
    return dispatcher  # type: ignore[no-any-return]


def kernel(function: F) -> F:
    """Compile a serial kernel: plain loops over float64 and int64 arrays, lazily, cached on disk."""
    return _compile(function)


def parallel_kernel(function: F) -> F:
    """Compile a kernel whose outer `prange` loop runs over showers; results never depend on the thread count."""
    return _compile(function, parallel=True)
