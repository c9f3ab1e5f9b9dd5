"""Student's t distribution of `df` degrees of freedom: the density of z = (x - loc)/scale is
(1 + z²/df)^(-(df + 1)/2) / (√df B(df/2, ½))."""

from __future__ import annotations

import math
from typing import Any

import pullback.numpy as jnp
from pullback.core.array import Array
from pullback.lax.probabilities import log_t_density_p, t_density_p
from pullback.scipy.special.operands import apply
from pullback.scipy.stats.families import Family, instead, less_log, per, standardized

family = Family("Student's t distribution", df="positive", scale="positive")


@family
def logpdf(x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> logpdf(1.0, 3.0)
    Array(-1.5762529, dtype=float32, weak_type=True)
    """
    return less_log(apply(log_t_density_p, df, standardized(x, loc, scale)), scale)


@family
def pdf(x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> pdf(1.0, 3.0)
    Array(0.20674834, dtype=float32, weak_type=True)
    """
    z = standardized(x, loc, scale)
    infinite = jnp.abs(z) == math.inf
    density = apply(t_density_p, df, instead(infinite, z, 0.0))
    return per(jnp.where(infinite, 0.0, density), scale)


__all__ = ["logpdf", "pdf"]
