"""Reductions and cumulative functions: sums, extrema, moments, and their NaN-ignoring kin.

`axis` is None (all axes), an int or a sequence of ints; `where` leaves elements out, `initial`
joins in. Sums and products of booleans and of integers narrower than the default integer are
taken in the default integer; means of integers are floats; 16-bit floats accumulate in float32.
Results are never weakly typed. `out` must be None, as arrays are immutable.
"""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, concrete
from pullback.core.dtypes import DType
from pullback.core.errors import user_line
from pullback.core.trace import current
from pullback.core.types import Shape, broadcast_shapes, canonical_axes, canonical_axis
from pullback.lax import reductions as lax
from pullback.lax.arrangement import concatenate_p
from pullback.lax.cumulative import cumprod_p, cumsum_p
from pullback.lax.elementwise import div_p
from pullback.lax.family import size_as
from pullback.lax.selection import select
from pullback.lax.shape import broadcast_to, convert, reduce_sum_p, reshape_p, strong, transpose_p
from pullback.numpy import ufuncs as u
from pullback.numpy.conversion import asarray
from pullback.numpy.planned import planned
from pullback.numpy.promotion import along, array_like, here, promote_inexact

# ---- what all share ------------------------------------------------------------------------------


_ALL_AXES = [tuple(range(n)) for n in range(65)]  # NumPy has arrays of up to 64 axes


def reduced_axes(axis: Any, a: Array) -> Shape:
    """The argument `axis` of reductions of `a` as increasing numbers."""
    rank = len(a.shape)
    if axis.__class__ is int and -rank <= axis < rank:
        return (axis if axis >= 0 else axis + rank,)
    axes = canonical_axes(tuple(axis) if axis.__class__ is list else axis, rank)
    return axes if len(axes) < 2 else tuple(sorted(axes))


def _finish(out: Array, shape: Shape, axes: Shape, keepdims: bool) -> Array:
    """`out`, reduced from `shape` over `axes`, with those axes kept at length 1 if wanted."""
    if not keepdims or not axes:
        return out
    return reshape_p.bind(out, new_sizes=tuple(1 if i in axes else n for i, n in enumerate(shape)))


def mask(where: Any, name: str) -> Array:
    """The argument `where` of reductions as an Array. Raises ValueError unless it is boolean."""
    where = array_like(where, name)
    if where.dtype != dtypes.bool_:
        raise ValueError(f"{name}: `where` must be boolean, got dtype {dtypes.name(where.dtype)} at {user_line()}")
    return where


def reduced(
    name: str, primitive: Any, x: Array, axes: Shape, keepdims: bool, where: Any, identity: Any, initial: Any = None,
    join: Any = None,
) -> Array:  # fmt: skip
    """`x` reduced over `axes`, with `identity` where `where` is false, and joined with `initial`."""
    shape = x.shape
    if where is not None:
        where = mask(where, name)
        try:
            x = select(where, x, concrete(np.array(identity, x.dtype)))
        except ValueError:
            raise here(ValueError, f"{name}: `where` of shape {where.shape} does not broadcast to {shape}") from None
    out = primitive.bind(x, axes=axes)
    if initial is not None:
        first = array_like(initial, name)
        if first.shape:
            raise ValueError(
                f"{name}: `initial` must be a scalar, got an array of shape {first.shape} at {user_line()}"
            )
        out = join(convert(first, out.dtype), out)
    return _finish(out, shape, axes, keepdims)


def accumulator(dtype: DType) -> DType:
    """The dtype in which sums of `dtype` are taken: at least the default integer of its signedness."""
    kind = dtypes.kind(dtype)
    if kind not in "biu":
        return dtype
    default = dtypes.default_dtype(int)
    if kind == "u":
        default = np.dtype(f"u{default.itemsize}")
    return dtype if dtype.itemsize >= default.itemsize and kind != "b" else default


def _count(a: Array, axes: Shape) -> int:
    shape = a.shape
    return math.prod([shape[i] for i in axes])


def _count_as(dtype: DType, a: Array, axes: Shape) -> Array:
    """The number of elements of `a` along `axes`, as an array."""
    return size_as(dtype, _count(a, axes))


def filled(a: Array, missing: Array, fill: Any) -> Array:
    """`a` with the number `fill` where `missing`."""
    return select(missing, concrete(np.array(fill, a.dtype)), a)


def _ignoring_nan(name: str, plain: Any, fill: Any, nothing: Any, a: Any, *args: Any) -> Array:
    """`plain(a, *args)` with `fill` (or `fill(dtype)`) for NaNs, which leaves them out.

    Where there is nothing else, the result is `nothing`, if that is given: `args` then start with
    axis, out and keepdims.
    """
    a = array_like(a, name)
    if not dtypes.is_inexact(a.dtype):
        return plain(a, *args)
    missing = u.isnan(a)
    found = plain(filled(a, missing, fill(a.dtype) if callable(fill) else fill), *args)
    return found if nothing is None else filled(found, all(missing, args[0], keepdims=bool(args[2])), nothing)


# ---- sums, products, extrema, logic --------------------------------------------------------------


