"""Continuous distributions sampled by inversion: a closed-form function of one uniform number an
element.

All are differentiable with respect to their parameters, the uniform number being held fixed.
"""

from __future__ import annotations

import math
from typing import Any

from pullback.core import dtypes
from pullback.core.array import Array
from pullback.core.errors import user_line
from pullback.core.types import Shape
from pullback.lax import functions as lax
from pullback.lax.selection import select
from pullback.lax.shape import broadcast_to
from pullback.random.arguments import positive_uniforms, sampling, scalar, unit_uniforms
from pullback.random.basic import fine_uniforms, uniform_between


def exponential(key: Any, shape: Any = (), dtype: Any = None, *, out_sharding: Any = None) -> Array:
    """Exponential numbers of rate 1: density exp(-x) for x ≥ 0, mean 1.

    >>> from pullback import random
    >>> random.exponential(random.PRNGKey(0), (2,))
    Array([0.24372306, 1.630274  ], dtype=float32)
    >>> round(float((random.exponential(random.key(0), (10_000,)) > 1).mean()), 2)      # 1/e
    0.37
    """
    key, dtype, shape = sampling("exponential", out_sharding, key, dtype, shape)
    return standard_exponentials(key, shape, dtype)


def standard_exponentials(key: Array, shape: Shape, dtype: dtypes.DType) -> Array:
    """-log(1 - u): the argument of the logarithm is never 0."""
    return lax.neg(lax.log1p(lax.neg(unit_uniforms(key, shape, dtype))))


def check_mode(name: str, mode: str | None) -> bool:
    """Whether `mode` is "high" rather than "low" (or None, the default). Raises ValueError for
    anything else."""
    if mode not in (None, "low", "high"):
        raise ValueError(f"{name}: got mode={mode!r}, expected 'high' or 'low', at {user_line()}")
    return mode == "high"


def gumbel(key: Any, shape: Any = (), dtype: Any = None, mode: str | None = None, *, out_sharding: Any = None) -> Array:
    """Numbers of the standard Gumbel distribution, -log(-log u).

    Mode "low" (the default) takes one uniform number for each, and cannot reach far into the right
    tail; "high" takes two. Raises ValueError for other modes.

    >>> import pullback.numpy as jnp
    >>> from pullback import random
    >>> p = jnp.array([0.1, 0.6, 0.3])                        # the largest of log p + such numbers: a draw by p
    >>> drawn = jnp.argmax(jnp.log(p) + random.gumbel(random.key(0), (10_000, 3)), axis=1)
    >>> (jnp.bincount(drawn) / 10_000).round(1)
    Array([0.1, 0.6, 0.3], dtype=float32)
    """
    key, dtype, shape = sampling("gumbel", out_sharding, key, dtype, shape)
    if check_mode("gumbel", mode):
        coarse, fine = fine_uniforms(key, shape, dtype)
        # With 1 - u for u, the upper tail of the result belongs to small u, which are resolved
        # finely.
        u = select(lax.lt(coarse, scalar(0.5, dtype)), coarse + fine, coarse)
        return lax.neg(lax.log(lax.neg(lax.log1p(lax.neg(u)))))
    return lax.neg(lax.log(lax.neg(lax.log(positive_uniforms(key, shape, dtype)))))


def laplace(key: Any, shape: Any = (), dtype: Any = None, *, out_sharding: Any = None) -> Array:
    """Numbers of the Laplace distribution with mean 0 and scale 1: density exp(-|x|) / 2, variance 2.

    >>> from pullback import random
    >>> x = random.laplace(random.key(0), (10_000,))
    >>> round(float(x.mean())), round(float(x.var()))
    (0, 2)
    """
    key, dtype, shape = sampling("laplace", out_sharding, key, dtype, shape)
    epsilon = float(dtypes.finfo(dtype).epsneg)
    u = uniform_between(key, shape, scalar(-1 + epsilon, dtype), scalar(1, dtype))
    return lax.mul(lax.sign(u), lax.log1p(lax.neg(lax.abs(u))))


