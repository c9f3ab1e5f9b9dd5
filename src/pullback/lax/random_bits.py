"""Random keys and bits: the primitives on typed keys, and the standard numbers that are functions
of random bits.

Keys come as arrays of dtype `dtypes.KEY` and any shape; each primitive acts on every key, and the
axes of what it makes of one key come last. What they compute is in `pullback.lax.threefry`, whose
streams have two layouts: the parameter `partitionable` says which.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from pullback.core import config, dtypes
from pullback.core.array import Array, as_array
from pullback.core.dtypes import DType
from pullback.core.primitive import Fusion, Primitive
from pullback.core.types import Shape, ShapedArray, broadcast_shapes
from pullback.lax import threefry as generator
from pullback.lax.family import Broadcasting
from pullback.lax.shape import move_axis
from pullback.lax.special import erf_inv_p
from pullback.lax.threefry import UNSIGNED, Emitted, Words, emit_keys, product, retyped
from pullback.xla.eager import evaluate_by_xla, is_for_xla

# ---- from bits to numbers: NumPy arrays, in place, and values of programs ------------------------


def uniform_width(dtype: DType) -> int:
    """How many random bits an element takes: those of the type, or 8 if they are more than its
    fraction's."""
    return 8 if dtypes.finfo(dtype).nmant < 8 else dtype.itemsize * 8


@lru_cache(None)
def _constants(dtype: DType) -> tuple[DType, tuple[Any, ...]]:
    """The unsigned type of the size of `dtype`; and what the transforms compute with: the bits that
    are too many, 1 as bits and as a number, the smallest number above -1, its distance from 1, and
    √2."""
    width, unsigned, one = uniform_width(dtype), np.dtype(f"u{dtype.itemsize}"), dtype.type(1)
    low = np.nextafter(-one, dtype.type(0))
    shift = UNSIGNED[width].type(width - dtypes.finfo(dtype).nmant)
    numbers = (shift, np.asarray(one).view(unsigned), one, low, one - low, dtype.type(np.sqrt(2)))
    return unsigned, tuple(map(np.asarray, numbers))  # arrays without axes are the quickest operands


def _unit_uniform(bits: Any, dtype: DType) -> Any:
    """Unsigned integers to uniform numbers in [0, 1): the leading bits become the fraction of a
    number in [1, 2)."""
    unsigned, (shift, one_bits, one, *_) = _constants(dtype)
    bits >>= shift
    bits = bits.astype(unsigned, copy=False)
    bits |= one_bits
    x = bits.view(dtype)
    x -= one
    return x


def _standard_normal(bits: Any, dtype: DType) -> Any:
    """Unsigned integers to normal numbers: √2 erf⁻¹(u), u uniform in (-1, 1)."""
    _, (*_, low, span, root) = _constants(dtype)
    u = _unit_uniform(bits, dtype)
    u *= span
    u += low
    if u.__class__ is Emitted:
        # No number is below `low`, but the compiler's code is quicker where that is said.
        bounded = u.emit("maximum", u.value, u.emit.like(low, u.value))
        u = Emitted(u.emit, erf_inv_p.hlo(u.emit, bounded))
    else:
        u = erf_inv_p.evaluate(u)
    u *= root
    return u


# ---- primitives ----------------------------------------------------------------------------------


def key_words(keys: Any) -> Words:
    """The words, of shape (n, 2), of NumPy values of dtype `KEY`."""
    return np.asarray(keys)["fry"].reshape(-1, 2)


def keys_of(words: Words, shape: Shape) -> Any:
    """Keys of the given shape from their words."""
    return np.ascontiguousarray(words).view(dtypes.KEY).reshape(shape)


def check_keys(name: str, keys: ShapedArray) -> None:
    """Raise TypeError unless `keys` are typed keys."""
    if keys.dtype != dtypes.KEY:
        raise TypeError(f"{name} takes typed random keys (dtype key<fry>), got {keys}")


class _OnKeys(Primitive):
    """A function of each key in an array of keys; what it makes of one key has its axes last."""

    weakness = "never"
    no_derivative = "random bits do not depend smoothly on their key"

    def batch(self, size: int, args: Any, axes: Any, **params: Any) -> Any:
        return self.bind(move_axis(args[0], axes[0], 0), **params), 0


