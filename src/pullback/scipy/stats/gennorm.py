"""The generalized normal distribution of exponent `beta`: the density is β e^(-|x|^β) / (2 Γ(1/β))."""

from __future__ import annotations

import math
from typing import Any

import pullback.numpy as jnp
from pullback.core.array import Array
from pullback.scipy import special
from pullback.scipy.stats.families import Family, instead
from pullback.transforms.custom_jvp import custom_jvp
from pullback.transforms.jvp import jvp

family = Family("the generalized normal distribution", beta="positive")


def _power(x: Any, beta: Any) -> Any:
    """|x|^β, whose derivative by `x` is 0 at 0."""
    zero = x == 0
    return jnp.where(zero, 0.0, jnp.abs(instead(zero, x, 1.0)) ** beta)


def _log_density(x: Any, beta: Any) -> Any:
    return jnp.log(0.5 * beta) - special.gammaln(1 / beta) - _power(x, beta)


def _density(x: Any, beta: Any) -> Any:
    infinite = jnp.abs(x) == math.inf
    return jnp.where(infinite, 0.0, jnp.exp(_log_density(instead(infinite, x, 0.0), beta)))


def _probability(x: Any, beta: Any) -> Any:
    tail = 0.5 * special.gammaincc(1 / beta, _power(x, beta))
    return jnp.where(x > 0, 1 - tail, tail)


@custom_jvp
def _below(x: Any, beta: Any) -> Any:
    """The probability of at most `x`, whose derivative by `x` is the density also at 0."""
    return _probability(x, beta)


@_below.defjvp
def _below_jvp(primals: Any, tangents: Any) -> Any:
    (x, beta), (x_t, beta_t) = primals, tangents
    out, by_beta = jvp(lambda beta: _probability(x, beta), (beta,), (beta_t,))
    return out, by_beta + x_t * _density(x, beta)


@family.weak
def logpdf(x: Any, beta: Any) -> Array:
    """
    >>> logpdf(1.0, 3.0)
    Array(-1.5799556, dtype=float32, weak_type=True)
    """
    return _log_density(x, beta)


@family.weak
def pdf(x: Any, beta: Any) -> Array:
    """
    >>> pdf(1.0, 3.0)
    Array(0.20598425, dtype=float32, weak_type=True)
    """
    return _density(x, beta)


@family.weak
def cdf(x: Any, beta: Any) -> Array:
    """
    >>> cdf(-1.0, 3.0)
    Array(0.04785571, dtype=float32, weak_type=True)
    """
    return _below(x, beta)


__all__ = ["cdf", "logpdf", "pdf"]