def sum(
    a: Any, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False, initial: Any = None, where: Any = None,
    promote_integers: bool = True,
) -> Array:  # fmt: skip
    """The sum of the elements along `axis` (None: all axes; a number, or several), in `dtype` if given.

    The result has the shape of `a` without these axes, or with length 1 there (`keepdims`). Booleans
    and integers narrower than the default integer are summed in that; `promote_integers=False` keeps
    their type. `initial`, a scalar, is added; `where`, a boolean array that broadcasts to `a`, says
    which elements count. The sum of nothing is 0. Raises ValueError for axes that are out of bounds or
    twice there, an `initial` that is no scalar, and a `where` that is not boolean or does not broadcast;
    TypeError for lists; NotImplementedError for an `out`. Source: `numpy.sum`.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([[1, 2, 3], [4, 5, 6]])
    >>> jnp.sum(x), jnp.sum(x, axis=0), jnp.sum(x, axis=1, keepdims=True).shape
    (Array(21, dtype=int32), Array([5, 7, 9], dtype=int32), (2, 1))
    >>> jnp.sum(x, where=x % 2 == 0, initial=100)
    Array(112, dtype=int32)
    """
    if dtype is None and initial is None and where is None and out is None and not keepdims:
        if isinstance(a, Array) and a.dtype.kind in "fc" and not a.weak_type:
            axes = _ALL_AXES[len(a.shape)] if axis is None else reduced_axes(axis, a)
            return current().process(reduce_sum_p, (a,), {"axes": axes})
    return _fold("sum", reduce_sum_p, u.add, 0, a, axis, dtype, out, keepdims, initial, where, promote_integers)


@planned
def prod(
    a: Any, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False, initial: Any = None, where: Any = None,
    promote_integers: bool = True,
) -> Array:  # fmt: skip
    """The product of the elements along `axis`, in `dtype` if given; of nothing 1.

    Arguments, dtypes and errors are as of `sum`. The derivative is right where elements are 0, too.
    Source: `numpy.prod`.

    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> jnp.prod(jnp.array([[1, 2, 3], [4, 5, 6]]), axis=1)
    Array([  6, 120], dtype=int32)
    >>> pb.grad(jnp.prod)(jnp.array([0.0, 2.0, 3.0]))
    Array([6., 0., 0.], dtype=float32)
    """
    in_bools = dtype is not None and dtypes.canonicalize_dtype(dtype) == dtypes.bool_
    primitive = lax.reduce_and_p if in_bools else lax.reduce_prod_p
    return _fold("prod", primitive, u.multiply, 1, a, axis, dtype, out, keepdims, initial, where, promote_integers)


def _fold(
    name: str, primitive: Any, join: Any, identity: int, a: Any, axis: Any, dtype: Any, out: Any, keepdims: bool,
    initial: Any, where: Any, promote_integers: bool,
) -> Array:  # fmt: skip
    u.no_out(name, out)
    a = array_like(a, name)
    axes = reduced_axes(axis, a)
    if dtype is not None:
        target = dtypes.canonicalize_dtype(dtype)
    else:
        target = accumulator(a.dtype) if promote_integers or a.dtype == dtypes.bool_ else a.dtype
    return reduced(name, primitive, convert(a, target), axes, keepdims, where, identity, initial, join)


@planned
def max(
    a: Any, axis: Any = None, out: None = None, keepdims: bool = False, initial: Any = None, where: Any = None
) -> Array:
    """The largest element along `axis`; NaN if there is one. Ties share the derivative equally.

    Of the dtype of `a`; axes, `keepdims` and other errors are as of `sum`. With `initial` the result is
    at least that. Raises ValueError for nothing to choose from: an empty axis, or `where` without
    `initial`. Complex numbers compare by real, then imaginary parts. Source: `numpy.max`.

    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> jnp.max(jnp.array([[1, 7], [5, 3]]), axis=0)
    Array([5, 7], dtype=int32)
    >>> pb.grad(jnp.max)(jnp.array([2.0, 5.0, 5.0]))
    Array([0. , 0.5, 0.5], dtype=float32)
    """
    return _extremum("max", lax.reduce_max_p, u.maximum, lax.lowest, a, axis, out, keepdims, initial, where)


@planned
def min(
    a: Any, axis: Any = None, out: None = None, keepdims: bool = False, initial: Any = None, where: Any = None
) -> Array:
    """The smallest element along `axis`; NaN if there is one. Arguments, ties and errors are as of `max`.

    Source: `numpy.min`.

    >>> import pullback.numpy as jnp
    >>> jnp.min(jnp.array([[1, 7], [5, 3]]), axis=1, keepdims=True)
    Array([[1],
           [3]], dtype=int32)
    >>> jnp.min(jnp.array([3.0, 7.0, -jnp.inf]), where=jnp.array([True, True, False]), initial=5.0)
    Array(3., dtype=float32)
    """
    return _extremum("min", lax.reduce_min_p, u.minimum, lax.highest, a, axis, out, keepdims, initial, where)


amax, amin = max, min


