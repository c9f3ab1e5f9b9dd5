"""Primitives that arrange blocks of elements: joining, cutting, padding, reversing, counting, reinterpreting.

All but `iota` and `bitcast_convert_type` are linear, and each is (up to zeros) the transpose of another: `concatenate` and `split` of slices,
`slice` of `pad`, `rev` of itself, `dynamic_slice` of `dynamic_update_slice`, `static_index` of `static_update`.

`static_index` and `static_update` read and write by a NumPy index made of integers, slices and `None`, in one NumPy call; programs show
them as the standard operations that their rule `expand` gives.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, as_array, concrete
from pullback.core.dtypes import DType
from pullback.core.errors import user_line
from pullback.core.primitive import Fusion, LinearPrimitive, Primitive, is_node
from pullback.core.trace import EVAL, Params, current
from pullback.core.tree import tree_flatten
from pullback.core.types import Shape, ShapedArray, broadcast_shapes, canonical_axis, integer, integers
from pullback.lax.contraction import dot_general
from pullback.lax.family import like
from pullback.lax.indexing import (
    GatherDimensionNumbers,
    GatherScatterMode,
    ScatterDimensionNumbers,
    bind_checked,
    gather,
    gather_p,
    modulo,
    scatter_p,
    wrap_negative,
)
from pullback.lax.selection import select, select_n_p
from pullback.lax.shape import (
    add_batch_axis,
    batch_first,
    broadcast_in_dim,
    broadcast_in_dim_p,
    broadcast_view,
    convert,
    expand_dims,
    given_dtype,
    keep_imaginary,
    move_axis,
    reduce_sum_p,
    reshape,
    reshape_p,
    squeeze,
)
from pullback.xla.devices import no_sharding, placed, placed_like, put

PaddingConfig = tuple[tuple[int, int, int], ...]
_FULL = builtins.slice(None)


def filled(value: Any, shape: Shape) -> Any:
    """The scalar array `value` repeated over `shape`."""
    return broadcast_in_dim_p.bind(value, shape=shape, broadcast_dimensions=())


def zeros_like_shape(x: Any, shape: Shape) -> Any:
    """Zeros of the dtype of `x`, for rules."""
    return filled(like(0, x), shape)


def _shapes(arrays: Sequence[Any]) -> str:
    return ", ".join(str(tuple(a.shape)) for a in arrays)


class Concatenate(LinearPrimitive):
    """The operands one after the other along the axis `dimension`."""

    name = "concatenate"
    fusion, operations = Fusion.JOINING, 1
    makes_nan = False

    def type_of(self, *xs: ShapedArray, dimension: int) -> ShapedArray:
        first = xs[0]
        if any(x.ndim != first.ndim for x in xs):
            raise TypeError(f"Cannot concatenate arrays with different numbers of dimensions: got {_shapes(xs)}")
        if not 0 <= dimension < first.ndim:
            raise TypeError(f"concatenate dimension out of bounds: dimension {dimension} for shapes {_shapes(xs)}")
        if any(x.dtype != first.dtype for x in xs):
            raise TypeError(
                "lax.concatenate requires arguments to have the same dtypes, got "
                f"{', '.join(dtypes.name(x.dtype) for x in xs)} (pullback.numpy.concatenate promotes)"
            )
        rest = [(*x.shape[:dimension], *x.shape[dimension + 1 :]) for x in xs]
        if any(r != rest[0] for r in rest):
            raise TypeError(
                "Cannot concatenate arrays with shapes that differ in dimensions other than the one being concatenated: "
                f"concatenating along dimension {dimension} for shapes {_shapes(xs)}"
            )
        total = sum(x.shape[dimension] for x in xs)
        shape = (*first.shape[:dimension], total, *first.shape[dimension + 1 :])
        return ShapedArray(shape, first.dtype, all(x.weak_type for x in xs))

    def evaluate(self, *xs: Any, dimension: int) -> Any:
        return np.concatenate(xs, dimension)

    def lower(self, emit: Any, *xs: Any, dimension: int) -> Any:
        return emit.concatenate(xs, dimension)

    def transpose(self, ct: Any, *xs: Any, dimension: int) -> Sequence[Any]:
        cts, start = [], 0
        for x in xs:
            stop = start + x.shape[dimension]
            cts.append(slice_along(ct, start, stop, dimension) if is_node(x) else None)
            start = stop
        return cts

    def batch(self, size: int, args: Any, axes: Any, *, dimension: int) -> Any:
        return self.bind(*(batch_first(x, b, size) for x, b in zip(args, axes)), dimension=dimension + 1), 0


#: Numbers below this one do not overflow in XLA, whatever it does with them.
_PLAIN = 1 << 31


def _landing(n: int, length: int, low: int, step: int) -> tuple[int, int]:
    """The elements i with 0 <= low + i·step < length, of n: from the first up to, but without, the second number."""
    first = min(n, max(0, -(low // step)))
    return first, max(first, min(n, -((low - length) // step)))


class Pad(LinearPrimitive):
    """Pad with a scalar: `padding_config` has (low, high, interior) for each axis; negative low and high remove elements.

    Interior padding goes between neighbouring elements, before low and high are applied.
    """

    name = "pad"
    fusion, operations = Fusion.MOVING, 1
    makes_nan = False

    def type_of(self, x: ShapedArray, value: ShapedArray, *, padding_config: PaddingConfig) -> ShapedArray:
        if x.dtype != value.dtype:
            raise TypeError(
                f"pad operand and padding_value must be same dtype: got {dtypes.name(x.dtype)} and {dtypes.name(value.dtype)}"
            )
        if value.shape:
            raise ValueError(f"padding_value must be a scalar; got shape {value.shape}")
        if len(padding_config) != x.ndim:
            raise ValueError(
                f"length of padding_config must equal the number of axes of operand, got padding_config {padding_config} "
                f"for operand shape {x.shape}"
            )
        if any(interior < 0 for _, _, interior in padding_config):
            raise ValueError(
                f"interior padding in padding_config must be nonnegative, got padding_config {padding_config}"
            )
        shape = _padded_shape(x.shape, padding_config)
        if any(n < 0 for n in shape):
            raise ValueError(
                f"Dimension size after padding is not at least 0, got result shape {shape}, for padding_config "
                f"{padding_config} and operand shape {x.shape}"
            )
        return ShapedArray(shape, x.dtype, x.weak_type and value.weak_type)

    def evaluate(self, x: Any, value: Any, *, padding_config: PaddingConfig) -> Any:
        shape = _padded_shape(x.shape, padding_config)
        out = np.empty(shape, x.dtype)
        out[...] = value
        target, source = [], []
        for n, length, (low, _, interior) in zip(x.shape, shape, padding_config):
            step = interior + 1
            first, stop = _landing(n, length, low, step)
            source.append(builtins.slice(first, stop))
            start = low + first * step
            target.append(
                builtins.slice(start, start + (stop - first - 1) * step + 1, step)
                if stop > first
                else builtins.slice(0, 0)
            )
        out[tuple(target)] = x[tuple(source)]
        return out

    def lower(self, emit: Any, x: Any, value: Any, *, padding_config: PaddingConfig) -> Any:
        # No number is larger than its axis needs: XLA adds them up in 64 bits.
        kept, config = [], []
        for n, length, (low, high, interior) in zip(x.shape, emit.type.shape, padding_config):
            if max(abs(low), abs(high), interior) < _PLAIN:
                kept.append((0, n))
                config.append((low, high, interior))
                continue
            step = interior + 1
            first, stop = _landing(n, length, low, step)
            kept.append((first, stop))
            if stop == first:
                config.append((0, length, 0))
            else:
                start, last = low + first * step, low + (stop - 1) * step
                config.append((start, length - 1 - last, interior if stop > first + 1 else 0))
        if any(pair != (0, n) for pair, n in zip(kept, x.shape)):
            x = emit.slice(x, *(tuple(pair[i] for pair in kept) for i in range(2)))
        low, high, interior = (tuple(c[i] for c in config) for i in range(3))
        return emit(
            "pad", x, value, out=emit.type, edge_padding_low=low, edge_padding_high=high, interior_padding=interior
        )

    def transpose(self, ct: Any, x: Any, value: Any, *, padding_config: PaddingConfig) -> Sequence[Any]:
        ct_x = ct_value = None
        if is_node(x) and any(max(map(abs, axis)) >= _PLAIN for axis in padding_config):
            starts, limits, strides, back = [], [], [], []
            for n, length, (low, _, interior) in zip(x.shape, ct.shape, padding_config):
                step = interior + 1
                first, stop = _landing(n, length, low, step)
                starts.append(low + first * step if stop > first else 0)
                limits.append(low + (stop - 1) * step + 1 if stop > first else 0)
                strides.append(step)
                back.append((first, n - stop, 0))
            part = slice_p.bind(ct, start_indices=tuple(starts), limit_indices=tuple(limits), strides=tuple(strides))
            ct_x = pad_p.bind(part, like(0, ct), padding_config=tuple(back))
        elif is_node(x):
            ct_x = pad_p.bind(
                ct, like(0, ct), padding_config=tuple((-low, -high, 0) for low, high, _ in padding_config)
            )
            if any(interior for _, _, interior in padding_config):
                strides = tuple(interior + 1 for _, _, interior in padding_config)
                ct_x = slice_p.bind(ct_x, start_indices=(0,) * ct_x.ndim, limit_indices=ct_x.shape, strides=strides)
        if is_node(value):
            # Not sum(ct) - sum(ct_x): that would cancel, and spread infinities of one part into the other.
            inside = _inside(x.shape, padding_config)
            outside = select(inside, zeros_like_shape(ct, ct.shape), ct)
            ct_value = reduce_sum_p.bind(outside, axes=tuple(range(ct.ndim)))
        return [ct_x, ct_value]

    def batch(self, size: int, args: Any, axes: Any, *, padding_config: PaddingConfig) -> Any:
        (x, value), (b, value_axis) = args, axes
        x = batch_first(x, b, size)
        config = ((0, 0, 0), *padding_config)
        if value_axis is None:
            return self.bind(x, value, padding_config=config), 0
        out = self.bind(x, like(0, x), padding_config=config)
        values = broadcast_in_dim_p.bind(value, shape=out.shape, broadcast_dimensions=(0,))
        return select_n_p.bind(_inside(x.shape, config), values, out), 0


def _padded_shape(shape: Shape, config: PaddingConfig) -> Shape:
    return tuple(low + high + n + max(n - 1, 0) * interior for n, (low, high, interior) in zip(shape, config))


def _inside(shape: Shape, config: PaddingConfig) -> Any:
    """Where, in an array of `shape` padded by `config`, the elements of the array are."""
    false, true = (concrete(np.bool_(v)) for v in (False, True))
    return pad_p.bind(filled(true, shape), false, padding_config=config)


class Slice(LinearPrimitive):
    """The elements from `start_indices` up to `limit_indices`, in steps of `strides` (all 1, if None)."""

    name = "slice"
    fusion, operations = Fusion.MOVING, 1
    makes_nan = False

    def type_of(
        self, x: ShapedArray, *, start_indices: Shape, limit_indices: Shape, strides: Shape | None
    ) -> ShapedArray:
        if not len(start_indices) == len(limit_indices) == x.ndim or (strides is not None and len(strides) != x.ndim):
            raise ValueError(
                f"slice needs one start, limit and stride for each axis of shape {x.shape}: got start_indices {start_indices}, "
                f"limit_indices {limit_indices}, strides {strides}"
            )
        if any(b > n for b, n in zip(limit_indices, x.shape)):
            raise TypeError(
                "slice limit_indices must be less than or equal to operand shape, got limit_indices "
                f"{limit_indices} for operand shape {x.shape}."
            )
        if any(a < 0 or a > b for a, b in zip(start_indices, limit_indices)):
            raise TypeError(
                "slice start_indices must be between zero and limit_indices, got start_indices "
                f"{start_indices} and limit_indices {limit_indices}."
            )
        if strides is None:
            return x.update(shape=tuple(b - a for a, b in zip(start_indices, limit_indices)))
        if any(s < 1 for s in strides):
            raise TypeError(f"slice strides must be positive, got strides {strides}")
        return x.update(shape=tuple(-((a - b) // s) for a, b, s in zip(start_indices, limit_indices, strides)))

    def evaluate(self, x: Any, *, start_indices: Shape, limit_indices: Shape, strides: Shape | None) -> Any:
        return x[tuple(map(builtins.slice, start_indices, limit_indices, strides or (1,) * x.ndim))]

    def lower(self, emit: Any, x: Any, *, start_indices: Shape, limit_indices: Shape, strides: Shape | None) -> Any:
        return emit.slice(x, start_indices, limit_indices, strides)

    def transpose(
        self, ct: Any, x: Any, *, start_indices: Shape, limit_indices: Shape, strides: Shape | None
    ) -> Sequence[Any]:
        config = []
        for n, m, start, stride in zip(x.shape, ct.shape, start_indices, strides or (1,) * len(x.shape)):
            covered = (m - 1) * stride + 1 if m else 0
            config.append((start, n - start - covered, stride - 1))
        return [pad_p.bind(ct, like(0, ct), padding_config=tuple(config))]

    def batch(
        self, size: int, args: Any, axes: Any, *, start_indices: Shape, limit_indices: Shape, strides: Shape | None
    ) -> Any:
        (x,), (b,) = args, axes
        return (
            self.bind(
                x,
                start_indices=_insert(start_indices, b, 0),
                limit_indices=_insert(limit_indices, b, size),
                strides=None if strides is None else _insert(strides, b, 1),
            ),
            b,
        )


def _insert(sizes: Shape, axis: int, n: int) -> Shape:
    return (*sizes[:axis], n, *sizes[axis:])


class Rev(LinearPrimitive):
    """Reverse the order of elements along the axes `dimensions`."""

    name = "rev"
    fusion, operations = Fusion.MOVING, 1
    makes_nan = False

    def type_of(self, x: ShapedArray, *, dimensions: Shape) -> ShapedArray:
        if len(set(dimensions)) != len(dimensions):
            raise TypeError(f"rev dimensions must be unique, got {dimensions}.")
        if any(d < 0 for d in dimensions):
            raise TypeError(f"rev dimensions must have every element be nonnegative, got {dimensions}.")
        if any(d >= x.ndim for d in dimensions):
            raise TypeError(
                f"rev dimensions must all be less than operand ndim, got dimensions {dimensions} for operand ndim {x.ndim}."
            )
        return x

    def evaluate(self, x: Any, *, dimensions: Shape) -> Any:
        backwards = builtins.slice(None, None, -1)
        return x[tuple(backwards if i in dimensions else _FULL for i in range(x.ndim))]

    def lower(self, emit: Any, x: Any, *, dimensions: Shape) -> Any:
        return emit("reverse", x, dimensions=dimensions)

    def transpose(self, ct: Any, x: Any, *, dimensions: Shape) -> Sequence[Any]:
        return [self.bind(ct, dimensions=dimensions)]

    def batch(self, size: int, args: Any, axes: Any, *, dimensions: Shape) -> Any:
        (b,) = axes
        return self.bind(args[0], dimensions=tuple(d + (d >= b) for d in dimensions)), b


class Iota(Primitive):
    """0, 1, 2, ... along the axis `dimension` of `shape`, the same along the others."""

    name = "iota"
    weakness = "never"
    no_derivative = "it has no operands"

    def type_of(self, *, dtype: DType, shape: Shape, dimension: int) -> ShapedArray:
        if not (dtypes.is_integer(dtype) or dtypes.is_inexact(dtype)):
            raise TypeError(
                f"iota does not accept dtype {dtypes.name(dtype)}: it takes integer, floating and complex types"
            )
        if any(n < 0 for n in shape):
            raise TypeError(f"iota shape must have every element be nonnegative, got {shape}.")
        if not 0 <= dimension < len(shape):
            raise ValueError(
                f"iota dimension must be between 0 and len(shape), got dimension={dimension} for shape={shape}"
            )
        return ShapedArray(shape, dtype)

    def evaluate(self, *, dtype: DType, shape: Shape, dimension: int) -> Any:
        count = np.arange(shape[dimension]).astype(dtype)
        if len(shape) == 1:
            return count
        return broadcast_view(count, shape, tuple(count.itemsize if i == dimension else 0 for i in range(len(shape))))

    def lower(self, emit: Any, *, dtype: DType, shape: Shape, dimension: int) -> Any:
        return emit.iota(shape, dtype, dimension)

    def batch(self, size: int, args: Any, axes: Any, **params: Any) -> Any:
        return self.bind(**params), None  # the same for all slices


class BitcastConvertType(Primitive):
    """The same bits as elements of `new_dtype`; the last axis is added or consumed where the widths differ."""

    name = "bitcast_convert_type"
    makes_nan = False
    weakness = "never"
    no_derivative = "bits have no tangents"

    def type_of(self, x: ShapedArray, *, new_dtype: DType) -> ShapedArray:
        if x.dtype == new_dtype:
            return ShapedArray(x.shape, new_dtype)
        old_bits, new_bits = dtypes.itemsize_bits(x.dtype), dtypes.itemsize_bits(new_dtype)
        if new_bits > old_bits and (not x.ndim or x.shape[-1] * old_bits != new_bits):
            raise ValueError(
                f"Attempting to convert array of shape {x.shape} from {dtypes.name(x.dtype)} of size {old_bits} bits to "
                f"{dtypes.name(new_dtype)} of size {new_bits} bits, but the last axis does not hold {new_bits // old_bits} parts"
            )
        if any(not dtypes.is_integer(t) and not dtypes.is_float(t) for t in (x.dtype, new_dtype)):
            raise TypeError(
                "lax.bitcast_convert_type does not support bool or complex values unless the operand and destination types "
                f"match. Got operand dtype={dtypes.name(x.dtype)}, new_dtype={dtypes.name(new_dtype)}. Consider the array's method view()."
            )
        if new_bits == old_bits:
            return ShapedArray(x.shape, new_dtype)
        return ShapedArray((*x.shape, old_bits // new_bits) if new_bits < old_bits else x.shape[:-1], new_dtype)

    def evaluate(self, x: Any, *, new_dtype: DType) -> Any:
        if x.dtype == new_dtype:
            return x
        x = np.asarray(x)
        old_bits, new_bits = dtypes.itemsize_bits(x.dtype), dtypes.itemsize_bits(new_dtype)
        shape = self.type_of(ShapedArray(x.shape, x.dtype), new_dtype=new_dtype).shape
        if x.dtype.itemsize == new_dtype.itemsize and old_bits == new_bits:
            return x.view(new_dtype)
        if old_bits >= 8 and new_bits >= 8:
            return np.ascontiguousarray(x).reshape(-1).view(new_dtype).reshape(shape)
        # Types narrower than a byte are stored one a byte: go through their bits, least significant first.
        raw = np.ascontiguousarray(x).reshape(-1, 1).view(np.uint8)
        bits = np.unpackbits(raw, axis=1, bitorder="little")[:, : old_bits if old_bits < 8 else None].reshape(
            -1, new_bits
        )
        whole = np.zeros((len(bits), max(8, new_bits)), np.uint8)
        whole[:, :new_bits] = bits
        return np.packbits(whole, axis=1, bitorder="little").reshape(-1).view(new_dtype).reshape(shape)

    def lower(self, emit: Any, x: Any, *, new_dtype: DType) -> Any:
        if x.dtype == new_dtype:
            return x
        old_bits, new_bits = dtypes.itemsize_bits(x.dtype), dtypes.itemsize_bits(new_dtype)
        narrow = x.dtype if old_bits < new_bits else new_dtype
        if old_bits == new_bits or min(old_bits, new_bits) >= 8 or not dtypes.is_integer(narrow):
            return emit("bitcast_convert", x, out=emit.type)
        return self._lower_parts(emit, x, new_dtype, old_bits, new_bits)

    def _lower_parts(self, emit: Any, x: Any, new_dtype: DType, old_bits: int, new_bits: int) -> Any:
        # By shifts: XLA takes constants of less than a byte apart in another order than arrays.
        word = np.dtype(f"uint{max(8, old_bits, new_bits)}")
        shape = emit.type.shape if new_bits < old_bits else x.shape
        last = len(shape) - 1
        shift = emit("multiply", emit.iota(shape, word, last), emit.constant(min(old_bits, new_bits), word, shape))
        if new_bits < old_bits:
            bits = emit.broadcast(_as_word(emit, x, word), shape, tuple(range(last)))
            return _from_word(emit, emit("shift_right_logical", bits, shift), new_dtype)
        bits = emit("shift_left", _as_word(emit, x, word), shift)
        return _from_word(emit, emit.reduce(bits, 0, "or", (last,)), new_dtype)

    def batch(self, size: int, args: Any, axes: Any, *, new_dtype: DType) -> Any:
        return self.bind(move_axis(args[0], axes[0], 0), new_dtype=new_dtype), 0


def _as_word(emit: Any, x: Any, word: DType) -> Any:
    """The bits of `x` as the lowest of unsigned integers of at least 8 bits."""
    bits = dtypes.itemsize_bits(x.dtype)
    if bits >= 8:
        return x if x.dtype == word else emit("bitcast_convert", x, out=ShapedArray(x.shape, word))
    wide = emit.convert(x, dtypes.int8 if dtypes.kind(x.dtype) == "i" else dtypes.uint8)
    wide = emit("bitcast_convert", wide, out=ShapedArray(x.shape, dtypes.uint8)) if wide.dtype != dtypes.uint8 else wide
    return emit.convert(emit("and", wide, emit.like((1 << bits) - 1, wide)), word)


def _from_word(emit: Any, x: Any, dtype: DType) -> Any:
    """The lowest bits of unsigned integers as `dtype`."""
    bits = dtypes.itemsize_bits(dtype)
    if bits >= 8:
        return x if x.dtype == dtype else emit("bitcast_convert", x, out=ShapedArray(x.shape, dtype))
    low = emit.convert(emit("and", x, emit.like((1 << bits) - 1, x)), dtypes.uint8)
    if dtypes.kind(dtype) == "i":
        low = emit("bitcast_convert", low, out=ShapedArray(x.shape, dtypes.int8))
    return emit.convert(low, dtype)


class Copy(LinearPrimitive):
    """The operand. In a compiled program, a fresh buffer."""

    name = "copy"
    fusion, operations = Fusion.ELEMENTWISE, 1
    makes_nan = False

    def type_of(self, x: ShapedArray) -> ShapedArray:
        return x

    def evaluate(self, x: Any) -> Any:
        return x

    def lower(self, emit: Any, x: Any) -> Any:
        return x  # every result of a program has its own buffer

    def transpose(self, ct: Any, x: Any) -> Sequence[Any]:
        return [ct]

    def batch(self, size: int, args: Any, axes: Any) -> Any:
        return self.bind(*args), axes[0]


class OptimizationBarrier(Primitive):
    """The operands, which the compiler may not reorder or merge computations across."""

    name = "optimization_barrier"
    makes_nan = False
    mergeable = False
    multiple_results = True
    weakness = "each"

    def type_of(self, *xs: ShapedArray) -> list[ShapedArray]:
        return list(xs)

    def evaluate(self, *xs: Any) -> list[Any]:
        return list(xs)

    def lower(self, emit: Any, *xs: Any) -> Any:
        return emit("optimization_barrier", *xs, out=[x.aval for x in xs])

    def is_linear(self, active: Sequence[bool]) -> bool:
        return True  # each result is an operand

    def record(self, operands: Sequence[Any], params: Params) -> list[Any]:
        constants = [x for x in operands if not is_node(x)]
        kept = iter(self.bind(*constants) if constants else ())
        recorded = iter(super().record([x for x in operands if is_node(x)], params))
        return [next(recorded) if is_node(x) else next(kept) for x in operands]

    def jvp(self, primals: Any, tangents: Any) -> Any:
        out = self.bind(*primals)
        results = iter(self.bind(*(t for t in tangents if t is not None)))
        return out, [None if t is None else next(results) for t in tangents]

    def transpose(self, cts: Any, *xs: Any) -> Sequence[Any]:
        results = iter(self.bind(*(ct for ct in cts if ct is not None)))
        return [None if ct is None else next(results) for ct in cts]

    def batch(self, size: int, args: Any, axes: Any) -> Any:
        return self.bind(*args), list(axes)


class DevicePut(LinearPrimitive):
    """The operand on `device`. In a program it stays where the program runs."""

    name = "device_put"
    makes_nan = False

    def bind(self, *args: Any, **params: Any) -> Any:
        (x,) = args
        return put(as_array(x), params["device"]) if current() is EVAL else super().bind(x, **params)

    def type_of(self, x: ShapedArray, *, device: Any) -> ShapedArray:
        return x.update()

    def evaluate(self, x: Any, *, device: Any) -> Any:
        return x

    def lower(self, emit: Any, x: Any, *, device: Any) -> Any:
        return x

    def transpose(self, ct: Any, x: Any, *, device: Any) -> Sequence[Any]:
        return [ct]

    def batch(self, size: int, args: Any, axes: Any, *, device: Any) -> Any:
        return self.bind(args[0], device=device), axes[0]


class Split(LinearPrimitive):
    """Consecutive parts of lengths `sizes` along `axis`."""

    name = "split"
    fusion, operations = Fusion.MOVING, 1
    makes_nan = False
    multiple_results = True

    def type_of(self, x: ShapedArray, *, sizes: Shape, axis: int) -> list[ShapedArray]:
        if not 0 <= axis < x.ndim:
            raise np.exceptions.AxisError(f"split axis {axis} is out of bounds for array of dimension {x.ndim}")
        if any(n < 0 for n in sizes):
            raise ValueError(f"Sizes passed to split must be nonnegative, got {sizes}")
        if sum(sizes) != x.shape[axis]:
            raise ValueError(
                f"Sum of sizes {sum(sizes)} must be equal to dimension {axis} of the operand shape {list(x.shape)}"
            )
        return [x.update(shape=(*x.shape[:axis], n, *x.shape[axis + 1 :])) for n in sizes]

    def evaluate(self, x: Any, *, sizes: Shape, axis: int) -> list[Any]:
        parts, start, before = [], 0, (_FULL,) * axis
        for n in sizes:
            parts.append(x[(*before, builtins.slice(start, start + n))])
            start += n
        return parts

    def lower(self, emit: Any, x: Any, *, sizes: Shape, axis: int) -> list[Any]:
        parts, start = [], 0
        for n in sizes:
            starts, limits = [0] * x.ndim, list(x.shape)
            starts[axis], limits[axis] = start, start + n
            parts.append(emit.slice(x, tuple(starts), tuple(limits)))
            start += n
        return parts

    def transpose(self, cts: Any, x: Any, *, sizes: Shape, axis: int) -> Sequence[Any]:
        known = next(ct for ct in cts if ct is not None)
        parts = [
            zeros_like_shape(known, (*x.shape[:axis], n, *x.shape[axis + 1 :])) if ct is None else ct
            for n, ct in zip(sizes, cts)
        ]
        return [parts[0] if len(parts) == 1 else concatenate_p.bind(*parts, dimension=axis)]

    def batch(self, size: int, args: Any, axes: Any, *, sizes: Shape, axis: int) -> Any:
        (b,) = axes
        return self.bind(args[0], sizes=sizes, axis=axis + (axis >= b)), [b] * len(sizes)


class DynamicSlice(LinearPrimitive):
    """The block of `slice_sizes` that begins at the scalar operands; starts are clamped so that it lies inside."""

    name = "dynamic_slice"
    makes_nan = False
    linear_in = (0,)
    weakness = "first"

    def type_of(self, x: ShapedArray, *starts: ShapedArray, slice_sizes: Shape) -> ShapedArray:
        _check_starts(self.name, x, starts)
        if len(slice_sizes) != x.ndim or any(not 0 <= m <= n for m, n in zip(slice_sizes, x.shape)):
            raise TypeError(
                "slice slice_sizes must be less than or equal to operand shape, got slice_sizes "
                f"{slice_sizes} for operand shape {x.shape}."
            )
        return x.update(shape=slice_sizes)

    def evaluate(self, x: Any, *starts: Any, slice_sizes: Shape) -> Any:
        return x[_block(x.shape, starts, slice_sizes)]

    def lower(self, emit: Any, x: Any, *starts: Any, slice_sizes: Shape) -> Any:
        starts = emit.clamped(starts, [n - m for n, m in zip(x.shape, slice_sizes)])
        return emit("dynamic_slice", x, *starts, out=emit.type, slice_sizes=slice_sizes)

    def transpose(self, ct: Any, x: Any, *starts: Any, slice_sizes: Shape) -> Sequence[Any]:
        return [dynamic_update_slice_p.bind(zeros_like_shape(ct, x.shape), ct, *starts), *(None for _ in starts)]

    def batch(self, size: int, args: Any, axes: Any, *, slice_sizes: Shape) -> Any:
        (x, *starts), (b, *start_axes) = args, axes
        if all(s is None for s in start_axes):
            zero = like(0, starts[0]) if starts else concrete(np.int32(0))
            starts.insert(b, zero)
            return self.bind(x, *starts, slice_sizes=_insert(slice_sizes, b, size)), b
        rank = len(starts)
        numbers = GatherDimensionNumbers(tuple(range(rank)), (), tuple(range(rank)))
        return gather_p.batch(
            size, (x, _stacked_starts(starts, start_axes, size)), (b, 0), dimension_numbers=numbers, slice_sizes=slice_sizes,
            indices_are_sorted=True, unique_indices=True, mode=GatherScatterMode.CLIP, fill_value=None,
        )  # fmt: skip


class DynamicUpdateSlice(LinearPrimitive):
    """Operand 0 with the block that begins at the scalar operands (clamped so that it lies inside) replaced by operand 1."""

    name = "dynamic_update_slice"
    makes_nan = False
    linear_in = (0, 1)
    weakness = "never"

    def type_of(self, x: ShapedArray, update: ShapedArray, *starts: ShapedArray) -> ShapedArray:
        if x.dtype != update.dtype:
            raise TypeError(
                f"lax.dynamic_update_slice requires arguments to have the same dtypes, got {dtypes.name(x.dtype)}, "
                f"{dtypes.name(update.dtype)}."
            )
        if update.ndim != x.ndim:
            raise TypeError(
                "dynamic_update_slice update must have the same rank as operand, got update shape "
                f"{update.shape} for operand shape {x.shape}."
            )
        if any(m > n for m, n in zip(update.shape, x.shape)):
            raise TypeError(
                "dynamic_update_slice update shape must be smaller than operand shape, got update shape "
                f"{update.shape} for operand shape {x.shape}."
            )
        _check_starts(self.name, x, starts)
        return x.update(weak_type=False)

    def evaluate(self, x: Any, update: Any, *starts: Any) -> Any:
        out = np.array(x)
        out[_block(x.shape, starts, update.shape)] = update
        return out

    def lower(self, emit: Any, x: Any, update: Any, *starts: Any) -> Any:
        starts = emit.clamped(starts, [n - m for n, m in zip(x.shape, update.shape)])
        return emit("dynamic_update_slice", x, update, *starts, out=emit.type)

    def transpose(self, ct: Any, x: Any, update: Any, *starts: Any) -> Sequence[Any]:
        ct_x = ct_update = None
        if is_node(x):
            ct_x = self.bind(ct, zeros_like_shape(ct, update.shape), *starts)
        if is_node(update):
            ct_update = dynamic_slice_p.bind(ct, *starts, slice_sizes=update.shape)
        return [ct_x, ct_update, *(None for _ in starts)]

    def batch(self, size: int, args: Any, axes: Any) -> Any:
        (x, update, *starts), (b, b_update, *start_axes) = args, axes
        if all(s is None for s in start_axes):
            zero = like(0, starts[0]) if starts else concrete(np.int32(0))
            return self.bind(batch_first(x, b, size), batch_first(update, b_update, size), zero, *starts), 0
        rank = len(starts)
        numbers = ScatterDimensionNumbers(tuple(range(rank)), (), tuple(range(rank)))
        return scatter_p.batch(
            size, (x, _stacked_starts(starts, start_axes, size), update), (b, 0, b_update), dimension_numbers=numbers,
            indices_are_sorted=True, unique_indices=True, mode=GatherScatterMode.CLIP,
        )  # fmt: skip


def _check_starts(name: str, x: ShapedArray, starts: Sequence[ShapedArray]) -> None:
    if len(starts) != x.ndim:
        raise ValueError(
            f"Length of slice indices must match number of operand dimensions ({len(starts)} vs {x.shape})"
        )
    if any(s.shape or not dtypes.is_integer(s.dtype) or s.dtype != starts[0].dtype for s in starts):
        raise TypeError(
            f"index arguments to {name} must be integer scalars of the same type, got: {', '.join(map(str, starts))}"
        )


def _block(shape: Shape, starts: Sequence[Any], sizes: Shape) -> tuple[builtins.slice, ...]:
    index = []
    for n, start, m in zip(shape, starts, sizes):
        first = min(max(int(start), 0), n - m)
        index.append(builtins.slice(first, first + m))
    return tuple(index)


def _stacked_starts(starts: Sequence[Any], axes: Sequence[int | None], size: int) -> Any:
    """Batched scalar starts as an array of shape (size, number of starts)."""
    columns = [reshape_p.bind(batch_first(s, b, size), new_sizes=(size, 1)) for s, b in zip(starts, axes)]
    return concatenate_p.bind(*columns, dimension=1)


# ---- static indices ---------------------------------------------------------------------------------------------


class StaticIndex:
    """A NumPy index of integers, slices and `None` for the leading axes of an array: hashable, and printed as it is written.

    Integers must be in range and slices as `slice.indices` normalizes them. `numpy` is the index as NumPy takes it.
    """

    __slots__ = ("numpy",)

    def __init__(self, numpy: tuple[Any, ...]) -> None:
        self.numpy = numpy

    def key(self) -> tuple[Any, ...]:
        """The entries, hashable (slices are not before Python 3.12) and of a total order within one program."""
        return tuple((i.start, i.stop, i.step) if i.__class__ is builtins.slice else i for i in self.numpy)

    def shape(self, operand: Shape) -> Shape:
        """The shape of an array of shape `operand` when indexed."""
        out, axis = [], 0
        for i in self.numpy:
            if i is None:
                out.append(1)
                continue
            if axis >= len(operand):
                raise TypeError(f"index {self} has more entries than the shape {operand} has axes")
            if i.__class__ is builtins.slice:
                out.append(len(range(*i.indices(operand[axis]))))
            axis += 1
        return (*out, *operand[axis:])

    def batched(self, axis: int) -> tuple[StaticIndex, int]:
        """The index for operands with an additional axis at `axis`, and where that axis is in the result."""
        position = operand_axis = out_axis = 0
        for i in self.numpy:
            if operand_axis == axis:
                break
            position += 1
            operand_axis += i is not None
            out_axis += i is None or i.__class__ is builtins.slice
        missing = axis - operand_axis
        entries = (*self.numpy[:position], *(_FULL,) * (missing + 1), *self.numpy[position:])
        return StaticIndex(entries), out_axis + missing

    def parts(self, operand: Shape) -> tuple[list[builtins.slice], list[int], Shape]:
        """A slice with positive step for each axis, the axes to reverse after slicing, and the result's shape."""
        slices: list[builtins.slice] = []
        reverse: list[int] = []
        for i in (e for e in self.numpy if e is not None):
            n, axis = operand[len(slices)], len(slices)
            if i.__class__ is not builtins.slice:
                start = i + n if i < 0 else i
                slices.append(builtins.slice(start, start + 1, 1))
                continue
            positions = range(*i.indices(n))
            if positions.step < 0:
                positions = positions[::-1]
                reverse.append(axis)
            if not positions:
                slices.append(builtins.slice(0, 0, 1))
            else:
                slices.append(builtins.slice(positions[0], positions[-1] + 1, positions.step))
        slices += [builtins.slice(0, n, 1) for n in operand[len(slices) :]]
        return slices, reverse, self.shape(operand)

    def __eq__(self, other: object) -> bool:
        return other.__class__ is StaticIndex and self.numpy == other.numpy

    def __hash__(self) -> int:
        return hash(self.key())

    def __repr__(self) -> str:
        def text(i: Any) -> str:
            if i.__class__ is not builtins.slice:
                return str(i)
            start, stop = ("" if v is None else str(v) for v in (i.start, i.stop))
            return f"{start}:{stop}" + ("" if i.step in (None, 1) else f":{i.step}")

        return f"[{', '.join(map(text, self.numpy))}]"


