"""Primitives that move, copy and convert elements: linear, with structural rules.

reshape, transpose, broadcast_in_dim, reduce_sum (the transpose of broadcasting),
convert_element_type, squeeze and expand_dims are here; the batching helpers that every family uses
are at the end.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes, linear
from pullback.core.array import Array, as_array
from pullback.core.dtypes import DType
from pullback.core.errors import see, user_line
from pullback.core.primitive import Fusion, LinearPrimitive, Primitive
from pullback.core.types import (
    Shape,
    ShapedArray,
    broadcast_shapes,
    canonical_axes,
    canonical_axis,
    integers,
    refuse_keys,
)
from pullback.lax.mover import Mover
from pullback.lax.summation import FEW, accumulator, is_narrow, sum_over
from pullback.xla.devices import no_sharding


def broadcast_view(value: Any, shape: Shape, strides: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """A read-only view of `value` with the given shape and strides. The caller vouches that it
    stays inside."""
    # numpy.broadcast_to takes 2 µs, the constructor 0.2 µs; it needs an exported contiguous buffer.
    if value.flags.c_contiguous and (number := value.dtype.num) < 256 and number != 20:  # `is_numpys`, without the call
        return np.ndarray(shape, value.dtype, value, 0, strides)
    return strided_view(value, shape, strides)


def strided_view(value: Any, shape: Shape, strides: Sequence[int], writeable: bool = False) -> np.ndarray[Any, Any]:
    """A view of `value`, of any layout, with the given shape and strides. The caller vouches that
    it stays inside."""
    strided = np.lib.stride_tricks.as_strided
    if dtypes.is_numpys(value.dtype):
        return strided(value, shape, strides, writeable=writeable)
    # as_strided asks NumPy for the type by letter and width, and there is no "f1".
    return strided(value.view(f"V{value.dtype.itemsize}"), shape, strides, writeable=writeable).view(value.dtype)


class BroadcastInDim(Mover):
    """Axis `i` of the operand becomes axis `broadcast_dimensions[i]` of the result; the other axes
    are new.

    The dimensions increase: what permutes axes is a transposition before. An operand axis of length
    1 may be stretched.
    """

    name = "broadcast_in_dim"
    fusion = Fusion.REPEATING

    def type_of(self, x: ShapedArray, *, shape: Shape, broadcast_dimensions: Shape) -> ShapedArray:
        dims, sizes = broadcast_dimensions, x.shape
        previous = -1
        for d in dims:
            if not previous < d < len(shape):
                raise TypeError(f"broadcast_in_dim: {dims} are not increasing axes of the result, {shape}")
            previous = d
        if len(dims) != len(sizes):
            raise TypeError(f"broadcast_in_dim: {dims} are not {len(sizes)} axes")
        for n, d in zip(sizes, dims):
            if n != shape[d] and n != 1:
                raise TypeError(f"broadcast_in_dim: an axis of length {n} of {sizes} does not fit axis {d} of {shape}")
        return x.update(shape=shape)

    def evaluate(self, x: Any, *, shape: Shape, broadcast_dimensions: Shape) -> Any:
        strides = [0] * len(shape)
        for i, d in enumerate(broadcast_dimensions):
            if x.shape[i] != 1:
                strides[d] = x.strides[i]
        return broadcast_view(np.asarray(x), shape, tuple(strides))

    def spell(self, speller: Any, x: Any, *, shape: Shape, broadcast_dimensions: Shape) -> str:
        strides = ["0"] * len(shape)
        stretched = [d for n, d in zip(x.aval.shape, broadcast_dimensions) if n != 1]
        if stretched:
            of_x = speller.let(f"{x}.strides", None)
            for i, (n, d) in enumerate(zip(x.aval.shape, broadcast_dimensions)):
                if n != 1:
                    strides[d] = f"{of_x}[{i}]"
        value = x if x.aval.shape else speller.call(np.asarray, x)
        return f"{speller.constant(broadcast_view)}({value}, {shape!r}, ({''.join([s + ', ' for s in strides])}))"

    def lower(self, emit: Any, x: Any, *, shape: Shape, broadcast_dimensions: Shape) -> Any:
        return emit.broadcast(x, shape, broadcast_dimensions)

    def transpose(self, ct: Any, x: Any, *, shape: Shape, broadcast_dimensions: Shape) -> Sequence[Any]:
        new = tuple(d for d in range(len(shape)) if d not in broadcast_dimensions)
        stretched = tuple(d for i, d in enumerate(broadcast_dimensions) if x.shape[i] == 1 and shape[d] != 1)
        axes = tuple(sorted(new + stretched))
        ct = reduce_sum_p.bind(ct, axes=axes) if axes else ct
        return [ct if ct.shape == x.shape else reshape_p.bind(ct, new_sizes=x.shape)]

    def batch(self, size: int, args: Any, axes: Any, *, shape: Shape, broadcast_dimensions: Shape) -> Any:
        x = move_axis(args[0], axes[0], 0)
        dims = (0, *(d + 1 for d in broadcast_dimensions))
        return self.bind(x, shape=(size, *shape), broadcast_dimensions=dims), 0


class Reduction(Primitive):
    """Combines the elements along `axes`, which the result does not have. Abstract.

    The operation is associative; `hlo` is its name in StableHLO, `identity(dtype)` what nothing is
    reduced to, `kinds` are those of the dtypes it takes. Where combining `rounds`, 16- and 8-bit
    floats are combined in float32. Subclasses give `evaluate` and the derivative.

    >>> from pullback.lax.reductions import reduce_and_p, reduce_prod_p
    >>> reduce_prod_p.hlo, reduce_prod_p.identity(np.dtype("float32"))
    ('multiply', np.float32(1.0))
    >>> reduce_prod_p.rounds, reduce_and_p.rounds
    (True, False)
    """

    fusion = Fusion.REDUCING
    kinds = "biufc"
    hlo: str
    identity: Callable[[DType], Any]
    rounds = False

    def type_of(self, x: ShapedArray, *, axes: Shape, **_: Any) -> ShapedArray:
        check_kind(self.name, self.kinds, x)
        return x.update(shape=tuple(n for i, n in enumerate(x.shape) if i not in axes))

    def lower(self, emit: Any, x: Any, *, axes: Shape) -> Any:
        wide = emit.convert(x, accumulator(x.dtype)) if self.rounds else x
        return emit.convert(emit.reduce(wide, self.identity(wide.dtype), self.hlo, axes), x.dtype)

    def batch(self, size: int, args: Any, batch_axes: Any, *, axes: Shape, **params: Any) -> Any:
        (b,) = batch_axes
        return self.bind(args[0], axes=past(axes, b), **params), b - sum(a < b for a in axes)


class ReduceSum(Reduction, LinearPrimitive):
    """Sum over `axes`."""

    name, hlo, rounds = "reduce_sum", "add", True
    identity = staticmethod(lambda dtype: dtype.type(0))

    def evaluate(self, x: Any, *, axes: Shape) -> Any:
        dtype = x.dtype
        if dtype.itemsize < 4 and is_narrow(dtype):
            return sum_over(np.asarray(x, np.float32), axes).astype(dtype)
        # As `sum_over`, without the call.
        if len(axes) == x.ndim:
            if x.size <= FEW or x.flags.forc:
                return np.add.reduce(x, None, dtype)
        elif len(axes) == 1 and x.shape[axes[0]] <= FEW:
            return np.add.reduce(x, axes, dtype)
        return sum_over(x, axes)

    def spell(self, speller: Any, x: Any, *, axes: Shape) -> Any:
        aval = x.aval
        everything, few = len(axes) == len(aval.shape), math.prod([aval.shape[i] for i in axes]) <= FEW
        if is_narrow(aval.dtype) or not few or not (everything or len(axes) == 1):
            return super().spell(speller, x, axes=axes)
        speller.signals = True
        return speller.call(np.add.reduce, x, None if everything else axes, aval.dtype)

    def transpose(self, ct: Any, x: Any, *, axes: Shape) -> Sequence[Any]:
        if len(axes) == len(x.shape):
            return [ct]  # uniform
        return [repeated(ct, x.shape, axes)]


class Reshape(Mover):
    """The same elements in row-major order, in the shape `new_sizes`."""

    name = "reshape"

    def type_of(self, x: ShapedArray, *, new_sizes: Shape) -> ShapedArray:
        return x.update(shape=new_sizes)

    def evaluate(self, x: Any, *, new_sizes: Shape) -> Any:
        return x.reshape(new_sizes)

    def spell(self, speller: Any, x: Any, *, new_sizes: Shape) -> str:
        return x if x.aval.shape == new_sizes else f"{x}.reshape({speller.constant(new_sizes)})"  # type: ignore[no-any-return]

    def lower(self, emit: Any, x: Any, *, new_sizes: Shape) -> Any:
        return emit.reshape(x, new_sizes)

    def transpose(self, ct: Any, x: Any, *, new_sizes: Shape) -> Sequence[Any]:
        return [self.bind(ct, new_sizes=x.shape)]

    def batch(self, size: int, args: Any, axes: Any, *, new_sizes: Shape) -> Any:
        return self.bind(move_axis(args[0], axes[0], 0), new_sizes=(size, *new_sizes)), 0


class Transpose(Mover):
    """Reorder axes: axis `i` of the result is axis `permutation[i]` of the operand."""

    name = "transpose"

    def type_of(self, x: ShapedArray, *, permutation: Shape) -> ShapedArray:
        return x.update(shape=tuple(x.shape[i] for i in permutation))

    def evaluate(self, x: Any, *, permutation: Shape) -> Any:
        return x.transpose(permutation)

    def spell(self, speller: Any, x: Any, *, permutation: Shape) -> str:
        return f"{x}.transpose({speller.constant(permutation)})"

    def lower(self, emit: Any, x: Any, *, permutation: Shape) -> Any:
        return emit.transpose(x, permutation)

    def transpose(self, ct: Any, x: Any, *, permutation: Shape) -> Sequence[Any]:
        inverse = [0] * len(permutation)
        for i, p in enumerate(permutation):
            inverse[p] = i
        return [self.bind(ct, permutation=tuple(inverse))]

    def batch(self, size: int, args: Any, axes: Any, *, permutation: Shape) -> Any:
        return self.bind(args[0], permutation=(*axes, *past(permutation, *axes))), 0


class ConvertElementType(LinearPrimitive):
    """Convert to `new_dtype`. Complex to real drops the imaginary part; float to integer saturates
    and sends NaN to 0."""

    name = "convert_element_type"
    fusion, operations = Fusion.ELEMENTWISE, 1
    makes_nan = False
    weakness = "param"

    def type_of(self, x: ShapedArray, *, new_dtype: DType, weak_type: bool) -> ShapedArray:
        return ShapedArray(x.shape, new_dtype, weak_type)

    def evaluate(self, x: Any, *, new_dtype: DType, weak_type: bool) -> Any:
        if x.dtype == new_dtype:
            return x
        if dtypes.is_complex(x.dtype) and not dtypes.is_complex(new_dtype) and new_dtype != dtypes.bool_:
            x = x.real
        if dtypes.is_float(x.dtype) and dtypes.is_integer(new_dtype):
            info = dtypes.iinfo(new_dtype)
            wide = np.asarray(x, np.float64)
            inside = np.where(np.isnan(wide), 0, np.clip(wide, float(info.min), float(info.max)))
            # float64 has no exact 2**63 - 1: what rounded up to 2**63 is clipped by hand.
            return np.where(wide >= float(info.max), np.array(info.max, new_dtype), inside.astype(new_dtype))
        if x.dtype.itemsize == new_dtype.itemsize == 1 and not any(map(dtypes.is_numpys, (x.dtype, new_dtype))):
            # ml_dtypes does not convert all of its types to each other.
            x = x.astype(np.int8 if dtypes.is_integer(x.dtype) else np.float32)
        return x.astype(new_dtype)

    def spell(self, speller: Any, x: Any, *, new_dtype: DType, weak_type: bool) -> Any:
        dtype = x.aval.dtype
        if dtype == new_dtype:
            return x
        ordered = "biufc"  # a kind holds those before it, floats with their fractions
        if not (dtypes.is_numpys(dtype) and dtypes.is_numpys(new_dtype)) or (
            new_dtype != dtypes.bool_ and ordered.index(dtype.kind) > ordered.index(new_dtype.kind)
        ):
            return super().spell(speller, x, new_dtype=new_dtype, weak_type=weak_type)
        speller.signals = True
        return f"{x}.astype({speller.constant(new_dtype)})"

    def lower(self, emit: Any, x: Any, *, new_dtype: DType, weak_type: bool) -> Any:
        if x.dtype == new_dtype:
            return x
        if new_dtype == dtypes.bool_:
            return emit.compare("NE", x, emit.like(0, x))
        if dtypes.is_complex(x.dtype) and not dtypes.is_complex(new_dtype):
            x = emit("real", x, out=ShapedArray(x.shape, dtypes.to_real(x.dtype)))
        if x.dtype == dtypes.bool_ and dtypes.is_inexact(new_dtype):
            # A conversion that is multiplied becomes the selection of 0 or the other factor, and 0
            # times infinity 0.
            return emit.select(x, *(emit.constant(v, new_dtype, x.shape) for v in (1, 0)))
        return emit.convert(x, new_dtype)

    def is_linear(self, active: Sequence[bool]) -> bool:
        return True

    def jvp(self, primals: Any, tangents: Any, *, new_dtype: DType, weak_type: bool) -> Any:
        if not dtypes.is_inexact(new_dtype):
            return self.bind(*primals, new_dtype=new_dtype, weak_type=weak_type), None
        return super().jvp(primals, tangents, new_dtype=new_dtype, weak_type=weak_type)

    def linearize(self, primals: Any, nodes: Any, params: Any) -> Any:
        if not dtypes.is_inexact(params["new_dtype"]):
            return self.bind(*primals, **params), None
        return super().linearize(primals, nodes, params)

    def transpose(self, ct: Any, x: Any, *, new_dtype: DType, weak_type: bool) -> Sequence[Any]:
        # Complex to real keeps Re t, whose transpose is c ↦ c + 0j; real to complex is t ↦ t + 0j,
        # whose transpose is Re.
        return [self.bind(ct, new_dtype=x.dtype, weak_type=False)]

    def batch(self, size: int, args: Any, axes: Any, **params: Any) -> Any:
        return self.bind(args[0], **params), axes[0]


broadcast_in_dim_p = BroadcastInDim()
reduce_sum_p = ReduceSum()
reshape_p = Reshape()
transpose_p = Transpose()
convert_element_type_p = ConvertElementType()


# ---- public functions ----------------------------------------------------------------------------


def broadcast_in_dim(
    operand: Any, shape: Sequence[int], broadcast_dimensions: Sequence[int], *, out_sharding: Any = None
) -> Array:
    """Place axis `i` of `operand` at axis `broadcast_dimensions[i]` of an array of `shape`,
    repeating it along the rest.

    The dimensions may be in any order. Raises TypeError if they are not distinct axes of the
    result, one for each of the operand's, or if an operand axis is neither 1 nor the length of its
    target, and for negative lengths.

    >>> broadcast_in_dim(np.arange(2), (2, 3), (0,))
    Array([[0, 0, 0],
           [1, 1, 1]], dtype=int32)
    """
    no_sharding("broadcast_in_dim", out_sharding)
    x = as_array(operand)
    shape = integers(shape, "broadcast_in_dim: shape")
    dims = integers(broadcast_dimensions, "broadcast_in_dim: broadcast_dimensions")
    if any(n < 0 for n in shape):
        raise TypeError(f"broadcast_in_dim: shape must not have negative lengths, got {shape}, at {user_line()}")
    if len(dims) != x.ndim or len(set(dims)) != len(dims) or not all(0 <= d < len(shape) for d in dims):
        raise TypeError(
            f"broadcast_in_dim: broadcast_dimensions must be {x.ndim} distinct axes of the result {shape}, one for each axis of the operand, "
            f"of shape {x.shape}; got {dims}, at {user_line()}"
        )
    order = tuple(sorted(range(len(dims)), key=dims.__getitem__))
    if order != tuple(range(len(dims))):
        x, dims = transpose_p.bind(x, permutation=order), tuple(sorted(dims))
    if any([n not in (1, shape[d]) for n, d in zip(x.shape, dims)]):
        raise TypeError(f"broadcast_in_dim: axes of {x.shape} do not fit axes {dims} of {shape}, at {user_line()}")
    return x if x.shape == shape else broadcast_in_dim_p.bind(x, shape=shape, broadcast_dimensions=dims)


def broadcast_to(x: Array, shape: Shape) -> Array:
    """`x` broadcast to `shape` by NumPy's rule (the caller has checked that it can be)."""
    if x.shape == shape:
        return x
    return broadcast_in_dim_p.bind(
        x, shape=shape, broadcast_dimensions=tuple(range(len(shape) - len(x.shape), len(shape)))
    )


