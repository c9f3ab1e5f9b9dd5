"""Elements repeated, moved along, inserted and deleted, and packed as bits.

How many elements a result has must be known: counts are concrete, or the length is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, concrete
from pullback.core.dimensions import is_symbolic
from pullback.core.errors import user_line
from pullback.core.trace import Tracer, known_value
from pullback.core.types import canonical_axes, canonical_axis, count, integer
from pullback.lax.arrangement import concatenate as lax_concatenate
from pullback.lax.arrangement import pad as lax_pad
from pullback.lax.arrangement import slice_in_dim
from pullback.lax.blocks import dynamic_slice_in_dim
from pullback.lax.creation import iota
from pullback.lax.cumulative import cumsum
from pullback.lax.elementwise import ge_p, lt_p, max_p, min_p
from pullback.lax.family import like
from pullback.lax.selection import select_n_p
from pullback.lax.shape import broadcast_in_dim_p, convert, move_axis, reduce_sum_p, reshape_p
from pullback.lax.sorting import sort
from pullback.numpy.creation import canonical_shape, zeros
from pullback.numpy.joining import unstack
from pullback.numpy.manipulation import broadcast_arrays, broadcast_to, expand_dims, ravel, reshape
from pullback.numpy.planned import planned
from pullback.numpy.promotion import along, array_like, here, raised_to, truth, value_of
from pullback.numpy.selecting import take, where
from pullback.xla.devices import no_sharding

# ---- repeating and moving ------------------------------------------------------------------------


def resize(a: Any, new_shape: Any) -> Array:
    """An array of `new_shape` filled with the elements of `a` in row-major order, over and over, or
    as many of them as it takes. Zeros if `a` is empty.

    Raises ValueError for sizes that are negative, or no concrete integers.

    >>> import pullback.numpy as jnp
    >>> jnp.resize(jnp.array([1, 2, 3]), (2, 4))
    Array([[1, 2, 3, 1],
           [2, 3, 1, 2]], dtype=int32)
    """
    x = ravel(array_like(a, "resize"))
    try:
        shape = canonical_shape(new_shape)
    except TypeError as error:
        raise ValueError(str(error)) from None
    size = prod(shape)
    if x.size == 0 or size == 0:
        return zeros(shape, x.dtype)
    count = -(-size // x.size)
    rows = lax_concatenate([x] * count, 0) if count > 1 else x
    return reshape(slice_in_dim(rows, 0, size, 1, 0), shape)


@planned
def tile(A: Any, reps: Any) -> Array:
    """`A` repeated as a whole, `reps[i]` times along axis i.

    `reps` is an integer or several; they align with the axes at the right, and the shorter of the
    two gets ones in front. Raises TypeError for numbers that are negative, or no concrete integers.

    >>> import pullback.numpy as jnp
    >>> jnp.tile(jnp.array([1, 2]), 2)
    Array([1, 2, 1, 2], dtype=int32)
    >>> jnp.tile(jnp.array([1, 2]), (2, 1))
    Array([[1, 2],
           [1, 2]], dtype=int32)
    """
    x = array_like(A, "tile")
    counts = canonical_shape(reps, "reps")
    rank = max(x.ndim, len(counts))
    counts = (1,) * (rank - len(counts)) + counts
    x = raised_to(x, rank)
    if all(c == 1 for c in counts):
        return x
    # Each axis of length n becomes two, the first new, of length `count`.
    doubled, odd = tuple(n for pair in zip(counts, x.shape) for n in pair), tuple(range(1, 2 * rank, 2))
    spread = broadcast_in_dim_p.bind(x, shape=doubled, broadcast_dimensions=odd)
    return reshape_p.bind(spread, new_sizes=tuple(c * n for c, n in zip(counts, x.shape)))


@planned
def repeat(
    a: Any, repeats: Any, axis: int | None = None, *, total_repeat_length: int | None = None, out_sharding: Any = None
) -> Array:
    """Each element of `a` along `axis` (flattened if None) repeated `repeats` times, a number or
    one for each element; negative ones count as 0.

    With `total_repeat_length` the result has that length: cut off, or the last element goes on. It
    is needed where `repeats` is traced (ConcretizationTypeError without). Raises TypeError for
    `repeats` that are no integers, ValueError for as many as do not fit.

    >>> import pullback.numpy as jnp
    >>> jnp.repeat(jnp.array([1, 2]), jnp.array([1, 3]))
    Array([1, 2, 2, 2], dtype=int32)
    >>> jnp.repeat(jnp.array([[1, 2], [3, 4]]), 2, axis=1)
    Array([[1, 1, 2, 2],
           [3, 3, 4, 4]], dtype=int32)
    """
    no_sharding("repeat", out_sharding)
    x = array_like(a, "repeat")
    x, axis = along(raised_to(x, 1), axis)
    n = x.shape[axis]
    counts = array_like(repeats, "repeat")
    if not dtypes.is_integer(counts.dtype):
        raise TypeError(f"repeat: repeats must be integers, got {dtypes.name(counts.dtype)} at {user_line()}")
    if counts.ndim > 1 or (counts.ndim == 1 and counts.shape[0] not in (1, n)):
        raise here(ValueError, f"repeat: repeats of shape {counts.shape} do not fit axis {axis} of shape {x.shape}")
    if total_repeat_length is not None:
        total_repeat_length = count(total_repeat_length, "repeat: total_repeat_length")
    if total_repeat_length is not None and (known_value(counts) is None or is_symbolic((n, total_repeat_length))):
        return _repeat_traced(x, broadcast_to(counts, (n,)), axis, total_repeat_length)
    why = "`repeat` makes an array whose length depends on `repeats`: give `total_repeat_length`."
    known = value_of(counts, why)
    times = np.maximum(np.asarray(known), 0)
    if times.size == 1 and total_repeat_length is None:
        (often,) = canonical_shape(int(np.asarray(known).reshape(())), "repeats")
        shape = tuple(x.shape)
        dims = tuple(i + (i > axis) for i in range(x.ndim))
        spread = broadcast_in_dim_p.bind(
            x, shape=(*shape[: axis + 1], often, *shape[axis + 1 :]), broadcast_dimensions=dims
        )
        return reshape_p.bind(spread, new_sizes=(*shape[:axis], n * often, *shape[axis + 1 :]))
    chosen = np.repeat(np.arange(n), times.reshape(-1) if times.size == n else np.broadcast_to(times, (n,)))
    if total_repeat_length is not None:
        short = total_repeat_length - len(chosen)
        chosen = chosen[:total_repeat_length] if short <= 0 else np.concatenate([chosen, np.full(short, n - 1)])
    return take_slice(x, chosen, axis)


def _repeat_traced(x: Array, counts: Array, axis: int, length: int) -> Array:
    # Place j of the result holds element i where i is the number of elements whose repetitions end
    # at or before j.
    ends = cumsum(counts, 0)
    places = broadcast_in_dim_p.bind(iota(ends.dtype, length), shape=(length, ends.shape[0]), broadcast_dimensions=(0,))
    return take(x, _number_true(ge_p.bind(places, broadcast_to(ends, places.shape))), axis=axis, mode="clip")


def _number_true(table: Array) -> Array:
    """How many are true in each row."""
    return reduce_sum_p.bind(convert(table, dtypes.int32), axes=(1,))


def take_slice(x: Array, chosen: Any, axis: int) -> Array:
    """The elements numbered `chosen` (a NumPy array) along `axis`."""
    return take(x, concrete(np.asarray(chosen, np.int32)), axis=axis, mode="clip")


@planned
def roll(a: Any, shift: Any, axis: int | Sequence[int] | None = None) -> Array:
    """`a` with elements moved `shift` places along `axis`, those pushed off the end coming back at
    the start.

    Without `axis` the flattened array is rolled, and keeps its shape. Several shifts and axes are
    applied together; shifts may be traced. Raises ValueError for numbers of shifts and axes that
    differ, and for axes that are out of bounds.

    >>> import pullback.numpy as jnp
    >>> jnp.roll(jnp.array([1, 2, 3, 4]), 1)
    Array([4, 1, 2, 3], dtype=int32)
    >>> jnp.roll(jnp.array([[1, 2], [3, 4], [5, 6]]), -1, axis=0)
    Array([[3, 4],
           [5, 6],
           [1, 2]], dtype=int32)
    """
    x = array_like(a, "roll")
    if getattr(shift, "ndim", 0) > 1:
        raise here(ValueError, f"roll: shifts must be scalars or in a vector, got shape {shift.shape}")
    if axis is None:
        shifts = _shifts(shift)
        flat = ravel(x)
        for s in shifts:
            flat = _roll(flat, s, 0)
        return reshape_p.bind(flat, new_sizes=tuple(x.shape))
    axes = [canonical_axis(i, x.ndim) for i in (axis if isinstance(axis, (tuple, list)) else [axis])]
    shifts = _shifts(shift)
    if len(shifts) == 1 != len(axes):
        shifts = shifts * len(axes)
    elif len(axes) == 1 != len(shifts):
        axes = axes * len(shifts)
    if len(shifts) != len(axes):
        raise here(ValueError, f"roll: {len(shifts)} shifts for {len(axes)} axes")
    for s, i in zip(shifts, axes):
        x = _roll(x, s, i)
    return x


def _shifts(shift: Any) -> list[Any]:
    if getattr(shift, "ndim", 0) == 1:
        return list(unstack(shift))
    return list(shift) if isinstance(shift, (tuple, list)) else [shift]


def _roll(x: Array, shift: Any, axis: int) -> Array:
    n = x.shape[axis]
    if n == 0:
        return x
    if not (isinstance(shift, Array) and not shift.ndim and dtypes.is_integer(shift.dtype)):
        shift = integer(shift, "roll: shift")
    if isinstance(shift, Tracer):
        known = shift.concrete()
        if known is None:
            return dynamic_slice_in_dim(lax_concatenate([x, x], axis), n - _remainder(shift, n), n, axis)
        shift = known
    places = int(shift) % n
    if places.__class__ is int and places == 0:
        return x
    return lax_concatenate([slice_in_dim(x, n - places, n, 1, axis), slice_in_dim(x, 0, n - places, 1, axis)], axis)


def _remainder(shift: Array, n: int) -> Array:
    """`shift` modulo `n` as a signed integer that holds both, whatever the type of `shift` holds."""
    if not dtypes.is_integer(shift.dtype):
        shift = convert(shift, dtypes.int32)
    if n <= dtypes.iinfo(shift.dtype).max:
        shift = shift % n
    wide = convert(shift, dtypes.int32 if n < 2**30 else dtypes.int64)
    return select_n_p.bind(lt_p.bind(wide, like(0, wide)), wide, wide + like(n, wide))


# ---- inserting and deleting ----------------------------------------------------------------------


def known_indices(name: str, obj: Any) -> Any:
    why = f"`{name}` makes an array whose shape or order depends on its indices."
    return np.asarray(value_of(array_like(obj, name), why))


def insert(arr: Any, obj: Any, values: Any, axis: int | None = None) -> Array:
    """`arr` with `values` inserted before the indices `obj` (an integer, integers or a slice) along
    `axis`; flattened if it is None.

    Values are converted to the dtype of `arr`, and broadcast. Indices, which count in `arr`, are
    clipped to it; they may be traced. Raises ValueError for indices that are not integers.

    >>> import pullback.numpy as jnp
    >>> jnp.insert(jnp.array([1, 2, 3]), 1, 9)
    Array([1, 9, 2, 3], dtype=int32)
    >>> jnp.insert(jnp.array([[1, 2], [3, 4]]), jnp.array([0, 2]), 9, axis=1)
    Array([[9, 1, 2, 9],
           [9, 3, 4, 9]], dtype=int32)
    """
    x = array_like(arr, "insert")
    new = convert(array_like(values, "insert"), x.dtype, x.weak_type)
    x, axis = along(x, axis)
    n = x.shape[axis]
    traced = isinstance(obj, Tracer) and obj.concrete() is None
    at: Any = np.arange(n)[obj] if isinstance(obj, slice) else obj if traced else known_indices("insert", obj)
    if not dtypes.is_integer(at.dtype):
        raise ValueError(f"insert: indices must be integers, got {at.dtype} at {user_line()}")
    new = raised_to(raised_to(new, 1), x.ndim)
    if at.ndim == 0:
        new = move_axis(new, 0, axis)  # as NumPy has it: `values` for one index has the inserted axis first
    count = new.shape[axis] if at.size == 1 else at.size
    new = broadcast_to(new, tuple(count if i == axis else m for i, m in enumerate(x.shape)))
    both = lax_concatenate([x, new], axis)
    # Of x and the new elements in a row, the stable order of their places: a new element goes
    # before the one it is inserted at.
    if traced:
        at = convert(broadcast_to(ravel(at), (count,)), dtypes.default_dtype(int))
        at = where(at < 0, at + n, at)
        at = min_p.bind(max_p.bind(at, like(0, at)), like(n, at))
        numbers = iota(at.dtype, n + count)
        _, order = sort((lax_concatenate([2 * numbers[:n] + 1, 2 * at], 0), numbers), dimension=0)
        return take(both, order, axis=axis, mode="clip")
    at = np.broadcast_to(at.reshape(-1).astype(np.int64), (count,))
    at = np.clip(np.where(at < 0, at + n, at), 0, n)
    return take_slice(both, np.argsort(np.concatenate([2 * np.arange(n) + 1, 2 * at]), kind="stable"), axis)


def delete(arr: Any, obj: Any, axis: int | None = None, *, assume_unique_indices: bool = False) -> Array:
    """`arr` without the elements at `obj` (an integer, integers, booleans or a slice) along `axis`;
    flattened if it is None.

    Indices must be concrete (ConcretizationTypeError), or with `assume_unique_indices` distinct.
    Raises IndexError or ValueError for indices out of range.

    >>> import pullback.numpy as jnp
    >>> jnp.delete(jnp.array([1, 2, 3]), 1)
    Array([1, 3], dtype=int32)
    >>> jnp.delete(jnp.array([[1, 2, 3], [4, 5, 6]]), jnp.array([0, 2]), axis=1)
    Array([[2],
           [5]], dtype=int32)
    """
    x = array_like(arr, "delete")
    x, axis = along(x, axis)
    n = x.shape[axis]
    if not isinstance(obj, slice):
        given = array_like(obj, "delete")
        if assume_unique_indices and isinstance(given, Tracer) and given.concrete() is None:
            return _delete_traced(x, given, axis)
        obj = known_indices("delete", given)
        if obj.dtype.kind == "b":
            if obj.shape != (n,):
                raise ValueError(f"delete: a boolean index must have shape ({n},), got {obj.shape} at {user_line()}")
        elif obj.dtype.kind not in "iu":
            raise ValueError(f"delete: indices must be integers or booleans, got {obj.dtype} at {user_line()}")
        elif obj.size and not (-n <= obj.min() and obj.max() < n):
            error = IndexError if obj.ndim else ValueError
            raise here(error, f"delete: index {obj.tolist()} is out of bounds for axis {axis} with size {n}")
    kept = np.ones(n, bool)
    kept[obj] = False
    return take_slice(x, np.flatnonzero(kept), axis)


def _delete_traced(x: Array, at: Array, axis: int) -> Array:
    """`x` without as many elements as there are indices, which are distinct but not known."""
    n = x.shape[axis]
    at = ravel(at)
    at = sort(where(at < 0, at + n, at), dimension=0)
    kept = iota(at.dtype, n - at.shape[0])
    # The j-th element kept is preceded by those deleted: the i-th (sorted) one is if at[i] - i <=
    # j.
    before = ge_p.bind(*broadcast_arrays(expand_dims(kept, 1), at - iota(at.dtype, at.shape[0])))
    return take(x, kept + convert(_number_true(before), kept.dtype), axis=axis, mode="clip")


def trim_zeros(filt: Any, trim: str = "fb", axis: int | Sequence[int] | None = None) -> Array:
    """`filt` without the zeros at its front ("f") and back ("b"), along `axis` (one, several, or
    all by default).

    Of several axes, what is cut off is where all is zero. The values must be concrete
    (ConcretizationTypeError), as they say how long the result is.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([0, 0, 1, 0, 2, 0])
    >>> jnp.trim_zeros(x), jnp.trim_zeros(x, "f")
    (Array([1, 0, 2], dtype=int32), Array([1, 0, 2, 0], dtype=int32))
    """
    x = array_like(filt, "trim_zeros")
    present = np.nonzero(known_indices("trim_zeros", x))
    for i in canonical_axes(axis, x.ndim):
        places, n = present[i], x.shape[i]
        start, stop = (int(places.min()), int(places.max()) + 1) if places.size else (n, n)
        low = start if "f" in trim.lower() else 0
        high = stop if places.size and "b" in trim.lower() else n if places.size else start
        x = slice_in_dim(x, low, high, 1, i)
    return x


# ---- bits ----------------------------------------------------------------------------------------


def _bit_order(bitorder: str) -> np.ndarray[Any, Any]:
    if bitorder not in ("big", "little"):
        raise ValueError(f"bitorder must be 'big' or 'little', got {bitorder!r}")
    places = np.arange(8, dtype=np.uint8)
    return places if bitorder == "little" else places[::-1]


def packbits(a: Any, axis: int | None = None, bitorder: str = "big") -> Array:
    """Truth values (non-zero is 1) packed into bytes of 8 along `axis` (flattened if None), padded
    with zeros at the end: uint8, an eighth as long, rounded up.

    The first of the 8 is the highest bit, or the lowest with `bitorder="little"`. Raises TypeError
    for floats, ValueError for other orders.

    >>> import pullback.numpy as jnp
    >>> bits = jnp.array([1, 0, 0, 0, 0, 0, 1, 1, 1])
    >>> jnp.packbits(bits), jnp.packbits(bits, bitorder="little")
    (Array([131, 128], dtype=uint8), Array([193,   1], dtype=uint8))
    """
    x = array_like(a, "packbits")
    if dtypes.is_inexact(x.dtype):
        raise TypeError(f"packbits takes integers or booleans, got {dtypes.name(x.dtype)} at {user_line()}")
    places = _bit_order(bitorder)
    x, axis = along(x, axis)
    bits = convert(move_axis(truth(x, "packbits"), axis, x.ndim - 1), dtypes.uint8)
    rest = -bits.shape[-1] % 8
    if rest:
        bits = lax_pad(bits, like(0, bits), ((0, 0, 0),) * (bits.ndim - 1) + ((0, rest, 0),))
    bits = reshape_p.bind(bits, new_sizes=(*bits.shape[:-1], bits.shape[-1] // 8, 8))
    packed = reduce_sum_p.bind(bits << concrete(places), axes=(bits.ndim - 1,))
    return move_axis(packed, x.ndim - 1, axis)


def unpackbits(a: Any, axis: int | None = None, count: int | None = None, bitorder: str = "big") -> Array:
    """The bits of bytes along `axis` (flattened if None), as uint8 zeros and ones; the first
    `count`, or all but the last if negative.

    More than there are, they are followed by zeros. Each byte begins with its highest bit, or its
    lowest with `bitorder="little"`. Raises TypeError unless `a` is uint8, ValueError for other
    orders.

    >>> import pullback.numpy as jnp
    >>> jnp.unpackbits(jnp.array([131], jnp.uint8))
    Array([1, 0, 0, 0, 0, 0, 1, 1], dtype=uint8)
    """
    x = array_like(a, "unpackbits")
    if x.dtype != dtypes.uint8:
        raise TypeError(f"unpackbits takes bytes (uint8), got {dtypes.name(x.dtype)} at {user_line()}")
    places = _bit_order(bitorder)
    x, axis = along(x, axis)
    x = move_axis(x, axis, x.ndim - 1)
    bits = (expand_dims(x, -1) >> concrete(places)) & like(1, x)
    bits = reshape_p.bind(bits, new_sizes=(*x.shape[:-1], 8 * x.shape[-1]))
    if count is not None:
        n = bits.shape[-1]
        if count > n:
            bits = lax_pad(bits, like(0, bits), ((0, 0, 0),) * (bits.ndim - 1) + ((0, count - n, 0),))
        else:
            bits = slice_in_dim(bits, 0, count if count >= 0 else max(n + count, 0), 1, bits.ndim - 1)
    return move_axis(bits, x.ndim - 1, axis)


__all__ = ["delete", "insert", "packbits", "repeat", "resize", "roll", "tile", "trim_zeros", "unpackbits"]
