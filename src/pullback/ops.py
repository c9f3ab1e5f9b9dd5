"""Reductions of the parts of an array that a second array names: sums, products and extrema by
segment.

    segment_sum(data, ids)[k] = Σ data[i] over all i with ids[i] = k

Each is one scatter into an array of the operation's identity, which takes one pass over the data,
and has a scatter's derivatives: of a sum the cotangent is read at the segments; of an extremum it
is shared by the elements that are equal to it. The derivative of a product by one of its factors is
the product of the others. It is found without a division, so that it is right where factors are
zero, and in programs whose segments are not known while they are traced.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import pullback.numpy as jnp
from pullback.control.associative import associative_scan
from pullback.core import dtypes
from pullback.core.array import Array
from pullback.core.errors import user_api
from pullback.core.types import integer
from pullback.lax.indexing import scatter_add_p, scatter_max_p, scatter_min_p, scatter_mul_p
from pullback.lax.positions import CLIP, FILL_OR_DROP, GatherScatterMode, ScatterDimensionNumbers
from pullback.lax.summation import highest, lowest
from pullback.numpy.promotion import array_like, here, value_of
from pullback.transforms.custom_jvp import custom_jvp
from pullback.xla.devices import no_sharding


@user_api
def segment_sum(
    data: Any, segment_ids: Any, num_segments: int | None = None, indices_are_sorted: bool = False,
    unique_indices: bool = False, bucket_size: int | None = None, mode: Any = None, out_sharding: Any = None,
) -> Array:  # fmt: skip
    """The sums of the elements (or rows) of `data` that belong to the same segment.

    - `data`: an array of numbers; `segment_ids` says of each element along its first axis to which
      segment it belongs. The ids need not be sorted. Those below 0 or not below `num_segments`
      belong to none, or to the nearest in mode "clip".
    - `num_segments`: how many segments there are, the length of the result; by default the largest
      id and one more, for which the ids must be known: a program that is compiled has to be told.
    - `indices_are_sorted`, `unique_indices`: promises about the ids, which compilers use.
    - `bucket_size`: if given, so many elements each are added up for themselves first, which makes
      rounding errors smaller, and takes the memory of a result for each bucket.

    The result has the dtype of `data` and the shape (num_segments, *data.shape[1:]); segments that
    have no elements are 0. Raises TypeError for ids that are no integers and data that are no
    numbers, ValueError for shapes that do not fit, a negative `num_segments` and no ids to tell it
    from, ConcretizationTypeError if it is not given and the ids are traced.

    >>> import pullback.numpy as jnp
    >>> segment_sum(jnp.array([5.0, 1.0, 2.0, 3.0]), jnp.array([0, 2, 2, 0]))
    Array([8., 0., 3.], dtype=float32)
    """
    return _segments(
        "segment_sum",
        data,
        segment_ids,
        num_segments,
        indices_are_sorted,
        unique_indices,
        bucket_size,
        mode,
        out_sharding,
    )


@user_api
def segment_prod(
    data: Any, segment_ids: Any, num_segments: int | None = None, indices_are_sorted: bool = False,
    unique_indices: bool = False, bucket_size: int | None = None, mode: Any = None, out_sharding: Any = None,
) -> Array:  # fmt: skip
    """The products of the elements of `data` that belong to the same segment; 1 where there are
    none. See `segment_sum`.

    >>> import pullback.numpy as jnp
    >>> from pullback.transforms.derivatives import grad
    >>> x, ids = jnp.array([5.0, 0.0, 2.0, 3.0]), jnp.array([0, 1, 1, 0])
    >>> segment_prod(x, ids).tolist(), grad(lambda x: segment_prod(x, ids).sum())(x).tolist()
    ([15.0, 0.0], [3.0, 2.0, 0.0, 5.0])
    """
    return _segments(
        "segment_prod",
        data,
        segment_ids,
        num_segments,
        indices_are_sorted,
        unique_indices,
        bucket_size,
        mode,
        out_sharding,
    )


@user_api
def segment_min(
    data: Any, segment_ids: Any, num_segments: int | None = None, indices_are_sorted: bool = False,
    unique_indices: bool = False, bucket_size: int | None = None, mode: Any = None, out_sharding: Any = None,
) -> Array:  # fmt: skip
    """The smallest of the elements of `data` that belong to the same segment, NaN if there is one;
    where there are none, infinity or the largest integer. See `segment_sum`.

    >>> import pullback.numpy as jnp
    >>> segment_min(jnp.array([5.0, 1.0, 2.0, 3.0]), jnp.array([0, 2, 2, 0]))
    Array([ 3., inf,  1.], dtype=float32)
    """
    return _segments(
        "segment_min",
        data,
        segment_ids,
        num_segments,
        indices_are_sorted,
        unique_indices,
        bucket_size,
        mode,
        out_sharding,
    )


@user_api
def segment_max(
    data: Any, segment_ids: Any, num_segments: int | None = None, indices_are_sorted: bool = False,
    unique_indices: bool = False, bucket_size: int | None = None, mode: Any = None, out_sharding: Any = None,
) -> Array:  # fmt: skip
    """The largest of the elements of `data` that belong to the same segment, NaN if there is one;
    where there are none, minus infinity or the smallest integer. See `segment_sum`.

    >>> import pullback.numpy as jnp
    >>> segment_max(jnp.array([5.0, 1.0, 2.0, 3.0]), jnp.array([0, 2, 2, 0]))
    Array([  5., -inf,   2.], dtype=float32)
    """
    return _segments(
        "segment_max",
        data,
        segment_ids,
        num_segments,
        indices_are_sorted,
        unique_indices,
        bucket_size,
        mode,
        out_sharding,
    )


#: Of each function the scatter, the identity in a dtype, and what joins buckets.
_KINDS: dict[str, tuple[Any, Callable[[Any], Any], Callable[..., Array]]] = {
    "segment_sum": (scatter_add_p, lambda dtype: dtype.type(0), jnp.sum),
    "segment_prod": (scatter_mul_p, lambda dtype: dtype.type(1), jnp.prod),
    "segment_min": (scatter_min_p, highest, jnp.min),
    "segment_max": (scatter_max_p, lowest, jnp.max),
}
_ROWS = ScatterDimensionNumbers((), (0,), (0,))


def _segments(
    name: str, data: Any, segment_ids: Any, num_segments: Any, is_sorted: bool, unique: bool, bucket_size: Any, mode: Any,
    out_sharding: Any,
) -> Array:  # fmt: skip
    no_sharding(name, out_sharding)
    data, ids = array_like(data, name), array_like(segment_ids, name)
    primitive, identity, join = _KINDS[name]
    if not dtypes.is_integer(ids.dtype):
        raise here(TypeError, f"{name}: segment_ids must be integers, got {ids.aval.str_short()}")
    if dtypes.kind(data.dtype) not in primitive.kinds:
        raise here(
            TypeError, f"{name} does not accept dtype {dtypes.name(data.dtype)}", ": sums and products are of numbers"
        )
    how = GatherScatterMode.from_any(mode)
    if num_segments is None:
        if not ids.size:
            raise here(ValueError, f"{name} of no elements: num_segments cannot be told from them", "; give it")
        why = f"{name} needs num_segments where the segments are not known: it is the length of the result."
        num_segments = max(int(np.max(value_of(ids, why))) + 1, 0)
    n = integer(num_segments, f"{name}: num_segments")
    if n < 0:
        raise here(ValueError, f"{name}: num_segments must be non-negative, got {n}")
    # Ids of any shape name rows of data that broadcast to it; from here on there is one axis of them.
    rest = data.shape[1:]
    try:
        rows = jnp.broadcast_to(data, (*ids.shape, *rest))
    except ValueError:
        raise here(
            ValueError, f"{name}: data of shape {data.shape} and segment_ids of shape {ids.shape} differ in length"
        ) from None
    rows, ids = rows.reshape((ids.size, *rest)), ids.reshape(ids.size)
    start = np.asarray(identity(data.dtype), data.dtype)

    def scattered(ids: Any, n: int, is_sorted: bool, how: Any) -> Any:
        into = jnp.full((n, *rest), start)
        promises = {"indices_are_sorted": is_sorted, "unique_indices": unique, "mode": how}
        if primitive is scatter_mul_p:
            return _products(rows, ids, into, promises)
        return _scatter(primitive, into, ids, rows, promises)

    if bucket_size is None:
        return scattered(ids, n, bool(is_sorted), how)
    size = integer(bucket_size, f"{name}: bucket_size")
    if size <= 0:
        raise here(ValueError, f"{name}: bucket_size must be positive, got {size}")
    buckets = -(-ids.size // size)
    ids = ids.astype(dtypes.default_dtype(int))
    inside = (ids >= 0) & (ids < n)
    ids = jnp.clip(ids, 0, max(n - 1, 0))
    cell = ids + n * (jnp.arange(rows.shape[0]) // size)
    cell = cell if how is CLIP else jnp.where(inside, cell, -1)
    parts = scattered(cell, buckets * n, False, FILL_OR_DROP).reshape((buckets, n, *rest))
    if not buckets:
        return jnp.full((n, *rest), start)
    return join(parts, axis=0).astype(data.dtype)


def _scatter(primitive: Any, into: Any, ids: Any, rows: Any, promises: Any) -> Any:
    windows = ScatterDimensionNumbers(tuple(range(1, len(rows.shape))), *_ROWS[1:])
    return primitive.bind(into, ids.reshape((-1, 1)), rows, dimension_numbers=windows, **promises)


def _products(rows: Any, ids: Any, into: Any, promises: Any) -> Any:
    """The products, with their derivative: Σ over i of t[i] times the product of the other factors
    of i's segment.

    In the order of the segments that is the product of those before i, an exclusive scan that
    starts anew with each segment, and of those after it, the same from the other end. Both are made
    of products alone, which gives higher derivatives in the same way.
    """

    @custom_jvp
    def products(rows: Any, ids: Any) -> Any:
        return _scatter(scatter_mul_p, into, ids, rows, promises)

    @products.defjvp
    def products_jvp(primals: Any, tangents: Any) -> Any:
        (rows, ids), (t, _) = primals, tangents
        out = products(rows, ids)
        zeros = jnp.zeros_like(into)
        if (promises["unique_indices"] and promises["mode"] is not CLIP) or not rows.shape[0]:
            return out, _scatter(scatter_add_p, zeros, ids, t, promises)
        if promises["mode"] is CLIP:
            ids = jnp.clip(ids, 0, into.shape[0] - 1)
        if not promises["indices_are_sorted"]:
            order = jnp.argsort(ids)
            ids, rows, t = ids[order], rows[order], t[order]
        changes = jnp.concatenate([np.ones(1, bool), ids[1:] != ids[:-1]])
        along = (-1, *(1,) * (len(rows.shape) - 1))
        first, last = changes.reshape(along), jnp.roll(changes, -1).reshape(along)
        others = _exclusive(rows, first, False) * _exclusive(rows, last, True)
        return out, _scatter(scatter_add_p, zeros, ids, others * t, {**promises, "indices_are_sorted": True})

    return products(rows, ids)


def _exclusive(rows: Any, starts: Any, reverse: bool) -> Any:
    """The products of the rows before each one, back to where its segment starts."""
    before = jnp.where(starts, np.ones((), rows.dtype), jnp.roll(rows, -1 if reverse else 1, 0))

    def then(a: Any, b: Any) -> Any:
        return a[0] | b[0], jnp.where(b[0], b[1], a[1] * b[1])

    return associative_scan(then, (starts, before), reverse)[1]


__all__ = ["segment_max", "segment_min", "segment_prod", "segment_sum"]
