"""Exponential, sine and cosine integrals, Fresnel integrals, and the dilogarithm."""

from __future__ import annotations

from typing import Any

from pullback.core.array import Array
from pullback.lax import exponential_integrals as i
from pullback.numpy.planned import planned
from pullback.scipy.special.operands import apply, operand, operands


@planned
def exp1(x: Any) -> Array:
    """The exponential integral E₁(x) = ∫ₓ^∞ e^-t/t dt (DLMF 6.2.1), elementwise, of real `x`.

    ∞ at 0, NaN for negative numbers. Integers become floats. ValueError for complex numbers.

    >>> exp1(1.0)
    Array(0.21938394, dtype=float32)
    """
    return apply(i.exp1_p, operand("exp1", x))


@planned
def expi(x: Any) -> Array:
    """The exponential integral Ei(x), the principal value of ∫ e^t/t dt from -∞ to `x` (DLMF 6.2.5).

    Elementwise, of real `x`; -∞ at 0. Integers become floats. ValueError for complex numbers.
    Compiled by W. Cody, H. Thacher, Math. Comp. 23 (1969), exact also about the zero at 0.3725.

    >>> expi(1.0)
    Array(1.8951178, dtype=float32)
    """
    return apply(i.expi_p, operand("expi", x))


@planned
def expn(n: Any, x: Any) -> Array:
    """The generalized exponential integral E_n(x) = ∫₁^∞ e^(-xt)/tⁿ dt (DLMF 8.19), `n` = 0, 1, 2, ...

    Elementwise; the operands broadcast, and take their common dtype (integers become floats). NaN
    for negative `x` and other `n`. ValueError for complex numbers. Differentiable in `x`
    (NotImplementedError for `n`, which has whole values).

    >>> expn(2, 1.5)
    Array(0.07310078, dtype=float32)
    """
    return apply(i.expn_p, *operands("expn", n, x))


@planned
def fresnel(x: Any) -> tuple[Array, Array]:
    """Fresnel's integrals S(x) = ∫₀ˣ sin(½πt²) dt and C(x) = ∫₀ˣ cos(½πt²) dt (DLMF 7.2.7, 7.2.8).

    Elementwise, of real `x`; integers become floats. ValueError for complex numbers.

    >>> fresnel(1.0)
    (Array(0.43825915, dtype=float32), Array(0.7798934, dtype=float32))
    """
    s, c = apply(i.fresnel_p, operand("fresnel", x))
    return s, c


@planned
def sici(x: Any) -> tuple[Array, Array]:
    """The sine integral Si(x) = ∫₀ˣ sin(t)/t dt and the cosine integral Ci(x) = γ + log|x| + ∫₀ˣ
    (cos(t) - 1)/t dt (DLMF 6.2.9, 6.2.13).

    Elementwise, of real `x`; integers become floats. ValueError for complex numbers.

    >>> sici(1.0)
    (Array(0.94608307, dtype=float32), Array(0.33740392, dtype=float32))
    """
    s, c = apply(i.sici_p, operand("sici", x))
    return s, c


@planned
def spence(x: Any) -> Array:
    """Spence's function, the dilogarithm Li₂(1 - x) = ∫₁ˣ log(t)/(1 - t) dt (DLMF 25.12), of real `x`.

    Elementwise; NaN for negative numbers. Integers become floats. ValueError for complex numbers.

    >>> spence(0.5)
    Array(0.5822405, dtype=float32)
    """
    return apply(i.spence_p, operand("spence", x))


__all__ = ["exp1", "expi", "expn", "fresnel", "sici", "spence"]
