"""Showers as generators return them, and how they are written."""

from fastparam.showers.root import RootWriter
from fastparam.showers.showers import Showers

__all__ = ["RootWriter", "Showers"]