def minmax(
    a: Any, axis: Any = None, out: None = None, keepdims: bool = False, initial: Any = None, where: Any = None
) -> tuple[Array, Array]:
    """The smallest and the largest element along `axis`, as `min` and `max` give them.

    `initial`, if given, is one number for both, or a pair: what the minimum is at most, and what
    the maximum is at least. Raises ValueError as `min`, and if `initial` is no pair.

    >>> import pullback.numpy as jnp
    >>> minmax(jnp.array([3, 1, 2]))
    (Array(1, dtype=int32), Array(3, dtype=int32))
    """
    pair = initial if isinstance(initial, (tuple, list)) else (initial, initial)
    if len(pair) != 2:
        raise here(ValueError, f"minmax: initial must be a number or a pair of them, got {initial!r:.100}")
    a = array_like(a, "minmax")
    return min(a, axis, out, keepdims, pair[0], where), max(a, axis, out, keepdims, pair[1], where)


def _extremum(
    name: str,
    primitive: Any,
    join: Any,
    identity: Any,
    a: Any,
    axis: Any,
    out: Any,
    keepdims: bool,
    initial: Any,
    where: Any,
) -> Array:
    u.no_out(name, out)
    a = strong(array_like(a, name))
    axes = reduced_axes(axis, a)
    if initial is None:
        if where is not None:
            raise here(
                ValueError,
                f"reduction operation {name} does not have an identity, so to use a where mask one has to specify 'initial'",
            )
        if not a.size and 0 in [a.shape[i] for i in axes]:
            raise here(
                ValueError,
                f"zero-size array to reduction operation {name} which has no identity: shape {a.shape}, axis {axis}",
            )
        if not keepdims and where is None:
            return current().process(primitive, (a,), {"axes": axes})
    left_out = None if where is None else identity(a.dtype)
    return reduced(name, primitive, a, axes, keepdims, where, left_out, initial, join)


@planned
def any(a: Any, axis: Any = None, out: None = None, keepdims: bool = False, *, where: Any = None) -> Array:
    """Whether any element along `axis` is nonzero, NaN included; of nothing False.

    Boolean, of the shape of `a` without the axes. `axis`, `keepdims`, `where` and errors are as of
    `sum`. Source: `numpy.any`.

    >>> import pullback.numpy as jnp
    >>> jnp.any(jnp.array([[0, 0], [0, 3]]), axis=1)
    Array([False,  True], dtype=bool)
    """
    return _logic("any", lax.reduce_or_p, False, a, axis, out, keepdims, where)


@planned
def all(a: Any, axis: Any = None, out: None = None, keepdims: bool = False, *, where: Any = None) -> Array:
    """Whether all elements along `axis` are nonzero, as NaN is; of nothing True.

    Boolean, of the shape of `a` without the axes. `axis`, `keepdims`, `where` and errors are as of
    `sum`. Source: `numpy.all`.

    >>> import pullback.numpy as jnp
    >>> jnp.all(jnp.array([[0, 1], [2, 3]]), axis=1)
    Array([False,  True], dtype=bool)
    >>> jnp.all(jnp.array([]))
    Array(True, dtype=bool)
    """
    return _logic("all", lax.reduce_and_p, True, a, axis, out, keepdims, where)


def _logic(name: str, primitive: Any, identity: bool, a: Any, axis: Any, out: Any, keepdims: bool, where: Any) -> Array:
    u.no_out(name, out)
    a = array_like(a, name)
    axes = reduced_axes(axis, a)
    x = a if a.dtype == dtypes.bool_ else u.not_equal(a, 0)
    return reduced(name, primitive, x, axes, keepdims, where, identity)


@planned
def ptp(a: Any, axis: Any = None, out: None = None, keepdims: bool = False) -> Array:
    """Peak to peak: the largest less the smallest element along `axis`. Arguments and errors are as of `max`.

    Source: `numpy.ptp`.

    >>> import pullback.numpy as jnp
    >>> jnp.ptp(jnp.array([[1, 7], [5, 3]]), axis=1)
    Array([6, 2], dtype=int32)
    """
    a = array_like(a, "ptp")
    return u.subtract(max(a, axis, out, keepdims), min(a, axis, out, keepdims))


def count_nonzero(a: Any, axis: Any = None, keepdims: bool = False) -> Array:
    """The number of nonzero elements along `axis`, as default integers. `axis` and `keepdims` are as of `sum`.

    NaN is not zero. TypeError for lists. Source: `numpy.count_nonzero`.

    >>> import pullback.numpy as jnp
    >>> jnp.count_nonzero(jnp.array([[0.0, 1.5], [jnp.nan, 2.0]]), axis=1)
    Array([1, 2], dtype=int32)
    """
    return sum(u.not_equal(array_like(a, "count_nonzero"), 0), axis, dtypes.default_dtype(int), keepdims=keepdims)


@planned
def allclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Array:
    """Whether |a - b| <= atol + rtol·|b| for all elements, as a boolean scalar Array.

    Arguments, infinities, NaN and errors are as of `isclose`. Source: `numpy.allclose`.

    >>> import pullback.numpy as jnp
    >>> jnp.allclose(jnp.array([1.0, 1e-9]), jnp.array([1.000001, 0.0]))
    Array(True, dtype=bool)
    >>> jnp.allclose(1.0, 1.1), jnp.allclose(1.0, 1.1, rtol=0.1)
    (Array(False, dtype=bool), Array(True, dtype=bool))
    """
    a, b = array_like(a, "allclose"), array_like(b, "allclose")
    return all(u.isclose(a, b, rtol=rtol, atol=atol, equal_nan=equal_nan))


