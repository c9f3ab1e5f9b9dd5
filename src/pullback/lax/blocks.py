"""Blocks at computed positions: dynamic slices, read and replaced; slices at several positions."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, as_array, concrete
from pullback.core.errors import user_line
from pullback.core.primitive import is_node
from pullback.core.trace import Params
from pullback.core.types import Shape, ShapedArray, canonical_axis, integers
from pullback.lax.arrangement import concatenate, concatenate_p, shapes_of, unstack
from pullback.lax.family import like
from pullback.lax.indexing import gather, gather_p, scatter_p
from pullback.lax.mover import IndexedMover
from pullback.lax.positions import (
    GatherDimensionNumbers,
    GatherScatterMode,
    ScatterDimensionNumbers,
    modulo,
    wrap_negative,
)
from pullback.lax.shape import (
    batch_first,
    beside,
    bind_checked,
    convert,
    expand_dims,
    inserted,
    reshape_p,
    squeeze,
    with_length,
    zeros_like_shape,
)


class DynamicSlice(IndexedMover):
    """The block of `slice_sizes` that begins at the scalar operands; starts are clamped so that it
    lies inside."""

    name = "dynamic_slice"

    def type_of(self, x: ShapedArray, *starts: ShapedArray, slice_sizes: Shape) -> ShapedArray:
        _check_starts(self.name, x, starts)
        if len(slice_sizes) != x.ndim or any(not 0 <= m <= n for m, n in zip(slice_sizes, x.shape)):
            raise TypeError(
                "slice slice_sizes must be less than or equal to operand shape, got slice_sizes "
                f"{slice_sizes} for operand shape {x.shape}."
            )
        return x.update(shape=slice_sizes)

    def evaluate(self, x: Any, *starts: Any, slice_sizes: Shape) -> Any:
        return x[_block(x.shape, starts, slice_sizes)]

    def lower(self, emit: Any, x: Any, *starts: Any, slice_sizes: Shape) -> Any:
        starts = emit.clamped(starts, [n - m for n, m in zip(x.shape, slice_sizes)])
        return emit("dynamic_slice", x, *starts, out=emit.type, slice_sizes=slice_sizes)

    def transpose(self, ct: Any, x: Any, *starts: Any, slice_sizes: Shape) -> Sequence[Any]:
        return [dynamic_update_slice_p.bind(zeros_like_shape(ct, x.shape), ct, *starts), *(None for _ in starts)]

    def batch(self, size: int, args: Any, axes: Any, *, slice_sizes: Shape) -> Any:
        (x, *starts), (b, *start_axes) = args, axes
        if all(s is None for s in start_axes):
            starts.insert(b, _zero(starts))
            return self.bind(x, *starts, slice_sizes=inserted(slice_sizes, b, size)), b
        numbers = GatherDimensionNumbers(every := tuple(range(len(starts))), (), every)
        return gather_p.batch(
            size, (x, _stacked_starts(starts, start_axes, size)), (b, 0), dimension_numbers=numbers, slice_sizes=slice_sizes,
            fill_value=None, **_ONE_BLOCK,
        )  # fmt: skip


class DynamicUpdateSlice(IndexedMover):
    """Operand 0 with the block that begins at the scalar operands (clamped so that it lies inside)
    replaced by operand 1."""

    name = "dynamic_update_slice"
    linear_in = (0, 1)
    weakness = "never"

    def type_of(self, x: ShapedArray, update: ShapedArray, *starts: ShapedArray) -> ShapedArray:
        if x.dtype != update.dtype:
            raise TypeError(
                f"lax.dynamic_update_slice requires arguments to have the same dtypes, got {dtypes.name(x.dtype)}, "
                f"{dtypes.name(update.dtype)}."
            )
        if update.ndim != x.ndim:
            raise TypeError(
                "dynamic_update_slice update must have the same rank as operand, got update shape "
                f"{update.shape} for operand shape {x.shape}."
            )
        if any(m > n for m, n in zip(update.shape, x.shape)):
            raise TypeError(
                "dynamic_update_slice update shape must be smaller than operand shape, got update shape "
                f"{update.shape} for operand shape {x.shape}."
            )
        _check_starts(self.name, x, starts)
        return x.update(weak_type=False)

    def evaluate(self, x: Any, update: Any, *starts: Any) -> Any:
        out = np.array(x)
        out[_block(x.shape, starts, update.shape)] = update
        return out

    def lower(self, emit: Any, x: Any, update: Any, *starts: Any) -> Any:
        starts = emit.clamped(starts, [n - m for n, m in zip(x.shape, update.shape)])
        return emit("dynamic_update_slice", x, update, *starts, out=emit.type)

    def transpose(self, ct: Any, x: Any, update: Any, *starts: Any) -> Sequence[Any]:
        ct_x = ct_update = None
        if is_node(x):
            ct_x = self.bind(ct, zeros_like_shape(ct, update.shape), *starts)
        if is_node(update):
            ct_update = dynamic_slice_p.bind(ct, *starts, slice_sizes=update.shape)
        return [ct_x, ct_update, *(None for _ in starts)]

    def batch(self, size: int, args: Any, axes: Any) -> Any:
        (x, update, *starts), (b, b_update, *start_axes) = args, axes
        if all(s is None for s in start_axes):
            x, update = batch_first(x, b, size), batch_first(update, b_update, size)
            return self.bind(x, update, _zero(starts), *starts), 0
        numbers = ScatterDimensionNumbers(every := tuple(range(len(starts))), (), every)
        args, axes = (x, _stacked_starts(starts, start_axes, size), update), (b, 0, b_update)
        return scatter_p.batch(size, args, axes, dimension_numbers=numbers, **_ONE_BLOCK)


#: What gather and scatter are told of the start of one block.
_ONE_BLOCK: Params = {"indices_are_sorted": True, "unique_indices": True, "mode": GatherScatterMode.CLIP}
dynamic_slice_p, dynamic_update_slice_p = DynamicSlice(), DynamicUpdateSlice()


def _check_starts(name: str, x: ShapedArray, starts: Sequence[ShapedArray]) -> None:
    if len(starts) != x.ndim:
        raise ValueError(
            f"Length of slice indices must match number of operand dimensions ({len(starts)} vs {x.shape})"
        )
    if any(s.shape or not dtypes.is_integer(s.dtype) or s.dtype != starts[0].dtype for s in starts):
        raise TypeError(
            f"index arguments to {name} must be integer scalars of the same type, got: {', '.join(map(str, starts))}"
        )


def _block(shape: Shape, starts: Sequence[Any], sizes: Shape) -> tuple[builtins.slice, ...]:
    firsts = [min(max(int(start), 0), n - m) for n, start, m in zip(shape, starts, sizes)]
    return tuple([builtins.slice(first, first + m) for first, m in zip(firsts, sizes)])


def _zero(starts: Sequence[Any]) -> Any:
    """The start in one more axis."""
    return like(0, starts[0]) if starts else concrete(np.int32(0))


def _stacked_starts(starts: Sequence[Any], axes: Sequence[int | None], size: int) -> Any:
    """Batched scalar starts as an array of shape (size, number of starts)."""
    columns = [reshape_p.bind(batch_first(s, b, size), new_sizes=(size, 1)) for s, b in zip(starts, axes)]
    return concatenate_p.bind(*columns, dimension=1)


def _starts(x: Array, start_indices: Any, allow_negative: Any) -> list[Array]:
    """One integer scalar an axis, all of one dtype; negative ones count from the end where that is
    allowed."""
    if isinstance(start_indices, (Array, np.ndarray)):
        vector = as_array(start_indices)
        if vector.ndim != 1:
            raise ValueError(f"dynamic_slice: an array of start indices must be 1-d, got shape {vector.shape}")
        given: list[Any] = list(unstack(vector))
    elif hasattr(type(start_indices), "__iter__"):
        given = list(start_indices)
    else:
        raise TypeError(
            f"dynamic_slice: start indices must be one for each axis of shape {x.shape}, got {start_indices!r:.100}"
        )
    if len(given) != x.ndim:
        raise ValueError(f"Length of slice indices must match number of operand dimensions ({len(given)} vs {x.shape})")
    single = isinstance(allow_negative, (bool, np.bool_)) or not hasattr(type(allow_negative), "__iter__")
    allow = [bool(allow_negative)] * x.ndim if single else list(allow_negative)
    if len(allow) != x.ndim:
        raise ValueError(
            f"allow_negative_indices must be a bool or have one entry an axis of shape {x.shape}, got {allow_negative}"
        )
    starts: list[Array] = []
    dtype = None
    for i, n, negative in zip(given, x.shape, allow):
        if isinstance(i, (int, np.integer)) and not isinstance(i, bool) and not negative and i < 0:
            raise ValueError(f"Index {i} is out of bounds for dimension {n} if allow_negative_indices=False")
        i = as_array(i)
        if not dtypes.is_integer(i.dtype) or i.ndim:
            raise TypeError(f"index arguments to dynamic_slice must be integer scalars, got {i.aval} at {user_line()}")
        if not i.weak_type:
            dtype = i.dtype if dtype is None else dtypes.promote_pair(dtype, False, i.dtype, False)[0]
        starts.append(i)
    dtype = dtype or dtypes.default_dtype(int)
    if dtype.itemsize < 4:
        dtype = dtypes.int32  # so that adding the axis's length cannot overflow
    return [
        wrap_negative(convert(i, dtype), n) if negative else convert(i, dtype)
        for i, n, negative in zip(starts, x.shape, allow)
    ]


def dynamic_slice(
    operand: Any, start_indices: Any, slice_sizes: Sequence[int], *,
    allow_negative_indices: bool | Sequence[bool] = True,
) -> Array:  # fmt: skip
    """The block of shape `slice_sizes` (static) that begins at `start_indices` (which may be
    traced), one an axis.

    Negative starts count from the end; then starts are clamped so that the block lies inside.
    Raises TypeError for sizes that do not fit and for indices that are not integers.

    >>> dynamic_slice(np.arange(5), (4,), (2,))
    Array([3, 4], dtype=int32)
    """
    x = as_array(operand)
    starts = _starts(x, start_indices, allow_negative_indices)
    return bind_checked(dynamic_slice_p, x, *starts, slice_sizes=integers(slice_sizes, "dynamic_slice: slice_sizes"))


def dynamic_update_slice(
    operand: Any, update: Any, start_indices: Any, *, allow_negative_indices: bool | Sequence[bool] = True
) -> Array:
    """`operand` with the block that begins at `start_indices` (which may be traced) replaced by
    `update`, an array of as many axes and of its dtype.

    Negative starts count from the end; then starts are clamped so that the block lies inside.
    Raises TypeError if `update` does not fit.

    >>> dynamic_update_slice(np.zeros(5, np.int32), np.array([1, 2], np.int32), (2,))
    Array([0, 0, 1, 2, 0], dtype=int32)
    >>> dynamic_update_slice(np.zeros(5, np.int32), np.array([1, 2], np.int32), (9,))  # clamped to 3
    Array([0, 0, 0, 1, 2], dtype=int32)
    """
    x = as_array(operand)
    starts = _starts(x, start_indices, allow_negative_indices)
    return bind_checked(dynamic_update_slice_p, x, beside(x, update), *starts)


def dynamic_slice_in_dim(
    operand: Any, start_index: Any, slice_size: int, axis: int = 0, *, allow_negative_indices: bool = True
) -> Array:
    """The `slice_size` (static) positions of one axis from `start_index` (which may be traced). See
    `dynamic_slice`, which says how starts are clamped and what is raised.

    >>> dynamic_slice_in_dim(np.arange(12).reshape(3, 4), 1, 2, axis=1)
    Array([[ 1,  2],
           [ 5,  6],
           [ 9, 10]], dtype=int32)
    """
    x = as_array(operand)
    axis = canonical_axis(axis, x.ndim)
    starts, sizes = with_length((0,) * x.ndim, axis, start_index), with_length(x.shape, axis, slice_size)
    return dynamic_slice(x, starts, sizes, allow_negative_indices=allow_negative_indices)


def dynamic_update_slice_in_dim(
    operand: Any, update: Any, start_index: Any, axis: int, *, allow_negative_indices: bool = True
) -> Array:
    """`operand` with the positions from `start_index` of one axis replaced by `update`, as long as
    that one is there. See `dynamic_update_slice`, which says how starts are clamped and what is
    raised.

    >>> dynamic_update_slice_in_dim(np.zeros((2, 4), np.int32), np.ones((2, 2), np.int32), 1, axis=1)
    Array([[0, 1, 1, 0],
           [0, 1, 1, 0]], dtype=int32)
    """
    x = as_array(operand)
    starts = with_length((0,) * x.ndim, canonical_axis(axis, x.ndim), start_index)
    return dynamic_update_slice(x, update, starts, allow_negative_indices=allow_negative_indices)


def dynamic_index_in_dim(
    operand: Any, index: Any, axis: int = 0, keepdims: bool = True, *, allow_negative_indices: bool = True
) -> Array:
    """The slice at position `index` (which may be traced, and is clamped) of one axis, which is
    dropped unless `keepdims`. Negative positions count from the end. Raises as `dynamic_slice`, and
    ValueError if there is no such axis.

    >>> x = np.array([[1, 2], [3, 4]])
    >>> dynamic_index_in_dim(x, 1), dynamic_index_in_dim(x, -1, axis=1, keepdims=False)
    (Array([[3, 4]], dtype=int32), Array([2, 4], dtype=int32))
    """
    out = dynamic_slice_in_dim(operand, index, 1, axis, allow_negative_indices=allow_negative_indices)
    return out if keepdims else squeeze(out, (canonical_axis(axis, out.ndim),))


def dynamic_update_index_in_dim(
    operand: Any, update: Any, index: Any, axis: int, *, allow_negative_indices: bool = True
) -> Array:
    """`operand` with the slice at position `index` (which may be traced, and is clamped) of one axis
    replaced by `update`, with or without that axis. Raises TypeError if it does not fit.

    >>> dynamic_update_index_in_dim(np.zeros((2, 3), np.int32), np.array([7, 8], np.int32), 1, axis=1)
    Array([[0, 7, 0],
           [0, 8, 0]], dtype=int32)
    """
    x, update = as_array(operand), as_array(update)
    axis = canonical_axis(axis, x.ndim)
    if update.ndim == x.ndim - 1:
        update = expand_dims(update, (axis,))
    return dynamic_update_slice_in_dim(x, update, index, axis, allow_negative_indices=allow_negative_indices)


def index_take(src: Any, idxs: Any, axes: Sequence[int]) -> Array:
    """The slices of `src` at the positions `idxs` (a 1-d integer array for each of `axes`) along a new
    leading axis.

    Positions are taken modulo the lengths of the axes. Raises ValueError if there is not one array
    for each axis, all of one length.

    >>> index_take(np.array([[1, 2], [3, 4], [5, 6]]), (np.array([0, -1]), np.array([1, 0])), (0, 1))
    Array([2, 5], dtype=int32)
    """
    x = as_array(src)
    dims = tuple(canonical_axis(a, x.ndim) for a in axes)
    indices = [as_array(i) for i in idxs]
    if not indices or len(indices) != len(dims) or any(i.ndim != 1 or i.shape != indices[0].shape for i in indices):
        raise ValueError(
            f"index_take takes one 1-d index array for each of axes {dims}, of one length; got {shapes_of(indices)}"
        )
    columns = [expand_dims(modulo(i, x.shape[d]), (1,)) for i, d in zip(indices, dims)]
    sizes = tuple(1 if i in dims else n for i, n in enumerate(x.shape))
    numbers = GatherDimensionNumbers(tuple(range(1, x.ndim - len(dims) + 1)), tuple(sorted(dims)), dims)
    return gather(x, concatenate(columns, 1), numbers, sizes, mode=GatherScatterMode.CLIP)


__all__ = [
    "dynamic_index_in_dim", "dynamic_slice", "dynamic_slice_in_dim", "dynamic_slice_p",
    "dynamic_update_index_in_dim", "dynamic_update_slice", "dynamic_update_slice_in_dim", "dynamic_update_slice_p",
    "index_take",
]  # fmt: skip
