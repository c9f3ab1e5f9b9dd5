"""Reductions and cumulative reductions over axes: sums, products, extrema, bits, positions of extrema, log-sum-exps.

Reductions take `axes` and drop them; the reduction of nothing is the identity of the operation. Cumulative ones take one `axis`, and
run from its end if `reverse`. NaN wins every extremum. 16- and 8-bit floats accumulate in float32.

Derivatives are exact where quotients of the results would not be (zeros in products), and ties of extrema share the tangent equally.
Those of the cumulative functions are all one linear primitive, the recurrence s_i = a_i s_(i-1) + b_i, whose own
derivative and transpose are recurrences again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, as_array, concrete
from pullback.core.dtypes import DType
from pullback.core.errors import user_line
from pullback.core.primitive import Fusion, LinearPrimitive, Primitive
from pullback.core.trace import current
from pullback.core.types import Shape, ShapedArray, integer, integers
from pullback.lax.arrangement import concatenate_p, iota_p, pad_p, rev_p, slice_p
from pullback.lax.elementwise import and_p, div_p, eq_p, exp_p, log_p
from pullback.lax.family import ANY, BITS, FLOAT, INEXACT, NUMERIC, add_p, like, mul_p, sub_p
from pullback.lax.selection import select, select_n_p
from pullback.lax.shape import (
    batch_first,
    broadcast_in_dim_p,
    convert,
    reduce_sum_p,
    reshape_p,
    transpose_p,
)
from pullback.lax.summation import FEW, product_over, running_products, running_sums, wider
from pullback.xla.devices import no_sharding


def _is_narrow(dtype: DType) -> bool:
    """Whether sums and products of `dtype` are computed in float32."""
    return dtype.itemsize < 4 and dtypes.is_float(dtype)


def _as(dtype: DType, out: Any) -> Any:
    """`out` as `dtype`: NumPy computes some operations on small ml_dtypes in wider types."""
    return out if out.dtype is dtype else out.astype(dtype)


def _check_kind(name: str, kinds: str, x: Any) -> None:
    if dtypes.kind(x.dtype) not in kinds:
        raise TypeError(
            f"{name} does not accept dtype {dtypes.name(x.dtype)} (operand of shape {x.shape}), at {user_line()}"
        )


# ---- reductions -------------------------------------------------------------------------------------------------


class Reduction(Primitive):
    """Combine the elements along `axes` by an associative operation. Abstract; subclasses give the derivative."""

    fusion = Fusion.REDUCING

    def __init__(self, name: str, kinds: str, ufunc: Any, hlo: str, identity: Callable[[DType], Any]) -> None:
        self.name, self.kinds, self.ufunc, self.hlo, self.identity = name, kinds, ufunc, hlo, identity
        super().__init__()

    def lower(self, emit: Any, x: Any, *, axes: Shape) -> Any:
        return emit.reduce(x, self.identity(x.dtype), self.hlo, axes)

    def type_of(self, x: ShapedArray, *, axes: Shape) -> ShapedArray:
        _check_kind(self.name, self.kinds, x)
        return x.update(shape=tuple(n for i, n in enumerate(x.shape) if i not in axes))

    def batch(self, size: int, args: Any, batch_axes: Any, *, axes: Shape) -> Any:
        (b,) = batch_axes
        moved = tuple(a + (a >= b) for a in axes)
        return self.bind(args[0], axes=moved), b - sum(a < b for a in moved)


class Product(Reduction):
    """The product of the elements along `axes`."""

    def evaluate(self, x: Any, *, axes: Shape) -> Any:
        if _is_narrow(x.dtype):
            return product_over(np.asarray(x, np.float32), axes).astype(x.dtype)
        return product_over(x, axes)

    def lower(self, emit: Any, x: Any, *, axes: Shape) -> Any:
        if _is_narrow(x.dtype):
            return emit.convert(emit.reduce(emit.convert(x, dtypes.float32), 1, "multiply", axes), x.dtype)
        return super().lower(emit, x, axes=axes)

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, axes: Shape) -> Any:
        # d ∏x = Σ_i (∏_{j<i} x_j) (∏_{j>i} x_j) t_i: no quotients, so right where elements are zero, to any order.
        (x,), (t,) = primals, tangents
        out = self.bind(x, axes=axes)
        x, t = _gather_axes(x, axes), _gather_axes(t, axes)
        last = len(x.shape) - 1
        before = cumprod_p.bind(_shift(x, last, False, 1), axis=last, reverse=False)
        after = cumprod_p.bind(_shift(x, last, True, 1), axis=last, reverse=True)
        return out, reduce_sum_p.bind(mul_p.bind(mul_p.bind(before, after), t), axes=(last,))


def _gather_axes(x: Any, axes: Shape) -> Any:
    """`x` with `axes` merged into one last axis."""
    kept = tuple(i for i in range(len(x.shape)) if i not in axes)
    permutation = (*kept, *axes)
    if permutation != tuple(range(len(x.shape))):
        x = transpose_p.bind(x, permutation=permutation)
    merged = 1
    for n in x.shape[len(kept) :]:
        merged *= n
    shape = (*x.shape[: len(kept)], merged)
    return x if x.shape == shape else reshape_p.bind(x, new_sizes=shape)


class Extremum(Reduction):
    """The largest or smallest element along `axes`; complex numbers compare by their real, then imaginary parts."""

    makes_nan = False

    def evaluate(self, x: Any, *, axes: Shape) -> Any:
        if x.size == 0:
            return _as(x.dtype, self.ufunc.reduce(x, axes, initial=self.identity(x.dtype)))
        return _as(x.dtype, self.ufunc.reduce(x, axes))

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, axes: Shape) -> Any:
        # The mean of the tangents over the places where the extremum is attained (nowhere, 0/0, if it is NaN).
        (x,), (t,) = primals, tangents
        out = self.bind(x, axes=axes)
        if not all(x.shape[i] for i in axes):
            return out, None
        kept = tuple(i for i in range(len(x.shape)) if i not in axes)
        repeated = broadcast_in_dim_p.bind(out, shape=x.shape, broadcast_dimensions=kept)
        attained = convert(eq_p.bind(x, repeated), x.dtype)
        count = reduce_sum_p.bind(attained, axes=axes)
        return out, div_p.bind(reduce_sum_p.bind(mul_p.bind(attained, t), axes=axes), count)


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


class Bitwise(Reduction):
    """Bits of integers, or logic of booleans, combined along `axes`."""

    weakness = "never"
    no_derivative = "its values are discrete"

    def type_of(self, x: ShapedArray, *, axes: Shape) -> ShapedArray:
        return super().type_of(x, axes=axes).update(weak_type=False)

    def evaluate(self, x: Any, *, axes: Shape) -> Any:
        return _as(x.dtype, self.ufunc.reduce(x, axes))


# fmt: off
reduce_prod_p = Product("reduce_prod",  NUMERIC, np.multiply,  "multiply", lambda dtype: dtype.type(1))
reduce_max_p  = Extremum("reduce_max", ANY,  np.maximum,     "maximum",  lowest)
reduce_min_p  = Extremum("reduce_min", ANY,  np.minimum,     "minimum",  highest)
reduce_and_p  = Bitwise("reduce_and",  BITS, np.bitwise_and, "and",      lambda dtype: np.array(-1).astype(dtype))
reduce_or_p   = Bitwise("reduce_or",   BITS, np.bitwise_or,  "or",       lambda dtype: np.zeros((), dtype))
reduce_xor_p  = Bitwise("reduce_xor",  BITS, np.bitwise_xor, "xor",      lambda dtype: np.zeros((), dtype))
# fmt: on


class ArgExtremum(Primitive):
    """The position along `axes[0]` of the first extremum, as `index_dtype`; NaN counts as the extremum.

    The public functions refuse complex numbers; derivatives of extrema of these need their positions.
    """

    fusion = Fusion.REREADING

    weakness = "never"
    no_derivative = "its values are discrete"

    def __init__(self, name: str, position: Callable[..., Any], direction: str) -> None:
        self.name, self.position, self.direction = name, position, direction
        super().__init__()

    def type_of(self, x: ShapedArray, *, axes: Shape, index_dtype: DType) -> ShapedArray:
        _check_kind(self.name, "biufc", x)
        (axis,) = axes
        if not x.shape[axis]:
            raise ValueError(f"{self.name} needs a non-empty axis: axis {axis} of shape {x.shape} is empty")
        return ShapedArray(x.shape[:axis] + x.shape[axis + 1 :], index_dtype)

    def evaluate(self, x: Any, *, axes: Shape, index_dtype: DType) -> Any:
        return self.position(x, axes[0]).astype(index_dtype)

    def batch(self, size: int, args: Any, batch_axes: Any, *, axes: Shape, index_dtype: DType) -> Any:
        (b,), (axis,) = batch_axes, axes
        axis += axis >= b
        return self.bind(args[0], axes=(axis,), index_dtype=index_dtype), b - (axis < b)

    def lower(self, emit: Any, x: Any, *, axes: Shape, index_dtype: DType) -> Any:
        (axis,) = axes
        if dtypes.is_float(x.dtype) and x.shape[axis] > _SHORT:
            return self._lower_long(emit, x, axis, index_dtype)
        # A reduction of pairs (value, position): NaN beats everything, and of equal values the first one wins.
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
        # The extremum, then the first position that has it: two reductions that XLA vectorizes, where one of pairs that have to look
        # for NaNs takes up to seven times as long. A NaN makes the extremum NaN, which equals nothing.
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


# ---- the linear recurrence, the derivative of everything cumulative --------------------------------------------------


class LinearRecurrence(LinearPrimitive):
    """s_i = a_i s_(i-1) + b_i along `axis` (from its end if `reverse`), starting with s_0 = b_0: linear in b.

    `a[0]` is not used. With out = s, ds_i = a_i ds_(i-1) + (db_i + da_i s_(i-1)): the same recurrence. The transpose in b
    solves b̄_i = s̄_i + a_(i+1) b̄_(i+1), the recurrence run the other way with `a` moved by one.
    """

    name = "linear_recurrence"
    linear_in = (1,)

    def type_of(self, a: ShapedArray, b: ShapedArray, *, axis: int, reverse: bool) -> ShapedArray:
        if a.shape != b.shape or a.dtype != b.dtype or dtypes.kind(a.dtype) not in INEXACT:
            raise TypeError(f"linear_recurrence takes two inexact arrays of one type, got {a} and {b}")
        return a.update(weak_type=a.weak_type and b.weak_type)

    def evaluate(self, a: Any, b: Any, *, axis: int, reverse: bool) -> Any:
        dtype = b.dtype
        if _is_narrow(dtype):
            a, b = a.astype(np.float32), b.astype(np.float32)
        out = np.empty(b.shape, b.dtype)
        rows_a, rows_b, rows = (_from_start(v, axis, reverse) for v in (a, b, out))
        if rows.size <= 8 * len(rows):
            # NumPy's cost of a call exceeds that of so short a row: Python's numbers are faster.
            flat_a, flat_b = (v.reshape(len(rows), rows[0].size if len(rows) else 0) for v in (rows_a, rows_b))
            columns = [_recur(c, d) for c, d in zip(flat_a.T.tolist(), flat_b.T.tolist())]
            rows[...] = np.array(columns, b.dtype).T.reshape(rows.shape)
        else:
            previous = rows_b[0].astype(wider(b.dtype))
            rows[0] = previous
            for a_i, b_i, row in zip(rows_a[1:], rows_b[1:], rows[1:]):
                np.multiply(a_i, previous, out=previous)
                np.add(previous, b_i, out=previous)
                row[...] = previous
        return _as(dtype, out)

    def lower(self, emit: Any, a: Any, b: Any, *, axis: int, reverse: bool) -> Any:
        if not _by_rows(emit, b, axis):
            return emit.expand(self, (a, b), {"axis": axis, "reverse": reverse})

        def compose(first: Sequence[Any], then: Sequence[Any]) -> list[Any]:
            (a1, b1), (a2, b2) = first, then
            return [emit("multiply", a2, a1), emit("add", emit("multiply", a2, b1), b2)]

        return _lower_prefixes(emit, compose, [a, b], axis, reverse, wanted=1)

    def expand(self, a: Any, b: Any, *, axis: int, reverse: bool) -> Any:
        # Steps compose: (a, b) after (a', b') is (a a', a b' + b). That is associative, so prefixes take log n rounds.
        def compose(first: Sequence[Any], then: Sequence[Any]) -> list[Any]:
            (a1, b1), (a2, b2) = first, then
            return [mul_p.bind(a2, a1), add_p.bind(mul_p.bind(a2, b1), b2)]

        dtype = b.dtype
        if _is_narrow(dtype):
            a, b = convert(a, dtypes.float32), convert(b, dtypes.float32)
        if reverse:
            a, b = (rev_p.bind(x, dimensions=(axis,)) for x in (a, b))
        _, out = prefixes(compose, [a, b], axis)
        return convert(rev_p.bind(out, dimensions=(axis,)) if reverse else out, dtype)

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, axis: int, reverse: bool) -> Any:
        (a, b), (t_a, t_b) = primals, tangents
        params = {"axis": axis, "reverse": reverse}
        out = self.bind(a, b, **params)
        if t_a is not None:
            from_a = mul_p.bind(_shift(out, axis, reverse, 0), t_a)
            t_b = from_a if t_b is None else add_p.bind(t_b, from_a)
        return out, None if t_b is None else self.bind(a, t_b, **params)

    linearize = Primitive.linearize

    def transpose(self, ct: Any, a: Any, b: Any, *, axis: int, reverse: bool) -> Sequence[Any]:
        return [None, self.bind(_shift(a, axis, not reverse, 0), ct, axis=axis, reverse=not reverse)]

    def batch(self, size: int, args: Any, axes: Any, *, axis: int, reverse: bool) -> Any:
        a, b = (batch_first(x, i, size) for x, i in zip(args, axes))
        return self.bind(a, b, axis=axis + 1, reverse=reverse), 0


linear_recurrence_p = LinearRecurrence()


def prefixes(
    combine: Callable[[Sequence[Any], Sequence[Any]], Sequence[Any]], xs: Sequence[Any], axis: int
) -> Sequence[Any]:
    """All prefixes of `xs` along `axis` combined by an associative operation, in log n rounds (Blelloch 1990)."""
    n = xs[0].shape[axis]
    if n < 2:
        return xs

    def part(x: Any, start: int, stop: int, step: int) -> Any:
        starts, limits, strides = [0] * x.ndim, list(x.shape), [1] * x.ndim
        starts[axis], limits[axis], strides[axis] = start, stop, step
        return slice_p.bind(x, start_indices=tuple(starts), limit_indices=tuple(limits), strides=tuple(strides))

    # Pairs first; the prefixes of the pairs are those that end at odd places, and each of the others is one step further.
    pairs = combine([part(x, 0, n - 1, 2) for x in xs], [part(x, 1, n, 2) for x in xs])
    odd = prefixes(combine, pairs, axis)
    rest = (n - 1) // 2
    even = [part(x, 0, 1, 1) for x in xs]
    if rest:
        further = combine([part(x, 0, rest, 1) for x in odd], [part(x, 2, n, 2) for x in xs])
        even = [concatenate_p.bind(x, y, dimension=axis) for x, y in zip(even, further)]
    return [_interleave(x, y, axis) for x, y in zip(even, odd)]


def _interleave(even: Any, odd: Any, axis: int) -> Any:
    """The elements of both along `axis`, in turn, beginning with `even`."""
    n = even.shape[axis] + odd.shape[axis]
    keys = dtypes.is_key(even.dtype)
    # Adding -0.0 changes nothing, not even the sign of zero.
    nothing = concrete(
        np.zeros((), even.dtype) if keys or not dtypes.is_inexact(even.dtype) else -np.zeros((), even.dtype)
    )

    def spread(x: Any, first: int) -> Any:
        config = [(0, 0, 0)] * x.ndim
        config[axis] = (first, n - first - (2 * x.shape[axis] - 1), 1)
        return pad_p.bind(x, nothing, padding_config=tuple(config))

    if not keys:
        return add_p.bind(spread(even, 0), spread(odd, 1))
    position = iota_p.bind(dtype=dtypes.int32, shape=(n,), dimension=0)
    is_odd = eq_p.bind(and_p.bind(position, like(1, position)), like(1, position))
    mask = broadcast_in_dim_p.bind(
        is_odd, shape=(*even.shape[:axis], n, *even.shape[axis + 1 :]), broadcast_dimensions=(axis,)
    )
    return select_n_p.bind(mask, spread(even, 0), spread(odd, 1))


#: On CPUs, where the passes over memory count and not the depth, prefixes are found by a loop over rows, if these are that long.
_WIDE = 64


def _by_rows(emit: Any, x: Any, axis: int) -> bool:
    """Whether prefixes of `x` are to be found row by row."""
    length = x.shape[axis]
    return (
        emit.platform == "cpu"
        and dtypes.is_numpys(x.dtype)
        and x.dtype.kind != "c"
        and length >= 32
        and x.size >= _WIDE * length
    )


def _lower_prefixes(
    emit: Any, combine: Callable[[Sequence[Any], Sequence[Any]], Sequence[Any]], xs: Sequence[Any], axis: int, reverse: bool,
    wanted: int = 0, rounds: bool = True,
) -> Any:  # fmt: skip
    """The prefixes of `xs` along `axis` (suffixes if `reverse`) combined, row by row; of several, number `wanted`.

    If combining rounds, what has been combined so far of many rows is held in a wider type: after a million roundings, two digits would be
    left.
    """
    order = (axis, *(i for i in range(len(xs[0].shape)) if i != axis))
    xs = [emit.transpose(x, order) for x in xs]
    length = xs[0].shape[0]
    int32 = ShapedArray((), dtypes.int32)
    widen = wider if rounds and length > FEW else lambda dtype: dtype

    def row(x: Any, position: Any) -> Any:
        shape = (1, *x.shape[1:])
        zero = emit.like(0, position)
        found = emit(
            "dynamic_slice", x, position, *[zero] * (len(shape) - 1), out=ShapedArray(shape, x.dtype), slice_sizes=shape
        )
        found = emit.reshape(found, shape[1:])
        return emit.convert(found, dtypes.float32 if _is_narrow(x.dtype) else widen(x.dtype))

    def write(stack: Any, y: Any, position: Any) -> Any:
        zeros = [emit.like(0, position)] * len(y.shape)
        y = emit.convert(emit.reshape(y, (1, *y.shape)), stack.dtype)
        return emit("dynamic_update_slice", stack, y, position, *zeros, out=stack.aval)

    def advance(i: Any, *state: Any) -> list[Any]:
        position = emit("subtract", emit.like(length - 1, i), i, out=int32) if reverse else i
        *before, stack = state
        new = combine(before, [row(x, position) for x in xs])
        return [emit("add", i, emit.like(1, i), out=int32), *new, write(stack, new[wanted], position)]

    first = emit.constant(length - 1 if reverse else 0, dtypes.int32)
    rows = [row(x, first) for x in xs]
    start = [emit.constant(1, dtypes.int32), *rows, write(emit.like(0, xs[wanted]), rows[wanted], first)]
    *_, found = emit.while_loop(lambda i, *_: emit.compare("LT", i, emit.like(length, i)), advance, start)
    return emit.transpose(found, tuple(order.index(i) for i in range(len(order))))


def _from_start(x: Any, axis: int, reverse: bool) -> Any:
    """A view of `x` whose first axis is `axis`, in the order in which a cumulative function runs."""
    rows = np.moveaxis(x, axis, 0)
    return rows[::-1] if reverse else rows


def _recur(a: list[Any], b: list[Any]) -> list[Any]:
    s: Any = 0.0
    out: list[Any] = []
    for a_i, b_i in zip(a, b):
        s = a_i * s + b_i if out else b_i
        out.append(s)
    return out


def _shift(x: Any, axis: int, reverse: bool, fill: float) -> Any:
    """`x` moved by one along `axis` in the running direction: each element's predecessor, `fill` for the first."""
    config = [(0, 0, 0)] * len(x.shape)
    config[axis] = (-1, 1, 0) if reverse else (1, -1, 0)
    return pad_p.bind(x, like(fill, x), padding_config=tuple(config))


