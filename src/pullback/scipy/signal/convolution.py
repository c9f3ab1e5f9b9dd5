"""Convolutions and correlations: by sums of products, or by Fourier transforms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import pullback.numpy as jnp
from pullback.core import dtypes
from pullback.core.array import Array
from pullback.core.errors import user_api
from pullback.core.types import Shape, canonical_axes
from pullback.lax.arrangement import rev_p, slice_in_dim
from pullback.lax.precision import check_precision
from pullback.lax.shape import convert
from pullback.lax.summation import is_narrow
from pullback.numpy.planned import planned
from pullback.numpy.promotion import array_like, here, promote_inexact
from pullback.numpy.signal import direct_convolution

_MODES = ("full", "same", "valid")
_BOUNDARIES = {"fill": "constant", "wrap": "wrap", "symm": "symmetric"}


@user_api
@planned
def convolve(in1: Any, in2: Any, mode: str = "full", method: str = "auto", precision: Any = None) -> Array:
    """The convolution of two arrays with the same number of axes, along all of them.

    `mode` is "full" (wherever they overlap: lengths n + m - 1), "same" (the middle of that, with
    the shape of `in1`) or "valid" (where the smaller one lies within the larger one). `method`
    "direct", which "auto" is, adds products, in float64 if they are float32 and narrower; "fft" is
    `fftconvolve`, quicker for two long operands, whose errors are relative to the largest result,
    and in which one NaN makes all of them NaN. Integers become floats. Linear in each operand.

    Raises ValueError for other modes and methods, different numbers of axes, empty arrays, and in
    mode "valid" if none is as large as the other along every axis. `precision` is one of
    `lax.Precision`, and changes nothing here.

    >>> import pullback.numpy as jnp
    >>> convolve(jnp.array([1.0, 2.0, 3.0]), jnp.array([0.0, 1.0, 0.5]), mode="same")
    Array([1. , 2.5, 4. ], dtype=float32)
    """
    a, b = _operands("convolve", in1, in2, mode)
    return _convolved("convolve", a, b, mode, method, precision)


@user_api
@planned
def correlate(in1: Any, in2: Any, mode: str = "full", method: str = "auto", precision: Any = None) -> Array:
    """The cross-correlation Σ_n in1[n + k] conj(in2[n]), for all k at which they overlap.

    That is the convolution of `in1` with the conjugate of `in2` turned round along every axis; see
    `convolve` for the arguments, and what is raised. Entry m - 1 of the result is k = 0, for `in2`
    of length m.

    >>> import pullback.numpy as jnp
    >>> correlate(jnp.array([1.0, 2.0, 4.0]), jnp.array([1.0, 2.0]))
    Array([ 2.,  5., 10.,  4.], dtype=float32)
    """
    a, b = _operands("correlate", in1, in2, mode)
    return _convolved("correlate", a, _turned(b), mode, method, precision)


@user_api
@planned
def convolve2d(
    in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0, precision: Any = None
) -> Array:
    """The convolution of two matrices.

    `boundary` says what is around `in1`: `fillvalue` ("fill"), `in1` again ("wrap"), or its mirror
    image at the border ("symm"). For the other arguments, and what is raised, see `convolve`; other
    boundaries, and arrays that are no matrices, are ValueErrors.

    >>> import pullback.numpy as jnp
    >>> convolve2d(jnp.eye(2), jnp.array([[1.0, 2.0]]))
    Array([[1., 2., 0.],
           [0., 1., 2.]], dtype=float32)
    """
    a, b = _operands("convolve2d", in1, in2, mode, 2)
    return _within("convolve2d", a, b, mode, 0, boundary, fillvalue, precision)


@user_api
@planned
def correlate2d(
    in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0, precision: Any = None
) -> Array:
    """The cross-correlation of two matrices, as `correlate` has it.

    For the arguments, and what is raised, see `convolve2d`. For an `in2` of even length m, "same"
    has k = 0 at m / 2 here, as in SciPy; in `correlate`, it is one before.

    >>> import pullback.numpy as jnp
    >>> correlate2d(jnp.eye(2), jnp.array([[1.0, 2.0]]), boundary="wrap", mode="same")
    Array([[1., 2.],
           [2., 1.]], dtype=float32)
    """
    a, b = _operands("correlate2d", in1, in2, mode, 2)
    return _within("correlate2d", a, _turned(b), mode, 1, boundary, fillvalue, precision)


@user_api
@planned
def fftconvolve(in1: Any, in2: Any, mode: str = "full", axes: int | Sequence[int] | None = None) -> Array:
    """The convolution along `axes` (all) by Fourier transforms, in time n log n.

    Along the other axes, the arrays broadcast. Modes and dtypes are those of `convolve`; floats of
    16 bits are transformed as float32. Errors are relative to the largest results. Of an empty
    array, the result is zero wherever there is one. Raises ValueError for other modes, different
    numbers of axes, shapes that do not broadcast, and axes that are not there, or twice.

    >>> import pullback.numpy as jnp
    >>> fftconvolve(jnp.array([1.0, 2.0, 3.0]), jnp.array([0.0, 1.0])).round(4)
    Array([0., 1., 2., 3.], dtype=float32)
    """
    a, b = promote_inexact("fftconvolve", in1, in2)
    _check_ranks("fftconvolve", a, b)
    along = canonical_axes(axes, len(a.shape))
    _check_mode("fftconvolve", a, b, mode, along)
    return _by_fft("fftconvolve", a, b, mode, along)


def _operands(name: str, in1: Any, in2: Any, mode: str, rank: int | None = None) -> list[Array]:
    a, b = promote_inexact(name, in1, in2)
    _check_ranks(name, a, b)
    if rank is not None and len(a.shape) != rank:
        raise here(ValueError, f"{name} is for arrays of {rank} axes, got shapes {a.shape} and {b.shape}")
    if 0 in (*a.shape, *b.shape):
        raise here(ValueError, f"{name}: the arrays must not be empty, got shapes {a.shape} and {b.shape}")
    _check_mode(name, a, b, mode, range(len(a.shape)))
    return [a, b]


def _check_ranks(name: str, a: Array, b: Array) -> None:
    if len(a.shape) != len(b.shape):
        raise here(ValueError, f"{name}: in1 and in2 must have as many axes, got shapes {a.shape} and {b.shape}")


def _check_mode(name: str, a: Array, b: Array, mode: str, axes: Sequence[int]) -> None:
    if mode not in _MODES:
        raise here(ValueError, f"{name}: mode must be one of {', '.join(_MODES)}, got {mode!r:.100}")
    longer = {a.shape[i] > b.shape[i] for i in axes if a.shape[i] != b.shape[i]}
    if mode == "valid" and len(longer) > 1:
        raise here(
            ValueError,
            f"{name}: in mode valid, one array must be at least as large as the other along every axis, got shapes {a.shape} and "
            f"{b.shape}",
        )


def _part(n: int, m: int, mode: str, before: int = 0) -> tuple[int, int]:
    """Where in the full convolution of `n` and `m` elements the part begins that `mode` asks for,
    and its length. `before` is 1 where the middle of an even number is the later one."""
    if mode == "full":
        return 0, n + m - 1
    if mode == "same":
        return (m - 1 + before) // 2, n
    return min(n, m) - 1, abs(n - m) + 1


def _turned(x: Array) -> Array:
    """The conjugate of `x`, turned round along every axis."""
    return rev_p.bind(jnp.conj(x), dimensions=tuple(range(len(x.shape))))


def _convolved(name: str, a: Array, b: Array, mode: str, method: str, precision: Any) -> Array:
    check_precision(name, precision)
    if method == "fft":
        return _by_fft(name, a, b, mode, tuple(range(len(a.shape))))
    if method not in ("auto", "direct"):
        raise here(ValueError, f"{name}: method must be 'auto', 'fft' or 'direct', got {method!r:.100}")
    return direct_convolution(a, b, [_part(n, m, mode) for n, m in zip(a.shape, b.shape)], precision)


def _within(
    name: str, a: Array, b: Array, mode: str, before: int, boundary: str, fillvalue: Any, precision: Any
) -> Array:
    """The convolution of two matrices, the first of which has surroundings."""
    check_precision(name, precision)
    if boundary not in _BOUNDARIES:
        raise here(ValueError, f"{name}: boundary must be one of {', '.join(_BOUNDARIES)}, got {boundary!r:.100}")
    parts = [_part(n, m, mode, before) for n, m in zip(a.shape, b.shape)]
    is_zero = not isinstance(fillvalue, Array) and np.ndim(fillvalue) == 0 and fillvalue == 0
    if mode == "valid" or (boundary == "fill" and is_zero):
        return direct_convolution(a, b, parts, precision)
    pads = [(m - 1 - first, first + length - n) for n, m, (first, length) in zip(a.shape, b.shape, parts)]
    value = {}
    if boundary == "fill":
        fill = array_like(fillvalue, name)
        if fill.shape or (dtypes.is_complex(fill.dtype) and not dtypes.is_complex(a.dtype)):
            raise here(
                TypeError, f"{name}: fillvalue must be a number that {dtypes.name(a.dtype)} has, got {fill.aval}"
            )
        value = {"constant_values": fill}
    a = jnp.pad(a, pads, mode=_BOUNDARIES[boundary], **value)
    return direct_convolution(a, b, [(m - 1, length) for m, (_, length) in zip(b.shape, parts)], precision)


def _by_fft(name: str, a: Array, b: Array, mode: str, axes: Shape) -> Array:
    dtype, weak = a.dtype, a.weak_type
    parts = {i: _part(a.shape[i], b.shape[i], mode) for i in axes}
    shape = []
    for i, (n, m) in enumerate(zip(a.shape, b.shape)):
        if i not in parts and n != m and 1 not in (n, m):
            raise here(
                ValueError,
                f"{name}: along the axes other than {axes} the arrays must have the same lengths, or broadcast, got shapes {a.shape} "
                f"and {b.shape}",
            )
        if 0 in (n, m):
            shape.append(0 if i not in parts or mode == "valid" else max(parts[i][1], 0))
        else:
            shape.append(parts[i][1] if i in parts else max(n, m))
    if 0 in (*a.shape, *b.shape):
        return convert(jnp.zeros(shape, dtype), dtype, weak)
    # Along axes with one element only, convolving is multiplying.
    along = [i for i in axes if 1 not in (a.shape[i], b.shape[i])]
    if along:
        from scipy.fft import next_fast_len

        a, b = (not_narrow(x) for x in (a, b))
        is_real = not dtypes.is_complex(dtype)
        lengths = [next_fast_len(a.shape[i] + b.shape[i] - 1, is_real) for i in along]
        forward, back = (jnp.fft.rfftn, jnp.fft.irfftn) if is_real else (jnp.fft.fftn, jnp.fft.ifftn)
        out = back(forward(a, lengths, along) * forward(b, lengths, along), lengths, along)
    else:
        out = a * b
    for i, (first, length) in parts.items():
        if (first, length) != (0, out.shape[i]):
            out = slice_in_dim(out, first, first + length, axis=i)
    return convert(out, dtype, weak)


def not_narrow(x: Array) -> Array:
    """`x` in a type that there are transforms of."""
    return convert(x, dtypes.float32) if is_narrow(x.dtype) else x