def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Array:
    """Whether two arrays (or lists) have one shape and equal elements, as a boolean scalar Array.

    NaN equals nothing, or, with `equal_nan`, itself. Source: `numpy.array_equal`.

    >>> import pullback.numpy as jnp
    >>> jnp.array_equal(jnp.array([1, 2]), [1.0, 2.0]), jnp.array_equal(jnp.ones(2), jnp.ones((1, 2)))
    (Array(True, dtype=bool), Array(False, dtype=bool))
    >>> jnp.array_equal(jnp.array([jnp.nan]), jnp.array([jnp.nan]), equal_nan=True)
    Array(True, dtype=bool)
    """
    a1, a2 = asarray(a1), asarray(a2)
    if a1.shape != a2.shape:
        return concrete(np.bool_(False))
    same = u.equal(a1, a2)
    return all(u.logical_or(same, u.logical_and(u.isnan(a1), u.isnan(a2))) if equal_nan else same)


def array_equiv(a1: Any, a2: Any) -> Array:
    """Whether two arrays (or lists) broadcast to equal ones, as a boolean scalar Array. Source: `numpy.array_equiv`.

    >>> import pullback.numpy as jnp
    >>> jnp.array_equiv([1, 2], [[1, 2], [1, 2]]), jnp.array_equiv([1, 2], [1, 2, 3])
    (Array(True, dtype=bool), Array(False, dtype=bool))
    """
    a1, a2 = asarray(a1), asarray(a2)
    try:
        broadcast_shapes(a1.shape, a2.shape)
    except ValueError:
        return concrete(np.bool_(False))
    return all(u.equal(a1, a2))


# ---- positions -----------------------------------------------------------------------------------


@planned
def argmax(a: Any, axis: int | None = None, out: None = None, keepdims: bool | None = None) -> Array:
    """The index of the first largest element along `axis` (of the flattened array, if None); NaN
    counts as largest.

    Default integers, of the shape of `a` without `axis`, or with length 1 there (`keepdims`). Raises
    ValueError for an empty axis and one that is out of bounds, TypeError for complex numbers and
    lists, NotImplementedError for an `out`. Source: `numpy.argmax`.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([[1, 7, 7], [5, 3, 4]])
    >>> jnp.argmax(x, axis=1), jnp.argmax(x)
    (Array([1, 0], dtype=int32), Array(1, dtype=int32))
    """
    return _position("argmax", lax.argmax_p, a, axis, out, keepdims)


@planned
def argmin(a: Any, axis: int | None = None, out: None = None, keepdims: bool | None = None) -> Array:
    """The index of the first smallest element along `axis`; NaN counts as smallest.

    Arguments, results and errors are as of `argmax`. Source: `numpy.argmin`.

    >>> import pullback.numpy as jnp
    >>> jnp.argmin(jnp.array([[1, 7, 7], [5, 3, 4]]), axis=1)
    Array([0, 1], dtype=int32)
    >>> jnp.argmin(jnp.array([2.0, jnp.nan, 1.0]))
    Array(1, dtype=int32)
    """
    return _position("argmin", lax.argmin_p, a, axis, out, keepdims)


def _position(name: str, primitive: Any, a: Any, axis: Any, out: Any, keepdims: bool | None) -> Array:
    u.no_out(name, out)
    a = array_like(a, name)
    if dtypes.is_complex(a.dtype):
        raise here(TypeError, f"{name} does not accept dtype {dtypes.name(a.dtype)}: complex numbers have no order")
    x, i = along(a, axis)
    axes = tuple(range(len(a.shape))) if axis is None else (i,)
    if not x.shape[i]:
        raise here(ValueError, f"attempt to get {name} of an empty sequence: axis {axis} of shape {a.shape}")
    result = primitive.bind(x, axes=(i,), index_dtype=dtypes.default_dtype(int))
    return _finish(result, a.shape, axes, bool(keepdims))


def nanargmax(a: Any, axis: int | None = None, out: None = None, keepdims: bool | None = None) -> Array:
    """The index of the first largest element along `axis` that is not NaN; -1 if all are.

    Arguments, results and errors are as of `argmax`. NumPy's `nanargmax` raises ValueError if all are NaN.

    >>> import pullback.numpy as jnp
    >>> jnp.nanargmax(jnp.array([[1.0, jnp.nan, 3.0], [jnp.nan, jnp.nan, jnp.nan]]), axis=1)
    Array([ 2, -1], dtype=int32)
    """
    return _ignoring_nan("nanargmax", argmax, lax.lowest, -1, a, axis, out, keepdims)


def nanargmin(a: Any, axis: int | None = None, out: None = None, keepdims: bool | None = None) -> Array:
    """The index of the first smallest element along `axis` that is not NaN; -1 if all are.

    Arguments, results and errors are as of `argmin`. NumPy's `nanargmin` raises ValueError if all are NaN.

    >>> import pullback.numpy as jnp
    >>> jnp.nanargmin(jnp.array([[jnp.nan, 2.0, 1.0], [jnp.nan, jnp.nan, jnp.nan]]), axis=1)
    Array([ 2, -1], dtype=int32)
    """
    return _ignoring_nan("nanargmin", argmin, lax.highest, -1, a, axis, out, keepdims)


# ---- moments -------------------------------------------------------------------------------------


