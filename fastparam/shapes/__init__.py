"""Pure formulas, one family per module: density, cumulative, inverse, sampler, source.

Sister modules share their order and their names. Scalar kernels end in ``1`` and check nothing: they are called from
kernels of other packages, whose public functions have checked. The vectorised functions (`pdf`, `cdf`, `ppf`, `rvs`,
...) take array_like, broadcast, return float64 arrays of the broadcast shape, and raise `OutOfDomainError` instead of
returning NaN.
"""
