"""The normal distribution, of mean `loc` and standard deviation `scale`: the density of
z = (x - loc)/scale is e^(-z²/2)/√(2π) (DLMF 7.18)."""

from __future__ import annotations

import math
from typing import Any

import pullback.numpy as jnp
from pullback.core.array import Array
from pullback.scipy import special
from pullback.scipy.stats.families import LOG_2PI, Family, less_log, per, relocated, standardized

family = Family("the normal distribution", scale="positive")


@family
def logpdf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> logpdf(1.0)
    Array(-1.4189385, dtype=float32, weak_type=True)
    """
    z = standardized(x, loc, scale)
    return less_log(-0.5 * (z * z + LOG_2PI), scale)


@family
def pdf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> pdf(1.0)
    Array(0.24197073, dtype=float32, weak_type=True)
    """
    z = standardized(x, loc, scale)
    finite = jnp.abs(z) < math.inf
    z = jnp.where(finite | (z != z), z, 0.0)
    return per(jnp.where(finite | (z != z), jnp.exp(-0.5 * z * z) * (1 / math.sqrt(2 * math.pi)), 0.0), scale)


@family.strong
def cdf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> cdf(-1.0)
    Array(0.15865526, dtype=float32)
    """
    return special.ndtr(standardized(x, loc, scale))


@family.strong
def logcdf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> logcdf(-40.0)
    Array(-804.60846, dtype=float32)
    """
    return special.log_ndtr(standardized(x, loc, scale))


@family.strong
def sf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> sf(5.0)
    Array(2.8665158e-07, dtype=float32)
    """
    return special.ndtr(-standardized(x, loc, scale))


@family.strong
def logsf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> logsf(40.0)
    Array(-804.60846, dtype=float32)
    """
    return special.log_ndtr(-standardized(x, loc, scale))


@family.strong
def ppf(q: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> ppf(0.975)
    Array(1.9599644, dtype=float32)
    """
    return relocated(special.ndtri(q), loc, scale)


@family.strong
def isf(q: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> isf(1e-6)
    Array(4.753424, dtype=float32)
    """
    return relocated(-special.ndtri(q), loc, scale)


__all__ = ["cdf", "isf", "logcdf", "logpdf", "logsf", "pdf", "ppf", "sf"]
