"""Showers as generators return them, their forms, and how they are written and read."""

from fastparam.showers.cells import Cells
from fastparam.showers.root import RootWriter
from fastparam.showers.showers import Showers

__all__ = ["Cells", "RootWriter", "Showers"]
