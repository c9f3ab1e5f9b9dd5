"""Reductions over sliding windows: sums, maxima and minima. Those by other functions are in `control.reduce`.

Element y of the result combines the elements x[s y + d k - low] for k in the window, where s are the window strides, d the window's dilation
and low the padding before; `base_dilation` puts neutral elements between neighbours first, and padding is neutral, too.

The sum is linear, and its transpose a sum over windows again, with strides and base dilation exchanged. Extrema are differentiated through
the windows themselves: of equal elements, the first one counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import concrete
from pullback.core.errors import user_line
from pullback.core.primitive import LinearPrimitive, Primitive
from pullback.core.types import Shape, ShapedArray
from pullback.lax.arrangement import concatenate_p, pad_p, slice_p
from pullback.lax.convolution import Pads, dilated
from pullback.lax.family import like
from pullback.lax.reductions import argmax_p, argmin_p
from pullback.lax.shape import reshape_p
from pullback.lax.sorting import take_along_p
from pullback.lax.summation import highest, lowest, sum_over


def window_shape(
    x: Shape,
    window_dimensions: Shape,
    window_strides: Shape,
    padding: Pads,
    base_dilation: Shape,
    window_dilation: Shape,
) -> Shape:
    """The shape of a reduction over windows of an array of shape `x`."""
    shape = []
    for n, k, s, (low, high), b, d in zip(
        x, window_dimensions, window_strides, padding, base_dilation, window_dilation
    ):
        size, window = dilated(n, b) + low + high, dilated(k, d)
        shape.append(max(0, (size - window) // s + 1) if size >= window else 0)
    return tuple(shape)


def cropped(
    x: Shape,
    window_dimensions: Shape,
    window_strides: Shape,
    padding: Pads,
    base_dilation: Shape,
    window_dilation: Shape,
) -> tuple[Shape, Pads]:
    """Dimensions and padding of the same windows without what lies in the padding in all of their positions, of which there is at least one:
    as many places as there are elements and steps, however large a window is."""
    sizes, pads = [], []
    for n, k, s, (low, high), b, d in zip(
        x, window_dimensions, window_strides, padding, base_dilation, window_dilation
    ):
        size = dilated(n, b)
        last = (size + low + high - dilated(k, d)) // s * s  # where the last window starts, in the padded axis
        first = min(max(0, -((last - low) // d)), k - 1)  # place j is at start + d j - low
        end = max(first + 1, min(k, (size - 1 + low) // d + 1))
        sizes.append(end - first)
        pads.append((low - d * first, last - size - low + d * first + dilated(end - first, d)))
    return tuple(sizes), tuple(pads)


def check_windows(name: str, x: Any, params: dict[str, Any]) -> None:
    """Raises TypeError for parameters of windows that do not fit the axes of `x`, an array or a type."""
    for what, value in params.items():
        if len(value) != x.ndim:
            raise TypeError(
                f"{name}: {what} {value} must have one entry for each axis of an operand of shape {x.shape}, at {user_line()}"
            )
        if what != "padding" and any(v < 1 for v in value):
            raise TypeError(f"{name}: {what} must be positive, got {value}, at {user_line()}")


class Windows(Primitive):
    """A reduction over windows by a commutative operation with a neutral element. Abstract; subclasses give the derivative."""

    def __init__(self, name: str, ufunc: Any, hlo: str, neutral: Callable[[Any], Any]) -> None:
        self.name, self.ufunc, self.hlo, self.neutral = name, ufunc, hlo, neutral
        super().__init__()

    def type_of(self, x: ShapedArray, **params: Any) -> ShapedArray:
        check_windows(self.name, x, params)
        return x.update(shape=window_shape(x.shape, **params))

    def evaluate(
        self,
        x: Any,
        *,
        window_dimensions: Shape,
        window_strides: Shape,
        padding: Pads,
        base_dilation: Shape,
        window_dilation: Shape,
    ) -> Any:
        shape = window_shape(x.shape, window_dimensions, window_strides, padding, base_dilation, window_dilation)
        if not all(shape):
            return np.zeros(shape, x.dtype)
        window_dimensions, padding = cropped(
            x.shape, window_dimensions, window_strides, padding, base_dilation, window_dilation
        )
        dtype = x.dtype
        if dtypes.is_float(dtype) and dtype.itemsize < 4:
            x = x.astype(np.float32)
        config = tuple((low, high, b - 1) for (low, high), b in zip(padding, base_dilation))
        padded = np.ascontiguousarray(
            pad_p.evaluate(x, np.asarray(self.neutral(x.dtype), x.dtype), padding_config=config)
        )
        strides = [s * t for s, t in zip(window_strides, padded.strides)]
        inner = [d * t for d, t in zip(window_dilation, padded.strides)]
        view = np.lib.stride_tricks.as_strided(
            padded, (*shape, *window_dimensions), (*strides, *inner), writeable=False
        )
        axes = tuple(range(x.ndim, 2 * x.ndim))
        out = sum_over(view, axes) if self.ufunc is np.add else self.ufunc.reduce(view, axes, x.dtype)
        return out.astype(dtype, copy=False)

    def lower(
        self, emit: Any, x: Any, *, window_dimensions: Shape, window_strides: Shape, padding: Pads, base_dilation: Shape,
        window_dilation: Shape,
    ) -> Any:  # fmt: skip
        if not emit.type.size or not x.ndim:
            return x if not x.ndim else emit.constant(0, x.dtype, emit.type.shape)
        window_dimensions, padding = cropped(
            x.shape, window_dimensions, window_strides, padding, base_dilation, window_dilation
        )
        wide = emit.convert(x, dtypes.float32) if dtypes.is_float(x.dtype) and x.dtype.itemsize < 4 else x
        out = emit.reduce_window(
            wide, self.neutral(wide.dtype), self.hlo, window_dimensions, padding, window_strides=window_strides,
            base_dilations=base_dilation, window_dilations=window_dilation,
        )  # fmt: skip
        return emit.convert(out, x.dtype)

    def batch(self, size: int, args: Any, axes: Any, **params: Any) -> Any:
        (b,) = axes
        ones = {k: (*v[:b], (0, 0) if k == "padding" else 1, *v[b:]) for k, v in params.items()}
        return self.bind(args[0], **ones), b


class WindowSum(Windows, LinearPrimitive):
    """Sums over windows."""

    def transpose(
        self, ct: Any, x: Any, *, window_dimensions: Shape, window_strides: Shape, padding: Pads, base_dilation: Shape,
        window_dilation: Shape,
    ) -> Sequence[Any]:  # fmt: skip
        # x̄[p] = Σ_k ct[y] over s y = b p + low - d k: windows over ct, dilated by s, of stride b.
        pads = []
        for n, m, k, s, (low, _), b, d in zip(
            x.shape, ct.shape, window_dimensions, window_strides, padding, base_dilation, window_dilation
        ):
            before = dilated(k, d) - 1 - low
            pads.append((before, dilated(n, b) - 1 + dilated(k, d) - dilated(m, s) - before))
        return [
            self.bind(
                ct, window_dimensions=window_dimensions, window_strides=base_dilation, padding=tuple(pads),
                base_dilation=window_strides, window_dilation=window_dilation,
            )
        ]  # fmt: skip


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


def windows(
    x: Any,
    fill: Any,
    *,
    window_dimensions: Shape,
    window_strides: Shape,
    padding: Pads,
    base_dilation: Shape,
    window_dilation: Shape,
) -> Any:
    """The windows' elements, one position in the window after the other along a new axis 0."""
    shape = window_shape(x.shape, window_dimensions, window_strides, padding, base_dilation, window_dilation)
    config = tuple((low, high, b - 1) for (low, high), b in zip(padding, base_dilation))
    padded = pad_p.bind(x, fill, padding_config=config)
    parts = []
    for offset in np.ndindex(*window_dimensions):
        starts = tuple(int(o) * d for o, d in zip(offset, window_dilation))
        limits = tuple(a + (m - 1) * s + 1 for a, m, s in zip(starts, shape, window_strides))
        part = slice_p.bind(padded, start_indices=starts, limit_indices=limits, strides=tuple(window_strides))
        parts.append(reshape_p.bind(part, new_sizes=(1, *shape)))
    return parts[0] if len(parts) == 1 else concatenate_p.bind(*parts, dimension=0)


# fmt: off
reduce_window_sum_p = WindowSum("reduce_window_sum", np.add, "add", lambda dtype: np.zeros((), dtype))
reduce_window_max_p = WindowExtremum("reduce_window_max", np.maximum, "maximum", lowest)
reduce_window_min_p = WindowExtremum("reduce_window_min", np.minimum, "minimum", highest)
# fmt: on


def reduce_window_shape_tuple(
    operand_shape: Any,
    window_dimensions: Any,
    window_strides: Any,
    padding: Any,
    base_dilation: Any = None,
    window_dilation: Any = None,
) -> Shape:
    """The shape of a reduction over windows; `padding` is (low, high) for each axis."""
    ones = (1,) * len(operand_shape)
    return window_shape(
        tuple(operand_shape), tuple(window_dimensions), tuple(window_strides), tuple(map(tuple, padding)), base_dilation or ones,
        window_dilation or ones,
    )  # fmt: skip


__all__ = ["reduce_window_max_p", "reduce_window_min_p", "reduce_window_shape_tuple", "reduce_window_sum_p"]
