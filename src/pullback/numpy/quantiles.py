"""Quantiles, percentiles and medians, with and without NaNs."""

from __future__ import annotations

import math
from typing import Any

from pullback.core import dtypes
from pullback.core.array import Array
from pullback.core.dtypes import DType
from pullback.core.types import Shape
from pullback.lax.cumulative import cumsum_p
from pullback.lax.family import size_as
from pullback.lax.selection import select
from pullback.lax.shape import broadcast_to, convert, reshape_p, strong, transpose_p
from pullback.lax.sorting import sort_p
from pullback.numpy import ufuncs as u
from pullback.numpy.planned import planned
from pullback.numpy.promotion import array_like, here, inexact
from pullback.numpy.reductions import all, filled, reduced_axes, sum
from pullback.numpy.selecting import take_along_axis
from pullback.xla.devices import no_sharding

_METHODS = ("linear", "lower", "higher", "midpoint", "nearest", "inverted_cdf")


@planned
def quantile(
    a: Any, q: Any, axis: int | tuple[int, ...] | None = None, out: None = None, overwrite_input: bool = False,
    method: str = "linear", keepdims: bool = False, *, weights: Any = None,
) -> Array:  # fmt: skip
    """The quantiles `q` along `axis` (one, several, or all): values below which a part `q` of the
    elements lies; NaN if there is a NaN.

    `q`, in [0, 1], is a scalar or has one axis, which comes first in the result. `method` says what
    lies between two elements: "linear", "lower", "higher", "midpoint", "nearest", or "inverted_cdf"
    (the only one that takes `weights`, of the shape of `a` or of `axis`). Integers give floats.
    Raises ValueError for complex numbers, unknown methods and empty axes, TypeError for an integer
    `q`.

    Source: R. Hyndman and Y. Fan, "Sample quantiles in statistical packages" (1996): "linear" is
    their definition 7, "inverted_cdf" 1.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([1.0, 2.0, 3.0, 4.0])
    >>> jnp.quantile(x, jnp.array([0.0, 0.5, 0.9])).round(2)
    Array([1. , 2.5, 3.7], dtype=float32)
    >>> jnp.quantile(x, 0.9, method="lower")
    Array(3., dtype=float32)
    """
    return _quantile("quantile", a, q, axis, out, overwrite_input, method, keepdims, weights)


def nanquantile(
    a: Any, q: Any, axis: int | tuple[int, ...] | None = None, out: None = None, overwrite_input: bool = False,
    method: str = "linear", keepdims: bool = False, *, weights: Any = None,
) -> Array:  # fmt: skip
    """The quantiles `q` of the elements along `axis` that are not NaN; NaN where there are none.
    See `quantile` for the arguments and errors.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([[1.0, jnp.nan, 3.0], [4.0, 5.0, 9.0]])
    >>> jnp.nanquantile(x, 0.5, axis=1), jnp.quantile(x, 0.5, axis=1)
    (Array([2., 5.], dtype=float32), Array([nan,  5.], dtype=float32))
    """
    return _quantile("nanquantile", a, q, axis, out, overwrite_input, method, keepdims, weights)


@planned
def percentile(
    a: Any, q: Any, axis: int | tuple[int, ...] | None = None, out: None = None, overwrite_input: bool = False,
    method: str = "linear", keepdims: bool = False, *, weights: Any = None, out_sharding: Any = None,
) -> Array:  # fmt: skip
    """The values below which `q` percent of the elements along `axis` lie: `quantile(a, q / 100)`.
    See there for the arguments and errors; `q` may be an integer.

    >>> import pullback.numpy as jnp
    >>> jnp.percentile(jnp.arange(11), jnp.array([25, 50, 90]))
    Array([2.5, 5. , 9. ], dtype=float32)
    """
    no_sharding("percentile", out_sharding)
    return quantile(a, u.divide(q, 100), axis, out, overwrite_input, method, keepdims, weights=weights)


