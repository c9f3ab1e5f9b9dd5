"""Primitives of the error functions and their kin: erfcx, erfcinv, Dawson's integral, Faddeeva's
function w(z), Owen's T.

Sources: M. Shepherd, J. Laframboise, "Chebyshev approximation of (1 + 2x) exp(x²) erfc x", Math.
Comp. 36 (1981); M. Giles, "Approximating the erfinv function", GPU Computing Gems 2 (2011); M. Al
Azah, S. Chandler-Wilde, "Computation of the complex error function using modified trapezoidal
rules", SIAM J. Numer. Anal. 59 (2021); DLMF 7; M. Patefield, D. Tandy, "Fast and accurate
calculation of Owen's T function", J. Stat. Software 5 (2000).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.lax.approximations import INFINITY, Special
from pullback.lax.elementwise import abs_p, and_p, div_p, eq_p, exp_p, gt_p, imag_p, integer_pow_p, min_p
from pullback.lax.family import COMPLEX, add_p, like, mul_p, sub_p
from pullback.lax.selection import select
from pullback.lax.special import erf_p, gaussian_p

_ROOT_PI = math.sqrt(math.pi)

# ---- formulas ------------------------------------------------------------------------------------


def _erfcx_positive(xp: Any, x: Any) -> Any:
    """e^(x²) erfc x for x ≥ 0."""
    # (1 + 2x) e^(x²) erfc x is 1 at 0, from where it is counted.
    s = 2 - 6 / (x + 3)
    s = xp.where(x < 1, 2 * x / (x + 3), s)
    return (1 + s * xp.polynomial("erfcx_rest", s - 1)) / (x * 2 + 1)


def erfcx(xp: Any, x: Any) -> Any:
    size = xp.abs(x)
    positive = _erfcx_positive(xp, size)
    # Beyond 26.7 the exponential is infinite.
    below = 2 * xp.exp_of_square(xp.between(x, -27.0, 0.0), 1) - positive
    return xp.where(x < 0, below, positive)


def erfc(xp: Any, x: Any) -> Any:
    """exp(-x²), with an exact exponent, times `erfcx`: XLA's own is off by 24 units of the last place in
    float64 and 35 in float32."""
    size = xp.abs(x)
    far = xp.exp_of_square(xp.between(size, 0.0, 28.0), -1) * _erfcx_positive(xp, size)
    return xp.where(x < 0, 2 - far, far)


def _inverse(xp: Any, w: Any, far: bool) -> Any:
    """erfinv(x)/x of w = -log(1 - x²); with `far` also for w > 37."""
    near = xp.linear("erf_inv_near", xp.between(w, 0.0, 6.0), 0.0, 6.0)
    root = xp.sqrt(w)
    out = root * xp.reciprocal("erf_inv_far", xp.between(root, 2.4, 6.1), 2.4, 6.1)
    if far:
        out = xp.where(root > 6.1, root * xp.reciprocal("erfc_inv_far", xp.between(root, 6.0, 28.0), 6.0, 28.0), out)
    return xp.where(w < 6, near, out)


def erf_inv(xp: Any, x: Any) -> Any:
    size = xp.abs(x)
    inside = xp.where(size < 1, x, 0.0)
    out = inside * _inverse(xp, -xp.log((1 - inside) * (1 + inside)), False)
    outside = xp.where(size <= 1, xp.same_sign(x * 0.0 + INFINITY, x), math.nan)
    return xp.where(size < 1, out, outside)


def erfc_inv(xp: Any, y: Any) -> Any:
    regular = (y > 0) & (y < 2)
    inside = xp.where(regular, y, 1.0)
    out = (1 - inside) * _inverse(xp, -xp.log(inside) - xp.log(2 - inside), True)
    at_ends = xp.where(y <= 0, INFINITY, xp.where(y >= 2, -INFINITY, y))
    outside = xp.where((y >= 0) & (y <= 2), at_ends, math.nan)
    return xp.where(regular, out, outside)


def dawson(xp: Any, x: Any) -> Any:
    size = xp.abs(x)
    y = x * x
    near_y = xp.between(y, 0.0, 9.0)
    inverse = 1 / (near_y * 2 + 1)
    near = x * inverse * (1 + near_y * inverse * xp.linear("dawson_near", near_y, 0.0, 9.0))
    middle = xp.reciprocal("dawson_middle", xp.between(y, 9.0, 36.0), 9.0, 36.0)
    far = xp.reciprocal("dawson_far", xp.where(y > 36, y, 36.0), 36.0)
    beyond = xp.where(size < 6, middle, far) * (0.5 / xp.where(size < 1, 1.0, x))
    return xp.where(size < 3, near, beyond)


#: Terms of the trapezoidal rules, of which n leave a relative error of about e^(-πn).
_FADDEEVA_TERMS, _FADDEEVA_TERMS_OF_SINGLE = 12, 7


def _reciprocal(a: Any, b: Any) -> tuple[Any, Any]:
    scale = 1 / (a * a + b * b)
    return a * scale, -b * scale


def faddeeva(xp: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """w(z) = e^(-z²) erfc(-iz) of z = x + iy: in the upper half plane by trapezoidal rules, in the
    lower one by w(z) = 2 e^(-z²) - w(-z)."""
    terms = _FADDEEVA_TERMS_OF_SINGLE if xp.single else _FADDEEVA_TERMS
    h = math.sqrt(math.pi / terms)
    a, b = xp.abs(x), xp.abs(y)
    far = (a > 1e8) | (b > 1e8)
    u, v = xp.where(far, 8.0, a), xp.where(far, 8.0, b)
    # Where the midpoint rule's nodes are close to z, the trapezoidal rule's are not.
    cell = u / h - xp.floor(u / h)
    pole = (v < u) & (cell > 0.25) & (cell < 0.75)
    residue = v < xp.where(u > math.pi / h, u, math.pi / h)
    imag = 2 * u * v
    sum_a, sum_b = u * 0.0, u * 0.0
    for k in range(terms):
        middle, node = ((k + 0.5) * h) ** 2, (k * h) ** 2
        weight = xp.where(pole, math.exp(-node) * (0.5 if k == 0 else 1.0), math.exp(-middle))
        # z² - t², of real t, without cancellation: the difference of squares of real parts first.
        root = xp.where(pole, k * h, (k + 0.5) * h)
        p, q = _reciprocal((u - root) * (u + root) - v * v, imag)
        sum_a, sum_b = sum_a + weight * p, sum_b + weight * q
    # times 2ihz/π
    out_a = (2 * h / math.pi) * -(u * sum_b + v * sum_a)
    out_b = (2 * h / math.pi) * (u * sum_a - v * sum_b)
    # 2 e^(-z²)/(1 ± e^(-2πiz/h)); e^(-2πiz/h) has the modulus e^(2πv/h).
    small = xp.where(residue, v, 0.0)
    e = xp.exp(small * small - u * u)
    e_a, e_b = e * xp.cos(imag), -e * xp.sin(imag)
    angle = 2 * math.pi * (u / h - xp.rint(u / h))
    growth = xp.exp(small * (2 * math.pi / h))
    sign = xp.where(pole, -1.0, 1.0)
    d_a, d_b = _reciprocal(1 + sign * growth * xp.cos(angle), -sign * growth * xp.sin(angle))
    out_a = xp.where(residue, out_a + 2 * (e_a * d_a - e_b * d_b), out_a)
    out_b = xp.where(residue, out_b + 2 * (e_a * d_b + e_b * d_a), out_b)
    # Far away, i/(√π z).
    larger = xp.where(a > b, a, b)
    s_a, s_b = _reciprocal(a / larger, b / larger)
    out_a = xp.where(far, -s_b / larger * (1 / _ROOT_PI), out_a)
    out_b = xp.where(far, s_a / larger * (1 / _ROOT_PI), out_b)
    # On the real axis the real part is e^(-x²).
    out_a = xp.where(b <= 0, xp.exp_of_square(xp.between(a, 0.0, 28.0), -1), out_a)
    # In the lower half plane: w(x - iy) = 2 e^(y² - x²) (cos 2xy + i sin 2xy) - conj(w(x + iy)).
    growing = xp.exp((b - a) * (b + a)) * 2
    double = 2 * a * b
    zero = growing <= 0
    lower_a = xp.where(zero, 0.0, growing * xp.cos(double)) - out_a
    lower_b = xp.where(zero, 0.0, growing * xp.sin(double)) + out_b
    out_a, out_b = xp.where(y < 0, lower_a, out_a), xp.where(y < 0, lower_b, out_b)
    return out_a, xp.where(x < 0, -out_b, out_b)


def _normal_tail(xp: Any, x: Any) -> Any:
    """The probability that a standard normal variable is larger than x ≥ 0."""
    return xp.exp_of_square(x, -0.5) * _erfcx_positive(xp, x * math.sqrt(0.5)) * 0.5


_NODES, _WEIGHTS = (v.tolist() for v in np.polynomial.legendre.leggauss(24))


def owens_t(xp: Any, h: Any, a: Any) -> Any:
    """T(h, a) = ∫₀ᵃ exp(-h²(1 + x²)/2)/(1 + x²) dx / 2π, by Gauss's rule where a ≤ 1; there is no
    cancellation. For a > 1 by T(h, a) = T's of (ah, 1/a) and normal tails."""
    h, size = xp.abs(h), xp.abs(a)
    large = size > 1
    upper = xp.where(large, 1 / xp.where(large, size, 1.0), size)
    k = xp.where(large, xp.where(h > 0, h * size, 0.0), h)
    k = xp.between(k, 0.0, 60.0)
    end = xp.where(upper * k > 9, 9 / xp.where(k > 1, k, 1.0), upper)
    total = end * 0.0
    for node, weight in zip(_NODES, _WEIGHTS):
        x = end * (0.5 + 0.5 * node)
        total = total + xp.exp((x * k) * (x * k) * -0.5) * (0.5 * weight) / (1 + x * x)
    integral = total * end * xp.exp_of_square(k, -0.5) * (0.5 / math.pi)
    q_h, q_k = (_normal_tail(xp, xp.between(x, 0.0, 60.0)) for x in (h, k))
    beyond = 0.5 * q_h * (1 - 2 * q_k) + (0.5 * q_k - integral)
    out = xp.where(large, beyond, integral)
    out = xp.same_sign(out, a)
    return xp.where(xp.is_number(h) & xp.is_number(a), out, math.nan)


