"""XLA's generators of random bits: with a state that the caller keeps (`rng_bit_generator`), and
with one of XLA's (`rng_uniform`).

A state is a key of 64 bits and a counter. Each generator is a function of the key and a counter to
a block of words, and its stream are the blocks of successive counters: those of Philox-4x32 with 10
rounds have four words, those of Threefry-2x32 two (Salmon, Moraes, Dror and Shaw, "Parallel random
numbers: as easy as 1, 2, 3", SC 2011). NumPy computes here what XLA's CPU compiler does, bit for
bit; other platforms may have other streams. The generator behind `pullback.random` is in
`pullback.lax.threefry`.
"""

from __future__ import annotations

import enum
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, as_array
from pullback.core.dtypes import DType
from pullback.core.errors import user_line
from pullback.core.primitive import Primitive
from pullback.core.types import Shape, ShapedArray
from pullback.lax.arrangement import concatenate, slice_along
from pullback.lax.shape import move_axis, reshape_p
from pullback.lax.threefry import product, threefry
from pullback.xla.devices import no_sharding
from pullback.xla.eager import evaluate_by_xla
from pullback.xla.text import Enum


class RandomAlgorithm(enum.IntEnum):
    """Which generator `rng_bit_generator` uses: RNG_DEFAULT, RNG_THREE_FRY or RNG_PHILOX. The default
    one is the platform's choice; on CPUs it is Philox.

    See J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011.

    >>> key = np.array([1, 2, 3, 4], np.uint32)
    >>> state, bits = rng_bit_generator(key, (3,), algorithm=RandomAlgorithm.RNG_THREE_FRY)
    >>> state.shape, bits.dtype
    ((4,), dtype('uint32'))
    """

    RNG_DEFAULT = 0
    RNG_THREE_FRY = 1
    RNG_PHILOX = 2

    @property
    def stablehlo(self) -> str:
        """StableHLO's name of it.

        >>> RandomAlgorithm.RNG_PHILOX.stablehlo
        'PHILOX'
        """
        return self.name.removeprefix("RNG_")


# ---- streams -------------------------------------------------------------------------------------

_WORD = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_PHILOX_FACTORS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
#: The golden ratio and √3 - 1, of which each round adds one to each word of the key.
_PHILOX_KEY_STEPS = (np.uint64(0x9E3779B9), np.uint64(0xBB67AE85))


def _counters(start: np.uint64, count: int) -> np.ndarray[Any, Any]:
    return start + np.arange(count, dtype=np.uint64)