class RandomSeed(_OnKeys):
    """Keys from integers: (upper word, lower word); the upper word is 0 for types of 32 bits and
    less."""

    name = "random_seed"
    operations = 1

    def type_of(self, seeds: ShapedArray) -> ShapedArray:
        if dtypes.kind(seeds.dtype) not in "biu":
            raise TypeError(f"PRNG key seed must be an integer; got {seeds}")
        return ShapedArray(seeds.shape, dtypes.KEY)

    def lower(self, emit: Any, seeds: Any) -> Any:
        bits, wide = Emitted(emit, seeds), seeds.dtype.itemsize == 8
        if dtypes.kind(seeds.dtype) == "i":  # negative seeds count by their bits
            signed, unsigned = (dtypes.int64, dtypes.uint64) if wide else (dtypes.int32, dtypes.uint32)
            bits = bits.astype(signed).view(unsigned)
        low = bits.astype(dtypes.uint32)
        return emit_keys((bits >> 32).astype(dtypes.uint32) if wide else Emitted(emit, emit.like(0, low.value)), low)

    def evaluate(self, seeds: Any) -> Any:
        words = np.zeros((*seeds.shape, 2), np.uint32)
        words[..., 1] = np.asarray(seeds).astype(np.uint32)
        if seeds.dtype.itemsize == 8:
            words[..., 0] = np.asarray(seeds).astype(np.uint64) >> np.uint64(32)
        return keys_of(words, seeds.shape)


class RandomWrap(_OnKeys):
    """Typed keys from their words: uint32 of shape (..., 2) to keys of shape (...)."""

    name = "random_wrap"
    fusion, operations = Fusion.MOVING, 1

    def type_of(self, words: ShapedArray) -> ShapedArray:
        if words.dtype != dtypes.uint32 or words.shape[-1:] != (2,):
            raise TypeError(f"random_wrap takes key data: uint32 of shape (..., 2); got {words}")
        return ShapedArray(words.shape[:-1], dtypes.KEY)

    def lower(self, emit: Any, words: Any) -> Any:
        bits = emit("bitcast_convert", words, out=ShapedArray(words.shape[:-1], dtypes.uint64))
        return retyped(bits, dtypes.KEY)

    def evaluate(self, words: Any) -> Any:
        return keys_of(words, words.shape[:-1])


class RandomUnwrap(_OnKeys):
    """The words of typed keys: keys of shape (...) to uint32 of shape (..., 2)."""

    name = "random_unwrap"
    fusion, operations = Fusion.MOVING, 1

    def type_of(self, keys: ShapedArray) -> ShapedArray:
        check_keys(self.name, keys)
        return ShapedArray((*keys.shape, 2), dtypes.uint32)

    def lower(self, emit: Any, keys: Any) -> Any:
        return emit("bitcast_convert", retyped(keys, dtypes.uint64), out=emit.type)

    def evaluate(self, keys: Any) -> Any:
        return np.asarray(keys)["fry"]


class RandomSplit(_OnKeys):
    """New keys, an array of `shape` of them for each key."""

    name = "random_split"

    def type_of(self, keys: ShapedArray, *, shape: Shape, partitionable: bool) -> ShapedArray:
        check_keys(self.name, keys)
        return ShapedArray((*keys.shape, *shape), dtypes.KEY)

    def lower(self, emit: Any, keys: Any, *, shape: Shape, partitionable: bool) -> Any:
        return emit.reshape(generator.emit_split(emit, keys, product(shape), partitionable), emit.type.shape)

    def evaluate(self, keys: Any, *, shape: Shape, partitionable: bool) -> Any:
        return keys_of(generator.split_keys(key_words(keys), product(shape), partitionable), (*keys.shape, *shape))


class RandomFoldIn(Broadcasting, _OnKeys):
    """A new key of each key and each 32-bit integer; keys and integers broadcast."""

    name = "random_fold_in"

    def type_of(self, keys: ShapedArray, data: ShapedArray) -> ShapedArray:
        check_keys(self.name, keys)
        if data.dtype != dtypes.uint32:
            raise TypeError(f"random_fold_in takes data of dtype uint32, got {data}")
        return ShapedArray(broadcast_shapes(keys.shape, data.shape), dtypes.KEY)

    def lower(self, emit: Any, keys: Any, data: Any) -> Any:
        shape = emit.type.shape
        return generator.emit_block(emit, emit.broadcast(keys, shape), emit.broadcast(data, shape))

    def evaluate(self, keys: Any, data: Any) -> Any:
        shape = broadcast_shapes(keys.shape, data.shape) if keys.shape or data.shape else ()
        return keys_of(generator.fold_in(np.asarray(keys)["fry"], data), shape)


