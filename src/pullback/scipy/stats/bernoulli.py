"""The Bernoulli distribution: 1 with probability `p`, and 0 otherwise, moved by `loc`."""

from __future__ import annotations

import math
from typing import Any

import pullback.numpy as jnp
from pullback.core.array import Array
from pullback.scipy.stats.families import Family, refuse_quantiles, standardized

family = Family("the Bernoulli distribution", p="a probability")


def _chosen(k: Any, success: Any, failure: Any, neither: float) -> Any:
    out = jnp.where(k == 1, success, jnp.where(k == 0, failure, neither))
    return jnp.where(k != k, math.nan, out)


@family
def logpmf(k: Any, p: Any, loc: Any = 0) -> Array:
    """
    >>> logpmf(1, 0.25)
    Array(-1.3862944, dtype=float32, weak_type=True)
    """
    k = standardized(k, loc, None)
    success, failure = jnp.log(jnp.where(k == 1, p, 1.0)), jnp.log1p(-jnp.where(k == 0, p, 0.0))
    return _chosen(k, success, failure, -math.inf)


@family
def pmf(k: Any, p: Any, loc: Any = 0) -> Array:
    """
    >>> pmf(1, 0.25)
    Array(0.25, dtype=float32, weak_type=True)
    """
    return _chosen(standardized(k, loc, None), p, 1 - p, 0.0)


@family
def cdf(k: Any, p: Any) -> Array:
    """
    >>> cdf(0, 0.25)
    Array(0.75, dtype=float32, weak_type=True)
    """
    out = jnp.where(k < 0, 0.0, jnp.where(k >= 1, 1.0, 1 - p))
    return jnp.where(k != k, math.nan, out)


@family
def ppf(q: Any, p: Any) -> Array:
    """
    >>> ppf(0.8, 0.25)
    Array(1., dtype=float32, weak_type=True)
    """
    return refuse_quantiles(q, jnp.where(q <= 1 - p, 0.0, 1.0))


__all__ = ["cdf", "logpmf", "pmf", "ppf"]