def logistic(key: Any, shape: Any = (), dtype: Any = None, *, out_sharding: Any = None) -> Array:
    """Numbers of the standard logistic distribution, log(u / (1 - u)): below x with probability
    sigmoid(x).

    >>> from pullback import nn, random
    >>> x = random.logistic(random.key(0), (10_000,))
    >>> round(float((x < 1.0).mean()), 2), round(float(nn.sigmoid(1.0)), 2)
    (0.73, 0.73)
    """
    key, dtype, shape = sampling("logistic", out_sharding, key, dtype, shape)
    u = lax.max(unit_uniforms(key, shape, dtype), scalar(float(dtypes.finfo(dtype).tiny), dtype))
    return lax.log(u) - lax.log1p(lax.neg(u))


def cauchy(key: Any, shape: Any = (), dtype: Any = None, *, out_sharding: Any = None) -> Array:
    """Numbers of the standard Cauchy distribution, tan(π (u - 1/2)): density 1 / (π (1 + x²)). They have
    no mean; half of them are in [-1, 1].

    >>> from pullback import random
    >>> x = random.cauchy(random.key(0), (10_000,))
    >>> round(float((abs(x) <= 1).mean()), 1)
    0.5
    """
    key, dtype, shape = sampling("cauchy", out_sharding, key, dtype, shape)
    epsilon = float(dtypes.finfo(dtype).eps)
    u = uniform_between(key, shape, scalar(epsilon, dtype), scalar(1, dtype))
    return lax.tan(math.pi * (u - 0.5))


def pareto(key: Any, b: Any, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None) -> Array:
    """Pareto numbers with density b / x**(b + 1) for x ≥ 1. `shape` defaults to that of `b`.

    The mean is b / (b - 1) for b > 1.

    >>> from pullback import random
    >>> x = random.pareto(random.key(0), 5.0, (10_000,))
    >>> round(float(x.mean()), 2)
    1.26
    """
    key, dtype, shape, b = sampling("pareto", out_sharding, key, dtype, shape, b)
    return lax.exp(standard_exponentials(key, shape, dtype) / b)


def rayleigh(key: Any, scale: Any, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None) -> Array:
    """Rayleigh numbers with density (x / scale²) exp(-x² / 2 scale²): lengths of vectors of two normal
    numbers. `shape` defaults to that of `scale`.

    >>> import pullback as pb
    >>> from pullback import random
    >>> draw = lambda scale: random.rayleigh(random.key(0), scale)
    >>> value, slope = pb.value_and_grad(draw)(2.0)          # of a number that is proportional to the scale
    >>> bool(pb.numpy.allclose(slope, value / 2))
    True
    """
    key, dtype, shape, scale = sampling("rayleigh", out_sharding, key, dtype, shape, scale)
    return lax.sqrt(lax.log(positive_uniforms(key, shape, dtype)) * -2) * scale


def weibull_min(key: Any, scale: Any, concentration: Any, shape: Any = None, dtype: Any = None) -> Array:
    """Weibull numbers with density (c / s) (x / s)**(c - 1) exp(-(x / s)**c), for scale s and
    concentration c.

    `shape` defaults to what the parameters broadcast to. The scale is exceeded with probability 1/e,
    whatever the concentration.

    >>> from pullback import random
    >>> x = random.weibull_min(random.key(0), 3.0, 1.5, (10_000,))
    >>> round(float((x > 3.0).mean()), 2)
    0.37
    """
    key, dtype, shape, scale, concentration = sampling("weibull_min", None, key, dtype, shape, scale, concentration)
    return lax.exp(lax.log(standard_exponentials(key, shape, dtype)) / concentration) * scale


def triangular(
    key: Any, left: Any, mode: Any, right: Any, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None
) -> Array:
    """Numbers of the triangular distribution on [left, right] with its peak at `mode`.

    `shape` defaults to what the parameters broadcast to. The mean is (left + mode + right) / 3.

    >>> from pullback import random
    >>> x = random.triangular(random.key(0), 0.0, 1.0, 5.0, (10_000,))
    >>> round(float(x.mean()), 1)
    2.0
    """
    key, dtype, shape, left, mode, right = sampling("triangular", out_sharding, key, dtype, shape, left, mode, right)
    width = right - left
    u = unit_uniforms(key, shape, dtype)
    rising = left + lax.sqrt(u * width * (mode - left))
    falling = right - lax.sqrt((1 - u) * width * (right - mode))
    return select(lax.lt(u, broadcast_to((mode - left) / width, shape)), rising, falling)


__all__ = [
    "cauchy", "exponential", "gumbel", "laplace", "logistic", "pareto", "rayleigh", "triangular", "weibull_min",
]  # fmt: skip
