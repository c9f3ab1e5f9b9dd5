"""The gamma distribution, and what is made of gamma numbers. All are differentiable with respect to their parameters."""

from __future__ import annotations

from typing import Any

from pullback.core import config
from pullback.core.array import Array
from pullback.core.errors import user_line
from pullback.core.types import Shape, broadcast_shapes, count
from pullback.lax import functions as lax
from pullback.lax.gradient import stop_gradient
from pullback.lax.reductions import reduce_max, reduce_sum
from pullback.lax.shape import broadcast_to, convert, expand_dims
from pullback.random.arguments import array_like, canonical_shape, float_dtype, parameters, single_key, standard_normals
from pullback.random.basic import rademacher
from pullback.random.continuous import standard_exponentials
from pullback.random.keys import split
from pullback.random.rejection import random_gamma_p
from pullback.xla.devices import no_sharding


def _gammas(key: Array, a: Array, shape: Shape, log_space: bool) -> Array:
    return random_gamma_p.bind(
        key, broadcast_to(a, shape), log_space=log_space, partitionable=config.threefry_partitionable.value
    )


def gamma(key: Any, a: Any, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None) -> Array:
    """Gamma numbers of shape parameter `a` and scale 1: density x**(a - 1) exp(-x) / Γ(a). `shape` defaults to that of `a`.

    For small `a` they underflow: see `loggamma`. The derivative with respect to `a` is that of the quantile function.

    >>> from pullback import random
    >>> random.gamma(random.PRNGKey(0), 2.0)
    Array(2.1550982, dtype=float32)
    """
    no_sharding("gamma", out_sharding)
    key, dtype = single_key("gamma", key), float_dtype("gamma", dtype)
    shape, a = parameters("gamma", dtype, shape, a)
    return _gammas(key, a, shape, log_space=False)


def loggamma(key: Any, a: Any, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None) -> Array:
    """Logarithms of gamma numbers of shape parameter `a`: exact where those underflow. `shape` defaults to that of `a`."""
    no_sharding("loggamma", out_sharding)
    key, dtype = single_key("loggamma", key), float_dtype("loggamma", dtype)
    shape, a = parameters("loggamma", dtype, shape, a)
    return _gammas(key, a, shape, log_space=True)


def beta(key: Any, a: Any, b: Any, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None) -> Array:
    """Beta numbers: density ∝ x**(a - 1) (1 - x)**(b - 1). `shape` defaults to what the parameters broadcast to.

    As the quotient X / (X + Y) of gamma numbers, from their logarithms.
    """
    no_sharding("beta", out_sharding)
    key, dtype = single_key("beta", key), float_dtype("beta", dtype)
    shape, a, b = parameters("beta", dtype, shape, a, b)
    first, second = split(key)
    log_x, log_y = _gammas(first, a, shape, log_space=True), _gammas(second, b, shape, log_space=True)
    largest = lax.max(log_x, log_y)
    x, y = lax.exp(log_x - largest), lax.exp(log_y - largest)
    return x / (x + y)


def dirichlet(key: Any, alpha: Any, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None) -> Array:
    """Probability vectors with density ∝ Π xᵢ**(αᵢ - 1), for `alpha` of shape (..., n).

    `shape`, by default that of `alpha` without its last axis, is that of the result without its last axis. Raises ValueError if `alpha` is
    a scalar, or its shape does not fit.
    """
    no_sharding("dirichlet", out_sharding)
    key, dtype = single_key("dirichlet", key), float_dtype("dirichlet", dtype)
    alpha = array_like("dirichlet", alpha)
    if not alpha.ndim:
        raise ValueError(f"dirichlet requires alpha.ndim >= 1, got alpha.ndim == {alpha.ndim}, at {user_line()}")
    lead = alpha.shape[:-1]
    shape = lead if shape is None else canonical_shape(shape)
    if broadcast_shapes(shape, lead) != shape:
        raise ValueError(
            f"dirichlet: alpha of shape {alpha.shape} must broadcast to shape={shape} and its last axis, at {user_line()}"
        )
    log_x = _gammas(key, convert(alpha, dtype), (*shape, alpha.shape[-1]), log_space=True)
    axis = len(shape)
    largest = expand_dims(reduce_max(stop_gradient(log_x), (axis,)), axis)
    x = lax.exp(log_x - broadcast_to(largest, log_x.shape))
    return x / broadcast_to(expand_dims(reduce_sum(x, (axis,)), axis), x.shape)