def _ndarray_of_void(x: Any) -> Any:
    """Single elements of typed keys come out of NumPy as `void` scalars; make them 0-d arrays."""
    return np.asarray(x) if x.__class__ is np.void else x


class IndexStatic(LinearPrimitive):
    """`x[index]` for a `StaticIndex`."""

    name = "static_index"
    makes_nan = False
    staged_expanded = True

    def type_of(self, x: ShapedArray, *, index: StaticIndex) -> ShapedArray:
        return x.update(shape=index.shape(x.shape))

    def evaluate(self, x: Any, *, index: StaticIndex) -> Any:
        return _ndarray_of_void(x[index.numpy])

    def transpose(self, ct: Any, x: Any, *, index: StaticIndex) -> Sequence[Any]:
        return [static_update_p.bind(zeros_like_shape(ct, x.shape), ct, index=index)]

    def batch(self, size: int, args: Any, axes: Any, *, index: StaticIndex) -> Any:
        batched, out_axis = index.batched(axes[0])
        return self.bind(args[0], index=batched), out_axis

    def expand(self, x: Any, *, index: StaticIndex) -> Any:
        """The same by slice, rev and reshape, which is what programs show."""
        slices, reverse, shape = index.parts(x.shape)
        strides = tuple(s.step for s in slices)
        starts, limits = tuple(s.start for s in slices), tuple(s.stop for s in slices)
        if any(starts) or limits != x.shape or any(s != 1 for s in strides):
            one = all(s == 1 for s in strides)
            x = slice_p.bind(x, start_indices=starts, limit_indices=limits, strides=None if one else strides)
        if reverse:
            x = rev_p.bind(x, dimensions=tuple(reverse))
        return x if x.shape == shape else reshape_p.bind(x, new_sizes=shape)