# ---- partial derivatives -------------------------------------------------------------------------


def _times(factor: Any, x: Any) -> Any:
    return mul_p.bind(like(factor, x), x)


def _gaussian(x: Any) -> Any:
    """exp(-x²)"""
    return gaussian_p.bind(x, rate=1.0)


#: From here on the asymptotic series of so many terms is exact to rounding, in float32 and in float64.
_SERIES = {4: (5.0, 12), 8: (8.0, 20)}


def _without_cancellation(x: Any, near: Callable[[Any], Any], sign: int, factor: complex) -> Any:
    """`near` of x, the difference of two terms that cancel for large `x`: there, `factor` times the sum of
    (2n - 1)!! (± 1/(2x²))ⁿ over n ≥ 1 (DLMF 7.12.1)."""
    dtype = dtypes.to_real(x.dtype) if dtypes.is_complex(x.dtype) else x.dtype
    limit, terms = _SERIES[max(dtype.itemsize, 4)]
    size = abs_p.bind(x)
    far = gt_p.bind(size, like(limit, size))
    if dtypes.is_complex(x.dtype):  # w(z), which has another term in the lower half plane
        far = and_p.bind(far, gt_p.bind(imag_p.bind(x), like(0, size)))
    elif sign < 0:  # erfcx, which grows for negative x
        far = and_p.bind(far, gt_p.bind(x, like(0, x)))
    y = select(far, x, like(limit, x))
    t = _times(sign / 2, integer_pow_p.bind(y, y=-2))  # as a power, whose derivative at infinity is 0
    total = like(1, x)
    for n in range(terms, 1, -1):
        total = add_p.bind(like(1, x), _times(2 * n - 1, mul_p.bind(t, total)))
    return select(far, _times(factor, mul_p.bind(t, total)), near(select(far, like(0, x), x)))


