"""Convolutions in eager code that are NumPy's: those of few products, and of two sequences.

To decide how a convolution is to be computed takes longer than a small one. So `evaluation` decides
by types and parameters, once, and gives a function of the values. Floats of 32 bits and fewer are
added in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.dtypes import DType
from pullback.core.types import Shape, ShapedArray
from pullback.lax.summation import accumulator, wider
from pullback.lax.windows import Pads, dilated

#: NumPy values of both operands to the result, or to None if these values are for XLA.
Evaluation = Callable[[Any, Any], Any]

#: Up to so many products of a single feature a matrix of all windows is quickest, as BLAS multiplies
#: it, or as NumPy does; up to so many of any NumPy takes no longer than calling a compiled program
#: does; and up to so many of a single feature, a small part of the time that compiling takes.
_FEW_BY_BLAS, _VERY_FEW, _FEW, _FEW_OF_ONE_FEATURE = 1 << 18, 1 << 12, 1 << 16, 1 << 22


def accumulated(dtype: DType, out: DType) -> DType:
    """The type in which products of `dtype` are added to a result of type `out`.

    >>> accumulated(np.dtype("int8"), np.dtype("int32"))
    dtype('int32')
    """
    if dtype == dtypes.bool_:
        return dtypes.int32
    return accumulator(dtypes.promote_pair(dtype, False, out, False)[0])


def evaluation(
    lhs: ShapedArray,
    rhs: ShapedArray,
    out: ShapedArray,
    *,
    window_strides: Shape,
    padding: Pads,
    lhs_dilation: Shape,
    rhs_dilation: Shape,
    dimension_numbers: Any,
    feature_group_count: int,
    batch_group_count: int,
    **_: Any,
) -> Evaluation | None:
    """How NumPy convolves operands of these types, or None if it is rather for XLA."""
    n = dimension_numbers
    if not out.size or not lhs.size or not rhs.size:
        return lambda x, k: np.zeros(out.shape, out.dtype)
    dtype = wider(accumulated(lhs.dtype, out.dtype))
    if not dtypes.is_numpys(dtype):
        return None
    batch, features, *lengths = (lhs.shape[i] for i in n.lhs_spec)
    kernels, _features, *taps = (rhs.shape[i] for i in n.rhs_spec)
    products, is_single = out.size * rhs.size // kernels, kernels == features == 1
    if is_single and batch == len(lengths) == 1 and window_strides == rhs_dilation == (1,):
        return _of_sequences(lengths[0], taps[0], padding[0], lhs_dilation[0], dtype, out)
    if products > (_FEW_OF_ONE_FEATURE if is_single else _FEW):
        return None
    padded, steps, has_zeros = _padding((batch, features, *lengths), padding, lhs_dilation, dtype)
    shape = [out.shape[i] for i in n.out_spec[2:]]
    of_places = [s * t for s, t in zip(steps[2:], window_strides)]
    of_taps = [s * d for s, d in zip(steps[2:], rhs_dilation)]
    back = tuple(int(i) for i in np.argsort(n.out_spec))
    in_order = (*range(len(lhs.shape)),)
    spec_x, spec_k = (None if tuple(spec) == in_order else spec for spec in (n.lhs_spec, n.rhs_spec))
    result = (batch, kernels, *shape)
    if is_single and products <= _FEW_BY_BLAS and dtype.char in "fdFD":
        # The windows' elements at each tap are a row: rows of the operand one after the other,
        # which are quick to copy.
        sizes, strides = (*taps, batch, *shape), (*of_taps, steps[0], *of_places)
        count = math.prod(taps)

        def by_rows(x: Any, k: Any) -> Any:
            k = (k if spec_k is None else k.transpose(spec_k)).reshape(-1).astype(dtype, copy=False)
            if has_zeros and not _is_finite(k):
                return None
            wide = padded(x if spec_x is None else x.transpose(spec_x))
            found = k.dot(np.ndarray(sizes, dtype, wide, 0, strides).reshape(count, -1)).reshape(result)
            return _as(out.dtype, found if back == in_order else found.transpose(back))

        return by_rows
    if is_single and products <= _VERY_FEW:
        sizes, strides = (batch, *shape, *taps), (steps[0], *of_places, *of_taps)

        def combined(windows: Any, k: Any) -> Any:
            return windows.reshape(-1, math.prod(taps)).dot(k.reshape(-1))

    else:
        groups = max(feature_group_count, batch_group_count)
        batch, features = batch // batch_group_count, features // feature_group_count
        result = (batch, kernels, *shape)
        sizes = (groups, batch, features, *shape, *taps)
        by_group = steps[0] * batch if batch_group_count > 1 else steps[1] * features
        strides = (by_group, *steps[:2], *of_places, *of_taps)
        # Axes by number: 0 groups, 1 batch, 2 features, 3 kernels; then those of space.
        count = len(lengths)
        places, inside = range(4, 4 + count), range(4 + count, 4 + 2 * count)
        of_windows, of_kernels, of_out = [0, 1, 2, *places, *inside], [0, 3, 2, *inside], [1, 0, 3, *places]

        def combined(windows: Any, k: Any) -> Any:
            return np.einsum(windows, of_windows, k.reshape(groups, -1, *k.shape[1:]), of_kernels, of_out)

    def by_windows(x: Any, k: Any) -> Any:
        if spec_k is not None:
            k = k.transpose(spec_k)
        if spec_x is not None:
            x = x.transpose(spec_x)
        k = k.astype(dtype, copy=False)
        if has_zeros and not _is_finite(k.reshape(-1)):
            return None
        found = combined(np.ndarray(sizes, dtype, padded(x), 0, strides), k).reshape(result)
        return _as(out.dtype, found if back == in_order else found.transpose(back))

    return by_windows


def _of_sequences(n: int, m: int, pads: tuple[int, int], dilation: int, dtype: DType, out: ShapedArray) -> Evaluation:
    """By `numpy.correlate`."""
    low, high = pads
    mode, part, padded = "full", slice(None), None
    if dilation == 1 and low == high == 0:
        mode = "valid"
    elif dilation == 1 and n >= m and 0 <= min(pads) <= max(pads) < m:
        part = slice(m - 1 - low, n + high)
    elif dilation != 1 or not low == high == m - 1:
        mode, padded = "valid", _padding((1, 1, n), (pads,), (dilation,), dtype)[0]

    def by_correlation(x: Any, k: Any) -> Any:
        x, k = x.reshape(-1), k.reshape(-1).astype(dtype, copy=False)
        if padded is None:
            x = x.astype(dtype, copy=False)
        elif _is_finite(k):
            x = padded(x.reshape(1, 1, n)).reshape(-1)
        else:
            return None
        if dtype.kind == "c":
            k = k.conj()  # `numpy.correlate` takes the conjugate
        return _as(out.dtype, np.correlate(x, k, mode)[part]).reshape(out.shape)

    return by_correlation


def _as(dtype: DType, x: Any) -> Any:
    return np.ascontiguousarray(x != 0) if dtype == dtypes.bool_ else x.astype(dtype, "C", copy=False)


def _is_finite(k: Any) -> bool:
    """Whether no element of a kernel is infinite or NaN. Times a zero of the padding, which is not
    there for XLA, such an element would make a NaN. (Where squares overflow, no harm is done.)"""
    square = k.dot(k)
    return math.isfinite(square if square.dtype.kind == "f" else abs(square))


def _padding(
    shape: Sequence[int], padding: Pads, dilation: Shape, dtype: DType
) -> tuple[Callable[[Any], Any], Shape, bool]:
    """What makes an array of this shape (batch, feature, spatial...) one of `dtype` with zeros between
    its elements and around them, or without those that negative padding takes away; the strides of
    that; and whether it has zeros."""
    lengths, places, kept = list(shape[:2]), [...], [...]
    for n, (low, high), d in zip(shape[2:], padding, dilation):
        length = dilated(n, d) + low + high
        first, end = -(min(low, 0) // d), min(n, -((low - length) // d))
        lengths.append(length)
        kept.append(slice(first, max(first, end)))
        places.append(slice(first * d + low, max((end - 1) * d + low + 1, first * d + low), d))
    steps = tuple(dtype.itemsize * math.prod(lengths[i + 1 :]) for i in range(len(lengths)))
    source, target = tuple(kept), tuple(places)
    whole = all(k == slice(0, n) for k, n in zip(kept[1:], shape[2:]))
    if lengths == list(shape) and all(low == 0 and d == 1 for (low, _), d in zip(padding, dilation)):
        return lambda x: np.ascontiguousarray(x, dtype), steps, False

    def padded(x: Any) -> Any:
        wide = np.zeros(lengths, dtype)
        wide[target] = x if whole else x[source]
        return wide

    return padded, steps, True