# ---- cumulative reductions ----------------------------------------------------------------------------------------


class Cumulative(Primitive):
    """The reductions of all prefixes along `axis` (suffixes if `reverse`). Abstract; subclasses give the derivative."""

    def __init__(
        self, name: str, kinds: str, accumulate: Callable[..., Any], combine: Any, identity: Callable[[DType], Any]
    ) -> None:
        self.name, self.kinds, self.accumulate, self.combine, self.identity = name, kinds, accumulate, combine, identity
        super().__init__()

    def lower(self, emit: Any, x: Any, *, axis: int, reverse: bool) -> Any:
        n = x.shape[axis]
        if not x.size:
            return x
        if _by_rows(emit, x, axis):
            step = lambda first, then: [self._combined(emit, *first, *then)]
            return _lower_prefixes(emit, step, [x], axis, reverse, rounds=self.combine in ("add", "multiply"))
        wide = emit.convert(x, dtypes.float32) if _is_narrow(x.dtype) else x
        # Windows of full length, all but one element in the padding: XLA recognizes them as prefixes.
        window = tuple(n if i == axis else 1 for i in range(x.ndim))
        outside = (0, n - 1) if reverse else (n - 1, 0)
        padding = [outside if i == axis else (0, 0) for i in range(x.ndim)]
        combine = self.combine if isinstance(self.combine, str) else partial(self.combine, emit)
        return emit.convert(emit.reduce_window(wide, self.identity(wide.dtype), combine, window, padding), x.dtype)

    def _combined(self, emit: Any, a: Any, b: Any) -> Any:
        return emit(self.combine, a, b) if isinstance(self.combine, str) else self.combine(emit, a, b)

    def type_of(self, x: ShapedArray, *, axis: int, reverse: bool) -> ShapedArray:
        _check_kind(self.name, self.kinds, x)
        return x

    def evaluate(self, x: Any, *, axis: int, reverse: bool) -> Any:
        dtype = x.dtype
        if _is_narrow(dtype):
            x = np.asarray(x, np.float32)
        elif not dtypes.is_numpys(dtype):  # 2- and 4-bit integers: the low bits of 8
            x = x.astype(np.int8 if dtype in dtypes.SIGNED else np.uint8)
        if reverse:
            x = np.flip(x, axis)
        out = self.accumulate(x, axis)
        return _as(dtype, np.flip(out, axis) if reverse else out)

    def batch(self, size: int, args: Any, axes: Any, *, axis: int, reverse: bool) -> Any:
        (b,) = axes
        return self.bind(args[0], axis=axis + (axis >= b), reverse=reverse), b