class UpdateStatic(LinearPrimitive):
    """Operand 0 with the elements at the `StaticIndex` replaced by operand 1."""

    name = "static_update"
    makes_nan = False
    weakness = "first"
    staged_expanded = True

    def type_of(self, x: ShapedArray, update: ShapedArray, *, index: StaticIndex) -> ShapedArray:
        if update.shape != index.shape(x.shape) or update.dtype != x.dtype:
            raise TypeError(
                f"static_update of {x} at {index} takes an update of shape {index.shape(x.shape)} and that dtype, got {update}"
            )
        return x

    def evaluate(self, x: Any, update: Any, *, index: StaticIndex) -> Any:
        out = np.array(x)
        out[index.numpy] = update
        return out

    def transpose(self, ct: Any, x: Any, update: Any, *, index: StaticIndex) -> Sequence[Any]:
        return [
            self.bind(ct, zeros_like_shape(ct, update.shape), index=index) if is_node(x) else None,
            static_index_p.bind(ct, index=index) if is_node(update) else None,
        ]

    def batch(self, size: int, args: Any, axes: Any, *, index: StaticIndex) -> Any:
        (x, update), (b, b_update) = args, axes
        if b is None:
            x, b = add_batch_axis(x, size), 0
        batched, out_axis = index.batched(b)
        update = add_batch_axis(update, size) if b_update is None else update
        update = move_axis(update, b_update or 0, out_axis)
        return self.bind(x, update, index=batched), b

    def expand(self, x: Any, update: Any, *, index: StaticIndex) -> Any:
        """The same by dynamic_update_slice, or pad and select_n, which is what programs show."""
        slices, reverse, _ = index.parts(x.shape)
        block = tuple(len(range(s.start, s.stop, s.step)) for s in slices)
        if update.shape != block:
            update = reshape_p.bind(update, new_sizes=block)
        if reverse:
            update = rev_p.bind(update, dimensions=tuple(reverse))
        if all(s.step == 1 or m == 1 for s, m in zip(slices, block)):
            out = dynamic_update_slice_p.bind(x, update, *(concrete(np.int32(s.start)) for s in slices))
            return convert(out, x.dtype, x.weak_type)
        config = tuple((s.start, n - s.stop if m else n, s.step - 1) for s, n, m in zip(slices, x.shape, block))
        padded = pad_p.bind(convert(update, x.dtype, x.weak_type), like(0, x), padding_config=config)
        return select_n_p.bind(_inside(block, config), x, padded)


