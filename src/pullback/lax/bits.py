"""The bits of numbers: as those of another type, and rounded to fewer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, as_array
from pullback.core.dtypes import DType
from pullback.core.primitive import LinearPrimitive, Primitive
from pullback.core.types import ShapedArray, integer
from pullback.lax.family import FLOAT
from pullback.lax.shape import bind_checked, check_kind, given_dtype, move_axis
from pullback.lax.summation import as_dtype


class BitcastConvertType(Primitive):
    """The same bits as elements of `new_dtype`; the last axis is added or consumed where the widths
    differ."""

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
        if x.dtype.itemsize == new_dtype.itemsize and old_bits == new_bits:
            return x.view(new_dtype)
        shape = self.type_of(ShapedArray(x.shape, x.dtype), new_dtype=new_dtype).shape
        if old_bits >= 8 and new_bits >= 8:
            return np.ascontiguousarray(x).reshape(-1).view(new_dtype).reshape(shape)
        # Types narrower than a byte are stored one a byte: go through their bits, least significant
        # first.
        raw = np.ascontiguousarray(x).reshape(-1, 1).view(np.uint8)
        bits = np.unpackbits(raw, axis=1, bitorder="little")
        bits = bits[:, : old_bits if old_bits < 8 else None].reshape(-1, new_bits)
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
        return _cast(emit, x, word)
    wide = emit.convert(x, dtypes.int8 if dtypes.kind(x.dtype) == "i" else dtypes.uint8)
    wide = _cast(emit, wide, dtypes.uint8)
    return emit.convert(emit("and", wide, emit.like((1 << bits) - 1, wide)), word)


def _from_word(emit: Any, x: Any, dtype: DType) -> Any:
    """The lowest bits of unsigned integers as `dtype`."""
    bits = dtypes.itemsize_bits(dtype)
    if bits >= 8:
        return _cast(emit, x, dtype)
    low = emit.convert(emit("and", x, emit.like((1 << bits) - 1, x)), dtypes.uint8)
    return emit.convert(_cast(emit, low, dtypes.int8) if dtypes.kind(dtype) == "i" else low, dtype)


def _cast(emit: Any, x: Any, dtype: DType) -> Any:
    return x if x.dtype == dtype else emit("bitcast_convert", x, out=ShapedArray(x.shape, dtype))


def bitcast_convert_type(operand: Any, new_dtype: Any) -> Array:
    """The bits of `operand` as elements of `new_dtype`.

    A narrower type adds a last axis of the parts (least significant first), a wider one consumes
    the last axis. Raises TypeError for booleans and complex numbers, ValueError if the last axis
    does not make whole elements.

    >>> bitcast_convert_type(1.0, "int32")
    Array(1065353216, dtype=int32)
    """
    x = as_array(operand)
    return bind_checked(bitcast_convert_type_p, x, new_dtype=given_dtype("bitcast_convert_type", new_dtype))


class ReducePrecision(LinearPrimitive):
    """Round to a float with `exponent_bits` and `mantissa_bits`, kept in the operand's type.

    Tangents and cotangents are rounded likewise, as the values of a narrower type would be.
    """

    name = "reduce_precision"
    makes_nan = False

    def type_of(self, x: ShapedArray, *, exponent_bits: int, mantissa_bits: int) -> ShapedArray:
        check_kind(self.name, FLOAT, x)
        return x

    def evaluate(self, x: Any, *, exponent_bits: int, mantissa_bits: int) -> Any:
        dtype = x.dtype
        if dtype.itemsize == 1:  # no arithmetic on 8-bit patterns here: float32 holds every such number
            x = x.astype(np.float32)
        info = dtypes.finfo(x.dtype)
        uint = np.dtype(f"u{x.dtype.itemsize}").type
        bits = np.asarray(x).view(uint)
        mantissa, exponent = info.nmant, x.dtype.itemsize * 8 - info.nmant - 1
        sign = bits & uint(1 << (mantissa + exponent))
        if mantissa_bits < mantissa:
            # Round to nearest, ties to even: add just under half of the last kept place, or half if
            # that place is odd.
            dropped = mantissa - mantissa_bits
            last = (bits >> uint(dropped)) & uint(1)
            bits = (bits + last + uint((1 << (dropped - 1)) - 1)) >> uint(dropped) << uint(dropped)
        if exponent_bits < exponent:
            # Too large becomes infinite; below the least normal number becomes zero.
            bias, kept = (1 << (exponent - 1)) - 1, (1 << (exponent_bits - 1)) - 1
            field = bits & uint(((1 << exponent) - 1) << mantissa)
            infinity = uint(((1 << exponent) - 1) << mantissa)
            bits = np.where(field > uint((bias + kept) << mantissa), sign | infinity, bits)
            bits = np.where(field <= uint((bias - kept) << mantissa), sign, bits)
        return as_dtype(dtype, np.where(np.isnan(x), x, np.asarray(bits, uint).view(x.dtype)))

    def lower(self, emit: Any, x: Any, *, exponent_bits: int, mantissa_bits: int) -> Any:
        out = emit(
            "reduce_precision", x, exponent_bits=f"{exponent_bits} : i32", mantissa_bits=f"{mantissa_bits} : i32"
        )
        # Without a mantissa there is no NaN, and constants become infinite.
        return out if mantissa_bits else emit.select(emit.compare("NE", x, x), x, out)

    def transpose(self, ct: Any, x: Any, **params: Any) -> Sequence[Any]:
        return [self.bind(ct, **params)]

    def batch(self, size: int, args: Any, axes: Any, **params: Any) -> Any:
        return self.bind(args[0], **params), axes[0]


bitcast_convert_type_p = BitcastConvertType()


reduce_precision_p = ReducePrecision()


def reduce_precision(operand: Any, exponent_bits: int, mantissa_bits: int) -> Array:
    """`operand` rounded to what a float of `exponent_bits` and `mantissa_bits` can hold, in the
    operand's dtype.

    Rounds to nearest, ties to even; overflow gives infinities, subnormal results zeros. Raises
    TypeError for other than floating operands, ValueError if `exponent_bits` < 1 or `mantissa_bits`
    < 0.

    >>> float(reduce_precision(1.1, exponent_bits=5, mantissa_bits=3))
    1.125
    """
    x = as_array(operand)
    check_kind("reduce_precision", FLOAT, x)
    exponent, mantissa = integer(exponent_bits, "exponent_bits"), integer(mantissa_bits, "mantissa_bits")
    if exponent < 1:
        raise ValueError(f"reduce_precision: exponent_bits must be positive; got {exponent}")
    if mantissa < 0:
        raise ValueError(f"reduce_precision: mantissa_bits must be non-negative; got {mantissa}")
    return reduce_precision_p.bind(x, exponent_bits=exponent, mantissa_bits=mantissa)


__all__ = ["bitcast_convert_type", "bitcast_convert_type_p", "reduce_precision", "reduce_precision_p"]
