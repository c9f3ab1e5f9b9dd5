"""The geometric distribution: how many trials there are up to the first success, of probability `p`
each, moved by `loc`. Between whole numbers, probabilities are those of the same formula."""

from __future__ import annotations

import math
from typing import Any

import pullback.numpy as jnp
from pullback.core.array import Array
from pullback.scipy.stats.families import Family, instead, standardized, times_log1p

family = Family("the geometric distribution", p="a probability")


@family
def logpmf(k: Any, p: Any, loc: Any = 0) -> Array:
    """
    >>> logpmf(2, 0.25)
    Array(-1.6739764, dtype=float32, weak_type=True)
    """
    k = standardized(k, loc, None)
    outside = k <= 0
    k = instead(outside, k, 1.0)
    return jnp.where(outside, -math.inf, times_log1p(k - 1, -p) + jnp.log(p))


@family
def pmf(k: Any, p: Any, loc: Any = 0) -> Array:
    """
    >>> pmf(2, 0.25)
    Array(0.1875, dtype=float32, weak_type=True)
    """
    k = standardized(k, loc, None)
    outside = k <= 0
    k = instead(outside, k, 1.0)
    return jnp.where(outside, 0.0, jnp.exp(times_log1p(k - 1, -p)) * p)


__all__ = ["logpmf", "pmf"]
