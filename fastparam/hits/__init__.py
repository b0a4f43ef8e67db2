"""Hits of full simulation: one reader per layout of files, one iterator over all of them, checks of what was read."""

from fastparam.hits.batches import Batch, iterate, iterate_file, read_particles
from fastparam.hits.hits import Hits
from fastparam.hits.inspection import Inspection, inspect

__all__ = ["Batch", "Hits", "Inspection", "inspect", "iterate", "iterate_file", "read_particles"]
