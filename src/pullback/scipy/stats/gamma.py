"""The gamma distribution of shape `a`: the density of z = (x - loc)/scale ≥ 0 is
z^(a-1) e^-z / Γ(a) (DLMF 8.2)."""

from __future__ import annotations

import math
from typing import Any

import pullback.numpy as jnp
from pullback.core.array import Array
from pullback.scipy import special
from pullback.scipy.stats.families import Family, instead, less_log, log_of_tail, per, standardized, times_log

family = Family("the gamma distribution", a="positive", scale="positive")


def log_density(z: Any, a: Any) -> Any:
    outside = (z < 0) | (z == math.inf)
    inside = instead(outside, z, 1.0)
    return jnp.where(outside, -math.inf, times_log(a - 1, inside) - inside - special.gammaln(a))


def density(z: Any, a: Any) -> Any:
    outside = (z < 0) | (z == math.inf)
    inside = instead(outside, z, 1.0)
    log = times_log(a - 1, inside) - inside - special.gammaln(a)
    return jnp.where(outside, 0.0, jnp.exp(log))


def below(z: Any, a: Any) -> Any:
    return special.gammainc(a, instead(z < 0, z, 0.0))


def above(z: Any, a: Any) -> Any:
    return special.gammaincc(a, instead(z < 0, z, 0.0))


def log_below(z: Any, a: Any) -> Any:
    outside = z <= 0
    log = _log_of_smaller(instead(outside, z, 1.0), a, lower=True)
    return jnp.where(outside, -math.inf, log)


def log_above(z: Any, a: Any) -> Any:
    outside = z <= 0
    log = _log_of_smaller(instead(outside, z, 1.0), a, lower=False)
    return jnp.where(outside, 0.0, log)


def _log_of_smaller(z: Any, a: Any, lower: bool) -> Any:
    """The logarithm of the lower or the upper probability, by the smaller of the two."""
    upper = z > a
    tail = jnp.where(upper, special.gammaincc(a, z), special.gammainc(a, z))
    return log_of_tail(upper != lower, tail)


@family
def logpdf(x: Any, a: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> logpdf(1.0, 2.0)
    Array(-1., dtype=float32, weak_type=True)
    """
    return less_log(log_density(standardized(x, loc, scale), a), scale)


@family
def pdf(x: Any, a: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> pdf(1.0, 2.0)
    Array(0.36787942, dtype=float32, weak_type=True)
    """
    return per(density(standardized(x, loc, scale), a), scale)


@family
def cdf(x: Any, a: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> cdf(1.0, 2.0)
    Array(0.26424113, dtype=float32, weak_type=True)
    """
    return below(standardized(x, loc, scale), a)


@family
def logcdf(x: Any, a: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> logcdf(1.0, 2.0)
    Array(-1.3308933, dtype=float32, weak_type=True)
    """
    return log_below(standardized(x, loc, scale), a)


@family.weak
def sf(x: Any, a: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> sf(50.0, 2.0)
    Array(9.836624e-21, dtype=float32, weak_type=True)
    """
    return above(standardized(x, loc, scale), a)


@family.weak
def logsf(x: Any, a: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> logsf(50.0, 2.0)
    Array(-46.068176, dtype=float32, weak_type=True)
    """
    return log_above(standardized(x, loc, scale), a)


__all__ = ["cdf", "logcdf", "logpdf", "logsf", "pdf", "sf"]
