"""The Poisson distribution of mean `mu`, moved by `loc`: μ^k e^-μ / k! (DLMF 8.2, 26.8)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import pullback.numpy as jnp
from pullback.core.array import Array
from pullback.lax.probabilities import log_poisson_p, poisson_mass_p
from pullback.scipy import special
from pullback.scipy.special.operands import apply
from pullback.scipy.stats.families import LOG_2PI, Family, instead, standardized

family = Family("the Poisson distribution", mu="not negative")

#: Coefficients of μ^-1, μ^-2, ... in the asymptotic series of the entropy less ½ log(2πeμ), which
#: follow from Stirling's series (DLMF 5.11.1) and the central moments.
_ENTROPY = [
    -1 / 12, -1 / 24, -19 / 360, -9 / 80, -863 / 2520, -1375 / 1008, -6.73670634921, -39.7784724, -273.60528, -2149.78, -18989.5, -188830.0,
]  # fmt: skip


def _inside(k: Any) -> tuple[Any, Any]:
    """Where `k` is outside of the support, and `k` inside."""
    outside = (k < 0) | (k != jnp.floor(k)) | (k == math.inf)
    outside = outside & (k == k)
    return outside, instead(outside, k, 0.0)


@family.weak
def logpmf(k: Any, mu: Any, loc: Any = 0) -> Array:
    """
    >>> logpmf(2, 3.0)
    Array(-1.4959226, dtype=float32, weak_type=True)
    """
    outside, k = _inside(standardized(k, loc, None))
    return jnp.where(outside, -math.inf, apply(log_poisson_p, k, mu))


@family.weak
def pmf(k: Any, mu: Any, loc: Any = 0) -> Array:
    """
    >>> pmf(2, 3.0)
    Array(0.2240418, dtype=float32, weak_type=True)
    """
    outside, k = _inside(standardized(k, loc, None))
    return jnp.where(outside, 0.0, apply(poisson_mass_p, k, mu))


@family
def cdf(k: Any, mu: Any, loc: Any = 0) -> Array:
    """
    >>> cdf(2, 3.0)
    Array(0.4231901, dtype=float32, weak_type=True)
    """
    k = standardized(k, loc, None)
    below = k < 0
    return jnp.where(below, 0.0, special.gammaincc(jnp.floor(instead(below, k, 0.0)) + 1, mu))


@family.strong
def entropy(mu: Any, loc: Any = 0) -> Array:
    """
    >>> entropy(3.0)
    Array(1.9314702, dtype=float32)
    """
    # The sum, as long as it has few terms, and then the asymptotic series.
    single = mu.dtype.itemsize < 8
    large, terms, count = (16.0, 56, 7) if single else (40.0, 120, 12)
    far, none = mu >= large, mu == 0
    m = jnp.expand_dims(instead(far | none, mu, 1.0), -1)
    k = np.arange(terms, dtype=mu.dtype)
    log = k * jnp.log(m) - m - special.gammaln(k + 1)
    near = jnp.where(none, 0.0, -jnp.sum(jnp.exp(log) * log, -1))
    m = jnp.where(far, mu, large)
    series = 0.0
    for c in reversed(_ENTROPY[:count]):
        series = (series + c) / m
    return jnp.where(far, 0.5 * (LOG_2PI + 1 + jnp.log(m)) + series, near)


__all__ = ["cdf", "entropy", "logpmf", "pmf"]
