"""Random bits: the counter-based generator Threefry-2x32, and the primitives on typed keys that are made of it.

A key is two 32-bit words. Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3",
SC 2011) maps a key and a counter of two words to two random words; all there is to a random stream is which counters it uses. There are
two layouts of counters, chosen by the option `threefry_partitionable` and carried by the primitives' parameter `partitionable`:

- False: a stream of w words uses the counters (i, i + w/2) for i < w/2, and consists of all the first words, then all the second ones.
- True: element i of a stream uses the counter (high half of i, low half of i), so that every element can be computed alone.

Keys come as arrays of dtype `dtypes.KEY` and any shape; each primitive acts on every key, and the axes of what it makes
of one key come last. Long streams are computed block by block, so that temporaries stay in the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from pullback.core import config, dtypes
from pullback.core.array import Array, as_array
from pullback.core.dtypes import DType
from pullback.core.primitive import Fusion, Primitive
from pullback.core.types import Shape, ShapedArray, broadcast_shapes
from pullback.lax.family import Broadcasting
from pullback.lax.shape import move_axis
from pullback.lax.special import erf_inv_p
from pullback.xla.eager import evaluate_by_xla, is_for_xla

Words = np.ndarray[Any, np.dtype[np.uint32]]

# ---- the block function -----------------------------------------------------------------------------------------

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA
#: Up to so many lanes, arithmetic on Python integers with one lane in each 64 bits is faster than NumPy's.
_FEW_LANES = 128
#: Lanes that are computed at a time: their temporaries fill about half a megabyte.
_BLOCK = 32768
#: Loops over fewer keys may be small to XLA: 1 KiB.
_FEW_KEYS = 128


def threefry(k0: Words, k1: Words, x0: Words, x1: Words) -> tuple[Words, Words]:
    """Threefry-2x32-20 of the counters (x0, x1) under the keys (k0, k1), of one shape that broadcasts to that of the counters.

    `x0` and `x1` are fresh arrays of one shape; their contents are lost.
    """
    if x0.size <= _FEW_LANES:
        return _threefry_few(k0, k1, x0, x1)
    schedule = (k0, k1, k0 ^ k1 ^ np.uint32(_PARITY))
    t = np.empty_like(x1)
    x0 += k0
    x1 += k1
    for i in range(5):
        for r in _ROTATIONS[i % 2]:
            x0 += x1
            np.left_shift(x1, r, t)
            np.right_shift(x1, 32 - r, x1)
            x1 |= t
            x1 ^= x0
        x0 += schedule[(i + 1) % 3]
        x1 += schedule[(i + 2) % 3] + np.uint32(i + 1)
    return x0, x1


def _threefry_few(k0: Words, k1: Words, x0: Words, x1: Words) -> tuple[Words, Words]:
    # One integer holds all lanes, 64 bits each, of which the upper 32 are room for carries and shifts until they are masked off.
    shape, lanes = x0.shape, x0.size
    if not lanes:
        return x0, x1
    ones, mask = _patterns(lanes)
    a, b = _pack(x0), _pack(x1)
    if k0.size == 1:
        key0, key1 = int(k0.item()) * ones, int(k1.item()) * ones
    else:
        key0, key1 = _pack(np.broadcast_to(k0, shape)), _pack(np.broadcast_to(k1, shape))
    schedule = (key0, key1, key0 ^ key1 ^ _PARITY * ones)
    a = a + key0 & mask
    b = b + key1 & mask
    for i in range(5):
        for r in _ROTATIONS[i % 2]:
            a = a + b & mask
            b = (b << r | b >> 32 - r) & mask ^ a
        a = a + schedule[(i + 1) % 3] & mask
        b = b + schedule[(i + 2) % 3] + (i + 1) * ones & mask
    return _unpack(a, shape, lanes), _unpack(b, shape, lanes)


@lru_cache(_FEW_LANES)
def _patterns(lanes: int) -> tuple[int, int]:
    """The integers with 1, and with 32 ones, in each lane."""
    ones = int.from_bytes(b"\1\0\0\0\0\0\0\0" * lanes, "little")
    return ones, ones * 0xFFFFFFFF


def _pack(x: Words) -> int:
    return int.from_bytes(x.astype("<u8").tobytes(), "little")


def _unpack(x: int, shape: Shape, lanes: int) -> Words:
    return np.frombuffer(x.to_bytes(8 * lanes, "little"), "<u8").astype(np.uint32).reshape(shape)


# ---- streams ----------------------------------------------------------------------------------------------------

_UNSIGNED: dict[int, DType] = {8: dtypes.uint8, 16: dtypes.uint16, 32: dtypes.uint32, 64: dtypes.uint64}
#: A part of a stream: these rows, from this element to that, are the columns of the block from this one on.
_Piece = tuple[slice, int, int, int]


def split_keys(keys: Words, num: int, partitionable: bool) -> Words:
    """`num` new keys for each key: words of shape (n, 2) to words of shape (n, num, 2)."""
    if not partitionable:
        return draw(keys, 2 * num, 32, False).reshape(len(keys), num, 2)
    index = np.arange(num, dtype=np.uint64)
    counters = np.empty((2, len(keys), num), np.uint32)
    counters[0], counters[1] = index >> np.uint64(32), index
    return np.stack(threefry(keys[:, :1], keys[:, 1:], counters[0], counters[1]), axis=-1)


def draw(
    keys: Words,
    size: int,
    width: int,
    partitionable: bool,
    transform: Callable[[Any], Any] | None = None,
    dtype: DType | None = None,
) -> Any:
    """The first `size` elements, unsigned integers of `width` bits, of each key's stream: words (n, 2) to an array (n, size).

    With `transform`, that elementwise function of them, of type `dtype`; it may overwrite what it is given.
    """
    out = None
    for bits, pieces in _blocks(keys, size, width, partitionable):
        values = bits if transform is None else transform(bits)
        if values.shape == (len(keys), size):
            return values
        if out is None:
            out = np.empty((len(keys), size), dtype or _UNSIGNED[width])
        for rows, start, stop, column in pieces:
            out[rows, start:stop] = values[:, column : column + stop - start]
    return np.empty((len(keys), size), dtype or _UNSIGNED[width]) if out is None else out


def _blocks(keys: Words, size: int, width: int, partitionable: bool) -> Iterator[tuple[Any, Sequence[_Piece]]]:
    """The streams of `keys` as blocks (rows: keys; columns: elements) with the places where their parts belong."""
    if not size:
        return
    words = -(-size * width // 32)  # rounded up
    lanes = size if partitionable or width == 64 else -(-words // 2)
    columns = min(lanes, _BLOCK)
    height = max(1, _BLOCK // columns)
    dtype = _UNSIGNED[width]
    for row in range(0, len(keys), height):
        block = keys[row : row + height]
        rows = slice(row, row + len(block))
        k0, k1 = block[:, :1], block[:, 1:]
        for start in range(0, lanes, columns):
            stop = min(start + columns, lanes)
            x0, x1 = np.empty((len(block), stop - start), np.uint32), np.empty((len(block), stop - start), np.uint32)
            if partitionable:
                index = np.arange(start, stop, dtype=np.uint64)
                x0[:], x1[:] = index >> np.uint64(32), index
            else:
                x0[:] = np.arange(start, stop, dtype=np.uint64)
                x1[:] = np.arange(lanes + start, lanes + stop, dtype=np.uint64)
                if words % 2 and stop == lanes:
                    x1[:, -1] = 0  # an odd number of words is padded by the counter 0
            x0, x1 = threefry(k0, k1, x0, x1)
            if width == 64:
                wide = x0.astype(np.uint64)
                wide <<= np.uint64(32)
                wide |= x1
                yield wide, ((rows, start, stop, 0),)
            elif partitionable:
                x0 ^= x1
                yield x0.astype(dtype, copy=False), ((rows, start, stop, 0),)
            else:
                # Elements narrower than a word are its parts, the low ones first.
                parts = 32 // width
                bits = np.concatenate((x0, x1), axis=1).astype("<u4", copy=False).view(dtype.newbyteorder("<"))
                if lanes == stop - start:
                    yield bits[:, :size], ((rows, 0, size, 0),)
                    continue
                first = (rows, start * parts, stop * parts, 0)
                second = (rows, (lanes + start) * parts, min((lanes + stop) * parts, size), (stop - start) * parts)
                yield bits, (first, second)


# ---- from bits to numbers ---------------------------------------------------------------------------------------


def uniform_width(dtype: DType) -> int:
    """How many random bits an element takes: those of the type, or 8 if they are more than its fraction's."""
    return 8 if dtypes.finfo(dtype).nmant < 8 else dtype.itemsize * 8


