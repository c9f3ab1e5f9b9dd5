"""Elements chosen by position or by condition: `take`, `put`, `nonzero`, `where`, ..."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, ConcreteArray, as_array, concrete
from pullback.core.dimensions import index, max_dim
from pullback.core.errors import ConcretizationTypeError
from pullback.core.trace import EVAL, current, known_value
from pullback.core.types import broadcast_shapes, canonical_axis, integer, is_sequence, refuse_keys
from pullback.lax import indexing as lax_indexing
from pullback.lax.arrangement import concatenate_p
from pullback.lax.creation import positions as lax_positions
from pullback.lax.cumulative import cumsum
from pullback.lax.elementwise import div_p, lt_p, max_p, min_p, rem_p
from pullback.lax.family import like, sub_p
from pullback.lax.positions import (
    GatherDimensionNumbers,
    GatherScatterMode,
    ScatterDimensionNumbers,
    modulo,
    wide_index,
    wrap_negative,
)
from pullback.lax.selection import select as lax_select
from pullback.lax.selection import select_n_p
from pullback.lax.shape import broadcast_to, convert, reshape_p
from pullback.numpy.conversion import array
from pullback.numpy.creation import zeros
from pullback.numpy.indexing import IndexUpdateRef, gathered, getitem
from pullback.numpy.joining import unstack
from pullback.numpy.planned import planned
from pullback.numpy.promotion import array_like, here, promote, scalar_like, truth, value_of
from pullback.xla.devices import beside

# ---- by position ---------------------------------------------------------------------------------


def take(
    a: Any, indices: Any, axis: int | None = None, out: None = None, mode: str | None = None, unique_indices: bool = False,
    indices_are_sorted: bool = False, fill_value: Any = None,
) -> Array:  # fmt: skip
    """The slices of `a` at `indices` along `axis` (elements of the flattened `a`, if None): axis
    `axis` becomes the axes of `indices`.

    `mode` is for positions out of bounds: "fill" (the default; negative positions count from the
    end, others read `fill_value`, by default NaN, the smallest signed or largest unsigned integer,
    True), "clip" or "wrap". The dtype stays. Raises ValueError unless the indices are integers,
    IndexError for elements of an empty axis.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([[10, 20, 30], [40, 50, 60]])
    >>> jnp.take(x, jnp.array([2, 0]), axis=1)
    Array([[30, 10],
           [60, 40]], dtype=int32)
    >>> jnp.take(x, jnp.array([1, 7]), mode="clip")
    Array([20, 60], dtype=int32)
    """
    if out is not None:
        raise NotImplementedError("the argument out of take is not supported: arrays are immutable")
    x, i = array_like(a, "take"), array_like(indices, "take")
    if not dtypes.is_integer(i.dtype):
        raise here(ValueError, f"take: indices must have an integer type, got {i.aval}")
    if axis is None:
        x, axis = reshape_p.bind(x, new_sizes=(x.size,)), 0
    axis = canonical_axis(axis, x.ndim)
    if (
        mode is fill_value is None
        and x.__class__ is ConcreteArray
        and i.__class__ is ConcreteArray
        and current() is EVAL
        and not EVAL.checking
    ):
        try:
            return concrete(x._value.take(i._value, axis), x.weak_type)
        except (IndexError, TypeError):
            pass  # out of bounds (to be filled), or unsigned 64-bit positions
    n = x.shape[axis]
    if not n and i.size:
        raise IndexError("Cannot do a non-empty take() from an empty axis.")
    i, how = _by_mode(i, n, "fill" if mode is None else mode, "take")
    rows = reshape_p.bind(i, new_sizes=(*i.shape, 1))
    numbers = GatherDimensionNumbers((*range(axis), *range(axis + i.ndim, x.ndim - 1 + i.ndim)), (axis,), (axis,))
    sizes = tuple(min(1, m) if d == axis else m for d, m in enumerate(x.shape))
    return gathered(x, rows, numbers, sizes, how, fill_value, bool(unique_indices), bool(indices_are_sorted))


def _by_mode(i: Any, n: int, mode: str, name: str) -> tuple[Any, GatherScatterMode]:
    """Positions in an axis of length `n`, and the gather mode, for NumPy's modes."""
    if mode == "raise":
        raise NotImplementedError(f"The 'raise' mode to {name} is not supported: use 'fill', 'clip' or 'wrap'")
    if mode == "fill":
        return wrap_negative(i, n), GatherScatterMode.FILL_OR_DROP
    if mode == "clip":
        return i, GatherScatterMode.CLIP
    if mode == "wrap":
        return modulo(i, n), GatherScatterMode.PROMISE_IN_BOUNDS
    raise ValueError(f"Invalid mode {mode!r} for {name}: it must be 'fill', 'clip' or 'wrap'")


