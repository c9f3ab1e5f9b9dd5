"""Discrete Fourier transforms over the last axes: forward, inverse, and those of real signals.

    y[k] = Σ_j x[j] e^(-2πi jk/n),   x[j] = (1/n) Σ_k y[k] e^(2πi jk/n)

RFFT gives the first n // 2 + 1 of the y of a real x; IRFFT takes these back. Cotangents pair by
Re(ct · t) without conjugation, so FFT and IFFT, symmetric matrices, are their own transposes. RFFT
transposes to the real part of the FFT of the cotangent padded to n; IRFFT to conj(RFFT(ct)) / n,
twice that where a coefficient stands for its mirror image, too.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, as_array, concrete
from pullback.core.errors import user_line
from pullback.core.primitive import LinearPrimitive
from pullback.core.types import Shape, ShapedArray, integers
from pullback.lax.arrangement import pad_p
from pullback.lax.elementwise import conj_p, real_p
from pullback.lax.family import like, mul_p
from pullback.lax.shape import convert, move_axis


class FftType(enum.IntEnum):
    """The kind of transform that `fft` does: FFT and IFFT of complex numbers, RFFT from real ones to
    half a spectrum, IRFFT back.

    >>> FftType.RFFT, FftType["IRFFT"]
    (<FftType.RFFT: 2>, <FftType.IRFFT: 3>)
    """

    FFT = 0
    IFFT = 1
    RFFT = 2
    IRFFT = 3


#: The dtypes that transforms take: of complex signals, and of real ones.
_TAKEN = ((dtypes.complex64, dtypes.complex128), (dtypes.float32, dtypes.float64))


class Fft(LinearPrimitive):
    """The transform `fft_type` over the last axes, of lengths `fft_lengths` (those of the real
    signal, for RFFT and IRFFT)."""

    name = "fft"

    def type_of(self, x: ShapedArray, *, fft_type: FftType, fft_lengths: Shape) -> ShapedArray:
        count = len(fft_lengths)
        if not 1 <= count <= 3:
            raise ValueError(f"fft transforms 1, 2 or 3 axes; got lengths {fft_lengths}, at {user_line()}")
        if x.ndim < count:
            raise ValueError(f"fft over {count} axes of an array of shape {x.shape}, at {user_line()}")
        batch, last = x.shape[: x.ndim - count], x.shape[x.ndim - count :]
        to_complex = fft_type == FftType.RFFT
        if x.dtype not in _TAKEN[to_complex]:
            taken = " or ".join(map(dtypes.name, _TAKEN[to_complex]))
            raise (ValueError if to_complex else TypeError)(f"{fft_type.name} takes {taken}, got {x}, at {user_line()}")
        n = fft_lengths[-1]
        expected = (*fft_lengths[:-1], n // 2 + 1 if n else 0) if fft_type == FftType.IRFFT else fft_lengths
        if last != expected:
            raise ValueError(
                f"{fft_type.name} of lengths {fft_lengths} takes last axes of lengths {expected}, got shape {x.shape}, at {user_line()}"
            )
        if to_complex:
            return ShapedArray((*batch, *fft_lengths[:-1], n // 2 + 1), dtypes.to_complex(x.dtype))
        dtype = dtypes.to_real(x.dtype) if fft_type == FftType.IRFFT else x.dtype
        return ShapedArray((*batch, *fft_lengths), dtype)

    weakness = "never"

    def evaluate(self, x: Any, *, fft_type: FftType, fft_lengths: Shape) -> Any:
        from scipy import fft

        out = self.type_of(ShapedArray(x.shape, x.dtype), fft_type=fft_type, fft_lengths=fft_lengths)
        if not x.size:
            return np.zeros(out.shape, out.dtype)
        function = {FftType.FFT: fft.fftn, FftType.IFFT: fft.ifftn, FftType.RFFT: fft.rfftn, FftType.IRFFT: fft.irfftn}
        axes = tuple(range(-len(fft_lengths), 0))
        return function[fft_type](x, s=fft_lengths, axes=axes).astype(out.dtype, copy=False)

    def lower(self, emit: Any, x: Any, *, fft_type: FftType, fft_lengths: Shape) -> Any:
        out = emit.type
        if not out.size or not x.size:
            return emit.constant(0, out.dtype, out.shape)
        return emit("fft", x, out=out, fft_type=f"#stablehlo<fft_type {fft_type.name}>", fft_length=fft_lengths)

    def transpose(self, ct: Any, x: Any, *, fft_type: FftType, fft_lengths: Shape) -> Sequence[Any]:
        if fft_type in (FftType.FFT, FftType.IFFT):
            return [self.bind(ct, fft_type=fft_type, fft_lengths=fft_lengths)]
        n = fft_lengths[-1]
        half = n // 2 + 1
        if fft_type == FftType.RFFT:
            config = [(0, 0, 0)] * (len(ct.shape) - 1) + [(0, n - half, 0)]
            padded = pad_p.bind(ct, like(0, ct), padding_config=tuple(config))
            return [real_p.bind(self.bind(padded, fft_type=FftType.FFT, fft_lengths=fft_lengths))]
        size = int(np.prod(fft_lengths))
        weights = np.full(half, 2.0 / size)
        weights[0] = 1.0 / size
        if n % 2 == 0:
            weights[-1] = 1.0 / size
        spectrum = conj_p.bind(self.bind(ct, fft_type=FftType.RFFT, fft_lengths=fft_lengths))
        return [mul_p.bind(concrete(weights.astype(spectrum.dtype)), spectrum)]

    def batch(self, size: int, args: Any, axes: Any, **params: Any) -> Any:
        return self.bind(move_axis(args[0], axes[0], 0), **params), 0


fft_p = Fft()


def fft(x: Any, fft_type: FftType | str, fft_lengths: Sequence[int]) -> Array:
    """The transform of the last axes of `x`, of lengths `fft_lengths`; `fft_type` is an `FftType` or
    its name. See `numpy.fft` for what each computes.

    Real operands of FFT and IFFT become complex; RFFT gives n // 2 + 1 elements for the last length
    n, and IRFFT takes as many. Raises ValueError for other types, for dtypes without a transform,
    and for lengths that are not those of the axes.

    >>> import pullback.numpy as jnp
    >>> fft(jnp.array([1.0, 0.0, -1.0, 0.0]), "RFFT", (4,))  # a cosine: half at its frequency, and half in what is left out
    Array([0.+0.j, 2.+0.j, 0.+0.j], dtype=complex64)
    """
    if isinstance(fft_type, str):
        if fft_type.upper() not in FftType.__members__:
            raise ValueError(f"unknown FFT type {fft_type!r}: {', '.join(FftType.__members__)} are there")
        fft_type = FftType[fft_type.upper()]
    if fft_type.__class__ is bool or fft_type not in tuple(FftType):
        raise TypeError(f"unknown FFT type {fft_type!r}: {', '.join(FftType.__members__)} are there")
    kind = FftType(fft_type)
    x = as_array(x)
    if kind == FftType.RFFT:
        if dtypes.is_complex(x.dtype):
            raise ValueError("only real valued inputs supported for rfft")
        x = convert(x, dtypes.to_inexact(x.dtype))
    else:
        x = convert(x, dtypes.to_complex(dtypes.to_inexact(x.dtype)))
    lengths = integers(fft_lengths, "fft: fft_lengths")
    fft_p.type_of(x.aval, fft_type=kind, fft_lengths=lengths)
    return fft_p.bind(x, fft_type=kind, fft_lengths=lengths)


__all__ = ["FftType", "fft", "fft_p"]
