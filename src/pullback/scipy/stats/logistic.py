"""The logistic distribution: the density of z = (x - loc)/scale is 1/(e^(z/2) + e^(-z/2))²."""

from __future__ import annotations

from typing import Any

import pullback.numpy as jnp
from pullback.core.array import Array
from pullback.scipy import special
from pullback.scipy.stats.families import Family, less_log, per, relocated, standardized
from pullback.transforms.custom_jvp import custom_jvp

family = Family("the logistic distribution", scale="positive")


@custom_jvp
def _log_density(z: Any) -> Any:
    size = jnp.abs(z)
    return -size - 2 * jnp.log1p(jnp.exp(-size))


@_log_density.defjvp
def _log_density_jvp(primals: Any, tangents: Any) -> Any:
    # Differences of probabilities, which cancel near 0, are the hyperbolic tangent.
    (z,), (t,) = primals, tangents
    return _log_density(z), -jnp.tanh(0.5 * z) * t


@custom_jvp
def _density(z: Any) -> Any:
    return special.expit(z) * special.expit(-z)


@_density.defjvp
def _density_jvp(primals: Any, tangents: Any) -> Any:
    (z,), (t,) = primals, tangents
    out = _density(z)
    return out, -out * jnp.tanh(0.5 * z) * t


@custom_jvp
def _below(z: Any) -> Any:
    """The probability of at most `z`, whose derivative, the density, is exact also where this is near 1."""
    return special.expit(z)


@_below.defjvp
def _below_jvp(primals: Any, tangents: Any) -> Any:
    (z,), (t,) = primals, tangents
    return _below(z), _density(z) * t


@family
def logpdf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> logpdf(1.0)
    Array(-1.6265233, dtype=float32, weak_type=True)
    """
    return less_log(_log_density(standardized(x, loc, scale)), scale)


@family
def pdf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> pdf(1.0)
    Array(0.19661193, dtype=float32, weak_type=True)
    """
    return per(_density(standardized(x, loc, scale)), scale)


@family
def cdf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> cdf(-1.0)
    Array(0.2689414, dtype=float32, weak_type=True)
    """
    return _below(standardized(x, loc, scale))


@family
def sf(x: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> sf(50.0)
    Array(1.9287499e-22, dtype=float32, weak_type=True)
    """
    return _below(-standardized(x, loc, scale))


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
