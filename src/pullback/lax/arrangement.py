"""Joining and cutting: concatenate and split, slice and pad, rev.

Each is, up to zeros, the transpose of another: `concatenate` of `split`, `slice` of `pad`, `rev`
of itself.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, as_array, concrete
from pullback.core.dimensions import Dim, max_dim, min_dim
from pullback.core.errors import user_line
from pullback.core.primitive import Fusion, is_node
from pullback.core.types import Shape, ShapedArray, canonical_axis, integer, integers
from pullback.lax.family import like
from pullback.lax.mover import Mover
from pullback.lax.selection import select, select_n_p
from pullback.lax.shape import (
    batch_first,
    beside,
    bind_checked,
    broadcast_in_dim_p,
    expand_dims,
    filled,
    inserted,
    past,
    reduce_sum_p,
    reshape,
    reshape_p,
    squeeze,
    with_length,
    zeros_like_shape,
)

PaddingConfig = tuple[tuple[int, int, int], ...]
_FULL = builtins.slice(None)


def shapes_of(arrays: Sequence[Any]) -> str:
    return ", ".join(str(tuple(a.shape)) for a in arrays)


class Concatenate(Mover):
    """The operands one after the other along the axis `dimension`."""

    name = "concatenate"
    fusion = Fusion.JOINING

    def type_of(self, *xs: ShapedArray, dimension: int) -> ShapedArray:
        first = xs[0]
        if any(x.ndim != first.ndim for x in xs):
            raise TypeError(f"Cannot concatenate arrays with different numbers of dimensions: got {shapes_of(xs)}")
        if not 0 <= dimension < first.ndim:
            raise TypeError(f"concatenate dimension out of bounds: dimension {dimension} for shapes {shapes_of(xs)}")
        if any(x.dtype != first.dtype for x in xs):
            raise TypeError(
                "lax.concatenate requires arguments to have the same dtypes, got "
                f"{', '.join(dtypes.name(x.dtype) for x in xs)} (pullback.numpy.concatenate promotes)"
            )
        total = sum(x.shape[dimension] for x in xs)
        shape = with_length(first.shape, dimension, total)
        if any(with_length(x.shape, dimension, total) != shape for x in xs):
            raise TypeError(
                "Cannot concatenate arrays with shapes that differ in dimensions other than the one being concatenated: "
                f"concatenating along dimension {dimension} for shapes {shapes_of(xs)}"
            )
        return ShapedArray(shape, first.dtype, all(x.weak_type for x in xs))

    def evaluate(self, *xs: Any, dimension: int) -> Any:
        return np.concatenate(xs, dimension)

    def spell(self, speller: Any, *xs: Any, dimension: int) -> str:
        return f"{speller.constant(np.concatenate)}(({', '.join(xs)},), {dimension})"

    def lower(self, emit: Any, *xs: Any, dimension: int) -> Any:
        return emit.concatenate(xs, dimension)

    def transpose(self, ct: Any, *xs: Any, dimension: int) -> Sequence[Any]:
        sizes = [x.shape[dimension] for x in xs]
        return [
            slice_along(ct, stop - n, stop, dimension) if is_node(x) else None
            for x, n, stop in zip(xs, sizes, accumulate(sizes))
        ]

    def batch(self, size: int, args: Any, axes: Any, *, dimension: int) -> Any:
        return self.bind(*(batch_first(x, b, size) for x, b in zip(args, axes)), dimension=dimension + 1), 0


#: Numbers below this one do not overflow in XLA, whatever it does with them.
_PLAIN = 1 << 31


def _is_plain(config: PaddingConfig) -> bool:
    return all(n.__class__ is Dim or abs(n) < _PLAIN for axis in config for n in axis)


def _landings(shape: Shape, padded: Shape, config: PaddingConfig) -> list[tuple[int, int, int, int, int]]:
    """Where elements land that are padded: for each axis (first, stop, start, end, step).

    Elements first, ..., stop - 1 of the axis land at start, start + step, ... < end.
    """
    found = []
    for n, length, (low, _, interior) in zip(shape, padded, config):
        step = interior + 1
        first = min_dim(n, max_dim(0, -(low // step)))
        stop = max_dim(first, min_dim(n, -((low - length) // step)))
        start, end = (low + first * step, low + (stop - 1) * step + 1) if stop > first else (0, 0)
        found.append((first, stop, start, end, step))
    return found


@lru_cache(maxsize=256)
def _moves(shape: Shape, config: PaddingConfig) -> tuple[Shape, Any, Any]:
    """The padded shape, and from where elements go where."""
    padded = _padded_shape(shape, config)
    landings = _landings(shape, padded, config)
    source = tuple([builtins.slice(first, stop) for first, stop, *_ in landings])
    return padded, source, tuple([builtins.slice(start, end, step) for _, _, start, end, step in landings])


def _padded(x: Any, value: Any, shape: Shape, source: Any, target: Any) -> Any:
    """The NumPy value `value` in an array of `shape`, but for x[source] at `target`."""
    out = np.empty(shape, x.dtype)
    out.fill(value)
    out[target] = x[source]
    return out


class Pad(Mover):
    """Pad with a scalar: `padding_config` has (low, high, interior) for each axis; negative low and
    high remove elements.

    Interior padding goes between neighbouring elements, before low and high are applied.
    """

    name = "pad"

    def type_of(self, x: ShapedArray, value: ShapedArray, *, padding_config: PaddingConfig) -> ShapedArray:
        if x.dtype != value.dtype:
            raise TypeError(
                f"pad operand and padding_value must be same dtype: got {dtypes.name(x.dtype)} and {dtypes.name(value.dtype)}"
            )
        if value.shape:
            raise ValueError(f"padding_value must be a scalar; got shape {value.shape}")
        if len(padding_config) != x.ndim:
            raise ValueError(
                f"length of padding_config must equal the number of axes of operand, got padding_config {padding_config} "
                f"for operand shape {x.shape}"
            )
        if any(interior < 0 for _, _, interior in padding_config):
            raise ValueError(
                f"interior padding in padding_config must be nonnegative, got padding_config {padding_config}"
            )
        shape = _padded_shape(x.shape, padding_config)
        if any(n < 0 for n in shape):
            raise ValueError(
                f"Dimension size after padding is not at least 0, got result shape {shape}, for padding_config "
                f"{padding_config} and operand shape {x.shape}"
            )
        return ShapedArray(shape, x.dtype, x.weak_type and value.weak_type)

    def evaluate(self, x: Any, value: Any, *, padding_config: PaddingConfig) -> Any:
        return _padded(x, value, *_moves(x.shape, tuple(padding_config)))

    def spell(self, speller: Any, x: Any, value: Any, *, padding_config: PaddingConfig) -> str:
        return speller.call(_padded, x, value, *_moves(x.aval.shape, tuple(padding_config)))  # type: ignore[no-any-return]

    def lower(self, emit: Any, x: Any, value: Any, *, padding_config: PaddingConfig) -> Any:
        if not _is_plain(padding_config):
            # No number is to be larger than its axis needs: XLA adds them up in 64 bits.
            firsts, stops, starts, ends, steps = zip(*_landings(x.shape, emit.type.shape, padding_config))
            x = emit.slice(x, firsts, stops)
            after = (n - end for n, end in zip(emit.type.shape, ends))
            padding_config = tuple(zip(starts, after, (s - 1 if n > 1 else 0 for n, s in zip(x.shape, steps))))
        low, high, interior = (tuple(c[i] for c in padding_config) for i in range(3))
        return emit(
            "pad", x, value, out=emit.type, edge_padding_low=low, edge_padding_high=high, interior_padding=interior
        )

    def transpose(self, ct: Any, x: Any, value: Any, *, padding_config: PaddingConfig) -> Sequence[Any]:
        ct_x = ct_value = None
        if is_node(x) and not _is_plain(padding_config):
            firsts, stops, starts, ends, steps = zip(*_landings(x.shape, ct.shape, padding_config))
            part = slice_p.bind(ct, start_indices=starts, limit_indices=ends, strides=steps)
            ct_x = pad_zeros(part, ((first, n - stop, 0) for first, stop, n in zip(firsts, stops, x.shape)))
        elif is_node(x):
            ct_x = pad_zeros(ct, ((-low, -high, 0) for low, high, _ in padding_config))
            if any(interior for _, _, interior in padding_config):
                strides = tuple(interior + 1 for _, _, interior in padding_config)
                ct_x = slice_p.bind(ct_x, start_indices=(0,) * ct_x.ndim, limit_indices=ct_x.shape, strides=strides)
        if is_node(value):
            # Not sum(ct) - sum(ct_x): that would cancel, and spread infinities of one part into the
            # other.
            inside = inside_padding(x.shape, padding_config)
            outside = select(inside, zeros_like_shape(ct, ct.shape), ct)
            ct_value = reduce_sum_p.bind(outside, axes=tuple(range(ct.ndim)))
        return [ct_x, ct_value]

    def batch(self, size: int, args: Any, axes: Any, *, padding_config: PaddingConfig) -> Any:
        (x, value), (b, value_axis) = args, axes
        x = batch_first(x, b, size)
        config = ((0, 0, 0), *padding_config)
        if value_axis is None:
            return self.bind(x, value, padding_config=config), 0
        out = pad_zeros(x, config)
        values = broadcast_in_dim_p.bind(value, shape=out.shape, broadcast_dimensions=(0,))
        return select_n_p.bind(inside_padding(x.shape, config), values, out), 0


def _padded_shape(shape: Shape, config: PaddingConfig) -> Shape:
    return tuple(
        low + high + n + (max_dim(n - 1, 0) * interior if interior else 0)
        for n, (low, high, interior) in zip(shape, config)
    )


def pad_zeros(x: Any, config: Iterable[tuple[int, int, int]]) -> Any:
    """`x` padded by zeros, for rules."""
    return pad_p.bind(x, like(0, x), padding_config=tuple(config))


def inside_padding(shape: Shape, config: PaddingConfig) -> Any:
    """Where, in an array of `shape` padded by `config`, the elements of the array are."""
    false, true = (concrete(np.bool_(v)) for v in (False, True))
    return pad_p.bind(filled(true, shape), false, padding_config=config)


class Slice(Mover):
    """The elements from `start_indices` up to `limit_indices`, in steps of `strides` (all 1, if
    None)."""

    name = "slice"

    def type_of(self, x: ShapedArray, *, start_indices: Shape, limit_indices: Shape, strides: Any) -> ShapedArray:
        if not len(start_indices) == len(limit_indices) == x.ndim or (strides is not None and len(strides) != x.ndim):
            raise ValueError(
                f"slice needs one start, limit and stride for each axis of shape {x.shape}: got start_indices {start_indices}, "
                f"limit_indices {limit_indices}, strides {strides}"
            )
        if any(b > n for b, n in zip(limit_indices, x.shape)):
            raise TypeError(
                "slice limit_indices must be less than or equal to operand shape, got limit_indices "
                f"{limit_indices} for operand shape {x.shape}."
            )
        if any(a < 0 or a > b for a, b in zip(start_indices, limit_indices)):
            raise TypeError(
                "slice start_indices must be between zero and limit_indices, got start_indices "
                f"{start_indices} and limit_indices {limit_indices}."
            )
        if strides is None:
            return x.update(shape=tuple(b - a for a, b in zip(start_indices, limit_indices)))
        if any(s < 1 for s in strides):
            raise TypeError(f"slice strides must be positive, got strides {strides}")
        return x.update(shape=tuple(-((a - b) // s) for a, b, s in zip(start_indices, limit_indices, strides)))

    def evaluate(self, x: Any, *, start_indices: Shape, limit_indices: Shape, strides: Any) -> Any:
        return x[tuple(map(builtins.slice, start_indices, limit_indices, strides or (1,) * x.ndim))]

    def spell(self, speller: Any, x: Any, *, start_indices: Shape, limit_indices: Shape, strides: Any) -> str:
        index = tuple(map(builtins.slice, start_indices, limit_indices, strides or (1,) * x.aval.ndim))
        return f"{x}[{speller.constant(index)}]"

    def lower(self, emit: Any, x: Any, *, start_indices: Shape, limit_indices: Shape, strides: Any) -> Any:
        return emit.slice(x, start_indices, limit_indices, strides)

    def transpose(self, ct: Any, x: Any, *, start_indices: Shape, strides: Any, **_: Any) -> Sequence[Any]:
        config = []
        for n, m, start, stride in zip(x.shape, ct.shape, start_indices, strides or (1,) * len(x.shape)):
            covered = m if stride == 1 else max_dim((m - 1) * stride + 1, 0)
            config.append((start, n - start - covered, stride - 1))
        return [pad_zeros(ct, config)]

    def batch(self, size: int, args: Any, axes: Any, **params: Any) -> Any:
        (x,), (b,) = args, axes
        new = {"start_indices": 0, "limit_indices": size, "strides": 1}
        return self.bind(x, **{k: v if v is None else inserted(v, b, new[k]) for k, v in params.items()}), b


class Rev(Mover):
    """Reverse the order of elements along the axes `dimensions`."""

    name = "rev"

    def type_of(self, x: ShapedArray, *, dimensions: Shape) -> ShapedArray:
        if len(set(dimensions)) != len(dimensions):
            raise TypeError(f"rev dimensions must be unique, got {dimensions}.")
        if any(d < 0 for d in dimensions):
            raise TypeError(f"rev dimensions must have every element be nonnegative, got {dimensions}.")
        if any(d >= x.ndim for d in dimensions):
            raise TypeError(
                f"rev dimensions must all be less than operand ndim, got dimensions {dimensions} for operand ndim {x.ndim}."
            )
        return x

    def evaluate(self, x: Any, *, dimensions: Shape) -> Any:
        backwards = builtins.slice(None, None, -1)
        return x[tuple(backwards if i in dimensions else _FULL for i in range(x.ndim))]

    def spell(self, speller: Any, x: Any, *, dimensions: Shape) -> str:
        backwards = builtins.slice(None, None, -1)
        index = tuple([backwards if i in dimensions else _FULL for i in range(x.aval.ndim)])
        return f"{x}[{speller.constant(index)}]"

    def lower(self, emit: Any, x: Any, *, dimensions: Shape) -> Any:
        return emit("reverse", x, dimensions=dimensions)

    def transpose(self, ct: Any, x: Any, *, dimensions: Shape) -> Sequence[Any]:
        return [self.bind(ct, dimensions=dimensions)]

    def batch(self, size: int, args: Any, axes: Any, *, dimensions: Shape) -> Any:
        return self.bind(args[0], dimensions=past(dimensions, *axes)), axes[0]


class Split(Mover):
    """Consecutive parts of lengths `sizes` along `axis`."""

    name = "split"
    multiple_results = True

    def type_of(self, x: ShapedArray, *, sizes: Shape, axis: int) -> list[ShapedArray]:
        if not 0 <= axis < x.ndim:
            raise np.exceptions.AxisError(f"split axis {axis} is out of bounds for array of dimension {x.ndim}")
        if any(n < 0 for n in sizes):
            raise ValueError(f"Sizes passed to split must be nonnegative, got {sizes}")
        if sum(sizes) != x.shape[axis]:
            raise ValueError(
                f"Sum of sizes {sum(sizes)} must be equal to dimension {axis} of the operand shape {list(x.shape)}"
            )
        return [x.update(shape=with_length(x.shape, axis, n)) for n in sizes]

    def evaluate(self, x: Any, *, sizes: Shape, axis: int) -> list[Any]:
        before = (_FULL,) * axis
        return [x[(*before, builtins.slice(stop - n, stop))] for n, stop in zip(sizes, accumulate(sizes))]

    def lower(self, emit: Any, x: Any, *, sizes: Shape, axis: int) -> list[Any]:
        whole = (0,) * x.ndim
        return [
            emit.slice(x, with_length(whole, axis, stop - n), with_length(x.shape, axis, stop))
            for n, stop in zip(sizes, accumulate(sizes))
        ]

    def transpose(self, cts: Any, x: Any, *, sizes: Shape, axis: int) -> Sequence[Any]:
        known = next(ct for ct in cts if ct is not None)
        parts = [
            zeros_like_shape(known, with_length(x.shape, axis, n)) if ct is None else ct for n, ct in zip(sizes, cts)
        ]
        return [parts[0] if len(parts) == 1 else concatenate_p.bind(*parts, dimension=axis)]

    def batch(self, size: int, args: Any, axes: Any, *, sizes: Shape, axis: int) -> Any:
        (b,) = axes
        return self.bind(args[0], sizes=sizes, axis=axis + (axis >= b)), [b] * len(sizes)


concatenate_p, split_p, pad_p, slice_p, rev_p = Concatenate(), Split(), Pad(), Slice(), Rev()


def slice_along(x: Any, start: int, stop: int, axis: int) -> Any:
    """`x[start:stop]` along one axis, for rules; bounds in range."""
    starts, stops = with_length((0,) * len(x.shape), axis, start), with_length(x.shape, axis, stop)
    return slice_p.bind(x, start_indices=starts, limit_indices=stops, strides=None)


# ---- public functions: joining and cutting -------------------------------------------------------


def concatenate(operands: Any, dimension: int) -> Array:
    """The operands one after the other along the axis `dimension` (not negative).

    Raises TypeError if dtypes, or lengths of the other axes, differ.

    >>> concatenate([np.arange(2), np.arange(3)], 0)
    Array([0, 1, 0, 1, 2], dtype=int32)
    """
    arrays = [as_array(x) for x in operands]
    if not arrays:
        raise ValueError("concatenate requires a non-empty sequence of arrays")
    dimension = integer(dimension, "concatenate: dimension")
    first = arrays[0]
    if len(arrays) == 1 and 0 <= dimension < first.ndim:
        return first
    return bind_checked(concatenate_p, *arrays, dimension=dimension)


def pad(operand: Any, padding_value: Any, padding_config: Sequence[tuple[int, int, int]]) -> Array:
    """`operand` with the scalar `padding_value` around and between its elements.

    `padding_config` has (low, high, interior) for each axis: how many go before, after, and between
    neighbours. Negative low and high remove elements, of the interior padding included. Raises
    TypeError if the dtypes differ, ValueError for impossible sizes.

    >>> pad(np.arange(3), 9, [(1, -1, 1)])
    Array([9, 0, 9, 1, 9], dtype=int32)
    """
    x = as_array(operand)
    value = beside(x, padding_value)
    mistake = f"pad: padding_config must have (low, high, interior) for each axis, got {padding_config!r:.100}"
    if not hasattr(type(padding_config), "__iter__"):
        raise TypeError(mistake)
    config = tuple([integers(c, "pad: padding_config") for c in padding_config])
    if any(len(c) != 3 for c in config):
        raise ValueError(mistake)
    if x.ndim == len(config) and not any(any(c) for c in config) and x.dtype == value.dtype and not value.shape:
        return x
    return bind_checked(pad_p, x, value, padding_config=config)


def slice(
    operand: Any, start_indices: Sequence[int], limit_indices: Sequence[int], strides: Sequence[int] | None = None
) -> Array:
    """The elements of `operand` from `start_indices` up to `limit_indices`, in steps of `strides`:
    one entry an axis, not negative.

    Raises TypeError for bounds that are out of range.

    >>> slice(np.arange(10), (2,), (9,), (3,))
    Array([2, 5, 8], dtype=int32)
    """
    x = as_array(operand)
    starts, limits = integers(start_indices, "slice: start_indices"), integers(limit_indices, "slice: limit_indices")
    steps = None if strides is None else integers(strides, "slice: strides")
    if steps is not None and all(s == 1 for s in steps) and len(steps) == x.ndim:
        steps = None
    if steps is None and limits == x.shape and not any(starts) and len(starts) == x.ndim:
        return x
    return bind_checked(slice_p, x, start_indices=starts, limit_indices=limits, strides=steps)


def slice_in_dim(
    operand: Any, start_index: int | None, limit_index: int | None, stride: int = 1, axis: int = 0
) -> Array:
    """`operand[start_index:limit_index:stride]` along one axis. Negative indices count from the end;
    None is the end. Raises TypeError for bounds that are out of range.

    >>> slice_in_dim(np.arange(8).reshape(2, 4), 1, None, stride=2, axis=1)
    Array([[1, 3],
           [5, 7]], dtype=int32)
    """
    x = as_array(operand)
    axis = canonical_axis(axis, x.ndim)
    n = x.shape[axis]
    start = 0 if start_index is None else integer(start_index, "slice_in_dim: start_index")
    limit = n if limit_index is None else integer(limit_index, "slice_in_dim: limit_index")
    starts = with_length((0,) * x.ndim, axis, start + n if start < 0 else start)
    limits = with_length(x.shape, axis, limit + n if limit < 0 else limit)
    return slice(x, starts, limits, with_length((1,) * x.ndim, axis, integer(stride, "slice_in_dim: stride")))


def index_in_dim(operand: Any, index: int, axis: int = 0, keepdims: bool = True) -> Array:
    """The slice of `operand` at position `index` of an axis, which is dropped unless `keepdims`.
    Negative positions count from the end; IndexError for those out of bounds.

    >>> x = np.array([[1, 2], [3, 4]])
    >>> index_in_dim(x, 1), index_in_dim(x, -1, axis=1, keepdims=False)
    (Array([[3, 4]], dtype=int32), Array([2, 4], dtype=int32))
    """
    x = as_array(operand)
    axis = canonical_axis(axis, x.ndim)
    n, i = x.shape[axis], integer(index, "index_in_dim: index")
    if not -n <= i < n:
        raise IndexError(f"index {i} is out of bounds for axis {axis} with size {n}")
    i += n if i < 0 else 0
    out = slice_along(x, i, i + 1, axis)
    return out if keepdims else squeeze(out, (axis,))


def split(operand: Any, sizes: Sequence[int], axis: int = 0) -> Sequence[Array]:
    """Consecutive parts of `operand`, of lengths `sizes`, along `axis`. Raises ValueError if they
    do not add up to its length.

    >>> [part.tolist() for part in split(np.arange(5), (2, 3))]
    [[0, 1], [2, 3, 4]]
    """
    x = as_array(operand)
    return bind_checked(split_p, x, sizes=integers(sizes, "split: sizes"), axis=canonical_axis(axis, x.ndim))


def stack(operands: Sequence[Any], axis: int = 0) -> Array:
    """Arrays of one shape and dtype along a new axis at position `axis` of the result. Raises
    ValueError if there are none or shapes differ, TypeError if dtypes do.

    >>> stack([np.array([1, 2]), np.array([3, 4])], axis=1)
    Array([[1, 3],
           [2, 4]], dtype=int32)
    """
    arrays = [as_array(x) for x in operands]
    if not arrays:
        raise ValueError("stack requires a non-empty sequence of arrays")
    if any(a.shape != arrays[0].shape for a in arrays):
        raise ValueError(f"Cannot stack arrays of different shapes: got {shapes_of(arrays)}, at {user_line()}")
    axis = canonical_axis(axis, arrays[0].ndim + 1)
    return concatenate([expand_dims(a, (axis,)) for a in arrays], axis)


def unstack(x: Any, axis: int = 0) -> tuple[Array, ...]:
    """The slices of `x` along `axis`, which they do not have, as a tuple. Raises ValueError for a
    scalar.

    >>> unstack(np.array([[1, 2], [3, 4]]), axis=1)
    (Array([1, 3], dtype=int32), Array([2, 4], dtype=int32))
    """
    x = as_array(x)
    if not x.ndim:
        raise ValueError("Unstack requires arrays with at least one axis; got a scalar")
    axis = canonical_axis(axis, x.ndim)
    if not x.shape[axis]:
        return ()
    return tuple(squeeze(part, (axis,)) for part in split(x, (1,) * x.shape[axis], axis))


def tile(operand: Any, reps: Sequence[int]) -> Array:
    """`operand` repeated as a whole `reps[i]` times along axis `i`. Raises TypeError unless there
    is one number an axis.

    >>> tile(np.arange(2), (3,))
    Array([0, 1, 0, 1, 0, 1], dtype=int32)
    """
    x = as_array(operand)
    counts = integers(reps, "tile: reps")
    if len(counts) != x.ndim:
        raise TypeError(f"reps length must be equal to the ndim of x, got len(reps)={len(counts)} and x.ndim={x.ndim}.")
    if any(n < 0 for n in counts):
        raise ValueError(f"tile reps must not be negative, got {counts}")
    if all(n == 1 for n in counts):
        return x
    repeated = tuple(m for pair in zip(counts, x.shape) for m in pair)
    out = broadcast_in_dim_p.bind(x, shape=repeated, broadcast_dimensions=tuple(range(1, 2 * x.ndim, 2)))
    return reshape_p.bind(out, new_sizes=tuple(r * n for r, n in zip(counts, x.shape)))


def rev(operand: Any, dimensions: Sequence[int]) -> Array:
    """`operand` with the order of elements reversed along the axes `dimensions`. Raises TypeError
    unless these are distinct axes, not negative.

    >>> rev(np.array([[1, 2, 3], [4, 5, 6]]), (1,))
    Array([[3, 2, 1],
           [6, 5, 4]], dtype=int32)
    """
    x, dims = as_array(operand), integers(dimensions, "rev: dimensions")
    return bind_checked(rev_p, x, dimensions=dims) if dims else x


def collapse(operand: Any, start_dimension: int, stop_dimension: int | None = None) -> Array:
    """`operand` with the axes from `start_dimension` up to `stop_dimension` (None: the last) merged
    into one, in row-major order. Raises ValueError if there is none between them.

    >>> collapse(np.zeros((2, 3, 4)), 1).shape, collapse(np.zeros((2, 3, 4)), 0, 2).shape
    ((2, 12), (6, 4))
    """
    x = as_array(operand)
    first, stop, _ = builtins.slice(start_dimension, stop_dimension).indices(x.ndim)
    if stop < first:
        raise ValueError(f"Invalid dimension range passed to collapse: {x.shape}[{start_dimension}:{stop_dimension}]")
    return reshape(x, (*x.shape[:first], math.prod(x.shape[first:stop]), *x.shape[stop:]))


__all__ = [
    "collapse", "concatenate", "concatenate_p", "index_in_dim", "pad", "pad_p", "rev", "rev_p", "slice",
    "slice_in_dim", "slice_p", "split", "split_p", "stack", "tile", "unstack",
]  # fmt: skip
