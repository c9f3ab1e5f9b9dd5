"""The generator Threefry-2x32, for NumPy and in programs: everything about random numbers that is
this generator's own.

A key is two 32-bit words. Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror and Shaw, "Parallel
random numbers: as easy as 1, 2, 3", SC 2011) maps a key and a counter of two words to two random
words; all there is to a random stream is which counters it uses. There are two layouts of counters,
chosen by the option `threefry_partitionable` and called `partitionable` throughout:

- False: a stream of w words uses the counters (i, i + w/2) for i < w/2, and consists of all the
  first words, then all the second ones.
- True: element i of a stream uses the counter (high half of i, low half of i), so that every
  element can be computed alone.

The block function and what makes numbers of bits are written once, with operators, for three kinds
of values: Python's integers that hold a lane in each 64 bits, which are quickest for a few lanes;
NumPy arrays, where the operators work in place; and values of programs (`Emitted`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.dimensions import Dim, at_least
from pullback.core.dtypes import DType
from pullback.core.types import Shape, ShapedArray

Words = np.ndarray[Any, np.dtype[np.uint32]]
UNSIGNED: dict[int, DType] = {8: dtypes.uint8, 16: dtypes.uint16, 32: dtypes.uint32, 64: dtypes.uint64}

#: Up to so many lanes, Python's integers are quicker than NumPy.
_FEW_LANES = 128
#: Lanes that are computed at a time: their temporaries fill about half a megabyte.
_BLOCK = 32768
#: Loops over fewer keys may be small to XLA: 1 KiB.
_FEW_KEYS = 128

# ---- the block function --------------------------------------------------------------------------

_PARITY = 0x1BD11BDA
_EVEN, _ODD = (13, 15, 26, 6), (17, 29, 16, 24)
#: How far each round rotates, in groups of four; each group is followed by an addition of the key,
#: as is the beginning.
_ROTATIONS = ((), _EVEN, _ODD, _EVEN, _ODD, _EVEN)


def _schedule(k0: Any, k1: Any, one: int = 1) -> list[tuple[Any, Any]]:
    """What is added to both words after each group of rounds; `one` is 1 in each lane."""
    keys = (k0, k1, k0 ^ k1 ^ _PARITY * one)
    return [(keys[i % 3], keys[(i + 1) % 3] + i * one) for i in range(6)]


def _threefry(
    schedule: list[tuple[Any, Any]], x0: Any, x1: Any, mixed: Callable[[Any, int, Any], Any]
) -> tuple[Any, Any]:
    """Threefry-2x32-20 of counters; `mixed(x1, r, x0)` is `x1`, rotated to the left by r bits, xor
    `x0`."""
    for rotations, (u, v) in zip(_ROTATIONS, schedule):
        for r in rotations:
            x0 += x1
            x1 = mixed(x1, r, x0)
        x0 += u
        x1 += v
    return x0, x1


def threefry(k0: Any, k1: Any, x0: Words, x1: Words) -> None:
    """Threefry-2x32-20 of the counters x0 and x1 (of one shape), in place, under keys: arrays that
    broadcast to that shape, or two integers."""
    lanes, one_key = x0.size, k0.__class__ is int
    if lanes > _FEW_LANES:
        schedule = _schedule(k0, k1)
        if one_key:
            schedule = [(s[0, ...], s[1, ...]) for s in np.array(schedule).astype(np.uint32)]
        _threefry(schedule, x0, x1, _in_place(x1))
    elif lanes:
        if not one_key:
            k0, k1 = (_pack(np.broadcast_to(k, x0.shape)) for k in (k0, k1))
        x0[...], x1[...] = _few(k0, k1, _pack(x0), _pack(x1), lanes, one_key).reshape(2, *x0.shape)


#: Numbers as arrays without axes, which are the quickest operands.
_SHIFTS = [(np.array(r, np.uint32), np.array(32 - r, np.uint32)) for r in range(32)]


def _in_place(x1: Words) -> Callable[[Words, int, Words], Words]:
    shifted, left_shift = np.empty_like(x1), np.left_shift

    def mixed(x1: Words, r: int, x0: Words) -> Words:
        left, right = _SHIFTS[r]
        left_shift(x1, left, shifted)
        x1 >>= right
        x1 ^= shifted
        x1 ^= x0
        return x1

    return mixed


def _few(k0: int, k1: int, x0: int, x1: int, lanes: int, one_key: bool = True) -> Words:
    """The words, of shape (2, lanes), of counters packed into integers, and one key, or packed
    ones."""
    ones, mixed = _lanes_of_integers(lanes)
    if one_key:
        k0, k1 = k0 * ones, k1 * ones
    x0, x1 = _threefry(_schedule(k0, k1, ones), x0, x1, mixed)
    words = np.frombuffer((x0 | x1 << 64 * lanes).to_bytes(16 * lanes, "little"), _LITTLE)
    return words.astype(np.uint32).reshape(2, lanes)


_LITTLE = np.dtype("<u8")


@lru_cache(_FEW_LANES)
def _lanes_of_integers(lanes: int) -> tuple[int, Callable[[int, int, int], int]]:
    """The integer with 1 in each lane, and the mixing of integers.

    A lane has 64 bits. The upper 32 are room for the carries of sums and for shifts; what is there
    is of no account in the results, and masked off where it would come to more.
    """
    ones = int.from_bytes(b"\1\0\0\0\0\0\0\0" * lanes, "little")
    mask = ones * 0xFFFFFFFF
    return ones, lambda x1, r, x0: ((x1 << r | (x1 & mask) >> 32 - r) ^ x0) & mask


def _pack(x: Words) -> int:
    return int.from_bytes(x.astype(_LITTLE).tobytes(), "little")


# ---- streams -------------------------------------------------------------------------------------


def _lanes(size: int, width: int, partitionable: bool) -> tuple[int, bool]:
    """How many pairs of words a stream takes, and whether the second word of the last pair has the
    counter 0: it pads an odd number of words (as a number of a symbolic size may be)."""
    if partitionable or width == 64:
        return size, False
    words = -(-size * width // 32)  # rounded up
    return -(-words // 2), words.__class__ is Dim or words % 2 == 1


@lru_cache(8)
def _counters(start: int, stop: int, lanes: int, padded: bool, partitionable: bool) -> Words:
    """The counters from `start` to `stop` of a stream of so many lanes: shape (2, 1, stop -
    start)."""
    x = np.empty((2, 1, stop - start), np.uint32)
    if partitionable:
        index = np.arange(start, stop, dtype=np.uint64)
        x[0], x[1] = index >> np.uint64(32), index
    else:
        x[0], x[1] = np.arange(start, stop), np.arange(lanes + start, lanes + stop)
        if padded and stop == lanes:
            x[1, 0, -1] = 0
    return x


@lru_cache(_FEW_LANES)
def _packed_counters(lanes: int, padded: bool, partitionable: bool) -> tuple[int, int]:
    x0, x1 = _counters(0, lanes, lanes, padded, partitionable)
    return _pack(x0), _pack(x1)


def _words(keys: Words, start: int, stop: int, lanes: int, padded: bool, partitionable: bool) -> Words:
    """The words of each key's stream (both kinds of words, keys, lanes): shape (2, n, stop -
    start)."""
    k0, k1 = keys[0].tolist() if len(keys) == 1 else (keys[:, :1], keys[:, 1:])
    if len(keys) == 1 and 0 < lanes <= _FEW_LANES:
        return _few(k0, k1, *_packed_counters(lanes, padded, partitionable), lanes).reshape(2, 1, lanes)
    x = np.empty((2, len(keys), stop - start), np.uint32)
    x[:] = _counters(start, stop, lanes, padded, partitionable)
    if len(keys) > 1 and stop - start < 16 and x[0].size > _FEW_LANES:  # NumPy repeats short rows slowly
        k0, k1 = (np.repeat(k, stop - start).reshape(x[0].shape) for k in keys.T)
    threefry(k0, k1, x[0], x[1])
    return x


def split_keys(keys: Words, num: int, partitionable: bool) -> Words:
    """`num` new keys for each key: words of shape (n, 2) to words of shape (n, num, 2)."""
    if not partitionable:
        return draw(keys, 2 * num, 32, False).reshape(len(keys), num, 2)
    return _words(keys, 0, num, num, False, True).transpose(1, 2, 0)


def fold_in(keys: Words, data: Words) -> Words:
    """The words, of shape (n, 2), of one new key for each of n keys and numbers: `keys` of shape
    (..., 2) and `data` of shape (...) broadcast."""
    if keys.size == 2 and data.size == 1:
        return _few(*keys.ravel().tolist(), 0, data.item(), 1).reshape(1, 2)
    k0, k1, x1 = (x.ravel() for x in np.broadcast_arrays(keys[..., 0], keys[..., 1], data))
    x = np.zeros((2, x1.size), np.uint32)
    x[1] = x1
    threefry(k0, k1, x[0], x[1])
    return x.T


def draw(
    keys: Words,
    size: int,
    width: int,
    partitionable: bool,
    transform: Callable[[Any, DType], Any] | None = None,
    dtype: DType | None = None,
) -> Any:
    """The first `size` elements of each key's stream: words (n, 2) to an array (n, size).

    They are unsigned integers of `width` bits; with `transform`, that elementwise function of them,
    of type `dtype`, which may overwrite what it is given.
    """
    n, (lanes, padded) = len(keys), _lanes(size, width, partitionable)
    halves = 1 if partitionable or width == 64 else 2  # first words and second words are different parts of the stream
    each = 32 // width if halves == 2 else 1

    def elements(row: int, start: int, stop: int) -> Any:
        x = _words(keys[row : row + height], start, stop, lanes, padded, partitionable)
        bits: Any = x[0]
        if width == 64:
            bits = bits.astype(np.uint64)
            bits <<= np.uint64(32)
            bits |= x[1]
        elif partitionable:
            bits ^= x[1]
            bits = bits.astype(UNSIGNED[width], copy=False)
        else:
            bits = x.swapaxes(0, 1).reshape(len(bits), -1)
            if each > 1:  # elements narrower than a word are its parts, the low ones first
                bits = bits.astype("<u4", "C", copy=False).view(UNSIGNED[width].newbyteorder("<"))
        return bits if transform is None or dtype is None else transform(bits, dtype)

    columns = max(1, min(lanes, _BLOCK))
    height = _BLOCK // columns
    if 0 < lanes <= columns and 0 < n <= height:
        return elements(0, 0, lanes)[:, :size]
    out = np.empty((n, halves, lanes * each), dtype or UNSIGNED[width])
    for row in range(0, n, height):
        for start in range(0, lanes, columns):
            stop = min(start + columns, lanes)
            part = out[row : row + height, :, start * each : stop * each]
            part[:] = elements(row, start, stop).reshape(part.shape)
    return out.reshape(n, halves * lanes * each)[:, :size]


# ---- in programs, where a key is one 64-bit word -------------------------------------------------


def _operator(op: str) -> Callable[[Emitted, Any], Emitted]:
    def apply(self: Emitted, other: Any) -> Emitted:
        emit, x = self.emit, self.value
        y = other.value if other.__class__ is Emitted else emit.like(other, x)
        if y.shape != x.shape:
            y = emit.broadcast(y, x.shape, tuple(range(y.ndim)))
        return Emitted(emit, emit(op, x, y))

    return apply


class Emitted:
    """A value of a program with the operators and methods of NumPy's integers.

    Numbers stand for constants of its type, and values with fewer axes have its leading ones.

    `(Emitted(emit, x) >> 9).astype(np.dtype("uint8"))` writes a shift and a conversion.
    """

    __slots__ = ("emit", "value")

    def __init__(self, emit: Any, value: Any) -> None:
        self.emit, self.value = emit, value

    __add__, __sub__, __mul__ = _operator("add"), _operator("subtract"), _operator("multiply")
    __or__, __xor__ = _operator("or"), _operator("xor")
    __lshift__, __rshift__ = _operator("shift_left"), _operator("shift_right_logical")

    def astype(self, dtype: DType, copy: bool = False) -> Emitted:
        """Converted to `dtype`."""
        return Emitted(self.emit, self.emit.convert(self.value, dtype))

    def view(self, dtype: DType) -> Emitted:
        """The same bits as a value of `dtype`, a type of the same size."""
        return Emitted(self.emit, self.emit("bitcast_convert", self.value, out=ShapedArray(self.value.shape, dtype)))


def retyped(x: Any, dtype: DType) -> Any:
    """A value under the type that the compiler sees (`dtypes.uint64`), or under that of keys."""
    return type(x)(x.name, x.shape, dtype)


def emit_keys(low: Emitted, high: Emitted) -> Any:
    """Keys of two words."""
    bits = low.astype(dtypes.uint64) | high.astype(dtypes.uint64) << 32
    return retyped(bits.value, dtypes.KEY)


def emit_threefry(k0: Emitted, k1: Emitted, x0: Emitted, x1: Emitted) -> tuple[Emitted, Emitted]:
    """Threefry-2x32-20 of the counters (x0, x1), of one shape, under keys that have its leading
    axes."""
    return _threefry(_schedule(k0, k1), x0, x1, lambda x1, r, x0: (x1 << r | x1 >> 32 - r) ^ x0)


def emit_words(emit: Any, keys: Any) -> tuple[Emitted, Emitted]:
    """The two words of keys."""
    bits = Emitted(emit, retyped(keys, dtypes.uint64))
    return bits.astype(dtypes.uint32), (bits >> 32).astype(dtypes.uint32)


def emit_block(emit: Any, keys: Any, data: Any) -> Any:
    """New keys, one for each number of `data` (uint32): Threefry of the counters (0, data) under
    keys that have its leading axes.

    They are stored, never fused with what is computed from them. XLA would compute a key again for
    each use of it. And LLVM's vectorizer (in jaxlib 0.11 and later) follows each path from a
    conversion of types, as of a key to words, through the operations of a loop: a block of Threefry
    has 2²⁰, two in a row have 2⁴⁰, which does not end.
    """
    shape = data.shape
    low, high = emit_threefry(*emit_words(emit, keys), Emitted(emit, emit.like(0, data)), Emitted(emit, data))
    if emit.keeps and (not emit.depth or product(shape) >= _FEW_KEYS):
        return emit.keep(emit_keys(low, high))
    # Elements that are put together of several are a reduction to XLA, which it stores: for
    # portable programs, and for small loops, which XLA makes kernels of if there are no barriers in
    # them.
    pairs = emit.concatenate([emit.reshape(w.value, (*shape, 1)) for w in (low, high)], len(shape))
    return retyped(emit("bitcast_convert", pairs, out=ShapedArray(shape, dtypes.uint64)), dtypes.KEY)


def emit_split(emit: Any, keys: Any, num: int, partitionable: bool) -> Any:
    """As `split_keys`: keys of shape (...) to keys of shape (..., num)."""
    shape = (*keys.shape, num)
    if partitionable:
        return emit_block(emit, keys, emit.iota(shape, dtypes.uint32, keys.ndim))
    words = emit.reshape(emit_bits(emit, keys, 2 * num, 32, False), (*shape, 2))
    return retyped(emit("bitcast_convert", words, out=ShapedArray(shape, dtypes.uint64)), dtypes.KEY)


def emit_bits(emit: Any, keys: Any, size: int, width: int, partitionable: bool) -> Any:
    """The first `size` elements of each key's stream, as `draw` gives them: keys (...) to an array
    (..., size)."""
    lanes, padded = _lanes(size, width, partitionable)
    long = partitionable and bool(at_least(lanes, (1 << 32) + 1))
    index = Emitted(emit, emit.iota((*keys.shape, lanes), dtypes.uint64 if long else dtypes.uint32, keys.ndim))
    if partitionable:
        x0 = (index >> 32).astype(dtypes.uint32) if long else Emitted(emit, emit.like(0, index.value))
        x1 = index.astype(dtypes.uint32)
    else:
        x0, x1 = index, index + lanes
        if padded:
            words = -(-size * width // 32)
            last = emit.compare("EQ", x1.value, emit.like(words, x1.value))
            x1 = Emitted(emit, emit.select(last, emit.like(0, x1.value), x1.value))
    x0, x1 = emit_threefry(*emit_words(emit, keys), x0, x1)
    if width == 64:
        return (x0.astype(dtypes.uint64) << 32 | x1.astype(dtypes.uint64)).value
    if partitionable:
        return (x0 ^ x1).astype(UNSIGNED[width]).value
    bits, each = emit.concatenate([x0.value, x1.value], keys.ndim), 32 // width
    if each > 1:  # elements narrower than a word are its parts, the low ones first
        bits = emit("bitcast_convert", bits, out=ShapedArray((*bits.shape, each), UNSIGNED[width]))
        bits = emit.reshape(bits, (*keys.shape, 2 * lanes * each))
    return emit.slice(bits, (0,) * bits.ndim, (*keys.shape, size)) if bits.shape[-1] != size else bits


def product(shape: Shape) -> int:
    """The number of elements of an array of `shape`."""
    size = 1
    for n in shape:
        size *= n
    return size