def erfcx_slope(x: Any, out: Any) -> Any:
    return _without_cancellation(
        x, lambda x: sub_p.bind(_times(2, mul_p.bind(x, out)), like(2 / _ROOT_PI, x)), -1, 2 / _ROOT_PI
    )


def _dawson_slope(x: Any, out: Any) -> Any:
    return _without_cancellation(x, lambda x: sub_p.bind(like(1, x), _times(2, mul_p.bind(x, out))), 1, -1.0)


def _faddeeva_slope(z: Any, out: Any) -> Any:
    return _without_cancellation(
        z, lambda z: sub_p.bind(like(2j / _ROOT_PI, z), _times(2, mul_p.bind(z, out))), 1, -2j / _ROOT_PI
    )


def _erfinv_slope(x: Any, out: Any) -> Any:
    return _times(_ROOT_PI / 2, exp_p.bind(mul_p.bind(out, out)))


def _erfcinv_slope(p: Any, out: Any) -> Any:
    # -½√π e^(y²), where e^(y²) is erfcx(|y|) by the smaller of p and 2 - p: y² is not rounded.
    tail = min_p.bind(p, sub_p.bind(like(2, p), p))
    end = eq_p.bind(tail, like(0, p))
    growth = div_p.bind(erfcx_p.bind(abs_p.bind(out)), select(end, like(1, p), tail))
    return select(end, like(-INFINITY, p), _times(-_ROOT_PI / 2, growth))