class CumulativeSum(Cumulative, LinearPrimitive):
    """Sums of prefixes; the transpose sums suffixes."""

    def transpose(self, ct: Any, x: Any, *, axis: int, reverse: bool) -> Sequence[Any]:
        return [self.bind(ct, axis=axis, reverse=not reverse)]


class CumulativeProduct(Cumulative):
    """Products of prefixes: y_i = y_(i-1) x_i, so dy_i = x_i dy_(i-1) + y_(i-1) t_i."""

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, axis: int, reverse: bool) -> Any:
        (x,), (t,) = primals, tangents
        out = self.bind(x, axis=axis, reverse=reverse)
        before = _shift(out, axis, reverse, 1)
        return out, linear_recurrence_p.bind(x, mul_p.bind(before, t), axis=axis, reverse=reverse)


class CumulativeExtremum(Cumulative):
    """Extrema of prefixes. Where an extremum is attained several times, its tangent is the mean of theirs."""

    makes_nan = False

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, axis: int, reverse: bool) -> Any:
        # Along a run of equal results, both the tangents at which they are attained and their number add up.
        (x,), (t,) = primals, tangents
        params = {"axis": axis, "reverse": reverse}
        out = self.bind(x, **params)
        same = convert(eq_p.bind(_shift(out, axis, reverse, 0), out), x.dtype)
        attained = convert(eq_p.bind(x, out), x.dtype)
        count = linear_recurrence_p.bind(same, attained, **params)
        return out, div_p.bind(linear_recurrence_p.bind(same, mul_p.bind(attained, t), **params), count)


