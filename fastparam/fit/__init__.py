"""The components of a tune: one module each, with its model, its fit and its evaluation for sampling."""

from fastparam.fit.fit import Fit

__all__ = ["Fit"]
