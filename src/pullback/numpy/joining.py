"""Joining arrays into one, and splitting one into several."""

from __future__ import annotations

import operator
from itertools import pairwise
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array
from pullback.core.errors import user_line
from pullback.core.types import canonical_axis, refuse_masked
from pullback.lax.arrangement import concatenate as lax_concatenate
from pullback.lax.arrangement import concatenate_p, slice_in_dim
from pullback.lax.shape import convert, reshape_p
from pullback.numpy.conversion import array
from pullback.numpy.manipulation import raised_to_3, ravel
from pullback.numpy.planned import planned
from pullback.numpy.promotion import array_like, here, promote, raised_to

# ---- joining -------------------------------------------------------------------------------------


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
    # The stacks along fixed axes take what `array` takes, such as the one-tuples that pullbacks
    # return.
    return arrays if isinstance(arrays, (Array, np.ndarray)) or not hasattr(arrays, "__iter__") else [
        a if isinstance(a, Array) else array(a) if isinstance(a, (list, tuple)) else array_like(a, name) for a in arrays
    ]  # fmt: skip


def join_arrays(name: str, arrays: list[Array], axis: int | None, dtype: Any) -> Array:
    if not arrays:
        raise here(ValueError, f"{name} needs at least one array")
    if axis is None:
        arrays = [ravel(a) for a in arrays]
        axis = 0
    first = arrays[0]
    if first.ndim == 0:
        raise here(ValueError, f"{name}: zero-dimensional arrays cannot be concatenated")
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


@planned
def concatenate(arrays: Any, axis: int | None = 0, dtype: Any = None) -> Array:
    """Arrays (or the rows of one) joined along `axis`; flattened first if it is None. Dtypes are
    promoted unless given.

    Raises TypeError if shapes differ on another axis.

    >>> concatenate([array([1, 2]), array([3.0])])
    Array([1., 2., 3.], dtype=float32)
    """
    return join_arrays("concatenate", _joined("concatenate", arrays), axis, dtype)


def concat(arrays: Any, /, *, axis: int | None = 0) -> Array:
    """Arrays joined along `axis`. See `concatenate`."""
    return concatenate(arrays, axis)


@planned
def stack(arrays: Any, axis: int = 0, out: None = None, dtype: Any = None) -> Array:
    """Arrays of one shape along a new `axis`. Raises ValueError if the shapes differ.

    >>> stack([array([1, 2]), array([3, 4])], axis=1)
    Array([[1, 3],
           [2, 4]], dtype=int32)
    """
    if out is not None:
        raise NotImplementedError("stack: Arrays are immutable, so there is no `out`")
    rows = _joined("stack", arrays)
    if not rows:
        raise here(ValueError, "stack needs at least one array")
    shape = tuple(rows[0].shape)
    for r in rows:
        if r.shape != shape:
            raise ValueError(
                f"stack: all arrays must have one shape, got {', '.join(str(r.shape) for r in rows)} at {user_line()}"
            )
    i = canonical_axis(axis, len(shape) + 1)
    raised = (*shape[:i], 1, *shape[i:])
    return join_arrays("stack", [reshape_p.bind(r, new_sizes=raised) for r in rows], i, dtype)


@planned
def vstack(tup: Any, dtype: Any = None) -> Array:
    """Arrays on top of each other, along axis 0; vectors are rows.

    >>> vstack([array([1, 2]), array([3, 4])])
    Array([[1, 2],
           [3, 4]], dtype=int32)
    """
    return join_arrays("vstack", [raised_to(a, 2) for a in _joined("vstack", _stackable("vstack", tup))], 0, dtype)


@planned
def hstack(tup: Any, dtype: Any = None) -> Array:
    """Arrays side by side, along axis 1; vectors end to end."""
    arrays = [raised_to(a, 1) for a in _joined("hstack", _stackable("hstack", tup))]
    return join_arrays("hstack", arrays, 0 if arrays and arrays[0].ndim == 1 else 1, dtype)


@planned
def dstack(tup: Any, dtype: Any = None) -> Array:
    """Arrays behind each other, along axis 2."""
    return join_arrays("dstack", [raised_to_3(a) for a in _joined("dstack", _stackable("dstack", tup))], 2, dtype)


def column_stack(tup: Any) -> Array:
    """Arrays side by side; vectors are columns."""
    arrays = _joined("column_stack", _stackable("column_stack", tup))
    return join_arrays(
        "column_stack", [a if a.ndim >= 2 else reshape_p.bind(a, new_sizes=(a.size, 1)) for a in arrays], 1, None
    )


def block(arrays: Any) -> Array:
    """An array assembled from nested lists of blocks: the innermost lists join along the last axis,
    the next along the one before, ...

    Raises ValueError for tuples, empty lists and lists of mixed depths.
    """

    def depth(x: Any) -> int:
        if isinstance(x, tuple):
            raise here(ValueError, "block takes nested lists, not tuples")
        if not isinstance(x, list):
            return 0
        if not x:
            raise here(ValueError, "block takes no empty lists")
        depths = {depth(item) for item in x}
        if len(depths) > 1:
            raise here(ValueError, "block: lists of different depths")
        return depths.pop() + 1

    def leaves(x: Any) -> list[Array]:
        return [leaf for item in x for leaf in leaves(item)] if isinstance(x, list) else [array_like(x, "block")]

    levels = depth(arrays)
    rank = max(levels, *(x.ndim for x in leaves(arrays)))

    def joined(x: Any, level: int) -> Array:
        if level == levels:
            return raised_to(array_like(x, "block"), rank)
        return join_arrays("block", [joined(item, level + 1) for item in x], rank - levels + level, None)

    return joined(arrays, 0)


def append(arr: Any, values: Any, axis: int | None = None) -> Array:
    """`arr` followed by `values` along `axis`; both flattened if it is None."""
    return join_arrays("append", [array_like(arr, "append"), array_like(values, "append")], axis, None)


# ---- splitting -----------------------------------------------------------------------------------


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
            problem = f"{name}: {n} elements along axis {axis} do not divide equally into {count}; the rest is {rest}"
            raise here(ValueError, problem)
        bounds = [i * quotient + min(i, rest) for i in range(count + 1)]
    return [slice_in_dim(x, a, b, 1, axis) for a, b in pairwise(bounds)]


@planned
def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Array]:
    """`ary` cut along `axis` into equal sections, or at the given indices. Raises ValueError if it
    does not divide.

    >>> [part.tolist() for part in split(array([1, 2, 3, 4]), [1, 3])]
    [[1], [2, 3], [4]]
    """
    return _split("split", ary, indices_or_sections, axis, equal=True)


@planned
def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Array]:
    """`ary` cut along `axis` into sections as equal as can be, the longer ones first, or at the
    given indices."""
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


__all__ = ["append", "array_split", "block", "column_stack", "concat", "concatenate", "dsplit", "dstack", "hsplit"]
__all__ += ["hstack", "split", "stack", "unstack", "vsplit", "vstack"]
