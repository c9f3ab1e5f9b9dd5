"""The multinomial distribution: how many of `n` trials have each of K outcomes, whose probabilities
are `p`: n! ∏ pᵢ^xᵢ/xᵢ! (DLMF 26.4)."""

from __future__ import annotations

import math
from typing import Any

import pullback.numpy as jnp
from pullback.core import dtypes
from pullback.core.array import Array
from pullback.core.errors import user_api
from pullback.lax.shape import convert
from pullback.numpy.promotion import array_like, here
from pullback.scipy import special
from pullback.scipy.stats.families import instead, of_real, times_log


def _log(name: str, x: Any, n: Any, p: Any) -> tuple[Any, Any, Any]:
    """Where the counts are not possible, the logarithm of their probability elsewhere, and what makes
    the result of either."""
    x, n = array_like(x, name), array_like(n, name)
    if dtypes.kind(x.dtype) not in "biu" or dtypes.kind(n.dtype) not in "biu":
        raise here(ValueError, f"{name} takes counts of integer types as x and n, got {x.aval} and {n.aval}")
    p, finish = of_real(name, p)
    if not x.shape:
        raise here(ValueError, f"{name} takes an axis of counts as x, got a single number")
    outside = (jnp.sum(x, -1) != n) | jnp.any(x < 0, -1)
    x, n = convert(x, p.dtype), convert(n, p.dtype)
    x = instead(jnp.expand_dims(outside, -1), x, 0.0)
    terms = times_log(x, p) - special.gammaln(x + 1)
    return outside, special.gammaln(n + 1) + jnp.sum(terms, -1), finish


@user_api
def logpmf(x: Any, n: Any, p: Any) -> Array:
    """The logarithm of the probability of the counts `x`, of shape (..., K), of `n` trials, for
    probabilities `p` of shape (..., K), which are not normalized; of shape (...).

    `x` and `n` are of integer types (ValueError). -∞ where counts are negative or do not add up to
    `n`. TypeError for shapes that do not broadcast, for complex numbers and lists.

    >>> import pullback.numpy as jnp
    >>> logpmf(jnp.array([1, 2]), 3, jnp.array([0.25, 0.75]))
    Array(-0.86304617, dtype=float32)
    """
    outside, log, finish = _log("multinomial.logpmf", x, n, p)
    return finish(jnp.where(outside, -math.inf, log))  # type: ignore[no-any-return]


@user_api
def pmf(x: Any, n: Any, p: Any) -> Array:
    """The probability of the counts `x`: see `logpmf`, of which it is the exponential.

    >>> import pullback.numpy as jnp
    >>> pmf(jnp.array([1, 2]), 3, jnp.array([0.25, 0.75]))
    Array(0.42187503, dtype=float32)
    """
    outside, log, finish = _log("multinomial.pmf", x, n, p)
    return finish(jnp.where(outside, 0.0, jnp.exp(log)))  # type: ignore[no-any-return]


__all__ = ["logpmf", "pmf"]
