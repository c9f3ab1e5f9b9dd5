"""Images at positions between their pixels."""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Sequence
from typing import Any

import pullback.numpy as jnp
from pullback.core import dtypes
from pullback.core.array import Array
from pullback.core.errors import user_api
from pullback.core.types import integer
from pullback.numpy.promotion import array_like, here, promote_inexact

_MODES = ("constant", "nearest", "wrap", "mirror", "reflect")


@user_api
def map_coordinates(
    input: Any, coordinates: Sequence[Any], order: int, mode: str = "constant", cval: Any = 0.0
) -> Array:
    """`input` at the positions `coordinates`, an array for each of its axes.

    `order` 0 takes the nearest pixel, 1 interpolates linearly between neighbours along each axis.
    `mode` says what is outside: `cval` ("constant"), the last pixel ("nearest"), the image again
    ("wrap"), or its mirror image, at the centre of the last pixel ("mirror") or at its border
    ("reflect"). These are what SciPy calls "grid-constant" and "grid-wrap", where it has two.

    The result has the shape of the coordinates, which broadcast, and the dtype of `input`; of
    integers, values are rounded. Differentiable in the input and, for order 1, in the coordinates.
    Raises ValueError for a number of coordinates other than that of axes, NotImplementedError for
    other modes and orders.

    >>> import pullback.numpy as jnp
    >>> x = jnp.arange(12.0).reshape(3, 4)
    >>> map_coordinates(x, [jnp.array([0.5, 1.5]), jnp.array([1.5, 2.5])], order=1)
    Array([3.5, 8.5], dtype=float32)
    """
    x = array_like(input, "map_coordinates")
    positions = [array_like(c, "map_coordinates") for c in coordinates]
    if len(positions) != len(x.shape):
        raise here(
            ValueError,
            f"map_coordinates: coordinates must be a sequence of one array an axis, got {len(positions)} for shape {x.shape}",
        )
    if mode not in _MODES:
        raise here(NotImplementedError, f"map_coordinates: mode must be one of {', '.join(_MODES)}, got {mode!r:.100}")
    if integer(order, "map_coordinates: order") not in (0, 1):
        raise here(NotImplementedError, f"map_coordinates: order must be 0 or 1, got {order}")
    cval = jnp.asarray(cval, x.dtype)
    # For each axis, the pixels that count at each position, whether they are inside, and their weights.
    neighbours = [_along(c, n, order, mode) for c, n in zip(positions, x.shape)]
    total: Any = None
    for corner in itertools.product(*neighbours):
        value = x[tuple([index for index, _, _ in corner])]
        inside = [i for _, i, _ in corner if i is not None]
        if inside:
            value = jnp.where(functools.reduce(operator.and_, inside), value, cval)
        for _, _, weight in corner:
            if weight is not None:
                value = value * weight
        total = value if total is None else total + value
    if dtypes.is_inexact(x.dtype):
        return total.astype(x.dtype)
    if dtypes.is_inexact(total.dtype):
        total = _nearest(total)
    return total.astype(x.dtype)


def _nearest(x: Any) -> Any:
    """The nearest whole number; of two, the one farther from zero."""
    whole = jnp.trunc(x)
    return whole + jnp.where(abs(x - whole) >= 0.5, jnp.sign(x), 0).astype(whole.dtype)


def _along(c: Any, n: int, order: int, mode: str) -> list[tuple[Any, Any, Any]]:
    if order == 0:
        nearest = c if dtypes.is_integer(c.dtype) else _nearest(c)
        return [(*_inside(nearest, n, mode), None)]
    (c,) = promote_inexact("map_coordinates", c)
    lower = jnp.floor(c)
    weight = c - lower
    return [(*_inside(lower, n, mode), 1 - weight), (*_inside(lower + 1, n, mode), weight)]


def _inside(c: Any, n: int, mode: str) -> tuple[Any, Any]:
    """The pixel that stands for the whole number `c`, and whether it is one of the image (None:
    always)."""
    i = c.astype(dtypes.default_dtype(int))
    if mode == "constant":
        return jnp.clip(i, 0, n - 1), (c >= 0) & (c < n)
    if mode == "nearest":
        return jnp.clip(i, 0, n - 1), None
    if mode == "wrap":
        return jnp.mod(i, n), None
    if mode == "reflect":
        i = jnp.mod(i, 2 * n)
        return jnp.minimum(i, 2 * n - 1 - i), None
    i = jnp.mod(i, max(2 * (n - 1), 1))
    return jnp.minimum(i, 2 * (n - 1) - i), None


__all__ = ["map_coordinates"]
