"""Primitives of the normal distribution's probabilities, of entropies, and of logarithms that have
a limit: `ndtr`, `log_ndtr`, `ndtri`, `entr`, `rel_entr`, `kl_div`, `xlogy`, `xlog1py`, `logit`.

Eager values are SciPy's. The normal tail is that of the scaled complementary error function (see
`lax.error_functions`), which does not cancel.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pullback.lax.approximations import INFINITY, Special, by_scipy
from pullback.lax.elementwise import abs_p, div_p, eq_p, exp_p, expm1_p, log1p_p, log_p, lt_p, min_p
from pullback.lax.error_functions import _erfcx_positive, _normal_tail, erfc_inv, erfcx_p, erfcx_slope
from pullback.lax.family import INEXACT, Elementwise, add_p, like, mul_p, neg_p, sub_p
from pullback.lax.incomplete import _NEAR, Eager, _log1p, _log_of_quotient, log_ratio
from pullback.lax.selection import select
from pullback.lax.special import gaussian_p

_ROOT_HALF = math.sqrt(0.5)

# ---- formulas ------------------------------------------------------------------------------------


def ndtr(xp: Any, x: Any) -> Any:
    tail = _normal_tail(xp, xp.between(xp.abs(x), 0.0, 60.0))
    return xp.where(xp.is_number(x), xp.where(x < 0, tail, 1 - tail), math.nan)


def log_ndtr(xp: Any, x: Any) -> Any:
    size = xp.abs(x)
    scaled = 0.5 * _erfcx_positive(xp, size * _ROOT_HALF)
    tail = xp.exp_of_square(xp.between(size, 0.0, 60.0), -0.5) * scaled
    far = x < -1
    log = xp.log(xp.where(far, scaled, tail))
    # log(1 - t) = -2 artanh(t/(2 - t))
    out = xp.where(x < 0, xp.where(far, log - x * x * 0.5, log), -_log_of_quotient(xp, tail / (2 - tail)))
    return xp.where(size >= INFINITY, xp.where(x < 0, -INFINITY, 0.0), out)


def ndtri(xp: Any, p: Any) -> Any:
    return erfc_inv(xp, p * 2) * -math.sqrt(2)


def entr(xp: Any, x: Any) -> Any:
    inside = xp.where(x > 0, x, 1.0)
    out = xp.where(x > 0, -inside * xp.log(inside), xp.where(x < 0, -INFINITY, 0.0))
    return xp.where(xp.is_number(x), out, math.nan)


def _of_distributions(xp: Any, p: Any, q: Any, inside: Any, at_zero: Any) -> Any:
    out = xp.where((p > 0) & (q > 0), inside, xp.where(xp.is_zero(p) & (q >= 0), at_zero, INFINITY))
    return xp.where(xp.is_number(p) & xp.is_number(q), out, math.nan)


def _log_ratio_of_singles(xp: Any, p: Any, q: Any) -> tuple[Any, Any]:
    """For float32, a logarithm and a rest: log(p/q) is the logarithm and the rest divided by p. The rest is
    what the rounding of the quotient r leaves of p - qr, which float64 has exactly."""
    # Where the quotient is subnormal or infinite, it is taken of numbers that are closer.
    above, below = p > q * 1e36, p * 1e36 < q
    scale = xp.where(above, 2.0**-64, xp.where(below, 2.0**64, 1.0))
    back = xp.where(above, 2.0**64, xp.where(below, 2.0**-64, 1.0))
    log = 128 * math.log(2)
    moved = xp.where(above, log, xp.where(below, -log, 0.0))
    p, q = p * scale, q * back
    quotient = p / q
    rest = xp.exactly(lambda p, q, r: p - q * r, p, q, quotient)
    # Of an infinite p or q nothing is left.
    return xp.log(quotient) + moved, xp.where((quotient > 0) & (quotient < INFINITY), rest * back, 0.0)


def _log_ratio(xp: Any, p: Any, q: Any) -> Any:
    if xp.single:
        log, rest = _log_ratio_of_singles(xp, p, q)
        return log + rest / p
    return log_ratio(xp, p, q)


def rel_entr(xp: Any, p: Any, q: Any) -> Any:
    if xp.single:
        log, rest = _log_ratio_of_singles(xp, p, q)
        return _of_distributions(xp, p, q, p * log + rest, 0.0)
    return _of_distributions(xp, p, q, p * log_ratio(xp, p, q), 0.0)


def kl_div(xp: Any, p: Any, q: Any) -> Any:
    difference = p - q
    u = difference * 0.5 / (p * 0.5 + q * 0.5)
    near = xp.abs(u) < _NEAR
    # p log(p/q) = (p - q) (1 + u) (1 + u² A), where log(p/q) = 2u (1 + u² A)
    v = xp.where(near, u, 0.0)
    bend = v * xp.linear("atanh_rest", v * v, 0.0, _NEAR**2)
    close = difference * (v + v * bend * (1 + v))
    far = (_log_ratio_of_singles(xp, p, q)[0] if xp.single else log_ratio(xp, p, q)) * p - difference
    return _of_distributions(xp, p, q, xp.where(near, close, far), q)


def logit(xp: Any, p: Any) -> Any:
    u = p * 2 - 1
    middle = xp.abs(u) < 0.25
    return xp.where(middle, _log_of_quotient(xp, xp.where(middle, u, 0.0)), xp.log(p / (1 - p)))


def hazard(xp: Any, x: Any) -> Any:
    """φ(x)/Φ(x), where e^(-x²/2) is a factor above and, for negative x, below."""
    tail = _erfcx_positive(xp, xp.abs(x) * _ROOT_HALF)
    growth = xp.exp_of_square(xp.between(x, 0.0, 40.0), -0.5)
    return xp.where(x > 0, growth, 1.0) * math.sqrt(2 / math.pi) / xp.where(x > 0, 2 - growth * tail, tail)


def _boxcox(xp: Any, log: Any, power: Any) -> Any:
    """(e^(λ log) - 1)/λ, or the logarithm where λ, or its product with that, is so small that it makes no difference."""
    flat = (xp.abs(log * power) < 1e-17) | (xp.abs(power) < 1e-19)
    out = xp.expm1(log * power) / xp.where(flat, 1.0, power)
    return xp.where(flat, log, out)


def boxcox(xp: Any, x: Any, power: Any) -> Any:
    return _boxcox(xp, xp.log(x), power)


def boxcox1p(xp: Any, x: Any, power: Any) -> Any:
    return _boxcox(xp, _log1p(xp, x), power)


def _x_log(log: Any) -> Any:
    def lower(emit: Any, x: Any, y: Any) -> Any:
        number = emit.compare("EQ", y, y)
        vanishes = emit("and", emit.compare("EQ", x, emit.like(0, x)), number)
        return emit.select(vanishes, emit.like(0, x), emit("multiply", x, log(emit, y)))

    return lower


_erfcx_of_values = by_scipy("erfcx")


def _hazard_of_values(x: Any) -> Any:
    dtype = x.dtype
    if dtype.itemsize < 8:
        return np.divide(math.sqrt(2 / math.pi), _erfcx_of_values(x.astype(np.float64) * -_ROOT_HALF)).astype(dtype)
    # As `hazard`: e^(-x²/2) of a number whose square is exact, and the rest; 1 for negative x.
    tail = _erfcx_of_values(np.abs(x) * _ROOT_HALF)
    size = np.minimum(np.maximum(x, 0.0), 40.0)
    high, low = Eager.split(size)
    growth = np.exp(high * high * -0.5) * np.exp(low * (high + size) * -0.5)
    return growth * math.sqrt(2 / math.pi) / np.where(x > 0, 2 - growth * tail, tail)


# ---- partial derivatives -------------------------------------------------------------------------


def _times(factor: Any, x: Any) -> Any:
    return mul_p.bind(like(factor, x), x)


def _density(x: Any, out: Any) -> Any:
    return _times(1 / math.sqrt(2 * math.pi), gaussian_p.bind(x, rate=0.5))


def _hazard(x: Any, out: Any) -> Any:
    return normal_hazard_p.bind(x)


def _hazard_slope(x: Any, out: Any) -> Any:
    # λ' = -λ (x + λ). For negative x, where x + λ cancels, by the derivative of erfcx; that is infinite for large x.
    right = lt_p.bind(like(0, x), x)
    scaled = _times(-_ROOT_HALF, select(right, like(0, x), x))
    below = erfcx_p.bind(scaled)
    left = _times(_ROOT_HALF, div_p.bind(erfcx_slope(scaled, below), below))
    vanishes = eq_p.bind(out, like(0, x))  # beside an infinite x, too
    slope = mul_p.bind(out, select(right, neg_p.bind(add_p.bind(select(vanishes, out, x), out)), left))
    return select(eq_p.bind(out, like(INFINITY, x)), like(-1, x), slope)  # the limit at -∞


def _quantile_slope(p: Any, out: Any) -> Any:
    # 1/φ(z), where φ(z) is the smaller of p and 1 - p times a hazard rate, which depends on z as little as it can: the
    # exponential of z², which is rounded, is none of it.
    tail = min_p.bind(p, sub_p.bind(like(1, p), p))
    end = eq_p.bind(tail, like(0, p))
    rate = div_p.bind(erfcx_p.bind(_times(_ROOT_HALF, abs_p.bind(out))), select(end, like(1, p), tail))
    return select(end, like(INFINITY, p), _times(math.sqrt(math.pi / 2), rate))


def _entr_slope(x: Any, out: Any) -> Any:
    return sub_p.bind(neg_p.bind(log_p.bind(x)), like(1, x))


def _log_of_ratio(p: Any, q: Any) -> Any:
    return log_ratio_p.bind(p, q)


def _log_ratio_of_values(p: Any, q: Any) -> Any:
    u = (p - q) * 0.5 / (p * 0.5 + q * 0.5)
    near = np.abs(u) < 0.3
    return np.where(near, 2 * np.arctanh(np.where(near, u, 0)), np.log(p) - np.log(q)).astype(p.dtype)


def _logit_slope(p: Any, out: Any) -> Any:
    return div_p.bind(like(1, p), mul_p.bind(p, sub_p.bind(like(1, p), p)))


#: Coefficients of (t e^t - (e^t - 1))/t²: 1/(n! (n + 2)).
_BENT = [1 / (math.factorial(n) * (n + 2)) for n in range(14)]


def _boxcox_by_power(log: Any, power: Any) -> Any:
    """The derivative by λ of (e^(λ log) - 1)/λ: log² (t e^t - (e^t - 1))/t² of t = λ log."""
    t = mul_p.bind(power, log)
    near = lt_p.bind(abs_p.bind(t), like(0.5, t))
    small = select(near, t, like(0, t))
    series = like(_BENT[-1], t)
    for c in reversed(_BENT[:-1]):
        series = add_p.bind(mul_p.bind(series, small), like(c, t))
    large = select(near, like(1, t), t)
    bent = sub_p.bind(mul_p.bind(large, exp_p.bind(large)), expm1_p.bind(large))
    return mul_p.bind(mul_p.bind(log, log), select(near, series, div_p.bind(bent, mul_p.bind(large, large))))


def _boxcox_by_x(log: Any, power: Any) -> Any:
    """x^(λ - 1)"""
    return exp_p.bind(mul_p.bind(sub_p.bind(power, like(1, power)), log))


ndtr_p = Special("ndtr", "ndtr", ndtr, _density)
normal_hazard_p = Special("normal_hazard", _hazard_of_values, hazard, _hazard_slope)
log_ndtr_p = Special("log_ndtr", "log_ndtr", log_ndtr, _hazard)
ndtri_p = Special("ndtri", "ndtri", ndtri, _quantile_slope)
entr_p = Special("entr", "entr", entr, _entr_slope)
log_ratio_p = Special(
    "log_ratio",
    _log_ratio_of_values,
    _log_ratio,
    lambda p, q, out: div_p.bind(like(1, p), p),
    lambda p, q, out: neg_p.bind(div_p.bind(like(1, q), q)),
)
rel_entr_p = Special(
    "rel_entr",
    "rel_entr",
    rel_entr,
    lambda p, q, out: add_p.bind(_log_of_ratio(p, q), like(1, p)),
    lambda p, q, out: neg_p.bind(div_p.bind(p, q)),
)
kl_div_p = Special(
    "kl_div",
    "kl_div",
    kl_div,
    lambda p, q, out: _log_of_ratio(p, q),
    lambda p, q, out: sub_p.bind(like(1, p), div_p.bind(p, q)),
)
logit_p = Special("logit", "logit", logit, _logit_slope)
xlogy_p = Elementwise(
    "xlogy",
    INEXACT,
    by_scipy("xlogy"),
    lambda x, y, out: log_p.bind(y),
    lambda x, y, out: div_p.bind(x, y),
    hlo=_x_log(log_p.lower),
    cost=10,
)
xlog1py_p = Elementwise(
    "xlog1py",
    INEXACT,
    by_scipy("xlog1py"),
    lambda x, y, out: log1p_p.bind(y),
    lambda x, y, out: div_p.bind(x, add_p.bind(y, like(1, y))),
    hlo=_x_log(log1p_p.lower),
    cost=10,
)
boxcox_p = Special(
    "boxcox",
    "boxcox",
    boxcox,
    lambda x, power, out: _boxcox_by_x(log_p.bind(x), power),
    lambda x, power, out: _boxcox_by_power(log_p.bind(x), power),
)
boxcox1p_p = Special(
    "boxcox1p",
    "boxcox1p",
    boxcox1p,
    lambda x, power, out: _boxcox_by_x(log1p_p.bind(x), power),
    lambda x, power, out: _boxcox_by_power(log1p_p.bind(x), power),
)
