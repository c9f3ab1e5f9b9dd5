"""The χ² distribution of `df` degrees of freedom: the gamma distribution of shape df/2, twice as
wide."""

from __future__ import annotations

import math
from typing import Any

from pullback.core.array import Array
from pullback.scipy.stats.families import Family, less_log, per, standardized
from pullback.scipy.stats.gamma import above, below, density, log_above, log_below, log_density

family = Family("the χ² distribution", df="positive", scale="positive")


@family
def logpdf(x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> logpdf(1.0, 3.0)
    Array(-1.4189385, dtype=float32, weak_type=True)
    """
    log = log_density(0.5 * standardized(x, loc, scale), 0.5 * df)
    return less_log(log - math.log(2), scale)


@family
def pdf(x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> pdf(1.0, 3.0)
    Array(0.24197072, dtype=float32, weak_type=True)
    """
    return per(0.5 * density(0.5 * standardized(x, loc, scale), 0.5 * df), scale)


@family
def cdf(x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> cdf(1.0, 3.0)
    Array(0.19874804, dtype=float32, weak_type=True)
    """
    return below(0.5 * standardized(x, loc, scale), 0.5 * df)


@family
def logcdf(x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> logcdf(1.0, 3.0)
    Array(-1.6157174, dtype=float32, weak_type=True)
    """
    return log_below(0.5 * standardized(x, loc, scale), 0.5 * df)


@family
def sf(x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> sf(50.0, 3.0)
    Array(7.9891795e-11, dtype=float32, weak_type=True)
    """
    return above(0.5 * standardized(x, loc, scale), 0.5 * df)


@family
def logsf(x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> logsf(50.0, 3.0)
    Array(-23.250347, dtype=float32, weak_type=True)
    """
    return log_above(0.5 * standardized(x, loc, scale), 0.5 * df)


__all__ = ["cdf", "logcdf", "logpdf", "logsf", "pdf", "sf"]