@lru_cache(None)
def _unit_uniform(dtype: DType) -> Callable[[Any], Any]:
    """Unsigned integers to uniform numbers in [0, 1): the leading bits become the fraction of a number in [1, 2)."""
    fraction, width = dtypes.finfo(dtype).nmant, uniform_width(dtype)
    unsigned = np.dtype(f"u{dtype.itemsize}")
    one = np.ones((), dtype).view(unsigned)[()]
    shift = _UNSIGNED[width].type(width - fraction)

    def transform(bits: Any) -> Any:
        bits = np.right_shift(bits, shift).astype(unsigned, copy=False)
        bits |= one
        x = bits.view(dtype)
        x -= dtype.type(1)
        return x

    return transform


@lru_cache(None)
def _standard_normal(dtype: DType) -> Callable[[Any], Any]:
    """Unsigned integers to normal numbers: √2 erf⁻¹(u), u uniform in (-1, 1)."""
    unit_uniform = _unit_uniform(dtype)
    low = np.nextafter(dtype.type(-1), dtype.type(0))
    span, root = dtype.type(1) - low, dtype.type(np.sqrt(2))

    def transform(bits: Any) -> Any:
        u = unit_uniform(bits)
        u *= span
        u += low
        u = erf_inv_p.evaluate(np.maximum(u, low, out=u))
        u *= root
        return u

    return transform


