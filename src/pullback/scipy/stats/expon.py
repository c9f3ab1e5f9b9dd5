"""The exponential distribution: the density of z = (x - loc)/scale ≥ 0 is e^-z."""

from __future__ import annotations

import math
from typing import Any

import pullback.numpy as jnp
from pullback.core.array import Array
from pullback.scipy.stats.families import (
    Family,
    instead,
    less_log,
    log1mexp,
    per,
    refuse_quantiles,
    relocated,
    standardized,
)

family = Family("the exponential distribution", scale="positive")


@family
def logpdf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> logpdf(1.0)
    Array(-1., dtype=float32, weak_type=True)
    """
    z = standardized(x, loc, scale)
    return less_log(jnp.where(z < 0, -math.inf, -z), scale)


@family
def pdf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> pdf(1.0)
    Array(0.36787942, dtype=float32, weak_type=True)
    """
    z = standardized(x, loc, scale)
    below = z < 0
    return per(jnp.where(below, 0.0, jnp.exp(-instead(below, z, 0.0))), scale)


@family
def cdf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> cdf(1e-6)
    Array(9.999995e-07, dtype=float32, weak_type=True)
    """
    z = standardized(x, loc, scale)
    return -jnp.expm1(-instead(z < 0, z, 0.0))


@family
def logcdf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> logcdf(1.0)
    Array(-0.4586751, dtype=float32, weak_type=True)
    """
    z = standardized(x, loc, scale)
    below = z <= 0
    return jnp.where(below, -math.inf, log1mexp(instead(below, z, 1.0)))


@family
def sf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> sf(50.0)
    Array(1.9287499e-22, dtype=float32, weak_type=True)
    """
    z = standardized(x, loc, scale)
    return jnp.exp(-instead(z < 0, z, 0.0))


@family
def logsf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> logsf(500.0)
    Array(-500., dtype=float32, weak_type=True)
    """
    z = standardized(x, loc, scale)
    return -instead(z < 0, z, 0.0)


@family
def ppf(q: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> ppf(0.5)
    Array(0.6931472, dtype=float32, weak_type=True)
    """
    return relocated(refuse_quantiles(q, -jnp.log1p(-q)), loc, scale)


__all__ = ["cdf", "logcdf", "logpdf", "logsf", "pdf", "ppf", "sf"]
