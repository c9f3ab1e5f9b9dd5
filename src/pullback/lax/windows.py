"""Reductions over sliding windows: sums, maxima and minima. Those by other functions are in
`control.reduce`.

Element y of the result combines the elements x[s y + d k - low] for k in the window, where s are
the window strides, d the window's dilation and low the padding before; `base_dilation` puts neutral
elements between neighbours first, and padding is neutral, too.

The sum is linear, and its transpose a sum over windows again, with strides and base dilation
exchanged. Extrema are differentiated through the windows themselves: of equal elements, the first
one counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from pullback.core import dtypes
from pullback.core.array import concrete
from pullback.core.dimensions import max_dim, min_dim
from pullback.core.errors import user_line
from pullback.core.primitive import LinearPrimitive, Primitive
from pullback.core.types import Shape, ShapedArray
from pullback.lax.arrangement import concatenate_p, pad_p, slice_p
from pullback.lax.family import like
from pullback.lax.reductions import argmax_p, argmin_p
from pullback.lax.shape import reshape_p
from pullback.lax.sorting import take_along_p
from pullback.lax.summation import accumulator, highest, lowest, sum_over

Pads = tuple[tuple[int, int], ...]


class Window(NamedTuple):
    """The parameters of a reduction over windows, one entry for each axis. See the module's text.

    >>> Window((3,), (1,), ((1, 1),), (1,), (1,)).padding
    ((1, 1),)
    """

    window_dimensions: Shape
    window_strides: Shape
    padding: Pads
    base_dilation: Shape
    window_dilation: Shape


def dilated(n: int, dilation: int) -> int:
    """The length of an axis of `n` elements that are `dilation` apart."""
    return 0 if n == 0 else (n - 1) * dilation + 1


def window_shape(x: Shape, **window: Any) -> Shape:
    """The shape of a reduction over windows of an array of shape `x`."""
    axes = zip(x, *Window(**window))
    return tuple(
        [max_dim(0, (dilated(n, b) + low + high - dilated(k, d)) // s + 1) for n, k, s, (low, high), b, d in axes]
    )


def pads_back(x: Shape, out: Shape, w: Window) -> Pads:
    """The padding of the transposed windows, over a result of shape `out`, for a sum of shape `x`.

    Strides and base dilation have changed places in them.
    """
    pads = []
    for n, m, k, s, (low, _), b, d in zip(x, out, *w):
        before = dilated(k, d) - 1 - low
        pads.append((before, dilated(n, b) - 1 + dilated(k, d) - dilated(m, s) - before))
    return tuple(pads)


def cropped(x: Shape, **window: Any) -> Window:
    """The same windows without what lies in the padding in all of their positions.

    There is at least one position. As many places are left as there are elements and steps, however
    large a window is.
    """
    w, sizes, pads = Window(**window), [], []
    for n, k, s, (low, high), b, d in zip(x, *w):
        size = dilated(n, b)
        last = (size + low + high - dilated(k, d)) // s * s  # where the last window starts, in the padded axis
        first = min_dim(max_dim(0, -((last - low) // d)), k - 1)  # place j is at start + d j - low
        end = max_dim(first + 1, min_dim(k, (size - 1 + low) // d + 1))
        sizes.append(end - first)
        pads.append((low - d * first, last - size - low + d * first + dilated(end - first, d)))
    return w._replace(window_dimensions=tuple(sizes), padding=tuple(pads))


def check_windows(name: str, x: Any, params: dict[str, Any]) -> None:
    """Raises TypeError for parameters of windows that do not fit the axes of `x`, an array or a
    type."""
    for what, value in params.items():
        if len(value) != x.ndim:
            raise TypeError(
                f"{name}: {what} {value} must have one entry for each axis of an operand of shape {x.shape}, at {user_line()}"
            )
        if what != "padding" and any(v < 1 for v in value):
            raise TypeError(f"{name}: {what} must be positive, got {value}, at {user_line()}")


class Windows(Primitive):
    """A reduction over windows by a commutative operation with a neutral element. Abstract;
    subclasses give the derivative."""

    def __init__(self, name: str, ufunc: Any, hlo: str, neutral: Callable[[Any], Any]) -> None:
        self.name, self.ufunc, self.hlo, self.neutral = name, ufunc, hlo, neutral
        super().__init__()

    def type_of(self, x: ShapedArray, **params: Any) -> ShapedArray:
        check_windows(self.name, x, params)
        return x.update(shape=window_shape(x.shape, **params))

    def evaluate(self, x: Any, **params: Any) -> Any:
        shape, dtype = window_shape(x.shape, **params), x.dtype
        if not all(shape):
            return np.zeros(shape, dtype)
        w = cropped(x.shape, **params)
        x = np.asarray(x, accumulator(dtype))
        padded = pad_p.evaluate(x, np.asarray(self.neutral(x.dtype), x.dtype), padding_config=_padding(w))
        padded = np.ascontiguousarray(padded)
        strides = [s * t for s, t in zip(w.window_strides, padded.strides)]
        inner = [d * t for d, t in zip(w.window_dilation, padded.strides)]
        view = np.lib.stride_tricks.as_strided(
            padded, (*shape, *w.window_dimensions), (*strides, *inner), writeable=False
        )
        axes = tuple(range(x.ndim, 2 * x.ndim))
        out = sum_over(view, axes) if self.ufunc is np.add else self.ufunc.reduce(view, axes, x.dtype)
        return out.astype(dtype, copy=False)

    def lower(self, emit: Any, x: Any, **params: Any) -> Any:
        if not emit.type.size or not x.ndim:
            return x if not x.ndim else emit.constant(0, x.dtype, emit.type.shape)
        w = cropped(x.shape, **params)
        wide = emit.convert(x, accumulator(x.dtype))
        out = emit.reduce_window(
            wide, self.neutral(wide.dtype), self.hlo, w.window_dimensions, w.padding, window_strides=w.window_strides,
            base_dilations=w.base_dilation, window_dilations=w.window_dilation,
        )  # fmt: skip
        return emit.convert(out, x.dtype)

    def batch(self, size: int, args: Any, axes: Any, **params: Any) -> Any:
        (b,) = axes
        ones = {k: (*v[:b], (0, 0) if k == "padding" else 1, *v[b:]) for k, v in params.items()}
        return self.bind(args[0], **ones), b


class WindowSum(Windows, LinearPrimitive):
    """Sums over windows."""

    def transpose(self, ct: Any, x: Any, **params: Any) -> Sequence[Any]:
        # x̄[p] = Σ_k ct[y] over s y = b p + low - d k: windows over ct, dilated by s, of stride b.
        w = Window(**params)
        pads = pads_back(x.shape, ct.shape, w)
        back = w._replace(window_strides=w.base_dilation, padding=pads, base_dilation=w.window_strides)
        return [self.bind(ct, **back._asdict())]


class WindowExtremum(Windows):
    """Maxima or minima over windows."""

    def jvp(self, primals: Any, tangents: Any, **params: Any) -> Any:
        (x,), (t,) = primals, tangents
        out = self.bind(x, **params)
        if not out.size:
            return out, None
        neutral = concrete(np.asarray(self.neutral(x.dtype), x.dtype))
        values = windows(x, neutral, **params)
        position = (argmax_p if self.hlo == "maximum" else argmin_p).bind(values, axes=(0,), index_dtype=dtypes.int32)
        position = reshape_p.bind(position, new_sizes=(1, *out.shape))
        chosen = take_along_p.bind(windows(t, like(0, t), **params), position, axis=0)
        return out, reshape_p.bind(chosen, new_sizes=out.shape)


def _padding(w: Window) -> tuple[tuple[int, int, int], ...]:
    """What `pad` takes to dilate the base of windows, and to pad it."""
    return tuple((low, high, b - 1) for (low, high), b in zip(w.padding, w.base_dilation))


def windows(x: Any, fill: Any, **window: Any) -> Any:
    """The windows' elements, one position in the window after the other along a new axis 0."""
    shape, w = window_shape(x.shape, **window), Window(**window)
    padded = pad_p.bind(x, fill, padding_config=_padding(w))
    parts = []
    for offset in np.ndindex(*w.window_dimensions):
        starts = tuple(int(o) * d for o, d in zip(offset, w.window_dilation))
        limits = tuple(a + (m - 1) * s + 1 for a, m, s in zip(starts, shape, w.window_strides))
        part = slice_p.bind(padded, start_indices=starts, limit_indices=limits, strides=tuple(w.window_strides))
        parts.append(reshape_p.bind(part, new_sizes=(1, *shape)))
    return parts[0] if len(parts) == 1 else concatenate_p.bind(*parts, dimension=0)


# fmt: off
reduce_window_sum_p = WindowSum("reduce_window_sum", np.add, "add", lambda dtype: np.zeros((), dtype))
reduce_window_max_p = WindowExtremum("reduce_window_max", np.maximum, "maximum", lowest)
reduce_window_min_p = WindowExtremum("reduce_window_min", np.minimum, "minimum", highest)
# fmt: on


def reduce_window_shape_tuple(
    operand_shape: Any, window_dimensions: Any, window_strides: Any, padding: Any, base_dilation: Any = None,
    window_dilation: Any = None,
) -> Shape:  # fmt: skip
    """The shape of a reduction over windows; `padding` is (low, high) for each axis.

    >>> reduce_window_shape_tuple((8, 8), (3, 3), (2, 2), ((1, 1), (0, 0)))
    (4, 3)
    """
    ones = (1,) * len(operand_shape)
    w = Window(window_dimensions, window_strides, padding, base_dilation or ones, window_dilation or ones)
    return window_shape(operand_shape, **w._asdict())


__all__ = ["reduce_window_max_p", "reduce_window_min_p", "reduce_window_shape_tuple", "reduce_window_sum_p"]
