"""The negative binomial distribution: how many trials fail before `n` have succeeded, each with
probability `p`, moved by `loc`. `n` need not be whole; between whole `k`, probabilities are those of
the gamma function."""

from __future__ import annotations

import math
from typing import Any

import pullback.numpy as jnp
from pullback.core.array import Array
from pullback.scipy import special
from pullback.scipy.stats.families import Family, instead, standardized, times_log, times_log1p

family = Family("the negative binomial distribution", n="not negative", p="a probability")


def _log(k: Any, n: Any, p: Any) -> Any:
    """Where `k` is outside of the support, and the logarithm of the probability inside."""
    outside = k < 0
    k = instead(outside, k, 0.0)
    ways = instead(k == 0, -jnp.log(n + k) - special.betaln(n, k + 1), 0.0)
    return outside, ways + times_log(n, p) + times_log1p(k, -p)


@family
def logpmf(k: Any, n: Any, p: Any, loc: Any = 0) -> Array:
    """
    >>> logpmf(1, 4, 0.25)
    Array(-4.446565, dtype=float32, weak_type=True)
    """
    outside, log = _log(standardized(k, loc, None), n, p)
    return jnp.where(outside, -math.inf, log)


@family
def pmf(k: Any, n: Any, p: Any, loc: Any = 0) -> Array:
    """
    >>> pmf(1, 4, 0.25)
    Array(0.01171875, dtype=float32, weak_type=True)
    """
    outside, log = _log(standardized(k, loc, None), n, p)
    return jnp.where(outside, 0.0, jnp.exp(log))


__all__ = ["logpmf", "pmf"]
