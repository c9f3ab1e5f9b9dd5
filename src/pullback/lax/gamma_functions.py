"""Primitives of the gamma function and its kin: Γ, its sign, the beta function and its logarithm,
Pochhammer's symbol, binomial coefficients.

Eager values are SciPy's. Compiled ones are computed in float64: Γ and the logarithm of the beta function by what Stirling's
formula has (DLMF 5.11.3), and polynomials, of which and of powers binomial coefficients are made; the others from log Γ.
Derivatives are by digamma (DLMF 5.2.2).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from pullback.lax import masses
from pullback.lax.approximations import INFINITY, Special, by_scipy
from pullback.lax.family import ZERO, add_p, like, mul_p, neg_p, sub_p
from pullback.lax.special import digamma_p, psi_change_p

#: Γ of more is infinite.
_LARGEST = 171.7


def _odd_floor(xp: Any, x: Any) -> Any:
    """Whether ⌊x⌋ is odd."""
    half = xp.floor(x) * 0.5
    return xp.floor(half) < half


def _is_whole(xp: Any, x: Any) -> Any:
    return xp.floor(x) >= x


def _sine(xp: Any, x: Any) -> Any:
    """sin πx."""
    whole = xp.rint(x)
    rest = x - whole
    sine = rest * xp.linear("sin_pi", rest * rest, 0, 0.25)
    return xp.where(_odd_floor(xp, whole), -sine, sine)


def sign_of_gamma(xp: Any, x: Any) -> Any:
    """The sign of Γ(x): at 0 that of the zero, at the other poles NaN."""
    pole = (x < 0) & _is_whole(xp, x)
    at_zero = xp.where(1 / x > 0, 1.0, -1.0)
    negative = xp.where(pole, math.nan, xp.where(_odd_floor(xp, x), -1.0, 1.0))
    out = xp.where(x < 0, negative, xp.where(x > 0, 1.0, at_zero))
    return xp.where(xp.is_number(x), out, math.nan)


def gamma(xp: Any, x: Any) -> Any:
    """Γ(x): for k = |x| - 1 ≥ 1 by k^k e^-k, which is a power in float64, not an exponential of a rounded
    logarithm; for negative `x` by Γ(x) Γ(-x) = -π / (x sin πx)."""
    size = xp.abs(x)
    inside = xp.between(size, 1e-300, _LARGEST)
    far, low = inside >= 2, inside < 1
    k = xp.where(far, inside - 1, 1.0)
    if xp.single:
        power = xp.exp(k * (xp.log(k) - 1))
    else:
        root = xp.power(k, k * 0.5)
        power = (root * xp.exp(-k)) * root
    large = power * (xp.sqrt(k) / xp.reciprocal("mass_far", k, 1.0))
    fraction = xp.where(far, 0.5, xp.where(low, inside, inside - 1))
    small = 1 / (xp.linear("mass_near", fraction, 0.0, 1.0) * xp.where(low, inside, 1.0))
    positive = xp.where(size > _LARGEST, INFINITY, xp.where(far, large, small))
    sine = _sine(xp, size)
    reflected = -math.pi / (sine * xp.where(size < 1, 1.0, size)) / positive
    # Below 1, the factor |x| is one of Γ(1 + |x|) / |x|.
    reflected = xp.where(size < 1, -math.pi / sine * xp.linear("mass_near", fraction, 0.0, 1.0), reflected)
    pole = (x < 0) & _is_whole(xp, size)
    out = xp.where(x < 0, xp.where(pole, math.nan, reflected), positive)
    # 1/x is exact to rounding for tiny numbers, and has the signs of zeros.
    out = xp.where(size < 1e-17, 1 / x, out)
    return xp.where(xp.is_number(x), out, math.nan)


def _zero_at_poles(xp: Any, x: Any) -> tuple[Any, Any]:
    """x sin πx of x ≥ 0, which is 0 at infinity too, and whether x is whole."""
    whole = _is_whole(xp, x)
    return xp.where(whole, 0.0, x * _sine(xp, x)), whole


def _positive_beta(xp: Any, a: Any, b: Any) -> tuple[Any, Any, Any, Any]:
    """B(a, b) by that of positive numbers: those, ±1 as the exponent of theirs, and by what that is to be multiplied.

    Γ(-x) = -π/(x sin πx Γ(x)) for each negative number (DLMF 5.5.3) leaves gamma functions of positive numbers, of which
    one is the sum of the other two.
    """
    low, high = xp.where(a < b, a, b), xp.where(a < b, b, a)
    n, size, height = low + high, xp.abs(low), xp.abs(high)
    gap = xp.abs(n)
    negative, both, below = low < 0, high < 0, n < 0
    (sine, whole), (sine_high, whole_high), (sine_n, whole_n) = (_zero_at_poles(xp, x) for x in (size, height, gap))
    reflected = both | ~below
    first = xp.where(negative & ~reflected, gap, size)
    second = xp.where(negative & ~both & ~below, gap, height)
    # -π n sin πn/(ab sin πa sin πb), n sin πn/(a sin πa) or -π/(a sin πa)
    above = xp.where(both | below, sine_n, 1.0) * xp.where(reflected, -math.pi, 1.0)
    divisor = xp.where(whole, 1.0, sine) * xp.where(both & ~whole_high, sine_high, 1.0)
    factor = xp.where(negative, above / divisor, 1.0)
    # At a pole of one of the two, B(-m, k) = (-1)^k B(1 + m - k, k) for whole numbers 0 < k ≤ m, as Γ(k - m) has a pole;
    # elsewhere it is infinite. It vanishes where only the sum is at a pole.
    pole, pole_high = whole & (low <= 0), whole_high & (high <= 0)
    at_pole = pole | pole_high
    other, place = xp.where(pole, high, low), 1 - n
    finite = at_pole & (other > 0) & (place > 0) & _is_whole(xp, other) & (n > -INFINITY)
    vanishes = negative & (n <= 0) & whole_n & ~at_pole
    constant = vanishes | (at_pole & ~finite)
    first = xp.where(constant, 1.0, xp.where(finite, place, first))
    second = xp.where(constant, 1.0, xp.where(finite, other, second))
    at_end = xp.where(finite, xp.where(_odd_floor(xp, other), -1.0, 1.0), INFINITY)
    factor = xp.where(vanishes, 0.0, xp.where(at_pole, at_end, factor))
    factor = xp.where(xp.is_number(a) & xp.is_number(b), factor, math.nan)
    exponent = xp.where(negative & reflected & ~finite & ~constant, -1.0, 1.0)
    return first, second, exponent, factor


def _beta(xp: Any, a: Any, b: Any, factor_one: float, of_factor: Callable[[Any], Any]) -> list[Any]:
    """What `_positive_beta` gives, with `of_factor` of the factor, which is `factor_one` where both are positive: the rest
    takes as long as the function itself."""

    def moved(a: Any, b: Any, *_: Any) -> list[Any]:
        *rest, factor = _positive_beta(xp, a, b)
        return [*rest, of_factor(factor)]

    return xp.if_any(~((a > 0) & (b > 0)), moved, [a, b, 1.0, factor_one])


def log_beta(xp: Any, a: Any, b: Any) -> Any:
    first, second, exponent, rest = _beta(xp, a, b, 0.0, lambda factor: xp.log(xp.abs(factor)))
    return exponent * masses.log_beta(xp, first, second) + rest


def beta(xp: Any, a: Any, b: Any) -> Any:
    first, second, exponent, factor = _beta(xp, a, b, 1.0, lambda factor: factor)
    return xp.exp(exponent * masses.log_beta(xp, first, second)) * factor


def pochhammer(xp: Any, z: Any, m: Any) -> Any:
    """Γ(z + m) / Γ(z): of positive numbers of which the logarithms do not cancel, by these; the rest takes longer."""
    end = z + m
    limit = 1e4 if xp.single else 10.0
    usual = (z > 0) & (end > 0) & (z < limit) & (end < INFINITY)
    out = xp.exp(xp.lgamma(end) - xp.lgamma(z))
    (out,) = xp.if_any(~usual, lambda out: [xp.where(usual, out, _any_pochhammer(xp, z, m))], [out])
    return out


def _any_pochhammer(xp: Any, z: Any, m: Any) -> Any:
    """`pochhammer` of any numbers: of two numbers up to 0 by sin πz/sin π(z + m) Γ(1 - z)/Γ(1 - z - m), where at two poles the sines
    have (-1)^m; of large numbers by Stirling's formula, as the logarithms would cancel."""
    whole, bounded, known = _is_whole(xp, m), xp.abs(m) < INFINITY, xp.is_number(z)
    # Of z that m swallows, the limit at 0; both stay finite, which infinities are made of below.
    start = xp.where((xp.abs(z) < 1e-17) & whole & bounded & (m < 0) | ~(xp.abs(z) < INFINITY), 0.0, z)
    step = xp.where(bounded, m, 0.0)
    end = start + step
    pole, pole_end = (start <= 0) & _is_whole(xp, start), (end <= 0) & _is_whole(xp, end)
    flipped = (start <= 0) & (end <= 0)
    at_poles = xp.where(_odd_floor(xp, step), -1.0, 1.0)
    sines = _sine(xp, start) / xp.where(pole_end, 1.0, _sine(xp, end))
    sign = xp.where(flipped, xp.where(pole, at_poles, sines), sign_of_gamma(xp, start) * sign_of_gamma(xp, end))
    a, b = xp.where(flipped, 1 - end, start), xp.where(flipped, 1 - start, end)
    far = (a >= 10) & (b >= 10)
    near = xp.exp(xp.lgamma(xp.where(far, 1.0, b)) - xp.lgamma(xp.where(far, 1.0, a)))
    out = sign * xp.where(far, masses.gamma_quotient(xp, xp.where(far, a, 10.0), xp.where(far, b, 10.0), step), near)
    out = xp.where(pole, xp.where(pole_end & whole, out, 0.0), xp.where(pole_end, INFINITY, out))
    # The power of an infinite z, and the limits in m, of which there is none at -∞ but at the poles.
    power = xp.where(m > 0, xp.where((z < 0) & _odd_floor(xp, step), -INFINITY, INFINITY), 0.0)
    of_infinite = xp.where(bounded & ((z > 0) | whole), power, math.nan)
    limit = xp.where(pole, 0.0, xp.where(m > 0, sign_of_gamma(xp, start) * INFINITY, math.nan))
    out = xp.where(xp.abs(z) < INFINITY, xp.where(bounded, out, limit), of_infinite)
    return xp.where((m <= 0) & (m >= 0), 1.0, xp.where(known & xp.is_number(m), out, math.nan))


