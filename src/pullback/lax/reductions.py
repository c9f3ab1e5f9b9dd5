"""Reductions over axes: sums, products, extrema, bits, and positions of extrema.

They take `axes` and drop them; the reduction of nothing is the identity of the operation. NaN wins
every extremum. 16- and 8-bit floats accumulate in float32.

Derivatives are exact where quotients of the results would not be (zeros in products), and ties of
extrema share the tangent equally.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, as_array
from pullback.core.dimensions import at_least
from pullback.core.dtypes import DType
from pullback.core.primitive import Fusion
from pullback.core.trace import current
from pullback.core.types import Shape, ShapedArray, integers
from pullback.lax.cumulative import cumprod_p, shift
from pullback.lax.elementwise import div_p, eq_p
from pullback.lax.family import ANY, BITS, NUMERIC, mul_p
from pullback.lax.shape import (
    Reduction,
    check_kind,
    checked_axes,
    convert,
    reduce_sum_p,
    repeated,
    reshape_p,
    transpose_p,
)
from pullback.lax.summation import FEW, as_dtype, highest, is_narrow, lowest, product_over
from pullback.xla.devices import no_sharding

# ---- reductions ----------------------------------------------------------------------------------


class TableReduction(Reduction):
    """A reduction by a ufunc of NumPy's: a line of the table below. Abstract.

    >>> reduce_max_p.ufunc, reduce_max_p.kinds
    (<ufunc 'maximum'>, 'biufc')
    """

    def __init__(self, name: str, kinds: str, ufunc: Any, hlo: str, identity: Callable[[DType], Any]) -> None:
        self.name, self.kinds, self.ufunc, self.hlo, self.identity = name, kinds, ufunc, hlo, identity
        super().__init__()

    def spell(self, speller: Any, x: Any, *, axes: Shape) -> Any:
        aval = x.aval
        few = aval.size and (not self.rounds or math.prod([aval.shape[i] for i in axes]) <= FEW)
        if not few or not dtypes.is_numpys(aval.dtype) or (self.rounds and is_narrow(aval.dtype)):
            return super().spell(speller, x, axes=axes)
        if aval.dtype != dtypes.bool_:
            speller.signals = True
        over = None if len(axes) == len(aval.shape) else axes  # None is quicker than all of them
        return speller.call(self.ufunc.reduce, x, over, *([aval.dtype] if self.rounds else []))


class Product(TableReduction):
    """The product of the elements along `axes`."""

    rounds = True

    def evaluate(self, x: Any, *, axes: Shape) -> Any:
        if is_narrow(x.dtype):
            return product_over(np.asarray(x, np.float32), axes).astype(x.dtype)
        return product_over(x, axes)

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, axes: Shape) -> Any:
        # d ∏x = Σ_i (∏_{j<i} x_j) (∏_{j>i} x_j) t_i: no quotients, so right where elements are
        # zero, to any order.
        (x,), (t,) = primals, tangents
        out = self.bind(x, axes=axes)
        x, t = _gather_axes(x, axes), _gather_axes(t, axes)
        last = len(x.shape) - 1
        before = cumprod_p.bind(shift(x, last, False, 1), axis=last, reverse=False)
        after = cumprod_p.bind(shift(x, last, True, 1), axis=last, reverse=True)
        return out, reduce_sum_p.bind(mul_p.bind(mul_p.bind(before, after), t), axes=(last,))


def _gather_axes(x: Any, axes: Shape) -> Any:
    """`x` with `axes` merged into one last axis."""
    kept = tuple(i for i in range(len(x.shape)) if i not in axes)
    permutation = (*kept, *axes)
    if permutation != tuple(range(len(x.shape))):
        x = transpose_p.bind(x, permutation=permutation)
    shape = (*x.shape[: len(kept)], math.prod(x.shape[len(kept) :]))
    return x if x.shape == shape else reshape_p.bind(x, new_sizes=shape)


class Extremum(TableReduction):
    """The largest or smallest element along `axes`; complex numbers compare by their real, then
    imaginary parts."""

    makes_nan = False

    def evaluate(self, x: Any, *, axes: Shape) -> Any:
        if x.size == 0:
            return as_dtype(x.dtype, self.ufunc.reduce(x, axes, initial=self.identity(x.dtype)))
        return as_dtype(x.dtype, self.ufunc.reduce(x, axes))

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, axes: Shape) -> Any:
        # The mean of the tangents over the places where the extremum is attained (nowhere, 0/0, if
        # it is NaN).
        (x,), (t,) = primals, tangents
        out = self.bind(x, axes=axes)
        if not all(x.shape[i] for i in axes):
            return out, None
        attained = convert(eq_p.bind(x, repeated(out, x.shape, axes)), x.dtype)
        count = reduce_sum_p.bind(attained, axes=axes)
        return out, div_p.bind(reduce_sum_p.bind(mul_p.bind(attained, t), axes=axes), count)


class Bitwise(TableReduction):
    """Bits of integers, or logic of booleans, combined along `axes`."""

    weakness = "never"
    no_derivative = "its values are discrete"

    def type_of(self, x: ShapedArray, *, axes: Shape) -> ShapedArray:
        return super().type_of(x, axes=axes).update(weak_type=False)

    def evaluate(self, x: Any, *, axes: Shape) -> Any:
        return as_dtype(x.dtype, self.ufunc.reduce(x, axes))


# fmt: off
reduce_prod_p = Product("reduce_prod",  NUMERIC, np.multiply,  "multiply", lambda dtype: dtype.type(1))
reduce_max_p  = Extremum("reduce_max", ANY,  np.maximum,     "maximum",  lowest)
reduce_min_p  = Extremum("reduce_min", ANY,  np.minimum,     "minimum",  highest)
reduce_and_p  = Bitwise("reduce_and",  BITS, np.bitwise_and, "and",      lambda dtype: np.array(-1).astype(dtype))
reduce_or_p   = Bitwise("reduce_or",   BITS, np.bitwise_or,  "or",       lambda dtype: np.zeros((), dtype))
reduce_xor_p  = Bitwise("reduce_xor",  BITS, np.bitwise_xor, "xor",      lambda dtype: np.zeros((), dtype))
# fmt: on


class ArgExtremum(Reduction):
    """The position along `axes[0]` of the first extremum, as `index_dtype`; NaN counts as the
    extremum.

    The public functions refuse complex numbers; derivatives of extrema of these need their
    positions.
    """

    fusion = Fusion.REREADING
    weakness = "never"
    no_derivative = "its values are discrete"

    def __init__(self, name: str, position: Callable[..., Any], direction: str) -> None:
        self.name, self.position, self.direction = name, position, direction
        super().__init__()

    def type_of(self, x: ShapedArray, *, axes: Shape, index_dtype: DType) -> ShapedArray:
        (axis,) = axes
        if not x.shape[axis]:
            raise ValueError(f"{self.name} needs a non-empty axis: axis {axis} of shape {x.shape} is empty")
        return super().type_of(x, axes=axes).update(dtype=index_dtype, weak_type=False)

    def evaluate(self, x: Any, *, axes: Shape, index_dtype: DType) -> Any:
        return self.position(x, axes[0]).astype(index_dtype)

    def spell(self, speller: Any, x: Any, *, axes: Shape, index_dtype: DType) -> str:
        # The method's name is the function's, which calls it.
        return f"{x}.{self.position.__name__}({axes[0]}).astype({speller.constant(index_dtype)})"

    def lower(self, emit: Any, x: Any, *, axes: Shape, index_dtype: DType) -> Any:
        (axis,) = axes
        x = emit.whole_bytes(x)
        if dtypes.is_float(x.dtype) and at_least(x.shape[axis], _SHORT + 1) is not False:
            return self._lower_long(emit, x, axis, index_dtype)
        # A reduction of pairs (value, position): NaN beats everything, and of equal values the
        # first one wins.
        index = emit.iota(x.shape, index_dtype, axis)
        scalars = [ShapedArray((), x.dtype), ShapedArray((), index_dtype)]

        def better(a: Any, i: Any, b: Any, j: Any) -> list[Any]:
            wins = emit.compare(self.direction, a, b)
            same = emit.compare("EQ", a, b)
            if dtypes.is_inexact(a.dtype):
                wins = emit("or", wins, emit.compare("NE", a, a))
                same = emit("or", same, emit("and", emit.compare("NE", a, a), emit.compare("NE", b, b)))
            first = emit.select(same, emit.compare("LT", i, j), wins)
            return [emit.select(first, a, b), emit.select(first, i, j)]

        results = emit(
            "reduce", x, index, self._start(emit, x), emit.constant(0, index_dtype),
            out=[ShapedArray(emit.type.shape, x.dtype), emit.type], dimensions=axes,
            regions=[emit.region([*scalars, *scalars], better)],
        )  # fmt: skip
        return results[1]

    def _start(self, emit: Any, x: Any) -> Any:
        return emit.constant((lowest if self.direction == "GT" else highest)(x.dtype), x.dtype)

    def _lower_long(self, emit: Any, x: Any, axis: int, index_dtype: DType) -> Any:
        # The extremum, then the first position that has it: two reductions that XLA vectorizes,
        # where one of pairs that have to look for NaNs takes up to seven times as long. A NaN makes
        # the extremum NaN, which equals nothing.
        extremum = emit.reduce(x, self._start(emit, x), "maximum" if self.direction == "GT" else "minimum", (axis,))
        extremum = emit.broadcast(extremum, x.shape, tuple(i for i in range(x.ndim) if i != axis))
        has_it = emit("or", emit.compare("EQ", x, extremum), emit.compare("NE", x, x))
        position = emit.iota(x.shape, dtypes.int32, axis)
        position = emit.select(has_it, position, emit.like(x.shape[axis], position))
        return emit.convert(emit.reduce(position, x.shape[axis], "minimum", (axis,)), index_dtype)


#: Axes up to this length are not worth two reductions.
_SHORT = 20


argmax_p = ArgExtremum("argmax", np.argmax, "GT")
argmin_p = ArgExtremum("argmin", np.argmin, "LT")


# ---- public functions ----------------------------------------------------------------------------


def _reduce(primitive: Any, kinds: str, operand: Any, axes: Sequence[int]) -> Array:
    x = operand if isinstance(operand, Array) else as_array(operand)
    if dtypes.kind(x.dtype) not in kinds:
        check_kind(primitive.name, kinds, x)
    axes = tuple(axes) if axes is not None else integers(axes, f"{primitive.name}: axes")
    ndim = x.ndim
    for a in axes:
        if a.__class__ is not int or not 0 <= a < ndim:
            axes = checked_axes(primitive.name, axes, x)
            break
    if len(axes) > 1 and len(set(axes)) != len(axes):
        raise ValueError(f"{primitive.name}: duplicate value in 'axes' {axes} for an operand of shape {x.shape}")
    return current().process(primitive, (x,), {"axes": axes})


def reduce_sum(operand: Any, axes: Sequence[int], *, out_sharding: Any = None) -> Array:
    """The sum over `axes` (non-negative, distinct) of numbers, in their dtype.

    Raises TypeError for booleans, ValueError for axes out of bounds or repeated. The sum of nothing
    is 0.

    >>> import pullback.numpy as jnp
    >>> reduce_sum(jnp.array([[1.0, 2.0], [3.0, 4.0]]), (0,))
    Array([4., 6.], dtype=float32)
    """
    if out_sharding is not None:
        no_sharding("reduce_sum", out_sharding)
    return _reduce(reduce_sum_p, NUMERIC, operand, axes)


def reduce_prod(operand: Any, axes: Sequence[int]) -> Array:
    """The product over `axes` of numbers, in their dtype; of nothing, 1. Raises as `reduce_sum`. Its
    derivatives have no quotients, so they are right where elements are zero.

    >>> from pullback import grad
    >>> x = np.array([2.0, 0.0, 5.0], np.float32)
    >>> reduce_prod(x, (0,)), grad(lambda x: reduce_prod(x, (0,)))(x)
    (Array(0., dtype=float32), Array([ 0., 10.,  0.], dtype=float32))
    """
    return _reduce(reduce_prod_p, NUMERIC, operand, axes)


def reduce_max(operand: Any, axes: Sequence[int]) -> Array:
    """The largest element along `axes`: NaN if there is one; of nothing, -inf, False or the least
    integer.

    Complex numbers compare by real parts, then imaginary ones. The derivative is shared equally
    among ties. Raises ValueError for axes out of bounds or repeated.

    >>> from pullback import grad
    >>> reduce_max(np.array([[1, 5], [3, 4]]), (0,))
    Array([3, 5], dtype=int32)
    >>> grad(lambda x: reduce_max(x, (0,)))(np.array([1.0, 7.0, 7.0]))
    Array([0. , 0.5, 0.5], dtype=float32)
    """
    return _reduce(reduce_max_p, ANY, operand, axes)


def reduce_min(operand: Any, axes: Sequence[int]) -> Array:
    """The smallest element along `axes`: NaN if there is one; of nothing, inf, True or the greatest
    integer.

    Complex numbers compare by real parts, then imaginary ones. The derivative is shared equally
    among ties. Raises ValueError for axes out of bounds or repeated.

    >>> reduce_min(np.array([[1, 5], [3, 4]]), (0,)), reduce_min(np.zeros((0,), np.float32), (0,))
    (Array([1, 4], dtype=int32), Array(inf, dtype=float32))
    """
    return _reduce(reduce_min_p, ANY, operand, axes)


def reduce_and(operand: Any, axes: Sequence[int]) -> Array:
    """The bitwise and (of booleans: whether all are true) along `axes`, in the operand's dtype; of
    nothing, all bits. Raises TypeError for floats.

    >>> reduce_and(np.array([0b1110, 0b0111]), (0,)), reduce_and(np.array([[True, False], [True, True]]), (0,))
    (Array(6, dtype=int32), Array([ True, False], dtype=bool))
    """
    return _reduce(reduce_and_p, BITS, operand, axes)


def reduce_or(operand: Any, axes: Sequence[int]) -> Array:
    """The bitwise or (of booleans: whether any is true) along `axes`, in the operand's dtype; of
    nothing, no bits. Raises TypeError for floats.

    >>> reduce_or(np.array([0b1100, 0b0001]), (0,)), reduce_or(np.array([[True, False], [False, False]]), (1,))
    (Array(13, dtype=int32), Array([ True, False], dtype=bool))
    """
    return _reduce(reduce_or_p, BITS, operand, axes)


def reduce_xor(operand: Any, axes: Sequence[int]) -> Array:
    """The bitwise exclusive or (of booleans: whether an odd number is true) along `axes`, in the
    operand's dtype; of nothing, no bits. Raises TypeError for floats.

    >>> reduce_xor(np.array([0b1100, 0b1010]), (0,)), reduce_xor(np.array([True, True, True]), (0,))
    (Array(6, dtype=int32), Array(True, dtype=bool))
    """
    return _reduce(reduce_xor_p, BITS, operand, axes)


def _position(primitive: Any, operand: Any, axis: int, index_dtype: Any) -> Array:
    x = operand if isinstance(operand, Array) else as_array(operand)
    (axis,) = checked_axes(primitive.name, (axis,), x)
    dtype = dtypes.canonicalize_dtype(index_dtype)
    if not dtypes.is_integer(dtype):
        raise TypeError(f"{primitive.name}: index_dtype must be an integer type, but got {dtypes.name(dtype)}")
    if dtypes.kind(x.dtype) == "c":
        check_kind(primitive.name, "biuf", x)
    if not x.shape[axis]:
        primitive.type_of(x.aval, axes=(axis,), index_dtype=dtype)
    return current().process(primitive, (x,), {"axes": (axis,), "index_dtype": dtype})


def argmax(operand: Any, axis: int, index_dtype: Any) -> Array:
    """The index along `axis` of the largest element, the first if there are several, as
    `index_dtype`.

    NaN counts as the largest. Raises TypeError for complex operands, ValueError if the axis is
    empty or out of bounds.

    >>> import pullback.numpy as jnp
    >>> argmax(jnp.array([1.0, 3.0, 3.0]), 0, jnp.int32)
    Array(1, dtype=int32)
    """
    return _position(argmax_p, operand, axis, index_dtype)


def argmin(operand: Any, axis: int, index_dtype: Any) -> Array:
    """The index along `axis` of the smallest element, the first if there are several, as
    `index_dtype`.

    NaN counts as the smallest. Raises TypeError for complex operands, ValueError if the axis is
    empty or out of bounds.

    >>> argmin(np.array([[1.0, 5.0], [np.nan, 5.0]], np.float32), 0, np.int32)
    Array([1, 0], dtype=int32)
    """
    return _position(argmin_p, operand, axis, index_dtype)


__all__ = [
    "argmax", "argmax_p", "argmin", "argmin_p", "reduce_and", "reduce_and_p", "reduce_max", "reduce_max_p",
    "reduce_min", "reduce_min_p", "reduce_or", "reduce_or_p", "reduce_prod", "reduce_prod_p", "reduce_sum",
    "reduce_sum_p", "reduce_xor", "reduce_xor_p",
]  # fmt: skip
