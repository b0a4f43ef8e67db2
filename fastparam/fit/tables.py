"""What a component stores that is not a law of a few parameters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Tables"]


@dataclass(frozen=True)
class Tables:
    """Arrays that a sampler reads: quantile functions, factors, shapes, stored showers.

    Attributes
    ----------
    arrays : dict of str to array
        Numbers of any type and shape, as compact as their precision allows: they are most of a tune's file.
    settings : dict
        What else is needed to use them; JSON values only. "notes" are what the reader of the report should know, in
        words.
    """

    arrays: dict[str, npt.NDArray[Any]]
    settings: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        return self.arrays[name]

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader of the report should know, in words."""
        return tuple(self.settings.get("notes", ()))

    @property
    def nbytes(self) -> int:
        """Size of all arrays in bytes, before compression."""
        return int(sum(np.asarray(values).nbytes for values in self.arrays.values()))
