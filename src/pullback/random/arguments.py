"""What the samplers' arguments become: one typed key, a shape, a dtype, and parameters as arrays of
that dtype.

Every check names the sampler that was called, so its name is the first argument throughout.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from pullback.core import config, dtypes
from pullback.core.array import Array, as_array, concrete
from pullback.core.dtypes import DType
from pullback.core.errors import TypePromotionError, see, user_line
from pullback.core.types import Shape, broadcast_shapes, integers
from pullback.lax.family import add_p
from pullback.lax.random_bits import random_normal_p, random_uniform_p, random_wrap_p
from pullback.lax.shape import broadcast_to, convert
from pullback.xla.devices import no_sharding

_WHAT_A_KEY_IS = "a key is a scalar of dtype key<fry> (pullback.random.key), or a uint32 array of shape (2,) (pullback.random.PRNGKey)"


def typed_keys(name: str, keys: Any) -> Array:
    """`keys`, typed or raw (uint32 of shape (..., 2)), as an array of typed keys. Raises TypeError
    for anything else."""
    if isinstance(keys, np.ndarray):
        keys = as_array(keys)
    if not isinstance(keys, Array):
        raise _no_key(name, f"{keys!r:.80} of type {type(keys).__name__}")
    if keys.dtype == dtypes.KEY:
        return keys
    if keys.dtype != dtypes.uint32:
        raise _no_key(name, f"of dtype {dtypes.name(keys.dtype)} and shape {keys.shape}")
    if keys.shape[-1:] != (2,):
        raise _no_key(name, f"of shape {keys.shape}, whose last axis must have length 2")
    if config.legacy_prng_key.value != "allow":
        _discourage_raw_key(name)
    return random_wrap_p.bind(keys)


def _no_key(name: str, what: str) -> TypeError:
    return TypeError(f"{name}: invalid random key {what}; {_WHAT_A_KEY_IS}, at {user_line()}{see('random-keys')}")


def _discourage_raw_key(name: str) -> None:
    message = (
        f"{name} was given a raw uint32 key, and the option legacy_prng_key is {config.legacy_prng_key.value!r}: make keys with "
        'pullback.random.key, or set the option to "allow"'
    )
    if config.legacy_prng_key.value == "error":
        raise ValueError(f"{message}, at {user_line()}")
    warnings.warn(message, UserWarning, stacklevel=4)


def single_key(name: str, key: Any) -> Array:
    """`key` as one typed key. Raises TypeError if it is no key, ValueError if it is an array of
    keys."""
    typed = typed_keys(name, key)
    if typed.shape:
        raise ValueError(
            f"{name} accepts a single key, but was given a key array of shape {key.shape}, at {user_line()}; {_WHAT_A_KEY_IS}. "
            "Use pullback.vmap for batching."
        )
    return typed


def canonical_shape(shape: Any) -> Shape:
    """A shape given as a sequence of integers, or as one. Raises TypeError for anything else, and
    for negative sizes."""
    sizes = integers(shape, "shape")
    for n in sizes:
        if n < 0:
            raise TypeError(f"Shapes must not have negative sizes, got {sizes} at {user_line()}")
    return sizes


def _dtype_of(name: str, dtype: Any, default: type, belongs: Callable[[DType], bool], what: str) -> DType:
    if dtype is None:
        return dtypes.default_dtype(default)
    found = dtypes.canonicalize_dtype(dtype)
    if not belongs(found):
        raise ValueError(f"dtype argument to `{name}` must be {what} dtype, got {dtypes.name(found)} at {user_line()}")
    return found


def float_dtype(name: str, dtype: Any) -> DType:
    """The floating type asked for, by default float32 or float64. Raises ValueError for others."""
    return _dtype_of(name, dtype, float, dtypes.is_float, "a float")


def inexact_dtype(name: str, dtype: Any) -> DType:
    """The floating or complex type asked for, by default float32 or float64. Raises ValueError for
    others."""
    return _dtype_of(name, dtype, float, dtypes.is_inexact, "a float or complex")


def real_dtype(name: str, dtype: Any) -> DType:
    """The floating or integer type asked for, by default float32 or float64. Raises ValueError for others."""
    return _dtype_of(name, dtype, float, lambda d: dtypes.is_float(d) or dtypes.is_integer(d), "a float or int")


def int_dtype(name: str, dtype: Any) -> DType:
    """The integer type asked for, by default int32 or int64. Raises ValueError for others."""
    return _dtype_of(name, dtype, int, dtypes.is_integer, "an int")


def array_like(name: str, x: Any) -> Array:
    """`x` as an Array. Raises TypeError naming the function, for lists too."""
    try:
        return as_array(x)
    except TypeError:
        raise TypeError(
            f"{name} requires ndarray or scalar arguments, got {type(x).__name__} at {user_line()}. Convert lists and tuples with "
            f"pullback.numpy.array first.{see('arrays')}"
        ) from None


def fitting_shape(what: str, shape: Any, default: Shape) -> Shape:
    """`shape`, or `default` if it is None. Raises ValueError, about `what` has the shape `default`,
    unless that broadcasts to it."""
    out = default if shape is None else canonical_shape(shape)
    if broadcast_shapes(out, default) != out:
        raise ValueError(f"{what} must broadcast to shape={out}, at {user_line()}")
    return out


def parameters(name: str, dtype: DType, shape: Any, *values: Any) -> tuple[Any, ...]:
    """(shape, *parameters): parameters as arrays of `dtype`, scalars or of the shape of the result.

    That is `shape`, to which the parameters must broadcast (ValueError), or the one they broadcast
    to if `shape` is None. Complex numbers are refused (TypePromotionError), as their imaginary
    parts would be dropped.
    """
    arrays = [array_like(name, v) for v in values]
    for a in arrays:
        if dtypes.is_complex(a.dtype):
            raise TypePromotionError(f"{name} takes real parameters, got {a.aval}, at {user_line()}")
    shapes = [a.shape for a in arrays]
    if shape is None and shapes:
        out = broadcast_shapes(*shapes)
    else:
        out = canonical_shape(shape)
        if broadcast_shapes(out, *shapes) != out:
            raise ValueError(
                f"{name}: the shapes of the parameters, {', '.join(map(str, shapes))}, must broadcast to the argument shape={out}; "
                f"at {user_line()}"
            )
    arrays = [convert(a, dtype) for a in arrays]
    return (out, *(broadcast_to(a, out) if a.shape else a for a in arrays))


def sampling(name: str, out_sharding: Any, key: Any, dtype: Any, shape: Any, *values: Any) -> tuple[Any, ...]:
    """(key, dtype, shape, *parameters) of a sampler of floats: what `single_key`, `float_dtype` and
    `parameters` give.

    Raises the errors of these functions, and TypeError for an `out_sharding`.

    >>> from pullback.random.keys import key
    >>> sampling("pareto", None, key(0), None, (2,), 3.0)[1:]
    (dtype('float32'), (2,), Array(3., dtype=float32))
    """
    no_sharding(name, out_sharding)
    key, dtype = single_key(name, key), float_dtype(name, dtype)
    return (key, dtype, *parameters(name, dtype, shape, *values))


def scalar(value: float, dtype: DType) -> Array:
    """`value` as a scalar of `dtype`."""
    return concrete(dtype.type(value))


def unit_uniforms(key: Array, shape: Shape, dtype: DType) -> Array:
    """Uniform numbers in [0, 1) from one typed key."""
    return random_uniform_p.bind(key, dtype=dtype, shape=shape, partitionable=config.threefry_partitionable.value)


def positive_uniforms(key: Array, shape: Shape, dtype: DType) -> Array:
    """Uniform numbers in (0, 1), by adding the smallest normal number, so that their logarithms are
    finite."""
    return add_p.bind(scalar(float(dtypes.finfo(dtype).tiny), dtype), unit_uniforms(key, shape, dtype))


def standard_normals(key: Array, shape: Shape, dtype: DType) -> Array:
    """Real standard normal numbers from one typed key."""
    return random_normal_p.bind(key, dtype=dtype, shape=shape, partitionable=config.threefry_partitionable.value)
