"""The von Mises distribution on the circle: the density is e^(κ cos x) / (2π I₀(κ)) (Mardia and Jupp,
"Directional statistics", 3.5.4), without the factor e^κ that would overflow."""

from __future__ import annotations

import math
from typing import Any

import pullback.numpy as jnp
from pullback.core.array import Array
from pullback.scipy import special
from pullback.scipy.stats.families import LOG_2PI, Family

family = Family("the von Mises distribution", kappa="not negative")


@family.weak
def logpdf(x: Any, kappa: Any) -> Array:
    """
    >>> logpdf(1.0, 2.0)
    Array(-1.581266, dtype=float32, weak_type=True)
    """
    sine = jnp.sin(0.5 * x)
    return -2 * kappa * sine * sine - LOG_2PI - jnp.log(special.i0e(kappa))


@family.weak
def pdf(x: Any, kappa: Any) -> Array:
    """
    >>> pdf(1.0, 2.0)
    Array(0.20571448, dtype=float32, weak_type=True)
    """
    sine = jnp.sin(0.5 * x)
    return jnp.exp(-2 * kappa * sine * sine) / (2 * math.pi * special.i0e(kappa))


__all__ = ["logpdf", "pdf"]