def _mean_dtype(name: str, a: Array, dtype: Any) -> tuple[DType, DType]:
    """Result dtype of a mean, and the dtype to compute in. Raises TypeError for means that are to
    be booleans."""
    if dtype is not None and dtypes.canonicalize_dtype(dtype) == dtypes.bool_:
        raise here(TypeError, f"{name}: dtype must be a type of numbers, got bool")
    result = dtypes.to_inexact(a.dtype) if dtype is None else dtypes.canonicalize_dtype(dtype)
    compute = dtypes.to_inexact(result)
    if dtypes.is_complex(a.dtype):
        compute = dtypes.to_complex(compute)
    if compute.itemsize < 4:
        compute = dtypes.float32
    return result, compute


@planned
def mean(
    a: Any, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False, *, where: Any = None
) -> Array:
    """The mean of the elements along `axis`; NaN of nothing. Integers give floats unless `dtype`
    says otherwise.

    16-bit floats are summed in float32. `axis`, `keepdims`, `where` and errors are as of `sum`;
    TypeError if `dtype` is bool. Source: `numpy.mean`.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([[1, 2], [3, 6]])
    >>> jnp.mean(x), jnp.mean(x, axis=0), jnp.mean(x, where=x > 1).round(4)
    (Array(3., dtype=float32), Array([2., 4.], dtype=float32), Array(3.6667, dtype=float32))
    """
    u.no_out("mean", out)
    a = array_like(a, "mean")
    axes = reduced_axes(axis, a)
    if dtype is None and where is None and not keepdims:
        if a.dtype.kind in "fc" and a.dtype.itemsize >= 4 and not a.weak_type:
            process = current().process
            total = process(reduce_sum_p, (a,), {"axes": axes})
            return process(div_p, (total, _count_as(a.dtype, a, axes)), {})
    result, compute = _mean_dtype("mean", a, dtype)
    x = convert(a, compute)
    if where is None:
        value = u.divide(reduce_sum_p.bind(x, axes=axes), _count_as(compute, a, axes))
    else:
        where = _mask_of("mean", a, where)
        value = u.divide(sum(x, axes, where=where), convert(_count_where(axes, where), compute))
    return _finish(convert(value, result), a.shape, axes, keepdims)


def _mask_of(name: str, a: Array, where: Any) -> Array:
    """`where` in the shape of `a`, so that what is counted is what is summed. Raises ValueError if
    it has another one."""
    where = mask(where, name)
    if not fits(where.shape, a.shape):
        raise here(ValueError, f"{name}: `where` of shape {where.shape} does not broadcast to {a.shape}")
    return broadcast_to(where, a.shape)


def fits(shape: Shape, onto: Shape) -> bool:
    """Whether `shape` broadcasts to `onto`, and makes it no larger."""
    return len(shape) <= len(onto) and builtins.all(n in (1, m) for n, m in zip(reversed(shape), reversed(onto)))


def _count_where(axes: Shape, where: Array) -> Array:
    return sum(where, axes, dtypes.default_dtype(int))


@planned
def var(
    a: Any, axis: Any = None, dtype: Any = None, out: None = None, ddof: int = 0, keepdims: bool = False, *, where: Any = None,
    mean: Any = None, correction: int | float | None = None,
) -> Array:  # fmt: skip
    """The variance of the elements along `axis`, normalized by their number less `ddof` (or
    `correction`); NaN if that is not positive.

    Of complex numbers the mean of |a - mean|², which is real. `mean`, if given, is taken for the mean:
    of the shape that `keepdims` gives. Axes, `where`, dtypes and other errors are as of `mean`. Raises
    ValueError for both `ddof` and `correction`, and for a real `dtype` of complex numbers; TypeError
    for a `mean` that does not broadcast to `a`. Source: `numpy.var`; Bessel's correction is `ddof=1`.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([[1.0, 3.0], [2.0, 8.0]])
    >>> jnp.var(x, axis=1), jnp.var(x, axis=1, ddof=1)
    (Array([1., 9.], dtype=float32), Array([ 2., 18.], dtype=float32))
    """
    u.no_out("var", out)
    return _variance("var", array_like(a, "var"), axis, dtype, ddof, keepdims, where, mean, correction)


@planned
def std(
    a: Any, axis: Any = None, dtype: Any = None, out: None = None, ddof: int = 0, keepdims: bool = False, *, where: Any = None,
    mean: Any = None, correction: int | float | None = None,
) -> Array:  # fmt: skip
    """The standard deviation of the elements along `axis`: the square root of `var`, whose
    arguments these are.

    ValueError for a `dtype` that is neither floating nor complex; other errors are as of `var`. Where
    all elements are equal it has no derivative, and the gradient is NaN. Source: `numpy.std`.

    >>> import pullback.numpy as jnp
    >>> jnp.std(jnp.array([[1.0, 3.0], [2.0, 8.0]]), axis=1)
    Array([1., 3.], dtype=float32)
    """
    u.no_out("std", out)
    if dtype is not None and not dtypes.is_inexact(dtypes.canonicalize_dtype(dtype)):
        raise here(ValueError, f"dtype argument to std must be inexact; got {dtype}")
    return u.sqrt(_variance("std", array_like(a, "std"), axis, dtype, ddof, keepdims, where, mean, correction))