concatenate_p, pad_p, slice_p, rev_p, iota_p = Concatenate(), Pad(), Slice(), Rev(), Iota()
device_put_p = DevicePut()
bitcast_convert_type_p, copy_p, optimization_barrier_p, split_p = (
    BitcastConvertType(),
    Copy(),
    OptimizationBarrier(),
    Split(),
)
dynamic_slice_p, dynamic_update_slice_p = DynamicSlice(), DynamicUpdateSlice()
static_index_p, static_update_p = IndexStatic(), UpdateStatic()


def slice_along(x: Any, start: int, stop: int, axis: int) -> Any:
    """`x[start:stop]` along one axis, for rules; bounds in range."""
    starts, stops = [0] * len(x.shape), list(x.shape)
    starts[axis], stops[axis] = start, stop
    return slice_p.bind(x, start_indices=tuple(starts), limit_indices=tuple(stops), strides=None)


# ---- public functions: joining and cutting ----------------------------------------------------------------------


def concatenate(operands: Any, dimension: int) -> Array:
    """The operands one after the other along the axis `dimension` (not negative).

    Raises TypeError if dtypes, or lengths of the other axes, differ.

    >>> concatenate([iota(int, 2), iota(int, 3)], 0)
    Array([0, 1, 0, 1, 2], dtype=int32)
    """
    arrays = [as_array(x) for x in operands]
    if not arrays:
        raise ValueError("concatenate requires a non-empty sequence of arrays")
    dimension = integer(dimension, "concatenate: dimension")
    first = arrays[0]
    if len(arrays) == 1 and 0 <= dimension < first.ndim:
        return first
    return bind_checked(concatenate_p, *arrays, dimension=dimension)


