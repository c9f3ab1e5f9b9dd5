"""The negative binomial distribution: how many trials fail before `n` have succeeded, each with
probability `p`, moved by `loc`. `n` need not be whole; between whole `k`, probabilities are those of
the gamma function."""

from __future__ import annotations

import math
from typing import Any

import pullback.numpy as jnp
from pullback.core.array import Array
from pullback.lax.probabilities import binomial_mass_p, log_binomial_p
from pullback.scipy.special.operands import apply
from pullback.scipy.stats.families import Family, instead, standardized

family = Family("the negative binomial distribution", n="not negative", p="a probability")


def _inside(k: Any, n: Any) -> tuple[Any, Any, Any]:
    """Where `k` is outside of the support, `k` inside, and the probability that a success is the last of
    n + k trials."""
    outside = k < 0
    k = instead(outside, k, 0.0)
    return outside, k, n / (n + k)


@family
def logpmf(k: Any, n: Any, p: Any, loc: Any = 0) -> Array:
    """
    >>> logpmf(1, 4, 0.25)
    Array(-4.446565, dtype=float32, weak_type=True)
    """
    outside, k, last = _inside(standardized(k, loc, None), n)
    return jnp.where(outside, -math.inf, apply(log_binomial_p, n, k, p) + jnp.log(last))


@family
def pmf(k: Any, n: Any, p: Any, loc: Any = 0) -> Array:
    """
    >>> pmf(1, 4, 0.25)
    Array(0.01171875, dtype=float32, weak_type=True)
    """
    outside, k, last = _inside(standardized(k, loc, None), n)
    return jnp.where(outside, 0.0, apply(binomial_mass_p, n, k, p) * last)


__all__ = ["logpmf", "pmf"]
