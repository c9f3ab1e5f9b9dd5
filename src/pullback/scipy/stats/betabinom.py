"""The beta-binomial distribution: how many of `n` trials succeed, each with a probability that has
the beta distribution of shapes `a` and `b`, moved by `loc`."""

from __future__ import annotations

import math
from typing import Any

import pullback.numpy as jnp
from pullback.core.array import Array
from pullback.lax.probabilities import log_beta_binomial_p
from pullback.scipy.special.operands import apply
from pullback.scipy.stats.families import Family, instead, standardized

family = Family("the beta-binomial distribution", n="not negative", a="positive", b="positive")


def _log(k: Any, n: Any, a: Any, b: Any) -> Any:
    """Where `k` is outside of the support, and the logarithm of the probability inside."""
    k = jnp.floor(k)
    outside = (k < 0) | (k > n)
    return outside, apply(log_beta_binomial_p, instead(outside, k, 0.0), n, a, b)


@family
def logpmf(k: Any, n: Any, a: Any, b: Any, loc: Any = 0) -> Array:
    """
    >>> logpmf(1, 4, 2.0, 3.0)
    Array(-1.2527629, dtype=float32, weak_type=True)
    """
    outside, log = _log(standardized(k, loc, None), n, a, b)
    return jnp.where(outside, -math.inf, log)


@family
def pmf(k: Any, n: Any, a: Any, b: Any, loc: Any = 0) -> Array:
    """
    >>> pmf(1, 4, 2.0, 3.0)
    Array(0.2857143, dtype=float32, weak_type=True)
    """
    outside, log = _log(standardized(k, loc, None), n, a, b)
    return jnp.where(outside, 0.0, jnp.exp(log))


__all__ = ["logpmf", "pmf"]
