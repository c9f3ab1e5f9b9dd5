"""numpy.fft: discrete Fourier transforms of any axes, with NumPy's normalizations."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, as_array
from pullback.core.dimensions import Dim
from pullback.core.errors import user_line
from pullback.core.types import Shape, canonical_axis, integer, integers
from pullback.lax.arrangement import pad_p, slice_in_dim
from pullback.lax.elementwise import conj_p, pow_p
from pullback.lax.family import like, mul_p, size_as
from pullback.lax.fourier import FftType, fft_p
from pullback.lax.shape import convert, transpose_p
from pullback.numpy.creation import zeros
from pullback.numpy.promotion import array_like, here
from pullback.numpy.rearranging import roll
from pullback.xla.devices import placed

_NORMS = (None, "backward", "ortho", "forward")


def _scaled(out: Any, norm: str | None, size: int, inverse: bool) -> Any:
    """`out` of a transform without (forward) or with (inverse) the factor 1/n, in the normalization
    asked for."""
    if norm in (None, "backward"):
        return out
    power = {("ortho", False): -0.5, ("forward", False): -1.0, ("ortho", True): 0.5, ("forward", True): 1.0}
    factor = power[norm, inverse]
    if size.__class__ is Dim:
        real = dtypes.to_real(out.dtype)
        return mul_p.bind(convert(pow_p.bind(size_as(real, size), size_as(real, factor)), out.dtype), out)
    return mul_p.bind(like(float(size) ** factor, out), out)


def _axes(name: str, x: Array, s: Any, axes: Any) -> tuple[Shape | None, Shape]:
    if axes is None:
        count = x.ndim if s is None else len(tuple(s))
        axes = tuple(range(x.ndim - count, x.ndim))
    axes = tuple(canonical_axis(a, x.ndim) for a in axes)
    if len(set(axes)) != len(axes):
        raise ValueError(f"{name} does not support repeated axes. Got axes {axes}.")
    if s is not None:
        s = integers(s, f"{name}: n" if name in _OF_ONE else f"{name}: s")
        if len(s) != len(axes):
            raise ValueError(f"{name} requires s and axes of one length; got {s} and {axes}")
        if any(n < 1 for n in s):
            raise ValueError(f"Shape should be non-negative and positive; got s={s}")
    return s, axes


_OF_ONE = frozenset(["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])


def _resized(x: Any, axis: int, n: int) -> Any:
    """`x` cut or padded with zeros to length `n` along `axis`."""
    if x.shape[axis] > n:
        return slice_in_dim(x, 0, n, 1, axis)
    if x.shape[axis] < n:
        config = [(0, 0, 0)] * x.ndim
        config[axis] = (0, n - x.shape[axis], 0)
        return pad_p.bind(x, like(0, x), padding_config=tuple(config))
    return x


def _transform(name: str, kind: FftType, a: Any, s: Any, axes: Any, norm: str | None) -> Array:
    x = array_like(a, name)
    if norm not in _NORMS:
        raise ValueError(f'{name}: norm must be "backward", "ortho" or "forward", got {norm!r}')
    s, axes = _axes(name, x, s, axes)
    real = kind == FftType.RFFT
    if real and dtypes.is_complex(x.dtype):
        raise ValueError(f"{name} requires real-valued input; got {dtypes.name(x.dtype)}")
    x = convert(x, dtypes.to_inexact(x.dtype) if real else dtypes.to_complex(dtypes.to_inexact(x.dtype)))
    if not axes:
        return x
    if s is None:
        lengths = tuple(x.shape[a] for a in axes)
        if kind == FftType.IRFFT:
            lengths = (*lengths[:-1], max(2 * (lengths[-1] - 1), 0))
    else:
        lengths = s
    if real and not lengths[-1]:  # the first half of nothing would still be one number
        raise ValueError(f"{name}: invalid number of data points {lengths} for axes {axes} of shape {x.shape}")
    if 0 in lengths:
        # Of nothing: there is nothing to transform, and no factor to scale it by.
        sizes = list(x.shape)
        for axis, n in zip(axes, lengths):
            sizes[axis] = n // 2 + 1 if real and axis == axes[-1] else n
        return zeros(sizes, dtypes.to_real(x.dtype) if kind == FftType.IRFFT else dtypes.to_complex(x.dtype))
    for i, (axis, n) in enumerate(zip(axes, lengths)):
        halved = kind == FftType.IRFFT and i == len(axes) - 1
        x = _resized(x, axis, n // 2 + 1 if halved else n)
    order = (*(i for i in range(x.ndim) if i not in axes), *axes)
    x = x if order == tuple(range(x.ndim)) else transpose_p.bind(x, permutation=order)
    out = _over_last(x, kind, lengths)
    inverse = kind in (FftType.IFFT, FftType.IRFFT)
    out = _scaled(out, norm, prod(lengths), inverse)
    back = tuple(int(i) for i in np.argsort(order))
    return out if back == tuple(range(x.ndim)) else transpose_p.bind(out, permutation=back)


def _over_last(x: Any, kind: FftType, lengths: Shape) -> Any:
    """The transform over the last axes, three at a time, which is what the compiler's operation
    takes."""
    if len(lengths) <= 3:
        return fft_p.bind(x, fft_type=kind, fft_lengths=lengths)
    rest, last = lengths[:-3], lengths[-3:]
    full = FftType.FFT if kind in (FftType.FFT, FftType.RFFT) else FftType.IFFT
    n, count = x.ndim, len(lengths)
    front = (*range(n - count), n - 3, n - 2, n - 1, *range(n - count, n - 3))
    back = tuple(int(i) for i in np.argsort(front))
    if kind != FftType.IRFFT:  # the real axis first
        x = fft_p.bind(x, fft_type=kind, fft_lengths=last)
    x = transpose_p.bind(x, permutation=front)
    x = transpose_p.bind(_over_last(x, full, rest), permutation=back)
    return fft_p.bind(x, fft_type=kind, fft_lengths=last) if kind == FftType.IRFFT else x


def fftn(a: Any, s: Any = None, axes: Sequence[int] | None = None, norm: str | None = None) -> Array:
    """The transform over `axes` (all, or the last ones if `s` is given), each cut or padded with
    zeros to the length in `s`.

    Over each axis it is Σ_j a[j] exp(-2πi jk/n). `norm` says where the factor 1/n goes: "backward"
    (None), to the inverse; "forward", to this transform; "ortho", its root to both. The result is
    complex64, or complex128 for 64-bit numbers. Raises ValueError for other norms, lengths below 1,
    and axes that are out of bounds or twice there.

    Source: J. Cooley and J. Tukey, "An algorithm for the machine calculation of complex Fourier
    series" (1965).

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([[1.0, 2.0], [3.0, 4.0]])
    >>> jnp.fft.fftn(x)
    Array([[10.+0.j, -2.+0.j],
           [-4.+0.j,  0.+0.j]], dtype=complex64)
    >>> jnp.fft.fftn(x, axes=(0,))
    Array([[ 4.+0.j,  6.+0.j],
           [-2.+0.j, -2.+0.j]], dtype=complex64)
    """
    return _transform("fftn", FftType.FFT, a, s, axes, norm)


def ifftn(a: Any, s: Any = None, axes: Sequence[int] | None = None, norm: str | None = None) -> Array:
    """The inverse of `fftn`, with its arguments and errors: over each axis Σ_k a[k] exp(2πi jk/n) /
    n.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([[1.0, 2.0], [3.0, 4.0]])
    >>> jnp.fft.ifftn(jnp.fft.fftn(x)).real
    Array([[1., 2.],
           [3., 4.]], dtype=float32)
    """
    return _transform("ifftn", FftType.IFFT, a, s, axes, norm)


def rfftn(a: Any, s: Any = None, axes: Sequence[int] | None = None, norm: str | None = None) -> Array:
    """The transform of a real array: of the last of `axes`, of length n, the first n // 2 + 1
    numbers of `fftn`'s result, as the others are their conjugates.

    See `fftn` for the arguments and errors; ValueError for complex arrays, too.

    >>> import pullback.numpy as jnp
    >>> x = jnp.arange(12.0).reshape(3, 4)
    >>> jnp.fft.rfftn(x).shape
    (3, 3)
    >>> jnp.allclose(jnp.fft.rfftn(x), jnp.fft.fftn(x)[:, :3], atol=1e-4)
    Array(True, dtype=bool)
    """
    return _transform("rfftn", FftType.RFFT, a, s, axes, norm)


def irfftn(a: Any, s: Any = None, axes: Sequence[int] | None = None, norm: str | None = None) -> Array:
    """The inverse of `rfftn`, which is real; `s` tells whether the last axis was even or odd
    (even, if not given).

    See `fftn` for the arguments and errors.

    >>> import pullback.numpy as jnp
    >>> x = jnp.arange(15.0).reshape(3, 5)
    >>> jnp.fft.irfftn(jnp.fft.rfftn(x)).shape
    (3, 4)
    >>> jnp.allclose(jnp.fft.irfftn(jnp.fft.rfftn(x), s=(3, 5)), x, atol=1e-5)
    Array(True, dtype=bool)
    """
    return _transform("irfftn", FftType.IRFFT, a, s, axes, norm)


def _one(name: str, kind: FftType, a: Any, n: int | None, axis: int, norm: str | None) -> Array:
    if isinstance(axis, (tuple, list)):
        raise ValueError(
            f"{name} is along one axis, got {axis!r:.100} at {user_line()}: {name.lstrip('h')}n is along several"
        )
    return _transform(name, kind, a, None if n is None else (n,), (axis,), norm)


def fft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Array:
    """The transform along `axis`, cut or padded with zeros to length `n`: Σ_j a[j] exp(-2πi jk/n)
    for k = 0, ..., n - 1.

    `norm` says where the factor 1/n goes: "backward" (None), to the inverse; "forward", to this
    transform; "ortho", its root to both. The result is complex64, or complex128 for 64-bit numbers.
    Raises ValueError for other norms, lengths below 1, and several axes.

    Source: J. Cooley and J. Tukey, "An algorithm for the machine calculation of complex Fourier
    series" (1965).

    >>> import pullback.numpy as jnp
    >>> jnp.fft.fft(jnp.array([1.0, 0.0, -1.0, 0.0]))
    Array([0.+0.j, 2.+0.j, 0.+0.j, 2.+0.j], dtype=complex64)
    >>> jnp.fft.fft(jnp.ones(3), n=4).round(3)
    Array([3.+0.j, 0.-1.j, 1.+0.j, 0.+1.j], dtype=complex64)
    """
    return _one("fft", FftType.FFT, a, n, axis, norm)


def ifft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Array:
    """The inverse of `fft`, with its arguments and errors: Σ_k a[k] exp(2πi jk/n) / n.

    >>> import pullback.numpy as jnp
    >>> jnp.fft.ifft(jnp.array([0.0, 4.0, 0.0, 0.0]))
    Array([ 1.+0.j,  0.+1.j, -1.+0.j,  0.-1.j], dtype=complex64)
    """
    return _one("ifft", FftType.IFFT, a, n, axis, norm)


def rfft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Array:
    """The transform of a real signal of length n: the first n // 2 + 1 numbers of `fft`'s result,
    as the others are their conjugates.

    See `fft` for the arguments and errors; ValueError for complex signals, too.

    >>> import pullback.numpy as jnp
    >>> jnp.fft.rfft(jnp.array([1.0, 2.0, 1.0, 0.0]))
    Array([4.+0.j, 0.-2.j, 0.+0.j], dtype=complex64)
    """
    return _one("rfft", FftType.RFFT, a, n, axis, norm)


def irfft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Array:
    """The inverse of `rfft`, a real signal of length `n` (twice the input's less 2, if not given).

    See `fft` for the arguments and errors.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([1.0, 2.0, 5.0])
    >>> jnp.fft.irfft(jnp.fft.rfft(x), n=3).round(3)
    Array([1., 2., 5.], dtype=float32)
    """
    return _one("irfft", FftType.IRFFT, a, n, axis, norm)


def _other_way(norm: str | None) -> str | None:
    return {None: "forward", "backward": "forward", "forward": "backward"}.get(norm, norm)


def hfft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Array:
    """The transform of a signal with Hermitian symmetry, given by its first half; it is real, of
    length `n` (twice the input's less 2, if not given).

    See `fft` for the arguments and errors.

    >>> import pullback.numpy as jnp
    >>> half = jnp.array([1.0, 2 + 1j, 3.0])
    >>> jnp.fft.hfft(half)
    Array([ 8.,  0.,  0., -4.], dtype=float32)
    >>> jnp.fft.fft(jnp.concatenate([half, jnp.conj(half[1:-1])])).real
    Array([ 8.,  0.,  0., -4.], dtype=float32)
    """
    x = as_array(a)
    x = convert(x, dtypes.to_complex(dtypes.to_inexact(x.dtype)))
    return _one("hfft", FftType.IRFFT, conj_p.bind(x), n, axis, _other_way(norm))


def ihfft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Array:
    """The inverse of `hfft`: of a real signal of length n, the first n // 2 + 1 numbers of its
    inverse transform, complex.

    See `fft` for the arguments and errors; ValueError for complex signals, too.

    >>> import pullback.numpy as jnp
    >>> half = jnp.array([1.0, 2 + 1j, 3.0])
    >>> jnp.allclose(jnp.fft.ihfft(jnp.fft.hfft(half)), half)
    Array(True, dtype=bool)
    """
    return conj_p.bind(_one("ihfft", FftType.RFFT, a, n, axis, _other_way(norm)))


def fft2(a: Any, s: Any = None, axes: Sequence[int] = (-2, -1), norm: str | None = None) -> Array:
    """`fftn` over two axes, the last ones by default: see there for the arguments and errors.
    ValueError unless there are two.

    >>> import pullback.numpy as jnp
    >>> jnp.fft.fft2(jnp.array([[1.0, 2.0], [3.0, 4.0]]))
    Array([[10.+0.j, -2.+0.j],
           [-4.+0.j,  0.+0.j]], dtype=complex64)
    """
    return _two("fft2", FftType.FFT, a, s, axes, norm)


def ifft2(a: Any, s: Any = None, axes: Sequence[int] = (-2, -1), norm: str | None = None) -> Array:
    """`ifftn` over two axes, the last ones by default: the inverse of `fft2`. See `fftn` for the
    arguments and errors.

    >>> import pullback.numpy as jnp
    >>> jnp.fft.ifft2(jnp.array([[4.0, 0.0], [0.0, 0.0]]))
    Array([[1.+0.j, 1.+0.j],
           [1.+0.j, 1.+0.j]], dtype=complex64)
    """
    return _two("ifft2", FftType.IFFT, a, s, axes, norm)


def rfft2(a: Any, s: Any = None, axes: Sequence[int] = (-2, -1), norm: str | None = None) -> Array:
    """`rfftn` over two axes, the last ones by default: see `fftn` for the arguments and errors.

    >>> import pullback.numpy as jnp
    >>> jnp.fft.rfft2(jnp.ones((2, 4)))
    Array([[8.+0.j, 0.+0.j, 0.+0.j],
           [0.+0.j, 0.+0.j, 0.+0.j]], dtype=complex64)
    """
    return _two("rfft2", FftType.RFFT, a, s, axes, norm)


def irfft2(a: Any, s: Any = None, axes: Sequence[int] = (-2, -1), norm: str | None = None) -> Array:
    """`irfftn` over two axes, the last ones by default: the inverse of `rfft2`. See `fftn` for the
    arguments and errors.

    >>> import pullback.numpy as jnp
    >>> x = jnp.arange(8.0).reshape(2, 4)
    >>> jnp.fft.irfft2(jnp.fft.rfft2(x)).round(3)
    Array([[0., 1., 2., 3.],
           [4., 5., 6., 7.]], dtype=float32)
    """
    return _two("irfft2", FftType.IRFFT, a, s, axes, norm)


def _two(name: str, kind: FftType, a: Any, s: Any, axes: Sequence[int], norm: str | None) -> Array:
    if len(axes) != 2:
        raise ValueError(f"{name} only supports 2 axes. Got axes = {tuple(axes)!r}.")
    return _transform(name, kind, a, s, axes, norm)


def fftfreq(n: int, d: Any = 1.0, *, dtype: Any = None, device: Any = None) -> Array:
    """The frequencies of `fft` of `n` samples that are `d` apart: 0, 1, ..., and then the negative
    ones, over n d.

    The dtype is the default float, or `dtype`. Raises ValueError unless `n` is a positive integer
    and `d` one number.

    >>> import pullback.numpy as jnp
    >>> jnp.fft.fftfreq(4, d=0.5), jnp.fft.fftfreq(5)
    (Array([ 0. ,  0.5, -1. , -0.5], dtype=float32), Array([ 0. ,  0.2,  0.4, -0.4, -0.2], dtype=float32))
    """
    return placed(_frequencies("fftfreq", n, d, dtype, np.fft.fftfreq), device)


def rfftfreq(n: int, d: Any = 1.0, *, dtype: Any = None, device: Any = None) -> Array:
    """The frequencies of `rfft` of `n` samples that are `d` apart: 0, 1, ..., n // 2, over n d.

    The dtype is the default float, or `dtype`. Raises ValueError unless `n` is a positive integer
    and `d` one number.

    >>> import pullback.numpy as jnp
    >>> jnp.fft.rfftfreq(4, d=0.5), jnp.fft.rfftfreq(5)
    (Array([0. , 0.5, 1. ], dtype=float32), Array([0. , 0.2, 0.4], dtype=float32))
    """
    return placed(_frequencies("rfftfreq", n, d, dtype, np.fft.rfftfreq), device)


def _frequencies(name: str, n: Any, d: Any, dtype: Any, numbers: Any) -> Array:
    if isinstance(n, (list, tuple)) or getattr(n, "shape", ()):
        raise here(ValueError, f"{name}: n must be a number, got {n!r:.100}")
    if not isinstance(n, float) and not dtypes.is_float(getattr(n, "dtype", np.dtype(bool))):
        n = integer(n, f"{name}: n")
    elif float(n) != int(n):
        raise here(ValueError, f"{name}: n is a number of samples, got {n!r}")
    n = int(n)
    if n <= 0:
        raise here(ValueError, f"{name}: n must be positive, got {n}")
    if isinstance(d, (list, tuple)):
        raise here(ValueError, f"{name}: d must be a number, the distance of the samples, got {d!r:.100}")
    step = as_array(d)
    kind = dtypes.default_dtype(float) if dtype is None else dtypes.canonicalize_dtype(dtype)
    whole = as_array((numbers(n) * n).astype(kind))  # times n: integers, exactly
    return whole / convert(step * n, kind)


def fftshift(x: Any, axes: Any = None) -> Array:
    """`x` with the zero frequency moved to the middle of `axes` (one, several, or all). Shape and
    dtype stay.

    Raises ValueError for axes that are out of bounds.

    >>> import pullback.numpy as jnp
    >>> frequencies = jnp.fft.fftfreq(5, 1 / 5)
    >>> frequencies, jnp.fft.fftshift(frequencies)
    (Array([ 0.,  1.,  2., -2., -1.], dtype=float32), Array([-2., -1.,  0.,  1.,  2.], dtype=float32))
    """
    return _shifted(x, axes, lambda n: n // 2)


def ifftshift(x: Any, axes: Any = None) -> Array:
    """The inverse of `fftshift`: the middle of `axes` (one, several, or all) moved to the front.
    Shape and dtype stay.

    Raises ValueError for axes that are out of bounds.

    >>> import pullback.numpy as jnp
    >>> jnp.fft.ifftshift(jnp.array([-2, -1, 0, 1, 2]))
    Array([ 0,  1,  2, -2, -1], dtype=int32)
    """
    return _shifted(x, axes, lambda n: -(n // 2))


def _shifted(x: Any, axes: Any, by: Any) -> Array:
    x = as_array(x)
    numbers = [canonical_axis(a, x.ndim, "axes") for a in (range(x.ndim) if axes is None else integers(axes, "axes"))]
    return roll(x, tuple(by(x.shape[a]) for a in numbers), tuple(numbers))


__all__ = ["fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "ifft", "ifft2", "ifftn", "ifftshift", "ihfft"]
__all__ += ["irfft", "irfft2", "irfftn", "rfft", "rfft2", "rfftfreq", "rfftn"]
