"""The binomial distribution: how many of `n` trials succeed, each with probability `p`, moved by
`loc`. Between whole numbers, probabilities are those of the gamma function."""

from __future__ import annotations

import math
from typing import Any

import pullback.numpy as jnp
from pullback.core.array import Array
from pullback.lax.probabilities import binomial_mass_p, log_binomial_p
from pullback.scipy.special.operands import apply
from pullback.scipy.stats.families import Family, instead, standardized

family = Family("the binomial distribution", n="not negative", p="a probability")


def _inside(k: Any, n: Any) -> tuple[Any, Any, Any]:
    """Where `k` is outside of the support, and successes and failures inside."""
    outside = (k < 0) | (k > n)
    k = instead(outside, k, 0.0)
    return outside, k, n - k


@family.weak
def logpmf(k: Any, n: Any, p: Any, loc: Any = 0) -> Array:
    """
    >>> logpmf(1, 4, 0.25)
    Array(-0.8630462, dtype=float32, weak_type=True)
    """
    outside, successes, failures = _inside(standardized(k, loc, None), n)
    return jnp.where(outside, -math.inf, apply(log_binomial_p, successes, failures, p))


@family.weak
def pmf(k: Any, n: Any, p: Any, loc: Any = 0) -> Array:
    """
    >>> pmf(1, 4, 0.25)
    Array(0.421875, dtype=float32, weak_type=True)
    """
    outside, successes, failures = _inside(standardized(k, loc, None), n)
    return jnp.where(outside, 0.0, apply(binomial_mass_p, successes, failures, p))


__all__ = ["logpmf", "pmf"]