class CumulativeLogSumExp(Cumulative):
    """Logarithms of the sums of exponentials of prefixes: dy_i = exp(y_(i-1) - y_i) dy_(i-1) + exp(x_i - y_i) t_i."""

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, axis: int, reverse: bool) -> Any:
        (x,), (t,) = primals, tangents
        params = {"axis": axis, "reverse": reverse}
        out = self.bind(x, **params)
        # Sums of nothing but exp(-inf) have the derivative 0, not exp(-inf + inf).
        safe = select(eq_p.bind(out, like(-np.inf, out)), like(0, out), out)
        decay = exp_p.bind(sub_p.bind(_shift(out, axis, reverse, 0), safe))
        weight = exp_p.bind(sub_p.bind(x, safe))
        return out, linear_recurrence_p.bind(decay, mul_p.bind(weight, t), **params)

    def lower(self, emit: Any, x: Any, *, axis: int, reverse: bool) -> Any:
        if dtypes.is_complex(x.dtype) or not x.size:
            return super().lower(emit, x, axis=axis, reverse=reverse)
        return emit.expand(self, (x,), {"axis": axis, "reverse": reverse})

    def expand(self, x: Any, *, axis: int, reverse: bool) -> Any:
        # Relative to the maxima m of the prefixes, sums follow the recurrence s_i = exp(m_(i-1) - m_i) s_(i-1) + exp(x_i - m_i): two exponentials
        # and a logarithm for an element, where a combination of sums has three of them. What is equal is so if it is infinite, too.
        def ratio(a: Any, b: Any) -> Any:
            return select(eq_p.bind(a, b), like(1, a), exp_p.bind(sub_p.bind(a, b)))

        dtype = x.dtype
        if _is_narrow(dtype):
            x = convert(x, dtypes.float32)
        params = {"axis": axis, "reverse": reverse}
        m = cummax_p.bind(x, **params)
        s = linear_recurrence_p.bind(ratio(_shift(m, axis, reverse, 0), m), ratio(x, m), **params)
        return convert(add_p.bind(m, log_p.bind(s)), dtype)