_mean = mean  # `mean` is an argument of the functions around here


def _variance(
    name: str, a: Array, axis: Any, dtype: Any, ddof: Any, keepdims: bool, where: Any, mean: Any, correction: Any
) -> Array:
    if correction is not None:
        if not (ddof.__class__ is int and ddof == 0):
            raise here(
                ValueError, f"{name}: ddof and correction can't be provided simultaneously", ": they are one thing"
            )
        ddof = correction
    axes = reduced_axes(axis, a)
    if dtype is not None and dtypes.is_complex(a.dtype) and not dtypes.is_complex(dtypes.canonicalize_dtype(dtype)):
        raise here(ValueError, f"{name} does not take a real dtype, {dtype}, for an array of complex values {a.aval}")
    result, compute = _mean_dtype(name, a, dtype)
    if dtype is None:
        result = dtypes.to_real(result)
    x = convert(a, compute)
    where = None if where is None else _mask_of(name, a, where)
    center = _mean(x, axes, keepdims=True, where=where) if mean is None else convert(array_like(mean, name), compute)
    if not fits(center.shape, x.shape):
        raise here(TypeError, f"{name}: `mean` of shape {center.shape} does not broadcast to {x.shape}")
    centered = u.subtract(x, center)
    squares = (
        u.square(centered)
        if not dtypes.is_complex(compute)
        else u.add(u.square(u.real(centered)), u.square(u.imag(centered)))
    )
    count: Any = _count(a, axes) if where is None else _count_where(axes, where)
    normalizer = u.subtract(convert(array_like(count, name), squares.dtype), ddof)
    total = sum(squares, axes, where=where)
    positive = u.greater(normalizer, 0)
    value = u.divide(total, select(positive, normalizer, concrete(np.array(math.nan, normalizer.dtype))))
    return _finish(convert(value, result), a.shape, axes, keepdims)


@planned
def average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, keepdims: bool = False) -> Any:
    """The mean of `a` along `axis`, weighted by `weights` (of the shape of `a`, or of its axes
    `axis`).

    The result is floating or complex, of the shape of `a` without the axes (with `keepdims`, of
    length 1 there). With `returned`, also the sum of the weights, of that shape. Where weights sum to 0
    it is infinite or NaN. Raises ValueError if shapes do not match, TypeError for lists. Source:
    `numpy.average`.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([[1.0, 3.0], [2.0, 8.0]])
    >>> jnp.average(x, axis=1, weights=jnp.array([3, 1]))
    Array([1.5, 3.5], dtype=float32)
    >>> jnp.average(jnp.array([1.0, 3.0]), weights=jnp.array([3, 1]), returned=True)
    (Array(1.5, dtype=float32), Array(4., dtype=float32))
    """
    a = array_like(a, "average")
    axes = reduced_axes(axis, a)
    if weights is None:
        value = mean(a, axes, keepdims=keepdims)
        total = broadcast_to(_count_as(value.dtype, a, axes), value.shape)
        return (value, total) if returned else value
    a, weights = promote_inexact("average", a, weights)
    if weights.shape != a.shape:
        if axis is None:
            raise here(
                ValueError, f"Axis must be specified when shapes of a and weights differ: {a.shape}, {weights.shape}"
            )
        # The weights' axes come in the order of `axis`.
        given = canonical_axes(tuple(axis) if axis.__class__ is list else axis, len(a.shape))
        if weights.shape != tuple(a.shape[i] for i in given):
            raise here(
                ValueError,
                f"Shape of weights must be consistent with shape of a along specified axis: got {weights.shape}, a {a.shape}, "
                f"axis {axis}",
            )
        if given != axes:
            weights = transpose_p.bind(weights, permutation=tuple(given.index(i) for i in axes))
        weights = reshape_p.bind(weights, new_sizes=tuple(n if i in axes else 1 for i, n in enumerate(a.shape)))
    total = sum(broadcast_to(weights, a.shape), axes, keepdims=keepdims)
    value = u.divide(sum(u.multiply(a, weights), axes, keepdims=keepdims), total)
    return (value, total) if returned else value


# ---- ignoring NaN --------------------------------------------------------------------------------


@planned
def nansum(
    a: Any, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False, initial: Any = None, where: Any = None,
) -> Array:  # fmt: skip
    """The sum of the elements along `axis` that are not NaN. It is 0 if all are.

    Arguments, dtypes and errors are as of `sum`. Source: `numpy.nansum`.

    >>> import pullback.numpy as jnp
    >>> jnp.nansum(jnp.array([[1.0, jnp.nan, 3.0], [jnp.nan, jnp.nan, jnp.nan]]), axis=1)
    Array([4., 0.], dtype=float32)
    """
    return _ignoring_nan("nansum", sum, 0, None, a, axis, dtype, out, keepdims, initial, where)


def nanprod(
    a: Any, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False, initial: Any = None, where: Any = None,
) -> Array:  # fmt: skip
    """The product of the elements along `axis` that are not NaN. It is 1 if all are.

    Arguments, dtypes and errors are as of `prod`. Source: `numpy.nanprod`.

    >>> import pullback.numpy as jnp
    >>> jnp.nanprod(jnp.array([[1.0, jnp.nan, 3.0], [jnp.nan, jnp.nan, jnp.nan]]), axis=1)
    Array([3., 1.], dtype=float32)
    """
    return _ignoring_nan("nanprod", prod, 1, None, a, axis, dtype, out, keepdims, initial, where)


