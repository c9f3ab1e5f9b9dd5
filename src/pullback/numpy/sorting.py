"""Sorting, selecting by rank, and searching in sorted arrays.

NaNs sort last, and complex numbers by real, then imaginary part. Sorting is differentiable: it
moves elements.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, concrete
from pullback.core.dimensions import LARGEST, Dim
from pullback.core.trace import known_value
from pullback.core.types import canonical_axis, integer
from pullback.lax.arrangement import concatenate, rev, slice_in_dim
from pullback.lax.creation import broadcasted_iota, iota
from pullback.lax.cumulative import cumsum_p
from pullback.lax.gradient import stop_gradient
from pullback.lax.selection import select
from pullback.lax.shape import convert, reshape_p
from pullback.lax.sorting import sort_p, top_k_p
from pullback.numpy import ufuncs as u
from pullback.numpy.arithmetic import right_shift
from pullback.numpy.planned import planned
from pullback.numpy.promotion import array_like, here, promote
from pullback.numpy.reductions import any as reduce_any
from pullback.numpy.reductions import sum as reduce_sum
from pullback.numpy.selecting import take, take_along_axis
from pullback.xla.devices import beside


def _along(name: str, a: Any, axis: Any) -> tuple[Array, int]:
    """The array to sort, flattened if `axis` is None, and the axis to sort along."""
    a = array_like(a, name)
    if axis is None:
        return reshape_p.bind(a, new_sizes=(a.size,)), 0
    return a, canonical_axis(axis, len(a.shape))


def _refuse_numpy_options(name: str, kind: Any, order: Any) -> None:
    if kind is not None:
        raise TypeError(
            f"'kind' argument to {name} is not supported. Use stable=True or stable=False to specify sort stability."
        )
    if order is not None:
        raise TypeError(f"'order' argument to {name} is not supported: there are no structured arrays.")


@planned
def sort(
    a: Any, axis: int | None = -1, *, kind: None = None, order: None = None, stable: bool = True, descending: bool = False,
) -> Array:  # fmt: skip
    """`a` sorted along `axis` (flattened, if None); NaNs come last, or first if `descending`.

    Shape (but for None) and dtype are those of `a`. Raises ValueError for scalars and an axis out
    of bounds, TypeError for NumPy's `kind` and `order`.

    >>> import pullback.numpy as jnp
    >>> jnp.sort(jnp.array([3.0, jnp.nan, 1.0, 2.0]))
    Array([ 1.,  2.,  3., nan], dtype=float32)
    >>> jnp.sort(jnp.array([[3, 1], [2, 4]]), axis=0, descending=True)
    Array([[3, 4],
           [2, 1]], dtype=int32)
    """
    _refuse_numpy_options("sort", kind, order)
    a, axis = _along("sort", a, axis)
    (out,) = sort_p.bind(a, dimension=axis, is_stable=bool(stable), num_keys=1)
    return rev(out, (axis,)) if descending else out


@planned
def argsort(
    a: Any, axis: int | None = -1, *, kind: None = None, order: None = None, stable: bool = True, descending: bool = False,
    dtype: Any = None,
) -> Array:  # fmt: skip
    """The indices that sort `a` along `axis` (flattened, if None): of the shape of `a`, int32
    unless `dtype` is given.

    With `stable`, equal elements keep their order. Raises ValueError for scalars and an axis out of
    bounds, TypeError for NumPy's `kind` and `order`.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([3, 1, 2, 1])
    >>> order = jnp.argsort(x)
    >>> order, x[order]
    (Array([1, 3, 2, 0], dtype=int32), Array([1, 1, 2, 3], dtype=int32))
    """
    _refuse_numpy_options("argsort", kind, order)
    a, axis = _along("argsort", a, axis)
    index_dtype = dtypes.default_dtype(int) if dtype is None else dtypes.canonicalize_dtype(dtype)
    # Descending and stable: sort the reversed array with the reversed indices, and reverse the
    # result.
    keys = rev(a, (axis,)) if descending else a
    indices = broadcasted_iota(index_dtype, a.shape, axis)
    if descending:
        indices = rev(indices, (axis,))
    out = sort_p.bind(keys, indices, dimension=axis, is_stable=bool(stable), num_keys=1)[1]
    return rev(out, (axis,)) if descending else out


def lexsort(keys: Any, axis: int = -1) -> Array:
    """The indices that sort by several keys along `axis`, of which the last is the most important;
    `keys` is a sequence or an array of them.

    Equal elements keep their order. Raises TypeError without keys, ValueError unless all have one
    shape.

    >>> import pullback.numpy as jnp
    >>> first, last = jnp.array([2, 1, 1]), jnp.array([5, 5, 4])
    >>> jnp.lexsort((first, last))
    Array([2, 1, 0], dtype=int32)
    """
    arrays = [array_like(k, "lexsort") for k in tuple(keys)]
    if not arrays:
        raise TypeError("need sequence of keys with len > 0 in lexsort")
    if len({k.shape for k in arrays}) > 1:
        raise ValueError(f"lexsort: all keys need to be the same shape; got {', '.join(str(k.shape) for k in arrays)}")
    if not arrays[0].shape:
        return concrete(np.zeros((), dtypes.default_dtype(int)))
    axis = canonical_axis(axis, len(arrays[0].shape))
    indices = broadcasted_iota(dtypes.default_dtype(int), arrays[0].shape, axis)
    return sort_p.bind(*arrays[::-1], indices, dimension=axis, is_stable=True, num_keys=len(arrays))[-1]


def _check_rank(name: str, a: Any, kth: Any, axis: int) -> Array:
    a = array_like(a, name)
    canonical_axis(kth, a.shape[canonical_axis(axis, len(a.shape))])
    return a


def partition(a: Any, kth: int, axis: int = -1) -> Array:
    """`a` rearranged along `axis` so that element `kth` is where sorting would put it, the smaller
    ones before, the others after.

    The order on either side is unspecified (it is the sorted one). Raises ValueError if `kth` is
    out of bounds.

    >>> import pullback.numpy as jnp
    >>> x = jnp.partition(jnp.array([7, 1, 5, 3, 9]), 2)
    >>> x[2], set(x[:2].tolist())
    (Array(5, dtype=int32), {1, 3})
    """
    return sort(_check_rank("partition", a, kth, axis), axis)


def argpartition(a: Any, kth: int, axis: int = -1) -> Array:
    """The indices that partition `a` along `axis`: of the shape of `a`, int32. See `partition`.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([7, 1, 5, 3, 9])
    >>> x[jnp.argpartition(x, 2)[2]]
    Array(5, dtype=int32)
    """
    return argsort(_check_rank("argpartition", a, kth, axis), axis)


def sort_complex(a: Any) -> Array:
    """`a` as complex numbers, sorted along its last axis by real, then imaginary part.

    The dtype is complex64, or complex128 for 64-bit numbers. Raises ValueError for scalars.

    >>> import pullback.numpy as jnp
    >>> jnp.sort_complex(jnp.array([2 + 1j, 1 + 5j, 1 - 1j]))
    Array([1.-1.j, 1.+5.j, 2.+1.j], dtype=complex64)
    """
    a = array_like(a, "sort_complex")
    return sort(convert(a, dtypes.to_complex(dtypes.to_inexact(a.dtype))))


def top_k(a: Any, k: int, /, *, axis: int = -1, mode: str = "largest", sorted: bool = True) -> tuple[Array, Array]:
    """The `k` largest (or smallest, by `mode`) elements along `axis`, the first being the largest
    (or smallest), and their indices.

    Of equal elements the first ones are taken. NaNs come last in either mode; complex numbers are
    ordered by real, then imaginary part. They are in order with `sorted=False`, too. Raises
    ValueError if `k` is negative or larger than the axis, and for other modes.

    >>> import pullback.numpy as jnp
    >>> top_k(jnp.array([3, 1, 4, 1]), 2)
    (Array([4, 3], dtype=int32), Array([2, 0], dtype=int32))
    >>> top_k(jnp.array([3, 1, 4, 1]), 2, mode="smallest")
    (Array([1, 1], dtype=int32), Array([1, 3], dtype=int32))
    """
    del sorted
    if mode not in ("largest", "smallest"):
        raise here(ValueError, f"top_k: mode must be 'largest' or 'smallest', got {mode!r}")
    a = array_like(a, "top_k")
    if dtypes.kind(a.dtype) not in "biufc":
        raise here(TypeError, f"top_k takes numbers, got {a.aval.str_short()}")
    axis = canonical_axis(axis, len(a.shape))
    k = integer(k, "top_k: k")
    if not 0 <= k <= a.shape[axis]:
        raise here(ValueError, f"top_k: k must be between 0 and {a.shape[axis]}, the length of axis {axis}; got {k}")
    indices = _first(stop_gradient(a), k, axis, mode)
    return take_along_axis(a, indices, axis), convert(indices, dtypes.default_dtype(int))


def _first(a: Array, k: int, axis: int, mode: str) -> Array:
    """The positions of the `k` elements that come first."""
    if dtypes.is_complex(a.dtype) or a.dtype.itemsize > 4 or (a.dtype.itemsize == 4 and a.dtype != dtypes.float32):
        return _first_by_sorting(a, k, axis, mode)
    # All are numbers of float32, of which compilers take the largest more quickly than they sort.
    # But they take NaNs first, and -0.0 after 0.0.
    keys = convert(a, dtypes.float32)
    keys = select(u.equal(keys, 0), concrete(np.zeros((), np.float32)), keys)
    if mode == "smallest":
        keys = u.negative(keys)
    if not dtypes.is_float(a.dtype):
        return top_k_p.bind(keys, k=k, axis=axis)[1]
    has_nan = reduce_any(u.isnan(a))
    known = known_value(has_nan)
    by_sorting = lambda a, keys: _first_by_sorting(a, k, axis, mode)
    by_taking = lambda a, keys: top_k_p.bind(keys, k=k, axis=axis)[1]
    if known is None:
        from pullback.control.branches import cond  # which `import pullback` does without

        return cond(has_nan, by_sorting, by_taking, a, keys)
    return by_sorting(a, keys) if known else by_taking(a, keys)


def _first_by_sorting(a: Array, k: int, axis: int, mode: str) -> Array:
    keys = [a]
    if dtypes.is_inexact(a.dtype):
        keys = [u.real(a), u.imag(a)] if dtypes.is_complex(a.dtype) else [a]
        keys = [u.isnan(a), *(keys if mode == "smallest" else map(u.negative, keys))]
    elif mode == "largest":
        keys = [u.bitwise_not(a)]
    indices = broadcasted_iota(dtypes.int32, a.shape, axis)
    order = sort_p.bind(*keys, indices, dimension=axis, is_stable=True, num_keys=len(keys))[-1]
    return slice_in_dim(order, 0, k, axis=axis)


_METHODS = ("compare_all", "scan", "scan_unrolled", "sort")


@planned
def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None, *, method: str = "scan") -> Array:
    """Where to insert `v` into the sorted array `a` of one axis: before equal elements ("left") or
    after them ("right").

    The indices, of the shape of `v`, are int32. `sorter` gives the order that sorts `a`. `method`
    chooses how to look in traced arrays: "scan" (or "scan_unrolled") bisects, "sort" sorts both
    arrays together, "compare_all" compares each with each. Raises ValueError unless `a` has one
    axis, and for other sides and methods.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([1, 2, 2, 3])
    >>> jnp.searchsorted(x, jnp.array([0, 2, 9])), jnp.searchsorted(x, 2, side="right")
    (Array([0, 1, 4], dtype=int32), Array(3, dtype=int32))
    """
    if side not in ("left", "right"):
        raise ValueError(f"invalid argument side={side!r}, expected 'left' or 'right'")
    if method not in _METHODS:
        raise ValueError(f"invalid argument method={method!r}, expected one of {list(_METHODS)}")
    a, v = promote("searchsorted", a, v)
    if len(a.shape) != 1:
        raise here(ValueError, f"searchsorted: a should be 1-dimensional, got shape {a.shape}")
    if sorter is not None:
        a = take(a, array_like(sorter, "searchsorted"))
    dtype = dtypes.default_dtype(int) if a.shape[0] < 2**31 else dtypes.int64
    known_a, known_v = known_value(a), known_value(v)
    # NumPy orders complex NaNs its own way.
    if known_a is not None and known_v is not None and dtypes.is_numpys(a.dtype) and not dtypes.is_complex(a.dtype):
        return beside(concrete(np.asarray(np.searchsorted(known_a, known_v, side)).astype(dtype)), a, v)
    if not a.shape[0]:
        return u.multiply(convert(u.isnan(v), dtype), 0)
    if method == "sort":
        return _search_by_sorting(a, v, side, dtype)
    if method == "compare_all":
        rows = reshape_p.bind(v, new_sizes=(*v.shape, 1))
        return reduce_sum(_is_before(a, rows, side), -1, dtype)
    return _bisect(a, v, side, dtype)


def _is_before(x: Array, v: Array, side: str) -> Array:
    """Whether `v` is to be inserted after `x`: x < v ("left") or x <= v ("right"), NaN being the
    largest."""
    if dtypes.is_complex(x.dtype):  # by real, then imaginary parts
        (a, b), (c, d) = ((u.real(z), u.imag(z)) for z in (x, v))
        same = u.logical_or(u.equal(a, c), u.logical_and(u.isnan(a), u.isnan(c)))
        return u.logical_or(_is_before(a, c, "left"), u.logical_and(same, _is_before(b, d, side)))
    if side == "left":
        before = u.less(x, v)
        if dtypes.is_inexact(x.dtype):
            before = u.logical_or(before, u.logical_and(u.isnan(v), u.logical_not(u.isnan(x))))
        return before
    before = u.less_equal(x, v)
    return u.logical_or(before, u.isnan(v)) if dtypes.is_inexact(x.dtype) else before


def _bisect(a: Array, v: Array, side: str, dtype: Any) -> Array:
    # The answer is in [low, high], which at least halves in each step.
    low: Any = u.multiply(convert(u.isnan(v), dtype), 0)
    high: Any = u.add(low, a.shape[0])
    # Of a symbolic number of elements, as many steps as the largest takes.
    length = LARGEST if a.shape[0].__class__ is Dim else a.shape[0]
    for _ in range(math.floor(math.log2(length)) + 1):
        middle = right_shift(u.add(low, high), 1)
        after = u.logical_and(u.less(low, high), _is_before(take(a, u.minimum(middle, a.shape[0] - 1)), v, side))
        low, high = select(after, u.add(middle, 1), low), select(after, high, middle)
    return low


def _search_by_sorting(a: Array, v: Array, side: str, dtype: Any) -> Array:
    # In the sorted union, the insertion point of a query is the number of elements of `a` before
    # it. The sort is stable, so queries come before equal elements if they stand first.
    n, m = a.shape[0], v.size
    queries = reshape_p.bind(v, new_sizes=(m,))
    first = m if side == "left" else n
    union = concatenate([queries, a] if side == "left" else [a, queries], 0)
    _, order = sort_p.bind(union, iota(dtype, n + m), dimension=0, is_stable=True, num_keys=1)
    of_a = u.greater_equal(order, first) if side == "left" else u.less(order, first)
    passed = cumsum_p.bind(convert(of_a, dtype), axis=0, reverse=False)
    _, in_place = sort_p.bind(order, passed, dimension=0, is_stable=False, num_keys=1)
    start = 0 if side == "left" else n
    places = u.add(iota(dtype, m), start) if start else iota(dtype, m)
    return reshape_p.bind(take(in_place, places), new_sizes=v.shape)


__all__ = ["argpartition", "argsort", "lexsort", "partition", "searchsorted", "sort", "sort_complex", "top_k"]