def _accumulate_logaddexp(x: Any, axis: int) -> Any:
    dtype = x.dtype
    out = x.astype(wider(dtype))
    if dtype.kind != "c":
        return np.logaddexp.accumulate(out, axis).astype(dtype)
    rows = np.moveaxis(out, axis, 0)
    for i in range(1, len(rows)):
        # log(exp p + exp q) = m + log(exp(p - m) + exp(q - m)), where m is the larger real part.
        p, q = rows[i - 1], rows[i]
        m = np.maximum(p.real, q.real)
        m = np.where(np.isfinite(m), m, 0)
        rows[i] = m + np.log(np.exp(p - m) + np.exp(q - m))
    return out.astype(dtype)


def _lower_logaddexp(emit: Any, p: Any, q: Any) -> Any:
    # m + log(exp(p - m) + exp(q - m)), where m is the larger (real part), or 0 if that is infinite.
    real = ShapedArray(p.shape, dtypes.to_real(p.dtype))
    p_real, q_real = (emit("real", x, out=real) if dtypes.is_complex(x.dtype) else x for x in (p, q))
    largest = emit("maximum", p_real, q_real)
    m = emit.select(emit("is_finite", largest, out=ShapedArray(p.shape, dtypes.bool_)), largest, emit.like(0, largest))
    if dtypes.is_complex(p.dtype):
        m = emit("complex", m, emit.like(0, m), out=p)
    parts = [emit("exponential", emit("subtract", x, m)) for x in (p, q)]
    return emit("add", m, emit("log", emit("add", *parts)))


