"""The gamma distribution, and what is made of gamma numbers. All are differentiable with respect to
their parameters."""

from __future__ import annotations

from typing import Any

from pullback.core import config
from pullback.core.array import Array
from pullback.core.errors import user_line
from pullback.core.types import Shape, count
from pullback.lax import functions as lax
from pullback.lax.gradient import stop_gradient
from pullback.lax.reductions import reduce_max, reduce_sum
from pullback.lax.shape import broadcast_to, convert, expand_dims
from pullback.random.arguments import array_like, fitting_shape, parameters, sampling, standard_normals
from pullback.random.basic import rademacher
from pullback.random.continuous import standard_exponentials
from pullback.random.keys import split
from pullback.random.rejection import random_gamma_p


def _gammas(key: Array, a: Array, shape: Shape, log_space: bool) -> Array:
    return random_gamma_p.bind(
        key, broadcast_to(a, shape), log_space=log_space, partitionable=config.threefry_partitionable.value
    )


def gamma(key: Any, a: Any, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None) -> Array:
    """Gamma numbers of shape parameter `a` and scale 1: density x**(a - 1) exp(-x) / Γ(a). `shape`
    defaults to that of `a`.

    For small `a` they underflow: see `loggamma`. The derivative with respect to `a` is that of the
    quantile function.

    >>> import pullback as pb
    >>> from pullback import random
    >>> mean = lambda a: random.gamma(random.key(0), a, (10_000,)).mean()
    >>> value, slope = pb.value_and_grad(mean)(2.0)            # the mean is a
    >>> round(float(value), 1), round(float(slope), 1)
    (2.0, 1.0)
    """
    key, dtype, shape, a = sampling("gamma", out_sharding, key, dtype, shape, a)
    return _gammas(key, a, shape, log_space=False)


def loggamma(key: Any, a: Any, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None) -> Array:
    """Logarithms of gamma numbers of shape parameter `a`: exact where those underflow. `shape` defaults
    to that of `a`.

    >>> from pullback import random
    >>> key = random.key(0)
    >>> float(random.gamma(key, 1e-3)), round(float(random.loggamma(key, 1e-3)), 1)
    (0.0, -396.0)
    """
    key, dtype, shape, a = sampling("loggamma", out_sharding, key, dtype, shape, a)
    return _gammas(key, a, shape, log_space=True)


def beta(key: Any, a: Any, b: Any, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None) -> Array:
    """Beta numbers: density ∝ x**(a - 1) (1 - x)**(b - 1). `shape` defaults to what the parameters
    broadcast to.

    As the quotient X / (X + Y) of gamma numbers, from their logarithms.

    >>> from pullback import random
    >>> x = random.beta(random.key(0), 2.0, 6.0, (10_000,))
    >>> round(float(x.mean()), 2)                            # a / (a + b)
    0.25
    """
    key, dtype, shape, a, b = sampling("beta", out_sharding, key, dtype, shape, a, b)
    first, second = split(key)
    log_x, log_y = _gammas(first, a, shape, log_space=True), _gammas(second, b, shape, log_space=True)
    largest = lax.max(log_x, log_y)
    x, y = lax.exp(log_x - largest), lax.exp(log_y - largest)
    return x / (x + y)


def dirichlet(key: Any, alpha: Any, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None) -> Array:
    """Probability vectors with density ∝ Π xᵢ**(αᵢ - 1), for `alpha` of shape (..., n).

    `shape`, by default that of `alpha` without its last axis, is that of the result without its
    last axis. Raises ValueError if `alpha` is a scalar, or its shape does not fit.

    >>> import pullback.numpy as jnp
    >>> from pullback import random
    >>> x = random.dirichlet(random.key(0), jnp.array([1.0, 2.0, 3.0]), (4,))
    >>> x.shape, bool(jnp.allclose(x.sum(-1), 1))
    ((4, 3), True)
    """
    key, dtype, _ = sampling("dirichlet", out_sharding, key, dtype, ())
    alpha = array_like("dirichlet", alpha)
    if not alpha.ndim:
        raise ValueError(f"dirichlet requires alpha.ndim >= 1, got alpha.ndim == {alpha.ndim}, at {user_line()}")
    lead = alpha.shape[:-1]
    shape = fitting_shape(f"dirichlet: alpha of shape {alpha.shape}, without its last axis,", shape, lead)
    log_x = _gammas(key, convert(alpha, dtype), (*shape, alpha.shape[-1]), log_space=True)
    axis = len(shape)
    largest = expand_dims(reduce_max(stop_gradient(log_x), (axis,)), axis)
    x = lax.exp(log_x - broadcast_to(largest, log_x.shape))
    return x / broadcast_to(expand_dims(reduce_sum(x, (axis,)), axis), x.shape)