def pad(operand: Any, padding_value: Any, padding_config: Sequence[tuple[int, int, int]]) -> Array:
    """`operand` with the scalar `padding_value` around and between its elements.

    `padding_config` has (low, high, interior) for each axis: how many go before, after, and between neighbours. Negative low and high
    remove elements, of the interior padding included. Raises TypeError if the dtypes differ, ValueError for impossible sizes.

    >>> pad(iota(int, 3), 9, [(1, -1, 1)])
    Array([9, 0, 9, 1, 9], dtype=int32)
    """
    x, value = as_array(operand), as_array(padding_value)
    if (
        value.weak_type
        and value.dtype != x.dtype
        and dtypes.promote_pair(x.dtype, False, value.dtype, True)[0] == x.dtype
    ):
        value = convert(value, x.dtype)
    if not hasattr(type(padding_config), "__iter__"):
        raise TypeError(
            f"pad: padding_config must have (low, high, interior) for each axis, got {padding_config!r:.100}"
        )
    config = tuple([integers(c, "pad: padding_config") for c in padding_config])
    if any(len(c) != 3 for c in config):
        raise ValueError(
            f"pad: padding_config must have (low, high, interior) for each axis, got {padding_config!r:.100}"
        )
    if x.ndim == len(config) and not any(any(c) for c in config) and x.dtype == value.dtype and not value.shape:
        return x
    return bind_checked(pad_p, x, value, padding_config=config)