def nanpercentile(
    a: Any, q: Any, axis: int | tuple[int, ...] | None = None, out: None = None, overwrite_input: bool = False,
    method: str = "linear", keepdims: bool = False, *, weights: Any = None,
) -> Array:  # fmt: skip
    """`percentile` of the elements that are not NaN: `nanquantile(a, q / 100)`. See `quantile` for
    the arguments and errors.

    >>> import pullback.numpy as jnp
    >>> jnp.nanpercentile(jnp.array([0.0, jnp.nan, 10.0]), 25)
    Array(2.5, dtype=float32)
    """
    return nanquantile(a, u.divide(q, 100), axis, out, overwrite_input, method, keepdims, weights=weights)


@planned
def median(
    a: Any, axis: int | tuple[int, ...] | None = None, out: None = None, overwrite_input: bool = False, keepdims: bool = False,
) -> Array:  # fmt: skip
    """The middle element along `axis` (one, several, or all) when sorted, or the mean of the two
    middle ones; NaN if there is a NaN.

    Integers give floats. Raises ValueError for complex numbers and empty axes.

    >>> import pullback.numpy as jnp
    >>> jnp.median(jnp.array([[3, 1, 100], [2, 8, 4]]), axis=1)
    Array([3., 4.], dtype=float32)
    >>> jnp.median(jnp.array([1, 2, 3, 10]))
    Array(2.5, dtype=float32)
    """
    return quantile(a, 0.5, axis, out, overwrite_input, "midpoint", keepdims)


def nanmedian(
    a: Any,
    axis: int | tuple[int, ...] | None = None,
    out: None = None,
    overwrite_input: bool = False,
    keepdims: bool = False,
) -> Array:
    """The median of the elements along `axis` that are not NaN; NaN where there are none. See
    `median`.

    >>> import pullback.numpy as jnp
    >>> jnp.nanmedian(jnp.array([3.0, jnp.nan, 1.0, 100.0]))
    Array(3., dtype=float32)
    """
    return nanquantile(a, 0.5, axis, out, overwrite_input, "midpoint", keepdims)


def _quantile(
    name: str, a: Any, q: Any, axis: Any, out: Any, overwrite_input: bool, method: str, keepdims: bool, weights: Any
) -> Array:
    u.no_out(name, out)
    if overwrite_input:
        raise here(ValueError, f"{name}: overwrite_input is not supported, as arrays are immutable")
    if method not in _METHODS:
        raise here(ValueError, f"{name}: method must be one of {', '.join(map(repr, _METHODS))}; got {method!r}")
    if weights is not None and method != "inverted_cdf":
        raise here(NotImplementedError, f"{name}: method {method!r} takes no weights, only 'inverted_cdf' does")
    a, q = array_like(a, name), array_like(q, name)
    if dtypes.is_complex(a.dtype) or dtypes.is_complex(q.dtype):
        raise here(ValueError, f"{name} does not support complex input, as complex numbers have no order; got {a.aval}")
    if len(q.shape) > 1:
        raise here(ValueError, f"{name}: q must have at most one axis, got shape {q.shape}")
    if not dtypes.is_inexact(q.dtype):
        raise here(TypeError, f"{name}: q must be floating, got {q.aval}")
    axes = reduced_axes(axis, a)
    x = strong(inexact(a, name))
    rows = _last_axis(x, axes)
    if not rows.shape[-1]:
        raise here(ValueError, f"{name}: nothing to choose from in shape {a.shape} along axis {axis}")
    result_dtype = x.dtype
    compute = result_dtype if result_dtype.itemsize >= 4 else dtypes.float32
    fractions = reshape_p.bind(convert(q, compute), new_sizes=(q.size,))
    missing, skip_nan = u.isnan(rows), name == "nanquantile"
    if weights is not None:
        values = _weighted_quantile(name, a, rows, missing, array_like(weights, name), axes, fractions, skip_nan)
    else:
        values = _unweighted_quantile(rows, missing, fractions, method, compute, skip_nan)
    if not skip_nan:
        values = filled(values, u.logical_not(all(u.logical_not(missing), -1, keepdims=True)), math.nan)
    values = convert(values, result_dtype)
    last = len(values.shape) - 1
    values = transpose_p.bind(values, permutation=(last, *range(last))) if last else values
    kept = [1 if i in axes else m for i, m in enumerate(a.shape) if keepdims or i not in axes]
    shape = (*q.shape, *kept)
    return values if values.shape == shape else reshape_p.bind(values, new_sizes=shape)