def take_along_axis(
    arr: Any,
    indices: Any,
    axis: int | None = -1,
    mode: Any = None,
    fill_value: Any = None,
    *,
    wrap_negative_indices: bool | None = None,
) -> Array:
    """`out[..., i, ...] = arr[..., indices[..., i, ...], ...]` along `axis`; the other axes
    broadcast. With axis None, `arr` is flattened.

    `mode` is "fill" by default, see `take`. The result has the shape of `indices`, and the dtype of
    `arr`. Raises TypeError unless the indices are integers, ValueError for shapes that do not fit.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([[30, 10, 20], [40, 60, 50]])
    >>> jnp.take_along_axis(x, jnp.argsort(x, axis=1), axis=1)
    Array([[10, 20, 30],
           [40, 50, 60]], dtype=int32)
    """
    x, i = array_like(arr, "take_along_axis"), array_like(indices, "take_along_axis")
    if not dtypes.is_integer(i.dtype):
        raise here(TypeError, f"take_along_axis indices must be of integer type, got {dtypes.name(i.dtype)}")
    if axis is None:
        if i.ndim != 1:
            raise ValueError(f"take_along_axis with axis=None takes 1-d indices, got shape {i.shape}")
        x, axis = reshape_p.bind(x, new_sizes=(x.size,)), 0
    if x.ndim != i.ndim:
        raise ValueError(f"indices and arr must have the same number of dimensions; {i.ndim} vs. {x.ndim}")
    axis = canonical_axis(axis, x.ndim)
    shape = broadcast_shapes((*x.shape[:axis], 1, *x.shape[axis + 1 :]), (*i.shape[:axis], 1, *i.shape[axis + 1 :]))
    n = x.shape[axis]
    how = GatherScatterMode.FILL_OR_DROP if mode is None else GatherScatterMode.from_any(mode)
    if not n and i.size:
        raise here(IndexError, f"take_along_axis: axis {axis} of shape {x.shape} is empty")
    if wrap_negative_indices or wrap_negative_indices is None:
        i = wrap_negative(i, n)
    # An axis that both have pairs their elements; one that only `arr` has runs through windows; one
    # that only the indices have, over rows.
    both = [d for d in range(x.ndim) if d != axis and x.shape[d] == i.shape[d]]
    windows = [d for d in range(x.ndim) if d != axis and d not in both and i.shape[d] == 1]
    rows_only = [d for d in range(x.ndim) if d != axis and d not in both and d not in windows]
    row_axes = [d for d in range(x.ndim) if d not in windows]
    x_axes = [d for d in range(x.ndim) if d not in rows_only]
    x = reshape_p.bind(x, new_sizes=tuple(x.shape[d] for d in x_axes))
    i = reshape_p.bind(i, new_sizes=(*(i.shape[d] for d in row_axes), 1))
    along = (x_axes.index(axis),)
    pairs = tuple(x_axes.index(d) for d in both), tuple(row_axes.index(d) for d in both)
    numbers = GatherDimensionNumbers(tuple(windows), along, along, *pairs)
    sizes = tuple(min(1, shape[d] if d != axis else n) if d not in windows else shape[d] for d in x_axes)
    return gathered(x, i, numbers, sizes, how, fill_value)


