"""The wrapped Cauchy distribution on [0, 2π]: the density is (1 - c²) / (2π (1 + c² - 2c cos x)), whose
denominator is (1 - c)² + 4c sin²(x/2)."""

from __future__ import annotations

import math
from typing import Any

import pullback.numpy as jnp
from pullback.core.array import Array
from pullback.scipy.stats.families import LOG_2PI, Family, instead

family = Family("the wrapped Cauchy distribution", c="inside the unit")


def _denominator(x: Any, c: Any) -> Any:
    """Where `x` is outside of the support, and the denominator inside."""
    outside = (x < 0) | (x > 2 * math.pi)
    sine = jnp.sin(0.5 * instead(outside, x, 0.0))
    return outside, (1 - c) * (1 - c) + 4 * c * (sine * sine)


@family.weak
def logpdf(x: Any, c: Any) -> Array:
    """
    >>> logpdf(1.0, 0.5)
    Array(-1.782643, dtype=float32, weak_type=True)
    """
    outside, denominator = _denominator(x, c)
    log = jnp.log1p(-c * c) - LOG_2PI - jnp.log(denominator)
    return jnp.where(outside, -math.inf, log)


@family.weak
def pdf(x: Any, c: Any) -> Array:
    """
    >>> pdf(1.0, 0.5)
    Array(0.16819303, dtype=float32, weak_type=True)
    """
    outside, denominator = _denominator(x, c)
    return jnp.where(outside, 0.0, (1 - c) * (1 + c) / (2 * math.pi * denominator))


__all__ = ["logpdf", "pdf"]
