"""Random keys: making, splitting and inspecting them.

A key is a value from which samplers compute: the same key gives the same numbers, and independent
numbers take independent keys, got by `split` or `fold_in`. Keys are typed (scalars of dtype
`key<fry>`, which nothing but this module looks into) or raw (uint32 arrays of shape (2,)); every
function takes both kinds, and gives the kind it took.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core import config, dtypes
from pullback.core.array import Array, concrete
from pullback.core.dtypes import DType
from pullback.core.errors import user_line
from pullback.lax.random_bits import random_fold_in_p, random_seed_p, random_split_p, random_unwrap_p, random_wrap_p
from pullback.lax.shape import convert
from pullback.random.arguments import array_like, canonical_shape, single_key, typed_keys
from pullback.xla.devices import placed


class _IsKey(type):
    """The class of `Key`: its instances are the arrays of typed keys."""

    def __instancecheck__(cls, x: object) -> bool:
        return isinstance(x, Array) and dtypes.is_key(x.dtype)


class Key(Array, metaclass=_IsKey):
    """Typed keys, for annotations and `isinstance`. `key` makes one.

    >>> isinstance(key(0), Key), isinstance(PRNGKey(0), Key)
    (True, False)
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Key:
        raise TypeError(f"Key is for annotations, at {user_line()}: make keys by random.key(seed)")


_GENERATORS = ("threefry2x32", "fry")


def key_dtype(impl_spec: Any = None) -> DType:
    """The dtype of typed keys, `key<fry>`. Raises ValueError for the name of any generator but
    Threefry-2x32, TypeError for what is no name.

    >>> key_dtype() == key(0).dtype
    True
    """
    if impl_spec is None or (impl_spec.__class__ is not str and impl_spec == dtypes.KEY) or impl_spec in _GENERATORS:
        return dtypes.KEY
    raise (ValueError if impl_spec.__class__ is str else TypeError)(
        f"unrecognized PRNG implementation {impl_spec!r}: 'threefry2x32' is the only one, at {user_line()}"
    )


def _seeded(name: str, seed: Any, impl: Any) -> Array:
    if impl is not None:
        key_dtype(impl)
    if seed.__class__ is int:
        seed = concrete(np.int64(seed) if config.enable_x64.value else np.int64(seed).astype(np.int32))
    if not isinstance(seed, Array):
        seed = array_like(name, np.asarray(seed) if isinstance(seed, (list, tuple)) else seed)
    if seed.dtype == dtypes.KEY:
        raise TypeError(f"{name} accepts a scalar seed, but was given a PRNG key, at {user_line()}")
    if seed.shape:
        raise TypeError(
            f"{name} accepts a scalar seed, but was given an array of shape {seed.shape}, at {user_line()}. Use pullback.vmap for batching"
        )
    if dtypes.kind(seed.dtype) not in "biu":
        raise TypeError(f"PRNG key seed must be an integer; got {seed.aval} at {user_line()}")
    return placed(random_seed_p.bind(seed))


def key(seed: Any, *, impl: Any = None, dtype: Any = None) -> Array:
    """A typed key made of an integer: a scalar of dtype `key<fry>`.

    The seed counts modulo 2**64, or modulo 2**32 while `enable_x64` is off. Raises TypeError if it
    is not an integer scalar, OverflowError for Python integers outside of 64 bits, ValueError for
    generators (`impl`, `dtype`) other than "threefry2x32".

    >>> key(0)
    Array((), dtype=key<fry>) overlaying:
    [0 0]
    >>> import pullback as pb
    >>> pb.vmap(key)(pb.numpy.arange(3)).shape                # one for each seed
    (3,)
    """
    if impl is not None and dtype is not None:
        raise ValueError(f"key takes impl or dtype, not both; got impl={impl!r} and dtype={dtype!r}")
    return _seeded("key", seed, dtype if impl is None else impl)


def PRNGKey(seed: Any, *, impl: Any = None) -> Array:
    """A raw key, uint32 of shape (2,), made of an integer. See `key`, which makes typed ones.

    >>> PRNGKey(3)
    Array([0, 3], dtype=uint32)
    """
    return random_unwrap_p.bind(_seeded("PRNGKey", seed, impl))