def refuse_inplace(name: str, inplace: bool, error: type[Exception] = ValueError) -> None:
    if inplace:
        raise error(
            f"pullback.numpy.{name} cannot modify arrays in-place, because arrays are immutable. Pass inplace=False to instead return "
            "an updated array."
        )


def put_along_axis(
    arr: Any, indices: Any, values: Any, axis: int | None, inplace: bool = True, *, mode: str | None = None
) -> Array:
    """`arr` with `arr[..., indices[..., i, ...], ...] = values[..., i, ...]` along `axis`: a new
    array, so that `inplace=False` has to be given (ValueError).

    Positions out of bounds are dropped, or clamped with `mode="clip"`. With axis None, positions
    are those of the flattened `arr`. Shape and dtype stay. Raises TypeError unless the indices are
    integers, ValueError for shapes that do not fit.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([[10, 30, 20], [60, 40, 50]])
    >>> largest = jnp.argmax(x, axis=1, keepdims=True)
    >>> jnp.put_along_axis(x, largest, 0, axis=1, inplace=False)
    Array([[10,  0, 20],
           [ 0, 40, 50]], dtype=int32)
    """
    refuse_inplace("put_along_axis", inplace)
    x, i, v = (array_like(a, "put_along_axis") for a in (arr, indices, values))
    if not dtypes.is_integer(i.dtype):
        raise here(TypeError, f"put_along_axis indices must be of integer type, got {dtypes.name(i.dtype)}")
    if axis is None:
        flat = reshape_p.bind(x, new_sizes=(x.size,))
        return reshape_p.bind(put_along_axis(flat, i, v, 0, inplace=False, mode=mode), new_sizes=x.shape)
    if x.ndim != i.ndim:
        raise ValueError(f"indices and arr must have the same number of dimensions; {i.ndim} vs. {x.ndim}")
    axis = canonical_axis(axis, x.ndim)
    index: list[Any] = list(np.ogrid[tuple(slice(n) for n in x.shape)])
    index[axis] = i
    return IndexUpdateRef(x, tuple(index)).set(v, mode=mode)


def put(a: Any, ind: Any, v: Any, mode: str | None = None, *, inplace: bool = True) -> Array:
    """`a` with `a.flat[ind] = v`, repeating `v` as needed: a new array, so that `inplace=False` has
    to be given (ValueError).

    Positions out of bounds are clamped (None, with which negative ones count from the end, and
    "clip") or taken modulo the size ("wrap"). Without values, or elements, nothing is put. Shape
    and dtype stay. Raises ValueError for other modes.

    >>> import pullback.numpy as jnp
    >>> jnp.put(jnp.zeros((2, 3)), jnp.array([0, 4]), jnp.array([7, 8]), inplace=False)
    Array([[7., 0., 0.],
           [0., 8., 0.]], dtype=float32)
    """
    refuse_inplace("put", inplace)
    x, i, values = array_like(a, "put"), array_like(ind, "put"), array_like(v, "put")
    if mode not in (None, "clip", "wrap"):
        if mode == "raise":
            raise NotImplementedError("The 'raise' mode to put is not supported: use None, 'clip' or 'wrap'")
        raise ValueError(f"mode should be one of 'wrap', 'clip' or None; got {mode!r}")
    if not (i.size and values.size and x.size):
        return x
    i = reshape_p.bind(i, new_sizes=(i.size,))
    if i.dtype == dtypes.bool_:
        i = convert(i, dtypes.int32)
    if mode == "wrap":
        i = modulo(i, x.size)
    flat = reshape_p.bind(x, new_sizes=(x.size,))
    updated = IndexUpdateRef(flat, i).set(cycled(values, i.size), mode="clip", wrap_negative_indices=mode is None)
    return reshape_p.bind(updated, new_sizes=x.shape)


def cycled(values: Any, count: int) -> Any:
    """The elements of `values` in order, over and over, `count` of them."""
    flat = reshape_p.bind(values, new_sizes=(values.size,))
    return flat if values.size == count else getitem(flat, np.arange(count) % values.size)


