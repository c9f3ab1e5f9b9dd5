"""Set operations on arrays: distinct elements, unions, intersections, differences, membership.

How many elements a result has depends on values, so the arrays must be concrete, unless `size`
fixes the length: results are then cut or padded with `fill_value` (by default the smallest element,
where it says no other), and everything works on traced arrays.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, concrete
from pullback.core.types import canonical_axis, count
from pullback.lax.creation import iota
from pullback.lax.cumulative import cumsum_p
from pullback.lax.selection import select
from pullback.lax.shape import convert, move_axis, reshape_p, strong
from pullback.lax.sorting import sort_p
from pullback.numpy import ufuncs as u
from pullback.numpy.creation import full
from pullback.numpy.joining import concatenate
from pullback.numpy.promotion import array_like, here, promote, value_of
from pullback.numpy.reductions import any as reduce_any
from pullback.numpy.selecting import nonzero, take
from pullback.numpy.sorting import searchsorted


class UniqueAllResult(NamedTuple):
    """Result of `unique_all`: the values, the first index of each, the indices that rebuild the
    array, and how often each occurs.

    >>> import pullback.numpy as jnp
    >>> jnp.unique_all(jnp.array([5, 3, 5])).indices
    Array([1, 0], dtype=int32)
    """

    values: Array
    indices: Array
    inverse_indices: Array
    counts: Array


class UniqueCountsResult(NamedTuple):
    """Result of `unique_counts`: the values, and how often each occurs.

    >>> import pullback.numpy as jnp
    >>> values, counts = jnp.unique_counts(jnp.array([5, 3, 5]))
    >>> counts
    Array([1, 2], dtype=int32)
    """

    values: Array
    counts: Array


class UniqueInverseResult(NamedTuple):
    """Result of `unique_inverse`: the values, and the indices that rebuild the array.

    >>> import pullback.numpy as jnp
    >>> jnp.unique_inverse(jnp.array([5, 3, 5])).inverse_indices
    Array([1, 0, 1], dtype=int32)
    """

    values: Array
    inverse_indices: Array


def _flat(x: Array) -> Array:
    return reshape_p.bind(x, new_sizes=(x.size,))


def _number_of(name: str, mask: Array) -> int:
    """How many are true: what the length of a result depends on."""
    why = f"The length of the result of {name} depends on the values; give it the length by `size`."
    return int(np.count_nonzero(value_of(mask, why)))


def unique(
    ar: Any, return_index: bool = False, return_inverse: bool = False, return_counts: bool = False, axis: int | None = None,
    *, equal_nan: bool = True, size: int | None = None, fill_value: Any = None, sorted: bool = True,
) -> Any:  # fmt: skip
    """The distinct elements of `ar`, or subarrays along `axis`, in ascending order; with `size`,
    exactly so many.

    Asked for, there follow the index of each one's first occurrence, the indices that rebuild `ar`
    from them (of the shape of `ar`, without `axis`), and how often each occurs (0 for padding), all
    int32. `fill_value` pads; by default the smallest element does. NaNs count as one, or each for
    itself without `equal_nan`. Raises ConcretizationTypeError for traced arrays without `size`,
    ValueError for an empty array with `size` and no `fill_value`.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([3, 1, 2, 1])
    >>> jnp.unique(x, return_counts=True)
    (Array([1, 2, 3], dtype=int32), Array([2, 1, 1], dtype=int32))
    >>> jnp.unique(x, size=5, fill_value=-1)
    Array([ 1,  2,  3, -1, -1], dtype=int32)
    >>> jnp.unique(jnp.array([[1, 0], [0, 1], [1, 0]]), axis=0)
    Array([[0, 1],
           [1, 0]], dtype=int32)
    """
    del sorted  # they always are
    ar = array_like(ar, "unique")
    ar = strong(ar) if dtypes.is_complex(ar.dtype) else ar
    x = _flat(ar) if axis is None else move_axis(ar, canonical_axis(axis, len(ar.shape)), 0)
    n = x.shape[0]
    dtype = dtypes.default_dtype(int)
    if not n and size and fill_value is None:
        raise here(ValueError, f"unique: for zero-sized input with nonzero size={size}, fill_value must be specified")
    new, order = _sorted_rows(x, equal_nan)
    length = _number_of("unique", new) if size is None else count(size, "unique: size")
    (starts,) = nonzero(new, size=length + 1, fill_value=n)
    is_real = u.less(starts[:-1], n)
    # Padding is the smallest element, if not said otherwise: the first one.
    index = take(order, select(is_real, starts[:-1], concrete(np.zeros((), starts.dtype)))) if n else starts[:-1]
    values = take(x, index, axis=0) if n else _empty_values(x, length, fill_value)
    if fill_value is not None and n:
        fill = convert(array_like(fill_value, "unique"), x.dtype)
        values = select(reshape_p.bind(is_real, new_sizes=(length, *(1,) * (len(x.shape) - 1))), values, fill)
    results = [values if axis is None else move_axis(values, 0, canonical_axis(axis, len(ar.shape)))]
    if return_index:
        results.append(index)
    if return_inverse:
        ranks = u.subtract(cumsum_p.bind(convert(new, dtype), axis=0, reverse=False), 1)
        inverse = sort_p.bind(order, ranks, dimension=0, is_stable=False, num_keys=1)[1]
        results.append(reshape_p.bind(inverse, new_sizes=ar.shape) if axis is None else inverse)
    if return_counts:
        results.append(convert(u.subtract(starts[1:], starts[:-1]), dtype))
    return results[0] if len(results) == 1 else tuple(results)


def _sorted_rows(x: Array, equal_nan: bool) -> tuple[Array, Array]:
    """For the rows of `x` in ascending order: whether each differs from the one before, and its
    index."""
    n = x.shape[0]
    index = iota(dtypes.default_dtype(int), n)
    width = math.prod(x.shape[1:])
    if not n or not width:
        return u.less(index, 1), index
    rows = reshape_p.bind(x, new_sizes=(n, width))
    columns = [take(rows, i, axis=1) for i in range(width)] if width > 1 else [_flat(x)]
    *columns, order = sort_p.bind(*columns, index, dimension=0, is_stable=True, num_keys=width)
    differs: Any = None
    for column in columns:
        here, before = column[1:], column[:-1]
        change = u.not_equal(here, before)
        if equal_nan and dtypes.is_inexact(x.dtype):
            change = u.logical_and(change, u.logical_not(u.logical_and(u.isnan(here), u.isnan(before))))
        differs = change if differs is None else u.logical_or(differs, change)
    return concatenate([concrete(np.ones(1, np.bool_)), differs]), order


def _empty_values(x: Array, length: int, fill_value: Any) -> Array:
    return full((length, *x.shape[1:]), 0 if fill_value is None else fill_value, x.dtype)


def unique_all(x: Any, /, *, size: int | None = None, fill_value: Any = None) -> UniqueAllResult:
    """The distinct elements of `x` in ascending order, their first indices, the inverse and their
    counts; NaNs are all distinct.

    It is the array API standard's; see `unique` for `size` and `fill_value`, which traced arrays
    need.

    >>> import pullback.numpy as jnp
    >>> found = jnp.unique_all(jnp.array([5, 3, 5]))
    >>> found.values, found.indices, found.counts
    (Array([3, 5], dtype=int32), Array([1, 0], dtype=int32), Array([1, 2], dtype=int32))
    >>> found.values[found.inverse_indices]
    Array([5, 3, 5], dtype=int32)
    """
    found = unique(x, True, True, True, equal_nan=False, size=size, fill_value=fill_value)
    return UniqueAllResult(*found)


def unique_counts(x: Any, /, *, size: int | None = None, fill_value: Any = None) -> UniqueCountsResult:
    """The distinct elements of `x` in ascending order and their counts; NaNs are all distinct.

    It is the array API standard's; see `unique` for `size` and `fill_value`, which traced arrays
    need.

    >>> import pullback.numpy as jnp
    >>> values, counts = jnp.unique_counts(jnp.array([5, 3, 5]))
    >>> values, counts
    (Array([3, 5], dtype=int32), Array([1, 2], dtype=int32))
    """
    found = unique(x, return_counts=True, equal_nan=False, size=size, fill_value=fill_value)
    return UniqueCountsResult(*found)


def unique_inverse(x: Any, /, *, size: int | None = None, fill_value: Any = None) -> UniqueInverseResult:
    """The distinct elements of `x` in ascending order and the indices that rebuild it, of its
    shape; NaNs are all distinct.

    It is the array API standard's; see `unique` for `size` and `fill_value`, which traced arrays
    need.

    >>> import pullback.numpy as jnp
    >>> values, inverse = jnp.unique_inverse(jnp.array([[5, 3], [3, 9]]))
    >>> values, values[inverse]
    (Array([3, 5, 9], dtype=int32), Array([[5, 3],
           [3, 9]], dtype=int32))
    """
    found = unique(x, return_inverse=True, equal_nan=False, size=size, fill_value=fill_value)
    return UniqueInverseResult(*found)


def unique_values(x: Any, /, *, size: int | None = None, fill_value: Any = None) -> Array:
    """The distinct elements of `x` in ascending order; NaNs are all distinct.

    It is the array API standard's; see `unique` for `size` and `fill_value`, which traced arrays
    need.

    >>> import pullback.numpy as jnp
    >>> jnp.unique_values(jnp.array([jnp.nan, 3.0, jnp.nan, 3.0]))
    Array([ 3., nan, nan], dtype=float32)
    """
    return unique(x, equal_nan=False, size=size, fill_value=fill_value)


def union1d(ar1: Any, ar2: Any, *, size: int | None = None, fill_value: Any = None) -> Array:
    """The distinct elements of either array, flattened, in ascending order. Dtypes are promoted
    together.

    With `size` there are so many: cut off, or padded with `fill_value` (the smallest element, if
    None). Raises ConcretizationTypeError for traced arrays without `size`.

    >>> import pullback.numpy as jnp
    >>> jnp.union1d(jnp.array([3, 1, 3]), jnp.array([2, 1]))
    Array([1, 2, 3], dtype=int32)
    """
    a, b = promote("union1d", ar1, ar2)
    return unique(concatenate([_flat(a), _flat(b)]), size=size, fill_value=fill_value)


def isin(
    element: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False, *, method: str = "auto"
) -> Array:
    """Whether each element is among `test_elements` (NaN is not): booleans of the shape of
    `element`; with `invert`, whether it is not.

    `method` is "compare_all", "binary_search", "sort" or "auto"; it changes nothing but the cost,
    as `assume_unique` does. Raises ValueError for others.

    >>> import pullback.numpy as jnp
    >>> jnp.isin(jnp.array([[1, 2], [3, 4]]), jnp.array([2, 3]))
    Array([[False,  True],
           [ True, False]], dtype=bool)
    """
    del assume_unique
    if method not in ("auto", "compare_all", "binary_search", "sort"):
        raise ValueError(
            f"{method=} is not implemented; options are 'compare_all', 'binary_search', 'sort', and 'auto'"
        )
    x, tests = promote("isin", element, test_elements)
    tests = _flat(tests)
    n = tests.shape[0]
    if method == "compare_all" or n < 16:
        found = reduce_any(u.equal(reshape_p.bind(x, new_sizes=(*x.shape, 1)), tests), -1)
    else:
        (ordered,) = sort_p.bind(tests, dimension=0, is_stable=False, num_keys=1)
        place = searchsorted(ordered, x, method="sort" if method == "sort" else "scan")
        found = u.equal(take(ordered, u.minimum(place, n - 1)), x)
    return u.logical_not(found) if invert else found


def _selected(name: str, x: Array, mask: Array, size: int | None, fill: Any) -> tuple[Array, Array]:
    """The elements of `x` where `mask` is true, padded with `fill` to `size`, and their indices,
    padded with len(x)."""
    n = x.shape[0]
    length = _number_of(name, mask) if size is None else count(size, f"{name}: size")
    (index,) = nonzero(mask, size=length, fill_value=n)
    if not n:
        return _empty_values(x, length, fill), index
    values = take(x, u.minimum(index, n - 1))
    fill = convert(array_like(fill, name), x.dtype, x.weak_type)
    return select(u.less(index, n), values, fill), index


def intersect1d(
    ar1: Any,
    ar2: Any,
    assume_unique: bool = False,
    return_indices: bool = False,
    *,
    size: int | None = None,
    fill_value: Any = None,
) -> Any:
    """The distinct elements of both arrays, flattened, in ascending order; with `return_indices`,
    also where they first occur in each.

    With `size` there are so many: cut off, or padded with `fill_value` (the smallest common
    element, if None) with indices out of bounds. `assume_unique` promises that neither array
    repeats elements. Raises ConcretizationTypeError for traced arrays without `size`.

    >>> import pullback.numpy as jnp
    >>> jnp.intersect1d(jnp.array([4, 2, 2, 3]), jnp.array([5, 4, 2]), return_indices=True)
    (Array([2, 4], dtype=int32), Array([1, 0], dtype=int32), Array([2, 1], dtype=int32))
    """
    a, b = (_flat(strong(x)) for x in promote("intersect1d", ar1, ar2))
    n = a.shape[0]
    (values_a, index_a, new_a), (values_b, index_b, new_b) = (_marked(x, assume_unique) for x in (a, b))
    # Among equal elements, the one from `ar1` comes first, then its twin from `ar2`, then
    # repetitions.
    order = concatenate([select(new_a, *_ints(0, 2)), select(new_b, *_ints(1, 2))])
    keys = concatenate([values_a, values_b]), order, concatenate([index_a, index_b])
    union, order, positions = sort_p.bind(*keys, dimension=0, is_stable=True, num_keys=2)
    is_pair = u.logical_and(u.equal(order[:-1], 0), u.equal(order[1:], 1))
    twins = u.logical_and(u.equal(union[1:], union[:-1]), is_pair)
    fill = _first_true(twins, union) if fill_value is None else fill_value
    values, index = _selected("intersect1d", union[:-1], twins, size, fill)
    if not return_indices:
        return values
    m = twins.shape[0]
    if not m:
        return values, index, index
    found = u.less(index, m)
    place = u.minimum(index, m - 1)
    here = select(found, take(positions, place), *_ints(n))
    there = select(found, take(positions, u.add(place, 1)), *_ints(b.shape[0]))
    return values, here, there


def _ints(*values: int) -> list[Array]:
    return [concrete(np.array(v, dtypes.default_dtype(int))) for v in values]


def _marked(x: Array, assume_unique: bool) -> tuple[Array, Array, Array]:
    """The elements of `x`, the index of each, and whether it is the first of its kind."""
    if assume_unique:
        return x, iota(dtypes.default_dtype(int), x.shape[0]), concrete(np.ones(x.shape, np.bool_))
    new, order = _sorted_rows(x, True)
    return take(x, order), order, new


def _first_true(mask: Array, values: Array) -> Any:
    """The first of `values` where `mask` is true; 0 if there is none."""
    if not mask.shape[0]:
        return 0
    (first,) = nonzero(mask, size=1, fill_value=0)
    zero = concrete(np.zeros((), values.dtype))
    return select(reduce_any(mask), take(values, first)[0], zero)


def setdiff1d(
    ar1: Any, ar2: Any, assume_unique: bool = False, *, size: int | None = None, fill_value: Any = None
) -> Array:
    """The distinct elements of `ar1` (with `assume_unique`, all, in their order) that are not in
    `ar2`, both flattened.

    They are in ascending order. With `size` there are so many: cut off, or padded with `fill_value`
    (0 if None). Raises ConcretizationTypeError for traced arrays without `size`.

    >>> import pullback.numpy as jnp
    >>> jnp.setdiff1d(jnp.array([4, 2, 2, 3]), jnp.array([5, 4]))
    Array([2, 3], dtype=int32)
    """
    a = _flat(array_like(ar1, "setdiff1d"))
    a = strong(a) if dtypes.is_complex(a.dtype) else a
    wanted = isin(a, array_like(ar2, "setdiff1d"), invert=True)
    if not assume_unique:
        new, order = _sorted_rows(a, True)
        a, wanted = (take(a, order), u.logical_and(take(wanted, order), new)) if a.shape[0] else (a, wanted)
    return _selected("setdiff1d", a, wanted, size, 0 if fill_value is None else fill_value)[0]


def setxor1d(
    ar1: Any, ar2: Any, assume_unique: bool = False, *, size: int | None = None, fill_value: Any = None
) -> Array:
    """The distinct elements of exactly one of the arrays, flattened, in ascending order.

    With `size` there are so many: cut off, or padded with `fill_value` (the smallest of them, if
    None). `assume_unique` promises that neither array repeats elements. Raises
    ConcretizationTypeError for traced arrays without `size`.

    >>> import pullback.numpy as jnp
    >>> jnp.setxor1d(jnp.array([4, 2, 2, 3]), jnp.array([5, 4]))
    Array([2, 3, 5], dtype=int32)
    """
    a, b = (_flat(strong(x)) for x in promote("setxor1d", ar1, ar2))
    x = concatenate([a, b])
    if not x.shape[0]:
        return x if not size else _empty_values(x, size, fill_value)
    origin = u.greater_equal(iota(dtypes.default_dtype(int), x.shape[0]), a.shape[0])
    ordered, origin = sort_p.bind(x, convert(origin, dtypes.int32), dimension=0, is_stable=True, num_keys=1)
    edge = concrete(np.ones(1, np.bool_))
    change = u.not_equal(ordered[1:], ordered[:-1])
    first, last = concatenate([edge, change]), concatenate([change, edge])
    if assume_unique:
        wanted = u.logical_and(first, last)
    else:
        # A run of equal elements counts if both its ends are from the same array (the first array's
        # come first).
        run = u.subtract(cumsum_p.bind(convert(first, dtypes.int32), axis=0, reverse=False), 1)
        (ends,) = nonzero(last, size=x.shape[0], fill_value=0)
        wanted = u.logical_and(first, u.equal(origin, take(origin, take(ends, run))))
    fill = _first_true(wanted, ordered) if fill_value is None else fill_value
    return _selected("setxor1d", ordered, wanted, size, fill)[0]


__all__ = ["intersect1d", "isin", "setdiff1d", "setxor1d", "union1d", "unique", "unique_all", "unique_counts"]
__all__ += ["unique_inverse", "unique_values"]