# ---- the same in compiled programs, where a key is one 64-bit word -----------------------------------------------


def _emit_words(emit: Any, keys: Any) -> tuple[Any, Any]:
    """The two words of keys."""
    words = ShapedArray(keys.shape, dtypes.uint32)
    bits = _retyped(keys, dtypes.uint64)
    high = emit("shift_right_logical", bits, emit.like(32, bits), out=bits)
    return emit("convert", bits, out=words), emit("convert", high, out=words)


def _emit_keys(emit: Any, w0: Any, w1: Any) -> Any:
    """Keys of two words."""
    low, high = (emit.convert(w, dtypes.uint64) for w in (w0, w1))
    bits = emit("or", low, emit("shift_left", high, emit.like(32, high)))
    return _retyped(bits, dtypes.KEY)


def _retyped(x: Any, dtype: DType) -> Any:
    """A value under the type that the compiler sees (`dtypes.uint64`), or under that of keys."""
    return type(x)(x.name, x.shape, dtype)


def _emit_threefry(emit: Any, k0: Any, k1: Any, x0: Any, x1: Any) -> tuple[Any, Any]:
    parity = emit("xor", emit("xor", k0, k1), emit.like(_PARITY, k0))
    schedule = [emit.broadcast(k, x0.shape, _aligned(k, x0)) for k in (k0, k1, parity)]
    x0, x1 = emit("add", x0, schedule[0]), emit("add", x1, schedule[1])
    for i in range(5):
        for r in _ROTATIONS[i % 2]:
            x0 = emit("add", x0, x1)
            left = emit("shift_left", x1, emit.like(r, x1))
            right = emit("shift_right_logical", x1, emit.like(32 - r, x1))
            x1 = emit("xor", emit("or", left, right), x0)
        x0 = emit("add", x0, schedule[(i + 1) % 3])
        x1 = emit("add", x1, emit("add", schedule[(i + 2) % 3], emit.like(i + 1, x1)))
    return x0, x1


def _emit_block(emit: Any, keys: Any, shape: Shape, x0: Any, x1: Any) -> Any:
    """New keys, of `shape`: Threefry of the counters, of that shape, under keys that have its leading axes.

    They are stored, never fused with what is computed from them. XLA would compute a key again for each use of it. And LLVM's vectorizer
    (in jaxlib 0.11 and later) follows each path from a conversion of types, as of a key to words, through the operations of a loop: a block
    of Threefry has 2²⁰, two in a row have 2⁴⁰, which does not end.
    """
    words = [emit.broadcast(w, shape, tuple(range(keys.ndim))) for w in _emit_words(emit, keys)]
    w0, w1 = _emit_threefry(emit, *words, x0, x1)
    if emit.keeps and (not emit.depth or product(shape) >= _FEW_KEYS):
        return emit.keep(_emit_keys(emit, w0, w1))
    # Elements that are put together of several are a reduction to XLA, which it stores: for portable programs, and for small loops, which XLA
    # makes kernels of if there are no barriers in them.
    last = len(shape)
    pairs = emit.concatenate([emit.reshape(w, (*shape, 1)) for w in (w0, w1)], last)
    return _retyped(emit("bitcast_convert", pairs, out=ShapedArray(shape, dtypes.uint64)), dtypes.KEY)