def place(arr: Any, mask: Any, vals: Any, *, inplace: bool = True) -> Array:
    """`arr` with the elements where `mask` is true replaced by those of `vals` in order, over and
    over: a new array, so that `inplace=False` has to be given (ValueError).

    Shape and dtype stay. Raises ValueError unless `mask` is as large as `arr`, and if `vals` is
    empty.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([1, -2, -3, 4, -5])
    >>> jnp.place(x, x < 0, jnp.array([10, 20]), inplace=False)
    Array([ 1, 10, 20,  4, 10], dtype=int32)
    """
    refuse_inplace("place", inplace)
    x, m, v = array_like(arr, "place"), array_like(mask, "place"), array_like(vals, "place")
    if x.size != m.size:
        raise ValueError(f"place: arr and mask must be the same size, got shapes {x.shape} and {m.shape}")
    if not v.size:
        raise ValueError("Cannot place values from an empty array")
    if not x.size:
        return x
    m = reshape_p.bind(truth(m, "a mask"), new_sizes=(m.size,))
    counts = cumsum(convert(m, dtypes.canonicalize(dtypes.int64)), 0)
    turn = rem_p.bind(sub_p.bind(counts, like(1, counts)), like(v.size, counts))
    chosen = take(convert(v, x.dtype, x.weak_type), turn, mode="clip")  # -1, before the first, is of no matter
    return lax_select(reshape_p.bind(m, new_sizes=x.shape), reshape_p.bind(chosen, new_sizes=x.shape), x)


def unravel_index(indices: Any, shape: Any) -> tuple[Array, ...]:
    """Flat positions in an array of `shape` as positions along its axes: one array an axis, of the
    shape of `indices`.

    Positions out of bounds are clamped; negative ones count from the end. Raises TypeError unless
    the indices are integers.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([[1, 9, 3], [4, 5, 6]])
    >>> row, column = jnp.unravel_index(jnp.argmax(x), x.shape)
    >>> row.item(), column.item()
    (0, 1)
    """
    i = array_like(indices, "unravel_index")
    if not dtypes.is_integer(i.dtype):
        raise here(TypeError, f"unravel_index: indices must be of integer type, got {dtypes.name(i.dtype)}")
    sizes = tuple(map(index, shape)) if is_sequence(shape) else (index(shape),)
    total = math.prod(sizes)
    i = wide_index(i)
    i = max_p.bind(wrap_negative(i, total), like(0, i))
    i = min_p.bind(i, like(max_dim(total - 1, 0), i))
    out: list[Any] = []
    for n in reversed(sizes):
        out.append(rem_p.bind(i, like(max_dim(n, 1), i)))
        i = div_p.bind(i, like(max_dim(n, 1), i))
    return tuple(reversed(out))


# ---- by condition --------------------------------------------------------------------------------


def nonzero(a: Any, *, size: int | None = None, fill_value: Any = None) -> tuple[Array, ...]:
    """The positions of the nonzero elements of `a`, in row-major order: one index array an axis,
    int32.

    With `size` there are so many positions: the surplus is cut off, and missing ones are
    `fill_value` (0; or one value an axis), with whose type the positions are promoted. Without, `a`
    must be concrete (ConcretizationTypeError). Raises ValueError for scalars.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([[0, 3], [4, 0]])
    >>> jnp.nonzero(x)
    (Array([0, 1], dtype=int32), Array([1, 0], dtype=int32))
    >>> x[jnp.nonzero(x)]
    Array([3, 4], dtype=int32)
    >>> jnp.nonzero(x, size=3, fill_value=-1)[0]
    Array([ 0,  1, -1], dtype=int32)
    """
    x = array_like(a, "nonzero")
    if not x.ndim:
        raise ValueError("Calling nonzero on 0d arrays is not allowed. Use atleast_1d(scalar).nonzero() instead.")
    refuse_keys("nonzero", x)
    dtype = dtypes.canonicalize(dtypes.int64)
    fills = fill_value if isinstance(fill_value, tuple) else (0 if fill_value is None else fill_value,) * x.ndim
    if len(fills) != x.ndim or any(getattr(f, "shape", ()) for f in fills):
        raise ValueError(f"fill_value must be a scalar or a tuple of length {x.ndim}; got {fill_value}")
    if size is not None:
        size = integer(size, "nonzero: size")
    known = known_value(x)
    if known is not None:
        positions = np.nonzero(np.asarray(known))
        if size is not None and all(known_value(as_array(f)) is not None for f in fills):
            count = min(size, len(positions[0]))
            padded = []
            for p, f in zip(positions, map(as_array, fills)):
                kind, weak = dtypes.promotion(dtype, f)
                out = np.full(size, np.asarray(known_value(f)).astype(kind))
                out[:count] = p[:count]
                padded.append(beside(concrete(out, weak), x))
            return tuple(padded)
        if size is None:
            return tuple(beside(concrete(p.astype(dtype)), x) for p in positions)
    if size is None:
        raise ConcretizationTypeError(
            x, "The number of nonzero elements would be the size of the result: pass the argument `size` to `nonzero`."
        )
    return _traced_nonzero(x, size, fills, dtype)


