"""Primitives of exponential, sine and cosine integrals, Fresnel integrals, and the dilogarithm.

Sources: DLMF 6, 7 and 8.19; W. Cody, H. Thacher, "Chebyshev approximations for the exponential
integral Ei(x)", Math. Comp. 23 (1969), for the expansion about the zero; for the dilogarithm its
expansion by Bernoulli numbers in -log(1 - z), L. Lewin, "Polylogarithms and Associated Functions"
(1981), 1.3. Float32 results are computed in float64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core.errors import user_line
from pullback.lax.approximations import INFINITY, Special, SpecialPair, by_scipy
from pullback.lax.elementwise import abs_p, cos_p, div_p, eq_p, exp_p, log_p, lt_p, max_p, rem_p, sin_p
from pullback.lax.family import add_p, like, mul_p, neg_p, sub_p
from pullback.lax.incomplete import _log1p
from pullback.lax.selection import select

# ---- exponential integrals -----------------------------------------------------------------------

_EULER = 0.5772156649015329
#: What is smaller counts as zero in compiled programs, as everywhere.
_TINY = 2.3e-308
#: The zeros of Ei and Ci, and what rounding them to float64 leaves.
_EI_ZERO, _EI_REST = 0.3725074107813666, 1.3140183414386028e-17
_CI_ZERO, _CI_REST = 0.6165054856207163, -4.209920321433186e-17


def _about_zero(xp: Any, x: Any, slope: Any, zero: float, rest: float) -> Any:
    """log(x/z) + (x - z) slope, without cancellation near z = zero + rest.

    To subtract zero and then rest would not do: XLA adds the two up.
    """
    distance = x - zero
    near = xp.between(distance * (1 / zero), -0.25, 0.25)
    logarithm = xp.where(xp.abs(distance) < 0.25 * zero, _log1p(xp, near), xp.log(x * (1 / zero)))
    return logarithm + distance * slope - rest * (slope + 1 / zero)


def _e1(xp: Any, x: Any) -> Any:
    """E₁(x) for x > 0."""
    low = xp.between(x, 0.0, 0.6)
    near = low * xp.linear("ein", low, 0.0, 0.6) - _EULER - xp.log(x)
    middle = xp.reciprocal("e1_near", xp.between(x, 0.6, 3.0), 0.6, 3.0)
    far = xp.reciprocal("e1_far", xp.where(x > 3, x, 3.0), 3.0)
    return xp.where(x < 0.6, near, xp.exp(-x) / x * xp.where(x < 3, middle, far))


def exp1(xp: Any, x: Any) -> Any:
    positive = xp.where(x > 0, x, 1.0)
    out = xp.where(x >= INFINITY, 0.0, _e1(xp, xp.where(x >= INFINITY, 1.0, positive)))
    return xp.where(x > 0, out, xp.where((x <= 0) & (x >= 0), INFINITY, math.nan))


def expi(xp: Any, x: Any) -> Any:
    size = xp.abs(x)
    regular = (size > 0) & (size < INFINITY)
    y = xp.where(regular, size, 1.0)
    low = xp.between(y, 1e-300, 6.0)
    slope = xp.linear("ei_near", low, 0.0, 6.0) * xp.exp(low * 0.5)
    near = _about_zero(xp, low, slope, _EI_ZERO, _EI_REST)
    middle = xp.reciprocal("ei_middle", xp.between(y, 6.0, 16.0), 6.0, 16.0)
    far = xp.reciprocal("ei_far", xp.where(y > 16, y, 16.0), 16.0)
    # Half of the exponent twice, as the quotient may be finite where the exponential is not.
    half = xp.exp(xp.where(y < 700, y, y - 20.0))
    scale = xp.where(y < 700, 1.0, math.exp(20.0))
    positive = xp.where(y < 6, near, half / y * xp.where(y < 16, middle, far) * scale)
    out = xp.where(x < 0, -_e1(xp, y), positive)
    edges = xp.where(x >= INFINITY, INFINITY, xp.where(x <= -INFINITY, 0.0, xp.where(size <= 0, -INFINITY, x)))
    return xp.where(regular, out, edges)


def expn(xp: Any, n: Any, x: Any) -> Any:
    """E_n(x): by its series (DLMF 8.19.8) for x < 0.6, by its continued fraction (8.19.17) beyond."""
    epsilon = 1e-10 if xp.single else 1e-17
    regular = (n >= 1) & (x >= _TINY) & (x < INFINITY)
    huge = n > 1e17
    order, y = xp.where(regular & ~huge, n, 1.0), xp.where(regular, x, 1.0)
    near = regular & (y < 0.6)
    low, high = xp.where(near, y, 0.5), xp.where(near, 1.0, y)
    last = order - 1
    special = xp.digamma(order) - xp.log(low)

    def add(m: Any, power: Any, total: Any) -> Any:
        power = power * -low / m
        distance = m - last
        at_last = (distance <= 0) & (distance >= 0)
        term = xp.where(at_last, power * special, -power / xp.where(at_last, 1.0, distance))
        total = total + term
        going = (xp.abs(power) > xp.abs(total) * epsilon) | ((distance < 0) & (xp.abs(power) > 1e-300))
        return (power, total), near & going

    one = y * 0.0 + 1.0
    is_first = last <= 0
    start = xp.where(is_first, special, 1 / xp.where(is_first, 1.0, last))
    series = xp.iterate(add, (one, start), near)[1]

    far = regular & ~near
    terms = xp.ceil((60.0 if xp.single else 100.0) / high) + 20

    def fraction(m: Any, value: Any) -> Any:
        k = terms - m  # from the last one to the first: rounding errors do not add up
        going = k >= 1
        below = high + order + 2 * (k - 1) - k * (order + (k - 1)) / value
        return (xp.where(going, below, value),), far & going

    fraction_value = 1 / xp.iterate(fraction, (high + order + 2 * (terms - 1),), far)[0]
    out = xp.where(near, series, xp.exp(-high) * fraction_value)
    out = xp.where(order <= 1, _e1(xp, y), out)
    out = xp.where(huge, xp.exp(-y) / xp.where(huge, n, 1.0), out)
    positive = xp.where(x > 0, x, 1.0)
    zeroth = xp.exp(-positive) / positive
    at_zero = xp.where(n > 1, 1 / xp.where(n > 1, n - 1, 1.0), INFINITY)
    edges = xp.where(x >= _TINY, xp.where(x >= INFINITY, 0.0, zeroth), at_zero)
    defined = (n >= 0) & (x >= 0) & (xp.floor(n) >= n)
    return xp.where(defined, xp.where(regular, out, edges), math.nan)


_expn, _spence, _fresnel = by_scipy("expn"), by_scipy("spence"), by_scipy("fresnel")


def _expn_eager(n: Any, x: Any) -> Any:
    # SciPy takes the whole part of orders, of 32 bits.
    taken = (n == np.floor(n)) & (n >= 0) & (n < 2**31)
    out = _expn(np.where(taken, n, np.ones_like(n)), x)
    if np.count_nonzero(taken) < taken.size:
        huge = (n >= 2**31) & (x >= 0)
        out = np.where(taken, out, np.where(huge, np.exp(-x) / (n + x), np.full_like(out, np.nan)))
    return out


# ---- sine, cosine and Fresnel integrals ----------------------------------------------------------


def sici(xp: Any, x: Any) -> Any:
    """Si and Ci, beyond 2 by their auxiliary functions (DLMF 6.2.19): Si x = π/2 - f cos x - g sin x."""
    size = xp.abs(x)
    low = xp.between(size, 1e-300, 2.0)
    near_s = size * xp.linear("si_near", low * low, 0.0, 4.0)
    near_c = _about_zero(xp, low, xp.linear("ci_near", low, 0.0, 2.0), _CI_ZERO, _CI_REST)
    y = xp.where((size > 2) & (size < INFINITY), size, 2.0)
    square = y * y
    auxiliary = []
    for name in ("sici_f", "sici_g"):
        out = xp.reciprocal(f"{name}_2", xp.where(square > 144, square, 144.0), 144.0)
        out = xp.where(square < 144, xp.reciprocal(f"{name}_1", xp.between(square, 16.0, 144.0), 16.0, 144.0), out)
        out = xp.where(square < 16, xp.reciprocal(f"{name}_0", xp.between(square, 4.0, 16.0), 4.0, 16.0), out)
        auxiliary.append(out)
    f, g = auxiliary[0] / y, auxiliary[1] / square
    sin, cos = xp.sin(y), xp.cos(y)
    s = xp.where(size < 2, near_s, math.pi / 2 - (f * cos + g * sin))
    c = xp.where(size < 2, near_c, f * sin - g * cos)
    infinite = size >= INFINITY
    s, c = xp.where(infinite, math.pi / 2, s), xp.where(infinite, xp.where(x < 0, math.nan, 0.0 * y), c)
    c = xp.where(size <= 0, -INFINITY, c)
    known = xp.is_number(x)
    return xp.where(known, xp.same_sign(s, x), math.nan), xp.where(known, c, math.nan)


def fresnel(xp: Any, x: Any) -> Any:
    """S and C, beyond 1.6 by their auxiliary functions (DLMF 7.5.3): S = ½ - f cos ½πx² - g sin ½πx²."""
    size = xp.abs(x)
    low = xp.between(size, 0.0, 1.6)
    square = low * low
    fourth = square * square
    near_s = low * square * xp.linear("fresnel_s", fourth, 0.0, 6.5536)
    near_c = low * xp.linear("fresnel_c", fourth, 0.0, 6.5536)
    y = xp.between(size, 1.6, 1e15)
    # x² modulo 4, exactly: the first part of the square is.
    high, rest = xp.square(y)
    angle = (high - 4 * xp.rint(high * 0.25) + (rest - 4 * xp.rint(rest * 0.25))) * (math.pi / 2)
    y2 = y * y
    f = xp.reciprocal("fresnel_f", y2, 2.56) / (y * math.pi)
    g = xp.reciprocal("fresnel_g", y2, 2.56) / (y2 * y * (math.pi * math.pi))
    sin, cos = xp.sin(angle), xp.cos(angle)
    s = xp.where(size < 1.6, near_s, 0.5 - (f * cos + g * sin))
    c = xp.where(size < 1.6, near_c, 0.5 + (f * sin - g * cos))
    known = xp.is_number(x)
    return tuple(xp.where(known, xp.same_sign(v, x), math.nan) for v in (s, c))


def _fresnel_eager(x: Any) -> Any:
    return _fresnel(np.minimum(np.maximum(x, -1e18), 1e18).astype(x.dtype, copy=False))  # NaN beyond 1e154


# ---- dilogarithm ---------------------------------------------------------------------------------

#: B_2k/(2k + 1)!, so that Li₂(1 - e^-u) = u - u²/4 + Σ c_k u^(2k + 1).
_DEBYE = (
    0.027777777777777776,
    -0.0002777777777777778,
    4.72411186696901e-06,
    -9.185773074661964e-08,
    1.8978869988971e-09,
    -4.0647616451442256e-11,
    8.921691020456452e-13,
    -1.9939295860721074e-14,
    4.518980029619918e-16,
    -1.0356517612181247e-17,
    2.395218621026187e-19,
    -5.581785874325009e-21,
    1.3091507554183213e-22,
)


def spence(xp: Any, x: Any) -> Any:
    """Li₂(1 - x); for x > 2 and x < 0.25 by the reflections DLMF 25.12.4 and 25.12.6."""
    regular = (x >= _TINY) & (x < INFINITY)
    y = xp.where(regular, x, 1.0)
    above = y > 2
    inner = xp.where(above, 1 / y, y)
    below = inner < 0.25
    u = -xp.log(xp.where(below, 1 - inner, inner))
    square = u * u
    total = square * _DEBYE[-1] + _DEBYE[-2]
    for c in _DEBYE[-3::-1]:
        total = total * square + c
    middle = u - square * 0.25 + u * square * total
    logarithm = xp.log(y)
    product = xp.where(above, -logarithm, logarithm) * u
    value = xp.where(below, math.pi**2 / 6 + product - middle, middle)
    out = xp.where(above, -value - logarithm * logarithm * 0.5, value)
    edges = xp.where(x >= INFINITY, -INFINITY, xp.where((x < _TINY) & (x >= 0), math.pi**2 / 6, math.nan))
    return xp.where(regular, out, edges)


def _spence_eager(x: Any) -> Any:
    out = _spence(x)
    return np.where(np.isposinf(x), -x, out) if np.isnan(out).any() else out  # SciPy's has no limit


# ---- partial derivatives -------------------------------------------------------------------------


def _exp1_slope(x: Any, out: Any) -> Any:
    return neg_p.bind(div_p.bind(exp_p.bind(neg_p.bind(x)), x))


def _expi_slope(x: Any, out: Any) -> Any:
    return div_p.bind(exp_p.bind(x), x)


def _by_order(n: Any, x: Any, out: Any) -> Any:
    raise NotImplementedError(
        f"expn has no derivative with respect to its order, at {user_line()}: the order is a whole number"
    )


def _expn_slope(n: Any, x: Any, out: Any) -> Any:
    # E_n' = -E_(n-1) (DLMF 8.19.13), and E_0 = e^-x/x.
    one, zero = like(1, x), like(0, x)
    below = expn_p.bind(max_p.bind(sub_p.bind(n, one), zero), x)
    first = mul_p.bind(out, add_p.bind(one, div_p.bind(one, x)))
    return neg_p.bind(select(eq_p.bind(add_p.bind(n, mul_p.bind(zero, x)), zero), first, below))


def _half_square(x: Any) -> Any:
    """½πx² less turns, of which x² has whole numbers exactly, and its product with ½π has not."""
    return mul_p.bind(like(math.pi / 2, x), rem_p.bind(mul_p.bind(x, x), like(4, x)))


def _series(coefficients: Sequence[float], x: Any) -> Any:
    out = like(coefficients[-1], x)
    for c in coefficients[-2::-1]:
        out = add_p.bind(mul_p.bind(out, x), like(c, x))
    return out


def _quotient(x: Any, y: Any, is_near: Any, of: Any, series: Sequence[float]) -> Any:
    """x/y, where `is_near` the series in powers of `of`: smooth, and so are its derivatives."""
    far = div_p.bind(x, select(is_near, like(1, y), y))
    return select(is_near, _series(series, select(is_near, of, like(0, of))), far)


#: (-1)^k/(2k + 1)!
_SINC = [(-1.0) ** k / math.factorial(2 * k + 1) for k in range(13)]
_LOG_SERIES = [-1.0 / (k + 1) for k in range(22)]


def _sinc(x: Any) -> Any:
    return _quotient(sin_p.bind(x), x, lt_p.bind(abs_p.bind(x), like(1, x)), mul_p.bind(x, x), _SINC)


def _spence_slope(x: Any, out: Any) -> Any:
    # log(x)/(1 - x), in powers of 1 - x near 1.
    distance = sub_p.bind(like(1, x), x)
    return _quotient(log_p.bind(x), distance, lt_p.bind(abs_p.bind(distance), like(0.125, x)), distance, _LOG_SERIES)


exp1_p = Special("exp1", "exp1", exp1, _exp1_slope, wide=True)
expi_p = Special("expi", "expi", expi, _expi_slope, wide=True)
expn_p = Special("expn", _expn_eager, expn, _by_order, _expn_slope, wide=True)
fresnel_p = SpecialPair(
    "fresnel",
    _fresnel_eager,
    fresnel,
    (lambda x: sin_p.bind(_half_square(x)), lambda x: cos_p.bind(_half_square(x))),
    wide=True,
)
sici_p = SpecialPair("sici", "sici", sici, (_sinc, lambda x: div_p.bind(cos_p.bind(x), x)), wide=True)
spence_p = Special("spence", _spence_eager, spence, _spence_slope, wide=True)
