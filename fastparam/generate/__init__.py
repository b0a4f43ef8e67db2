"""Generators: the protocol, the registry, and one module per kind."""

from fastparam.generate.protocol import Generator
from fastparam.generate.registry import load
from fastparam.generate.tuned import TunedGenerator

__all__ = ["Generator", "TunedGenerator", "load"]
