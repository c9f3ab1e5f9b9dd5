"""Choosing: permutations, samples of given values, and categories."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pullback.control.loops import fori_loop
from pullback.core import dtypes
from pullback.core.array import Array, concrete
from pullback.core.dimensions import Dim, index, max_dim
from pullback.core.errors import user_line
from pullback.core.types import canonical_axis
from pullback.lax import functions as lax
from pullback.lax.arrangement import index_in_dim, slice_in_dim
from pullback.lax.creation import iota
from pullback.lax.cumulative import cumsum
from pullback.lax.family import size_as
from pullback.lax.random_bits import random_bits
from pullback.lax.reductions import argmax, reduce_sum
from pullback.lax.shape import broadcast_to, convert, reshape, transpose
from pullback.lax.sorting import sort_key_val, top_k
from pullback.numpy.selecting import take
from pullback.numpy.sorting import searchsorted
from pullback.random.arguments import array_like, canonical_shape, fitting_shape, single_key
from pullback.random.basic import randint, uniform
from pullback.random.continuous import gumbel
from pullback.random.keys import split
from pullback.xla.devices import no_sharding

#: Up to so many elements are shuffled with no round, one, two; three are enough for sizes below 2^32. These are
#: the limits of the formula in `_shuffled`, for sizes that are only known when the program runs.
_ROUNDS = (1, 1625, 2642245)


def permutation(key: Any, x: Any, axis: int = 0, independent: bool = False, *, out_sharding: Any = None) -> Array:
    """The slices of `x` along `axis` in random order; for an integer `x`, those of `arange(x)`.

    With `independent`, each vector along the axis is permuted by itself. Raises TypeError for
    scalars that are not integers.

    >>> import pullback.numpy as jnp
    >>> from pullback import random
    >>> random.permutation(random.PRNGKey(0), 5)
    Array([1, 0, 4, 3, 2], dtype=int32)
    >>> rows = jnp.array([[1, 2], [3, 4], [5, 6]])
    >>> sorted(random.permutation(random.PRNGKey(0), rows).tolist())      # rows stay together
    [[1, 2], [3, 4], [5, 6]]
    """
    no_sharding("permutation", out_sharding)
    key = single_key("permutation", key)
    if x.__class__ is not Dim:
        x = array_like("permutation", x)
        if not x.ndim and not dtypes.is_integer(x.dtype):
            raise TypeError(
                f"permutation takes an integer or an array of at least one axis, got {x.aval} at {user_line()}"
            )
    rank = 0 if x.__class__ is Dim else x.ndim
    axis = canonical_axis(axis, max(rank, 1))
    if not rank:
        return _shuffled(key, iota(dtypes.default_dtype(int), max_dim(index(x), 0)), 0)
    if rank == 1 or independent:
        return _shuffled(key, x, axis)
    order = _shuffled(key, iota(dtypes.default_dtype(int), x.shape[axis]), 0)
    return take(x, order, axis=axis)


def _shuffled(key: Array, x: Array, axis: int) -> Array:
    # Sorting by random 32-bit words; ties, which keep their order, are made harmless by repeating
    # it: with words**rounds > n**3, the probability of a tie in every round is less than 1/n.
    def shuffle(_: Any, state: tuple[Array, Array]) -> tuple[Array, Array]:
        key, x = state
        key, sort_key = split(key)
        return key, sort_key_val(random_bits(sort_key, 32, x.shape), x, axis)[1]

    if x.size.__class__ is Dim:
        n = size_as(dtypes.uint32, x.size)
        rounds = reduce_sum(
            convert(lax.gt(broadcast_to(n, (len(_ROUNDS),)), concrete(np.array(_ROUNDS, np.uint32))), dtypes.int32),
            (0,),
        )
        return fori_loop(0, rounds, shuffle, (key, x))[1]  # type: ignore[no-any-return]
    for i in range(math.ceil(3 * math.log(max(1, x.size)) / math.log(2**32 - 1))):
        key, x = shuffle(i, (key, x))
    return x


def choice(
    key: Any, a: Any, shape: Any = (), replace: bool = True, p: Any = None, axis: int = 0, mode: str | None = None
) -> Array:
    """Random slices of `a` along `axis`, an array of `shape` of them; of `arange(a)` for an
    integer.

    `p` gives their probabilities (uniform if None). `replace=False` draws without replacement.
    `mode` is that of `gumbel`, which draws without replacement by `p` use. Raises ValueError if
    there is nothing to draw from, not enough, or `p` does not fit, TypeError for a shape that is no
    sequence.

    >>> import pullback.numpy as jnp
    >>> from pullback import random
    >>> random.choice(random.PRNGKey(0), 5, (3,), replace=False)
    Array([1, 0, 4], dtype=int32)
    >>> a, p = jnp.array([10, 20, 30]), jnp.array([0.0, 1.0, 0.0])
    >>> random.choice(random.PRNGKey(0), a, (2, 2), p=p)
    Array([[20, 20],
           [20, 20]], dtype=int32)
    """
    if not hasattr(shape, "__iter__"):
        raise TypeError(f"shape argument of choice must be a sequence, got {shape!r} at {user_line()}")
    key, shape = single_key("choice", key), canonical_shape(shape)
    if a.__class__ is not Dim:
        a = array_like("choice", a)
    rank = 0 if a.__class__ is Dim else a.ndim
    axis = canonical_axis(axis, max(rank, 1))
    n = a.shape[axis] if rank else a if a.__class__ is Dim else int(a)
    draws = math.prod(shape)
    if n <= 0 and draws:
        raise ValueError(
            f"choice: a must be greater than 0 (or not empty) unless no samples are taken, at {user_line()}"
        )
    if not replace and draws > n:
        raise ValueError(
            f"choice: cannot take a larger sample (size {draws}) than population (size {n}) when replace=False, at {user_line()}"
        )
    if p is None:
        if not replace:
            drawn = slice_in_dim(permutation(key, a if rank else n, axis), 0, draws, axis=axis)
            return reshape(drawn, (*drawn.shape[:axis], *shape, *drawn.shape[axis + 1 :]))
        number = randint(key, shape, 0, max_dim(n, 1))
    else:
        number = _by_probability(key, n, shape, replace, array_like("choice", p), mode)
    if not rank:
        return number
    drawn = take(a, reshape(number, (draws,)), axis=axis)
    return reshape(drawn, (*a.shape[:axis], *shape, *a.shape[axis + 1 :]))


def _by_probability(key: Array, n: int, shape: Any, replace: bool, p: Array, mode: str | None) -> Array:
    """Numbers below `n`, drawn with probabilities `p`."""
    if not dtypes.is_inexact(p.dtype):
        p = convert(p, dtypes.default_dtype(float))
    if p.shape != (n,):
        raise ValueError(
            f"choice: p must be None or a 1D vector of the size of a along axis; p has shape {p.shape}, the size is {n}, at {user_line()}"
        )
    dtype = dtypes.default_dtype(int)
    if not n:
        return reshape(iota(dtype, 0), shape)
    if not replace:
        # The largest of log p + Gumbel numbers are a sample without replacement (Yellott 1977;
        # Efraimidis and Spirakis 2006).
        scores = gumbel(key, (n,), p.dtype, mode) + lax.log(p)
        return convert(reshape(top_k(scores, math.prod(shape))[1], shape), dtype)
    cumulative = cumsum(p)
    total = index_in_dim(cumulative, n - 1, keepdims=False)
    r = total * (1 - uniform(key, shape, p.dtype))
    return convert(searchsorted(cumulative, r), dtype)


def categorical(
    key: Any,
    logits: Any,
    axis: int = -1,
    shape: Any = None,
    replace: bool = True,
    mode: str | None = None,
    *,
    out_sharding: Any = None,
) -> Array:
    """Categories, numbers along `axis` of `logits`, with probabilities proportional to exp(logits).

    `shape`, by default the shape of `logits` without `axis`, must be one that that broadcasts to.
    `replace=False` draws the samples along the leading axes of `shape` without replacement. `mode`
    is that of `gumbel`. Raises ValueError if shapes do not fit or there are fewer categories than
    samples without replacement.

    >>> import pullback.numpy as jnp
    >>> from pullback import random
    >>> logits = jnp.log(jnp.array([[0.5, 0.5, 0.0], [0.0, 0.2, 0.8]]))
    >>> x = random.categorical(random.key(0), logits, shape=(10_000, 2))
    >>> (jnp.bincount(x[:, 1]) / 10_000).round(1)
    Array([0. , 0.2, 0.8], dtype=float32)
    """
    no_sharding("categorical", out_sharding)
    key, logits = single_key("categorical", key), array_like("categorical", logits)
    axis = canonical_axis(axis, logits.ndim)
    n = logits.shape[axis]
    batch_shape = logits.shape[:axis] + logits.shape[axis + 1 :]
    what = f"categorical: the shape {batch_shape} of logits without axis {axis}"
    shape = fitting_shape(what, shape, batch_shape)
    prefix = shape[: len(shape) - len(batch_shape)]
    if replace:
        full = (*shape[len(prefix) :][:axis], n, *shape[len(prefix) :][axis:])
        noise = gumbel(key, (*prefix, *full), logits.dtype, mode)
        scores = noise + broadcast_to(logits, (*prefix, *full))
        return argmax(scores, len(prefix) + axis, dtypes.default_dtype(int))
    draws = math.prod(prefix)
    if draws > n:
        raise ValueError(
            f"categorical: number of samples without replacement ({draws}) cannot exceed number of categories ({n}), at {user_line()}"
        )
    scores = gumbel(key, logits.shape, logits.dtype, mode) + logits
    _, chosen = top_k(scores, draws, axis=axis)
    order = (axis, *(i for i in range(logits.ndim) if i != axis))
    return reshape(transpose(chosen, order), shape)


__all__ = ["categorical", "choice", "permutation"]
