"""The beta distribution of shapes `a` and `b`: the density of z = (x - loc)/scale in [0, 1] is
z^(a-1) (1 - z)^(b-1) / B(a, b) (DLMF 8.17)."""

from __future__ import annotations

import math
from typing import Any

import pullback.numpy as jnp
from pullback.core.array import Array
from pullback.lax.probabilities import log_beta_density_p
from pullback.lax.special import beta_density_p
from pullback.scipy import special
from pullback.scipy.special.operands import apply
from pullback.scipy.stats.families import (
    Family,
    instead,
    is_tiny,
    less_log,
    log_of_tail,
    per,
    standardized,
)

family = Family("the beta distribution", a="positive", b="positive", scale="positive")


def _smaller(z: Any, a: Any, b: Any) -> tuple[Any, Any, Any, Any, Any]:
    """Where `z` is above the mean, the probability of what is farther from it, and of what z, a and b
    that is the lower tail: 1 - z near 0 would have lost the digits of z."""
    z = instead(z < 0, instead(z > 1, z, 1.0), 0.0)
    upper = z > a / (a + b)
    a, b, z = jnp.where(upper, b, a), jnp.where(upper, a, b), jnp.where(upper, 1 - z, z)
    return upper, special.betainc(a, b, z), z, a, b


def _tail(z: Any, a: Any, b: Any) -> tuple[Any, Any, Any]:
    """Where `z` is above the mean, the probability of what is farther from it, and the logarithm of
    that where it is tiny."""
    upper, tail, z, a, b = _smaller(z, a, b)
    end = z == 0
    tiny = is_tiny(tail) & ~end
    a, b, z = jnp.where(tiny, a, 1.0), jnp.where(tiny, b, 1.0), jnp.where(tiny, z, 0.25)
    log = apply(log_beta_density_p, a, b, z) + jnp.log(z) + jnp.log1p(-z) - jnp.log(a * _fraction(z, a, b))
    return upper, tail, jnp.where(end, -math.inf, log)


def _log_of_probability(z: Any, a: Any, b: Any, lower: bool) -> Any:
    outside = z <= 0 if lower else z >= 1
    upper, tail, log_tail = _tail(instead(outside, z, 0.5), a, b)
    return instead(outside, log_of_tail(upper != lower, tail, log_tail), -math.inf)


#: So many pairs of terms of the continued fraction, closed by the limit of the rest, are exact to a
#: few units of the last place for probabilities of less than 1e-30 (measured for shapes up to 1e4).
_PAIRS = 6


def _fraction(z: Any, a: Any, b: Any) -> Any:
    """z^a (1 - z)^b / (a B(a, b) I) far in the lower tail: 1 + d₁/(1 + d₂/(1 + ...)) (DLMF 8.17.22)."""

    def d(k: int) -> Any:
        m = k // 2
        if k % 2:
            return -(a + m) * (a + b + m) * z / ((a + 2 * m) * (a + (2 * m + 1)))
        return m * (b - m) * z / ((a + (2 * m - 1)) * (a + 2 * m))

    # As if the last two terms came again and again: t = 1 + d₁/(1 + d₂/t).
    odd, even = d(2 * _PAIRS + 1), d(2 * _PAIRS + 2)
    p = 1 + odd - even
    square = p * p + 4 * even
    t = 0.5 * (p + jnp.sqrt(jnp.where(square > 0, square, 1.0)))
    for k in range(2 * _PAIRS, 0, -1):
        t = 1 + d(k) / t
    return t


@family
def logpdf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> logpdf(0.25, 2.0, 3.0)
    Array(0.52324814, dtype=float32, weak_type=True)
    """
    z = standardized(x, loc, scale)
    outside = (z < 0) | (z > 1)
    log = apply(log_beta_density_p, a, b, instead(outside, z, 0.5))
    return less_log(jnp.where(outside, -math.inf, log), scale)


@family
def pdf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> pdf(0.25, 2.0, 3.0)
    Array(1.6875, dtype=float32, weak_type=True)
    """
    z = standardized(x, loc, scale)
    outside = (z < 0) | (z > 1)
    density = apply(beta_density_p, a, b, instead(outside, z, 0.5))
    return per(jnp.where(outside, 0.0, density), scale)


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
    return _log_of_probability(standardized(x, loc, scale), a, b, lower=True)


@family
def sf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> sf(0.25, 2.0, 3.0)
    Array(0.73828125, dtype=float32, weak_type=True)
    """
    upper, tail, _, _, _ = _smaller(standardized(x, loc, scale), a, b)
    return jnp.where(upper, tail, 1 - tail)


@family
def logsf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> logsf(0.25, 2.0, 3.0)
    Array(-0.3034304, dtype=float32, weak_type=True)
    """
    return _log_of_probability(standardized(x, loc, scale), a, b, lower=False)


__all__ = ["cdf", "logcdf", "logpdf", "logsf", "pdf", "sf"]
