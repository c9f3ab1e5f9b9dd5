"""Hypergeometric functions, and spherical harmonics."""

from __future__ import annotations

from typing import Any

from pullback.core import dtypes
from pullback.core.array import Array
from pullback.lax.elementwise import complex_p
from pullback.lax.hypergeometric import hyp1f1_p, hyp2f1_p
from pullback.lax.shape import convert
from pullback.lax.spherical import polar_part_p
from pullback.numpy.planned import planned
from pullback.numpy.promotion import broadcast_checked, here
from pullback.numpy.ufuncs import cos, sin
from pullback.scipy.special.operands import apply, operands


@planned
def hyp1f1(a: Any, b: Any, x: Any) -> Array:
    """Kummer's confluent hypergeometric function ₁F₁(a; b; x) (DLMF 13.2), of real operands.

    Elementwise; the operands broadcast, and take their common dtype (integers become floats). ∞ where
    `b` is a pole. ValueError for complex numbers. Differentiable in `x` to any order; in `a` and `b`
    once (NotImplementedError beyond), where |x| ≤ 700 (NaN beyond).

    >>> hyp1f1(1.0, 2.0, 3.0)
    Array(6.3618455, dtype=float32)
    """
    return apply(hyp1f1_p, *operands("hyp1f1", a, b, x))


@planned
def hyp2f1(a: Any, b: Any, c: Any, x: Any) -> Array:
    """Gauss's hypergeometric function ₂F₁(a, b; c; x) (DLMF 15.2), of real operands.

    Elementwise; the operands broadcast, and take their common dtype (integers become floats). ∞ where
    `c` is a pole. ValueError for complex numbers. Differentiable in `x` to any order; in `a`, `b` and
    `c` once (NotImplementedError beyond), where -499 < x < 0.998 (NaN beyond).

    >>> hyp2f1(1.0, 2.0, 3.0, 0.5)
    Array(1.5451775, dtype=float32)
    """
    return apply(hyp2f1_p, *operands("hyp2f1", a, b, c, x))


def sph_harm_y(n: Any, m: Any, theta: Any, phi: Any, diff_n: int | None = None, n_max: int | None = None) -> Array:
    """The spherical harmonic Y_n^m(θ, φ) (DLMF 14.30.1) of degree `n` ≥ 0 and order `m`, |m| ≤ n.

    `theta` is the polar angle, `phi` the azimuth. Elementwise; the operands broadcast. The result is
    complex64, or complex128 of angles in float64. Zero for |m| > n, NaN for negative `n`. TypeError
    unless `n` and `m` are integers, ValueError for complex angles. `n_max` is accepted and has no
    meaning. Smooth in θ beyond [0, π], where SciPy takes |sin θ|. Differentiable in both angles to any order: `diff_n` raises NotImplementedError.

    >>> sph_harm_y(1, 1, 0.5, 0.25)
    Array(-0.16048941-0.04097968j, dtype=complex64)
    """
    del n_max
    if diff_n is not None:
        raise here(NotImplementedError, "sph_harm_y has no diff_n", "; take derivatives by grad or jvp")
    theta, phi = operands("sph_harm_y", theta, phi)
    n, m = broadcast_checked("sph_harm_y", n, m)
    if not dtypes.is_integer(n.dtype):
        raise here(TypeError, f"sph_harm_y needs integers n and m, got {n.aval} and {m.aval}")
    dtype = theta.dtype if theta.dtype.itemsize >= 4 else dtypes.float32
    n, m, theta, phi = broadcast_checked("sph_harm_y", *(convert(x, dtype) for x in (n, m, theta, phi)))
    size, angle = apply(polar_part_p, n, m, theta), m * phi
    return apply(complex_p, size * cos(angle), size * sin(angle))


__all__ = ["hyp1f1", "hyp2f1", "sph_harm_y"]
