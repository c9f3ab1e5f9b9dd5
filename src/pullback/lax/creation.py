"""Making arrays: counting, of one value, repeated, and copies of what is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core import dimensions, dtypes
from pullback.core.array import Array, as_array, concrete
from pullback.core.dimensions import Dim
from pullback.core.dtypes import DType
from pullback.core.errors import user_line
from pullback.core.primitive import Fusion, Primitive, is_node
from pullback.core.trace import EVAL, Params, current
from pullback.core.tree import tree_flatten
from pullback.core.types import Shape, ShapedArray, integer, integers
from pullback.lax.mover import Mover
from pullback.lax.shape import bind_checked, broadcast_view, convert, filled, given_dtype, keep_imaginary
from pullback.xla.devices import no_sharding, placed, placed_like, put


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


class DimAsValue(Primitive):
    """The size that a symbolic dimension stands for, as a number of type `dtype`."""

    name = "dim_as_value"
    weakness = "never"
    no_derivative = "it has no operands"

    def type_of(self, *, dim: Dim, dtype: DType, weak_type: bool) -> ShapedArray:
        return ShapedArray((), dtype, weak_type)

    def evaluate(self, *, dim: Dim, **_: Any) -> Any:
        raise ValueError(
            f"the symbolic dimension {dim} has no value here, at {user_line()}: functions of symbolic shapes are exported "
            "(`export.export`), and called with arrays"
        )

    def lower(self, emit: Any, *, dim: Dim, **_: Any) -> Any:
        return emit.size(dim, emit.type.dtype)

    def batch(self, size: int, args: Any, axes: Any, **params: Any) -> Any:
        return self.bind(**params), None


dim_as_value_p = DimAsValue()


def positions(n: Any, dtype: DType) -> Array:
    """0, 1, ..., n - 1: a constant, if `n` is a number, and `iota` of a symbolic size."""
    if n.__class__ is Dim:
        return iota_p.bind(dtype=dtype, shape=(n,), dimension=0)  # type: ignore[no-any-return]
    return concrete(np.arange(n, dtype=dtype))


def _value_of(dim: Dim, dtype: DType | None, weak_type: bool) -> Array:
    out: Array = dim_as_value_p.bind(dim=dim, dtype=dtype or dtypes.default_dtype(int), weak_type=weak_type)
    return out


dimensions.value_of = _value_of


class Copy(Mover):
    """The operand. In a compiled program, a fresh buffer."""

    name = "copy"
    fusion = Fusion.ELEMENTWISE

    def type_of(self, x: ShapedArray, **_: Any) -> ShapedArray:
        return x

    def evaluate(self, x: Any, **_: Any) -> Any:
        return x

    def lower(self, emit: Any, x: Any, **_: Any) -> Any:
        return x  # every result of a program has its own buffer

    def transpose(self, ct: Any, x: Any, **_: Any) -> Sequence[Any]:
        return [ct]

    def batch(self, size: int, args: Any, axes: Any, **params: Any) -> Any:
        return self.bind(*args, **params), axes[0]


class DevicePut(Copy):
    """The operand on `device`. In a program it stays where the program runs."""

    fusion, operations = Fusion.ALONE, 0

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__()

    def bind(self, *args: Any, **params: Any) -> Any:
        (x,) = args
        return put(as_array(x), params["device"]) if current() is EVAL else super().bind(x, **params)


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


iota_p, copy_p, optimization_barrier_p = Iota(), Copy(), OptimizationBarrier()
#: What `device_put` asks for, and what `with_sharding_constraint` does.
device_put_p, sharding_constraint_p = DevicePut("device_put"), DevicePut("sharding_constraint")


def iota(dtype: Any, size: int) -> Array:
    """0, 1, ..., `size` - 1, of `dtype`, which is any numeric one. Raises TypeError for booleans and
    negative sizes.

    >>> iota(np.float32, 3)
    Array([0., 1., 2.], dtype=float32)
    """
    return broadcasted_iota(dtype, (size,), 0)


def broadcasted_iota(dtype: Any, shape: Sequence[int], dimension: int, *, out_sharding: Any = None) -> Array:
    """An array of `shape` and `dtype` (not boolean: TypeError) that counts 0, 1, 2, ... along the axis
    `dimension`. Raises ValueError if there is no such axis.

    >>> broadcasted_iota(np.int32, (2, 3), 1)
    Array([[0, 1, 2],
           [0, 1, 2]], dtype=int32)
    """
    no_sharding("broadcasted_iota", out_sharding)
    sizes, axis = integers(shape, "iota: shape"), integer(dimension, "iota: dimension")
    return placed(bind_checked(iota_p, dtype=given_dtype("iota", dtype), shape=sizes, dimension=axis))


def full(shape: Any, fill_value: Any, dtype: Any = None, *, sharding: Any = None) -> Array:
    """An array of `shape` with all elements `fill_value`, a scalar; of its dtype unless one is given.
    Raises TypeError for negative lengths, for a value that is no scalar, and for a complex one that
    is to be real.

    >>> full((2,), 1.5)
    Array([1.5, 1.5], dtype=float32, weak_type=True)
    >>> full((2, 2), 7, np.int8)
    Array([[7, 7],
           [7, 7]], dtype=int8)
    """
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
    """An array like `x` (its shape, dtype and weakness, unless others are given) with all elements
    `fill_value`, a scalar (TypeError if not).

    >>> full_like(np.zeros((2, 2), np.int16), 7)
    Array([[7, 7],
           [7, 7]], dtype=int16)
    >>> full_like(np.zeros((2, 2), np.int16), 0.5, np.float32, (3,))
    Array([0.5, 0.5, 0.5], dtype=float32)
    """
    weak = dtype is None and dtypes.typing_of(x)[1]
    kind = dtypes.typing_of(x)[0] if dtype is None else dtype
    sizes = getattr(x, "shape", ()) if shape is None else shape
    out = placed_like(full(sizes, fill_value, kind, sharding=sharding), x)
    return convert(out, out.dtype, True) if weak else out


def empty(shape: Any, dtype: Any, *, out_sharding: Any = None) -> Array:
    """An array of `shape` and `dtype` whose contents do not matter (they are zeros). Raises TypeError
    for negative lengths.

    >>> empty((2, 3), np.int8).shape
    (2, 3)
    """
    no_sharding("empty", out_sharding)
    return full(shape, 0, dtype)


def shape_as_value(shape: Sequence[int]) -> Array:
    """The lengths of a shape as an array of the default integer type. Raises TypeError for what is
    no sequence of integers.

    >>> shape_as_value((2, 3))
    Array([2, 3], dtype=int32)
    """
    return concrete(np.array(integers(shape, "shape_as_value: shape"), dtypes.default_dtype(int)))


def optimization_barrier(operand: Any, /) -> Any:
    """A pytree of arrays, unchanged; the compiler moves no computation across. Tangents and cotangents
    pass barriers, too.

    >>> from pullback import make_jaxpr
    >>> make_jaxpr(lambda x: 2 * optimization_barrier(x + 1))(1.0)
    { lambda ; a:f32[]. let
        b:f32[] = add a 1.0:f32[]
        c:f32[] = optimization_barrier b
        d:f32[] = mul 2.0:f32[] c
      in (d,) }
    """
    leaves, tree = tree_flatten(operand)
    if not leaves:
        return operand
    arrays = [as_array(x) for x in leaves]
    return tree.unflatten(optimization_barrier_p.bind(*arrays))


__all__ = [
    "broadcasted_iota", "copy_p", "device_put_p", "empty", "full", "full_like", "iota", "iota_p",
    "optimization_barrier", "optimization_barrier_p", "shape_as_value", "sharding_constraint_p",
]  # fmt: skip
