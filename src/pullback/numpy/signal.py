"""Sequences of samples: differences, integrals, interpolation, convolution, phase unwrapping,
windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, concrete
from pullback.core.types import canonical_axes, canonical_axis, count
from pullback.lax.arrangement import rev, slice_in_dim
from pullback.lax.convolution import conv_general_dilated
from pullback.lax.precision import check_precision
from pullback.lax.selection import select
from pullback.lax.shape import broadcast_to, convert, move_axis, reshape_p
from pullback.numpy import arithmetic
from pullback.numpy import ufuncs as u
from pullback.numpy.joining import concatenate
from pullback.numpy.planned import planned
from pullback.numpy.promotion import array_like, here, inexact, promote, promote_inexact
from pullback.numpy.reductions import cumsum, sum
from pullback.numpy.selecting import take
from pullback.numpy.sorting import argsort, searchsorted
from pullback.xla.devices import placed

# ---- differences and integrals -------------------------------------------------------------------


@planned
def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Array:
    """The `n`-th differences of neighbours along `axis`, which becomes shorter by n; for booleans,
    whether they differ.

    `prepend` and `append` are values put at the ends first: scalars, or arrays that fit. Raises
    ValueError for scalars and negative `n`.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([1, 3, 6, 10])
    >>> jnp.diff(x), jnp.diff(x, 2), jnp.diff(x, prepend=0)
    (Array([2, 3, 4], dtype=int32), Array([1, 1], dtype=int32), Array([1, 2, 3, 4], dtype=int32))
    """
    a = array_like(a, "diff")
    if n < 0:
        raise ValueError(f"order must be non-negative but got {n}")
    if not a.shape:
        raise here(ValueError, f"diff requires input that is at least one dimensional; got {a.aval}")
    axis = canonical_axis(axis, len(a.shape))
    parts = [part if part is a else _edge(part, a, axis) for part in (prepend, a, append) if part is not None]
    if len(parts) > 1 and n:
        a = concatenate(promote("diff", *parts), axis)
    subtract = u.not_equal if a.dtype == dtypes.bool_ else u.subtract
    for _ in range(n):
        length = a.shape[axis]
        after, before = (
            slice_in_dim(a, min(1, length), None, axis=axis),
            slice_in_dim(a, 0, max(length - 1, 0), axis=axis),
        )
        a = subtract(after, before)
    return a


def _edge(part: Any, a: Array, axis: int) -> Array:
    part = array_like(part, "diff")
    return part if part.shape else broadcast_to(part, (*a.shape[:axis], 1, *a.shape[axis + 1 :]))


def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Array:
    """The differences of neighbours in the flattened array, between `to_begin` and `to_end` (taken
    in its dtype).

    The result has one axis, and the dtype of `ary`. Raises TypeError for what is no array.

    >>> import pullback.numpy as jnp
    >>> jnp.ediff1d(jnp.array([[1, 3], [6, 10]]), to_end=jnp.array([0, 99]))
    Array([ 2,  3,  4,  0, 99], dtype=int32)
    """
    ary = array_like(ary, "ediff1d")
    flat = reshape_p.bind(ary, new_sizes=(ary.size,))
    parts = [diff(flat)]
    for given, position in ((to_begin, 0), (to_end, 2)):
        if given is not None:
            edge = convert(array_like(given, "ediff1d"), ary.dtype)
            parts.insert(position, reshape_p.bind(edge, new_sizes=(edge.size,)))
    return parts[0] if len(parts) == 1 else concatenate(parts)


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Array:
    """The integral of samples `y` along `axis` by the trapezoidal rule, taken at `x` or `dx` apart:
    the shape without `axis`, in floating point.

    `x` has one axis, or broadcasts to `y`. Raises TypeError for shapes that do not fit.

    >>> import pullback.numpy as jnp
    >>> jnp.trapezoid(jnp.array([1.0, 2.0, 3.0]))
    Array(4., dtype=float32)
    >>> x = jnp.array([0.0, 1.0, 3.0])
    >>> jnp.trapezoid(x**2, x)
    Array(10.5, dtype=float32)
    """
    if x is None:
        y, dx = promote_inexact("trapezoid", inexact(y, "trapezoid"), dx)
        y = move_axis(y, canonical_axis(axis, len(y.shape)), len(y.shape) - 1)
    else:
        y, x = promote_inexact("trapezoid", y, x)
        if len(x.shape) == 1:
            dx = diff(x)
        else:
            dx = diff(move_axis(x, canonical_axis(axis, len(x.shape)), len(x.shape) - 1))
        y = move_axis(y, canonical_axis(axis, len(y.shape)), len(y.shape) - 1)
    return u.multiply(sum(u.multiply(dx, u.add(y[..., 1:], y[..., :-1])), -1), 0.5)


@planned
def gradient(f: Any, *varargs: Any, axis: int | Sequence[int] | None = None, edge_order: int | None = None) -> Any:
    """Central differences of samples `f` along each axis (or `axis`), one-sided at the ends: an
    array of the shape of `f`, or a list of them.

    `varargs` are the distances of the samples: one number for all axes, or one for each, or arrays
    of coordinates. Integers give floats. Raises ValueError for fewer than two samples, TypeError
    for a wrong number of distances, NotImplementedError for `edge_order`.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([0.0, 1.0, 2.0, 4.0])
    >>> jnp.gradient(x**2, x)
    Array([1., 2., 4., 6.], dtype=float32)
    >>> jnp.gradient(jnp.array([[1.0, 2.0], [4.0, 8.0]]), 0.5, axis=0)
    Array([[ 6., 12.],
           [ 6., 12.]], dtype=float32)
    """
    if edge_order is not None:
        raise here(NotImplementedError, "gradient: edge_order is not supported", "; the ends take first differences")
    f, *spacings = promote_inexact("gradient", f, *varargs)
    axes = canonical_axes(axis, len(f.shape))
    if not axes and not isinstance(axis, tuple):
        return []
    if len(spacings) == 0:
        spacings = [concrete(np.array(1, f.dtype), f.weak_type)] * len(axes)
    elif len(spacings) == 1:
        spacings = spacings * len(axes)
    elif len(spacings) != len(axes):
        raise here(TypeError, f"Invalid number of spacing arguments {len(spacings)} for {axis=}")
    results = [_gradient_along(f, h, i) for h, i in zip(spacings, axes)]
    return results[0] if len(results) == 1 else results


def _gradient_along(f: Array, h: Array, axis: int) -> Array:
    n = f.shape[axis]
    if n < 2:
        raise here(
            ValueError,
            f"Shape of array too small to calculate a numerical gradient, at least 2 elements are required: shape {f.shape}, axis "
            f"{axis}",
        )
    if len(h.shape) > 1 or (h.shape and h.shape[0] != n):
        raise here(ValueError, f"gradient: the coordinates along axis {axis} must have shape ({n},), got {h.shape}")

    def part(start: int, stop: int) -> Array:
        return slice_in_dim(f, start, stop, axis=axis)

    if not h.shape:
        first = u.divide(u.subtract(part(1, 2), part(0, 1)), h)
        last = u.divide(u.subtract(part(n - 1, n), part(n - 2, n - 1)), h)
        inner = u.divide(u.subtract(part(2, n), part(0, n - 2)), u.multiply(h, 2))
        return concatenate([first, inner, last], axis)
    # Unequal steps a and b before and after a sample: the derivative of the parabola through it and
    # its neighbours is the mean of the slopes on both sides, each weighted by the step on the other
    # side.
    shape = tuple(n - 1 if i == axis else 1 for i in range(len(f.shape)))
    steps = reshape_p.bind(diff(h), new_sizes=shape)
    slopes = u.divide(diff(f, axis=axis), steps)
    before, after = slice_in_dim(steps, 0, n - 2, axis=axis), slice_in_dim(steps, 1, n - 1, axis=axis)
    left, right = slice_in_dim(slopes, 0, n - 2, axis=axis), slice_in_dim(slopes, 1, n - 1, axis=axis)
    inner = u.divide(u.add(u.multiply(after, left), u.multiply(before, right)), u.add(before, after))
    first, last = slice_in_dim(slopes, 0, 1, axis=axis), slice_in_dim(slopes, n - 2, n - 1, axis=axis)
    return concatenate([first, inner, last], axis)


def unwrap(p: Any, discont: Any = None, axis: int = -1, period: Any = 2 * math.pi) -> Array:
    """`p` with jumps along `axis` of at least `discont` (by default half a period) made smaller by
    adding multiples of `period`.

    The shape stays; the dtype is that of `p` and `period` together. Raises ValueError for complex
    numbers.

    >>> import pullback.numpy as jnp
    >>> jnp.unwrap(jnp.array([170, 350, 10, 30]), period=360)
    Array([170, 350, 370, 390], dtype=int32)
    """
    p, period = promote("unwrap", p, period)
    if dtypes.is_complex(p.dtype):
        raise here(ValueError, f"unwrap does not support complex inputs, got {p.aval.str_short()}")
    axis = canonical_axis(axis, len(p.shape))
    if p.shape[axis] == 0:
        return p
    steps = diff(p, axis=axis)
    if dtypes.is_integer(p.dtype):
        half, odd = arithmetic.divmod(period, 2)
        is_ambiguous = u.equal(odd, 0)
    else:
        half = u.divide(period, 2)
        is_ambiguous = concrete(np.bool_(True))
    wrapped = u.subtract(arithmetic.mod(u.add(steps, half), period), half)
    # A jump of exactly half a period keeps its direction.
    at_border = u.logical_and(u.logical_and(u.equal(wrapped, u.negative(half)), u.greater(steps, 0)), is_ambiguous)
    correction = u.subtract(select(at_border, half, wrapped), steps)
    small = u.less(u.absolute(steps), half if discont is None else discont)
    correction = select(small, concrete(np.zeros((), correction.dtype)), correction)
    moved = u.add(slice_in_dim(p, 1, None, axis=axis), cumsum(correction, axis))
    return concatenate([slice_in_dim(p, 0, 1, axis=axis), moved], axis)


# ---- interpolation -------------------------------------------------------------------------------


@planned
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Array:
    """The piecewise linear function with values `fp` at the increasing points `xp`, at `x`: of the
    shape of `x`, in floating point.

    Outside it is fp[0] and fp[-1], or `left` and `right` (values, or "extrapolate"). With `period`,
    it repeats. Raises ValueError unless `xp` and `fp` are vectors of one length, and for complex
    points.

    >>> import pullback.numpy as jnp
    >>> xp, fp = jnp.array([0.0, 1.0, 3.0]), jnp.array([0.0, 10.0, 20.0])
    >>> jnp.interp(jnp.array([0.5, 2.0, 4.0]), xp, fp)
    Array([ 5., 15., 20.], dtype=float32)
    >>> jnp.interp(4.0, xp, fp, right="extrapolate")
    Array(25., dtype=float32)
    """
    x, xp = promote_inexact("interp", x, xp)
    fp = inexact(fp, "interp")
    if dtypes.is_complex(fp.dtype):
        fp = promote("interp", fp, x, xp)[0]
        if not dtypes.is_complex(x.dtype):
            x, xp = (convert(v, dtypes.to_real(fp.dtype), fp.weak_type) for v in (x, xp))
    else:
        x, xp, fp = promote("interp", x, xp, fp)
    if len(xp.shape) != 1 or xp.shape != fp.shape:
        raise here(
            ValueError, f"xp and fp must be one-dimensional arrays of equal size, got shapes {xp.shape} and {fp.shape}"
        )
    if dtypes.is_complex(x.dtype):
        raise here(ValueError, f"interp: complex points x and xp are not supported, got {x.aval}")
    for name, side in (("left", left), ("right", right)):
        if isinstance(side, str) and side != "extrapolate":
            raise ValueError(f"the only valid string value of `{name}` is 'extrapolate', but got: {side!r}")
    if period is not None:
        period = u.absolute(convert(array_like(period, "interp"), x.dtype, x.weak_type))
        x, xp = arithmetic.mod(x, period), arithmetic.mod(xp, period)
        order = argsort(xp)
        xp, fp = take(xp, order), take(fp, order)
        xp = concatenate([xp[-1:] - period, xp, xp[:1] + period])
        fp = concatenate([fp[-1:], fp, fp[:1]])
        left = right = None
    n = xp.shape[0]
    i = u.minimum(u.maximum(searchsorted(xp, x, side="right"), 1), n - 1) if n > 1 else searchsorted(xp, x) * 0
    before = u.subtract(i, 1) if n > 1 else i
    x0, f0 = take(xp, before), take(fp, before)
    dx, df = u.subtract(take(xp, i), x0), u.subtract(take(fp, i), f0)
    same = u.equal(dx, 0)
    slope = u.divide(df, select(same, concrete(np.ones((), dx.dtype), dx.weak_type), dx))
    value = select(same, f0, u.add(f0, u.multiply(u.subtract(x, x0), slope)))
    for side, outside, end in ((left, u.less(x, xp[0]), 0), (right, u.greater(x, xp[-1]), -1)):
        if side is None:
            value = select(outside, fp[end], value)
        elif not isinstance(side, str):
            value = select(outside, convert(array_like(side, "interp"), value.dtype, value.weak_type), value)
    return value


# ---- convolution ---------------------------------------------------------------------------------


@planned
def convolve(a: Any, v: Any, mode: str = "full", *, precision: Any = None, preferred_element_type: Any = None) -> Array:
    """The discrete convolution of two sequences, Σ_n a[n] v[k - n]; integers give floats, unless
    `preferred_element_type` says otherwise.

    Of n and m elements, `mode` gives "full" (all overlaps: n + m - 1), "same" (as long as the
    longer one) or "valid" (complete overlaps: |n - m| + 1). Raises ValueError for other modes,
    several axes, and empty sequences.

    >>> import pullback.numpy as jnp
    >>> x, kernel = jnp.array([1.0, 2.0, 3.0]), jnp.array([0.0, 1.0, 0.5])
    >>> jnp.convolve(x, kernel)
    Array([0. , 1. , 2.5, 4. , 1.5], dtype=float32)
    >>> jnp.convolve(x, kernel, mode="same")
    Array([1. , 2.5, 4. ], dtype=float32)
    """
    check_precision("convolve", precision)
    a, v = _sequences("convolve", a, v, mode, preferred_element_type)
    short = min(a.shape[0], v.shape[0])
    return _overlaps(a, v, mode, (short - 1) // 2, precision)


def correlate(
    a: Any, v: Any, mode: str = "valid", *, precision: Any = None, preferred_element_type: Any = None
) -> Array:
    """The cross-correlation of two sequences, Σ_n a[n + k] conj(v[n]). See `convolve` for `mode`,
    dtypes and errors.

    >>> import pullback.numpy as jnp
    >>> jnp.correlate(jnp.array([0.0, 1.0, 2.0, 1.0]), jnp.array([1.0, 2.0]))
    Array([2., 5., 4.], dtype=float32)
    """
    check_precision("correlate", precision)
    a, v = _sequences("correlate", a, v, mode, preferred_element_type)
    short = min(a.shape[0], v.shape[0])
    start = short // 2 if a.shape[0] < v.shape[0] else (short - 1) // 2
    return _overlaps(a, rev(u.conjugate(v), (0,)), mode, start, precision)


def _sequences(name: str, a: Any, v: Any, mode: str, element_type: Any) -> tuple[Array, Array]:
    if mode not in ("full", "same", "valid"):
        raise ValueError(f"mode must be one of ['full', 'same', 'valid'], got {mode!r}")
    a, v = promote_inexact(name, a, v) if element_type is None else promote(name, a, v)
    if element_type is not None:
        a, v = (convert(x, dtypes.canonicalize_dtype(element_type)) for x in (a, v))
    if len(a.shape) != 1 or len(v.shape) != 1:
        raise here(ValueError, f"{name}() only support 1-dimensional inputs, got shapes {a.shape} and {v.shape}")
    if not a.shape[0] or not v.shape[0]:
        raise here(ValueError, f"{name}: inputs cannot be empty, got shapes {a.shape} and {v.shape}")
    return a, v


def _overlaps(a: Array, v: Array, mode: str, same_start: int, precision: Any) -> Array:
    """The part of the full convolution of `a` and `v` that `mode` asks for."""
    if a.shape[0] < v.shape[0]:
        a, v = v, a
    n, m = a.shape[0], v.shape[0]
    part = {"full": (0, n + m - 1), "same": (same_start, n), "valid": (m - 1, n - m + 1)}[mode]
    return direct_convolution(a, v, [part], precision)


def direct_convolution(a: Array, v: Array, parts: Sequence[tuple[int, int]], precision: Any) -> Array:
    """Of the full convolution of two arrays the part that begins, along each axis, at the first number of that
    axis's pair, and has the second one's length: sums of products."""
    if not a.shape:
        return a * v
    if a.size < v.size:
        a, v = v, a
    kernel = rev(v, range(len(v.shape)))
    # Before its first element, a has as many zeros as the kernel has elements before its last one.
    pads = [(m - 1 - first, first + length - n) for n, m, (first, length) in zip(a.shape, v.shape, parts)]
    a, kernel = (reshape_p.bind(x, new_sizes=(1, 1, *x.shape)) for x in (a, kernel))
    out = conv_general_dilated(a, kernel, (1,) * len(pads), pads, precision=precision)
    return reshape_p.bind(out, new_sizes=tuple(out.shape[2:]))


# ---- windows -------------------------------------------------------------------------------------


def _window(values: Any) -> Array:
    return placed(concrete(np.asarray(values).astype(dtypes.default_dtype(float))))


def _points(name: str, M: Any) -> int:
    """How many points a window has. Raises TypeError for what is no number, or negative."""
    if isinstance(M, (float, np.floating, np.bool_)) and abs(M) < 2**31:
        M = int(M)
    return count(M, f"{name}: M, the number of points,")


def bartlett(M: int) -> Array:
    """The triangular window of `M` points that is zero at its ends: 1 - |2k / (M - 1) - 1|, k = 0,
    ..., M - 1. The dtype is the default float.

    Raises TypeError for an `M` that is negative, or no number.

    Source: M. Bartlett, "Periodogram analysis and continuous spectra" (1950).

    >>> import pullback.numpy as jnp
    >>> jnp.bartlett(5)
    Array([0. , 0.5, 1. , 0.5, 0. ], dtype=float32)
    """
    return _window(np.bartlett(_points("bartlett", M)))


def blackman(M: int) -> Array:
    """The Blackman window of `M` points: 0.42 - 0.5 cos(2πk / (M - 1)) + 0.08 cos(4πk / (M - 1)).
    The dtype is the default float.

    Raises TypeError for an `M` that is negative, or no number.

    Source: R. Blackman and J. Tukey, "The Measurement of Power Spectra" (1958).

    >>> import pullback.numpy as jnp
    >>> jnp.blackman(5).round(3) + 0.0
    Array([0.  , 0.34, 1.  , 0.34, 0.  ], dtype=float32)
    """
    return _window(np.blackman(_points("blackman", M)))


def hamming(M: int) -> Array:
    """The Hamming window of `M` points: 0.54 - 0.46 cos(2πk / (M - 1)). The dtype is the default
    float.

    Raises TypeError for an `M` that is negative, or no number.

    Source: R. Blackman and J. Tukey, "The Measurement of Power Spectra" (1958).

    >>> import pullback.numpy as jnp
    >>> jnp.hamming(5).round(3)
    Array([0.08, 0.54, 1.  , 0.54, 0.08], dtype=float32)
    """
    return _window(np.hamming(_points("hamming", M)))


def hanning(M: int) -> Array:
    """The Hann window of `M` points: 0.5 - 0.5 cos(2πk / (M - 1)). The dtype is the default float.

    Raises TypeError for an `M` that is negative, or no number.

    Source: R. Blackman and J. Tukey, "The Measurement of Power Spectra" (1958).

    >>> import pullback.numpy as jnp
    >>> jnp.hanning(5)
    Array([0. , 0.5, 1. , 0.5, 0. ], dtype=float32)
    """
    return _window(np.hanning(_points("hanning", M)))


def kaiser(M: int, beta: Any) -> Array:
    """The Kaiser window of `M` points with shape parameter `beta`, in which it is differentiable:
    I0(β √(1 - (2k / (M - 1) - 1)²)) / I0(β).

    With `beta` 0 it is a rectangle; larger ones make it narrower. Raises TypeError for an `M` that
    is negative, or no number.

    Source: J. Kaiser, "Nonrecursive digital filter design using the I0-sinh window function"
    (1974).

    >>> import pullback.numpy as jnp
    >>> jnp.kaiser(5, 0.0), jnp.kaiser(5, 14.0).round(3)
    (Array([1., 1., 1., 1., 1.], dtype=float32), Array([0.   , 0.165, 1.   , 0.165, 0.   ], dtype=float32))
    """
    M = _points("kaiser", M)
    if M <= 1:
        return _window(np.ones(M))
    half = (M - 1) / 2
    profile = _window(np.sqrt(1 - ((np.arange(M) - half) / half) ** 2))
    return u.divide(arithmetic.i0(u.multiply(profile, beta)), arithmetic.i0(beta))


__all__ = ["bartlett", "blackman", "convolve", "correlate", "diff", "ediff1d", "gradient", "hamming", "hanning"]
__all__ += ["interp", "kaiser", "trapezoid", "unwrap"]
