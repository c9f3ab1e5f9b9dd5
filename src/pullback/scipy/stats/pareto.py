"""The Pareto distribution: the density of z = (x - loc)/scale ≥ 1 is b z^-(b+1)."""

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

family = Family("the Pareto distribution", b="positive", scale="positive")


def _log(x: Any, loc: Any, scale: Any) -> Any:
    """log z, 0 below the support."""
    z = standardized(x, loc, scale)
    return jnp.log(instead(z < 1, z, 1.0))


@family
def logpdf(x: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> logpdf(2.0, 3.0)
    Array(-1.6739764, dtype=float32, weak_type=True)
    """
    z = standardized(x, loc, scale)
    below = z < 1
    log = jnp.log(instead(below, z, 1.0))
    return less_log(jnp.where(below, -math.inf, jnp.log(b) - (b + 1) * log), scale)


@family
def pdf(x: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> pdf(2.0, 3.0)
    Array(0.1875, dtype=float32, weak_type=True)
    """
    z = standardized(x, loc, scale)
    below = z < 1
    inside = instead(below, z, 1.0)
    return per(jnp.where(below, 0.0, b * inside ** (-b - 1)), scale)


@family
def cdf(x: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> cdf(2.0, 3.0)
    Array(0.875, dtype=float32, weak_type=True)
    """
    return -jnp.expm1(-b * _log(x, loc, scale))


@family.weak
def logcdf(x: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> logcdf(2.0, 3.0)
    Array(-0.13353139, dtype=float32, weak_type=True)
    """
    log = _log(x, loc, scale)
    below = log <= 0
    return jnp.where(below, -math.inf, log1mexp(b * instead(below, log, 1.0)))


@family
def sf(x: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> sf(1e4, 3.0)
    Array(1.e-12, dtype=float32, weak_type=True)
    """
    z = standardized(x, loc, scale)
    return instead(z < 1, z, 1.0) ** -b


@family
def logsf(x: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> logsf(1e20, 3.0)
    Array(-138.1551, dtype=float32, weak_type=True)
    """
    return -b * _log(x, loc, scale)


@family
def ppf(q: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> ppf(0.5, 3.0)
    Array(1.2599211, dtype=float32, weak_type=True)
    """
    return relocated(refuse_quantiles(q, jnp.exp(-jnp.log1p(-q) / b)), loc, scale)


__all__ = ["cdf", "logcdf", "logpdf", "logsf", "pdf", "ppf", "sf"]