# fmt: off
cumsum_p  = CumulativeSum("cumsum",      NUMERIC, running_sums,           "add",      lambda dtype: dtype.type(0))
cumprod_p = CumulativeProduct("cumprod", NUMERIC, running_products,       "multiply", lambda dtype: dtype.type(1))
cummax_p  = CumulativeExtremum("cummax", NUMERIC, np.maximum.accumulate,  "maximum",  lowest)
cummin_p  = CumulativeExtremum("cummin", NUMERIC, np.minimum.accumulate,  "minimum",  highest)
cumlogsumexp_p = CumulativeLogSumExp("cumlogsumexp", INEXACT, _accumulate_logaddexp, _lower_logaddexp, lowest)
# fmt: on


# ---- rounding to fewer bits ---------------------------------------------------------------------------------------


class ReducePrecision(LinearPrimitive):
    """Round to a float with `exponent_bits` and `mantissa_bits`, kept in the operand's type.

    Tangents and cotangents are rounded likewise, as the values of a narrower type would be.
    """

    name = "reduce_precision"
    makes_nan = False

    def type_of(self, x: ShapedArray, *, exponent_bits: int, mantissa_bits: int) -> ShapedArray:
        _check_kind(self.name, FLOAT, x)
        return x

    def evaluate(self, x: Any, *, exponent_bits: int, mantissa_bits: int) -> Any:
        if x.dtype.itemsize == 1:  # no arithmetic on 8-bit patterns here: float32 holds every such number
            return self.evaluate(x.astype(np.float32), exponent_bits=exponent_bits, mantissa_bits=mantissa_bits).astype(
                x.dtype
            )
        info = dtypes.finfo(x.dtype)
        uint = np.dtype(f"u{x.dtype.itemsize}").type
        bits = np.asarray(x).view(uint)
        mantissa, exponent = info.nmant, x.dtype.itemsize * 8 - info.nmant - 1
        sign = bits & uint(1 << (mantissa + exponent))
        if mantissa_bits < mantissa:
            # Round to nearest, ties to even: add just under half of the last kept place, or half if that place is odd.
            dropped = mantissa - mantissa_bits
            last = (bits >> uint(dropped)) & uint(1)
            bits = (bits + last + uint((1 << (dropped - 1)) - 1)) & uint(
                ~((1 << dropped) - 1) & int(np.iinfo(uint).max)
            )
        if exponent_bits < exponent:
            # Too large becomes infinite; below the least normal number becomes zero.
            bias, kept = (1 << (exponent - 1)) - 1, (1 << (exponent_bits - 1)) - 1
            field = bits & uint(((1 << exponent) - 1) << mantissa)
            infinity = uint(((1 << exponent) - 1) << mantissa)
            bits = np.where(field > uint((bias + kept) << mantissa), sign | infinity, bits)
            bits = np.where(field <= uint((bias - kept) << mantissa), sign, bits)
        return np.where(np.isnan(x), x, np.asarray(bits, uint).view(x.dtype))

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


