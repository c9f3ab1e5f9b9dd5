"""Positions of windows in an array, for gather and scatter.

How axes correspond, which windows are out of bounds and what is read there, and which meet.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from pullback.core import dtypes
from pullback.core.array import ConcreteArray, concrete
from pullback.core.dtypes import DType
from pullback.core.errors import user_line
from pullback.core.types import Shape, ShapedArray
from pullback.lax.elementwise import lt_p, rem_p
from pullback.lax.family import add_p, like
from pullback.lax.selection import select
from pullback.lax.shape import convert, strided_view


class GatherScatterMode(enum.Enum):
    """What happens to windows that are not inside the operand: CLIP moves them inside, FILL_OR_DROP
    reads a fill value or writes nothing, PROMISE_IN_BOUNDS says that there are none.

    >>> from pullback import lax
    >>> each = GatherDimensionNumbers((), (0,), (0,))
    >>> x, positions = np.array([1.0, 2.0, 3.0]), np.array([[0], [9]])
    >>> lax.gather(x, positions, each, (1,), mode=GatherScatterMode.CLIP)
    Array([1., 3.], dtype=float32)
    >>> lax.gather(x, positions, each, (1,), mode=GatherScatterMode.FILL_OR_DROP)
    Array([ 1., nan], dtype=float32)
    """

    CLIP = 1
    FILL_OR_DROP = 2
    PROMISE_IN_BOUNDS = 3
    ONE_HOT = 4

    @staticmethod
    def from_any(s: Any) -> GatherScatterMode:
        """The mode of a name ("clip", "fill", "drop", "promise_in_bounds", "one_hot"), a mode, or
        None: FILL_OR_DROP.

        Raises ValueError for anything else.

        >>> GatherScatterMode.from_any("clip").name, GatherScatterMode.from_any("drop").name
        ('CLIP', 'FILL_OR_DROP')
        """
        if isinstance(s, GatherScatterMode):
            return s
        if s is None or s == "fill" or s == "drop":
            return GatherScatterMode.FILL_OR_DROP
        if s in ("clip", "promise_in_bounds", "one_hot"):
            return GatherScatterMode[s.upper()]
        raise ValueError(f'Unknown gather mode "{s}"')


CLIP, FILL_OR_DROP, PROMISE_IN_BOUNDS, _ = GatherScatterMode


class GatherDimensionNumbers(NamedTuple):
    """How a gather's axes correspond.

    `offset_dims`: the result's axes that run through a window; the others run over the index rows.
    `collapsed_slice_dims`: operand axes of window length 1 that the result does not have.
    `start_index_map`: the operand axis that each index column is for. `operand_batching_dims` and
    `start_indices_batching_dims` pair axes of operand and indices that run together.

    Whole rows of a matrix, at positions along its first axis:

    >>> from pullback import lax
    >>> rows = GatherDimensionNumbers(offset_dims=(1,), collapsed_slice_dims=(0,), start_index_map=(0,))
    >>> lax.gather(np.array([[1, 2], [3, 4], [5, 6]]), np.array([[2], [0]]), rows, (1, 2))
    Array([[5, 6],
           [1, 2]], dtype=int32)
    """

    offset_dims: tuple[int, ...]
    collapsed_slice_dims: tuple[int, ...]
    start_index_map: tuple[int, ...]
    operand_batching_dims: tuple[int, ...] = ()
    start_indices_batching_dims: tuple[int, ...] = ()


class ScatterDimensionNumbers(NamedTuple):
    """How a scatter's axes correspond: as `GatherDimensionNumbers`, with the updates in the place of
    the result.

    `update_window_dims`: the updates' axes that run through a window. `inserted_window_dims`:
    operand axes of window length 1 that the updates do not have. `scatter_dims_to_operand_dims`:
    the operand axis that each index column is for. `operand_batching_dims` and
    `scatter_indices_batching_dims` are pairs of axes that run together.

    Whole rows of a matrix, at positions along its first axis:

    >>> from pullback import lax
    >>> rows = ScatterDimensionNumbers(update_window_dims=(1,), inserted_window_dims=(0,), scatter_dims_to_operand_dims=(0,))
    >>> lax.scatter_add(np.zeros((3, 2)), np.array([[2], [0]]), np.array([[1.0, 2.0], [3.0, 4.0]]), rows)
    Array([[3., 4.],
           [0., 0.],
           [1., 2.]], dtype=float32)
    """

    update_window_dims: Sequence[int]
    inserted_window_dims: Sequence[int]
    scatter_dims_to_operand_dims: Sequence[int]
    operand_batching_dims: Sequence[int] = ()
    scatter_indices_batching_dims: Sequence[int] = ()


def window_starts(indices: Any, numbers: GatherDimensionNumbers | ScatterDimensionNumbers) -> dict[int, Any]:
    """For each indexed operand axis, the start of every window: arrays of the shape of the index
    rows."""
    _, _, index_map, operand_batch, index_batch = numbers
    rows = indices.shape[:-1]
    if indices.dtype == np.uint64:
        indices = np.minimum(indices, np.uint64(np.iinfo(np.intp).max))
    indices = indices.astype(np.intp, copy=False)
    starts = {axis: indices[..., column] for column, axis in enumerate(index_map)}
    for axis, d in zip(operand_batch, index_batch):
        along = [-1 if i == d else 1 for i in range(len(rows))]
        starts[axis] = np.broadcast_to(np.arange(rows[d]).reshape(along), rows)
    return starts


def valid_windows(shape: Shape, sizes: Shape, starts: dict[int, Any], indexed: Sequence[int]) -> Any:
    """Which windows lie inside: an array of the shape of the index rows, or None if all do.
    Batching axes never lead out."""
    inside = None
    for axis in indexed:
        ok = (starts[axis] >= 0) & (starts[axis] <= shape[axis] - sizes[axis])
        inside = ok if inside is None else inside & ok
    return None if inside is None or inside.all() else inside


def clamped_starts(shape: Shape, sizes: Shape, starts: dict[int, Any], indexed: Sequence[int]) -> dict[int, Any]:
    """The starts, in the axes `indexed` moved to the nearest ones of windows that lie inside."""
    inside = {axis: np.minimum(np.maximum(starts[axis], 0), shape[axis] - sizes[axis]) for axis in indexed}
    return {**starts, **inside}


def windows_view(x: Any, sizes: Shape, axes: Sequence[int], writeable: bool = False) -> Any:
    """A view of `x` indexed by window starts in `axes` and then by the position in the window, in
    its axes longer than 1."""
    # One window is indexed by a dummy axis.
    starts = [(x.shape[a] - sizes[a] + 1, x.strides[a]) for a in axes] or [(1, 0)]
    # NumPy copies the elements of a window one by one through axes of length 1.
    inner = [(m, stride) for m, stride in zip(sizes, x.strides) if m != 1]
    shape, strides = zip(*starts, *inner)
    return strided_view(x, shape, strides, writeable)


def window_index(starts: dict[int, Any], rows: Shape) -> tuple[Any, ...]:
    """What `windows_view` is to be indexed by."""
    return tuple(starts.values()) if starts else (np.zeros(rows, np.intp),)


def fill_of(dtype: DType, value: Any = None) -> Any:
    """What a gather reads out of bounds: `value`, in that dtype.

    If it is None: NaN, the smallest signed or the largest unsigned integer, True, or a zero key.
    """
    if value is not None:
        return np.asarray(value).astype(dtype)
    kind = dtypes.kind(dtype)
    if kind in "fc":
        return dtype.type(np.nan)
    if kind in "iu":
        info = dtypes.iinfo(dtype)
        return dtype.type(info.min if kind == "i" else info.max)
    return np.zeros((), dtype) if kind == "k" else np.True_


def check_indices(name: str, indices: ShapedArray, numbers: Any) -> None:
    """The indices are integers, one for each of the axes that the dimension numbers map."""
    if not dtypes.is_integer(indices.dtype):
        raise ValueError(f"{name}: indices must have an integer type, got {indices}")
    if not indices.ndim or indices.shape[-1] != len(numbers[2]):
        raise TypeError(
            f"{name}: the last axis of the indices must have one entry for each of the operand axes {tuple(numbers[2])} that the "
            f"dimension numbers map; got indices of shape {indices.shape}"
        )


def check_numbers(name: str, numbers: Any, operand_rank: int, rank: int) -> None:
    """The dimension numbers are consistent: `rank` is that of gather's result or of scatter's
    updates."""
    windows, dropped, index_map, operand_batch, index_batch = map(tuple, numbers)
    if list(windows) != sorted(set(windows)) or any(not 0 <= d < rank for d in windows):
        raise TypeError(f"{name}: window axes {windows} must be increasing axes of an array with {rank} axes")
    for what, axes in (("dropped", dropped), ("indexed", index_map), ("batching", operand_batch)):
        if len(set(axes)) != len(axes) or any(not 0 <= a < operand_rank for a in axes):
            raise TypeError(f"{name}: {what} axes {axes} must be distinct axes of an operand with {operand_rank} axes")
    if set(operand_batch) & {*dropped, *index_map} or len(operand_batch) != len(index_batch):
        raise TypeError(
            f"{name}: batching axes {operand_batch} and {index_batch} must pair up and be neither dropped nor indexed"
        )
    if len(windows) + len(dropped) + len(operand_batch) != operand_rank:
        raise TypeError(
            f"All components of the offset index in a {name} op must either be a offset dimension or explicitly collapsed/batching: "
            f"window axes {windows}, dropped axes {dropped}, batching axes {operand_batch} for an operand with {operand_rank} axes"
        )


def window_sizes(shape: Shape, updates_shape: Shape, n: ScatterDimensionNumbers) -> Shape:
    """The shape, in an operand of shape `shape`, of the windows that updates of `updates_shape` are
    for."""
    window = iter(updates_shape[d] for d in n.update_window_dims)
    dropped = (*n.inserted_window_dims, *n.operand_batching_dims)
    return tuple(min(1, m) if i in dropped else next(window) for i, m in enumerate(shape))


def wide_index(i: Any) -> Any:
    """`i` in a type that holds positions and their differences: at least 32 bits, and signed where
    the width allows."""
    if i.dtype.itemsize < 4:
        return convert(i, dtypes.int32)
    return convert(i, dtypes.canonicalize(dtypes.int64)) if i.dtype == dtypes.uint32 else i


def wrap_negative(i: Any, n: int) -> Any:
    """Positions in an axis of length `n`, negative ones counted from its end."""
    if dtypes.kind(i.dtype) == "u" or (i.__class__ is ConcreteArray and not i.shape and i._value >= 0):
        return i
    i = wide_index(i)
    return select(lt_p.bind(i, like(0, i)), add_p.bind(i, like(n, i)), i)


def modulo(i: Any, n: int) -> Any:
    """Positions modulo `n`, in [0, n)."""
    if dtypes.kind(i.dtype) == "u" and n <= dtypes.iinfo(i.dtype).max:
        return rem_p.bind(i, like(n, i))
    i = wide_index(i)
    r = rem_p.bind(i, like(n, i))
    return select(lt_p.bind(r, like(0, r)), add_p.bind(r, like(n, r)), r)


def rounds(indices: Any, numbers: Any, shape: Shape, updates_shape: Shape, mode: Any) -> list[ConcreteArray]:
    """`indices` (a NumPy array) split into rounds in which no two windows meet.

    Each round has the shape of `indices`, with rows of other rounds moved out of bounds, to be
    dropped. Windows that meet come in the order of the rows. Clipped positions are clamped.
    """
    rows = indices.shape[:-1]
    sizes = window_sizes(shape, updates_shape, numbers)
    starts = window_starts(np.asarray(indices), numbers)
    if mode is CLIP:
        starts = clamped_starts(shape, sizes, starts, numbers[2])
    table = np.stack([np.broadcast_to(s, rows).reshape(-1) for s in window_index(starts, rows)], -1)
    if all(sizes[axis] <= 1 for axis in starts):
        _, place = np.unique(table, axis=0, return_inverse=True)
        place = place.reshape(-1)
        order, turn = np.argsort(place, kind="stable"), np.empty(len(place), np.intp)
        turn[order] = np.arange(len(order)) - np.searchsorted(place[order], place[order])
    else:
        turn = np.arange(len(table))  # windows may overlap in part: one after the other
    count = int(turn.max(initial=-1)) + 1
    if not numbers[2]:
        # Without an indexed axis no row can be moved away; but then rows that differ in the
        # batching axes never meet.
        if count > 1:
            raise NotImplementedError(f"several updates of one window without an indexed axis, at {user_line()}")
        return [concrete(indices)] * count
    placed = np.stack([starts[axis] for axis in numbers[2]], -1)
    out = []
    for i in range(count):
        outside = np.where((turn == i).reshape((*rows, 1)), placed, -1)
        out.append(concrete(outside.astype(dtypes.canonicalize(dtypes.int64))))
    return out


__all__ = ["GatherDimensionNumbers", "GatherScatterMode", "ScatterDimensionNumbers"]