def _traced_nonzero(x: Any, size: int, fills: tuple[Any, ...], dtype: dtypes.DType) -> tuple[Array, ...]:
    given = [as_array(f) for f in fills]
    kinds = [dtypes.promotion(dtype, f) for f in given]
    if not x.size:
        return tuple(broadcast_to(convert(f, *kind), (size,)) for f, kind in zip(given, kinds))
    mask = reshape_p.bind(truth(x, "nonzero"), new_sizes=(x.size,))
    rank = cumsum(convert(mask, dtype), 0)
    # The k-th nonzero element writes its position to place k; the others go out of bounds and are
    # dropped.
    place = lax_select(mask, sub_p.bind(rank, like(1, rank)), broadcast_to(like(size, rank), rank.shape))
    numbers = ScatterDimensionNumbers((), (0,), (0,))
    flat = lax_indexing.scatter_p.bind(
        broadcast_to(like(0, rank), (size,)), reshape_p.bind(place, new_sizes=(x.size, 1)), lax_positions(x.size, dtype),
        dimension_numbers=numbers, mode=GatherScatterMode.FILL_OR_DROP, indices_are_sorted=False, unique_indices=True,
    )  # fmt: skip
    total = getitem(rank, x.size - 1)
    found = lt_p.bind(lax_positions(size, dtype), broadcast_to(total, (size,)))
    positions = unravel_index(flat, x.shape)
    return tuple(lax_select(found, convert(p, *kind), convert(f, *kind)) for p, f, kind in zip(positions, given, kinds))


def flatnonzero(a: Any, *, size: int | None = None, fill_value: Any = None) -> Array:
    """The positions of the nonzero elements of the flattened `a`: int32, of one axis. See `nonzero`
    for `size` and `fill_value`, which traced arrays need.

    >>> import pullback.numpy as jnp
    >>> jnp.flatnonzero(jnp.array([[0, 3], [4, 0]]))
    Array([1, 2], dtype=int32)
    """
    x = array_like(a, "flatnonzero")
    return nonzero(reshape_p.bind(x, new_sizes=(x.size,)), size=size, fill_value=fill_value)[0]


def argwhere(a: Any, *, size: int | None = None, fill_value: Any = None) -> Array:
    """The positions of the nonzero elements of `a`, one a row: int32, of shape (number, a.ndim).
    See `nonzero` for `size` and `fill_value`, which traced arrays need.

    >>> import pullback.numpy as jnp
    >>> jnp.argwhere(jnp.array([[0, 3], [4, 0]]))
    Array([[0, 1],
           [1, 0]], dtype=int32)
    """
    x = array_like(a, "argwhere")
    if not x.ndim:
        (flat,) = nonzero(reshape_p.bind(x, new_sizes=(1,)), size=size)
        return concrete(np.zeros((flat.shape[0], 0), flat.dtype))
    columns = promote("argwhere", *nonzero(x, size=size, fill_value=fill_value))
    return concatenate_p.bind(*(reshape_p.bind(c, new_sizes=(*c.shape, 1)) for c in columns), dimension=1)


