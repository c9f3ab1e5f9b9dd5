"""Uniform numbers of every type: bits, floats in an interval, integers in a range, coins and signs."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, as_array
from pullback.core.errors import user_line
from pullback.lax.arrangement import index_in_dim
from pullback.lax.elementwise import and_p, clamp_p, gt_p, le_p, lt_p, max_p, rem_p
from pullback.lax.family import add_p, like, mul_p, sub_p
from pullback.lax.random_bits import random_bits
from pullback.lax.selection import select
from pullback.lax.shape import broadcast_to, convert
from pullback.random.arguments import (
    array_like,
    canonical_shape,
    float_dtype,
    parameters,
    positive_uniforms,
    single_key,
    unit_uniforms,
)
from pullback.random.keys import split
from pullback.xla.devices import no_sharding


def bits(key: Any, shape: Any = (), dtype: Any = None, *, out_sharding: Any = None) -> Array:
    """Uniform random bits as unsigned integers of `dtype`, by default uint32 (uint64 with
    `enable_x64`). Raises ValueError for other dtypes than unsigned integers of 8 bits and more.

    >>> from pullback import random
    >>> random.bits(random.PRNGKey(0), (2,), "uint8")
    Array([89,  1], dtype=uint8)
    """
    no_sharding("bits", out_sharding)
    key = single_key("bits", key)
    found = dtypes.canonicalize(dtypes.uint64) if dtype is None else dtypes.canonicalize_dtype(dtype)
    if dtypes.kind(found) != "u" or dtypes.itemsize_bits(found) < 8:
        raise ValueError(
            f"dtype argument to `bits` must be an unsigned int dtype of 8 bits or more, got {found} at {user_line()}"
        )
    return random_bits(key, found.itemsize * 8, canonical_shape(shape))


def uniform(
    key: Any, shape: Any = (), dtype: Any = None, minval: Any = 0.0, maxval: Any = 1.0, *, out_sharding: Any = None
) -> Array:
    """Uniform numbers in [minval, maxval), which broadcast to `shape`; differentiable with respect
    to both.

    >>> import pullback.numpy as jnp
    >>> from pullback import random
    >>> random.uniform(random.PRNGKey(0), (2,))
    Array([0.21629536, 0.8041241 ], dtype=float32)
    >>> low = jnp.array([0.0, 100.0])
    >>> x = random.uniform(random.PRNGKey(0), (4, 2), minval=low, maxval=low + 1)
    >>> jnp.floor(x[0])
    Array([  0., 100.], dtype=float32)
    """
    no_sharding("uniform", out_sharding)
    key = single_key("uniform", key)
    dtype = float_dtype("uniform", dtype)
    if minval.__class__ is float and maxval.__class__ is float and minval == 0.0 and maxval == 1.0:
        return unit_uniforms(key, canonical_shape(shape), dtype)
    shape, low, high = parameters("uniform", dtype, shape, minval, maxval)
    return uniform_between(key, shape, low, high)


def uniform_between(key: Array, shape: Any, low: Array, high: Array) -> Array:
    """Uniform numbers in [low, high), parameters of the dtype of the result."""
    u = unit_uniforms(key, shape, low.dtype)
    # Rounding may give less than `low`, by one unit in the last place.
    return max_p.bind(low, add_p.bind(mul_p.bind(u, sub_p.bind(high, low)), low))


def randint(key: Any, shape: Any, minval: Any, maxval: Any, dtype: Any = None, *, out_sharding: Any = None) -> Array:
    """Integers in [minval, maxval), which broadcast to `shape`; `minval` where the interval is
    empty.

    Bounds beyond the range of `dtype` are clipped to it (and then the largest value is included).
    The distribution is uniform up to a bias of the order of (maxval - minval) / 2**(2 * width of
    dtype). Raises TypeError for dtypes that are no integers.

    >>> from pullback import random
    >>> random.randint(random.PRNGKey(0), (4,), 0, 10)
    Array([8, 1, 7, 0], dtype=int32)
    """
    no_sharding("randint", out_sharding)
    key = single_key("randint", key)
    found = dtypes.default_dtype(int) if dtype is None else dtypes.canonicalize_dtype(dtype)
    if not dtypes.is_integer(found):
        raise TypeError(f"randint only accepts integer dtypes, got {dtypes.name(found)} at {user_line()}")
    shape = canonical_shape(shape)
    # Types narrower than 32 bits are computed in 32.
    dtype = found if found.itemsize >= 4 else dtypes.uint32 if dtypes.kind(found) == "u" else dtypes.int32
    low, _ = _bound(minval, found, dtype)
    high, beyond = _bound(maxval, found, dtype)
    parameters("randint", dtype, shape, low, high)  # checks the shapes
    width = dtype.itemsize * 8
    unsigned = np.dtype(f"u{dtype.itemsize}")
    one = like(1, as_array(unsigned.type(0)))
    # The remainder by 0, which stands for the full range of the type, is the dividend.
    span = sub_p.bind(convert(high, unsigned), convert(low, unsigned))
    span = select(le_p.bind(high, low), one, span)
    if beyond is not None:
        span = select(and_p.bind(beyond, gt_p.bind(high, low)), add_p.bind(span, one), span)
    first, second = split(key)
    # (upper word * 2**width + lower word) mod span, with 2**width mod span computed in pieces that
    # do not overflow.
    factor = rem_p.bind(like(2 ** (width // 2), span), span)
    factor = rem_p.bind(mul_p.bind(factor, factor), span)
    upper = mul_p.bind(rem_p.bind(random_bits(first, width, shape), span), factor)
    offset = rem_p.bind(add_p.bind(upper, rem_p.bind(random_bits(second, width, shape), span)), span)
    out = add_p.bind(low, convert(offset, dtype))
    return broadcast_to(convert(out, found), shape)


def _bound(value: Any, dtype: dtypes.DType, work_dtype: dtypes.DType) -> tuple[Array, Array | None]:
    """A bound clipped to the range of `dtype`, as `work_dtype`, and where it was above (None if
    nowhere)."""
    x = array_like("randint", value)
    if not dtypes.is_integer(x.dtype):
        x = convert(x, dtypes.default_dtype(int))
    if x.dtype == dtype:
        return convert(x, work_dtype), None
    least, most = int(dtypes.iinfo(dtype).min), int(dtypes.iinfo(dtype).max)
    own = dtypes.iinfo(x.dtype)
    top = like(min(most, int(own.max)), x)
    beyond = gt_p.bind(x, top) if int(own.max) > most else None
    return convert(clamp_p.bind(like(max(least, int(own.min)), x), x, top), work_dtype), beyond


def bernoulli(key: Any, p: Any = 0.5, shape: Any = None, mode: str = "low", *, out_sharding: Any = None) -> Array:
    """Booleans that are true with probability `p`.

    `shape` defaults to that of `p`. Mode "low" resolves p to the precision of one uniform number,
    "high" to that of two. Raises TypeError if `p` is not floating, ValueError for other modes.

    >>> import pullback.numpy as jnp
    >>> from pullback import random
    >>> x = random.bernoulli(random.key(0), jnp.array([0.0, 0.2, 1.0]), (10_000, 3))
    >>> x.dtype, x.mean(0).round(1)
    (dtype('bool'), Array([0. , 0.2, 1. ], dtype=float32))
    """
    no_sharding("bernoulli", out_sharding)
    if mode not in ("low", "high"):
        raise ValueError(f"bernoulli: got mode={mode!r}, expected 'high' or 'low', at {user_line()}")
    key = single_key("bernoulli", key)
    p = array_like("bernoulli", p)
    if not dtypes.is_float(p.dtype):
        raise TypeError(
            f"bernoulli probability `p` must have a floating dtype, got {dtypes.name(p.dtype)}, at {user_line()}"
        )
    shape, p = parameters("bernoulli", p.dtype, shape, p)
    if mode == "low":
        return broadcast_to(lt_p.bind(unit_uniforms(key, shape, p.dtype), p), shape)
    coarse, fine = fine_uniforms(key, shape, p.dtype)
    return lt_p.bind(fine, sub_p.bind(broadcast_to(p, shape), coarse))


def fine_uniforms(key: Array, shape: Any, dtype: dtypes.DType) -> tuple[Array, Array]:
    """Two arrays whose sum is uniform in (0, 1) and resolves small numbers twice as finely as
    `unit_uniforms` does."""
    pair = positive_uniforms(key, (2, *shape), dtype)
    scale = like(2.0 ** -int(dtypes.finfo(dtype).nmant), pair)
    return index_in_dim(pair, 0, keepdims=False), mul_p.bind(index_in_dim(pair, 1, keepdims=False), scale)


def rademacher(key: Any, shape: Any = (), dtype: Any = None, *, out_sharding: Any = None) -> Array:
    """Signs: -1 or 1 with equal probability, of `dtype` (by default an integer).

    >>> from pullback import random
    >>> random.rademacher(random.PRNGKey(0), (4,))
    Array([-1,  1, -1,  1], dtype=int32)
    >>> abs(random.rademacher(random.key(0), (3,), "float32"))
    Array([1., 1., 1.], dtype=float32)
    """
    no_sharding("rademacher", out_sharding)
    found = dtypes.default_dtype(int) if dtype is None else dtypes.canonicalize_dtype(dtype)
    positive = bernoulli(single_key("rademacher", key), 0.5, canonical_shape(shape))
    sign = convert(positive, dtypes.int8)
    return convert(sub_p.bind(add_p.bind(sign, sign), like(1, sign)), found)


__all__ = ["bernoulli", "bits", "rademacher", "randint", "uniform"]
