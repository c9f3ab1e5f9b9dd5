"""The Laplace distribution: the density of z = (x - loc)/scale is e^-|z|/2."""

from __future__ import annotations

import math
from typing import Any

import pullback.numpy as jnp
from pullback.core.array import Array
from pullback.scipy.stats.families import Family, less_log, per, standardized

family = Family("the Laplace distribution", scale="positive")


@family
def logpdf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> logpdf(1.0)
    Array(-1.6931472, dtype=float32, weak_type=True)
    """
    return less_log(-jnp.abs(standardized(x, loc, scale)) - math.log(2), scale)


@family
def pdf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> pdf(1.0)
    Array(0.18393971, dtype=float32, weak_type=True)
    """
    return per(0.5 * jnp.exp(-jnp.abs(standardized(x, loc, scale))), scale)


@family
def cdf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> cdf(-1.0)
    Array(0.18393971, dtype=float32, weak_type=True)
    """
    z = standardized(x, loc, scale)
    upper = z > 0
    tail = 0.5 * jnp.exp(jnp.where(upper, -z, z))
    return jnp.where(upper, 1 - tail, tail)


__all__ = ["cdf", "logpdf", "pdf"]
