"""Primitives of the gamma function and its kin: Γ, its sign, the beta function and its logarithm,
Pochhammer's symbol, binomial coefficients.

Eager values are SciPy's. Compiled ones are computed in float64 from log Γ, except Γ itself, which
is what Stirling's formula has (DLMF 5.11.3), times a polynomial, and binomial coefficients, which are powers
times such polynomials. Derivatives are by digamma (DLMF 5.2.2).
"""

from __future__ import annotations

import math
from typing import Any

from pullback.lax.approximations import INFINITY, Special
from pullback.lax.family import ZERO, add_p, like, mul_p, neg_p, sub_p
from pullback.lax.masses import choices
from pullback.lax.special import digamma_p, psi_change_p

#: Γ of more is infinite.
_LARGEST = 171.7


def _odd_floor(xp: Any, x: Any) -> Any:
    """Whether ⌊x⌋ is odd."""
    half = xp.floor(x) * 0.5
    return xp.floor(half) < half


def sign_of_gamma(xp: Any, x: Any) -> Any:
    """The sign of Γ(x): at 0 that of the zero, at the other poles NaN."""
    pole = (x < 0) & (xp.floor(x) >= x)
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
    whole = xp.rint(size)
    rest = size - whole
    sine = rest * xp.linear("sin_pi", rest * rest, 0, 0.25)
    sine = xp.where(_odd_floor(xp, whole), -sine, sine)
    reflected = -math.pi / (sine * xp.where(size < 1, 1.0, size)) / positive
    # Below 1, the factor |x| is one of Γ(1 + |x|) / |x|.
    reflected = xp.where(size < 1, -math.pi / sine * xp.linear("mass_near", fraction, 0.0, 1.0), reflected)
    pole = (x < 0) & (rest <= 0) & (rest >= 0)
    out = xp.where(x < 0, xp.where(pole, math.nan, reflected), positive)
    # 1/x is exact to rounding for tiny numbers, and has the signs of zeros.
    out = xp.where(size < 1e-17, 1 / x, out)
    return xp.where(xp.is_number(x), out, math.nan)


def log_beta(xp: Any, a: Any, b: Any) -> Any:
    return xp.lgamma(a) + xp.lgamma(b) - xp.lgamma(a + b)


def beta(xp: Any, a: Any, b: Any) -> Any:
    sign = sign_of_gamma(xp, a) * sign_of_gamma(xp, b) * sign_of_gamma(xp, a + b)
    return sign * xp.exp(log_beta(xp, a, b))


def pochhammer(xp: Any, z: Any, m: Any) -> Any:
    sign = sign_of_gamma(xp, z) * sign_of_gamma(xp, z + m)
    out = sign * xp.exp(xp.lgamma(z + m) - xp.lgamma(z))
    empty = (m <= 0) & (m >= 0)
    return xp.where(empty & xp.is_number(z), 1.0, out)


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
betaln_p = Special("betaln", "betaln", log_beta, _log_beta_by_a, _log_beta_by_b, wide=True)
beta_p = Special("beta", "beta", beta, _beta_by_a, _beta_by_b, wide=True)
poch_p = Special("poch", "poch", pochhammer, _pochhammer_by_z, _pochhammer_by_m, wide=True)
binom_p = Special("binom", "binom", choices, _binomial_by_n, _binomial_by_k, wide=True)
