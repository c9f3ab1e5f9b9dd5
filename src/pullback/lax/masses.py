"""Poisson and binomial probabilities and their logarithms, of real arguments, of which the densities of the
gamma and beta distributions are multiples, and those of the t distribution: formulas.

By the method of C. Loader, "Fast and accurate computation of binomial probabilities" (2000): what
Stirling's formula leaves is a polynomial of 1/k, and powers are those of a quotient near 1. In float64
these are computed as powers, with what was rounded away of the quotient as a factor, so that the
result is not the exponential of a rounded logarithm.
"""

from __future__ import annotations

import math
from typing import Any

from pullback.lax.incomplete import _log1p, _log1p_rest, _log_of_quotient, log_ratio
from pullback.lax.incomplete_beta import psi_change

_LOG_2PI = math.log(2 * math.pi)


def _difference(a: Any, b: Any) -> tuple[Any, Any]:
    """a - b, and what is rounded away (D. Knuth, TAOCP 2, 4.2.2)."""
    s = a - b
    t = s - a
    return s, (a - (s - t)) - (b + t)


def _product(xp: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """ab, and what is rounded away (T. Dekker, Numer. Math. 18, 1971)."""
    p = a * b
    a_high, a_low = xp.split(a)
    b_high, b_low = xp.split(b)
    return p, ((a_high * b_high - p) + a_high * b_low + a_low * b_high) + a_low * b_low


def _factor(xp: Any, k: Any) -> Any:
    """k^k e^-k / Γ(k + 1) for k ≥ 1, 1/Γ(k + 1) for k < 1."""
    far = k >= 1
    m, low = xp.where(far, k, 1.0), xp.where(far, 0.0, k)
    return xp.where(far, xp.reciprocal("mass_far", m, 1.0) / xp.sqrt(m), xp.linear("mass_near", low, 0.0, 1.0))


def _exponent(xp: Any, k: Any, x: Any) -> Any:
    """k log(x/k) + k - x for k ≥ 1, k log x - x below: exact enough in float64 for results in float32."""
    far, empty = k >= 1, k <= 0
    base = xp.where(empty, 1.0, xp.where(far, x / xp.where(far, k, 1.0), x))
    return k * xp.log(base) + (xp.where(far, k, 0.0) - x)


def poisson(xp: Any, k: Any, x: Any) -> Any:
    """x^k e^-x / Γ(k + 1) for k ≥ 0 and x ≥ 0."""
    defined = (k >= 0) & (x >= 0) & (k < math.inf)
    x_end = x >= math.inf
    k, x = xp.where(defined, k, 1.0), xp.where(defined & ~x_end, x, 1.0)
    factor = _factor(xp, k)
    if xp.single:
        out = xp.exp(_exponent(xp, k, x)) * factor
    else:
        far, empty = k >= 1, k <= 0
        m = xp.where(far, k, 1.0)
        base = xp.where(empty, 1.0, xp.where(far, x / m, x))
        shift, shift_rest = _difference(xp.where(far, k, 0.0), x)
        # Of x/k the base is rounded, by a part of which the power is k times.
        product, product_rest = _product(xp, base, m)
        rest = k * (((x - product) - product_rest) / xp.where(x > 0, x, 1.0))
        rest = xp.where(far, rest, 0.0) + shift_rest
        halved = xp.abs(shift) > 600
        e = xp.exp(xp.where(halved, shift * 0.5, shift))
        power = xp.power(base, k * 0.5)
        out = (power * e) * (power * xp.where(halved, e, 1.0)) * (factor * (1 + rest * (1 + 0.5 * rest)))
        # Of still larger numbers, powers are infinite.
        huge = xp.abs(shift) > 1300
        d = xp.where(huge, -shift / m, 0.0)
        out = xp.where(huge, xp.exp(m * _log1p_rest(xp, d)) * factor, out)
    return xp.where(defined, xp.where(x_end, 0.0, out), math.nan)


def _log_power(xp: Any, k: Any, x: Any) -> Any:
    """The logarithm of x^k e^-x, for k ≥ 1 divided by k^k e^-k: k (log(1 + d) - d) with d = (x - k)/k,
    which for small u = d/(2 + d) is k (2 artanh u - 2u - ud)."""
    far, empty = k >= 1, (k <= 0) & (k >= 0)
    m = xp.where(far, k, 1.0)
    d = (x - m) / m
    u = (x - m) / (x + m)
    near = far & (xp.abs(u) < 0.4)
    v = xp.where(near, u, 0.0)
    square = v * v
    bend = 2 * v * square * xp.linear("atanh_rest", square, 0.0, 0.16) - v * xp.where(near, d, 0.0)
    log = xp.log(xp.where(empty, 1.0, xp.where(far, x / m, x)))
    return xp.where(far, m * xp.where(near, bend, log - d), k * log - x)


def gamma_quotient(xp: Any, a: Any, b: Any, step: Any) -> Any:
    """Γ(b)/Γ(a) for a ≥ 10 and b = a + `step` ≥ 10: by Stirling's formula, whose powers are b^step times what `_log_power`
    has."""
    factor = _factor(xp, a) / _factor(xp, b) * (a / b)
    if xp.single:
        return xp.exp(step * xp.log(b) + _log_power(xp, a, b)) * factor
    root = xp.power(b, step * 0.5)
    out = (root * (xp.exp(_log_power(xp, a, b)) * factor)) * root
    return xp.where(step > 200, math.inf, out)  # where the power is infinite, and the exponential may be 0


def _log_factor(xp: Any, k: Any, one_more: Any) -> tuple[Any, Any, Any]:
    """The logarithm of what the power of `_log_power` is to be multiplied by, for k > -1: what it is, less
    the third result times the logarithm of the second."""
    far, negative = k >= 1, k < 0
    m, low = xp.where(far, k, 1.0), xp.where(far, 0.0, xp.where(negative, one_more, k))
    inverse = 1 / m
    stirling = xp.polynomial("log_gamma_rest", inverse * 2 - 1) * inverse + 0.5 * _LOG_2PI
    rest = xp.where(far, stirling, low * (1 - low) * xp.linear("log_gamma_low", low, 0.0, 1.0))
    return -rest, xp.where(negative, low, m), xp.where(far, 0.5, xp.where(negative, -1.0, 0.0))


def _log_poisson(xp: Any, k: Any, one_more: Any, x: Any) -> Any:
    defined = (one_more > 0) & (x >= 0) & (k < math.inf)
    x_end = x >= math.inf
    k, one_more = xp.where(defined, k, 1.0), xp.where(defined, one_more, 2.0)
    x = xp.where(defined & ~x_end, x, 1.0)
    rest, size, factor = _log_factor(xp, k, one_more)
    out = _log_power(xp, k, x) + (rest - factor * xp.log(size))
    return xp.where(defined, xp.where(x_end, -math.inf, out), math.nan)


def log_poisson(xp: Any, k: Any, x: Any) -> Any:
    """log(x^k e^-x / Γ(k + 1)) for k ≥ 0 and x ≥ 0."""
    return _log_poisson(xp, k, k + 1, x)


def log_gamma_density(xp: Any, a: Any, x: Any) -> Any:
    """log(x^(a-1) e^-x / Γ(a)) for a > 0 and x ≥ 0."""
    return _log_poisson(xp, a - 1, a, x)


def _counts(xp: Any, s: Any, f: Any, p: Any) -> tuple[Any, Any, Any, Any]:
    defined = (s >= 0) & (f >= 0) & (s < math.inf) & (f < math.inf) & (p >= 0) & (p <= 1)
    return defined, xp.where(defined, s, 1.0), xp.where(defined, f, 1.0), xp.where(defined, p, 0.5)


def binomial(xp: Any, s: Any, f: Any, p: Any) -> Any:
    """The probability of `s` successes and `f` failures, Γ(s + f + 1)/(Γ(s + 1) Γ(f + 1)) p^s (1-p)^f: the
    quotient of Poisson probabilities P(s; np) P(f; n(1-p)) / P(n; n) with n = s + f."""
    defined, s, f, p = _counts(xp, s, f, p)
    n, q = s + f, 1 - p
    a, b = n * p, n * q
    # P(n; n) for n ≥ 1 is the factor alone.
    below = (n > 0) & (n < 1)
    little = xp.where(n < 1, n * xp.log(xp.where(below, n, 1.0)) - n, 0.0)
    if xp.single:
        power = xp.exp(_exponent(xp, s, a) + _exponent(xp, f, b) - little)
        out = power * (_factor(xp, s) * _factor(xp, f) / _factor(xp, n))
    else:
        out = poisson(xp, s, a) * poisson(xp, f, b) / (_factor(xp, n) * xp.exp(little))
        # What has been rounded away of the means, by which the logarithm changes.
        n_rest, q_rest = _difference(s, -f)[1], _difference(q * 0.0 + 1.0, p)[1]
        a_rest, b_rest = _product(xp, n, p)[1] + n_rest * p, _product(xp, n, q)[1] + (n * q_rest + n_rest * q)
        by_a = (s - a) * (a_rest / xp.where(a > 0, a, 1.0))
        by_b = (f - b) * (b_rest / xp.where(b > 0, b, 1.0))
        out = out * (1 + (by_a + by_b))
    return xp.where(defined, out, math.nan)


def log_binomial(xp: Any, s: Any, f: Any, p: Any) -> Any:
    """The logarithm of `binomial`."""
    defined, s, f, p = _counts(xp, s, f, p)
    n = s + f
    powers = _log_power(xp, s, n * p) + _log_power(xp, f, n * (1 - p))
    (a, size_a, c), (b, size_b, d), (t, size_t, e) = (_log_factor(xp, k, k + 1) for k in (s, f, n))
    # P(n; n) has no power for n ≥ 1, and n^n e^-n below.
    below = (n > 0) & (n < 1)
    little = xp.where(n < 1, n * xp.log(xp.where(below, n, 1.0)) - n, 0.0)
    # Sizes are 1 where they do not count.
    out = powers - little + (a + b - t) - 0.5 * xp.log(size_a * (size_b / size_t))
    return xp.where(defined, out, math.nan)


def log_beta_binomial(xp: Any, k: Any, n: Any, a: Any, b: Any) -> Any:
    """The logarithm of the probability of `k` successes in `n` trials whose own probability p has the beta distribution
    of `a` and `b`, by Bayes' rule: what is to be expected for a p times the density of p, divided by its density after
    the trials, whatever p is; at that of the last one's center all three are moderate."""
    f = n - k
    defined = (k >= 0) & (f >= 0) & (a > 0) & (b > 0) & (n < math.inf) & (a < math.inf) & (b < math.inf)
    k, f = xp.where(defined, k, 1.0), xp.where(defined, f, 1.0)
    a, b = xp.where(defined, a, 1.0), xp.where(defined, b, 1.0)
    s, t = a + k, b + f
    p = s / (s + t)
    logs = [log_binomial(xp, *given, p) for given in ((k, f), (a, b), (s, t))]
    # ab/(a + b) (s + t)/(st), where p (1 - p) is left out of both densities.
    ratio = (a / s) * (b / t) * ((s + t) / (a + b))
    return xp.where(defined, logs[0] + (logs[1] - logs[2]) + xp.log(ratio), math.nan)


def gamma_density(xp: Any, epsilon: float, a: Any, x: Any) -> Any:
    """x^(a-1) e^-x / Γ(a)"""
    inside = (a > 0) & (x > 0) & (x < math.inf) & (a < math.inf)
    a_, x_ = xp.where(inside, a, 1.0), xp.where(inside, x, 1.0)
    out = poisson(xp, a_, x_) * (a_ / x_)
    at_zero = xp.where(a > 1, 0.0, xp.where(a >= 1, 1.0, a * 0.0 + math.inf))
    at_end = xp.where((x >= math.inf) & (a > 0), 0.0, x * 0.0 + math.nan)
    return xp.where(inside, out, xp.where((x <= 0) & (x >= 0) & (a > 0), at_zero, at_end))


def beta_density(xp: Any, epsilon: float, a: Any, b: Any, x: Any) -> Any:
    """x^(a-1) (1-x)^(b-1) / B(a, b)"""
    inside, a_, b_, x_, at_end = _beta(xp, a, b, x)
    return xp.where(inside, binomial(xp, a_, b_, x_) * (a_ / x_) * (b_ / (1 - x_)) / (a_ + b_), at_end)


def log_beta_density(xp: Any, a: Any, b: Any, x: Any) -> Any:
    """log(x^(a-1) (1-x)^(b-1) / B(a, b))"""
    inside, a_, b_, x_, at_end = _beta(xp, a, b, x)
    log = xp.log(xp.where(inside, a_ / (a_ + b_) / x_ * (b_ / (1 - x_)), at_end))
    return xp.where(inside, log_binomial(xp, a_, b_, x_) + log, log)


def _beta(xp: Any, a: Any, b: Any, x: Any) -> tuple[Any, Any, Any, Any, Any]:
    """Where the arguments are inside of their domains, the arguments there, and the density elsewhere: at
    an end b or a, where the power is 1; 0 or infinite if it is not."""
    inside = (a > 0) & (b > 0) & (x > 0) & (x < 1) & (a < math.inf) & (b < math.inf)
    a_, b_, x_ = xp.where(inside, a, 1.0), xp.where(inside, b, 1.0), xp.where(inside, x, 0.5)
    defined = (a > 0) & (b > 0) & (x >= 0) & (x <= 1)
    power, other = xp.where(x > 0, b, a), xp.where(x > 0, a, b)
    at_end = xp.where(power > 1, 0.0, xp.where(power < 1, math.inf, other))
    return inside, a_, b_, x_, xp.where(defined, at_end, math.nan)


def _log_powers(xp: Any, n: Any, a: Any, b: Any) -> Any:
    """The logarithm of W(n)/(W(a) W(b)) for n = a + b ≥ 1, where W(k) is k^k e^-k for k ≥ 1 and 1 below, as Γ(k + 1)
    is W(k)/`_factor`(k): the sum of a log(n/a), or for a < 1 of a (log n - 1), and the same for b."""
    out = None
    for k, other in ((a, b), (b, a)):
        far = k >= 1
        u = other / (n + k)
        near = far & (u < 0.4)
        close = _log_of_quotient(xp, xp.where(near, u, 0.0))
        log = xp.log(xp.where(far, n / xp.where(far, k, 1.0), n))
        part = k * xp.where(near, close, xp.where(far, log, log - 1))
        out = part if out is None else out + part
    return xp.where(n >= 1, out, 0.0)


def log_beta(xp: Any, a: Any, b: Any) -> Any:
    """log B(a, b) = log((a + b)/(ab)) - log of the binomial coefficient of a + b and a, of positive numbers."""
    defined = (a > 0) & (b > 0) & (a < math.inf) & (b < math.inf)
    end = xp.where((a >= 0) & (b >= 0), xp.where((a <= 0) | (b <= 0), math.inf, -math.inf), math.nan)
    a, b = xp.where(defined, a, 1.0), xp.where(defined, b, 1.0)
    n = a + b
    (rest_a, size_a, _), (rest_b, size_b, _), (rest_n, size_n, _) = (_log_factor(xp, k, k + 1) for k in (a, b, n))
    # 1/a + 1/b is n/(ab), of which XLA would compute the product, which underflows.
    factor = (1 / a + 1 / b) * xp.sqrt(size_a * (size_b / size_n))
    power = _log_powers(xp, n, a, b) + (rest_a + rest_b - rest_n)
    # B(k, 1) is 1/k, whose logarithm has a zero that the sum would not have.
    one_a, one_b = (a <= 1) & (a >= 1), (b <= 1) & (b >= 1)
    log = xp.log(xp.where(one_a, b, xp.where(one_b, a, factor)))
    out = xp.where(one_a | one_b, -log, log - power)
    return xp.where(defined, out, end)


def choices(xp: Any, n: Any, k: Any) -> Any:
    """The binomial coefficient Γ(n + 1)/(Γ(k + 1) Γ(n - k + 1)) for 0 ≤ k ≤ n, and NaN elsewhere."""
    defined = (k >= 0) & (n >= k) & (n < math.inf)
    total, chosen = xp.where(defined, n, 1.0), xp.where(defined, k, 1.0)
    rest = total - chosen
    power = xp.exp(_log_powers(xp, total, chosen, rest))
    out = power * (_factor(xp, chosen) * _factor(xp, rest) / _factor(xp, total))
    # Whole numbers, as long as float64 has them all.
    whole = (xp.floor(total) >= total) & (xp.floor(chosen) >= chosen) & (out < 2.0**40)
    at_end = xp.where((n >= math.inf) & (k >= 0) & (k < math.inf), xp.where(k > 0, math.inf, 1.0), math.nan)
    return xp.where(defined, xp.where(whole, xp.rint(out), out), at_end)


def cauchy_tail(xp: Any, z: Any) -> Any:
    """The probability of more than `z` under the Cauchy distribution: of large z the angle of 1/z, which does
    not cancel."""
    size = xp.abs(z)
    far = size > 1
    t = xp.where(far, 1 / size, size)
    angle = t * xp.linear("atan", t * t, 0.0, 1.0)
    above = xp.where(far, angle, 0.5 - angle)
    return xp.where(z < 0, 1 - above, above)


def _t_factor(xp: Any, df: Any) -> Any:
    """Γ((df + 1)/2) / (Γ(df/2) √(π df))"""
    m = df * 0.5
    far = m >= 1
    large = xp.reciprocal("t_far", xp.where(far, m, 1.0), 1.0) * (1 / math.sqrt(2 * math.pi))
    low = xp.where(far, 1.0, m)
    return xp.where(far, large, xp.linear("t_near", low, 0.0, 1.0) * xp.sqrt(low * (0.5 / math.pi)))


def log_t_density(xp: Any, df: Any, z: Any) -> Any:
    """The logarithm of `t_density`."""
    y = xp.abs(z) / xp.sqrt(df)
    # Of large y the square is infinite.
    far = y > 1e8
    inside = xp.where(far, 1.0, y)
    size = xp.where(far, 2 * xp.log(xp.where(far, y, 1.0)), _log1p(xp, inside * inside))
    # Of infinitely many degrees of freedom, the normal density.
    normal = df >= math.inf
    power = xp.where(normal, 0.5 * z * z, (0.5 * xp.where(normal, 1.0, df) + 0.5) * size)
    return xp.log(_t_factor(xp, df)) - power


def t_density(xp: Any, df: Any, z: Any) -> Any:
    """Γ((df + 1)/2) / (Γ(df/2) √(π df)) (1 + z²/df)^(-(df + 1)/2)"""
    # Of many degrees of freedom, of which 1 + z²/df has lost the digits of z², e^(-z²/2) (1 + (z⁴ - 2z²)/(4 df)).
    normal = df > (1e8 if xp.single else 2e12)
    y = xp.abs(z) / xp.sqrt(df)
    far = y > 1e100
    inside = xp.where(normal & (xp.abs(z) > 1e3), 1e3, xp.where(far, 0.0, z))
    square, square_rest = _product(xp, inside, inside)
    w = square / df
    base = xp.where(far, y, 1 + w)
    half, root = xp.where(far, df, 0.5 * df), xp.where(far, base, xp.sqrt(base))
    t = 0.5 * square
    if xp.single:
        power = xp.exp(xp.where(normal, -t, -half * xp.log(base)))
    else:
        # What is rounded away of 1 + z²/df changes the power.
        product, product_rest = _product(xp, w, df)
        rest = ((square - product) - product_rest + square_rest) / df + _difference(w, w * 0.0 - 1.0)[1]
        rest = (half + 0.5) * xp.where(far, 0.0, rest / base)
        rest = xp.where(normal, 0.5 * square_rest, rest)
        power = xp.power(xp.where(normal, math.e, base), -xp.where(normal, t, half))
        power = power * (1 - rest * (1 - rest * (0.5 - rest * (1 / 6))))
    power = power * xp.where(normal, 1 + t * (t - 1) / df, 1.0)
    return _t_factor(xp, df) * power / xp.where(normal, 1.0, root)


def t_score(xp: Any, df: Any, z: Any) -> Any:
    """The derivative by `df` of `log_t_density`: ½ (ψ((df + 1)/2) - ψ(df/2) - log(1 + z²/df) + (q - 1)/df)
    for q = (df + 1) z²/(df + z²), of which large terms cancel: for float32, too, in float64."""
    w = z * z / df
    far = w > 1e300
    w = xp.where(far, 1.0, w)
    log = xp.where(far, 2 * xp.log(xp.abs(xp.where(far, z, 1.0)) / xp.sqrt(df)), _log1p(xp, w))
    q = (df + 1) * xp.where(far, 1.0, w / (1 + w))
    out = 0.5 * ((q - 1) / df - psi_change(xp, 0.0, 0.5 * df, df * 0.0 + 0.5) - log)
    return xp.where(df >= math.inf, 0.0, out)


def gamma_score(xp: Any, epsilon: float, a: Any, x: Any) -> Any:
    """log x - ψ(a) = log(x/a) + (log a - ψ(a)), the derivative by `a` of the logarithm of the gamma density."""
    far = a >= 3
    b, y = xp.where(far, a, 3.0), xp.where(far, x, 3.0)
    out = log_ratio(xp, y, b) + xp.reciprocal("digamma_far", b, 3.0) / b
    return xp.where(far, out, xp.log(xp.where(far, 1.0, x)) - xp.digamma(xp.where(far, 1.0, a)))


__all__ = [
    "beta_density", "binomial", "cauchy_tail", "choices", "gamma_density", "gamma_score", "log_beta", "log_beta_binomial",
    "log_beta_density", "log_binomial", "log_gamma_density", "log_poisson", "log_t_density", "poisson", "t_density",
    "t_score",
]  # fmt: skip