def _owens_by_h(h: Any, a: Any, out: Any) -> Any:
    # -φ(h) (Φ(ah) - ½) = -exp(-h²/2) erf(ah/√2) / (2 √2π)
    scaled = _times(math.sqrt(0.5), h)
    return _times(-0.5 / math.sqrt(2 * math.pi), mul_p.bind(_gaussian(scaled), erf_p.bind(mul_p.bind(a, scaled))))


def _owens_by_a(h: Any, a: Any, out: Any) -> Any:
    scaled = _times(math.sqrt(0.5), h)
    density = mul_p.bind(_gaussian(scaled), _gaussian(mul_p.bind(a, scaled)))
    return _times(0.5 / math.pi, div_p.bind(density, add_p.bind(like(1, a), mul_p.bind(a, a))))


erfcx_p = Special("erfcx", "erfcx", erfcx, erfcx_slope)
#: `lax.erfc` is XLA's own in float32, too.
erfc_exact_p = Special("erfc_exact", "erfc", erfc, lambda x, out: _times(-2 / _ROOT_PI, _gaussian(x)))
erfcinv_p = Special("erfcinv", "erfcinv", erfc_inv, _erfcinv_slope)
#: `lax.erf_inv` is the one that random numbers are made with, quick and inexact in float32.
erfinv_p = Special("erfinv", "erfinv", erf_inv, _erfinv_slope)
dawsn_p = Special("dawsn", "dawsn", dawson, _dawson_slope)
wofz_p = Special("wofz", "wofz", faddeeva, _faddeeva_slope, wide=True, kinds=COMPLEX)
owens_t_p = Special("owens_t", "owens_t", owens_t, _owens_by_h, _owens_by_a, wide=True)
