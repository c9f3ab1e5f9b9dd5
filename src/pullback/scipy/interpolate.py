"""Interpolation of values on a rectangular grid."""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

import pullback.numpy as jnp
from pullback.core import dtypes
from pullback.core.array import Array
from pullback.core.errors import user_api
from pullback.core.trace import known_value
from pullback.core.tree import register_pytree_node
from pullback.numpy.promotion import array_like, here, inexact, promote_inexact

_METHODS = ("linear", "nearest")


class RegularGridInterpolator:
    """A function of d variables through `values` at the points of a rectangular grid.

    `points` holds d vectors, the strictly ascending or descending coordinates along each axis;
    `values` has their lengths as its first d axes, and any others, which are interpolated each by
    itself. `method` is "linear" (in each variable: the result has the common dtype of values, grid
    and `xi`) or "nearest" (of two as near, the lower; the result has the values' dtype).
    Outside the grid the result is `fill_value`, or with None what the outermost cells extrapolate;
    at NaN it is NaN. Integer values become floats.

    Called with `xi`, of shape (..., d), or a tuple of d arrays that broadcast, it returns an array
    of shape (...) and `values`' further axes; a vector is one point, or for d = 1 as many as it has
    elements. A pytree: grid, values and fill value are its leaves. Differentiable in the values, and for "linear" in
    `xi` and the grid.

    Raises ValueError for other methods, grids that don't fit the values, and grids known not to be
    ascending or descending (those being traced are not looked at); NotImplementedError for
    `bounds_error`, which a compiled function could not raise.

    >>> import pullback.numpy as jnp
    >>> f = RegularGridInterpolator((jnp.arange(3.0),), jnp.array([0.0, 10.0, 40.0]))
    >>> f(jnp.array([[0.5], [1.5], [7.0]]))
    Array([ 5., 25., nan], dtype=float32)
    """

    @user_api
    def __init__(
        self,
        points: Sequence[Any],
        values: Any,
        method: str = "linear",
        bounds_error: bool = False,
        fill_value: Any = np.nan,
    ) -> None:
        _check_method(method)
        if bounds_error:
            raise here(
                NotImplementedError,
                "RegularGridInterpolator: bounds_error is not supported, for a compiled function cannot raise",
                "Leave it out, and look for fill_value in the result.",
            )
        values = inexact(values, "RegularGridInterpolator")
        grid = [array_like(p, "RegularGridInterpolator") for p in points]
        if len(grid) > len(values.shape):
            raise here(
                ValueError, f"RegularGridInterpolator: {len(grid)} vectors of points for values of shape {values.shape}"
            )
        for axis, p in enumerate(grid):
            if len(p.shape) != 1:
                raise here(
                    ValueError,
                    f"RegularGridInterpolator: points must be vectors, those of axis {axis} have shape {p.shape}",
                )
            if p.shape[0] != values.shape[axis] or not p.shape[0]:
                raise here(
                    ValueError,
                    f"RegularGridInterpolator: {p.shape[0]} points for axis {axis} of values of shape {values.shape}",
                )
            known = known_value(p)
            steps = np.ones(0) if known is None else np.diff(np.asarray(known))
            if steps.size and np.all(steps < 0):
                grid[axis], values = jnp.flip(p), jnp.flip(values, axis)
            elif not np.all(steps > 0):
                raise here(
                    ValueError,
                    f"RegularGridInterpolator: the points of axis {axis} must be strictly ascending or descending",
                )
        self.grid = tuple(grid)
        self.values = values
        self.method = method
        self.bounds_error = bounds_error
        self.fill_value = fill_value
        if fill_value is not None and dtypes.is_complex(array_like(fill_value, "RegularGridInterpolator").dtype):
            if not dtypes.is_complex(values.dtype):
                raise here(
                    ValueError, f"RegularGridInterpolator: a complex fill_value for values of dtype {values.dtype}"
                )

    @user_api
    def __call__(self, xi: Any, method: str | None = None) -> Array:
        """The values at `xi`; `method` is the interpolator's if None.

        Raises ValueError for another number of coordinates than the grid's dimensions.
        """
        method = self.method if method is None else method
        _check_method(method)
        if isinstance(xi, tuple):
            xi = jnp.stack(jnp.broadcast_arrays(*[array_like(x, "RegularGridInterpolator") for x in xi]), -1)
        xi = array_like(xi, "RegularGridInterpolator")
        d = len(self.grid)
        if not xi.shape and d == 1:
            xi = xi[None]
        elif len(xi.shape) == 1 and d and xi.shape[0] % d == 0:
            xi = xi.reshape(-1, d)
        if not xi.shape or xi.shape[-1] != d:
            raise here(
                ValueError, f"RegularGridInterpolator: xi must have shape (..., {d}) for {d} axes, got {xi.shape}"
            )
        (xi,) = promote_inexact("RegularGridInterpolator", xi)
        trailing = len(self.values.shape) - d
        columns = [xi[..., axis] for axis in range(d)]
        along = [_along(p, x, method, trailing) for p, x in zip(self.grid, columns)]
        total: Any = None
        for corner in itertools.product(*along):
            value = self.values[tuple([index for index, _ in corner])]
            for _, weight in corner:
                if weight is not None:
                    value = value * weight
            total = value if total is None else total + value
        if total is None:
            return self.values
        nan = functools.reduce(operator.or_, [jnp.isnan(x) for x in columns])
        if self.fill_value is not None:
            outside = [(x < p[0]) | (x > p[-1]) for p, x in zip(self.grid, columns)]
            fill = jnp.asarray(self.fill_value, total.dtype)
            total = jnp.where(_widened(functools.reduce(operator.or_, outside), trailing), fill, total)
        return jnp.where(_widened(nan, trailing), jnp.asarray(np.nan, total.dtype), total)


def _flatten(f: RegularGridInterpolator) -> tuple[tuple[Any, ...], tuple[str, bool]]:
    return (f.grid, f.values, f.fill_value), (f.method, f.bounds_error)


def _unflatten(auxiliary: tuple[str, bool], children: Any) -> RegularGridInterpolator:
    f = object.__new__(RegularGridInterpolator)
    f.grid, f.values, f.fill_value = children
    f.method, f.bounds_error = auxiliary
    return f


register_pytree_node(RegularGridInterpolator, _flatten, _unflatten)


def _check_method(method: str) -> None:
    if method not in _METHODS:
        raise here(ValueError, f"RegularGridInterpolator: method must be 'linear' or 'nearest', got {method!r:.100}")


def _widened(x: Array, trailing: int) -> Array:
    return x.reshape(x.shape + (1,) * trailing)


def _along(p: Array, x: Array, method: str, trailing: int) -> list[tuple[Any, Any]]:
    """The points that count for each of `x`, and their weights (None: one)."""
    n = p.shape[0]
    if n == 1:
        return [(jnp.zeros(x.shape, int), None)]
    lower = jnp.clip(jnp.searchsorted(p, x, side="right") - 1, 0, n - 2)
    start = p[lower]
    share = (x - start) / (p[lower + 1] - start)
    if method == "nearest":
        return [(jnp.where(share <= 0.5, lower, lower + 1), None)]
    share = _widened(share, trailing)
    return [(lower, 1 - share), (lower + 1, share)]


__all__ = ["RegularGridInterpolator"]