class Threefry2x32(Broadcasting, _OnKeys):
    """The block function itself: two key words and two counter words, uint32 arrays that broadcast,
    to two words."""

    name = "threefry2x32"
    multiple_results = True

    def type_of(self, *operands: ShapedArray) -> list[ShapedArray]:
        if len(operands) != 4 or any(x.dtype != dtypes.uint32 for x in operands):
            raise TypeError(f"threefry2x32 takes four operands of dtype uint32, got {', '.join(map(str, operands))}")
        return [ShapedArray(broadcast_shapes(*(x.shape for x in operands)), dtypes.uint32)] * 2

    def lower(self, emit: Any, *operands: Any) -> list[Any]:
        shape = emit.type.shape
        words = generator.emit_threefry(*(Emitted(emit, emit.broadcast(x, shape)) for x in operands))
        return [w.value for w in words]

    def evaluate(self, k0: Any, k1: Any, x0: Any, x1: Any) -> Any:
        k0, k1, x0, x1 = np.broadcast_arrays(k0, k1, x0, x1)
        words = [np.array(x0), np.array(x1)]
        generator.threefry(k0, k1, *words)
        return words


class RandomBits(_OnKeys):
    """Uniform unsigned integers of `bit_width` bits, an array of `shape` of them for each key."""

    name = "random_bits"
    fusion, operations = Fusion.DRAWING, 130

    def type_of(self, keys: ShapedArray, *, bit_width: int, shape: Shape, partitionable: bool) -> ShapedArray:
        check_keys(self.name, keys)
        if bit_width not in UNSIGNED:
            raise TypeError(f"random_bits: bit_width must be 8, 16, 32 or 64, got {bit_width}")
        return ShapedArray((*keys.shape, *shape), UNSIGNED[bit_width])

    def lower(self, emit: Any, keys: Any, *, bit_width: int, shape: Shape, partitionable: bool) -> Any:
        return emit.reshape(generator.emit_bits(emit, keys, product(shape), bit_width, partitionable), emit.type.shape)

    def evaluate(self, keys: Any, *, bit_width: int, shape: Shape, partitionable: bool) -> Any:
        return generator.draw(key_words(keys), product(shape), bit_width, partitionable).reshape((*keys.shape, *shape))


class RandomNumbers(_OnKeys):
    """Standard floating-point numbers, an array of `shape` of them for each key: an elementwise
    function of random bits."""

    fusion, operations = Fusion.DRAWING, 130

    def __init__(self, name: str, transform: Callable[[Any, DType], Any], xla_from: Mapping[int, int]) -> None:
        self.name, self.transform, self.xla_from = name, transform, xla_from
        super().__init__()

    def type_of(self, keys: ShapedArray, *, dtype: DType, shape: Shape, partitionable: bool) -> ShapedArray:
        check_keys(self.name, keys)
        if not dtypes.is_float(dtype):
            raise TypeError(f"{self.name} gives floating-point numbers; dtype is {dtypes.name(dtype)}")
        return ShapedArray((*keys.shape, *shape), dtype)

    def lower(self, emit: Any, keys: Any, *, dtype: DType, shape: Shape, partitionable: bool) -> Any:
        bits = generator.emit_bits(emit, keys, product(shape), uniform_width(dtype), partitionable)
        return emit.reshape(self.transform(Emitted(emit, bits), dtype).value, emit.type.shape)

    def evaluate(self, keys: Any, *, dtype: DType, shape: Shape, partitionable: bool) -> Any:
        size = product(shape)
        if is_for_xla(self, size * keys.size, dtype):
            return evaluate_by_xla(self, (keys,), {"dtype": dtype, "shape": shape, "partitionable": partitionable})
        return self.numbers(key_words(keys), size, dtype, partitionable).reshape((*keys.shape, *shape))

    def numbers(self, keys: Words, size: int, dtype: DType, partitionable: bool) -> Any:
        """The same on key words, of shape (n, 2), to an array of shape (n, size): for samplers that
        draw in loops."""
        return generator.draw(keys, size, uniform_width(dtype), partitionable, self.transform, dtype)


random_seed_p, random_wrap_p, random_unwrap_p = RandomSeed(), RandomWrap(), RandomUnwrap()
random_split_p, random_fold_in_p, random_bits_p = RandomSplit(), RandomFoldIn(), RandomBits()
threefry2x32_p = Threefry2x32()
#: Uniform in [0, 1), and normal with mean 0 and variance 1.
random_uniform_p = RandomNumbers("random_uniform", _unit_uniform, {4: 1 << 16, 8: 1 << 16})
random_normal_p = RandomNumbers("random_normal", _standard_normal, {4: 1 << 17, 8: 1 << 17})


def random_bits(keys: Any, bit_width: int, shape: Shape) -> Array:
    """Random unsigned integers for each of the typed `keys`, in the layout that
    `threefry_partitionable` asks for."""
    return random_bits_p.bind(
        as_array(keys), bit_width=bit_width, shape=shape, partitionable=config.threefry_partitionable.value
    )


__all__ = [
    "random_bits_p", "random_fold_in_p", "random_normal_p", "random_seed_p", "random_split_p", "random_uniform_p", "random_unwrap_p",
    "random_wrap_p", "threefry2x32_p",
]  # fmt: skip
