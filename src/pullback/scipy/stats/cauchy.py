"""The Cauchy distribution: the density of z = (x - loc)/scale is 1/(π (1 + z²)).

Probabilities are angles, atan2(1, ∓z)/π, which are exact in both tails."""

from __future__ import annotations

import math
from typing import Any

import pullback.numpy as jnp
from pullback.core.array import Array
from pullback.lax.probabilities import cauchy_tail_p
from pullback.scipy.special.operands import apply
from pullback.scipy.stats.families import (
    Family,
    instead,
    less_log,
    log1p_square,
    per,
    refuse_quantiles,
    relocated,
    standardized,
)

family = Family("the Cauchy distribution", scale="positive")


def _log_above(z: Any) -> Any:
    upper = z > 0
    tail = apply(cauchy_tail_p, jnp.where(upper, z, -z))
    return jnp.where(upper, jnp.log(jnp.where(upper, tail, 1.0)), jnp.log1p(-instead(upper, tail, 0.0)))


def _quantile(q: Any) -> Any:
    """tan(π (q - ½)): near the ends, by the reciprocal, of the distance from there."""
    low = q < 0.5
    rest = jnp.where(low, q, 1 - q)
    end = rest < 0.25
    tangent = jnp.tan(math.pi * jnp.where(end, rest, 0.5 - rest))
    size = jnp.where(end, 1 / jnp.where(end, tangent, 1.0), tangent)
    return refuse_quantiles(q, jnp.where(low, -size, size))


@family
def logpdf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> logpdf(1.0)
    Array(-1.837877, dtype=float32, weak_type=True)
    """
    z = standardized(x, loc, scale)
    return less_log(-log1p_square(z) - math.log(math.pi), scale)


@family
def pdf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> pdf(1.0)
    Array(0.15915494, dtype=float32, weak_type=True)
    """
    z = standardized(x, loc, scale)
    far = jnp.abs(z) > 1
    inverse = 1 / jnp.where(far, z, 1.0)
    near = instead(far, z, 0.0)
    density = jnp.where(far, inverse * inverse / (1 + inverse * inverse), 1 / (1 + near * near))
    return per(density * (1 / math.pi), scale)


@family
def cdf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> cdf(-1e6)
    Array(3.1830987e-07, dtype=float32, weak_type=True)
    """
    return apply(cauchy_tail_p, -standardized(x, loc, scale))


@family
def logcdf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> logcdf(1e6)
    Array(-3.1830993e-07, dtype=float32, weak_type=True)
    """
    return _log_above(-standardized(x, loc, scale))


@family
def sf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> sf(1e6)
    Array(3.1830987e-07, dtype=float32, weak_type=True)
    """
    return apply(cauchy_tail_p, standardized(x, loc, scale))


@family
def logsf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> logsf(1e6)
    Array(-14.96024, dtype=float32, weak_type=True)
    """
    return _log_above(standardized(x, loc, scale))


@family
def ppf(q: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> ppf(0.75)
    Array(1., dtype=float32, weak_type=True)
    """
    return relocated(_quantile(q), loc, scale)


@family
def isf(q: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> isf(1e-6)
    Array(318309.88, dtype=float32, weak_type=True)
    """
    return relocated(-_quantile(q), loc, scale)


__all__ = ["cdf", "isf", "logcdf", "logpdf", "logsf", "pdf", "ppf", "sf"]