def compress(
    condition: Any, a: Any, axis: int | None = None, *, size: int | None = None, fill_value: Any = 0, out: None = None
) -> Array:
    """The slices of `a` along `axis` (elements of the flattened `a`, if None) where the 1-d
    `condition` is true.

    With `size` there are so many slices: the surplus is cut off, and missing ones are `fill_value`;
    without, the condition must be concrete (ConcretizationTypeError). Raises ValueError for a
    condition of several axes, and one that is true beyond the end of the axis.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([[1, 2], [3, 4], [5, 6]])
    >>> jnp.compress(jnp.array([True, False, True]), x, axis=0)
    Array([[1, 2],
           [5, 6]], dtype=int32)
    """
    if out is not None:
        raise NotImplementedError("the argument out of compress is not supported: arrays are immutable")
    c, x = array_like(condition, "compress"), array_like(a, "compress")
    if c.ndim != 1:
        raise ValueError(f"condition must be a 1D array, got shape {c.shape}")
    if axis is None:
        x, axis = reshape_p.bind(x, new_sizes=(x.size,)), 0
    axis = canonical_axis(axis, x.ndim)
    n = x.shape[axis]
    c = truth(c, "compress")
    if c.shape[0] > n:
        extra = known_value(c)
        if extra is not None and extra[n:].any():
            raise ValueError(
                f"condition contains entries that are out of bounds: its length is {len(extra)}, that of the axis {n}"
            )
        c = getitem(c, slice(n))
    (positions,) = nonzero(c, size=size, fill_value=n)
    if size is None:
        return take(x, positions, axis, mode="clip")
    if not n:
        return broadcast_to(convert(as_array(fill_value), x.dtype), (*x.shape[:axis], size, *x.shape[axis + 1 :]))
    kept = take(x, positions, axis, mode="fill")
    along = tuple(size if d == axis else 1 for d in range(x.ndim))
    found = reshape_p.bind(lt_p.bind(positions, like(n, positions)), new_sizes=along)
    return lax_select(found, kept, convert(as_array(fill_value), x.dtype))


def extract(condition: Any, arr: Any, *, size: int | None = None, fill_value: Any = 0) -> Array:
    """The elements of `arr` where `condition` is true, both flattened. See `compress` for `size`,
    which traced conditions need, and `fill_value`.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([[5, 6], [7, 8]])
    >>> jnp.extract(x % 2 == 0, x)
    Array([6, 8], dtype=int32)
    >>> jnp.extract(x > 7, x, size=3, fill_value=-1)
    Array([ 8, -1, -1], dtype=int32)
    """
    c, x = array_like(condition, "extract"), array_like(arr, "extract")
    c, x = (reshape_p.bind(v, new_sizes=(v.size,)) for v in (c, x))
    return compress(c, x, size=size, fill_value=fill_value)


# ---- among arrays --------------------------------------------------------------------------------


