"""Error functions and their kin."""

from __future__ import annotations

from typing import Any

from pullback.core import dtypes
from pullback.core.array import Array
from pullback.lax import error_functions as e
from pullback.lax.shape import convert
from pullback.lax.special import erf_p
from pullback.numpy.planned import planned
from pullback.scipy.special.operands import apply, operand, operands


@planned
def erf(x: Any) -> Array:
    """The error function 2/√π ∫₀ˣ exp(-t²) dt (DLMF 7.2.1), elementwise, of real `x` of any shape.

    Integers become floats. TypeError for complex numbers.

    >>> erf(1.0)
    Array(0.8427008, dtype=float32, weak_type=True)
    """
    return apply(erf_p, operand("erf", x, weak=True, error=TypeError))


@planned
def erfc(x: Any) -> Array:
    """The complementary error function 1 - erf(x) (DLMF 7.2.2), exact also where it is tiny.

    Elementwise, of real `x`; integers become floats. TypeError for complex numbers.

    >>> erfc(4.0)
    Array(1.5417259e-08, dtype=float32, weak_type=True)
    """
    return apply(e.erfc_exact_p, operand("erfc", x, weak=True, error=TypeError))


@planned
def erfinv(x: Any) -> Array:
    """The inverse of `erf`: ±∞ at ±1, NaN outside of [-1, 1].

    Elementwise, of real `x`; integers become floats. TypeError for complex numbers. More exact than
    `lax.erf_inv` in float32; compiled by Giles' method ("Approximating the erfinv function", GPU
    Computing Gems 2, 2011).

    >>> erfinv(0.5)
    Array(0.47693628, dtype=float32, weak_type=True)
    """
    return apply(e.erfinv_p, operand("erfinv", x, weak=True, error=TypeError))


@planned
def erfcinv(x: Any) -> Array:
    """The inverse of `erfc`: ∞ at 0, -∞ at 2, NaN outside of [0, 2]; exact for tiny `x`, too.

    Elementwise, of real `x`; integers become floats. TypeError for complex numbers.

    >>> erfcinv(1e-30)
    Array(8.148616, dtype=float32, weak_type=True)
    """
    return apply(e.erfcinv_p, operand("erfcinv", x, weak=True, error=TypeError))


@planned
def erfcx(x: Any) -> Array:
    """exp(x²) erfc(x), the scaled complementary error function, of real or complex `x`.

    Elementwise; integers become floats. Complex values are those of `wofz(ix)`. Compiled by M.
    Shepherd, J. Laframboise, Math. Comp. 36 (1981).

    >>> erfcx(10.0)
    Array(0.05614099, dtype=float32)
    """
    x = operand("erfcx", x, kinds="fc")
    if dtypes.is_complex(x.dtype):
        return apply(e.wofz_p, x * 1j)
    return apply(e.erfcx_p, x)


@planned
def dawsn(x: Any) -> Array:
    """Dawson's integral exp(-x²) ∫₀ˣ exp(t²) dt (DLMF 7.2.5), elementwise, of real `x`.

    Integers become floats. ValueError for complex numbers.

    >>> dawsn(1.0)
    Array(0.5380795, dtype=float32)
    """
    return apply(e.dawsn_p, operand("dawsn", x))


@planned
def wofz(z: Any) -> Array:
    """Faddeeva's function w(z) = exp(-z²) erfc(-iz) (DLMF 7.2.3), elementwise, of real or complex `z`.

    The result is complex: complex64 of floats of 32 bits and fewer and of integers. The derivative
    is holomorphic. Compiled by the trapezoidal rules of M. Al Azah, S. Chandler-Wilde, SIAM J.
    Numer. Anal. 59 (2021).

    >>> wofz(1.0)
    Array(0.36787945+0.6071577j, dtype=complex64)
    """
    z = operand("wofz", z, kinds="fc")
    if not dtypes.is_complex(z.dtype):
        z = convert(z, dtypes.complex128 if z.dtype.itemsize == 8 else dtypes.complex64)
    return apply(e.wofz_p, z)


@planned
def owens_t(h: Any, a: Any) -> Array:
    """Owen's T function ∫₀ᵃ exp(-h²(1 + x²)/2)/(1 + x²) dx / 2π, of real `h` and `a`.

    Elementwise; the operands broadcast, and take their common dtype (integers become floats). The
    probability that X > h and 0 < Y < aX for independent standard normal X and Y. ValueError for
    complex numbers. Differentiable in both. See M. Patefield, D. Tandy, J. Stat. Software 5 (2000).

    >>> owens_t(1.0, 2.0)
    Array(0.07846819, dtype=float32)
    """
    return apply(e.owens_t_p, *operands("owens_t", h, a))


__all__ = ["dawsn", "erf", "erfc", "erfcinv", "erfcx", "erfinv", "owens_t", "wofz"]
