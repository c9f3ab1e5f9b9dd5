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
    """Arrays (or the rows of one) joined along `axis`; flattened first if it is None.

    The arrays have one number of axes, and one length along each but `axis`, whose lengths add up.
    Dtypes are promoted together, unless `dtype` is given. Raises TypeError if shapes differ on
    another axis and for what is no sequence, ValueError for an empty sequence and for scalars.

    >>> import pullback.numpy as jnp
    >>> jnp.concatenate([jnp.array([[1, 2]]), jnp.array([[3.0, 4.0]])])
    Array([[1., 2.],
           [3., 4.]], dtype=float32)
    >>> jnp.concatenate([jnp.array([[1, 2]]), jnp.array([[3, 4]])], axis=1)
    Array([[1, 2, 3, 4]], dtype=int32)
    """
    return join_arrays("concatenate", _joined("concatenate", arrays), axis, dtype)


def concat(arrays: Any, /, *, axis: int | None = 0) -> Array:
    """Arrays joined along `axis`: `concatenate` by the name of the array API standard.

    Raises what `concatenate` raises.

    >>> import pullback.numpy as jnp
    >>> jnp.concat([jnp.array([1, 2]), jnp.array([3])])
    Array([1, 2, 3], dtype=int32)
    """
    return concatenate(arrays, axis)


@planned
def stack(arrays: Any, axis: int = 0, out: None = None, dtype: Any = None) -> Array:
    """Arrays of one shape along a new `axis` of the result, whose length is their number.

    Dtypes are promoted together, unless `dtype` is given. Raises ValueError if the shapes differ
    and for an empty sequence; `out` must be None.

    >>> import pullback.numpy as jnp
    >>> jnp.stack([jnp.array([1, 2]), jnp.array([3, 4])], axis=1)
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
    """Arrays on top of each other, along axis 0; vectors of shape (n,) are rows, of shape (1, n).

    Dtypes are promoted together, unless `dtype` is given. Raises TypeError if shapes differ on
    another axis, ValueError for an empty sequence.

    >>> import pullback.numpy as jnp
    >>> jnp.vstack([jnp.array([1, 2]), jnp.array([[3, 4], [5, 6]])])
    Array([[1, 2],
           [3, 4],
           [5, 6]], dtype=int32)
    """
    return join_arrays("vstack", [raised_to(a, 2) for a in _joined("vstack", _stackable("vstack", tup))], 0, dtype)


@planned
def hstack(tup: Any, dtype: Any = None) -> Array:
    """Arrays side by side, along axis 1; vectors and scalars end to end, along axis 0.

    Dtypes are promoted together, unless `dtype` is given. Raises TypeError if shapes differ on
    another axis, ValueError for an empty sequence.

    >>> import pullback.numpy as jnp
    >>> jnp.hstack([jnp.array([[1], [2]]), jnp.array([[3, 4], [5, 6]])])
    Array([[1, 3, 4],
           [2, 5, 6]], dtype=int32)
    >>> jnp.hstack([jnp.array([1, 2]), jnp.array(3)])
    Array([1, 2, 3], dtype=int32)
    """
    arrays = [raised_to(a, 1) for a in _joined("hstack", _stackable("hstack", tup))]
    return join_arrays("hstack", arrays, 0 if arrays and arrays[0].ndim == 1 else 1, dtype)


@planned
def dstack(tup: Any, dtype: Any = None) -> Array:
    """Arrays behind each other, along axis 2; of shape (n,) they count as (1, n, 1), of shape
    (n, m) as (n, m, 1).

    Dtypes are promoted together, unless `dtype` is given. Raises TypeError if shapes differ on
    another axis, ValueError for an empty sequence.

    >>> import pullback.numpy as jnp
    >>> red, green = jnp.zeros((4, 5)), jnp.ones((4, 5))
    >>> jnp.dstack([red, green]).shape
    (4, 5, 2)
    """
    return join_arrays("dstack", [raised_to_3(a) for a in _joined("dstack", _stackable("dstack", tup))], 2, dtype)


def column_stack(tup: Any) -> Array:
    """Arrays side by side, along axis 1; vectors are columns, of shape (n, 1).

    Dtypes are promoted together. Raises TypeError if the numbers of rows differ, ValueError for an
    empty sequence.

    >>> import pullback.numpy as jnp
    >>> jnp.column_stack([jnp.array([1, 2]), jnp.array([[3, 4], [5, 6]])])
    Array([[1, 3, 4],
           [2, 5, 6]], dtype=int32)
    """
    arrays = _joined("column_stack", _stackable("column_stack", tup))
    return join_arrays(
        "column_stack", [a if a.ndim >= 2 else reshape_p.bind(a, new_sizes=(a.size, 1)) for a in arrays], 1, None
    )


def block(arrays: Any) -> Array:
    """An array assembled from nested lists of blocks: the innermost lists join along the last axis,
    the next along the one before, ...

    Blocks of fewer axes get new ones in front; dtypes are promoted together. Raises ValueError for
    tuples, empty lists and lists of mixed depths, TypeError for shapes that do not fit.

    >>> import pullback.numpy as jnp
    >>> a, b = jnp.eye(2), jnp.array([[7.0], [8.0]])
    >>> jnp.block([[a, b], [b.T, jnp.zeros((1, 1))]])
    Array([[1., 0., 7.],
           [0., 1., 8.],
           [7., 8., 0.]], dtype=float32)
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
    """`arr` followed by `values` along `axis`; both flattened if it is None.

    Dtypes are promoted together; neither array is changed. Raises TypeError if shapes differ on
    another axis.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([[1, 2], [3, 4]])
    >>> jnp.append(x, jnp.array([[5, 6]]), axis=0)
    Array([[1, 2],
           [3, 4],
           [5, 6]], dtype=int32)
    >>> jnp.append(x, jnp.array([[5, 6]]))
    Array([1, 2, 3, 4, 5, 6], dtype=int32)
    """
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
    """The parts of `ary` along `axis`: a number of equal ones, or those between the given indices.

    Indices 2 and 5 give the parts `[:2]`, `[2:5]` and `[5:]`. The result is a list. Raises
    ValueError if the length does not divide, and for indices that do not increase from 0 to the
    length.

    >>> import pullback.numpy as jnp
    >>> [part.tolist() for part in jnp.split(jnp.arange(6), 3)]
    [[0, 1], [2, 3], [4, 5]]
    >>> [part.tolist() for part in jnp.split(jnp.arange(6), [1, 3])]
    [[0], [1, 2], [3, 4, 5]]
    """
    return _split("split", ary, indices_or_sections, axis, equal=True)


