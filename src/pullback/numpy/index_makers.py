"""Indices to use elsewhere: grids, diagonals, triangles, and positions flat or by axis."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, concrete
from pullback.core.types import Shape, integer, integers
from pullback.lax.elementwise import max_p, min_p
from pullback.lax.family import add_p, like, mul_p
from pullback.lax.positions import modulo, wide_index
from pullback.lax.shape import convert, reshape_p
from pullback.numpy.indexing import IndexUpdateRef, update_values
from pullback.numpy.promotion import array_like, here, value_of
from pullback.numpy.selecting import cycled, nonzero, refuse_inplace
from pullback.xla.devices import placed


class IndexExpression:
    """Indexing it gives the index: `s_[1:2, ...]` is `(slice(1, 2), Ellipsis)`; `index_exp` always
    gives a tuple.

    >>> import pullback.numpy as jnp
    >>> jnp.s_[::2], jnp.index_exp[::2]
    (slice(None, None, 2), (slice(None, None, 2),))
    >>> every_other_column = jnp.s_[:, ::2]
    >>> jnp.arange(6).reshape(2, 3)[every_other_column]
    Array([[0, 2],
           [3, 5]], dtype=int32)
    """

    def __init__(self, maketuple: bool) -> None:
        self.maketuple = maketuple

    def __getitem__(self, item: Any) -> Any:
        return (item,) if self.maketuple and not isinstance(item, tuple) else item


index_exp, s_ = IndexExpression(maketuple=True), IndexExpression(maketuple=False)


def _index_array(value: Any) -> Array:
    return placed(concrete(value.astype(dtypes.canonicalize(dtypes.int64))))


def ravel_multi_index(
    multi_index: Sequence[Any], dims: Sequence[int], mode: str = "raise", order: str = "C", *, dtype: Any = None
) -> Array:
    """Positions along the axes of an array of shape `dims` as flat positions, in row-major ("C") or
    column-major ("F") order.

    `multi_index` has one index array an axis; they broadcast. `mode` is for positions out of
    bounds: "raise" (ValueError; they must be concrete), "wrap" or "clip". The result is int32
    unless `dtype` is given. Raises TypeError unless the indices are integers, ValueError for as
    many as do not fit, and other modes and orders.

    >>> import pullback.numpy as jnp
    >>> jnp.ravel_multi_index((jnp.array([0, 1]), jnp.array([2, 0])), (2, 3))
    Array([2, 3], dtype=int32)
    """
    sizes = integers(dims, "ravel_multi_index: dims")
    arrays = [array_like(i, "ravel_multi_index") for i in multi_index]
    if len(arrays) != len(sizes):
        raise ValueError(f"ravel_multi_index: got {len(arrays)} index arrays for {len(sizes)} dims")
    if any(not dtypes.is_integer(i.dtype) for i in arrays):
        raise TypeError("ravel_multi_index: only int indices are permitted")
    target = dtypes.canonicalize(dtypes.int64) if dtype is None else dtypes.canonicalize_dtype(dtype)
    checked = []
    for i, n in zip(arrays, sizes):
        if mode == "raise":
            known = value_of(i, "ravel_multi_index needs the values for mode='raise': use 'wrap' or 'clip'.")
            if ((known < 0) | (known >= n)).any():
                raise ValueError("invalid entry in coordinates array")
        elif mode == "wrap":
            i = modulo(i, n)
        elif mode == "clip":
            i = wide_index(i)
            i = min_p.bind(max_p.bind(i, like(0, i)), like(n - 1, i))
        else:
            raise ValueError(f"invalid mode={mode!r}: expected 'raise', 'wrap' or 'clip'")
        checked.append(convert(i, target))
    if order not in ("C", "F"):
        raise ValueError(f"invalid order={order!r}: expected 'C' or 'F'")
    pairs = list(zip(checked, sizes))
    if order == "F":
        pairs.reverse()
    flat: Any = concrete(target.type(0))
    for i, n in pairs:
        flat = add_p.bind(mul_p.bind(flat, like(n, flat)), i)
    return flat


def ix_(*args: Any) -> tuple[Array, ...]:
    """1-d arrays as an open grid: array k along axis k, for `x[ix_(rows, columns)]`. Concrete masks
    become positions.

    Raises ValueError unless all have one axis, ConcretizationTypeError for masks that are traced.

    >>> import pullback.numpy as jnp
    >>> x = jnp.arange(12).reshape(3, 4)
    >>> x[jnp.ix_(jnp.array([0, 2]), jnp.array([1, 3]))]
    Array([[ 1,  3],
           [ 9, 11]], dtype=int32)
    """
    out = []
    for k, a in enumerate(args):
        x = array_like(a, "ix_")
        if x.ndim != 1:
            raise ValueError(f"Arguments to ix_ must be 1-dimensional, got shape {x.shape}")
        if x.dtype == dtypes.bool_:
            (x,) = nonzero(x)
        if not x.size:
            x = convert(x, dtypes.canonicalize(dtypes.int64))
        out.append(reshape_p.bind(x, new_sizes=tuple(x.size if d == k else 1 for d in range(len(args)))))
    return tuple(out)


def diag_indices(n: int, ndim: int = 2) -> tuple[Array, ...]:
    """The positions of the main diagonal of an array with `ndim` axes of length `n`: one index
    array an axis, int32 of shape (n,).

    Raises ValueError for negative numbers.

    >>> import pullback.numpy as jnp
    >>> jnp.zeros((3, 3)).at[jnp.diag_indices(3)].set(jnp.array([1, 2, 3]))
    Array([[1., 0., 0.],
           [0., 2., 0.],
           [0., 0., 3.]], dtype=float32)
    """
    n, ndim = operator.index(n), operator.index(ndim)
    if n < 0 or ndim < 0:
        raise ValueError(f"diag_indices: n and ndim must be nonnegative, got n={n}, ndim={ndim}")
    return (_index_array(np.arange(n)),) * ndim


def diag_indices_from(arr: Any) -> tuple[Array, ...]:
    """The positions of the main diagonal of `arr`, whose axes have one length: one index array an
    axis, int32.

    Raises ValueError if the axes differ in length, or are fewer than two.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([[1, 2], [3, 4]])
    >>> x[jnp.diag_indices_from(x)]
    Array([1, 4], dtype=int32)
    """
    shape = np.shape(arr)
    if len(shape) < 2:
        raise ValueError(f"input array must be at least 2-d, got shape {shape}")
    if len(set(shape)) != 1:
        raise ValueError(f"All dimensions of input must be of equal length, got shape {shape}")
    return diag_indices(shape[0], len(shape))


def tril_indices(n: int, k: int = 0, m: int | None = None) -> tuple[Array, Array]:
    """The positions on and below diagonal `k` of an array of shape (n, m) (m = n by default), row
    by row: (rows, columns), int32.

    Raises TypeError for numbers that are no integers, and sizes that are negative.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    >>> x[jnp.tril_indices(3, -1)]
    Array([4, 7, 8], dtype=int32)
    """
    return _triangle("tril_indices", np.tril_indices, n, k, m)


def triu_indices(n: int, k: int = 0, m: int | None = None) -> tuple[Array, Array]:
    """The positions on and above diagonal `k` of an array of shape (n, m) (m = n by default), row
    by row: (rows, columns), int32.

    Raises TypeError for numbers that are no integers, and sizes that are negative.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    >>> x[jnp.triu_indices(3)]
    Array([1, 2, 3, 5, 6, 9], dtype=int32)
    """
    return _triangle("triu_indices", np.triu_indices, n, k, m)


def _triangle(name: str, positions: Callable[..., Any], n: int, k: int, m: int | None) -> tuple[Array, Array]:
    sizes = [None if s is None else integer(s, f"{name}: n, k and m") for s in (n, k, m)]
    if any(s is not None and s < 0 for s in (sizes[0], sizes[2])):
        raise here(TypeError, f"{name}: sizes must not be negative, got {n} and {m}")
    rows, columns = positions(*sizes)
    return _index_array(rows), _index_array(columns)


def _matrix_shape(arr: Any) -> Shape:
    shape = tuple(arr.shape) if hasattr(arr, "shape") else np.shape(arr)
    if len(shape) != 2:
        raise ValueError(f"Only 2-D inputs are accepted, got shape {shape}")
    return shape


def tril_indices_from(arr: Any, k: int = 0) -> tuple[Array, Array]:
    """The positions on and below diagonal `k` of the matrix `arr`: `tril_indices` of its shape.
    Raises ValueError unless it has two axes.

    >>> import pullback.numpy as jnp
    >>> jnp.tril_indices_from(jnp.ones((2, 3)), 0)
    (Array([0, 1, 1], dtype=int32), Array([0, 0, 1], dtype=int32))
    """
    n, m = _matrix_shape(arr)
    return tril_indices(n, k, m)


def triu_indices_from(arr: Any, k: int = 0) -> tuple[Array, Array]:
    """The positions on and above diagonal `k` of the matrix `arr`: `triu_indices` of its shape.
    Raises ValueError unless it has two axes.

    >>> import pullback.numpy as jnp
    >>> jnp.triu_indices_from(jnp.ones((2, 3)), 1)
    (Array([0, 0, 1], dtype=int32), Array([1, 2, 2], dtype=int32))
    """
    n, m = _matrix_shape(arr)
    return triu_indices(n, k, m)


def mask_indices(
    n: int, mask_func: Callable[[Any, int], Any], k: int = 0, *, size: int | None = None
) -> tuple[Array, Array]:
    """The positions where `mask_func(ones((n, n)), k)` is nonzero: (rows, columns), int32. See
    `nonzero` for `size`, which traced masks need.

    >>> import pullback.numpy as jnp
    >>> jnp.mask_indices(3, jnp.triu, 1)
    (Array([0, 0, 1], dtype=int32), Array([1, 2, 2], dtype=int32))
    """
    rows, columns = nonzero(mask_func(_index_array(np.ones((n, n))), k), size=size)
    return rows, columns


def fill_diagonal(a: Any, val: Any, wrap: bool = False, *, inplace: bool = True) -> Array:
    """`a` with its main diagonal replaced by `val`, a scalar, or elements to be repeated as needed:
    a new array, so that `inplace=False` has to be given (NotImplementedError).

    `a` is a matrix, or has axes of one length (ValueError if not, and for an empty `val`). Shape
    and dtype stay.

    >>> import pullback.numpy as jnp
    >>> jnp.fill_diagonal(jnp.zeros((3, 3), int), jnp.array([1, 2]), inplace=False)
    Array([[1, 0, 0],
           [0, 2, 0],
           [0, 0, 1]], dtype=int32)
    """
    refuse_inplace("fill_diagonal", inplace, NotImplementedError)
    if wrap:
        raise NotImplementedError("wrap=True is not implemented, must use wrap=False")
    x, v = array_like(a, "fill_diagonal"), update_values(val)
    if x.ndim < 2:
        raise ValueError(f"array must be at least 2-d, got shape {x.shape}")
    if x.ndim > 2 and len(set(x.shape)) != 1:
        raise ValueError(f"All dimensions of input must be of equal length, got shape {x.shape}")
    n = min(x.shape)
    if not n:
        return x
    if not v.size:
        raise here(ValueError, f"fill_diagonal: there are no values for {n} elements")
    return IndexUpdateRef(x, (np.arange(n),) * x.ndim).set(v if not v.ndim else cycled(v, n), unique_indices=True)


__all__ = ["diag_indices", "diag_indices_from", "fill_diagonal", "index_exp", "ix_", "mask_indices"]
__all__ += ["ravel_multi_index", "s_", "tril_indices", "tril_indices_from", "triu_indices", "triu_indices_from"]
