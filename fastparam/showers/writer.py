"""What writers of all formats have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self, TypeAlias

from fastparam.geometry.cells import CellGrid
from fastparam.geometry.voxels import VoxelBinning

if TYPE_CHECKING:
    from fastparam.showers.showers import Showers

__all__ = ["Form", "Writer"]

#: What is written of showers: hits, the voxels of a binning, or the cells of a grid.
Form: TypeAlias = Literal["hits"] | VoxelBinning | CellGrid


class Writer(ABC):
    """Writes showers to a file batch by batch; the file appears under its name when it is complete.

    Use as a context manager: leaving it by an exception leaves no file behind, and an existing one as it was. Nothing
    but the batch that is being written is in memory.
    """

    _open: ExitStack

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)

    def close(self) -> None:
        """Finish the file and give it its name."""
        self._open.close()

    @abstractmethod
    def write(self, showers: Showers) -> None:
        """Append showers; empty ones get a row, too."""