def split(key: Any, num: Any = 2) -> Array:
    """Independent new keys, an array of `num` of them (an integer or a shape), of the kind of `key`, which
    should not be used again. Raises TypeError for what is no key, ValueError for arrays of keys.

    >>> from pullback import random
    >>> first, second = split(key(0))
    >>> random.bits(first) == random.bits(second)
    Array(False, dtype=bool)
    >>> split(key(0), (2, 3)).shape, split(PRNGKey(0), 3).shape
    ((2, 3), (3, 2))
    """
    typed = single_key("split", key)
    shape = (num,) if num.__class__ is int and num >= 0 else canonical_shape(num)
    new = random_split_p.bind(typed, shape=shape, partitionable=config.threefry_partitionable.value)
    return new if typed is key else random_unwrap_p.bind(new)


def fold_in(key: Any, data: Any) -> Array:
    """A new key, made of a key and a 32-bit integer: one for each step of a loop, for instance.

    Raises OverflowError for Python integers outside of [0, 2**32), TypeError if `data` is not a
    real scalar.

    >>> import numpy as np
    >>> base = key(0)
    >>> keys = [fold_in(base, step) for step in range(3)]
    >>> len({tuple(key_data(k).tolist()) for k in keys})
    3
    """
    typed = single_key("fold_in", key)
    if data.__class__ is int:
        if not 0 <= data < 2**32:
            raise OverflowError(f"fold_in: Python integer {data} out of bounds for uint32, at {user_line()}")
        data = concrete(np.uint32(data))
    else:
        data = array_like("fold_in", data)
        if dtypes.is_complex(data.dtype):
            raise TypeError(f"fold_in accepts an integer, but was given {data.aval.str_short()}, at {user_line()}")
        if data.shape:
            raise TypeError(
                f"fold_in accepts a scalar, but was given an array of shape {data.shape}, at {user_line()}. Use pullback.vmap for batching."
            )
        data = convert(data, dtypes.uint32)
    new = random_fold_in_p.bind(typed, data)
    return new if typed is key else random_unwrap_p.bind(new)


def wrap_key_data(key_bits_array: Any, *, impl: Any = None, dtype: Any = None) -> Array:
    """Typed keys, of shape (...), from raw ones, uint32 of shape (..., 2). Raises TypeError for any
    other array.

    >>> wrap_key_data(PRNGKey(1)) == key(1)
    Array(True, dtype=bool)
    """
    key_dtype(dtype if impl is None else impl)
    if isinstance(key_bits_array, np.ndarray):
        key_bits_array = array_like("wrap_key_data", key_bits_array)
    if not isinstance(key_bits_array, Array):
        raise TypeError(f"wrap_key_data takes an array, got {key_bits_array!r:.80} at {user_line()}")
    random_wrap_p.type_of(key_bits_array.aval)
    return random_wrap_p.bind(key_bits_array)


def key_data(keys: Any) -> Array:
    """The words of keys: uint32 of shape (..., 2). Raw keys are given back as they are.

    >>> key_data(key(5))
    Array([0, 5], dtype=uint32)
    """
    return random_unwrap_p.bind(typed_keys("key_data", keys))


def key_impl(keys: Any) -> str:
    """The name of the generator that keys are for: "threefry2x32". Raises TypeError for what are no keys.

    >>> key_impl(key(0))
    'threefry2x32'
    """
    typed_keys("key_impl", keys)
    return _GENERATORS[0]


def clone(key: Any) -> Array:
    """The same key again, said to be used again on purpose: `debug_key_reuse` lets it pass.

    >>> import pullback as pb
    >>> from pullback import random
    >>> with pb.debug_key_reuse():
    ...     k = random.key(0)
    ...     x, again = random.uniform(k), random.uniform(clone(k))
    >>> bool(x == again)
    True
    """
    keys = key if isinstance(key, Array) else array_like("clone", key)
    if config.debug_key_reuse.value and keys.dtype == dtypes.KEY:
        return random_wrap_p.bind(random_unwrap_p.bind(keys))
    return keys


def _watch_keys() -> None:
    if config.debug_key_reuse.value:
        from pullback.random.reuse import watch

        watch()


config.debug_key_reuse.on_change = _watch_keys
_watch_keys()

__all__ = ["Key", "PRNGKey", "clone", "fold_in", "key", "key_data", "key_dtype", "key_impl", "split", "wrap_key_data"]
