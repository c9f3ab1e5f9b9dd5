"""The Gumbel distribution of minima: the density of z = (x - loc)/scale is exp(z - e^z), that of
maxima at -z."""

from __future__ import annotations

from typing import Any

import pullback.numpy as jnp
from pullback.core.array import Array
from pullback.scipy.stats.families import Family, less_log, per, refuse_quantiles, relocated, standardized
from pullback.scipy.stats.gumbel_r import above, below, density, log_above, log_density

family = Family("the left-skewed Gumbel distribution", scale="positive")


@family
def logpdf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> logpdf(1.0)
    Array(-1.718282, dtype=float32, weak_type=True)
    """
    return less_log(log_density(-standardized(x, loc, scale)), scale)


@family
def pdf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> pdf(1.0)
    Array(0.17937404, dtype=float32, weak_type=True)
    """
    return per(density(-standardized(x, loc, scale)), scale)


@family
def cdf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> cdf(-20.0)
    Array(2.0611537e-09, dtype=float32, weak_type=True)
    """
    return above(-standardized(x, loc, scale))


@family
def logcdf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> logcdf(-200.0)
    Array(-200., dtype=float32, weak_type=True)
    """
    return log_above(-standardized(x, loc, scale))


@family
def sf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> sf(1.0)
    Array(0.06598803, dtype=float32, weak_type=True)
    """
    return below(-standardized(x, loc, scale))


@family
def logsf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> logsf(1.0)
    Array(-2.718282, dtype=float32, weak_type=True)
    """
    return -jnp.exp(standardized(x, loc, scale))


@family
def ppf(p: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> ppf(0.5)
    Array(-0.36651292, dtype=float32, weak_type=True)
    """
    return relocated(refuse_quantiles(p, jnp.log(-jnp.log1p(-p))), loc, scale)


__all__ = ["cdf", "logcdf", "logpdf", "logsf", "pdf", "ppf", "sf"]
