"""`pad`: arrays with more elements at their edges, in each of NumPy's modes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, concrete
from pullback.core.errors import user_line
from pullback.core.types import refuse_masked
from pullback.lax.arrangement import concatenate as lax_concatenate
from pullback.lax.arrangement import pad as lax_pad
from pullback.lax.arrangement import slice_in_dim
from pullback.lax.shape import convert
from pullback.numpy import reductions, ufuncs
from pullback.numpy.creation import zeros_like
from pullback.numpy.joining import join_arrays
from pullback.numpy.manipulation import broadcast_to, flip, squeeze
from pullback.numpy.planned import planned
from pullback.numpy.promotion import array_like, here
from pullback.numpy.quantiles import median
from pullback.numpy.ranges import linspace
from pullback.numpy.rearranging import take_slice
from pullback.numpy.vectorization import apply_along_axis

_PAD_OPTIONS: dict[str, tuple[str, ...]] = {
    "constant": ("constant_values",), "edge": (), "linear_ramp": ("end_values",), "maximum": ("stat_length",),
    "mean": ("stat_length",), "median": ("stat_length",), "minimum": ("stat_length",), "reflect": ("reflect_type",),
    "symmetric": ("reflect_type",), "wrap": (), "empty": (),
}  # fmt: skip


def _pairs(name: str, value: Any, ndim: int) -> list[tuple[Any, Any]]:
    """A (before, after) pair for each axis from a scalar, a pair, or a sequence of one or `ndim`
    pairs."""
    refuse_masked(value)
    try:
        table = np.asarray(value, dtype=object)
        return [tuple(row) for row in np.broadcast_to(_checked_pairs(name, table, ndim), (ndim, 2)).tolist()]
    except ValueError as error:
        raise ValueError(f"pad: {error}") from None


def _checked_pairs(name: str, table: Any, ndim: int) -> Any:
    if table.shape not in ((), (1,), (2,), (1, 2), (ndim, 2)):
        raise ValueError(
            f"{name} of shape {table.shape} does not fit {ndim} dimensions: give a number, a pair, or a pair for each axis"
        )
    return table


@planned
def pad(array: Any, pad_width: Any, mode: Any = "constant", **kwargs: Any) -> Array:
    """`array` with `pad_width` elements more at both ends of each axis: a number, a pair
    (before, after), or one pair for each axis.

    `mode` says what they are: "constant" (`constant_values`, 0), "edge", "linear_ramp" (to
    `end_values`), "maximum", "mean", "median", "minimum" (of `stat_length` elements), "reflect" and
    "symmetric" (`reflect_type` "even" or "odd"), "wrap", "empty", or a function as in `numpy.pad`
    that returns the padded row. The dtype stays. Raises ValueError for negative widths and unknown
    options, TypeError for widths that are no integers, NotImplementedError for other modes.

    >>> import pullback.numpy as jnp
    >>> jnp.pad(jnp.array([0, 1, 2]), (1, 2), mode="reflect")
    Array([1, 0, 1, 2, 1, 0], dtype=int32)
    >>> jnp.pad(jnp.array([[1, 2], [3, 4]]), ((0, 1), (2, 0)), constant_values=9)
    Array([[9, 9, 1, 2],
           [9, 9, 3, 4],
           [9, 9, 9, 9]], dtype=int32)
    """
    x = array_like(array, "pad")
    width = np.asarray(pad_width)
    if width.dtype.kind not in "iu" and width.size:
        raise TypeError(f"pad: pad_width must be integers, got {pad_width!r} at {user_line()}")
    widths = [(int(a), int(b)) for a, b in _pairs("pad_width", width, x.ndim)]
    if any(n < 0 for pair in widths for n in pair):
        raise ValueError(f"pad: pad_width must not be negative, got {pad_width!r} at {user_line()}")
    if callable(mode):
        return _pad_by_function(x, widths, mode, kwargs)
    if mode not in _PAD_OPTIONS:
        raise NotImplementedError(f"pad: unknown mode {mode!r}; there are {', '.join(_PAD_OPTIONS)}")
    unknown = set(kwargs) - set(_PAD_OPTIONS[mode])
    if unknown:
        raise ValueError(f"pad: mode {mode!r} takes no option {', '.join(sorted(unknown))}")
    if mode in ("constant", "empty"):
        return _pad_constant(x, widths, kwargs.get("constant_values", 0))
    if mode == "linear_ramp":
        return _pad_ramp(x, widths, kwargs.get("end_values", 0))
    if mode in ("maximum", "mean", "median", "minimum"):
        return _pad_statistic(x, widths, mode, kwargs.get("stat_length"))
    return _pad_by_index(x, widths, mode, kwargs.get("reflect_type", "even"))


def _pad_constant(x: Array, widths: list[tuple[int, int]], values: Any) -> Array:
    def fitting(value: Any) -> Array:
        return convert(array_like(value, "pad"), x.dtype, x.weak_type)

    if not isinstance(values, Array) and isinstance(values, (list, tuple, np.ndarray)):
        pairs = _pairs("constant_values", values, x.ndim)
    elif getattr(values, "ndim", 0):
        fill = broadcast_to(fitting(values), (x.ndim, 2))
        pairs = [(fill[i, 0], fill[i, 1]) for i in range(x.ndim)]
    else:
        value = fitting(values)
        return lax_pad(x, value, tuple((lo, hi, 0) for lo, hi in widths)) if x.ndim else x
    for i, ((lo, hi), (before, after)) in enumerate(zip(widths, pairs)):
        for amount, value in (((lo, 0, 0), before), ((0, hi, 0), after)):
            if amount != (0, 0, 0):
                x = lax_pad(x, fitting(value), tuple(amount if j == i else (0, 0, 0) for j in range(x.ndim)))
    return x


def _pad_by_index(x: Array, widths: list[tuple[int, int]], mode: str, reflect_type: str) -> Array:
    """Modes in which each new element is an old one, or (odd reflections) two ends and an old one
    combined."""
    if reflect_type not in ("even", "odd"):
        raise ValueError(f"pad: reflect_type must be 'even' or 'odd', got {reflect_type!r}")
    for i, (lo, hi) in enumerate(widths):
        n = x.shape[i]
        if lo == hi == 0:
            continue
        if n == 0:
            raise here(ValueError, f"pad: mode {mode!r} cannot pad the empty axis {i} of shape {x.shape}")
        period = n - 1 if mode == "reflect" else n
        padded = take_slice(x, np.pad(np.arange(n), (lo, hi), mode=mode), i)
        if reflect_type == "odd" and mode in ("reflect", "symmetric") and period:
            # Each reflection is in a point (an end of the row), so that with every block of
            # `period` places the row goes on rising by last - first: blocks of even number q are x
            # + q (last - first), the others 2 last - x + (q - 1) (last - first).
            q = np.arange(-lo, n + hi) // period
            odd = q % 2 == 1
            q[lo : lo + n], odd[lo : lo + n] = 0, False
            first, last = slice_in_dim(x, 0, 1, 1, i), slice_in_dim(x, n - 1, n, 1, i)
            sign, of_last, of_first = np.where(odd, -1, 1), np.where(odd, q + 1, q), np.where(odd, 1 - q, -q)
            padded = padded * _along(sign, i, x) + last * _along(of_last, i, x) + first * _along(of_first, i, x)
        x = padded
    return x


def _along(values: Any, axis: int, x: Array) -> Array:
    """A vector of constants as an array that broadcasts along `axis` of `x`."""
    return concrete(values.astype(x.dtype).reshape([-1 if i == axis else 1 for i in range(x.ndim)]), x.weak_type)


def _pad_ramp(x: Array, widths: list[tuple[int, int]], end_values: Any) -> Array:
    for i, ((lo, hi), (before, after)) in enumerate(zip(widths, _pairs("end_values", end_values, x.ndim))):
        if lo == hi == 0:
            continue
        n, none = x.shape[i], [1 if k == i else m for k, m in enumerate(x.shape)]
        edges = [slice_in_dim(x, j, j + 1, 1, i) if n else zeros_like(x, shape=none) for j in (0, n - 1)]
        first, last = [squeeze(edge, i) for edge in edges]
        parts = [x]
        if lo:
            outer = convert(array_like(before, "pad"), x.dtype)
            parts.insert(0, linspace(outer, first, lo, False, dtype=x.dtype, axis=i))
        if hi:
            outer = convert(array_like(after, "pad"), x.dtype)
            parts.append(flip(linspace(outer, last, hi, False, dtype=x.dtype, axis=i), i))
        x = join_arrays("pad", [convert(part, x.dtype, x.weak_type) for part in parts], i, None)
    return x


def _pad_statistic(x: Array, widths: list[tuple[int, int]], mode: str, stat_length: Any) -> Array:
    statistic = {"maximum": reductions.max, "minimum": reductions.min, "mean": reductions.mean, "median": median}[mode]
    lengths = _pairs("stat_length", stat_length, x.ndim) if stat_length is not None else [(None, None)] * x.ndim

    def value(part: Array, axis: int) -> Array:
        out = statistic(part, axis=axis, keepdims=True)
        if not dtypes.is_inexact(x.dtype) and dtypes.is_inexact(out.dtype):
            out = ufuncs.round(out)
        return convert(out, x.dtype, x.weak_type)

    for i, ((lo, hi), (before, after)) in enumerate(zip(widths, lengths)):
        n = x.shape[i]
        if lo == hi == 0:
            continue
        if before == 0 or after == 0:
            raise ValueError(f"pad: stat_length of 0 yields no value for mode {mode!r}")
        if n == 0:
            raise here(ValueError, f"pad: mode {mode!r} cannot pad the empty axis {i} of shape {x.shape}")
        start = value(slice_in_dim(x, 0, n if before is None else min(before, n), 1, i), i)
        end = value(slice_in_dim(x, 0 if after is None else max(n - after, 0), n, 1, i), i)
        sizes = [(*x.shape[:i], m, *x.shape[i + 1 :]) for m in (lo, hi)]
        x = lax_concatenate([broadcast_to(start, sizes[0]), x, broadcast_to(end, sizes[1])], i)
    return x


def _pad_by_function(x: Array, widths: list[tuple[int, int]], function: Callable[..., Any], kwargs: Any) -> Array:
    x = _pad_constant(x, widths, 0)
    for i in range(x.ndim):
        x = apply_along_axis(lambda row, axis=i: function(row, widths[axis], axis, kwargs), i, x)
    return x


__all__ = ["pad"]
