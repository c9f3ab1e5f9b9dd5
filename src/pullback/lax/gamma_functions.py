"""Primitives of the gamma function and its kin: Γ, its sign, the beta function and its logarithm,
Pochhammer's symbol, binomial coefficients.

Eager values are SciPy's. Compiled ones are computed in float64 from log Γ, except Γ itself, which
is by Stirling's series (DLMF 5.11.3), after the recurrence and the reflection have led to where it
converges. Derivatives are by digamma (DLMF 5.2.2).
"""

from __future__ import annotations

import math
from typing import Any

from pullback.lax.approximations import INFINITY, Special
from pullback.lax.family import ZERO, add_p, like, mul_p, neg_p, sub_p
from pullback.lax.incomplete import _stirling
from pullback.lax.special import digamma_p, psi_change_p

#: From here on Stirling's series of six terms is exact to the last place of float64.
_LARGE = 13
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
    """Γ(x): Γ(z) / (x (x+1) ... (z-1)) of a large z, or for negative `x` π / (sin(πx) Γ(1 - x))."""
    negative = x < 0
    y = xp.where(negative, 1 - x, x)
    inside = xp.between(y, 1e-300, 190.0)
    z, product = inside, inside * 0.0 + 1.0
    for _ in range(_LARGE):
        small = z < _LARGE
        product = xp.where(small, product * z, product)
        z = xp.where(small, z + 1, z)
    # z^(z - 1/2) in two factors, as it may overflow where Γ does not.
    root = xp.exp((z - 0.5) * 0.5 * xp.log(z) - z * 0.5)
    positive = root * (root * (math.sqrt(2 * math.pi) * xp.exp(_stirling(z)))) / product
    positive = xp.where(y > _LARGEST, INFINITY, positive)
    remainder = x - 2 * xp.rint(x * 0.5)
    reflected = math.pi / (xp.sin(remainder * math.pi) * positive)
    pole = negative & (xp.floor(x) >= x)
    out = xp.where(negative, xp.where(pole, math.nan, reflected), positive)
    # 1/x is exact to rounding for tiny numbers, and has the signs of zeros.
    out = xp.where(xp.abs(x) < 1e-17, 1 / x, out)
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


def binomial(xp: Any, n: Any, k: Any) -> Any:
    rest = n - k
    sign = sign_of_gamma(xp, n + 1) * sign_of_gamma(xp, k + 1) * sign_of_gamma(xp, rest + 1)
    out = sign * xp.exp(xp.lgamma(n + 1) - xp.lgamma(k + 1) - xp.lgamma(rest + 1))
    # Whole numbers, as long as float64 has them all.
    whole = (xp.floor(n) >= n) & (xp.floor(k) >= k) & (xp.abs(out) < 2.0**40)
    return xp.where(whole, xp.rint(out), out)


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
binom_p = Special("binom", "binom", binomial, _binomial_by_n, _binomial_by_k, wide=True)