def broadcast(operand: Any, sizes: Sequence[int], *, out_sharding: Any = None) -> Array:
    """`operand` repeated along new leading axes of lengths `sizes`. Raises TypeError for negative
    lengths.

    >>> broadcast(np.array([1, 2]), (3,))
    Array([[1, 2],
           [1, 2],
           [1, 2]], dtype=int32)
    """
    x, new = as_array(operand), integers(sizes, "broadcast: sizes")
    shape = (*new, *x.shape)
    return broadcast_in_dim(x, shape, tuple(range(len(new), len(shape))), out_sharding=out_sharding)


def broadcast_to_rank(x: Any, rank: int) -> Array:
    """`x` with leading axes of length 1 up to `rank` axes; as it is, if it has as many or more.

    >>> broadcast_to_rank(np.zeros(3), 3).shape, broadcast_to_rank(np.zeros((2, 3)), 1).shape
    ((1, 1, 3), (2, 3))
    """
    x = as_array(x)
    return expand_dims(x, tuple(range(rank - x.ndim))) if x.ndim < rank else x


def broadcast_like(arr: Any, like_arr: Any) -> Array:
    """`arr` broadcast, by NumPy's rule, to the shape of `like_arr`. Raises ValueError if it cannot be.

    >>> broadcast_like(np.array([[1], [2]]), np.zeros((2, 3)))
    Array([[1, 1, 1],
           [2, 2, 2]], dtype=int32)
    """
    x, shape = as_array(arr), as_array(like_arr).shape
    if broadcast_shapes(x.shape, shape) != shape:
        raise ValueError(f"cannot broadcast shape {x.shape} to shape {shape}")
    return broadcast_in_dim(x, shape, tuple(range(len(shape) - x.ndim, len(shape))))


