"""The beta distribution of shapes `a` and `b`: the density of z = (x - loc)/scale in [0, 1] is
z^(a-1) (1 - z)^(b-1) / B(a, b) (DLMF 8.17)."""

from __future__ import annotations

import math
from typing import Any

import pullback.numpy as jnp
from pullback.core.array import Array
from pullback.scipy import special
from pullback.scipy.stats.families import (
    Family,
    instead,
    less_log,
    log_of_tail,
    per,
    standardized,
    times_log,
    times_log1p,
)

family = Family("the beta distribution", a="positive", b="positive", scale="positive")


def _log_density(z: Any, a: Any, b: Any) -> Any:
    """Where `z` is outside of the support, and the logarithm of the density inside."""
    outside = (z < 0) | (z > 1)
    inside = instead(outside, z, 0.5)
    return outside, times_log(a - 1, inside) + times_log1p(b - 1, -inside) - special.betaln(a, b)


def _tail(z: Any, a: Any, b: Any) -> Any:
    """Where `z` is above the mean, and the probability of what is farther from it."""
    z = instead(z < 0, instead(z > 1, z, 1.0), 0.0)
    upper = z > a / (a + b)
    return upper, special.betainc(jnp.where(upper, b, a), jnp.where(upper, a, b), jnp.where(upper, 1 - z, z))


@family
def logpdf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> logpdf(0.25, 2.0, 3.0)
    Array(0.5232482, dtype=float32, weak_type=True)
    """
    outside, log = _log_density(standardized(x, loc, scale), a, b)
    return less_log(jnp.where(outside, -math.inf, log), scale)


@family
def pdf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> pdf(0.25, 2.0, 3.0)
    Array(1.6875001, dtype=float32, weak_type=True)
    """
    outside, log = _log_density(standardized(x, loc, scale), a, b)
    return per(jnp.where(outside, 0.0, jnp.exp(log)), scale)


@family
def cdf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> cdf(0.25, 2.0, 3.0)
    Array(0.26171875, dtype=float32, weak_type=True)
    """
    z = standardized(x, loc, scale)
    return special.betainc(a, b, instead(z < 0, instead(z > 1, z, 1.0), 0.0))


@family
def logcdf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> logcdf(0.25, 2.0, 3.0)
    Array(-1.3404849, dtype=float32, weak_type=True)
    """
    upper, tail = _tail(standardized(x, loc, scale), a, b)
    return log_of_tail(~upper, tail)


@family
def sf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> sf(0.25, 2.0, 3.0)
    Array(0.73828125, dtype=float32, weak_type=True)
    """
    z = standardized(x, loc, scale)
    return special.betainc(b, a, 1 - instead(z < 0, instead(z > 1, z, 1.0), 0.0))


@family
def logsf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> logsf(0.25, 2.0, 3.0)
    Array(-0.3034304, dtype=float32, weak_type=True)
    """
    upper, tail = _tail(standardized(x, loc, scale), a, b)
    return log_of_tail(upper, tail)


__all__ = ["cdf", "logcdf", "logpdf", "logsf", "pdf", "sf"]