def slice(
    operand: Any, start_indices: Sequence[int], limit_indices: Sequence[int], strides: Sequence[int] | None = None
) -> Array:
    """The elements of `operand` from `start_indices` up to `limit_indices`, in steps of `strides`: one entry an axis, not negative.

    Raises TypeError for bounds that are out of range.

    >>> slice(iota(int, 10), (2,), (9,), (3,))
    Array([2, 5, 8], dtype=int32)
    """
    x = as_array(operand)
    starts, limits = integers(start_indices, "slice: start_indices"), integers(limit_indices, "slice: limit_indices")
    steps = None if strides is None else integers(strides, "slice: strides")
    if steps is not None and all(s == 1 for s in steps) and len(steps) == x.ndim:
        steps = None
    if steps is None and limits == x.shape and not any(starts) and len(starts) == x.ndim:
        return x
    return bind_checked(slice_p, x, start_indices=starts, limit_indices=limits, strides=steps)


def slice_in_dim(
    operand: Any, start_index: int | None, limit_index: int | None, stride: int = 1, axis: int = 0
) -> Array:
    """`operand[start_index:limit_index:stride]` along one axis. Negative indices count from the end; None is the end.

    Raises TypeError for bounds that are out of range.
    """
    x = as_array(operand)
    axis = canonical_axis(axis, x.ndim)
    n = x.shape[axis]
    start = 0 if start_index is None else integer(start_index, "slice_in_dim: start_index")
    limit = n if limit_index is None else integer(limit_index, "slice_in_dim: limit_index")
    starts, limits, strides = [0] * x.ndim, list(x.shape), [1] * x.ndim
    starts[axis] = start + n if start < 0 else start
    limits[axis] = limit + n if limit < 0 else limit
    strides[axis] = integer(stride, "slice_in_dim: stride")
    return slice(x, starts, limits, strides)


def index_in_dim(operand: Any, index: int, axis: int = 0, keepdims: bool = True) -> Array:
    """The slice of `operand` at position `index` of an axis, which is dropped unless `keepdims`. Raises IndexError."""
    x = as_array(operand)
    axis = canonical_axis(axis, x.ndim)
    n, i = x.shape[axis], integer(index, "index_in_dim: index")
    if not -n <= i < n:
        raise IndexError(f"index {i} is out of bounds for axis {axis} with size {n}")
    i += n if i < 0 else 0
    out = slice_along(x, i, i + 1, axis)
    return out if keepdims else squeeze(out, (axis,))


def split(operand: Any, sizes: Sequence[int], axis: int = 0) -> Sequence[Array]:
    """Consecutive parts of `operand`, of lengths `sizes`, along `axis`. Raises ValueError if they do not add up to its length.

    >>> [part.tolist() for part in split(iota(int, 5), (2, 3))]
    [[0, 1], [2, 3, 4]]
    """
    x = as_array(operand)
    parts: Sequence[Array] = bind_checked(
        split_p, x, sizes=integers(sizes, "split: sizes"), axis=canonical_axis(axis, x.ndim)
    )
    return parts


def stack(operands: Sequence[Any], axis: int = 0) -> Array:
    """Arrays of one shape along a new axis at position `axis` of the result. Raises ValueError if shapes differ."""
    arrays = [as_array(x) for x in operands]
    if not arrays:
        raise ValueError("stack requires a non-empty sequence of arrays")
    if any(a.shape != arrays[0].shape for a in arrays):
        raise ValueError(f"Cannot stack arrays of different shapes: got {_shapes(arrays)}, at {user_line()}")
    axis = canonical_axis(axis, arrays[0].ndim + 1)
    return concatenate([expand_dims(a, (axis,)) for a in arrays], axis)


def unstack(x: Any, axis: int = 0) -> tuple[Array, ...]:
    """The slices of `x` along `axis`, which they do not have. Raises ValueError for a scalar."""
    x = as_array(x)
    if not x.ndim:
        raise ValueError("Unstack requires arrays with at least one axis; got a scalar")
    axis = canonical_axis(axis, x.ndim)
    if not x.shape[axis]:
        return ()
    return tuple(squeeze(part, (axis,)) for part in split(x, (1,) * x.shape[axis], axis))


