"""The normal distribution between `a` and `b`, in units of `scale` from `loc`: the density of
z = (x - loc)/scale in [a, b] is φ(z) / (Φ(b) - Φ(a)).

The mass Φ(b) - Φ(a) is taken in its logarithm, and from the side on which the tail is: it does not
underflow, and probabilities near 1 are not subtracted.
"""

from __future__ import annotations

import math
from typing import Any

import pullback.numpy as jnp
from pullback.core.array import Array
from pullback.scipy import special
from pullback.scipy.stats.families import LOG_2PI, Family, instead, less_log, log1mexp, standardized

family = Family("the truncated normal distribution", scale="positive")


def _log_mass(low: Any, high: Any) -> Any:
    """log(Φ(high) - Φ(low)) for low < high, and NaN elsewhere."""
    right = low > 0
    low, high = jnp.where(right, -high, low), jnp.where(right, -low, high)
    ordered = low < high
    one_sided = (high <= 0) & ordered
    # In a tail, log Φ(high) + log(1 - Φ(low)/Φ(high)).
    l, h = jnp.where(one_sided, low, -2.0), jnp.where(one_sided, high, -1.0)
    unbounded = l == -math.inf
    top = special.log_ndtr(h)
    below = top - special.log_ndtr(instead(unbounded, l, -2.0))
    rest = log1mexp(instead(unbounded, below, 1.0))
    tail = top + jnp.where(unbounded, 0.0, rest)
    # Else what both tails leave.
    l, h = jnp.where(one_sided | ~ordered, -1.0, low), jnp.where(one_sided | ~ordered, 1.0, high)
    middle = jnp.log1p(-special.ndtr(l) - special.ndtr(-h))
    return jnp.where(ordered, jnp.where(one_sided, tail, middle), math.nan)


def _log_probabilities(z: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """The logarithms of the probabilities of at most and of more than `z`."""
    low, high = z <= a, z >= b
    outside = low | high
    # Where nothing is to be computed, an interval of which z is the middle.
    z_, a_, b_ = jnp.where(outside, 0.0, z), jnp.where(outside, -1.0, a), jnp.where(outside, 1.0, b)
    mass = _log_mass(a_, b_)
    below, above = _log_mass(a_, z_) - mass, _log_mass(z_, b_) - mass
    ordered = a < b

    def finish(mine: Any, other: Any, never: Any, always: Any) -> Any:
        # Near 1, a probability is what the other leaves.
        most = (mine > -0.1) & (other < 0)
        out = jnp.where(most, jnp.log1p(-jnp.exp(jnp.where(most, other, -1.0))), mine)
        return jnp.where(ordered, jnp.where(never, -math.inf, jnp.where(always, 0.0, out)), math.nan)

    return finish(below, above, low, high), finish(above, below, high, low)


def _log_density(z: Any, a: Any, b: Any) -> Any:
    """Where `z` is outside of the support, and the logarithm of the density inside."""
    outside = (z < a) | (z > b)
    inside = instead(outside, z, 0.0)
    ordered = a < b
    mass = _log_mass(jnp.where(ordered, a, -1.0), jnp.where(ordered, b, 1.0))
    return outside, jnp.where(ordered, -0.5 * (inside * inside + LOG_2PI) - mass, math.nan)


@family.strong
def logpdf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> logpdf(1.0, 0.0, 2.0)
    Array(-0.6792234, dtype=float32)
    """
    outside, log = _log_density(standardized(x, loc, scale), a, b)
    return less_log(jnp.where(outside & (a < b), -math.inf, log), scale)


@family.strong
def pdf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> pdf(1.0, 0.0, 2.0)
    Array(0.5070106, dtype=float32)
    """
    outside, log = _log_density(standardized(x, loc, scale), a, b)
    return jnp.where(outside & (a < b), 0.0, jnp.exp(less_log(log, scale)))


@family.strong
def logcdf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> logcdf(1.0, 0.0, 2.0)
    Array(-0.33514738, dtype=float32)
    """
    return _log_probabilities(standardized(x, loc, scale), a, b)[0]


@family.strong
def cdf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> cdf(1.0, 0.0, 2.0)
    Array(0.7152327, dtype=float32)
    """
    return _probability(0, x, a, b, loc, scale)


@family.strong
def logsf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> logsf(19.0, 0.0, 20.0)
    Array(-183.67299, dtype=float32)
    """
    return _log_probabilities(standardized(x, loc, scale), a, b)[1]


@family.strong
def sf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Array:
    """
    >>> sf(1.0, 0.0, 2.0)
    Array(0.2847672, dtype=float32)
    """
    return _probability(1, x, a, b, loc, scale)


def _probability(which: int, x: Any, a: Any, b: Any, loc: Any, scale: Any) -> Any:
    log = _log_probabilities(standardized(x, loc, scale), a, b)[which]
    never = log == -math.inf
    return jnp.where(never, 0.0, jnp.exp(instead(never, log, 0.0)))


__all__ = ["cdf", "logcdf", "logpdf", "logsf", "pdf", "sf"]