def chisquare(key: Any, df: Any, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None) -> Array:
    """χ² numbers of `df` degrees of freedom, with mean df and variance 2 df. `shape` defaults to that of
    `df`.

    >>> from pullback import random
    >>> x = random.chisquare(random.key(0), 3.0, (10_000,))
    >>> round(float(x.mean())), round(float(x.var()))
    (3, 6)
    """
    key, dtype, shape, df = sampling("chisquare", out_sharding, key, dtype, shape, df)
    return _chisquares(key, df, shape)


def _chisquares(key: Array, df: Array, shape: Shape) -> Array:
    return 2 * lax.exp(_gammas(key, df / 2, shape, log_space=True))


def t(key: Any, df: Any, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None) -> Array:
    """Numbers of Student's t distribution with `df` degrees of freedom. `shape` defaults to that of `df`.

    >>> from pullback import random
    >>> x = random.t(random.key(0), 4.0, (10_000,))
    >>> round(float((x < 1).mean()), 2)                      # the distribution function is 0.813 at 1
    0.82
    """
    key, dtype, shape, df = sampling("t", out_sharding, key, dtype, shape, df)
    normal_key, gamma_key = split(key)
    half = df / 2
    return standard_normals(normal_key, shape, dtype) * lax.sqrt(
        half / _gammas(gamma_key, half, shape, log_space=False)
    )


def f(key: Any, dfnum: Any, dfden: Any, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None) -> Array:
    """Numbers of Fisher's F distribution: quotients of χ² numbers divided by their degrees of freedom.
    `shape` defaults to what the parameters broadcast to.

    The mean is dfden / (dfden - 2).

    >>> from pullback import random
    >>> x = random.f(random.key(0), 5.0, 12.0, (10_000,))
    >>> round(float(x.mean()), 1)
    1.2
    """
    key, dtype, shape, dfnum, dfden = sampling("f", out_sharding, key, dtype, shape, dfnum, dfden)
    below, above = split(key)
    return (_chisquares(above, dfnum, shape) / dfnum) / (_chisquares(below, dfden, shape) / dfden)


def generalized_normal(key: Any, p: Any, shape: Any = (), dtype: Any = None, *, out_sharding: Any = None) -> Array:
    """Numbers with density ∝ exp(-|x|**p): p = 2 gives normal numbers of variance 1/2, p = 1 Laplace's.
    `p` is a scalar, or broadcasts to `shape`.

    >>> from pullback import random
    >>> x = random.generalized_normal(random.key(0), 2.0, (10_000,))
    >>> round(float(x.var()), 2)
    0.5
    """
    key, dtype, shape, p = sampling("generalized_normal", out_sharding, key, dtype, shape, p)
    gamma_key, sign_key = split(key)
    inverse = 1 / p
    return rademacher(sign_key, shape, dtype) * _gammas(gamma_key, inverse, shape, log_space=False) ** inverse


def ball(key: Any, d: int, p: Any = 2, shape: Any = (), dtype: Any = None, *, out_sharding: Any = None) -> Array:
    """Points of the unit ball Σ|xᵢ|**p ≤ 1 of `d` dimensions, uniformly distributed: shape (*shape, d).

    By Barthe, Guédon, Mendelson and Naor ("A probabilistic approach to the geometry of the ℓₚⁿ-ball",
    2005). Raises TypeError for a negative `d`.

    >>> from pullback import random
    >>> x = random.ball(random.key(0), 3, shape=(10_000,))
    >>> r = (x**2).sum(-1) ** 0.5
    >>> bool(r.max() <= 1), round(float((r < 0.5).mean()), 2)     # an eighth of the volume
    (True, 0.13)
    """
    key, dtype, shape = sampling("ball", out_sharding, key, dtype, shape)
    d = count(d, "ball: d")
    normal_key, exponential_key = split(key)
    _, p = parameters("ball", dtype, (), p)
    g = generalized_normal(normal_key, p, (*shape, d), dtype)
    total = reduce_sum(lax.abs(g) ** p, (len(shape),)) + standard_exponentials(exponential_key, shape, dtype)
    return g / broadcast_to(expand_dims(total ** (1 / p), len(shape)), g.shape)


__all__ = ["ball", "beta", "chisquare", "dirichlet", "f", "gamma", "generalized_normal", "loggamma", "t"]