def nanmax(
    a: Any, axis: Any = None, out: None = None, keepdims: bool = False, initial: Any = None, where: Any = None
) -> Array:
    """The largest element along `axis` that is not NaN; NaN if all are.

    Arguments, dtypes and errors are as of `max`. Source: `numpy.nanmax`.

    >>> import pullback.numpy as jnp
    >>> jnp.nanmax(jnp.array([[1.0, jnp.nan, 3.0], [jnp.nan, jnp.nan, jnp.nan]]), axis=1)
    Array([ 3., nan], dtype=float32)
    """
    nothing = math.nan if initial is None else None
    return _ignoring_nan("nanmax", max, lax.lowest, nothing, a, axis, out, keepdims, initial, where)


def nanmin(
    a: Any, axis: Any = None, out: None = None, keepdims: bool = False, initial: Any = None, where: Any = None
) -> Array:
    """The smallest element along `axis` that is not NaN; NaN if all are.

    Arguments, dtypes and errors are as of `min`. Source: `numpy.nanmin`.

    >>> import pullback.numpy as jnp
    >>> jnp.nanmin(jnp.array([[1.0, jnp.nan, 3.0], [jnp.nan, jnp.nan, jnp.nan]]), axis=1)
    Array([ 1., nan], dtype=float32)
    """
    nothing = math.nan if initial is None else None
    return _ignoring_nan("nanmin", min, lax.highest, nothing, a, axis, out, keepdims, initial, where)


@planned
def nanmean(
    a: Any, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False, where: Any = None
) -> Array:
    """The mean of the elements along `axis` that are not NaN; NaN of nothing.

    Arguments, dtypes and errors are as of `mean`. Source: `numpy.nanmean`.

    >>> import pullback.numpy as jnp
    >>> jnp.nanmean(jnp.array([[1.0, jnp.nan, 3.0], [jnp.nan, jnp.nan, jnp.nan]]), axis=1)
    Array([ 2., nan], dtype=float32)
    """
    a = array_like(a, "nanmean")
    if not dtypes.is_inexact(a.dtype):
        return mean(a, axis, dtype, out, keepdims, where=where)
    present = u.logical_not(u.isnan(a))
    return mean(a, axis, dtype, out, keepdims, where=present if where is None else u.logical_and(present, where))


def nanvar(
    a: Any, axis: Any = None, dtype: Any = None, out: None = None, ddof: int = 0, keepdims: bool = False, where: Any = None,
    mean: Any = None,
) -> Array:  # fmt: skip
    """The variance of the elements along `axis` that are not NaN; NaN of nothing.

    Arguments, dtypes and errors are as of `var`, but there is no `correction`. Source: `numpy.nanvar`.

    >>> import pullback.numpy as jnp
    >>> jnp.nanvar(jnp.array([[1.0, jnp.nan, 3.0], [jnp.nan, jnp.nan, jnp.nan]]), axis=1)
    Array([ 1., nan], dtype=float32)
    """
    u.no_out("nanvar", out)
    a = array_like(a, "nanvar")
    present = u.logical_not(u.isnan(a))
    where = present if where is None else u.logical_and(present, where)
    return _variance(
        "nanvar", _ignoring_nan("nanvar", u.positive, 0, None, a), axis, dtype, ddof, keepdims, where, mean, None
    )


def nanstd(
    a: Any, axis: Any = None, dtype: Any = None, out: None = None, ddof: int = 0, keepdims: bool = False, where: Any = None,
    mean: Any = None,
) -> Array:  # fmt: skip
    """The standard deviation of the elements along `axis` that are not NaN; NaN of nothing.

    Arguments, dtypes and errors are as of `std`, but there is no `correction`. Source: `numpy.nanstd`.

    >>> import pullback.numpy as jnp
    >>> jnp.nanstd(jnp.array([[1.0, jnp.nan, 3.0], [jnp.nan, jnp.nan, jnp.nan]]), axis=1)
    Array([ 1., nan], dtype=float32)
    """
    return u.sqrt(nanvar(array_like(a, "nanstd"), axis, dtype, out, ddof, keepdims, where, mean))


# ---- cumulative ----------------------------------------------------------------------------------


def _cumulative(name: str, primitive: Any, a: Any, axis: Any, dtype: Any, out: Any) -> Array:
    u.no_out(name, out)
    a = array_like(a, name)
    a, axis = along(a, axis)
    target = a.dtype if dtype is None else dtypes.canonicalize_dtype(dtype)
    if target != dtypes.bool_:
        return primitive.bind(convert(a, target), axis=axis, reverse=False)
    # Of booleans: how many are true, or, asked for as booleans, whether any is (or all are).
    counts = primitive.bind(convert(convert(a, target), dtypes.default_dtype(int)), axis=axis, reverse=False)
    return counts if dtype is None else convert(counts, target)


