"""The uniform distribution on [loc, loc + scale]."""

from __future__ import annotations

import math
from typing import Any

import pullback.numpy as jnp
from pullback.core.array import Array
from pullback.scipy.stats.families import Family, instead, less_log, per, refuse_quantiles, relocated, standardized

family = Family("the uniform distribution", scale="positive")


def _within(x: Any, loc: Any, scale: Any, inside: Any, outside: float) -> Any:
    """`inside` where `x` is in the interval, `outside` beyond; NaN of NaNs, which are neither."""
    low = 0 if loc is None else loc
    high = low + (1 if scale is None else scale)
    within = jnp.where((x >= low) & (x <= high), inside, math.nan)
    return jnp.where((x < low) | (x > high), outside, within)


@family
def logpdf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> logpdf(0.5, 0.0, 2.0)
    Array(-0.6931472, dtype=float32, weak_type=True)
    """
    return _within(x, loc, scale, less_log(jnp.zeros_like(x), scale), -math.inf)


@family
def pdf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> pdf(0.5, 0.0, 2.0)
    Array(0.5, dtype=float32, weak_type=True)
    """
    return _within(x, loc, scale, per(jnp.ones_like(x), scale), 0.0)


@family.strong
def cdf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> cdf(0.5, 0.0, 2.0)
    Array(0.25, dtype=float32)
    """
    z = standardized(x, loc, scale)
    below, above = z < 0, z > 1
    return jnp.where(below, 0.0, jnp.where(above, 1.0, instead(below | above, z, 0.0)))


@family
def ppf(q: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> ppf(0.5, 0.0, 2.0)
    Array(1., dtype=float32, weak_type=True)
    """
    return relocated(refuse_quantiles(q, q), loc, scale)


__all__ = ["cdf", "logpdf", "pdf", "ppf"]
