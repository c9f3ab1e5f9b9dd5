"""What the methods of ufuncs compute: reductions, prefixes, updates and reductions of parts, by any
function of two elements.

- Any function is applied to one element after the other, by a loop (`lax.scan`), so that nothing is
  asked of it; it has the derivatives of a loop. Updates of positions that are known to be different
  are one application to whole arrays.
- Of functions that are known to be associative neighbours are combined, in log n rounds.
- Sums, products, extrema, logic and bits are the reductions that there are for these.

`reduceat` is an update: the first element of each part is updated by the others, in their order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.control.associative import associative_scan
from pullback.control.loops import scan
from pullback.control.reduce import reduce as combined
from pullback.core import dtypes
from pullback.core.array import Array, concrete
from pullback.core.config import program_state
from pullback.core.dtypes import DType
from pullback.core.trace import EVAL, Tracer, known_value, under
from pullback.core.types import ShapedArray, ShapeDtypeStruct, canonical_axis
from pullback.lax.cumulative import cumlogsumexp_p, cummax_p, cummin_p
from pullback.lax.reductions import reduce_and_p, reduce_or_p, reduce_xor_p
from pullback.lax.selection import select
from pullback.lax.shape import convert, strong
from pullback.lax.summation import highest, lowest
from pullback.numpy import reductions
from pullback.numpy import ufuncs as u
from pullback.numpy.indexing import IndexUpdateRef
from pullback.numpy.joining import concatenate
from pullback.numpy.manipulation import broadcast_to, moveaxis
from pullback.numpy.promotion import array_like, here, promote
from pullback.transforms.tracing import eval_shape

if TYPE_CHECKING:
    from pullback.numpy.universal import ufunc


def how(method: str, f: ufunc) -> Callable[..., Any]:
    """What computes a method of `f`, with the method's arguments but `out`.

    Example: `how("reduce", jnp.add)` is `jnp.sum`.
    """
    if f._own is None:
        f._own = _OWN[f.__name__](f) if f.__name__ in _OWN else {}
    return f._own.get(method) or partial(_ANY[method], f)


# ---- what they share -----------------------------------------------------------------------------


def _operand(f: ufunc, method: str, a: Any, dtype: Any) -> Array:
    a = array_like(a, f"{f.__name__}.{method}")
    return convert(a, a.dtype if dtype is None else dtypes.canonicalize_dtype(dtype))


def _dtype(f: ufunc, *operands: Array) -> DType:
    """The dtype of what `f` gives of elements of the operands."""
    known = f.__dict__.setdefault("_dtypes", {})
    types = (id(program_state()), *[(x.dtype, x.weak_type) for x in operands])
    if types not in known:
        out = eval_shape(f, *[ShapedArray((), x.dtype, x.weak_type) for x in operands])
        if not isinstance(out, ShapeDtypeStruct):
            raise here(TypeError, f"{f.__name__} is to give one array of two elements, but gave {out!r:.100}")
        known[types] = out.dtype
    return known[types]


def _steps(f: ufunc) -> tuple[Callable[..., Any], ...]:
    """The bodies of loops: the next element combined with what there is, giving that as a result or
    not; an element updated. They are kept, so that each is traced once for its types."""
    steps = f.__dict__.get("_steps")
    if steps is None:

        def accumulate(so_far: Any, element: Any) -> Any:
            x, counts = element
            out = convert(f(so_far, x), so_far.dtype)
            if counts is not None:
                out = select(broadcast_to(counts, out.shape), out, so_far)
            return out, out

        def update(x: Any, one: Any) -> Any:
            i, values = one
            return _updated(f, x, i, values), None

        steps = f.__dict__["_steps"] = accumulate, lambda c, x: (accumulate(c, x)[0], None), update
    return steps


def _in_rows(x: Array, axes: Sequence[int]) -> Array:
    """`x` with `axes` made one, in row-major order, in front of the others."""
    kept = [i for i in range(x.ndim) if i not in axes]
    rows = x.transpose(*axes, *kept) if x.ndim else x
    return rows.reshape(math.prod([x.shape[i] for i in axes]), *[x.shape[i] for i in kept])


def _everywhere(value: Any, shape: Sequence[int], dtype: DType) -> Array:
    if not isinstance(value, Array):
        value = concrete(np.array(value).astype(dtype))
    return broadcast_to(convert(value, dtype), tuple(shape))


# ---- reduce --------------------------------------------------------------------------------------


def _reduce(
    f: ufunc, a: Any, axis: Any = 0, dtype: Any = None, keepdims: bool = False, initial: Any = None, where: Any = None,
    neutral: Callable[[DType], Any] | None = None,
) -> Array:  # fmt: skip
    """Any function's `reduce`. Of an associative function, `neutral` gives what leaves other
    elements as they are."""
    what = f"{f.__name__}.reduce"
    a = _operand(f, "reduce", a, dtype)
    axes = reductions.reduced_axes(axis, a)
    target, rows, counts = _dtype(f, a, a), _in_rows(a, axes), None
    shape = rows.shape[1:]
    if where is not None:
        where = reductions.mask(where, what)
        if not reductions.fits(where.shape, a.shape):
            raise here(ValueError, f"{what}: `where` of shape {where.shape} does not broadcast to {a.shape}")
        counts = _in_rows(broadcast_to(where, a.shape), axes)
    if initial is not None:
        initial = array_like(initial, what)
        if initial.shape:
            raise here(ValueError, f"{what}: `initial` must be a scalar, got an array of shape {initial.shape}")
    elif f.identity is None and counts is not None:
        raise here(ValueError, f"{what}: {f.__name__} has no identity, so with `where` it needs an `initial`")
    elif f.identity is None and not len(rows) and math.prod(shape):
        raise here(
            ValueError,
            f"zero-size array to reduction operation {f.__name__}, which has no identity: shape {a.shape}, axis {axis}",
        )
    start = f.identity if initial is None else initial
    if neutral is not None:
        rows = convert(rows, target)
        if counts is not None:
            rows = select(counts, rows, _everywhere(neutral(target), rows.shape, target))
        out = combined(rows, neutral(target), f, (0,))
        out = out if start is None else convert(f(_everywhere(start, (), target), out), target)
    else:
        if start is not None or not len(rows):
            out = _everywhere(0 if start is None else start, shape, target)
        else:
            out, rows = convert(rows[0], target), rows[1:]
        if len(rows):
            out, _ = scan(_steps(f)[1], out, (rows, counts))
    return out.reshape([1 if i in axes else n for i, n in enumerate(a.shape)]) if keepdims else out


def _extremum(f: ufunc, function: Callable[..., Any]) -> Callable[..., Any]:
    def reduce(a: Any, dtype: Any = None, **options: Any) -> Array:
        return function(_operand(f, "reduce", a, dtype), **options)

    return reduce


def _bits(f: ufunc, primitive: Any, of_truth: bool = False) -> Callable[..., Any]:
    """Reductions of bits, or of truth values."""

    def reduce(
        a: Any, axis: Any = 0, dtype: Any = None, keepdims: bool = False, initial: Any = None, where: Any = None
    ) -> Array:
        a = _operand(f, "reduce", a, dtype)
        if of_truth:
            a = u.not_equal(a, 0)
        elif dtypes.kind(a.dtype) not in "biu":
            raise here(ValueError, f"{f.__name__}.reduce takes integers or booleans, got {a.aval}")
        axes = reductions.reduced_axes(axis, a)
        identity = primitive.identity(a.dtype)
        return reductions.reduced(f"{f.__name__}.reduce", primitive, a, axes, keepdims, where, identity, initial, f)

    return reduce


# ---- accumulate ----------------------------------------------------------------------------------


def _accumulate(f: ufunc, a: Any, axis: Any = 0, dtype: Any = None, associative: bool = False) -> Array:
    a = _operand(f, "accumulate", a, dtype)
    axis = canonical_axis(axis, a.ndim)
    target = _dtype(f, a, a)
    if not a.shape[axis]:
        return convert(a, target)
    if associative:
        return associative_scan(f, convert(a, target), axis=axis)
    rows = moveaxis(a, axis, 0)
    first = convert(rows[0], target)
    _, others = scan(_steps(f)[0], first, (rows[1:], None))
    return moveaxis(concatenate([first[None], others]), 0, axis)


def _running_extremum(f: ufunc, primitive: Any) -> Callable[..., Any]:
    def accumulate(a: Any, axis: Any = 0, dtype: Any = None) -> Array:
        a = _operand(f, "accumulate", a, dtype)
        if dtypes.kind(a.dtype) not in "iuf":
            return _accumulate(f, a, axis, associative=True)
        return primitive.bind(a, axis=canonical_axis(axis, a.ndim), reverse=False)

    return accumulate


def _running_log_sums(f: ufunc) -> Callable[..., Any]:
    def accumulate(a: Any, axis: Any = 0, dtype: Any = None) -> Array:
        a = _operand(f, "accumulate", a, dtype)
        return cumlogsumexp_p.bind(convert(a, _dtype(f, a, a)), axis=canonical_axis(axis, a.ndim), reverse=False)

    return accumulate


# ---- at ------------------------------------------------------------------------------------------


def _at(f: ufunc, a: Any, indices: Any, *b: Any) -> Array:
    a = array_like(a, f"{f.__name__}.at")
    values = [array_like(x, f"{f.__name__}.at") for x in b]
    a = convert(a, _dtype(f, a, *values))
    if getattr(indices, "ndim", None) == 1 and dtypes.is_integer(indices.dtype):
        rows = array_like(indices, "indices")
        return _at_rows(f, a, rows, *[broadcast_to(v, (len(rows), *a.shape[1:])) for v in values])
    places = _positions(a, indices)
    values = [broadcast_to(v, places.shape).reshape(-1) for v in values]
    return _at_rows(f, a.reshape(-1), places.reshape(-1), *values).reshape(a.shape)


def _positions(a: Array, indices: Any) -> Array:
    """The numbers of the elements at `indices`, in row-major order; the size of `a` for those out of
    bounds."""
    parts = indices if isinstance(indices, tuple) else (indices,)
    numbers = np.arange(a.size, dtype=np.int32 if a.size < 2**31 else np.int64)
    all_of_them = IndexUpdateRef(concrete(numbers.reshape(a.shape)), indices)
    known = not any(isinstance(i, Tracer) for i in parts)
    get = partial(under, EVAL, all_of_them.get) if known else all_of_them.get
    return get(mode="fill", fill_value=a.size)


def _at_rows(f: ufunc, x: Array, rows: Array, *values: Array) -> Array:
    """The rows of `x` that are named, updated in this order."""
    known = known_value(rows)
    if known is not None:
        inside = known[(known >= -len(x)) & (known < len(x))] % max(len(x), 1)
        if len(np.unique(inside)) == len(inside):
            return _updated(f, x, rows, values)
    return scan(_steps(f)[2], x, (rows, values))[0]


def _updated(f: ufunc, x: Array, rows: Array, values: Sequence[Array]) -> Array:
    new = convert(f(IndexUpdateRef(x, rows).get(mode="clip"), *values), x.dtype)
    return IndexUpdateRef(x, rows).set(new, mode="drop")


def _scattered(f: ufunc, method: str) -> Callable[..., Any]:
    def at(a: Any, indices: Any, b: Any) -> Array:
        a, b = (array_like(x, f"{f.__name__}.at") for x in (a, b))
        if a.dtype == b.dtype == dtypes.bool_:  # of which there are no sums and products
            return _at(f, a, indices, b)
        return getattr(IndexUpdateRef(a, indices), method)(b)

    return at


def _scattered_extremum(f: ufunc, method: str) -> Callable[..., Any]:
    def at(a: Any, indices: Any, b: Any) -> Array:
        a, b = map(strong, promote(f"{f.__name__}.at", a, b))
        if dtypes.kind(a.dtype) not in "iuf":
            return _at(f, a, indices, b)
        return getattr(IndexUpdateRef(a, indices), method)(b)

    return at


# ---- reduceat ------------------------------------------------------------------------------------


def _reduceat(f: ufunc, a: Any, indices: Any, axis: Any = 0, dtype: Any = None) -> Array:
    what = f"{f.__name__}.reduceat"
    a, starts = _operand(f, "reduceat", a, dtype), array_like(indices, what)
    axis = canonical_axis(axis, a.ndim)
    if starts.ndim != 1 or not dtypes.is_integer(starts.dtype):
        raise here(ValueError, f"{what}: indices must be one-dimensional and integers, got {starts.aval}")
    rows, target = moveaxis(a, axis, 0), _dtype(f, a, a)
    known, n = known_value(starts), len(rows)
    if known is None:
        return moveaxis(_parts_of_traced(f, rows, starts, target), 0, axis)
    if np.any((known < -n) | (known >= n)):
        raise here(IndexError, f"{what}: indices {known} contain one out of bounds for axis {axis} of size {n}")
    begin = known.astype(np.int64) % max(n, 1)
    end = np.maximum(np.append(begin[1:], n), begin + 1) if len(begin) else begin
    others = np.concatenate([np.arange(i + 1, j) for i, j in zip(begin, end)] or [begin])
    part = np.repeat(np.arange(len(begin)), end - begin - 1)
    first = convert(rows[begin], target) if len(begin) else _everywhere(0, (0, *rows.shape[1:]), target)
    if len(others):
        update = how("at", f)
        first = update(first, part, rows[others])
    return moveaxis(first, 0, axis)


def _parts_of_traced(f: ufunc, rows: Array, starts: Array, target: DType) -> Array:
    """One pass over the rows, which each part takes or leaves."""
    n = len(rows)
    if not n:
        raise here(IndexError, f"{f.__name__}.reduceat: there are no elements to begin at")
    starts = convert(starts, dtypes.default_dtype(int))  # which holds n
    begin = u.clip(select(u.less(starts, 0), u.add(starts, n), starts), 0, n - 1)
    end = concatenate([begin[1:], concrete(np.array([n], begin.dtype))])
    number = np.arange(n).reshape(n, *[1] * rows.ndim)
    begin, end = (x.reshape(len(starts), *[1] * (rows.ndim - 1)) for x in (begin, end))
    takes = u.logical_and(u.less(begin, number), u.less(number, end))
    out, _ = scan(_steps(f)[1], convert(rows[begin.reshape(-1)], target), (rows, takes))
    return out


# ---- which function's are which ------------------------------------------------------------------

_ANY: dict[str, Callable[..., Any]] = {
    "reduce": _reduce, "accumulate": _accumulate, "at": _at, "reduceat": _reduceat
}  # fmt: skip


def _associative(f: ufunc, neutral: Callable[[DType], Any] | None = None) -> dict[str, Callable[..., Any]]:
    found: dict[str, Callable[..., Any]] = {"accumulate": partial(_accumulate, f, associative=True)}
    if neutral is not None:
        found["reduce"] = partial(_reduce, f, neutral=neutral)
    return found


def _bitwise(f: ufunc, primitive: Any, of_truth: bool = False) -> dict[str, Callable[..., Any]]:
    return {**_associative(f), "reduce": _bits(f, primitive, of_truth)}


def _nan_or(extreme: Callable[[DType], Any]) -> Callable[[DType], Any]:
    return lambda dtype: math.nan if dtypes.is_inexact(dtype) else extreme(dtype)


#: Of functions of the package, by name: what computes methods otherwise than any function's.
_OWN: dict[str, Callable[[ufunc], dict[str, Callable[..., Any]]]] = {
    "add": lambda f: {"reduce": reductions.sum, "accumulate": reductions.cumsum, "at": _scattered(f, "add")},
    "multiply": lambda f: {
        "reduce": reductions.prod, "accumulate": reductions.cumprod, "at": _scattered(f, "multiply"),
    },
    "subtract": lambda f: {"at": _scattered(f, "subtract")},
    "maximum": lambda f: {
        "reduce": _extremum(f, reductions.max), "accumulate": _running_extremum(f, cummax_p), "at": _scattered_extremum(f, "max"),
    },
    "minimum": lambda f: {
        "reduce": _extremum(f, reductions.min), "accumulate": _running_extremum(f, cummin_p), "at": _scattered_extremum(f, "min"),
    },
    "fmax": lambda f: _associative(f, _nan_or(lowest)),
    "fmin": lambda f: _associative(f, _nan_or(highest)),
    "hypot": lambda f: _associative(f, lambda dtype: 0),
    "logaddexp": lambda f: _associative(f, lambda dtype: -math.inf) | {"accumulate": _running_log_sums(f)},
    "logaddexp2": lambda f: _associative(f, lambda dtype: -math.inf),
    "bitwise_and": lambda f: _bitwise(f, reduce_and_p),
    "bitwise_or": lambda f: _bitwise(f, reduce_or_p),
    "bitwise_xor": lambda f: _bitwise(f, reduce_xor_p),
    "logical_and": lambda f: _bitwise(f, reduce_and_p, of_truth=True),
    "logical_or": lambda f: _bitwise(f, reduce_or_p, of_truth=True),
    "logical_xor": lambda f: _bitwise(f, reduce_xor_p, of_truth=True),
}  # fmt: skip