@planned
def cumsum(a: Any, axis: int | None = None, dtype: Any = None, out: None = None) -> Array:
    """The sums of all prefixes along `axis` (of the flattened array, if None). Booleans count as
    integers.

    Of the shape of `a` (flattened, if `axis` is None) and its dtype, or `dtype`: integers that are
    narrower than the default one stay so, as they do not in NumPy. ValueError for an axis that is out
    of bounds, TypeError for lists, NotImplementedError for an `out`. Source: `numpy.cumsum`.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([[1, 2, 3], [4, 5, 6]])
    >>> jnp.cumsum(x, axis=1)
    Array([[ 1,  3,  6],
           [ 4,  9, 15]], dtype=int32)
    >>> jnp.cumsum(x)
    Array([ 1,  3,  6, 10, 15, 21], dtype=int32)
    """
    return _cumulative("cumsum", cumsum_p, a, axis, dtype, out)


@planned
def cumprod(a: Any, axis: int | None = None, dtype: Any = None, out: None = None) -> Array:
    """The products of all prefixes along `axis` (of the flattened array, if None).

    Arguments, dtypes and errors are as of `cumsum`. The derivative is right where elements are 0, too.
    Source: `numpy.cumprod`.

    >>> import pullback.numpy as jnp
    >>> jnp.cumprod(jnp.array([[1, 2, 3], [4, 5, 6]]), axis=1)
    Array([[  1,   2,   6],
           [  4,  20, 120]], dtype=int32)
    """
    return _cumulative("cumprod", cumprod_p, a, axis, dtype, out)


def nancumsum(a: Any, axis: int | None = None, dtype: Any = None, out: None = None) -> Array:
    """`cumsum` with NaN as 0. Arguments, dtypes and errors are as there. Source: `numpy.nancumsum`.

    >>> import pullback.numpy as jnp
    >>> jnp.nancumsum(jnp.array([1.0, jnp.nan, 3.0]))
    Array([1., 1., 4.], dtype=float32)
    """
    return _ignoring_nan("nancumsum", cumsum, 0, None, a, axis, dtype, out)


def nancumprod(a: Any, axis: int | None = None, dtype: Any = None, out: None = None) -> Array:
    """`cumprod` with NaN as 1. Arguments, dtypes and errors are as there. Source: `numpy.nancumprod`.

    >>> import pullback.numpy as jnp
    >>> jnp.nancumprod(jnp.array([2.0, jnp.nan, 3.0]))
    Array([2., 2., 6.], dtype=float32)
    """
    return _ignoring_nan("nancumprod", cumprod, 1, None, a, axis, dtype, out)


def cumulative_sum(x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Array:
    """The sums of all prefixes along `axis`, which may be left out for one-dimensional arrays only.

    With `include_initial`, that of the empty prefix, 0, comes first, so that `axis` is longer by 1; else
    the shape is that of `x`. Integers are summed in the default integer, unless `dtype` is given.
    Raises ValueError for scalars, or if an axis is needed or out of bounds; TypeError for lists.
    Source: the array API standard, `cumulative_sum`.

    >>> import pullback.numpy as jnp
    >>> jnp.cumulative_sum(jnp.array([1, 2, 3]), include_initial=True)
    Array([0, 1, 3, 6], dtype=int32)
    """
    return _standard_cumulative("cumulative_sum", cumsum_p, 0, x, axis, dtype, include_initial)


def cumulative_prod(x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Array:
    """The products of all prefixes along `axis`; with `include_initial`, 1 comes first.

    Arguments, dtypes and errors are as of `cumulative_sum`. Source: the array API standard,
    `cumulative_prod`.

    >>> import pullback.numpy as jnp
    >>> jnp.cumulative_prod(jnp.array([1, 2, 3]), include_initial=True)
    Array([1, 1, 2, 6], dtype=int32)
    """
    return _standard_cumulative("cumulative_prod", cumprod_p, 1, x, axis, dtype, include_initial)


def _standard_cumulative(
    name: str, primitive: Any, initial: int, x: Any, axis: Any, dtype: Any, include_initial: bool
) -> Array:
    x = array_like(x, name)
    if not x.shape:
        raise here(ValueError, f"{name} takes arrays of at least one axis, got a scalar")
    if axis is None and len(x.shape) > 1:
        raise here(ValueError, f"{name} of an array of shape {x.shape} needs an axis: it is optional for one axis only")
    axis = canonical_axis(0 if axis is None else axis, len(x.shape))
    if dtype is None and dtypes.is_integer(x.dtype) and not x.weak_type:
        dtype = dtypes.canonicalize(dtypes.int64 if dtypes.kind(x.dtype) == "i" else dtypes.uint64)
    out = _cumulative(name, primitive, x, axis, dtype, None)
    if not include_initial:
        return out
    first = broadcast_to(concrete(np.array(initial, out.dtype)), (*x.shape[:axis], 1, *x.shape[axis + 1 :]))
    return concatenate_p.bind(first, out, dimension=axis)


__all__ = ["all", "amax", "amin", "any", "argmax", "argmin", "average", "count_nonzero", "cumprod", "cumsum"]
__all__ += ["cumulative_prod", "cumulative_sum", "max", "mean", "min", "minmax", "nanargmax", "nanargmin", "nancumprod"]
__all__ += ["nancumsum", "nanmax", "nanmean", "nanmin", "nanprod", "nanstd", "nansum", "nanvar", "prod", "ptp"]
__all__ += ["std", "sum", "var", "allclose", "array_equal", "array_equiv"]
