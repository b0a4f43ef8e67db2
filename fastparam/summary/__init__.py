"""Local hits reduced to what fits and comparisons need: `Summary`, how it is made, joined and stored."""

from fastparam.summary.binning import Binning, choose_binning
from fastparam.summary.deposits import Deposits
from fastparam.summary.file import load_summary, save_summary
from fastparam.summary.merge import concatenate, merge
from fastparam.summary.points import EnergyPoints, energy_points
from fastparam.summary.sample import summarise_sample
from fastparam.summary.summarise import cell_depths, summarise, summarise_hits
from fastparam.summary.summary import Summary

__all__ = [
    "Binning",
    "Deposits",
    "EnergyPoints",
    "Summary",
    "cell_depths",
    "choose_binning",
    "concatenate",
    "energy_points",
    "load_summary",
    "merge",
    "save_summary",
    "summarise",
    "summarise_hits",
    "summarise_sample",
]