def materialize(ct: Any, shape: Shape) -> Any:
    """A uniform cotangent as an array of `shape`."""
    if ct.shape:
        raise ValueError(f"a transposition rule gave a cotangent of shape {ct.shape} for an operand of shape {shape}")
    return filled(ct, shape)


linear.materialize = materialize


def reshape(
    operand: Any, new_sizes: Any, dimensions: Sequence[int] | None = None, *, out_sharding: Any = None
) -> Array:
    """The elements of `operand` (in row-major order, or after transposing by `dimensions`) in the
    shape `new_sizes`, of which one length may be -1. Raises TypeError if the number of elements
    differs.

    >>> x = np.array([[1, 2, 3], [4, 5, 6]])
    >>> reshape(x, (3, -1)), reshape(x, (6,), dimensions=(1, 0))
    (Array([[1, 2],
           [3, 4],
           [5, 6]], dtype=int32), Array([1, 4, 2, 5, 3, 6], dtype=int32))
    """
    if out_sharding is not None:
        no_sharding("reshape", out_sharding)
    x = as_array(operand)
    if dimensions is not None and tuple(dimensions) != tuple(range(x.ndim)):
        x = transpose(x, dimensions)
    sizes = integers(new_sizes, "reshape: new_sizes")
    if -1 in sizes:
        known = math.prod([n for n in sizes if n != -1])
        if sizes.count(-1) > 1 or (known == 0 and x.size) or (known and x.size % known):
            raise TypeError(
                f"cannot reshape array of shape {x.shape} (size {x.size}) into shape {sizes}, at {user_line()}{see('shapes')}"
            )
        sizes = tuple((x.size // known if known else 0) if n == -1 else n for n in sizes)
    size = math.prod(sizes)
    if size != x.size or any(n < 0 for n in sizes):
        raise TypeError(
            f"cannot reshape array of shape {x.shape} (size {x.size}) into shape {sizes} (size {size}), at {user_line()}{see('shapes')}"
        )
    if sizes == x.shape:
        return x
    return reshape_p.bind(x, new_sizes=sizes)


def transpose(operand: Any, permutation: Sequence[int]) -> Array:
    """`operand` with its axes reordered: axis `i` of the result is axis `permutation[i]` of it. Raises
    TypeError if not a permutation.

    >>> transpose(np.zeros((2, 3, 4)), (2, 0, 1)).shape
    (4, 2, 3)
    """
    x = as_array(operand)
    perm = integers(permutation, "transpose: permutation")
    if sorted(perm) != list(range(x.ndim)):
        raise TypeError(f"transpose: permutation {perm} is not a permutation of the axes of shape {x.shape}")
    if perm == tuple(range(x.ndim)):
        return x
    return transpose_p.bind(x, permutation=perm)


def convert_element_type(operand: Any, new_dtype: Any) -> Array:
    """`operand` converted to `new_dtype`, a dtype or a Python scalar type; the result has its shape
    and is strongly typed.

    Floats become integers by rounding towards zero. Raises TypeError for a Python complex number
    that is to be real, and warns of complex arrays that are (ComplexWarning).

    >>> convert_element_type(np.array([1.9, -1.9]), np.int8)
    Array([ 1, -1], dtype=int8)
    >>> convert_element_type(3, float)
    Array(3., dtype=float32)
    """
    dtype = given_dtype("convert_element_type", new_dtype)
    keep_imaginary("convert_element_type", operand, dtype)
    return convert(as_array(operand), dtype)


def keep_imaginary(name: str, value: Any, dtype: DType) -> None:
    """Says that the imaginary part of `value` is lost in a real `dtype`: TypeError for Python's
    numbers, a ComplexWarning for arrays."""
    is_complex = isinstance(value, complex) or dtypes.is_complex(getattr(value, "dtype", dtype))
    if dtypes.is_complex(dtype) or not is_complex:
        return
    if isinstance(value, (Array, np.ndarray, np.generic)):
        warnings.warn(
            f"{name}: casting complex values to {dtypes.name(dtype)} discards the imaginary part (take .real first)",
            np.exceptions.ComplexWarning,
            stacklevel=3,
        )
    elif dtype != dtypes.bool_:
        raise TypeError(
            f"{name}: the complex number {value} does not fit into {dtypes.name(dtype)}: its imaginary part would be lost, at {user_line()}"
        )


def given_dtype(name: str, dtype: Any) -> DType:
    """A dtype that has to be given. Raises ValueError for None, TypeError for what is none."""
    if dtype is None:
        raise ValueError(f"{name}: dtype must be specified, at {user_line()}")
    return dtypes.canonicalize_dtype(dtype)


def convert(x: Array, dtype: DType, weak_type: bool = False) -> Array:
    """`x` with the given type; `x` itself if it has it."""
    if x.dtype == dtype and x.weak_type == weak_type:
        return x
    if dtypes.is_key(dtype) or dtypes.is_key(x.dtype):
        raise TypeError(
            f"cannot convert {dtypes.name(x.dtype)} to {dtypes.name(dtype)}: typed keys are opaque (see random.key_data)"
        )
    return convert_element_type_p.bind(x, new_dtype=dtype, weak_type=weak_type)


def strong(x: Array) -> Array:
    """`x`, not weakly typed."""
    return convert(x, x.dtype) if x.weak_type else x


def squeeze(array: Any, dimensions: Sequence[int] | int) -> Array:
    """`array` without the axes `dimensions`, which must have length 1 (ValueError if not).

    >>> squeeze(np.zeros((1, 3, 1)), (0,)).shape
    (3, 1)
    """
    x = as_array(array)
    axes = canonical_axes(integers(dimensions, "squeeze: dimensions"), x.ndim)
    wrong = [a for a in axes if x.shape[a] != 1]
    if wrong:
        raise ValueError(
            f"cannot select an axis to squeeze out which has size not equal to one: shape {x.shape}, axes {wrong}"
        )
    if not axes:
        return x
    return reshape_p.bind(x, new_sizes=tuple(n for i, n in enumerate(x.shape) if i not in axes))


def expand_dims(array: Any, dimensions: Sequence[int] | int) -> Array:
    """`array` with new axes of length 1 at the positions `dimensions` of the result. Raises ValueError
    if these are out of bounds or repeated.

    >>> expand_dims(np.zeros((2, 3)), (0, -1)).shape
    (1, 2, 3, 1)
    """
    x = as_array(array)
    dims = (dimensions,) if dimensions.__class__ is int else integers(dimensions, "expand_dims: dimensions")
    rank = x.ndim + len(dims)
    axes = {canonical_axis(d, rank) for d in dims}
    if len(axes) != len(dims):
        raise ValueError(f"repeated axis in expand_dims: {dims}")
    rest = iter(x.shape)
    return reshape_p.bind(x, new_sizes=tuple(1 if i in axes else next(rest) for i in range(rank))) if axes else x


def filled(value: Any, shape: Shape) -> Any:
    """The scalar array `value` repeated over `shape`."""
    return broadcast_in_dim_p.bind(value, shape=shape, broadcast_dimensions=())


def zeros_like_shape(x: Any, shape: Shape) -> Any:
    """Zeros of `shape`, of the type of `x`."""
    return filled(linear.zeros((), x.dtype, x.weak_type), shape)


def repeated(x: Any, shape: Shape, axes: Shape) -> Any:
    """`x` repeated along new `axes` of `shape`: a reduction over them beside what was reduced."""
    kept = tuple([i for i in range(len(shape)) if i not in axes])
    return broadcast_in_dim_p.bind(x, shape=shape, broadcast_dimensions=kept)


def bind_checked(primitive: Primitive, *args: Array, **params: Any) -> Any:
    """Bind after checking types, which evaluation does not; mistakes are reported with the user's
    line."""
    try:
        primitive.type_of(*(a.aval for a in args), **params)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{error} (at {user_line()})") from None
    return primitive.bind(*args, **params)


def beside(x: Array, other: Any) -> Array:
    """`other` as an array that is to stand beside `x`: if it is weak, of the dtype of `x`.

    As it is, if promotion of the two would change `x`.

    >>> x = as_array(np.zeros(2, np.int8))
    >>> beside(x, 7).dtype, beside(x, 0.5).dtype
    (dtype('int8'), dtype('float32'))
    """
    other = as_array(other)
    if other.weak_type and other.dtype != x.dtype:
        fits = dtypes.promote_pair(x.dtype, False, other.dtype, True)[0] == x.dtype
        return convert(other, x.dtype) if fits else other
    return other


def check_kind(name: str, kinds: str, x: Any) -> None:
    """Raises TypeError unless the kind of the dtype of `x` is one of `kinds`."""
    refuse_keys(name, x)
    if dtypes.kind(x.dtype) not in kinds:
        raise TypeError(
            f"{name} does not accept dtype {dtypes.name(x.dtype)} (operand of shape {x.shape}), at {user_line()}"
        )


def checked_axes(name: str, axes: Sequence[Any], x: Array) -> Shape:
    """`axes` of the operand `x` of the function `name`, from 0. Raises ValueError for others."""
    numbers = integers(axes, f"{name}: axes")
    for a, n in zip(axes, numbers):
        if isinstance(a, bool) or not 0 <= n < x.ndim:
            raise ValueError(
                f"{name}: axes {tuple(axes)} contain one out of bounds for an operand of shape {x.shape}; give axes from 0"
            )
    return numbers


# ---- batching helpers ----------------------------------------------------------------------------


def with_length(shape: Shape, axis: int, n: int) -> Shape:
    """`shape` with `n` at `axis`, in the place of what is there."""
    return (*shape[:axis], n, *shape[axis + 1 :])


def inserted(shape: Shape, axis: int, n: int) -> Shape:
    """`shape` with `n` at `axis`, before what is there."""
    return (*shape[:axis], n, *shape[axis:])


def past(axes: Sequence[int], b: int) -> Shape:
    """`axes` of an array in an array with one more axis, at position `b`.

    >>> past((0, 1, 2), 1)
    (0, 2, 3)
    """
    return tuple(a + (a >= b) for a in axes)


def move_axis(x: Any, source: int, target: int) -> Any:
    """`x` with axis `source` moved to position `target`, the others in order."""
    if source == target:
        return x
    rest = [i for i in range(len(x.shape)) if i != source]
    rest.insert(target, source)
    return transpose_p.bind(x, permutation=tuple(rest))


def add_batch_axis(x: Any, size: int) -> Any:
    """`x` repeated along a new axis 0."""
    shape = tuple(x.shape)
    return broadcast_in_dim_p.bind(x, shape=(size, *shape), broadcast_dimensions=tuple(range(1, len(shape) + 1)))


def batch_first(x: Any, axis: int | None, size: int) -> Any:
    """`x` with its batch axis at 0, repeated if it has none."""
    return add_batch_axis(x, size) if axis is None else move_axis(x, axis, 0)


def unbroadcast(ct: Any, shape: Shape) -> Any:
    """The transpose of broadcasting `shape` to the shape of `ct`: sum over the axes that were new
    or stretched."""
    extra = len(ct.shape) - len(shape)
    axes = tuple(range(extra)) + tuple(i + extra for i, n in enumerate(shape) if n == 1 and ct.shape[i + extra] != 1)
    ct = reduce_sum_p.bind(ct, axes=axes) if axes else ct
    return ct if ct.shape == shape else reshape_p.bind(ct, new_sizes=shape)


__all__ = [
    "broadcast", "broadcast_in_dim", "broadcast_in_dim_p", "broadcast_like", "broadcast_shapes", "broadcast_to_rank",
    "convert_element_type", "convert_element_type_p", "expand_dims", "reduce_sum_p", "reshape", "reshape_p", "squeeze",
    "transpose", "transpose_p",
]  # fmt: skip
