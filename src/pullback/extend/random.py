"""The generator behind random keys, for those who draw its bits themselves.

`threefry_prng_impl` is a record of its functions, on keys that are uint32 arrays of shape (2,).
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

import numpy as np

from pullback.core import config
from pullback.core.array import Array, as_array
from pullback.core.errors import user_line
from pullback.lax.random_bits import (
    random_bits_p,
    random_fold_in_p,
    random_seed_p,
    random_split_p,
    random_unwrap_p,
    random_wrap_p,
    threefry2x32_p,
)
from pullback.random.keys import key


class PRNGImpl(NamedTuple):
    """A generator: `seed(seed)`, `split(key, shape)`, `random_bits(key, bit_width, shape)` and
    `fold_in(key, data)`, functions of arrays of words of `key_shape`. The one there is is
    `threefry_prng_impl`.

    >>> key = threefry_prng_impl.seed(0)
    >>> threefry_prng_impl.split(key, (3,)).shape, threefry_prng_impl.random_bits(key, 8, (5,)).dtype
    ((3, 2), dtype('uint8'))
    """

    key_shape: tuple[int, ...]
    seed: Callable[..., Any]
    split: Callable[..., Any]
    random_bits: Callable[..., Any]
    fold_in: Callable[..., Any]
    name: str
    tag: str

    def __repr__(self) -> str:
        return f"PRNGImpl(name={self.name!r}, tag={self.tag!r}, key_shape={self.key_shape})"


def _seed(seed: Any) -> Any:
    return random_unwrap_p.bind(random_seed_p.bind(as_array(seed)))


def _split(keys: Any, shape: tuple[int, ...]) -> Any:
    new = random_split_p.bind(
        random_wrap_p.bind(as_array(keys)), shape=tuple(shape), partitionable=config.threefry_partitionable.value
    )
    return random_unwrap_p.bind(new)


def _bits(keys: Any, bit_width: int, shape: tuple[int, ...]) -> Any:
    return random_bits_p.bind(
        random_wrap_p.bind(as_array(keys)),
        bit_width=bit_width,
        shape=tuple(shape),
        partitionable=config.threefry_partitionable.value,
    )


def _fold_in(keys: Any, data: Any) -> Any:
    return random_unwrap_p.bind(random_fold_in_p.bind(random_wrap_p.bind(as_array(keys)), as_array(data)))


threefry_prng_impl = PRNGImpl((2,), _seed, _split, _bits, _fold_in, "threefry2x32", "fry")


def seed_with_impl(impl: PRNGImpl, seed: Any) -> Array:
    """A typed key of a generator, made of an integer. Raises ValueError for generators other than
    `threefry_prng_impl`.

    >>> seed_with_impl(threefry_prng_impl, 0)
    Array((), dtype=key<fry>) overlaying:
    [0 0]
    """
    if impl is not threefry_prng_impl:
        raise ValueError(
            f"seed_with_impl: {impl!r:.100} is not the generator there is, threefry_prng_impl, at {user_line()}"
        )
    return key(seed)


def random_seed(seeds: Any, impl: PRNGImpl) -> Array:
    """Typed keys of a generator, one for each integer of an array, of its shape. Raises ValueError for
    generators other than `threefry_prng_impl`.

    >>> random_seed(np.arange(3), threefry_prng_impl).shape
    (3,)
    """
    from pullback.transforms.vmap import vmap

    seeds = as_array(seeds)
    flat = [seed_with_impl(impl, seeds)] if not seeds.ndim else None
    if flat is not None:
        return flat[0]
    make = lambda s: seed_with_impl(impl, s)
    for _ in range(seeds.ndim):
        make = vmap(make)
    return make(seeds)


def threefry_2x32(keypair: Any, count: Any) -> Array:
    """The words that Threefry-2x32 makes of the words in `count`, a uint32 array, under a key of
    two words: those of the first half are one word of each block, those of the second half the
    other.

    Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011). Raises TypeError for other
    types.

    >>> threefry_2x32((np.uint32(0), np.uint32(0)), np.zeros(2, "uint32"))
    Array([1797259609, 2579123966], dtype=uint32)
    """
    import pullback.numpy as jnp

    k0, k1 = map(as_array, keypair)
    words = as_array(count)
    if not k0.dtype == k1.dtype == words.dtype == np.uint32:
        raise TypeError(
            f"threefry_2x32 takes uint32, got keys of {k0.dtype} and {k1.dtype} and words of {words.dtype}, at {user_line()}"
        )
    flat = words.reshape(-1)
    odd = flat.size % 2
    if odd:
        flat = jnp.concatenate([flat, jnp.zeros(1, np.uint32)])
    x0, x1 = flat.reshape(2, -1)
    found = jnp.concatenate(threefry2x32_p.bind(k0, k1, x0, x1))
    return found[: prod(words.shape)].reshape(words.shape)


__all__ = ["PRNGImpl", "random_seed", "seed_with_impl", "threefry2x32_p", "threefry_2x32", "threefry_prng_impl"]