def tile(operand: Any, reps: Sequence[int]) -> Array:
    """`operand` repeated as a whole `reps[i]` times along axis `i`. Raises TypeError unless there is one number an axis.

    >>> tile(iota(int, 2), (3,))
    Array([0, 1, 0, 1, 0, 1], dtype=int32)
    """
    x = as_array(operand)
    counts = integers(reps, "tile: reps")
    if len(counts) != x.ndim:
        raise TypeError(f"reps length must be equal to the ndim of x, got len(reps)={len(counts)} and x.ndim={x.ndim}.")
    if any(n < 0 for n in counts):
        raise ValueError(f"tile reps must not be negative, got {counts}")
    if all(n == 1 for n in counts):
        return x
    repeated = tuple(m for pair in zip(counts, x.shape) for m in pair)
    out = broadcast_in_dim_p.bind(x, shape=repeated, broadcast_dimensions=tuple(range(1, 2 * x.ndim, 2)))
    return reshape_p.bind(out, new_sizes=tuple(r * n for r, n in zip(counts, x.shape)))


def rev(operand: Any, dimensions: Sequence[int]) -> Array:
    """`operand` with the order of elements reversed along the axes `dimensions`. Raises TypeError unless distinct axes, not negative."""
    x, dims = as_array(operand), integers(dimensions, "rev: dimensions")
    return bind_checked(rev_p, x, dimensions=dims) if dims else x


def collapse(operand: Any, start_dimension: int, stop_dimension: int | None = None) -> Array:
    """`operand` with the axes from `start_dimension` up to `stop_dimension` merged into one.

    >>> collapse(full((2, 3, 4), 0), 1).shape
    (2, 12)
    """
    x = as_array(operand)
    first, stop, _ = builtins.slice(start_dimension, stop_dimension).indices(x.ndim)
    if stop < first:
        raise ValueError(f"Invalid dimension range passed to collapse: {x.shape}[{start_dimension}:{stop_dimension}]")
    size = 1
    for n in x.shape[first:stop]:
        size *= n
    return reshape(x, (*x.shape[:first], size, *x.shape[stop:]))


# ---- public functions: making arrays ----------------------------------------------------------------------------


def iota(dtype: Any, size: int) -> Array:
    """0, 1, ..., `size` - 1.

    >>> iota(float, 3)
    Array([0., 1., 2.], dtype=float32)
    """
    return broadcasted_iota(dtype, (size,), 0)


def broadcasted_iota(dtype: Any, shape: Sequence[int], dimension: int, *, out_sharding: Any = None) -> Array:
    """An array of `shape` that counts 0, 1, 2, ... along the axis `dimension`. Raises TypeError for booleans."""
    if out_sharding is not None:
        no_sharding("broadcasted_iota", out_sharding)
    sizes, axis = integers(shape, "iota: shape"), integer(dimension, "iota: dimension")
    return placed(bind_checked(iota_p, dtype=given_dtype("iota", dtype), shape=sizes, dimension=axis))


def full(shape: Any, fill_value: Any, dtype: Any = None, *, sharding: Any = None) -> Array:
    """An array of `shape` with all elements `fill_value`, a scalar; of its dtype unless one is given.

    >>> full((2,), 1.5)
    Array([1.5, 1.5], dtype=float32, weak_type=True)
    """
    if sharding is not None:
        no_sharding("full", sharding)
    sizes = integers(shape, "full: shape")
    if any(n < 0 for n in sizes):
        raise TypeError(f"full: shape must have every element be nonnegative, got {sizes}")
    value = as_array(fill_value)
    if value.shape:
        raise TypeError(f"full must be called with scalar fill_value, got fill_value.shape {value.shape}.")
    if dtype is not None:
        keep_imaginary("full", fill_value, dtypes.canonicalize_dtype(dtype))
        value = convert(value, dtypes.canonicalize_dtype(dtype))
    return placed(value if not sizes else filled(value, sizes))


def full_like(x: Any, fill_value: Any, dtype: Any = None, shape: Any = None, sharding: Any = None) -> Array:
    """An array like `x` (its shape, dtype and weakness, unless others are given) with all elements `fill_value`."""
    weak = dtype is None and dtypes.typing_of(x)[1]
    kind = dtypes.typing_of(x)[0] if dtype is None else dtype
    sizes = getattr(x, "shape", ()) if shape is None else shape
    out = placed_like(full(sizes, fill_value, kind, sharding=sharding), x)
    return convert(out, out.dtype, True) if weak else out


def empty(shape: Any, dtype: Any, *, out_sharding: Any = None) -> Array:
    """An array of `shape` and `dtype` whose contents do not matter (they are zeros)."""
    if out_sharding is not None:
        no_sharding("empty", out_sharding)
    return full(shape, 0, dtype)


def broadcast(operand: Any, sizes: Sequence[int], *, out_sharding: Any = None) -> Array:
    """`operand` repeated along new leading axes of lengths `sizes`."""
    x, new = as_array(operand), integers(sizes, "broadcast: sizes")
    shape = (*new, *x.shape)
    return broadcast_in_dim(x, shape, tuple(range(len(new), len(shape))), out_sharding=out_sharding)


def broadcast_to_rank(x: Any, rank: int) -> Array:
    """`x` with leading axes of length 1 up to `rank` axes (as it is, if it has as many)."""
    x = as_array(x)
    return expand_dims(x, tuple(range(rank - x.ndim))) if x.ndim < rank else x


def broadcast_like(arr: Any, like_arr: Any) -> Array:
    """`arr` broadcast, by NumPy's rule, to the shape of `like_arr`. Raises ValueError if it cannot be."""
    x, shape = as_array(arr), as_array(like_arr).shape
    if broadcast_shapes(x.shape, shape) != shape:
        raise ValueError(f"cannot broadcast shape {x.shape} to shape {shape}")
    return broadcast_in_dim(x, shape, tuple(range(len(shape) - x.ndim, len(shape))))


def bitcast_convert_type(operand: Any, new_dtype: Any) -> Array:
    """The bits of `operand` as elements of `new_dtype`.

    A narrower type adds a last axis of the parts (least significant first), a wider one consumes the last axis. Raises TypeError for
    booleans and complex numbers, ValueError if the last axis does not make whole elements.

    >>> bitcast_convert_type(1.0, "int32")
    Array(1065353216, dtype=int32)
    """
    return bind_checked(
        bitcast_convert_type_p, as_array(operand), new_dtype=given_dtype("bitcast_convert_type", new_dtype)
    )


def optimization_barrier(operand: Any, /) -> Any:
    """A pytree of arrays, unchanged; the compiler moves no computation across."""
    leaves, tree = tree_flatten(operand)
    if not leaves:
        return operand
    arrays = [as_array(x) for x in leaves]
    return tree.unflatten(optimization_barrier_p.bind(*arrays))


# ---- public functions: blocks at computed positions -------------------------------------------------------------


def _starts(x: Array, start_indices: Any, allow_negative: Any) -> list[Array]:
    """One integer scalar an axis, all of one dtype; negative ones count from the end where that is allowed."""
    if isinstance(start_indices, (Array, np.ndarray)):
        vector = as_array(start_indices)
        if vector.ndim != 1:
            raise ValueError(f"dynamic_slice: an array of start indices must be 1-d, got shape {vector.shape}")
        given: list[Any] = list(unstack(vector))
    elif hasattr(type(start_indices), "__iter__"):
        given = list(start_indices)
    else:
        raise TypeError(
            f"dynamic_slice: start indices must be one for each axis of shape {x.shape}, got {start_indices!r:.100}"
        )
    if len(given) != x.ndim:
        raise ValueError(f"Length of slice indices must match number of operand dimensions ({len(given)} vs {x.shape})")
    single = isinstance(allow_negative, (bool, np.bool_)) or not hasattr(type(allow_negative), "__iter__")
    allow = [bool(allow_negative)] * x.ndim if single else list(allow_negative)
    if len(allow) != x.ndim:
        raise ValueError(
            f"allow_negative_indices must be a bool or have one entry an axis of shape {x.shape}, got {allow_negative}"
        )
    starts: list[Array] = []
    dtype = None
    for i, n, negative in zip(given, x.shape, allow):
        if isinstance(i, (int, np.integer)) and not isinstance(i, bool) and not negative and i < 0:
            raise ValueError(f"Index {i} is out of bounds for dimension {n} if allow_negative_indices=False")
        i = as_array(i)
        if not dtypes.is_integer(i.dtype) or i.ndim:
            raise TypeError(f"index arguments to dynamic_slice must be integer scalars, got {i.aval} at {user_line()}")
        if not i.weak_type:
            dtype = i.dtype if dtype is None else dtypes.promote_pair(dtype, False, i.dtype, False)[0]
        starts.append(i)
    dtype = dtype or dtypes.default_dtype(int)
    if dtype.itemsize < 4:
        dtype = dtypes.int32  # so that adding the axis's length cannot overflow
    return [
        wrap_negative(convert(i, dtype), n) if negative else convert(i, dtype)
        for i, n, negative in zip(starts, x.shape, allow)
    ]


