"""Sums by NumPy whose rounding errors grow like log n, along whichever axes and in whichever
layout.

`numpy.add.reduce` adds pairwise only along the axis that is contiguous in memory; along all others,
and from one row to the next, it adds one element after the other, as `numpy.add.accumulate` always
does: of a million float32 numbers, two or three digits are right. Here, blocks of rows are added,
then the blocks' sums. Rows that are short are taken several at once, which makes sums over leading
axes quicker than NumPy's (of an array of shape (1000000, 4), twenty times), as do cumulative sums
of blocks side by side.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.dtypes import DType
from pullback.core.types import Shape

#: So many numbers are added one after the other at most where more than that are to be added.
_BLOCK = 128
#: Up to so many are added as NumPy does: the error is that of few roundings, and the time that of
#: one call.
FEW = 256
#: Elements that one inner loop of NumPy's should have.
_WIDTH = 1024
#: Arrays of fewer elements than this are summed in `wider` types: blocks would take longer.
_SMALL = 1 << 13
#: Elements that are to be in the cache together while running sums are taken.
_CHUNK = 1 << 14
#: Fewer columns than this are summed one by one.
_COLUMNS = 16
_WIDER = {"f": np.dtype("d"), "F": np.dtype("D")}


def wider(dtype: Any) -> Any:
    """The type in which few numbers of `dtype` are combined one by one: float64 for float32,
    complex128 for complex64, or the same."""
    return _WIDER.get(dtype.char, dtype)


def is_narrow(dtype: DType) -> bool:
    """Whether sums and products of `dtype` are computed in float32."""
    return dtype.itemsize < 4 and dtypes.is_float(dtype)


def accumulator(dtype: DType) -> DType:
    """The type in which numbers of `dtype` are added and multiplied.

    That is float32 for 16- and 8-bit floats, else the same.

    >>> accumulator(np.dtype("float16")), accumulator(np.dtype("int8"))
    (dtype('float32'), dtype('int8'))
    """
    return dtypes.float32 if is_narrow(dtype) else dtype


def as_dtype(dtype: DType, out: Any) -> Any:
    """`out` as `dtype`: NumPy computes some operations on small ml_dtypes in wider types."""
    return out if out.dtype is dtype else out.astype(dtype)


def lowest(dtype: DType) -> Any:
    """The identity of max: -inf, False, or the least integer."""
    return _bound(dtype, -1)


def highest(dtype: DType) -> Any:
    """The identity of min: inf, True, or the greatest integer."""
    return _bound(dtype, 1)


def _bound(dtype: DType, side: int) -> Any:
    kind = dtypes.kind(dtype)
    if kind == "b":
        return np.bool_(side > 0)
    if kind == "c":
        return dtype.type(complex(side * np.inf, 0))
    if kind == "f":
        infinity = dtype.type(side * np.inf)
        if np.isinf(infinity):
            return infinity
    info = dtypes.finfo(dtype) if kind == "f" else dtypes.iinfo(dtype)
    return dtype.type(info.max if side > 0 else info.min)  # some 8-bit floats have no infinity


def sum_over(x: Any, axes: Shape) -> Any:
    """The sum of a NumPy value over `axes`, in its own type."""
    shape, dtype = x.shape, x.dtype
    everything = len(axes) == len(shape)
    if everything and x.flags.forc:
        return np.add.reduce(x, None, dtype)
    n = 1
    for a in axes:
        n *= shape[a]
    if n <= FEW or dtype.kind not in "fciu" or not x.size:
        return np.add.reduce(x, None if everything else axes, dtype)
    if 0 in x.strides:
        return _sum_of_repeated(x, axes)
    if x.size < _SMALL and dtype.char in "fF" and axes[-1] != len(shape) - 1:
        return np.add.reduce(x, axes, wider(dtype)).astype(dtype)
    return _sum(x, axes)


def _sum_of_repeated(x: Any, axes: Shape) -> Any:
    """The same of an array that has been broadcast: what is repeated along summed axes is
    multiplied, along others added once."""
    index, times, kept = [slice(None)] * x.ndim, 1, []
    for i, (m, stride) in enumerate(zip(x.shape, x.strides)):
        if i not in axes:
            kept.append(m)
        elif x.dtype.kind != "f":  # a complex infinity would become NaN
            continue
        if stride == 0:
            index[i] = slice(0, 1)
            times *= m if i in axes else 1
    x = x[tuple(index)]
    out = _sum(x, axes)
    return np.broadcast_to(out if times == 1 else out * x.dtype.type(times), kept)


def _sum(x: Any, axes: Shape) -> Any:
    strides = x.strides
    if not x.flags.c_contiguous:
        # The axes as they lie in memory, so that the last one is that of NumPy's inner loop.
        order = sorted(range(x.ndim), key=lambda i: -abs(strides[i]))
        if order != sorted(order):
            kept = [i for i in order if i not in axes]
            out = _sum_in_order(x.transpose(order), tuple([k for k, i in enumerate(order) if i in axes]))
            ascending = sorted(kept)
            return out if kept == ascending else out.transpose([kept.index(i) for i in ascending])
    return _sum_in_order(x, axes if axes == tuple(sorted(axes)) else tuple(sorted(axes)))


def _sum_in_order(x: Any, axes: Shape) -> Any:
    """The sum over ascending axes of an array whose strides descend."""
    shape, last = x.shape, x.ndim - 1
    # The axes at the end that are summed are one inner loop, if they lie together.
    trailing = stride = 0
    if axes and axes[-1] == last:
        trailing, stride = 1, x.strides[last] * shape[last]
        while trailing < len(axes) and axes[-1 - trailing] == last - trailing and x.strides[last - trailing] == stride:
            stride *= shape[last - trailing]
            trailing += 1
    if math.prod([shape[a] for a in axes[: len(axes) - trailing]]) <= FEW:  # so many are added one by one
        return np.add.reduce(x, axes, x.dtype)
    if trailing:
        if len(axes) == x.ndim and stride < _BLOCK * x.itemsize:
            return np.add.reduce(np.ascontiguousarray(x), None, x.dtype)
        return _sum(np.add.reduce(x, axes[len(axes) - trailing :], x.dtype), axes[: len(axes) - trailing])
    # The innermost of the summed axes, and what comes behind it.
    axis = axes[-1]
    if axis and axis - 1 in axes and x.strides[axis - 1] == x.strides[axis] * shape[axis]:
        merged = x.reshape(*shape[: axis - 1], shape[axis - 1] * shape[axis], *shape[axis + 1 :])
        return _sum_in_order(merged, axes[:-1])
    if shape[axis] > FEW:
        x = np.expand_dims(_sum_of_rows(x, axis), axis)
    else:
        x = np.add.reduce(x, axis, x.dtype, keepdims=True)
    rest = axes[:-1]
    return _sum(x, rest).squeeze(axis - len(rest)) if rest else x.squeeze(axis)


def _sum_of_rows(x: Any, axis: int) -> Any:
    """The sum over one axis in front of others, in which NumPy adds row to row."""
    n, before, behind = x.shape[axis], x.shape[:axis], x.shape[axis + 1 :]
    if n <= _BLOCK:
        return np.add.reduce(x, axis, x.dtype)
    # Several rows are one if they lie together.
    together = max(1, min(_WIDTH // max(1, behind[0]), n // _BLOCK)) if len(behind) == 1 else 1
    size = min(_BLOCK, n // together) * together
    blocks = n // size
    every = (slice(None),) * axis
    head = x[(*every, slice(0, blocks * size))].reshape(*before, blocks, size // together, together, *behind)
    sums = np.add.reduce(head, axis + 1, x.dtype).reshape(*before, blocks * together, *behind)
    out = _sum_of_rows(sums, axis)
    return out if blocks * size == n else out + _sum_of_rows(x[(*every, slice(blocks * size, n))], axis)


def product_over(x: Any, axes: Shape) -> Any:
    """The product of a NumPy value over `axes`, in its own type: of many numbers, taken in a wider
    one, which does not overflow sooner."""
    dtype = x.dtype
    wide, n = wider(dtype), 1
    for a in axes:
        n *= x.shape[a]
    if n <= FEW or wide is dtype:
        return np.multiply.reduce(x, axes, dtype)
    return np.multiply.reduce(x, axes, wide).astype(dtype)


def running_sums(x: Any, axis: int) -> Any:
    """The sums of all prefixes along `axis`, in the type of `x`, a NumPy value."""
    shape, dtype = x.shape, x.dtype
    if shape[axis] <= FEW or dtype.kind not in "fc" or not x.size:
        return np.add.accumulate(x, axis, dtype)
    wide = wider(dtype)
    if wide is not dtype and x.size < _SMALL:
        return np.add.accumulate(x, axis, wide).astype(dtype)
    x = _three_axes(x, axis)
    out = np.empty(x.shape, dtype)
    behind = x.shape[2]
    if behind < _COLUMNS:
        for column in range(behind):
            _in_chunks(_running_sums, x[:, :, column], out[:, :, column], wide)
    else:
        _running_sums_of_rows(x, out)
    return out.reshape(shape)


def running_products(x: Any, axis: int) -> Any:
    """The products of all prefixes along `axis`, in the type of `x`, a NumPy value; of many
    numbers, taken in a wider one."""
    shape, dtype = x.shape, x.dtype
    wide = wider(dtype)
    if shape[axis] <= FEW or wide is dtype or not x.size:
        return np.multiply.accumulate(x, axis, dtype)
    x = _three_axes(x, axis)
    out = np.empty(x.shape, dtype)
    _in_chunks(_running_products, x, out, wide)
    return out.reshape(shape)


def _three_axes(x: Any, axis: int) -> Any:
    """`x` with the axes before `axis`, and those behind it, as one each."""
    return x.reshape(math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :]))


def _in_chunks(running: Any, x: Any, out: Any, wide: Any) -> None:
    """Apply `running(before, x, out, wide)` to chunks along the second axis that the cache holds;
    it returns what comes before the next."""
    rows, n = x.shape[:2]
    behind = x[:1, :1].size
    length = min(n, max(_BLOCK, _CHUNK // behind))
    at_once = max(1, _CHUNK // (length * behind))
    for i in range(0, rows, at_once):
        part = slice(i, i + at_once)
        before: Any = None
        for j in range(0, n, length):
            before = running(before, x[part, j : j + length], out[part, j : j + length], wide)


def _running_products(before: Any, x: Any, out: Any, wide: Any) -> Any:
    products = x.astype(wide)
    if before is not None:
        products[:, 0] *= before
    np.multiply.accumulate(products, 1, out=products)
    out[...] = products
    return products[:, -1]


def _running_sums(before: Any, x: Any, out: Any, wide: Any, levels: int = 2) -> Any:
    """The sums of all prefixes along the second of two axes, after `before`; returns the last ones,
    in the type `wide`.

    The sums of pairs have running sums, too: those at odd places. One further step gives the others
    (Blelloch 1990).
    """
    n = x.shape[1]
    if n <= FEW or (wide is not x.dtype and not levels):
        sums = x.astype(wide)
        if before is not None:
            sums[:, 0] += before
        np.add.accumulate(sums, 1, out=sums)
        out[...] = sums
        return sums[:, -1]
    last = n - n % 2
    odd = np.empty((x.shape[0], n // 2), x.dtype)
    total = _running_sums(before, x[:, 0:last:2] + x[:, 1::2], odd, wide, levels - 1)
    out[:, 1::2] = odd
    np.add(odd[:, : (n - 1) // 2], x[:, 2::2], out=out[:, 2::2])
    out[:, 0] = x[:, 0] if before is None else x[:, 0] + before
    return total if last == n else total + x[:, -1]


def _running_sums_of_rows(x: Any, out: Any) -> None:
    """The sums of all prefixes along the second of three axes, of which the last is long: blocks
    side by side, step by step."""
    before, n, behind = x.shape
    if n <= _BLOCK:
        out[:, 0] = x[:, 0]
        for k in range(1, n):
            np.add(out[:, k - 1], x[:, k], out=out[:, k])
        return
    blocks = n // _BLOCK
    end = blocks * _BLOCK
    head, sums = (a[:, :end].reshape(before, blocks, _BLOCK, behind) for a in (x, out))
    sums[:, :, 0] = head[:, :, 0]
    for k in range(1, _BLOCK):
        np.add(sums[:, :, k - 1], head[:, :, k], out=sums[:, :, k])
    totals = np.empty((before, blocks, behind), x.dtype)
    _running_sums_of_rows(sums[:, :, -1], totals)
    sums[:, 1:] += totals[:, :-1, None]
    for k in range(end, n):
        np.add(out[:, k - 1], x[:, k], out=out[:, k])


__all__ = ["FEW", "product_over", "running_products", "running_sums", "sum_over", "wider"]
