"""Tunes: fitted parametrisations of a detector, their recipes and files."""

from fastparam.tunes.file import load_tune, save_tune, tune_digest
from fastparam.tunes.recipe import Recipe, load_recipe
from fastparam.tunes.tune import SliceTune, Tune

__all__ = ["Recipe", "SliceTune", "Tune", "load_recipe", "load_tune", "save_tune", "tune_digest"]