reduce_precision_p = ReducePrecision()


# ---- public functions ---------------------------------------------------------------------------------------------


def _reduce(primitive: Any, kinds: str, operand: Any, axes: Sequence[int]) -> Array:
    x = operand if isinstance(operand, Array) else as_array(operand)
    if dtypes.kind(x.dtype) not in kinds:
        _check_kind(primitive.name, kinds, x)
    axes = tuple(axes) if axes is not None else integers(axes, f"{primitive.name}: axes")
    ndim = x.ndim
    for a in axes:
        if a.__class__ is not int or not 0 <= a < ndim:
            axes = _checked_axes(primitive.name, axes, x)
            break
    if len(axes) > 1 and len(set(axes)) != len(axes):
        raise ValueError(f"{primitive.name}: duplicate value in 'axes' {axes} for an operand of shape {x.shape}")
    return current().process(primitive, (x,), {"axes": axes})


def _checked_axes(name: str, axes: Sequence[Any], x: Array) -> Shape:
    numbers = integers(axes, f"{name}: axes")
    for a, n in zip(axes, numbers):
        if isinstance(a, bool) or not 0 <= n < x.ndim:
            raise ValueError(
                f"{name}: axes {tuple(axes)} contain one out of bounds for an operand of shape {x.shape}; give axes from 0"
            )
    return numbers


def reduce_sum(operand: Any, axes: Sequence[int], *, out_sharding: Any = None) -> Array:
    """The sum over `axes` (non-negative, distinct) of numbers, in their dtype.

    Raises TypeError for booleans, ValueError for axes out of bounds or repeated. The sum of nothing is 0.

    >>> import pullback.numpy as jnp
    >>> reduce_sum(jnp.array([[1.0, 2.0], [3.0, 4.0]]), (0,))
    Array([4., 6.], dtype=float32)
    """
    if out_sharding is not None:
        no_sharding("reduce_sum", out_sharding)
    return _reduce(reduce_sum_p, NUMERIC, operand, axes)


def reduce_prod(operand: Any, axes: Sequence[int]) -> Array:
    """The product over `axes` of numbers, in their dtype; of nothing, 1. Raises as `reduce_sum`."""
    return _reduce(reduce_prod_p, NUMERIC, operand, axes)


def reduce_max(operand: Any, axes: Sequence[int]) -> Array:
    """The largest element along `axes`: NaN if there is one; of nothing, -inf, False or the least integer.

    Complex numbers compare by real parts, then imaginary ones. The derivative is shared equally among ties.

    >>> import pullback.numpy as jnp
    >>> reduce_max(jnp.array([[1, 5], [3, 4]]), (0, 1))
    Array(5, dtype=int32)
    """
    return _reduce(reduce_max_p, ANY, operand, axes)


def reduce_min(operand: Any, axes: Sequence[int]) -> Array:
    """The smallest element along `axes`: NaN if there is one; of nothing, inf, True or the greatest integer."""
    return _reduce(reduce_min_p, ANY, operand, axes)


def reduce_and(operand: Any, axes: Sequence[int]) -> Array:
    """The bitwise and (of booleans: whether all are true) along `axes`. Raises TypeError for floats."""
    return _reduce(reduce_and_p, BITS, operand, axes)


def reduce_or(operand: Any, axes: Sequence[int]) -> Array:
    """The bitwise or (of booleans: whether any is true) along `axes`. Raises TypeError for floats."""
    return _reduce(reduce_or_p, BITS, operand, axes)


def reduce_xor(operand: Any, axes: Sequence[int]) -> Array:
    """The bitwise exclusive or (of booleans: whether an odd number is true) along `axes`. Raises TypeError for floats."""
    return _reduce(reduce_xor_p, BITS, operand, axes)


def _position(primitive: Any, operand: Any, axis: int, index_dtype: Any) -> Array:
    x = operand if isinstance(operand, Array) else as_array(operand)
    (axis,) = _checked_axes(primitive.name, (axis,), x)
    dtype = dtypes.canonicalize_dtype(index_dtype)
    if not dtypes.is_integer(dtype):
        raise TypeError(f"{primitive.name}: index_dtype must be an integer type, but got {dtypes.name(dtype)}")
    if dtypes.kind(x.dtype) == "c":
        _check_kind(primitive.name, "biuf", x)
    if not x.shape[axis]:
        primitive.type_of(x.aval, axes=(axis,), index_dtype=dtype)
    return current().process(primitive, (x,), {"axes": (axis,), "index_dtype": dtype})


