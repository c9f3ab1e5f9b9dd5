"""Student's t distribution of `df` degrees of freedom: the density of z = (x - loc)/scale is
(1 + z²/df)^(-(df + 1)/2) / (√df B(df/2, ½))."""

from __future__ import annotations

import math
from typing import Any

import pullback.numpy as jnp
from pullback.core.array import Array
from pullback.scipy import special
from pullback.scipy.stats.families import Family, instead, less_log, log1p_square, per, standardized

family = Family("Student's t distribution", df="positive", scale="positive")


def _log_density(z: Any, df: Any) -> Any:
    root = jnp.sqrt(df)
    return -special.betaln(0.5 * df, 0.5) - jnp.log(root) - 0.5 * (df + 1) * log1p_square(z / root)


@family
def logpdf(x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> logpdf(1.0, 3.0)
    Array(-1.5762529, dtype=float32, weak_type=True)
    """
    return less_log(_log_density(standardized(x, loc, scale), df), scale)


@family
def pdf(x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> pdf(1.0, 3.0)
    Array(0.20674834, dtype=float32, weak_type=True)
    """
    z = standardized(x, loc, scale)
    infinite = jnp.abs(z) == math.inf
    density = jnp.exp(_log_density(instead(infinite, z, 0.0), df))
    return per(jnp.where(infinite, 0.0, density), scale)


__all__ = ["logpdf", "pdf"]