def _last_axis(x: Array, axes: Shape) -> Array:
    """`x` with `axes` merged into one last axis."""
    kept = tuple(i for i in range(len(x.shape)) if i not in axes)
    permutation = (*kept, *axes)
    if permutation != tuple(range(len(x.shape))):
        x = transpose_p.bind(x, permutation=permutation)
    return reshape_p.bind(x, new_sizes=(*x.shape[: len(kept)], math.prod(x.shape[len(kept) :])))


def _pick(rows: Array, index: Array, compute: DType) -> Array:
    """Elements of each row by (floating) index."""
    index = broadcast_to(convert(index, dtypes.int32), (*rows.shape[:-1], index.shape[-1]))
    return convert(take_along_axis(rows, index, axis=-1), compute)


def _unweighted_quantile(rows: Array, missing: Array, q: Array, method: str, compute: DType, skip_nan: bool) -> Array:
    """Quantiles `q` of each row: shape (*rows, len(q))."""
    axis = len(rows.shape) - 1
    (ordered,) = sort_p.bind(rows, dimension=axis, is_stable=True, num_keys=1)  # NaNs come last
    if skip_nan:
        count = sum(u.logical_not(missing), -1, dtype=compute, keepdims=True)
    else:
        count = size_as(compute, rows.shape[-1])
    if method == "inverted_cdf":
        position = u.subtract(u.ceil(u.multiply(q, count)), 1)
        low = high = u.clip(position, 0, rows.shape[-1] - 1)
    else:
        position = u.multiply(q, u.subtract(count, 1))
        top = u.maximum(u.subtract(count, 1), 0)
        low = u.minimum(u.maximum(u.floor(position), 0), top)
        high = u.minimum(u.maximum(u.ceil(position), 0), top)
    if method in ("lower", "inverted_cdf"):
        return _pick(ordered, low, compute)
    if method == "higher":
        return _pick(ordered, high, compute)
    if method == "nearest":
        # Ties go to the lower one.
        nearest = select(u.less_equal(u.subtract(position, low), 0.5), low, high)
        return _pick(ordered, nearest, compute)
    below, above = _pick(ordered, low, compute), _pick(ordered, high, compute)
    if method == "midpoint":
        return u.multiply(u.add(below, above), 0.5)
    weight = u.subtract(position, low)
    # Not below + weight·(above - below): with infinities that would be NaN. A weight of 0 must not
    # meet infinity either.
    exact = u.equal(low, high)
    mixed = u.add(u.multiply(below, u.subtract(1, weight)), u.multiply(above, weight))
    return select(exact, below, mixed)


def _weighted_quantile(
    name: str, a: Array, rows: Array, missing: Array, weights: Array, axes: Shape, q: Array, skip_nan: bool
) -> Array:
    """The first elements at which the cumulative weight reaches the fractions `q` of the total."""
    if weights.shape != a.shape:
        if len(weights.shape) != len(axes) or weights.shape != tuple(a.shape[i] for i in axes):
            raise here(ValueError, f"{name}: weights of shape {weights.shape} do not match a of shape {a.shape}")
        weights = reshape_p.bind(weights, new_sizes=tuple(n if i in axes else 1 for i, n in enumerate(a.shape)))
    heavy = _last_axis(broadcast_to(convert(weights, q.dtype), a.shape), axes)
    if skip_nan:
        heavy = filled(heavy, missing, 0)
    axis = len(rows.shape) - 1
    ordered, heavy = sort_p.bind(rows, heavy, dimension=axis, is_stable=True, num_keys=1)
    reached = cumsum_p.bind(heavy, axis=axis, reverse=False)
    total = sum(heavy, -1, keepdims=True)
    target = u.multiply(q, total)
    before = u.less(_new_axis(reached, axis), _new_axis(target, axis + 1))  # (*rows, len(q), n)
    index = u.minimum(sum(before, -1, dtypes.int32), rows.shape[-1] - 1)
    return _pick(ordered, index, q.dtype)


def _new_axis(x: Array, position: int) -> Array:
    return reshape_p.bind(x, new_sizes=(*x.shape[:position], 1, *x.shape[position:]))


__all__ = ["median", "nanmedian", "nanpercentile", "nanquantile", "percentile", "quantile"]