def dynamic_slice(
    operand: Any,
    start_indices: Any,
    slice_sizes: Sequence[int],
    *,
    allow_negative_indices: bool | Sequence[bool] = True,
) -> Array:
    """The block of shape `slice_sizes` (static) that begins at `start_indices` (which may be traced), one an axis.

    Negative starts count from the end; then starts are clamped so that the block lies inside. Raises TypeError for sizes that do
    not fit and for indices that are not integers.

    >>> dynamic_slice(iota(int, 5), (4,), (2,))
    Array([3, 4], dtype=int32)
    """
    x = as_array(operand)
    return bind_checked(
        dynamic_slice_p,
        x,
        *_starts(x, start_indices, allow_negative_indices),
        slice_sizes=integers(slice_sizes, "dynamic_slice: slice_sizes"),
    )


def dynamic_update_slice(
    operand: Any, update: Any, start_indices: Any, *, allow_negative_indices: bool | Sequence[bool] = True
) -> Array:
    """`operand` with the block that begins at `start_indices` replaced by `update`, an array of as many axes.

    Negative starts count from the end; then starts are clamped so that the block lies inside. Raises TypeError if `update` does not fit.
    """
    x, update = as_array(operand), as_array(update)
    if (
        update.weak_type
        and update.dtype != x.dtype
        and dtypes.promote_pair(x.dtype, False, update.dtype, True)[0] == x.dtype
    ):
        update = convert(update, x.dtype)
    return bind_checked(dynamic_update_slice_p, x, update, *_starts(x, start_indices, allow_negative_indices))


def dynamic_slice_in_dim(
    operand: Any, start_index: Any, slice_size: int, axis: int = 0, *, allow_negative_indices: bool = True
) -> Array:
    """`slice_size` positions of one axis from `start_index`. See `dynamic_slice`."""
    x = as_array(operand)
    axis = canonical_axis(axis, x.ndim)
    starts: list[Any] = [0] * x.ndim
    sizes = list(x.shape)
    starts[axis], sizes[axis] = start_index, slice_size
    return dynamic_slice(x, starts, sizes, allow_negative_indices=allow_negative_indices)


def dynamic_update_slice_in_dim(
    operand: Any, update: Any, start_index: Any, axis: int, *, allow_negative_indices: bool = True
) -> Array:
    """`operand` with the positions from `start_index` of one axis replaced by `update`. See `dynamic_update_slice`."""
    x = as_array(operand)
    starts: list[Any] = [0] * x.ndim
    starts[canonical_axis(axis, x.ndim)] = start_index
    return dynamic_update_slice(x, update, starts, allow_negative_indices=allow_negative_indices)


def dynamic_index_in_dim(
    operand: Any, index: Any, axis: int = 0, keepdims: bool = True, *, allow_negative_indices: bool = True
) -> Array:
    """The slice at position `index` (clamped) of one axis, which is dropped unless `keepdims`."""
    out = dynamic_slice_in_dim(operand, index, 1, axis, allow_negative_indices=allow_negative_indices)
    return out if keepdims else squeeze(out, (canonical_axis(axis, out.ndim),))


def dynamic_update_index_in_dim(
    operand: Any, update: Any, index: Any, axis: int, *, allow_negative_indices: bool = True
) -> Array:
    """`operand` with the slice at position `index` (clamped) of one axis replaced by `update`, with or without that axis."""
    x, update = as_array(operand), as_array(update)
    axis = canonical_axis(axis, x.ndim)
    if update.ndim == x.ndim - 1:
        update = expand_dims(update, (axis,))
    return dynamic_update_slice_in_dim(x, update, index, axis, allow_negative_indices=allow_negative_indices)


def index_take(src: Any, idxs: Any, axes: Sequence[int]) -> Array:
    """The slices of `src` at the positions `idxs` (a 1-d integer array for each of `axes`) along a new leading axis.

    Positions are taken modulo the lengths of the axes.
    """
    x = as_array(src)
    dims = tuple(canonical_axis(a, x.ndim) for a in axes)
    indices = [as_array(i) for i in idxs]
    if not indices or len(indices) != len(dims) or any(i.ndim != 1 or i.shape != indices[0].shape for i in indices):
        raise ValueError(
            f"index_take takes one 1-d index array for each of axes {dims}, of one length; got {_shapes(indices)}"
        )
    columns = [expand_dims(modulo(i, x.shape[d]), (1,)) for i, d in zip(indices, dims)]
    sizes = tuple(1 if i in dims else n for i, n in enumerate(x.shape))
    numbers = GatherDimensionNumbers(tuple(range(1, x.ndim - len(dims) + 1)), tuple(sorted(dims)), dims)
    return gather(x, concatenate(columns, 1), numbers, sizes, mode=GatherScatterMode.CLIP)


# ---- public functions: simple products --------------------------------------------------------------------------


def dot(
    lhs: Any,
    rhs: Any,
    *,
    dimension_numbers: Any = None,
    precision: Any = None,
    preferred_element_type: Any = None,
    out_sharding: Any = None,
) -> Array:
    """Vector·vector, matrix·vector or matrix·matrix; with `dimension_numbers`, `dot_general`. Raises ValueError for other shapes."""
    x, y = as_array(lhs), as_array(rhs)
    if dimension_numbers is None:
        if not (1 <= x.ndim <= 2 and 1 <= y.ndim <= 2 and x.shape[-1] == y.shape[0]):
            raise ValueError(
                "lax.dot: dimension_numbers must be specified when not performing simple un-batched matrix-matrix, matrix-vector, "
                f"or vector-vector products; got lhs shape {x.shape} and rhs shape {y.shape}, at {user_line()}"
            )
        dimension_numbers = (((x.ndim - 1,), (0,)), ((), ()))
    return dot_general(
        x,
        y,
        dimension_numbers,
        precision=precision,
        preferred_element_type=preferred_element_type,
        out_sharding=out_sharding,
    )


def batch_matmul(lhs: Any, rhs: Any, precision: Any = None) -> Array:
    """Products of the matrices in the last two axes, over equal leading axes. Raises ValueError if the numbers of axes differ."""
    x, y = as_array(lhs), as_array(rhs)
    if min(x.ndim, y.ndim) < 2:
        raise ValueError(f"Arguments to batch_matmul must be at least 2D, got {x.ndim}, {y.ndim}")
    if x.ndim != y.ndim:
        raise ValueError(f"Arguments to batch_matmul must have same ndim, got {x.ndim}, {y.ndim}")
    leading = tuple(range(x.ndim - 2))
    return dot_general(x, y, (((x.ndim - 1,), (x.ndim - 2,)), (leading, leading)), precision=precision)


# fmt: off
__all__ = [
    "batch_matmul", "bitcast_convert_type", "bitcast_convert_type_p", "broadcast", "broadcast_like", "broadcast_shapes", "broadcast_to_rank",
    "broadcasted_iota", "collapse", "concatenate", "concatenate_p", "copy_p", "dot", "dynamic_index_in_dim", "dynamic_slice",
    "dynamic_slice_in_dim", "dynamic_slice_p", "dynamic_update_index_in_dim", "dynamic_update_slice", "dynamic_update_slice_in_dim",
    "dynamic_update_slice_p", "empty", "full", "full_like", "index_in_dim", "index_take", "iota", "iota_p", "optimization_barrier",
    "device_put_p", "optimization_barrier_p", "pad", "pad_p", "rev", "rev_p", "slice", "slice_in_dim", "slice_p", "split", "split_p", "stack", "tile",
    "unstack",
]
# fmt: on
