"""The logistic distribution: the density of z = (x - loc)/scale is 1/(e^(z/2) + e^(-z/2))²."""

from __future__ import annotations

from typing import Any

import pullback.numpy as jnp
from pullback.core.array import Array
from pullback.scipy import special
from pullback.scipy.stats.families import Family, less_log, per, relocated, standardized

family = Family("the logistic distribution", scale="positive")


@family
def logpdf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> logpdf(1.0)
    Array(-1.6265233, dtype=float32, weak_type=True)
    """
    half = 0.5 * standardized(x, loc, scale)
    return less_log(-2 * jnp.logaddexp(half, -half), scale)


@family
def pdf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> pdf(1.0)
    Array(0.19661193, dtype=float32, weak_type=True)
    """
    z = standardized(x, loc, scale)
    return per(special.expit(z) * special.expit(-z), scale)


@family
def cdf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> cdf(-1.0)
    Array(0.2689414, dtype=float32, weak_type=True)
    """
    return special.expit(standardized(x, loc, scale))


@family
def sf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> sf(50.0)
    Array(1.9287499e-22, dtype=float32, weak_type=True)
    """
    return special.expit(-standardized(x, loc, scale))


@family
def ppf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> ppf(0.75)
    Array(1.0986123, dtype=float32, weak_type=True)
    """
    return relocated(special.logit(x), loc, scale)


@family
def isf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> isf(0.25)
    Array(1.0986123, dtype=float32, weak_type=True)
    """
    return relocated(-special.logit(x), loc, scale)


__all__ = ["cdf", "isf", "logpdf", "pdf", "ppf", "sf"]