# ---- partial derivatives -------------------------------------------------------------------------


def _one_more(x: Any) -> Any:
    return add_p.bind(x, like(1, x))


def _gamma_slope(x: Any, out: Any) -> Any:
    return mul_p.bind(out, digamma_p.bind(x))


def _pochhammer_by_z(z: Any, m: Any, out: Any) -> Any:
    return neg_p.bind(mul_p.bind(out, psi_change_p.bind(z, m)))


def _pochhammer_by_m(z: Any, m: Any, out: Any) -> Any:
    return mul_p.bind(out, digamma_p.bind(add_p.bind(z, m)))


def _binomial_by_n(n: Any, k: Any, out: Any) -> Any:
    return neg_p.bind(mul_p.bind(out, psi_change_p.bind(_one_more(sub_p.bind(n, k)), k)))


def _binomial_by_k(n: Any, k: Any, out: Any) -> Any:
    rest = sub_p.bind(n, k)
    return neg_p.bind(mul_p.bind(out, psi_change_p.bind(_one_more(k), sub_p.bind(rest, k))))


def _at_pole(x: Any) -> Any:
    """Whether Γ has a pole at NumPy's `x`; -∞ counts as one."""
    return (x <= 0) & (x == np.floor(x))


def _with_limit(name: str, limit: float) -> Callable[..., Any]:
    """SciPy's function; `limit` at infinity, where it has none; at two poles, infinity without a sign that depends on which
    is the first; and NaN of NaNs, also if the other operand is at a pole."""
    function = by_scipy(name)

    def evaluate(a: Any, b: Any) -> Any:
        out = function(a, b)
        if np.isfinite(out).all():
            return out
        out = np.where((a == INFINITY) & (b == INFINITY), limit, np.where(_at_pole(a) & _at_pole(b), INFINITY, out))
        return np.where(np.isnan(a) | np.isnan(b), np.nan, out).astype(a.dtype)

    return evaluate