@planned
def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Array]:
    """The parts of `ary` along `axis`, as `split`, but of a number of parts that need not divide
    the length: the first ones are then longer by one.

    Raises ValueError for indices that do not increase from 0 to the length, and for fewer than one
    part.

    >>> import pullback.numpy as jnp
    >>> [part.tolist() for part in jnp.array_split(jnp.arange(5), 3)]
    [[0, 1], [2, 3], [4]]
    """
    return _split("array_split", ary, indices_or_sections, axis, equal=False)


def vsplit(ary: Any, indices_or_sections: Any) -> list[Array]:
    """The parts of `ary` along axis 0, a list. See `split` for the arguments and errors.

    >>> import pullback.numpy as jnp
    >>> top, bottom = jnp.vsplit(jnp.array([[1, 2], [3, 4]]), 2)
    >>> bottom
    Array([[3, 4]], dtype=int32)
    """
    return _split("vsplit", ary, indices_or_sections, 0, equal=True)


def hsplit(ary: Any, indices_or_sections: Any) -> list[Array]:
    """The parts of `ary` along axis 1 (of a vector, along its only axis), a list. See `split` for
    the arguments and errors.

    >>> import pullback.numpy as jnp
    >>> left, right = jnp.hsplit(jnp.array([[1, 2, 3], [4, 5, 6]]), [1])
    >>> right
    Array([[2, 3],
           [5, 6]], dtype=int32)
    """
    x = array_like(ary, "hsplit")
    return _split("hsplit", x, indices_or_sections, 1 if x.ndim > 1 else 0, equal=True)


def dsplit(ary: Any, indices_or_sections: Any) -> list[Array]:
    """The parts of `ary` along axis 2, a list. See `split` for the arguments and errors; ValueError
    for fewer than three axes.

    >>> import pullback.numpy as jnp
    >>> [part.shape for part in jnp.dsplit(jnp.zeros((2, 3, 4)), 2)]
    [(2, 3, 2), (2, 3, 2)]
    """
    return _split("dsplit", ary, indices_or_sections, 2, equal=True)


def unstack(x: Any, /, *, axis: int = 0) -> tuple[Array, ...]:
    """The slices of `x` along `axis`, without that axis: a tuple of as many arrays as the axis is
    long.

    It undoes `stack`, and is the array API standard's. Raises ValueError for scalars and for an
    axis that is out of bounds.

    >>> import pullback.numpy as jnp
    >>> jnp.unstack(jnp.array([[1, 2], [3, 4]]), axis=1)
    (Array([1, 3], dtype=int32), Array([2, 4], dtype=int32))
    """
    x = array_like(x, "unstack")
    i = canonical_axis(axis, x.ndim)
    sizes = (*x.shape[:i], *x.shape[i + 1 :])
    return tuple(reshape_p.bind(slice_in_dim(x, j, j + 1, 1, i), new_sizes=sizes) for j in range(x.shape[i]))


__all__ = ["append", "array_split", "block", "column_stack", "concat", "concatenate", "dsplit", "dstack", "hsplit"]
__all__ += ["hstack", "split", "stack", "unstack", "vsplit", "vstack"]
