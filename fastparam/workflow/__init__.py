"""The whole road: read, summarise, fit, sample what was held back, compare, report."""

from fastparam.workflow.tune import TuneResult, run, tune

__all__ = ["TuneResult", "run", "tune"]
