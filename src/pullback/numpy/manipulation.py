"""Rearranging arrays: shape, axes, joining, splitting, repeating, choosing, inserting and deleting.

Everything here moves elements by the primitives of `lax`, so it is differentiable, works under every transformation and on
every dtype. Shapes, axes and counts must be concrete.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, concrete
from pullback.core.errors import ConcretizationTypeError, user_line
from pullback.core.trace import Tracer
from pullback.core.types import (
    Shape,
    canonical_axes,
    canonical_axis,
    count,
    integer,
    integers,
    is_sequence,
    refuse_masked,
)
from pullback.core.types import broadcast_shapes as core_broadcast_shapes
from pullback.lax import shape as lax_shape
from pullback.lax.arrangement import concatenate as lax_concatenate
from pullback.lax.arrangement import concatenate_p, rev, slice_in_dim
from pullback.lax.arrangement import pad as lax_pad
from pullback.lax.blocks import dynamic_slice_in_dim
from pullback.lax.creation import iota
from pullback.lax.cumulative import cumsum
from pullback.lax.elementwise import ge_p, lt_p, max_p, min_p
from pullback.lax.family import like
from pullback.lax.selection import select as lax_select
from pullback.lax.selection import select_n_p
from pullback.lax.shape import broadcast_in_dim_p, convert, move_axis, reduce_sum_p, reshape_p, transpose_p
from pullback.lax.sorting import sort
from pullback.numpy.creation import array, canonical_shape, zeros
from pullback.numpy.indexing import nonzero, take
from pullback.numpy.promotion import array_like, promote, scalar_like, truth
from pullback.xla.devices import no_sharding

# ---- shape ------------------------------------------------------------------------------------------------------


def reshape(a: Any, shape: Any, order: str = "C", *, copy: bool | None = None, out_sharding: Any = None) -> Array:
    """The elements of `a` in another shape, of which one size may be -1; read and filled in row-major ("C") or column-major ("F") order.

    Raises TypeError if the number of elements differs.

    >>> reshape(array([1, 2, 3, 4]), (2, -1), order="F")
    Array([[1, 3],
           [2, 4]], dtype=int32)
    """
    del copy
    if out_sharding is not None:
        no_sharding("reshape", out_sharding)
    x = array_like(a, "reshape")
    if order == "C":
        return _reshape(x, shape)
    if order == "F":
        sizes = _sizes(shape)
        return transpose(_reshape(transpose(x), sizes[::-1]))
    if order == "A":
        raise NotImplementedError(
            "reshape with order='A' depends on memory order, which Arrays do not have: use 'C' or 'F'"
        )
    raise ValueError(f"reshape: order must be 'C' or 'F', got {order!r}")


def _sizes(shape: Any) -> Shape:
    """A shape in which one size may be -1."""
    try:
        if is_sequence(shape):
            return tuple([operator.index(n) for n in shape])
        return (operator.index(shape),)
    except TypeError as error:
        raise TypeError(
            f"a shape is an integer or a sequence of concrete integers, got {shape!r} at {user_line()} ({error})"
        ) from None


def _reshape(x: Array, shape: Any) -> Array:
    sizes = _sizes(shape)
    if prod(sizes) == x.size and (not sizes or min(sizes) >= 0):
        return x if sizes == x.shape else reshape_p.bind(x, new_sizes=sizes)
    return lax_shape.reshape(x, sizes)


def ravel(a: Any, order: str = "C", *, out_sharding: Any = None) -> Array:
    """The elements of `a` in one row, in row-major ("C") or column-major ("F") order."""
    if out_sharding is not None:
        no_sharding("ravel", out_sharding)
    x = array_like(a, "ravel")
    if order == "K":
        raise NotImplementedError(
            "ravel with order='K' depends on memory order, which Arrays do not have: use 'C' or 'F'"
        )
    if order != "C":
        return reshape(x, (x.size,), order)
    return x if x.ndim == 1 else reshape_p.bind(x, new_sizes=(x.size,))


def resize(a: Any, new_shape: Any) -> Array:
    """An array of `new_shape` filled with the elements of `a` in row-major order, over and over. Zeros if `a` is empty."""
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
    return _reshape(slice_in_dim(rows, 0, size, 1, 0), shape)


def expand_dims(a: Any, axis: int | Sequence[int]) -> Array:
    """`a` with new axes of length 1 at the positions `axis` of the result."""
    x = array_like(a, "expand_dims")
    return lax_shape.expand_dims(x, axis)


def squeeze(a: Any, axis: int | Sequence[int] | None = None) -> Array:
    """`a` without the axes `axis`, which must have length 1 (ValueError if not); by default without all that have."""
    x = array_like(a, "squeeze")
    if axis is None:
        sizes = tuple(n for n in x.shape if n != 1)
        return x if len(sizes) == x.ndim else reshape_p.bind(x, new_sizes=sizes)
    return lax_shape.squeeze(x, axis)


def _at_least(name: str, raised: Callable[[Array], Array], arys: tuple[Any, ...]) -> Any:
    out = [raised(array_like(a, name)) for a in arys]
    return out[0] if len(out) == 1 else out


def _raised_to_1(x: Array) -> Array:
    return x if x.ndim else reshape_p.bind(x, new_sizes=(1,))


def _raised_to_2(x: Array) -> Array:
    return x if x.ndim >= 2 else reshape_p.bind(x, new_sizes=(1, x.size))


def _raised_to_3(x: Array) -> Array:
    if x.ndim >= 3:
        return x
    return reshape_p.bind(x, new_sizes=(*x.shape, 1) if x.ndim == 2 else (1, x.size, 1))


def atleast_1d(*arys: Any) -> Any:
    """Each argument with at least one axis; a list if there are several."""
    return _at_least("atleast_1d", _raised_to_1, arys)


def atleast_2d(*arys: Any) -> Any:
    """Each argument with at least two axes, new ones first; a list if there are several."""
    return _at_least("atleast_2d", _raised_to_2, arys)


def atleast_3d(*arys: Any) -> Any:
    """Each argument with at least three axes: (n,) becomes (1, n, 1) and (n, m) becomes (n, m, 1); a list if there are several."""
    return _at_least("atleast_3d", _raised_to_3, arys)


# ---- axes -------------------------------------------------------------------------------------------------------


def transpose(a: Any, axes: Sequence[int] | None = None) -> Array:
    """`a` with its axes in the order `axes`; reversed by default. Raises TypeError if `axes` is not a permutation.

    >>> transpose(zeros((2, 3, 4)), (1, 2, 0)).shape
    (3, 4, 2)
    """
    x = array_like(a, "transpose")
    ndim = len(x.shape)
    if axes is None:
        return transpose_p.bind(x, permutation=tuple(range(ndim - 1, -1, -1))) if ndim > 1 else x
    permutation = tuple(canonical_axis(i, ndim) for i in axes)
    return lax_shape.transpose(x, permutation)


def permute_dims(a: Any, /, axes: Sequence[int]) -> Array:
    """`a` with its axes in the order `axes`."""
    if axes is None:
        raise TypeError(f"permute_dims needs axes, at {user_line()}")
    return transpose(a, axes)


def matrix_transpose(x: Any, /) -> Array:
    """The transposes of the matrices in the last two axes. Raises ValueError if there are not two axes."""
    x = array_like(x, "matrix_transpose")
    if x.ndim < 2:
        raise ValueError(
            f"matrix_transpose takes an array of at least two dimensions, got shape {x.shape} at {user_line()}"
        )
    return swapaxes(x, -1, -2)


def swapaxes(a: Any, axis1: int, axis2: int) -> Array:
    """`a` with two axes exchanged."""
    x = array_like(a, "swapaxes")
    order = list(range(x.ndim))
    i, j = canonical_axis(axis1, x.ndim), canonical_axis(axis2, x.ndim)
    order[i], order[j] = j, i
    return x if i == j else transpose_p.bind(x, permutation=tuple(order))


def moveaxis(a: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Array:
    """`a` with the axes `source` moved to the positions `destination`, the others in order."""
    x = array_like(a, "moveaxis")
    sources, targets = integers(source, "moveaxis: source"), integers(destination, "moveaxis: destination")
    if len(sources) != len(targets):
        raise ValueError(f"moveaxis: source and destination differ in length: {len(sources)} and {len(targets)}")
    from_axes, to_axes = canonical_axes(sources, x.ndim), canonical_axes(targets, x.ndim)
    order = [i for i in range(x.ndim) if i not in from_axes]
    for target, i in sorted(zip(to_axes, from_axes)):
        order.insert(target, i)
    return x if order == list(range(x.ndim)) else transpose_p.bind(x, permutation=tuple(order))


def rollaxis(a: Any, axis: int, start: int = 0) -> Array:
    """`a` with `axis` moved before the axis now at `start`."""
    x = array_like(a, "rollaxis")
    i, start = canonical_axis(axis, x.ndim), integer(start, "rollaxis: start")
    if not -x.ndim <= start <= x.ndim:
        raise ValueError(f"rollaxis: start={start} must be in [{-x.ndim}, {x.ndim}] for an array of shape {x.shape}")
    start = start + x.ndim if start < 0 else start
    return move_axis(x, i, start - (start > i))


def flip(m: Any, axis: int | Sequence[int] | None = None) -> Array:
    """`m` with the elements in reverse order along `axis` (one, several or all)."""
    x = array_like(m, "flip")
    axes = canonical_axes(axis, x.ndim)
    return rev(x, axes) if axes else x


def fliplr(m: Any) -> Array:
    """`m` reversed along axis 1."""
    return flip(m, 1)


def flipud(m: Any) -> Array:
    """`m` reversed along axis 0."""
    return flip(m, 0)


def rot90(m: Any, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Array:
    """`m` rotated `k` quarter turns in the plane of `axes`, from the first towards the second."""
    x = array_like(m, "rot90")
    if x.ndim < 2:
        raise ValueError(f"rot90 takes an array of at least two dimensions, got shape {x.shape} at {user_line()}")
    plane = integers(axes, "rot90: axes")
    if len(plane) != 2:
        raise ValueError(f"rot90: axes must be two, got {axes}, at {user_line()}")
    i, j = (canonical_axis(a, x.ndim) for a in plane)
    if i == j:
        raise ValueError(f"rot90: the axes must be different, got {axes}")
    turns = integer(k, "rot90: k") % 4
    if turns == 0:
        return x
    if turns == 2:
        return flip(x, (i, j))
    return swapaxes(flip(x, j), i, j) if turns == 1 else flip(swapaxes(x, i, j), j)


# ---- broadcasting -----------------------------------------------------------------------------------------------


def broadcast_shapes(*shapes: Any) -> Shape:
    """The shape that arrays of `shapes` broadcast to. Raises ValueError naming the shapes.

    >>> broadcast_shapes((1, 2), (3, 1))
    (3, 2)
    """
    return core_broadcast_shapes(*(canonical_shape(s) for s in shapes))


def broadcast_to(array: Any, shape: Any, *, out_sharding: Any = None) -> Array:
    """`array` repeated along new and length-1 axes to `shape`. Raises ValueError if it does not broadcast to it."""
    if out_sharding is not None:
        no_sharding("broadcast_to", out_sharding)
    x = array_like(array, "broadcast_to")
    sizes = canonical_shape(shape)
    new = len(sizes) - x.ndim
    if new < 0:
        raise ValueError(
            f"cannot broadcast an array of shape {x.shape} to a shape with fewer dimensions, {sizes}, at {user_line()}"
        )
    for n, m in zip(x.shape, sizes[new:]):
        if n != m and n != 1:
            raise ValueError(f"an array of shape {x.shape} does not broadcast to shape {sizes}, at {user_line()}")
    return lax_shape.broadcast_to(x, sizes)


def broadcast_arrays(*args: Any) -> list[Array]:
    """The arguments broadcast to their common shape. Raises ValueError if they have none."""
    arrays = [array_like(a, "broadcast_arrays") for a in args]
    shape = core_broadcast_shapes(*(a.shape for a in arrays)) if arrays else ()
    return [lax_shape.broadcast_to(a, shape) for a in arrays]


# ---- joining ----------------------------------------------------------------------------------------------------


def _joined(name: str, arrays: Any) -> list[Array]:
    """The arrays of a sequence, or the rows of one array."""
    if isinstance(arrays, Array):
        if not arrays.ndim:
            raise TypeError(f"{name} takes a sequence of arrays, got an array of shape () at {user_line()}")
        return list(unstack(arrays))
    refuse_masked(arrays)
    try:
        return [array_like(a, name) for a in arrays]
    except TypeError:
        if hasattr(arrays, "__iter__"):
            raise
        raise TypeError(f"{name} takes a sequence of arrays, got {type(arrays).__name__} at {user_line()}") from None


def _stackable(name: str, arrays: Any) -> Any:
    # The stacks along fixed axes take what `array` takes, such as the one-tuples that pullbacks return.
    return arrays if isinstance(arrays, (Array, np.ndarray)) or not hasattr(arrays, "__iter__") else [
        a if isinstance(a, Array) else array(a) if isinstance(a, (list, tuple)) else array_like(a, name) for a in arrays
    ]  # fmt: skip


def join_arrays(name: str, arrays: list[Array], axis: int | None, dtype: Any) -> Array:
    if not arrays:
        raise ValueError(f"{name} needs at least one array, at {user_line()}")
    if axis is None:
        arrays = [ravel(a) for a in arrays]
        axis = 0
    first = arrays[0]
    if first.ndim == 0:
        raise ValueError(f"{name}: zero-dimensional arrays cannot be concatenated, at {user_line()}")
    axis = canonical_axis(axis, first.ndim)
    if dtype is not None:
        target = dtypes.canonicalize_dtype(dtype)
        arrays = [convert(a, target) for a in arrays]
    else:
        kind, weak = first.dtype, first.weak_type
        if any(a.dtype is not kind or a.weak_type is not weak for a in arrays):
            arrays = promote(name, *arrays)
    if len(arrays) == 1:
        return arrays[0]
    shape = first.shape
    before, after = shape[:axis], shape[axis + 1 :]
    for a in arrays:
        sizes = a.shape
        if sizes[:axis] != before or sizes[axis + 1 :] != after or len(sizes) != len(shape):
            return lax_concatenate(arrays, axis)  # which says what is wrong
    return concatenate_p.bind(*arrays, dimension=axis)


def concatenate(arrays: Any, axis: int | None = 0, dtype: Any = None) -> Array:
    """Arrays (or the rows of one) joined along `axis`; flattened first if it is None. Dtypes are promoted unless given.

    Raises TypeError if shapes differ on another axis.

    >>> concatenate([array([1, 2]), array([3.0])])
    Array([1., 2., 3.], dtype=float32)
    """
    return join_arrays("concatenate", _joined("concatenate", arrays), axis, dtype)


def concat(arrays: Any, /, *, axis: int | None = 0) -> Array:
    """Arrays joined along `axis`. See `concatenate`."""
    return concatenate(arrays, axis)


def stack(arrays: Any, axis: int = 0, out: None = None, dtype: Any = None) -> Array:
    """Arrays of one shape along a new `axis`. Raises ValueError if the shapes differ.

    >>> stack([array([1, 2]), array([3, 4])], axis=1)
    Array([[1, 3],
           [2, 4]], dtype=int32)
    """
    _no_out("stack", out)
    rows = _joined("stack", arrays)
    if not rows:
        raise ValueError(f"stack needs at least one array, at {user_line()}")
    shape = tuple(rows[0].shape)
    for r in rows:
        if r.shape != shape:
            raise ValueError(
                f"stack: all arrays must have one shape, got {', '.join(str(r.shape) for r in rows)} at {user_line()}"
            )
    i = canonical_axis(axis, len(shape) + 1)
    raised = (*shape[:i], 1, *shape[i:])
    return join_arrays("stack", [reshape_p.bind(r, new_sizes=raised) for r in rows], i, dtype)


def _no_out(name: str, out: None) -> None:
    if out is not None:
        raise NotImplementedError(f"{name}: Arrays are immutable, so there is no `out`")


def vstack(tup: Any, dtype: Any = None) -> Array:
    """Arrays on top of each other, along axis 0; vectors are rows.

    >>> vstack([array([1, 2]), array([3, 4])])
    Array([[1, 2],
           [3, 4]], dtype=int32)
    """
    return join_arrays("vstack", [_raised_to_2(a) for a in _joined("vstack", _stackable("vstack", tup))], 0, dtype)


def hstack(tup: Any, dtype: Any = None) -> Array:
    """Arrays side by side, along axis 1; vectors end to end."""
    arrays = [_raised_to_1(a) for a in _joined("hstack", _stackable("hstack", tup))]
    return join_arrays("hstack", arrays, 0 if arrays and arrays[0].ndim == 1 else 1, dtype)


def dstack(tup: Any, dtype: Any = None) -> Array:
    """Arrays behind each other, along axis 2."""
    return join_arrays("dstack", [_raised_to_3(a) for a in _joined("dstack", _stackable("dstack", tup))], 2, dtype)


def column_stack(tup: Any) -> Array:
    """Arrays side by side; vectors are columns."""
    arrays = _joined("column_stack", _stackable("column_stack", tup))
    return join_arrays(
        "column_stack", [a if a.ndim >= 2 else reshape_p.bind(a, new_sizes=(a.size, 1)) for a in arrays], 1, None
    )


def block(arrays: Any) -> Array:
    """An array assembled from nested lists of blocks: the innermost lists join along the last axis, the next along the one before, ...

    Raises ValueError for tuples, empty lists and lists of mixed depths.
    """

    def depth(x: Any) -> int:
        if isinstance(x, tuple):
            raise ValueError(f"block takes nested lists, not tuples, at {user_line()}")
        if not isinstance(x, list):
            return 0
        if not x:
            raise ValueError(f"block takes no empty lists, at {user_line()}")
        depths = {depth(item) for item in x}
        if len(depths) > 1:
            raise ValueError(f"block: lists of different depths, at {user_line()}")
        return depths.pop() + 1

    def leaves(x: Any) -> list[Array]:
        return [leaf for item in x for leaf in leaves(item)] if isinstance(x, list) else [array_like(x, "block")]

    levels = depth(arrays)
    rank = max(levels, *(x.ndim for x in leaves(arrays)))

    def joined(x: Any, level: int) -> Array:
        if level == levels:
            x = array_like(x, "block")
            return x if x.ndim >= rank else reshape_p.bind(x, new_sizes=(1,) * (rank - x.ndim) + tuple(x.shape))
        return join_arrays("block", [joined(item, level + 1) for item in x], rank - levels + level, None)

    return joined(arrays, 0)


def append(arr: Any, values: Any, axis: int | None = None) -> Array:
    """`arr` followed by `values` along `axis`; both flattened if it is None."""
    return join_arrays("append", [array_like(arr, "append"), array_like(values, "append")], axis, None)


# ---- splitting --------------------------------------------------------------------------------------------------


def _split(name: str, ary: Any, indices_or_sections: Any, axis: int, equal: bool) -> list[Array]:
    x = array_like(ary, name)
    axis = canonical_axis(axis, x.ndim)
    n = x.shape[axis]
    if isinstance(indices_or_sections, (tuple, list)) or getattr(indices_or_sections, "ndim", 0) > 0:
        bounds = [0, *(operator.index(i) for i in indices_or_sections), n]
        if any(a > b for a, b in pairwise(bounds)):
            raise ValueError(f"{name}: indices must increase from 0 to {n}, got {bounds[1:-1]} at {user_line()}")
    else:
        count = operator.index(indices_or_sections)
        if count < 1:
            raise ValueError(f"{name}: the number of sections must be positive, got {count} at {user_line()}")
        quotient, rest = divmod(n, count)
        if rest and equal:
            raise ValueError(
                f"{name}: {n} elements along axis {axis} do not divide equally into {count}; the rest is {rest}, at {user_line()}"
            )
        bounds = [i * quotient + min(i, rest) for i in range(count + 1)]
    return [slice_in_dim(x, a, b, 1, axis) for a, b in pairwise(bounds)]


def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Array]:
    """`ary` cut along `axis` into equal sections, or at the given indices. Raises ValueError if it does not divide.

    >>> [part.tolist() for part in split(array([1, 2, 3, 4]), [1, 3])]
    [[1], [2, 3], [4]]
    """
    return _split("split", ary, indices_or_sections, axis, equal=True)


def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Array]:
    """`ary` cut along `axis` into sections as equal as can be, the longer ones first, or at the given indices."""
    return _split("array_split", ary, indices_or_sections, axis, equal=False)


def vsplit(ary: Any, indices_or_sections: Any) -> list[Array]:
    """`ary` split along axis 0. See `split`."""
    return _split("vsplit", ary, indices_or_sections, 0, equal=True)


def hsplit(ary: Any, indices_or_sections: Any) -> list[Array]:
    """`ary` split along axis 1 (a vector along its only axis). See `split`."""
    x = array_like(ary, "hsplit")
    return _split("hsplit", x, indices_or_sections, 1 if x.ndim > 1 else 0, equal=True)


def dsplit(ary: Any, indices_or_sections: Any) -> list[Array]:
    """`ary` split along axis 2. See `split`."""
    return _split("dsplit", ary, indices_or_sections, 2, equal=True)


def unstack(x: Any, /, *, axis: int = 0) -> tuple[Array, ...]:
    """The slices of `x` along `axis`, without that axis."""
    x = array_like(x, "unstack")
    i = canonical_axis(axis, x.ndim)
    sizes = (*x.shape[:i], *x.shape[i + 1 :])
    return tuple(reshape_p.bind(slice_in_dim(x, j, j + 1, 1, i), new_sizes=sizes) for j in range(x.shape[i]))


# ---- repeating and moving ---------------------------------------------------------------------------------------


def tile(A: Any, reps: Any) -> Array:
    """`A` repeated as a whole, `reps[i]` times along axis i.

    >>> tile(array([1, 2]), 2)
    Array([1, 2, 1, 2], dtype=int32)
    """
    x = array_like(A, "tile")
    counts = canonical_shape(reps, "reps")
    rank = max(x.ndim, len(counts))
    counts = (1,) * (rank - len(counts)) + counts
    sizes = (1,) * (rank - x.ndim) + tuple(x.shape)
    if all(c == 1 for c in counts):
        return x if x.ndim == rank else reshape_p.bind(x, new_sizes=sizes)
    # Each axis of length n becomes two, the first new, of length `count`.
    doubled = tuple(n for pair in zip(counts, sizes) for n in pair)
    spread = broadcast_in_dim_p.bind(
        reshape_p.bind(x, new_sizes=sizes) if x.ndim < rank else x,
        shape=doubled,
        broadcast_dimensions=tuple(range(1, 2 * rank, 2)),
    )
    return reshape_p.bind(spread, new_sizes=tuple(c * n for c, n in zip(counts, sizes)))


def repeat(
    a: Any, repeats: Any, axis: int | None = None, *, total_repeat_length: int | None = None, out_sharding: Any = None
) -> Array:
    """Each element of `a` along `axis` (flattened if None) repeated `repeats` times, a number or one for each element.

    With `total_repeat_length` the result has that length: cut off, or the last element goes on. It is needed where `repeats` is traced.

    >>> repeat(array([1, 2]), array([1, 3]))
    Array([1, 2, 2, 2], dtype=int32)
    """
    if out_sharding is not None:
        no_sharding("repeat", out_sharding)
    x = array_like(a, "repeat")
    if axis is None:
        x, axis = ravel(x), 0
    x = _raised_to_1(x)
    axis = canonical_axis(axis, x.ndim)
    n = x.shape[axis]
    counts = array_like(repeats, "repeat")
    if not dtypes.is_integer(counts.dtype):
        raise TypeError(f"repeat: repeats must be integers, got {dtypes.name(counts.dtype)} at {user_line()}")
    if counts.ndim > 1 or (counts.ndim == 1 and counts.shape[0] not in (1, n)):
        raise ValueError(
            f"repeat: repeats of shape {counts.shape} do not fit axis {axis} of shape {x.shape}, at {user_line()}"
        )
    if total_repeat_length is not None:
        total_repeat_length = count(total_repeat_length, "repeat: total_repeat_length")
    known = counts.concrete() if isinstance(counts, Tracer) else counts
    if known is None:
        if total_repeat_length is None:
            raise _unknown_repeats(counts)
        return _repeat_traced(x, broadcast_to(counts, (n,)), axis, total_repeat_length)
    times = np.maximum(np.asarray(known), 0)
    if times.size == 1 and total_repeat_length is None:
        (often,) = canonical_shape(int(np.asarray(known).reshape(())), "repeats")
        shape = tuple(x.shape)
        spread = broadcast_in_dim_p.bind(
            x,
            shape=(*shape[: axis + 1], often, *shape[axis + 1 :]),
            broadcast_dimensions=tuple(i + (i > axis) for i in range(x.ndim)),
        )
        return reshape_p.bind(spread, new_sizes=(*shape[:axis], n * often, *shape[axis + 1 :]))
    chosen = np.repeat(np.arange(n), times.reshape(-1) if times.size == n else np.broadcast_to(times, (n,)))
    if total_repeat_length is not None:
        short = total_repeat_length - len(chosen)
        chosen = chosen[:total_repeat_length] if short <= 0 else np.concatenate([chosen, np.full(short, n - 1)])
    return take_slice(x, chosen, axis)


def _unknown_repeats(counts: Array) -> Exception:
    return ConcretizationTypeError(
        counts, "`repeat` makes an array whose length depends on `repeats`: give `total_repeat_length`."
    )


def _repeat_traced(x: Array, counts: Array, axis: int, length: int) -> Array:
    # Place j of the result holds element i where i is the number of elements whose repetitions end at or before j.
    ends = cumsum(counts, 0)
    places = broadcast_in_dim_p.bind(iota(ends.dtype, length), shape=(length, ends.shape[0]), broadcast_dimensions=(0,))
    return take(x, _number_true(ge_p.bind(places, broadcast_to(ends, places.shape))), axis=axis, mode="clip")


def _number_true(table: Array) -> Array:
    """How many are true in each row."""
    return reduce_sum_p.bind(convert(table, dtypes.int32), axes=(1,))


def take_slice(x: Array, chosen: Any, axis: int) -> Array:
    """The elements numbered `chosen` (a NumPy array) along `axis`."""
    return take(x, concrete(np.asarray(chosen, np.int32)), axis=axis, mode="clip")


def roll(a: Any, shift: Any, axis: int | Sequence[int] | None = None) -> Array:
    """`a` with elements moved `shift` places along `axis`, those pushed off the end coming back at the start.

    Without `axis` the flattened array is rolled, and keeps its shape. Several shifts and axes are applied together.

    >>> roll(array([1, 2, 3]), 1)
    Array([3, 1, 2], dtype=int32)
    """
    x = array_like(a, "roll")
    if getattr(shift, "ndim", 0) > 1:
        raise ValueError(f"roll: shifts must be scalars or in a vector, got shape {shift.shape}, at {user_line()}")
    if axis is None:
        shifts = (
            unstack(shift) if getattr(shift, "ndim", 0) == 1 else shift if isinstance(shift, (tuple, list)) else [shift]
        )
        flat = ravel(x)
        for s in shifts:
            flat = _roll(flat, s, 0)
        return reshape_p.bind(flat, new_sizes=tuple(x.shape))
    axes = list(axis) if isinstance(axis, (tuple, list)) else [axis]
    axes = [canonical_axis(i, x.ndim) for i in axes]
    if not axes:
        return x
    shifts = (
        list(unstack(shift))
        if getattr(shift, "ndim", 0) == 1
        else list(shift)
        if isinstance(shift, (tuple, list))
        else [shift]
    )
    if len(shifts) == 1 != len(axes):
        shifts = shifts * len(axes)
    elif len(axes) == 1 != len(shifts):
        axes = axes * len(shifts)
    if len(shifts) != len(axes):
        raise ValueError(f"roll: {len(shifts)} shifts for {len(axes)} axes, at {user_line()}")
    for s, i in zip(shifts, axes):
        x = _roll(x, s, i)
    return x


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
    if places == 0:
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


# ---- choosing ---------------------------------------------------------------------------------------------------


def where(condition: Any, x: Any = None, y: Any = None, /, *, size: Any = None, fill_value: Any = None) -> Any:
    """Elements of `x` where `condition` is true and of `y` elsewhere, broadcast; with one argument, `nonzero(condition)`.

    The derivative flows only to the chosen elements. Raises ValueError for shapes that do not broadcast.

    >>> where(array([True, False]), 1.0, array([2.0, 3.0]))
    Array([1., 3.], dtype=float32)
    """
    if x is None and y is None:
        return nonzero(condition, size=size, fill_value=fill_value)
    if size is not None or fill_value is not None:
        raise ValueError("where: size and fill_value go with one argument only, not with three")
    c = truth(condition, "where")
    if isinstance(x, Array):
        if not isinstance(y, Array):
            y = y if (scalar := scalar_like(y, x)) is None else scalar
    elif isinstance(y, Array):
        x = x if (scalar := scalar_like(x, y)) is None else scalar
    if not (isinstance(x, Array) and isinstance(y, Array) and x.dtype is y.dtype and x.weak_type is y.weak_type):
        x, y = promote("where", x, y)
    shape, shape_x, shape_y = c.shape, x.shape, y.shape
    if shape_x == shape == shape_y:
        return select_n_p.bind(c, y, x)
    if shape_x in ((), shape) and shape_y in ((), shape):
        return select_n_p.bind(c, lax_shape.broadcast_to(y, shape), lax_shape.broadcast_to(x, shape))
    return lax_select(c, x, y)


def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Array:
    """Of each place, the element of the choice whose condition is the first that is true, or of `default`."""
    if len(condlist) != len(choicelist):
        raise ValueError(
            f"select: as many choices as conditions are needed, got {len(condlist)} conditions and {len(choicelist)} choices"
        )
    if len(condlist) == 0:
        raise ValueError("select: the lists must not be empty")
    *choices, out = promote("select", *choicelist, default)
    for condition, choice in zip(reversed(condlist), reversed(choices)):
        out = where(condition, choice, out)
    return out


def piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **kw: Any) -> Array:
    """A function given by cases: for each condition the value of its function (or constant); one more is for the rest, which else is 0.

    Where several conditions hold, the last counts. The result has the dtype of `x`. Functions get elements, and each element reaches the
    value and the derivative of its own function only. Raises ValueError for another number of functions than there are cases.

    >>> x = array([-4.0, 0.0, 9.0])
    >>> piecewise(x, [x < 0, x > 0], [lambda v: (-v) ** 0.5, lambda v: v**0.5, 0.0])
    Array([2., 0., 3.], dtype=float32)
    """
    x = array_like(x, "piecewise")
    if isinstance(condlist, (Array, np.ndarray)):
        condlist = list(unstack(condlist)) if condlist.ndim else [condlist]
    conditions = [truth(c if not isinstance(c, (list, tuple)) else array(c), "piecewise") for c in condlist]
    functions = list(funclist)
    if len(functions) == len(conditions):
        functions.append(0)
    elif len(functions) != len(conditions) + 1:
        raise ValueError(
            f"piecewise: {len(conditions)} condition(s) take {len(conditions)} or {len(conditions) + 1} functions, got {len(functions)}"
        )
    functions = [functions[-1], *functions[:-1]]
    case = array(0, np.int32)
    for i, condition in enumerate(conditions, 1):
        case = where(condition, like(i, case), case)
    shape = core_broadcast_shapes(x.shape, case.shape)
    x, case = lax_shape.broadcast_to(x, shape), lax_shape.broadcast_to(case, shape)
    out = zeros(shape, x.dtype)
    if any(map(callable, functions)):
        from pullback.control.branches import elementwise_switch

        given = [(partial(f, *args, **kw) if args or kw else f) if callable(f) else None for f in functions]
        out = elementwise_switch(case, given, x)
    for i, value in enumerate(functions):
        if not callable(value):
            out = where(case == i, convert(array_like(value, "piecewise"), x.dtype), out)
    return out


# ---- inserting and deleting -------------------------------------------------------------------------------------


def _concrete_indices(name: str, obj: Any) -> Any:
    obj = array_like(obj, name)
    known = obj.concrete() if isinstance(obj, Tracer) else obj
    if known is None:
        raise ConcretizationTypeError(obj, f"`{name}` makes an array whose shape or order depends on its indices.")
    return np.asarray(known)


def insert(arr: Any, obj: Any, values: Any, axis: int | None = None) -> Array:
    """`arr` with `values` inserted before the indices `obj` (an integer, integers or a slice) along `axis`; flattened if it is None.

    Indices are clipped to the array; they may be traced. Raises ValueError for indices that are not integers.

    >>> insert(array([1, 2, 3]), 1, 9)
    Array([1, 9, 2, 3], dtype=int32)
    """
    x = array_like(arr, "insert")
    new = convert(array_like(values, "insert"), x.dtype, x.weak_type)
    if axis is None:
        x, axis = ravel(x), 0
    axis = canonical_axis(axis, x.ndim)
    n = x.shape[axis]
    traced = isinstance(obj, Tracer) and obj.concrete() is None
    at: Any = np.arange(n)[obj] if isinstance(obj, slice) else obj if traced else _concrete_indices("insert", obj)
    if not dtypes.is_integer(at.dtype):
        raise ValueError(f"insert: indices must be integers, got {at.dtype} at {user_line()}")
    single = at.ndim == 0
    new = _raised_to_1(new) if new.ndim == 0 else new
    if single:
        # As NumPy has it: `values` for one index has the inserted axis first.
        new = move_axis(
            new if new.ndim >= x.ndim else reshape_p.bind(new, new_sizes=(1,) * (x.ndim - new.ndim) + tuple(new.shape)),
            0,
            axis,
        )
    elif new.ndim < x.ndim:
        new = reshape_p.bind(new, new_sizes=(1,) * (x.ndim - new.ndim) + tuple(new.shape))
    count = new.shape[axis] if at.size == 1 else at.size
    new = broadcast_to(new, tuple(count if i == axis else m for i, m in enumerate(x.shape)))
    both = lax_concatenate([x, new], axis)
    # Of x and the new elements in a row, the stable order of their places: a new element goes before the one it is inserted at.
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
    """`arr` without the elements at `obj` (an integer, integers, booleans or a slice) along `axis`; flattened if it is None.

    Raises IndexError or ValueError for indices out of range.

    >>> delete(array([1, 2, 3]), 1)
    Array([1, 3], dtype=int32)
    """
    x = array_like(arr, "delete")
    if axis is None:
        x, axis = ravel(x), 0
    axis = canonical_axis(axis, x.ndim)
    n = x.shape[axis]
    if not isinstance(obj, slice):
        given = array_like(obj, "delete")
        if assume_unique_indices and isinstance(given, Tracer) and given.concrete() is None:
            return _delete_traced(x, given, axis)
        obj = _concrete_indices("delete", given)
        if obj.dtype.kind == "b":
            if obj.shape != (n,):
                raise ValueError(f"delete: a boolean index must have shape ({n},), got {obj.shape} at {user_line()}")
        elif obj.dtype.kind not in "iu":
            raise ValueError(f"delete: indices must be integers or booleans, got {obj.dtype} at {user_line()}")
        elif obj.size and not (-n <= obj.min() and obj.max() < n):
            error = IndexError if obj.ndim else ValueError
            raise error(
                f"delete: index {obj.tolist()} is out of bounds for axis {axis} with size {n}, at {user_line()}"
            )
    kept = np.ones(n, bool)
    kept[obj] = False
    return take_slice(x, np.flatnonzero(kept), axis)


def _delete_traced(x: Array, at: Array, axis: int) -> Array:
    """`x` without as many elements as there are indices, which are distinct but not known."""
    n = x.shape[axis]
    at = ravel(at)
    at = sort(where(at < 0, at + n, at), dimension=0)
    kept = iota(at.dtype, n - at.shape[0])
    # The j-th element kept is preceded by those deleted: the i-th (sorted) one is if at[i] - i <= j.
    before = ge_p.bind(*broadcast_arrays(expand_dims(kept, 1), at - iota(at.dtype, at.shape[0])))
    return take(x, kept + convert(_number_true(before), kept.dtype), axis=axis, mode="clip")


def trim_zeros(filt: Any, trim: str = "fb", axis: int | Sequence[int] | None = None) -> Array:
    """`filt` without the zeros at its front ("f") and back ("b"), along `axis` (all by default). The values must be concrete."""
    x = array_like(filt, "trim_zeros")
    present = np.nonzero(_concrete_indices("trim_zeros", x))
    for i in canonical_axes(axis, x.ndim):
        places, n = present[i], x.shape[i]
        start, stop = (int(places.min()), int(places.max()) + 1) if places.size else (n, n)
        x = slice_in_dim(
            x,
            start if "f" in trim.lower() else 0,
            stop if "b" in trim.lower() and places.size else (start if not places.size else n),
            1,
            i,
        )
    return x


# ---- bits -------------------------------------------------------------------------------------------------------


def _bit_order(bitorder: str) -> np.ndarray[Any, Any]:
    if bitorder not in ("big", "little"):
        raise ValueError(f"bitorder must be 'big' or 'little', got {bitorder!r}")
    places = np.arange(8, dtype=np.uint8)
    return places if bitorder == "little" else places[::-1]


def packbits(a: Any, axis: int | None = None, bitorder: str = "big") -> Array:
    """Truth values (non-zero is 1) packed into bytes of 8 along `axis` (flattened if None), padded with zeros at the end."""
    x = array_like(a, "packbits")
    if dtypes.is_inexact(x.dtype):
        raise TypeError(f"packbits takes integers or booleans, got {dtypes.name(x.dtype)} at {user_line()}")
    places = _bit_order(bitorder)
    if axis is None:
        x, axis = ravel(x), 0
    axis = canonical_axis(axis, x.ndim)
    bits = convert(move_axis(truth(x, "packbits"), axis, x.ndim - 1), dtypes.uint8)
    rest = -bits.shape[-1] % 8
    if rest:
        bits = lax_pad(bits, like(0, bits), ((0, 0, 0),) * (bits.ndim - 1) + ((0, rest, 0),))
    bits = reshape_p.bind(bits, new_sizes=(*bits.shape[:-1], bits.shape[-1] // 8, 8))
    packed = reduce_sum_p.bind(bits << concrete(places), axes=(bits.ndim - 1,))
    return move_axis(packed, x.ndim - 1, axis)


def unpackbits(a: Any, axis: int | None = None, count: int | None = None, bitorder: str = "big") -> Array:
    """The bits of bytes along `axis` (flattened if None), as uint8 zeros and ones; the first `count`, or all but the last if negative."""
    x = array_like(a, "unpackbits")
    if x.dtype != dtypes.uint8:
        raise TypeError(f"unpackbits takes bytes (uint8), got {dtypes.name(x.dtype)} at {user_line()}")
    places = _bit_order(bitorder)
    if axis is None:
        x, axis = ravel(x), 0
    axis = canonical_axis(axis, x.ndim)
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


__all__ = [
    "append",
    "array_split",
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "block",
    "broadcast_arrays",
    "broadcast_shapes",
    "broadcast_to",
    "column_stack",
    "concat",
    "concatenate",
    "delete",
    "dsplit",
    "dstack",
    "expand_dims",
    "flip",
    "fliplr",
    "flipud",
    "hsplit",
    "hstack",
    "insert",
    "matrix_transpose",
    "moveaxis",
    "packbits",
    "permute_dims",
    "piecewise",
    "ravel",
    "repeat",
    "reshape",
    "resize",
    "roll",
    "rollaxis",
    "rot90",
    "select",
    "split",
    "squeeze",
    "stack",
    "swapaxes",
    "tile",
    "transpose",
    "trim_zeros",
    "unpackbits",
    "unstack",
    "vsplit",
    "vstack",
    "where",
]
