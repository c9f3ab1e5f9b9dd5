"""Discrete distributions of counts: Poisson, binomial, multinomial and geometric."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.control.loops import scan
from pullback.core import config, dtypes
from pullback.core.array import Array, concrete
from pullback.core.errors import user_line
from pullback.core.trace import EVAL, current
from pullback.core.types import broadcast_shapes
from pullback.lax import functions as lax
from pullback.lax.arrangement import stack
from pullback.lax.cumulative import cumsum
from pullback.lax.shape import broadcast_to, convert, move_axis, strong
from pullback.random.arguments import (
    array_like,
    fitting_shape,
    float_dtype,
    int_dtype,
    parameters,
    positive_uniforms,
    real_dtype,
    scalar,
    single_key,
)
from pullback.random.keys import split
from pullback.random.rejection import random_binomial_p, random_poisson_p
from pullback.xla.devices import no_sharding


def poisson(key: Any, lam: Any, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None) -> Array:
    """Poisson numbers of rate `lam`, of an integer dtype; the rate's shape is the default of `shape`. NaN
    and negative rates give -1.

    The numbers are those of the published algorithms (Knuth's below 10, Hörmann's PTRS above) in a
    fixed order of draws; the acceptance test of the latter is evaluated in float64.

    >>> from pullback import random
    >>> random.poisson(random.PRNGKey(0), 4.0, (3,))
    Array([2, 2, 5], dtype=int32)
    >>> x = random.poisson(random.key(0), 40.0, (20_000,))
    >>> round(float(x.mean())), round(float(x.var()))
    (40, 40)
    """
    no_sharding("poisson", out_sharding)
    key, dtype = single_key("poisson", key), int_dtype("poisson", dtype)
    shape, rate = parameters("poisson", dtypes.float32, shape, lam)
    return random_poisson_p.bind(
        key, broadcast_to(rate, shape), dtype=dtype, partitionable=config.threefry_partitionable.value
    )


def binomial(key: Any, n: Any, p: Any, shape: Any = None, dtype: Any = None) -> Array:
    """Numbers of successes in `n` trials of probability `p`, of a floating dtype; NaN for invalid
    parameters.

    `shape` defaults to what the parameters broadcast to. `n` is rounded down. Numbers are drawn in
    the type that the parameters promote to, Python's counting as float32 and not as weak ones.

    >>> from pullback import random
    >>> random.binomial(random.key(0), 10, 0.5, (4,))
    Array([2., 6., 6., 2.], dtype=float32)
    >>> x = random.binomial(random.key(0), 100, 0.25, (10_000,))
    >>> round(float(x.mean())), round(float(x.var()))        # n p, and n p (1 - p) = 18.75
    (25, 19)
    """
    key, dtype = single_key("binomial", key), float_dtype("binomial", dtype)
    own, _ = dtypes.promotion(strong(array_like("binomial", n)), strong(array_like("binomial", p)))
    shape, n, p = parameters("binomial", dtypes.to_inexact(own), shape, n, p)
    return convert(_binomials(key, broadcast_to(lax.floor(n), shape), broadcast_to(p, shape)), dtype)


def _binomials(key: Array, n: Array, p: Array) -> Array:
    return random_binomial_p.bind(key, n, p, partitionable=config.threefry_partitionable.value)


def multinomial(key: Any, n: Any, p: Any, *, shape: Any = None, dtype: Any = None, unroll: int | bool = 1) -> Array:
    """Numbers of outcomes of each kind in `n` trials with outcome probabilities `p`, along the last
    axis.

    `shape`, by default what (*n.shape, 1) and `p` broadcast to, is that of the result, last axis
    included. By binomial numbers conditioned on what is left. `dtype` is a floating or integer one.
    Raises ValueError if shapes do not fit.

    >>> import pullback.numpy as jnp
    >>> from pullback import random
    >>> x = random.multinomial(random.key(0), 1000, jnp.array([0.5, 0.3, 0.2]), dtype=int)
    >>> x.shape, int(x.sum())
    ((3,), 1000)
    """
    del unroll
    key, dtype = single_key("multinomial", key), real_dtype("multinomial", dtype)
    n, p = array_like("multinomial", n), array_like("multinomial", p)
    own = dtypes.to_inexact(dtypes.promotion(n, p)[0])
    n, p = lax.floor(convert(n, own)), convert(p, own)
    if not p.ndim:
        raise ValueError(f"multinomial requires p.ndim >= 1, got p.ndim == 0, at {user_line()}")
    full = broadcast_shapes((*n.shape, 1), p.shape)
    shape = fitting_shape(f"multinomial: n of shape {n.shape} and p of shape {p.shape}", shape, full)
    axis = len(shape) - 1
    p = broadcast_to(p, shape)
    left = broadcast_to(n, shape[:-1])
    # The probability of each outcome given that it is none of the earlier ones.
    rest = cumsum(p, axis, reverse=True)
    conditional = p / lax.max(rest, broadcast_to(scalar(float(dtypes.finfo(own).tiny), own), shape))

    def outcome(left: Array, given: tuple[Array, Array]) -> tuple[Array, Array]:
        count = _binomials(given[0], left, given[1])
        return left - count, count

    each = split(key, shape[-1]), move_axis(conditional, axis, 0)
    if current() is not EVAL:  # one text of the sampler, which is long, for all outcomes
        counts = scan(outcome, left, each)[1]
    else:
        counts = concrete(np.zeros((0, *left.shape), own))
        found = []
        for i in range(shape[-1]):
            left, count = outcome(left, (each[0][i], each[1][i]))
            found.append(count)
        counts = stack(found, 0) if found else counts
    return convert(move_axis(counts, 0, axis), dtype)


def geometric(key: Any, p: Any, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None) -> Array:
    """Numbers of trials of probability `p` up to the first success: 1, 2, ..., of an integer dtype, with
    mean 1/p. `shape` defaults to that of `p`.

    >>> from pullback import random
    >>> x = random.geometric(random.key(0), 0.25, (10_000,))
    >>> x.dtype, int(x.min()), round(float(x.mean()), 1)
    (dtype('int32'), 1, 4.0)
    """
    no_sharding("geometric", out_sharding)
    key, dtype = single_key("geometric", key), int_dtype("geometric", dtype)
    p = array_like("geometric", p)
    shape, p = parameters("geometric", dtypes.to_inexact(p.dtype), shape, p)
    u = positive_uniforms(key, shape, p.dtype)
    return convert(lax.floor(lax.log(u) / lax.log1p(lax.neg(p))) + 1, dtype)


__all__ = ["binomial", "geometric", "multinomial", "poisson"]
