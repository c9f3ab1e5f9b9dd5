"""Functions of whole axes: softmax, sums of exponentials, standardization, one-hot encoding.

Exponentials are taken after subtracting the largest element, which no derivative sees: the results
do not depend on what is subtracted.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, ConcreteArray, concrete
from pullback.core.trace import current
from pullback.core.types import Shape, canonical_axes, canonical_axis, integer
from pullback.lax.creation import iota_p
from pullback.lax.elementwise import max_p, min_p, rsqrt_p
from pullback.lax.family import like
from pullback.lax.gradient import stop_gradient_p
from pullback.lax.reductions import reduce_max_p
from pullback.lax.selection import select
from pullback.lax.shape import broadcast_to, convert, reduce_sum_p, reshape_p
from pullback.lax.summation import lowest
from pullback.numpy import ufuncs as u
from pullback.numpy.conversion import asarray
from pullback.numpy.planned import planned
from pullback.numpy.promotion import array_like, here, inexact, promote, promote_inexact
from pullback.numpy.reductions import mask
from pullback.numpy.reductions import mean as reduce_mean
from pullback.numpy.reductions import sum as reduce_sum


def _fill(value: Any, x: Array) -> ConcreteArray:
    return concrete(np.array(value, x.dtype))


def _reduced(primitive: Any, x: Array, axes: Shape) -> Array:
    """`x` reduced over `axes`, which stay with length 1."""
    process = current().process
    kept = tuple([1 if i in axes else n for i, n in enumerate(x.shape)])
    return process(reshape_p, (process(primitive, (x,), {"axes": axes}),), {"new_sizes": kept})


def _largest(x: Array, axes: Shape) -> Array:
    """The largest elements along `axes`, as constants to differentiation."""
    return _reduced(reduce_max_p, stop_gradient_p.bind(x), axes)


def _shifted(x: Array, axes: Shape, where: Any) -> Array:
    """`x` without its largest elements, so that no exponential overflows."""
    return u.subtract(x, (_largest if where is None else _largest_or_finite)(x, axes))


def _largest_or_finite(x: Array, axes: Shape) -> Array:
    """The largest elements, but at least the lowest finite number: where nothing counts, all are
    -inf."""
    return max_p.bind(_largest(x, axes), _fill(float(dtypes.finfo(x.dtype).min), x))


def _prepared(name: str, x: Any, axis: Any, where: Any) -> tuple[Array, Shape]:
    x = inexact(x if where is None else promote(name, x, -math.inf)[0], name, weak=False)
    if where is not None:
        x = select(mask(where, name), x, _fill(lowest(x.dtype), x))
    return x, canonical_axes(axis, len(x.shape))  # those of what `x` and `where` broadcast to


@planned
def softmax(x: Any, axis: Any = -1, where: Any = None) -> Array:
    """exp(x) normalized so that its sum along `axis` (an int, several, or None for all) is 1; 0
    where `where` is false. Of the shape of `x`, in a floating dtype.

    >>> x = np.log(np.array([1.0, 2.0, 5.0]))
    >>> softmax(x).round(3), softmax(x, where=np.array([True, True, False])).round(3)
    (Array([0.125, 0.25 , 0.625], dtype=float32), Array([0.333, 0.667, 0.   ], dtype=float32))
    """
    x, axes = _prepared("softmax", x, axis, where)
    weights = u.exp(_shifted(x, axes, where))
    total = _reduced(reduce_sum_p, weights, axes)
    if where is None:
        return u.divide(weights, total)
    where = array_like(where, "softmax")
    safe = select(u.equal(total, 0), _fill(1, total), total)
    return select(where, u.divide(weights, safe), _fill(0, x))


@planned
def log_softmax(x: Any, axis: Any = -1, where: Any = None) -> Array:
    """log(softmax(x)) along `axis` (an int, several, or None for all), without underflow; -inf where
    `where` is false. Of the shape of `x`, in a floating dtype.

    >>> log_softmax(np.array([0.0, 1000.0])).tolist()
    [-1000.0, 0.0]
    """
    x, axes = _prepared("log_softmax", x, axis, where)
    shifted = _shifted(x, axes, where)
    out = u.subtract(shifted, u.log(_reduced(reduce_sum_p, u.exp(shifted), axes)))
    return out if where is None else select(array_like(where, "log_softmax"), out, _fill(-math.inf, x))


@planned
def logsumexp(
    a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: bool = False, where: Any = None
) -> Any:
    """log(sum(b·exp(a))) along `axis`, without overflow; elements where `where` is false or `b` is
    0 do not count.

    With `return_sign`, (log|sum|, its sign), which makes negative sums possible (they are NaN
    without it); the sign of a complex sum is a complex number of size 1.

    >>> round(float(logsumexp(np.array([1000.0, 1000.0]))), 3)
    1000.693
    """
    if b is None:
        a = inexact(a, "logsumexp")
    else:
        a, b = promote_inexact("logsumexp", a, b)
        # 0·exp(inf) would be NaN.
        a = select(u.not_equal(b, 0), a, _fill(lowest(a.dtype), a))
    if where is not None:
        a = select(mask(where, "logsumexp"), a, _fill(lowest(a.dtype), a))
    axes = canonical_axes(axis, len(a.shape))  # those of what the operands broadcast to
    # A finite number is subtracted: exp(inf - inf) would be NaN.
    size = u.real(a)
    shift = min_p.bind(_largest_or_finite(size, axes), _fill(float(dtypes.finfo(size.dtype).max), size))
    terms = u.exp(u.subtract(a, shift))
    if b is not None:
        terms = u.multiply(b, terms)
    total = _reduced(reduce_sum_p, terms, axes)
    if not keepdims:
        kept = tuple([n for i, n in enumerate(a.shape) if i not in axes])
        total, shift = (reshape_p.bind(x, new_sizes=kept) for x in (total, shift))
    if return_sign:
        sign = u.sign(total)
        return u.add(u.log(u.absolute(total)), shift), sign
    return u.add(u.log(total), shift)


@planned
def logmeanexp(x: Any, axis: Any = None, where: Any = None, keepdims: bool = False) -> Array:
    """log(mean(exp(x))) along `axis` (an int, several, or None for all), without overflow, of the
    elements where `where` is true.

    >>> float(logmeanexp(np.array([1000.0, 1000.0])))
    1000.0
    """
    total = logsumexp(x, axis, keepdims=keepdims, where=where)
    x = array_like(x, "logmeanexp")
    if where is None:
        count: Any = math.prod(x.shape[i] for i in canonical_axes(axis, len(x.shape)))
        return u.subtract(total, u.log(like(count, total)))
    ones = select(array_like(where, "logmeanexp"), broadcast_to(_fill(1, total), x.shape), _fill(0, total))
    return u.subtract(total, u.log(reduce_sum(ones, axis, keepdims=keepdims)))


@planned
def standardize(
    x: Any,
    axis: Any = -1,
    mean: Any = None,
    variance: Any = None,
    epsilon: Any = 1e-5,
    where: Any = None,
    *,
    algorithm: str = "fast",
) -> Array:
    """(x - mean) / √(variance + epsilon), with mean and variance along `axis` if they are not
    given.

    The variance of what has a given mean is mean(x²) - mean² by the algorithm "fast", but not less
    than 0, and mean((x - mean)²) by "stable". For the mean of `x` itself both are the same, and
    taken from the deviations: a difference of squares has no right digit if the mean is large.
    Raises ValueError for other algorithms.

    >>> standardize(np.array([1.0, 2.0, 3.0]), epsilon=0).round(3)
    Array([-1.225,  0.   ,  1.225], dtype=float32)
    """
    if algorithm not in ("fast", "stable"):
        raise ValueError(f"Unknown algorithm {algorithm!r}. Expected 'fast' or 'stable'.")
    x = array_like(x, "standardize")
    if mean is None or variance is None:
        x = inexact(x, "standardize")
    # The squares of half of all float16 are infinite or 0, and differences from a mean of 8 bits
    # are not those from the mean.
    wide = convert(x, dtypes.float32) if x.dtype.itemsize < 4 else x
    if variance is None:
        own = reduce_mean(wide, axis, keepdims=True, where=where)
        center = mean if mean is not None and algorithm == "stable" else own
        deviation = u.subtract(wide, center)
        variance = reduce_mean(_squared(deviation), axis, keepdims=True, where=where)
        if mean is None:
            out = u.multiply(deviation, rsqrt_p.bind(inexact(u.add(variance, epsilon), "standardize")))
            return out if wide is x else convert(out, dtypes.promotion(x, epsilon)[0])
        if algorithm == "fast":
            variance = u.add(variance, u.real(u.multiply(u.subtract(own, mean), u.conj(u.add(own, mean)))))
            variance = max_p.bind(variance, _fill(0, variance))
        variance = convert(variance, dtypes.to_real(x.dtype))
    elif mean is None:
        mean = reduce_mean(x, axis, keepdims=True, where=where)
    return u.multiply(u.subtract(x, mean), rsqrt_p.bind(inexact(u.add(variance, epsilon), "standardize")))


def _squared(x: Array) -> Array:
    return u.square(u.absolute(x) if dtypes.is_complex(x.dtype) else x)


def one_hot(x: Any, num_classes: int, *, dtype: Any = None, axis: Any = -1) -> Array:
    """Vectors along a new `axis` of length `num_classes`, 1 at the positions `x` and 0 elsewhere
    (everywhere, if out of range).

    `x` has any shape and any dtype; numbers that are not whole are at no position. `axis` may be
    the name of a mapped axis of length `num_classes`: each slice then has the element of its
    number. The result is of `dtype`, by default the default float. Raises TypeError for a negative
    number of classes, ValueError for an axis out of range or of another length, NameError for a
    name that no axis has.

    >>> one_hot(np.array([0, 2]), 3).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    x = asarray(x)
    num_classes = integer(num_classes, "one_hot: num_classes")
    if num_classes < 0:
        raise here(TypeError, f"one_hot: num_classes must not be negative, got {num_classes}")
    dtype = dtypes.default_dtype(float) if dtype is None else dtypes.canonicalize_dtype(dtype)
    if not hasattr(axis, "__index__"):
        names = axis if isinstance(axis, tuple) else (axis,)
        if not names or not all(isinstance(name, str) for name in names):
            raise here(TypeError, f"one_hot: axis must be an integer or the name of a mapped axis, got {axis!r:.100}")
        from pullback.lax.collectives import axis_index, axis_size

        if axis_size(axis) != num_classes:
            raise here(
                ValueError, f"one_hot: axis {axis!r} must have length num_classes={num_classes}, got {axis_size(axis)}"
            )
        return convert(u.equal(x, axis_index(axis)), dtype)
    if dtypes.is_integer(x.dtype) and x.dtype.itemsize < 4:  # with classes beyond its range
        x = convert(x, dtypes.int32)
    axis = canonical_axis(axis, len(x.shape) + 1)
    positions = reshape_p.bind(x, new_sizes=(*x.shape[:axis], 1, *x.shape[axis:]))
    # Counted in the program: a constant of theirs would be read from memory.
    shape = (num_classes, *(1,) * (len(x.shape) - axis))
    classes = iota_p.bind(dtype=dtypes.default_dtype(int), shape=shape, dimension=0)
    return convert(u.equal(positions, classes), dtype)


__all__ = ["log_softmax", "logmeanexp", "logsumexp", "one_hot", "softmax", "standardize"]