def _pochhammer() -> Callable[..., Any]:
    """SciPy's function; NaN of NaNs, at the poles too; of z = ±∞ the power z^m, and at the poles 0 wherever m is not whole, of
    both of which it has some."""
    function = by_scipy("poch")

    def evaluate(z: Any, m: Any) -> Any:
        out = function(z, m)
        if np.isfinite(z).all() and np.isfinite(out).all() and not np.isnan(m).any():
            return out
        whole, finite = m == np.floor(m), np.isfinite(m)
        power = np.where(finite & ((z > 0) | whole), np.power(z, m), np.nan)
        out = np.where(np.isinf(z) & (m != 0), power, out)
        out = np.where(_at_pole(z) & np.isfinite(z) & ~whole, 0.0, out)
        return np.where(np.isnan(m), np.nan, out).astype(z.dtype)

    return evaluate


def _log_beta_by_a(a: Any, b: Any, out: Any) -> Any:
    return psi_change_p.bind(a, b)


def _log_beta_by_b(a: Any, b: Any, out: Any) -> Any:
    return psi_change_p.bind(b, a)


def _beta_by_a(a: Any, b: Any, out: Any) -> Any:
    return mul_p.bind(out, _log_beta_by_a(a, b, out))


def _beta_by_b(a: Any, b: Any, out: Any) -> Any:
    return mul_p.bind(out, _log_beta_by_b(a, b, out))


gamma_p = Special("gamma", "gamma", gamma, _gamma_slope, wide=True)
gammasgn_p = Special("gammasgn", "gammasgn", sign_of_gamma, ZERO)
betaln_p = Special("betaln", _with_limit("betaln", -INFINITY), log_beta, _log_beta_by_a, _log_beta_by_b, wide=True)
beta_p = Special("beta", _with_limit("beta", 0.0), beta, _beta_by_a, _beta_by_b, wide=True)
poch_p = Special("poch", _pochhammer(), pochhammer, _pochhammer_by_z, _pochhammer_by_m, wide=True)
binom_p = Special("binom", "binom", masses.choices, _binomial_by_n, _binomial_by_k, wide=True)
