"""Statistics of samples."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import pullback.numpy as jnp
from pullback.core import dtypes
from pullback.core.array import Array
from pullback.core.errors import user_api
from pullback.core.types import canonical_axis
from pullback.numpy.promotion import along, array_like, here

_POLICIES = ("propagate", "omit", "raise")


def _propagates_only(name: str, nan_policy: Any) -> None:
    if nan_policy not in _POLICIES:
        raise here(ValueError, f"{name}: nan_policy must be one of {', '.join(_POLICIES)}, got {nan_policy!r:.100}")
    if nan_policy == "raise":
        raise here(NotImplementedError, f"{name} cannot look for NaNs when it is compiled", "; look for them before")
    if nan_policy == "omit":
        raise here(NotImplementedError, f"{name} with nan_policy='omit'", "; leave NaNs out before")


class ModeResult(NamedTuple):
    """The most frequent values, and how often they occur."""

    mode: Array
    count: Array


@user_api
def mode(a: Any, axis: int | None = 0, nan_policy: str = "propagate", keepdims: bool = False) -> ModeResult:
    """The most frequent value along `axis` (None: of all), the smallest of them if there are several,
    and how often it occurs, as int32 or int64.

    NaNs are equal to each other. Without elements, NaN and a floating 0. `keepdims` keeps the axis,
    with length 1. Raises ValueError for an axis that is none and for an unknown `nan_policy`, and
    NotImplementedError for "omit" and "raise".

    >>> import pullback.numpy as jnp
    >>> mode(jnp.array([3, 1, 3, 2])).mode
    Array(3, dtype=int32)
    """
    _propagates_only("mode", nan_policy)
    x = jnp.atleast_1d(array_like(a, "mode"))
    kept = (1,) * len(x.shape)
    x, axis_ = along(x, axis)
    n = x.shape[axis_]
    if axis is not None:
        kept = (*x.shape[:axis_], 1, *x.shape[axis_ + 1 :])
    result = (*x.shape[:axis_], *x.shape[axis_ + 1 :])
    shape = kept if keepdims else result
    if n == 0:
        floats = x.dtype if dtypes.is_inexact(x.dtype) else dtypes.to_inexact(x.dtype)
        return ModeResult(jnp.full(shape, jnp.nan, floats), jnp.zeros(shape, floats))
    ordered = jnp.moveaxis(jnp.sort(x, axis_), axis_, -1)
    first = jnp.concatenate([jnp.ones((*result, 1), bool), _differ(ordered[..., 1:], ordered[..., :-1])], -1)
    # How many of its run stand up to each element: its position, less that of the first of the run.
    position = jnp.arange(n)
    start = _cummax(jnp.where(first, position, 0))
    length = position - start + 1
    best = jnp.argmax(length, -1, keepdims=True)
    pick = lambda values: jnp.take_along_axis(values, best, -1).reshape(shape)
    return ModeResult(pick(ordered), pick(length))


def _cummax(x: Any) -> Any:
    """The largest up to each place, along the last axis."""
    from pullback.lax.cumulative import cummax

    return cummax(x, axis=len(x.shape) - 1)


def _differ(x: Any, y: Any) -> Any:
    both = jnp.isnan(x) & jnp.isnan(y) if dtypes.is_inexact(x.dtype) else False
    return (x != y) & ~both if both is not False else x != y


@user_api
def rankdata(a: Any, method: str = "average", *, axis: int | None = None, nan_policy: str = "propagate") -> Array:
    """The ranks of elements along `axis` (None: of all, flattened), beginning with 1, as floats of
    the default type.

    Equal elements have the average of their ranks, the smallest ("min"), the largest ("max"), the
    number of different elements so far ("dense"), or ranks in their order ("ordinal"), by `method`.
    All are NaN along an axis that has a NaN. Raises ValueError for another `method` or `nan_policy`
    and for an axis that is none, NotImplementedError for a `nan_policy` of "omit" or "raise".

    >>> import pullback.numpy as jnp
    >>> rankdata(jnp.array([10, 30, 20, 20]))
    Array([1. , 4. , 2.5, 2.5], dtype=float32)
    """
    _propagates_only("rankdata", nan_policy)
    if method not in ("average", "min", "max", "dense", "ordinal"):
        raise here(ValueError, f"rankdata: method must be average, min, max, dense or ordinal, got {method!r:.100}")
    x, axis_ = along(array_like(a, "rankdata"), axis)
    x = jnp.moveaxis(x, axis_, -1)
    floats = dtypes.canonicalize(dtypes.float64)
    n = x.shape[-1]
    if x.size == 0:
        return jnp.moveaxis(jnp.zeros(x.shape, floats), -1, axis_)
    order = jnp.argsort(x, -1, stable=True)
    place = jnp.argsort(order, -1, stable=True)  # of each element, in order
    if method == "ordinal":
        ranks = place + 1
    else:
        ordered = jnp.take_along_axis(x, order, -1)
        first = jnp.concatenate([jnp.ones((*x.shape[:-1], 1), bool), ordered[..., 1:] != ordered[..., :-1]], -1)
        if method == "dense":
            run = jnp.cumsum(first, -1)
        else:
            position = jnp.arange(n)
            low = _cummax(jnp.where(first, position, 0)) + 1
            last = jnp.concatenate([first[..., 1:], jnp.ones((*x.shape[:-1], 1), bool)], -1)
            high = n - jnp.flip(_cummax(jnp.flip(jnp.where(last, n - 1 - position, 0), -1)), -1)
            run = {"min": low, "max": high, "average": low + high}[method]
        ranks = jnp.take_along_axis(run, place, -1)
    out = ranks.astype(floats) * (0.5 if method == "average" else 1)
    if dtypes.is_inexact(x.dtype):
        out = jnp.where(jnp.any(jnp.isnan(x), -1, keepdims=True), jnp.nan, out)
    return jnp.moveaxis(out, -1, axis_)


@user_api
def sem(a: Any, axis: int | None = 0, ddof: int = 1, nan_policy: str = "propagate", *, keepdims: bool = False) -> Array:
    """The standard error of the mean along `axis` (None: of all): the standard deviation of n - `ddof`
    degrees of freedom over √n.

    Integers become floats. A `nan_policy` of "omit" leaves out NaNs, "propagate" does not. NaN where
    n ≤ ddof. Raises ValueError for another `nan_policy` and for an axis that is none, TypeError for
    lists.

    >>> import pullback.numpy as jnp
    >>> sem(jnp.array([1.0, 2.0, 3.0, 4.0]))
    Array(0.6454972, dtype=float32)
    """
    if nan_policy not in ("propagate", "omit"):
        raise here(ValueError, f"sem: nan_policy must be propagate or omit, got {nan_policy!r:.100}")
    x = array_like(a, "sem")
    if axis is None:
        dims = len(x.shape)
        out = sem(jnp.ravel(x), 0, ddof, nan_policy)
        return out.reshape((1,) * dims) if keepdims else out
    axis = canonical_axis(axis, len(x.shape))
    if nan_policy == "omit":
        n: Any = jnp.sum(~jnp.isnan(x), axis, keepdims=keepdims)
        spread = jnp.nanstd(x, axis, ddof=ddof, keepdims=keepdims)
        return spread / jnp.sqrt(n.astype(spread.dtype))
    spread = jnp.std(x, axis, ddof=ddof, keepdims=keepdims)
    n = x.shape[axis]
    return spread / (math.sqrt(n) if n.__class__ is int else jnp.sqrt(n).astype(spread.dtype))


__all__ = ["mode", "rankdata", "sem"]
