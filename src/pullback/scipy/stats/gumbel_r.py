"""The Gumbel distribution of maxima: the density of z = (x - loc)/scale is exp(-z - e^-z)."""

from __future__ import annotations

import math
from typing import Any

import pullback.numpy as jnp
from pullback.core.array import Array
from pullback.scipy.stats.families import (
    Family,
    instead,
    less_log,
    log1mexp,
    per,
    refuse_quantiles,
    relocated,
    standardized,
)
from pullback.transforms.custom_jvp import custom_jvp

family = Family("the right-skewed Gumbel distribution", scale="positive")


@custom_jvp
def log_density(z: Any) -> Any:
    """-z - e^-z, whose derivative e^-z - 1 cancels near 0 unless it is taken as one."""
    lowest = z == -math.inf
    z = instead(lowest, z, 0.0)
    return jnp.where(lowest, -math.inf, -z - jnp.exp(-z))


@log_density.defjvp
def _log_density_jvp(primals: Any, tangents: Any) -> Any:
    (z,), (t,) = primals, tangents
    return log_density(z), jnp.expm1(-z) * t


@custom_jvp
def density(z: Any) -> Any:
    below = z < _LOWEST
    z = instead(below, z, 0.0)
    return jnp.where(below, 0.0, jnp.exp(-z - jnp.exp(-z)))


@density.defjvp
def _density_jvp(primals: Any, tangents: Any) -> Any:
    (z,), (t,) = primals, tangents
    out = density(z)
    return out, out * jnp.expm1(-instead(z < _LOWEST, z, 0.0)) * t


def below(z: Any) -> Any:
    """The probability of at most `z`: exp(-e^-z)."""
    lowest = z < _LOWEST
    return jnp.where(lowest, 0.0, jnp.exp(-jnp.exp(-instead(lowest, z, 0.0))))


def above(z: Any) -> Any:
    """The probability of more than `z`: 1 - exp(-e^-z)."""
    lowest = z < _LOWEST
    return jnp.where(lowest, 1.0, -jnp.expm1(-jnp.exp(-instead(lowest, z, 0.0))))


def log_above(z: Any) -> Any:
    """The logarithm of the probability of more than `z`, which approaches -z."""
    lowest, highest = z < _LOWEST, z > _HIGHEST
    middle = log1mexp(jnp.exp(-instead(lowest | highest, z, 0.0)))
    return jnp.where(lowest, 0.0, jnp.where(highest, -instead(lowest, z, 0.0), middle))


#: Below, exp(-e^-z) is 0 in every dtype; above the other, e^-z is lost beside 1.
_LOWEST, _HIGHEST = -7.0, 40.0


@family
def logpdf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> logpdf(1.0)
    Array(-1.3678794, dtype=float32, weak_type=True)
    """
    return less_log(log_density(standardized(x, loc, scale)), scale)


@family
def pdf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> pdf(1.0)
    Array(0.2546464, dtype=float32, weak_type=True)
    """
    return per(density(standardized(x, loc, scale)), scale)


@family
def cdf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> cdf(1.0)
    Array(0.69220066, dtype=float32, weak_type=True)
    """
    return below(standardized(x, loc, scale))


@family
def logcdf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> logcdf(1.0)
    Array(-0.36787942, dtype=float32, weak_type=True)
    """
    return -jnp.exp(-standardized(x, loc, scale))


@family
def sf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> sf(20.0)
    Array(2.0611537e-09, dtype=float32, weak_type=True)
    """
    return above(standardized(x, loc, scale))


@family
def logsf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> logsf(200.0)
    Array(-200., dtype=float32, weak_type=True)
    """
    return log_above(standardized(x, loc, scale))


@family
def ppf(p: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> ppf(0.5)
    Array(0.36651292, dtype=float32, weak_type=True)
    """
    return relocated(refuse_quantiles(p, -jnp.log(-jnp.log(p))), loc, scale)


__all__ = ["cdf", "logcdf", "logpdf", "logsf", "pdf", "ppf", "sf"]