def chisquare(key: Any, df: Any, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None) -> Array:
    """χ² numbers of `df` degrees of freedom. `shape` defaults to that of `df`."""
    no_sharding("chisquare", out_sharding)
    key, dtype = single_key("chisquare", key), float_dtype("chisquare", dtype)
    shape, df = parameters("chisquare", dtype, shape, df)
    return _chisquares(key, df, shape)


def _chisquares(key: Array, df: Array, shape: Shape) -> Array:
    return 2 * lax.exp(_gammas(key, df / 2, shape, log_space=True))


def t(key: Any, df: Any, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None) -> Array:
    """Numbers of Student's t distribution with `df` degrees of freedom. `shape` defaults to that of `df`."""
    no_sharding("t", out_sharding)
    key, dtype = single_key("t", key), float_dtype("t", dtype)
    shape, df = parameters("t", dtype, shape, df)
    normal_key, gamma_key = split(key)
    half = df / 2
    return standard_normals(normal_key, shape, dtype) * lax.sqrt(
        half / _gammas(gamma_key, half, shape, log_space=False)
    )


def f(key: Any, dfnum: Any, dfden: Any, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None) -> Array:
    """Numbers of Fisher's F distribution: quotients of χ² numbers divided by their degrees of freedom."""
    no_sharding("f", out_sharding)
    key, dtype = single_key("f", key), float_dtype("f", dtype)
    shape, dfnum, dfden = parameters("f", dtype, shape, dfnum, dfden)
    below, above = split(key)
    return (_chisquares(above, dfnum, shape) / dfnum) / (_chisquares(below, dfden, shape) / dfden)


def generalized_normal(key: Any, p: Any, shape: Any = (), dtype: Any = None, *, out_sharding: Any = None) -> Array:
    """Numbers with density ∝ exp(-|x|**p): p = 2 gives normal numbers of variance 1/2, p = 1 Laplace's."""
    no_sharding("generalized_normal", out_sharding)
    key, dtype = single_key("generalized_normal", key), float_dtype("generalized_normal", dtype)
    shape, p = parameters("generalized_normal", dtype, shape, p)
    gamma_key, sign_key = split(key)
    inverse = 1 / p
    return rademacher(sign_key, shape, dtype) * _gammas(gamma_key, inverse, shape, log_space=False) ** inverse


def ball(key: Any, d: int, p: Any = 2, shape: Any = (), dtype: Any = None, *, out_sharding: Any = None) -> Array:
    """Points of the unit ball Σ|xᵢ|**p ≤ 1 of `d` dimensions, uniformly distributed: shape (*shape, d).

    By Barthe, Guédon, Mendelson and Naor ("A probabilistic approach to the geometry of the ℓₚⁿ-ball", 2005).
    """
    no_sharding("ball", out_sharding)
    key, dtype, shape = single_key("ball", key), float_dtype("ball", dtype), canonical_shape(shape)
    d = count(d, "ball: d")
    normal_key, exponential_key = split(key)
    _, p = parameters("ball", dtype, (), p)
    g = generalized_normal(normal_key, p, (*shape, d), dtype)
    total = reduce_sum(lax.abs(g) ** p, (len(shape),)) + standard_exponentials(exponential_key, shape, dtype)
    return g / broadcast_to(expand_dims(total ** (1 / p), len(shape)), g.shape)


__all__ = ["ball", "beta", "chisquare", "dirichlet", "f", "gamma", "generalized_normal", "loggamma", "t"]