def argmax(operand: Any, axis: int, index_dtype: Any) -> Array:
    """The index along `axis` of the largest element, the first if there are several, as `index_dtype`.

    NaN counts as the largest. Raises TypeError for complex operands, ValueError if the axis is empty or out of bounds.

    >>> import pullback.numpy as jnp
    >>> argmax(jnp.array([1.0, 3.0, 3.0]), 0, jnp.int32)
    Array(1, dtype=int32)
    """
    return _position(argmax_p, operand, axis, index_dtype)


def argmin(operand: Any, axis: int, index_dtype: Any) -> Array:
    """The index along `axis` of the smallest element, the first if there are several; NaN counts as the smallest."""
    return _position(argmin_p, operand, axis, index_dtype)


def _cumulate(primitive: Cumulative, operand: Any, axis: int, reverse: bool) -> Array:
    x = operand if isinstance(operand, Array) else as_array(operand)
    if dtypes.kind(x.dtype) not in primitive.kinds:
        _check_kind(primitive.name, primitive.kinds, x)
    if axis.__class__ is not int or not 0 <= axis < x.ndim:
        (axis,) = _checked_axes(primitive.name, (axis,), x)
    return current().process(primitive, (x,), {"axis": axis, "reverse": bool(reverse)})


def cumsum(operand: Any, axis: int = 0, reverse: bool = False) -> Array:
    """The sums of all prefixes along `axis` (of all suffixes if `reverse`), of the operand's shape and dtype.

    Raises TypeError for booleans, ValueError if the axis is negative or out of bounds.

    >>> import pullback.numpy as jnp
    >>> cumsum(jnp.array([1, 2, 3])), cumsum(jnp.array([1, 2, 3]), reverse=True)
    (Array([1, 3, 6], dtype=int32), Array([6, 5, 3], dtype=int32))
    """
    return _cumulate(cumsum_p, operand, axis, reverse)


def cumprod(operand: Any, axis: int = 0, reverse: bool = False) -> Array:
    """The products of all prefixes along `axis` (of all suffixes if `reverse`). Raises as `cumsum`."""
    return _cumulate(cumprod_p, operand, axis, reverse)


def cummax(operand: Any, axis: int = 0, reverse: bool = False) -> Array:
    """The maxima of all prefixes along `axis` (of all suffixes if `reverse`). NaN stays; raises as `cumsum`."""
    return _cumulate(cummax_p, operand, axis, reverse)


def cummin(operand: Any, axis: int = 0, reverse: bool = False) -> Array:
    """The minima of all prefixes along `axis` (of all suffixes if `reverse`). NaN stays; raises as `cumsum`."""
    return _cumulate(cummin_p, operand, axis, reverse)


def cumlogsumexp(operand: Any, axis: int = 0, reverse: bool = False) -> Array:
    """The logarithms of the sums of exponentials of all prefixes along `axis`, without overflow.

    Takes floating and complex operands (TypeError for others); otherwise as `cumsum`.
    """
    return _cumulate(cumlogsumexp_p, operand, axis, reverse)


def reduce_precision(operand: Any, exponent_bits: int, mantissa_bits: int) -> Array:
    """`operand` rounded to what a float of `exponent_bits` and `mantissa_bits` can hold, in the operand's dtype.

    Rounds to nearest, ties to even; overflow gives infinities, subnormal results zeros. Raises TypeError for other than
    floating operands, ValueError if `exponent_bits` < 1 or `mantissa_bits` < 0.

    >>> float(reduce_precision(1.1, exponent_bits=5, mantissa_bits=3))
    1.125
    """
    x = as_array(operand)
    _check_kind("reduce_precision", FLOAT, x)
    exponent, mantissa = integer(exponent_bits, "exponent_bits"), integer(mantissa_bits, "mantissa_bits")
    if exponent < 1:
        raise ValueError(f"reduce_precision: exponent_bits must be positive; got {exponent}")
    if mantissa < 0:
        raise ValueError(f"reduce_precision: mantissa_bits must be non-negative; got {mantissa}")
    return reduce_precision_p.bind(x, exponent_bits=exponent, mantissa_bits=mantissa)


__all__ = [
    "argmax", "argmax_p", "argmin", "argmin_p", "cumlogsumexp", "cumlogsumexp_p", "cummax", "cummax_p", "cummin",
    "cummin_p", "cumprod", "cumprod_p", "cumsum", "cumsum_p", "reduce_and", "reduce_and_p", "reduce_max", "reduce_max_p",
    "reduce_min", "reduce_min_p", "reduce_or", "reduce_or_p", "reduce_precision", "reduce_precision_p", "reduce_prod",
    "reduce_prod_p", "reduce_sum", "reduce_sum_p", "reduce_xor", "reduce_xor_p",
]  # fmt: skip
