"""Cumulative reductions along an axis: sums, products, extrema and log-sum-exps of all prefixes.

They run from the end of the axis if `reverse`. Derivatives are all one linear primitive, the
recurrence s_i = a_i s_(i-1) + b_i, whose own derivative and transpose are recurrences again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, as_array, concrete
from pullback.core.dimensions import Dim, at_least
from pullback.core.dtypes import DType
from pullback.core.primitive import LinearPrimitive, Primitive
from pullback.core.trace import current
from pullback.core.types import ShapedArray
from pullback.lax.arrangement import concatenate_p, pad_p, rev_p, slice_p
from pullback.lax.creation import iota_p
from pullback.lax.elementwise import and_p, div_p, eq_p, exp_p, log_p
from pullback.lax.family import INEXACT, NUMERIC, add_p, like, mul_p, sub_p
from pullback.lax.selection import select, select_n_p
from pullback.lax.shape import batch_first, broadcast_in_dim_p, check_kind, checked_axes, convert, with_length
from pullback.lax.summation import FEW, accumulator, as_dtype, highest, lowest, running_products, running_sums, wider


class LinearRecurrence(LinearPrimitive):
    """s_i = a_i s_(i-1) + b_i along `axis` (from its end if `reverse`), starting with s_0 = b_0:
    linear in b.

    `a[0]` is not used. With out = s, ds_i = a_i ds_(i-1) + (db_i + da_i s_(i-1)): the same
    recurrence. The transpose in b solves b̄_i = s̄_i + a_(i+1) b̄_(i+1), the recurrence run the
    other way with `a` moved by one.
    """

    name = "linear_recurrence"
    linear_in = (1,)

    def type_of(self, a: ShapedArray, b: ShapedArray, *, axis: int, reverse: bool) -> ShapedArray:
        if a.shape != b.shape or a.dtype != b.dtype or dtypes.kind(a.dtype) not in INEXACT:
            raise TypeError(f"linear_recurrence takes two inexact arrays of one type, got {a} and {b}")
        return a.update(weak_type=a.weak_type and b.weak_type)

    def evaluate(self, a: Any, b: Any, *, axis: int, reverse: bool) -> Any:
        dtype = b.dtype
        a, b = (np.asarray(v, accumulator(dtype)) for v in (a, b))
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
        return as_dtype(dtype, out)

    def lower(self, emit: Any, a: Any, b: Any, *, axis: int, reverse: bool) -> Any:
        if not _by_rows(emit, b, axis):
            return emit.expand(self, (a, b), {"axis": axis, "reverse": reverse})

        def compose(first: Sequence[Any], then: Sequence[Any]) -> list[Any]:
            (a1, b1), (a2, b2) = first, then
            return [emit("multiply", a2, a1), emit("add", emit("multiply", a2, b1), b2)]

        return _lower_prefixes(emit, compose, [a, b], axis, reverse, wanted=1)

    def expand(self, a: Any, b: Any, *, axis: int, reverse: bool) -> Any:
        # Steps compose: (a, b) after (a', b') is (a a', a b' + b). That is associative, so prefixes
        # take log n rounds.
        def compose(first: Sequence[Any], then: Sequence[Any]) -> list[Any]:
            (a1, b1), (a2, b2) = first, then
            return [mul_p.bind(a2, a1), add_p.bind(mul_p.bind(a2, b1), b2)]

        dtype = b.dtype
        a, b = (convert(x, accumulator(dtype), x.weak_type) for x in (a, b))
        if reverse:
            a, b = (rev_p.bind(x, dimensions=(axis,)) for x in (a, b))
        _, out = prefixes(compose, [a, b], axis)
        return convert(rev_p.bind(out, dimensions=(axis,)) if reverse else out, dtype)

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, axis: int, reverse: bool) -> Any:
        (a, b), (t_a, t_b) = primals, tangents
        params = {"axis": axis, "reverse": reverse}
        out = self.bind(a, b, **params)
        if t_a is not None:
            from_a = mul_p.bind(shift(out, axis, reverse, 0), t_a)
            t_b = from_a if t_b is None else add_p.bind(t_b, from_a)
        return out, None if t_b is None else self.bind(a, t_b, **params)

    linearize = Primitive.linearize

    def transpose(self, ct: Any, a: Any, b: Any, *, axis: int, reverse: bool) -> Sequence[Any]:
        return [None, self.bind(shift(a, axis, not reverse, 0), ct, axis=axis, reverse=not reverse)]

    def batch(self, size: int, args: Any, axes: Any, *, axis: int, reverse: bool) -> Any:
        a, b = (batch_first(x, i, size) for x, i in zip(args, axes))
        return self.bind(a, b, axis=axis + 1, reverse=reverse), 0


linear_recurrence_p = LinearRecurrence()


def prefixes(
    combine: Callable[[Sequence[Any], Sequence[Any]], Sequence[Any]], xs: Sequence[Any], axis: int
) -> Sequence[Any]:
    """All prefixes of `xs` along `axis` combined by an associative operation, in log n rounds
    (Blelloch 1990)."""
    n = xs[0].shape[axis]
    if n < 2:
        return xs

    def part(x: Any, start: int, stop: int, step: int) -> Any:
        starts, limits = with_length((0,) * x.ndim, axis, start), with_length(x.shape, axis, stop)
        strides = with_length((1,) * x.ndim, axis, step)
        return slice_p.bind(x, start_indices=starts, limit_indices=limits, strides=strides)

    # Pairs first; the prefixes of the pairs are those that end at odd places, and each of the
    # others is one step further.
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
    zero = np.zeros((), even.dtype)
    nothing = concrete(-zero if dtypes.is_inexact(even.dtype) else zero)  # adding -0.0 leaves even the sign of zero

    def spread(x: Any, first: int) -> Any:
        around = (first, n - first - (2 * x.shape[axis] - 1), 1)
        return pad_p.bind(x, nothing, padding_config=with_length(((0, 0, 0),) * x.ndim, axis, around))

    if not keys:
        return add_p.bind(spread(even, 0), spread(odd, 1))
    position = iota_p.bind(dtype=dtypes.int32, shape=(n,), dimension=0)
    is_odd = eq_p.bind(and_p.bind(position, like(1, position)), like(1, position))
    mask = broadcast_in_dim_p.bind(is_odd, shape=with_length(even.shape, axis, n), broadcast_dimensions=(axis,))
    return select_n_p.bind(mask, spread(even, 0), spread(odd, 1))


#: On CPUs, where the passes over memory count and not the depth, prefixes are found by a loop over
#: rows, if these are that long.
_WIDE = 64


def _by_rows(emit: Any, x: Any, axis: int) -> bool:
    """Whether prefixes of `x` are to be found row by row."""
    if x.shape[axis].__class__ is Dim:  # there is a number of passes for each length, and one loop for all
        return True
    if not emit.capabilities.loops_over_rows or not dtypes.is_numpys(x.dtype) or x.dtype.kind == "c":
        return False
    return x.shape[axis] >= 32 and x.size >= _WIDE * x.shape[axis]


def _lower_prefixes(
    emit: Any, combine: Callable[[Sequence[Any], Sequence[Any]], Sequence[Any]], xs: Sequence[Any], axis: int, reverse: bool,
    wanted: int = 0, rounds: bool = True,
) -> Any:  # fmt: skip
    """The prefixes of `xs` along `axis` (suffixes if `reverse`) combined, row by row; of several,
    number `wanted`.

    If combining rounds, what has been combined so far of many rows is held in a wider type: after a
    million roundings, two digits would be left.
    """
    order = (axis, *(i for i in range(len(xs[0].shape)) if i != axis))
    xs = [emit.transpose(x, order) for x in xs]
    length = xs[0].shape[0]
    int32 = ShapedArray((), dtypes.int32)
    widen = wider if rounds and at_least(length, FEW + 1) is not False else lambda dtype: dtype

    def row(x: Any, position: Any) -> Any:
        shape = (1, *x.shape[1:])
        zero = emit.like(0, position)
        found = emit(
            "dynamic_slice", x, position, *[zero] * (len(shape) - 1), out=ShapedArray(shape, x.dtype), slice_sizes=shape
        )
        found = emit.reshape(found, shape[1:])
        wide = accumulator(x.dtype)
        return emit.convert(found, widen(wide) if wide == x.dtype else wide)

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


def shift(x: Any, axis: int, reverse: bool, fill: float) -> Any:
    """`x` moved by one along `axis` in the running direction: each element's predecessor, `fill`
    for the first."""
    config = with_length(((0, 0, 0),) * len(x.shape), axis, (-1, 1, 0) if reverse else (1, -1, 0))
    return pad_p.bind(x, like(fill, x), padding_config=config)


class Cumulative(Primitive):
    """The reductions of all prefixes along `axis` (suffixes if `reverse`). Abstract; subclasses
    give the derivative."""

    def __init__(self, name: str, kinds: str, accumulate: Any, combine: Any, identity: Callable[[DType], Any]) -> None:
        self.name, self.kinds, self.accumulate, self.combine, self.identity = name, kinds, accumulate, combine, identity
        super().__init__()

    def lower(self, emit: Any, x: Any, *, axis: int, reverse: bool) -> Any:
        n = x.shape[axis]
        if not x.size:
            return x
        named = isinstance(self.combine, str)
        if _by_rows(emit, x, axis):
            combine = partial(emit, self.combine) if named else partial(self.combine, emit)
            step = lambda first, then: [combine(*first, *then)]
            return _lower_prefixes(emit, step, [x], axis, reverse, rounds=self.combine in ("add", "multiply"))
        wide = emit.convert(x, accumulator(x.dtype))
        # Windows of full length, all but one element in the padding: XLA recognizes them as
        # prefixes.
        window = tuple(n if i == axis else 1 for i in range(x.ndim))
        outside = (0, n - 1) if reverse else (n - 1, 0)
        padding = [outside if i == axis else (0, 0) for i in range(x.ndim)]
        combine = self.combine if named else partial(self.combine, emit)
        return emit.convert(emit.reduce_window(wide, self.identity(wide.dtype), combine, window, padding), x.dtype)

    def type_of(self, x: ShapedArray, *, axis: int, reverse: bool) -> ShapedArray:
        check_kind(self.name, self.kinds, x)
        return x

    def evaluate(self, x: Any, *, axis: int, reverse: bool) -> Any:
        dtype = x.dtype
        x = np.asarray(x, accumulator(dtype))
        if not dtypes.is_numpys(x.dtype):  # 2- and 4-bit integers: the low bits of 8
            x = x.astype(np.int8 if dtype in dtypes.SIGNED else np.uint8)
        if reverse:
            x = np.flip(x, axis)
        out = self.accumulate(x, axis)
        return as_dtype(dtype, np.flip(out, axis) if reverse else out)

    def batch(self, size: int, args: Any, axes: Any, *, axis: int, reverse: bool) -> Any:
        return self.bind(args[0], axis=axis + (axis >= axes[0]), reverse=reverse), axes[0]


class CumulativeSum(Cumulative, LinearPrimitive):
    """Sums of prefixes; the transpose sums suffixes."""

    def transpose(self, ct: Any, x: Any, *, axis: int, reverse: bool) -> Sequence[Any]:
        return [self.bind(ct, axis=axis, reverse=not reverse)]


class CumulativeProduct(Cumulative):
    """Products of prefixes: y_i = y_(i-1) x_i, so dy_i = x_i dy_(i-1) + y_(i-1) t_i."""

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, axis: int, reverse: bool) -> Any:
        (x,), (t,) = primals, tangents
        out = self.bind(x, axis=axis, reverse=reverse)
        before = shift(out, axis, reverse, 1)
        return out, linear_recurrence_p.bind(x, mul_p.bind(before, t), axis=axis, reverse=reverse)


class CumulativeExtremum(Cumulative):
    """Extrema of prefixes. Where an extremum is attained several times, its tangent is the mean of
    theirs."""

    makes_nan = False

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, axis: int, reverse: bool) -> Any:
        # Along a run of equal results, both the tangents at which they are attained and their
        # number add up.
        (x,), (t,) = primals, tangents
        params = {"axis": axis, "reverse": reverse}
        out = self.bind(x, **params)
        same = convert(eq_p.bind(shift(out, axis, reverse, 0), out), x.dtype)
        attained = convert(eq_p.bind(x, out), x.dtype)
        count = linear_recurrence_p.bind(same, attained, **params)
        return out, div_p.bind(linear_recurrence_p.bind(same, mul_p.bind(attained, t), **params), count)


class CumulativeLogSumExp(Cumulative):
    """Logarithms of the sums of exponentials of prefixes: dy_i = exp(y_(i-1) - y_i) dy_(i-1) +
    exp(x_i - y_i) t_i."""

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, axis: int, reverse: bool) -> Any:
        (x,), (t,) = primals, tangents
        params = {"axis": axis, "reverse": reverse}
        out = self.bind(x, **params)
        # Sums of nothing but exp(-inf) have the derivative 0, not exp(-inf + inf).
        safe = select(eq_p.bind(out, like(-np.inf, out)), like(0, out), out)
        decay = exp_p.bind(sub_p.bind(shift(out, axis, reverse, 0), safe))
        weight = exp_p.bind(sub_p.bind(x, safe))
        return out, linear_recurrence_p.bind(decay, mul_p.bind(weight, t), **params)

    def lower(self, emit: Any, x: Any, *, axis: int, reverse: bool) -> Any:
        if dtypes.is_complex(x.dtype) or not x.size:
            return super().lower(emit, x, axis=axis, reverse=reverse)
        return emit.expand(self, (x,), {"axis": axis, "reverse": reverse})

    def expand(self, x: Any, *, axis: int, reverse: bool) -> Any:
        # Relative to the maxima m of the prefixes, sums follow the recurrence s_i = exp(m_(i-1) -
        # m_i) s_(i-1) + exp(x_i - m_i): two exponentials and a logarithm for an element, where a
        # combination of sums has three of them. What is equal is so if it is infinite, too.
        def ratio(a: Any, b: Any) -> Any:
            return select(eq_p.bind(a, b), like(1, a), exp_p.bind(sub_p.bind(a, b)))

        dtype = x.dtype
        x = convert(x, accumulator(dtype), x.weak_type)
        params = {"axis": axis, "reverse": reverse}
        m = cummax_p.bind(x, **params)
        s = linear_recurrence_p.bind(ratio(shift(m, axis, reverse, 0), m), ratio(x, m), **params)
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


def _cumulate(primitive: Cumulative, operand: Any, axis: int, reverse: bool) -> Array:
    x = operand if isinstance(operand, Array) else as_array(operand)
    if dtypes.kind(x.dtype) not in primitive.kinds:
        check_kind(primitive.name, primitive.kinds, x)
    if axis.__class__ is not int or not 0 <= axis < x.ndim:
        (axis,) = checked_axes(primitive.name, (axis,), x)
    return current().process(primitive, (x,), {"axis": axis, "reverse": bool(reverse)})


def cumsum(operand: Any, axis: int = 0, reverse: bool = False) -> Array:
    """The sums of all prefixes along `axis` (of all suffixes if `reverse`), of the operand's shape
    and dtype.

    Raises TypeError for booleans, ValueError if the axis is negative or out of bounds.

    >>> import pullback.numpy as jnp
    >>> cumsum(jnp.array([1, 2, 3])), cumsum(jnp.array([1, 2, 3]), reverse=True)
    (Array([1, 3, 6], dtype=int32), Array([6, 5, 3], dtype=int32))
    """
    return _cumulate(cumsum_p, operand, axis, reverse)


def cumprod(operand: Any, axis: int = 0, reverse: bool = False) -> Array:
    """The products of all prefixes along `axis` (of all suffixes if `reverse`), of the operand's shape
    and dtype. Raises as `cumsum`.

    >>> cumprod(np.array([[1, 2, 3], [2, 2, 2]]), axis=1)
    Array([[1, 2, 6],
           [2, 4, 8]], dtype=int32)
    """
    return _cumulate(cumprod_p, operand, axis, reverse)


def cummax(operand: Any, axis: int = 0, reverse: bool = False) -> Array:
    """The maxima of all prefixes along `axis` (of all suffixes if `reverse`), of the operand's shape
    and dtype. NaN stays; raises as `cumsum`.

    >>> cummax(np.array([1, 3, 2, 5])), cummax(np.array([1.0, np.nan, 2.0], np.float32))
    (Array([1, 3, 3, 5], dtype=int32), Array([ 1., nan, nan], dtype=float32))
    """
    return _cumulate(cummax_p, operand, axis, reverse)


def cummin(operand: Any, axis: int = 0, reverse: bool = False) -> Array:
    """The minima of all prefixes along `axis` (of all suffixes if `reverse`), of the operand's shape
    and dtype. NaN stays; raises as `cumsum`.

    >>> cummin(np.array([4, 5, 2, 3])), cummin(np.array([4, 5, 2, 3]), reverse=True)
    (Array([4, 4, 2, 2], dtype=int32), Array([2, 2, 2, 3], dtype=int32))
    """
    return _cumulate(cummin_p, operand, axis, reverse)


def cumlogsumexp(operand: Any, axis: int = 0, reverse: bool = False) -> Array:
    """The logarithms of the sums of exponentials of all prefixes along `axis` (of all suffixes if
    `reverse`), without overflow, of the operand's shape and dtype.

    Takes floating and complex operands (TypeError for others); otherwise as `cumsum`.

    >>> (cumlogsumexp(np.array([1000.0, 1000.0, 1000.0], np.float32)) - 1000).round(3)  # log 1, log 2, log 3
    Array([0.   , 0.693, 1.099], dtype=float32)
    """
    return _cumulate(cumlogsumexp_p, operand, axis, reverse)


__all__ = [
    "cumlogsumexp", "cumlogsumexp_p", "cummax", "cummax_p", "cummin", "cummin_p", "cumprod", "cumprod_p", "cumsum",
    "cumsum_p",
]  # fmt: skip