def philox(key: np.uint64, start: np.uint64, size: int, wide: bool) -> tuple[int, np.ndarray[Any, Any]]:
    """How many blocks of Philox-4x32-10 `size` elements of 32 bits (64, if `wide`) take, and these.

    The counter of 128 bits has `key` as its upper half, and counts from `start`.
    """
    count = -(-size // (2 if wide else 4))  # rounded up
    low = _counters(start, count)
    high = key + (low < start).astype(np.uint64)
    k = [key & _WORD, key >> _HALF]
    x = [low & _WORD, low >> _HALF, high & _WORD, high >> _HALF]
    for _ in range(10):
        first, second = x[0] * _PHILOX_FACTORS[0], x[2] * _PHILOX_FACTORS[1]
        x = [second >> _HALF ^ x[1] ^ k[0], second & _WORD, first >> _HALF ^ x[3] ^ k[1], first & _WORD]
        k = [word + step & _WORD for word, step in zip(k, _PHILOX_KEY_STEPS)]
    if wide:
        x = [x[0] | x[1] << _HALF, x[2] | x[3] << _HALF]
    bits = np.stack(x, axis=-1).reshape(-1)[:size]
    return count, bits if wide else bits.astype(np.uint32)


def _threefry(key: np.uint64, start: np.uint64, shape: Shape, wide: bool) -> tuple[int, np.ndarray[Any, Any]]:
    """How many blocks of Threefry-2x32 an array of elements of 32 bits (64, if `wide`) takes, and
    the array.

    Without `wide`, the two words of a block are neighbours along the first axis of even length; or
    else along the longest, whose last words have none.
    """
    shape = shape or (1,)
    halves = list(shape)
    axis = next((i for i, n in enumerate(shape) if n % 2 == 0), shape.index(max(shape)))
    if not wide:
        halves[axis] = -(-shape[axis] // 2)
    count = product(halves)
    counters = _counters(start, count)
    x0, x1 = ((x & _WORD).astype(np.uint32).reshape(halves) for x in (counters, counters >> _HALF))
    threefry(int(key & _WORD), int(key >> _HALF), x0, x1)
    if wide:
        return count, x0 | x1.astype(np.uint64) << _HALF
    halves[axis] *= 2
    return count, np.stack([x0, x1], axis + 1).reshape(halves)[tuple(slice(n) for n in shape)]


class RngBitGenerator(Primitive):
    """(new key, bits): as many blocks of the stream of `key` as make an array of `shape`, and the
    key of what comes next."""

    name = "rng_bit_generator"
    multiple_results = True
    weakness = "never"
    no_derivative = "random bits do not depend smoothly on their key"

    def type_of(self, key: ShapedArray, *, shape: Shape, dtype: DType, algorithm: RandomAlgorithm) -> list[ShapedArray]:
        if (key.shape, key.dtype) not in (((4,), dtypes.uint32), ((2,), dtypes.uint64)):
            raise TypeError(
                f"rng_bit_generator takes a key of 4 words of dtype uint32, or 2 of dtype uint64, got {key}, at {user_line()}"
            )
        if dtypes.kind(dtype) != "u" or dtype.itemsize > 8 or dtypes.itemsize_bits(dtype) < 8:
            raise TypeError(f"rng_bit_generator: unsupported dtype {dtypes.name(dtype)}, at {user_line()}")
        return [ShapedArray(key.shape, key.dtype), ShapedArray(shape, dtype)]

    def evaluate(self, key: Any, *, shape: Shape, dtype: DType, algorithm: RandomAlgorithm) -> list[Any]:
        state = np.array(key).view(np.uint64)
        wide = dtype.itemsize == 8
        if algorithm is RandomAlgorithm.RNG_THREE_FRY:
            count, bits = _threefry(state[0], state[1], shape, wide)
        else:
            count, bits = philox(state[0], state[1], product(shape), wide)
        state[1:] += np.uint64(count)
        return [state.view(key.dtype), bits.astype(dtype, copy=False).reshape(shape)]

    def lower(self, emit: Any, key: Any, *, shape: Shape, dtype: DType, algorithm: RandomAlgorithm) -> list[Any]:
        state_type, pairs = ShapedArray((2,), dtypes.uint64), ShapedArray((2, 2), dtypes.uint32)
        words = key.dtype == dtypes.uint32
        state = emit("bitcast_convert", emit.reshape(key, pairs.shape), out=state_type) if words else key
        state, bits = emit(
            "rng_bit_generator", state, out=[state_type, ShapedArray(shape, dtype)],
            rng_algorithm=Enum("rng_algorithm", algorithm.stablehlo),
        )  # fmt: skip
        if words:
            state = emit.reshape(emit("bitcast_convert", state, out=pairs), key.shape)
        return [state, bits]

    def batch(self, size: int, args: Sequence[Any], axes: Sequence[int | None], *, shape: Shape, **params: Any) -> Any:
        # All bits come from the stream of the first key, as many as all of them need: one stream is
        # one operation.
        (axis,) = axes
        assert axis is not None
        keys = move_axis(args[0], axis, 0)
        first = reshape_p.bind(slice_along(keys, 0, 1, 0), new_sizes=keys.shape[1:])
        new, bits = self.bind(first, shape=(size, *shape), **params)
        new = reshape_p.bind(new, new_sizes=(1, *new.shape))
        return [concatenate([new, slice_along(keys, 1, size, 0)], 0), bits], [0, 0]


#: The types that `rng_uniform` makes.
_UNIFORM_TYPES = (
    dtypes.float16, dtypes.bfloat16, dtypes.float32, dtypes.float64, dtypes.int32, dtypes.int64, dtypes.uint32, dtypes.uint64,
)  # fmt: skip


class RngUniform(Primitive):
    """An array of numbers between `a` and `b`, other ones whenever it is evaluated."""

    name = "rng_uniform"
    mergeable = False

    def type_of(self, a: ShapedArray, b: ShapedArray, *, shape: Shape) -> ShapedArray:
        if a.dtype != b.dtype:
            raise ValueError(
                f"arguments to rng_uniform must have identical dtypes, got {dtypes.name(a.dtype)} and {dtypes.name(b.dtype)}, "
                f"at {user_line()}"
            )
        if a.shape or b.shape:
            raise ValueError(
                f"arguments to rng_uniform must be scalars, got shapes {a.shape} and {b.shape}, at {user_line()}"
            )
        if a.dtype not in _UNIFORM_TYPES:
            raise TypeError(
                f"rng_uniform does not make numbers of dtype {dtypes.name(a.dtype)}, at {user_line()}: it makes floating ones of "
                "16 bits and more, and integers of 32 and 64"
            )
        return ShapedArray(shape, a.dtype, a.weak_type and b.weak_type)

    def evaluate(self, a: Any, b: Any, *, shape: Shape) -> Any:
        return evaluate_by_xla(self, (a, b), {"shape": shape})

    def lower(self, emit: Any, a: Any, b: Any, *, shape: Shape) -> Any:
        sizes = emit.constant(np.array(shape, np.int64))
        return emit("rng", a, b, sizes, out=emit.type, rng_distribution=Enum("rng_distribution", "UNIFORM"))

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, shape: Shape) -> Any:
        raise NotImplementedError(
            f"rng_uniform (at {user_line()}) has no derivative rule: write a + (b - a) * u, u made by random.uniform"
        )

    def batch(self, size: int, args: Sequence[Any], axes: Sequence[int | None], *, shape: Shape) -> Any:
        raise NotImplementedError(
            f"vmap of rng_uniform (at {user_line()}): its bounds are scalars. Write a + (b - a) * u, u made by random.uniform"
        )


rng_bit_generator_p, rng_uniform_p = RngBitGenerator(), RngUniform()


# ---- public functions ----------------------------------------------------------------------------


def _shape(shape: Any) -> Shape:
    sizes = (operator.index(shape),) if not isinstance(shape, Sequence) else tuple(map(operator.index, shape))
    if any(n < 0 for n in sizes):
        raise ValueError(f"shapes have no negative sizes, got {sizes}, at {user_line()}")
    return sizes


def rng_bit_generator(
    key: Any,
    shape: Any,
    dtype: Any = np.uint32,
    algorithm: RandomAlgorithm = RandomAlgorithm.RNG_DEFAULT,
    *,
    out_sharding: Any = None,
) -> tuple[Array, Array]:
    """(new key, bits): random unsigned integers of `shape` and `dtype`, and the key that continues
    the stream.

    `key` is four words of dtype uint32 (or two of dtype uint64). Its bits depend on `algorithm` and
    on the platform, unlike those of `pullback.random`. Under `vmap` all bits come from the stream
    of the first key, and only that key is new; so results differ from those of a loop. There is no
    derivative. Raises TypeError for keys and dtypes of other kinds.

    >>> import pullback.numpy as jnp
    >>> key, bits = rng_bit_generator(jnp.array([1, 2, 3, 4], jnp.uint32), (2,))
    >>> key, bits
    (Array([1, 2, 4, 4], dtype=uint32), Array([ 512747620, 1298009047], dtype=uint32))
    """
    no_sharding("rng_bit_generator", out_sharding)
    key = as_array(key)
    params: dict[str, Any] = {
        "shape": _shape(shape),
        "dtype": dtypes.canonicalize_dtype(dtype),
        "algorithm": RandomAlgorithm(algorithm),
    }
    rng_bit_generator_p.type_of(key.aval, **params)
    new, bits = rng_bit_generator_p.bind(key, **params)
    return new, bits


def rng_uniform(a: Any, b: Any, shape: Any) -> Array:
    """Random numbers, uniform between the scalars `a` and `b` (excluded), from XLA's own generator.

    They are other ones in each call, and whenever a compiled program runs: nothing reproduces them.
    Use `pullback.random` for anything else. Raises ValueError unless `a` and `b` are scalars of one
    dtype, TypeError if that is not a floating type or an integer of 32 or 64 bits.

    >>> rng_uniform(0.0, 1.0, (2, 3)).shape
    (2, 3)
    """
    low, high, sizes = as_array(a), as_array(b), _shape(shape)
    rng_uniform_p.type_of(low.aval, high.aval, shape=sizes)
    return rng_uniform_p.bind(low, high, shape=sizes)


__all__ = ["RandomAlgorithm", "rng_bit_generator", "rng_bit_generator_p", "rng_uniform", "rng_uniform_p"]