def choose(a: Any, choices: Any, out: None = None, mode: str = "raise") -> Array:
    """Elementwise `choices[a]`; `a` and the choices broadcast, and the choices' dtypes are promoted
    together.

    `mode` is for values of `a` out of bounds: "raise" (ValueError; `a` must be concrete), "wrap" or
    "clip". Raises ValueError unless `a` is of integers, and for no choices.

    >>> import pullback.numpy as jnp
    >>> jnp.choose(jnp.array([1, 0, 2]), [jnp.array([1, 2, 3]), jnp.array([10, 20, 30]), 99])
    Array([10,  2, 99], dtype=int32)
    """
    if out is not None:
        raise NotImplementedError("the argument out of choose is not supported: arrays are immutable")
    i = array_like(a, "choose")
    if not dtypes.is_integer(i.dtype):
        raise ValueError(f"`a` array must be integer typed, got {dtypes.name(i.dtype)}")
    arrays = [getitem(choices, k) for k in range(len(choices))] if isinstance(choices, Array) else list(choices)
    if not arrays:
        raise ValueError("choose: choices must not be empty")
    arrays = promote("choose", *arrays)
    n = len(arrays)
    if mode == "raise":
        known = value_of(i, "choose needs the values for mode='raise': use mode='wrap' or mode='clip'.")
        if ((known < 0) | (known >= n)).any():
            raise ValueError("invalid entry in choice array")
    elif mode == "wrap":
        i = modulo(i, n)
    elif mode != "clip":
        raise ValueError(f"mode={mode!r} not understood: choose takes 'raise', 'wrap' or 'clip'")
    shape = broadcast_shapes(i.shape, *(c.shape for c in arrays))
    rows = [reshape_p.bind(broadcast_to(c, shape), new_sizes=(1, *shape)) for c in arrays]
    i = reshape_p.bind(broadcast_to(i, shape), new_sizes=(1, *shape))
    chosen = take_along_axis(concatenate_p.bind(*rows, dimension=0), i, 0, mode="clip", wrap_negative_indices=False)
    return reshape_p.bind(chosen, new_sizes=shape)


@planned
def where(condition: Any, x: Any = None, y: Any = None, /, *, size: Any = None, fill_value: Any = None) -> Any:
    """Elements of `x` where `condition` is true and of `y` elsewhere, broadcast; with one argument,
    `nonzero(condition)`.

    The dtypes of `x` and `y` are promoted together. The derivative flows only to the chosen
    elements; but where the one that is not chosen is infinite or NaN in a step before, its
    derivative may be NaN (see the page on sharp edges). Raises ValueError for shapes that do not
    broadcast.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([-1, 0, 2])
    >>> jnp.where(x > 0, x, 0.5)
    Array([0.5, 0.5, 2. ], dtype=float32, weak_type=True)
    >>> jnp.where(x)
    (Array([0, 2], dtype=int32),)
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
        return select_n_p.bind(c, broadcast_to(y, shape), broadcast_to(x, shape))
    return lax_select(c, x, y)


def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Array:
    """Of each place, the element of the choice whose condition is the first that is true, or of
    `default`.

    Conditions, choices and `default` broadcast; the dtypes of the choices and of `default` are
    promoted together. Raises ValueError for empty lists, and unless there are as many choices as
    conditions.

    >>> import pullback.numpy as jnp
    >>> x = jnp.arange(6)
    >>> jnp.select([x < 2, x < 4], [-x, 10 * x], default=99)
    Array([ 0, -1, 20, 30, 99, 99], dtype=int32)
    """
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
    """A function given by cases: for each condition the value of its function (or constant); one
    more is for the rest, which else is 0.

    Where several conditions hold, the last counts. The result has the shape that `x` and the
    conditions broadcast to, and the dtype of `x`. Functions get elements, and each element reaches
    the value and the derivative of its own function only. Raises ValueError for another number of
    functions than there are cases.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([-4.0, 0.0, 9.0])
    >>> jnp.piecewise(x, [x < 0, x > 0], [lambda v: (-v) ** 0.5, lambda v: v**0.5, 0.0])
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
    shape = broadcast_shapes(x.shape, case.shape)
    x, case = broadcast_to(x, shape), broadcast_to(case, shape)
    out = zeros(shape, x.dtype)
    if any(map(callable, functions)):
        from pullback.control.branches import elementwise_switch  # control flow is loaded when first needed

        given = [(partial(f, *args, **kw) if args or kw else f) if callable(f) else None for f in functions]
        out = elementwise_switch(case, given, x)
    for i, value in enumerate(functions):
        if not callable(value):
            out = where(case == i, convert(array_like(value, "piecewise"), x.dtype), out)
    return out


__all__ = ["unravel_index", "argwhere", "choose", "compress", "extract", "flatnonzero", "nonzero", "place", "put"]
__all__ += ["put_along_axis", "take", "take_along_axis", "piecewise", "select", "where"]