def _aligned(k: Any, x: Any) -> Shape:
    """The leading axes of `x`, which are those of `k`."""
    return tuple(range(k.ndim)) if k.shape == x.shape[: k.ndim] else tuple(range(x.ndim - k.ndim, x.ndim))


def _emit_bits(emit: Any, keys: Any, size: int, width: int, partitionable: bool) -> Any:
    """The first `size` elements of each key's stream, as `draw` gives them: keys (...) to an array (..., size)."""
    words = -(-size * width // 32)
    lanes = size if partitionable or width == 64 else -(-words // 2)
    shape, last = (*keys.shape, lanes), keys.ndim
    dtype = _UNSIGNED[width]
    if partitionable:
        index = emit.iota(shape, dtypes.uint64 if lanes > 1 << 32 else dtypes.uint32, last)
        x1 = emit.convert(index, dtypes.uint32)
        x0 = emit.like(0, x1)
        if lanes > 1 << 32:
            x0 = emit.convert(emit("shift_right_logical", index, emit.like(32, index)), dtypes.uint32)
    else:
        x0 = emit.iota(shape, dtypes.uint32, last)
        x1 = emit("add", x0, emit.like(lanes, x0))
        if words % 2 and width != 64:  # an odd number of words is padded by the counter 0
            x1 = emit.select(emit.compare("EQ", x0, emit.like(lanes - 1, x0)), emit.like(0, x1), x1)
    x0, x1 = _emit_threefry(emit, *_emit_words(emit, keys), x0, x1)
    if width == 64:
        high, low = (emit.convert(x, dtypes.uint64) for x in (x0, x1))
        return emit("or", emit("shift_left", high, emit.like(32, high)), low)
    if partitionable:
        return emit.convert(emit("xor", x0, x1), dtype)
    bits = emit.concatenate([x0, x1], last)
    parts = 32 // width
    if parts > 1:  # elements narrower than a word are its parts, the low ones first
        bits = emit("bitcast_convert", bits, out=ShapedArray((*bits.shape, parts), dtype))
        bits = emit.reshape(bits, (*keys.shape, 2 * lanes * parts))
    return emit.slice(bits, (0,) * bits.ndim, (*keys.shape, size)) if bits.shape[-1] != size else bits


def _emit_unit_uniform(emit: Any, bits: Any, dtype: DType) -> Any:
    fraction, width = dtypes.finfo(dtype).nmant, uniform_width(dtype)
    unsigned = np.dtype(f"u{dtype.itemsize}")
    bits = emit("shift_right_logical", bits, emit.like(width - fraction, bits))
    one = np.ones((), dtype).view(unsigned)
    bits = emit("or", emit.convert(bits, unsigned), emit.constant(one, unsigned, bits.shape))
    x = emit("bitcast_convert", bits, out=ShapedArray(bits.shape, dtype))
    return emit("subtract", x, emit.like(1, x))


def _emit_standard_normal(emit: Any, bits: Any, dtype: DType) -> Any:
    low = np.nextafter(dtype.type(-1), dtype.type(0))
    u = _emit_unit_uniform(emit, bits, dtype)
    u = emit("add", emit("multiply", u, emit.like(dtype.type(1) - low, u)), emit.like(low, u))
    u = emit("maximum", u, emit.like(low, u))
    wide = emit.convert(u, dtypes.float32) if dtype.itemsize < 4 else u
    return emit("multiply", emit.convert(emit("chlo.erf_inv", wide), dtype), emit.like(dtype.type(np.sqrt(2)), u))


# ---- primitives -------------------------------------------------------------------------------------------------


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
    """Keys from integers: (upper word, lower word); the upper word is 0 for types of 32 bits and less."""

    name = "random_seed"
    operations = 1

    def type_of(self, seeds: ShapedArray) -> ShapedArray:
        if dtypes.kind(seeds.dtype) not in "biu":
            raise TypeError(f"PRNG key seed must be an integer; got {seeds}")
        return ShapedArray(seeds.shape, dtypes.KEY)

    def lower(self, emit: Any, seeds: Any) -> Any:
        kind, size = dtypes.kind(seeds.dtype), seeds.dtype.itemsize
        if size == 8:
            bits = seeds if kind == "u" else emit("bitcast_convert", seeds, out=ShapedArray(seeds.shape, dtypes.uint64))
            low = emit.convert(bits, dtypes.uint32)
            high = emit.convert(emit("shift_right_logical", bits, emit.like(32, bits)), dtypes.uint32)
            return _emit_keys(emit, high, low)
        if kind == "i":  # negative seeds count by their bits
            seeds = emit.convert(seeds, dtypes.int32)
            seeds = emit("bitcast_convert", seeds, out=ShapedArray(seeds.shape, dtypes.uint32))
        low = emit.convert(seeds, dtypes.uint32)
        return _emit_keys(emit, emit.like(0, low), low)

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
        return _retyped(bits, dtypes.KEY)

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
        return emit("bitcast_convert", _retyped(keys, dtypes.uint64), out=emit.type)

    def evaluate(self, keys: Any) -> Any:
        return np.asarray(keys)["fry"]


class RandomSplit(_OnKeys):
    """New keys, an array of `shape` of them for each key."""

    name = "random_split"

    def type_of(self, keys: ShapedArray, *, shape: Shape, partitionable: bool) -> ShapedArray:
        check_keys(self.name, keys)
        return ShapedArray((*keys.shape, *shape), dtypes.KEY)

    def lower(self, emit: Any, keys: Any, *, shape: Shape, partitionable: bool) -> Any:
        num = product(shape)
        if partitionable:
            index = emit.iota((*keys.shape, num), dtypes.uint32, keys.ndim)
            new = _emit_block(emit, keys, index.shape, emit.like(0, index), index)
        else:
            words = emit.reshape(_emit_bits(emit, keys, 2 * num, 32, False), (*keys.shape, num, 2))
            bits = emit("bitcast_convert", words, out=ShapedArray((*keys.shape, num), dtypes.uint64))
            new = _retyped(bits, dtypes.KEY)
        return emit.reshape(new, emit.type.shape)

    def evaluate(self, keys: Any, *, shape: Shape, partitionable: bool) -> Any:
        return keys_of(split_keys(key_words(keys), product(shape), partitionable), (*keys.shape, *shape))


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
        keys, data = emit.broadcast(keys, shape), emit.broadcast(data, shape)
        return _emit_block(emit, keys, shape, emit.like(0, data), data)

    def evaluate(self, keys: Any, data: Any) -> Any:
        words = np.asarray(keys)["fry"]
        shape = broadcast_shapes(keys.shape, data.shape)
        x1 = np.array(np.broadcast_to(data, shape))
        return keys_of(np.stack(threefry(words[..., 0], words[..., 1], np.zeros(shape, np.uint32), x1), axis=-1), shape)


class Threefry2x32(Broadcasting, _OnKeys):
    """The block function itself: two key words and two counter words, uint32 arrays that broadcast, to two words."""

    name = "threefry2x32"
    multiple_results = True
    weakness = "never"

    def type_of(self, *operands: ShapedArray) -> list[ShapedArray]:
        if len(operands) != 4 or any(x.dtype != dtypes.uint32 for x in operands):
            raise TypeError(f"threefry2x32 takes four operands of dtype uint32, got {', '.join(map(str, operands))}")
        return [ShapedArray(broadcast_shapes(*(x.shape for x in operands)), dtypes.uint32)] * 2

    def lower(self, emit: Any, *operands: Any) -> list[Any]:
        shape = emit.type.shape
        return list(_emit_threefry(emit, *(emit.broadcast(x, shape) for x in operands)))

    def evaluate(self, k0: Any, k1: Any, x0: Any, x1: Any) -> Any:
        shape = broadcast_shapes(k0.shape, k1.shape, x0.shape, x1.shape)
        k0, k1 = np.broadcast_arrays(k0, k1)
        return list(threefry(k0, k1, *(np.array(np.broadcast_to(x, shape)) for x in (x0, x1))))


class RandomBits(_OnKeys):
    """Uniform unsigned integers of `bit_width` bits, an array of `shape` of them for each key."""

    name = "random_bits"
    fusion, operations = Fusion.DRAWING, 130

    def type_of(self, keys: ShapedArray, *, bit_width: int, shape: Shape, partitionable: bool) -> ShapedArray:
        check_keys(self.name, keys)
        if bit_width not in _UNSIGNED:
            raise TypeError(f"random_bits: bit_width must be 8, 16, 32 or 64, got {bit_width}")
        return ShapedArray((*keys.shape, *shape), _UNSIGNED[bit_width])

    def lower(self, emit: Any, keys: Any, *, bit_width: int, shape: Shape, partitionable: bool) -> Any:
        return emit.reshape(_emit_bits(emit, keys, product(shape), bit_width, partitionable), emit.type.shape)

    def evaluate(self, keys: Any, *, bit_width: int, shape: Shape, partitionable: bool) -> Any:
        return draw(key_words(keys), product(shape), bit_width, partitionable).reshape((*keys.shape, *shape))


class RandomNumbers(_OnKeys):
    """Standard floating-point numbers, an array of `shape` of them for each key: an elementwise function of random bits."""

    fusion, operations = Fusion.DRAWING, 130

    def __init__(
        self, name: str, transform: Callable[[DType], Callable[[Any], Any]], emit_transform: Callable[..., Any],
        xla_from: Mapping[int, int],
    ) -> None:  # fmt: skip
        self.name, self.transform, self.emit_transform, self.xla_from = name, transform, emit_transform, xla_from
        super().__init__()

    def type_of(self, keys: ShapedArray, *, dtype: DType, shape: Shape, partitionable: bool) -> ShapedArray:
        check_keys(self.name, keys)
        if not dtypes.is_float(dtype):
            raise TypeError(f"{self.name} gives floating-point numbers; dtype is {dtypes.name(dtype)}")
        return ShapedArray((*keys.shape, *shape), dtype)

    def lower(self, emit: Any, keys: Any, *, dtype: DType, shape: Shape, partitionable: bool) -> Any:
        bits = _emit_bits(emit, keys, product(shape), uniform_width(dtype), partitionable)
        return emit.reshape(self.emit_transform(emit, bits, dtype), emit.type.shape)

    def evaluate(self, keys: Any, *, dtype: DType, shape: Shape, partitionable: bool) -> Any:
        size = product(shape)
        if is_for_xla(self, size * keys.size, dtype):
            return evaluate_by_xla(self, (keys,), {"dtype": dtype, "shape": shape, "partitionable": partitionable})
        return self.numbers(key_words(keys), size, dtype, partitionable).reshape((*keys.shape, *shape))

    def numbers(self, keys: Words, size: int, dtype: DType, partitionable: bool) -> Any:
        """The same on key words, of shape (n, 2), to an array of shape (n, size): for samplers that draw in loops."""
        return draw(keys, size, uniform_width(dtype), partitionable, self.transform(dtype), dtype)


random_seed_p, random_wrap_p, random_unwrap_p = RandomSeed(), RandomWrap(), RandomUnwrap()
random_split_p, random_fold_in_p, random_bits_p = RandomSplit(), RandomFoldIn(), RandomBits()
threefry2x32_p = Threefry2x32()
#: Uniform in [0, 1), and normal with mean 0 and variance 1.
random_uniform_p = RandomNumbers("random_uniform", _unit_uniform, _emit_unit_uniform, {4: 1 << 16, 8: 1 << 16})
random_normal_p = RandomNumbers("random_normal", _standard_normal, _emit_standard_normal, {4: 1 << 17, 8: 1 << 17})


def product(shape: Sequence[int]) -> int:
    """The number of elements of an array of `shape`."""
    size = 1
    for n in shape:
        size *= n
    return size


def random_bits(keys: Any, bit_width: int, shape: Shape) -> Array:
    """Random unsigned integers for each of the typed `keys`, in the layout that `threefry_partitionable` asks for."""
    return random_bits_p.bind(
        as_array(keys), bit_width=bit_width, shape=shape, partitionable=config.threefry_partitionable.value
    )


__all__ = [
    "random_bits_p", "random_fold_in_p", "random_normal_p", "random_seed_p", "random_split_p", "random_uniform_p", "random_unwrap_p",
    "random_wrap_p", "threefry2x32_p",
]  # fmt: skip
